//! What a rehearsal found, counted by organisation, with some examples: as large for a year as for a day.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use adapters::audit::recorded::Outcome;
use policies::rehearse::Verdict;
use policies::rulebook::Rulebook;
use serde_json::{Value, json};

use crate::cli::terminal::printable;

/// Of how many organisations counts are kept apart; a trail that names more is of no set of ours.
const ORGANISATIONS_MAX: usize = 10_000;

/// How many reasons for which something is undecidable are told apart: each is a place of the proposed set.
const REASONS_MAX: usize = 100;

/// How many records that cannot be read are told one by one.
const UNREAD_MAX: usize = 10;

/// What stands in place of what is too many to be told apart.
const OTHERS: &str = "(others)";

/// Counts of one organisation.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    same: u64,
    refused: u64,
    allowed: u64,
    otherwise: u64,
    undecidable: u64,
}

/// One decision that would be another.
#[derive(Debug)]
struct Example {
    interaction: String,
    operation: String,
    client: String,
    from: Option<String>,
    to: Option<&'static str>,
    rule: Option<String>,
    origin: Option<String>,
}

/// What a rehearsal found.
#[derive(Debug)]
pub(super) struct Tally {
    organisations: BTreeMap<String, Counts>,
    reasons: BTreeMap<String, u64>,
    refused: Vec<Example>,
    allowed: Vec<Example>,
    otherwise: Vec<Example>,
    examples_max: usize,
    unread: Vec<(u64, String)>,
    unread_count: u64,
    broken: Option<String>,
}

impl Tally {
    pub(super) fn new(examples_max: usize) -> Self {
        Self {
            organisations: BTreeMap::new(),
            reasons: BTreeMap::new(),
            refused: Vec::new(),
            allowed: Vec::new(),
            otherwise: Vec::new(),
            examples_max,
            unread: Vec::new(),
            unread_count: 0,
            broken: None,
        }
    }

    /// Counts what came of one record.
    pub(super) fn count(&mut self, outcome: &Outcome, verdict: Verdict, rulebook: &Rulebook) {
        let name = outcome.organisation.as_deref().unwrap_or("-");
        let known = self.organisations.contains_key(name) || self.organisations.len() < ORGANISATIONS_MAX;
        let counts = self.organisations.entry(if known { name } else { OTHERS }.to_owned()).or_default();
        let (from, to, rule) = match verdict {
            Verdict::Same => {
                counts.same += 1;
                return;
            }
            Verdict::Undecidable { why } => {
                counts.undecidable += 1;
                let known = self.reasons.contains_key(&why) || self.reasons.len() < REASONS_MAX;
                *self.reasons.entry(if known { why } else { OTHERS.to_owned() }).or_default() += 1;
                return;
            }
            Verdict::Changed { from, to, rule } => (from, to, rule),
        };
        let (count, examples) = match (&from, to) {
            (None, _) => (&mut counts.refused, &mut self.refused),
            (Some(_), None) => (&mut counts.allowed, &mut self.allowed),
            (Some(_), Some(_)) => (&mut counts.otherwise, &mut self.otherwise),
        };
        *count += 1;
        if examples.len() >= self.examples_max {
            return;
        }
        let text = |text: Option<&str>| text.unwrap_or("-").to_owned();
        let recorded = &outcome.recorded;
        let policy = recorded.operation.as_ref().and_then(|operation| rulebook.operations.get(operation));
        // What no rule of its own says, the operation's entry says, or the lists it names.
        let origin = rule.as_ref().and_then(|rule| rule.origin.as_deref().map(str::to_owned));
        examples.push(Example {
            interaction: outcome.interaction.clone(),
            operation: text(recorded.operation.as_ref().map(policies::id::OperationId::as_str)),
            client: text(recorded.client.as_ref().map(policies::id::ClientId::as_str)),
            from,
            to,
            origin: origin.or_else(|| policy.map(|policy| policy.origin.clone())),
            rule: rule.map(|rule| format!("{} `{}`", rule.kind.word(), rule.name)),
        });
    }

    /// Counts a record that cannot be read.
    pub(super) fn could_not_read(&mut self, sequence: u64, why: &str) {
        self.unread_count += 1;
        if self.unread.len() < UNREAD_MAX {
            self.unread.push((sequence, why.to_owned()));
        }
    }

    /// Notes that the trail could not be read to its end.
    pub(super) fn ends_early(&mut self, why: String) {
        self.broken = Some(why);
    }

    /// Tells whether the trail could not be read to its end.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// Tells whether any decision would be another.
    pub(super) fn has_changes(&self) -> bool {
        let total = self.total();
        total.refused + total.allowed + total.otherwise > 0
    }

    fn total(&self) -> Counts {
        self.organisations.values().fold(Counts::default(), |sum, counts| Counts {
            same: sum.same + counts.same,
            refused: sum.refused + counts.refused,
            allowed: sum.allowed + counts.allowed,
            otherwise: sum.otherwise + counts.otherwise,
            undecidable: sum.undecidable + counts.undecidable,
        })
    }

    /// Tells it to people.
    pub(super) fn to_text(&self) -> String {
        let mut text = String::new();
        let width = self.organisations.keys().map(|name| name.chars().count()).max().unwrap_or(0).max(12);
        let mut row = |name: &str, counts: Counts| {
            let Counts { same, refused, allowed, otherwise, undecidable } = counts;
            let name = printable(name);
            // Writing to a text cannot fail.
            let _ = writeln!(
                text,
                "{name:width$} {same:>10} {refused:>12} {allowed:>12} {otherwise:>12} {undecidable:>12}"
            );
        };
        for (name, counts) in &self.organisations {
            row(name, *counts);
        }
        row("all", self.total());
        let head = format!(
            "{:width$} {:>10} {:>12} {:>12} {:>12} {:>12}\n",
            "organisation", "same", "refused now", "allowed now", "otherwise", "undecidable"
        );
        text.insert_str(0, &head);
        if !self.reasons.is_empty() {
            text.push_str("\nundecidable, as records do not tell:\n");
        }
        for (why, count) in &self.reasons {
            let _ = writeln!(text, "  {count:>10}  {why}");
        }
        for (title, examples) in self.titled() {
            if !examples.is_empty() {
                let _ = writeln!(text, "\n{title}, for example:");
            }
            for example in examples {
                text.push_str(&example.to_text());
            }
        }
        text
    }

    fn titled(&self) -> [(&'static str, &[Example]); 3] {
        [
            ("would be refused now", &self.refused),
            ("would be allowed now, as far as rules say", &self.allowed),
            ("would be refused otherwise", &self.otherwise),
        ]
    }

    /// Tells people what could not be read; empty if all could.
    pub(super) fn unread_text(&self) -> String {
        let mut text = String::new();
        for (sequence, why) in &self.unread {
            let _ = writeln!(text, "warning: record {sequence} cannot be read: {why}");
        }
        let more = self.unread_count.saturating_sub(self.unread.len() as u64);
        if more > 0 {
            let _ = writeln!(text, "warning: {more} more records cannot be read");
        }
        if let Some(why) = &self.broken {
            let _ = writeln!(text, "error: the trail cannot be read to its end: {why}");
        }
        text
    }

    /// Tells it to a program.
    pub(super) fn to_json(&self) -> Value {
        let organisations: serde_json::Map<String, Value> =
            self.organisations.iter().map(|(name, counts)| (name.clone(), counts.to_json())).collect();
        let examples = |examples: &[Example]| examples.iter().map(Example::to_json).collect::<Vec<_>>();
        let unread = |(sequence, why): &(u64, String)| json!({"sequence": sequence, "why": why});
        json!({
            "organisations": organisations,
            "all": self.total().to_json(),
            "undecidable": self.reasons,
            "examples": {
                "refused": examples(&self.refused),
                "allowed": examples(&self.allowed),
                "otherwise": examples(&self.otherwise),
            },
            "unread": {"count": self.unread_count, "first": self.unread.iter().map(unread).collect::<Vec<_>>()},
            "broken": self.broken,
        })
    }
}

impl Counts {
    fn to_json(self) -> Value {
        let Self { same, refused, allowed, otherwise, undecidable } = self;
        json!({
            "same": same, "refusedNow": refused, "allowedNow": allowed, "refusedOtherwise": otherwise,
            "undecidable": undecidable,
        })
    }
}

impl Example {
    fn to_text(&self) -> String {
        let Self { interaction, operation, client, from, to, rule, origin } = self;
        let from = from.as_deref().unwrap_or("allowed");
        let to = to.unwrap_or("allowed");
        let by = match (rule, origin) {
            (Some(rule), Some(origin)) => format!("  {rule} at {origin}"),
            (Some(rule), None) => format!("  {rule}"),
            (None, Some(origin)) => format!("  see {origin}"),
            (None, None) => String::new(),
        };
        format!("{}\n", printable(&format!("  {interaction}  {operation}  {client}  {from} -> {to}{by}")))
    }

    fn to_json(&self) -> Value {
        let Self { interaction, operation, client, from, to, rule, origin } = self;
        json!({
            "interaction": interaction, "operation": operation, "client": client, "from": from, "to": to,
            "rule": rule, "origin": origin,
        })
    }
}
