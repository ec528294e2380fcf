//! Limits of every shape, each on both of its sides, and what holds of all of them.

use std::time::Duration;

use scenarios::actors::app::fresh;
use scenarios::actors::bank::{self, payment, payment_with};
use scenarios::actors::{App, Session};
use scenarios::world::{Answer, Ask, Kind, Setup, World};
use serde_json::json;

use crate::fraud::newest;
use crate::payments::booked;

const ACCOUNTS: &str = "policies/national/apis/accounts.yaml";
const PAYMENTS: &str = "policies/national/apis/payments.yaml";
const MINUTE: Duration = Duration::from_secs(60);
const MILLISECOND: Duration = Duration::from_millis(1);

scenarios! {
    a_quota_is_full_until_its_minute_is_over,
    a_quota_that_only_reports_lets_pass_and_is_counted,
    two_organisations_share_no_counter,
    a_refused_call_takes_nothing_of_other_limits,
    calls_under_way_are_counted_until_they_have_ended,
    a_caller_that_hangs_up_gives_its_place_back,
    a_call_costs_what_its_answer_costs,
    a_payment_that_is_repeated_gives_no_tokens,
    a_payment_gives_back_what_its_lookup_took,
    what_is_paid_may_be_asked_for_so_often,
    sessions_are_counted_while_the_customer_is_away,
    a_subject_is_counted_by_its_hash,
    a_provider_without_room_is_not_asked,
}

/// Gives operations limits: what is written at `limits`, and for each operation of accounts and payments which of them.
fn limited(limits: &str, of: &[(&str, &str, &str)]) -> Setup {
    let setup = Setup::default().policy("shapes.yaml", format!("qaqpa: v1\nlimits:\n{limits}"));
    of.iter().fold(setup, |setup, (file, operation, names)| {
        let file: &'static str = if *file == ACCOUNTS { ACCOUNTS } else { PAYMENTS };
        setup.replacing(
            file,
            &format!("      {operation}:\n"),
            format!("      {operation}:\n        limits: {names}\n"),
        )
    })
}

fn balances() -> String {
    format!("/v1/accounts/{}/balances", bank::account(1))
}

fn is_full(answer: &Answer, names: &[&str]) {
    answer.refused(429, "rate_limited");
    assert_eq!(answer.json()["violated-policies"], json!(names));
}

async fn a_quota_is_full_until_its_minute_is_over(kind: Kind) {
    let world =
        World::with(kind, limited("  two: {per: client, quota: 2/minute}\n", &[(ACCOUNTS, "listAccounts", "two")]))
            .await;
    let app = Session::of(&world, "demo-app").await;
    app.get("/v1/accounts").await.succeeded(200);
    app.get("/v1/accounts").await.succeeded(200);
    let refused = app.get("/v1/accounts").await;
    is_full(&refused, &["two:client:2/minute"]);
    let wait = Duration::from_secs(refused.header("retry-after").unwrap().parse().unwrap());
    assert!(wait <= MINUTE, "{wait:?}");
    world.advance(wait - Duration::from_secs(1));
    app.get("/v1/accounts").await.refused(429, "rate_limited");
    world.advance(Duration::from_secs(1));
    app.get("/v1/accounts").await.succeeded(200);
}

async fn a_quota_that_only_reports_lets_pass_and_is_counted(kind: Kind) {
    let limits = "  one: {per: client, quota: 1/hour, mode: report}\n";
    let world = World::with(kind, limited(limits, &[(ACCOUNTS, "listAccounts", "one")])).await;
    let app = Session::of(&world, "demo-app").await;
    app.get("/v1/accounts").await.succeeded(200);
    let passed = app.get("/v1/accounts").await;
    assert!(!format!("{:?}", passed.succeeded(200).header("ratelimit-policy")).contains("one:"));
    assert_eq!(newest(&world, "listAccounts").await["reports"][0]["name"], "one:client:1/hour");
    let count = world.metric("qaqpa_limit_reports_total{limit=\"one:client:1/hour\"}");
    assert!((count - 1.0).abs() < 0.5, "{count}");
}

async fn two_organisations_share_no_counter(kind: Kind) {
    let limits = "  one: {per: organisation, quota: 1/hour}\n";
    let other = App::newcomer("other-app");
    let policy = other.policy("demo-bank", &["accounts:read"], "");
    let setup = limited(limits, &[(ACCOUNTS, "listAccounts", "one")]).policy("other.yaml", policy);
    let world = World::with(kind, setup).await;
    let (one, other) = (Session::of(&world, "demo-app").await, other.session(&world, None).await);
    one.get("/v1/accounts").await.succeeded(200);
    is_full(&one.get("/v1/accounts").await, &["one:organisation:1/hour"]);
    // It lacks the role, which is judged only where there is room.
    other.get("/v1/accounts").await.refused(403, "role_missing");
    is_full(&other.get("/v1/accounts").await, &["one:organisation:1/hour"]);
}

async fn a_refused_call_takes_nothing_of_other_limits(kind: Kind) {
    let limits = "  wide: {per: client, quota: 3/hour}\n  narrow: {per: client, quota: 1/day}\n";
    let of = [(ACCOUNTS, "listAccounts", "[wide, narrow]"), (ACCOUNTS, "getAccountBalances", "wide")];
    let world = World::with(kind, limited(limits, &of)).await;
    let app = Session::of(&world, "demo-app").await;
    app.get("/v1/accounts").await.succeeded(200);
    for _ in 0..3 {
        is_full(&app.get("/v1/accounts").await, &["narrow:client:1/day"]);
    }
    app.get(&balances()).await.succeeded(200);
    app.get(&balances()).await.succeeded(200);
    is_full(&app.get(&balances()).await, &["wide:client:3/hour"]);
    // Both are named now, and who waits has to wait for the longer one.
    is_full(&app.get("/v1/accounts").await, &["wide:client:3/hour", "narrow:client:1/day"]);
    let record = newest(&world, "listAccounts").await;
    assert_eq!(record["exhausted"], "narrow:client:1/day");
    assert_eq!(record["alsoExhausted"], json!(["wide:client:3/hour"]));
}

async fn calls_under_way_are_counted_until_they_have_ended(kind: Kind) {
    let limits = "  alone: {per: client, inFlight: 1}\n";
    let setup = limited(limits, &[(ACCOUNTS, "listAccounts", "alone")]).replacing(
        PAYMENTS,
        "        limits: payments\n",
        "        limits: [payments, alone]\n",
    );
    let world = World::with(kind, setup).await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    let meanwhile = async {
        booked(&world, before).await;
        is_full(&app.get("/v1/accounts").await, &["alone:client:1-in-flight"]);
    };
    let (key, slow) = (fresh("order"), payment_with("1.00", "SBX:delay=700"));
    let (paid, ()) = tokio::join!(app.pay(&key, &slow), meanwhile);
    paid.succeeded(201);
    for _ in 0..3 {
        app.get("/v1/accounts").await.succeeded(200);
    }
}

async fn a_caller_that_hangs_up_gives_its_place_back(kind: Kind) {
    let limits = "  alone: {per: client, inFlight: 1}\n";
    let setup = limited(limits, &[(ACCOUNTS, "listAccounts", "alone")]).replacing(
        PAYMENTS,
        "        limits: payments\n",
        "        limits: [payments, alone]\n",
    );
    let world = World::with(kind, setup).await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    let (key, slow) = (fresh("order"), payment_with("1.00", "SBX:delay=2500"));
    tokio::select! {
        _ = app.pay(&key, &slow) => panic!("it should be under way"),
        () = booked(&world, before) => {}
    }
    // Over a socket it takes a moment until the gateway sees that nobody listens.
    let mut last = app.get("/v1/accounts").await;
    for _ in 0..200 {
        if last.status == 200 {
            break;
        }
        tokio::task::yield_now().await;
        last = app.get("/v1/accounts").await;
    }
    last.succeeded(200);
}

async fn a_call_costs_what_its_answer_costs(kind: Kind) {
    let limits = "  lookups: {per: client, rate: 1/h, burst: 7, cost: {404: 5, otherwise: 1}}\n";
    let world = World::with(kind, limited(limits, &[(ACCOUNTS, "getAccountBalances", "lookups")])).await;
    let app = Session::of(&world, "demo-app").await;
    let unknown = app.get("/v1/accounts/00000000-0000-7000-8000-000000000000/balances").await;
    assert_eq!(unknown.status, 404, "{}", unknown.text());
    app.get(&balances()).await.succeeded(200);
    app.get(&balances()).await.succeeded(200);
    is_full(&app.get(&balances()).await, &["lookups:client:1/h"]);
}

async fn a_payment_that_is_repeated_gives_no_tokens(kind: Kind) {
    let limits = "  both: {per: client, rate: 1/day, burst: 2, cost: {200: 1, 201: -1, otherwise: 1}}\n";
    let of = [(ACCOUNTS, "getAccountBalances", "both"), (ACCOUNTS, "listAccounts", "both")];
    let mut setup = limited(limits, &of);
    setup = setup.replacing(PAYMENTS, "limits: payments", "limits: both".to_owned());
    let world = World::with(kind, setup).await;
    let app = Session::of(&world, "demo-app").await;
    app.get(&balances()).await.succeeded(200);
    let key = fresh("order");
    // The first payment gives the token back that the look has taken; its repetitions give nothing.
    for _ in 0..3 {
        app.pay(&key, &payment("1.00")).await.succeeded(201);
    }
    app.get(&balances()).await.succeeded(200);
    app.pay(&key, &payment("1.00")).await.succeeded(201);
    app.get("/v1/accounts").await.succeeded(200);
    is_full(&app.get(&balances()).await, &["both:client:1/day"]);
}

async fn a_payment_gives_back_what_its_lookup_took(kind: Kind) {
    let credit = "{operation: createDomesticPayment, tokens: 1, by: x-end-to-end-id, within: 24h}";
    let limits = format!("  lookups: {{per: client, rate: 1/day, burst: 1, credit: {credit}}}\n");
    let world = World::with(kind, limited(&limits, &[(ACCOUNTS, "getAccountBalances", "lookups")])).await;
    let app = Session::of(&world, "demo-app").await;
    let look = async |thing: &str| app.send(app.dress(Ask::get(&balances()).with("x-end-to-end-id", thing))).await;
    let pay = async |thing: &str| {
        let ask = Ask::post("/v1/domestic-payments").with("x-idempotency-key", fresh("order"));
        app.send(app.dress(ask.with("x-end-to-end-id", thing).json(&payment("1.00")))).await.succeeded(201);
    };
    look("one").await.succeeded(200);
    look("two").await.refused(429, "rate_limited");
    pay("two").await;
    look("two").await.refused(429, "rate_limited");
    pay("one").await;
    look("two").await.succeeded(200);
    // It is used up.
    pay("one").await;
    look("three").await.refused(429, "rate_limited");
}

async fn what_is_paid_may_be_asked_for_so_often(kind: Kind) {
    let after = "{operation: createDomesticPayment, id: /paymentId}";
    let limits = format!(
        "  asks: {{per: [client, resource], polls: {{after: {after}, first: 90s, gap: 60s, most: 2, within: 2h}}}}\n"
    );
    let setup = Setup::default().policy("shapes.yaml", format!("qaqpa: v1\nlimits:\n{limits}")).replacing(
        PAYMENTS,
        "      getDomesticPayment: {}",
        "      getDomesticPayment: {limits: asks}",
    );
    let world = World::with(kind, setup).await;
    let app = Session::of(&world, "demo-app").await;
    let paid = app.pay(&fresh("order"), &payment("1.00")).await;
    let place = format!("/v1/domestic-payments/{}", paid.succeeded(201).json()["paymentId"].as_str().unwrap());
    world.advance(Duration::from_secs(90) - MILLISECOND);
    app.get(&place).await.refused(429, "rate_limited");
    world.advance(MILLISECOND);
    app.get(&place).await.succeeded(200);
    world.advance(MINUTE - MILLISECOND);
    app.get(&place).await.refused(429, "rate_limited");
    let (folder, id) = place.rsplit_once('/').unwrap();
    app.get(&format!("{folder}/{}", id.to_ascii_uppercase())).await.refused(429, "rate_limited");
    world.advance(MILLISECOND);
    app.get(&place).await.succeeded(200);
    world.advance(MINUTE);
    app.get(&place).await.refused(429, "rate_limited");
}

async fn sessions_are_counted_while_the_customer_is_away(kind: Kind) {
    let sessions = "{perDay: 1, calls: 2, rate: 5, idle: 10m}";
    let limits = format!("  batches: {{per: client, sessions: {sessions}, when: {{attended: false}}}}\n");
    let world = World::with(kind, limited(&limits, &[(ACCOUNTS, "listAccounts", "batches")])).await;
    let app = Session::of(&world, "demo-app").await;
    let attended = async |address: &str| {
        app.send(app.dress(Ask::get("/v1/accounts").with("x-fapi-customer-ip-address", address))).await
    };
    app.get("/v1/accounts").await.succeeded(200);
    attended("nobody").await.succeeded(200);
    app.get("/v1/accounts").await.refused(429, "rate_limited");
    attended("nobody").await.refused(429, "rate_limited");
    attended("198.51.100.7").await.succeeded(200);
}

async fn a_subject_is_counted_by_its_hash(kind: Kind) {
    let limits = "  people: {per: [client, subject], subject: x-payer-id, quota: 1/hour}\n";
    let world = World::with(kind, limited(limits, &[(ACCOUNTS, "listAccounts", "people")])).await;
    let app = Session::of(&world, "demo-app").await;
    let about = async |payer: &str| app.send(app.dress(Ask::get("/v1/accounts").with("x-payer-id", payer))).await;
    about("880101300011").await.succeeded(200);
    about("880101300011").await.refused(429, "rate_limited");
    about("880101300022").await.succeeded(200);
    // A second value would be another counter, and nobody knows which of the two is read next.
    let both = Ask::get("/v1/accounts").with("x-payer-id", "880101300011").with("x-payer-id", "1");
    app.send(app.dress(both)).await.refused(400, "header_refused");
    about("").await.succeeded(200);
    about("").await.refused(429, "rate_limited");
    // Who names nobody is not counted.
    app.get("/v1/accounts").await.succeeded(200);
    let records = world.audit().await;
    assert!(!serde_json::to_string(&records).unwrap().contains("8801013000"));
    let counted = |record: &&serde_json::Value| {
        let limits = record["limits"].as_array();
        limits.is_some_and(|limits| limits.iter().any(|limit| limit["id"].as_str().unwrap().starts_with("people:")))
    };
    assert_eq!(records.iter().filter(counted).count(), 5);
}

async fn a_provider_without_room_is_not_asked(kind: Kind) {
    let setup = Setup::default()
        .policy("shapes.yaml", "qaqpa: v1\nlimits:\n  checks: {per: provider, quota: 1/hour}\n")
        .replacing(
            "policies/national/apis/identity.yaml",
            "        limits: verifications\n",
            "        limits: [verifications, checks]\n",
        );
    let world = World::with(kind, setup).await;
    let app = Session::of(&world, "demo-app").await;
    let body = json!({
        "subject": {"type": "iin", "value": bank::iin(1)}, "purpose": "loan", "level": "L2", "binding": {"kind": "none"},
    });
    let first = app.post("/v1/identity-verifications", &fresh("check"), &body).await;
    assert_ne!(first.status, 429, "{}", first.text());
    is_full(&app.post("/v1/identity-verifications", &fresh("check"), &body).await, &["checks:provider:1/hour"]);
}
