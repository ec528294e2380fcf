//! What a client signs: assertions of who it is, and proofs of the key it holds.

use std::fmt;

use adapters::clock::Clock;
use adapters::entropy;
use adapters::keys::SigningKey;
use policies::jose::{self, Algorithm, SignError, Signer};
use policies::secret::Secret;
use serde_json::{Value, json};

// How long an assertion is good for; it is used at once.
const ASSERTION_SECONDS: i64 = 60;

/// The private key that a client of the sandbox signs its assertions with.
pub(crate) struct ClientKey {
    kid: String,
    key: SigningKey,
}

impl ClientKey {
    /// Reads a private JWK: P-256 (`d`, `x`, `y`) or Ed25519 (`d`), with its `kid`.
    ///
    /// # Errors
    /// A sentence for people that holds nothing of the key.
    pub(crate) fn from_jwk(jwk: &Value) -> Result<Self, String> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str).unwrap_or_default();
        let bytes = |name: &str| Secret::new(jose::base64url_decode_strict(text(name)).unwrap_or_default());
        let private = bytes("d");
        let document = match (text("kty"), text("crv")) {
            ("EC", "P-256") => {
                [P256_HEAD, private.expose(), P256_MIDDLE, bytes("x").expose(), bytes("y").expose()].concat()
            }
            ("OKP", "Ed25519") => [ED25519_HEAD, private.expose()].concat(),
            _ => return Err("A private key of the sandbox is neither P-256 nor Ed25519.".to_owned()),
        };
        let key = SigningKey::from_pkcs8(Secret::new(document).expose()).map_err(|outage| outage.to_string())?;
        let kid = text("kid");
        let kid = if kid.is_empty() { key.kid() } else { kid }.to_owned();
        Ok(Self { kid, key })
    }
}

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl Signer for ClientKey {
    fn algorithm(&self) -> Algorithm {
        self.key.algorithm()
    }

    fn kid(&self) -> &str {
        &self.kid
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.key.sign(message)
    }
}

// What stands around the numbers of a key in PKCS#8 (RFC 5208, RFC 5915, RFC 8410): the lengths are fixed, so the
// documents are these bytes and the numbers between them.
const P256_HEAD: &[u8] = &[
    0x30, 0x81, 0x87, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08,
    0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x6d, 0x30, 0x6b, 0x02, 0x01, 0x01, 0x04, 0x20,
];
const P256_MIDDLE: &[u8] = &[0xa1, 0x44, 0x03, 0x42, 0x00, 0x04];
const ED25519_HEAD: &[u8] =
    &[0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// Signs a client assertion (RFC 7523) for one use; the audience is the issuer, as one string (FAPI 2.0).
///
/// # Errors
/// A sentence for people if the key cannot sign.
pub(crate) fn assertion(key: &dyn Signer, client: &str, issuer: &str) -> Result<String, String> {
    let now = Clock::system().now().seconds();
    let claims = json!({
        "iss": client,
        "sub": client,
        "aud": issuer,
        "iat": now,
        "exp": now + ASSERTION_SECONDS,
        "jti": entropy::token_128bit(),
    });
    jose::encode("client-authentication+jwt", &claims, None, key).map_err(|error| error.to_string())
}

/// Signs a DPoP proof (RFC 9449) for one request; `target` is its URL without query, `nonce` what the server asked for.
///
/// # Errors
/// A sentence for people if the key cannot sign.
pub(crate) fn proof(
    key: &SigningKey,
    method: &str,
    target: &str,
    token: Option<&str>,
    nonce: Option<&str>,
) -> Result<String, String> {
    let mut claims = json!({
        "jti": entropy::token_128bit(),
        "htm": method,
        "htu": target,
        "iat": Clock::system().now().seconds(),
    });
    if let (Some(token), Some(members)) = (token, claims.as_object_mut()) {
        members.insert("ath".to_owned(), json!(jose::base64url(&jose::sha256(token.as_bytes()))));
    }
    if let (Some(nonce), Some(members)) = (nonce, claims.as_object_mut()) {
        members.insert("nonce".to_owned(), json!(nonce));
    }
    let mut public = key.verifying_key().to_jwk();
    if let Some(members) = public.as_object_mut() {
        // A proof carries the key itself, so a name for it says nothing.
        members.retain(|name, _| matches!(name.as_str(), "kty" | "crv" | "x" | "y"));
    }
    jose::encode("dpop+jwt", &claims, Some(public), key).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use policies::jose::{CompactJws, VerifyingKey};

    use super::*;

    // RFC 8037, appendix A.1; RFC 7515, appendix A.3.
    const ED25519: &str = r#"{"kty":"OKP","crv":"Ed25519","kid":"ed","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
        "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwaaPJIURo"}"#;
    const P256: &str = r#"{"kty":"EC","crv":"P-256","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
        "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;

    fn jwk(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_key_that_is_none_is_refused_without_showing_it() {
        for (name, value) in [("d", json!("AAAA")), ("d", json!(1)), ("crv", json!("P-521")), ("x", json!("f83O"))] {
            let mut broken = jwk(P256);
            broken.as_object_mut().unwrap().insert(name.to_owned(), value);
            let error = ClientKey::from_jwk(&broken).unwrap_err();
            assert!(!error.contains("jpsQ"), "{error}");
        }
    }

    #[test]
    fn an_assertion_verifies_with_the_public_half_of_the_jwk() {
        for text in [P256, ED25519] {
            let mut public = jwk(text);
            let key = ClientKey::from_jwk(&public).unwrap();
            public.as_object_mut().unwrap().remove("d");
            public
                .as_object_mut()
                .unwrap()
                .insert("x".to_owned(), key.key.verifying_key().to_jwk().pointer("/x").cloned().unwrap());
            let raw = assertion(&key, "demo", "https://gate.example").unwrap();
            let jws = CompactJws::parse(&raw, 4096).unwrap();
            assert_eq!(jws.kid(), Some(key.kid()));
            let claims = jws.verify_with(&VerifyingKey::from_jwk(&public).unwrap()).unwrap();
            assert!(claims.audience_is("https://gate.example").unwrap());
        }
        assert_eq!(ClientKey::from_jwk(&jwk(ED25519)).unwrap().kid(), "ed");
    }

    #[test]
    fn a_proof_names_its_request_and_carries_no_private_member() {
        let key = SigningKey::generate(Algorithm::Es256).unwrap();
        let raw = proof(&key, "GET", "https://gate.example/v1/accounts", Some("token"), Some("n")).unwrap();
        let jws = CompactJws::parse(&raw, 4096).unwrap();
        let (public, claims) = jws.verify_with_embedded().unwrap();
        assert_eq!(public.thumbprint(), key.verifying_key().thumbprint());
        assert_eq!(claims.required_string("nonce").unwrap(), "n");
        assert_eq!(claims.required_string("htu").unwrap(), "https://gate.example/v1/accounts");
        assert_eq!(claims.required_string("ath").unwrap(), jose::base64url(&jose::sha256(b"token")));
    }
}
