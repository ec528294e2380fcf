//! Which fields are shown to whom: masks over JSON values of answers, log lines and traces.
//!
//! A mask names places; what a place holds is never told by a mask's own messages. Must never know a header or a status.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::party::Role;

mod items;
mod scan;

pub use items::kept;
use scan::{Kind, Members};

/// How deep lists are followed in which a mask expects a member: beyond, a text is refused. Nobody nests as deep.
const LISTS_MAX: usize = 32;

/// From how many characters on the last four are shown: of a shorter value they would be too much.
const LAST_FOUR_FROM: usize = 12;

/// What stands for a value.
const STARS: &str = "****";

/// Where a value stands in a body: a JSON pointer (RFC 6901) whose parts may be `*`, any key or index.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldPath {
    text: Arc<str>,
    parts: Arc<[Arc<str>]>,
}

impl FieldPath {
    /// Reads a path such as `/data/*/iban`; none if it is no JSON pointer.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix('/').filter(|rest| !rest.is_empty())?;
        let escapes = text.split('~').skip(1).all(|after| after.starts_with(['0', '1']));
        let parts = rest.split('/').map(|part| Arc::from(part.replace("~1", "/").replace("~0", "~"))).collect();
        escapes.then(|| Self { text: Arc::from(text), parts })
    }

    /// Returns the path as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns its parts, unescaped; `*` stands for any.
    #[must_use]
    pub fn parts(&self) -> &[Arc<str>] {
        &self.parts
    }
}

/// What is shown in place of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// Nothing: the member is taken out; in a list, it becomes `null`.
    Nothing,
    /// Stars, as many whatever the value.
    Stars,
    /// Stars and the last four characters, if there are at least twelve; else stars.
    LastFour,
}

/// Where a mask works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MaskPlace {
    /// In answers to clients.
    Responses,
    /// In log lines.
    Logs,
    /// In spans of traces.
    Traces,
}

/// One named mask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    /// Its name.
    pub id: Arc<str>,
    /// The fields.
    pub fields: Vec<FieldPath>,
    /// What is shown instead.
    pub show: Show,
    /// Who sees the value all the same, in answers: organisations with one of these roles. Nobody does in logs and traces.
    pub except: BTreeSet<Role>,
    /// Where it works.
    pub places: BTreeSet<MaskPlace>,
    /// Where it stands, `file:line`.
    pub origin: String,
}

impl Mask {
    /// Tells whether the mask works on answers to an organisation with these roles; nobody's roles are none.
    #[must_use]
    pub fn covers_answers(&self, roles: Option<&BTreeSet<Role>>) -> bool {
        let excepted = roles.is_some_and(|roles| !self.except.is_disjoint(roles));
        self.places.contains(&MaskPlace::Responses) && !excepted
    }
}

/// Why a text could not be masked; whoever asked must not show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmaskable {
    /// It is no JSON in UTF-8.
    NoJson,
    /// Lists in lists, deeper than anybody follows.
    TooDeep,
}

impl Unmaskable {
    /// Returns why, for the log.
    #[must_use]
    pub const fn why(self) -> &'static str {
        match self {
            Unmaskable::NoJson => "what has to be masked is no JSON",
            Unmaskable::TooDeep => "what has to be masked has lists in lists, too deep",
        }
    }
}

/// Masks a JSON text; `None` if no mask applies to it. What is not masked stays as it was, to the byte.
///
/// A key that comes twice is masked twice, and keys are compared as they are meant, not as they are written. Where a mask
/// expects a member and finds a list, it looks into the list; where it finds any other value but `null`, it masks that: a
/// backend that breaks its contract does not get past a mask.
///
/// # Errors
/// [`Unmaskable`].
pub fn masked<'a>(text: &[u8], masks: impl IntoIterator<Item = &'a Mask>) -> Result<Option<Vec<u8>>, Unmaskable> {
    let paths: Vec<Path<'_>> = masks.into_iter().flat_map(paths).collect();
    if paths.is_empty() {
        return Ok(None);
    }
    let text = std::str::from_utf8(text).map_err(|_| Unmaskable::NoJson)?;
    // What stands below only looks for places in a text that a parser has taken whole.
    serde_json::from_str::<IgnoredAny>(text).map_err(|_| Unmaskable::NoJson)?;
    let mut out = String::with_capacity(text.len());
    write_masked(text.trim_matches(scan::BLANKS), &paths, 0, &mut out)?;
    Ok(Some(out.into_bytes()))
}

/// Writes fields of a body as a line may show them: one JSON object, places to values, masked.
///
/// At most [`NOTED_MAX`] values of [`NOTED_CHARACTERS_MAX`] characters are shown, with nothing in them that steers a
/// terminal or breaks a line; of a body that cannot be masked none is.
#[must_use]
pub fn noted<'a>(body: &Value, fields: &[FieldPath], masks: impl IntoIterator<Item = &'a Mask>) -> String {
    // The whole body is masked, so that nothing is shown here that would not be there.
    let shown = match masked(body.to_string().as_bytes(), masks) {
        Ok(None) => Some(body.clone()),
        Ok(Some(masked)) => serde_json::from_slice(&masked).ok(),
        Err(_) => None,
    };
    let mut noted = Map::new();
    for field in fields {
        let mut found = Vec::new();
        values_at(shown.as_ref().unwrap_or(&Value::Null), field.parts(), String::new(), &mut found);
        for (place, value) in found.into_iter().take(NOTED_MAX.saturating_sub(noted.len())) {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            noted.insert(plain(&place), Value::from(plain(&text)));
        }
    }
    Value::Object(noted).to_string()
}

/// How many values a line shows of one request: more are no note but a copy.
pub const NOTED_MAX: usize = 16;

/// How much of a value or of the name of its place a line shows, in characters: an IBAN, a code, a name.
pub const NOTED_CHARACTERS_MAX: usize = 128;

fn values_at<'a>(value: &'a Value, parts: &[Arc<str>], place: String, found: &mut Vec<(String, &'a Value)>) {
    let Some((part, rest)) = parts.split_first() else {
        if found.len() < NOTED_MAX && !place.is_empty() {
            found.push((place, value));
        }
        return;
    };
    let any = &**part == "*";
    match value {
        Value::Object(members) if any => {
            members.iter().for_each(|(key, inner)| values_at(inner, rest, format!("{place}/{key}"), found));
        }
        Value::Object(members) => {
            if let Some(inner) = members.get(&**part) {
                values_at(inner, rest, format!("{place}/{part}"), found);
            }
        }
        Value::Array(items) => {
            for (index, inner) in items.iter().enumerate().take(if any { NOTED_MAX } else { items.len() }) {
                if any || index.to_string() == **part {
                    values_at(inner, rest, format!("{place}/{index}"), found);
                }
            }
        }
        _ => {}
    }
}

// Letters of other scripts stay; what ends a line, steers a terminal or turns the direction of writing does not.
fn plain(text: &str) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    text.chars().take(NOTED_CHARACTERS_MAX).map(|c| if steers(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// What is left of a mask's path, below the value that is looked at.
#[derive(Clone, Copy)]
struct Path<'a> {
    parts: &'a [Arc<str>],
    show: Show,
}

fn paths(mask: &Mask) -> impl Iterator<Item = Path<'_>> {
    mask.fields.iter().map(|field| Path { parts: field.parts(), show: mask.show })
}

impl<'a> Path<'a> {
    /// The path below a member, if the member is on it.
    fn below(self, key: &str) -> Option<Self> {
        let (first, parts) = self.parts.split_first()?;
        (&**first == "*" || **first == *key).then_some(Path { parts, ..self })
    }

    /// The path below an item of a list; one that expects a member is looked for in every item.
    fn in_list(self, index: &str) -> Option<Self> {
        let expects_list = self.parts.first().is_some_and(|first| {
            &**first == "*" || (!first.is_empty() && first.bytes().all(|byte| byte.is_ascii_digit()))
        });
        if expects_list { self.below(index) } else { Some(self) }
    }
}

// The strictest that ends here: of several masks the one that shows least.
fn ending(paths: &[Path<'_>]) -> Option<Show> {
    let shows = || paths.iter().filter(|path| path.parts.is_empty()).map(|path| path.show);
    [Show::Nothing, Show::Stars, Show::LastFour].into_iter().find(|show| shows().any(|other| other == *show))
}

fn write_masked(text: &str, paths: &[Path<'_>], lists: usize, out: &mut String) -> Result<(), Unmaskable> {
    if paths.is_empty() {
        out.push_str(text);
        return Ok(());
    }
    match (ending(paths), Kind::of(text)) {
        (_, Kind::Null) => out.push_str(text),
        (Some(show), kind) => write_shown(text, kind, show, out),
        (None, Kind::Object) => write_members(text, paths, lists, out)?,
        (None, Kind::Array) => {
            if lists >= LISTS_MAX {
                return Err(Unmaskable::TooDeep);
            }
            out.push('[');
            for (index, item) in scan::Items::of(text).enumerate() {
                if index > 0 {
                    out.push(',');
                }
                let index = index.to_string();
                let inner: Vec<Path<'_>> = paths.iter().filter_map(|path| path.in_list(&index)).collect();
                if ending(&inner) == Some(Show::Nothing) {
                    out.push_str("null");
                } else {
                    // Only lists that no part of a path was spent on can go on for ever.
                    let deeper =
                        inner.iter().any(|path| paths.iter().any(|outer| outer.parts.len() == path.parts.len()));
                    write_masked(item, &inner, if deeper { lists + 1 } else { lists }, out)?;
                }
            }
            out.push(']');
        }
        // The mask expects to look into it.
        (None, Kind::Text | Kind::Plain) => write_shown(text, Kind::Plain, Show::Stars, out),
    }
    Ok(())
}

fn write_members(text: &str, paths: &[Path<'_>], lists: usize, out: &mut String) -> Result<(), Unmaskable> {
    out.push('{');
    let mut first = true;
    for member in Members::of(text) {
        let key: String = serde_json::from_str(member.key).map_err(|_| Unmaskable::NoJson)?;
        let inner: Vec<Path<'_>> = paths.iter().filter_map(|path| path.below(&key)).collect();
        if ending(&inner) == Some(Show::Nothing) {
            continue;
        }
        if !std::mem::take(&mut first) {
            out.push(',');
        }
        out.push_str(member.key);
        out.push(':');
        write_masked(member.value, &inner, lists, out)?;
    }
    out.push('}');
    Ok(())
}

fn write_shown(text: &str, kind: Kind, show: Show, out: &mut String) {
    let last = || {
        let value = match kind {
            Kind::Text => serde_json::from_str::<String>(text).ok()?,
            Kind::Plain => text.to_owned(),
            Kind::Object | Kind::Array | Kind::Null => return None,
        };
        let count = value.chars().count();
        (count >= LAST_FOUR_FROM).then(|| value.chars().skip(count - 4).collect::<String>())
    };
    let tail = if show == Show::LastFour { last() } else { None };
    out.push_str(&Value::from(format!("{STARS}{}", tail.unwrap_or_default())).to_string());
}

#[cfg(test)]
#[path = "mask_tests.rs"]
mod tests;
