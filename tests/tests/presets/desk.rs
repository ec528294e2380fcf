//! One place where calls come in: the limits of this process, and a clock that is moved by hand.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use adapters::limit::limits::{Asked, Counted, Happened, Limits};
use policies::limit::{Dimension, Limit, Values};
use policies::time::Timestamp;

const OWNER: &str = "app";

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    /// There was room.
    Passed,
    /// There was none, and there will be after this time.
    Refused(Duration),
}

/// Counts calls against one limit.
pub(crate) struct Desk<'a> {
    limits: Limits,
    limit: &'a Limit,
    calls: u64,
    /// What time it is.
    pub(crate) now: Timestamp,
}

impl<'a> Desk<'a> {
    /// Opens one where nothing was counted.
    pub(crate) fn open(limit: &'a Limit, now: Timestamp) -> Self {
        Self { limits: Limits::default(), limit, calls: 0, now }
    }

    /// Takes a call that is answered with this status; none if it is still under way.
    pub(crate) fn call(&mut self, values: &Values<'_>, status: Option<u16>) -> Came {
        self.call_about(values, status, None)
    }

    /// The same; `thing` is what the header of a credit names.
    pub(crate) fn call_about(&mut self, values: &Values<'_>, status: Option<u16>, thing: Option<&str>) -> Came {
        self.calls += 1;
        let counted = [Counted { limit: self.limit, values: *values, thing }];
        let call = self.calls.to_string();
        let asked = Asked { limits: &counted, owner: OWNER, call: &call, now: self.now };
        let mut taken = at_once(self.limits.take(&asked)).unwrap();
        let verdict = *taken.verdicts.first().unwrap();
        if !verdict.admitted {
            return Came::Refused(verdict.more_after);
        }
        at_once(self.limits.settle(&mut taken.holds, status, self.now));
        Came::Passed
    }

    /// Tells how many of so many calls pass now, each answered with this status.
    pub(crate) fn pass(&mut self, values: &Values<'_>, calls: u32, status: u16) -> u32 {
        let mut passed = 0;
        while passed < calls && self.call(values, Some(status)) == Came::Passed {
            passed += 1;
        }
        passed
    }

    /// Lets the later call of a credit succeed; tells whether it has given anything.
    pub(crate) fn happened(&self, values: &Values<'_>, thing: &str) -> bool {
        let happened = Happened { limit: self.limit, values, owner: OWNER, thing, now: self.now };
        at_once(self.limits.happened(&happened)).unwrap()
    }

    /// Lets the operation that begins something succeed.
    pub(crate) fn begun(&self, values: &Values<'_>) {
        let counted = Counted { limit: self.limit, values: *values, thing: None };
        at_once(self.limits.begun(&counted, OWNER, self.now)).unwrap();
    }

    /// Moves the clock on.
    pub(crate) fn wait(&mut self, time: Duration) {
        self.now = self.now + time;
    }
}

/// A call that has a value for every dimension.
pub(crate) fn all() -> Values<'static> {
    Values {
        client: Some(OWNER),
        organisation: Some("organisation"),
        operation: Some("operation"),
        api: Some("api"),
        customer: Some("customer"),
        consent: Some("consent"),
        subject: Some("subject"),
        resource: Some("resource"),
        peer: Some("peer"),
        provider: Some("provider"),
    }
}

/// The same with this value of one dimension.
pub(crate) fn with(dimension: Dimension, value: Option<&'static str>) -> Values<'static> {
    let mut values = all();
    let place = match dimension {
        Dimension::Client => &mut values.client,
        Dimension::Organisation => &mut values.organisation,
        Dimension::Operation => &mut values.operation,
        Dimension::Api => &mut values.api,
        Dimension::Customer => &mut values.customer,
        Dimension::Consent => &mut values.consent,
        Dimension::Subject => &mut values.subject,
        Dimension::Resource => &mut values.resource,
        Dimension::Peer => &mut values.peer,
        Dimension::Provider => &mut values.provider,
    };
    *place = value;
    values
}

fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("without a shared store nothing waits"),
    }
}
