//! Fields that not everybody may see: in answers, in the log and in spans.

use std::path::Path;
use std::sync::{Arc, Mutex};

use scenarios::actors::app::fresh;
use scenarios::actors::backend::Backend;
use scenarios::actors::bank::{self, payment};
use scenarios::actors::log::Log;
use scenarios::actors::{App, Session};
use scenarios::world::{Ask, Kind, LIST_ACCOUNTS, Setup, World};

use crate::fraud::at_payments;

scenarios! {
    a_masked_field_never_leaves_however_the_backend_writes_it,
    an_answer_that_has_to_be_masked_and_cannot_be_is_refused,
    a_masked_answer_has_a_longest_length,
    who_has_an_excepted_role_sees_the_value,
    what_is_not_masked_leaves_as_it_came,
    problems_of_the_backend_are_masked_too,
    answers_without_a_body_leave,
    tags_and_lengths_of_what_was_masked_stay_here,
    no_guess_at_a_tag_of_what_is_masked_is_confirmed,
    a_payment_whose_answer_cannot_be_masked_is_unknown,
    a_repetition_gets_what_was_let_out,
    noted_fields_are_masked_in_the_log_whoever_asks,
}

/// An account number that must not be seen, and what may be seen of it.
const IBAN: &str = "KZ47901SBX0000000101";
const LAST: &str = "****0101";

/// A backend that answers what it is told to answer next.
async fn told() -> (Backend, Arc<Mutex<String>>) {
    let next = Arc::new(Mutex::new(String::new()));
    let script = Arc::clone(&next);
    (Backend::scripted(move |_| script.lock().unwrap().clone()).await, next)
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
}

fn masking(backend: &Backend, show: &str) -> Setup {
    let mask = format!(
        "qaqpa: v1\nmasking:\n  account-numbers: {{fields: [/accounts/*/iban], show: {show}, except: {{roles: [BANK]}}, in: [responses]}}\n"
    );
    Setup { backend: Some(backend.address), ..Setup::default() }.policy("masking.yaml", mask).replacing(
        "policies/national/apis/accounts.yaml",
        LIST_ACCOUNTS,
        format!("{LIST_ACCOUNTS}        mask: account-numbers\n"),
    )
}

async fn a_masked_field_never_leaves_however_the_backend_writes_it(kind: Kind) {
    let (backend, next) = told().await;
    let world = World::with(kind, masking(&backend, "last-four")).await;
    let app = Session::of(&world, "demo-app").await;
    for body in [
        r#"{"accounts":[{"iban":"V"}]}"#,
        r#"{"accounts":[{"ib\u0061n":"V"}]}"#,
        r#"{"accounts":[{"iban":"x","iban":"V"}]}"#,
        r#"{"accounts":[{"iban":"V","ib\u0061n":"x"}]}"#,
        r#"{"\u0061ccounts":[{"iban":"V"}]}"#,
        r#"{"accounts":[],"accounts":[{"iban":"V"}]}"#,
        r#"{"accounts":[[{"iban":"V"}]]}"#,
        r#"{"accounts":{"iban":"V"}}"#,
        r#"{"accounts":{"one":{"iban":"V"}}}"#,
        r#"{"accounts":["V"]}"#,
        r#"{"accounts":"V"}"#,
        r#"[{"accounts":[{"iban":"V"}]}]"#,
        r#""V""#,
        "{\"accounts\"\n: [ {\t\"iban\" :\r\n\"V\" } ] }",
        r#"{"accounts":[{"name":"Қанат \"\\","iban":"V"}]}"#,
    ] {
        let body = body.replace('V', IBAN);
        *next.lock().unwrap() = answer("200 OK", "", &body);
        let read = app.get("/v1/accounts").await;
        read.status_is(200);
        assert!(!read.text().contains("KZ47"), "{body} -> {}", read.text());
        // What is left is JSON.
        assert!(serde_json::from_str::<serde_json::Value>(&read.text()).is_ok(), "{}", read.text());
    }
    *next.lock().unwrap() = answer("200 OK", "", &format!(r#"{{"accounts":[{{"iban":{{"deep":["{IBAN}"]}}}}]}}"#));
    assert_eq!(app.get("/v1/accounts").await.at("/accounts/0/iban"), "****");
    *next.lock().unwrap() = answer("200 OK", "", &format!(r#"{{"accounts":[{{"iban":"{IBAN}"}}]}}"#));
    assert_eq!(app.get("/v1/accounts").await.at("/accounts/0/iban"), LAST);
}

async fn an_answer_that_has_to_be_masked_and_cannot_be_is_refused(kind: Kind) {
    let (backend, next) = told().await;
    let world = World::with(kind, masking(&backend, "nothing")).await;
    let app = Session::of(&world, "demo-app").await;
    let whole = format!(r#"{{"accounts":[{{"iban":"{IBAN}"}}]}}"#);
    let cut = whole.get(..whole.len() - 1).unwrap().to_owned();
    for body in [cut, format!("\u{feff}{whole}"), format!("{whole} {whole}"), format!("<iban>{IBAN}</iban>")] {
        *next.lock().unwrap() = answer("200 OK", "", &body);
        let refused = app.get("/v1/accounts").await;
        refused.refused(502, "backend_broken");
        assert!(!refused.text().contains("KZ47"), "{}", refused.text());
    }
    for coding in ["gzip", "br", "deflate", "x-unknown"] {
        *next.lock().unwrap() = answer("200 OK", &format!("content-encoding: {coding}\r\n"), &whole);
        app.get("/v1/accounts").await.refused(502, "backend_broken");
    }
    *next.lock().unwrap() = answer("200 OK", "content-encoding: identity\r\n", &whole);
    let read = app.get("/v1/accounts").await;
    assert_eq!(read.succeeded(200).text(), r#"{"accounts":[{}]}"#);
    *next.lock().unwrap() = format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 20\r\n\r\n{IBAN}");
    app.get("/v1/accounts").await.refused(502, "backend_broken");
    // It breaks off after it began.
    *next.lock().unwrap() =
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{whole}");
    app.get("/v1/accounts").await.refused(502, "backend_broken");
}

async fn a_masked_answer_has_a_longest_length(kind: Kind) {
    let (backend, next) = told().await;
    let world = World::with(kind, masking(&backend, "stars")).await;
    let app = Session::of(&world, "demo-app").await;
    let body = |length: usize| {
        let empty = format!(r#"{{"accounts":[{{"iban":"{IBAN}","name":""}}]}}"#);
        format!(r#"{{"accounts":[{{"iban":"{IBAN}","name":"{}"}}]}}"#, "x".repeat(length - empty.len()))
    };
    const LONGEST: usize = 1024 * 1024;
    *next.lock().unwrap() = answer("200 OK", "", &body(LONGEST + 1));
    app.get("/v1/accounts").await.refused(502, "backend_broken");
    *next.lock().unwrap() = answer("200 OK", "", &body(LONGEST));
    let read = app.get("/v1/accounts").await;
    read.succeeded(200);
    assert!(!read.text().contains("KZ47"));
}

async fn who_has_an_excepted_role_sees_the_value(kind: Kind) {
    let (backend, next) = told().await;
    let (bank, fintech) = (App::newcomer("bank-app"), App::newcomer("fintech-app"));
    let organisation = |id: &str, roles: &str| {
        format!(
            "qaqpa: v1\norganisations:\n  {id}:\n    title: New\n    roles: {roles}\n    \
             licence: {{authority: NBK, id: N-1, validUntil: 2099-12-31}}\n"
        )
    };
    let setup = masking(&backend, "stars")
        .policy("bank.yaml", bank.policy("new-bank", &["accounts:read"], ""))
        .policy("fintech.yaml", fintech.policy("new-fintech", &["accounts:read"], ""))
        .policy("bank-org.yaml", organisation("new-bank", "[AISP, BANK]"))
        .policy("fintech-org.yaml", organisation("new-fintech", "[AISP, MFO]"));
    let world = World::with(kind, setup).await;
    *next.lock().unwrap() = answer("200 OK", "", &format!(r#"{{"accounts":[{{"iban":"{IBAN}"}}]}}"#));
    let fintech = fintech.session(&world, None).await;
    assert_eq!(fintech.get("/v1/accounts").await.at("/accounts/0/iban"), "****");
    let bank = bank.session(&world, None).await;
    assert_eq!(bank.get("/v1/accounts").await.at("/accounts/0/iban"), IBAN);
}

async fn what_is_not_masked_leaves_as_it_came(kind: Kind) {
    let (backend, next) = told().await;
    let world = World::with(kind, masking(&backend, "stars")).await;
    let app = Session::of(&world, "demo-app").await;
    let body = r#"{"accounts":[{"iban":"V","balance":1.10,"big":123456789012345678901234567890}],"name":"Қ\u049b\/"}"#;
    *next.lock().unwrap() = answer("200 OK", "", &body.replace('V', IBAN));
    assert_eq!(app.get("/v1/accounts").await.text(), body.replace("\"V\"", "\"****\""));
    // Nobody masks this operation.
    let balances = format!("/v1/accounts/{}/balances", bank::account(1));
    assert_eq!(app.get(&balances).await.text(), body.replace('V', IBAN));
}

async fn problems_of_the_backend_are_masked_too(kind: Kind) {
    let (backend, next) = told().await;
    let world = World::with(kind, masking(&backend, "stars")).await;
    let app = Session::of(&world, "demo-app").await;
    for status in ["400 Bad Request", "403 Forbidden", "500 Internal Server Error"] {
        let body = format!(r#"{{"type":"about:blank","accounts":[{{"iban":"{IBAN}"}}]}}"#);
        *next.lock().unwrap() = answer(status, "", &body).replace("application/json", "application/problem+json");
        let read = app.get("/v1/accounts").await;
        assert!(read.status >= 400 && !read.text().contains("KZ47"), "{} {}", read.status, read.text());
    }
}

async fn answers_without_a_body_leave(kind: Kind) {
    let (backend, next) = told().await;
    let world = World::with(kind, masking(&backend, "stars")).await;
    let app = Session::of(&world, "demo-app").await;
    *next.lock().unwrap() = "HTTP/1.1 304 Not Modified\r\netag: \"1\"\r\n\r\n".to_owned();
    let read = app.send(Ask::get("/v1/accounts").with("if-none-match", "\"1\"")).await;
    assert_eq!((read.status, read.body.len()), (304, 0));
    *next.lock().unwrap() = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned();
    let read = app.get("/v1/accounts").await;
    assert_eq!((read.status, read.body.len()), (200, 0));
}

async fn tags_and_lengths_of_what_was_masked_stay_here(kind: Kind) {
    let (backend, next) = told().await;
    let world = World::with(kind, masking(&backend, "nothing")).await;
    let app = Session::of(&world, "demo-app").await;
    let body = format!(r#"{{"accounts":[{{"iban":"{IBAN}"}}]}}"#);
    *next.lock().unwrap() = answer("200 OK", "etag: \"sha256-of-it\"\r\n", &body);
    let read = app.get("/v1/accounts").await;
    assert_eq!(read.succeeded(200).header("etag"), None);
    assert!(read.header("content-length").is_none_or(|length| length == read.body.len().to_string()));
}

async fn no_guess_at_a_tag_of_what_is_masked_is_confirmed(kind: Kind) {
    let tagged = |asked: &str| match asked {
        "\"right\"" | "*" => "HTTP/1.1 304 Not Modified\r\netag: \"right\"\r\n\r\n".to_owned(),
        _ => answer("200 OK", "etag: \"right\"\r\n", &format!(r#"{{"accounts":[{{"iban":"{IBAN}"}}]}}"#)),
    };
    let backend = Backend::scripted(move |received| tagged(received.header("if-none-match").unwrap_or_default())).await;
    let world = World::with(kind, masking(&backend, "stars")).await;
    let app = Session::of(&world, "demo-app").await;
    for guess in ["\"right\"", "*", "\"wrong\""] {
        let read = app.send(Ask::get("/v1/accounts").with("if-none-match", guess)).await;
        assert_eq!(read.succeeded(200).header("etag"), None, "{guess}");
    }
    // Of what leaves as it came the backend is asked.
    let balances = Ask::get(&format!("/v1/accounts/{}/balances", bank::account(1))).with("if-none-match", "\"right\"");
    assert_eq!(app.send(balances).await.status, 304);
}

/// Takes out what the shipped policies note of payments: these scenarios say it themselves.
fn without_notes(state: &Path) {
    let file = state.join("policies/national/apis/payments.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with("        note: [/instructedAmount")).collect();
    std::fs::write(file, kept.join("\n")).unwrap();
}

fn at_bank(show: &str) -> Setup {
    let mask = format!(
        "qaqpa: v1\nmasking:\n  payers: {{fields: [/debtorAccount/iban], show: {show}, except: {{roles: [PISP]}}, in: [logs, traces]}}\n  \
         states: {{fields: [/status], show: stars}}\n"
    );
    let setup = Setup { before: Some(without_notes), ..Setup::default() };
    at_payments(setup, "mask: [payers, states]\n        note: [/debtorAccount, /instructedAmount/currency]")
        .policy("masking.yaml", mask)
}

async fn a_payment_whose_answer_cannot_be_masked_is_unknown(kind: Kind) {
    let (backend, next) = told().await;
    let world = World::with(kind, Setup { backend: Some(backend.address), ..at_bank("stars") }).await;
    let app = Session::of(&world, "demo-app").await;
    *next.lock().unwrap() = answer("201 Created", "", r#"{"status":"SECRET"#);
    let key = fresh("order");
    let unknown = app.pay(&key, &payment("1.00")).await;
    unknown.succeeded(202);
    assert!(!unknown.text().contains("SECRET"), "{}", unknown.text());
    // It is not sent again.
    *next.lock().unwrap() = answer("201 Created", "", r#"{"status":"ACSC"}"#);
    app.pay(&key, &payment("1.00")).await.succeeded(202);
    let sent = backend.received().into_iter().filter(|request| request.line().starts_with("POST ")).count();
    assert_eq!(sent, 1);
}

async fn a_repetition_gets_what_was_let_out(kind: Kind) {
    let world = World::with(kind, at_bank("stars")).await;
    let app = Session::of(&world, "demo-app").await;
    let key = fresh("order");
    let first = app.pay(&key, &payment("1.00")).await;
    assert_eq!(first.succeeded(201).at("/status"), "****");
    let again = app.pay(&key, &payment("1.00")).await;
    assert_eq!((again.succeeded(201).body.clone(), again.header("x-idempotency-replayed")), (first.body, Some("true")));
    // What rests in the store is what was let out.
    let rest = world.stop().await;
    let files = std::fs::read_dir(rest.state()).unwrap().map(|entry| entry.unwrap().path());
    for file in files.filter(|path| path.is_file()) {
        let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
        assert!(!text.contains(r#""status":"ACSC""#), "{}", file.display());
    }
}

async fn noted_fields_are_masked_in_the_log_whoever_asks(kind: Kind) {
    let log = Log::default();
    let listening = log.listen_to_spans("warn,gateway=trace,adapters=trace");
    let world = World::with(kind, at_bank("last-four")).await;
    // Its organisation has the role that is excepted in answers.
    let app = Session::of(&world, "demo-app").await;
    app.pay(&fresh("order"), &payment("1.00")).await.succeeded(201);
    app.pay(&fresh("order"), &payment("300000.00")).await.refused(401, "step_up_required");
    app.get("/v1/accounts").await.succeeded(200);
    world.audit().await;
    drop(listening);
    if kind != Kind::Memory {
        // Only in memory is this thread the whole gateway.
        return;
    }
    let text = log.text();
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("was answered with")).collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines.iter().all(|line| line.contains(LAST) && line.contains("KZT")), "{lines:?}");
    assert!(
        text.lines().any(|line| line.contains("request{") && line.contains("note=") && line.contains(LAST)),
        "{text}"
    );
    assert!(!text.contains(IBAN), "{text}");
}
