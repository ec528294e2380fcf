//! What one limiter counts, all others see; and what is known here costs no call.

use policies::limit::WithoutStore;
use redis::cmd;

use super::super::key::CounterKey;
use super::super::places::May;
use super::super::script::{Moment, Part, Verb, count, said};
use super::super::seen::lease;
use super::super::{LEASE, OVER_GIVEN, OVER_KEPT};
use super::*;
use crate::limit::asked::{Asked, Happened, Untaken};
use crate::limit::limits::Limits;
use crate::limit::local::LocalLimiter;
use crate::store::redis::tests::raw;

fn asked_of<'a>(limits: &'a [Counted<'a>]) -> Asked<'a> {
    Asked { limits, owner: "shop", call: "", now: now() }
}

fn calls(limiter: &SharedLimiter) -> u64 {
    limiter.readings().link.calls
}

#[tokio::test]
async fn nothing_is_taken_from_any_if_one_has_no_room_and_all_of_those_are_named() {
    let limiter = open();
    let (wide, narrow, none) = (
        limit("wide", quota(10, Window::Month)),
        limit("narrow", quota(1, Window::Month)),
        limit("none", bucket(1, HOUR, 1)),
    );
    let all = [counted(&wide), counted(&narrow), counted(&none)];
    assert!(limiter.take(&all, "", now()).await.unwrap().counted);
    let refused = limiter.take(&all, "", now()).await.unwrap();
    assert!(!refused.counted && !refused.holds.settles());
    let verdicts: Vec<_> = refused.verdicts.iter().map(|verdict| verdict.admitted).collect();
    assert_eq!(verdicts, [true, false, false]);
    assert_eq!(limiter.read(&all, now()).await.unwrap()[0].remaining, 9);
    // One that only reports refuses nobody, is not taken from, and is told.
    let shadow = Limit { mode: Mode::Report, ..narrow.clone() };
    let taken = limiter.take(&[counted(&wide), counted(&shadow)], "", now()).await.unwrap();
    assert!(taken.counted && taken.verdicts[0].admitted && !taken.verdicts[1].admitted);
    assert_eq!(taken.verdicts[0].remaining, 8);
}

#[tokio::test]
async fn a_limit_that_a_plan_and_an_operation_share_counts_a_call_once() {
    let limiter = open();
    for shape in [quota(3, Window::Month), bucket(2000, HOUR, 3), bucket(2000, SECOND, 1000)] {
        let limit = limit(if matches!(shape, Shape::Quota(_)) { "q" } else { "b" }, shape);
        let shadow = Limit { mode: Mode::Report, ..limit.clone() };
        let twice = [counted(&shadow), counted(&limit)];
        limiter.reset(&twice).await.unwrap();
        for _ in 0..3 {
            let taken = limiter.take(&twice, "", now()).await.unwrap();
            assert!(taken.counted && taken.verdicts[0] == taken.verdicts[1]);
        }
        let left = limiter.read(&[counted(&limit)], now()).await.unwrap()[0].remaining;
        assert!(left == 0 || left >= 990, "{left}");
        assert_eq!(limiter.take(&twice, "", now()).await.unwrap().counted, left > 0);
    }
}

#[tokio::test]
async fn in_a_cluster_nothing_stays_taken_in_one_slot_if_another_has_no_room() {
    let shapes = || {
        [
            bucket(1, HOUR, 5),
            quota(5, Window::Month),
            quota(5, Window::Day),
            quota(5, Window::Rolling(HOUR)),
            polls(Duration::ZERO, Duration::ZERO, 5, HOUR),
            sessions(5, 5, 5, HOUR),
        ]
    };
    for (number, shape) in shapes().into_iter().enumerate() {
        let mut limiter = open();
        limiter.cluster = true;
        let first = limit(&number.to_string(), shape);
        let rate = Rate { count: some(1), per: HOUR };
        let across = Limit::bucket("across", &[Dimension::Subject], rate, some(1));
        let both = [counted(&first), counted(&across)];
        assert!(limiter.take(&both, "", now()).await.unwrap().counted);
        let (one, before) = ([counted(&first)], limiter.read(&[counted(&first)], now()).await.unwrap()[0].remaining);
        // Forgotten here, so that the servers are asked.
        limiter.over_clear();
        assert!(!limiter.take(&both, "", now()).await.unwrap().counted);
        let after = limiter.read(&one, now()).await.unwrap()[0].remaining;
        assert_eq!(before, after, "{first:?}");
        assert_eq!(limiter.reset(&both).await.unwrap(), 2);
        assert!(limiter.take(&both, "", now()).await.unwrap().counted);
    }
}

#[tokio::test]
async fn in_a_cluster_what_was_given_back_is_soon_found_again() {
    let [first, mut second] = gateways();
    second.cluster = true;
    let monthly = limit("l", quota(1, Window::Month));
    let (start, one) = (now(), [counted(&monthly)]);
    assert!(first.take(&one, "", start).await.unwrap().counted);
    assert!(!second.take(&one, "", start).await.unwrap().counted);
    // Another slot had no room for the call of the first gateway.
    let key = CounterKey::of(&first.prefix, &monthly, &VALUES);
    let part = [Part::of(&key.text, &monthly.shape, 0)];
    first
        .call(count(Verb::Undo(start), Moment { call: 1, now: start, time: None, may: May::All }, &part))
        .await
        .unwrap();
    assert!(!second.take(&one, "", start + OVER_GIVEN - Duration::from_millis(1)).await.unwrap().counted);
    assert!(second.take(&one, "", start + OVER_GIVEN).await.unwrap().counted);
}

#[tokio::test]
async fn a_call_that_is_sent_twice_is_counted_once() {
    let limiter = open();
    let shapes =
        [quota(5, Window::Month), lookups(1, HOUR, 50), polls(SECOND, SECOND, 5, HOUR), sessions(5, 5, 5, HOUR)];
    for (number, shape) in shapes.into_iter().enumerate() {
        let key = format!("{}:limit:{{x}}:{number}", limiter.prefix.as_str());
        let part = [Part { key: &key, shape: &shape, enforced: true, tokens: 0 }];
        let moment = |call| Moment { call, now: now(), time: None, may: May::All };
        let mut states = Vec::new();
        // Others come between, as many as are remembered.
        for call in [1, 1, 2, 1, 2] {
            let answer = limiter.call(count(Verb::Take, moment(call), &part)).await.unwrap();
            let said = said(&answer, &part).unwrap();
            assert!(said.each[0].room || call == 2, "{shape:?}");
            states.push(said.each[0].state.clone());
        }
        assert_eq!(states[0], states[1], "{shape:?}");
        assert_eq!(states[2], states[3], "{shape:?}");
        if let Shape::Bucket(_) = shape {
            let settle = |tokens| [Part { tokens, ..part[0] }];
            let mut counters = Vec::new();
            for _ in 0..2 {
                let answer = limiter.call(count(Verb::Settle, moment(3), &settle(-1))).await.unwrap();
                counters.push(said(&answer, &part).unwrap().each[0].state.clone());
            }
            assert_eq!(counters[0], counters[1]);
            assert_ne!(counters[0], states[3]);
        }
    }
}

#[tokio::test]
async fn what_has_no_room_costs_no_call_until_it_may_have() {
    let [limiter, other] = gateways();
    let hourly = limit("l", quota(3, Window::Month));
    assert_eq!(admitted(&limiter, &hourly, 4).await, 3);
    let asked = calls(&limiter);
    for _ in 0..100 {
        let verdict = take(&limiter, &hourly).await;
        assert!(!verdict.admitted && verdict.remaining == 0 && verdict.more_after > Duration::ZERO);
    }
    assert_eq!(calls(&limiter), asked);
    assert_eq!(limiter.readings().refused, 100);
    // A reset counts at once where it was made, and elsewhere with the next beat.
    assert!(!take(&other, &hourly).await.admitted);
    assert_eq!(limiter.reset(&[counted(&hourly)]).await.unwrap(), 1);
    assert!(take(&limiter, &hourly).await.admitted);
    assert!(!take(&other, &hourly).await.admitted);
    other.beat().await.unwrap();
    assert!(take(&other, &hourly).await.admitted);
    assert_eq!(limiter.reset(&[counted(&hourly)]).await.unwrap(), 1);
    assert_eq!(limiter.reset(&[counted(&hourly)]).await.unwrap(), 0);
}

#[tokio::test]
async fn room_that_may_come_again_is_asked_for_when_it_is_due() {
    let limiter = open();
    let slow = limit("l", bucket(1, 60 * SECOND, 1));
    let start = now();
    let one = [counted(&slow)];
    assert!(limiter.take(&one, "", start).await.unwrap().counted);
    assert!(!limiter.take(&one, "", start).await.unwrap().counted);
    let asked = calls(&limiter);
    assert!(!limiter.take(&one, "", start + 59 * SECOND).await.unwrap().counted);
    assert_eq!(calls(&limiter), asked);
    limiter.set_time(now() + 61 * SECOND);
    assert!(limiter.take(&one, "", start + 61 * SECOND).await.unwrap().counted);
    // Where another gateway may give tokens, what is known here is soon asked again.
    let lookups = limit("g", lookups(1, HOUR, 1));
    let one = [counted(&lookups)];
    assert!(limiter.take(&one, "", start).await.unwrap().counted);
    assert!(!limiter.take(&one, "", start).await.unwrap().counted);
    let asked = calls(&limiter);
    for (at, more) in [(OVER_GIVEN - Duration::from_millis(1), 0), (OVER_GIVEN, 1)] {
        assert!(!limiter.take(&one, "", start + at).await.unwrap().counted);
        assert_eq!(calls(&limiter), asked + more);
    }
    // A clock that steps back knows nothing.
    assert!(!limiter.take(&one, "", start - HOUR).await.unwrap().counted);
    assert_eq!(calls(&limiter), asked + 2);
}

#[tokio::test]
async fn what_has_no_room_is_asked_for_again_each_minute() {
    let limiter = open();
    let monthly = limit("l", quota(1, Window::Month));
    let (start, one) = (now(), [counted(&monthly)]);
    assert!(limiter.take(&one, "", start).await.unwrap().counted);
    assert!(!limiter.take(&one, "", start).await.unwrap().counted);
    // Somebody has lost the counter, and told nobody.
    let key = CounterKey::of(&limiter.prefix, &monthly, &VALUES);
    let () = cmd("DEL").arg(&key.text).query_async(&mut raw().await).await.unwrap();
    assert!(!limiter.take(&one, "", start + OVER_KEPT - TICK).await.unwrap().counted);
    assert!(limiter.take(&one, "", start + OVER_KEPT).await.unwrap().counted);
}

#[tokio::test]
async fn gateways_whose_sets_give_one_limit_other_terms_open_it_for_nobody() {
    let dear = |burst, cost| {
        let Shape::Bucket(mut terms) = lookups(1, HOUR, burst) else { unreachable!() };
        terms.costs.as_mut().unwrap().of.insert(404, cost);
        Shape::Bucket(terms)
    };
    let pairs = [
        (bucket(1, HOUR, 100), bucket(1, HOUR, 3)),
        (dear(10, 20), bucket(1, HOUR, 10)),
        (dear(10, 20), dear(10, 2)),
        (sessions(1, 5, 5, HOUR), sessions(3, 5, 5, TICK)),
    ];
    for (number, (here, there)) in pairs.into_iter().enumerate() {
        let [first, second] = gateways();
        let id = number.to_string();
        let (here, there) = (limit(&id, here), limit(&id, there));
        let whole = emptied(&first, &here).await;
        assert!((1..=100).contains(&whole), "{whole}");
        for _ in 0..2 {
            assert!(take(&second, &there).await.admitted, "{there:?}");
            assert_eq!(second.read(&[counted(&there)], now()).await.unwrap().len(), 1);
            first.over_clear();
            assert!(!take(&first, &here).await.admitted, "{here:?}");
        }
        // Each forgets its own.
        assert_eq!(second.reset(&[counted(&there)]).await.unwrap(), 1);
        assert_eq!(first.reset(&[counted(&here)]).await.unwrap(), 1);
        assert_eq!(emptied(&first, &here).await, whole);
    }
    // Nor are tokens drawn from a counter by the terms of another.
    let [first, second] = gateways();
    let (here, there) = (limit("l", dear(10, 20)), limit("l", dear(3, 20)));
    let look = Counted { thing: Some("E1"), ..counted(&here) };
    assert!(first.take(&[look], "", now()).await.unwrap().counted);
    let happened = |limit| Happened { limit, values: &VALUES, owner: "", thing: "E1", now: now() };
    assert!(!second.happened(&happened(&there)).await.unwrap());
    assert!(first.happened(&happened(&here)).await.unwrap());
}

/// Takes calls until there is no room, each as dear as can be; tells how many there were.
async fn emptied(limiter: &SharedLimiter, limit: &Limit) -> usize {
    for call in 0.. {
        let mut taken = limiter.take(&[counted(limit)], "", now()).await.unwrap();
        if !taken.counted {
            return call;
        }
        limiter.settle(&mut taken.holds, Some(404), now()).await.unwrap();
    }
    usize::MAX
}

#[tokio::test]
async fn four_gateways_share_one_limit_exactly() {
    let limiters = gateways::<4>().map(Arc::new);
    let monthly = limit("l", quota(500, Window::Month));
    let mut tasks = Vec::new();
    for task in 0..64 {
        let (limiter, limit) = (Arc::clone(&limiters[task % 4]), monthly.clone());
        tasks.push(tokio::spawn(async move { admitted(&limiter, &limit, 20).await }));
    }
    let mut sum = 0;
    for task in tasks {
        sum += task.await.unwrap();
    }
    assert_eq!(sum, 500);
}

#[tokio::test]
async fn four_gateways_that_lease_keep_one_limit_within_one_percent() {
    const BURST: u32 = 4000;
    let limiters = gateways::<4>().map(Arc::new);
    let hot = limit("l", bucket(800, SECOND, BURST));
    let Shape::Bucket(terms) = &hot.shape else { unreachable!() };
    assert_eq!(lease(terms), BURST / 100);
    let started = now();
    let mut tasks = Vec::new();
    for task in 0..16 {
        let (limiter, limit) = (Arc::clone(&limiters[task % 4]), hot.clone());
        tasks.push(tokio::spawn(async move {
            let mut sum = 0;
            let mut refused = 0;
            // Until the bucket is empty, and then until it has refilled now and then.
            while refused < 2000 {
                if take(&limiter, &limit).await.admitted {
                    sum += 1;
                } else {
                    refused += 1;
                    tokio::task::yield_now().await;
                }
            }
            sum
        }));
    }
    let mut sum = 0.0;
    for task in tasks {
        sum += f64::from(task.await.unwrap());
    }
    // What is left, and what time has given; a token that is refilling belongs to either side.
    let left = f64::from(limiters[0].read(&[counted(&hot)], now()).await.unwrap()[0].remaining);
    let given = f64::from(BURST) + now().since(started).as_secs_f64() * 800.0;
    assert!(sum <= given * 1.01, "{sum} of {given}");
    assert!(sum + left >= given.min(f64::from(BURST) * 2.0) * 0.99 - 4.0 * 40.0, "{sum} and {left} of {given}");
    let readings: Vec<_> = limiters.iter().map(|limiter| limiter.readings()).collect();
    let leased: u64 = readings.iter().map(|readings| readings.leased).sum();
    assert!(leased > u64::from(BURST) / 2, "{leased} of {sum}");
}

#[test]
fn slow_buckets_and_those_with_costs_or_credits_are_never_leased() {
    let part = |shape: Shape| match &shape {
        Shape::Bucket(terms) => lease(terms),
        _ => unreachable!(),
    };
    assert_eq!(part(bucket(19, SECOND, 100_000)), 0);
    assert_eq!(part(bucket(20, SECOND, 100_000)), 1);
    assert_eq!(part(bucket(1199, 60 * SECOND, 100_000)), 0);
    assert_eq!(part(bucket(2000, SECOND, 100_000)), 100);
    assert_eq!(part(bucket(2000, SECOND, 5000)), 50);
    assert_eq!(part(bucket(2000, SECOND, 99)), 0);
    assert_eq!(part(lookups(2000, SECOND, 100_000)), 0);
    let Shape::Bucket(terms) = lookups(2000, SECOND, 100_000) else { unreachable!() };
    assert_eq!(lease(&Bucket { costs: None, ..terms.clone() }), 0);
    assert_eq!(lease(&Bucket { credit: None, ..terms }), 0);
}

#[tokio::test]
async fn a_lease_serves_as_many_calls_as_it_has_and_ends_by_itself() {
    let limiter = open();
    let hot = limit("l", bucket(2000, SECOND, 1000));
    let lease = u64::try_from(LEASE.as_millis()).unwrap();
    let early = now();
    // The beginning of a piece of time, so that the calls before all come in the piece before.
    let start = early + Duration::from_millis(2 * lease - u64::try_from(early.millis()).unwrap() % lease);
    let one = [counted(&hot)];
    // Nothing is leased until as many calls came as a lease is for.
    for call in 1..=20 {
        assert!(limiter.take(&one, "", start - LEASE).await.unwrap().counted);
        assert_eq!(calls(&limiter), call);
    }
    for call in 0..10 {
        let taken = limiter.take(&one, "", start).await.unwrap();
        assert!(taken.counted);
        // Together with what is refilled meanwhile there is as much left as if each call had been asked for.
        assert!((970 - call..=999).contains(&taken.verdicts[0].remaining), "{:?}", taken.verdicts);
        assert_eq!(calls(&limiter), 21, "{call}");
    }
    assert!(limiter.take(&one, "", start).await.unwrap().counted);
    assert_eq!((calls(&limiter), limiter.readings().leased), (22, 9));
    assert!(limiter.take(&one, "", start + LEASE - Duration::from_millis(1)).await.unwrap().counted);
    assert_eq!(calls(&limiter), 22);
    assert!(limiter.take(&one, "", start + LEASE).await.unwrap().counted);
    assert_eq!(calls(&limiter), 23);
    // A leased token that another limit has no room for is put back.
    let none = limit("none", quota(1, Window::Month));
    let both = [counted(&hot), counted(&none)];
    let left = |verdicts: &[Verdict]| verdicts[0].remaining;
    assert!(limiter.take(&[counted(&none)], "", start + LEASE).await.unwrap().counted);
    let before = left(&limiter.take(&one, "", start + LEASE).await.unwrap().verdicts);
    assert!(!limiter.take(&both, "", start + LEASE).await.unwrap().counted);
    let after = left(&limiter.take(&one, "", start + LEASE).await.unwrap().verdicts);
    assert_eq!(after, before - 1);
}

#[tokio::test]
async fn leases_that_are_not_used_take_nothing_from_other_gateways() {
    let [first, second] = gateways();
    let hot = limit("l", bucket(1000, SECOND, 5000));
    let (start, one) = (now(), [counted(&hot)]);
    // Forty calls a second, for a limit of a thousand: leases as large as may be would be lost faster than it refills.
    for step in 0..240_u32 {
        let at = start + LEASE * step;
        for limiter in [&first, &second] {
            limiter.set_time(now() + LEASE * step);
            assert!(limiter.take(&one, "", at).await.unwrap().counted, "{step}");
        }
    }
    assert!(first.read(&one, now()).await.unwrap()[0].remaining >= 4990);
}

#[tokio::test]
async fn costs_are_settled_and_credits_given_once_whoever_counts() {
    let [first, second] = gateways().map(|shared| Limits::with_shared(LocalLimiter::new(), Arc::new(shared)));
    let lookups = limit("l", lookups(1, HOUR, 100));
    let one = [Counted { thing: Some("E1"), ..counted(&lookups) }];
    let asked = asked_of;
    let left = async |limits: &Limits| limits.read(&asked(&one)).await.unwrap()[0].remaining;
    assert!(first.take_here(&asked(&one)).is_none());
    let mut taken = first.take(&asked(&one)).await.unwrap();
    assert!(taken.holds.settles() && !taken.holds.is_empty());
    assert_eq!(left(&second).await, 99);
    first.settle(&mut taken.holds, Some(404), now()).await;
    assert_eq!(left(&second).await, 80);
    assert!(!taken.holds.settles());
    first.settle(&mut taken.holds, Some(404), now()).await;
    assert_eq!(left(&second).await, 80);
    // What costs nothing is given back, and what nobody knows the end of stays taken.
    for (status, after) in [(Some(500), 80), (Some(200), 79), (None, 78)] {
        let plain = [counted(&lookups)];
        let mut taken = second.take(&asked(&plain)).await.unwrap();
        second.settle(&mut taken.holds, status, now()).await;
        assert_eq!(left(&first).await, after, "{status:?}");
    }
    // The payment comes to another gateway, from another client of the organisation, and names nothing else.
    let values = Values { organisation: Some("alem"), client: Some("till"), ..Values::default() };
    let happened = |thing| Happened { limit: &lookups, values: &values, owner: "till", thing, now: now() };
    assert!(!second.happened(&happened("E2")).await.unwrap());
    assert!(second.happened(&happened("E1")).await.unwrap());
    assert!(!first.happened(&happened("E1")).await.unwrap());
    assert_eq!(left(&first).await, 79);
}

#[tokio::test]
async fn an_answer_that_is_repeated_gives_no_tokens() {
    let [shared] = gateways().map(|shared| Limits::with_shared(LocalLimiter::new(), Arc::new(shared)));
    let Shape::Bucket(mut bucket) = lookups(1, HOUR, 100) else { unreachable!() };
    bucket.costs.as_mut().unwrap().of.insert(201, -5);
    let paid = limit("p", Shape::Bucket(bucket));
    let one = [counted(&paid)];
    for (repeated, status, left) in
        [(false, 404, 80), (false, 201, 85), (true, 201, 85), (true, 500, 85), (true, 200, 84)]
    {
        let mut taken = shared.take(&asked_of(&one)).await.unwrap();
        if repeated {
            taken.holds.repeat();
        }
        shared.settle(&mut taken.holds, Some(status), now()).await;
        assert_eq!(shared.read(&asked_of(&one)).await.unwrap()[0].remaining, left, "{repeated} {status}");
    }
}

#[tokio::test]
async fn a_credit_goes_to_who_looked_first_whoever_counts() {
    let [first, second] = gateways::<2>();
    let lookups = limit("l", lookups(1, HOUR, 100));
    let of = |client| Values { organisation: Some("alem"), client: Some(client), ..Values::default() };
    let (shop, till) = (of("shop"), of("till"));
    let look = |values| Counted { limit: &lookups, values, thing: Some("E1") };
    for (gateway, values) in [(&first, shop), (&second, till), (&first, till), (&second, shop)] {
        assert!(gateway.take(&[look(values)], "", now()).await.unwrap().counted);
    }
    let happened = Happened { limit: &lookups, values: &till, owner: "", thing: "E1", now: now() };
    assert!(second.happened(&happened).await.unwrap() && !first.happened(&happened).await.unwrap());
    let left = first.read(&[look(shop), look(till)], now()).await.unwrap();
    assert_eq!((left[0].remaining, left[1].remaining), (99, 98));
    // What is spent is anybody's again.
    assert!(first.take(&[look(till)], "", now()).await.unwrap().counted);
    assert!(first.happened(&happened).await.unwrap());
    assert_eq!(second.read(&[look(till)], now()).await.unwrap()[0].remaining, 98);
}

#[tokio::test]
async fn polls_wait_where_the_thing_has_begun_elsewhere() {
    let [first, second] = gateways::<2>();
    let polls = limit("p", polls(90 * SECOND, 60 * SECOND, 3, 2 * HOUR));
    first.begun(&counted(&polls), "shop", now()).await.unwrap();
    let verdict = take(&second, &polls).await;
    assert!(!verdict.admitted && verdict.more_after > 80 * SECOND);
    // Another limit has no beginning.
    first.begun(&counted(&limit("q", quota(1, Window::Month))), "shop", now()).await.unwrap();
    assert!(take(&second, &limit("q", quota(1, Window::Month))).await.admitted);
}

#[tokio::test]
async fn calls_under_way_are_counted_here_and_give_their_place_back() {
    let limits = Limits::with_shared(LocalLimiter::new(), Arc::new(open()));
    let parallel = limit("parallel", Shape::InFlight(some(1)));
    let monthly = limit("monthly", quota(2, Window::Month));
    let both = [counted(&monthly), counted(&parallel)];
    let asked = asked_of;
    let admitted = |verdicts: &[Verdict]| verdicts.iter().map(|verdict| verdict.admitted).collect::<Vec<_>>();
    let first = limits.take(&asked(&both)).await.unwrap();
    assert_eq!(admitted(&first.verdicts), [true, true]);
    // While it is under way, another takes nothing from those that are shared.
    let second = limits.take(&asked(&both)).await.unwrap();
    assert_eq!(admitted(&second.verdicts), [true, false]);
    drop((first, second));
    let third = limits.take(&asked(&both)).await.unwrap();
    assert_eq!((admitted(&third.verdicts), third.verdicts[0].remaining), (vec![true, true], 0));
    drop(third);
    // A place that was had for a moment is given back where the shared ones have no room.
    for _ in 0..2 {
        let refused = limits.take(&asked(&both)).await.unwrap();
        assert_eq!(admitted(&refused.verdicts), [false, true]);
        assert!(refused.holds.is_empty());
    }
    // Calls under way alone wait for nobody.
    assert!(limits.take_here(&asked(&both[1..])).is_some());
}

#[tokio::test]
async fn gateways_hear_of_one_another_until_one_is_silent() {
    let [first, second] = gateways::<2>();
    assert_eq!(first.alive().get(), 1);
    first.beat().await.unwrap();
    second.beat().await.unwrap();
    first.beat().await.unwrap();
    assert_eq!((first.alive().get(), second.alive().get()), (2, 2));
    let [alive, _] = super::super::key::gateways(&first.prefix);
    let names: Vec<String> = cmd("ZRANGE").arg(&alive).arg(0).arg(-1).query_async(&mut raw().await).await.unwrap();
    // One said nothing for longer than the living do, or its server's clock stands far ahead.
    for at in [now() - super::super::DEAD_AFTER - SECOND, now() + 60 * SECOND] {
        for name in &names {
            let () = cmd("ZADD").arg(&alive).arg(at.millis()).arg(name).query_async(&mut raw().await).await.unwrap();
        }
        first.beat().await.unwrap();
        assert_eq!(first.alive().get(), 1);
    }
    let left: i64 = cmd("PTTL").arg(&alive).query_async(&mut raw().await).await.unwrap();
    assert!((1..=5000).contains(&left));
}

#[tokio::test]
async fn while_the_servers_answer_their_modes_without_them_make_no_difference() {
    let limits = Limits::with_shared(LocalLimiter::new(), Arc::new(open()));
    for without_store in WithoutStore::ALL {
        let once = Limit { without_store, ..limit(without_store.word(), quota(1, Window::Month)) };
        let one = [counted(&once)];
        let asked = Asked { limits: &one, owner: "shop", call: "", now: now() };
        let taken: Result<Vec<_>, Untaken> = limits.take(&asked).await.map(|taken| taken.verdicts);
        assert!(taken.unwrap()[0].admitted);
        assert!(!limits.take(&asked).await.unwrap().verdicts[0].admitted);
    }
}
