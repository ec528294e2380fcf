//! Bodies and parameters: held against the contract before anybody acts on them.

use bytes::Bytes;
use scenarios::actors::Session;
use scenarios::actors::app::fresh;
use scenarios::actors::bank::{self, payment};
use scenarios::world::{Answer, Ask, Kind, World};
use serde_json::{Value, json};

use super::{ACCOUNTS, PAYMENTS, STATUS, counting};

scenarios! {
    a_body_that_breaks_the_contract_is_told_by_pointers_and_never_by_its_values,
    a_member_that_nobody_knows_is_refused,
    a_repeated_key_is_refused,
    a_body_as_deep_as_allowed_is_read_and_one_level_more_is_refused,
    a_number_beyond_what_all_parsers_keep_is_refused,
    a_body_that_cannot_be_read_is_told_by_line_and_column,
    a_body_as_long_as_allowed_passes_and_one_byte_more_does_not,
    a_body_of_unannounced_length_is_bounded_too,
    a_form_is_bounded_before_anybody_is_known,
    another_media_type_is_refused_with_those_that_are_taken,
    an_encoded_body_is_refused,
    a_body_where_none_is_taken_is_refused,
    a_missing_body_is_refused,
    a_parameter_that_nobody_knows_is_refused,
    a_parameter_outside_its_bounds_is_refused,
    two_idempotency_keys_are_refused,
}

/// The most bytes of a payment's body: `maxBody` in `policies/national/apis/payments.yaml`.
const PAYMENT_BYTES: usize = 16 * 1024;

/// The most bytes of a form, likewise in `oauth.yaml`.
const FORM_BYTES: usize = 16 * 1024;

/// The deepest nesting.
const DEPTH: usize = 64;

/// What no answer may ever hold.
const CANARY: &str = "CANARY-5f1d";

fn pay(body: impl Into<Bytes>) -> Ask {
    Ask::post(PAYMENTS).with("x-idempotency-key", fresh("order")).body(body)
}

fn pay_json(body: impl Into<Bytes>) -> Ask {
    pay(body).with("content-type", "application/json")
}

/// A payment with spaces up to this length.
fn padded(length: usize) -> Bytes {
    let text = payment("1.00").to_string();
    Bytes::from(format!("{text}{}", " ".repeat(length - text.len())))
}

fn faults(answer: &Answer) -> Vec<(String, String)> {
    let text = |fault: &Value, name: &str| fault[name].as_str().unwrap().to_owned();
    let errors = answer.json()["errors"].as_array().unwrap().clone();
    errors.iter().map(|fault| (text(fault, "pointer"), text(fault, "keyword"))).collect()
}

async fn a_body_that_breaks_the_contract_is_told_by_pointers_and_never_by_its_values(kind: Kind) {
    let (backend, setup) = counting().await;
    let world = World::with(kind, setup).await;
    let app = Session::of(&world, "demo-app").await;
    let mut body = payment("1.00");
    body["creditorName"] = json!(CANARY.repeat(20));
    body["debtorAccount"]["iban"] = json!(CANARY);
    body["instructedAmount"] = json!({"amount": CANARY, "currency": CANARY});
    body["knp"] = json!([CANARY]);
    let refused = app.pay(&fresh("order"), &body).await;
    refused.refused(400, "schema_violation");
    assert!(!refused.text().contains(CANARY), "{}", refused.text());
    let found = faults(&refused);
    let expected = [
        ("/creditorName", "maxLength"),
        ("/debtorAccount/iban", "pattern"),
        ("/instructedAmount/amount", "pattern"),
        ("/instructedAmount/currency", "enum"),
        ("/knp", "type"),
    ];
    for (pointer, keyword) in expected {
        assert!(found.contains(&(pointer.to_owned(), keyword.to_owned())), "{pointer} {keyword}: {found:?}");
    }
    let empty = app.pay(&fresh("order"), &json!({})).await;
    empty.refused(400, "schema_violation");
    assert_eq!(faults(&empty).len(), 5, "{}", empty.text());
    for other in [json!([]), json!("x"), json!(1), json!(null), json!(true)] {
        app.pay(&fresh("order"), &other).await.refused(400, "schema_violation");
    }
    assert!(backend.received().is_empty());
}

async fn a_member_that_nobody_knows_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let mut body = payment("1.00");
    body["instructedAmount"]["limit"] = json!(CANARY);
    let refused = app.pay(&fresh("order"), &body).await;
    refused.refused(400, "schema_violation");
    assert!(refused.at("/errors/0/pointer").starts_with("/instructedAmount"), "{}", refused.text());
    assert!(!refused.text().contains(CANARY));
    for name in ["__proto__", "constructor", "DebtorAccount", "debtorAccount ", "\u{0}"] {
        let mut body = payment("1.00");
        body[name] = json!(CANARY);
        let refused = app.pay(&fresh("order"), &body).await;
        refused.refused(400, "schema_violation");
        assert!(!refused.text().contains(CANARY));
    }
}

async fn a_repeated_key_is_refused(kind: Kind) {
    let (backend, setup) = counting().await;
    let world = World::with(kind, setup).await;
    let app = Session::of(&world, "demo-app").await;
    let text = payment("1.00").to_string();
    let spellings = [
        text.replacen('{', "{\"knp\":\"999\",", 1),
        text.replacen("\"amount\":", "\"amount\":\"9.00\",\"amount\":", 1),
        // An escape is another spelling of the same name.
        text.replacen("\"amount\":", "\"\\u0061mount\":\"9.00\",\"amount\":", 1),
        // The same value twice is no excuse.
        text.replacen("\"knp\":\"343\"", "\"knp\":\"343\",\"knp\":\"343\"", 1),
    ];
    for spelling in spellings {
        assert_ne!(spelling, text);
        app.send(pay_json(spelling)).await.refused(400, "body_malformed");
    }
    assert!(backend.received().is_empty());
}

async fn a_body_as_deep_as_allowed_is_read_and_one_level_more_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let text = payment("1.00").to_string();
    // The object around is a level too.
    let nested = |levels: usize| {
        let deep = format!("{}{}", "[".repeat(levels - 1), "]".repeat(levels - 1));
        text.replacen('{', &format!("{{\"remittanceInformation\":{deep},"), 1)
    };
    let read = app.send(pay_json(nested(DEPTH))).await;
    read.refused(400, "schema_violation");
    assert_eq!(faults(&read), [("/remittanceInformation".to_owned(), "type".to_owned())]);
    app.send(pay_json(nested(DEPTH + 1))).await.refused(400, "body_malformed");
    app.send(pay_json("[".repeat(PAYMENT_BYTES))).await.refused(400, "body_malformed");
    app.send(pay_json("{\"a\":".repeat(PAYMENT_BYTES / 5))).await.refused(400, "body_malformed");
}

async fn a_number_beyond_what_all_parsers_keep_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let with = |number: &str| payment("1.00").to_string().replacen("\"343\"", number, 1);
    for number in ["9007199254740991", "-9007199254740991", "0.5"] {
        app.send(pay_json(with(number))).await.refused(400, "schema_violation");
    }
    let beyond = ["9007199254740992", "-9007199254740992", "18446744073709551616", "1e300", "1e400", "-1e400"];
    for number in beyond {
        app.send(pay_json(with(number))).await.refused(400, "body_malformed");
    }
}

async fn a_body_that_cannot_be_read_is_told_by_line_and_column(kind: Kind) {
    let (backend, setup) = counting().await;
    let world = World::with(kind, setup).await;
    let app = Session::of(&world, "demo-app").await;
    let cut = format!("{{\"knp\":\n \"{CANARY}");
    let refused = app.send(pay_json(cut)).await;
    refused.refused(400, "body_malformed");
    let detail = refused.at("/detail");
    assert!(detail.contains("line 2, column 13"), "{detail}");
    assert!(!refused.text().contains(CANARY));
    let whole = payment("1.00").to_string();
    let unreadable: Vec<Vec<u8>> = vec![
        whole.as_bytes().get(..whole.len() - 1).unwrap().to_vec(),
        [whole.as_bytes(), whole.as_bytes()].concat(),
        [whole.as_bytes(), b","].concat(),
        [b"\xef\xbb\xbf", whole.as_bytes()].concat(),
        whole.replacen('}', ",}", 1).into_bytes(),
        whole.replace('"', "'").into_bytes(),
        whole.replacen("\"343\"", "NaN", 1).into_bytes(),
        whole.replacen("\"343\"", "\"\\ud800\"", 1).into_bytes(),
        whole.replacen("\"343\"", "\"\n\"", 1).into_bytes(),
        whole.replacen("\"343\"", "/* no */ \"343\"", 1).into_bytes(),
        [b"{\"knp\":\"", b"\xff\xfe".as_slice(), b"\"}"].concat(),
        whole.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        b"   ".to_vec(),
        b"\0".to_vec(),
    ];
    for body in unreadable {
        let shown = String::from_utf8_lossy(&body).into_owned();
        let refused = app.send(pay_json(body)).await;
        assert_eq!((refused.status, &shown), (400, &shown), "{}", refused.text());
        refused.refused(400, "body_malformed");
        assert!(refused.at("/detail").contains("line "), "{}", refused.text());
    }
    assert!(backend.received().is_empty());
}

async fn a_body_as_long_as_allowed_passes_and_one_byte_more_does_not(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    app.send(pay_json(padded(PAYMENT_BYTES))).await.succeeded(201);
    app.send(pay_json(padded(PAYMENT_BYTES + 1))).await.refused(413, "payload_too_large");
    assert_eq!(bank::balance(&world, 1).await, before - 100);
}

async fn a_body_of_unannounced_length_is_bounded_too(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    for size in [1_000, PAYMENT_BYTES] {
        let ask = app.dress(pay_json(padded(PAYMENT_BYTES)));
        world.send_in_pieces(&ask, size).await.succeeded(201);
        let ask = app.dress(pay_json(padded(PAYMENT_BYTES + 1)));
        world.send_in_pieces(&ask, size).await.refused(413, "payload_too_large");
    }
    // One byte at a time is slow, not wrong.
    let ask = app.dress(pay_json(padded(400)));
    world.send_in_pieces(&ask, 1).await.succeeded(201);
    assert_eq!(bank::balance(&world, 1).await, before - 300);
}

async fn a_form_is_bounded_before_anybody_is_known(kind: Kind) {
    let world = World::start(kind).await;
    let form = |length: usize| {
        let start = "grant_type=password&x=";
        let text = format!("{start}{}", "a".repeat(length - start.len()));
        Ask::post("/oauth/token").with("content-type", "application/x-www-form-urlencoded").body(text)
    };
    assert_eq!(world.send(form(FORM_BYTES)).await.status, 400);
    world.send(form(FORM_BYTES + 1)).await.oauth_refused(413, "invalid_request");
    world.send_in_pieces(&form(FORM_BYTES + 1), 1_000).await.oauth_refused(413, "invalid_request");
}

async fn another_media_type_is_refused_with_those_that_are_taken(kind: Kind) {
    let (backend, setup) = counting().await;
    let world = World::with(kind, setup).await;
    let app = Session::of(&world, "demo-app").await;
    let body = payment("1.00").to_string();
    let others = [
        "text/plain",
        "application/jsonx",
        "application/x-www-form-urlencoded",
        "application/problem+json",
        "application/json, text/plain",
        "multipart/form-data; boundary=x",
        "json",
        "",
        "*/*",
    ];
    for media in others {
        let refused = app.send(pay(body.clone()).with("content-type", media)).await;
        assert_eq!((refused.status, media), (415, media), "{}", refused.text());
        refused.refused(415, "unsupported_media");
        assert_eq!(refused.header("accept"), Some("application/json"));
    }
    app.send(pay(body.clone())).await.refused(415, "unsupported_media");
    assert!(backend.received().is_empty());
    for media in
        ["application/json", "Application/JSON", "application/json; charset=utf-8", "application/json;charset=UTF-8"]
    {
        app.send(pay(body.clone()).with("content-type", media)).await.status_is(200);
    }
}

async fn an_encoded_body_is_refused(kind: Kind) {
    let (backend, setup) = counting().await;
    let world = World::with(kind, setup).await;
    let app = Session::of(&world, "demo-app").await;
    for coding in ["gzip", "GZIP", "br", "deflate", "zstd", "gzip, gzip", "identity, gzip", "x", ""] {
        let ask = pay_json(payment("1.00").to_string()).with("content-encoding", coding);
        let refused = app.send(ask).await;
        assert_eq!((refused.status, coding), (415, coding), "{}", refused.text());
        refused.refused(415, "unsupported_media");
    }
    assert!(backend.received().is_empty());
    let plain = pay_json(payment("1.00").to_string()).with("content-encoding", "identity");
    app.send(plain).await.status_is(200);
}

async fn a_body_where_none_is_taken_is_refused(kind: Kind) {
    let (backend, setup) = counting().await;
    let world = World::with(kind, setup).await;
    let app = Session::of(&world, "demo-app").await;
    app.send(Ask::get(ACCOUNTS).json(&json!({}))).await.refused(400, "schema_violation");
    app.send(Ask::get(ACCOUNTS).body("x")).await.refused(400, "schema_violation");
    world.send(Ask::get(STATUS).body("x")).await.refused(400, "schema_violation");
    let ask = app.dress(Ask::get(ACCOUNTS).body("x"));
    world.send_in_pieces(&ask, 1).await.refused(400, "schema_violation");
    assert!(backend.received().is_empty());
}

async fn a_missing_body_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    app.send(pay("")).await.refused(400, "schema_violation");
    app.send(pay_json("")).await.refused(400, "schema_violation");
}

async fn a_parameter_that_nobody_knows_is_refused(kind: Kind) {
    let (backend, setup) = counting().await;
    let world = World::with(kind, setup).await;
    let app = Session::of(&world, "demo-app").await;
    for query in ["x=1", "limit=1&x=1", "Limit=1", "limit%20=1", "x", "%6Cimit=1&limit=1"] {
        let refused = app.get(&format!("{ACCOUNTS}?{query}")).await;
        assert_eq!((refused.status, query), (400, query), "{}", refused.text());
        refused.refused(400, "schema_violation");
        assert!(refused.at("/errors/0/pointer").starts_with("query:"), "{}", refused.text());
    }
    let hidden = app.get(&format!("{ACCOUNTS}?x={CANARY}")).await;
    assert!(!hidden.text().contains(CANARY), "{}", hidden.text());
    world.send(Ask::get(&format!("{STATUS}?x=1"))).await.refused(400, "schema_violation");
    app.send(pay_json(payment("1.00").to_string())).await.status_is(200);
    let queried = Ask { target: format!("{PAYMENTS}?dryRun=true"), ..pay_json(payment("1.00").to_string()) };
    app.send(queried).await.refused(400, "schema_violation");
    assert_eq!(backend.received().len(), 1);
}

async fn a_parameter_outside_its_bounds_is_refused(kind: Kind) {
    let (backend, setup) = counting().await;
    let world = World::with(kind, setup).await;
    let app = Session::of(&world, "demo-app").await;
    let wrong = [
        "limit=0",
        "limit=101",
        "limit=-1",
        "limit=1.5",
        "limit=x",
        "limit=",
        "limit",
        "limit=1e1",
        "limit=%31%00",
        "limit=99999999999999999999",
        "limit=1&limit=1",
        "limit=1&limit=2",
        "cursor=",
        "cursor=a b",
        "cursor=%2E",
    ];
    for query in wrong {
        let target = format!("{ACCOUNTS}?{}", query.replace(' ', "%20"));
        let refused = app.get(&target).await;
        assert_eq!((refused.status, query), (400, query), "{}", refused.text());
        refused.refused(400, "schema_violation");
    }
    let long = format!("{ACCOUNTS}?cursor={}", "a".repeat(513));
    app.get(&long).await.refused(400, "schema_violation");
    app.get("/v1/accounts/not-a-uuid/balances").await.refused(400, "schema_violation");
    assert!(backend.received().is_empty());
    for query in ["limit=1", "limit=100", "cursor=a", "limit=2&cursor=a"] {
        app.get(&format!("{ACCOUNTS}?{query}")).await.succeeded(200);
    }
    app.get(&format!("{ACCOUNTS}?cursor={}", "a".repeat(512))).await.succeeded(200);
}

async fn two_idempotency_keys_are_refused(kind: Kind) {
    let (backend, setup) = counting().await;
    let world = World::with(kind, setup).await;
    let app = Session::of(&world, "demo-app").await;
    let ask = pay_json(payment("1.00").to_string()).with("x-idempotency-key", fresh("order"));
    app.send(ask).await.refused(400, "header_refused");
    let none = pay_json(payment("1.00").to_string()).without("x-idempotency-key");
    app.send(none).await.refused(400, "idempotency_key_missing");
    assert!(backend.received().is_empty());
}
