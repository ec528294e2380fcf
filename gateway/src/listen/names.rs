//! What a client's certificate calls its holder, and what it may be used for.
//!
//! The certificate comes from the peer: what cannot be read is not there. Nothing here says that a name is true.

use std::net::IpAddr;

use policies::peer::{CertificateNames, DistinguishedName};
use rustls_pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;
use x509_parser::x509::X509Name;

/// What is read of a leaf.
#[derive(Debug, Default)]
pub(super) struct Leaf {
    /// The names of its holder.
    pub(super) names: CertificateNames,
    /// Whether it says of itself that clients may show it: webpki takes one that says nothing, too (RFC 8705 section 2.1
    /// leaves that to profiles; certificates of open banking say it).
    pub(super) for_clients: bool,
}

/// Reads a leaf.
pub(super) fn read(leaf: &CertificateDer<'_>) -> Leaf {
    match parse_x509_certificate(leaf) {
        Ok(([], parsed)) => Leaf { names: names(&parsed), for_clients: is_for_clients(&parsed) },
        _ => Leaf::default(),
    }
}

fn is_for_clients(certificate: &X509Certificate<'_>) -> bool {
    matches!(certificate.extended_key_usage(), Ok(Some(usage)) if usage.value.client_auth)
}

fn names(certificate: &X509Certificate<'_>) -> CertificateNames {
    let mut told = CertificateNames { subject: subject(certificate.subject()), ..CertificateNames::default() };
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return told };
    for name in &names.value.general_names {
        match name {
            GeneralName::DNSName(text) => told.dns.push((*text).to_owned()),
            GeneralName::URI(text) => told.uris.push((*text).to_owned()),
            GeneralName::RFC822Name(text) => told.emails.push((*text).to_owned()),
            GeneralName::IPAddress(bytes) => told.addresses.extend(address(bytes)),
            _ => {}
        }
    }
    told
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let four = || <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from);
    four().or_else(|| <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from))
}

// A name of which a part cannot be read as text is no name: left out, the rest would be somebody else's.
fn subject(name: &X509Name<'_>) -> Option<DistinguishedName> {
    let mut relative = Vec::new();
    for names in name.iter_rdn() {
        let attributes: Option<Vec<(String, String)>> = names
            .iter()
            .map(|attribute| Some((attribute.attr_type().to_id_string(), attribute.as_str().ok()?.to_owned())))
            .collect();
        relative.push(attributes?);
    }
    let name = DistinguishedName::of(relative);
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
#[path = "names_tests.rs"]
mod tests;
