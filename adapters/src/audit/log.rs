//! The segment that is written, where the trail has got to, and how it is found again after a crash.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use policies::time::Timestamp;

use super::folder::{Piece, append_to, broken, piece_path, pieces, place, sync_dir};
use super::frame::{FRAME_BYTES_MAX, Frame, Header, Link, NoFrame, Shape, TrailId, chained};
use super::read::instant;
use super::record::{Noted, noted};
use crate::entropy;

/// From this size on a new segment is begun, in bytes: small enough to be read at a start and copied away at once.
pub const SEGMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The file that frames are appended to, and where the chain and the tree have got to.
#[derive(Debug)]
pub(super) struct Log {
    dir: PathBuf,
    pub(super) trail: TrailId,
    pub(super) link: Link,
    /// None until the first record: a disk that is full at the start stops only what must be recorded.
    open: Option<Open>,
    segment_bytes_max: u64,
    unsynced: bool,
    /// Held for as long as this process writes.
    _lock: Lock,
}

#[derive(Debug)]
struct Open {
    number: u64,
    file: File,
    /// Up to here the file holds whole frames.
    bytes: u64,
    /// Something else stands behind that, and has to be cut off first.
    torn: bool,
}

/// The right to write a trail: two writers would fork the chain.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Makes the folder, if it is not there, and takes the right to write it.
    pub(super) fn take(dir: &Path) -> Result<Self, io::Error> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(dir.join("lock"))?;
        file.try_lock().map_err(|_| io::Error::other("another process writes to this trail"))?;
        Ok(Self { _file: file })
    }
}

/// What was met in the last segment when the trail was taken up.
#[derive(Debug, Default)]
pub(super) struct Met {
    /// How many records stand before the segment.
    pub(super) before: u64,
    /// Where the trail was at the size that was asked for, if that lies here.
    pub(super) at_head: Option<Link>,
    /// The heads that are noted.
    pub(super) heads: Vec<(u64, String)>,
    /// Segments that are noted as let go, behind the size that was asked for.
    pub(super) let_go: Vec<u64>,
    /// The oldest time behind the size that was asked for.
    pub(super) oldest: Option<Timestamp>,
    /// The newest time of all.
    pub(super) newest: Option<Timestamp>,
}

impl Met {
    fn frame(&mut self, payload: &[u8], size: u64, asked: u64) {
        let at = instant(payload);
        self.newest = self.newest.max(at);
        if size > asked {
            self.oldest = [self.oldest, at].into_iter().flatten().min();
        }
        match noted(payload) {
            Some(Noted::Head { number, hash }) => self.heads.push((number, hash)),
            Some(Noted::LetGo { segment, .. }) if size > asked => self.let_go.push(segment),
            _ => {}
        }
    }
}

/// Why a batch was not written, or not all of it.
#[derive(Debug)]
pub(super) struct Unwritten {
    pub(super) error: io::Error,
    /// So many frames of it stand in the file nevertheless.
    pub(super) kept: usize,
}

impl Log {
    /// Takes up the trail in `dir` where it ended, reading its last segment only; half a frame there is cut off. Tells what
    /// it met there, and where the trail was at `asked` records.
    pub(super) fn open(dir: &Path, lock: Lock, segment_bytes_max: u64, asked: u64) -> Result<(Self, Met), io::Error> {
        let mut met = Met::default();
        let (trail, link, open) = match pieces(dir)?.last() {
            None => (TrailId::new(entropy::random()), Link::first(), None),
            Some(Piece { shape: Shape::Leaves, path, .. }) => {
                return Err(broken(path, "the segment behind it is missing"));
            }
            Some(piece) => {
                let (header, link, bytes) = recover(piece, asked, &mut met)?;
                let file = append_to(&piece.path)?;
                (header.trail, link, Some(Open { number: piece.number, file, bytes, torn: false }))
            }
        };
        sync_dir(dir)?;
        let log = Self { dir: dir.to_owned(), trail, link, open, segment_bytes_max, unsynced: false, _lock: lock };
        Ok((log, met))
    }

    /// Tells whether the next batch begins a new segment.
    pub(super) fn is_full(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.bytes >= self.segment_bytes_max)
    }

    /// Tells whether something was written that is not known to be on the disk.
    pub(super) fn unsynced(&self) -> bool {
        self.unsynced
    }

    /// Appends frames that bring the trail to `link`.
    pub(super) fn append(&mut self, frames: &[u8], link: Link) -> Result<(), Unwritten> {
        let nothing = |error| Unwritten { error, kept: 0 };
        let open = self.writable().map_err(nothing)?;
        if open.torn {
            open.file.set_len(open.bytes).map_err(nothing)?;
            open.torn = false;
        }
        let (written, result) = write_all(&mut open.file, frames);
        let (whole, kept) = match &result {
            Ok(()) => (frames.len(), 0),
            Err(_) => whole_frames(frames.get(..written).unwrap_or_default()),
        };
        open.bytes += whole as u64;
        let Err(error) = result else {
            (self.link, self.unsynced) = (link, true);
            return Ok(());
        };
        // Half a frame would break the trail for good; if it cannot be cut off now, it is before the next one. What is
        // whole stays: somebody may have read it.
        open.torn = open.file.set_len(open.bytes).is_err();
        let mut rest = frames;
        for _ in 0..kept {
            if let Ok((frame, length)) = Frame::decode(rest) {
                self.link.follow(&frame.leaf);
                rest = rest.get(length..).unwrap_or_default();
            }
        }
        self.unsynced |= kept > 0;
        Err(Unwritten { error, kept })
    }

    /// Makes what was appended durable.
    pub(super) fn sync(&mut self) -> Result<(), io::Error> {
        if let Some(open) = self.open.as_ref().filter(|_| self.unsynced) {
            open.file.sync_data()?;
            self.unsynced = false;
        }
        Ok(())
    }

    fn writable(&mut self) -> Result<&mut Open, io::Error> {
        let number = match &self.open {
            None => 1,
            Some(open) if open.bytes >= self.segment_bytes_max => open.number + 1,
            Some(_) => 0,
        };
        if number > 0 {
            self.sync()?;
            let header = Header { trail: self.trail, number, link: self.link.clone() }.encode(Shape::Frames);
            let path = piece_path(&self.dir, number, Shape::Frames);
            place(&path, &header)?;
            self.open = Some(Open { number, file: append_to(&path)?, bytes: header.len() as u64, torn: false });
        }
        self.open.as_mut().ok_or_else(|| io::Error::other("no segment is open"))
    }
}

fn write_all(file: &mut File, mut bytes: &[u8]) -> (usize, Result<(), io::Error>) {
    let mut written = 0;
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(count) => {
                written += count;
                bytes = bytes.get(count..).unwrap_or_default();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

/// Tells how many bytes of `frames` are whole frames, and how many frames.
fn whole_frames(frames: &[u8]) -> (usize, usize) {
    let (mut bytes, mut count) = (0, 0);
    while let Some(Ok((_, length))) = frames.get(bytes..).map(Frame::decode) {
        (bytes, count) = (bytes + length, count + 1);
    }
    (bytes, count)
}

/// Reads a segment to its end, cuts off what a crash has left half written, and tells where the trail is then.
fn recover(piece: &Piece, asked: u64, met: &mut Met) -> Result<(Header, Link, u64), io::Error> {
    let (mut file, header, start) = piece.open()?;
    file.seek(SeekFrom::Start(start))?;
    let mut link = header.link.clone();
    met.before = link.tree.size();
    met.at_head = (met.before == asked).then(|| link.clone());
    let mut whole = start;
    let mut ready: Vec<u8> = Vec::new();
    loop {
        let count = (&mut file).take(FRAME_BYTES_MAX as u64 * 4).read_to_end(&mut ready)?;
        let mut at = 0;
        let end = loop {
            let rest = ready.get(at..).unwrap_or_default();
            match Frame::decode(rest) {
                Ok((frame, length)) if chained(&link.chain, &frame.leaf) == frame.chain => {
                    link.follow(&frame.leaf);
                    at += length;
                    met.frame(frame.payload, link.tree.size(), asked);
                    if link.tree.size() == asked {
                        met.at_head = Some(link.clone());
                    }
                }
                Ok((frame, _)) => break Some(holed(frame.payload, &frame.chain)),
                Err(NoFrame::Torn) => break (count == 0).then_some(true),
                Err(NoFrame::Bad(_)) => break Some(rest.starts_with(&[0; 4])),
            }
        };
        whole += at as u64;
        ready.drain(..at);
        match end {
            None => {}
            Some(_) if ready.is_empty() => break,
            Some(true) => {
                tracing::warn!("the audit trail ended in half a record; {} bytes were cut off", ready.len());
                let file = OpenOptions::new().write(true).open(&piece.path)?;
                file.set_len(whole)?;
                file.sync_all()?;
                break;
            }
            Some(false) => {
                let cause = format!("record {} is broken; the trail is not written on", link.next());
                return Err(broken(&piece.path, &cause));
            }
        }
    }
    Ok((header, link, whole))
}

// No payload holds a zero byte, and no hash eight in a row: they are pages that a power cut kept from the disk. Anything
// else that does not fit was written by somebody.
fn holed(payload: &[u8], chain: &[u8]) -> bool {
    payload.contains(&0) || chain.windows(8).any(|window| window == [0; 8])
}
