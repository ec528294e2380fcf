//! Chapter one: the public operation, a token, accounts and balances.

use policies::national::money::Money;
use serde_json::Value;

use super::guide::{Guide, Stop, grouped};
use crate::cli::client::{Actor, Client, Exchange, Question, SandboxFile, Session};
use crate::cli::story;

/// What the whole tour costs who pays, in tenge: a small payment and a large one.
pub(crate) const NEEDED: &str = "301000.00";

/// The app of the tour.
pub(crate) struct App<'a> {
    /// Where everything is.
    pub(crate) sandbox: &'a SandboxFile,
    /// The client.
    pub(crate) actor: &'a Actor,
    /// With a token of its own.
    pub(crate) own: Session<'a>,
    /// Whether citizens are asked for their consents here.
    pub(crate) asks: bool,
}

/// Somebody with an account that the fintech may use.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    /// The account's id.
    pub(crate) account: String,
    /// The account's number.
    pub(crate) iban: String,
    /// The person's number.
    pub(crate) iin: String,
    /// What can be spent.
    pub(crate) balance: Money,
}

/// Who pays whom on this tour.
#[derive(Debug)]
pub(crate) struct Parties {
    /// Who pays.
    pub(crate) payer: Person,
    /// Who is paid.
    pub(crate) payee: Person,
}

/// Asks what everybody may ask.
pub(crate) async fn knock(guide: &mut Guide, sandbox: &SandboxFile, plain: &Client) -> Result<(), Stop> {
    guide.step("Is anybody there?", "One operation is public: it needs no token, and plain curl can call it.");
    let exchange = plain.send(&sandbox.api, &Question::get("/v1/discovery/status")).await?;
    guide.show(&exchange, &[], &["/status"]);
    guide.expect_answer(&exchange, 200, None)?;
    guide.expect("status", "ok", &exchange.text("/status").unwrap_or_default())
}

/// Gets a token that is bound to a key.
pub(crate) async fn token<'a>(guide: &mut Guide, actor: &'a Actor) -> Result<Session<'a>, Stop> {
    guide.step(
        "A token that only its owner can use",
        "Everything else needs an access token. The app has no password: it signs a short statement with its private key \
         (private_key_jwt), and shows with a second signature, the DPoP proof, that it holds another key. The token will \
         be bound to that one.",
    );
    let granted = actor.request_token(None).await?;
    guide.show(&granted, &[], &["/token_type", "/expires_in", "/scope", "/access_token"]);
    guide.expect_answer(&granted, 200, None)?;
    let session = actor.session(&granted)?;
    let claims = session.claims().unwrap_or(Value::Null);
    let claim = |pointer: &str| claims.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    guide.lesson("Inside the token, signed by the gateway:");
    guide.detail("client_id", &claim("/client_id"));
    guide.detail("aud", &claim("/aud"));
    guide.detail("cnf.jkt", &story::shorten(&claim("/cnf/jkt")));
    guide.expect("token_type", "DPoP", &granted.text("/token_type").unwrap_or_default())?;
    guide
        .expect_that("the token names the app's proof key (cnf.jkt)", claim("/cnf/jkt") == actor.proof_thumbprint())?;
    guide.lesson("Whoever copies this token still lacks the key. It ends by itself after five minutes.");
    Ok(session)
}

/// Asks for the accounts with a token of the app's own.
pub(crate) async fn look(guide: &mut Guide, session: &Session<'_>) -> Result<Exchange, Stop> {
    guide.step(
        "Whose accounts may the app see?",
        "The app asks for accounts with the token that it has. Each request carries the token and a new proof.",
    );
    let exchange = session.ask(&Question::get("/v1/accounts")).await?;
    guide.show(&exchange, &[], &[]);
    if exchange.problem().as_deref() == Some("consent_required") {
        guide.expect_answer(&exchange, 403, Some("consent_required"))?;
        guide.lesson(
            "None, so far. The token speaks for the app alone, and what belongs to a citizen takes a citizen's own yes.",
        );
    } else {
        guide.expect_answer(&exchange, 200, None)?;
    }
    Ok(exchange)
}

/// Chooses who pays whom among the accounts that were listed: of the people whose verification succeeds, the richest pays.
pub(crate) async fn people(
    guide: &mut Guide,
    sandbox: &SandboxFile,
    session: &Session<'_>,
    exchange: &Exchange,
) -> Result<Parties, Stop> {
    let body = exchange.json().unwrap_or(Value::Null);
    let accounts: Vec<&Value> = body.pointer("/accounts").and_then(Value::as_array).into_iter().flatten().collect();
    for account in accounts.iter().take(3) {
        guide.detail(text(account, "/iban"), text(account, "/name"));
    }
    if accounts.len() > 3 {
        guide.detail("…", &format!("{} accounts altogether", accounts.len()));
    }
    guide.expect_that("there are accounts", !accounts.is_empty())?;
    let found = candidates(sandbox, &accounts);
    guide.step(
        "How much is there?",
        "Balances are a scope of their own: a token for lists alone could not read them. The tour asks for two people, \
         and the richer one will pay, so that it can be taken again and again.",
    );
    let mut people = Vec::new();
    for (account, iban, iin) in found.into_iter().take(2) {
        let exchange = balances(session, &account).await?;
        guide.show(&exchange, &[], &[]);
        guide.expect_answer(&exchange, 200, None)?;
        let balance = spendable(&exchange)?;
        guide.detail(&iban, &format!("{} can be spent", tenge(&balance)));
        people.push(Person { account, iban, iin, balance });
    }
    people.sort_by_key(|person| std::cmp::Reverse(person.balance.tiyn()));
    let mut people = people.into_iter();
    match (people.next(), people.next()) {
        (Some(payer), Some(payee)) => afford(payer, payee),
        _ => Err(Stop::Trouble("The tour needs two people whose verification succeeds (scenario `match`).".to_owned())),
    }
}

/// Reads what can be spent from an account.
pub(crate) async fn balances(session: &Session<'_>, account: &str) -> Result<Exchange, String> {
    session.ask(&Question::get(&format!("/v1/accounts/{account}/balances"))).await
}

/// Takes the available amount out of the answer.
pub(crate) fn spendable(exchange: &Exchange) -> Result<Money, Stop> {
    let body = exchange.json().unwrap_or(Value::Null);
    let all = body.pointer("/balances").and_then(Value::as_array).cloned().unwrap_or_default();
    let of_kind = |kind: &str| all.iter().find(|balance| text(balance, "/kind") == kind);
    let found = of_kind("available").or_else(|| of_kind("booked"));
    let amount =
        found.and_then(|balance| Money::parse(text(balance, "/amount/amount"), text(balance, "/amount/currency")).ok());
    amount.ok_or_else(|| Stop::Trouble("The bank tells no balance in a form that can be read.".to_owned()))
}

/// Writes money as people do.
pub(crate) fn tenge(money: &Money) -> String {
    format!("{} {}", grouped(&money.amount()), money.currency().code())
}

// Account id, IBAN and number of those whose verification succeeds, each once.
fn candidates(sandbox: &SandboxFile, accounts: &[&Value]) -> Vec<(String, String, String)> {
    let verified = sandbox.subjects.iter().filter(|subject| subject.scenario == "match");
    let listed = verified.filter_map(|subject| {
        let account = accounts.iter().find(|account| text(account, "/iban") == subject.iban)?;
        Some((text(account, "/accountId").to_owned(), subject.iban.clone(), subject.iin.clone()))
    });
    listed.collect()
}

/// Tells whether somebody can pay what the tour costs.
pub(crate) fn affords(payer: &Person) -> bool {
    Money::parse(NEEDED, "KZT").is_ok_and(|needed| payer.balance.tiyn() >= needed.tiyn())
}

/// Lets one pay the other, if they can.
pub(crate) fn afford(payer: Person, payee: Person) -> Result<Parties, Stop> {
    let needed = Money::parse(NEEDED, "KZT").map_err(|error| error.to_string())?;
    if !affords(&payer) {
        return Err(Stop::Trouble(format!(
            "The tour needs {} on one account, and the richest has {}. Start a sandbox with a state folder of its own: \
             qaqpa sandbox --tour --state DIR",
            tenge(&needed),
            tenge(&payer.balance)
        )));
    }
    Ok(Parties { payer, payee })
}

pub(crate) fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
