//! `qaqpa policies`: changes of the policy set of a running gateway, by way of its administrators' listener.

use std::path::PathBuf;

use policies::language::Source;
use serde_json::{Value, json};

use super::administrator::Place;
use super::client::{Exchange, Question};
use super::process::{CONFIGURATION, FAILED, FINE};
use super::terminal::{complain, printable, say};
use crate::texts::PolicySource;

/// Where the operations are.
const SETS: &str = "/admin/policy-sets";

/// What is done with a running gateway's policies.
#[derive(Debug, clap::Subcommand)]
pub enum PoliciesCommand {
    /// Propose the policy set of a folder; it is in force once enough people have approved it.
    ///
    /// The gateway compiles it first and tells every problem, or what would change and what of it lets more through.
    /// Needs the role `editor`, and `approval: 1` or more in the gateway's qaqpa.yaml.
    Apply {
        /// The folder (or file) with all policies.
        #[arg(value_name = "DIR")]
        policies: PathBuf,
        /// Why: for those who approve, and for the history.
        #[arg(long, value_name = "TEXT")]
        note: String,
        #[command(flatten)]
        place: Place,
    },
    /// Approve a proposal; with the last approval that is needed it is in force. Needs the role `approver`.
    Approve {
        /// The number of the proposal.
        number: u64,
        #[command(flatten)]
        place: Place,
    },
    /// Withdraw a proposal, or refuse somebody else's.
    Withdraw {
        /// The number of the proposal.
        number: u64,
        #[command(flatten)]
        place: Place,
    },
    /// Propose to go back to a set that was in force. It needs the same approvals as any other.
    Rollback {
        /// The number of the proposal to go back to.
        number: u64,
        /// Why.
        #[arg(long, value_name = "TEXT")]
        note: String,
        #[command(flatten)]
        place: Place,
    },
    /// List who proposed what, why, who approved it, and what is in force.
    History {
        #[command(flatten)]
        place: Place,
    },
    /// Show one proposal; one that is open with what it would change.
    Show {
        /// The number of the proposal.
        number: u64,
        /// Write its files below this folder.
        #[arg(long, value_name = "DIR")]
        files: Option<PathBuf>,
        #[command(flatten)]
        place: Place,
    },
}

/// Does it.
pub(super) fn run(command: &PoliciesCommand) -> u8 {
    let done = match command {
        PoliciesCommand::Apply { policies, note, place } => apply(policies, note, place),
        PoliciesCommand::Approve { number, place } => act(place, "approver", *number, "approvals"),
        PoliciesCommand::Withdraw { number, place } => act(place, "editor", *number, "withdrawals"),
        PoliciesCommand::Rollback { number, note, place } => {
            let question = Question::post(&format!("{SETS}/{number}/restorations"), &json!({"note": note}));
            place.ask("editor", question).map(|answer| place.tell(&answer, proposed))
        }
        PoliciesCommand::History { place } => {
            place.ask("viewer", Question::get(SETS)).map(|answer| place.tell(&answer, history))
        }
        PoliciesCommand::Show { number, files, place } => show(*number, files.as_ref(), place),
    };
    done.unwrap_or_else(|text| {
        complain(&text);
        FAILED
    })
}

fn apply(policies: &std::path::Path, note: &str, place: &Place) -> Result<u8, String> {
    let read = PolicySource::folders(std::slice::from_ref(&policies.to_path_buf()), &[]).read();
    let texts = match read {
        Ok(texts) => texts,
        Err(findings) => {
            complain(&findings.render(false));
            return Ok(CONFIGURATION);
        }
    };
    let file = |source: &Source| json!({"name": name(policies, &source.name), "text": source.body()});
    let files: Vec<Value> = texts.policies.iter().map(file).collect();
    let answer = place.ask("editor", Question::post(SETS, &json!({"note": note, "files": files})))?;
    Ok(place.tell(&answer, proposed))
}

/// Names a file from its folder on: where the folder lies on this machine is nobody's business.
fn name(folder: &std::path::Path, file: &str) -> String {
    let below = std::path::Path::new(file).strip_prefix(folder).ok().filter(|below| below.file_name().is_some());
    let last = || std::path::Path::new(file).file_name().map(|name| name.to_string_lossy().into_owned());
    below.map(|below| below.display().to_string()).or_else(last).unwrap_or_else(|| file.to_owned())
}

fn act(place: &Place, role: &str, number: u64, what: &str) -> Result<u8, String> {
    let question = Question::new("POST", &format!("{SETS}/{number}/{what}"));
    place.ask(role, question).map(|answer| place.tell(&answer, proposed))
}

fn show(number: u64, files: Option<&PathBuf>, place: &Place) -> Result<u8, String> {
    let answer = place.ask("viewer", Question::get(&format!("{SETS}/{number}")))?;
    if let (Some(folder), Some(body)) = (files, answer.json().filter(|_| answer.status == 200)) {
        write(folder, &body)?;
    }
    Ok(place.tell(&answer, proposed))
}

/// Writes the files of a proposal; a name that leads out of the folder is refused.
fn write(folder: &std::path::Path, body: &Value) -> Result<(), String> {
    for file in body.get("files").and_then(Value::as_array).into_iter().flatten() {
        let text = |name: &str| file.get(name).and_then(Value::as_str).unwrap_or_default();
        let inner = std::path::Path::new(text("name"));
        if !inner.components().all(|part| matches!(part, std::path::Component::Normal(_))) {
            return Err(format!("error: a file is called {}: it would leave the folder", printable(text("name"))));
        }
        let path = folder.join(inner);
        let wrong = |error: std::io::Error| format!("error: {}: {error}", path.display());
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(wrong)?;
        }
        std::fs::write(&path, text("text")).map_err(wrong)?;
    }
    Ok(())
}

impl Place {
    fn ask(&self, role: &str, question: Question) -> Result<Exchange, String> {
        self.open(role)?.ask(question)
    }

    fn tell(&self, answer: &Exchange, people: impl Fn(&Value) -> String) -> u8 {
        let body = answer.json().unwrap_or(Value::Null);
        let fine = matches!(answer.status, 200 | 201);
        if self.json {
            say(&format!("{body}\n"));
        } else if fine {
            say(&people(&body));
        } else {
            complain(&refusal(answer, &body));
        }
        match (fine, body.get("findings").is_some()) {
            (true, _) => FINE,
            (false, true) => CONFIGURATION,
            (false, false) => FAILED,
        }
    }
}

fn refusal(answer: &Exchange, body: &Value) -> String {
    let lines = |text: &str| text.lines().map(printable).collect::<Vec<_>>().join("\n");
    let found = body.get("rendered").and_then(Value::as_str).map(lines).unwrap_or_default();
    let why = answer.text("/detail").or_else(|| answer.problem()).unwrap_or_else(|| answer.status_line());
    let mut text = format!("{found}\nerror: {}\n", printable(&why)).trim_start().to_owned();
    for fault in body.get("errors").and_then(Value::as_array).into_iter().flatten() {
        text.push_str(&format!("  {}: {}\n", printable(member(fault, "pointer")), printable(member(fault, "message"))));
    }
    text
}

fn member<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn line(set: &Value) -> String {
    let approvals = set.get("approvals").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let by: Vec<String> = approvals.iter().map(|one| printable(member(one, "by"))).collect();
    let approved = if by.is_empty() { String::new() } else { format!(", approved by {}", by.join(", ")) };
    let back = set.get("restores").map(|number| format!(" (back to {number})")).unwrap_or_default();
    format!(
        "{:>5}  {:<9}  {}  {}{approved}: {}{back}\n",
        set.get("number").map(ToString::to_string).unwrap_or_default(),
        member(set, "state").replace('_', " "),
        member(set, "proposedAt"),
        printable(member(set, "proposedBy")),
        printable(member(set, "note")),
    )
}

fn history(body: &Value) -> String {
    let sets = body.get("policySets").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let Some(people) = body.get("approval") else {
        return "policies come from folders here: there is no `approval` in qaqpa.yaml\n".to_owned();
    };
    let head = match body.get("inForce") {
        Some(number) => format!("{people} people stand behind a change; number {number} is in force\n"),
        None => format!("{people} people stand behind a change; the set of the folders is in force\n"),
    };
    sets.iter().fold(head, |text, set| text + &line(set))
}

// In the words of `qaqpa diff`; a definition that came or went as a whole has no value.
fn difference(change: &Value) -> String {
    let side = |name: &str| change.get(name).and_then(Value::as_str).map(printable);
    match (side("before"), side("after")) {
        (None, Some(after)) if after.is_empty() => "new".to_owned(),
        (Some(before), None) if before.is_empty() => "gone".to_owned(),
        (before, after) => {
            let shown = |side: Option<String>| side.unwrap_or_else(|| "not said".to_owned());
            format!("{} -> {}", shown(before), shown(after))
        }
    }
}

fn proposed(body: &Value) -> String {
    let mut text = line(body);
    for change in body.get("changes").and_then(Value::as_array).into_iter().flatten() {
        let (path, effect) = (printable(member(change, "path")), printable(member(change, "effect")).replace('_', " "));
        text.push_str(&format!("  {effect:<8}  {path}: {}\n", difference(change)));
    }
    if let Some(more) = body.get("changesNotShown") {
        text.push_str(&format!("  and {more} more changes that are not shown\n"));
    }
    if let Some(generation) = body.get("generation") {
        text.push_str(&format!("generation {generation} decides from now on\n"));
    } else if member(body, "state") == "open" {
        let number = body.get("number").map(ToString::to_string).unwrap_or_default();
        text.push_str(&format!("it waits for approval: qaqpa policies approve {number}\n"));
    }
    text
}
