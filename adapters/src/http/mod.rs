//! Calls to other services: only to addresses that an operator allowed, only with our own trust, always bounded.

mod chosen;
pub mod client;
pub mod courier;
pub(crate) mod dial;
pub mod inside;
pub mod scout;
#[cfg(test)]
mod tests;
pub mod trust;
pub mod url;
