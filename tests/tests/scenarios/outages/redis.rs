//! Redis down, slow, half-open, a replica, full, restarted: what it remembers is asked of it, or the request is refused.
//!
//! `store` looks at the adapter alone, `gateway` at whole requests, `limits` at those that limits count; `failover` kills
//! masters, in the full run.

mod failover;
mod gateway;
mod limits;
mod server;
mod store;
