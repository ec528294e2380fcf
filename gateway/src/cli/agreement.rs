//! A citizen of the sandbox agrees to what a client wants: from the wish to the token that speaks for the citizen.

use adapters::clock::Clock;
use serde_json::Value;

use super::client::{
    Actor, Citizen, Consent, Decision, Exchange, Pkce, Question, SandboxFile, SandboxSubject, Session, Visit,
};

/// What the client of the command line says it wants the accounts for.
const PURPOSE: &str = "A look at your accounts from the command line";

/// What a citizen has to agree to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Wish {
    /// Reading accounts.
    Access,
    /// This payment.
    Payment(Value),
}

impl Wish {
    /// Finds what a call needs.
    pub(crate) fn of(question: &Question) -> Self {
        let payment = question.path.split('?').next() == Some("/v1/domestic-payments") && question.method == "POST";
        let body = payment.then(|| serde_json::from_slice(&question.body).ok()).flatten();
        body.map_or(Self::Access, Self::Payment)
    }

    /// Words it for the gateway.
    pub(crate) fn question(&self) -> Question {
        match self {
            Wish::Access => Consent::access(PURPOSE, Clock::system().now()),
            Wish::Payment(order) => Consent::payment(order),
        }
    }
}

/// Why a citizen did not agree.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The gateway refused something on the way.
    Answer(Box<Exchange>),
    /// It did not come to that; a sentence for people.
    Trouble(String),
}

impl From<String> for Refused {
    fn from(text: String) -> Self {
        Self::Trouble(text)
    }
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Agreed {
    /// The consent.
    pub(crate) consent: Consent,
    /// What the citizen saw.
    pub(crate) visit: Visit,
    /// The token's answer.
    pub(crate) granted: Exchange,
}

/// Finds the citizen: the one that is named, the owner of the account to be debited, or the first who is recognised.
pub(crate) fn person<'a>(
    sandbox: &'a SandboxFile,
    named: Option<&str>,
    wish: &Wish,
) -> Result<&'a SandboxSubject, String> {
    let debtor = match wish {
        Wish::Payment(order) => order.pointer("/debtorAccount/iban").and_then(Value::as_str),
        Wish::Access => None,
    };
    let people = &sandbox.subjects;
    let found = match (named, debtor) {
        (Some(named), _) => people.iter().find(|person| person.iin == named || person.scenario == named),
        (None, Some(iban)) => people.iter().find(|person| person.iban == iban).or(recognised(sandbox)),
        (None, None) => recognised(sandbox),
    };
    found.ok_or_else(|| {
        let mut scenarios: Vec<&str> = people.iter().map(|person| person.scenario.as_str()).collect();
        scenarios.sort_unstable();
        scenarios.dedup();
        let named = named.unwrap_or("match");
        format!(
            "The sandbox has no citizen `{named}`; a number (IIN) of sandbox.json, or one of: {}.",
            scenarios.join(", ")
        )
    })
}

fn recognised(sandbox: &SandboxFile) -> Option<&SandboxSubject> {
    sandbox.subjects.iter().find(|person| person.scenario == "match")
}

/// Makes the consent with the client's own token, has the citizen approve it, and redeems the code.
pub(crate) async fn agree(
    sandbox: &SandboxFile,
    actor: &Actor,
    own: &Session<'_>,
    iin: &str,
    wish: &Wish,
) -> Result<Agreed, Refused> {
    let made = own.ask(&wish.question()).await?;
    let consent = Consent::of(&fine(made, 201)?)?;
    let (pkce, redirect) = (Pkce::fresh(), redirect(actor)?);
    let pushed = fine(actor.push(&consent, &redirect, &pkce).await?, 201)?;
    let request = pushed.text("/request_uri").ok_or_else(|| "The pushed request has no name.".to_owned())?;
    let mut citizen = Citizen::new(sandbox, iin)?;
    let visit = citizen.decide(&actor.record().client_id, &request, Decision::Approve).await?;
    let code = code(&visit, &pkce, &sandbox.issuer)?;
    let granted = fine(actor.redeem(&code, &redirect, &pkce).await?, 200)?;
    Ok(Agreed { consent, visit, granted })
}

/// Returns where the client has browsers sent back to.
pub(crate) fn redirect(actor: &Actor) -> Result<String, String> {
    let record = actor.record();
    record
        .redirect_uris
        .first()
        .cloned()
        .ok_or_else(|| format!("The client `{}` has no redirect URI: nobody can be asked for it.", record.client_id))
}

/// Takes the code out of where the browser was sent, if that is the answer to this request by this issuer.
pub(crate) fn code(visit: &Visit, pkce: &Pkce, issuer: &str) -> Result<String, String> {
    if visit.parameter("state").as_deref() != Some(&pkce.state) || visit.parameter("iss").as_deref() != Some(issuer) {
        return Err("The answer of the authorization page is not one to this request (state, iss).".to_owned());
    }
    visit.parameter("code").ok_or_else(|| {
        let error = visit.parameter("error").unwrap_or_else(|| "no code and no error".to_owned());
        format!("The citizen did not agree: {error}. They saw \"{}\".", visit.pages.join("\", \""))
    })
}

fn fine(exchange: Exchange, status: u16) -> Result<Exchange, Refused> {
    if exchange.status == status { Ok(exchange) } else { Err(Refused::Answer(Box::new(exchange))) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_payment_needs_its_own_consent_and_all_else_one_to_read() {
        let order = json!({"instructedAmount": {"amount": "1.00"}});
        assert_eq!(Wish::of(&Question::post("/v1/domestic-payments", &order)), Wish::Payment(order.clone()));
        assert_eq!(Wish::of(&Question::post("/v1/other", &order)), Wish::Access);
        assert_eq!(Wish::of(&Question::get("/v1/domestic-payments")), Wish::Access);
        assert_eq!(Wish::of(&Question::get("/v1/accounts")), Wish::Access);
    }

    #[test]
    fn an_answer_to_another_request_is_not_taken() {
        let pkce = Pkce::fresh();
        let visit = |query: String| Visit { pages: Vec::new(), answer: format!("https://app.example/cb?{query}") };
        let right = visit(format!("code=c&state={}&iss=https%3A%2F%2Fgate", pkce.state));
        assert_eq!(code(&right, &pkce, "https://gate"), Ok("c".to_owned()));
        assert!(code(&right, &pkce, "https://thief").is_err());
        assert!(code(&right, &Pkce::fresh(), "https://gate").is_err());
        let refused = visit(format!("error=access_denied&state={}&iss=https%3A%2F%2Fgate", pkce.state));
        assert!(code(&refused, &pkce, "https://gate").is_err_and(|text| text.contains("access_denied")));
    }
}
