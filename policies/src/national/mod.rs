//! The country's identifiers and formats: who a person or company is, where an account is, how much.
//!
//! Pure text and arithmetic. This module must never know a clock, a store or a wire format: it is the only part
//! of the house that the sandbox shares with the gateway, so it holds facts of the country and no rule of ours.

pub mod iban;
pub mod iin;
pub mod money;

pub use iban::{Iban, IbanError};
pub use iin::{Bin, Iin, IinError};
pub use money::{Currency, Money, MoneyError};
