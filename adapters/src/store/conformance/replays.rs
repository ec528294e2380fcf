//! What every store of single-use keys promises.

use std::sync::Arc;

use super::{KEEP, LEASE, NOW, TICK};
use crate::store::port::Replays;

pub(crate) async fn a_replay_is_found_until_its_time_is_over(store: &Arc<impl Replays + 'static>) {
    let until = NOW + LEASE;
    assert!(store.claim("one", [7; 32], until, NOW).await.unwrap());
    assert!(!store.claim("one", [7; 32], until, NOW).await.unwrap());
    assert!(!store.claim("one", [7; 32], until + KEEP, until - TICK).await.unwrap());
    assert!(store.claim("one", [8; 32], until, NOW).await.unwrap());
    assert!(!store.claim("two", [8; 32], until, NOW).await.unwrap());
    assert!(store.claim("one", [7; 32], until + LEASE, until).await.unwrap());
    assert!(!store.claim("one", [7; 32], until + LEASE, until).await.unwrap());
}

pub(crate) async fn of_fifty_parallel_replays_one_is_fresh(store: &Arc<impl Replays + 'static>) {
    let calls = (0..50).map(|_| {
        let store = Arc::clone(store);
        tokio::spawn(async move { store.claim("one", [7; 32], NOW + LEASE, NOW).await.unwrap() })
    });
    let mut fresh = 0;
    for call in calls.collect::<Vec<_>>() {
        fresh += usize::from(call.await.unwrap());
    }
    assert_eq!(fresh, 1);
}
