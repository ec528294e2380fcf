#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use super::*;
use crate::binding::bind;
use crate::jose::testing::{TestSigner, sign_raw};
use crate::jose::{Algorithm, encode};
use crate::nonce::Nonces;
use crate::peer::{CertificateNames, ChainVerdict, PeerCertificate};
use crate::proof::{self, VerifiedProof};

const ISSUER: &str = "https://gate.example";
const AUDIENCE: &str = "https://gate.example/api";
const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const TICK: Duration = Duration::from_millis(1);

struct Fixture {
    signer: TestSigner,
    keys: KeySet,
    holder: TestSigner,
}

impl Fixture {
    fn new() -> Self {
        let signer = TestSigner::es256("issuer-key");
        let keys = KeySet::new(vec![signer.verifying_key()]).unwrap();
        Self { signer, keys, holder: TestSigner::es256("holder") }
    }

    fn grant(&self) -> AccessGrant {
        AccessGrant {
            issuer: ISSUER.to_owned(),
            audience: AUDIENCE.to_owned(),
            client: ClientId::parse("fintech").unwrap(),
            subject: "fintech".to_owned(),
            scopes: ScopeSet::of(["payments:write", "accounts:read"]),
            confirmation: Confirmation::Jkt(self.holder.verifying_key().thumbprint().clone()),
            jti: "token-1".to_owned(),
            issued: NOW,
            expires: NOW + ACCESS_TOKEN_TTL,
            citizen: None,
        }
    }

    fn sign(&self, claims: &Value) -> BearerToken {
        BearerToken::parse(&encode(ACCESS_TOKEN_TYPE, claims, None, &self.signer).unwrap()).unwrap()
    }

    fn verify_at(&self, token: &BearerToken, now: Timestamp) -> Result<VerifiedToken, TokenError> {
        verify(token, &Expected { issuer: ISSUER, audience: AUDIENCE, keys: &self.keys }, now)
    }

    // A good token with one claim set to something else, or left out.
    fn with(&self, name: &str, value: Option<Value>) -> Result<VerifiedToken, TokenError> {
        let mut all = claims(&self.grant());
        let members = all.as_object_mut().unwrap();
        match value {
            Some(value) => members.insert(name.to_owned(), value),
            None => members.remove(name),
        };
        self.verify_at(&self.sign(&all), NOW)
    }

    fn token(&self, confirmation: Confirmation) -> (BearerToken, VerifiedToken) {
        let token = self.sign(&claims(&AccessGrant { confirmation, ..self.grant() }));
        let verified = self.verify_at(&token, NOW).unwrap();
        (token, verified)
    }

    fn proof(&self, token: &BearerToken, holder: &TestSigner) -> VerifiedProof {
        let told = json!({
            "jti": "proof-1", "htm": "GET", "htu": AUDIENCE, "iat": NOW.seconds(), "ath": base64url(&token.hash()),
        });
        let raw = encode(proof::PROOF_TYPE, &told, Some(holder.bare_jwk()), holder).unwrap();
        let expected = proof::Expected { method: "GET", target: AUDIENCE, token: Some(token), nonces: Nonces::free() };
        proof::check(&raw, &expected, NOW).unwrap().accept(true).unwrap()
    }
}

fn certificate(thumbprint: [u8; 32]) -> PeerCertificate {
    PeerCertificate::from_handshake(thumbprint, CertificateNames::default(), ChainVerdict::Unverified)
}

#[test]
fn rs4_what_is_no_b64token_is_malformed() {
    for text in ["", "=", "==", "a b", "a\"b", "a,b", "a\tb", "tok\u{e9}n", "a=b", "a\r\nb"] {
        assert_eq!(BearerToken::parse(text).err(), Some(TokenError::Malformed), "{text:?}");
    }
    assert_eq!(BearerToken::parse(&"a".repeat(TOKEN_BYTES_MAX + 1)).err(), Some(TokenError::Malformed));
    assert!(BearerToken::parse(&"a".repeat(TOKEN_BYTES_MAX)).is_ok());
    assert!(BearerToken::parse("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU").is_ok());
    assert!(BearerToken::parse("abc==").is_ok());
}

#[test]
fn rs2_the_scheme_is_read_in_any_case_and_nothing_else_is() {
    for value in ["", "abc", "Basic abc", "DPoPabc", "Bearerabc", "Bear abc", " Bearer abc", "DPoP,abc"] {
        assert_eq!(parse_authorization(value).err(), Some(TokenError::UnknownScheme), "{value:?}");
    }
    for value in ["Bearer", "Bearer ", "DPoP  abc", "Bearer abc ", "Bearer abc def", "Bearer a,b", "DPoP abc, DPoP def"]
    {
        assert_eq!(parse_authorization(value).err(), Some(TokenError::Malformed), "{value:?}");
    }
    for (value, scheme) in [("dpop abc", Scheme::Dpop), ("DPoP abc", Scheme::Dpop), ("BEARER abc", Scheme::Bearer)] {
        let (found, token) = parse_authorization(value).unwrap();
        assert_eq!((found, token.expose()), (scheme, "abc"));
    }
}

#[test]
fn rs16_a_token_is_never_shown() {
    let token = BearerToken::parse("very-secret-token").unwrap();
    assert!(!format!("{token:?}").contains("very-secret"));
}

#[test]
fn rs10_a_token_of_another_type_is_refused() {
    let fixture = Fixture::new();
    let told = claims(&fixture.grant());
    for typ in ["JWT", "jwt", "dpop+jwt", "AT+JWT", "at+jwt ", "application/jwt", "identity-result+jwt", ""] {
        let token = BearerToken::parse(&encode(typ, &told, None, &fixture.signer).unwrap()).unwrap();
        assert_eq!(fixture.verify_at(&token, NOW).unwrap_err(), TokenError::WrongType, "{typ}");
    }
    let untyped = sign_raw(r#"{"alg":"ES256"}"#, &told.to_string(), &fixture.signer);
    let untyped = fixture.verify_at(&BearerToken::parse(&untyped).unwrap(), NOW);
    assert_eq!(untyped.unwrap_err(), TokenError::WrongType);
    let long = encode("application/at+jwt", &told, None, &fixture.signer).unwrap();
    assert!(fixture.verify_at(&BearerToken::parse(&long).unwrap(), NOW).is_ok());
}

#[test]
fn rs10_issuer_and_audience_are_exact() {
    let fixture = Fixture::new();
    for issuer in ["https://gate.example/", "https://GATE.example", "http://gate.example", "https://evil.example", ""] {
        assert_eq!(fixture.with("iss", Some(json!(issuer))).unwrap_err(), TokenError::WrongIssuer, "{issuer}");
    }
    for audience in [json!("https://gate.example"), json!(""), json!([]), json!(["https://other.example"])] {
        assert_eq!(fixture.with("aud", Some(audience)).unwrap_err(), TokenError::WrongAudience);
    }
    assert!(fixture.with("aud", Some(json!(["https://other.example", AUDIENCE]))).is_ok());
}

#[test]
fn rs10_only_the_issuers_keys_count() {
    let (fixture, other) = (Fixture::new(), Fixture::new());
    let token = other.sign(&claims(&fixture.grant()));
    assert_eq!(fixture.verify_at(&token, NOW).unwrap_err(), TokenError::Jws(JwsError::BadSignature));
    let none = verify(&token, &Expected { issuer: ISSUER, audience: AUDIENCE, keys: &KeySet::default() }, NOW);
    assert_eq!(none.unwrap_err(), TokenError::Jws(JwsError::UnknownKey));
}

// Class 11 of security.md section 3: every claim in every wrong shape.
#[test]
fn rs10_every_claim_has_its_one_type() {
    let fixture = Fixture::new();
    let shapes = [
        json!(null),
        json!(true),
        // What `sub` and `client_id` are: each has to be the other (AS13).
        json!("fintech"),
        json!(1_800_000_000),
        json!(1.5),
        json!(1_800_000_000.0),
        json!(-1),
        json!(u64::MAX),
        json!([]),
        json!(["text"]),
        json!({}),
        json!({"a": 1}),
    ];
    type Fits = fn(&Value) -> bool;
    let never = |_: &Value| false;
    let is_text = |value: &Value| value.is_string();
    let is_time = |value: &Value| value.is_i64() && value.as_i64() > Some(0);
    let fits: [(&str, Fits, bool); 9] = [
        ("iss", never, true),
        ("aud", never, true),
        ("sub", is_text, true),
        ("client_id", is_text, true),
        ("jti", is_text, true),
        ("scope", is_text, false),
        ("exp", is_time, true),
        ("iat", is_time, true),
        ("nbf", is_time, false),
    ];
    for (name, fits, required) in fits {
        for shape in &shapes {
            let found = fixture.with(name, Some(shape.clone()));
            assert_eq!(found.is_ok(), fits(shape), "{name}: {shape} gave {found:?}");
        }
        assert_eq!(fixture.with(name, None).is_err(), required, "{name} left out");
    }
}

#[test]
fn rs10_texts_have_their_bounds() {
    let fixture = Fixture::new();
    for (name, good, bad) in [("jti", "j".repeat(128), "j".repeat(129)), ("scope", String::new(), "a\"b".to_owned())] {
        assert!(fixture.with(name, Some(json!(good))).is_ok(), "{name} {good}");
        assert!(matches!(fixture.with(name, Some(json!(bad))), Err(TokenError::Claim(_))), "{name} {bad}");
    }
    assert!(fixture.with("scope", None).unwrap().scopes().is_empty());
    let named = |name: &str| {
        let client = ClientId::parse(name).map_or(fixture.grant().client, |client| client);
        let mut told = claims(&AccessGrant { client, subject: name.to_owned(), ..fixture.grant() });
        told.as_object_mut().unwrap().insert("client_id".to_owned(), json!(name));
        fixture.verify_at(&fixture.sign(&told), NOW).map(|_| ())
    };
    for bad in [String::new(), "c".repeat(65), "c d".to_owned(), "s".repeat(SUBJECT_BYTES_MAX + 1)] {
        assert!(matches!(named(&bad), Err(TokenError::Claim(ClaimError::OutOfRange(_)))), "{bad}");
    }
    assert_eq!(named("c"), Ok(()));
    assert_eq!(named(&"c".repeat(64)), Ok(()));
}

#[test]
fn c8_a_claim_twice_is_refused() {
    let fixture = Fixture::new();
    let told = claims(&fixture.grant()).to_string();
    for doubled in [r#""sub":"root","#, r#""exp":9999999999,"#, r#""cnf":{},"#] {
        let text = told.replacen('{', &format!("{{{doubled}"), 1);
        let raw = sign_raw(r#"{"alg":"ES256","typ":"at+jwt"}"#, &text, &fixture.signer);
        let found = fixture.verify_at(&BearerToken::parse(&raw).unwrap(), NOW);
        assert!(matches!(found, Err(TokenError::Jws(JwsError::NotJson(_)))), "{doubled}");
    }
}

#[test]
fn rs10_a_token_ends_on_the_instant() {
    let fixture = Fixture::new();
    let token = fixture.sign(&claims(&fixture.grant()));
    let end = NOW + ACCESS_TOKEN_TTL + LEEWAY;
    assert_eq!(fixture.verify_at(&token, end).unwrap_err(), TokenError::Expired);
    let verified = fixture.verify_at(&token, end - TICK).unwrap();
    assert!(!verified.is_over(end - TICK));
    assert!(verified.is_over(end));
}

#[test]
fn c11_a_token_begins_at_most_ten_seconds_ahead() {
    let fixture = Fixture::new();
    let token = fixture.sign(&claims(&fixture.grant()));
    assert_eq!(fixture.verify_at(&token, NOW - LEEWAY - TICK).unwrap_err(), TokenError::NotYet);
    assert!(fixture.verify_at(&token, NOW - LEEWAY).is_ok());
    assert_eq!(fixture.with("nbf", Some(json!(NOW.seconds() + 11))).unwrap_err(), TokenError::NotYet);
    assert!(fixture.with("nbf", Some(json!(NOW.seconds() + 10))).is_ok());
    assert_eq!(fixture.with("iat", Some(json!(NOW.seconds() + 61))).unwrap_err(), TokenError::NotYet);
    let mut told = claims(&fixture.grant());
    let members = told.as_object_mut().unwrap();
    members.insert("iat".to_owned(), json!(NOW.seconds() + 11));
    members.insert("nbf".to_owned(), json!(NOW.seconds()));
    assert_eq!(fixture.verify_at(&fixture.sign(&told), NOW).unwrap_err(), TokenError::NotYet, "nbf excuses no iat");
}

#[test]
fn rs2_a_token_that_is_not_bound_to_exactly_one_thing_is_refused() {
    let fixture = Fixture::new();
    let jkt = fixture.holder.verifying_key().thumbprint().to_string();
    let x5t = base64url(&[7; 32]);
    for cnf in [
        None,
        Some(json!({})),
        Some(json!({"jkt": jkt, "x5t#S256": x5t})),
        Some(json!({"jkt": jkt, "kid": "k"})),
        Some(json!({"jwk": fixture.holder.bare_jwk()})),
        Some(json!({"jkt": null})),
        Some(json!({"jkt": [jkt]})),
        Some(json!({"jkt": "short"})),
        Some(json!({"jkt": format!("{jkt}=")})),
        Some(json!({"x5t#S256": base64url(&[7; 31])})),
        Some(json!({"x5t#s256": x5t})),
    ] {
        assert_eq!(fixture.with("cnf", cnf.clone()).unwrap_err(), TokenError::Unbound, "{cnf:?}");
    }
    for cnf in [json!(null), json!("jkt"), json!([jkt])] {
        assert_eq!(fixture.with("cnf", Some(cnf)).unwrap_err(), TokenError::Claim(ClaimError::WrongType("cnf")));
    }
}

#[test]
fn what_is_granted_is_what_is_verified() {
    let fixture = Fixture::new();
    for confirmation in [fixture.grant().confirmation, Confirmation::X5tS256([7; 32])] {
        let (_, verified) = fixture.token(confirmation.clone());
        assert_eq!(verified.client().as_str(), "fintech");
        assert_eq!(verified.subject(), "fintech");
        assert_eq!(verified.scopes(), &fixture.grant().scopes);
        assert_eq!(verified.jti(), "token-1");
        assert_eq!(verified.expires(), NOW + ACCESS_TOKEN_TTL);
        assert_eq!(verified.confirmation(), &confirmation);
    }
    let told = claims(&fixture.grant());
    assert_eq!(told.get("scope"), Some(&json!("accounts:read payments:write")));
    assert_eq!(told.pointer("/cnf/jkt"), Some(&json!(fixture.holder.verifying_key().thumbprint().as_str())));
}

#[test]
fn every_algorithm_of_the_list_signs_tokens() {
    for algorithm in Algorithm::ALL {
        let mut fixture = Fixture::new();
        fixture.signer = TestSigner::new(algorithm, "issuer-key");
        fixture.keys = KeySet::new(vec![fixture.signer.verifying_key()]).unwrap();
        assert!(fixture.verify_at(&fixture.sign(&claims(&fixture.grant())), NOW).is_ok(), "{algorithm}");
    }
}

#[test]
fn rs2_a_key_bound_token_is_no_bearer_token() {
    let fixture = Fixture::new();
    let (token, verified) = fixture.token(fixture.grant().confirmation);
    let (proof, shown) = (fixture.proof(&token, &fixture.holder), certificate([7; 32]));
    let found = bind(verified, Scheme::Bearer, Some(&proof), Some(&shown));
    assert_eq!(found.unwrap_err(), TokenError::WrongScheme);
}

#[test]
fn rs30_a_key_bound_token_needs_a_proof_of_its_own_key() {
    let fixture = Fixture::new();
    let (token, verified) = fixture.token(fixture.grant().confirmation);
    let shown = certificate([7; 32]);
    let bind = |proof: Option<&VerifiedProof>| bind(verified.clone(), Scheme::Dpop, proof, Some(&shown));
    assert_eq!(bind(None).unwrap_err(), TokenError::ProofMissing);
    let stranger = fixture.proof(&token, &TestSigner::es256("stranger"));
    assert_eq!(bind(Some(&stranger)).unwrap_err(), TokenError::WrongHolder);
    assert!(bind(Some(&fixture.proof(&token, &fixture.holder))).is_ok());
}

#[test]
fn rs29_a_proof_for_another_token_binds_nothing() {
    let fixture = Fixture::new();
    let (_, verified) = fixture.token(fixture.grant().confirmation);
    let other = fixture.sign(&claims(&AccessGrant { jti: "token-2".to_owned(), ..fixture.grant() }));
    let proof = fixture.proof(&other, &fixture.holder);
    let found = bind(verified.clone(), Scheme::Dpop, Some(&proof), None);
    assert_eq!(found.unwrap_err(), TokenError::ProofMissing);
    // Nor does one that was checked without any token, as at the token endpoint.
    let told = json!({"jti": "proof-1", "htm": "GET", "htu": AUDIENCE, "iat": NOW.seconds()});
    let raw = encode(proof::PROOF_TYPE, &told, Some(fixture.holder.bare_jwk()), &fixture.holder).unwrap();
    let expected = proof::Expected { method: "GET", target: AUDIENCE, token: None, nonces: Nonces::free() };
    let proof = proof::check(&raw, &expected, NOW).unwrap().accept(true).unwrap();
    assert_eq!(bind(verified, Scheme::Dpop, Some(&proof), None).unwrap_err(), TokenError::ProofMissing);
}

#[test]
fn rs40_a_certificate_bound_token_needs_the_certificate_of_this_connection() {
    let fixture = Fixture::new();
    let (token, verified) = fixture.token(Confirmation::X5tS256([7; 32]));
    let proof = fixture.proof(&token, &fixture.holder);
    let bind = |scheme, shown: Option<&PeerCertificate>| bind(verified.clone(), scheme, Some(&proof), shown);
    assert_eq!(bind(Scheme::Bearer, None).unwrap_err(), TokenError::WrongHolder);
    assert_eq!(bind(Scheme::Bearer, Some(&certificate([8; 32]))).unwrap_err(), TokenError::WrongHolder);
    assert_eq!(bind(Scheme::Dpop, Some(&certificate([7; 32]))).unwrap_err(), TokenError::WrongScheme);
    let bound = bind(Scheme::Bearer, Some(&certificate([7; 32]))).unwrap();
    assert_eq!(bound.token().jti(), "token-1");
}

#[test]
fn as53_the_certificates_hash_is_told_in_base64url() {
    let fixture = Fixture::new();
    let told = claims(&AccessGrant { confirmation: Confirmation::X5tS256([0xfb; 32]), ..fixture.grant() });
    assert_eq!(told.get("cnf"), Some(&json!({"x5t#S256": "-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s"})));
}

#[test]
fn rs4_each_failure_has_its_code() {
    for (error, code) in [
        (TokenError::UnknownScheme, Code::TokenMissing),
        (TokenError::Malformed, Code::TokenMalformed),
        (TokenError::Expired, Code::TokenExpired),
        (TokenError::Jws(JwsError::BadSignature), Code::TokenInvalid),
        (TokenError::WrongAudience, Code::TokenInvalid),
        (TokenError::Unbound, Code::TokenInvalid),
        (TokenError::ProofMissing, Code::ProofInvalid),
        (TokenError::WrongHolder, Code::TokenBindingFailed),
        (TokenError::WrongScheme, Code::TokenBindingFailed),
    ] {
        assert_eq!(error.code(), code, "{error}");
    }
}
