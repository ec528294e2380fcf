//! A backend that answers whatever a scenario wants, and keeps what the gateway sent.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A request as it stood on the wire.
#[derive(Debug, Clone)]
pub struct Received {
    /// Request line and header fields.
    pub head: String,
    /// The body.
    pub body: String,
}

impl Received {
    /// Returns the first line.
    #[must_use]
    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    /// Returns a header field; none if it is not there.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

/// The backend; it ends with its runtime.
#[derive(Debug, Clone)]
pub struct Backend {
    /// Where it listens.
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Backend {
    /// Starts a backend that gives these bytes to every request, then closes.
    pub async fn answering(bytes: &str) -> Self {
        let bytes = bytes.to_owned();
        Self::scripted(move |_| bytes.clone()).await
    }

    /// Starts a backend that gives each request what `script` says, then closes.
    pub async fn scripted(script: impl Fn(&Received) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let backend = Self { address: listener.local_addr().unwrap(), received: Arc::default() };
        let (received, script) = (Arc::clone(&backend.received), Arc::new(script));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&received), Arc::clone(&script)));
            }
        });
        backend
    }

    /// Starts a backend that answers the first request by one byte at a time, with a pause after each.
    pub async fn dribbling(bytes: &str, pause: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let backend = Self { address: listener.local_addr().unwrap(), received: Arc::default() };
        let bytes = bytes.to_owned();
        tokio::spawn(async move {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            let _ = stream.read(&mut [0; 64 * 1024]).await;
            for byte in bytes.bytes() {
                if stream.write_all(&[byte]).await.is_err() {
                    return;
                }
                tokio::time::sleep(pause).await;
            }
        });
        backend
    }

    /// Starts a backend that gives these bytes to every request, then says nothing more.
    pub async fn stalling(bytes: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let backend = Self { address: listener.local_addr().unwrap(), received: Arc::default() };
        let bytes = bytes.to_owned();
        tokio::spawn(async move {
            let mut kept = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 64 * 1024]).await;
                let _ = stream.write_all(bytes.as_bytes()).await;
                kept.push(stream);
            }
        });
        backend
    }

    /// Starts a backend that takes requests and never answers.
    pub async fn silent() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let backend = Self { address: listener.local_addr().unwrap(), received: Arc::default() };
        tokio::spawn(async move {
            let mut kept = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                kept.push(stream);
            }
        });
        backend
    }

    /// Starts a backend that gives this JSON with status 200 and further header lines.
    pub async fn json(body: &str, headers: &str) -> Self {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n", body.len());
        Self::answering(&format!("{head}{headers}\r\n{body}")).await
    }

    /// Returns what was received until now.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn answer<S: Fn(&Received) -> String>(
    mut stream: TcpStream,
    received: Arc<Mutex<Vec<Received>>>,
    script: Arc<S>,
) {
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    let bytes = loop {
        let whole = String::from_utf8_lossy(&text).into_owned();
        if let Some((head, body)) = whole.split_once("\r\n\r\n") {
            let request = Received { head: head.to_owned(), body: body.to_owned() };
            let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
            if body.len() >= length {
                let bytes = script(&request);
                received.lock().unwrap_or_else(PoisonError::into_inner).push(request);
                break bytes;
            }
        }
        match stream.read(&mut buffer).await {
            Ok(count) if count > 0 => text.extend_from_slice(buffer.get(..count).unwrap()),
            _ => return,
        }
    };
    let _ = stream.write_all(bytes.as_bytes()).await;
    let _ = stream.shutdown().await;
}
