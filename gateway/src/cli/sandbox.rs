//! `qaqpa sandbox`: a gateway with a small country behind it, with nothing to set up.

mod country;
mod files;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use adapters::clock::Clock;
use adapters::files::write_private;
use adapters::keys::DevelopmentAuthority;
use sandbox::{BankConfig, IdentityConfig, Running as Service, start_bank, start_identity};
use spine::stage::Door;

use self::files::PROVIDER;
use super::client::{STATE, SandboxFile, SandboxPaths, SandboxProvider};
use super::process::{FAILED, FINE, in_runtime, start_log};
use super::run::refused;
use super::terminal::{colour, complain, say};
use super::tour;
use crate::assemble::{Assembled, assemble};
use crate::config::{self, LogConfig};
use crate::run::{Wishes, start};
use crate::unready::AssemblyError;

/// The file that tells programs where everything is; there only while the sandbox accepts.
const TELLS: &str = "sandbox.json";

/// How a sandbox is started.
#[derive(Debug, Clone, clap::Args)]
pub struct SandboxArguments {
    /// Where the public API listens; port 0 finds a free one.
    #[arg(long, default_value = "127.0.0.1:8443", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Where the public API that asks for client certificates listens.
    #[arg(long, default_value = "127.0.0.1:8445", value_name = "ADDRESS")]
    pub mtls: SocketAddr,
    /// Where the administrators' listener listens.
    #[arg(long, default_value = "127.0.0.1:8444", value_name = "ADDRESS")]
    pub admin: SocketAddr,
    /// The folder for keys, data and policies.
    #[arg(long, default_value = STATE, value_name = "DIR")]
    pub state: PathBuf,
    /// Take the tour, then stop; free ports are used unless you name some.
    #[arg(long)]
    pub tour: bool,
    /// With --tour: print it as JSON lines.
    #[arg(long, requires = "tour")]
    pub json: bool,
}

/// Why a sandbox does not run.
#[derive(Debug)]
pub enum Failure {
    /// The gateway itself cannot be put together.
    Assembly(AssemblyError),
    /// Something before it; the text is for people.
    Text(String),
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Failure::Text(text)
    }
}

/// Runs a sandbox until it is told to stop, or for the length of a tour.
pub(super) fn run(arguments: &SandboxArguments) -> u8 {
    let level = if arguments.tour { "error" } else { "info" };
    start_log(&LogConfig { json: false, level });
    match in_runtime(async { Ok(life(arguments).await) }) {
        Ok(Ok(true)) => FINE,
        Ok(Ok(false)) => FAILED,
        Ok(Err(Failure::Assembly(error))) => refused(&error),
        Ok(Err(Failure::Text(text))) | Err(text) => {
            complain(&text);
            FAILED
        }
    }
}

async fn life(arguments: &SandboxArguments) -> Result<bool, Failure> {
    let state = files::state_folder(&arguments.state)?;
    // Held until the process ends: two sandboxes on one folder would write into each other's books.
    let _lock = files::lock(&state)?;
    let path = state.join(TELLS);
    // One that was killed could not take its file away, and whatever it tells is over.
    let _ = std::fs::remove_file(&path);
    let prepared = prepare(arguments, &state).await?;
    let config = config::load(&prepared.config).map_err(|findings| findings.render(colour()))?;
    let mut assembled = assemble(&config, Clock::system(), colour()).map_err(Failure::Assembly)?;
    let running = start(&mut assembled).map_err(|error| format!("error: the serving threads: {error}"))?;
    let tells = prepared.tells(&assembled, &state)?;
    // Before anybody can know of us: a signal from then on lets requests end, and takes the file away.
    let mut wishes = Wishes::listen().map_err(|error| format!("error: signals: {error}"))?;
    let text = serde_json::to_vec_pretty(&tells).map_err(|error| error.to_string())?;
    write_private(&path, &text).map_err(|outage| format!("error: {}", outage.cause))?;
    let ended = tokio::select! {
        () = wishes.until_stop(&assembled) => {
            if !arguments.tour {
                say("\nStopping: requests under way may end.\n");
            }
            Ok(!arguments.tour)
        }
        ended = serve(arguments, &tells, &state) => ended,
    };
    // Removed first: who reads it must not find a gateway that is going away.
    let _ = std::fs::remove_file(&path);
    // Off this thread, which the bank needs for the requests that are still under way.
    let _ = tokio::task::spawn_blocking(move || running.stop()).await;
    prepared.stop().await;
    ended
}

/// Takes the tour; without one, greets and never ends.
async fn serve(arguments: &SandboxArguments, tells: &SandboxFile, state: &Path) -> Result<bool, Failure> {
    if arguments.tour {
        let options = tour::TourOptions { json: arguments.json, colour: colour() };
        return Ok(tour::run(tells, options).await?);
    }
    say(&start_page(tells, state));
    std::future::pending().await
}

/// Everything that has to be there before the gateway itself: a bank, an identity provider, keys, policies.
pub struct Prepared {
    bank: Service,
    identity: Service,
    config: PathBuf,
    clients: Vec<country::SandboxClient>,
    authority: PathBuf,
}

/// Starts bank and provider on the current runtime, and writes keys, policies and the configuration below `state`.
///
/// # Errors
/// [`Failure::Text`] says what the machine does not give.
pub async fn prepare(arguments: &SandboxArguments, state: &Path) -> Result<Prepared, Failure> {
    let now = Clock::system().now();
    let authority =
        DevelopmentAuthority::load_or_create(&state.join("ca"), now).map_err(|outage| outage.to_string())?;
    let server = authority.issue_server(&["127.0.0.1", "::1", "localhost"]).map_err(|outage| outage.to_string())?;
    let clients = country::clients(state, &authority)?;
    let secret = files::secret(&state.join("keys").join("webhook-secret"))?;
    for (id, _) in country::ADMINS {
        files::secret(&files::admin_token(state, id))?;
    }
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let bank = BankConfig { listen: loopback, ledger: state.join("bank").join("ledger.sqlite") };
    files::folder(&state.join("bank"))?;
    let bank = start_bank(bank).await.map_err(|error| format!("error: the bank: {error}"))?;
    let identity = IdentityConfig {
        listen: loopback,
        provider_id: PROVIDER.to_owned(),
        webhook_secret: secret.into_bytes(),
        webhook_ca_pem: Some(authority.certificate()),
    };
    let identity = start_identity(identity).await.map_err(|error| format!("error: the identity provider: {error}"))?;
    files::shipped(state)?;
    write(&state.join("policies").join("sandbox.yaml"), &country::policy(&clients))?;
    let config = state.join("qaqpa.yaml");
    let addresses = files::Addresses {
        api: if arguments.tour { free_unless_named(arguments.listen, "127.0.0.1:8443") } else { arguments.listen },
        mtls_api: if arguments.tour { free_unless_named(arguments.mtls, "127.0.0.1:8445") } else { arguments.mtls },
        admin: if arguments.tour { free_unless_named(arguments.admin, "127.0.0.1:8444") } else { arguments.admin },
        bank: bank.address(),
        provider: identity.address(),
    };
    write(&config, &files::configuration(&addresses, &server, &authority.certificate(), state, &country::ADMINS))?;
    Ok(Prepared { bank, identity, config, clients, authority: authority.certificate() })
}

// A tour beside a running sandbox is welcome: its own ports are nobody's business.
fn free_unless_named(address: SocketAddr, default: &str) -> SocketAddr {
    if address.to_string() == default { SocketAddr::new(address.ip(), 0) } else { address }
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    write_private(path, text.as_bytes()).map_err(|outage| format!("error: {}", outage.cause))
}

impl Prepared {
    /// Returns where the gateway's configuration was written.
    #[must_use]
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Stops bank and provider.
    pub async fn stop(self) {
        self.bank.stop().await;
        self.identity.stop().await;
    }

    /// Describes the running sandbox for programs.
    ///
    /// # Errors
    /// A listener that is missing, as text.
    pub fn tells(&self, assembled: &Assembled, state: &Path) -> Result<SandboxFile, String> {
        let external = |door: Door| {
            assembled.external(door).map(str::to_owned).ok_or_else(|| format!("error: no listener {}", door.word()))
        };
        let path = |path: PathBuf| path.display().to_string();
        Ok(SandboxFile {
            version: 1,
            pid: std::process::id(),
            issuer: assembled.house.issuer.clone(),
            api: external(Door::Api)?,
            mtls_api: external(Door::MtlsApi)?,
            admin: external(Door::Admin)?,
            ca_cert: path(self.authority.clone()),
            bank: format!("http://{}", self.bank.address()),
            providers: vec![SandboxProvider {
                id: PROVIDER.to_owned(),
                url: format!("http://{}", self.identity.address()),
            }],
            clients: self.clients.iter().map(country::SandboxClient::tells).collect(),
            admins: country::admins(state),
            subjects: country::subjects(),
            paths: SandboxPaths {
                policies: path(state.join("policies")),
                contracts: path(state.join("contracts")),
                audit: path(state.join("audit")),
                state: path(state.to_owned()),
            },
        })
    }
}

fn start_page(tells: &SandboxFile, state: &Path) -> String {
    let flag = if state.ends_with(STATE) { String::new() } else { format!(" --state {}", state.display()) };
    format!(
        "
  Qaqpa sandbox: a gateway with a small country behind it.

    Open API               {api}
    Open API with mTLS     {mtls}
    citizens' consents     {api}/oauth/consents
    administrators         {admin}
    National Bank          {bank}   (only the gateway may call it)
    state                  {state}

  Try, in another terminal:

    curl --cacert {ca} {api}/v1/discovery/status
    qaqpa tour{flag}
    qaqpa call{flag} GET /v1/accounts

  Programs find everything in {tells}. Ctrl-C stops.
",
        api = tells.api,
        mtls = tells.mtls_api,
        admin = tells.admin,
        bank = tells.bank,
        state = state.display(),
        ca = tells.ca_cert,
        tells = state.join(TELLS).display(),
    )
}
