//! What HTTP leaves open: a request has one reading here, and every refusal is a whole answer.

mod answers;
mod bodies;
mod headers;
mod paths;

use http::HeaderMap;
pub use paths::CROOKED;
use scenarios::actors::backend::Backend;
use scenarios::world::{Answer, Ask, Setup};

/// The operation that anybody may ask.
pub const STATUS: &str = "/v1/discovery/status";
/// An operation that a backend answers.
pub const ACCOUNTS: &str = "/v1/accounts";
/// The operation with a body.
pub const PAYMENTS: &str = "/v1/domestic-payments";

/// Starts a backend that only counts, and says how to put it in the bank's place.
pub async fn counting() -> (Backend, Setup) {
    // It closes after each answer, and says so.
    let backend = Backend::json("{\"accounts\":[]}", "connection: close\r\n").await;
    let setup = Setup { backend: Some(backend.address), ..Setup::default() };
    (backend, setup)
}

/// Tells whether a header is there.
fn has(headers: &HeaderMap, name: &str) -> bool {
    headers.contains_key(name)
}

/// Checks what every answer of a public door has, whatever it says.
#[track_caller]
pub fn decent(answer: &Answer) {
    answer.named();
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer:?}");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{answer:?}");
    assert_eq!(answer.header("strict-transport-security"), Some("max-age=31536000"), "{answer:?}");
    for teller in ["server", "x-powered-by", "via", "set-cookie"] {
        assert!(!has(&answer.headers, teller), "{teller} tells who answers: {answer:?}");
    }
}

/// Adds many harmless header fields.
#[must_use]
pub fn with_many(mut ask: Ask, count: usize) -> Ask {
    for number in 0..count {
        ask = ask.with(&format!("x-many-{number}"), "1");
    }
    ask
}
