//! The tables of `issuers:`: other authorization servers whose tokens are taken here.

use crate::language::table::Need::{Default, Optional, Required};
use crate::language::table::Stricter::{False, Fewer, Neither};
use crate::language::table::{Field, Kind, Need, Stricter, Table};

const fn field(name: &'static str, kind: Kind, need: Need, stricter: Stricter, about: &'static str) -> Field {
    Field { name, kind, need, stricter, about }
}

/// Another authorization server.
pub static ISSUER: Table = Table {
    name: "issuer",
    about: "Another authorization server whose tokens are taken of the clients that name it.",
    fields: &[
        field("issuer", Kind::Url, Required, Neither, "Its `iss`, byte for byte; it is compared and never called."),
        field(
            "audience",
            Kind::Text,
            Optional,
            Neither,
            "What has to be in `aud` of its tokens; left out, the name of this gateway.",
        ),
        field(
            "jwks",
            Kind::Mapping(&JWKS),
            Optional,
            Neither,
            "Its tokens are signed JWTs (RFC 9068); one of `jwks` and `introspection` has to be said.",
        ),
        field(
            "introspection",
            Kind::Mapping(&INTROSPECTION),
            Optional,
            Neither,
            "It is asked about each token (RFC 7662).",
        ),
        field(
            "users",
            Kind::Boolean,
            Default("false"),
            False,
            "Whether its tokens may speak for users of its own (`sub` is not `client_id`): it answers for what those have agreed to, and here they count as the client's.",
        ),
    ],
};

/// The published keys of another authorization server.
pub static JWKS: Table = Table {
    name: "published keys",
    about: "The keys that another authorization server signs with.",
    fields: &[
        field("url", Kind::Url, Required, Neither, "Its JWK set: https to a public name or address."),
        field(
            "algorithms",
            Kind::List(&Kind::Word(&["ES256", "EdDSA", "PS256"])),
            Default("[ES256, EdDSA, PS256]"),
            Fewer,
            "The algorithms it signs with; others are refused.",
        ),
    ],
};

/// How another authorization server is asked about tokens.
pub static INTROSPECTION: Table = Table {
    name: "introspection",
    about: "How another authorization server is asked about tokens.",
    fields: &[
        field("url", Kind::Url, Required, Neither, "Its introspection endpoint: https to a public name or address."),
        field("client", Kind::Text, Required, Neither, "The `client_id` that it knows this gateway by."),
        field(
            "key",
            Kind::Secret,
            Required,
            Neither,
            "Where the private JWK is that this gateway signs assertions with.",
        ),
    ],
};
