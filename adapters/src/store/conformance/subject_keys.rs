//! What every store promises of persons' keys.

use std::sync::Arc;

use super::NOW;
use crate::store::port::{Durable, SubjectKey};

fn key(number: u8) -> SubjectKey {
    SubjectKey { id: [number; 16], wrapped: vec![number; 60] }
}

pub(crate) async fn a_person_keeps_the_key_they_first_got(store: &Arc<impl Durable + 'static>) {
    assert_eq!(store.find([1; 16]).await.unwrap(), None);
    assert_eq!(store.obtain([9; 32], key(1), NOW).await.unwrap(), key(1));
    assert_eq!(store.obtain([9; 32], key(2), NOW).await.unwrap(), key(1));
    assert_eq!(store.obtain([8; 32], key(3), NOW).await.unwrap(), key(3));
    assert_eq!(store.find([1; 16]).await.unwrap(), Some(key(1)));
    assert_eq!(store.find([2; 16]).await.unwrap(), None);
}

pub(crate) async fn an_id_is_one_persons_alone(store: &Arc<impl Durable + 'static>) {
    store.obtain([9; 32], key(1), NOW).await.unwrap();
    assert!(store.obtain([8; 32], key(1), NOW).await.is_err());
}

pub(crate) async fn of_parallel_wishes_for_a_key_one_is_kept(store: &Arc<impl Durable + 'static>) {
    let calls = (0..20).map(|number| {
        let store = Arc::clone(store);
        tokio::spawn(async move { store.obtain([9; 32], key(number), NOW).await.unwrap() })
    });
    let mut found = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        found.push(call.await.unwrap());
    }
    found.dedup();
    assert_eq!(found.len(), 1);
}

pub(crate) async fn a_destroyed_key_is_as_if_it_had_never_been(store: &Arc<impl Durable + 'static>) {
    assert_eq!(store.destroy([9; 32]).await.unwrap(), None);
    store.obtain([9; 32], key(1), NOW).await.unwrap();
    store.obtain([8; 32], key(2), NOW).await.unwrap();
    assert_eq!(store.destroy([9; 32]).await.unwrap(), Some([1; 16]));
    assert_eq!(store.find([1; 16]).await.unwrap(), None);
    assert_eq!(store.destroy([9; 32]).await.unwrap(), None);
    // A person who comes again is a new one; others keep theirs.
    assert_eq!(store.obtain([9; 32], key(3), NOW).await.unwrap(), key(3));
    assert_eq!(store.find([2; 16]).await.unwrap(), Some(key(2)));
    assert_eq!(store.destroy([9; 32]).await.unwrap(), Some([3; 16]));
    assert_eq!(store.destroy([8; 32]).await.unwrap(), Some([2; 16]));
}
