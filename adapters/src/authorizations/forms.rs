//! How each value is written: JSON of structs that only this file knows. What is not written so is not read at all.

use std::collections::BTreeSet;
use std::time::Duration;

use policies::authorization::{AuthorizationCode, Grant, Pushed, RefreshToken};
use policies::consent::{AccountAccess, Consent, ConsentState, PaymentOrder, Permission, Person, SharedAccount, Terms};
use policies::details::Detail;
use policies::id::{ClientId, ConsentId, GrantId};
use policies::jose::{Thumbprint, base64url, base64url_decode_strict, sha256};
use policies::national::iban::Iban;
use policies::national::money::Money;
use policies::party::ScopeSet;
use policies::time::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Kept;
use crate::store::port::ItemKind;

/// How long a pushed request is remembered after it is over, so that a citizen who comes late is told why.
const PUSHED_KEPT: Duration = Duration::from_secs(3600);

/// How long a code is remembered after it is over: who redeems it again within this time ends the grant.
const CODES_KEPT: Duration = Duration::from_secs(86_400);

/// How long a refresh token is remembered after it is over.
const REFRESH_KEPT: Duration = Duration::from_secs(86_400);

/// How long grants and consents are remembered after they are over, for questions of the citizen and the client; what
/// must last longer stands in the audit trail.
pub const CONSENTS_KEPT: Duration = Duration::from_secs(30 * 86_400);

/// Under which name a grant rests.
#[must_use]
pub fn grant_key(id: &GrantId) -> [u8; 32] {
    sha256(id.as_str().as_bytes())
}

/// Under which name a consent rests.
#[must_use]
pub fn consent_key(id: &ConsentId) -> [u8; 32] {
    sha256(id.as_str().as_bytes())
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PushedForm {
    key: String,
    client: String,
    redirect_uri: String,
    scope: String,
    consents: Vec<String>,
    state: Option<String>,
    challenge: String,
    jkt: Option<String>,
    expires: i64,
    used: bool,
}

impl Kept for Pushed {
    const KIND: ItemKind = ItemKind::Pushed;

    fn key(&self) -> [u8; 32] {
        self.key
    }

    fn keep_until(&self) -> Timestamp {
        self.expires + PUSHED_KEPT
    }

    fn write(&self) -> Vec<u8> {
        written(&PushedForm {
            key: base64url(&self.key),
            client: self.client.as_str().to_owned(),
            redirect_uri: self.redirect_uri.clone(),
            scope: self.scopes.to_string(),
            consents: self.consents.iter().map(|id| id.as_str().to_owned()).collect(),
            state: self.state.clone(),
            challenge: self.challenge.clone(),
            jkt: self.jkt.as_ref().map(|jkt| jkt.as_str().to_owned()),
            expires: self.expires.millis(),
            used: self.used,
        })
    }

    fn read(body: &[u8]) -> Option<Self> {
        let form: PushedForm = read(body)?;
        Some(Self {
            key: hash(&form.key)?,
            client: ClientId::parse(&form.client).ok()?,
            redirect_uri: form.redirect_uri,
            scopes: ScopeSet::parse(&form.scope)?,
            consents: form.consents.iter().map(|id| ConsentId::parse(id).ok()).collect::<Option<_>>()?,
            state: form.state,
            challenge: form.challenge,
            jkt: thumbprint(form.jkt)?,
            expires: Timestamp::from_millis(form.expires),
            used: form.used,
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CodeForm {
    key: String,
    client: String,
    redirect_uri: String,
    challenge: String,
    jkt: Option<String>,
    grant: String,
    expires: i64,
    redeemed: bool,
}

impl Kept for AuthorizationCode {
    const KIND: ItemKind = ItemKind::Code;

    fn key(&self) -> [u8; 32] {
        self.key
    }

    fn keep_until(&self) -> Timestamp {
        self.expires + CODES_KEPT
    }

    fn write(&self) -> Vec<u8> {
        written(&CodeForm {
            key: base64url(&self.key),
            client: self.client.as_str().to_owned(),
            redirect_uri: self.redirect_uri.clone(),
            challenge: self.challenge.clone(),
            jkt: self.jkt.as_ref().map(|jkt| jkt.as_str().to_owned()),
            grant: self.grant.as_str().to_owned(),
            expires: self.expires.millis(),
            redeemed: self.redeemed,
        })
    }

    fn read(body: &[u8]) -> Option<Self> {
        let form: CodeForm = read(body)?;
        Some(Self {
            key: hash(&form.key)?,
            client: ClientId::parse(&form.client).ok()?,
            redirect_uri: form.redirect_uri,
            challenge: form.challenge,
            jkt: thumbprint(form.jkt)?,
            grant: GrantId::parse(&form.grant).ok()?,
            expires: Timestamp::from_millis(form.expires),
            redeemed: form.redeemed,
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RefreshForm {
    key: String,
    client: String,
    grant: String,
    expires: i64,
}

impl Kept for RefreshToken {
    const KIND: ItemKind = ItemKind::Refresh;

    fn key(&self) -> [u8; 32] {
        self.key
    }

    fn keep_until(&self) -> Timestamp {
        self.expires + REFRESH_KEPT
    }

    fn write(&self) -> Vec<u8> {
        written(&RefreshForm {
            key: base64url(&self.key),
            client: self.client.as_str().to_owned(),
            grant: self.grant.as_str().to_owned(),
            expires: self.expires.millis(),
        })
    }

    fn read(body: &[u8]) -> Option<Self> {
        let form: RefreshForm = read(body)?;
        Some(Self {
            key: hash(&form.key)?,
            client: ClientId::parse(&form.client).ok()?,
            grant: GrantId::parse(&form.grant).ok()?,
            expires: Timestamp::from_millis(form.expires),
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GrantForm {
    id: String,
    client: String,
    subject: String,
    scope: String,
    details: Vec<DetailForm>,
    acr: String,
    authenticated: i64,
    expires: i64,
    revoked: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum DetailForm {
    AccountInformation { consent: String, permissions: Vec<String>, accounts: BTreeSet<String> },
    PaymentInitiation { consent: String, order: OrderForm },
}

impl Kept for Grant {
    const KIND: ItemKind = ItemKind::Grant;

    fn key(&self) -> [u8; 32] {
        grant_key(&self.id)
    }

    fn keep_until(&self) -> Timestamp {
        self.expires + CONSENTS_KEPT
    }

    fn write(&self) -> Vec<u8> {
        written(&GrantForm {
            id: self.id.as_str().to_owned(),
            client: self.client.as_str().to_owned(),
            subject: self.subject.clone(),
            scope: self.scopes.to_string(),
            details: self.details.iter().map(DetailForm::of).collect(),
            acr: self.acr.clone(),
            authenticated: self.authenticated.millis(),
            expires: self.expires.millis(),
            revoked: self.revoked,
        })
    }

    fn read(body: &[u8]) -> Option<Self> {
        let form: GrantForm = read(body)?;
        Some(Self {
            id: GrantId::parse(&form.id).ok()?,
            client: ClientId::parse(&form.client).ok()?,
            subject: form.subject,
            scopes: ScopeSet::parse(&form.scope)?,
            details: form.details.into_iter().map(DetailForm::read).collect::<Option<_>>()?,
            acr: form.acr,
            authenticated: Timestamp::from_millis(form.authenticated),
            expires: Timestamp::from_millis(form.expires),
            revoked: form.revoked,
        })
    }
}

impl DetailForm {
    fn of(detail: &Detail) -> Self {
        match detail {
            Detail::AccountInformation { consent, permissions, accounts } => Self::AccountInformation {
                consent: consent.as_str().to_owned(),
                permissions: words(permissions),
                accounts: accounts.clone(),
            },
            Detail::PaymentInitiation { consent, order } => {
                Self::PaymentInitiation { consent: consent.as_str().to_owned(), order: OrderForm::of(order) }
            }
        }
    }

    fn read(self) -> Option<Detail> {
        Some(match self {
            Self::AccountInformation { consent, permissions, accounts } => Detail::AccountInformation {
                consent: ConsentId::parse(&consent).ok()?,
                permissions: permitted(&permissions)?,
                accounts,
            },
            Self::PaymentInitiation { consent, order } => {
                Detail::PaymentInitiation { consent: ConsentId::parse(&consent).ok()?, order: order.read()? }
            }
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OrderForm {
    debtor: Option<String>,
    creditor: String,
    creditor_name: String,
    amount: String,
    currency: String,
    knp: String,
    remittance: Option<String>,
}

impl OrderForm {
    fn of(order: &PaymentOrder) -> Self {
        Self {
            debtor: order.debtor.as_ref().map(|iban| iban.as_str().to_owned()),
            creditor: order.creditor.as_str().to_owned(),
            creditor_name: order.creditor_name.clone(),
            amount: order.amount.amount(),
            currency: order.amount.currency().code().to_owned(),
            knp: order.knp.clone(),
            remittance: order.remittance.clone(),
        }
    }

    fn read(self) -> Option<PaymentOrder> {
        Some(PaymentOrder {
            debtor: optional(self.debtor, |text| Iban::parse(text).ok())?,
            creditor: Iban::parse(&self.creditor).ok()?,
            creditor_name: self.creditor_name,
            amount: Money::parse(&self.amount, &self.currency).ok()?,
            knp: self.knp,
            remittance: self.remittance,
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConsentForm {
    id: String,
    client: String,
    terms: TermsForm,
    state: String,
    created: i64,
    expires: i64,
    lasts_until: i64,
    decided: Option<i64>,
    person: Option<PersonForm>,
    grant: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum TermsForm {
    AccountAccess { permissions: Vec<String>, wanted: Vec<String>, shared: Vec<SharedForm>, purpose: Option<String> },
    DomesticPayment { order: OrderForm },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SharedForm {
    id: String,
    iban: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PersonForm {
    index: String,
    sealed: String,
}

impl Kept for Consent {
    const KIND: ItemKind = ItemKind::Consent;

    fn key(&self) -> [u8; 32] {
        consent_key(&self.id)
    }

    fn owner(&self) -> Option<[u8; 32]> {
        self.person.as_ref().map(|person| person.index)
    }

    fn keep_until(&self) -> Timestamp {
        self.expires + CONSENTS_KEPT
    }

    fn write(&self) -> Vec<u8> {
        let person =
            |person: &Person| PersonForm { index: base64url(&person.index), sealed: base64url(&person.sealed) };
        written(&ConsentForm {
            id: self.id.as_str().to_owned(),
            client: self.client.as_str().to_owned(),
            terms: TermsForm::of(&self.terms),
            state: self.state.word().to_owned(),
            created: self.created.millis(),
            expires: self.expires.millis(),
            lasts_until: self.lasts_until.millis(),
            decided: self.decided.map(Timestamp::millis),
            person: self.person.as_ref().map(person),
            grant: self.grant.as_ref().map(|id| id.as_str().to_owned()),
        })
    }

    fn read(body: &[u8]) -> Option<Self> {
        let form: ConsentForm = read(body)?;
        let person = |form: PersonForm| {
            Some(Person { index: hash(&form.index)?, sealed: base64url_decode_strict(&form.sealed)? })
        };
        Some(Self {
            id: ConsentId::parse(&form.id).ok()?,
            client: ClientId::parse(&form.client).ok()?,
            terms: form.terms.read()?,
            state: ConsentState::from_word(&form.state)?,
            created: Timestamp::from_millis(form.created),
            expires: Timestamp::from_millis(form.expires),
            lasts_until: Timestamp::from_millis(form.lasts_until),
            decided: form.decided.map(Timestamp::from_millis),
            person: form.person.map_or(Some(None), |form| person(form).map(Some))?,
            grant: optional(form.grant, |text| GrantId::parse(text).ok())?,
        })
    }
}

impl TermsForm {
    fn of(terms: &Terms) -> Self {
        match terms {
            Terms::AccountAccess(access) => Self::AccountAccess {
                permissions: words(&access.permissions),
                wanted: access.wanted.iter().map(|iban| iban.as_str().to_owned()).collect(),
                shared: access.shared.iter().map(SharedForm::of).collect(),
                purpose: access.purpose.clone(),
            },
            Terms::DomesticPayment(order) => Self::DomesticPayment { order: OrderForm::of(order) },
        }
    }

    fn read(self) -> Option<Terms> {
        Some(match self {
            Self::AccountAccess { permissions, wanted, shared, purpose } => Terms::AccountAccess(AccountAccess {
                permissions: permitted(&permissions)?,
                wanted: wanted.iter().map(|text| Iban::parse(text).ok()).collect::<Option<_>>()?,
                shared: shared.into_iter().map(SharedForm::read).collect::<Option<_>>()?,
                purpose,
            }),
            Self::DomesticPayment { order } => Terms::DomesticPayment(order.read()?),
        })
    }
}

impl SharedForm {
    fn of(account: &SharedAccount) -> Self {
        Self { id: account.id.clone(), iban: account.iban.as_str().to_owned() }
    }

    fn read(self) -> Option<SharedAccount> {
        Some(SharedAccount { id: self.id, iban: Iban::parse(&self.iban).ok()? })
    }
}

pub(super) fn written(form: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(form).expect("texts, numbers and lists of them are JSON")
}

pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    serde_json::from_slice(body).ok()
}

pub(super) fn hash(text: &str) -> Option<[u8; 32]> {
    base64url_decode_strict(text)?.try_into().ok()
}

fn thumbprint(text: Option<String>) -> Option<Option<Thumbprint>> {
    optional(text, Thumbprint::parse)
}

/// Reads what may be left out: some of none if it is, none if it is there and cannot be read.
fn optional<T>(text: Option<String>, read: impl FnOnce(&str) -> Option<T>) -> Option<Option<T>> {
    match text {
        None => Some(None),
        Some(text) => read(&text).map(Some),
    }
}

fn words(permissions: &BTreeSet<Permission>) -> Vec<String> {
    permissions.iter().map(|permission| permission.word().to_owned()).collect()
}

fn permitted(words: &[String]) -> Option<BTreeSet<Permission>> {
    words.iter().map(|word| Permission::from_word(word)).collect()
}

#[cfg(test)]
#[path = "forms_tests.rs"]
mod tests;
