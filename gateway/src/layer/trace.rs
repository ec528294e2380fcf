//! `trace`, the outermost frame: names the interaction, and turns every refusal into the answer the client reads.

use std::sync::Arc;
use std::time::Instant;

use http::{HeaderName, HeaderValue, Method};
use policies::code::Code;
use policies::id::InteractionId;
use spine::Reply;
use spine::body::Body;
use spine::error::{Origin, Rejection, Rendering, answer};
use spine::refine::Refine;
use spine::stage::{Arrived, Door, Traced};
use tower::Layer;

use crate::house::House;
use crate::reader::Reader;

/// The header that names an interaction; a UUID, or it is ignored (FAPI).
pub const INTERACTION: HeaderName = HeaderName::from_static("x-fapi-interaction-id");

/// Makes the frame.
#[derive(Debug, Clone)]
pub struct TraceLayer(pub Arc<House>);

impl<S> Layer<S> for TraceLayer {
    type Service = Trace<S>;

    fn layer(&self, inner: S) -> Trace<S> {
        Trace { house: Arc::clone(&self.0), inner }
    }
}

/// The frame.
#[derive(Debug)]
pub struct Trace<S> {
    house: Arc<House>,
    inner: S,
}

impl<S: Refine<Traced, Out = Reply>> Refine<Box<Arrived>> for Trace<S> {
    type Out = Reply;

    async fn refine(&self, arrived: Box<Arrived>) -> Result<Reply, Rejection> {
        let begun = Instant::now();
        let interaction = self.interaction(&arrived);
        let entrance = Arc::clone(&arrived.entrance);
        let (method, uri) = (arrived.request.method(), arrived.request.uri());
        let (head, oauth) = (method == Method::HEAD, uri.path().starts_with("/oauth/"));
        let reader = oauth.then(|| Reader::of(method, uri.path(), arrived.request.headers())).flatten();
        let result = self.inner.refine(Traced { arrived, interaction: interaction.clone() }).await;
        let mut reply = result.unwrap_or_else(|rejection| {
            log(&rejection, &interaction);
            self.house.metrics.refused(rejection.name());
            if let Some(reader) = reader {
                return reader.page(&rejection, &interaction);
            }
            rejection.render(Rendering {
                interaction: &interaction,
                external: &entrance.external,
                oauth,
                certificates: entrance.door == Door::MtlsApi,
            })
        });
        if head {
            // RFC 9110, 9.3.2; over HTTP/2 nobody below takes the body away, and the client ends the stream as broken.
            *reply.body_mut() = Body::empty();
        }
        if let Ok(value) = HeaderValue::from_str(interaction.as_str()) {
            reply.headers_mut().insert(INTERACTION, value);
        }
        reply.headers_mut().insert(http::header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if entrance.external.starts_with("https:") {
            let always = HeaderValue::from_static("max-age=31536000");
            reply.headers_mut().insert(http::header::STRICT_TRANSPORT_SECURITY, always);
        }
        self.house.metrics.answered(entrance.door, reply.status(), begun.elapsed());
        Ok(reply)
    }
}

impl<S> Trace<S> {
    fn interaction(&self, arrived: &Arrived) -> InteractionId {
        let given = arrived.request.headers().get(INTERACTION).and_then(|value| value.to_str().ok());
        given.and_then(uuid_text).unwrap_or_else(|| self.house.new_interaction())
    }
}

// Only the plain form of 36 characters: nothing else of what the client sent is ever reflected.
fn uuid_text(text: &str) -> Option<InteractionId> {
    if text.len() != 36 {
        return None;
    }
    let uuid = uuid::Uuid::try_parse(text).ok()?;
    InteractionId::parse(&uuid.to_string()).ok()
}

/// Logs why a request could not be answered as it was meant.
pub(super) fn log(rejection: &Rejection, interaction: &InteractionId) {
    let facts = answer(rejection.code());
    let (name, cause) = (facts.name, rejection.cause().unwrap_or("-"));
    match facts.origin {
        _ if rejection.code() == Code::Internal => {
            tracing::error!(interaction = %interaction, "{interaction} ended by a defect of ours: {cause}");
        }
        // The client cannot help it: a rule asks for what requests do not have.
        _ if rejection.code() == Code::PolicyNotJudged => {
            tracing::warn!(interaction = %interaction, "{interaction} denied, for a rule could not be judged: {cause}");
        }
        Origin::Client => tracing::debug!(interaction = %interaction, "{interaction} refused: {name} ({cause})"),
        Origin::Upstream | Origin::Gateway => {
            tracing::warn!(interaction = %interaction, "{interaction} could not be answered: {name} ({cause})");
        }
    }
}
