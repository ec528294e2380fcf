//! A request as it goes out.

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, Method, header};

/// A request to a backend, made of what the gateway decided to send.
#[derive(Debug)]
pub struct OutgoingRequest<B> {
    pub(super) method: Method,
    pub(super) target: PathAndQuery,
    pub(super) headers: HeaderMap,
    pub(super) body: B,
}

// What is said from hop to hop only (RFC 9110, 7.6.1), and what the connection sets itself: the framing and the host.
static NOT_OURS: [HeaderName; 11] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::HOST,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

impl<B> OutgoingRequest<B> {
    /// Makes a request of the method, the canonical path with its query, the headers to be sent and the body.
    ///
    /// Drops `Host`, `Content-Length` and whatever else belongs to a single connection: the pool sets the host of the
    /// endpoint, and the length comes from the body's size hint (chunked if that is not exact).
    #[must_use]
    pub fn new(method: Method, target: PathAndQuery, mut headers: HeaderMap, body: B) -> Self {
        strip_hop_by_hop(&mut headers);
        Self { method, target, headers, body }
    }
}

/// Removes what belongs to one connection only.
pub(super) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    // Also what the other end says is such.
    if headers.contains_key(header::CONNECTION) {
        let options = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
        let nominated: Vec<HeaderName> =
            options.flat_map(|text| text.split(',')).filter_map(|option| option.trim().parse().ok()).collect();
        for name in nominated {
            headers.remove(name);
        }
    }
    // By the few headers that are there rather than by the many that might be.
    while let Some(name) = headers.keys().find(|name| NOT_OURS.contains(name)).cloned() {
        headers.remove(name);
    }
}
