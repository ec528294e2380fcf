//! What real OpenAPI documents contain, in documents of our own: each loads, or is refused at its line.
//!
//! The list is that of a survey of 673 published documents: byte-order marks, look-around, odd statuses, several files,
//! broken YAML, nameless operations, colliding and overlapping paths, odd media types, 3.1.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop at the first surprise")]
#![expect(clippy::indexing_slicing, reason = "a test knows how long its own lists are")]

use openapi::{CanonicalPath, Contract, Fault, Report, Route, Source, check};

const HEAD: &str = "openapi: 3.0.3\ninfo: {title: T, version: '1'}\nsecurity: []\npaths:\n";
const ANSWER: &str = "responses: {'200': {description: d}}";

fn source(name: &str, text: impl Into<String>) -> Source {
    Source { name: name.to_owned(), text: text.into() }
}

fn load(files: &[(&str, &str)]) -> Result<Contract, Vec<Fault>> {
    let sources: Vec<Source> = files.iter().map(|(name, text)| source(name, *text)).collect();
    Contract::load(&sources)
}

/// The faults, as `file:line:column message`.
fn faults(files: &[(&str, &str)]) -> Vec<String> {
    let told = |fault: Fault| format!("{}:{}:{} {}", fault.file, fault.line, fault.column, fault.message);
    load(files).err().unwrap_or_default().into_iter().map(told).collect()
}

fn warnings(contract: &Contract) -> Vec<String> {
    let told = |fault: &Fault| format!("{}:{}:{} {}", fault.file, fault.line, fault.column, fault.message);
    contract.warnings().iter().map(told).collect()
}

/// The one operation of a document whose `paths` are these.
fn one(paths: &str) -> Contract {
    load(&[("x.yaml", &format!("{HEAD}{paths}"))]).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn found(contract: &Contract, method: &str, path: &str) -> String {
    match contract.route(method, &CanonicalPath::parse(path).unwrap()) {
        Route::Found(found) => found.operation.id().to_owned(),
        Route::MethodNotAllowed { allow } => format!("only {}", allow.join(" ")),
        Route::NotFound => "nothing".to_owned(),
    }
}

fn takes(contract: &Contract, body: &str) -> bool {
    let operation = contract.operations().first().unwrap();
    operation.check_body(Some("application/json"), body.as_bytes()).is_ok()
}

/// A document with one operation that takes a body of this schema.
fn posting(schema: &str) -> String {
    format!(
        "{HEAD}  /a:\n    post:\n      operationId: a\n      requestBody: {{content: {{application/json: {{schema: {schema}}}}}}}\n      {ANSWER}\n"
    )
}

// 1. Byte-order marks.

#[test]
fn a_byte_order_mark_is_no_character_of_the_document() {
    let text = format!("\u{feff}{HEAD}  /a: {{get: {{operationId: a, {ANSWER}}}}}\n");
    assert_eq!(load(&[("x.yaml", &text)]).unwrap().operations().len(), 1);
    assert_eq!(faults(&[("x.yaml", "\u{feff}a: 1\na: 2\n")]), ["x.yaml:2:1 the key `a` is repeated"]);
    assert_eq!(faults(&[("x.yaml", "\u{feff}openapi: 4.0.0\n")]).len(), 1);
    assert!(faults(&[("x.json", "\u{feff}{\"openapi\": \"4.0.0\"}")]).first().unwrap().starts_with("x.json:1:1"));
}

// 2. Look-around in patterns.

#[test]
fn look_around_is_judged_and_not_skipped() {
    let text = posting("{type: string, pattern: '^(?!\\s)(.*)(\\S)$'}");
    let contract = load(&[("x.yaml", &text)]).unwrap();
    assert!(!takes(&contract, "\" a\"") && !takes(&contract, "\"a \"") && takes(&contract, "\"a b\""));
    assert!(faults(&[("x.yaml", &posting("{type: string, pattern: '^(?!a'}"))]).first().unwrap().contains("pattern"));
}

#[test]
fn long_names_in_every_alphabet_are_judged() {
    for pattern in [
        r"^(?!\s*$)[\p{L}\p{Nd} .,''-]{1,128}$",
        r"^(?!\s*$)[\p{L}\p{gc=Mark}\p{digit}\p{gc=Connector_Punctuation}\p{Join_Control} .,''-]{1,128}$",
    ] {
        let contract = load(&[("x.yaml", &posting(&format!("{{type: string, pattern: '{pattern}'}}")))]);
        let contract = contract.unwrap_or_else(|faults| panic!("{pattern} {faults:?}"));
        assert!(takes(&contract, "\"Айгүл\"") && !takes(&contract, "\"  \""), "{pattern}");
        assert!(!takes(&contract, &format!("\"{}\"", "a".repeat(129))), "{pattern}");
    }
}

// 3. Statuses that no registry knows.

#[test]
fn statuses_outside_the_registry_are_statuses() {
    let text = "  /a:\n    get:\n      operationId: a\n      responses: {'200': {description: d}, '529': {description: d}, '452': {description: d}, 464: {description: d}, '599': {description: d}, 4XX: {description: d}, default: {description: d}}\n";
    assert_eq!(one(text).operations().len(), 1);
}

// 4. References to other files.

const COMMON: &str = "components:
  schemas:
    Money: {type: object, required: [amount], properties: {amount: {$ref: '#/components/schemas/Amount'}}}
    Amount: {type: string, maxLength: 5}
  parameters:
    Id: {name: id, in: path, required: true, schema: {type: string, maxLength: 3}}
  responses:
    Fine: {description: d, headers: {x-a: {$ref: 'parts/headers.yaml#/A'}}}
";

const SPREAD: &str = "openapi: 3.0.3
info: {title: T, version: '1'}
security: []
paths:
  /things/{id}:
    $ref: '../common/parts/things.yaml'
  /other: {$ref: '#/paths/~1things~1%7Bid%7D~1x'}
  /things/{id}/x:
    get:
      operationId: getX
      parameters: [{$ref: '../common/common.yaml#/components/parameters/Id'}]
      responses: {'200': {$ref: '../common/common.yaml#/components/responses/Fine'}}
";

const THINGS: &str = "parameters:
  - $ref: '../common.yaml#/components/parameters/Id'
post:
  operationId: postThing
  requestBody: {content: {application/json: {schema: {$ref: '../common.yaml#/components/schemas/Money'}, examples: {a: {$ref: 'thing.xml'}, b: {externalValue: 'https://example.kz/x.xml'}}}}}
  responses: {'200': {description: d}}
";

fn spread() -> Vec<(&'static str, &'static str)> {
    vec![
        ("v1/apis/spread.yaml", SPREAD),
        ("v1/common/common.yaml", COMMON),
        ("v1/common/parts/things.yaml", THINGS),
        ("v1/common/parts/headers.yaml", "A: {schema: {type: string}}\n"),
        ("v1/common/parts/thing.xml", "<Thing><not-closed></Thing>"),
    ]
}

#[test]
fn documents_may_lie_in_several_files() {
    let text = SPREAD.replace("  /other: {$ref: '#/paths/~1things~1%7Bid%7D~1x'}\n", "");
    let mut files = spread();
    files[0].1 = &text;
    let contract = load(&files).unwrap();
    assert_eq!(found(&contract, "POST", "/things/7"), "postThing");
    assert!(takes(&contract, r#"{"amount": "12345"}"#) && !takes(&contract, r#"{"amount": "123456"}"#));
    assert!(!takes(&contract, "{}"));
    assert_eq!(contract.operations().first().unwrap().origin(), "v1/common/parts/things.yaml:3");
    // A path of its own that is the same item has its operations twice, which no document may.
    assert!(faults(&spread()).iter().any(|fault| fault.contains("`getX` is already used")), "{:?}", faults(&spread()));
}

#[test]
fn references_that_lead_out_or_nowhere_are_refused_where_they_stand() {
    for (reference, message) in [
        ("https://example.kz/x.yaml#/Id", "leads away from the contracts"),
        ("//example.kz/x.yaml", "leads away from the contracts"),
        ("file:///etc/passwd", "leads away from the contracts"),
        ("/etc/passwd", "leads away from the contracts"),
        ("../../../../etc/passwd", "no file `../../../../etc/passwd` among the contracts"),
        ("..%2f..%2fetc%2fpasswd", "no file `../../etc/passwd` among the contracts"),
        ("other.yaml#/Id", "no file `other.yaml` among the contracts"),
        ("common.yaml#/components/parameters/No", "nothing at"),
        ("common.yaml#components", "nothing at"),
        ("common.yaml#/components/schemas/Money", "no entry of `#/components/parameters` at"),
        ("#", "nothing at"),
        ("", "nothing at"),
        ("x.yaml", "nothing at"),
    ] {
        let text = format!(
            "{HEAD}  /a/{{id}}:\n    get:\n      operationId: a\n      {ANSWER}\n      parameters: [{{$ref: '{reference}'}}]\n"
        );
        let found = faults(&[("x.yaml", &text), ("common.yaml", &COMMON.replace("headers: ", "x-h: "))]);
        assert!(found.iter().any(|f| f.starts_with("x.yaml:9:27") && f.contains(message)), "{reference} {found:?}");
    }
}

#[test]
fn references_that_go_round_in_a_circle_are_told_with_the_file() {
    let text = format!("{HEAD}  /a: {{$ref: 'one.yaml#/a'}}\n");
    let found =
        faults(&[("x.yaml", &text), ("one.yaml", "a: {$ref: 'two.yaml'}\n"), ("two.yaml", "$ref: 'one.yaml#/a'\n")]);
    assert!(found.first().unwrap().contains("go round in a circle"), "{found:?}");
}

#[test]
fn what_is_wrong_in_a_part_is_told_in_its_own_file_and_once() {
    let text = |id: &str| {
        format!(
            "{HEAD}  /{id}: {{post: {{operationId: {id}, {ANSWER}, requestBody: {{content: {{application/json: {{schema: {{$ref: 'p.yaml#/S'}}}}}}}}}}}}\n"
        )
    };
    let files = [("a.yaml", &*text("a")), ("b.yaml", &*text("b")), ("p.yaml", "S:\n  type: string\n  maxLenght: 3\n")];
    assert_eq!(faults(&files), ["p.yaml:3:3 `maxLenght` is not a schema keyword of OpenAPI 3.0"]);
    let sources: Vec<Source> = files.iter().map(|(name, text)| source(name, *text)).collect();
    let reports = check(&sources).unwrap();
    let told: Vec<(&str, usize)> = reports.iter().map(|report| (report.name.as_str(), report.faults.len())).collect();
    assert_eq!(told, [("a.yaml", 1), ("b.yaml", 1)]);
}

#[test]
fn a_part_that_nobody_refers_to_is_told_and_does_no_harm() {
    let contract = load(&[("common.yaml", COMMON), ("x.yaml", &format!("{HEAD}  {{}}\n"))]).unwrap();
    assert_eq!(warnings(&contract), ["common.yaml:1:1 no contract, and no contract refers to it"]);
    for nearly in ["opnapi: 3.0.3\npaths: {}\n", "info: {}\n", "swagger: '2.0'\n", "- a\n", "a\n", "{}\n"] {
        assert!(faults(&[("x.yaml", nearly)]).first().unwrap().contains("`openapi` is missing"), "{nearly}");
    }
}

#[test]
fn a_part_is_judged_for_its_shape() {
    let text = format!("{HEAD}  /a: {{$ref: 'p.yaml'}}\n");
    let found = faults(&[("x.yaml", &text), ("p.yaml", "get:\n  operationId: a\n  responses: {'200': {}}\n")]);
    assert!(found.first().unwrap().starts_with("p.yaml:3:"), "{found:?}");
}

// 5. Broken YAML.

#[test]
fn broken_yaml_is_refused_at_its_line_and_never_stops_the_reader() {
    for (text, line) in [
        ("openapi: 3.0.3\ninfo:\n\ttitle: T\n", 3),
        ("openapi: 3.0.3\ninfo:\n  description: |\n    a\n\tb\n  title: T\n", 5),
        ("openapi: 3.0.3\ninfo: {title: T\npaths: {}\n", 2),
        ("openapi: '3.0.3\n", 1),
        ("openapi: 3.0.3\n  info: {}\n", 2),
        ("openapi: 3.0.3\ninfo: [a, b\n", 2),
        ("openapi: \"\\q\"\n", 1),
        ("a: *b\n", 1),
        ("%YAML 9.9\n---\na: 1\nb: [\n", 4),
        ("- a\nb: c\n", 2),
        ("a: b: c\n", 1),
        ("\u{0}", 1),
    ] {
        let found = load(&[("x.yaml", text)]).expect_err("broken");
        assert!(found.first().is_some_and(|fault| fault.line >= line && fault.line <= line + 2), "{text:?} {found:?}");
    }
    // A tab inside a text that is indented with spaces is a character like any other.
    let text = format!(
        "openapi: 3.0.3\ninfo:\n  title: T\n  version: '1'\n  description: |\n    a\n    \tb\nsecurity: []\npaths: {{/a: {{get: {{operationId: a, {ANSWER}}}}}}}\n"
    );
    assert_eq!(faults(&[("x.yaml", &text)]), [""; 0]);
}

#[test]
fn texts_that_were_cut_or_spoilt_never_stop_the_reader() {
    let whole = format!("{HEAD}{}", SPREAD.split_once("paths:\n").unwrap().1);
    let spoils =
        ["\t", "{", "[", "&a ", "*a", "!!x ", "'", "\"", "\u{feff}", "- ", ": ", "|\n", "%", "#", "\u{7f}", "? "];
    for at in (0..whole.len()).step_by(3).filter(|at| whole.is_char_boundary(*at)) {
        let (before, after) = whole.split_at(at);
        let _ = load(&[("x.yaml", before)]);
        let _ = load(&[("x.yaml", &format!("{before}{}{after}", spoils[at % spoils.len()]))]);
    }
}

#[test]
fn bombs_of_aliases_and_depth_are_refused() {
    let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (name, inner) in "bcdefghi".chars().zip("abcdefgh".chars()) {
        bomb.push_str(&format!("{name}: &{name} [{}]\n", vec![format!("*{inner}"); 7].join(", ")));
    }
    assert!(faults(&[("x.yaml", &bomb)]).first().unwrap().contains("more than"));
    for level in ["[", "{a: ", "[[{a: "] {
        let found = faults(&[("x.yaml", &format!("a: {}", level.repeat(100_000)))]);
        let told = found.first().unwrap();
        assert!(told.contains("deeper than") || told.contains("recursion limit"), "{told}");
    }
    // By indentation alone, which costs the square of the depth.
    let deep: String = (0..500).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
    assert!(faults(&[("x.yaml", &deep)]).first().unwrap().contains("deeper than"));
}

// 6. Operations without a name.

#[test]
fn nameless_operations_are_called_by_method_and_path() {
    let id = "parameters: [{name: id, in: path, required: true, schema: {type: string}}]";
    let contract = one(&format!(
        "  /things/{{id}}: {{get: {{{id}, {ANSWER}}}}}\n  /things: {{get: {{{ANSWER}}}, post: {{{ANSWER}}}}}\n"
    ));
    let ids: Vec<&str> = contract.operations().iter().map(|operation| operation.id()).collect();
    assert_eq!(ids, ["get_things_by_id", "get_things", "post_things"]);
    assert_eq!(warnings(&contract).len(), 1);
    // A name that somebody gave is never taken over.
    let text =
        format!("{HEAD}  /things: {{get: {{{ANSWER}}}}}\n  /b: {{get: {{operationId: get_things, {ANSWER}}}}}\n");
    assert_eq!(faults(&[("x.yaml", &text)]), ["x.yaml:6:8 the operationId `get_things` is already used at x.yaml:5"]);
}

// 7. Templates that collide.

fn with(template: &str, methods: &[(&str, &str)]) -> String {
    let names = template.split(['{', '}']).skip(1).step_by(2);
    let one = |name: &str| format!("{{name: {name}, in: path, required: true, schema: {{type: string}}}}");
    let parameters: Vec<String> = names.map(one).collect();
    let methods: Vec<String> =
        methods.iter().map(|(method, id)| format!("    {method}: {{operationId: {id}, {ANSWER}}}\n")).collect();
    format!("  {template}:\n    parameters: [{}]\n{}", parameters.join(", "), methods.concat())
}

#[test]
fn one_shape_with_two_names_is_fine_while_the_methods_differ() {
    let contract =
        one(&(with("/bills/{id}", &[("get", "byId")]) + &with("/bills/{accessToken}", &[("put", "byToken")])));
    assert_eq!(warnings(&contract), [""; 0]);
    assert_eq!(
        (found(&contract, "GET", "/bills/1"), found(&contract, "PUT", "/bills/1")),
        ("byId".to_owned(), "byToken".to_owned())
    );
}

#[test]
fn one_shape_and_method_twice_loads_with_both_places() {
    let text = with("/bills/{id}", &[("get", "byId")]) + &with("/bills/{accessToken}", &[("get", "byToken")]);
    let mut contract = one(&text);
    assert_eq!(warnings(&contract), ["x.yaml:10:5 GET /bills/{accessToken} has the shape of /bills/{id} at x.yaml:7"]);
    assert_eq!(contract.collisions(), [(0, 1)]);
    contract.prefer(&|operation| operation.id() == "byToken");
    assert_eq!(found(&contract, "GET", "/bills/1"), "byToken");
}

#[test]
fn a_parameter_at_the_root_shadows_no_plain_path() {
    let contract = one(&(with("/{accessToken}", &[("get", "root")])
        + &with("/accounts", &[("get", "accounts")])
        + &with("/bills/{id}", &[("get", "bill")])));
    assert_eq!(found(&contract, "GET", "/accounts"), "accounts");
    assert_eq!(found(&contract, "GET", "/bills/1"), "bill");
    assert_eq!(found(&contract, "GET", "/anything"), "root");
}

// 8. Templates that overlap.

#[test]
fn the_most_specific_template_wins() {
    let contract = one(&[
        with("/things/{ID}/error", &[("get", "error")]),
        with("/things/{Type}/{ID}", &[("get", "typed")]),
        with("/v1/{service}/{product}", &[("get", "product")]),
        with("/v1/accounts/{id}", &[("get", "account")]),
        with("/accounts/{accountId}", &[("get", "one")]),
        with("/accounts/balances", &[("get", "balances")]),
    ]
    .concat());
    for (path, id) in [
        ("/things/7/error", "error"),
        ("/things/error/7", "typed"),
        ("/v1/accounts/7", "account"),
        ("/v1/cards/7", "product"),
        ("/accounts/balances", "balances"),
        ("/accounts/7", "one"),
    ] {
        assert_eq!(found(&contract, "GET", path), id, "{path}");
    }
}

// 9. Hyphens in names, many parameters in one path.

#[test]
fn parameters_may_have_hyphens_and_be_many() {
    let contract = one(&with("/a/{bank-id}/{account.id}/{x_y}/{z}", &[("get", "many")]));
    let Route::Found(found) = contract.route("GET", &CanonicalPath::parse("/a/1/2/3/4").unwrap()) else {
        unreachable!("it is described")
    };
    let values: Vec<Option<&str>> = ["bank-id", "account.id", "x_y", "z"].map(|name| found.parameter(name)).to_vec();
    assert_eq!(values, [Some("1"), Some("2"), Some("3"), Some("4")]);
}

// 10. Media types.

#[test]
fn odd_media_types_load() {
    for media in [
        "'*/*'",
        "image/*",
        "multipart/mixed",
        "application/json; charset=utf-8",
        "application/jwt",
        "application/jose+jwe",
        "application/json-patch+json",
        "application/xml",
        "text/plain",
    ] {
        let content = format!("content: {{{media}: {{schema: {{}}}}}}");
        let paths = format!(
            "  /a: {{post: {{operationId: a, requestBody: {{{content}}}, responses: {{'200': {{description: d, {content}}}}}}}}}\n"
        );
        assert_eq!(faults(&[("x.yaml", &format!("{HEAD}{paths}"))]), [""; 0], "{media}");
    }
    let several = "content: {application/json: {schema: {type: object}}, application/xml: {schema: {}}, application/jwt: {schema: {type: string}}}";
    let paths = format!("  /a: {{post: {{operationId: a, requestBody: {{{several}}}, {ANSWER}}}}}\n");
    assert_eq!(faults(&[("x.yaml", &format!("{HEAD}{paths}"))]), [""; 0]);
}

// 11. Versions.

#[test]
fn candidates_of_3_0_are_3_0_and_later_versions_are_what_they_say() {
    let text =
        |version: &str| format!("openapi: {version}\ninfo: {{title: T, version: '1'}}\nsecurity: []\npaths: {{}}\n");
    for version in ["3.0.0", "3.0.0-RC2", "3.0.0-rc1", "3.0.4", "3.1.0", "3.1.1"] {
        assert_eq!(faults(&[("x.yaml", &text(version))]), [""; 0], "{version}");
    }
    for version in ["2.0", "3.2.0", "4.0.0", "3.0", "'3'", "3.0.x", "3.00", "three", "[3]", "3.0.3\u{a0}"] {
        let found = faults(&[("x.yaml", &text(version))]);
        assert_eq!(found, ["x.yaml:1:10 not a version of OpenAPI this gateway reads"], "{version}");
    }
    assert_eq!(faults(&[("x.yaml", "swagger: '2.0'\npaths: {}\n")]), ["x.yaml:1:1 `openapi` is missing"]);
}

const NEW: &str = "openapi: 3.1.0
info: {title: T, version: '1', summary: s, license: {name: L, identifier: MIT}}
jsonSchemaDialect: https://spec.openapis.org/oas/3.1/dialect/base
security: []
webhooks: {paid: {post: {requestBody: {content: {application/json: {schema: {prefixItems: []}}}}}}}
paths:
  /a:
    post:
      operationId: a
      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/A', description: d}}}}
  /b: {$ref: '#/components/pathItems/B'}
components:
  pathItems:
    B: {get: {operationId: b, responses: {'200': {description: d, content: {application/json: {schema: {$ref: 'p.yaml#/$defs/Part'}}}}}}}
  schemas:
    A:
      type: [object, 'null']
      properties:
        kind: {const: a}
        count: {type: integer, exclusiveMinimum: 0}
        note: {type: [string, integer]}
        part: {$ref: 'p.yaml#/$defs/Part'}
      if: {required: [count]}
      then: {required: [kind]}
      unevaluatedProperties: true
";

#[test]
fn what_3_1_and_3_0_both_can_say_is_judged_alike() {
    let part = "$defs: {Part: {type: string, const: x}}\n";
    let contract = load(&[("x.yaml", NEW), ("p.yaml", part)]).unwrap_or_else(|faults| panic!("{faults:?}"));
    assert_eq!(contract.operations().len(), 2);
    for (body, sound) in [
        ("null", true),
        ("{}", true),
        (r#"{"kind": "a", "count": 1}"#, true),
        (r#"{"count": 1}"#, false),
        (r#"{"kind": "b"}"#, false),
        (r#"{"kind": "a", "count": 0}"#, false),
        (r#"{"note": 1}"#, true),
        (r#"{"note": true}"#, false),
        (r#"{"part": "x"}"#, true),
        (r#"{"part": "y"}"#, false),
        ("[]", false),
    ] {
        assert_eq!(takes(&contract, body), sound, "{body}");
    }
}

#[test]
fn what_only_3_1_can_say_is_refused_by_name_and_line() {
    for (schema, key) in [
        ("{prefixItems: [{}]}", "prefixItems"),
        ("{patternProperties: {a: {}}}", "patternProperties"),
        ("{contains: {}}", "contains"),
    ] {
        let text = posting(schema).replace("3.0.3", "3.1.0");
        let found = faults(&[("x.yaml", &text)]);
        assert_eq!(found, [format!("x.yaml:8:59 OpenAPI 3.0 cannot say `{key}` in a schema")], "{schema}");
    }
    let text = NEW.replace("p.yaml#/$defs/Part", "p.yaml");
    assert_eq!(
        faults(&[("x.yaml", &text), ("p.yaml", "type: array\ncontains: {}\n")]),
        ["p.yaml:2:1 OpenAPI 3.0 cannot say `contains` in a schema"]
    );
    let text = NEW.replace("3.1/dialect/base", "3.9/dialect");
    assert_eq!(
        faults(&[("x.yaml", &text), ("p.yaml", "$defs: {Part: {}}\n")]),
        ["x.yaml:3:20 OpenAPI 3.0 cannot say another dialect of JSON Schema"]
    );
    let text =
        "openapi: 3.1.0\ninfo: {title: T, version: '1'}\ncomponents: {securitySchemes: {m: {type: mutualTLS}}}\n";
    assert!(
        faults(&[("x.yaml", text)])
            .iter()
            .any(|fault| fault.starts_with("x.yaml:3:42") && fault.contains("`mutualTLS`"))
    );
}

// 12. JSON, and what only looks like it.

#[test]
fn json_that_is_yaml_is_read_as_yaml() {
    let json = r#"{"openapi": "3.0.3", "info": {"title": "T 😀 \ud83d\ude00 \\ud83d \/", "version": "1"}, "security": [],
	"paths": {"/a": {"get": {"operationId": "a", "responses": {"200": {"description": "d"}}}}}}"#;
    assert_eq!(load(&[("x.json", json)]).unwrap().operations().len(), 1);
    let compact: String = json.split_whitespace().collect();
    assert_eq!(load(&[("x.json", &compact)]).unwrap().operations().len(), 1);
    // Not JSON: a comment, a comma too much, single quotes, a bare word.
    let yaml = "{\"openapi\": '3.0.3', # a comment\n info: {\"title\": T, \"version\": \"1\",}, \"security\": [],\n \"paths\": {}}\n";
    assert_eq!(faults(&[("x.json", yaml)]), [""; 0]);
    assert!(faults(&[("x.json", "{\"a\": 1, \"a\": 2}")]).first().unwrap().contains("repeated"));
    assert!(faults(&[("x.json", "{\"openapi\": \"3.0.3\"\n")]).first().unwrap().starts_with("x.json:"));
    assert!(faults(&[("x.json", "{\"a\": \"\\ud83d\"}")]).first().unwrap().starts_with("x.json:1:"));
}

// 13. Security per operation.

#[test]
fn security_stays_with_its_operation() {
    let text = format!(
        "openapi: 3.0.3\ninfo: {{title: T, version: '1'}}\nsecurity: [{{code: [pay]}}]\npaths:\n  /consents: {{post: {{operationId: consent, security: [{{credentials: [pay]}}], {ANSWER}}}}}\n  /payments: {{post: {{operationId: pay, {ANSWER}}}}}\n  /open: {{get: {{operationId: open, security: [], {ANSWER}}}}}\ncomponents:\n  securitySchemes:\n    credentials: {{type: oauth2, flows: {{clientCredentials: {{tokenUrl: /t, scopes: {{pay: P}}}}}}}}\n    code: {{type: oauth2, flows: {{authorizationCode: {{authorizationUrl: /a, tokenUrl: /t, scopes: {{pay: P}}}}}}}}\n"
    );
    let contract = load(&[("x.yaml", &text)]).unwrap();
    let schemes: Vec<Vec<&str>> = contract
        .operations()
        .iter()
        .map(|operation| operation.security().iter().map(|requirement| requirement.scheme.as_str()).collect())
        .collect();
    assert_eq!(schemes, [vec!["credentials"], vec!["code"], vec![]]);
    let silent = text.replace("security: [{code: [pay]}]\n", "");
    let contract = load(&[("x.yaml", &silent)]).unwrap();
    let obstacles: Vec<bool> = contract.operations().iter().map(|operation| operation.obstacle().is_some()).collect();
    assert_eq!(obstacles, [false, true, false]);
}

// 14. Callbacks, links, servers, discriminators, words of one's own.

#[test]
fn callbacks_links_and_servers_serve_nothing() {
    let text = "openapi: 3.0.3
info: {title: T, version: '1'}
x-own: {$ref: nowhere}
security: []
servers: [{url: 'https://{host}/v1', variables: {host: {default: a.kz}}}]
paths:
  x-note: own
  /a:
    servers: [{url: /other}]
    post:
      operationId: a
      servers: [{url: /third}]
      callbacks:
        done: {'{$request.body#/url}': {post: {operationId: called, requestBody: {content: {application/xml: {}}}, responses: {'200': {description: d}}}}}
      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/Pet'}}}}
      responses:
        '200': {description: d, links: {next: {operationId: b, parameters: {id: $response.body#/id}}}}
components:
  links: {l: {operationId: a}}
  schemas:
    Pet: {type: object, required: [kind], properties: {kind: {type: string}}, discriminator: {propertyName: kind}}
";
    let contract = load(&[("x.yaml", text)]).unwrap_or_else(|faults| panic!("{faults:?}"));
    assert_eq!(contract.operations().len(), 1);
    assert_eq!(found(&contract, "POST", "/v1/a"), "nothing");
    let broken = text.replace("{url: /third}", "{uri: /third}");
    assert!(
        faults(&[("x.yaml", &broken)]).iter().any(|fault| fault.contains("url")),
        "{:?}",
        faults(&[("x.yaml", &broken)])
    );
}

#[test]
fn schemas_that_contain_themselves_are_no_circle_of_references() {
    let text = format!(
        "{}components: {{schemas: {{Tree: {{type: object, properties: {{left: {{$ref: '#/components/schemas/Tree'}}}}, additionalProperties: false}}}}}}\n",
        posting("{$ref: '#/components/schemas/Tree'}")
    );
    let contract = load(&[("x.yaml", &text)]).unwrap();
    assert!(takes(&contract, r#"{"left": {"left": {}}}"#) && !takes(&contract, r#"{"left": {"right": {}}}"#));
    let circle = text.replace(
        "{type: object, properties: {left: {$ref: '#/components/schemas/Tree'}}, additionalProperties: false}",
        "{allOf: [{$ref: '#/components/schemas/Tree'}]}",
    );
    assert!(!faults(&[("x.yaml", &circle)]).is_empty());
}

#[test]
fn what_means_nothing_beside_a_reference_is_told() {
    let text = format!(
        "{HEAD}  /a/{{id}}:\n    get:\n      operationId: a\n      {ANSWER}\n      parameters: [{{$ref: '#/components/parameters/Id', required: false, description: fine}}]\ncomponents: {{parameters: {{Id: {{name: id, in: path, required: true, schema: {{type: string}}}}}}}}\n"
    );
    let contract = load(&[("x.yaml", &text)]).unwrap();
    assert_eq!(warnings(&contract), ["x.yaml:9:57 `required` means nothing beside `$ref`"]);
}

// All together.

#[test]
fn each_document_is_judged_by_itself() {
    let sound = format!("{HEAD}  /a: {{get: {{operationId: a, {ANSWER}}}}}\n");
    let sources = [source("a.yaml", sound.clone()), source("sub/a.yaml", sound), source("c.yaml", "openapi: 3.0.3\n")];
    let reports: Vec<Report> = check(&sources).unwrap();
    let told: Vec<(usize, bool)> = reports.iter().map(|report| (report.operations, report.faults.is_empty())).collect();
    assert_eq!(told, [(1, true), (1, true), (0, false)]);
    assert!(Contract::load(&sources).is_err());
}

#[test]
fn the_limits_of_files_and_of_all_text_hold_on_both_sides() {
    let sound = |number: usize| source(&format!("{number}.yaml"), format!("{HEAD}  {{}}\n"));
    let many: Vec<Source> = (0..=openapi::FILES_MAX).map(sound).collect();
    assert!(check(&many[..openapi::FILES_MAX]).is_ok());
    assert_eq!(check(&many).unwrap_err().first().unwrap().message, format!("more than {} files", openapi::FILES_MAX));
    // Nobody reads an XML file, so this takes no time.
    let text = |bytes: usize| [source("a.xml", " ".repeat(bytes))];
    assert!(check(&text(openapi::CONTRACT_BYTES_MAX)).is_ok());
    assert!(check(&text(openapi::CONTRACT_BYTES_MAX + 1)).is_err());
}

#[test]
fn a_document_of_600_kilobytes_loads() {
    let mut text = posting("{$ref: '#/components/schemas/S0'}") + "components:\n  schemas:\n";
    for number in 0..2_000 {
        text.push_str(&format!("    S{number}:\n      type: object\n      description: {}\n      properties:\n        next: {{$ref: '#/components/schemas/S{}'}}\n        all: {{allOf: [{{$ref: '#/components/schemas/S{}'}}]}}\n", "words ".repeat(40), (number + 1) % 2_000, (number + 2) % 2_000));
    }
    assert!(text.len() > 600_000);
    assert_eq!(faults(&[("x.yaml", &text)]), [""; 0]);
}

#[test]
fn a_document_that_refers_to_itself_is_still_one() {
    let text = "paths: {}\ncomponents: {schemas: {A: {$ref: 'x.yaml#/components/schemas/B'}, B: {type: string}}}\n";
    let reports = check(&[source("x.yaml", text)]).unwrap();
    assert!(reports.first().is_some_and(|report| !report.faults.is_empty()), "{reports:?}");
}
