#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use policies::jose::{Algorithm, CompactJws, VerifyingKey, base64url, sha256};
use policies::secret::Secret;
use policies::token::LEEWAY;
use serde_json::{Value, json};

use super::*;
use crate::http::trust::Trust;
use crate::keys::{private_jwk, public_part};
use crate::oauth::fake::{Asked, Says, Server, json as answer, status};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const TICK: Duration = Duration::from_millis(1);
const ISSUER: &str = "https://as.example";
const AUDIENCE: &str = "https://gate.example";

fn good() -> Value {
    json!({
        "active": true, "iss": ISSUER, "aud": AUDIENCE, "exp": NOW.seconds() + 300, "client_id": "fintech",
        "scope": "accounts:read", "token_type": "DPoP", "cnf": {"jkt": base64url(&sha256(b"key"))},
    })
}

struct Fixture {
    server: Server,
    asked: Arc<Introspection>,
    public: VerifyingKey,
}

async fn fixture(script: impl Fn(&Asked) -> Says + Send + 'static) -> Fixture {
    let server = Server::start("localhost", false, script).await;
    let jwk = private_jwk(Algorithm::Es256, "gate-1").unwrap();
    let public = VerifyingKey::from_jwk(&public_part(&jwk)).unwrap();
    let asked = Arc::new(introspection(&server, Scout::new(&server.trust(), true), &jwk));
    Fixture { server, asked, public }
}

fn introspection(server: &Server, scout: Scout, jwk: &Value) -> Introspection {
    let key = AssertionKey::read(&Secret::new(jwk.to_string().into_bytes())).unwrap();
    let (issuer, audience) = (ISSUER.to_owned(), AUDIENCE.to_owned());
    Introspection::new(scout, server.endpoint(), (issuer, audience), ("gate".to_owned(), key))
}

fn bearer(text: &str) -> BearerToken {
    token::parse_authorization(&format!("DPoP {text}")).unwrap().1
}

#[tokio::test]
async fn rs12_a_token_that_its_server_does_not_vouch_for_is_worth_nothing() {
    let fixture = fixture(|_| answer(r#"{"active":false}"#)).await;
    assert!(fixture.asked.introspect(&bearer("opaque"), NOW).await.unwrap().is_none());
}

#[tokio::test]
async fn rs12_an_answer_about_something_else_is_refused() {
    let fixture = fixture(|_| answer(good())).await;
    let cases = [
        ("iss", json!("https://other.example"), TokenError::WrongIssuer),
        ("aud", json!("https://other.example"), TokenError::WrongAudience),
        ("exp", json!((NOW - LEEWAY).seconds()), TokenError::Expired),
        ("nbf", json!((NOW + LEEWAY).seconds() + 1), TokenError::NotYet),
        ("token_type", json!("Bearer"), TokenError::WrongType),
        ("cnf", json!({}), TokenError::Unbound),
    ];
    for (number, (name, value, error)) in cases.into_iter().enumerate() {
        let mut told = good();
        told[name] = value;
        fixture.server.says(move |_| answer(&told));
        let found = fixture.asked.introspect(&bearer(&format!("token-{number}")), NOW).await;
        assert_eq!(found.unwrap_err(), AskError::Token(error), "{name}");
    }
}

#[tokio::test]
async fn rs12_what_is_no_answer_is_an_outage_and_tells_nothing_of_the_token() {
    let fixture = fixture(|_| answer("")).await;
    let twice = good().to_string().replacen('{', "{\"active\":true,", 1);
    let answers: [(&'static str, String); 8] = [
        ("200 OK", String::new()),
        ("200 OK", "secret-of-theirs".to_owned()),
        ("200 OK", "[true]".to_owned()),
        ("200 OK", twice),
        ("401 No", r#"{"error":"invalid_client"}"#.to_owned()),
        ("500 Away", String::new()),
        ("302 Found", good().to_string()),
        ("201 Created", good().to_string()),
    ];
    for (number, (code, body)) in answers.into_iter().enumerate() {
        let told = body.clone();
        fixture.server.says(move |_| status(code, &told));
        let found = fixture.asked.introspect(&bearer(&format!("hidden-{number}")), NOW).await;
        let Err(AskError::Outage(outage)) = found else { unreachable!("{code} {body} is an answer: {found:?}") };
        assert!(!outage.to_string().contains("hidden") && !outage.to_string().contains("theirs"), "{outage}");
    }
}

#[tokio::test]
async fn rs12_the_server_is_told_who_asks_and_for_which_token() {
    let fixture = fixture(|_| answer(good())).await;
    let verified = fixture.asked.introspect(&bearer("opaque-token"), NOW).await.unwrap().unwrap();
    assert_eq!((verified.client().as_str(), verified.subject()), ("fintech", "fintech"));
    assert!(verified.scopes().contains("accounts:read") && verified.citizen().is_none());
    let asked = fixture.server.asked();
    let Asked { head, form } = asked.first().unwrap();
    assert!(head.starts_with("POST /x?tenant=7 HTTP/1.1\r\n"), "{head}");
    assert!(!head.contains("opaque-token") && !head.to_lowercase().contains("authorization"), "{head}");
    let told = |name: &str| form.get(name).map(String::as_str);
    assert_eq!(told("token"), Some("opaque-token"));
    assert_eq!(told("token_type_hint"), Some("access_token"));
    assert_eq!(told("client_id"), Some("gate"));
    assert_eq!(told("client_assertion_type"), Some(ASSERTION_TYPE));
    assert_eq!(told("client_secret"), None);
    let assertion = CompactJws::parse(told("client_assertion").unwrap(), 4096).unwrap();
    let claims = assertion.verify_with(&fixture.public).unwrap();
    assert!(claims.audience_is(ISSUER).unwrap());
    assert_eq!(claims.required_string("sub").unwrap(), "gate");
}

#[tokio::test]
async fn rs12_a_token_is_asked_about_once_by_all_who_bring_it() {
    let fixture = fixture(|_| answer(good())).await;
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let asked = Arc::clone(&fixture.asked);
        asking.spawn(async move { asked.introspect(&bearer("same"), NOW).await });
    }
    while let Some(found) = asking.join_next().await {
        assert!(found.unwrap().unwrap().is_some());
    }
    assert_eq!(fixture.server.count(), 1);
    assert!(fixture.asked.introspect(&bearer("other"), NOW).await.unwrap().is_some());
    assert_eq!(fixture.server.count(), 2);
}

#[tokio::test]
async fn rs12_a_revoked_token_is_good_for_no_longer_than_the_bound() {
    let fixture = fixture(|_| answer(good())).await;
    let asked = async |now| fixture.asked.introspect(&bearer("opaque"), now).await.unwrap().is_some();
    assert!(asked(NOW).await);
    fixture.server.says(|_| answer(r#"{"active":false}"#));
    assert!(asked(NOW + BELIEVED_FOR - TICK).await);
    assert_eq!(fixture.server.count(), 1);
    assert!(!asked(NOW + BELIEVED_FOR).await);
    // And one that is new there is not refused for long.
    fixture.server.says(|_| answer(good()));
    assert!(!asked(NOW + BELIEVED_FOR + DISBELIEVED_FOR - TICK).await);
    assert!(asked(NOW + BELIEVED_FOR + DISBELIEVED_FOR).await);
    assert_eq!(fixture.server.count(), 3);
}

#[tokio::test]
async fn rs12_an_answer_is_not_believed_beyond_the_end_of_the_token() {
    let fixture = fixture(|_| {
        let mut short = good();
        short["exp"] = json!(NOW.seconds() + 3);
        answer(short)
    })
    .await;
    let asked = async |now| fixture.asked.introspect(&bearer("opaque"), now).await;
    assert!(asked(NOW).await.unwrap().is_some());
    assert!(asked(NOW + Duration::from_secs(3) - TICK).await.unwrap().is_some());
    assert_eq!(fixture.server.count(), 1);
    fixture.server.says(|_| answer(r#"{"active":false}"#));
    assert!(asked(NOW + Duration::from_secs(3)).await.unwrap().is_none());
}

#[tokio::test]
async fn rs12_without_its_server_a_token_is_known_for_the_bound_and_then_nobody_knows() {
    let fixture = fixture(|_| answer(good())).await;
    let asked = async |now| fixture.asked.introspect(&bearer("opaque"), now).await;
    assert!(asked(NOW).await.is_ok());
    fixture.server.says(|_| status("503 Away", ""));
    assert!(asked(NOW + BELIEVED_FOR - TICK).await.unwrap().is_some());
    assert!(matches!(asked(NOW + BELIEVED_FOR).await, Err(AskError::Outage(_))));
    assert!(matches!(asked(NOW + BELIEVED_FOR).await, Err(AskError::Outage(_))));
    // The second one had not to ask.
    assert_eq!(fixture.server.count(), 2);
}

#[tokio::test]
async fn rs12_private_addresses_are_asked_only_where_an_operator_allows_it() {
    let fixture = fixture(|_| answer(good())).await;
    let jwk = private_jwk(Algorithm::Es256, "gate-1").unwrap();
    let stranger = Scout::new(&Trust::nobody().unwrap(), true);
    for scout in [Scout::new(&fixture.server.trust(), false), stranger, Scout::nowhere()] {
        let asked = introspection(&fixture.server, scout, &jwk);
        assert!(matches!(asked.introspect(&bearer("opaque"), NOW).await, Err(AskError::Outage(_))));
    }
    assert_eq!(fixture.server.count(), 0);
}

#[tokio::test]
async fn rs12_so_many_tokens_are_kept_and_so_many_questions_under_way() {
    let fixture = fixture(|_| Says::Nothing).await;
    for number in 0..=TOKENS_MAX {
        drop(fixture.asked.flight(&bearer(&format!("t{number}")), NOW));
    }
    assert_eq!(fixture.asked.kept(), TOKENS_MAX);
    // What is over makes room.
    let later = NOW + BELIEVED_FOR + ASK_MAX;
    drop(fixture.asked.flight(&bearer("new"), later));
    assert_eq!(fixture.asked.kept(), 1);
    let mut asking = tokio::task::JoinSet::new();
    for number in 0..=QUESTIONS_MAX {
        let asked = Arc::clone(&fixture.asked);
        asking.spawn(async move { asked.introspect(&bearer(&format!("q{number}")), later).await });
    }
    // The one too many is told at once, while the others wait for the server.
    let first = asking.join_next().await.unwrap().unwrap();
    assert!(matches!(first, Err(AskError::Outage(outage)) if outage.cause.contains("as may be")));
    assert!(asking.try_join_next().is_none());
}
