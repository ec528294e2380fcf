#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use serde_json::json;

use super::*;
use crate::consent::{Consent, ConsentKind};
use crate::details::DETAILS_BYTES_MAX;
use crate::grant::ClientForm;
use crate::grant::testing::{
    CHALLENGE, NOW, REDIRECT, TICK, access, authenticated, authorised, awaiting, client, consent_id, form, payment,
    proof, stopped_clients,
};
use crate::jose::testing::TestSigner;

const DETAILS: &str = r#"[{"type":"account_information","consentId":"consent-a"}]"#;

const GOOD: [(&str, &str); 8] = [
    ("response_type", "code"),
    ("redirect_uri", REDIRECT),
    ("scope", "accounts:read balances:read"),
    ("state", "xyz"),
    ("nonce", "n-0S6_WzA2Mj"),
    ("code_challenge", CHALLENGE),
    ("code_challenge_method", "S256"),
    ("authorization_details", DETAILS),
];

fn parse_as(client: Client, pairs: &[(&str, &str)]) -> Result<AuthorizationRequest, RequestError> {
    AuthorizationRequest::parse(&authenticated(client, pairs), None, NOW)
}

fn with<'a>(name: &'a str, value: Option<&'a str>) -> Vec<(&'a str, &'a str)> {
    let others = GOOD.into_iter().filter(|(known, _)| *known != name);
    others.chain(value.map(|value| (name, value))).collect()
}

fn refusal(name: &str, value: Option<&str>) -> RequestError {
    parse_as(client(), &with(name, value)).unwrap_err()
}

fn fine(name: &str, value: Option<&str>) -> bool {
    parse_as(client(), &with(name, value)).is_ok()
}

fn pushed(pairs: &[(&str, &str)], consents: &[Consent]) -> Result<Pushed, RequestError> {
    parse_as(client(), pairs)?.push([5; 32], consents, NOW)
}

#[test]
fn as21_neither_request_nor_request_uri_stands_inside() {
    for name in ["request", "request_uri"] {
        for value in ["x", "urn:ietf:params:oauth:request_uri:abc", "https://evil.example/request.jwt", "eyJ.e30.c2ln"]
        {
            let error = refusal(name, Some(value));
            assert_eq!((error.code(), error), (Code::OauthInvalidRequest, RequestError::NotAccepted(name)), "{value}");
        }
    }
}

#[test]
fn as2_only_codes_are_given() {
    for wanted in
        ["token", "id_token", "code token", "code id_token", "id_token token", "none", "Code", "code ", " code", "x"]
    {
        let error = refusal("response_type", Some(wanted));
        assert_eq!((error.code(), error), (Code::OauthUnsupportedResponseType, RequestError::ResponseType), "{wanted}");
    }
    for missing in [None, Some("")] {
        assert_eq!(refusal("response_type", missing), GrantError::Missing("response_type").into());
    }
    for mode in ["fragment", "form_post", "jwt", "query.jwt", "Query", "web_message"] {
        assert_eq!(refusal("response_mode", Some(mode)), RequestError::NotAccepted("response_mode"), "{mode}");
    }
    assert!(fine("response_mode", Some("query")));
}

// Class 15 of security.md section 3.
#[test]
fn as23_a_redirect_uri_is_registered_byte_for_byte() {
    for uri in [
        "https://app.fintech.example/callback/",
        "https://app.fintech.example/callback?",
        "https://app.fintech.example/callback?x=1",
        "https://app.fintech.example/callback#",
        "https://app.fintech.example/callback#x",
        "https://app.fintech.example/callback/../callback",
        "https://app.fintech.example/callback%2f",
        "https://app.fintech.example/c%61llback",
        "https://app.fintech.example//callback",
        "https://app.fintech.example/Callback",
        "https://APP.fintech.example/callback",
        "HTTPS://app.fintech.example/callback",
        "http://app.fintech.example/callback",
        "https://app.fintech.example:443/callback",
        "https://app.fintech.example:8443/callback",
        "https://app.fintech.example./callback",
        "https://user@app.fintech.example/callback",
        "https://app.fintech.example@evil.example/callback",
        "https://app.fintech.example\\@evil.example/callback",
        "https://evil.example\\app.fintech.example/callback",
        "https://app.fintech.example.evil.example/callback",
        "https://evil.example/?https://app.fintech.example/callback",
        "https://sub.app.fintech.example/callback",
        "https://fintech.example/callback",
        "https://app.fintech.example",
        "https://app.fintech.example/callbac",
        " https://app.fintech.example/callback",
        "https://app.fintech.example/callback ",
        "https://app.fintech.example/callback\t",
        "https://app.fintech.example/callback\r\nLocation: https://evil.example",
        "https://\u{430}pp.fintech.example/callback",
        "//app.fintech.example/callback",
        "app.fintech.example/callback",
        "javascript:alert(1)",
        "*",
    ] {
        let error = refusal("redirect_uri", Some(uri));
        assert_eq!((error.code(), error), (Code::OauthInvalidRequest, RequestError::RedirectUri), "{uri}");
    }
    assert_eq!(refusal("redirect_uri", None), GrantError::Missing("redirect_uri").into());
    assert!(fine("redirect_uri", Some(REDIRECT)));
}

#[test]
fn as23_a_client_without_a_redirect_uri_asks_no_citizen() {
    let mut none = client();
    none.oauth.redirect_uris.clear();
    let error = parse_as(none, &GOOD).unwrap_err();
    assert_eq!((error.code(), error), (Code::OauthUnauthorizedClient, GrantError::NotOffered.into()));
}

#[test]
fn as24_a_challenge_of_the_method_s256_is_needed() {
    for method in [None, Some(""), Some("plain"), Some("s256"), Some("S256 "), Some("S512"), Some("none")] {
        let error = refusal("code_challenge_method", method);
        assert_eq!((error.code(), error), (Code::OauthInvalidRequest, RequestError::Challenge), "{method:?}");
    }
    let padded = format!("{CHALLENGE}=");
    let long = "E".repeat(44);
    for challenge in [
        None,
        Some(""),
        Some("short"),
        CHALLENGE.get(1..),
        Some(&padded),
        Some(&long),
        Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw+cM"),
        Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cN"),
    ] {
        assert_eq!(refusal("code_challenge", challenge), RequestError::Challenge, "{challenge:?}");
    }
}

#[test]
fn as23_long_states_come_back_whole_or_not_at_all() {
    let long = "s".repeat(STATE_BYTES_MAX);
    let longer = format!("{long}s");
    for state in [longer.as_str(), "a\nb", "a\0b", "состояние", "a\u{7f}"] {
        let error = refusal("state", Some(state));
        assert_eq!((error.code(), error), (Code::OauthInvalidRequest, GrantError::Malformed("state").into()));
    }
    let consents = [awaiting("consent-a", ConsentKind::AccountAccess)];
    let state = |state: Option<&str>| pushed(&with("state", state), &consents).unwrap().state;
    for kept in [long.as_str(), &"s".repeat(1001), "a b&c=d#e%f\"<>+~"] {
        assert_eq!(state(Some(kept)).as_deref(), Some(kept));
    }
    assert_eq!(state(None), None);
    assert_eq!(state(Some("")), None);
}

#[test]
fn as23_nonces_of_64_characters_are_taken() {
    for nonce in ["n".repeat(NONCE_BYTES_MAX + 1), "a\nb".to_owned(), "қ".to_owned()] {
        assert_eq!(refusal("nonce", Some(&nonce)), GrantError::Malformed("nonce").into());
    }
    assert!(fine("nonce", Some(&"n".repeat(64))) && fine("nonce", Some(&"n".repeat(NONCE_BYTES_MAX))));
    assert!(fine("nonce", None));
}

#[test]
fn as14_a_scope_is_known_and_the_clients_in_any_order() {
    for scope in [
        "unknown",
        "accounts:read unknown",
        "openid",
        "accounts:read openid",
        "accounts:READ",
        "identity:verify",
        "a\"b",
        "a\\b",
        "accounts:read\tbalances:read",
        "счета",
        " ",
    ] {
        let error = refusal("scope", Some(scope));
        assert_eq!((error.code(), error), (Code::OauthInvalidScope, GrantError::InvalidScope.into()), "{scope:?}");
    }
    let consents = [awaiting("consent-a", ConsentKind::AccountAccess)];
    let scopes = |scope: Option<&str>| pushed(&with("scope", scope), &consents).map(|pushed| pushed.scopes.to_string());
    // Known and the client's, but without a use in what the citizen is asked for.
    for scope in ["transactions:read", "accounts:read payments:write", "consents:write", "events:read"] {
        assert_eq!(scopes(Some(scope)), Err(GrantError::InvalidScope.into()), "{scope}");
    }
    assert_eq!(scopes(Some("balances:read accounts:read")).unwrap(), "accounts:read balances:read");
    assert_eq!(scopes(Some("accounts:read  balances:read")).unwrap(), "accounts:read balances:read");
    assert_eq!(scopes(Some("accounts:read")).unwrap(), "accounts:read");
    assert_eq!(scopes(None).unwrap(), "accounts:read balances:read");
}

#[test]
fn as14_without_a_scope_the_client_gets_no_more_than_it_may_have() {
    let narrow = Client { scopes: ScopeSet::of(["accounts:read", "events:read"]), ..client() };
    let consents = [awaiting("consent-a", ConsentKind::AccountAccess)];
    let pushed = parse_as(narrow, &with("scope", None)).unwrap().push([5; 32], &consents, NOW).unwrap();
    assert_eq!(pushed.scopes.to_string(), "accounts:read");
}

#[test]
fn as15_who_is_stopped_pushes_nothing() {
    for (why, stopped) in stopped_clients() {
        assert_eq!(parse_as(stopped, &GOOD).unwrap_err().code(), Code::OauthUnauthorizedClient, "{why}");
    }
}

#[test]
fn as70_details_are_needed_and_well_formed() {
    assert_eq!(refusal("authorization_details", None), GrantError::Missing("authorization_details").into());
    let long = format!("{DETAILS}{}", " ".repeat(DETAILS_BYTES_MAX));
    for details in [
        "[]",
        "{}",
        "null",
        "[{}]",
        "[[]]",
        "%5B%5D",
        r#"[{"type":"unknown"}]"#,
        r#"[{"type":"account_information","consentId":"c","x":1}]"#,
        r#"[{"type":"account_information"}]"#,
        r#"[{"type":"account_information","consentId":1}]"#,
        &long,
    ] {
        let error = refusal("authorization_details", Some(details));
        assert_eq!(error.code(), Code::OauthInvalidAuthorizationDetails, "{details}");
    }
}

#[test]
fn as70_a_client_is_allowed_the_type_it_asks_for() {
    let inline = |name: &str, mut value: serde_json::Value| {
        value.as_object_mut().unwrap().insert("type".to_owned(), json!(name));
        json!([value]).to_string()
    };
    let (accounts, order) = (inline("account_information", access()), inline("payment_initiation", payment()));
    let named = r#"[{"type":"payment_initiation","consentId":"c"}]"#.to_owned();
    for (scopes, details, allowed) in [
        (vec!["accounts:read"], DETAILS.to_owned(), true),
        (vec!["accounts:read"], accounts.clone(), false),
        (vec!["accounts:read", "consents:write"], accounts.clone(), true),
        (vec!["accounts:read", "consents:write"], order.clone(), false),
        (vec!["accounts:read", "consents:write"], named.clone(), false),
        (vec!["payments:read", "consents:write"], order.clone(), false),
        (vec!["payments:write", "consents:write"], order, true),
        (vec!["payments:write"], named, true),
        (vec!["payments:write", "consents:write"], accounts, false),
        (vec!["balances:read", "consents:write"], DETAILS.to_owned(), false),
    ] {
        let client = Client { scopes: ScopeSet::of(scopes.iter().copied()), ..client() };
        let pairs = with("authorization_details", Some(&details));
        let pairs: Vec<_> = pairs.into_iter().filter(|(name, _)| *name != "scope").collect();
        let found = parse_as(client, &pairs).map(|_| ());
        let expected = if allowed { Ok(()) } else { Err(RequestError::TypeNotAllowed) };
        assert_eq!(found, expected, "{scopes:?} {details}");
    }
}

#[test]
fn as42_parameter_and_proof_name_one_key() {
    let (holder, stranger) = (TestSigner::es256("holder"), TestSigner::es256("stranger"));
    let key = holder.verifying_key().thumbprint().clone();
    let other = stranger.verifying_key().thumbprint().to_string();
    let jkt = |named: Option<&str>, proven: Option<&TestSigner>, binding| {
        let client = authenticated(Client { binding, ..client() }, &with("dpop_jkt", named));
        AuthorizationRequest::parse(&client, proven.map(proof).as_ref(), NOW).map(|request| request.jkt)
    };
    let either = TokenBinding::Either;
    for malformed in ["x", &format!("{key}="), &key.as_str()[1..], &format!("{key}A")] {
        let error = jkt(Some(malformed), None, either).unwrap_err();
        assert_eq!(error, GrantError::Malformed("dpop_jkt").into(), "{malformed}");
    }
    let error = jkt(Some(&other), Some(&holder), either).unwrap_err();
    assert_eq!((error.code(), error), (Code::OauthInvalidRequest, RequestError::Key));
    for (named, proven) in [(Some(key.as_str()), None), (None, Some(&holder)), (Some(key.as_str()), Some(&holder))] {
        assert_eq!(jkt(named, proven, either).unwrap(), Some(key.clone()));
        let error = jkt(named, proven, TokenBinding::Mtls).unwrap_err();
        assert_eq!(error, GrantError::WrongBinding.into(), "a client whose tokens are bound to its certificate");
    }
    assert_eq!(jkt(None, None, either).unwrap(), None);
}

#[test]
fn as23_consents_are_the_clients_and_await_the_citizen() {
    let kind = ConsentKind::AccountAccess;
    let good = awaiting("consent-a", kind);
    let of_another = Consent { client: ClientId::parse("another").unwrap(), ..good.clone() };
    let renamed = Consent { id: consent_id("consent-b"), ..good.clone() };
    let of_payment = Consent { id: consent_id("consent-a"), ..awaiting("p", ConsentKind::DomesticPayment) };
    let over = Consent { expires: NOW, ..good.clone() };
    for (consents, why) in [
        (vec![], "none was found"),
        (vec![of_another], "another client's"),
        (vec![renamed], "another"),
        (vec![of_payment], "of another kind"),
        (vec![over], "too late"),
        (vec![good.reject(NOW).unwrap()], "refused"),
        (vec![good.revoke(NOW, false).unwrap()], "taken back"),
        (vec![authorised("consent-a", kind, "g")], "agreed to already"),
        (vec![good.clone(), good.clone()], "too many"),
    ] {
        let error = pushed(&GOOD, &consents).unwrap_err();
        assert_eq!((error.code(), error), (Code::OauthInvalidAuthorizationDetails, RequestError::Consent), "{why}");
    }
    let awaited = Consent { expires: NOW + TICK, ..good };
    assert!(pushed(&GOOD, &[awaited]).is_ok());
}

#[test]
fn as72_a_consent_made_of_other_terms_is_not_the_one_asked_for() {
    let mut value = payment();
    value.as_object_mut().unwrap().insert("type".to_owned(), json!("payment_initiation"));
    let details = json!([value]).to_string();
    let pairs: Vec<_> =
        with("authorization_details", Some(&details)).into_iter().filter(|(name, _)| *name != "scope").collect();
    let good = awaiting("made", ConsentKind::DomesticPayment);
    let mut changed = good.clone();
    if let crate::consent::Terms::DomesticPayment(order) = &mut changed.terms {
        order.knp = "711".to_owned();
    }
    assert_eq!(pushed(&pairs, &[changed]).unwrap_err(), RequestError::Consent);
    let pushed = pushed(&pairs, &[good]).unwrap();
    assert_eq!(
        (pushed.consents, pushed.scopes.to_string()),
        (vec![consent_id("made")], "payments:read payments:write".to_owned())
    );
}

#[test]
fn as21_what_is_pushed_is_kept_whole() {
    let pushed = pushed(&GOOD, &[awaiting("consent-a", ConsentKind::AccountAccess)]).unwrap();
    let expected = Pushed {
        key: [5; 32],
        client: ClientId::parse("fintech").unwrap(),
        redirect_uri: REDIRECT.to_owned(),
        scopes: ScopeSet::of(["accounts:read", "balances:read"]),
        consents: vec![consent_id("consent-a")],
        state: Some("xyz".to_owned()),
        challenge: CHALLENGE.to_owned(),
        jkt: None,
        expires: NOW + PUSHED_TTL,
        used: false,
    };
    assert_eq!(pushed, expected);
    assert!((5..=599).contains(&PUSHED_TTL.as_secs()));
}

#[test]
fn as21_a_parameter_stands_once() {
    for name in GOOD.map(|(name, _)| name) {
        let mut pairs = GOOD.to_vec();
        pairs.push((name, "again"));
        assert_eq!(ClientForm::parse(&form(&pairs)).unwrap_err(), GrantError::Repeated(name.to_owned()));
    }
}

#[test]
fn parameters_without_a_meaning_here_are_passed_over() {
    for (name, value) in
        [("prompt", "none"), ("acr_values", "x"), ("display", "page"), ("login_hint", "somebody"), ("x", "y")]
    {
        assert!(fine(name, Some(value)), "{name}");
    }
}
