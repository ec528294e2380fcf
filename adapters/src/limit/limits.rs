//! The one door to all counting: every limit of a call is judged here, at once.
//!
//! This module must not know what limits are for, or what is told to whom.

use policies::code::Outage;
use policies::limit::Verdict;
use policies::time::Timestamp;

pub use super::asked::{Asked, Counted, Happened, Untaken};
use super::local::{self, LocalLimiter};

/// Counts calls against limits: in this process.
#[derive(Debug, Default)]
pub struct Limits {
    local: LocalLimiter,
}

/// What all limits of a call say of it.
#[derive(Debug)]
pub struct Taken {
    /// What each says, in the order asked; where an enforced one had no room, nothing was taken from any.
    pub verdicts: Vec<Verdict>,
    /// What is still to be settled, or given back; empty where nothing was taken.
    pub holds: Holds,
}

/// What a call has taken: its place among the calls under way is given back when this is dropped.
///
/// Tokens that were not settled until then stay taken: nobody knows how the call has ended.
#[derive(Debug, Default)]
#[must_use = "calls under way are over once this is dropped"]
pub struct Holds {
    local: local::Holds,
}

impl Limits {
    /// Makes limits that are counted in this process alone.
    #[must_use]
    pub fn new(local: LocalLimiter) -> Self {
        Self { local }
    }

    /// Counts a call against its limits, if every enforced one has room for it; otherwise takes nothing from any.
    ///
    /// # Errors
    /// [`Untaken`] if not all of them could be judged; then nothing was taken either.
    pub async fn take(&self, asked: &Asked<'_>) -> Result<Taken, Untaken> {
        let (verdicts, holds) = self.local.take(asked)?;
        Ok(Taken { verdicts, holds: Holds { local: holds } })
    }

    /// Settles what a call costs by the status of its answer; none if nobody knows it, so that its tokens stay taken.
    ///
    /// Once only: what is settled already is not settled again. The call stays under way.
    pub async fn settle(&self, holds: &mut Holds, status: Option<u16>, now: Timestamp) {
        self.local.settle(&mut holds.local, status, now);
    }

    /// Gives the tokens of a credit back, once for each thing; tells whether there were any to give.
    ///
    /// # Errors
    /// An [`Outage`] of the store that all gateways share.
    pub async fn happened(&self, happened: &Happened<'_>) -> Result<bool, Outage> {
        Ok(self.local.happened(happened))
    }

    /// Notes for a limit of polls that the resource among these values begins now; other limits are passed over.
    ///
    /// # Errors
    /// An [`Outage`] of the store that all gateways share.
    pub async fn begun(&self, counted: &Counted<'_>, owner: &str, now: Timestamp) -> Result<(), Outage> {
        self.local.begun(counted, owner, now);
        Ok(())
    }

    /// Tells what each limit would say, in the order asked; takes nothing.
    ///
    /// # Errors
    /// An [`Outage`] of the store that all gateways share.
    pub async fn read(&self, asked: &Asked<'_>) -> Result<Vec<Verdict>, Outage> {
        Ok(self.local.read(asked))
    }

    /// Forgets what was counted; tells how many counters there were.
    ///
    /// Calls that are under way stay counted.
    ///
    /// # Errors
    /// An [`Outage`] of the store that all gateways share.
    pub async fn reset(&self, asked: &Asked<'_>) -> Result<usize, Outage> {
        Ok(self.local.reset(asked))
    }

    /// Returns how many counters this process keeps.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.local.keys()
    }
}

impl Holds {
    /// Tells whether nothing is held: neither to be settled nor to be given back.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.local.is_empty()
    }

    /// Tells whether the status of the answer makes a difference.
    #[must_use]
    pub fn settles(&self) -> bool {
        self.local.settles()
    }
}
