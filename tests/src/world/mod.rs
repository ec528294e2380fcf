//! A whole gateway with its bank and its identity provider, in one of several kinds. The same scenarios run in each.

mod answer;
mod ask;
mod folder;
pub mod frames;
mod memory;
mod pieces;
mod ports;
pub mod real;
mod setup;
pub mod socket;
mod twin;
pub mod wire;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use adapters::clock::Clock;
use bytes::Bytes;
use gateway::assemble::{Assembled, assemble};
use gateway::cli::SandboxArguments;
use gateway::cli::sandbox::{Failure, Prepared, prepare};
use gateway::config::{self, Config};
use gateway::desk::{Cause, Outcome};
use gateway::run::{self, Attending, Running};
use gateway::unready::AssemblyError;
use http::{Request, Version};
use http_body_util::Full;
use policies::code::Outage;
use policies::time::Timestamp;
use serde_json::Value;
use spine::body::Body;
use spine::stage::{Arrived, Door};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

pub use answer::Answer;
pub use ask::Ask;
pub use folder::{Folder, copy};
pub use setup::{ACCOUNT_BALANCES, Kind, LIST_ACCOUNTS, Setup};
pub use socket::{PATIENCE, Tls};
pub use twin::Twin;

/// What is left of a world that was stopped.
#[derive(Debug)]
pub struct Rest {
    kind: Kind,
    folder: Folder,
    now: Timestamp,
    addresses: [SocketAddr; 3],
}

impl Rest {
    /// Returns the state folder.
    #[must_use]
    pub fn state(&self) -> &Path {
        self.folder.path()
    }

    /// Goes on with the state in another folder, under the same addresses; what is left of this one is removed.
    #[must_use]
    pub fn moved(self, folder: Folder) -> Self {
        Self { folder, ..self }
    }
}

/// A gateway with its surroundings.
pub struct World {
    kind: Kind,
    assembled: Option<Assembled>,
    running: Option<Running>,
    // Answers administrators who wish for a reload; looks at files only when the scenario has it look.
    attending: Option<Attending>,
    prepared: Option<Prepared>,
    config: Config,
    clock: Clock,
    tells: Value,
    folder: Option<Folder>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("kind", &self.kind).field("state", &self.state()).finish_non_exhaustive()
    }
}

impl World {
    /// Starts a sandbox as it ships.
    pub async fn start(kind: Kind) -> Self {
        Self::with(kind, Setup::default()).await
    }

    /// Starts a sandbox with something different.
    pub async fn with(kind: Kind, setup: Setup) -> Self {
        Self::attempt(kind, setup).await.unwrap_or_else(|failure| panic!("no world: {failure}"))
    }

    /// Tries to start a sandbox; gives what the operator would read if it refuses.
    ///
    /// # Errors
    /// Why it does not start.
    pub async fn attempt(kind: Kind, setup: Setup) -> Result<Self, AssemblyError> {
        let now = Clock::system().now();
        let mut rest = Rest { kind, folder: Folder::new(), now, addresses: ports::find() };
        loop {
            match Self::again(rest, setup.clone()).await {
                // Another run of the suite was quicker between finding the port and listening on it.
                Err((AssemblyError::Machine(text), found)) if text.contains("cannot listen") => {
                    rest = Rest { addresses: ports::find(), ..found };
                }
                ended => return ended.map_err(|(error, _)| error),
            }
        }
    }

    /// Starts on the state that an earlier world left.
    ///
    /// # Errors
    /// Why it does not start, and the state.
    pub async fn again(rest: Rest, setup: Setup) -> Result<Self, (AssemblyError, Rest)> {
        match begin(&rest, &setup).await {
            Ok((assembled, prepared, config, clock)) => {
                let mut assembled = assembled;
                let tells = prepared.tells(&assembled, rest.folder.path()).unwrap();
                let tells = serde_json::to_value(&tells).unwrap();
                let running = if rest.kind == Kind::Memory {
                    // Nobody serves here: who calls a port is told so at once and does not wait in a backlog.
                    for (_, bound) in &mut assembled.listeners {
                        while bound.take_socket().is_some() {}
                    }
                    None
                } else {
                    Some(run::serve(&mut assembled).unwrap())
                };
                let attending = Some(run::attend(&assembled, None).unwrap());
                if real::is_real(rest.kind) && !setup.own_store && setup.postgres.is_none() {
                    real::answers(&assembled, clock.now()).await;
                }
                Ok(Self {
                    kind: rest.kind,
                    assembled: Some(assembled),
                    running,
                    attending,
                    prepared: Some(prepared),
                    config,
                    clock,
                    tells,
                    folder: Some(rest.folder),
                })
            }
            Err(error) => Err((error, rest)),
        }
    }

    /// Stops everything; what is left can be started again under the same addresses.
    pub async fn stop(mut self) -> Rest {
        let addresses = [Door::Api, Door::MtlsApi, Door::Admin].map(|door| self.address(door));
        if let Some(running) = self.running.take() {
            tokio::task::spawn_blocking(move || running.stop()).await.unwrap();
        }
        self.attending = None;
        self.assembled().house.audit.flush().await.unwrap();
        self.assembled = None;
        self.prepared.take().unwrap().stop().await;
        Rest { kind: self.kind, folder: self.folder.take().unwrap(), now: self.clock.now(), addresses }
    }

    /// Returns its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the assembled gateway.
    #[must_use]
    pub fn assembled(&self) -> &Assembled {
        self.assembled.as_ref().unwrap()
    }

    /// Returns the configuration that it was assembled from.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns its state folder.
    #[must_use]
    pub fn state(&self) -> &Path {
        self.folder.as_ref().unwrap().path()
    }

    /// Returns a file of the state folder.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.state().join(name)
    }

    /// Returns what `sandbox.json` would tell.
    #[must_use]
    pub fn tells(&self) -> &Value {
        &self.tells
    }

    /// Returns a text of `sandbox.json`.
    #[must_use]
    pub fn told(&self, pointer: &str) -> &str {
        self.tells.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("nothing is told at {pointer}"))
    }

    /// Returns the issuer of tokens.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.told("/issuer")
    }

    /// Returns the base URL of a door.
    #[must_use]
    pub fn external(&self, door: Door) -> &str {
        self.assembled().external(door).unwrap()
    }

    /// Returns the address of a door.
    #[must_use]
    pub fn address(&self, door: Door) -> SocketAddr {
        let found = self.assembled().listeners.iter().find(|(listener, _)| listener.entrance.door == door);
        found.unwrap().1.address
    }

    /// Returns the gateway's time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Returns the gateway's time in whole seconds since 1970.
    #[must_use]
    pub fn seconds(&self) -> i64 {
        self.now().seconds()
    }

    /// Moves the gateway's time on.
    pub fn advance(&self, span: Duration) {
        assert!(self.clock.advance(span));
        move_store(self.assembled(), &self.clock);
    }

    /// Loads policies and contracts anew, as SIGHUP does.
    ///
    /// # Errors
    /// What the operator would read.
    pub fn reload(&self) -> Result<u64, String> {
        let outcome = self.read_again();
        outcome.refused.as_ref().map_or(Ok(outcome.generation), |refused| Err(refused.text.clone()))
    }

    /// Does the same and tells all that became of it.
    pub fn read_again(&self) -> Arc<Outcome> {
        let mut reloader = self.assembled().reloader.lock().unwrap();
        reloader.reload(&Cause::Signal, None)
    }

    /// Has the gateway look once at its files and at the time, as it does by itself each second.
    pub fn look(&self) {
        self.assembled().reloader.lock().unwrap().look();
    }

    /// Has every chore done once: what is due at the world's time.
    ///
    /// # Errors
    /// What a chore could not reach; the others were done all the same.
    pub async fn round(&self) -> Result<usize, Outage> {
        let mut chores = self.assembled().chores.make();
        let (mut done, mut failed) = (0, None);
        for chore in &mut chores {
            match chore.round().await {
                Ok(count) => done += count,
                Err(outage) => failed = Some(outage),
            }
        }
        failed.map_or(Ok(done), Err)
    }

    /// Writes a policy file.
    pub fn write_policy(&self, name: &str, text: &str) {
        std::fs::write(self.state().join("policies").join(name), text).unwrap();
    }

    /// Sends a request and reads the answer.
    pub async fn send(&self, ask: Ask) -> Answer {
        self.try_send(ask).await.unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    /// Sends a request and reads the answer.
    ///
    /// # Errors
    /// A connection that ends before the answer does.
    pub async fn try_send(&self, ask: Ask) -> Result<Answer, String> {
        if self.kind == Kind::Memory {
            let answering = memory::call(self.assembled(), self.arrived(&ask));
            return tokio::time::timeout(PATIENCE, answering).await.map_err(|_| "no answer in time".to_owned());
        }
        self.send_over(self.kind, ask).await
    }

    /// Makes of a request what a listener would hand to the stack.
    #[must_use]
    pub fn arrived(&self, ask: &Ask) -> Arrived {
        memory::arrived(self.assembled(), ask, Body::whole(ask.body.clone()))
    }

    /// Calls the stack with what a listener handed over.
    pub async fn call(&self, arrived: Arrived) -> Answer {
        memory::call(self.assembled(), arrived).await
    }

    /// Sends a request over a connection of its own and reads the answer.
    ///
    /// # Errors
    /// A connection that ends before the answer does.
    pub async fn send_over(&self, kind: Kind, ask: Ask) -> Result<Answer, String> {
        let request = self.request(kind, &ask);
        if ask.door == Door::Admin {
            let stream = TcpStream::connect(self.address(ask.door)).await.map_err(|error| error.to_string())?;
            return socket::http1(stream, request).await;
        }
        let alpn: &[&[u8]] = if kind == Kind::Http2 { &[b"h2"] } else { &[b"http/1.1"] };
        let tls = Tls { alpn, versions: socket::MODERN, certificate: ask.certificate.as_deref() };
        let stream = self.connect(ask.door, tls).await.map_err(|error| error.to_string())?;
        if kind == Kind::Http2 { socket::http2(stream, request).await } else { socket::http1(stream, request).await }
    }

    /// Makes the request that hyper's client is to send.
    #[must_use]
    pub fn request(&self, kind: Kind, ask: &Ask) -> Request<Full<Bytes>> {
        let external = self.external(ask.door);
        // The administrators' listener speaks HTTP/1.1 in every world.
        let h2 = kind == Kind::Http2 && ask.door != Door::Admin;
        let uri = if h2 { format!("{external}{}", ask.target) } else { ask.target.clone() };
        let version = if h2 { Version::HTTP_2 } else { Version::HTTP_11 };
        let body = Full::new(ask.body.clone());
        let mut request = Request::builder().method(ask.method.clone()).uri(uri).version(version).body(body).unwrap();
        for (name, value) in &ask.headers {
            request.headers_mut().append(name, value.clone());
        }
        if !h2 && !ask.has("host") {
            let authority = external.split_once("://").unwrap().1;
            request.headers_mut().insert(http::header::HOST, authority.parse().unwrap());
        }
        request
    }

    /// Connects to a door with TLS.
    ///
    /// # Errors
    /// A handshake that fails.
    pub async fn connect(&self, door: Door, tls: Tls<'_>) -> std::io::Result<TlsStream<TcpStream>> {
        socket::connect(self.address(door), Path::new(self.told("/ca_cert")), tls).await
    }

    /// Connects to the public door as an HTTP/1.1 client, for bytes by hand.
    pub async fn raw(&self) -> TlsStream<TcpStream> {
        let tls = Tls { alpn: &[b"http/1.1"], versions: socket::MODERN, certificate: None };
        self.connect(Door::Api, tls).await.unwrap()
    }

    /// Returns all audit records that were written until now, oldest first.
    pub async fn audit(&self) -> Vec<Value> {
        let house = &self.assembled().house;
        house.audit.flush().await.unwrap();
        house.audit.tail(10_000).unwrap()
    }

    /// Returns the value of a counter or gauge, by its name and labels as they are written; zero if it is not there yet.
    #[must_use]
    pub fn metric(&self, line: &str) -> f64 {
        let house = &self.assembled().house;
        let redis = house.remembrance.readings();
        let number = self.assembled().stack.load().generation().number;
        let text = house.metrics.render(number, house.audit.lost(), redis);
        let found = text.lines().find_map(|known| known.strip_prefix(line)?.strip_prefix(' '));
        found.map_or(0.0, |value| value.parse().unwrap())
    }
}

type Begun = (Assembled, Prepared, Config, Clock);

async fn begin(rest: &Rest, setup: &Setup) -> Result<Begun, AssemblyError> {
    let [listen, mtls, admin] = rest.addresses;
    let state = rest.folder.path();
    let arguments = SandboxArguments { listen, mtls, admin, state: state.to_owned(), tour: false, json: false };
    let prepared = prepare(&arguments, state).await.map_err(|failure| match failure {
        Failure::Assembly(error) => error,
        Failure::Text(text) => AssemblyError::Machine(text),
    })?;
    let place = prepared.config().to_owned();
    let mut text = configuration(&std::fs::read_to_string(&place).unwrap(), setup);
    if real::is_real(rest.kind) && !setup.own_store {
        text.push_str(&real::stores(state, setup));
    }
    std::fs::write(&place, text).unwrap();
    if !setup.citizens {
        let parties = state.join("policies/sandbox.yaml");
        std::fs::write(&parties, holding(&std::fs::read_to_string(&parties).unwrap())).unwrap();
    }
    for (name, text) in &setup.policies {
        std::fs::write(state.join("policies").join(name), text).unwrap();
    }
    for (file, old, new) in &setup.replaced {
        let path = state.join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(old) || text.contains(new), "{file} has no {old}");
        std::fs::write(&path, text.replace(old, new)).unwrap();
    }
    if let Some(before) = setup.before {
        before(state);
    }
    let config = config::load(&place).map_err(|findings| AssemblyError::Configuration(findings.render(false)))?;
    let clock = Clock::manual(rest.now);
    let assembled = assemble(&config, clock.clone(), false)?;
    move_store(&assembled, &clock);
    Ok((assembled, prepared, config, clock))
}

// Limits that gateways share go by the clock of their servers.
fn move_store(assembled: &Assembled, clock: &Clock) {
    if let Some(shared) = assembled.house.limiter.shared() {
        shared.set_time(clock.now());
    }
}

/// Has each client's organisation hold the consents of citizens itself, in the text of `policies/sandbox.yaml`.
#[must_use]
pub fn holding(text: &str) -> String {
    let Some((parties, clients)) = text.split_once("\nclients:\n") else { return text.to_owned() };
    let mut lines = Vec::new();
    for line in clients.lines().filter(|line| !line.trim_start().starts_with("consents:")) {
        lines.push(line);
        if line.starts_with("    organisation:") {
            lines.push("    consents: organisation");
        }
    }
    format!("{parties}\nclients:\n{}\n", lines.join("\n"))
}

/// Changes the text of `qaqpa.yaml` as a setup says.
#[must_use]
pub fn configuration(text: &str, setup: &Setup) -> String {
    let changed = |line: &str| match (setup.backend, setup.provider) {
        (Some(address), _) if line.contains("core-bank:") => {
            format!("  core-bank: {{endpoints: [\"http://{address}\"]}}")
        }
        (_, Some(address)) if line.contains("webhookSecret:") => {
            let (_, secret) = line.split_once("webhookSecret:").unwrap();
            format!("    sandbox-face: {{url: \"http://{address}\", webhookSecret:{secret}")
        }
        _ => line.to_owned(),
    };
    // What a scenario configures takes the place of what the sandbox has in one line.
    let kept = |line: &&str| {
        let key = line.split_once(": {").map(|(key, _)| format!("{key}:"));
        key.is_none_or(|key| !setup.configuration.lines().any(|own| own.starts_with(&key)))
    };
    let lines: Vec<String> = text.lines().filter(kept).map(changed).collect();
    let configured = setup.configuration.trim_end();
    format!("{}\n{configured}\n", lines.join("\n"))
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.attending.take());
        let Some(running) = self.running.take() else { return };
        if std::thread::panicking() {
            // Connections that the broken scenario left open would make its end wait.
            let _ = std::thread::spawn(move || drop(running));
        } else {
            drop(running);
        }
    }
}
