//! `qaqpa audit prove`.

use adapters::audit::prove;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::{Value, json};

use super::find::find;
use super::place::{Failed, Place};
use super::verify::hex;
use crate::cli::process::FINE;
use crate::cli::terminal::say;

/// Which record.
#[derive(Debug, Args)]
pub(super) struct ProveArguments {
    /// The number of a record, or an interaction id or reference: then the call's last record
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    place: Place,
}

pub(super) fn run(arguments: &ProveArguments) -> Result<u8, Failed> {
    let dir = arguments.place.trail()?;
    let sequence = match arguments.id.parse() {
        Ok(sequence) => sequence,
        Err(_) => find(&arguments.place.reader()?, &arguments.id)?.last().map_or(0, |(entry, _)| entry.sequence),
    };
    let proof = prove(&dir, sequence)?;
    let told: Value = json!({
        "payload": STANDARD.encode(&proof.payload),
        "index": proof.index,
        "size": proof.head.size,
        "path": proof.path.iter().map(|hash| hex(hash)).collect::<Vec<_>>(),
        "root": proof.head.root,
        "head": proof.head.signed,
        "jwk": proof.key,
    });
    say(&format!("{told:#}\n"));
    Ok(FINE)
}
