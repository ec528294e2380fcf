//! Where a trail is broken.

use std::path::Path;

use thiserror::Error;

use super::folder::shown;

/// Where a trail is broken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct Broken {
    /// The file.
    pub file: String,
    /// The number of the record, from 1 on, or of the line in `heads.jsonl`; 0 for the file as a whole.
    pub record: u64,
    /// What is wrong with it.
    pub cause: String,
}

impl Broken {
    pub(super) fn file(path: &Path, cause: &str) -> Self {
        Self { file: shown(path), record: 0, cause: cause.to_owned() }
    }
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.record {
            0 => write!(f, "{}: {}", self.file, self.cause),
            record => write!(f, "{}, record {record}: {}", self.file, self.cause),
        }
    }
}
