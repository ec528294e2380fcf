//! `POST /v1/identity-callbacks/{provider}`: a provider's signed word is judged and written down.

use adapters::entropy;
use adapters::provider::webhook;
use policies::callback::VerifiedCallback;
use policies::code::Code;
use policies::event::{EventKind, NewEvent};
use policies::evidence::{Evidence, assure};
use policies::id::VerificationId;
use policies::time::Timestamp;
use policies::verification::{State, Verification};
use serde_json::json;
use spine::error::Rejection;

use crate::Broker;
use crate::create::pending_session;
use crate::login::is_login;

/// Takes a provider's word; a late or doubled one changes nothing and is not an error.
///
/// # Errors
/// [`Code::BodyMalformed`] for a body that is no callback, [`Code::NotFound`] for a session this provider does not have,
/// [`Code::DependencyDown`] if the store cannot be reached.
pub async fn receive(
    broker: &Broker<'_>,
    callback: &VerifiedCallback,
    raw: &[u8],
    now: Timestamp,
) -> Result<(), Rejection> {
    let said = webhook::parse(raw)
        .map_err(|error| Rejection::new(Code::BodyMalformed, "The callback cannot be read.").because(error))?;
    let unknown = || Rejection::new(Code::NotFound, "There is no such session.");
    let id = VerificationId::parse(&said.reference).map_err(|_| unknown())?;
    let found = broker.verifications.get(&id).await;
    let verification = found.map_err(|outage| Rejection::outage(Code::DependencyDown, &outage))?.ok_or_else(unknown)?;
    // Until the provider's answer has named its session, the reference alone says which one is meant.
    let named = verification.session == said.session || verification.session == pending_session(&id);
    if verification.provider != *callback.provider() || !named {
        return Err(unknown());
    }
    let offered = broker.offered.iter().find(|provider| provider.id == verification.provider).ok_or_else(unknown)?;
    let evidence = Evidence { provider: callback.provider().clone(), session: said.session, outcome: said.outcome };
    let finding = assure(&evidence, offered, &verification.level, now);
    let Some(mut decided) = verification.decide(finding, now) else { return Ok(()) };
    decided.session = evidence.session;
    // Nobody but the pages asks for a login, and they look for themselves.
    let event = (!is_login(&decided)).then(|| decision(&decided, now));
    let replaced = broker.verifications.replace(&decided, State::CapturePending, event).await;
    // `false`: another callback was quicker, and the first word is final.
    replaced.map(|_| ()).map_err(|outage| Rejection::outage(Code::DependencyDown, &outage))
}

// What a client may know without asking: who it was about and how sure anybody is stays behind the verification itself.
fn decision(decided: &Verification, now: Timestamp) -> NewEvent {
    let id = decided.id.as_str();
    let at = decided.decided.unwrap_or(now);
    let data = json!({"verificationId": id, "status": decided.state.word(), "decidedAt": at.to_string()});
    NewEvent {
        id: entropy::uuid_v7(now),
        client: decided.client.clone(),
        subject: id.to_owned(),
        kind: EventKind::VerificationDecided,
        at,
        data: data.to_string(),
    }
}
