//! `GET /v1/identity-verifications/{id}`: how far it is, and the signed result once it has passed.

use std::time::Duration;

use http::StatusCode;
use policies::code::Code;
use policies::id::VerificationId;
use policies::jose;
use policies::result::{self, ResultGrant};
use policies::rulebook::Client;
use policies::time::Timestamp;
use policies::verification::{Binding, State, Verification};
use serde_json::{Map, Value, json};
use spine::error::Rejection;

use crate::Broker;
use crate::login::is_login;

/// How long a result may be spent after the person was verified.
pub const RESULT_TTL: Duration = Duration::from_secs(300);

/// Tells `client` about its own verification.
///
/// # Errors
/// [`Code::VerificationUnknown`] for one that is not this client's, [`Code::DependencyDown`] if the store cannot be
/// reached.
pub async fn read(
    broker: &Broker<'_>,
    client: &Client,
    id: &str,
    now: Timestamp,
) -> Result<(StatusCode, Value), Rejection> {
    let unknown = || Rejection::new(Code::VerificationUnknown, "There is no such verification.");
    let id = VerificationId::parse(id).map_err(|_| unknown())?;
    let found = broker.verifications.get(&id).await;
    let found = found.map_err(|outage| Rejection::outage(Code::DependencyDown, &outage))?;
    let own = |verification: &Verification| verification.client == client.id && !is_login(verification);
    let verification = found.filter(own).ok_or_else(unknown)?;
    let state = verification.state_at(now);
    let mut body = Map::new();
    body.insert("id".into(), json!(verification.id.as_str()));
    body.insert("status".into(), json!(state.word()));
    body.insert("expiresAt".into(), json!(verification.expires.to_string()));
    if state == State::Passed {
        if let Some(signed) = signed(broker, &verification, now)? {
            body.insert("result".into(), json!(signed));
        }
        body.insert("acr".into(), json!(verification.acr));
    }
    Ok((StatusCode::OK, Value::Object(body)))
}

/// Signs the result; none once its time is over. Its id is the verification's, so that every copy is spent at once.
fn signed(broker: &Broker<'_>, verification: &Verification, now: Timestamp) -> Result<Option<String>, Rejection> {
    let (Some(issued), Some(acr)) = (verification.decided, verification.acr.clone()) else { return Ok(None) };
    let expires = issued + RESULT_TTL;
    if now >= expires {
        return Ok(None);
    }
    let grant = ResultGrant {
        issuer: broker.issuer.to_owned(),
        client: verification.client.clone(),
        subject: verification.subject.clone(),
        verification: verification.id.clone(),
        binding_hash: match &verification.binding {
            Binding::None => None,
            Binding::Payment { hash } => Some(hash.clone()),
        },
        acr,
        amr: vec!["face".to_owned()],
        jti: verification.id.as_str().to_owned(),
        issued,
        expires,
    };
    jose::encode("identity-result+jwt", &result::claims(&grant), None, broker.signer)
        .map(Some)
        .map_err(|error| Rejection::new(Code::Internal, "The result could not be signed.").because(error))
}
