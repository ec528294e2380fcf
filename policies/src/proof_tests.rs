#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use serde_json::{Value, json};

use super::*;
use crate::id::ClientId;
use crate::jose::testing::{TestSigner, sign_raw};
use crate::jose::{Algorithm, KeyError, encode, hmac_sha256};
use crate::nonce::{NONCE_SLOT, Realm};

const TARGET: &str = "https://gate.example/v1/accounts";
const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const TICK: Duration = Duration::from_millis(1);

fn keyed(message: &[u8]) -> [u8; 32] {
    hmac_sha256(b"a key of all replicas", message)
}

fn nonces(client: &ClientId, required: bool) -> Nonces<'_> {
    Nonces { keyed: &keyed, realm: Realm::Resources, client, required }
}

fn app() -> ClientId {
    ClientId::parse("demo-app").unwrap()
}

fn token() -> BearerToken {
    BearerToken::parse("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU").unwrap()
}

fn good() -> Value {
    json!({
        "jti": "proof-1", "htm": "GET", "htu": TARGET, "iat": NOW.seconds(),
        "ath": "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo",
    })
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

fn raw(claims: &Value) -> String {
    let signer = TestSigner::es256("");
    encode(PROOF_TYPE, claims, Some(signer.bare_jwk()), &signer).unwrap()
}

fn check_at(raw: &str, now: Timestamp) -> Result<CheckedProof, ProofError> {
    let token = token();
    check(raw, &Expected { method: "GET", target: TARGET, token: Some(&token), nonces: Nonces::free() }, now)
}

fn of(claims: &Value) -> Result<CheckedProof, ProofError> {
    check_at(&raw(claims), NOW)
}

fn with_htu(htu: &str) -> Result<CheckedProof, ProofError> {
    of(&with("htu", Some(json!(htu))))
}

// A proof with a header of its own, rightly signed.
fn with_header(change: impl Fn(&mut serde_json::Map<String, Value>)) -> Result<CheckedProof, ProofError> {
    let signer = TestSigner::es256("");
    let mut header = json!({"typ": PROOF_TYPE, "alg": "ES256", "jwk": signer.bare_jwk()});
    change(header.as_object_mut().unwrap());
    check_at(&sign_raw(&header.to_string(), &good().to_string(), &signer), NOW)
}

#[test]
fn rs20_what_is_no_compact_jws_of_at_most_4_kib_is_refused() {
    for text in ["", "proof", "a.b.c", "a.b", "{}"] {
        assert!(matches!(check_at(text, NOW), Err(ProofError::Jws(_))), "{text}");
    }
    let (first, second) = (raw(&good()), raw(&good()));
    assert!(check_at(&format!("{first},{second}"), NOW).is_err());
    assert!(check_at(&format!("{first}, {second}"), NOW).is_err());
    // Padded with an unknown claim until it is too long; three bytes make four characters.
    let padded = |bytes: usize| raw(&with("padding", Some(json!("p".repeat(bytes)))));
    let room = (0..PROOF_BYTES_MAX).rev().find(|bytes| padded(*bytes).len() <= PROOF_BYTES_MAX).unwrap();
    assert!(check_at(&padded(room), NOW).is_ok());
    assert_eq!(check_at(&padded(room + 3), NOW).unwrap_err(), ProofError::Jws(JwsError::TooLong));
}

#[test]
fn rs21_the_type_is_exact() {
    for typ in ["JWT", "at+jwt", "DPoP+jwt", "application/dpop+jwt", "dpop+jwt ", ""] {
        let found = with_header(|header| drop(header.insert("typ".to_owned(), json!(typ))));
        assert_eq!(found.unwrap_err(), ProofError::WrongType, "{typ}");
    }
    assert_eq!(with_header(|header| drop(header.remove("typ"))).unwrap_err(), ProofError::WrongType);
}

#[test]
fn rs22_the_algorithm_is_one_of_the_list() {
    for alg in ["none", "HS256", "RS256", "ES384", "es256"] {
        let found = with_header(|header| drop(header.insert("alg".to_owned(), json!(alg))));
        assert_eq!(found.unwrap_err(), ProofError::Jws(JwsError::UnsupportedAlgorithm), "{alg}");
    }
    assert!(with_header(|header| drop(header.remove("alg"))).is_err());
    for algorithm in Algorithm::ALL {
        let signer = TestSigner::new(algorithm, "holder");
        let proof = encode(PROOF_TYPE, &good(), Some(signer.bare_jwk()), &signer).unwrap();
        assert_eq!(check_at(&proof, NOW).unwrap().thumbprint(), signer.verifying_key().thumbprint(), "{algorithm}");
    }
}

#[test]
fn rs23_the_key_is_there_and_public() {
    let missing = with_header(|header| drop(header.remove("jwk")));
    assert_eq!(missing.unwrap_err(), ProofError::Jws(JwsError::BadHeader("jwk")));
    for name in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        let found = with_header(|header| {
            let jwk = header.get_mut("jwk").and_then(Value::as_object_mut).unwrap();
            jwk.insert(name.to_owned(), json!("AQ"));
        });
        assert_eq!(found.unwrap_err(), ProofError::Jws(JwsError::BadKey(KeyError::Private(name))));
    }
    for jwk in [json!(null), json!("jwk"), json!({}), json!({"kty": "oct", "k": "c2VjcmV0"})] {
        let found = with_header(|header| drop(header.insert("jwk".to_owned(), jwk.clone())));
        assert!(matches!(found, Err(ProofError::Jws(JwsError::BadKey(_)))), "{jwk}");
    }
}

#[test]
fn rs24_the_signature_is_of_that_key() {
    let found = with_header(|header| drop(header.insert("jwk".to_owned(), TestSigner::es256("").bare_jwk())));
    assert_eq!(found.unwrap_err(), ProofError::Jws(JwsError::BadSignature));
}

#[test]
fn rs25_every_claim_is_there_in_its_type() {
    for name in ["jti", "htm", "htu", "iat", "ath"] {
        assert_eq!(of(&with(name, None)).unwrap_err(), ProofError::Claim(ClaimError::Missing(name)));
        for shape in [json!(null), json!(true), json!([]), json!({}), json!(1.5), json!(["GET"])] {
            let found = of(&with(name, Some(shape.clone())));
            assert_eq!(found.unwrap_err(), ProofError::Claim(ClaimError::WrongType(name)), "{shape}");
        }
    }
    for name in ["jti", "htm", "htu", "ath"] {
        assert_eq!(of(&with(name, Some(json!(7)))).unwrap_err(), ProofError::Claim(ClaimError::WrongType(name)));
    }
    for name in ["iat", "exp", "nbf"] {
        let found = of(&with(name, Some(json!(NOW.seconds().to_string()))));
        assert_eq!(found.unwrap_err(), ProofError::Claim(ClaimError::WrongType(name)));
        assert!(of(&with(name, Some(json!(-1)))).is_err());
        assert!(of(&with(name, Some(json!(u64::MAX)))).is_err());
    }
}

#[test]
fn rs26_htm_must_equal_the_method_exactly() {
    for method in ["get", "Get", "POST", " GET", "GET ", "", "GE", "GETT"] {
        assert_eq!(of(&with("htm", Some(json!(method)))).unwrap_err(), ProofError::WrongMethod, "{method:?}");
    }
    assert!(of(&good()).is_ok());
}

#[test]
fn rs27_another_url_is_refused() {
    for htu in [
        "",
        "/v1/accounts",
        "gate.example/v1/accounts",
        "http://gate.example/v1/accounts",
        "https://evil.example/v1/accounts",
        "https://gate.example:8443/v1/accounts",
        "https://gate.example/v1/Accounts",
        "https://gate.example/v1/accounts/",
        "https://gate.example//v1/accounts",
        "https://gate.example/v1/account",
        "https://gate.example.evil.example/v1/accounts",
        "https://gate.example@evil.example/v1/accounts",
        "https://user@gate.example/v1/accounts",
        "https://gate.example/v1%2Faccounts",
        "https://gate.example",
        "https://gate.example:0443x/v1/accounts",
        "https://gate.example:/v1/accounts/..",
        "ftp://gate.example/v1/accounts",
        "https://gate.example/v1\\accounts",
        "https://gate.example/v1/acc ounts",
        "https://gate.example/v1/accounts%",
        "https://gate.example/v1/accounts%2",
        "https://gate.example/v1/accounts%zz",
        "https:/gate.example/v1/accounts",
        "https://[::1/v1/accounts",
        "?https://gate.example/v1/accounts",
        "https://gate.example:99999/v1/accounts",
    ] {
        assert_eq!(with_htu(htu).unwrap_err(), ProofError::WrongTarget, "{htu}");
    }
    let long = format!("{TARGET}?{}", "a".repeat(TARGET_BYTES_MAX - TARGET.len() - 1));
    assert!(with_htu(&long).is_ok());
    assert_eq!(with_htu(&format!("{long}a")).unwrap_err(), ProofError::WrongTarget);
}

#[test]
fn rs27_other_spellings_of_the_same_url_pass() {
    for htu in [
        "https://gate.example/v1/accounts",
        "HTTPS://GATE.Example/v1/accounts",
        "https://gate.example:443/v1/accounts",
        "https://gate.example:/v1/accounts",
        "https://gate.example/v1/%61ccounts",
        "https://gate.example/v1/./accounts",
        "https://gate.example/v1/x/../accounts",
        "https://gate.example/v1/accounts?limit=1",
        "https://gate.example/v1/accounts#top",
        "https://gate.example/v1/accounts?a#b",
        "https://gate.example/../v1/accounts",
    ] {
        assert!(with_htu(htu).is_ok(), "{htu}");
    }
}

#[test]
fn rs27_normal_forms_are_those_of_rfc_3986() {
    for (url, normal) in [
        ("HTTP://Example.COM", "http://example.com/"),
        ("http://example.com:80/", "http://example.com/"),
        ("http://example.com:443/", "http://example.com:443/"),
        ("https://example.com:08443/a", "https://example.com:8443/a"),
        ("https://e.com/%7efoo/%c3%a9", "https://e.com/~foo/%C3%A9"),
        // RFC 3986, sections 5.2.4 and 5.4, as far as absolute paths go.
        ("https://e.com/a/b/c/./../../g", "https://e.com/a/g"),
        ("https://e.com/a/..", "https://e.com/"),
        ("https://e.com/a/.", "https://e.com/a/"),
        ("https://e.com/../../g", "https://e.com/g"),
        ("https://e.com/g.", "https://e.com/g."),
        ("https://e.com/.g/..g", "https://e.com/.g/..g"),
        ("https://e.com/a/%2e%2E/b", "https://e.com/b"),
        ("https://e.com/a//b", "https://e.com/a//b"),
        ("https://[2001:DB8::1]:443/a", "https://[2001:db8::1]/a"),
    ] {
        assert_eq!(normalise_url(url).as_deref(), Some(normal), "{url}");
        assert_eq!(normalise_url(normal).as_deref(), Some(normal), "twice: {url}");
    }
    for url in [
        "",
        "https://",
        "https:///a",
        "https://e.com/?q",
        "https://e.com/#f",
        "https://u@e.com/",
        "https://e.com:a/",
        "https://e.com/é",
        "https://[::g]/",
        "https://[::1]x/",
        "https://e com/",
    ] {
        assert_eq!(normalise_url(url), None, "{url}");
    }
}

#[test]
fn rs28_a_proof_is_good_from_ten_seconds_before_to_sixty_after() {
    let proof = raw(&good());
    for at in [
        NOW - PROOF_AHEAD_MAX - TICK,
        NOW + PROOF_AGE_MAX + TICK,
        NOW + Duration::from_secs(3600),
        NOW - Duration::from_secs(3600),
    ] {
        assert_eq!(check_at(&proof, at).unwrap_err(), ProofError::NotNow, "{at}");
    }
    for at in [NOW - PROOF_AHEAD_MAX, NOW, NOW + PROOF_AGE_MAX] {
        assert!(check_at(&proof, at).is_ok(), "{at}");
    }
}

#[test]
fn rs28_its_own_exp_and_nbf_are_honoured() {
    let seconds = NOW.seconds();
    assert_eq!(of(&with("exp", Some(json!(seconds - 10)))).unwrap_err(), ProofError::NotNow);
    assert!(of(&with("exp", Some(json!(seconds - 9)))).is_ok());
    assert_eq!(of(&with("nbf", Some(json!(seconds + 11)))).unwrap_err(), ProofError::NotNow);
    assert!(of(&with("nbf", Some(json!(seconds + 10)))).is_ok());
    assert!(of(&with("exp", Some(json!(seconds + 9_000)))).is_ok());
    let late = check_at(&raw(&with("exp", Some(json!(seconds + 9_000)))), NOW + PROOF_AGE_MAX + TICK);
    assert_eq!(late.unwrap_err(), ProofError::NotNow, "exp does not lengthen the window");
}

#[test]
fn rs29_ath_is_the_hash_of_this_very_token() {
    let other = base64url(&BearerToken::parse("another-token").unwrap().hash());
    for ath in [other, String::new(), "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo=".to_owned()] {
        assert_eq!(of(&with("ath", Some(json!(ath)))).unwrap_err(), ProofError::WrongToken, "{ath}");
    }
    // At the token endpoint there is no token yet, and nothing is asked for.
    let expected = Expected { method: "GET", target: TARGET, token: None, nonces: Nonces::free() };
    assert!(check(&raw(&with("ath", None)), &expected, NOW).is_ok());
}

#[test]
fn rs31_a_proof_is_used_once_per_key_url_and_jti() {
    let (one, other) = (TestSigner::es256(""), TestSigner::es256(""));
    let key_of = |signer: &TestSigner, claims: &Value| {
        let proof = encode(PROOF_TYPE, claims, Some(signer.bare_jwk()), signer).unwrap();
        check_at(&proof, NOW).unwrap().replay_key()
    };
    let first = key_of(&one, &good());
    assert_eq!(first, key_of(&one, &good()));
    // Another spelling of the URL, or another time, is no other proof.
    assert_eq!(first, key_of(&one, &with("htu", Some(json!("https://GATE.example:443/v1/accounts?x")))));
    assert_eq!(first, key_of(&one, &with("iat", Some(json!(NOW.seconds() - 5)))));
    assert_ne!(first, key_of(&one, &with("jti", Some(json!("proof-2")))));
    assert_ne!(first, key_of(&other, &good()));
    let at = |proof: &str, target| {
        let token = token();
        let nonces = Nonces::free();
        check(proof, &Expected { method: "GET", target, token: Some(&token), nonces }, NOW).unwrap().replay_key()
    };
    let signed = TestSigner::es256("");
    let here = encode(PROOF_TYPE, &good(), Some(signed.bare_jwk()), &signed).unwrap();
    let there = with("htu", Some(json!("https://gate.example/v1/payments")));
    let there = encode(PROOF_TYPE, &there, Some(signed.bare_jwk()), &signed).unwrap();
    assert_ne!(at(&here, TARGET), at(&there, "https://gate.example/v1/payments"));
    for jti in [String::new(), "j".repeat(129)] {
        assert_eq!(of(&with("jti", Some(json!(jti)))).unwrap_err(), ProofError::Claim(ClaimError::OutOfRange("jti")));
    }
    assert!(of(&with("jti", Some(json!("j".repeat(128))))).is_ok());
}

#[test]
fn rs31_a_replayed_proof_is_refused_and_remembered_longer_than_it_lives() {
    let checked = of(&good()).unwrap();
    assert!(checked.keep_until() >= NOW + PROOF_AGE_MAX + LEEWAY);
    assert_eq!(checked.accept(false).unwrap_err(), ProofError::Replayed);
    assert!(of(&good()).unwrap().accept(true).is_ok());
    assert_eq!(ProofError::Replayed.code(), Code::ProofReplayed);
    assert_eq!(ProofError::WrongMethod.code(), Code::ProofInvalid);
}

#[test]
fn rs33_cheap_checks_come_before_the_signature() {
    // Neither signed nor keyed rightly: the reason told is the cheap one.
    let signer = TestSigner::es256("");
    let header = json!({"typ": PROOF_TYPE, "alg": "ES256", "jwk": TestSigner::es256("").bare_jwk()}).to_string();
    let proof = sign_raw(&header, &with("htm", Some(json!("POST"))).to_string(), &signer);
    assert_eq!(check_at(&proof, NOW).unwrap_err(), ProofError::WrongMethod);
    let proof = sign_raw(&header, &with("ath", Some(json!("x"))).to_string(), &signer);
    assert_eq!(check_at(&proof, NOW).unwrap_err(), ProofError::WrongToken);
}

#[test]
fn rs32_a_proof_names_a_nonce_of_now_where_one_is_needed() {
    let (token, client) = (token(), app());
    let needed = nonces(&client, true);
    let judged = |nonce: Option<Value>, nonces: Nonces<'_>, now: Timestamp| {
        let mut claims = with("nonce", nonce);
        claims.as_object_mut().unwrap().insert("iat".to_owned(), json!(now.seconds()));
        check(&raw(&claims), &Expected { method: "GET", target: TARGET, token: Some(&token), nonces }, now)
    };
    let current = needed.current(NOW);
    let refused = ProofError::NonceNeeded(current.clone());
    assert_eq!((refused.code(), refused.nonce()), (Code::ProofNonceNeeded, Some(current.as_str())));
    assert_eq!(judged(None, needed, NOW).unwrap_err(), refused);
    for nonce in ["", "x", &needed.current(NOW + NONCE_SLOT)] {
        assert_eq!(judged(Some(json!(nonce)), needed, NOW).unwrap_err(), refused, "{nonce}");
        assert_eq!(
            judged(Some(json!(nonce)), nonces(&client, false), NOW).unwrap_err(),
            refused,
            "{nonce}: not asked for"
        );
    }
    for nonce in [json!(1), json!(null), json!([current]), json!({})] {
        let found = judged(Some(nonce.clone()), needed, NOW);
        assert!(matches!(found, Err(ProofError::Claim(_))), "{nonce}");
    }
    let next =
        |now| judged(Some(json!(current)), needed, now).unwrap().accept(true).unwrap().next_nonce().map(str::to_owned);
    assert_eq!(next(NOW), None);
    assert_eq!(next(NOW + NONCE_SLOT), Some(needed.current(NOW + NONCE_SLOT)), "the next one rides on the answer");
    assert!(judged(Some(json!(current)), needed, NOW + NONCE_SLOT * 2).is_err());
    // Whatever else is wrong is told first: a nonce mends nothing of it.
    let mut wrong = with("nonce", None);
    wrong.as_object_mut().unwrap().insert("htm".to_owned(), json!("POST"));
    let expected = Expected { method: "GET", target: TARGET, token: Some(&token), nonces: needed };
    assert_eq!(check(&raw(&wrong), &expected, NOW).unwrap_err(), ProofError::WrongMethod);
}

const RFC_9449_HEADER: &str = concat!(
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyV",
    "VFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19",
);

// RFC 9449, section 4.1 (figure 2).
#[test]
fn as40_the_token_request_proof_of_rfc_9449_is_accepted() {
    let proof = format!(
        "{RFC_9449_HEADER}.{}.{}",
        concat!(
            "eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwi",
            "aWF0IjoxNTYyMjYyNjE2fQ",
        ),
        "2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg",
    );
    let nonces = Nonces::free();
    let expected = Expected { method: "POST", target: "https://server.example.com/token", token: None, nonces };
    let checked = check(&proof, &expected, Timestamp::from_seconds(1_562_262_616)).unwrap();
    assert_eq!(checked.thumbprint().as_str(), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
}

// RFC 9449, section 7.1 (figure 12): the same key, with the hash of the access token.
#[test]
fn rs24_the_resource_request_proof_of_rfc_9449_is_accepted() {
    let proof = format!(
        "{RFC_9449_HEADER}.{}.{}",
        concat!(
            "eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0",
            "ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9",
        ),
        "2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA",
    );
    let (token, nonces) = (token(), Nonces::free());
    let target = "https://resource.example.org/protectedresource";
    let expected = Expected { method: "GET", target, token: Some(&token), nonces };
    let checked = check(&proof, &expected, Timestamp::from_seconds(1_562_262_618)).unwrap();
    let verified = checked.accept(true).unwrap();
    assert_eq!(verified.thumbprint().as_str(), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
    assert_eq!(verified.token_hash(), Some(&token.hash()));
    assert_eq!(base64url(&token.hash()), "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo");
}
