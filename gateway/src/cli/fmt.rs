//! `qaqpa fmt`: one form for all policy files.

use std::path::PathBuf;

use policies::language::{Source, fmt, is_key_set};

use super::process::{CONFIGURATION, FAILED, FINE};
use super::terminal::{colour, complain, complain_if, say};
use crate::findings::Findings;
use crate::texts::{Policies, PolicySource};

const EXAMPLES: &str = "\
Examples:
  qaqpa fmt policies/           write every file in its form, and list those that were not
  qaqpa fmt --check policies/   write nothing; end with 1 if a file is not in its form

Layout is all that changes: the order of keys, line breaks and comments stay. Each file is read again before it is
written, and left as it is if it would mean anything else.";

/// What is brought into its form.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct FmtArguments {
    /// Folders or files with policies.
    #[arg(required = true, value_name = "DIR")]
    paths: Vec<PathBuf>,
    /// Only tell which files are not in their form.
    #[arg(long)]
    check: bool,
}

/// Brings files into their form.
pub(super) fn run(arguments: &FmtArguments) -> u8 {
    // Contracts are not read: those that ship are always there.
    let source = PolicySource { policies: Policies::Folders(arguments.paths.clone()), contracts: Vec::new() };
    let files = match source.read() {
        // Keys are as whoever made them wrote them.
        Ok(texts) => texts.policies.into_iter().filter(|file| !is_key_set(&file.name, file.body())),
        Err(findings) => {
            complain(&findings.render(colour()));
            return CONFIGURATION;
        }
    };
    let mut faults = Findings::default();
    let mut changed = Vec::new();
    for file in files {
        match fmt::format(&file) {
            Ok(text) if text == *file.text => {}
            Ok(text) => changed.push((file, text)),
            Err(problems) => faults.add(Findings::new(problems, vec![file])),
        }
    }
    let mut code = if faults.is_empty() { FINE } else { CONFIGURATION };
    for (file, text) in &changed {
        match arguments.check {
            true if code == FINE => code = FAILED,
            true => {}
            false => {
                if let Err(text) = write(file, text) {
                    complain(&text);
                    code = FAILED;
                    continue;
                }
            }
        }
        say(&format!("{}{}\n", file.name, if arguments.check { " is not in its form" } else { "" }));
    }
    complain_if(&faults.render(colour()));
    code
}

// Beside the old file and then into its place, so that a cut of power leaves one of the two whole.
fn write(file: &Source, text: &str) -> Result<(), String> {
    let path = PathBuf::from(&*file.name);
    let wrong = |error: std::io::Error| format!("error: {} cannot be written: {error}", path.display());
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let beside = path.with_file_name(format!(".{name}.fmt-{}", std::process::id()));
    let permissions = std::fs::metadata(&path).map_err(wrong)?.permissions();
    let written = std::fs::write(&beside, text)
        .and_then(|()| std::fs::set_permissions(&beside, permissions))
        .and_then(|()| std::fs::rename(&beside, &path));
    written.map_err(|error| {
        let _ = std::fs::remove_file(&beside);
        wrong(error)
    })
}
