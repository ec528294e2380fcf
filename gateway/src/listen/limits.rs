//! How long a connection may take for what, and how many there may be.

use std::time::Duration;

/// Every bound of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// From accept to the end of the TLS handshake.
    pub handshake: Duration,
    /// From the first byte of a request head, or from the handshake for the first request, to its last.
    pub head: Duration,
    /// Without any request under way.
    pub idle: Duration,
    /// From a request's head to the last byte of its answer.
    pub request_total: Duration,
    /// A write that the peer does not take.
    pub write_stall: Duration,
    /// The span in which a request body has to bring at least `body_bytes_min`.
    pub body_window: Duration,
    /// The least bytes of a body in each span.
    pub body_bytes_min: usize,
    /// How old a connection may get; then it is closed after the requests under way.
    pub age: Duration,
    /// How many requests a connection may bring; then likewise.
    pub requests_max: u64,
    /// HTTP/2 streams at once.
    pub streams_max: u32,
    /// The longest list of header fields, in bytes, on HTTP/2; the longest head on HTTP/1.1 is four times that.
    pub header_list_bytes_max: u32,
    /// Connections at once, over all peers, per listener.
    pub connections_max: usize,
    /// Connections at once from one address, per listener.
    pub connections_per_peer_max: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(10),
            // Above the minute that most balancers keep a connection, so that theirs ends first.
            idle: Duration::from_secs(75),
            request_total: Duration::from_secs(120),
            write_stall: Duration::from_secs(20),
            body_window: Duration::from_secs(5),
            body_bytes_min: 500,
            age: Duration::from_secs(3600),
            requests_max: 100_000,
            streams_max: 100,
            header_list_bytes_max: 16 * 1024,
            connections_max: 10_000,
            connections_per_peer_max: 1_000,
        }
    }
}
