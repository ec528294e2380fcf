//! Connections to allowed addresses.

use std::io;
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

use super::inside::Inside;
use super::trust::Trust;
use super::url::AllowedUrl;

/// An open connection.
pub(crate) enum Connection {
    /// Inside this process.
    Inside(TokioIo<DuplexStream>),
    /// In clear text, to this machine only.
    Plain(TokioIo<TcpStream>),
    /// Over TLS, to a server whose name was checked.
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
}

/// How to connect to one origin.
#[derive(Clone)]
pub(crate) struct Dialler {
    url: AllowedUrl,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    protocol: &'static [u8],
    inside: Option<Arc<dyn Inside>>,
}

impl Dialler {
    /// Prepares connecting to the origin of `url`, to speak `protocol` (its ALPN name) there.
    pub(crate) fn new(url: &AllowedUrl, trust: &Trust, protocol: &'static [u8]) -> Result<Self, io::Error> {
        let tls = if url.is_tls() {
            let name = ServerName::try_from(url.host().to_owned()).map_err(io::Error::other)?;
            Some((TlsConnector::from(trust.config(protocol)), name))
        } else {
            None
        };
        Ok(Self { url: url.clone(), tls, protocol, inside: None })
    }

    /// Has every connection taken inside this process.
    pub(crate) fn inside(mut self, service: Option<&Arc<dyn Inside>>) -> Self {
        self.inside = service.cloned();
        self
    }

    /// Connects; the caller bounds the time.
    pub(crate) async fn connect(&self) -> Result<Connection, io::Error> {
        if let Some(service) = &self.inside {
            return service.connect().map(|stream| Connection::Inside(TokioIo::new(stream)));
        }
        let stream = self.dial().await?;
        self.secure(stream).await
    }

    /// Makes a connection of a stream that somebody else opened: over TLS, if the origin wants it.
    pub(crate) async fn secure(&self, stream: TcpStream) -> Result<Connection, io::Error> {
        let Some((connector, name)) = &self.tls else { return Ok(Connection::Plain(TokioIo::new(stream))) };
        let stream = connector.connect(name.clone(), stream).await?;
        match stream.get_ref().1.alpn_protocol() {
            Some(agreed) if agreed == self.protocol => {}
            // A server without ALPN speaks HTTP/1.1.
            None if self.protocol == b"http/1.1" => {}
            Some(_) | None => {
                return Err(io::Error::other("the server does not speak the protocol that was asked for"));
            }
        }
        Ok(Connection::Tls(Box::new(TokioIo::new(stream))))
    }

    async fn dial(&self) -> Result<TcpStream, io::Error> {
        let mut failed = io::Error::other("the name has no address that may be called");
        for address in lookup_host((self.url.host(), self.url.port())).await? {
            // What a resolver says of `localhost` is not to be believed: clear text stays on this machine.
            if !self.url.is_tls() && !address.ip().is_loopback() {
                continue;
            }
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }
}
