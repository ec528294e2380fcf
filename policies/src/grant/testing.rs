//! Clients, requests and consents for tests of the authorization server's rules.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::{AuthenticatedClient, ClientForm, Exchange, check_certificate};
use crate::consent::{Consent, ConsentKind, ConsentTerms, Person, SharedAccount, choose};
use crate::id::{ClientId, ConsentId, GrantId, OrganisationId, PlanId};
use crate::jose::encode;
use crate::jose::testing::TestSigner;
use crate::national::iban::Iban;
use crate::nonce::Nonces;
use crate::party::{
    CertificateName, Client, ClientAuthentication, OauthTerms, Organisation, Plan, ScopeSet, TokenBinding,
};
use crate::peer::{CertificateNames, ChainVerdict, PeerCertificate};
use crate::proof::{self, VerifiedProof};
use crate::terms::NewTerms;
use crate::time::Timestamp;

pub(crate) const ISSUER: &str = "https://gate.example";
pub(crate) const REDIRECT: &str = "https://app.fintech.example/callback";
pub(crate) const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
pub(crate) const TICK: Duration = Duration::from_millis(1);
pub(crate) const OURS: &str = "KZ86125KZT5004100100";
pub(crate) const THEIRS: &str = "KZ75125KZT1001300335";
pub(crate) const OTHER: &str = "KZ86601A861000000001";

// RFC 7636, appendix B.
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(crate) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

const NAME: &str = "app.fintech.example";

/// A client that may ask citizens for everything.
pub(crate) fn client() -> Client {
    let organisation = Organisation {
        id: OrganisationId::parse("org").unwrap(),
        title: "Org".to_owned(),
        roles: BTreeSet::new(),
        licence_ends: NOW + Duration::from_secs(86_400),
        suspended: false,
        networks: Vec::new(),
    };
    let scopes = [
        "accounts:read",
        "balances:read",
        "transactions:read",
        "payments:read",
        "payments:write",
        "consents:write",
        "events:read",
    ];
    Client {
        id: ClientId::parse("fintech").unwrap(),
        organisation: Arc::new(organisation),
        authentication: ClientAuthentication::TlsClientAuth(CertificateName::SanDns(NAME.to_owned())),
        binding: TokenBinding::Either,
        scopes: ScopeSet::of(scopes),
        plan: Arc::new(Plan { id: PlanId::parse("standard").unwrap(), limits: vec![] }),
        suspended: false,
        webhook: None,
        oauth: OauthTerms { redirect_uris: BTreeSet::from([REDIRECT.to_owned()]), ..OauthTerms::default() },
    }
}

/// The clients that may not act, by why.
pub(crate) fn stopped_clients() -> Vec<(&'static str, Client)> {
    let mut of_stopped = client();
    Arc::make_mut(&mut of_stopped.organisation).suspended = true;
    let mut unlicensed = client();
    Arc::make_mut(&mut unlicensed.organisation).licence_ends = NOW;
    let mut elsewhere = client();
    elsewhere.oauth.issuer = Some(crate::id::IssuerId::parse("other").unwrap());
    vec![
        ("suspended", Client { suspended: true, ..client() }),
        ("of a suspended organisation", of_stopped),
        ("without a licence", unlicensed),
        ("of another issuer", elsewhere),
    ]
}

pub(crate) fn certificate() -> PeerCertificate {
    let names = CertificateNames { dns: vec![NAME.to_owned()], ..CertificateNames::default() };
    PeerCertificate::from_handshake([7; 32], names, ChainVerdict::Verified(Arc::from("authority")))
}

pub(crate) fn form(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A client that has authenticated itself by its certificate, with these parameters.
pub(crate) fn authenticated(client: Client, pairs: &[(&str, &str)]) -> AuthenticatedClient {
    let mut all = form(pairs);
    all.push(("client_id".to_owned(), client.id.as_str().to_owned()));
    check_certificate(&ClientForm::parse(&all).unwrap(), &Arc::new(client), Some(&certificate())).unwrap()
}

pub(crate) fn proof(holder: &TestSigner) -> VerifiedProof {
    let target = "https://gate.example/oauth";
    let claims = json!({"jti": "p", "htm": "POST", "htu": target, "iat": NOW.seconds()});
    let raw = encode(proof::PROOF_TYPE, &claims, Some(holder.bare_jwk()), holder).unwrap();
    let expected = proof::Expected { method: "POST", target, token: None, nonces: Nonces::free() };
    proof::check(&raw, &expected, NOW).unwrap().accept(true).unwrap()
}

pub(crate) fn exchange<'a>(client: &'a AuthenticatedClient, proof: Option<&'a VerifiedProof>) -> Exchange<'a> {
    Exchange { client, proof, certificate: None, issuer: ISSUER, audience: ISSUER, now: NOW }
}

pub(crate) fn consent_id(name: &str) -> ConsentId {
    ConsentId::parse(name).unwrap()
}

pub(crate) fn grant_id(name: &str) -> GrantId {
    GrantId::parse(name).unwrap()
}

pub(crate) fn iban(text: &str) -> Iban {
    Iban::parse(text).unwrap()
}

/// Terms of a payment as a client writes them.
pub(crate) fn payment() -> Value {
    json!({
        "creditorAccount": {"iban": THEIRS},
        "creditorName": "ТОО Астана Хлеб",
        "instructedAmount": {"amount": "1500.00", "currency": "KZT"},
        "knp": "710",
        "remittanceInformation": "Invoice 17",
    })
}

/// Terms of reading accounts as a client writes them.
pub(crate) fn access() -> Value {
    json!({"permissions": ["accounts", "balances"], "purpose": "Keeping your household accounts"})
}

pub(crate) fn terms(kind: ConsentKind, value: &Value) -> NewTerms {
    NewTerms::parse(kind, value).unwrap()
}

/// A consent that waits for the citizen.
pub(crate) fn awaiting(id: &str, kind: ConsentKind) -> Consent {
    let value = match kind {
        ConsentKind::AccountAccess => access(),
        ConsentKind::DomesticPayment => payment(),
    };
    let client = ClientId::parse("fintech").unwrap();
    Consent::create(consent_id(id), client, terms(kind, &value).terms, None, &ConsentTerms::usual(kind), NOW).unwrap()
}

/// The accounts that a bank tells of a citizen.
pub(crate) fn offered() -> Vec<SharedAccount> {
    [("acc-1", OURS), ("acc-2", OTHER)]
        .map(|(id, number)| SharedAccount { id: id.to_owned(), iban: iban(number) })
        .into()
}

pub(crate) fn person() -> Person {
    Person { index: [9; 32], sealed: vec![1, 2, 3] }
}

/// A consent that the citizen has agreed to, sharing or paying from the first account.
pub(crate) fn authorised(id: &str, kind: ConsentKind, grant: &str) -> Consent {
    let consent = awaiting(id, kind);
    let choice = choose(&consent.terms, &offered(), &["acc-1"]).unwrap();
    consent.authorise(choice, person(), grant_id(grant), NOW).unwrap()
}
