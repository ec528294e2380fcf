//! What a call is counted as: the values of its dimensions, and which limits count it.
//!
//! What a header says of somebody is known here as a keyed hash alone, and must never leave in any other form.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use adapters::keys::Sealer;
use adapters::limit::limits::Counted;
use http::{HeaderMap, HeaderValue};
use policies::audit::Counter;
use policies::caller::Caller;
use policies::id::ProviderId;
use policies::jose::base64url;
use policies::limit::{Dimension, Limit, LimitKey, Mode, Shape, Values, When};
use policies::rulebook::Client;
use policies::token::Citizen;
use spine::stage::Identified;

/// The header by which a client says that the customer is there: it holds that customer's address (FAPI).
const CUSTOMER_ADDRESS: &str = "x-fapi-customer-ip-address";

/// What hashes of headers are made for; they cannot be compared with any others.
const PURPOSE: &str = "limits";

/// How long a UUID is, in bytes.
const UUID_BYTES: usize = 36;

/// How long a hash in a value is, in bytes: two people in ten billion billion are counted as one.
const HASH_BYTES: usize = 16;

/// What of a call's values has to be made: the others stand in the call.
#[derive(Debug, Default)]
pub(crate) struct Made {
    peer: Option<String>,
    /// What the call names, where it is not written as it is counted.
    resource: Option<String>,
    /// Headers that limits name, with the keyed hash of what they say here.
    hashed: Vec<(Arc<str>, String)>,
}

impl Made {
    /// Makes what these limits need of a call.
    pub(crate) fn of<'l>(call: &Identified, sealer: &Sealer, limits: impl Iterator<Item = &'l Limit>) -> Self {
        let mut made = Self::default();
        for limit in limits {
            if made.peer.is_none() && limit.per.contains(&Dimension::Peer) {
                made.peer = Some(prefix(call.peer.address));
            }
            if made.resource.is_none()
                && limit.per.contains(&Dimension::Resource)
                && let Some(Cow::Owned(resource)) = known(call).resource.map(one_spelling)
            {
                made.resource = Some(resource);
            }
            for name in names_of(limit) {
                made.add(name, &call.head.headers, sealer);
            }
        }
        made
    }

    /// Takes for resource what somebody has written, in whatever spelling, and for peer what [`one_peer`] made of it: a
    /// reset that hits nothing would look like one that was not needed.
    pub(crate) fn of_named(self, resource: Option<&str>, peer: Option<String>) -> Self {
        Self { resource: resource.map(one_spelling).map(Cow::into_owned), peer, ..self }
    }

    fn add(&mut self, name: &Arc<str>, headers: &HeaderMap, sealer: &Sealer) {
        if self.hashed(name).is_none()
            && let Some(hash) = hashed(headers, name, sealer)
        {
            self.hashed.push((Arc::clone(name), hash));
        }
    }

    /// Returns the keyed hash of what a header says; none if it says nothing, or nobody asked for it.
    pub(crate) fn hashed(&self, name: &str) -> Option<&str> {
        self.hashed.iter().find(|(known, _)| **known == *name).map(|(_, hash)| hash.as_str())
    }

    /// Returns what a call is counted as by one limit.
    pub(crate) fn values<'a>(&'a self, call: &'a Identified, limit: &Limit) -> Values<'a> {
        let known = known(call);
        Values {
            subject: limit.subject.as_deref().and_then(|name| self.hashed(name)),
            peer: self.peer.as_deref(),
            resource: self.resource.as_deref().or(known.resource),
            ..known
        }
    }

    /// Returns how one limit counts a call.
    pub(crate) fn counted<'a>(&'a self, call: &'a Identified, limit: &'a Limit) -> Counted<'a> {
        let thing = credited(limit).and_then(|name| self.hashed(name));
        Counted { limit, values: self.values(call, limit), thing }
    }
}

/// Writes a name as it is counted: a UUID in small letters, as backends take it in either.
pub(crate) fn one_spelling(resource: &str) -> Cow<'_, str> {
    let is_uuid = resource.len() == UUID_BYTES
        && resource.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    match is_uuid && resource.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(resource.to_ascii_lowercase()),
        false => Cow::Borrowed(resource),
    }
}

/// Goes through the headers by which limits that count a call name somebody, or a thing.
pub(crate) fn naming(call: &Identified) -> impl Iterator<Item = &Arc<str>> {
    limits(call).flat_map(names_of)
}

/// Finds a header by which an enforced limit counts, and that comes twice: whoever reads it may see another than is counted.
pub(crate) fn ambiguous(call: &Identified) -> Option<&str> {
    let headers = &call.head.headers;
    // As many values as names: nothing comes twice, and the common request is through.
    if headers.len() == headers.keys_len() {
        return None;
    }
    let enforced = limits(call).filter(|limit| limit.mode == Mode::Enforce);
    enforced.flat_map(names_of).find(|name| comes_twice(headers, name)).map(AsRef::as_ref)
}

fn names_of(limit: &Limit) -> impl Iterator<Item = &Arc<str>> {
    limit.subject.iter().chain(credited(limit))
}

fn comes_twice(headers: &HeaderMap, name: &str) -> bool {
    headers.get_all(name).iter().nth(1).is_some()
}

/// Goes through the limits that may count a call: those of its caller's plan, and then those of its operation.
pub(crate) fn limits(call: &Identified) -> impl Iterator<Item = &Limit> + Clone {
    let client = call.caller().client();
    let planned = client.into_iter().flat_map(|client| &client.plan.limits);
    let own = call.policy().limits.iter();
    let own = own.filter(move |limit| beside_the_plan(limit, client.map(AsRef::as_ref)));
    planned.chain(own).filter(|limit| limit.mode != Mode::Off)
}

// As `OperationPolicy::limits_of` has it: a limit that plan and operation share counts a call once.
fn beside_the_plan(limit: &Limit, client: Option<&Client>) -> bool {
    let planned = client.is_some_and(|client| client.plan.limits.iter().any(|known| known.id == limit.id));
    limit.concerns(client.is_some()) && !planned
}

/// Finds the limits that count a call, each with what it counts the call as.
pub(crate) fn counted<'a>(call: &'a Identified, made: &'a Made) -> Vec<Counted<'a>> {
    let attended = attended(&call.head.headers);
    let holds = |limit: &&Limit| limit.when.holds(attended, call.received);
    limits(call).filter(holds).map(|limit| made.counted(call, limit)).filter(Counted::counts).collect()
}

/// Finds the limits that count what a call makes of one identity provider; the others have counted it before.
pub(crate) fn counted_at<'a>(call: &'a Identified, made: &'a Made, provider: &'a ProviderId) -> Vec<Counted<'a>> {
    let attended = attended(&call.head.headers);
    let of_providers =
        |limit: &&Limit| limit.per.contains(&Dimension::Provider) && limit.when.holds(attended, call.received);
    let at = |limit: &'a Limit| {
        let counted = made.counted(call, limit);
        Counted { values: Values { provider: Some(provider.as_str()), ..counted.values }, ..counted }
    };
    limits(call).filter(of_providers).map(at).filter(Counted::counts).collect()
}

/// Tells in whose name counters of a call are kept: each has a share of them.
pub(crate) fn owner(call: &Identified) -> &str {
    call.caller().client().map_or("", |client| client.id.as_str())
}

/// Tells of the counters of a call what the trail cannot find out by client and operation alone; none if it can.
pub(crate) fn counters(call: &Identified, counted: &[Counted<'_>]) -> Option<Vec<Counter>> {
    let plain = |limit: &Limit| {
        let known = |dimension: &Dimension| {
            matches!(dimension, Dimension::Client | Dimension::Organisation | Dimension::Operation | Dimension::Api)
        };
        limit.when == When::default() && limit.per.iter().all(known)
    };
    let found_out = match call.caller().client() {
        Some(_) => limits(call).all(plain),
        None => counted.is_empty(),
    };
    let counter = |counted: &Counted<'_>| Counter {
        limit: Arc::clone(&counted.limit.id),
        key: LimitKey::of(counted.limit, &counted.values),
    };
    (!found_out).then(|| counted.iter().map(counter).collect())
}

/// What of a call's values stands in the call itself.
fn known(call: &Identified) -> Values<'_> {
    let (client, citizen) = (call.caller().client(), citizen(call.caller()));
    let policy = call.policy();
    Values {
        client: client.map(|client| client.id.as_str()),
        organisation: client.map(|client| client.organisation.id.as_str()),
        operation: Some(policy.operation.as_str()),
        api: Some(policy.api.as_str()),
        customer: citizen.map(|(subject, _)| subject),
        consent: citizen.and_then(|(_, citizen)| consent(call, citizen)),
        resource: call.matched().parameters.iter().last(),
        ..Values::default()
    }
}

fn citizen(caller: &Caller) -> Option<(&str, &Citizen)> {
    let Caller::Bound { token, .. } = caller else { return None };
    let token = token.token();
    token.citizen().map(|citizen| (token.subject(), citizen))
}

/// The consent that a call is made by: the one of the kind that its operation needs.
fn consent<'a>(call: &Identified, citizen: &'a Citizen) -> Option<&'a str> {
    let kind = call.policy().consent.as_ref()?.kind;
    citizen.details.iter().find(|detail| detail.kind() == kind).map(|detail| detail.consent().as_str())
}

fn credited(limit: &Limit) -> Option<&Arc<str>> {
    match &limit.shape {
        Shape::Bucket(bucket) => bucket.credit.as_ref().map(|credit| &credit.by),
        _ => None,
    }
}

/// Tells whether the customer is there: the header holds one address.
fn attended(headers: &HeaderMap) -> bool {
    let mut told = headers.get_all(CUSTOMER_ADDRESS).iter();
    let address = told.next().and_then(|value| value.to_str().ok()?.trim().parse::<IpAddr>().ok());
    address.is_some_and(is_somebodys) && told.next().is_none()
}

// Nobody calls from nowhere, from within a machine or from a group: who says so has not looked.
fn is_somebodys(address: IpAddr) -> bool {
    let address = address.to_canonical();
    !(address.is_unspecified() || address.is_loopback() || address.is_multicast())
}

fn hashed(headers: &HeaderMap, name: &str, sealer: &Sealer) -> Option<String> {
    hash_of(sealer, headers.get_all(name).iter().map(HeaderValue::as_bytes))
}

/// Makes the keyed hash of a text that names somebody or something, as a header that says it has.
pub(crate) fn keyed(sealer: &Sealer, text: &str) -> String {
    hash_of(sealer, std::iter::once(text.as_bytes())).unwrap_or_default()
}

// Who says two things is counted as neither of them; who sends the header and names nobody, with all others who do.
fn hash_of<'v>(sealer: &Sealer, values: impl Iterator<Item = &'v [u8]>) -> Option<String> {
    let mut said = Vec::new();
    for value in values.map(<[u8]>::trim_ascii) {
        let spelled = std::str::from_utf8(value).map(one_spelling);
        let value = spelled.as_deref().map_or(value, str::as_bytes);
        said.extend_from_slice(&value.len().to_be_bytes());
        said.extend_from_slice(value);
    }
    let hash = (!said.is_empty()).then(|| sealer.keyed_hash(PURPOSE, &said))?;
    Some(base64url(hash.get(..HASH_BYTES).unwrap_or_default()))
}

/// Names a peer as it is counted, by its address or the network that somebody wrote; none if it is neither.
pub(crate) fn one_peer(written: &str) -> Option<String> {
    let network = written.strip_suffix("/64");
    let address = network.unwrap_or(written).parse::<IpAddr>().ok()?;
    // The network of an IPv4 address is nobody: each has a counter of its own.
    (network.is_none() || address.to_canonical().is_ipv6()).then(|| prefix(address))
}

/// Names who stands behind an address: a customer of IPv6 holds a /64 and may choose any address in it.
fn prefix(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let network = address.to_bits() & !u128::from(u64::MAX);
            format!("{}/64", Ipv6Addr::from_bits(network))
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn only_one_address_says_that_the_customer_is_there() {
        let told = |values: &[&'static str]| {
            let pairs: Vec<_> = values.iter().map(|value| (CUSTOMER_ADDRESS, *value)).collect();
            attended(&headers(&pairs))
        };
        assert!(!told(&[]) && !told(&[""]) && !told(&["yes"]) && !told(&["10.0.0.1:80"]) && !told(&["10.0.0.256"]));
        assert!(!told(&["10.0.0.1", "10.0.0.1"]) && !told(&["10.0.0.1, 10.0.0.2"]));
        for nobody in ["0.0.0.0", "127.0.0.1", "224.0.0.1", "::", "::1", "ff02::1", "::ffff:127.0.0.1"] {
            assert!(!told(&[nobody]), "{nobody}");
        }
        assert!(told(&["10.0.0.1"]) && told(&[" 2001:db8::1 "]));
    }

    #[test]
    fn a_header_is_known_by_its_hash_alone() {
        let sealer = Sealer::in_memory().unwrap();
        let hash = |pairs: &[(&'static str, &'static str)]| hashed(&headers(pairs), "x-payer-id", &sealer);
        assert_eq!(hash(&[]), None);
        let nobody = hash(&[("x-payer-id", "  ")]);
        assert!(nobody.is_some() && nobody == hash(&[("x-payer-id", "")]), "an empty header is no way round a limit");
        let one = hash(&[("x-payer-id", "880101300011")]);
        assert_eq!(one, hash(&[("x-payer-id", " 880101300011")]));
        assert_eq!(one.as_ref().map(String::len), Some(22));
        assert!(!one.as_ref().unwrap().contains("8801"));
        assert_ne!(one, hash(&[("x-payer-id", "880101300012")]));
        let uuid = "018f3c1e-9d84-7e4f-a031-5c7d9e1f2031";
        let upper = "018F3C1E-9D84-7E4F-A031-5C7D9E1F2031";
        assert_eq!(hash(&[("x-payer-id", uuid)]), hash(&[("x-payer-id", upper)]), "a UUID has one counter");
        assert_eq!(keyed(&sealer, uuid), keyed(&sealer, upper));
        assert_ne!(hash(&[("x-payer-id", "ab")]), hash(&[("x-payer-id", "AB")]), "other names are what they are");
        assert_ne!(hash(&[("x-payer-id", "ab")]), hash(&[("x-payer-id", "a"), ("x-payer-id", "b")]));
    }

    #[test]
    fn a_header_that_comes_twice_is_seen() {
        let twice = |pairs: &[(&'static str, &'static str)]| comes_twice(&headers(pairs), "x-payer-id");
        assert!(
            twice(&[("x-payer-id", "1"), ("x-payer-id", "2")]) && twice(&[("x-payer-id", "1"), ("x-payer-id", "1")])
        );
        assert!(!twice(&[]) && !twice(&[("x-payer-id", "1"), ("accept", "a"), ("accept", "b")]));
    }

    #[test]
    fn a_uuid_is_one_resource_however_it_is_written() {
        let one = "018f3c1e-9d84-7e4f-a031-5c7d9e1f2031";
        for written in [one.to_owned(), one.to_ascii_uppercase(), one.replacen('f', "F", 1)] {
            assert_eq!(one_spelling(&written), one);
        }
        for other in ["", "Ab", "018F3C1E9D847E4FA0315C7D9E1F20310000", "018F3C1E-9D84-7E4F-A031-5C7D9E1F203G"] {
            assert_eq!(one_spelling(other), other, "other names are what they are");
        }
    }

    #[test]
    fn addresses_of_one_v6_network_are_one_peer_and_mapped_v4_is_v4() {
        let name = |address: &str| prefix(address.parse().unwrap());
        assert_eq!(name("192.0.2.1"), "192.0.2.1");
        assert_eq!(name("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(name("2001:db8:1:2:ffff::9"), "2001:db8:1:2::/64");
        assert_ne!(name("2001:db8:1:2::1"), name("2001:db8:1:3::1"));
        for written in ["2001:db8:1:2::1", "2001:DB8:1:2::/64", "2001:db8:1:2:0:0:0:0/64"] {
            assert_eq!(one_peer(written).as_deref(), Some("2001:db8:1:2::/64"));
        }
        assert_eq!(one_peer("::ffff:192.0.2.1").as_deref(), Some("192.0.2.1"));
        for other in ["", "here", "192.0.2", "192.0.2.1:80", "192.0.2.1/64", "192.0.2.0/24", "2001:db8::/48", "/64"] {
            assert_eq!(one_peer(other), None, "{other}");
        }
    }
}
