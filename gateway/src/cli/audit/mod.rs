//! `qaqpa audit`: checks the trail, reads it, proves what stands in it, and has a person erased from it.
//!
//! All but `erase` read files only, so they work while the gateway runs and when it does not.

mod erase;
pub(super) mod find;
mod place;
mod prove;
mod show;
mod tail;
mod verify;

use clap::{Args, Subcommand};

use self::place::Failed;
use super::terminal::complain;

/// What is done with the trail.
#[derive(Debug, Args)]
pub(super) struct AuditArguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check every record, segment and signed head; tell every fault with file and record.
    ///
    /// Exit 1 if anything was changed, removed, moved or cut off. What was cut off together with its heads shows only
    /// against a head that was kept elsewhere: give it with --head.
    Verify(verify::VerifyArguments),
    /// Tell the life of one call: what each stage decided, and when.
    Show(show::ShowArguments),
    /// Print the newest records, one a line.
    Tail(tail::TailArguments),
    /// Print records as JSON lines, oldest first.
    Export(tail::ExportArguments),
    /// Prove that a record stands in the trail, for somebody who has only a signed head and our public keys.
    ///
    /// Prints one JSON object; `tests/clients/prove.py` checks it without this program.
    Prove(prove::ProveArguments),
    /// Destroy the key under which everything that names a person is sealed; the trail still proves itself.
    ///
    /// The running gateway does it, for an administrator with the role `eraser`. It cannot be undone.
    Erase(erase::EraseArguments),
}

/// Does what was typed.
pub(super) fn run(arguments: AuditArguments) -> u8 {
    let done = match arguments.command {
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Show(arguments) => show::run(&arguments),
        Command::Tail(arguments) => tail::run(&arguments),
        Command::Export(arguments) => tail::export(&arguments),
        Command::Prove(arguments) => prove::run(&arguments),
        Command::Erase(arguments) => erase::run(&arguments),
    };
    done.unwrap_or_else(|Failed(code, text)| {
        complain(&text);
        code
    })
}
