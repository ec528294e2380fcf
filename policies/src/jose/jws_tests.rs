#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use serde_json::json;

use super::super::testing::{TestSigner, sign_raw};
use super::super::{Signer, base64url, encode};
use super::*;

const MAX: usize = 4096;

fn signer() -> TestSigner {
    TestSigner::es256("key-1")
}

fn parse_error(raw: &str) -> JwsError {
    CompactJws::parse(raw, MAX).unwrap_err()
}

// Header and claims as given, with a right signature: so that only what is written can be the reason.
fn refusal(header: &str, claims: &str) -> JwsError {
    let signer = signer();
    let raw = sign_raw(header, claims, &signer);
    match CompactJws::parse(&raw, MAX) {
        Err(error) => error,
        Ok(jws) => jws.verify_with(&signer.verifying_key()).unwrap_err(),
    }
}

fn believed(header: &str, claims: &str) -> Claims {
    let signer = signer();
    let raw = sign_raw(header, claims, &signer);
    CompactJws::parse(&raw, MAX).unwrap().verify_with(&signer.verifying_key()).unwrap()
}

#[test]
fn c5_every_other_algorithm_is_refused_before_any_key() {
    for name in ["none", "nOnE", "None", "HS256", "RS256", "RS512", "PS384", "ES384", "ES512", "es256", "Ed448", ""] {
        let raw = sign_raw(&json!({"alg": name, "kid": "unknown"}).to_string(), "{}", &signer());
        assert_eq!(parse_error(&raw), JwsError::UnsupportedAlgorithm, "{name}");
    }
    for header in [r#"{}"#, r#"{"alg":null}"#, r#"{"alg":["ES256"]}"#, r#"{"alg":1}"#] {
        assert_eq!(refusal(header, "{}"), JwsError::BadHeader("alg"), "{header}");
    }
    // An unsigned object has an empty third part.
    let unsigned = format!("{}.{}.", base64url(br#"{"alg":"none"}"#), base64url(b"{}"));
    assert_eq!(parse_error(&unsigned), JwsError::NotCompact);
}

#[test]
fn c6_the_header_does_not_choose_the_algorithm() {
    let signer = signer();
    for name in ["EdDSA", "Ed25519", "PS256"] {
        let raw = sign_raw(&json!({"alg": name}).to_string(), "{}", &signer);
        let jws = CompactJws::parse(&raw, MAX).unwrap();
        assert_eq!(jws.verify_with(&signer.verifying_key()), Err(JwsError::UnknownKey), "{name}");
    }
}

#[test]
fn c8_header_parameters_that_change_the_meaning_are_refused() {
    for (name, value) in [
        ("crit", r#"["b64"]"#),
        ("crit", r#"[]"#),
        ("b64", "false"),
        ("b64", "true"),
        ("jku", r#""https://evil.example/jwks""#),
        ("x5u", r#""https://evil.example/x5u""#),
        ("x5c", r#"["MIIB"]"#),
        ("x5t", r#""abc""#),
        ("x5t#S256", r#""abc""#),
        ("zip", r#""DEF""#),
        ("enc", r#""A256GCM""#),
    ] {
        assert_eq!(refusal(&format!(r#"{{"alg":"ES256","{name}":{value}}}"#), "{}"), JwsError::ForbiddenHeader(name));
    }
}

#[test]
fn c8_a_key_inside_the_object_is_refused_where_keys_are_known() {
    let signer = signer();
    let header = json!({"alg": "ES256", "jwk": signer.bare_jwk()}).to_string();
    assert_eq!(refusal(&header, "{}"), JwsError::EmbeddedKey);
    let raw = sign_raw(&header, "{}", &signer);
    let keys = KeySet::new(vec![signer.verifying_key()]).unwrap();
    assert_eq!(CompactJws::parse(&raw, MAX).unwrap().verify_with_any(&keys), Err(JwsError::EmbeddedKey));
}

#[test]
fn header_parameters_have_their_types() {
    for name in ["typ", "kid", "cty"] {
        for value in ["null", "1", "[]", "{}", "true"] {
            let header = format!(r#"{{"alg":"ES256","{name}":{value}}}"#);
            assert_eq!(refusal(&header, "{}"), JwsError::BadHeader(name), "{header}");
        }
    }
    let with_kid = |kid: &str| sign_raw(&json!({"alg": "ES256", "kid": kid}).to_string(), "{}", &signer());
    assert_eq!(parse_error(&with_kid(&"k".repeat(KID_BYTES_MAX + 1))), JwsError::BadHeader("kid"));
    assert!(CompactJws::parse(&with_kid(&"k".repeat(KID_BYTES_MAX)), MAX).is_ok());
}

#[test]
fn c8_doubled_members_are_refused_in_header_and_claims() {
    assert!(matches!(refusal(r#"{"alg":"ES256","alg":"ES256"}"#, "{}"), JwsError::NotJson(_)));
    assert!(matches!(refusal(r#"{"alg":"ES256","x":1,"x":1}"#, "{}"), JwsError::NotJson(_)));
    assert!(matches!(refusal(r#"{"alg":"ES256"}"#, r#"{"sub":"a","sub":"b"}"#), JwsError::NotJson(_)));
}

#[test]
fn c8_claims_are_one_object() {
    for claims in ["", "[]", "null", "\"a\"", "1", "{}{}", "not json"] {
        let found = refusal(r#"{"alg":"ES256"}"#, claims);
        assert!(matches!(found, JwsError::NotJson(_) | JwsError::NotCompact), "{claims}: {found}");
    }
}

#[test]
fn c8_only_the_compact_form_of_three_parts_is_read() {
    let good = encode("JWT", &json!({"a": 1}), None, &signer()).unwrap();
    let parts: Vec<&str> = good.split('.').collect();
    let [header, payload, signature] = parts.as_slice() else { unreachable!("a JWS has three parts") };
    for raw in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        format!("{header}.{payload}"),
        format!("{header}.{payload}."),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        format!("{good}.{signature}"),
        format!("{header}.{payload}.{signature}.{header}.{payload}"),
        format!(r#"{{"payload":"{payload}","signatures":[{{"protected":"{header}","signature":"{signature}"}}]}}"#),
    ] {
        assert_eq!(parse_error(&raw), JwsError::NotCompact, "{raw}");
    }
}

#[test]
fn c8_base64_is_url_safe_unpadded_and_without_white_space() {
    let good = encode("JWT", &json!({"a": 1}), None, &signer()).unwrap();
    for raw in [
        format!("{good}="),
        format!("{good}=="),
        format!("{good}\n"),
        format!(" {good}"),
        good.replacen('.', "=.", 1),
        good.replacen('.', " .", 1),
        good.replacen("ey", "e+", 1),
        good.replacen("ey", "é", 1),
    ] {
        let found = parse_error(&raw);
        assert!(matches!(found, JwsError::NotBase64 | JwsError::NotJson(_)), "{raw:?}: {found}");
    }
    assert!(CompactJws::parse(&good, MAX).is_ok());
}

#[test]
fn the_size_is_bounded_on_the_byte() {
    let good = encode("JWT", &json!({"a": 1}), None, &signer()).unwrap();
    assert_eq!(CompactJws::parse(&good, good.len() - 1).unwrap_err(), JwsError::TooLong);
    assert!(CompactJws::parse(&good, good.len()).is_ok());
}

#[test]
fn another_byte_anywhere_breaks_the_signature() {
    let signer = signer();
    let raw = encode("JWT", &json!({"sub": "a"}), None, &signer).unwrap();
    let key = signer.verifying_key();
    for (index, byte) in raw.bytes().enumerate() {
        let mut changed = raw.clone().into_bytes();
        *changed.get_mut(index).unwrap() = if byte == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        let verified = CompactJws::parse(&changed, MAX).and_then(|jws| jws.verify_with(&key));
        assert!(verified.is_err(), "byte {index} of {raw}");
    }
    assert!(CompactJws::parse(&raw, MAX).unwrap().verify_with(&key).is_ok());
}

#[test]
fn c10_a_set_is_searched_by_name_and_a_wrong_name_is_not_helped() {
    let (one, two) = (TestSigner::es256("one"), TestSigner::es256("two"));
    let keys = KeySet::new(vec![one.verifying_key(), two.verifying_key()]).unwrap();
    let by_set = |header: Value, signer: &TestSigner| {
        let raw = sign_raw(&header.to_string(), "{}", signer);
        CompactJws::parse(&raw, MAX).unwrap().verify_with_any(&keys).map(|_| ())
    };
    assert_eq!(by_set(json!({"alg": "ES256", "kid": "three"}), &one), Err(JwsError::UnknownKey));
    assert_eq!(by_set(json!({"alg": "ES256", "kid": "one"}), &two), Err(JwsError::BadSignature));
    assert_eq!(by_set(json!({"alg": "PS256", "kid": "one"}), &one), Err(JwsError::UnknownKey));
    assert_eq!(by_set(json!({"alg": "ES256"}), &TestSigner::es256("one")), Err(JwsError::BadSignature));
    assert_eq!(by_set(json!({"alg": "ES256", "kid": "../../etc/passwd\r\n'"}), &one), Err(JwsError::UnknownKey));
    assert_eq!(by_set(json!({"alg": "ES256", "kid": "two"}), &two), Ok(()));
    assert_eq!(by_set(json!({"alg": "ES256"}), &two), Ok(()));
    let raw = sign_raw(r#"{"alg":"ES256"}"#, "{}", &one);
    assert_eq!(CompactJws::parse(&raw, MAX).unwrap().verify_with_any(&KeySet::default()), Err(JwsError::UnknownKey));
    let raw = sign_raw(r#"{"alg":"ES256","kid":"two"}"#, "{}", &one);
    assert_eq!(CompactJws::parse(&raw, MAX).unwrap().verify_with(&one.verifying_key()), Err(JwsError::UnknownKey));
}

#[test]
fn as11_an_even_check_costs_one_signature_whether_a_key_fits_or_not() {
    for algorithm in Algorithm::ALL {
        assert_eq!(STAND_INS.find(None, algorithm).count(), 1, "{algorithm}");
        let (owner, thief) = (TestSigner::new(algorithm, "one"), TestSigner::new(algorithm, "one"));
        let keys = KeySet::new(vec![owner.verifying_key()]).unwrap();
        let cost = |header: Value, signer: &TestSigner, keys: &KeySet| {
            let raw = sign_raw(&header.to_string(), "{}", signer);
            let jws = CompactJws::parse(&raw, MAX).unwrap();
            let (found, counts) = counted::during(|| jws.verify_evenly(keys).map(|_| ()));
            (found, counts.checks, counts.stand_ins)
        };
        let named = |kid: &str| json!({"alg": algorithm.as_str(), "kid": kid});
        let embedded = json!({"alg": algorithm.as_str(), "jwk": owner.bare_jwk()});
        assert_eq!(cost(named("one"), &owner, &KeySet::default()), (Err(JwsError::UnknownKey), 1, 1));
        assert_eq!(cost(named("two"), &owner, &keys), (Err(JwsError::UnknownKey), 1, 1));
        assert_eq!(cost(embedded, &owner, &keys), (Err(JwsError::EmbeddedKey), 1, 1));
        assert_eq!(cost(named("one"), &thief, &keys), (Err(JwsError::BadSignature), 1, 0));
        assert_eq!(cost(named("one"), &owner, &keys), (Ok(()), 1, 0));
    }
}

#[test]
fn rs24_possession_is_proven_with_the_key_inside_and_no_other() {
    let (own, other) = (signer(), signer());
    let prove = |header: Value, signer: &TestSigner| {
        let raw = sign_raw(&header.to_string(), "{}", signer);
        CompactJws::parse(&raw, MAX).unwrap().verify_with_embedded().map(|(key, _)| key.thumbprint().clone())
    };
    assert_eq!(prove(json!({"alg": "ES256"}), &own), Err(JwsError::BadHeader("jwk")));
    assert_eq!(prove(json!({"alg": "ES256", "jwk": "key"}), &own), Err(JwsError::BadKey(KeyError::NotAnObject)));
    assert_eq!(prove(json!({"alg": "ES256", "jwk": other.bare_jwk()}), &own), Err(JwsError::BadSignature));
    assert_eq!(prove(json!({"alg": "EdDSA", "jwk": own.bare_jwk()}), &own), Err(JwsError::UnknownKey));
    let found = prove(json!({"alg": "ES256", "jwk": own.bare_jwk()}), &own);
    assert_eq!(found.as_ref(), Ok(own.verifying_key().thumbprint()));
}

#[test]
fn what_is_written_is_read_back_with_every_algorithm() {
    for algorithm in Algorithm::ALL {
        let signer = TestSigner::new(algorithm, "k");
        let claims = json!({"sub": "қақпа", "n": 7, "deep": {"a": [1, {"b": null}]}});
        let raw = encode("at+jwt", &claims, None, &signer).unwrap();
        let jws = CompactJws::parse(&raw, MAX).unwrap();
        assert_eq!((jws.typ(), jws.algorithm(), jws.kid()), (Some("at+jwt"), algorithm, Some("k")));
        assert_eq!(jws.peek().string("sub"), Ok(Some("қақпа")));
        let read = jws.verify_with(&signer.verifying_key()).unwrap();
        assert_eq!(read, Claims::parse(claims.to_string().as_bytes()).unwrap());
    }
    assert_eq!(believed(" {\"alg\" : \"ES256\"}\n", "\t{ \"a\": 1 } ").integer("a"), Ok(Some(1)));
}

// A second opinion: the library reads what we write and we read what it writes.
#[test]
fn the_library_agrees_on_es256_and_eddsa() {
    #[derive(serde::Deserialize)]
    struct Told {
        sub: String,
    }
    for (algorithm, theirs) in
        [(Algorithm::Es256, jsonwebtoken::Algorithm::ES256), (Algorithm::EdDsa, jsonwebtoken::Algorithm::EdDSA)]
    {
        let signer = TestSigner::new(algorithm, "k");
        let jwk = serde_json::from_value(signer.bare_jwk()).unwrap();
        let key = jsonwebtoken::DecodingKey::from_jwk(&jwk).unwrap();
        let raw = encode("JWT", &json!({"sub": "me", "exp": 253_402_300_799_u64}), None, &signer).unwrap();
        let told = jsonwebtoken::decode::<Told>(&raw, &key, &jsonwebtoken::Validation::new(theirs)).unwrap();
        assert_eq!(told.claims.sub, "me");
        assert_eq!((told.header.typ.as_deref(), told.header.kid.as_deref()), (Some("JWT"), Some("k")));

        let message = raw.rsplit_once('.').unwrap();
        assert!(jsonwebtoken::crypto::verify(message.1, message.0.as_bytes(), &key, theirs).unwrap());
        let broken = base64url(&signer.sign(b"something else").unwrap());
        assert!(!jsonwebtoken::crypto::verify(&broken, message.0.as_bytes(), &key, theirs).unwrap());
        // And the key stands in for the library's own verifier.
        let verifier: &dyn jsonwebtoken::crypto::JwtVerifier = &signer.verifying_key();
        assert_eq!(verifier.algorithm(), theirs);
        assert!(verifier.verify(message.0.as_bytes(), &base64url_decode_strict(message.1).unwrap()).is_ok());
    }
}

// RFC 8037, appendix A.4: the payload is no JSON object, so only the signature can be looked at.
#[test]
fn the_ed25519_example_of_rfc_8037_verifies() {
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    let key = VerifyingKey::from_jwk(&jwk).unwrap();
    let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let input = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    assert!(key.verify(input, &base64url_decode_strict(signature).unwrap()));
}
