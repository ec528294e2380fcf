//! A person is erased: who may do it, what becomes unreadable, and what still proves itself.

use std::path::{Path, PathBuf};

use adapters::audit;
use adapters::keys::{Opened, Subjects, record_purpose};
use adapters::store::port::SubjectKey;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use policies::id::InteractionId;
use policies::secret::Secret;
use rusqlite::{Connection, OpenFlags};
use scenarios::actors::app::fresh;
use scenarios::actors::bank::{self, payment};
use scenarios::actors::key::sha256;
use scenarios::actors::provider::decided;
use scenarios::actors::{Administrator, Citizen, Session};
use scenarios::world::{Answer, Ask, Kind, Setup, World};
use serde_json::{Value, json};
use spine::stage::Door;

use crate::pages::{ACCESS, play};
use crate::stepup::{challenged, verified, with_result};

store_scenarios! {
    only_an_eraser_erases,
    what_is_no_person_or_no_reason_is_refused_and_not_told,
    nobody_is_erased_twice,
    an_erased_person_pays_with_no_earlier_result,
    what_was_sealed_for_an_erased_person_is_opened_nowhere,
    an_erased_person_may_come_again,
    without_a_trail_nobody_is_erased,
    what_an_erased_person_has_granted_is_worth_nothing,
}

fn erasure(iin: &str, reason: &str) -> Ask {
    Ask::post("/admin/erasures").json(&json!({"subject": {"type": "iin", "value": iin}, "reason": reason}))
}

/// Erases a person and gives the receipt.
async fn erased(world: &World, iin: &str) -> String {
    let eraser = Administrator::of(world, "saule");
    let answer = world.send(eraser.dress(erasure(iin, "request"))).await;
    assert_eq!(answer.succeeded(200).json()["erased"], true, "{}", answer.text());
    answer.at("/receipt")
}

/// Has a person verified for nothing in particular.
async fn known(app: &Session<'_>, iin: &str) -> Answer {
    let body = json!({
        "subject": {"type": "iin", "value": iin}, "purpose": "loan", "level": "L2", "binding": {"kind": "none"},
    });
    let started = app.post("/v1/identity-verifications", &fresh("verification"), &body).await;
    started.succeeded(201);
    decided(app.world, &started).await;
    started
}

/// Gives the key of a person: the one that is there, or a new one.
async fn key(world: &World, iin: &str) -> SubjectKey {
    let house = &world.assembled().house;
    let subjects = Subjects::new(&house.sealer, &*house.subject_keys);
    subjects.key(&Secret::new(iin.to_owned()), world.now()).await.unwrap()
}

/// Opens what a record says of a person.
async fn opened(world: &World, record: &Value) -> Option<String> {
    let house = &world.assembled().house;
    let personal = &record["personal"];
    let sealed = URL_SAFE_NO_PAD.decode(personal["sealed"].as_str().unwrap()).unwrap();
    let interaction = InteractionId::parse(record["interaction"].as_str().unwrap()).unwrap();
    let subjects = Subjects::new(&house.sealer, &*house.subject_keys);
    match subjects.open(&record_purpose(&interaction), &sealed).await.unwrap() {
        Opened::Text(text, _) => Some(String::from_utf8(text.expose().clone()).unwrap()),
        Opened::Erased => None,
    }
}

/// Gives the records of an interaction, oldest first, once its outcome is among them.
async fn records(world: &World, answer: &Answer) -> Vec<Value> {
    let there = async {
        loop {
            let mut records = world.audit().await;
            records.retain(|record| record["interaction"] == answer.named());
            if records.iter().any(|record| record["kind"] == "outcome") {
                return records;
            }
        }
    };
    tokio::time::timeout(scenarios::world::PATIENCE, there).await.unwrap()
}

async fn only_an_eraser_erases(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-bank-app").await;
    known(&app, bank::iin(1)).await;
    let before = key(&world, bank::iin(1)).await;
    world.send(erasure(bank::iin(1), "request").at(Door::Admin)).await.refused(401, "client_unauthenticated");
    for id in ["aigerim", "daniyar"] {
        let other = Administrator::of(&world, id);
        world.send(other.dress(erasure(bank::iin(1), "request"))).await.refused(403, "administrator_refused");
    }
    let eraser = Administrator::of(&world, "saule");
    eraser.get(&world, "/admin/audit/records").await.refused(403, "administrator_refused");
    world.send(eraser.dress(erasure(bank::iin(1), "request")).at(Door::Api)).await.refused(404, "unknown_path");
    assert_eq!(key(&world, bank::iin(1)).await, before);
    assert_eq!(erased(&world, bank::iin(1)).await, URL_SAFE_NO_PAD.encode(before.id));
}

async fn what_is_no_person_or_no_reason_is_refused_and_not_told(kind: Kind) {
    let world = World::start(kind).await;
    let eraser = Administrator::of(&world, "saule");
    let wrong = world.send(eraser.dress(erasure("810202200108", "request"))).await;
    wrong.refused(422, "identifier_invalid");
    assert_eq!(wrong.at("/errors/0/pointer"), "/subject/value");
    let free_text = world.send(eraser.dress(erasure(bank::iin(1), "Aisulu Sandbaeva asked"))).await;
    free_text.refused(400, "schema_violation");
    let further = json!({"subject": {"type": "iin", "value": bank::iin(1), "name": "Aisulu"}, "reason": "request"});
    let further = world.send(eraser.dress(Ask::post("/admin/erasures").json(&further))).await;
    further.refused(400, "schema_violation");
    let told = wrong.text() + &free_text.text() + &further.text() + &json!(world.audit().await).to_string();
    for shown in ["810202200108", bank::iin(1), "Aisulu"] {
        assert!(!told.contains(shown), "{shown}: {told}");
    }
}

async fn nobody_is_erased_twice(kind: Kind) {
    let world = World::start(kind).await;
    let eraser = Administrator::of(&world, "saule");
    let nobody = world.send(eraser.dress(erasure(bank::iin(1), "order"))).await;
    assert_eq!(nobody.succeeded(200).json()["erased"], false);
    assert_eq!(nobody.json().get("receipt"), None);
    let app = Session::of(&world, "demo-bank-app").await;
    known(&app, bank::iin(1)).await;
    erased(&world, bank::iin(1)).await;
    let again = world.send(eraser.dress(erasure(bank::iin(1), "order"))).await;
    assert_eq!(again.succeeded(200).json()["erased"], false);
}

async fn an_erased_person_pays_with_no_earlier_result(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    let (order, wanted) = (fresh("order"), payment("300000.00"));
    let challenge = challenged(&app, &order, &wanted).await;
    let result = verified(&app, &challenge, bank::iin(1)).await;
    let (other_order, other_wanted) = (fresh("order"), payment("300001.00"));
    let other_challenge = challenged(&app, &other_order, &other_wanted).await;
    let others = verified(&app, &other_challenge, bank::iin(2)).await;
    erased(&world, bank::iin(1)).await;
    with_result(&app, &order, &wanted, &result).await.refused(403, "verification_failed");
    assert_eq!(bank::balance(&world, 1).await, before);
    // Another person is still known: it is the bank that finds they do not own the account.
    let theirs = with_result(&app, &other_order, &other_wanted, &others).await;
    assert_eq!(theirs.at("/type"), "urn:qaqpa:problem:payer_mismatch");
}

async fn what_was_sealed_for_an_erased_person_is_opened_nowhere(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let (order, wanted) = (fresh("order"), payment("300000.00"));
    let challenge = challenged(&app, &order, &wanted).await;
    let result = verified(&app, &challenge, bank::iin(1)).await;
    let paid = with_result(&app, &order, &wanted, &result).await;
    paid.succeeded(201);
    let bank_app = Session::of(&world, "demo-bank-app").await;
    let other = known(&bank_app, bank::iin(2)).await;
    // Both the intent and the outcome of the payment name the payer, each sealed.
    let told = records(&world, &paid).await;
    let number = json!({"iin": bank::iin(1)}).to_string();
    assert_eq!(told.len(), 2);
    for record in &told {
        assert_eq!(opened(&world, record).await, Some(number.clone()));
    }
    let sealed_key = key(&world, bank::iin(1)).await;
    let receipt = erased(&world, bank::iin(1)).await;
    for record in &told {
        assert_eq!(opened(&world, record).await, None);
    }
    assert_eq!(world.assembled().house.subject_keys.find(sealed_key.id).await.unwrap(), None);
    // The erasure itself names the key and who destroyed it, and nobody else.
    let all = world.audit().await;
    let last = all.iter().rfind(|record| record["operation"] == "eraseSubject").unwrap();
    assert_eq!(
        (&last["kind"], &last["administrator"], &last["reference"]),
        (&json!("outcome"), &json!("saule"), &json!(receipt))
    );
    assert_eq!(last.get("personal").filter(|personal| !personal.is_null()), None);
    assert!(last["steps"].as_array().unwrap().iter().any(|step| step["decision"] == "request"), "{last}");
    // Others are as they were.
    let theirs = records(&world, &other).await;
    let seen = theirs.iter().rfind(|record| record["kind"] == "outcome").unwrap();
    assert_eq!(opened(&world, seen).await, Some(json!({"iin": bank::iin(2)}).to_string()));
    assert!(audit::verify(&world.file("audit")).is_ok());
    rests_nowhere(world.state(), &sealed_key);
    let rest = world.stop().await;
    assert!(audit::verify(&rest.state().join("audit")).is_ok());
    rests_nowhere(rest.state(), &sealed_key);
}

async fn an_erased_person_may_come_again(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let (order, wanted) = (fresh("order"), payment("300000.00"));
    let challenge = challenged(&app, &order, &wanted).await;
    verified(&app, &challenge, bank::iin(1)).await;
    let first = key(&world, bank::iin(1)).await;
    erased(&world, bank::iin(1)).await;
    let result = verified(&app, &challenge, bank::iin(1)).await;
    with_result(&app, &order, &wanted, &result).await.succeeded(201);
    let second = key(&world, bank::iin(1)).await;
    assert!(second.id != first.id && second.wrapped != first.wrapped);
}

async fn what_an_erased_person_has_granted_is_worth_nothing(kind: Kind) {
    let play = play(kind).await;
    let sent = Citizen(1).approve(&play.world, "citizen-app", &play.pushed).await;
    let granted = play.app.redeem(&play.world, &sent.code(), &play.pkce).await.succeeded(200).json();
    let app = play.app.copy().with_token(&play.world, granted["access_token"].as_str().unwrap());
    let eraser = Administrator::of(&play.world, "saule");
    // Nothing happens to what others have granted.
    let other = play.world.send(eraser.dress(erasure(bank::iin(2), "request"))).await;
    assert_eq!(other.succeeded(200).json()["consentsEnded"], 0);
    app.get("/v1/accounts").await.succeeded(200);
    let receipt = play.world.send(eraser.dress(erasure(bank::iin(1), "request"))).await;
    let told = receipt.succeeded(200).json();
    assert_eq!((&told["erased"], &told["consentsEnded"]), (&json!(true), &json!(1)));
    app.get("/v1/accounts").await.refused(401, "token_invalid");
    let refresh = granted["refresh_token"].as_str().unwrap();
    play.app.refresh(&play.world, refresh).await.oauth_refused(400, "invalid_grant");
    assert_eq!(play.state(ACCESS).await, "revoked");
    let again = play.world.send(eraser.dress(erasure(bank::iin(1), "request"))).await;
    assert_eq!(again.succeeded(200).json()["consentsEnded"], 0);
}

async fn without_a_trail_nobody_is_erased(kind: Kind) {
    // Something stands where the first segment of the trail is written: nothing can be.
    let first = World::start(kind).await;
    // A database is brought up to date at the first contact; a stop in the middle of that is another story.
    key(&first, bank::iin(1)).await;
    let rest = first.stop().await;
    let trail = rest.state().join("audit");
    std::fs::remove_dir_all(&trail).unwrap();
    let in_the_way = trail.join("audit-000001.seg.new");
    std::fs::create_dir_all(&in_the_way).unwrap();
    let world = World::again(rest, Setup::default()).await.map_err(|(error, _)| error).unwrap();
    let before = key(&world, bank::iin(1)).await;
    let eraser = Administrator::of(&world, "saule");
    let refused = world.send(eraser.dress(erasure(bank::iin(1), "request"))).await;
    refused.refused(503, "dependency_down");
    assert_eq!(refused.json().get("receipt"), None);
    assert_eq!(world.assembled().house.subject_keys.find(before.id).await.unwrap(), Some(before.clone()));
    // When it can be written down again who does it and why, it is done, and both are there.
    std::fs::remove_dir(world.file("audit").join("audit-000001.seg.new")).unwrap();
    let receipt = erased(&world, bank::iin(1)).await;
    assert_eq!(receipt, URL_SAFE_NO_PAD.encode(before.id));
    assert_eq!(world.assembled().house.subject_keys.find(before.id).await.unwrap(), None);
    let all = world.audit().await;
    let own: Vec<_> = all.iter().filter(|record| record["operation"] == "eraseSubject").collect();
    assert!(own.iter().any(|record| record["kind"] == "intent" && record["administrator"] == "saule"), "{own:?}");
    assert_eq!(own.last().unwrap()["reference"], receipt);
}

#[tokio::test]
async fn a_backup_under_way_takes_no_receipt_away() {
    let world = World::start(Kind::Memory).await;
    let before = key(&world, bank::iin(1)).await;
    let reader = Connection::open_with_flags(world.file("qaqpa.sqlite"), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM subject_keys;").unwrap();
    assert_eq!(erased(&world, bank::iin(1)).await, URL_SAFE_NO_PAD.encode(before.id));
    drop(reader);
    let all = world.audit().await;
    let last = all.iter().rfind(|record| record["operation"] == "eraseSubject").unwrap();
    assert_eq!(last["reference"], URL_SAFE_NO_PAD.encode(before.id));
    let rest = world.stop().await;
    rests_nowhere(rest.state(), &before);
}

/// Looks for the person's number and for their destroyed key in every file, as they are and in the forms that files have.
fn rests_nowhere(state: &Path, key: &SubjectKey) {
    let number = bank::iin(1);
    let mut sought = vec![("the number's hash", sha256(number.as_bytes()).to_vec())];
    sought.extend(forms(number.as_bytes()).into_iter().map(|form| ("the number", form)));
    sought.extend(forms(&key.wrapped).into_iter().map(|form| ("the key", form)));
    for file in files(state) {
        let bytes = std::fs::read(&file).unwrap();
        for (what, form) in &sought {
            let found = bytes.windows(form.len()).any(|window| window == form.as_slice());
            assert!(!found, "{what} is in {}", file.display());
        }
    }
}

/// Every file of ours below a state folder; the bank and its customers are the other side of the wire.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let theirs = path.file_name().is_some_and(|name| name == "sandbox.json" || name == "bank");
        if theirs {
            continue;
        }
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// The bytes, in hexadecimal of both cases, and in base64 at each of the three places they may begin at.
pub fn forms(bytes: &[u8]) -> Vec<Vec<u8>> {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![bytes.to_vec(), hex.to_uppercase().into_bytes(), hex.into_bytes()];
    for ahead in 0..3_usize {
        let shifted = [vec![0; ahead], bytes.to_vec()].concat();
        // What stands beside the bytes changes the first and the last letters: they are left out.
        let whole = (shifted.len() / 3) * 4;
        let from = if ahead == 0 { 0 } else { 4 };
        for text in [STANDARD_NO_PAD.encode(&shifted), URL_SAFE_NO_PAD.encode(&shifted)] {
            forms.push(text.as_bytes().get(from..whole).unwrap().to_vec());
        }
    }
    forms
}
