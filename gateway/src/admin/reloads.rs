//! What administrators ask of the reloader: what is in force, and that the files of now be.

use std::sync::Arc;

use http::StatusCode;
use policies::caller::Caller;
use policies::code::Code;
use serde_json::{Map, Value, json};
use spine::Reply;
use spine::error::Rejection;
use spine::stage::Cleared;

use crate::desk::{Cause, Outcome, Refused, Wish};
use crate::generation::Generation;
use crate::house::House;
use crate::reply::json_reply;

/// The most findings of one answer, as the contract says.
pub const FINDINGS_MAX: usize = 50;

/// The longest text for people, in characters, as the contract says.
pub const RENDERED_MAX: usize = 32 * 1024;

/// Tells whoever asks whether this process is ready, by which policies; what is wrong with others is for administrators.
pub(super) fn readiness(house: &House, generation: &Generation) -> Value {
    let mut told = Map::new();
    told.insert("status".to_owned(), json!("ready"));
    told.extend(in_force(house, generation));
    if let Some(refused) = house.desk.refused() {
        let (at, findings) = (refused.at.to_string(), refused.findings.len());
        told.insert("lastRefused".to_owned(), json!({"at": at, "by": refused.by.word(), "findings": findings}));
    }
    Value::Object(told)
}

/// Tells an administrator what is in force, since when and why, and what was refused last.
pub(super) fn standing(house: &House, generation: &Generation) -> Value {
    let mut told = in_force(house, generation);
    told.extend(administrator(&generation.birth.by));
    if let Some(at) = generation.changes_at {
        told.insert("changesAt".to_owned(), json!(at.to_string()));
    }
    if let Some(refused) = house.desk.refused() {
        let mut last = Map::new();
        last.insert("at".to_owned(), json!(refused.at.to_string()));
        last.insert("by".to_owned(), json!(refused.by.word()));
        last.extend(administrator(&refused.by));
        last.insert("findings".to_owned(), json!(first(&refused.findings)));
        last.insert("rendered".to_owned(), json!(rendered(&refused)));
        told.insert("lastRefused".to_owned(), Value::Object(last));
    }
    Value::Object(told)
}

/// Has everything read again, and tells what became of it; it goes on if nobody waits for it any more.
pub(super) async fn reload(house: &House, cleared: &Cleared) -> Result<Reply, Rejection> {
    let Caller::Administrator(administrator) = cleared.caller() else {
        return Err(Rejection::new(Code::Internal, "Nothing was read.").because("the caller is no administrator"));
    };
    let (told, hears) = tokio::sync::oneshot::channel::<Arc<Outcome>>();
    let tell = Box::new(move |outcome: &Arc<Outcome>| drop(told.send(Arc::clone(outcome))));
    let wish = Wish { by: Cause::Administrator(administrator.id().clone()), policies: None, tell: Some(tell) };
    house.desk.ask(wish).map_err(|_| {
        Rejection::new(Code::Capacity, "Too many wait for a reload already. Ask again when it is done.")
    })?;
    let lost = |_| Rejection::new(Code::Internal, "The files were not read.").because("the reloader has ended");
    let outcome = hears.await.map_err(lost)?;
    cleared.trail.note_step("reload", if outcome.refused.is_some() { "refused" } else { "in force" });
    let renewed = json!(outcome.renewed);
    let Some(refused) = &outcome.refused else {
        let body = json!({
            "generation": outcome.generation, "digest": &*outcome.digest, "changed": outcome.changed,
            "renewed": renewed, "warnings": first(&outcome.warnings),
        });
        return Ok(json_reply(StatusCode::OK, &body));
    };
    let detail = if outcome.changed {
        format!(
            "Generation {} is new and decides; another part of the files is wrong and stays as it was.",
            outcome.generation
        )
    } else {
        format!("Generation {} stays in force.", outcome.generation)
    };
    Err(Rejection::new(Code::ReloadRefused, detail)
        .because(format!("{} findings", refused.findings.len()))
        .member("generation", json!(outcome.generation))
        .member("changed", json!(outcome.changed))
        .member("renewed", renewed)
        .member("findings", json!(first(&refused.findings)))
        .member("rendered", json!(rendered(refused))))
}

fn in_force(house: &House, generation: &Generation) -> Map<String, Value> {
    let told = json!({
        "generation": generation.number,
        "digest": &*generation.bundle.name,
        "loadedAt": generation.birth.at.to_string(),
        "loadedBy": generation.birth.by.word(),
        "faults": house.desk.faults(),
    });
    if let Value::Object(members) = told { members } else { Map::new() }
}

fn administrator(by: &Cause) -> Option<(String, Value)> {
    match by {
        Cause::Administrator(id) => Some(("administrator".to_owned(), json!(id.as_str()))),
        Cause::Applied { by, .. } => Some(("administrator".to_owned(), json!(by.as_str()))),
        Cause::Start | Cause::Signal | Cause::Watch | Cause::OverrideEnded => None,
    }
}

pub(super) fn first(findings: &[Value]) -> Vec<&Value> {
    findings.iter().take(FINDINGS_MAX).collect()
}

fn rendered(refused: &Refused) -> String {
    rendered_text(&refused.text)
}

pub(super) fn rendered_text(text: &str) -> String {
    text.chars().take(RENDERED_MAX).collect()
}
