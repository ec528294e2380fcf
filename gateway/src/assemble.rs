//! Puts the house together: from a configuration to listeners that may serve.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use adapters::audit::{Audit, Options};
use adapters::clock::Clock;
use adapters::entropy::Namer;
use adapters::files::private_directory;
use adapters::http::courier::Courier;
use adapters::keys::{Keyring, Sealer, TokenKey, WrapSource, open_wrapping};
use adapters::limit::local::LocalLimiter;
use adapters::limit::peer::PeerGuard;
use adapters::store::backup::whole;
use adapters::store::port::{Claims, Durable, Outbox, SubjectKeys, Verifications};
use adapters::store::sealed::SealedStore;
use arc_swap::ArcSwap;
use policies::admin::AdminEntry;
use policies::jose::sha256;
use policies::language::decode::SecretReference;
use policies::secret::Secret;
use spine::stage::{Door, Entrance};

use crate::chore::deliver::Deliver;
use crate::chore::enter::Enter;
use crate::chore::prune::Prune;
use crate::chore::settle::Settle;
use crate::chore::ship::{Place, Ship};
use crate::chore::{Chore, Chores};
use crate::config::{AdministratorConfig, Config, ListenerConfig, WrapConfig};
use crate::house::{House, ProcessLimits, Strangers};
use crate::listen::tls::TlsDoor;
use crate::listen::{self, Bound, Census, ConnectionLimits, Listener};
use crate::load::{Findings, Loaded, addressed, allowed, load};
use crate::metrics::Metrics;
use crate::reach::Reach;
use crate::secrets;
use crate::stack::Stack;
use crate::stores;
use crate::unready::{AssemblyError, machine};

/// A house that may serve.
#[derive(Debug)]
pub struct Assembled {
    /// What outlasts a generation.
    pub house: Arc<House>,
    /// The stack that decides now, shared by all listeners.
    pub stack: Arc<ArcSwap<Stack>>,
    /// Listeners with their sockets.
    pub listeners: Vec<(Arc<Listener>, Bound)>,
    /// What somebody should look at, rendered.
    pub warnings: String,
    /// How many threads serve.
    pub workers: usize,
    /// Makes what is done beside requests.
    pub chores: Chores,
}

impl Assembled {
    /// Returns the external URL of a listener.
    #[must_use]
    pub fn external(&self, door: Door) -> Option<&str> {
        let found = self.listeners.iter().find(|(listener, _)| listener.entrance.door == door);
        found.map(|(listener, _)| listener.entrance.external.as_str())
    }
}

/// Puts everything together; nothing serves yet.
///
/// # Errors
/// [`AssemblyError`], with every fault of the configuration at once.
pub fn assemble(config: &Config, clock: Clock, colour: bool) -> Result<Assembled, AssemblyError> {
    let now = clock.now();
    let wrong = |findings: Findings| AssemblyError::Configuration(findings.render(colour));
    let Loaded { generation, warnings } =
        load(&config.policies, &config.contracts, allowed(config), 1, now).map_err(wrong)?;
    addressed(&generation.rulebook, config).map_err(wrong)?;
    let warnings = warnings.render(colour);
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let workers = config.workers.unwrap_or_else(cores);
    private_directory(&config.state).map_err(|outage| machine(&outage))?;
    whole(&config.state).map_err(|outage| machine(&outage))?;
    let doors = doors(config, workers)?;
    let issuer = config.issuer.clone().unwrap_or_else(|| doors.api.1.external.clone());
    let reach = Reach::prepare(config, &generation.rulebook, stores::trust(config.trust.as_deref())?, workers)
        .map_err(|error| AssemblyError::Configuration(format!("error: an identity provider: {error}\n")))?;
    let house = Arc::new(house(config, clock, issuer, &doors)?);
    let stack = Arc::new(ArcSwap::from_pointee(Stack::build(&house, Arc::new(generation), Arc::new(reach))));
    let listeners = doors.into_listeners(&house, &stack, config.connection);
    let chores = chores(config, &house, &stack)?;
    Ok(Assembled { house, stack, listeners, warnings, workers, chores })
}

fn chores(config: &Config, house: &Arc<House>, stack: &Arc<ArcSwap<Stack>>) -> Result<Chores, AssemblyError> {
    let (house, stack) = (Arc::clone(house), Arc::clone(stack));
    let courier = Courier::new(&stores::trust(config.webhooks.trust.as_deref())?, config.webhooks.private);
    let places = config.ships.iter().map(Place::prepare).collect::<Result<Vec<_>, _>>()?;
    let keep = config.retention.audit;
    let counted = Arc::clone(&house);
    let chores = Chores::new(move || -> Vec<Box<dyn Chore>> {
        let mut chores: Vec<Box<dyn Chore>> = vec![
            Box::new(Enter::new(&house, &stack)),
            Box::new(Settle::new(&house, &stack)),
            Box::new(Deliver::new(&house, &stack, courier.clone())),
            Box::new(Prune::new(&house, &places, keep)),
        ];
        chores.extend(places.iter().map(|place| -> Box<dyn Chore> { Box::new(Ship::new(&house, place)) }));
        chores
    });
    Ok(chores.counting(move |chore| counted.metrics.chore_failed(chore)))
}

type DoorParts = (Bound, Entrance, Option<TlsDoor>);

struct Doors {
    api: DoorParts,
    mtls_api: Option<DoorParts>,
    admin: DoorParts,
}

impl Doors {
    fn into_listeners(
        self,
        house: &Arc<House>,
        stack: &Arc<ArcSwap<Stack>>,
        limits: ConnectionLimits,
    ) -> Vec<(Arc<Listener>, Bound)> {
        let parts = [Some(self.api), self.mtls_api, Some(self.admin)];
        let listener = |(bound, entrance, tls): DoorParts| {
            let (house, stack) = (Arc::clone(house), Arc::clone(stack));
            let listener =
                Listener { entrance: Arc::new(entrance), tls, limits, house, stack, census: Census::default() };
            (Arc::new(listener), bound)
        };
        parts.into_iter().flatten().map(listener).collect()
    }
}

fn doors(config: &Config, workers: usize) -> Result<Doors, AssemblyError> {
    let admin = &config.admin;
    if admin.tls.is_none() && !admin.address.ip().is_loopback() {
        let text = "error: the administrators' listener speaks clear text and is not on loopback\n  \
                    = help: give it `tls: {certificate: ..., key: ...}`, or an address such as 127.0.0.1:8444\n";
        return Err(AssemblyError::Configuration(text.to_owned()));
    }
    let mtls_api = config.mtls_api.as_ref().map(|listener| door(listener, Door::MtlsApi, workers)).transpose()?;
    Ok(Doors { api: door(&config.api, Door::Api, workers)?, mtls_api, admin: door(admin, Door::Admin, workers)? })
}

fn door(config: &ListenerConfig, door: Door, workers: usize) -> Result<DoorParts, AssemblyError> {
    let tls = match (&config.tls, &config.client_authorities) {
        (None, _) => Ok(None),
        (Some(files), None) => TlsDoor::open(&files.certificate, &files.key).map(Some),
        (Some(files), Some(authorities)) => TlsDoor::open_asking(&files.certificate, &files.key, authorities).map(Some),
    };
    let tls =
        tls.map_err(|error| AssemblyError::Configuration(format!("error: listener {}: {error}\n", door.word())))?;
    let bound = listen::bind(config.address, workers).map_err(|error| {
        AssemblyError::Machine(format!(
            "error: listener {} cannot listen on {}: {error}\n  = help: is another gateway running? port 0 finds a free one\n",
            door.word(),
            config.address
        ))
    })?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let external = config.external.clone().unwrap_or_else(|| format!("{scheme}://{}", bound.address));
    let hosts = hosts(&external, bound.address.port(), bound.address.ip().is_loopback());
    Ok((bound, Entrance { door, external, hosts }, tls))
}

// On loopback the names of the machine itself are its own; elsewhere only what the outside is told.
fn hosts(external: &str, port: u16, loopback: bool) -> Vec<String> {
    let named = external.split_once("://").map_or(external, |(_, rest)| rest).to_owned();
    let mut hosts = vec![named.clone()];
    match named.rsplit_once(':') {
        Some((host, "443")) if external.starts_with("https:") => hosts.push(host.to_owned()),
        None => hosts.push(format!("{named}:{}", if external.starts_with("https:") { 443 } else { 80 })),
        Some(_) => {}
    }
    if loopback {
        hosts.extend(["127.0.0.1", "localhost", "[::1]"].map(|name| format!("{name}:{port}")));
    }
    hosts
}

fn house(config: &Config, clock: Clock, issuer: String, doors: &Doors) -> Result<House, AssemblyError> {
    let keys = config.state.join("keys");
    let sealer = Arc::new(sealer(config)?);
    let durable: Arc<dyn Durable> = {
        let store = stores::durable(config)?;
        Arc::new(SealedStore::new(store, Arc::clone(&sealer), clock.now()))
    };
    let remembrance = stores::remembrance(config)?;
    let keyring = Keyring::load_or_create(&keys).map_err(|outage| machine(&outage))?;
    let trail = Options::of(&keyring, &sealer, clock.clone());
    let mut webhook_secrets = HashMap::new();
    for provider in &config.providers {
        let secret = webhook_secret(&provider.webhook_secret).map_err(|error| {
            AssemblyError::Configuration(format!("error: the webhook secret of provider {}: {error}\n", provider.id))
        })?;
        webhook_secrets.insert(provider.id.clone(), secret);
    }
    Ok(House {
        issuer,
        mtls_external: doors.mtls_api.as_ref().map(|(_, entrance, _)| entrance.external.clone()),
        keyring,
        sealer,
        replays: Arc::clone(&remembrance.replays),
        remembrance,
        claims: Arc::clone(&durable) as Arc<dyn Claims>,
        verifications: Arc::clone(&durable) as Arc<dyn Verifications>,
        outbox: Arc::clone(&durable) as Arc<dyn Outbox>,
        subject_keys: Arc::clone(&durable) as Arc<dyn SubjectKeys>,
        durable,
        webhook_secrets,
        limiter: LocalLimiter::new(),
        peers: PeerGuard::new(config.per_peer.0, config.per_peer.1),
        audit: Audit::open(&config.state.join("audit"), trail).map_err(|outage| machine(&outage))?,
        administrators: administrators(&config.administrators)?,
        strangers: Strangers::default(),
        metrics: Metrics::new(),
        namer: Namer::default(),
        in_flight: Arc::new(AtomicUsize::new(0)),
        limits: ProcessLimits { requests_in_flight_max: config.requests_in_flight_max },
        clock,
    })
}

/// Opens what seals, under the wrapping key wherever the operator keeps it: a token may take seconds to answer.
pub(crate) fn sealer(config: &Config) -> Result<Sealer, AssemblyError> {
    let wrong = |text: String| AssemblyError::Configuration(format!("error: the wrapping key: {text}\n"));
    let source = match &config.wrap {
        WrapConfig::OwnFile => WrapSource::Generated,
        WrapConfig::Secret(reference) => WrapSource::Given(secrets::read(reference).map_err(wrong)?),
        WrapConfig::Pkcs11(token) => WrapSource::Token(TokenKey {
            module: token.module.clone(),
            token: token.token.clone(),
            key: token.key.clone(),
            pin: secrets::read(&token.pin).map_err(wrong)?,
        }),
    };
    let keys = config.state.join("keys");
    let wrapping = open_wrapping(&keys, &source).map_err(|outage| wrong(outage.cause))?;
    // A token may be away for now: that is no fault of the configuration.
    Sealer::load_or_create(&keys, &*wrapping).map_err(|outage| machine(&outage))
}

fn webhook_secret(reference: &SecretReference) -> Result<Secret<Vec<u8>>, String> {
    let secret = secrets::read(reference)?;
    if secret.expose().len() < policies::callback::SECRET_BYTES_MIN {
        return Err(format!("a webhook secret has at least {} bytes", policies::callback::SECRET_BYTES_MIN));
    }
    Ok(secret)
}

fn administrators(configured: &[AdministratorConfig]) -> Result<Vec<AdminEntry>, AssemblyError> {
    let mut entries = Vec::new();
    for administrator in configured {
        let wrong =
            |text: String| AssemblyError::Configuration(format!("error: administrator {}: {text}\n", administrator.id));
        let token = Secret::new(secrets::private_file(&administrator.token_file).map_err(wrong)?);
        let token = token.expose().trim_ascii();
        if token.len() < policies::admin::ADMIN_TOKEN_MIN {
            return Err(wrong(format!("the token has fewer than {} characters", policies::admin::ADMIN_TOKEN_MIN)));
        }
        let (id, roles) = (administrator.id.clone(), administrator.roles.clone());
        entries.push(AdminEntry { id, roles, token_hash: sha256(token) });
    }
    Ok(entries)
}
