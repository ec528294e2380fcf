//! What of `qaqpa.yaml` says where things are kept, under which keys, for how long, and where they are sent on to.

use std::path::{Path, PathBuf};
use std::time::Duration;

use policies::language::decode::{Fields, SecretReference, Value};
use policies::language::units;
use policies::rotation::{ROTATE_EVERY, ROTATE_EVERY_MAX, ROTATE_EVERY_MIN};

use super::optional::optional;

/// The most connections to a database that one process may hold.
const CONNECTIONS_MAX: u64 = 256;

/// The most places that the audit trail is sent on to: each reads the whole trail.
pub(super) const SHIPS_MAX: usize = 8;

pub(super) const DAY: Duration = Duration::from_secs(86_400);

/// A PostgreSQL database, or what speaks its protocol.
#[derive(Debug, Clone)]
pub struct PostgresConfig {
    /// Where its URL with the password is kept.
    pub url: SecretReference,
    /// The schema that its tables stand in; made if missing.
    pub schema: String,
    /// Connections that are held at most.
    pub connections: usize,
    /// How long one statement may take.
    pub statement: Duration,
    /// The PEM bundle that its certificate is trusted by.
    pub trust: Option<PathBuf>,
}

/// How the servers of a Redis or Valkey belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisKind {
    /// One server.
    Single,
    /// Sentinels tell which server is the master of this name.
    Sentinel {
        /// The name of the master.
        master: String,
    },
    /// A cluster, found by any of its nodes.
    Cluster,
}

/// A Redis or Valkey.
#[derive(Debug, Clone)]
pub struct RedisConfig {
    /// How its servers belong together.
    pub kind: RedisKind,
    /// `redis://host:port` or `rediss://host:port`, without credentials.
    pub nodes: Vec<String>,
    /// The user, if not the default one.
    pub user: Option<String>,
    /// Where the password is kept.
    pub password: Option<SecretReference>,
    /// What every key begins with: several gateways may share a server.
    pub prefix: String,
    /// The PEM bundle that its certificates are trusted by.
    pub trust: Option<PathBuf>,
    /// A call that takes longer is counted as slow.
    pub soft: Duration,
    /// A call that takes longer has failed.
    pub hard: Duration,
}

/// Where things are kept.
#[derive(Debug, Clone, Default)]
pub struct StoresConfig {
    /// What must last; without it, in SQLite in the state folder.
    pub postgres: Option<PostgresConfig>,
    /// What may be forgotten; without it, in the memory of the process.
    pub redis: Option<RedisConfig>,
}

/// What wraps the key that seals personal data.
#[derive(Debug, Clone, Default)]
pub enum WrapConfig {
    /// A key of the state folder, made at the first start.
    #[default]
    OwnFile,
    /// 32 bytes in base64.
    Secret(SecretReference),
    /// A key that never leaves its token.
    Pkcs11(Pkcs11Config),
}

/// A key in a PKCS#11 token.
#[derive(Debug, Clone)]
pub struct Pkcs11Config {
    /// The library of the token's maker.
    pub module: PathBuf,
    /// The label of the token.
    pub token: String,
    /// The label of the AES key.
    pub key: String,
    /// Where the PIN of the user is kept.
    pub pin: SecretReference,
}

/// A place that the audit trail is sent on to.
#[derive(Debug, Clone)]
pub struct ShipConfig {
    /// Its name; how far it has got is remembered under it.
    pub name: String,
    /// What it is.
    pub sink: SinkConfig,
}

/// What takes audit records.
#[derive(Debug, Clone)]
pub enum SinkConfig {
    /// A file of JSON lines.
    File(PathBuf),
    /// A table of a PostgreSQL database.
    Postgres {
        /// Where its URL is kept.
        url: SecretReference,
        /// The PEM bundle that its certificate is trusted by.
        trust: Option<PathBuf>,
    },
    /// A stream of NATS JetStream.
    Nats {
        /// `nats://host:port` or `tls://host:port`.
        url: String,
        /// The stream.
        stream: String,
        /// The subject that records are published under.
        subject: String,
        /// Where the token, or `user:password`, is kept.
        credentials: Option<SecretReference>,
        /// The PEM bundle that its certificate is trusted by.
        trust: Option<PathBuf>,
    },
}

/// Where webhooks may go, and whom they believe there.
#[derive(Debug, Clone, Default)]
pub struct WebhooksConfig {
    /// Whether private addresses are allowed, as sandboxes need it.
    pub private: bool,
    /// The PEM bundle that endpoints' certificates are trusted by; not that of the backends, which trusts few.
    pub trust: Option<PathBuf>,
}

/// How long each kind of record is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionConfig {
    /// Verifications, after nobody needs to come any more.
    pub verifications: Duration,
    /// Events, delivered or not.
    pub events: Duration,
    /// Policy sets that are no longer in force.
    pub generations: Duration,
    /// Audit records.
    pub audit: Duration,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        // The audit trail: five years, the class that domain rules propose; policy sets as long, since records refer to them.
        Self { verifications: 30 * DAY, events: 30 * DAY, generations: 1830 * DAY, audit: 1830 * DAY }
    }
}

pub(super) fn stores(value: Value<'_>, folder: &Path) -> Option<StoresConfig> {
    let fields = value.fields(&["postgres", "redis"])?;
    let postgres = optional(&fields, "postgres", |value| postgres(value, folder));
    let redis = optional(&fields, "redis", |value| redis(value, folder));
    Some(StoresConfig { postgres: postgres?, redis: redis? })
}

fn postgres(value: Value<'_>, folder: &Path) -> Option<PostgresConfig> {
    let fields = value.fields(&["url", "schema", "connections", "statement", "trust"])?;
    let url = fields.required("url").and_then(Value::secret_reference);
    let schema = plain_name(&fields, "schema");
    let connections = fields.optional("connections").map_or(Some(16), |value| value.whole(1..=CONNECTIONS_MAX));
    let statement = span(&fields, "statement", Duration::from_secs(2), Duration::from_secs(60));
    let trust = optional(&fields, "trust", |value| path(value, folder));
    Some(PostgresConfig {
        url: url?,
        schema: schema?,
        connections: usize::try_from(connections?).ok()?,
        statement: statement?,
        trust: trust?,
    })
}

fn redis(value: Value<'_>, folder: &Path) -> Option<RedisConfig> {
    let fields = value.fields(&["kind", "master", "nodes", "user", "password", "prefix", "trust", "soft", "hard"])?;
    let master = optional(&fields, "master", |value| value.text().map(str::to_owned));
    let kinds = [("single", 0), ("sentinel", 1), ("cluster", 2)];
    let kind = fields.optional("kind").map_or(Some(0), |value| value.choice(&kinds));
    let nodes = fields.required("nodes").and_then(|value| value.one_or_more(redis_node));
    let user = optional(&fields, "user", |value| value.text().map(str::to_owned));
    let password = optional(&fields, "password", Value::secret_reference);
    let trust = optional(&fields, "trust", |value| path(value, folder));
    let prefix = plain_name(&fields, "prefix");
    let soft = span(&fields, "soft", Duration::from_millis(5), Duration::from_secs(1));
    let hard = span(&fields, "hard", Duration::from_millis(20), Duration::from_secs(1));
    let (kind, master) = (kind?, master?);
    let kind = match (kind, master) {
        (1, Some(master)) => RedisKind::Sentinel { master },
        (1, None) => {
            let problem = value.fault("P0124", "sentinels need the name of the `master`");
            value.report(problem.help("add `master: NAME`, as the sentinels' own configuration calls it"));
            return None;
        }
        (2, _) => RedisKind::Cluster,
        _ => RedisKind::Single,
    };
    Some(RedisConfig {
        kind,
        nodes: nodes?,
        user: user?,
        password: password?,
        prefix: prefix?,
        trust: trust?,
        soft: soft?,
        hard: hard?,
    })
}

// Credentials in an address would stand in the file, and in every message that quotes it.
fn redis_node(value: Value<'_>) -> Option<String> {
    value.parsed(
        "an address without credentials",
        "`rediss://redis.example.kz:6380` or `redis://127.0.0.1:6379`",
        |text| {
            let rest = text.strip_prefix("redis://").or_else(|| text.strip_prefix("rediss://"))?;
            let (host, port) = rest.rsplit_once(':')?;
            let plain = !host.is_empty() && !rest.contains(['/', '?', '#', '@', ' ']);
            (plain && port.parse::<u16>().is_ok()).then(|| text.to_owned())
        },
    )
}

/// Reads what wraps the data key, and how often the keys that sign are rotated.
pub(super) fn keys(value: Value<'_>, folder: &Path) -> Option<(WrapConfig, Option<Duration>)> {
    let fields = value.fields(&["wrap", "pkcs11", "rotateEvery"])?;
    let rotate_every = fields.optional("rotateEvery").map_or(Some(Some(ROTATE_EVERY)), rotate_every);
    let wrap = wrap(value, &fields, folder);
    Some((wrap?, rotate_every?))
}

// The bounds stand in the text of the refusal, as a time that is none is refused by the same words.
fn rotate_every(value: Value<'_>) -> Option<Option<Duration>> {
    value.parsed("a time from 1h to 3653d, or `never`", "`30d` or `never`", |text| match text {
        "never" => Some(None),
        _ => units::duration(text).filter(|span| (ROTATE_EVERY_MIN..=ROTATE_EVERY_MAX).contains(span)).map(Some),
    })
}

fn wrap(value: Value<'_>, fields: &Fields<'_>, folder: &Path) -> Option<WrapConfig> {
    let secret = optional(fields, "wrap", Value::secret_reference);
    let token = optional(fields, "pkcs11", |value| pkcs11(value, folder));
    match (secret?, token?) {
        (Some(_), Some(_)) => {
            let problem = value.fault("P0125", "one key wraps the other: `wrap` or `pkcs11`, not both");
            value.report(problem.help("leave out the one that is not used"));
            None
        }
        (Some(secret), None) => Some(WrapConfig::Secret(secret)),
        (None, Some(token)) => Some(WrapConfig::Pkcs11(token)),
        (None, None) => Some(WrapConfig::OwnFile),
    }
}

fn pkcs11(value: Value<'_>, folder: &Path) -> Option<Pkcs11Config> {
    let fields = value.fields(&["module", "token", "key", "pin"])?;
    let module = fields.required("module").and_then(|value| path(value, folder));
    let token = fields.required("token").and_then(Value::text);
    let key = fields.required("key").and_then(Value::text);
    let pin = fields.required("pin").and_then(Value::secret_reference);
    Some(Pkcs11Config { module: module?, token: token?.to_owned(), key: key?.to_owned(), pin: pin? })
}

pub(super) fn audit(value: Value<'_>, folder: &Path) -> Option<Vec<ShipConfig>> {
    let fields = value.fields(&["ship"])?;
    let Some(ships) = fields.optional("ship") else { return Some(Vec::new()) };
    let mut found = Vec::new();
    for (key, value) in ships.entries()? {
        if !key.text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') || key.text.is_empty() {
            value.report(value.fault("P0122", "the name of a place is made of letters, digits and `-`"));
            continue;
        }
        if let Some(sink) = sink(value, folder) {
            found.push(ShipConfig { name: key.text.clone(), sink });
        }
    }
    if found.len() > SHIPS_MAX {
        ships.report(ships.fault("P0126", format!("at most {SHIPS_MAX} places are sent to")));
        return None;
    }
    Some(found)
}

fn sink(value: Value<'_>, folder: &Path) -> Option<SinkConfig> {
    let fields = value.fields(&["file", "postgres", "nats"])?;
    let file = optional(&fields, "file", |value| path(value, folder));
    let postgres = optional(&fields, "postgres", |value| {
        let fields = value.fields(&["url", "trust"])?;
        let url = fields.required("url").and_then(Value::secret_reference);
        let trust = optional(&fields, "trust", |value| path(value, folder));
        Some(SinkConfig::Postgres { url: url?, trust: trust? })
    });
    let nats = optional(&fields, "nats", |value| nats(value, folder));
    let mut sinks = [file?.map(SinkConfig::File), postgres?, nats?].into_iter().flatten();
    match (sinks.next(), sinks.next()) {
        (Some(sink), None) => Some(sink),
        _ => {
            let problem = value.fault("P0127", "a place is one of `file`, `postgres` or `nats`");
            value.report(problem.help("for example `archive: {file: /var/lib/qaqpa/audit.jsonl}`"));
            None
        }
    }
}

fn nats(value: Value<'_>, folder: &Path) -> Option<SinkConfig> {
    let fields = value.fields(&["url", "stream", "subject", "credentials", "trust"])?;
    let url = fields.required("url").and_then(|value| {
        value.parsed(
            "an address without credentials",
            "`tls://nats.example.kz:4222` or `nats://127.0.0.1:4222`",
            |text| {
                let rest = text.strip_prefix("nats://").or_else(|| text.strip_prefix("tls://"))?;
                (!rest.is_empty() && !rest.contains(['/', '?', '#', '@', ' '])).then(|| text.to_owned())
            },
        )
    });
    let name = |field: &str, default: &str| {
        let read = |value: Value<'_>| {
            value.parsed("a name of letters, digits, `.`, `_` and `-`", "`QAQPA_AUDIT`", |text| {
                let fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
                (!text.is_empty() && text.bytes().all(fine)).then(|| text.to_owned())
            })
        };
        fields.optional(field).map_or_else(|| Some(default.to_owned()), read)
    };
    let (stream, subject) = (name("stream", "QAQPA_AUDIT"), name("subject", "qaqpa.audit"));
    let credentials = optional(&fields, "credentials", Value::secret_reference);
    let trust = optional(&fields, "trust", |value| path(value, folder));
    Some(SinkConfig::Nats { url: url?, stream: stream?, subject: subject?, credentials: credentials?, trust: trust? })
}

pub(super) fn retention(value: Value<'_>) -> Option<RetentionConfig> {
    let defaults = RetentionConfig::default();
    let fields = value.fields(&["verifications", "events", "generations", "audit"])?;
    let keep = |name: &str, default: Duration| {
        fields.optional(name).map_or(Some(default), |value| value.duration(DAY..=36_500 * DAY))
    };
    let (verifications, events) = (keep("verifications", defaults.verifications), keep("events", defaults.events));
    let (generations, audit) = (keep("generations", defaults.generations), keep("audit", defaults.audit));
    Some(RetentionConfig { verifications: verifications?, events: events?, generations: generations?, audit: audit? })
}

pub(super) fn webhooks(value: Value<'_>, folder: &Path) -> Option<WebhooksConfig> {
    let fields = value.fields(&["privateAddresses", "trust"])?;
    let choices = [("refuse", false), ("allow", true)];
    let private = fields.optional("privateAddresses").map_or(Some(false), |value| value.choice(&choices));
    let trust = optional(&fields, "trust", |value| path(value, folder));
    Some(WebhooksConfig { private: private?, trust: trust? })
}

// As a name in SQL and in a key it must need no quotes.
fn plain_name(fields: &Fields<'_>, name: &str) -> Option<String> {
    let read = |value: Value<'_>| {
        value.parsed("a name of at most 40 small letters, digits and `_`, a letter first", "`qaqpa`", |text| {
            let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
            (first && text.len() <= 40 && text.bytes().all(fine)).then(|| text.to_owned())
        })
    };
    fields.optional(name).map_or_else(|| Some("qaqpa".to_owned()), read)
}

fn span(fields: &Fields<'_>, name: &str, default: Duration, most: Duration) -> Option<Duration> {
    fields.optional(name).map_or(Some(default), |value| value.duration(Duration::from_millis(1)..=most))
}

fn path(value: Value<'_>, folder: &Path) -> Option<PathBuf> {
    value.text().map(|text| folder.join(text))
}
