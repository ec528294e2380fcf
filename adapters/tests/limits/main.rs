//! How exact limits are: every answer held against an oracle that counts nothing but bare events.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod dice;
mod flood;
mod oracle;
mod pure;
mod rules;
mod sequences;
mod shared;
mod threads;
