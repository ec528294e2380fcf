//! What conditions cost: compiling one when policies are loaded, and judging a request by it.
#![expect(clippy::unwrap_used, reason = "a benchmark may stop at the first surprise")]

use std::collections::BTreeSet;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use policies::condition::{Condition, ConditionFacts, KnownBody};
use policies::facts::Security;
use policies::id::{ApiId, ClientId, OperationId, OrganisationId, PlanId};
use policies::limit::Mode;
use policies::rulebook::{
    AuditDuty, CertificateName, Client, ClientAuthentication, OauthTerms, OperationPolicy, Organisation, Plan, Role,
    ScopeSet, Service, TokenBinding,
};
use policies::time::Timestamp;
use serde_json::json;

const HOUR: &str = "request.hour >= 6 && request.hour < 22";
const MONEY: &str = "money(body.instructedAmount) > tenge(250000) && !('BANK' in client.roles)";
const NETWORK: &str = "in_network(request.peer, '10.0.0.0/8') || client.id in ['a', 'b', 'c']";
const ITEMS: &str = "body.items.all(item, item.code in ['A', 'B'] && item.price > 1.0)";
const PATTERN: &str = "body.creditor.iban.matches('^KZ[0-9]{2}[A-Z0-9]{16}$')";

fn client() -> Client {
    Client {
        id: ClientId::parse("demo-web").unwrap(),
        organisation: Arc::new(Organisation {
            id: OrganisationId::parse("demo").unwrap(),
            title: "Demo".to_owned(),
            roles: BTreeSet::from([Role::Pisp]),
            licence_ends: Timestamp::MAX,
            suspended: false,
            networks: Vec::new(),
        }),
        authentication: ClientAuthentication::TlsClientAuth(CertificateName::SanDns("client.example.kz".to_owned())),
        binding: TokenBinding::Mtls,
        scopes: ScopeSet::of(["payments:write"]),
        plan: Arc::new(Plan { id: PlanId::parse("standard").unwrap(), limits: vec![] }),
        suspended: false,
        webhook: None,
        oauth: OauthTerms::default(),
    }
}

fn policy() -> OperationPolicy {
    OperationPolicy {
        operation: OperationId::parse("createDomesticPayment").unwrap(),
        api: ApiId::parse("payments").unwrap(),
        security: Security::AccessToken,
        roles: BTreeSet::new(),
        scopes: ScopeSet::default(),
        body_bytes_max: 1024,
        timeout: Duration::from_secs(1),
        service: Service::Own,
        idempotent: true,
        settled_by: None,
        step_ups: Vec::new(),
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

fn conditions(criterion: &mut Criterion) {
    let thousand = (0..1000).map(|_| "'KZ86125KZT5004100100'").collect::<Vec<_>>().join(", ");
    let listed = format!("body.creditor.iban in [{thousand}]");
    for (name, text) in [("hour", HOUR), ("money", MONEY), ("thousand", &listed)] {
        criterion.bench_function(&format!("compile/{name}"), |bench| {
            bench.iter(|| Condition::compile(black_box(text), "here:1", None).unwrap());
        });
    }
    let (policy, client, scopes) = (policy(), client(), ScopeSet::of(["payments:write"]));
    let items: Vec<_> = (0..1000).map(|_| json!({"code": "B", "price": 2.5})).collect();
    let body = json!({
        "instructedAmount": {"amount": "250000.01", "currency": "KZT"},
        "creditor": {"iban": "KZ12345KZT5004100100"},
        "items": items,
        "tags": vec!["b"; 1000],
    });
    let facts = ConditionFacts {
        operation: &policy.operation,
        api: &policy.api,
        client: Some(&client),
        scopes: Some(&scopes),
        peer: Some([10, 1, 2, 3].into()),
        body: KnownBody::Whole(&body),
        now: Timestamp::from_seconds(1_800_000_000),
    };
    let worst = format!("body.tags.all(tag, {})", ["tag.matches('(a|aa|aaa|aaaa)+b?$')"; 1].join(" || "));
    for (name, text) in [
        ("hour", HOUR),
        ("money", MONEY),
        ("network", NETWORK),
        ("pattern", PATTERN),
        ("1000-items", ITEMS),
        ("in-1000", &listed),
        ("worst", &worst),
    ] {
        let condition = Condition::compile(text, "here:1", None).unwrap();
        criterion.bench_function(&format!("judge/{name}"), |bench| {
            bench.iter(|| condition.judge(black_box(&facts)));
        });
    }
}

criterion_group!(benches, conditions);
criterion_main!(benches);
