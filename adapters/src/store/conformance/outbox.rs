//! What every store promises of events.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use policies::event::{Event, EventKind, NewEvent};
use policies::time::Timestamp;

use super::{LEASE, NOW, TICK, client, event, reply, taken, wish};
use crate::entropy;
use crate::store::port::{Durable, Finish, Telling};

/// How long an attempt may take.
const TURN: Duration = Duration::from_secs(10);

const NOTHING: [u64; 0] = [];

/// Appends an event the way it happens: with the answer of a deed.
async fn tell(store: &impl Durable, event: NewEvent) {
    let ticket = taken(store, wish(&entropy::uuid_v7(NOW), 1, &entropy::uuid_v7(NOW)), NOW).await;
    store.finish(&ticket, Finish::Unknown(reply(202), event), NOW).await.unwrap();
}

async fn due(store: &impl Durable, now: Timestamp) -> Vec<Event> {
    store.due(&[client("one"), client("two")], 100, TURN, now).await.unwrap()
}

fn places(events: &[Event]) -> Vec<(&str, u64)> {
    events.iter().map(|event| (event.event.client.as_str(), event.position)).collect()
}

async fn feed(store: &impl Durable, name: &str, after: u64, most: usize) -> Vec<u64> {
    let found = store.after(&client(name), after, most).await.unwrap();
    found.into_iter().map(|event| event.position).collect()
}

pub(crate) async fn an_event_is_kept_whole(store: &Arc<impl Durable + 'static>) {
    let mut kept = Vec::new();
    for (kind, data) in EventKind::ALL.into_iter().zip(["{}", "{\"a\":\"ә\"}", "{\"b\":null}"]) {
        let new = NewEvent { kind, data: data.to_owned(), ..event("one", "s") };
        tell(&**store, new.clone()).await;
        kept.push(Event { position: kept.len() as u64 + 1, event: new, attempts: 0 });
    }
    assert_eq!(store.after(&client("one"), 0, 100).await.unwrap(), kept);
}

pub(crate) async fn each_client_has_positions_of_its_own_without_gaps(store: &Arc<impl Durable + 'static>) {
    for name in ["one", "two", "one", "one"] {
        tell(&**store, event(name, "s")).await;
    }
    // A deed that another has taken over tells nothing, and takes no position.
    let late = taken(&**store, wish("k", 1, "ref-1"), NOW).await;
    taken(&**store, wish("k", 1, "ref-2"), NOW + LEASE).await;
    let telling = Finish::Unknown(reply(202), event("one", "s"));
    assert!(store.finish(&late, telling, NOW + LEASE).await.is_err());
    tell(&**store, event("one", "s")).await;
    assert_eq!(feed(&**store, "one", 0, 100).await, [1, 2, 3, 4]);
    assert_eq!(feed(&**store, "two", 0, 100).await, [1]);
    assert_eq!(feed(&**store, "three", 0, 100).await, NOTHING);
}

pub(crate) async fn parallel_events_leave_no_gaps(store: &Arc<impl Durable + 'static>) {
    let calls = (0..60).map(|number| {
        let store = Arc::clone(store);
        let name = if number % 3 == 0 { "two" } else { "one" };
        tokio::spawn(async move { tell(&*store, event(name, "s")).await })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    assert_eq!(feed(&**store, "one", 0, 100).await, (1..=40).collect::<Vec<u64>>());
    assert_eq!(feed(&**store, "two", 0, 100).await, (1..=20).collect::<Vec<u64>>());
}

pub(crate) async fn a_feed_goes_on_where_it_was(store: &Arc<impl Durable + 'static>) {
    for _ in 0..3 {
        tell(&**store, event("one", "s")).await;
    }
    assert_eq!(feed(&**store, "one", 0, 2).await, [1, 2]);
    assert_eq!(feed(&**store, "one", 2, 2).await, [3]);
    assert_eq!(feed(&**store, "one", 3, 2).await, NOTHING);
    assert_eq!(feed(&**store, "one", u64::MAX, 2).await, NOTHING);
    assert_eq!(feed(&**store, "one", 0, 0).await, NOTHING);
}

pub(crate) async fn an_event_waits_for_those_before_it_of_its_subject(store: &Arc<impl Durable + 'static>) {
    for (name, subject) in [("one", "a"), ("one", "a"), ("one", "b"), ("two", "a")] {
        tell(&**store, event(name, subject)).await;
    }
    assert!(due(&**store, NOW - TICK).await.is_empty());
    assert_eq!(places(&due(&**store, NOW).await), [("one", 1), ("one", 3), ("two", 1)]);
    // The first is under way, then to be tried again later: the second waits for it.
    assert!(due(&**store, NOW + TURN - TICK).await.is_empty());
    store.told(&client("one"), 3, Telling::Delivered).await.unwrap();
    store.told(&client("two"), 1, Telling::Delivered).await.unwrap();
    let again = NOW + LEASE;
    store.told(&client("one"), 1, Telling::Again(again)).await.unwrap();
    assert!(due(&**store, again - TICK).await.is_empty());
    assert_eq!(places(&due(&**store, again).await), [("one", 1)]);
    store.told(&client("one"), 1, Telling::Delivered).await.unwrap();
    assert_eq!(places(&due(&**store, again).await), [("one", 2)]);
    assert_eq!(feed(&**store, "one", 0, 100).await, [1, 2, 3]);
}

pub(crate) async fn an_attempt_is_counted_and_ends(store: &Arc<impl Durable + 'static>) {
    tell(&**store, event("one", "s")).await;
    let attempts = async |now| due(&**store, now).await.first().map(|event| event.attempts);
    assert_eq!(attempts(NOW).await, Some(1));
    assert_eq!(attempts(NOW + TURN - TICK).await, None);
    // Whoever had it has died over it.
    assert_eq!(attempts(NOW + TURN).await, Some(2));
    assert_eq!(store.after(&client("one"), 0, 1).await.unwrap().first().map(|event| event.attempts), Some(2));
}

pub(crate) async fn only_what_was_asked_for_is_due(store: &Arc<impl Durable + 'static>) {
    for subject in ["a", "b", "c"] {
        tell(&**store, event("one", subject)).await;
        tell(&**store, event("two", subject)).await;
    }
    assert!(store.due(&[], 100, TURN, NOW).await.unwrap().is_empty());
    let one = [client("one")];
    assert_eq!(places(&store.due(&one, 2, TURN, NOW).await.unwrap()), [("one", 1), ("one", 2)]);
    assert_eq!(places(&store.due(&one, 2, TURN, NOW).await.unwrap()), [("one", 3)]);
}

pub(crate) async fn of_parallel_tellers_each_gets_others(store: &Arc<impl Durable + 'static>) {
    for number in 0..20 {
        tell(&**store, event("one", &format!("s-{number}"))).await;
    }
    let calls = (0..10).map(|_| {
        let store = Arc::clone(store);
        tokio::spawn(async move { store.due(&[client("one")], 3, TURN, NOW).await.unwrap() })
    });
    let mut found = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        found.extend(call.await.unwrap());
    }
    // Tellers at the same time may leave some to the next round, but none gets what another has.
    found.extend(due(&**store, NOW).await);
    let positions: HashSet<u64> = found.iter().map(|event| event.position).collect();
    assert_eq!((found.len(), positions.len()), (20, 20));
    assert!(found.iter().all(|event| event.attempts == 1));
}

pub(crate) async fn of_parallel_tellers_none_overtakes_within_a_subject(store: &Arc<impl Durable + 'static>) {
    for number in 0..12 {
        tell(&**store, event("one", ["a", "b", "c"].get(number % 3).unwrap())).await;
    }
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    for _ in 0..20 {
        let calls = (0..4).map(|_| {
            let (store, told) = (Arc::clone(store), Arc::clone(&told));
            tokio::spawn(async move {
                for event in store.due(&[client("one")], 2, TURN, NOW).await.unwrap() {
                    told.lock().unwrap().push((event.event.subject.clone(), event.position));
                    store.told(&event.event.client, event.position, Telling::Delivered).await.unwrap();
                }
            })
        });
        for call in calls.collect::<Vec<_>>() {
            call.await.unwrap();
        }
    }
    let mut last = HashMap::new();
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 12);
    for (subject, position) in told.iter() {
        assert!(last.insert(subject, *position).is_none_or(|before| before < *position), "{told:?}");
    }
}

pub(crate) async fn a_parked_event_holds_nobody_up_and_stays_in_the_feed(store: &Arc<impl Durable + 'static>) {
    tell(&**store, event("one", "s")).await;
    tell(&**store, event("one", "s")).await;
    assert_eq!(places(&due(&**store, NOW).await), [("one", 1)]);
    store.told(&client("one"), 1, Telling::Parked).await.unwrap();
    assert_eq!(store.waiting(&[client("one")]).await.unwrap(), 1);
    assert_eq!(places(&due(&**store, NOW).await), [("one", 2)]);
    store.told(&client("one"), 2, Telling::Delivered).await.unwrap();
    assert_eq!(due(&**store, NOW + LEASE).await, []);
    assert_eq!(feed(&**store, "one", 0, 100).await, [1, 2]);
}

pub(crate) async fn what_was_delivered_stays_delivered(store: &Arc<impl Durable + 'static>) {
    tell(&**store, event("one", "s")).await;
    due(&**store, NOW).await;
    store.told(&client("one"), 1, Telling::Delivered).await.unwrap();
    for telling in [Telling::Again(NOW), Telling::Parked] {
        store.told(&client("one"), 1, telling).await.unwrap();
    }
    assert_eq!(due(&**store, NOW + LEASE).await, []);
    assert_eq!(store.waiting(&[client("one")]).await.unwrap(), 0);
    // Of what nobody knows, nothing is written down.
    store.told(&client("one"), 7, Telling::Delivered).await.unwrap();
    store.told(&client("three"), 1, Telling::Delivered).await.unwrap();
}

pub(crate) async fn events_are_delivered_again_from_a_position_on(store: &Arc<impl Durable + 'static>) {
    for _ in 0..3 {
        tell(&**store, event("one", "s")).await;
        let found = due(&**store, NOW).await;
        let position = found.first().unwrap().position;
        store
            .told(&client("one"), position, if position == 2 { Telling::Parked } else { Telling::Delivered })
            .await
            .unwrap();
    }
    tell(&**store, event("two", "s")).await;
    assert_eq!(store.redeliver(&client("one"), 3, NOW).await.unwrap(), 0);
    assert_eq!(store.redeliver(&client("three"), 0, NOW).await.unwrap(), 0);
    let later = NOW + LEASE;
    assert_eq!(store.redeliver(&client("one"), 1, later).await.unwrap(), 2);
    assert_eq!(store.waiting(&[client("one")]).await.unwrap(), 2);
    assert_eq!(places(&due(&**store, later - TICK).await), [("two", 1)]);
    let again = store.due(&[client("one")], 100, TURN, later).await.unwrap();
    assert_eq!(places(&again), [("one", 2)]);
    assert_eq!(again.first().map(|event| event.attempts), Some(1));
}

pub(crate) async fn what_waits_is_counted_for_those_named(store: &Arc<impl Durable + 'static>) {
    assert_eq!(store.waiting(&[client("one")]).await.unwrap(), 0);
    for name in ["one", "two", "one"] {
        tell(&**store, event(name, "s")).await;
    }
    assert_eq!(store.waiting(&[]).await.unwrap(), 0);
    assert_eq!(store.waiting(&[client("one")]).await.unwrap(), 2);
    assert_eq!(store.waiting(&[client("one"), client("two"), client("three")]).await.unwrap(), 3);
    due(&**store, NOW).await;
    assert_eq!(store.waiting(&[client("one")]).await.unwrap(), 2);
}
