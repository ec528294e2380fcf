//! Where a message may be sent to when somebody else chose the address: never into a network that trusts whoever is in it.
//!
//! Must not resolve a name: whoever does asks about every address that the name has, and connects to no other.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use thiserror::Error;

/// The longest URL of an endpoint, in bytes: longer ones are refused by common servers.
pub const ENDPOINT_BYTES_MAX: usize = 2048;

/// The longest name in the DNS (RFC 1035, 2.3.4), in characters as written.
const DNS_NAME_MAX: usize = 253;

/// The longest part of a name between dots (RFC 1035, 2.3.4).
const DNS_LABEL_MAX: usize = 63;

/// Who is reached under an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Realm {
    /// Anybody: the address is one of the public internet.
    Public,
    /// Somebody near: this machine, its link, its site, or a network between.
    Private,
    /// Nobody, or many at once: unspecified, multicast, broadcast, reserved.
    Nobody,
}

impl Realm {
    /// Tells who is reached under an address.
    ///
    /// Source: the IANA special-purpose address registries (RFC 6890) for IPv4; of IPv6 only what is assigned as global
    /// unicast (2000::/3) is public, and of that nothing that carries an IPv4 address or is kept for documentation. An
    /// IPv6 address that stands for an IPv4 one (mapped, NAT64, 6to4) is private whatever it stands for.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => of_v4(address),
            IpAddr::V6(address) => of_v6(address),
        }
    }

    /// Tells whether a message may go there; `private` says whether an operator allowed private addresses.
    #[must_use]
    pub fn is_open(self, private: bool) -> bool {
        match self {
            Realm::Public => true,
            Realm::Private => private,
            Realm::Nobody => false,
        }
    }
}

fn of_v4(address: Ipv4Addr) -> Realm {
    match address.octets() {
        [0 | 224..=255, ..] => Realm::Nobody,
        [10 | 127, ..]
        | [100, 64..=127, ..]
        | [169, 254, ..]
        | [172, 16..=31, ..]
        | [192, 168, ..]
        // Protocol assignments, documentation, the relays of 6to4, and benchmarks.
        | [192, 0, 0 | 2, _]
        | [198, 51, 100, _]
        | [203, 0, 113, _]
        | [192, 88, 99, _]
        | [198, 18..=19, ..] => Realm::Private,
        _ => Realm::Public,
    }
}

fn of_v6(address: Ipv6Addr) -> Realm {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] | [0xff00..=0xffff, ..] => Realm::Nobody,
        // Protocol assignments with Teredo and ORCHID (2001::/23), documentation, and 6to4.
        [0x2001, 0..=0x01ff | 0x0db8, ..] | [0x2002, ..] | [0x3fff, 0..=0x0fff, ..] => Realm::Private,
        [0x2000..=0x3fff, ..] => Realm::Public,
        _ => Realm::Private,
    }
}

/// Why a text is not an endpoint that messages are sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EndpointError {
    /// It is not a URL of at most [`ENDPOINT_BYTES_MAX`] bytes with a host, or one that programs read differently.
    #[error("it is not a plain URL with a scheme and a host, of at most {ENDPOINT_BYTES_MAX} bytes")]
    Malformed,
    /// It is not `https`.
    #[error("it must be https")]
    Scheme,
    /// It holds a user name or a password.
    #[error("it may not hold a user name or a password")]
    Userinfo,
    /// It ends with a fragment, which is never sent.
    #[error("it may not hold a fragment (`#`)")]
    Fragment,
    /// It names an address that is not one of the public internet.
    #[error("its address is not one of the public internet")]
    Private,
}

/// The URL of an endpoint that a client chose, shown without its path, which may be a secret; made only by [`Endpoint::parse`].
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    url: Arc<str>,
    // Up to the first slash behind the host.
    origin: usize,
}

impl Endpoint {
    /// Reads the URL of an endpoint: https to a public name or address.
    ///
    /// With `private` also to a private address, and then http to a loopback address. What a name resolves to is not
    /// checked here. Spellings that programs read differently are refused: addresses that are not written out, back
    /// slashes, blanks, letters beyond ASCII.
    ///
    /// # Errors
    /// [`EndpointError`].
    pub fn parse(text: &str, private: bool) -> Result<Self, EndpointError> {
        let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'"' | b'<' | b'>' | b'`');
        if text.len() > ENDPOINT_BYTES_MAX || !text.bytes().all(plain) {
            return Err(EndpointError::Malformed);
        }
        let (scheme, rest) = text.split_once("://").ok_or(EndpointError::Malformed)?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at_checked(end).ok_or(EndpointError::Malformed)?;
        if !matches!(scheme, "https" | "http") {
            return Err(EndpointError::Scheme);
        }
        if authority.contains('@') {
            return Err(EndpointError::Userinfo);
        }
        if target.contains('#') {
            return Err(EndpointError::Fragment);
        }
        let host = host(authority).ok_or(EndpointError::Malformed)?;
        if let Host::Address(address) = host
            && !Realm::of(address).is_open(private)
        {
            return Err(EndpointError::Private);
        }
        let this_machine = matches!(host, Host::Address(address) if address.is_loopback());
        if scheme == "http" && !(private && this_machine) {
            return Err(EndpointError::Scheme);
        }
        Ok(Self { url: Arc::from(text), origin: scheme.len() + "://".len() + end })
    }

    /// Returns the whole URL; its path and query may hold what only the endpoint's owner is to know.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns scheme, host and port, for logs.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.url.get(..self.origin).unwrap_or_default()
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Endpoint").field(&self.origin()).finish()
    }
}

/// What stands between the slashes.
enum Host {
    /// A name, whose addresses are told when it is resolved.
    Name,
    /// An address, or the one name that stands for this machine (RFC 6761, 6.3).
    Address(IpAddr),
}

fn host(authority: &str) -> Option<Host> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (inside, port) = rest.split_once(']')?;
            // A zone, which would name an interface of this machine, is no part of an address.
            (Host::Address(IpAddr::V6(inside.parse().ok()?)), port)
        }
        None => {
            let (name, port) = authority.split_at_checked(authority.find(':').unwrap_or(authority.len()))?;
            let host = match name.parse::<Ipv4Addr>() {
                Ok(address) => Host::Address(IpAddr::V4(address)),
                Err(_) => dns_name(&name.to_ascii_lowercase())?,
            };
            (host, port)
        }
    };
    match port.strip_prefix(':') {
        None if port.is_empty() => Some(host),
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse::<u16>().ok().filter(|port| *port > 0).map(|_| host)
        }
        _ => None,
    }
}

// A last label of digits is what some programs read as a short way to write an IPv4 address (`127.1`, `0x7f.1`).
fn dns_name(name: &str) -> Option<Host> {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= DNS_LABEL_MAX
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let last = name.rsplit('.').next()?;
    let number = last.starts_with(|first: char| first.is_ascii_digit());
    if name.len() > DNS_NAME_MAX || !name.split('.').all(label) || number {
        return None;
    }
    let here = name == "localhost" || name.ends_with(".localhost");
    Some(if here { Host::Address(IpAddr::V4(Ipv4Addr::LOCALHOST)) } else { Host::Name })
}

/// A range of addresses in CIDR notation (RFC 4632), for example `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressRange {
    address: IpAddr,
    bits: u8,
}

impl AddressRange {
    /// Reads a range; none if it is malformed or its address has bits beyond its length.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let digits = !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
        let range = Self { address: address.parse().ok()?, bits: bits.parse().ok().filter(|_| digits)? };
        (range.bits <= range.width() && range.network(range.address) == range.network_of_all(range.address))
            .then_some(range)
    }

    /// Returns its first address.
    #[must_use]
    pub fn first(&self) -> IpAddr {
        self.address
    }

    /// Tells whether an address is in it; an IPv4 address that is written as IPv6 is the IPv4 one.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && self.network(address) == self.network(self.address)
    }

    /// Tells whether every address of its kind is in it.
    #[must_use]
    pub const fn is_everything(&self) -> bool {
        self.bits == 0
    }

    const fn width(&self) -> u8 {
        if self.address.is_ipv4() { 32 } else { 128 }
    }

    fn network(&self, address: IpAddr) -> u128 {
        self.network_of_all(address)
            .checked_shr(u32::from(self.width().saturating_sub(self.bits)))
            .unwrap_or(0)
            .checked_shl(u32::from(self.width().saturating_sub(self.bits)))
            .unwrap_or(0)
    }

    fn network_of_all(&self, address: IpAddr) -> u128 {
        match address {
            IpAddr::V4(address) => u128::from(u32::from(address)),
            IpAddr::V6(address) => u128::from(address),
        }
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    fn realm(text: &str) -> Realm {
        Realm::of(text.parse().unwrap())
    }

    /// Each range with its first and last address, and the public ones beside it where there are any.
    #[test]
    fn each_range_that_is_not_public_is_known_to_its_ends() {
        for (first, last, beside) in [
            ("10.0.0.0", "10.255.255.255", &["9.255.255.255", "11.0.0.0"][..]),
            ("100.64.0.0", "100.127.255.255", &["100.63.255.255", "100.128.0.0"]),
            ("127.0.0.0", "127.255.255.255", &["126.255.255.255", "128.0.0.0"]),
            ("169.254.0.0", "169.254.255.255", &["169.253.255.255", "169.255.0.0"]),
            ("172.16.0.0", "172.31.255.255", &["172.15.255.255", "172.32.0.0"]),
            ("192.0.0.0", "192.0.0.255", &["191.255.255.255", "192.0.1.0"]),
            ("192.0.2.0", "192.0.2.255", &["192.0.1.255", "192.0.3.0"]),
            ("192.88.99.0", "192.88.99.255", &["192.88.98.255", "192.88.100.0"]),
            ("192.168.0.0", "192.168.255.255", &["192.167.255.255", "192.169.0.0"]),
            ("198.18.0.0", "198.19.255.255", &["198.17.255.255", "198.20.0.0"]),
            ("198.51.100.0", "198.51.100.255", &["198.51.99.255", "198.51.101.0"]),
            ("203.0.113.0", "203.0.113.255", &["203.0.112.255", "203.0.114.0"]),
            ("::1", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", &["2000::"]),
            ("::ffff:0.0.0.0", "::ffff:255.255.255.255", &[]),
            ("64:ff9b::", "64:ff9b::ffff:ffff", &[]),
            ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", &[]),
            ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", &["2000:ffff::", "2001:200::"]),
            ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", &["2001:db7:ffff::", "2001:db9::"]),
            ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", &["2001:ffff::", "2003::"]),
            ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", &["3ffe:ffff::", "3fff:1000::"]),
            ("4000::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", &["3fff:ffff::"]),
            ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", &[]),
            ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", &[]),
        ] {
            assert_eq!((realm(first), realm(last)), (Realm::Private, Realm::Private), "{first}");
            for address in beside {
                assert_eq!(realm(address), Realm::Public, "{address}");
            }
        }
        for nobody in ["0.0.0.0", "0.255.255.255", "224.0.0.0", "239.255.255.255", "240.0.0.0", "255.255.255.255"] {
            assert_eq!(realm(nobody), Realm::Nobody, "{nobody}");
        }
        for nobody in ["::", "ff00::", "ff02::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"] {
            assert_eq!(realm(nobody), Realm::Nobody, "{nobody}");
        }
        assert_eq!((realm("1.0.0.0"), realm("223.255.255.255")), (Realm::Public, Realm::Public));
        assert!(!Realm::Nobody.is_open(true) && !Realm::Private.is_open(false) && Realm::Private.is_open(true));
    }

    #[test]
    fn an_endpoint_is_https_to_the_public_internet() {
        for (text, error) in [
            ("", EndpointError::Malformed),
            ("hooks.example.kz/in", EndpointError::Malformed),
            ("https://", EndpointError::Malformed),
            ("https:///in", EndpointError::Malformed),
            ("https://hooks.example.kz:/in", EndpointError::Malformed),
            ("https://hooks.example.kz:0/in", EndpointError::Malformed),
            ("https://hooks.example.kz:65536/in", EndpointError::Malformed),
            ("https://hooks.example.kz:+1/in", EndpointError::Malformed),
            ("https://hooks_example.kz/in", EndpointError::Malformed),
            ("https://hooks.example.kz./in", EndpointError::Malformed),
            ("https://-hooks.example.kz/in", EndpointError::Malformed),
            ("https://hooks.example.kz/a b", EndpointError::Malformed),
            ("https://hooks.example.kz\\@10.0.0.1/", EndpointError::Malformed),
            ("https://қаз.kz/in", EndpointError::Malformed),
            ("https://127.1/", EndpointError::Malformed),
            ("https://2130706433/", EndpointError::Malformed),
            ("https://0x7f000001/", EndpointError::Malformed),
            ("https://017700000001/", EndpointError::Malformed),
            ("https://10.0.0.01/", EndpointError::Malformed),
            ("https://[fe80::1%25eth0]/", EndpointError::Malformed),
            ("https://[::1/", EndpointError::Malformed),
            ("https://[::1]x/", EndpointError::Malformed),
            ("HTTPS://hooks.example.kz/", EndpointError::Scheme),
            ("ftp://hooks.example.kz/", EndpointError::Scheme),
            ("http://hooks.example.kz/", EndpointError::Scheme),
            ("http://8.8.8.8/", EndpointError::Scheme),
            ("https://user@hooks.example.kz/", EndpointError::Userinfo),
            ("https://hooks.example.kz:443@10.0.0.1/", EndpointError::Userinfo),
            ("https://hooks.example.kz/in#part", EndpointError::Fragment),
            ("https://hooks.example.kz#part", EndpointError::Fragment),
            ("https://10.0.0.1/in", EndpointError::Private),
            ("https://169.254.169.254/latest/meta-data", EndpointError::Private),
            ("https://0.0.0.0/", EndpointError::Private),
            ("https://localhost/", EndpointError::Private),
            ("https://a.LOCALHOST/", EndpointError::Private),
            ("https://[::1]/", EndpointError::Private),
            ("https://[::ffff:8.8.8.8]/", EndpointError::Private),
            ("https://[64:ff9b::808:808]/", EndpointError::Private),
            ("http://127.0.0.1:9000/in", EndpointError::Private),
        ] {
            assert_eq!(Endpoint::parse(text, false), Err(error), "{text}");
        }
        for text in [
            "https://hooks.example.kz",
            "https://hooks.example.kz/in?tenant=1&x=a@b",
            "https://Hooks.Example.kz:8443/in",
            "https://8.8.8.8/in",
            "https://[2a00:1450::1]:8443/in",
            "https://internal/in",
        ] {
            assert!(Endpoint::parse(text, false).is_ok(), "{text}");
        }
    }

    #[test]
    fn private_addresses_need_the_operators_word_and_clear_text_this_machine() {
        for text in ["https://10.0.0.1/in", "http://127.0.0.1:9000/in", "http://[::1]:9000/", "http://localhost:1/"] {
            assert!(Endpoint::parse(text, true).is_ok(), "{text}");
        }
        for (text, error) in [
            ("http://10.0.0.1/in", EndpointError::Scheme),
            ("http://hooks.example.kz/in", EndpointError::Scheme),
            ("https://0.0.0.0/in", EndpointError::Private),
            ("https://224.0.0.1/in", EndpointError::Private),
        ] {
            assert_eq!(Endpoint::parse(text, true), Err(error), "{text}");
        }
    }

    #[test]
    fn an_endpoint_has_a_longest_length_and_shows_no_path() {
        let long = |bytes: usize| format!("https://h.kz/{}", "a".repeat(bytes - "https://h.kz/".len()));
        assert!(Endpoint::parse(&long(ENDPOINT_BYTES_MAX), false).is_ok());
        assert_eq!(Endpoint::parse(&long(ENDPOINT_BYTES_MAX + 1), false), Err(EndpointError::Malformed));
        let endpoint = Endpoint::parse("https://hooks.example.kz:8443?token=hunter2", false).unwrap();
        assert_eq!(endpoint.origin(), "https://hooks.example.kz:8443");
        assert_eq!(format!("{endpoint:?}"), "Endpoint(\"https://hooks.example.kz:8443\")");
        assert_eq!(endpoint.url(), "https://hooks.example.kz:8443?token=hunter2");
    }
}
