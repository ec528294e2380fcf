//! `validate`: reads the bounded body, holds the request against the contract, and draws from it what rules may ask.

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http_body::Body as _;
use openapi::{BodyError, BodyFault};
use policies::code::Code;
use policies::facts::BodyFacts;
use policies::jose::sha256;
use policies::national::money::Money;
use serde_json::Value;
use spine::error::{PointedFault, Rejection};
use spine::refine::Refine;
use spine::stage::{Permitted, Sound, SoundBody};

use super::{noted, read};

/// The stage.
#[derive(Debug, Clone)]
pub struct Validate;

impl Refine<Permitted> for Validate {
    type Out = Sound;

    async fn refine(&self, permitted: Permitted) -> Result<Sound, Rejection> {
        let trail = permitted.trail.clone();
        noted(&trail, "validate", validate(permitted).await)
    }
}

async fn validate(mut permitted: Permitted) -> Result<Sound, Rejection> {
    parameters(&permitted)?;
    let operation = std::sync::Arc::clone(&permitted.matched().operation);
    let early = permitted.raw().cloned();
    if !operation.has_body() {
        if early.is_none() && !permitted.body.is_end_stream() {
            return Err(Rejection::new(Code::SchemaViolation, "This operation takes no body."));
        }
        let digest = sha256(b"");
        return Ok(Sound::checked(permitted, SoundBody::None, BodyFacts::default(), digest));
    }
    if permitted.head.headers.get(CONTENT_ENCODING).is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(Rejection::new(Code::UnsupportedMediaType, "Encoded bodies are not taken; send the body as it is."));
    }
    if !operation.needs_body_check() {
        return Ok(Sound::checked(permitted, SoundBody::Streamed, BodyFacts::default(), sha256(b"")));
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
    let digest = digest(&raw, value.value())?;
    if let Some(amount) = &facts.amount {
        // The trail keeps it, so that a decision can be judged again.
        permitted.trail.note_amount(amount.to_string());
    }
    Ok(Sound::checked(permitted, SoundBody::Checked { raw, value }, facts, digest))
}

fn parameters(permitted: &Permitted) -> Result<(), Rejection> {
    let headers = &permitted.head.headers;
    let header = |name: &str| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let matched = permitted.matched();
    matched.operation.check_request(matched, permitted.head.uri.query(), &header).map_err(|faults| {
        let missing_key = faults.iter().any(|fault| fault.pointer == "header:x-idempotency-key" && fault.keyword == "required");
        if missing_key {
            let detail = "This operation is done once per key: send a header `x-idempotency-key` of 1 to 40 characters.";
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
        BodyError::Malformed { line, column, reason } => {
            Rejection::new(Code::BodyMalformed, format!("The body cannot be read: line {line}, column {column}: {reason}."))
        }
        BodyError::Invalid(faults) => {
            Rejection::new(Code::SchemaViolation, "The body breaks the contract.").faults(pointed(faults))
        }
    }
}

fn pointed(faults: Vec<BodyFault>) -> Vec<PointedFault> {
    let pointed = |fault: BodyFault| PointedFault { pointer: fault.pointer, keyword: fault.keyword, message: fault.message };
    faults.into_iter().map(pointed).collect()
}

fn facts(permitted: &Permitted, body: &Value) -> Result<BodyFacts, Rejection> {
    let Some(step_up) = &permitted.policy().step_up else { return Ok(BodyFacts::default()) };
    let Some(money) = body.pointer(&step_up.amount) else { return Ok(BodyFacts::default()) };
    let text = |name: &str| money.get(name).and_then(Value::as_str).unwrap_or_default();
    let amount = Money::parse(text("amount"), text("currency")).map_err(|error| {
        let fault = PointedFault { pointer: step_up.amount.clone(), keyword: "money".to_owned(), message: error.to_string() };
        Rejection::new(Code::SchemaViolation, "The amount cannot be read.").faults(vec![fault])
    })?;
    Ok(BodyFacts { amount: Some(amount) })
}

// Two spellings of one JSON value are one request (RFC 8785); a form is its bytes.
fn digest(raw: &Bytes, body: &Value) -> Result<[u8; 32], Rejection> {
    let canonical = serde_json_canonicalizer::to_vec(body)
        .map_err(|error| Rejection::new(Code::BodyMalformed, "The body has no canonical form.").because(error))?;
    Ok(if raw.is_empty() { sha256(b"") } else { sha256(&canonical) })
}
