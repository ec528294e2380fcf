//! Changes of the policy set by administrators: reads and adds entries of the history, in step with other replicas.
//!
//! What may be done is for [`policies::change`]; what a set means is for the reloader.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use adapters::files::write_private;
use adapters::store::port::{CHANGES_READ, Durable};
use policies::change::{Act, ChangeRefusal, Entry, History, People, Proposal};
use policies::code::Outage;
use policies::id::AdminId;
use policies::time::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Config;

/// How often an entry is tried again when another replica was quicker: people are slower than stores.
const TRIES_MAX: u32 = 8;

/// How many proposed sets are compiled at once: each may take a core for seconds.
const TURNS: usize = 2;

/// Where the set in force is noted, below the state folder.
const FILE: &str = "policies-in-force.json";

#[derive(Serialize, Deserialize)]
struct Kept {
    proposal: u64,
    texts: String,
}

/// Why nothing was done.
#[derive(Debug, Error)]
pub enum NotDone {
    /// The store does not answer.
    #[error("{0}")]
    Outage(#[from] Outage),
    /// It may not be done.
    #[error("{0}")]
    Refused(#[from] ChangeRefusal),
}

/// The history as this replica has read it.
pub struct Changes {
    durable: Arc<dyn Durable>,
    config: Arc<Config>,
    people: People,
    read: Mutex<Arc<History>>,
    // The proposal that this replica has put in force.
    in_force: Mutex<Option<u64>>,
    turns: Arc<Semaphore>,
}

impl std::fmt::Debug for Changes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Changes").field("people", &self.people).finish_non_exhaustive()
    }
}

impl Changes {
    /// Begins with an empty history; [`Changes::catch_up`] reads it.
    #[must_use]
    pub fn new(durable: Arc<dyn Durable>, config: Arc<Config>, people: People) -> Self {
        Self {
            durable,
            config,
            people,
            read: Mutex::default(),
            in_force: Mutex::default(),
            turns: Arc::new(Semaphore::new(TURNS)),
        }
    }

    /// Gives leave to compile a set, if not as many are being compiled as may be at once.
    #[must_use]
    pub fn turn(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.turns).try_acquire_owned().ok()
    }

    /// Returns the operator's configuration, which says what administrators may write.
    #[must_use]
    pub const fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// Returns the proposal that this replica has put in force; none while that is the set of the folders.
    #[must_use]
    pub fn in_force(&self) -> Option<u64> {
        *self.in_force.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that this replica has put a proposal in force, here and in a file: so that a start without the store does
    /// not go back to an earlier set.
    pub fn now_in_force(&self, proposal: u64, texts: &[u8]) {
        *self.in_force.lock().unwrap_or_else(PoisonError::into_inner) = Some(proposal);
        let kept = Kept { proposal, texts: String::from_utf8_lossy(texts).into_owned() };
        let written = serde_json::to_vec(&kept)
            .map_err(|error| Outage::new("changes", error))
            .and_then(|bytes| write_private(&self.file(), &bytes));
        if let Err(outage) = written {
            tracing::error!("the policy set in force could not be noted beside the store: {outage}");
        }
    }

    /// Finds the set that is in force at a start: that of the store, or, while it does not answer, the one noted last.
    ///
    /// # Errors
    /// Nobody knows: the store is away and nothing was ever noted here.
    pub async fn at_start(&self) -> Result<Option<(u64, Vec<u8>)>, Outage> {
        match self.newest_in_store().await {
            Ok(found) => Ok(found),
            Err(outage) => match std::fs::read(self.file()) {
                Ok(bytes) => {
                    let kept: Kept = serde_json::from_slice(&bytes).map_err(|error| Outage::new("changes", error))?;
                    tracing::warn!("the store is out of reach; the policy set noted last is in force: {outage}");
                    Ok(Some((kept.proposal, kept.texts.into_bytes())))
                }
                Err(_) => Err(outage),
            },
        }
    }

    async fn newest_in_store(&self) -> Result<Option<(u64, Vec<u8>)>, Outage> {
        let history = self.catch_up().await?;
        match history.in_force() {
            Some(proposal) => Ok(Some((proposal.number, self.texts(proposal).await?))),
            None => Ok(None),
        }
    }

    fn file(&self) -> PathBuf {
        self.config.state.join(FILE)
    }

    /// Returns how many people have to stand behind a change.
    #[must_use]
    pub const fn people(&self) -> People {
        self.people
    }

    /// Reads what was added since, by whatever replica.
    ///
    /// # Errors
    /// The store's outage, or a history that does not hold together.
    pub async fn catch_up(&self) -> Result<Arc<History>, Outage> {
        let mut history = self.known();
        loop {
            let more = self.durable.changes_after(history.newest()).await?;
            let (last, read) = (more.len() < CHANGES_READ, more.len());
            if read > 0 {
                let mut longer = History::clone(&history);
                for entry in more {
                    if !longer.take(entry) {
                        let why = format!("the entry after {} does not follow from those before", longer.newest());
                        return Err(Outage::new("changes", why));
                    }
                }
                history = self.keep(longer);
            }
            if last {
                return Ok(history);
            }
        }
    }

    /// Adds what `make` makes of the history as it stands; `texts` are those of the set, if it is proposed.
    ///
    /// # Errors
    /// [`NotDone`]; nothing was added then.
    pub async fn add(
        &self,
        by: &AdminId,
        at: Timestamp,
        texts: &[u8],
        make: impl Fn(&History, People) -> Result<Act, ChangeRefusal>,
    ) -> Result<(u64, Arc<History>), NotDone> {
        for _ in 0..TRIES_MAX {
            let history = self.catch_up().await?;
            let act = make(&history, self.people)?;
            let entry = Entry { number: history.newest() + 1, by: by.clone(), at, act };
            let number = entry.number;
            if self.durable.add_change(&entry, texts).await? {
                return Ok((number, self.catch_up().await?));
            }
        }
        Err(NotDone::Outage(Outage::new("changes", "others were quicker again and again")))
    }

    /// Finds the texts of a proposal.
    ///
    /// # Errors
    /// The store's outage, or a proposal without texts.
    pub async fn texts(&self, proposal: &Proposal) -> Result<Vec<u8>, Outage> {
        let found = self.durable.proposed_texts(proposal.entry).await?;
        let missing = || Outage::new("changes", format!("the texts of the proposal {} are not there", proposal.number));
        found.ok_or_else(missing)
    }

    fn known(&self) -> Arc<History> {
        Arc::clone(&self.read.lock().unwrap_or_else(PoisonError::into_inner))
    }

    // Two that read at once have read the same: the longer one stays.
    fn keep(&self, history: History) -> Arc<History> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if history.newest() > read.newest() {
            *read = Arc::new(history);
        }
        Arc::clone(&read)
    }
}
