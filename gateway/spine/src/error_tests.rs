#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use super::*;
use crate::rate_limit::Room;

const METADATA: &str = r#"resource_metadata="https://gate.example/.well-known/oauth-protected-resource""#;
const ALGORITHMS: &str = r#"algs="ES256 EdDSA Ed25519 PS256""#;

fn render(rejection: &Rejection, oauth: bool, certificates: bool) -> Reply {
    let interaction = InteractionId::parse("0193-5").unwrap();
    rejection.render(Rendering { interaction: &interaction, external: "https://gate.example", oauth, certificates })
}

fn challenges(rejection: &Rejection, certificates: bool) -> Vec<String> {
    let reply = render(rejection, false, certificates);
    let all = reply.headers().get_all(WWW_AUTHENTICATE);
    all.iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}

fn refused(code: Code) -> Rejection {
    Rejection::new(code, "no")
}

#[test]
fn rs3_without_a_token_the_challenge_has_no_error() {
    let missing = refused(Code::TokenMissing);
    assert_eq!(challenges(&missing, false), [format!("DPoP {ALGORITHMS}, {METADATA}")]);
    // Where tokens may be bound to certificates, that way is told too.
    let both = [format!("DPoP {ALGORITHMS}, {METADATA}"), format!("Bearer {METADATA}")];
    assert_eq!(challenges(&missing, true), both);
    assert!(!render(&missing, false, true).headers().contains_key(DPOP_NONCE));
}

#[test]
fn rs4_each_refusal_has_its_status_and_error() {
    for (code, status, error) in [
        (Code::TokenMalformed, 400, "invalid_request"),
        (Code::TokenInvalid, 401, "invalid_token"),
        (Code::TokenExpired, 401, "invalid_token"),
        (Code::TokenBindingFailed, 401, "invalid_token"),
        (Code::ProofInvalid, 401, "invalid_dpop_proof"),
        (Code::ProofReplayed, 401, "invalid_dpop_proof"),
        (Code::ProofNonceNeeded, 401, "use_dpop_nonce"),
        (Code::InsufficientScope, 403, "insufficient_scope"),
        (Code::ConsentRequired, 403, "insufficient_scope"),
        (Code::ConsentMismatch, 403, "insufficient_scope"),
        (Code::WrongFlowType, 403, "insufficient_scope"),
        (Code::StepUpRequired, 401, "insufficient_user_authentication"),
    ] {
        let rejection = refused(code);
        assert_eq!(render(&rejection, false, false).status(), status, "{code:?}");
        assert_eq!(challenges(&rejection, false), [format!(r#"DPoP {ALGORITHMS}, error="{error}", {METADATA}"#)]);
        // A token that came as a bearer's is told so, and that there is another way.
        let told = [format!(r#"Bearer error="{error}", {METADATA}"#), format!("DPoP {ALGORITHMS}, {METADATA}")];
        assert_eq!(challenges(&rejection.under(Scheme::Bearer), true), told);
    }
}

#[test]
fn rs4_scope_and_context_are_told() {
    let short = refused(Code::InsufficientScope).scope("payments:write".to_owned());
    let told = format!(r#"DPoP {ALGORITHMS}, error="insufficient_scope", scope="payments:write", {METADATA}"#);
    assert_eq!(challenges(&short, false), [told]);
    let offer = StepUpOffer {
        acr: "urn:qaqpa:acr:L2".to_owned(),
        purpose: "payment_stepup".to_owned(),
        binding: json!({}),
        verification: "/v1/identity-verifications".to_owned(),
    };
    let weak = refused(Code::StepUpRequired).step_up(offer);
    let error = r#"error="insufficient_user_authentication", acr_values="urn:qaqpa:acr:L2""#;
    assert_eq!(challenges(&weak, false), [format!("DPoP {ALGORITHMS}, {error}, {METADATA}")]);
}

#[test]
fn rs4_a_nonce_comes_once_with_the_refusal_that_asks_for_it() {
    let reply = render(&refused(Code::ProofNonceNeeded).nonce("first").nonce("second"), false, false);
    let nonces: Vec<_> = reply.headers().get_all(DPOP_NONCE).iter().collect();
    assert_eq!(nonces, ["second"]);
    let reply = render(&refused(Code::OauthUseDpopNonce).nonce("one"), true, false);
    assert_eq!(
        (reply.status().as_u16(), reply.headers().get(DPOP_NONCE).unwrap()),
        (400, &HeaderValue::from_static("one"))
    );
    assert!(!reply.headers().contains_key(WWW_AUTHENTICATE));
}

#[test]
fn refusals_that_are_not_about_a_token_challenge_nobody() {
    for code in [
        Code::HeaderRefused,
        Code::UnknownPath,
        Code::ClientSuspended,
        Code::PolicyDenied,
        Code::SchemaViolation,
        Code::ConsentConsumed,
        Code::SignatureInvalid,
        Code::RateLimited,
        Code::DependencyDown,
        Code::Internal,
    ] {
        assert_eq!(challenges(&refused(code), true), Vec::<String>::new(), "{code:?}");
    }
    assert_eq!(challenges(&refused(Code::ClientUnauthenticated), false), ["Bearer realm=\"qaqpa administrators\""]);
}

#[test]
fn rs5_nothing_ends_a_parameter_and_begins_another() {
    let short = refused(Code::InsufficientScope).scope("a\", error=\"x\\\r\n\u{49b}".to_owned());
    let text = challenges(&short, false);
    assert_eq!(
        text,
        [format!(r#"DPoP {ALGORITHMS}, error="insufficient_scope", scope="a\", error=\"x\\", {METADATA}"#)]
    );
}

#[test]
fn a_wait_is_told_in_whole_seconds_rounded_up() {
    let rejection = Rejection::new(Code::RateLimited, "wait").retry_after(Duration::from_millis(1001));
    let reply = render(&rejection, false, false);
    assert_eq!(reply.headers().get(RETRY_AFTER), Some(&HeaderValue::from(2)));
}

#[test]
fn oauth_descriptions_keep_to_the_characters_of_rfc_6749() {
    assert_eq!(ascii("a \"b\" қ \\"), "a 'b' ' '");
}

#[test]
fn who_is_told_of_two_waits_comes_after_the_longer_one() {
    let wait = |first: u64, room: u64| {
        let rejection = refused(Code::RateLimited).retry_after(Duration::from_secs(first));
        let reply = render(&rejection.violated(Room::none_of("it", Duration::from_secs(room))), false, false);
        reply.headers().get(RETRY_AFTER).cloned()
    };
    for (first, room) in [(3, 9), (9, 3), (9, 9)] {
        assert_eq!(wait(first, room), Some(HeaderValue::from(9)), "{first} {room}");
    }
    let both = refused(Code::RateLimited).violated(Room::none_of("a", Duration::from_secs(2)));
    let both = render(&both.violated(Room::none_of("b", Duration::from_secs(5))), false, false);
    assert_eq!(both.headers().get(RETRY_AFTER), Some(&HeaderValue::from(5)));
}

#[test]
fn a_limit_that_had_no_room_is_told_beside_those_that_had() {
    let far = refused(Code::RateLimited).violated(Room::none_of("provider", Duration::from_secs(7)));
    // What the limits of the call itself said is added on the way out.
    let reply = render(&far.room(Rooms::default()), false, false);
    let field = |name: &str| reply.headers().get(name).and_then(|value| value.to_str().ok());
    assert_eq!((field("ratelimit"), field("retry-after")), (Some("\"provider\";r=0;t=7"), Some("7")));
}
