//! What each kind of row means, seen from outside: what passes, what does not, and from when on it does again.

use std::time::Duration;

use policies::limit::{Dimension, Limit, Shape};
use policies::time::Timestamp;

use crate::desk::{Came, Desk, all, with};
use crate::rows::{Counting, Row, Rule, Window};

const TICK: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);

/// Midnight in Kazakhstan (UTC+5) of a day in the middle of a month.
fn midnight() -> Timestamp {
    Timestamp::parse("2026-11-22T19:00:00Z").unwrap()
}

/// Holds a limit to the row that was published.
pub(crate) fn row(row: &Row, limit: &Limit) {
    calls_are_counted_together(row, limit);
    only_these_calls_are_counted(row, limit);
    match row.rule {
        Rule::Tokens { refill, every, size, counting } => {
            so_many_tokens_there_are(row, limit, (refill, every, size));
            match counting {
                Counting::Answered => a_token_for_each_answer(row, limit, size),
                Counting::AntiScan { missing } => {
                    who_scans_runs_dry(row, limit, (size, missing), every / refill);
                    who_pays_gets_a_token_back(row, limit, size);
                }
            }
        }
        Rule::Calls { most, window } => so_many_calls_fit(row, limit, most, window),
        Rule::Polls { begins, first, gap, most, within } => {
            questions_are_spaced(row, limit, begins.map(|_| first), (gap, most, within));
            they_begin_with(row, limit, begins);
        }
        Rule::Sessions { per_day, calls, per_second, idle } => {
            a_session_has_so_many_calls(row, limit, (calls, per_second, idle));
            a_day_has_so_many_sessions(row, limit, per_day, idle);
        }
    }
}

// Uses up a counter, then asks with another value of each dimension: the counter is another one or the same.
fn calls_are_counted_together(row: &Row, limit: &Limit) {
    let most = match row.rule {
        Rule::Tokens { size, .. } => size,
        Rule::Calls { most, .. } | Rule::Polls { most, .. } => most,
        Rule::Sessions { per_second, .. } => per_second,
    };
    let gap = if let Rule::Polls { gap, .. } = row.rule { gap } else { Duration::ZERO };
    let mut desk = Desk::open(limit, midnight());
    for _ in 0..most {
        assert_eq!(desk.call(&all(), Some(200)), Came::Passed, "{}", row.name);
        desk.wait(gap);
    }
    assert_ne!(desk.call(&all(), Some(200)), Came::Passed, "{}: a call too many", row.name);
    for dimension in Dimension::ALL {
        let passes = desk.call(&with(dimension, Some("another")), Some(200)) == Came::Passed;
        let word = dimension.word();
        assert_eq!(passes, row.per.contains(&dimension), "{}: another {word} has a counter of its own", row.name);
        let counts = limit.counts(&with(dimension, None));
        assert_eq!(counts, !row.per.contains(&dimension), "{}: a call without {word} is counted", row.name);
    }
}

fn only_these_calls_are_counted(row: &Row, limit: &Limit) {
    for attended in [false, true] {
        for minute in 0..24 * 60_u16 {
            let among = |(start, end): &(u16, u16)| (*start..*end).contains(&minute);
            let in_hours = row.hours.is_empty() || row.hours.iter().any(among);
            let expected = in_hours && row.attended.is_none_or(|wanted| wanted == attended);
            let begins = midnight() + MINUTE * u32::from(minute);
            for now in [begins, begins + MINUTE - TICK] {
                let counts = limit.when.holds(attended, now);
                assert_eq!(counts, expected, "{} at minute {minute}, attended: {attended}", row.name);
            }
        }
    }
}

fn so_many_tokens_there_are(row: &Row, limit: &Limit, (refill, every, size): (u32, Duration, u32)) {
    let name = row.name;
    let mut desk = Desk::open(limit, midnight());
    assert_eq!(desk.pass(&all(), size + 1, 200), size, "{name}: the tokens of a full bucket");
    let one = every / refill;
    comes_after(row, &mut desk, one);
    assert_ne!(desk.call(&all(), Some(200)), Came::Passed, "{name}: one token is one call");
    // From empty on, all that comes back in the published time.
    let mut desk = Desk::open(limit, midnight());
    assert_eq!(desk.pass(&all(), size, 200), size, "{name}");
    desk.wait(every);
    assert_eq!(desk.pass(&all(), size + 1, 200), refill.min(size), "{name}: what has come back");
    // A bucket never holds more than it holds.
    desk.wait(every * (size / refill + 2));
    assert_eq!(desk.pass(&all(), size + 1, 200), size, "{name}: full again");
}

fn a_token_for_each_answer(row: &Row, limit: &Limit, size: u32) {
    let name = row.name;
    let mut desk = Desk::open(limit, midnight());
    let statuses = [200, 201, 204, 400, 403, 404, 429, 501, 503];
    let mut left = size - 1;
    for status in statuses.into_iter().cycle() {
        if left == 0 {
            break;
        }
        assert_eq!(desk.call(&all(), Some(status)), Came::Passed, "{name}: {left} tokens are left");
        left -= 1;
    }
    assert_eq!(desk.pass(&all(), 10, 500), 10, "{name}: a 500 takes none");
    assert_eq!(desk.pass(&all(), 2, 404), 1, "{name}: the last token");
    assert_ne!(desk.call(&all(), Some(500)), Came::Passed, "{name}: who has none is refused whatever would come");
}

fn who_scans_runs_dry(row: &Row, limit: &Limit, (size, missing): (u32, u32), one: Duration) {
    let name = row.name;
    let mut desk = Desk::open(limit, midnight());
    let tries = size.div_ceil(missing);
    assert_eq!(desk.pass(&all(), tries + 1, 404), tries, "{name}: addresses that are not there");
    // What the last one has cost beyond what was left is owed first.
    comes_after(row, &mut desk, one * (tries * missing - size + 1));
    for status in [201, 204, 400, 403, 429, 500, 503] {
        let mut desk = Desk::open(limit, midnight());
        assert_eq!(desk.pass(&all(), size - 1, 200), size - 1, "{name}");
        assert_eq!(desk.pass(&all(), 10, status), 10, "{name}: a {status} takes none");
        assert_eq!(desk.pass(&all(), 2, 200), 1, "{name}: the last token");
    }
}

fn who_pays_gets_a_token_back(row: &Row, limit: &Limit, size: u32) {
    let name = row.name;
    let Shape::Bucket(bucket) = &limit.shape else { panic!("{name} is a bucket") };
    let credit = bucket.credit.as_ref().unwrap();
    assert_eq!(credit.operation.as_str(), "createDomesticPayment", "{name}: the payment order");
    assert_eq!(&*credit.by, "pi-endtoendid", "{name}: what links the two");
    let mut desk = Desk::open(limit, midnight());
    assert!(!desk.happened(&all(), "unknown"), "{name}: nobody has looked anything up for this payment");
    assert_eq!(desk.call_about(&all(), Some(200), Some("first")), Came::Passed, "{name}");
    assert_eq!(desk.call_about(&all(), Some(200), Some("second")), Came::Passed, "{name}");
    assert_eq!(desk.pass(&all(), size, 200), size - 2, "{name}: both have taken one");
    assert!(
        !desk.happened(&with(Dimension::Organisation, Some("another")), "first"),
        "{name}: somebody else's payment"
    );
    assert_ne!(desk.call(&all(), Some(200)), Came::Passed, "{name}: nothing has come back");
    assert!(desk.happened(&all(), "first"), "{name}");
    assert_eq!(desk.pass(&all(), 2, 200), 1, "{name}: one token for one payment");
    assert!(!desk.happened(&all(), "first"), "{name}: a payment is made once");
    assert_ne!(desk.call(&all(), Some(200)), Came::Passed, "{name}");
    assert!(desk.happened(&all(), "second"), "{name}");
    assert_eq!(desk.pass(&all(), 2, 200), 1, "{name}");
    // A full bucket takes no more.
    let mut desk = Desk::open(limit, midnight());
    assert_eq!(desk.call_about(&all(), Some(403), Some("third")), Came::Passed, "{name}");
    desk.happened(&all(), "third");
    assert_eq!(desk.pass(&all(), size + 1, 200), size, "{name}: never beyond what it holds");
    // Ours: a payment has a day to come.
    let day = Duration::from_secs(86_400);
    for (waited, gives) in [(day - TICK, true), (day, false)] {
        let mut desk = Desk::open(limit, midnight());
        assert_eq!(desk.call_about(&all(), Some(200), Some("late")), Came::Passed, "{name}");
        desk.wait(waited);
        assert_eq!(desk.happened(&all(), "late"), gives, "{name}: after {waited:?}");
    }
}

fn so_many_calls_fit(row: &Row, limit: &Limit, most: u32, window: Window) {
    let name = row.name;
    let (starts, ends) = match window {
        Window::Second | Window::Minute | Window::Day => (midnight(), midnight() + window.length()),
        // December.
        Window::Month => {
            let first = Timestamp::parse("2026-11-30T19:00:00Z").unwrap();
            (first, first + window.length())
        }
    };
    // What was used up at the end of a window is there again at the beginning of the next.
    let mut desk = Desk::open(limit, starts);
    desk.now = Timestamp::from_millis(starts.millis() - 1);
    assert_eq!(desk.pass(&all(), most + 1, 200), most, "{name}: in one window");
    comes_after(row, &mut desk, TICK);
    assert_eq!(desk.now, starts);
    assert_eq!(desk.pass(&all(), most, 200), most - 1, "{name}: in the next one");
    // Used up at its beginning, there is nothing until its end, whatever comes of the calls.
    comes_after(row, &mut desk, window.length());
    assert_eq!(desk.now, ends);
    assert_eq!(desk.pass(&all(), most, 500), most - 1, "{name}: and in the one after");
}

// `first` is there where it is known when the thing has begun.
fn questions_are_spaced(
    row: &Row,
    limit: &Limit,
    first: Option<Duration>,
    (gap, most, within): (Duration, u32, Duration),
) {
    let name = row.name;
    let mut desk = Desk::open(limit, midnight());
    if let Some(first) = first {
        desk.begun(&all());
        comes_after(row, &mut desk, first);
    } else {
        assert_eq!(desk.call(&all(), Some(200)), Came::Passed, "{name}: the first question");
    }
    for _ in 1..most {
        if gap.is_zero() {
            assert_eq!(desk.call(&all(), Some(404)), Came::Passed, "{name}");
        } else {
            comes_after(row, &mut desk, gap);
        }
    }
    let asked = desk.now.since(midnight());
    // The thing is forgotten so long after its beginning.
    comes_after(row, &mut desk, within - asked);
}

fn they_begin_with(row: &Row, limit: &Limit, begins: Option<(&str, &str)>) {
    let Shape::Polls(polls) = &limit.shape else { panic!("{} are polls", row.name) };
    let after = polls.after.as_ref().map(|(operation, id)| (operation.as_str(), id.as_str()));
    assert_eq!(after, begins, "{}: what begins it", row.name);
}

fn a_session_has_so_many_calls(row: &Row, limit: &Limit, (calls, per_second, idle): (u32, u32, Duration)) {
    let name = row.name;
    let second = Duration::from_secs(1);
    let mut desk = Desk::open(limit, midnight());
    for made in (0..calls).step_by(usize::try_from(per_second).unwrap()) {
        if made > 0 {
            desk.wait(second - TICK);
            assert_ne!(desk.call(&all(), Some(200)), Came::Passed, "{name}: too early, after {made} calls");
            desk.wait(TICK);
        }
        assert_eq!(desk.pass(&all(), per_second + 1, 200), per_second, "{name}: in a second, after {made} calls");
    }
    desk.wait(second);
    assert_ne!(desk.call(&all(), Some(200)), Came::Passed, "{name}: after {calls} calls");
    // All of its calls are made: the session has to end first.
    comes_after(row, &mut desk, idle - second);
}

fn a_day_has_so_many_sessions(row: &Row, limit: &Limit, per_day: u32, idle: Duration) {
    let name = row.name;
    let mut desk = Desk::open(limit, midnight());
    for session in 1..=per_day {
        assert_eq!(desk.call(&all(), Some(200)), Came::Passed, "{name}: session {session}");
        desk.wait(idle);
    }
    let day = Duration::from_secs(86_400);
    let used = desk.now.since(midnight());
    comes_after(row, &mut desk, day - used);
}

/// Nothing passes now, nor until the last instant before this time is over; then a call does, and the answer has said so.
fn comes_after(row: &Row, desk: &mut Desk<'_>, time: Duration) {
    // The clock has whole milliseconds.
    let whole = Duration::from_millis(u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap());
    assert_eq!(desk.call(&all(), Some(200)), Came::Refused(whole), "{}", row.name);
    desk.wait(whole - TICK);
    assert_ne!(desk.call(&all(), Some(200)), Came::Passed, "{}: too early", row.name);
    desk.wait(TICK);
    assert_eq!(desk.call(&all(), Some(200)), Came::Passed, "{}: after {whole:?}", row.name);
}
