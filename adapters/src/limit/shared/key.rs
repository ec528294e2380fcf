//! What counters are called in the servers: nobody's values can be read off a name, and what one call changes lies in one
//! slot of a Cluster as far as that can be.

use std::fmt::Write as _;

use aws_lc_rs::digest::{self, SHA256};
use policies::limit::state::unsaid_terms;
use policies::limit::{Dimension, Limit, LimitKey, Values};

use crate::store::redis::Prefix;

/// The name of one counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CounterKey {
    /// The name in the servers.
    pub(super) text: String,
    /// What the names of this process are found by.
    pub(super) digest: u128,
    tag: (usize, usize),
}

impl CounterKey {
    /// Names the counter that `limit` keeps for these values.
    ///
    /// What is counted for an organisation, or one of its clients, lies in the slot of the organisation, so that one script
    /// reaches all of it; the values of a client therefore name its organisation, whoever asks. What is counted across
    /// organisations lies in a slot of its own. Nothing else but the limit and what it counts by is looked at: who reads or
    /// resets a counter knows no more. Gateways whose policies give a limit other terms, as while they are changed one by
    /// one, count apart: each reads its own numbers alone.
    pub(super) fn of(prefix: &Prefix, limit: &Limit, values: &Values<'_>) -> Self {
        let digest = digest_of(&[LimitKey::of(limit, values).as_str(), &terms_of(limit)]);
        let owned = |dimension| limit.per.contains(&dimension) && values.of(dimension).is_some();
        let owned = owned(Dimension::Client) || owned(Dimension::Organisation);
        let owner = values.organisation.or(values.client).filter(|_| owned);
        let tag = match owner {
            Some(owner) if is_plain(owner) => owner.to_owned(),
            Some(owner) => format!("{:032x}", digest_of(&[owner])),
            None => format!("{digest:032x}"),
        };
        let mut text = format!("{}:limit:{{", prefix.as_str());
        let begin = text.len();
        // Writing to a string cannot fail.
        let _ = write!(text, "{tag}}}:{digest:032x}");
        Self { tag: (begin, begin + tag.len()), text, digest }
    }

    /// Returns what chooses the slot in a Cluster.
    pub(super) fn tag(&self) -> &str {
        self.text.get(self.tag.0..self.tag.1).unwrap_or_default()
    }
}

/// Names the mark that the first call of a credit leaves for the later one: a slot of its own.
pub(super) fn mark(prefix: &Prefix, limit: &Limit, owner: &str, thing: &str) -> String {
    format!("{}:limit:{{{:032x}}}:mark", prefix.as_str(), digest_of(&[&limit.id, &terms_of(limit), owner, thing]))
}

/// Returns by what the names of this process find a counter; none if it is no name of a counter.
pub(super) fn read(prefix: &Prefix, text: &str) -> Option<u128> {
    let rest = text.strip_prefix(prefix.as_str())?.strip_prefix(":limit:{")?;
    let (_, digest) = rest.split_once("}:").filter(|(_, digest)| digest.len() == 32)?;
    u128::from_str_radix(digest, 16).ok()
}

/// Names what gateways tell one another: who is alive, and how often counters were reset.
pub(super) fn gateways(prefix: &Prefix) -> [String; 2] {
    ["alive", "resets"].map(|what| format!("{}:limit:{{gateways}}:{what}", prefix.as_str()))
}

fn terms_of(limit: &Limit) -> String {
    let mut text = String::new();
    unsaid_terms(&limit.shape, |term| {
        let _ = write!(text, "{term:x} ");
    });
    text
}

// Whatever else an id may hold, a brace would choose another slot.
fn is_plain(id: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !id.is_empty() && id.len() <= 64 && id.bytes().all(good)
}

// Each part with its length: two lists must never be one.
fn digest_of(parts: &[&str]) -> u128 {
    let mut text = String::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
    for part in parts {
        let _ = write!(text, "{}:{part}", part.len());
    }
    let digest = digest::digest(&SHA256, text.as_bytes());
    let half = digest.as_ref().first_chunk::<16>().copied().unwrap_or_default();
    u128::from_be_bytes(half)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::num::NonZeroU32;
    use std::time::Duration;

    use policies::limit::{Bucket, Costs, Rate, Shape};

    use super::*;

    fn bucket() -> Bucket {
        let rate = Rate { count: NonZeroU32::MIN, per: Duration::from_secs(1) };
        Bucket { rate, burst: NonZeroU32::MIN, costs: None, credit: None }
    }

    fn limit(per: &[Dimension]) -> Limit {
        Limit::bucket("l", per, bucket().rate, bucket().burst)
    }

    fn of(per: &[Dimension], values: &Values<'_>) -> CounterKey {
        CounterKey::of(&Prefix::default(), &limit(per), values)
    }

    const VALUES: Values<'static> = Values {
        client: Some("shop"),
        organisation: Some("alem"),
        operation: Some("pay"),
        customer: Some("880715301804"),
        consent: None,
        api: None,
        subject: Some("s"),
        resource: Some("r"),
        peer: None,
        provider: None,
    };

    #[test]
    fn what_is_counted_for_one_organisation_and_its_clients_lies_in_one_slot() {
        let lists: [&[Dimension]; 5] = [
            &[Dimension::Client],
            &[Dimension::Operation, Dimension::Client],
            &[Dimension::Client, Dimension::Customer],
            &[Dimension::Organisation, Dimension::Client],
            &[Dimension::Organisation, Dimension::Operation],
        ];
        for per in lists {
            let key = of(per, &VALUES);
            assert!(key.text.starts_with("qaqpa:limit:{alem}:"), "{}", key.text);
            assert!(!key.text.contains("880715301804"));
        }
        // Where nobody knows of an organisation, the client alone has a slot.
        let alone = Values { organisation: None, ..VALUES };
        assert_eq!(of(&[Dimension::Client], &alone).tag(), "shop");
    }

    #[test]
    fn a_counter_is_found_by_what_its_limit_counts_by_alone() {
        for dimension in Dimension::ALL {
            let mut only = Values::default();
            match dimension {
                Dimension::Client => (only.client, only.organisation) = (VALUES.client, VALUES.organisation),
                Dimension::Organisation => only.organisation = VALUES.organisation,
                Dimension::Operation => only.operation = VALUES.operation,
                Dimension::Api => only.api = VALUES.api,
                Dimension::Customer => only.customer = VALUES.customer,
                Dimension::Consent => only.consent = VALUES.consent,
                Dimension::Subject => only.subject = VALUES.subject,
                Dimension::Resource => only.resource = VALUES.resource,
                Dimension::Peer => only.peer = VALUES.peer,
                Dimension::Provider => only.provider = VALUES.provider,
            }
            assert_eq!(of(&[dimension], &only), of(&[dimension], &VALUES), "{dimension:?}");
        }
    }

    #[test]
    fn what_is_counted_across_organisations_is_one_counter() {
        let other = Values { organisation: Some("other"), client: Some("else"), ..VALUES };
        for dimension in [Dimension::Subject, Dimension::Operation, Dimension::Resource, Dimension::Customer] {
            assert_eq!(of(&[dimension], &VALUES), of(&[dimension], &other), "{dimension:?}");
            assert_ne!(of(&[dimension, Dimension::Organisation], &VALUES), of(&[dimension], &VALUES));
        }
    }

    #[test]
    fn no_id_chooses_the_slot_of_another() {
        let braces = Values { organisation: Some("x}:{alem"), ..VALUES };
        let key = of(&[Dimension::Organisation], &braces);
        assert_eq!(key.text.matches('{').count(), 1, "{}", key.text);
        assert_eq!(key.tag().len(), 32);
        let marks = [("a", "bc"), ("ab", "c"), ("", "abc")];
        let marks = marks.map(|(owner, thing)| mark(&Prefix::default(), &limit(&[Dimension::Client]), owner, thing));
        assert!(marks[0] != marks[1] && marks[1] != marks[2] && marks[0] != marks[2]);
    }

    #[test]
    fn a_limit_with_other_terms_has_other_counters_and_marks() {
        let per = [Dimension::Client];
        let terms = |burst, costs: Option<Costs>| {
            let mut limit = limit(&per);
            limit.shape = Shape::Bucket(Bucket { burst, costs, ..bucket() });
            (
                CounterKey::of(&Prefix::default(), &limit, &VALUES).digest,
                mark(&Prefix::default(), &limit, "alem", "thing"),
            )
        };
        let (one, two) = (NonZeroU32::MIN, NonZeroU32::MAX);
        let costs = |otherwise| Some(Costs { of: BTreeMap::default(), otherwise });
        let (first, other) = (terms(one, None), [terms(two, None), terms(one, costs(1)), terms(one, costs(2))]);
        assert_eq!(first, terms(one, None));
        assert_eq!(first.0, of(&per, &VALUES).digest);
        for (place, other) in other.iter().enumerate() {
            assert!(first.0 != other.0 && first.1 != other.1, "{place}");
        }
        assert_ne!(other[1], other[2]);
    }
}
