#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::code::Code;
use crate::id::{ClientId, OrganisationId, PlanId};
use crate::jose::testing::{TestSigner, sign_raw};
use crate::jose::{Algorithm, ClaimError, JwsError, KeySet, Thumbprint, base64url, counted, encode};
use crate::nonce::Nonces;
use crate::party::{
    CertificateName, Client, ClientAuthentication, KeySource, OauthTerms, Organisation, Plan, ScopeSet, TokenBinding,
};
use crate::peer::{CertificateNames, ChainVerdict, PeerCertificate};
use crate::proof::{self, VerifiedProof};
use crate::time::Timestamp;
use crate::token::{ACCESS_TOKEN_TTL, AccessGrant, Confirmation, LEEWAY};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

const ISSUER: &str = "https://gate.example";
const RESOURCE: &str = "https://gate.example/api";
const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const TICK: Duration = Duration::from_millis(1);
const SAN: &str = "app.fintech.example";

struct Fixture {
    signer: TestSigner,
}

impl Fixture {
    fn new() -> Self {
        Self { signer: TestSigner::es256("client-key") }
    }

    fn client(&self) -> Client {
        let organisation = Organisation {
            id: OrganisationId::parse("org").unwrap(),
            title: "Org".to_owned(),
            roles: BTreeSet::new(),
            licence_ends: NOW + Duration::from_secs(86_400),
            suspended: false,
            networks: Vec::new(),
        };
        Client {
            id: ClientId::parse("fintech").unwrap(),
            organisation: Arc::new(organisation),
            authentication: ClientAuthentication::PrivateKeyJwt(KeySource::Given(
                KeySet::new(vec![self.signer.verifying_key()]).unwrap(),
            )),
            binding: TokenBinding::Either,
            scopes: ScopeSet::of(["accounts:read", "payments:write"]),
            plan: Arc::new(Plan { id: PlanId::parse("standard").unwrap(), limits: vec![] }),
            suspended: false,
            webhook: None,
            oauth: OauthTerms::default(),
        }
    }

    fn assertion(&self, claims: &Value) -> String {
        encode("JWT", claims, None, &self.signer).unwrap()
    }

    fn check(&self, assertion: &str, now: Timestamp) -> Result<CheckedAssertion, GrantError> {
        check(&request(&[("client_assertion", assertion)]), &Arc::new(self.client()), now)
    }

    fn with(&self, name: &str, value: Option<Value>) -> Result<CheckedAssertion, GrantError> {
        self.check(&self.assertion(&with(name, value)), NOW)
    }

    fn authenticated(&self, client: Client, scope: Option<&str>) -> AuthenticatedClient {
        let assertion = self.assertion(&good());
        let mut form = vec![("client_assertion", assertion.as_str())];
        form.extend(scope.map(|scope| ("scope", scope)));
        check(&request(&form), &Arc::new(client), NOW).unwrap().accept(true).unwrap()
    }
}

fn good() -> Value {
    let (iat, exp) = (NOW.seconds(), NOW.seconds() + 60);
    json!({"iss": "fintech", "sub": "fintech", "aud": ISSUER, "jti": "assertion-1", "iat": iat, "exp": exp})
}

fn with(name: &str, value: Option<Value>) -> Value {
    let mut claims = good();
    let members = claims.as_object_mut().unwrap();
    match value {
        Some(value) => members.insert(name.to_owned(), value),
        None => members.remove(name),
    };
    claims
}

fn form(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

// A token request with these parameters; the two that never vary are added.
fn request(pairs: &[(&str, &str)]) -> ClientForm {
    let mut all = form(pairs);
    all.push(("grant_type".to_owned(), "client_credentials".to_owned()));
    if pairs.iter().any(|(name, _)| *name == "client_assertion") {
        all.push(("client_assertion_type".to_owned(), ASSERTION_TYPE.to_owned()));
    }
    ClientForm::parse(&all).unwrap()
}

// Under the keys that the client has in the policy.
fn check(form: &ClientForm, client: &Arc<Client>, now: Timestamp) -> Result<CheckedAssertion, GrantError> {
    let keys = match &client.authentication {
        ClientAuthentication::PrivateKeyJwt(KeySource::Given(keys)) => keys.clone(),
        _ => KeySet::default(),
    };
    check_assertion(form, client, &keys, ISSUER, now)
}

fn refusal(pairs: &[(&str, &str)]) -> GrantError {
    ClientForm::parse(&form(pairs)).and_then(|form| TokenRequest::parse(&form)).unwrap_err()
}

fn certificate(names: &[&str], verified: bool) -> PeerCertificate {
    let verdict = if verified { ChainVerdict::Verified(Arc::from("authority")) } else { ChainVerdict::Unverified };
    let dns = names.iter().map(|name| (*name).to_owned()).collect();
    PeerCertificate::from_handshake([7; 32], CertificateNames { dns, ..CertificateNames::default() }, verdict)
}

fn proof() -> (VerifiedProof, Thumbprint) {
    let holder = TestSigner::es256("holder");
    let claims = json!({"jti": "p", "htm": "POST", "htu": "https://gate.example/token", "iat": NOW.seconds()});
    let raw = encode(proof::PROOF_TYPE, &claims, Some(holder.bare_jwk()), &holder).unwrap();
    let nonces = Nonces::free();
    let expected = proof::Expected { method: "POST", target: "https://gate.example/token", token: None, nonces };
    let verified = proof::check(&raw, &expected, NOW).unwrap().accept(true).unwrap();
    (verified, holder.verifying_key().thumbprint().clone())
}

#[test]
fn a_parameter_twice_is_refused_even_an_unknown_one() {
    for name in ["grant_type", "scope", "client_id", "client_assertion", "whatever"] {
        let pairs = [("grant_type", "client_credentials"), (name, "a"), (name, "a")];
        assert_eq!(refusal(&pairs), GrantError::Repeated(name.to_owned()));
    }
    // Empty counts as left out, but twice is twice.
    let pairs = [("grant_type", "client_credentials"), ("scope", ""), ("scope", "a")];
    assert_eq!(refusal(&pairs), GrantError::Repeated("scope".to_owned()));
}

#[test]
fn as2_other_grants_are_not_offered() {
    for grant in [
        "password",
        "implicit",
        "Client_Credentials",
        "client_credentials ",
        "token",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
    ] {
        assert_eq!(refusal(&[("grant_type", grant)]), GrantError::UnsupportedGrantType, "{grant}");
    }
    assert_eq!(refusal(&[]), GrantError::Missing("grant_type"));
    assert_eq!(refusal(&[("grant_type", "")]), GrantError::Missing("grant_type"));
}

#[test]
fn as3_as7_a_shared_secret_is_refused_even_beside_an_assertion() {
    let secret = ("client_secret", "hunter2");
    assert_eq!(refusal(&[("grant_type", "client_credentials"), secret]), GrantError::SecretRefused);
    let pairs = [
        ("grant_type", "client_credentials"),
        secret,
        ("client_assertion", "x"),
        ("client_assertion_type", ASSERTION_TYPE),
    ];
    assert_eq!(refusal(&pairs), GrantError::TwoMethods);
    assert_eq!(GrantError::SecretRefused.code(), Code::OauthInvalidClient);
    assert_eq!(GrantError::TwoMethods.code(), Code::OauthInvalidRequest);
}

#[test]
fn an_assertion_comes_with_its_type_and_within_its_size() {
    let base = ("grant_type", "client_credentials");
    assert_eq!(refusal(&[base, ("client_assertion", "x")]), GrantError::Missing("client_assertion_type"));
    assert_eq!(refusal(&[base, ("client_assertion_type", ASSERTION_TYPE)]), GrantError::Missing("client_assertion"));
    let saml = ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer");
    assert_eq!(refusal(&[base, ("client_assertion", "x"), saml]), GrantError::Malformed("client_assertion_type"));
    let sized = |bytes: usize| {
        let text = "x".repeat(bytes);
        ClientForm::parse(&form(&[base, ("client_assertion", &text), ("client_assertion_type", ASSERTION_TYPE)]))
    };
    assert_eq!(sized(ASSERTION_BYTES_MAX + 1).unwrap_err(), GrantError::TooLarge);
    assert!(sized(ASSERTION_BYTES_MAX).is_ok());
}

#[test]
fn a_form_is_bounded_on_both_sides() {
    let many = |count: usize| {
        let mut all = form(&[("grant_type", "client_credentials")]);
        all.extend((1..count).map(|index| (format!("p{index}"), "v".to_owned())));
        ClientForm::parse(&all).map(|_| ())
    };
    assert_eq!(many(PARAMETERS_MAX + 1), Err(GrantError::TooLarge));
    assert_eq!(many(PARAMETERS_MAX), Ok(()));
    let scoped =
        |bytes: usize| ClientForm::parse(&form(&[("grant_type", "client_credentials"), ("scope", &"s".repeat(bytes))]));
    assert_eq!(scoped(SCOPE_BYTES_MAX + 1).unwrap_err(), GrantError::TooLarge);
    assert!(scoped(SCOPE_BYTES_MAX).is_ok());
    assert_eq!(
        refusal(&[("grant_type", "client_credentials"), ("client_id", "a b")]),
        GrantError::Malformed("client_id")
    );
}

#[test]
fn an_assertion_is_never_shown() {
    assert!(!format!("{:?}", request(&[("client_assertion", "eyJ-secret")])).contains("eyJ-secret"));
}

#[test]
fn as7_the_parts_of_a_request_name_one_client() {
    let fixture = Fixture::new();
    let assertion = fixture.assertion(&good());
    assert_eq!(client_id_of(&request(&[])), Err(GrantError::Missing("client_id")));
    let differing = request(&[("client_assertion", &assertion), ("client_id", "somebody")]);
    assert_eq!(client_id_of(&differing), Err(GrantError::WrongClient));
    let checked = check(&differing, &Arc::new(fixture.client()), NOW);
    assert_eq!(checked.unwrap_err(), GrantError::WrongClient);
    let told = |pairs: &[(&str, &str)]| client_id_of(&request(pairs)).unwrap().to_string();
    assert_eq!(told(&[("client_id", "fintech")]), "fintech");
    assert_eq!(told(&[("client_assertion", &assertion)]), "fintech");
    assert_eq!(told(&[("client_assertion", &assertion), ("client_id", "fintech")]), "fintech");
    for assertion in
        ["garbage", &fixture.assertion(&with("iss", None)), &fixture.assertion(&with("iss", Some(json!("a b"))))]
    {
        assert!(client_id_of(&request(&[("client_assertion", assertion)])).is_err());
    }
}

#[test]
fn as7_a_certificate_beside_an_assertion_is_no_second_authentication() {
    let fixture = Fixture::new();
    let client = Arc::new(Client {
        authentication: ClientAuthentication::TlsClientAuth(CertificateName::SanDns(SAN.to_owned())),
        ..fixture.client()
    });
    let both = request(&[("client_assertion", &fixture.assertion(&good())), ("client_id", "fintech")]);
    let shown = certificate(&[SAN], true);
    // A stranger is not told which way the client goes.
    assert_eq!(check_certificate(&both, &client, None).unwrap_err(), GrantError::WrongMethod);
    assert_eq!(check_certificate(&both, &client, Some(&certificate(&[], true))).unwrap_err(), GrantError::WrongMethod);
    assert_eq!(check_certificate(&both, &client, Some(&shown)).unwrap_err(), GrantError::TwoMethods);
    assert_eq!(GrantError::TwoMethods.code(), Code::OauthInvalidRequest);
}

#[test]
fn as6_issuer_and_subject_are_the_client() {
    let fixture = Fixture::new();
    for name in ["iss", "sub"] {
        assert_eq!(fixture.with(name, Some(json!("somebody"))).unwrap_err(), GrantError::WrongClient);
        assert_eq!(fixture.with(name, Some(json!("Fintech"))).unwrap_err(), GrantError::WrongClient);
        assert_eq!(fixture.with(name, None).unwrap_err(), GrantError::Claim(ClaimError::Missing(name)));
    }
}

#[test]
fn as6_the_audience_is_the_issuer_as_one_string() {
    let fixture = Fixture::new();
    for audience in
        ["https://gate.example/", "https://gate.example/token", "https://gate.example/par", "https://GATE.example", ""]
    {
        assert_eq!(fixture.with("aud", Some(json!(audience))).unwrap_err(), GrantError::WrongAudience, "{audience}");
    }
    for audience in [json!([ISSUER]), json!([ISSUER, "x"]), json!(null), json!(1), json!({"a": ISSUER})] {
        assert_eq!(fixture.with("aud", Some(audience)).unwrap_err(), GrantError::Claim(ClaimError::WrongType("aud")));
    }
    assert_eq!(fixture.with("aud", None).unwrap_err(), GrantError::Claim(ClaimError::Missing("aud")));
}

#[test]
fn as6_an_assertion_ends_and_not_too_late() {
    let fixture = Fixture::new();
    let seconds = NOW.seconds();
    let at = |exp: i64| fixture.with("exp", Some(json!(exp)));
    assert_eq!(at(seconds - 10).unwrap_err(), GrantError::NotNow);
    assert!(at(seconds - 9).is_ok());
    assert!(at(seconds + 310).is_ok());
    assert_eq!(at(seconds + 311).unwrap_err(), GrantError::NotNow);
    assert_eq!(fixture.with("exp", None).unwrap_err(), GrantError::Claim(ClaimError::Missing("exp")));
    let assertion = fixture.assertion(&good());
    let end = NOW + Duration::from_secs(60) + LEEWAY;
    assert_eq!(fixture.check(&assertion, end).unwrap_err(), GrantError::NotNow);
    assert!(fixture.check(&assertion, end - TICK).is_ok());
}

#[test]
fn c11_an_assertion_begins_at_most_thirty_seconds_ahead() {
    let fixture = Fixture::new();
    let seconds = NOW.seconds();
    for name in ["iat", "nbf"] {
        assert_eq!(fixture.with(name, Some(json!(seconds + 61))).unwrap_err(), GrantError::NotNow);
        assert_eq!(fixture.with(name, Some(json!(seconds + 31))).unwrap_err(), GrantError::NotNow);
        assert!(fixture.with(name, Some(json!(seconds + 30))).is_ok());
        assert!(fixture.with(name, Some(json!(seconds + 10))).is_ok());
        assert!(fixture.with(name, None).is_ok());
    }
}

// Class 11 of security.md section 3.
#[test]
fn as6_every_claim_has_its_one_type() {
    let fixture = Fixture::new();
    for name in ["iss", "sub", "jti"] {
        for shape in [json!(null), json!(1), json!(true), json!(["fintech"]), json!({"a": "fintech"})] {
            assert_eq!(fixture.with(name, Some(shape)).unwrap_err(), GrantError::Claim(ClaimError::WrongType(name)));
        }
    }
    for name in ["exp", "iat", "nbf"] {
        let seconds = NOW.seconds();
        for shape in
            [json!(null), json!(seconds.to_string()), json!(seconds as f64), json!([seconds]), json!({"a": seconds})]
        {
            let found = fixture.with(name, Some(shape.clone()));
            assert_eq!(found.unwrap_err(), GrantError::Claim(ClaimError::WrongType(name)), "{shape}");
        }
        for shape in [json!(-1), json!(u64::MAX), json!(253_402_300_800_i64)] {
            assert_eq!(fixture.with(name, Some(shape)).unwrap_err(), GrantError::Claim(ClaimError::OutOfRange(name)));
        }
    }
    for jti in [String::new(), "j".repeat(129)] {
        assert_eq!(
            fixture.with("jti", Some(json!(jti))).unwrap_err(),
            GrantError::Claim(ClaimError::OutOfRange("jti"))
        );
    }
    assert_eq!(fixture.with("jti", None).unwrap_err(), GrantError::Claim(ClaimError::Missing("jti")));
}

#[test]
fn c9_an_assertion_has_no_other_type() {
    let fixture = Fixture::new();
    for typ in ["at+jwt", "dpop+jwt", "identity-result+jwt", "jwt", "", "client-authentication+JWT"] {
        let raw = encode(typ, &good(), None, &fixture.signer).unwrap();
        assert_eq!(fixture.check(&raw, NOW).unwrap_err(), GrantError::WrongType, "{typ}");
    }
    let raw = encode("client-authentication+jwt", &good(), None, &fixture.signer).unwrap();
    assert!(fixture.check(&raw, NOW).is_ok());
    assert!(fixture.check(&sign_raw(r#"{"alg":"ES256"}"#, &good().to_string(), &fixture.signer), NOW).is_ok());
}

#[test]
fn as6_only_the_clients_own_key_counts() {
    let fixture = Fixture::new();
    let stranger = TestSigner::es256("client-key");
    let raw = encode("JWT", &good(), None, &stranger).unwrap();
    assert_eq!(fixture.check(&raw, NOW).unwrap_err(), GrantError::Jws(JwsError::BadSignature));
    let raw = encode("JWT", &good(), None, &TestSigner::es256("unknown")).unwrap();
    assert_eq!(fixture.check(&raw, NOW).unwrap_err(), GrantError::Jws(JwsError::UnknownKey));
    let raw = encode("JWT", &good(), Some(stranger.bare_jwk()), &stranger).unwrap();
    assert_eq!(fixture.check(&raw, NOW).unwrap_err(), GrantError::Jws(JwsError::EmbeddedKey));
    let raw = encode("JWT", &good(), None, &TestSigner::new(Algorithm::EdDsa, "client-key")).unwrap();
    assert_eq!(fixture.check(&raw, NOW).unwrap_err(), GrantError::Jws(JwsError::UnknownKey));
    // The public key as the secret of a MAC.
    let header = base64url(br#"{"alg":"HS256","typ":"JWT"}"#);
    let input = format!("{header}.{}", base64url(good().to_string().as_bytes()));
    let mac = crate::jose::hmac_sha256(fixture.signer.bare_jwk().to_string().as_bytes(), input.as_bytes());
    let raw = format!("{input}.{}", base64url(&mac));
    assert_eq!(fixture.check(&raw, NOW).unwrap_err(), GrantError::Jws(JwsError::UnsupportedAlgorithm));
}

#[test]
fn as6_an_assertion_is_used_once_and_remembered_longer_than_it_lives() {
    let fixture = Fixture::new();
    let checked = fixture.with("iat", None).unwrap();
    assert!(checked.keep_until() >= NOW + Duration::from_secs(60) + LEEWAY);
    assert_eq!(checked.replay_key(), fixture.check(&fixture.assertion(&good()), NOW).unwrap().replay_key());
    assert_ne!(checked.replay_key(), fixture.with("jti", Some(json!("assertion-2"))).unwrap().replay_key());
    // Another client may have thought of the same jti.
    let namesake = Arc::new(Client { id: ClientId::parse("namesake").unwrap(), ..fixture.client() });
    let mut claims = with("iss", Some(json!("namesake")));
    claims.as_object_mut().unwrap().insert("sub".to_owned(), json!("namesake"));
    let asked = request(&[("client_assertion", &fixture.assertion(&claims))]);
    let other = check(&asked, &namesake, NOW).unwrap();
    assert_ne!(checked.replay_key(), other.replay_key());
    let replayed = checked.accept(false).unwrap_err();
    assert_eq!((replayed.code(), replayed), (Code::OauthInvalidClient, GrantError::Replayed));
}

// All checks of signatures, and those of them under a stand-in, that refusing takes.
fn refusal_cost<T>(work: impl FnOnce() -> Result<T, GrantError>) -> (GrantError, u32, u32) {
    let (found, counts) = counted::during(work);
    (found.err().unwrap(), counts.checks, counts.stand_ins)
}

#[test]
fn as11_every_refused_assertion_costs_one_signature_check() {
    let fixture = Fixture::new();
    let client = Arc::new(fixture.client());
    let by_certificate = ClientAuthentication::TlsClientAuth(CertificateName::SanDns(SAN.to_owned()));
    let by_certificate = Arc::new(Client { authentication: by_certificate, ..fixture.client() });
    let self_signed = ClientAuthentication::SelfSignedTlsClientAuth(BTreeSet::from([[7; 32]]));
    let self_signed = Arc::new(Client { authentication: self_signed, ..fixture.client() });
    let shown = certificate(&[SAN], true);
    for algorithm in Algorithm::ALL {
        let thief = TestSigner::new(algorithm, "unknown");
        let raw = encode("JWT", &good(), None, &thief).unwrap();
        let asked = request(&[("client_assertion", &raw)]);
        let unknown = refusal_cost(|| Err::<(), _>(refuse_unknown(&asked, ISSUER, NOW)));
        assert_eq!(unknown, (GrantError::UnknownClient, 1, 1), "{algorithm}");
        let method = refusal_cost(|| check(&asked, &by_certificate, NOW));
        assert_eq!(method, (GrantError::WrongMethod, 1, 1), "{algorithm}");
        let method = refusal_cost(|| check_certificate(&asked, &by_certificate, None));
        assert_eq!(method, (GrantError::WrongMethod, 1, 1), "{algorithm}");
        let method = refusal_cost(|| check_certificate(&asked, &client, None));
        assert_eq!(method, (GrantError::WrongMethod, 1, 1), "{algorithm}");
        let method = refusal_cost(|| check_certificate(&asked, &self_signed, None));
        assert_eq!(method, (GrantError::WrongMethod, 1, 1), "{algorithm}");
        for client in [&by_certificate, &self_signed] {
            let both = refusal_cost(|| check_certificate(&asked, client, Some(&shown)));
            assert_eq!(both, (GrantError::TwoMethods, 1, 1), "{algorithm}");
        }
        let key = refusal_cost(|| check(&asked, &client, NOW));
        assert_eq!(key, (GrantError::Jws(JwsError::UnknownKey), 1, 1), "{algorithm}");
        let differing = request(&[("client_assertion", &raw), ("client_id", "somebody")]);
        let other = refusal_cost(|| check(&differing, &client, NOW));
        assert_eq!(other, (GrantError::WrongClient, 1, 1), "{algorithm}");
    }
    let refused = |raw: &str| refusal_cost(|| fixture.check(raw, NOW));
    let of_another_algorithm = TestSigner::new(Algorithm::EdDsa, "client-key");
    let raw = encode("JWT", &good(), None, &of_another_algorithm).unwrap();
    assert_eq!(refused(&raw), (GrantError::Jws(JwsError::UnknownKey), 1, 1));
    let raw = encode("JWT", &good(), Some(fixture.signer.bare_jwk()), &fixture.signer).unwrap();
    assert_eq!(refused(&raw), (GrantError::Jws(JwsError::EmbeddedKey), 1, 1));
    let raw = encode("JWT", &good(), None, &TestSigner::es256("client-key")).unwrap();
    assert_eq!(refused(&raw), (GrantError::Jws(JwsError::BadSignature), 1, 0));
    let raw = encode("at+jwt", &good(), None, &fixture.signer).unwrap();
    assert_eq!(refused(&raw), (GrantError::WrongType, 1, 1));
}

#[test]
fn as11_wrong_claims_cost_the_same_for_known_and_unknown_clients() {
    let fixture = Fixture::new();
    let wrong = [
        ("iss", None),
        ("iss", Some(json!("a b"))),
        ("sub", Some(json!("somebody"))),
        ("aud", Some(json!("https://other.example"))),
        ("jti", None),
        ("exp", Some(json!(NOW.seconds() - 60))),
        ("iat", Some(json!(NOW.seconds() + 60))),
    ];
    for (name, value) in wrong {
        let raw = fixture.assertion(&with(name, value));
        let asked = request(&[("client_assertion", &raw)]);
        let ((), known) = counted::during(|| drop(fixture.check(&raw, NOW).unwrap_err()));
        let ((), unknown) = counted::during(|| drop(refuse_unknown(&asked, ISSUER, NOW)));
        assert_eq!((known.checks, known.stand_ins), (1, 1), "{name}");
        assert_eq!(unknown, known, "{name}");
    }
}

#[test]
fn as11_what_is_no_jws_is_cheap_for_everybody_and_a_right_assertion_is_checked_once() {
    let fixture = Fixture::new();
    let client = Arc::new(fixture.client());
    let by_certificate = ClientAuthentication::TlsClientAuth(CertificateName::SanDns(SAN.to_owned()));
    let by_certificate = Arc::new(Client { authentication: by_certificate, ..fixture.client() });
    let unsupported = sign_raw(r#"{"alg":"RS256"}"#, &good().to_string(), &fixture.signer);
    let forms = ["garbage", "a.b.c", unsupported.as_str()].map(|raw| request(&[("client_assertion", raw)]));
    for asked in forms.iter().chain([&request(&[("client_id", "fintech")])]) {
        let ((), counts) = counted::during(|| {
            drop(refuse_unknown(asked, ISSUER, NOW));
            drop(check(asked, &client, NOW).unwrap_err());
            drop(check(asked, &by_certificate, NOW).unwrap_err());
            drop(check_certificate(asked, &by_certificate, None).unwrap_err());
        });
        assert_eq!((counts.checks, counts.stand_ins), (0, 0));
    }
    let (checked, counts) = counted::during(|| fixture.check(&fixture.assertion(&good()), NOW));
    assert!(checked.is_ok());
    assert_eq!((counts.checks, counts.stand_ins), (1, 0));
}

#[test]
fn as11_every_failure_of_authentication_is_told_alike() {
    for error in [
        GrantError::UnknownClient,
        GrantError::WrongMethod,
        GrantError::WrongClient,
        GrantError::WrongType,
        GrantError::WrongAudience,
        GrantError::NotNow,
        GrantError::Replayed,
        GrantError::WrongCertificate,
        GrantError::Jws(JwsError::BadSignature),
        GrantError::Claim(ClaimError::Missing("exp")),
    ] {
        assert_eq!(error.to_string(), GrantError::UnknownClient.to_string());
        assert_eq!(error.code(), Code::OauthInvalidClient);
    }
}

#[test]
fn as11_an_unknown_client_is_refused_like_a_wrong_one() {
    let fixture = Fixture::new();
    for assertion in [fixture.assertion(&good()), fixture.assertion(&with("exp", None)), "garbage".to_owned()] {
        let asked = request(&[("client_assertion", &assertion)]);
        assert_eq!(refuse_unknown(&asked, ISSUER, NOW), GrantError::UnknownClient);
    }
    assert_eq!(refuse_unknown(&request(&[("client_id", "nobody")]), ISSUER, NOW), GrantError::UnknownClient);
    // Nor does leaving the assertion out tell anything.
    let found = check(&request(&[("client_id", "fintech")]), &Arc::new(fixture.client()), NOW);
    assert_eq!(found.unwrap_err(), GrantError::WrongMethod);
}

#[test]
fn as50_a_certificate_needs_a_verified_chain_and_the_one_name() {
    let fixture = Fixture::new();
    let authentication = ClientAuthentication::TlsClientAuth(CertificateName::SanDns(SAN.to_owned()));
    let client = Arc::new(Client { authentication, ..fixture.client() });
    let asked = request(&[("client_id", "fintech")]);
    let check = |shown: Option<&PeerCertificate>| check_certificate(&asked, &client, shown).map(|_| ());
    assert_eq!(check(None), Err(GrantError::WrongCertificate));
    assert_eq!(check(Some(&certificate(&[SAN], false))), Err(GrantError::WrongCertificate));
    for names in [
        vec![],
        vec![""],
        vec!["fintech.example"],
        vec!["x.app.fintech.example"],
        vec!["*.fintech.example"],
        vec!["app.fintech.example.evil.example"],
        vec!["app.fintech.example."],
    ] {
        assert_eq!(check(Some(&certificate(&names, true))), Err(GrantError::WrongCertificate), "{names:?}");
    }
    assert_eq!(check(Some(&certificate(&["other.example", "APP.fintech.example"], true))), Ok(()));
}

#[test]
fn as52_a_certificate_needs_the_client_id() {
    let fixture = Fixture::new();
    let authentication = ClientAuthentication::TlsClientAuth(CertificateName::SanDns(SAN.to_owned()));
    let client = Arc::new(Client { authentication, ..fixture.client() });
    let shown = certificate(&[SAN], true);
    let missing = check_certificate(&request(&[]), &client, Some(&shown)).unwrap_err();
    assert_eq!((missing.code(), missing), (Code::OauthInvalidRequest, GrantError::Missing("client_id")));
    let other = check_certificate(&request(&[("client_id", "somebody")]), &client, Some(&shown));
    assert_eq!(other.unwrap_err(), GrantError::WrongClient);
}

#[test]
fn a_client_authenticates_the_way_it_is_registered_for() {
    let fixture = Fixture::new();
    let shown = certificate(&[SAN], true);
    let by_key = Arc::new(fixture.client());
    let found = check_certificate(&request(&[("client_id", "fintech")]), &by_key, Some(&shown));
    assert_eq!(found.unwrap_err(), GrantError::WrongMethod);
    for san_dns in [SAN, ""] {
        let authentication = ClientAuthentication::TlsClientAuth(CertificateName::SanDns(san_dns.to_owned()));
        let client = Arc::new(Client { authentication, ..fixture.client() });
        let asked = request(&[("client_assertion", &fixture.assertion(&good()))]);
        assert_eq!(check(&asked, &client, NOW).unwrap_err(), GrantError::WrongMethod);
        let nameless =
            check_certificate(&request(&[("client_id", "fintech")]), &client, Some(&certificate(&[""], true)));
        assert_eq!(nameless.unwrap_err(), GrantError::WrongCertificate);
    }
}

fn grant(
    authenticated: &AuthenticatedClient,
    proof: Option<&VerifiedProof>,
    shown: Option<&PeerCertificate>,
    now: Timestamp,
) -> Result<AccessGrant, GrantError> {
    let at = Exchange { client: authenticated, proof, certificate: shown, issuer: ISSUER, audience: RESOURCE, now };
    client_credentials(&at, authenticated.form().get("scope"), "token-1".to_owned())
}

#[test]
fn as15_who_is_stopped_is_granted_nothing() {
    let fixture = Fixture::new();
    let (proof, _) = proof();
    let granted = |client: Client, now| grant(&fixture.authenticated(client, None), Some(&proof), None, now);
    let suspended = Client { suspended: true, ..fixture.client() };
    assert_eq!(granted(suspended, NOW).unwrap_err(), GrantError::Suspended);
    let mut client = fixture.client();
    Arc::make_mut(&mut client.organisation).suspended = true;
    assert_eq!(granted(client, NOW).unwrap_err(), GrantError::Suspended);
    let ends = fixture.client().organisation.licence_ends;
    assert_eq!(granted(fixture.client(), ends).unwrap_err(), GrantError::Suspended);
    assert!(granted(fixture.client(), ends - TICK).is_ok());
    assert_eq!(GrantError::Suspended.code(), Code::OauthUnauthorizedClient);
}

#[test]
fn as14_scopes_are_the_clients_in_any_order() {
    let fixture = Fixture::new();
    let (proof, _) = proof();
    let granted = |scope: Option<&str>| {
        grant(&fixture.authenticated(fixture.client(), scope), Some(&proof), None, NOW)
            .map(|granted| granted.scopes.to_string())
    };
    for scope in
        ["unknown", "accounts:read unknown", "accounts:write", "a\"b", "a\\b", "accounts:read\tpayments:write", " "]
    {
        assert_eq!(granted(Some(scope)), Err(GrantError::InvalidScope), "{scope:?}");
    }
    assert_eq!(granted(Some("payments:write accounts:read")).unwrap(), "accounts:read payments:write");
    assert_eq!(granted(Some("accounts:read payments:write")).unwrap(), "accounts:read payments:write");
    assert_eq!(granted(Some("payments:write")).unwrap(), "payments:write");
    assert_eq!(granted(None).unwrap(), "accounts:read payments:write");
    assert_eq!(granted(Some("")).unwrap(), "accounts:read payments:write");
    let none = Client { scopes: ScopeSet::default(), ..fixture.client() };
    assert_eq!(
        grant(&fixture.authenticated(none, None), Some(&proof), None, NOW).unwrap_err(),
        GrantError::InvalidScope
    );
}

#[test]
fn as4_as45_a_token_is_bound_as_the_client_is_registered_or_not_granted() {
    let fixture = Fixture::new();
    let ((proof, thumbprint), shown) = (proof(), certificate(&[], false));
    let (key, by_certificate) = (Confirmation::Jkt(thumbprint), Confirmation::X5tS256([7; 32]));
    for (binding, with_proof, with_certificate, expected) in [
        (TokenBinding::Dpop, false, false, Err(GrantError::ProofMissing)),
        (TokenBinding::Dpop, false, true, Err(GrantError::ProofMissing)),
        (TokenBinding::Dpop, true, false, Ok(&key)),
        (TokenBinding::Dpop, true, true, Ok(&key)),
        (TokenBinding::Mtls, false, false, Err(GrantError::CertificateMissing)),
        (TokenBinding::Mtls, false, true, Ok(&by_certificate)),
        (TokenBinding::Mtls, true, false, Err(GrantError::WrongBinding)),
        (TokenBinding::Mtls, true, true, Err(GrantError::WrongBinding)),
        (TokenBinding::Either, false, false, Err(GrantError::ProofMissing)),
        (TokenBinding::Either, false, true, Ok(&by_certificate)),
        (TokenBinding::Either, true, false, Ok(&key)),
        (TokenBinding::Either, true, true, Ok(&key)),
    ] {
        let client = fixture.authenticated(Client { binding, ..fixture.client() }, None);
        let granted = grant(&client, with_proof.then_some(&proof), with_certificate.then_some(&shown), NOW);
        let found = granted.map(|granted| granted.confirmation);
        assert_eq!(found.as_ref(), expected.as_ref().copied(), "{binding:?} {with_proof} {with_certificate}");
    }
}

#[test]
fn as12_a_token_is_short_and_for_one_resource() {
    let fixture = Fixture::new();
    let (proof, _) = proof();
    let granted = grant(&fixture.authenticated(fixture.client(), None), Some(&proof), None, NOW).unwrap();
    assert_eq!((granted.issuer.as_str(), granted.audience.as_str()), (ISSUER, RESOURCE));
    assert_eq!((granted.client.as_str(), granted.subject.as_str()), ("fintech", "fintech"));
    assert_eq!((granted.issued, granted.expires), (NOW, NOW + ACCESS_TOKEN_TTL));
    assert!(ACCESS_TOKEN_TTL <= Duration::from_secs(600));
    assert_eq!(granted.jti, "token-1");
}
