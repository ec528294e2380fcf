//! Tidy: the house rules, held over the source tree. Each test says what to do when it fails.
//!
//! Only text is read here, with the standard library, so that the rules can be checked while the house itself does not
//! compile. A rule is a pure function from texts to complaints; beside it stands a test that feeds it a bad example.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

#[path = "tidy/births.rs"]
mod births;
#[path = "tidy/checklist.rs"]
mod checklist;
#[path = "tidy/circles.rs"]
mod circles;
#[path = "tidy/imports.rs"]
mod imports;
#[path = "tidy/life.rs"]
mod life;
#[path = "tidy/manifest.rs"]
mod manifest;
#[path = "tidy/papers.rs"]
mod papers;
#[path = "tidy/release.rs"]
mod release;
#[path = "tidy/sizes.rs"]
mod sizes;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/tokens.rs"]
mod tokens;
#[path = "tidy/tree.rs"]
mod tree;
#[path = "tidy/words.rs"]
mod words;

/// Fails with every complaint at once, and with what to do.
fn hold(rule: &str, complaints: &[String]) {
    assert!(
        complaints.is_empty(),
        "\n\n{rule}\n\nThis is not so in {} place(s):\n  - {}\n\n",
        complaints.len(),
        complaints.join("\n  - ")
    );
}
