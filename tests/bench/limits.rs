//! What a check against limits costs, and how much memory counters take:
//! `taskset -c 0 cargo run --release -p adapters --example limits`.
//!
//! All of it runs on one thread of this process, through the door that the gateway uses. Names of callers are made
//! beforehand; each check is of a caller drawn at random, so that its counter is where the cache is not.
#![expect(clippy::unwrap_used, reason = "a measurement stops at the first surprise")]
#![expect(clippy::print_stdout, reason = "figures are what it is for")]

use std::hint::black_box;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use adapters::limit::limits::{Asked, Counted, Limits};
use adapters::limit::local::LocalLimiter;
use policies::limit::{Dimension, Limit, Quota, Rate, Shape, Values, Window};
use policies::time::Timestamp;

/// How many counters there are.
const KEYS: [usize; 2] = [10_000, 1_000_000];

/// How many clients they belong to: each has a share of them, as in a country with as many fintechs.
const OWNERS: usize = 1000;

/// How many checks a round has, and how many rounds; the best one counts: the others were disturbed.
const CHECKS: usize = 1_000_000;
const ROUNDS: usize = 7;

/// How many callers come in one go.
const BATCH: usize = 250;

/// How many calls of honest clients are timed one by one, and how many of a flood come before each.
const HONEST: usize = 200_000;
const FLOOD: usize = 5;

const START: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// A caller: a citizen by the name for one client.
#[derive(Clone)]
struct Caller {
    client: String,
    customer: String,
}

/// A generator (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % end as u64).unwrap()
    }
}

fn some(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap()
}

/// Limits by client and customer, of which nothing is ever used up.
fn limit(id: &str, shape: Shape) -> Limit {
    let rate = Rate { count: some(1), per: Duration::from_secs(60) };
    let limit = Limit::bucket(id, &[Dimension::Client, Dimension::Customer], rate, some(1_000_000));
    Limit { shape, ..limit }
}

fn shapes() -> Vec<(&'static str, Vec<Limit>)> {
    let quota = |window| Shape::Quota(Quota { most: some(u32::MAX), window });
    let bucket = limit(
        "bucket",
        Shape::Bucket(policies::limit::Bucket {
            rate: Rate { count: some(60), per: Duration::from_secs(60) },
            burst: some(1_000_000),
            costs: None,
            credit: None,
        }),
    );
    let day = limit("day", quota(Window::Day));
    let rolling = limit("rolling", quota(Window::Rolling(Duration::from_secs(600))));
    let under_way = limit("under-way", Shape::InFlight(some(100)));
    vec![
        ("a bucket", vec![bucket.clone()]),
        ("a quota of the day", vec![day.clone()]),
        ("a rolling quota", vec![rolling]),
        ("calls under way", vec![under_way.clone()]),
        ("bucket, quota and calls under way at once", vec![bucket, day, under_way]),
    ]
}

fn check(engine: &Limits, limits: &[Limit], caller: &Caller, now: Timestamp) -> bool {
    let values = Values { client: Some(&caller.client), customer: Some(&caller.customer), ..Values::default() };
    let counted = |limit| Counted { limit, values, thing: None };
    let ask = |limits: &[Counted<'_>]| {
        let asked = Asked { limits, owner: &caller.client, call: "call", now };
        let taken = engine.take_here(&asked).unwrap();
        taken.is_ok_and(|taken| taken.verdicts.iter().all(|verdict| verdict.admitted))
    };
    match limits {
        [one] => ask(&[counted(one)]),
        [one, two, three] => ask(&[counted(one), counted(two), counted(three)]),
        _ => unreachable!("sets have one or three limits"),
    }
}

/// Bytes of this process that are in memory.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

fn callers(keys: usize) -> Vec<Caller> {
    let name = |number: usize| format!("2f1c8c1e-6a0b-4d5e-9a8b-{number:012x}");
    (0..keys).map(|key| Caller { client: format!("client-{}", key % OWNERS), customer: name(key) }).collect()
}

fn measure(what: &str, limits: &[Limit], callers: &[Caller]) {
    let before = resident();
    // Room for all of them: a part of it is kept for who has none yet.
    let engine = Limits::new(LocalLimiter::with_keys_max(2 * CHECKS));
    let mut refused = callers.iter().filter(|caller| !check(&engine, limits, caller, START)).count();
    let bytes = resident().saturating_sub(before);
    let counters = engine.keys();
    let mut dice = Dice(1);
    let mut best = Duration::MAX;
    let mut drawn: Vec<Caller> = Vec::with_capacity(BATCH);
    for round in 0..ROUNDS {
        let mut spent = Duration::ZERO;
        for batch in 0..CHECKS / BATCH {
            // A caller's names come with the call, so that they are at hand; the counter is not.
            drawn.clear();
            drawn.extend((0..BATCH).map(|_| callers.get(dice.below(callers.len())).unwrap().clone()));
            let now = START + Duration::from_millis((round * 1000 + batch * BATCH / 1000) as u64);
            let began = Instant::now();
            for caller in &drawn {
                refused += usize::from(!black_box(check(&engine, limits, caller, now)));
            }
            spent += began.elapsed();
        }
        best = best.min(spent);
    }
    println!(
        "{:>9} callers  {what:<42} {:>5} ns a check  {:>4} bytes a counter, {:>4} MB  ({counters} counters, {refused} refused)",
        callers.len(),
        best.as_nanos() / CHECKS as u128,
        bytes / counters.max(1),
        bytes >> 20,
    );
}

/// Tells half, 99 % and 99.9 % of the times.
fn told(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |part: usize| times.get(times.len() * part / 1000).unwrap().as_nanos();
    println!("{what:<52} half {:>5} ns, 99 % {:>5} ns, 99.9 % {:>6} ns", at(500), at(990), at(999));
}

/// Times the calls of honest clients, while another one asks for a new counter with every call, of this engine or not.
fn flood() {
    let (_, limits) = shapes().swap_remove(0);
    let honest = callers(1000);
    let (engine, other) = (Limits::default(), Limits::default());
    let mut number = 0;
    let mut flood = |engine: &Limits, calls: usize| {
        let mut refused = 0;
        for _ in 0..calls {
            number += 1;
            let caller = Caller { client: "flooder".to_owned(), customer: format!("citizen-{number}") };
            refused += usize::from(!check(engine, &limits, &caller, START));
        }
        refused
    };
    let before = resident();
    let refused = flood(&engine, 1_000_000);
    let (keys, bytes) = (engine.keys(), resident().saturating_sub(before));
    println!("a flood of 1,000,000 keys of one client: {keys} counters kept, {refused} refused, {} MB", bytes >> 20);
    flood(&other, 1_000_000);
    let quiet = Limits::default();
    for round in 0..3 {
        let mut dice = Dice(round);
        let mut times = |engine: &Limits, flooded: &Limits| {
            let times = (0..HONEST).map(|_| {
                flood(flooded, FLOOD);
                let caller = honest.get(dice.below(honest.len())).unwrap();
                let began = Instant::now();
                assert!(check(engine, &limits, caller, START));
                began.elapsed()
            });
            times.collect::<Vec<_>>()
        };
        told("honest clients, the flood is elsewhere", times(&quiet, &other));
        told("honest clients, the flood is here", times(&engine, &engine));
    }
}

fn main() {
    for keys in KEYS {
        let callers = callers(keys);
        for (what, limits) in shapes() {
            // As many counters, whatever the number of limits.
            let callers = callers.get(..keys / limits.len()).unwrap();
            measure(what, &limits, callers);
        }
    }
    flood();
}
