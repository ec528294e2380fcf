//! Takes a policy set that a store keeps apart again, into contracts and policies.

use std::collections::BTreeMap;

use policies::language::decode::HEADER;
use policies::language::{Source, is_key_set};

use crate::texts::Texts;

/// Reads the text of a [`Bundle`](crate::generation::Bundle); `None` if it is none.
#[must_use]
pub fn texts(bundle: &[u8]) -> Option<Texts> {
    let files: BTreeMap<String, String> = serde_json::from_slice(bundle).ok()?;
    let (policies, contracts): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|(name, text)| is_key_set(name, text) || is_policy(text));
    let contracts = contracts.into_iter().map(|(name, text)| openapi::Source { name, text });
    let policies = policies.into_iter().map(|(name, text)| Source::new(name, text));
    Some(Texts { contracts: contracts.collect(), policies: policies.collect() })
}

// The header is the first key of every policy file that was ever in force, and a key of no contract.
fn is_policy(text: &str) -> bool {
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim_start);
    let first = lines.into_iter().find(|line| !line.is_empty() && !line.starts_with('#') && *line != "---");
    first.is_some_and(|line| line.trim_start_matches(['{', '"', '\'', ' ']).starts_with(HEADER.0))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;
    use crate::generation::Bundle;

    #[test]
    fn what_is_no_bundle_is_none() {
        assert!(texts(b"[]").is_none() && texts(b"{\"a\": 1}").is_none() && texts(b"").is_none());
    }

    #[test]
    fn the_shipped_set_comes_apart_as_it_was_put_together() {
        let (contracts, mut policies) = (openapi::shipped(), policies::language::shipped());
        policies.push(Source::new("policies/keys.jwks", "{\"keys\": []}"));
        let names = contracts.iter().map(|source| (source.name.as_str(), source.text.as_str()));
        let bundle = Bundle::of(names.chain(policies.iter().map(|source| (&*source.name, source.body()))));
        let apart = texts(&bundle.text).unwrap();
        assert_eq!((apart.contracts.len(), apart.policies.len()), (contracts.len(), policies.len()));
        assert_eq!(Bundle::from(&apart).digest, bundle.digest);
    }
}
