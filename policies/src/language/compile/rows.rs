//! Flat rows of everything that applies: what stands in the files by their tables, and what the layers came to.
//!
//! Rows are made of sound sets only; a secret is never among them, for a file that holds one is refused.

use super::keys::{certificate, json};
use super::limits::without_store_unsaid;
use crate::jose::{VerifyingKey, base64url};
use crate::language::decode::Value;
use crate::language::document::{Content, Entry, Node};
use crate::language::effective::{Layer, Row};
use crate::language::problem::Place;
use crate::language::strict::default_items;
use crate::language::table::{Field, Kind, Need, Table};
use crate::language::tables::LIMIT;
use crate::language::units;
use crate::rulebook::{ClientAuthentication, KeySource};

/// Collects rows.
#[derive(Default)]
pub(super) struct Rows {
    found: Vec<Row>,
}

impl Rows {
    /// Returns the rows by path.
    pub(super) fn sorted(mut self) -> Vec<Row> {
        self.found.sort_by(|a, b| a.path.cmp(&b.path));
        self.found
    }

    /// Takes in a value that was merged of layers; `path` ends with its key.
    pub(super) fn merged(
        &mut self,
        path: Vec<String>,
        field: &'static Field,
        mut value: Vec<String>,
        place: Option<&Place>,
        layer: Layer,
    ) {
        if !keeps_order(&field.kind) {
            value.sort();
        }
        let (kind, stricter, need) = (&field.kind, field.stricter, field.need);
        self.found.push(Row { path, value, place: place.cloned(), layer, kind, stricter, need });
    }

    /// Takes in what the language says of a definition that nobody has written.
    pub(super) fn defaults(&mut self, path: &[&str], table: &'static Table) {
        for field in table.fields {
            if let Need::Default(text) = field.need {
                let path = path.iter().copied().chain([field.name]).map(str::to_owned).collect();
                self.merged(path, field, default_items(text), None, Layer::Language);
            }
        }
    }

    /// Takes in keys that stand in a file of their own, as if they stood in the policy.
    pub(super) fn keys(
        &mut self,
        path: Vec<String>,
        field: &'static Field,
        authentication: &ClientAuthentication,
        place: &Place,
    ) {
        let shown = match authentication {
            ClientAuthentication::PrivateKeyJwt(KeySource::Given(keys)) => keys.iter().map(verifying).collect(),
            ClientAuthentication::SelfSignedTlsClientAuth(found) => found.iter().map(|hash| base64url(hash)).collect(),
            ClientAuthentication::PrivateKeyJwt(KeySource::Url(_)) | ClientAuthentication::TlsClientAuth(_) => return,
        };
        self.merged(path, field, shown, Some(place), Layer::Own);
    }

    /// Takes in a definition as it stands in the file; keys in `except` are left to others.
    pub(super) fn definition(&mut self, path: &[&str], table: &'static Table, value: Value<'_>, except: &[&str]) {
        let path: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
        self.mapping(&path, table, value.node(), except);
    }

    fn mapping(&mut self, path: &[String], table: &'static Table, node: &Node, except: &[&str]) {
        let entries: &[_] = match &node.content {
            Content::Mapping(entries) => entries,
            _ => &[],
        };
        for field in table.fields.iter().filter(|field| !except.contains(&field.name)) {
            let path = joined(path, field.name);
            match entries.iter().find(|entry| entry.key.text == field.name) {
                Some(entry) => self.value(path, field, &field.kind, &entry.value, &entry.key.place),
                None => {
                    if let Need::Default(text) = field.need {
                        self.merged(path, field, default_items(text), None, Layer::Language);
                    } else if let Some(word) = word_unsaid(table, field, entries) {
                        self.merged(path, field, vec![word.to_owned()], None, Layer::Language);
                    }
                }
            }
        }
    }

    fn value(&mut self, path: Vec<String>, field: &'static Field, kind: &'static Kind, node: &Node, key: &Place) {
        match kind {
            Kind::Mapping(table) => self.mapping(&path, table, node, &[]),
            Kind::Named(inner) => {
                if let Content::Mapping(entries) = &node.content {
                    for entry in entries {
                        self.value(joined(&path, &entry.key.text), field, inner, &entry.value, &entry.key.place);
                    }
                }
            }
            Kind::Either(kinds) => {
                let is_mapping = matches!(node.content, Content::Mapping(_));
                let fits = |kind: &&Kind| matches!(kind, Kind::Mapping(_)) == is_mapping;
                if let Some(inner) = kinds.iter().find(fits) {
                    self.value(path, field, inner, node, key);
                }
            }
            Kind::List(Kind::Either(kinds)) => self.list_of_either(path, field, kinds, node),
            Kind::List(inner) | Kind::OneOrMore(inner) => {
                let items = match &node.content {
                    Content::Sequence(items) => items.iter().map(|item| shown(inner, item)).collect(),
                    Content::Empty => Vec::new(),
                    _ => vec![shown(inner, node)],
                };
                self.own(path, field, items, place_of(node, key));
            }
            _ => self.own(path, field, vec![shown(kind, node)], place_of(node, key)),
        }
    }

    // Limits that are written out are called by what they count, so that two sets can be compared one by one.
    fn list_of_either(&mut self, path: Vec<String>, field: &'static Field, kinds: &'static [Kind], node: &Node) {
        let Content::Sequence(items) = &node.content else { return };
        let mut names: Vec<String> = Vec::new();
        for item in items {
            let inner = kinds.iter().find_map(|kind| match (kind, &item.content) {
                (Kind::Mapping(table), Content::Mapping(entries)) => Some((*table, entries)),
                _ => None,
            });
            let Some((table, entries)) = inner else {
                names.push(shown(&Kind::Text, item));
                continue;
            };
            let per = entries.iter().find(|entry| entry.key.text == "per").map(|entry| match &entry.value.content {
                Content::Sequence(items) => {
                    let mut words: Vec<String> = items.iter().map(|item| shown(&Kind::Text, item)).collect();
                    words.sort();
                    words.join("+")
                }
                _ => shown(&Kind::Text, &entry.value),
            });
            // Buckets are called by that alone.
            let shape = ["quota", "inFlight", "polls", "sessions"].into_iter();
            let shape = shape.filter(|key| entries.iter().any(|entry| entry.key.text == *key)).map(str::to_owned);
            let per = per.into_iter().chain(shape).collect::<Vec<_>>().join(":");
            let same = names.iter().filter(|name| name.split('#').next() == Some(per.as_str())).count();
            let name = if same == 0 { per } else { format!("{per}#{}", same + 1) };
            self.mapping(&joined(&path, &name), table, item, &[]);
            names.push(name);
        }
        self.own(path, field, names, &node.place);
    }

    fn own(&mut self, path: Vec<String>, field: &'static Field, value: Vec<String>, place: &Place) {
        self.merged(path, field, value, Some(place), Layer::Own);
    }
}

// What is done without the store hangs on what is counted, so that no default of the table can say it.
fn word_unsaid(table: &'static Table, field: &Field, entries: &[Entry]) -> Option<&'static str> {
    let says = |key: &str| entries.iter().any(|entry| entry.key.text == key);
    let asked = std::ptr::eq(table, &LIMIT) && field.name == "withoutStore" && !says("inFlight");
    asked.then(|| without_store_unsaid(says).word())
}

fn joined(path: &[String], last: &str) -> Vec<String> {
    let mut longer = Vec::with_capacity(path.len() + 1);
    longer.extend_from_slice(path);
    longer.push(last.to_owned());
    longer
}

fn place_of<'p>(node: &'p Node, key: &'p Place) -> &'p Place {
    if matches!(node.content, Content::Empty) { key } else { &node.place }
}

// The current secret comes first, and limits are asked in their order.
fn keeps_order(kind: &Kind) -> bool {
    matches!(kind, Kind::List(Kind::Either(_)) | Kind::OneOrMore(Kind::Secret))
}

/// Writes a single value as the language writes it, in one way only.
pub(super) fn shown(kind: &Kind, node: &Node) -> String {
    let Content::Scalar { text, .. } = &node.content else { return key_shown(node) };
    let other = match kind {
        Kind::Duration(_) => units::duration(text).map(units::shown_duration),
        Kind::Bytes(_) => units::bytes(text).map(units::shown_bytes),
        Kind::Rate => units::rate(text).map(|rate| rate.to_string()),
        Kind::Money => units::money(text).map(units::shown_money),
        Kind::Boolean => Some(text.to_ascii_lowercase()),
        Kind::Condition => Some(text.split_whitespace().collect::<Vec<_>>().join(" ")),
        _ => None,
    };
    other.unwrap_or_else(|| text.clone())
}

// A public key is called by its id and thumbprint: another key is another value, whatever its id. What is shown with a
// certificate is known by that.
fn key_shown(node: &Node) -> String {
    let jwk = json(node);
    match (certificate(&jwk), VerifyingKey::from_jwk(&jwk)) {
        (Some(hash), _) => base64url(&hash),
        (None, Ok(key)) => verifying(&key),
        (None, Err(_)) => String::new(),
    }
}

fn verifying(key: &VerifyingKey) -> String {
    format!("{} {}", key.kid().unwrap_or("-"), key.thumbprint().as_str())
}
