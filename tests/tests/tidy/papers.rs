//! Documents: that they are there, that contracts and policies ship, and that nothing tells of one machine.

use super::tree::{files_below, packages, read, root};

const AT_THE_ROOT: [&str; 9] = [
    "README.md",
    "POLICIES.md",
    "FINTECHS.md",
    "OPERATING.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "LICENSE",
];

/// Folders that are no package and have a front page all the same.
const FOLDERS: [&str; 2] = ["tests/clients", "tests/bench"];

/// What tells of one machine or one package registry; cut in two so that this file passes its own rule.
const OF_ONE_MACHINE: [&str; 12] = [
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/tm", "p/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("crates", ".io"),
    concat!("npmjs", ".org"),
    concat!("npmjs", ".com"),
    concat!("yarnpkg", ".com"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("proxy.golang", ".org"),
];

/// The lock of cargo names the registry's index in every entry, and cannot do otherwise.
const NOT_READ: [&str; 1] = ["Cargo.lock"];

fn of_one_machine(file: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        // Programs may use the folder for passing files; documents and data name no path of any machine.
        let program = !has_ending(file, &["md", "yaml", "yml", "json", "toml"]);
        for word in OF_ONE_MACHINE.iter().filter(|word| line.contains(**word)) {
            if !(program && *word == OF_ONE_MACHINE[2]) {
                found.push(format!("{file}:{} names `{word}`", number + 1));
            }
        }
    }
    found
}

fn has_ending(file: &str, endings: &[&str]) -> bool {
    let name = file.rsplit('/').next().unwrap_or_default();
    name.rsplit_once('.').is_some_and(|(_, ending)| endings.contains(&ending))
}

/// Tells which files below a folder are not named by an `include_str!`.
fn not_shipped(files: &[String], list: &str) -> Vec<String> {
    let named = |file: &String| {
        list.split('"').any(|text| text.ends_with(".yaml") && file.ends_with(text.trim_start_matches("../")))
    };
    files.iter().filter(|file| file.ends_with(".yaml") && !named(file)).cloned().collect()
}

#[test]
fn every_document_and_front_page_is_there() {
    let mut wanted: Vec<String> = AT_THE_ROOT.map(str::to_owned).to_vec();
    wanted.extend(packages().iter().map(|package| format!("{}/README.md", package.folder)));
    wanted.extend(FOLDERS.map(|folder| format!("{folder}/README.md")));
    let empty = |file: &String| !root().join(file).exists() || read(file).trim().lines().count() < 3;
    let missing: Vec<String> = wanted.into_iter().filter(empty).collect();
    super::hold("Each of these says what stands there and where to add to it; write it in a few lines.", &missing);
}

#[test]
fn a_front_page_is_also_what_rustdoc_shows() {
    let complaints: Vec<String> = packages()
        .iter()
        .map(|package| format!("{}/src/lib.rs", package.folder))
        .filter(|file| !read(file).contains("include_str!(\"../README.md\")"))
        .collect();
    super::hold("Begin `lib.rs` with #![doc = include_str!(\"../README.md\")].", &complaints);
}

#[test]
fn every_contract_and_every_policy_ships() {
    let mut complaints = not_shipped(&files_below("openapi/apis"), &read("openapi/src/shipped.rs"));
    complaints.extend(not_shipped(&files_below("policies/national"), &read("policies/src/language/shipped.rs")));
    let rule = "A file that is not in the list of `shipped.rs` beside its reader is not in the program: add it there.";
    super::hold(rule, &complaints);
}

#[test]
fn nothing_tells_of_one_machine() {
    let endings = ["md", "yaml", "yml", "toml", "json", "rs", "js", "mjs", "py", "sh", "txt", "html"];
    let mut files: Vec<String> = files_below("").into_iter().filter(|file| has_ending(file, &endings)).collect();
    files.extend(["tests/run", ".ci/run", "tests/bench/make-config"].map(str::to_owned));
    let texts = files.iter().filter(|file| !NOT_READ.contains(&file.as_str()));
    let complaints: Vec<String> = texts.flat_map(|file| of_one_machine(file, &read(file))).collect();
    super::hold("Nothing in the house names a folder of one machine or the host of a package registry.", &complaints);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_registries_are_found() {
        assert_eq!(of_one_machine("x.md", &format!("see {}main", OF_ONE_MACHINE[0])).len(), 1);
        assert_eq!(
            of_one_machine("package-lock.json", &format!("https://registry.{}/jose", OF_ONE_MACHINE[6])).len(),
            1
        );
        assert_eq!(of_one_machine("x.md", "see tests/run").len(), 0);
    }

    #[test]
    fn a_file_that_is_not_in_the_list_is_found() {
        let files = ["openapi/apis/a.yaml".to_owned(), "openapi/apis/b.yaml".to_owned()];
        assert_eq!(not_shipped(&files, "include_str!(\"../apis/a.yaml\")"), ["openapi/apis/b.yaml"]);
    }
}
