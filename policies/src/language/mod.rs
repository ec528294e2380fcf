//! The administrators' language: YAML in, a [`Rulebook`](crate::rulebook::Rulebook) or kind diagnostics out.
//!
//! [`document`] reads a tree with places, [`decode`] reads values out of it, [`compile`](mod@compile) knows what the
//! words mean, [`problem`] and [`render`](fn@render) tell what is wrong. Must never read a file: texts are given to it.

pub mod any;
pub mod codes;
pub mod compile;
pub mod decode;
pub mod diff;
pub mod document;
pub mod effective;
pub mod fmt;
pub mod lint;
pub mod outline;
pub mod problem;
pub mod schema;
pub mod strict;
pub mod suggest;
pub mod table;
pub mod tables;
pub mod units;
pub mod within;
pub mod written;

mod mask;
mod render;
mod shipped;
mod syntax;

pub use compile::{Allowed, Compiled, compile, compile_where, is_key_set};
pub use mask::visible;
pub use problem::{Faults, Place, Problem, Severity, Source, tally};
pub use render::{LINE_CHARACTERS_MAX, render};
pub use shipped::shipped;
pub use suggest::did_you_mean;

#[cfg(test)]
mod readme_tests;
