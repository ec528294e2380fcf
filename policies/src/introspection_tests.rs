#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::time::Duration;

use super::*;
use crate::code::Code;
use crate::grant::testing::{ISSUER, NOW, client, stopped_clients};
use crate::id::ClientId;
use crate::token::testing::{citizens, own};

fn server(scopes: &[&str]) -> Client {
    let mut server = Client {
        id: ClientId::parse("resource-server").unwrap(),
        scopes: ScopeSet::of(scopes.iter().copied()),
        ..client()
    };
    server.oauth.introspects = true;
    server.oauth.redirect_uris.clear();
    server
}

#[test]
fn as63_only_resource_servers_are_told() {
    let error = tell(&client(), Some(&own()), Some(&client()), false, ISSUER, NOW).unwrap_err();
    assert_eq!((error.code(), error), (Code::OauthUnauthorizedClient, GrantError::NotOffered));
}

#[test]
fn as15_who_is_stopped_is_told_nothing_and_its_tokens_are_worth_nothing() {
    for (why, mut stopped) in stopped_clients() {
        let found = tell(&server(&["accounts:read"]), Some(&own()), Some(&stopped), false, ISSUER, NOW);
        assert_eq!(found.unwrap(), json!({"active": false}), "{why}");
        stopped.oauth.introspects = true;
        let found = tell(&stopped, Some(&own()), Some(&client()), false, ISSUER, NOW).unwrap_err();
        assert_eq!(found.code(), Code::OauthUnauthorizedClient, "{why}");
    }
}

#[test]
fn as63_a_token_that_is_worth_nothing_is_told_of_in_two_words() {
    let (server, holder, token) = (server(&["accounts:read"]), client(), own());
    let stranger = Client { id: ClientId::parse("another").unwrap(), ..client() };
    let late = token.expires();
    for (told, why) in [
        (tell(&server, None, None, false, ISSUER, NOW), "unknown"),
        (tell(&server, None, Some(&holder), false, ISSUER, NOW), "unknown, of a known client"),
        (tell(&server, Some(&token), Some(&holder), true, ISSUER, NOW), "taken back"),
        (tell(&server, Some(&token), None, false, ISSUER, NOW), "of a client that is gone"),
        (tell(&server, Some(&token), Some(&stranger), false, ISSUER, NOW), "of another client"),
        (tell(&server, Some(&token), Some(&holder), false, ISSUER, late), "over"),
        (tell(&self::server(&["tenge:read"]), Some(&token), Some(&holder), false, ISSUER, NOW), "for somebody else"),
        (tell(&self::server(&[]), Some(&token), Some(&holder), false, ISSUER, NOW), "for nobody"),
    ] {
        assert_eq!(told.unwrap().to_string(), r#"{"active":false}"#, "{why}");
    }
    let fresh = late - Duration::from_millis(1);
    let told = tell(&server, Some(&token), Some(&holder), false, ISSUER, fresh).unwrap();
    assert_eq!(told.get("active"), Some(&json!(true)));
}

#[test]
fn as63_a_resource_server_is_told_what_concerns_it() {
    let told =
        tell(&server(&["payments:read", "payments:write"]), Some(&citizens()), Some(&client()), false, ISSUER, NOW);
    let told = told.unwrap();
    assert_eq!(told.get("scope"), Some(&json!("payments:read payments:write")));
    assert_eq!(told.get("authorization_details").and_then(Value::as_array).map(Vec::len), Some(1));
    assert_eq!(told.pointer("/authorization_details/0/type"), Some(&json!("payment_initiation")));
    assert_eq!(told.get("token_type"), Some(&json!("DPoP")));
    assert_eq!(told.pointer("/cnf/jkt"), Some(&json!("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I")));
    for (name, value) in [
        ("iss", json!(ISSUER)),
        ("client_id", json!("fintech")),
        ("sub", json!("citizen:somebody")),
        ("acr", json!("urn:qaqpa:acr:L2")),
        ("auth_time", json!(NOW.seconds())),
        ("exp", json!(citizens().expires().seconds())),
    ] {
        assert_eq!(told.get(name), Some(&value), "{name}");
    }
    let own = tell(&server(&["accounts:read"]), Some(&own()), Some(&client()), false, ISSUER, NOW).unwrap();
    for name in ["authorization_details", "acr", "auth_time", "grant_id"] {
        assert_eq!(own.get(name), None, "{name}");
    }
    assert_eq!((own.get("sub"), own.get("token_type")), (Some(&json!("fintech")), Some(&json!("Bearer"))));
}
