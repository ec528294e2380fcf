#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;

#[path = "consent_tests.rs"]
mod consent_tests;
#[path = "layers_tests.rs"]
mod layers_tests;
#[path = "limits_tests.rs"]
mod limits_tests;

use crate::event::EventKind;
use crate::facts::{FieldKind, Security, Shape};
use crate::id::{ClientId, OperationId, OrganisationId, UpstreamId};
use crate::language::codes::CODES;
use crate::language::decode::SecretReference;
use crate::language::problem::Severity;
use crate::language::{render, shipped, tally};
use crate::limit::{self, Dimension, Limit};
use crate::rulebook::{
    AuditDuty, CertificateName, ClientAuthentication, KeySource, OperationPolicy, Role, Service, TokenBinding, Trigger,
};

/// Noon of the day that the golden files are read on.
fn today() -> Timestamp {
    Timestamp::from_date("2026-11-22").unwrap() + Duration::from_secs(12 * 3600)
}

/// The contracts, in short: document, operation, method, template, security, scopes, `body`, `idempotent`, and
/// `upload` or `download` for what is no JSON.
const CONTRACTS: &str = "
accounts listAccounts GET /v1/accounts token accounts:read
accounts getAccountBalances GET /v1/accounts/{accountId}/balances token balances:read
accounts listAccountTransactions GET /v1/accounts/{accountId}/transactions token transactions:read
accounts pingAccounts GET /v1/accounts/ping token -
payments createDomesticPayment POST /v1/domestic-payments token payments:write body idempotent
payments getDomesticPayment GET /v1/domestic-payments/{id} token payments:read
limits listLimits GET /v1/limits token limits:read
limits getLimit GET /v1/limits/{policy} token limits:read
events listEvents GET /v1/events token events:read
events redeliverEvents POST /v1/events/redeliveries token events:write body
identity createIdentityVerification POST /v1/identity-verifications token identity:verify body idempotent
identity getIdentityVerification GET /v1/identity-verifications/{id} token identity:verify
identity receiveIdentityCallback POST /v1/identity-callbacks/{provider} signature - body
oauth issueToken POST /oauth/token client - body
oauth pushAuthorizationRequest POST /oauth/par client - body
oauth introspectToken POST /oauth/introspect client - body
oauth revokeToken POST /oauth/revoke client - body
oauth showAuthorization GET /oauth/authorize nobody -
oauth decideAuthorization POST /oauth/authorize nobody - body
oauth returnToAuthorization GET /oauth/authorize/return nobody -
oauth showCitizenConsents GET /oauth/consents nobody -
oauth changeCitizenConsents POST /oauth/consents nobody - body
oauth getKeys GET /oauth/keys nobody -
oauth getAuthorizationServerMetadata GET /.well-known/oauth-authorization-server nobody -
oauth getOpenidConfiguration GET /.well-known/openid-configuration nobody -
oauth getProtectedResourceMetadata GET /.well-known/oauth-protected-resource nobody -
oauth getAuthorizationServerMetadataOfPath GET /.well-known/oauth-authorization-server/{issuerPath} nobody -
oauth getOpenidConfigurationOfPath GET /.well-known/openid-configuration/{issuerPath} nobody -
oauth getProtectedResourceMetadataOfPath GET /.well-known/oauth-protected-resource/{issuerPath} nobody -
consents createAccountAccessConsent POST /v1/account-access-consents token consents:write body idempotent
consents getAccountAccessConsent GET /v1/account-access-consents/{consentId} token consents:write
consents deleteAccountAccessConsent DELETE /v1/account-access-consents/{consentId} token consents:write
consents createDomesticPaymentConsent POST /v1/domestic-payment-consents token consents:write body idempotent
consents getDomesticPaymentConsent GET /v1/domestic-payment-consents/{consentId} token consents:write
consents deleteDomesticPaymentConsent DELETE /v1/domestic-payment-consents/{consentId} token consents:write
discovery getStatus GET /v1/discovery/status nobody -
odd readByNumber GET /v1/odd/{number} token odd:read
odd readByName GET /v1/odd/{name} token odd:read
odd unsaid GET /v1/unsaid token odd:read
odd keepStatement POST /v1/odd/statements token odd:write body upload
odd getStatement GET /v1/odd/statements/{id} token odd:read download
admin getLiveness GET /livez nobody -
admin getReadiness GET /readyz nobody -
admin getMetrics GET /metrics administrator -
admin listRoutes GET /v1/admin/routes administrator -
admin getGeneration GET /v1/admin/generation administrator -
admin listAuditRecords GET /v1/admin/audit-records administrator -
admin listSigningKeys GET /v1/admin/keys administrator -
admin rotateSigningKeys POST /v1/admin/keys/rotations administrator -
admin listClientLimits GET /v1/admin/limits administrator -
admin resetLimits POST /v1/admin/limits/resets administrator - body
admin reloadPolicies POST /v1/admin/reload administrator -
admin eraseSubject POST /v1/admin/erasures administrator - body
admin listPolicySets GET /v1/admin/policy-sets administrator -
admin getPolicySet GET /v1/admin/policy-sets/{id} administrator -
admin proposePolicySet POST /v1/admin/policy-sets administrator - body
admin approvePolicySet POST /v1/admin/policy-sets/{id}/approval administrator -
admin withdrawPolicySet POST /v1/admin/policy-sets/{id}/withdrawal administrator -
admin restorePolicySet POST /v1/admin/policy-sets/{id}/restoration administrator -
";

fn contracts() -> Vec<OperationFacts> {
    let read = |(index, line): (usize, &str)| {
        let words: Vec<&str> = line.split(' ').collect();
        let [api, id, method, template, security, scope, rest @ ..] = words.as_slice() else { panic!("{line}") };
        OperationFacts {
            id: (*id).to_owned(),
            api: (*api).to_owned(),
            method: (*method).to_owned(),
            template: (*template).to_owned(),
            security: match *security {
                "token" => Security::AccessToken,
                "client" => Security::ClientAuthentication,
                "signature" => Security::SignedCallback,
                "administrator" => Security::Administrator,
                _ => Security::Public,
            },
            scopes: Some(*scope).filter(|scope| *scope != "-").map(str::to_owned).into_iter().collect(),
            body: described(id, BODIES),
            answer: described(id, ANSWERS),
            body_streams: rest.contains(&"upload"),
            answer_streams: rest.contains(&"download"),
            has_body: rest.contains(&"body"),
            headers: Vec::new(),
            idempotent: rest.contains(&"idempotent"),
            own: !matches!(*api, "accounts" | "payments" | "odd"),
            collides_with: match *id {
                "readByNumber" => vec!["readByName".to_owned()],
                "readByName" => vec!["readByNumber".to_owned()],
                _ => Vec::new(),
            },
            obstacle: (*id == "unsaid").then(|| "the contract does not say who may call it".to_owned()),
            origin: format!("openapi/apis/{api}.yaml:{}", 10 + index),
        }
    };
    CONTRACTS.trim().lines().enumerate().map(read).collect()
}

/// What bodies hold, where the contract describes it.
const BODIES: &[(&str, &[(&str, FieldKind)])] = &[
    ("redeliverEvents", &[("/fee", FieldKind::Object), ("/since", FieldKind::Text)]),
    (
        "createDomesticPayment",
        &[
            ("/creditorAccount", FieldKind::Object),
            ("/creditorAccount/iban", FieldKind::Text),
            ("/debtorAccount", FieldKind::Object),
            ("/debtorAccount/iban", FieldKind::Text),
            ("/instructedAmount", FieldKind::Object),
            ("/instructedAmount/amount", FieldKind::Text),
            ("/instructedAmount/currency", FieldKind::Text),
            ("/items", FieldKind::Array),
            ("/items/*", FieldKind::Object),
            ("/knp", FieldKind::Text),
        ],
    ),
];

/// Whose bodies and answers may hold more than is described.
const OPEN: &[&str] = &["getAccountBalances", "redeliverEvents"];

/// What answers hold.
const ANSWERS: &[(&str, &[(&str, FieldKind)])] = &[
    (
        "getAccountBalances",
        &[
            ("/balances", FieldKind::Array),
            ("/balances/*", FieldKind::Object),
            ("/balances/*/iban", FieldKind::Text),
            ("/extension", FieldKind::Object),
        ],
    ),
    ("createDomesticPayment", &[("/paymentId", FieldKind::Text), ("/status", FieldKind::Text)]),
    (
        "listAccounts",
        &[
            ("/accounts", FieldKind::Array),
            ("/accounts/*", FieldKind::Object),
            ("/accounts/*/accountId", FieldKind::Text),
            ("/accounts/*/iban", FieldKind::Text),
            ("/accounts/*/owner", FieldKind::Text),
        ],
    ),
];

fn described(id: &str, known: &[(&str, &[(&str, FieldKind)])]) -> Shape {
    let fields = known.iter().find(|(operation, _)| *operation == id).map(|(_, fields)| *fields);
    let own = |(place, kind): &(&str, FieldKind)| ((*place).to_owned(), *kind);
    Shape { fields: fields.unwrap_or_default().iter().map(own).collect(), open: fields.is_none() || OPEN.contains(&id) }
}

fn told(files: &[Source]) -> String {
    let problems = match compile(files, &contracts(), today()) {
        Ok(compiled) => compiled.warnings,
        Err(problems) => problems,
    };
    for problem in &problems {
        assert!(CODES.iter().any(|known| known.code == problem.code), "{} is not explained", problem.code);
    }
    let mut text = render(&problems, files, false);
    let _ = writeln!(text, "{}", tally(&problems));
    text
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests-data/language")
}

/// Each golden file holds `=== name` with the text of a file, any number of times, then `=== told` with what is told.
fn golden() -> Vec<(PathBuf, Vec<Source>, String)> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let (given, expected) = text.split_once("=== told\n").unwrap_or((&text, ""));
        let files = given
            .split("=== ")
            .skip(1)
            .map(|part| {
                let (name, body) = part.split_once('\n').unwrap();
                Source::new(name, body)
            })
            .collect();
        (path, files, expected.to_owned())
    };
    paths.into_iter().map(read).collect()
}

#[test]
fn broken_policies_are_told_as_in_the_golden_files() {
    let cases = golden();
    assert!(cases.len() >= 55, "{}", cases.len());
    let mut wrong = String::new();
    for (path, files, expected) in cases {
        let found = told(&files);
        if found != expected {
            // With BLESS set, what is told now becomes what is expected: look at the difference before committing it.
            if std::env::var_os("BLESS").is_some() {
                let mut text: String = std::fs::read_to_string(&path).unwrap();
                text.truncate(text.find("=== told\n").unwrap_or(text.len()));
                std::fs::write(&path, format!("{text}=== told\n{found}")).unwrap();
            } else {
                let _ = writeln!(wrong, "{}:\n{found}", path.display());
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn no_golden_file_shows_a_secret() {
    for (path, files, expected) in golden() {
        assert!(!expected.contains("jpsQnnGQmL") && !expected.contains("hunter2"), "{}", path.display());
        assert!(!files.is_empty());
    }
}

#[test]
fn the_shipped_policies_compile_without_a_warning() {
    let files = shipped();
    match compile(&files, &contracts(), today()) {
        Ok(compiled) => assert_eq!(render(&compiled.warnings, &files, false), ""),
        Err(problems) => panic!("{}", render(&problems, &files, false)),
    }
}

fn compiled(files: &[Source]) -> Rulebook {
    match compile(files, &contracts(), today()) {
        Ok(compiled) => compiled.rulebook,
        Err(problems) => panic!("{}", render(&problems, files, false)),
    }
}

fn operation<'r>(rulebook: &'r Rulebook, id: &str) -> &'r OperationPolicy {
    rulebook.operations.get(&OperationId::parse(id).unwrap()).unwrap()
}

#[test]
fn a_payment_whose_answer_is_lost_is_asked_for_by_its_reference() {
    let rulebook = compiled(&shipped());
    let status = operation(&rulebook, "createDomesticPayment").settled_by.as_ref().unwrap();
    assert_eq!(status.operation.as_str(), "getDomesticPayment");
    assert_eq!(status.path("abc"), "/v1/domestic-payments/abc");
    assert_eq!(status.parameter, "id");
    let settled: Vec<&str> = rulebook.settled_by(&status.operation).map(|policy| policy.operation.as_str()).collect();
    assert_eq!(settled, ["createDomesticPayment"]);
}

const PARTIES: &str = "qaqpa: v1
organisations:
  demo:
    title: Demo Payments LLP
    roles: [PISP, AISP]
    licence: {authority: NBK, id: P-1, validUntil: 2027-06-30}
clients:
  demo-web: &web
    organisation: demo
    plan: standard
    authentication: private_key_jwt
    keys: [{kty: EC, crv: P-256, kid: 2026, x: f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU, y: x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0}]
    tokens: {bind: dpop}
    scopes: [payments:write, payments:read]
  demo-copy: *web
  demo-mtls:
    organisation: demo
    plan: trial
    authentication: tls_client_auth
    certificate: {sanDns: client.demo.kz}
    tokens: {bind: either}
    scopes: [accounts:read]
    suspended: true
";

#[test]
fn no_file_exposes_nothing() {
    let rulebook = compiled(&[]);
    assert!(rulebook.operations.is_empty() && rulebook.clients.is_empty());
}

#[test]
fn an_operation_that_no_policy_names_is_not_exposed() {
    let rulebook = compiled(&shipped());
    assert!(!rulebook.operations.contains_key("pingAccounts"));
    let odd = contracts().iter().filter(|facts| facts.api == "odd").count();
    assert_eq!(rulebook.operations.len(), contracts().len() - odd - 1);
}

#[test]
fn nothing_is_compiled_while_one_file_is_broken() {
    let mut files = shipped();
    files.push(Source::new("broken.yaml", "qaqpa: v1\nplans: [\n"));
    assert_eq!(compile(&files, &contracts(), today()).err().map(|problems| problems.len()), Some(1));
}

#[test]
fn an_operation_may_be_as_strict_as_the_default_but_no_looser() {
    let file = |body: &str, timeout: &str| {
        Source::new(
            "a.yaml",
            format!(
                "qaqpa: v1\napis: {{discovery: {{defaults: {{maxBody: 2KiB, timeout: 2s}}, operations: {{getStatus: {{maxBody: {body}, timeout: {timeout}}}}}}}}}\n"
            ),
        )
    };
    for (body, timeout, problems) in
        [("2KiB", "2s", 0), ("2049B", "2s", 1), ("2KiB", "2001ms", 1), ("3KiB", "3s", 2), ("1B", "1ms", 0)]
    {
        let found = compile(&[file(body, timeout)], &contracts(), today());
        assert_eq!(found.err().map_or(0, |problems| problems.len()), problems, "{body} {timeout}");
    }
}

#[test]
fn what_has_a_range_is_taken_at_its_ends_and_not_beyond() {
    let bodies = |size: usize| {
        let text = format!(
            "qaqpa: v1\napis: {{discovery: {{operations: {{getStatus: {{maxBody: {size}B, timeout: 1s}}}}}}}}\n"
        );
        compile(&[Source::new("a.yaml", text)], &contracts(), today()).is_ok()
    };
    assert!(bodies(BODY_BYTES_MAX) && !bodies(BODY_BYTES_MAX + 1) && !bodies(0));
    let times = |millis: u128| {
        let text = format!("qaqpa: v1\napis: {{discovery: {{operations: {{getStatus: {{timeout: {millis}ms}}}}}}}}\n");
        compile(&[Source::new("a.yaml", text)], &contracts(), today()).is_ok()
    };
    assert!(times(TIMEOUT_MAX.as_millis()) && !times(TIMEOUT_MAX.as_millis() + 1) && !times(0));
    let upstream = |connect: u128, response: u128, requests: u64| {
        let text = format!(
            "qaqpa: v1\nupstreams: {{a: {{protocol: http2, timeouts: {{connect: {connect}ms, response: {response}ms}}, maxRequests: {requests}}}}}\n"
        );
        compile(&[Source::new("a.yaml", text)], &contracts(), today()).is_ok()
    };
    let (connect, response) = (CONNECT_MAX.as_millis(), RESPONSE_MAX.as_millis());
    assert!(upstream(connect, response, REQUESTS_MAX));
    assert!(
        !upstream(connect + 1, 1, 1)
            && !upstream(1, response + 1, 1)
            && !upstream(1, 1, REQUESTS_MAX + 1)
            && !upstream(1, 1, 0)
    );
    let bursts = |burst: u64| {
        let text = format!("qaqpa: v1\nplans: {{a: {{limits: [{{per: client, rate: 1/s, burst: {burst}}}]}}}}\n");
        compile(&[Source::new("a.yaml", text)], &contracts(), today()).is_ok()
    };
    assert!(bursts(BURST_MAX) && bursts(1) && !bursts(BURST_MAX + 1) && !bursts(0));
    let pointers = |bytes: usize| {
        let text = format!(
            "qaqpa: v1\nidentity: {{providers: {{a: {{level: L4, timeout: 1s}}}}}}\nstepUp: {{a: {{above: 1 KZT, amount: /{}, level: L4}}}}\n",
            "p".repeat(bytes - 1)
        );
        compile(&[Source::new("a.yaml", text)], &contracts(), today()).is_ok()
    };
    assert!(pointers(POINTER_BYTES_MAX) && !pointers(POINTER_BYTES_MAX + 1));
}

#[test]
fn a_licence_is_valid_through_its_last_day() {
    let mut files = shipped();
    files.push(Source::new("parties.yaml", PARTIES));
    let rulebook = compiled(&files);
    let organisation = rulebook.organisations.get(&OrganisationId::parse("demo").unwrap()).unwrap();
    assert_eq!(organisation.licence_ends.to_string(), "2027-07-01T00:00:00.000Z");
}

#[test]
fn parties_come_out_as_they_were_written() {
    let mut files = shipped();
    files.push(Source::new("parties.yaml", PARTIES));
    let rulebook = compiled(&files);
    let client = |id: &str| rulebook.clients.get(&ClientId::parse(id).unwrap()).unwrap();
    let web = client("demo-web");
    assert_eq!(web.organisation.roles, BTreeSet::from([Role::Aisp, Role::Pisp]));
    assert_eq!(
        (web.binding, web.scopes.to_string(), web.suspended),
        (TokenBinding::Dpop, "payments:read payments:write".to_owned(), false)
    );
    assert!(
        matches!(&web.authentication, ClientAuthentication::PrivateKeyJwt(KeySource::Given(keys)) if keys.iter().any(|key| key.kid() == Some("2026")))
    );
    assert_eq!(client("demo-copy").scopes, web.scopes);
    let mtls = client("demo-mtls");
    assert!(
        matches!(&mtls.authentication, ClientAuthentication::TlsClientAuth(CertificateName::SanDns(name)) if name == "client.demo.kz")
    );
    assert!(mtls.suspended);
    let burst = |limit: &Limit| match &limit.shape {
        limit::Shape::Bucket(bucket) => bucket.burst.get(),
        _ => 0,
    };
    let limits: Vec<_> = mtls.plan.limits.iter().map(|limit| (&*limit.id, limit.per.clone(), burst(limit))).collect();
    assert_eq!(
        limits,
        [
            ("trial:client:2/s", vec![Dimension::Client], 5),
            ("trial:organisation:10/s", vec![Dimension::Organisation], 20)
        ]
    );
}

#[test]
fn operations_join_contract_defaults_and_their_own_terms() {
    let rulebook = compiled(&shipped());
    let payment = operation(&rulebook, "createDomesticPayment");
    assert_eq!(payment.service, Service::Upstream(UpstreamId::parse("core-bank").unwrap()));
    assert_eq!((payment.scopes.to_string(), payment.audit), ("payments:write".to_owned(), AuditDuty::Required));
    assert_eq!(payment.roles, BTreeSet::from([Role::Pisp]));
    assert!(payment.idempotent && payment.timeout == Duration::from_secs(5));
    assert!(payment.origin.starts_with("policies/national/apis/payments.yaml:"));
    let step_up = payment.step_ups.first().unwrap();
    let Trigger::Above { above, .. } = &step_up.trigger else { panic!("{step_up:?}") };
    assert_eq!((above.to_string(), step_up.acr.as_str()), ("250000.00 KZT".to_owned(), "urn:qaqpa:acr:L2"));
    let status = operation(&rulebook, "getStatus");
    assert_eq!(
        (status.service.clone(), status.security, status.scopes.is_empty()),
        (Service::Own, Security::Public, true)
    );
    let extra = "qaqpa: v1\napis: {accounts: {upstream: core-bank, defaults: {timeout: 1s, requires: {scopes: [payments:read]}}, operations: {listAccounts: {requires: {scopes: [payments:write], roles: [BANK]}}}}}\n";
    let files: Vec<Source> = shipped()
        .into_iter()
        .filter(|source| !["accounts", "/tests/", "national/consents"].iter().any(|part| source.name.contains(part)))
        .chain([Source::new("accounts.yaml", extra)])
        .collect();
    let rulebook = compiled(&files);
    let accounts = operation(&rulebook, "listAccounts");
    assert_eq!(accounts.scopes.to_string(), "accounts:read payments:read payments:write");
    assert_eq!((accounts.roles.clone(), accounts.body_bytes_max), (BTreeSet::from([Role::Bank]), BODY_BYTES_DEFAULT));
}

#[test]
fn providers_are_tried_in_the_order_of_the_files() {
    let files = [
        Source::new(
            "b.yaml",
            "qaqpa: v1\nidentity: {providers: {second: {level: L1, timeout: 1s}, first: {level: L3, timeout: 1s}}}\n",
        ),
        Source::new("a.yaml", "qaqpa: v1\nidentity: {providers: {third: {level: L2, timeout: 1s}}}\n"),
    ];
    let order: Vec<String> = compiled(&files).providers.iter().map(|provider| provider.id.to_string()).collect();
    assert_eq!(order, ["second", "first", "third"]);
}

#[test]
fn warnings_alone_stop_nothing() {
    let file = Source::new(
        "a.yaml",
        "qaqpa: v1\norganisations: {a: {title: A, roles: [BANK], licence: {authority: NBK, id: 1, validUntil: 2020-01-01}}}\n",
    );
    let compiled = compile(&[file], &contracts(), today()).unwrap();
    assert!(compiled.warnings.iter().all(|problem| problem.severity == Severity::Warning));
    assert_eq!((compiled.warnings.len(), compiled.rulebook.organisations.len()), (1, 1));
}

#[test]
fn a_client_may_be_told_of_events() {
    let file = |webhook: &str| {
        Source::new(
            "parties.yaml",
            format!(
                "qaqpa: v1\norganisations: {{demo: {{title: Demo, roles: [PISP], licence: {{authority: NBK, id: 1, validUntil: 2027-06-30}}}}}}\n\
                 clients: {{demo: {{organisation: demo, plan: standard, authentication: tls_client_auth, certificate: {{sanDns: client.demo.kz}}, tokens: {{bind: mtls}}, scopes: [payments:write]{webhook}}}}}\n"
            ),
        )
    };
    let files = |webhook: &str| -> Vec<Source> { shipped().into_iter().chain([file(webhook)]).collect() };
    let found = |rulebook: Rulebook| rulebook.clients.values().next().unwrap().webhook.clone();
    assert_eq!(found(compiled(&files(""))), None);
    let webhook =
        found(compiled(&files(", webhook: {url: https://hooks.demo.kz/in, secret: secret:env:HOOK}"))).unwrap();
    assert_eq!((webhook.url.url(), webhook.origin.as_str()), ("https://hooks.demo.kz/in", "parties.yaml:3"));
    assert_eq!((webhook.secrets.len(), webhook.events), (1, EventKind::ALL.into_iter().collect()));
    // What only a sandbox needs is there only where its operator says so.
    let near = files(
        ", webhook: {url: 'http://127.0.0.1:9/in', secret: [secret:env:B, secret:env:A], events: [kz.qaqpa.payment.settled.v1]}",
    );
    assert!(compile(&near, &contracts(), today()).is_err());
    let allowed = Allowed { private_endpoints: true };
    let webhook = found(compile_where(&near, &contracts(), allowed, today()).unwrap().rulebook).unwrap();
    assert_eq!(webhook.secrets.first(), Some(&SecretReference::Environment("B".to_owned())));
    assert_eq!(webhook.events, BTreeSet::from([EventKind::PaymentSettled]));
}
