//! The members of a signed object, asked for by name and exact type.

use serde_json::{Map, Value};
use thiserror::Error;

use super::json::{JsonError, parse_object};
use crate::time::Timestamp;

/// The last second that a claim may tell, the end of the year 9999: what lies behind is a mistake or an attack.
pub const INSTANT_SECONDS_MAX: i64 = 253_402_300_799;

/// The longest `jti`, in characters: more entropy than any generator gives, and small in a store key.
pub const JTI_CHARACTERS_MAX: usize = 128;

/// Why a claim was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ClaimError {
    /// It is not there.
    #[error("the claim `{0}` is missing")]
    Missing(&'static str),
    /// It is there with another JSON type; `null` and a float count as such.
    #[error("the claim `{0}` has the wrong type")]
    WrongType(&'static str),
    /// It has the right type and an impossible value.
    #[error("the claim `{0}` is out of range")]
    OutOfRange(&'static str),
}

/// The members of a JSON object that came inside a signed object.
///
/// Whether the signature was checked is told by where the value came from: [`CompactJws::peek`](super::CompactJws::peek)
/// lends unbelieved claims, [`CompactJws::verify_with`](super::CompactJws::verify_with) gives believed ones.
#[derive(Debug, Clone, PartialEq)]
pub struct Claims(Map<String, Value>);

impl Claims {
    /// Reads claims from JSON text.
    ///
    /// # Errors
    /// [`JsonError`] unless it is one object without doubled members, at most [`DEPTH_MAX`](super::DEPTH_MAX) deep.
    pub fn parse(text: &[u8]) -> Result<Self, JsonError> {
        parse_object(text).map(Self)
    }

    /// Tells whether a member is there, of whatever type.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Returns a member that has to be there, of whatever type: for who reads its shape strictly.
    ///
    /// # Errors
    /// [`ClaimError::Missing`].
    pub fn required(&self, name: &'static str) -> Result<&Value, ClaimError> {
        self.0.get(name).ok_or(ClaimError::Missing(name))
    }

    /// Returns a member that has to be a string, if it is there.
    ///
    /// # Errors
    /// [`ClaimError::WrongType`] for every other JSON type, `null` included.
    pub fn string(&self, name: &'static str) -> Result<Option<&str>, ClaimError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(ClaimError::WrongType(name)),
        }
    }

    /// Returns a string that has to be there.
    ///
    /// # Errors
    /// [`ClaimError::Missing`] or [`ClaimError::WrongType`].
    pub fn required_string(&self, name: &'static str) -> Result<&str, ClaimError> {
        self.string(name)?.ok_or(ClaimError::Missing(name))
    }

    /// Returns the `jti`, 1 to [`JTI_CHARACTERS_MAX`] characters.
    ///
    /// # Errors
    /// [`ClaimError`] if it is missing, no string, empty or too long.
    pub fn jti(&self) -> Result<&str, ClaimError> {
        let jti = self.required_string("jti")?;
        // The cheap bound first: a text of more bytes than four per character is too long whatever it holds.
        if jti.is_empty() || jti.len() > JTI_CHARACTERS_MAX * 4 || jti.chars().count() > JTI_CHARACTERS_MAX {
            return Err(ClaimError::OutOfRange("jti"));
        }
        Ok(jti)
    }

    /// Returns a member that has to be an integer, if it is there.
    ///
    /// # Errors
    /// [`ClaimError::WrongType`] for every other JSON type; a float counts as one, even `1.0`;
    /// [`ClaimError::OutOfRange`] if it does not fit 64 bits.
    pub fn integer(&self, name: &'static str) -> Result<Option<i64>, ClaimError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::Number(number)) if number.is_f64() => Err(ClaimError::WrongType(name)),
            Some(Value::Number(number)) => number.as_i64().map(Some).ok_or(ClaimError::OutOfRange(name)),
            Some(_) => Err(ClaimError::WrongType(name)),
        }
    }

    /// Returns a truth value that has to be there.
    ///
    /// # Errors
    /// [`ClaimError::Missing`], and [`ClaimError::WrongType`] for every other JSON type: `"true"` and `1` are not true.
    pub fn required_boolean(&self, name: &'static str) -> Result<bool, ClaimError> {
        match self.0.get(name) {
            None => Err(ClaimError::Missing(name)),
            Some(Value::Bool(value)) => Ok(*value),
            Some(_) => Err(ClaimError::WrongType(name)),
        }
    }

    /// Returns a point in time in whole seconds since the epoch, if it is there.
    ///
    /// # Errors
    /// As [`Claims::integer`]; [`ClaimError::OutOfRange`] before the epoch or after [`INSTANT_SECONDS_MAX`].
    pub fn instant(&self, name: &'static str) -> Result<Option<Timestamp>, ClaimError> {
        match self.integer(name)? {
            None => Ok(None),
            Some(seconds @ 0..=INSTANT_SECONDS_MAX) => Ok(Some(Timestamp::from_seconds(seconds))),
            Some(_) => Err(ClaimError::OutOfRange(name)),
        }
    }

    /// Returns a point in time that has to be there.
    ///
    /// # Errors
    /// As [`Claims::instant`], and [`ClaimError::Missing`].
    pub fn required_instant(&self, name: &'static str) -> Result<Timestamp, ClaimError> {
        self.instant(name)?.ok_or(ClaimError::Missing(name))
    }

    /// Returns a member that has to be an object, if it is there.
    ///
    /// # Errors
    /// [`ClaimError::WrongType`] for every other JSON type.
    pub fn object(&self, name: &'static str) -> Result<Option<&Map<String, Value>>, ClaimError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::Object(members)) => Ok(Some(members)),
            Some(_) => Err(ClaimError::WrongType(name)),
        }
    }

    /// Returns a member that has to be an array of strings, if it is there.
    ///
    /// # Errors
    /// [`ClaimError::WrongType`] for every other shape.
    pub fn strings(&self, name: &'static str) -> Result<Option<Vec<&str>>, ClaimError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::Array(items)) => {
                items.iter().map(Value::as_str).collect::<Option<Vec<_>>>().map(Some).ok_or(ClaimError::WrongType(name))
            }
            Some(_) => Err(ClaimError::WrongType(name)),
        }
    }

    /// Tells whether `aud` is exactly this one JSON string; an array never is, even of one.
    ///
    /// # Errors
    /// [`ClaimError`] if `aud` is missing or no string.
    pub fn audience_is(&self, expected: &str) -> Result<bool, ClaimError> {
        Ok(self.required_string("aud")? == expected)
    }

    /// Tells whether `aud` is this string or an array of strings that holds it.
    ///
    /// # Errors
    /// [`ClaimError`] if `aud` is missing, or neither a string nor an array of strings.
    pub fn audience_contains(&self, expected: &str) -> Result<bool, ClaimError> {
        match self.0.get("aud") {
            None => Err(ClaimError::Missing("aud")),
            Some(Value::String(text)) => Ok(text == expected),
            Some(_) => Ok(self.strings("aud")?.is_some_and(|all| all.contains(&expected))),
        }
    }
}

#[cfg(test)]
#[path = "claims_tests.rs"]
mod tests;
