//! Bodies whose length nobody knows beforehand: they come in pieces.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::TRANSFER_ENCODING;
use http::{HeaderValue, Request, Version};
use http_body::{Body, Frame};
use spine::body::BodyFailure;
use spine::stage::Door;
use tokio::net::TcpStream;

use super::{Answer, Ask, Kind, Tls, World, memory, socket};

/// A body in pieces.
#[derive(Debug)]
pub struct Pieces(VecDeque<Bytes>);

impl Pieces {
    /// Cuts bytes into pieces of at most `size`.
    #[must_use]
    pub fn cut(bytes: &Bytes, size: usize) -> Self {
        Self(bytes.chunks(size).map(Bytes::copy_from_slice).collect())
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = BodyFailure;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFailure>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }
}

impl World {
    /// Sends a request whose body's length is not announced: `chunked` on HTTP/1.1, only frames on HTTP/2.
    pub async fn send_in_pieces(&self, ask: &Ask, size: usize) -> Answer {
        let pieces = Pieces::cut(&ask.body, size);
        if self.kind == Kind::Memory {
            let body = spine::body::Body::stream(Box::pin(pieces));
            return self.call(memory::arrived(self.assembled(), ask, body)).await;
        }
        let (mut head, _) = self.request(self.kind, ask).into_parts();
        if head.version == Version::HTTP_11 {
            // For a GET the client would send no body otherwise.
            head.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        let request = Request::from_parts(head, pieces);
        if ask.door == Door::Admin {
            return socket::http1(TcpStream::connect(self.address(ask.door)).await.unwrap(), request).await.unwrap();
        }
        let h2 = self.kind == Kind::Http2;
        let alpn: &[&[u8]] = if h2 { &[b"h2"] } else { &[b"http/1.1"] };
        let tls = Tls { alpn, versions: socket::MODERN, certificate: ask.certificate.as_deref() };
        let stream = self.connect(ask.door, tls).await.unwrap();
        if h2 { socket::http2(stream, request).await } else { socket::http1(stream, request).await }.unwrap()
    }
}
