//! Randomness that can be thrown again: every random scenario prints its seed and takes it from `QAQPA_SEED`.

/// Returns the seed of this run, and prints it for whoever reads a failure.
#[expect(clippy::print_stderr, reason = "a failing run is to tell its seed")]
pub fn seed() -> u64 {
    let told = std::env::var("QAQPA_SEED").ok().and_then(|text| text.parse().ok());
    let seed = told.unwrap_or_else(|| {
        let mut bytes = [0; 8];
        aws_lc_rs::rand::fill(&mut bytes).unwrap();
        u64::from_le_bytes(bytes)
    });
    eprintln!("QAQPA_SEED={seed}");
    seed
}

/// A generator (SplitMix64).
pub struct Dice(u64);

impl Dice {
    /// Begins at a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Gives a number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end.max(1)
    }
}
