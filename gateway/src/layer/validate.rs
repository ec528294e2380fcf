//! `validate`: reads the bounded body, holds the request against the contract, and draws from it what rules may ask.

use std::sync::Arc;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use http_body::Body as _;
use openapi::{BodyError, BodyFault};
use policies::code::Code;
use policies::facts::BodyFacts;
use policies::jose::digest_of_parts;
use policies::national::money::Money;
use policies::rulebook::Trigger;
use serde_json::Value;
use spine::error::{PointedFault, Rejection};
use spine::refine::Refine;
use spine::stage::{Permitted, Sound, SoundBody};

use super::{noted, read};

/// SHA-256 of no bytes (FIPS 180-4): the digest of a request that nothing tells from others by its digest.
const NOTHING: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41,
    0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// The stage.
#[derive(Debug, Clone)]
pub struct Validate;

impl Refine<Permitted> for Validate {
    type Out = Sound;

    async fn refine(&self, permitted: Permitted) -> Result<Sound, Rejection> {
        let trail = permitted.trail.clone();
        let result = match without_body(permitted) {
            Ok(Ok(sound)) => Ok(sound),
            Ok(Err(permitted)) => Box::pin(with_body(permitted)).await,
            Err(rejection) => Err(rejection),
        };
        noted(&trail, "validate", result)
    }
}

/// Checks the parameters, and is done if there is no body to read; else gives the request back.
fn without_body(permitted: Permitted) -> Result<Result<Sound, Permitted>, Rejection> {
    parameters(&permitted)?;
    let operation = &permitted.matched().operation;
    if operation.has_body() {
        return Ok(Err(permitted));
    }
    if permitted.raw().is_none() && !permitted.body.is_end_stream() {
        return Err(Rejection::new(Code::SchemaViolation, "This operation takes no body."));
    }
    let digest = digest(&permitted, None)?;
    Ok(Ok(Sound::checked(permitted, SoundBody::None, BodyFacts::default(), digest)))
}

async fn with_body(mut permitted: Permitted) -> Result<Sound, Rejection> {
    let operation = Arc::clone(&permitted.matched().operation);
    let early = permitted.raw().cloned();
    if permitted
        .head
        .headers
        .get(CONTENT_ENCODING)
        .is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
    {
        return Err(Rejection::new(
            Code::UnsupportedMediaType,
            "Encoded bodies are not taken; send the body as it is.",
        ));
    }
    let content_type = permitted.head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let nothing_comes = content_type.is_none() && permitted.body.is_end_stream() && early.is_none();
    // A body nobody may look into streams on, unless it was read already; without a body there is no type to judge.
    if !nothing_comes && !operation.reads_body(content_type).map_err(refuse)? && early.is_none() {
        let bytes_max = permitted.policy().body_bytes_max;
        if permitted.body.size_hint().lower() > bytes_max as u64 {
            return Err(read::too_large(bytes_max));
        }
        if operation.body_required() && is_empty(&permitted.body) {
            return Err(refuse(BodyError::Missing));
        }
        return Ok(Sound::checked(permitted, SoundBody::Streamed, BodyFacts::default(), NOTHING));
    }
    let raw = match early {
        Some(raw) => raw,
        None => {
            let bytes_max = permitted.policy().body_bytes_max;
            let inflight = permitted.inflight_mut();
            let (body, deadline) = (inflight.body.take(), inflight.deadline);
            read::read(body, bytes_max, deadline).await?
        }
    };
    let content_type = permitted.head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let value = operation.check_body(content_type, &raw).map_err(refuse)?;
    let facts = facts(&permitted, value.value())?;
    let digest = digest(&permitted, Some(value.value()).filter(|_| !raw.is_empty()))?;
    if let Some((at, amount)) = facts.amounts.first() {
        // The trail keeps it, so that a decision can be judged again.
        permitted.trail.note_amount(at, *amount);
    }
    Ok(Sound::checked(permitted, SoundBody::Checked { raw, value }, facts, digest))
}

// A body in chunks may still turn out to be empty: that is seen when it has left already.
fn is_empty(body: &impl http_body::Body) -> bool {
    body.is_end_stream() || body.size_hint().upper() == Some(0)
}

fn parameters(permitted: &Permitted) -> Result<(), Rejection> {
    let headers = &permitted.head.headers;
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let header = |name: &str| headers.get_all(name).iter().map(text).collect::<Vec<String>>();
    let matched = permitted.matched();
    matched.operation.check_request(matched, permitted.head.uri.query(), &header).map_err(|faults| {
        let missing_key =
            faults.iter().any(|fault| fault.pointer == "header:x-idempotency-key" && fault.keyword == "required");
        if missing_key {
            let detail =
                "This operation is done once per key: send a header `x-idempotency-key` of 1 to 40 characters.";
            return Rejection::new(Code::IdempotencyKeyMissing, detail);
        }
        Rejection::new(Code::SchemaViolation, "Parameters break the contract.").faults(pointed(faults))
    })
}

fn refuse(error: BodyError) -> Rejection {
    match error {
        BodyError::UnsupportedMediaType { accepted } => {
            let detail = format!("The body's media type is not taken here; send {}.", accepted.join(" or "));
            Rejection::new(Code::UnsupportedMediaType, detail).accepted(accepted)
        }
        BodyError::Missing => Rejection::new(Code::SchemaViolation, "This operation needs a body."),
        BodyError::Malformed { line, column, reason } => Rejection::new(
            Code::BodyMalformed,
            format!("The body cannot be read: line {line}, column {column}: {reason}."),
        ),
        BodyError::Invalid(faults) => {
            Rejection::new(Code::SchemaViolation, "The body breaks the contract.").faults(pointed(faults))
        }
    }
}

fn pointed(faults: Vec<BodyFault>) -> Vec<PointedFault> {
    let pointed =
        |fault: BodyFault| PointedFault { pointer: fault.pointer, keyword: fault.keyword, message: fault.message };
    faults.into_iter().map(pointed).collect()
}

fn facts(permitted: &Permitted, body: &Value) -> Result<BodyFacts, Rejection> {
    let mut facts = BodyFacts::default();
    for (trigger, enforced) in permitted.policy().triggers() {
        if let Trigger::Above { amount, .. } = trigger
            && facts.amount(amount).is_none()
            && let Some(money) = body.pointer(amount)
        {
            match read_amount(amount, money) {
                Ok(money) => facts.amounts.push((amount.clone(), money)),
                Err(rejection) if enforced => return Err(rejection),
                // A rule that only reports refuses nothing; without the amount it reports.
                Err(_) => {}
            }
        }
    }
    Ok(facts)
}

fn read_amount(pointer: &str, money: &Value) -> Result<Money, Rejection> {
    let text = |name: &str| money.get(name).and_then(Value::as_str).unwrap_or_default();
    Money::parse(text("amount"), text("currency")).map_err(|error| {
        let fault =
            PointedFault { pointer: pointer.to_owned(), keyword: "money".to_owned(), message: error.to_string() };
        Rejection::new(Code::SchemaViolation, "The amount cannot be read.").faults(vec![fault])
    })
}

// Two spellings of one JSON value are one request (RFC 8785). Path and query belong to it: the same body sent to another
// resource is another request. Only what is done once, or stepped up, is told from others by it.
fn digest(permitted: &Permitted, body: Option<&Value>) -> Result<[u8; 32], Rejection> {
    let policy = permitted.policy();
    if !policy.idempotent && policy.step_ups.is_empty() && policy.fraud.is_empty() {
        return Ok(NOTHING);
    }
    let canonical = body.map(serde_json_canonicalizer::to_vec).transpose();
    let canonical = canonical
        .map_err(|error| Rejection::new(Code::BodyMalformed, "The body has no canonical form.").because(error))?
        .unwrap_or_default();
    let query = permitted.head.uri.query().unwrap_or_default();
    Ok(digest_of_parts(&[permitted.path().as_str().as_bytes(), query.as_bytes(), &canonical]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_will_not_come_is_none() {
        use bytes::Bytes;
        use http_body_util::{Empty, Full};
        assert!(is_empty(&Empty::<Bytes>::new()) && is_empty(&Full::new(Bytes::new())));
        assert!(!is_empty(&Full::new(Bytes::from_static(b"<a/>"))));
    }

    #[test]
    fn the_digest_of_nothing_is_that_of_no_bytes() {
        assert_eq!(policies::jose::sha256(b""), NOTHING);
    }
}
