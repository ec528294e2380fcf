//! What the server tells of itself: exactly what is enabled, where clients look for it.

use std::collections::BTreeSet;

use scenarios::actors::Session;
use scenarios::world::{Answer, Ask, Kind, Setup, World};
use serde_json::{Value, json};
use spine::stage::Door;

scenarios! {
    as1_metadata_stands_at_both_places_and_names_the_issuer,
    as1_metadata_of_an_issuer_with_a_path_stands_behind_that_path,
    as1_an_issuer_that_is_no_issuer_is_refused_at_start,
    as26_that_answers_name_their_issuer_is_told,
    as53_every_endpoint_of_clients_has_an_alias_where_certificates_are_asked_for,
    as74_metadata_lists_what_is_enabled_and_nothing_else,
    as74_what_no_policy_exposes_is_not_listed,
    rs41_the_resource_tells_who_issues_its_tokens,
}

const SERVER: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";
const RESOURCE: &str = "/.well-known/oauth-protected-resource";
const OAUTH: &str = "policies/national/apis/oauth.yaml";

async fn read(world: &World, path: &str) -> Value {
    let answer = world.send(Ask::get(path)).await;
    assert_eq!(answer.header("cache-control"), Some("public, max-age=60"));
    answer.succeeded(200).json()
}

async fn as1_metadata_stands_at_both_places_and_names_the_issuer(kind: Kind) {
    let world = World::start(kind).await;
    for elsewhere in ["/open", "/open/x", "/"] {
        for base in [SERVER, OPENID, RESOURCE] {
            let refused = world.send(Ask::get(&format!("{base}{elsewhere}"))).await;
            assert!(refused.status == 404 || refused.status == 400, "{base}{elsewhere}: {}", refused.status);
        }
    }
    world.send(Ask::get(&format!("/open{OPENID}"))).await.refused(404, "unknown_path");
    let server = read(&world, SERVER).await;
    assert_eq!(server, read(&world, OPENID).await);
    assert_eq!(server["issuer"], world.issuer());
    assert!(world.issuer().starts_with("https://") && !world.issuer().contains(['?', '#']));
    // The same text in tokens.
    let session = Session::of(&world, "demo-app").await;
    assert_eq!(crate::tokens::reread(&session.token).claims["iss"], world.issuer());
    // At the other door too: who asks there is told of the same server.
    assert_eq!(world.send(Ask::get(SERVER).at(Door::MtlsApi)).await.succeeded(200).json(), server);
}

async fn as1_metadata_of_an_issuer_with_a_path_stands_behind_that_path(kind: Kind) {
    let world = World::with(kind, Setup::configured("issuer: https://open.example.kz/one\n")).await;
    for base in [SERVER, OPENID] {
        world.send(Ask::get(base)).await.refused(404, "not_found");
        world.send(Ask::get(&format!("{base}/two"))).await.refused(404, "not_found");
        world.send(Ask::get(&format!("{base}/One"))).await.refused(404, "not_found");
        let told = read(&world, &format!("{base}/one")).await;
        assert_eq!(told["issuer"], "https://open.example.kz/one");
        // Endpoints are where the listener is: the path is a name, not a place.
        assert_eq!(told["token_endpoint"], format!("{}/oauth/token", world.external(Door::Api)));
    }
    world.send(Ask::get(&format!("{RESOURCE}/two"))).await.refused(404, "not_found");
    for path in [RESOURCE.to_owned(), format!("{RESOURCE}/one")] {
        assert_eq!(read(&world, &path).await["resource"], "https://open.example.kz/one");
    }
    // And tokens work under that name.
    let session = Session::of(&world, "demo-app").await;
    assert_eq!(crate::tokens::reread(&session.token).claims["iss"], "https://open.example.kz/one");
    session.get("/v1/accounts").await.succeeded(200);
}

async fn as1_an_issuer_that_is_no_issuer_is_refused_at_start(kind: Kind) {
    for issuer in [
        "http://open.example.kz",
        "https://open.example.kz/",
        "https://open.example.kz/one/two",
        "https://open.example.kz/one/",
        "https://open.example.kz/..",
        "https://open.example.kz/o%20ne",
        "https://open.example.kz?x=1",
        "https://open.example.kz/one?x=1",
        "https://open.example.kz#x",
        "https://user@open.example.kz",
        "https://",
        "open.example.kz",
        "HTTPS://open.example.kz",
    ] {
        let attempt = World::attempt(kind, Setup::configured(&format!("issuer: \"{issuer}\"\n"))).await;
        let told = attempt.err().unwrap_or_else(|| panic!("{issuer} was taken")).to_string();
        assert!(told.contains("P0104"), "{issuer}: {told}");
    }
}

async fn as26_that_answers_name_their_issuer_is_told(kind: Kind) {
    let world = World::start(kind).await;
    let told = read(&world, SERVER).await;
    assert_eq!(told["authorization_response_iss_parameter_supported"], true);
    assert_eq!(told["require_pushed_authorization_requests"], true);
}

async fn as53_every_endpoint_of_clients_has_an_alias_where_certificates_are_asked_for(kind: Kind) {
    let world = World::start(kind).await;
    let told = read(&world, SERVER).await;
    let aliases = told["mtls_endpoint_aliases"].as_object().unwrap();
    let names: Vec<&str> = aliases.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["introspection_endpoint", "pushed_authorization_request_endpoint", "revocation_endpoint", "token_endpoint"]
    );
    for (name, alias) in aliases {
        let (api, mtls) = (world.external(Door::Api), world.external(Door::MtlsApi));
        let plain = told[name].as_str().unwrap();
        assert_eq!(alias.as_str().unwrap(), plain.replacen(api, mtls, 1));
        assert_ne!(alias, plain);
    }
    assert_eq!(told["tls_client_certificate_bound_access_tokens"], true);
}

/// What has to be told, derived from what is configured and exposed.
fn derived(world: &World) -> Value {
    let config = world.config();
    let stack = world.assembled().stack.load();
    let rulebook = &stack.generation().rulebook;
    let exposed = |operation: &str| rulebook.operations.keys().any(|id| id.as_str() == operation);
    let api = world.external(Door::Api);
    let mtls = config.mtls_api.is_some();
    let algorithms = json!(["PS256", "ES256", "EdDSA", "Ed25519"]);
    let methods = if mtls {
        json!(["private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"])
    } else {
        json!(["private_key_jwt"])
    };
    let scopes: BTreeSet<&str> = rulebook.clients.values().flat_map(|client| client.scopes.iter()).collect();
    let mut told = json!({
        "issuer": world.issuer(),
        "jwks_uri": format!("{api}/oauth/jwks"),
        "scopes_supported": scopes,
        "dpop_signing_alg_values_supported": algorithms,
        "tls_client_certificate_bound_access_tokens": mtls,
        "response_types_supported": [],
        "grant_types_supported": ["client_credentials"],
    });
    let mut aliases = json!({});
    for (operation, member, path) in [
        ("issueToken", "token_endpoint", "/oauth/token"),
        ("pushAuthorizationRequest", "pushed_authorization_request_endpoint", "/oauth/par"),
        ("introspectToken", "introspection_endpoint", "/oauth/introspect"),
        ("revokeToken", "revocation_endpoint", "/oauth/revoke"),
    ] {
        if exposed(operation) {
            told[member] = json!(format!("{api}{path}"));
            aliases[member] = json!(format!("{}{path}", world.external(Door::MtlsApi)));
            if operation != "pushAuthorizationRequest" {
                told[format!("{member}_auth_methods_supported")] = methods.clone();
                told[format!("{member}_auth_signing_alg_values_supported")] = algorithms.clone();
            }
        }
    }
    if mtls {
        told["mtls_endpoint_aliases"] = aliases;
    }
    if exposed("pushAuthorizationRequest") && exposed("showAuthorization") {
        let citizens = json!({
            "grant_types_supported": ["client_credentials", "authorization_code", "refresh_token"],
            "authorization_endpoint": format!("{api}/oauth/authorize"),
            "require_pushed_authorization_requests": true,
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": true,
            "authorization_details_types_supported": ["account_information", "payment_initiation"],
            "ui_locales_supported": ["kk", "ru", "en"],
        });
        told.as_object_mut().unwrap().extend(citizens.as_object().unwrap().clone());
    }
    told
}

async fn as74_metadata_lists_what_is_enabled_and_nothing_else(kind: Kind) {
    let world = World::start(kind).await;
    assert_eq!(read(&world, SERVER).await, derived(&world));
    // What is told has its place: none of it is an unknown path.
    let told = read(&world, SERVER).await;
    for (name, value) in told.as_object().unwrap() {
        if let Some(place) = value.as_str().filter(|_| name.ends_with("_endpoint") || name == "jwks_uri") {
            let path = place.strip_prefix(world.external(Door::Api)).unwrap();
            let answer: Answer = world.send(Ask::get(path)).await;
            assert_ne!(answer.status, 404, "{name}");
        }
    }
    for grant in told["grant_types_supported"].as_array().unwrap() {
        let form = [("grant_type", grant.as_str().unwrap()), ("client_id", "demo-app")];
        let refused = world.send(Ask::post("/oauth/token").form(&form)).await;
        assert_ne!(refused.at("/error"), "unsupported_grant_type", "{grant}");
    }
}

async fn as74_what_no_policy_exposes_is_not_listed(kind: Kind) {
    for gone in ["introspectToken", "revokeToken", "pushAuthorizationRequest"] {
        let setup = Setup::default().replacing(OAUTH, &format!("      {gone}: {{timeout: 3s}}\n"), "");
        let world = World::with(kind, setup).await;
        assert_eq!(read(&world, SERVER).await, derived(&world), "{gone}");
        let told = read(&world, SERVER).await.to_string();
        let listed = match gone {
            "introspectToken" => told.contains("introspection"),
            "revokeToken" => told.contains("revocation"),
            _ => told.contains("authorization_code") || told.contains("pushed"),
        };
        assert!(!listed, "{gone}: {told}");
    }
}

async fn rs41_the_resource_tells_who_issues_its_tokens(kind: Kind) {
    let other = "qaqpa: v1\nissuers:\n  elsewhere:\n    issuer: https://as.example.kz\n    jwks: \
        {url: \"https://as.example.kz/jwks\", algorithms: [ES256]}\n";
    let world = World::with(kind, Setup::default().policy("issuers.yaml", other)).await;
    let told = read(&world, RESOURCE).await;
    assert_eq!(told["resource"], world.issuer());
    assert_eq!(told["authorization_servers"], json!([world.issuer(), "https://as.example.kz"]));
    assert_eq!(told["bearer_methods_supported"], json!(["header"]));
    assert_eq!(told["dpop_bound_access_tokens_required"], false);
    assert_eq!(told["tls_client_certificate_bound_access_tokens"], true);
    assert_eq!(told["dpop_signing_alg_values_supported"], json!(["PS256", "ES256", "EdDSA", "Ed25519"]));
    assert_eq!(told["authorization_details_types_supported"], json!(["account_information", "payment_initiation"]));
    let scopes: Vec<&str> = told["scopes_supported"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    for scope in ["accounts:read", "consents:write", "events:read", "payments:write"] {
        assert!(scopes.contains(&scope), "{scope}");
    }
    // A challenge leads here.
    let refused = world.send(Ask::get("/v1/accounts")).await;
    let challenge = refused.refused(401, "token_missing").challenge().to_owned();
    assert!(challenge.contains(&format!("resource_metadata=\"{}{RESOURCE}\"", world.external(Door::Api))));
}
