//! The source tree: packages, their modules, and every other file of the house.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::manifest::{self, Manifest};
use super::source;
use super::tokens::{text, tokens};

/// Folders that hold nothing of ours.
const NOT_OURS: [&str; 6] = ["target", "node_modules", ".git", ".qaqpa", "out", ".cache"];

/// A package of the workspace.
#[derive(Debug)]
pub(crate) struct Package {
    /// Its folder below the root, for example `gateway/spine`.
    pub(crate) folder: String,
    pub(crate) manifest: Manifest,
    pub(crate) modules: Vec<Module>,
    /// Files below `src` that no `mod` line leads to.
    pub(crate) strays: Vec<String>,
}

/// A Rust file of a package.
#[derive(Debug)]
pub(crate) struct Module {
    /// Its path below the root of the house.
    pub(crate) file: String,
    /// Its name inside the package, for example `["layer", "route"]`; empty for `lib.rs` and `main.rs`.
    pub(crate) name: Vec<String>,
    /// Whether only tests compile it.
    pub(crate) test: bool,
    /// The code without comments, strings and tests.
    pub(crate) live: String,
    pub(crate) text: String,
}

/// Returns the root of the house.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Reads a file of the house.
pub(crate) fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| format!("<{file} cannot be read: {error}>"))
}

/// Gives every package of the workspace; they are read once for all tests.
pub(crate) fn packages() -> &'static [Package] {
    static PACKAGES: OnceLock<Vec<Package>> = OnceLock::new();
    PACKAGES.get_or_init(|| manifest::members(&read("Cargo.toml")).iter().map(|folder| package(folder)).collect())
}

/// Lists every file of ours below a folder, as paths below the root, sorted.
pub(crate) fn files_below(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    collect(&root().join(folder), &mut found);
    let root = root();
    let mut found: Vec<String> = found
        .iter()
        .map(|path| path.strip_prefix(&root).unwrap().to_string_lossy().trim_start_matches('/').to_owned())
        .collect();
    found.sort();
    found
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && !NOT_OURS.contains(&name.as_str()) => collect(&entry.path(), found),
            Ok(kind) if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
}

fn package(folder: &str) -> Package {
    let manifest = manifest::parse(&read(&format!("{folder}/Cargo.toml")));
    let sources: BTreeMap<String, String> = files_below(&format!("{folder}/src"))
        .into_iter()
        .filter(|file| file.ends_with(".rs"))
        .map(|file| (file.clone(), read(&file)))
        .collect();
    let mut modules = Vec::new();
    for start in ["lib.rs", "main.rs"] {
        let file = format!("{folder}/src/{start}");
        if sources.contains_key(&file) {
            walk(&sources, &file, Vec::new(), false, &mut modules);
        }
    }
    let known = |file: &String| modules.iter().any(|module: &Module| module.file == *file);
    let strays = sources.keys().filter(|file| !known(file)).cloned().collect();
    Package { folder: folder.to_owned(), manifest, modules, strays }
}

/// Follows the `mod` lines from one file.
fn walk(sources: &BTreeMap<String, String>, file: &str, name: Vec<String>, test: bool, found: &mut Vec<Module>) {
    let Some(text) = sources.get(file) else { return };
    let code = source::code_of(text);
    let live = if test { String::new() } else { source::live_part(&code) };
    for child in children(file, text, &code) {
        let inner = [name.as_slice(), std::slice::from_ref(&child.name)].concat();
        let path = child.candidates.iter().find(|path| sources.contains_key(*path));
        if let Some(path) = path {
            walk(sources, path, inner, test || child.test, found);
        }
    }
    found.push(Module { file: file.to_owned(), name, test, live, text: text.clone() });
}

/// A `mod name;` line.
#[derive(Debug, PartialEq, Eq)]
struct Child {
    name: String,
    test: bool,
    candidates: Vec<String>,
}

fn children(file: &str, source: &str, code: &str) -> Vec<Child> {
    let tests = source::test_items(code);
    let words = tokens(code);
    let (folder, leaf) = file.rsplit_once('/').unwrap_or(("", file));
    let stem = leaf.trim_end_matches(".rs");
    let inside = if matches!(stem, "lib" | "main" | "mod") { folder.to_owned() } else { format!("{folder}/{stem}") };
    let mut found = Vec::new();
    for (index, word) in words.iter().enumerate() {
        if word.text != "mod" || text(&words, index + 2) != ";" {
            continue;
        }
        let name = text(&words, index + 1).to_owned();
        // Strings are blanked in the code, so the path of `#[path = ".."]` is read from the text.
        let before = source.get(..word.at).unwrap_or_default();
        let item = before.rfind([';', '}']).map_or(before, |end| before.get(end..).unwrap_or_default());
        let given = item.rsplit_once("#[path = \"").and_then(|(_, rest)| rest.split('"').next());
        let candidates = match given {
            Some(given) => vec![format!("{folder}/{given}")],
            None => vec![format!("{inside}/{name}.rs"), format!("{inside}/{name}/mod.rs")],
        };
        let test = tests.iter().any(|(start, end)| (*start..*end).contains(&word.at));
        found.push(Child { name, test, candidates });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mod_lines_lead_to_files() {
        let text = "pub mod a;\n#[cfg(test)]\n#[path = \"b_tests.rs\"]\nmod tests;\n";
        let found = children("x/src/b.rs", text, &source::code_of(text));
        let candidates: Vec<_> = found.iter().map(|child| child.candidates.clone()).collect();
        assert_eq!(
            candidates,
            [vec!["x/src/b/a.rs".to_owned(), "x/src/b/a/mod.rs".to_owned()], vec!["x/src/b_tests.rs".to_owned()]]
        );
        assert_eq!(found.iter().map(|child| child.test).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn every_source_file_belongs_to_a_crate() {
        let strays: Vec<String> = packages().iter().flat_map(|package| package.strays.clone()).collect();
        crate::hold("Every file below `src` is reached by a `mod` line; delete the others, or declare them.", &strays);
    }

    #[test]
    fn the_tree_is_really_read() {
        let packages = packages();
        assert!(packages.len() >= 9, "{}", packages.len());
        for package in packages {
            assert!(!package.modules.is_empty() && !package.manifest.name.is_empty(), "{} is empty", package.folder);
        }
    }
}
