//! Who administers the gateway, and in which roles.
//!
//! Tokens are kept as hashes only. This module must not know where entries or tokens come from.

use std::collections::BTreeSet;
use std::fmt;

use thiserror::Error;

use crate::code::Code;
use crate::id::AdminId;
use crate::jose::{constant_time_eq, sha256};

/// The shortest administrator token, in characters: 128 bits in base64url need 22, in hexadecimal 32.
pub const ADMIN_TOKEN_MIN: usize = 22;

/// The longest administrator token, in characters.
pub const ADMIN_TOKEN_MAX: usize = 512;

/// What an administrator may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AdminRole {
    /// Reads policies and states.
    Viewer,
    /// Proposes policies.
    Editor,
    /// Puts policies into force.
    Approver,
    /// Reads the audit trail.
    Auditor,
    /// Erases what is known of a person.
    Eraser,
}

impl AdminRole {
    /// Every role.
    pub const ALL: [AdminRole; 5] =
        [AdminRole::Viewer, AdminRole::Editor, AdminRole::Approver, AdminRole::Auditor, AdminRole::Eraser];

    /// Returns the word of the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            AdminRole::Viewer => "viewer",
            AdminRole::Editor => "editor",
            AdminRole::Approver => "approver",
            AdminRole::Auditor => "auditor",
            AdminRole::Eraser => "eraser",
        }
    }

    /// Reads a word of the configuration.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.word() == word)
    }
}

impl fmt::Display for AdminRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One administrator of the configuration.
#[derive(Clone)]
pub struct AdminEntry {
    /// Who it is.
    pub id: AdminId,
    /// What they may do.
    pub roles: BTreeSet<AdminRole>,
    /// SHA-256 of their token.
    pub token_hash: [u8; 32],
}

/// Shows no hash: it would let a guessed token be tried offline.
impl fmt::Debug for AdminEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminEntry").field("id", &self.id).field("roles", &self.roles).finish_non_exhaustive()
    }
}

/// Why somebody is no administrator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AdminError {
    /// The token is shorter or longer than any of ours.
    #[error("the administrator token is malformed")]
    Malformed,
    /// Nobody, or more than one, has this token.
    #[error("the administrator is not known")]
    Unknown,
}

impl AdminError {
    /// Returns the stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        Code::AdministratorRefused
    }
}

/// An administrator who showed their token; made only by [`identify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Administrator {
    id: AdminId,
    roles: BTreeSet<AdminRole>,
}

impl Administrator {
    /// Returns who it is.
    #[must_use]
    pub fn id(&self) -> &AdminId {
        &self.id
    }

    /// Tells whether they have a role.
    #[must_use]
    pub fn has(&self, role: AdminRole) -> bool {
        self.roles.contains(&role)
    }
}

/// Finds the administrator with this token, in a time that depends on the number of entries only.
///
/// # Errors
/// [`AdminError`].
pub fn identify(entries: &[AdminEntry], presented: &str) -> Result<Administrator, AdminError> {
    if !(ADMIN_TOKEN_MIN..=ADMIN_TOKEN_MAX).contains(&presented.len()) {
        return Err(AdminError::Malformed);
    }
    let hash = sha256(presented.as_bytes());
    let mut found = None;
    let mut matches = 0_usize;
    // All of them, even after a match.
    for entry in entries {
        if constant_time_eq(&entry.token_hash, &hash) {
            found = Some(entry);
            matches += 1;
        }
    }
    match (found, matches) {
        (Some(entry), 1) => Ok(Administrator { id: entry.id.clone(), roles: entry.roles.clone() }),
        // Two people with one token: nobody could say who did it.
        _ => Err(AdminError::Unknown),
    }
}

#[cfg(test)]
#[path = "admin_tests.rs"]
mod tests;
