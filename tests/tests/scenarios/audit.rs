//! The audit trail: every admitted request leaves one outcome, money calls an intent before, and nothing is told twice.

mod canary;
mod chain;
mod shell;

use std::time::Duration;

use adapters::audit::read::Reader;
use gateway::layer::once::LEASE_MARGIN;
use scenarios::actors::app::fresh;
use scenarios::actors::bank::{self, payment, payment_with};
use scenarios::actors::provider::{Callback, decided};
use scenarios::actors::{Administrator, Session};
use scenarios::world::{Answer, Ask, Kind, PATIENCE, Setup, World};
use serde_json::{Value, json};
use spine::stage::Door;

use crate::payments::booked;

scenarios! {
    an_answered_request_leaves_one_record,
    a_request_without_a_client_leaves_one_too,
    a_callback_is_recorded_with_its_provider,
    a_refusal_names_the_stage_and_the_problem,
    a_payment_has_an_intent_before_its_outcome,
    a_repetition_is_recorded_and_intends_nothing,
    an_intent_is_on_the_disk_before_the_bank_answers,
    a_client_that_goes_away_leaves_an_abandoned_request,
    what_the_guard_sheds_is_counted_and_not_recorded,
    without_a_trail_no_money_moves,
    a_record_tells_what_the_rules_judged,
}

/// The policy of the shipped payments: how long one may take.
const PAYMENT_TIME_MAX: Duration = Duration::from_secs(5);

/// Waits until a request's outcome is in the trail, and gives all its records, oldest first.
async fn recorded(world: &World, interaction: &str) -> Vec<Value> {
    let there = async {
        loop {
            let mut records = world.audit().await;
            records.retain(|record| record["interaction"] == interaction);
            if records.iter().any(|record| record["kind"] == "outcome") {
                return records;
            }
        }
    };
    tokio::time::timeout(PATIENCE, there).await.unwrap_or_else(|_| panic!("no outcome of {interaction}"))
}

/// Gives the one record of an answered request.
async fn outcome(world: &World, answer: &Answer) -> Value {
    let mut records = recorded(world, answer.named()).await;
    assert_eq!(records.len(), 1, "{records:?}");
    records.remove(0)
}

/// Writes what the stages decided in one line; what they let pass by their names alone.
fn steps(record: &Value) -> String {
    let step = |step: &Value| match (step["stage"].as_str().unwrap(), step["decision"].as_str().unwrap()) {
        (stage, "pass") => stage.to_owned(),
        (stage, decision) => format!("{stage}:{decision}"),
    };
    record["steps"].as_array().unwrap().iter().map(step).collect::<Vec<_>>().join(" ")
}

const WHOLE_WAY: &str = "route authenticate meter permit validate once assess deed redact";

async fn an_answered_request_leaves_one_record(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let answer = app.get("/v1/accounts?limit=1").await;
    answer.succeeded(200);
    let record = outcome(&world, &answer).await;
    assert_eq!(steps(&record), "route authenticate meter permit validate assess deed redact");
    let now = world.now().to_string();
    let expected = json!({
        "kind": "outcome", "ending": "answered", "status": 200, "operation": "listAccounts", "client": "demo-app",
        "organisation": "demo-fintech", "generation": 1, "amount": null, "reference": null, "received": now, "at": now,
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&record[name], value, "{name}: {record}");
    }
    // By its number in this process a policy set would not be found again after a restart.
    let generation = std::sync::Arc::clone(world.assembled().stack.load().generation());
    assert_eq!(record["policies"], *generation.bundle.name);
    // What a record may hold, and nothing more: a new member is a decision.
    let mut names: Vec<&str> = record.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    let known = "at client ending generation hash interaction kind limits operation organisation peer \
                 policies previous received roles scopes sequence status steps tokenExpires";
    assert_eq!(names.join(" "), known);
}

async fn a_request_without_a_client_leaves_one_too(kind: Kind) {
    let world = World::start(kind).await;
    let public = world.send(Ask::get("/v1/discovery/status")).await;
    let health = world.send(Ask::get("/livez").at(Door::Admin)).await;
    let admin = Administrator::of(&world, "aigerim").get(&world, "/admin/generation").await;
    let cases =
        [(&public, "getStatus", None), (&health, "getLiveness", None), (&admin, "getGeneration", Some("aigerim"))];
    for (answer, operation, administrator) in cases {
        answer.succeeded(200);
        let record = outcome(&world, answer).await;
        assert_eq!(record["operation"], operation);
        assert_eq!((&record["client"], &record["organisation"]), (&Value::Null, &Value::Null), "{record}");
        assert_eq!(record["administrator"].as_str(), administrator, "{record}");
        assert_eq!(steps(&record), "route authenticate meter permit validate assess deed");
    }
    let strange = world.send(Ask::get("/v1/nowhere")).await;
    strange.refused(404, "unknown_path");
    let record = outcome(&world, &strange).await;
    assert_eq!((&record["operation"], &record["status"]), (&Value::Null, &json!(404)));
    assert_eq!(steps(&record), "route:unknown_path");
}

async fn a_callback_is_recorded_with_its_provider(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let started = app.post("/v1/identity-verifications", &fresh("verification"), &verification()).await;
    started.succeeded(201);
    decided(&world, &started).await;
    let arrived = async {
        loop {
            let mut records = world.audit().await;
            records.retain(|record| record["operation"] == "receiveIdentityCallback");
            if records.len() == 2 {
                return records;
            }
        }
    };
    let records = tokio::time::timeout(PATIENCE, arrived).await.unwrap();
    for (record, (wanted, status)) in records.iter().zip([("intent", Value::Null), ("outcome", json!(204))]) {
        assert_eq!((&record["kind"], &record["status"]), (&json!(wanted), &status));
        assert_eq!((&record["provider"], &record["client"]), (&json!("sandbox-face"), &Value::Null), "{record}");
    }
    let forged = Callback::of(&world, "session", "reference", "match").sign_with(b"somebody else's secret").body("{}");
    let refused = world.send(forged).await;
    refused.refused(401, "signature_invalid");
    let record = outcome(&world, &refused).await;
    assert_eq!((&record["provider"], steps(&record).as_str()), (&Value::Null, "route authenticate:signature_invalid"));
}

fn verification() -> Value {
    json!({"subject": {"type": "iin", "value": bank::iin(1)}, "purpose": "loan", "level": "L2", "binding": {"kind": "none"}})
}

async fn a_refusal_names_the_stage_and_the_problem(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let reader = Session::of(&world, "demo-mtls-app").await;
    let order = |key: &str, body: &Value| Ask::post("/v1/domestic-payments").with("x-idempotency-key", key).json(body);
    let used = fresh("order");
    app.pay(&used, &payment("1.00")).await.succeeded(201);
    let mut broken = payment("1.00");
    broken["debtorAccount"] = json!({"iban": 7});
    let trial = Session::of(&world, "trial-app").await;
    // Its plan has room for five, and one was the token.
    for _ in 0..4 {
        trial.get("/v1/accounts?limit=1").await.succeeded(200);
    }
    let no_key = Ask::post("/v1/domestic-payments").json(&payment("1.00"));
    let cases: [(Answer, u16, &str, Option<&str>); 9] = [
        (world.send(Ask::get("/v1/accounts")).await, 401, "route authenticate:token_missing", None),
        (
            app.send(Ask::get("/v1/accounts").with("dpop", "no.proof.this")).await,
            401,
            "route authenticate:proof_invalid",
            None,
        ),
        (world.send(Ask::get("/v1/accounts").with("x_user", "1")).await, 400, "route:header_refused", None),
        (trial.get("/v1/accounts").await, 429, "route authenticate meter:rate_limited", Some("trial-app")),
        (
            reader.send(order(&fresh("order"), &payment("1.00"))).await,
            403,
            "route authenticate meter permit:insufficient_scope",
            Some("demo-mtls-app"),
        ),
        (
            app.send(order(&fresh("order"), &broken)).await,
            400,
            "route authenticate meter permit validate:schema_violation",
            Some("demo-app"),
        ),
        (
            app.send(no_key).await,
            400,
            "route authenticate meter permit validate:idempotency_key_missing",
            Some("demo-app"),
        ),
        (
            app.send(order(&used, &payment("2.00"))).await,
            422,
            "route authenticate meter permit validate once:idempotency_mismatch",
            Some("demo-app"),
        ),
        (
            app.send(order(&fresh("order"), &payment("250000.01"))).await,
            401,
            "route authenticate meter permit validate once assess:step_up_required",
            Some("demo-app"),
        ),
    ];
    for (answer, status, decided, client) in &cases {
        assert_eq!(answer.status, *status, "{decided}: {}", answer.text());
        let record = outcome(&world, answer).await;
        assert_eq!(steps(&record), *decided);
        assert_eq!((&record["status"], &record["ending"]), (&json!(status), &json!("answered")));
        assert_eq!(record["client"].as_str(), *client, "{decided}");
    }
}

async fn a_payment_has_an_intent_before_its_outcome(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let paid = app.pay(&fresh("order"), &payment("1500.00")).await;
    let id = paid.succeeded(201).at("/paymentId");
    let records = recorded(&world, paid.named()).await;
    let [intent, outcome] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!((&intent["kind"], &outcome["kind"]), (&json!("intent"), &json!("outcome")));
    assert_eq!((&intent["ending"], &outcome["ending"]), (&json!("pending"), &json!("answered")));
    assert_eq!((&intent["status"], &outcome["status"]), (&Value::Null, &json!(201)));
    assert_eq!(steps(intent), "route authenticate meter permit validate once assess");
    assert_eq!(steps(outcome), WHOLE_WAY);
    for record in &records {
        assert_eq!(record["reference"], id);
        assert_eq!((&record["amount"], &record["client"]), (&json!("1500.00 KZT"), &json!("demo-app")));
        assert_eq!((&record["operation"], &record["generation"]), (&json!("createDomesticPayment"), &json!(1)));
    }
    // A lost answer is told as such, and the reference says where the truth is.
    let lost = app.pay(&fresh("order"), &payment_with("1.00", "SBX:lost")).await;
    let id = lost.succeeded(202).at("/paymentId");
    let records = recorded(&world, lost.named()).await;
    assert_eq!(records.last().unwrap()["reference"], id);
    assert_eq!(records.last().unwrap()["status"], 202);
}

async fn a_repetition_is_recorded_and_intends_nothing(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let key = fresh("order");
    app.pay(&key, &payment("1.00")).await.succeeded(201);
    let again = app.pay(&key, &payment("1.00")).await;
    again.succeeded(201);
    let record = outcome(&world, &again).await;
    assert_eq!(steps(&record), "route authenticate meter permit validate once:replay");
    let mut poor = payment("250000.00");
    app.pay(&fresh("order"), &poor).await.succeeded(201);
    // What the bank refuses was intended; what the gate refuses was not.
    let refused = app.pay(&fresh("order"), &poor).await;
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert_eq!(recorded(&world, refused.named()).await.len(), 2);
    poor["instructedAmount"]["amount"] = json!("300000.00");
    let refused = app.pay(&fresh("order"), &poor).await;
    refused.refused(401, "step_up_required");
    assert_eq!(recorded(&world, refused.named()).await.len(), 1);
}

/// Words a request that can be found in the trail before it is answered.
fn slow_order(interaction: &str, key: &str) -> Ask {
    Ask::post("/v1/domestic-payments")
        .with("x-idempotency-key", key)
        .with("x-fapi-interaction-id", interaction)
        .json(&payment_with("1.00", "SBX:delay=20000"))
}

async fn an_intent_is_on_the_disk_before_the_bank_answers(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    let interaction = "019b76da-a800-7000-8000-00000000a001";
    tokio::select! {
        answer = app.send(slow_order(interaction, &fresh("order"))) => panic!("it is answered: {answer:?}"),
        () = booked(&world, before) => {
            // The bank has it, so the file has it: nobody has asked for the queue to be written out.
            let trail = Reader::open(&world.file("audit")).unwrap().from(1).map(|entry| entry.unwrap().to_value().unwrap());
            let own: Vec<Value> = trail.filter(|record| record["interaction"] == interaction).collect();
            let [intent] = own.as_slice() else { panic!("{own:?}") };
            assert_eq!((&intent["kind"], &intent["amount"]), (&json!("intent"), &json!("1.00 KZT")));
            assert!(intent["reference"].is_string(), "{intent}");
        }
    }
}

async fn a_client_that_goes_away_leaves_an_abandoned_request(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    let (interaction, key) = ("019b76da-a800-7000-8000-00000000a002", fresh("order"));
    tokio::select! {
        answer = app.send(slow_order(interaction, &key)) => panic!("it is answered: {answer:?}"),
        () = booked(&world, before) => {}
    }
    let records = recorded(&world, interaction).await;
    let [intent, outcome] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!((&outcome["kind"], &outcome["ending"]), (&json!("outcome"), &json!("abandoned")));
    assert_eq!(outcome["status"], Value::Null);
    assert_eq!(outcome["reference"], intent["reference"]);
    assert_eq!(steps(outcome), "route authenticate meter permit validate once assess");
    // The claim outlives the client: until its lease ends nobody gets in between, then the bank knows the reference.
    let again = payment_with("1.00", "SBX:delay=20000");
    app.pay(&key, &again).await.refused(409, "request_in_progress");
    world.advance(PAYMENT_TIME_MAX + LEASE_MARGIN);
    let place = format!("/v1/domestic-payments/{}", outcome["reference"].as_str().unwrap());
    Session::of(&world, "demo-app").await.get(&place).await.succeeded(200);
    assert_eq!(bank::balance(&world, 1).await, before - 100);
}

async fn what_the_guard_sheds_is_counted_and_not_recorded(kind: Kind) {
    let world = World::with(kind, Setup::configured("limits: {perPeer: {rate: 1/s, burst: 1}}")).await;
    let named = |id: &str| Ask::get("/v1/discovery/status").with("x-fapi-interaction-id", id);
    let (first, shed) = ("019b76da-a800-7000-8000-00000000a003", "019b76da-a800-7000-8000-00000000a004");
    let later = "019b76da-a800-7000-8000-00000000a005";
    world.send(named(first)).await.succeeded(200);
    assert_eq!(world.send(named(shed)).await.refused(429, "rate_limited").named(), shed);
    world.advance(Duration::from_secs(1));
    world.send(named(later)).await.succeeded(200);
    assert_eq!(recorded(&world, first).await.len(), 1);
    assert_eq!(recorded(&world, later).await.len(), 1);
    let records = world.audit().await;
    assert!(records.iter().all(|record| record["interaction"] != shed), "{records:?}");
    assert!((world.metric("qaqpa_shed_total{reason=\"peer\"}") - 1.0).abs() < f64::EPSILON);
    assert!((world.metric("qaqpa_refusals_total{reason=\"rate_limited\"}") - 1.0).abs() < f64::EPSILON);
}

/// Starts a world whose trail cannot be begun: something stands where its first segment is written.
async fn with_a_full_disk(kind: Kind) -> World {
    let rest = World::start(kind).await.stop().await;
    let trail = rest.state().join("audit");
    std::fs::remove_dir_all(&trail).unwrap();
    std::fs::create_dir_all(trail.join(IN_THE_WAY)).unwrap();
    World::again(rest, Setup::default()).await.map_err(|(error, _)| error).unwrap()
}

const IN_THE_WAY: &str = "audit-000001.seg.new";

async fn without_a_trail_no_money_moves(kind: Kind) {
    let world = with_a_full_disk(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    let key = fresh("order");
    app.pay(&key, &payment("1.00")).await.refused(503, "dependency_down");
    assert_eq!(bank::balance(&world, 1).await, before);
    // Nothing was done, so the key is free: it would be in progress otherwise.
    app.pay(&key, &payment("1.00")).await.refused(503, "dependency_down");
    let refused = app.post("/v1/identity-verifications", &fresh("verification"), &verification()).await;
    refused.refused(503, "dependency_down");
    // What moves nothing goes on, and what is lost is counted.
    app.get("/v1/accounts").await.succeeded(200);
    let counted = async {
        while world.metric("qaqpa_audit_lost_total") < 5.0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, counted).await.unwrap();
    assert_eq!(bank::balance(&world, 1).await, before);
    // When there is room again, all goes on, and the trail tells what it has lost.
    std::fs::remove_dir(world.file("audit").join(IN_THE_WAY)).unwrap();
    app.pay(&key, &payment("1.00")).await.succeeded(201);
    let records = world.audit().await;
    assert_eq!(records[0]["kind"], "gap", "{records:?}");
    assert!(records[0]["lost"].as_u64().unwrap() >= 5, "{records:?}");
    assert_eq!(adapters::audit::verify(&world.file("audit")), Ok(records.len() as u64));
    assert_eq!(bank::balance(&world, 1).await, before - 100);
}

async fn a_record_tells_what_the_rules_judged(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let paid = app.pay(&fresh("order"), &payment("1500.00")).await;
    paid.succeeded(201);
    let records = recorded(&world, paid.named()).await;
    let other = app.get("/v1/accounts?limit=1").await;
    let other = outcome(&world, &other).await;
    for record in &records {
        let roles: Vec<&str> = record["roles"].as_array().unwrap().iter().map(|role| role.as_str().unwrap()).collect();
        assert!(roles.contains(&"PISP"), "{record}");
        assert!(record["scopes"].as_str().unwrap().split(' ').any(|scope| scope == "payments:write"), "{record}");
        assert!(record["tokenExpires"].is_string(), "{record}");
    }
    // The time of each stage, since the request was received; in the order of the stack.
    let micros = |record: &Value| -> Vec<u64> {
        record["steps"].as_array().unwrap().iter().map(|step| step["micros"].as_u64().unwrap()).collect()
    };
    assert!(micros(&records[1]).is_sorted() && micros(&records[1]).starts_with(&micros(&records[0])), "{records:?}");
    // One caller's limits can be told from another's, and not read.
    let keys = |record: &Value| -> Vec<(String, String)> {
        let limits = record["limits"].as_array().unwrap().iter();
        let text = |limit: &Value, name: &str| limit[name].as_str().unwrap().to_owned();
        limits.map(|limit| (text(limit, "id"), text(limit, "key"))).collect()
    };
    assert!(!keys(&other).is_empty() && keys(&other).iter().all(|(_, key)| key.len() == 22), "{other}");
    let shared = keys(&other).into_iter().filter(|limit| keys(&records[0]).contains(limit)).count();
    assert!(shared > 0, "{other} {records:?}");
    let trial = Session::of(&world, "trial-app").await;
    let limited = async {
        loop {
            let answer = trial.get("/v1/accounts?limit=1").await;
            if answer.status == 429 {
                return outcome(&world, &answer).await;
            }
        }
    };
    let limited = tokio::time::timeout(PATIENCE, limited).await.unwrap();
    let exhausted = limited["exhausted"].as_str().unwrap();
    assert!(keys(&limited).iter().any(|(id, _)| id == exhausted), "{limited}");
    assert!(keys(&limited).iter().all(|limit| !keys(&other).contains(limit)), "{limited}");
}
