//! The ledger's own thread: one after another, and one durable write for all that waited meanwhile.
//!
//! Never on a serving thread: a write waits for the disk.

use super::ledger::{Ledger, LedgerError};
use crate::server::SandboxError;
use tokio::sync::{mpsc, oneshot};

/// How many questions may wait; further ones are answered with 503.
const WAITING_MAX: usize = 1024;
/// How many questions share one durable write, so that the first of them does not wait too long.
const TOGETHER_MAX: usize = 64;

/// Asks the ledger, if it can be written, and leaves what is to be said once it is known whether it was made durable.
type Question = Box<dyn FnOnce(Option<&mut Ledger>) -> Saying + Send>;
type Saying = Box<dyn FnOnce(bool) + Send>;

/// Where questions to the ledger are handed in.
#[derive(Debug)]
pub(super) struct Desk {
    questions: mpsc::Sender<Question>,
}

impl Desk {
    /// Starts the thread; the receiver resolves when it has ended and the file is released.
    ///
    /// # Errors
    /// [`SandboxError::Thread`].
    pub(super) fn open(ledger: Ledger) -> Result<(Self, oneshot::Receiver<()>), SandboxError> {
        let (questions, waiting) = mpsc::channel(WAITING_MAX);
        let (ended, behind) = oneshot::channel();
        std::thread::Builder::new()
            .name("sandbox-ledger".to_owned())
            .spawn(move || {
                work(ledger, waiting);
                // Nobody waiting for the end is fine.
                let _ = ended.send(());
            })
            .map_err(SandboxError::Thread)?;
        Ok((Self { questions }, behind))
    }

    /// Asks the ledger; what was booked is durable when this resolves.
    ///
    /// Dropping the future does not take a booking back.
    ///
    /// # Errors
    /// [`LedgerError::Busy`] when too many wait, [`LedgerError::Gone`] when the write failed or the thread ended,
    /// else what `question` says.
    pub(super) async fn ask<T, Q>(&self, question: Q) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        Q: FnOnce(&mut Ledger) -> Result<T, LedgerError> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let question: Question = Box::new(move |ledger| {
            let result = ledger.map_or(Err(LedgerError::Gone), question);
            Box::new(move |durable| {
                let result = if durable { result } else { Err(LedgerError::Gone) };
                // The asker may have left; the booking stands.
                let _ = answer.send(result);
            })
        });
        self.questions.try_send(question).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => LedgerError::Busy,
            mpsc::error::TrySendError::Closed(_) => LedgerError::Gone,
        })?;
        answered.await.map_err(|_| LedgerError::Gone)?
    }
}

fn work(mut ledger: Ledger, mut waiting: mpsc::Receiver<Question>) {
    while let Some(first) = waiting.blocking_recv() {
        // A failure shows in `in_transaction`; then nothing is asked, lest it be booked outside of any.
        let _ = ledger.begin();
        let mut sayings = Vec::new();
        let mut next = Some(first);
        while let Some(question) = next {
            sayings.push(question(ledger.in_transaction().then_some(&mut ledger)));
            next = if sayings.len() < TOGETHER_MAX { waiting.try_recv().ok() } else { None };
        }
        let durable = ledger.commit().is_ok();
        if !durable {
            ledger.roll_back();
        }
        for saying in sayings {
            saying(durable);
        }
    }
}
