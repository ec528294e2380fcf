#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::fs;

use policies::jose::{CompactJws, encode};
use serde_json::json;

use super::*;
use crate::files::private_directory;
use crate::files::testing::{Scratch, mode};

#[test]
fn what_is_no_key_is_refused_without_showing_it() {
    for document in [
        b"".as_slice(),
        b"secret",
        b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n",
        b"\x30\x03\x02\x01\x00",
    ] {
        let outage = SigningKey::from_pkcs8(document).unwrap_err();
        assert_eq!(outage.cause, "no PKCS#8 key for ES256 or EdDSA");
    }
    let outage = SigningKey::generate(Algorithm::Ps256).unwrap_err();
    assert!(outage.cause.contains("PS256"));
}

#[test]
fn a_key_of_another_curve_is_refused() {
    let pair = EcdsaKeyPair::generate(&aws_lc_rs::signature::ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    assert!(SigningKey::from_pkcs8(pair.to_pkcs8v1().unwrap().as_ref()).is_err());
}

#[test]
fn a_key_survives_its_file() {
    let scratch = Scratch::new();
    private_directory(&scratch.0).unwrap();
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        let path = scratch.0.join(format!("{algorithm}.pem"));
        assert!(SigningKey::load(&path).unwrap().is_none());
        let key = SigningKey::generate(algorithm).unwrap();
        key.save(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
        let loaded = SigningKey::load(&path).unwrap().unwrap();
        assert_eq!(loaded.verifying_key(), key.verifying_key());
        let raw = encode("JWT", &json!({"a": 1}), None, &loaded).unwrap();
        let jws = CompactJws::parse(&raw, 4096).unwrap();
        assert_eq!((jws.algorithm(), jws.kid()), (algorithm, Some(key.kid())));
        assert!(jws.verify_with(key.verifying_key()).is_ok());
        let pem = fs::read_to_string(&path).unwrap();
        assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----\n") && pem.ends_with("\n-----END PRIVATE KEY-----\n"));
        assert!(pem.lines().all(|line| line.len() <= 64));
        // DER is read as well.
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).unwrap();
        assert_eq!(SigningKey::from_pkcs8(der.secret_pkcs8_der()).unwrap().verifying_key(), key.verifying_key());
    }
}

#[test]
fn a_key_is_named_by_its_thumbprint_and_shows_nothing_private() {
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    assert_eq!(key.kid(), key.verifying_key().thumbprint().as_str());
    assert_eq!(key.verifying_key().kid(), Some(key.kid()));
    let shown = format!("{key:?}");
    assert!(shown.contains(key.kid()) && !shown.contains("pair"), "{shown}");
}
