#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::fs;

use super::*;
use crate::files::testing::{Scratch, mode};

#[test]
fn what_was_changed_cut_or_sealed_by_another_is_not_opened() {
    let (one, other) = (Scratch::new(), Scratch::new());
    let (sealer, stranger) = (Sealer::load_or_create(&one.0).unwrap(), Sealer::load_or_create(&other.0).unwrap());
    let sealed = sealer.seal(b"840101300123");
    assert!(stranger.open(&sealed).is_err());
    for index in 0..sealed.len() {
        let mut changed = sealed.clone();
        *changed.get_mut(index).unwrap() ^= 1;
        assert!(sealer.open(&changed).is_err(), "byte {index}");
        assert!(sealer.open(sealed.get(..index).unwrap()).is_err(), "cut at {index}");
    }
    assert!(sealer.open(&[sealed, vec![0]].concat()).is_err());
}

#[test]
fn sealing_hides_the_text_and_gives_it_back() {
    let scratch = Scratch::new();
    let sealer = Sealer::load_or_create(&scratch.0).unwrap();
    for text in [b"".as_slice(), b"840101300123", &[7; 10_000]] {
        let (sealed, again) = (sealer.seal(text), sealer.seal(text));
        assert_ne!(sealed, again);
        assert_eq!(sealed.len(), 1 + NONCE_LEN + text.len() + 16);
        assert!(text.is_empty() || !sealed.windows(text.len()).any(|window| window == text));
        assert_eq!(sealer.open(&sealed).unwrap().expose(), text);
    }
}

#[test]
fn the_key_survives_restarts_in_a_private_file() {
    let scratch = Scratch::new();
    let (sealed, hash) = {
        let sealer = Sealer::load_or_create(&scratch.0).unwrap();
        (sealer.seal(b"text"), sealer.keyed_hash("subject", b"840101300123"))
    };
    let sealer = Sealer::load_or_create(&scratch.0).unwrap();
    assert_eq!(sealer.open(&sealed).unwrap().expose(), b"text");
    assert_eq!(sealer.keyed_hash("subject", b"840101300123"), hash);
    assert_eq!(mode(&scratch.0.join("sealing.key")), 0o600);
}

#[test]
fn a_broken_key_file_stops_the_start_and_is_left_alone() {
    for broken in ["", "c2hvcnQ=", "not base64!"] {
        let scratch = Scratch::new();
        private_directory(&scratch.0).unwrap();
        let path = scratch.0.join("sealing.key");
        write_private(&path, broken.as_bytes()).unwrap();
        let outage = Sealer::load_or_create(&scratch.0).unwrap_err();
        assert!(outage.cause.contains("sealing.key"), "{outage}");
        assert_eq!(fs::read(&path).unwrap(), broken.as_bytes());
    }
}

#[test]
fn hashes_differ_by_key_domain_and_value() {
    let (one, other) = (Scratch::new(), Scratch::new());
    let (sealer, stranger) = (Sealer::load_or_create(&one.0).unwrap(), Sealer::load_or_create(&other.0).unwrap());
    let hash = sealer.keyed_hash("client-a", b"840101300123");
    assert_ne!(hash, stranger.keyed_hash("client-a", b"840101300123"));
    assert_ne!(hash, sealer.keyed_hash("client-b", b"840101300123"));
    assert_ne!(hash, sealer.keyed_hash("client-a", b"840101300124"));
    assert_ne!(sealer.keyed_hash("a", b"bc"), sealer.keyed_hash("ab", b"c"));
    assert_eq!(hash, sealer.keyed_hash("client-a", b"840101300123"));
    assert_eq!(format!("{sealer:?}"), "Sealer");
}
