//! Serves an assembled house: one thread with a runtime of its own per core, until it is told to stop.

use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch as flag;

use crate::assemble::Assembled;
use crate::desk::{Cause, Wish};
use crate::house::House;
use crate::listen::{self, Listener};
use crate::{chore, reload};

/// A gateway that serves; it stops when told, or when dropped.
#[derive(Debug)]
pub struct Running {
    stop: flag::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
    attending: Option<Attending>,
}

/// Starts the serving threads, the one that goes round the chores, and the one that reloads.
///
/// # Errors
/// A thread or runtime that cannot be made.
pub fn start(assembled: &mut Assembled) -> std::io::Result<Running> {
    let mut running = serve(assembled)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (chores, told) = (assembled.chores.clone(), running.stop.subscribe());
    let go_round = move || {
        runtime.block_on(async { chore::serve(chores.make(), told).await });
        // Dropping it would wait for a name that is still being looked up, and so for as long as DNS takes.
        runtime.shutdown_background();
    };
    running.threads.push(std::thread::Builder::new().name("qaqpa-chores".to_owned()).spawn(go_round)?);
    running.attending = Some(attend(assembled, Some(assembled.look_every))?);
    Ok(running)
}

/// Starts the serving threads alone: what is done beside requests waits for whoever has it done.
///
/// # Errors
/// As of [`start`].
pub fn serve(assembled: &mut Assembled) -> std::io::Result<Running> {
    let (stop, told) = flag::channel(false);
    let mut running = Running { stop, threads: Vec::new(), attending: None };
    for worker in 0..assembled.workers {
        let mut sockets: Vec<(Arc<Listener>, TcpListener)> = Vec::new();
        for (listener, bound) in &mut assembled.listeners {
            if let Some(socket) = bound.take_socket() {
                sockets.push((Arc::clone(listener), socket));
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let told = told.clone();
        let serve = move || runtime.block_on(worker_life(sockets, worker, told));
        running.threads.push(std::thread::Builder::new().name(format!("qaqpa-{worker}")).spawn(serve)?);
    }
    Ok(running)
}

async fn worker_life(sockets: Vec<(Arc<Listener>, TcpListener)>, worker: usize, told: flag::Receiver<bool>) {
    let listeners: Vec<Arc<Listener>> = sockets.iter().map(|(listener, _)| Arc::clone(listener)).collect();
    let mut accepting = tokio::task::JoinSet::new();
    for (listener, socket) in sockets {
        accepting.spawn(listen::serve(listener, socket, worker, told.clone()));
    }
    while let Some(ended) = accepting.join_next().await {
        if let Ok(Err(error)) = ended {
            tracing::error!("a listener of serving thread {worker} ended: {error}");
        }
    }
    drained(&listeners).await;
}

/// How often a stopping thread looks whether its connections have ended.
const LOOK: Duration = Duration::from_millis(10);

/// How long a stopping thread waits for connections: as long as they get to drain, and a little more.
const DRAIN_MAX: Duration = Duration::from_secs(12);

async fn drained(listeners: &[Arc<Listener>]) {
    let until = tokio::time::Instant::now() + DRAIN_MAX;
    while listeners.iter().any(|listener| listener.census.count() > 0) && tokio::time::Instant::now() < until {
        tokio::time::sleep(LOOK).await;
    }
}

impl Running {
    /// Stops accepting, lets requests under way end, and waits for the threads.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // Nobody listening any more means the threads have ended already.
        let _ = self.stop.send(true);
        drop(self.attending.take());
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// How long a stopping process waits for the reload it is at: one takes seconds at most, but a file on another machine can
/// be waited for without end, and whoever stops a gateway would have to kill it.
const RELOAD_MAX: Duration = Duration::from_secs(10);

/// The thread that attends to wishes to reload; it ends when dropped, after the reload it is at, or is left to itself.
#[derive(Debug)]
pub struct Attending {
    house: Arc<House>,
    thread: Option<JoinHandle<()>>,
}

/// Starts it; without `every` it looks round for nobody.
///
/// # Errors
/// A thread that cannot be made.
pub fn attend(assembled: &Assembled, every: Option<Duration>) -> std::io::Result<Attending> {
    let (house, reloader) = (Arc::clone(&assembled.house), Arc::clone(&assembled.reloader));
    let life = move || reload::attend(&reloader, &house.desk, every);
    let thread = std::thread::Builder::new().name("qaqpa-reload".to_owned()).spawn(life)?;
    Ok(Attending { house: Arc::clone(&assembled.house), thread: Some(thread) })
}

impl Drop for Attending {
    fn drop(&mut self) {
        self.house.desk.close();
        if self.thread.take().is_some_and(|thread| !ended(thread, RELOAD_MAX)) {
            tracing::warn!("a reload goes on for too long, the process stops without its end");
        }
    }
}

/// Waits for a thread for so long; `false` if it goes on.
fn ended(thread: JoinHandle<()>, max: Duration) -> bool {
    let until = Instant::now() + max;
    while !thread.is_finished() {
        if Instant::now() >= until {
            return false;
        }
        std::thread::sleep(LOOK);
    }
    let _ = thread.join();
    true
}

/// What an operator wishes of a serving process, told by signals.
#[derive(Debug)]
pub struct Wishes {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Wishes {
    /// Begins to listen: from now on a signal waits for [`Wishes::until_stop`] instead of ending the process.
    ///
    /// # Errors
    /// Signals that cannot be listened for.
    pub fn listen() -> std::io::Result<Self> {
        let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(Self { interrupt, terminate, hangup: signal(SignalKind::hangup())? })
    }

    /// Waits for the wish to stop (SIGINT, SIGTERM) and reloads on SIGHUP meanwhile.
    pub async fn until_stop(&mut self, assembled: &Assembled) {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return,
                _ = self.terminate.recv() => return,
                _ = self.hangup.recv() => {
                    // A full desk means that a reload is about to begin anyway.
                    let _ = assembled.house.desk.ask(Wish { by: Cause::Signal, policies: None, tell: None });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_thread_that_goes_on_is_left_to_itself() {
        let (end, told) = mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            let _ = told.recv();
        });
        assert!(!ended(thread, Duration::ZERO));
        drop(end);
        let (done, seen) = mpsc::channel::<()>();
        let thread = std::thread::spawn(move || done.send(()).unwrap());
        seen.recv().unwrap();
        assert!(ended(thread, RELOAD_MAX));
    }
}
