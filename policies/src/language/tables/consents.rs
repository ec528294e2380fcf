//! The tables about consents: how long they last, and which one an operation needs.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::consent::ConsentKind;
use crate::language::table::Need::{Default, Optional, Required};
use crate::language::table::Stricter::{LaterWord, More, Neither, NotFirstWord, Smaller};
use crate::language::table::{Field, Kind, Need, Stricter, Table};

const fn field(name: &'static str, kind: Kind, need: Need, stricter: Stricter, about: &'static str) -> Field {
    Field { name, kind, need, stricter, about }
}

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// The longest that a consent may wait for the citizen: what nobody decides for a day is asked for anew.
pub const AWAITS_MAX: Duration = DAY;

/// The longest that a consent to accounts may last: a year, then the citizen is asked again.
pub const ACCESS_MAX: Duration = Duration::from_secs(366 * DAY.as_secs());

/// The longest that a consent to one payment may last: that it is used up is remembered for a week.
pub const PAYMENT_MAX: Duration = Duration::from_secs(6 * DAY.as_secs());

const AWAITS: Field = field(
    "awaits",
    Kind::Duration(RangeInclusive::new(MINUTE, AWAITS_MAX)),
    Default("60m"),
    Smaller,
    "How long one may wait for the citizen.",
);
const LEVEL: Field = field(
    "level",
    Kind::Word(&["L1", "L2", "L3", "L4"]),
    Default("L2"),
    LaterWord,
    "The level of assurance that the citizen is verified at before agreeing; some provider must reach it.",
);

/// What is said of consents.
pub static CONSENTS: Table = Table {
    name: "consents",
    about: "What citizens agree to: for how long, and how they are known. In one file only.",
    fields: &[
        field(
            ConsentKind::AccountAccess.word(),
            Kind::Mapping(&ACCOUNT_ACCESS),
            Optional,
            Neither,
            "Consents to read accounts.",
        ),
        field(
            ConsentKind::DomesticPayment.word(),
            Kind::Mapping(&DOMESTIC_PAYMENT),
            Optional,
            Neither,
            "Consents to one payment.",
        ),
        field(
            "customerAccounts",
            Kind::Contract("operation"),
            Optional,
            Neither,
            "The operation by which the bank lists a citizen's accounts, to choose from: an exposed GET without parameters in its path, whose `consent` says where the list stands.",
        ),
    ],
};

/// What is said of consents to accounts.
pub static ACCOUNT_ACCESS: Table = Table {
    name: "account consents",
    about: "How long consents to read accounts last.",
    fields: &[
        AWAITS,
        field(
            "longest",
            Kind::Duration(RangeInclusive::new(MINUTE, ACCESS_MAX)),
            Default("90d"),
            Smaller,
            "How long one may last once it is authorised.",
        ),
        LEVEL,
    ],
};

/// What is said of consents to payments.
pub static DOMESTIC_PAYMENT: Table = Table {
    name: "payment consents",
    about: "How long consents to one payment last.",
    fields: &[
        AWAITS,
        field(
            "longest",
            Kind::Duration(RangeInclusive::new(MINUTE, PAYMENT_MAX)),
            Default("1d"),
            Smaller,
            "How long one may last once it is authorised.",
        ),
        LEVEL,
    ],
};

/// The words of the consent that an operation needs.
pub static NEEDS: [&str; 3] = ["none", ConsentKind::AccountAccess.word(), ConsentKind::DomesticPayment.word()];

static FORMS: [Kind; 2] = [Kind::Word(&NEEDS), Kind::Mapping(&NEED)];

/// The consent that an operation needs.
pub const CONSENT: Field = field(
    "consent",
    Kind::Either(&FORMS),
    Default("none"),
    NotFirstWord,
    "The consent that a citizen's token has to carry; clients with `consents: organisation` are not asked for it.",
);

/// The consent that the operations of an API need.
pub const API_CONSENT: Field = field(
    "consent",
    Kind::Word(&NEEDS),
    Default("none"),
    NotFirstWord,
    "The consent that a citizen's token has to carry; operations may say of which accounts, and need none only by override.",
);

/// Where a consent is held against a call.
pub static NEED: Table = Table {
    name: "consent need",
    about: "Which consent an operation needs, and where a call or its answer names accounts.",
    fields: &[
        field(
            "kind",
            Kind::Word(&[ConsentKind::AccountAccess.word(), ConsentKind::DomesticPayment.word()]),
            Required,
            Neither,
            "Its kind.",
        ),
        ACCOUNT,
        field(
            "list",
            Kind::Mapping(&LIST),
            Optional,
            Neither,
            "Where the answer lists accounts: those that are not shared are left out of it.",
        ),
    ],
};

/// The parameter that names the account.
pub const ACCOUNT: Field = field(
    "account",
    Kind::Contract("path parameter"),
    Optional,
    More,
    "The path parameter that names the account: it has to be one that the citizen shares.",
);

/// Where an answer lists accounts.
pub static LIST: Table =
    Table { name: "list of accounts", about: "Where an answer lists accounts.", fields: &[ITEMS, ID] };

/// Where the list stands.
pub const ITEMS: Field = field("items", Kind::Pointer, Required, More, "Where the list stands in the answer.");

/// Where the id of an account stands.
pub const ID: Field = field("id", Kind::Pointer, Required, More, "Where in an item the account's id stands.");
