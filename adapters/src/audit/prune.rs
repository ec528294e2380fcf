//! Lets old records go and keeps the hashes of their leaves.

use std::fs;
use std::io;
use std::path::Path;

use policies::time::Timestamp;

use super::folder::{piece_path, pieces, place, sync_dir};
use super::frame::Shape;
use super::read::Segment;

/// Puts leaves in the place of every segment, oldest first, until one is too young, or the last is reached.
pub(super) fn prune(dir: &Path, older_than: Timestamp, keep_from: u64) -> Result<usize, io::Error> {
    let mut pieces = pieces(dir)?;
    pieces.pop();
    let mut gone = 0;
    for piece in pieces.into_iter().filter(|piece| piece.shape == Shape::Frames) {
        let (_, header, _) = piece.open()?;
        let mut leaves = header.encode(Shape::Leaves);
        let mut segment = Segment::open(&piece)?;
        while let Some(entry) = segment.step()? {
            if entry.at >= older_than || entry.sequence >= keep_from {
                return Ok(gone);
            }
            leaves.extend_from_slice(&entry.leaf);
        }
        // If a crash comes between the two, the segment is simply let go once more.
        place(&piece_path(dir, piece.number, Shape::Leaves), &leaves)?;
        fs::remove_file(&piece.path)?;
        sync_dir(dir)?;
        gone += 1;
    }
    Ok(gone)
}
