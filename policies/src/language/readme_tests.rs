//! Holds the tables of `policies/README.md` to the tables of the language: what is told of a key is what the compiler does.
//!
//! With `BLESS` set, the README is written anew between its marks.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::fmt::Write as _;
use std::path::Path;

use super::suggest::listed;
use super::table::{Field, Kind, Need, Table};
use super::tables::{FILE, OPERATION};
use super::units::{shown_bytes, shown_duration};
use crate::condition::context::{BODY, BODY_ABOUT, FACTS, FUNCTIONS};

const KEYS: (&str, &str) = ("<!-- keys -->\n", "<!-- end of keys -->\n");
const FACTS_MARKS: (&str, &str) = ("<!-- facts -->\n", "<!-- end of facts -->\n");

#[test]
fn the_readme_tells_the_keys_and_facts_of_the_language() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let told = between(&between(&readme, KEYS, &keys()), FACTS_MARKS, &facts());
    if told != readme && std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, told).unwrap();
        return;
    }
    assert!(told == readme, "README.md does not tell the keys as the tables have them: run this test with BLESS=1");
}

fn between(text: &str, (begin, end): (&str, &str), inner: &str) -> String {
    let (before, rest) = text.split_once(begin).unwrap();
    let (_, after) = rest.split_once(end).unwrap();
    format!("{before}{begin}{inner}{end}{after}")
}

fn keys() -> String {
    let mut out = "| key | value | left out | meaning |\n|---|---|---|---|\n".to_owned();
    let mut told: Vec<(&'static Table, String)> = Vec::new();
    // `qaqpa: v1` is told in the text.
    for field in FILE.fields.iter().skip(1) {
        row(&mut out, field.name.to_owned(), field, &mut told);
    }
    out
}

fn row(out: &mut String, path: String, field: &'static Field, told: &mut Vec<(&'static Table, String)>) {
    let inner = inside(&field.kind);
    let known = inner.and_then(|(table, _)| told.iter().find(|(other, _)| std::ptr::eq(*other, table)));
    let value = match (known, inner) {
        (Some((_, place)), _) => format!("as at `{place}`"),
        (None, Some((table, _))) if is_of_operations(table) => {
            format!("{}: as at an operation", listed(table.fields.iter().map(|field| field.name)))
        }
        _ => value(&field.kind),
    };
    let left_out = match field.need {
        Need::Required => "required".to_owned(),
        Need::Optional => String::new(),
        Need::Default(text) if text.len() > 20 => "all".to_owned(),
        Need::Default(text) => format!("`{text}`"),
    };
    let _ = writeln!(out, "| `{path}` | {value} | {left_out} | {} |", field.about);
    if let (None, Some((table, named))) = (known, inner)
        && !is_of_operations(table)
    {
        let path = if named { format!("{path}.<name>") } else { path };
        told.push((table, path.clone()));
        for field in table.fields {
            row(out, format!("{path}.{}", field.name), field, told);
        }
    }
}

// The defaults have keys of operations only.
fn is_of_operations(table: &Table) -> bool {
    table.fields.len() > 1 && table.fields.iter().all(|field| OPERATION.fields.contains(field)) && *table != OPERATION
}

fn inside(kind: &'static Kind) -> Option<(&'static Table, bool)> {
    match kind {
        Kind::Mapping(table) => Some((table, false)),
        Kind::Named(kind) => inside(kind).map(|(table, _)| (table, true)),
        Kind::List(kind) | Kind::OneOrMore(kind) => inside(kind),
        Kind::Either(kinds) => kinds.iter().find_map(inside),
        _ => None,
    }
}

fn value(kind: &Kind) -> String {
    match kind {
        Kind::Text => "text".to_owned(),
        Kind::Boolean => "`true`, `false`".to_owned(),
        Kind::Whole(range) => format!("count, {} to {}", range.start(), range.end()),
        Kind::Signed(range) => format!("count, {} to {}", range.start(), range.end()),
        Kind::Quota => "calls in a window, `2000/minute`".to_owned(),
        Kind::Hours => "hours, `06:00-24:00`".to_owned(),
        Kind::Header => "header, in small letters".to_owned(),
        Kind::Duration(range) => {
            format!("time, {} to {}", shown_duration(*range.start()), shown_duration(*range.end()))
        }
        Kind::Bytes(range) => format!("size, {} to {}", shown_bytes(*range.start()), shown_bytes(*range.end())),
        Kind::Rate => "rate".to_owned(),
        Kind::Money => "money".to_owned(),
        Kind::Date => "day".to_owned(),
        Kind::Pointer => "JSON pointer".to_owned(),
        Kind::FieldPath => "JSON pointer, `*` for any part".to_owned(),
        Kind::Word(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" "),
        Kind::Name(section) => format!("name of `{section}`"),
        Kind::Contract(what) => format!("{what} of a contract"),
        Kind::Secret => "secret".to_owned(),
        Kind::Url => "https URL".to_owned(),
        Kind::Network => "network".to_owned(),
        Kind::Condition => "condition".to_owned(),
        Kind::PublicKey => "public JWK".to_owned(),
        Kind::Any => "any value".to_owned(),
        Kind::List(kind) => format!("list: {}", value(kind)),
        Kind::OneOrMore(kind) => format!("one or a list: {}", value(kind)),
        Kind::Named(Kind::Signed(range)) => format!("by status: count, {} to {}", range.start(), range.end()),
        Kind::Named(_) => "by name".to_owned(),
        Kind::Mapping(_) => "keys".to_owned(),
        Kind::Either(kinds) => kinds.iter().map(value).collect::<Vec<_>>().join(", or "),
    }
}

fn facts() -> String {
    let mut out = "| fact or function | what it is |\n|---|---|\n".to_owned();
    for fact in FACTS {
        let _ = writeln!(out, "| `{}.{}` | {} |", fact.group, fact.name, fact.about);
    }
    let _ = writeln!(out, "| `{BODY}` | {BODY_ABOUT} |");
    for function in FUNCTIONS {
        let _ = writeln!(out, "| `{}` | {} |", function.usage, function.about);
    }
    out
}
