//! Which operations this gateway answers itself, by their names in the contract.
//!
//! Must not know how they are answered: that is for [`deed`](crate::deed).

use policies::consent::ConsentKind;

/// What this gateway answers itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Own {
    /// Issues an access token.
    IssueToken,
    /// Takes an authorization request.
    Push,
    /// Tells what a token is worth.
    Introspect,
    /// Takes a token back.
    Revoke,
    /// Shows a page to a citizen, or takes a form of one.
    Page(Page),
    /// Makes, tells or ends a consent.
    Consent(ConsentKind, ConsentDeed),
    /// Publishes the keys.
    Keys,
    /// Publishes the authorization server's metadata (RFC 8414).
    ServerMetadata,
    /// Publishes the protected resource's metadata (RFC 9728).
    ResourceMetadata,
    /// Tells that the platform is there.
    Status,
    /// Begins an identity verification.
    CreateVerification,
    /// Tells how far a verification is.
    GetVerification,
    /// Takes a provider's word.
    ReceiveCallback,
    /// Tells a client what has happened.
    ListEvents,
    /// Has events posted again.
    RedeliverEvents,
    /// Tells a client how much is left of its limits: of all, or of one.
    Limits,
    /// Answers an administrator.
    Admin(Question),
}

/// Where a citizen's browser is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// At the page that a client has sent it to.
    Authorization,
    /// With a form of that page filled in.
    AuthorizationForm,
    /// Back from an identity provider.
    Return,
    /// At the citizen's own list of consents.
    Consents,
    /// With a form of that list filled in.
    ConsentsForm,
}

/// What a client does with its consents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsentDeed {
    /// Makes one.
    Create,
    /// Reads one.
    Read,
    /// Ends one.
    End,
}

/// What an administrator may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Is the process alive?
    Liveness,
    /// Can it serve?
    Readiness,
    /// What was counted?
    Metrics,
    /// Which operations are exposed?
    Routes,
    /// Which policy generation decides?
    Generation,
    /// What was recorded last?
    AuditRecords,
    /// May what is known of this person be erased?
    EraseSubject,
    /// Are the files of now fit to be in force?
    Reload,
    /// Which keys sign?
    Keys,
    /// May the next key sign?
    RotateKeys,
    /// How much is left of somebody's limits?
    Limits,
    /// May a limit be counted anew?
    ResetLimits,
    /// About changes of the policy set.
    Sets(Sets),
}

/// What an administrator does with changes of the policy set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sets {
    /// Reads the history.
    List,
    /// Reads one proposal.
    Show,
    /// Proposes a set.
    Propose,
    /// Approves one.
    Approve,
    /// Withdraws one.
    Withdraw,
    /// Proposes to go back to one.
    Restore,
}

/// Every operation that is ours, by its `operationId`.
const OWN: [(&str, Own); 48] = [
    ("issueToken", Own::IssueToken),
    ("pushAuthorizationRequest", Own::Push),
    ("introspectToken", Own::Introspect),
    ("revokeToken", Own::Revoke),
    ("showAuthorization", Own::Page(Page::Authorization)),
    ("decideAuthorization", Own::Page(Page::AuthorizationForm)),
    ("returnToAuthorization", Own::Page(Page::Return)),
    ("showCitizenConsents", Own::Page(Page::Consents)),
    ("changeCitizenConsents", Own::Page(Page::ConsentsForm)),
    ("createAccountAccessConsent", Own::Consent(ConsentKind::AccountAccess, ConsentDeed::Create)),
    ("getAccountAccessConsent", Own::Consent(ConsentKind::AccountAccess, ConsentDeed::Read)),
    ("deleteAccountAccessConsent", Own::Consent(ConsentKind::AccountAccess, ConsentDeed::End)),
    ("createDomesticPaymentConsent", Own::Consent(ConsentKind::DomesticPayment, ConsentDeed::Create)),
    ("getDomesticPaymentConsent", Own::Consent(ConsentKind::DomesticPayment, ConsentDeed::Read)),
    ("deleteDomesticPaymentConsent", Own::Consent(ConsentKind::DomesticPayment, ConsentDeed::End)),
    ("getKeys", Own::Keys),
    ("getAuthorizationServerMetadata", Own::ServerMetadata),
    ("getOpenidConfiguration", Own::ServerMetadata),
    ("getProtectedResourceMetadata", Own::ResourceMetadata),
    ("getAuthorizationServerMetadataOfPath", Own::ServerMetadata),
    ("getOpenidConfigurationOfPath", Own::ServerMetadata),
    ("getProtectedResourceMetadataOfPath", Own::ResourceMetadata),
    ("getStatus", Own::Status),
    ("createIdentityVerification", Own::CreateVerification),
    ("getIdentityVerification", Own::GetVerification),
    ("receiveIdentityCallback", Own::ReceiveCallback),
    ("listEvents", Own::ListEvents),
    ("redeliverEvents", Own::RedeliverEvents),
    ("listLimits", Own::Limits),
    ("getLimit", Own::Limits),
    ("getLiveness", Own::Admin(Question::Liveness)),
    ("getReadiness", Own::Admin(Question::Readiness)),
    ("getMetrics", Own::Admin(Question::Metrics)),
    ("listRoutes", Own::Admin(Question::Routes)),
    ("getGeneration", Own::Admin(Question::Generation)),
    ("listAuditRecords", Own::Admin(Question::AuditRecords)),
    ("eraseSubject", Own::Admin(Question::EraseSubject)),
    ("listSigningKeys", Own::Admin(Question::Keys)),
    ("rotateSigningKeys", Own::Admin(Question::RotateKeys)),
    ("listClientLimits", Own::Admin(Question::Limits)),
    ("resetLimits", Own::Admin(Question::ResetLimits)),
    ("reloadPolicies", Own::Admin(Question::Reload)),
    ("listPolicySets", Own::Admin(Question::Sets(Sets::List))),
    ("getPolicySet", Own::Admin(Question::Sets(Sets::Show))),
    ("proposePolicySet", Own::Admin(Question::Sets(Sets::Propose))),
    ("approvePolicySet", Own::Admin(Question::Sets(Sets::Approve))),
    ("withdrawPolicySet", Own::Admin(Question::Sets(Sets::Withdraw))),
    ("restorePolicySet", Own::Admin(Question::Sets(Sets::Restore))),
];

/// Finds the flow of an operation; none if a backend has to answer it.
#[must_use]
pub fn own(operation: &str) -> Option<Own> {
    OWN.iter().find(|(id, _)| *id == operation).map(|(_, own)| *own)
}
