//! A policy set as the verbs look at it: its texts, its contracts, and what was compiled of both.

use std::path::{Path, PathBuf};
use std::process::Command;

use adapters::clock::Clock;
use openapi::Contract;
use policies::facts::OperationFacts;
use policies::language::{self, Allowed, Compiled, Source};
use policies::time::Timestamp;

use crate::findings::Findings;
use crate::generation;
use crate::load::faulty;
use crate::texts::{Policies, PolicySource, is_policy, may_be_keys};

/// The word that names the policies and contracts that ship.
pub(super) const SHIPPED: &str = "shipped";

/// Where a revision of a repository is read from: `git:REV:PATH`.
const GIT: &str = "git:";

/// Which set is looked at.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct SetArguments {
    /// The folder (or file) with policies; given more than once, all are read as one set. The shipped set if none is named.
    #[arg(long, value_name = "DIR")]
    pub(super) policies: Vec<PathBuf>,
    /// The folder with contracts; the shipped ones if none is named.
    #[arg(long, value_name = "DIR")]
    pub(super) contracts: Option<PathBuf>,
}

/// A set that compiles.
#[derive(Debug)]
pub(super) struct Set {
    /// The texts of its policies.
    pub(super) files: Vec<Source>,
    /// What its contracts say of operations.
    pub(super) facts: Vec<OperationFacts>,
    /// What came of it.
    pub(super) compiled: Compiled,
    /// When it was looked at.
    pub(super) now: Timestamp,
}

impl Set {
    /// Reads and compiles what was asked for.
    ///
    /// # Errors
    /// Every fault of every file.
    pub(super) fn read(arguments: &SetArguments) -> Result<Self, Findings> {
        Self::compile(Policies::Folders(arguments.policies.clone()), arguments.contracts.as_deref())
    }

    /// Compiles policies against the contracts of a folder, or against those that ship.
    ///
    /// # Errors
    /// Every fault of every file.
    pub(super) fn compile(policies: Policies, contracts: Option<&Path>) -> Result<Self, Findings> {
        let source = PolicySource { policies, contracts: contracts.map(Path::to_path_buf).into_iter().collect() };
        let texts = source.read()?;
        let contract = Contract::load(&texts.contracts).map_err(|faults| faulty(faults, &texts.contracts))?;
        let facts = generation::facts(&contract);
        let now = Clock::system().now();
        // Where clients are told of events is judged by `check`, which knows what the operator allows.
        let allowed = Allowed { private_endpoints: true };
        let files = texts.policies;
        match language::compile_where(&files, &facts, allowed, now) {
            Ok(compiled) => Ok(Self { files, facts, compiled, now }),
            Err(problems) => Err(Findings::new(problems, files)),
        }
    }
}

/// Finds the policies that an argument names: `shipped`, a file or folder, or `git:REV:PATH`.
///
/// # Errors
/// What git said, or that the argument is of no form.
pub(super) fn named(text: &str) -> Result<Policies, String> {
    if text == SHIPPED {
        return Ok(Policies::Given(language::shipped()));
    }
    let Some(rest) = text.strip_prefix(GIT) else { return Ok(Policies::Folders(vec![PathBuf::from(text)])) };
    let (revision, path) =
        rest.split_once(':').ok_or("write `git:REVISION:PATH`, for example `git:HEAD~1:policies`")?;
    // What begins with a dash would be an option of git.
    if revision.is_empty() || revision.starts_with('-') {
        return Err(format!("`{revision}` is no revision"));
    }
    let listed = git(&["ls-tree", "-r", "--name-only", "-z", "--full-tree", revision, "--", &whole(path)?])?;
    let mut sources = Vec::new();
    let mut policies = 0;
    for name in listed.split('\0') {
        let (is_policy, may_be_keys) = (is_policy(Path::new(name)), may_be_keys(Path::new(name)));
        if !(is_policy || may_be_keys) || name.split('/').any(|part| part.starts_with('.')) {
            continue;
        }
        let text = git(&["show", &format!("{revision}:{name}")])?;
        if is_policy || language::is_key_set(name, &text) {
            sources.push(Source::new(format!("{revision}:{name}"), text));
        }
        policies += usize::from(is_policy);
    }
    if policies == 0 {
        return Err(format!("`{path}` holds no .yaml or .yml file at {revision}"));
    }
    Ok(Policies::Given(sources))
}

// The path as git has it, from the top of the repository: people name it from where they stand.
fn whole(path: &str) -> Result<String, String> {
    let prefix = git(&["rev-parse", "--show-prefix"])?;
    let path = path.trim_start_matches("./").trim_end_matches('/');
    let whole = format!("{}{}", prefix.trim_end(), if path == "." { "" } else { path });
    Ok(if whole.is_empty() { ".".to_owned() } else { whole })
}

fn git(arguments: &[&str]) -> Result<String, String> {
    let ended = Command::new("git").args(arguments).output().map_err(|error| format!("git cannot be run: {error}"))?;
    if !ended.status.success() {
        return Err(format!("git: {}", String::from_utf8_lossy(&ended.stderr).trim()));
    }
    String::from_utf8(ended.stdout).map_err(|_| "git gave a file that is not text in UTF-8".to_owned())
}
