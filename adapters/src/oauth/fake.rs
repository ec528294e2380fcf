//! A server of somebody else, over TLS: it answers by a script and remembers what it was asked.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use policies::network::Endpoint;
use policies::secret::Secret;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::clock::Clock;
use crate::http::trust::{Identity, Trust};
use crate::http::url::AllowedUrl;
use crate::keys::DevelopmentAuthority;
use crate::store::conformance::Folder;

/// What the server was asked.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) head: String,
    pub(super) form: HashMap<String, String>,
}

/// What it says.
pub(super) enum Says {
    /// A status, headers with their line ends, and a body.
    Answer(&'static str, String, String),
    /// Nothing, while the connection stays open.
    Nothing,
}

type Script = Arc<Mutex<Box<dyn Fn(&Asked) -> Says + Send>>>;

/// The server; it ends with its runtime.
pub(super) struct Server {
    port: u16,
    ca: Vec<u8>,
    client: (Vec<u8>, Secret<Vec<u8>>),
    asked: Arc<Mutex<Vec<Asked>>>,
    script: Script,
}

pub(super) fn json(body: impl ToString) -> Says {
    Says::Answer("200 OK", "content-type: application/json\r\n".to_owned(), body.to_string())
}

pub(super) fn status(status: &'static str, body: &str) -> Says {
    Says::Answer(status, "content-type: application/json\r\n".to_owned(), body.to_owned())
}

impl Server {
    /// Starts one whose certificate is for `name`; it asks for a certificate if told to.
    pub(super) async fn start(name: &str, asks: bool, script: impl Fn(&Asked) -> Says + Send + 'static) -> Self {
        let folder = Folder::new();
        let authority = DevelopmentAuthority::load_or_create(&folder.0, Clock::system().now()).unwrap();
        let acceptor = acceptor(&authority, name, asks);
        let client = authority.issue_client("gw.example").unwrap();
        let client = (std::fs::read(&client.certificate).unwrap(), Secret::new(std::fs::read(&client.key).unwrap()));
        let ca = std::fs::read(authority.certificate()).unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let script: Script = Arc::new(Mutex::new(Box::new(script)));
        let asked = Arc::default();
        let (theirs, told) = (Arc::clone(&script), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, script, asked) = (acceptor.clone(), Arc::clone(&theirs), Arc::clone(&told));
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        converse(stream, &script, &asked).await;
                    }
                });
            }
        });
        Self { port, ca, client, asked, script }
    }

    /// Has it answer by another script from now on.
    pub(super) fn says(&self, script: impl Fn(&Asked) -> Says + Send + 'static) {
        *self.script.lock().unwrap() = Box::new(script);
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub(super) fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    pub(super) fn trust(&self) -> Trust {
        Trust::from_pem(&self.ca, None).unwrap()
    }

    pub(super) fn identity(&self) -> Identity<'_> {
        Identity { chain: &self.client.0, key: &self.client.1 }
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        Endpoint::parse(&format!("https://localhost:{}/x?tenant=7", self.port), true).unwrap()
    }

    pub(super) fn url(&self) -> AllowedUrl {
        AllowedUrl::configured(&format!("https://localhost:{}/token", self.port)).unwrap()
    }
}

fn acceptor(authority: &DevelopmentAuthority, name: &str, asks: bool) -> TlsAcceptor {
    let server = authority.issue_server(&[name]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.certificate()).unwrap()).unwrap();
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
    let config = builder.with_single_cert(chain, PrivateKeyDer::from_pem_file(&server.key).unwrap()).unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin, script: &Script, asked: &Mutex<Vec<Asked>>) {
    let mut read = Vec::new();
    let mut piece = [0; 4096];
    let request = loop {
        if let Some(request) = whole(&String::from_utf8_lossy(&read)) {
            break request;
        }
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return,
            Ok(count) => read.extend_from_slice(piece.get(..count).unwrap()),
        }
    };
    asked.lock().unwrap().push(request.clone());
    let says = script.lock().unwrap()(&request);
    match says {
        Says::Answer(status, headers, body) => {
            let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n", body.len());
            // The other side may have had enough of it already.
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(body.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
        Says::Nothing => drop(stream.read(&mut piece).await),
    }
}

fn whole(text: &str) -> Option<Asked> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |it| it.parse().unwrap());
    (body.len() >= length).then(|| Asked { head: head.to_owned(), form: form(body) })
}

// What stands in our forms is base64url, names and words, in which only these are escaped.
fn form(body: &str) -> HashMap<String, String> {
    let plain =
        |text: &str| text.replace("%3A", ":").replace("%2F", "/").replace('+', " ").replace("%7E", "~").to_owned();
    body.split('&').filter_map(|pair| pair.split_once('=')).map(|(name, value)| (plain(name), plain(value))).collect()
}
