//! What the log reads of the connections: each change once, not each attempt.

use std::sync::{Mutex, PoisonError};

use tracing::{info, warn};

/// What is known of the servers; shared by all connections to them.
#[derive(Debug, Default)]
pub(super) struct News {
    missing: Mutex<Option<String>>,
}

impl News {
    /// Hears that a connection was opened.
    pub(super) fn reached(&self) {
        let missed = self.missing.lock().unwrap_or_else(PoisonError::into_inner).take();
        if missed.is_some() {
            info!("redis is reached again");
        }
    }

    /// Hears why a connection could not be opened.
    pub(super) fn missed(&self, cause: &str) {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        if missing.as_deref() != Some(cause) {
            warn!(error = cause, "redis cannot be reached: {cause}");
            *missing = Some(cause.to_owned());
        }
    }

    /// Tells why there is no connection, if that is known.
    pub(super) fn cause(&self) -> String {
        let missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        missing.clone().unwrap_or_else(|| "there is no connection yet".to_owned())
    }
}
