//! The end of the way: a cleared request is done, by a backend or by a flow of our own.

use std::sync::Arc;

use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderValue};
use policies::caller::Caller;
use policies::code::Code;
use policies::rulebook::{AuditDuty, Service};
use serde_json::{Value, json};
use spine::Reply;
use spine::body::Body;
use spine::error::Rejection;
use spine::refine::Refine;
use spine::stage::Cleared;

use crate::asked::{checked, no_client};
use crate::authority::Authority;
use crate::generation::Generation;
use crate::house::House;
use crate::layer::noted;
pub use crate::own::{Own, own};
use crate::reach::Reach;
use crate::reply::json_reply;
use crate::turnstile::Turnstile;
use crate::{admin, events, limits, pages, proxy};

/// What the trail calls it.
const DEED: &str = "deed";

/// The stage.
#[derive(Debug, Clone)]
pub struct Deed {
    /// Keys and stores.
    pub house: Arc<House>,
    /// The policies, for those who ask about them.
    pub generation: Arc<Generation>,
    /// Backends and providers.
    pub reach: Arc<Reach>,
}

impl Refine<Cleared> for Deed {
    type Out = Reply;

    async fn refine(&self, cleared: Cleared) -> Result<Reply, Rejection> {
        if cleared.policy().audit == AuditDuty::Required {
            if let Err(rejection) = self.announce(&cleared) {
                return noted(&cleared.trail, DEED, Err(rejection));
            }
            // Without a durable record of what is about to happen, it does not happen.
            let intent = cleared.trail.intent(self.house.clock.now());
            let written = self.house.audit.record_durably(intent).await;
            let written = written.map_err(|outage| Rejection::outage(Code::DependencyDown, &outage));
            if let Err(rejection) = written {
                return noted(&cleared.trail, DEED, Err(rejection));
            }
        }
        let trail = cleared.trail.clone();
        let done = match &cleared.policy().service {
            Service::Upstream(upstream) => {
                let upstream = upstream.clone();
                proxy::forward(&self.house, &self.reach, &self.generation.rulebook, &upstream, cleared).await
            }
            // Boxed, as are all rare and large states: what every request carries stays small.
            Service::Own => {
                let deadline = cleared.deadline;
                let in_time = tokio::time::timeout_at(deadline.into(), Box::pin(self.own(cleared))).await;
                in_time.unwrap_or_else(|_| Err(Rejection::new(Code::DeadlineExceeded, "The request took too long.")))
            }
        };
        // A step of its own: else the backend's time would be that of whoever looks at its answer next.
        noted(&trail, DEED, done)
    }
}

impl Deed {
    // What only the body tells of a deed of our own: a backend's has its reference by now.
    fn announce(&self, cleared: &Cleared) -> Result<(), Rejection> {
        match (&cleared.policy().service, own(cleared.policy().operation.as_str())) {
            (Service::Own, Some(Own::Admin(question))) => {
                admin::announce(&self.house, &self.generation, question, cleared)
            }
            _ => Ok(()),
        }
    }

    async fn own(&self, cleared: Cleared) -> Result<Reply, Rejection> {
        let house = &self.house;
        let Some(own) = own(cleared.policy().operation.as_str()) else {
            return Err(
                Rejection::new(Code::Internal, "Nobody answers this operation.").because("no flow of this name")
            );
        };
        match own {
            Own::IssueToken => self.authority().issue(&cleared).await,
            Own::Push => self.authority().push(&cleared).await,
            Own::Introspect => self.authority().introspect(&cleared).await,
            Own::Revoke => self.authority().revoke(&cleared).await,
            Own::Consent(kind, deed) => self.authority().consent(kind, deed, &cleared).await,
            Own::Page(page) => pages::show(&self.place(), page, &cleared).await,
            Own::Keys => Ok(public(house.keyring.now().published().to_jwks())),
            Own::ServerMetadata => self.authority().server_metadata(&cleared).map(public),
            Own::ResourceMetadata => self.authority().resource_metadata(&cleared).map(public),
            Own::Status => Ok(json_reply(StatusCode::OK, &json!({"status": "ok", "at": cleared.received.to_string()}))),
            Own::CreateVerification => {
                let body = checked(&cleared)?;
                let client = cleared.caller().client().ok_or_else(no_client)?;
                let turnstile = Turnstile::new(house, &cleared);
                let (keyring, trail, now) = (house.keyring.now(), &cleared.trail, cleared.received);
                let broker = self.place().broker(&keyring);
                let begun = broker::create(&broker, &turnstile, client, body, trail, now).await;
                let (status, body) = begun.map_err(|rejection| turnstile.refused(rejection))?;
                Ok(json_reply(status, &body))
            }
            Own::GetVerification => {
                let client = cleared.caller().client().ok_or_else(no_client)?;
                let id = cleared.matched().parameter("verificationId").unwrap_or_default();
                let (status, body) =
                    broker::read(&self.place().broker(&house.keyring.now()), client, id, cleared.received).await?;
                Ok(json_reply(status, &body))
            }
            Own::ReceiveCallback => {
                let Caller::Provider(callback) = cleared.caller() else { return Err(no_client()) };
                let raw = cleared.raw().cloned().unwrap_or_default();
                broker::receive(&self.place().broker(&house.keyring.now()), callback, &raw, cleared.received).await?;
                let mut reply = Reply::new(Body::empty());
                *reply.status_mut() = StatusCode::NO_CONTENT;
                Ok(reply)
            }
            Own::ListEvents => {
                let client = cleared.caller().client().ok_or_else(no_client)?;
                let (status, body) = events::list(&*house.outbox, &house.issuer, client, &cleared).await?;
                Ok(json_reply(status, &body))
            }
            Own::RedeliverEvents => {
                let client = cleared.caller().client().ok_or_else(no_client)?;
                let (status, body) =
                    events::redeliver(&*house.outbox, client, checked(&cleared)?, cleared.received).await?;
                Ok(json_reply(status, &body))
            }
            Own::Limits => limits::own(house, &self.generation, &cleared).await,
            Own::Admin(question) => admin::reply(house, &self.generation, question, &cleared).await,
        }
    }

    fn authority(&self) -> Authority<'_> {
        Authority::new(&self.house, &self.generation)
    }

    fn place(&self) -> pages::Place<'_> {
        pages::Place { house: &self.house, generation: &self.generation, reach: &self.reach }
    }
}

// Keys and metadata change rarely: a minute is soon enough, and spares both sides.
fn public(body: Value) -> Reply {
    let mut reply = json_reply(StatusCode::OK, &body);
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
    reply
}
