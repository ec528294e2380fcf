//! What the server publishes of itself: RFC 8414 and RFC 9728. It lists what is enabled, nothing more.

use std::collections::BTreeSet;

use serde_json::{Value, json};

/// Where the server is.
#[derive(Debug, Clone)]
pub struct Endpoints<'a> {
    /// The issuer, which is also the base URL of the listener without certificates.
    pub issuer: &'a str,
    /// The base URL of the listener that asks for certificates.
    pub mtls: Option<&'a str>,
    /// Every scope that some client may get.
    pub scopes: BTreeSet<&'a str>,
}

const SIGNING_ALGORITHMS: [&str; 4] = ["PS256", "ES256", "EdDSA", "Ed25519"];

/// Describes the authorization server (RFC 8414).
#[must_use]
pub fn authorization_server(at: &Endpoints<'_>) -> Value {
    let aliases = at.mtls.map(|mtls| json!({ "token_endpoint": format!("{mtls}/oauth/token") }));
    let mut body = json!({
        "issuer": at.issuer,
        "token_endpoint": format!("{}/oauth/token", at.issuer),
        "jwks_uri": format!("{}/oauth/jwks", at.issuer),
        "scopes_supported": at.scopes,
        "response_types_supported": [],
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": ["private_key_jwt", "tls_client_auth"],
        "token_endpoint_auth_signing_alg_values_supported": SIGNING_ALGORITHMS,
        "dpop_signing_alg_values_supported": SIGNING_ALGORITHMS,
        "tls_client_certificate_bound_access_tokens": at.mtls.is_some(),
    });
    if let (Some(aliases), Some(members)) = (aliases, body.as_object_mut()) {
        members.insert("mtls_endpoint_aliases".to_owned(), aliases);
    }
    body
}

/// Describes the protected resource (RFC 9728).
#[must_use]
pub fn protected_resource(at: &Endpoints<'_>) -> Value {
    json!({
        "resource": at.issuer,
        "authorization_servers": [at.issuer],
        "scopes_supported": at.scopes,
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": SIGNING_ALGORITHMS,
        "tls_client_certificate_bound_access_tokens": at.mtls.is_some(),
    })
}
