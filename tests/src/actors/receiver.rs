//! A client's endpoint for events: it takes them, refuses them or keeps silent, and remembers what came.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::backend::Received;

/// What the endpoint says to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// It has it.
    Taken,
    /// A status and, if not empty, a further header line.
    Refused(u16, &'static str),
    /// Nothing, while the connection stays open.
    Nothing,
}

type Script = Arc<Mutex<Box<dyn Fn(&Value) -> Says + Send>>>;

/// The endpoint; it ends with its runtime.
#[derive(Clone)]
pub struct Receiver {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    script: Script,
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receiver").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Receiver {
    /// Starts an endpoint that takes everything.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let taking: Box<dyn Fn(&Value) -> Says + Send> = Box::new(|_| Says::Taken);
        let receiver = Self {
            address: listener.local_addr().unwrap(),
            received: Arc::default(),
            script: Arc::new(Mutex::new(taking)),
        };
        let theirs = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let receiver = theirs.clone();
                tokio::spawn(async move { receiver.converse(stream).await });
            }
        });
        receiver
    }

    /// Has it answer from now on as `script` says of each event.
    pub fn says(&self, script: impl Fn(&Value) -> Says + Send + 'static) {
        *self.script.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(script);
    }

    /// Returns its URL, with a path that nobody else is to know.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/events?key=canary-of-the-path", self.address)
    }

    /// Returns what came until now, in order.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the names of what came, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.received().iter().map(|one| one.header("webhook-id").unwrap().to_owned()).collect()
    }

    async fn converse(&self, mut stream: TcpStream) {
        let mut text = Vec::new();
        let mut buffer = [0; 4096];
        let request = loop {
            let whole = String::from_utf8_lossy(&text).into_owned();
            if let Some((head, body)) = whole.split_once("\r\n\r\n") {
                let request = Received { head: head.to_owned(), body: body.to_owned() };
                let length: usize = request.header("content-length").map_or(0, |length| length.parse().unwrap());
                if body.len() >= length {
                    break request;
                }
            }
            match stream.read(&mut buffer).await {
                Ok(count) if count > 0 => text.extend_from_slice(buffer.get(..count).unwrap()),
                _ => return,
            }
        };
        let event = serde_json::from_str(&request.body).unwrap();
        self.received.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        let says = self.script.lock().unwrap_or_else(PoisonError::into_inner)(&event);
        let answer = match says {
            Says::Taken => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
            Says::Refused(status, "") => format!("HTTP/1.1 {status} No\r\ncontent-length: 0\r\n\r\n"),
            Says::Refused(status, line) => format!("HTTP/1.1 {status} No\r\n{line}\r\ncontent-length: 0\r\n\r\n"),
            Says::Nothing => {
                // Until the other side has had enough.
                let _ = stream.read(&mut buffer).await;
                return;
            }
        };
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.shutdown().await;
    }
}

/// Tells whether one of the signatures of a message is by this secret (`whsec_...`), without anything of the gateway's.
#[must_use]
pub fn is_signed(message: &Received, secret: &str) -> bool {
    let header = |name: &str| message.header(name).unwrap_or_default();
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let signed = format!("{}.{}.{}", header("webhook-id"), header("webhook-timestamp"), message.body);
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), signed.as_bytes());
    let right = format!("v1,{}", STANDARD.encode(mac));
    header("webhook-signature").split(' ').any(|signature| signature == right)
}
