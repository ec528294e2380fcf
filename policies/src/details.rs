//! `authorization_details` (RFC 9396): what exactly a token is for, beside its scopes.
//!
//! What is granted travels in the token, so that a call is judged without asking a store. This module must not know where
//! a call has its account or amount: that is for [`rule::consent`](crate::rule).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::consent::{
    ACCOUNTS_MAX, Consent, ConsentKind, ConsentState, PAYMENT_SCOPES, PaymentOrder, Permission, Terms, is_account_id,
    scopes_of_permissions,
};
use crate::id::ConsentId;
use crate::jose;
use crate::terms::{NewTerms, TermsFault, order_members, read_order, read_permissions};

/// The most details of one request: one of each type. A token carries them all in a header, and who judges a call looks
/// for the one of its kind.
pub const DETAILS_MAX: usize = ConsentKind::ALL.len();

/// The longest `authorization_details` parameter, in bytes.
pub const DETAILS_BYTES_MAX: usize = 8 * 1024;

/// Why `authorization_details` were refused; told to the client, and never holds what it wrote.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DetailsError {
    /// They are longer than [`DETAILS_BYTES_MAX`].
    #[error("the authorization details are longer than {DETAILS_BYTES_MAX} bytes")]
    TooLong,
    /// They are no strict JSON, or no list of objects with a known type and, each, nothing but known members.
    #[error("the authorization details are no list of objects with a known `type` and known members")]
    Malformed,
    /// There is none.
    #[error("the list of authorization details is empty")]
    Empty,
    /// One type stands twice.
    #[error("there is more than one detail of a type")]
    TypeTwice,
    /// The terms of one cannot be.
    #[error("authorization detail {index}: {} at `{}`", .fault.message, .fault.pointer)]
    Terms {
        /// Which.
        index: usize,
        /// What is wrong.
        fault: TermsFault,
    },
}

/// One thing that a client asks a citizen for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A consent that was made before.
    Consent {
        /// What it has to be about.
        kind: ConsentKind,
        /// Its id.
        id: ConsentId,
    },
    /// A consent that is made now.
    Terms(NewTerms),
}

impl Asked {
    /// Returns the kind of consent that is asked for.
    #[must_use]
    pub const fn kind(&self) -> ConsentKind {
        match self {
            Asked::Consent { kind, .. } => *kind,
            Asked::Terms(new) => new.terms.kind(),
        }
    }
}

/// What a token request leaves of what was granted: kinds, or consents of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Narrowed(BTreeMap<ConsentKind, Option<ConsentId>>);

impl Narrowed {
    /// Leaves of what was granted what the request asks for; `None` if it asks for anything else.
    #[must_use]
    pub fn leave(&self, granted: &[Detail]) -> Option<Vec<Detail>> {
        let find = |(kind, id): (&ConsentKind, &Option<ConsentId>)| {
            let fits = |detail: &&Detail| detail.kind() == *kind && id.as_ref().is_none_or(|id| id == detail.consent());
            granted.iter().find(fits).cloned()
        };
        self.0.iter().map(find).collect()
    }
}

/// Reads the `authorization_details` of a pushed request (RFC 9396, section 2).
///
/// A detail names a consent (`consentId`) or writes out the terms of one, as the body that makes a consent.
///
/// # Errors
/// [`DetailsError`].
pub fn asked(text: &str) -> Result<Vec<Asked>, DetailsError> {
    let details = listed(text)?;
    details.into_iter().enumerate().map(|(index, (kind, members))| ask(index, kind, members)).collect()
}

/// Reads the `authorization_details` of a token request: the types to keep, each alone or with its `consentId`.
///
/// # Errors
/// [`DetailsError`].
pub fn narrowed(text: &str) -> Result<Narrowed, DetailsError> {
    let mut kept = BTreeMap::new();
    for (kind, members) in listed(text)? {
        let id = if members.is_empty() { None } else { Some(consent_id(&members)?) };
        kept.insert(kind, id);
    }
    Ok(Narrowed(kept))
}

// An object of the list without the member that tells its kind.
type Listed = (ConsentKind, Map<String, Value>);

// The objects of the list; no kind twice.
fn listed(text: &str) -> Result<Vec<Listed>, DetailsError> {
    if text.len() > DETAILS_BYTES_MAX {
        return Err(DetailsError::TooLong);
    }
    let Ok(Value::Array(items)) = jose::parse_value(text.as_bytes()) else { return Err(DetailsError::Malformed) };
    if items.is_empty() {
        return Err(DetailsError::Empty);
    }
    let mut listed: Vec<Listed> = Vec::new();
    for item in items {
        let Value::Object(mut members) = item else { return Err(DetailsError::Malformed) };
        let Some(Value::String(name)) = members.remove("type") else { return Err(DetailsError::Malformed) };
        let kind = ConsentKind::from_details_type(&name).ok_or(DetailsError::Malformed)?;
        if listed.iter().any(|(earlier, _)| *earlier == kind) {
            return Err(DetailsError::TypeTwice);
        }
        listed.push((kind, members));
    }
    Ok(listed)
}

fn ask(index: usize, kind: ConsentKind, members: Map<String, Value>) -> Result<Asked, DetailsError> {
    if members.contains_key("consentId") {
        return Ok(Asked::Consent { kind, id: consent_id(&members)? });
    }
    NewTerms::parse(kind, &Value::Object(members)).map(Asked::Terms).map_err(|faults| {
        let fault = faults.into_iter().next();
        fault.map_or(DetailsError::Malformed, |fault| DetailsError::Terms { index, fault })
    })
}

// The one member that there may be.
fn consent_id(members: &Map<String, Value>) -> Result<ConsentId, DetailsError> {
    let id = members.get("consentId").filter(|_| members.len() == 1).and_then(Value::as_str);
    id.and_then(|id| ConsentId::parse(id).ok()).ok_or(DetailsError::Malformed)
}

/// One thing that a citizen has granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Detail {
    /// Reading accounts.
    AccountInformation {
        /// The consent behind it.
        consent: ConsentId,
        /// What may be read.
        permissions: BTreeSet<Permission>,
        /// Of which accounts, by the ids that paths name.
        accounts: BTreeSet<String>,
    },
    /// One payment.
    PaymentInitiation {
        /// The consent behind it, which the payment uses up.
        consent: ConsentId,
        /// What the payment has to equal.
        order: PaymentOrder,
    },
}

impl Detail {
    /// Returns the kind of the consent behind it.
    #[must_use]
    pub const fn kind(&self) -> ConsentKind {
        match self {
            Detail::AccountInformation { .. } => ConsentKind::AccountAccess,
            Detail::PaymentInitiation { .. } => ConsentKind::DomesticPayment,
        }
    }

    /// Returns the consent behind it.
    #[must_use]
    pub const fn consent(&self) -> &ConsentId {
        match self {
            Detail::AccountInformation { consent, .. } | Detail::PaymentInitiation { consent, .. } => consent,
        }
    }
    /// Takes what a citizen has granted out of a consent; `None` unless it is authorised, with a choice made.
    ///
    /// Does not check time and use: see [`Consent::state_at`].
    #[must_use]
    pub fn of(consent: &Consent) -> Option<Self> {
        if consent.state != ConsentState::Authorised {
            return None;
        }
        match &consent.terms {
            Terms::AccountAccess(access) if !access.shared.is_empty() => Some(Detail::AccountInformation {
                consent: consent.id.clone(),
                permissions: access.permissions.clone(),
                accounts: access.shared.iter().map(|account| account.id.clone()).collect(),
            }),
            Terms::DomesticPayment(order) if order.debtor.is_some() => {
                Some(Detail::PaymentInitiation { consent: consent.id.clone(), order: order.clone() })
            }
            Terms::AccountAccess(_) | Terms::DomesticPayment(_) => None,
        }
    }

    /// Returns the scopes that a token may have because of it.
    #[must_use]
    pub fn scopes(&self) -> Vec<&'static str> {
        match self {
            Detail::AccountInformation { permissions, .. } => scopes_of_permissions(permissions),
            Detail::PaymentInitiation { .. } => PAYMENT_SCOPES.to_vec(),
        }
    }

    fn to_claim(&self) -> Value {
        let mut members = match self {
            Detail::AccountInformation { permissions, accounts, .. } => {
                let words: Vec<&str> = permissions.iter().map(|permission| permission.word()).collect();
                Map::from_iter([("permissions".to_owned(), json!(words)), ("accounts".to_owned(), json!(accounts))])
            }
            Detail::PaymentInitiation { order, .. } => order_members(order),
        };
        members.insert("type".to_owned(), Value::from(self.kind().details_type()));
        members.insert("consentId".to_owned(), Value::from(self.consent().as_str()));
        Value::Object(members)
    }

    fn from_claim(value: &Value) -> Option<Self> {
        let members = value.as_object()?;
        let kind = ConsentKind::from_details_type(members.get("type")?.as_str()?)?;
        let consent = ConsentId::parse(members.get("consentId")?.as_str()?).ok()?;
        match kind {
            ConsentKind::AccountAccess => {
                let permissions = read_permissions(members.get("permissions")?).ok()?;
                let listed = members.get("accounts")?.as_array().filter(|listed| listed.len() <= ACCOUNTS_MAX)?;
                let accounts: BTreeSet<String> = listed
                    .iter()
                    .map(|id| id.as_str().filter(|id| is_account_id(id)).map(str::to_owned))
                    .collect::<Option<_>>()?;
                let whole = members.len() == 4 && !accounts.is_empty() && accounts.len() == listed.len();
                whole.then_some(Detail::AccountInformation { consent, permissions, accounts })
            }
            ConsentKind::DomesticPayment => {
                let order = read_order(members, &["type", "consentId"]).filter(|order| order.debtor.is_some())?;
                Some(Detail::PaymentInitiation { consent, order })
            }
        }
    }
}

/// Writes what was granted, for a token and for the answer that carries it (RFC 9396, sections 7 and 9.1).
#[must_use]
pub fn to_claim(details: &[Detail]) -> Value {
    Value::Array(details.iter().map(Detail::to_claim).collect())
}

/// Reads what was granted back; `None` unless it is written exactly so.
#[must_use]
pub fn from_claim(value: &Value) -> Option<Vec<Detail>> {
    let listed = value.as_array().filter(|listed| (1..=DETAILS_MAX).contains(&listed.len()))?;
    let details: Vec<Detail> = listed.iter().map(Detail::from_claim).collect::<Option<_>>()?;
    let kinds: BTreeSet<ConsentKind> = details.iter().map(Detail::kind).collect();
    (kinds.len() == details.len()).then_some(details)
}

#[cfg(test)]
#[path = "details_tests.rs"]
mod tests;
