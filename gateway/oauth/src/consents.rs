//! Consents as resources: a client makes, reads and ends what it wants a citizen to agree to.

use adapters::authorizations::{Batch, Found};
use policies::code::Code;
use policies::consent::{Consent, ConsentKind, ConsentState, Terms};
use policies::id::{ClientId, ConsentId};
use policies::rulebook::ConsentTerms;
use policies::terms::{NewTerms, TermsFault, order_members};
use policies::time::Timestamp;
use serde_json::{Map, Value, json};
use spine::error::{PointedFault, Rejection};

use crate::{Server, away, ending};

/// Makes a consent; gives the body of the answer.
///
/// `id` is the reference of the request: one that is repeated after it broke off finds the consent that it has made.
///
/// # Errors
/// [`Code::ConsentInvalid`] if this cannot be consented to; an outage of the store.
pub async fn create(
    server: &Server<'_>,
    client: &ClientId,
    kind: ConsentKind,
    id: ConsentId,
    body: &Value,
    now: Timestamp,
) -> Result<Value, Rejection> {
    let terms = NewTerms::parse(kind, body).map_err(faulty)?;
    let rule = server.rulebook.consents.get(&kind).copied().unwrap_or_else(|| ConsentTerms::usual(kind));
    let consent = Consent::create(id.clone(), client.clone(), terms.terms, terms.lasts_until, &rule, now);
    let consent = consent.map_err(|error| Rejection::new(Code::ConsentInvalid, error.to_string()).because(error))?;
    if Batch::new().add(&consent).commit(server.store, now).await.map_err(|outage| away(&outage))? {
        return Ok(told(&consent, consent.state_at(now, false)));
    }
    read(server, client, kind, &id, now).await
}

/// Tells how a consent stands; gives the body of the answer.
///
/// # Errors
/// [`Code::NotFound`] unless it is one of this client and kind; an outage of the store.
pub async fn read(
    server: &Server<'_>,
    client: &ClientId,
    kind: ConsentKind,
    id: &ConsentId,
    now: Timestamp,
) -> Result<Value, Rejection> {
    let consent = own(server, client, kind, id).await?.value;
    let spent = ending::is_spent(server, &consent, now).await?;
    Ok(told(&consent, consent.state_at(now, spent)))
}

/// Ends a consent and everything that came of it; nothing happens to one that is over.
///
/// # Errors
/// As [`read`].
pub async fn end(
    server: &Server<'_>,
    client: &ClientId,
    kind: ConsentKind,
    id: &ConsentId,
    now: Timestamp,
) -> Result<(), Rejection> {
    own(server, client, kind, id).await?;
    ending::end_consent(server, id, now).await
}

async fn own(
    server: &Server<'_>,
    client: &ClientId,
    kind: ConsentKind,
    id: &ConsentId,
) -> Result<Found<Consent>, Rejection> {
    let found = ending::consent(server, id).await?;
    let found = found.filter(|found| found.value.client == *client && found.value.terms.kind() == kind);
    found.ok_or_else(|| Rejection::new(Code::NotFound, "Your client has asked for no such consent."))
}

fn faulty(faults: Vec<TermsFault>) -> Rejection {
    let pointed = |fault: TermsFault| PointedFault {
        pointer: fault.pointer,
        keyword: "consent".to_owned(),
        message: fault.message.to_owned(),
    };
    Rejection::new(Code::ConsentInvalid, "This cannot be consented to.")
        .faults(faults.into_iter().map(pointed).collect())
}

fn told(consent: &Consent, state: ConsentState) -> Value {
    let mut body = Map::new();
    let mut put = |name: &str, value: Value| body.insert(name.to_owned(), value);
    put("consentId", json!(consent.id.as_str()));
    put("status", json!(state.word()));
    match &consent.terms {
        Terms::AccountAccess(access) => {
            put("permissions", access.permissions.iter().map(|permission| permission.word()).collect());
            if !access.shared.is_empty() {
                let shared = |account: &policies::consent::SharedAccount| json!({"accountId": account.id, "iban": account.iban.as_str()});
                put("accounts", access.shared.iter().map(shared).collect());
            } else if !access.wanted.is_empty() {
                put("accounts", access.wanted.iter().map(|iban| json!({"iban": iban.as_str()})).collect());
            }
            if let Some(purpose) = &access.purpose {
                put("purpose", json!(purpose));
            }
        }
        Terms::DomesticPayment(order) => {
            for (name, value) in order_members(order) {
                put(&name, value);
            }
        }
    }
    put("createdAt", json!(consent.created.to_string()));
    if state == ConsentState::AwaitingAuthorisation {
        put("awaitsUntil", json!(consent.expires.to_string()));
    }
    if let Some(decided) = consent.decided {
        put("decidedAt", json!(decided.to_string()));
    }
    put("expiresAt", json!(consent.lasts_until.to_string()));
    Value::Object(body)
}
