//! The one door to all counting: every limit of a call is judged here, at once.
//!
//! This module must not know what limits are for, or what is told to whom.

use std::sync::Arc;

use policies::code::Outage;
use policies::limit::share::divided;
use policies::limit::state::room;
use policies::limit::{Limit, Mode, Shape, Verdict, WithoutStore};
use policies::time::Timestamp;

pub use super::asked::{Asked, Counted, Happened, Untaken};
pub use super::local::Fullness;
use super::local::{self, LocalLimiter};
use super::shared::{SharedHolds, SharedLimiter};

/// Counts calls against limits: in this process, or together with other gateways.
///
/// Calls under way are always counted in this process.
#[derive(Debug, Default)]
pub struct Limits {
    local: LocalLimiter,
    shared: Option<Arc<SharedLimiter>>,
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
    shared: SharedHolds,
}

impl Limits {
    /// Makes limits that are counted in this process alone.
    #[must_use]
    pub fn new(local: LocalLimiter) -> Self {
        Self { local, shared: None }
    }

    /// Makes limits that are counted in servers that gateways share, and in this process while those are away.
    #[must_use]
    pub fn with_shared(local: LocalLimiter, shared: Arc<SharedLimiter>) -> Self {
        Self { local, shared: Some(shared) }
    }

    /// Returns what is counted together with other gateways.
    #[must_use]
    pub fn shared(&self) -> Option<&Arc<SharedLimiter>> {
        self.shared.as_ref()
    }

    /// Counts a call against its limits, if every enforced one has room for it; otherwise takes nothing from any.
    ///
    /// # Errors
    /// [`Untaken`] if not all of them could be judged; then nothing was taken either.
    pub async fn take(&self, asked: &Asked<'_>) -> Result<Taken, Untaken> {
        match self.shared.as_ref().filter(|_| asked.limits.iter().any(is_shared)) {
            Some(shared) => self.take_shared(shared, asked).await,
            None => self.take_local(asked),
        }
    }

    /// Does the same as [`take`](Self::take) where nothing has to be waited for; none where a store has to be asked.
    #[must_use]
    pub fn take_here(&self, asked: &Asked<'_>) -> Option<Result<Taken, Untaken>> {
        let waits = self.shared.is_some() && asked.limits.iter().any(is_shared);
        (!waits).then(|| self.take_local(asked))
    }

    /// Settles what a call costs by the status of its answer; none if nobody knows it, so that its tokens stay taken.
    ///
    /// Once only: what is settled already is not settled again. The call stays under way.
    pub async fn settle(&self, holds: &mut Holds, status: Option<u16>, now: Timestamp) {
        self.local.settle(&mut holds.local, status, now);
        if let Some(shared) = self.shared.as_ref().filter(|_| holds.shared.settles()) {
            // What the servers were not told is counted among their readings; the answer goes out all the same.
            let _ = shared.settle(&mut holds.shared, status, now).await;
        }
    }

    /// Gives the tokens of a credit back, once for each thing; tells whether there were any to give.
    ///
    /// # Errors
    /// An [`Outage`] of the store that all gateways share.
    pub async fn happened(&self, happened: &Happened<'_>) -> Result<bool, Outage> {
        // The first call may have come while the servers were away.
        let local = self.local.happened(happened);
        match &self.shared {
            Some(shared) if !local => shared.happened(happened).await,
            _ => Ok(local),
        }
    }

    /// Notes for a limit of polls that the resource among these values begins now; other limits are passed over.
    ///
    /// # Errors
    /// An [`Outage`] of the store that all gateways share.
    pub async fn begun(&self, counted: &Counted<'_>, owner: &str, now: Timestamp) -> Result<(), Outage> {
        if let Some(shared) = self.shared.as_ref().filter(|_| is_shared(counted)) {
            let begun = shared.begun(counted, owner, now).await;
            if begun.is_ok() {
                return begun;
            }
            self.local.begun(counted, owner, now);
            return begun;
        }
        self.local.begun(counted, owner, now);
        Ok(())
    }

    /// Tells what each limit would say, in the order asked; takes nothing.
    ///
    /// # Errors
    /// An [`Outage`] of the store that all gateways share.
    pub async fn read(&self, asked: &Asked<'_>) -> Result<Vec<Verdict>, Outage> {
        let Some(shared) = &self.shared else { return Ok(self.local.read(asked)) };
        let (together, alone): (Vec<_>, Vec<_>) = asked.limits.iter().copied().partition(is_shared);
        let there = if together.is_empty() { Vec::new() } else { shared.read(&together, asked.now).await? };
        Ok(in_place(asked.limits, there, self.local.read(&Asked { limits: &alone, ..*asked })))
    }

    /// Forgets what was counted; tells how many counters there were.
    ///
    /// Calls that are under way stay counted.
    ///
    /// # Errors
    /// An [`Outage`] of the store that all gateways share.
    pub async fn reset(&self, asked: &Asked<'_>) -> Result<usize, Outage> {
        let local = self.local.reset(asked);
        let Some(shared) = &self.shared else { return Ok(local) };
        let together: Vec<_> = asked.limits.iter().filter(|counted| is_shared(counted)).copied().collect();
        // What was counted here while the servers were away was counted by other terms, and has another name.
        let shares: Vec<_> = together.iter().map(|counted| share(shared, counted.limit)).collect();
        let shares: Vec<_> =
            together.iter().zip(&shares).map(|(counted, limit)| Counted { limit, ..*counted }).collect();
        let local = local + self.local.reset(&Asked { limits: &shares, ..*asked });
        let there = if together.is_empty() { 0 } else { shared.reset(&together).await? };
        Ok(local + there)
    }

    /// Returns how many counters this process keeps.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.local.keys()
    }

    /// Returns how full this process is of counters; goes through all clients that have some.
    #[must_use]
    pub fn fullness(&self) -> Fullness {
        self.local.fullness()
    }

    fn take_local(&self, asked: &Asked<'_>) -> Result<Taken, Untaken> {
        let (verdicts, holds) = self.local.take(asked)?;
        Ok(Taken { verdicts, holds: Holds { local: holds, shared: SharedHolds::default() } })
    }

    // What is counted here is asked first: it costs nothing, and can be given back without anybody's help.
    async fn take_shared(&self, shared: &SharedLimiter, asked: &Asked<'_>) -> Result<Taken, Untaken> {
        let (together, alone): (Vec<_>, Vec<_>) = asked.limits.iter().copied().partition(is_shared);
        let (here, local) = self.local.take(&Asked { limits: &alone, ..*asked })?;
        let full = alone.iter().zip(&here).any(|(counted, verdict)| refuses(counted, verdict));
        if full {
            // Of limits that nobody was asked about nothing more is told than what they are.
            let there = together.iter().map(|counted| room(&counted.limit.shape, None, asked.now)).collect();
            return Ok(Taken { verdicts: in_place(asked.limits, there, here), holds: Holds::default() });
        }
        match shared.take(&together, asked.owner, asked.now).await {
            Ok(taken) if !taken.exhausted.is_empty() => Err(Untaken::KeysExhausted { limits: taken.exhausted }),
            Ok(taken) => {
                let held = Holds { local, shared: taken.holds };
                let holds = if taken.counted { held } else { Holds::default() };
                Ok(Taken { verdicts: in_place(asked.limits, taken.verdicts, here), holds })
            }
            Err(outage) => {
                drop(local);
                self.take_without(shared, asked, &outage)
            }
        }
    }

    // Without the servers each limit says for itself what holds.
    fn take_without(&self, shared: &SharedLimiter, asked: &Asked<'_>, outage: &Outage) -> Result<Taken, Untaken> {
        let mut shares = Vec::with_capacity(asked.limits.len());
        for counted in asked.limits {
            let limit = counted.limit;
            match limit.without_store {
                _ if !is_shared(counted) => shares.push(None),
                WithoutStore::Deny if limit.mode == Mode::Enforce => {
                    return Err(Untaken::Outage { limit: Arc::clone(&limit.id), outage: outage.clone() });
                }
                // What is not counted is a limit that is off.
                WithoutStore::Allow | WithoutStore::Deny => {
                    shares.push(Some(Limit { mode: Mode::Off, ..limit.clone() }));
                }
                WithoutStore::LocalShare => shares.push(Some(share(shared, limit))),
            }
        }
        let limits = asked.limits.iter().zip(&shares);
        let limits: Vec<_> = limits
            .map(|(counted, share)| Counted { limit: share.as_ref().unwrap_or(counted.limit), ..*counted })
            .collect();
        self.take_local(&Asked { limits: &limits, ..*asked })
    }
}

impl Holds {
    /// Tells whether nothing is held: neither to be settled nor to be given back.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.local.is_empty() && !self.shared.settles()
    }

    /// Tells whether the status of the answer makes a difference.
    #[must_use]
    pub fn settles(&self) -> bool {
        self.local.settles() || self.shared.settles()
    }

    /// Notes that the answer has been given before, or that nobody knows what it means: what it costs is not below zero.
    ///
    /// Tokens that an answer gives would else be given again for each repetition of one call.
    pub fn repeat(&mut self) {
        self.local.repeat();
        self.shared.repeat();
    }
}

// What of a limit is this gateway's while the servers are away.
fn share(shared: &SharedLimiter, limit: &Limit) -> Limit {
    Limit { shape: divided(&limit.shape, shared.alive()), ..limit.clone() }
}

// Calls under way are counted where they are: a gateway that dies takes its own with it.
fn is_shared(counted: &Counted<'_>) -> bool {
    counted.counts() && !matches!(counted.limit.shape, Shape::InFlight(_))
}

fn refuses(counted: &Counted<'_>, verdict: &Verdict) -> bool {
    counted.limit.mode == Mode::Enforce && !verdict.admitted
}

// Puts what was said of limits that are shared, and of the others, into the order they were asked in.
fn in_place(limits: &[Counted<'_>], there: Vec<Verdict>, here: Vec<Verdict>) -> Vec<Verdict> {
    let (mut there, mut here) = (there.into_iter(), here.into_iter());
    limits.iter().filter_map(|counted| if is_shared(counted) { there.next() } else { here.next() }).collect()
}
