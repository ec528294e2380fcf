//! A client that asks for a new counter with every call: it takes its own share of the memory, and nobody else's.

use std::time::{Duration, Instant};

use adapters::limit::limits::{Asked, Counted, Limits, Untaken};
use policies::limit::{Dimension, Limit, Quota, Shape, Values, Window};
use policies::time::Timestamp;

use crate::dice::full;
use crate::rules::{bucket, limit, some};
use crate::sequences::at_once;

/// How many distinct keys the flood has; every day, and in the large run.
const KEYS: u64 = 100_000;
const KEYS_FULL: u64 = 1_000_000;

/// How many bytes all counters may take, as many as there may be.
const BYTES_MAX: u64 = 200 << 20;

/// How many clients go on calling while one floods, each with so many citizens.
const HONEST: u64 = 50;
const CITIZENS: u64 = 20;

/// What the smallest request costs as a whole (`tests/bench`), of which a flood may add a tenth.
const REQUEST: Duration = Duration::from_micros(23);

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn call(engine: &Limits, limits: &[Limit], client: &str, subject: &str, now: Timestamp) -> Result<bool, Untaken> {
    let values = Values { client: Some(client), subject: Some(subject), ..Values::default() };
    let counted: Vec<_> = limits.iter().map(|limit| Counted { limit, values, thing: None }).collect();
    let taken = at_once(engine.take(&Asked { limits: &counted, owner: client, call: "call", now }))?;
    Ok(taken.verdicts.iter().all(|verdict| verdict.admitted))
}

/// Bytes of this process that are in memory.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

fn limits() -> [Limit; 2] {
    let per = [Dimension::Client, Dimension::Subject];
    let day = Shape::Quota(Quota { most: some(100_000), window: Window::Day });
    [limit("lookups", &per, Shape::Bucket(bucket(2, Duration::from_secs(60), 5000))), limit("day", &per, day)]
}

#[test]
fn a_flood_of_new_keys_ends_at_its_share_and_refuses_nobody_else() {
    let engine = Limits::default();
    let limits = limits();
    let keys = if full() { KEYS_FULL } else { KEYS };
    let before = resident();
    let mut refused = 0;
    let mut kept = 0;
    for number in 0..keys {
        let now = NOW + Duration::from_millis(number / 1000);
        match call(&engine, &limits, "flooder", &format!("citizen-{number}"), now) {
            Ok(_) => kept += 1,
            Err(Untaken::KeysExhausted { .. }) => refused += 1,
            Err(outage) => unreachable!("{outage:?}"),
        }
        // The honest come all the time, with keys of before and with new ones.
        let honest = format!("honest-{}", number % HONEST);
        let citizen = format!("citizen-{}", number / HONEST % CITIZENS);
        if number % 10 == 0 {
            assert_eq!(call(&engine, &limits, &honest, &citizen, now), Ok(true), "{number}");
        }
    }
    let took = resident().saturating_sub(before);
    assert!(took <= BYTES_MAX, "{took} bytes");
    assert!(engine.keys() as u64 <= 2 * (kept + HONEST * CITIZENS), "{} keys", engine.keys());
    // The share is large enough for what clients have citizens for, and small enough that some were refused.
    assert!(!full() || refused > 0, "{kept} kept");
}

/// Tells the 99th of a hundred.
fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    *times.get(times.len() * 99 / 100).unwrap()
}

#[test]
fn an_honest_client_waits_no_longer_while_another_one_floods() {
    const ROUNDS: u64 = 12;
    const CALLS: u64 = 4000;
    const FLOOD_PER_CALL: u64 = 4;
    let limits = limits();
    let (quiet, flooded) = (Limits::default(), Limits::default());
    let mut number = 0;
    let mut flood = |engine: &Limits, calls: u64| {
        for _ in 0..calls {
            number += 1;
            let _ = call(engine, &limits, "flooder", &format!("citizen-{number}"), NOW);
        }
    };
    flood(&flooded, if full() { KEYS_FULL } else { KEYS });
    // In turn, so that what else the machine does falls on both; the calmest round of each counts.
    let (mut alone, mut beside) = (Duration::MAX, Duration::MAX);
    for round in 0..ROUNDS {
        let now = NOW + Duration::from_secs(3600 * (round + 1));
        let times = |engine: &Limits, flood: &mut dyn FnMut(&Limits, u64)| {
            let times = (0..CALLS).map(|call_number| {
                flood(engine, FLOOD_PER_CALL);
                let client = format!("honest-{}", call_number % HONEST);
                let began = Instant::now();
                assert_eq!(call(engine, &limits, &client, "citizen", now), Ok(true));
                began.elapsed()
            });
            p99(times.collect())
        };
        let other = Limits::default();
        alone = alone.min(times(&quiet, &mut |_, calls| flood(&other, calls)));
        beside = beside.min(times(&flooded, &mut flood));
    }
    // On a machine that builds something else meanwhile only a fault in the order of things can be told.
    let more = if full() { REQUEST / 10 } else { REQUEST };
    assert!(beside <= alone + more, "{beside:?} instead of {alone:?}");
}
