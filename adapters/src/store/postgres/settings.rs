//! What an operator says of the database.

use std::time::Duration;

use policies::code::Outage;
use policies::secret::Secret;

use crate::http::trust::Trust;

/// The longest name of a schema that PostgreSQL keeps whole.
const SCHEMA_BYTES_MAX: usize = 63;

/// Where the database is, and how it is used.
#[derive(Debug, Clone)]
pub struct PostgresSettings {
    /// `postgres://user:password@host:port/name`; what it says about TLS does not count.
    pub url: Secret<String>,
    /// The schema that the tables stand in: small letters, digits and `_`, a letter first; it is made if it is not there.
    pub schema: String,
    /// How many connections are held at most; at least one.
    pub connections: usize,
    /// How long the server may take for one statement.
    pub statement: Duration,
    /// Who may vouch for the server; without it there is no TLS, and the server must be on this machine.
    pub trust: Option<Trust>,
}

impl PostgresSettings {
    /// Refuses what can never work.
    pub(super) fn check(&self) -> Result<(), Outage> {
        let refused = |why: &str| Err(Outage::new("store", why));
        let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let name = self.schema.as_bytes();
        if !name.first().is_some_and(u8::is_ascii_lowercase)
            || !name.iter().copied().all(fine)
            || name.len() > SCHEMA_BYTES_MAX
        {
            return refused("the schema is named by small letters, digits and `_`, a letter first");
        }
        if self.connections == 0 || self.statement < Duration::from_millis(1) {
            return refused("the database needs at least one connection and a millisecond for a statement");
        }
        Ok(())
    }
}
