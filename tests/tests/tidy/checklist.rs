//! The security checklist: every requirement in scope has a test whose name begins with its id.
//!
//! The ids are those of the profile's checklist (FAPI 2.0 Security Profile, and the RFCs it stands on): `C` for both sides,
//! `AS` for the authorization server, `RS` for the resource side. A test may begin with several ids.

use std::collections::{BTreeMap, BTreeSet};

use super::source::code_of;
use super::tokens::{text, tokens};
use super::tree::{files_below, packages, read};

/// The requirements in scope: a prefix with the first and the last number.
const SCOPE: [(&str, u32, u32); 13] = [
    ("c", 1, 16),
    ("as", 1, 15),
    ("as", 20, 29),
    ("as", 40, 45),
    ("as", 50, 55),
    ("as", 63, 63),
    ("as", 65, 65),
    ("as", 70, 74),
    ("rs", 1, 6),
    ("rs", 10, 16),
    ("rs", 20, 33),
    ("rs", 40, 41),
    ("rs", 60, 62),
];

fn in_scope() -> BTreeSet<String> {
    SCOPE
        .iter()
        .flat_map(|(prefix, first, last)| (*first..=*last).map(move |number| format!("{prefix}{number}")))
        .collect()
}

/// The ids that the name of a function begins with.
fn ids<'a>(name: &'a str, scope: &'a BTreeSet<String>) -> impl Iterator<Item = &'a str> {
    name.split('_').take_while(move |part| scope.contains(*part))
}

/// Counts the tests of each requirement in a text.
fn count(code: &str, scope: &BTreeSet<String>, counted: &mut BTreeMap<String, u32>) {
    let words = tokens(code);
    for (index, word) in words.iter().enumerate() {
        if word.text == "fn" {
            for id in ids(text(&words, index + 1), scope) {
                *counted.entry(id.to_owned()).or_default() += 1;
            }
        }
    }
}

#[test]
fn every_requirement_in_scope_has_a_test_of_its_name() {
    let scope = in_scope();
    let mut counted = BTreeMap::new();
    let folders =
        packages().iter().flat_map(|package| ["src", "tests"].map(|part| format!("{}/{part}", package.folder)));
    let files: BTreeSet<String> = folders.flat_map(|folder| files_below(&folder)).collect();
    for file in files.iter().filter(|file| file.ends_with(".rs") && !file.ends_with("tidy/checklist.rs")) {
        count(&code_of(&read(file)), &scope, &mut counted);
    }
    let missing: Vec<String> = scope.into_iter().filter(|id| !counted.contains_key(id)).collect();
    super::hold(
        "Each id of the security checklist in scope is the beginning of a test's name: `fn as21_...`.",
        &missing,
    );
}

#[test]
fn a_name_tells_the_ids_it_begins_with() {
    let scope = in_scope();
    let mut counted = BTreeMap::new();
    let code = "fn as21_as22_par() {} fn not_rs1() {} fn as2() {} fn as16_x() {} fn c10_y() {}";
    count(code, &scope, &mut counted);
    let found: Vec<&str> = counted.keys().map(String::as_str).collect();
    assert_eq!(found, ["as2", "as21", "as22", "c10"]);
}
