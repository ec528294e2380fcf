//! Many threads at once: as many calls as there may be are let in, and not one more or fewer.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use adapters::limit::limits::{Asked, Counted, Limits, Taken};
use policies::limit::{Dimension, Limit, Polls, Quota, Sessions, Shape, Values, Window};
use policies::time::Timestamp;

use crate::dice::{Dice, full};
use crate::rules::{bucket, limit, some};
use crate::sequences::at_once;

const THREADS: usize = 64;

/// How often each thread calls; every day, and in the large run.
const CALLS: usize = 40;
const CALLS_FULL: usize = 2000;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const CLIENTS: [&str; 4] = ["app-0", "app-1", "app-2", "app-3"];

fn calls() -> usize {
    if full() { CALLS_FULL } else { CALLS }
}

fn of(client: &'static str) -> Values<'static> {
    Values { client: Some(client), organisation: Some("bank"), resource: Some("a"), ..Values::default() }
}

fn take(engine: &Limits, limits: &[&Limit], values: Values<'_>) -> Taken {
    let counted: Vec<_> = limits.iter().map(|limit| Counted { limit, values, thing: None }).collect();
    let asked = Asked { limits: &counted, owner: values.client.unwrap(), call: "call", now: NOW };
    at_once(engine.take(&asked)).unwrap()
}

fn remaining(engine: &Limits, limit: &Limit, values: Values<'_>) -> u64 {
    let counted = [Counted { limit, values, thing: None }];
    let asked = Asked { limits: &counted, owner: values.client.unwrap(), call: "call", now: NOW };
    let verdicts = at_once(engine.read(&asked)).unwrap();
    u64::from(verdicts.first().unwrap().remaining)
}

fn is_admitted(taken: &Taken) -> bool {
    taken.verdicts.iter().all(|verdict| verdict.admitted)
}

/// Runs something on every thread, all from the same moment on.
fn together(work: impl Fn(usize) + Sync) {
    let start = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (start, work) = (&start, &work);
            scope.spawn(move || {
                start.wait();
                work(thread);
            });
        }
    });
}

/// Every shape with room for exactly so many calls at one instant.
fn shapes(room: u64) -> Vec<(Shape, u64)> {
    let quota = |window| Shape::Quota(Quota { most: some(room), window });
    let hour = Duration::from_secs(3600);
    let polls = |gap| Polls { after: None, first: Duration::ZERO, gap, most: some(room), within: hour };
    let sessions = |calls, rate| Sessions { per_day: some(2), calls: some(calls), rate: some(rate), idle: hour };
    vec![
        (Shape::Bucket(bucket(1, hour, room)), room),
        (quota(Window::Second), room),
        (quota(Window::Month), room),
        (quota(Window::Rolling(hour)), room),
        (Shape::Polls(polls(Duration::ZERO)), room),
        (Shape::Polls(polls(Duration::from_millis(1))), 1),
        (Shape::Sessions(sessions(room, room + 1)), room),
        (Shape::Sessions(sessions(room + 1, room)), room),
    ]
}

#[test]
fn of_64_threads_on_one_counter_exactly_the_limit_is_let_in() {
    let room = (THREADS * calls() / 2) as u64;
    for (shape, room) in shapes(room) {
        let engine = Limits::default();
        let limit = limit("one", &[Dimension::Organisation], shape);
        let admitted = AtomicU64::new(0);
        together(|thread| {
            let client = CLIENTS.get(thread % CLIENTS.len()).unwrap();
            for _ in 0..calls() {
                let taken = take(&engine, &[&limit], of(client));
                admitted.fetch_add(u64::from(is_admitted(&taken)), Ordering::Relaxed);
            }
        });
        assert_eq!(admitted.into_inner(), room, "{limit:?}");
        assert_eq!(remaining(&engine, &limit, of("app-0")), 0, "{limit:?}");
    }
}

#[test]
fn never_more_calls_are_under_way_than_may_be_and_every_place_comes_back() {
    const PLACES: u64 = 7;
    let engine = Limits::default();
    let limit = limit("places", &[Dimension::Organisation], Shape::InFlight(some(PLACES)));
    let (under_way, most, admitted) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    together(|_| {
        for _ in 0..calls() {
            let taken = take(&engine, &[&limit], of("app-0"));
            if is_admitted(&taken) {
                most.fetch_max(under_way.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                admitted.fetch_add(1, Ordering::Relaxed);
                std::thread::yield_now();
                under_way.fetch_sub(1, Ordering::SeqCst);
            }
            drop(taken);
        }
    });
    let (most, admitted) = (most.into_inner(), admitted.into_inner());
    assert!(most <= PLACES && admitted >= most, "{most} at once, {admitted} in all");
    assert_eq!(remaining(&engine, &limit, of("app-0")), PLACES);
}

/// Which limits a call asks, in which order, and for whom.
struct Ask {
    client: &'static str,
    limits: Vec<usize>,
}

fn draw_ask(dice: &mut Dice, limits: usize) -> Ask {
    let mut chosen: Vec<_> = (0..limits).filter(|_| !dice.once_in(4)).collect();
    // In any order: who holds one counter and waits for another must meet nobody who does the reverse.
    for at in (1..chosen.len()).rev() {
        chosen.swap(at, usize::try_from(dice.below(at as u64 + 1)).unwrap());
    }
    Ask { client: dice.pick::<&str>(&CLIENTS), limits: chosen }
}

#[test]
fn limits_that_are_asked_together_are_taken_from_together_or_not_at_all() {
    let room = (THREADS * calls()) as u64;
    let quota = |most| Shape::Quota(Quota { most: some(most), window: Window::Month });
    let hour = Duration::from_secs(3600);
    let limits = [
        limit("a", &[Dimension::Organisation], Shape::Bucket(bucket(1, hour, room / 3))),
        limit("b", &[Dimension::Client], quota(room / 10)),
        limit("c", &[Dimension::Client], Shape::Bucket(bucket(1, hour, room / 8))),
        limit("d", &[Dimension::Organisation], Shape::InFlight(some(room))),
        limit("e", &[Dimension::Organisation], quota(room / 4)),
    ];
    let engine = Limits::default();
    let dice = Dice::of_this_run();
    // How many calls were let in of each limit and client.
    let counts: Vec<Vec<AtomicU64>> = limits.iter().map(|_| CLIENTS.map(|_| AtomicU64::new(0)).into()).collect();
    together(|thread| {
        let mut dice = dice.round(thread as u64);
        for _ in 0..calls() {
            let ask = draw_ask(&mut dice, limits.len());
            let asked: Vec<_> = ask.limits.iter().map(|number| limits.get(*number).unwrap()).collect();
            if is_admitted(&take(&engine, &asked, of(ask.client))) {
                let client = CLIENTS.iter().position(|client| *client == ask.client).unwrap();
                for number in &ask.limits {
                    counts.get(*number).unwrap().get(client).unwrap().fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    });
    let mut full = 0;
    for (limit, counts) in limits.iter().zip(&counts) {
        let counts: Vec<u64> = counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let most = match &limit.shape {
            Shape::Bucket(bucket) => u64::from(bucket.burst.get()),
            Shape::Quota(quota) => u64::from(quota.most.get()),
            // All have ended.
            _ => {
                assert_eq!(remaining(&engine, limit, of("app-0")), room);
                continue;
            }
        };
        for (client, count) in CLIENTS.iter().zip(&counts) {
            let by_client = limit.per == [Dimension::Client];
            let count = if by_client { *count } else { counts.iter().sum() };
            assert!(count <= most, "{count} of {most}: {limit:?}");
            assert_eq!(remaining(&engine, limit, of(client)), most - count, "{client}: {limit:?}");
            full += u64::from(count == most);
        }
    }
    assert!(full > 0, "no limit was used up");
}
