//! Runs cases, each on a house of its own, and tells what came of them.

use std::time::{Duration, Instant};

use policies::case::{Case, Step};
use policies::language::Place;
use policies::time::Timestamp;
use serde_json::Value;

use super::call::Outcome;
use super::cover::Coverage;
use super::error::TrialError;
use super::judge;
use super::scene::Scene;
use super::trial::Trial;

/// When a case begins that does not say so: 2026-11-23T10:00:00Z, a Monday; earlier if its client's licence ends before.
pub const START: Timestamp = Timestamp::from_seconds(1_795_428_000);

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
    /// What the gateway said, in a few lines.
    pub answer: Vec<String>,
}

impl Trial {
    /// Runs a case on a house of its own, and tells what it has covered.
    pub async fn run(&self, case: &Case, coverage: &mut Coverage) -> Verdict {
        let began = Instant::now();
        let start = case.at.unwrap_or_else(|| self.start(case));
        let scene = Scene::new(&self.stage, start);
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
        let mut last = Err(TrialError::new("it is made no time"));
        for _ in 0..step.repeat {
            let outcome = self.call(scene, &step.given, before).await?;
            coverage.note(&self.stage.generation.rulebook, &step.given, &outcome);
            last = Ok(outcome);
        }
        last
    }

    // On a day that the licence covers.
    fn start(&self, case: &Case) -> Timestamp {
        let clients = case.steps.iter().filter_map(|step| step.given.client.as_ref());
        let ends =
            clients.filter_map(|id| Some(self.stage.generation.rulebook.clients.get(id)?.organisation.licence_ends));
        let last = ends.min().unwrap_or(Timestamp::MAX);
        if START < last { START } else { last - Duration::from_secs(12 * 3600) }
    }
}
