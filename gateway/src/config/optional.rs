//! Keys that may be left out.

use policies::language::decode::{Fields, Value};

/// Reads a key that may be left out: the inner none says that it was.
pub(super) fn optional<'n, T>(
    fields: &Fields<'n>,
    name: &str,
    read: impl FnOnce(Value<'n>) -> Option<T>,
) -> Option<Option<T>> {
    match fields.optional(name) {
        None => Some(None),
        Some(value) => read(value).map(Some),
    }
}
