//! The stack called directly: no socket, no TLS, no hyper. What the listener would have known is told.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use gateway::assemble::Assembled;
use http::header::HOST;
use http::{HeaderValue, Request};
use http_body_util::BodyExt as _;
use policies::peer::Peer;
use spine::body::Body;
use spine::stage::{Arrived, Door};
use tower::Service as _;

use super::answer::Answer;
use super::ask::Ask;

/// Makes of a request what a listener would hand to the stack.
pub(super) fn arrived(assembled: &Assembled, ask: &Ask, body: Body) -> Arrived {
    let found = assembled.listeners.iter().find(|(listener, _)| listener.entrance.door == ask.door);
    let entrance = Arc::clone(&found.unwrap().0.entrance);
    let mut request = Request::builder().method(ask.method.clone()).uri(&ask.target).body(body).unwrap();
    for (name, value) in &ask.headers {
        request.headers_mut().append(name, value.clone());
    }
    if !ask.has("host") {
        let authority = entrance.external.split_once("://").unwrap().1;
        request.headers_mut().insert(HOST, HeaderValue::from_str(authority).unwrap());
    }
    // Only one door asks for certificates.
    let shown = ask.certificate.as_ref().filter(|_| ask.door == Door::MtlsApi);
    let certificate = shown.map(|certificate| Arc::new(certificate.as_peer()));
    let peer = Peer { address: IpAddr::V4(Ipv4Addr::LOCALHOST), certificate };
    Arrived { request, peer, entrance, worker: 0 }
}

/// Calls the stack and reads the answer to its end.
pub(super) async fn call(assembled: &Assembled, arrived: Arrived) -> Answer {
    let mut stack = assembled.stack.load().as_ref().clone();
    let reply = stack.call(arrived).await.unwrap();
    let (head, body) = reply.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: head.status.as_u16(), headers: head.headers, body }
}
