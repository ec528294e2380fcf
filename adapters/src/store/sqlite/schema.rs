//! The schema, as steps that were released one after another; a step that was released never changes.

use policies::jose::sha256;
use policies::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::fault::Fault;

/// The steps, the first being version 1.
const STEPS: [&str; 4] = [FIRST, LASTING, CHANGES, AUTHORIZATIONS];

const FIRST: &str = "
CREATE TABLE replays (key BLOB PRIMARY KEY, until INTEGER NOT NULL) STRICT;
CREATE INDEX replays_until ON replays (until);
CREATE TABLE claims (
    client TEXT NOT NULL, operation TEXT NOT NULL, key TEXT NOT NULL, digest BLOB NOT NULL, reference TEXT NOT NULL,
    token BLOB NOT NULL, lease_ends INTEGER NOT NULL, until INTEGER NOT NULL,
    status INTEGER, headers TEXT, body BLOB, PRIMARY KEY (client, operation, key)) STRICT;
CREATE INDEX claims_until ON claims (until);
CREATE TABLE spends (
    name TEXT PRIMARY KEY, client TEXT NOT NULL, operation TEXT NOT NULL, key TEXT NOT NULL, digest BLOB NOT NULL,
    until INTEGER NOT NULL) STRICT;
CREATE INDEX spends_until ON spends (until);
CREATE TABLE verifications (
    id TEXT PRIMARY KEY, client TEXT NOT NULL, subject TEXT NOT NULL, sealed_subject BLOB NOT NULL,
    purpose TEXT NOT NULL, level TEXT NOT NULL, binding TEXT, state TEXT NOT NULL, provider TEXT NOT NULL,
    session TEXT NOT NULL, capture_url TEXT NOT NULL, created INTEGER NOT NULL, expires INTEGER NOT NULL,
    decided INTEGER, acr TEXT, UNIQUE (provider, session)) STRICT;
CREATE INDEX verifications_expires ON verifications (expires);
";

// Claims of version 1 were kept for a day and have no organisation; whoever holds one has given no word. An answer of
// status 202 said that the outcome is unknown. Keys of persons are only ever added at the end and overwritten in place by
// as many zeros: a row that was deleted could leave copies where its neighbours were moved about.
const LASTING: &str = "
ALTER TABLE claims ADD COLUMN organisation TEXT;
ALTER TABLE claims ADD COLUMN settles INTEGER NOT NULL DEFAULT 0;
ALTER TABLE claims ADD COLUMN keep INTEGER NOT NULL DEFAULT 86400000;
ALTER TABLE claims ADD COLUMN since INTEGER NOT NULL DEFAULT 0;
ALTER TABLE claims ADD COLUMN ask_at INTEGER;
ALTER TABLE claims ADD COLUMN asked INTEGER NOT NULL DEFAULT 0;
ALTER TABLE claims ADD COLUMN held INTEGER NOT NULL DEFAULT 1;
ALTER TABLE claims ADD COLUMN doubt INTEGER NOT NULL DEFAULT 0;
ALTER TABLE claims ADD COLUMN outcome TEXT NOT NULL DEFAULT 'open';
UPDATE claims SET since = until - 86400000;
UPDATE claims SET held = 0, outcome = CASE status WHEN 202 THEN 'unknown' ELSE 'answered' END WHERE status IS NOT NULL;
CREATE INDEX claims_reference ON claims (client, operation, reference);
CREATE INDEX claims_ask_at ON claims (ask_at) WHERE ask_at IS NOT NULL;
CREATE TABLE positions (client TEXT PRIMARY KEY, last INTEGER NOT NULL) STRICT;
CREATE TABLE events (
    client TEXT NOT NULL, position INTEGER NOT NULL, id TEXT NOT NULL, subject TEXT NOT NULL, kind TEXT NOT NULL,
    at INTEGER NOT NULL, data TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, state TEXT NOT NULL DEFAULT 'waiting',
    due_at INTEGER NOT NULL, PRIMARY KEY (client, position)) STRICT;
CREATE INDEX events_at ON events (at);
CREATE INDEX events_due ON events (due_at) WHERE state = 'waiting';
CREATE INDEX events_waiting ON events (client, subject, position) WHERE state = 'waiting';
CREATE TABLE subject_keys (
    number INTEGER PRIMARY KEY, subject BLOB NOT NULL, id BLOB NOT NULL UNIQUE, wrapped BLOB NOT NULL,
    made INTEGER NOT NULL, destroyed INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE UNIQUE INDEX subject_keys_subject ON subject_keys (subject) WHERE destroyed = 0;
CREATE TABLE generations (
    number INTEGER PRIMARY KEY, digest BLOB NOT NULL, entered INTEGER NOT NULL, bundle BLOB NOT NULL) STRICT;
CREATE INDEX generations_entered ON generations (entered);
";

const CHANGES: &str = "
CREATE TABLE changes (
    number INTEGER PRIMARY KEY, by TEXT NOT NULL, at INTEGER NOT NULL, act TEXT NOT NULL, proposal INTEGER,
    applies INTEGER, digest BLOB, note TEXT, base INTEGER, restores INTEGER, texts BLOB NOT NULL) STRICT;
";

// Positions are never given twice, also when what was revoked last is swept out: whoever reads on from one misses nothing.
const AUTHORIZATIONS: &str = "
CREATE TABLE items (
    number INTEGER PRIMARY KEY, kind TEXT NOT NULL, key BLOB NOT NULL, owner BLOB, keep_until INTEGER NOT NULL,
    version INTEGER NOT NULL, body BLOB NOT NULL, UNIQUE (kind, key)) STRICT;
CREATE INDEX items_owner ON items (kind, owner, number) WHERE owner IS NOT NULL;
CREATE INDEX items_keep_until ON items (keep_until);
CREATE TABLE revocations (
    position INTEGER PRIMARY KEY AUTOINCREMENT, name BLOB NOT NULL, until INTEGER NOT NULL) STRICT;
CREATE INDEX revocations_name ON revocations (name);
CREATE INDEX revocations_until ON revocations (until);
";

/// Brings a file to the newest version, all steps or none.
///
/// A file of a later version, or with another history than ours, is refused: whatever it holds, this program would read
/// it wrongly.
pub(super) fn migrate(connection: &mut Connection, now: Timestamp) -> Result<(), Fault> {
    migrate_by(connection, &STEPS, now)
}

fn migrate_by(connection: &mut Connection, steps: &[&str], now: Timestamp) -> Result<(), Fault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    let version = transaction.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))?;
    let known = i64::try_from(steps.len()).map_err(Fault::new)?;
    if version > known {
        return Err(Fault::new(format!(
            "the file is of version {version}, this program knows {known}; use a later one"
        )));
    }
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS migrations (
            version INTEGER PRIMARY KEY, checksum BLOB NOT NULL, applied INTEGER NOT NULL) STRICT",
    )?;
    for (number, step) in (1_i64..).zip(steps) {
        let checksum = sha256(step.as_bytes());
        if number <= version {
            check(&transaction, number, checksum)?;
        } else {
            transaction.execute_batch(step).map_err(|error| Fault::new(format!("migration {number}: {error}")))?;
        }
        // Files of version 1 are older than this table.
        let add = "INSERT OR IGNORE INTO migrations (version, checksum, applied) VALUES (?1, ?2, ?3)";
        transaction.execute(add, params![number, checksum, now.millis()])?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    transaction.commit()?;
    Ok(())
}

fn check(connection: &Connection, number: i64, checksum: [u8; 32]) -> Result<(), Fault> {
    let find = "SELECT checksum FROM migrations WHERE version = ?1";
    let found = connection.query_row(find, [number], |row| row.get::<_, [u8; 32]>(0)).optional()?;
    match found {
        Some(found) if found == checksum => Ok(()),
        None if number == 1 => Ok(()),
        Some(_) => Err(Fault::new(format!("version {number} of the file was made by another program than this one"))),
        None => Err(Fault::new(format!("the file does not tell how it came to version {number}"))),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;
    use crate::store::conformance::Folder;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn of_version_1(folder: &Folder) -> Connection {
        let connection = Connection::open(folder.0.join("state.db")).unwrap();
        connection.pragma_update(None, "journal_mode", "WAL").unwrap();
        connection.execute_batch(include_str!("version_1.sql")).unwrap();
        connection
    }

    fn tables(connection: &Connection) -> Vec<String> {
        let mut statement =
            connection.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }

    fn version(connection: &Connection) -> i64 {
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
    }

    #[test]
    fn a_step_that_fails_leaves_the_file_as_it_was() {
        let folder = Folder::new();
        let mut connection = of_version_1(&folder);
        let before = tables(&connection);
        let broken = [FIRST, LASTING, CHANGES, AUTHORIZATIONS, "CREATE TABLE more (x) STRICT; CREATE TABLE claims (x)"];
        let fault = migrate_by(&mut connection, &broken, NOW).unwrap_err();
        assert!(format!("{fault:?}").contains("migration 5"), "{fault:?}");
        assert_eq!((version(&connection), tables(&connection)), (1, before));
        migrate(&mut connection, NOW).unwrap();
        assert_eq!(version(&connection), 4);
    }

    #[test]
    fn a_process_that_dies_in_the_middle_leaves_the_file_as_it_was() {
        let (folder, left) = (Folder::new(), Folder::new());
        let connection = of_version_1(&folder);
        let before = tables(&connection);
        // So few pages that what was not committed is in the log already.
        connection.pragma_update(None, "cache_size", 1).unwrap();
        connection.execute_batch("BEGIN EXCLUSIVE").unwrap();
        connection.execute_batch(LASTING).unwrap();
        connection.execute_batch("PRAGMA user_version = 2").unwrap();
        for entry in std::fs::read_dir(&folder.0).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), left.0.join(entry.file_name())).unwrap();
        }
        let mut connection = Connection::open(left.0.join("state.db")).unwrap();
        assert_eq!((version(&connection), tables(&connection)), (1, before));
        migrate(&mut connection, NOW).unwrap();
        assert_eq!(version(&connection), 4);
    }

    #[test]
    fn a_file_brought_up_is_as_one_made_anew() {
        let (old, new) = (Folder::new(), Folder::new());
        let mut old = of_version_1(&old);
        let mut new = Connection::open(new.0.join("state.db")).unwrap();
        for connection in [&mut old, &mut new] {
            migrate(connection, NOW).unwrap();
            migrate(connection, NOW).unwrap();
        }
        assert_eq!(tables(&old), tables(&new));
    }

    #[test]
    fn the_released_steps_have_not_changed() {
        let hex = |step: &str| sha256(step.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let released = [
            "1d25ab73ed88cd6fe7be52cfb8985794c13b3e582f548e388fc9c6b111d247a0",
            "8b397fd279982ebda2d7da2d8148547bfc094c3ca426a433631b7d3cef7ae056",
            "fef73b3c62dc0ae9212f989408b27373e22816816582f5ad3ee7b8fe29d5ba25",
            "9cb1b473265a0a21d6fad4f00e19f6aa1a086c723dc6fae4a618796a3c789e91",
        ];
        assert_eq!(STEPS.map(hex), released);
    }
}
