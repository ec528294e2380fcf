//! One path, one spelling: what has another is refused before anybody reads it.

use scenarios::actors::Session;
use scenarios::actors::bank;
use scenarios::world::{Ask, Kind, World};

use super::{ACCOUNTS, counting};

scenarios! {
    a_path_with_a_second_spelling_is_refused,
    a_path_as_long_as_allowed_is_looked_up_and_one_byte_more_is_refused,
    a_path_of_as_many_segments_as_allowed_is_looked_up_and_one_more_is_refused,
    a_needed_escape_is_the_contracts_business,
    a_canonical_path_reaches_the_backend_as_it_is,
}

/// Spellings that somebody, somewhere, reads as `/v1/accounts`, as its parent, or as another path.
pub const CROOKED: [&str; 44] = [
    "//v1/accounts",
    "/v1//accounts",
    "/v1/accounts//",
    "/v1/accounts/",
    "/v1/./accounts",
    "/./v1/accounts",
    "/v1/accounts/.",
    "/v1/x/../accounts",
    "/v1/accounts/..",
    "/../v1/accounts",
    "/v1/%2e/accounts",
    "/v1/%2E/accounts",
    "/v1/x/%2e%2e/accounts",
    "/v1/x/%2E%2E/accounts",
    "/v1/x/.%2e/accounts",
    "/v1/x/%2e./accounts",
    "/v1%2faccounts",
    "/v1%2Faccounts",
    "/v1/accounts%2f..%2fdomestic-payments",
    "/v1/accounts%5c",
    "/v1/accounts%5C",
    "/v1/x/..%5Caccounts",
    "/v1/accounts%00",
    "/v1/accounts%0d%0ax:y",
    "/v1/accounts%7F",
    "/v1/accounts%C2%85",
    "/v1/accounts%3b",
    "/v1/accounts%3B",
    "/v1/accounts;",
    "/v1/accounts;jsessionid=1",
    "/v1;x/accounts",
    "/v1/accounts%3Flimit=1",
    "/v1/accounts%23",
    "/v1/accounts%25",
    "/v1/accounts%252f",
    "/v1/%61ccounts",
    "/v1/accounts%7E",
    "/v1/accounts/%d0%b0/balances",
    "/v1/accounts/%D0%b0/balances",
    "/v1/accounts/%D0/balances",
    "/v1/accounts/%zz",
    "/v1/accounts/%4",
    "/v1/accounts/%",
    "/v1/accounts/\u{430}",
];

/// The longest path, in bytes.
const PATH_BYTES: usize = 2048;

/// The most segments.
const SEGMENTS: usize = 32;

async fn a_path_with_a_second_spelling_is_refused(kind: Kind) {
    let (backend, setup) = counting().await;
    let world = World::with(kind, setup).await;
    let app = Session::of(&world, "demo-app").await;
    for target in CROOKED {
        let refused = world.send(Ask::get(target)).await;
        assert_eq!((refused.status, target), (400, target), "{}", refused.text());
        refused.refused(400, "path_not_canonical");
        // A right token changes nothing, and neither does a query.
        app.send(Ask::get(target)).await.refused(400, "path_not_canonical");
        world.send(Ask::post(&format!("{target}?limit=1"))).await.refused(400, "path_not_canonical");
    }
    assert!(backend.received().is_empty(), "{:?}", backend.received());
}

async fn a_path_as_long_as_allowed_is_looked_up_and_one_byte_more_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let path = |length: usize| format!("/v1/{}", "a".repeat(length - 4));
    world.send(Ask::get(&path(PATH_BYTES))).await.refused(404, "unknown_path");
    world.send(Ask::get(&path(PATH_BYTES + 1))).await.refused(400, "path_not_canonical");
    // The query is not the path.
    let long = format!("{}?x={}", path(PATH_BYTES), "a".repeat(PATH_BYTES));
    world.send(Ask::get(&long)).await.refused(404, "unknown_path");
}

async fn a_path_of_as_many_segments_as_allowed_is_looked_up_and_one_more_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    world.send(Ask::get(&"/a".repeat(SEGMENTS))).await.refused(404, "unknown_path");
    world.send(Ask::get(&"/a".repeat(SEGMENTS + 1))).await.refused(400, "path_not_canonical");
}

async fn a_needed_escape_is_the_contracts_business(kind: Kind) {
    let (backend, setup) = counting().await;
    let world = World::with(kind, setup).await;
    let app = Session::of(&world, "demo-app").await;
    let refused = app.get("/v1/accounts/%D0%B0/balances").await;
    refused.refused(400, "schema_violation");
    assert_eq!(refused.at("/errors/0/pointer"), "path:accountId");
    world.send(Ask::get("/v1/%D0%B0")).await.refused(404, "unknown_path");
    // Capitals are other letters.
    world.send(Ask::get("/V1/accounts")).await.refused(404, "unknown_path");
    assert!(backend.received().is_empty());
}

async fn a_canonical_path_reaches_the_backend_as_it_is(kind: Kind) {
    let (backend, setup) = counting().await;
    let world = World::with(kind, setup).await;
    let app = Session::of(&world, "demo-app").await;
    app.get(&format!("{ACCOUNTS}?limit=2")).await.succeeded(200);
    let balances = format!("{ACCOUNTS}/{}/balances", bank::account(1));
    app.get(&balances).await.succeeded(200);
    let lines: Vec<String> = backend.received().iter().map(|received| received.line().to_owned()).collect();
    assert_eq!(lines, [format!("GET {ACCOUNTS}?limit=2 HTTP/1.1"), format!("GET {balances} HTTP/1.1")]);
}
