//! Why a call could not be made at all.

use std::fmt;

use policies::code::Outage;
use policies::jose::SignError;

/// Why a call could not be made at all; no case passes then.
#[derive(Debug)]
pub struct TrialError(String);

impl TrialError {
    pub(super) fn new(cause: impl fmt::Display) -> Self {
        Self(cause.to_string())
    }
}

impl fmt::Display for TrialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Outage> for TrialError {
    fn from(outage: Outage) -> Self {
        Self::new(outage)
    }
}

impl From<SignError> for TrialError {
    fn from(error: SignError) -> Self {
        Self::new(error)
    }
}
