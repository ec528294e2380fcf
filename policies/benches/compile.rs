//! How long a large policy set takes to compile: 5,000 operations and 1,000 organisations.

use std::fmt::Write as _;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use policies::facts::{FieldKind, OperationFacts, Security, Shape};
use policies::language::{Source, compile};
use policies::time::Timestamp;

const APIS: usize = 50;
const OPERATIONS_EACH: usize = 100;
const ORGANISATIONS: usize = 1000;

fn contracts() -> Vec<OperationFacts> {
    let mut found = Vec::new();
    for api in 0..APIS {
        for number in 0..OPERATIONS_EACH {
            let written = number % 2 == 0;
            found.push(OperationFacts {
                id: format!("operation{api}x{number}"),
                api: format!("api{api}"),
                method: if written { "POST" } else { "GET" }.to_owned(),
                template: format!("/v1/api{api}/things{}{}", number / 2, if written { "" } else { "/{id}" }),
                security: Security::AccessToken,
                scopes: vec![format!("api{api}:{}", if written { "write" } else { "read" })],
                has_body: written,
                body: Shape {
                    fields: [
                        ("/debtorAccount", FieldKind::Object),
                        ("/instructedAmount", FieldKind::Object),
                        ("/instructedAmount/amount", FieldKind::Text),
                        ("/instructedAmount/currency", FieldKind::Text),
                    ]
                    .map(|(place, kind)| (place.to_owned(), kind))
                    .to_vec(),
                    open: false,
                },
                body_streams: false,
                answer_streams: false,
                answer: Shape { open: true, ..Shape::default() },
                headers: Vec::new(),
                idempotent: written,
                own: false,
                collides_with: Vec::new(),
                obstacle: None,
                origin: format!("api{api}.yaml:{number}"),
            });
        }
    }
    found
}

fn policies() -> Vec<Source> {
    let mut files = vec![Source::new(
        "common.yaml",
        "qaqpa: v1
defaults: {timeout: 5s, maxBody: 64KiB, audit: standard, allow: request.hour >= 6, mask: accounts, limits: each}
upstreams: {core: {protocol: http2, timeouts: {connect: 1s, response: 3s}, maxRequests: 512}}
identity: {providers: {face: {level: L3, timeout: 3s}}}
limits: {each: {per: [client, operation], rate: 20/s, burst: 40}}
stepUp: {large: {above: 250000 KZT, amount: /instructedAmount, level: L2}}
fraud: {odd: {when: \"money(body.instructedAmount) > tenge(5000000) && !('BANK' in client.roles)\", then: deny}}
masking: {accounts: {fields: [/debtorAccount], show: last-four}}
plans: {standard: {limits: [{per: client, rate: 50/s, burst: 100}]}}
",
    )];
    for api in 0..APIS {
        let mut text = format!(
            "qaqpa: v1\napis:\n  api{api}:\n    upstream: core\n    defaults: {{requires: {{roles: [PISP, BANK]}}, timeout: 4s}}\n    operations:\n"
        );
        for number in 0..OPERATIONS_EACH {
            let own = if number % 2 == 0 {
                let reads = format!("operation{api}x{}", number + 1);
                format!("{{maxBody: 16KiB, audit: required, stepUp: large, fraud: odd, settledBy: {reads}}}")
            } else {
                "{requires: {roles: [PISP]}, maxBody: 1KiB}".to_owned()
            };
            let _ = writeln!(text, "      operation{api}x{number}: {own}");
        }
        files.push(Source::new(format!("api{api}.yaml"), text));
    }
    for part in 0..10 {
        let (mut organisations, mut clients) = (String::new(), String::new());
        for number in 0..ORGANISATIONS / 10 {
            let id = format!("organisation{part}x{number}");
            let _ = writeln!(
                organisations,
                "  {id}: {{title: Organisation {number}, roles: [PISP], networks: [10.{part}.{number}.0/24], licence: {{authority: NBK, id: P-{number}, validUntil: 2027-06-30}}}}"
            );
            let _ = writeln!(
                clients,
                "  client{part}x{number}: {{organisation: {id}, plan: standard, authentication: tls_client_auth, certificate: {{sanDns: c{number}.example.kz}}, tokens: {{bind: mtls}}, scopes: [api1:read, api2:write]}}"
            );
        }
        let text = format!("qaqpa: v1\norganisations:\n{organisations}clients:\n{clients}");
        files.push(Source::new(format!("parties{part}.yaml"), text));
    }
    files
}

fn large_set(criterion: &mut Criterion) {
    let (contracts, files) = (contracts(), policies());
    let now = Timestamp::from_seconds(1_795_000_000);
    let compiled = compile(&files, &contracts, now);
    let counted = compiled.map(|found| (found.rulebook.operations.len(), found.rulebook.organisations.len()));
    assert_eq!(counted.map_err(|problems| problems.into_iter().next()), Ok((5000, 1000)));
    criterion.bench_function("compile 5,000 operations and 1,000 organisations", |bencher| {
        bencher.iter(|| compile(black_box(&files), black_box(&contracts), now).is_ok());
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = large_set
}
criterion_main!(benches);
