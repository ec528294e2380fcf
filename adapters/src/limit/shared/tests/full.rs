//! A client that asks for a new counter with every call: it fills its share of the servers, and nobody else's.

use policies::limit::Values;

use super::super::OWNER_COUNTERS_MAX;
use super::super::places::May;
use super::*;
use crate::limit::asked::{Asked, Happened, Untaken};
use crate::limit::limits::Limits;
use crate::limit::local::LocalLimiter;

/// How many counters an owner may have here, and how many of those that can be done without.
const SHARE: usize = 4;
const SPARE: usize = 2;

/// One of so many gateways that its share is soon full.
fn narrow() -> SharedLimiter {
    let limiter = open();
    limiter.set_alive((OWNER_COUNTERS_MAX / SHARE) as u32);
    limiter
}

fn by_subject(id: &str, shape: Shape) -> Limit {
    Limit { per: vec![Dimension::Client, Dimension::Subject], ..limit(id, shape) }
}

fn about<'a>(limit: &'a Limit, subject: &'a str) -> Counted<'a> {
    Counted { limit, values: Values { subject: Some(subject), ..VALUES }, thing: None }
}

#[tokio::test]
async fn who_makes_up_names_is_refused_beyond_its_share_and_nothing_is_taken() {
    for cluster in [false, true] {
        let mut limiter = narrow();
        limiter.cluster = cluster;
        let (people, all) = (by_subject("people", quota(9, Window::Day)), limit("all", quota(99, Window::Day)));
        // One slot after the other in a Cluster: what the first gave is given back.
        let across = Limit { per: vec![Dimension::Subject], ..by_subject("across", quota(9, Window::Day)) };
        for subject in ["a", "b"] {
            let asked = [counted(&all), about(&people, subject)];
            assert!(limiter.take(&asked, "shop", now()).await.unwrap().counted);
        }
        // Three counters until now.
        assert!(limiter.take(&[about(&across, "a")], "shop", now()).await.unwrap().counted);
        for asked in [about(&people, "c"), about(&across, "c")] {
            let taken = limiter.take(&[counted(&all), asked], "shop", now()).await.unwrap();
            assert!(!taken.counted, "{taken:?}");
            assert_eq!(taken.exhausted, [Arc::clone(&asked.limit.id)]);
        }
        let left = limiter.read(&[counted(&all), about(&people, "c")], now()).await.unwrap();
        assert_eq!((left[0].remaining, left[1].remaining), (97, 9));
        // What there is counts on, and others have their own share.
        assert!(limiter.take(&[counted(&all), about(&people, "b")], "shop", now()).await.unwrap().counted);
        let taken = limiter.take(&[about(&people, "d")], "bank", now()).await.unwrap();
        assert!(taken.counted && taken.exhausted.is_empty());
        assert_eq!(limiter.readings().counters, 5);
    }
}

#[tokio::test]
async fn who_has_no_room_hears_so_rather_than_that_there_is_no_place() {
    let limiter = narrow();
    let (people, once) = (by_subject("people", quota(9, Window::Day)), limit("once", quota(1, Window::Day)));
    assert!(limiter.take(&[counted(&once)], "shop", now()).await.unwrap().counted);
    for subject in ["a", "b", "c"] {
        assert!(limiter.take(&[about(&people, subject)], "shop", now()).await.unwrap().counted);
    }
    let taken = limiter.take(&[counted(&once), about(&people, "d")], "shop", now()).await.unwrap();
    assert!(!taken.counted && taken.exhausted.is_empty() && !taken.verdicts[0].admitted && taken.verdicts[1].admitted);
}

#[tokio::test]
async fn what_refuses_nobody_is_left_out_where_places_are_few() {
    let limiter = narrow();
    let reports = Limit { mode: Mode::Report, ..by_subject("reports", quota(9, Window::Day)) };
    for subject in ["a", "b"] {
        assert!(limiter.take(&[about(&reports, subject)], "shop", now()).await.unwrap().verdicts[0].admitted);
    }
    assert_eq!(limiter.readings().counters, SPARE);
    let polls = by_subject("polls", polls(HOUR, HOUR, 9, 24 * HOUR));
    limiter.begun(&about(&polls, "a"), "shop", now()).await.unwrap();
    assert!(limiter.read(&[about(&polls, "a")], now()).await.unwrap()[0].admitted, "it has begun");
    for subject in ["c", "d", "e"] {
        let needed = by_subject("needed", quota(9, Window::Day));
        let asked = [about(&reports, subject), about(&needed, subject)];
        let taken = limiter.take(&asked, "shop", now()).await.unwrap();
        // The third finds no place for what is needed, either.
        assert_eq!((taken.counted, taken.exhausted.len()), (subject != "e", usize::from(subject == "e")));
        assert!(!taken.counted || !taken.verdicts[0].admitted && taken.verdicts[1].admitted);
    }
    assert!(limiter.take(&[about(&reports, "f")], "shop", now()).await.unwrap().counted);
    assert_eq!(limiter.readings().counters, SHARE);
}

#[tokio::test]
async fn marks_are_counted_and_are_left_while_there_are_places() {
    let limiter = narrow();
    let lookups = limit("lookups", lookups(1, HOUR, 100));
    let mut given = Vec::new();
    for thing in ["one", "one", "two"] {
        let asked = [Counted { thing: Some(thing), ..counted(&lookups) }];
        assert!(limiter.take(&asked, "shop", now()).await.unwrap().counted);
    }
    // The counter and the mark of one thing: there is no place for a second one.
    assert_eq!(limiter.readings().counters, SPARE);
    for thing in ["one", "two"] {
        let happened = Happened { limit: &lookups, values: &VALUES, owner: "shop", thing, now: now() };
        given.push(limiter.happened(&happened).await.unwrap());
    }
    assert_eq!(given, [true, false]);
}

#[tokio::test]
async fn limits_that_are_shared_say_that_there_is_no_place_as_those_that_are_not() {
    let limits = Limits::with_shared(LocalLimiter::new(), Arc::new(narrow()));
    let people = by_subject("people", bucket(1, HOUR, 5));
    let parallel = limit("parallel", Shape::InFlight(some(1)));
    let ask = async |subject: &str| {
        let counted = [about(&people, subject), counted(&parallel)];
        limits.take(&Asked { limits: &counted, owner: "shop", call: "", now: now() }).await.map(drop)
    };
    for subject in ["a", "b", "c", "d"] {
        ask(subject).await.unwrap();
    }
    assert_eq!(ask("e").await, Err(Untaken::KeysExhausted { limits: vec!["people".into()] }));
    // The place among the calls under way came back.
    ask("a").await.unwrap();
    limits.shared().unwrap().set_alive(1);
    ask("e").await.unwrap();
    assert_eq!(limits.shared().unwrap().places.may("shop", NonZeroU32::MIN, now()), May::All);
}
