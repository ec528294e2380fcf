//! `qaqpa audit tail` and `qaqpa audit export`.

use std::time::Duration;

use adapters::audit::read::{Entry, parse_instant};
use clap::Args;
use policies::time::Timestamp;
use serde_json::Value;

use super::place::{Failed, Place};
use crate::cli::process::FINE;
use crate::cli::terminal::{printable, say};

/// How often a trail is looked at that is followed.
const FOLLOW_EVERY: Duration = Duration::from_millis(200);

/// Which records.
#[derive(Debug, Args)]
pub(super) struct TailArguments {
    /// How many
    #[arg(short = 'n', default_value_t = 10, value_name = "COUNT")]
    count: u64,
    /// Go on with those that come
    #[arg(short = 'f', long)]
    follow: bool,
    #[command(flatten)]
    place: Place,
    /// Print JSON lines
    #[arg(long)]
    json: bool,
}

/// Which records.
#[derive(Debug, Args)]
pub(super) struct ExportArguments {
    /// The first instant: 2026-11-22, or 2026-11-22T10:00:00Z
    #[arg(long, value_name = "TIME", value_parser = instant)]
    from: Option<Timestamp>,
    /// The first instant that is left out
    #[arg(long, value_name = "TIME", value_parser = instant)]
    to: Option<Timestamp>,
    #[command(flatten)]
    place: Place,
}

pub(super) fn run(arguments: &TailArguments) -> Result<u8, Failed> {
    let mut records = arguments.place.reader()?.last(arguments.count)?;
    loop {
        for entry in records.by_ref() {
            let entry = entry?;
            say(&if arguments.json { json(&entry)? } else { line(&entry.to_value()?) });
        }
        if !arguments.follow {
            return Ok(FINE);
        }
        std::thread::sleep(FOLLOW_EVERY);
    }
}

pub(super) fn export(arguments: &ExportArguments) -> Result<u8, Failed> {
    for entry in arguments.place.reader()?.from(1) {
        let entry = entry?;
        // All are looked at: the times of records that were under way at once are not quite in order.
        let early = arguments.from.is_some_and(|from| entry.at < from);
        if !early && arguments.to.is_none_or(|to| entry.at < to) {
            say(&json(&entry)?);
        }
    }
    Ok(FINE)
}

fn json(entry: &Entry) -> Result<String, Failed> {
    Ok(format!("{}\n", entry.to_value()?))
}

/// Tells a record in one line.
fn line(value: &Value) -> String {
    let text = |name: &str| match value.get(name) {
        None => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let steps = value.get("steps").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut decisions = steps.iter().filter_map(|step| step.get("decision")?.as_str());
    let decision = decisions.rfind(|decision| *decision != "pass");
    let mut words: Vec<String> = ["at", "kind", "operation", "status"].map(text).into();
    let who = ["client", "administrator", "provider"].iter().find(|name| value.get(**name).is_some());
    words.push(who.map_or_else(|| "-".to_owned(), |name| text(name)));
    words.extend([decision.unwrap_or("").to_owned(), text("interaction")]);
    words.retain(|word| !word.is_empty());
    format!("{}\n", printable(&format!("#{} {}", text("sequence"), words.join("  "))))
}

fn instant(text: &str) -> Result<Timestamp, String> {
    parse_instant(text).ok_or_else(|| "a time is 2026-11-22, or 2026-11-22T10:00:00Z".to_owned())
}
