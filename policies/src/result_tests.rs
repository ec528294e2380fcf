#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use serde_json::json;

use super::*;
use crate::jose::encode;
use crate::jose::testing::TestSigner;

const ISSUER: &str = "https://gate.example";
const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const TICK: Duration = Duration::from_millis(1);

struct Fixture {
    signer: TestSigner,
    keys: KeySet,
}

impl Fixture {
    fn new() -> Self {
        let signer = TestSigner::es256("issuer-key");
        let keys = KeySet::new(vec![signer.verifying_key()]).unwrap();
        Self { signer, keys }
    }

    fn check(&self, typ: &str, claims: &Value, client: &str, now: Timestamp) -> Result<IdentityResult, ResultError> {
        let raw = encode(typ, claims, None, &self.signer).unwrap();
        check(&raw, &self.keys, ISSUER, &ClientId::parse(client).unwrap(), now)
    }

    fn of(&self, claims: &Value) -> Result<IdentityResult, ResultError> {
        self.check(RESULT_TYPE, claims, "fintech", NOW)
    }
}

fn grant() -> ResultGrant {
    ResultGrant {
        issuer: ISSUER.to_owned(),
        client: ClientId::parse("fintech").unwrap(),
        subject: "pairwise".to_owned(),
        verification: VerificationId::parse("ver-1").unwrap(),
        binding_hash: Some("binding".to_owned()),
        acr: "urn:qaqpa:acr:L2".to_owned(),
        amr: vec!["face".to_owned()],
        jti: "result-1".to_owned(),
        issued: NOW,
        expires: NOW + RESULT_TTL_MAX,
    }
}

fn with(name: &str, value: Option<Value>) -> Value {
    let mut claims = claims(&grant());
    let members = claims.as_object_mut().unwrap();
    match value {
        Some(value) => members.insert(name.to_owned(), value),
        None => members.remove(name),
    };
    claims
}

#[test]
fn c9_a_result_has_its_own_type() {
    let fixture = Fixture::new();
    for typ in ["JWT", "at+jwt", "dpop+jwt", "application/identity-result+jwt", ""] {
        let found = fixture.check(typ, &claims(&grant()), "fintech", NOW);
        assert_eq!(found, Err(ResultError::WrongType), "{typ}");
    }
}

#[test]
fn a_result_is_for_one_client() {
    let fixture = Fixture::new();
    let found = fixture.check(RESULT_TYPE, &claims(&grant()), "somebody", NOW);
    assert_eq!(found, Err(ResultError::WrongClient));
    let found = fixture.of(&with("aud", Some(json!(["fintech"]))));
    assert_eq!(found, Err(ResultError::Claim(ClaimError::WrongType("aud"))));
}

#[test]
fn a_result_of_another_issuer_or_key_is_refused() {
    let (fixture, other) = (Fixture::new(), Fixture::new());
    assert_eq!(fixture.of(&with("iss", Some(json!("https://evil.example")))), Err(ResultError::WrongIssuer));
    let raw = encode(RESULT_TYPE, &claims(&grant()), None, &other.signer).unwrap();
    let found = check(&raw, &fixture.keys, ISSUER, &grant().client, NOW);
    assert_eq!(found, Err(ResultError::Jws(JwsError::BadSignature)));
    let raw = encode(RESULT_TYPE, &claims(&grant()), Some(other.signer.bare_jwk()), &other.signer).unwrap();
    let found = check(&raw, &fixture.keys, ISSUER, &grant().client, NOW);
    assert_eq!(found, Err(ResultError::Jws(JwsError::EmbeddedKey)));
}

#[test]
fn a_result_lives_five_minutes_at_most() {
    let fixture = Fixture::new();
    let at = |now| fixture.check(RESULT_TYPE, &claims(&grant()), "fintech", now);
    let end = NOW + RESULT_TTL_MAX + LEEWAY;
    assert_eq!(at(end), Err(ResultError::Expired));
    let last = at(end - TICK).unwrap();
    assert!(!last.is_over(end - TICK) && last.is_over(end));
    assert_eq!(at(NOW - LEEWAY - TICK), Err(ResultError::NotNow));
    assert!(at(NOW - LEEWAY).is_ok());
    assert_eq!(fixture.of(&with("exp", Some(json!(NOW.seconds() + 301)))), Err(ResultError::NotNow));
    assert!(fixture.of(&with("exp", Some(json!(NOW.seconds() + 300)))).is_ok());
}

#[test]
fn every_claim_has_its_one_type() {
    let fixture = Fixture::new();
    for name in ["iss", "aud", "sub", "verification", "acr", "jti"] {
        assert_eq!(fixture.of(&with(name, None)), Err(ResultError::Claim(ClaimError::Missing(name))));
        for shape in [json!(null), json!(1), json!([]), json!({}), json!(["fintech"])] {
            let found = fixture.of(&with(name, Some(shape)));
            assert_eq!(found, Err(ResultError::Claim(ClaimError::WrongType(name))));
        }
    }
    for name in ["iat", "exp"] {
        assert_eq!(fixture.of(&with(name, None)), Err(ResultError::Claim(ClaimError::Missing(name))));
        for shape in [json!(null), json!("1800000000"), json!(1.8e9), json!([])] {
            let found = fixture.of(&with(name, Some(shape)));
            assert_eq!(found, Err(ResultError::Claim(ClaimError::WrongType(name))));
        }
    }
    for shape in [json!(null), json!(1), json!(["binding"])] {
        let found = fixture.of(&with("binding", Some(shape)));
        assert_eq!(found, Err(ResultError::Claim(ClaimError::WrongType("binding"))), "null is not unbound");
    }
    assert_eq!(
        fixture.of(&with("verification", Some(json!("a b")))),
        Err(ResultError::Claim(ClaimError::OutOfRange("verification")))
    );
    assert_eq!(
        fixture.of(&with("padding", Some(json!("p".repeat(RESULT_BYTES_MAX))))),
        Err(ResultError::Jws(JwsError::TooLong))
    );
}

#[test]
fn what_is_granted_is_what_is_checked() {
    let result = Fixture::new().of(&claims(&grant())).unwrap();
    assert_eq!(result.verification(), &grant().verification);
    assert_eq!((result.subject(), result.acr(), result.jti()), ("pairwise", "urn:qaqpa:acr:L2", "result-1"));
    assert_eq!((result.binding_hash(), result.expires()), (Some("binding"), NOW + RESULT_TTL_MAX));
    let unbound = Fixture::new();
    let result = unbound.of(&claims(&ResultGrant { binding_hash: None, ..grant() })).unwrap();
    assert_eq!(result.binding_hash(), None);
    assert_eq!(ResultError::Expired.code(), Code::VerificationFailed);
}
