//! What must be remembered between requests; whether a memory is still valid is judged with the `now` of the caller.

mod acts;
pub mod backup;
#[cfg(test)]
pub(crate) mod conformance;
mod kept;
pub mod memory;
pub mod port;
pub mod postgres;
pub mod redis;
pub mod retention;
pub mod sealed;
mod shares;
pub mod sqlite;
