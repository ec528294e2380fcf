//! Randomness that can be thrown again: every random test prints its seed and takes it from `QAQPA_SEED`.

use std::hash::{BuildHasher as _, RandomState};

/// A generator (SplitMix64).
pub(crate) struct Dice(u64);

impl Dice {
    /// Begins at the seed of this run, and prints it for whoever reads a failure.
    #[expect(clippy::print_stderr, reason = "a failing run is to tell its seed")]
    pub(crate) fn of_this_run() -> Self {
        let told = std::env::var("QAQPA_SEED").ok().and_then(|text| text.parse().ok());
        let seed = told.unwrap_or_else(|| RandomState::new().hash_one(0));
        eprintln!("QAQPA_SEED={seed}");
        Self(seed)
    }

    /// Gives a generator of its own for one round, so that a round depends on none before it.
    pub(crate) fn round(&self, number: u64) -> Self {
        Self(self.0 ^ number.wrapping_mul(0xd6e8_feb8_6659_fd93))
    }

    /// Gives a number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end.max(1)
    }

    /// Gives a number from `low` up to and with `high`.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// Is true once in `times`.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// Picks one.
    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let at = usize::try_from(self.below(from.len() as u64)).unwrap();
        from.get(at).unwrap()
    }
}

/// Tells whether the large sizes run.
pub(crate) fn full() -> bool {
    std::env::var("QAQPA_FULL").is_ok_and(|full| full == "1")
}
