//! Limits that several gateways count together, in Redis or Valkey: one script for all limits of a call.
//!
//! The servers' clock is the one that counts; a gateway's own only tells how long ago something was heard. What is known
//! here without asking (counters without room, leases of hot buckets) only ever saves calls. Each owner has a share of the
//! servers' memory. Nothing here must know what happens to a call without room, nor what is done while the servers are away.

mod key;
mod limiter;
mod places;
mod script;
mod seen;
#[cfg(test)]
mod tests;

pub use self::limiter::{BEAT, DEAD_AFTER, SharedHolds, SharedLimiter, SharedReadings, SharedTaken};
pub use self::places::{COUNTERS_MAX, OWNER_COUNTERS_MAX, OWNERS_MAX};
pub use self::seen::{LEASE, LEASE_PACE, LEASE_PART, LEASED_PER_SECOND, LEASES_MAX, OVER_GIVEN, OVER_KEPT, OVER_MAX};
