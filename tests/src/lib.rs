#![doc = include_str!("../README.md")]
//!
//! Whole gateways for scenarios, and those who act on them.
//!
//! A [`world::World`] is a gateway with the real bank and the real identity provider behind it. The [`actors`] make
//! tokens, assertions, proofs and callbacks with `aws-lc-rs` and nothing of `policies::jose`: our own code must not
//! agree with itself. Everything here stops at the first surprise, because it runs in tests only.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "an actor of a test stops at the first surprise"
)]

pub mod actors;
pub mod world;
