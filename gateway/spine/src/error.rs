//! How a refusal is answered: the one place that knows statuses.
//!
//! Clients get `application/problem+json` (RFC 9457); OAuth endpoints the error shape of RFC 6749, 5.2.

use std::time::Duration;

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, StatusCode};
use policies::code::{Code, Outage};
use policies::id::InteractionId;
use policies::token::Scheme;
use serde_json::{Map, Value, json};

use crate::Reply;
use crate::body::Body;
use crate::rate_limit::{QUOTA_EXCEEDED, REDUCED_CAPACITY, Rooms, whole_seconds};

/// The algorithms that DPoP proofs may use, as challenges name them.
pub const DPOP_ALGORITHMS: &str = "ES256 EdDSA Ed25519 PS256";

/// The header that brings a nonce (RFC 9449, section 8.1).
const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// Whose fault a refusal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The caller's.
    Client,
    /// A backend's or provider's.
    Upstream,
    /// Ours.
    Gateway,
}

impl Origin {
    /// Returns the word that problem documents use.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Origin::Client => "client",
            Origin::Upstream => "upstream",
            Origin::Gateway => "gateway",
        }
    }
}

/// What is fixed for a code.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The stable name; [`problem_type`] is made of it.
    pub name: &'static str,
    /// The short sentence for people.
    pub title: &'static str,
    /// Whose fault it is.
    pub origin: Origin,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// The error code of OAuth's own endpoints and challenges.
    pub oauth: &'static str,
}

/// What every code is answered with.
#[rustfmt::skip]
static ANSWERS: [(Code, Answer); 64] = [
    (Code::HeaderRefused, fixed(400, "header_refused", "A header is not allowed", Origin::Client, false, "invalid_request")),
    (Code::PathNotCanonical, fixed(400, "path_not_canonical", "The path is not canonical", Origin::Client, false, "invalid_request")),
    (Code::UnknownPath, fixed(404, "unknown_path", "There is no such operation", Origin::Client, false, "invalid_request")),
    (Code::MethodNotAllowed, fixed(405, "method_not_allowed", "The method is not allowed here", Origin::Client, false, "invalid_request")),
    (Code::TokenMissing, fixed(401, "token_missing", "An access token is needed", Origin::Client, false, "")),
    (Code::TokenMalformed, fixed(400, "token_malformed", "The access token cannot be read", Origin::Client, false, "invalid_request")),
    (Code::TokenInvalid, fixed(401, "token_invalid", "The access token is not valid", Origin::Client, false, "invalid_token")),
    (Code::TokenExpired, fixed(401, "token_expired", "The access token has expired", Origin::Client, false, "invalid_token")),
    (Code::TokenBindingFailed, fixed(401, "token_binding_failed", "The token is bound to another key or certificate", Origin::Client, false, "invalid_token")),
    (Code::ProofInvalid, fixed(401, "proof_invalid", "The DPoP proof is not valid", Origin::Client, false, "invalid_dpop_proof")),
    (Code::ProofReplayed, fixed(401, "replay_detected", "The DPoP proof was used before", Origin::Client, false, "invalid_dpop_proof")),
    (Code::ClientUnauthenticated, fixed(401, "client_unauthenticated", "The client is not authenticated", Origin::Client, false, "invalid_client")),
    (Code::ClientSuspended, fixed(403, "client_suspended", "The client may not act at present", Origin::Client, false, "unauthorized_client")),
    (Code::InsufficientScope, fixed(403, "insufficient_scope", "The token lacks a scope", Origin::Client, false, "insufficient_scope")),
    (Code::RoleMissing, fixed(403, "role_missing", "The organisation lacks the role", Origin::Client, false, "unauthorized_client")),
    (Code::LicenceExpired, fixed(403, "licence_expired", "The organisation's licence has ended", Origin::Client, false, "unauthorized_client")),
    (Code::NetworkRefused, fixed(403, "network_not_allowed", "The organisation does not call from there", Origin::Client, false, "access_denied")),
    (Code::PolicyDenied, fixed(403, "policy_denied", "A rule does not allow the request", Origin::Client, false, "access_denied")),
    (Code::PolicyNotJudged, fixed(403, "policy_not_judged", "A rule could not be judged", Origin::Client, false, "access_denied")),
    (Code::FraudRefused, fixed(403, "fraud_refused", "The request is refused as suspicious", Origin::Client, false, "access_denied")),
    (Code::SignatureInvalid, fixed(401, "signature_invalid", "The signature does not verify", Origin::Client, false, "invalid_request")),
    (Code::AdministratorRefused, fixed(403, "administrator_refused", "The administrator lacks the role", Origin::Client, false, "access_denied")),
    (Code::HostRefused, fixed(421, "host_refused", "This listener does not serve that host or origin", Origin::Client, false, "invalid_request")),
    (Code::RateLimited, fixed(429, "rate_limited", "Too many requests", Origin::Client, true, "temporarily_unavailable")),
    (Code::Capacity, fixed(503, "capacity", "The gateway is at its capacity", Origin::Gateway, true, "temporarily_unavailable")),
    (Code::PayloadTooLarge, fixed(413, "payload_too_large", "The body is too large", Origin::Client, false, "invalid_request")),
    (Code::UnsupportedMediaType, fixed(415, "unsupported_media", "The media type is not supported", Origin::Client, false, "invalid_request")),
    (Code::SchemaViolation, fixed(400, "schema_violation", "The request breaks the contract", Origin::Client, false, "invalid_request")),
    (Code::BodyMalformed, fixed(400, "body_malformed", "The body cannot be read", Origin::Client, false, "invalid_request")),
    (Code::BodyTooSlow, fixed(408, "body_too_slow", "The body came too slowly", Origin::Client, true, "invalid_request")),
    (Code::IdentifierInvalid, fixed(422, "identifier_invalid", "An identifier is not valid", Origin::Client, false, "invalid_request")),
    (Code::IdempotencyKeyMissing, fixed(400, "idempotency_key_missing", "An idempotency key is needed", Origin::Client, false, "invalid_request")),
    (Code::IdempotencyMismatch, fixed(422, "idempotency_mismatch", "The idempotency key stands for another body", Origin::Client, false, "invalid_request")),
    (Code::RequestInProgress, fixed(409, "request_in_progress", "The first request is still under way", Origin::Client, true, "invalid_request")),
    (Code::StepUpRequired, fixed(401, "step_up_required", "The payer has to be verified", Origin::Client, false, "insufficient_user_authentication")),
    (Code::VerificationFailed, fixed(403, "verification_failed", "The identity result is not accepted", Origin::Client, false, "access_denied")),
    (Code::VerificationUnknown, fixed(404, "not_found", "There is no such verification", Origin::Client, false, "invalid_request")),
    (Code::ProviderUnavailable, fixed(503, "provider_unavailable", "No identity provider can be reached", Origin::Upstream, true, "temporarily_unavailable")),
    (Code::NotFound, fixed(404, "not_found", "There is no such resource", Origin::Client, false, "invalid_request")),
    (Code::OauthInvalidRequest, fixed(400, "oauth_invalid_request", "The OAuth request is malformed", Origin::Client, false, "invalid_request")),
    (Code::OauthInvalidClient, fixed(401, "client_unauthenticated", "The client is not authenticated", Origin::Client, false, "invalid_client")),
    (Code::OauthUnsupportedGrantType, fixed(400, "unsupported_grant_type", "The grant type is not offered", Origin::Client, false, "unsupported_grant_type")),
    (Code::OauthUnauthorizedClient, fixed(400, "unauthorized_client", "The client may not do this", Origin::Client, false, "unauthorized_client")),
    (Code::OauthInvalidScope, fixed(400, "invalid_scope", "The scope is not allowed", Origin::Client, false, "invalid_scope")),
    (Code::OauthInvalidDpopProof, fixed(400, "proof_invalid", "The DPoP proof is not valid", Origin::Client, false, "invalid_dpop_proof")),
    (Code::OauthInvalidGrant, fixed(400, "invalid_grant", "The grant is not valid", Origin::Client, false, "invalid_grant")),
    (Code::OauthInvalidAuthorizationDetails, fixed(400, "invalid_authorization_details", "The authorization details are not allowed", Origin::Client, false, "invalid_authorization_details")),
    (Code::OauthUnsupportedResponseType, fixed(400, "unsupported_response_type", "Only codes are given", Origin::Client, false, "unsupported_response_type")),
    (Code::OauthInvalidRequestUri, fixed(400, "invalid_request_uri", "The pushed request is not valid", Origin::Client, false, "invalid_request_uri")),
    (Code::OauthUseDpopNonce, fixed(400, "proof_nonce_needed", "The DPoP proof needs a nonce", Origin::Client, true, "use_dpop_nonce")),
    (Code::ProofNonceNeeded, fixed(401, "proof_nonce_needed", "The DPoP proof needs a nonce", Origin::Client, true, "use_dpop_nonce")),
    (Code::ConsentRequired, fixed(403, "consent_required", "The citizen has not consented to this", Origin::Client, false, "insufficient_scope")),
    (Code::ConsentMismatch, fixed(403, "payment_consent_mismatch", "The call is not what its consent allows", Origin::Client, false, "insufficient_scope")),
    (Code::ConsentConsumed, fixed(422, "consent_consumed", "The consent was used before", Origin::Client, false, "invalid_request")),
    (Code::ConsentInvalid, fixed(422, "consent_invalid", "This cannot be consented to", Origin::Client, false, "invalid_request")),
    (Code::WrongFlowType, fixed(403, "wrong_flow_type", "The token is of the wrong flow for this", Origin::Client, false, "insufficient_scope")),
    (Code::FormRefused, fixed(403, "form_refused", "The form is not from this browser", Origin::Client, false, "invalid_request")),
    (Code::ReloadRefused, fixed(422, "reload_refused", "What stands in the files cannot be put in force", Origin::Client, false, "invalid_request")),
    (Code::ChangeRefused, fixed(409, "change_refused", "The change cannot be made", Origin::Client, false, "invalid_request")),
    (Code::DependencyDown, fixed(503, "dependency_down", "A part of the gateway is out of reach", Origin::Gateway, true, "temporarily_unavailable")),
    (Code::BackendUnavailable, fixed(503, "backend_unavailable", "The backend cannot be reached", Origin::Upstream, true, "temporarily_unavailable")),
    (Code::BackendBroken, fixed(502, "backend_broken", "The backend's answer is not usable", Origin::Upstream, true, "server_error")),
    (Code::BackendTimeout, fixed(504, "backend_timeout", "The backend did not answer in time", Origin::Upstream, true, "temporarily_unavailable")),
    (Code::DeadlineExceeded, fixed(503, "deadline_exceeded", "The request's time is over", Origin::Gateway, true, "temporarily_unavailable")),
];

/// A defect of ours, and whatever has no line above.
static INTERNAL: Answer =
    fixed(500, "internal", "Something went wrong on our side", Origin::Gateway, true, "server_error");

const fn fixed(
    status: u16,
    name: &'static str,
    title: &'static str,
    origin: Origin,
    retryable: bool,
    oauth: &'static str,
) -> Answer {
    let status = match StatusCode::from_u16(status) {
        Ok(status) => status,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    Answer { status, name, title, origin, retryable, oauth }
}

/// Returns what is fixed for a code.
#[must_use]
pub fn answer(code: Code) -> Answer {
    ANSWERS.iter().find(|(known, _)| *known == code).map_or(INTERNAL, |(_, answer)| *answer)
}

/// How the types of our own problems begin.
const OURS: &str = "urn:qaqpa:problem:";

/// Problems that others have given a type: the same one everywhere, so that any client knows it.
const OF_OTHERS: [(Code, &str); 2] = [(Code::RateLimited, QUOTA_EXCEEDED), (Code::Capacity, REDUCED_CAPACITY)];

/// Returns the type of a problem (RFC 9457, section 3.1.1).
#[must_use]
pub fn problem_type(code: Code) -> String {
    let others = OF_OTHERS.iter().find(|(known, _)| *known == code);
    others.map_or_else(|| format!("{OURS}{}", answer(code).name), |(_, known)| (*known).to_owned())
}

/// Returns the name of the problem of a type; none if it is none that is answered here.
#[must_use]
pub fn name_of(problem_type: &str) -> Option<&str> {
    let others = OF_OTHERS.iter().find(|(_, known)| *known == problem_type);
    others.map_or_else(|| problem_type.strip_prefix(OURS), |(code, _)| Some(answer(*code).name))
}

/// Goes through the names of problems, and the errors that OAuth's own endpoints answer instead; some stand there twice.
pub fn names() -> impl Iterator<Item = &'static str> {
    let all = ANSWERS.iter().map(|(_, answer)| answer).chain([&INTERNAL]);
    all.flat_map(|answer| [answer.name, answer.oauth]).filter(|name| !name.is_empty())
}

/// One fault of a body or parameter, by its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PointedFault {
    /// A JSON pointer, or `query:limit`, `path:accountId`, `header:x-...`.
    pub pointer: String,
    /// The rule of the contract that is broken, for example `pattern`.
    pub keyword: String,
    /// The sentence for people; never holds the value.
    pub message: String,
}

/// What a client needs to verify the payer and come back (RFC 9470, and our own `step_up` member).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepUpOffer {
    /// The authentication context asked for.
    pub acr: String,
    /// The purpose to ask the broker for.
    pub purpose: String,
    /// The `binding` member to post to the broker as it is.
    pub binding: Value,
    /// Where verifications are made.
    pub verification: String,
}

/// The end of a request's way: why, for the client and for the log, and what to do next.
#[derive(Debug)]
pub struct Rejection {
    code: Code,
    detail: String,
    cause: Option<String>,
    more: Option<Box<More>>,
}

#[derive(Debug, Default)]
struct More {
    faults: Vec<PointedFault>,
    retry_after: Option<Duration>,
    allow: Vec<String>,
    scope: Option<String>,
    rooms: Rooms,
    step_up: Option<StepUpOffer>,
    accepted: Vec<String>,
    next: Option<String>,
    nonce: Option<String>,
    bearer: bool,
    members: Vec<(&'static str, Value)>,
}

/// Where a refusal is answered.
#[derive(Debug, Clone, Copy)]
pub struct Rendering<'a> {
    /// The interaction.
    pub interaction: &'a InteractionId,
    /// The listener's external URL.
    pub external: &'a str,
    /// Whether it is one of OAuth's own endpoints.
    pub oauth: bool,
    /// Whether the listener asks for certificates, so that tokens may be bound to them.
    pub certificates: bool,
}

impl Rejection {
    /// Refuses with a sentence for the client; it holds no secret, no value from the request and nothing of our inside.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), cause: None, more: None }
    }

    /// Refuses because something behind a port is out of reach.
    #[must_use]
    pub fn outage(code: Code, outage: &Outage) -> Self {
        let mut rejection = Self::new(code, "This cannot be answered now. Try again later with the same request.");
        rejection.cause = Some(outage.to_string());
        match outage.after {
            Some(after) => rejection.retry_after(after),
            None => rejection,
        }
    }

    /// Adds what only the log may read.
    #[must_use]
    pub fn because(mut self, cause: impl ToString) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    /// Adds when to come back.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.more().retry_after = Some(after);
        self
    }

    /// Adds the faults of a body or of parameters.
    #[must_use]
    pub fn faults(mut self, faults: Vec<PointedFault>) -> Self {
        self.more().faults = faults;
        self
    }

    /// Adds the methods that are allowed.
    #[must_use]
    pub fn allow(mut self, methods: Vec<String>) -> Self {
        self.more().allow = methods;
        self
    }

    /// Adds the media types that are taken.
    #[must_use]
    pub fn accepted(mut self, types: Vec<String>) -> Self {
        self.more().accepted = types;
        self
    }

    /// Adds the scopes that are needed.
    #[must_use]
    pub fn scope(mut self, scope: String) -> Self {
        self.more().scope = Some(scope);
        self
    }

    /// Adds what the limits said, of which some had no room: who comes again waits for all of those, too.
    #[must_use]
    pub fn violated(mut self, rooms: impl Into<Rooms>) -> Self {
        let rooms = rooms.into();
        let (more, after) = (self.more(), rooms.retry_after());
        // A wait is longer than none.
        more.retry_after = more.retry_after.max(after);
        self.room(rooms)
    }

    /// Adds how much room limits have left that this is not about; what was said of others before stays said.
    #[must_use]
    pub fn room(mut self, rooms: impl Into<Rooms>) -> Self {
        self.more().rooms.add(rooms.into());
        self
    }

    /// Adds how the payer is verified.
    #[must_use]
    pub fn step_up(mut self, offer: StepUpOffer) -> Self {
        self.more().step_up = Some(offer);
        self
    }

    /// Adds what to do next.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.more().next = Some(next.into());
        self
    }

    /// Adds the nonce that the next DPoP proof has to name (RFC 9449, section 8).
    #[must_use]
    pub fn nonce(mut self, nonce: &str) -> Self {
        self.more().nonce = Some(nonce.to_owned());
        self
    }

    /// Says under which scheme the token came, so that the challenge is made in it.
    #[must_use]
    pub fn under(mut self, scheme: Scheme) -> Self {
        // DPoP is what is meant where nothing is said.
        if scheme == Scheme::Bearer {
            self.more().bearer = true;
        }
        self
    }

    /// Adds a member of the problem document that its kind has alone (RFC 9457, 3.2).
    #[must_use]
    pub fn member(mut self, name: &'static str, value: Value) -> Self {
        self.more().members.push((name, value));
        self
    }

    /// Returns the code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// Returns the stable name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        answer(self.code).name
    }

    /// Returns the status it will be answered with.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        answer(self.code).status
    }

    /// Returns what only the log may read.
    #[must_use]
    pub fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// Writes the answer.
    #[must_use]
    pub fn render(&self, at: Rendering<'_>) -> Reply {
        let answer = answer(self.code);
        let body = if at.oauth { self.oauth_body(answer) } else { self.problem_body(answer, at.interaction) };
        let media = if at.oauth { "application/json" } else { "application/problem+json" };
        let mut reply = Reply::new(Body::whole(body.to_string()));
        *reply.status_mut() = answer.status;
        let headers = reply.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        for challenge in self.challenges(answer, at).iter().filter_map(|text| HeaderValue::from_str(text).ok()) {
            headers.append(WWW_AUTHENTICATE, challenge);
        }
        if let Some(more) = &self.more {
            if let Some(nonce) = more.nonce.as_deref().and_then(|nonce| HeaderValue::from_str(nonce).ok()) {
                headers.insert(DPOP_NONCE, nonce);
            }
            if let Some(after) = more.retry_after {
                headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(after)));
            }
            more.rooms.write(headers);
            insert_list(headers, ALLOW, &more.allow);
            insert_list(headers, http::header::ACCEPT, &more.accepted);
        }
        reply
    }

    fn oauth_body(&self, answer: Answer) -> Value {
        let error = if answer.oauth.is_empty() { "invalid_request" } else { answer.oauth };
        json!({ "error": error, "error_description": ascii(&self.detail) })
    }

    fn problem_body(&self, answer: Answer, interaction: &InteractionId) -> Value {
        let mut body = Map::new();
        body.insert("type".into(), json!(problem_type(self.code)));
        body.insert("title".into(), json!(answer.title));
        body.insert("status".into(), json!(answer.status.as_u16()));
        body.insert("detail".into(), json!(self.detail));
        body.insert("instance".into(), json!(format!("urn:uuid:{interaction}")));
        body.insert("origin".into(), json!(answer.origin.word()));
        body.insert("retryable".into(), json!(answer.retryable));
        if let Some(more) = &self.more {
            if !more.faults.is_empty() {
                let faults = more
                    .faults
                    .iter()
                    .map(|fault| json!({"pointer": fault.pointer, "keyword": fault.keyword, "message": fault.message}));
                body.insert("errors".into(), faults.collect());
            }
            let violated: Vec<&str> = more.rooms.violated().map(AsRef::as_ref).collect();
            if !violated.is_empty() {
                body.insert("violated-policies".into(), json!(violated));
            }
            if let Some(offer) = &more.step_up {
                body.insert(
                    "step_up".into(),
                    json!({"verification": offer.verification, "purpose": offer.purpose, "binding": offer.binding}),
                );
            }
            if let Some(next) = &more.next {
                body.insert("next".into(), json!(next));
            }
            for (name, value) in &more.members {
                body.insert((*name).to_owned(), value.clone());
            }
        }
        Value::Object(body)
    }

    /// Writes the challenges (RFC 9110, section 11.6.1; RFC 9449, section 7.1): the first one tells what was wrong.
    fn challenges(&self, answer: Answer, at: Rendering<'_>) -> Vec<String> {
        // At OAuth's own endpoints a challenge would ask for a token where there is none to be had (RFC 6749, 5.2).
        if at.oauth || !self.is_about_a_token(answer) {
            return Vec::new();
        }
        if self.code == Code::ClientUnauthenticated {
            // Only administrators come with a plain bearer token, over a listener of their own.
            return vec!["Bearer realm=\"qaqpa administrators\"".to_owned()];
        }
        let metadata = ("resource_metadata", format!("{}/.well-known/oauth-protected-resource", at.external));
        let algorithms = ("algs", DPOP_ALGORITHMS.to_owned());
        let more = self.more.as_deref();
        let mut told = Vec::new();
        if !answer.oauth.is_empty() {
            told.push(("error", answer.oauth.to_owned()));
        }
        if let Some(scope) = more.and_then(|more| more.scope.as_deref()) {
            told.push(("scope", scope.to_owned()));
        }
        if let Some(offer) = more.and_then(|more| more.step_up.as_ref()) {
            told.push(("acr_values", offer.acr.clone()));
        }
        let bearer = more.is_some_and(|more| more.bearer);
        let dpop = |told: Vec<_>| challenge("DPoP", [vec![algorithms], told, vec![metadata.clone()]].concat());
        match (bearer, at.certificates) {
            (true, _) => {
                let first = challenge("Bearer", [told, vec![metadata.clone()]].concat());
                vec![first, dpop(Vec::new())]
            }
            // Without any token both ways are open.
            (false, true) => vec![dpop(told), challenge("Bearer", vec![metadata.clone()])],
            (false, false) => vec![dpop(told)],
        }
    }

    fn is_about_a_token(&self, answer: Answer) -> bool {
        match self.code {
            Code::SignatureInvalid => false,
            Code::TokenMalformed => true,
            _ => answer.status == StatusCode::UNAUTHORIZED || answer.oauth == "insufficient_scope",
        }
    }
}

// Parameters in quotes, whatever they hold: nothing in them can end one and begin another (RFC 9110, section 5.6.4).
fn challenge(scheme: &str, parameters: Vec<(&str, String)>) -> String {
    let quoted = |(name, value): (&str, String)| {
        let value: String = value.chars().filter(|c| matches!(c, ' '..='~')).collect();
        format!("{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
    };
    let parameters: Vec<String> = parameters.into_iter().map(quoted).collect();
    format!("{scheme} {}", parameters.join(", "))
}

fn insert_list(headers: &mut http::HeaderMap, name: HeaderName, items: &[String]) {
    if items.is_empty() {
        return;
    }
    if let Ok(value) = HeaderValue::from_str(&items.join(", ")) {
        headers.insert(name, value);
    }
}

// RFC 6749, 5.2 allows few characters in `error_description`.
fn ascii(text: &str) -> String {
    text.chars().map(|c| if matches!(c, ' '..='~') && c != '"' && c != '\\' { c } else { '\'' }).collect()
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
