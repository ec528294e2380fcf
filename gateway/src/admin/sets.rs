//! Changes of the policy set: proposed, approved by others, put in force, and taken back by the same way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use policies::admin::{AdminRole, Administrator};
use policies::caller::Caller;
use policies::change::{Act, ChangeRefusal, History, Proposal, ProposalState};
use policies::code::{Code, Outage};
use policies::id::AdminId;
use policies::jose::base64url;
use policies::language::Source;
use policies::language::diff::{Change, Side, diff};
use policies::language::units::{shown_bytes, shown_duration};
use serde_json::{Map, Value, json};
use spine::Reply;
use spine::error::{PointedFault, Rejection};
use spine::stage::{Cleared, SoundBody};

use super::reloads::{first, rendered_text};
use super::role::{READERS, allow};
use crate::changes::{Changes, NotDone};
use crate::desk::{Cause, Outcome, Wish};
use crate::generation::{Birth, Bundle, Generation};
use crate::house::House;
use crate::load::{Findings, Loaded, join};
use crate::reply::json_reply;
use crate::texts::{Policies, Texts};

/// The most proposals of one answer, as the contract says.
pub const LISTED_MAX: usize = 100;

/// The most differences of one answer, as the contract says.
pub const CHANGES_SHOWN_MAX: usize = 10_000;

/// The longest value of a difference, in characters, as the contract says.
const SHOWN_CHARACTERS_MAX: usize = 10_000;

/// How much of what is the same is shown before a difference in a long value, in characters.
const SAME_SHOWN: usize = 100;

/// What no set may leave out, nor bound closer than to so many bytes and so long a time: without these, nobody could ever
/// bring in another.
const NEEDED: [(&str, usize, Duration); 4] = [
    ("getPolicySet", 1, LEAST_TIME),
    ("proposePolicySet", 1024 * 1024, LEAST_TIME),
    ("approvePolicySet", 1, LEAST_TIME),
    ("restorePolicySet", 4096, LEAST_TIME),
];

const LEAST_TIME: Duration = Duration::from_secs(5);

/// Lists proposals, the newest first.
pub(super) async fn list(house: &House, cleared: &Cleared) -> Result<Reply, Rejection> {
    allow(cleared, &READERS)?;
    let Some(changes) = &house.changes else { return Ok(json_reply(StatusCode::OK, &json!({"policySets": []}))) };
    let history = changes.catch_up().await.map_err(away)?;
    let query = cleared.head.uri.query().unwrap_or_default();
    let before = query.split('&').find_map(|pair| pair.strip_prefix("before=")).and_then(|text| text.parse().ok());
    let wanted = history.proposals().filter(|proposal| proposal.number < before.unwrap_or(u64::MAX));
    let listed: Vec<Value> = wanted.take(LISTED_MAX).map(|proposal| Value::Object(told(&history, proposal))).collect();
    let mut body = json!({"approval": changes.people().count(), "policySets": listed});
    if let (Some(proposal), Some(members)) = (history.in_force(), body.as_object_mut()) {
        members.insert("inForce".to_owned(), json!(proposal.number));
    }
    Ok(json_reply(StatusCode::OK, &body))
}

/// Shows one proposal with its files and, while it is open, with what it would change.
pub(super) async fn show(house: &House, generation: &Generation, cleared: &Cleared) -> Result<Reply, Rejection> {
    allow(cleared, &READERS)?;
    let changes = configured(house)?;
    let number = number(cleared);
    let history = changes.catch_up().await.map_err(away)?;
    let proposal = history.proposal(number).map_err(|refusal| refused(&refusal))?;
    let files = files(&changes.texts(proposal).await.map_err(away)?).map_err(away)?;
    let mut body = told(&history, proposal);
    if history.state(number) == Some(ProposalState::Open) {
        // One that cannot be put in force any more is shown all the same: its faults are told when it is approved.
        if let Ok(tried) = tried(changes, generation, files.clone(), cleared).await? {
            body.extend(tried.told());
        }
    }
    let files: Vec<Value> = files.iter().map(|file| json!({"name": &*file.name, "text": &*file.text})).collect();
    body.insert("files".to_owned(), json!(files));
    Ok(json_reply(StatusCode::OK, &Value::Object(body)))
}

/// Takes a proposal whose set has no fault.
pub(super) async fn propose(house: &House, generation: &Generation, cleared: &Cleared) -> Result<Reply, Rejection> {
    allow(cleared, &[AdminRole::Editor])?;
    let changes = configured(house)?;
    let body = body(cleared)?;
    let files = given(body)?;
    let bundle = Bundle::of(files.iter().map(|file| (&*file.name, &*file.text)));
    let tried = tried(changes, generation, files, cleared).await?.map_err(|findings| faulty(&findings))?;
    let note = note(body);
    let added = added(house, cleared, &bundle.text, |history, _| history.propose(bundle.digest, note)).await?;
    let mut told = added.told()?;
    told.extend(tried.told());
    Ok(json_reply(StatusCode::CREATED, &Value::Object(told)))
}

/// Proposes the files of an earlier set again.
pub(super) async fn restore(house: &House, generation: &Generation, cleared: &Cleared) -> Result<Reply, Rejection> {
    allow(cleared, &[AdminRole::Editor])?;
    let changes = configured(house)?;
    let (number, note) = (number(cleared), note(body(cleared)?));
    let history = changes.catch_up().await.map_err(away)?;
    history.restore(number, note).map_err(|refusal| refused(&refusal))?;
    let proposal = history.proposal(number).map_err(|refusal| refused(&refusal))?;
    let texts = changes.texts(proposal).await.map_err(away)?;
    let files = files(&texts).map_err(away)?;
    let tried = tried(changes, generation, files, cleared).await?.map_err(|findings| faulty(&findings))?;
    let added = added(house, cleared, &texts, |history, _| history.restore(number, note)).await?;
    let mut told = added.told()?;
    told.extend(tried.told());
    Ok(json_reply(StatusCode::CREATED, &Value::Object(told)))
}

/// Takes an approval; the last one that is needed puts the set in force.
pub(super) async fn approve(house: &House, generation: &Generation, cleared: &Cleared) -> Result<Reply, Rejection> {
    allow(cleared, &[AdminRole::Approver])?;
    let changes = configured(house)?;
    let (number, by) = (number(cleared), administrator(cleared)?.id());
    let history = changes.catch_up().await.map_err(away)?;
    let still = still(house);
    history.approve(number, by, changes.people(), &still).map_err(|refusal| refused(&refusal))?;
    let proposal = history.proposal(number).map_err(|refusal| refused(&refusal))?;
    let files = files(&changes.texts(proposal).await.map_err(away)?).map_err(away)?;
    // Contracts may have changed since: what cannot be put in force is not approved.
    tried(changes, generation, files.clone(), cleared).await?.map_err(|findings| faulty(&findings))?;
    let added = added(house, cleared, b"", |history, people| history.approve(number, by, people, &still)).await?;
    let mut told = told(&added.history, added.history.proposal(number).map_err(|refusal| refused(&refusal))?);
    if added.history.state(number) == Some(ProposalState::InForce) {
        let outcome = put_in_force(house, Cause::Applied { proposal: number, by: by.clone() }, files).await?;
        if let Some(refused) = &outcome.refused
            && !outcome.changed
        {
            // It stands in the history as approved; every replica tries it until it is in force.
            let detail = "It is approved, but this gateway could not put it in force yet and goes on trying.";
            return Err(Rejection::new(Code::ReloadRefused, detail)
                .member("findings", json!(first(&refused.findings)))
                .member("rendered", json!(rendered_text(&refused.text))));
        }
        told.insert("generation".to_owned(), json!(outcome.generation));
    }
    Ok(json_reply(StatusCode::OK, &Value::Object(told)))
}

/// Withdraws or refuses a proposal.
pub(super) async fn withdraw(house: &House, cleared: &Cleared) -> Result<Reply, Rejection> {
    allow(cleared, &[AdminRole::Editor, AdminRole::Approver])?;
    configured(house)?;
    let number = number(cleared);
    let added = added(house, cleared, b"", |history, _| history.withdraw(number)).await?;
    let proposal = added.history.proposal(number).map_err(|refusal| refused(&refusal))?;
    Ok(json_reply(StatusCode::OK, &Value::Object(told(&added.history, proposal))))
}

/// Has the files of a proposal put in force by the reloader.
///
/// # Errors
/// Nobody reloads any more, or too many wait.
pub(crate) async fn put_in_force(house: &House, by: Cause, files: Vec<Source>) -> Result<Arc<Outcome>, Rejection> {
    let (told, hears) = tokio::sync::oneshot::channel::<Arc<Outcome>>();
    let tell = Box::new(move |outcome: &Arc<Outcome>| drop(told.send(Arc::clone(outcome))));
    let wish = Wish { by, policies: Some(Policies::Given(files)), tell: Some(tell) };
    house.desk.ask(wish).map_err(|_| Rejection::new(Code::Capacity, "Too many wait for a reload already."))?;
    let lost = |_| Rejection::new(Code::Internal, "The set is not in force here.").because("the reloader has ended");
    hears.await.map_err(lost)
}

/// Reads the files of a proposal as the store keeps them.
///
/// # Errors
/// Texts that are not such files: an outage of the store.
pub(crate) fn files(texts: &[u8]) -> Result<Vec<Source>, Outage> {
    let files: BTreeMap<String, String> =
        serde_json::from_slice(texts).map_err(|error| Outage::new("changes", error))?;
    Ok(files.into_iter().map(|(name, text)| Source::new(name, text)).collect())
}

/// A set that could be put in force.
struct Tried {
    changes: Vec<Change>,
    warnings: Findings,
}

impl Tried {
    fn told(&self) -> Map<String, Value> {
        let changes: Vec<Value> = self.changes.iter().take(CHANGES_SHOWN_MAX).map(difference).collect();
        let mut told = Map::new();
        told.insert("changes".to_owned(), json!(changes));
        let hidden = self.changes.len().saturating_sub(CHANGES_SHOWN_MAX);
        if hidden > 0 {
            told.insert("changesNotShown".to_owned(), json!(hidden));
        }
        told.insert("warnings".to_owned(), json!(first(&self.warnings.to_json())));
        told
    }
}

/// Tells who may today do what they did.
fn still(house: &House) -> impl Fn(&AdminId, AdminRole) -> bool {
    let secrets = house.secrets.load_full();
    move |id: &AdminId, role: AdminRole| {
        secrets.administrators.iter().any(|entry| entry.id == *id && entry.roles.contains(&role))
    }
}

fn difference(change: &Change) -> Value {
    let value = |side: &Option<Side>| side.as_ref().map(|side| side.value.join(", "));
    let (before, after) = (value(&change.before), value(&change.after));
    let from = window(before.as_deref().unwrap_or_default(), after.as_deref().unwrap_or_default());
    let mut told = Map::new();
    told.insert("path".to_owned(), json!(change.path.join(".")));
    told.insert("effect".to_owned(), json!(change.direction.word()));
    for (name, text) in [("before", before), ("after", after)] {
        if let Some(text) = text {
            told.insert(name.to_owned(), json!(shown(&text, from)));
        }
    }
    if from.is_some() {
        told.insert("truncated".to_owned(), json!(true));
    }
    Value::Object(told)
}

/// Where both texts are shown from if one of them is too long to be shown whole: shortly before the first difference, so
/// that what is different is always seen.
fn window(before: &str, after: &str) -> Option<usize> {
    let long = |text: &str| text.chars().count() > SHOWN_CHARACTERS_MAX;
    let same = before.chars().zip(after.chars()).take_while(|(one, other)| one == other).count();
    (long(before) || long(after)).then(|| same.saturating_sub(SAME_SHOWN))
}

fn shown(text: &str, from: Option<usize>) -> String {
    match from {
        None => text.to_owned(),
        Some(from) => text.chars().skip(from).take(SHOWN_CHARACTERS_MAX).collect(),
    }
}

/// Compiles a set with the contracts in force, off the serving threads, and compares it with the set in force.
async fn tried(
    changes: &Changes,
    generation: &Generation,
    files: Vec<Source>,
    cleared: &Cleared,
) -> Result<Result<Tried, Findings>, Rejection> {
    let (config, now) = (Arc::clone(changes.config()), cleared.received);
    let running = Arc::clone(&generation.texts);
    // Work that nobody waits for any more goes on: no more of it than this at once.
    let turn = changes.turn().ok_or_else(|| {
        Rejection::new(Code::Capacity, "Other sets are being compiled. Ask again when they are done.")
    })?;
    let work = move || {
        let _turn = turn;
        let texts = |policies: Vec<Source>| Texts { contracts: running.contracts.clone(), policies };
        let compile = |texts: Texts| {
            let bundle = Bundle::from(&texts);
            let birth = Birth { number: 0, at: now, by: Cause::Start };
            join(Arc::new(texts), bundle, crate::load::allowed(&config), birth, None)
        };
        let proposed = compile(texts(files))?;
        crate::load::addressed(&proposed.generation.rulebook, &config)?;
        keeps_administrators(&proposed, &config.file)?;
        let before = compile(texts(running.policies.clone())).map(|loaded| loaded.effective).unwrap_or_default();
        Ok(Tried { changes: diff(&before, &proposed.effective), warnings: proposed.warnings })
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Rejection::new(Code::Internal, "The set could not be compiled.").because(error))
}

fn keeps_administrators(loaded: &Loaded, file: &std::path::Path) -> Result<(), Findings> {
    let mut findings = Findings::default();
    for (id, body_bytes, timeout) in NEEDED {
        let found = loaded.generation.rulebook.operations.values().find(|policy| policy.operation.as_str() == id);
        let wrong = match found {
            None => "is not exposed".to_owned(),
            Some(policy) if policy.body_bytes_max < body_bytes => {
                format!("takes less than {}", shown_bytes(body_bytes))
            }
            Some(policy) if policy.timeout < timeout => format!("has less time than {}", shown_duration(timeout)),
            Some(_) => continue,
        };
        let help = "say so under `apis: {admin: {operations: ...}}`".to_owned();
        let message = format!("nobody could bring in another set: `{id}` {wrong}");
        findings.add(Findings::of_file(LOCKED_OUT, file, message, Some(help)));
    }
    if findings.is_empty() { Ok(()) } else { Err(findings) }
}

/// A set that would lock administrators out.
const LOCKED_OUT: &str = "G0008";

/// What was added, and the history with it.
struct Added {
    entry: u64,
    history: Arc<History>,
}

impl Added {
    /// Tells of the proposal that was made.
    fn told(&self) -> Result<Map<String, Value>, Rejection> {
        let made = self.history.proposals().find(|proposal| proposal.entry == self.entry);
        let lost =
            || Rejection::new(Code::Internal, "The proposal was made.").because("its entry is not in the history");
        made.map(|proposal| told(&self.history, proposal)).ok_or_else(lost)
    }
}

async fn added(
    house: &House,
    cleared: &Cleared,
    texts: &[u8],
    make: impl Fn(&History, policies::change::People) -> Result<Act, ChangeRefusal>,
) -> Result<Added, Rejection> {
    let changes = configured(house)?;
    let by = administrator(cleared)?.id();
    let (entry, history) = changes.add(by, cleared.received, texts, make).await.map_err(|error| match error {
        NotDone::Outage(outage) => away(outage),
        NotDone::Refused(refusal) => refused(&refusal),
    })?;
    cleared.trail.note_reference(&format!("policy-set-entry-{entry}"));
    Ok(Added { entry, history })
}

fn told(history: &History, proposal: &Proposal) -> Map<String, Value> {
    let mut told = Map::new();
    let mut tell = |name: &str, value: Value| told.insert(name.to_owned(), value);
    tell("number", json!(proposal.number));
    tell("state", json!(history.state(proposal.number).unwrap_or(ProposalState::Open).word()));
    tell("proposedBy", json!(proposal.by.as_str()));
    tell("proposedAt", json!(proposal.at.to_string()));
    tell("note", json!(proposal.note));
    tell("digest", json!(base64url(&proposal.digest)));
    let approvals = proposal.approvals.iter().map(|(by, at)| json!({"by": by.as_str(), "at": at.to_string()}));
    tell("approvals", json!(approvals.collect::<Vec<_>>()));
    for (name, number) in [("base", proposal.base), ("restores", proposal.restores)] {
        if let Some(number) = number {
            tell(name, json!(number));
        }
    }
    if let Some(at) = proposal.applied {
        tell("appliedAt", json!(at.to_string()));
    }
    if let Some((by, _)) = &proposal.withdrawn {
        tell("withdrawnBy", json!(by.as_str()));
    }
    told
}

/// Reads the files of the body; a name that comes twice is refused.
fn given(body: &Value) -> Result<Vec<Source>, Rejection> {
    let mut names = BTreeSet::new();
    let mut files = Vec::new();
    for (index, file) in body.get("files").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let text = |name: &str| file.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let name = text("name");
        if !names.insert(name.clone()) {
            let fault = PointedFault {
                pointer: format!("/files/{index}/name"),
                keyword: "uniqueItems".into(),
                message: "another file has this name".into(),
            };
            return Err(Rejection::new(Code::SchemaViolation, "A file comes twice.").faults(vec![fault]));
        }
        files.push(Source::new(name, text("text")));
    }
    files.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(files)
}

fn body(cleared: &Cleared) -> Result<&Value, Rejection> {
    match cleared.sound_body() {
        SoundBody::Checked { value, .. } => Ok(value.value()),
        _ => Err(Rejection::new(Code::Internal, "Nothing was done.").because("an operation has no body rule")),
    }
}

fn note(body: &Value) -> &str {
    body.get("note").and_then(Value::as_str).unwrap_or_default()
}

fn number(cleared: &Cleared) -> u64 {
    // The contract asks for a number; none is the number of no proposal.
    cleared.matched().parameter("number").and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn administrator(cleared: &Cleared) -> Result<&Administrator, Rejection> {
    match cleared.caller() {
        Caller::Administrator(administrator) => Ok(administrator),
        _ => Err(Rejection::new(Code::AdministratorRefused, "The operation is for administrators.")),
    }
}

fn configured(house: &House) -> Result<&Changes, Rejection> {
    house.changes.as_ref().ok_or_else(|| {
        let detail =
            "Policies come from folders here. With `approval: 1` or more in qaqpa.yaml they come from proposals.";
        Rejection::new(Code::ChangeRefused, detail)
    })
}

fn refused(refusal: &ChangeRefusal) -> Rejection {
    let code = if matches!(refusal, ChangeRefusal::Unknown(_)) { Code::NotFound } else { Code::ChangeRefused };
    let mut text = refusal.to_string();
    if let Some(begin) = text.get_mut(..1) {
        begin.make_ascii_uppercase();
    }
    Rejection::new(code, format!("{text}."))
}

fn faulty(findings: &Findings) -> Rejection {
    Rejection::new(Code::ReloadRefused, "The set has faults; nothing was changed.")
        .member("findings", json!(first(&findings.to_json())))
        .member("rendered", json!(rendered_text(&findings.render(false))))
}

fn away(outage: Outage) -> Rejection {
    Rejection::outage(Code::DependencyDown, &outage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_different_in_a_long_value_is_always_seen() {
        let long = "x".repeat(SHOWN_CHARACTERS_MAX);
        assert_eq!(window(&long, "y"), None);
        let (before, after) = (format!("{long}before{long}"), format!("{long}after{long}"));
        let from = window(&before, &after);
        assert_eq!(from, Some(SHOWN_CHARACTERS_MAX - SAME_SHOWN));
        assert!(shown(&before, from).contains("before") && shown(&after, from).contains("after"));
        assert_eq!(shown(&after, from).chars().count(), SHOWN_CHARACTERS_MAX);
    }
}
