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

/// A certificate whose key the peer of this very connection has proven to hold (RFC 8705).
///
/// The only constructor is called by the listener, after the handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerCertificate {
    thumbprint: [u8; 32],
    dns_names: Vec<String>,
    verdict: ChainVerdict,
}

impl PeerCertificate {
    /// Records the leaf certificate of a finished handshake.
    ///
    /// `thumbprint` is SHA-256 of its DER form, `dns_names` are its subject alternative names of type dNSName.
    /// Does not check anything: the handshake did, and `verdict` says how far.
    #[must_use]
    pub fn from_handshake(thumbprint: [u8; 32], dns_names: Vec<String>, verdict: ChainVerdict) -> Self {
        Self { thumbprint, dns_names, verdict }
    }

    /// Returns SHA-256 of the DER form, the value behind `x5t#S256`.
    #[must_use]
    pub fn thumbprint(&self) -> &[u8; 32] {
        &self.thumbprint
    }

    /// Returns the DNS names of the subject alternative name extension.
    #[must_use]
    pub fn dns_names(&self) -> &[String] {
        &self.dns_names
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
