#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use super::*;
use crate::consent::ConsentKind;
use crate::grant::testing::{CHALLENGE, NOW, REDIRECT, TICK, authorised, awaiting, client, consent_id, grant_id};

fn pushed() -> Pushed {
    Pushed {
        key: [1; 32],
        client: client().id,
        redirect_uri: REDIRECT.to_owned(),
        scopes: ScopeSet::of(["accounts:read"]),
        consents: vec![consent_id("a"), consent_id("p")],
        state: None,
        challenge: CHALLENGE.to_owned(),
        jkt: None,
        expires: NOW + PUSHED_TTL,
        used: false,
    }
}

fn by(subject: &str) -> GrantedBy {
    GrantedBy { subject: subject.to_owned(), acr: "urn:qaqpa:acr:L2".to_owned(), authenticated: NOW }
}

fn consents() -> Vec<Consent> {
    vec![authorised("a", ConsentKind::AccountAccess, "g"), authorised("p", ConsentKind::DomesticPayment, "g")]
}

#[test]
fn as22_a_pushed_request_is_its_clients_for_its_time_and_once() {
    let (ours, theirs) = (client().id, ClientId::parse("another").unwrap());
    let pushed = pushed();
    assert_eq!(pushed.open(&theirs, NOW), Err(PushedError::WrongClient));
    assert_eq!(pushed.open(&ours, pushed.expires), Err(PushedError::Expired));
    assert_eq!(pushed.completed().open(&ours, NOW), Err(PushedError::Used));
    assert_eq!(pushed.completed().open(&theirs, NOW), Err(PushedError::WrongClient));
    // Looking at it twice uses nothing up.
    assert_eq!(pushed.open(&ours, NOW), Ok(()));
    assert_eq!(pushed.open(&ours, pushed.expires - TICK), Ok(()));
    let told = [PushedError::WrongClient, PushedError::Expired, PushedError::Used].map(|error| error.to_string());
    assert!(told.iter().all(|text| Some(text) == told.first()), "{told:?}");
    assert_eq!(PushedError::Used.code(), Code::OauthInvalidRequestUri);
}

#[test]
fn as72_a_grant_is_made_of_the_consents_that_were_asked_for_all_agreed_to() {
    let id = || grant_id("g");
    let of = |consents: &[Consent]| Grant::of(id(), &pushed(), consents, by("citizen:x"));
    let [access, payment] = consents().try_into().unwrap();
    let with = |changed: Consent| of(&[changed, payment.clone()]);
    for (found, why) in [
        (of(&[]), "none"),
        (of(std::slice::from_ref(&access)), "one is missing"),
        (of(&[payment.clone(), access.clone()]), "in another order"),
        (of(&[access.clone(), payment.clone(), payment.clone()]), "one twice"),
        (with(awaiting("a", ConsentKind::AccountAccess)), "not decided"),
        (with(awaiting("a", ConsentKind::AccountAccess).reject(NOW).unwrap()), "refused"),
        (with(access.revoke(NOW, false).unwrap()), "taken back"),
        (with(authorised("a", ConsentKind::AccountAccess, "another")), "of another grant"),
        (with(Consent { client: ClientId::parse("another").unwrap(), ..access.clone() }), "of another client"),
        (with(Consent { id: consent_id("b"), ..access.clone() }), "another one"),
    ] {
        assert_eq!(found, None, "{why}");
    }
    assert!(of(&consents()).is_some());
}

#[test]
fn as13_a_grant_speaks_for_a_citizen_and_never_for_a_client() {
    for subject in ["", "fintech", "Citizen:x", "citizen", " citizen:x", "citizens:x"] {
        assert_eq!(Grant::of(grant_id("g"), &pushed(), &consents(), by(subject)), None, "{subject}");
    }
    let grant = Grant::of(grant_id("g"), &pushed(), &consents(), by("citizen:x")).unwrap();
    assert_eq!(grant.subject, "citizen:x");
}

#[test]
fn a_grant_ends_with_the_first_of_its_consents() {
    let grant = Grant::of(grant_id("g"), &pushed(), &consents(), by("citizen:x")).unwrap();
    assert_eq!(Some(grant.expires), consents().iter().map(|consent| consent.expires).min());
    assert!(!grant.is_alive(grant.expires));
    assert!(grant.is_alive(grant.expires - TICK));
    assert!(!grant.ended().is_alive(NOW));
    assert_eq!(grant.details.len(), 2);
}

#[test]
fn as10_a_code_carries_what_it_is_bound_to() {
    let code = AuthorizationCode::of([2; 32], &pushed(), grant_id("g"), NOW);
    assert_eq!(
        (code.client, code.redirect_uri, code.challenge),
        (client().id, REDIRECT.to_owned(), CHALLENGE.to_owned())
    );
    assert_eq!((code.expires, code.redeemed), (NOW + CODE_TTL, false));
}
