//! Private keys of development clients, as JWKs: only the sandbox makes keys for others.

use aws_lc_rs::encoding::AsBigEndian as _;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use policies::code::Outage;
use policies::jose::{Algorithm, base64url};
use serde_json::{Value, json};

/// Makes a private JWK with `kid` and `alg` for ES256 or EdDSA.
///
/// # Errors
/// An outage of port `keys` for another algorithm, or if no key can be made.
pub fn private_jwk(algorithm: Algorithm, kid: &str) -> Result<Value, Outage> {
    let failed = |_| Outage::new("keys", "a key pair could not be made");
    match algorithm {
        Algorithm::Es256 => {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(failed)?;
            let secret = pair.private_key().as_be_bytes().map_err(failed)?;
            // 0x04, then the two coordinates (SEC 1, 2.3.3).
            let point = pair.public_key().as_ref().get(1..).and_then(|point| point.split_at_checked(32));
            let (x, y) = point.ok_or_else(|| Outage::new("keys", "a public key has an unknown form"))?;
            Ok(json!({
                "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": kid,
                "x": base64url(x), "y": base64url(y), "d": base64url(secret.as_ref()),
            }))
        }
        Algorithm::EdDsa => {
            let pair = Ed25519KeyPair::generate().map_err(failed)?;
            let seed = pair.seed().map_err(failed)?.as_be_bytes().map_err(failed)?;
            Ok(json!({
                "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid,
                "x": base64url(pair.public_key().as_ref()), "d": base64url(seed.as_ref()),
            }))
        }
        Algorithm::Ps256 => Err(Outage::new("keys", "development clients have ES256 or EdDSA keys")),
    }
}

/// Leaves of a private JWK what may be published.
#[must_use]
pub fn public_part(private: &Value) -> Value {
    let mut public = private.clone();
    if let Some(members) = public.as_object_mut() {
        members.remove("d");
    }
    public
}
