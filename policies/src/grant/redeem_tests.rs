#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::time::Duration;

use super::*;
use crate::authorization::{CODE_TTL, GrantedBy, Pushed};
use crate::consent::ConsentKind;
use crate::grant::TokenRequest;
use crate::grant::testing::{
    CHALLENGE, ISSUER, NOW, REDIRECT, TICK, VERIFIER, authenticated, authorised, certificate, client, consent_id,
    exchange, grant_id, proof, stopped_clients,
};
use crate::jose::testing::TestSigner;
use crate::jose::{Thumbprint, sha256};
use crate::party::{Client, TokenBinding};
use crate::token::Confirmation;

struct Kept {
    code: AuthorizationCode,
    grant: Grant,
    refresh: RefreshToken,
}

// A citizen has approved reading accounts and a payment; the code is bound to `jkt`, if that is some.
fn kept(jkt: Option<Thumbprint>) -> Kept {
    let consents = [
        authorised("consent-a", ConsentKind::AccountAccess, "grant-1"),
        authorised("consent-p", ConsentKind::DomesticPayment, "grant-1"),
    ];
    let scopes = ["accounts:read", "balances:read", "payments:read", "payments:write"];
    let pushed = Pushed {
        key: [1; 32],
        client: client().id,
        redirect_uri: REDIRECT.to_owned(),
        scopes: ScopeSet::of(scopes),
        consents: vec![consent_id("consent-a"), consent_id("consent-p")],
        state: None,
        challenge: CHALLENGE.to_owned(),
        jkt,
        expires: NOW + Duration::from_secs(300),
        used: false,
    };
    let by =
        GrantedBy { subject: "citizen:somebody".to_owned(), acr: "urn:qaqpa:acr:L2".to_owned(), authenticated: NOW };
    let grant = Grant::of(grant_id("grant-1"), &pushed, &consents, by).unwrap();
    let code = AuthorizationCode::of(sha256(b"the-code"), &pushed, grant.id.clone(), NOW);
    let refresh = RefreshToken {
        key: sha256(b"the-refresh-token"),
        client: client().id,
        grant: grant.id.clone(),
        expires: grant.expires,
    };
    Kept { code, grant, refresh }
}

const CODE: [(&str, &str); 4] = [
    ("grant_type", "authorization_code"),
    ("code", "the-code"),
    ("redirect_uri", REDIRECT),
    ("code_verifier", VERIFIER),
];
const REFRESH: [(&str, &str); 2] = [("grant_type", "refresh_token"), ("refresh_token", "the-refresh-token")];

fn with<'a>(pairs: &[(&'a str, &'a str)], name: &'a str, value: Option<&'a str>) -> Vec<(&'a str, &'a str)> {
    let others = pairs.iter().filter(|(known, _)| *known != name).copied();
    others.chain(value.map(|value| (name, value))).collect()
}

fn redeem_as(client: Client, pairs: &[(&str, &str)], kept: &Kept, at: Timing<'_>) -> Result<Redeemed, RedeemError> {
    let client = authenticated(client, pairs);
    let TokenRequest::AuthorizationCode(request) = TokenRequest::parse(client.form()).unwrap() else {
        unreachable!("the form has a code")
    };
    let exchange = Exchange { now: at.now, ..exchange(&client, at.proof) };
    redeem(&exchange, &request, &kept.code, Some(&kept.grant), "token-1".to_owned())
}

fn refresh_as(client: Client, pairs: &[(&str, &str)], kept: &Kept, at: Timing<'_>) -> Result<AccessGrant, RedeemError> {
    let client = authenticated(client, pairs);
    let TokenRequest::RefreshToken(request) = TokenRequest::parse(client.form()).unwrap() else {
        unreachable!("the form has a refresh token")
    };
    let exchange = Exchange { now: at.now, ..exchange(&client, at.proof) };
    refresh(&exchange, &request, &kept.refresh, Some(&kept.grant), "token-2".to_owned())
}

#[derive(Clone, Copy)]
struct Timing<'a> {
    now: crate::time::Timestamp,
    proof: Option<&'a crate::proof::VerifiedProof>,
}

fn shown(proof: &crate::proof::VerifiedProof) -> Timing<'_> {
    Timing { now: NOW, proof: Some(proof) }
}

#[test]
fn as10_a_code_ends_on_the_instant_and_within_a_minute() {
    let (kept, proof) = (kept(None), proof(&TestSigner::es256("holder")));
    let at = |now| redeem_as(client(), &CODE, &kept, Timing { now, ..shown(&proof) }).map(|_| ());
    assert_eq!(at(NOW + CODE_TTL), Err(RedeemError::Expired));
    assert_eq!(at(NOW + CODE_TTL - TICK), Ok(()));
    assert!(CODE_TTL <= Duration::from_secs(60));
}

#[test]
fn as10_a_second_use_ends_the_grant_whatever_else_is_wrong_with_it() {
    let (mut kept, proof) = (kept(None), proof(&TestSigner::es256("holder")));
    let first = redeem_as(client(), &CODE, &kept, shown(&proof)).unwrap();
    assert!(first.code().redeemed && !kept.code.redeemed);
    kept.code = first.code().clone();
    let late = Timing { now: NOW + Duration::from_secs(3600), ..shown(&proof) };
    for (pairs, at) in [
        (CODE.to_vec(), shown(&proof)),
        (CODE.to_vec(), late),
        (with(&CODE, "code_verifier", None), shown(&proof)),
        (with(&CODE, "redirect_uri", Some("https://evil.example/")), shown(&proof)),
        (CODE.to_vec(), Timing { now: NOW, proof: None }),
    ] {
        let error = redeem_as(client(), &pairs, &kept, at).unwrap_err();
        assert_eq!((error.code(), error.ends()), (Code::OauthInvalidGrant, Some(&grant_id("grant-1"))), "{pairs:?}");
        assert!(error.is_theft());
    }
    // Of another client it is no second use: it never was theirs.
    let stranger = Client { id: ClientId::parse("stranger").unwrap(), ..client() };
    let error = redeem_as(stranger, &CODE, &kept, shown(&proof)).unwrap_err();
    assert_eq!(error.ends(), None);
    assert_eq!(error, RedeemError::WrongClient);
}

#[test]
fn as10_a_code_is_bound_to_its_client() {
    let (kept, proof) = (kept(None), proof(&TestSigner::es256("holder")));
    for id in ["stranger", "Fintech", "fintech2"] {
        let stranger = Client { id: ClientId::parse(id).unwrap(), ..client() };
        let error = redeem_as(stranger, &CODE, &kept, shown(&proof)).unwrap_err();
        assert_eq!((error.code(), error.is_theft()), (Code::OauthInvalidGrant, true));
        assert_eq!(error, RedeemError::WrongClient, "{id}");
    }
}

#[test]
fn as10_a_code_is_bound_to_its_redirect_uri_byte_for_byte() {
    let (kept, proof) = (kept(None), proof(&TestSigner::es256("holder")));
    for uri in [
        "https://app.fintech.example/callback/",
        "https://app.fintech.example/Callback",
        "https://APP.fintech.example/callback",
        "https://app.fintech.example:443/callback",
        "https://app.fintech.example/callback?",
        "https://app.fintech.example/callbac%6b",
        "http://app.fintech.example/callback",
        "https://evil.example/callback",
    ] {
        let found = redeem_as(client(), &with(&CODE, "redirect_uri", Some(uri)), &kept, shown(&proof));
        assert_eq!(found.unwrap_err(), RedeemError::WrongRedirect, "{uri}");
    }
}

#[test]
fn as24_a_code_needs_the_verifier_of_its_challenge() {
    let (mut kept, proof) = (kept(None), proof(&TestSigner::es256("holder")));
    let other = "v".repeat(43);
    for verifier in [None, Some(""), Some("short"), Some(CHALLENGE), Some(other.as_str()), Some(&VERIFIER[1..])] {
        let error = redeem_as(client(), &with(&CODE, "code_verifier", verifier), &kept, shown(&proof)).unwrap_err();
        assert_eq!((error.code(), error), (Code::OauthInvalidGrant, RedeemError::WrongVerifier), "{verifier:?}");
    }
    // A verifier without a stored challenge, should one ever be kept so.
    kept.code.challenge = String::new();
    assert_eq!(redeem_as(client(), &CODE, &kept, shown(&proof)).unwrap_err(), RedeemError::WrongVerifier);
}

#[test]
fn as42_a_code_that_is_bound_to_a_key_needs_that_key() {
    let (holder, stranger) = (TestSigner::es256("holder"), TestSigner::es256("stranger"));
    let kept = kept(Some(holder.verifying_key().thumbprint().clone()));
    let missing = redeem_as(client(), &CODE, &kept, Timing { now: NOW, proof: None }).unwrap_err();
    assert_eq!((missing.code(), missing), (Code::OauthInvalidDpopProof, GrantError::ProofMissing.into()));
    let wrong = redeem_as(client(), &CODE, &kept, shown(&proof(&stranger))).unwrap_err();
    assert_eq!((wrong.code(), wrong), (Code::OauthInvalidGrant, RedeemError::WrongKey));
    assert!(redeem_as(client(), &CODE, &kept, shown(&proof(&holder))).is_ok());
}

#[test]
fn as4_a_token_for_a_code_is_bound_or_not_granted() {
    let (kept, proof) = (kept(None), proof(&TestSigner::es256("holder")));
    for (binding, error) in [
        (TokenBinding::Dpop, GrantError::ProofMissing),
        (TokenBinding::Either, GrantError::ProofMissing),
        (TokenBinding::Mtls, GrantError::CertificateMissing),
    ] {
        let client = || Client { binding, ..client() };
        let bare = Timing { now: NOW, proof: None };
        assert_eq!(redeem_as(client(), &CODE, &kept, bare).unwrap_err(), RedeemError::Refused(error.clone()));
        assert_eq!(refresh_as(client(), &REFRESH, &kept, bare).unwrap_err(), RedeemError::Refused(error));
    }
    let by_certificate = Client { binding: TokenBinding::Mtls, ..client() };
    let found = redeem_as(by_certificate.clone(), &CODE, &kept, shown(&proof)).unwrap_err();
    assert_eq!(found, RedeemError::Refused(GrantError::WrongBinding));
    let (client, shown) = (authenticated(by_certificate, &REFRESH), certificate());
    let TokenRequest::RefreshToken(request) = TokenRequest::parse(client.form()).unwrap() else {
        unreachable!("the form has a refresh token")
    };
    let at = Exchange { certificate: Some(&shown), ..exchange(&client, None) };
    let granted = refresh(&at, &request, &kept.refresh, Some(&kept.grant), "t".to_owned()).unwrap();
    assert_eq!(granted.confirmation, Confirmation::X5tS256([7; 32]));
}

#[test]
fn as15_who_is_stopped_redeems_and_refreshes_nothing() {
    let (kept, proof) = (kept(None), proof(&TestSigner::es256("holder")));
    for (why, stopped) in stopped_clients() {
        let found = redeem_as(stopped.clone(), &CODE, &kept, shown(&proof)).unwrap_err();
        assert_eq!((found.code(), found.ends()), (Code::OauthUnauthorizedClient, None), "{why}");
        let found = refresh_as(stopped, &REFRESH, &kept, shown(&proof)).unwrap_err();
        assert_eq!(found.code(), Code::OauthUnauthorizedClient, "{why}");
    }
}

#[test]
fn what_has_ended_gives_no_tokens() {
    let (good, proof) = (kept(None), proof(&TestSigner::es256("holder")));
    let revoked = Kept { grant: good.grant.ended(), ..kept(None) };
    let over = Kept { grant: Grant { expires: NOW, ..good.grant.clone() }, ..kept(None) };
    let other = Kept { grant: Grant { id: grant_id("grant-2"), ..good.grant.clone() }, ..kept(None) };
    let foreign = Kept { grant: Grant { client: ClientId::parse("x").unwrap(), ..good.grant.clone() }, ..kept(None) };
    for (kept, expected) in [
        (revoked, RedeemError::Ended),
        (over, RedeemError::Ended),
        (other, RedeemError::Unknown),
        (foreign, RedeemError::WrongClient),
    ] {
        assert_eq!(redeem_as(client(), &CODE, &kept, shown(&proof)).unwrap_err(), expected);
        assert_eq!(refresh_as(client(), &REFRESH, &kept, shown(&proof)).unwrap_err(), expected);
    }
    let asker = authenticated(client(), &REFRESH);
    let TokenRequest::RefreshToken(request) = TokenRequest::parse(asker.form()).unwrap() else {
        unreachable!("the form has a refresh token")
    };
    let forgotten = refresh(&exchange(&asker, Some(&proof)), &request, &good.refresh, None, "t".to_owned());
    assert_eq!(forgotten.unwrap_err(), RedeemError::Unknown);
}

#[test]
fn as9_a_refresh_token_is_its_clients_and_ends() {
    let (kept, proof) = (kept(None), proof(&TestSigner::es256("holder")));
    let stranger = Client { id: ClientId::parse("stranger").unwrap(), ..client() };
    let error = refresh_as(stranger, &REFRESH, &kept, shown(&proof)).unwrap_err();
    assert_eq!((error.code(), error.is_theft(), error), (Code::OauthInvalidGrant, true, RedeemError::WrongClient));
    let over = Timing { now: kept.refresh.expires, ..shown(&proof) };
    assert_eq!(refresh_as(unlimited(), &REFRESH, &kept, over).unwrap_err(), RedeemError::Expired, "on the instant");
    let last = Timing { now: kept.refresh.expires - TICK, ..shown(&proof) };
    let granted = refresh_as(unlimited(), &REFRESH, &kept, last).unwrap();
    assert_eq!(granted.expires, kept.grant.expires, "no token outlasts its grant");
}

fn unlimited() -> Client {
    let mut client = client();
    std::sync::Arc::make_mut(&mut client.organisation).licence_ends = crate::time::Timestamp::MAX;
    client
}

#[test]
fn as9_a_refreshed_token_is_bound_to_the_key_that_is_shown_now() {
    let (first, second) = (TestSigner::es256("first"), TestSigner::es256("second"));
    let kept = kept(Some(first.verifying_key().thumbprint().clone()));
    for holder in [first, second] {
        let granted = refresh_as(client(), &REFRESH, &kept, shown(&proof(&holder))).unwrap();
        assert_eq!(granted.confirmation, Confirmation::Jkt(holder.verifying_key().thumbprint().clone()));
    }
}

#[test]
fn as8_a_refresh_token_stays_what_it_is() {
    let (kept, proof) = (kept(None), proof(&TestSigner::es256("holder")));
    let redeemed = redeem_as(client(), &CODE, &kept, shown(&proof)).unwrap();
    let made = redeemed.refresh_token(sha256(b"the-refresh-token"));
    assert_eq!(made, kept.refresh);
    // Used as often as one likes: what comes of it is an access token, and nothing to replace it with.
    for _ in 0..3 {
        assert!(refresh_as(client(), &REFRESH, &kept, shown(&proof)).is_ok());
    }
}

#[test]
fn as12_scopes_are_only_ever_fewer() {
    let (kept, proof) = (kept(None), proof(&TestSigner::es256("holder")));
    let asked = |scope: &str| refresh_as(client(), &with(&REFRESH, "scope", Some(scope)), &kept, shown(&proof));
    for scope in [
        // The client's, and not granted.
        "transactions:read",
        "accounts:read transactions:read",
        "consents:write",
        "events:read",
        "unknown",
        "accounts:read unknown",
        "accounts:READ",
        "a\"b",
        " ",
    ] {
        let error = asked(scope).unwrap_err();
        assert_eq!((error.code(), error), (Code::OauthInvalidScope, GrantError::InvalidScope.into()), "{scope}");
    }
    assert_eq!(asked("balances:read accounts:read").unwrap().scopes.to_string(), "accounts:read balances:read");
    // What was taken from the client since is not granted again.
    let narrow = Client { scopes: ScopeSet::of(["accounts:read"]), ..client() };
    let found = refresh_as(narrow.clone(), &with(&REFRESH, "scope", Some("balances:read")), &kept, shown(&proof));
    assert_eq!(found.unwrap_err(), RedeemError::Refused(GrantError::InvalidScope));
    let left = refresh_as(narrow, &REFRESH, &kept, shown(&proof)).unwrap();
    assert_eq!(left.scopes.to_string(), "accounts:read");
    let none = Client { scopes: ScopeSet::default(), ..client() };
    let found = refresh_as(none, &REFRESH, &kept, shown(&proof)).unwrap_err();
    assert_eq!(found, RedeemError::Refused(GrantError::InvalidScope));
}

#[test]
fn as71_details_are_only_ever_fewer_and_take_their_scopes_along() {
    let (kept, proof) = (kept(None), proof(&TestSigner::es256("holder")));
    for pairs in [CODE.to_vec(), REFRESH.to_vec()] {
        let asked = |details: &str| {
            let pairs = with(&pairs, "authorization_details", Some(details));
            if pairs.contains(&("grant_type", "refresh_token")) {
                refresh_as(client(), &pairs, &kept, shown(&proof))
            } else {
                redeem_as(client(), &pairs, &kept, shown(&proof)).map(|redeemed| redeemed.access().clone())
            }
        };
        let foreign = asked(r#"[{"type":"account_information","consentId":"consent-x"}]"#).unwrap_err();
        assert_eq!(foreign.code(), Code::OauthInvalidAuthorizationDetails);
        let left = asked(r#"[{"type":"account_information","consentId":"consent-a"}]"#).unwrap();
        assert_eq!(left.scopes.to_string(), "accounts:read balances:read");
        assert_eq!(left.citizen.unwrap().details.len(), 1);
        assert_eq!(
            asked(r#"[{"type":"payment_initiation"}]"#).unwrap().scopes.to_string(),
            "payments:read payments:write"
        );
    }
    for details in ["", "[]", "{}", "[{}]", "null"] {
        let client = authenticated(client(), &with(&CODE, "authorization_details", Some(details)));
        let found = TokenRequest::parse(client.form()).map(|_| ());
        let expected = if details.is_empty() { Ok(()) } else { Err(GrantError::InvalidDetails) };
        assert_eq!(found, expected, "{details}");
    }
}

#[test]
fn as12_a_citizens_token_says_what_was_granted_and_for_whom() {
    let (kept, proof) = (kept(None), proof(&TestSigner::es256("holder")));
    let redeemed = redeem_as(client(), &CODE, &kept, shown(&proof)).unwrap();
    let granted = redeemed.access();
    assert_eq!((granted.issuer.as_str(), granted.audience.as_str()), (ISSUER, ISSUER));
    assert_eq!((granted.client.as_str(), granted.subject.as_str()), ("fintech", "citizen:somebody"));
    assert_eq!((granted.issued, granted.expires), (NOW, NOW + ACCESS_TOKEN_TTL));
    assert_eq!((&granted.scopes, granted.jti.as_str()), (&kept.grant.scopes, "token-1"));
    let citizen = granted.citizen.as_ref().unwrap();
    assert_eq!((&citizen.grant, &citizen.details), (&kept.grant.id, &kept.grant.details));
    assert_eq!((citizen.acr.as_str(), citizen.authenticated), ("urn:qaqpa:acr:L2", NOW));
}

#[test]
fn as13_no_client_is_named_like_a_citizen() {
    assert!(ClientId::parse("citizen:somebody").is_err());
    let kept = kept(None);
    assert!(kept.grant.subject.starts_with(crate::authorization::CITIZEN_PREFIX));
}

#[test]
fn every_refusal_of_a_code_is_told_alike() {
    let all = [
        RedeemError::Unknown,
        RedeemError::WrongClient,
        RedeemError::Reused(grant_id("g")),
        RedeemError::Expired,
        RedeemError::Ended,
        RedeemError::WrongRedirect,
        RedeemError::WrongVerifier,
        RedeemError::WrongKey,
    ];
    for error in all {
        assert_eq!((error.to_string(), error.code()), (TOLD.to_owned(), Code::OauthInvalidGrant));
    }
}

#[test]
fn codes_and_tokens_are_never_shown() {
    for pairs in [CODE.to_vec(), REFRESH.to_vec()] {
        let client = authenticated(client(), &pairs);
        let told = format!("{:?} {:?}", client.form(), TokenRequest::parse(client.form()).unwrap());
        for secret in ["the-code", "the-refresh-token", VERIFIER] {
            assert!(!told.contains(secret), "{told}");
        }
    }
}
