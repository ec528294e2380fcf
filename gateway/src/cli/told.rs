//! How a command tells what it found: the options that all verbs share.

use crate::findings::Format;

/// How findings are told.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Told {
    /// To whom: people, a program, code scanning, or GitHub Actions.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    /// Print one JSON object for a program; the same as --format json.
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

impl Told {
    /// Returns what was asked for.
    pub(super) fn format(self) -> Format {
        if self.json { Format::Json } else { self.format }
    }
}
