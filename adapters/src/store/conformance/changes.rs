//! What every store promises of changes by administrators.

use std::sync::Arc;

use policies::change::{Act, Entry};
use policies::id::AdminId;

use super::NOW;
use crate::store::port::Durable;

fn entry(number: u64, act: Act) -> Entry {
    Entry { number, by: AdminId::parse("aigul").unwrap(), at: NOW, act }
}

fn proposed(number: u64) -> Entry {
    entry(
        number,
        Act::Proposed {
            digest: [7; 32],
            note: "раз".to_owned(),
            base: (number > 1).then_some(1),
            restores: (number > 2).then_some(2),
        },
    )
}

pub(crate) async fn entries_come_one_after_the_other_and_are_given_back_whole(store: &Arc<impl Durable + 'static>) {
    assert_eq!(store.changes_after(0).await.unwrap(), []);
    assert!(!store.add_change(&proposed(2), b"early").await.unwrap(), "there is no first one yet");
    let entries = [
        proposed(1),
        entry(2, Act::Approved { proposal: 1, applies: false }),
        entry(3, Act::Approved { proposal: 1, applies: true }),
        entry(4, Act::Withdrawn { proposal: 1 }),
        proposed(5),
    ];
    for one in &entries {
        let texts: &[u8] = if matches!(one.act, Act::Proposed { .. }) { b"texts" } else { b"" };
        assert!(store.add_change(one, texts).await.unwrap());
        assert!(!store.add_change(one, b"twice").await.unwrap(), "an entry is made once");
    }
    assert_eq!(store.changes_after(0).await.unwrap(), entries);
    assert_eq!(store.changes_after(3).await.unwrap(), entries.get(3..).unwrap());
    assert_eq!(store.changes_after(5).await.unwrap(), []);
    assert_eq!(store.changes_after(u64::MAX).await.unwrap(), []);
    assert_eq!(store.proposed_texts(1).await.unwrap().as_deref(), Some(b"texts".as_slice()));
    for number in [0, 2, 6, u64::MAX] {
        assert_eq!(store.proposed_texts(number).await.unwrap(), None, "{number}");
    }
}

pub(crate) async fn of_parallel_entries_with_one_number_one_is_made(store: &Arc<impl Durable + 'static>) {
    let calls = (0..20_u8).map(|call| {
        let store = Arc::clone(store);
        tokio::spawn(async move { store.add_change(&proposed(1), &[call]).await.unwrap() })
    });
    let mut made = Vec::new();
    for (call, answer) in calls.collect::<Vec<_>>().into_iter().enumerate() {
        if answer.await.unwrap() {
            made.push(u8::try_from(call).unwrap());
        }
    }
    assert_eq!(made.len(), 1);
    assert_eq!(store.proposed_texts(1).await.unwrap(), Some(made));
}
