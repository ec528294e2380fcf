//! When keys that sign follow one another.
//!
//! A key is published, signs, and is published on until the last that it signed is over. Must not know where keys rest,
//! nor what is signed with them.

use std::time::Duration;

use thiserror::Error;

use crate::result::RESULT_TTL_MAX;
use crate::time::Timestamp;
use crate::token::{ACCESS_TOKEN_TTL, LEEWAY};

/// How long the published keys may be kept by whoever reads them: what `Cache-Control` tells.
pub const KEYS_CACHE: Duration = Duration::from_secs(60);

/// How long a key is published before it signs: five times as long as whoever is told may keep the keys, since some
/// libraries keep them for five minutes whatever they are told.
pub const PUBLISHED_BEFORE_USE: Duration = Duration::from_secs(300);

/// How long a key is published after it has signed last: as long as the longest of what it signed is good, and as much
/// again for replicas that notice a rotation late and for clocks that differ.
pub const PUBLISHED_AFTER_USE: Duration = Duration::from_secs(600);

/// How often keys are rotated if the operator says nothing.
pub const ROTATE_EVERY: Duration = Duration::from_secs(30 * 86_400);

/// The shortest time between two rotations by schedule: what is shorter adds keys to be published, and no safety.
pub const ROTATE_EVERY_MIN: Duration = Duration::from_secs(3600);

/// The longest: ten years.
pub const ROTATE_EVERY_MAX: Duration = Duration::from_secs(3653 * 86_400);

const _: () = assert!(PUBLISHED_BEFORE_USE.as_secs() > KEYS_CACHE.as_secs());
const _: () = assert!(PUBLISHED_AFTER_USE.as_secs() > ACCESS_TOKEN_TTL.as_secs() + LEEWAY.as_secs());
const _: () = assert!(PUBLISHED_AFTER_USE.as_secs() > RESULT_TTL_MAX.as_secs() + LEEWAY.as_secs());
// Two rotations in a row still leave every key that may have signed what is good.
const _: () = assert!(ROTATE_EVERY_MIN.as_secs() > PUBLISHED_AFTER_USE.as_secs());

/// The next key may not sign yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the next key is published for too short a time: it may sign from {at} on")]
pub struct TooEarly {
    /// From when on it may.
    pub at: Timestamp,
}

/// Tells whether a key that was published at a time may sign now.
///
/// # Errors
/// [`TooEarly`] before it has been published for [`PUBLISHED_BEFORE_USE`].
pub fn may_sign(published: Timestamp, now: Timestamp) -> Result<(), TooEarly> {
    let at = published + PUBLISHED_BEFORE_USE;
    if now < at { Err(TooEarly { at }) } else { Ok(()) }
}

/// Tells whether a key that signs since a time is to be followed by the next one, published at another.
#[must_use]
pub fn is_due(signs_from: Timestamp, published: Timestamp, every: Duration, now: Timestamp) -> bool {
    now >= signs_from + every && may_sign(published, now).is_ok()
}

/// Tells whether everything that a key signed is over, which signed until a time.
#[must_use]
pub fn is_over(signed_until: Timestamp, now: Timestamp) -> bool {
    now >= signed_until + PUBLISHED_AFTER_USE
}

#[cfg(test)]
mod tests {
    use super::*;

    const THEN: Timestamp = Timestamp::from_seconds(1_700_000_000);
    const TICK: Duration = Duration::from_millis(1);

    #[test]
    fn c13_a_key_signs_once_it_has_been_published_for_long_enough_and_not_before() {
        let from = THEN + PUBLISHED_BEFORE_USE;
        assert_eq!(may_sign(THEN, THEN), Err(TooEarly { at: from }));
        assert_eq!(may_sign(THEN, from - TICK), Err(TooEarly { at: from }));
        assert_eq!(may_sign(THEN, from), Ok(()));
    }

    #[test]
    fn a_rotation_is_due_when_its_time_has_come_and_the_next_key_is_known() {
        let every = ROTATE_EVERY_MIN;
        assert!(!is_due(THEN, THEN, every, THEN + every - TICK));
        assert!(is_due(THEN, THEN, every, THEN + every));
        let late = THEN + every;
        assert!(!is_due(THEN, late, every, late + PUBLISHED_BEFORE_USE - TICK));
        assert!(is_due(THEN, late, every, late + PUBLISHED_BEFORE_USE));
    }

    #[test]
    fn c13_a_key_is_over_when_nothing_that_it_signed_is_good_any_more() {
        assert!(!is_over(THEN, THEN + ACCESS_TOKEN_TTL + LEEWAY));
        assert!(!is_over(THEN, THEN + PUBLISHED_AFTER_USE - TICK));
        assert!(is_over(THEN, THEN + PUBLISHED_AFTER_USE));
    }
}
