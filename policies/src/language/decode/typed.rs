//! Reads values whose keys, ranges and words a table says, so that they stand in one place only.
//!
//! A reader that is asked for another kind than the table has refuses: what cannot be read is never let through.

use std::time::Duration;

use super::{Fields, HEADER, Value};
use crate::language::document::{Content, Key};
use crate::language::table::{Kind, Need, Table};
use crate::language::tables::POINTER_BYTES_MAX;
use crate::mask::FieldPath;
use crate::network::AddressRange;

impl<'n> Value<'n> {
    /// Reads a mapping with the keys of a table; others are reported with the known one that was probably meant.
    pub fn table(self, table: &'static Table) -> Option<Fields<'n>> {
        let mut fields = Fields { table: Some(table), ..self.open("a mapping")? };
        for entry in fields.entries {
            let known = table.fields.iter().map(|field| field.name);
            let meant = self.refuse_unknown(&entry.key, known, &[]);
            fields.meant.extend(meant);
        }
        Some(fields)
    }

    /// Reads the mapping at the top of a file; `later` are keys that mean nothing yet, and what they will say.
    pub fn versioned_table(self, table: &'static Table, later: &[(&str, &str)]) -> Option<Fields<'n>> {
        let mut fields = Fields { table: Some(table), ..self.versioned()? };
        for entry in fields.entries.iter().filter(|entry| entry.key.text != HEADER.0) {
            let known = table.fields.iter().map(|field| field.name);
            let meant = self.refuse_unknown(&entry.key, known, later);
            fields.meant.extend(meant);
        }
        Some(fields)
    }

    /// Reads a mapping with the keys that its kind has.
    pub fn mapping(self) -> Option<Fields<'n>> {
        let table = match self.kind {
            Some(Kind::Mapping(table)) => Some(*table),
            Some(Kind::Either(kinds)) => kinds.iter().find_map(|kind| match kind {
                Kind::Mapping(table) => Some(*table),
                _ => None,
            }),
            _ => None,
        };
        self.table(table.or_else(|| self.unfit())?)
    }

    /// Reads a list, or one item without brackets where the kind allows it.
    pub fn items<T>(self, item: impl FnMut(Value<'n>) -> Option<T>) -> Option<Vec<T>> {
        match self.kind {
            Some(Kind::List(_)) => self.list(item),
            Some(Kind::OneOrMore(_)) => self.one_or_more(item),
            // Of several kinds, the list.
            Some(Kind::Either(kinds)) => {
                match kinds.iter().find(|kind| matches!(kind, Kind::List(_) | Kind::OneOrMore(_))) {
                    Some(kind) => Value { kind: Some(kind), ..self }.items(item),
                    None => self.unfit(),
                }
            }
            _ => self.unfit(),
        }
    }

    /// Reads a mapping whose keys are names that people chose.
    pub fn named(self) -> Option<Vec<(&'n Key, Value<'n>)>> {
        match self.kind {
            Some(Kind::Named(_)) => self.entries(),
            _ => self.unfit(),
        }
    }

    /// Reads a time in the range of its kind.
    pub fn time(self) -> Option<Duration> {
        match self.kind {
            Some(Kind::Duration(range)) => self.duration(range.clone()),
            _ => self.unfit(),
        }
    }

    /// Reads a size in the range of its kind, in bytes.
    pub fn size(self) -> Option<usize> {
        match self.kind {
            Some(Kind::Bytes(range)) => self.bytes(range.clone()),
            _ => self.unfit(),
        }
    }

    /// Reads a whole number in the range of its kind.
    pub fn count(self) -> Option<u64> {
        match self.kind {
            Some(Kind::Whole(range)) => self.whole(range.clone()),
            _ => self.unfit(),
        }
    }

    /// Reads a whole number that may be below zero, in the range of its kind.
    pub fn balance(self) -> Option<i64> {
        match self.kind {
            Some(Kind::Signed(range)) => self.signed(range.clone()),
            _ => self.unfit(),
        }
    }

    /// Reads one of the words of its kind; `read` turns each of them into a value.
    pub fn word<T>(self, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let kinds = match self.kind {
            Some(Kind::Either(kinds)) => kinds,
            Some(kind) => std::slice::from_ref(kind),
            None => &[],
        };
        let words = kinds.iter().find_map(|kind| match kind {
            Kind::Word(words) => Some(*words),
            _ => None,
        });
        let words = words.or_else(|| self.unfit())?;
        self.one_of(|| words.iter().copied(), |text| if words.contains(&text) { read(text) } else { None })
    }

    /// Reads one place in a body, a JSON pointer (RFC 6901) of at most [`POINTER_BYTES_MAX`] bytes.
    pub fn pointer(self) -> Option<String> {
        self.parsed("a place in the body", "/instructedAmount (a JSON pointer)", |text| {
            let path = (text.len() <= POINTER_BYTES_MAX).then(|| FieldPath::parse(text)).flatten()?;
            // A `*` is any part elsewhere; here one value is meant.
            path.parts().iter().all(|part| &**part != "*").then(|| text.to_owned())
        })
    }

    /// Reads places in a body: a JSON pointer whose parts may be `*`.
    pub fn field_path(self) -> Option<FieldPath> {
        self.parsed("a place in the body", "/accounts/*/iban (a JSON pointer, `*` for any part)", |text| {
            (text.len() <= POINTER_BYTES_MAX).then(|| FieldPath::parse(text)).flatten()
        })
    }

    /// Reads the text of a condition; what it says is judged elsewhere.
    pub fn condition_text(self) -> Option<&'n str> {
        let (text, _) = self.scalar("a condition")?;
        if text.trim().is_empty() {
            self.report(self.fault("P0103", format!("{} is empty", self.name())));
            return None;
        }
        Some(text)
    }

    /// Reads a range of addresses.
    pub fn network(self) -> Option<AddressRange> {
        self.parsed("a network", "10.20.0.0/16 or 2001:db8::/32 (no bits beyond the length)", AddressRange::parse)
    }

    /// Tells whether keys are written here.
    #[must_use]
    pub fn is_mapping(self) -> bool {
        matches!(self.node.content, Content::Mapping(_))
    }

    /// Returns what may stand here, where a table says it.
    #[must_use]
    pub fn kind(self) -> Option<&'static Kind> {
        self.kind
    }

    // The table and the reader do not agree, which is a fault of this program and no reason to let anything pass.
    fn unfit<T>(self) -> Option<T> {
        self.report(self.fault("P0103", format!("{} cannot be read by this version", self.name())));
        None
    }
}

impl<'n> Fields<'n> {
    /// Returns the value of a key of the table, or reports that it is missing where the table requires it.
    ///
    /// A key that the table does not have is never there.
    #[must_use]
    pub fn at(&self, name: &str) -> Option<Value<'n>> {
        match self.table.and_then(|table| table.field(name))?.need {
            Need::Required => self.required(name),
            Need::Optional | Need::Default(_) => self.optional(name),
        }
    }
}
