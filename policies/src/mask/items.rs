//! Lists of which only some items are shown.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::de::IgnoredAny;

use super::scan::{BLANKS, Items, Kind, Members};
use super::{FieldPath, Unmaskable};

/// Leaves of a list in a JSON text the items whose id, a text, is among `ids`. What is left stays as it was, to the byte.
///
/// `list` is the place of the list, `id` that of the id within an item; both go through members of objects only. A list
/// that comes twice is cut twice; an item whose id is not there, is no text or stands there twice is left out; where the
/// list should be and nothing is, or something else but `null`, nothing can be told: it may stand elsewhere.
///
/// # Errors
/// [`Unmaskable::NoJson`].
pub fn kept(text: &[u8], list: &FieldPath, id: &FieldPath, ids: &BTreeSet<String>) -> Result<Vec<u8>, Unmaskable> {
    let text = std::str::from_utf8(text).map_err(|_| Unmaskable::NoJson)?;
    // What stands below only looks for places in a text that a parser has taken whole.
    serde_json::from_str::<IgnoredAny>(text).map_err(|_| Unmaskable::NoJson)?;
    let mut out = String::with_capacity(text.len());
    write_kept(text.trim_matches(BLANKS), list.parts(), &Wanted { id: id.parts(), ids }, &mut out)?;
    Ok(out.into_bytes())
}

struct Wanted<'a> {
    id: &'a [Arc<str>],
    ids: &'a BTreeSet<String>,
}

impl Wanted<'_> {
    fn has(&self, item: &str) -> bool {
        let mut found = Vec::new();
        texts_at(item, self.id, &mut found);
        matches!(found.as_slice(), [Some(id)] if self.ids.contains(id))
    }
}

fn write_kept(text: &str, parts: &[Arc<str>], wanted: &Wanted<'_>, out: &mut String) -> Result<(), Unmaskable> {
    match (parts.split_first(), Kind::of(text)) {
        (_, Kind::Null) => out.push_str(text),
        (None, Kind::Array) => {
            let left: Vec<&str> = Items::of(text).filter(|item| wanted.has(item)).collect();
            out.push('[');
            out.push_str(&left.join(","));
            out.push(']');
        }
        (Some((first, rest)), Kind::Object) => {
            out.push('{');
            let mut there = false;
            for (index, member) in Members::of(text).enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(member.key);
                out.push(':');
                if meant(member.key)? == **first {
                    there = true;
                    write_kept(member.value, rest, wanted, out)?;
                } else {
                    out.push_str(member.value);
                }
            }
            out.push('}');
            if !there {
                return Err(Unmaskable::NoJson);
            }
        }
        _ => return Err(Unmaskable::NoJson),
    }
    Ok(())
}

// What stands at a place, each time that it does; none for what is no text.
fn texts_at(text: &str, parts: &[Arc<str>], found: &mut Vec<Option<String>>) {
    let Some((first, rest)) = parts.split_first() else {
        let value = (Kind::of(text) == Kind::Text).then(|| serde_json::from_str(text).ok()).flatten();
        return found.push(value);
    };
    if Kind::of(text) == Kind::Object {
        let named = Members::of(text).filter(|member| meant(member.key).is_ok_and(|key| key == **first));
        named.for_each(|member| texts_at(member.value, rest, found));
    }
}

fn meant(key: &str) -> Result<String, Unmaskable> {
    serde_json::from_str(key).map_err(|_| Unmaskable::NoJson)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    fn shown(text: &str) -> Result<String, Unmaskable> {
        let path = |text: &str| FieldPath::parse(text).unwrap();
        let ids = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
        kept(text.as_bytes(), &path("/data/accounts"), &path("/id"), &ids)
            .map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn what_is_not_shared_is_left_out() {
        for (text, left) in [
            (r#"{"data":{"accounts":[{"id":"c"}]}}"#, r#"{"data":{"accounts":[]}}"#),
            (
                r#"{"data":{"accounts":[ {"id":"c"} , {"n":1.10,"id":"a"},{"id":"b"}]},"n":1.0}"#,
                r#"{"data":{"accounts":[{"n":1.10,"id":"a"},{"id":"b"}]},"n":1.0}"#,
            ),
            // No id, no text, a nested one, and two of which nobody knows which counts.
            (
                r#"{"data":{"accounts":[{},{"id":1},"a",{"x":{"id":"a"}},{"id":"a","id":"c"},null]}}"#,
                r#"{"data":{"accounts":[]}}"#,
            ),
            // Keys as they are meant, and lists that come twice.
            (
                r#"{"data":{"\u0061ccounts":[{"id":"c"}],"accounts":[{"i\u0064":"\u0061"}]}}"#,
                r#"{"data":{"\u0061ccounts":[],"accounts":[{"i\u0064":"\u0061"}]}}"#,
            ),
            (r#"{"data":{"accounts":null}}"#, r#"{"data":{"accounts":null}}"#),
            (r#"{"data":null}"#, r#"{"data":null}"#),
        ] {
            assert_eq!(shown(text).as_deref(), Ok(left), "{text}");
        }
    }

    #[test]
    fn where_no_list_can_be_found_nothing_is_shown() {
        for text in [
            "",
            "[]",
            r#""a""#,
            r#"{"data":[]}"#,
            r#"{"data":{"accounts":{"id":"a"}}}"#,
            r#"{"data":1}"#,
            "{",
            // It may stand elsewhere.
            "{}",
            r#"{"accounts":[{"id":"c"}]}"#,
            r#"{"data":{}}"#,
            r#"{"data":{"data":{"accounts":[{"id":"c"}]}}}"#,
            r#"{"data":{"accounts":[{"id":"c"}]},"data":{"x":[{"id":"c"}]}}"#,
        ] {
            assert_eq!(shown(text), Err(Unmaskable::NoJson), "{text}");
        }
    }
}
