//! What libraries took in and should not have (security.md, sections 3 and 4.2): the same attacks on our own reader.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use serde_json::{Value, json};

use super::super::testing::{TestSigner, sign_raw};
use super::super::{Algorithm, CompactJws, JwsError, KeyError, KeySet, Signer, VerifyingKey, base64url, hmac_sha256};

const MAX: usize = 64 * 1024;
const CLAIMS: &str = r#"{"sub":"a"}"#;

// Every name that some JOSE library speaks.
const NAMES: [&str; 30] = [
    "none",
    "NONE",
    "None",
    "nOnE",
    "",
    "HS256",
    "HS384",
    "HS512",
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "ES256K",
    "EdDSA",
    "Ed25519",
    "Ed448",
    "es256",
    "eddsa",
    "ps256",
    "hs256",
    "RSA1_5",
    "dir",
    "A128KW",
    "ML-DSA-44",
    "ES256 ",
];

fn with(mut value: Value, name: &str, to: Value) -> Value {
    value.as_object_mut().unwrap().insert(name.to_owned(), to);
    value
}

fn verify(raw: &str, key: &Value) -> Result<(), JwsError> {
    let key = VerifyingKey::from_jwk(key)?;
    CompactJws::parse(raw, MAX)?.verify_with(&key).map(|_| ())
}

fn compact(header: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let input = format!("{}.{}", base64url(header.to_string().as_bytes()), base64url(CLAIMS.as_bytes()));
    format!("{input}.{}", base64url(&sign(input.as_bytes())))
}

#[test]
fn c5_c6_no_name_makes_a_key_verify_what_another_algorithm_signed() {
    let signers = Algorithm::ALL.map(|algorithm| TestSigner::new(algorithm, "k"));
    for name in NAMES {
        for signer in &signers {
            let raw = sign_raw(&json!({"alg": name}).to_string(), CLAIMS, signer);
            for owner in &signers {
                let fits =
                    Algorithm::parse(name) == Some(signer.algorithm()) && signer.algorithm() == owner.algorithm();
                let by = |key: &Value| verify(&raw, key).is_ok();
                let what = format!("{name} signed by {} for {}", signer.algorithm(), owner.algorithm());
                assert_eq!(by(&owner.bare_jwk()), fits, "{what}");
                let told = with(owner.bare_jwk(), "alg", json!(owner.algorithm().as_str()));
                assert_eq!(by(&with(told, "use", json!("sig"))), fits, "{what}");
                let keys = KeySet::new(vec![owner.verifying_key()]).unwrap();
                let in_set = CompactJws::parse(&raw, MAX).and_then(|jws| jws.verify_with_any(&keys));
                assert_eq!(in_set.is_ok(), fits, "{what} in a set");
            }
        }
    }
}

#[test]
fn c6_a_key_that_names_another_algorithm_is_no_key() {
    for signer in Algorithm::ALL.map(|algorithm| TestSigner::new(algorithm, "k")) {
        for name in NAMES {
            let key = VerifyingKey::from_jwk(&with(signer.bare_jwk(), "alg", json!(name)));
            let fits = Algorithm::parse(name) == Some(signer.algorithm());
            assert_eq!(key.is_ok(), fits, "{name} for {}", signer.algorithm());
        }
        for shape in [json!(null), json!(1), json!(["ES256"]), json!({}), json!(true)] {
            let key = VerifyingKey::from_jwk(&with(signer.bare_jwk(), "alg", shape.clone()));
            assert_eq!(key.unwrap_err(), KeyError::BadMember("alg"), "{shape}");
        }
    }
}

// CVE-2026-44699 and its many forerunners: the public key as the secret of an HMAC, in every form it is handed around.
#[test]
fn c5_a_public_key_is_no_secret_of_a_mac() {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = pair.public_key().as_ref();
    let (x, y) = (base64url(point.get(1..33).unwrap()), base64url(point.get(33..65).unwrap()));
    let jwk = json!({"kty": "EC", "crv": "P-256", "x": x, "y": y});
    let der = pair.public_key().as_der().unwrap().as_ref().to_vec();
    let body = base64_standard(&der);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n");
    let secrets: [Vec<u8>; 9] = [
        Vec::new(),
        point.to_vec(),
        der,
        pem.clone().into_bytes(),
        pem.trim_end().as_bytes().to_vec(),
        pem.replace('\n', "\r\n").into_bytes(),
        format!(" {pem}").into_bytes(),
        jwk.to_string().into_bytes(),
        x.into_bytes(),
    ];
    for secret in secrets {
        for name in ["HS256", "ES256", "none", "EdDSA"] {
            let raw = compact(&json!({"alg": name}), |input| hmac_sha256(&secret, input).to_vec());
            assert!(verify(&raw, &jwk).is_err(), "{name}");
            let doubled = compact(&json!({"alg": name}), |input| hmac_sha256(&secret, input).repeat(2));
            assert!(verify(&doubled, &jwk).is_err(), "{name}");
        }
    }
    for key in [json!({"kty": "oct", "k": "AA"}), json!({"kty": "oct"}), with(jwk, "k", json!("AA"))] {
        assert!(VerifyingKey::from_jwk(&key).is_err(), "{key}");
    }
}

fn base64_standard(bytes: &[u8]) -> String {
    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes)
}

struct Rsa(RsaKeyPair);

impl Rsa {
    fn jwk(&self) -> Value {
        let public = self.0.public_key();
        let (n, e) = (public.modulus(), public.exponent());
        json!({
            "kty": "RSA",
            "n": base64url(n.big_endian_without_leading_zero()),
            "e": base64url(e.big_endian_without_leading_zero()),
        })
    }

    fn sign(&self, padding: &'static dyn RsaEncoding, name: &str) -> String {
        compact(&json!({"alg": name}), |input| {
            let mut signature = vec![0; self.0.public_modulus_len()];
            self.0.sign(padding, &SystemRandom::new(), input, &mut signature).unwrap();
            signature
        })
    }
}

// Five of the vectors that were taken in though invalid: other RSA algorithms on a key of one.
#[test]
fn c6_an_rsa_key_verifies_ps256_and_no_other_padding_or_hash() {
    let pair = Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
    let jwk = pair.jwk();
    let others: [(&str, &'static dyn RsaEncoding); 5] = [
        ("RS256", &RSA_PKCS1_SHA256),
        ("RS384", &RSA_PKCS1_SHA384),
        ("RS512", &RSA_PKCS1_SHA512),
        ("PS384", &RSA_PSS_SHA384),
        ("PS512", &RSA_PSS_SHA512),
    ];
    for (name, padding) in others {
        assert_eq!(verify(&pair.sign(padding, name), &jwk), Err(JwsError::UnsupportedAlgorithm), "{name}");
        assert_eq!(verify(&pair.sign(padding, "PS256"), &jwk), Err(JwsError::BadSignature), "{name} told as PS256");
        let named = verify(&pair.sign(&RSA_PSS_SHA256, "PS256"), &with(jwk.clone(), "alg", json!(name)));
        assert_eq!(named, Err(JwsError::BadKey(KeyError::Unsupported)), "a key of {name}");
    }
    assert_eq!(verify(&pair.sign(&RSA_PSS_SHA256, "PS256"), &jwk), Ok(()));
}

#[test]
fn c10_a_key_that_is_not_for_verifying_never_verifies() {
    let signer = TestSigner::es256("k");
    let raw = sign_raw(r#"{"alg":"ES256"}"#, CLAIMS, &signer);
    for (name, value, expected) in [
        ("use", json!("enc"), KeyError::WrongUse),
        ("use", json!("ENC"), KeyError::WrongUse),
        ("use", json!("Sig"), KeyError::WrongUse),
        ("use", json!(""), KeyError::WrongUse),
        ("use", json!(null), KeyError::BadMember("use")),
        ("use", json!(["sig"]), KeyError::BadMember("use")),
        ("key_ops", json!([]), KeyError::WrongUse),
        ("key_ops", json!(["sign"]), KeyError::WrongUse),
        ("key_ops", json!(["encrypt"]), KeyError::WrongUse),
        ("key_ops", json!(["decrypt", "wrapKey"]), KeyError::WrongUse),
        ("key_ops", json!(["deriveKey"]), KeyError::WrongUse),
        ("key_ops", json!(["Verify"]), KeyError::WrongUse),
        ("key_ops", json!("verify"), KeyError::BadMember("key_ops")),
        ("key_ops", json!(null), KeyError::BadMember("key_ops")),
        ("key_ops", json!({"verify": true}), KeyError::BadMember("key_ops")),
        ("key_ops", json!(["verify", 1]), KeyError::BadMember("key_ops")),
    ] {
        let found = verify(&raw, &with(signer.bare_jwk(), name, value.clone()));
        assert_eq!(found, Err(JwsError::BadKey(expected)), "{name} {value}");
    }
    for (name, value) in [("use", json!("sig")), ("key_ops", json!(["verify"])), ("key_ops", json!(["sign", "verify"]))]
    {
        assert_eq!(verify(&raw, &with(signer.bare_jwk(), name, value)), Ok(()));
    }
}

#[test]
fn c7_a_signature_has_the_one_form_of_its_algorithm() {
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).unwrap();
    let asn1 = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref()).unwrap();
    let point = pair.public_key().as_ref();
    let (x, y) = (base64url(point.get(1..33).unwrap()), base64url(point.get(33..65).unwrap()));
    let jwk = json!({"kty": "EC", "crv": "P-256", "x": x, "y": y});
    let header = json!({"alg": "ES256"});
    let fixed = |input: &[u8]| pair.sign(&SystemRandom::new(), input).unwrap().as_ref().to_vec();
    // The order of the curve, as r and as s.
    let order: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6,
        0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let halves = |signature: &[u8]| (signature.get(..32).unwrap().to_vec(), signature.get(32..).unwrap().to_vec());
    type Bend<'a> = Box<dyn Fn(&[u8]) -> Vec<u8> + 'a>;
    let bent: Vec<(&str, Bend<'_>)> = vec![
        ("DER", Box::new(|input| asn1.sign(&SystemRandom::new(), input).unwrap().as_ref().to_vec())),
        ("zeros", Box::new(|_| vec![0; 64])),
        ("r is nothing", Box::new(|input| [vec![0; 32], halves(&fixed(input)).1].concat())),
        ("s is nothing", Box::new(|input| [halves(&fixed(input)).0, vec![0; 32]].concat())),
        ("r is the order", Box::new(|input| [order.to_vec(), halves(&fixed(input)).1].concat())),
        ("s is the order", Box::new(|input| [halves(&fixed(input)).0, order.to_vec()].concat())),
        (
            "swapped",
            Box::new(|input| {
                let (r, s) = halves(&fixed(input));
                [s, r].concat()
            }),
        ),
        ("longer", Box::new(|input| [fixed(input), vec![0]].concat())),
        (
            "padded",
            Box::new(|input| {
                let (r, s) = halves(&fixed(input));
                [vec![0], r, vec![0], s].concat()
            }),
        ),
        ("shorter", Box::new(|input| fixed(input).split_last().unwrap().1.to_vec())),
        ("half", Box::new(|input| halves(&fixed(input)).0)),
        ("one byte", Box::new(|_| vec![1])),
    ];
    for (name, bend) in bent {
        assert_eq!(verify(&compact(&header, &bend), &jwk), Err(JwsError::BadSignature), "{name}");
    }
    assert_eq!(verify(&compact(&header, fixed), &jwk), Ok(()));
}

// RFC 8032, section 5.1.7: s below the order of the group, or a signature has many forms.
#[test]
fn c7_an_ed25519_signature_has_one_form_only() {
    let signer = TestSigner::new(Algorithm::EdDsa, "k");
    let order: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let bent = compact(&json!({"alg": "EdDSA"}), |input| {
        let mut signature = signer.sign(input).unwrap();
        let mut carry = 0_u16;
        for (byte, add) in signature.iter_mut().skip(32).zip(order) {
            let sum = u16::from(*byte) + u16::from(add) + carry;
            *byte = u8::try_from(sum & 0xff).unwrap();
            carry = sum >> 8;
        }
        signature
    });
    assert_eq!(verify(&bent, &signer.bare_jwk()), Err(JwsError::BadSignature));
    for name in ["EdDSA", "Ed25519"] {
        let straight = compact(&json!({"alg": name}), |input| signer.sign(input).unwrap());
        assert_eq!(verify(&straight, &signer.bare_jwk()), Ok(()), "{name}");
    }
}

#[test]
fn c7_keys_of_other_curves_and_kinds_are_no_keys() {
    let signer = TestSigner::es256("k").bare_jwk();
    let ed = TestSigner::new(Algorithm::EdDsa, "k").bare_jwk();
    for curve in ["P-224", "P-384", "P-521", "secp256k1", "p-256", "P256", "Ed25519", "X25519", "", "Ed448"] {
        assert_eq!(
            VerifyingKey::from_jwk(&with(signer.clone(), "crv", json!(curve))).unwrap_err(),
            KeyError::Unsupported
        );
        if curve != "Ed25519" {
            let found = VerifyingKey::from_jwk(&with(ed.clone(), "crv", json!(curve))).unwrap_err();
            assert_eq!(found, KeyError::Unsupported, "{curve}");
        }
    }
    for kind in ["ec", "OKP ", "oct", "AKP", "", "RSA-PSS"] {
        let found = VerifyingKey::from_jwk(&with(signer.clone(), "kty", json!(kind))).unwrap_err();
        assert_eq!(found, KeyError::Unsupported, "{kind}");
    }
}

// Six of the vectors: parts that other libraries decode all the same.
#[test]
fn c8_a_part_that_is_no_base64url_is_refused_though_its_signature_is_right() {
    let signer = TestSigner::es256("k");
    let signed = |header: &str, payload: &str| {
        let input = format!("{header}.{payload}");
        let signature = base64url(&signer.sign(input.as_bytes()).unwrap());
        CompactJws::parse(&format!("{input}.{signature}"), MAX).map(|_| ())
    };
    let (header, payload) = (base64url(br#"{"alg":"ES256"}"#), base64url(CLAIMS.as_bytes()));
    assert_eq!(signed(&header, &payload), Ok(()));
    for bad in ["=", "==", " ", "\n", "\t", "?", "+", "/", "%3D", "\u{e9}", "\0", ",", "~"] {
        for (header, payload) in [
            (format!("{header}{bad}"), payload.clone()),
            (header.clone(), format!("{payload}{bad}")),
            (header.clone(), format!("{bad}{payload}")),
            (header.clone(), payload.replacen('z', &format!("{bad}z"), 1)),
        ] {
            if header.contains(bad) || payload.contains(bad) {
                assert_eq!(signed(&header, &payload), Err(JwsError::NotBase64), "{bad:?} in {header}.{payload}");
            }
        }
    }
    // A last character with bits that no byte has.
    let stray = |text: &str| matches!(signed(&header, text), Err(JwsError::NotBase64));
    assert!(stray("eyJzdWIiOiJhIn1") && stray("e31") && stray("e3"), "{payload}");
}

#[test]
fn c8_a_jwe_is_no_jws() {
    let part = |value: Value| base64url(value.to_string().as_bytes());
    for header in [
        json!({"alg": "RSA-OAEP-256", "enc": "A256GCM"}),
        json!({"alg": "dir", "enc": "A128CBC-HS256", "zip": "DEF"}),
        json!({"alg": "PBES2-HS256+A128KW", "p2c": 2_147_483_647, "enc": "A128GCM"}),
    ] {
        let five = format!("{}.a2V5.aXY.Y2lwaGVy.dGFn", part(header.clone()));
        assert_eq!(CompactJws::parse(&five, MAX).map(|_| ()), Err(JwsError::NotCompact), "{header}");
        let three = format!("{}.e30.c2ln", part(header.clone()));
        assert!(CompactJws::parse(&three, MAX).is_err(), "{header}");
    }
}

// Class 12 of security.md section 3: nothing in a header is a place to go to.
#[test]
fn c8_a_header_names_no_place_and_a_kid_is_only_compared() {
    let signer = TestSigner::es256("k");
    let keys = KeySet::new(vec![signer.verifying_key()]).unwrap();
    let by = |header: &Value| {
        let raw = sign_raw(&header.to_string(), CLAIMS, &signer);
        CompactJws::parse(&raw, MAX).and_then(|jws| jws.verify_with_any(&keys)).map(|_| ())
    };
    for place in ["https://evil.example/jwks", "http://169.254.169.254/", "file:///etc/passwd", "http://[::1]/", "x"] {
        for name in ["jku", "x5u"] {
            assert_eq!(by(&json!({"alg": "ES256", "kid": "k", name: place})), Err(JwsError::ForbiddenHeader(name)));
        }
    }
    for kid in ["../k", "k\0", "k\r\nX: y", "k' OR '1'='1", "K", " k", "k ", "http://evil.example/k", "k/../k", "ķ"] {
        assert_eq!(by(&json!({"alg": "ES256", "kid": kid})), Err(JwsError::UnknownKey), "{kid:?}");
    }
    assert_eq!(by(&json!({"alg": "ES256", "kid": "k".repeat(1 << 14)})), Err(JwsError::BadHeader("kid")));
    assert_eq!(by(&json!({"alg": "ES256", "kid": ""})), Err(JwsError::UnknownKey));
    assert_eq!(by(&json!({"alg": "ES256", "kid": "k"})), Ok(()));
}

#[test]
fn c8_json_is_read_to_sixteen_levels_and_members_stand_once() {
    let signer = TestSigner::es256("k");
    let read = |header: &str, claims: &str| CompactJws::parse(&sign_raw(header, claims, &signer), MAX).map(|_| ());
    for levels in [17, 200] {
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
        assert!(matches!(read(r#"{"alg":"ES256"}"#, &deep), Err(JwsError::NotJson(_))), "{levels}");
        let deep = format!(r#"{{"alg":"ES256","a":{}1{}}}"#, "{\"a\":".repeat(levels), "}".repeat(levels));
        assert!(matches!(read(&deep, CLAIMS), Err(JwsError::NotJson(_))), "{levels}");
    }
    for claims in [
        r#"{"sub":"a","custom":1,"custom":2}"#,
        r#"{"sub":"a","\u0073ub":"b"}"#,
        r#"{"cnf":{"jkt":"a","jkt":"b"}}"#,
        r#"{"authorization_details":[{"type":"a","type":"b"}]}"#,
        r#"{"exp":1,"exp":9999999999}"#,
    ] {
        assert!(matches!(read(r#"{"alg":"ES256"}"#, claims), Err(JwsError::NotJson(_))), "{claims}");
    }
    assert!(matches!(read(r#"{"alg":"ES256","alg":"none"}"#, CLAIMS), Err(JwsError::NotJson(_))));
    assert!(matches!(read(r#"{"alg":"ES256","typ":"a","typ":"b"}"#, CLAIMS), Err(JwsError::NotJson(_))));
}
