//! What the gateway does without the services behind it: what must be refused is, what needs them not goes on, and
//! everything ends in time.

mod postgres;
mod redis;
