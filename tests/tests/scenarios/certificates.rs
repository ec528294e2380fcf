//! Certificates of clients (RFC 8705): which name counts, whose they are, and what else is no proof of them.

use std::sync::Arc;

use scenarios::actors::authority::Authority;
use scenarios::actors::certificate::Certificate;
use scenarios::actors::{App, Key, Session};
use scenarios::world::frames::Frames;
use scenarios::world::socket::MODERN;
use scenarios::world::{Answer, Ask, Kind, Setup, Tls, World};
use serde_json::json;
use spine::stage::Door;

const ACCOUNTS: &str = "/v1/accounts";
const DNS: &str = "app.mtls.example";

scenarios! {
    as50_exactly_the_registered_name_counts,
    as50_a_name_of_a_certificate_that_nobody_vouches_for_is_none,
    as51_a_listed_certificate_counts_whoever_signed_it,
    as51_a_certificate_that_is_no_longer_listed_is_gone_at_once,
    as52_without_its_id_a_client_is_nobody,
    as54_what_a_header_says_of_a_certificate_is_nothing,
    as53_a_token_is_bound_to_the_certificate_that_asked,
    rs3_where_certificates_are_asked_for_both_ways_are_told,
}

/// A client that goes by a certificate with this line of policy.
fn policy(id: &str, authentication: &str) -> String {
    format!(
        "qaqpa: v1\nclients:\n  {id}:\n    organisation: demo-fintech\n    plan: standard\n    {authentication}\n    \
         tokens: {{bind: mtls}}\n    scopes: [accounts:read]\n    consents: organisation\n"
    )
}

fn by_name(id: &str, attribute: &str, value: &str) -> String {
    policy(id, &format!("authentication: tls_client_auth\n    certificate: {{{attribute}: {}}}", json!(value)))
}

fn listing(id: &str, certificate: &Certificate) -> String {
    let mut jwk = Key::es256().public_jwk();
    jwk["x5c"] = json!([base64(&certificate.der)]);
    policy(id, &format!("authentication: self_signed_tls_client_auth\n    keys: [{jwk}]"))
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// A client of this id that shows this certificate.
fn app(id: &str, certificate: &Arc<Certificate>) -> App {
    App { key: None, certificate: Some(Arc::clone(certificate)), ..App::newcomer(id) }
}

async fn token(world: &World, app: &App) -> Answer {
    world.send(app.token_ask(world, None)).await
}

async fn as50_exactly_the_registered_name_counts(kind: Kind) {
    let started = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    let authority = Authority::new("somebody", started);
    let shown = authority.client(DNS, 7);
    let others = [
        ("another", "sanDns", "other.mtls.example"),
        ("part", "sanDns", "mtls.example"),
        ("longer", "sanDns", "x.app.mtls.example"),
        ("uri", "sanUri", "https://app.mtls.example"),
        ("email", "sanEmail", "app@mtls.example"),
        ("ip", "sanIp", "192.0.2.7"),
        ("subject", "subjectDn", "CN=app.mtls.example"),
    ];
    let mut setup = Setup::default().policy("right.yaml", by_name("right-app", "sanDns", DNS));
    setup.policies.extend(others.map(|(id, attribute, value)| {
        let name: &'static str = Box::leak(format!("{id}.yaml").into_boxed_str());
        (name, by_name(&format!("{id}-app"), attribute, value))
    }));
    let world = World::with(kind, setup).await;
    trusting(&world, &authority);
    for (id, _, _) in others {
        token(&world, &app(&format!("{id}-app"), &shown)).await.oauth_refused(401, "invalid_client");
    }
    // The name is right, and yet it is not the client that says it is.
    token(&world, &app("demo-mtls-app", &shown)).await.oauth_refused(401, "invalid_client");
    // Letter case says nothing in the names of hosts.
    for certificate in [&shown, &authority.client("APP.mtls.Example", 8)] {
        token(&world, &app("right-app", certificate)).await.succeeded(200);
    }
}

/// Has the door trust another authority as well.
fn trusting(world: &World, authority: &Authority) {
    let path = world.file("ca/ca.pem");
    let whole = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{whole}{}", authority.pem())).unwrap();
    world.read_again();
}

async fn as50_a_name_of_a_certificate_that_nobody_vouches_for_is_none(kind: Kind) {
    let world = World::with(kind, Setup::default().policy("right.yaml", by_name("right-app", "sanDns", DNS))).await;
    let stranger = Authority::new("a stranger", world.seconds());
    if kind != Kind::Memory {
        // Without a handshake nobody asks who vouches for it.
        token(&world, &app("right-app", &stranger.client(DNS, 7))).await.oauth_refused(401, "invalid_client");
    }
    token(&world, &app("right-app", &Certificate::self_signed(DNS))).await.oauth_refused(401, "invalid_client");
}

async fn as51_a_listed_certificate_counts_whoever_signed_it(kind: Kind) {
    let (own, twin) = (Certificate::self_signed(DNS), Certificate::self_signed(DNS));
    let world = World::with(kind, Setup::default().policy("own.yaml", listing("own-app", &own))).await;
    // The same name, even one that the door's authorities vouch for, is another certificate.
    let vouched = App::of(&world, "demo-mtls-app").certificate.unwrap();
    for other in [&twin, &vouched] {
        token(&world, &app("own-app", other)).await.oauth_refused(401, "invalid_client");
    }
    // Nor is it good for anybody else.
    token(&world, &app("demo-mtls-app", &own)).await.oauth_refused(401, "invalid_client");
    let session = app("own-app", &own).session(&world, None).await;
    session.get(ACCOUNTS).await.succeeded(200);
    let stolen = Session { world: &world, token: session.token.clone(), app: app("own-app", &twin) };
    stolen.get(ACCOUNTS).await.refused(401, "token_binding_failed");
}

async fn as51_a_certificate_that_is_no_longer_listed_is_gone_at_once(kind: Kind) {
    let (own, next) = (Certificate::self_signed(DNS), Certificate::self_signed(DNS));
    let world = World::with(kind, Setup::default().policy("own.yaml", listing("own-app", &own))).await;
    let session = app("own-app", &own).session(&world, None).await;
    session.get(ACCOUNTS).await.succeeded(200);
    world.write_policy("own.yaml", &listing("own-app", &next));
    world.reload().unwrap();
    token(&world, &app("own-app", &own)).await.oauth_refused(401, "invalid_client");
    session.get(ACCOUNTS).await.refused(401, "token_binding_failed");
    app("own-app", &next).session(&world, None).await.get(ACCOUNTS).await.succeeded(200);
}

async fn as52_without_its_id_a_client_is_nobody(kind: Kind) {
    let world = World::start(kind).await;
    let certificate = App::of(&world, "demo-mtls-app").certificate.unwrap();
    let ask = |form: &[(&str, &str)]| {
        world.send(Ask::post("/oauth/token").at(Door::MtlsApi).form(form).showing(&certificate))
    };
    let grant = ("grant_type", "client_credentials");
    ask(&[grant]).await.oauth_refused(400, "invalid_request");
    ask(&[grant, ("client_id", "")]).await.oauth_refused(400, "invalid_request");
    ask(&[grant, ("client_id", "nobody")]).await.oauth_refused(401, "invalid_client");
    ask(&[grant, ("client_id", "demo-mtls-app")]).await.succeeded(200);
}

async fn as54_what_a_header_says_of_a_certificate_is_nothing(kind: Kind) {
    let world = World::start(kind).await;
    let session = Session::of(&world, "demo-mtls-app").await;
    let shown = session.app.certificate.as_ref().unwrap();
    let der = base64(&shown.der);
    let pem = format!("-----BEGIN CERTIFICATE----- {der} -----END CERTIFICATE-----");
    let told = [
        ("client-cert", format!(":{der}:")),
        ("client-cert-chain", format!(":{der}:")),
        ("x-ssl-client-cert", pem.clone()),
        ("ssl-client-cert", pem.clone()),
        ("x-client-cert", der.clone()),
        ("x-forwarded-client-cert", format!("Hash={};Cert=\"{der}\"", shown.thumbprint())),
        ("x-ssl-client-verify", "SUCCESS".to_owned()),
        ("x-ssl-client-s-dn", "CN=demo-mtls-app.sandbox.qaqpa".to_owned()),
        ("x-amzn-mtls-clientcert", pem),
    ];
    for door in [Door::Api, Door::MtlsApi] {
        let mut all = Ask::get(ACCOUNTS).at(door).with("authorization", format!("Bearer {}", session.token));
        let mut form = Ask::post("/oauth/token")
            .at(door)
            .form(&[("grant_type", "client_credentials"), ("client_id", "demo-mtls-app")]);
        for (name, value) in &told {
            let one = Ask::get(ACCOUNTS).at(door).with("authorization", format!("Bearer {}", session.token));
            world.send(one.with(name, value)).await.refused(401, "token_binding_failed");
            (all, form) = (all.with(name, value), form.with(name, value));
        }
        world.send(all).await.refused(401, "token_binding_failed");
        world.send(form).await.oauth_refused(401, "invalid_client");
    }
    // Beside the certificate itself they change nothing.
    let mut right = Ask::get(ACCOUNTS);
    for (name, value) in &told {
        right = right.with(name, value);
    }
    session.send(right).await.succeeded(200);
}

async fn as53_a_token_is_bound_to_the_certificate_that_asked(kind: Kind) {
    let (own, twin) = (Certificate::self_signed(DNS), Certificate::self_signed(DNS));
    let world = World::with(kind, Setup::default().policy("own.yaml", listing("own-app", &own))).await;
    let session = app("own-app", &own).session(&world, None).await;
    let claims = crate::tokens::reread(&session.token).claims;
    assert_eq!(claims["cnf"], json!({"x5t#S256": own.thumbprint()}));
    // Under the other scheme a proof of any key stands for nothing.
    let key = Key::es256();
    let proof = App { proof_key: key, ..app("own-app", &own) };
    let url = format!("{}{ACCOUNTS}", world.external(Door::MtlsApi));
    let proof = proof.proof(&world, "GET", &url, Some(&session.token)).sign(&proof.proof_key);
    for certificate in [&own, &twin] {
        let ask = Ask::get(ACCOUNTS).at(Door::MtlsApi).showing(certificate).with("dpop", &proof);
        let refused = world.send(ask.with("authorization", format!("DPoP {}", session.token))).await;
        assert_eq!(refused.status, 401, "{}", refused.text());
    }
}

async fn rs3_where_certificates_are_asked_for_both_ways_are_told(kind: Kind) {
    let world = World::start(kind).await;
    let answer = world.send(Ask::get(ACCOUNTS).at(Door::MtlsApi)).await;
    answer.refused(401, "token_missing");
    let told = answer.challenges();
    assert!(told.len() == 2 && told[0].starts_with("DPoP algs=") && told[1].starts_with("Bearer "), "{told:?}");
    assert!(!told.concat().contains("error"), "{told:?}");
    let wrong = Ask::get(ACCOUNTS).at(Door::MtlsApi).with("authorization", "Bearer x");
    let answer = world.send(wrong).await;
    answer.refused(401, "token_invalid");
    let told = answer.challenges();
    assert!(told[0].starts_with("Bearer error=\"invalid_token\""), "{told:?}");
    assert!(told[1].starts_with("DPoP algs=") && !told[1].contains("error"), "{told:?}");
}

/// A client may take one connection for two hosts if the certificate of the server names both (RFC 9113, section 9.1.1):
/// what one door asks for is then not asked for at the other.
#[tokio::test]
async fn rs40_a_connection_to_one_door_is_none_to_the_other() {
    let world = World::start(Kind::Http2).await;
    let session = Session::of(&world, "demo-mtls-app").await;
    let host = |door: Door| world.external(door).strip_prefix("https://").unwrap().to_owned();
    let token = format!("Bearer {}", session.token);
    for (door, other) in [(Door::Api, Door::MtlsApi), (Door::MtlsApi, Door::Api)] {
        let certificate = (door == Door::MtlsApi).then(|| session.app.certificate.as_ref().unwrap());
        let tls = Tls { alpn: &[b"h2"], versions: MODERN, certificate: certificate.map(|one| &**one) };
        let own = if door == Door::MtlsApi { 200 } else { 401 };
        // First what is right, so that the connection is in use for it; each status comes once, as a literal.
        for wrong in [host(other), "other.example".to_owned()] {
            let mut frames = Frames::begin(world.connect(door, tls).await.unwrap(), &[]).await;
            for (stream, authority, status) in [(1, &host(door), own), (3, &wrong, 421)] {
                let fields = [
                    (":method", "GET"),
                    (":scheme", "https"),
                    (":authority", authority.as_str()),
                    (":path", ACCOUNTS),
                    ("authorization", token.as_str()),
                ];
                frames.fields(stream, &fields, true).await;
                let outcome = frames.outcome(stream).await;
                assert_eq!(outcome.status, Some(status), "{door:?} {authority}");
            }
        }
    }
}
