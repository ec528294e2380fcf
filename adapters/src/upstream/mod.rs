//! Requests to backends, over pooled connections.
//!
//! Nothing here knows why a request is made. What it promises: a request is sent at most once, every wait is bounded, and
//! dropping a future or a body half way closes its connection and frees its place.

mod body;
mod endpoint;
mod failure;
mod pool;
mod request;
mod target;
#[cfg(test)]
mod tests;

pub use body::{BodyError, PooledBody};
pub use failure::SendError;
pub use pool::Pools;
pub use request::OutgoingRequest;
pub use target::Target;
