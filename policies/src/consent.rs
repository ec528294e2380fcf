//! Consents: what a citizen is asked to let a client do, and how far that has come.
//!
//! A consent is asked for by a client, decided by the citizen, and ended by time, by use or by either of the two. This
//! module must not know how it is asked for, shown or kept.

use std::collections::BTreeSet;

use crate::id::{ClientId, ConsentId, GrantId};
use crate::national::iban::Iban;
use crate::national::money::Money;
use crate::time::Timestamp;

/// What a consent is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConsentKind {
    /// Reading accounts.
    AccountAccess,
    /// One payment.
    DomesticPayment,
}

impl ConsentKind {
    /// Every kind.
    pub const ALL: [ConsentKind; 2] = [ConsentKind::AccountAccess, ConsentKind::DomesticPayment];

    /// Returns the word of the policy language.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            ConsentKind::AccountAccess => "account-access",
            ConsentKind::DomesticPayment => "domestic-payment",
        }
    }

    /// Reads a word of the policy language.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// Returns the `type` of its `authorization_details` (RFC 9396, section 2).
    #[must_use]
    pub const fn details_type(self) -> &'static str {
        match self {
            ConsentKind::AccountAccess => "account_information",
            ConsentKind::DomesticPayment => "payment_initiation",
        }
    }

    /// Reads the `type` of `authorization_details`.
    #[must_use]
    pub fn from_details_type(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.details_type() == text)
    }
}

/// What a client may read of accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    /// Which there are.
    Accounts,
    /// What is in them.
    Balances,
    /// What came and went.
    Transactions,
}

impl Permission {
    /// Every permission.
    pub const ALL: [Permission; 3] = [Permission::Accounts, Permission::Balances, Permission::Transactions];

    /// Returns the word of the contract.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Permission::Accounts => "accounts",
            Permission::Balances => "balances",
            Permission::Transactions => "transactions",
        }
    }

    /// Reads a word of the contract.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|permission| permission.word() == word)
    }

    /// Returns the scope that uses it.
    #[must_use]
    pub const fn scope(self) -> &'static str {
        match self {
            Permission::Accounts => "accounts:read",
            Permission::Balances => "balances:read",
            Permission::Transactions => "transactions:read",
        }
    }
}

/// An account that a citizen shares: how the bank calls it, and its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedAccount {
    /// The bank's id of the account, as paths name it.
    pub id: String,
    /// Its number.
    pub iban: Iban,
}

/// Terms of reading accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountAccess {
    /// What may be read.
    pub permissions: BTreeSet<Permission>,
    /// The accounts that the client asks for; empty leaves the choice to the citizen.
    pub wanted: BTreeSet<Iban>,
    /// The accounts that the citizen has chosen; empty until then.
    pub shared: Vec<SharedAccount>,
    /// Why, in the client's words.
    pub purpose: Option<String>,
}

/// Terms of one payment: the payment has to equal them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentOrder {
    /// From which account; none leaves the choice to the citizen, and is some once authorised.
    pub debtor: Option<Iban>,
    /// To which account.
    pub creditor: Iban,
    /// Whose that is.
    pub creditor_name: String,
    /// How much.
    pub amount: Money,
    /// The code of the payment's purpose, three digits.
    pub knp: String,
    /// What for, in words.
    pub remittance: Option<String>,
}

/// What a citizen is asked to let a client do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Terms {
    /// Read accounts.
    AccountAccess(AccountAccess),
    /// Make one payment.
    DomesticPayment(PaymentOrder),
}

impl Terms {
    /// Returns their kind.
    #[must_use]
    pub const fn kind(&self) -> ConsentKind {
        match self {
            Terms::AccountAccess(_) => ConsentKind::AccountAccess,
            Terms::DomesticPayment(_) => ConsentKind::DomesticPayment,
        }
    }
}

/// How far a consent has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsentState {
    /// The citizen has not decided.
    AwaitingAuthorisation,
    /// The citizen has agreed.
    Authorised,
    /// The citizen has refused, or nobody came in time; final.
    Rejected,
    /// Citizen or client has ended it; final.
    Revoked,
    /// Its time is over; final.
    Expired,
    /// The one call that it was for has used it up; final.
    Consumed,
}

impl ConsentState {
    const ALL: [ConsentState; 6] = [
        ConsentState::AwaitingAuthorisation,
        ConsentState::Authorised,
        ConsentState::Rejected,
        ConsentState::Revoked,
        ConsentState::Expired,
        ConsentState::Consumed,
    ];

    /// Returns the word of the contract.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            ConsentState::AwaitingAuthorisation => "awaiting_authorisation",
            ConsentState::Authorised => "authorised",
            ConsentState::Rejected => "rejected",
            ConsentState::Revoked => "revoked",
            ConsentState::Expired => "expired",
            ConsentState::Consumed => "consumed",
        }
    }

    /// Reads a word of the contract.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }
}

/// Who has given a consent: named so that it can be found and erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The keyed hash of their number, the same towards every client: for their own list of consents.
    pub index: [u8; 32],
    /// Their number, sealed under their own key for this consent.
    pub sealed: Vec<u8>,
}

/// A consent as it is kept. What is kept of its state is `AwaitingAuthorisation`, `Authorised`, `Rejected` or `Revoked`;
/// the others follow from time and use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// Its id.
    pub id: ConsentId,
    /// Who asks; no other client may see it.
    pub client: ClientId,
    /// For what.
    pub terms: Terms,
    /// How far it has come, as somebody has written it down.
    pub state: ConsentState,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it may not be authorised any more, as long as it awaits that; afterwards, from when on it is over.
    pub expires: Timestamp,
    /// From when on it is to be over once it is authorised.
    pub lasts_until: Timestamp,
    /// When it was decided or ended.
    pub decided: Option<Timestamp>,
    /// Who has authorised it.
    pub person: Option<Person>,
    /// What came of it: the root of the client's tokens.
    pub grant: Option<GrantId>,
}
