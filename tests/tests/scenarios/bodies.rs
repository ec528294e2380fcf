//! Bodies: bounded, of the promised kind, and exactly what the contract says.

use http::header::CONTENT_TYPE;
use openapi::JSON_DEPTH_MAX;
use scenarios::actors::Session;
use scenarios::actors::app::fresh;
use scenarios::actors::bank::{self, payment};
use scenarios::world::{Answer, Ask, Kind, World};
use serde_json::{Value, json};

scenarios! {
    a_body_that_breaks_the_schema_is_told_by_pointers_and_never_by_values,
    an_unknown_member_is_refused,
    a_body_with_two_readings_is_refused,
    a_body_is_nested_within_bounds,
    a_body_has_a_bounded_size,
    a_body_of_another_media_type_is_refused,
    an_encoded_body_is_refused,
    a_body_where_none_belongs_is_refused,
    a_missing_body_is_refused,
    parameters_keep_to_the_contract,
    random_bodies_are_refused_and_nothing_breaks,
}

async fn pay_raw(app: &Session<'_>, body: impl Into<bytes::Bytes>) -> Answer {
    let ask = Ask::post("/v1/domestic-payments").with("x-idempotency-key", fresh("order"));
    app.send(ask.with("content-type", "application/json").body(body)).await
}

async fn a_body_that_breaks_the_schema_is_told_by_pointers_and_never_by_values(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    let canary = "canary-4711";
    let changed = |pointer: &str, value: Value| {
        let mut body = payment("1.00");
        *body.pointer_mut(pointer).unwrap() = value;
        body
    };
    for (pointer, value) in [
        ("/instructedAmount/amount", json!(canary)),
        ("/instructedAmount/amount", json!(100)),
        ("/instructedAmount/amount", json!("1")),
        ("/instructedAmount/amount", json!("1.000")),
        ("/instructedAmount/amount", json!("-1.00")),
        ("/instructedAmount/amount", json!("01.00")),
        ("/instructedAmount/amount", json!("1000000000000000.00")),
        ("/instructedAmount/currency", json!("USD")),
        ("/debtorAccount/iban", json!(canary)),
        ("/debtorAccount", json!([canary])),
        ("/creditorName", json!("")),
        ("/creditorName", json!("x".repeat(141))),
        ("/knp", json!("34")),
        ("/knp", json!(null)),
    ] {
        let refused = app.pay(&fresh("order"), &changed(pointer, value)).await;
        refused.refused(400, "schema_violation");
        let faults = refused.json()["errors"].as_array().unwrap().clone();
        assert!(faults.iter().any(|fault| fault["pointer"] == pointer), "{pointer}: {faults:?}");
        assert!(!refused.text().contains(canary), "{}", refused.text());
    }
    let mut missing = payment("1.00");
    missing.as_object_mut().unwrap().remove("knp");
    app.pay(&fresh("order"), &missing).await.refused(400, "schema_violation");
    app.pay(&fresh("order"), &json!([])).await.refused(400, "schema_violation");
    app.pay(&fresh("order"), &json!("text")).await.refused(400, "schema_violation");
    assert_eq!(bank::balance(&world, 1).await, before);
}

async fn an_unknown_member_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let mut body = payment("1.00");
    body["surprise"] = json!("canary-4712");
    let refused = app.pay(&fresh("order"), &body).await;
    refused.refused(400, "schema_violation");
    assert!(!refused.text().contains("canary-4712"));
    let mut inner = payment("1.00");
    inner["instructedAmount"]["amount2"] = json!("9.00");
    app.pay(&fresh("order"), &inner).await.refused(400, "schema_violation");
}

async fn a_body_with_two_readings_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    let right = payment("1.00").to_string();
    let amount = r#""amount":"1.00""#;
    assert!(right.contains(amount));
    let wrong = [
        right.replace(amount, r#""amount":"1.00","amount":"2.00""#),
        right.replace(amount, r#""amount":"1.00","amo\u0075nt":"2.00""#),
        format!("{right} {right}"),
        format!("{right}x"),
        right.replace('"', "'"),
        format!("\u{feff}{right}"),
        right.get(..right.len() - 1).unwrap().to_owned(),
        right.replace("Bolat", r"\ud800"),
        right.replace("\"343\"", "NaN"),
        format!("/* x */{right}"),
        String::from("{"),
        String::from("\u{0}"),
    ];
    for body in wrong {
        let refused = pay_raw(&app, body.clone()).await;
        assert_eq!(refused.status, 400, "{body}: {}", refused.text());
        refused.refused(400, "body_malformed");
    }
    let bytes = right.replace("Bolat", "?").into_bytes().into_iter().map(|byte| if byte == b'?' { 0xff } else { byte });
    pay_raw(&app, bytes.collect::<Vec<u8>>()).await.refused(400, "body_malformed");
    assert_eq!(bank::balance(&world, 1).await, before);
}

async fn a_body_is_nested_within_bounds(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    pay_raw(&app, nested(JSON_DEPTH_MAX)).await.refused(400, "schema_violation");
    pay_raw(&app, nested(JSON_DEPTH_MAX + 1)).await.refused(400, "body_malformed");
    pay_raw(&app, nested(8000)).await.refused(400, "body_malformed");
}

async fn a_body_has_a_bounded_size(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let body = payment("1.00").to_string();
    // Blanks after the value count as body and say nothing.
    let sized = |bytes: usize| format!("{body}{}", " ".repeat(bytes - body.len()));
    let most = 16 * 1024;
    pay_raw(&app, sized(most)).await.succeeded(201);
    pay_raw(&app, sized(most + 1)).await.refused(413, "payload_too_large");
    pay_raw(&app, sized(1024 * 1024)).await.refused(413, "payload_too_large");
}

async fn a_body_of_another_media_type_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let ask = || Ask::post("/v1/domestic-payments").with("x-idempotency-key", fresh("order")).body(payment("1.00").to_string());
    for media in ["text/plain", "application/xml", "application/json-patch+json", "application/x-www-form-urlencoded", "json", "*/*"] {
        let refused = app.send(ask().with(CONTENT_TYPE.as_str(), media)).await;
        assert_eq!(refused.status, 415, "{media}: {}", refused.text());
        refused.refused(415, "unsupported_media");
    }
    app.send(ask()).await.refused(415, "unsupported_media");
    app.send(ask().with("content-type", "Application/JSON;charset=UTF-8")).await.succeeded(201);
}

async fn an_encoded_body_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    for coding in ["gzip", "br", "deflate", "gzip, gzip", "x"] {
        let ask = Ask::post("/v1/domestic-payments").with("x-idempotency-key", fresh("order"));
        app.send(ask.with("content-encoding", coding).json(&payment("1.00"))).await.refused(415, "unsupported_media");
    }
}

async fn a_body_where_none_belongs_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    app.send(Ask::get("/v1/accounts").body("x")).await.refused(400, "schema_violation");
    app.send(Ask::get("/v1/accounts").json(&json!({}))).await.refused(400, "schema_violation");
    world.send(Ask::get("/v1/discovery/status").body("x")).await.refused(400, "schema_violation");
}

async fn a_missing_body_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let ask = Ask::post("/v1/domestic-payments").with("x-idempotency-key", fresh("order"));
    app.send(ask.with("content-type", "application/json")).await.status_is(400);
}

async fn parameters_keep_to_the_contract(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    for query in ["limit=1", "limit=100"] {
        app.get(&format!("/v1/accounts?{query}")).await.succeeded(200);
    }
    let wrong = ["limit=0", "limit=101", "limit=x", "limit=", "limit=1&limit=2", "limit=1.5", "unknown=1", "cursor=%00", "limit=%zz", "cursor=a/b"];
    for query in wrong {
        let refused = app.get(&format!("/v1/accounts?{query}")).await;
        assert_eq!(refused.status, 400, "{query}: {}", refused.text());
        refused.refused(400, "schema_violation");
    }
    app.get("/v1/accounts/not-a-uuid/balances").await.refused(400, "schema_violation");
    app.get("/v1/domestic-payments/018f3c1e").await.refused(400, "schema_violation");
}

async fn random_bodies_are_refused_and_nothing_breaks(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    let seed = crate::dice::seed();
    let mut dice = crate::dice::Dice::new(seed);
    let right = payment("1.00").to_string().into_bytes();
    for round in 0..50 {
        let mut body = right.clone();
        for _ in 0..=dice.below(4) {
            let at = usize::try_from(dice.below(body.len() as u64)).unwrap();
            match dice.below(3) {
                0 => {
                    body.remove(at);
                }
                1 => body.insert(at, b"\"{}[],:0\\\0\xff"[usize::try_from(dice.below(11)).unwrap()]),
                _ => body.truncate(at),
            }
        }
        let answer = pay_raw(&app, body.clone()).await;
        let fine = matches!(answer.status, 201 | 400 | 415 | 422);
        assert!(fine, "seed {seed}, round {round}: {}: {}", String::from_utf8_lossy(&body), answer.text());
        if answer.status == 201 {
            // A change inside a text can leave a right payment.
            continue;
        }
        answer.named();
    }
    let after = bank::balance(&world, 1).await;
    assert!(before - after <= 50 * 1_000_000, "seed {seed}");
    assert!((world.metric("qaqpa_panics_total")).abs() < 0.5, "seed {seed}");
}
