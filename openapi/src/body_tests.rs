//! Bodies of requests, judged through a contract.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use crate::{
    BodyError, Contract, FAULTS_MAX, JSON_BYTES_MAX, Operation, PATTERN_BODY_BYTES_MAX, PATTERN_STEPS_MAX,
    PATTERN_TEXT_BYTES_MAX, Source, ValueKind,
};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

const HEAD: &str = "openapi: 3.0.3\ninfo: {title: T, version: '1'}\nsecurity: []\npaths:\n";

/// One operation with a body; `content` and `components` are written in flow style.
fn with(required: bool, content: &str, components: &str) -> Arc<Operation> {
    let text = format!(
        "{HEAD}  /a:\n    post:\n      operationId: a\n      requestBody: {{required: {required}, content: {content}}}\n      responses: {{'200': {{description: d}}}}\ncomponents: {{schemas: {components}}}\n"
    );
    let contract = Contract::load(&[Source { name: "x.yaml".to_owned(), text }]).unwrap();
    Arc::clone(contract.operations().first().unwrap())
}

fn json_body(schema: &str, components: &str) -> Arc<Operation> {
    with(true, &format!("{{application/json: {{schema: {schema}}}}}"), components)
}

/// What is wrong with a JSON body, as `pointer keyword`.
fn told(operation: &Operation, body: &str) -> Vec<String> {
    match operation.check_body(Some("application/json"), body.as_bytes()) {
        Ok(_) => Vec::new(),
        Err(BodyError::Invalid(faults)) => {
            faults.iter().map(|fault| format!("{} {}", fault.pointer, fault.keyword)).collect()
        }
        Err(other) => vec![other.to_string()],
    }
}

const MONEY: &str = "{type: object, required: [amount, currency], additionalProperties: false, properties: {amount: {type: string, pattern: '^(0|[1-9][0-9]{0,14})\\.[0-9]{2}$'}, currency: {type: string, enum: [KZT]}}}";

#[test]
fn other_media_types_are_refused() {
    let operation = json_body("{type: object}", "{}");
    for content_type in [
        None,
        Some(""),
        Some("text/plain"),
        Some("application/jsonx"),
        Some("application/json; charset=utf-16"),
        Some("application/json;charset=\"latin1\""),
        Some("application/x-www-form-urlencoded"),
        Some("application/*"),
        Some("*/*"),
        Some("application/json, text/plain"),
    ] {
        let refused = BodyError::UnsupportedMediaType { accepted: vec!["application/json".to_owned()] };
        assert_eq!(operation.check_body(content_type, b"{}").unwrap_err(), refused, "{content_type:?}");
        assert_eq!(operation.reads_body(content_type).unwrap_err(), refused, "{content_type:?}");
    }
    for content_type in [
        "application/json",
        "Application/JSON",
        "application/json; charset=UTF-8",
        "application/json;charset=\"utf-8\"; x=y",
    ] {
        assert!(operation.check_body(Some(content_type), b"{}").is_ok(), "{content_type}");
    }
}

#[test]
fn each_media_type_has_its_own_rule_and_ranges_count_last() {
    let operation = with(
        true,
        "{'*/*': {}, 'application/*+json': {schema: {type: array, items: {}}}, application/a+json: {schema: {type: string}}, 'application/json; charset=utf-8': {schema: {type: object}}, 'image/*': {schema: {type: string, format: binary}}}",
        "{}",
    );
    let check = |content_type: &str, body: &[u8]| operation.check_body(Some(content_type), body).is_ok();
    for (content_type, bad, good) in [
        ("application/json", &b"[]"[..], &b"{}"[..]),
        ("application/a+json", b"[]", b"\"x\""),
        ("application/b+json", b"{}", b"[]"),
        ("text/json", b"{", b"{}"),
    ] {
        assert!(!check(content_type, bad) && check(content_type, good), "{content_type}");
        assert!(operation.reads_body(Some(content_type)).unwrap(), "{content_type}");
    }
    for content_type in ["image/png", "application/xml", "multipart/form-data; boundary=x", "application/jose"] {
        assert!(!operation.reads_body(Some(content_type)).unwrap(), "{content_type}");
        assert_eq!(operation.check_body(Some(content_type), b"\xff").unwrap().value(), &Value::Null);
    }
    assert!(operation.may_stream() && operation.needs_body_check());
    let json = json_body("{type: object}", "{}");
    assert!(!json.may_stream() && json.needs_body_check());
    let binary = with(true, "{'image/*': {schema: {type: string, format: binary}}}", "{}");
    assert!(binary.may_stream() && binary.needs_body_check(), "an image may call itself image/x+json");
    let xml =
        with(true, "{application/xml: {schema: {type: object}}, multipart/form-data: {schema: {type: object}}}", "{}");
    assert!(xml.may_stream() && !xml.needs_body_check());
}

#[test]
fn a_missing_body_is_refused_where_one_is_required() {
    let required = json_body("{}", "{}");
    assert_eq!(required.check_body(Some("application/json"), b"").unwrap_err(), BodyError::Missing);
    assert_eq!(required.check_body(None, b"").unwrap_err(), BodyError::Missing);
    let optional = with(false, "{application/json: {schema: {type: object}}}", "{}");
    assert_eq!(optional.check_body(None, b"").unwrap().value(), &Value::Null);
    assert!(optional.check_body(Some("application/json"), b"null").is_err());
}

#[test]
fn broken_bodies_have_a_place() {
    let error = json_body("{}", "{}").check_body(Some("application/json"), b"{\"a\":1,\n\"a\":2}").unwrap_err();
    assert_eq!(error, BodyError::Malformed { line: 2, column: 3, reason: "a key is repeated".to_owned() });
}

#[test]
fn broken_rules_are_told_in_the_contracts_words() {
    let operation = json_body(MONEY, "{}");
    let faults = |body: &str| match operation.check_body(Some("application/json"), body.as_bytes()) {
        Err(BodyError::Invalid(faults)) => {
            faults.into_iter().map(|fault| (fault.pointer, fault.keyword, fault.message)).collect::<Vec<_>>()
        }
        other => unreachable!("{other:?}"),
    };
    let told = |pointer: &str, keyword: &str, message: &str| {
        vec![(pointer.to_owned(), keyword.to_owned(), message.to_owned())]
    };
    assert_eq!(faults(r#"{"amount":"1.00"}"#), told("/currency", "required", "is required"));
    assert_eq!(faults(r#"{"amount":1,"currency":"KZT"}"#), told("/amount", "type", "must be of type string"));
    assert_eq!(faults(r#"{"amount":"1.00","currency":"USD"}"#), told("/currency", "enum", "must be one of [\"KZT\"]"));
    assert_eq!(
        faults(r#"{"amount":"1.00","currency":"KZT","x":1}"#),
        told("/x", "additionalProperties", "is not described by the contract")
    );
    assert_eq!(faults("[]"), told("", "type", "must be of type object"));
    for amount in ["1", "1.0", "01.00", "-1.00", "1000000000000000.00", "1.00 ", "\\u0661.00", "1.00\\n"] {
        let found = faults(&format!(r#"{{"amount":"{amount}","currency":"KZT"}}"#));
        assert_eq!(found.first().unwrap().1, "pattern", "{amount}");
    }
    assert!(
        operation.check_body(Some("application/json"), br#"{"amount":"999999999999999.99","currency":"KZT"}"#).is_ok()
    );
}

#[test]
fn faults_never_repeat_the_client() {
    let operation = json_body(
        "{type: object, properties: {a: {type: string, maxLength: 3, minLength: 2, pattern: '^x$', format: uuid, enum: [b]}, n: {type: integer, minimum: 1, maximum: 3}, o: {oneOf: [{type: string, pattern: '^(?!9)'}, {type: string, maxLength: 1}]}, m: {type: object, additionalProperties: {type: integer}}, l: {type: array, uniqueItems: true, items: {not: {type: string}}}, u: {type: object, additionalProperties: false}, r: {type: string, readOnly: true}}}",
        "{}",
    );
    let body = r#"{"r":"900101300017","a":"900101300017","n":900101300017,"o":"900101300017","m":{"900101300017":"900101300017"},"l":["900101300017","900101300017"],"u":{"900101300017":1,"a b@c.kz":1,"named":1}}"#;
    let Err(BodyError::Invalid(faults)) = operation.check_body(Some("application/json"), body.as_bytes()) else {
        unreachable!()
    };
    assert_eq!(faults.len(), FAULTS_MAX);
    assert!(!format!("{faults:?}").contains("900101300017"), "{faults:?}");
    let one = told(
        &json_body("{properties: {a: {}}, additionalProperties: false}", "{}"),
        r#"{"900101300017":1,"a b@c.kz":1,"named":1}"#,
    );
    assert_eq!(one, ["/* additionalProperties", "/named additionalProperties"]);
    let empty = told(&json_body("{additionalProperties: false}", "{}"), r#"{"a":1,"b":2}"#);
    assert_eq!(empty, [" additionalProperties"]);
}

#[test]
fn faults_are_told_up_to_a_limit() {
    let operation = json_body("{type: array, items: {type: integer}}", "{}");
    let list = |count: usize| format!("[{}]", vec!["\"x\""; count].join(","));
    assert_eq!(told(&operation, &list(FAULTS_MAX)).len(), FAULTS_MAX);
    assert_eq!(told(&operation, &list(FAULTS_MAX + 1)).len(), FAULTS_MAX);
    assert_eq!(told(&operation, &list(3)), ["/0 type", "/1 type", "/2 type"]);
}

#[test]
fn forms_are_typed_by_their_schema() {
    let content = "{application/x-www-form-urlencoded: {schema: {type: object, properties: {a: {type: string, maxLength: 3}, n: {type: integer}, l: {type: array, items: {type: boolean}}}}}}";
    let operation = with(true, content, "{}");
    let check = |body: &[u8]| operation.check_body(Some("application/x-www-form-urlencoded"), body);
    for body in [&b"a=1&a=2"[..], b"a=%", b"a=\xff", b"a=%00", b"a=%C0%AF", b"%61=1&a=2", b"z=1&z=2"] {
        assert!(matches!(check(body), Err(BodyError::Malformed { .. })), "{body:?}");
    }
    for body in [&b"a=1234"[..], b"n=x", b"n=01", b"l=yes", b"l=true&l=1"] {
        assert!(matches!(check(body), Err(BodyError::Invalid(_))), "{body:?}");
    }
    assert!(matches!(check("x".repeat(JSON_BYTES_MAX + 1).as_bytes()), Err(BodyError::Malformed { .. })));
    assert!(check("x".repeat(JSON_BYTES_MAX).as_bytes()).is_ok());
    assert_eq!(
        check(b"a=1+2&b=x%26y&n=7&l=true&l=false").unwrap().value(),
        &json!({"a": "1 2", "b": "x&y", "n": 7, "l": [true, false]})
    );
}

#[test]
fn a_valid_body_keeps_quiet() {
    let body = json_body("{}", "{}").check_body(Some("application/json"), b"\"900101300017\"").unwrap();
    assert_eq!(format!("{body:?}"), "ValidBody(..)");
}

#[test]
fn what_the_server_writes_is_refused_of_a_client_wherever_it_is_said() {
    let operation = json_body(
        "{$ref: '#/components/schemas/Account'}",
        "{Id: {type: string, readOnly: true}, Base: {type: object, properties: {createdAt: {type: string, readOnly: true}}}, Account: {allOf: [{$ref: '#/components/schemas/Base'}, {type: object, required: [id, createdAt, owner, secret], properties: {id: {$ref: '#/components/schemas/Id'}, owner: {type: string}, secret: {type: string, writeOnly: true}, number: {allOf: [{$ref: '#/components/schemas/Id'}]}}}]}}",
    );
    assert_eq!(told(&operation, "{}"), ["/owner required", "/secret required"]);
    for (name, at) in [("id", "/id readOnly"), ("createdAt", "/createdAt readOnly"), ("number", "/number readOnly")] {
        assert_eq!(told(&operation, &format!(r#"{{"owner":"a","secret":"b","{name}":"c"}}"#)), [at]);
    }
    assert_eq!(told(&operation, r#"{"owner":"a","secret":"b"}"#), [""; 0]);
}

const PETS: &str = "Cat: {type: object, required: [kind, lives], properties: {kind: {type: string}, lives: {type: integer}}}, Dog: {type: object, required: [kind, tricks], properties: {kind: {type: string}, tricks: {type: integer}}}";

#[test]
fn a_discriminator_names_one_that_is_known() {
    for of in ["oneOf", "anyOf"] {
        let operation = json_body(
            &format!(
                "{{{of}: [{{$ref: '#/components/schemas/Cat'}}, {{$ref: '#/components/schemas/Dog'}}], discriminator: {{propertyName: kind, mapping: {{feline: '#/components/schemas/Cat'}}}}}}"
            ),
            &format!("{{{PETS}}}"),
        );
        for (body, expected) in [
            (r#"{"lives":9}"#, "/kind required"),
            (r#"{"kind":"bird","lives":9}"#, "/kind enum"),
            (r#"{"kind":"Cat","wings":2}"#, &format!(" {of}")),
        ] {
            assert!(
                told(&operation, body).iter().any(|fault| fault == expected),
                "{body} {:?}",
                told(&operation, body)
            );
        }
        for body in [r#"{"kind":"Cat","lives":9}"#, r#"{"kind":"feline","lives":9}"#, r#"{"kind":"Dog","tricks":1}"#] {
            assert_eq!(told(&operation, body), [""; 0], "{body}");
        }
    }
    let built = json_body(
        "{$ref: '#/components/schemas/Pet'}",
        "{Pet: {type: object, required: [kind], properties: {kind: {type: string}}, discriminator: {propertyName: kind}}, Cat: {allOf: [{$ref: '#/components/schemas/Pet'}, {type: object}]}, Lion: {allOf: [{$ref: '#/components/schemas/Cat'}]}}",
    );
    assert_eq!(told(&built, r#"{"kind":"Bird"}"#), ["/kind enum"]);
    for kind in ["Pet", "Cat", "Lion"] {
        assert_eq!(told(&built, &format!(r#"{{"kind":"{kind}"}}"#)), [""; 0]);
    }
}

#[test]
fn the_alternative_that_was_meant_tells_its_own_faults() {
    let operation = json_body(
        "{oneOf: [{type: object, required: [kind, n], properties: {kind: {type: string, enum: [a]}, n: {type: integer, maximum: 3}}}, {type: object, required: [kind], properties: {kind: {type: string, enum: [b]}}}]}",
        "{}",
    );
    assert_eq!(told(&operation, r#"{"kind":"a","n":4}"#), [" oneOf", "/n maximum"]);
}

#[test]
fn patterns_with_look_around_hold() {
    for (pattern, bad, good) in [
        (r"^(?!\s)(.*)(\S)$", " a", "a b"),
        (r"^(?!\s)(.*)(\S)$", "a ", "ab"),
        (r"^(?=.*[0-9])(?=.*[a-z]).{4,8}$", "abcd", "abc1"),
        (r"^(a|b)\1$", "ab", "bb"),
        (r"(?<=x)y$", "y", "xy"),
        (r"^(?<sign>[+-])[0-9]+$", "1", "+1"),
        (r"^(?!\s*$)[\p{L}\p{Nd} .,-]{1,128}$", " ", "\u{410}\u{431}\u{430}\u{439} 7"),
        (r"^[\w.]+@(?!internal\.)[\w.]+$", "a@internal.kz", "a@b.kz"),
    ] {
        let operation = json_body(&format!("{{type: string, pattern: '{pattern}'}}"), "{}");
        assert_eq!(told(&operation, &json!(bad).to_string()), [" pattern"], "{pattern} {bad}");
        assert_eq!(told(&operation, &json!(good).to_string()), [""; 0], "{pattern} {good}");
    }
}

#[test]
fn a_pattern_that_runs_away_refuses_the_text() {
    // The first needs a step for each way to cut the text: 2^n of them; none of them could be finished in this world.
    for pattern in [r"^(?:(?=x?)(?:a|a)+)+$", r"^(a+)+\1b$", r"^(?!x)(([a-z])+.)+[A-Z]([a-z])+\2$", r"^(?=a)(a|aa)+\1$"]
    {
        let operation = json_body(&format!("{{type: array, items: {{type: string, pattern: '{pattern}'}}}}"), "{}");
        let text = json!([format!("{}!", "a".repeat(1_000))]).to_string();
        let start = Instant::now();
        let faults = told(&operation, &text);
        assert_eq!(faults, ["/0 pattern"], "{pattern}");
        assert!(start.elapsed() < Duration::from_secs(2), "{pattern} {:?}", start.elapsed());
    }
    // What `not` forbids is refused too where nobody knows whether it is there.
    let operation = json_body(r"{type: string, not: {pattern: '^(?:(?=x?)(?:a|a)+)+$'}}", "{}");
    assert_eq!(told(&operation, &json!(format!("{}!", "a".repeat(1_000))).to_string()), [" pattern"]);
    assert_eq!(told(&operation, &json!("c").to_string()), [""; 0]);
}

#[test]
fn a_large_pattern_takes_bounded_time_on_a_long_text() {
    for pattern in [r"(?:[\p{L}]{1,60}[0-9]){2}x", r"(?!x)(?:[\p{L}]{1,60}[0-9]){2}x"] {
        let operation = json_body(&format!("{{type: string, pattern: '{pattern}'}}"), "{}");
        let text = json!("\u{431}".repeat(32 * 1024)).to_string();
        let start = Instant::now();
        assert_eq!(told(&operation, &text), [" pattern"]);
        assert!(start.elapsed() < Duration::from_secs(20), "{pattern} {:?}", start.elapsed());
    }
}

#[test]
fn many_texts_that_run_away_take_bounded_time() {
    let operation = json_body(r"{type: array, items: {type: string, pattern: '^(a+)+\1b$'}}", "{}");
    let mut body = String::from("[");
    for n in 0..500 {
        let _ = write!(body, "{}\"{}{n}!\"", if n == 0 { "" } else { "," }, "a".repeat(100));
    }
    body.push(']');
    let start = Instant::now();
    assert!(!told(&operation, &body).is_empty());
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn the_bound_of_a_pattern_holds_on_both_sides() {
    // Each letter costs this pattern one step back: it looks for an `x` and does not find it.
    let operation = json_body(r"{type: string, pattern: '^(?:a(?!x))*$'}", "{}");
    let judged = |letters: usize| told(&operation, &json!("a".repeat(letters)).to_string());
    assert_eq!(judged(PATTERN_STEPS_MAX - 10), [""; 0]);
    assert_eq!(judged(PATTERN_STEPS_MAX + 10), [" pattern"]);
}

#[test]
fn the_places_of_a_body_are_told() {
    let operation = json_body(
        "{type: object, additionalProperties: false, properties: {n: {type: integer}, l: {type: array, items: {$ref: '#/components/schemas/Money'}}, m: {$ref: '#/components/schemas/Money'}, 'a/b': {type: boolean}, e: {oneOf: [{type: string}, {type: number}]}}}",
        &format!("{{Money: {MONEY}}}"),
    );
    let shape = operation.body_shape();
    let fields: Vec<(&str, ValueKind)> = shape.fields.iter().map(|(pointer, kind)| (pointer.as_str(), *kind)).collect();
    assert_eq!(
        fields,
        [
            ("/a~1b", ValueKind::Boolean),
            ("/e", ValueKind::Any),
            ("/l", ValueKind::Array),
            ("/l/*", ValueKind::Object),
            ("/l/*/amount", ValueKind::Text),
            ("/l/*/currency", ValueKind::Text),
            ("/m", ValueKind::Object),
            ("/m/amount", ValueKind::Text),
            ("/m/currency", ValueKind::Text),
            ("/n", ValueKind::Integer),
        ]
    );
    assert!(!shape.open);
    assert!(json_body("{type: object, properties: {}}", "{}").body_shape().open);
    let tree = json_body(
        "{$ref: '#/components/schemas/Tree'}",
        "{Tree: {type: object, additionalProperties: false, properties: {children: {type: array, items: {$ref: '#/components/schemas/Tree'}}}}}",
    );
    assert!(tree.body_shape().open && tree.body_shape().fields.len() < 20);
    let many: Vec<String> = (0..crate::SHAPE_FIELDS_MAX * 2).map(|n| format!("p{n}: {{type: string}}")).collect();
    let wide =
        json_body(&format!("{{type: object, additionalProperties: false, properties: {{{}}}}}", many.join(", ")), "{}");
    assert!(wide.body_shape().open && wide.body_shape().fields.len() <= crate::SHAPE_FIELDS_MAX + 1);
}

#[test]
fn what_did_not_change_is_not_compiled_again() {
    let source = |name: &str, maximum: usize| Source {
        name: name.to_owned(),
        text: format!(
            "{HEAD}  /{maximum}:\n    post:\n      operationId: {}\n      requestBody: {{content: {{application/json: {{schema: {{type: integer, maximum: {maximum}}}}}}}}}\n      responses: {{'200': {{description: d}}}}\n",
            name.replace(".yaml", "")
        ),
    };
    let before = Contract::load(&[source("a.yaml", 1), source("b.yaml", 2)]).unwrap();
    let after = Contract::load_reusing(&[source("a.yaml", 1), source("b.yaml", 3)], Some(&before)).unwrap();
    let unit = |contract: &Contract, at: usize| contract.operations().get(at).unwrap().body_unit().unwrap();
    assert_eq!(unit(&before, 0), unit(&after, 0));
    assert_ne!(unit(&before, 1), unit(&after, 1));
    let check = |contract: &Contract, body: &[u8]| {
        contract.operations().get(1).unwrap().check_body(Some("application/json"), body).is_ok()
    };
    assert!(!check(&before, b"3") && check(&after, b"3"));
}

#[test]
fn schemas_that_lead_back_to_themselves_are_told_of_in_bounded_time() {
    for word in ["oneOf", "anyOf"] {
        let branch = |last: &str| {
            format!(
                "{{type: object, required: [z], properties: {{l: {{$ref: '#/components/schemas/T'}}, z: {{enum: [{last}]}}}}}}"
            )
        };
        let tree = format!("{{T: {{{word}: [{}, {}]}}}}", branch("a"), branch("b"));
        let operation = json_body("{$ref: '#/components/schemas/T'}", &tree);
        let nested = |depth: usize, innermost: &str| {
            (0..depth).fold(innermost.to_owned(), |inner, _| format!("{{\"l\":{inner},\"z\":\"b\"}}"))
        };
        let start = Instant::now();
        assert_eq!(told(&operation, &nested(60, r#"{"z":"b"}"#)), [""; 0], "{word}");
        assert_eq!(told(&operation, &nested(60, r#"{"z":"c"}"#)), [format!(" {word}")]);
        assert_eq!(told(&operation, &nested(60, "1")), [format!(" {word}")]);
        // What is shallow is still told of in full.
        assert!(told(&operation, &nested(2, r#"{"z":"c"}"#)).contains(&format!(" {word}")));
        assert!(start.elapsed() < Duration::from_secs(2), "{word} {:?}", start.elapsed());
    }
}

#[test]
fn alternatives_within_alternatives_are_judged_in_bounded_time() {
    let mut schemas = "S0: {type: integer}".to_owned();
    for number in 1..60 {
        let inner = format!("{{properties: {{l: {{$ref: '#/components/schemas/S{}'}}}}}}", number - 1);
        write!(schemas, ", S{number}: {{oneOf: [{inner}, {{allOf: [{inner}]}}]}}").unwrap();
    }
    let operation = json_body("{$ref: '#/components/schemas/S59'}", &format!("{{{schemas}}}"));
    let body = (0..59).fold("true".to_owned(), |inner, _| format!("{{\"l\":{inner}}}"));
    let start = Instant::now();
    assert_eq!(told(&operation, &body), [" oneOf"]);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[test]
fn texts_for_patterns_that_step_back_are_short() {
    let judged = |schema: &str, letters: usize| told(&json_body(schema, "{}"), &json!("a".repeat(letters)).to_string());
    for schema in ["{type: string, pattern: 'a(?!x)'}", "{type: string, not: {pattern: '^x(?!x)'}}"] {
        assert_eq!(judged(schema, PATTERN_TEXT_BYTES_MAX), [""; 0], "{schema}");
        assert_eq!(judged(schema, PATTERN_TEXT_BYTES_MAX + 1), [" pattern"], "{schema}");
    }
    // What has a limit of its own is told of that.
    assert_eq!(judged("{type: string, maxLength: 9, pattern: 'a(?!x)'}", 5_000), [" maxLength"]);
    assert_eq!(judged("{type: string, pattern: '^a+$'}", 5_000), [""; 0]);
}

#[test]
fn texts_for_patterns_that_step_back_are_few() {
    let operation = json_body("{type: array, items: {type: string, pattern: 'a(?!x)'}}", "{}");
    let judged = |texts: usize| told(&operation, &json!(vec!["a".repeat(PATTERN_TEXT_BYTES_MAX); texts]).to_string());
    let most = PATTERN_BODY_BYTES_MAX / PATTERN_TEXT_BYTES_MAX;
    assert_eq!(judged(most), [""; 0]);
    assert_eq!(judged(most + 1), [format!("/{most} pattern")]);
}

#[test]
fn a_pattern_that_reads_ahead_takes_bounded_time() {
    for pattern in [r"^(?:(?![^\u0000]*\u0001)[a-z])*$", r"^(?:a(?!.*x))*$", r"^(?:(?!.*<script>).)*$"] {
        let operation = json_body(&format!("{{type: array, items: {{type: string, pattern: '{pattern}'}}}}"), "{}");
        let body = json!(vec!["a".repeat(240 * 1024); 4]).to_string();
        let few = json!(vec!["a".repeat(990); 64]).to_string();
        let start = Instant::now();
        assert_eq!(told(&operation, &body).first().map(String::as_str), Some("/0 pattern"));
        let _any = told(&operation, &few);
        assert!(start.elapsed() < Duration::from_secs(10), "{pattern} {:?}", start.elapsed());
    }
}

#[test]
fn classes_mean_what_they_mean_in_ecma_262() {
    for (pattern, bad, good) in [
        (r"^(?!x)\d+$", "\u{663}", "3"),
        (r"^(?!x)[\d-]+$", "\u{663}", "3-"),
        (r"^(?!x)\w+$", "\u{e9}", "e"),
        (r"^(?!x)[^\W]+$", "\u{e9}", "e"),
        (r"^(?!x)\D$", "3", "\u{663}"),
        (r"^(?!x)[\D]$", "3", "\u{663}"),
        (r"^(?!x)a\Sb$", "a\u{feff}b", "a\u{85}b"),
        (r"^(?!x).*\bfoo$", "afoo", "\u{e9}foo"),
        (r"^(?!x).$", "\u{2028}", "a"),
    ] {
        let operation = json_body(&format!("{{type: string, pattern: '{pattern}'}}"), "{}");
        assert_eq!(told(&operation, &json!(bad).to_string()), [" pattern"], "{pattern} {bad}");
        assert_eq!(told(&operation, &json!(good).to_string()), [""; 0], "{pattern} {good}");
    }
}
