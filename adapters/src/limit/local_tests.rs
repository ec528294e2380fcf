//! What is counted in this process, on both sides of each bound, with the time moved by hand.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use policies::id::OperationId;
use policies::limit::clock::STEP_BACK_MAX;
use policies::limit::state::{self, State};
use policies::limit::{
    Bucket, Costs, Credit, Dimension, Limit, Mode, Polls, Quota, Rate, Sessions, Shape, Values, Verdict, Window,
};
use policies::time::Timestamp;

use super::asked::{Asked, Counted, Happened, Untaken};
use super::local::{Fullness, Holds, LocalLimiter};
use super::store::{KEYS_FEW, OWNER_PART, RESERVED_PART};

// The start of a minute and of an hour.
const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const TICK: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

fn limit(id: &str, shape: Shape) -> Limit {
    let mut limit =
        Limit::bucket(id, &[Dimension::Client], Rate { count: NonZeroU32::MIN, per: SECOND }, NonZeroU32::MIN);
    limit.shape = shape;
    limit
}

fn terms(count: u32, per: Duration, burst: u32) -> Bucket {
    Bucket { rate: Rate { count: number(count), per }, burst: number(burst), costs: None, credit: None }
}

fn bucket(count: u32, per: Duration, burst: u32) -> Limit {
    limit("bucket", Shape::Bucket(terms(count, per, burst)))
}

fn quota(most: u32, window: Window) -> Limit {
    limit("quota", Shape::Quota(Quota { most: number(most), window }))
}

fn antiscan(within: Duration) -> Limit {
    let operation = OperationId::parse("createDomesticPayment").unwrap();
    let credit = Credit { operation, tokens: number(2), by: "x-end-to-end-id".into(), within };
    let costs = Costs { of: BTreeMap::from([(404, 20), (500, 0), (204, -5)]), otherwise: 1 };
    limit("antiscan", Shape::Bucket(Bucket { costs: Some(costs), credit: Some(credit), ..terms(2, MINUTE, 100) }))
}

fn client(client: &str) -> Values<'_> {
    Values { client: Some(client), ..Values::default() }
}

fn counted<'a>(limits: &[&'a Limit], values: Values<'a>) -> Vec<Counted<'a>> {
    limits.iter().map(|limit| Counted { limit, values, thing: None }).collect()
}

fn take(limiter: &LocalLimiter, limits: &[&Limit], of: &str, now: Timestamp) -> (Vec<Verdict>, Holds) {
    limiter.take(&Asked { limits: &counted(limits, client(of)), owner: of, call: "call", now }).unwrap()
}

fn one(limiter: &LocalLimiter, limit: &Limit, of: &str, now: Timestamp) -> Verdict {
    *take(limiter, &[limit], of, now).0.first().unwrap()
}

fn left(limiter: &LocalLimiter, limit: &Limit, of: &str, now: Timestamp) -> u32 {
    let counted = counted(&[limit], client(of));
    let asked = Asked { limits: &counted, owner: of, call: "call", now };
    limiter.read(&asked).first().unwrap().remaining
}

#[test]
fn a_burst_fits_once_and_then_the_rate_holds() {
    let (limiter, limit) = (LocalLimiter::new(), bucket(2, SECOND, 5));
    for remaining in (0..5).rev() {
        let verdict = one(&limiter, &limit, "a", NOW);
        assert_eq!((verdict.admitted, verdict.remaining, verdict.capacity), (true, remaining, 5));
    }
    let half = Duration::from_millis(500);
    let refused = one(&limiter, &limit, "a", NOW);
    assert_eq!((refused.admitted, refused.remaining, refused.more_after), (false, 0, half));
    assert_eq!(one(&limiter, &limit, "a", NOW + half - TICK).more_after, TICK);
    assert!(one(&limiter, &limit, "b", NOW).admitted, "each key has its own");
    assert!(one(&limiter, &limit, "a", NOW + half).admitted);
    assert!(!one(&limiter, &limit, "a", NOW + half).admitted);
    // After a long rest there is a whole burst again, and no more.
    assert_eq!(one(&limiter, &limit, "a", NOW + Duration::from_secs(3600)).remaining, 4);
}

#[test]
fn a_burst_that_was_changed_is_another_counter_and_changed_back_it_is_the_same() {
    let limiter = LocalLimiter::new();
    let (narrow, wide) = (bucket(1, MINUTE, 1), bucket(1, MINUTE, 100));
    for call in 0..90 {
        assert_eq!(one(&limiter, &wide, "a", NOW).remaining, 99 - call);
    }
    assert!(one(&limiter, &narrow, "a", NOW).admitted && !one(&limiter, &narrow, "a", NOW).admitted);
    assert_eq!(one(&limiter, &wide, "a", NOW).remaining, 9);
}

#[test]
fn where_one_limit_has_no_room_nothing_is_taken_from_any() {
    let limiter = LocalLimiter::new();
    let (wide, flights, narrow, slow) = (
        bucket(1, MINUTE, 10),
        limit("flights", Shape::InFlight(number(3))),
        quota(1, Window::Minute),
        limit("slow", Shape::Quota(Quota { most: number(1), window: Window::Hour })),
    );
    let all = [&wide, &flights, &narrow, &slow];
    let (verdicts, holds) = take(&limiter, &all, "a", NOW);
    assert!(verdicts.iter().all(|verdict| verdict.admitted) && !holds.is_empty());
    for _ in 0..20 {
        let (verdicts, holds) = take(&limiter, &all, "a", NOW);
        // All that refuse are told, and what the others have.
        let told: Vec<_> = verdicts.iter().map(|verdict| (verdict.admitted, verdict.remaining)).collect();
        assert_eq!(told, [(true, 9), (true, 2), (false, 0), (false, 0)]);
        assert!(holds.is_empty());
    }
    drop(holds);
    assert_eq!(take(&limiter, &all, "a", NOW + MINUTE).0.get(1).unwrap().remaining, 3);
    // Of somebody new, no counter is made for what was not taken.
    let full = quota(1, Window::Hour);
    let _ = take(&limiter, &[&full], "b", NOW);
    let before = limiter.keys();
    assert!(!take(&limiter, &[&wide, &full], "b", NOW).0.get(1).unwrap().admitted);
    assert_eq!(limiter.keys(), before);
}

#[test]
fn a_limit_that_only_reports_refuses_nobody() {
    let limiter = LocalLimiter::new();
    let shadow = Limit { mode: Mode::Report, ..quota(1, Window::Hour) };
    let real = bucket(1, MINUTE, 3);
    let told: Vec<_> = (0..4)
        .map(|_| take(&limiter, &[&shadow, &real], "a", NOW).0)
        .map(|verdicts| verdicts.iter().map(|verdict| (verdict.admitted, verdict.remaining)).collect::<Vec<_>>())
        .collect();
    assert_eq!(
        told,
        [[(true, 0), (true, 2)], [(false, 0), (true, 1)], [(false, 0), (true, 0)], [(false, 0), (false, 0)],]
    );
}

#[test]
fn what_is_off_or_has_no_value_counts_nothing() {
    let limiter = LocalLimiter::new();
    let off = Limit { mode: Mode::Off, ..bucket(1, MINUTE, 1) };
    let strangers = Limit { per: vec![Dimension::Client, Dimension::Customer], ..bucket(1, MINUTE, 1) };
    for _ in 0..3 {
        let (verdicts, holds) = take(&limiter, &[&off, &strangers], "a", NOW);
        assert!(holds.is_empty() && verdicts.iter().all(|verdict| verdict.admitted && verdict.remaining == 1));
    }
    assert_eq!(limiter.keys(), 0);
    assert!(take(&limiter, &[], "a", NOW).0.is_empty());
}

#[test]
fn a_limit_of_plan_and_operation_counts_a_call_once() {
    let limiter = LocalLimiter::new();
    let (bucket, flights) = (bucket(1, MINUTE, 2), limit("flights", Shape::InFlight(number(2))));
    let (verdicts, holds) = take(&limiter, &[&bucket, &flights, &bucket, &flights], "a", NOW);
    assert!(verdicts.iter().all(|verdict| verdict.admitted && verdict.remaining == 1));
    drop(holds);
    assert_eq!((left(&limiter, &bucket, "a", NOW), left(&limiter, &flights, "a", NOW)), (1, 2));
}

#[test]
fn a_call_is_under_way_until_it_is_dropped() {
    let limiter = LocalLimiter::new();
    let limit = limit("flights", Shape::InFlight(number(2)));
    let counted = counted(&[&limit], client("a"));
    let asked = Asked { limits: &counted, owner: "a", call: "call", now: NOW };
    let (_, first) = limiter.take(&asked).unwrap();
    let (_, mut second) = limiter.take(&asked).unwrap();
    assert!(!one(&limiter, &limit, "a", NOW + Duration::from_secs(1_000_000)).admitted, "no time ends a call");
    // Neither its answer nor an administrator ends it.
    assert!(!second.settles());
    limiter.settle(&mut second, Some(200), NOW);
    assert_eq!(limiter.reset(&asked), 0);
    assert_eq!(left(&limiter, &limit, "a", NOW), 0);
    drop(first);
    assert_eq!(left(&limiter, &limit, "a", NOW), 1);
    drop(second);
    assert_eq!((left(&limiter, &limit, "a", NOW), limiter.keys()), (2, 0));
}

#[test]
fn a_call_costs_what_its_answer_says() {
    let limiter = LocalLimiter::new();
    let limit = antiscan(MINUTE);
    // What status, and how many of 100 are left then.
    for (of, status, expected) in [
        ("unknown", None, 99),
        ("found", Some(200), 99),
        ("missing", Some(404), 80),
        ("broken", Some(500), 100),
        ("given", Some(204), 100),
    ] {
        let (verdicts, mut holds) = take(&limiter, &[&limit], of, NOW);
        assert_eq!(verdicts.first().unwrap().remaining, 99);
        assert!(holds.settles() && !holds.is_empty());
        limiter.settle(&mut holds, status, NOW);
        assert_eq!(left(&limiter, &limit, of, NOW), expected, "{of}");
        // Once only.
        limiter.settle(&mut holds, Some(404), NOW);
        assert!(holds.is_empty());
        assert_eq!(left(&limiter, &limit, of, NOW), expected, "{of}");
    }
    let mut holds: Vec<_> = (0..10).map(|_| take(&limiter, &[&limit], "scanner", NOW).1).collect();
    holds.iter_mut().for_each(|holds| limiter.settle(holds, Some(404), NOW));
    // Two hundred were taken: a hundred are owed, and nothing fits until all of them and one more have refilled.
    let wait = 30 * 101 * SECOND;
    assert_eq!(one(&limiter, &limit, "scanner", NOW).more_after, wait);
    assert!(!one(&limiter, &limit, "scanner", NOW + wait - TICK).admitted);
    assert!(one(&limiter, &limit, "scanner", NOW + wait).admitted);
}

#[test]
fn how_full_it_is_can_be_seen_before_anybody_is_refused() {
    let (keys_max, share) = (4000, 4000 / OWNER_PART);
    let limiter = LocalLimiter::with_keys_max(keys_max);
    let empty = Fullness { keys: 0, keys_max, owner_keys: 0, owner_keys_max: share };
    assert_eq!(limiter.fullness(), empty);
    let limit = quota(1, Window::Day);
    for number in 0..share {
        let of = number.to_string();
        let counted = counted(&[&limit], client(&of));
        let _ = limiter.take(&Asked { limits: &counted, owner: "large", call: "call", now: NOW }).unwrap();
    }
    let _ = take(&limiter, &[&limit], "small", NOW);
    assert_eq!(limiter.fullness(), Fullness { keys: share + 1, owner_keys: share, ..empty });
    let counted = counted(&[&limit], client("one more"));
    let asked = Asked { limits: &counted, owner: "large", call: "call", now: NOW };
    assert!(limiter.take(&asked).is_err(), "as full as it may be");
}

#[test]
fn an_answer_that_is_repeated_gives_no_tokens() {
    let limiter = LocalLimiter::new();
    let limit = antiscan(MINUTE);
    // Those that its bucket lacks to be full, so that what is given is seen.
    let mut scan = take(&limiter, &[&limit], "a", NOW).1;
    limiter.settle(&mut scan, Some(404), NOW);
    let mut first = take(&limiter, &[&limit], "a", NOW).1;
    limiter.settle(&mut first, Some(204), NOW);
    assert_eq!(left(&limiter, &limit, "a", NOW), 85, "the call itself gives five");
    for (status, expected) in [(204, 85), (500, 85), (200, 84), (404, 64)] {
        let mut again = take(&limiter, &[&limit], "a", NOW).1;
        again.repeat();
        limiter.settle(&mut again, Some(status), NOW);
        assert_eq!(left(&limiter, &limit, "a", NOW), expected, "{status}");
    }
}

#[test]
fn a_cost_is_not_lost_with_its_counter() {
    let limiter = LocalLimiter::new();
    let limit = antiscan(MINUTE);
    let counted = counted(&[&limit], client("a"));
    let asked = Asked { limits: &counted, owner: "a", call: "call", now: NOW };
    let (_, mut holds) = limiter.take(&asked).unwrap();
    assert_eq!((limiter.reset(&asked), limiter.keys()), (1, 0));
    limiter.settle(&mut holds, Some(404), NOW);
    assert_eq!(left(&limiter, &limit, "a", NOW), 81);
}

fn lookup(limiter: &LocalLimiter, limit: &Limit, values: Values<'_>, thing: &str, now: Timestamp) {
    let counted = [Counted { limit, values, thing: Some(thing) }];
    let _ = limiter.take(&Asked { limits: &counted, owner: "a", call: "call", now }).unwrap();
}

#[test]
fn a_credit_is_given_once_for_what_was_looked_up() {
    let limiter = LocalLimiter::new();
    let limit = antiscan(MINUTE);
    let bank = Values { organisation: Some("bank"), ..client("a") };
    let pay = |thing, values: &Values<'_>, now| {
        limiter.happened(&Happened { limit: &limit, values, owner: "pay", thing, now })
    };
    // The payment comes from another client of the organisation, which the counter is not of.
    let paying = Values { client: Some("pay"), ..bank };
    let stranger = Values { organisation: Some("shop"), ..paying };
    for thing in ["e1", "e2", "e3", "e1"] {
        lookup(&limiter, &limit, bank, thing, NOW);
    }
    assert_eq!(left(&limiter, &limit, "a", NOW), 96);
    assert!(!pay("e9", &paying, NOW), "nobody looked this up");
    assert!(!pay("e1", &stranger, NOW), "somebody else did");
    assert!(pay("e1", &paying, NOW));
    assert_eq!(left(&limiter, &limit, "a", NOW), 98);
    assert!(!pay("e1", &paying, NOW), "once for all lookups of one payment");
    assert!(pay("e2", &paying, NOW + MINUTE - TICK));
    assert!(!pay("e3", &paying, NOW + MINUTE), "too late");
    lookup(&limiter, &limit, bank, "e4", NOW + Duration::from_secs(3600));
    assert!(pay("e4", &paying, NOW + Duration::from_secs(3600)));
    assert_eq!(left(&limiter, &limit, "a", NOW + Duration::from_secs(3600)), 100, "never beyond the burst");
    // Nothing without the header, and nothing for what was refused.
    let _ = take(&limiter, &[&limit], "a", NOW);
    let refused = quota(1, Window::Hour);
    let _ = take(&limiter, &[&refused], "a", NOW);
    let both = [
        Counted { limit: &limit, values: bank, thing: Some("e5") },
        Counted { limit: &refused, values: bank, thing: None },
    ];
    let _ = limiter.take(&Asked { limits: &both, owner: "a", call: "call", now: NOW }).unwrap();
    assert!(!pay("e5", &paying, NOW));
}

#[test]
fn a_credit_goes_to_who_looked_first_and_lasts_from_the_last_look() {
    let limiter = LocalLimiter::new();
    let limit = antiscan(MINUTE);
    let of = |name| Values { organisation: Some("bank"), ..client(name) };
    let pay = |now| limiter.happened(&Happened { limit: &limit, values: &of("pay"), owner: "pay", thing: "e1", now });
    let remaining = |now| ["a", "b"].map(|name| left(&limiter, &limit, name, now));
    for name in ["a", "b", "b"] {
        lookup(&limiter, &limit, of(name), "e1", NOW);
    }
    assert_eq!(remaining(NOW), [99, 98]);
    assert!(pay(NOW) && !pay(NOW));
    assert_eq!(remaining(NOW), [100, 98], "nobody draws another's credit to themselves");
    // Who looks again means to pay later; what is over is anybody's.
    lookup(&limiter, &limit, of("a"), "e1", NOW);
    lookup(&limiter, &limit, of("a"), "e1", NOW + MINUTE - TICK);
    assert!(pay(NOW + MINUTE));
    lookup(&limiter, &limit, of("a"), "e1", NOW + 10 * MINUTE);
    lookup(&limiter, &limit, of("b"), "e1", NOW + 11 * MINUTE);
    assert_eq!(remaining(NOW + 11 * MINUTE), [100, 99]);
    assert!(pay(NOW + 11 * MINUTE));
    assert_eq!(remaining(NOW + 11 * MINUTE), [100, 100]);
}

#[test]
fn the_first_question_waits_where_the_beginning_is_known() {
    let limiter = LocalLimiter::new();
    let after = Some((OperationId::parse("createDomesticPayment").unwrap(), "/paymentId".to_owned()));
    let polls = Polls { after, first: 90 * SECOND, gap: MINUTE, most: number(3), within: 7200 * SECOND };
    let limit = Limit { per: vec![Dimension::Resource], ..limit("polls", Shape::Polls(polls)) };
    let ask = |resource, now| {
        let counted =
            [Counted { limit: &limit, values: Values { resource: Some(resource), ..client("a") }, thing: None }];
        limiter.take(&Asked { limits: &counted, owner: "a", call: "call", now }).unwrap().0.first().unwrap().admitted
    };
    let begun = Counted { limit: &limit, values: Values { resource: Some("p1"), ..client("a") }, thing: None };
    limiter.begun(&begun, "a", NOW);
    assert!(!ask("p1", NOW + 90 * SECOND - TICK));
    // It begins once: a repeated answer does not put the first question off.
    limiter.begun(&begun, "a", NOW + 60 * SECOND);
    assert!(ask("p1", NOW + 90 * SECOND));
    assert!(!ask("p1", NOW + 150 * SECOND - TICK));
    assert!(ask("p1", NOW + 150 * SECOND) && ask("p1", NOW + 210 * SECOND) && !ask("p1", NOW + 7000 * SECOND));
    assert!(ask("p2", NOW), "of this one nobody knows the beginning");
    let other = bucket(1, MINUTE, 1);
    limiter.begun(&Counted { limit: &other, ..begun }, "a", NOW);
    assert_eq!(limiter.keys(), 2);
}

#[test]
fn reading_takes_nothing_and_a_reset_forgets() {
    let limiter = LocalLimiter::new();
    let (bucket, quota) = (bucket(1, MINUTE, 2), quota(2, Window::Day));
    let counted = counted(&[&bucket, &quota], client("a"));
    let asked = Asked { limits: &counted, owner: "a", call: "call", now: NOW };
    let fits = |verdicts: Vec<Verdict>| verdicts.iter().map(|verdict| verdict.remaining).collect::<Vec<_>>();
    assert_eq!((fits(limiter.read(&asked)), limiter.keys(), limiter.reset(&asked)), (vec![2, 2], 0, 0));
    let _ = limiter.take(&asked).unwrap();
    let _ = take(&limiter, &[&bucket], "b", NOW);
    for _ in 0..3 {
        assert_eq!(fits(limiter.read(&asked)), [1, 1]);
    }
    assert_eq!((limiter.reset(&asked), limiter.keys()), (2, 1));
    assert_eq!(fits(limiter.read(&asked)), [2, 2]);
}

/// Numbers as by lot, the same in each run.
struct Lot(u64);

impl Lot {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        of.get(usize::try_from(self.next(of.len() as u64)).unwrap()).unwrap()
    }
}

#[test]
fn any_calls_are_judged_as_the_rules_say() {
    let sessions = Sessions { per_day: number(4), calls: number(9), rate: number(3), idle: MINUTE };
    let polls = Polls { after: None, first: Duration::ZERO, gap: SECOND, most: number(5), within: MINUTE };
    let limits = [
        bucket(7, SECOND, 9),
        quota(12, Window::Minute),
        limit("rolling", Shape::Quota(Quota { most: number(10), window: Window::Rolling(20 * SECOND) })),
        limit("sessions", Shape::Sessions(sessions)),
        limit("polls", Shape::Polls(polls)),
    ];
    let clients: Vec<String> = (0..40).map(|number| number.to_string()).collect();
    let mut lot = Lot(0x9e37_79b9_7f4a_7c15);
    // Small, so that counters which are over are forgotten meanwhile.
    let limiter = LocalLimiter::with_keys_max(4000);
    let mut expected: BTreeMap<(String, String), State> = BTreeMap::new();
    let mut now = NOW;
    for _ in 0..40_000 {
        now = now + Duration::from_millis(lot.next(400));
        let at = now - Duration::from_millis(if lot.next(4) == 0 { lot.next(4900) } else { 0 });
        let (limit, of) = (lot.pick(&limits), lot.pick(&clients));
        let key = (limit.id.to_string(), of.clone());
        let (verdict, next) = state::take(&limit.shape, expected.remove(&key), at);
        assert_eq!(one(&limiter, limit, of, at), verdict, "{limit:?} at {at}");
        expected.extend(next.map(|next| (key, next)));
    }
}

#[test]
fn threads_on_one_key_take_exactly_what_there_is() {
    for limit in [bucket(1, Duration::from_secs(3600), 1000), quota(1000, Window::Day)] {
        let limiter = LocalLimiter::new();
        let admitted = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..64 {
                scope.spawn(|| {
                    let fit = (0..50).filter(|_| one(&limiter, &limit, "a", NOW).admitted).count();
                    admitted.fetch_add(fit, Ordering::Relaxed);
                });
            }
        });
        assert_eq!(admitted.into_inner(), 1000, "{limit:?}");
    }
}

#[test]
fn threads_that_take_from_many_limits_neither_wait_for_each_other_nor_lose_a_token() {
    let limiter = LocalLimiter::new();
    let limits: Vec<Limit> = (0..6)
        .map(|at| limit(&format!("l{at}"), Shape::Bucket(terms(1, Duration::from_secs(3600), 400 + at))))
        .chain([limit("flights", Shape::InFlight(number(40)))])
        .collect();
    let admitted = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..64 {
            let (limiter, limits, admitted) = (&limiter, &limits, &admitted);
            scope.spawn(move || {
                let mut order: Vec<&Limit> = limits.iter().collect();
                order.rotate_left(thread % limits.len());
                for _ in 0..40 {
                    let (verdicts, holds) = take(limiter, &order, "a", NOW);
                    let fits = verdicts.iter().all(|verdict| verdict.admitted);
                    admitted.fetch_add(usize::from(fits), Ordering::Relaxed);
                    std::thread::yield_now();
                    drop(holds);
                }
            });
        }
    });
    let admitted = admitted.into_inner();
    // Each token stands for a call that all others let in too.
    let kept: Vec<u32> = limits.iter().map(|limit| left(&limiter, limit, "a", NOW)).collect();
    let spent = u32::try_from(admitted).unwrap();
    assert!(spent <= 400);
    let expected: Vec<u32> = (0..6).map(|at| 400 + at - spent).chain([40]).collect();
    assert_eq!(kept, expected);
}

fn lacking(limit: &str) -> Untaken {
    Untaken::KeysExhausted { limits: vec![limit.into()] }
}

#[test]
fn an_owner_fills_their_own_share_and_nobody_elses() {
    let keys_max = 8 * 1024;
    let limiter = LocalLimiter::with_keys_max(keys_max);
    let limit = bucket(1, MINUTE, 2);
    let known = |owner: &str, of: &str, now| {
        let counted = counted(&[&limit], client(of));
        limiter.take(&Asked { limits: &counted, owner, call: "call", now }).map(|(verdicts, _)| verdicts)
    };
    let flood =
        |owner: &str, now| (0..keys_max).filter(|of| known(owner, &format!("{owner}{of}"), now).is_ok()).count();
    assert_eq!(flood("x", NOW), keys_max / OWNER_PART);
    assert_eq!(known("x", "one more", NOW), Err(lacking("bucket")));
    // Those that are there are still counted.
    assert!(known("x", "x0", NOW).unwrap().first().unwrap().admitted);
    assert!(!known("x", "x0", NOW).unwrap().first().unwrap().admitted);
    assert!(known("honest", "me", NOW).is_ok());
    // Owners who act together leave what is for those with few.
    let others: usize = ["y", "z", "v", "w"].iter().map(|owner| flood(owner, NOW)).sum();
    let open = keys_max - keys_max / RESERVED_PART;
    assert_eq!(limiter.keys(), open + KEYS_FEW, "the last of them is let in as one with few");
    assert_eq!(others, limiter.keys() - keys_max / OWNER_PART - 1);
    let honest = (0..2 * KEYS_FEW).filter(|of| known("honest", &of.to_string(), NOW).is_ok()).count();
    assert_eq!(honest, KEYS_FEW - 1);
    for owner in 0..20 {
        let _ = (0..100).filter(|of| known(&owner.to_string(), &format!("{owner}/{of}"), NOW).is_ok()).count();
    }
    assert_eq!(limiter.keys(), keys_max, "whatever comes, there are no more");
    // What is full again makes place, and not a millisecond before that is certain.
    let over = NOW + MINUTE + STEP_BACK_MAX;
    assert_eq!(known("x", "late", over - TICK), Err(lacking("bucket")));
    assert!(known("x", "late", over + SECOND).is_ok());
    assert_eq!(flood("x", over + 2 * SECOND), keys_max / OWNER_PART - 1);
}

type Fill<'a> = &'a dyn Fn(&LocalLimiter, &str);

#[test]
fn what_refuses_nobody_takes_no_place_that_a_limit_needs() {
    let keys_max = 4096;
    let share = keys_max / OWNER_PART;
    let Shape::Bucket(Bucket { credit, .. }) = antiscan(MINUTE).shape else { unreachable!() };
    let credited = limit("credited", Shape::Bucket(Bucket { credit, ..terms(2, MINUTE, 1_000_000) }));
    let daily = quota(1, Window::Day);
    let shadow = Limit { mode: Mode::Report, ..limit("shadow", daily.shape.clone()) };
    let polls = Polls { after: None, first: Duration::ZERO, gap: SECOND, most: number(5), within: MINUTE };
    let polled = limit("polled", Shape::Polls(polls));
    let fill: [Fill<'_>; 3] = [
        // Marks of credits, that are kept long after their bucket is full again.
        &|limiter, thing| {
            let marked = [Counted { limit: &credited, values: client("a"), thing: Some(thing) }];
            assert!(limiter.take(&Asked { limits: &marked, owner: "x", call: "call", now: NOW }).is_ok());
        },
        // Limits that only report.
        &|limiter, of| {
            let counted = counted(&[&shadow], client(of));
            assert!(limiter.take(&Asked { limits: &counted, owner: "x", call: "call", now: NOW }).is_ok());
        },
        // Things that nobody has asked about yet.
        &|limiter, of| limiter.begun(&Counted { limit: &polled, values: client(of), thing: None }, "x", NOW),
    ];
    for (kind, fill) in fill.iter().enumerate() {
        let limiter = LocalLimiter::with_keys_max(keys_max);
        (0..2 * share).for_each(|at| fill(&limiter, &at.to_string()));
        let counted_new = |of: &usize| {
            let of = format!("new{of}");
            let counted = counted(&[&daily], client(&of));
            limiter.take(&Asked { limits: &counted, owner: "x", call: "call", now: NOW }).is_ok()
        };
        assert_eq!((0..share).filter(counted_new).count(), share / 2, "{kind}");
    }
}

#[test]
fn a_call_without_a_place_takes_nothing_and_a_shadow_needs_none() {
    let limiter = LocalLimiter::with_keys_max(4 * OWNER_PART);
    let (old, new) = (bucket(1, MINUTE, 9), quota(9, Window::Day));
    let shadow = Limit { mode: Mode::Report, ..limit("shadow", new.shape.clone()) };
    let ask = |limits: &[&Limit], of| {
        limiter.take(&Asked { limits: &counted(limits, client(of)), owner: "x", call: "call", now: NOW })
    };
    for of in ["a", "b", "c", "d"] {
        assert!(ask(&[&old], of).is_ok());
    }
    assert_eq!(ask(&[&old, &new], "a").unwrap_err(), lacking("quota"));
    assert_eq!(left(&limiter, &old, "a", NOW), 8);
    let (verdicts, _) = ask(&[&old, &shadow], "a").unwrap();
    assert_eq!(verdicts.iter().map(|verdict| verdict.admitted).collect::<Vec<_>>(), [true, false]);
    assert_eq!((left(&limiter, &old, "a", NOW), limiter.keys()), (7, 4));
    // Neither has a mark a place, nor a beginning.
    let costly = antiscan(MINUTE);
    let _ = limiter.reset(&Asked { limits: &counted(&[&old], client("d")), owner: "x", call: "call", now: NOW });
    let marked = [Counted { limit: &costly, values: client("a"), thing: Some("e1") }];
    assert!(limiter.take(&Asked { limits: &marked, owner: "x", call: "call", now: NOW }).is_ok());
    assert_eq!(limiter.keys(), 4);
    let values = client("a");
    assert!(!limiter.happened(&Happened { limit: &costly, values: &values, owner: "x", thing: "e1", now: NOW }));
}

#[test]
fn what_is_over_is_forgotten_by_and_by() {
    let limiter = LocalLimiter::new();
    let limit = bucket(1, SECOND, 1);
    let mut most = 0;
    // A thousand new keys a second, each over after one second and the time that a clock may step back.
    for at in 0..120_000_u64 {
        let now = NOW + Duration::from_millis(at);
        assert!(one(&limiter, &limit, &at.to_string(), now).admitted);
        most = most.max(limiter.keys());
    }
    assert!(most < 60_000, "{most}");
}

#[test]
fn a_clock_that_steps_back_opens_nothing_and_locks_nobody_out() {
    let limiter = LocalLimiter::with_keys_max(1024);
    let limit = bucket(1, SECOND, 2);
    let (first, second) = (one(&limiter, &limit, "a", NOW), one(&limiter, &limit, "a", NOW));
    assert!(first.admitted && second.admitted);
    // Whoever sweeps meanwhile: five seconds back, it is all still there.
    for of in 0..900 {
        let _ = one(&limiter, &limit, &of.to_string(), NOW + 6 * SECOND);
    }
    assert!(!one(&limiter, &limit, "a", NOW + SECOND - TICK).admitted);
    let before = NOW - Duration::from_secs(3600);
    assert!(!one(&limiter, &limit, "a", before).admitted);
    assert!(one(&limiter, &limit, "a", before + SECOND).admitted);
}

#[test]
fn a_month_that_is_used_up_stays_so_to_its_end_however_clocks_step() {
    let limiter = LocalLimiter::with_keys_max(1024);
    let monthly = quota(1, Window::Month);
    let end = Window::Month.end(NOW);
    assert!(one(&limiter, &monthly, "a", end - 2 * HOUR).admitted);
    // An hour back, and half an hour before the end all shards are looked through.
    let other = bucket(1, SECOND, 1);
    for of in 0..900 {
        let _ = one(&limiter, &other, &of.to_string(), end - 3 * HOUR);
    }
    for of in 0..900 {
        let _ = one(&limiter, &other, &format!("b{of}"), end - HOUR / 2);
    }
    assert!(!one(&limiter, &monthly, "a", end - TICK).admitted);
    assert!(one(&limiter, &monthly, "a", end).admitted);
}

#[test]
fn the_sessions_of_a_day_stay_used_up_to_its_end_however_clocks_step() {
    let limiter = LocalLimiter::with_keys_max(1024);
    let terms = Sessions { per_day: number(1), calls: number(1), rate: number(1), idle: MINUTE };
    let daily = limit("sessions", Shape::Sessions(terms));
    let end = Window::Day.end(NOW);
    assert!(one(&limiter, &daily, "a", end - 3 * HOUR).admitted);
    // An hour back, and half an hour before the end all shards are looked through.
    let other = bucket(1, SECOND, 1);
    for of in 0..900 {
        let _ = one(&limiter, &other, &of.to_string(), end - 4 * HOUR);
    }
    for of in 0..900 {
        let _ = one(&limiter, &other, &format!("b{of}"), end - HOUR / 2);
    }
    assert!(!one(&limiter, &daily, "a", end - TICK).admitted);
    assert!(one(&limiter, &daily, "a", end).admitted);
}

#[test]
fn counters_of_another_clock_are_forgotten_on_this_one() {
    let limiter = LocalLimiter::with_keys_max(4096);
    let limit = bucket(1, SECOND, 1);
    let fill = |names: &str, now| {
        let admitted = |of: &usize| {
            let of = format!("{names}{of}");
            let counted = counted(&[&limit], client(&of));
            limiter.take(&Asked { limits: &counted, owner: "x", call: "call", now }).is_ok()
        };
        (0..4096).filter(admitted).count()
    };
    assert_eq!(fill("a", NOW), 1024);
    let before = NOW - Duration::from_secs(3600);
    assert_eq!(fill("b", before), 0);
    assert_eq!(fill("b", before + 10 * SECOND), 1024);
}
