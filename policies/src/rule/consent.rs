//! What a citizen has agreed to, held against the call that is made in their name.
//!
//! A consent travels in the token ([`Detail`]); whether it was used up is the store's word. The members of a payment are
//! those of the published contract. This module must not know how a consent is asked for or kept.

use serde_json::{Map, Value};

use super::refusal::Refusal;
use crate::consent::{PaymentOrder, Permission};
use crate::details::Detail;
use crate::national::iban::Iban;
use crate::national::money::Money;
use crate::party::{Client, ConsentHolder, ScopeSet};
use crate::rulebook::ConsentNeed;
use crate::token::Citizen;

/// The members of a payment: an order says each, and a member that is none of them was never agreed to.
const DEBTOR: &str = "debtorAccount";
const CREDITOR: &str = "creditorAccount";
const CREDITOR_NAME: &str = "creditorName";
const AMOUNT: &str = "instructedAmount";
const KNP: &str = "knp";
const REMITTANCE: &str = "remittanceInformation";

/// Tells which of the things that a citizen has granted let a call be made; none of a client that is not asked for
/// consents.
///
/// `scopes` are those of the operation: what is granted has to hold the permission behind each. `account` is the one that
/// the path names, as far as `need` says that it names one.
///
/// # Errors
/// [`Refusal::ConsentMissing`] if nothing of the kind was granted, [`Refusal::AccountNotShared`] if not this account.
pub fn granted<'a>(
    need: &ConsentNeed,
    scopes: &ScopeSet,
    client: &Client,
    citizen: Option<&'a Citizen>,
    account: Option<&str>,
) -> Result<Vec<&'a Detail>, Refusal> {
    let Some(citizen) = citizen else {
        return match client.oauth.consents {
            ConsentHolder::Organisation => Ok(Vec::new()),
            ConsentHolder::Gateway => Err(Refusal::ConsentMissing { kind: need.kind }),
        };
    };
    let mut of_kind = citizen.details.iter().filter(|detail| detail.kind() == need.kind && permits(detail, scopes));
    if need.account.is_none() {
        let all: Vec<&Detail> = of_kind.collect();
        return if all.is_empty() { Err(Refusal::ConsentMissing { kind: need.kind }) } else { Ok(all) };
    }
    let Some(first) = of_kind.next() else { return Err(Refusal::ConsentMissing { kind: need.kind }) };
    let shared: Vec<&Detail> = std::iter::once(first).chain(of_kind).filter(|detail| shares(detail, account)).collect();
    if shared.is_empty() { Err(Refusal::AccountNotShared) } else { Ok(shared) }
}

/// Refuses a client in whose name no citizen can consent: it has nowhere to send them back to, and no other server that
/// asks them.
///
/// # Errors
/// [`Refusal::ConsentMissing`].
pub fn obtainable(need: &ConsentNeed, client: &Client) -> Result<(), Refusal> {
    let terms = &client.oauth;
    let exempt = terms.consents == ConsentHolder::Organisation;
    if exempt || terms.issuer.is_some() || !terms.redirect_uris.is_empty() {
        Ok(())
    } else {
        Err(Refusal::ConsentMissing { kind: need.kind })
    }
}

/// Finds the thing granted that a payment equals, member by member; only what needs no order equals anything.
///
/// # Errors
/// [`Refusal::OrderDiffers`], also of a body that nobody has read.
pub fn equal<'a>(granted: &'a [Detail], body: Option<&Value>) -> Result<Option<&'a Detail>, Refusal> {
    let mut differs = None;
    for detail in granted {
        match detail {
            Detail::AccountInformation { .. } => return Ok(None),
            Detail::PaymentInitiation { order, .. } => match difference(order, body) {
                None => return Ok(Some(detail)),
                Some(at) => differs = differs.or(Some(at)),
            },
        }
    }
    differs.map_or(Ok(None), |at| Err(Refusal::OrderDiffers { at }))
}

/// Names what a consent is spent under, in one transaction with the claim of the call that uses it up.
#[must_use]
pub fn spent_as(consent: &crate::id::ConsentId) -> String {
    format!("consent:{}", consent.as_str())
}

// A consent to read balances lends nothing to the list of transactions, whatever scopes stand beside it in the token.
fn permits(detail: &Detail, scopes: &ScopeSet) -> bool {
    match detail {
        Detail::AccountInformation { permissions, .. } => Permission::ALL
            .into_iter()
            .filter(|permission| scopes.contains(permission.scope()))
            .all(|permission| permissions.contains(&permission)),
        Detail::PaymentInitiation { .. } => true,
    }
}

fn shares(detail: &Detail, account: Option<&str>) -> bool {
    match detail {
        Detail::AccountInformation { accounts, .. } => account.is_some_and(|account| accounts.contains(account)),
        Detail::PaymentInitiation { .. } => false,
    }
}

// Gives the member that differs. Values are read, so that two spellings of one value are one; what cannot be read differs.
fn difference(order: &PaymentOrder, body: Option<&Value>) -> Option<&'static str> {
    const WHOLE: &str = "";
    let Some(Value::Object(body)) = body else { return Some(WHOLE) };
    let known = |name: &str| [DEBTOR, CREDITOR, CREDITOR_NAME, AMOUNT, KNP, REMITTANCE].contains(&name);
    let amount = || {
        let [amount, currency] = members(body, AMOUNT, ["amount", "currency"])?;
        Money::parse(amount, currency).ok()
    };
    let equal = [
        // An order without a debtor was never authorised.
        (DEBTOR, order.debtor.is_some() && iban(body, DEBTOR) == order.debtor),
        (CREDITOR, iban(body, CREDITOR).as_ref() == Some(&order.creditor)),
        (CREDITOR_NAME, text(body, CREDITOR_NAME) == Some(&order.creditor_name)),
        (AMOUNT, amount() == Some(order.amount)),
        (KNP, text(body, KNP) == Some(&order.knp)),
        (REMITTANCE, text(body, REMITTANCE) == order.remittance.as_deref() && readable(body, REMITTANCE)),
        (WHOLE, body.keys().all(|name| known(name))),
    ];
    equal.into_iter().find(|(_, equal)| !equal).map(|(at, _)| at)
}

fn iban(body: &Map<String, Value>, name: &str) -> Option<Iban> {
    let [number] = members(body, name, ["iban"])?;
    Iban::parse(number).ok()
}

// Reads the texts of an object that holds these members and no other: who reads another one reads another payment.
fn members<'a, const N: usize>(body: &'a Map<String, Value>, at: &str, names: [&str; N]) -> Option<[&'a str; N]> {
    let object = body.get(at)?.as_object().filter(|object| object.len() == N)?;
    let mut texts = [""; N];
    for (text, name) in texts.iter_mut().zip(names) {
        *text = object.get(name)?.as_str()?;
    }
    Some(texts)
}

fn text<'a>(body: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    body.get(name)?.as_str()
}

// What is there and no text is not the same as what is not there.
fn readable(body: &Map<String, Value>, name: &str) -> bool {
    body.get(name).is_none_or(Value::is_string)
}

#[cfg(test)]
#[path = "consent_tests.rs"]
mod tests;
