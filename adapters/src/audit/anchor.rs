//! Asks of a trail that is taken up whether it is the one that its last head was signed over: to write on, and to sign
//! over, what somebody else has written would hide it for good.
//!
//! A crash at any moment passes: half a record is cut off before, and what stands where is ordered by what is made durable
//! first: the record, the file of heads, the key, the head, the note of the head, the cursor of a place.

use std::fs;
use std::io;
use std::path::Path;

use super::folder::{broken, piece_path, pieces};
use super::frame::{Link, Shape, hex};
use super::heads::{HEADS, Head, Heads, KEYS, UNCOVERED_MAX};
use super::log::{Log, Met};
use super::prove::leaf_file;
use super::read::Segment;
use super::record::Note;

/// Refuses a trail that is not the one that was signed for; else gives what it has to tell of itself before it goes on.
pub(super) fn check(dir: &Path, heads: &Heads, log: &Log, met: &Met) -> Result<Option<Note>, io::Error> {
    match &heads.last {
        Some(last) => is_ours(dir, heads, last, log, met)?,
        None => never_signed(dir, heads, met)?,
    }
    if !heads.are_signed() {
        return Ok(None);
    }
    let taken = |segment: &&u64| !piece_path(dir, **segment, Shape::Frames).exists();
    if let Some(segment) = met.let_go.iter().find(taken) {
        return Err(refused(&format!("segment {segment} was let go, and no head was signed over the note of it")));
    }
    Ok(late(heads, log, met))
}

fn is_ours(dir: &Path, heads: &Heads, last: &Head, log: &Log, met: &Met) -> Result<(), io::Error> {
    let size = log.link.tree.size();
    if last.size > size {
        return Err(refused(&format!("it ends at record {size}, and was signed for {}", last.size)));
    }
    let ours = heads.ours();
    if heads.are_signed() && !ours.iter().any(|key| key.kid() == Some(&last.kid) && last.is_signed_with(key)) {
        let help = "if the keys were replaced on purpose, move the folder away to begin a new trail";
        return Err(refused(&format!("its last head is not signed with a key of ours; {help}")));
    }
    if last.trail != log.trail.to_string() {
        return Err(refused("its last head is one of another trail"));
    }
    let walked = if met.at_head.is_none() { link_at(dir, last.size)? } else { None };
    let link = met.at_head.as_ref().or(walked.as_ref());
    if link.is_none_or(|link| last.root != hex(&link.tree.root()) || last.chain != hex(&link.chain)) {
        return Err(refused(&format!("its last head was signed over other records, up to {}", last.size)));
    }
    let unknown = |(number, hash): &&(u64, String)| {
        *number > last.number || (*number == last.number && *hash != hex(&last.hash()))
    };
    match met.heads.iter().find(unknown) {
        Some((number, _)) => Err(refused(&format!("it notes head {number}, which {HEADS} does not have"))),
        None => Ok(()),
    }
}

/// A trail without a head may only be one that was never signed for.
fn never_signed(dir: &Path, heads: &Heads, met: &Met) -> Result<(), io::Error> {
    if let Some((number, _)) = met.heads.first() {
        return Err(refused(&format!("it notes head {number}, which {HEADS} does not have")));
    }
    if dir.join(KEYS).exists() && !dir.join(HEADS).exists() {
        return Err(refused(&format!("{KEYS} is there, and {HEADS} is not")));
    }
    if heads.are_signed()
        && let Some(cursor) = cursors(dir)?.first()
    {
        return Err(refused(&format!("{cursor} tells that records were sent on, and {HEADS} has no head")));
    }
    Ok(())
}

/// Tells which records have gone without a head for too long: they may be right, after a disk that was full or a clock that
/// was put right, but the next head would hide that nobody can know.
fn late(heads: &Heads, log: &Log, met: &Met) -> Option<Note> {
    let size = log.link.tree.size();
    if size <= heads.size {
        return None;
    }
    let (oldest, newest) = (met.oldest?, met.newest?);
    let late = heads.size < met.before || newest.since(oldest) > UNCOVERED_MAX;
    late.then(|| Note::Late { first: heads.size + 1, last: size })
}

/// The names of the files that tell how far places have got.
pub(super) fn cursors(dir: &Path) -> Result<Vec<String>, io::Error> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.starts_with("ship-") && name.ends_with(".cursor") {
            found.push(name);
        }
    }
    found.sort();
    Ok(found)
}

/// Where the trail was at `size` records, when that lies before the last segment, as after heads that could not be signed:
/// everything from there on is held together.
fn link_at(dir: &Path, size: u64) -> Result<Option<Link>, io::Error> {
    let mut pieces = pieces(dir)?;
    let mut begin = 0;
    for (index, piece) in pieces.iter().enumerate() {
        if piece.open()?.1.link.tree.size() <= size {
            begin = index;
        }
    }
    let (mut found, mut end): (Option<Link>, Option<Link>) = (None, None);
    for piece in pieces.drain(begin..) {
        let (file, header, start) = piece.open()?;
        if end.is_some_and(|end| end != header.link) {
            return Err(broken(&piece.path, "it does not follow from the segment before"));
        }
        let mut link = header.link;
        if link.tree.size() == size {
            found = Some(link.clone());
        }
        let mut follow = |leaf| {
            link.follow(&leaf);
            if link.tree.size() == size {
                found = Some(link.clone());
            }
        };
        match piece.shape {
            Shape::Leaves => leaf_file(file, start)?.into_iter().for_each(follow),
            Shape::Frames => {
                let mut segment = Segment::open(&piece)?;
                while let Some(entry) = segment.step()? {
                    follow(entry.leaf);
                }
            }
        }
        end = Some(link);
    }
    Ok(found)
}

fn refused(cause: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the trail is broken: {cause}"))
}
