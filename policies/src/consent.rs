//! Consents: what a citizen is asked to let a client do, and how far that has come.
//!
//! A consent is asked for by a client, decided by the citizen, and ended by time, by use or by either of the two. This
//! module must not know how it is asked for, shown or kept.

use std::collections::BTreeSet;
use std::time::Duration;

use thiserror::Error;

use crate::code::Code;
use crate::id::{ClientId, ConsentId, GrantId, ID_BYTES_MAX};
use crate::national::iban::Iban;
use crate::national::money::Money;
use crate::time::Timestamp;

/// The most accounts that a consent may ask for or share: a token names each, and has to fit into a header.
pub const ACCOUNTS_MAX: usize = 20;

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

    /// Returns the scope without which a client may not ask for consents of this kind.
    #[must_use]
    pub const fn scope(self) -> &'static str {
        match self {
            ConsentKind::AccountAccess => "accounts:read",
            ConsentKind::DomesticPayment => "payments:write",
        }
    }

    /// Reads the `type` of `authorization_details`.
    #[must_use]
    pub fn from_details_type(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.details_type() == text)
    }
}

/// How long consents of one kind may last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsentTerms {
    /// How long one may wait for the citizen.
    pub awaits: Duration,
    /// How long one may last once it is authorised.
    pub longest: Duration,
    /// The context that the citizen has to be authenticated in, for example `L2`.
    pub level: &'static str,
}

impl ConsentTerms {
    /// Returns what holds where no policy says otherwise: an hour to authorise (Open Finance Brasil: 60 minutes), then 90
    /// days for accounts and a day for a payment.
    #[must_use]
    pub const fn usual(kind: ConsentKind) -> Self {
        const HOUR: Duration = Duration::from_secs(3600);
        let longest = match kind {
            ConsentKind::AccountAccess => Duration::from_secs(90 * 86_400),
            ConsentKind::DomesticPayment => Duration::from_secs(86_400),
        };
        Self { awaits: HOUR, longest, level: "L2" }
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

    /// Returns the scopes that a token may have because of them.
    #[must_use]
    pub fn scopes(&self) -> Vec<&'static str> {
        match self {
            Terms::AccountAccess(access) => scopes_of_permissions(&access.permissions),
            Terms::DomesticPayment(_) => PAYMENT_SCOPES.to_vec(),
        }
    }
}

/// The scopes of making a payment and of reading what became of it.
pub const PAYMENT_SCOPES: [&str; 2] = ["payments:write", "payments:read"];

/// Returns the scopes that use these permissions.
#[must_use]
pub fn scopes_of_permissions(permissions: &BTreeSet<Permission>) -> Vec<&'static str> {
    permissions.iter().map(|permission| permission.scope()).collect()
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

/// Why a consent cannot come to be, or cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ConsentError {
    /// It is to be over before it has begun.
    #[error("the consent would be over at once: `expiresAt` has to lie ahead")]
    TooShort,
    /// It is to last longer than consents of its kind may.
    #[error("the consent would last longer than consents of this kind may")]
    TooLong,
    /// It is not in the state that this needs.
    #[error("the consent is {} already", .0.word())]
    Already(ConsentState),
    /// No account was chosen.
    #[error("no account was chosen")]
    NothingChosen,
    /// More accounts were chosen than one consent may share.
    #[error("more accounts were chosen than one consent may share")]
    TooMany,
    /// An account was chosen that is not the citizen's, or that was not asked for, or twice.
    #[error("an account was chosen that cannot be")]
    WrongAccount,
    /// The choice is one for another kind of consent.
    #[error("the choice is for another kind of consent")]
    WrongKind,
}

impl ConsentError {
    /// Returns the stable code.
    #[must_use]
    pub const fn code(self) -> Code {
        Code::ConsentInvalid
    }
}

/// What a citizen has chosen for a consent among what is theirs; made only by [`choose`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    terms: Terms,
}

/// Takes a citizen's choice: `ids` of the accounts to share, or of the one to pay from, among those `offered` by the bank.
///
/// # Errors
/// [`ConsentError::NothingChosen`], [`ConsentError::TooMany`], [`ConsentError::WrongAccount`].
pub fn choose(terms: &Terms, offered: &[SharedAccount], ids: &[&str]) -> Result<Chosen, ConsentError> {
    if ids.is_empty() {
        return Err(ConsentError::NothingChosen);
    }
    if ids.len() > ACCOUNTS_MAX {
        return Err(ConsentError::TooMany);
    }
    let mut chosen: Vec<SharedAccount> = Vec::with_capacity(ids.len());
    for id in ids {
        let account = offered.iter().find(|account| account.id == *id).ok_or(ConsentError::WrongAccount)?;
        if !is_account_id(&account.id) || chosen.iter().any(|earlier| earlier.id == account.id) {
            return Err(ConsentError::WrongAccount);
        }
        chosen.push(account.clone());
    }
    let terms = match terms {
        Terms::AccountAccess(access) => {
            let asked = |account: &SharedAccount| access.wanted.is_empty() || access.wanted.contains(&account.iban);
            if !chosen.iter().all(asked) {
                return Err(ConsentError::WrongAccount);
            }
            Terms::AccountAccess(AccountAccess { shared: chosen, ..access.clone() })
        }
        Terms::DomesticPayment(order) => {
            let [account] = chosen.as_slice() else { return Err(ConsentError::TooMany) };
            let other = order.debtor.as_ref().is_some_and(|debtor| *debtor != account.iban);
            if other || account.iban == order.creditor {
                return Err(ConsentError::WrongAccount);
            }
            Terms::DomesticPayment(PaymentOrder { debtor: Some(account.iban.clone()), ..order.clone() })
        }
    };
    Ok(Chosen { terms })
}

/// Tells whether a bank's id of an account may stand in a token: 1 to [`ID_BYTES_MAX`] letters, digits, `.`, `_`, `-`.
#[must_use]
pub fn is_account_id(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !id.is_empty() && id.len() <= ID_BYTES_MAX && id.bytes().all(plain)
}

impl Consent {
    /// Makes a consent that waits for the citizen.
    ///
    /// `lasts_until` is when the client wants it to be over; without, it lasts as long as `bounds` let it.
    ///
    /// # Errors
    /// [`ConsentError::TooShort`], [`ConsentError::TooLong`].
    pub fn create(
        id: ConsentId,
        client: ClientId,
        terms: Terms,
        lasts_until: Option<Timestamp>,
        bounds: &ConsentTerms,
        now: Timestamp,
    ) -> Result<Self, ConsentError> {
        let longest = now + bounds.longest;
        let lasts_until = lasts_until.unwrap_or(longest);
        if lasts_until <= now {
            return Err(ConsentError::TooShort);
        }
        if lasts_until > longest {
            return Err(ConsentError::TooLong);
        }
        Ok(Self {
            id,
            client,
            terms,
            state: ConsentState::AwaitingAuthorisation,
            created: now,
            expires: lasts_until.min(now + bounds.awaits),
            lasts_until,
            decided: None,
            person: None,
            grant: None,
        })
    }

    /// Tells how far it has come at `now`; `spent` is the store's word on whether its one call was made.
    #[must_use]
    pub fn state_at(&self, now: Timestamp, spent: bool) -> ConsentState {
        match self.state {
            ConsentState::AwaitingAuthorisation if now >= self.expires => ConsentState::Rejected,
            ConsentState::Authorised if spent && self.terms.kind() == ConsentKind::DomesticPayment => {
                ConsentState::Consumed
            }
            ConsentState::Authorised if now >= self.expires => ConsentState::Expired,
            state => state,
        }
    }

    /// Gives it as it is once the citizen has agreed.
    ///
    /// # Errors
    /// [`ConsentError::Already`] unless it awaits that; [`ConsentError::WrongKind`] for a choice made for other terms.
    pub fn authorise(
        &self,
        choice: Chosen,
        person: Person,
        grant: GrantId,
        now: Timestamp,
    ) -> Result<Self, ConsentError> {
        self.awaits(now)?;
        if !self.terms.became(&choice.terms) {
            return Err(ConsentError::WrongKind);
        }
        Ok(Self {
            terms: choice.terms,
            state: ConsentState::Authorised,
            expires: self.lasts_until,
            decided: Some(now),
            person: Some(person),
            grant: Some(grant),
            ..self.clone()
        })
    }

    /// Gives it as it is once the citizen has refused.
    ///
    /// # Errors
    /// [`ConsentError::Already`] unless it awaits a decision.
    pub fn reject(&self, now: Timestamp) -> Result<Self, ConsentError> {
        self.awaits(now)?;
        Ok(Self { state: ConsentState::Rejected, decided: Some(now), ..self.clone() })
    }

    /// Gives it as it is once citizen or client have ended it.
    ///
    /// # Errors
    /// [`ConsentError::Already`] if it is over.
    pub fn revoke(&self, now: Timestamp, spent: bool) -> Result<Self, ConsentError> {
        match self.state_at(now, spent) {
            ConsentState::AwaitingAuthorisation | ConsentState::Authorised => {
                Ok(Self { state: ConsentState::Revoked, decided: Some(now), ..self.clone() })
            }
            over => Err(ConsentError::Already(over)),
        }
    }

    fn awaits(&self, now: Timestamp) -> Result<(), ConsentError> {
        match self.state_at(now, false) {
            ConsentState::AwaitingAuthorisation => Ok(()),
            other => Err(ConsentError::Already(other)),
        }
    }
}

impl Terms {
    // Whether `later` are these terms with a choice filled in: nothing else may have changed (AS72).
    fn became(&self, later: &Terms) -> bool {
        match (self, later) {
            (Terms::AccountAccess(asked), Terms::AccountAccess(chosen)) => {
                AccountAccess { shared: asked.shared.clone(), ..chosen.clone() } == *asked
            }
            (Terms::DomesticPayment(asked), Terms::DomesticPayment(chosen)) => {
                PaymentOrder { debtor: asked.debtor.clone(), ..chosen.clone() } == *asked
            }
            _ => false,
        }
    }
}

#[cfg(test)]
#[path = "consent_tests.rs"]
mod tests;
