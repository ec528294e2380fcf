//! Key sets that somebody else publishes (RFC 7517, section 5), read strictly.

use std::collections::BTreeSet;

use serde_json::Value;
use thiserror::Error;

use super::algorithm::Algorithm;
use super::json::{JsonError, parse_object};
use super::key::{KeyError, KeySet, VerifyingKey};

/// The longest published set, in bytes: sixteen RSA keys with their certificates have about 60 KiB.
pub const SET_BYTES_MAX: usize = 64 * 1024;

/// Why a text is not a set of public keys.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SetError {
    /// It is longer than [`SET_BYTES_MAX`].
    #[error("the set is longer than {SET_BYTES_MAX} bytes")]
    TooLong,
    /// It is not one strict JSON object.
    #[error("the set: {0}")]
    NotJson(#[from] JsonError),
    /// It has no `keys`, or something else than a list of objects there.
    #[error("the set has no list of objects under `keys`")]
    NoKeys,
    /// One of its keys makes all of it unfit.
    #[error("the set: {0}")]
    Key(#[from] KeyError),
}

impl KeySet {
    /// Reads a published JWK set (RFC 7517, section 5).
    ///
    /// Keys that could verify nothing here are left out, as RFC 7517 asks: of other types, curves and algorithms, for
    /// encryption, too weak, malformed. A set without any other verifies nothing.
    ///
    /// # Errors
    /// [`SetError`]; a single private or symmetric key refuses the whole set, since whoever published it has lost control
    /// of it, and so do a key id that stands twice and more than [`KEYS_MAX`](super::KEYS_MAX) keys that verify.
    pub fn read(text: &[u8]) -> Result<Self, SetError> {
        if text.len() > SET_BYTES_MAX {
            return Err(SetError::TooLong);
        }
        let members = parse_object(text)?;
        let Some(Value::Array(listed)) = members.get("keys") else { return Err(SetError::NoKeys) };
        let mut keys = Vec::new();
        for jwk in listed {
            match VerifyingKey::from_jwk(jwk) {
                Ok(key) => keys.push(key),
                Err(KeyError::NotAnObject) => return Err(SetError::NoKeys),
                Err(error @ KeyError::Private(_)) => return Err(error.into()),
                Err(_) => {}
            }
        }
        Ok(Self::new(keys)?)
    }

    /// Returns the keys of these algorithms.
    #[must_use]
    pub fn only(&self, algorithms: &BTreeSet<Algorithm>) -> Self {
        if self.iter().all(|key| algorithms.contains(&key.algorithm())) {
            return self.clone();
        }
        let keys = self.iter().filter(|key| algorithms.contains(&key.algorithm())).cloned().collect();
        Self::new(keys).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use serde_json::json;

    use super::*;
    use crate::jose::KEYS_MAX;

    fn es256(kid: &str) -> Value {
        let (x, y) = ("l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs", "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA");
        json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": kid})
    }

    fn with(mut jwk: Value, name: &str, value: Value) -> Value {
        jwk.as_object_mut().unwrap().insert(name.to_owned(), value);
        jwk
    }

    fn read(keys: &[Value]) -> Result<KeySet, SetError> {
        KeySet::read(json!({ "keys": keys }).to_string().as_bytes())
    }

    #[test]
    fn c14_what_is_no_set_is_refused() {
        for text in [
            "",
            "[]",
            "{}",
            "<html>",
            r#"{"keys":null}"#,
            r#"{"keys":{}}"#,
            r#"{"keys":"a"}"#,
            r#"{"keys":[1]}"#,
            r#"{"keys":[[]]}"#,
            r#"{"keys":[null]}"#,
        ] {
            assert!(KeySet::read(text.as_bytes()).is_err(), "{text}");
        }
        assert!(matches!(KeySet::read(br#"{"keys":[],"keys":[]}"#), Err(SetError::NotJson(_))));
    }

    #[test]
    fn c14_a_private_or_symmetric_key_refuses_the_whole_set() {
        for (name, value) in [("d", json!("AA")), ("p", json!("AA")), ("k", json!("AA"))] {
            let found = read(&[es256("a"), with(es256("b"), name, value)]);
            assert!(matches!(found, Err(SetError::Key(KeyError::Private(_)))), "{name}");
        }
        let symmetric = json!({"kty": "oct", "k": "c2VjcmV0"});
        assert!(matches!(read(&[es256("a"), symmetric]), Err(SetError::Key(KeyError::Private("k")))));
    }

    #[test]
    fn c14_a_key_id_twice_and_too_many_keys_are_refused() {
        assert!(matches!(read(&[es256("a"), es256("a")]), Err(SetError::Key(KeyError::DuplicateKid(_)))));
        let many = |count: usize| (0..count).map(|number| es256(&number.to_string())).collect::<Vec<_>>();
        assert_eq!(read(&many(KEYS_MAX)).unwrap().iter().count(), KEYS_MAX);
        assert_eq!(read(&many(KEYS_MAX + 1)).err(), Some(SetError::Key(KeyError::TooMany)));
    }

    #[test]
    fn c14_a_set_of_64_kib_is_read_and_a_longer_one_is_not() {
        let of = |bytes: usize| {
            let mut text = json!({ "keys": [es256("a")] }).to_string();
            text.push_str(&" ".repeat(bytes - text.len()));
            text
        };
        assert!(KeySet::read(of(SET_BYTES_MAX).as_bytes()).is_ok());
        assert_eq!(KeySet::read(of(SET_BYTES_MAX + 1).as_bytes()).err(), Some(SetError::TooLong));
    }

    #[test]
    fn c10_keys_that_verify_nothing_here_are_left_out() {
        let others = [
            with(es256("enc"), "use", json!("enc")),
            with(es256("sign"), "key_ops", json!(["sign"])),
            with(es256("alg"), "alg", json!("ES384")),
            with(es256("crv"), "crv", json!("P-384")),
            with(es256("kid"), "kid", json!(7)),
            json!({"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "weak"}),
            json!({"kty": "new", "kid": "unknown"}),
            json!({"kid": "nothing"}),
        ];
        let mut listed = others.to_vec();
        assert!(read(&listed).unwrap().is_empty());
        // The id of one that is left out takes nothing from the one that stays.
        listed.push(es256("enc"));
        let set = read(&listed).unwrap();
        assert_eq!(set.iter().filter_map(VerifyingKey::kid).collect::<Vec<_>>(), ["enc"]);
    }

    #[test]
    fn c6_only_keys_of_the_named_algorithms_stay() {
        let ed25519 =
            json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "ed"});
        let set = read(&[es256("es"), ed25519]).unwrap();
        let kids = |algorithms: &[Algorithm]| {
            let only = set.only(&algorithms.iter().copied().collect());
            only.iter().filter_map(VerifyingKey::kid).map(str::to_owned).collect::<Vec<_>>()
        };
        assert!(kids(&[]).is_empty());
        assert!(kids(&[Algorithm::Ps256]).is_empty());
        assert_eq!(kids(&[Algorithm::Es256]), ["es"]);
        assert_eq!(kids(&[Algorithm::Es256, Algorithm::EdDsa]), ["es", "ed"]);
    }
}
