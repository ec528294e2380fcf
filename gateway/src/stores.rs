//! Opens the stores that `qaqpa.yaml` names: where what must last stands, and where what may be forgotten.

use std::path::Path;
use std::sync::Arc;

use adapters::http::trust::Trust;
use adapters::limit::limits::Limits;
use adapters::limit::local::LocalLimiter;
use adapters::limit::shared::SharedLimiter;
use adapters::store::backup::DATABASE;
use adapters::store::port::Durable;
use adapters::store::postgres::{PostgresSettings, PostgresStore};
use adapters::store::redis::{Budget, Credentials, Prefix, RedisConfig as Dialled, RedisStore, Servers, ServersError};
use adapters::store::retention::Retention;
use adapters::store::sqlite::SqliteStore;

use crate::config::{Config, RedisConfig, RedisKind};
use crate::findings::Findings;
use crate::remembrance::Remembrance;
use crate::secrets;
use crate::unready::{AssemblyError, machine};

/// A store that cannot be used as it is described.
const UNFIT: &str = "G0003";

/// Opens the store of all that must last.
pub(crate) fn durable(config: &Config) -> Result<Arc<dyn Durable>, AssemblyError> {
    let kept = config.retention;
    let retention = Retention { verifications: kept.verifications, events: kept.events, generations: kept.generations };
    let Some(postgres) = &config.stores.postgres else {
        let path = config.state.join(DATABASE);
        let store = SqliteStore::open_keeping(&path, retention).map_err(|outage| machine(&outage))?;
        return Ok(Arc::new(store));
    };
    let wrong = |text: String| AssemblyError::Configuration(format!("error: the PostgreSQL of `stores`: {text}\n"));
    let settings = PostgresSettings {
        url: secrets::read_text(&postgres.url).map_err(wrong)?,
        schema: postgres.schema.clone(),
        connections: postgres.connections,
        statement: postgres.statement,
        trust: postgres.trust.as_deref().map(|bundle| trust(Some(bundle))).transpose()?,
    };
    let store = PostgresStore::connect(settings, retention).map_err(|outage| wrong(outage.cause))?;
    Ok(Arc::new(store))
}

/// Opens what remembers proofs and assertions. They live for minutes: what a restart forgets, their own times refuse.
pub(crate) fn remembrance(config: &Config) -> Result<Remembrance, AssemblyError> {
    Ok(match &config.stores.redis {
        None => Remembrance::own(),
        Some(redis) => Remembrance::shared(RedisStore::open(dialled(redis)?).map_err(|outage| machine(&outage))?),
    })
}

/// Opens what counts calls. Limits have connections of their own: what they ask holds up no proof, nor does their outage.
pub(crate) fn limiter(config: &Config) -> Result<Limits, AssemblyError> {
    let local = LocalLimiter::with_keys_max(config.counters_max);
    let Some(redis) = &config.stores.redis else { return Ok(Limits::new(local)) };
    let shared = SharedLimiter::open(dialled(redis)?).map_err(|outage| machine(&outage))?;
    Ok(Limits::with_shared(local, Arc::new(shared)))
}

/// Says where a Redis is and how it is spoken to.
fn dialled(config: &RedisConfig) -> Result<Dialled, AssemblyError> {
    let wrong = |text: String| AssemblyError::Configuration(format!("error: the Redis of `stores`: {text}\n"));
    let (servers, prefix, budget) = shape(config).map_err(|error| wrong(error.to_string()))?;
    let password = config.password.as_ref().map(secrets::read_text).transpose().map_err(wrong)?;
    let credentials = password.map(|password| Credentials { user: config.user.clone(), password });
    let trust = trust(config.trust.as_deref())?;
    Ok(Dialled { servers, trust, credentials, sentinel_credentials: None, prefix, budget })
}

/// Reads what can be judged of a Redis without asking for anything: who belongs together, and how long calls may take.
fn shape(config: &RedisConfig) -> Result<(Servers, Prefix, Budget), ServersError> {
    let servers = match &config.kind {
        RedisKind::Single => Servers::single(&config.nodes),
        RedisKind::Sentinel { master } => Servers::sentinel(master, &config.nodes),
        RedisKind::Cluster => Servers::cluster(&config.nodes),
    };
    let budget = Budget { soft: config.soft, hard: config.hard, ..Budget::PRODUCT };
    Ok((servers?, Prefix::parse(&config.prefix)?, budget.check()?))
}

/// Tells what is wrong with the stores of a configuration, as far as that shows without opening anything.
///
/// # Errors
/// One finding.
pub(crate) fn check(config: &Config) -> Result<(), Findings> {
    let Some(redis) = &config.stores.redis else { return Ok(()) };
    shape(redis).map(|_| ()).map_err(|error| {
        Findings::of_file(UNFIT, &config.file, format!("the Redis of `stores` cannot be used: {error}"), None)
    })
}

/// Reads the authorities of a PEM bundle; nobody is trusted without one.
pub(crate) fn trust(bundle: Option<&Path>) -> Result<Trust, AssemblyError> {
    let Some(path) = bundle else { return Trust::nobody().map_err(|outage| machine(&outage)) };
    let wrong = |cause: String| AssemblyError::Configuration(format!("error: {}: {cause}\n", path.display()));
    let bundle = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    Trust::from_pem(&bundle, None).map_err(|outage| wrong(outage.cause))
}
