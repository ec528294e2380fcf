#![doc = include_str!("../README.md")]

mod bank;
mod clock;
mod identity;
pub mod personas;
#[cfg(test)]
mod rehearsal;
mod reply;
mod server;

pub use bank::{BankConfig, start_bank};
pub use identity::{IdentityConfig, start_identity};
pub use server::{Running, SandboxError};
