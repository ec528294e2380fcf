//! The shapes of limits, and the arithmetic of each below; where the counts are kept is for `adapters::limit` to say.

pub mod bucket;
pub mod clock;
pub mod polls;
pub mod quota;
pub mod sessions;
pub mod share;
pub mod state;
#[cfg(test)]
mod testing;
mod when;
pub mod window;

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::id::OperationId;

/// What a limit counts by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    /// The OAuth client.
    Client,
    /// The organisation behind the client.
    Organisation,
    /// The operation called.
    Operation,
    /// The API that the operation belongs to: a group of operations.
    Api,
    /// The citizen that the token speaks for, by the name that they have for this client.
    Customer,
    /// The consent that the token was granted by.
    Consent,
    /// Somebody that the call is about, as a header names them; kept as a keyed hash.
    Subject,
    /// The resource: the last parameter of the path.
    Resource,
    /// The address of the caller: IPv4, or the /64 of an IPv6 one.
    Peer,
    /// The identity provider that is asked.
    Provider,
}

impl Dimension {
    /// Every dimension, in the order they are told to administrators.
    pub const ALL: [Dimension; 10] = [
        Dimension::Client,
        Dimension::Organisation,
        Dimension::Operation,
        Dimension::Api,
        Dimension::Customer,
        Dimension::Consent,
        Dimension::Subject,
        Dimension::Resource,
        Dimension::Peer,
        Dimension::Provider,
    ];

    /// Returns the word of the policy language.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Dimension::Client => "client",
            Dimension::Organisation => "organisation",
            Dimension::Operation => "operation",
            Dimension::Api => "api",
            Dimension::Customer => "customer",
            Dimension::Consent => "consent",
            Dimension::Subject => "subject",
            Dimension::Resource => "resource",
            Dimension::Peer => "peer",
            Dimension::Provider => "provider",
        }
    }
}

/// What a call is counted as: the values of the dimensions, as far as it has any.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Values<'a> {
    /// The client's id.
    pub client: Option<&'a str>,
    /// The organisation's.
    pub organisation: Option<&'a str>,
    /// The operation's.
    pub operation: Option<&'a str>,
    /// The API's.
    pub api: Option<&'a str>,
    /// The citizen's name for this client.
    pub customer: Option<&'a str>,
    /// The consent's id.
    pub consent: Option<&'a str>,
    /// A keyed hash of whom the call is about.
    pub subject: Option<&'a str>,
    /// The last parameter of the path.
    pub resource: Option<&'a str>,
    /// The prefix of the caller's address.
    pub peer: Option<&'a str>,
    /// The provider's id.
    pub provider: Option<&'a str>,
}

impl<'a> Values<'a> {
    /// Returns the value of a dimension.
    #[must_use]
    pub const fn of(&self, dimension: Dimension) -> Option<&'a str> {
        match dimension {
            Dimension::Client => self.client,
            Dimension::Organisation => self.organisation,
            Dimension::Operation => self.operation,
            Dimension::Api => self.api,
            Dimension::Customer => self.customer,
            Dimension::Consent => self.consent,
            Dimension::Subject => self.subject,
            Dimension::Resource => self.resource,
            Dimension::Peer => self.peer,
            Dimension::Provider => self.provider,
        }
    }
}

/// So many events in so long a time, for example `50/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many events.
    pub count: NonZeroU32,
    /// In how long a time; never zero.
    pub per: Duration,
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.per.as_secs() {
            1 => "s".to_owned(),
            60 => "min".to_owned(),
            3600 => "h".to_owned(),
            86_400 => "day".to_owned(),
            seconds => format!("{seconds}s"),
        };
        write!(f, "{}/{unit}", self.count)
    }
}

/// One limit of a plan or of an operation: a counter for each value of its dimensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// The stable name that a 429 tells.
    pub id: Arc<str>,
    /// What it counts by; not empty.
    pub per: Vec<Dimension>,
    /// The header that names whom a call is about, in small letters; there where it counts by [`Dimension::Subject`].
    pub subject: Option<Arc<str>>,
    /// What it counts, and how much there may be.
    pub shape: Shape,
    /// Which calls it counts.
    pub when: When,
    /// What is done where the store that all gateways share does not answer.
    pub without_store: WithoutStore,
    /// What happens to a call without room.
    pub mode: Mode,
}

/// What a limit counts, and how much there may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// Tokens that refill by and by.
    Bucket(Bucket),
    /// Calls within a window of time.
    Quota(Quota),
    /// Calls that are under way.
    InFlight(NonZeroU32),
    /// Questions about what became of one thing.
    Polls(Polls),
    /// Calls in sessions.
    Sessions(Sessions),
}

/// A token bucket (GCRA).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// How fast it refills.
    pub rate: Rate,
    /// How many tokens it holds.
    pub burst: NonZeroU32,
    /// What calls cost by their outcome; none where each costs one token.
    pub costs: Option<Costs>,
    /// What a later call gives back; none where none does.
    pub credit: Option<Credit>,
}

/// What a call costs by the status it was answered with: one token is taken beforehand, and the rest is settled then.
///
/// What costs more than is left is owed: the next call waits until it has refilled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Costs {
    /// Costs of single statuses; negative ones give tokens back, never beyond the burst.
    pub of: BTreeMap<u16, i32>,
    /// The cost of every other one.
    pub otherwise: i32,
}

/// A later call that gives tokens back: it names the same thing as the call that has taken them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credit {
    /// The later call, once it has succeeded (2xx).
    pub operation: OperationId,
    /// How many tokens it gives.
    pub tokens: NonZeroU32,
    /// The header, in small letters, that names the thing in both calls.
    pub by: Arc<str>,
    /// How long after the first call it still counts.
    pub within: Duration,
}

/// So many calls in a window of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// How many.
    pub most: NonZeroU32,
    /// In which window.
    pub window: Window,
}

/// A window of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// A second of the clock.
    Second,
    /// A full minute of the clock.
    Minute,
    /// A full hour of the clock.
    Hour,
    /// A day in Asia/Almaty.
    Day,
    /// A month in Asia/Almaty.
    Month,
    /// The time up to now, at least one second; counted in [`ROLLING_SLOTS`] slots, of which one counts until all of it is over.
    Rolling(Duration),
}

/// How many slots a rolling window has.
pub const ROLLING_SLOTS: usize = 8;

/// How often may be asked what became of one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Polls {
    /// The operation that begins it, with the member of its answer that names the thing, if the gateway knows when it began.
    pub after: Option<(OperationId, String)>,
    /// How long after the beginning the first question may come; zero without [`Polls::after`].
    pub first: Duration,
    /// How long lies between two questions at least.
    pub gap: Duration,
    /// How many questions there may be.
    pub most: NonZeroU32,
    /// How long after the beginning, or the first question, things are forgotten; until then no more than `most` are answered.
    pub within: Duration,
}

/// Calls that come in sessions: one begins with the first call, and ends when none came for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sessions {
    /// How many may begin on a day in Asia/Almaty.
    pub per_day: NonZeroU32,
    /// How many calls one has.
    pub calls: NonZeroU32,
    /// How many calls a second within one.
    pub rate: NonZeroU32,
    /// After how long without a call one has ended.
    pub idle: Duration,
}

/// Which calls are counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct When {
    /// Whether the customer is there (`x-fapi-customer-ip-address`); either, if it is not said.
    pub attended: Option<bool>,
    /// In which hours of the day in Asia/Almaty, in minutes since midnight, the last one excluded; at all of them if empty.
    pub hours: Vec<Range<u16>>,
    /// Of which operations; of all of them if empty.
    pub operations: Vec<OperationId>,
}

/// What is done with a limit where the shared store does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WithoutStore {
    /// Nothing is counted.
    Allow,
    /// This gateway counts alone, against its share: the limit divided by the gateways alive.
    LocalShare,
    /// Nothing passes: the limit is the protection.
    Deny,
}

impl WithoutStore {
    /// Every one, the loosest first.
    pub const ALL: [WithoutStore; 3] = [WithoutStore::Allow, WithoutStore::LocalShare, WithoutStore::Deny];

    /// Returns the word of the policy language.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            WithoutStore::Allow => "allow",
            WithoutStore::LocalShare => "local-share",
            WithoutStore::Deny => "deny",
        }
    }
}

impl Limit {
    /// Makes one that counts every call of its dimensions as one token of a bucket.
    #[must_use]
    pub fn bucket(id: &str, per: &[Dimension], rate: Rate, burst: NonZeroU32) -> Self {
        Self {
            id: Arc::from(id),
            per: per.to_vec(),
            subject: None,
            shape: Shape::Bucket(Bucket { rate, burst, costs: None, credit: None }),
            when: When::default(),
            without_store: WithoutStore::LocalShare,
            mode: Mode::Enforce,
        }
    }

    /// Tells whether it counts calls of a client (`true`), or of the public, providers and administrators.
    #[must_use]
    pub fn concerns(&self, client: bool) -> bool {
        let of_clients = [Dimension::Client, Dimension::Organisation, Dimension::Customer, Dimension::Consent];
        client || !self.per.iter().any(|dimension| of_clients.contains(dimension))
    }

    /// Tells whether a call is counted, as far as its values go: it has one for each dimension, and is of an operation that
    /// is counted (what is of none yet, as the beginning of polls, is not ruled out).
    ///
    /// Strangers share no counter that is meant for one client: one of them could use it up for all. They are counted by
    /// their address before anything is known of them.
    #[must_use]
    pub fn counts(&self, values: &Values<'_>) -> bool {
        self.per.iter().all(|dimension| values.of(*dimension).is_some()) && self.when.concerns(values.operation)
    }
}

/// What is done where a rule says no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// Nothing is judged.
    Off,
    /// It passes, and is counted and recorded.
    Report,
    /// It is refused.
    Enforce,
}

impl Mode {
    /// Every mode, the loosest first.
    pub const ALL: [Mode; 3] = [Mode::Off, Mode::Report, Mode::Enforce];

    /// Returns the word of the policy language.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Mode::Off => "off",
            Mode::Report => "report",
            Mode::Enforce => "enforce",
        }
    }
}

/// The name of one counter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LimitKey(Arc<str>);

impl LimitKey {
    /// Makes the name of the counter that `limit` keeps for these values; a limit that a plan and an operation share has one.
    #[must_use]
    pub fn of(limit: &Limit, values: &Values<'_>) -> Self {
        let mut text = String::with_capacity(limit.id.len() + 48);
        text.push_str(&limit.id);
        for dimension in &limit.per {
            // Each value stands with its length: a resource may hold any character, and two names must never be one.
            let value = values.of(*dimension).unwrap_or_default();
            text.push('|');
            text.push_str(&value.len().to_string());
            text.push(':');
            text.push_str(value);
        }
        Self(Arc::from(text))
    }

    /// Returns the text of the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a limit says of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Whether there was room.
    pub admitted: bool,
    /// How many calls more fit now.
    pub remaining: u32,
    /// How many fit where nothing was used.
    pub capacity: u32,
    /// In how long all of it is free again, if nothing comes.
    pub window: Duration,
    /// In how long there is room for one call more than `remaining`; zero where there is all of it.
    pub more_after: Duration,
}

/// What a guard of peers says of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metering {
    /// There was room; so many more events fit now.
    Within {
        /// How many more fit at this instant.
        remaining: u32,
    },
    /// There was none; trying again makes sense after this time.
    Exceeded {
        /// How long until one event fits.
        retry_after: Duration,
    },
    /// The limiter keeps as many buckets as it may and this would be a new one.
    KeysExhausted,
}
