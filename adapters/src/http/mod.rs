//! Calls to other services: only to addresses that an operator allowed, only with our own trust, always bounded.

pub mod client;
pub mod courier;
pub(crate) mod dial;
pub mod inside;
#[cfg(test)]
mod tests;
pub mod trust;
pub mod url;
