//! Words that may not stand in the sources.

use super::source::{code_of, line_of};
use super::tokens::{text, tokens};
use super::tree::{files_below, packages, read};

/// Macros for unfinished work.
const UNFINISHED: [&str; 3] = ["todo", "unimplemented", "dbg"];

fn unfinished(file: &str, code: &str) -> Vec<String> {
    let words = tokens(code);
    let mut found = Vec::new();
    for (index, word) in words.iter().enumerate() {
        if UNFINISHED.contains(&word.text) && text(&words, index + 1) == "!" {
            found.push(format!("{file}:{} `{}!`", line_of(code, word.at), word.text));
        }
        if word.text == "unsafe" {
            found.push(format!("{file}:{} `unsafe`", line_of(code, word.at)));
        }
    }
    found
}

/// Who acts in real time, because that is what they are for: a slow wire, a backend that dribbles, a kill at any moment.
const PACED: [&str; 4] = [
    "tests/src/actors/backend.rs",
    "tests/src/actors/wire.rs",
    "tests/tests/scenarios/kill.rs",
    "tests/tests/scenarios/kill/customer.rs",
];

/// Waiting for time to pass makes tests slow when they are right and wrong when the machine is slow.
fn sleeping(file: &str, code: &str) -> Vec<String> {
    let words = tokens(code);
    let mut found = Vec::new();
    for (index, word) in words.iter().enumerate() {
        let called = matches!(word.text, "sleep" | "sleep_until" | "sleep_ms") && text(&words, index + 1) == "(";
        let imported = word.text == "sleep" && matches!(text(&words, index + 1), ";" | "," | "}");
        if called || imported {
            found.push(format!("{file}:{} `{}`", line_of(code, word.at), word.text));
        }
    }
    found
}

fn house() -> Vec<(String, String)> {
    let folders: Vec<String> = packages().iter().map(|package| package.folder.clone()).collect();
    let mut files: Vec<String> = folders
        .iter()
        .flat_map(|folder| ["src", "tests", "benches", "examples"].map(|part| format!("{folder}/{part}")))
        .flat_map(|folder| files_below(&folder))
        .filter(|file| file.ends_with(".rs"))
        .collect();
    files.sort();
    files.dedup();
    files.into_iter().map(|file| (file.clone(), code_of(&read(&file)))).collect()
}

#[test]
fn nothing_unfinished_and_nothing_unsafe_is_committed() {
    let complaints: Vec<String> = house().iter().flat_map(|(file, code)| unfinished(file, code)).collect();
    super::hold(
        "Finish it, or refuse it with a code and open an issue; `unsafe` is forbidden in every package.",
        &complaints,
    );
}

#[test]
fn tests_never_sleep() {
    let waits = |file: &str| file.starts_with("tests/") && !PACED.contains(&file);
    let tests = house().into_iter().filter(|(file, _)| waits(file));
    let complaints: Vec<String> = tests.flat_map(|(file, code)| sleeping(&file, &code)).collect();
    super::hold(
        "Tests move the clock (`world.clock().advance(..)`) or wait for the thing itself; they never sleep.",
        &complaints,
    );
}

#[test]
fn every_package_takes_the_lints_of_the_house() {
    let mut complaints: Vec<String> = packages()
        .iter()
        .filter(|package| !package.manifest.workspace_lints)
        .map(|package| format!("{}/Cargo.toml: add `[lints]` with `workspace = true`", package.folder))
        .collect();
    if !read("Cargo.toml").contains("unsafe_code = \"forbid\"") {
        complaints.push("Cargo.toml: `[workspace.lints.rust]` has to say `unsafe_code = \"forbid\"`".to_owned());
    }
    super::hold("One set of lints for the whole house.", &complaints);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfinished_work_is_found_and_talk_of_it_is_not() {
        let bad = format!("fn f() {{ {}!() }} {} fn g() {{}}", UNFINISHED[0], concat!("un", "safe"));
        assert_eq!(unfinished("x.rs", &bad).len(), 2);
        assert_eq!(unfinished("x.rs", "fn todo() { let dbg = unsafe_code; }").len(), 0);
    }

    #[test]
    fn sleep_is_found_however_it_is_called() {
        assert_eq!(sleeping("x.rs", "std::thread::sleep(d); tokio::time::sleep(d).await;").len(), 2);
        assert_eq!(sleeping("x.rs", "use std::thread::sleep;").len(), 1);
        assert_eq!(sleeping("x.rs", "clock.advance(d); let asleep = sleepers();").len(), 0);
    }
}
