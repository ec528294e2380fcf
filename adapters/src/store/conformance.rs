//! One suite that every store passes: what the ports promise, tried on memory and on SQLite.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use policies::id::{ClientId, IdempotencyKey, OperationId, ProviderId, VerificationId};
use policies::once::{ClaimState, EarlierClaim, StoredReply};
use policies::time::Timestamp;
use policies::verification::{Binding, State, Verification};

use super::memory::MemoryStore;
use super::port::{ClaimAnswer, ClaimTicket, Claims, NewClaim, Replays, SPENDS_KEPT, Verifications};
use super::sqlite::SqliteStore;
use crate::entropy;

const LEASE: Duration = Duration::from_secs(30);
const KEEP: Duration = Duration::from_secs(86_400);
const TICK: Duration = Duration::from_millis(1);
const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// A folder that is gone when the test is over.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("qaqpa-{}", entropy::token_128bit()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What the product asks of one value that is all three.
trait Store: Replays + Claims + Verifications + 'static {}

impl<T: Replays + Claims + Verifications + 'static> Store for T {}

macro_rules! on_every_store {
    ($($promise:ident)*) => {
        mod memory {
            $(#[tokio::test]
            async fn $promise() {
                super::$promise(&std::sync::Arc::new(super::MemoryStore::new())).await;
            })*
        }

        mod sqlite {
            $(#[tokio::test]
            async fn $promise() {
                let folder = super::Folder::new();
                super::$promise(&std::sync::Arc::new(super::opened(&folder))).await;
            })*
        }
    };
}

on_every_store! {
    a_replay_is_found_until_its_time_is_over
    of_fifty_parallel_replays_one_is_fresh
    of_fifty_parallel_claims_one_is_taken
    a_claim_in_flight_tells_how_long_its_lease_lasts
    a_claim_whose_lease_is_over_is_taken_over_under_its_first_reference
    another_body_never_takes_a_claim_over
    an_answer_is_kept_and_given_back_whole
    a_claim_is_forgotten_when_its_time_is_over
    who_was_taken_over_can_do_nothing_more
    a_thing_is_spent_once_by_one_claim
    spending_is_all_or_nothing
    a_released_claim_keeps_its_reference_and_its_digest
    a_released_claim_is_forgotten_when_its_time_is_over
    who_released_can_do_nothing_more
    a_release_never_makes_a_lease_longer
    a_released_claim_may_spend_again_what_it_spent
    a_forgotten_key_with_another_body_may_not_spend_it
    a_dropped_wait_leaves_a_lease_that_ends
    a_verification_is_kept_whole
    a_verification_is_there_once
    a_verification_changes_only_from_the_state_that_was_expected
}

fn opened(folder: &Folder) -> SqliteStore {
    SqliteStore::open(&folder.0.join("state.db")).unwrap()
}

fn key(name: &str) -> IdempotencyKey {
    IdempotencyKey::bind(&ClientId::parse("fintech").unwrap(), &OperationId::parse("pay").unwrap(), name).unwrap()
}

fn wish(name: &str, digest: u8, reference: &str) -> NewClaim {
    NewClaim { key: key(name), digest: [digest; 32], reference: reference.to_owned(), lease: LEASE, keep: KEEP }
}

async fn claim(store: &impl Claims, wish: NewClaim, now: Timestamp) -> ClaimAnswer {
    store.claim(wish, now).await.unwrap()
}

async fn taken(store: &impl Claims, wish: NewClaim, now: Timestamp) -> ClaimTicket {
    match claim(store, wish, now).await {
        ClaimAnswer::Taken(ticket) => ticket,
        ClaimAnswer::Earlier(earlier) => unreachable!("the claim was free, and found {earlier:?}"),
    }
}

async fn earlier(store: &impl Claims, wish: NewClaim, now: Timestamp) -> EarlierClaim {
    match claim(store, wish, now).await {
        ClaimAnswer::Earlier(earlier) => earlier,
        ClaimAnswer::Taken(_) => unreachable!("the key is in use"),
    }
}

fn things(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

async fn a_replay_is_found_until_its_time_is_over(store: &Arc<impl Store>) {
    let until = NOW + LEASE;
    assert!(Replays::claim(&**store, "one", [7; 32], until, NOW).await.unwrap());
    assert!(!Replays::claim(&**store, "one", [7; 32], until, NOW).await.unwrap());
    assert!(!Replays::claim(&**store, "one", [7; 32], until + KEEP, until - TICK).await.unwrap());
    assert!(Replays::claim(&**store, "one", [8; 32], until, NOW).await.unwrap());
    assert!(!Replays::claim(&**store, "two", [8; 32], until, NOW).await.unwrap());
    assert!(Replays::claim(&**store, "one", [7; 32], until + LEASE, until).await.unwrap());
    assert!(!Replays::claim(&**store, "one", [7; 32], until + LEASE, until).await.unwrap());
}

async fn of_fifty_parallel_replays_one_is_fresh(store: &Arc<impl Store>) {
    let calls = (0..50).map(|_| {
        let store = Arc::clone(store);
        tokio::spawn(async move { Replays::claim(&*store, "one", [7; 32], NOW + LEASE, NOW).await.unwrap() })
    });
    let mut fresh = 0;
    for call in calls.collect::<Vec<_>>() {
        fresh += usize::from(call.await.unwrap());
    }
    assert_eq!(fresh, 1);
}

async fn of_fifty_parallel_claims_one_is_taken(store: &Arc<impl Store>) {
    let calls = (0..50).map(|number| {
        let store = Arc::clone(store);
        tokio::spawn(async move { claim(&*store, wish("k", 1, &format!("ref-{number}")), NOW).await })
    });
    let mut taken = 0;
    for call in calls.collect::<Vec<_>>() {
        taken += usize::from(matches!(call.await.unwrap(), ClaimAnswer::Taken(_)));
    }
    assert_eq!(taken, 1);
}

async fn a_claim_in_flight_tells_how_long_its_lease_lasts(store: &Arc<impl Store>) {
    taken(&**store, wish("k", 1, "ref-1"), NOW).await;
    let found = earlier(&**store, wish("k", 1, "ref-2"), NOW + Duration::from_secs(10)).await;
    let lease_left = Duration::from_secs(20);
    assert_eq!(found, EarlierClaim { digest: [1; 32], state: ClaimState::InFlight { lease_left } });
}

async fn a_claim_whose_lease_is_over_is_taken_over_under_its_first_reference(store: &Arc<impl Store>) {
    let first = taken(&**store, wish("k", 1, "ref-1"), NOW).await;
    assert_eq!(first.reference(), "ref-1");
    earlier(&**store, wish("k", 1, "ref-2"), NOW + LEASE - TICK).await;
    let second = taken(&**store, wish("k", 1, "ref-2"), NOW + LEASE).await;
    assert_eq!(second.reference(), "ref-1");
    let third = taken(&**store, wish("k", 1, "ref-3"), NOW + LEASE + LEASE).await;
    assert_eq!(third.reference(), "ref-1");
}

async fn another_body_never_takes_a_claim_over(store: &Arc<impl Store>) {
    taken(&**store, wish("k", 1, "ref-1"), NOW).await;
    for now in [NOW, NOW + LEASE, NOW + KEEP - TICK] {
        assert_eq!(earlier(&**store, wish("k", 2, "ref-2"), now).await.digest, [1; 32]);
    }
}

async fn an_answer_is_kept_and_given_back_whole(store: &Arc<impl Store>) {
    let ticket = taken(&**store, wish("k", 1, "ref-1"), NOW).await;
    let headers = vec![("location".to_owned(), b"/a".to_vec()), ("x-odd".to_owned(), vec![0xff, 0x20])];
    let reply = StoredReply { status: 201, headers, body: vec![0, 159, 146, 150] };
    store.finish(&ticket, reply.clone(), NOW).await.unwrap();
    for now in [NOW, NOW + LEASE, NOW + KEEP - TICK] {
        let found = earlier(&**store, wish("k", 1, "ref-2"), now).await;
        assert_eq!(found, EarlierClaim { digest: [1; 32], state: ClaimState::Answered(reply.clone()) });
    }
    // An answer is given once: what comes later neither changes nor removes it.
    let other = StoredReply { status: 500, headers: vec![], body: vec![] };
    assert!(store.finish(&ticket, other, NOW).await.is_err());
    store.release(&ticket, NOW).await.unwrap();
    earlier(&**store, wish("k", 1, "ref-2"), NOW).await;
}

async fn a_claim_is_forgotten_when_its_time_is_over(store: &Arc<impl Store>) {
    let ticket = taken(&**store, wish("k", 1, "ref-1"), NOW).await;
    store.finish(&ticket, StoredReply { status: 204, headers: vec![], body: vec![] }, NOW).await.unwrap();
    earlier(&**store, wish("k", 2, "ref-2"), NOW + KEEP - TICK).await;
    let next = taken(&**store, wish("k", 2, "ref-2"), NOW + KEEP).await;
    assert_eq!(next.reference(), "ref-2");
}

async fn who_was_taken_over_can_do_nothing_more(store: &Arc<impl Store>) {
    let first = taken(&**store, wish("k", 1, "ref-1"), NOW).await;
    let second = taken(&**store, wish("k", 1, "ref-2"), NOW + LEASE).await;
    let reply = StoredReply { status: 201, headers: vec![], body: vec![] };
    assert!(store.clear(&first, &things(&["a"]), NOW + LEASE).await.is_err());
    assert!(store.finish(&first, reply.clone(), NOW + LEASE).await.is_err());
    store.release(&first, NOW + LEASE).await.unwrap();
    earlier(&**store, wish("k", 1, "ref-3"), NOW + LEASE).await;
    assert!(store.clear(&second, &things(&["a"]), NOW + LEASE).await.unwrap());
    store.finish(&second, reply, NOW + LEASE).await.unwrap();
}

async fn a_thing_is_spent_once_by_one_claim(store: &Arc<impl Store>) {
    let one = taken(&**store, wish("k1", 1, "ref-1"), NOW).await;
    let two = taken(&**store, wish("k2", 1, "ref-2"), NOW).await;
    assert!(store.clear(&one, &things(&["jti"]), NOW).await.unwrap());
    assert!(store.clear(&one, &things(&["jti"]), NOW).await.unwrap());
    assert!(!store.clear(&two, &things(&["jti"]), NOW).await.unwrap());
    assert!(!store.clear(&two, &things(&["jti"]), NOW + SPENDS_KEPT - TICK).await.unwrap());
    assert!(store.clear(&two, &[], NOW).await.unwrap());
}

async fn spending_is_all_or_nothing(store: &Arc<impl Store>) {
    let one = taken(&**store, wish("k1", 1, "ref-1"), NOW).await;
    let two = taken(&**store, wish("k2", 1, "ref-2"), NOW).await;
    assert!(store.clear(&one, &things(&["b"]), NOW).await.unwrap());
    assert!(!store.clear(&two, &things(&["a", "b"]), NOW).await.unwrap());
    assert!(store.clear(&one, &things(&["a"]), NOW).await.unwrap());
}

async fn a_released_claim_keeps_its_reference_and_its_digest(store: &Arc<impl Store>) {
    let first = taken(&**store, wish("k", 1, "ref-1"), NOW).await;
    // The first holder may have reached the backend under its reference; this one gives up before it does.
    let second = taken(&**store, wish("k", 1, "ref-2"), NOW + LEASE).await;
    store.release(&first, NOW + LEASE).await.unwrap();
    earlier(&**store, wish("k", 1, "ref-3"), NOW + LEASE).await;
    let released = NOW + LEASE + TICK;
    store.release(&second, released).await.unwrap();
    for now in [released, released + LEASE, NOW + LEASE + KEEP - TICK] {
        let found = earlier(&**store, wish("k", 2, "ref-3"), now).await;
        let state = ClaimState::InFlight { lease_left: Duration::ZERO };
        assert_eq!(found, EarlierClaim { digest: [1; 32], state });
    }
    let third = taken(&**store, wish("k", 1, "ref-3"), released).await;
    assert_eq!(third.reference(), "ref-1");
    store.release(&second, released).await.unwrap();
    earlier(&**store, wish("k", 1, "ref-4"), released).await;
}

async fn a_released_claim_is_forgotten_when_its_time_is_over(store: &Arc<impl Store>) {
    let first = taken(&**store, wish("k", 1, "ref-1"), NOW).await;
    store.release(&first, NOW).await.unwrap();
    earlier(&**store, wish("k", 2, "ref-2"), NOW + KEEP - TICK).await;
    assert_eq!(taken(&**store, wish("k", 2, "ref-2"), NOW + KEEP).await.reference(), "ref-2");
}

async fn who_released_can_do_nothing_more(store: &Arc<impl Store>) {
    let ticket = taken(&**store, wish("k", 1, "ref-1"), NOW).await;
    store.release(&ticket, NOW).await.unwrap();
    let reply = StoredReply { status: 201, headers: vec![], body: vec![] };
    assert!(store.clear(&ticket, &things(&["a"]), NOW).await.is_err());
    assert!(store.finish(&ticket, reply, NOW).await.is_err());
    taken(&**store, wish("k", 1, "ref-2"), NOW).await;
}

async fn a_release_never_makes_a_lease_longer(store: &Arc<impl Store>) {
    let first = taken(&**store, wish("k", 1, "ref-1"), NOW).await;
    store.release(&first, NOW + LEASE + LEASE).await.unwrap();
    assert_eq!(taken(&**store, wish("k", 1, "ref-2"), NOW + LEASE).await.reference(), "ref-1");
}

async fn a_released_claim_may_spend_again_what_it_spent(store: &Arc<impl Store>) {
    let first = taken(&**store, wish("k", 1, "ref-1"), NOW).await;
    assert!(store.clear(&first, &things(&["jti"]), NOW).await.unwrap());
    store.release(&first, NOW).await.unwrap();
    let other = taken(&**store, wish("k2", 1, "ref-2"), NOW).await;
    assert!(!store.clear(&other, &things(&["jti"]), NOW).await.unwrap());
    let second = taken(&**store, wish("k", 1, "ref-3"), NOW).await;
    assert!(store.clear(&second, &things(&["jti"]), NOW).await.unwrap());
}

async fn a_forgotten_key_with_another_body_may_not_spend_it(store: &Arc<impl Store>) {
    let first = taken(&**store, wish("k", 1, "ref-1"), NOW).await;
    assert!(store.clear(&first, &things(&["jti"]), NOW).await.unwrap());
    store.release(&first, NOW).await.unwrap();
    let second = taken(&**store, wish("k", 2, "ref-2"), NOW + KEEP).await;
    assert!(!store.clear(&second, &things(&["jti"]), NOW + KEEP).await.unwrap());
}

async fn a_dropped_wait_leaves_a_lease_that_ends(store: &Arc<impl Store>) {
    {
        let waiting = Claims::claim(&**store, wish("k", 1, "ref-1"), NOW);
        // Polled once and dropped, as a request is whose client went away.
        let _ = tokio::time::timeout(Duration::ZERO, waiting).await;
    }
    taken(&**store, wish("k", 1, "ref-2"), NOW + LEASE).await;
}

fn verification(id: &str, session: &str) -> Verification {
    Verification {
        id: VerificationId::parse(id).unwrap(),
        client: ClientId::parse("fintech").unwrap(),
        subject: "pairwise".to_owned(),
        sealed_subject: vec![0, 255, 1],
        purpose: "payment".to_owned(),
        level: "L2".to_owned(),
        binding: Binding::Payment { hash: "h".to_owned() },
        state: State::CapturePending,
        provider: ProviderId::parse("demo").unwrap(),
        session: session.to_owned(),
        capture_url: "https://id.example/s".to_owned(),
        created: NOW,
        expires: NOW + LEASE,
        decided: None,
        acr: None,
    }
}

async fn a_verification_is_kept_whole(store: &Arc<impl Store>) {
    let one = verification("v-1", "s-1");
    let unbound = Verification { binding: Binding::None, ..verification("v-2", "s-2") };
    for kept in [&one, &unbound] {
        store.insert(kept.clone()).await.unwrap();
        let found = store.get(&kept.id).await.unwrap().unwrap();
        assert_eq!(format!("{found:?}"), format!("{kept:?}"));
        let found = store.by_session(&kept.provider, &kept.session).await.unwrap().unwrap();
        assert_eq!(found.id, kept.id);
    }
    assert!(store.get(&VerificationId::parse("v-3").unwrap()).await.unwrap().is_none());
    assert!(store.by_session(&ProviderId::parse("other").unwrap(), "s-1").await.unwrap().is_none());
    assert!(store.by_session(&one.provider, "s-3").await.unwrap().is_none());
}

async fn a_verification_is_there_once(store: &Arc<impl Store>) {
    store.insert(verification("v-1", "s-1")).await.unwrap();
    assert!(store.insert(verification("v-1", "s-2")).await.is_err());
    assert!(store.insert(verification("v-2", "s-1")).await.is_err());
    assert!(store.by_session(&ProviderId::parse("demo").unwrap(), "s-2").await.unwrap().is_none());
}

async fn a_verification_changes_only_from_the_state_that_was_expected(store: &Arc<impl Store>) {
    let pending = verification("v-1", "s-1");
    let acr = Some("urn:qaqpa:acr:L2".to_owned());
    let passed = Verification { state: State::Passed, decided: Some(NOW), acr, ..pending.clone() };
    assert!(!store.replace(&passed, State::CapturePending).await.unwrap());
    store.insert(pending.clone()).await.unwrap();
    assert!(!store.replace(&passed, State::Failed).await.unwrap());
    assert!(store.replace(&passed, State::CapturePending).await.unwrap());
    let failed = Verification { state: State::Failed, ..pending };
    assert!(!store.replace(&failed, State::CapturePending).await.unwrap());
    let found = store.get(&passed.id).await.unwrap().unwrap();
    assert_eq!(format!("{found:?}"), format!("{passed:?}"));
}

#[tokio::test]
async fn what_sqlite_was_told_survives_the_process() {
    let folder = Folder::new();
    let store = opened(&folder);
    let ticket = taken(&store, wish("k", 1, "ref-1"), NOW).await;
    assert!(store.clear(&ticket, &things(&["jti"]), NOW).await.unwrap());
    store.insert(verification("v-1", "s-1")).await.unwrap();
    drop(store);
    let store = opened(&folder);
    let again = taken(&store, wish("k", 1, "ref-2"), NOW + LEASE).await;
    assert_eq!(again.reference(), "ref-1");
    let other = taken(&store, wish("k2", 1, "ref-3"), NOW).await;
    assert!(!store.clear(&other, &things(&["jti"]), NOW).await.unwrap());
    assert!(store.get(&VerificationId::parse("v-1").unwrap()).await.unwrap().is_some());
    store.probe().await.unwrap();
}

#[tokio::test]
async fn a_file_in_use_or_of_a_later_version_is_not_opened() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let path = folder.0.join("state.db");
    let store = opened(&folder);
    assert!(SqliteStore::open(&path).is_err());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    drop(store);
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 2).unwrap();
    assert!(SqliteStore::open(&path).is_err_and(|outage| outage.cause.contains("version 2")));
    std::fs::write(folder.0.join("junk.db"), "this is no database, but it is long enough to look like a file of one")
        .unwrap();
    assert!(SqliteStore::open(&folder.0.join("junk.db")).is_err());
}

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
