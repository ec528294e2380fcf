//! Finds keys of the language by their path, for whoever asks what a key means or which kind of value it has.
//!
//! A path is a key after a key, `apis.operations.timeout`; names that people chose may stand in it or be left out, so that
//! `apis.payments.operations.createDomesticPayment.timeout` is the same key. Must never hold a value of a file.

use super::suggest::did_you_mean;
use super::table::{Field, Kind, Table};
use super::tables::FILE;

/// A key that was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// The path of it, with `<name>` where people choose a name.
    pub path: Vec<&'static str>,
    /// The key.
    pub field: &'static Field,
    /// The mapping it stands in.
    pub table: &'static Table,
}

/// What is shown for a name that people choose.
pub const NAME: &str = "<name>";

/// Finds a key.
///
/// # Errors
/// The first part of the path that is no key there, and the key that was probably meant.
pub fn find<'p>(path: &[&'p str]) -> Result<Found, Unknown<'p>> {
    let mut table: &'static Table = &FILE;
    let mut shown = Vec::new();
    let mut parts = path.iter().copied();
    let mut found: Option<Found> = None;
    while let Some(part) = parts.next() {
        let mut part = part;
        if let Some(found) = &found {
            let Some(inner) = inside(&found.field.kind) else {
                // Values by name, such as costs by status: the name is the end of it.
                if matches!(found.field.kind, Kind::Named(_)) && parts.next().is_none() {
                    break;
                }
                return Err(Unknown { part, known: Vec::new() });
            };
            // A name may be spelled like a key: then it is the key, unless the key comes next.
            if (inner.named || inner.items) && inner.table.field(part).is_none() {
                match parts.next() {
                    Some(next) => part = next,
                    None => {
                        let unknown =
                            Unknown { part, known: inner.table.fields.iter().map(|field| field.name).collect() };
                        // At the end a name says nothing, but one that is nearly a key was meant as that.
                        if unknown.meant().is_some() {
                            return Err(unknown);
                        }
                        break;
                    }
                }
            }
            if inner.named {
                shown.push(NAME);
            }
            table = inner.table;
        }
        let Some(field) = table.field(part) else {
            return Err(Unknown { part, known: table.fields.iter().map(|field| field.name).collect() });
        };
        shown.push(field.name);
        found = Some(Found { path: shown.clone(), field, table });
    }
    found.ok_or(Unknown { part: "", known: FILE.fields.iter().map(|field| field.name).collect() })
}

/// Lists the paths of all keys that are called so, without names that people choose: [`find`] takes each.
#[must_use]
pub fn called(name: &str) -> Vec<String> {
    let mut paths = Vec::new();
    collect(&FILE, name, &mut Vec::new(), &mut paths);
    paths
}

/// How deep keys are looked for: deeper than any stands.
const DEPTH_MAX: usize = 8;

fn collect(table: &'static Table, name: &str, above: &mut Vec<&'static str>, paths: &mut Vec<String>) {
    for field in table.fields {
        above.push(field.name);
        if field.name == name {
            paths.push(above.join("."));
        }
        if let Some(below) = inside(&field.kind).filter(|_| above.len() < DEPTH_MAX) {
            collect(below.table, name, above, paths);
        }
        above.pop();
    }
}

/// A part of a path that is no key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown<'p> {
    /// The part.
    pub part: &'p str,
    /// The keys that are known there; none if nothing stands below.
    pub known: Vec<&'static str>,
}

impl Unknown<'_> {
    /// Returns the key that was probably meant.
    #[must_use]
    pub fn meant(&self) -> Option<&'static str> {
        did_you_mean(self.part, self.known.iter().copied())
    }
}

/// What stands below a key.
#[derive(Debug, Clone, Copy)]
pub struct Inside {
    /// The mapping.
    pub table: &'static Table,
    /// Whether there is one for each name that people choose.
    pub named: bool,
    /// Whether there is one for each item of a list; rows call items by what they are about.
    pub items: bool,
}

/// Returns the mapping that stands below a key, through lists and names; none if values stand there.
#[must_use]
pub fn inside(kind: &'static Kind) -> Option<Inside> {
    match kind {
        Kind::Mapping(table) => Some(Inside { table, named: false, items: false }),
        Kind::Named(item) => inside(item).map(|found| Inside { named: true, ..found }),
        Kind::List(item) | Kind::OneOrMore(item) => inside(item).map(|found| Inside { items: true, ..found }),
        Kind::Either(kinds) => kinds.iter().find_map(inside),
        _ => None,
    }
}

/// Returns the section whose names may stand at a key, such as `upstreams`; none if the value is no name.
#[must_use]
pub fn section(kind: &'static Kind) -> Option<&'static str> {
    match kind {
        Kind::Name(section) => Some(section),
        Kind::List(item) | Kind::OneOrMore(item) => section(item),
        Kind::Either(kinds) => kinds.iter().find_map(section),
        _ => None,
    }
}

/// Says in words what may stand at a key.
#[must_use]
pub fn told(kind: &'static Kind) -> String {
    match kind {
        Kind::Text => "a text".to_owned(),
        Kind::Boolean => "`true` or `false`".to_owned(),
        Kind::Whole(_) => "a whole number".to_owned(),
        Kind::Signed(_) => "a whole number, also below zero".to_owned(),
        Kind::Quota => "a number of calls in a window, such as `2000/minute` or `100/day`".to_owned(),
        Kind::Hours => "hours of a day, such as `06:00-24:00`".to_owned(),
        Kind::Header => "the name of a header, in small letters".to_owned(),
        Kind::Duration(_) => "a time such as `800ms`, `3s` or `5m`".to_owned(),
        Kind::Bytes(_) => "a size such as `512B`, `64KiB` or `2MiB`".to_owned(),
        Kind::Rate => "a rate such as `50/s`, `100/min` or `10000/day`".to_owned(),
        Kind::Money => "an amount such as `250000 KZT`".to_owned(),
        Kind::Date => "a day, `2027-06-30`".to_owned(),
        Kind::Pointer => "a JSON pointer such as `/instructedAmount`".to_owned(),
        Kind::FieldPath => "a JSON pointer whose parts may be `*`, such as `/accounts/*/iban`".to_owned(),
        Kind::Word(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or "),
        Kind::Name(section) => format!("a name of `{section}`"),
        Kind::Contract(what) => format!("the name of {} in a contract", with_article(what)),
        Kind::Secret => "a reference to a secret, `secret:file:/path` or `secret:env:NAME`".to_owned(),
        Kind::Url => "an https URL".to_owned(),
        Kind::Network => "a range of addresses such as `10.0.0.0/8`".to_owned(),
        Kind::Condition => "a condition in CEL (`qaqpa explain condition`)".to_owned(),
        Kind::PublicKey => "a public JSON Web Key".to_owned(),
        Kind::Any => "any value".to_owned(),
        Kind::List(item) => format!("a list of: {}", told(item)),
        Kind::OneOrMore(item) => format!("one or a list of: {}", told(item)),
        Kind::Named(item) => format!("a mapping from names to: {}", told(item)),
        Kind::Mapping(table) => format!("a mapping ({})", table.name),
        Kind::Either(kinds) => kinds.iter().map(told).collect::<Vec<_>>().join(", or "),
    }
}

fn with_article(what: &str) -> String {
    let article = if what.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" };
    format!("{article} {what}")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    fn path(text: &str) -> Result<String, (String, Option<&'static str>)> {
        let parts: Vec<&str> = text.split('.').collect();
        find(&parts).map(|found| found.path.join(".")).map_err(|unknown| (unknown.part.to_owned(), unknown.meant()))
    }

    #[test]
    fn a_part_that_is_no_key_is_told_with_what_was_meant() {
        assert_eq!(path("apis.operatoins"), Err(("operatoins".to_owned(), Some("operations"))));
        assert_eq!(path("apis.payments.operatoins"), Err(("operatoins".to_owned(), Some("operations"))));
        assert_eq!(path("api"), Err(("api".to_owned(), Some("apis"))));
        assert_eq!(path("apis.upstream.x"), Err(("x".to_owned(), None)));
        assert_eq!(path("limits.lookups.cost.404.x"), Err(("404".to_owned(), None)));
    }

    #[test]
    fn every_key_that_is_called_so_is_listed_and_found() {
        assert_eq!(called("override"), ["apis.operations.override"]);
        assert_eq!(called("networks").first().map(String::as_str), Some("organisations.networks"));
        let timeouts = called("timeout");
        assert!(["defaults.timeout", "apis.defaults.timeout"].iter().all(|one| timeouts.contains(&(*one).to_owned())));
        for path in timeouts {
            let parts: Vec<&str> = path.split('.').collect();
            assert_eq!(find(&parts).unwrap().field.name, "timeout", "{path}");
        }
        assert!(called("tiemout").is_empty());
    }

    #[test]
    fn names_may_be_left_out() {
        let key = "apis.<name>.operations.<name>.timeout";
        assert_eq!(path("apis.operations.timeout").unwrap(), key);
        assert_eq!(path("apis.payments.operations.createDomesticPayment.timeout").unwrap(), key);
        assert_eq!(path("apis.payments.operations.timeout").unwrap(), key);
        assert_eq!(path("defaults.validate.response").unwrap(), "defaults.validate.response");
        assert_eq!(path("identity.providers.face.level").unwrap(), "identity.providers.<name>.level");
        assert_eq!(path("plans.limits.rate").unwrap(), "plans.<name>.limits.rate");
        assert_eq!(path("plans.p.limits.client+operation.rate").unwrap(), "plans.<name>.limits.rate");
        assert_eq!(path("fraud.then.stepUp").unwrap(), "fraud.<name>.then.stepUp");
        assert_eq!(path("clients.demo").unwrap(), "clients");
        assert_eq!(path("limits.lookups.cost.404").unwrap(), "limits.<name>.cost");
        assert_eq!(path("limits.cost").unwrap(), "limits.<name>.cost");
        assert_eq!(path("limits.polls.after.id").unwrap(), "limits.<name>.polls.after.id");
    }
}
