//! The authorization server at its desk: its flows get what they need of the house, and their answers get their form.

use std::sync::Arc;

use adapters::keys::Keyring;
use adapters::store::port::Answer;
use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderValue};
use oauth::Server;
use oauth::metadata::Endpoints;
use policies::caller::Caller;
use policies::code::Code;
use policies::consent::ConsentKind;
use policies::grant::{AuthenticatedClient, Exchange};
use policies::id::ConsentId;
use policies::party::Client;
use policies::time::Timestamp;
use serde_json::Value;
use spine::Reply;
use spine::body::Body;
use spine::error::Rejection;
use spine::stage::Cleared;

use crate::asked::{checked, no_client};
use crate::generation::Generation;
use crate::house::House;
use crate::own::ConsentDeed;
use crate::reply::json_reply;
use crate::revocations::Revocations;

impl oauth::Revocations for Revocations {
    fn is_revoked<'a>(&'a self, names: &'a [[u8; 32]], now: Timestamp) -> Answer<'a, bool> {
        Box::pin(Revocations::is_revoked(self, names, now))
    }
}

/// The house and the policies that one request is answered with.
pub(crate) struct Authority<'a> {
    house: &'a House,
    generation: &'a Generation,
    keyring: Arc<Keyring>,
}

impl<'a> Authority<'a> {
    /// Takes the keys of now.
    pub(crate) fn new(house: &'a House, generation: &'a Generation) -> Self {
        Self { house, generation, keyring: house.keyring.now() }
    }

    /// Gives flows what they work with.
    pub(crate) fn server(&self) -> Server<'_> {
        Server {
            issuer: &self.house.issuer,
            keyring: &self.keyring,
            rulebook: &self.generation.rulebook,
            store: &*self.house.authorizations,
            claims: &*self.house.claims,
            revocations: &*self.house.revocations,
        }
    }

    /// Issues a token.
    pub(crate) async fn issue(&self, cleared: &Cleared) -> Result<Reply, Rejection> {
        let exchange = Exchange {
            client: authenticated(cleared)?,
            proof: cleared.proof(),
            certificate: cleared.peer.certificate.as_deref(),
            issuer: &self.house.issuer,
            audience: &self.house.issuer,
            now: cleared.received,
        };
        let (server, jti) = (self.server(), self.house.new_reference());
        let issued = oauth::token::issue(&server, &exchange, jti, &cleared.trail).await?;
        Ok(uncached(json_reply(StatusCode::OK, &issued)))
    }

    /// Takes an authorization request.
    pub(crate) async fn push(&self, cleared: &Cleared) -> Result<Reply, Rejection> {
        let client = authenticated(cleared)?;
        let pushed = oauth::par::push(&self.server(), client, cleared.proof(), cleared.received).await?;
        Ok(uncached(json_reply(StatusCode::CREATED, &pushed)))
    }

    /// Tells what a token is worth.
    pub(crate) async fn introspect(&self, cleared: &Cleared) -> Result<Reply, Rejection> {
        let told = oauth::introspect::introspect(&self.server(), authenticated(cleared)?, cleared.received).await?;
        Ok(uncached(json_reply(StatusCode::OK, &told)))
    }

    /// Takes a token back.
    pub(crate) async fn revoke(&self, cleared: &Cleared) -> Result<Reply, Rejection> {
        oauth::revoke::revoke(&self.server(), authenticated(cleared)?, &cleared.trail, cleared.received).await?;
        Ok(uncached(Reply::new(Body::empty())))
    }

    /// Makes, tells or ends a consent.
    pub(crate) async fn consent(
        &self,
        kind: ConsentKind,
        deed: ConsentDeed,
        cleared: &Cleared,
    ) -> Result<Reply, Rejection> {
        let (client, server, now) = (itself(cleared.caller())?, self.server(), cleared.received);
        let named = || {
            let id = cleared.matched().parameter("consentId").unwrap_or_default();
            cleared.trail.note_reference(id);
            ConsentId::parse(id).map_err(|_| Rejection::new(Code::NotFound, "There is no such consent."))
        };
        match deed {
            ConsentDeed::Create => {
                let id = cleared.reference().and_then(|reference| ConsentId::parse(&reference.0).ok());
                let id = id.ok_or_else(|| {
                    Rejection::new(Code::Internal, "No consent could be made.").because("the request has no reference")
                })?;
                let told = oauth::consents::create(&server, &client.id, kind, id, checked(cleared)?, now).await?;
                Ok(json_reply(StatusCode::CREATED, &told))
            }
            ConsentDeed::Read => {
                let told = oauth::consents::read(&server, &client.id, kind, &named()?, now).await?;
                Ok(json_reply(StatusCode::OK, &told))
            }
            ConsentDeed::End => {
                oauth::consents::end(&server, &client.id, kind, &named()?, now).await?;
                let mut reply = Reply::new(Body::empty());
                *reply.status_mut() = StatusCode::NO_CONTENT;
                Ok(reply)
            }
        }
    }

    /// Tells of the server, if it is asked where that stands.
    pub(crate) fn server_metadata(&self, cleared: &Cleared) -> Result<Value, Rejection> {
        let at = self.endpoints();
        let stands = at.stand_at(cleared.matched().parameter("issuerPath"));
        stands.then(|| oauth::metadata::authorization_server(&at)).ok_or_else(elsewhere)
    }

    /// Tells of the resource, if it is asked where that stands.
    pub(crate) fn resource_metadata(&self, cleared: &Cleared) -> Result<Value, Rejection> {
        let at = self.endpoints();
        let stands = at.resource_stands_at(cleared.matched().parameter("issuerPath"));
        stands.then(|| oauth::metadata::protected_resource(&at)).ok_or_else(elsewhere)
    }

    fn endpoints(&self) -> Endpoints<'_> {
        Endpoints {
            issuer: &self.house.issuer,
            external: &self.house.external,
            mtls: self.house.mtls_external.as_deref(),
            rulebook: &self.generation.rulebook,
        }
    }
}

fn elsewhere() -> Rejection {
    Rejection::new(Code::NotFound, "The metadata stands where the issuer's path is.")
}

fn authenticated(cleared: &Cleared) -> Result<&AuthenticatedClient, Rejection> {
    match cleared.caller() {
        Caller::Client(client) => Ok(client),
        _ => Err(no_client()),
    }
}

fn itself(caller: &Caller) -> Result<&Arc<Client>, Rejection> {
    caller.client_itself().ok_or_else(|| {
        Rejection::new(Code::WrongFlowType, "A client asks for this itself, with a token of its own.")
            .next("Get a token by client_credentials.")
    })
}

// `redact` says so too; where tokens are given nothing may depend on a frame (RFC 6749, section 5.1).
fn uncached(mut reply: Reply) -> Reply {
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}
