//! The way to a database server: where, as whom, and under whose certificate; whatever uses PostgreSQL goes this way.
//!
//! What the URL says about TLS does not count: a server on another machine is always checked, by name and authority.

use std::error::Error as _;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, SHA384, SHA512, digest};
use policies::code::Outage;
use policies::secret::Secret;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::JoinHandle;
use tokio_postgres::config::{Host, SslMode, SslNegotiation, TargetSessionAttrs};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_postgres::{Client, Config, Socket};

use crate::http::trust::Trust;
use crate::wire::{TooMuch, Wary};

/// What PostgreSQL calls its protocol in TLS.
const PROTOCOL: &[u8] = b"postgresql";

/// How long reaching one address of the server may take.
const CONNECT_WAIT: Duration = Duration::from_secs(2);

/// How long sent bytes may stay unacknowledged before the kernel gives the connection up.
const SENT_WAIT: Duration = Duration::from_secs(5);

/// After how long the kernel asks a silent peer whether it is there, how often, and how often in vain at most.
const SILENCE: Duration = Duration::from_secs(10);
const ASK_EVERY: Duration = Duration::from_secs(5);
const ASKS_MAX: u32 = 3;

/// The parameters of a URL that ask for less, or for other, TLS than we do.
const TLS_PARAMETERS: [&str; 5] = ["sslmode", "sslrootcert", "sslcert", "sslkey", "sslnegotiation"];

/// Reads the URL of a database, and makes what connects to it.
///
/// `application` is what the server's list of connections calls us. Without `trust` there is no TLS, which only a server
/// on this machine may do without.
///
/// # Errors
/// An [`Outage`] of `store` if the URL cannot be read or names no host, or if a server elsewhere has no `trust`; it tells
/// nothing of the URL.
pub(crate) fn way(
    url: &Secret<String>,
    trust: Option<&Trust>,
    application: &str,
) -> Result<(Config, PostgresTls), Outage> {
    let refused = |why: &str| Outage::new("store", why);
    // The error would quote the URL.
    let mut config: Config = without_tls_parameters(url.expose()).expose().parse().map_err(|_| {
        refused("the URL of the database cannot be read; it is `postgres://user:password@host:port/name`")
    })?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err(refused("the URL of the database names no host"));
    }
    match trust {
        Some(_) => config.ssl_mode(SslMode::Require).ssl_negotiation(SslNegotiation::Postgres),
        None if is_here(&config) => clear_text(&mut config),
        None => return Err(refused("a database on another machine needs `trust`: the authority of its certificate")),
    };
    if config.get_hosts().len().max(config.get_hostaddrs().len()) > 1 {
        // Of several servers one is the primary, and after a failover another.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
    config
        .application_name(application)
        .connect_timeout(CONNECT_WAIT)
        .tcp_user_timeout(SENT_WAIT)
        .keepalives(true)
        .keepalives_idle(SILENCE)
        .keepalives_interval(ASK_EVERY)
        .keepalives_retries(ASKS_MAX);
    Ok((config, PostgresTls(trust.map(|trust| trust.config(PROTOCOL)))))
}

/// Opens a connection, and the task that drives it: whoever waits for an answer is told there why none comes, and nobody
/// else; a line in the log by each connection that ends would be one a second for as long as an outage lasts.
pub(crate) async fn connect(
    config: &Config,
    tls: PostgresTls,
) -> Result<(Client, JoinHandle<()>), tokio_postgres::Error> {
    let (client, connection) = config.connect(tls).await?;
    let driving = tokio::spawn(async move {
        // Told to those who wait, see above.
        let _ = connection.await;
    });
    Ok((client, driving))
}

/// Tells what went wrong with a connection, in words that name neither the server nor the values of a statement.
pub(crate) fn cause(error: &tokio_postgres::Error) -> String {
    let source = error.source();
    if let Some(refusal) = error.as_db_error() {
        let place = refusal.constraint().or(refusal.table()).map(|name| format!(" ({name})")).unwrap_or_default();
        return format!("the database refused with {}{place}", refusal.code().code());
    }
    let Some(broken) = source.and_then(|source| source.downcast_ref::<io::Error>()) else { return error.to_string() };
    let inner = broken.get_ref();
    if let Some(too_much) = inner.and_then(|inner| inner.downcast_ref::<TooMuch>()) {
        return format!("{error}: {too_much}");
    }
    match inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        // Rustls would name the server.
        Some(rustls::Error::InvalidCertificate(fault)) => format!("{error}: {}", certificate_fault(fault)),
        Some(_) => format!("{error}: the handshake failed"),
        None => format!("{error}: {}", broken.kind()),
    }
}

fn certificate_fault(fault: &rustls::CertificateError) -> &'static str {
    use rustls::CertificateError as Fault;
    match fault {
        Fault::NotValidForName | Fault::NotValidForNameContext { .. } => "its certificate is for another name",
        Fault::UnknownIssuer => "its certificate is of an authority that is not trusted",
        Fault::Expired | Fault::ExpiredContext { .. } => "its certificate is over",
        Fault::NotValidYet | Fault::NotValidYetContext { .. } => "its certificate is not valid yet",
        _ => "its certificate is not valid",
    }
}

fn without_tls_parameters(url: &str) -> Secret<String> {
    let Some((place, query)) = url.split_once('?') else { return Secret::new(url.to_owned()) };
    let name = |pair: &str| pair.split('=').next().unwrap_or_default().to_owned();
    let kept: Vec<_> = query.split('&').filter(|pair| !TLS_PARAMETERS.contains(&name(pair).as_str())).collect();
    Secret::new(format!("{place}?{}", kept.join("&")))
}

/// Has clear text spoken through [`PostgresTls`] all the same: it is the one place where every connection passes.
///
/// A socket in the file system has no name that the library would hand on; who may make one there is trusted.
fn clear_text(config: &mut Config) -> &mut Config {
    if config.get_hosts().iter().any(|host| matches!(host, Host::Unix(_))) {
        return config.ssl_mode(SslMode::Disable);
    }
    if config.get_hosts().is_empty() {
        for address in config.get_hostaddrs().to_vec() {
            config.host(address.to_string());
        }
    }
    // Direct: nobody asks the server whether it speaks TLS.
    config.ssl_mode(SslMode::Require).ssl_negotiation(SslNegotiation::Direct)
}

// A name is this machine's only if it can be nothing else: what a resolver says is not asked.
fn is_here(config: &Config) -> bool {
    let addresses = config.get_hostaddrs();
    if !addresses.is_empty() {
        return addresses.iter().all(IpAddr::is_loopback);
    }
    config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) if name == "localhost" => true,
        Host::Tcp(name) => name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()),
        Host::Unix(path) => Path::is_absolute(path),
    })
}

/// Speaks TLS to the database server, or clear text to one on this machine, where [`way`] has found it.
#[derive(Clone)]
pub(crate) struct PostgresTls(Option<Arc<rustls::ClientConfig>>);

impl fmt::Debug for PostgresTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostgresTls")
    }
}

impl MakeTlsConnect<Socket> for PostgresTls {
    type Stream = Bounded;
    type TlsConnect = Handshake;
    type Error = io::Error;

    fn make_tls_connect(&mut self, domain: &str) -> io::Result<Handshake> {
        let Some(config) = self.0.clone() else { return Ok(Handshake(None)) };
        let name = ServerName::try_from(domain.to_owned())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "no certificate can be for this host"))?;
        Ok(Handshake(Some((config, name))))
    }
}

/// A handshake to come, for a server of this name.
pub(crate) struct Handshake(Option<(Arc<rustls::ClientConfig>, ServerName<'static>)>);

impl TlsConnect<Socket> for Handshake {
    type Stream = Bounded;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Bounded>> + Send>>;

    fn connect(self, socket: Socket) -> Self::Future {
        Box::pin(async move {
            let stream = match self.0 {
                None => Stream::Clear(socket),
                Some((config, name)) => {
                    let handshake = tokio_rustls::TlsConnector::from(config).connect(name, socket);
                    Stream::Checked(Box::new(handshake.await?))
                }
            };
            Ok(Bounded(Wary::new(stream)))
        })
    }
}

/// A connection to a server that may say so much at once, and no more.
pub(crate) struct Bounded(Wary<Stream>);

/// A connection to a server on this machine, or to one whose certificate was checked.
enum Stream {
    Clear(Socket),
    Checked(Box<tokio_rustls::client::TlsStream<Socket>>),
}

impl TlsStream for Bounded {
    // The password's proof is bound to this certificate (RFC 5929, section 4.1): nobody between can use it elsewhere.
    fn channel_binding(&self) -> ChannelBinding {
        let Stream::Checked(stream) = self.0.get_ref() else { return ChannelBinding::none() };
        let chain = stream.get_ref().1.peer_certificates();
        let hash = chain.and_then(|chain| chain.first()).and_then(|certificate| end_point(certificate));
        hash.map_or_else(ChannelBinding::none, ChannelBinding::tls_server_end_point)
    }
}

// The hash of the certificate's own signature; none for signatures that have no single one.
fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let algorithm = match parsed.signature_algorithm.algorithm.to_id_string().as_str() {
        "1.2.840.113549.1.1.11" | "1.2.840.10045.4.3.2" => &SHA256,
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => &SHA384,
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => &SHA512,
        _ => return None,
    };
    Some(digest(algorithm, certificate).as_ref().to_vec())
}

impl AsyncRead for Bounded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Stream::Clear(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Checked(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Stream::Clear(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Checked(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Stream::Clear(stream) => Pin::new(stream).poll_flush(context),
            Stream::Checked(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Stream::Clear(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Checked(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::wire::UNASKED_BYTES_MAX;

    fn mode(url: &str, trust: Option<&Trust>) -> Result<SslMode, String> {
        let way = way(&Secret::new(url.to_owned()), trust, "qaqpa");
        way.map(|(config, _)| config.get_ssl_mode()).map_err(|outage| outage.cause)
    }

    #[test]
    fn a_server_elsewhere_needs_somebody_to_trust() {
        let trust = Trust::nobody().unwrap();
        for elsewhere in ["db.example", "10.0.0.5", "127.0.0.1.example", "localhost,db.example", "127.0.0.1,10.0.0.5"] {
            for query in ["", "?sslmode=disable", "?sslmode=prefer&connect_timeout=1"] {
                let url = format!("postgres://u:p@{elsewhere}/d{query}");
                assert!(mode(&url, None).is_err(), "{url}");
                assert_eq!(mode(&url, Some(&trust)), Ok(SslMode::Require), "{url}");
            }
        }
        assert!(mode("host=localhost hostaddr=10.0.0.5 user=u", None).is_err());
    }

    #[test]
    fn a_server_here_may_do_without() {
        for here in ["localhost", "127.0.0.1", "[::1]", "127.8.8.8", "%2Frun%2Fpostgresql"] {
            let url = format!("postgres://u:p@{here}/d?sslmode=verify-full");
            assert!(mode(&url, None).is_ok(), "{url}");
        }
        assert!(mode("hostaddr=127.0.0.1 user=u", None).is_ok());
    }

    #[test]
    fn a_url_that_cannot_be_read_is_not_told() {
        for url in ["postgres://user:hunter2@host:port/name", "postgres:///name", "hunter2", "postgres://u:hunter2@/d"]
        {
            let told = mode(url, None).unwrap_err();
            assert!(!told.contains("hunter2"), "{told}");
        }
    }
    /// A server that says `begin` to whoever comes, then as many bytes of an `x`, and an end; tells how to reach it.
    async fn flood(begin: Vec<u8>, bytes: usize) -> (Config, PostgresTls) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let mut told = vec![0; 1024];
                let _ = socket.read(&mut told).await;
                let _ = socket.write_all(&begin).await;
                let mut text = tokio::io::repeat(b'x').take(bytes as u64).chain(io::Cursor::new([0]));
                let _ = tokio::io::copy(&mut text, &mut socket).await;
                let _ = socket.read(&mut told).await;
            }
        });
        // The address alone is a way too, and has no name.
        let url = format!("hostaddr=127.0.0.1 port={port} user=u password=p dbname=d");
        way(&Secret::new(url), None, "qaqpa").unwrap()
    }

    fn message(kind: u8, bytes: usize) -> Vec<u8> {
        let length = u32::try_from(bytes + 4).unwrap().to_be_bytes();
        [&[kind], length.as_slice()].concat()
    }

    #[tokio::test]
    async fn a_server_that_floods_us_before_or_after_it_let_us_in_is_left() {
        let long = 2 * UNASKED_BYTES_MAX;
        let (config, tls) = flood(message(b'R', long), long).await;
        let told = cause(&connect(&config, tls).await.err().unwrap());
        assert!(told.contains(&TooMuch.to_string()), "{told}");

        // Word of a parameter: name and text, each with a zero at its end. We would take it, were it not so long.
        let parameter = [message(b'S', long + 3), b"a\0".to_vec()].concat();
        let let_in = [message(b'R', 4), vec![0; 4], message(b'Z', 1), vec![b'I'], parameter].concat();
        let (config, tls) = flood(let_in, long).await;
        let (client, driving) = connect(&config, tls).await.unwrap();
        tokio::time::timeout(Duration::from_secs(60), driving).await.unwrap().unwrap();
        assert!(client.is_closed());
    }
}
