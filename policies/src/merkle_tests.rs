#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use super::*;

/// The tree of RFC 9162, 2.1.1, word by word: slow, and plain.
fn naive(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => EMPTY,
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(largest_power_below(leaves.len()));
            node(&naive(left), &naive(right))
        }
    }
}

fn largest_power_below(count: usize) -> usize {
    let mut power = 1;
    while power * 2 < count {
        power *= 2;
    }
    power
}

/// PATH(m, D_n) of 2.1.3.1.
fn naive_path(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return vec![];
    }
    let middle = largest_power_below(leaves.len());
    let (left, right) = leaves.split_at(middle);
    let (mut path, other) = if index < middle {
        (naive_path(index, left), naive(right))
    } else {
        (naive_path(index - middle, right), naive(left))
    };
    path.push(other);
    path
}

/// SUBPROOF(m, D_n, b) of 2.1.4.1.
fn naive_proof(first: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
    if first == leaves.len() {
        return if whole { vec![] } else { vec![naive(leaves)] };
    }
    let middle = largest_power_below(leaves.len());
    let (left, right) = leaves.split_at(middle);
    let (mut proof, other) = if first <= middle {
        (naive_proof(first, left, whole), naive(right))
    } else {
        (naive_proof(first - middle, right, false), naive(left))
    };
    proof.push(other);
    proof
}

fn leaves(count: u64) -> Vec<Hash> {
    (0..count).map(|number| leaf(&number.to_be_bytes())).collect()
}

fn hashes(leaves: &[Hash], ranges: Vec<Range<u64>>) -> Vec<Hash> {
    let at = |place: u64| usize::try_from(place).unwrap();
    ranges.into_iter().map(|range| root(&leaves[at(range.start)..at(range.end)])).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn hex(hash: &Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The entries of the tests of Google's certificate-transparency (`merkle_tree_test.cc`), after RFC 6962.
const ENTRIES: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];

/// The roots of the first one, two, .. eight of them, from the same place.
const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

#[test]
fn the_roots_of_the_known_entries_are_the_known_ones() {
    assert_eq!(Frontier::default().root(), EMPTY);
    let mut frontier = Frontier::default();
    for (entry, root) in ENTRIES.iter().zip(ROOTS) {
        frontier.push(leaf(&unhex(entry)));
        assert_eq!(hex(&frontier.root()), root);
    }
}

#[test]
fn the_known_inclusion_proof_is_made() {
    // Leaf 6 of 8 (5 from 0), from `merkle_tree_test.cc`.
    let leaves: Vec<Hash> = ENTRIES.iter().map(|entry| leaf(&unhex(entry))).collect();
    let path = hashes(&leaves, inclusion_ranges(5, 8).unwrap());
    let expected = [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ];
    assert_eq!(path.iter().map(hex).collect::<Vec<_>>(), expected);
}

#[test]
fn proofs_of_nothing_are_not_made() {
    assert_eq!((inclusion_ranges(0, 0), inclusion_ranges(4, 4)), (None, None));
    assert_eq!((consistency_ranges(0, 4), consistency_ranges(5, 4)), (None, None));
    assert!(!is_included(&EMPTY, 0, 0, &[], &EMPTY));
    assert!(!is_consistent(5, 4, &EMPTY, &EMPTY, &[]));
    assert!(!is_consistent(0, 4, &leaf(b""), &EMPTY, &[]));
    assert!(is_consistent(0, 4, &EMPTY, &leaf(b""), &[]));
    assert_eq!((Frontier::resume(3, vec![EMPTY]), Frontier::resume(0, vec![EMPTY])), (None, None));
}

#[test]
fn every_root_and_inclusion_proof_up_to_seventy_leaves_is_the_naive_one() {
    for size in 1..70 {
        let leaves = leaves(size);
        let root = root(&leaves);
        assert_eq!(root, naive(&leaves), "{size}");
        for index in 0..size {
            let path = hashes(&leaves, inclusion_ranges(index, size).unwrap());
            let at = usize::try_from(index).unwrap();
            assert_eq!(path, naive_path(at, &leaves), "{index} of {size}");
            assert!(is_included(&leaves[at], index, size, &path, &root), "{index} of {size}");
            // Any other place, size, leaf or root, a step more or less: not included.
            assert!(!is_included(&leaves[at], index ^ 1, size, &path, &root) || size == 1);
            assert!(!is_included(&node(&EMPTY, &EMPTY), index, size, &path, &root));
            assert!(!is_included(&leaves[at], index, size, &path, &EMPTY));
            assert!(!is_included(&leaves[at], index, size, &[path.clone(), vec![EMPTY]].concat(), &root));
            for step in 0..path.len() {
                let mut less = path.clone();
                less.remove(step);
                assert!(!is_included(&leaves[at], index, size, &less, &root));
                let mut other = path.clone();
                other[step][7] ^= 1;
                assert!(!is_included(&leaves[at], index, size, &other, &root));
            }
        }
    }
}

#[test]
fn every_consistency_proof_up_to_seventy_leaves_is_the_naive_one() {
    for second in 1..70 {
        let leaves = leaves(second);
        let new = root(&leaves);
        for first in 1..=second {
            let at = usize::try_from(first).unwrap();
            let old = root(&leaves[..at]);
            let path = hashes(&leaves, consistency_ranges(first, second).unwrap());
            assert_eq!(path, naive_proof(at, &leaves, true), "{first} of {second}");
            assert!(is_consistent(first, second, &old, &new, &path), "{first} of {second}");
            assert!(!is_consistent(first, second, &EMPTY, &new, &path));
            assert!(!is_consistent(first, second, &old, &EMPTY, &path));
            assert!(!is_consistent(first, second, &old, &new, &[path.clone(), vec![EMPTY]].concat()));
            for step in 0..path.len() {
                let mut other = path.clone();
                other[step][31] ^= 128;
                assert!(!is_consistent(first, second, &old, &new, &other));
                other.remove(step);
                assert!(!is_consistent(first, second, &old, &new, &other));
            }
        }
    }
}

#[test]
fn a_tree_that_was_put_down_is_taken_up_again() {
    for size in 0..40 {
        let all = leaves(64);
        let at = usize::try_from(size).unwrap();
        let mut before = Frontier::default();
        all[..at].iter().for_each(|leaf| before.push(*leaf));
        let mut again = Frontier::resume(before.size(), before.peaks().to_vec()).unwrap();
        all[at..].iter().for_each(|leaf| again.push(*leaf));
        assert_eq!((again.root(), again.size()), (root(&all), 64));
    }
}
