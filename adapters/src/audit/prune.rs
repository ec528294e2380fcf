//! Lets old records go and keeps the hashes of their leaves.

use std::fs;
use std::io;
use std::path::Path;

use policies::time::Timestamp;

use super::folder::{Piece, piece_path, pieces, place, sync_dir};
use super::frame::Shape;
use super::read::Segment;

/// Puts leaves in the place of every segment, oldest first, until one is too young, or the last is reached.
///
/// Before anything is removed, `note` has to write down up to which segment and which record: leaves that no record speaks
/// of were put there by somebody.
pub(super) fn prune(
    dir: &Path,
    older_than: Timestamp,
    keep_from: u64,
    note: impl FnOnce(u64, u64) -> Result<(), io::Error>,
) -> Result<usize, io::Error> {
    let mut pieces = pieces(dir)?;
    pieces.pop();
    let mut over: Vec<Piece> = Vec::new();
    let mut last = 0;
    for piece in pieces.into_iter().filter(|piece| piece.shape == Shape::Frames) {
        let Some(sequence) = replaced(dir, &piece, older_than, keep_from)? else { break };
        last = sequence;
        over.push(piece);
    }
    let Some(piece) = over.last() else { return Ok(0) };
    note(piece.number, last)?;
    for piece in &over {
        fs::remove_file(&piece.path)?;
        sync_dir(dir)?;
    }
    Ok(over.len())
}

/// Writes the leaves of a segment beside it, where the frames still count, and tells its last record; `None` if it stays.
fn replaced(dir: &Path, piece: &Piece, older_than: Timestamp, keep_from: u64) -> Result<Option<u64>, io::Error> {
    let (_, header, _) = piece.open()?;
    let mut leaves = header.encode(Shape::Leaves);
    let mut segment = Segment::open(piece)?;
    let mut last = header.link.tree.size();
    while let Some(entry) = segment.step()? {
        if entry.at >= older_than || entry.sequence >= keep_from {
            return Ok(None);
        }
        leaves.extend_from_slice(&entry.leaf);
        last = entry.sequence;
    }
    place(&piece_path(dir, piece.number, Shape::Leaves), &leaves)?;
    Ok(Some(last))
}
