//! The reloader: reads policies, contracts, certificates and secrets again while requests go on.
//!
//! One thread of its own, one reload at a time, whoever wishes it: a signal, an administrator, a file that has changed, an
//! override that has ended. Each part stands alone: what is wrong stays as it was and is told, the rest is renewed, so
//! that a certificate does not run out over a misspelt policy. Requests end on what they began with.

mod trusted;
mod watch;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use adapters::http::courier::Courier;
use arc_swap::ArcSwap;
use policies::id::OperationId;
use policies::language::Severity;
use policies::time::Timestamp;

pub use self::trusted::Trusted;
pub use self::watch::{Signature, Watch};
use crate::config::Config;
use crate::credentials;
use crate::desk::{Call, Cause, Desk, Outcome, Refused, Wish};
use crate::generation::{Birth, Bundle, Generation};
use crate::house::House;
use crate::listen::Listener;
use crate::listen::material::{FileFault, Life};
use crate::listen::tls::{DoorFiles, TlsError};
use crate::load::{Findings, Loaded, addressed, allowed, join};
use crate::secrets::Secrets;
use crate::stack::Stack;
use crate::texts::{Policies, PolicySource, Texts};

/// A file of certificates or authorities that cannot be used.
const UNUSABLE: &str = "G0004";

/// A secret that cannot be used.
const SECRET: &str = "G0005";

/// Files that do not come to rest.
const RESTLESS: &str = "G0007";

/// How often files that change while they are read are read again.
const READS_MAX: usize = 3;

/// How often somebody is told that a certificate ends soon.
const WARN_EVERY: Duration = Duration::from_secs(86_400);

/// How long after a failure the end of an override is tried again.
const AGAIN: Duration = Duration::from_secs(60);

/// What can be renewed while the gateway serves.
pub struct Parts {
    /// The operator's configuration.
    pub config: Config,
    /// What outlasts a generation.
    pub house: Arc<House>,
    /// The stack that decides.
    pub stack: Arc<ArcSwap<Stack>>,
    /// The listeners.
    pub listeners: Vec<Arc<Listener>>,
    /// Whom connections to backends and providers trust.
    pub upstreams: Trusted,
    /// Whom connections to clients' endpoints trust.
    pub webhooks: Trusted,
    /// Who carries events to them.
    pub courier: Arc<ArcSwap<Courier>>,
}

/// Renews them.
pub struct Reloader {
    parts: Parts,
    source: PolicySource,
    watch: Option<Watch>,
    // Generations that some request may still be on: the last one to let go of a large one waits for its memory to be
    // given back, and that is not to be a serving thread.
    retired: Vec<Arc<Generation>>,
    warned: HashMap<PathBuf, Timestamp>,
    // When the end of an override is tried again after a failure.
    again: Option<Timestamp>,
    // When a certificate that was refused for being early is good.
    awaited: Option<Timestamp>,
}

impl std::fmt::Debug for Reloader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reloader").field("source", &self.source.places()).finish_non_exhaustive()
    }
}

impl Reloader {
    /// Makes the reloader of parts that were just read; `policies` are in force instead of those of the
    /// folders, if given; `read` is how the files were before.
    #[must_use]
    pub fn new(parts: Parts, policies: Option<Policies>, read: Signature) -> Self {
        let folders = PolicySource::folders(&parts.config.policies, &parts.config.contracts);
        let source = match policies {
            Some(policies) => PolicySource { policies, ..folders },
            None => folders,
        };
        let watch = parts.config.reload.watch.then(|| Watch::begin(read));
        let (retired, warned) = (Vec::new(), HashMap::new());
        let mut reloader = Self { parts, source, watch, retired, warned, again: None, awaited: None };
        reloader.tell_lives(reloader.parts.house.clock.now());
        reloader
    }

    /// Does what time and files ask for: ends an override that is over, and reads files that have changed and rest.
    pub fn look(&mut self) {
        let _running = self.parts.house.metrics.reload_begins(Instant::now());
        let now = self.parts.house.clock.now();
        self.retired.retain(|generation| Arc::strong_count(generation) > 1);
        self.tell_lives(now);
        self.end_overrides(now);
        if self.watch.is_none() {
            return;
        }
        let signature = self.sign();
        let is_good_by_now = self.awaited.is_some_and(|at| now >= at);
        if self.watch.as_mut().is_some_and(|watch| watch.has_settled(signature)) || is_good_by_now {
            self.reload(&Cause::Watch, None);
        }
    }

    /// Answers wishes: one reload for all that bring nothing with them, and one for each that brings policies.
    pub fn answer(&mut self, wishes: Vec<Wish>) {
        let mut waiting: Vec<Wish> = Vec::new();
        for mut wish in wishes {
            match wish.policies.take() {
                None => waiting.push(wish),
                Some(policies) => {
                    self.answer_alike(std::mem::take(&mut waiting));
                    let outcome = self.reload(&wish.by, Some(policies));
                    tell(wish, &outcome);
                }
            }
        }
        self.answer_alike(waiting);
    }

    fn answer_alike(&mut self, wishes: Vec<Wish>) {
        let Some(by) = wishes.first().map(|wish| wish.by.clone()) else { return };
        let outcome = self.reload(&by, None);
        for wish in wishes {
            tell(wish, &outcome);
        }
    }

    /// Reads everything again, and puts in force what is right; `policies` from now on, if given and right.
    pub fn reload(&mut self, by: &Cause, policies: Option<Policies>) -> Arc<Outcome> {
        let _running = self.parts.house.metrics.reload_begins(Instant::now());
        let now = self.parts.house.clock.now();
        let before = self.sign();
        let mut findings = Findings::default();
        self.awaited = None;
        let mut renewed = self.renew_doors(now, &mut findings);
        renewed.extend(self.renew_trust(now, &mut findings));
        renewed.extend(self.renew_secrets(&mut findings));
        let source = match policies {
            None => self.source.clone(),
            Some(policies) => PolicySource { policies, contracts: self.source.contracts.clone() },
        };
        let loaded = self.load(&source, by, now).and_then(|loaded| self.enter(loaded));
        let (changed, warnings) = match loaded {
            Ok(entered) => {
                self.source = source;
                entered
            }
            Err(refused) => {
                findings.add(refused);
                // Trust that is new is for the policies that stay, too.
                if let Err(refused) = self.enter(None) {
                    findings.add(refused);
                }
                (false, Findings::default())
            }
        };
        if let Some(watch) = &mut self.watch {
            watch.was_read(before);
        }
        self.conclude(by, now, Concluded { changed, renewed, warnings, findings })
    }

    /// Returns the files that are watched, as they are now.
    fn sign(&self) -> Signature {
        Signature::of(&places(&self.parts.config, &self.source))
    }

    fn renew_doors(&mut self, now: Timestamp, findings: &mut Findings) -> Vec<String> {
        let mut renewed = Vec::new();
        for listener in self.parts.listeners.clone() {
            let Some(tls) = &listener.tls else { continue };
            let door = listener.entrance.door.word();
            match tls.renew(now) {
                Ok(true) => renewed.push(format!("certificates of listener {door}")),
                Ok(false) => {}
                Err(TlsError::File(fault)) => self.refuse(&fault, findings),
                Err(error) => {
                    let message = format!("listener {door}: {error}");
                    findings.add(Findings::of_file(UNUSABLE, &tls.files().certificate, message, None));
                }
            }
        }
        renewed
    }

    fn renew_trust(&mut self, now: Timestamp, findings: &mut Findings) -> Vec<String> {
        let mut renewed = Vec::new();
        match self.parts.upstreams.renew(now) {
            Ok(true) => renewed.push("authorities of upstreams".to_owned()),
            Ok(false) => {}
            Err(fault) => self.refuse(&fault, findings),
        }
        match self.parts.webhooks.renew(now) {
            Ok(true) => {
                let courier = Courier::new(self.parts.webhooks.trust(), self.parts.config.webhooks.private);
                self.parts.courier.store(Arc::new(courier));
                self.parts.house.scout.believe(self.parts.webhooks.trust());
                renewed.push("authorities of webhooks".to_owned());
            }
            Ok(false) => {}
            Err(fault) => self.refuse(&fault, findings),
        }
        renewed
    }

    /// Notes a file that is not taken; one that is only early is read again when it is good.
    fn refuse(&mut self, fault: &FileFault, findings: &mut Findings) {
        self.awaited = self.awaited.into_iter().chain(fault.begins).min();
        findings.add(Findings::of_file(UNUSABLE, &fault.path, fault.cause.clone(), None));
    }

    fn renew_secrets(&self, findings: &mut Findings) -> Option<String> {
        match Secrets::read(&self.parts.config) {
            Ok(secrets) if secrets.is(&self.parts.house.secrets.load()) => None,
            Ok(secrets) => {
                self.parts.house.secrets.store(Arc::new(secrets));
                Some("secrets".to_owned())
            }
            Err(faults) => {
                for fault in faults {
                    let path = fault.path.as_deref().unwrap_or(&self.parts.config.file);
                    findings.add(Findings::of_file(SECRET, path, fault.cause, None));
                }
                None
            }
        }
    }

    /// Loads a policy set; none if it is the one in force.
    fn load(&self, source: &PolicySource, by: &Cause, now: Timestamp) -> Result<Option<Loaded>, Findings> {
        let texts = self.read_at_rest(source)?;
        let bundle = Bundle::from(&texts);
        let stack = self.parts.stack.load();
        let running = stack.generation();
        if bundle.digest == running.bundle.digest && running.changes_at.is_none_or(|at| now < at) {
            return Ok(None);
        }
        self.join(Arc::new(texts), bundle, by, now).map(Some)
    }

    // Files that are exchanged while they are read would make a set that nobody has written.
    fn read_at_rest(&self, source: &PolicySource) -> Result<Texts, Findings> {
        let places = source.places();
        for _ in 0..READS_MAX {
            let before = Signature::of(&places);
            let texts = source.read()?;
            if Signature::of(&places) == before {
                return Ok(texts);
            }
        }
        let place = places.first().map_or(Path::new("policies"), PathBuf::as_path);
        Err(Findings::of_file(RESTLESS, place, "its files change while they are read", None))
    }

    fn join(&self, texts: Arc<Texts>, bundle: Bundle, by: &Cause, now: Timestamp) -> Result<Loaded, Findings> {
        let stack = self.parts.stack.load();
        let running = stack.generation();
        let birth = Birth { number: running.number + 1, at: now, by: by.clone() };
        let loaded = join(texts, bundle, allowed(&self.parts.config), birth, Some(&running.contract))?;
        addressed(&loaded.generation.rulebook, &self.parts.config).map(|()| loaded)
    }

    /// Puts a generation in force, or trust that is new with the one that is; tells whether there is a new one.
    fn enter(&mut self, loaded: Option<Loaded>) -> Result<(bool, Findings), Findings> {
        let running = self.parts.stack.load_full();
        let (generation, warnings, changed) = match loaded {
            Some(Loaded { generation, warnings, .. }) => (Arc::new(generation), warnings, true),
            None => (Arc::clone(running.generation()), Findings::default(), false),
        };
        let (config, trust) = (&self.parts.config, self.parts.upstreams.trust());
        let reach = running.reach().renew(config, &generation.rulebook, trust, &self.parts.house);
        let reach = reach.map_err(|error| Findings::of_file(UNUSABLE, &config.file, error.to_string(), None))?;
        if changed || !Arc::ptr_eq(&reach, running.reach()) {
            self.retired.push(Arc::clone(running.generation()));
            self.parts.stack.store(Arc::new(Stack::build(&self.parts.house, generation, reach)));
        }
        Ok((changed, warnings))
    }

    fn conclude(&self, by: &Cause, now: Timestamp, concluded: Concluded) -> Arc<Outcome> {
        let Concluded { changed, renewed, warnings, mut findings } = concluded;
        findings.gravest_first();
        let house = &self.parts.house;
        let stack = self.parts.stack.load();
        let generation = stack.generation();
        let number = generation.number;
        if changed {
            tracing::info!("policy generation {number} decides from now on ({by})");
            if !warnings.is_empty() {
                tracing::warn!("policy generation {number} has warnings: {}", warnings.render(false));
            }
        }
        for renewed in &renewed {
            tracing::info!("{renewed} are new from now on ({by})");
        }
        let refused = (!findings.is_empty()).then(|| {
            let faults = findings.count(Severity::Error);
            let (text, findings) = (findings.render(false), findings.to_json());
            tracing::error!("the reload was refused, generation {number} {}: {text}", stays(changed));
            Arc::new(Refused { at: now, by: by.clone(), faults, findings, text })
        });
        let result = match (&refused, changed || !renewed.is_empty()) {
            (Some(_), _) => "refused",
            (None, true) => "renewed",
            (None, false) => "unchanged",
        };
        // An override that has ended was found in what is in force already; the files were not read for it.
        if refused.is_none() && *by != Cause::OverrideEnded {
            if house.desk.faults() > 0 {
                tracing::info!("what stands in the files is in force again, generation {number} decides ({by})");
            } else if result == "unchanged" && *by != Cause::Watch {
                tracing::info!("nothing has changed in the files, generation {number} decides as before ({by})");
            }
        }
        house.metrics.reloaded(result, refused.as_ref().map_or(0, |refused| refused.faults), now);
        let digest = Arc::clone(&generation.bundle.name);
        let warnings = warnings.to_json();
        let outcome = Arc::new(Outcome { generation: number, digest, changed, renewed, warnings, refused });
        house.desk.note(&outcome);
        outcome
    }

    /// Compiles the texts in force again when an override in them is over: whatever lies on the disk by then.
    fn end_overrides(&mut self, now: Timestamp) {
        let running = Arc::clone(self.parts.stack.load().generation());
        let due = running.changes_at.is_some_and(|at| now >= at) && self.again.is_none_or(|at| now >= at);
        if !due {
            return;
        }
        let by = Cause::OverrideEnded;
        let joined = self.join(Arc::clone(&running.texts), running.bundle.clone(), &by, now);
        self.again = None;
        let (changed, warnings, findings) = match joined.and_then(|loaded| self.enter(Some(loaded))) {
            Ok((changed, warnings)) => (changed, warnings, Findings::default()),
            Err(findings) => {
                // Tried and told again each minute, for what is withheld is missed.
                self.again = Some(now + AGAIN);
                self.withhold_overdue(now);
                (false, Findings::default(), findings)
            }
        };
        self.conclude(&by, now, Concluded { changed, renewed: Vec::new(), warnings, findings });
    }

    // Takes out of what decides the operations that nobody allows any more as they are. The compiler holds a set against
    // its coming days, so that this is for its defects only: what was allowed for a time must not stay allowed for ever.
    fn withhold_overdue(&mut self, now: Timestamp) {
        let running = self.parts.stack.load_full();
        let generation = running.generation();
        let overdue: Vec<&str> = generation.overdue(now).map(OperationId::as_str).collect();
        if overdue.is_empty() {
            return;
        }
        let overdue = overdue.join(", ");
        let birth = Birth { number: generation.number + 1, at: now, by: Cause::OverrideEnded };
        match generation.without_overdue(birth) {
            Ok(without) => {
                let number = without.number;
                self.retired.push(Arc::clone(generation));
                let reach = Arc::clone(running.reach());
                self.parts.stack.store(Arc::new(Stack::build(&self.parts.house, Arc::new(without), reach)));
                tracing::error!(
                    "policy generation {number} no longer exposes {overdue}: their overrides are over, and what holds without them cannot be compiled"
                );
            }
            Err(faults) => {
                let fault = faults.first().map_or("", |fault| fault.message.as_str());
                tracing::error!(
                    "{overdue} stay exposed although their overrides are over, tried again in a minute: {fault}"
                );
            }
        }
    }

    /// Tells the metrics how long certificates are good, and the log if that is not long.
    fn tell_lives(&mut self, now: Timestamp) {
        let mut lives: Vec<(&'static str, Life)> = Vec::new();
        for listener in &self.parts.listeners {
            let Some(tls) = &listener.tls else { continue };
            let door = listener.entrance.door.word();
            lives.extend(tls.stand().lives.iter().map(|life| (door, life.clone())));
        }
        lives.extend(self.parts.upstreams.life().map(|life| ("upstreams", life.clone())));
        lives.extend(self.parts.webhooks.life().map(|life| ("webhooks", life.clone())));
        for (place, life) in lives {
            self.parts.house.metrics.good_for(place, life.kind.word(), life.left(now));
            let told = self.warned.get(&life.path).is_some_and(|at| now < *at + WARN_EVERY);
            if !life.is_near(now) || told {
                continue;
            }
            let (kind, path, ends) = (life.kind.word(), life.path.display(), life.ends);
            if life.is_over(now) {
                tracing::error!("the {kind} of {place} are over since {ends}: {path}");
            } else {
                tracing::warn!("the {kind} of {place} are over at {ends}: {path}");
            }
            self.warned.insert(life.path.clone(), now);
        }
    }
}

struct Concluded {
    changed: bool,
    renewed: Vec<String>,
    warnings: Findings,
    findings: Findings,
}

fn stays(changed: bool) -> &'static str {
    if changed { "decides all the same, for only another part is wrong" } else { "stays" }
}

fn tell(wish: Wish, outcome: &Arc<Outcome>) {
    if let Some(tell) = wish.tell {
        tell(outcome);
    }
}

/// Lists every file and folder that a reload reads.
#[must_use]
pub fn places(config: &Config, source: &PolicySource) -> Vec<PathBuf> {
    let mut places = source.places();
    for listener in [Some(&config.api), config.mtls_api.as_ref(), Some(&config.admin)].into_iter().flatten() {
        places.extend(listener.door_files().iter().flat_map(DoorFiles::places));
    }
    places.extend(config.trust.iter().chain(&config.webhooks.trust).cloned());
    places.extend(Secrets::places(config));
    places.extend(credentials::places(config));
    places
}

/// Attends to wishes until the desk is closed, and looks round `every` so often if told to.
pub fn attend(reloader: &Mutex<Reloader>, desk: &Desk, every: Option<Duration>) {
    // Without looks nothing but a wish wakes it.
    const NEVER: Duration = Duration::from_secs(3600);
    let mut looked = Instant::now();
    loop {
        let call = desk.wait(every.unwrap_or(NEVER).saturating_sub(looked.elapsed()));
        if matches!(call, Call::Closed) {
            return;
        }
        let due = every.is_some_and(|every| looked.elapsed() >= every);
        // A defect must not be the last thing that the reloader does; whoever waits learns that nothing will come.
        let attended = catch_unwind(AssertUnwindSafe(|| {
            let mut reloader = reloader.lock().unwrap_or_else(PoisonError::into_inner);
            if let Call::Wishes(wishes) = call {
                reloader.answer(wishes);
            }
            if due {
                reloader.look();
            }
        }));
        if attended.is_err() {
            tracing::error!("a reload ended by a defect; what is in force stays");
        }
        if due || every.is_none() {
            looked = Instant::now();
        }
    }
}
