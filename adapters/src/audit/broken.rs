//! Where a trail is broken.

use thiserror::Error;

/// Where a trail is broken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{file}, line {line}: {cause}")]
pub struct Broken {
    /// The file.
    pub file: String,
    /// The line in it, from 1 on; 0 for the file as a whole.
    pub line: u64,
    /// What is wrong with it.
    pub cause: String,
}
