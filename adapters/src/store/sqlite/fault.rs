//! Why something could not be done with the file.

use policies::code::Outage;

/// Why a job could not be done; only that job is undone then.
#[derive(Debug)]
pub(super) struct Fault(String);

impl Fault {
    /// The ticket is not, or no longer, the claim's.
    pub(super) const TAKEN_OVER: Fault = Fault(String::new());

    /// Makes one of what happened; never of values bound to a statement.
    pub(super) fn new(cause: impl ToString) -> Self {
        Self(cause.to_string())
    }

    /// Tells it to a caller.
    pub(super) fn outage(self, port: &str) -> Outage {
        if self.0.is_empty() { Outage::new(port, "the claim was taken over") } else { Outage::new(port, self.0) }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        // The code and SQLite's own words; values bound to a statement are not in it.
        Self(error.to_string())
    }
}

/// Says to SQLite how many rows are wanted at most.
pub(super) fn rows(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}
