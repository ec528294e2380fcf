//! Work that blocks on a disk, done on a thread of its own: a disk that hangs then holds one thread, and nobody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use policies::code::Outage;
use tokio::sync::oneshot;

/// Runs one piece of work at a time.
#[derive(Debug, Default)]
pub(super) struct Errand {
    busy: Arc<AtomicBool>,
}

impl Errand {
    /// Does `work` and gives its answer; an outage while work is still under way that nobody waited out.
    pub(super) async fn run<T, W>(&self, work: W) -> Result<T, Outage>
    where
        T: Send + 'static,
        W: FnOnce() -> Result<T, Outage> + Send + 'static,
    {
        if self.busy.swap(true, Ordering::Acquire) {
            return Err(Outage::new("audit", "the disk has not yet answered the last time"));
        }
        let (answer, answered) = oneshot::channel();
        let busy = Busy(Arc::clone(&self.busy));
        let thread = std::thread::Builder::new().name("audit-ship".to_owned());
        let started = thread.spawn(move || {
            let done = work();
            // Free before the answer is told: who hears it may send the next errand at once.
            drop(busy);
            // Who waited may have gone.
            let _ = answer.send(done);
        });
        started.map_err(|error| Outage::new("audit", error))?;
        answered.await.map_err(|_| Outage::new("audit", "the thread that reads and writes has ended"))?
    }
}

/// Free again when dropped, also by a panic, or with the work of a thread that could not be started.
struct Busy(Arc<AtomicBool>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
