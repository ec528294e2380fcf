//! How every store writes what an administrator did to the policy set: told once, so that no two stores differ.

use policies::change::{Act, Entry};
use policies::id::AdminId;
use policies::time::Timestamp;

/// The columns of an entry.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    pub(super) number: i64,
    pub(super) by: String,
    pub(super) at: Timestamp,
    pub(super) act: String,
    pub(super) proposal: Option<i64>,
    pub(super) applies: Option<bool>,
    pub(super) digest: Option<Vec<u8>>,
    pub(super) note: Option<String>,
    pub(super) base: Option<i64>,
    pub(super) restores: Option<i64>,
}

impl Columns {
    /// Writes an entry; none if a number is larger than any store counts.
    pub(super) fn of(entry: &Entry) -> Option<Self> {
        let number = |number: u64| i64::try_from(number).ok();
        let blank = Self {
            number: number(entry.number)?,
            by: entry.by.as_str().to_owned(),
            at: entry.at,
            act: String::new(),
            proposal: None,
            applies: None,
            digest: None,
            note: None,
            base: None,
            restores: None,
        };
        Some(match &entry.act {
            Act::Proposed { digest, note, base, restores } => Self {
                act: "proposed".to_owned(),
                digest: Some(digest.to_vec()),
                note: Some(note.clone()),
                base: base.map(number).map_or(Some(None), |found| found.map(Some))?,
                restores: restores.map(number).map_or(Some(None), |found| found.map(Some))?,
                ..blank
            },
            Act::Approved { proposal, applies } => Self {
                act: "approved".to_owned(),
                proposal: Some(number(*proposal)?),
                applies: Some(*applies),
                ..blank
            },
            Act::Withdrawn { proposal } => {
                Self { act: "withdrawn".to_owned(), proposal: Some(number(*proposal)?), ..blank }
            }
        })
    }

    /// Reads an entry; none if the columns do not fit together.
    pub(super) fn read(self) -> Option<Entry> {
        let number = |number: i64| u64::try_from(number).ok();
        let maybe = |found: Option<i64>| found.map_or(Some(None), |found| number(found).map(Some));
        let act = match (self.act.as_str(), self.proposal, self.digest, self.note) {
            ("proposed", None, Some(digest), Some(note)) => Act::Proposed {
                digest: digest.try_into().ok()?,
                note,
                base: maybe(self.base)?,
                restores: maybe(self.restores)?,
            },
            ("approved", Some(proposal), None, None) => {
                Act::Approved { proposal: number(proposal)?, applies: self.applies? }
            }
            ("withdrawn", Some(proposal), None, None) => Act::Withdrawn { proposal: number(proposal)? },
            _ => return None,
        };
        Some(Entry { number: number(self.number)?, by: AdminId::parse(&self.by).ok()?, at: self.at, act })
    }
}
