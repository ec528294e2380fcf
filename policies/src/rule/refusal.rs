//! Why a rule says no.

use std::collections::BTreeSet;

use crate::code::Code;
use crate::consent::ConsentKind;
use crate::facts::Security;
use crate::id::OperationId;
use crate::rulebook::{Role, ScopeSet};

/// A refusal, with what the client needs to know to do better.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The caller has not shown who it is in the way that the operation asks for.
    WrongCaller {
        /// The way it asks for.
        needs: Security,
    },
    /// The access token's time ended on the way.
    TokenOver,
    /// The client was stopped by an administrator.
    ClientSuspended,
    /// The client's organisation was stopped by an administrator.
    OrganisationSuspended,
    /// The licence of the client's organisation is over.
    LicenceOver,
    /// A scope is missing.
    ScopeMissing {
        /// The scopes that the operation asks for and the token, or its client by now, does not have.
        missing: ScopeSet,
    },
    /// The organisation has none of the roles.
    RoleMissing {
        /// Any one of these would do.
        needs: BTreeSet<Role>,
    },
    /// The token carries no consent of the kind that the operation needs, or one for less.
    ConsentMissing {
        /// The kind.
        kind: ConsentKind,
    },
    /// No consent of the token's shares the account that the path names.
    AccountNotShared,
    /// A payment is not the one that the citizen has agreed to.
    OrderDiffers {
        /// The member of the body that differs; empty for the body as a whole.
        at: &'static str,
    },
    /// The call comes from outside the networks of the organisation.
    NetworkOutside,
    /// A condition does not hold.
    ConditionUnmet,
    /// A condition could not be judged.
    NotJudged {
        /// Why, for the log; holds no value of the request.
        why: String,
    },
    /// A fraud rule says no.
    Fraud,
    /// A client that authenticates with the request itself is refused for the reason inside.
    ClientRefused(Box<Refusal>),
    /// A rule asks for an amount and the body tells none that can be compared.
    AmountUnknown {
        /// The JSON pointer at which it should stand.
        at: String,
    },
    /// The payer has to be verified first.
    StepUp {
        /// The authentication context that is asked for.
        acr: String,
        /// What the verification is to be made for.
        purpose: &'static str,
        /// What the result has to be bound to.
        binding: String,
        /// The operation to repeat.
        operation: OperationId,
    },
    /// The identity result was made for another request.
    ResultForAnother,
    /// The identity result is of a lower level than the rule asks for.
    ResultTooWeak {
        /// The authentication context that is asked for.
        acr: String,
    },
    /// The identity result's time is over.
    ResultOver,
    /// The facts are of another client or operation than the permit: a defect of ours.
    FactsDoNotFit,
}

impl Refusal {
    /// Returns the stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Refusal::WrongCaller { needs } => match needs {
                Security::Public => Code::Internal,
                Security::AccessToken => Code::TokenMissing,
                Security::ClientAuthentication => Code::OauthInvalidClient,
                Security::SignedCallback => Code::SignatureInvalid,
                Security::Administrator => Code::AdministratorRefused,
            },
            Refusal::TokenOver => Code::TokenExpired,
            Refusal::ClientSuspended | Refusal::OrganisationSuspended => Code::ClientSuspended,
            Refusal::LicenceOver => Code::LicenceExpired,
            Refusal::ScopeMissing { .. } => Code::InsufficientScope,
            Refusal::RoleMissing { .. } => Code::RoleMissing,
            Refusal::ConsentMissing { .. } | Refusal::AccountNotShared => Code::ConsentRequired,
            Refusal::OrderDiffers { .. } => Code::ConsentMismatch,
            Refusal::NetworkOutside => Code::NetworkRefused,
            Refusal::ConditionUnmet => Code::PolicyDenied,
            Refusal::NotJudged { .. } => Code::PolicyNotJudged,
            Refusal::Fraud => Code::FraudRefused,
            Refusal::ClientRefused(_) => Code::OauthUnauthorizedClient,
            Refusal::AmountUnknown { .. } => Code::SchemaViolation,
            Refusal::StepUp { .. } => Code::StepUpRequired,
            Refusal::ResultForAnother | Refusal::ResultTooWeak { .. } | Refusal::ResultOver => Code::VerificationFailed,
            Refusal::FactsDoNotFit => Code::Internal,
        }
    }

    /// Returns what only the log may read of it.
    #[must_use]
    pub fn cause(&self) -> Option<&str> {
        match self {
            Refusal::NotJudged { why } => Some(why),
            Refusal::ClientRefused(because) => because.cause(),
            _ => None,
        }
    }

    /// Says it to the client, in a sentence without secrets or personal data.
    #[must_use]
    pub fn detail(&self) -> String {
        match self {
            Refusal::WrongCaller { needs } => match needs {
                Security::Public | Security::AccessToken => "The operation needs an access token.".to_owned(),
                Security::ClientAuthentication => "The client has to authenticate itself with the request.".to_owned(),
                Security::SignedCallback => "The callback has to be signed by an identity provider.".to_owned(),
                Security::Administrator => "The operation is for administrators.".to_owned(),
            },
            Refusal::TokenOver => "The access token has expired.".to_owned(),
            Refusal::ClientSuspended => "The client is suspended.".to_owned(),
            Refusal::OrganisationSuspended => "The client's organisation is suspended.".to_owned(),
            Refusal::LicenceOver => "The licence of the client's organisation is over.".to_owned(),
            Refusal::ScopeMissing { missing } => format!("The access token lacks the scope: {missing}."),
            Refusal::RoleMissing { needs } => {
                let words: Vec<&str> = needs.iter().map(|role| role.word()).collect();
                format!("The client's organisation needs one of the roles: {}.", words.join(", "))
            }
            Refusal::ConsentMissing { kind } => {
                format!("The operation needs a token that carries a citizen's consent of the kind {}.", kind.word())
            }
            Refusal::AccountNotShared => "The citizen has not shared this account.".to_owned(),
            Refusal::OrderDiffers { at: "" } => "The payment is not the one that the citizen has agreed to.".to_owned(),
            Refusal::OrderDiffers { at } => {
                format!("The payment is not the one that the citizen has agreed to: /{at} differs.")
            }
            Refusal::NetworkOutside => "The client's organisation does not call from this address.".to_owned(),
            Refusal::ConditionUnmet => "A rule for this operation does not allow the request.".to_owned(),
            Refusal::NotJudged { .. } => {
                "A rule for this operation could not be judged, so the request is not allowed.".to_owned()
            }
            Refusal::Fraud => "The request is refused as suspicious.".to_owned(),
            Refusal::ClientRefused(because) => because.detail(),
            Refusal::AmountUnknown { at } => format!("The body has no amount that can be read at {at}."),
            Refusal::StepUp { .. } => {
                "The payer has to be verified first: create an identity verification with this purpose and binding, then repeat the request with its result.".to_owned()
            }
            Refusal::ResultForAnother => "The identity result was made for another request.".to_owned(),
            Refusal::ResultTooWeak { acr } => format!("The identity result has to reach {acr}."),
            Refusal::ResultOver => "The identity result has expired.".to_owned(),
            Refusal::FactsDoNotFit => "The request could not be judged.".to_owned(),
        }
    }
}
