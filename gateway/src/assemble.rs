//! Puts the house together: from a configuration to listeners that may serve.

use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use adapters::audit::{Audit, Options};
use adapters::clock::Clock;
use adapters::entropy::Namer;
use adapters::files::private_directory;
use adapters::http::courier::Courier;
use adapters::http::scout::Scout;
use adapters::keys::{LiveKeyring, Sealer, TokenKey, WrapSource, open_wrapping};
use adapters::limit::peer::PeerGuard;
use adapters::oauth::Jwks;
use adapters::store::backup::whole;
use adapters::store::port::{Claims, Durable, Outbox, SubjectKeys, Verifications};
use adapters::store::sealed::SealedStore;
use arc_swap::ArcSwap;
use policies::code::Outage;
use policies::time::Timestamp;
use spine::stage::{Door, Entrance};

use crate::changes::Changes;
use crate::chore::beat::Beat;
use crate::chore::deliver::Deliver;
use crate::chore::enter::Enter;
use crate::chore::follow::Follow;
use crate::chore::prune::Prune;
use crate::chore::revoked::FollowRevocations;
use crate::chore::rotate::Rotate;
use crate::chore::settle::Settle;
use crate::chore::ship::{Place, Ship};
use crate::chore::warm::Warm;
use crate::chore::{Chore, Chores};
use crate::config::{Config, ListenerConfig, WrapConfig};
use crate::desk::{Cause, Desk};
use crate::generation::{Birth, Bundle, Generation};
use crate::house::{House, ProcessLimits, Strangers, watched};
use crate::listen::material::FileFault;
use crate::listen::tls::TlsDoor;
use crate::listen::{self, Bound, Census, ConnectionLimits, Listener};
use crate::load::{Findings, Loaded, addressed, allowed, join, load};
use crate::metrics::Metrics;
use crate::reach::Reach;
use crate::reload::{Parts, Reloader, Signature, Trusted, places};
use crate::secrets::{self, Secrets};
use crate::stack::Stack;
use crate::stores;
use crate::texts::{Policies, PolicySource};
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
    /// Reads files again.
    pub reloader: Arc<Mutex<Reloader>>,
    /// How often it looks whether they have changed.
    pub look_every: Duration,
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
    // Before anything is read: what changes from here on is seen later.
    let read = Signature::of(&places(config, &PolicySource::folders(&config.policies, &config.contracts)));
    let wrong = |findings: Findings| AssemblyError::Configuration(findings.render(colour));
    let folders = load(&config.policies, &config.contracts, allowed(config), 1, now)
        .and_then(|loaded| addressed(&loaded.generation.rulebook, config).map(|()| loaded));
    // Where sets are approved, that of the folders is only the first: whether it matters is known when the store is open.
    let folders = if config.approval.is_none() { Ok(folders.map_err(wrong)?) } else { folders };
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let workers = config.workers.unwrap_or_else(cores);
    private_directory(&config.state).map_err(|outage| machine(&outage))?;
    whole(&config.state).map_err(|outage| machine(&outage))?;
    let doors = doors(config, workers, now)?;
    let issuer = config.issuer.clone().unwrap_or_else(|| doors.api.1.external.clone());
    let (upstreams, webhooks) =
        (trusted(config.trust.as_deref(), now)?, trusted(config.webhooks.trust.as_deref(), now)?);
    let scout = Scout::new(webhooks.trust(), config.webhooks.private);
    let house = Arc::new(house(config, clock, issuer, (&doors, scout))?);
    let approved = house.changes.as_ref().map(|changes| approved(changes, config, now)).transpose();
    let approved = approved.map_err(|error| match error {
        NotKnown::Faulty(findings) => wrong(findings),
        NotKnown::Away(outage) => machine(&outage),
    })?;
    let (generation, warnings) = match (approved.flatten(), folders) {
        (Some(generation), folders) => {
            if let Err(findings) = folders {
                tracing::warn!(
                    "the policies of the folders, which are not in force, have faults: {}",
                    findings.render(false)
                );
            }
            (generation, String::new())
        }
        (None, folders) => {
            let Loaded { generation, warnings, .. } = folders.map_err(wrong)?;
            (generation, warnings.render(colour))
        }
    };
    let given = house.changes.as_ref().map(|_| Policies::Given(generation.texts.policies.clone()));
    let reach = Reach::prepare(config, &generation.rulebook, upstreams.trust().clone(), (workers, &house))
        .map_err(|error| AssemblyError::Configuration(format!("error: {error}\n")))?;
    let stack = Arc::new(ArcSwap::from_pointee(Stack::build(&house, Arc::new(generation), Arc::new(reach))));
    let listeners = doors.into_listeners(&house, &stack, config.connection);
    let courier = Arc::new(ArcSwap::from_pointee(Courier::new(webhooks.trust(), config.webhooks.private)));
    let chores = chores(config, &house, &stack, &courier)?;
    let parts = Parts {
        config: config.clone(),
        house: Arc::clone(&house),
        stack: Arc::clone(&stack),
        listeners: listeners.iter().map(|(listener, _)| Arc::clone(listener)).collect(),
        upstreams,
        webhooks,
        courier,
    };
    let reloader = Arc::new(Mutex::new(Reloader::new(parts, given, read)));
    let look_every = config.reload.every;
    Ok(Assembled { house, stack, listeners, warnings, workers, chores, reloader, look_every })
}

/// Why nobody knows which policies are in force at a start.
enum NotKnown {
    Faulty(Findings),
    Away(Outage),
}

/// Gives the set that administrators have approved, if there is one: what lies in the folders was only the first.
fn approved(changes: &Changes, config: &Config, now: Timestamp) -> Result<Option<Generation>, NotKnown> {
    let found = std::thread::scope(|scope| {
        // Whoever assembles may be in a runtime already, where waiting is not allowed.
        let ask = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map_err(|error| Outage::new("changes", error))?.block_on(changes.at_start())
        };
        scope.spawn(ask).join().unwrap_or_else(|_| Err(Outage::new("changes", "the history could not be read")))
    });
    let Some((proposal, texts)) = found.map_err(NotKnown::Away)? else { return Ok(None) };
    let policies = Policies::Given(crate::admin::files(&texts).map_err(NotKnown::Away)?);
    let set = PolicySource { policies, contracts: config.contracts.clone() }.read().map_err(NotKnown::Faulty)?;
    let bundle = Bundle::from(&set);
    let birth = Birth { number: 1, at: now, by: Cause::Start };
    let generation = join(Arc::new(set), bundle, allowed(config), birth, None).map_err(NotKnown::Faulty)?.generation;
    addressed(&generation.rulebook, config).map_err(NotKnown::Faulty)?;
    tracing::info!("the policy set of proposal {proposal} is in force; what lies in the folders is not");
    Ok(Some(generation))
}

fn trusted(path: Option<&Path>, now: Timestamp) -> Result<Trusted, AssemblyError> {
    Trusted::open(path, now).map_err(|fault: FileFault| AssemblyError::Configuration(format!("error: {fault}\n")))
}

fn chores(
    config: &Config,
    house: &Arc<House>,
    stack: &Arc<ArcSwap<Stack>>,
    courier: &Arc<ArcSwap<Courier>>,
) -> Result<Chores, AssemblyError> {
    let (house, stack, courier) = (Arc::clone(house), Arc::clone(stack), Arc::clone(courier));
    let places = config.ships.iter().map(Place::prepare).collect::<Result<Vec<_>, _>>()?;
    let keep = config.retention.audit;
    let counted = Arc::clone(&house);
    let chores = Chores::new(move || -> Vec<Box<dyn Chore>> {
        let mut chores: Vec<Box<dyn Chore>> = vec![
            Box::new(Enter::new(&house, &stack)),
            Box::new(Follow::new(&house)),
            Box::new(FollowRevocations::new(&house)),
            Box::new(Settle::new(&house, &stack)),
            Box::new(Deliver::new(&house, &stack, Arc::clone(&courier))),
            Box::new(Rotate::new(&house)),
            Box::new(Warm::new(&house, &stack)),
            Box::new(Prune::new(&house, &places, keep)),
        ];
        chores.extend(house.limiter.shared().map(|_| -> Box<dyn Chore> { Box::new(Beat::new(&house)) }));
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

fn doors(config: &Config, workers: usize, now: Timestamp) -> Result<Doors, AssemblyError> {
    let admin = &config.admin;
    if admin.tls.is_none() && !admin.address.ip().is_loopback() {
        let text = "error: the administrators' listener speaks clear text and is not on loopback\n  \
                    = help: give it `tls: {certificate: ..., key: ...}`, or an address such as 127.0.0.1:8444\n";
        return Err(AssemblyError::Configuration(text.to_owned()));
    }
    let mtls_api = config.mtls_api.as_ref().map(|listener| door(listener, Door::MtlsApi, workers, now)).transpose()?;
    Ok(Doors {
        api: door(&config.api, Door::Api, workers, now)?,
        mtls_api,
        admin: door(admin, Door::Admin, workers, now)?,
    })
}

fn door(config: &ListenerConfig, door: Door, workers: usize, now: Timestamp) -> Result<DoorParts, AssemblyError> {
    let tls = config
        .door_files()
        .map(|files| TlsDoor::open(files, now))
        .transpose()
        .map_err(|error| AssemblyError::Configuration(format!("error: listener {}: {error}\n", door.word())))?;
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

fn house(
    config: &Config,
    clock: Clock,
    issuer: String,
    (doors, scout): (&Doors, Scout),
) -> Result<House, AssemblyError> {
    let keys = config.state.join("keys");
    let sealer = Arc::new(sealer(config)?);
    let durable: Arc<dyn Durable> = {
        let store = stores::durable(config)?;
        Arc::new(SealedStore::new(store, Arc::clone(&sealer), clock.now()))
    };
    let remembrance = stores::remembrance(config)?;
    let keyring = LiveKeyring::open(&keys, &sealer, clock.now()).map(Arc::new).map_err(|outage| machine(&outage))?;
    let trail = Options::of(&keyring, &sealer, clock.clone());
    let secrets = Secrets::read(config).map_err(|faults| {
        let lines: Vec<String> = faults.into_iter().map(|fault| format!("error: {}\n", fault.cause)).collect();
        AssemblyError::Configuration(lines.concat())
    })?;
    let changes = config.approval.map(|people| Changes::new(Arc::clone(&durable), Arc::new(config.clone()), people));
    let (authorizations, revocations) = watched(&durable);
    Ok(House {
        changes,
        issuer,
        external: doors.api.1.external.clone(),
        mtls_external: doors.mtls_api.as_ref().map(|(_, entrance, _)| entrance.external.clone()),
        keyring,
        rotate_every: config.rotate_every,
        sealer,
        replays: Arc::clone(&remembrance.replays),
        remembrance,
        claims: Arc::clone(&durable) as Arc<dyn Claims>,
        verifications: Arc::clone(&durable) as Arc<dyn Verifications>,
        outbox: Arc::clone(&durable) as Arc<dyn Outbox>,
        subject_keys: Arc::clone(&durable) as Arc<dyn SubjectKeys>,
        authorizations,
        revocations,
        durable,
        secrets: ArcSwap::from_pointee(secrets),
        jwks: Jwks::new(scout.clone()),
        scout,
        limiter: stores::limiter(config)?,
        peers: PeerGuard::new(config.per_peer.0, config.per_peer.1),
        beginnings: crate::beginnings::Beginnings::default(),
        audit: Audit::open(&config.state.join("audit"), trail).map_err(|outage| machine(&outage))?,
        desk: Desk::default(),
        strangers: Strangers::default(),
        metrics: Metrics::new(),
        namer: Namer::default(),
        in_flight: Arc::new(AtomicUsize::new(0)),
        limits: ProcessLimits { requests_in_flight_max: config.requests_in_flight_max, asked_max: config.asked_max },
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
