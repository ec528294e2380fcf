//! Trails of the first form, `audit-000001.jsonl` and on: no longer written, still checked.
//!
//! A line is one JSON object. Its `previous` is the `hash` of the line before, and its `hash`, always last, is SHA-256 over
//! the bytes of the line up to the comma before `"hash"`.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use policies::jose::sha256;

use super::broken::Broken;
use super::folder::shown;
use super::frame::hex;

/// The longest line with its end, in bytes.
const LINE_BYTES_MAX: u64 = 64 * 1024;

// `,"hash":"` and 64 digits and `"}`.
const TAIL_BYTES: usize = 9 + 64 + 2;

/// Where an old trail ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct End {
    pub(super) file: String,
    pub(super) lines: u64,
    pub(super) hash: String,
}

/// Checks every line of an old trail and tells where it ended; `None` if there is none.
pub(super) fn verify(dir: &Path) -> Result<Option<End>, Broken> {
    let unreadable = |path: &Path, error: &io::Error| Broken::file(path, &error.to_string());
    let mut end: Option<End> = None;
    for (expected, (number, path)) in (1..).zip(files(dir).map_err(|error| unreadable(dir, &error))?) {
        if number != expected {
            return Err(Broken::file(&path, "a file before it is missing"));
        }
        let mut reader = BufReader::new(File::open(&path).map_err(|error| unreadable(&path, &error))?);
        loop {
            let (lines, hash) = end.as_ref().map_or((0, "0".repeat(64)), |end| (end.lines, end.hash.clone()));
            let mut line = Vec::new();
            let mut bounded = (&mut reader).take(LINE_BYTES_MAX);
            bounded.read_until(b'\n', &mut line).map_err(|error| unreadable(&path, &error))?;
            if line.is_empty() {
                break;
            }
            let broken = |cause: &str| Broken { file: shown(&path), record: lines + 1, cause: cause.to_owned() };
            if line.pop() != Some(b'\n') {
                return Err(broken("it is not whole"));
            }
            let hash = follow(&line, lines + 1, &hash).map_err(broken)?;
            end = Some(End { file: shown(&path), lines: lines + 1, hash });
        }
    }
    Ok(end)
}

fn follow(line: &[u8], sequence: u64, previous: &str) -> Result<String, &'static str> {
    let (body, tail) = line.split_at_checked(line.len().saturating_sub(TAIL_BYTES)).unwrap_or((&[], line));
    let hash = tail.strip_prefix(b",\"hash\":\"").and_then(|rest| rest.strip_suffix(b"\"}"));
    let expected = hex(&sha256(body));
    if hash.ok_or("it does not end in a hash")? != expected.as_bytes() {
        return Err("its hash is not that of its bytes");
    }
    let prefix = format!("{{\"sequence\":{sequence},\"previous\":\"{previous}\",");
    if !line.starts_with(prefix.as_bytes()) {
        return Err("it does not follow from the line before");
    }
    Ok(expected)
}

fn files(dir: &Path) -> Result<Vec<(u64, PathBuf)>, io::Error> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let number = name.strip_prefix("audit-").and_then(|rest| rest.strip_suffix(".jsonl")?.parse().ok());
        found.extend(number.map(|number: u64| (number, path)));
    }
    found.sort();
    Ok(found)
}
