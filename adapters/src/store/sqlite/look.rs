//! Looks into the file of a store that somebody else may be writing: for commands beside a running gateway.

use std::path::Path;
use std::time::Duration;

use policies::code::Outage;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

/// How long a look waits for somebody who is just writing.
const OTHERS_WAIT: Duration = Duration::from_secs(5);

/// Finds the text of the policy set with this digest, if the store keeps it (still).
///
/// # Errors
/// An [`Outage`] if the file cannot be read as one of ours.
pub fn kept_bundle(path: &Path, digest: [u8; 32]) -> Result<Option<Vec<u8>>, Outage> {
    let wrong = |error: rusqlite::Error| Outage::new("store", format!("{}: {error}", path.display()));
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(wrong)?;
    connection.busy_timeout(OTHERS_WAIT).map_err(wrong)?;
    let sql = "SELECT bundle FROM generations WHERE digest = ?1 ORDER BY number DESC LIMIT 1";
    connection.query_row(sql, [digest], |row| row.get(0)).optional().map_err(wrong)
}
