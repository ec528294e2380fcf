//! Addresses that may be called.

use std::net::IpAddr;
use std::sync::Arc;

use http::Uri;
use http::uri::PathAndQuery;
use policies::network::Endpoint;
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

/// A URL that the configuration allows to be called; made only by [`AllowList::permit`], [`AllowedUrl::configured`]
/// and, for the courier, of an [`Endpoint`].
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

    /// Takes an endpoint that a client chose and a policy names: whoever calls it looks at its addresses first.
    ///
    /// # Errors
    /// [`UrlError`], but never [`UrlError::NotAllowed`].
    pub(crate) fn chosen(endpoint: &Endpoint) -> Result<Self, UrlError> {
        parse(endpoint.url())
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
    // What stands behind the host is a port, or nothing; hyper's types read a port that is none as no port.
    let port = match (authority.port_u16(), authority.as_str().len() == authority.host().len()) {
        (Some(port), _) => port,
        (None, true) => default_port(tls),
        (None, false) => return Err(UrlError::Malformed),
    };
    if host.is_empty() {
        return Err(UrlError::Malformed);
    }
    if !tls && !is_loopback(&host) {
        return Err(UrlError::Scheme);
    }
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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    #[test]
    fn only_https_or_http_to_this_machine_may_be_called() {
        for (text, error) in [
            ("", UrlError::Malformed),
            ("/path", UrlError::Malformed),
            ("id.example:443", UrlError::Malformed),
            ("https://", UrlError::Malformed),
            ("https://id.example/#part", UrlError::Malformed),
            ("https://id.example:99999/", UrlError::Malformed),
            ("https://id.example/a b", UrlError::Malformed),
            ("ftp://id.example/", UrlError::Scheme),
            ("file:///etc/passwd", UrlError::Malformed),
            ("http://id.example/", UrlError::Scheme),
            ("http://10.0.0.1/", UrlError::Scheme),
            ("http://169.254.169.254/", UrlError::Scheme),
            ("http://127.0.0.1.example/", UrlError::Scheme),
            ("http://localhost.example/", UrlError::Scheme),
            ("http://0.0.0.0/", UrlError::Scheme),
            ("http://2130706433/", UrlError::Scheme),
            ("https://user@id.example/", UrlError::Userinfo),
            ("https://user:word@id.example/", UrlError::Userinfo),
        ] {
            assert_eq!(AllowedUrl::configured(text), Err(error), "{text}");
        }
        for text in [
            "https://id.example",
            "http://127.0.0.1:8080/",
            "http://127.9.9.9/",
            "http://[::1]:1/",
            "http://localhost/",
        ] {
            assert!(AllowedUrl::configured(text).is_ok(), "{text}");
        }
        let long = |bytes: usize| format!("https://id.example/{}", "a".repeat(bytes - "https://id.example/".len()));
        assert!(AllowedUrl::configured(&long(URL_BYTES_MAX)).is_ok());
        assert_eq!(AllowedUrl::configured(&long(URL_BYTES_MAX + 1)), Err(UrlError::Malformed));
    }

    #[test]
    fn an_origin_that_is_not_on_the_list_is_not_called() {
        let list = AllowList::new(["https://id.example:8443", "http://127.0.0.1:1"]).unwrap();
        for text in [
            "https://id.example/",
            "https://id.example.evil:8443/",
            "https://x.id.example:8443/",
            "http://127.0.0.1:2/",
        ] {
            assert_eq!(list.permit(text), Err(UrlError::NotAllowed), "{text}");
        }
        assert_eq!(AllowList::default().permit("https://id.example:8443/"), Err(UrlError::NotAllowed));
        assert!(list.permit("https://ID.example:8443/any?q=1").is_ok());
    }

    #[test]
    fn a_url_tells_its_parts() {
        let url = AllowedUrl::configured("https://[2001:db8::1]:8443/a?b=c").unwrap();
        assert_eq!((url.host(), url.port(), url.is_tls()), ("2001:db8::1", 8443, true));
        assert_eq!((url.authority().as_str(), url.target().as_str()), ("[2001:db8::1]:8443", "/a?b=c"));
        let url = AllowedUrl::configured("https://id.example:443").unwrap();
        assert_eq!((url.authority().as_str(), url.target().as_str()), ("id.example", "/"));
        assert_eq!(url.at("/x?y").unwrap().target().as_str(), "/x?y");
        assert_eq!(url.at("x"), Err(UrlError::Malformed));
        assert_eq!(url.at("//evil.example/").unwrap().host(), "id.example");
    }
}
