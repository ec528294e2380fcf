//! What one policy set means over time: overrides end by themselves, and cases may begin before and end after.
//!
//! Each era is compiled of the same texts, as a gateway that runs does when an override ends.

use std::sync::Arc;
use std::time::Duration;

use policies::case::{Case, Fixtures};
use policies::id::ClientId;
use policies::language::Allowed;
use policies::language::effective::Effective;
use policies::rulebook::Client;
use policies::time::Timestamp;

use crate::findings::Findings;
use crate::generation::{Birth, Generation};
use crate::load::join;

/// When a case begins that does not say so: 2026-11-23T10:00:00Z, a Monday; earlier if its client's licence ends before.
pub const START: Timestamp = Timestamp::from_seconds(1_795_428_000);

/// The key of operations that lets them be looser until a day.
const OVERRIDE: &str = "override";

/// Compiles a set again for the times that cases play at: as it is when the first begins, and after each change until
/// the last ends.
///
/// A set without overrides means the same at all times, and stays as it is.
///
/// # Errors
/// What is wrong with its texts; they were right before.
pub fn eras(
    set: Generation,
    effective: &Effective,
    fixtures: &Fixtures,
    cases: &[Case],
) -> Result<(Generation, Vec<Generation>), Findings> {
    let client = |id: &ClientId| set.rulebook.clients.get(id).or_else(|| fixtures.clients.get(id));
    let begin = cases.iter().map(|case| begins(case, client)).min();
    let end = cases.iter().map(|case| begins(case, client) + lasts(case)).max();
    let overrides =
        effective.rows.iter().any(|row| matches!(row.path.as_slice(), [_, _, _, _, key, ..] if key == OVERRIDE));
    let (true, Some(begin), Some(end)) = (overrides, begin, end) else { return Ok((set, Vec::new())) };
    let first = compiled(&set, begin)?;
    let mut later: Vec<Generation> = Vec::new();
    while let Some(at) = later.last().unwrap_or(&first).changes_at.filter(|at| *at <= end) {
        later.push(compiled(&first, at)?);
    }
    Ok((first, later))
}

/// Returns when a case begins: where it does not say so, on a day that the licences of its clients cover.
pub(super) fn begins<'c>(case: &Case, client: impl Fn(&ClientId) -> Option<&'c Arc<Client>>) -> Timestamp {
    let clients = case.steps.iter().filter_map(|step| step.given.client.as_ref());
    let ends = clients.filter_map(|id| Some(client(id)?.organisation.licence_ends));
    let last = ends.min().unwrap_or(Timestamp::MAX);
    let usual = if START < last { START } else { last - Duration::from_secs(12 * 3600) };
    case.at.unwrap_or(usual)
}

fn lasts(case: &Case) -> Duration {
    case.steps.iter().fold(Duration::ZERO, |sum, step| sum.saturating_add(step.after))
}

fn compiled(set: &Generation, at: Timestamp) -> Result<Generation, Findings> {
    let birth = Birth { at, ..set.birth.clone() };
    // Where clients are told of events does not matter here: nobody is told.
    let allowed = Allowed { private_endpoints: true };
    let loaded = join(Arc::clone(&set.texts), set.bundle.clone(), allowed, birth, Some(&set.contract))?;
    Ok(loaded.generation)
}
