#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use serde_json::json;

use super::*;

const IBAN: &str = "KZ47901SBX0000000101";

fn mask(fields: &[&str], show: Show) -> Mask {
    Mask {
        id: Arc::from("account-numbers"),
        fields: fields.iter().map(|field| FieldPath::parse(field).unwrap()).collect(),
        show,
        except: BTreeSet::from([Role::Bank]),
        places: BTreeSet::from([MaskPlace::Responses]),
        origin: "masking.yaml:3".to_owned(),
    }
}

fn shown(text: &str, fields: &[&str], show: Show) -> String {
    String::from_utf8(masked(text.as_bytes(), [&mask(fields, show)]).unwrap().unwrap()).unwrap()
}

#[test]
fn what_cannot_be_read_is_refused() {
    let mask = mask(&["/iban"], Show::Stars);
    for text in [
        &b""[..],
        b"{",
        b"<iban>KZ</iban>",
        b"{'iban': 'KZ'}",
        b"{\"iban\": \"KZ\"} x",
        b"{\"iban\": \"KZ\"}{}",
        b"\xef\xbb\xbf{}",
        b"{\"iban\": \"K\xffZ\"}",
        b"{\"iban\": NaN}",
        b"{\"\\ud800\": 1, \"iban\": 1}",
        b"\x1f\x8b\x08\x00",
    ] {
        assert_eq!(masked(text, [&mask]), Err(Unmaskable::NoJson), "{text:?}");
    }
}

#[test]
fn lists_in_lists_are_followed_up_to_a_limit() {
    let nested = |depth: usize| format!("{}{{\"iban\":\"{IBAN}\"}}{}", "[".repeat(depth), "]".repeat(depth));
    let mask = mask(&["/iban"], Show::Stars);
    let deepest = masked(nested(LISTS_MAX).as_bytes(), [&mask]).unwrap().unwrap();
    assert!(!String::from_utf8(deepest).unwrap().contains(IBAN));
    assert_eq!(masked(nested(LISTS_MAX + 1).as_bytes(), [&mask]), Err(Unmaskable::TooDeep));
    assert!(masked(nested(100_000).as_bytes(), [&mask]).is_err());
}

#[test]
fn a_masked_value_never_appears_however_it_is_written() {
    let fields = ["/iban", "/account/iban", "/accounts/*/iban", "/people/*/accounts/*"];
    for text in [
        r#"{"iban":"V"}"#,
        r#"{"ib\u0061n":"V"}"#,
        r#"{"iban":"a","iban":"V"}"#,
        r#"{"iban":"V","ib\u0061n":"b"}"#,
        r#"{"iban":"\"V\"\\"}"#,
        r#"{"iban":{"a":["V"]}}"#,
        r#"{"iban":["V"]}"#,
        "{ \"iban\"\t:\r\n \"V\" }",
        r#" [ {"iban":"V"}, [{"iban":"V"}] ] "#,
        r#""V""#,
        r#"{"account":"V"}"#,
        r#"{"account":["V",{"iban":"V"}]}"#,
        r#"{"account":[[["V"]]]}"#,
        r#"{"accounts":[{"x":1,"iban":"V"},{"iban":"V"}]}"#,
        r#"{"accounts":{"one":{"iban":"V"}}}"#,
        r#"{"accounts":{"iban":"V"}}"#,
        r#"{"accounts":"V"}"#,
        r#"{"accounts":["V"]}"#,
        r#"{"people":[{"accounts":["V","V"]},{"accounts":{"x":"V"}},{"accounts":"V"}]}"#,
    ] {
        let text = text.replace('V', IBAN);
        for show in [Show::Nothing, Show::Stars] {
            let found = shown(&text, &fields, show);
            assert!(!found.contains(IBAN) && !found.contains("0101"), "{text} -> {found}");
            assert!(serde_json::from_str::<Value>(&found).is_ok(), "{text} -> {found}");
        }
    }
}

#[test]
fn what_is_not_masked_stays_as_it_was_to_the_byte() {
    let text = r#"{"amount":1.10,"big":123456789012345678901234567890,"name":"\u049bа\/","list":[ 1 , 2 ],"iban":"x","z":null}"#;
    let found = shown(text, &["/iban", "/nothing/here"], Show::Stars);
    assert_eq!(found, text.replace("\"x\"", "\"****\""));
    assert_eq!(masked(text.as_bytes(), []), Ok(None));
}

#[test]
fn nothing_takes_the_member_out_and_leaves_lists_their_length() {
    assert_eq!(shown(r#"{"a":1,"iban":"x","b":2}"#, &["/iban"], Show::Nothing), r#"{"a":1,"b":2}"#);
    assert_eq!(shown(r#"{"iban":"x","b":2}"#, &["/iban"], Show::Nothing), r#"{"b":2}"#);
    assert_eq!(shown(r#"{"iban":"x"}"#, &["/iban"], Show::Nothing), "{}");
    assert_eq!(shown(r#"{"l":["x","y"]}"#, &["/l/*"], Show::Nothing), r#"{"l":[null,null]}"#);
    assert_eq!(shown(r#"{"l":["x","y"]}"#, &["/l/1"], Show::Nothing), r#"{"l":["x",null]}"#);
}

#[test]
fn stars_are_the_same_whatever_they_stand_for() {
    for value in ["\"\"", "\"x\"", "1", "true", "{}", "[1]", "\"KZ47901SBX0000000101\""] {
        assert_eq!(shown(&format!("{{\"iban\":{value}}}"), &["/iban"], Show::Stars), r#"{"iban":"****"}"#);
    }
    assert_eq!(shown(r#"{"iban":null}"#, &["/iban"], Show::Stars), r#"{"iban":null}"#);
}

#[test]
fn the_last_four_characters_of_twelve_are_shown_and_none_of_eleven() {
    let four = |value: &str| shown(&json!({ "iban": value }).to_string(), &["/iban"], Show::LastFour);
    assert_eq!(four("12345678901"), r#"{"iban":"****"}"#);
    assert_eq!(four("123456789012"), r#"{"iban":"****9012"}"#);
    // Characters, not bytes.
    assert_eq!(four("қазақстанға"), r#"{"iban":"****"}"#);
    assert_eq!(four("қазақстандық"), r#"{"iban":"****ндық"}"#);
    assert_eq!(four("12345678\"\\\n\u{7}"), r#"{"iban":"****\"\\\n\u0007"}"#);
    assert_eq!(shown(r#"{"iban":900101300017}"#, &["/iban"], Show::LastFour), r#"{"iban":"****0017"}"#);
    assert_eq!(shown(r#"{"iban":["123456789012"]}"#, &["/iban"], Show::LastFour), r#"{"iban":"****"}"#);
}

#[test]
fn of_several_masks_the_strictest_decides() {
    let text = json!({ "iban": IBAN }).to_string();
    let (four, stars, nothing) =
        (mask(&["/iban"], Show::LastFour), mask(&["/*"], Show::Stars), mask(&["/iban"], Show::Nothing));
    let of = |masks: &[&Mask]| String::from_utf8(masked(text.as_bytes(), masks.iter().copied()).unwrap().unwrap());
    assert_eq!(of(&[&four, &stars]).unwrap(), r#"{"iban":"****"}"#);
    assert_eq!(of(&[&four, &stars, &nothing]).unwrap(), "{}");
    assert_eq!(of(&[&four]).unwrap(), r#"{"iban":"****0101"}"#);
}

#[test]
fn keys_are_compared_as_they_are_meant() {
    assert_eq!(shown(r#"{"a/b":{"~":"x"}}"#, &["/a~1b/~0"], Show::Stars), r#"{"a/b":{"~":"****"}}"#);
    assert_eq!(shown(r#"{"IBAN":"x","iban ":"y"}"#, &["/iban"], Show::Stars), r#"{"IBAN":"x","iban ":"y"}"#);
}

#[test]
fn who_has_a_role_of_the_exception_sees_answers_and_nobody_else_does() {
    let mut mask = mask(&["/iban"], Show::Stars);
    assert!(mask.covers_answers(None));
    assert!(mask.covers_answers(Some(&BTreeSet::from([Role::Aisp]))));
    assert!(!mask.covers_answers(Some(&BTreeSet::from([Role::Aisp, Role::Bank]))));
    mask.places = BTreeSet::from([MaskPlace::Logs]);
    assert!(!mask.covers_answers(None));
}

#[test]
fn a_note_shows_what_a_mask_leaves_and_nothing_that_steers_a_terminal() {
    let body = json!({
        "amount": {"currency": "KZT", "amount": "1.00"},
        "from": {"iban": IBAN},
        "to": [{"iban": IBAN, "name": "a\u{1b}[31m\n\u{202e}"}],
    });
    let fields = |texts: &[&str]| texts.iter().map(|text| FieldPath::parse(text).unwrap()).collect::<Vec<_>>();
    let mask = mask(&["/from", "/to/*/iban"], Show::LastFour);
    let all = fields(&["/amount/currency", "/from/iban", "/to/0", "/to/*/name", "/gone", "/amount"]);
    let line = noted(&body, &all, [&mask]);
    assert!(!line.contains(IBAN), "{line}");
    let told: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(told["/amount/currency"], "KZT");
    assert_eq!(told["/to/0/name"], "a\u{fffd}[31m\u{fffd}\u{fffd}");
    assert!(told.get("/from/iban").is_none() && told.get("/gone").is_none(), "{line}");
    assert!(line.chars().all(|c| !c.is_control()));
}

#[test]
fn a_note_has_a_longest_length() {
    let body = json!({ "list": vec!["x".repeat(NOTED_CHARACTERS_MAX + 1); NOTED_MAX + 1] });
    let line: Value = serde_json::from_str(&noted(&body, &[FieldPath::parse("/list/*").unwrap()], [])).unwrap();
    assert_eq!(line.as_object().unwrap().len(), NOTED_MAX);
    assert!(line.as_object().unwrap().values().all(|text| text.as_str().unwrap().len() == NOTED_CHARACTERS_MAX));
}
