//! How the trail stands on the disk: the header of a segment, and the frames behind it.
//!
//! A frame is the payload's length (4 bytes, big-endian), a byte for its kind, the payload, and the hash of the chain up to
//! and with it (32 bytes). The hash of the chain is SHA-256 of the hash before and the leaf; the leaf is SHA-256 of a zero
//! byte and the payload, as in the Merkle tree.

use std::fmt;

use policies::jose::sha256;
use policies::merkle::{self, Frontier, Hash};

/// The longest payload, in bytes: what a record can hold is far below.
pub(super) const PAYLOAD_BYTES_MAX: usize = 64 * 1024;

/// What stands before and behind a payload.
pub(super) const LEAD_BYTES: usize = 4 + 1;
pub(super) const FRAME_BYTES_MAX: usize = LEAD_BYTES + PAYLOAD_BYTES_MAX + HASH_BYTES;

pub(super) const HASH_BYTES: usize = 32;

/// The one kind of payload there is: a JSON object.
pub(super) const JSON: u8 = 1;

/// The hash of the chain before the first record.
pub(super) const FIRST: Hash = [0; HASH_BYTES];

/// The form of header and frames; another number is another form.
const VERSION: u32 = 1;

const MAGIC_BYTES: usize = 8;
const FIXED_BYTES: usize = MAGIC_BYTES + 4 + 16 + 8 + 8 + HASH_BYTES;

/// As many full subtrees as a tree can have, and the header that lists so many.
pub(super) const HEADER_BYTES_MAX: usize = FIXED_BYTES + 64 * HASH_BYTES + HASH_BYTES;

/// The name of a trail: random, given when it begins.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TrailId([u8; 16]);

impl TrailId {
    pub(super) const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

/// Writes a UUID.
impl fmt::Display for TrailId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        uuid::Uuid::from_bytes(self.0).hyphenated().fmt(f)
    }
}

impl fmt::Debug for TrailId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrailId({self})")
    }
}

/// Which of the two kinds of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// `.seg`: frames.
    Frames,
    /// `.leaves`: nothing but the hashes of the leaves, when the records themselves are over.
    Leaves,
}

impl Shape {
    pub(super) const fn suffix(self) -> &'static str {
        match self {
            Shape::Frames => "seg",
            Shape::Leaves => "leaves",
        }
    }

    const fn magic(self) -> &'static [u8; MAGIC_BYTES] {
        match self {
            Shape::Frames => b"qaqpaseg",
            Shape::Leaves => b"qaqpalvs",
        }
    }
}

/// Where a trail has got to: the chain and the tree over all records until now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) chain: Hash,
    pub(super) tree: Frontier,
}

impl Link {
    pub(super) fn first() -> Self {
        Self { chain: FIRST, tree: Frontier::default() }
    }

    /// Takes a record in, by its leaf.
    pub(super) fn follow(&mut self, leaf: &Hash) {
        self.chain = chained(&self.chain, leaf);
        self.tree.push(*leaf);
    }

    /// The number of the next record, from 1 on.
    pub(super) fn next(&self) -> u64 {
        self.tree.size().saturating_add(1)
    }
}

/// Returns the hash of the chain after a leaf.
pub(super) fn chained(before: &Hash, leaf: &Hash) -> Hash {
    let mut both = [0; 2 * HASH_BYTES];
    both[..HASH_BYTES].copy_from_slice(before);
    both[HASH_BYTES..].copy_from_slice(leaf);
    sha256(&both)
}

/// What stands at the beginning of a segment: where the trail had got to before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) trail: TrailId,
    pub(super) number: u64,
    pub(super) link: Link,
}

impl Header {
    /// The number of the first record of the segment.
    pub(super) fn first(&self) -> u64 {
        self.link.next()
    }

    /// Writes the header; its last 32 bytes are SHA-256 of those before, so that half a header is not taken for one.
    pub(super) fn encode(&self, shape: Shape) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES_MAX);
        out.extend_from_slice(shape.magic());
        out.extend_from_slice(&VERSION.to_be_bytes());
        out.extend_from_slice(&self.trail.0);
        out.extend_from_slice(&self.number.to_be_bytes());
        out.extend_from_slice(&self.link.tree.size().to_be_bytes());
        out.extend_from_slice(&self.link.chain);
        for peak in self.link.tree.peaks() {
            out.extend_from_slice(peak);
        }
        let hash = sha256(&out);
        out.extend_from_slice(&hash);
        out
    }

    /// Reads a header from the beginning of `bytes`, and tells how long it is.
    pub(super) fn decode(bytes: &[u8], shape: Shape) -> Result<(Self, usize), &'static str> {
        let short = "its header is not whole";
        let mut rest = bytes;
        if take::<MAGIC_BYTES>(&mut rest).ok_or(short)? != *shape.magic() {
            return Err("it does not begin as a segment of a trail");
        }
        if u32::from_be_bytes(take(&mut rest).ok_or(short)?) != VERSION {
            return Err("its form is of another version");
        }
        let trail = TrailId(take(&mut rest).ok_or(short)?);
        let number = u64::from_be_bytes(take(&mut rest).ok_or(short)?);
        let size = u64::from_be_bytes(take(&mut rest).ok_or(short)?);
        let chain = take(&mut rest).ok_or(short)?;
        let peaks = (0..size.count_ones()).map(|_| take(&mut rest)).collect::<Option<Vec<_>>>().ok_or(short)?;
        let length = bytes.len() - rest.len();
        let hash: Hash = take(&mut rest).ok_or(short)?;
        if bytes.get(..length).is_none_or(|body| sha256(body) != hash) {
            return Err("its header was changed");
        }
        let tree = Frontier::resume(size, peaks).ok_or(short)?;
        Ok((Self { trail, number, link: Link { chain, tree } }, length + HASH_BYTES))
    }
}

/// A frame, still in the bytes it was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) payload: &'a [u8],
    pub(super) leaf: Hash,
    pub(super) chain: Hash,
}

/// Why there is no frame at the beginning of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoFrame {
    /// They end before the frame does.
    Torn,
    /// They are no frame.
    Bad(&'static str),
}

impl<'a> Frame<'a> {
    /// Reads the frame at the beginning of `bytes` and tells how long it is; whether the chain fits is not looked at.
    pub(super) fn decode(bytes: &'a [u8]) -> Result<(Self, usize), NoFrame> {
        let mut rest = bytes;
        let length = u32::from_be_bytes(take(&mut rest).ok_or(NoFrame::Torn)?) as usize;
        if length == 0 || length > PAYLOAD_BYTES_MAX {
            return Err(NoFrame::Bad("its length is none that a record has"));
        }
        let [kind] = take(&mut rest).ok_or(NoFrame::Torn)?;
        if kind != JSON {
            return Err(NoFrame::Bad("it is of no kind that is known"));
        }
        let (payload, mut rest) = rest.split_at_checked(length).ok_or(NoFrame::Torn)?;
        let chain = take(&mut rest).ok_or(NoFrame::Torn)?;
        Ok((Self { payload, leaf: merkle::leaf(payload), chain }, LEAD_BYTES + length + HASH_BYTES))
    }
}

/// Appends a frame to `out`: `payload` writes the JSON. `None`, and nothing, if that is too long.
pub(super) fn append(link: &mut Link, out: &mut Vec<u8>, payload: impl FnOnce(&mut Vec<u8>) -> bool) -> Option<()> {
    let start = out.len();
    out.extend_from_slice(&[0, 0, 0, 0, JSON]);
    let written = payload(out);
    let body = out.get(start + LEAD_BYTES..).unwrap_or_default();
    let length = u32::try_from(body.len()).ok().filter(|length| (1..=PAYLOAD_BYTES_MAX as u32).contains(length));
    let (Some(length), true) = (length, written) else {
        out.truncate(start);
        return None;
    };
    link.follow(&merkle::leaf(body));
    if let Some(lead) = out.get_mut(start..start + 4) {
        lead.copy_from_slice(&length.to_be_bytes());
    }
    out.extend_from_slice(&link.chain);
    Some(())
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}
