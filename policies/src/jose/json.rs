//! JSON objects read strictly: no member twice, bounded depth, nothing behind the end.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use thiserror::Error;

/// How deep objects and arrays may stand in one another: claims are flat, and what parses deep is an attack.
pub const DEPTH_MAX: usize = 16;

/// A text that is no JSON object, has a member twice, or is nested deeper than [`DEPTH_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a JSON object of unique members, at most {DEPTH_MAX} deep")]
pub struct JsonError;

/// Reads one JSON object.
///
/// White space around and inside is what RFC 8259 allows. Numbers become integers or floats as they are written: `1.0`
/// and `1e3` are floats.
///
/// # Errors
/// [`JsonError`] for everything that is not exactly one such object.
pub(super) fn parse_object(text: &[u8]) -> Result<Map<String, Value>, JsonError> {
    match parse_value(text)? {
        Value::Object(members) => Ok(members),
        _ => Err(JsonError),
    }
}

/// Reads one JSON value, as strictly as [`parse_object`].
///
/// # Errors
/// [`JsonError`].
pub(crate) fn parse_value(text: &[u8]) -> Result<Value, JsonError> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = Strict { depth_left: DEPTH_MAX }.deserialize(&mut deserializer).map_err(|_| JsonError)?;
    deserializer.end().map_err(|_| JsonError)?;
    Ok(value)
}

// One value, with so many levels of nesting still allowed.
#[derive(Clone, Copy)]
struct Strict {
    depth_left: usize,
}

impl Strict {
    fn deeper<E: serde::de::Error>(self) -> Result<Strict, E> {
        match self.depth_left.checked_sub(1) {
            Some(depth_left) => Ok(Strict { depth_left }),
            None => Err(E::custom("nested too deep")),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
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
        let mut members = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            let value = access.next_value_seed(inner)?;
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("a member twice"));
            }
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c8_what_is_not_one_object_is_refused() {
        for text in [
            "",
            " ",
            "null",
            "1",
            "\"a\"",
            "[]",
            "{}{}",
            "{} x",
            "{",
            "{'a':1}",
            "{a:1}",
            "{\"a\":1,}",
            "\u{feff}{}",
            "{\"a\":NaN}",
            "{\"a\":01}",
        ] {
            assert_eq!(parse_object(text.as_bytes()), Err(JsonError), "{text:?}");
        }
        assert_eq!(parse_object(b"{\"a\":\"\xff\"}"), Err(JsonError));
        assert_eq!(parse_object(br#"{"a":"\ud800"}"#), Err(JsonError));
    }

    #[test]
    fn c8_a_member_twice_is_refused_on_every_level_and_in_every_spelling() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":2}"#, r#"{"x":{"a":1,"a":2}}"#, r#"{"x":[{"a":1,"a":2}]}"#]
        {
            assert_eq!(parse_object(text.as_bytes()), Err(JsonError), "{text}");
        }
        assert!(parse_object(br#"{"a":1,"b":{"a":1}}"#).is_ok());
    }

    #[test]
    fn c8_sixteen_levels_are_read_and_seventeen_are_not() {
        let nested = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
        assert!(parse_object(nested(DEPTH_MAX).as_bytes()).is_ok());
        assert_eq!(parse_object(nested(DEPTH_MAX + 1).as_bytes()), Err(JsonError));
        assert_eq!(parse_object(nested(100_000).as_bytes()), Err(JsonError));
    }

    #[test]
    fn numbers_stay_what_they_are_written_as() {
        let read = parse_object(br#" {"i": 1, "n": -1, "f": 1.0, "e": 1e3, "h": 99999999999999999999} "#);
        let kinds = read.map(|members| {
            ["i", "n", "f", "e", "h"]
                .map(|name| members.get(name).is_some_and(|value| value.is_i64() || value.is_u64()))
        });
        assert_eq!(kinds, Ok([true, true, false, false, false]));
    }
}
