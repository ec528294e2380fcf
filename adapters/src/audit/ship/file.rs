//! A place that is a file: one JSON object a line, appended and made durable.
//!
//! `{"id":"<trail>-<sequence>","trail":"..","sequence":1,"record":{..}}`, where `record` is the text of the trail, byte for
//! byte. The file may be moved away at any time; a new one is begun then.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use policies::code::Outage;
use serde::Deserialize;

use super::errand::Errand;
use super::port::{Shipped, Sink};
use crate::audit::frame::PAYLOAD_BYTES_MAX;
use crate::store::port::Answer;

/// The longest line with its end, in bytes: a record, its id and names.
const LINE_BYTES_MAX: u64 = PAYLOAD_BYTES_MAX as u64 + 256;

/// What every line begins with: an end that begins otherwise was not written here, and is not cut off.
const LINE_START: &[u8] = b"{\"id\":\"";

/// A file that records are appended to.
#[derive(Debug)]
pub struct FileSink {
    path: PathBuf,
    errand: Errand,
}

impl FileSink {
    /// Names the file; its folder has to be there, the file need not.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), errand: Errand::default() }
    }
}

impl Sink for FileSink {
    fn put<'a>(&'a mut self, batch: &'a [Shipped]) -> Answer<'a, ()> {
        let (path, batch) = (self.path.clone(), batch.to_vec());
        let work = move || append(&path, &batch).map_err(|error| outage(&path, &error));
        Box::pin(self.errand.run(work))
    }
}

/// What is read of a line.
#[derive(Deserialize)]
struct Known {
    trail: String,
    sequence: u64,
}

// Opened anew for each batch: the file may have been moved away, or be on a disk that was gone meanwhile.
fn append(path: &Path, batch: &[Shipped]) -> Result<(), io::Error> {
    let mut file = open_private(path)?;
    file.try_lock().map_err(|_| io::Error::other("another process writes to it"))?;
    let bytes = cut_torn_line(&mut file)?;
    let last = last_line(&mut file, bytes)?;
    let (mut lines, mut again) = (Vec::new(), Vec::new());
    for record in batch {
        match &last {
            Some(last) if last.trail == record.trail.to_string() && record.sequence <= last.sequence => {
                again.push(record)
            }
            _ => line(record, &mut lines)?,
        }
    }
    compare(&mut file, bytes, &again)?;
    if let Err(error) = file.write_all(&lines) {
        // As it was: if that fails too, the end is cut off before the next batch.
        drop(file.set_len(bytes));
        return Err(error);
    }
    file.sync_all()?;
    if bytes == 0 {
        // A new file is only there after a power cut if its folder is on the disk as well.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

/// Opens the file, or makes it, if nobody else can read or write it and nothing else stands under its name.
fn open_private(path: &Path) -> Result<File, io::Error> {
    let refused = |cause: &str| Err(io::Error::other(cause.to_owned()));
    const LINK: &str = "it is a symbolic link: name the file itself";
    // Looked at first, as opening would make what a link leads to.
    if fs::symlink_metadata(path).is_ok_and(|named| named.is_symlink()) {
        return refused(LINK);
    }
    let file = OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(path)?;
    let (opened, named) = (file.metadata()?, fs::symlink_metadata(path)?);
    if !opened.is_file() {
        return refused("it is no ordinary file");
    }
    if (opened.dev(), opened.ino()) != (named.dev(), named.ino()) {
        return refused(LINK);
    }
    if opened.mode() & 0o077 != 0 {
        return refused("others may read or write it, and records are nobody else's business: chmod 600 it");
    }
    Ok(file)
}

fn line(record: &Shipped, out: &mut Vec<u8>) -> Result<(), io::Error> {
    if record.payload.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
        return Err(io::Error::other(format!("record {} has a line end", record.sequence)));
    }
    write!(out, "{{\"id\":\"{}\",\"trail\":\"{}\",", record.id(), record.trail)?;
    write!(out, "\"sequence\":{},\"record\":", record.sequence)?;
    out.extend_from_slice(&record.payload);
    out.extend_from_slice(b"}\n");
    Ok(())
}

/// Cuts off what a crash left of a last line, and tells how long the file is then.
fn cut_torn_line(file: &mut File) -> Result<u64, io::Error> {
    let bytes = file.metadata()?.len();
    let start = bytes.saturating_sub(LINE_BYTES_MAX);
    let end = read_at(file, start, bytes)?;
    let (whole, torn) = match end.iter().rposition(|byte| *byte == b'\n') {
        Some(at) => (start + at as u64 + 1, end.get(at + 1..).unwrap_or_default()),
        None if start == 0 => (0, end.as_slice()),
        None => return Err(io::Error::other("its last line is longer than any that is written here")),
    };
    if torn.is_empty() {
        return Ok(bytes);
    }
    let ours = torn.len().min(LINE_START.len());
    if torn.get(..ours) != LINE_START.get(..ours) {
        return Err(io::Error::other("it ends in something that was not written here"));
    }
    file.set_len(whole)?;
    Ok(whole)
}

fn last_line(file: &mut File, bytes: u64) -> Result<Option<Known>, io::Error> {
    let end = read_at(file, bytes.saturating_sub(LINE_BYTES_MAX), bytes)?;
    let Some(text) = end.strip_suffix(b"\n") else { return Ok(None) };
    let line = text.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    known(line).map(Some)
}

fn known(line: &[u8]) -> Result<Known, io::Error> {
    serde_json::from_slice(line).map_err(|_| io::Error::other("it has a line that was not written here"))
}

/// Compares records that the file has already: a trail that was set back has others under the same numbers.
fn compare(file: &mut File, bytes: u64, again: &[&Shipped]) -> Result<(), io::Error> {
    let Some(first) = again.first() else { return Ok(()) };
    let trail = first.trail.to_string();
    let start = near(file, bytes, &trail, first.sequence)?;
    file.seek(SeekFrom::Start(start))?;
    let mut reader = BufReader::new(file);
    let mut again = again.iter().peekable();
    while let Some(record) = again.peek() {
        let mut found = Vec::new();
        (&mut reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut found)?;
        let Some(text) = found.strip_suffix(b"\n") else { return Ok(()) };
        let there = known(text)?;
        if there.trail != trail || there.sequence < record.sequence {
            continue;
        }
        // Lines before the first one may have been moved away with their file.
        while again.next_if(|record| record.sequence < there.sequence).is_some() {}
        let Some(record) = again.next_if(|record| record.sequence == there.sequence) else { continue };
        let mut expected = Vec::new();
        line(record, &mut expected)?;
        if expected != found {
            let sequence = there.sequence;
            let text = format!("it has another record {sequence} of this trail: was the trail set back?");
            return Err(io::Error::other(text));
        }
    }
    Ok(())
}

/// Finds the beginning of a line before the one of a record, and not far before: lines of a trail are in their order, and
/// lines of other trails come before.
fn near(file: &mut File, bytes: u64, trail: &str, sequence: u64) -> Result<u64, io::Error> {
    let (mut low, mut high) = (0, bytes);
    while high - low > 4 * LINE_BYTES_MAX {
        let middle = low + (high - low) / 2;
        let window = read_at(file, middle, middle + 2 * LINE_BYTES_MAX)?;
        let mut lines = window.split(|byte| *byte == b'\n');
        let skipped = lines.next().unwrap_or_default().len() as u64 + 1;
        let there = known(lines.next().unwrap_or_default())?;
        if there.trail != trail || there.sequence < sequence { low = middle + skipped } else { high = middle }
    }
    Ok(low)
}

fn read_at(file: &mut File, start: u64, end: u64) -> Result<Vec<u8>, io::Error> {
    file.seek(SeekFrom::Start(start))?;
    let mut found = Vec::new();
    file.take(end.saturating_sub(start)).read_to_end(&mut found)?;
    Ok(found)
}

fn outage(path: &Path, error: &io::Error) -> Outage {
    Outage::new("audit", format!("{}: {error}", path.display()))
}
