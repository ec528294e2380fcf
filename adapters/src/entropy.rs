//! Randomness from the system's generator, and the two shapes of names that are made of it.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use policies::time::Timestamp;

/// Returns `N` bytes that nobody can guess.
///
/// # Panics
/// If the operating system gives no randomness: a process that cannot draw a key must not serve.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system's generator was seeded before the process began to serve");
    bytes
}

/// Returns 128 random bits as 22 characters of base64url, for ids that must not be guessed.
#[must_use]
pub fn token_128bit() -> String {
    URL_SAFE_NO_PAD.encode(random::<16>())
}

/// Names things that have to differ, but that somebody may guess: cheaper than [`uuid_v4`], which asks the generator.
///
/// The names are version 4 UUIDs in form: a keyed hash of a count, with a key drawn from the system at start.
#[derive(Debug, Default)]
pub struct Namer {
    key: RandomState,
    count: AtomicU64,
}

impl Namer {
    /// Returns a name that this namer has not given before.
    #[must_use]
    pub fn name(&self) -> String {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let (high, low) = (self.key.hash_one((count, 0_u8)), self.key.hash_one((count, 1_u8)));
        let random = (u128::from(high) << 64) | u128::from(low);
        uuid::Builder::from_random_bytes(random.to_be_bytes()).into_uuid().hyphenated().to_string()
    }
}

/// Returns a random UUID (RFC 9562, version 4).
#[must_use]
pub fn uuid_v4() -> String {
    uuid::Builder::from_random_bytes(random()).into_uuid().hyphenated().to_string()
}

/// Returns a UUID that sorts by `now` (RFC 9562, version 7), its other 74 bits random.
#[must_use]
pub fn uuid_v7(now: Timestamp) -> String {
    let millis = u64::try_from(now.millis()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &random()).into_uuid().hyphenated().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_and_are_uuids() {
        let namer = Namer::default();
        let names: std::collections::HashSet<String> = (0..1000).map(|_| namer.name()).collect();
        assert_eq!(names.len(), 1000);
        assert!(names.iter().all(|name| uuid::Uuid::parse_str(name).is_ok_and(|uuid| uuid.get_version_num() == 4)));
    }

    #[test]
    fn two_draws_differ() {
        assert_ne!(random::<16>(), random::<16>());
        assert_ne!(token_128bit(), token_128bit());
        assert_eq!(token_128bit().len(), 22);
    }

    #[test]
    fn uuids_tell_their_version_and_version_seven_sorts_by_time() {
        assert_eq!(uuid_v4().as_bytes().get(14), Some(&b'4'));
        let (early, late) = (uuid_v7(Timestamp::from_millis(1000)), uuid_v7(Timestamp::from_millis(1001)));
        assert_eq!(early.as_bytes().get(14), Some(&b'7'));
        assert!(early < late);
    }
}
