//! Addresses that may be called.

use std::net::IpAddr;
use std::sync::Arc;

use http::Uri;
use http::uri::PathAndQuery;
use thiserror::Error;

/// The longest URL, in bytes: longer ones are refused by common servers.
pub const URL_BYTES_MAX: usize = 2048;

/// Why a text is not a URL that may be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum UrlError {
    /// It is not a URL of at most [`URL_BYTES_MAX`] bytes with a host.
    #[error("it is not a URL with a scheme and a host, of at most {URL_BYTES_MAX} bytes")]
    Malformed,
    /// Neither `https`, nor `http` to a loopback address.
    #[error("it must be https, or http to a loopback address")]
    Scheme,
    /// It holds a user name or a password.
    #[error("it may not hold a user name or a password")]
    Userinfo,
    /// Its scheme, host and port are not on the list.
    #[error("its origin is not allowed by the configuration")]
    NotAllowed,
}

/// A scheme, a host and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    tls: bool,
    host: Arc<str>,
    port: u16,
}

/// The origins that the configuration allows to be called.
#[derive(Debug, Clone, Default)]
pub struct AllowList(Vec<Origin>);

/// A URL that the configuration allows to be called; made only by [`AllowList::permit`] and [`AllowedUrl::configured`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedUrl {
    origin: Origin,
    target: PathAndQuery,
}

impl AllowList {
    /// Reads a list of origins, for example `https://id.example:8443`.
    ///
    /// # Errors
    /// [`UrlError`] of the first that cannot be allowed.
    pub fn new<'a>(origins: impl IntoIterator<Item = &'a str>) -> Result<Self, UrlError> {
        origins.into_iter().map(|text| parse(text).map(|url| url.origin)).collect::<Result<_, _>>().map(Self)
    }

    /// Parses a URL whose origin is on the list.
    ///
    /// # Errors
    /// [`UrlError`] says why it may not be called.
    pub fn permit(&self, text: &str) -> Result<AllowedUrl, UrlError> {
        let url = parse(text)?;
        if self.0.contains(&url.origin) { Ok(url) } else { Err(UrlError::NotAllowed) }
    }
}

impl AllowedUrl {
    /// Parses a URL that stands in the configuration itself: the operator's own word allows it.
    ///
    /// # Errors
    /// [`UrlError`], but never [`UrlError::NotAllowed`].
    pub fn configured(text: &str) -> Result<Self, UrlError> {
        parse(text)
    }

    /// Returns another path of the same origin, for example `/v1/sessions`.
    ///
    /// # Errors
    /// [`UrlError::Malformed`] if it is not an absolute path.
    pub fn at(&self, target: &str) -> Result<Self, UrlError> {
        if !target.starts_with('/') || target.len() > URL_BYTES_MAX {
            return Err(UrlError::Malformed);
        }
        let target = PathAndQuery::try_from(target).map_err(|_| UrlError::Malformed)?;
        Ok(Self { origin: self.origin.clone(), target })
    }

    /// Tells whether the connection is made over TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.origin.tls
    }

    /// Returns the host, without the brackets of an IPv6 address.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.origin.host
    }

    /// Returns the port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.origin.port
    }

    /// Returns the value of the `Host` header.
    #[must_use]
    pub fn authority(&self) -> String {
        let Origin { tls, host, port } = &self.origin;
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_string() };
        if *port == default_port(*tls) { host } else { format!("{host}:{port}") }
    }

    /// Returns path and query.
    #[must_use]
    pub fn target(&self) -> &PathAndQuery {
        &self.target
    }
}

fn parse(text: &str) -> Result<AllowedUrl, UrlError> {
    if text.len() > URL_BYTES_MAX || text.contains('#') {
        return Err(UrlError::Malformed);
    }
    let uri: Uri = text.parse().map_err(|_| UrlError::Malformed)?;
    let tls = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        Some(_) => return Err(UrlError::Scheme),
        None => return Err(UrlError::Malformed),
    };
    let authority = uri.authority().ok_or(UrlError::Malformed)?;
    if authority.as_str().contains('@') {
        return Err(UrlError::Userinfo);
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    if host.is_empty() || authority.as_str().ends_with(':') {
        return Err(UrlError::Malformed);
    }
    if !tls && !is_loopback(&host) {
        return Err(UrlError::Scheme);
    }
    let port = authority.port_u16().unwrap_or(default_port(tls));
    let target = uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    Ok(AllowedUrl { origin: Origin { tls, host: Arc::from(host), port }, target })
}

fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

/// Tells whether a host is this machine by its address or by the one name that may stand for no other (RFC 6761).
pub(crate) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
