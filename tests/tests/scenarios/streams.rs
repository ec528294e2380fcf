//! Bodies that nobody looks into: they stream on, bounded in size.

use scenarios::actors::Session;
use scenarios::actors::backend::Backend;
use scenarios::world::{Ask, Kind, LIST_ACCOUNTS, Setup, World};

scenarios! {
    a_body_without_a_rule_goes_on_untouched,
    a_streamed_body_of_another_type_is_refused,
    a_streamed_body_keeps_to_the_bound_of_its_operation,
}

const UPLOAD: &str = "/v1/account-documents";

/// The most bytes of an upload here: 2 KiB.
const BYTES_MAX: usize = 2048;

async fn with_uploads(kind: Kind, backend: &Backend) -> World {
    let path = format!(
        "\npaths:\n  {UPLOAD}:\n    post:\n      operationId: uploadDocument\n      description: Takes bytes.\n      \
         security: [{{accessToken: ['accounts:read']}}]\n      requestBody:\n        required: true\n        content:\n          \
         application/octet-stream: {{schema: {{type: string, format: binary}}}}\n      responses:\n        '200': {{description: Taken.}}\n"
    );
    let setup = Setup { backend: Some(backend.address), ..Setup::default() };
    let policy = LIST_ACCOUNTS;
    let setup = setup
        .replacing("contracts/accounts.yaml", "\npaths:\n", path)
        .replacing("policies/national/apis/accounts.yaml", "maxBody: 1KiB", "maxBody: 2KiB")
        .replacing("policies/national/apis/accounts.yaml", policy, format!("{policy}      uploadDocument: {{}}\n"));
    World::with(kind, setup).await
}

fn upload(bytes: usize) -> Ask {
    Ask::post(UPLOAD).with("content-type", "application/octet-stream").body("x".repeat(bytes))
}

async fn a_body_without_a_rule_goes_on_untouched(kind: Kind) {
    let backend = Backend::json("{}", "").await;
    let world = with_uploads(kind, &backend).await;
    let app = Session::of(&world, "demo-app").await;
    app.send(upload(BYTES_MAX)).await.succeeded(200);
    let received = backend.received();
    assert_eq!(received.first().map(|request| request.body.len()), Some(BYTES_MAX));
}

async fn a_streamed_body_of_another_type_is_refused(kind: Kind) {
    let backend = Backend::json("{}", "").await;
    let world = with_uploads(kind, &backend).await;
    let app = Session::of(&world, "demo-app").await;
    let answer = app.send(Ask::post(UPLOAD).with("content-type", "application/json").body("{}")).await;
    answer.refused(415, "unsupported_media");
    assert!(backend.received().is_empty());
}

async fn a_streamed_body_keeps_to_the_bound_of_its_operation(kind: Kind) {
    let backend = Backend::json("{}", "").await;
    let world = with_uploads(kind, &backend).await;
    let app = Session::of(&world, "demo-app").await;
    app.send(upload(BYTES_MAX + 1)).await.refused(413, "payload_too_large");
    assert!(backend.received().is_empty());
}
