//! `qaqpa schema`: the language for editors.

use policies::language::schema;

use super::process::FINE;
use super::terminal::say;

const EXAMPLES: &str = "\
Examples:
  qaqpa schema > policy-v1.json
  and as the first line of each policy file, for editors with a YAML language server:
    # yaml-language-server: $schema=policy-v1.json";

/// Nothing has to be said.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct SchemaArguments {}

/// Prints the schema.
pub(super) fn run(_: &SchemaArguments) -> u8 {
    say(&schema::text());
    FINE
}
