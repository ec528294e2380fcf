//! `authenticate`: who asks, proven in the way the operation's security scheme says.

mod form;
pub mod known;
mod proof;
mod sources;
mod token;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use policies::admin;
use policies::callback;
use policies::caller::Caller;
use policies::code::Code;
use policies::facts::Security;
use policies::id::ProviderId;
use policies::token::Scheme;
use spine::error::Rejection;
use spine::refine::Refine;
use spine::stage::{Identified, Routed};
use spine::trail::Trail;

use self::known::Known;
pub(crate) use self::proof::NONCES;
use self::sources::Sources;
use super::{noted, read};
use crate::generation::Generation;
use crate::house::House;
use crate::reach::Reach;

/// The longest OAuth form: a client assertion under RSA-4096 has about 2 KiB.
pub const FORM_BYTES_MAX: usize = 16 * 1024;

/// The longest signed callback.
pub const CALLBACK_BYTES_MAX: usize = 64 * 1024;

/// How long the body of an unauthenticated request may take.
const BODY_TIME_MAX: Duration = Duration::from_secs(5);

/// The stage.
#[derive(Debug, Clone)]
pub struct Authenticate(Sources);

impl Authenticate {
    /// Makes the stage of a policy generation; it knows no token yet.
    #[must_use]
    pub fn new(house: Arc<House>, generation: Arc<Generation>, reach: Arc<Reach>) -> Self {
        let known = Arc::new(Known::of(reach.pools.len()));
        Self(Sources { house, generation, reach, known })
    }
}

impl Refine<Routed> for Authenticate {
    type Out = Identified;

    async fn refine(&self, routed: Routed) -> Result<Identified, Rejection> {
        let trail = routed.trail.clone();
        let result = match routed.policy().security {
            Security::Public => Ok(Identified::proven(routed, Caller::Public, None, None)),
            Security::AccessToken => Box::pin(token::identify(&self.0, &routed))
                .await
                .map(|(caller, proof)| Identified::proven(routed, caller, None, proof)),
            Security::ClientAuthentication => Box::pin(self.by_form(routed)).await,
            Security::SignedCallback => Box::pin(self.by_callback(routed)).await,
            Security::Administrator => self.by_admin_token(routed),
        };
        if let Ok(identified) = &result {
            note_caller(&trail, identified.caller());
        }
        noted(&trail, "authenticate", result)
    }
}

impl Authenticate {
    async fn by_form(&self, mut routed: Routed) -> Result<Identified, Rejection> {
        let raw = read_early(&mut routed, FORM_BYTES_MAX).await?;
        let (client, proof) = form::identify(&self.0, &routed, &raw).await?;
        Ok(Identified::proven(routed, Caller::Client(client), Some(raw), proof))
    }

    async fn by_callback(&self, mut routed: Routed) -> Result<Identified, Rejection> {
        let refuse = || Rejection::new(Code::SignatureInvalid, "The callback's signature does not verify.");
        let provider =
            routed.matched().parameter("provider").and_then(|id| ProviderId::parse(id).ok()).ok_or_else(refuse)?;
        let raw = read_early(&mut routed, CALLBACK_BYTES_MAX).await?;
        let secret = self.0.house.secrets.load();
        let secret = secret.webhooks.get(&provider).ok_or_else(refuse)?;
        let header =
            |name: &str| routed.head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (id, timestamp, signatures) =
            (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"));
        let verified = callback::verify(secret.expose(), id, timestamp, signatures, &raw, &provider, routed.received)
            .map_err(|error| refuse().because(error))?;
        Ok(Identified::proven(routed, Caller::Provider(verified), Some(raw), None))
    }

    fn by_admin_token(&self, routed: Routed) -> Result<Identified, Rejection> {
        let origin = routed.head.headers.get(http::header::ORIGIN).and_then(|value| value.to_str().ok());
        if origin.is_some_and(|origin| !origin.eq_ignore_ascii_case(&routed.entrance.external)) {
            return Err(Rejection::new(
                Code::HostRefused,
                "Pages of other origins may not call the administrators' listener.",
            ));
        }
        let missing = || {
            Rejection::new(
                Code::ClientUnauthenticated,
                "An administrator's token is needed: Authorization: Bearer <token>.",
            )
        };
        let (scheme, bearer) = token::presented(&routed).map_err(|_| missing())?;
        if scheme != Scheme::Bearer {
            return Err(missing());
        }
        let secrets = self.0.house.secrets.load();
        let administrator = admin::identify(&secrets.administrators, bearer.expose()).map_err(|_| missing())?;
        Ok(Identified::proven(routed, Caller::Administrator(administrator), None, None))
    }
}

async fn read_early(routed: &mut Routed, bytes_max: usize) -> Result<Bytes, Rejection> {
    let inflight = routed.inflight_mut();
    let deadline = inflight.deadline.min(std::time::Instant::now() + BODY_TIME_MAX);
    let body = inflight.body.take();
    read::read(body, bytes_max, deadline).await
}

fn note_caller(trail: &Trail, caller: &Caller) {
    match caller {
        Caller::Public => {}
        Caller::Bound { client, token } => {
            trail.note_client(client);
            trail.note_token(token);
        }
        Caller::Client(authenticated) => trail.note_client(authenticated.client()),
        Caller::Provider(callback) => trail.note_provider(callback.provider()),
        Caller::Administrator(administrator) => trail.note_administrator(administrator.id()),
    }
}
