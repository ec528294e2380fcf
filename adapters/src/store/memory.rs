//! A store in memory: for replays in the product, for everything in tests. Forgets all when the process ends.

mod items;
mod outbox;

use std::collections::HashMap;
use std::future::ready;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use policies::change::{Act, Entry};
use policies::code::Outage;
use policies::event::{Event, NewEvent};
use policies::id::{ClientId, IdempotencyKey, OperationId, ProviderId, VerificationId};
use policies::revocation::Revoked;
use policies::settle::{Fate, Settlement, Undecided};
use policies::time::Timestamp;
use policies::verification::{State, Verification};
use zeroize::Zeroize as _;

use self::items::Items;
use self::outbox::Events;
use super::kept::{Kept, Standing, take};
use super::port::{
    Answer, Authorizations, CHANGES_READ, Changes, ClaimAnswer, ClaimTicket, Claims, Durable, Finish, Generations,
    Item, ItemKind, NewClaim, Outbox, Replays, SPENDS_KEPT, Step, SubjectKey, SubjectKeys, Telling, VERIFICATIONS_KEPT,
    Verifications,
};
use super::shares::Shares;
pub use super::shares::{OWNER_SHARE, REPLAYS_MAX};

/// How many records of each kind are remembered at once.
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
    events: Events,
    items: Items,
    subject_keys: HashMap<[u8; 32], SubjectKey>,
    generations: Vec<([u8; 32], Vec<u8>)>,
    changes: Vec<(Entry, Vec<u8>)>,
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
        // Nothing below panics between two changes that belong together, so a panic elsewhere leaves nothing half done.
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_claim(&self, claim: NewClaim, now: Timestamp) -> Result<ClaimAnswer, Outage> {
        let mut records = self.records();
        let kept = match take(records.claims.get(&claim.key).cloned(), &claim, now) {
            Standing::Earlier(earlier) => return Ok(ClaimAnswer::Earlier(earlier)),
            Standing::Taken(kept) => *kept,
        };
        if records.claims.len() >= self.records_max && !records.claims.contains_key(&claim.key) {
            records.claims.retain(|_, kept| !kept.is_over(now));
            if records.claims.len() >= self.records_max {
                return Err(Outage::new("claims", "as many claims are kept as may be"));
            }
        }
        let ticket = kept.ticket(claim.key);
        records.claims.insert(ticket.key.clone(), kept);
        Ok(ClaimAnswer::Taken(ticket))
    }

    fn spend(&self, ticket: &ClaimTicket, spends: &[String], now: Timestamp) -> Result<bool, Outage> {
        let mut records = self.records();
        let own_from = records.held(ticket)?.spends_from();
        let own = |spend: &Spend| spend.key == ticket.key && spend.digest == ticket.digest && spend.until >= own_from;
        let other = |spend: &Spend| now < spend.until && !own(spend);
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

    fn keep_answer(&self, ticket: &ClaimTicket, finish: Finish, now: Timestamp) -> Result<(), Outage> {
        let mut records = self.records();
        records.telling(ticket)?;
        if matches!(finish, Finish::Unknown(..)) {
            records.events.make_room(self.records_max, now)?;
        }
        if let Some(event) = records.telling(ticket)?.finish(finish, now) {
            records.events.append(event);
        }
        Ok(())
    }

    fn give_back(&self, ticket: &ClaimTicket, now: Timestamp) {
        if let Ok(kept) = self.records().held(ticket) {
            kept.release(now);
        }
    }

    fn ask(&self, most: usize, lease: Duration, now: Timestamp) -> Vec<Undecided> {
        let mut records = self.records();
        let waiting = |(key, kept): (&IdempotencyKey, &Kept)| kept.ask_at.map(|at| (at, key.clone()));
        let mut waiting: Vec<_> = records.claims.iter().filter_map(waiting).filter(|(at, _)| *at <= now).collect();
        waiting.sort_by_key(|(at, _)| *at);
        let ask = |(_, key): (Timestamp, IdempotencyKey)| records.claims.get_mut(&key)?.ask(key, lease, now);
        waiting.into_iter().filter_map(ask).take(most).collect()
    }

    fn settle_claim(
        &self,
        undecided: &Undecided,
        settlement: Settlement,
        event: Option<NewEvent>,
        now: Timestamp,
    ) -> Result<bool, Outage> {
        let mut records = self.records();
        if event.is_some() {
            records.events.make_room(self.records_max, now)?;
        }
        let Some(kept) = records.claims.get_mut(&undecided.key) else { return Ok(false) };
        let settled = kept.settle(undecided, settlement, now);
        if let Some(event) = event.filter(|_| settled) {
            records.events.append(event);
        }
        Ok(settled)
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

    fn swap(&self, verification: &Verification, expected: State, event: Option<NewEvent>) -> Result<bool, Outage> {
        let mut records = self.records();
        let Some(kept) = records.verifications.get(&verification.id).filter(|kept| kept.state == expected) else {
            return Ok(false);
        };
        let before = (kept.provider.clone(), kept.session.clone());
        let session = (verification.provider.clone(), verification.session.clone());
        if before != session && records.sessions.contains_key(&session) {
            return Err(Outage::new("verifications", "the session is another verification's"));
        }
        if let Some(event) = event {
            records.events.make_room(self.records_max, event.at)?;
            records.events.append(event);
        }
        records.sessions.remove(&before);
        records.sessions.insert(session, verification.id.clone());
        records.verifications.insert(verification.id.clone(), verification.clone());
        Ok(true)
    }

    fn key_of(&self, subject: [u8; 32], fresh: SubjectKey) -> Result<SubjectKey, Outage> {
        let mut records = self.records();
        if let Some(key) = records.subject_keys.get(&subject) {
            return Ok(key.clone());
        }
        if records.subject_keys.len() >= self.records_max {
            return Err(Outage::new("subject keys", "as many keys of persons are kept as may be"));
        }
        if records.subject_keys.values().any(|key| key.id == fresh.id) {
            return Err(Outage::new("subject keys", "the id is another key's"));
        }
        records.subject_keys.insert(subject, fresh.clone());
        Ok(fresh)
    }

    fn enter_generation(&self, digest: [u8; 32], bundle: &[u8]) -> Result<u64, Outage> {
        let mut records = self.records();
        if records.generations.last().is_none_or(|(newest, _)| *newest != digest) {
            if records.generations.len() >= self.records_max {
                return Err(Outage::new("generations", "as many policy sets are kept as may be"));
            }
            records.generations.push((digest, bundle.to_vec()));
        }
        Ok(records.generations.len() as u64)
    }

    fn append_change(&self, entry: &Entry, texts: &[u8]) -> Result<bool, Outage> {
        let mut records = self.records();
        if entry.number != records.changes.len() as u64 + 1 {
            return Ok(false);
        }
        if records.changes.len() >= self.records_max {
            return Err(Outage::new("changes", "as many changes are kept as may be"));
        }
        records.changes.push((entry.clone(), texts.to_vec()));
        Ok(true)
    }

    fn texts_of(&self, number: u64) -> Option<Vec<u8>> {
        let place = usize::try_from(number).ok()?.checked_sub(1)?;
        let records = self.records();
        let (entry, texts) = records.changes.get(place)?;
        matches!(entry.act, Act::Proposed { .. }).then(|| texts.clone())
    }

    fn generation(&self, number: u64) -> Option<Vec<u8>> {
        let place = usize::try_from(number).ok()?.checked_sub(1)?;
        self.records().generations.get(place).map(|(_, bundle)| bundle.clone())
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
        let held = |claim: &&mut Kept| claim.is_held_by(ticket);
        self.claims.get_mut(&ticket.key).filter(held).ok_or_else(|| Outage::new("claims", "the claim was taken over"))
    }

    /// Finds the claim, if this ticket's holder may still tell what it did.
    fn telling(&mut self, ticket: &ClaimTicket) -> Result<&mut Kept, Outage> {
        let telling = |claim: &&mut Kept| claim.may_finish(ticket);
        self.claims
            .get_mut(&ticket.key)
            .filter(telling)
            .ok_or_else(|| Outage::new("claims", "the claim was taken over"))
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

    fn spent<'a>(&'a self, thing: &'a str, now: Timestamp) -> Answer<'a, bool> {
        Box::pin(ready(Ok(self.records().spends.get(thing).is_some_and(|spend| now < spend.until))))
    }

    fn finish<'a>(&'a self, ticket: &'a ClaimTicket, finish: Finish, now: Timestamp) -> Answer<'a, ()> {
        Box::pin(ready(self.keep_answer(ticket, finish, now)))
    }

    fn release<'a>(&'a self, ticket: &'a ClaimTicket, now: Timestamp) -> Answer<'a, ()> {
        self.give_back(ticket, now);
        Box::pin(ready(Ok(())))
    }

    fn undecided(&self, most: usize, lease: Duration, now: Timestamp) -> Answer<'_, Vec<Undecided>> {
        Box::pin(ready(Ok(self.ask(most, lease, now))))
    }

    fn settle<'a>(
        &'a self,
        undecided: &'a Undecided,
        settlement: Settlement,
        event: Option<NewEvent>,
        now: Timestamp,
    ) -> Answer<'a, bool> {
        Box::pin(ready(self.settle_claim(undecided, settlement, event, now)))
    }

    fn fate<'a>(
        &'a self,
        client: &'a ClientId,
        operation: &'a OperationId,
        reference: &'a str,
        now: Timestamp,
    ) -> Answer<'a, Option<Fate>> {
        let records = self.records();
        let meant = |(key, kept): &(&IdempotencyKey, &Kept)| {
            key.client() == client && key.operation() == operation && kept.reference == reference
        };
        Box::pin(ready(Ok(records.claims.iter().find(meant).and_then(|(_, kept)| kept.fate(now)))))
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

    fn replace<'a>(
        &'a self,
        verification: &'a Verification,
        expected: State,
        event: Option<NewEvent>,
    ) -> Answer<'a, bool> {
        Box::pin(ready(self.swap(verification, expected, event)))
    }
}

impl Outbox for MemoryStore {
    fn after<'a>(&'a self, client: &'a ClientId, after: u64, most: usize) -> Answer<'a, Vec<Event>> {
        Box::pin(ready(Ok(self.records().events.after(client, after, most))))
    }

    fn due<'a>(
        &'a self,
        clients: &'a [ClientId],
        most: usize,
        lease: Duration,
        now: Timestamp,
    ) -> Answer<'a, Vec<Event>> {
        Box::pin(ready(Ok(self.records().events.due(clients, most, lease, now))))
    }

    fn told<'a>(&'a self, client: &'a ClientId, position: u64, telling: Telling) -> Answer<'a, ()> {
        self.records().events.told(client, position, telling);
        Box::pin(ready(Ok(())))
    }

    fn redeliver<'a>(&'a self, client: &'a ClientId, after: u64, now: Timestamp) -> Answer<'a, u64> {
        Box::pin(ready(Ok(self.records().events.redeliver(client, after, now))))
    }

    fn waiting<'a>(&'a self, clients: &'a [ClientId]) -> Answer<'a, u64> {
        Box::pin(ready(Ok(self.records().events.waiting(clients))))
    }
}

impl SubjectKeys for MemoryStore {
    fn obtain<'a>(&'a self, subject: [u8; 32], fresh: SubjectKey, _now: Timestamp) -> Answer<'a, SubjectKey> {
        Box::pin(ready(self.key_of(subject, fresh)))
    }

    fn find<'a>(&'a self, id: [u8; 16]) -> Answer<'a, Option<SubjectKey>> {
        Box::pin(ready(Ok(self.records().subject_keys.values().find(|key| key.id == id).cloned())))
    }

    fn destroy<'a>(&'a self, subject: [u8; 32]) -> Answer<'a, Option<[u8; 16]>> {
        let removed = self.records().subject_keys.remove(&subject);
        Box::pin(ready(Ok(removed.map(|mut key| {
            key.wrapped.zeroize();
            key.id
        }))))
    }
}

impl Generations for MemoryStore {
    fn enter<'a>(&'a self, digest: [u8; 32], bundle: &'a [u8], _now: Timestamp) -> Answer<'a, u64> {
        Box::pin(ready(self.enter_generation(digest, bundle)))
    }

    fn bundle(&self, number: u64) -> Answer<'_, Option<Vec<u8>>> {
        Box::pin(ready(Ok(self.generation(number))))
    }
}

impl Changes for MemoryStore {
    fn add_change<'a>(&'a self, entry: &'a Entry, texts: &'a [u8]) -> Answer<'a, bool> {
        Box::pin(ready(self.append_change(entry, texts)))
    }

    fn changes_after(&self, number: u64) -> Answer<'_, Vec<Entry>> {
        let from = usize::try_from(number).unwrap_or(usize::MAX);
        let found =
            self.records().changes.iter().skip(from).take(CHANGES_READ).map(|(entry, _)| entry.clone()).collect();
        Box::pin(ready(Ok(found)))
    }

    fn proposed_texts(&self, number: u64) -> Answer<'_, Option<Vec<u8>>> {
        Box::pin(ready(Ok(self.texts_of(number))))
    }
}

impl Authorizations for MemoryStore {
    fn item<'a>(&'a self, kind: ItemKind, key: &'a [u8; 32]) -> Answer<'a, Option<(Item, u64)>> {
        Box::pin(ready(Ok(self.records().items.find(kind, *key))))
    }

    fn change_items<'a>(&'a self, steps: &'a [Step], revoked: &'a [Revoked], now: Timestamp) -> Answer<'a, bool> {
        Box::pin(ready(self.records().items.change(steps, revoked, self.records_max, now)))
    }

    fn of_owner<'a>(&'a self, kind: ItemKind, owner: &'a [u8; 32]) -> Answer<'a, Vec<(Item, u64)>> {
        Box::pin(ready(Ok(self.records().items.of_owner(kind, *owner))))
    }

    fn revoked_after(&self, position: u64, now: Timestamp) -> Answer<'_, Vec<(u64, Revoked)>> {
        Box::pin(ready(Ok(self.records().items.revoked_after(position, now))))
    }
}

impl Durable for MemoryStore {
    fn probe(&self) -> Answer<'_, ()> {
        Box::pin(ready(Ok(())))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;
    use crate::store::conformance::verifications::verification;
    use crate::store::conformance::{KEEP, NOW, TICK, event, reply, taken, things, wish};
    use crate::store::port::{EVENTS_KEPT, ITEM_BYTES_MAX, ITEM_SEAL_MAX};

    #[tokio::test]
    async fn a_full_memory_refuses_and_never_forgets_what_is_valid() {
        let store = MemoryStore::with_limits(1, 1);
        let one = taken(&store, wish("k1", 1, "ref-1"), NOW).await;
        assert!(Claims::claim(&store, wish("k2", 1, "ref-2"), NOW + KEEP - TICK).await.is_err());
        assert!(store.clear(&one, &things(&["a"]), NOW).await.unwrap());
        assert!(store.clear(&one, &things(&["b"]), NOW).await.is_err());
        taken(&store, wish("k2", 1, "ref-2"), NOW + KEEP).await;

        store.insert(verification("v-1", "s-1")).await.unwrap();
        assert!(store.insert(verification("v-2", "s-2")).await.is_err());
    }

    #[tokio::test]
    async fn a_full_memory_refuses_items_and_revocations_until_others_are_over() {
        let store = MemoryStore::with_limits(1, 1);
        let item =
            |key| Item { kind: ItemKind::Code, key: [key; 32], owner: None, keep_until: NOW + KEEP, body: vec![] };
        let revoked = |name| Revoked { name: [name; 32], until: NOW + KEEP };
        assert!(store.change_items(&[Step::Add(item(1))], &[revoked(1)], NOW).await.unwrap());
        assert!(store.change_items(&[Step::Add(item(2))], &[], NOW + KEEP - TICK).await.is_err());
        assert!(store.change_items(&[], &[revoked(2)], NOW + KEEP - TICK).await.is_err());
        assert!(store.change_items(&[Step::Add(item(2))], &[revoked(2)], NOW + KEEP).await.unwrap());
        assert_eq!(store.item(ItemKind::Code, &[1; 32]).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_body_may_be_longer_by_its_seal_and_not_by_a_byte_more() {
        let store = MemoryStore::new();
        let sized = |size| {
            let body = vec![7; ITEM_BYTES_MAX + ITEM_SEAL_MAX + size];
            Step::Add(Item { kind: ItemKind::Code, key: [1; 32], owner: None, keep_until: NOW + KEEP, body })
        };
        assert!(store.change_items(&[sized(1)], &[], NOW).await.is_err());
        assert!(store.change_items(&[sized(0)], &[], NOW).await.unwrap());
    }

    #[tokio::test]
    async fn a_full_memory_forgets_no_claim_that_is_undecided() {
        let store = MemoryStore::with_limits(1, 1);
        taken(&store, NewClaim { settles: true, ..wish("k1", 1, "ref-1") }, NOW).await;
        assert!(Claims::claim(&store, wish("k2", 1, "ref-2"), NOW + KEEP + KEEP).await.is_err());
    }

    #[tokio::test]
    async fn a_full_memory_refuses_events_keys_and_policy_sets() {
        let store = MemoryStore::with_limits(1, 1);
        let told = async |name: &str, at: Timestamp| {
            let ticket = taken(&store, wish(name, 1, name), at).await;
            let event = NewEvent { at, ..event("fintech", "s") };
            store.finish(&ticket, Finish::Unknown(reply(202), event), at).await
        };
        told("k1", NOW).await.unwrap();
        let late = NOW + EVENTS_KEPT;
        assert!(told("k2", late - TICK).await.is_err());
        told("k3", late + KEEP).await.unwrap();
        assert_eq!(store.after(&ClientId::parse("fintech").unwrap(), 0, 9).await.unwrap().len(), 1);

        store.obtain([1; 32], SubjectKey { id: [1; 16], wrapped: vec![] }, NOW).await.unwrap();
        assert!(store.obtain([2; 32], SubjectKey { id: [2; 16], wrapped: vec![] }, NOW).await.is_err());
        assert_eq!(store.enter([1; 32], b"one", NOW).await.unwrap(), 1);
        assert!(store.enter([2; 32], b"two", NOW).await.is_err());
    }
}
