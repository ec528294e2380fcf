//! Calls against a service that is written by hand, in clear text and over TLS.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method};
use http_body_util::{BodyExt, Full};
use policies::delivery::{SigningSecret, sign};
use policies::id::UpstreamId;
use policies::network::Endpoint;
use policies::rulebook::{Protocol, Upstream};
use policies::secret::Secret;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::client::{ANSWER_BYTES_MAX, Client, Reply};
use super::courier::Courier;
use super::trust::{Identity, Trust};
use super::url::AllowedUrl;
use crate::clock::Clock;
use crate::keys::DevelopmentAuthority;
use crate::store::conformance::Folder;
use crate::upstream::{OutgoingRequest, Pools, SendError, Target};

const WITHIN: Duration = Duration::from_secs(5);

type Seen = Arc<Mutex<Vec<String>>>;

async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &[u8], seen: &Seen) {
    let mut read = Vec::new();
    let mut piece = [0; 4096];
    // A request ends with its head, or with the closing brace of its body.
    while !(read.ends_with(b"\r\n\r\n") && read.starts_with(b"GET") || read.ends_with(b"}")) {
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return,
            Ok(count) => read.extend_from_slice(piece.get(..count).unwrap()),
        }
    }
    seen.lock().unwrap().push(String::from_utf8(read).unwrap());
    if stream.write_all(answer).await.is_ok() {
        // The other side may have closed it already.
        let _ = stream.shutdown().await;
    }
}

async fn service(answer: Vec<u8>, tls: Option<TlsAcceptor>) -> (AllowedUrl, Seen) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let scheme = if tls.is_some() { "https" } else { "http" };
    let seen = Seen::default();
    let theirs = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            match &tls {
                None => converse(stream, &answer, &theirs).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        converse(stream, &answer, &theirs).await;
                    }
                }
            }
        }
    });
    (AllowedUrl::configured(&format!("{scheme}://localhost:{port}/a?b=c")).unwrap(), seen)
}

fn answer(status: &str, body: &[u8]) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
    answer.extend_from_slice(body);
    answer
}

fn plain() -> Client {
    Client::new(&Trust::nobody().unwrap())
}

#[tokio::test]
async fn any_status_is_an_answer_and_the_request_says_what_it_must() {
    let (url, seen) = service(answer("503 Away", b"later"), None).await;
    let reply = Reply { status: 503, body: Bytes::from_static(b"later") };
    assert_eq!(plain().get(&url, WITHIN).await, Ok(reply.clone()));
    let token = HeaderValue::from_static("Bearer t0ken");
    assert_eq!(plain().post_json(&url, Some(&token), b"{}".to_vec(), WITHIN).await, Ok(reply));
    let seen = seen.lock().unwrap();
    let [get, post] = &seen[..] else { unreachable!("there were two calls") };
    let host = format!("host: {}\r\n", url.authority());
    assert!(get.starts_with("GET /a?b=c HTTP/1.1\r\n") && get.contains(&host), "{get}");
    for part in
        ["POST /a?b=c HTTP/1.1\r\n", &host, "content-type: application/json\r\n", "authorization: Bearer t0ken\r\n"]
    {
        assert!(post.contains(part), "{post}");
    }
}

#[tokio::test]
async fn an_answer_has_a_longest_length() {
    let (url, _) = service(answer("200 OK", &vec![b'a'; ANSWER_BYTES_MAX]), None).await;
    assert_eq!(plain().get(&url, WITHIN).await.unwrap().body.len(), ANSWER_BYTES_MAX);
    let (url, _) = service(answer("200 OK", &vec![b'a'; ANSWER_BYTES_MAX + 1]), None).await;
    assert!(plain().get(&url, WITHIN).await.is_err());
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_none() {
    for bytes in [&b""[..], b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok", b"hello\r\n\r\n"] {
        let (url, _) = service(bytes.to_vec(), None).await;
        assert!(plain().get(&url, WITHIN).await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_has_its_time() {
    // Accepted by the system, never answered.
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = AllowedUrl::configured(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let begun = tokio::time::Instant::now();
    assert!(plain().get(&url, WITHIN).await.is_err());
    assert_eq!(begun.elapsed(), WITHIN);
}

struct Certificates {
    ca: Vec<u8>,
    client: (Vec<u8>, Secret<Vec<u8>>),
    acceptor: TlsAcceptor,
    _folder: Folder,
}

/// A server for `name` that asks for a client certificate if told to, and speaks `protocol`.
fn certificates(name: &str, asks: bool, protocol: &[u8]) -> Certificates {
    let folder = Folder::new();
    let authority = DevelopmentAuthority::load_or_create(&folder.0, Clock::system().now()).unwrap();
    let (server, client) = (authority.issue_server(&[name]).unwrap(), authority.issue_client("gw.example").unwrap());
    let ca = std::fs::read(authority.certificate()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&ca).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let builder = if asks {
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    let chain = CertificateDer::pem_file_iter(&server.certificate).unwrap().collect::<Result<_, _>>().unwrap();
    let mut config = builder.with_single_cert(chain, PrivateKeyDer::from_pem_file(&server.key).unwrap()).unwrap();
    config.alpn_protocols = vec![protocol.to_vec()];
    let client = (std::fs::read(&client.certificate).unwrap(), Secret::new(std::fs::read(&client.key).unwrap()));
    Certificates { ca, client, acceptor: TlsAcceptor::from(Arc::new(config)), _folder: folder }
}

#[tokio::test]
async fn c3_an_endpoint_is_told_nothing_before_it_is_believed() {
    let good = certificates("localhost", false, b"http/1.1");
    let (url, seen) = service(answer("200 OK", b"ok"), Some(good.acceptor.clone())).await;
    let endpoint = Endpoint::parse(&format!("https://{}/in", url.authority()), true).unwrap();
    let secret = SigningSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let signed = sign(&[secret], "e-1", b"{}", Clock::system().now()).unwrap();
    let post = async |trust: Trust, private: bool| {
        let courier = Courier::new(&trust, private);
        courier.post(&endpoint, "application/json", &signed, Bytes::from_static(b"{}")).await
    };
    assert!(post(Trust::nobody().unwrap(), true).await.is_err());
    let other = certificates("localhost", false, b"http/1.1");
    assert!(post(Trust::from_pem(&other.ca, None).unwrap(), true).await.is_err());
    // Whom one believes is one thing, whom one may call another.
    assert!(post(Trust::from_pem(&good.ca, None).unwrap(), false).await.is_err());
    assert!(seen.lock().unwrap().is_empty());
    assert_eq!(post(Trust::from_pem(&good.ca, None).unwrap(), true).await.unwrap().status, 200);
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn c3_a_server_is_believed_only_by_a_known_authority_and_its_name() {
    let good = certificates("localhost", false, b"http/1.1");
    let (url, _) = service(answer("200 OK", b"ok"), Some(good.acceptor.clone())).await;
    assert!(plain().get(&url, WITHIN).await.is_err());
    let other = certificates("localhost", false, b"http/1.1");
    assert!(Client::new(&Trust::from_pem(&other.ca, None).unwrap()).get(&url, WITHIN).await.is_err());
    let trusted = Client::new(&Trust::from_pem(&good.ca, None).unwrap());
    assert_eq!(trusted.get(&url, WITHIN).await.unwrap().body, "ok");
    let misnamed = certificates("bank.example", false, b"http/1.1");
    let (url, _) = service(answer("200 OK", b"ok"), Some(misnamed.acceptor.clone())).await;
    assert!(Client::new(&Trust::from_pem(&misnamed.ca, None).unwrap()).get(&url, WITHIN).await.is_err());
}

#[tokio::test]
async fn c3_a_certificate_is_shown_to_servers_that_ask() {
    let asking = certificates("localhost", true, b"http/1.1");
    let (url, _) = service(answer("200 OK", b"ok"), Some(asking.acceptor.clone())).await;
    let nameless = Trust::from_pem(&asking.ca, None).unwrap();
    assert!(Client::new(&nameless).get(&url, WITHIN).await.is_err());
    let identity = Identity { chain: &asking.client.0, key: &asking.client.1 };
    let named = Trust::from_pem(&asking.ca, Some(&identity)).unwrap();
    assert_eq!(Client::new(&named).get(&url, WITHIN).await.unwrap().body, "ok");
}

#[test]
fn a_bundle_that_holds_nothing_is_refused() {
    for bundle in ["", "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n"] {
        assert!(Trust::from_pem(bundle.as_bytes(), None).is_err());
    }
}

#[tokio::test]
async fn c3_a_backend_over_tls_is_checked_and_speaks_what_was_agreed() {
    let good = certificates("localhost", false, b"http/1.1");
    let (url, seen) = service(answer("200 OK", b"ok"), Some(good.acceptor.clone())).await;
    let id = UpstreamId::parse("bank").unwrap();
    let attempt = async |protocol, trust: Trust| {
        let upstream = Upstream { id: id.clone(), protocol, connect: WITHIN, response: WITHIN, requests_max: 9 };
        let pools = Pools::<Full<Bytes>>::new(vec![Target::new(&upstream, vec![url.clone()])], &trust);
        let request =
            OutgoingRequest::new(Method::GET, PathAndQuery::from_static("/"), HeaderMap::new(), Full::default());
        pools.send(&id, request).await.map(http::Response::into_body)
    };
    assert!(matches!(attempt(Protocol::Http1, Trust::nobody().unwrap()).await, Err(SendError::NotSent(_))));
    let trust = Trust::from_pem(&good.ca, None).unwrap();
    // The server speaks no HTTP/2, and nothing may be sent in a protocol that was not agreed on.
    assert!(matches!(attempt(Protocol::Http2, trust.clone()).await, Err(SendError::NotSent(_))));
    assert!(seen.lock().unwrap().is_empty());
    let body = attempt(Protocol::Http1, trust).await.unwrap();
    assert_eq!(body.collect().await.unwrap().to_bytes(), "ok");
}
