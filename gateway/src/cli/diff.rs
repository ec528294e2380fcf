//! `qaqpa diff`: what would change, and does it let more through?

use std::fmt::Write as _;
use std::path::PathBuf;

use policies::language::diff::{Change, Direction, Side, diff};
use serde_json::{Value, json};

use super::process::{CONFIGURATION, FAILED, FINE};
use super::sets::{Set, named};
use super::terminal::{colour, complain, say};

const EXAMPLES: &str = "\
Examples:
  qaqpa diff shipped policies/                        what a set of your own does otherwise
  qaqpa diff git:origin/main:policies policies/       what a branch would change
  qaqpa diff --fail-on loosens OLD NEW                for CI: ends with 1 only if more is, or may be, let through

Two sets are compared by what applies: a key that moves to another file or another layer is no difference. Ends with 0
if the same applies, 1 if not, 78 if one of the two does not compile.";

/// What is compared.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct DiffArguments {
    /// The set as it was: a folder or file, `shipped`, or `git:REV:PATH`.
    #[arg(value_name = "BEFORE")]
    before: String,
    /// The set as it would be, named in the same way.
    #[arg(value_name = "AFTER")]
    after: String,
    /// The folder with contracts for both; the shipped ones if none is named.
    #[arg(long, value_name = "DIR")]
    contracts: Option<PathBuf>,
    /// What makes the command fail.
    #[arg(long, value_enum, default_value = "changes", value_name = "WHAT")]
    fail_on: FailOn,
    /// Print one JSON object for a program.
    #[arg(long)]
    json: bool,
}

/// What makes a comparison fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum FailOn {
    /// Any difference.
    Changes,
    /// A difference that lets more through, or of which it cannot be told.
    Loosens,
}

/// Compares, and tells every difference.
pub(super) fn run(arguments: &DiffArguments) -> u8 {
    let (before, after) = match (read(arguments, &arguments.before), read(arguments, &arguments.after)) {
        (Ok(before), Ok(after)) => (before, after),
        (before, after) => {
            // Both are told: who mends one need not come back for the other.
            for text in [before.err(), after.err()].into_iter().flatten() {
                complain(&text);
            }
            return CONFIGURATION;
        }
    };
    let changes = diff(&before.compiled.effective, &after.compiled.effective);
    if arguments.json {
        let list: Vec<Value> = changes.iter().map(to_json).collect();
        say(&format!("{}\n", json!({"same": changes.is_empty(), "changes": list})));
    } else {
        say(&told(&changes, colour()));
    }
    if fails(arguments.fail_on, &changes) { FAILED } else { FINE }
}

// What cannot be told is for a person to look at, as is what lets more through.
fn fails(on: FailOn, changes: &[Change]) -> bool {
    let loosens = |change: &Change| matches!(change.direction, Direction::Loosens | Direction::MayLoosen);
    match on {
        FailOn::Changes => !changes.is_empty(),
        FailOn::Loosens => changes.iter().any(loosens),
    }
}

fn read(arguments: &DiffArguments, name: &str) -> Result<Set, String> {
    let policies = named(name).map_err(|text| format!("error: {name}: {text}"))?;
    Set::compile(policies, arguments.contracts.as_deref()).map_err(|findings| findings.render(colour()))
}

fn told(changes: &[Change], colour: bool) -> String {
    if changes.is_empty() {
        return "the same applies\n".to_owned();
    }
    let mut text = String::new();
    let width = changes.iter().map(|change| change.direction.told().len()).max().unwrap_or_default().max(8);
    for change in changes {
        let style = match change.direction {
            Direction::Loosens => "1;31",
            Direction::MayLoosen => "1;35",
            Direction::Tightens => "1;32",
            Direction::Changes => "1;33",
        };
        let word = format!("{:width$}", change.direction.told());
        let word = if colour { format!("\u{1b}[{style}m{word}\u{1b}[0m") } else { word };
        let _ = writeln!(text, "{word}  {}: {}", change.path.join("."), what(change));
        for (word, side) in [("before", change.before.as_ref()), ("after", change.after.as_ref())] {
            let Some(side) = side.filter(|side| !change.whole || side.place.is_some()) else { continue };
            let at = side.place.as_ref().map_or(side.layer.words().to_owned(), policies::language::Place::origin);
            let _ = writeln!(text, "            {word:6}  {at}");
        }
    }
    let count = |direction| changes.iter().filter(|change| change.direction == direction).count();
    let told = Direction::ALL.into_iter().filter(|one| *one != Direction::MayLoosen || count(*one) > 0);
    let counts: Vec<String> = told.map(|direction| format!("{} {}", count(direction), direction.told())).collect();
    let _ = writeln!(text, "\n{}", counts.join(", "));
    text
}

fn what(change: &Change) -> String {
    let (before, after) = (change.before.as_ref(), change.after.as_ref());
    if change.whole {
        return if after.is_some() { "new" } else { "gone" }.to_owned();
    }
    let items = |side: Option<&Side>| side.map(|side| side.value.clone()).unwrap_or_default();
    let (old, new) = (items(before), items(after));
    // Of a list, what came and what went says more than both lists.
    if old.len() > 1 || new.len() > 1 {
        let gone = old.iter().filter(|item| !new.contains(item)).map(|item| format!("-{item}"));
        let come = new.iter().filter(|item| !old.contains(item)).map(|item| format!("+{item}"));
        let told: Vec<String> = gone.chain(come).collect();
        if !told.is_empty() {
            return told.join(" ");
        }
    }
    let shown = |items: &[String], given: bool| if given { items.join(" ") } else { "not said".to_owned() };
    format!("{} -> {}", shown(&old, before.is_some()), shown(&new, after.is_some()))
}

fn place(side: Option<&Side>) -> Option<String> {
    side.and_then(|side| side.place.as_ref()).map(policies::language::Place::origin)
}

fn to_json(change: &Change) -> Value {
    let value = |side: Option<&Side>| side.map(|side| side.value.clone()).filter(|_| !change.whole);
    let (before, after) = (change.before.as_ref(), change.after.as_ref());
    json!({
        "path": change.path, "direction": change.direction.word(), "whole": change.whole,
        "kind": match (before, after) { (None, _) => "new", (_, None) => "gone", _ => "changed" },
        "before": value(before), "after": value(after),
        "beforeAt": place(before), "afterAt": place(after),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(direction: Direction) -> Change {
        Change { path: vec!["limits".to_owned()], direction, before: None, after: None, whole: true }
    }

    #[test]
    fn what_may_loosen_fails_as_what_loosens_does() {
        for (direction, expected) in [
            (Direction::Loosens, true),
            (Direction::MayLoosen, true),
            (Direction::Tightens, false),
            (Direction::Changes, false),
        ] {
            assert_eq!(fails(FailOn::Loosens, &[change(direction)]), expected, "{direction:?}");
            assert!(fails(FailOn::Changes, &[change(direction)]), "{direction:?}");
        }
        assert!(!fails(FailOn::Changes, &[]));
    }

    #[test]
    fn people_read_two_words_and_programs_one() {
        let text = told(&[change(Direction::MayLoosen), change(Direction::Changes)], false);
        assert_eq!(text.lines().next(), Some("may loosen  limits: gone"));
        assert_eq!(text.lines().nth(1), Some("changes     limits: gone"));
        assert!(text.ends_with("0 loosens, 1 may loosen, 0 tightens, 1 changes\n"), "{text}");
        let told = to_json(&change(Direction::MayLoosen));
        assert_eq!(told.pointer("/direction").and_then(Value::as_str), Some("may_loosen"));
    }
}
