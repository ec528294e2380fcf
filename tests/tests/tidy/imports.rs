//! Who may import whom: the packages of the house, and the foreign crates that only some rooms may name.

use super::source::line_of;
use super::tokens::{paths, tokens};
use super::tree::{Module, Package, packages};

/// What each package may import of the house. Dev-dependencies are free: tests look on from everywhere.
const TABLE: [(&str, &[&str]); 9] = [
    ("openapi", &[]),
    ("policies", &[]),
    ("adapters", &["policies"]),
    ("sandbox", &["policies"]),
    ("spine", &["openapi", "policies"]),
    ("oauth", &["policies", "adapters", "spine"]),
    ("broker", &["policies", "adapters", "spine"]),
    ("gateway", &["openapi", "policies", "adapters", "sandbox", "spine", "oauth", "broker"]),
    ("scenarios", &["openapi", "policies", "adapters", "sandbox", "spine", "oauth", "broker", "gateway"]),
];

/// Every foreign crate that a pure package may name: none of them does I/O, reads a clock or throws dice.
const PURE: [(&str, &[&str]); 2] = [
    ("openapi", &["jsonschema", "openapiv3", "saphyr-parser", "serde", "serde_json", "thiserror"]),
    (
        "policies",
        &[
            "base64",
            "cel",
            "jsonwebtoken",
            // Patterns of conditions, compiled when they are loaded; the one of `cel` compiles at each request.
            "regex",
            "saphyr-parser",
            "serde",
            "serde_json",
            "serde_json_canonicalizer",
            "thiserror",
            "zeroize",
            // Hashes, MACs and signature checks: pure functions of their arguments.
            "aws-lc-rs",
        ],
    ),
];

/// Foreign crates and the packages that may name them.
const ROOMS: [(&str, &[&str]); 20] = [
    ("governor", &["adapters"]),
    ("oauth2", &["adapters"]),
    ("redis", &["adapters"]),
    ("tokio-postgres", &["adapters"]),
    // The bank behind the sandbox keeps books of its own: it is the other side of the wire and shares no store with us.
    ("rusqlite", &["adapters", "sandbox"]),
    ("rcgen", &["adapters"]),
    ("jsonwebtoken", &["adapters", "policies"]),
    ("openapiv3", &["openapi"]),
    ("jsonschema", &["openapi"]),
    ("hyper", &["adapters", "sandbox", "gateway"]),
    ("hyper-util", &["adapters", "sandbox", "gateway"]),
    ("rustls", &["adapters", "sandbox", "gateway"]),
    ("tokio", &["adapters", "sandbox", "gateway"]),
    ("tokio-rustls", &["adapters", "sandbox", "gateway"]),
    ("tower", &["spine", "gateway"]),
    ("clap", &["gateway"]),
    ("bytes", &["adapters", "sandbox", "spine", "oauth", "broker", "gateway"]),
    ("http", &["adapters", "sandbox", "spine", "oauth", "broker", "gateway"]),
    ("http-body", &["adapters", "sandbox", "spine", "oauth", "broker", "gateway"]),
    ("http-body-util", &["adapters", "sandbox", "spine", "oauth", "broker", "gateway"]),
];

/// What a pure package may not call, and what it is given instead.
const IMPURE: [(&str, &str); 10] = [
    ("SystemTime::now", "take `now` as an argument"),
    ("Instant::now", "take `now` as an argument"),
    ("std::env", "take the value as an argument"),
    ("std::fs", "take the text as an argument"),
    // Addresses are values; sockets and names are not.
    ("std::net::Tcp", "leave sockets to `adapters`"),
    ("std::net::Udp", "leave sockets to `adapters`"),
    ("ToSocketAddrs", "leave names to `adapters`"),
    ("std::process", "leave processes to `gateway`"),
    ("std::thread", "leave threads to `adapters`"),
    ("aws_lc_rs::rand", "take entropy as an argument"),
];

/// Judges the dependencies of one package.
fn forbidden_imports(package: &str, dependencies: &[String]) -> Vec<String> {
    let Some((_, allowed)) = TABLE.iter().find(|(name, _)| *name == package) else {
        return vec![format!("package `{package}` is not in the import table: add it there and to the design")];
    };
    let mut found = Vec::new();
    for dependency in dependencies {
        let ours = TABLE.iter().any(|(name, _)| name == dependency);
        if ours && !allowed.contains(&dependency.as_str()) {
            found.push(format!("`{package}` imports `{dependency}`: it may import {allowed:?} of the house"));
        }
        let pure = PURE.iter().find(|(name, _)| *name == package);
        if let Some((_, known)) = pure.filter(|(_, known)| !ours && !known.contains(&dependency.as_str())) {
            found.push(format!("`{package}` is pure and names `{dependency}`: it may name {known:?}"));
        }
        let room = ROOMS.iter().find(|(name, _)| name == dependency);
        if let Some((_, rooms)) = room.filter(|(_, rooms)| package != "scenarios" && !rooms.contains(&package)) {
            found.push(format!("`{package}` names `{dependency}`: only {rooms:?} may"));
        }
    }
    found
}

/// Judges the paths of one file: what the manifest cannot tell.
fn forbidden_paths(package: &str, module: &Module) -> Vec<String> {
    let words = tokens(&module.live);
    let mut found = Vec::new();
    for path in paths(&words) {
        let whole = path.segments.join("::");
        let place = || format!("{}:{} `{whole}`", module.file, line_of(&module.live, path.at));
        let segment = |index: usize| path.segments.get(index).map_or("", String::as_str);
        if package == "sandbox" && segment(0) == "policies" && segment(1) != "national" {
            found.push(format!("{}: the other side of the wire shares only `policies::national` with us", place()));
        }
        let own_module = module.live.contains("mod sandbox;");
        let starts_sandbox = module.file.starts_with("gateway/src/cli/sandbox");
        if package == "gateway" && segment(0) == "sandbox" && !own_module && !starts_sandbox {
            found.push(format!(
                "{}: only `cli/sandbox` may start the sandbox; everything else reaches it over HTTP",
                place()
            ));
        }
        if PURE.iter().any(|(name, _)| *name == package)
            && let Some((what, instead)) = IMPURE.iter().find(|(what, _)| whole.contains(what))
        {
            found.push(format!("{}: `{package}` is pure and may not reach `{what}`: {instead}", place()));
        }
    }
    found
}

fn live(package: &Package) -> impl Iterator<Item = &Module> {
    package.modules.iter().filter(|module| !module.test)
}

#[test]
fn the_import_table_and_the_rooms_of_foreign_crates_hold() {
    let complaints: Vec<String> = packages()
        .iter()
        .flat_map(|package| forbidden_imports(&package.manifest.name, &package.manifest.dependencies))
        .collect();
    let rule = "Arrows only point down, and foreign crates stay in their rooms: move the code to the room that may, \
                or change the design and this table in one commit and say why.";
    super::hold(rule, &complaints);
}

#[test]
fn files_reach_only_what_their_package_may() {
    let packages = packages();
    let complaints: Vec<String> = packages
        .iter()
        .flat_map(|package| live(package).flat_map(|module| forbidden_paths(&package.manifest.name, module)))
        .collect();
    super::hold(
        "No clock, randomness, environment or I/O below `adapters`; the sandbox stays on its side.",
        &complaints,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    fn bad_paths(package: &str, file: &str, live: &str) -> usize {
        let module =
            Module { file: file.to_owned(), name: Vec::new(), test: false, live: live.to_owned(), text: String::new() };
        forbidden_paths(package, &module).len()
    }

    #[test]
    fn arrows_that_point_up_or_sideways_are_found() {
        assert_eq!(forbidden_imports("policies", &strings(&["adapters"])).len(), 1);
        assert_eq!(forbidden_imports("oauth", &strings(&["broker"])).len(), 1);
        assert_eq!(forbidden_imports("adapters", &strings(&["policies", "openapi"])).len(), 1);
        assert_eq!(forbidden_imports("oauth", &strings(&["policies", "spine"])).len(), 0);
    }

    #[test]
    fn foreign_crates_outside_their_room_are_found() {
        assert_eq!(forbidden_imports("gateway", &strings(&["rusqlite"])).len(), 1);
        assert_eq!(forbidden_imports("spine", &strings(&["tokio"])).len(), 1);
        // Twice: it is no room of theirs, and it is not pure.
        assert_eq!(forbidden_imports("policies", &strings(&["tokio"])).len(), 2);
        assert_eq!(forbidden_imports("policies", &strings(&["rand"])).len(), 1);
        assert_eq!(forbidden_imports("adapters", &strings(&["rusqlite", "governor", "tokio"])).len(), 0);
    }

    #[test]
    fn a_package_nobody_planned_is_found() {
        assert_eq!(forbidden_imports("helpers", &[]).len(), 1);
    }

    #[test]
    fn clocks_and_shared_code_are_found() {
        assert_eq!(bad_paths("policies", "policies/src/x.rs", "fn f() { let n = std::time::SystemTime::now(); }"), 1);
        assert_eq!(bad_paths("openapi", "openapi/src/x.rs", "use std::{fs, fmt};"), 1);
        assert_eq!(bad_paths("sandbox", "adapters/sandbox/src/x.rs", "use policies::token::verify;"), 1);
        assert_eq!(bad_paths("sandbox", "adapters/sandbox/src/x.rs", "use policies::national::iin::Iin;"), 0);
        assert_eq!(bad_paths("gateway", "gateway/src/proxy.rs", "use sandbox::start_bank;"), 1);
        assert_eq!(bad_paths("gateway", "gateway/src/cli/sandbox/country.rs", "use sandbox::personas;"), 0);
    }
}
