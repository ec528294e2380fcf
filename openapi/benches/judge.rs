//! How long it takes to judge a request and an answer.
//!
//! The line to hold: a JSON body of 1 KiB, read and judged, in 15 µs.

#![expect(clippy::expect_used, reason = "a bench may stop at the first surprise")]

use criterion::{Criterion, criterion_group, criterion_main};
use openapi::{CanonicalPath, Contract, Operation, Route, Source};
use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;

const CONTRACT: &str = r"
openapi: 3.0.3
info: {title: A bench, version: '1'}
security: []
paths:
  /v1/payments/{paymentId}:
    put:
      operationId: putPayment
      parameters:
        - {name: paymentId, in: path, required: true, schema: {type: string, format: uuid}}
        - {name: limit, in: query, schema: {type: integer, minimum: 1, maximum: 100}}
        - {name: status, in: query, schema: {type: array, maxItems: 5, items: {type: string, enum: [open, done]}}}
        - {name: X-Idempotency-Key, in: header, required: true, schema: {type: string, pattern: '^[A-Za-z0-9-]{1,40}$'}}
      requestBody:
        required: true
        content: {application/json: {schema: {$ref: '#/components/schemas/Payment'}}}
      responses:
        '200':
          description: The payment.
          content: {application/json: {schema: {$ref: '#/components/schemas/Payment'}}}
components:
  schemas:
    Payment:
      type: object
      additionalProperties: false
      required: [debtor, creditor, amount, lines]
      properties:
        debtor: {$ref: '#/components/schemas/Party'}
        creditor: {$ref: '#/components/schemas/Party'}
        amount: {$ref: '#/components/schemas/Money'}
        note: {type: string, minLength: 1, maxLength: 140, pattern: '^(?!\s)(.*)(\S)$'}
        dueAt: {type: string, format: date-time}
        lines:
          type: array
          minItems: 1
          maxItems: 50
          items:
            type: object
            additionalProperties: false
            required: [id, amount]
            properties:
              id: {type: string, format: uuid}
              amount: {$ref: '#/components/schemas/Money'}
              kind: {type: string, enum: [goods, services, taxes]}
              count: {type: integer, minimum: 1, maximum: 9999}
    Party:
      type: object
      additionalProperties: false
      required: [iban, name]
      properties:
        iban: {type: string, pattern: '^KZ[0-9]{2}[A-Z0-9]{16}$'}
        name: {type: string, minLength: 1, maxLength: 140}
        bic: {type: string, pattern: '^[A-Z]{6}[A-Z0-9]{2}([A-Z0-9]{3})?$'}
    Money:
      type: object
      additionalProperties: false
      required: [amount, currency]
      properties:
        amount: {type: string, pattern: '^(0|[1-9][0-9]{0,14})\.[0-9]{2}$'}
        currency: {type: string, enum: [KZT, USD, EUR]}
";

/// A sound body of 1 KiB: 6 lines, and a note that fills it up.
fn body() -> String {
    let mut lines = String::new();
    for line in 0..6 {
        let comma = if line == 0 { "" } else { "," };
        let _ = write!(
            lines,
            r#"{comma}{{"id":"018f3c1e-0000-7000-8000-00000000000{line}","amount":{{"amount":"{}00.00","currency":"KZT"}},"kind":"goods","count":{}}}"#,
            line + 1,
            line + 1
        );
    }
    let whole = |note: &str| {
        format!(
            r#"{{"debtor":{{"iban":"KZ86125KZT5004100100","name":"Astana Bread LLP"}},"creditor":{{"iban":"KZ75125KZT1001300335","name":"Mill No. 3 JSC","bic":"CASPKZKA"}},"amount":{{"amount":"1500.00","currency":"KZT"}},"note":"{note}","dueAt":"2026-03-01T09:30:00Z","lines":[{lines}]}}"#
        )
    };
    let note = "x".repeat(1024 - whole("").len());
    whole(&note)
}

fn operation() -> (Contract, Arc<Operation>) {
    let source = Source { name: "bench.yaml".to_owned(), text: CONTRACT.to_owned() };
    let contract = Contract::load(&[source]).expect("the bench's contract loads");
    let operation = Arc::clone(contract.operations().first().expect("it has an operation"));
    (contract, operation)
}

fn judge(criterion: &mut Criterion) {
    let (contract, operation) = operation();
    let body = body();
    assert_eq!(body.len(), 1024);
    let check = |body: &str| operation.check_body(Some("application/json; charset=utf-8"), body.as_bytes());
    assert!(check(&body).is_ok(), "{:?}", check(&body));
    criterion.bench_function("a sound JSON body of 1 KiB", |bench| bench.iter(|| check(black_box(&body))));
    let broken = body.replacen("goods", "bads", 1).replacen("\"KZT\"", "\"XXX\"", 1);
    assert!(check(&broken).is_err());
    criterion.bench_function("a JSON body of 1 KiB with two faults", |bench| bench.iter(|| check(black_box(&broken))));
    let header = |name: &str| (name == "content-type").then(|| "application/json".to_owned());
    assert_eq!(operation.check_response(200, &header, body.as_bytes()), Ok(()));
    criterion.bench_function("a sound JSON answer of 1 KiB", |bench| {
        bench.iter(|| operation.check_response(200, &header, black_box(body.as_bytes())));
    });
    let path = CanonicalPath::parse("/v1/payments/018f3c1e-0000-7000-8000-000000000001").expect("a plain path");
    let Route::Found(found) = contract.route("PUT", &path) else { unreachable!("it is described") };
    let header = |name: &str| if name == "x-idempotency-key" { vec!["key-1".to_owned()] } else { Vec::new() };
    let query = "limit=10&status=open&status=done";
    assert_eq!(operation.check_request(&found, Some(query), &header), Ok(()));
    criterion.bench_function("four sound parameters", |bench| {
        bench.iter(|| operation.check_request(black_box(&found), Some(query), &header));
    });
}

criterion_group!(benches, judge);
criterion_main!(benches);
