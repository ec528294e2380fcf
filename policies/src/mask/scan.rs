//! Where values stand in a JSON text that a parser has taken before.
//!
//! Must never judge a text: of one that is no JSON it finds some places or none, and does not fail.

/// What may stand between the parts of a JSON text (RFC 8259, 2).
pub(super) const BLANKS: [char; 4] = [' ', '\t', '\n', '\r'];

/// The kind of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    Array,
    Text,
    Null,
    /// A number or a truth value.
    Plain,
}

impl Kind {
    /// Tells the kind of a value by how it begins.
    pub(super) fn of(value: &str) -> Self {
        match value.bytes().next() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::Text,
            Some(b'n') => Kind::Null,
            _ => Kind::Plain,
        }
    }
}

/// A member of an object: its key as it is written, with quotes, and its value.
pub(super) struct Member<'a> {
    pub(super) key: &'a str,
    pub(super) value: &'a str,
}

/// The members of an object.
pub(super) struct Members<'a>(&'a str);

impl<'a> Members<'a> {
    /// Looks at the text of an object.
    pub(super) fn of(object: &'a str) -> Self {
        Self(object.strip_prefix('{').unwrap_or_default())
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = Member<'a>;

    fn next(&mut self) -> Option<Member<'a>> {
        let (key, rest) = value(begun(self.0)?)?;
        let rest = rest.trim_start_matches(BLANKS).strip_prefix(':')?;
        let (value, rest) = value(rest.trim_start_matches(BLANKS))?;
        self.0 = rest;
        Some(Member { key, value })
    }
}

/// The items of a list.
pub(super) struct Items<'a>(&'a str);

impl<'a> Items<'a> {
    /// Looks at the text of a list.
    pub(super) fn of(list: &'a str) -> Self {
        Self(list.strip_prefix('[').unwrap_or_default())
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let (item, rest) = value(begun(self.0)?)?;
        self.0 = rest;
        Some(item)
    }
}

// Over blanks and the comma before the next member or item; none at the end.
fn begun(rest: &str) -> Option<&str> {
    let rest = rest.trim_start_matches(BLANKS);
    let rest = rest.strip_prefix(',').unwrap_or(rest).trim_start_matches(BLANKS);
    (!rest.is_empty() && !rest.starts_with(['}', ']'])).then_some(rest)
}

// The value that a text begins with, and what stands behind it. Every cut is at an ASCII character.
fn value(text: &str) -> Option<(&str, &str)> {
    let bytes = text.as_bytes();
    let end = match bytes.first()? {
        b'"' => text_end(bytes)?,
        b'{' | b'[' => nest_end(bytes)?,
        _ => bytes.iter().position(|byte| b",}] \t\n\r".contains(byte)).unwrap_or(bytes.len()),
    };
    text.split_at_checked(end)
}

fn text_end(bytes: &[u8]) -> Option<usize> {
    let mut escaped = false;
    let closing = bytes.iter().skip(1).position(|byte| match byte {
        _ if escaped => {
            escaped = false;
            false
        }
        b'\\' => {
            escaped = true;
            false
        }
        byte => *byte == b'"',
    });
    closing.map(|at| at + 2)
}

fn nest_end(bytes: &[u8]) -> Option<usize> {
    let (mut depth, mut at) = (0_usize, 0_usize);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at += text_end(bytes.get(at..)?)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}
