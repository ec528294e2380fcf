//! The policy set that ships with the program.

use super::problem::Source;

/// Returns the files of `policies/national/`, by path from the top of the source tree.
#[must_use]
pub fn shipped() -> Vec<Source> {
    FILES.iter().map(|(name, text)| Source::new(*name, *text)).collect()
}

macro_rules! files {
    ($($path:literal)*) => {
        &[$((concat!("policies/national/", $path), include_str!(concat!("../../national/", $path)))),*]
    };
}

const FILES: &[(&str, &str)] = files! {
    "apis/accounts.yaml"
    "apis/admin.yaml"
    "apis/consents.yaml"
    "apis/discovery.yaml"
    "apis/events.yaml"
    "apis/identity.yaml"
    "apis/limits.yaml"
    "apis/oauth.yaml"
    "apis/payments.yaml"
    "consents.yaml"
    "defaults.yaml"
    "identity/providers.yaml"
    "limits.yaml"
    "masking.yaml"
    "plans/standard.yaml"
    "scopes.yaml"
    "stepup.yaml"
    "tests/accounts.yaml"
    "tests/admin.yaml"
    "tests/consents.yaml"
    "tests/events.yaml"
    "tests/identity.yaml"
    "tests/limits.yaml"
    "tests/oauth.yaml"
    "tests/parties.yaml"
    "tests/payments.yaml"
    "upstreams.yaml"
};

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    fn walk(directory: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "yaml") {
                let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
                found.insert(path.strip_prefix(top).unwrap().to_str().unwrap().to_owned());
            }
        }
    }

    #[test]
    fn every_file_of_the_directory_ships() {
        let mut there = BTreeSet::new();
        walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("national"), &mut there);
        let ships: BTreeSet<String> = shipped().iter().map(|source| source.name.to_string()).collect();
        assert_eq!(ships, there);
    }
}
