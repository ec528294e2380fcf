//! A cheap limit per peer, asked before any cryptography: one atomic word per slot, no allocation, no lock.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use policies::limit::bucket::{SPAN_NANOS_MAX, nanos};
use policies::limit::clock::STEP_BACK_MAX;
use policies::limit::{Metering, Rate};
use policies::time::Timestamp;

/// How many slots the peers share: 512 KiB, and of 1,000 peers at once 15 share theirs with another.
pub const SLOTS: usize = 1 << 16;

/// Counts events per peer: an IPv4 address, or the /64 of an IPv6 one.
///
/// Peers whose addresses fall into one slot share its room; which ones do is drawn anew at each start.
#[derive(Debug)]
pub struct PeerGuard {
    /// Per slot, when its bucket will be full again: nanoseconds since 1970.
    full_at: Vec<AtomicU64>,
    hasher: RandomState,
    cell_nanos: u64,
    burst: u32,
}

impl PeerGuard {
    /// Makes a guard with this room for every peer.
    #[must_use]
    pub fn new(rate: Rate, burst: NonZeroU32) -> Self {
        let cell = rate.per / rate.count.get();
        Self {
            full_at: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::new(),
            cell_nanos: u64::try_from(cell.as_nanos()).unwrap_or(u64::MAX).clamp(1, SPAN_NANOS_MAX),
            burst: burst.get(),
        }
    }

    /// Counts one event of the peer at `address`, if there is room for it at `now`.
    #[must_use]
    pub fn check(&self, address: IpAddr, now: Timestamp) -> Metering {
        let now = nanos(now);
        // Beyond that, sums would stand still at their end, and nothing would ever be without room.
        let room = self.cell_nanos.saturating_mul(u64::from(self.burst)).min(SPAN_NANOS_MAX);
        let slot = usize::try_from(self.hasher.hash_one(prefix(address)) % SLOTS as u64).unwrap_or(0);
        let Some(slot) = self.full_at.get(slot) else { return Metering::KeysExhausted };
        let counted = slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
            let next = since(full_at, now, room).saturating_add(self.cell_nanos);
            (next - now <= room).then_some(next)
        });
        match counted {
            Ok(full_at) => {
                let used = since(full_at, now, room).saturating_add(self.cell_nanos) - now;
                Metering::Within {
                    remaining: u32::try_from((room - used.min(room)) / self.cell_nanos).unwrap_or(u32::MAX),
                }
            }
            Err(full_at) => {
                let next = since(full_at, now, room).saturating_add(self.cell_nanos);
                Metering::Exceeded { retry_after: Duration::from_nanos((next - now).saturating_sub(room)) }
            }
        }
    }
}

// A bucket cannot need longer than `room` to be full; one that seems to was used before the clock went back. A step back
// that is waited for opens nothing, nor does a thread that read the clock a little before the one that used it last.
fn since(full_at: u64, now: u64, room: u64) -> u64 {
    let back = u64::try_from(STEP_BACK_MAX.as_nanos()).unwrap_or(u64::MAX);
    if full_at.saturating_sub(now) > room.saturating_add(back) { now } else { full_at.max(now) }
}

// A customer of IPv6 holds a /64 and may choose any address in it.
fn prefix(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => u64::try_from(address.to_bits() >> 64).unwrap_or(u64::MAX),
    }
}
