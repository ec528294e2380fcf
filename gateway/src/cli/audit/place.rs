//! Where a trail is, and how a command tells that it failed.

use std::path::PathBuf;

use adapters::audit::read::Reader;
use clap::Args;
use policies::code::Outage;

use crate::cli::client::STATE;
use crate::cli::process::{CONFIGURATION, FAILED};

/// Which trail.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// The state folder that holds the trail
    #[arg(long, default_value = STATE, value_name = "DIR")]
    state: PathBuf,
    /// The configuration that names the state folder
    #[arg(long, value_name = "FILE", conflicts_with = "state")]
    config: Option<PathBuf>,
}

/// Why a command ended without doing what it is for: its exit code, and a text for people.
pub(crate) struct Failed(pub(crate) u8, pub(crate) String);

impl From<String> for Failed {
    fn from(text: String) -> Self {
        Self(FAILED, text)
    }
}

impl From<Outage> for Failed {
    fn from(outage: Outage) -> Self {
        Self(FAILED, format!("error: {outage}"))
    }
}

impl Place {
    pub(super) fn state(&self) -> Result<PathBuf, Failed> {
        let Some(path) = &self.config else { return Ok(self.state.clone()) };
        let config = crate::config::load(path);
        config.map(|config| config.state).map_err(|findings| Failed(CONFIGURATION, findings.render(false)))
    }

    /// Finds the folder of the trail, which has to be there.
    pub(super) fn trail(&self) -> Result<PathBuf, Failed> {
        let dir = self.state()?.join("audit");
        if dir.is_dir() { Ok(dir) } else { Err(format!("error: there is no trail in {}", dir.display()).into()) }
    }

    pub(super) fn reader(&self) -> Result<Reader, Failed> {
        Ok(Reader::open(&self.trail()?)?)
    }
}
