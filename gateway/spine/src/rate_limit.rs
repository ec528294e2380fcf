//! What clients are told of their limits: the fields `RateLimit-Policy` and `RateLimit`, and two types of problems.
//!
//! They are those of draft-ietf-httpapi-ratelimit-headers-10, which may change: it is known in this file only. They name a
//! limit and never whose bucket it is.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use policies::limit::{Limit, Shape};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// The type of the problem that a caller has used up a limit.
pub const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

/// The type of the problem that there is less room than usual for everybody.
pub const REDUCED_CAPACITY: &str = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity";

/// How much room a limit has left for a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    name: Arc<str>,
    /// How many events fit into an empty bucket, and how long a full one takes to empty; none where that is not told.
    quota: Option<(u32, Duration)>,
    remaining: u32,
    /// In how long there is room for one event more.
    more_after: Duration,
}

impl Room {
    /// Tells how many more events fit after one that did.
    #[must_use]
    pub fn left(limit: &Limit, remaining: u32) -> Self {
        let (cell, burst) = match &limit.shape {
            Shape::Bucket(bucket) => (bucket.rate.per / bucket.rate.count.get(), bucket.burst.get()),
            _ => (Duration::ZERO, 1),
        };
        let quota = Some((burst, cell.saturating_mul(burst)));
        Self { name: Arc::clone(&limit.id), quota, remaining, more_after: cell }
    }

    /// Tells that nothing fits until `more_after` has passed.
    #[must_use]
    pub fn none(limit: &Limit, more_after: Duration) -> Self {
        Self { more_after, ..Self::left(limit, 0) }
    }

    /// Tells the same of a limit that is the process's own business.
    #[must_use]
    pub fn none_of(name: &str, more_after: Duration) -> Self {
        Self { name: Arc::from(name), quota: None, remaining: 0, more_after }
    }

    /// Returns the name of the limit.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Tells whether a smaller part of it is left than of another.
    #[must_use]
    pub fn is_tighter_than(&self, other: &Self) -> bool {
        let quota = |room: &Self| u64::from(room.quota.map_or(1, |(quota, _)| quota));
        u64::from(self.remaining) * quota(other) < u64::from(other.remaining) * quota(self)
    }

    /// Writes the fields; a name that a structured field cannot hold is not told.
    pub fn write(&self, headers: &mut HeaderMap) {
        let Some(name) = quoted(&self.name) else { return };
        if let Some((quota, window)) = self.quota {
            insert(headers, POLICY, &format!("{name};q={quota};w={}", whole_seconds(window)));
        }
        insert(headers, LIMIT, &format!("{name};r={};t={}", self.remaining, whole_seconds(self.more_after)));
    }
}

/// Rounds up, so that who waits as told finds room.
pub(crate) fn whole_seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

// A String of RFC 9651, section 3.3.3.
fn quoted(text: &str) -> Option<String> {
    let plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    plain.then(|| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

fn insert(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use policies::limit::{Dimension, Rate};

    use super::*;

    fn limit(id: &str, count: u32, per: u64, burst: u32) -> Limit {
        let number = |number: u32| NonZeroU32::MIN.saturating_add(number - 1);
        let rate = Rate { count: number(count), per: Duration::from_secs(per) };
        Limit::bucket(id, &[Dimension::Client], rate, number(burst))
    }

    fn fields(room: &Room) -> [Option<String>; 2] {
        let mut headers = HeaderMap::new();
        room.write(&mut headers);
        assert!(headers.keys().all(|name| name == POLICY || name == LIMIT));
        [POLICY, LIMIT].map(|name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned))
    }

    #[test]
    fn rs60_a_name_that_would_end_its_string_does_not() {
        let [policy, room] = fields(&Room::left(&limit("a\";q=9;x=\"\\", 1, 1, 1), 0));
        assert_eq!(policy.as_deref(), Some(r#""a\";q=9;x=\"\\";q=1;w=1"#));
        assert_eq!(room.as_deref(), Some(r#""a\";q=9;x=\"\\";r=0;t=1"#));
        for untold in ["план", "a\nb", "a\u{7f}"] {
            assert_eq!(fields(&Room::left(&limit(untold, 1, 1, 1), 0)), [None, None]);
        }
    }

    #[test]
    fn rs60_the_fields_are_structured_and_round_up() {
        let [policy, room] = fields(&Room::left(&limit("trial:client:2/s", 2, 1, 5), 4));
        assert_eq!(policy.as_deref(), Some(r#""trial:client:2/s";q=5;w=3"#));
        assert_eq!(room.as_deref(), Some(r#""trial:client:2/s";r=4;t=1"#));
        let [policy, room] = fields(&Room::none(&limit("slow", 1, 60, 2), Duration::from_millis(59_001)));
        assert_eq!((policy.as_deref(), room.as_deref()), (Some(r#""slow";q=2;w=120"#), Some(r#""slow";r=0;t=60"#)));
        let [policy, room] = fields(&Room::none_of("peer", Duration::from_secs(1)));
        assert_eq!((policy, room.as_deref()), (None, Some(r#""peer";r=0;t=1"#)));
    }

    #[test]
    fn the_limit_with_the_smaller_part_left_is_the_tighter_one() {
        let (wide, narrow) = (limit("wide", 100, 1, 100), limit("narrow", 2, 1, 4));
        assert!(Room::left(&narrow, 1).is_tighter_than(&Room::left(&wide, 26)));
        assert!(!Room::left(&narrow, 1).is_tighter_than(&Room::left(&wide, 25)), "as tight is not tighter");
        assert!(Room::none(&wide, Duration::ZERO).is_tighter_than(&Room::left(&narrow, 1)));
    }
}
