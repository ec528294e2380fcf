//! `challenge`: tells clients how to come next time: with which nonce, and with a challenge in the scheme of their token.

use http::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use policies::caller::Caller;
use policies::proof::VerifiedProof;
use policies::token::{Confirmation, Scheme};
use spine::Reply;
use spine::error::Rejection;
use spine::refine::Refine;
use spine::stage::Identified;
use tower::Layer;

/// The header that brings a nonce (RFC 9449, section 8.1).
const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// Makes the frame.
#[derive(Debug, Clone)]
pub struct ChallengeLayer;

impl<S> Layer<S> for ChallengeLayer {
    type Service = Challenge<S>;

    fn layer(&self, inner: S) -> Challenge<S> {
        Challenge { inner }
    }
}

/// The frame.
#[derive(Debug)]
pub struct Challenge<S> {
    inner: S,
}

impl<S: Refine<Identified, Out = Reply>> Refine<Identified> for Challenge<S> {
    type Out = Reply;

    async fn refine(&self, identified: Identified) -> Result<Reply, Rejection> {
        let scheme = scheme(identified.caller());
        let next = identified.proof().and_then(VerifiedProof::next_nonce).map(str::to_owned);
        let answer = self.inner.refine(identified).await.map_err(|rejection| rejection.under(scheme));
        let Some(next) = next else { return answer };
        let mut reply = answer.map_err(|rejection| rejection.nonce(&next))?;
        if let Ok(value) = HeaderValue::from_str(&next) {
            reply.headers_mut().insert(DPOP_NONCE, value);
            // Out of a cache it would come when it is over (RFC 9449, section 8.2).
            reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        Ok(reply)
    }
}

fn scheme(caller: &Caller) -> Scheme {
    match caller {
        Caller::Bound { token, .. } if matches!(token.token().confirmation(), Confirmation::X5tS256(_)) => {
            Scheme::Bearer
        }
        _ => Scheme::Dpop,
    }
}
