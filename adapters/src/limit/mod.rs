//! Counting against limits; what a limit is, and for whom, is policy's to say.

pub mod asked;
mod bucket;
mod key;
pub mod limits;
pub mod local;
#[cfg(test)]
mod local_tests;
pub mod peer;
pub mod shared;
mod store;
#[cfg(test)]
mod tests;
