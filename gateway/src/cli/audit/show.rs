//! `qaqpa audit show`.

use std::fmt::Write as _;

use clap::Args;
use serde_json::{Map, Value};

use super::find::find;
use super::place::{Failed, Place};
use crate::cli::process::FINE;
use crate::cli::terminal::{printable, say};

/// Which call.
#[derive(Debug, Args)]
pub(super) struct ShowArguments {
    /// An interaction id (`x-fapi-interaction-id`), a reference (a payment's id), or the number of a record
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    place: Place,
    /// Print the records as JSON lines
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &ShowArguments) -> Result<u8, Failed> {
    let found = find(&arguments.place.reader()?, &arguments.id)?;
    for (_, value) in &found {
        say(&if arguments.json { format!("{value}\n") } else { told(value) });
    }
    Ok(FINE)
}

/// Tells one record in lines for people.
fn told(value: &Value) -> String {
    let empty = Map::new();
    let members = value.as_object().unwrap_or(&empty);
    let text = |name: &str| members.get(name).map(plain);
    let word = |name: &str| text(name).unwrap_or_default();
    let mut out = format!("#{} {} {}", word("sequence"), word("kind"), word("at"));
    for (name, before) in [("status", " "), ("ending", " ")] {
        out.push_str(&text(name).map(|text| format!("{before}{text}")).unwrap_or_default());
    }
    out.push('\n');
    let told_above = ["sequence", "kind", "at", "status", "ending", "steps", "previous", "hash"];
    let order = [
        "interaction",
        "received",
        "operation",
        "client",
        "organisation",
        "roles",
        "scopes",
        "tokenExpires",
        "administrator",
        "provider",
        "amount",
        "reference",
        "consent",
        "identity",
        "limits",
        "exhausted",
        "alsoExhausted",
        "generation",
        "personal",
    ];
    let rest = members.keys().map(String::as_str).filter(|name| !told_above.contains(name) && !order.contains(name));
    for name in order.into_iter().chain(rest) {
        if let Some(text) = text(name) {
            let _ = writeln!(out, "  {:<14} {text}", printable(name));
        }
    }
    let steps = members.get("steps").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut before = 0;
    for step in steps {
        let part = |name: &str| step.get(name).map(plain).unwrap_or_default();
        let micros = step.get("micros").and_then(Value::as_u64).unwrap_or(0);
        let took = micros.saturating_sub(before);
        let _ = writeln!(out, "    {micros:>9} µs  +{took:<8} {:<14} {}", part("stage"), part("decision"));
        before = micros;
    }
    out
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => printable(text),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| format!("{} {}", printable(name), plain(value)))
            .collect::<Vec<_>>()
            .join(" "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_stage_is_told_with_what_it_decided_and_how_long_it_took() {
        let record = json!({
            "sequence": 7, "kind": "outcome", "at": "2026-11-22T10:00:00.000Z", "status": 429, "ending": "answered",
            "client": "demo-app", "roles": ["PISP", "AISP"], "hash": "ab", "previous": "cd", "later": true,
            "steps": [
                {"stage": "route", "decision": "pass", "micros": 12},
                {"stage": "meter", "decision": "rate_limited", "micros": 340},
            ],
        });
        let expected = "#7 outcome 2026-11-22T10:00:00.000Z 429 answered\n  client         demo-app\n  \
                        roles          PISP, AISP\n  later          true\n           12 µs  +12       route          pass\n          \
                        340 µs  +328      meter          rate_limited\n";
        assert_eq!(told(&record), expected);
    }
}
