//! What may not be in the program that ships.

use std::process::Command;

use super::tokens::tokens;
use super::tree::{packages, root};

/// One crypto backend and one HTTP client: two rustls providers panic at start, and what we do not use cannot be attacked.
const FORBIDDEN: [(&str, &str); 9] = [
    ("ring", "aws-lc-rs is the one crypto backend: turn default features off and choose `aws_lc_rs`"),
    ("openssl", "aws-lc-rs is the one crypto backend"),
    ("openssl-sys", "aws-lc-rs is the one crypto backend"),
    ("native-tls", "rustls is the one TLS"),
    ("hyper-tls", "rustls is the one TLS"),
    ("reqwest", "`adapters::http` is the one outbound client"),
    ("rsa", "it has open timing advisories; aws-lc-rs verifies RSA"),
    ("rust_crypto", "aws-lc-rs is the one crypto backend"),
    ("actix-rt", "tokio is the one runtime"),
];

/// Words of rustls by which a program judges servers' certificates itself, or not at all.
const JUDGES: [&str; 4] =
    ["dangerous", "DangerousClientConfigBuilder", "ServerCertVerifier", "with_custom_certificate_verifier"];

/// Finds the words in code that ships.
fn own_judges(live: &str) -> Vec<&str> {
    tokens(live).into_iter().map(|word| word.text).filter(|word| JUDGES.contains(word)).collect()
}

/// Judges the lines `name v1.2.3` of `cargo tree --prefix none`.
fn forbidden(tree: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (name, why) in FORBIDDEN {
        if tree.lines().any(|line| line.split_whitespace().next() == Some(name)) {
            found.push(format!("`{name}`: {why}; `cargo tree -p gateway -e normal -i {name}` tells who brings it"));
        }
    }
    found
}

#[test]
fn the_program_that_ships_has_one_crypto_backend() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let arguments = ["tree", "-p", "gateway", "-e", "normal", "--locked", "--offline", "--prefix", "none"];
    let output = Command::new(cargo).args(arguments).current_dir(root()).output().unwrap();
    let tree = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "`cargo {}` failed: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(tree.contains("aws-lc-rs v") && tree.contains("rustls v"), "this is not the tree of the gateway: {tree}");
    super::hold("These crates may not be in the release tree.", &forbidden(&tree));
}

#[test]
fn c3_no_switch_turns_off_the_check_of_servers() {
    let mut found = Vec::new();
    for module in packages().iter().flat_map(|package| &package.modules).filter(|module| !module.test) {
        found.extend(own_judges(&module.live).into_iter().map(|word| format!("{}: `{word}`", module.file)));
    }
    super::hold("Whom a connection goes to is judged by rustls under `adapters::http::trust`, always.", &found);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c3_a_judge_of_our_own_is_found() {
        assert_eq!(own_judges("let config = config.dangerous();").len(), 1);
        assert!(own_judges("let not_dangerous = danger::look();").is_empty());
    }

    #[test]
    fn a_forbidden_crate_is_found_by_its_whole_name() {
        assert_eq!(forbidden("gateway v0.1.0\nring v0.17.8\nrsa v0.9.0 (*)\n").len(), 2);
        assert_eq!(forbidden("gateway v0.1.0\nstring-ring v1.0.0\naws-lc-rs v1.0.0\n").len(), 0);
    }
}
