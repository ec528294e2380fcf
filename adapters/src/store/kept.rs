//! What every store does with a claim it finds under a key: told once, so that no two stores differ.

use policies::once::{ClaimState, EarlierClaim, StoredReply};
use policies::time::Timestamp;

use super::port::NewClaim;

/// A claim as it is kept.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) digest: [u8; 32],
    pub(super) reference: String,
    pub(super) token: [u8; 16],
    pub(super) lease_ends: Timestamp,
    pub(super) until: Timestamp,
    pub(super) reply: Option<StoredReply>,
}

/// How a new claim stands to what is kept under its key.
pub(super) enum Standing {
    /// Nothing is in its way.
    Free,
    /// The earlier holder's lease is over or given back, and the deed is the same: it goes on under this reference.
    TakenOver(String),
    /// The key is in use.
    Earlier(EarlierClaim),
}

/// Compares a new claim with what is kept under its key.
pub(super) fn compare(kept: Option<Kept>, claim: &NewClaim, now: Timestamp) -> Standing {
    let Some(kept) = kept.filter(|kept| now < kept.until) else { return Standing::Free };
    let state = match kept.reply {
        Some(reply) => ClaimState::Answered(reply),
        None if now >= kept.lease_ends && kept.digest == claim.digest => return Standing::TakenOver(kept.reference),
        None => ClaimState::InFlight { lease_left: kept.lease_ends.since(now) },
    };
    Standing::Earlier(EarlierClaim { digest: kept.digest, state })
}
