//! What every store promises of what the authorization server remembers, and of what was taken back.

#![expect(clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::sync::Arc;
use std::time::Duration;

use policies::revocation::Revoked;

use super::{KEEP, NOW, TICK, taken, things, wish};
use crate::store::port::{
    Durable, ITEM_BYTES_MAX, ITEM_SEAL_MAX, ITEMS_LISTED, Item, ItemKind, REVOKED_READ, SPENDS_KEPT, Step,
};

const OWNER: [u8; 32] = [9; 32];

fn item(kind: ItemKind, key: u8, body: &str) -> Item {
    Item { kind, key: [key; 32], owner: None, keep_until: NOW + KEEP, body: body.as_bytes().to_vec() }
}

fn revoked(name: u8) -> Revoked {
    Revoked { name: [name; 32], until: NOW + KEEP }
}

async fn change(store: &Arc<impl Durable + 'static>, steps: &[Step]) -> bool {
    store.change_items(steps, &[], NOW).await.unwrap()
}

async fn body(store: &Arc<impl Durable + 'static>, kind: ItemKind, key: u8) -> Option<(String, u64)> {
    let found = store.item(kind, &[key; 32]).await.unwrap();
    found.map(|(item, version)| (String::from_utf8(item.body).unwrap(), version))
}

pub(crate) async fn an_item_is_kept_whole_under_its_kind_and_key(store: &Arc<impl Durable + 'static>) {
    for kind in [ItemKind::Pushed, ItemKind::Login, ItemKind::Code, ItemKind::Refresh, ItemKind::Grant] {
        assert_eq!(store.item(kind, &[1; 32]).await.unwrap(), None);
        let whole = Item { owner: Some(OWNER), body: vec![0, 255, 7], ..item(kind, 1, "") };
        assert!(change(store, &[Step::Add(whole.clone())]).await);
        assert_eq!(store.item(kind, &[1; 32]).await.unwrap(), Some((whole, 1)));
    }
    assert_eq!(store.item(ItemKind::Consent, &[1; 32]).await.unwrap(), None);
    assert_eq!(store.item(ItemKind::Code, &[2; 32]).await.unwrap(), None);
}

pub(crate) async fn an_item_that_is_there_is_not_added_again(store: &Arc<impl Durable + 'static>) {
    assert!(change(store, &[Step::Add(item(ItemKind::Code, 1, "one"))]).await);
    assert!(!change(store, &[Step::Add(item(ItemKind::Code, 1, "two"))]).await);
    assert!(!change(store, &[Step::Add(item(ItemKind::Code, 2, "a")), Step::Add(item(ItemKind::Code, 2, "b"))]).await);
    assert_eq!(body(store, ItemKind::Code, 1).await, Some(("one".to_owned(), 1)));
    assert_eq!(body(store, ItemKind::Code, 2).await, None);
}

pub(crate) async fn an_item_is_replaced_only_in_the_version_that_was_found(store: &Arc<impl Durable + 'static>) {
    let next = |version| [Step::Replace(item(ItemKind::Grant, 1, "next"), version)];
    assert!(!change(store, &next(0)).await);
    assert!(!change(store, &next(1)).await, "there is none yet");
    assert!(change(store, &[Step::Add(item(ItemKind::Grant, 1, "first"))]).await);
    for wrong in [0, 2, u64::MAX] {
        assert!(!change(store, &next(wrong)).await, "{wrong}");
    }
    assert_eq!(body(store, ItemKind::Grant, 1).await, Some(("first".to_owned(), 1)));
    assert!(change(store, &next(1)).await);
    assert!(!change(store, &next(1)).await, "that version is gone");
    assert!(change(store, &next(2)).await);
    assert_eq!(body(store, ItemKind::Grant, 1).await, Some(("next".to_owned(), 3)));
}

pub(crate) async fn a_change_is_made_with_all_its_steps_or_not_at_all(store: &Arc<impl Durable + 'static>) {
    assert!(change(store, &[Step::Add(item(ItemKind::Pushed, 1, "pushed"))]).await);
    let steps = |version| {
        [
            Step::Add(item(ItemKind::Code, 1, "code")),
            Step::Replace(item(ItemKind::Pushed, 1, "used"), version),
            Step::Add(item(ItemKind::Grant, 1, "grant")),
        ]
    };
    assert!(!store.change_items(&steps(2), &[revoked(1)], NOW).await.unwrap());
    assert_eq!(body(store, ItemKind::Code, 1).await, None);
    assert_eq!(body(store, ItemKind::Grant, 1).await, None);
    assert_eq!(body(store, ItemKind::Pushed, 1).await, Some(("pushed".to_owned(), 1)));
    assert_eq!(store.revoked_after(0, NOW).await.unwrap(), []);
    assert!(store.change_items(&steps(1), &[revoked(1)], NOW).await.unwrap());
    assert_eq!(body(store, ItemKind::Code, 1).await, Some(("code".to_owned(), 1)));
    assert_eq!(body(store, ItemKind::Pushed, 1).await, Some(("used".to_owned(), 2)));
    assert_eq!(body(store, ItemKind::Grant, 1).await, Some(("grant".to_owned(), 1)));
    assert_eq!(store.revoked_after(0, NOW).await.unwrap().len(), 1);
}

pub(crate) async fn of_fifty_parallel_replacements_one_is_made(store: &Arc<impl Durable + 'static>) {
    assert!(change(store, &[Step::Add(item(ItemKind::Code, 1, "fresh"))]).await);
    let redeem = |number: u8| {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            let steps = [
                Step::Replace(item(ItemKind::Code, 1, "redeemed"), 1),
                Step::Add(item(ItemKind::Refresh, number, "token")),
            ];
            store.change_items(&steps, &[], NOW).await.unwrap()
        })
    };
    let mut winners = Vec::new();
    for (number, redeeming) in (0..50).map(redeem).collect::<Vec<_>>().into_iter().enumerate() {
        if redeeming.await.unwrap() {
            winners.push(number);
        }
    }
    assert_eq!(winners.len(), 1, "{winners:?}");
    for number in 0..50_u8 {
        let made = body(store, ItemKind::Refresh, number).await.is_some();
        assert_eq!(made, winners.contains(&usize::from(number)), "{number}");
    }
}

pub(crate) async fn changes_that_cross_each_other_all_end(store: &Arc<impl Durable + 'static>) {
    for key in [1, 2] {
        assert!(change(store, &[Step::Add(item(ItemKind::Grant, key, "0"))]).await);
    }
    let both = |turned: bool| {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            let mut made = 0;
            for _ in 0..20 {
                let mut steps = Vec::new();
                for key in [1, 2] {
                    let (_, version) = store.item(ItemKind::Grant, &[key; 32]).await.unwrap().unwrap();
                    steps.push(Step::Replace(item(ItemKind::Grant, key, "more"), version));
                }
                if turned {
                    steps.reverse();
                }
                made += u64::from(store.change_items(&steps, &[], NOW).await.unwrap());
            }
            made
        })
    };
    let (one, other) = tokio::join!(both(false), both(true));
    let made = one.unwrap() + other.unwrap();
    assert!(made > 0);
    for key in [1, 2] {
        assert_eq!(body(store, ItemKind::Grant, key).await, Some(("more".to_owned(), made + 1)));
    }
}

pub(crate) async fn an_owner_is_listed_what_is_theirs_the_last_added_first(store: &Arc<impl Durable + 'static>) {
    let theirs = |key: u8| Item { owner: Some(OWNER), ..item(ItemKind::Consent, key, "theirs") };
    let keys = async || -> Vec<u8> {
        let found = store.of_owner(ItemKind::Consent, &OWNER).await.unwrap();
        found.iter().map(|(item, _)| item.key[0]).collect()
    };
    assert_eq!(keys().await, Vec::<u8>::new());
    for key in [3, 1, 2] {
        assert!(change(store, &[Step::Add(theirs(key))]).await);
    }
    let others = [
        Step::Add(Item { owner: Some([8; 32]), ..item(ItemKind::Consent, 4, "another's") }),
        Step::Add(item(ItemKind::Consent, 5, "nobody's")),
        Step::Add(Item { owner: Some(OWNER), ..item(ItemKind::Grant, 6, "of another kind") }),
    ];
    assert!(change(store, &others).await);
    assert_eq!(keys().await, [2, 1, 3]);
    // A replacement moves nothing, and may give what was nobody's to an owner, or take it.
    assert!(change(store, &[Step::Replace(theirs(3), 1)]).await);
    assert!(change(store, &[Step::Replace(theirs(5), 1)]).await);
    assert!(change(store, &[Step::Replace(item(ItemKind::Consent, 1, "nobody's"), 1)]).await);
    assert_eq!(keys().await, [5, 2, 3]);
    let found = store.of_owner(ItemKind::Consent, &OWNER).await.unwrap();
    assert_eq!(found.iter().map(|(_, version)| *version).collect::<Vec<_>>(), [2, 1, 2]);
    assert!(found.iter().all(|(item, _)| item.body == b"theirs" && item.owner == Some(OWNER)));
}

pub(crate) async fn an_owner_is_listed_so_many_and_not_one_more(store: &Arc<impl Durable + 'static>) {
    let numbered = |number: u16| {
        let mut key = [0; 32];
        key[..2].copy_from_slice(&number.to_be_bytes());
        Item { key, owner: Some(OWNER), ..item(ItemKind::Consent, 0, "") }
    };
    let most = u16::try_from(ITEMS_LISTED).unwrap();
    let steps: Vec<_> = (0..most).map(|number| Step::Add(numbered(number))).collect();
    assert!(change(store, &steps).await);
    assert_eq!(store.of_owner(ItemKind::Consent, &OWNER).await.unwrap().len(), ITEMS_LISTED);
    assert!(change(store, &[Step::Add(numbered(most))]).await);
    let found = store.of_owner(ItemKind::Consent, &OWNER).await.unwrap();
    assert_eq!(found.len(), ITEMS_LISTED);
    assert_eq!(found[0].0.key, numbered(most).key);
}

pub(crate) async fn a_body_of_the_longest_size_is_kept_and_none_beyond(store: &Arc<impl Durable + 'static>) {
    let sized = |key: u8, size: usize| Item { body: vec![7; size], ..item(ItemKind::Pushed, key, "") };
    let beyond = [Step::Add(sized(1, 1)), Step::Add(sized(2, ITEM_BYTES_MAX + ITEM_SEAL_MAX + 1))];
    assert!(store.change_items(&beyond, &[], NOW).await.is_err());
    assert_eq!(store.item(ItemKind::Pushed, &[1; 32]).await.unwrap(), None, "not at all");
    let longest = sized(1, ITEM_BYTES_MAX);
    assert!(change(store, &[Step::Add(longest.clone())]).await);
    assert_eq!(store.item(ItemKind::Pushed, &[1; 32]).await.unwrap(), Some((longest, 1)));
    let beyond = [Step::Replace(sized(1, ITEM_BYTES_MAX + ITEM_SEAL_MAX + 1), 1)];
    assert!(store.change_items(&beyond, &[], NOW).await.is_err());
    assert_eq!(store.item(ItemKind::Pushed, &[1; 32]).await.unwrap().unwrap().1, 1);
}

pub(crate) async fn what_is_revoked_is_read_on_from_a_position(store: &Arc<impl Durable + 'static>) {
    assert_eq!(store.revoked_after(0, NOW).await.unwrap(), []);
    assert!(store.change_items(&[], &[revoked(1), revoked(2)], NOW).await.unwrap());
    assert!(store.change_items(&[], &[revoked(3)], NOW).await.unwrap());
    let found = store.revoked_after(0, NOW).await.unwrap();
    assert_eq!(found.iter().map(|(_, one)| *one).collect::<Vec<_>>(), [revoked(1), revoked(2), revoked(3)]);
    assert!(found.is_sorted_by_key(|(position, _)| *position));
    let (first, last) = (found[0].0, found[2].0);
    assert!(first > 0);
    assert_eq!(store.revoked_after(first, NOW).await.unwrap(), found[1..]);
    assert_eq!(store.revoked_after(last, NOW).await.unwrap(), []);
    assert_eq!(store.revoked_after(u64::MAX, NOW).await.unwrap(), []);
}

pub(crate) async fn what_is_revoked_twice_stands_once_unless_it_lasts_longer(store: &Arc<impl Durable + 'static>) {
    let longer = Revoked { until: NOW + KEEP + TICK, ..revoked(1) };
    for one in [revoked(1), revoked(1), longer, revoked(1), longer] {
        assert!(store.change_items(&[], &[one], NOW).await.unwrap());
    }
    let found = store.revoked_after(0, NOW).await.unwrap();
    assert_eq!(found.iter().map(|(_, one)| *one).collect::<Vec<_>>(), [revoked(1), longer]);
}

pub(crate) async fn what_is_over_is_not_read(store: &Arc<impl Durable + 'static>) {
    let over = Revoked { name: [2; 32], until: NOW + TICK };
    assert!(store.change_items(&[], &[revoked(1), over, revoked(3)], NOW).await.unwrap());
    assert_eq!(store.revoked_after(0, NOW).await.unwrap().len(), 3);
    let found = store.revoked_after(0, NOW + TICK).await.unwrap();
    assert_eq!(found.iter().map(|(_, one)| *one).collect::<Vec<_>>(), [revoked(1), revoked(3)]);
    assert_eq!(store.revoked_after(0, NOW + KEEP).await.unwrap(), []);
}

pub(crate) async fn so_many_revocations_are_read_at_once_and_the_rest_after_them(store: &Arc<impl Durable + 'static>) {
    let named = |number: u16| {
        let mut name = [0; 32];
        name[..2].copy_from_slice(&number.to_be_bytes());
        Revoked { name, ..revoked(0) }
    };
    let most = u16::try_from(REVOKED_READ).unwrap();
    let all: Vec<_> = (0..=most).map(named).collect();
    for part in all.chunks(100) {
        assert!(store.change_items(&[], part, NOW).await.unwrap());
    }
    let found = store.revoked_after(0, NOW).await.unwrap();
    assert_eq!(found.len(), REVOKED_READ);
    let rest = store.revoked_after(found[REVOKED_READ - 1].0, NOW).await.unwrap();
    let read: Vec<_> = found.into_iter().chain(rest).map(|(_, one)| one).collect();
    assert_eq!(read, all);
}

/// Whoever goes on from the last position it was given must miss nothing, whatever is written meanwhile.
pub(crate) async fn who_reads_on_while_others_revoke_misses_nothing(store: &Arc<impl Durable + 'static>) {
    const WRITERS: u8 = 8;
    const EACH: u8 = 10;
    let write = |writer: u8| {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            for number in 0..EACH {
                let steps = [Step::Add(item(ItemKind::Grant, writer * EACH + number, "grant"))];
                let one = Revoked { name: [writer * EACH + number; 32], ..revoked(0) };
                assert!(store.change_items(&steps, &[one], NOW).await.unwrap());
            }
        })
    };
    let writers: Vec<_> = (0..WRITERS).map(write).collect();
    let (mut position, mut names) = (0, Vec::new());
    while names.len() < usize::from(WRITERS * EACH) {
        let ended = writers.iter().all(tokio::task::JoinHandle::is_finished);
        let found = store.revoked_after(position, NOW).await.unwrap();
        for (at, one) in found {
            assert!(at > position);
            position = at;
            names.push(one.name[0]);
        }
        assert!(!ended || names.len() == usize::from(WRITERS * EACH), "missed: {} were read", names.len());
        tokio::task::yield_now().await;
    }
    for writer in writers {
        writer.await.unwrap();
    }
    // What one writer has revoked comes in the order in which it did.
    for writer in 0..WRITERS {
        let theirs: Vec<_> = names.iter().filter(|name| **name / EACH == writer).collect();
        assert!(theirs.is_sorted() && theirs.len() == usize::from(EACH), "{writer}: {theirs:?}");
    }
}

pub(crate) async fn a_thing_is_known_as_spent_for_as_long_as_it_is(store: &Arc<impl Durable + 'static>) {
    assert!(!store.spent("consent:1", NOW).await.unwrap());
    let ticket = taken(&**store, wish("k", 1, "ref"), NOW).await;
    assert!(!store.spent("consent:1", NOW).await.unwrap(), "a claim alone spends nothing");
    assert!(store.clear(&ticket, &things(&["consent:1"]), NOW).await.unwrap());
    assert!(store.spent("consent:1", NOW).await.unwrap());
    assert!(!store.spent("consent:2", NOW).await.unwrap());
    assert!(store.spent("consent:1", NOW + SPENDS_KEPT - Duration::from_millis(1)).await.unwrap());
    assert!(!store.spent("consent:1", NOW + SPENDS_KEPT).await.unwrap());
}
