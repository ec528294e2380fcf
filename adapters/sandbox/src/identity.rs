//! The reference identity provider: sessions, a page for the scripted citizen, and signed callbacks.
//!
//! Sees nobody: the outcome follows from the subject's scenario. Keeps no biometric data, because there is none.

mod page;
mod session;
mod webhook;

use crate::reply::{self, HungUp, Problem, Reply};
use crate::server::{self, Running, SandboxError, Site};
use crate::{clock, personas};
use http::StatusCode;
use http::request::Parts;
use hyper::body::Incoming;
use personas::Scenario;
use policies::national::Iin;
use session::{Asked, Session, Sessions};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{Semaphore, oneshot, watch};
use webhook::{Messenger, Target};

/// Callbacks under way at a time; further ones wait.
const CALLBACKS_MAX: usize = 64;

/// How the reference identity provider is to run.
#[derive(Clone)]
pub struct IdentityConfig {
    /// Where to listen: a loopback address; port 0 finds a free one.
    pub listen: SocketAddr,
    /// The provider's name, as it stands on its pages.
    pub provider_id: String,
    /// The key of the callbacks' HMAC.
    pub webhook_secret: Vec<u8>,
    /// The certificates to trust when a callback goes to `https`; without them only loopback `http` is called.
    pub webhook_ca_pem: Option<PathBuf>,
}

impl std::fmt::Debug for IdentityConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IdentityConfig")
            .field("listen", &self.listen)
            .field("provider_id", &self.provider_id)
            .field("webhook_ca_pem", &self.webhook_ca_pem)
            .finish_non_exhaustive()
    }
}

/// Starts the reference identity provider on the current runtime.
///
/// # Errors
/// [`SandboxError::NotLoopback`] and [`SandboxError::Listen`] for the address, [`SandboxError::Trust`] for the
/// certificates.
pub async fn start_identity(config: IdentityConfig) -> Result<Running, SandboxError> {
    let messenger = Messenger::new(config.webhook_secret, config.webhook_ca_pem.as_deref())?;
    let door = server::listen(config.listen).await?;
    let scenarios = personas::subjects().into_iter().map(|subject| (subject.iin, subject.scenario)).collect();
    let (stop, stopped) = watch::channel(false);
    let provider = Provider {
        name: config.provider_id,
        base: format!("http://{}", door.1),
        scenarios,
        sessions: Sessions::default(),
        messenger: Arc::new(messenger),
        room: Arc::new(Semaphore::new(CALLBACKS_MAX)),
        stopped,
    };
    Ok(server::serve(door, Arc::new(provider), stop, None))
}

struct Provider {
    name: String,
    base: String,
    scenarios: HashMap<Iin, Scenario>,
    sessions: Sessions,
    messenger: Arc<Messenger>,
    room: Arc<Semaphore>,
    stopped: watch::Receiver<bool>,
}

impl Site for Provider {
    async fn answer(self: Arc<Self>, request: http::Request<Incoming>) -> Result<Reply, HungUp> {
        let (parts, body) = request.into_parts();
        let mut reply = match self.route(&parts, body).await {
            Ok(reply) => reply,
            Err(problem) => problem.reply(),
        };
        reply::echo(&parts.headers, &mut reply);
        Ok(reply)
    }
}

impl Provider {
    async fn route(&self, parts: &Parts, body: Incoming) -> Result<Reply, Problem> {
        let path: Vec<&str> = parts.uri.path().split('/').skip(1).collect();
        let reads = reply::reads(&parts.method);
        match path.as_slice() {
            ["health"] if reads => Ok(reply::json(StatusCode::OK, &serde_json::json!({ "status": "ok" }))),
            ["sessions"] if parts.method == http::Method::POST => self.open(parts, body).await,
            ["sessions", id] if reads => Ok(reply::json(StatusCode::OK, &self.session(id)?.shown(clock::now()))),
            ["sessions", id, "capture"] if reads => Ok(page::capture(&self.name, &self.session(id)?)),
            ["sessions"] => Ok(reply::method_not_allowed("POST")),
            ["health"] | ["sessions", _] | ["sessions", _, "capture"] => Ok(reply::method_not_allowed("GET")),
            _ => Err(Problem::not_found("The provider has no such path.")),
        }
    }

    fn session(&self, id: &str) -> Result<Session, Problem> {
        self.sessions.find(id).ok_or(Problem::not_found("There is no such session."))
    }

    async fn open(&self, parts: &Parts, body: Incoming) -> Result<Reply, Problem> {
        let bytes = reply::read_body(&parts.headers, body).await?;
        let asked: Asked = reply::read_json(&bytes)?;
        asked.check()?;
        let iin = Iin::parse(&asked.subject.iin).map_err(|_| {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            Problem::new(status, "identifier_invalid", "The IIN does not have its form or its check digit.")
        })?;
        let target = Target::read(&asked.callback_url, self.messenger.trusts())?;
        // A stranger looks like anybody who fails, so that nobody can ask who exists.
        let scenario = self.scenarios.get(&iin).copied().unwrap_or(Scenario::NoMatch);
        if scenario == Scenario::Error {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            return Err(Problem::new(status, "provider_unavailable", "The provider is out of order."));
        }
        let session = Session::begin(asked, scenario, clock::now())?;
        self.sessions.keep(session.clone());
        let mut reply = reply::json(StatusCode::CREATED, &session.begun(&self.base));
        let (told, handed_over) = oneshot::channel();
        reply.body_mut().tell(told);
        self.call_back(session, target, handed_over);
        Ok(reply)
    }

    /// Calls back as the scenario says, once the session's reply has gone out.
    fn call_back(&self, session: Session, target: Target, handed_over: oneshot::Receiver<()>) {
        let Some(plan) = session.callbacks() else {
            return;
        };
        let messenger = Arc::clone(&self.messenger);
        let room = Arc::clone(&self.room);
        let mut stopped = self.stopped.clone();
        tokio::spawn(async move {
            let calling = async {
                // An error means the same: the reply can no longer go out.
                let _ = handed_over.await;
                let Ok(_place) = room.acquire().await else {
                    return;
                };
                messenger.deliver(&target, &session.outcome_message(), plan).await;
            };
            tokio::select! {
                () = calling => {}
                () = server::until_stopped(&mut stopped) => {}
            }
        });
    }
}

#[cfg(test)]
mod tests;
