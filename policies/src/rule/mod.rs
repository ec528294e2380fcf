//! The kinds of rules, one a file: each a pure function of what is known, asked by [`decide`](crate::decide).
//!
//! A rule says yes by `Ok(())` or refuses with a [`Refusal`]; it must never know what other rules say.

pub mod condition;
pub mod consent;
pub mod denial;
pub mod fraud;
pub mod licence;
pub mod network;
pub mod refusal;
pub mod role;
pub mod scope;
pub mod step_up;
pub mod suspension;
pub mod trigger;

pub use denial::{Denial, RuleKind, RuleName};
pub use refusal::Refusal;
