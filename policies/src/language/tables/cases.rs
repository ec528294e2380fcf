//! The tables of `tests:` blocks.

use crate::language::table::{Field, Table};

/// A case.
pub static CASE: Table = Table {
    name: "case",
    about: "Calls that are made to the compiled set, and what has to come of them.",
    fields: FIELDS,
};

const FIELDS: &[Field] = &[];
