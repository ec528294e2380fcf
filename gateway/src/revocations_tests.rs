//! What the list says of what was taken back here, elsewhere and while the store is away.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::sync::atomic::AtomicBool;

use adapters::store::memory::MemoryStore;

use super::*;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const TICK: Duration = Duration::from_millis(1);
const LIFE: Duration = Duration::from_secs(300);
const NAME: [u8; 32] = [1; 32];

/// A store that can be away, and counts how often it was asked for the list.
#[derive(Default)]
struct Fickle {
    store: MemoryStore,
    away: AtomicBool,
    asked: AtomicUsize,
}

impl Authorizations for Fickle {
    fn item<'a>(&'a self, kind: ItemKind, key: &'a [u8; 32]) -> Answer<'a, Option<(Item, u64)>> {
        self.store.item(kind, key)
    }

    fn change_items<'a>(&'a self, steps: &'a [Step], revoked: &'a [Revoked], now: Timestamp) -> Answer<'a, bool> {
        self.store.change_items(steps, revoked, now)
    }

    fn of_owner<'a>(&'a self, kind: ItemKind, owner: &'a [u8; 32]) -> Answer<'a, Vec<(Item, u64)>> {
        self.store.of_owner(kind, owner)
    }

    fn revoked_after(&self, position: u64, now: Timestamp) -> Answer<'_, Vec<(u64, Revoked)>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            // As long as others come to wait for this.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            if self.away.load(Ordering::SeqCst) {
                return Err(Outage::new("authorizations", "away"));
            }
            self.store.revoked_after(position, now).await
        })
    }
}

fn revoked(name: [u8; 32], until: Timestamp) -> Revoked {
    Revoked { name, until }
}

fn opened() -> (Arc<Fickle>, Arc<Revocations>) {
    let store = Arc::new(Fickle::default());
    let revocations = Arc::new(Revocations::new(Arc::clone(&store) as Arc<dyn Authorizations>));
    (store, revocations)
}

#[tokio::test]
async fn what_was_revoked_elsewhere_counts_within_a_second() {
    let (store, here) = opened();
    assert_eq!(here.is_revoked(&[NAME], NOW).await, Ok(false));
    assert!(store.change_items(&[], &[revoked(NAME, NOW + LIFE)], NOW).await.unwrap());
    // Until then the list that was read is good enough.
    assert_eq!(here.is_revoked(&[NAME], NOW + REVOCATION_LAG_MAX).await, Ok(false));
    assert_eq!(store.asked.load(Ordering::SeqCst), 1);
    assert_eq!(here.is_revoked(&[NAME], NOW + REVOCATION_LAG_MAX + TICK).await, Ok(true));
    assert_eq!(here.is_revoked(&[[2; 32], NAME], NOW + REVOCATION_LAG_MAX + TICK).await, Ok(true));
    assert_eq!(here.is_revoked(&[[2; 32]], NOW + REVOCATION_LAG_MAX + TICK).await, Ok(false));
    assert_eq!(here.is_revoked(&[], NOW + REVOCATION_LAG_MAX + TICK).await, Ok(false));
}

#[tokio::test]
async fn what_was_revoked_before_the_start_counts_from_the_first_request_on() {
    let (store, here) = opened();
    for number in 0..=REVOKED_READ {
        let mut name = [7; 32];
        name[..8].copy_from_slice(&(number as u64).to_be_bytes());
        assert!(store.change_items(&[], &[revoked(name, NOW + LIFE)], NOW).await.unwrap());
    }
    assert!(store.change_items(&[], &[revoked(NAME, NOW + LIFE)], NOW).await.unwrap());
    assert_eq!(here.is_revoked(&[NAME], NOW).await, Ok(true));
}

#[tokio::test]
async fn a_store_that_is_away_leaves_a_second_and_no_more() {
    let (store, here) = opened();
    store.away.store(true, Ordering::SeqCst);
    assert!(here.is_revoked(&[NAME], NOW).await.is_err(), "nothing was ever read");
    store.away.store(false, Ordering::SeqCst);
    assert_eq!(here.is_revoked(&[NAME], NOW).await, Ok(false));
    store.away.store(true, Ordering::SeqCst);
    assert!(here.catch_up(NOW + TICK).await.is_err());
    assert_eq!(here.is_revoked(&[NAME], NOW + REVOCATION_LAG_MAX).await, Ok(false));
    assert!(here.is_revoked(&[NAME], NOW + REVOCATION_LAG_MAX + TICK).await.is_err());
    // Nor does a clock that was put back make an old list new.
    assert!(here.is_revoked(&[NAME], NOW - REVOCATION_LAG_MAX - TICK).await.is_err());
    store.away.store(false, Ordering::SeqCst);
    assert_eq!(here.is_revoked(&[NAME], NOW + REVOCATION_LAG_MAX + TICK).await, Ok(false));
}

#[tokio::test]
async fn what_is_revoked_here_counts_at_once() {
    let (store, here) = opened();
    assert_eq!(here.is_revoked(&[NAME], NOW).await, Ok(false));
    let port = Watched::new(Arc::clone(&store) as Arc<dyn Authorizations>, Arc::clone(&here));
    let item = Item { kind: ItemKind::Code, key: [1; 32], owner: None, keep_until: NOW + LIFE, body: vec![] };
    let misfit = [Step::Replace(item.clone(), 1)];
    assert!(!port.change_items(&misfit, &[revoked(NAME, NOW + LIFE)], NOW).await.unwrap());
    assert_eq!(here.is_revoked(&[NAME], NOW).await, Ok(false), "nothing was changed");
    assert!(port.change_items(&[Step::Add(item)], &[revoked(NAME, NOW + LIFE)], NOW).await.unwrap());
    assert_eq!(here.is_revoked(&[NAME], NOW).await, Ok(true));
    assert_eq!(store.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_is_over_counts_no_more_and_leaves_the_list() {
    let (_, here) = opened();
    here.take_in(&[revoked(NAME, NOW + LIFE), revoked(NAME, NOW + TICK), revoked([2; 32], NOW + TICK)]);
    assert_eq!(here.is_revoked(&[NAME], NOW + LIFE - TICK).await, Ok(true), "the later end counts");
    assert_eq!(here.is_revoked(&[NAME], NOW + LIFE).await, Ok(false));
    here.catch_up(NOW + TICK + PRUNE_EVERY + LIFE).await.unwrap();
    assert_eq!(here.count(), 0);
}

#[tokio::test]
async fn of_fifty_who_find_the_list_old_one_reads() {
    let (store, here) = opened();
    for away in [true, false] {
        store.away.store(away, Ordering::SeqCst);
        let before = store.asked.load(Ordering::SeqCst);
        let ask = |_| {
            let here = Arc::clone(&here);
            tokio::spawn(async move { here.is_revoked(&[NAME], NOW).await })
        };
        for asking in (0..50).map(ask).collect::<Vec<_>>() {
            assert_eq!(asking.await.unwrap().is_err(), away);
        }
        assert_eq!(store.asked.load(Ordering::SeqCst), before + 1, "away: {away}");
    }
}

#[tokio::test]
async fn who_goes_away_while_reading_leaves_it_to_the_next() {
    let (store, here) = opened();
    let gone = tokio::select! {
        biased;
        _ = here.is_revoked(&[NAME], NOW) => false,
        () = tokio::task::yield_now() => true,
    };
    assert!(gone && store.asked.load(Ordering::SeqCst) == 1);
    assert!(store.change_items(&[], &[revoked(NAME, NOW + LIFE)], NOW).await.unwrap());
    assert_eq!(here.is_revoked(&[NAME], NOW).await, Ok(true));
}

#[tokio::test]
async fn as_many_names_are_followed_as_may_be_and_not_one_more() {
    let store = Arc::new(MemoryStore::new());
    let here = Revocations::with_room(Arc::clone(&store) as Arc<dyn Authorizations>, 2);
    let both = [revoked([1; 32], NOW + LIFE), revoked([2; 32], NOW + LIFE)];
    assert!(store.change_items(&[], &both, NOW).await.unwrap());
    assert_eq!(here.is_revoked(&[[2; 32]], NOW).await, Ok(true));
    assert!(store.change_items(&[], &[revoked([3; 32], NOW + LIFE + LIFE)], NOW).await.unwrap());
    assert!(here.is_revoked(&[[3; 32]], NOW + REVOCATION_LAG_MAX + TICK).await.is_err(), "better nothing is believed");
    assert_eq!(here.is_revoked(&[[3; 32]], NOW + LIFE).await, Ok(true), "those that are over have made room");
}
