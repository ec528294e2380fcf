//! `qaqpa rehearse`: what a proposed policy set would have decided of the calls in the audit trail.
//!
//! Reads files only, record by record, while a gateway writes them or when none does. Verifies nothing: that is
//! `qaqpa audit verify`.

mod tally;

use std::path::PathBuf;
use std::time::Instant;

use adapters::audit::read::{Reader, Records, parse_instant};
use adapters::audit::recorded::{Outcome, outcome};
use adapters::clock::Clock;
use policies::code::Code;
use policies::rehearse::judge;
use policies::rulebook::Rulebook;
use policies::time::Timestamp;
use spine::error::Rejection;

use self::tally::Tally;
use super::client::STATE;
use super::process::{CONFIGURATION, FAILED, FINE};
use super::terminal::{colour, complain, complain_if, complains_to_a_person, say};
use crate::load::{allowed, load};

/// What `--help` shows below.
const EXAMPLES: &str = "\
Examples:
  qaqpa rehearse policies/ --state state                     all that the trail tells
  qaqpa rehearse policies/ --state state --since 2026-11-01  of this month
  qaqpa rehearse policies/ --fail-on-change                  fail if any decision would be another

A decision is undecidable if a rule asks for something that records do not hold: the body besides its amount, or how full
a new limit was. Refusals that no rule made (a bad token, a broken body) stay what they are.

Ends with 0; with 1 if the trail cannot be read, or if something changes and --fail-on-change is given; with 78 if the
proposed set is wrong.";

/// What is rehearsed.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct RehearseArguments {
    /// The folder (or file) with the proposed policies.
    #[arg(value_name = "DIR")]
    policies: PathBuf,
    /// The folder with contracts; the shipped ones if none is named.
    #[arg(long, value_name = "DIR")]
    contracts: Option<PathBuf>,
    /// The state folder that holds the trail.
    #[arg(long, default_value = STATE, value_name = "DIR")]
    state: PathBuf,
    /// The configuration that names the state folder, and that says what administrators may write.
    #[arg(long, value_name = "FILE", conflicts_with = "state")]
    config: Option<PathBuf>,
    /// Only what was received from then on: 2026-11-22, or 2026-11-22T10:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    since: Option<Timestamp>,
    /// Only what was received before.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    until: Option<Timestamp>,
    /// How many examples of each change are told.
    #[arg(long, default_value_t = 5, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(0..=1000))]
    examples: u16,
    /// Fail if anything would be decided otherwise.
    #[arg(long)]
    fail_on_change: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// After how many records people are told how far it is.
const PROGRESS_EVERY: u64 = 100_000;

/// Rehearses, and tells what would change.
pub(super) fn run(arguments: &RehearseArguments) -> u8 {
    let config = match arguments.config.as_deref().map(crate::config::load).transpose() {
        Ok(config) => config,
        Err(findings) => {
            complain(&findings.render(colour()));
            return CONFIGURATION;
        }
    };
    let state = config.as_ref().map_or(&arguments.state, |config| &config.state);
    let contracts = arguments.contracts.clone().map(|path| vec![path]);
    let contracts = contracts.or_else(|| config.as_ref().map(|config| config.contracts.clone())).unwrap_or_default();
    let may = config.as_ref().map(allowed).unwrap_or_default();
    let proposed = match load(std::slice::from_ref(&arguments.policies), &contracts, may, 1, Clock::system().now()) {
        Ok(loaded) => loaded.generation,
        Err(findings) => {
            complain(&findings.render(colour()));
            return CONFIGURATION;
        }
    };
    let dir = state.join("audit");
    if !dir.is_dir() {
        complain(&format!("error: there is no trail in {}", dir.display()));
        return FAILED;
    }
    let records = match Reader::open(&dir) {
        Ok(reader) => reader.from(1),
        Err(outage) => {
            complain(&format!("error: {outage}"));
            return FAILED;
        }
    };
    let tally = rehearse(records, &proposed.rulebook, arguments);
    if arguments.json {
        say(&format!("{}\n", tally.to_json()));
    } else {
        say(&tally.to_text());
        complain_if(&tally.unread_text());
    }
    match (tally.is_broken(), tally.has_changes()) {
        (true, _) => FAILED,
        (false, true) if arguments.fail_on_change => FAILED,
        _ => FINE,
    }
}

fn rehearse(mut records: Records, rulebook: &Rulebook, arguments: &RehearseArguments) -> Tally {
    let mut tally = Tally::new(arguments.examples.into());
    let people = !arguments.json && complains_to_a_person();
    let began = Instant::now();
    let mut read: u64 = 0;
    while let Some(entry) = records.next() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(outage) => {
                tally.ends_early(outage.to_string());
                break;
            }
        };
        read += 1;
        if people && read.is_multiple_of(PROGRESS_EVERY) {
            let left = records.behind().unwrap_or_default() >> 20;
            complain(&format!("{read} records in {} s, {left} MiB to go", began.elapsed().as_secs()));
        }
        match outcome(&entry.payload) {
            Ok(Some(found)) if is_asked_for(&found, arguments) => {
                let verdict = judge(&found.recorded, rulebook, &name);
                tally.count(&found, verdict, rulebook);
            }
            Ok(_) => {}
            Err(why) => tally.could_not_read(entry.sequence, &why),
        }
    }
    tally
}

fn is_asked_for(outcome: &Outcome, arguments: &RehearseArguments) -> bool {
    let Some(received) = outcome.recorded.received else { return false };
    arguments.since.is_none_or(|since| received >= since) && arguments.until.is_none_or(|until| received < until)
}

/// Tells what records have for a code.
fn name(code: Code) -> &'static str {
    Rejection::new(code, "").name()
}

fn instant(text: &str) -> Result<Timestamp, String> {
    parse_instant(text).ok_or_else(|| "a time is 2026-11-22, or 2026-11-22T10:00:00Z".to_owned())
}
