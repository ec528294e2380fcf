//! Runs cases, each on a house of its own, and tells what came of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use policies::audit::Facts;
use policies::case::{Case, Given, Step};
use policies::language::Place;
use policies::rule::RuleName;
use serde_json::Value;

use super::call::Outcome;
use super::cover::Coverage;
use super::eras::begins;
use super::error::TrialError;
use super::judge;
use super::located::{Places, Seen};
use super::scene::Scene;
use super::trial::Trial;

/// What came of one case.
#[derive(Debug)]
pub struct Verdict {
    /// What it is called.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// How long it took.
    pub took: Duration,
    /// What was not as expected; empty if it passed.
    pub failures: Vec<Failure>,
}

/// A step whose answer was not as expected.
#[derive(Debug)]
pub struct Failure {
    /// Which step, from 1.
    pub step: usize,
    /// Where it stands.
    pub place: Place,
    /// What was expected, and what came instead; one line each.
    pub misses: Vec<String>,
    /// The stages with what they decided, in order.
    pub stages: Vec<(&'static str, &'static str)>,
    /// What refused, if anything did.
    pub refused: Option<RefusedBy>,
    /// What the gateway said, in a few lines.
    pub answer: Vec<String>,
}

/// What refused a call.
#[derive(Debug)]
pub struct RefusedBy {
    /// The stage.
    pub stage: &'static str,
    /// What it called its reason.
    pub decision: &'static str,
    /// The rule or limit, if an administrator wrote one for this alone.
    pub rule: Option<RuleName>,
    /// Why it could not be judged, if that is why.
    pub why: Option<Arc<str>>,
    /// Where it stands, `file:line`; empty if no file says it.
    pub at: String,
    seen: Seen,
}

impl RefusedBy {
    fn of(given: &Given, outcome: &Outcome) -> Option<Self> {
        let stage = outcome.stage().filter(|stage| *stage != "deed")?;
        let seen = Seen {
            operation: Some(given.operation.as_str().to_owned()),
            client: given.client.as_ref().map(|client| client.as_str().to_owned()),
            ..Seen::default()
        };
        let Facts { refused_by, not_judged, .. } = &outcome.facts;
        let steps = outcome.stages();
        let decision = steps.iter().find(|(known, _)| *known == stage).map_or("refused", |(_, decision)| *decision);
        Some(Self { stage, decision, rule: refused_by.clone(), why: not_judged.clone(), at: String::new(), seen })
    }
}

#[cfg(test)]
impl RefusedBy {
    pub(super) fn at(stage: &'static str, rule: Option<RuleName>, why: Option<Arc<str>>, at: &str) -> Self {
        Self { stage, decision: "refused", rule, why, at: at.to_owned(), seen: Seen::default() }
    }
}

impl Verdict {
    /// Looks up where the rules stand that refused.
    pub fn locate(&mut self, places: &Places<'_>) {
        for refused in self.failures.iter_mut().filter_map(|failure| failure.refused.as_mut()) {
            refused.at = match &refused.rule {
                Some(rule) => places.of_rule(rule),
                None => places.of(refused.stage, refused.decision, &refused.seen),
            };
        }
    }
}

impl Trial {
    /// Runs a case on a house of its own, and tells what it has covered.
    pub async fn run(&self, case: &Case, coverage: &mut Coverage) -> Verdict {
        let began = Instant::now();
        let begins = begins(case, |id| self.generation().rulebook.clients.get(id));
        let scene = Scene::new(&self.stage, begins);
        let mut failures = Vec::new();
        let mut before = None;
        for (index, step) in case.steps.iter().enumerate() {
            let _ = scene.house.clock.advance(step.after);
            let outcome = self.repeated(&scene, step, before.as_ref(), coverage).await;
            let misses = match &outcome {
                Ok(outcome) => judge::misses(&step.expect, outcome),
                Err(error) => vec![format!("the call could not be made: {error}")],
            };
            if !misses.is_empty() {
                let outcome = outcome.as_ref().ok();
                failures.push(Failure {
                    step: index + 1,
                    place: step.place.clone(),
                    misses,
                    refused: outcome.and_then(|outcome| RefusedBy::of(&step.given, outcome)),
                    stages: outcome.map(Outcome::stages).unwrap_or_default(),
                    answer: outcome.map(Outcome::lines).unwrap_or_default(),
                });
                // What follows stands on what came before.
                break;
            }
            before = outcome.ok().and_then(|outcome| outcome.json);
        }
        Verdict { name: case.name.clone(), place: case.place.clone(), took: began.elapsed(), failures }
    }

    async fn repeated(
        &self,
        scene: &Scene<'_>,
        step: &Step,
        before: Option<&Value>,
        coverage: &mut Coverage,
    ) -> Result<Outcome, TrialError> {
        let mut under_way = Vec::new();
        for _ in 0..step.under_way {
            under_way.push(self.begin(scene, &step.given, before).await?);
        }
        let mut last = Err(TrialError::new("it is made no time"));
        for _ in 0..step.repeat {
            let outcome = self.call(scene, &step.given, before).await?;
            coverage.note(&scene.generation().rulebook, &step.given, &outcome);
            last = Ok(outcome);
        }
        if !under_way.is_empty() {
            // They end now; what the trail says of them is of no later call.
            drop(under_way);
            let _ = scene.house.audit.take();
        }
        last
    }
}
