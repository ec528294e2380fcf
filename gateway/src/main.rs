//! The command `qaqpa`.
fn main() {}
