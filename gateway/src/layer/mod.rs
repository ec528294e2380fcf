//! The stages and frames of the stack, one file each, each named by its verb.
//!
//! A layer holds no rule: it fetches facts, calls a pure function of `policies`, and does what it said.

pub(crate) mod answer;
pub mod assess;
pub mod audit;
pub mod authenticate;
pub mod challenge;
pub mod guard;
mod hygiene;
pub mod meter;
mod note;
pub mod once;
pub mod permit;
pub(crate) mod read;
pub mod redact;
pub mod route;
pub mod trace;
pub mod validate;

use policies::decide::{Denial, RuleName};
use spine::error::Rejection;
use spine::trail::Trail;

use crate::metrics::Metrics;

/// Notes on the trail how a stage ended.
pub(crate) fn noted<T>(trail: &Trail, stage: &'static str, result: Result<T, Rejection>) -> Result<T, Rejection> {
    trail.note_step(stage, result.as_ref().map_or_else(Rejection::name, |_| "pass"));
    result
}

/// Puts a rule's refusal into an answer, and notes on the trail which rule it was.
fn refused(trail: &Trail, denial: &Denial) -> Rejection {
    let Denial { refusal, rule, .. } = denial;
    let rejection = Rejection::new(refusal.code(), refusal.detail());
    // Which rule it was, and why nobody can judge it, is for administrators: the text for the client does not tell.
    if let Some(rule) = rule {
        trail.note_rule(rule);
    }
    if let Some(why) = refusal.cause() {
        trail.note_not_judged(why);
    }
    match (rule, refusal.cause()) {
        (Some(rule), Some(why)) => rejection.because(format!("{rule}: {why}")),
        (Some(rule), None) => rejection.because(rule),
        (None, Some(why)) => rejection.because(why),
        (None, None) => rejection,
    }
}

/// Notes and counts rules that would have refused, had they been enforced.
fn reported(metrics: &Metrics, trail: &Trail, rules: &[RuleName]) {
    for rule in rules {
        metrics.rules.reported(rule.kind);
    }
    trail.note_reports(rules.iter().cloned());
}
