//! Who takes part: organisations with their roles, clients with their scopes and plans.
//!
//! Below the rulebook, so that facts, conditions and masks can name them without knowing what else policy says.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::event::EventKind;
use crate::id::{ClientId, IssuerId, OrganisationId, PlanId};
use crate::jose::KeySet;
use crate::language::decode::SecretReference;
use crate::limit::Limit;
use crate::network::{AddressRange, Endpoint};
pub use crate::peer::DistinguishedName;
use crate::time::Timestamp;

/// What an organisation is licensed to do in the open platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Account information service provider.
    Aisp,
    /// Payment initiation service provider.
    Pisp,
    /// A bank.
    Bank,
    /// A microfinance organisation.
    Mfo,
    /// A payment organisation.
    PaymentOrganisation,
    /// The Treasury.
    Treasury,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 6] =
        [Role::Aisp, Role::Pisp, Role::Bank, Role::Mfo, Role::PaymentOrganisation, Role::Treasury];

    /// Returns the word of the policy language.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Role::Aisp => "AISP",
            Role::Pisp => "PISP",
            Role::Bank => "BANK",
            Role::Mfo => "MFO",
            Role::PaymentOrganisation => "PAYMENT_ORGANISATION",
            Role::Treasury => "TREASURY",
        }
    }

    /// Reads a word of the policy language.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.word() == word)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A set of OAuth scopes; order never matters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScopeSet(BTreeSet<Arc<str>>);

impl ScopeSet {
    /// Reads a space-separated scope parameter (RFC 6749, 3.3); `None` if a character is not allowed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let token = |part: &str| part.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e));
        let mut set = BTreeSet::new();
        for part in text.split(' ').filter(|part| !part.is_empty()) {
            if !token(part) {
                return None;
            }
            set.insert(Arc::from(part));
        }
        Some(Self(set))
    }

    /// Makes a set of single scopes that were checked before.
    pub fn of<'a>(scopes: impl IntoIterator<Item = &'a str>) -> Self {
        Self(scopes.into_iter().map(Arc::from).collect())
    }

    /// Tells whether a scope is in the set.
    #[must_use]
    pub fn contains(&self, scope: &str) -> bool {
        self.0.contains(scope)
    }

    /// Tells whether every scope of `other` is in the set.
    #[must_use]
    pub fn covers(&self, other: &ScopeSet) -> bool {
        other.0.is_subset(&self.0)
    }

    /// Tells whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the scopes in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|scope| &**scope)
    }
}

/// Writes the scopes with single spaces between them, as the `scope` parameter has them.
impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope)?;
        }
        Ok(())
    }
}

/// A connected organisation.
#[derive(Debug, Clone)]
pub struct Organisation {
    /// Its id.
    pub id: OrganisationId,
    /// Its name for people.
    pub title: String,
    /// What it is licensed to do.
    pub roles: BTreeSet<Role>,
    /// When its licence ends; the first instant at which it may do nothing.
    pub licence_ends: Timestamp,
    /// Whether an administrator has stopped it.
    pub suspended: bool,
    /// The networks its clients call from; empty means any.
    pub networks: Vec<AddressRange>,
}

/// How a client authenticates at the token endpoint (FAPI 2.0 allows no other ways).
#[derive(Debug, Clone)]
pub enum ClientAuthentication {
    /// A signed assertion (RFC 7523) under one of these keys.
    PrivateKeyJwt(KeySource),
    /// A client certificate of a known authority with this name (RFC 8705, section 2.1).
    TlsClientAuth(CertificateName),
    /// One of these certificates, whoever has signed them (RFC 8705, section 2.2): SHA-256 of their DER form.
    SelfSignedTlsClientAuth(BTreeSet<[u8; 32]>),
}

/// Where the keys of a client are.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// In the policy, or in a file beside it.
    Given(KeySet),
    /// A JWK set at a place of the client's.
    Url(Endpoint),
}

/// The one name that a certificate must have; which attribute it is belongs to it (RFC 8705, section 2.1.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateName {
    /// A DNS name among its alternative names.
    SanDns(String),
    /// A URI among them, byte for byte.
    SanUri(String),
    /// An address among them.
    SanIp(IpAddr),
    /// A mail address among them.
    SanEmail(String),
    /// Its subject.
    SubjectDn(DistinguishedName),
}

/// Who holds what the citizens that a client acts for have agreed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConsentHolder {
    /// This gateway: operations that need a consent ask for it.
    #[default]
    Gateway,
    /// The client's organisation, as a bank does for customers of its own: operations do not ask it.
    Organisation,
}

/// What an access token of a client is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenBinding {
    /// A DPoP key (RFC 9449).
    Dpop,
    /// The client certificate (RFC 8705).
    Mtls,
    /// Whichever of the two the token request shows; DPoP if both.
    Either,
}

/// An OAuth client.
#[derive(Debug, Clone)]
pub struct Client {
    /// Its `client_id`.
    pub id: ClientId,
    /// Whose it is.
    pub organisation: Arc<Organisation>,
    /// How it authenticates.
    pub authentication: ClientAuthentication,
    /// What its tokens are bound to.
    pub binding: TokenBinding,
    /// The scopes it may ask for.
    pub scopes: ScopeSet,
    /// Its limits.
    pub plan: Arc<Plan>,
    /// Whether an administrator has stopped it.
    pub suspended: bool,
    /// Where it is told of events, if it wants to be told and not only to ask.
    pub webhook: Option<Webhook>,
    /// What else it may have of the authorization server.
    pub oauth: OauthTerms,
}

/// What a client may have of the authorization server beside tokens for itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OauthTerms {
    /// Where citizens may be sent back to, byte for byte; with none there is no authorization by citizens.
    pub redirect_uris: BTreeSet<String>,
    /// Whether its DPoP proofs need a nonce of ours (RFC 9449, section 8).
    pub nonce: bool,
    /// Who holds the consents of the citizens that it acts for.
    pub consents: ConsentHolder,
    /// Whether it may ask what tokens for this gateway are worth (RFC 7662).
    pub introspects: bool,
    /// The authorization server that its tokens come from; none means ours.
    pub issuer: Option<IssuerId>,
}

/// Where a client is told of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// The endpoint.
    pub url: Endpoint,
    /// Where the secrets are kept that messages are signed under: the current one first, during a rotation one more.
    pub secrets: Vec<SecretReference>,
    /// What it is told of.
    pub events: BTreeSet<EventKind>,
    /// Where this stands, `file:line`.
    pub origin: String,
}

/// A set of limits, shared by the clients that have the plan.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Its id.
    pub id: PlanId,
    /// Every limit must have room; they are asked in this order until one has none.
    pub limits: Vec<Limit>,
}
