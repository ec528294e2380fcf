//! Every key of the language, with what may stand there: the one place that says it.
//!
//! The tables of one kind of mapping each, from the whole file ([`FILE`]) down. Must never hold a value of a file.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::table::Need::{Default, Optional, Required};
use super::table::Stricter::{EarlierWord, Fewer, LaterWord, More, Neither, Smaller, True};
use super::table::{Field, Kind, Need, Stricter, Table};
use crate::limit::Mode;
use crate::rulebook::Role;

pub mod cases;
pub mod clients;
pub mod consents;
pub mod fixtures;
pub mod issuers;
pub mod limits;

pub use self::clients::{CERTIFICATE, CLIENT, KEYS, TOKENS, WEBHOOK};
pub use self::consents::CONSENTS;
use self::consents::{API_CONSENT, CONSENT};
pub use self::issuers::ISSUER;
pub use self::limits::{BURST_MAX, LIMIT, PLAN};

/// The longest body that can be allowed, in bytes: it is kept in memory while it is judged.
pub const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The longest time that can be allowed for a request: beyond, proxies on the way have given up.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(120);

/// The longest that connecting to a backend may take: longer, the client has given up.
pub const CONNECT_MAX: Duration = Duration::from_secs(30);

/// The longest that a backend or provider may take to answer: longer, proxies on the way have given up.
pub const RESPONSE_MAX: Duration = Duration::from_secs(60);

/// The most requests at once to one backend: as many as a process can have connections.
pub const REQUESTS_MAX: u64 = 65_535;

/// The longest JSON pointer, in bytes: deeper than any contract goes.
pub const POINTER_BYTES_MAX: usize = 256;

const TICK: Duration = Duration::from_millis(1);

const fn time(max: Duration) -> Kind {
    Kind::Duration(RangeInclusive::new(TICK, max))
}

const fn field(name: &'static str, kind: Kind, need: Need, stricter: Stricter, about: &'static str) -> Field {
    Field { name, kind, need, stricter, about }
}

/// Keys at the top of a file that mean nothing there, or nothing yet, with what is told of them.
pub const LATER: [(&str, &str); 2] = [
    (
        "consent",
        "which consent an operation needs stands at the operation; how long consents last stands under `consents`",
    ),
    ("sandbox", "it will say what the sandbox's backends answer; nothing reads it yet, so remove it"),
];

const ROLE: Kind = Kind::Word(&[
    Role::Aisp.word(),
    Role::Pisp.word(),
    Role::Bank.word(),
    Role::Mfo.word(),
    Role::PaymentOrganisation.word(),
    Role::Treasury.word(),
]);
const LEVEL: Kind = Kind::Word(&["L1", "L2", "L3", "L4"]);
const MODE: Kind = Kind::Word(&[Mode::Off.word(), Mode::Report.word(), Mode::Enforce.word()]);
const SCOPE_NAME: Kind = Kind::Contract("scope");

/// A whole file.
pub static FILE: Table = Table {
    name: "file",
    about: "A file of a policy set; the files of a folder are read as one.",
    fields: &[
        field("qaqpa", Kind::Word(&["v1"]), Required, Neither, "The version of the language; the first line."),
        field(
            "defaults",
            Kind::Mapping(&DEFAULTS),
            Optional,
            Neither,
            "What holds for every operation of the set; APIs and operations may be stricter. In one file only.",
        ),
        field(
            "organisations",
            Kind::Named(&Kind::Mapping(&ORGANISATION)),
            Optional,
            Neither,
            "The connected organisations.",
        ),
        field("clients", Kind::Named(&Kind::Mapping(&CLIENT)), Optional, Neither, "The OAuth clients."),
        field(
            "issuers",
            Kind::Named(&Kind::Mapping(&ISSUER)),
            Optional,
            Neither,
            "Other authorization servers whose tokens are taken; clients name them.",
        ),
        field(
            "consents",
            Kind::Mapping(&CONSENTS),
            Optional,
            Neither,
            "What citizens agree to: for how long, and how they are known. In one file only.",
        ),
        field(
            "plans",
            Kind::Named(&Kind::Mapping(&PLAN)),
            Optional,
            Neither,
            "Sets of limits, shared by the clients that have the plan.",
        ),
        field(
            "scopes",
            Kind::Named(&Kind::Mapping(&SCOPE)),
            Optional,
            Neither,
            "Scopes that need more said than contracts say: a title, who may be given them.",
        ),
        field("upstreams", Kind::Named(&Kind::Mapping(&UPSTREAM)), Optional, Neither, "The backends."),
        field(
            "limits",
            Kind::Named(&Kind::Mapping(&LIMIT)),
            Optional,
            Neither,
            "Limits that operations and plans name.",
        ),
        field(
            "fraud",
            Kind::Named(&Kind::Mapping(&FRAUD)),
            Optional,
            Neither,
            "Rules about calls that look wrong; operations name them.",
        ),
        field(
            "stepUp",
            Kind::Named(&Kind::Mapping(&STEP_UP)),
            Optional,
            Neither,
            "When a payer has to be verified first; operations name the rules.",
        ),
        field("identity", Kind::Mapping(&IDENTITY), Optional, Neither, "How people are verified."),
        field(
            "masking",
            Kind::Named(&Kind::Mapping(&MASK)),
            Optional,
            Neither,
            "Which fields are hidden from whom; operations name the masks.",
        ),
        field("apis", Kind::Named(&Kind::Mapping(&API)), Optional, Neither, "The APIs, by the name of their contract."),
        field(
            "fixtures",
            Kind::Mapping(&fixtures::FIXTURES),
            Optional,
            Neither,
            "Parties that exist in `tests` and in `qaqpa trace` alone; no running gateway knows them.",
        ),
        field(
            "tests",
            Kind::Named(&Kind::Mapping(&cases::CASE)),
            Optional,
            Neither,
            "Calls and what has to come of them, by a sentence that says what is expected.",
        ),
    ],
};

/// An organisation.
pub static ORGANISATION: Table = Table {
    name: "organisation",
    about: "A connected organisation.",
    fields: &[
        field("title", Kind::Text, Required, Neither, "Its name for people."),
        field("roles", Kind::List(&ROLE), Required, Fewer, "What it is licensed to do."),
        field("licence", Kind::Mapping(&LICENCE), Required, Neither, "Its licence; without one nobody is connected."),
        field(
            "networks",
            Kind::List(&Kind::Network),
            Optional,
            Fewer,
            "The networks its clients call from; left out, any.",
        ),
        field("suspended", Kind::Boolean, Default("false"), True, "Whether its clients are stopped."),
    ],
};

/// A licence.
pub static LICENCE: Table = Table {
    name: "licence",
    about: "Who has licensed an organisation, and until when.",
    fields: &[
        field("authority", Kind::Text, Required, Neither, "Who has given it."),
        field("id", Kind::Text, Required, Neither, "Its number."),
        field(
            "validUntil",
            Kind::Date,
            Required,
            Smaller,
            "Its last good day; from the next on, the clients are refused. A warning comes 30 days before.",
        ),
    ],
};

/// A scope.
pub static SCOPE: Table = Table {
    name: "scope",
    about: "What is said of a scope beyond contracts.",
    fields: &[
        field("title", Kind::Text, Required, Neither, "What it lets a client do, for people."),
        field(
            "roles",
            Kind::List(&ROLE),
            Optional,
            Fewer,
            "A client may have it if its organisation has one of these roles; left out, any.",
        ),
    ],
};

/// A backend.
pub static UPSTREAM: Table = Table {
    name: "upstream",
    about: "A backend; its addresses are the operator's business and stand in `qaqpa.yaml`.",
    fields: &[
        field("protocol", Kind::Word(&["http1", "http2"]), Required, Neither, "Which HTTP it speaks."),
        field("timeouts", Kind::Mapping(&TIMEOUTS), Required, Neither, "How long it may take."),
        field(
            "maxRequests",
            Kind::Whole(RangeInclusive::new(1, REQUESTS_MAX)),
            Required,
            Smaller,
            "How many requests may be under way to it at once, in each process.",
        ),
    ],
};

/// How long a backend may take.
pub static TIMEOUTS: Table = Table {
    name: "timeouts",
    about: "How long a backend may take.",
    fields: &[
        field("connect", time(CONNECT_MAX), Required, Smaller, "To take a connection."),
        field("response", time(RESPONSE_MAX), Required, Smaller, "To send the head of an answer."),
    ],
};

const ABOVE: Field =
    field("above", Kind::Money, Optional, Smaller, "Larger amounts bring it into play; goes with `amount`.");
const AMOUNT: Field = field(
    "amount",
    Kind::Pointer,
    Optional,
    Neither,
    "Where the amount stands in the body, for example `/instructedAmount`.",
);
const WHEN: Field = field(
    "when",
    Kind::Condition,
    Optional,
    Neither,
    "A condition that brings it into play, instead of an amount; one that cannot be judged denies.",
);

/// A fraud rule.
pub static FRAUD: Table = Table {
    name: "fraud rule",
    about: "A rule about calls that look wrong: above an amount, or when a condition holds.",
    fields: &[
        ABOVE,
        AMOUNT,
        WHEN,
        field(
            "then",
            Kind::Either(&[Kind::Word(&["deny"]), Kind::Mapping(&THEN)]),
            Required,
            Neither,
            "What happens: `deny`, or the payer has to be verified.",
        ),
        field(
            "mode",
            MODE,
            Default("enforce"),
            LaterWord,
            "Whether it is enforced, only counted (`report`), or not judged (`off`).",
        ),
    ],
};

/// The answer of a fraud rule.
pub static THEN: Table = Table {
    name: "answer",
    about: "What a fraud rule does if it does not deny.",
    fields: &[field(
        "stepUp",
        Kind::Name("stepUp"),
        Required,
        Neither,
        "The payer has to be verified as this rule says.",
    )],
};

/// A step-up rule.
pub static STEP_UP: Table = Table {
    name: "step-up rule",
    about: "A payer has to be verified first: above an amount, or when a condition holds.",
    fields: &[
        ABOVE,
        AMOUNT,
        WHEN,
        field(
            "level",
            LEVEL,
            Required,
            LaterWord,
            "The level of assurance that is needed; some provider must reach it.",
        ),
    ],
};

/// How people are verified.
pub static IDENTITY: Table = Table {
    name: "identity",
    about: "How people are verified.",
    fields: &[field(
        "providers",
        Kind::Named(&Kind::Mapping(&PROVIDER)),
        Required,
        Neither,
        "The identity providers; they are tried in the order of the files.",
    )],
};

/// An identity provider.
pub static PROVIDER: Table = Table {
    name: "provider",
    about: "An identity provider.",
    fields: &[
        field("level", LEVEL, Required, EarlierWord, "The highest level of assurance it is believed for."),
        field("timeout", time(RESPONSE_MAX), Required, Smaller, "How long it may take to answer a call."),
    ],
};

/// A mask.
pub static MASK: Table = Table {
    name: "mask",
    about: "Fields that are hidden from whoever need not see them.",
    fields: &[
        field(
            "fields",
            Kind::List(&Kind::FieldPath),
            Required,
            More,
            "Where they stand in bodies: JSON pointers, `*` for any key or index.",
        ),
        field(
            "show",
            Kind::Word(&["last-four", "stars", "nothing"]),
            Required,
            LaterWord,
            "What is shown instead: stars and the last four characters, stars, or nothing at all.",
        ),
        field("except", Kind::Mapping(&EXCEPT), Optional, Neither, "Who sees the value all the same, in responses."),
        field(
            "in",
            Kind::List(&Kind::Word(&["responses", "logs", "traces"])),
            Default("[responses, logs, traces]"),
            More,
            "Where it works.",
        ),
    ],
};

/// Whom a mask does not concern.
pub static EXCEPT: Table = Table {
    name: "exception",
    about: "Who sees a masked value all the same; nobody does in logs and traces.",
    fields: &[field("roles", Kind::List(&ROLE), Default("[]"), Fewer, "Organisations with one of these roles.")],
};

/// The roles that a caller's organisation has one of.
pub const ROLES: Field =
    field("roles", Kind::List(&ROLE), Optional, Fewer, "Its organisation has one of these roles; left out, any.");

/// The scopes that a caller's token has.
pub const SCOPES: Field =
    field("scopes", Kind::List(&SCOPE_NAME), Optional, More, "Its token has all of these, and those of the contract.");

/// What happens to answers that break the contract.
pub const RESPONSE: Field = field(
    "response",
    MODE,
    Default("report"),
    LaterWord,
    "What happens to an answer that breaks the contract: it is kept back (`enforce`), counted and recorded, or not judged.",
);

/// By which operation the outcome of a request is told.
pub const SETTLED_BY: Field = field(
    "settledBy",
    Kind::Contract("operation"),
    Optional,
    Neither,
    "The GET by which the backend tells what became of a request whose answer was lost.",
);

const REQUIRES_FIELD: Field =
    field("requires", Kind::Mapping(&REQUIRES), Optional, Neither, "What a caller has to have.");
/// How long a body may be.
pub const MAX_BODY: Field = field(
    "maxBody",
    Kind::Bytes(RangeInclusive::new(1, BODY_BYTES_MAX)),
    Default("64KiB"),
    Smaller,
    "How long a request's body may be.",
);
/// How long a request may take.
pub const TIMEOUT: Field = field(
    "timeout",
    time(TIMEOUT_MAX),
    Optional,
    Smaller,
    "How long the whole request may take; has to be said at the operation or in defaults.",
);
/// When it is recorded.
pub const AUDIT: Field = field(
    "audit",
    Kind::Word(&["standard", "required"]),
    Default("standard"),
    LaterWord,
    "When it is recorded: `required` does nothing without a durable record before.",
);
/// Conditions that all have to hold.
pub const ALLOW: Field = field(
    "allow",
    Kind::OneOrMore(&Kind::Condition),
    Optional,
    More,
    "Conditions that all have to hold; one that cannot be judged denies.",
);
/// Limits of an operation.
pub const LIMITS: Field = field(
    "limits",
    Kind::OneOrMore(&Kind::Name("limits")),
    Optional,
    More,
    "Limits of the operation, beside those of the caller's plan.",
);
/// Fraud rules of an operation.
pub const FRAUD_FIELD: Field =
    field("fraud", Kind::OneOrMore(&Kind::Name("fraud")), Optional, More, "Rules about calls that look wrong.");
/// Step-up rules of an operation.
pub const STEP_UP_FIELD: Field =
    field("stepUp", Kind::OneOrMore(&Kind::Name("stepUp")), Optional, More, "When the payer has to be verified.");
/// Masks of an operation.
pub const MASK_FIELD: Field =
    field("mask", Kind::OneOrMore(&Kind::Name("masking")), Optional, More, "Which fields are hidden from whom.");
const VALIDATE_FIELD: Field =
    field("validate", Kind::Mapping(&VALIDATE), Optional, Neither, "How the contract is held; requests always are.");
/// Fields that are written into log line and span.
pub const NOTE: Field = field(
    "note",
    Kind::OneOrMore(&Kind::FieldPath),
    Optional,
    Neither,
    "Fields of the request's body that are written into log line and span, masked where a mask says so.",
);

/// What holds for every operation of a set.
pub static DEFAULTS: Table = Table {
    name: "defaults",
    about: "What holds for every operation of the set; APIs and operations may be stricter, never looser.",
    fields: &[MAX_BODY, TIMEOUT, AUDIT, ALLOW, LIMITS, MASK_FIELD, VALIDATE_FIELD],
};

/// An API.
pub static API: Table = Table {
    name: "API",
    about: "What is exposed of one contract.",
    fields: &[
        field("upstream", Kind::Name("upstreams"), Optional, Neither, "Who answers; left out, the gateway itself."),
        field(
            "defaults",
            Kind::Mapping(&API_DEFAULTS),
            Optional,
            Neither,
            "What holds for every operation of the API; an operation may be stricter, never looser.",
        ),
        field(
            "operations",
            Kind::Named(&Kind::Mapping(&OPERATION)),
            Required,
            Neither,
            "The exposed operations, by `operationId`; one that is not named here does not exist.",
        ),
    ],
};

/// What holds for every operation of an API.
pub static API_DEFAULTS: Table = Table {
    name: "API defaults",
    about: "What holds for every operation of the API; an operation may be stricter, never looser.",
    fields: &[
        REQUIRES_FIELD,
        API_CONSENT,
        MAX_BODY,
        TIMEOUT,
        AUDIT,
        ALLOW,
        LIMITS,
        FRAUD_FIELD,
        STEP_UP_FIELD,
        MASK_FIELD,
        VALIDATE_FIELD,
        NOTE,
    ],
};

/// An operation.
pub static OPERATION: Table = Table {
    name: "operation",
    about: "An exposed operation; what it does not say holds as the defaults have it.",
    fields: &[
        REQUIRES_FIELD,
        CONSENT,
        MAX_BODY,
        TIMEOUT,
        AUDIT,
        ALLOW,
        LIMITS,
        FRAUD_FIELD,
        STEP_UP_FIELD,
        MASK_FIELD,
        VALIDATE_FIELD,
        NOTE,
        SETTLED_BY,
        field("override", Kind::Mapping(&OVERRIDE), Optional, Neither, "A loosening that somebody answers for."),
    ],
};

/// What a caller has to have.
pub static REQUIRES: Table = Table { name: "requires", about: "What a caller has to have.", fields: &[ROLES, SCOPES] };

/// How the contract is held.
pub static VALIDATE: Table = Table {
    name: "validate",
    about: "How the contract is held; requests that break it are always refused.",
    fields: &[RESPONSE],
};

/// A loosening.
pub static OVERRIDE: Table = Table {
    name: "override",
    about: "Lets an operation be looser than its defaults, until a day.",
    fields: &[
        field("reason", Kind::Text, Required, Neither, "Why."),
        field("approvedBy", Kind::Text, Required, Neither, "Who has agreed."),
        field(
            "expires",
            Kind::Date,
            Required,
            Smaller,
            "Its last day; from the next on, what is inherited holds again. A warning comes 30 days before.",
        ),
        field(
            "replaces",
            Kind::OneOrMore(&Kind::Word(&["scopes", "allow", "limits", "fraud", "stepUp", "mask"])),
            Optional,
            Fewer,
            "Lists of which the operation's own stands instead of the inherited one; without, it only adds to it.",
        ),
    ],
};
