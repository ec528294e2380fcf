//! How long a store keeps what is over, class by class.

use std::time::Duration;

use super::port::{EVENTS_KEPT, VERIFICATIONS_KEPT};

/// How long a store remembers a policy set that another one has followed.
///
/// Five years, as the audit records that were judged by it: without the set none of them could be judged again.
pub const GENERATIONS_KEPT: Duration = Duration::from_secs(1830 * 86_400);

/// How long what is over is kept; what is not over is never swept out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Verifications, after nobody needs to come any more.
    pub verifications: Duration,
    /// Events, from when they happened on.
    pub events: Duration,
    /// Policy sets, after another one has followed.
    pub generations: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self { verifications: VERIFICATIONS_KEPT, events: EVENTS_KEPT, generations: GENERATIONS_KEPT }
    }
}
