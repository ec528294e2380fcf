//! The Merkle tree over the records of a trail (RFC 9162, section 2.1), and the proofs that are made of it.
//!
//! Pure: hashes in, hashes out. Must never know what a leaf holds, or where leaves are kept: who asks for a proof is told
//! which ranges of leaves it has to hash ([`inclusion_ranges`], [`consistency_ranges`]).

use std::ops::Range;

use aws_lc_rs::digest::{Context, SHA256};

/// SHA-256 of something.
pub type Hash = [u8; 32];

/// What keeps leaves apart from nodes, so that no node can pass for a leaf (RFC 9162, 2.1.1).
const LEAF: u8 = 0;
const NODE: u8 = 1;

/// The root of the tree without leaves: SHA-256 of nothing.
pub const EMPTY: Hash = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41,
    0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// Returns the hash of a leaf: SHA-256 of a zero byte and the entry.
#[must_use]
pub fn leaf(entry: &[u8]) -> Hash {
    hashed(&[&[LEAF], entry])
}

/// Returns the hash of a node over two others: SHA-256 of a one byte and both.
#[must_use]
pub fn node(left: &Hash, right: &Hash) -> Hash {
    hashed(&[&[NODE], left, right])
}

/// A tree that grows leaf by leaf and keeps only the roots of its full subtrees, largest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// Takes up a tree of `size` leaves whose full subtrees have these roots; `None` if their number does not fit.
    #[must_use]
    pub fn resume(size: u64, peaks: Vec<Hash>) -> Option<Self> {
        (peaks.len() as u64 == u64::from(size.count_ones())).then_some(Self { size, peaks })
    }

    /// Adds a leaf, by its hash.
    pub fn push(&mut self, leaf: Hash) {
        let mut top = leaf;
        // Each bit that is carried over joins two full subtrees of one size.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                top = node(&left, &top);
            }
        }
        self.peaks.push(top);
        self.size = self.size.saturating_add(1);
    }

    /// Returns how many leaves there are.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the roots of the full subtrees, largest first: as many as `size` has ones.
    #[must_use]
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// Returns the root of the tree.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else { return EMPTY };
        peaks.fold(*last, |right, left| node(left, &right))
    }
}

/// Returns the root of the tree over these leaves.
#[must_use]
pub fn root(leaves: &[Hash]) -> Hash {
    let mut frontier = Frontier::default();
    for leaf in leaves {
        frontier.push(*leaf);
    }
    frontier.root()
}

/// Tells the ranges of leaves whose roots are the inclusion proof of leaf `index` among `size`, in the proof's order.
///
/// `None` if there is no such leaf. Source: RFC 9162, section 2.1.3.1.
#[must_use]
pub fn inclusion_ranges(index: u64, size: u64) -> Option<Vec<Range<u64>>> {
    if index >= size {
        return None;
    }
    let mut found = Vec::new();
    let (mut start, mut end) = (0, size);
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            found.push(middle..end);
            end = middle;
        } else {
            found.push(start..middle);
            start = middle;
        }
    }
    found.reverse();
    Some(found)
}

/// Tells the ranges of leaves whose roots prove that the tree of `size` leaves goes on from that of its first `first`.
///
/// `None` unless 0 < `first` <= `size`. Source: RFC 9162, section 2.1.4.1.
#[must_use]
pub fn consistency_ranges(first: u64, size: u64) -> Option<Vec<Range<u64>>> {
    if first == 0 || first > size {
        return None;
    }
    let mut found = Vec::new();
    let (mut start, mut end) = (0, size);
    // Down to the subtree that ends where the first tree ends.
    while end != first {
        let middle = start + split(end - start);
        if first <= middle {
            found.push(middle..end);
            end = middle;
        } else {
            found.push(start..middle);
            start = middle;
        }
    }
    // A whole first tree is known to who asks: its own root.
    if start != 0 {
        found.push(start..end);
    }
    found.reverse();
    Some(found)
}

/// Checks an inclusion proof: `leaf` stands at `index` (from 0 on) of the tree of `size` leaves with this root.
///
/// Source: RFC 9162, section 2.1.3.2.
#[must_use]
pub fn is_included(leaf: &Hash, index: u64, size: u64, path: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut at, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in path {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            hash = node(sibling, &hash);
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            hash = node(&hash, sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && hash == *root
}

/// Checks a consistency proof: the tree of `second` leaves begins with the `first` leaves of the other.
///
/// Every tree goes on from the empty one; that needs no proof, and takes none. Source: RFC 9162, section 2.1.4.2.
#[must_use]
pub fn is_consistent(first: u64, second: u64, first_root: &Hash, second_root: &Hash, path: &[Hash]) -> bool {
    if first == 0 {
        return *first_root == EMPTY && path.is_empty();
    }
    if first >= second {
        return first == second && first_root == second_root && path.is_empty();
    }
    let whole = first.is_power_of_two().then_some(first_root);
    let mut path = whole.into_iter().chain(path);
    let Some(seed) = path.next() else { return false };
    let (mut old, mut new) = (*seed, *seed);
    let (mut at, mut last) = (first - 1, second - 1);
    let odd = at.trailing_ones();
    (at, last) = (at.checked_shr(odd).unwrap_or(0), last.checked_shr(odd).unwrap_or(0));
    for hash in path {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            old = node(hash, &old);
            new = node(hash, &new);
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            new = node(&new, hash);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && old == *first_root && new == *second_root
}

/// Returns the largest power of two below `size`, which is at least 2: where a tree parts.
fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

fn hashed(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut hash = EMPTY;
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

#[cfg(test)]
#[path = "merkle_tests.rs"]
mod tests;
