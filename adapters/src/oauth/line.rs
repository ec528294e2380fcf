//! The line from the `oauth2` crate to a server: its forms, our connections.
//!
//! The crate writes the form and reads the answer; where the form goes is ours to say, and nothing that it makes of a URL
//! is believed.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use oauth2::basic::BasicErrorResponse;
use oauth2::{AsyncHttpClient, HttpRequest, HttpResponse, RequestTokenError};
use policies::code::Outage;
use policies::network::Endpoint;
use thiserror::Error;

use crate::http::client::{ANSWER_BYTES_MAX, Client, Reply};
use crate::http::scout::{Bounds, Scout};
use crate::http::url::AllowedUrl;

/// Where a server is.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// The operator's configuration says so.
    Configured(Client, AllowedUrl),
    /// A policy says so.
    Chosen(Scout, Endpoint),
}

/// A line for one exchange.
pub(super) struct Line<'a> {
    place: &'a Place,
    within: Duration,
    came: Mutex<Option<Bytes>>,
}

/// No whole answer came.
#[derive(Debug, Error)]
#[error("{}", .0.cause)]
pub(super) struct Cut(Outage);

impl<'a> Line<'a> {
    pub(super) fn new(place: &'a Place, within: Duration) -> Self {
        Self { place, within, came: Mutex::new(None) }
    }

    /// Returns the bytes of the answer, for a reader that is stricter than the crate's.
    pub(super) fn came(self) -> Option<Bytes> {
        self.came.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    async fn post(&self, request: HttpRequest) -> Result<HttpResponse, Cut> {
        let body = request.into_body();
        let reply = match self.place {
            Place::Configured(client, url) => client.post_form(url, body, self.within).await,
            Place::Chosen(scout, endpoint) => {
                let bounds = Bounds { within: self.within, bytes_max: ANSWER_BYTES_MAX };
                scout.post_form(endpoint, body, bounds).await
            }
        };
        let Reply { status, body } = reply.map_err(Cut)?;
        *self.came.lock().unwrap_or_else(PoisonError::into_inner) = Some(body.clone());
        let mut answer = HttpResponse::new(body.to_vec());
        *answer.status_mut() = http::StatusCode::from_u16(status)
            .map_err(|_| Cut(Outage::new("oauth", "it answered with a status that is none")))?;
        Ok(answer)
    }
}

impl<'c> AsyncHttpClient<'c> for Line<'_> {
    type Error = Cut;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Cut>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.post(request))
    }
}

/// What the crate makes of an exchange that failed.
pub(super) type Failure = RequestTokenError<Cut, BasicErrorResponse>;

/// Tells what went wrong without a word of what was sent, and of the answer no more than the OAuth error code: answers may
/// hold tokens.
pub(super) fn cause(failure: &Failure) -> String {
    match failure {
        RequestTokenError::ServerResponse(refusal) => format!("it refused: {}", printable(refusal.error().as_ref())),
        RequestTokenError::Request(Cut(outage)) => outage.cause.clone(),
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => "its answer is none of OAuth".to_owned(),
    }
}

// What somebody else says goes into our log: registered codes have letters and underscores.
fn printable(code: &str) -> String {
    const CODE_MAX: usize = 64;
    code.chars().take(CODE_MAX).map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '?' }).collect()
}
