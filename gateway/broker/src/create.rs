//! `POST /v1/identity-verifications`: the person is announced to a provider.

use std::time::Duration;

use adapters::entropy;
use adapters::provider::port::StartSession;
use http::StatusCode;
use policies::code::{Code, Outage};
use policies::id::{ClientId, VerificationId};
use policies::jose::base64url;
use policies::national::iin::Iin;
use policies::rulebook::{Client, Provider};
use policies::secret::Secret;
use policies::time::Timestamp;
use policies::verification::{Binding, State, Verification};
use serde_json::{Value, json};
use spine::error::{PointedFault, Rejection};
use spine::trail::Trail;

use crate::Broker;
use crate::payer::{note, purpose};
use crate::room::Room;

/// The one purpose whose result can be bound to a payment; the step-up challenge names it.
const PAYMENT_PURPOSE: &str = policies::rule::step_up::PURPOSE;

/// How long a person has to come to the camera (the practice of local providers).
pub const CAPTURE_TIME: Duration = Duration::from_secs(30 * 60);

/// Begins a verification for `client`; `body` has been checked against the contract. The trail learns of whom, sealed.
///
/// A provider that `room` has none for is passed over for the next.
///
/// # Errors
/// [`Code::IdentifierInvalid`] for a number that is none, [`Code::ProviderUnavailable`] if no provider of the level can be
/// reached, [`Code::DependencyDown`] if the store cannot, and the refusal of `room` if that is why nobody was asked.
pub async fn create(
    broker: &Broker<'_>,
    room: &dyn Room,
    client: &Client,
    body: &Value,
    trail: &Trail,
    now: Timestamp,
) -> Result<(StatusCode, Value), Rejection> {
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let iin = Iin::parse(text("/subject/value")).map_err(|error| {
        let fault =
            PointedFault { pointer: "/subject/value".into(), keyword: "iin".into(), message: error.to_string() };
        Rejection::new(Code::IdentifierInvalid, "The number is no IIN.").faults(vec![fault])
    })?;
    let subject = Secret::new(iin.as_str().to_owned());
    let binding = binding(body)?;
    let (level, reason) = (text("/level"), text("/purpose"));
    let wish = Wish { client: &client.id, subject: &subject, binding, level, reason, return_url: None, room };
    let verification = begin(broker, wish, trail, now).await?;
    Ok((StatusCode::CREATED, reply(&verification, now)))
}

/// What a verification is begun with.
pub(crate) struct Wish<'a> {
    /// Who asks.
    pub(crate) client: &'a ClientId,
    /// The number of the person.
    pub(crate) subject: &'a Secret<String>,
    /// What the result is to be good for.
    pub(crate) binding: Binding,
    /// The level that is asked for.
    pub(crate) level: &'a str,
    /// Why.
    pub(crate) reason: &'a str,
    /// Where the provider's page leads back to, if anywhere.
    pub(crate) return_url: Option<&'a str>,
    /// What providers may be asked.
    pub(crate) room: &'a dyn Room,
}

/// Begins a verification at the first provider that answers.
pub(crate) async fn begin(
    broker: &Broker<'_>,
    wish: Wish<'_>,
    trail: &Trail,
    now: Timestamp,
) -> Result<Verification, Rejection> {
    let Wish { client, subject, binding, level, reason, return_url, room } = wish;
    let mut last_outage = Outage::new("identity providers", "none is offered for this level");
    let down = |outage: Outage| Rejection::outage(Code::DependencyDown, &outage);
    let key = broker.subjects.key(subject, now).await.map_err(down)?;
    note(broker.subjects, &key, subject, trail).map_err(down)?;
    // Why nobody was asked, as long as nobody was.
    let (mut full, mut asked) = (None, false);
    for offered in broker.offered.iter().filter(|provider| policies::evidence::may_serve(provider, level)) {
        let _pass = match room.enter(&offered.id).await {
            Ok(pass) => pass,
            Err(rejection) => {
                full = Some(rejection);
                continue;
            }
        };
        asked = true;
        let id = VerificationId::parse(&entropy::uuid_v7(now)).map_err(|error| defect(&error))?;
        let begun = Verification {
            subject: pairwise(broker, client, subject),
            sealed_subject: broker.subjects.seal(&key, &purpose(&id), subject.expose().as_bytes()).map_err(down)?,
            client: client.clone(),
            purpose: reason.to_owned(),
            level: level.to_owned(),
            binding: binding.clone(),
            state: State::CapturePending,
            provider: offered.id.clone(),
            // Until the provider has named its session. The record is there before the provider is asked, because it may
            // call back before it has answered.
            session: pending_session(&id),
            capture_url: String::new(),
            created: now,
            expires: now + CAPTURE_TIME,
            decided: None,
            acr: None,
            id,
        };
        match start(broker, offered, begun, subject, return_url).await? {
            Ok(verification) => return Ok(verification),
            Err(outage) => last_outage = outage,
        }
    }
    let unavailable = || Rejection::outage(Code::ProviderUnavailable, &last_outage);
    Err(full.filter(|_| !asked).unwrap_or_else(unavailable))
}

/// Stands for the provider's session until it is known; no two are the same.
pub(crate) fn pending_session(id: &VerificationId) -> String {
    format!("pending-{id}")
}

/// Asks one provider; the inner error is a technical fault, after which the next may be tried.
async fn start(
    broker: &Broker<'_>,
    offered: &Provider,
    begun: Verification,
    subject: &Secret<String>,
    return_url: Option<&str>,
) -> Result<Result<Verification, Outage>, Rejection> {
    let Some(provider) = broker.providers.get(&offered.id) else {
        return Ok(Err(Outage::new(format!("provider {}", offered.id), "it has no address in the configuration")));
    };
    let down = |outage: Outage| Rejection::outage(Code::DependencyDown, &outage);
    broker.verifications.insert(begun.clone()).await.map_err(down)?;
    let callback_url = format!("{}/v1/identity-callbacks/{}", broker.external, offered.id);
    let request = StartSession {
        reference: begun.id.as_str(),
        subject,
        purpose: &begun.purpose,
        level: &begun.level,
        callback_url: &callback_url,
        return_url,
    };
    let started = match provider.start(request).await {
        Ok(started) => started,
        Err(outage) => {
            // Nobody will call back for it: it ends here, and the next provider gets a record of its own.
            let mut ended = begun;
            ended.state = State::Inconclusive;
            // No event: the client never learns of this record.
            broker.verifications.replace(&ended, State::CapturePending, None).await.map_err(down)?;
            return Ok(Err(outage));
        }
    };
    let mut verification = begun;
    verification.session = started.session;
    verification.capture_url = started.capture_url;
    // If the provider has called back already, the decided record stays as it is.
    broker.verifications.replace(&verification, State::CapturePending, None).await.map_err(down)?;
    Ok(Ok(verification))
}

fn binding(body: &Value) -> Result<Binding, Rejection> {
    let Some(binding) = body.get("binding") else { return Ok(Binding::None) };
    if binding.get("kind").and_then(Value::as_str) != Some("payment") {
        return Ok(Binding::None);
    }
    // The person must have been told what the result is good for.
    if body.get("purpose").and_then(Value::as_str) != Some(PAYMENT_PURPOSE) {
        let fault = PointedFault {
            pointer: "/purpose".into(),
            keyword: "const".into(),
            message: format!("a verification that is bound to a payment has the purpose {PAYMENT_PURPOSE}"),
        };
        return Err(Rejection::new(Code::SchemaViolation, "Purpose and binding do not fit.").faults(vec![fault]));
    }
    let hash = binding.get("hash").and_then(Value::as_str).map(str::to_owned);
    hash.map(|hash| Binding::Payment { hash }).ok_or_else(|| {
        let fault = PointedFault {
            pointer: "/binding/hash".into(),
            keyword: "required".into(),
            message: "a payment binding is posted as the challenge gave it, with its hash".into(),
        };
        Rejection::new(Code::SchemaViolation, "The binding is incomplete.").faults(vec![fault])
    })
}

// One person has another name towards each client, and nobody can try numbers without the key.
fn pairwise(broker: &Broker<'_>, client: &ClientId, subject: &Secret<String>) -> String {
    let joined = Secret::new(format!("{client}|{}", subject.expose()));
    base64url(&broker.sealer.keyed_hash("pairwise subject", joined.expose().as_bytes()))
}

fn reply(verification: &Verification, now: Timestamp) -> Value {
    json!({
        "id": verification.id.as_str(),
        "status": verification.state_at(now).word(),
        "redirectUrl": verification.capture_url,
        "expiresAt": verification.expires.to_string(),
    })
}

fn defect(cause: &dyn std::fmt::Display) -> Rejection {
    Rejection::new(Code::Internal, "The verification could not be begun.").because(cause)
}
