//! Redis, or Valkey: what many gateways remember together, and may forget.
//!
//! Only what ends by itself within minutes stands here: a server that is restarted without its memory, or a replica that
//! takes over before the last writes have reached it, forgets, and no call can tell. For a proof that means it could be
//! shown a second time, in the minutes it is valid, by somebody who has read it off an encrypted line: keep the memory
//! (`appendonly yes`) and let a master that has lost its replicas refuse (`min-replicas-to-write 1`) where that matters.
//! A server that forgets to make room (`maxmemory-policy` other than `noeviction`) is refused outright.
//!
//! Everything else is an outage: no connection, no answer in time, a replica, a full memory, a Cluster without this slot.
//! Nothing of it is ever answered from the memory of this process.

mod allowance;
mod breaker;
mod dial;
mod fault;
mod line;
mod link;
mod news;
mod servers;
#[cfg(test)]
pub(crate) mod tests;

use std::fmt::Write as _;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use policies::code::Outage;
use policies::time::Timestamp;
use redis::Value;

use self::allowance::Allowance;
pub use self::allowance::OWNER_KEYS_MAX;
pub use self::breaker::BreakerState;
pub use self::link::{CALLS_MAX, Readings};
pub(crate) use self::link::{Call, Link, Script};
pub use self::servers::{
    ADDRESS_BYTES_MAX, Address, Budget, CONNECTIONS_MAX, Credentials, DATABASE_MAX, PREFIX_BYTES_MAX, Prefix,
    REDIS_PORT, RedisConfig, SENTINEL_PORT, SERVERS_MAX, Servers, ServersError,
};
use super::port::{Answer, Replays};
use crate::entropy;

/// How much longer a server keeps a key than it is remembered.
///
/// Whether a key is over is judged with the `now` of the caller; the server only sweeps, by its own time. As far as the
/// clock of another gateway may be behind, and the `now` of a slow request be of before, so much later it sweeps.
pub const SWEEP_AFTER: Duration = Duration::from_secs(60);

/// The last time that a script can compare exactly: its numbers have 53 bits.
const LAST: Timestamp = Timestamp::from_millis(1 << 53);

// KEYS: the key. ARGV: what to remember (`KEEP_UNTIL CALL`), now, for how long to keep it, all in milliseconds.
//
// Who finds its own CALL was sent twice, because the first answer was lost, and is as fresh as then. Anything else that
// is not over is a replay; what is no memory of ours is an error, which makes an outage.
const CLAIM_TEXT: &str = r"
local kept = redis.call('GET', KEYS[1])
if kept then
    if kept == ARGV[1] then return 1 end
    local keep_until = tonumber(string.match(kept, '^(%-?%d+) '))
    if not keep_until then return redis.error_reply('FOREIGN the key is not ours') end
    if keep_until > tonumber(ARGV[2]) then return 0 end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return 1
";

static CLAIM: Script = Script::new(CLAIM_TEXT, LazyLock::new(|| Script::hash_of(CLAIM_TEXT)));

/// What may be forgotten, in Redis.
#[derive(Debug)]
pub struct RedisStore {
    link: Link,
    prefix: Prefix,
    allowance: Allowance,
    /// Tells the calls of this process from those of all others.
    process: String,
    calls: AtomicU64,
}

impl RedisStore {
    /// Starts to connect; the servers need not be there yet.
    ///
    /// # Errors
    /// An [`Outage`] if the budget makes no sense or the system gives no thread.
    pub fn open(config: RedisConfig) -> Result<Self, Outage> {
        config.budget.check().map_err(|error| Outage::new("redis", error))?;
        Ok(Self {
            prefix: config.prefix.clone(),
            link: Link::open(config)?,
            allowance: Allowance::new(OWNER_KEYS_MAX),
            process: entropy::token_128bit(),
            calls: AtomicU64::new(0),
        })
    }

    /// Returns what the connections have seen, for metrics.
    #[must_use]
    pub fn readings(&self) -> Readings {
        self.link.readings()
    }

    async fn remember(&self, key: [u8; 32], keep_until: Timestamp, now: Timestamp) -> Result<bool, Outage> {
        if keep_until > LAST || now > LAST {
            return Err(Outage::new("replays", "a time is beyond what can be compared"));
        }
        // Unlike any other call of any process, so that a call that is sent twice knows itself again.
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let kept = format!("{} {}.{call}", keep_until.millis(), self.process);
        let sweep = (keep_until.since(now) + SWEEP_AFTER).as_millis();
        let call = Call {
            script: &CLAIM,
            keys: vec![self.replay(&key)],
            arguments: vec![kept, now.millis().to_string(), sweep.to_string()],
        };
        match self.link.call(call).await {
            Ok(Value::Int(1)) => Ok(true),
            Ok(Value::Int(0)) => Ok(false),
            Ok(_) => Err(Outage::new("replays", "the server's answer is none of ours")),
            Err(outage) => Err(Outage { port: "replays".to_owned(), ..outage }),
        }
    }

    // The braces let the Cluster choose the slot by the digest alone.
    fn replay(&self, key: &[u8; 32]) -> String {
        let mut text = String::with_capacity(self.prefix.as_str().len() + 74);
        text.push_str(self.prefix.as_str());
        text.push_str(":replay:{");
        for byte in key {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text.push('}');
        text
    }
}

impl Replays for RedisStore {
    /// As promised; the room is the servers', and each gateway gives an owner no more than its share of keys.
    fn claim<'a>(&'a self, owner: &'a str, key: [u8; 32], keep_until: Timestamp, now: Timestamp) -> Answer<'a, bool> {
        Box::pin(async move {
            self.allowance.ask(owner, now)?;
            let fresh = self.remember(key, keep_until, now).await?;
            if fresh {
                self.allowance.add(owner, keep_until);
            }
            Ok(fresh)
        })
    }
}
