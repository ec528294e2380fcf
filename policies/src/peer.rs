//! Who is at the other end of the connection, as far as the transport can tell.

use std::net::IpAddr;
use std::sync::Arc;

use thiserror::Error;

/// What the chain of a client certificate is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChainVerdict {
    /// The chain ends in a configured client authority, whose name is given.
    Verified(Arc<str>),
    /// Possession of the key was proven, nothing else.
    Unverified,
    /// The authority that vouched for it has taken that back.
    Revoked,
}

/// A subject's name: relative names in their order, each a set of attributes with their values.
///
/// Equal by value (RFC 5280, section 7.1): letter case of texts and blanks around or doubled do not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DistinguishedName(Vec<Vec<(String, String)>>);

impl DistinguishedName {
    /// Takes relative names from the outermost (country, organisation) to the innermost (common name); an attribute is its
    /// object identifier in dots, and its value as text.
    #[must_use]
    pub fn of(names: Vec<Vec<(String, String)>>) -> Self {
        let plain = |(kind, value): (String, String)| {
            (kind, value.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase())
        };
        let sorted = |attributes: Vec<(String, String)>| {
            let mut attributes: Vec<_> = attributes.into_iter().map(plain).collect();
            attributes.sort();
            attributes
        };
        Self(names.into_iter().map(sorted).collect())
    }

    /// Reads a name as RFC 4514 writes it, `CN=app,O=Example,C=KZ`: the innermost name first.
    ///
    /// Attributes are those of RFC 4514, section 3, those that certificates of organisations have (`serialNumber`,
    /// `organizationIdentifier`, `emailAddress`, `GN`, `SN`), and object identifiers in dots; letter case does not count.
    /// Values in hexadecimal (`#...`) are not read: what is meant by them is not for people.
    ///
    /// # Errors
    /// [`NameError`].
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.len() > NAME_BYTES_MAX {
            return Err(NameError::TooLong);
        }
        let mut names = vec![Vec::new()];
        let mut rest = text;
        loop {
            let (attribute, after) = rest.split_once('=').ok_or(NameError::Malformed)?;
            let attribute = attribute.trim();
            if !attribute.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-')) {
                return Err(NameError::Malformed);
            }
            let kind = identifier(attribute).ok_or_else(|| NameError::Attribute(attribute.to_owned()))?;
            let (value, end, after) = attribute_value(after)?;
            names.last_mut().ok_or(NameError::Malformed)?.push((kind, value));
            rest = after;
            match end {
                None => break,
                Some(',') => names.push(Vec::new()),
                Some(_) => {}
            }
        }
        names.reverse();
        Ok(Self::of(names))
    }

    /// Tells whether it names nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The longest name that is read, in bytes: real ones have a hundred.
pub const NAME_BYTES_MAX: usize = 1024;

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NameError {
    /// It has more than [`NAME_BYTES_MAX`] bytes.
    #[error("it has more than {NAME_BYTES_MAX} bytes")]
    TooLong,
    /// It is not `attribute=value` after `attribute=value`, with `,` or `+` between.
    #[error("it is not written as `CN=app,O=Example,C=KZ` (RFC 4514)")]
    Malformed,
    /// An attribute is neither known nor an object identifier.
    #[error("`{0}` is no attribute that is known, nor an object identifier")]
    Attribute(String),
}

// The words of RFC 4514, section 3, and further ones of certificates (X.520, RFC 2985), without regard to letter case.
const ATTRIBUTES: [(&str, &str); 15] = [
    ("CN", "2.5.4.3"),
    ("SN", "2.5.4.4"),
    ("serialNumber", "2.5.4.5"),
    ("C", "2.5.4.6"),
    ("L", "2.5.4.7"),
    ("ST", "2.5.4.8"),
    ("STREET", "2.5.4.9"),
    ("O", "2.5.4.10"),
    ("OU", "2.5.4.11"),
    ("businessCategory", "2.5.4.15"),
    ("GN", "2.5.4.42"),
    ("organizationIdentifier", "2.5.4.97"),
    ("emailAddress", "1.2.840.113549.1.9.1"),
    ("UID", "0.9.2342.19200300.100.1.1"),
    ("DC", "0.9.2342.19200300.100.1.25"),
];

fn identifier(attribute: &str) -> Option<String> {
    if let Some((_, found)) = ATTRIBUTES.iter().find(|(word, _)| word.eq_ignore_ascii_case(attribute)) {
        return Some((*found).to_owned());
    }
    let number = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) && (part == "0" || !part.starts_with('0'))
    };
    (attribute.contains('.') && attribute.split('.').all(number)).then(|| attribute.to_owned())
}

// Reads up to a `,` or `+` that is not escaped: the value, which of them it was, and what follows.
fn attribute_value(text: &str) -> Result<(String, Option<char>, &str), NameError> {
    let mut value: Vec<u8> = Vec::new();
    let mut characters = text.char_indices();
    let (mut end, mut after) = (None, "");
    if text.trim_start().starts_with('#') {
        return Err(NameError::Malformed);
    }
    while let Some((at, character)) = characters.next() {
        match character {
            ',' | '+' => {
                (end, after) = (Some(character), text.get(at + 1..).unwrap_or_default());
                break;
            }
            '\\' => match characters.next().map(|(_, next)| next) {
                Some(next @ (',' | '+' | '"' | '\\' | '<' | '>' | ';' | '=' | '#' | ' ')) => value.push(next as u8),
                Some(high) => {
                    let low = characters.next().map(|(_, low)| low).ok_or(NameError::Malformed)?;
                    let digits = (high.to_digit(16), low.to_digit(16));
                    let (Some(high), Some(low)) = digits else { return Err(NameError::Malformed) };
                    value.push(u8::try_from(high * 16 + low).map_err(|_| NameError::Malformed)?);
                }
                None => return Err(NameError::Malformed),
            },
            '"' | '<' | '>' | ';' | '\0' => return Err(NameError::Malformed),
            other => value.extend(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    let value = String::from_utf8(value).map_err(|_| NameError::Malformed)?;
    if value.trim().is_empty() { Err(NameError::Malformed) } else { Ok((value, end, after)) }
}

/// What a certificate calls its holder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CertificateNames {
    /// Its alternative names of type dNSName.
    pub dns: Vec<String>,
    /// Of type uniformResourceIdentifier.
    pub uris: Vec<String>,
    /// Of type iPAddress.
    pub addresses: Vec<IpAddr>,
    /// Of type rfc822Name.
    pub emails: Vec<String>,
    /// Its subject; none if it is empty or cannot be read.
    pub subject: Option<DistinguishedName>,
}

/// A certificate whose key the peer of this very connection has proven to hold (RFC 8705).
///
/// The only constructor is called by the listener, after the handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerCertificate {
    thumbprint: [u8; 32],
    names: CertificateNames,
    verdict: ChainVerdict,
}

impl PeerCertificate {
    /// Records the leaf certificate of a finished handshake.
    ///
    /// `thumbprint` is SHA-256 of its DER form.
    /// Does not check anything: the handshake did, and `verdict` says how far.
    #[must_use]
    pub fn from_handshake(thumbprint: [u8; 32], names: CertificateNames, verdict: ChainVerdict) -> Self {
        Self { thumbprint, names, verdict }
    }

    /// Returns SHA-256 of the DER form, the value behind `x5t#S256`.
    #[must_use]
    pub fn thumbprint(&self) -> &[u8; 32] {
        &self.thumbprint
    }

    /// Returns what it calls its holder.
    #[must_use]
    pub fn names(&self) -> &CertificateNames {
        &self.names
    }

    /// Returns what the chain is worth.
    #[must_use]
    pub fn verdict(&self) -> &ChainVerdict {
        &self.verdict
    }
}

/// The other end of a connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The address the connection came from, never one told by a header.
    pub address: IpAddr,
    /// The certificate of this connection, on the listener that asks for one.
    pub certificate: Option<Arc<PeerCertificate>>,
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    #[test]
    fn what_is_no_name_is_refused() {
        for (text, expected) in [
            ("", NameError::Malformed),
            ("app", NameError::Malformed),
            ("CN=", NameError::Malformed),
            ("CN= ", NameError::Malformed),
            ("CN=app,", NameError::Malformed),
            ("CN=app,,C=KZ", NameError::Malformed),
            ("CN=app;C=KZ", NameError::Malformed),
            ("CN=\"app\",C=KZ", NameError::Malformed),
            ("CN=#0C0161", NameError::Malformed),
            ("CN=app\\", NameError::Malformed),
            ("CN=app\\4", NameError::Malformed),
            ("CN=app\\zz", NameError::Malformed),
            ("CN=\\FF", NameError::Malformed),
            ("NAME=app", NameError::Attribute("NAME".to_owned())),
            ("2.5.04.3=app", NameError::Attribute("2.5.04.3".to_owned())),
        ] {
            assert_eq!(DistinguishedName::parse(text), Err(expected), "{text}");
        }
        let long = |length: usize| format!("CN={}", "a".repeat(length - 3));
        assert_eq!(DistinguishedName::parse(&long(NAME_BYTES_MAX + 1)), Err(NameError::TooLong));
        assert!(DistinguishedName::parse(&long(NAME_BYTES_MAX)).is_ok());
    }

    #[test]
    fn a_name_is_what_the_certificate_says_from_the_outermost_on() {
        let attribute = |kind: &str, value: &str| (kind.to_owned(), value.to_owned());
        let name = DistinguishedName::of(vec![
            vec![attribute("2.5.4.6", "KZ")],
            vec![attribute("2.5.4.10", "Example, LLP")],
            vec![attribute("2.5.4.3", "app"), attribute("2.5.4.5", "7")],
        ]);
        for text in [
            "CN=app+serialNumber=7,O=Example\\, LLP,C=KZ",
            "serialNumber=7+cn=App, o=example\\2C  LLP , c=kz",
            "2.5.4.3=app+2.5.4.5=7,2.5.4.10=Example\\, LLP,2.5.4.6=KZ",
        ] {
            assert_eq!(DistinguishedName::parse(text).unwrap(), name, "{text}");
        }
        for text in ["C=KZ,O=Example\\, LLP,CN=app+serialNumber=7", "CN=app,serialNumber=7,O=Example\\, LLP,C=KZ"] {
            assert_ne!(DistinguishedName::parse(text).unwrap(), name, "{text}");
        }
        let kazakh = DistinguishedName::parse("O=\\D2\\9B\\D0\\B0\\D0\\B7\\D0\\BD\\D0\\B0").unwrap();
        assert_eq!(kazakh, DistinguishedName::parse("O=Қазна").unwrap());
    }
}
