//! A store in memory: for replays in the product, for everything in tests. Forgets all when the process ends.

use std::collections::HashMap;
use std::future::ready;
use std::sync::{Mutex, MutexGuard, PoisonError};

use policies::code::Outage;
use policies::id::{IdempotencyKey, ProviderId, VerificationId};
use policies::once::StoredReply;
use policies::time::Timestamp;
use policies::verification::{State, Verification};

use super::kept::{Kept, Standing, compare};
use super::port::{
    Answer, ClaimAnswer, ClaimTicket, Claims, NewClaim, Replays, SPENDS_KEPT, VERIFICATIONS_KEPT, Verifications,
};
use super::shares::Shares;
pub use super::shares::{OWNER_SHARE, REPLAYS_MAX};
use crate::entropy;

/// How many claims, spent things and verifications are remembered at once, each.
pub const RECORDS_MAX: usize = 100_000;

/// Everything that must be remembered, in memory and bounded; full means an outage.
#[derive(Debug)]
pub struct MemoryStore {
    replays: Shares,
    records: Mutex<Records>,
    records_max: usize,
}

#[derive(Debug, Default)]
struct Records {
    claims: HashMap<IdempotencyKey, Kept>,
    spends: HashMap<String, Spend>,
    verifications: HashMap<VerificationId, Verification>,
    sessions: HashMap<(ProviderId, String), VerificationId>,
}

#[derive(Debug)]
struct Spend {
    key: IdempotencyKey,
    digest: [u8; 32],
    until: Timestamp,
}

impl MemoryStore {
    /// Makes an empty store with the limits of the product.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limits(REPLAYS_MAX, RECORDS_MAX)
    }

    /// Makes an empty store that holds so many replay keys (rounded up to whole shares) and records of each other kind.
    #[must_use]
    pub fn with_limits(replays_max: usize, records_max: usize) -> Self {
        Self { replays: Shares::with_room(replays_max), records: Mutex::default(), records_max }
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        // Every change below is one insertion or removal, so that a panic elsewhere leaves nothing half done.
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_claim(&self, claim: NewClaim, now: Timestamp) -> Result<ClaimAnswer, Outage> {
        let mut records = self.records();
        let reference = match compare(records.claims.get(&claim.key).cloned(), &claim, now) {
            Standing::Earlier(earlier) => return Ok(ClaimAnswer::Earlier(earlier)),
            Standing::TakenOver(reference) => reference,
            Standing::Free => claim.reference,
        };
        if records.claims.len() >= self.records_max && !records.claims.contains_key(&claim.key) {
            records.claims.retain(|_, kept| now < kept.until);
            if records.claims.len() >= self.records_max {
                return Err(Outage::new("claims", "as many claims are kept as may be"));
            }
        }
        let ticket = ClaimTicket { key: claim.key, digest: claim.digest, reference, token: entropy::random() };
        let kept = Kept {
            digest: ticket.digest,
            reference: ticket.reference.clone(),
            token: ticket.token,
            lease_ends: now + claim.lease,
            until: now + claim.keep,
            reply: None,
        };
        records.claims.insert(ticket.key.clone(), kept);
        Ok(ClaimAnswer::Taken(ticket))
    }

    fn spend(&self, ticket: &ClaimTicket, spends: &[String], now: Timestamp) -> Result<bool, Outage> {
        let mut records = self.records();
        records.held(ticket)?;
        let other = |spend: &Spend| now < spend.until && (spend.key != ticket.key || spend.digest != ticket.digest);
        if spends.iter().any(|name| records.spends.get(name).is_some_and(other)) {
            return Ok(false);
        }
        if records.spends.len() + spends.len() > self.records_max {
            records.spends.retain(|_, spend| now < spend.until);
            if records.spends.len() + spends.len() > self.records_max {
                return Err(Outage::new("claims", "as many spent things are kept as may be"));
            }
        }
        for name in spends {
            let spend = Spend { key: ticket.key.clone(), digest: ticket.digest, until: now + SPENDS_KEPT };
            records.spends.insert(name.clone(), spend);
        }
        Ok(true)
    }

    fn keep_reply(&self, ticket: &ClaimTicket, reply: StoredReply) -> Result<(), Outage> {
        self.records().held(ticket)?.reply = Some(reply);
        Ok(())
    }

    fn give_back(&self, ticket: &ClaimTicket, now: Timestamp) {
        if let Ok(kept) = self.records().held(ticket) {
            kept.lease_ends = kept.lease_ends.min(now);
            // Nobody holds this one: the ticket is void from here on.
            kept.token = entropy::random();
        }
    }

    fn add(&self, verification: Verification) -> Result<(), Outage> {
        let mut records = self.records();
        let session = (verification.provider.clone(), verification.session.clone());
        if records.verifications.len() >= self.records_max {
            let now = verification.created;
            records.verifications.retain(|_, kept| now < kept.expires + VERIFICATIONS_KEPT);
            let Records { verifications, sessions, .. } = &mut *records;
            sessions.retain(|_, id| verifications.contains_key(id));
        }
        if records.verifications.len() >= self.records_max {
            return Err(Outage::new("verifications", "as many verifications are kept as may be"));
        }
        if records.verifications.contains_key(&verification.id) || records.sessions.contains_key(&session) {
            return Err(Outage::new("verifications", "the verification is there already"));
        }
        records.sessions.insert(session, verification.id.clone());
        records.verifications.insert(verification.id.clone(), verification);
        Ok(())
    }

    fn swap(&self, verification: &Verification, expected: State) -> bool {
        match self.records().verifications.get_mut(&verification.id) {
            Some(kept) if kept.state == expected => {
                kept.clone_from(verification);
                true
            }
            Some(_) | None => false,
        }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Records {
    /// Finds the claim, if it is unanswered and this ticket's still.
    fn held(&mut self, ticket: &ClaimTicket) -> Result<&mut Kept, Outage> {
        let held = |claim: &&mut Kept| claim.token == ticket.token && claim.reply.is_none();
        self.claims.get_mut(&ticket.key).filter(held).ok_or_else(|| Outage::new("claims", "the claim was taken over"))
    }
}

impl Replays for MemoryStore {
    fn claim<'a>(&'a self, owner: &'a str, key: [u8; 32], keep_until: Timestamp, now: Timestamp) -> Answer<'a, bool> {
        Box::pin(ready(self.replays.claim(owner, key, keep_until, now)))
    }
}

impl Claims for MemoryStore {
    fn claim(&self, claim: NewClaim, now: Timestamp) -> Answer<'_, ClaimAnswer> {
        Box::pin(ready(self.take_claim(claim, now)))
    }

    fn clear<'a>(&'a self, ticket: &'a ClaimTicket, spends: &'a [String], now: Timestamp) -> Answer<'a, bool> {
        Box::pin(ready(self.spend(ticket, spends, now)))
    }

    fn finish<'a>(&'a self, ticket: &'a ClaimTicket, reply: StoredReply, _now: Timestamp) -> Answer<'a, ()> {
        Box::pin(ready(self.keep_reply(ticket, reply)))
    }

    fn release<'a>(&'a self, ticket: &'a ClaimTicket, now: Timestamp) -> Answer<'a, ()> {
        self.give_back(ticket, now);
        Box::pin(ready(Ok(())))
    }
}

impl Verifications for MemoryStore {
    fn insert(&self, verification: Verification) -> Answer<'_, ()> {
        Box::pin(ready(self.add(verification)))
    }

    fn get<'a>(&'a self, id: &'a VerificationId) -> Answer<'a, Option<Verification>> {
        Box::pin(ready(Ok(self.records().verifications.get(id).cloned())))
    }

    fn by_session<'a>(&'a self, provider: &'a ProviderId, session: &'a str) -> Answer<'a, Option<Verification>> {
        let records = self.records();
        let id = records.sessions.get(&(provider.clone(), session.to_owned()));
        Box::pin(ready(Ok(id.and_then(|id| records.verifications.get(id)).cloned())))
    }

    fn replace<'a>(&'a self, verification: &'a Verification, expected: State) -> Answer<'a, bool> {
        Box::pin(ready(Ok(self.swap(verification, expected))))
    }
}
