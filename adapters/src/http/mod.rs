//! Calls to other services: only to addresses that an operator allowed, only with our own trust, always bounded.

pub mod client;
pub(crate) mod dial;
pub mod trust;
pub mod url;
#[cfg(test)]
mod tests;
