//! What is asked of a limiter and what it answers, in words that every tier shares.
//!
//! This module must not know where anything is counted.

use std::sync::Arc;

use policies::code::Outage;
use policies::limit::{Costs, Limit, Mode, Values};
use policies::time::Timestamp;

/// One limit of a call, with what the call is counted as there: each limit may name people by a header of its own.
#[derive(Debug, Clone, Copy)]
pub struct Counted<'a> {
    /// The limit.
    pub limit: &'a Limit,
    /// What the call is counted as.
    pub values: Values<'a>,
    /// What names the thing of the limit's credit in this call ([`Credit::by`](policies::limit::Credit::by)), or a keyed
    /// hash of it; none where there is no credit, or the call names nothing.
    pub thing: Option<&'a str>,
}

impl<'a> Counted<'a> {
    /// Returns who the mark of a credit belongs to: the organisation, as two of its clients may make the two calls.
    #[must_use]
    pub fn whose_mark(values: &Values<'a>, owner: &'a str) -> &'a str {
        values.organisation.unwrap_or(owner)
    }

    /// Tells whether the call is counted, as far as the limit's mode and the values go.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.limit.mode != Mode::Off && self.limit.counts(&self.values)
    }
}

/// A call that is counted against limits, all together.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The limits, in the order that verdicts come in.
    ///
    /// Who asks leaves out those that do not count this call by [`When`](policies::limit::When); what is off, or has a
    /// dimension without a value, is answered as if nothing was used, and counts nothing.
    pub limits: &'a [Counted<'a>],
    /// Whose share of the counters it is: the id of the client, empty for the public.
    pub owner: &'a str,
    /// The name of the call, so that a store that is asked twice counts it once.
    pub call: &'a str,
    /// When it came.
    pub now: Timestamp,
}

/// The later call of a credit: it has succeeded, and may give tokens back.
#[derive(Debug, Clone, Copy)]
pub struct Happened<'a> {
    /// The limit with the credit.
    pub limit: &'a Limit,
    /// What the later call is counted as; whom the tokens are given to is known from the first one.
    pub values: &'a Values<'a>,
    /// Whose call it is, where the values name no organisation: a credit is given to who made both calls.
    pub owner: &'a str,
    /// What the header of the credit says.
    pub thing: &'a str,
    /// When it came.
    pub now: Timestamp,
}

/// Why nothing was judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Untaken {
    /// The call needs counters of its own, and its owner has as many as it may.
    KeysExhausted {
        /// The ids of the limits that need one.
        limits: Vec<Arc<str>>,
    },
    /// The store that all gateways share does not answer, and this limit lets nothing pass without it.
    Outage {
        /// The id of the limit.
        limit: Arc<str>,
        /// What happened.
        outage: Outage,
    },
}

/// Returns what a call still owes by the status of its answer, of which one token was taken beforehand.
///
/// An answer that has been given before gives no tokens: one call would else be repeated for more of them.
pub(super) fn owed(costs: &Costs, status: u16, repeated: bool) -> i64 {
    let cost = i64::from(costs.of(status));
    let cost = if repeated { cost.max(0) } else { cost };
    cost - 1
}
