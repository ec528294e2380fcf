//! What was published, row by row: written from the sources, and never from the policies.

use std::time::Duration;

use policies::limit::Dimension::{self, Api, Client, Customer, Operation, Organisation, Peer, Resource, Subject};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// One row of a published table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    /// What the preset calls it.
    pub(crate) name: &'static str,
    /// What is counted together.
    pub(crate) per: &'static [Dimension],
    /// Whether it is about calls with or without the customer; none if about both.
    pub(crate) attended: Option<bool>,
    /// In which hours of the day, in minutes, the last one excluded; in all if there are none.
    pub(crate) hours: &'static [(u16, u16)],
    /// How much there may be.
    pub(crate) rule: Rule,
}

/// How much there may be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rule {
    /// Tokens: so many come back in so long a time, and so many there are at most.
    Tokens { refill: u32, every: Duration, size: u32, counting: Counting },
    /// Calls in a window of the calendar.
    Calls { most: u32, window: Window },
    /// Questions about one thing.
    Polls { begins: Option<(&'static str, &'static str)>, first: Duration, gap: Duration, most: u32, within: Duration },
    /// Calls in sessions.
    Sessions { per_day: u32, calls: u32, per_second: u32, idle: Duration },
}

/// Which tokens a call takes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Counting {
    /// One, whatever the answer, unless it is a 500.
    Answered,
    /// One for a 200, so many for a 404, none for any other; a payment order gives one back.
    AntiScan { missing: u32 },
}

/// A window of the calendar.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Window {
    Second,
    Minute,
    Day,
    Month,
}

const fn tokens(name: &'static str, refill: u32, every: Duration, size: u32) -> Row {
    let rule = Rule::Tokens { refill, every, size, counting: Counting::Answered };
    Row { name, per: &[Organisation], attended: None, hours: &[], rule }
}

const fn of_user(name: &'static str, size: u32) -> Row {
    let rule = Rule::Tokens { refill: 2, every: MINUTE, size, counting: Counting::AntiScan { missing: 20 } };
    Row { name, per: &[Organisation, Subject], attended: None, hours: &[], rule }
}

const fn of_participant(name: &'static str, refill: u32, size: u32) -> Row {
    let rule = Rule::Tokens { refill, every: MINUTE, size, counting: Counting::AntiScan { missing: 3 } };
    Row { name, per: &[Organisation], attended: None, hours: &[], rule }
}

const fn calls(name: &'static str, per: &'static [Dimension], most: u32, window: Window) -> Row {
    Row { name, per, attended: None, hours: &[], rule: Rule::Calls { most, window } }
}

/// DICT API 1.8.0, "Limitação de requisições".
pub(crate) const DICT: &[Row] = &[
    of_user("dict-entries-read-user-antiscan-natural", 100),
    of_user("dict-entries-read-user-antiscan-legal", 1_000),
    of_user("dict-entries-read-user-antiscan-v2-natural", 100),
    of_user("dict-entries-read-user-antiscan-v2-legal", 1_000),
    of_participant("dict-entries-read-participant-antiscan-a", 12_000, 20_000),
    of_participant("dict-entries-read-participant-antiscan-b", 8_000, 15_000),
    of_participant("dict-entries-read-participant-antiscan-c", 2_000, 8_000),
    of_participant("dict-entries-read-participant-antiscan-d", 500, 4_000),
    of_participant("dict-entries-read-participant-antiscan-e", 50, 3_000),
    of_participant("dict-entries-read-participant-antiscan-f", 2, 1_000),
    tokens("dict-entries-write", 1_200, MINUTE, 36_000),
    tokens("dict-entries-update", 600, MINUTE, 600),
    tokens("dict-claims-read", 600, MINUTE, 18_000),
    tokens("dict-claims-write", 1_200, MINUTE, 36_000),
    tokens("dict-claims-list-with-role", 40, MINUTE, 200),
    tokens("dict-claims-list-without-role", 10, MINUTE, 50),
    tokens("dict-sync-verifications-write", 10, MINUTE, 50),
    tokens("dict-cids-files-write", 40, DAY, 200),
    tokens("dict-cids-files-read", 10, MINUTE, 50),
    tokens("dict-cids-events-list", 20, MINUTE, 100),
    tokens("dict-cids-entries-read", 1_200, MINUTE, 36_000),
    tokens("dict-infraction-reports-read", 600, MINUTE, 18_000),
    tokens("dict-infraction-reports-write", 1_200, MINUTE, 36_000),
    tokens("dict-infraction-reports-list-with-role", 40, MINUTE, 200),
    tokens("dict-infraction-reports-list-without-role", 10, MINUTE, 50),
    tokens("dict-keys-check", 70, MINUTE, 70),
    tokens("dict-refunds-read", 1_200, MINUTE, 36_000),
    tokens("dict-refunds-write", 2_400, MINUTE, 72_000),
    tokens("dict-refund-list-with-role", 40, MINUTE, 200),
    tokens("dict-refund-list-without-role", 10, MINUTE, 50),
    tokens("dict-statistics-read", 500, MINUTE, 500),
    tokens("dict-policies-read", 60, MINUTE, 200),
    tokens("dict-policies-list", 6, MINUTE, 20),
];

const ORIGIN: &[Dimension] = &[Organisation, Operation];
const OPEN_ORIGIN: &[Dimension] = &[Peer, Operation];
const FLOOR: &[Dimension] = &[Organisation, Customer, Operation, Resource];

/// Open Finance Brasil: traffic per origin, capacity, operational limits, status polling.
pub(crate) const OFB: &[Row] = &[
    calls("ofb-high", ORIGIN, 2_000, Window::Minute),
    calls("ofb-medium-high", ORIGIN, 1_500, Window::Minute),
    calls("ofb-medium", ORIGIN, 1_000, Window::Minute),
    calls("ofb-low", ORIGIN, 500, Window::Minute),
    calls("ofb-open-high", OPEN_ORIGIN, 2_000, Window::Minute),
    calls("ofb-open-medium-high", OPEN_ORIGIN, 1_500, Window::Minute),
    calls("ofb-open-medium", OPEN_ORIGIN, 1_000, Window::Minute),
    calls("ofb-open-low", OPEN_ORIGIN, 500, Window::Minute),
    calls("ofb-capacity", &[Api], 300, Window::Second),
    calls("ofb-monthly-4", FLOOR, 4, Window::Month),
    calls("ofb-monthly-30", FLOOR, 30, Window::Month),
    calls("ofb-monthly-120", FLOOR, 120, Window::Month),
    calls("ofb-monthly-240", FLOOR, 240, Window::Month),
    calls("ofb-monthly-420", FLOOR, 420, Window::Month),
    calls("ofb-payment-status", &[Operation], 300, Window::Second),
    calls("ofb-payment-status-institution", ORIGIN, 50, Window::Second),
    calls("ofb-payment-status-address", OPEN_ORIGIN, 8, Window::Second),
];

const OF_CUSTOMER: &[Dimension] = &[Client, Customer];
const LOW_TRAFFIC: &[(u16, u16)] = &[(0, 6 * 60)];

const fn per_second(name: &'static str, per: &'static [Dimension], attended: Option<bool>, most: u32) -> Row {
    Row { attended, ..calls(name, per, most, Window::Second) }
}

/// Consumer Data Standards 1.36.0, "Traffic Thresholds".
pub(crate) const CDR: &[Row] = &[
    per_second("cdr-present-customer", OF_CUSTOMER, Some(true), 10),
    per_second("cdr-present-product", &[Client], Some(true), 50),
    Row {
        name: "cdr-unattended-sessions",
        per: OF_CUSTOMER,
        attended: Some(false),
        hours: LOW_TRAFFIC,
        rule: Rule::Sessions { per_day: 20, calls: 100, per_second: 5, idle: Duration::from_secs(300) },
    },
    Row { hours: LOW_TRAFFIC, ..per_second("cdr-unattended-product", &[Client], Some(false), 50) },
    per_second("cdr-secure-10k", &[Api], None, 150),
    per_second("cdr-secure-20k", &[Api], None, 200),
    per_second("cdr-secure-30k", &[Api], None, 250),
    per_second("cdr-secure-40k", &[Api], None, 300),
    per_second("cdr-secure-50k", &[Api], None, 350),
    per_second("cdr-secure-60k", &[Api], None, 400),
    per_second("cdr-secure-above-60k", &[Api], None, 450),
    per_second("cdr-public", &[Api], None, 300),
];

// Published for each transaction; a stranger could use up a counter that all clients share.
const OF_CLIENT: &[Dimension] = &[Client, Resource];

/// How UPI may be used since August 2025.
pub(crate) const UPI: &[Row] = &[
    calls("upi-balance-enquiries", OF_CUSTOMER, 50, Window::Day),
    calls("upi-account-lists", OF_CUSTOMER, 25, Window::Day),
    Row {
        name: "upi-status-checks",
        per: OF_CLIENT,
        attended: None,
        hours: &[],
        rule: Rule::Polls {
            begins: Some(("createDomesticPayment", "/paymentId")),
            first: Duration::from_secs(90),
            gap: Duration::from_secs(90),
            most: 3,
            within: Duration::from_secs(2 * 3600),
        },
    },
    Row {
        name: "upi-mandate-executions",
        per: OF_CLIENT,
        attended: None,
        // Outside the peaks of 10:00-13:00 and 17:00-21:30.
        hours: &[(0, 600), (780, 1020), (1290, 1440)],
        // One attempt and three retries.
        rule: Rule::Polls { begins: None, first: Duration::ZERO, gap: Duration::ZERO, most: 1 + 3, within: DAY },
    },
];

impl Window {
    /// Returns its longest length.
    pub(crate) const fn length(self) -> Duration {
        match self {
            Window::Second => SECOND,
            Window::Minute => MINUTE,
            Window::Day => DAY,
            Window::Month => Duration::from_secs(31 * 24 * HOUR.as_secs()),
        }
    }
}
