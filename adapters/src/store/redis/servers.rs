//! Which servers are called, as whom, and how much time they are given: what the configuration says, checked.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use policies::secret::Secret;
use thiserror::Error;

use crate::http::trust::Trust;

/// The port of a Redis server that is not told another.
pub const REDIS_PORT: u16 = 6379;

/// The port of a Sentinel that is not told another.
pub const SENTINEL_PORT: u16 = 26379;

/// How many servers may be named: more only tell the same again.
pub const SERVERS_MAX: usize = 16;

/// The longest address, in bytes: a host name has at most 253.
pub const ADDRESS_BYTES_MAX: usize = 300;

/// The longest prefix of keys, in bytes: it stands in each of a million keys.
pub const PREFIX_BYTES_MAX: usize = 32;

/// The highest number of a database of one server.
pub const DATABASE_MAX: u16 = 1023;

/// The most connections of one gateway: each of them already carries any number of calls at once.
pub const CONNECTIONS_MAX: usize = 16;

/// Why servers cannot be called as configured.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ServersError {
    /// It is no address of a server; the text is not shown, since a password may stand in it.
    #[error(
        "an address must be redis://HOST[:PORT][/DATABASE], or rediss:// for TLS; user and password stand elsewhere"
    )]
    Address,
    /// Clear text to another machine.
    #[error("{0}: redis:// is clear text and only for this machine (127.0.0.1, [::1], localhost): use rediss://")]
    ClearText(String),
    /// Neither one server nor one kind of servers.
    #[error("between 1 and {SERVERS_MAX} servers, all with TLS or all without")]
    Servers,
    /// More servers, or none, where one is meant.
    #[error("exactly one server; more belong together as a Cluster or behind Sentinels")]
    Single,
    /// A number of a database where there is only one.
    #[error("only a single server, or that behind a Sentinel, has numbered databases, 0 to {DATABASE_MAX}")]
    Database,
    /// The prefix of keys.
    #[error("the prefix must be 1 to {PREFIX_BYTES_MAX} of a-z, 0-9, `-`, `_`, `.` and `:`")]
    Prefix,
    /// A number that makes no sense.
    #[error("{0}")]
    Budget(&'static str),
}

/// One server: its host, its port, and whether TLS is spoken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: bool,
    database: Option<u16>,
}

/// Which servers stand together, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Servers {
    /// One server, or a name behind which a service keeps the one that is written to.
    Single(Address),
    /// The master that Sentinels agree on.
    Sentinel {
        /// What the Sentinels call it.
        master: String,
        /// Where the Sentinels are.
        sentinels: Vec<Address>,
        /// The number of the master's database.
        database: u16,
    },
    /// A Cluster, found through some of its nodes.
    Cluster(Vec<Address>),
}

/// As whom we come.
#[derive(Clone)]
pub struct Credentials {
    /// The user; none for servers that only know a password.
    pub user: Option<String>,
    /// The password.
    pub password: Secret<String>,
}

/// How much time and how many connections there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// From when on a call counts as slow.
    pub soft: Duration,
    /// When a call is given up.
    pub hard: Duration,
    /// After how many failures in a row nothing is sent any more.
    pub failures_max: u32,
    /// For how long nothing is sent then; after that, one call at a time until one is answered.
    pub open: Duration,
    /// How many connections; at least two, so that one slow answer does not hold up all others.
    pub connections: usize,
}

/// Everything that opening a [`RedisStore`](super::RedisStore) needs.
#[derive(Debug, Clone)]
pub struct RedisConfig {
    /// Which servers.
    pub servers: Servers,
    /// Whom TLS connections trust, and as whom they go.
    pub trust: Trust,
    /// As whom we come to servers; none if they ask nobody.
    pub credentials: Option<Credentials>,
    /// As whom we come to Sentinels, which have users of their own.
    pub sentinel_credentials: Option<Credentials>,
    /// What every key begins with, so that several gateways can share servers and still not meet.
    pub prefix: Prefix,
    /// How much time there is.
    pub budget: Budget,
}

/// What every key begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(String);

impl Address {
    /// Parses `redis://HOST[:PORT][/DATABASE]`, or `rediss://..` for TLS; `port` is taken if none is told.
    ///
    /// # Errors
    /// [`ServersError::Address`] and, for clear text to another machine, [`ServersError::ClearText`].
    pub fn parse(text: &str, port: u16) -> Result<Self, ServersError> {
        let (tls, rest) = match text.split_once("://") {
            Some(("redis", rest)) => (false, rest),
            Some(("rediss", rest)) => (true, rest),
            Some(_) | None => return Err(ServersError::Address),
        };
        let (authority, database) = match rest.split_once('/') {
            None | Some((_, "")) => (rest.trim_end_matches('/'), None),
            Some((authority, number)) => (authority, Some(database(number)?)),
        };
        let (host, port) = host_and_port(authority, port)?;
        if text.len() > ADDRESS_BYTES_MAX || !is_host(&host) {
            return Err(ServersError::Address);
        }
        if !tls && !is_here(&host) {
            return Err(ServersError::ClearText(host));
        }
        Ok(Self { host, port, tls, database })
    }

    /// A node that a Cluster told of.
    pub(super) fn of_node(host: String, port: u16, tls: bool) -> Self {
        Self { host, port, tls, database: None }
    }

    /// Another server, spoken to in the same way.
    pub(super) fn beside(&self, host: String, port: u16) -> Self {
        Self { host, port, tls: self.tls, database: None }
    }
}

/// Writes `host:port`.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Servers {
    /// Reads the address of one server; exactly one.
    ///
    /// # Errors
    /// [`ServersError`] says what is wrong with it.
    pub fn single(urls: &[String]) -> Result<Self, ServersError> {
        match urls {
            [url] => Address::parse(url, REDIS_PORT).map(Self::Single),
            _ => Err(ServersError::Single),
        }
    }

    /// Reads the addresses of Sentinels that watch over `master`; the first one's database is that of the master.
    ///
    /// # Errors
    /// [`ServersError`] of the first address that is wrong.
    pub fn sentinel(master: &str, urls: &[String]) -> Result<Self, ServersError> {
        let sentinels = together(urls, SENTINEL_PORT)?;
        let database = sentinels.iter().find_map(|address| address.database).unwrap_or(0);
        Ok(Self::Sentinel { master: master.to_owned(), sentinels, database })
    }

    /// Reads the addresses of some nodes of a Cluster.
    ///
    /// # Errors
    /// [`ServersError`] of the first address that is wrong.
    pub fn cluster(urls: &[String]) -> Result<Self, ServersError> {
        let nodes = together(urls, REDIS_PORT)?;
        if nodes.iter().any(|node| node.database.is_some_and(|number| number > 0)) {
            return Err(ServersError::Database);
        }
        Ok(Self::Cluster(nodes))
    }

    /// The number of the database.
    pub(super) fn database(&self) -> u16 {
        match self {
            Servers::Single(address) => address.database.unwrap_or(0),
            Servers::Sentinel { database, .. } => *database,
            Servers::Cluster(_) => 0,
        }
    }
}

impl Budget {
    /// What the product takes unless told otherwise.
    ///
    /// A server beside us answers within a quarter of a millisecond. Twenty are what a request can spare before its
    /// client notices; five failures in a row are no accident, and a second is short enough to find a restarted server.
    pub const PRODUCT: Self = Self {
        soft: Duration::from_millis(5),
        hard: Duration::from_millis(20),
        failures_max: 5,
        open: Duration::from_secs(1),
        connections: 2,
    };

    /// Checks that the numbers make sense together.
    ///
    /// # Errors
    /// [`ServersError::Budget`] says which do not.
    pub fn check(self) -> Result<Self, ServersError> {
        let wrong = if self.soft.is_zero() || self.hard < self.soft {
            "a call is slow before it is given up: 0 < soft <= hard"
        } else if self.hard > Duration::from_secs(5) {
            "a call is given up after 5 s at the latest: a request waits for it"
        } else if self.failures_max == 0 {
            "at least one failure is needed before nothing is sent any more"
        } else if self.open < Duration::from_millis(100) || self.open > Duration::from_secs(60) {
            "nothing is sent for 100 ms to 60 s after too many failures"
        } else if !(2..=CONNECTIONS_MAX).contains(&self.connections) {
            "between 2 and 16 connections"
        } else {
            return Ok(self);
        };
        Err(ServersError::Budget(wrong))
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::PRODUCT
    }
}

impl Prefix {
    /// Parses a prefix; braces are not taken, since they choose the slot of a key in a Cluster.
    ///
    /// # Errors
    /// [`ServersError::Prefix`].
    pub fn parse(text: &str) -> Result<Self, ServersError> {
        let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.:".contains(&byte);
        if text.is_empty() || text.len() > PREFIX_BYTES_MAX || !text.bytes().all(good) {
            return Err(ServersError::Prefix);
        }
        Ok(Self(text.to_owned()))
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The prefix of one gateway that shares its servers with no other: `qaqpa`.
impl Default for Prefix {
    fn default() -> Self {
        Self("qaqpa".to_owned())
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Tells whether an address is one of this machine, where clear text is seen by nobody else.
pub(super) fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn together(urls: &[String], port: u16) -> Result<Vec<Address>, ServersError> {
    let found = urls.iter().map(|url| Address::parse(url, port)).collect::<Result<Vec<_>, _>>()?;
    let alike = found.iter().all(|address| found.first().is_some_and(|first| first.tls == address.tls));
    if found.is_empty() || found.len() > SERVERS_MAX || !alike { Err(ServersError::Servers) } else { Ok(found) }
}

fn database(number: &str) -> Result<u16, ServersError> {
    number.parse().ok().filter(|number| *number <= DATABASE_MAX).ok_or(ServersError::Database)
}

fn host_and_port(authority: &str, port: u16) -> Result<(String, u16), ServersError> {
    let number = |text: &str| text.parse().ok().filter(|port| *port > 0).ok_or(ServersError::Address);
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or(ServersError::Address)?;
        host.parse::<std::net::Ipv6Addr>().map_err(|_| ServersError::Address)?;
        return match rest.strip_prefix(':') {
            Some(text) => Ok((host.to_owned(), number(text)?)),
            None if rest.is_empty() => Ok((host.to_owned(), port)),
            None => Err(ServersError::Address),
        };
    }
    match authority.split_once(':') {
        Some((host, text)) => Ok((host.to_owned(), number(text)?)),
        None => Ok((authority.to_owned(), port)),
    }
}

fn is_host(host: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:_".contains(&byte);
    !host.is_empty() && host.bytes().all(good)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    #[test]
    fn what_is_no_address_is_refused_and_not_shown() {
        for text in [
            "",
            "127.0.0.1:6379",
            "http://127.0.0.1",
            "redis://",
            "rediss://user:hunter2@cache.example",
            "rediss://hunter2@cache.example:6379",
            "rediss://cache.example:0",
            "rediss://cache.example:65536",
            "rediss://cache.example:6379?insecure",
            "rediss://cache.example#insecure",
            "rediss://[::1",
            "rediss://[cache]:6379",
            "rediss://[::1]6379",
        ] {
            let error = Address::parse(text, REDIS_PORT).unwrap_err();
            assert_eq!(error, ServersError::Address, "{text}");
            assert!(!error.to_string().contains("hunter2"));
        }
        let long = format!("rediss://{}", "a".repeat(ADDRESS_BYTES_MAX - 9));
        assert!(Address::parse(&long, REDIS_PORT).is_ok());
        assert!(Address::parse(&format!("{long}a"), REDIS_PORT).is_err());
    }

    #[test]
    fn clear_text_stays_on_this_machine() {
        for text in ["redis://cache.example", "redis://10.0.0.1:6379", "redis://[fe80::1]:6379"] {
            assert!(matches!(Address::parse(text, REDIS_PORT), Err(ServersError::ClearText(_))), "{text}");
        }
        for text in ["redis://127.0.0.1", "redis://[::1]:7000", "redis://localhost:7000/", "rediss://10.0.0.1"] {
            assert!(Address::parse(text, REDIS_PORT).is_ok(), "{text}");
        }
    }

    #[test]
    fn an_address_tells_port_and_database_or_takes_the_usual() {
        let address = Address::parse("rediss://cache.example", REDIS_PORT).unwrap();
        assert_eq!((address.to_string().as_str(), address.tls), ("cache.example:6379", true));
        let address = Address::parse("redis://[::1]:7000/3", REDIS_PORT).unwrap();
        assert_eq!((address.to_string().as_str(), address.tls), ("[::1]:7000", false));
        assert_eq!(Servers::Single(address).database(), 3);
        let single = |url: &str| Servers::single(&[url.to_owned()]);
        assert_eq!(single("redis://localhost/1023").unwrap().database(), DATABASE_MAX);
        assert_eq!(single("redis://localhost/1024").unwrap_err(), ServersError::Database);
        assert_eq!(single("redis://localhost/x").unwrap_err(), ServersError::Database);
    }

    #[test]
    fn servers_of_one_kind_stand_together() {
        let urls = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert_eq!(Servers::cluster(&[]).unwrap_err(), ServersError::Servers);
        assert_eq!(Servers::single(&[]).unwrap_err(), ServersError::Single);
        let two = urls(&["rediss://one.example", "rediss://two.example"]);
        assert_eq!(Servers::single(&two).unwrap_err(), ServersError::Single);
        let mixed = urls(&["rediss://one.example", "redis://127.0.0.1"]);
        assert_eq!(Servers::cluster(&mixed).unwrap_err(), ServersError::Servers);
        let numbered = urls(&["rediss://one.example/1"]);
        assert_eq!(Servers::cluster(&numbered).unwrap_err(), ServersError::Database);
        let most = vec!["rediss://one.example".to_owned(); SERVERS_MAX];
        assert!(Servers::cluster(&most).is_ok());
        assert!(Servers::cluster(&[most, urls(&["rediss://one.example"])].concat()).is_err());
        let watched = Servers::sentinel("qaqpa", &urls(&["rediss://one.example/2", "rediss://two.example"])).unwrap();
        assert_eq!(watched.database(), 2);
        assert!(matches!(watched, Servers::Sentinel { sentinels, .. } if sentinels.iter().all(|at| at.port == 26379)));
    }

    #[test]
    fn a_budget_that_makes_no_sense_is_refused() {
        let good = Budget::PRODUCT;
        assert_eq!(good.check().unwrap(), good);
        let millis = Duration::from_millis;
        for wrong in [
            Budget { soft: Duration::ZERO, ..good },
            Budget { hard: millis(4), ..good },
            Budget { hard: millis(5001), ..good },
            Budget { failures_max: 0, ..good },
            Budget { open: millis(99), ..good },
            Budget { open: millis(60_001), ..good },
            Budget { connections: 1, ..good },
            Budget { connections: CONNECTIONS_MAX + 1, ..good },
        ] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
        for right in [
            Budget { hard: millis(5), ..good },
            Budget { hard: millis(5000), ..good },
            Budget { failures_max: 1, ..good },
            Budget { open: millis(100), ..good },
            Budget { open: millis(60_000), ..good },
            Budget { connections: CONNECTIONS_MAX, ..good },
        ] {
            assert!(right.check().is_ok(), "{right:?}");
        }
    }

    #[test]
    fn a_prefix_never_chooses_a_slot() {
        for text in ["", "Qaqpa", "a{b}", "a b", &"a".repeat(PREFIX_BYTES_MAX + 1)] {
            assert_eq!(Prefix::parse(text).unwrap_err(), ServersError::Prefix, "{text}");
        }
        for text in ["qaqpa", "bank-1:test", &"a".repeat(PREFIX_BYTES_MAX)] {
            assert_eq!(Prefix::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn credentials_are_not_printed() {
        let credentials = Credentials { user: Some("gateway".to_owned()), password: Secret::new("hunter2".to_owned()) };
        assert!(!format!("{credentials:?}").contains("hunter2"));
    }
}
