//! The thread that writes the trail.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::book::Book;
use super::queue::Shared;

/// How long a caller waits for the disk.
pub(super) const SYNC_WAIT: Duration = Duration::from_secs(5);

/// The queue and its thread; dropping it writes out what waits.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(mut book: Book, shared: Arc<Shared>) -> Result<Self, io::Error> {
        let theirs = Arc::clone(&shared);
        let run = move || {
            let mut several = false;
            while let Some(entries) = theirs.next(book.is_behind(), several) {
                several = book.write(entries) > 1;
                book.keep_up();
            }
            book.close();
        };
        let thread = std::thread::Builder::new().name("audit".to_owned()).spawn(run)?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Writes nowhere: what is put into the queue is kept there.
    pub(super) fn nowhere() -> Self {
        Self { shared: Arc::new(Shared::keeping()), thread: None }
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.close();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked writes no more; there is nobody left to tell.
            let _ = thread.join();
        }
    }
}
