//! What a citizen has to do with it: asked on the gateway's own pages, agreeing, and changing their mind.

use serde_json::Value;

use super::arrival::{App, Parties, Person, afford, affords, balances, spendable, tenge, text};
use super::guide::{Guide, Stop};
use crate::cli::agreement::{Refused, Wish, agree, code, redirect};
use crate::cli::client::{Actor, Citizen, Consent, Decision, Pkce, Question, SandboxFile, SandboxSubject, Session};
use crate::cli::story;

/// A token that reads accounts, and the consent that it came of.
pub(crate) struct Reading<'a> {
    /// With it.
    pub(crate) session: Session<'a>,
    /// None where nobody was asked.
    consent: Option<Consent>,
}

impl<'a> Reading<'a> {
    /// Reads with the app's own token, where nobody is asked.
    pub(crate) fn own(app: &App<'a>) -> Self {
        Self { session: app.own.clone(), consent: None }
    }
}

/// Has a citizen agree to show the accounts, and chooses who pays whom.
pub(crate) async fn people<'a>(guide: &mut Guide, app: &App<'a>) -> Result<(Reading<'a>, Parties), Stop> {
    let people: Vec<&SandboxSubject> =
        app.sandbox.subjects.iter().filter(|subject| subject.scenario == "match").take(2).collect();
    let [first, second] = <[&SandboxSubject; 2]>::try_from(people).map_err(|_| {
        Stop::Trouble("The tour needs two people whose verification succeeds (scenario `match`).".to_owned())
    })?;
    guide.chapter("A citizen says yes", "The app asks a customer for a look at the accounts, and is let in.");
    let reading = ask(guide, app, first).await?;
    let payer = owner(guide, &reading.session, first).await?;
    if affords(&payer) {
        return Ok((reading, afford(payer, stranger(second))?));
    }
    guide.lesson("Too little for this tour. Somebody else pays, who is asked in the same way and agrees.");
    let reading = quietly(guide, app.sandbox, app.actor, &app.own, &second.iin, &Wish::Access).await?;
    let payer = owner(guide, &reading.session, second).await?;
    Ok((reading, afford(payer, stranger(first))?))
}

async fn ask<'a>(guide: &mut Guide, app: &App<'a>, person: &SandboxSubject) -> Result<Reading<'a>, Stop> {
    let (consent, pushed, pkce) = wish(guide, app).await?;
    guide.step(
        "The citizen's page",
        "The browser goes to the gateway itself. The citizen gives their number and looks into the (invented) camera of \
         an identity provider; then reads who asks for what and for how long, chooses the accounts, and says yes. The app \
         sees nothing of it: only the browser comes back, with a code.",
    );
    let request = pushed.clone();
    let visit = Citizen::new(app.sandbox, &person.iin)?
        .decide(&app.actor.record().client_id, &request, Decision::Approve)
        .await?;
    for (number, page) in (1..).zip(&visit.pages) {
        guide.detail(&format!("page {number}"), page);
    }
    let back = redirect(app.actor)?;
    guide.detail("sent back to", visit.answer.split('?').next().unwrap_or_default());
    guide.expect_that("the browser came back where the app is registered", visit.answer.starts_with(&back))?;
    guide.expect("iss", &app.sandbox.issuer, &visit.parameter("iss").unwrap_or_default())?;
    guide.expect("state", &pkce.state, &visit.parameter("state").unwrap_or_default())?;

    guide.step(
        "A code becomes a token",
        "The code is good for a minute and for one use, by this app, with the secret that its request was bound to (PKCE) \
         and its own key. Stolen from the browser it is worth nothing.",
    );
    let code = code(&visit, &pkce, &app.sandbox.issuer)?;
    let granted = app.actor.redeem(&code, &back, &pkce).await?;
    guide.show(&granted, &[], &["/token_type", "/expires_in", "/scope", "/access_token", "/refresh_token"]);
    guide.expect_answer(&granted, 200, None)?;
    let session = app.actor.session(&granted)?;
    let claims = session.claims().unwrap_or(Value::Null);
    let subject = text(&claims, "/sub");
    guide.detail("sub", &story::cut(subject, 24));
    guide.detail("grant_id", &story::shorten(text(&claims, "/grant_id")));
    guide.expect_that("the token speaks for a citizen", subject.starts_with("citizen:"))?;
    guide.lesson("Who the citizen is stands nowhere in it: this app alone knows them under this name.");
    Ok(Reading { session, consent: Some(consent) })
}

// The first two steps: the consent, and the request that was pushed.
async fn wish(guide: &mut Guide, app: &App<'_>) -> Result<(Consent, String, Pkce), Stop> {
    guide.step(
        "What the app would like",
        "It says so beforehand, in a consent that waits for a citizen: which facts, what for, until when.",
    );
    let made = app.own.ask(&Wish::Access.question()).await?;
    guide.show(&made, &["/permissions", "/purpose", "/expiresAt"], &["/consentId", "/status"]);
    guide.expect_answer(&made, 201, None)?;
    guide.expect("status", "awaiting_authorisation", &made.text("/status").unwrap_or_default())?;
    let consent = Consent::of(&made)?;
    guide.step(
        "Pushed, not linked",
        "What is asked for never passes through a browser, where anybody could change it. The app pushes it to the \
         gateway (PAR) and gets a name for it that is good for minutes.",
    );
    let pkce = Pkce::fresh();
    let pushed = app.actor.push(&consent, &redirect(app.actor)?, &pkce).await?;
    guide.show(&pushed, &[], &["/request_uri", "/expires_in"]);
    guide.expect_answer(&pushed, 201, None)?;
    let request = pushed.text("/request_uri").unwrap_or_default();
    guide.expect_that("the request has a name", request.starts_with("urn:ietf:params:oauth:request_uri:"))?;
    Ok((consent, request, pkce))
}

// The account of whoever agreed, and what is on it.
async fn owner(guide: &mut Guide, session: &Session<'_>, person: &SandboxSubject) -> Result<Person, Stop> {
    guide.step("What the app sees now", "The accounts that the citizen has chosen, and no others.");
    let exchange = session.ask(&Question::get("/v1/accounts")).await?;
    guide.show(&exchange, &[], &[]);
    guide.expect_answer(&exchange, 200, None)?;
    let body = exchange.json().unwrap_or(Value::Null);
    let accounts: Vec<&Value> = body.pointer("/accounts").and_then(Value::as_array).into_iter().flatten().collect();
    for account in &accounts {
        guide.detail(text(account, "/iban"), text(account, "/name"));
    }
    let own = accounts.iter().find(|account| text(account, "/iban") == person.iban);
    guide.expect_that("the citizen's account is among them", own.is_some())?;
    let account = own.map(|own| text(own, "/accountId").to_owned()).unwrap_or_default();
    let exchange = balances(session, &account).await?;
    guide.show(&exchange, &[], &[]);
    guide.expect_answer(&exchange, 200, None)?;
    let balance = spendable(&exchange)?;
    guide.detail(&person.iban, &format!("{} can be spent", tenge(&balance)));
    Ok(Person { account, iban: person.iban.clone(), iin: person.iin.clone(), balance })
}

// Whoever is paid: nothing of theirs is looked at.
fn stranger(person: &SandboxSubject) -> Person {
    let balance = policies::national::money::Money::from_tiyn(0, policies::national::money::Currency::Kzt);
    Person { account: String::new(), iban: person.iban.clone(), iin: person.iin.clone(), balance }
}

/// Gives the token to make a payment with: the app's own where nobody is asked, else one of the payer's consent to it.
pub(crate) async fn payer<'a>(
    guide: &mut Guide,
    app: &App<'a>,
    parties: &Parties,
    order: &Value,
    told: bool,
) -> Result<Session<'a>, Stop> {
    if !app.asks {
        return Ok(app.own.clone());
    }
    if told {
        guide.step(
            "The payer agrees to exactly this",
            "The same way again: a consent, now with both accounts and the amount in it; the payer sees them on the \
             gateway's page, large, and confirms.",
        );
    }
    let reading =
        quietly(guide, app.sandbox, app.actor, &app.own, &parties.payer.iin, &Wish::Payment(order.clone())).await?;
    if told {
        let claims = reading.session.claims().unwrap_or(Value::Null);
        let details = claims.pointer("/authorization_details/0").cloned().unwrap_or(Value::Null);
        guide.expect("the token is for", "payment_initiation", text(&details, "/type"))?;
    }
    Ok(reading.session)
}

/// Has a citizen agree, in one breath.
pub(crate) async fn quietly<'a>(
    guide: &mut Guide,
    sandbox: &SandboxFile,
    actor: &'a Actor,
    own: &Session<'a>,
    iin: &str,
    wish: &Wish,
) -> Result<Reading<'a>, Stop> {
    match agree(sandbox, actor, own, iin, wish).await {
        Ok(agreed) => {
            guide.detail("consent", &format!("{}, approved", agreed.consent.id));
            Ok(Reading { session: actor.session(&agreed.granted)?, consent: Some(agreed.consent) })
        }
        Err(Refused::Trouble(text)) => Err(Stop::Trouble(text)),
        Err(Refused::Answer(refused)) => {
            guide.show(&refused, &[], &[]);
            guide.expect_answer(&refused, 200, None)?;
            Err(Stop::Surprise)
        }
    }
}

/// Has the citizen take the consent back, and sees the token end with it.
pub(crate) async fn change_of_mind(
    guide: &mut Guide,
    app: &App<'_>,
    reading: &Reading<'_>,
    iin: &str,
) -> Result<(), Stop> {
    let Some(consent) = &reading.consent else { return Ok(()) };
    guide.chapter("A change of mind", "A yes can be taken back, without asking the app.");
    guide.step(
        "The citizen takes it back",
        "On the gateway's own page (/oauth/consents) stand all apps that may do something in the citizen's name. One \
         button ends it. The token of before is still good for minutes, by its own word.",
    );
    let visit = Citizen::new(app.sandbox, iin)?.revoke(&consent.id).await?;
    for (number, page) in (1..).zip(&visit.pages) {
        guide.detail(&format!("page {number}"), page);
    }
    let read = app.own.ask(&Question::get(&consent.path)).await?;
    guide.show(&read, &[], &["/status"]);
    guide.expect("the consent is", "revoked", &read.text("/status").unwrap_or_default())?;
    guide.step("The next call", "With the token of before, a moment later.");
    let exchange = reading.session.ask(&Question::get("/v1/accounts?limit=1")).await?;
    guide.show(&exchange, &[], &[]);
    guide.expect_answer(&exchange, 401, Some("token_invalid"))?;
    guide.lesson("What was taken back is known to every gateway within a second.");
    Ok(())
}
