//! What the gate refuses, and what it says then.

use serde_json::{Value, json};

use super::arrival::Parties;
use super::guide::{Guide, Stop};
use super::money::{Made, new_key, order, payment};
use crate::cli::client::{Actor, Client, Exchange, Question, SandboxClient, SandboxFile, Session};

// After how many calls a small plan has to have run out; its burst is a handful.
const CALLS_MAX: usize = 50;

const ACCOUNTS: &str = "/v1/accounts?limit=1";

/// Refuses a caller without a token, without a proof, and with a proof that was used before.
pub(crate) async fn thieves(
    guide: &mut Guide,
    sandbox: &SandboxFile,
    plain: &Client,
    session: &Session<'_>,
) -> Result<(), Stop> {
    guide.step("No token", "Nobody is let in by asking nicely; the answer says where tokens are to be had.");
    let exchange = plain.send(&sandbox.api, &Question::get(ACCOUNTS)).await?;
    guide.show(&exchange, &[], &[]);
    guide.expect_answer(&exchange, 401, Some("token_missing"))?;

    guide.step("A stolen token", "A thief has copied the app's token from a log, and has no key to make a proof with.");
    let question = Question::get(ACCOUNTS).with("authorization", &session.authorization());
    let exchange = plain.send(session.base(), &question).await?;
    guide.show(&exchange, &[], &[]);
    guide.expect_answer(&exchange, 401, Some("proof_invalid"))?;

    guide.step(
        "A stolen token and a stolen proof",
        "The thief has copied a whole request, proof and all, and sends it again a moment later. The first time it was \
         the app itself; the second time the gateway has seen this proof before.",
    );
    let question = session.dress(&Question::get(ACCOUNTS))?;
    let first = session.ask_as_is(&question).await?;
    guide.show(&first, &[], &[]);
    guide.expect_answer(&first, 200, None)?;
    let second = plain.send(session.base(), &question).await?;
    guide.show(&second, &[], &[]);
    guide.expect_answer(&second, 401, Some("replay_detected"))
}

/// Refuses a token that may not do this, and a path that is not there.
pub(crate) async fn strays(guide: &mut Guide, session: &Session<'_>, parties: &Parties) -> Result<(), Stop> {
    guide.step(
        "A token for reading does not pay",
        "The app asks for a token that may only list accounts, as it should for a part of itself that only shows them. \
         Then somebody tries to pay with it.",
    );
    let granted = session.actor().request_token(Some("accounts:read")).await?;
    let reader = session.actor().session(&granted)?;
    guide.detail("scope", &granted.text("/scope").unwrap_or_default());
    let exchange = reader.ask(&payment(&order(parties, "1.00", "Not allowed"), &new_key())).await?;
    guide.show(&exchange, &["/instructedAmount"], &[]);
    guide.expect_answer(&exchange, 403, Some("insufficient_scope"))?;
    let named = exchange.header("www-authenticate").is_some_and(|challenge| challenge.contains("payments:write"));
    guide.expect_that("the challenge names the scope that is missing", named)?;

    guide.step(
        "A path that nobody described",
        "Only what a contract in openapi/ describes and a policy allows can be reached. Everything else is not forbidden \
         but absent, with a good token too: the bank behind is never asked.",
    );
    let exchange = session.ask(&Question::get("/v1/treasury/keys")).await?;
    guide.show(&exchange, &[], &[]);
    guide.expect_answer(&exchange, 404, Some("unknown_path"))
}

/// Refuses a body that breaks the contract, and a key that stands for another body.
pub(crate) async fn mistakes(guide: &mut Guide, made: &Made<'_>, parties: &Parties) -> Result<(), Stop> {
    let session = &made.session;
    guide.step(
        "A body that breaks the contract",
        "Three mistakes in one payment: the amount is a word, the recipient's name is missing, and there is a member \
         that the contract does not know. All of them are told at once, each with its place (a JSON pointer).",
    );
    let mut body = order(parties, "a lot", "Three mistakes");
    if let Some(members) = body.as_object_mut() {
        members.remove("creditorName");
        members.insert("tip".to_owned(), json!("10%"));
    }
    let exchange = session.ask(&payment(&body, &new_key())).await?;
    guide.show(&exchange, &[], &[]);
    let faults = faults(&exchange);
    for (pointer, message) in &faults {
        guide.detail(if pointer.is_empty() { "(the whole body)" } else { pointer }, message);
    }
    guide.expect_answer(&exchange, 400, Some("schema_violation"))?;
    let pointed = faults.iter().any(|(pointer, _)| pointer == "/instructedAmount/amount");
    guide.expect_that("one of the pointers is /instructedAmount/amount", pointed)?;

    guide.step(
        "The key of lunch, and another amount",
        "The first payment's idempotency key again, but this time for 2 000 tenge. One key stands for one payment: \
         giving the old answer would hide the change, paying would break the promise.",
    );
    let mut body = made.body.clone();
    if let Some(amount) = body.pointer_mut("/instructedAmount/amount") {
        *amount = json!("2000.00");
    }
    let exchange = session.ask(&payment(&body, &made.key)).await?;
    guide.show(&exchange, &["/instructedAmount"], &[]);
    guide.expect_answer(&exchange, 422, Some("idempotency_mismatch"))
}

/// Refuses a client that asks too much.
pub(crate) async fn hurry(guide: &mut Guide, sandbox: &SandboxFile) -> Result<(), Stop> {
    let Some(record) = trial(sandbox) else {
        return Err(Stop::Trouble("The sandbox has no client with a small plan (`trial-app`).".to_owned()));
    };
    guide.step(
        "Too much at once",
        &format!(
            "Another app, {}, has a trial plan: two calls a second and a handful at once (policies/national/plans). It \
             calls as fast as it can.",
            record.client_id
        ),
    );
    let actor = Actor::new(sandbox, record, None)?;
    let mut exchange = actor.request_token(None).await?;
    let mut calls = 1;
    if exchange.status == 200 {
        let granted = exchange.clone();
        let session = actor.session(&granted)?;
        while exchange.status != 429 && calls < CALLS_MAX {
            exchange = session.ask(&Question::get(ACCOUNTS)).await?;
            calls += 1;
        }
    }
    guide.detail("calls made", &calls.to_string());
    guide.show(&exchange, &[], &["/violated-policies"]);
    guide.expect("answered", "429", &exchange.status.to_string())?;
    let wait = exchange.header("retry-after").and_then(|seconds| seconds.parse::<u64>().ok());
    guide.expect_that("Retry-After says how many seconds to wait", wait.is_some_and(|seconds| seconds >= 1))?;
    guide.lesson("The others do not notice: every client, and every organisation, has its own share.");
    Ok(())
}

fn trial(sandbox: &SandboxFile) -> Option<&SandboxClient> {
    let by_key = |client: &&SandboxClient| client.jwk_private.is_some();
    let named = |client: &&SandboxClient| client.client_id.contains("trial");
    sandbox.clients.iter().filter(by_key).find(named)
}

fn faults(exchange: &Exchange) -> Vec<(String, String)> {
    let body = exchange.json().unwrap_or(Value::Null);
    let all = body.pointer("/errors").and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |fault: &Value, name: &str| fault.get(name).and_then(Value::as_str).map(str::to_owned);
    let pair = |fault: &Value| {
        let message = text(fault, "message").or_else(|| text(fault, "detail")).unwrap_or_default();
        (text(fault, "pointer").unwrap_or_default(), message)
    };
    all.iter().map(pair).collect()
}
