//! The accounts of a citizen who is at our own page: asked of the backend that has them, for nobody else.

use std::time::Instant;

use adapters::upstream::Pools;
use http::header::{ACCEPT, HeaderMap, HeaderValue};
use http::uri::PathAndQuery;
use http::{HeaderName, StatusCode};
use policies::code::Outage;
use policies::consent::SharedAccount;
use policies::id::InteractionId;
use policies::national::iban::Iban;
use policies::rulebook::Service;
use policies::secret::Secret;
use serde_json::Value;
use spine::body::Body;

use crate::generation::Generation;
use crate::layer::answer::ANSWER_BYTES_MAX;
use crate::layer::read;
use crate::layer::trace::INTERACTION;
use crate::proxy::read_from;

/// Whose accounts are asked for: the gateway has just verified them.
const CUSTOMER: HeaderName = HeaderName::from_static("x-qaqpa-customer");

/// The name of this port in outages.
const PORT: &str = "customer accounts";

/// The most accounts that a citizen is shown; a list of more would not be read.
pub const ACCOUNTS_MAX: usize = 100;

/// An account, and what its owner calls it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedAccount {
    /// Which it is.
    pub account: SharedAccount,
    /// Its name, as the backend has it; may be empty.
    pub name: String,
}

/// Asks for the open accounts of a citizen, by the operation that policy names for that.
///
/// # Errors
/// An outage if policy names none, if the backend cannot be asked, or if its answer is no list of accounts.
pub async fn of_customer(
    generation: &Generation,
    pools: &Pools<Body>,
    iin: &Secret<String>,
    interaction: &InteractionId,
    deadline: Instant,
) -> Result<Vec<NamedAccount>, Outage> {
    let outage = |why: &str| Outage::new(PORT, why);
    let rulebook = &generation.rulebook;
    let id = rulebook.customer_accounts.as_ref().ok_or_else(|| outage("no policy names `customerAccounts`"))?;
    let policy = rulebook.operations.get(id).ok_or_else(|| outage("the operation is not exposed"))?;
    let Service::Upstream(upstream) = &policy.service else { return Err(outage("the operation has no backend")) };
    let operation = generation.contract.operations().iter().find(|operation| operation.id() == id.as_str());
    let operation = operation.ok_or_else(|| outage("the contract has no such operation"))?;
    let target = PathAndQuery::try_from(operation.template()).map_err(|_| outage("its path is no target"))?;
    let mut customer = HeaderValue::from_str(iin.expose()).map_err(|_| outage("the number is no header value"))?;
    customer.set_sensitive(true);
    let interaction = HeaderValue::from_str(interaction.as_str()).map_err(|_| outage("the interaction has no name"))?;
    let headers =
        [(ACCEPT, HeaderValue::from_static("application/json")), (INTERACTION, interaction), (CUSTOMER, customer)];
    let sent = read_from(pools, upstream, target, HeaderMap::from_iter(headers));
    let sent = tokio::time::timeout_at(deadline.into(), sent).await;
    let reply = match sent {
        Ok(Ok(reply)) => reply,
        Ok(Err(error)) => return Err(Outage::new(PORT, error)),
        Err(_) => return Err(outage("the backend did not answer in time")),
    };
    if reply.status() != StatusCode::OK {
        return Err(Outage::new(PORT, format!("the backend answered {}", reply.status().as_u16())));
    }
    let body = read::read(reply.into_body(), ANSWER_BYTES_MAX, deadline).await;
    let body = body.map_err(|rejection| Outage::new(PORT, rejection.cause().unwrap_or("the answer broke off")))?;
    listed(&body).ok_or_else(|| outage("the backend's answer is no list of accounts"))
}

// As the published contract has it; an account that cannot be shared, because it is closed or has another kind of number,
// is not shown.
fn listed(body: &[u8]) -> Option<Vec<NamedAccount>> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let open = |account: &&Value| account.get("status").and_then(Value::as_str) != Some("closed");
    let read = |account: &Value| {
        let text = |name: &str| account.get(name).and_then(Value::as_str);
        let id = text("accountId").filter(|id| is_id(id))?;
        let account = SharedAccount { id: id.to_owned(), iban: Iban::parse(text("iban")?).ok()? };
        Some(NamedAccount { account, name: text("name").unwrap_or_default().to_owned() })
    };
    let accounts = body.get("accounts")?.as_array()?;
    Some(accounts.iter().filter(open).filter_map(read).take(ACCOUNTS_MAX).collect())
}

// What may stand in a token and, with commas between, in a header.
fn is_id(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    #[test]
    fn what_is_no_account_of_the_contract_is_not_shown() {
        for body in ["", "[]", "{}", r#"{"accounts":{}}"#] {
            assert_eq!(listed(body.as_bytes()), None, "{body}");
        }
        let iban = "KZ86125KZT5004100100";
        for account in [
            "null".to_owned(),
            format!(r#"{{"iban":"{iban}"}}"#),
            r#"{"accountId":"a"}"#.to_owned(),
            r#"{"accountId":"a","iban":"DE89370400440532013000"}"#.to_owned(),
            format!(r#"{{"accountId":"a,b","iban":"{iban}"}}"#),
            format!(r#"{{"accountId":"","iban":"{iban}"}}"#),
            format!(r#"{{"accountId":"{}","iban":"{iban}"}}"#, "a".repeat(65)),
            format!(r#"{{"accountId":"a","iban":"{iban}","status":"closed"}}"#),
        ] {
            assert_eq!(listed(format!(r#"{{"accounts":[{account}]}}"#).as_bytes()), Some(vec![]), "{account}");
        }
        let good =
            listed(format!(r#"{{"accounts":[{{"accountId":"a-1","iban":"{iban}","name":"Salary"}}]}}"#).as_bytes());
        assert_eq!(good.unwrap().first().map(|found| found.name.as_str()), Some("Salary"));
    }

    #[test]
    fn a_citizen_is_shown_a_hundred_accounts_at_most() {
        let one = r#"{"accountId":"a","iban":"KZ86125KZT5004100100"}"#;
        for (count, shown) in [(ACCOUNTS_MAX, ACCOUNTS_MAX), (ACCOUNTS_MAX + 1, ACCOUNTS_MAX)] {
            let body = format!(r#"{{"accounts":[{}]}}"#, vec![one; count].join(","));
            assert_eq!(listed(body.as_bytes()).unwrap().len(), shown);
        }
    }
}
