//! Messages to endpoints written by hand: where they may go, what they carry, and what an answer can do.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use policies::delivery::{SigningSecret, sign};
use policies::time::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::super::chosen::{ADDRESSES_MAX, callable};
use super::*;

const CONTENT: &str = "application/cloudevents+json";

type Seen = Arc<Mutex<Vec<String>>>;

fn signed() -> Signed {
    let secret = SigningSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    sign(&[secret], "e-1", b"{}", Timestamp::from_seconds(1_614_265_330)).unwrap()
}

/// An endpoint that gives every request the same answer, and then `keeps` the connection open if told to.
async fn endpoint(answer: Vec<u8>, keeps: bool) -> (String, Seen) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Seen::default();
    let theirs = Arc::clone(&seen);
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut read: Vec<u8> = Vec::new();
            let mut piece = [0; 4096];
            while !read.ends_with(b"{}") {
                match stream.read(&mut piece).await {
                    Ok(0) | Err(_) => break,
                    Ok(count) => read.extend_from_slice(piece.get(..count).unwrap()),
                }
            }
            theirs.lock().unwrap().push(String::from_utf8_lossy(&read).into_owned());
            let _ = stream.write_all(&answer).await;
            if keeps {
                kept.push(stream);
            }
        }
    });
    (format!("http://127.0.0.1:{port}/in?tenant=7"), seen)
}

async fn post(url: &str, private: bool) -> Result<Receipt, Outage> {
    let courier = Courier::new(&Trust::nobody().unwrap(), private);
    let endpoint = Endpoint::parse(url, true).unwrap();
    courier.post(&endpoint, CONTENT, &signed(), Bytes::from_static(b"{}")).await
}

fn receipt(status: u16, retry_after: Option<&str>) -> Receipt {
    Receipt { status, retry_after: retry_after.map(str::to_owned) }
}

#[test]
fn of_a_names_addresses_only_those_that_may_be_called_are() {
    let near = ["10.0.0.1:443", "127.0.0.1:443", "169.254.169.254:443", "100.64.0.1:443", "[::1]:443", "[fd00::1]:443"];
    let far = ["8.8.8.8:443", "[2a00:1450::1]:443"];
    let odd = ["0.0.0.0:443", "224.0.0.1:443", "[::ffff:8.8.8.8]:443", "[64:ff9b::808:808]:443"];
    let all = || near.iter().chain(&far).chain(&odd).map(|text| text.parse::<SocketAddr>().unwrap());
    let expected: Vec<SocketAddr> = far.iter().map(|text| text.parse().unwrap()).collect();
    assert_eq!(callable(all(), true, false), expected);
    assert_eq!(callable(all(), false, false), []);
    // With the operator's word, and never more than a few.
    assert_eq!(callable(all(), true, true), all().take(ADDRESSES_MAX).collect::<Vec<_>>());
    let here: Vec<SocketAddr> = ["127.0.0.1:443", "[::1]:443"].iter().map(|text| text.parse().unwrap()).collect();
    assert_eq!(callable(all(), false, true), here);
}

#[tokio::test]
async fn a_private_address_is_not_called_without_the_operators_word() {
    let (url, seen) = endpoint(b"HTTP/1.1 204 OK\r\n\r\n".to_vec(), false).await;
    let named = url.replace("127.0.0.1", "localhost");
    for url in [&url, &named] {
        let refused = post(url, false).await.unwrap_err();
        assert!(refused.cause.contains("no address that may be called"), "{refused}");
    }
    assert!(seen.lock().unwrap().is_empty());
    assert_eq!(post(&named, true).await, Ok(receipt(204, None)));
}

#[tokio::test]
async fn a_message_carries_what_it_must() {
    let (url, seen) = endpoint(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec(), false).await;
    assert_eq!(post(&url, true).await, Ok(receipt(200, None)));
    let seen = seen.lock().unwrap();
    let [message] = &seen[..] else { unreachable!("there was one call") };
    assert!(message.starts_with("POST /in?tenant=7 HTTP/1.1\r\n") && message.ends_with("\r\n\r\n{}"), "{message}");
    for line in
        ["webhook-id: e-1\r\n", "webhook-timestamp: 1614265330\r\n", "content-type: application/cloudevents+json\r\n"]
    {
        assert!(message.contains(line), "{message}");
    }
    assert!(message.contains(&format!("webhook-signature: {}\r\n", signed().signature)), "{message}");
}

#[tokio::test]
async fn any_status_is_an_answer_and_none_leads_elsewhere() {
    let (elsewhere, called) = endpoint(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), false).await;
    for status in [301, 302, 307, 308] {
        let answer = format!("HTTP/1.1 {status} There\r\nlocation: {elsewhere}\r\ncontent-length: 0\r\n\r\n");
        let (url, _) = endpoint(answer.into_bytes(), false).await;
        assert_eq!(post(&url, true).await, Ok(receipt(status, None)));
    }
    assert!(called.lock().unwrap().is_empty());
    let (url, _) =
        endpoint(b"HTTP/1.1 429 Slowly\r\nretry-after: 120\r\ncontent-length: 0\r\n\r\n".to_vec(), false).await;
    assert_eq!(post(&url, true).await, Ok(receipt(429, Some("120"))));
}

#[tokio::test]
async fn what_is_no_answer_is_an_outage_that_tells_no_path() {
    let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "a".repeat(HEAD_BYTES_MAX));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(HEADERS_MAX + 1));
    for answer in [&b""[..], b"HTTP/1.1 200", b"hello\r\n\r\n", long.as_bytes(), many.as_bytes()] {
        let (url, _) = endpoint(answer.to_vec(), false).await;
        let outage = post(&url, true).await.unwrap_err();
        assert!(!outage.to_string().contains("tenant"), "{outage}");
    }
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(HEADERS_MAX));
    let (url, _) = endpoint(many.into_bytes(), false).await;
    assert_eq!(post(&url, true).await, Ok(receipt(200, None)));
}

#[tokio::test]
async fn a_body_that_is_too_long_or_never_ends_changes_nothing() {
    let mut long = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 64 * BODY_BYTES_MAX).into_bytes();
    long.extend(vec![b'a'; 64 * BODY_BYTES_MAX]);
    let (url, _) = endpoint(long, false).await;
    assert_eq!(post(&url, true).await, Ok(receipt(200, None)));
    let (url, _) = endpoint(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok".to_vec(), true).await;
    let begun = std::time::Instant::now();
    assert_eq!(post(&url, true).await, Ok(receipt(200, None)));
    assert!(begun.elapsed() < ATTEMPT_MAX);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_has_its_time() {
    // Accepted by the system, never answered.
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let begun = tokio::time::Instant::now();
    assert!(post(&format!("http://{}/", listener.local_addr().unwrap()), true).await.is_err());
    assert_eq!(begun.elapsed(), ATTEMPT_MAX);
}
