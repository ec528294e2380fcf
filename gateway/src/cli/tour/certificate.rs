//! The other way to bind a token, to a client certificate.

use serde_json::Value;

use super::guide::{Guide, Stop};
use crate::cli::agreement::Wish;
use crate::cli::client::{Actor, Client, Question, SandboxFile};
use crate::cli::story;

/// Gets a token over mTLS, uses it, and sees it refused without the certificate; `citizen` is asked first, if anybody is.
pub(crate) async fn visit(
    guide: &mut Guide,
    sandbox: &SandboxFile,
    plain: &Client,
    citizen: Option<&str>,
) -> Result<(), Stop> {
    let Some(record) = sandbox.clients.iter().find(|client| client.auth == "tls_client_auth") else {
        return Err(Stop::Trouble("The sandbox has no client with a certificate.".to_owned()));
    };
    let actor = Actor::new(sandbox, record, None)?;
    guide.step(
        "A certificate instead of a signature",
        &format!(
            "{} shows its certificate in the TLS handshake, on a listener of its own that asks for one. That is all it \
             needs to be known, and the token will be bound to the certificate.",
            record.client_id
        ),
    );
    let granted = actor.request_token(None).await?;
    guide.show(&granted, &[], &["/token_type", "/expires_in", "/scope", "/access_token"]);
    guide.expect_answer(&granted, 200, None)?;
    let session = actor.session(&granted)?;
    let claims = session.claims().unwrap_or(Value::Null);
    let bound = claims.pointer("/cnf/x5t#S256").and_then(Value::as_str).unwrap_or_default().to_owned();
    guide.detail("cnf.x5t#S256", &story::shorten(&bound));
    guide.expect_that("the token names a certificate (RFC 8705)", bound.len() == 43)?;

    let session = match citizen {
        None => session,
        Some(iin) => super::citizen::quietly(guide, sandbox, &actor, &session, iin, &Wish::Access).await?.session,
    };
    guide.step("The certificate opens", "No proof is needed: the handshake was the proof.");
    let question = Question::get("/v1/accounts?limit=1");
    let exchange = session.ask(&question).await?;
    guide.show(&exchange, &[], &[]);
    guide.expect_answer(&exchange, 200, None)?;

    guide.step(
        "The token alone does not",
        "The same token to the same place, over a connection without the certificate.",
    );
    let question = question.with("authorization", &session.authorization());
    let exchange = plain.send(session.base(), &question).await?;
    guide.show(&exchange, &[], &[]);
    guide.expect_answer(&exchange, 401, Some("token_binding_failed"))
}
