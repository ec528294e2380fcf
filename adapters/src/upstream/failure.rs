//! Why a backend gave no answer, and whether it may have seen the request.

use policies::code::Outage;
use thiserror::Error;

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum SendError {
    /// No endpoint could be reached; not a byte of the request went out.
    #[error("nothing was sent: {0}")]
    NotSent(Outage),
    /// It took too long.
    #[error("no answer in time")]
    TimedOut {
        /// Whether any byte of the request may have gone out.
        sent: bool,
    },
    /// The request, or a part of it, may have gone out; its answer never came.
    #[error("the answer was lost: {0}")]
    Lost(Outage),
    /// As many requests are under way to this backend as may be; nothing was sent.
    #[error("as many requests are under way to this backend as may be")]
    Full,
}
