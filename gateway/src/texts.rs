//! Where the texts of contracts and policies come from: folders, what ships, or whoever gave them.
//!
//! Must not know what a text says.

use std::path::{Path, PathBuf};

use policies::language::{self, Source};

use crate::findings::Findings;

/// A file or folder that cannot be read.
const UNREADABLE: &str = "G0001";

/// The texts of one policy set.
#[derive(Debug, Clone)]
pub struct Texts {
    /// The contracts.
    pub contracts: Vec<openapi::Source>,
    /// The policies.
    pub policies: Vec<Source>,
}

/// Where the policies of a set come from.
#[derive(Debug, Clone)]
pub enum Policies {
    /// Files and folders; none means those that ship.
    Folders(Vec<PathBuf>),
    /// Texts that were handed over, whatever lies on the disk.
    Given(Vec<Source>),
}

/// Where a policy set is read from.
#[derive(Debug, Clone)]
pub struct PolicySource {
    /// Its policies.
    pub policies: Policies,
    /// The files and folders of its contracts; none means those that ship.
    pub contracts: Vec<PathBuf>,
}

impl PolicySource {
    /// Reads from files and folders.
    #[must_use]
    pub fn folders(policies: &[PathBuf], contracts: &[PathBuf]) -> Self {
        Self { policies: Policies::Folders(policies.to_vec()), contracts: contracts.to_vec() }
    }

    /// Reads the texts as they are now.
    ///
    /// # Errors
    /// Every folder that cannot be read or holds nothing.
    pub fn read(&self) -> Result<Texts, Findings> {
        let contracts = match texts(&self.contracts)? {
            None => openapi::shipped(),
            Some(found) => found.into_iter().map(|(name, text)| openapi::Source { name, text }).collect(),
        };
        let policies = match &self.policies {
            Policies::Given(sources) => sources.clone(),
            Policies::Folders(folders) => match texts(folders)? {
                None => language::shipped(),
                Some(found) => found.into_iter().map(|(name, text)| Source::new(name, text)).collect(),
            },
        };
        Ok(Texts { contracts, policies })
    }

    /// Returns the files and folders that it stands in.
    #[must_use]
    pub fn places(&self) -> Vec<PathBuf> {
        let policies = match &self.policies {
            Policies::Folders(folders) => folders.as_slice(),
            Policies::Given(_) => &[],
        };
        policies.iter().chain(&self.contracts).cloned().collect()
    }
}

/// Tells whether a file below a folder is one of a policy set.
#[must_use]
pub fn is_text(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "yaml" || end == "yml")
}

/// Tells whether an entry of a folder is left out: what begins with a dot belongs to editors and to Kubernetes.
#[must_use]
pub fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

/// Reads every `.yaml` and `.yml` file below folders, in the order of their names; none if no folder is named.
fn texts(folders: &[PathBuf]) -> Result<Option<Vec<(String, String)>>, Findings> {
    if folders.is_empty() {
        return Ok(None);
    }
    let mut found = Vec::new();
    for folder in folders {
        let before = found.len();
        collect(folder, &mut found)?;
        if found.len() == before {
            let help = "name a folder with .yaml files; nothing is exposed without policies".to_owned();
            return Err(Findings::of_file(UNREADABLE, folder, "it holds no .yaml or .yml file", Some(help)));
        }
    }
    Ok(Some(found))
}

fn collect(path: &Path, found: &mut Vec<(String, String)>) -> Result<(), Findings> {
    let wrong =
        |error: std::io::Error| Findings::of_file(UNREADABLE, path, format!("it cannot be read: {error}"), None);
    if path.is_dir() {
        let entries: Result<Vec<_>, _> = std::fs::read_dir(path).map_err(wrong)?.collect();
        let mut paths: Vec<PathBuf> = entries.map_err(wrong)?.into_iter().map(|entry| entry.path()).collect();
        paths.sort();
        for inner in paths {
            if !is_hidden(&inner) && (is_text(&inner) || inner.is_dir()) {
                collect(&inner, found)?;
            }
        }
        return Ok(());
    }
    let text = std::fs::read_to_string(path).map_err(wrong)?;
    found.push((path.display().to_string(), text));
    Ok(())
}
