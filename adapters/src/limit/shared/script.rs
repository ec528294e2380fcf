//! The scripts that count in the servers: what they are told, and what they answer.
//!
//! Each is safe to be sent twice: one that counts finds its own call, one that spends a mark finds none.

use std::sync::LazyLock;

use policies::code::Outage;
use policies::limit::bucket::{self, Used};
use policies::limit::polls::Polled;
use policies::limit::quota::{Counted, Slots};
use policies::limit::sessions::Held;
use policies::limit::state::State;
use policies::limit::window::slot_millis;
use policies::limit::{ROLLING_SLOTS, Shape, Window};
use policies::time::{KAZAKHSTAN_AHEAD, Timestamp};
use redis::Value;

use super::key::CounterKey;
use super::places::May;
use crate::store::redis::{Call, Script};

const COUNT_TEXT: &str = include_str!("count.lua");

/// Counts, settles, reads: everything that looks at counters.
static COUNT: Script = Script::new(COUNT_TEXT, LazyLock::new(|| Script::hash_of(COUNT_TEXT)));

// KEYS: the mark of a credit. ARGV: what it leads to, for how many milliseconds, 1 if a new one may be made; nothing spends it.
// Gives what was kept there; where a mark is left, 1 if it is a new one. One that leads elsewhere stays: the tokens are for
// who has asked first, and whoever names the thing again must not draw them to another counter.
const MARK_TEXT: &str = r"
if ARGV[1] then
    local kept = redis.call('GET', KEYS[1])
    if kept and kept ~= ARGV[1] or not kept and ARGV[3] ~= '1' then return 0 end
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
    return kept and 0 or 1
end
local kept = redis.call('GET', KEYS[1])
redis.call('DEL', KEYS[1])
return kept or ''
";

static MARK: Script = Script::new(MARK_TEXT, LazyLock::new(|| Script::hash_of(MARK_TEXT)));

// KEYS: who is alive, how often counters were reset. ARGV: the name of a gateway, after how many milliseconds one is dead;
// nothing tells that counters were reset.
const BEAT_TEXT: &str = r"
if not ARGV[1] then
    redis.call('INCR', KEYS[2])
    redis.call('PEXPIRE', KEYS[2], 86400000)
else
    local clock = redis.call('TIME')
    local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
    redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
    redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.0f', now - tonumber(ARGV[2])))
    redis.call('ZREMRANGEBYSCORE', KEYS[1], string.format('(%.0f', now + tonumber(ARGV[2])), '+inf')
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return { redis.call('ZCARD', KEYS[1]), tonumber(redis.call('GET', KEYS[2]) or 0) }
";

static BEAT: Script = Script::new(BEAT_TEXT, LazyLock::new(|| Script::hash_of(BEAT_TEXT)));

// KEYS: counters. Gives how many there were.
const RESET_TEXT: &str = r"return redis.call('DEL', unpack(KEYS))";

static RESET: Script = Script::new(RESET_TEXT, LazyLock::new(|| Script::hash_of(RESET_TEXT)));

/// What is done with counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    /// Takes one call from each, if every one that refuses has room.
    Take,
    /// Takes or gives tokens of buckets.
    Settle,
    /// Takes a call back that was taken at this time of the servers.
    Undo(Timestamp),
    /// Begins what is asked about.
    Begin,
    /// Looks.
    Read,
}

/// One counter of a call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'a> {
    /// Its name in the servers.
    pub(super) key: &'a str,
    /// What it counts.
    pub(super) shape: &'a Shape,
    /// Whether the call is refused if it has no room.
    pub(super) enforced: bool,
    /// How many tokens more are taken if there are so many, or are settled.
    pub(super) tokens: i64,
}

/// What is the same in all calls of a moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// The name of the call, unlike any other.
    pub(super) call: u64,
    /// When it is, here.
    pub(super) now: Timestamp,
    /// When it is, there; none if the servers tell it themselves.
    pub(super) time: Option<Timestamp>,
    /// Which counters may be made.
    pub(super) may: May,
}

/// What became of a call in the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    /// Nothing was changed.
    No,
    /// It was done.
    Yes,
    /// Nothing was changed, as it needs a counter that may not be made.
    NoPlace,
}

/// What the servers say of a call.
#[derive(Debug)]
pub(super) struct Said {
    /// When it is, there.
    pub(super) now: Timestamp,
    /// Whether it was done.
    pub(super) done: Done,
    /// What is said of each counter, in the order asked.
    pub(super) each: Vec<Told>,
}

/// What the servers say of one counter.
#[derive(Debug)]
pub(super) struct Told {
    /// Whether there was room.
    pub(super) room: bool,
    /// How many tokens more were taken.
    pub(super) more: u32,
    /// Whether there is a counter now and there was none before.
    pub(super) made: bool,
    /// How it stands afterwards.
    pub(super) state: Option<State>,
}

impl<'a> Part<'a> {
    /// A counter that refuses nothing.
    pub(super) fn of(key: &'a str, shape: &'a Shape, tokens: i64) -> Self {
        Self { key, shape, enforced: false, tokens }
    }
}

/// Makes a call over counters, in a Cluster all of one slot.
pub(super) fn count(verb: Verb, moment: Moment, parts: &[Part<'_>]) -> Call {
    let (word, taken) = match verb {
        Verb::Take => ("take", None),
        Verb::Settle => ("settle", None),
        Verb::Undo(at) => ("undo", Some(at.millis())),
        Verb::Begin => ("begin", None),
        Verb::Read => ("read", None),
    };
    let may = match moment.may {
        May::Nothing => "0",
        May::Needed => "1",
        May::All => "2",
    };
    let call = format!("{:016x}", moment.call);
    let time = moment.time.map_or_else(String::new, |time| time.millis().to_string());
    let mut arguments = vec![word.to_owned(), call, time, may.to_owned()];
    for part in parts {
        let (kind, terms) = terms(part.shape, moment.now);
        let number = taken.unwrap_or(part.tokens);
        arguments.extend([kind.to_owned(), u8::from(part.enforced).to_string(), number.to_string()]);
        arguments.extend(terms.map(|term| term.to_string()));
    }
    Call { script: &COUNT, keys: parts.iter().map(|part| part.key.to_owned()).collect(), arguments }
}

/// Makes a call that leaves a mark leading to `counter`, for so many milliseconds; a new one only if there `may` be one.
pub(super) fn leave(mark: String, counter: &CounterKey, millis: u128, may: bool) -> Call {
    let arguments = vec![counter.text.clone(), millis.max(1).to_string(), u8::from(may).to_string()];
    Call { script: &MARK, keys: vec![mark], arguments }
}

/// Makes a call that spends a mark.
pub(super) fn spend(mark: String) -> Call {
    Call { script: &MARK, keys: vec![mark], arguments: Vec::new() }
}

/// Makes a call that says that this gateway is alive; one that says nothing for so many milliseconds is dead.
pub(super) fn beat(keys: [String; 2], gateway: &str, millis: u128) -> Call {
    Call { script: &BEAT, keys: keys.into(), arguments: vec![gateway.to_owned(), millis.to_string()] }
}

/// Makes a call that tells all gateways that counters were reset.
pub(super) fn tell_reset(keys: [String; 2]) -> Call {
    Call { script: &BEAT, keys: keys.into(), arguments: Vec::new() }
}

/// Makes a call that forgets counters, in a Cluster all of one slot.
pub(super) fn reset(keys: Vec<String>) -> Call {
    Call { script: &RESET, keys, arguments: Vec::new() }
}

/// Reads an answer of [`count`] for the same parts.
///
/// # Errors
/// An [`Outage`] if it is none of ours.
pub(super) fn said(answer: &Value, parts: &[Part<'_>]) -> Result<Said, Outage> {
    said_of(answer, parts).ok_or_else(strange)
}

/// Reads the text that a mark leads to; none where there was no mark.
///
/// # Errors
/// An [`Outage`] if the answer is none of ours.
pub(super) fn marked(answer: &Value) -> Result<Option<&str>, Outage> {
    text(answer).map(|text| Some(text).filter(|text| !text.is_empty())).ok_or_else(strange)
}

/// Reads whether a mark is a new one.
///
/// # Errors
/// An [`Outage`] if the answer is none of ours.
pub(super) fn left(answer: &Value) -> Result<bool, Outage> {
    match answer {
        Value::Int(new @ 0..=1) => Ok(*new == 1),
        _ => Err(strange()),
    }
}

/// Reads a list of whole numbers.
///
/// # Errors
/// An [`Outage`] if the answer is none of ours.
pub(super) fn pair(answer: &Value) -> Result<(i64, i64), Outage> {
    match answer {
        Value::Array(values) => match values.as_slice() {
            [Value::Int(first), Value::Int(second)] => Ok((*first, *second)),
            _ => Err(strange()),
        },
        _ => Err(strange()),
    }
}

/// Tells of an answer that no script of ours gives.
pub(super) fn strange() -> Outage {
    Outage::new("limits", "the server's answer is none of ours")
}

fn said_of(answer: &Value, parts: &[Part<'_>]) -> Option<Said> {
    let Value::Array(values) = answer else { return None };
    let (head, rest) = values.split_at_checked(2)?;
    let [Value::Int(now), Value::Int(done)] = head else { return None };
    let done = match done {
        0 => Done::No,
        1 => Done::Yes,
        2 => Done::NoPlace,
        _ => return None,
    };
    if rest.len() != parts.len() * 4 {
        return None;
    }
    let each = rest.chunks_exact(4).zip(parts).map(|(told, part)| match told {
        [Value::Int(room @ 0..=1), Value::Int(more), Value::Int(made @ 0..=1), numbers] => Some(Told {
            room: *room == 1,
            more: u32::try_from(*more).ok()?,
            made: *made == 1,
            state: state(part.shape, text(numbers)?)?,
        }),
        _ => None,
    });
    Some(Said { now: Timestamp::from_millis(*now), done, each: each.collect::<Option<_>>()? })
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => str::from_utf8(bytes).ok(),
        _ => None,
    }
}

const TERMS: usize = 6;

fn terms(shape: &Shape, now: Timestamp) -> (&'static str, [u64; TERMS]) {
    let millis = |span: std::time::Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let at = |at: Timestamp| u64::try_from(at.millis()).unwrap_or(0);
    match shape {
        Shape::Bucket(terms) => {
            let cell = bucket::cell(&terms.rate);
            ("B", [cell, bucket::burst_nanos(terms), bucket::longest_nanos(terms), 0, 0, 0])
        }
        Shape::Quota(quota) => {
            let most = u64::from(quota.most.get());
            match quota.window {
                Window::Rolling(window) => ("R", [most, u64::try_from(slot_millis(window)).unwrap_or(1), 0, 0, 0, 0]),
                Window::Month => {
                    let this = Window::Month.start(now);
                    let before = Window::Month.start(Timestamp::from_millis(this.millis().saturating_sub(1)));
                    let next = Window::Month.end(now);
                    ("M", [most, at(before), at(this), at(next), at(Window::Month.end(next)), 0])
                }
                Window::Day => ("W", [most, millis(quota.window.length(now)), millis(KAZAKHSTAN_AHEAD), 0, 0, 0]),
                Window::Second | Window::Minute | Window::Hour => {
                    ("W", [most, millis(quota.window.length(now)), 0, 0, 0, 0])
                }
            }
        }
        Shape::Polls(polls) => {
            let (first, gap, within) = (millis(polls.first), millis(polls.gap), millis(polls.within));
            ("P", [first, gap, u64::from(polls.most.get()), within, 0, 0])
        }
        Shape::Sessions(sessions) => {
            let [per_day, calls, rate] =
                [sessions.per_day, sessions.calls, sessions.rate].map(|count| u64::from(count.get()));
            ("S", [per_day, calls, rate, millis(sessions.idle), 0, 0])
        }
        // Calls under way are counted where they are: the script knows no such kind, and says so.
        Shape::InFlight(_) => ("-", [0; TERMS]),
    }
}

// The inner none: nothing is counted; the outer one: these are no numbers of this shape.
#[expect(clippy::option_option, reason = "no state and no answer are two things")]
fn state(shape: &Shape, text: &str) -> Option<Option<State>> {
    if text.is_empty() {
        return Some(None);
    }
    let numbers = text.split(' ').map(|number| number.parse::<i64>().ok()).collect::<Option<Vec<_>>>()?;
    let count = |number: i64| u32::try_from(number).ok();
    let at = Timestamp::from_millis;
    let state = match (shape, numbers.as_slice()) {
        (Shape::Bucket(_), [millis, nanos]) => {
            // What was written before may have been rounded to less than none.
            let nanos = u64::try_from(*nanos).unwrap_or(0);
            let full_at_nanos = u64::try_from(*millis).ok()?.saturating_mul(1_000_000).saturating_add(nanos);
            State::Bucket(Used { full_at_nanos })
        }
        (Shape::Quota(_), [start, counted]) => State::Window(Counted { start: at(*start), count: count(*counted)? }),
        (Shape::Quota(_), [newest, counts @ ..]) if counts.len() == ROLLING_SLOTS => {
            let mut slots = Slots { newest: *newest, counts: [0; ROLLING_SLOTS] };
            for (slot, counted) in slots.counts.iter_mut().zip(counts) {
                *slot = count(*counted)?;
            }
            State::Rolling(Box::new(slots))
        }
        (Shape::Polls(_), [began, last, asked]) => {
            State::Polls(Polled { began: at(*began), last: at(*last), asked: count(*asked)? })
        }
        (Shape::Sessions(_), [day, begun, last, calls, in_second]) => State::Sessions(Held {
            day: i32::try_from(*day).ok()?,
            begun: count(*begun)?,
            last: at(*last),
            calls: count(*calls)?,
            in_second: count(*in_second)?,
        }),
        _ => return None,
    };
    Some(Some(state))
}
