#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use super::*;
use crate::grant::testing::form;
use crate::grant::{GrantError, TokenRequest};

fn parsed(pairs: &[(&str, &str)]) -> Result<TokenRequest, GrantError> {
    ClientForm::parse(&form(pairs)).and_then(|form| TokenRequest::parse(&form))
}

#[test]
fn every_parameter_counts_once_at_every_endpoint() {
    for name in [
        "code",
        "code_verifier",
        "redirect_uri",
        "refresh_token",
        "token",
        "token_type_hint",
        "state",
        "nonce",
        "response_type",
        "code_challenge",
        "authorization_details",
        "dpop_jkt",
        "request_uri",
        "resource",
        "client_assertion_type",
    ] {
        let twice = ClientForm::parse(&form(&[(name, "a"), ("x", "y"), (name, "b")]));
        assert_eq!(twice.unwrap_err(), GrantError::Repeated(name.to_owned()));
        let empty = ClientForm::parse(&form(&[(name, ""), (name, "")]));
        assert_eq!(empty.unwrap_err(), GrantError::Repeated(name.to_owned()), "empty twice is twice");
    }
}

#[test]
fn a_text_in_the_place_of_a_name_is_not_told_back() {
    for name in ["eyJhbGciOiJFUzI1NiJ9.e30.c2ln", "a b", "<script>", "x\r\ny", "қ", &"a".repeat(41), ""] {
        let found = ClientForm::parse(&form(&[(name, "1"), (name, "2")])).unwrap_err();
        assert_eq!(found, GrantError::Repeated("?".to_owned()), "{name}");
    }
    let longest = "a".repeat(40);
    let found = ClientForm::parse(&form(&[(&longest, "1"), (&longest, "2")])).unwrap_err();
    assert_eq!(found, GrantError::Repeated(longest));
}

#[test]
fn as2_a_grant_needs_its_own_parameters() {
    let code = [("code", "c"), ("redirect_uri", "https://app.example/"), ("code_verifier", "v")];
    for missing in ["code", "redirect_uri"] {
        let mut pairs = vec![("grant_type", "authorization_code")];
        pairs.extend(code.iter().filter(|(name, _)| *name != missing));
        assert_eq!(parsed(&pairs).unwrap_err(), GrantError::Missing(missing));
        pairs.push((missing, ""));
        assert_eq!(parsed(&pairs).unwrap_err(), GrantError::Missing(missing), "empty is left out");
    }
    assert_eq!(parsed(&[("grant_type", "refresh_token")]).unwrap_err(), GrantError::Missing("refresh_token"));
    let swapped = [("grant_type", "refresh_token"), ("code", "c"), ("redirect_uri", "https://app.example/")];
    assert_eq!(parsed(&swapped).unwrap_err(), GrantError::Missing("refresh_token"));
    // What belongs to a citizen's token is none of a client's own.
    let own = [("grant_type", "client_credentials"), ("authorization_details", "[]")];
    assert_eq!(parsed(&own).unwrap_err(), GrantError::InvalidDetails);
}

#[test]
fn as2_no_other_grant_is_offered() {
    for grant in [
        "password",
        "implicit",
        "token",
        "Authorization_Code",
        "authorization_code ",
        "AUTHORIZATION_CODE",
        "refresh-token",
        "urn:ietf:params:oauth:grant-type:token-exchange",
        "urn:ietf:params:oauth:grant-type:device_code",
        "urn:ietf:params:oauth:grant-type:saml2-bearer",
        "urn:openid:params:grant-type:ciba",
    ] {
        let pairs = [
            ("grant_type", grant),
            ("username", "u"),
            ("password", "p"),
            ("code", "c"),
            ("refresh_token", "r"),
            ("redirect_uri", "https://app.example/"),
        ];
        assert_eq!(parsed(&pairs).unwrap_err(), GrantError::UnsupportedGrantType, "{grant}");
    }
}

#[test]
fn as3_a_shared_secret_is_refused_at_every_endpoint() {
    for beside in ["token", "response_type", "code", "client_id"] {
        let found = ClientForm::parse(&form(&[("client_secret", "hunter2"), (beside, "x")]));
        assert_eq!(found.unwrap_err(), GrantError::SecretRefused, "{beside}");
    }
}

#[test]
fn values_are_read_by_name_and_shown_by_nobody() {
    let all = form(&[("token", "very-secret"), ("state", ""), ("client_id", "fintech"), ("client_assertion", "a.b.c")]);
    let typed = [all, form(&[("client_assertion_type", ASSERTION_TYPE)])].concat();
    let read = ClientForm::parse(&typed).unwrap();
    assert_eq!((read.get("token"), read.get("state"), read.get("nothing")), (Some("very-secret"), None, None));
    assert_eq!(read.get("client_assertion"), None, "the assertion is nobody's parameter");
    assert_eq!(read.required("state"), Err(GrantError::Missing("state")));
    assert!(read.has_assertion());
    assert_eq!(read.key_id(), None, "no JWS, no key");
    assert!(!format!("{read:?}").contains("secret-") && !format!("{read:?}").contains("very-secret"));
}
