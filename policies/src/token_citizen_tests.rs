//! Tokens that speak for a citizen, and the names that they may have.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use serde_json::{Value, json};

use super::testing::{citizens_grant, own_grant};
use super::*;
use crate::grant::testing::{ISSUER, NOW};
use crate::issuer::tests::theirs;
use crate::jose::encode;
use crate::jose::testing::TestSigner;

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

    fn sign(&self, told: &Value) -> BearerToken {
        BearerToken::parse(&encode(ACCESS_TOKEN_TYPE, told, None, &self.signer).unwrap()).unwrap()
    }

    fn verify(&self, told: &Value) -> Result<VerifiedToken, TokenError> {
        verify(&self.sign(told), &Expected { issuer: ISSUER, audience: ISSUER, keys: &self.keys }, NOW)
    }

    fn verify_other(&self, told: &Value) -> Result<VerifiedToken, TokenError> {
        let expected = Expected { issuer: ISSUER, audience: ISSUER, keys: &self.keys };
        theirs(ISSUER, false).admit(verify_other(&self.sign(told), &expected, NOW)?)
    }
}

fn with(grant: &AccessGrant, name: &str, value: Option<Value>) -> Value {
    let mut told = claims(grant);
    let members = told.as_object_mut().unwrap();
    match value {
        Some(value) => members.insert(name.to_owned(), value),
        None => members.remove(name),
    };
    told
}

const OF_CITIZENS: [&str; 4] = ["grant_id", "authorization_details", "acr", "auth_time"];

#[test]
fn as73_all_that_is_said_of_a_citizen_is_said_or_nothing() {
    let fixture = Fixture::new();
    let citizens = citizens_grant();
    for left_out in OF_CITIZENS {
        let found = fixture.verify(&with(&citizens, left_out, None)).unwrap_err();
        assert_eq!(found, TokenError::Claim(ClaimError::Missing(left_out)));
    }
    // Nor is one of them enough to make a citizen's token of a client's own.
    for alone in OF_CITIZENS {
        let value = claims(&citizens).get(alone).cloned();
        assert!(matches!(fixture.verify(&with(&own_grant(), alone, value)), Err(TokenError::Claim(_))), "{alone}");
        let null = with(&own_grant(), alone, Some(json!(null)));
        assert!(matches!(fixture.verify(&null), Err(TokenError::Claim(_))), "{alone} null");
    }
}

#[test]
fn as73_every_claim_of_a_citizen_has_its_one_type() {
    let fixture = Fixture::new();
    let shapes = [
        json!(null),
        json!(true),
        json!("text"),
        json!(""),
        json!(1_800_000_000),
        json!(1_800_000_000.0),
        json!(1.5),
        json!(-1),
        json!(u64::MAX),
        json!([]),
        json!(["text"]),
        json!({}),
        json!({"a": 1}),
    ];
    for name in OF_CITIZENS {
        for shape in &shapes {
            let fits = match name {
                "grant_id" | "acr" => *shape == json!("text"),
                "auth_time" => *shape == json!(1_800_000_000),
                _ => false,
            };
            let found = fixture.verify(&with(&citizens_grant(), name, Some(shape.clone())));
            assert_eq!(found.is_ok(), fits, "{name}: {shape} gave {found:?}");
            if !fits {
                assert!(matches!(found, Err(TokenError::Claim(_))), "{name}: {shape}");
            }
        }
    }
}

#[test]
fn as73_claims_of_a_citizen_have_their_bounds() {
    let fixture = Fixture::new();
    let check = |name: &str, value: Value| fixture.verify(&with(&citizens_grant(), name, Some(value))).map(|_| ());
    for (name, value) in [
        ("grant_id", json!("g".repeat(65))),
        ("grant_id", json!("g h")),
        ("grant_id", json!("../g")),
        ("acr", json!("a".repeat(ACR_BYTES_MAX + 1))),
        ("auth_time", json!(253_402_300_800_i64)),
    ] {
        assert!(
            matches!(check(name, value.clone()), Err(TokenError::Claim(ClaimError::OutOfRange(_)))),
            "{name} {value}"
        );
    }
    assert_eq!(
        check("auth_time", json!(NOW.seconds() + 11)),
        Err(TokenError::NotYet),
        "nobody was authenticated later"
    );
    assert_eq!(check("auth_time", json!(NOW.seconds() + 10)), Ok(()));
    assert_eq!(check("acr", json!("a".repeat(ACR_BYTES_MAX))), Ok(()));
    assert_eq!(check("grant_id", json!("g".repeat(64))), Ok(()));
}

#[test]
fn as13_a_citizens_token_is_named_for_a_citizen_and_a_clients_for_the_client() {
    let fixture = Fixture::new();
    let wrong = TokenError::Claim(ClaimError::OutOfRange("sub"));
    for subject in ["fintech", "somebody", "Citizen:somebody", "citizens", " citizen:x"] {
        let found = fixture.verify(&with(&citizens_grant(), "sub", Some(json!(subject))));
        assert_eq!(found.unwrap_err(), wrong, "{subject}");
    }
    for subject in ["citizen:somebody", "citizen:", "another", "Fintech", "fintech "] {
        let found = fixture.verify(&with(&own_grant(), "sub", Some(json!(subject))));
        assert_eq!(found.unwrap_err(), wrong, "{subject}");
    }
    for client in ["citizen:somebody", "fintech:1", "a:b", ":"] {
        let found = fixture.verify(&with(&citizens_grant(), "client_id", Some(json!(client))));
        assert_eq!(found.unwrap_err(), TokenError::Claim(ClaimError::OutOfRange("client_id")), "{client}");
    }
}

#[test]
fn as73_what_a_citizen_has_granted_is_what_is_verified() {
    let fixture = Fixture::new();
    let (grant, told) = (citizens_grant(), claims(&citizens_grant()));
    let verified = fixture.verify(&told).unwrap();
    assert_eq!(verified.citizen(), grant.citizen.as_ref());
    assert_eq!((verified.subject(), verified.client().as_str()), ("citizen:somebody", "fintech"));
    // Nothing else is said of them (RFC 9068, section 6): no name, no number.
    let mut names: Vec<&str> = told.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    let expected = [
        "acr",
        "aud",
        "auth_time",
        "authorization_details",
        "client_id",
        "cnf",
        "exp",
        "grant_id",
        "iat",
        "iss",
        "jti",
        "scope",
        "sub",
    ];
    assert_eq!(names, expected);
    assert_eq!(told.get("aud"), Some(&json!(ISSUER)), "one resource, as one string");
}

#[test]
fn rs13_a_token_of_another_server_speaks_for_its_client_and_nobody_else() {
    let fixture = Fixture::new();
    let users = ClaimError::OutOfRange("sub");
    for subject in ["user-17", "citizen:somebody", "fintech ", "Fintech"] {
        for told in [own_grant(), citizens_grant()] {
            let found = fixture.verify_other(&with(&told, "sub", Some(json!(subject)))).unwrap_err();
            assert_eq!(found, TokenError::Claim(users), "{subject}");
        }
    }
    // What it tells of a citizen beside that is nothing to us.
    let itself = AccessGrant { subject: "fintech".to_owned(), ..citizens_grant() };
    for told in [
        claims(&itself),
        with(&itself, "authorization_details", Some(json!("x"))),
        with(&own_grant(), "grant_id", Some(json!(1))),
    ] {
        let verified = fixture.verify_other(&told).unwrap();
        assert_eq!(verified.citizen(), None, "{told}");
    }
    // Where policy says that it has users, one of them is its client, and no citizen of ours.
    let expected = Expected { issuer: ISSUER, audience: ISSUER, keys: &fixture.keys };
    for subject in ["user-17", "citizen:somebody"] {
        let token = fixture.sign(&with(&citizens_grant(), "sub", Some(json!(subject))));
        let verified = theirs(ISSUER, true).admit(verify_other(&token, &expected, NOW).unwrap()).unwrap();
        assert_eq!((verified.client().as_str(), verified.citizen()), ("fintech", None));
    }
    // Everything else is asked of it as of ours.
    let other = Expected { issuer: "https://other.example", audience: ISSUER, keys: &fixture.keys };
    let token = fixture.sign(&claims(&itself));
    assert_eq!(verify_other(&token, &other, NOW).unwrap_err(), TokenError::WrongIssuer);
    for (name, value) in
        [("iat", None), ("jti", None), ("sub", None), ("cnf", None), ("client_id", None), ("exp", None)]
    {
        assert!(fixture.verify_other(&with(&itself, name, value)).is_err(), "{name}");
    }
}

#[test]
fn rs13_a_token_of_another_server_lives_for_an_hour_at_most() {
    let fixture = Fixture::new();
    let until = |begun: Timestamp, end: Timestamp| {
        let told = claims(&AccessGrant { issued: begun, expires: end, ..own_grant() });
        fixture.verify_other(&told).map(|verified| verified.expires())
    };
    let second = Duration::from_secs(1);
    assert_eq!(until(NOW, NOW + OTHER_TOKEN_TTL_MAX + second), Err(TokenError::TooLongLived));
    assert_eq!(until(NOW - second, NOW + OTHER_TOKEN_TTL_MAX), Err(TokenError::TooLongLived));
    assert_eq!(until(NOW, NOW + OTHER_TOKEN_TTL_MAX), Ok(NOW + OTHER_TOKEN_TTL_MAX));
    // Ours can be taken back.
    let ours = claims(&AccessGrant { expires: NOW + OTHER_TOKEN_TTL_MAX + second, ..own_grant() });
    assert!(fixture.verify(&ours).is_ok());
}
