//! Whom outgoing connections trust, read again when the file has changed.

use std::path::{Path, PathBuf};

use adapters::http::trust::Trust;
use policies::time::Timestamp;

use crate::listen::material::{FileFault, Life, Pem};

/// A bundle of authorities and what was made of it.
#[derive(Debug)]
pub struct Trusted {
    path: Option<PathBuf>,
    digest: [u8; 32],
    trust: Trust,
    life: Option<Life>,
}

impl Trusted {
    /// Reads a bundle; without one nobody is trusted.
    ///
    /// # Errors
    /// That it cannot be read, or holds no certificate.
    pub fn open(path: Option<&Path>, now: Timestamp) -> Result<Self, FileFault> {
        let Some(path) = path else {
            let trust = Trust::nobody().map_err(|outage| FileFault::new(Path::new("TLS"), outage.cause))?;
            return Ok(Self { path: None, digest: [0; 32], trust, life: None });
        };
        let pem = Pem::read(path)?;
        let life = Some(pem.authorities_life(now)?);
        let trust = Trust::from_pem(pem.bytes(), None).map_err(|outage| FileFault::new(path, outage.cause))?;
        Ok(Self { path: Some(path.to_owned()), digest: pem.digest(), trust, life })
    }

    /// Reads it again; `false` if it is as it was.
    ///
    /// # Errors
    /// As of [`Trusted::open`], and that all of it is over or not good yet; it stays as it was then.
    pub fn renew(&mut self, now: Timestamp) -> Result<bool, FileFault> {
        let Some(path) = &self.path else { return Ok(false) };
        if Pem::read(path)?.digest() == self.digest {
            return Ok(false);
        }
        let fresh = Self::open(Some(path), now)?;
        fresh.life.iter().try_for_each(|life| life.check(now))?;
        *self = fresh;
        Ok(true)
    }

    /// Returns what was made of it.
    #[must_use]
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Tells how long it is good.
    #[must_use]
    pub fn life(&self) -> Option<&Life> {
        self.life.as_ref()
    }

    /// Returns its file.
    #[must_use]
    pub fn place(&self) -> Option<&PathBuf> {
        self.path.as_ref()
    }
}
