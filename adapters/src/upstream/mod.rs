//! Requests to backends, over pooled connections.
//!
//! Nothing here knows why a request is made. What it promises: a request is sent at most once, every wait is bounded, and
//! dropping a future or a body half way closes its connection and frees its place.

mod body;
pub(crate) mod connect;
mod endpoint;
mod pool;
mod request;

pub use body::{BodyError, PooledBody};
pub use endpoint::{REST_MAX, RESTING_MAX};
pub use pool::{Pools, SendError, Target};
pub use request::OutgoingRequest;
