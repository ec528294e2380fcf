#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::id::{OrganisationId, PlanId};
use crate::jose::testing::TestSigner;
use crate::jose::{Claims, KeySet, base64url, encode};
use crate::party::{ClientAuthentication, KeySource, OauthTerms, Organisation, Plan, ScopeSet, TokenBinding};
use crate::time::Timestamp;
use crate::token::{self, Expected, LEEWAY, VerifiedToken};

const OURS: &str = "https://gate.example";
const THEIRS: &str = "https://as.example";
const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const TICK: Duration = Duration::from_millis(1);

fn issuer(id: &str, told: &str, asked: bool) -> (IssuerId, Arc<Issuer>) {
    let url = Endpoint::parse("https://as.example/x", false).unwrap();
    let keys = if asked {
        let key = SecretReference::Environment("KEY".to_owned());
        IssuerKeys::Introspection { url, client: ClientId::parse("gate").unwrap(), key }
    } else {
        IssuerKeys::Jwks { url, algorithms: [Algorithm::Es256].into() }
    };
    let id = IssuerId::parse(id).unwrap();
    (
        id.clone(),
        Arc::new(Issuer {
            id,
            issuer: told.to_owned(),
            audience: None,
            keys,
            users: false,
            origin: "a.yaml:1".to_owned(),
        }),
    )
}

/// A server that signs its tokens.
pub(crate) fn theirs(told: &str, users: bool) -> Issuer {
    let (_, issuer) = issuer("theirs", told, false);
    Issuer { users, ..Arc::unwrap_or_clone(issuer) }
}

fn signed(claims: &Value) -> BearerToken {
    BearerToken::parse(&encode("at+jwt", claims, None, &TestSigner::es256("key")).unwrap()).unwrap()
}

fn id_of(source: Source<'_>) -> &str {
    match source {
        Source::Ours => "ours",
        Source::Theirs(issuer) => issuer.id.as_str(),
    }
}

#[test]
fn rs13_an_issuer_nobody_configured_selects_nothing() {
    let issuers = BTreeMap::from([issuer("ext", THEIRS, false), issuer("asked", "https://asked.example", true)]);
    for told in [
        json!("https://evil.example"),
        json!("https://as.example/"),
        json!("https://AS.example"),
        json!("http://as.example"),
        json!("https://as.example/../x"),
        json!("http://169.254.169.254/latest"),
        json!("file:///etc/passwd"),
        json!("ext"),
        json!(""),
    ] {
        let found = source(&signed(&json!({ "iss": told })), OURS, &issuers);
        assert_eq!(found.err(), Some(TokenError::WrongIssuer), "{told}");
    }
    for told in [json!({}), json!({"iss": null}), json!({"iss": [THEIRS]}), json!({"iss": 1}), json!({"iss": {}})] {
        assert!(matches!(source(&signed(&told), OURS, &issuers), Err(TokenError::Claim(_))), "{told}");
    }
    let of = |told: &str| id_of(source(&signed(&json!({ "iss": told })), OURS, &issuers).unwrap()).to_owned();
    assert_eq!(
        (of(OURS).as_str(), of(THEIRS).as_str(), of("https://asked.example").as_str()),
        ("ours", "ext", "asked")
    );
}

#[test]
fn rs13_an_opaque_token_is_asked_about_only_where_there_is_one_place_to_ask() {
    let opaque = BearerToken::parse("Kz~8mXK1EalYznwH-LC-1fBAo").unwrap();
    let of = |issuers: &BTreeMap<_, _>| source(&opaque, OURS, issuers).map(|found| id_of(found).to_owned());
    assert!(of(&BTreeMap::new()).is_err());
    assert!(of(&BTreeMap::from([issuer("keys", THEIRS, false)])).is_err());
    assert!(of(&BTreeMap::from([issuer("a", THEIRS, true), issuer("b", "https://b.example", true)])).is_err());
    let one = BTreeMap::from([issuer("keys", THEIRS, false), issuer("asked", "https://asked.example", true)]);
    assert_eq!(of(&one).unwrap(), "asked");
    // Something of three parts that is no signed object is no opaque token.
    let broken = BearerToken::parse("a.b.c").unwrap();
    assert!(source(&broken, OURS, &one).is_err());
}

#[test]
fn rs13_a_client_has_tokens_from_one_place_only() {
    let (id, theirs) = issuer("ext", THEIRS, false);
    let (_, other) = issuer("other", "https://b.example", false);
    let mut client = client();
    assert!(Source::Ours.serves(&client));
    assert!(!Source::Theirs(&theirs).serves(&client));
    client.oauth.issuer = Some(id);
    assert!(!Source::Ours.serves(&client));
    assert!(!Source::Theirs(&other).serves(&client));
    assert!(Source::Theirs(&theirs).serves(&client));
}

fn client() -> Client {
    Client {
        id: ClientId::parse("fintech").unwrap(),
        organisation: Arc::new(Organisation {
            id: OrganisationId::parse("demo").unwrap(),
            title: "Demo".to_owned(),
            roles: BTreeSet::new(),
            licence_ends: NOW,
            suspended: false,
            networks: Vec::new(),
        }),
        authentication: ClientAuthentication::PrivateKeyJwt(KeySource::Given(KeySet::default())),
        binding: TokenBinding::Dpop,
        scopes: ScopeSet::default(),
        plan: Arc::new(Plan { id: PlanId::parse("standard").unwrap(), limits: Vec::new() }),
        suspended: false,
        webhook: None,
        oauth: OauthTerms::default(),
    }
}

fn answer() -> Value {
    let thumbprint = TestSigner::es256("holder").verifying_key().thumbprint().as_str().to_owned();
    json!({
        "active": true, "iss": THEIRS, "aud": OURS, "exp": NOW.seconds() + 60, "client_id": "fintech",
        "scope": "accounts:read", "token_type": "DPoP", "cnf": {"jkt": thumbprint},
    })
}

fn judged(answer: &Value) -> Result<Option<VerifiedToken>, TokenError> {
    let token = BearerToken::parse("opaque").unwrap();
    let expected = Expected { issuer: THEIRS, audience: OURS, keys: &KeySet::default() };
    let word = token::introspected(&Claims::parse(answer.to_string().as_bytes()).unwrap(), &token, &expected, NOW)?;
    word.map(|verified| issuer("theirs", THEIRS, true).1.admit(verified)).transpose()
}

fn with(name: &str, value: Value) -> Result<Option<VerifiedToken>, TokenError> {
    let mut told = answer();
    told.as_object_mut().unwrap().insert(name.to_owned(), value);
    judged(&told)
}

#[test]
fn rs12_an_answer_has_to_say_all_that_a_token_is_judged_by() {
    for name in ["active", "iss", "aud", "exp", "client_id", "cnf", "token_type"] {
        let mut told = answer();
        told.as_object_mut().unwrap().remove(name);
        assert!(judged(&told).is_err(), "{name}");
        assert!(with(name, Value::Null).is_err(), "{name}");
        assert!(with(name, json!([])).is_err(), "{name}");
        assert!(with(name, json!(1.5)).is_err(), "{name}");
    }
    for active in [json!("true"), json!(1), json!({}), json!("active")] {
        assert!(with("active", active).is_err());
    }
    assert!(with("active", json!(false)).unwrap().is_none());
    assert!(judged(&json!({"active": false})).unwrap().is_none());
}

#[test]
fn rs12_an_answer_about_another_token_is_refused() {
    for issuer in [OURS, "https://as.example/", "https://other.example", ""] {
        assert_eq!(with("iss", json!(issuer)).unwrap_err(), TokenError::WrongIssuer);
    }
    for audience in [json!(THEIRS), json!(["https://other.example"]), json!([]), json!("")] {
        assert_eq!(with("aud", audience).unwrap_err(), TokenError::WrongAudience);
    }
    assert!(with("aud", json!(["https://other.example", OURS])).unwrap().is_some());
    for kind in ["Bearer", "refresh_token", "N_A", "", "mac"] {
        assert_eq!(with("token_type", json!(kind)).unwrap_err(), TokenError::WrongType, "{kind}");
    }
    assert!(with("token_type", json!("dpop")).unwrap().is_some());
    let both = json!({"jkt": answer()["cnf"]["jkt"], "x5t#S256": base64url(&[1; 32])});
    for bound in [json!({}), json!({"jkt": ""}), json!({"kid": "a"}), both] {
        assert_eq!(with("cnf", bound).unwrap_err(), TokenError::Unbound);
    }
    let mut bound = answer();
    bound["cnf"] = json!({"x5t#S256": base64url(&[1; 32])});
    assert_eq!(judged(&bound).unwrap_err(), TokenError::WrongType);
    bound["token_type"] = json!("Bearer");
    assert!(judged(&bound).unwrap().is_some());
}

#[test]
fn rs12_what_is_over_or_has_not_begun_is_refused_whatever_the_answer_says() {
    let over = NOW - LEEWAY;
    assert_eq!(with("exp", json!(over.seconds())).unwrap_err(), TokenError::Expired);
    assert!(with("exp", json!(over.seconds() + 1)).unwrap().is_some());
    let ahead = (NOW + LEEWAY).seconds();
    for name in ["iat", "nbf"] {
        assert_eq!(with(name, json!(ahead + 1)).unwrap_err(), TokenError::NotYet);
        assert!(with(name, json!(ahead)).unwrap().is_some());
    }
    let verified = judged(&answer()).unwrap().unwrap();
    assert!(verified.is_over(verified.expires() + LEEWAY) && !verified.is_over(verified.expires() + LEEWAY - TICK));
}

#[test]
fn rs12_a_token_without_a_subject_speaks_for_its_client() {
    let verified = judged(&answer()).unwrap().unwrap();
    assert_eq!((verified.subject(), verified.client().as_str()), ("fintech", "fintech"));
    let hash = BearerToken::parse("opaque").unwrap().hash();
    assert_eq!(verified.jti(), base64url(&hash));
    let users = ["someone", "citizen:someone", "fintech "].map(|subject| ("sub", json!(subject)));
    let unreadable = [("sub", json!("")), ("jti", json!("")), ("sub", json!(1)), ("client_id", json!("a b"))];
    for (name, value) in unreadable.into_iter().chain(users) {
        assert!(with(name, value.clone()).is_err(), "{name}: {value}");
    }
    assert_eq!(with("sub", json!("fintech")).unwrap().unwrap().subject(), "fintech");
    assert!(verified.citizen().is_none());
}
