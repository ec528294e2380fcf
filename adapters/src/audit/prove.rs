//! Proofs that a record stands in the trail that a head was signed over.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use bytes::Bytes;
use policies::code::Outage;
use policies::merkle::{Frontier, Hash, inclusion_ranges};
use serde_json::Value;

use super::folder::{broken, pieces};
use super::frame::Shape;
use super::heads::{HEADS, Head, LINE_BYTES_MAX, keys, unline};
use super::read::{Reader, Segment};

/// That one record stands in the trail: everything that somebody else needs to check it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The record, as it was written.
    pub payload: Bytes,
    /// Its place, from 0 on.
    pub index: u64,
    /// The hashes beside the way from its leaf to the root.
    pub path: Vec<Hash>,
    /// The head, signed over a tree that holds the record.
    pub head: Head,
    /// The public key of who has signed it.
    pub key: Value,
}

/// Proves that record `sequence` stands in the trail in `dir`, against the first head that was signed over it.
///
/// Reads the trail up to that head. Blocks on the disk.
///
/// # Errors
/// An [`Outage`] if there is no such record, no head covers it yet, or the trail cannot be read.
pub fn prove(dir: &Path, sequence: u64) -> Result<Proof, Outage> {
    proven(dir, sequence).map_err(|error| Outage::new("audit", error))
}

fn proven(dir: &Path, sequence: u64) -> Result<Proof, io::Error> {
    let index = sequence.checked_sub(1).ok_or_else(|| io::Error::other("records are counted from 1 on"))?;
    let head = covering(dir, sequence)?.ok_or_else(|| {
        io::Error::other(format!(
            "no head was signed over record {sequence} yet; one is signed every minute, and when the gateway stops"
        ))
    })?;
    let key = keys(dir)?.into_iter().find(|key| key.kid() == Some(head.kid.as_str()));
    let key = key.ok_or_else(|| io::Error::other("the key that the head was signed with is not kept"))?;
    let found = Reader::open(dir).map_err(io::Error::other)?.from(sequence).next();
    let entry = found.transpose().map_err(io::Error::other)?.filter(|entry| entry.sequence == sequence);
    let entry = entry.ok_or_else(|| io::Error::other(format!("record {sequence} is not kept")))?;
    let ranges = inclusion_ranges(index, head.size).unwrap_or_default();
    let mut trees = vec![Frontier::default(); ranges.len()];
    leaves(dir, head.size, |at, leaf| {
        if let Some(tree) = ranges.iter().position(|range| range.contains(&at)).and_then(|place| trees.get_mut(place)) {
            tree.push(leaf);
        }
    })?;
    let path = trees.iter().map(Frontier::root).collect();
    Ok(Proof { payload: entry.payload, index, path, head, key: key.to_jwk() })
}

/// Finds the first head that covers a record.
fn covering(dir: &Path, sequence: u64) -> Result<Option<Head>, io::Error> {
    let path = dir.join(HEADS);
    let mut lines = match File::open(&path) {
        Ok(file) => BufReader::new(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    loop {
        let mut line = String::new();
        (&mut lines).take(LINE_BYTES_MAX as u64).read_line(&mut line)?;
        let Some(line) = line.strip_suffix('\n') else { return Ok(None) };
        let head = unline(line).ok_or_else(|| broken(&path, "a line is no head"))?;
        if head.size >= sequence {
            return Ok(Some(head));
        }
    }
}

/// Goes through the first `size` leaves of the trail; each is told with its place, from 0 on.
fn leaves(dir: &Path, size: u64, mut each: impl FnMut(u64, Hash)) -> Result<(), io::Error> {
    let mut at = 0;
    for piece in pieces(dir)? {
        let (file, header, start) = piece.open()?;
        if header.link.tree.size() != at {
            return Err(broken(&piece.path, "the segment before it is missing"));
        }
        match piece.shape {
            Shape::Frames => {
                let mut segment = Segment::open(&piece)?;
                while let Some(entry) = (at < size).then(|| segment.step()).transpose()?.flatten() {
                    each(at, entry.leaf);
                    at += 1;
                }
            }
            Shape::Leaves => {
                for leaf in leaf_file(file, start)? {
                    if at < size {
                        each(at, leaf);
                    }
                    at += 1;
                }
            }
        }
        if at >= size {
            return Ok(());
        }
    }
    Err(io::Error::other("the trail ends before its head"))
}

/// Reads the leaves of a segment that was let go.
pub(super) fn leaf_file(mut file: File, start: u64) -> Result<Vec<Hash>, io::Error> {
    use std::io::{Seek as _, SeekFrom};
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let (leaves, rest) = bytes.as_chunks::<32>();
    if !rest.is_empty() {
        return Err(io::Error::other("half a leaf stands at its end"));
    }
    Ok(leaves.to_vec())
}
