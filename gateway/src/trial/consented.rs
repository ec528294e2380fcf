//! What a citizen of a trial has agreed to: made to fit the very call, or to miss it as a case asks for.
//!
//! Made without a citizen and without a store, since a call is judged by what its token carries. Must never be a reason
//! to let anything pass: the token is judged as any other.

use std::collections::BTreeSet;
use std::time::Duration;

use adapters::entropy;
use adapters::store::port::{ClaimAnswer, NewClaim};
use openapi::Operation;
use policies::case::Consented;
use policies::consent::{ACCOUNTS_MAX, ConsentKind, PaymentOrder, Permission, Terms, is_account_id};
use policies::details::Detail;
use policies::id::{ConsentId, GrantId, IdempotencyKey};
use policies::rule::consent::spent_as;
use policies::rulebook::{Client, ConsentHolder, ConsentNeed};
use policies::terms::NewTerms;
use policies::token::Citizen;
use serde_json::{Value, json};

use super::error::TrialError;
use super::request::Draft;
use super::scene::Scene;

/// An account that nobody asks for.
const ELSEWHERE: &str = "account-of-somebody-else";

/// How long the claim that has used up a consent is kept: longer than a call of a trial takes.
const KEPT: Duration = Duration::from_secs(86_400);

/// What a call and what is behind it say of accounts and payments.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    /// What is needed; none of an operation that needs no consent.
    pub(super) need: Option<&'a ConsentNeed>,
    /// What is called.
    pub(super) operation: &'a Operation,
    /// The request.
    pub(super) draft: &'a Draft,
    /// What the service behind it will answer.
    pub(super) scripted: &'a [u8],
}

impl Asked<'_> {
    /// Makes the citizen that a token of `client` speaks for; none if it speaks for the client alone.
    ///
    /// What a case leaves out is what fits, where the operation asks the client for a consent.
    pub(super) async fn citizen(
        self,
        scene: &Scene<'_>,
        client: &Client,
        said: Option<Consented>,
    ) -> Result<Option<Citizen>, TrialError> {
        let asks = self.need.is_some() && client.oauth.consents == ConsentHolder::Gateway;
        let consented = said.unwrap_or(if asks { Consented::Fits } else { Consented::None });
        if consented == Consented::None {
            return Ok(None);
        }
        let consent = ConsentId::parse(&entropy::uuid_v7(scene.now())).map_err(TrialError::new)?;
        let detail = match self.need.map_or(ConsentKind::AccountAccess, |need| need.kind) {
            ConsentKind::AccountAccess => self.accounts(consent, consented),
            ConsentKind::DomesticPayment => self.order(consent, consented)?,
        };
        if consented == Consented::Consumed {
            use_up(scene, client, detail.consent()).await?;
        }
        let level = scene.generation().rulebook.consents.get(&detail.kind()).map_or("L2", |terms| terms.level);
        Ok(Some(Citizen {
            grant: GrantId::parse(&entropy::uuid_v7(scene.now())).map_err(TrialError::new)?,
            details: vec![detail],
            acr: format!("urn:qaqpa:acr:{level}"),
            authenticated: scene.now(),
        }))
    }

    fn accounts(self, consent: ConsentId, consented: Consented) -> Detail {
        let mut accounts = BTreeSet::new();
        if consented != Consented::Other {
            let named = self.need.and_then(|need| need.account.as_deref());
            accounts.extend(named.and_then(|name| segment(self.operation.template(), &self.draft.path, name)));
            accounts.extend(self.listed());
        }
        let fit: BTreeSet<String> = accounts.into_iter().filter(|id| is_account_id(id)).take(ACCOUNTS_MAX).collect();
        // What is granted names an account at least.
        let accounts = if fit.is_empty() { [ELSEWHERE.to_owned()].into() } else { fit };
        Detail::AccountInformation { consent, permissions: Permission::ALL.into_iter().collect(), accounts }
    }

    // The accounts of the answer to come: a citizen who shares all of them.
    fn listed(self) -> Vec<String> {
        let Some(list) = self.need.and_then(|need| need.list.as_ref()) else { return Vec::new() };
        let example = || self.operation.example_response().map(|example| example.body).unwrap_or_default();
        let answer: Option<Value> =
            serde_json::from_slice(self.scripted).ok().or_else(|| serde_json::from_slice(example().as_ref()).ok());
        let items = answer.as_ref().and_then(|answer| answer.pointer(list.items.as_str())).and_then(Value::as_array);
        let id = |item: &Value| item.pointer(list.id.as_str()).and_then(Value::as_str).map(str::to_owned);
        items.into_iter().flatten().filter_map(id).collect()
    }

    // A body that is no payment is refused before anybody compares it; then any order will do.
    fn order(self, consent: ConsentId, consented: Consented) -> Result<Detail, TrialError> {
        let body: Option<Value> = serde_json::from_slice(&self.draft.body).ok();
        let order = body.as_ref().and_then(order_of).or_else(|| order_of(&usual()));
        let mut order = order.ok_or_else(|| TrialError::new("the payment that was agreed to could not be made"))?;
        if consented == Consented::Other {
            order.knp = if order.knp == "119" { "120" } else { "119" }.to_owned();
        }
        order.debtor = order.debtor.or_else(|| Some(order.creditor.clone()));
        Ok(Detail::PaymentInitiation { consent, order })
    }
}

fn order_of(body: &Value) -> Option<PaymentOrder> {
    match NewTerms::parse(ConsentKind::DomesticPayment, body).ok()?.terms {
        Terms::DomesticPayment(order) => Some(order),
        Terms::AccountAccess(_) => None,
    }
}

fn usual() -> Value {
    json!({
        "debtorAccount": {"iban": "KZ86125KZT5004100100"}, "creditorAccount": {"iban": "KZ563190000012344567"},
        "creditorName": "Trial", "instructedAmount": {"amount": "1.00", "currency": "KZT"}, "knp": "119",
    })
}

// As another call of the same client would have: in one step with the claim of its key.
async fn use_up(scene: &Scene<'_>, client: &Client, consent: &ConsentId) -> Result<(), TrialError> {
    let operation = policies::id::OperationId::parse("trial").map_err(TrialError::new)?;
    let key = IdempotencyKey::bind(&client.id, &operation, &entropy::uuid_v4()).map_err(TrialError::new)?;
    let claim = NewClaim {
        key,
        organisation: client.organisation.id.clone(),
        digest: [0; 32],
        reference: consent.as_str().to_owned(),
        lease: KEPT,
        keep: KEPT,
        settles: false,
    };
    let claims = &scene.house.claims;
    match claims.claim(claim, scene.now()).await? {
        ClaimAnswer::Taken(ticket) if claims.clear(&ticket, &[spent_as(consent)], scene.now()).await? => Ok(()),
        _ => Err(TrialError::new("the consent could not be used up")),
    }
}

// Returns what stands in a path where the template has a parameter.
fn segment(template: &str, path: &str, name: &str) -> Option<String> {
    let placeholder = format!("{{{name}}}");
    let at = template.split('/').position(|part| part == placeholder)?;
    path.split('/').nth(at).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_found_where_the_template_has_it() {
        let found = |name: &str| segment("/v1/accounts/{accountId}/balances", "/v1/accounts/a-1/balances", name);
        assert_eq!(found("accountId").as_deref(), Some("a-1"));
        assert_eq!(found("id"), None);
        assert_eq!(segment("/v1/{a}.json", "/v1/x.json", "a"), None);
    }

    #[test]
    fn the_usual_order_is_one() {
        assert!(order_of(&usual()).is_some());
        assert!(order_of(&json!({"knp": "119"})).is_none());
    }
}
