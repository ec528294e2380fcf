//! `qaqpa audit verify`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use adapters::audit::{Report, Trust, inspect};
use adapters::keys::known_public;
use clap::Args;
use policies::jose::VerifyingKey;
use serde_json::{Value, json};

use super::place::{Failed, Place};
use crate::cli::process::{FAILED, FINE};
use crate::cli::terminal::{complain, printable, say};

/// What is checked, and against what.
#[derive(Debug, Args)]
pub(super) struct VerifyArguments {
    #[command(flatten)]
    place: Place,
    /// A signed head that was kept elsewhere, as `heads.jsonl` or `qaqpa audit prove` has it; may be given several times
    #[arg(long = "head", value_name = "FILE")]
    heads: Vec<PathBuf>,
    /// The published keys (a JWK set, as /oauth/jwks answers) [default: those of the state folder, if they can be read]
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// Print one JSON object for a program
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &VerifyArguments) -> Result<u8, Failed> {
    let dir = arguments.place.trail()?;
    let keys = match &arguments.keys {
        Some(path) => key_set(path)?,
        None => known_public(&arguments.place.state()?.join("keys")),
    };
    if keys.is_empty() && !arguments.json {
        complain("warning: no published keys were found; whoever has signed the heads is believed (--keys FILE)");
    }
    let heads = arguments.heads.iter().map(|path| Ok((path.display().to_string(), head(path)?)));
    let trust = Trust { keys, heads: heads.collect::<Result<_, String>>()? };
    let report = inspect(&dir, &trust);
    let fine = report.faults.is_empty();
    if arguments.json {
        say(&format!("{}\n", as_json(&report, trust.keys.len())));
    } else if fine {
        say(&as_text(&report));
    } else {
        for fault in &report.faults {
            complain(&printable(&fault.to_string()));
        }
        complain(&format!("error: the trail is broken ({} faults)", report.faults.len()));
    }
    Ok(if fine { FINE } else { FAILED })
}

fn as_text(report: &Report) -> String {
    let mut text = format!("ok: {} records", report.records);
    if let Some(trail) = report.trail {
        let _ = write!(text, " of trail {trail}");
    }
    let _ = writeln!(text, ", {} heads; the last covers {} records", report.heads, report.covered);
    if report.let_go > 0 {
        let _ = writeln!(text, "  {} records were let go; the hashes of their leaves fit", report.let_go);
    }
    if report.old_lines > 0 {
        let _ = writeln!(text, "  {} lines of the older form fit too", report.old_lines);
    }
    let _ = writeln!(text, "  root  {}\n  chain {}", hex(&report.root), hex(&report.chain));
    text
}

fn as_json(report: &Report, keys: usize) -> Value {
    let fault =
        |fault: &adapters::audit::Broken| json!({"file": fault.file, "record": fault.record, "cause": fault.cause});
    json!({
        "ok": report.faults.is_empty(),
        // None: whoever has signed the heads was believed.
        "keys": keys,
        "trail": report.trail.map(|trail| trail.to_string()),
        "records": report.records,
        "letGo": report.let_go,
        "heads": report.heads,
        "covered": report.covered,
        "root": hex(&report.root),
        "chain": hex(&report.chain),
        "oldLines": report.old_lines,
        "faults": report.faults.iter().map(fault).collect::<Vec<_>>(),
    })
}

/// The compact JWS of a file: alone, as a line of `heads.jsonl`, or as the `head` of a proof.
fn head(path: &Path) -> Result<String, String> {
    let text = read(path)?;
    let last = text.trim().lines().last().unwrap_or_default();
    let value: Option<Value> = serde_json::from_str(&text).or_else(|_| serde_json::from_str(last)).ok();
    let named = value.and_then(|value| value.get("head")?.as_str().map(str::to_owned));
    Ok(named.unwrap_or_else(|| last.trim().to_owned()))
}

fn key_set(path: &Path) -> Result<Vec<VerifyingKey>, String> {
    let value: Option<Value> = serde_json::from_str(&read(path)?).ok();
    let keys = value.as_ref().and_then(|value| value.get("keys")?.as_array());
    let keys = keys.ok_or_else(|| format!("error: {}: no JWK set", path.display()))?;
    let read = |jwk| VerifyingKey::from_jwk(jwk).map_err(|error| format!("error: {}: {error}", path.display()));
    keys.iter().map(read).collect()
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("error: {}: {error}", path.display()))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
