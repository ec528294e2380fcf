//! The presets of limits (`policies/presets`), held row by row to the tables that were published, with the clock moved by hand.
//!
//! What was published stands in `rows` and is written from the sources, not from the policies: a figure that is mistyped in
//! either place lets a call too many pass, or one too few. `desk` calls the limits, `judge` says what each kind of row means.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

mod desk;
mod judge;
mod rows;
mod sets;

use std::collections::BTreeSet;

use policies::language::{Source, fmt};
use policies::limit::{Dimension, Mode, Shape, WithoutStore};
use policies::time::Timestamp;

use desk::{Desk, with};
use rows::Row;

fn holds(preset: &str, rows: &[Row]) {
    let limits = sets::limits(preset);
    let written: BTreeSet<&str> = limits.keys().map(String::as_str).collect();
    let published: BTreeSet<&str> = rows.iter().map(|row| row.name).collect();
    assert_eq!(written, published, "{preset} has other limits than were published");
    assert_eq!(rows.len(), published.len(), "a row stands twice");
    for row in rows {
        judge::row(row, limits.get(row.name).unwrap());
    }
}

#[test]
fn dict_1_8_is_as_published() {
    holds("dict-1.8", rows::DICT);
}

#[test]
fn ofb_is_as_published() {
    holds("ofb", rows::OFB);
}

#[test]
fn cdr_1_36_is_as_published() {
    holds("cdr-1.36", rows::CDR);
}

#[test]
fn upi_2025_is_as_published() {
    holds("upi-2025", rows::UPI);
}

#[test]
fn every_preset_is_held_to_a_table() {
    let held = ["cdr-1.36", "dict-1.8", "ofb", "upi-2025"];
    assert_eq!(sets::names(), held.map(str::to_owned), "a preset without a test here");
}

#[test]
fn every_preset_fits_beside_the_set_that_ships() {
    for preset in sets::names() {
        let warnings = sets::warnings_beside_what_ships(&[&preset]);
        assert!(warnings.is_empty(), "{preset}: {warnings:?}");
    }
    let all = sets::names();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    assert!(sets::warnings_beside_what_ships(&all).is_empty(), "all presets together");
}

#[test]
fn the_example_of_the_handbook_is_right() {
    let warnings = sets::warnings(vec![sets::example()]);
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn every_preset_is_in_the_form_of_fmt() {
    for preset in sets::names() {
        let source = sets::source(&preset);
        let told = fmt::format(&source).unwrap();
        assert!(told == source.body(), "{} is not in its form; run: qaqpa fmt policies/presets", source.name);
    }
}

// What scans a directory, and what asks too often, is held back by the limit alone.
#[test]
fn presets_are_enforced_and_protections_need_their_store() {
    for preset in sets::names() {
        for (name, limit) in sets::limits(&preset) {
            assert_eq!(limit.mode, Mode::Enforce, "{name}");
            let protects = match &limit.shape {
                Shape::Bucket(bucket) => bucket.costs.is_some(),
                shape => matches!(shape, Shape::Polls(_)),
            };
            let expected = if protects { WithoutStore::Deny } else { WithoutStore::LocalShare };
            assert_eq!(limit.without_store, expected, "{name}");
        }
    }
}

// Of one operation only: the same limit named at the operation would hold for every participant.
#[test]
fn a_participants_class_is_a_matter_of_its_plan() {
    let class = "qaqpa: v1\nlimits:\n  class-f: {per: organisation, rate: 2/min, burst: 3, when: {operations: [listAccounts]}}\n";
    let limits = sets::limits_of(Source::new("class.yaml", class));
    let now = Timestamp::from_date("2026-11-23").unwrap();
    let mut desk = Desk::open(limits.get("class-f").unwrap(), now);
    let other = with(Dimension::Operation, Some("getAccountBalances"));
    let lookup = with(Dimension::Operation, Some("listAccounts"));
    assert_eq!(desk.pass(&other, 10, 200), 10, "other operations take nothing");
    assert_eq!(desk.pass(&lookup, 10, 200), 3, "as many as there are");
    assert_eq!(desk.pass(&other, 10, 200), 10, "and are not refused");
}
