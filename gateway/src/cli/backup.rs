//! `qaqpa backup`: copies the state folder while a gateway works on it.

use std::path::{Path, PathBuf};

use adapters::clock::Clock;
use adapters::store::backup::{Database, Summary, create};

use super::client::STATE;
use super::process::{CONFIGURATION, FAILED, FINE};
use super::terminal::{colour, complain, say};
use crate::config;

/// How a backup is made.
#[derive(Debug, clap::Args)]
pub(super) struct BackupArguments {
    /// The configuration of the gateway whose state is copied.
    #[arg(long, value_name = "FILE", conflicts_with = "state")]
    config: Option<PathBuf>,
    /// The state folder that is copied, if no configuration is named.
    #[arg(long, default_value = STATE, value_name = "DIR")]
    state: PathBuf,
    /// Where the backup goes: a new or an empty folder, not within the state folder.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

/// Makes a backup.
pub(super) fn run(arguments: &BackupArguments) -> u8 {
    let (state, database) = match arguments.config.as_deref().map(place) {
        Some(Ok(found)) => found,
        Some(Err(code)) => return code,
        None => (arguments.state.clone(), Database::Here),
    };
    if database == Database::Elsewhere {
        complain(
            "note: this gateway keeps what must last in PostgreSQL; back that up with its own tools (pg_dump, pg_basebackup).\n  \
             = note: here is the rest of its state; make this backup after that one, so that no key is missing",
        );
    }
    let made = create(&state, &arguments.to, database, Clock::system().now(), &mut |line| complain(line));
    match made {
        Ok(summary) => {
            say(&format!("{} in {}\n", told(summary), arguments.to.display()));
            FINE
        }
        Err(outage) => {
            complain(&format!("error: {}", outage.cause));
            FAILED
        }
    }
}

/// Tells where a gateway of this configuration keeps its state, and whether its database is there.
fn place(config: &Path) -> Result<(PathBuf, Database), u8> {
    let config = config::load(config).map_err(|findings| {
        complain(&findings.render(colour()));
        CONFIGURATION
    })?;
    let database = if config.stores.postgres.is_some() { Database::Elsewhere } else { Database::Here };
    Ok((config.state, database))
}

/// Tells in words what a backup holds.
pub(super) fn told(summary: Summary) -> String {
    format!("{} files, {} bytes, {} audit records", summary.files, summary.bytes, summary.records)
}
