//! `qaqpa.yaml`: what an operator sets for one process. What is allowed stands in policies, never here.

mod keeping;
mod oauth;
mod optional;
mod tls;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use adapters::http::url::AllowedUrl;
use adapters::limit::local::KEYS_MAX;
use policies::admin::AdminRole;
use policies::change::{PEOPLE_MAX, People};
use policies::id::{AdminId, ProviderId, UpstreamId};
use policies::language::decode::{SecretReference, Value};
use policies::language::{Faults, Problem, Source, document};
use policies::limit::Rate;
use policies::login::{ASKED_MAX, ASKED_MOST};
use policies::rotation::ROTATE_EVERY;

pub use self::keeping::{
    Pkcs11Config, PostgresConfig, RedisConfig, RedisKind, RetentionConfig, ShipConfig, SinkConfig, StoresConfig,
    WebhooksConfig, WrapConfig,
};
pub use self::oauth::{OauthConfig, Purpose, Showing};
use self::optional::optional;
pub use self::tls::TlsFiles;
use crate::findings::Findings;
use crate::listen::limits::ConnectionLimits;
use crate::listen::tls::DoorFiles;

/// The most serving threads; more than cores only costs.
pub const WORKERS_MAX: u64 = 256;

/// The most public requests under way at once that can be set.
pub const IN_FLIGHT_MAX: u64 = 1_000_000;

/// The fewest counters of limits that a process may be set to keep: an owner's quarter of them is more than are few.
pub const COUNTERS_MIN: u64 = 10_000;

/// The most counters of limits that a process may be set to keep: 2 GB of them.
pub const COUNTERS_MOST: u64 = 10_000_000;

/// One listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerConfig {
    /// Where it listens; port 0 finds a free one.
    pub address: SocketAddr,
    /// How clients reach it, if not under `address`.
    pub external: Option<String>,
    /// TLS; none on a trusted side only.
    pub tls: Option<TlsFiles>,
    /// Who vouches for clients' certificates, as a PEM file.
    pub client_authorities: Option<PathBuf>,
    /// What they have revoked, as a PEM file of their lists.
    pub client_revocations: Option<PathBuf>,
}

impl ListenerConfig {
    /// Returns the files that its TLS stands on; none without TLS.
    #[must_use]
    pub fn door_files(&self) -> Option<DoorFiles> {
        self.tls.as_ref().map(|files| DoorFiles {
            certificate: files.certificate.clone(),
            key: files.key.clone(),
            authorities: self.client_authorities.clone(),
            revocations: self.client_revocations.clone(),
        })
    }
}

/// How files that have changed are noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReloadConfig {
    /// Whether they are looked at.
    pub watch: bool,
    /// How often.
    pub every: Duration,
}

impl Default for ReloadConfig {
    fn default() -> Self {
        Self { watch: true, every: Duration::from_secs(1) }
    }
}

/// How an identity provider is reached.
#[derive(Debug, Clone)]
pub struct ProviderConfig {
    /// Its id in the policies.
    pub id: ProviderId,
    /// Its base URL.
    pub url: AllowedUrl,
    /// The secret under which it signs callbacks.
    pub webhook_secret: SecretReference,
}

/// An administrator and where their token is.
#[derive(Debug, Clone)]
pub struct AdministratorConfig {
    /// Who it is.
    pub id: AdminId,
    /// What they may do.
    pub roles: BTreeSet<AdminRole>,
    /// The file with their token, readable by its owner only.
    pub token_file: PathBuf,
}

/// How the process logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// JSON lines instead of text.
    pub json: bool,
    /// The least level that is written.
    pub level: &'static str,
}

/// Everything an operator sets.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it was read from, for diagnostics.
    pub file: PathBuf,
    /// The one folder that is written to.
    pub state: PathBuf,
    /// The issuer of tokens, if not the external URL of `api`.
    pub issuer: Option<String>,
    /// The public listener that never asks for a certificate.
    pub api: ListenerConfig,
    /// The public listener that asks for one.
    pub mtls_api: Option<ListenerConfig>,
    /// The administrators' listener.
    pub admin: ListenerConfig,
    /// Serving threads; one per core if not set.
    pub workers: Option<usize>,
    /// Folders of policy files; empty means the shipped set.
    pub policies: Vec<PathBuf>,
    /// Folders of contracts; empty means the shipped ones.
    pub contracts: Vec<PathBuf>,
    /// Where backends are.
    pub upstreams: Vec<(UpstreamId, Vec<AllowedUrl>)>,
    /// The authorization servers that give us tokens for backends and providers.
    pub oauth: Vec<OauthConfig>,
    /// The PEM bundle that backends and providers are trusted by.
    pub trust: Option<PathBuf>,
    /// Identity providers.
    pub providers: Vec<ProviderConfig>,
    /// Administrators.
    pub administrators: Vec<AdministratorConfig>,
    /// The most public requests under way.
    pub requests_in_flight_max: usize,
    /// How often verifications of one person may be asked for on our pages.
    pub asked_max: usize,
    /// How many counters of limits are kept in the process.
    pub counters_max: usize,
    /// What one peer may send, before anything is looked at.
    pub per_peer: (Rate, NonZeroU32),
    /// The bounds of connections.
    pub connection: ConnectionLimits,
    /// The log.
    pub log: LogConfig,
    /// Where things are kept.
    pub stores: StoresConfig,
    /// What wraps the key that seals personal data.
    pub wrap: WrapConfig,
    /// How often the keys that sign are rotated; never without it.
    pub rotate_every: Option<Duration>,
    /// Where the audit trail is sent on to.
    pub ships: Vec<ShipConfig>,
    /// How long things are kept.
    pub retention: RetentionConfig,
    /// Where webhooks may go.
    pub webhooks: WebhooksConfig,
    /// How files that have changed are noticed.
    pub reload: ReloadConfig,
    /// How many people have to stand behind a change of the policy set; none if it comes from the folders.
    pub approval: Option<People>,
}

const TOP: [&str; 20] = [
    "state",
    "issuer",
    "listeners",
    "workers",
    "policies",
    "contracts",
    "upstreams",
    "trust",
    "identity",
    "administrators",
    "approval",
    "limits",
    "log",
    "connections",
    "stores",
    "keys",
    "audit",
    "retention",
    "webhooks",
    "reload",
];

/// Reads a file.
///
/// # Errors
/// Every problem at once.
pub fn load(path: &Path) -> Result<Config, Findings> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let help = "`qaqpa sandbox` needs no configuration; a first one of your own is in OPERATING.md";
        Findings::of_file("G0001", path, format!("it cannot be read: {error}"), Some(help.to_owned()))
    })?;
    let source = Source::new(path.display().to_string(), text);
    let folder = path.parent().unwrap_or(Path::new("."));
    parse(&source, folder).map_err(|problems| Findings::new(problems, vec![source]))
}

/// Reads a text; relative paths in it are relative to `folder`.
///
/// # Errors
/// Every problem at once.
pub fn parse(source: &Source, folder: &Path) -> Result<Config, Vec<Problem>> {
    let faults = Faults::new();
    let node = document::parse(source, &faults);
    let reader = Reader { folder, file: Path::new(&*source.name) };
    let config = node.as_ref().and_then(|node| reader.config(Value::root(node, &faults)));
    faults.finish(std::slice::from_ref(source), config).map(|(config, _)| config)
}

struct Reader<'a> {
    folder: &'a Path,
    file: &'a Path,
}

impl Reader<'_> {
    fn config(&self, root: Value<'_>) -> Option<Config> {
        let fields = root.versioned_fields(&TOP)?;
        let state = fields.optional("state").map_or(Some(self.folder.join(".qaqpa")), |value| self.path(value));
        let listeners = fields.required("listeners").and_then(|value| self.listeners(value));
        let issuer = optional(&fields, "issuer", issuer);
        let workers = optional(&fields, "workers", |value| value.whole(1..=WORKERS_MAX));
        let folders =
            |name: &str| fields.optional(name).map_or(Some(Vec::new()), |v| v.one_or_more(|item| self.path(item)));
        let (policies, contracts) = (folders("policies"), folders("contracts"));
        let mut oauth = Vec::new();
        let upstreams =
            fields.optional("upstreams").map_or(Some(Vec::new()), |value| self.upstreams(value, &mut oauth));
        let trust = optional(&fields, "trust", |value| self.path(value));
        let providers = fields.optional("identity").map_or(Some(Vec::new()), |value| self.providers(value, &mut oauth));
        let administrators =
            fields.optional("administrators").map_or(Some(Vec::new()), |value| self.administrators(value));
        let limits = fields.optional("limits").map_or(Some(default_limits()), limits);
        let connection = fields.optional("connections").map_or(Some(ConnectionLimits::default()), connections);
        let log = fields.optional("log").map_or(Some(LogConfig { json: false, level: "info" }), log);
        let stores = fields
            .optional("stores")
            .map_or(Some(StoresConfig::default()), |value| keeping::stores(value, self.folder));
        let keys = fields
            .optional("keys")
            .map_or(Some((WrapConfig::default(), Some(ROTATE_EVERY))), |value| keeping::keys(value, self.folder));
        let ships = fields.optional("audit").map_or(Some(Vec::new()), |value| keeping::audit(value, self.folder));
        let retention = fields.optional("retention").map_or(Some(RetentionConfig::default()), keeping::retention);
        let webhooks = fields
            .optional("webhooks")
            .map_or(Some(WebhooksConfig::default()), |value| keeping::webhooks(value, self.folder));
        let approval = optional(&fields, "approval", |value| value.whole(1..=PEOPLE_MAX).and_then(People::new));
        let reload = fields.optional("reload").map_or(Some(ReloadConfig::default()), reload);
        let (api, mtls_api, admin) = listeners?;
        let (requests_in_flight_max, per_peer, asked_max, counters_max) = limits?;
        let (wrap, rotate_every) = keys?;
        Some(Config {
            file: self.file.to_owned(),
            state: state?,
            issuer: issuer?,
            api,
            mtls_api,
            admin,
            workers: workers?.map(|count| usize::try_from(count).unwrap_or(1)),
            policies: policies?,
            contracts: contracts?,
            upstreams: upstreams?,
            oauth,
            trust: trust?,
            providers: providers?,
            administrators: administrators?,
            requests_in_flight_max,
            asked_max,
            counters_max,
            per_peer,
            connection: connection?,
            log: log?,
            stores: stores?,
            wrap,
            rotate_every,
            ships: ships?,
            retention: retention?,
            webhooks: webhooks?,
            reload: reload?,
            approval: approval?,
        })
    }

    fn path(&self, value: Value<'_>) -> Option<PathBuf> {
        value.text().map(|text| self.folder.join(text))
    }

    fn listeners(&self, value: Value<'_>) -> Option<(ListenerConfig, Option<ListenerConfig>, ListenerConfig)> {
        let fields = value.fields(&["api", "mtls_api", "admin"])?;
        let api = fields.required("api").and_then(|value| self.listener(value, false));
        let mtls_api = optional(&fields, "mtls_api", |value| self.listener(value, true));
        let admin = fields.required("admin").and_then(|value| self.listener(value, false));
        Some((api?, mtls_api?, admin?))
    }

    fn listener(&self, value: Value<'_>, asks: bool) -> Option<ListenerConfig> {
        let known: &[&str] = if asks {
            &["address", "external", "tls", "clientAuthorities", "clientRevocations"]
        } else {
            &["address", "external", "tls", "plaintext"]
        };
        let fields = value.fields(known)?;
        let address = fields.required("address").and_then(address);
        let outside = optional(&fields, "external", external);
        let tls = optional(&fields, "tls", |value| self.tls(value));
        let trusted = optional(&fields, "plaintext", |value| value.choice(&[("trusted", ())]));
        let authorities = if asks {
            fields.required("clientAuthorities").and_then(|value| self.path(value)).map(Some)
        } else {
            Some(None)
        };
        let revocations = optional(&fields, "clientRevocations", |value| self.path(value));
        let (address, tls) = (address?, tls?);
        if tls.is_none() && asks {
            let problem = value.fault("P0120", "a listener that asks for certificates needs `tls`");
            value.report(problem.help("add `tls: {certificate: ..., key: ...}`"));
            return None;
        }
        // A plain listener is a decision, never an omission; clear text off loopback is refused for administrators later.
        if tls.is_none() && trusted?.is_none() && !address.ip().is_loopback() {
            let problem = value.fault("P0121", format!("{} would speak clear text to other machines", value.name()));
            value.report(problem.help(
                "add `tls: {certificate: ..., key: ...}`, or `plaintext: trusted` behind a trusted TLS terminator",
            ));
            return None;
        }
        Some(ListenerConfig {
            address,
            external: outside?,
            tls,
            client_authorities: authorities?,
            client_revocations: revocations?,
        })
    }

    fn tls(&self, value: Value<'_>) -> Option<TlsFiles> {
        let fields = value.fields(&["certificate", "key"])?;
        let certificate = fields.required("certificate").and_then(|value| self.path(value));
        let key = fields.required("key").and_then(|value| self.path(value));
        Some(TlsFiles { certificate: certificate?, key: key? })
    }

    fn administrators(&self, value: Value<'_>) -> Option<Vec<AdministratorConfig>> {
        let words: Vec<(&str, AdminRole)> = AdminRole::ALL.iter().map(|role| (role.word(), *role)).collect();
        let mut found = Vec::new();
        for (key, value) in value.entries()? {
            let id = key_id(&key.text, value, AdminId::parse);
            let Some(fields) = value.fields(&["roles", "tokenFile"]) else { continue };
            let roles = fields.required("roles").and_then(|value| value.list(|item| item.choice(&words)));
            let token_file = fields.required("tokenFile").and_then(|value| self.path(value));
            if let (Some(id), Some(roles), Some(token_file)) = (id, roles, token_file) {
                found.push(AdministratorConfig { id, roles: roles.into_iter().collect(), token_file });
            }
        }
        Some(found)
    }

    fn upstreams(&self, value: Value<'_>, oauth: &mut Vec<OauthConfig>) -> Option<Vec<(UpstreamId, Vec<AllowedUrl>)>> {
        let mut found = Vec::new();
        for (key, value) in value.entries()? {
            let id = key_id(&key.text, value, UpstreamId::parse);
            let Some(fields) = value.fields(&["endpoints", "oauth"]) else { continue };
            let endpoints = fields
                .required("endpoints")
                .and_then(|value| value.one_or_more(|item| item.read("P0123", AllowedUrl::configured)));
            let purpose = id.clone().map(Purpose::Upstream);
            oauth.extend(fields.optional("oauth").and_then(|value| oauth::oauth(value, purpose, self.folder)));
            if let (Some(id), Some(endpoints)) = (id, endpoints) {
                found.push((id, endpoints));
            }
        }
        Some(found)
    }

    fn providers(&self, value: Value<'_>, oauth: &mut Vec<OauthConfig>) -> Option<Vec<ProviderConfig>> {
        let fields = value.fields(&["providers"])?;
        let mut found = Vec::new();
        for (key, value) in fields.required("providers")?.entries()? {
            let id = key_id(&key.text, value, ProviderId::parse);
            let Some(fields) = value.fields(&["url", "webhookSecret", "oauth"]) else { continue };
            let url = fields.required("url").and_then(|value| value.read("P0123", AllowedUrl::configured));
            let secret = fields.required("webhookSecret").and_then(Value::secret_reference);
            let purpose = id.clone().map(Purpose::Provider);
            oauth.extend(fields.optional("oauth").and_then(|value| oauth::oauth(value, purpose, self.folder)));
            if let (Some(id), Some(url), Some(webhook_secret)) = (id, url, secret) {
                found.push(ProviderConfig { id, url, webhook_secret });
            }
        }
        Some(found)
    }
}

fn key_id<T, E: std::fmt::Display>(
    text: &str,
    value: Value<'_>,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Option<T> {
    parse(text)
        .map_err(|error| value.report(value.fault("P0122", format!("the name `{text}` cannot be used: {error}"))))
        .ok()
}

fn address(value: Value<'_>) -> Option<SocketAddr> {
    value.parsed("an address with a port", "`127.0.0.1:8443` or `[::1]:8443`", |text| text.parse().ok())
}

fn external(value: Value<'_>) -> Option<String> {
    let read = |text: &str| {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
        let plain = !rest.is_empty() && !rest.contains(['/', '?', '#', '@', ' ']);
        plain.then(|| text.to_ascii_lowercase())
    };
    value.parsed("a base URL without a path", "`https://api.example.kz`", read)
}

/// The longest path of an issuer, in characters, as the contract's `issuerPath` has it.
const ISSUER_PATH_MAX: usize = 64;

// RFC 8414, section 2: https, no query, no fragment. One segment of a path is enough to have several servers at one host;
// more would need places that the contract does not describe.
fn issuer(value: Value<'_>) -> Option<String> {
    let read = |text: &str| {
        let (scheme, rest) = text.split_once("://")?;
        let (host, path) = rest.split_once('/').map_or((rest, None), |(host, path)| (host, Some(path)));
        let host = host.to_ascii_lowercase();
        let name = host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name);
        let secret = scheme == "https" || (scheme == "http" && ["127.0.0.1", "localhost", "[::1]"].contains(&name));
        let plain = !host.is_empty() && !host.contains(['?', '#', '@', ' ']);
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
        let segment = |path: &str| {
            let dots = path.bytes().all(|byte| byte == b'.');
            path.len() <= ISSUER_PATH_MAX && !dots && path.bytes().all(allowed)
        };
        let path = match path {
            None => String::new(),
            Some(path) if segment(path) => format!("/{path}"),
            Some(_) => return None,
        };
        (secret && plain).then(|| format!("{scheme}://{host}{path}"))
    };
    value.parsed("an issuer: https, at most one segment of a path, nothing more", "`https://api.example.kz`", read)
}

type Limits = (usize, (Rate, NonZeroU32), usize, usize);

fn default_limits() -> Limits {
    let count = NonZeroU32::new(1000).unwrap_or(NonZeroU32::MIN);
    let burst = NonZeroU32::new(2000).unwrap_or(NonZeroU32::MIN);
    (10_000, (Rate { count, per: Duration::from_secs(1) }, burst), ASKED_MAX, KEYS_MAX)
}

fn limits(value: Value<'_>) -> Option<Limits> {
    let (in_flight_default, (rate_default, burst_default), asked_default, counters_default) = default_limits();
    let fields = value.fields(&["requestsInFlight", "perPeer", "perCitizen", "counters"])?;
    let in_flight = fields
        .optional("requestsInFlight")
        .map_or(Some(in_flight_default as u64), |value| value.whole(1..=IN_FLIGHT_MAX));
    let per_peer = fields.optional("perPeer").map_or(Some((rate_default, burst_default)), |value| {
        let fields = value.fields(&["rate", "burst"])?;
        let rate = fields.required("rate").and_then(Value::rate);
        let burst = fields.required("burst").and_then(|value| value.whole(1..=1_000_000));
        let burst = u32::try_from(burst?).ok().and_then(NonZeroU32::new);
        Some((rate?, burst?))
    });
    let (asked_default, most) = (asked_default as u64, ASKED_MOST as u64);
    let asked = fields.optional("perCitizen").map_or(Some(asked_default), |value| value.whole(1..=most));
    let counters = fields
        .optional("counters")
        .map_or(Some(counters_default as u64), |value| value.whole(COUNTERS_MIN..=COUNTERS_MOST));
    let whole = |number: Option<u64>| usize::try_from(number?).ok();
    Some((whole(in_flight)?, per_peer?, whole(asked)?, whole(counters)?))
}

fn connections(value: Value<'_>) -> Option<ConnectionLimits> {
    let defaults = ConnectionLimits::default();
    let fields = value.fields(&[
        "handshake",
        "head",
        "idle",
        "request",
        "writeStall",
        "bodyWindow",
        "bodyBytesMin",
        "perPeer",
        "max",
    ])?;
    let span = |name: &str, default: Duration| {
        let range = Duration::from_millis(10)..=Duration::from_secs(3600);
        fields.optional(name).map_or(Some(default), |value| value.duration(range))
    };
    let count = |name: &str, default: usize| {
        let whole = |value: Value<'_>| value.whole(1..=1_000_000).and_then(|count| usize::try_from(count).ok());
        fields.optional(name).map_or(Some(default), whole)
    };
    let (handshake, head, idle) =
        (span("handshake", defaults.handshake), span("head", defaults.head), span("idle", defaults.idle));
    let (request_total, write_stall) =
        (span("request", defaults.request_total), span("writeStall", defaults.write_stall));
    let body_window = span("bodyWindow", defaults.body_window);
    let body_bytes_min =
        fields.optional("bodyBytesMin").map_or(Some(defaults.body_bytes_min), |value| value.bytes(1..=1024 * 1024));
    let (per_peer, all) = (count("perPeer", defaults.connections_per_peer_max), count("max", defaults.connections_max));
    Some(ConnectionLimits {
        handshake: handshake?,
        head: head?,
        idle: idle?,
        request_total: request_total?,
        write_stall: write_stall?,
        body_window: body_window?,
        body_bytes_min: body_bytes_min?,
        connections_per_peer_max: per_peer?,
        connections_max: all?,
        ..defaults
    })
}

fn reload(value: Value<'_>) -> Option<ReloadConfig> {
    let default = ReloadConfig::default();
    let fields = value.fields(&["watch", "every"])?;
    let watch = fields.optional("watch").map_or(Some(default.watch), Value::boolean);
    // At each look an override that is over is ended, too: a minute late at most.
    let range = Duration::from_millis(100)..=Duration::from_secs(60);
    let every = fields.optional("every").map_or(Some(default.every), |value| value.duration(range));
    Some(ReloadConfig { watch: watch?, every: every? })
}

fn log(value: Value<'_>) -> Option<LogConfig> {
    let fields = value.fields(&["format", "level"])?;
    let json = fields.optional("format").map_or(Some(false), |value| value.choice(&[("text", false), ("json", true)]));
    let levels = [("error", "error"), ("warn", "warn"), ("info", "info"), ("debug", "debug"), ("trace", "trace")];
    let level = fields.optional("level").map_or(Some("info"), |value| value.choice(&levels));
    Some(LogConfig { json: json?, level: level? })
}

#[cfg(test)]
mod keeping_tests;
#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let source = Source::new("qaqpa.yaml", text);
        let found = parse(&source, Path::new("/etc/qaqpa")).err().unwrap_or_default();
        found.iter().map(|problem| problem.message.clone()).collect()
    }

    #[test]
    fn every_fault_of_a_file_is_told_at_once() {
        let text = "qaqpa: v1\nlisteners:\n  api: {adress: 127.0.0.1:8443}\n  admin: {address: nowhere}\nworkers: 0\n";
        let found = problems(text);
        // A key that was misspelt is not told a second time as missing.
        assert_eq!(found.len(), 3, "{found:?}");
    }

    #[test]
    fn c1_clear_text_to_other_machines_has_to_be_said() {
        let text = |api: &str| format!("qaqpa: v1\nlisteners:\n  api: {api}\n  admin: {{address: 127.0.0.1:8444}}\n");
        assert_eq!(problems(&text("{address: 0.0.0.0:8443}")).len(), 1);
        assert!(problems(&text("{address: 0.0.0.0:8443, plaintext: trusted}")).is_empty());
        assert!(problems(&text("{address: 127.0.0.1:8443}")).is_empty());
    }

    #[test]
    fn a_citizen_is_asked_so_often_and_not_once_more() {
        let text = |count: &str| {
            format!(
                "qaqpa: v1\nlisteners: {{api: {{address: 127.0.0.1:1}}, admin: {{address: 127.0.0.1:2}}}}\n\
                 limits: {{perCitizen: {count}}}\n"
            )
        };
        assert_eq!((problems(&text("0")).len(), problems(&text("1001")).len()), (1, 1));
        let most = |count: &str| {
            parse(&Source::new("qaqpa.yaml", text(count)), Path::new("/etc")).ok().map(|config| config.asked_max)
        };
        assert_eq!((most("1"), most("1000")), (Some(1), Some(1000)));
    }

    #[test]
    fn so_many_counters_are_kept_and_not_one_more_or_less() {
        let text = |limits: &str| {
            format!(
                "qaqpa: v1\nlisteners: {{api: {{address: 127.0.0.1:1}}, admin: {{address: 127.0.0.1:2}}}}\n\
                 limits: {{{limits}}}\n"
            )
        };
        for wrong in ["counters: 9999", "counters: 10000001", "counters: many"] {
            assert_eq!(problems(&text(wrong)).len(), 1, "{wrong}");
        }
        let kept = |limits: &str| {
            parse(&Source::new("qaqpa.yaml", text(limits)), Path::new("/etc")).ok().map(|config| config.counters_max)
        };
        assert_eq!((kept("counters: 10000"), kept("counters: 10000000")), (Some(10_000), Some(10_000_000)));
        assert_eq!(kept("perCitizen: 1"), Some(KEYS_MAX));
    }

    #[test]
    fn a_listener_that_asks_for_certificates_needs_to_know_whom_to_believe() {
        let text = "qaqpa: v1\nlisteners:\n  api: {address: 127.0.0.1:1}\n  admin: {address: 127.0.0.1:2}\n  mtls_api: {address: 127.0.0.1:3, tls: {certificate: a, key: b}}\n";
        assert_eq!(problems(text).len(), 1);
    }

    #[test]
    fn files_are_looked_at_within_a_minute_and_not_all_the_time() {
        let text = |reload: &str| {
            format!(
                "qaqpa: v1\nlisteners:\n  api: {{address: 127.0.0.1:1}}\n  admin: {{address: 127.0.0.1:2}}\nreload: {reload}\n"
            )
        };
        for wrong in ["{every: 99ms}", "{every: 61s}", "{watch: sometimes}", "{often: true}"] {
            assert_eq!(problems(&text(wrong)).len(), 1, "{wrong}");
        }
        for right in ["{every: 100ms}", "{every: 60s, watch: false}"] {
            assert!(problems(&text(right)).is_empty(), "{right}");
        }
    }

    #[test]
    fn a_secret_written_out_is_refused_and_not_shown() {
        let text = "qaqpa: v1\nlisteners:\n  api: {address: 127.0.0.1:1}\n  admin: {address: 127.0.0.1:2}\nidentity:\n  providers:\n    face: {url: 'http://127.0.0.1:9', webhookSecret: hunter2hunter2}\n";
        let source = Source::new("qaqpa.yaml", text);
        let found = parse(&source, Path::new(".")).err().unwrap_or_default();
        assert_eq!(found.len(), 1);
        assert!(!found.iter().any(|problem| problem.message.contains("hunter2")));
    }
}
