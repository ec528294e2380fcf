#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{RSA_PSS_SHA256, RsaKeyPair};
use jsonwebtoken::{Header, Validation, decode, encode};
use policies::jose;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};

use super::*;
use crate::files::testing::Scratch;
use crate::files::{private_directory, read_private};

#[derive(Serialize, Deserialize)]
struct Told {
    sub: String,
    exp: u64,
}

fn encoding_key(key: &SigningKey, algorithm: Algorithm) -> EncodingKey {
    let scratch = Scratch::new();
    private_directory(&scratch.0).unwrap();
    let path = scratch.0.join("key");
    key.save(&path).unwrap();
    let pem = read_private(&path).unwrap().unwrap();
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem.expose()).unwrap();
    match algorithm {
        Algorithm::EdDSA => EncodingKey::from_ed_der(der.secret_pkcs8_der()),
        _ => EncodingKey::from_ec_der(der.secret_pkcs8_der()),
    }
}

fn decoding_key(key: &VerifyingKey) -> DecodingKey {
    DecodingKey::from_jwk(&serde_json::from_value(key.to_jwk()).unwrap()).unwrap()
}

#[test]
fn c5_algorithms_outside_the_list_neither_sign_nor_verify() {
    let secret = (EncodingKey::from_secret(&[7; 32]), DecodingKey::from_secret(&[7; 32]));
    for algorithm in [
        Algorithm::HS256,
        Algorithm::HS384,
        Algorithm::HS512,
        Algorithm::RS256,
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS384,
        Algorithm::PS512,
        Algorithm::ES384,
    ] {
        assert!((provider().signer_factory)(&algorithm, &secret.0).is_err(), "{algorithm:?}");
        assert!((provider().verifier_factory)(&algorithm, &secret.1).is_err(), "{algorithm:?}");
    }
}

#[test]
fn c6_a_key_of_one_kind_does_not_serve_another() {
    let (ec, ed) =
        (SigningKey::generate(jose::Algorithm::Es256).unwrap(), SigningKey::generate(jose::Algorithm::EdDsa).unwrap());
    for (key, own, other) in [(&ec, Algorithm::ES256, Algorithm::EdDSA), (&ed, Algorithm::EdDSA, Algorithm::ES256)] {
        let (private, public) = (encoding_key(key, own), decoding_key(key.verifying_key()));
        assert!((provider().signer_factory)(&other, &private).is_err());
        assert!((provider().verifier_factory)(&other, &public).is_err());
        assert!((provider().verifier_factory)(&Algorithm::HS256, &public).is_err());
        assert_eq!((provider().signer_factory)(&own, &private).unwrap().algorithm(), own);
    }
    for broken in
        [DecodingKey::from_ec_der(&[]), DecodingKey::from_ec_der(&[4; 65]), DecodingKey::from_ec_der(&[2; 33])]
    {
        assert!((provider().verifier_factory)(&Algorithm::ES256, &broken).is_err());
    }
    assert!((provider().verifier_factory)(&Algorithm::EdDSA, &DecodingKey::from_ed_der(&[0; 32])).is_err());
}

#[test]
fn the_library_signs_and_verifies_through_our_keys() {
    assert!(install());
    assert!(install(), "again is no fault");
    for (ours, theirs) in [(jose::Algorithm::Es256, Algorithm::ES256), (jose::Algorithm::EdDsa, Algorithm::EdDSA)] {
        let key = SigningKey::generate(ours).unwrap();
        let told = Told { sub: "me".to_owned(), exp: 253_402_300_799 };
        let raw = encode(&Header::new(theirs), &told, &encoding_key(&key, theirs)).unwrap();
        // Theirs by ours, and by theirs.
        let jws = jose::CompactJws::parse(&raw, 4096).unwrap();
        assert_eq!(jws.verify_with(key.verifying_key()).unwrap().string("sub"), Ok(Some("me")));
        let read = decode::<Told>(&raw, &decoding_key(key.verifying_key()), &Validation::new(theirs)).unwrap();
        assert_eq!(read.claims.sub, "me");
        let stranger = SigningKey::generate(ours).unwrap();
        assert!(decode::<Told>(&raw, &decoding_key(stranger.verifying_key()), &Validation::new(theirs)).is_err());
    }
}

#[test]
fn rsa_keys_verify_ps256_from_2048_bits_on() {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PSS_SHA256, &aws_lc_rs::rand::SystemRandom::new(), b"message", &mut signature).unwrap();
    let public = aws_lc_rs::signature::KeyPair::public_key(&pair);
    let (n, e) = (public.modulus(), public.exponent());
    let key =
        DecodingKey::from_rsa_raw_components(n.big_endian_without_leading_zero(), e.big_endian_without_leading_zero());
    let verifier = (provider().verifier_factory)(&Algorithm::PS256, &key).unwrap();
    assert!(verifier.verify(b"massage", &signature).is_err());
    assert!(verifier.verify(b"message", &signature).is_ok());
    let small = DecodingKey::from_rsa_raw_components(&[0xff; 128], &[1, 0, 1]);
    assert!((provider().verifier_factory)(&Algorithm::PS256, &small).is_err());
}
