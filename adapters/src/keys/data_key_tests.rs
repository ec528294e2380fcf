#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::path::PathBuf;

use policies::jose::hmac_sha256;

use super::*;
use crate::files::testing::{Scratch, mode};
use crate::keys::wrapping_key::GENERATED_FILE;
use crate::keys::{Sealer, WrapSource, open_wrapping};

// Draws a wrapping key as an operator does.
fn given() -> (WrapSource, String) {
    let text = STANDARD.encode(entropy::random::<32>());
    (WrapSource::Given(Secret::new(format!("{text}\n").into_bytes())), text)
}

fn load(directory: &Path, source: &WrapSource) -> Result<KeyBytes, Outage> {
    load_or_create(directory, &*open_wrapping(directory, source)?)
}

fn file(scratch: &Scratch, name: &str) -> PathBuf {
    scratch.0.join(name)
}

#[test]
fn another_wrapping_key_does_not_open_it_and_the_refusal_says_which_would() {
    let scratch = Scratch::new();
    let ((one, one_text), (other, other_text)) = (given(), given());
    load(&scratch.0, &one).unwrap();
    let before = fs::read(file(&scratch, DATA_KEY_FILE)).unwrap();
    let ids = [&one, &other].map(|source| open_wrapping(&scratch.0, source).unwrap().key_id());
    let told = load(&scratch.0, &other).unwrap_err().to_string();
    assert!(told.contains("data.key") && ids.iter().all(|id| told.contains(id)), "{told}");
    assert!(![one_text, other_text].iter().any(|text| told.contains(text)), "{told}");
    assert_eq!(fs::read(file(&scratch, DATA_KEY_FILE)).unwrap(), before);
    assert!(load(&scratch.0, &one).is_ok());
}

#[test]
fn what_was_changed_is_refused_and_left_alone() {
    let scratch = Scratch::new();
    let (source, _) = given();
    load(&scratch.0, &source).unwrap();
    let path = file(&scratch, DATA_KEY_FILE);
    let text = String::from_utf8(fs::read(&path).unwrap()).unwrap();
    let written: DataKeyFile = serde_json::from_str(&text).unwrap();
    let nonce = STANDARD.encode(entropy::random::<12>());
    let other = STANDARD.encode(entropy::random::<48>());
    for (old, new) in [
        (written.nonce.as_str(), nonce.as_str()),
        (&written.nonce, "AAAA"),
        (&written.ciphertext, &other),
        (&written.ciphertext, ""),
        ("\"version\": 1", "\"version\": 2"),
        ("\"wrapping\": \"key\"", "\"wrapping\": \"pkcs11\""),
        ("\"version\": 1,", "\"version\": 1, \"further\": 1,"),
        ("{", ""),
    ] {
        assert!(text.contains(old), "{old}");
        let changed = text.replace(old, new);
        write_private(&path, changed.as_bytes()).unwrap();
        let told = load(&scratch.0, &source).unwrap_err().to_string();
        assert!(told.contains("data.key"), "{told}");
        assert_eq!(fs::read(&path).unwrap(), changed.as_bytes());
    }
    write_private(&path, text.as_bytes()).unwrap();
    assert!(load(&scratch.0, &source).is_ok());
}

#[test]
fn a_file_that_others_may_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    for name in [DATA_KEY_FILE, GENERATED_FILE] {
        let scratch = Scratch::new();
        load(&scratch.0, &WrapSource::Generated).unwrap();
        fs::set_permissions(file(&scratch, name), fs::Permissions::from_mode(0o640)).unwrap();
        assert!(load(&scratch.0, &WrapSource::Generated).unwrap_err().to_string().contains(name));
    }
}

#[test]
fn a_generated_wrapping_key_that_is_lost_is_not_drawn_anew() {
    let scratch = Scratch::new();
    let key = load(&scratch.0, &WrapSource::Generated).unwrap();
    let aside = fs::read(file(&scratch, GENERATED_FILE)).unwrap();
    fs::remove_file(file(&scratch, GENERATED_FILE)).unwrap();
    let told = load(&scratch.0, &WrapSource::Generated).unwrap_err().to_string();
    assert!(told.contains("wrapping.key is missing"), "{told}");
    assert!(!file(&scratch, GENERATED_FILE).exists());
    write_private(&file(&scratch, GENERATED_FILE), &aside).unwrap();
    assert_eq!(load(&scratch.0, &WrapSource::Generated).unwrap().expose(), key.expose());
}

#[test]
fn a_wrapping_key_is_32_bytes_in_base64() {
    let scratch = Scratch::new();
    let long = STANDARD.encode([7; 33]);
    let short = STANDARD.encode([7; 31]);
    for wrong in ["", "canary!", &short, &long, &"a".repeat(32)] {
        let source = WrapSource::Given(Secret::new(wrong.as_bytes().to_vec()));
        let told = load(&scratch.0, &source).unwrap_err().to_string();
        assert!(wrong.is_empty() || !told.contains(wrong), "{told}");
    }
    let right = WrapSource::Given(Secret::new(STANDARD.encode([7; 32]).into_bytes()));
    assert!(load(&scratch.0, &right).is_ok());
}

#[test]
fn what_was_wrapped_for_something_else_is_no_data_key() {
    let scratch = Scratch::new();
    let wrapping = open_wrapping(&scratch.0, &given().0).unwrap();
    let key = Secret::new(entropy::random::<32>());
    let wrapped = wrapping.wrap(&key, b"something else").unwrap();
    assert!(wrapping.open(&wrapped, PURPOSE).is_err());
    assert_eq!(wrapping.open(&wrapped, b"something else").unwrap().expose(), key.expose());
}

#[test]
fn the_key_rests_wrapped_in_private_files_and_survives_restarts() {
    let (scratch, (source, text)) = (Scratch::new(), given());
    for source in [&WrapSource::Generated, &source] {
        let scratch = Scratch::new();
        let key = load(&scratch.0, source).unwrap();
        assert_eq!(load(&scratch.0, source).unwrap().expose(), key.expose());
        assert_eq!(mode(&file(&scratch, DATA_KEY_FILE)), 0o600);
        let rests = fs::read(file(&scratch, DATA_KEY_FILE)).unwrap();
        let encoded = STANDARD.encode(key.expose());
        for shown in [key.expose().as_slice(), encoded.as_bytes(), text.as_bytes()] {
            assert!(!rests.windows(shown.len()).any(|window| window == shown));
        }
    }
    load(&scratch.0, &WrapSource::Generated).unwrap();
    assert_eq!(mode(&file(&scratch, GENERATED_FILE)), 0o600);
}

#[test]
fn the_same_key_may_move_from_a_file_to_the_environment() {
    let scratch = Scratch::new();
    let key = load(&scratch.0, &WrapSource::Generated).unwrap();
    let text = Secret::new(fs::read(file(&scratch, GENERATED_FILE)).unwrap());
    fs::remove_file(file(&scratch, GENERATED_FILE)).unwrap();
    assert_eq!(load(&scratch.0, &WrapSource::Given(text)).unwrap().expose(), key.expose());
}

#[test]
fn a_plain_key_of_version_0_1_is_wrapped_and_goes_on_opening_what_it_sealed() {
    let (scratch, (source, _)) = (Scratch::new(), given());
    private_directory(&scratch.0).unwrap();
    // The exact bytes that version 0.1 wrote: its key, and what it had sealed under it.
    let master = [7; 32];
    write_private(&file(&scratch, PLAIN_FILE), format!("{}\n", STANDARD.encode(master)).as_bytes()).unwrap();
    let sealed_then = sealed_by_version_0_1(&master, b"840101300123");
    for _ in 0..2 {
        let wrapping = open_wrapping(&scratch.0, &source).unwrap();
        let sealer = Sealer::load_or_create(&scratch.0, &*wrapping).unwrap();
        assert_eq!(sealer.open(&sealed_then).unwrap().expose(), b"840101300123");
        assert!(!file(&scratch, PLAIN_FILE).exists());
    }
    assert_eq!(load(&scratch.0, &source).unwrap().expose(), &master);
}

#[test]
fn a_plain_key_stays_until_the_wrapped_one_is_there() {
    let (scratch, (source, _)) = (Scratch::new(), given());
    private_directory(&scratch.0).unwrap();
    let plain = format!("{}\n", STANDARD.encode([7; 32]));
    // The process died after it had wrapped the key and before it had removed the plain one.
    write_private(&file(&scratch, PLAIN_FILE), plain.as_bytes()).unwrap();
    load(&scratch.0, &source).unwrap();
    write_private(&file(&scratch, PLAIN_FILE), plain.as_bytes()).unwrap();
    assert_eq!(load(&scratch.0, &source).unwrap().expose(), &[7; 32]);
    assert!(!file(&scratch, PLAIN_FILE).exists());
    // It cannot be wrapped: it stays.
    let other = Scratch::new();
    private_directory(&other.0).unwrap();
    write_private(&file(&other, PLAIN_FILE), plain.as_bytes()).unwrap();
    assert!(load_or_create(&other.0, &Broken).is_err());
    assert_eq!(fs::read(file(&other, PLAIN_FILE)).unwrap(), plain.as_bytes());
}

#[test]
fn a_plain_key_that_is_another_or_broken_stops_the_start_and_is_left_alone() {
    for plain in [STANDARD.encode([8; 32]), String::new(), "c2hvcnQ=".to_owned(), "not base64!".to_owned()] {
        let (scratch, (source, _)) = (Scratch::new(), given());
        load(&scratch.0, &source).unwrap();
        write_private(&file(&scratch, PLAIN_FILE), plain.as_bytes()).unwrap();
        let told = load(&scratch.0, &source).unwrap_err().to_string();
        assert!(told.contains("sealing.key") && (plain.is_empty() || !told.contains(&plain)), "{told}");
        assert_eq!(fs::read(file(&scratch, PLAIN_FILE)).unwrap(), plain.as_bytes());
        assert!(file(&scratch, DATA_KEY_FILE).exists());
    }
}

#[test]
fn a_key_that_would_never_open_is_never_written() {
    for other in
        [Wrapped { nonce: [1; 12], ciphertext: vec![7; 48] }, Wrapped { nonce: [0; 12], ciphertext: vec![8; 48] }]
    {
        let scratch = Scratch::new();
        private_directory(&scratch.0).unwrap();
        let plain = format!("{}\n", STANDARD.encode([7; 32]));
        write_private(&file(&scratch, PLAIN_FILE), plain.as_bytes()).unwrap();
        let told = load_or_create(&scratch.0, &Forgetful(other)).unwrap_err().to_string();
        assert!(told.contains("data.key") && told.contains("not written"), "{told}");
        assert!(!file(&scratch, DATA_KEY_FILE).exists());
        // The next start, with a token that is sound, makes it from the plain one.
        assert_eq!(load(&scratch.0, &given().0).unwrap().expose(), &[7; 32]);
    }
}

// A token that encrypts under a nonce of its own and does not tell, or that gives back another key.
struct Forgetful(Wrapped);

impl Wrapping for Forgetful {
    fn kind(&self) -> &'static str {
        "pkcs11"
    }

    fn key_id(&self) -> String {
        "vault/forgetful".to_owned()
    }

    fn wrap(&self, _: &KeyBytes, _: &[u8]) -> Result<Wrapped, Outage> {
        Ok(self.0.clone())
    }

    fn open(&self, wrapped: &Wrapped, _: &[u8]) -> Result<KeyBytes, Outage> {
        if wrapped.nonce == [0; 12] { Ok(Secret::new([9; 32])) } else { Err(Outage::new(PORT, "the tag is wrong")) }
    }
}

// A token that is not there.
struct Broken;

impl Wrapping for Broken {
    fn kind(&self) -> &'static str {
        "key"
    }

    fn key_id(&self) -> String {
        "none".to_owned()
    }

    fn wrap(&self, _: &KeyBytes, _: &[u8]) -> Result<Wrapped, Outage> {
        Err(Outage::new(PORT, "not there"))
    }

    fn open(&self, _: &Wrapped, _: &[u8]) -> Result<KeyBytes, Outage> {
        Err(Outage::new(PORT, "not there"))
    }
}

// As version 0.1 did it: the form, the nonce, the text and the tag, with the form as associated data.
fn sealed_by_version_0_1(master: &[u8; 32], text: &[u8]) -> Vec<u8> {
    use aws_lc_rs::aead::{AES_256_GCM, Aad, RandomizedNonceKey};
    let key = RandomizedNonceKey::new(&AES_256_GCM, &hmac_sha256(master, b"qaqpa sealing key 1")).unwrap();
    let mut body = text.to_vec();
    let nonce = key.seal_in_place_append_tag(Aad::from([1_u8]), &mut body).unwrap();
    [&[1_u8], nonce.as_ref().as_slice(), &body].concat()
}
