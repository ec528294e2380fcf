//! The wire between the gateway and a service, in our hands: slow, cut, or silent.
//!
//! It lives on a thread of its own, with real time: what a scenario does with its runtime or its clock does not touch it.
//! It knows nothing of what it carries.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How many bytes are carried at once.
const PIECE_BYTES_MAX: usize = 16 * 1024;

/// How many pieces may wait for their time; then the service is read no further.
const PIECES_MAX: usize = 1024;

/// A TCP proxy before one service; dropping it closes everything.
#[derive(Debug)]
pub struct Wire {
    address: SocketAddr,
    turns: Option<mpsc::UnboundedSender<Turn>>,
    thread: Option<JoinHandle<()>>,
    tally: Arc<Tally>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Answers come through, this much later.
    Whole(Duration),
    Cut,
    HalfOpen,
}

#[derive(Debug, Clone, Copy)]
struct State {
    mode: Mode,
    /// How often the wire was made half-open.
    darkenings: u64,
}

#[derive(Debug)]
struct Turn(Mode, std::sync::mpsc::SyncSender<()>);

#[derive(Debug, Default)]
struct Tally {
    opened: AtomicU64,
    sent: AtomicU64,
    answered: AtomicU64,
}

impl Wire {
    /// Lays a wire before the service at `target`.
    #[must_use]
    pub fn before(target: SocketAddr) -> Self {
        let (turns, orders) = mpsc::unbounded_channel();
        let (telling, told) = std::sync::mpsc::sync_channel(1);
        let tally = Arc::<Tally>::default();
        let counts = Arc::clone(&tally);
        let work = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                // Two sockets on one port: this one never listens. While the wire is cut it keeps the port for us, and
                // the kernel refuses whoever comes.
                let keeper = bound("127.0.0.1:0".parse().unwrap());
                let address = keeper.local_addr().unwrap();
                let listener = listening(address);
                telling.send(address).unwrap();
                serve(listener, address, target, orders, counts).await;
            });
        };
        let thread = std::thread::Builder::new().name("wire".to_owned()).spawn(work).unwrap();
        Self { address: told.recv().unwrap(), turns: Some(turns), thread: Some(thread), tally }
    }

    /// Returns where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets every answer come this much later; what is under way too.
    pub fn delay(&self, by: Duration) {
        self.turn(Mode::Whole(by));
    }

    /// Closes every connection and refuses new ones.
    pub fn cut(&self) {
        self.turn(Mode::Cut);
    }

    /// Takes connections and bytes, and gives and carries nothing: what a peer looks like that lost its power.
    ///
    /// Connections that lived through it stay silent for ever, also after [`Wire::mend`]; only new ones work then. The
    /// service keeps its end of them and hears nothing more.
    pub fn half_open(&self) {
        self.turn(Mode::HalfOpen);
    }

    /// Carries everything at once again.
    pub fn mend(&self) {
        self.turn(Mode::Whole(Duration::ZERO));
    }

    /// Returns how many connections were taken.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.tally.opened.load(Ordering::SeqCst)
    }

    /// Returns how many bytes went to the service.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.tally.sent.load(Ordering::SeqCst)
    }

    /// Returns how many bytes came back from it.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.tally.answered.load(Ordering::SeqCst)
    }

    // Comes back when it is so: no byte slips through afterwards.
    fn turn(&self, mode: Mode) {
        let (done, heard) = std::sync::mpsc::sync_channel(1);
        self.turns.as_ref().unwrap().send(Turn(mode, done)).unwrap();
        heard.recv().unwrap();
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        drop(self.turns.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn bound(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.set_reuseport(true).unwrap();
    socket.bind(address).unwrap();
    socket
}

/// A listener, and another handle to it that tells at once who waits.
#[derive(Debug)]
struct Door {
    listener: TcpListener,
    waiting: std::net::TcpListener,
}

fn listening(address: SocketAddr) -> Door {
    let listener = bound(address).listen(1024).unwrap().into_std().unwrap();
    let waiting = listener.try_clone().unwrap();
    Door { listener: TcpListener::from_std(listener).unwrap(), waiting }
}

async fn serve(
    door: Door,
    address: SocketAddr,
    target: SocketAddr,
    mut orders: mpsc::UnboundedReceiver<Turn>,
    tally: Arc<Tally>,
) {
    let (states, state) = watch::channel(State { mode: Mode::Whole(Duration::ZERO), darkenings: 0 });
    let mut door = Some(door);
    let mut carried = JoinSet::new();
    let take = |client: TcpStream, carried: &mut JoinSet<()>| {
        tally.opened.fetch_add(1, Ordering::SeqCst);
        let (born, state) = (*state.borrow(), state.clone());
        carried.spawn(carry(client, target, born, state, Arc::clone(&tally)));
    };
    loop {
        tokio::select! {
            biased;
            order = orders.recv() => {
                let Some(Turn(mode, done)) = order else { return };
                // Who came before this turn gets what was before it.
                while let Some((client, _)) = door.as_ref().and_then(|door| door.waiting.accept().ok()) {
                    client.set_nonblocking(true).unwrap();
                    take(TcpStream::from_std(client).unwrap(), &mut carried);
                }
                let darkenings = state.borrow().darkenings + u64::from(mode == Mode::HalfOpen);
                states.send_replace(State { mode, darkenings });
                if mode == Mode::Cut {
                    door = None;
                    carried.shutdown().await;
                } else {
                    door = door.or_else(|| Some(listening(address)));
                }
                let _ = done.send(());
            }
            client = accept(door.as_ref()) => take(client, &mut carried),
            Some(_) = carried.join_next() => {}
        }
    }
}

async fn accept(door: Option<&Door>) -> TcpStream {
    match door {
        Some(door) => door.listener.accept().await.unwrap().0,
        None => std::future::pending().await,
    }
}

async fn carry(
    mut client: TcpStream,
    target: SocketAddr,
    born: State,
    state: watch::Receiver<State>,
    tally: Arc<Tally>,
) {
    if born.mode == Mode::HalfOpen {
        return swallow(&mut client).await;
    }
    let Ok(service) = TcpStream::connect(target).await else { return };
    client.set_nodelay(true).unwrap();
    service.set_nodelay(true).unwrap();
    let (mut client_read, mut client_write) = client.into_split();
    let (mut service_read, mut service_write) = service.into_split();
    tokio::select! {
        biased;
        () = darkening(born, state.clone()) => {}
        () = send(&mut client_read, &mut service_write, &tally) => return,
        () = answer(&mut service_read, &mut client_write, state, &tally) => return,
    }
    // Both ends stay open, and what was under way is lost.
    let mut client = client_read.reunite(client_write).unwrap();
    swallow(&mut client).await;
    drop((service_read, service_write));
}

/// Comes back once the wire was half-open in the life of a connection, and be it mended by now.
async fn darkening(born: State, mut state: watch::Receiver<State>) {
    if state.wait_for(|state| state.darkenings != born.darkenings).await.is_err() {
        std::future::pending().await
    }
}

async fn swallow(client: &mut TcpStream) {
    let mut piece = vec![0; PIECE_BYTES_MAX];
    while matches!(client.read(&mut piece).await, Ok(1..)) {}
}

async fn send(client: &mut OwnedReadHalf, service: &mut OwnedWriteHalf, tally: &Tally) {
    let mut piece = vec![0; PIECE_BYTES_MAX];
    while let Ok(count @ 1..) = client.read(&mut piece).await {
        tally.sent.fetch_add(count as u64, Ordering::SeqCst);
        if service.write_all(&piece[..count]).await.is_err() {
            return;
        }
    }
}

async fn answer(
    service: &mut OwnedReadHalf,
    client: &mut OwnedWriteHalf,
    state: watch::Receiver<State>,
    tally: &Tally,
) {
    let (pieces, mut waiting) = mpsc::channel(PIECES_MAX);
    let reading = async move {
        let mut piece = vec![0; PIECE_BYTES_MAX];
        while let Ok(count @ 1..) = service.read(&mut piece).await {
            if pieces.send((Instant::now(), piece[..count].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let writing = async {
        while let Some((since, piece)) = waiting.recv().await {
            due(since, state.clone()).await;
            tally.answered.fetch_add(piece.len() as u64, Ordering::SeqCst);
            if client.write_all(&piece).await.is_err() {
                return;
            }
        }
    };
    // Writing ends after reading, once nothing waits any more.
    tokio::join!(reading, writing);
}

/// Waits until a piece that came at `since` may go on, as the wire is then.
async fn due(since: Instant, mut state: watch::Receiver<State>) {
    loop {
        // Nothing is ever due on a wire that is cut or dark; who carries it ends it.
        let Mode::Whole(later) = mode_now(&mut state) else { return std::future::pending().await };
        tokio::select! {
            () = tokio::time::sleep_until(since + later) => return,
            changed = state.changed() => if changed.is_err() { return },
        }
    }
}

fn mode_now(state: &mut watch::Receiver<State>) -> Mode {
    state.borrow_and_update().mode
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends back what it gets.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    tokio::io::copy(&mut read, &mut write).await
                });
            }
        });
        address
    }

    async fn exchange(stream: &mut TcpStream) -> std::io::Result<[u8; 2]> {
        stream.write_all(b"hi").await?;
        let mut answer = [0; 2];
        stream.read_exact(&mut answer).await.map(|_| answer)
    }

    #[tokio::test]
    async fn a_cut_wire_closes_and_refuses_until_it_is_mended() {
        let wire = Wire::before(echo().await);
        let mut stream = TcpStream::connect(wire.address()).await.unwrap();
        exchange(&mut stream).await.unwrap();
        wire.cut();
        assert!(exchange(&mut stream).await.is_err());
        let refusal = TcpStream::connect(wire.address()).await.unwrap_err();
        assert_eq!(refusal.kind(), std::io::ErrorKind::ConnectionRefused);
        wire.mend();
        let mut stream = TcpStream::connect(wire.address()).await.unwrap();
        assert_eq!(exchange(&mut stream).await.unwrap(), *b"hi");
        assert_eq!((wire.opened(), wire.sent(), wire.answered()), (2, 4, 4));
    }

    #[tokio::test]
    async fn a_half_open_wire_is_silent_also_when_it_was_mended() {
        let wire = Wire::before(echo().await);
        let mut before = TcpStream::connect(wire.address()).await.unwrap();
        exchange(&mut before).await.unwrap();
        wire.half_open();
        let mut during = TcpStream::connect(wire.address()).await.unwrap();
        wire.mend();
        let mut after = TcpStream::connect(wire.address()).await.unwrap();
        for stream in [&mut before, &mut during] {
            stream.write_all(b"hi").await.unwrap();
        }
        assert_eq!(exchange(&mut after).await.unwrap(), *b"hi");
        for stream in [&mut before, &mut during] {
            let mut answer = [0; 2];
            let heard = tokio::time::timeout(Duration::from_millis(20), stream.read_exact(&mut answer)).await;
            assert!(heard.is_err(), "a dead connection spoke");
        }
        assert_eq!(wire.sent(), 4);
    }

    #[tokio::test]
    async fn a_slow_wire_brings_answers_later_and_in_order() {
        let wire = Wire::before(echo().await);
        let delay = Duration::from_millis(50);
        wire.delay(delay);
        let mut stream = TcpStream::connect(wire.address()).await.unwrap();
        let since = Instant::now();
        assert_eq!(exchange(&mut stream).await.unwrap(), *b"hi");
        assert!(since.elapsed() >= delay);
        // What waits is not held longer than the wire is slow.
        wire.delay(Duration::from_secs(3600));
        stream.write_all(b"hi").await.unwrap();
        wire.mend();
        let mut answer = [0; 2];
        stream.read_exact(&mut answer).await.unwrap();
    }
}
