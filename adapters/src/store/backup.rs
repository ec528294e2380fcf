//! Copies of a state folder, made while a gateway works on it, and put back elsewhere.
//!
//! A backup is a folder of plain files and a `manifest.json` with the size and the hash of each, written last: without it a
//! backup is not finished. What lags behind comes first and what the rest relies on comes last: files and cursors, the
//! database as it was at one moment, the audit trail up to a whole record, keys, and the databases of others. So nothing in
//! a backup speaks of something that it lacks. This module must never know what is in a file.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use policies::code::Outage;
use policies::jose::sha256;
use policies::time::Timestamp;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use serde::{Deserialize, Serialize};

use crate::files::{private_directory, write_private};

/// The file in which a gateway keeps what must last, by its name in the state folder.
pub const DATABASE: &str = "qaqpa.sqlite";

/// The file that makes a folder a backup.
pub const MANIFEST: &str = "manifest.json";

/// The format of backups that this program writes, and the latest that it reads.
const FORMAT: u64 = 1;

/// The longest manifest that is read, in bytes: of some 500,000 files.
const MANIFEST_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How many folders may lie within each other: ours have two.
const DEPTH_MAX: usize = 16;

/// How many pages of a database are copied before progress is told: 64 MiB of 4 KiB each.
const PAGES_PER_STEP: i32 = 16 * 1024;

/// How long a database may be held up by others before copying it fails.
const OTHERS_WAIT: Duration = Duration::from_secs(5);

const CHANGED: &str = "this file of the backup was changed after it was made";

const AUDIT: &str = "audit";
const KEYS: &str = "keys";
const PART: &str = "restore.part";

/// What ends with the process that made it, by name or by ending: it says nothing to a later one.
const FLEETING: [&str; 2] = ["lock", "sandbox.json"];
const FLEETING_ENDINGS: [&str; 5] = ["lock", "new", "sqlite-wal", "sqlite-shm", "sqlite-journal"];

/// Whether the database is in the state folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    /// It is, and it is copied.
    Here,
    /// It is on a server with backups of its own.
    Elsewhere,
}

/// What a backup holds, or what was put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// How many files.
    pub files: usize,
    /// How many bytes in all.
    pub bytes: u64,
    /// How many audit records, when the backup was made.
    pub records: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    format: u64,
    made: String,
    records: u64,
    files: BTreeMap<String, Seal>,
    /// The hash of this text while nothing stands here.
    sha256: String,
}

/// What a file is known by.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seal {
    bytes: u64,
    sha256: String,
}

/// Copies the state folder `state` into `to`, a new or an empty folder, while a gateway may work on it.
///
/// `tell` gets a line for people after each stage and within long ones.
///
/// # Errors
/// An [`Outage`] if `to` is not empty or within `state`, or if something cannot be read or written; there is no manifest
/// then, and what was copied stays for a person to look at.
pub fn create(
    state: &Path,
    to: &Path,
    database: Database,
    now: Timestamp,
    tell: &mut dyn FnMut(&str),
) -> Result<Summary, Outage> {
    let state = state.canonicalize().map_err(|error| refused(state, error))?;
    whole(&state)?;
    empty_folder(to)?;
    let to = to.canonicalize().map_err(|error| refused(to, error))?;
    if to.starts_with(&state) {
        return Err(refused(&to, "a backup within the state folder would be lost with it; name another place"));
    }
    let own = |file: &PathBuf| !file.starts_with(AUDIT) && !file.starts_with(KEYS) && file != Path::new(DATABASE);
    let (databases, files): (Vec<_>, Vec<_>) =
        walk(&state)?.into_iter().filter(own).partition(|file| is_database(file));
    for file in &files {
        copy(&state.join(file), &to.join(file))?;
    }
    tell(&format!("files: {}", files.len()));
    if database == Database::Here {
        snapshot(&state.join(DATABASE), &to.join(DATABASE), tell)?;
    }
    let mut records = 0;
    if state.join(AUDIT).is_dir() {
        records = crate::audit::copy_to(&state.join(AUDIT), &to.join(AUDIT))?;
        tell(&format!("audit trail: {records} records"));
    }
    for file in walk(&state)?.iter().filter(|file| file.starts_with(KEYS)) {
        copy(&state.join(file), &to.join(file))?;
    }
    for file in &databases {
        snapshot(&state.join(file), &to.join(file), tell)?;
    }
    let mut sealed = BTreeMap::new();
    for file in walk(&to)? {
        sealed.insert(name(&file)?, seal(&to.join(&file), &mut io::sink())?);
    }
    sync_folders(&to)?;
    let manifest =
        Manifest { format: FORMAT, made: now.to_string(), records, files: sealed, sha256: String::new() }.sealed();
    write_private(&to.join(MANIFEST), &manifest.text())?;
    Ok(manifest.summary())
}

/// Puts a backup into `state`, a new or an empty folder, after every file of it was found as it was written.
///
/// # Errors
/// An [`Outage`] if `state` is not empty, or if the backup is not finished, of a later format, lacks a file, has one too
/// many or one that was changed; `state` is empty then.
pub fn restore(from: &Path, state: &Path, tell: &mut dyn FnMut(&str)) -> Result<Summary, Outage> {
    let manifest = manifest(from)?;
    let found = walk(from)?.iter().map(|file| name(file)).collect::<Result<Vec<_>, _>>()?;
    if let Some(part) = manifest.files.keys().find(|file| Path::new(file).starts_with(PART)) {
        return Err(refused(&from.join(part), "no backup has a file of this name: it marks a restore that goes on"));
    }
    for file in found.iter().filter(|file| *file != MANIFEST) {
        if !manifest.files.contains_key(file) {
            return Err(refused(&from.join(file), "the backup did not have this file when it was made"));
        }
    }
    if let Some(missing) = manifest.files.keys().find(|file| found.binary_search(file).is_err()) {
        return Err(refused(&from.join(missing), "this file of the backup is missing"));
    }
    empty_folder(state)?;
    let part = state.join(PART);
    let put = put(from, &part, &manifest, tell).and_then(|()| settle(&part, state));
    if let Err(refusal) = put {
        // Whoever starts a gateway here must not find half a state.
        let _ = fs::remove_dir_all(&part);
        return Err(refusal);
    }
    Ok(manifest.summary())
}

/// Refuses a state folder in which a restore was cut off: what is there may be half of what is to be there.
///
/// # Errors
/// An [`Outage`] that says what to do; also if the folder cannot be looked at.
pub fn whole(state: &Path) -> Result<(), Outage> {
    match fs::symlink_metadata(state.join(PART)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(refused(state, error)),
        Ok(_) => {
            let cause = "a restore was cut off here (restore.part): empty this folder and restore the backup again";
            Err(refused(state, cause))
        }
    }
}

impl Manifest {
    fn sealed(self) -> Self {
        let blank = Self { sha256: String::new(), ..self };
        Self { sha256: hex(&sha256(&blank.text())), ..blank }
    }

    fn text(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("numbers, texts and lists of them are JSON")
    }

    fn summary(&self) -> Summary {
        let bytes = self.files.values().map(|seal| seal.bytes).sum();
        Summary { files: self.files.len(), bytes, records: self.records }
    }
}

fn manifest(from: &Path) -> Result<Manifest, Outage> {
    let path = from.join(MANIFEST);
    let file = File::open(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => refused(from, "this is no finished backup: it has no manifest.json"),
        _ => refused(&path, error),
    })?;
    let mut text = Vec::new();
    file.take(MANIFEST_BYTES_MAX + 1).read_to_end(&mut text).map_err(|error| refused(&path, error))?;
    if text.len() as u64 > MANIFEST_BYTES_MAX {
        return Err(refused(&path, format!("larger than {MANIFEST_BYTES_MAX} bytes")));
    }
    let read: serde_json::Value = serde_json::from_slice(&text).map_err(|error| refused(&path, error))?;
    // The format first: a later one may have another shape.
    match read.get("format").and_then(serde_json::Value::as_u64) {
        Some(FORMAT) => {
            let read: Manifest = serde_json::from_value(read).map_err(|error| refused(&path, error))?;
            let read = read.sealed();
            if read.text() == text { Ok(read) } else { Err(refused(&path, CHANGED)) }
        }
        Some(other) => Err(refused(&path, format!("a backup of format {other}, this program knows {FORMAT}"))),
        None => Err(refused(&path, "it tells no format")),
    }
}

/// Copies what the manifest names, and checks each file on the way.
fn put(from: &Path, part: &Path, manifest: &Manifest, tell: &mut dyn FnMut(&str)) -> Result<(), Outage> {
    folder(part)?;
    for (name, expected) in &manifest.files {
        let (source, target) = (from.join(name), part.join(name));
        let mut out = new_file(&target)?;
        let found = seal(&source, &mut out)?;
        if found != *expected {
            return Err(refused(&source, CHANGED));
        }
        out.sync_all().map_err(|error| refused(&target, error))?;
        tell(&format!("{name}: {} bytes", found.bytes));
    }
    sync_folders(part)
}

/// Moves everything to its place; what was moved before a fault is removed again.
fn settle(part: &Path, state: &Path) -> Result<(), Outage> {
    let mut moved = Vec::new();
    let settled = move_all(part, state, &mut moved);
    if settled.is_err() {
        for path in &moved {
            // Ours and just written; what cannot be removed is told apart by the part that is then left as well.
            let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        }
    }
    settled
}

fn move_all(part: &Path, state: &Path, moved: &mut Vec<PathBuf>) -> Result<(), Outage> {
    for entry in fs::read_dir(part).map_err(|error| refused(part, error))? {
        let entry = entry.map_err(|error| refused(part, error))?;
        let target = state.join(entry.file_name());
        fs::rename(entry.path(), &target).map_err(|error| refused(&target, error))?;
        moved.push(target);
    }
    // Durable where they are first: a power cut must not leave less than everything and no part.
    sync(state)?;
    fs::remove_dir(part).map_err(|error| refused(part, error))?;
    sync(state)
}

/// Copies a database as it is at one moment; whoever writes to it goes on meanwhile.
fn snapshot(from: &Path, to: &Path, tell: &mut dyn FnMut(&str)) -> Result<(), Outage> {
    if !from.is_file() {
        return Err(refused(from, "there is no such database"));
    }
    // Made beforehand, as SQLite would make it readable for others.
    drop(new_file(to)?);
    let wrong = |error: rusqlite::Error| refused(from, error);
    let source = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(wrong)?;
    source.busy_timeout(OTHERS_WAIT).map_err(wrong)?;
    // One moment for all steps: without it every write in between would begin the copy anew.
    source.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema;").map_err(wrong)?;
    let mut target = Connection::open(to).map_err(wrong)?;
    let shown = from.file_name().unwrap_or_default().display();
    {
        let copying = Backup::new(&source, &mut target).map_err(wrong)?;
        while copying.step(PAGES_PER_STEP).map_err(wrong)? != StepResult::Done {
            let progress = copying.progress();
            tell(&format!("{shown}: {} of {} pages", progress.pagecount - progress.remaining, progress.pagecount));
        }
        tell(&format!("{shown}: {} pages", copying.progress().pagecount));
    }
    // One file without side files; the gateway that opens it goes back to its log.
    target.pragma_update(None, "journal_mode", "DELETE").map_err(wrong)?;
    let sound: String = target.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(wrong)?;
    if sound != "ok" {
        return Err(refused(from, format!("the copy of this database is not sound: {sound}")));
    }
    drop(target);
    File::open(to).and_then(|file| file.sync_all()).map_err(|error| refused(to, error))
}

/// Lists the files of a folder that outlast a process, by their paths within it, in order.
fn walk(folder: &Path) -> Result<Vec<PathBuf>, Outage> {
    let mut found = Vec::new();
    collect(folder, Path::new(""), DEPTH_MAX, &mut found)?;
    found.sort();
    Ok(found)
}

fn collect(root: &Path, within: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), Outage> {
    let here = root.join(within);
    let Some(depth) = depth.checked_sub(1) else { return Err(refused(&here, "too many folders within each other")) };
    for entry in fs::read_dir(&here).map_err(|error| refused(&here, error))? {
        let entry = entry.map_err(|error| refused(&here, error))?;
        let kind = entry.file_type().map_err(|error| refused(&entry.path(), error))?;
        let file = within.join(entry.file_name());
        if is_fleeting(&file) {
            continue;
        }
        if kind.is_dir() {
            collect(root, &file, depth, found)?;
        } else if entry.path().is_file() {
            // A link to a file stands for that file: some systems hand out secrets so.
            found.push(file);
        } else {
            return Err(refused(&entry.path(), "neither a file nor a folder"));
        }
    }
    Ok(())
}

fn is_fleeting(file: &Path) -> bool {
    let named =
        |list: &[&str], part: Option<&std::ffi::OsStr>| part.is_some_and(|part| list.iter().any(|one| part == *one));
    named(&FLEETING, file.file_name()) || named(&FLEETING_ENDINGS, file.extension())
}

fn is_database(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "sqlite")
}

fn name(file: &Path) -> Result<String, Outage> {
    file.to_str().map(str::to_owned).ok_or_else(|| refused(file, "the name of this file is no text"))
}

fn copy(from: &Path, to: &Path) -> Result<(), Outage> {
    let mut out = new_file(to)?;
    let mut file = File::open(from).map_err(|error| refused(from, error))?;
    io::copy(&mut file, &mut out).and_then(|_| out.sync_all()).map_err(|error| refused(to, error))
}

/// Reads a file to its end, and hands on what it reads.
fn seal(path: &Path, out: &mut dyn Write) -> Result<Seal, Outage> {
    let wrong = |error: io::Error| refused(path, error);
    // A link in a backup is none that we made.
    if !fs::symlink_metadata(path).map_err(wrong)?.is_file() {
        return Err(refused(path, "not a plain file"));
    }
    let (mut file, mut buffer) = (File::open(path).map_err(wrong)?, vec![0; 128 * 1024]);
    let (mut context, mut bytes) = (Context::new(&SHA256), 0);
    loop {
        let count = file.read(&mut buffer).map_err(wrong)?;
        let Some(read) = buffer.get(..count).filter(|read| !read.is_empty()) else { break };
        context.update(read);
        out.write_all(read).map_err(wrong)?;
        bytes += read.len() as u64;
    }
    Ok(Seal { bytes, sha256: hex(context.finish().as_ref()) })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn empty_folder(path: &Path) -> Result<(), Outage> {
    let first = match fs::read_dir(path) {
        Ok(mut entries) => entries.next(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(refused(path, error)),
    };
    if first.is_some() { Err(refused(path, "this folder is not empty")) } else { private_directory(path) }
}

fn folder(path: &Path) -> Result<(), Outage> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| refused(path, error))
}

fn new_file(path: &Path) -> Result<File, Outage> {
    if let Some(parent) = path.parent() {
        folder(parent)?;
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|error| refused(path, error))
}

/// Makes the names in a folder and in those within it durable.
fn sync_folders(root: &Path) -> Result<(), Outage> {
    for entry in fs::read_dir(root).map_err(|error| refused(root, error))? {
        let path = entry.map_err(|error| refused(root, error))?.path();
        if path.is_dir() {
            sync_folders(&path)?;
        }
    }
    sync(root)
}

fn sync(folder: &Path) -> Result<(), Outage> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| refused(folder, error))
}

fn refused(path: &Path, cause: impl std::fmt::Display) -> Outage {
    Outage::new("backup", format!("{}: {cause}", path.display()))
}

#[cfg(test)]
mod tests;
