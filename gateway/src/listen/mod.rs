//! The listeners: from bytes to a request with its peer. What hyper leaves to us (time-outs, connection limits) is here.

mod connection;
mod io;
pub mod limits;
mod listener;
mod lists;
pub mod material;
mod names;
mod pace;
pub mod tls;
mod watch;

use std::io::Error;
use std::net::{IpAddr, SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch as flag;

pub use self::limits::ConnectionLimits;
pub use self::listener::{Census, Listener};

/// How many connections may wait for being accepted, per serving thread.
const BACKLOG: i32 = 1024;

/// How long accepting pauses after a failure such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

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
    fn a_port_that_is_taken_is_an_error_also_if_it_could_be_shared() -> Result<(), Error> {
        let mut first = bind(SocketAddr::from(([127, 0, 0, 1], 0)), 2)?;
        assert!(bind(first.address, 1).is_err());
        assert!(first.take_socket().is_some() && first.take_socket().is_some() && first.take_socket().is_none());
        Ok(())
    }
}
