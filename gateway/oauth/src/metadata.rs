//! What the server publishes of itself: RFC 8414 and RFC 9728. It lists what is enabled, nothing more.

use std::collections::BTreeSet;

use policies::consent::ConsentKind;
use policies::id::OperationId;
use policies::rulebook::Rulebook;
use serde_json::{Map, Value, json};

/// Where the server is, and what policy makes of it.
#[derive(Debug, Clone, Copy)]
pub struct Endpoints<'a> {
    /// The issuer, byte for byte as it stands in tokens.
    pub issuer: &'a str,
    /// The base URL of the listener without certificates.
    pub external: &'a str,
    /// The base URL of the listener that asks for certificates.
    pub mtls: Option<&'a str>,
    /// Which operations there are, which scopes they need and clients may have, and who else issues tokens.
    pub rulebook: &'a Rulebook,
}

const SIGNING_ALGORITHMS: [&str; 4] = ["PS256", "ES256", "EdDSA", "Ed25519"];

/// The endpoints where a client authenticates itself: member, operation, path. With a certificate it goes to another host.
const CLIENT_ENDPOINTS: [(&str, &str, &str); 4] = [
    ("token_endpoint", "issueToken", "/oauth/token"),
    ("pushed_authorization_request_endpoint", "pushAuthorizationRequest", "/oauth/par"),
    ("introspection_endpoint", "introspectToken", "/oauth/introspect"),
    ("revocation_endpoint", "revokeToken", "/oauth/revoke"),
];

impl Endpoints<'_> {
    /// Tells whether the metadata of this issuer stands where it was asked for: behind the well-known name comes the path
    /// of the issuer, if it has one (RFC 8414, section 3.1).
    #[must_use]
    pub fn stand_at(&self, path: Option<&str>) -> bool {
        issuer_path(self.issuer) == path
    }

    /// Tells whether the metadata of this resource stands there: also without the path, where challenges point to (RFC
    /// 9728, section 5.1).
    #[must_use]
    pub fn resource_stands_at(&self, path: Option<&str>) -> bool {
        path.is_none() || self.stand_at(path)
    }

    fn exposed(&self, operation: &str) -> bool {
        OperationId::parse(operation).is_ok_and(|id| self.rulebook.operations.contains_key(&id))
    }

    fn redirects(&self) -> bool {
        self.exposed("pushAuthorizationRequest") && self.exposed("showAuthorization")
    }

    fn authentication_methods(&self) -> &'static [&'static str] {
        match self.mtls {
            Some(_) => &["private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"],
            None => &["private_key_jwt"],
        }
    }

    fn client_endpoints<'a>(&'a self, base: &'a str) -> impl Iterator<Item = (String, Value)> + 'a {
        let exposed = CLIENT_ENDPOINTS.iter().filter(|(_, operation, _)| self.exposed(operation));
        exposed.map(move |(member, _, path)| ((*member).to_owned(), json!(format!("{base}{path}"))))
    }

    fn details_types(&self) -> Vec<&'static str> {
        let types = ConsentKind::ALL.into_iter().map(ConsentKind::details_type);
        if self.redirects() { types.collect() } else { Vec::new() }
    }
}

/// Returns what stands behind the host of an issuer, without the slash before it; none if nothing does.
fn issuer_path(issuer: &str) -> Option<&str> {
    let (_, rest) = issuer.split_once("://")?;
    rest.split_once('/').map(|(_, path)| path).filter(|path| !path.is_empty())
}

/// Describes the authorization server (RFC 8414).
#[must_use]
pub fn authorization_server(at: &Endpoints<'_>) -> Value {
    let scopes: BTreeSet<&str> = at.rulebook.clients.values().flat_map(|client| client.scopes.iter()).collect();
    let methods = at.authentication_methods();
    let mut body = Map::new();
    let mut put = |name: &str, value: Value| body.insert(name.to_owned(), value);
    put("issuer", json!(at.issuer));
    put("jwks_uri", json!(format!("{}/oauth/jwks", at.external)));
    put("scopes_supported", json!(scopes));
    put("dpop_signing_alg_values_supported", json!(SIGNING_ALGORITHMS));
    put("tls_client_certificate_bound_access_tokens", json!(at.mtls.is_some()));
    put("response_types_supported", json!(Vec::<&str>::new()));
    put("grant_types_supported", json!(["client_credentials"]));
    if at.redirects() {
        put("grant_types_supported", json!(["client_credentials", "authorization_code", "refresh_token"]));
        put("authorization_endpoint", json!(format!("{}/oauth/authorize", at.external)));
        put("require_pushed_authorization_requests", json!(true));
        put("response_types_supported", json!(["code"]));
        put("response_modes_supported", json!(["query"]));
        put("code_challenge_methods_supported", json!(["S256"]));
        put("authorization_response_iss_parameter_supported", json!(true));
        put("authorization_details_types_supported", json!(at.details_types()));
        put("ui_locales_supported", json!(["kk", "ru", "en"]));
    }
    for (endpoint, operation) in
        [("token", "issueToken"), ("introspection", "introspectToken"), ("revocation", "revokeToken")]
    {
        if at.exposed(operation) {
            put(&format!("{endpoint}_endpoint_auth_methods_supported"), json!(methods));
            put(&format!("{endpoint}_endpoint_auth_signing_alg_values_supported"), json!(SIGNING_ALGORITHMS));
        }
    }
    body.extend(at.client_endpoints(at.external));
    if let Some(mtls) = at.mtls {
        let aliases: Map<String, Value> = at.client_endpoints(mtls).collect();
        body.insert("mtls_endpoint_aliases".to_owned(), Value::Object(aliases));
    }
    Value::Object(body)
}

/// Describes the protected resource (RFC 9728).
#[must_use]
pub fn protected_resource(at: &Endpoints<'_>) -> Value {
    let scopes: BTreeSet<&str> = at.rulebook.operations.values().flat_map(|policy| policy.scopes.iter()).collect();
    let others = at.rulebook.issuers.values().map(|issuer| issuer.issuer.as_str());
    let servers: Vec<&str> = [at.issuer].into_iter().chain(others).collect();
    json!({
        "resource": at.issuer,
        "authorization_servers": servers,
        "scopes_supported": scopes,
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": SIGNING_ALGORITHMS,
        "dpop_bound_access_tokens_required": at.mtls.is_none(),
        "tls_client_certificate_bound_access_tokens": at.mtls.is_some(),
        "authorization_details_types_supported": at.details_types(),
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

    use super::*;

    fn at<'a>(rulebook: &'a Rulebook, issuer: &'a str) -> Endpoints<'a> {
        Endpoints { issuer, external: "https://api.example", mtls: None, rulebook }
    }

    #[test]
    fn as74_without_a_door_for_certificates_nothing_is_told_of_them() {
        let rulebook = Rulebook::default();
        let told = authorization_server(&at(&rulebook, "https://api.example"));
        assert_eq!(told.get("mtls_endpoint_aliases"), None);
        assert_eq!(told["tls_client_certificate_bound_access_tokens"], false);
        assert_eq!(told["grant_types_supported"], json!(["client_credentials"]));
        assert!(!told.to_string().contains("tls_client_auth"));
        // No policy exposes anything: nothing is where a client could go.
        assert!(!told.to_string().contains("_endpoint\""));
    }

    #[test]
    fn rs41_without_a_door_for_certificates_every_token_is_bound_to_a_key() {
        let rulebook = Rulebook::default();
        let told = protected_resource(&at(&rulebook, "https://api.example"));
        assert_eq!(told["dpop_bound_access_tokens_required"], true);
        assert_eq!(told["tls_client_certificate_bound_access_tokens"], false);
        assert_eq!(told["authorization_servers"], json!(["https://api.example"]));
    }

    #[test]
    fn as1_the_path_of_an_issuer_stands_behind_the_well_known_name() {
        let rulebook = Rulebook::default();
        for (issuer, path) in [
            ("https://api.example", None),
            ("https://api.example:8443", None),
            ("https://api.example/open", Some("open")),
            ("https://api.example/open/two", Some("open/two")),
        ] {
            let at = at(&rulebook, issuer);
            assert!(at.stand_at(path) && at.resource_stands_at(path) && at.resource_stands_at(None));
            for elsewhere in [None, Some("open"), Some("OPEN"), Some("open/two"), Some(""), Some("two")] {
                assert_eq!(at.stand_at(elsewhere), elsewhere == path, "{issuer} {elsewhere:?}");
            }
        }
    }
}
