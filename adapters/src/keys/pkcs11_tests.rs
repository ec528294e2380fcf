#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::files::private_directory;
use crate::files::testing::Scratch;
use crate::keys::{Sealer, WrapSource, open_wrapping};

// Where Debian and its architectures put the module.
const MODULES: [&str; 3] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
];

const PIN: &str = "canary-pin-4711";

// Tells a child which folder its token is in.
const FOLDER: &str = "QAQPA_TEST_TOKEN_FOLDER";

fn module() -> PathBuf {
    let found = MODULES.into_iter().map(PathBuf::from).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("no SoftHSM here, against which this is tested: apt-get install softhsm2"))
}

/// Makes a token and runs the rest of `test` as a process of its own: SoftHSM finds its tokens by the environment, which
/// is one for all tests of a process.
fn in_a_process_with_a_token(test: &str, deed: impl FnOnce(&Path)) {
    if let Ok(folder) = std::env::var(FOLDER) {
        return deed(Path::new(&folder));
    }
    module();
    let scratch = Scratch::new();
    private_directory(&scratch.0).unwrap();
    fs::create_dir(scratch.0.join("tokens")).unwrap();
    let place = scratch.0.join("softhsm2.conf");
    let tokens = scratch.0.join("tokens");
    fs::write(&place, format!("directories.tokendir = {}\nobjectstore.backend = file\n", tokens.display())).unwrap();
    softhsm(&place, &["--init-token", "--free", "--label", "vault", "--so-pin", "so-pin-0000", "--pin", PIN]);
    for (label, bytes) in [("wrapping", 32), ("short", 16), ("twice", 32), ("twice", 32)] {
        let file = scratch.0.join("key");
        // softhsm2-util reads a key up to its first line end: letters have none.
        let key = [entropy::token_128bit(), entropy::token_128bit()].concat();
        fs::write(&file, key.get(..bytes).unwrap()).unwrap();
        let id = format!("{:02x}", entropy::random::<1>().first().unwrap());
        let file = file.to_str().unwrap();
        let import = ["--import", file, "--aes", "--token", "vault", "--label", label, "--id", &id, "--force"];
        softhsm(&place, &[import.as_slice(), &["--pin", PIN]].concat());
    }
    let name = format!("{}::{test}", module_path!().split_once("::").unwrap().1);
    let child = Command::new(std::env::current_exe().unwrap())
        .args([name.as_str(), "--exact", "--nocapture"])
        .env("SOFTHSM2_CONF", &place)
        .env(FOLDER, &scratch.0)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&child.stdout).into_owned() + &String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success() && told.contains("1 passed"), "{told}");
}

fn softhsm(configuration: &Path, arguments: &[&str]) {
    let done = Command::new("softhsm2-util").args(arguments).env("SOFTHSM2_CONF", configuration).output();
    let done = done.unwrap_or_else(|error| panic!("softhsm2-util: {error}; apt-get install softhsm2"));
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

fn vault() -> TokenKey {
    let pin = Secret::new(PIN.as_bytes().to_vec());
    TokenKey { module: module(), token: "vault".to_owned(), key: "wrapping".to_owned(), pin }
}

fn refused(key: TokenKey) -> String {
    let debug = format!("{key:?}");
    let outage = TokenWrapping::new(key).wrap(&Secret::new([7; 32]), b"test").unwrap_err();
    let told = format!("{outage} {outage:?} {debug}");
    assert!(!told.contains("canary"), "{told}");
    told
}

#[test]
fn what_is_wrong_with_a_token_is_told_without_the_pin() {
    in_a_process_with_a_token("what_is_wrong_with_a_token_is_told_without_the_pin", |folder| {
        let named = |text: &str| text.to_owned();
        assert!(refused(TokenKey { key: named("missing"), ..vault() }).contains("no AES key of this label"));
        assert!(refused(TokenKey { key: named("short"), ..vault() }).contains("not of 256 bits"));
        assert!(refused(TokenKey { key: named("twice"), ..vault() }).contains("more than one AES key"));
        assert!(refused(TokenKey { token: named("missing"), ..vault() }).contains("no token of this label"));
        let absent = refused(TokenKey { module: folder.join("missing.so"), ..vault() });
        assert!(absent.contains("missing.so cannot be loaded"), "{absent}");
        fs::write(folder.join("text.so"), "no library").unwrap();
        assert!(refused(TokenKey { module: folder.join("text.so"), ..vault() }).contains("cannot be loaded"));
        for pin in ["canary-pin-4712", "canary", "canary-pin-4711 ", "canary-\0-pin"] {
            let wrong = TokenKey { pin: Secret::new(pin.as_bytes().to_vec()), ..vault() };
            let told = refused(wrong);
            assert!(told.contains("vault") && told.contains("PIN") || told.contains("nul byte"), "{told}");
        }
        let no_text = refused(TokenKey { pin: Secret::new(vec![0xff; 8]), ..vault() });
        assert!(no_text.contains("the PIN is not text"), "{no_text}");
        // After all this the right one is let in: nothing was left behind.
        let wrapped = TokenWrapping::new(vault()).wrap(&Secret::new([7; 32]), b"test").unwrap();
        fs::remove_dir_all(folder.join("tokens")).unwrap();
        fs::create_dir(folder.join("tokens")).unwrap();
        let gone = TokenWrapping::new(vault()).open(&wrapped, b"test").unwrap_err().to_string();
        assert!(gone.contains("no token of this label"), "{gone}");
    });
}

#[test]
fn a_key_in_a_token_wraps_the_data_key_and_opens_it_again() {
    in_a_process_with_a_token("a_key_in_a_token_wraps_the_data_key_and_opens_it_again", |folder| {
        let wrapping = TokenWrapping::new(vault());
        let key = Secret::new(entropy::random::<32>());
        let wrapped = wrapping.wrap(&key, b"test").unwrap();
        assert!(wrapping.open(&wrapped, b"another purpose").is_err());
        for index in 0..wrapped.ciphertext.len() {
            let mut changed = wrapped.clone();
            *changed.ciphertext.get_mut(index).unwrap() ^= 1;
            assert!(wrapping.open(&changed, b"test").is_err(), "byte {index}");
        }
        assert_eq!(wrapping.open(&wrapped, b"test").unwrap().expose(), key.expose());
        assert_ne!(wrapping.wrap(&key, b"test").unwrap(), wrapped);
        let directory = folder.join("keys");
        let source = WrapSource::Token(vault());
        let load = || Sealer::load_or_create(&directory, &*open_wrapping(&directory, &source).unwrap());
        let sealed = load().unwrap().seal(b"840101300123");
        assert_eq!(load().unwrap().open(&sealed).unwrap().expose(), b"840101300123");
        let rests = fs::read_to_string(directory.join("data.key")).unwrap();
        assert!(rests.contains("\"pkcs11\"") && rests.contains("\"vault/wrapping\"") && !rests.contains("canary"));
        assert!(!directory.join("wrapping.key").exists());
        // A key of this process does not stand in for it.
        let other = WrapSource::Given(Secret::new(STANDARD.encode([7; 32]).into_bytes()));
        let told = Sealer::load_or_create(&directory, &*open_wrapping(&directory, &other).unwrap()).unwrap_err();
        assert!(told.to_string().contains("pkcs11 vault/wrapping"), "{told}");
    });
}

/// Makes a key in the token that gives itself away in some way, or in none.
fn made(label: &str, sensitive: bool, extractable: bool) {
    let place = Place(vault());
    let _alone = EXCHANGE.lock();
    let module = Pkcs11::new(module()).unwrap();
    module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
    let session = module.open_rw_session(place.slot(&module).unwrap()).unwrap();
    session.login(UserType::User, Some(&AuthPin::new(PIN.into()))).unwrap();
    let key = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Label(label.as_bytes().to_vec()),
        Attribute::Token(true),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
        Attribute::Sensitive(sensitive),
        Attribute::Extractable(extractable),
        Attribute::Value(entropy::random::<32>().to_vec()),
    ];
    session.create_object(&key).unwrap();
    drop(session);
    module.finalize().unwrap();
}

#[test]
fn a_key_that_the_token_would_give_out_is_refused() {
    in_a_process_with_a_token("a_key_that_the_token_would_give_out_is_refused", |_| {
        let keys = [("open", false, true), ("read", false, false), ("taken", true, true), ("kept", true, false)];
        for (label, sensitive, extractable) in keys {
            made(label, sensitive, extractable);
            let key = TokenKey { key: label.to_owned(), ..vault() };
            if label == "kept" {
                assert!(TokenWrapping::new(key).wrap(&Secret::new([7; 32]), b"test").is_ok());
            } else {
                let told = refused(key);
                assert!(told.contains(if sensitive { "CKA_EXTRACTABLE" } else { "CKA_SENSITIVE" }), "{told}");
            }
        }
    });
}

#[test]
fn the_nonce_that_a_token_drew_itself_is_kept() {
    let own = |mut parameters: GcmParams<'_>| {
        parameters.iv().fill(9);
        Ok(vec![1, 2, 3])
    };
    assert_eq!(encrypted(b"test", own).unwrap(), Wrapped { nonce: [9; NONCE_LEN], ciphertext: vec![1, 2, 3] });
    let ours = || encrypted(b"test", |_| Ok(vec![])).unwrap().nonce;
    assert_ne!(ours(), ours());
}

#[test]
fn exchanges_at_once_do_not_end_one_another() {
    in_a_process_with_a_token("exchanges_at_once_do_not_end_one_another", |_| {
        let exchanges: Vec<_> = (0..8_u8)
            .map(|byte| {
                thread::spawn(move || {
                    let wrapping = TokenWrapping::new(vault());
                    let wrapped = wrapping.wrap(&Secret::new([byte; 32]), b"test").unwrap();
                    assert_eq!(wrapping.open(&wrapped, b"test").unwrap().expose(), &[byte; 32]);
                })
            })
            .collect();
        let ended: Vec<bool> = exchanges.into_iter().map(|exchange| exchange.join().is_ok()).collect();
        assert!(ended.into_iter().all(|fine| fine));
    });
}

#[test]
fn a_module_that_does_not_answer_is_given_up() {
    in_a_process_with_a_token("a_module_that_does_not_answer_is_given_up", |folder| {
        // A module that reads its configuration from a pipe nobody writes to waits as one does whose machine is away.
        let place = folder.join("softhsm2.conf");
        fs::remove_file(&place).unwrap();
        assert!(Command::new("mkfifo").arg(&place).status().unwrap().success());
        let mut stuck = TokenWrapping::new(vault());
        stuck.patience = Duration::from_millis(50);
        let told = stuck.wrap(&Secret::new([7; 32]), b"test").unwrap_err().to_string();
        assert!(told.contains("no answer"), "{told}");
        drop(fs::OpenOptions::new().write(true).open(&place).unwrap());
        // Its thread has to end before the process does.
        drop(EXCHANGE.lock());
    });
}
