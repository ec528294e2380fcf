//! A small payment that is done once, and a large one that its payer has to confirm.

use std::time::Duration;

use adapters::entropy;
use policies::national::money::{Currency, Money};
use serde_json::{Value, json};

use super::arrival::{App, Parties, balances, spendable, tenge};
use super::citizen;
use super::guide::{Guide, Stop};
use crate::cli::client::{Exchange, Question, Session};
use crate::cli::story;

/// Where payments are asked for.
pub(crate) const PAYMENTS: &str = "/v1/domestic-payments";

const VERIFICATIONS: &str = "/v1/identity-verifications";

// How long the tour waits for the verification: the sandbox's provider decides at once.
const VERIFICATION_TIME_MAX: Duration = Duration::from_secs(15);

// How often it asks.
const POLL: Duration = Duration::from_millis(250);

// What of a payment is told.
const ORDER: [&str; 3] = ["/debtorAccount/iban", "/creditorAccount/iban", "/instructedAmount"];

/// A payment that was made, to come back to it.
#[derive(Debug)]
pub(crate) struct Made<'a> {
    /// With which token.
    pub(crate) session: Session<'a>,
    /// Under which idempotency key.
    pub(crate) key: String,
    /// The body.
    pub(crate) body: Value,
}

/// Describes a payment between the two.
pub(crate) fn order(parties: &Parties, amount: &str, what_for: &str) -> Value {
    json!({
        "debtorAccount": {"iban": parties.payer.iban},
        "creditorAccount": {"iban": parties.payee.iban},
        "creditorName": "Demo Recipient",
        "instructedAmount": {"amount": amount, "currency": "KZT"},
        "knp": "119",
        "remittanceInformation": what_for,
    })
}

/// Makes a new idempotency key.
pub(crate) fn new_key() -> String {
    format!("tour-{}", entropy::token_128bit())
}

/// Asks for a payment under a key.
pub(crate) fn payment(body: &Value, key: &str) -> Question {
    Question::post(PAYMENTS, body).with("x-idempotency-key", key)
}

/// Pays a little, asks for the same again, and looks how often money moved.
pub(crate) async fn small<'a>(
    guide: &mut Guide,
    app: &App<'a>,
    reading: &Session<'a>,
    parties: &Parties,
) -> Result<Made<'a>, Stop> {
    let body = order(parties, "1000.00", &format!("Lunch {}", tag()));
    let session = citizen::payer(guide, app, parties, &body, true).await?;
    let made = Made { session, key: new_key(), body };
    let session = &made.session;
    if app.asks {
        guide.step(
            "A little more than agreed?",
            "The citizen has agreed to one payment, of 1 000 tenge, to this account. The app tries 2 000.",
        );
        let exchange = session.ask(&payment(&order(parties, "2000.00", "More"), &new_key())).await?;
        guide.show(&exchange, &["/instructedAmount"], &[]);
        guide.expect_answer(&exchange, 403, Some("payment_consent_mismatch"))?;
    }
    guide.step(
        "Pay 1 000 tenge",
        "The app names both accounts and the amount, and gives the payment a name of its own: the idempotency key.",
    );
    let first = session.ask(&payment(&made.body, &made.key)).await?;
    guide.show(&first, &ORDER, &["/paymentId", "/status"]);
    guide.expect_answer(&first, 201, None)?;
    guide.step(
        "The answer got lost. Pay again?",
        "Networks break at the worst moment: the app cannot know whether its payment arrived. So it sends the same body \
         under the same key again. The gateway remembers the key and gives the first answer, without asking the bank.",
    );
    let second = session.ask(&payment(&made.body, &made.key)).await?;
    guide.show(&second, &["/instructedAmount"], &["/paymentId", "/status"]);
    guide.expect_answer(&second, 201, None)?;
    guide.expect_that("the same answer, to the letter", first.body == second.body)?;
    if app.asks {
        guide.step(
            "A second lunch?",
            "The same payment under another key is another payment, and the citizen has agreed to one.",
        );
        let exchange = session.ask(&payment(&made.body, &new_key())).await?;
        guide.show(&exchange, &["/instructedAmount"], &[]);
        guide.expect_answer(&exchange, 422, Some("consent_consumed"))?;
    }
    let paid = Money::from_tiyn(100_000, Currency::Kzt);
    let left = parties.payer.balance.checked_sub(&paid).unwrap_or(parties.payer.balance);
    let exchange = balances(reading, &parties.payer.account).await?;
    guide.show(&exchange, &[], &[]);
    guide.expect("money moved once, the balance is", &tenge(&left), &tenge(&spendable(&exchange)?))?;
    Ok(made)
}

/// Pays a lot: is asked to have the payer verified, does so, and pays.
pub(crate) async fn large<'a>(
    guide: &mut Guide,
    app: &App<'a>,
    reading: &Session<'a>,
    parties: &Parties,
) -> Result<(), Stop> {
    let what_for = format!("Fridge {}", tag());
    let body = order(parties, "300000.00", &what_for);
    let key = new_key();
    let session = &citizen::payer(guide, app, parties, &body, false).await?;
    let stopped = challenge(guide, session, &body, &key).await?;
    let verification = verify(guide, &app.own, parties, &stopped).await?;
    let result = passed(guide, &app.own, &verification).await?;
    guide.step(
        "The same payment, now with the result",
        "Same body, same key, and beside them the signed result. The gateway checks its signature, that it was made for \
         this app and this very payment, and that nobody has used it yet. Then it tells the bank who was verified, and \
         the bank sees that it is the owner of the account.",
    );
    let exchange = session.ask(&payment(&body, &key).with("x-identity-result", &result)).await?;
    guide.show(&exchange, &["/instructedAmount"], &["/paymentId", "/status"]);
    guide.expect_answer(&exchange, 201, None)?;
    statement(guide, reading, parties, &what_for).await?;
    let other = order(parties, "260000.00", "Another fridge");
    let session = &citizen::payer(guide, app, parties, &other, false).await?;
    guide.step(
        "One result, one payment",
        "Could the app keep the result and empty the account with it? It tries another amount with the same result.",
    );
    let exchange = session.ask(&payment(&other, &new_key()).with("x-identity-result", &result)).await?;
    guide.show(&exchange, &["/instructedAmount"], &[]);
    guide.expect_answer(&exchange, 403, Some("verification_failed"))?;
    guide.lesson("The result is bound to the body it was made for, and it is spent. It opens nothing else.");
    Ok(())
}

async fn challenge(guide: &mut Guide, session: &Session<'_>, body: &Value, key: &str) -> Result<Exchange, Stop> {
    guide.step(
        "Pay 300 000 tenge",
        "Above 250 000 tenge (policies/national/stepup.yaml) an app's word is not enough: the person who pays has to be \
         there. The gateway does not ask the bank yet. It says what is missing, and gives a binding: a hash of this very \
         payment.",
    );
    let exchange = session.ask(&payment(body, key)).await?;
    guide.show(&exchange, &ORDER, &["/step_up/verification", "/step_up/purpose", "/step_up/binding/hash"]);
    guide.expect_answer(&exchange, 401, Some("step_up_required"))?;
    let challenge = exchange.header("www-authenticate").unwrap_or_default();
    guide.expect_that(
        "the challenge says so to any OAuth client (RFC 9470)",
        challenge.contains("insufficient_user_authentication") && challenge.contains("acr_values"),
    )?;
    guide.expect_that(
        "there is a binding",
        exchange.text("/step_up/binding/hash").is_some_and(|hash| hash.len() == 43),
    )?;
    Ok(exchange)
}

/// Begins a verification; gives its id.
async fn verify(
    guide: &mut Guide,
    session: &Session<'_>,
    parties: &Parties,
    stopped: &Exchange,
) -> Result<String, Stop> {
    guide.step(
        "Who are you?",
        "The app asks the gateway to have the payer verified, and sends the binding along as it is. The gateway chooses \
         an identity provider and gives back the page where the person would look into the camera. No picture ever \
         passes through the app.",
    );
    let challenge = stopped.json().unwrap_or(Value::Null);
    let member = |pointer: &str| challenge.pointer(pointer).cloned().unwrap_or(Value::Null);
    let body = json!({
        "subject": {"type": "iin", "value": parties.payer.iin},
        "purpose": member("/step_up/purpose"),
        "level": level(stopped.header("www-authenticate").unwrap_or_default()),
        "binding": member("/step_up/binding"),
    });
    let exchange = session.ask(&Question::post(VERIFICATIONS, &body).with("x-idempotency-key", &new_key())).await?;
    guide.show(&exchange, &["/purpose", "/level", "/binding/hash"], &["/id", "/status", "/redirectUrl"]);
    guide.expect_answer(&exchange, 201, None)?;
    exchange.text("/id").ok_or_else(|| Stop::Trouble("The verification has no id.".to_owned()))
}

/// Waits until the verification has passed; gives the signed result.
async fn passed(guide: &mut Guide, session: &Session<'_>, verification: &str) -> Result<String, Stop> {
    guide.step(
        "A moment in front of the camera",
        "The person is invented and so is the camera: the sandbox's provider says `match` at once, in a signed call back \
         to the gateway. The app asks now and then how far it is.",
    );
    let question = Question::get(&format!("{VERIFICATIONS}/{verification}"));
    let mut tries = VERIFICATION_TIME_MAX.as_millis() / POLL.as_millis();
    guide.waiting("     its status: ");
    let exchange = loop {
        let exchange = session.ask(&question).await?;
        let status = exchange.text("/status").unwrap_or_default();
        let undecided = matches!(status.as_str(), "created" | "capture_pending");
        if exchange.status != 200 || !undecided || tries == 0 {
            break exchange;
        }
        tries -= 1;
        guide.waiting(&format!("{} … ", story::clean(&status)));
        tokio::time::sleep(POLL).await;
    };
    guide.waiting(&format!("{}\n", story::clean(&exchange.text("/status").unwrap_or_default())));
    guide.show(&exchange, &[], &["/status", "/acr", "/result"]);
    guide.expect_answer(&exchange, 200, None)?;
    guide.expect("status", "passed", &exchange.text("/status").unwrap_or_default())?;
    guide.expect_that("there is a signed result", exchange.text("/result").is_some())?;
    Ok(exchange.text("/result").unwrap_or_default())
}

async fn statement(guide: &mut Guide, session: &Session<'_>, parties: &Parties, what_for: &str) -> Result<(), Stop> {
    guide.step("Look at the statement", "The bank's books tell what really happened.");
    let account = &parties.payer.account;
    let exchange = session.ask(&Question::get(&format!("/v1/accounts/{account}/transactions?limit=100"))).await?;
    guide.show(&exchange, &[], &[]);
    guide.expect_answer(&exchange, 200, None)?;
    let body = exchange.json().unwrap_or(Value::Null);
    let all = body.pointer("/transactions").and_then(Value::as_array).cloned().unwrap_or_default();
    let text =
        |entry: &Value, pointer: &str| entry.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let ours: Vec<&Value> = all.iter().filter(|entry| text(entry, "/remittanceInformation") == what_for).collect();
    for entry in &ours {
        let told = format!("{} {}", text(entry, "/direction"), super::guide::grouped(&text(entry, "/amount/amount")));
        guide.detail(&text(entry, "/remittanceInformation"), &told);
    }
    guide.expect("the large payment is booked, times", "1", &ours.len().to_string())?;
    let amount = ours.first().map(|entry| text(entry, "/amount/amount")).unwrap_or_default();
    guide.expect("with the amount", "300000.00", &amount)
}

// The level stands at the end of the context class, for example `urn:qaqpa:acr:L2`.
fn level(challenge: &str) -> String {
    let class = challenge.split("acr_values=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
    let level = class.split(' ').next().and_then(|class| class.rsplit(':').next()).unwrap_or_default();
    if level.starts_with('L') { level.to_owned() } else { "L2".to_owned() }
}

// Tells this tour's payments from those of other tours.
fn tag() -> String {
    entropy::token_128bit().chars().filter(char::is_ascii_alphanumeric).take(6).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_is_read_from_the_challenge() {
        assert_eq!(level(r#"DPoP algs="ES256", acr_values="urn:qaqpa:acr:L3", x="y""#), "L3");
        assert_eq!(level("DPoP"), "L2");
    }

    #[test]
    fn a_key_fits_the_contract() {
        let key = new_key();
        assert!(key.len() <= 40 && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)));
    }
}
