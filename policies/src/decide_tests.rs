#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::*;
use crate::admin::{self, AdminEntry, AdminRole};
use crate::binding;
use crate::code::Code;
use crate::facts::BodyFacts;
use crate::grant::{self, ClientForm};
use crate::id::{AdminId, ApiId, OrganisationId, PlanId};
use crate::jose::testing::TestSigner;
use crate::jose::{KeySet, encode, sha256};
use crate::limit::Mode;
use crate::national::money::{Currency, Money};
use crate::peer::{CertificateNames, ChainVerdict, PeerCertificate};
use crate::result::{self, ResultGrant};
use crate::rulebook::{
    AuditDuty, CertificateName, ClientAuthentication, OauthTerms, Organisation, Plan, Role, ScopeSet, Service, StepUp,
    TokenBinding, Trigger,
};
use crate::token::{self, AccessGrant, BearerToken, Confirmation, LEEWAY, Scheme};

const ISSUER: &str = "https://gate.example.kz";
pub(super) const ACR: &str = "urn:qaqpa:acr:L2";
pub(super) const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

pub(super) fn now() -> Timestamp {
    Timestamp::from_seconds(1_800_000_000)
}

pub(super) fn second() -> Duration {
    Duration::from_secs(1)
}

pub(super) fn client() -> Client {
    Client {
        id: ClientId::parse("demo-web").unwrap(),
        organisation: Arc::new(Organisation {
            id: OrganisationId::parse("demo").unwrap(),
            title: "Demo".to_owned(),
            roles: BTreeSet::from([Role::Pisp]),
            licence_ends: now() + second(),
            suspended: false,
            networks: Vec::new(),
        }),
        authentication: ClientAuthentication::TlsClientAuth(CertificateName::SanDns("client.example.kz".to_owned())),
        binding: TokenBinding::Mtls,
        scopes: ScopeSet::of(["payments:write", "payments:read"]),
        plan: Arc::new(Plan { id: PlanId::parse("standard").unwrap(), limits: vec![] }),
        suspended: false,
        webhook: None,
        oauth: OauthTerms::default(),
    }
}

pub(super) fn organisation_of(mut client: Client, change: impl FnOnce(&mut Organisation)) -> Client {
    let mut organisation = Organisation::clone(&client.organisation);
    change(&mut organisation);
    client.organisation = Arc::new(organisation);
    client
}

pub(super) fn policy(security: Security) -> OperationPolicy {
    OperationPolicy {
        operation: OperationId::parse("createDomesticPayment").unwrap(),
        api: ApiId::parse("payments").unwrap(),
        security,
        roles: BTreeSet::from([Role::Pisp, Role::Bank]),
        scopes: ScopeSet::of(["payments:write"]),
        body_bytes_max: 1024,
        timeout: second(),
        service: Service::Own,
        idempotent: true,
        settled_by: None,
        step_ups: vec![Arc::new(StepUp {
            id: Arc::from("large-payment"),
            trigger: Trigger::Above {
                above: Money::from_tiyn(25_000_000, Currency::Kzt),
                amount: "/instructedAmount".to_owned(),
            },
            acr: ACR.to_owned(),
            origin: "stepup.yaml:3".to_owned(),
        })],
        limits: Vec::new(),
        allow: Vec::new(),
        fraud: Vec::new(),
        responses: Mode::Report,
        masks: Vec::new(),
        noted: Vec::new(),
        loosened: None,
        consent: None,
        audit: AuditDuty::Required,
        origin: "payments.yaml:1".to_owned(),
    }
}

/// A caller whose token has these scopes, was issued to `holder` and ends at `expires`.
fn caller(client: Client, holder: &str, scopes: &[&str], expires: Timestamp) -> Caller {
    let signer = TestSigner::es256("one");
    let keys = KeySet::new(vec![signer.verifying_key()]).unwrap();
    let certificate = PeerCertificate::from_handshake([7; 32], CertificateNames::default(), ChainVerdict::Unverified);
    let grant = AccessGrant {
        issuer: ISSUER.to_owned(),
        audience: ISSUER.to_owned(),
        client: ClientId::parse(holder).unwrap(),
        subject: holder.to_owned(),
        scopes: ScopeSet::of(scopes.iter().copied()),
        confirmation: Confirmation::X5tS256([7; 32]),
        jti: "0123456789abcdef".to_owned(),
        issued: expires - Duration::from_secs(300),
        expires,
        citizen: None,
    };
    let raw = encode(token::ACCESS_TOKEN_TYPE, &token::claims(&grant), None, &signer).unwrap();
    let expected = token::Expected { issuer: ISSUER, audience: ISSUER, keys: &keys };
    let verified = token::verify(&BearerToken::parse(&raw).unwrap(), &expected, expires - second()).unwrap();
    let token = binding::bind(verified, Scheme::Bearer, None, Some(&certificate)).unwrap();
    Caller::Bound { client: Arc::new(client), token }
}

pub(super) fn ordinary(client: Client) -> Caller {
    caller(client, "demo-web", &["payments:write"], now() + second())
}

fn refused(security: Security, caller: &Caller) -> Option<Refusal> {
    permit(&Arc::new(policy(security)), caller, None, PEER, now()).err().map(|denial| denial.refusal)
}

/// A result for `binding` that reaches `acr` and ends at `expires`.
pub(super) fn identity(binding: Option<&str>, acr: &str, expires: Timestamp) -> IdentityResult {
    let signer = TestSigner::es256("one");
    let keys = KeySet::new(vec![signer.verifying_key()]).unwrap();
    let grant = ResultGrant {
        issuer: ISSUER.to_owned(),
        client: client().id,
        subject: "pairwise".to_owned(),
        verification: VerificationId::parse("v-1").unwrap(),
        binding_hash: binding.map(str::to_owned),
        acr: acr.to_owned(),
        amr: vec!["face".to_owned()],
        jti: "fedcba9876543210".to_owned(),
        issued: expires - Duration::from_secs(60),
        expires,
    };
    let raw = encode(result::RESULT_TYPE, &result::claims(&grant), None, &signer).unwrap();
    result::check(&raw, &keys, ISSUER, &client().id, expires - second()).unwrap()
}

fn assessed(amount: Option<Money>, identity: Option<&IdentityResult>) -> Result<Clearance, Refusal> {
    assessed_by(&Arc::new(policy(Security::AccessToken)), amount, identity).map_err(|denial| denial.refusal)
}

pub(super) fn assessed_by(
    policy: &Arc<OperationPolicy>,
    amount: Option<Money>,
    identity: Option<&IdentityResult>,
) -> Result<Clearance, Box<Denial>> {
    let permit = permit(policy, &ordinary(client()), None, PEER, now()).unwrap();
    let body = body(amount);
    let client = client();
    assess(permit, &facts(Some(&client.id), &policy.operation, &body), identity, now())
}

pub(super) fn body(amount: Option<Money>) -> BodyFacts {
    BodyFacts { amounts: amount.map(|amount| ("/instructedAmount".to_owned(), amount)).into_iter().collect() }
}

pub(super) fn facts<'a>(
    client: Option<&'a ClientId>,
    operation: &'a OperationId,
    body: &'a BodyFacts,
) -> RequestFacts<'a> {
    let (scopes, value, body_digest) = (None, None, Some(&[5; 32]));
    RequestFacts { client, operation, scopes, peer: PEER, body, value, body_digest }
}

pub(super) fn names_of(clearance: &Clearance) -> Vec<String> {
    clearance.spends().iter().map(Spend::name).collect()
}

pub(super) fn binding() -> String {
    binding_hash(&client().id, &policy(Security::AccessToken).operation, &[5; 32])
}

pub(super) fn tiyn(tiyn: i64) -> Option<Money> {
    Some(Money::from_tiyn(tiyn, Currency::Kzt))
}

#[test]
fn a_caller_of_another_kind_than_the_contract_asks_for_is_refused() {
    let all = [
        Security::Public,
        Security::AccessToken,
        Security::ClientAuthentication,
        Security::SignedCallback,
        Security::Administrator,
    ];
    let entry = AdminEntry {
        id: AdminId::parse("a").unwrap(),
        roles: BTreeSet::from([AdminRole::Viewer]),
        token_hash: sha256(b"0123456789012345678901234567890123456789"),
    };
    let administrator = admin::identify(&[entry], "0123456789012345678901234567890123456789").unwrap();
    let callers = [
        (Security::Public, Caller::Public),
        (Security::AccessToken, ordinary(client())),
        (Security::Administrator, Caller::Administrator(administrator)),
    ];
    for (kind, caller) in &callers {
        for security in all {
            let expected = (security != *kind).then_some(Refusal::WrongCaller { needs: security });
            assert_eq!(refused(security, caller), expected, "{kind:?} at {security:?}");
        }
    }
    assert_eq!(Refusal::WrongCaller { needs: Security::AccessToken }.code(), Code::TokenMissing);
    assert_eq!(Refusal::WrongCaller { needs: Security::Administrator }.code(), Code::AdministratorRefused);
}

fn at_the_token_endpoint(client: Client) -> Caller {
    let certificate = PeerCertificate::from_handshake(
        [7; 32],
        CertificateNames { dns: vec!["client.example.kz".to_owned()], ..CertificateNames::default() },
        ChainVerdict::Verified(Arc::from("authority")),
    );
    let form =
        [("grant_type", "client_credentials"), ("client_id", "demo-web")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    let form = ClientForm::parse(&form).unwrap();
    Caller::Client(grant::check_certificate(&form, &Arc::new(client), Some(&certificate)).unwrap())
}

#[test]
fn a_stopped_client_gets_no_token_and_is_told_in_the_words_of_oauth() {
    let mut stopped = client();
    stopped.suspended = true;
    let because = Box::new(Refusal::ClientSuspended);
    let kind = Security::ClientAuthentication;
    assert_eq!(refused(kind, &at_the_token_endpoint(stopped)), Some(Refusal::ClientRefused(because)));
    assert_eq!(refused(kind, &at_the_token_endpoint(client())), None);
    let needs = Security::AccessToken;
    assert_eq!(refused(needs, &at_the_token_endpoint(client())), Some(Refusal::WrongCaller { needs }));
}

#[test]
fn whoever_was_stopped_is_refused_before_anything_else_is_looked_at() {
    let mut stopped = client();
    stopped.suspended = true;
    let none = |client| caller(client, "demo-web", &[], now() + second());
    assert_eq!(refused(Security::AccessToken, &none(stopped.clone())), Some(Refusal::ClientSuspended));
    let both = organisation_of(stopped, |organisation| organisation.suspended = true);
    assert_eq!(refused(Security::AccessToken, &none(both)), Some(Refusal::OrganisationSuspended));
    let over = organisation_of(client(), |organisation| organisation.licence_ends = now());
    assert_eq!(refused(Security::AccessToken, &none(over)), Some(Refusal::LicenceOver));
    let roleless = organisation_of(client(), |organisation| organisation.roles = BTreeSet::from([Role::Aisp]));
    let needs = BTreeSet::from([Role::Pisp, Role::Bank]);
    assert_eq!(refused(Security::AccessToken, &none(roleless)), Some(Refusal::RoleMissing { needs }));
    let missing = ScopeSet::of(["payments:write"]);
    assert_eq!(refused(Security::AccessToken, &none(client())), Some(Refusal::ScopeMissing { missing }));
}

#[test]
fn a_licence_serves_until_the_instant_it_ends() {
    let ends = |at| organisation_of(client(), |organisation| organisation.licence_ends = at);
    let tick = Duration::from_millis(1);
    assert_eq!(refused(Security::AccessToken, &ordinary(ends(now()))), Some(Refusal::LicenceOver));
    assert_eq!(refused(Security::AccessToken, &ordinary(ends(now() + tick))), None);
}

#[test]
fn a_scope_that_the_client_has_lost_is_lost_to_its_tokens() {
    let mut client = client();
    client.scopes = ScopeSet::of(["payments:read"]);
    let missing = ScopeSet::of(["payments:write"]);
    assert_eq!(refused(Security::AccessToken, &ordinary(client)), Some(Refusal::ScopeMissing { missing }));
}

#[test]
fn a_token_of_another_client_is_refused() {
    let other = caller(client(), "other", &["payments:write"], now() + second());
    let needs = Security::AccessToken;
    assert_eq!(refused(Security::AccessToken, &other), Some(Refusal::WrongCaller { needs }));
}

#[test]
fn a_token_that_ends_on_the_way_is_refused() {
    let at = |expires| refused(Security::AccessToken, &caller(client(), "demo-web", &["payments:write"], expires));
    assert_eq!(at(now() - LEEWAY), Some(Refusal::TokenOver));
    assert_eq!(at(now() - LEEWAY + second()), None);
}

#[test]
fn a_request_without_an_amount_to_compare_is_refused() {
    let at = "/instructedAmount".to_owned();
    assert_eq!(assessed(None, None).err(), Some(Refusal::AmountUnknown { at: at.clone() }));
    let result = identity(Some(&binding()), ACR, now() + second());
    assert_eq!(assessed(None, Some(&result)).err(), Some(Refusal::AmountUnknown { at: at.clone() }));
    assert_eq!(assessed(tiyn(-1), None).err(), Some(Refusal::AmountUnknown { at }));
}

#[test]
fn above_the_amount_the_payer_has_to_be_verified() {
    let challenge = assessed(tiyn(25_000_001), None).unwrap_err();
    let Refusal::StepUp { acr, purpose, binding: told, operation } = &challenge else { unreachable!("{challenge:?}") };
    assert_eq!((acr.as_str(), *purpose, operation.as_str()), (ACR, "payment_stepup", "createDomesticPayment"));
    assert_eq!(*told, binding());
    assert_eq!(challenge.code(), Code::StepUpRequired);
    let at_the_amount = assessed(tiyn(25_000_000), None).unwrap();
    assert_eq!((at_the_amount.spends(), at_the_amount.verification()), (&[][..], None));
}

#[test]
fn a_result_that_does_not_fit_is_refused() {
    let above = tiyn(25_000_001);
    let soon = now() + second();
    let with = |result: &IdentityResult| assessed(above, Some(result)).err();
    assert_eq!(with(&identity(None, ACR, soon)), Some(Refusal::ResultForAnother));
    let other = binding_hash(&client().id, &policy(Security::AccessToken).operation, &[6; 32]);
    assert_eq!(with(&identity(Some(&other), ACR, soon)), Some(Refusal::ResultForAnother));
    assert_eq!(with(&identity(Some(&binding()), ACR, now() - LEEWAY)), Some(Refusal::ResultOver));
    let weak = Some(Refusal::ResultTooWeak { acr: ACR.to_owned() });
    for acr in ["urn:qaqpa:acr:L1", "urn:qaqpa:acr:L9", "urn:qaqpa:acr:L22", "urn:qaqpa:acr:", "zzz", "L4"] {
        assert_eq!(with(&identity(Some(&binding()), acr, soon)), weak, "{acr}");
    }
    assert!(
        [Refusal::ResultForAnother, Refusal::ResultOver]
            .iter()
            .all(|refusal| refusal.code() == Code::VerificationFailed)
    );
}

#[test]
fn a_result_that_fits_is_spent_and_one_that_is_not_needed_is_not() {
    for acr in [ACR, "urn:qaqpa:acr:L3", "urn:qaqpa:acr:L4"] {
        let result = identity(Some(&binding()), acr, now() + second());
        let clearance = assessed(tiyn(25_000_001), Some(&result)).unwrap();
        assert_eq!(names_of(&clearance), ["fedcba9876543210"]);
        assert_eq!(clearance.verification().map(VerificationId::as_str), Some("v-1"));
        assert_eq!(assessed(tiyn(1), Some(&result)).unwrap().spends(), []);
    }
}

#[test]
fn facts_of_another_request_are_refused() {
    let policy = Arc::new(policy(Security::AccessToken));
    let (mine, other) = (client(), ClientId::parse("other").unwrap());
    let elsewhere = OperationId::parse("getDomesticPayment").unwrap();
    let body = body(tiyn(1));
    for (client, operation) in
        [(Some(&other), &policy.operation), (None, &policy.operation), (Some(&mine.id), &elsewhere)]
    {
        let permit = permit(&policy, &ordinary(mine.clone()), None, PEER, now()).unwrap();
        let denial = assess(permit, &facts(client, operation, &body), None, now()).err();
        assert_eq!(denial.map(|denial| denial.refusal), Some(Refusal::FactsDoNotFit));
    }
}

#[test]
fn a_binding_is_of_one_client_one_operation_and_one_body() {
    let hash = |client: &str, operation: &str, digest: u8| {
        binding_hash(&ClientId::parse(client).unwrap(), &OperationId::parse(operation).unwrap(), &[digest; 32])
    };
    let all = [hash("ab", "c", 1), hash("a", "bc", 1), hash("ab", "c", 2), hash("abc", "c", 1), hash("c", "ab", 1)];
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    assert_eq!(hash("ab", "c", 1), hash("ab", "c", 1));
    assert_eq!(hash("ab", "c", 1).len(), 43);
}

#[test]
fn every_refusal_speaks_to_the_client_in_a_sentence() {
    let refusals = [
        Refusal::TokenOver,
        Refusal::ClientSuspended,
        Refusal::OrganisationSuspended,
        Refusal::LicenceOver,
        Refusal::ClientRefused(Box::new(Refusal::LicenceOver)),
        Refusal::ScopeMissing { missing: ScopeSet::of(["a", "b"]) },
        Refusal::RoleMissing { needs: BTreeSet::from([Role::Pisp]) },
        Refusal::AmountUnknown { at: "/a".to_owned() },
        Refusal::NetworkOutside,
        Refusal::ConditionUnmet,
        Refusal::NotJudged { why: "canary".to_owned() },
        Refusal::Fraud,
        Refusal::ResultForAnother,
        Refusal::ResultOver,
        Refusal::ResultTooWeak { acr: ACR.to_owned() },
        Refusal::FactsDoNotFit,
    ];
    assert!(refusals.iter().all(|refusal| !refusal.detail().contains("canary")));
    assert!(refusals.iter().all(|refusal| refusal.detail().ends_with('.')));
    assert_eq!(Refusal::ClientRefused(Box::new(Refusal::LicenceOver)).code(), Code::OauthUnauthorizedClient);
}

#[test]
fn who_explains_a_refusal_tells_what_the_caller_is_told() {
    let with = |change: fn(&mut Client)| {
        let mut client = client();
        change(&mut client);
        client
    };
    let clients = [
        client(),
        with(|client| client.suspended = true),
        with(|client| client.scopes = ScopeSet::of(["payments:read"])),
        organisation_of(client(), |organisation| organisation.suspended = true),
        organisation_of(client(), |organisation| organisation.licence_ends = now()),
        organisation_of(client(), |organisation| organisation.roles = BTreeSet::from([Role::Aisp])),
        organisation_of(client(), |organisation| {
            organisation.networks = vec![crate::network::AddressRange::parse("10.0.0.0/8").unwrap()];
        }),
    ];
    let policy = policy(Security::AccessToken);
    for (number, client) in clients.into_iter().enumerate() {
        let scopes: Vec<String> = client.scopes.iter().map(str::to_owned).collect();
        let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
        let told = could_call(&policy, &client, PEER, now()).err().map(|denial| denial.refusal);
        assert_eq!(told.is_none(), number == 0, "{told:?}");
        assert_eq!(told, refused(Security::AccessToken, &caller(client, "demo-web", &scopes, now() + second())));
    }
}
