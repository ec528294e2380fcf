//! Secrets of a configuration: whatever is wrong with one or with what it opens, nobody reads it in what is told.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use gateway::unready::AssemblyError;
use scenarios::actors::Session;
use scenarios::actors::app::fresh;
use scenarios::actors::bank::{self, payment_with};
use scenarios::world::{Kind, Setup, World};

use crate::erasure::{files, forms};

/// What every secret of these scenarios holds.
const CANARY: &str = "canary-4711";

/// The same as the bytes of a key in base64 that is one byte short.
const SHORT_KEY: &str = "Y2FuYXJ5LTQ3MTEtY2FuYXJ5LTQ3MTEtY2FuYXJ5LQ==";

fn write(state: &Path, name: &str, text: &str) {
    let place = state.join(name);
    fs::write(&place, text).unwrap();
    fs::set_permissions(&place, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Writes the secrets that the configurations below refer to.
fn secrets(state: &Path) {
    write(state, "canary", CANARY);
    write(state, "long", &CANARY.repeat(10));
    write(state, "short-key", SHORT_KEY);
    write(state, "database", &format!("postgres://gateway:{CANARY}@127.0.0.1:1/bank"));
    write(state, "no-database", &format!("postgres://gateway:{CANARY}@127.0.0.1:port/bank?{CANARY}={CANARY}"));
    write(state, "readable", CANARY);
    fs::set_permissions(state.join("readable"), fs::Permissions::from_mode(0o644)).unwrap();
}

/// Tries to start with these lines, which refer to secrets in `STATE`; gives what the operator reads: at once, or in the
/// log where a store is only asked for later.
async fn refusal(lines: &str) -> String {
    // A path in the file is relative to it, and a secret's is not.
    let state = scenarios::world::Folder::new();
    secrets(state.path());
    let lines = lines.replace("STATE", &state.path().display().to_string());
    match World::attempt(Kind::Memory, Setup::configured(&lines)).await {
        Err(AssemblyError::Configuration(text) | AssemblyError::Machine(text)) => text,
        Ok(world) => {
            let outage = world.assembled().house.durable.probe().await.unwrap_err();
            format!("{outage} {outage:?} {:?} {:?}", world.config(), world.assembled().house)
        }
    }
}

#[tokio::test]
async fn a_secret_that_cannot_be_used_is_not_told() {
    let token = |module: &str, pin: &str| {
        format!("keys: {{pkcs11: {{module: {module}, token: vault, key: wrapping, pin: {pin}}}}}\n")
    };
    let cases = [
        ("keys: {wrap: secret:file:STATE/canary}\n".to_owned(), "32 bytes in base64"),
        ("keys: {wrap: secret:file:STATE/short-key}\n".to_owned(), "32 bytes in base64"),
        ("keys: {wrap: secret:file:STATE/readable}\n".to_owned(), "can be read by others"),
        ("keys: {wrap: secret:file:STATE/missing}\n".to_owned(), "STATE/missing"),
        ("keys: {wrap: secret:env:QAQPA_NO_SUCH_VARIABLE}\n".to_owned(), "QAQPA_NO_SUCH_VARIABLE"),
        (format!("keys: {{wrap: {CANARY}}}\n"), "not a reference to a secret"),
        (token("/nowhere/module.so", "secret:file:STATE/canary"), "cannot be loaded"),
        (token("/nowhere/module.so", CANARY), "not a reference to a secret"),
        ("stores: {postgres: {url: secret:file:STATE/database}}\n".to_owned(), ""),
        ("stores: {postgres: {url: secret:file:STATE/no-database}}\n".to_owned(), ""),
        ("stores: {postgres: {url: secret:file:STATE/canary}}\n".to_owned(), ""),
        (format!("stores: {{postgres: {{url: 'postgres://gateway:{CANARY}@127.0.0.1:1/bank'}}}}\n"), "not a reference"),
        (format!("stores: {{redis: {{nodes: 'redis://:{CANARY}@127.0.0.1:1'}}}}\n"), ""),
    ];
    for (lines, said) in cases {
        let told = refusal(&lines).await;
        assert!(!told.is_empty() && told.contains(said.trim_start_matches("STATE")), "{lines}: {told}");
        for shown in [CANARY, SHORT_KEY, "canary-4711-canary"] {
            assert!(!told.contains(shown), "{lines}: {told}");
        }
    }
}

#[tokio::test]
async fn what_was_read_and_assembled_shows_no_secret() {
    let state = scenarios::world::Folder::new();
    write(state.path(), "key", "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=\n");
    let lines = format!("keys: {{wrap: 'secret:file:{}/key'}}\n", state.path().display());
    let world = World::with(Kind::Memory, Setup::configured(&lines)).await;
    let shown = format!("{:?} {:?} {:?}", world.config(), world.assembled(), world.assembled().house);
    let webhook = fs::read_to_string(world.file("keys/webhook-secret")).unwrap();
    let token = fs::read_to_string(world.tells()["admins"][0]["token_file"].as_str().unwrap()).unwrap();
    for secret in ["CQkJCQkJCQkJ", "[9, 9, 9, 9", webhook.trim(), token.trim()] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[tokio::test]
async fn what_a_client_sent_and_was_answered_rests_sealed() {
    let world = World::start(Kind::Memory).await;
    let app = Session::of(&world, "demo-app").await;
    let (key, wanted) = (fresh("order"), payment_with("1.00", "canary in the remittance"));
    let paid = app.pay(&key, &wanted).await;
    assert!(paid.succeeded(201).text().contains(bank::iban(1)), "nothing would be found: {}", paid.text());
    assert_eq!(app.pay(&key, &wanted).await.succeeded(201).body, paid.body);
    let rest = world.stop().await;
    for text in [bank::iban(1), bank::iban(2), "Bolat Sandbaev", "canary in the remittance"] {
        for file in files(rest.state()) {
            let bytes = fs::read(&file).unwrap();
            let found = |form: &Vec<u8>| bytes.windows(form.len()).any(|window| window == form.as_slice());
            assert!(!forms(text.as_bytes()).iter().any(found), "{text} is in {}", file.display());
        }
    }
    // The key to it is the data key of this state alone: the same repetition goes on finding its answer.
    let world = World::again(rest, Setup::default()).await.unwrap();
    let app = Session::of(&world, "demo-app").await;
    assert_eq!(app.pay(&key, &wanted).await.succeeded(201).body, paid.body);
}

#[tokio::test]
async fn the_wrapping_key_of_the_configuration_is_the_only_one_that_opens() {
    let state = scenarios::world::Folder::new();
    write(state.path(), "key", "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=\n");
    write(state.path(), "other", "CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg=\n");
    let lines =
        |name: &str| Setup::configured(&format!("keys: {{wrap: 'secret:file:{}/{name}'}}\n", state.path().display()));
    let world = World::with(Kind::Memory, lines("key")).await;
    assert!(world.file("keys/data.key").exists() && !world.file("keys/wrapping.key").exists());
    let rest = world.stop().await;
    let (error, rest) = World::again(rest, lines("other")).await.unwrap_err();
    assert!(error.to_string().contains("data.key") && error.to_string().contains("wrapped under"), "{error}");
    let (error, rest) = World::again(rest, Setup::default()).await.unwrap_err();
    assert!(error.to_string().contains("wrapping.key is missing"), "{error}");
    drop(World::again(rest, lines("key")).await.unwrap());
}
