//! The shapes of limits; the counting stands in `adapters::limit`.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// What a limit counts by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    /// The OAuth client.
    Client,
    /// The organisation behind the client.
    Organisation,
    /// The operation called.
    Operation,
}

impl Dimension {
    /// Every dimension, in the order they are told to administrators.
    pub const ALL: [Dimension; 3] = [Dimension::Client, Dimension::Organisation, Dimension::Operation];

    /// Returns the word of the policy language.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Dimension::Client => "client",
            Dimension::Organisation => "organisation",
            Dimension::Operation => "operation",
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

/// One limit of a plan or of an operation: a token bucket per value of its dimensions (GCRA).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// The stable name that a 429 tells: plan, dimensions and rate.
    pub id: Arc<str>,
    /// What it counts by; not empty.
    pub per: Vec<Dimension>,
    /// How fast it refills.
    pub rate: Rate,
    /// How many events may come at once.
    pub burst: NonZeroU32,
    /// What happens to an event without room.
    pub mode: Mode,
}

impl Limit {
    /// Tells whether a request is counted; `client` says whether a client asks.
    ///
    /// Strangers share no bucket that is meant for one client: one of them could use it up for all. They are counted by
    /// their address before anything is known of them.
    #[must_use]
    pub fn counts(&self, client: bool) -> bool {
        client || self.per.iter().all(|dimension| *dimension == Dimension::Operation)
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

/// The key of one bucket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LimitKey(Arc<str>);

impl LimitKey {
    /// Makes the key of the bucket that `limit` keeps for these values; a limit that a plan and an operation share has one.
    #[must_use]
    pub fn of(limit: &Limit, client: &str, organisation: &str, operation: &str) -> Self {
        let mut text = String::with_capacity(limit.id.len() + 48);
        text.push_str(&limit.id);
        for dimension in &limit.per {
            // Identifiers cannot hold a `|`, so that two keys never run into one another.
            text.push('|');
            text.push_str(match dimension {
                Dimension::Client => client,
                Dimension::Organisation => organisation,
                Dimension::Operation => operation,
            });
        }
        Self(Arc::from(text))
    }

    /// Returns the text of the key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a limiter says of one event.
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
