//! Counting against limits; what a limit is, and for whom, is policy's to say.

pub mod asked;
pub mod limits;
pub mod local;
pub mod peer;
#[cfg(test)]
mod tests;
