//! What every store promises of policy sets.

use std::sync::Arc;

use super::NOW;
use crate::store::port::Durable;

pub(crate) async fn a_policy_set_gets_the_next_number_if_it_is_another(store: &Arc<impl Durable + 'static>) {
    assert_eq!(store.bundle(1).await.unwrap(), None);
    assert_eq!(store.enter([1; 32], b"one", NOW).await.unwrap(), 1);
    assert_eq!(store.enter([1; 32], b"one", NOW).await.unwrap(), 1);
    assert_eq!(store.enter([2; 32], b"two", NOW).await.unwrap(), 2);
    // One that is in force again is a generation of its own.
    assert_eq!(store.enter([1; 32], b"one", NOW).await.unwrap(), 3);
    for (number, text) in [(1, "one"), (2, "two"), (3, "one")] {
        assert_eq!(store.bundle(number).await.unwrap(), Some(text.as_bytes().to_vec()));
    }
    for number in [0, 4, u64::MAX] {
        assert_eq!(store.bundle(number).await.unwrap(), None);
    }
}

pub(crate) async fn of_parallel_entries_of_one_set_one_is_made(store: &Arc<impl Durable + 'static>) {
    let calls = (0..20).map(|_| {
        let store = Arc::clone(store);
        tokio::spawn(async move { store.enter([1; 32], b"one", NOW).await.unwrap() })
    });
    for call in calls.collect::<Vec<_>>() {
        assert_eq!(call.await.unwrap(), 1);
    }
    assert_eq!(store.bundle(2).await.unwrap(), None);
}
