//! What the administrators' listener answers.

mod keys;
mod limits;
mod reloads;
mod role;
mod sets;

use adapters::authorizations::{Found, of_owner};
use adapters::keys::Subjects;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use oauth::ending;
use policies::admin::AdminRole;
use policies::code::{Code, Outage};
use policies::consent::{Consent, ConsentKind, ConsentState};
use policies::jose::base64url;
use policies::national::iin::Iin;
use policies::secret::Secret;
use serde_json::{Value, json};
use spine::Reply;
use spine::body::Body;
use spine::error::{PointedFault, Rejection};
use spine::stage::{Cleared, SoundBody};

use self::role::{READERS, allow};
pub(crate) use self::sets::{files, put_in_force};
use crate::authority::Authority;
use crate::generation::Generation;
use crate::house::House;
pub use crate::own::Question;
use crate::own::Sets;
use crate::reply::json_reply;

/// The most audit records of one answer, as the contract says.
pub const RECORDS_MAX: usize = 1000;

/// How many of them if nothing is asked for, as the contract says.
const RECORDS: usize = 50;

/// Notes in the trail what a question is about, where that has to stand there before anything is done.
///
/// # Errors
/// What is wrong with the question, if that is known by then; nothing is done in that case.
pub(crate) fn announce(
    house: &House,
    generation: &Generation,
    question: Question,
    cleared: &Cleared,
) -> Result<(), Rejection> {
    match question {
        Question::ResetLimits => limits::announce_reset(house, generation, cleared),
        _ => Ok(()),
    }
}

/// Answers a question.
pub(crate) async fn reply(
    house: &House,
    generation: &Generation,
    question: Question,
    cleared: &Cleared,
) -> Result<Reply, Rejection> {
    match question {
        Question::Liveness => Ok(json_reply(StatusCode::OK, &json!({"status": "live"}))),
        Question::Readiness => {
            house.durable.probe().await.map_err(|outage| Rejection::outage(Code::DependencyDown, &outage))?;
            Ok(json_reply(StatusCode::OK, &reloads::readiness(house, generation)))
        }
        Question::Metrics => {
            let redis = house.remembrance.readings();
            house.metrics.limits.read(&house.limiter);
            let text = house.metrics.render(generation.number, house.audit.lost(), redis);
            let mut reply = Reply::new(Body::whole(text));
            let text = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
            reply.headers_mut().insert(CONTENT_TYPE, text);
            Ok(reply)
        }
        Question::Routes => {
            allow(cleared, &READERS)?;
            Ok(json_reply(StatusCode::OK, &routes(generation)))
        }
        Question::Generation => {
            allow(cleared, &READERS)?;
            Ok(json_reply(StatusCode::OK, &reloads::standing(house, generation)))
        }
        Question::AuditRecords => {
            allow(cleared, &[AdminRole::Auditor])?;
            let (audit, lines_max) = (house.audit.clone(), limit(cleared));
            // The log is read from the disk, which a serving thread never waits for.
            let read = tokio::task::spawn_blocking(move || audit.tail(lines_max)).await;
            let lines = read.unwrap_or_else(|error| Err(Outage::new("audit", error)));
            let mut lines = lines.map_err(|outage| Rejection::outage(Code::DependencyDown, &outage))?;
            lines.reverse();
            Ok(json_reply(StatusCode::OK, &json!({"records": lines})))
        }
        Question::EraseSubject => {
            allow(cleared, &[AdminRole::Eraser])?;
            erase(house, generation, cleared).await
        }
        Question::Reload => {
            allow(cleared, &[AdminRole::Editor])?;
            reloads::reload(house, cleared).await
        }
        Question::Keys => {
            allow(cleared, &READERS)?;
            Ok(json_reply(StatusCode::OK, &keys::told(house, cleared.received)))
        }
        Question::RotateKeys => {
            allow(cleared, &[AdminRole::Editor])?;
            keys::rotate(house, cleared).await
        }
        Question::Limits => limits::list(house, generation, cleared).await,
        Question::ResetLimits => limits::reset(house, generation, cleared).await,
        Question::Sets(what) => match what {
            Sets::List => sets::list(house, cleared).await,
            Sets::Show => sets::show(house, generation, cleared).await,
            Sets::Propose => sets::propose(house, generation, cleared).await,
            Sets::Approve => sets::approve(house, generation, cleared).await,
            Sets::Withdraw => sets::withdraw(house, cleared).await,
            Sets::Restore => sets::restore(house, generation, cleared).await,
        },
    }
}

/// Why somebody may be erased, in the words of the contract: free text could itself name the person.
const REASONS: [&str; 4] = ["request", "order", "purpose_ended", "recorded_wrongly"];

/// Ends what a person has agreed to, and destroys their key; the trail learns its name, the reason and the administrator, and nothing of the person.
async fn erase(house: &House, generation: &Generation, cleared: &Cleared) -> Result<Reply, Rejection> {
    let SoundBody::Checked { value, .. } = cleared.sound_body() else {
        return Err(Rejection::new(Code::Internal, "Nothing was erased.").because("an operation has no body rule"));
    };
    let text = |pointer: &str| value.value().pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let iin = Iin::parse(text("/subject/value")).map_err(|error| {
        let fault =
            PointedFault { pointer: "/subject/value".into(), keyword: "iin".into(), message: error.to_string() };
        Rejection::new(Code::IdentifierInvalid, "The number is no IIN.").faults(vec![fault])
    })?;
    let reason = REASONS.into_iter().find(|known| *known == text("/reason")).ok_or_else(|| {
        Rejection::new(Code::Internal, "Nothing was erased.")
            .because("the contract knows a reason that nobody else does")
    })?;
    // Noted beforehand: if a store does not answer, nobody knows whether it has destroyed the key, but why it should have.
    cleared.trail.note_step("erase", reason);
    let number = Secret::new(iin.as_str().to_owned());
    // While the key is there: if this stops half-way, the same request once more does the rest.
    let ended = end_consents(house, generation, &number, cleared).await?;
    let subjects = Subjects::new(&house.sealer, &*house.subject_keys);
    let destroyed = subjects.erase(&number).await;
    let destroyed = destroyed.map_err(|outage| Rejection::outage(Code::DependencyDown, &outage))?;
    let mut body = json!({"erased": destroyed.is_some(), "consentsEnded": ended, "at": cleared.received.to_string()});
    if let (Some(id), Some(body)) = (destroyed, body.as_object_mut()) {
        let receipt = base64url(&id);
        cleared.trail.note_reference(&receipt);
        body.insert("receipt".to_owned(), Value::String(receipt));
    }
    Ok(json_reply(StatusCode::OK, &body))
}

/// Ends the consents of a person that are in force, with the grants and tokens that came of them; tells how many.
async fn end_consents(
    house: &House,
    generation: &Generation,
    number: &Secret<String>,
    cleared: &Cleared,
) -> Result<usize, Rejection> {
    let now = cleared.received;
    let authority = Authority::new(house, generation);
    let (server, index) = (authority.server(), oauth::identify::index_of(&house.sealer, number));
    let listed = of_owner::<Consent>(server.store, &index).await;
    let mut ended = 0;
    for Found { value: consent, .. } in listed.map_err(|outage| Rejection::outage(Code::DependencyDown, &outage))? {
        let once = consent.terms.kind() == ConsentKind::DomesticPayment;
        let spent = once && ending::is_spent(&server, &consent, now).await?;
        if consent.state_at(now, spent) == ConsentState::Authorised {
            ending::end_consent(&server, &consent.id, now).await?;
            ended += 1;
        }
    }
    Ok(ended)
}

/// Lists the exposed operations.
#[must_use]
pub fn routes(generation: &Generation) -> Value {
    let rows = generation.contract.operations().iter().filter_map(|operation| {
        let policy = generation.policy(operation)?;
        Some(json!({
            "method": operation.method(),
            "path": operation.template(),
            "operation": operation.id(),
            "api": operation.document(),
            "scopes": policy.scopes.iter().collect::<Vec<_>>(),
            "roles": policy.roles.iter().map(|role| role.word()).collect::<Vec<_>>(),
            "contract": operation.origin(),
            "policy": policy.origin,
        }))
    });
    json!({"routes": rows.collect::<Vec<_>>()})
}

fn limit(cleared: &Cleared) -> usize {
    let query = cleared.head.uri.query().unwrap_or_default();
    let asked = query.split('&').find_map(|pair| pair.strip_prefix("limit=")).and_then(|text| text.parse().ok());
    asked.unwrap_or(RECORDS).min(RECORDS_MAX)
}
