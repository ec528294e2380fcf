//! Who is at the other end of the connection, as far as the transport can tell.

use std::net::IpAddr;
use std::sync::Arc;

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

    /// Tells whether it names nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
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
