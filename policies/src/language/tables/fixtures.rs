//! The tables of `fixtures:` blocks.

use crate::language::table::{Field, Kind, Need, Stricter, Table};

const fn field(name: &'static str, kind: Kind, need: Need, about: &'static str) -> Field {
    Field { name, kind, need, stricter: Stricter::Neither, about }
}

/// The keys of `fixtures`.
pub static FIXTURES: Table = Table {
    name: "fixtures",
    about: "Parties that exist in `tests` and in `qaqpa trace` alone; no running gateway knows them.",
    fields: &[
        field("organisations", Kind::Named(&Kind::Mapping(&ORGANISATION)), Need::Optional, "Organisations, by name."),
        field("clients", Kind::Named(&Kind::Mapping(&CLIENT)), Need::Optional, "Clients, by name."),
    ],
};

/// The keys of an organisation for cases.
pub static ORGANISATION: Table = Table {
    name: "fixture organisation",
    about: "An organisation for cases.",
    fields: &[
        field("roles", Kind::List(&Kind::Word(&ROLES)), Need::Required, "What it is licensed to do."),
        field("licensedUntil", Kind::Date, Need::Optional, "The last day of its licence; left out, it never ends."),
        field(
            "networks",
            Kind::List(&Kind::Network),
            Need::Optional,
            "Where its clients call from; left out, anywhere.",
        ),
        field("suspended", Kind::Boolean, Need::Default("false"), "Whether an administrator has stopped it."),
    ],
};

/// The keys of a client for cases.
pub static CLIENT: Table = Table {
    name: "fixture client",
    about: "A client for cases; its keys are made when they run.",
    fields: &[
        field("organisation", Kind::Name("organisations"), Need::Required, "Whose it is."),
        field("plan", Kind::Name("plans"), Need::Required, "Its limits."),
        field("scopes", Kind::List(&Kind::Contract("scope")), Need::Required, "The scopes it may ask for."),
        field(
            "certificate",
            Kind::Text,
            Need::Optional,
            "The DNS name in its certificate: then it authenticates by that, and its tokens are bound to it.",
        ),
        field("redirectUris", Kind::List(&Kind::Url), Need::Default("[]"), "Where citizens may be sent back to."),
        field(
            "consents",
            Kind::Word(&["organisation", "gateway"]),
            Need::Default("gateway"),
            "Who holds the consents of the citizens it acts for.",
        ),
        field(
            "nonce",
            Kind::Word(&["optional", "required"]),
            Need::Default("optional"),
            "Whether its proofs need a nonce.",
        ),
        field("introspects", Kind::Boolean, Need::Default("false"), "Whether it may ask what tokens are worth."),
        field("suspended", Kind::Boolean, Need::Default("false"), "Whether an administrator has stopped it."),
    ],
};

static ROLES: [&str; 6] = ["AISP", "PISP", "BANK", "MFO", "PAYMENT_ORGANISATION", "TREASURY"];
