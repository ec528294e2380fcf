//! The desk of the reloader: where wishes to reload are left, and where it is told what became of the last ones.
//!
//! Must know nothing of what a reload does: that is for [`reload`](crate::reload).

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use policies::id::AdminId;
use policies::time::Timestamp;
use serde_json::Value;

use crate::texts::Policies;

/// The most wishes that wait for one reload: each is somebody who waits for an answer, and one reload answers them all.
pub const WISHES_MAX: usize = 64;

/// Why there was a reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The process began.
    Start,
    /// SIGHUP.
    Signal,
    /// An administrator asked for it.
    Administrator(AdminId),
    /// Administrators have approved a policy set.
    Applied {
        /// The proposal.
        proposal: u64,
        /// Whose approval was the last.
        by: AdminId,
    },
    /// A file has changed.
    Watch,
    /// An override of the generation has ended.
    OverrideEnded,
}

impl Cause {
    /// Returns the word that programs read.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Cause::Start => "start",
            Cause::Signal => "signal",
            Cause::Administrator(_) => "administrator",
            Cause::Applied { .. } => "applied",
            Cause::Watch => "watch",
            Cause::OverrideEnded => "override_ended",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Administrator(id) => write!(f, "administrator {id}"),
            Cause::Applied { proposal, by } => write!(f, "proposal {proposal}, approved by {by}"),
            other => f.write_str(other.word()),
        }
    }
}

/// What a reload refused; all of it stays as it was before.
#[derive(Debug, Clone)]
pub struct Refused {
    /// When.
    pub at: Timestamp,
    /// Why there was a reload.
    pub by: Cause,
    /// How many of the findings refuse; the others are only worth a look.
    pub faults: usize,
    /// The findings for programs, each an object; the gravest stand first.
    pub findings: Vec<Value>,
    /// The same for people.
    pub text: String,
}

/// What became of a reload.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The generation that decides after it.
    pub generation: u64,
    /// The name of its texts.
    pub digest: Arc<str>,
    /// Whether that generation is a new one.
    pub changed: bool,
    /// What else is new: certificates, trust, secrets.
    pub renewed: Vec<String>,
    /// What somebody should look at in a new generation, for programs.
    pub warnings: Vec<Value>,
    /// What was refused, if anything was.
    pub refused: Option<Arc<Refused>>,
}

/// Is told what became of a wish.
pub type Tell = Box<dyn FnOnce(&Arc<Outcome>) + Send>;

/// A wish to reload.
pub struct Wish {
    /// Whose it is.
    pub by: Cause,
    /// The policies that are to be in force from now on; none for those of the source that is known.
    pub policies: Option<Policies>,
    /// Who waits for what becomes of it.
    pub tell: Option<Tell>,
}

impl fmt::Debug for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wish").field("by", &self.by).finish_non_exhaustive()
    }
}

/// What the reloader finds on its desk.
#[derive(Debug)]
pub enum Call {
    /// Wishes, in their order; one reload is for all of them.
    Wishes(Vec<Wish>),
    /// None within the time.
    Quiet,
    /// Nobody will wish any more.
    Closed,
}

/// Too many wishes wait already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

#[derive(Debug, Default)]
struct Board {
    wishes: Vec<Wish>,
    closed: bool,
    reloads: u64,
    refused: Option<Arc<Refused>>,
    // How many findings of the newest reload refused something.
    faults: usize,
}

/// The desk.
#[derive(Debug, Default)]
pub struct Desk {
    board: Mutex<Board>,
    bell: Condvar,
}

impl Desk {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves a wish.
    ///
    /// # Errors
    /// [`Full`] if [`WISHES_MAX`] wait already, or nobody reads them any more.
    pub fn ask(&self, wish: Wish) -> Result<(), Full> {
        let mut board = self.board();
        if board.closed || board.wishes.len() >= WISHES_MAX {
            return Err(Full);
        }
        board.wishes.push(wish);
        self.bell.notify_all();
        Ok(())
    }

    /// Waits for wishes, for so long; takes all there are, so that a burst of them is one reload.
    #[must_use]
    pub fn wait(&self, within: Duration) -> Call {
        let quiet = |board: &mut Board| board.wishes.is_empty() && !board.closed;
        let waited = self.bell.wait_timeout_while(self.board(), within, quiet);
        let (mut board, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if board.closed {
            // Who waits learns from the loss of its other end that nothing will come.
            board.wishes.clear();
            return Call::Closed;
        }
        let wishes = std::mem::take(&mut board.wishes);
        if wishes.is_empty() { Call::Quiet } else { Call::Wishes(wishes) }
    }

    /// Takes no more wishes.
    pub fn close(&self) {
        self.board().closed = true;
        self.bell.notify_all();
    }

    /// Notes what became of a reload.
    pub fn note(&self, outcome: &Outcome) {
        let mut board = self.board();
        board.reloads += 1;
        board.faults = outcome.refused.as_ref().map_or(0, |refused| refused.faults);
        if let Some(refused) = &outcome.refused {
            board.refused = Some(Arc::clone(refused));
        }
    }

    /// Returns what was refused last, also if a later reload went well.
    #[must_use]
    pub fn refused(&self) -> Option<Arc<Refused>> {
        self.board().refused.clone()
    }

    /// Returns how many findings of the newest reload refused something: what stands in the files and is not in force.
    #[must_use]
    pub fn faults(&self) -> usize {
        self.board().faults
    }

    /// Counts the reloads, good and bad.
    #[must_use]
    pub fn reloads(&self) -> u64 {
        self.board().reloads
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish() -> Wish {
        Wish { by: Cause::Signal, policies: None, tell: None }
    }

    #[test]
    fn so_many_wishes_wait_and_not_one_more() {
        let desk = Desk::default();
        assert!((0..WISHES_MAX).all(|_| desk.ask(wish()).is_ok()));
        assert_eq!(desk.ask(wish()), Err(Full));
        assert!(matches!(desk.wait(Duration::ZERO), Call::Wishes(wishes) if wishes.len() == WISHES_MAX));
        assert!(matches!(desk.wait(Duration::ZERO), Call::Quiet));
        assert_eq!(desk.ask(wish()), Ok(()));
    }

    #[test]
    fn a_closed_desk_takes_nothing_and_forgets_who_waited() {
        let desk = Desk::default();
        let (told, heard) = std::sync::mpsc::channel::<u64>();
        let tell: Tell = Box::new(move |outcome| told.send(outcome.generation).unwrap_or_default());
        assert_eq!(desk.ask(Wish { by: Cause::Signal, policies: None, tell: Some(tell) }), Ok(()));
        desk.close();
        assert_eq!(desk.ask(wish()), Err(Full));
        assert!(matches!(desk.wait(Duration::from_secs(60)), Call::Closed));
        assert!(heard.recv().is_err());
    }

    #[test]
    fn what_is_only_worth_a_look_is_no_fault() {
        let desk = Desk::default();
        let findings = vec![Value::from("a fault"), Value::from("a warning")];
        let at = Timestamp::from_seconds(1_800_000_000);
        let refused = Refused { at, by: Cause::Signal, faults: 1, findings, text: String::new() };
        let outcome = |refused: Option<Arc<Refused>>| Outcome {
            generation: 1,
            digest: Arc::from("digest"),
            changed: false,
            renewed: Vec::new(),
            warnings: Vec::new(),
            refused,
        };
        desk.note(&outcome(Some(Arc::new(refused))));
        assert_eq!(desk.faults(), 1);
        desk.note(&outcome(None));
        assert_eq!((desk.faults(), desk.refused().map(|refused| refused.faults)), (0, Some(1)));
    }
}
