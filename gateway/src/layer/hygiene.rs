//! What hyper leaves to us: a request must say one thing in one way (reference: security.md 4.3).

use http::header::{CONNECTION, EXPECT, HOST, HeaderMap, HeaderName, TRANSFER_ENCODING};
use http::{Method, Version};
use policies::code::Code;
use spine::error::Rejection;
use spine::stage::Received;

/// The most header fields of a request; browsers send about twenty.
const HEADERS_MAX: usize = 64;

/// The longest header section, names and values together, in bytes, on HTTP/1.1 as on HTTP/2: a token, a proof and an
/// identity result have about 8 KiB.
const HEADER_BYTES_MAX: usize = 16 * 1024;

/// Headers that mean something to us and may therefore come once at most.
const SINGULAR: [&str; 14] = [
    "authorization",
    "content-encoding",
    "content-length",
    "content-type",
    "dpop",
    "expect",
    "host",
    "origin",
    "traceparent",
    "x-fapi-interaction-id",
    "x-idempotency-key",
    "x-identity-result",
    "webhook-id",
    "webhook-signature",
];

/// Checks everything about the head that is not the path.
pub(super) fn check(received: &Received) -> Result<(), Rejection> {
    let head = &received.head;
    if head.method == Method::TRACE || head.method == Method::CONNECT {
        let detail = "TRACE and CONNECT are not served.";
        return Err(Rejection::new(Code::MethodNotAllowed, detail));
    }
    names(&head.headers)?;
    framing(&head.headers)?;
    connection(&head.headers)?;
    host(received)
}

fn refuse(detail: &str) -> Rejection {
    Rejection::new(Code::HeaderRefused, detail)
}

fn names(headers: &HeaderMap) -> Result<(), Rejection> {
    if headers.len() > HEADERS_MAX {
        return Err(refuse("There are more than 64 header fields."));
    }
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if bytes > HEADER_BYTES_MAX {
        return Err(refuse("The header fields have more than 16 KiB together."));
    }
    // `x_user` and `x.user` become `x-user` in some servers: an alias could carry what we remove under the real name.
    let plain =
        |name: &HeaderName| name.as_str().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !headers.keys().all(plain) {
        return Err(refuse("Header names are made of letters, digits and hyphens."));
    }
    // As many values as names: nothing comes twice, and the common request is through.
    if headers.len() == headers.keys_len() {
        return Ok(());
    }
    for name in SINGULAR {
        let mut values = headers.get_all(name).iter();
        if values.next().is_some() && values.next().is_some() {
            return Err(refuse(&format!("The header {name} may come once only.")));
        }
    }
    Ok(())
}

fn framing(headers: &HeaderMap) -> Result<(), Rejection> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(first) = codings.next() {
        if !first.as_bytes().eq_ignore_ascii_case(b"chunked") || codings.next().is_some() {
            return Err(refuse("The only transfer coding taken is `chunked`, once."));
        }
        if headers.contains_key("content-length") {
            return Err(refuse("Content-Length and Transfer-Encoding may not come together."));
        }
    }
    if headers.get(EXPECT).is_some_and(|expect| !expect.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return Err(refuse("The only expectation taken is `100-continue`."));
    }
    Ok(())
}

// A client may not make us drop a header on the way by nominating it hop-by-hop (RFC 9110, 7.6.1).
fn connection(headers: &HeaderMap) -> Result<(), Rejection> {
    const HARMLESS: [&str; 6] = ["close", "keep-alive", "te", "upgrade", "http2-settings", "trailer"];
    for value in headers.get_all(CONNECTION) {
        let text = value.to_str().map_err(|_| refuse("The Connection header is not readable."))?;
        let fits = |option: &str| option.is_empty() || HARMLESS.iter().any(|name| option.eq_ignore_ascii_case(name));
        if !text.split(',').map(str::trim).all(fits) {
            return Err(refuse("The Connection header may not nominate other headers."));
        }
    }
    Ok(())
}

fn host(received: &Received) -> Result<(), Rejection> {
    let head = &received.head;
    let in_header = match head.headers.get(HOST) {
        Some(value) => Some(value.to_str().map_err(|_| refuse("The Host header is not readable."))?),
        None => None,
    };
    let scheme = received.entrance.external.split("://").next();
    if head.uri.scheme_str().is_some_and(|said| Some(said) != scheme) {
        return Err(refuse("The scheme of the target is not that of this listener."));
    }
    let in_target = head.uri.authority().map(http::uri::Authority::as_str);
    let named = match (in_header, in_target) {
        (None, None) => return Err(refuse("A Host header is needed.")),
        (None, Some(_)) if head.version < Version::HTTP_2 => return Err(refuse("A Host header is needed.")),
        (Some(header), Some(target)) if !header.eq_ignore_ascii_case(target) => {
            return Err(refuse("Host and the authority of the target differ."));
        }
        (Some(host), _) | (None, Some(host)) => host,
    };
    if named.contains('@') || named.is_empty() {
        return Err(refuse("The host may not hold user information or be empty."));
    }
    let hosts = &received.entrance.hosts;
    if !hosts.is_empty() && !hosts.iter().any(|known| known.eq_ignore_ascii_case(named)) {
        return Err(Rejection::new(Code::HostRefused, "This listener does not serve the host that was asked for."));
    }
    Ok(())
}
