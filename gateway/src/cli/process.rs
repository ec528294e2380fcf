//! What a command is as a process: how it ends, where it runs, what it logs.

use std::io::IsTerminal as _;

use super::terminal::complain;
use crate::config::LogConfig;

/// Everything went as it should.
pub const FINE: u8 = 0;
/// A check failed, or the machine did not give what was needed.
pub const FAILED: u8 = 1;
/// The command was called wrongly.
pub const USAGE: u8 = 2;
/// The configuration, a policy or a contract is wrong (sysexits: EX_CONFIG).
pub const CONFIGURATION: u8 = 78;

/// Runs a future to its end on this thread.
pub(super) fn in_runtime<T>(future: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| format!("error: no runtime: {error}"))?.block_on(future)
}

/// Starts the log on standard error; called once, by commands that serve.
pub(super) fn start_log(config: &LogConfig) {
    use tracing_subscriber::EnvFilter;
    // Libraries speak from `warn` on: at `debug` some of them write headers out.
    let level = config.level;
    // The client of NATS tells each of its trials; what comes of them is told here, once.
    let ours = format!("gateway={level},adapters={level},broker={level},oauth={level},sandbox={level}");
    let filter = format!("warn,async_nats=off,{ours}");
    let filter = EnvFilter::try_new(filter).unwrap_or_default();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if config.json {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init()
    };
    if let Err(error) = started {
        complain(&format!("warning: the log could not be started: {error}"));
    }
}
