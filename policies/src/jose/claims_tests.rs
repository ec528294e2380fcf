#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use super::*;

// Every JSON shape, as the value of the claim `x`, by what it is.
const SHAPES: [(&str, &str); 12] = [
    ("absent", r#"{}"#),
    ("null", r#"{"x":null}"#),
    ("true", r#"{"x":true}"#),
    ("string", r#"{"x":"1"}"#),
    ("integer", r#"{"x":1}"#),
    ("negative", r#"{"x":-1}"#),
    ("float", r#"{"x":1.0}"#),
    ("exponent", r#"{"x":1e0}"#),
    ("huge", r#"{"x":18446744073709551615}"#),
    ("beyond", r#"{"x":99999999999999999999}"#),
    ("array", r#"{"x":["1"]}"#),
    ("object", r#"{"x":{"y":1}}"#),
];

fn claims(text: &str) -> Claims {
    Claims::parse(text.as_bytes()).unwrap()
}

#[test]
fn a_string_is_a_string_and_nothing_else() {
    for (shape, text) in SHAPES {
        let expected = match shape {
            "absent" => Ok(None),
            "string" => Ok(Some("1")),
            _ => Err(ClaimError::WrongType("x")),
        };
        assert_eq!(claims(text).string("x"), expected, "{shape}");
    }
    assert_eq!(claims("{}").required_string("x"), Err(ClaimError::Missing("x")));
}

#[test]
fn an_integer_is_an_integer_and_never_a_float_or_a_string() {
    for (shape, text) in SHAPES {
        let expected = match shape {
            "absent" => Ok(None),
            "integer" => Ok(Some(1)),
            "negative" => Ok(Some(-1)),
            "huge" => Err(ClaimError::OutOfRange("x")),
            _ => Err(ClaimError::WrongType("x")),
        };
        assert_eq!(claims(text).integer("x"), expected, "{shape}");
    }
}

#[test]
fn an_instant_lies_between_the_epoch_and_the_year_9999() {
    for (shape, text) in SHAPES {
        let expected = match shape {
            "absent" => Ok(None),
            "integer" => Ok(Some(Timestamp::from_seconds(1))),
            "negative" | "huge" => Err(ClaimError::OutOfRange("x")),
            _ => Err(ClaimError::WrongType("x")),
        };
        assert_eq!(claims(text).instant("x"), expected, "{shape}");
    }
    assert_eq!(claims("{}").required_instant("x"), Err(ClaimError::Missing("x")));
    let last = Timestamp::from_seconds(INSTANT_SECONDS_MAX);
    assert_eq!(claims(r#"{"x":0}"#).required_instant("x"), Ok(Timestamp::from_seconds(0)));
    assert_eq!(claims(r#"{"x":253402300799}"#).required_instant("x"), Ok(last));
    assert_eq!(claims(r#"{"x":253402300800}"#).required_instant("x"), Err(ClaimError::OutOfRange("x")));
}

#[test]
fn an_object_is_an_object_and_nothing_else() {
    for (shape, text) in SHAPES {
        let found = claims(text).object("x").map(|object| object.is_some());
        let expected = match shape {
            "absent" => Ok(false),
            "object" => Ok(true),
            _ => Err(ClaimError::WrongType("x")),
        };
        assert_eq!(found, expected, "{shape}");
    }
}

#[test]
fn a_list_of_strings_holds_strings_only() {
    for (shape, text) in SHAPES {
        let expected = match shape {
            "absent" => Ok(None),
            "array" => Ok(Some(vec!["1"])),
            _ => Err(ClaimError::WrongType("x")),
        };
        assert_eq!(claims(text).strings("x"), expected, "{shape}");
    }
    assert_eq!(claims(r#"{"x":["1",2]}"#).strings("x"), Err(ClaimError::WrongType("x")));
}

#[test]
fn as6_an_audience_array_is_not_the_audience_string() {
    assert_eq!(claims(r#"{"aud":"us"}"#).audience_is("us"), Ok(true));
    assert_eq!(claims(r#"{"aud":"them"}"#).audience_is("us"), Ok(false));
    assert_eq!(claims(r#"{"aud":"us "}"#).audience_is("us"), Ok(false));
    assert_eq!(claims(r#"{"aud":["us"]}"#).audience_is("us"), Err(ClaimError::WrongType("aud")));
    assert_eq!(claims("{}").audience_is("us"), Err(ClaimError::Missing("aud")));
}

#[test]
fn an_audience_array_holds_strings_only() {
    assert_eq!(claims(r#"{"aud":["them"]}"#).audience_contains("us"), Ok(false));
    assert_eq!(claims(r#"{"aud":[]}"#).audience_contains("us"), Ok(false));
    assert_eq!(claims(r#"{"aud":["us",1]}"#).audience_contains("us"), Err(ClaimError::WrongType("aud")));
    assert_eq!(claims(r#"{"aud":{"us":1}}"#).audience_contains("us"), Err(ClaimError::WrongType("aud")));
    assert_eq!(claims(r#"{"aud":7}"#).audience_contains("us"), Err(ClaimError::WrongType("aud")));
    assert_eq!(claims(r#"{"aud":null}"#).audience_contains("us"), Err(ClaimError::WrongType("aud")));
    assert_eq!(claims("{}").audience_contains("us"), Err(ClaimError::Missing("aud")));
    assert_eq!(claims(r#"{"aud":["them","us"]}"#).audience_contains("us"), Ok(true));
    assert_eq!(claims(r#"{"aud":"us"}"#).audience_contains("us"), Ok(true));
}

#[test]
fn rs31_a_jti_has_one_to_128_characters() {
    let with = |jti: &str| claims(&format!(r#"{{"jti":"{jti}"}}"#)).jti().map(str::len);
    assert_eq!(with(""), Err(ClaimError::OutOfRange("jti")));
    assert_eq!(with(&"a".repeat(129)), Err(ClaimError::OutOfRange("jti")));
    assert_eq!(with(&"қ".repeat(129)), Err(ClaimError::OutOfRange("jti")));
    assert_eq!(with(&"a".repeat(1 << 16)), Err(ClaimError::OutOfRange("jti")));
    assert_eq!(with(&"a".repeat(128)), Ok(128));
    assert_eq!(with(&"қ".repeat(128)), Ok(256));
}
