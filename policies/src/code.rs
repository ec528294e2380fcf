//! Every reason to say no, without a status: only `gateway/spine/src/error.rs` knows those.

use std::time::Duration;

use thiserror::Error;

/// Why a request was not let through; the stable name is what clients and programs rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Code {
    /// A header appears twice, has a forbidden name, or a forbidden value.
    HeaderRefused,
    /// The path is not in its one canonical form.
    PathNotCanonical,
    /// No operation of the contract that a policy exposes has this path.
    UnknownPath,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// No access token was sent.
    TokenMissing,
    /// The token could not be read as one, or came twice.
    TokenMalformed,
    /// The token is not one of ours, not for us, or its signature is wrong.
    TokenInvalid,
    /// The token's time is over.
    TokenExpired,
    /// The token is bound to another key or certificate than the one shown.
    TokenBindingFailed,
    /// The DPoP proof is missing a part or does not fit the request.
    ProofInvalid,
    /// The DPoP proof was used before.
    ProofReplayed,
    /// The OAuth client could not be authenticated.
    ClientUnauthenticated,
    /// The client or its organisation may not act now.
    ClientSuspended,
    /// The token lacks a scope.
    InsufficientScope,
    /// The organisation lacks the role.
    RoleMissing,
    /// The organisation's licence is over.
    LicenceExpired,
    /// The call comes from outside the networks of its organisation.
    NetworkRefused,
    /// A condition of a policy does not hold.
    PolicyDenied,
    /// A condition of a policy could not be judged, and so denies.
    PolicyNotJudged,
    /// A fraud rule refuses the call.
    FraudRefused,
    /// A signed callback does not verify.
    SignatureInvalid,
    /// The administrator is unknown or lacks the role.
    AdministratorRefused,
    /// The request came to a host or from an origin that this listener does not serve.
    HostRefused,
    /// A limit of a plan is used up.
    RateLimited,
    /// The gateway sheds load.
    Capacity,
    /// The body is larger than the operation allows.
    PayloadTooLarge,
    /// The media type is not one the operation takes.
    UnsupportedMediaType,
    /// The body or a parameter breaks the contract.
    SchemaViolation,
    /// The body could not be read as JSON.
    BodyMalformed,
    /// The body came too slowly.
    BodyTooSlow,
    /// An IIN, BIN, IBAN or code is well formed but wrong.
    IdentifierInvalid,
    /// The operation needs an idempotency key.
    IdempotencyKeyMissing,
    /// The idempotency key was used with another body.
    IdempotencyMismatch,
    /// The first request with this key is still under way.
    RequestInProgress,
    /// The payer has to be verified first.
    StepUpRequired,
    /// The identity result does not fit, is over, or was used.
    VerificationFailed,
    /// The identity verification does not exist for this client.
    VerificationUnknown,
    /// No identity provider could be reached.
    ProviderUnavailable,
    /// A resource does not exist for this client.
    NotFound,
    /// The OAuth request is not well formed.
    OauthInvalidRequest,
    /// The OAuth client could not be authenticated, in OAuth's own words.
    OauthInvalidClient,
    /// The OAuth grant type is not offered.
    OauthUnsupportedGrantType,
    /// The OAuth client may not use this grant or binding.
    OauthUnauthorizedClient,
    /// The scope is unknown or not allowed for the client.
    OauthInvalidScope,
    /// The DPoP proof at the token endpoint is wrong.
    OauthInvalidDpopProof,
    /// What a citizen has granted is over, was used, or is not this client's.
    OauthInvalidGrant,
    /// The `authorization_details` are malformed, unknown or not allowed for the client.
    OauthInvalidAuthorizationDetails,
    /// Only codes are given.
    OauthUnsupportedResponseType,
    /// The pushed request is unknown, over, used, or another client's.
    OauthInvalidRequestUri,
    /// The DPoP proof at an OAuth endpoint needs a nonce of ours.
    OauthUseDpopNonce,
    /// The DPoP proof needs a nonce of ours.
    ProofNonceNeeded,
    /// The operation needs a consent that the token does not carry.
    ConsentRequired,
    /// The call is not what its consent allows.
    ConsentMismatch,
    /// The consent was used up by an earlier call.
    ConsentConsumed,
    /// What a client asks a citizen to consent to cannot be.
    ConsentInvalid,
    /// A citizen's token where the client itself has to ask, or the other way round.
    WrongFlowType,
    /// The form of a page is not from the page that this browser was given.
    FormRefused,
    /// A store, key set or log that the decision needs is out of reach.
    DependencyDown,
    /// The backend could not be reached; nothing was sent.
    BackendUnavailable,
    /// The backend's answer was not usable.
    BackendBroken,
    /// The backend did not answer in time.
    BackendTimeout,
    /// The request's own time was over before its work began.
    DeadlineExceeded,
    /// What an administrator wants to be in force cannot be: its texts have faults.
    ReloadRefused,
    /// A change of the policy set may not be made, or not by this administrator.
    ChangeRefused,
    /// A defect of ours.
    Internal,
}

/// Something behind a port cannot answer: a fact about the world, never a decision.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{port} is out of reach: {cause}")]
pub struct Outage {
    /// Which port: `claims`, `replays`, `verifications`, `audit`, `upstream core-bank`, ...
    pub port: String,
    /// For the log: what happened; holds no secret and no personal data.
    pub cause: String,
    /// When trying again may help, if known.
    pub after: Option<Duration>,
}

impl Outage {
    /// Tells of an outage of `port` for the reason `cause`.
    pub fn new(port: impl Into<String>, cause: impl ToString) -> Self {
        Self { port: port.into(), cause: cause.to_string(), after: None }
    }
}
