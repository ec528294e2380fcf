//! A state folder of version 0.1 goes on where it was.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use adapters::clock::Clock;
use adapters::entropy;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use policies::jose::digest_of_parts;
use rusqlite::{Connection, params};
use scenarios::actors::Session;
use scenarios::actors::bank::{self, payment};
use scenarios::world::{Kind, Setup, World};

scenarios! {
    a_state_folder_of_version_0_1_goes_on_where_it_was,
}

const ANSWER: &str = r#"{"paymentId":"of-version-0-1","status":"ACSC"}"#;
const VERIFICATION: &str = "01890f3e-0000-7000-8000-000000000002";
const OPEN: &str = "01890f3e-0000-7000-8000-000000000001";

/// Puts what version 0.1 left in place of what a new start would make: a key in the clear, and its database.
fn of_version_0_1(state: &Path) {
    let keys = state.join("keys");
    fs::write(keys.join("sealing.key"), STANDARD.encode(entropy::random::<32>())).unwrap();
    fs::set_permissions(keys.join("sealing.key"), Permissions::from_mode(0o600)).unwrap();
    let database = Connection::open(state.join("qaqpa.sqlite")).unwrap();
    database.execute_batch(include_str!("../../../adapters/src/store/sqlite/version_1.sql")).unwrap();
    let digest = digest_of_parts(&[b"/v1/domestic-payments", b"", &serde_json::to_vec(&payment("7.00")).unwrap()]);
    let now = Clock::system().now().millis();
    let claims = "UPDATE claims SET client = 'demo-app', operation = 'createDomesticPayment', digest = ?1,
        lease_ends = ?2 - 60000, until = ?2 + 86400000";
    database.execute(claims, params![digest, now]).unwrap();
    database.execute("UPDATE claims SET body = ?1 WHERE key = 'answered'", [ANSWER.as_bytes()]).unwrap();
    database.execute("UPDATE claims SET reference = ?1 WHERE key = 'open'", [OPEN]).unwrap();
    let decided = "UPDATE verifications SET client = 'demo-app', state = 'failed', id = ?1 WHERE id = 'v-1'";
    database.execute(decided, [VERIFICATION]).unwrap();
}

async fn a_state_folder_of_version_0_1_goes_on_where_it_was(kind: Kind) {
    let setup = Setup { before: Some(of_version_0_1), own_store: true, ..Setup::default() };
    let world = World::with(kind, setup).await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    let again = app.pay("answered", &payment("7.00")).await;
    assert_eq!(again.succeeded(201).text(), ANSWER);
    assert_eq!(again.header("x-idempotency-replayed"), Some("true"));
    app.pay("answered", &payment("8.00")).await.refused(422, "idempotency_mismatch");
    let place = format!("/v1/identity-verifications/{VERIFICATION}");
    assert_eq!(app.get(&place).await.succeeded(200).at("/status"), "failed");
    assert_eq!(bank::balance(&world, 1).await, before);
    // What was under way when the old gateway ended is done once, under the reference that it had.
    app.pay("open", &payment("8.00")).await.refused(422, "idempotency_mismatch");
    let paid = app.pay("open", &payment("7.00")).await;
    assert_eq!(paid.succeeded(201).at("/paymentId"), OPEN);
    assert_eq!(app.pay("open", &payment("7.00")).await.succeeded(201).body, paid.body);
    assert_eq!(bank::balance(&world, 1).await, before - 700);
    assert!(!world.file("keys/sealing.key").exists(), "the key is wrapped now");
}
