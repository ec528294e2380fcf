//! The tables of `tests:` blocks.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::language::table::{Field, Kind, Need, Stricter, Table};

/// The longest name of a case, in characters: a sentence.
pub const CASE_NAME_MAX: usize = 120;

/// The most steps of a case: what needs more is several cases.
pub const STEPS_MAX: usize = 50;

/// How often one call may be repeated: enough to use up a burst of the usual size.
pub const REPEAT_MAX: u64 = 1000;

/// How many calls may be under way beside one: each holds its answer, and limits of calls at once are small.
pub const UNDER_WAY_MAX: u64 = 1000;

/// By how much a step may move the clock: beyond every licence and override.
pub const AFTER_MAX: Duration = Duration::from_secs(3650 * 86_400);

/// The stages that can refuse, in the order of the stack.
pub const STAGES: [&str; 11] =
    ["guard", "route", "authenticate", "meter", "permit", "validate", "once", "assess", "deed", "redact", "respond"];

/// The names of problems, and the errors of OAuth's own endpoints; the gateway's test holds them against what it answers.
pub static PROBLEMS: [&str; 70] = [
    "access_denied",
    "administrator_refused",
    "backend_broken",
    "backend_timeout",
    "backend_unavailable",
    "body_malformed",
    "body_too_slow",
    "capacity",
    "change_refused",
    "client_suspended",
    "client_unauthenticated",
    "consent_consumed",
    "consent_invalid",
    "consent_required",
    "deadline_exceeded",
    "dependency_down",
    "form_refused",
    "fraud_refused",
    "header_refused",
    "host_refused",
    "idempotency_key_missing",
    "idempotency_mismatch",
    "identifier_invalid",
    "insufficient_scope",
    "insufficient_user_authentication",
    "internal",
    "invalid_authorization_details",
    "invalid_client",
    "invalid_dpop_proof",
    "invalid_grant",
    "invalid_request",
    "invalid_request_uri",
    "invalid_scope",
    "invalid_token",
    "licence_expired",
    "method_not_allowed",
    "network_not_allowed",
    "not_found",
    "oauth_invalid_request",
    "path_not_canonical",
    "payload_too_large",
    "payment_consent_mismatch",
    "policy_denied",
    "policy_not_judged",
    "proof_invalid",
    "proof_nonce_needed",
    "provider_unavailable",
    "rate_limited",
    "reload_refused",
    "replay_detected",
    "request_in_progress",
    "role_missing",
    "schema_violation",
    "server_error",
    "signature_invalid",
    "step_up_required",
    "temporarily_unavailable",
    "token_binding_failed",
    "token_expired",
    "token_invalid",
    "token_malformed",
    "token_missing",
    "unauthorized_client",
    "unknown_path",
    "unsupported_grant_type",
    "unsupported_media",
    "unsupported_response_type",
    "use_dpop_nonce",
    "verification_failed",
    "wrong_flow_type",
];

/// The levels of assurance that an identity result may have.
pub const LEVELS: [&str; 4] = ["L1", "L2", "L3", "L4"];

const fn field(name: &'static str, kind: Kind, need: Need, about: &'static str) -> Field {
    Field { name, kind, need, stricter: Stricter::Neither, about }
}

/// The keys of one case.
pub static CASE: Table = Table {
    name: "case",
    about: "A case that `qaqpa test` runs on a gateway of its own.",
    fields: &[
        field("at", Kind::Text, Need::Optional, "When it begins, for example `2026-11-23T10:00:00Z`."),
        field("given", Kind::Mapping(&GIVEN), Need::Optional, "The call; with `steps`, what they have in common."),
        field("expect", Kind::Mapping(&EXPECT), Need::Optional, "What has to come of it."),
        field("steps", Kind::List(&Kind::Mapping(&STEP)), Need::Optional, "Calls that follow each other."),
    ],
};

/// The keys of one step.
pub static STEP: Table = Table {
    name: "step",
    about: "A call among others on the same gateway.",
    fields: &[
        field(
            "after",
            Kind::Duration(RangeInclusive::new(Duration::ZERO, AFTER_MAX)),
            Need::Default("0s"),
            "How far the clock is moved before.",
        ),
        field(
            "repeat",
            Kind::Whole(RangeInclusive::new(1, REPEAT_MAX)),
            Need::Default("1"),
            "How often the call is made; every answer but the last is passed over.",
        ),
        field(
            "underWay",
            Kind::Whole(RangeInclusive::new(0, UNDER_WAY_MAX)),
            Need::Default("0"),
            "How many calls like it were made before and are not answered to the end, for limits with `inFlight`.",
        ),
        field("given", Kind::Mapping(&GIVEN), Need::Optional, "What is different from the `given` of the case."),
        field("expect", Kind::Mapping(&EXPECT), Need::Required, "What has to come of the last call."),
    ],
};

/// The keys of a call.
pub static GIVEN: Table = Table {
    name: "given",
    about: "A call: who makes it, of which operation, and what the backend does.",
    fields: &[
        field(
            "client",
            Kind::Name("clients"),
            Need::Optional,
            "The client whose token comes with it; without, there is no token.",
        ),
        field(
            "administrator",
            Kind::OneOrMore(&Kind::Word(&ADMIN_ROLES)),
            Need::Optional,
            "The roles of the administrator who calls.",
        ),
        field(
            "operation",
            Kind::Contract("operation"),
            Need::Optional,
            "The operation that is called; a step has that of its case, if it names none.",
        ),
        field(
            "parameters",
            Kind::Named(&Kind::Any),
            Need::Optional,
            "Parameters by name; required ones that are left out have the contract's example.",
        ),
        field("body", Kind::Any, Need::Optional, "The body; left out where the contract asks for one, its example."),
        field(
            "scopes",
            Kind::List(&Kind::Contract("scope")),
            Need::Optional,
            "The scopes of the token; left out, all that the client may have and the operation asks for.",
        ),
        field("token", Kind::Word(&TOKENS), Need::Optional, "What is wrong with the token."),
        field(
            "consent",
            Kind::Word(&CONSENTED),
            Need::Optional,
            "What a citizen has agreed to: this call, nothing, something else of the kind, or this payment, made before; left out, this call, where a consent is needed.",
        ),
        field(
            "verified",
            Kind::Word(&LEVELS),
            Need::Optional,
            "The level of an identity result that is bound to this very request.",
        ),
        field(
            "peer",
            Kind::Text,
            Need::Optional,
            "The address it comes from; left out, one of the organisation's networks.",
        ),
        field(
            "backend",
            Kind::Either(&[Kind::Word(&["down", "silent"]), Kind::Mapping(&BACKEND)]),
            Need::Optional,
            "What the backend, or the identity provider, does if it is asked.",
        ),
    ],
};

/// The keys of a backend's answer.
pub static BACKEND: Table = Table {
    name: "backend",
    about: "What a backend answers.",
    fields: &[
        field(
            "status",
            Kind::Whole(RangeInclusive::new(200, 599)),
            Need::Optional,
            "The status; left out, the lowest success of the contract.",
        ),
        field("body", Kind::Any, Need::Optional, "The body; left out, the contract's example."),
    ],
};

/// The keys of an expectation.
pub static EXPECT: Table = Table {
    name: "expect",
    about: "What has to come of a call; what is left out is not looked at.",
    fields: &[
        field("status", Kind::Whole(RangeInclusive::new(200, 599)), Need::Optional, "The status of the answer."),
        field(
            "problem",
            Kind::Word(&PROBLEMS),
            Need::Optional,
            "The name of the problem, the last part of its type; for OAuth, the error.",
        ),
        field("stage", Kind::Word(&STAGES), Need::Optional, "The stage that refused."),
        field("limit", Kind::Text, Need::Optional, "The limit that had no room."),
        field("rule", Kind::Text, Need::Optional, "The rule that bit: a step-up, a fraud rule, a mask, or `allow`."),
        field("backendCalled", Kind::Boolean, Need::Optional, "Whether the backend was asked."),
        field(
            "body",
            Kind::Named(&Kind::Any),
            Need::Optional,
            "Values in the answer's body by JSON pointer; `null` says that nothing is there.",
        ),
    ],
};

static ADMIN_ROLES: [&str; 5] = ["viewer", "editor", "approver", "auditor", "eraser"];
static TOKENS: [&str; 5] = ["missing", "expired", "unbound", "other-key", "no-nonce"];
static CONSENTED: [&str; 4] = ["fits", "none", "other", "consumed"];
