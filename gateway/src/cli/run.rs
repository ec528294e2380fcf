//! `qaqpa run`: serves with an operator's configuration.

use std::path::Path;

use adapters::clock::Clock;

use super::process::{CONFIGURATION, FAILED, FINE, in_runtime, start_log};
use super::terminal::{colour, complain};
use crate::assemble::assemble;
use crate::config;
use crate::run::{Wishes, start};
use crate::unready::AssemblyError;

/// Serves until it is told to stop.
pub(super) fn run(path: &Path) -> u8 {
    let config = match config::load(path) {
        Ok(config) => config,
        Err(findings) => {
            complain(&findings.render(colour()));
            return CONFIGURATION;
        }
    };
    start_log(&config.log);
    let mut assembled = match assemble(&config, Clock::system(), colour()) {
        Ok(assembled) => assembled,
        Err(error) => return refused(&error),
    };
    if !assembled.warnings.is_empty() {
        complain(&assembled.warnings);
    }
    let served = in_runtime(async {
        let mut wishes = Wishes::listen().map_err(|error| format!("error: signals: {error}"))?;
        let running = start(&mut assembled).map_err(|error| format!("error: the serving threads: {error}"))?;
        for (listener, bound) in &assembled.listeners {
            let (door, external) = (listener.entrance.door.word(), &listener.entrance.external);
            tracing::info!("listener {door} is open on {} as {external}", bound.address);
        }
        wishes.until_stop(&assembled).await;
        tracing::info!("stopping: no new connections, requests under way may end");
        running.stop();
        Ok(())
    });
    match served {
        Ok(()) => FINE,
        Err(text) => {
            complain(&text);
            FAILED
        }
    }
}

/// Tells why the house could not be put together.
pub(super) fn refused(error: &AssemblyError) -> u8 {
    complain(&error.to_string());
    match error {
        AssemblyError::Configuration(_) => CONFIGURATION,
        AssemblyError::Machine(_) => FAILED,
    }
}
