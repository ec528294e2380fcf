//! `qaqpa restore`: puts a backup into an empty folder, after every file of it was checked.

use std::path::PathBuf;

use adapters::store::backup::restore;

use super::backup::told;
use super::process::{FAILED, FINE};
use super::terminal::{complain, say};

/// How a backup is put back.
#[derive(Debug, clap::Args)]
pub(super) struct RestoreArguments {
    /// The folder of the backup.
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// The state folder to be: a new or an empty folder.
    #[arg(long, value_name = "STATE")]
    to: PathBuf,
}

/// Puts a backup back.
pub(super) fn run(arguments: &RestoreArguments) -> u8 {
    match restore(&arguments.from, &arguments.to, &mut |line| complain(line)) {
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
