//! Where the texts of contracts and policies come from: folders, what ships, or whoever gave them.
//!
//! Must not know what a text says.

use std::path::{Path, PathBuf};

use adapters::files::read_regular;
use policies::language::{self, Source, is_key_set};

use crate::findings::Findings;
use crate::folder::walk;

/// A file or folder that cannot be read.
const UNREADABLE: &str = "G0001";

/// The longest text that is read, in bytes: twice what a contract may have, so that one that is a little too long is told
/// of by whoever reads it.
pub const TEXT_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// How much all policies, or all contracts, have together, in bytes: twice what contracts may have.
pub const TEXTS_BYTES_MAX: u64 = 256 * 1024 * 1024;

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
        let contracts = match texts(&self.contracts, is_contract, ".yaml, .yml or .json")? {
            None => openapi::shipped(),
            Some(found) => found.into_iter().map(|(name, text)| openapi::Source { name, text }).collect(),
        };
        let policies = match &self.policies {
            Policies::Given(sources) => sources.clone(),
            Policies::Folders(folders) => match texts(folders, is_policy, ".yaml or .yml")? {
                None => language::shipped(),
                Some(found) => {
                    let keys = found_keys(folders)?;
                    found.into_iter().chain(keys).map(|(name, text)| Source::new(name, text)).collect()
                }
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

/// Tells whether a file below a folder of policies is one.
#[must_use]
pub fn is_policy(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "yaml" || end == "yml")
}

/// Tells whether a file below a folder of policies may hold keys that they name; of those in JSON its text tells.
#[must_use]
pub fn may_be_keys(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "jwks" || end == "json")
}

/// Tells whether a file below a folder of contracts is one: other tools write them in JSON, people their policies in YAML.
#[must_use]
pub fn is_contract(path: &Path) -> bool {
    is_policy(path) || path.extension().is_some_and(|end| end == "json")
}

/// Reads every file below folders that holds keys; what is none of the set's is passed over, readable or not.
fn found_keys(folders: &[PathBuf]) -> Result<Vec<(String, String)>, Findings> {
    let (mut found, mut left) = (Vec::new(), TEXTS_BYTES_MAX);
    for entry in folders.iter().flat_map(|folder| walk(folder, may_be_keys)) {
        let is_policy_itself = folders.contains(&entry.path);
        if entry.found.is_err() || is_policy_itself || !may_be_keys(&entry.path) {
            continue;
        }
        let name = entry.path.display().to_string();
        match text(&entry.path, &mut left) {
            Ok(text) if is_key_set(&name, &text) => found.push((name, text)),
            Ok(_) => {}
            Err(_) if !name.ends_with(".jwks") => {}
            Err(cause) => return Err(Findings::of_file(UNREADABLE, &entry.path, cause, None)),
        }
    }
    Ok(found)
}

/// Reads every file below folders that is one of them, in the order of their names; none if no folder is named.
fn texts(
    folders: &[PathBuf],
    is_one: fn(&Path) -> bool,
    endings: &str,
) -> Result<Option<Vec<(String, String)>>, Findings> {
    if folders.is_empty() {
        return Ok(None);
    }
    let (mut found, mut left) = (Vec::new(), TEXTS_BYTES_MAX);
    for folder in folders {
        let before = found.len();
        for entry in walk(folder, is_one) {
            let wrong = |cause: String| Findings::of_file(UNREADABLE, &entry.path, cause, None);
            entry.found.as_ref().map_err(|cause| wrong(cause.clone()))?;
            found.push((entry.path.display().to_string(), text(&entry.path, &mut left).map_err(wrong)?));
        }
        if found.len() == before {
            let help = "name a folder with such files; nothing is exposed without policies".to_owned();
            return Err(Findings::of_file(UNREADABLE, folder, format!("it holds no {endings} file"), Some(help)));
        }
    }
    Ok(Some(found))
}

/// Reads one text; `left` is how many bytes may still be read.
fn text(path: &Path, left: &mut u64) -> Result<String, String> {
    let unreadable = |error: &dyn std::fmt::Display| format!("it cannot be read: {error}");
    let bytes = read_regular(path, TEXT_BYTES_MAX).map_err(|error| unreadable(&error))?;
    *left = left
        .checked_sub(bytes.len() as u64)
        .ok_or_else(|| format!("with it there are more than {TEXTS_BYTES_MAX} bytes of texts"))?;
    String::from_utf8(bytes).map_err(|_| unreadable(&"it is not text in UTF-8"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    #[test]
    fn contracts_may_be_json_and_policies_are_yaml() {
        let folder = std::env::temp_dir().join(format!("qaqpa-texts-{}", adapters::entropy::uuid_v4()));
        std::fs::create_dir(&folder).unwrap();
        let folders = std::slice::from_ref(&folder);
        std::fs::write(folder.join("a.json"), "{}").unwrap();
        std::fs::write(folder.join("notes.txt"), "none of ours").unwrap();
        let refused = PolicySource::folders(folders, &[]).read().unwrap_err();
        assert!(refused.render(false).contains("it holds no .yaml or .yml file"), "{}", refused.render(false));
        for name in ["b.yaml", "c.yml"] {
            std::fs::write(folder.join(name), "").unwrap();
        }
        let read = PolicySource::folders(folders, folders).read().unwrap();
        let ends = |name: &str| name.rsplit('/').next().unwrap().to_owned();
        let contracts: Vec<String> = read.contracts.iter().map(|source| ends(&source.name)).collect();
        let policies: Vec<String> = read.policies.iter().map(|source| ends(&source.name)).collect();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(contracts, ["a.json", "b.yaml", "c.yml"]);
        assert_eq!(policies, ["b.yaml", "c.yml"]);
    }

    /// Tells what is wrong with a folder that holds a text and this.
    fn fault(put: impl FnOnce(&Path)) -> String {
        let folder = std::env::temp_dir().join(format!("qaqpa-texts-{}", adapters::entropy::uuid_v4()));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("a.yaml"), "").unwrap();
        put(&folder);
        let read = PolicySource::folders(std::slice::from_ref(&folder), &[]).read();
        std::fs::remove_dir_all(&folder).unwrap();
        read.map_or_else(|findings| findings.render(false), |_| "fine".to_owned())
    }

    #[test]
    fn keys_are_a_part_of_the_set_and_other_json_is_not() {
        let folder = std::env::temp_dir().join(format!("qaqpa-texts-{}", adapters::entropy::uuid_v4()));
        std::fs::create_dir_all(folder.join("keys")).unwrap();
        for (name, text) in [
            ("a.yaml", "qaqpa: v1"),
            ("keys/b.jwks", "{"),
            ("keys/c.json", "{\"keys\": []}"),
            ("package.json", "{\"name\": \"other\"}"),
            ("contract.json", "{\"openapi\": \"3.0.3\", \"keys\": 1}"),
        ] {
            std::fs::write(folder.join(name), text).unwrap();
        }
        let read = |folder: &Path| PolicySource::folders(&[folder.to_owned()], &[]).read();
        let names = |texts: &Texts| -> Vec<String> {
            let inside =
                |source: &Source| Path::new(&*source.name).strip_prefix(&folder).unwrap().display().to_string();
            texts.policies.iter().map(inside).collect()
        };
        let before = read(&folder).unwrap();
        assert_eq!(names(&before), ["a.yaml", "keys/b.jwks", "keys/c.json"]);
        let digest = |texts: &Texts| crate::generation::Bundle::from(texts).digest;
        std::fs::write(folder.join("package.json"), "{}").unwrap();
        assert_eq!(digest(&read(&folder).unwrap()), digest(&before));
        std::fs::write(folder.join("keys/b.jwks"), "{}").unwrap();
        assert_ne!(digest(&read(&folder).unwrap()), digest(&before));
        std::fs::write(folder.join("keys/b.jwks"), b"\xff").unwrap();
        let told = read(&folder).unwrap_err().render(false);
        assert!(told.contains("G0001") && told.contains("b.jwks"), "{told}");
        // Keys alone are no set.
        let alone = read(&folder.join("keys")).unwrap_err().render(false);
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(alone.contains("it holds no .yaml or .yml file"), "{alone}");
    }

    #[test]
    fn a_pipe_with_the_name_of_a_text_is_told_of() {
        let told = fault(|folder| {
            let made = std::process::Command::new("mkfifo").arg(folder.join("b.yaml")).status().unwrap();
            assert!(made.success());
        });
        assert!(told.contains("G0001") && told.contains("b.yaml") && told.contains("neither a file"), "{told}");
    }

    #[test]
    fn a_linked_folder_that_is_away_is_not_left_out() {
        let told = fault(|folder| std::os::unix::fs::symlink("/nowhere/at/all", folder.join("banks")).unwrap());
        assert!(told.contains("G0001") && told.contains("banks"), "{told}");
    }

    #[test]
    fn a_text_has_a_limit_and_all_of_them_have_one() {
        let of =
            |bytes: u64| fault(|folder| std::fs::File::create(folder.join("b.yaml")).unwrap().set_len(bytes).unwrap());
        assert_eq!(of(TEXT_BYTES_MAX), "fine");
        let told = of(TEXT_BYTES_MAX + 1);
        assert!(told.contains("G0001") && told.contains("larger than 8388608 bytes"), "{told}");
        let several = |count: u64, rest: u64| {
            fault(|folder| {
                for (number, bytes) in (0..count).map(|_| TEXT_BYTES_MAX).chain([rest]).enumerate() {
                    let file = std::fs::File::create(folder.join(format!("{number}.yaml"))).unwrap();
                    file.set_len(bytes).unwrap();
                }
            })
        };
        assert_eq!(several(TEXTS_BYTES_MAX / TEXT_BYTES_MAX, 0), "fine");
        assert!(several(TEXTS_BYTES_MAX / TEXT_BYTES_MAX, 1).contains("more than 268435456 bytes of texts"));
    }
}
