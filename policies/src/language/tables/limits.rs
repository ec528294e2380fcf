//! The tables of `plans:` and `limits:`: how much may be asked for.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::MODE;
use crate::language::table::Need::{Default, Optional, Required};
use crate::language::table::Stricter::{Larger, LaterWord, More, Neither, Smaller, SmallerOrNone, Unsaid};
use crate::language::table::{Field, Kind, Need, Stricter, Table};
use crate::limit::{Dimension, WithoutStore};

/// The most events at once that a limit may allow: more protects nothing.
pub const BURST_MAX: u64 = 1_000_000;

/// The most tokens that one call may cost or give back: as many as a bucket may hold.
pub const COST_MAX: i64 = 1_000_000;

/// The most calls of a window that can be counted: as many as a counter holds.
pub const QUOTA_MAX: u64 = 4_294_967_295;

/// The shortest rolling window: slots of an eighth of less would be finer than clocks agree.
pub const ROLLING_MIN: Duration = Duration::from_secs(1);

/// The longest rolling window: a month; what is longer is no matter of traffic.
pub const ROLLING_MAX: Duration = Duration::from_secs(31 * 86_400);

/// The most calls under way at once: as many as a process can have connections.
pub const IN_FLIGHT_MAX: u64 = 65_535;

/// The most questions about one thing: who asks more often should be told by a webhook.
pub const POLLS_MAX: u64 = 1000;

/// The longest that things are remembered, for questions about them and for calls that give tokens back.
pub const REMEMBERED_MAX: Duration = Duration::from_secs(31 * 86_400);

/// The most sessions of a day, and calls of a session.
pub const SESSIONS_MAX: u64 = 1_000_000;

/// The longest pause within a session: a day, for they are counted by days.
pub const IDLE_MAX: Duration = Duration::from_secs(86_400);

const SECOND: Duration = Duration::from_secs(1);

const DIMENSION: Kind = Kind::Word(&[
    Dimension::Client.word(),
    Dimension::Organisation.word(),
    Dimension::Operation.word(),
    Dimension::Api.word(),
    Dimension::Customer.word(),
    Dimension::Consent.word(),
    Dimension::Subject.word(),
    Dimension::Resource.word(),
    Dimension::Peer.word(),
    Dimension::Provider.word(),
]);

const WITHOUT_STORE: Kind =
    Kind::Word(&[WithoutStore::Allow.word(), WithoutStore::LocalShare.word(), WithoutStore::Deny.word()]);

const fn field(name: &'static str, kind: Kind, need: Need, stricter: Stricter, about: &'static str) -> Field {
    Field { name, kind, need, stricter, about }
}

const fn upto(max: u64) -> Kind {
    Kind::Whole(RangeInclusive::new(1, max))
}

const fn span(min: Duration, max: Duration) -> Kind {
    Kind::Duration(RangeInclusive::new(min, max))
}

/// A plan.
pub static PLAN: Table = Table {
    name: "plan",
    about: "How much a client may ask for.",
    fields: &[field(
        "limits",
        Kind::List(&Kind::Either(&[Kind::Mapping(&LIMIT), Kind::Name("limits")])),
        Required,
        More,
        "At least one limit, written out or by name; every one must have room.",
    )],
};

/// A limit.
pub static LIMIT: Table = Table {
    name: "limit",
    about: "So many calls in so long a time, counted for each value of `per`: exactly one of `rate` with `burst`, `quota`, `inFlight`, `polls` and `sessions`.",
    fields: &[
        field(
            "per",
            Kind::OneOrMore(&DIMENSION),
            Required,
            Neither,
            "What is counted together; a call that has no value for one of these is not counted.",
        ),
        field(
            "subject",
            Kind::Header,
            Optional,
            Neither,
            "The header that names whom a call is about; goes with `per: subject`, and is kept as a keyed hash.",
        ),
        field("rate", Kind::Rate, Optional, Smaller, "How fast the tokens of a bucket refill; goes with `burst`."),
        field(
            "burst",
            upto(BURST_MAX),
            Optional,
            Smaller,
            "How many tokens a bucket holds: so many calls may come at once.",
        ),
        field(
            "cost",
            Kind::Named(&Kind::Signed(RangeInclusive::new(-COST_MAX, COST_MAX))),
            Optional,
            Larger,
            "What a call costs by the status of its answer (200 to 599), and `otherwise` (1, if it is not said); goes with `rate`, and not with `per: provider`.",
        ),
        field(
            "credit",
            Kind::Mapping(&CREDIT),
            Optional,
            Neither,
            "A later call that gives tokens back; goes with `rate`.",
        ),
        field(
            "quota",
            Kind::Either(&[Kind::Quota, Kind::Mapping(&ROLLING)]),
            Optional,
            Smaller,
            "How many calls there may be in a second, minute or hour of the clock, a day or month in Kazakhstan, or a rolling window.",
        ),
        field(
            "inFlight",
            upto(IN_FLIGHT_MAX),
            Optional,
            Smaller,
            "How many calls may be under way at once, in each gateway.",
        ),
        field(
            "polls",
            Kind::Mapping(&POLLS),
            Optional,
            Neither,
            "How often may be asked what became of one thing; goes with `per: resource`.",
        ),
        field(
            "sessions",
            Kind::Mapping(&SESSIONS),
            Optional,
            Neither,
            "How many sessions there may be, and calls in each.",
        ),
        field("when", Kind::Mapping(&COUNTED), Optional, Neither, "Which calls are counted; left out, all."),
        field(
            "withoutStore",
            WITHOUT_STORE,
            Optional,
            LaterWord,
            "What is done while the shared store is away: nothing is counted, each gateway counts against its share, or nothing passes; left out, `local-share`, but `deny` with `cost` or `polls`.",
        ),
        field(
            "mode",
            MODE,
            Default("enforce"),
            LaterWord,
            "Whether a call without room is refused, only counted (`report`), or not judged (`off`).",
        ),
    ],
};

/// A later call that gives tokens back.
pub static CREDIT: Table = Table {
    name: "credit",
    about: "A later call that gives tokens back, once for each call that has taken them.",
    fields: &[
        field("operation", Kind::Contract("operation"), Required, Unsaid, "The later call, once it has succeeded."),
        field("tokens", upto(BURST_MAX), Required, SmallerOrNone, "How many tokens it gives, never beyond the burst."),
        field("by", Kind::Header, Required, Unsaid, "The header that names the same thing in both calls."),
        field(
            "within",
            span(SECOND, REMEMBERED_MAX),
            Required,
            SmallerOrNone,
            "How long after the first call it still counts.",
        ),
    ],
};

/// A rolling window.
pub static ROLLING: Table = Table {
    name: "rolling quota",
    about: "So many calls in the time up to now.",
    fields: &[
        field("most", upto(QUOTA_MAX), Required, Smaller, "How many."),
        field("rolling", span(ROLLING_MIN, ROLLING_MAX), Required, Larger, "In how long a time, up to now."),
    ],
};

/// How often may be asked what became of one thing.
pub static POLLS: Table = Table {
    name: "polls",
    about: "How often may be asked what became of one thing.",
    fields: &[
        field("after", Kind::Mapping(&AFTER), Optional, Neither, "What begins it; left out, the first question does."),
        field(
            "first",
            span(Duration::ZERO, REMEMBERED_MAX),
            Default("0s"),
            Larger,
            "How long after the beginning the first question may come; goes with `after`.",
        ),
        field(
            "gap",
            span(Duration::ZERO, REMEMBERED_MAX),
            Default("0s"),
            Larger,
            "How long lies between two questions at least.",
        ),
        field("most", upto(POLLS_MAX), Required, Smaller, "How many questions there may be."),
        field(
            "within",
            span(SECOND, REMEMBERED_MAX),
            Required,
            Larger,
            "How long after the beginning the thing is forgotten; until then no more than `most` are answered.",
        ),
    ],
};

/// What begins the polls.
pub static AFTER: Table = Table {
    name: "beginning",
    about: "The operation that begins what is asked about.",
    fields: &[
        field("operation", Kind::Contract("operation"), Required, Neither, "The operation, once it has succeeded."),
        field(
            "id",
            Kind::Pointer,
            Required,
            Neither,
            "Where its answer names the thing, for example `/paymentId`: the last parameter of the paths that ask for it.",
        ),
    ],
};

/// Calls in sessions.
pub static SESSIONS: Table = Table {
    name: "sessions",
    about: "Calls in sessions: one begins with the first call, and ends when none came for a while.",
    fields: &[
        field("perDay", upto(SESSIONS_MAX), Required, Smaller, "How many may begin on a day in Kazakhstan."),
        field("calls", upto(SESSIONS_MAX), Required, Smaller, "How many calls one has."),
        field("rate", upto(SESSIONS_MAX), Required, Smaller, "How many calls a second there may be in one."),
        field("idle", span(SECOND, IDLE_MAX), Required, Neither, "After how long without a call one has ended."),
    ],
};

/// Which calls are counted.
pub static COUNTED: Table = Table {
    name: "counted calls",
    about: "Which calls a limit counts.",
    fields: &[
        field(
            "attended",
            Kind::Boolean,
            Optional,
            Unsaid,
            "Whether the customer is there (`x-fapi-customer-ip-address`); left out, either.",
        ),
        field(
            "hours",
            Kind::OneOrMore(&Kind::Hours),
            Optional,
            Unsaid,
            "In which hours of the day in Kazakhstan, for example `06:00-24:00`; left out, in all.",
        ),
        field(
            "operations",
            Kind::OneOrMore(&Kind::Contract("operation")),
            Optional,
            Unsaid,
            "Of which operations, where a plan counts some of them; left out, of all.",
        ),
    ],
};
