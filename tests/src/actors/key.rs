//! Keys that sign, by `aws-lc-rs` alone; and those of the gateway, for what only it could forge.

use std::sync::Arc;

use adapters::keys::Keyring;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use policies::jose::Signer as _;
use serde_json::{Value, json};

/// A private key.
#[derive(Debug)]
pub enum Key {
    /// P-256.
    Es256(EcdsaKeyPair),
    /// Ed25519.
    Ed25519(Ed25519KeyPair),
    /// The one that a gateway signs with: on the disk it is sealed.
    Gateway(Arc<Keyring>),
}

/// Writes bytes in base64url without padding.
#[must_use]
pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Hashes bytes with SHA-256.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest(&SHA256, bytes).as_ref().to_vec()
}

impl Key {
    /// Makes a new P-256 key.
    #[must_use]
    pub fn es256() -> Self {
        Key::Es256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    /// Makes a new Ed25519 key.
    #[must_use]
    pub fn ed25519() -> Self {
        Key::Ed25519(Ed25519KeyPair::generate().unwrap())
    }

    /// Reads a private JWK.
    #[must_use]
    pub fn from_jwk(jwk: &Value) -> Self {
        let part = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
        if jwk["kty"] == "OKP" {
            return Key::Ed25519(Ed25519KeyPair::from_seed_and_public_key(&part("d"), &part("x")).unwrap());
        }
        let point = [vec![4], part("x"), part("y")].concat();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        Key::Es256(EcdsaKeyPair::from_private_key_and_public_key(algorithm, &part("d"), &point).unwrap())
    }

    /// Returns the same key once more.
    #[must_use]
    pub fn copy(&self) -> Self {
        match self {
            Key::Es256(pair) => {
                let document = pair.to_pkcs8v1().unwrap();
                Key::Es256(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref()).unwrap())
            }
            Key::Ed25519(pair) => {
                Key::Ed25519(Ed25519KeyPair::from_pkcs8(pair.to_pkcs8v1().unwrap().as_ref()).unwrap())
            }
            Key::Gateway(keyring) => Key::Gateway(Arc::clone(keyring)),
        }
    }

    /// Returns the name of its algorithm.
    #[must_use]
    pub fn algorithm(&self) -> &'static str {
        match self {
            Key::Es256(_) | Key::Gateway(_) => "ES256",
            Key::Ed25519(_) => "EdDSA",
        }
    }

    /// Returns its public JWK: the members that a thumbprint covers, nothing more.
    #[must_use]
    pub fn public_jwk(&self) -> Value {
        match self {
            Key::Es256(pair) => {
                let (x, y) = pair.public_key().as_ref().strip_prefix(&[4]).unwrap().split_at(32);
                json!({"kty": "EC", "crv": "P-256", "x": base64url(x), "y": base64url(y)})
            }
            Key::Gateway(keyring) => {
                let jwk = keyring.signer().verifying_key().to_jwk();
                json!({"kty": jwk["kty"], "crv": jwk["crv"], "x": jwk["x"], "y": jwk["y"]})
            }
            Key::Ed25519(pair) => json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(pair.public_key().as_ref())}),
        }
    }

    /// Returns its thumbprint (RFC 7638).
    #[must_use]
    pub fn thumbprint(&self) -> String {
        let jwk = self.public_jwk();
        let text = match self {
            Key::Es256(_) | Key::Gateway(_) => {
                format!(r#"{{"crv":"P-256","kty":"EC","x":{},"y":{}}}"#, jwk["x"], jwk["y"])
            }
            Key::Ed25519(_) => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":{}}}"#, jwk["x"]),
        };
        base64url(&sha256(text.as_bytes()))
    }

    /// Signs.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Key::Es256(pair) => pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Key::Gateway(keyring) => keyring.signer().sign(message).unwrap(),
            Key::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }
}
