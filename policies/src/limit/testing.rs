//! What the tests of limits share: a counter whose time is moved by hand, shapes, and dice that fall alike in every run.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::num::NonZeroU32;
use std::time::Duration;

use super::state::{self, State};
use super::{Bucket, Polls, Quota, Rate, Sessions, Shape, Verdict, Window};
use crate::time::Timestamp;

/// 2027-01-15T08:00:00Z: 13:00 in Kazakhstan.
pub(super) const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
pub(super) const TICK: Duration = Duration::from_millis(1);
pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3600);
pub(super) const DAY: Duration = Duration::from_secs(86_400);

pub(super) fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

pub(super) fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

pub(super) fn bucket(count: u32, per: Duration, burst: u32) -> Bucket {
    Bucket { rate: Rate { count: number(count), per }, burst: number(burst), costs: None, credit: None }
}

pub(super) fn quota(most: u32, window: Window) -> Shape {
    Shape::Quota(Quota { most: number(most), window })
}

pub(super) fn polls(first: Duration, gap: Duration, most: u32, within: Duration) -> Polls {
    Polls { after: None, first, gap, most: number(most), within }
}

pub(super) fn sessions(per_day: u32, calls: u32, rate: u32, idle: Duration) -> Sessions {
    Sessions { per_day: number(per_day), calls: number(calls), rate: number(rate), idle }
}

/// A limit for one value of its dimensions.
#[derive(Debug)]
pub(super) struct Counter {
    pub(super) shape: Shape,
    pub(super) state: Option<State>,
}

impl Counter {
    pub(super) fn new(shape: Shape) -> Self {
        Self { shape, state: None }
    }

    pub(super) fn take(&mut self, now: Timestamp) -> Verdict {
        let room = state::room(&self.shape, self.state.as_ref(), now);
        let (verdict, state) = state::take(&self.shape, self.state.take(), now);
        self.state = state;
        assert_eq!(room.admitted, verdict.admitted, "{:?} at {now}", self.shape);
        assert_eq!(room.remaining > 0, room.admitted, "{:?} at {now}", self.shape);
        verdict
    }

    pub(super) fn fits(&mut self, now: Timestamp) -> bool {
        self.take(now).admitted
    }

    pub(super) fn room(&self, now: Timestamp) -> Verdict {
        state::room(&self.shape, self.state.as_ref(), now)
    }

    /// Takes as long as there is room; tells how often there was.
    pub(super) fn drain(&mut self, now: Timestamp) -> u32 {
        let mut taken = 0;
        while self.fits(now) {
            taken += 1;
        }
        taken
    }

    pub(super) fn settle(&mut self, tokens: i64, now: Timestamp) {
        let Shape::Bucket(terms) = &self.shape else { return };
        self.state = Some(state::settle(terms, self.state.take(), tokens, now));
    }
}

/// Numbers that look random and are the same in every run (SplitMix64).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end.max(1)
    }

    pub(super) fn number(&mut self, most: u64) -> NonZeroU32 {
        number(u32::try_from(1 + self.below(most)).unwrap())
    }

    pub(super) fn span(&mut self, most: Duration) -> Duration {
        Duration::from_millis(self.below(u64::try_from(most.as_millis()).unwrap() + 1))
    }

    /// A shape of any kind, small enough that it is used up now and then.
    pub(super) fn shape(&mut self) -> Shape {
        match self.below(8) {
            0 | 1 => {
                let rate = Rate { count: self.number(7), per: TICK.max(self.span(3 * SECOND)) };
                Shape::Bucket(Bucket { rate, burst: self.number(9), costs: None, credit: None })
            }
            2 | 3 => {
                let windows = [Window::Second, Window::Minute, Window::Hour, Window::Day, Window::Month];
                let window = windows.get(usize::try_from(self.below(5)).unwrap()).copied().unwrap();
                Shape::Quota(Quota { most: self.number(9), window })
            }
            4 => {
                let window = Window::Rolling(SECOND + self.span(10 * SECOND));
                Shape::Quota(Quota { most: self.number(9), window })
            }
            5 | 6 => Shape::Polls(Polls {
                after: None,
                first: self.span(2 * SECOND),
                gap: if self.below(2) == 0 { Duration::ZERO } else { self.span(2 * SECOND) },
                most: self.number(5),
                within: 3 * SECOND + self.span(10 * SECOND),
            }),
            _ => Shape::Sessions(Sessions {
                per_day: self.number(4),
                calls: self.number(7),
                rate: self.number(4),
                idle: SECOND + self.span(3 * SECOND),
            }),
        }
    }
}
