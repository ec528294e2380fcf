//! `qaqpa trace`: the way of one call, stage by stage, with the lines of the policy files that decided.
//!
//! A described call is tried as by `qaqpa test`; a recorded one is read from the trail, and its lines are looked up in the
//! policy set that was in force.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use adapters::audit::read::Reader;
use adapters::clock::Clock;
use adapters::store::backup::DATABASE;
use adapters::store::sqlite::kept_bundle;
use policies::admin::AdminRole;
use policies::case::{Backend, Consented, Given, TokenFault};
use policies::id::{ClientId, OperationId};
use policies::jose::base64url_decode_strict;
use policies::language::Allowed;
use policies::language::did_you_mean;
use policies::party::Role;
use policies::time::Timestamp;
use serde_json::{Value, json};

use super::audit::find;
use super::process::{CONFIGURATION, FAILED, FINE, USAGE, in_runtime};
use super::terminal::{colour, complain, printable, say};
use crate::desk::Cause;
use crate::generation::{Birth, Bundle};
use crate::load::{Loaded, join, load};
use crate::trial::{Places, Seen, Trial, kept};

/// The longest body that is read for a described call, in bytes: as much as any operation can allow.
const BODY_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Which call.
#[derive(Debug, clap::Args)]
pub struct TraceArguments {
    /// The operation of a described call
    #[arg(value_name = "OPERATION", required_unless_present = "interaction", conflicts_with = "interaction")]
    operation: Option<String>,
    /// The client that calls; without, there is no token
    #[arg(long, value_name = "CLIENT", conflicts_with = "administrator")]
    client: Option<String>,
    /// The roles of the administrator who calls: viewer, editor, approver, auditor, eraser
    #[arg(long, value_name = "ROLES", value_delimiter = ',', value_parser = admin_role)]
    administrator: Vec<AdminRole>,
    /// The scopes of its token [default: all that the client may have and the operation asks for]
    #[arg(long, value_name = "SCOPES", value_delimiter = ',')]
    scopes: Option<Vec<String>>,
    /// What is wrong with its token: missing, expired, unbound, other-key, no-nonce
    #[arg(long, value_name = "FAULT", value_parser = token_fault)]
    token: Option<TokenFault>,
    /// What the citizen whom the token speaks for has agreed to: fits, none, other, consumed [default: fits, where needed]
    #[arg(long, value_name = "WORD", value_parser = consented)]
    consent: Option<Consented>,
    /// The file with the JSON body; `-` reads standard input [default: the contract's example]
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
    /// A parameter of path, query or header; may be given several times
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parameter)]
    parameters: Vec<(String, String)>,
    /// The level of an identity result that is bound to this very call: L1 to L4
    #[arg(long, value_name = "LEVEL", value_parser = ["L1", "L2", "L3", "L4"])]
    verified: Option<String>,
    /// The address it comes from
    #[arg(long, value_name = "ADDRESS")]
    peer: Option<IpAddr>,
    /// When it comes, for example 2026-11-23T10:00:00Z [default: now]
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    at: Option<Timestamp>,
    /// The folder (or file) with policies; given more than once, all are read as one set. The shipped set if none is named
    #[arg(long, value_name = "DIR")]
    policies: Vec<PathBuf>,
    /// The folder with contracts; the shipped ones if none is named
    #[arg(long, value_name = "DIR")]
    contracts: Option<PathBuf>,
    /// The interaction id (`x-fapi-interaction-id`) or reference of a recorded call
    #[arg(long, value_name = "ID")]
    interaction: Option<String>,
    /// The state folder with the trail of a recorded call
    #[arg(long, value_name = "DIR", default_value = super::client::STATE)]
    state: PathBuf,
    /// Print one JSON object for a program
    #[arg(long)]
    json: bool,
}

/// One stage on the way.
struct Line {
    stage: String,
    decision: String,
    micros: u64,
    rule: String,
}

/// Traces a call.
pub(super) fn run(arguments: &TraceArguments) -> u8 {
    let traced = match &arguments.interaction {
        Some(id) => recorded(arguments, id),
        None => described(arguments),
    };
    traced.unwrap_or_else(|(code, text)| {
        complain(&text);
        code
    })
}

type Traced = Result<u8, (u8, String)>;

fn described(arguments: &TraceArguments) -> Traced {
    let (policies, contracts) = (&arguments.policies, arguments.contracts.as_slice());
    let now = arguments.at.unwrap_or_else(|| Clock::system().now());
    let loaded = load(policies, contracts, Allowed { private_endpoints: true }, 1, now)
        .map_err(|findings| (CONFIGURATION, findings.render(colour())))?;
    let given = given(arguments, &loaded)?;
    let Loaded { generation, effective, fixtures, .. } = loaded;
    let failed = |error: crate::trial::TrialError| (FAILED, format!("error: {error}"));
    let trial = Trial::prepare(generation, Vec::new(), &fixtures).map_err(failed)?;
    let outcome = in_runtime(async { Ok(trial.describe(&given, now).await) });
    let outcome = outcome.map_err(|text| (FAILED, text))?.map_err(failed)?;
    let generation = trial.generation();
    let places = Places { rulebook: &generation.rulebook, contract: &generation.contract, effective: &effective };
    let seen = Seen {
        operation: Some(given.operation.as_str().to_owned()),
        client: given.client.as_ref().map(|client| client.as_str().to_owned()),
        exhausted: outcome.facts.exhausted.as_deref().map(str::to_owned),
        refused_by: outcome.facts.refused_by.as_ref().and_then(|rule| rule.origin.as_deref()).map(str::to_owned),
        masks: outcome.masks().map(|mask| mask.origin.clone()).collect(),
    };
    let steps = outcome.steps.iter().map(|step| (step.stage, step.decision, u64::from(step.micros)));
    let lines = lines(steps, Some(&places), &seen);
    let (body, why) = (outcome.json.as_ref(), outcome.facts.not_judged.as_deref());
    if arguments.json {
        let told = json!({
            "operation": given.operation.as_str(),
            "stages": lines.iter().map(object).collect::<Vec<_>>(),
            "status": outcome.status,
            "backendCalled": outcome.asked > 0,
            "notJudged": why,
            "reports": outcome.facts.reports.iter().map(|rule| json!({
                "kind": rule.kind.word(), "name": &*rule.name, "at": rule.origin.as_deref(),
            })).collect::<Vec<_>>(),
            "micros": u64::try_from(outcome.took.as_micros()).unwrap_or(u64::MAX),
            "body": body,
        });
        say(&format!("{told}\n"));
        return Ok(FINE);
    }
    say(&table(&lines));
    say(&not_judged(why));
    for rule in &outcome.facts.reports {
        say(&reported(rule.kind.word(), &rule.name, rule.origin.as_deref().unwrap_or_default()));
    }
    let backend = if outcome.asked > 0 { "the backend was asked" } else { "the backend was not asked" };
    say(&format!(
        "\n{} in {} us; {backend}\n",
        outcome.lines().first().cloned().unwrap_or_default(),
        outcome.took.as_micros()
    ));
    if let Some(text) = body.and_then(|body| serde_json::to_string_pretty(body).ok()) {
        say(&format!(
            "the answer as the client gets it:\n{}\n",
            text.lines().map(printable).collect::<Vec<_>>().join("\n")
        ));
    }
    Ok(FINE)
}

fn recorded(arguments: &TraceArguments, id: &str) -> Traced {
    let failed = |outage: policies::code::Outage| (FAILED, format!("error: {outage}"));
    let trail = arguments.state.join("audit");
    if !trail.is_dir() {
        return Err((FAILED, format!("error: there is no trail in {}", trail.display())));
    }
    let found = find::find(&Reader::open(&trail).map_err(failed)?, id).map_err(|failed| (failed.0, failed.1))?;
    let mut told = Vec::new();
    for (_, record) in &found {
        let set = in_force(&arguments.state, record).map_err(failed)?;
        let places = set.as_ref().map(|loaded| Places {
            rulebook: &loaded.generation.rulebook,
            contract: &loaded.generation.contract,
            effective: &loaded.effective,
        });
        let text = |pointer: &str| record.pointer(pointer).and_then(Value::as_str);
        let owned = |pointer: &str| text(pointer).map(str::to_owned);
        let seen = Seen {
            operation: owned("/operation"),
            client: owned("/client"),
            exhausted: owned("/exhausted"),
            refused_by: owned("/rule/origin"),
            masks: set.as_ref().map(|loaded| masks(record, loaded)).unwrap_or_default(),
        };
        let steps = record.get("steps").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let step = |step: &Value| {
            let word = |name: &str| step.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            (word("stage"), word("decision"), step.get("micros").and_then(Value::as_u64).unwrap_or(0))
        };
        let lines = lines(steps.iter().map(step), places.as_ref(), &seen);
        let status = record.get("status").and_then(Value::as_u64);
        if arguments.json {
            told.push(json!({
                "kind": text("/kind"), "at": text("/at"), "operation": seen.operation, "client": seen.client,
                "stages": lines.iter().map(object).collect::<Vec<_>>(), "status": status,
                "policies": text("/policies"), "kept": set.is_some(),
                "notJudged": text("/rule/why"), "reports": reports(record).map(object_of).collect::<Vec<_>>(),
            }));
            continue;
        }
        let head = ["/kind", "/at", "/operation", "/client"].into_iter().filter_map(text).map(printable);
        let status = status.map(|status| format!(" -> {status}")).unwrap_or_default();
        say(&format!("{}{status}\n{}", head.collect::<Vec<_>>().join(" "), table(&lines)));
        say(&not_judged(text("/rule/why")));
        for (kind, name, origin) in reports(record) {
            say(&reported(kind, name, origin));
        }
        if set.is_none() {
            say("the policy set of that time is not kept here: no lines can be told\n");
        }
        say("\n");
    }
    if arguments.json {
        say(&format!("{}\n", Value::Array(told)));
    }
    Ok(FINE)
}

/// Goes through the rules that a record says would have refused: kind, name, and where it stood.
fn reports(record: &Value) -> impl Iterator<Item = (&str, &str, &str)> {
    let word = |rule, name: &str| Value::get(rule, name).and_then(Value::as_str).unwrap_or_default();
    let rules = record.get("reports").and_then(Value::as_array).into_iter().flatten();
    rules.map(move |rule| (word(rule, "kind"), word(rule, "name"), word(rule, "origin")))
}

fn object_of((kind, name, origin): (&str, &str, &str)) -> Value {
    json!({"kind": kind, "name": name, "at": (!origin.is_empty()).then_some(origin)})
}

fn reported(kind: &str, name: &str, origin: &str) -> String {
    format!("{}\n", printable(format!("reported only: {kind} {name} {origin}").trim_end()))
}

fn not_judged(why: Option<&str>) -> String {
    why.map(|why| format!("not judged, for {}\n", printable(why))).unwrap_or_default()
}

/// Tells where the masks stand that a recorded answer went through; what they found in it no record holds.
fn masks(record: &Value, loaded: &Loaded) -> Vec<String> {
    let operation = record.get("operation").and_then(Value::as_str).unwrap_or_default();
    let shown = record.get("status").and_then(Value::as_u64).is_some_and(|status| status < 400);
    let Some(policy) = loaded.generation.rulebook.operations.get(operation).filter(|_| shown) else {
        return Vec::new();
    };
    let roles = record
        .get("roles")
        .and_then(Value::as_array)
        .map(|roles| roles.iter().filter_map(Value::as_str).filter_map(Role::from_word).collect::<BTreeSet<Role>>());
    policy.masks.iter().filter(|mask| mask.covers_answers(roles.as_ref())).map(|mask| mask.origin.clone()).collect()
}

/// Finds the policy set that a record was decided by; none if it is not kept, or this program cannot read it any more.
fn in_force(state: &Path, record: &Value) -> Result<Option<Loaded>, policies::code::Outage> {
    let digest = record.get("policies").and_then(Value::as_str).and_then(base64url_decode_strict);
    let (Some(digest), path) = (digest.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()), state.join(DATABASE)) else {
        return Ok(None);
    };
    if !path.is_file() {
        return Ok(None);
    }
    let Some(texts) = kept_bundle(&path, digest)?.as_deref().and_then(kept::texts) else { return Ok(None) };
    let at = record.get("received").and_then(Value::as_str).and_then(Timestamp::parse);
    let birth = Birth { number: 1, at: at.unwrap_or_else(|| Clock::system().now()), by: Cause::Start };
    let bundle = Bundle::from(&texts);
    Ok(join(Arc::new(texts), bundle, Allowed { private_endpoints: true }, birth, None).ok())
}

fn given(arguments: &TraceArguments, loaded: &Loaded) -> Result<Given, (u8, String)> {
    let operation = arguments.operation.as_deref().unwrap_or_default();
    let rulebook = &loaded.generation.rulebook;
    // One that is not exposed may be asked for: the trace shows how it ends.
    let operations = loaded.generation.contract.operations().iter().map(|known| known.id());
    let found = OperationId::parse(operation).ok().filter(|id| operations.clone().any(|known| known == id.as_str()));
    let found = found.ok_or_else(|| unknown("operation", operation, operations))?;
    let clients = || rulebook.clients.keys().chain(loaded.fixtures.clients.keys());
    let client = arguments.client.as_deref().map(|text| {
        let known = clients().find(|known| known.as_str() == text);
        known.cloned().ok_or_else(|| unknown("client", text, clients().map(ClientId::as_str)))
    });
    Ok(Given {
        operation: found,
        client: client.transpose()?,
        administrator: (!arguments.administrator.is_empty()).then(|| arguments.administrator.iter().copied().collect()),
        scopes: arguments.scopes.clone(),
        token: arguments.token,
        consent: arguments.consent,
        peer: arguments.peer,
        parameters: arguments.parameters.clone(),
        body: arguments.body.as_deref().map(body).transpose()?,
        verified: arguments.verified.clone(),
        backend: Backend::Answers { status: None, body: None },
    })
}

fn unknown<'k>(what: &str, text: &str, known: impl Iterator<Item = &'k str>) -> (u8, String) {
    let help = did_you_mean(text, known).map(|word| format!("\n  = help: did you mean `{word}`?")).unwrap_or_default();
    (USAGE, format!("error: no {what} `{}` is known{help}", printable(text)))
}

fn body(path: &Path) -> Result<Value, (u8, String)> {
    let wrong = |error: &dyn std::fmt::Display| (USAGE, format!("error: the body: {}: {error}", path.display()));
    let mut text = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(BODY_BYTES_MAX).read_to_end(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(BODY_BYTES_MAX).read_to_end(&mut text))
    };
    read.map_err(|error| wrong(&error))?;
    serde_json::from_slice(&text).map_err(|error| wrong(&error))
}

fn lines<S: Into<String>>(
    steps: impl Iterator<Item = (S, S, u64)>,
    places: Option<&Places<'_>>,
    seen: &Seen,
) -> Vec<Line> {
    let mut before = 0;
    let line = |(stage, decision, micros): (S, S, u64)| {
        let (stage, decision) = (stage.into(), decision.into());
        let rule = places.map(|places| places.of(&stage, &decision, seen)).unwrap_or_default();
        let took = micros.saturating_sub(before);
        before = micros;
        Line { stage, decision, micros: took, rule }
    };
    steps.map(line).collect()
}

fn object(line: &Line) -> Value {
    json!({"stage": line.stage, "decision": line.decision, "micros": line.micros, "rule": line.rule})
}

fn table(lines: &[Line]) -> String {
    let widest = |cell: fn(&Line) -> usize| lines.iter().map(cell).max().unwrap_or_default();
    let stage = widest(|line| line.stage.chars().count()).max(5);
    let decision = widest(|line| line.decision.chars().count()).max(8);
    let mut out = format!("{:stage$}  {:decision$}  {:>8}  RULE\n", "STAGE", "DECISION", "US");
    for line in lines {
        let row = format!(
            "{:stage$}  {:decision$}  {:>8}  {}",
            printable(&line.stage),
            printable(&line.decision),
            line.micros,
            printable(&line.rule)
        );
        out.push_str(row.trim_end());
        out.push('\n');
    }
    out
}

fn admin_role(text: &str) -> Result<AdminRole, String> {
    AdminRole::from_word(text).ok_or_else(|| "viewer, editor, approver, auditor or eraser".to_owned())
}

fn token_fault(text: &str) -> Result<TokenFault, String> {
    let found = TokenFault::ALL.into_iter().find(|fault| fault.word() == text);
    found.ok_or_else(|| "missing, expired, unbound, other-key or no-nonce".to_owned())
}

fn consented(text: &str) -> Result<Consented, String> {
    let found = Consented::ALL.into_iter().find(|word| word.word() == text);
    found.ok_or_else(|| "fits, none, other or consumed".to_owned())
}

fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn instant(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| "write an instant such as 2026-11-23T10:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_call_tells_who_would_have_refused_and_an_old_record_nobody() {
        let fraud = json!({"kind": "fraud", "name": "huge", "origin": "a.yaml:3"});
        let record = json!({"reports": [fraud, {"kind": "limit", "name": "x"}]});
        let told: Vec<String> = reports(&record).map(|(kind, name, origin)| reported(kind, name, origin)).collect();
        assert_eq!(told, ["reported only: fraud huge a.yaml:3\n", "reported only: limit x\n"]);
        assert_eq!(reports(&record).map(object_of).last(), Some(json!({"kind": "limit", "name": "x", "at": null})));
        assert_eq!(reports(&json!({})).count(), 0);
        assert_eq!((not_judged(None).as_str(), not_judged(Some("why")).as_str()), ("", "not judged, for why\n"));
    }
}
