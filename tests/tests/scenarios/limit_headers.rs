//! Headers by which limits count, on their way to the backend: whom it is asked about has to be whom was counted.

use scenarios::actors::Session;
use scenarios::actors::backend::Backend;
use scenarios::world::{Ask, Kind, Setup, World};

scenarios! {
    a_header_by_which_a_limit_counts_goes_on_as_it_was_counted,
    a_header_that_no_limit_names_does_not_go_on,
    a_header_that_no_contract_describes_does_not_go_on,
}

const PAYER: &str = "x-payer-id";
const OTHER: &str = "x-branch-id";
const LIST: &str = "        - $ref: '#/components/parameters/Limit'\n";

/// A list of accounts whose contract asks for headers, each with whether it has to come.
fn described(backend: &Backend, headers: &[(&str, bool)]) -> Setup {
    let parameter = |(name, required): &(&str, bool)| {
        format!(
            "        - {{name: {name}, in: header, required: {required}, description: Whom it is about., \
             schema: {{type: string, minLength: 1, maxLength: 20}}, example: '1'}}\n"
        )
    };
    let parameters: String = headers.iter().map(parameter).collect();
    let setup = Setup { backend: Some(backend.address), ..Setup::default() };
    setup.replacing("contracts/accounts.yaml", LIST, format!("{parameters}{LIST}"))
}

fn counted(setup: Setup) -> Setup {
    let of = "      listAccounts:\n";
    setup
        .policy(
            "headers.yaml",
            "qaqpa: v1\nlimits:\n  people: {per: [client, subject], subject: x-payer-id, quota: 1/day}\n",
        )
        .replacing("policies/national/apis/accounts.yaml", of, format!("{of}        limits: people\n"))
}

fn about(payer: &str) -> Ask {
    Ask::get("/v1/accounts").with(PAYER, payer)
}

async fn a_header_by_which_a_limit_counts_goes_on_as_it_was_counted(kind: Kind) {
    let backend = Backend::json(r#"{"accounts":[]}"#, "").await;
    let world = World::with(kind, counted(described(&backend, &[(PAYER, true)]))).await;
    let app = Session::of(&world, "demo-app").await;
    // Without it nobody would be counted.
    app.get("/v1/accounts").await.refused(400, "schema_violation");
    let twice = about("880101300011").with(PAYER, "880101300022");
    app.send(twice).await.refused(400, "header_refused");
    assert!(backend.received().is_empty());
    app.send(about("880101300011")).await.succeeded(200);
    app.send(about("880101300011")).await.refused(429, "rate_limited");
    app.send(about("880101300022")).await.succeeded(200);
    let told: Vec<_> = backend.received().iter().map(|request| request.header(PAYER).map(str::to_owned)).collect();
    assert_eq!(told, [Some("880101300011".to_owned()), Some("880101300022".to_owned())]);
}

async fn a_header_that_no_limit_names_does_not_go_on(kind: Kind) {
    let backend = Backend::json(r#"{"accounts":[]}"#, "").await;
    let setup = described(&backend, &[(PAYER, true), (OTHER, false)]);
    let world = World::with(kind, counted(setup.clone())).await;
    let app = Session::of(&world, "demo-app").await;
    app.send(about("880101300011").with(OTHER, "7")).await.succeeded(200);
    // Where the limit is gone the header stays here too.
    let uncounted = World::with(kind, setup).await;
    let app = Session::of(&uncounted, "demo-app").await;
    app.send(about("880101300011").with(OTHER, "7")).await.succeeded(200);
    let received = backend.received();
    let told: Vec<_> = received.iter().map(|request| (request.header(PAYER), request.header(OTHER))).collect();
    assert_eq!(told, [(Some("880101300011"), None), (None, None)]);
}

async fn a_header_that_no_contract_describes_does_not_go_on(kind: Kind) {
    let backend = Backend::json(r#"{"accounts":[]}"#, "").await;
    let world = World::with(kind, counted(described(&backend, &[]))).await;
    Session::of(&world, "demo-app").await.send(about("880101300011")).await.succeeded(200);
    let received = backend.received();
    assert_eq!(received.first().map(|request| request.header(PAYER)), Some(None));
}
