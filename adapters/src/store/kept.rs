//! What every store does with a claim it finds under a key: told once, so that no two stores differ.
//!
//! A store reads the row, has it judged and changed here, and writes it back, all under one lock or in one transaction.

use std::time::Duration;

use policies::event::NewEvent;
use policies::id::{IdempotencyKey, OrganisationId};
use policies::once::{ClaimState, EarlierClaim, StoredReply};
use policies::settle::{Fate, Settlement, Undecided};
use policies::time::Timestamp;

use super::port::{ClaimTicket, Finish, NewClaim, SPENDS_KEPT};
use crate::entropy;

/// A claim as it is kept.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) digest: [u8; 32],
    pub(super) reference: String,
    pub(super) token: [u8; 16],
    pub(super) lease_ends: Timestamp,
    pub(super) until: Timestamp,
    /// How long the claim is kept: from its taking on, and once more from its settlement on.
    pub(super) keep: Duration,
    /// None for claims of files that did not keep it.
    pub(super) organisation: Option<OrganisationId>,
    pub(super) settles: bool,
    /// When the key was first claimed for this deed.
    pub(super) since: Timestamp,
    /// From when on the backend is to be asked; none if nobody needs to ask.
    pub(super) ask_at: Option<Timestamp>,
    /// How often the backend was asked since the deed was sent last.
    pub(super) asked: u32,
    /// Whether somebody took the claim and has not told since what they did.
    pub(super) held: bool,
    /// Whether an earlier holder ended without telling what they did.
    pub(super) doubt: bool,
    pub(super) outcome: Outcome,
}

/// What is known of a deed.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    /// Nothing yet.
    Open,
    /// The backend had not received it when it was asked last.
    NotReceived,
    /// This was answered, and it says that nobody knows.
    Unknown(StoredReply),
    /// This was answered.
    Answered(StoredReply),
}

impl Outcome {
    /// Returns the word a store writes for it.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Outcome::Open => "open",
            Outcome::NotReceived => "not_received",
            Outcome::Unknown(_) => "unknown",
            Outcome::Answered(_) => "answered",
        }
    }

    /// Reads what a store wrote: the word, and the reply if there is one; none if they do not fit.
    pub(super) fn read(word: &str, reply: Option<StoredReply>) -> Option<Self> {
        match (word, reply) {
            ("open", None) => Some(Outcome::Open),
            ("not_received", None) => Some(Outcome::NotReceived),
            ("unknown", Some(reply)) => Some(Outcome::Unknown(reply)),
            ("answered", Some(reply)) => Some(Outcome::Answered(reply)),
            _ => None,
        }
    }

    /// Returns the reply, if there is one.
    pub(super) fn reply(&self) -> Option<&StoredReply> {
        match self {
            Outcome::Open | Outcome::NotReceived => None,
            Outcome::Unknown(reply) | Outcome::Answered(reply) => Some(reply),
        }
    }
}

/// How a new claim stands to what is kept under its key.
pub(super) enum Standing {
    /// The claim is taken: this is to be kept from now on.
    Taken(Box<Kept>),
    /// The key is in use.
    Earlier(EarlierClaim),
}

/// Takes a claim, if what is kept under its key lets it.
pub(super) fn take(kept: Option<Kept>, claim: &NewClaim, now: Timestamp) -> Standing {
    let Some(kept) = kept.filter(|kept| !kept.is_over(now)) else {
        return Standing::Taken(Box::new(fresh(claim, now)));
    };
    let state = match kept.outcome {
        Outcome::Unknown(reply) | Outcome::Answered(reply) => ClaimState::Answered(reply),
        Outcome::Open | Outcome::NotReceived if now >= kept.lease_ends && kept.digest == claim.digest => {
            return Standing::Taken(Box::new(taken_over(kept, claim, now)));
        }
        Outcome::Open | Outcome::NotReceived => ClaimState::InFlight { lease_left: kept.lease_ends.since(now) },
    };
    Standing::Earlier(EarlierClaim { digest: kept.digest, state })
}

fn fresh(claim: &NewClaim, now: Timestamp) -> Kept {
    let lease_ends = now + claim.lease;
    Kept {
        digest: claim.digest,
        reference: claim.reference.clone(),
        token: entropy::random(),
        lease_ends,
        until: now + claim.keep,
        keep: claim.keep,
        organisation: Some(claim.organisation.clone()),
        settles: claim.settles,
        since: now,
        ask_at: claim.settles.then_some(lease_ends),
        asked: 0,
        held: true,
        doubt: false,
        outcome: Outcome::Open,
    }
}

fn taken_over(kept: Kept, claim: &NewClaim, now: Timestamp) -> Kept {
    // Whether a backend can be asked may have changed since; a doubt there is must not get lost over it.
    let settles = claim.settles || kept.settles;
    Kept {
        reference: kept.reference,
        since: kept.since,
        settles,
        ask_at: settles.then_some(now + claim.lease),
        doubt: kept.doubt || kept.held,
        ..fresh(claim, now)
    }
}

impl Kept {
    /// Tells whether the claim is as if it had never been.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        now >= self.until && self.ask_at.is_none()
    }

    /// Makes the right of the holder.
    pub(super) fn ticket(&self, key: IdempotencyKey) -> ClaimTicket {
        let in_doubt = self.doubt && self.settles;
        ClaimTicket { key, digest: self.digest, reference: self.reference.clone(), token: self.token, in_doubt }
    }

    /// Tells whether the claim is unanswered and this ticket's still.
    pub(super) fn is_held_by(&self, ticket: &ClaimTicket) -> bool {
        self.token == ticket.token && matches!(self.outcome, Outcome::Open)
    }

    /// Tells whether this ticket's holder may still tell what it did: also when it was thought to have sent nothing.
    pub(super) fn may_finish(&self, ticket: &ClaimTicket) -> bool {
        let same = self.token == ticket.token && self.reference == ticket.reference;
        same && matches!(self.outcome, Outcome::Open | Outcome::NotReceived)
    }

    /// Keeps the answer that its holder gives, and hands out what the client is to be told of it.
    pub(super) fn finish(&mut self, finish: Finish, now: Timestamp) -> Option<NewEvent> {
        // From now on nobody sends it, also if the lease ended before and nobody else came.
        self.lease_ends = now;
        self.held = false;
        self.asked = 0;
        match finish {
            Finish::Answered(reply) => {
                self.ask_at = None;
                self.outcome = Outcome::Answered(reply);
                None
            }
            Finish::Unknown(reply, event) => {
                self.ask_at = self.settles.then_some(now);
                self.outcome = Outcome::Unknown(reply);
                Some(event)
            }
        }
    }

    /// Takes the claim back from its holder, who has sent nothing.
    pub(super) fn release(&mut self, now: Timestamp) {
        self.lease_ends = self.lease_ends.min(now);
        self.held = false;
        // Nobody holds this one: the ticket is void from here on.
        self.token = entropy::random();
        self.ask_at = (self.settles && self.doubt).then_some(now);
    }

    /// Returns from which end of a memory on a spend is this claim's: an earlier one is of a claim that was forgotten,
    /// whose deed had another reference.
    pub(super) fn spends_from(&self) -> Timestamp {
        self.since + SPENDS_KEPT
    }

    /// Tells whether nobody knows what became of the deed, and nobody is at it.
    fn is_undecided(&self, now: Timestamp) -> bool {
        self.ask_at.is_some() && now >= self.lease_ends
    }

    /// Hands the claim out to be asked for, not to be handed out again before `lease` is over.
    ///
    /// None if it is not due, or of an organisation that nobody wrote down.
    pub(super) fn ask(&mut self, key: IdempotencyKey, lease: Duration, now: Timestamp) -> Option<Undecided> {
        let due = self.ask_at.is_some_and(|at| now >= at) && self.is_undecided(now);
        let organisation = self.organisation.clone().filter(|_| due)?;
        self.ask_at = Some(now + lease);
        Some(Undecided {
            key,
            organisation,
            reference: self.reference.clone(),
            since: self.since,
            quiet_since: self.lease_ends,
            asked: self.asked,
            told: self.outcome.reply().is_some(),
        })
    }

    /// Settles the claim; `false` if what was asked is not, or no longer, what is to be known.
    pub(super) fn settle(&mut self, undecided: &Undecided, settlement: Settlement, now: Timestamp) -> bool {
        // Whoever asked before it was sent again, or before another was told, knows nothing of what is to be known now.
        let told = self.outcome.reply().is_some();
        let same = self.reference == undecided.reference
            && (self.lease_ends, self.asked, told) == (undecided.quiet_since, undecided.asked, undecided.told);
        if !same || !self.is_undecided(now) {
            return false;
        }
        self.asked = self.asked.saturating_add(1);
        match settlement {
            Settlement::AskAgain(at) => {
                self.ask_at = Some(at);
                return true;
            }
            Settlement::Answered(reply) => self.outcome = Outcome::Answered(reply),
            Settlement::NotReceived => {
                if told {
                    // Its last holder has said all it knew.
                    self.token = entropy::random();
                }
                self.outcome = Outcome::NotReceived;
            }
        }
        self.held = false;
        self.doubt = false;
        self.ask_at = None;
        // A client that comes late is to find the outcome, not a free key.
        self.until = self.until.max(now + self.keep);
        true
    }

    /// Tells how the deed stands; none if the claim is as if it had never been.
    pub(super) fn fate(&self, now: Timestamp) -> Option<Fate> {
        if self.is_over(now) {
            return None;
        }
        Some(match self.outcome {
            Outcome::Answered(_) => Fate::Answered,
            Outcome::NotReceived => Fate::NotReceived { since: self.since },
            // Given back by a holder that had sent nothing, after none that may have.
            Outcome::Open if !self.held && !self.doubt => Fate::NotReceived { since: self.since },
            Outcome::Unknown(_) | Outcome::Open => Fate::Undecided { since: self.since },
        })
    }
}
