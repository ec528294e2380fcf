//! What clients are told of their limits: the fields `RateLimit-Policy` and `RateLimit`, and two types of problems.
//!
//! They are those of draft-ietf-httpapi-ratelimit-headers-10, which may change: it is known in this file only. They name a
//! limit and never whose counter it is, so no partition key is told (3.1.4); and how full a counter is that others fill
//! too is told to nobody (8.2): it would tell what those do.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use policies::limit::{Limit, Mode, Shape, Verdict, Window};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// The type of the problem that a caller has used up a limit.
pub const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

/// The type of the problem that there is less room than usual for everybody.
pub const REDUCED_CAPACITY: &str = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity";

/// The most limits that the fields of one answer tell: they would else be longer than some servers in between take.
pub const TOLD_MAX: usize = 16;

/// How long both fields of one answer are together at most, in bytes: some servers in between take 8 KiB of a whole head, and
/// names of limits may be long.
pub const FIELDS_BYTES_MAX: usize = 4096;

/// What stands between two members of a List (RFC 9651, section 4.1.1).
const SEPARATOR: &str = ", ";

/// The shortest wait that is told to who was refused: seconds are the smallest unit there is, and zero would mean "at once".
const WAIT_MIN: Duration = Duration::from_secs(1);

/// The largest Integer of a structured field (RFC 9651, section 3.3.1).
const INTEGER_MAX: u64 = 999_999_999_999_999;

/// What a limit allots to each caller, whatever was used of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allotment {
    /// How many calls.
    pub quota: u32,
    /// Within how long; none where it is no time that bounds them, or one that is not always as long.
    pub window: Option<Duration>,
    /// Whether calls that are under way are meant.
    pub concurrent: bool,
}

impl Allotment {
    /// Returns what a limit allots.
    #[must_use]
    pub fn of(limit: &Limit) -> Self {
        let (quota, window) = match &limit.shape {
            Shape::Bucket(bucket) => {
                let cell = bucket.rate.per / bucket.rate.count.get();
                (bucket.burst, Some(cell.saturating_mul(bucket.burst.get())))
            }
            Shape::Quota(quota) => (quota.most, length(quota.window)),
            Shape::InFlight(most) => (*most, None),
            Shape::Polls(polls) => (polls.most, Some(polls.within)),
            Shape::Sessions(sessions) => (sessions.calls, None),
        };
        Self { quota: quota.get(), window, concurrent: matches!(limit.shape, Shape::InFlight(_)) }
    }

    /// Returns the window in whole seconds, never zero (3.1.3).
    #[must_use]
    pub fn window_seconds(&self) -> Option<u64> {
        self.window.map(|window| whole_seconds(window).max(1))
    }
}

/// How much room a limit has left for a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    name: Arc<str>,
    /// What there is for each caller; none where that is not told.
    allotment: Option<Allotment>,
    admitted: bool,
    remaining: u32,
    capacity: u32,
    /// In how long there is room for one event more.
    more_after: Duration,
}

impl Room {
    /// Tells what a limit said of a call.
    #[must_use]
    pub fn of(limit: &Limit, verdict: &Verdict) -> Self {
        Self {
            name: Arc::clone(&limit.id),
            allotment: is_own(limit).then(|| Allotment::of(limit)),
            admitted: verdict.admitted,
            remaining: if verdict.admitted { verdict.remaining } else { 0 },
            capacity: verdict.capacity,
            more_after: if verdict.admitted { verdict.more_after } else { verdict.more_after.max(WAIT_MIN) },
        }
    }

    /// Tells that nothing fits until `more_after` has passed into a limit that is the process's own business.
    #[must_use]
    pub fn none_of(name: &str, more_after: Duration) -> Self {
        Self { name: Arc::from(name), allotment: None, admitted: false, remaining: 0, capacity: 1, more_after }
    }

    /// Tells whether a smaller part of it is left than of another.
    #[must_use]
    pub fn is_tighter_than(&self, other: &Self) -> bool {
        let capacity = |room: &Self| u64::from(room.capacity.max(1));
        u64::from(self.remaining) * capacity(other) < u64::from(other.remaining) * capacity(self)
    }

    // An Item of `RateLimit-Policy` (3.1); none where it cannot or may not be told.
    fn policy(&self) -> Option<String> {
        let (name, allotment) = (quoted(&self.name)?, self.allotment?);
        let unit = if allotment.concurrent { ";qu=\"concurrent-requests\"" } else { "" };
        let window = allotment.window_seconds().map(|window| format!(";w={}", window.min(INTEGER_MAX)));
        Some(format!("{name};q={}{unit}{}", allotment.quota, window.unwrap_or_default()))
    }

    // An Item of `RateLimit` (4.1).
    fn service(&self) -> Option<String> {
        let name = quoted(&self.name)?;
        // When a call that is under way ends is not known.
        let known = !self.admitted || !self.allotment.is_some_and(|allotment| allotment.concurrent);
        let reset = known.then(|| format!(";t={}", whole_seconds(self.more_after).min(INTEGER_MAX)));
        Some(format!("{name};r={}{}", self.remaining, reset.unwrap_or_default()))
    }
}

/// What all limits said of one call, in the order in which they were asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rooms(Vec<Room>);

impl From<Room> for Rooms {
    fn from(room: Room) -> Self {
        Self(vec![room])
    }
}

impl Rooms {
    /// Puts together what was said; a limit that refuses nobody is no client's business, nor one of all that had room.
    #[must_use]
    pub fn of<'a>(said: impl IntoIterator<Item = (&'a Limit, &'a Verdict)>) -> Self {
        let told = said
            .into_iter()
            .filter(|(limit, verdict)| limit.mode == Mode::Enforce && (is_own(limit) || !verdict.admitted));
        Self(told.map(|(limit, verdict)| Room::of(limit, verdict)).collect())
    }

    /// Adds what other limits said, behind what was said first.
    pub fn add(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// Tells whether there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Goes through the names of those that had no room.
    pub fn violated(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.iter().filter(|room| !room.admitted).map(|room| &room.name)
    }

    /// Returns in how long all of those have room again that had none; none where all had.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.iter().filter(|room| !room.admitted).map(|room| room.more_after).max()
    }

    /// Writes the fields: every policy, and how much room is left in the tightest, or who had none.
    ///
    /// A name that a structured field cannot hold is not told. Of more than [`TOLD_MAX`] limits, or more than fit into
    /// [`FIELDS_BYTES_MAX`], those are left out that the answer is about least, each with all that is told of it.
    pub fn write(&self, headers: &mut HeaderMap) {
        let told = self.told();
        insert(headers, POLICY, told.iter().filter_map(|items| items.policy.as_deref()));
        insert(headers, LIMIT, told.iter().filter_map(|items| items.service.as_deref()));
    }

    // In the order in which limits were asked; what the answer is about finds room first.
    fn told(&self) -> Vec<Items> {
        let tightest = self.0.iter().reduce(|least, room| if room.is_tighter_than(least) { room } else { least });
        let refused = self.0.iter().any(|room| !room.admitted);
        let tightest = tightest.filter(|_| !refused);
        let is_about = |room: &Room| !room.admitted || tightest.is_some_and(|tightest| std::ptr::eq(tightest, room));
        let of = |about: bool| self.0.iter().enumerate().filter(move |(_, room)| is_about(room) == about);
        let (mut told, mut bytes) = (Vec::with_capacity(self.0.len().min(TOLD_MAX)), 0);
        for (at, room) in of(true).chain(of(false)) {
            let service = if is_about(room) { room.service() } else { None };
            let items = Items { at, policy: room.policy(), service };
            let longer = bytes + items.bytes();
            if longer > bytes && longer <= FIELDS_BYTES_MAX && told.len() < TOLD_MAX {
                bytes = longer;
                told.push(items);
            }
        }
        told.sort_unstable_by_key(|items| items.at);
        told
    }
}

/// What is told of one limit.
struct Items {
    /// Where it was asked.
    at: usize,
    policy: Option<String>,
    service: Option<String>,
}

impl Items {
    // A separator with each is two bytes too many in a field: who reads this need not know how many there are.
    fn bytes(&self) -> usize {
        let items = [&self.policy, &self.service];
        items.into_iter().flatten().map(|item| item.len() + SEPARATOR.len()).sum()
    }
}

/// Tells whether a counter is filled by the caller or its organisation alone, so that they may know how full it is.
#[must_use]
pub fn is_own(limit: &Limit) -> bool {
    !limit.concerns(false)
}

/// Rounds up, so that who waits as told finds room.
#[must_use]
pub fn whole_seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

fn length(window: Window) -> Option<Duration> {
    match window {
        Window::Second => Some(Duration::from_secs(1)),
        Window::Minute => Some(Duration::from_secs(60)),
        Window::Hour => Some(Duration::from_secs(3600)),
        Window::Day => Some(Duration::from_secs(86_400)),
        // The field is to stay the same from answer to answer (3), and months do not.
        Window::Month => None,
        Window::Rolling(span) => Some(span),
    }
}

// A String of RFC 9651, section 3.3.3.
fn quoted(text: &str) -> Option<String> {
    let plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    plain.then(|| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

// A List of RFC 9651, section 3.1; an empty one is no field at all.
fn insert<'i>(headers: &mut HeaderMap, name: HeaderName, items: impl Iterator<Item = &'i str>) {
    let list = items.collect::<Vec<_>>().join(SEPARATOR);
    if let Some(value) = HeaderValue::from_str(&list).ok().filter(|_| !list.is_empty()) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use policies::limit::{Dimension, Polls, Quota, Rate, Sessions};

    use super::*;

    fn number(number: u32) -> NonZeroU32 {
        NonZeroU32::MIN.saturating_add(number - 1)
    }

    fn limit(id: &str, count: u32, per: u64, burst: u32) -> Limit {
        let rate = Rate { count: number(count), per: Duration::from_secs(per) };
        Limit::bucket(id, &[Dimension::Client], rate, number(burst))
    }

    fn shaped(id: &str, shape: Shape) -> Limit {
        Limit { shape, ..limit(id, 1, 1, 1) }
    }

    fn verdict(admitted: bool, remaining: u32, capacity: u32, more_after: Duration) -> Verdict {
        Verdict { admitted, remaining, capacity, window: Duration::from_secs(1), more_after }
    }

    fn fields(rooms: &Rooms) -> [Option<String>; 2] {
        let mut headers = HeaderMap::new();
        rooms.write(&mut headers);
        assert!(headers.keys().all(|name| name == POLICY || name == LIMIT));
        [POLICY, LIMIT].map(|name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned))
    }

    fn told(said: &[(&Limit, Verdict)]) -> [Option<String>; 2] {
        fields(&Rooms::of(said.iter().map(|(limit, verdict)| (*limit, verdict))))
    }

    #[test]
    fn rs60_a_name_that_would_end_its_string_does_not() {
        let some = verdict(true, 0, 1, Duration::from_secs(1));
        let [policy, room] = told(&[(&limit("a\";q=9;x=\"\\", 1, 1, 1), some)]);
        assert_eq!(policy.as_deref(), Some(r#""a\";q=9;x=\"\\";q=1;w=1"#));
        assert_eq!(room.as_deref(), Some(r#""a\";q=9;x=\"\\";r=0;t=1"#));
        for untold in ["план", "a\nb", "a\u{7f}"] {
            assert_eq!(told(&[(&limit(untold, 1, 1, 1), some)]), [None, None]);
            // One that cannot be told hides none beside it.
            let both = told(&[(&limit(untold, 1, 1, 1), some), (&limit("a", 1, 1, 1), some)]);
            assert_eq!(both.first().cloned().flatten().as_deref(), Some(r#""a";q=1;w=1"#));
        }
    }

    #[test]
    fn rs60_the_fields_are_lists_and_round_up() {
        let (client, slow) = (limit("trial:client:2/s", 2, 1, 5), limit("slow", 1, 60, 2));
        let [policy, room] = told(&[
            (&client, verdict(true, 4, 5, Duration::from_millis(500))),
            (&slow, verdict(true, 1, 2, Duration::from_millis(59_001))),
        ]);
        assert_eq!(policy.as_deref(), Some(r#""trial:client:2/s";q=5;w=3, "slow";q=2;w=120"#));
        assert_eq!(room.as_deref(), Some(r#""slow";r=1;t=60"#), "the tightest alone");
        let [policy, room] = fields(&Rooms::from(Room::none_of("peer", Duration::from_secs(1))));
        assert_eq!((policy, room.as_deref()), (None, Some(r#""peer";r=0;t=1"#)));
        assert_eq!(fields(&Rooms::default()), [None, None]);
    }

    #[test]
    fn rs60_every_limit_without_room_is_told_and_the_longest_wait() {
        let (one, two, roomy) = (limit("one", 1, 60, 1), limit("two", 1, 1, 1), limit("roomy", 1, 1, 9));
        let second = Duration::from_secs(1);
        let said = [
            (&one, verdict(false, 0, 1, Duration::from_secs(59))),
            (&roomy, verdict(true, 0, 9, second)),
            // Some shapes have calls left, but not yet.
            (&two, verdict(false, 2, 3, Duration::from_millis(1))),
        ];
        let rooms = Rooms::of(said.iter().map(|(limit, verdict)| (*limit, verdict)));
        let [policy, room] = fields(&rooms);
        assert_eq!(policy.as_deref(), Some(r#""one";q=1;w=60, "roomy";q=9;w=9, "two";q=1;w=1"#));
        assert_eq!(room.as_deref(), Some(r#""one";r=0;t=59, "two";r=0;t=1"#));
        assert!(rooms.violated().map(AsRef::as_ref).eq(["one", "two"]));
        assert_eq!(rooms.retry_after(), Some(Duration::from_secs(59)), "not earlier than any `t`");
        let soon = [(&two, verdict(false, 0, 1, Duration::ZERO))];
        let rooms = Rooms::of(soon.iter().map(|(limit, verdict)| (*limit, verdict)));
        assert_eq!(rooms.retry_after(), Some(WAIT_MIN), "who is refused never reads `at once`");
        assert_eq!(Rooms::of([(&one, &verdict(true, 0, 1, second))]).retry_after(), None);
    }

    #[test]
    fn what_refuses_nobody_is_not_told() {
        let none = verdict(false, 0, 1, Duration::from_secs(9));
        for mode in [Mode::Report, Mode::Off] {
            let limit = Limit { mode, ..limit("shadow", 1, 1, 1) };
            let rooms = Rooms::of([(&limit, &none)]);
            assert!(rooms.is_empty() && rooms.violated().next().is_none() && rooms.retry_after().is_none());
        }
    }

    #[test]
    fn a_counter_that_others_fill_too_is_told_only_where_it_refuses() {
        for shared in [Dimension::Operation, Dimension::Api, Dimension::Subject, Dimension::Resource, Dimension::Peer] {
            let limit = Limit { per: vec![shared], ..limit("everybody", 1, 1, 9) };
            assert_eq!(told(&[(&limit, verdict(true, 3, 9, Duration::from_secs(1)))]), [None, None]);
            let [policy, room] = told(&[(&limit, verdict(false, 0, 9, Duration::from_secs(4)))]);
            assert_eq!((policy, room.as_deref()), (None, Some(r#""everybody";r=0;t=4"#)));
            let limit = Limit { per: vec![shared, Dimension::Client], ..limit };
            assert!(told(&[(&limit, verdict(true, 3, 9, Duration::from_secs(1)))]).iter().all(Option::is_some));
        }
    }

    #[test]
    fn each_shape_tells_what_it_allots() {
        let second = Duration::from_secs(1);
        let quota = |window| Shape::Quota(Quota { most: number(7), window });
        let polls = Polls { after: None, first: second, gap: second, most: number(3), within: 2 * second };
        let sessions = Sessions { per_day: number(20), calls: number(100), rate: number(5), idle: second };
        let cases = [
            (quota(Window::Second), r#""it";q=7;w=1"#, r#""it";r=1;t=1"#),
            (quota(Window::Minute), r#""it";q=7;w=60"#, r#""it";r=1;t=1"#),
            (quota(Window::Hour), r#""it";q=7;w=3600"#, r#""it";r=1;t=1"#),
            (quota(Window::Day), r#""it";q=7;w=86400"#, r#""it";r=1;t=1"#),
            (quota(Window::Month), r#""it";q=7"#, r#""it";r=1;t=1"#),
            (quota(Window::Rolling(Duration::from_millis(9500))), r#""it";q=7;w=10"#, r#""it";r=1;t=1"#),
            (Shape::Polls(polls), r#""it";q=3;w=2"#, r#""it";r=1;t=1"#),
            (Shape::Sessions(sessions), r#""it";q=100"#, r#""it";r=1;t=1"#),
            // When a call that is under way ends is not known.
            (Shape::InFlight(number(4)), r#""it";q=4;qu="concurrent-requests""#, r#""it";r=1"#),
        ];
        for (shape, policy, room) in cases {
            let said = told(&[(&shaped("it", shape), verdict(true, 1, 7, second))]);
            assert_eq!(said.each_ref().map(Option::as_deref), [Some(policy), Some(room)]);
        }
        let full = told(&[(&shaped("it", Shape::InFlight(number(4))), verdict(false, 0, 4, Duration::ZERO))]);
        assert_eq!(full.last().cloned().flatten().as_deref(), Some(r#""it";r=0;t=1"#));
    }

    #[test]
    fn the_fields_tell_so_many_and_not_one_more() {
        let limits: Vec<Limit> = (0..=TOLD_MAX).map(|n| limit(&format!("n{n}"), 1, 1, 1)).collect();
        for (count, items) in [(TOLD_MAX, TOLD_MAX), (TOLD_MAX + 1, TOLD_MAX)] {
            let none = verdict(false, 0, 1, Duration::from_secs(1));
            let rooms = Rooms::of(limits.iter().take(count).map(|limit| (limit, &none)));
            for field in fields(&rooms) {
                assert_eq!(field.map(|field| field.split(", ").count()), Some(items));
            }
            assert_eq!(rooms.violated().count(), count, "the problem names all");
        }
    }

    #[test]
    fn the_fields_are_so_long_together_and_no_longer() {
        let some = |admitted, left| verdict(admitted, left, 9, Duration::from_secs(1));
        let named = |name: &str, bytes: usize| limit(&format!("{name}{}", "x".repeat(bytes)), 1, 1, 9);
        // `"..";q=9;w=9, ` and `"..";r=0;t=1, ` are twelve bytes and the name.
        let (a, b) = (named("a", 499), named("b", 499));
        let rest = (FIELDS_BYTES_MAX - 3 * 512) / 2 - 12;
        let told = |c: &Limit| {
            let said = [(&a, some(true, 5)), (&b, some(false, 0)), (c, some(false, 0))];
            fields(&Rooms::of(said.iter().map(|(limit, verdict)| (*limit, verdict))))
        };
        let names = |field: &Option<String>| {
            let field = field.clone().unwrap_or_default();
            field.split(", ").filter_map(|item| item.chars().nth(1)).collect::<String>()
        };
        // Both that refuse stay, with both of their items each; the one that had room is last to find some.
        let longest = told(&named("c", rest - 1));
        assert_eq!(longest.iter().flatten().map(|field| field.len() + 2).sum::<usize>(), FIELDS_BYTES_MAX);
        assert_eq!(longest.each_ref().map(names), ["abc", "bc"].map(str::to_owned));
        assert_eq!(told(&named("c", rest)).each_ref().map(names), ["bc", "bc"].map(str::to_owned));
        // What does not fit at all hides nothing that does.
        assert_eq!(told(&named("c", FIELDS_BYTES_MAX)).each_ref().map(names), ["ab", "b"].map(str::to_owned));
        // Of a call that is let through the tightest stays.
        let last = named("l", FIELDS_BYTES_MAX / 2 - 12 - 1);
        let said = [(&a, some(true, 5)), (&last, some(true, 1))];
        let through = fields(&Rooms::of(said.iter().map(|(limit, verdict)| (*limit, verdict))));
        assert_eq!(through.each_ref().map(names), ["l", "l"].map(str::to_owned));
    }

    #[test]
    fn the_limit_with_the_smaller_part_left_is_the_tighter_one() {
        let (wide, narrow) = (limit("wide", 100, 1, 100), limit("narrow", 2, 1, 4));
        let left =
            |limit: &Limit, remaining, of| Room::of(limit, &verdict(true, remaining, of, Duration::from_secs(1)));
        assert!(left(&narrow, 1, 4).is_tighter_than(&left(&wide, 26, 100)));
        assert!(!left(&narrow, 1, 4).is_tighter_than(&left(&wide, 25, 100)), "as tight is not tighter");
        assert!(Room::none_of("wide", Duration::ZERO).is_tighter_than(&left(&narrow, 1, 4)));
    }
}
