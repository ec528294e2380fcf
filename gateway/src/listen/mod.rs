//! The listeners: from bytes to a request with its peer. What hyper leaves to us (time-outs, connection limits) is here.

mod connection;
mod io;
mod pace;
pub mod tls;
mod watch;

use std::collections::HashMap;
use std::io::Error;
use std::net::{IpAddr, SocketAddr, TcpListener as StdListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use socket2::{Domain, Protocol, Socket, Type};
use spine::stage::Entrance;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch as flag;

use crate::house::House;
use crate::stack::Stack;
use tls::TlsDoor;

/// How many connections may wait for being accepted, per serving thread.
const BACKLOG: i32 = 1024;

/// How long accepting pauses after a failure such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

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

/// A listener with one socket for each serving thread.
#[derive(Debug)]
pub struct Bound {
    /// Where it really listens: the port is never 0.
    pub address: SocketAddr,
    sockets: Vec<StdListener>,
}

impl Bound {
    /// Takes the socket of a serving thread; each is there once.
    pub fn take_socket(&mut self) -> Option<StdListener> {
        self.sockets.pop()
    }
}

/// Binds `workers` sockets to one address; port 0 finds a free one.
///
/// # Errors
/// What the operating system says, for example that the address is in use.
pub fn bind(address: SocketAddr, workers: usize) -> Result<Bound, Error> {
    // Sockets that share a port would also share it with another gateway of ours: so the port is tried alone first.
    drop(StdListener::bind(address)?);
    let first = socket(address)?;
    let address = first.local_addr()?;
    let mut sockets = vec![first];
    for _ in 1..workers {
        sockets.push(socket(address)?);
    }
    Ok(Bound { address, sockets })
}

fn socket(address: SocketAddr) -> Result<StdListener, Error> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A listener that serves, shared by the serving threads.
pub struct Listener {
    /// How the outside knows it.
    pub entrance: Arc<Entrance>,
    /// TLS, unless it is a clear-text listener on a trusted side.
    pub tls: Option<TlsDoor>,
    /// Its bounds.
    pub limits: ConnectionLimits,
    /// What outlasts a generation.
    pub house: Arc<House>,
    /// The stack that decides now.
    pub stack: Arc<ArcSwap<Stack>>,
    /// Connections, all and by peer.
    pub census: Census,
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener").field("entrance", &self.entrance).finish_non_exhaustive()
    }
}

/// Counts the connections of a listener.
#[derive(Debug, Default)]
pub struct Census {
    all: AtomicUsize,
    by_peer: Mutex<HashMap<IpAddr, usize>>,
}

impl Census {
    fn enter(&self, peer: IpAddr, limits: &ConnectionLimits) -> bool {
        if self.all.fetch_add(1, Ordering::Relaxed) >= limits.connections_max {
            self.all.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        let mut by_peer = self.by_peer.lock().unwrap_or_else(PoisonError::into_inner);
        let count = by_peer.entry(peer).or_insert(0);
        if *count >= limits.connections_per_peer_max {
            drop(by_peer);
            self.all.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        *count += 1;
        true
    }

    fn leave(&self, peer: IpAddr) {
        self.all.fetch_sub(1, Ordering::Relaxed);
        let mut by_peer = self.by_peer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_peer.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                by_peer.remove(&peer);
            }
        }
    }

    /// Returns how many connections there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.all.load(Ordering::Relaxed)
    }
}

/// A counted connection: leaves the census when dropped.
struct Counted(Arc<Listener>, IpAddr);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.census.leave(self.1);
        self.0.house.metrics.disconnected(self.0.entrance.door);
    }
}

/// Accepts on one serving thread until `stop` turns true; connections end by themselves, see [`ConnectionLimits`].
///
/// # Errors
/// Only if the socket cannot be handed to the runtime.
pub async fn serve(
    listener: Arc<Listener>,
    socket: StdListener,
    worker: usize,
    mut stop: flag::Receiver<bool>,
) -> Result<(), Error> {
    let socket = TcpListener::from_std(socket)?;
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
        };
        match accepted {
            Ok((stream, address)) => admit(&listener, stream, address.ip(), worker, &stop),
            Err(error) => {
                // A connection that failed while it waited is nothing; running out of files is worth a pause.
                tracing::warn!("accepting on {} failed: {error}", listener.entrance.door.word());
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn admit(listener: &Arc<Listener>, stream: TcpStream, peer: IpAddr, worker: usize, stop: &flag::Receiver<bool>) {
    if !listener.census.enter(peer, &listener.limits) {
        listener.house.metrics.shed("connections");
        return;
    }
    listener.house.metrics.connected(listener.entrance.door);
    let counted = Counted(Arc::clone(listener), peer);
    // Streamed answers would wait up to 40 ms without this; a failure only costs that time.
    let _ = stream.set_nodelay(true);
    let (listener, stop) = (Arc::clone(listener), stop.clone());
    tokio::spawn(async move {
        connection::run(&listener, stream, peer, worker, stop).await;
        drop(counted);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_gets_its_last_connection_and_not_one_more() {
        let limits =
            ConnectionLimits { connections_max: 3, connections_per_peer_max: 2, ..ConnectionLimits::default() };
        let census = Census::default();
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        assert!(census.enter(one, &limits) && census.enter(one, &limits));
        assert!(!census.enter(one, &limits));
        assert!(census.enter(other, &limits));
        assert!(!census.enter(IpAddr::from([10, 0, 0, 3]), &limits));
        census.leave(one);
        assert!(census.enter(one, &limits));
        assert_eq!(census.count(), 3);
    }

    #[test]
    fn a_port_that_is_taken_is_an_error_also_if_it_could_be_shared() -> Result<(), Error> {
        let mut first = bind(SocketAddr::from(([127, 0, 0, 1], 0)), 2)?;
        assert!(bind(first.address, 1).is_err());
        assert!(first.take_socket().is_some() && first.take_socket().is_some() && first.take_socket().is_none());
        Ok(())
    }
}
