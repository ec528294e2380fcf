//! The tables of `clients:`: who they are, how they show it, and what they may have of the authorization server.

use crate::event::EventKind;
use crate::language::table::Need::{Default, Optional, Required};
use crate::language::table::Stricter::{False, Fewer, LaterWord, Neither, NotFirstWord, True};
use crate::language::table::{Field, Kind, Need, Stricter, Table};

const fn field(name: &'static str, kind: Kind, need: Need, stricter: Stricter, about: &'static str) -> Field {
    Field { name, kind, need, stricter, about }
}

const EVENT: Kind = Kind::Word(&[
    EventKind::PaymentUnknown.word(),
    EventKind::PaymentSettled.word(),
    EventKind::VerificationDecided.word(),
]);

/// A client.
pub static CLIENT: Table = Table {
    name: "client",
    about: "An OAuth client of an organisation.",
    fields: &[
        field("organisation", Kind::Name("organisations"), Required, Neither, "Whose it is."),
        field("plan", Kind::Name("plans"), Required, Neither, "How much it may ask for."),
        field(
            "authentication",
            Kind::Word(&["private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"]),
            Required,
            Neither,
            "How it authenticates: `private_key_jwt` and `self_signed_tls_client_auth` (certificates as `x5c`) need `keys`, `tls_client_auth` needs `certificate`.",
        ),
        field(
            "keys",
            Kind::Either(&[Kind::List(&Kind::PublicKey), Kind::Mapping(&KEYS)]),
            Optional,
            Neither,
            "Its public keys as JWKs: ES256, EdDSA (Ed25519) or PS256 (2048 to 4096 bits), at most 16; or where they are.",
        ),
        field("certificate", Kind::Mapping(&CERTIFICATE), Optional, Neither, "What its certificate has to say."),
        field("tokens", Kind::Mapping(&TOKENS), Required, Neither, "How its tokens are."),
        field(
            "scopes",
            Kind::List(&Kind::Contract("scope")),
            Required,
            Fewer,
            "The scopes it may ask for: those of contracts and policies.",
        ),
        field(
            "redirectUris",
            Kind::List(&Kind::Url),
            Default("[]"),
            Fewer,
            "Where citizens may be sent back to, byte for byte: https, or http to a port of `127.0.0.1` or `[::1]` for native apps; at most 16. Without, no citizen authorizes it.",
        ),
        field(
            "consents",
            Kind::Word(&["organisation", "gateway"]),
            Default("gateway"),
            LaterWord,
            "Who holds the consents of the citizens it acts for: `gateway` asks for them here; `organisation` asks for none, as for a bank's own customers.",
        ),
        field(
            "introspects",
            Kind::Boolean,
            Default("false"),
            False,
            "Whether it may ask what tokens for this gateway are worth (RFC 7662).",
        ),
        field(
            "issuer",
            Kind::Name("issuers"),
            Optional,
            Neither,
            "The authorization server that its tokens come from; left out, ours.",
        ),
        field("suspended", Kind::Boolean, Default("false"), True, "Whether it is stopped."),
        field(
            "webhook",
            Kind::Mapping(&WEBHOOK),
            Optional,
            Neither,
            "Where it is told of events; left out, it reads them itself.",
        ),
    ],
};

/// Keys that stand elsewhere.
pub static KEYS: Table = Table {
    name: "keys",
    about: "Where the public keys of a client are, if not here: exactly one of the two.",
    fields: &[
        field(
            "file",
            Kind::Text,
            Optional,
            Neither,
            "A JWK set in a file `*.jwks` or `*.json` of this folder, or below it.",
        ),
        field(
            "url",
            Kind::Url,
            Optional,
            Neither,
            "A JWK set that the client publishes: https to a public name or address. What it takes away is refused within five minutes.",
        ),
    ],
};

/// A certificate.
pub static CERTIFICATE: Table = Table {
    name: "certificate",
    about: "The one name that the certificate of a client has to have (RFC 8705, 2.1.2): exactly one of these.",
    fields: &[
        field("sanDns", Kind::Text, Optional, Neither, "A DNS name in it: lower case, no wildcard."),
        field(
            "sanUri",
            Kind::Text,
            Optional,
            Neither,
            "A URI in it, byte for byte, for example `spiffe://example.kz/app`.",
        ),
        field("sanIp", Kind::Text, Optional, Neither, "An address in it."),
        field("sanEmail", Kind::Text, Optional, Neither, "A mail address in it."),
        field(
            "subjectDn",
            Kind::Text,
            Optional,
            Neither,
            "Its subject as RFC 4514 writes it, for example `CN=app,O=Example,C=KZ`: the innermost name first.",
        ),
    ],
};

/// How tokens are.
pub static TOKENS: Table = Table {
    name: "tokens",
    about: "How the access tokens of a client are.",
    fields: &[
        field(
            "bind",
            Kind::Word(&["either", "dpop", "mtls"]),
            Required,
            NotFirstWord,
            "What they are bound to: a DPoP key, the client certificate, or either.",
        ),
        field(
            "nonce",
            Kind::Word(&["optional", "required"]),
            Default("optional"),
            LaterWord,
            "Whether its DPoP proofs need a nonce of ours (RFC 9449, section 8): a proof made in advance is then worth nothing.",
        ),
    ],
};

/// Where a client is told of events.
pub static WEBHOOK: Table = Table {
    name: "webhook",
    about: "Where a client is told of events.",
    fields: &[
        field("url", Kind::Url, Required, Neither, "https to a public name or address, at most 2048 bytes."),
        field(
            "secret",
            Kind::OneOrMore(&Kind::Secret),
            Required,
            Neither,
            "Where the secret is: `whsec_` and base64 of 24 to 64 bytes; two during a rotation, the current one first.",
        ),
        field(
            "events",
            Kind::List(&EVENT),
            Default("[kz.qaqpa.payment.unknown.v1, kz.qaqpa.payment.settled.v1, kz.qaqpa.verification.decided.v1]"),
            Neither,
            "What it is told of; left out, everything.",
        ),
    ],
};
