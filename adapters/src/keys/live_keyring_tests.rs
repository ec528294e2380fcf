#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use policies::jose::{Algorithm, Signer};
use policies::rotation::{PUBLISHED_AFTER_USE, PUBLISHED_BEFORE_USE};

use super::*;
use crate::files::testing::{Scratch, mode};
use crate::files::write_private;
use crate::keys::keyring_file::known_public;
use crate::keys::{RETIRED_MAX, SigningKey, WrapSource, open_wrapping};

const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);
const TICK: Duration = Duration::from_secs(1);

fn sealer(scratch: &Scratch) -> Arc<Sealer> {
    let wrapping = open_wrapping(&scratch.0, &WrapSource::Generated).unwrap();
    Arc::new(Sealer::load_or_create(&scratch.0, &*wrapping).unwrap())
}

fn open(scratch: &Scratch, now: Timestamp) -> Result<LiveKeyring, Outage> {
    LiveKeyring::open(&scratch.0, &sealer(scratch), now)
}

fn file(scratch: &Scratch) -> PathBuf {
    scratch.0.join("signing.json")
}

fn names(keyring: &Keyring) -> Vec<String> {
    keyring.published().iter().filter_map(|key| key.kid().map(str::to_owned)).collect()
}

fn states(keyring: &Keyring, now: Timestamp) -> Vec<KeyState> {
    keyring.known().iter().map(|known| known.state(now)).collect()
}

#[test]
fn c13_a_key_that_is_published_for_too_short_a_time_does_not_sign() {
    let keys = LiveKeyring::in_memory(NOW).unwrap();
    let from = NOW + PUBLISHED_BEFORE_USE;
    for now in [NOW, from - Duration::from_millis(1)] {
        let refused = keys.rotate(now).unwrap_err();
        assert!(matches!(refused, NotRotated::TooEarly(TooEarly { at }) if at == from), "{refused}");
        assert!(refused.to_string().contains(&from.to_string()), "{refused}");
    }
    assert_eq!(keys.epoch(), 1);
    keys.rotate(from).unwrap();
    // The one that is new has to wait as well.
    assert!(
        matches!(keys.rotate(from).unwrap_err(), NotRotated::TooEarly(TooEarly { at }) if at == from + PUBLISHED_BEFORE_USE)
    );
}

#[test]
fn what_nobody_asked_for_any_more_is_not_rotated() {
    let keys = LiveKeyring::in_memory(NOW).unwrap();
    let before = keys.now();
    let not_due = |keyring: &Keyring| Err(NotRotated::NotDue { since: keyring.times().0 });
    let refused = keys.rotate_if(NOW + PUBLISHED_BEFORE_USE, not_due).unwrap_err();
    assert!(matches!(refused, NotRotated::NotDue { since: NOW }));
    assert_eq!(names(&keys.now()), names(&before));
}

#[test]
fn c13_a_key_is_published_before_it_signs_and_until_all_that_it_signed_is_over() {
    let scratch = Scratch::new();
    let keys = open(&scratch, NOW).unwrap();
    let first = keys.now();
    let [current, next] = names(&first).try_into().unwrap();
    assert_eq!(first.signer().kid(), current);
    let at = NOW + PUBLISHED_BEFORE_USE;
    let second = keys.rotate(at).unwrap();
    assert_eq!(second.signer().kid(), next);
    let [signing, coming, previous] = names(&second).try_into().unwrap();
    assert_eq!((&signing, &previous), (&next, &current));
    assert!(coming != current && coming != next);
    assert_eq!(states(&second, at), [KeyState::Current, KeyState::Next, KeyState::Previous]);
    // A snapshot that somebody still holds is as it was.
    assert_eq!(names(&first), [current.clone(), next]);

    let over = at + PUBLISHED_AFTER_USE;
    assert!(!keys.follow(over - TICK).unwrap());
    assert_eq!(names(&keys.now()), names(&second));
    assert!(keys.follow(over).unwrap());
    assert!(!keys.follow(over).unwrap());
    assert_eq!(names(&keys.now()), [signing.clone(), coming.clone()]);
    assert_eq!(states(&keys.now(), over), [KeyState::Current, KeyState::Next, KeyState::Retired]);
    // It is still known for ours, so that old heads of the trail are.
    let known: Vec<_> = known_public(&scratch.0).iter().filter_map(|key| key.kid().map(str::to_owned)).collect();
    assert_eq!(known, [signing, coming, current]);
}

#[test]
fn c13_no_key_id_stands_twice_and_nothing_private_is_published() {
    let keys = LiveKeyring::in_memory(NOW).unwrap();
    let mut now = NOW;
    for _ in 0..3 {
        now = now + PUBLISHED_BEFORE_USE;
        keys.rotate(now).unwrap();
    }
    let jwks = keys.now().published().to_jwks();
    let listed = jwks.get("keys").unwrap().as_array().unwrap().clone();
    // The current, the next, and what signed up to 600 and 300 seconds ago.
    assert_eq!(listed.len(), 4);
    for key in &listed {
        let members: Vec<&str> = key.as_object().unwrap().keys().map(String::as_str).collect();
        let public = ["alg", "crv", "key_ops", "kid", "kty", "use", "x", "y"];
        assert!(members.iter().all(|member| public.contains(member)), "{members:?}");
    }
    let mut kids: Vec<&str> = listed.iter().map(|key| key.get("kid").unwrap().as_str().unwrap()).collect();
    kids.sort_unstable();
    kids.dedup();
    assert_eq!(kids.len(), listed.len());
}

#[test]
fn the_epoch_goes_on_with_every_change_of_what_is_published_and_with_nothing_else() {
    let scratch = Scratch::new();
    let keys = open(&scratch, NOW).unwrap();
    assert_eq!((keys.epoch(), keys.now().epoch()), (1, 1));
    assert!(!keys.follow(NOW + TICK).unwrap());
    assert_eq!(keys.epoch(), 1);
    let at = NOW + PUBLISHED_BEFORE_USE;
    assert_eq!(keys.rotate(at).unwrap().epoch(), 2);
    assert!(keys.follow(at + PUBLISHED_AFTER_USE).unwrap());
    assert_eq!(keys.epoch(), 3);
}

#[test]
fn what_another_process_rotated_is_followed_and_not_rotated_again() {
    let scratch = Scratch::new();
    let (one, other) = (open(&scratch, NOW).unwrap(), open(&scratch, NOW).unwrap());
    assert_eq!(names(&one.now()), names(&other.now()));
    let at = NOW + PUBLISHED_BEFORE_USE;
    one.rotate(at).unwrap();
    assert!(matches!(other.rotate(at).unwrap_err(), NotRotated::TooEarly(_)));
    assert_eq!(names(&one.now()), names(&other.now()));
    let at = at + PUBLISHED_BEFORE_USE;
    other.rotate(at).unwrap();
    assert!(one.follow(at).unwrap());
    assert_eq!((names(&one.now()), one.now().signer().kid()), (names(&other.now()), other.now().signer().kid()));
    // A file that is gone or broken changes nothing of what serves.
    let before = names(&one.now());
    write_private(&file(&scratch), b"{}").unwrap();
    assert!(one.follow(at).unwrap_err().to_string().contains("signing.json"));
    fs::remove_file(file(&scratch)).unwrap();
    assert!(one.follow(at).unwrap_err().to_string().contains("gone"));
    assert!(matches!(one.rotate(at + PUBLISHED_BEFORE_USE).unwrap_err(), NotRotated::Outage(_)));
    assert_eq!(names(&one.now()), before);
}

#[test]
fn keys_survive_restarts_in_private_files() {
    let scratch = Scratch::new();
    let first = open(&scratch, NOW).unwrap();
    first.rotate(NOW + PUBLISHED_BEFORE_USE).unwrap();
    let second = open(&scratch, NOW + PUBLISHED_BEFORE_USE + TICK).unwrap();
    assert_eq!(first.now().known(), second.now().known());
    assert_eq!(first.now().signer().kid(), second.now().signer().kid());
    let signature = second.now().signer().sign(b"text").unwrap();
    assert!(first.now().signer().verifying_key().verify(b"text", &signature));
    assert_eq!(mode(&scratch.0), 0o700);
    for entry in fs::read_dir(&scratch.0).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
}

// Every way in which a secret could stand in a file: as it is, in hexadecimal, and in base64 from any of three places on.
fn traces(secret: &[u8]) -> Vec<Vec<u8>> {
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut found = vec![secret.to_vec(), hex.to_uppercase().into_bytes(), hex.into_bytes()];
    for from in 0..3 {
        let part = secret.get(from..).unwrap();
        let whole = part.get(..part.len() / 3 * 3).unwrap();
        found.extend([STANDARD.encode(whole).into_bytes(), URL_SAFE_NO_PAD.encode(whole).into_bytes()]);
    }
    found
}

fn clear_anywhere(scratch: &Scratch, secret: &[u8]) -> bool {
    let needles = traces(secret);
    fs::read_dir(&scratch.0).unwrap().any(|entry| {
        let text = fs::read(entry.unwrap().path()).unwrap();
        needles.iter().any(|needle| text.windows(needle.len()).any(|window| window == needle))
    })
}

// The 32 secret bytes of a P-256 key in the PKCS#8 form: an octet string of that length.
fn scalar(key: &SigningKey) -> Vec<u8> {
    let der = key.to_der().unwrap();
    let at = der.expose().windows(2).position(|window| window == [0x04, 0x20]).unwrap() + 2;
    der.expose().get(at..at + 32).unwrap().to_vec()
}

#[test]
fn no_byte_of_a_private_key_rests_in_the_clear() {
    let scratch = Scratch::new();
    let keys = open(&scratch, NOW).unwrap();
    let mut secrets = vec![scalar(&keys.now().current), scalar(&keys.now().next)];
    keys.rotate(NOW + PUBLISHED_BEFORE_USE).unwrap();
    secrets.push(scalar(&keys.now().next));
    for secret in &secrets {
        assert!(!clear_anywhere(&scratch, secret));
    }
    // The test would see it.
    let first = secrets.first().unwrap();
    let control = STANDARD.encode([b"xx", first.as_slice()].concat());
    write_private(&scratch.0.join("control.pem"), control.as_bytes()).unwrap();
    assert!(clear_anywhere(&scratch, first));
}

#[test]
fn keys_that_lay_in_the_clear_are_taken_over_once_and_their_files_removed() {
    let scratch = Scratch::new();
    crate::files::private_directory(&scratch.0).unwrap();
    let plain: Vec<SigningKey> = (0..3).map(|_| SigningKey::generate(Algorithm::Es256).unwrap()).collect();
    let paths = ["signing.pem", "signing-next.pem", "signing-previous.pem"].map(|name| scratch.0.join(name));
    for (key, path) in plain.iter().zip(&paths) {
        key.save(path).unwrap();
    }
    let keys = open(&scratch, NOW).unwrap();
    let expected: Vec<&str> = plain.iter().map(Signer::kid).collect();
    assert_eq!(names(&keys.now()), expected);
    assert!(paths.iter().all(|path| !path.exists()));
    assert!(plain.iter().all(|key| !clear_anywhere(&scratch, &scalar(key))));
    assert_eq!(names(&open(&scratch, NOW).unwrap().now()), expected);

    // A start that was cut off before the files were removed goes on.
    plain.first().unwrap().save(&paths[0]).unwrap();
    assert_eq!(names(&open(&scratch, NOW).unwrap().now()), expected);
    assert!(!paths[0].exists());
    // Another key there is nothing that a program can judge.
    SigningKey::generate(Algorithm::Es256).unwrap().save(&paths[0]).unwrap();
    let refused = open(&scratch, NOW).unwrap_err();
    assert!(refused.cause.contains("signing.json") && refused.cause.contains("signing.pem"), "{refused}");
    assert!(paths[0].exists());
}

#[test]
fn a_rotation_of_files_in_the_clear_that_was_cut_off_is_gone_on_with() {
    let scratch = Scratch::new();
    crate::files::private_directory(&scratch.0).unwrap();
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    for name in ["signing.pem", "signing-next.pem", "signing-previous.pem"] {
        key.save(&scratch.0.join(name)).unwrap();
    }
    let keys = open(&scratch, NOW).unwrap();
    let [current, next] = names(&keys.now()).try_into().unwrap();
    assert!(current == key.kid() && next != current);
}

#[test]
fn a_broken_or_changed_file_stops_the_start_and_is_left_alone() {
    let scratch = Scratch::new();
    let keys = open(&scratch, NOW).unwrap();
    keys.rotate(NOW + PUBLISHED_BEFORE_USE).unwrap();
    let path = file(&scratch);
    let text = fs::read_to_string(&path).unwrap();
    let stranger = SigningKey::generate(Algorithm::Es256).unwrap().verifying_key().to_jwk();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let listed = value.get("keys").unwrap().as_array().unwrap().clone();
    let with = |keys: Vec<serde_json::Value>| {
        serde_json::to_string_pretty(&{
            let mut value = value.clone();
            *value.get_mut("keys").unwrap() = serde_json::Value::Array(keys);
            value
        })
        .unwrap()
    };
    let added =
        serde_json::json!({"jwk": stranger, "published": 1, "signs_from": 1, "signed_until": 9_999_999_999_i64});
    let brought = with(listed.iter().cloned().chain([added]).collect());
    let swapped = with(listed.iter().rev().cloned().collect());
    let fewer = with(listed.iter().take(2).cloned().collect());
    let later = text.replace("\"version\": 1", "\"version\": 2");
    let longer = text.replace("\"signed_until\": 1", "\"signed_until\": 2");
    assert!(longer != text && later != text);
    for wrong in ["", "broken", "{}", &text[..text.len() / 2], &brought, &swapped, &fewer, &later, &longer] {
        write_private(&path, wrong.as_bytes()).unwrap();
        let outage = open(&scratch, NOW).unwrap_err();
        assert!(outage.cause.contains("signing.json"), "{outage}");
        assert_eq!(fs::read_to_string(&path).unwrap(), wrong);
    }
    write_private(&path, text.as_bytes()).unwrap();
    assert!(open(&scratch, NOW).is_ok());
    // Another data key is another gateway's.
    let other = Scratch::new();
    let outage = LiveKeyring::open(&scratch.0, &sealer(&other), NOW).unwrap_err();
    assert!(outage.cause.contains("data.key"), "{outage}");
}

#[test]
fn so_many_retired_keys_are_remembered_and_not_one_more() {
    let keys = LiveKeyring::in_memory(NOW).unwrap();
    let mut now = NOW;
    for _ in 0..RETIRED_MAX + 3 {
        now = now + PUBLISHED_AFTER_USE + TICK;
        keys.rotate(now).unwrap();
    }
    let count = states(&keys.now(), now).iter().filter(|state| **state == KeyState::Retired).count();
    assert_eq!(count, RETIRED_MAX);
    assert_eq!(names(&keys.now()).len(), 3);
}

#[test]
fn nothing_private_is_shown() {
    let keys = LiveKeyring::in_memory(NOW).unwrap();
    let shown = format!("{keys:?}");
    assert!(shown.contains(keys.now().signer().kid()) && !shown.contains("pair"), "{shown}");
}
