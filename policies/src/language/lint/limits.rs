//! What is weak about limits: whom they do not count, and who could use them up for everybody.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;
use std::time::Duration;

use super::report::Report;
use super::rules::{
    BURST_LARGE, HEADER_OPTIONAL, HEADER_UNSEEN, LIMIT_WAITS, LIMIT_WITHOUT_STORE, PLACES_SHARED, STRANGERS_COUNTED,
};
use crate::facts::{OperationFacts, Security};
use crate::language::compile::Compiled;
use crate::language::units;
use crate::limit::{Bucket, Dimension, Limit, Mode, Shape, Window, WithoutStore};
use crate::rulebook::{OperationPolicy, Rulebook};

/// Counters that are kept for so long, and that strangers can use up, keep others out for as long.
const LONG: Duration = Duration::from_secs(3600);

/// Who has counters of their own by one of these takes nobody else's places.
const OF_ONE: [Dimension; 5] =
    [Dimension::Client, Dimension::Organisation, Dimension::Customer, Dimension::Consent, Dimension::Peer];

/// Strangers have as many of these as they like.
const MADE_UP: [Dimension; 3] = [Dimension::Subject, Dimension::Resource, Dimension::Peer];

type Exposed<'a> = HashMap<&'a str, &'a OperationFacts>;

/// Looks at every limit that is defined, and at every one that is enforced.
pub(super) fn look(report: &mut Report<'_>, compiled: &Compiled, operations: &[OperationFacts]) {
    let rulebook = &compiled.rulebook;
    defined(report, rulebook);
    let exposed = |facts: &&OperationFacts| rulebook.operations.contains_key(facts.id.as_str());
    let exposed: Exposed<'_> = operations.iter().filter(exposed).map(|facts| (facts.id.as_str(), facts)).collect();
    for policy in rulebook.operations.values() {
        let Some(facts) = exposed.get(policy.operation.as_str()) else { continue };
        let path = ["apis", policy.api.as_str(), "operations", policy.operation.as_str(), "limits"];
        for limit in enforced(&policy.limits).filter(|limit| counts(limit, policy)) {
            subject(report, &path, limit, facts);
            strangers(report, &path, limit, policy);
            credit(report, limit, &exposed);
            places(report, limit);
        }
    }
    // A set without clients is a part of one, for others to build on: nobody has its plans.
    let plans: BTreeMap<&str, &[Limit]> =
        rulebook.clients.values().map(|client| (client.plan.id.as_str(), client.plan.limits.as_slice())).collect();
    for limit in plans.into_values().flat_map(enforced) {
        planned(report, limit, rulebook, &exposed);
        credit(report, limit, &exposed);
        places(report, limit);
    }
}

fn enforced(limits: &[Limit]) -> impl Iterator<Item = &Limit> {
    limits.iter().filter(|limit| limit.mode == Mode::Enforce)
}

fn counts(limit: &Limit, policy: &OperationPolicy) -> bool {
    let by_client = matches!(policy.security, Security::AccessToken | Security::ClientAuthentication);
    limit.concerns(by_client) && limit.when.concerns(Some(policy.operation.as_str()))
}

// The name that a limit has in the files: that of its plan, if it is written out there.
fn name(limit: &Limit) -> &str {
    limit.id.split(':').next().unwrap_or_default()
}

// Whom a limit counts by a header is whom the caller says, if it says anybody.
fn subject(report: &mut Report<'_>, path: &[&str], limit: &Limit, facts: &OperationFacts) {
    let Some(header) = &limit.subject else { return };
    let (name, operation, at) = (name(limit), &facts.id, &facts.origin);
    match facts.header(header) {
        Some(described) if described.required => {}
        Some(_) => {
            let message = format!("`{name}` counts by `{header}`, which `{operation}` may be called without");
            let help = format!("say `required: true` of it ({at}): who leaves it out is counted by other limits only");
            report.tell(&HEADER_OPTIONAL, path, message, &help);
        }
        None => {
            let message = format!("`{name}` counts by `{header}`, which the contract of `{operation}` does not know");
            let help = format!(
                "describe it with `required: true` ({at}): no backend sees it, and who leaves it out is not counted"
            );
            report.tell(&HEADER_UNSEEN, path, message, &help);
        }
    }
}

// A plan's limit counts at the operations that it names, or else where it can: where a contract knows the header.
fn planned(report: &mut Report<'_>, limit: &Limit, rulebook: &Rulebook, exposed: &Exposed<'_>) {
    let Some(header) = &limit.subject else { return };
    let path = path(report, limit, &["subject"]);
    let concerned = rulebook.operations.values().filter(|policy| counts(limit, policy));
    let mut concerned: Vec<&OperationFacts> =
        concerned.filter_map(|policy| exposed.get(policy.operation.as_str()).copied()).collect();
    if limit.when.operations.is_empty() {
        concerned.retain(|facts| facts.header(header).is_some());
        if concerned.is_empty() && !exposed.is_empty() {
            let message = format!("`{}` counts by `{header}`, which the contract of no operation knows", name(limit));
            let help = "describe it with `required: true`: no backend sees it, and who leaves it out is not counted";
            report.tell(&HEADER_UNSEEN, &path, message, help);
        }
    }
    for facts in concerned {
        subject(report, &path, limit, facts);
    }
}

// Both calls name one thing only if somebody beside the limit reads its name.
fn credit(report: &mut Report<'_>, limit: &Limit, exposed: &Exposed<'_>) {
    let Shape::Bucket(Bucket { credit: Some(credit), .. }) = &limit.shape else { return };
    let Some(facts) = exposed.get(credit.operation.as_str()) else { return };
    if facts.header(&credit.by).is_none() {
        let (name, by, operation) = (name(limit), &credit.by, &credit.operation);
        let message = format!("`{name}` gives back by `{by}`, which the contract of `{operation}` does not know");
        let help =
            format!("describe it there ({}): no backend sees it, so that clients name what they like", facts.origin);
        report.tell(&HEADER_UNSEEN, &path(report, limit, &["credit", "by"]), message, &help);
    }
}

fn places(report: &mut Report<'_>, limit: &Limit) {
    let of_one = limit.per.iter().any(|dimension| OF_ONE.contains(dimension));
    if matches!(limit.shape, Shape::InFlight(_)) && !of_one {
        let message = format!("one caller can take all places of `{}`", name(limit));
        let help = "count by `client` or `organisation` too: who reads its answers slowly gives none back meanwhile";
        report.tell(&PLACES_SHARED, &path(report, limit, &["inFlight"]), message, help);
    }
}

fn strangers(report: &mut Report<'_>, path: &[&str], limit: &Limit, policy: &OperationPolicy) {
    let made_up = limit.per.iter().find(|dimension| MADE_UP.contains(dimension));
    if let Some(dimension) = made_up.filter(|_| policy.security == Security::Public && kept(&limit.shape) >= LONG) {
        let operation = &policy.operation;
        let message = format!(
            "strangers can use up all counters of `{}` by `{}` at `{operation}`",
            name(limit),
            dimension.word()
        );
        report.tell(
            &STRANGERS_COUNTED,
            path,
            message,
            "let it count in minutes: what strangers leave is forgotten then",
        );
    }
}

// How long a counter is kept after one call; a calendar window is taken for an hour if it is not shorter.
fn kept(shape: &Shape) -> Duration {
    match shape {
        Shape::Bucket(bucket) => {
            let costs = bucket.costs.iter().flat_map(|costs| costs.of.values().chain([&costs.otherwise])).copied();
            let dearest = costs.max().map_or(1, |cost| u32::try_from(cost).unwrap_or(1).max(1));
            bucket.rate.per.saturating_mul(dearest) / bucket.rate.count.get()
        }
        Shape::Quota(quota) => match quota.window {
            Window::Second | Window::Minute => Duration::ZERO,
            Window::Hour | Window::Day | Window::Month => LONG,
            Window::Rolling(window) => window,
        },
        Shape::InFlight(_) => Duration::ZERO,
        Shape::Polls(polls) => polls.within,
        Shape::Sessions(_) => LONG,
    }
}

// Where a limit stands: under its name, or in the plan that it is written out in.
fn path<'a>(report: &Report<'_>, limit: &'a Limit, keys: &[&'a str]) -> Vec<&'a str> {
    let name = name(limit);
    match report.written.place(&["limits", name]) {
        Some(_) => ["limits", name].into_iter().chain(keys.iter().copied()).collect(),
        None => vec!["plans", name, "limits"],
    }
}

fn defined(report: &mut Report<'_>, rulebook: &Rulebook) {
    let names: Vec<String> = report.written.names("limits").map(|(name, _)| name.to_owned()).collect();
    for name in names {
        burst(report, &name);
        waits(report, rulebook, &name);
        let path = ["limits", &name, "withoutStore"];
        if let Some([word]) = report.written.value(&path)
            && word == WithoutStore::Allow.word()
        {
            let message = format!("`{name}` counts nothing while the shared store is away");
            report.tell(&LIMIT_WITHOUT_STORE, &path, message, "say `local-share` or `deny`");
        }
    }
}

// A set without operations is a part of one, for others to build on.
fn waits(report: &mut Report<'_>, rulebook: &Rulebook, name: &str) {
    for keys in [&["credit", "operation"][..], &["polls", "after", "operation"]] {
        let path: Vec<&str> = ["limits", name].into_iter().chain(keys.iter().copied()).collect();
        let Some([operation]) = report.written.value(&path) else { continue };
        if !rulebook.operations.is_empty() && !rulebook.operations.contains_key(operation.as_str()) {
            let message = format!("`{name}` waits for `{operation}`, which no policy exposes");
            report.tell(&LIMIT_WAITS, &path, message, "expose the operation, or name another");
        }
    }
}

fn burst(report: &mut Report<'_>, name: &str) {
    let value = |key: &str| report.written.value(&["limits", name, key]).and_then(<[String]>::first).cloned();
    if let (Some(rate), Some(burst)) = (value("rate"), value("burst"))
        && let (Some(rate), Some(burst)) = (units::rate(&rate), units::whole(&burst))
    {
        // Slow rates need a burst of more than a minute's worth to let anything through at all.
        let minute = u64::from(NonZeroU32::get(rate.count)).saturating_mul(60) / rate.per.as_secs().max(1);
        if burst > minute.max(10) {
            let message = format!("the burst of `{name}` is more than {rate} gives in a minute");
            report.tell(&BURST_LARGE, &["limits", name, "burst"], message, "write a smaller burst");
        }
    }
}
