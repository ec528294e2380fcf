//! Parameters of every place and style, judged through a contract.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use crate::{CanonicalPath, Contract, QUERY_BYTES_MAX, Route, Source};

const HEAD: &str = "openapi: 3.0.3\ninfo: {title: T, version: '1'}\nsecurity: []\npaths:\n";

/// A contract of one `GET`; `parameters` are written in flow style.
fn contract(template: &str, parameters: &str) -> Contract {
    let text = format!(
        "{HEAD}  '{template}':\n    get:\n      operationId: a\n      parameters: [{parameters}]\n      responses: {{'200': {{description: d}}}}\n"
    );
    Contract::load(&[Source { name: "x.yaml".to_owned(), text }]).unwrap()
}

/// What is wrong with a request, as `pointer keyword`; empty if nothing is.
fn told(contract: &Contract, path: &str, query: Option<&str>, headers: &[(&str, &str)]) -> Vec<String> {
    let Ok(path) = CanonicalPath::parse(path) else { return vec!["no path".to_owned()] };
    let Route::Found(found) = contract.route("GET", &path) else { return vec!["no route".to_owned()] };
    let header = |name: &str| {
        headers.iter().filter(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()).collect::<Vec<_>>()
    };
    let faults = found.operation.check_request(&found, query, &header).err().unwrap_or_default();
    faults.iter().map(|fault| format!("{} {}", fault.pointer, fault.keyword)).collect()
}

fn in_query(parameter: &str, query: &str) -> Vec<String> {
    told(&contract("/a", &format!("{{in: query, {parameter}}}")), "/a", Some(query), &[])
}

fn in_path(parameter: &str, segment: &str) -> Vec<String> {
    let contract = contract("/a/{p}", &format!("{{name: p, in: path, required: true, {parameter}}}"));
    told(&contract, &format!("/a/{segment}"), None, &[])
}

fn in_header(parameter: &str, lines: &[&str]) -> Vec<String> {
    let contract = contract("/a", &format!("{{name: X-P, in: header, {parameter}}}"));
    told(&contract, "/a", None, &lines.iter().map(|line| ("x-p", *line)).collect::<Vec<_>>())
}

fn in_cookie(parameter: &str, lines: &[&str]) -> Vec<String> {
    let contract = contract("/a", &format!("{{in: cookie, {parameter}}}"));
    told(&contract, "/a", None, &lines.iter().map(|line| ("cookie", *line)).collect::<Vec<_>>())
}

/// Holds texts against a parameter: those with a fault tell it, those without are sound.
fn hold(judge: impl Fn(&str) -> Vec<String>, cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        let expected: Vec<&str> = Some(*expected).filter(|fault| !fault.is_empty()).into_iter().collect();
        assert_eq!(judge(text), expected, "{text}");
    }
}

const NUMBERS: &str = "schema: {type: array, maxItems: 3, items: {type: integer, maximum: 9}}";
const POINT: &str = "schema: {type: object, additionalProperties: false, required: [x], properties: {x: {type: integer}, y: {type: boolean}}}";

#[test]
fn lists_in_a_query_are_taken_apart_by_their_style() {
    let name = "name: p";
    hold(
        |text| in_query(&format!("{name}, {NUMBERS}"), text),
        &[
            ("p=1&p=x", "query:p type"),
            ("p=1&p=10", "query:p/1 maximum"),
            ("p=1,2", "query:p type"),
            ("p=1&p=2&p=3&p=4", "query:p maxItems"),
            ("p=1&p=2&p=3", ""),
            ("p=1", ""),
        ],
    );
    for (style, good, bad) in [
        ("form", "p=1,2,3", "p=1,2,3,4"),
        ("spaceDelimited", "p=1%202%203", "p=1%202%203%204"),
        ("spaceDelimited", "p=1+2+3", "p=1+2+3+4"),
        ("pipeDelimited", "p=1|2|3", "p=1|2|3|4"),
        ("pipeDelimited", "p=1%7C2%7c3".replace("%7c", "%7C").leak(), "p=1%7C2%7C3%7C4"),
    ] {
        let parameter = format!("{name}, style: {style}, explode: false, {NUMBERS}");
        assert_eq!(in_query(&parameter, good), [""; 0], "{style} {good}");
        assert_eq!(in_query(&parameter, bad), ["query:p maxItems"], "{style} {bad}");
        assert_eq!(in_query(&parameter, "p=1&p=2"), ["query:p repeated"], "{style}");
        assert_eq!(in_query(&parameter, "p=1;2"), ["query:p type"], "{style}");
    }
}

#[test]
fn an_escaped_comma_separates_nothing() {
    let texts = "name: p, explode: false, schema: {type: array, maxItems: 1, items: {type: string, maxLength: 3}}";
    hold(|text| in_query(texts, text), &[("p=a,b", "query:p maxItems"), ("p=a%2Cb", "")]);
    let segment = "schema: {type: array, maxItems: 1, items: {type: string}}";
    hold(|text| in_path(segment, text), &[("a,b", "path:p maxItems")]);
}

#[test]
fn objects_in_a_query_are_taken_apart_by_their_style() {
    hold(
        |text| in_query(&format!("name: p, {POINT}"), text),
        &[
            ("x=a", "query:p type"),
            ("y=true", "query:p/x required"),
            ("x=1&z=1", "query:z unknown"),
            ("x=1&x=2", "query:p repeated"),
            ("p=1", "query:p unknown"),
            ("x=1&y=true", ""),
        ],
    );
    hold(
        |text| in_query(&format!("name: p, explode: false, {POINT}"), text),
        &[
            ("p=x,1,y", "query:p style"),
            ("p=x,1,x,2", "query:p style"),
            ("p=x,1,z,2", "query:p/z additionalProperties"),
            ("p=x,1,y,true", ""),
        ],
    );
    hold(
        |text| in_query(&format!("name: p, style: deepObject, {POINT}"), text),
        &[
            ("p[x]=a", "query:p type"),
            ("p[y]=true", "query:p/x required"),
            ("p[z]=1&p[x]=1", "query:p/z additionalProperties"),
            ("p[x]=1&p[x]=2", "query:p repeated"),
            ("p[x][y]=1", "query:* unknown"),
            ("p[]=1", "query:* unknown"),
            ("p=1", "query:p unknown"),
            ("p[x]=1&p%5By%5D=true", ""),
        ],
    );
    let lists =
        "name: p, style: deepObject, schema: {type: object, properties: {l: {type: array, items: {type: integer}}}}";
    hold(|text| in_query(lists, text), &[("p[l]=1&p[l]=x", "query:p type"), ("p[l]=1&p[l]=2", "")]);
}

#[test]
fn an_open_object_takes_what_nobody_else_does() {
    let both = contract(
        "/a",
        "{name: q, in: query, schema: {type: integer}}, {name: p, in: query, schema: {type: object, additionalProperties: {type: integer}}}",
    );
    assert_eq!(told(&both, "/a", Some("q=x&other=1"), &[]), ["query:q type"]);
    assert_eq!(told(&both, "/a", Some("q=1&other=x"), &[]), ["query:p type"]);
    assert_eq!(told(&both, "/a", Some("q=1&other=2"), &[]), [""; 0]);
}

#[test]
fn segments_are_taken_apart_by_their_style() {
    for (style, explode, cases) in [
        ("simple", false, [("1,2,x", "path:p type"), ("1,2,10", "path:p/2 maximum"), ("1,2,3", "")]),
        ("simple", true, [("1,2,x", "path:p type"), ("1.2", "path:p type"), ("1,2,3", "")]),
        ("label", false, [("1,2", "path:p style"), (".1,2,10", "path:p/2 maximum"), (".1,2,3", "")]),
        ("label", true, [("1.2", "path:p style"), (".1.2.10", "path:p/2 maximum"), (".1.2.3", "")]),
        ("matrix", false, [("1,2", "path:p style"), (";p=1,2,10", "path:p/2 maximum"), (";p=1,2,3", "")]),
        ("matrix", true, [(";p=1;q=2", "path:p style"), (";p=1;p=10", "path:p/1 maximum"), (";p=1;p=2", "")]),
    ] {
        hold(|text| in_path(&format!("style: {style}, explode: {explode}, {NUMBERS}"), text), &cases);
    }
    for (style, explode, cases) in [
        ("simple", false, [("x,1,y", "path:p style"), ("y,true", "path:p/x required"), ("x,1,y,true", "")]),
        ("simple", true, [("x,1", "path:p style"), ("y=true", "path:p/x required"), ("x=1,y=true", "")]),
        ("label", false, [("x,1", "path:p style"), (".y,true", "path:p/x required"), (".x,1", "")]),
        ("label", true, [(".x,1", "path:p style"), (".y=true", "path:p/x required"), (".x=1.y=true", "")]),
        ("matrix", false, [(";x=1", "path:p style"), (";p=y,true", "path:p/x required"), (";p=x,1", "")]),
        ("matrix", true, [("x=1", "path:p style"), (";y=true", "path:p/x required"), (";x=1;y=true", "")]),
    ] {
        hold(|text| in_path(&format!("style: {style}, explode: {explode}, {POINT}"), text), &cases);
    }
    hold(|text| in_path("style: matrix, schema: {type: integer}", text), &[(";p=x", "path:p type"), (";p=1", "")]);
    hold(|text| in_path("style: label, schema: {type: integer}", text), &[("1", "path:p style"), (".1", "")]);
}

#[test]
fn semicolons_stand_in_matrix_parameters_only() {
    let integer = "schema: {type: integer}";
    for segment in [";p=1", "1;p=1"] {
        let found = in_path(integer, segment);
        assert!(found == ["no route"] || found == ["no path"], "{segment} {found:?}");
    }
    let matrix = contract(
        "/a/{p}/{q}",
        "{name: p, in: path, required: true, style: matrix, schema: {type: integer}}, {name: q, in: path, required: true, schema: {type: string}}",
    );
    for path in ["/a/;p=1/;p=1", "/;a/;p=1/x", "/a;b/;p=1/x", "/a/;p=1/..;", "/a/;p=1/x;y", "/a/;/x"] {
        let found = told(&matrix, path, None, &[]);
        assert!(found == ["no route"] || found == ["no path"], "{path} {found:?}");
    }
    assert_eq!(told(&matrix, "/a/;p=1/x", None, &[]), [""; 0]);
}

#[test]
fn headers_may_be_lists_and_objects() {
    for (lines, expected) in [
        (&["1, x"][..], "header:x-p type"),
        (&["1", "2", "3", "4"], "header:x-p maxItems"),
        (&["1, 2", "10"], "header:x-p/2 maximum"),
        (&["1, 2", "3"], ""),
        (&[], ""),
    ] {
        let expected: Vec<&str> = Some(expected).filter(|fault| !fault.is_empty()).into_iter().collect();
        assert_eq!(in_header(NUMBERS, lines), expected, "{lines:?}");
    }
    assert_eq!(in_header(&format!("explode: true, {POINT}"), &["y=true"]), ["header:x-p/x required"]);
    assert_eq!(in_header(&format!("explode: true, {POINT}"), &["x=1, y=true"]), [""; 0]);
    assert_eq!(in_header("schema: {type: string}", &["a", "a"]), ["header:x-p repeated"]);
    assert_eq!(in_header("required: true, schema: {type: string}", &[]), ["header:x-p required"]);
}

#[test]
fn cookies_are_judged_and_strange_ones_let_be() {
    let integer = "name: p, required: true, schema: {type: integer}";
    for (lines, expected) in [
        (&[][..], "cookie:p required"),
        (&["q=1"], "cookie:p required"),
        (&["p=x"], "cookie:p type"),
        (&["p=1; p=2"], "cookie:p repeated"),
        (&["p=1", "p=2"], "cookie:p repeated"),
        (&["p=%zz"], "cookie:p style"),
        (&["q=x; p=1; r"], ""),
    ] {
        let expected: Vec<&str> = Some(expected).filter(|fault| !fault.is_empty()).into_iter().collect();
        assert_eq!(in_cookie(integer, lines), expected, "{lines:?}");
    }
    assert_eq!(in_cookie(&format!("name: p, explode: false, {NUMBERS}"), &["p=1,2,10"]), ["cookie:p/2 maximum"]);
    assert_eq!(in_cookie(&format!("name: p, explode: false, {NUMBERS}"), &["p=1,2,3"]), [""; 0]);
    // A plus is a plus: no browser writes a space so.
    assert_eq!(in_cookie("name: p, schema: {type: string, pattern: '^a\\+b$'}", &["p=a+b"]), [""; 0]);
}

#[test]
fn described_media_types_are_read_as_such() {
    let json = "name: p, content: {application/json: {schema: {type: object, required: [a], properties: {a: {type: integer}}}}}";
    hold(
        |text| in_query(json, text),
        &[
            ("p={}", "query:p/a required"),
            ("p=%7B%22a%22:1,%22a%22:2%7D", "query:p type"),
            ("p=x", "query:p type"),
            ("p={}&p={}", "query:p repeated"),
            ("p=%7B%22a%22:%22x%22%7D", "query:p/a type"),
            ("p=%7B%22a%22:1%7D", ""),
        ],
    );
    let text = "name: p, content: {text/plain: {schema: {type: string, maxLength: 2}}}";
    hold(|query| in_query(text, query), &[("p=abc", "query:p maxLength"), ("p=12", "")]);
}

#[test]
fn nothing_at_all_is_a_value_only_where_the_contract_says_so() {
    let integer = "name: p, schema: {type: integer}";
    hold(|text| in_query(integer, text), &[("p=", "query:p type"), ("p", "query:p type")]);
    let empty = "name: p, allowEmptyValue: true, schema: {type: integer}";
    hold(|text| in_query(empty, text), &[("p=x", "query:p type"), ("p=", ""), ("p", ""), ("p=1", "")]);
}

#[test]
fn a_text_with_several_readings_needs_one_that_holds() {
    let either = "name: p, schema: {oneOf: [{type: integer, maximum: 5}, {type: string, pattern: '^[a-z0-9]{3}$'}]}";
    hold(|text| in_query(either, text), &[("p=5", ""), ("p=abc", ""), ("p=123", "")]);
    // The alternative that its type does not rule out was meant.
    assert_eq!(in_query(either, "p=12"), ["query:p oneOf", "query:p maximum"]);
    let list = "name: p, schema: {oneOf: [{type: string, enum: [all]}, {type: array, items: {type: integer}}]}";
    hold(|text| in_query(list, text), &[("p=none", "query:p oneOf"), ("p=all", ""), ("p=1&p=2", ""), ("p=1", "")]);
    let untyped = "name: p, schema: {enum: [1, a, true]}";
    hold(|text| in_query(untyped, text), &[("p=2", "query:p enum"), ("p=1", ""), ("p=a", ""), ("p=true", "")]);
}

#[test]
fn names_are_what_the_contract_says() {
    for name in ["x-request-id", "page[size]", "$top", "a b", "\u{442}"] {
        let escaped: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let parameter = format!("name: '{name}', schema: {{type: integer}}");
        assert_eq!(in_query(&parameter, &format!("{escaped}=1")), [""; 0], "{name}");
        assert_eq!(in_query(&parameter, &format!("{escaped}=x")).len(), 1, "{name}");
    }
}

#[test]
fn numbers_have_one_spelling() {
    let integer = "name: p, schema: {type: integer, minimum: 1, maximum: 100}";
    for text in ["-", "%2B1", "01", "1.0", "1e1", "+1", "1+", "0x1", "-0", "99999999999999999999", "9007199254740992"] {
        assert_eq!(in_query(integer, &format!("p={text}")), ["query:p type"], "{text}");
    }
    hold(|text| in_query(integer, text), &[("p=0", "query:p minimum"), ("p=101", "query:p maximum"), ("p=100", "")]);
    let number = "name: p, schema: {type: number}";
    for text in ["NaN", "1.", ".5", "[1]", "%221%22", "1e999"] {
        assert_eq!(in_query(number, &format!("p={text}")), ["query:p type"], "{text}");
    }
    hold(|text| in_query(number, text), &[("p=-1.5e2", ""), ("p=1", "")]);
    let boolean = "name: p, schema: {type: boolean}";
    hold(|text| in_query(boolean, text), &[("p=TRUE", "query:p type"), ("p=1", "query:p type"), ("p=true", "")]);
}

#[test]
fn what_a_client_sent_is_not_repeated() {
    let contract = contract(
        "/a/{p}",
        "{name: p, in: path, required: true, schema: {type: string, maxLength: 3}}, {name: l, in: query, style: deepObject, schema: {type: object, additionalProperties: {type: integer}}}, {name: c, in: cookie, schema: {type: integer}}",
    );
    let path = CanonicalPath::parse("/a/900101300017").unwrap();
    let Route::Found(found) = contract.route("GET", &path) else { unreachable!() };
    let header = |_: &str| vec!["c=900101300017".to_owned()];
    let faults = found.operation.check_request(&found, Some("l[900101300017]=900101300017&900101300017=1"), &header);
    let told = format!("{:?}", faults.unwrap_err());
    assert!(!told.contains("900101300017"), "{told}");
}

#[test]
fn the_number_of_parts_holds_on_both_sides() {
    let list = "name: p, explode: false, schema: {type: array, items: {type: integer}}";
    let query = |count: usize| format!("p={}", vec!["1"; count].join(","));
    assert_eq!(in_query(list, &query(crate::style::SPELT_MAX)), [""; 0]);
    assert_eq!(in_query(list, &query(crate::style::SPELT_MAX + 1)), ["query:p style"]);
    assert!(query(crate::style::SPELT_MAX + 1).len() < QUERY_BYTES_MAX);
}
