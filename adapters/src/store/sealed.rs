//! A store before the durable one: what clients sent and were answered rests in it sealed.
//!
//! An answer may name a person or an account, and whoever has a body's plain hash can try numbers until one fits: so
//! answers are encrypted, and hashes are keyed. What is authorized names accounts and amounts, and is encrypted too. This module must not know what an answer says.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use policies::change::Entry;
use policies::code::Outage;
use policies::event::{Event, NewEvent};
use policies::id::{ClientId, OperationId, ProviderId, VerificationId};
use policies::jose::digest_of_parts;
use policies::once::{ClaimState, EarlierClaim, StoredReply};
use policies::revocation::Revoked;
use policies::settle::{Fate, Settlement, Undecided};
use policies::time::Timestamp;
use policies::verification::{State, Verification};
use zeroize::Zeroizing;

use super::port::{
    Answer, Authorizations, Changes, ClaimAnswer, ClaimTicket, Claims, Durable, Finish, Generations, ITEM_BYTES_MAX,
    Item, ItemKind, NewClaim, Outbox, Step, SubjectKey, SubjectKeys, Telling, Verifications,
};
use crate::entropy;
use crate::keys::Sealer;

/// The domain of the keyed hashes that stand for the bodies of claims.
const DOMAIN: &str = "claim digest";

/// Under which name a store holds what shows that it is sealed under our data key; no person's hash is all zeros.
const TOUCHSTONE: [u8; 32] = [0; 32];

/// A durable store that keeps no answer and no body's hash in the clear.
pub struct SealedStore {
    inner: Arc<dyn Durable>,
    sealer: Arc<Sealer>,
    opened: Timestamp,
    ours: AtomicBool,
}

impl SealedStore {
    /// Puts sealing before a store that is opened at `now`.
    #[must_use]
    pub fn new(inner: Arc<dyn Durable>, sealer: Arc<Sealer>, now: Timestamp) -> Self {
        Self { inner, sealer, opened: now, ours: AtomicBool::new(false) }
    }

    /// Makes sure, once, that what rests in the store is sealed under our data key.
    ///
    /// Two gateways with two keys on one database would take each other's claims for other bodies, and could do a deed
    /// that the other has done: better none of it is done by the second.
    async fn is_ours(&self) -> Result<(), Outage> {
        if self.ours.load(Ordering::Relaxed) {
            return Ok(());
        }
        let fresh = SubjectKey { id: entropy::random(), wrapped: self.sealer.seal(b"qaqpa") };
        let found = self.inner.obtain(TOUCHSTONE, fresh, self.opened).await?;
        self.sealer.open(&found.wrapped).map_err(|_| {
            let cause =
                "what the store holds is sealed under another data key: give this gateway the same keys/data.key";
            Outage::new("store", cause)
        })?;
        self.ours.store(true, Ordering::Relaxed);
        Ok(())
    }

    async fn claim_sealed(&self, claim: NewClaim, now: Timestamp) -> Result<ClaimAnswer, Outage> {
        self.is_ours().await?;
        let plain = claim.digest;
        let keyed = self.sealer.keyed_hash(DOMAIN, &plain);
        match self.inner.claim(NewClaim { digest: keyed, ..claim.clone() }, now).await? {
            ClaimAnswer::Taken(ticket) => Ok(ClaimAnswer::Taken(ticket)),
            ClaimAnswer::Earlier(earlier) if earlier.digest == keyed => {
                let state = self.opened(earlier.state)?;
                Ok(ClaimAnswer::Earlier(EarlierClaim { digest: plain, state }))
            }
            // Version 0.1 kept the hash as it was: under that one the claim may be taken over, as its client expects.
            ClaimAnswer::Earlier(earlier) if earlier.digest == plain => match self.inner.claim(claim, now).await? {
                ClaimAnswer::Earlier(earlier) => {
                    let state = self.opened(earlier.state)?;
                    Ok(ClaimAnswer::Earlier(EarlierClaim { state, ..earlier }))
                }
                ClaimAnswer::Taken(ticket) => Ok(ClaimAnswer::Taken(ticket)),
            },
            // Another body: nothing of the first is told, so nothing is opened.
            ClaimAnswer::Earlier(earlier) => Ok(ClaimAnswer::Earlier(earlier)),
        }
    }

    fn sealed(&self, reply: StoredReply) -> StoredReply {
        StoredReply { body: self.sealer.seal(&reply.body), ..reply }
    }

    fn sealed_step(&self, step: &Step) -> Result<Step, Outage> {
        let item = step.item();
        if item.body.len() > ITEM_BYTES_MAX {
            return Err(Outage::new("authorizations", "an item is longer than may be"));
        }
        let mut plain = Zeroizing::new(place(item.kind, item.key).to_vec());
        plain.extend_from_slice(&item.body);
        let item = Item { body: self.sealer.seal(&plain), ..item.clone() };
        Ok(match step {
            Step::Add(_) => Step::Add(item),
            Step::Replace(_, version) => Step::Replace(item, *version),
        })
    }

    fn opened_item(&self, item: Item) -> Result<Item, Outage> {
        let plain = self.sealer.open(&item.body)?;
        let misplaced = || Outage::new("authorizations", "an item rests where another belongs");
        let body = plain.expose().strip_prefix(place(item.kind, item.key).as_slice()).ok_or_else(misplaced)?.to_vec();
        Ok(Item { body, ..item })
    }

    fn opened(&self, state: ClaimState) -> Result<ClaimState, Outage> {
        match state {
            // What version 0.1 stored is JSON or nothing, which is never taken for something sealed.
            ClaimState::Answered(reply) if Sealer::is_sealed(&reply.body) => {
                let body = self.sealer.open(&reply.body)?.expose().clone();
                Ok(ClaimState::Answered(StoredReply { body, ..reply }))
            }
            other => Ok(other),
        }
    }
}

/// Stands before the body of an item, so that it cannot be put in another's place by whoever writes to the store.
fn place(kind: ItemKind, key: [u8; 32]) -> [u8; 32] {
    digest_of_parts(&[b"item", kind.word().as_bytes(), &key])
}

impl fmt::Debug for SealedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedStore")
    }
}

impl Claims for SealedStore {
    fn claim(&self, claim: NewClaim, now: Timestamp) -> Answer<'_, ClaimAnswer> {
        Box::pin(self.claim_sealed(claim, now))
    }

    fn clear<'a>(&'a self, ticket: &'a ClaimTicket, spends: &'a [String], now: Timestamp) -> Answer<'a, bool> {
        Box::pin(async move {
            self.is_ours().await?;
            self.inner.clear(ticket, spends, now).await
        })
    }

    fn spent<'a>(&'a self, thing: &'a str, now: Timestamp) -> Answer<'a, bool> {
        Box::pin(async move {
            self.is_ours().await?;
            self.inner.spent(thing, now).await
        })
    }

    fn finish<'a>(&'a self, ticket: &'a ClaimTicket, finish: Finish, now: Timestamp) -> Answer<'a, ()> {
        let finish = match finish {
            Finish::Answered(reply) => Finish::Answered(self.sealed(reply)),
            Finish::Unknown(reply, event) => Finish::Unknown(self.sealed(reply), event),
        };
        Box::pin(async move {
            self.is_ours().await?;
            self.inner.finish(ticket, finish, now).await
        })
    }

    fn release<'a>(&'a self, ticket: &'a ClaimTicket, now: Timestamp) -> Answer<'a, ()> {
        Box::pin(async move {
            self.is_ours().await?;
            self.inner.release(ticket, now).await
        })
    }

    fn undecided(&self, most: usize, lease: Duration, now: Timestamp) -> Answer<'_, Vec<Undecided>> {
        Box::pin(async move {
            self.is_ours().await?;
            self.inner.undecided(most, lease, now).await
        })
    }

    fn settle<'a>(
        &'a self,
        undecided: &'a Undecided,
        settlement: Settlement,
        event: Option<NewEvent>,
        now: Timestamp,
    ) -> Answer<'a, bool> {
        let settlement = match settlement {
            Settlement::Answered(reply) => Settlement::Answered(self.sealed(reply)),
            other @ (Settlement::NotReceived | Settlement::AskAgain(_)) => other,
        };
        Box::pin(async move {
            self.is_ours().await?;
            self.inner.settle(undecided, settlement, event, now).await
        })
    }

    fn fate<'a>(
        &'a self,
        client: &'a ClientId,
        operation: &'a OperationId,
        reference: &'a str,
        now: Timestamp,
    ) -> Answer<'a, Option<Fate>> {
        Box::pin(async move {
            self.is_ours().await?;
            self.inner.fate(client, operation, reference, now).await
        })
    }
}

impl Verifications for SealedStore {
    fn insert(&self, verification: Verification) -> Answer<'_, ()> {
        Box::pin(async move {
            self.is_ours().await?;
            self.inner.insert(verification).await
        })
    }

    fn get<'a>(&'a self, id: &'a VerificationId) -> Answer<'a, Option<Verification>> {
        Box::pin(async move {
            self.is_ours().await?;
            self.inner.get(id).await
        })
    }

    fn by_session<'a>(&'a self, provider: &'a ProviderId, session: &'a str) -> Answer<'a, Option<Verification>> {
        Box::pin(async move {
            self.is_ours().await?;
            self.inner.by_session(provider, session).await
        })
    }

    fn replace<'a>(
        &'a self,
        verification: &'a Verification,
        expected: State,
        event: Option<NewEvent>,
    ) -> Answer<'a, bool> {
        Box::pin(async move {
            self.is_ours().await?;
            self.inner.replace(verification, expected, event).await
        })
    }
}

impl Outbox for SealedStore {
    fn after<'a>(&'a self, client: &'a ClientId, after: u64, most: usize) -> Answer<'a, Vec<Event>> {
        Box::pin(async move {
            self.is_ours().await?;
            self.inner.after(client, after, most).await
        })
    }

    fn due<'a>(
        &'a self,
        clients: &'a [ClientId],
        most: usize,
        lease: Duration,
        now: Timestamp,
    ) -> Answer<'a, Vec<Event>> {
        Box::pin(async move {
            self.is_ours().await?;
            self.inner.due(clients, most, lease, now).await
        })
    }

    fn told<'a>(&'a self, client: &'a ClientId, position: u64, telling: Telling) -> Answer<'a, ()> {
        Box::pin(async move {
            self.is_ours().await?;
            self.inner.told(client, position, telling).await
        })
    }

    fn redeliver<'a>(&'a self, client: &'a ClientId, after: u64, now: Timestamp) -> Answer<'a, u64> {
        Box::pin(async move {
            self.is_ours().await?;
            self.inner.redeliver(client, after, now).await
        })
    }

    fn waiting<'a>(&'a self, clients: &'a [ClientId]) -> Answer<'a, u64> {
        Box::pin(async move {
            self.is_ours().await?;
            self.inner.waiting(clients).await
        })
    }
}

impl SubjectKeys for SealedStore {
    fn obtain<'a>(&'a self, subject: [u8; 32], fresh: SubjectKey, now: Timestamp) -> Answer<'a, SubjectKey> {
        Box::pin(async move {
            self.is_ours().await?;
            self.inner.obtain(subject, fresh, now).await
        })
    }

    fn find<'a>(&'a self, id: [u8; 16]) -> Answer<'a, Option<SubjectKey>> {
        Box::pin(async move {
            self.is_ours().await?;
            self.inner.find(id).await
        })
    }

    fn destroy<'a>(&'a self, subject: [u8; 32]) -> Answer<'a, Option<[u8; 16]>> {
        Box::pin(async move {
            self.is_ours().await?;
            self.inner.destroy(subject).await
        })
    }
}

impl Generations for SealedStore {
    fn enter<'a>(&'a self, digest: [u8; 32], bundle: &'a [u8], now: Timestamp) -> Answer<'a, u64> {
        Box::pin(async move {
            self.is_ours().await?;
            self.inner.enter(digest, bundle, now).await
        })
    }

    fn bundle(&self, number: u64) -> Answer<'_, Option<Vec<u8>>> {
        Box::pin(async move {
            self.is_ours().await?;
            self.inner.bundle(number).await
        })
    }
}

impl Changes for SealedStore {
    fn add_change<'a>(&'a self, entry: &'a Entry, texts: &'a [u8]) -> Answer<'a, bool> {
        Box::pin(async move {
            self.is_ours().await?;
            self.inner.add_change(entry, texts).await
        })
    }

    fn changes_after(&self, number: u64) -> Answer<'_, Vec<Entry>> {
        Box::pin(async move {
            self.is_ours().await?;
            self.inner.changes_after(number).await
        })
    }

    fn proposed_texts(&self, number: u64) -> Answer<'_, Option<Vec<u8>>> {
        Box::pin(async move {
            self.is_ours().await?;
            self.inner.proposed_texts(number).await
        })
    }
}

impl Authorizations for SealedStore {
    fn item<'a>(&'a self, kind: ItemKind, key: &'a [u8; 32]) -> Answer<'a, Option<(Item, u64)>> {
        Box::pin(async move {
            self.is_ours().await?;
            self.inner.item(kind, key).await?.map(|(item, version)| Ok((self.opened_item(item)?, version))).transpose()
        })
    }

    fn change_items<'a>(&'a self, steps: &'a [Step], revoked: &'a [Revoked], now: Timestamp) -> Answer<'a, bool> {
        Box::pin(async move {
            self.is_ours().await?;
            let steps = steps.iter().map(|step| self.sealed_step(step)).collect::<Result<Vec<_>, _>>()?;
            self.inner.change_items(&steps, revoked, now).await
        })
    }

    fn of_owner<'a>(&'a self, kind: ItemKind, owner: &'a [u8; 32]) -> Answer<'a, Vec<(Item, u64)>> {
        Box::pin(async move {
            self.is_ours().await?;
            let found = self.inner.of_owner(kind, owner).await?;
            found.into_iter().map(|(item, version)| Ok((self.opened_item(item)?, version))).collect()
        })
    }

    fn revoked_after(&self, position: u64, now: Timestamp) -> Answer<'_, Vec<(u64, Revoked)>> {
        Box::pin(async move {
            self.is_ours().await?;
            self.inner.revoked_after(position, now).await
        })
    }
}

impl Durable for SealedStore {
    fn probe(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            self.inner.probe().await?;
            self.is_ours().await
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

    use policies::id::{IdempotencyKey, OrganisationId};
    use policies::once::{Repeat, judge};

    use super::*;
    use crate::files::testing::Scratch;
    use crate::keys::{WrapSource, open_wrapping};
    use crate::store::memory::MemoryStore;
    use crate::store::port::ITEM_SEAL_MAX;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
    const LEASE: Duration = Duration::from_secs(30);

    fn stores() -> (Arc<MemoryStore>, Arc<SealedStore>, Scratch) {
        let scratch = Scratch::new();
        let wrapping = open_wrapping(&scratch.0, &WrapSource::Generated).unwrap();
        let sealer = Arc::new(Sealer::load_or_create(&scratch.0, &*wrapping).unwrap());
        let inner = Arc::new(MemoryStore::new());
        let sealed = SealedStore::new(Arc::clone(&inner) as Arc<dyn Durable>, sealer, NOW);
        (inner, Arc::new(sealed), scratch)
    }

    async fn open() -> (Arc<SealedStore>, Scratch) {
        let (_, sealed, scratch) = stores();
        (sealed, scratch)
    }

    crate::store::conformance::durable_promises! { super::open }

    fn claim(digest: [u8; 32]) -> NewClaim {
        let client = ClientId::parse("demo-app").unwrap();
        let operation = OperationId::parse("createDomesticPayment").unwrap();
        NewClaim {
            key: IdempotencyKey::bind(&client, &operation, "order-1").unwrap(),
            organisation: OrganisationId::parse("demo-fintech").unwrap(),
            digest,
            reference: "reference".to_owned(),
            lease: LEASE,
            keep: Duration::from_secs(86_400),
            settles: false,
        }
    }

    fn reply() -> StoredReply {
        StoredReply { status: 201, headers: vec![], body: br#"{"name":"Aisulu"}"#.to_vec() }
    }

    fn ticket(answer: ClaimAnswer) -> ClaimTicket {
        match answer {
            ClaimAnswer::Taken(ticket) => ticket,
            ClaimAnswer::Earlier(earlier) => panic!("{earlier:?}"),
        }
    }

    fn earlier(answer: ClaimAnswer) -> EarlierClaim {
        match answer {
            ClaimAnswer::Earlier(earlier) => earlier,
            ClaimAnswer::Taken(ticket) => panic!("{ticket:?}"),
        }
    }

    #[tokio::test]
    async fn neither_the_answer_nor_the_bodys_hash_rests_in_the_clear() {
        let (inner, sealed, _scratch) = stores();
        let taken = ticket(sealed.claim(claim([1; 32]), NOW).await.unwrap());
        sealed.finish(&taken, Finish::Answered(reply()), NOW).await.unwrap();
        let rests = earlier(inner.claim(claim([1; 32]), NOW).await.unwrap());
        assert_ne!(rests.digest, [1; 32]);
        let ClaimState::Answered(stored) = rests.state else { panic!("{rests:?}") };
        assert!(!stored.body.windows(6).any(|window| window == b"Aisulu"));
        let other = earlier(sealed.claim(claim([2; 32]), NOW).await.unwrap());
        assert_eq!(judge(other, &[2; 32]), Repeat::Mismatch);
        let same = earlier(sealed.claim(claim([1; 32]), NOW).await.unwrap());
        assert_eq!(judge(same, &[1; 32]), Repeat::Replay(reply()));
    }

    fn item(key: u8, body: &[u8]) -> Item {
        Item { kind: ItemKind::Consent, key: [key; 32], owner: None, keep_until: NOW + LEASE, body: body.to_vec() }
    }

    #[tokio::test]
    async fn what_is_authorized_rests_sealed_and_only_in_its_own_place() {
        let (inner, sealed, _scratch) = stores();
        let added = [Step::Add(item(1, b"Aisulu")), Step::Add(item(2, b"Bolat"))];
        assert!(sealed.change_items(&added, &[], NOW).await.unwrap());
        let (rests, _) = inner.item(ItemKind::Consent, &[1; 32]).await.unwrap().unwrap();
        assert!(!rests.body.windows(6).any(|window| window == b"Aisulu"));
        assert_eq!(sealed.item(ItemKind::Consent, &[1; 32]).await.unwrap(), Some((item(1, b"Aisulu"), 1)));
        // Whoever writes to the store can neither put one in another's place nor make one.
        let forged = [
            Item { key: [2; 32], ..rests.clone() },
            Item { kind: ItemKind::Grant, key: [2; 32], ..rests.clone() },
            Item { body: b"Bolat".to_vec(), ..item(2, b"") },
            Item { body: Vec::new(), ..item(2, b"") },
        ];
        for forgery in forged {
            let inner: Arc<dyn Durable> = Arc::new(MemoryStore::new());
            let sealed = SealedStore::new(Arc::clone(&inner), Arc::clone(&sealed.sealer), NOW);
            let forgery = Item { owner: Some([3; 32]), ..forgery };
            assert!(inner.change_items(&[Step::Add(forgery.clone())], &[], NOW).await.unwrap());
            assert!(sealed.item(forgery.kind, &[2; 32]).await.is_err(), "{forgery:?}");
            assert!(sealed.of_owner(forgery.kind, &[3; 32]).await.is_err(), "{forgery:?}");
        }
    }

    #[tokio::test]
    async fn a_body_is_sealed_up_to_its_size_and_not_a_byte_beyond() {
        let (inner, sealed, _scratch) = stores();
        let beyond = item(1, &vec![7; ITEM_BYTES_MAX + 1]);
        assert!(sealed.change_items(&[Step::Add(beyond)], &[], NOW).await.is_err());
        assert!(sealed.change_items(&[Step::Add(item(1, &vec![7; ITEM_BYTES_MAX]))], &[], NOW).await.unwrap());
        let (rests, _) = inner.item(ItemKind::Consent, &[1; 32]).await.unwrap().unwrap();
        assert!(rests.body.len() <= ITEM_BYTES_MAX + ITEM_SEAL_MAX);
    }

    #[tokio::test]
    async fn a_store_that_is_sealed_under_another_data_key_is_not_used() {
        let (inner, sealed, _scratch) = stores();
        sealed.probe().await.unwrap();
        let (_, _, scratch) = stores();
        let wrapping = open_wrapping(&scratch.0, &WrapSource::Generated).unwrap();
        let another = Arc::new(Sealer::load_or_create(&scratch.0, &*wrapping).unwrap());
        let stranger = SealedStore::new(Arc::clone(&inner) as Arc<dyn Durable>, another, NOW);
        assert!(stranger.probe().await.unwrap_err().cause.contains("another data key"));
        assert!(stranger.claim(claim([1; 32]), NOW).await.is_err());
        // Nor what others asked for: another key's gateway may be another country's.
        assert!(stranger.undecided(9, LEASE, NOW).await.is_err());
        assert!(stranger.due(&[ClientId::parse("demo-app").unwrap()], 9, LEASE, NOW).await.is_err());
        assert!(stranger.destroy([7; 32]).await.is_err());
        // Its own gateway goes on, and so does the next with the same key.
        assert!(matches!(sealed.claim(claim([1; 32]), NOW).await, Ok(ClaimAnswer::Taken(_))));
    }

    #[tokio::test]
    async fn what_version_0_1_stored_is_found_and_taken_over_as_before() {
        let (inner, sealed, _scratch) = stores();
        let taken = ticket(inner.claim(claim([1; 32]), NOW).await.unwrap());
        let other = earlier(sealed.claim(claim([2; 32]), NOW).await.unwrap());
        assert_eq!(judge(other, &[2; 32]), Repeat::Mismatch);
        let in_flight = earlier(sealed.claim(claim([1; 32]), NOW).await.unwrap());
        assert!(matches!(judge(in_flight, &[1; 32]), Repeat::InProgress { .. }));
        drop(taken);
        let later = NOW + LEASE;
        let again = NewClaim { reference: "another".to_owned(), ..claim([1; 32]) };
        let taken = ticket(sealed.claim(again, later).await.unwrap());
        assert_eq!(taken.reference(), "reference");
        inner.finish(&taken, Finish::Answered(reply()), later).await.unwrap();
        let same = earlier(sealed.claim(claim([1; 32]), later).await.unwrap());
        assert_eq!(judge(same, &[1; 32]), Repeat::Replay(reply()));
    }
}
