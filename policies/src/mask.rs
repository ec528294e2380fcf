//! Which fields are shown to whom: masks over JSON values of answers, log lines and traces.
//!
//! A mask names places; what a place holds is never told by a mask's own messages. Must never know a header or a status.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::rulebook::Role;

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
