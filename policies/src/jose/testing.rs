//! Keys for tests: made anew in each run, so that no test leans on one lucky signature.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PSS_SHA256, RsaKeyPair,
};
use serde_json::{Value, json};

use super::{Algorithm, SignError, Signer, VerifyingKey, base64url};

enum Pair {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
    Ps256(Box<RsaKeyPair>),
}

/// A key pair with a name.
pub(crate) struct TestSigner {
    pair: Pair,
    kid: String,
}

impl TestSigner {
    pub(crate) fn new(algorithm: Algorithm, kid: &str) -> Self {
        let pair = match algorithm {
            Algorithm::Es256 => Pair::Es256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()),
            Algorithm::EdDsa => Pair::EdDsa(Ed25519KeyPair::generate().unwrap()),
            Algorithm::Ps256 => Pair::Ps256(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())),
        };
        Self { pair, kid: kid.to_owned() }
    }

    pub(crate) fn es256(kid: &str) -> Self {
        Self::new(Algorithm::Es256, kid)
    }

    /// The public JWK with nothing but its required members.
    pub(crate) fn bare_jwk(&self) -> Value {
        match &self.pair {
            Pair::Es256(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = (point.get(1..33).unwrap(), point.get(33..65).unwrap());
                json!({ "kty": "EC", "crv": "P-256", "x": base64url(x), "y": base64url(y) })
            }
            Pair::EdDsa(pair) => json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url(pair.public_key().as_ref()) }),
            Pair::Ps256(pair) => {
                let public = pair.public_key();
                let (n, e) = (public.modulus(), public.exponent());
                json!({
                    "kty": "RSA",
                    "n": base64url(n.big_endian_without_leading_zero()),
                    "e": base64url(e.big_endian_without_leading_zero()),
                })
            }
        }
    }

    /// The public key under the signer's name.
    pub(crate) fn verifying_key(&self) -> VerifyingKey {
        let mut jwk = self.bare_jwk();
        jwk.as_object_mut().unwrap().insert("kid".to_owned(), json!(self.kid));
        VerifyingKey::from_jwk(&jwk).unwrap()
    }
}

impl Signer for TestSigner {
    fn algorithm(&self) -> Algorithm {
        match self.pair {
            Pair::Es256(_) => Algorithm::Es256,
            Pair::EdDsa(_) => Algorithm::EdDsa,
            Pair::Ps256(_) => Algorithm::Ps256,
        }
    }

    fn kid(&self) -> &str {
        &self.kid
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Es256(pair) => Ok(pair.sign(&random, message).unwrap().as_ref().to_vec()),
            Pair::EdDsa(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Pair::Ps256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PSS_SHA256, &random, message, &mut signature).unwrap();
                Ok(signature)
            }
        }
    }
}

/// Signs a header and claims that [`encode`](super::encode) would not write.
pub(crate) fn sign_raw(header: &str, claims: &str, signer: &TestSigner) -> String {
    let input = format!("{}.{}", base64url(header.as_bytes()), base64url(claims.as_bytes()));
    let signature = base64url(&signer.sign(input.as_bytes()).unwrap());
    format!("{input}.{signature}")
}
