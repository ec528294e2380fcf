#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::path::Path;

use super::*;
use crate::files::testing::Scratch;
use crate::keys::{WrapSource, open_wrapping};

fn sealer(directory: &Path) -> Sealer {
    let wrapping = open_wrapping(directory, &WrapSource::Generated).unwrap();
    Sealer::load_or_create(directory, &*wrapping).unwrap()
}

#[test]
fn what_was_changed_cut_or_sealed_by_another_is_not_opened() {
    let (one, other) = (Scratch::new(), Scratch::new());
    let (sealer, stranger) = (sealer(&one.0), sealer(&other.0));
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
    let sealer = sealer(&scratch.0);
    for text in [b"".as_slice(), b"840101300123", &[7; 10_000]] {
        let (sealed, again) = (sealer.seal(text), sealer.seal(text));
        assert_ne!(sealed, again);
        assert_eq!(sealed.len(), 1 + NONCE_LEN + text.len() + 16);
        assert!(text.is_empty() || !sealed.windows(text.len()).any(|window| window == text));
        assert_eq!(sealer.open(&sealed).unwrap().expose(), text);
    }
}

#[test]
fn the_key_survives_restarts() {
    let scratch = Scratch::new();
    let (sealed, hash) = {
        let sealer = sealer(&scratch.0);
        (sealer.seal(b"text"), sealer.keyed_hash("subject", b"840101300123"))
    };
    let sealer = sealer(&scratch.0);
    assert_eq!(sealer.open(&sealed).unwrap().expose(), b"text");
    assert_eq!(sealer.keyed_hash("subject", b"840101300123"), hash);
}

#[test]
fn what_was_sealed_for_a_person_needs_their_key_and_its_purpose_unchanged() {
    let (one, other) = (Scratch::new(), Scratch::new());
    let (sealer, stranger) = (sealer(&one.0), sealer(&other.0));
    let (key, another) = (sealer.fresh_subject_key(), sealer.fresh_subject_key());
    let sealed = sealer.seal_for(&key, "audit", b"840101300123").unwrap();
    assert!(sealer.open_with(&another, "audit", &sealed).is_err());
    assert!(sealer.open_with(&key, "verification", &sealed).is_err());
    assert!(stranger.open_with(&key, "audit", &sealed).is_err());
    assert!(stranger.seal_for(&key, "audit", b"840101300123").is_err());
    assert!(sealer.open(&sealed).is_err(), "the data key alone opens nothing of a person's");
    assert!(sealer.open_with(&key, "audit", &sealer.seal(b"840101300123")).is_err());
    for index in 0..sealed.len() {
        let mut changed = sealed.clone();
        *changed.get_mut(index).unwrap() ^= 1;
        assert!(sealer.open_with(&key, "audit", &changed).is_err(), "byte {index}");
        assert!(sealer.open_with(&key, "audit", sealed.get(..index).unwrap()).is_err(), "cut at {index}");
    }
    assert!(sealer.open_with(&key, "audit", &[sealed, vec![0]].concat()).is_err());
}

#[test]
fn a_persons_key_is_wrapped_and_not_taken_for_anothers() {
    let scratch = Scratch::new();
    let sealer = sealer(&scratch.0);
    let (key, another) = (sealer.fresh_subject_key(), sealer.fresh_subject_key());
    assert_ne!(key.id, another.id);
    let exchanged = SubjectKey { id: key.id, wrapped: another.wrapped };
    assert!(sealer.seal_for(&exchanged, "audit", b"text").is_err());
    for index in 0..key.wrapped.len() {
        let mut changed = key.clone();
        *changed.wrapped.get_mut(index).unwrap() ^= 1;
        assert!(sealer.seal_for(&changed, "audit", b"text").is_err(), "byte {index}");
        changed.wrapped.truncate(index);
        assert!(sealer.seal_for(&changed, "audit", b"text").is_err(), "cut at {index}");
    }
    assert!(sealer.open(&key.wrapped).is_err(), "a wrapped key is not taken for a sealed text");
}

#[test]
fn what_is_sealed_for_a_person_names_the_key_and_gives_the_text_back() {
    let scratch = Scratch::new();
    let sealer = sealer(&scratch.0);
    let key = sealer.fresh_subject_key();
    for text in [b"".as_slice(), b"840101300123", &[7; 10_000]] {
        let (sealed, again) =
            (sealer.seal_for(&key, "audit", text).unwrap(), sealer.seal_for(&key, "audit", text).unwrap());
        assert_ne!(sealed, again);
        assert_eq!(sealed.len(), 1 + 16 + NONCE_LEN + text.len() + 16);
        assert!(text.is_empty() || !sealed.windows(text.len()).any(|window| window == text));
        assert_eq!(Sealer::key_id_of(&sealed), Some(key.id));
        assert_eq!(sealer.open_with(&key, "audit", &sealed).unwrap().expose(), text);
    }
    assert_eq!(Sealer::key_id_of(&sealer.seal(b"840101300123")), None);
    assert_eq!(Sealer::key_id_of(&[2; 16]), None);
    assert_eq!(Sealer::key_id_of(&[2; 17]), Some([2; 16]));
}

#[test]
fn hashes_differ_by_key_domain_and_value() {
    let (one, other) = (Scratch::new(), Scratch::new());
    let (sealer, stranger) = (sealer(&one.0), sealer(&other.0));
    let hash = sealer.keyed_hash("client-a", b"840101300123");
    assert_ne!(hash, stranger.keyed_hash("client-a", b"840101300123"));
    assert_ne!(hash, sealer.keyed_hash("client-b", b"840101300123"));
    assert_ne!(hash, sealer.keyed_hash("client-a", b"840101300124"));
    assert_ne!(sealer.keyed_hash("a", b"bc"), sealer.keyed_hash("ab", b"c"));
    assert_eq!(hash, sealer.keyed_hash("client-a", b"840101300123"));
    assert_eq!(format!("{sealer:?}"), "Sealer");
}
