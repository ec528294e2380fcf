//! Copies a trail while it is written, so that the copy is a whole trail of its own.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use policies::code::Outage;

use super::folder::{Piece, pieces, shown, sync_dir};
use super::frame::{JSON, Shape};
use super::heads::{HEADS, KEYS, LINE_BYTES_MAX, unline};
use super::read::Segment;
use super::record::noted_head;

/// Copies the trail in `dir` into `target`, which is made: whole records only, and the heads that were signed over them.
///
/// The trail may be written at the same time. Blocks on the disk. Returns how many records the copy has.
///
/// # Errors
/// An [`Outage`] if something cannot be read or written; what was copied until then stays.
pub fn copy_to(dir: &Path, target: &Path) -> Result<u64, Outage> {
    copy(dir, target).map_err(|error| Outage::new("audit", error))
}

fn copy(dir: &Path, target: &Path) -> Result<u64, io::Error> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(target)?;
    // The list first, then heads, then records: whatever heads the copy has, it has their records, up to the first record
    // that notes a head which came later.
    let listed = pieces(dir)?;
    let known = copy_heads(&dir.join(HEADS), &target.join(HEADS))?;
    if let Some(bytes) = maybe(&dir.join(KEYS))? {
        create(&target.join(KEYS))?.write_all(&bytes)?;
        if !target.join(HEADS).exists() {
            // The keys came in between: they never stand without the file of heads.
            create(&target.join(HEADS))?.sync_all()?;
        }
    }
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "jsonl") && shown(&path).starts_with("audit-") {
            copy_file(&path, target)?;
        }
    }
    let mut records = 0;
    let count = listed.len();
    for (index, piece) in listed.iter().enumerate() {
        if index + 1 < count {
            copy_file(&piece.path, target)?;
        } else {
            records = copy_last(piece, target, known)?;
        }
    }
    sync_dir(target)?;
    Ok(records)
}

/// Copies the segment that may be written right now, record by record.
fn copy_last(piece: &Piece, target: &Path, heads: u64) -> Result<u64, io::Error> {
    let mut segment = Segment::open(piece)?;
    let mut out = io::BufWriter::new(create(&target.join(shown(&piece.path)))?);
    let (_, header, _) = piece.open()?;
    out.write_all(&header.encode(Shape::Frames))?;
    let mut records = header.link.tree.size();
    while let Some(entry) = segment.step()? {
        if noted_head(&entry.payload).is_some_and(|(number, _)| number > heads) {
            break;
        }
        out.write_all(&u32::try_from(entry.payload.len()).unwrap_or(u32::MAX).to_be_bytes())?;
        out.write_all(&[JSON])?;
        out.write_all(&entry.payload)?;
        out.write_all(&entry.chain)?;
        records = entry.sequence;
    }
    out.into_inner().map_err(|error| error.into_error())?.sync_all()?;
    Ok(records)
}

fn copy_file(path: &Path, target: &Path) -> Result<(), io::Error> {
    let mut out = create(&target.join(shown(path)))?;
    io::copy(&mut File::open(path)?, &mut out)?;
    out.sync_all()
}

fn create(path: &Path) -> Result<File, io::Error> {
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn maybe(path: &Path) -> Result<Option<Vec<u8>>, io::Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Copies the whole lines of the heads, one at a time, and tells the number of the last head.
fn copy_heads(path: &Path, target: &Path) -> Result<u64, io::Error> {
    let mut lines = match File::open(path) {
        Ok(file) => BufReader::new(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut out = io::BufWriter::new(create(target)?);
    let mut last = 0;
    let mut line = Vec::new();
    loop {
        line.clear();
        (&mut lines).take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') && line.len() < LINE_BYTES_MAX {
            break;
        }
        out.write_all(&line)?;
        let head = line.strip_suffix(b"\n").and_then(|line| unline(std::str::from_utf8(line).ok()?));
        last = head.map_or(last, |head| last.max(head.number));
    }
    out.into_inner().map_err(|error| error.into_error())?.sync_all()?;
    Ok(last)
}
