//! Calls that are only tried: made through the very stack that serves, on a house of their own, with what a case scripts
//! behind it.
//!
//! What `qaqpa test` and `qaqpa trace` stand on. Nothing is opened, nothing is left: stores and trail are in memory, the
//! clock is moved by hand, connections end inside this process. Must never be given a key, a store or an address of a
//! running gateway.

mod call;
mod called;
mod caller;
mod consented;
mod cover;
mod eras;
mod error;
mod judge;
pub mod kept;
mod located;
mod report;
mod request;
mod run;
mod scene;
mod script;
#[expect(clippy::module_inception, reason = "it is what the others are for")]
mod trial;

pub use self::call::Outcome;
pub use self::cover::{Coverage, Rule};
pub use self::eras::{START, eras};
pub use self::error::TrialError;
pub use self::located::{Places, Seen};
pub use self::report::{json, junit, text};
pub use self::run::{Failure, RefusedBy, Verdict};
pub use self::trial::Trial;
