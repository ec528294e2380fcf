//! JSON with one reading.
//!
//! Two parsers that disagree on a body are how a check is walked around: the one that judges takes the first of two equal
//! keys, the one that pays takes the last. So whatever parsers are known to disagree on is refused here. Must never
//! know a schema.

use crate::fault::Spot;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};
use std::cell::Cell;
use std::fmt;

/// The largest JSON or form body, in bytes; the gateway's own limits are lower.
pub const JSON_BYTES_MAX: usize = 1024 * 1024;

/// The deepest nesting of arrays and objects: parsers behind us recurse too.
pub const JSON_DEPTH_MAX: usize = 64;

/// The most properties of one object: beyond it maps cost more than the bytes that ask for them.
pub const JSON_PROPERTIES_MAX: usize = 512;

/// The most values of a body, counting each array, object and scalar.
pub const JSON_VALUES_MAX: usize = 20_000;

/// The largest integer either side of zero: 2^53 - 1, what every JSON parser keeps exactly (RFC 8259, section 6).
pub const INTEGER_MAX: u64 = (1 << 53) - 1;

/// The most digits of a number with a point or an exponent, from the first to the last that is not zero: what every parser
/// of 64-bit floats keeps exactly (IEEE 754, `DBL_DIG`). More may stand only where a float is written so: 0.30000000000000004.
pub const NUMBER_DIGITS_MAX: usize = 15;

/// Why and where a body could not be read; places count from 1 and columns are bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Malformed {
    pub(crate) at: Spot,
    pub(crate) reason: String,
}

/// Reads a body strictly.
///
/// # Errors
/// The first thing wrong. The reason never repeats what the body says.
pub(crate) fn parse(body: &[u8]) -> Result<Value, Malformed> {
    if body.len() > JSON_BYTES_MAX {
        return Err(Malformed {
            at: Spot { line: 1, column: 1 },
            reason: format!("the body is larger than {JSON_BYTES_MAX} bytes"),
        });
    }
    inexact_number(body)?;
    let values = Cell::new(0);
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = Strict { depth: 0, values: &values }.deserialize(&mut deserializer).map_err(malformed)?;
    deserializer.end().map_err(malformed)?;
    Ok(value)
}

/// Refuses numbers that parsers read differently: what has more digits than every parser keeps, or ends up as zero.
///
/// Looks at tokens only; what is no JSON at all its reader tells.
fn inexact_number(body: &[u8]) -> Result<(), Malformed> {
    let (mut at, mut line, mut line_start) = (0, 1, 0);
    while let Some(byte) = body.get(at) {
        match byte {
            b'\n' => (line, line_start) = (line + 1, at + 1),
            b'"' => {
                at += 1;
                while let Some(byte) = body.get(at).filter(|byte| **byte != b'"') {
                    at += if *byte == b'\\' { 2 } else { 1 };
                }
            }
            b'-' | b'0'..=b'9' => {
                let rest = body.get(at..).unwrap_or_default();
                let length = rest.iter().take_while(|byte| byte.is_ascii_digit() || b"+-.eE".contains(byte)).count();
                if !is_exact(rest.get(..length).unwrap_or_default()) {
                    let at = Spot { line, column: at - line_start + 1 };
                    return Err(Malformed {
                        at,
                        reason: format!("a number has more than {NUMBER_DIGITS_MAX} digits, or is too small"),
                    });
                }
                at += length.max(1) - 1;
            }
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

/// Tells whether every parser reads a number with a point or an exponent alike; zeros at its ends count for nothing.
fn is_exact(number: &[u8]) -> bool {
    let mantissa = number.split(|byte| matches!(byte, b'e' | b'E')).next().unwrap_or_default();
    if mantissa.len() == number.len() && !mantissa.contains(&b'.') {
        // Whole numbers have a limit of their own.
        return true;
    }
    let digits = significant(mantissa);
    let Some(read) = std::str::from_utf8(number).ok().and_then(|text| text.parse::<f64>().ok()) else {
        return true;
    };
    if digits.is_empty() {
        return true;
    }
    let shortest = format!("{read:e}");
    let shortest = significant(shortest.split('e').next().unwrap_or_default().as_bytes());
    read.is_normal() && (digits.len() <= NUMBER_DIGITS_MAX || digits == shortest)
}

/// The digits from the first to the last that is not zero.
fn significant(mantissa: &[u8]) -> Vec<u8> {
    let mut digits: Vec<u8> =
        mantissa.iter().copied().filter(u8::is_ascii_digit).skip_while(|digit| *digit == b'0').collect();
    while digits.last() == Some(&b'0') {
        digits.pop();
    }
    digits
}

fn malformed(error: serde_json::Error) -> Malformed {
    let reason = match error.classify() {
        Category::Eof => "the body ends too early".to_owned(),
        // Syntax messages of serde_json are fixed texts, and the others are written below: neither repeats the body.
        _ => {
            let text = error.to_string();
            text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason).to_owned()
        }
    };
    Malformed { at: Spot { line: error.line().max(1), column: error.column().max(1) }, reason }
}

#[derive(Clone, Copy)]
struct Strict<'c> {
    depth: usize,
    values: &'c Cell<usize>,
}

impl Strict<'_> {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth >= JSON_DEPTH_MAX {
            return Err(E::custom(format_args!("nested deeper than {JSON_DEPTH_MAX} levels")));
        }
        Ok(Strict { depth: self.depth + 1, values: self.values })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let count = self.values.get() + 1;
        if count > JSON_VALUES_MAX {
            return Err(D::Error::custom(format_args!("more than {JSON_VALUES_MAX} values")));
        }
        self.values.set(count);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        if value > INTEGER_MAX { Err(too_large()) } else { Ok(Value::Number(Number::from(value))) }
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        if value.unsigned_abs() > INTEGER_MAX { Err(too_large()) } else { Ok(Value::Number(Number::from(value))) }
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        // Integers beyond 64 bits come as floats, and every float beyond 2^53 is an integer.
        if value.abs() > INTEGER_MAX as f64 {
            return Err(too_large());
        }
        Number::from_f64(value).map(Value::Number).ok_or_else(too_large)
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            if map.len() >= JSON_PROPERTIES_MAX {
                return Err(A::Error::custom(format_args!("an object has more than {JSON_PROPERTIES_MAX} properties")));
            }
            let Entry::Vacant(place) = map.entry(key) else {
                return Err(A::Error::custom("a key is repeated"));
            };
            place.insert(access.next_value_seed(inner)?);
        }
        Ok(Value::Object(map))
    }
}

fn too_large<E: serde::de::Error>() -> E {
    E::custom("a number is beyond 2^53 - 1")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;
    use serde_json::json;

    fn reason(body: &str) -> String {
        parse(body.as_bytes()).unwrap_err().reason
    }

    #[test]
    fn repeated_keys_are_refused_however_they_are_written() {
        assert_eq!(reason(r#"{"a":1,"a":1}"#), "a key is repeated");
        assert_eq!(reason(r#"{"a":1,"\u0061":2}"#), "a key is repeated");
        assert_eq!(reason(r#"[{"x":{"b":1,"c":2,"b":3}}]"#), "a key is repeated");
    }

    #[test]
    fn what_parsers_disagree_on_is_refused() {
        for body in [
            "",
            " ",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "{a:1}",
            "{'a':1}",
            "// x\n1",
            "NaN",
            "Infinity",
            "01",
            "1.",
            ".5",
            "+1",
            "\"\t\"",
            "\"\\x\"",
            "\u{feff}{}",
            "{} {}",
            "{}x",
            "1e999",
            "\"\\ud800\"",
            "\"\\udc00\"",
            "\"\\ud800\\u0041\"",
            "{\"\\ud800\":1}",
            "[1 2]",
            "nul",
            "True",
        ] {
            assert!(parse(body.as_bytes()).is_err(), "{body:?}");
        }
        assert!(parse(b"\"\xff\"").is_err());
        assert!(parse(b"\"\xed\xa0\x80\"").is_err());
        assert!(parse(b"{\"a\":1}\0").is_err());
    }

    #[test]
    fn reasons_do_not_repeat_the_body() {
        for body in [
            r#"{"secret":1,"secret":2}"#,
            r#"{"secret" 1}"#,
            r#"["secret" "secret"]"#,
            "secret",
            r#""\secret""#,
            "{\"x\": 99999999999999999999}",
        ] {
            let text = reason(body);
            assert!(!text.contains("secret") && !text.contains("999"), "{text}");
        }
    }

    #[test]
    fn integers_hold_on_both_sides() {
        assert!(parse(b"9007199254740991").is_ok());
        assert!(parse(b"-9007199254740991").is_ok());
        for body in [
            "9007199254740992",
            "-9007199254740992",
            "18446744073709551616",
            "-18446744073709551616",
            "1e20",
            "9007199254740992.0",
        ] {
            assert_eq!(reason(body), "a number is beyond 2^53 - 1", "{body}");
        }
    }

    #[test]
    fn digits_hold_on_both_sides() {
        for body in [
            "0.123456789012345",
            "1234567890.12345",
            "0.30000000000000004",
            "100.000000000000000000000",
            "[1.5e3, -0.0, 0e9, 1e-300]",
        ] {
            assert!(parse(body.as_bytes()).is_ok(), "{body}");
        }
        for body in [
            "0.12345678901234567",
            "1.0000000000000001",
            "100.0000000000000000001",
            "1.00000000000000000001e0",
            "1e-400",
            "-4e-320",
        ] {
            assert_eq!(reason(body), "a number has more than 15 digits, or is too small", "{body}");
        }
        let error = parse(b"{\"0.12345678901234567\\\"\": 1,\n \"a\": 100.0000000000000000001}").unwrap_err();
        assert_eq!((error.at.line, error.at.column), (2, 7));
        assert!(reason("[1e400]").contains("number"));
    }

    #[test]
    fn depth_holds_on_both_sides() {
        let lists = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let maps = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        assert!(parse(lists(JSON_DEPTH_MAX).as_bytes()).is_ok());
        assert!(parse(maps(JSON_DEPTH_MAX).as_bytes()).is_ok());
        assert!(reason(&lists(JSON_DEPTH_MAX + 1)).contains("deeper"));
        assert!(reason(&maps(JSON_DEPTH_MAX + 1)).contains("deeper"));
        assert!(reason(&lists(100_000)).contains("deeper"));
    }

    #[test]
    fn properties_hold_on_both_sides() {
        let object =
            |count: usize| format!("{{{}}}", (0..count).map(|n| format!("\"k{n}\":1")).collect::<Vec<_>>().join(","));
        assert!(parse(object(JSON_PROPERTIES_MAX).as_bytes()).is_ok());
        assert!(reason(&object(JSON_PROPERTIES_MAX + 1)).contains("properties"));
    }

    #[test]
    fn values_hold_on_both_sides() {
        let list = |values: usize| format!("[{}]", vec!["1"; values - 1].join(","));
        assert!(parse(list(JSON_VALUES_MAX).as_bytes()).is_ok());
        assert!(reason(&list(JSON_VALUES_MAX + 1)).contains("values"));
    }

    #[test]
    fn size_holds_on_both_sides() {
        let text = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
        assert!(parse(text(JSON_BYTES_MAX).as_bytes()).is_ok());
        assert!(reason(&text(JSON_BYTES_MAX + 1)).contains("larger"));
    }

    #[test]
    fn a_fault_has_its_place() {
        let error = parse(b"{\n  \"a\": 1,\n  \"a\": 2\n}").unwrap_err();
        assert_eq!(error.at.line, 3);
        assert_eq!(reason("{\"a\":"), "the body ends too early");
    }

    #[test]
    fn sound_json_is_read_as_it_is() {
        let value = parse(r#" {"a":[1,-2,1.5,true,null,"x\ud83d\ude00"],"b":{}} "#.as_bytes()).unwrap();
        assert_eq!(value, json!({"a": [1, -2, 1.5, true, null, "x\u{1f600}"], "b": {}}));
    }
}
