//! Answers, judged through a contract, and examples of both ways.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use crate::{CanonicalPath, Contract, Operation, ResponseCheck, ResponseFault, Route, Source, shipped};
use std::sync::Arc;

/// One operation; `responses` and `components` are written in flow style.
fn answering(method: &str, responses: &str, components: &str) -> Arc<Operation> {
    let text = format!(
        "openapi: 3.0.3\ninfo: {{title: T, version: '1'}}\nsecurity: []\npaths:\n  /a:\n    {method}:\n      operationId: a\n      responses: {responses}\ncomponents: {components}\n"
    );
    let contract = Contract::load(&[Source { name: "x.yaml".to_owned(), text }]).unwrap();
    Arc::clone(contract.operations().first().unwrap())
}

/// What is wrong with an answer: the kind of fault, with each `pointer keyword`.
fn told(operation: &Operation, status: u16, headers: &[(&str, &str)], body: &str) -> Vec<String> {
    let header = |name: &str| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    match operation.check_response(status, &header, body.as_bytes()) {
        Ok(()) => Vec::new(),
        Err(ResponseFault::Invalid(faults)) => {
            faults.iter().map(|fault| format!("{} {}", fault.pointer, fault.keyword)).collect()
        }
        Err(other) => vec![other.kind().to_owned()],
    }
}

const JSON: (&str, &str) = ("content-type", "application/json");

fn only(kind: &str) -> String {
    format!("{{description: d, content: {{application/json: {{schema: {{type: {kind}}}}}}}}}")
}

#[test]
fn a_status_nobody_described_is_a_fault() {
    let exact = answering("get", &format!("{{'200': {}}}", only("object")), "{}");
    for status in [100, 201, 204, 302, 400, 404, 452, 500, 529, 599, 600, 999, 0] {
        assert_eq!(told(&exact, status, &[JSON], "{}"), ["status"], "{status}");
    }
    assert_eq!(told(&exact, 200, &[JSON], "{}"), [""; 0]);
}

#[test]
fn the_closest_description_of_a_status_counts() {
    let responses = format!(
        "{{'200': {}, '452': {}, 4XX: {}, default: {}, '599': {}}}",
        only("object"),
        only("array, items: {}"),
        only("string"),
        only("integer"),
        only("boolean")
    );
    let operation = answering("get", &responses, "{}");
    for (status, good) in
        [(200, "{}"), (452, "[]"), (400, "\"x\""), (499, "\"x\""), (529, "1"), (599, "true"), (302, "1"), (204, "1")]
    {
        for body in ["{}", "[]", "\"x\"", "1", "true"] {
            let expected: &[&str] = if body == good { &[] } else { &[" type"] };
            assert_eq!(told(&operation, status, &[JSON], body), expected, "{status} {body}");
        }
    }
}

#[test]
fn what_is_no_status_is_refused_at_load() {
    for status in ["20", "2000", "99", "600", "6XX", "0XX", "XX", "+20", "2xX", "ok"] {
        let text = format!(
            "openapi: 3.0.3\ninfo: {{title: T, version: '1'}}\nsecurity: []\npaths:\n  /a:\n    get:\n      operationId: a\n      responses: {{'{status}': {{description: d}}}}\n"
        );
        assert!(Contract::load(&[Source { name: "x.yaml".to_owned(), text }]).is_err(), "{status}");
    }
}

#[test]
fn headers_a_contract_promises_have_to_come() {
    let operation = answering(
        "get",
        "{'200': {description: d, headers: {X-Next: {required: true, schema: {type: integer}}, X-List: {schema: {type: array, items: {type: integer}}}, Content-Type: {required: true, schema: {type: integer}}}}}",
        "{}",
    );
    assert_eq!(told(&operation, 200, &[], ""), ["header:x-next required"]);
    assert_eq!(
        told(&operation, 200, &[("x-next", "a"), ("x-list", "1,b")], ""),
        ["header:x-next type", "header:x-list type"]
    );
    assert_eq!(told(&operation, 200, &[("x-next", "1"), ("x-list", "1, 2")], ""), [""; 0]);
    let head = operation.check_response_head(200, &|_| None).unwrap_err();
    assert_eq!(head.kind(), "invalid");
}

#[test]
fn a_body_is_of_a_type_that_was_promised() {
    let operation = answering(
        "get",
        "{'200': {description: d, content: {application/json: {schema: {type: object}}, 'image/*': {schema: {type: string, format: binary}}}}, '202': {description: d}}",
        "{}",
    );
    for content_type in ["text/html", "application/problem+json", "", "application/json; charset=latin1"] {
        assert_eq!(told(&operation, 200, &[("content-type", content_type)], "{}"), ["mediaType"], "{content_type}");
    }
    assert_eq!(told(&operation, 200, &[], "{}"), ["mediaType"]);
    assert_eq!(told(&operation, 202, &[JSON], "{}"), ["mediaType"]);
    assert_eq!(told(&operation, 202, &[JSON], ""), [""; 0]);
    assert_eq!(told(&operation, 200, &[JSON], "{\"a\":1,\"a\":2}"), ["malformed"]);
    assert_eq!(told(&operation, 200, &[("content-type", "image/png")], "\u{1}"), [""; 0]);
    let head = |content_type: &str| {
        operation.check_response_head(200, &|name| (name == "content-type").then(|| content_type.to_owned()))
    };
    assert_eq!(head("application/json").unwrap(), ResponseCheck::Read);
    assert_eq!(head("image/png").unwrap(), ResponseCheck::SizeOnly);
    assert_eq!(head("text/html").unwrap_err().kind(), "mediaType");
}

#[test]
fn an_empty_answer_is_one_where_that_can_be() {
    let responses = format!("{{'200': {0}, '304': {0}, '204': {0}}}", only("object"));
    let get = answering("get", &responses, "{}");
    assert_eq!(told(&get, 200, &[JSON], ""), [" required"]);
    assert_eq!(told(&get, 204, &[], ""), [""; 0]);
    assert_eq!(told(&get, 304, &[], ""), [""; 0]);
    assert_eq!(told(&answering("head", &responses, "{}"), 200, &[JSON], ""), [""; 0]);
}

#[test]
fn what_only_clients_write_is_not_answered() {
    let operation = answering(
        "get",
        "{'200': {description: d, content: {application/json: {schema: {$ref: '#/components/schemas/User'}}}}}",
        "{schemas: {Secret: {type: string, writeOnly: true}, User: {type: object, required: [id, password], properties: {id: {type: string, readOnly: true}, password: {$ref: '#/components/schemas/Secret'}}}}}",
    );
    assert_eq!(told(&operation, 200, &[JSON], "{}"), ["/id required"]);
    assert_eq!(told(&operation, 200, &[JSON], r#"{"id":"1","password":"x"}"#), ["/password writeOnly"]);
    assert_eq!(told(&operation, 200, &[JSON], r#"{"id":"1"}"#), [""; 0]);
}

#[test]
fn an_operation_says_whether_its_answers_are_looked_into() {
    for (responses, checked) in [
        ("{'200': {description: d, content: {application/json: {schema: {type: object}}}}}", true),
        ("{'204': {description: d}}", true),
        ("{'200': {description: d, content: {application/json: {}}}}", false),
        ("{'200': {description: d, content: {'*/*': {schema: {type: object}}}}}", false),
        ("{'200': {description: d, content: {application/octet-stream: {}}}}", false),
        ("{default: {description: d, content: {text/csv: {}}}}", false),
        (
            "{2XX: {description: d, content: {application/json: {schema: {}}}}, default: {description: d, content: {text/csv: {}}}}",
            true,
        ),
    ] {
        assert_eq!(answering("get", responses, "{}").responses_are_checked(), checked, "{responses}");
    }
}

#[test]
fn a_fault_of_an_answer_never_repeats_it() {
    let operation = answering("get", &format!("{{'200': {}}}", only("object, additionalProperties: false")), "{}");
    for body in [r#"{"900101300017":1}"#, r#"["900101300017"]"#, "900101300017x"] {
        let fault = operation.check_response(200, &|_| Some("application/json".to_owned()), body.as_bytes());
        let fault = fault.unwrap_err();
        assert!(!format!("{fault} {fault:?}").contains("900101300017"), "{fault:?}");
    }
}

#[test]
fn the_shipped_operations_keep_their_own_examples() {
    let contract = Contract::load(&shipped()).unwrap();
    for operation in contract.operations() {
        let Some(answer) = operation.example_response() else { unreachable!("{operation:?}") };
        let header = |name: &str| answer.content_type.clone().filter(|_| name == "content-type");
        let judged = operation.check_response(answer.status, &header, &answer.body);
        let promised = matches!(&judged, Err(ResponseFault::Invalid(faults)) if faults.iter().all(|fault| fault.pointer.starts_with("header:")));
        assert!(judged.is_ok() || promised, "{operation:?} {judged:?}");
        let request = operation.example_request();
        if operation.has_body() {
            let judged = operation.check_body(request.content_type.as_deref(), &request.body);
            assert!(judged.is_ok(), "{operation:?} {judged:?} {}", String::from_utf8_lossy(&request.body));
        }
        let path = CanonicalPath::parse(&request.path).unwrap();
        assert!(matches!(contract.route(operation.method(), &path), Route::Found(_)), "{operation:?} {path}");
    }
}

#[test]
fn examples_are_the_contracts_own_or_made_up() {
    let operation = answering(
        "get",
        "{'299': {description: d}, '201': {description: d, content: {application/json: {schema: {type: object}, examples: {one: {value: {a: 1}}}}}}, default: {description: d}}",
        "{}",
    );
    let answer = operation.example_response().unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (201, &b"{\"a\":1}"[..]));
    let made = answering(
        "get",
        "{2XX: {description: d, content: {application/json: {schema: {type: object, required: [id, n, l], properties: {id: {type: string, format: uuid}, n: {type: integer, minimum: 5}, l: {type: array, minItems: 1, items: {type: string, enum: [x]}}, o: {type: string}}}}}}}",
        "{}",
    );
    let answer = made.example_response().unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(
        String::from_utf8(answer.body).unwrap(),
        r#"{"id":"018f3c1e-0000-7000-8000-000000000000","l":["x"],"n":5}"#
    );
    assert_eq!(answering("get", "{'400': {description: d}}", "{}").example_response(), None);
}

#[test]
fn a_request_is_shown_with_what_it_needs() {
    let text = "openapi: 3.0.3\ninfo: {title: T, version: '1'}\nsecurity: []\npaths:\n  /a/{p}/{m}:\n    put:\n      operationId: a\n      parameters:\n        - {name: p, in: path, required: true, example: a b, schema: {type: string}}\n        - {name: m, in: path, required: true, style: matrix, schema: {type: integer, minimum: 7}}\n        - {name: q, in: query, required: true, schema: {type: array, minItems: 2, items: {type: integer}}}\n        - {name: o, in: query, schema: {type: string}}\n        - {name: X-H, in: header, required: true, schema: {type: string, example: h}}\n        - {name: c, in: cookie, required: true, schema: {type: boolean}}\n      requestBody: {content: {application/x-www-form-urlencoded: {schema: {type: object, required: [f], properties: {f: {type: string, example: x y}}}}}}\n      responses: {'200': {description: d}}\n";
    let contract = Contract::load(&[Source { name: "x.yaml".to_owned(), text: text.to_owned() }]).unwrap();
    let request = contract.operations().first().unwrap().example_request();
    assert_eq!(request.path, "/a/a%20b/;m=7");
    assert_eq!(request.query.as_deref(), Some("q=1&q=1"));
    let headers = [("x-h".to_owned(), "h".to_owned()), ("cookie".to_owned(), "c=true".to_owned())];
    assert_eq!(request.headers, headers);
    assert_eq!(
        (request.content_type.as_deref(), request.body.as_slice()),
        (Some("application/x-www-form-urlencoded"), &b"f=x%20y"[..])
    );
    let Route::Found(found) = contract.route("PUT", &CanonicalPath::parse(&request.path).unwrap()) else {
        unreachable!()
    };
    let header = |name: &str| {
        request.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.clone()).collect::<Vec<_>>()
    };
    assert_eq!(found.operation.check_request(&found, request.query.as_deref(), &header), Ok(()));
}

#[test]
fn what_the_client_has_already_is_not_judged() {
    let etag = "{'200': {description: d, headers: {etag: {required: true, schema: {type: string}}}}}";
    let operation = answering("get", etag, "{}");
    assert_eq!(told(&operation, 304, &[JSON], "{}"), ["status"]);
    assert_eq!(told(&operation, 304, &[], ""), [""; 0]);
    assert_eq!(operation.check_response_head(304, &|_| None), Ok(ResponseCheck::Read));
    assert_eq!(told(&operation, 303, &[], ""), ["status"]);
}
