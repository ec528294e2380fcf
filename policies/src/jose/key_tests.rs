#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use super::super::testing::TestSigner;
use super::*;

// RFC 9449, section 6.1: the key of its examples.
fn rfc_9449_key() -> Value {
    json!({
        "kty": "EC", "crv": "P-256",
        "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
        "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
    })
}

// RFC 7638, section 3.1, without the key id and algorithm, which is RS256 there.
fn rfc_7638_key() -> Value {
    json!({
        "kty": "RSA",
        "n": concat!(
            "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3",
            "oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdA",
            "ZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-",
            "kEgU8awapJzKnqDKgw",
        ),
        "e": "AQAB",
    })
}

fn with(mut jwk: Value, name: &str, value: Value) -> Value {
    jwk.as_object_mut().unwrap().insert(name.to_owned(), value);
    jwk
}

fn without(mut jwk: Value, name: &str) -> Value {
    jwk.as_object_mut().unwrap().remove(name);
    jwk
}

fn refusal(jwk: &Value) -> KeyError {
    VerifyingKey::from_jwk(jwk).unwrap_err()
}

#[test]
fn rs23_private_and_symmetric_members_are_refused() {
    for jwk in [rfc_9449_key(), rfc_7638_key(), TestSigner::new(Algorithm::EdDsa, "k").bare_jwk()] {
        for name in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
            assert_eq!(refusal(&with(jwk.clone(), name, json!("AQ"))), KeyError::Private(name));
            assert_eq!(refusal(&with(jwk.clone(), name, json!(null))), KeyError::Private(name));
        }
    }
    assert_eq!(refusal(&json!({"kty": "oct", "k": "c2VjcmV0"})), KeyError::Private("k"));
    assert_eq!(refusal(&json!({"kty": "oct"})), KeyError::Unsupported);
}

#[test]
fn c6_a_key_has_one_algorithm_and_its_own() {
    let (ec, rsa, ed) = (rfc_9449_key(), rfc_7638_key(), TestSigner::new(Algorithm::EdDsa, "k").bare_jwk());
    for (jwk, own) in [(ec, vec!["ES256"]), (rsa, vec!["PS256"]), (ed, vec!["EdDSA", "Ed25519"])] {
        for name in ["ES256", "PS256", "EdDSA", "Ed25519", "RS256", "ES384", "HS256", "none", ""] {
            let read = VerifyingKey::from_jwk(&with(jwk.clone(), "alg", json!(name)));
            assert_eq!(read.is_ok(), own.contains(&name), "{jwk} {name}");
        }
        assert_eq!(refusal(&with(jwk.clone(), "alg", json!(7))), KeyError::BadMember("alg"));
        assert!(VerifyingKey::from_jwk(&jwk).is_ok());
    }
}

#[test]
fn c10_a_key_that_is_not_for_verifying_is_refused() {
    let key = rfc_9449_key();
    for purpose in ["enc", "", "SIG", "anything"] {
        assert_eq!(refusal(&with(key.clone(), "use", json!(purpose))), KeyError::WrongUse, "{purpose}");
    }
    for operations in [json!([]), json!(["sign"]), json!(["encrypt", "wrapKey"])] {
        assert_eq!(refusal(&with(key.clone(), "key_ops", operations)), KeyError::WrongUse);
    }
    for operations in [json!("verify"), json!([1, "verify"]), json!(null)] {
        assert_eq!(refusal(&with(key.clone(), "key_ops", operations)), KeyError::BadMember("key_ops"));
    }
    assert!(VerifyingKey::from_jwk(&with(with(key, "use", json!("sig")), "key_ops", json!(["verify"]))).is_ok());
}

#[test]
fn c7_types_and_curves_outside_the_list_are_refused() {
    for (kty, crv) in [
        ("EC", "P-384"),
        ("EC", "P-521"),
        ("EC", "secp256k1"),
        ("EC", "P-224"),
        ("OKP", "Ed448"),
        ("OKP", "X25519"),
        ("EC", "Ed25519"),
        ("OKP", "P-256"),
        ("ec", "P-256"),
    ] {
        let key = with(with(rfc_9449_key(), "kty", json!(kty)), "crv", json!(crv));
        assert_eq!(refusal(&key), KeyError::Unsupported, "{kty} {crv}");
    }
}

#[test]
fn rs23_a_point_off_the_curve_is_refused() {
    // One bit of y is another.
    let off = with(rfc_9449_key(), "y", json!("9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDE"));
    assert!(matches!(refusal(&off), KeyError::BadMember("y") | KeyError::Invalid));
    let off = with(rfc_9449_key(), "y", json!(base64url(&[1; 32])));
    assert_eq!(refusal(&off), KeyError::Invalid);
    let origin = with(with(rfc_9449_key(), "x", json!(base64url(&[0; 32]))), "y", json!(base64url(&[0; 32])));
    assert_eq!(refusal(&origin), KeyError::Invalid);
}

#[test]
fn coordinates_have_their_full_length_and_no_more() {
    for bytes in [vec![], vec![1; 31], vec![1; 33], vec![0; 65]] {
        assert_eq!(refusal(&with(rfc_9449_key(), "x", json!(base64url(&bytes)))), KeyError::BadMember("x"));
        let ed = json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(&bytes)});
        assert_eq!(refusal(&ed), KeyError::BadMember("x"));
    }
    assert_eq!(
        refusal(&with(rfc_9449_key(), "x", json!("l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs="))),
        KeyError::BadMember("x")
    );
    for name in ["kty", "crv", "x", "y"] {
        assert_eq!(refusal(&without(rfc_9449_key(), name)), KeyError::BadMember(name));
        assert_eq!(refusal(&with(rfc_9449_key(), name, json!(1))), KeyError::BadMember(name));
    }
}

#[test]
fn c7_points_that_anybody_signs_for_are_refused() {
    let mut points = vec![[0; 32]];
    for first in [0x01, 0xec, 0xed, 0xee] {
        let mut point = if first == 0x01 { [0; 32] } else { [0xff; 32] };
        *point.first_mut().unwrap() = first;
        *point.last_mut().unwrap() &= 0x7f;
        points.push(point);
    }
    for text in ["JuiVj8KyJ7BFw_SJ8u-Y8NXfrAXTxjM5sTgCiG1T_AU", "xxdqcD1N2E-6PAt2DRBnDyogU_osOczGTsf9d5KsA3o"] {
        points.push(base64url_decode_strict(text).unwrap().try_into().unwrap());
    }
    for mut point in points {
        for sign in [0x00, 0x80] {
            *point.last_mut().unwrap() |= sign;
            let key = json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(&point)});
            assert_eq!(refusal(&key), KeyError::Weak, "{point:02x?}");
        }
    }
    // The reason: under the identity any message has the signature (identity, 0).
    let mut identity = [0; 32];
    *identity.first_mut().unwrap() = 1;
    let signature: Vec<u8> = identity.into_iter().chain([0; 32]).collect();
    let believed =
        ParsedPublicKey::new(&ED25519, identity).is_ok_and(|key| key.verify_sig(b"anything", &signature).is_ok());
    assert!(believed, "if the library refuses this by itself, the list may go");
}

#[test]
fn c7_rsa_keys_have_2048_to_4096_bits() {
    let of_bits = |bits: usize| {
        let mut n = vec![0xff; bits.div_ceil(8)];
        *n.first_mut().unwrap() = if bits.is_multiple_of(8) { 0xff } else { (1 << (bits % 8)) - 1 };
        with(rfc_7638_key(), "n", json!(base64url(&n)))
    };
    for bits in [512, 1024, 2047, 4097, 8192] {
        assert_eq!(refusal(&of_bits(bits)), KeyError::Weak, "{bits}");
    }
    for bits in [2048, 3072, 4096] {
        assert!(VerifyingKey::from_jwk(&of_bits(bits)).is_ok(), "{bits}");
    }
}

#[test]
fn rsa_numbers_have_one_form_and_a_sound_exponent() {
    let n = base64url_decode_strict(rfc_7638_key().get("n").unwrap().as_str().unwrap()).unwrap();
    let padded: Vec<u8> = [0].into_iter().chain(n.clone()).collect();
    assert_eq!(refusal(&with(rfc_7638_key(), "n", json!(base64url(&padded)))), KeyError::BadMember("n"));
    assert_eq!(refusal(&with(rfc_7638_key(), "n", json!(""))), KeyError::BadMember("n"));
    let mut even = n;
    *even.last_mut().unwrap() &= 0xfe;
    assert_eq!(refusal(&with(rfc_7638_key(), "n", json!(base64url(&even)))), KeyError::Weak);
    for (e, expected) in [
        (vec![], KeyError::BadMember("e")),
        (vec![0, 1, 0, 1], KeyError::BadMember("e")),
        (vec![1, 0, 0, 0, 1], KeyError::BadMember("e")),
        (vec![1], KeyError::Weak),
        (vec![3], KeyError::Weak),
        (vec![0xff, 0xff], KeyError::Weak),
        (vec![1, 0, 2], KeyError::Weak),
    ] {
        assert_eq!(refusal(&with(rfc_7638_key(), "e", json!(base64url(&e)))), expected, "{e:?}");
    }
}

#[test]
fn key_ids_have_one_to_256_bytes() {
    for kid in [json!(""), json!("k".repeat(KID_BYTES_MAX + 1)), json!(1), json!(null)] {
        assert_eq!(refusal(&with(rfc_9449_key(), "kid", kid)), KeyError::BadMember("kid"));
    }
    let longest = "k".repeat(KID_BYTES_MAX);
    let key = VerifyingKey::from_jwk(&with(rfc_9449_key(), "kid", json!(longest))).unwrap();
    assert_eq!(key.kid(), Some(longest.as_str()));
    for jwk in [json!([]), json!("key"), json!(null)] {
        assert_eq!(refusal(&jwk), KeyError::NotAnObject);
    }
}

#[test]
fn thumbprints_are_those_of_rfc_7638_and_rfc_9449_and_rfc_8037() {
    let of = |jwk: &Value| VerifyingKey::from_jwk(jwk).unwrap().thumbprint().to_string();
    assert_eq!(of(&rfc_7638_key()), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    assert_eq!(of(&rfc_9449_key()), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
    // RFC 8037, appendix A.3.
    let ed = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    assert_eq!(of(&ed), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    // What else stands in the key does not matter.
    assert_eq!(of(&with(with(rfc_9449_key(), "kid", json!("k")), "ext", json!(true))), of(&rfc_9449_key()));
}

#[test]
fn a_thumbprint_is_the_one_text_of_32_bytes() {
    let good = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
    assert_eq!(Thumbprint::parse(good).unwrap().as_str(), good);
    for text in [
        "",
        "0ZcO",
        "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I=",
        "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4J",
        "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4IA",
    ] {
        assert_eq!(Thumbprint::parse(text), None, "{text}");
    }
}

#[test]
fn c13_what_is_published_is_public_and_reads_back() {
    let key = VerifyingKey::from_jwk(&with(rfc_9449_key(), "kid", json!("one"))).unwrap();
    let published = key.to_jwk();
    let names: HashSet<&str> = published.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, HashSet::from(["alg", "crv", "kid", "kty", "use", "x", "y"]));
    assert_eq!(VerifyingKey::from_jwk(&published).unwrap(), key);
    let set = KeySet::new(vec![key]).unwrap();
    assert_eq!(set.to_jwks(), json!({ "keys": [published] }));
}

#[test]
fn c13_a_key_id_stands_once_in_a_set_and_a_set_is_bounded() {
    let key = |kid: &str| TestSigner::es256(kid).verifying_key();
    assert_eq!(KeySet::new(vec![key("a"), key("b"), key("a")]).unwrap_err(), KeyError::DuplicateKid("a".to_owned()));
    let many = |count: usize| (0..count).map(|index| key(&index.to_string())).collect::<Vec<_>>();
    assert!(KeySet::new(many(KEYS_MAX)).is_ok());
    assert_eq!(KeySet::new(many(KEYS_MAX + 1)).unwrap_err(), KeyError::TooMany);
    let nameless = || VerifyingKey::from_jwk(&TestSigner::es256("").bare_jwk()).unwrap();
    assert!(KeySet::new(vec![nameless(), nameless()]).is_ok());
    assert!(KeySet::default().is_empty());
}

#[test]
fn c10_keys_are_found_by_name_and_algorithm_and_never_just_the_first() {
    let (a, b) = (TestSigner::es256("a").verifying_key(), TestSigner::es256("b").verifying_key());
    let ed = TestSigner::new(Algorithm::EdDsa, "ed").verifying_key();
    let set = KeySet::new(vec![ed.clone(), a.clone(), b.clone()]).unwrap();
    let found = |kid: Option<&str>, algorithm| set.find(kid, algorithm).cloned().collect::<Vec<_>>();
    assert_eq!(found(Some("b"), Algorithm::Es256), vec![b.clone()]);
    assert_eq!(found(Some("b"), Algorithm::EdDsa), vec![]);
    assert_eq!(found(Some("c"), Algorithm::Es256), vec![]);
    assert_eq!(found(None, Algorithm::Es256), vec![a, b]);
    assert_eq!(found(None, Algorithm::EdDsa), vec![ed]);
    assert_eq!(found(None, Algorithm::Ps256), vec![]);
}

// Class 10 of the catalogue of what went wrong elsewhere: no key verifies what another algorithm's key signed.
#[test]
fn c6_keys_verify_their_own_signatures_only() {
    let signers = Algorithm::ALL.map(|algorithm| TestSigner::new(algorithm, algorithm.as_str()));
    let others = Algorithm::ALL.map(|algorithm| TestSigner::new(algorithm, algorithm.as_str()));
    for signer in &signers {
        let signature = super::super::Signer::sign(signer, b"message").unwrap();
        for (index, key) in signers.iter().chain(&others).map(TestSigner::verifying_key).enumerate() {
            let own = index < signers.len() && key == signer.verifying_key();
            assert_eq!(key.verify(b"message", &signature), own);
        }
        let key = signer.verifying_key();
        assert!(!key.verify(b"massage", &signature));
        assert!(!key.verify(b"message", &[]));
        assert!(!key.verify(b"message", signature.get(1..).unwrap()));
        let longer: Vec<u8> = signature.iter().copied().chain([0]).collect();
        assert!(!key.verify(b"message", &longer));
        for index in 0..signature.len() {
            let mut changed = signature.clone();
            *changed.get_mut(index).unwrap() ^= 1;
            assert!(!key.verify(b"message", &changed), "{} byte {index}", key.algorithm());
        }
    }
}

#[test]
fn ecdsa_zeros_are_no_signature() {
    let key = VerifyingKey::from_jwk(&rfc_9449_key()).unwrap();
    assert!(!key.verify(b"message", &[0; 64]), "CVE-2022-21449");
}

#[test]
fn a_key_shows_nothing_but_its_names() {
    let shown = format!("{:?}", TestSigner::es256("name").verifying_key());
    assert!(shown.contains("name") && shown.contains("Es256") && !shown.contains("bytes"), "{shown}");
}
