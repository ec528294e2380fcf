//! Client certificates: the sandbox's own, and such as nobody vouches for.

use std::path::Path;
use std::sync::Arc;

use policies::peer::{CertificateNames, ChainVerdict, PeerCertificate};
use rcgen::{CertificateParams, KeyPair};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::key::{base64url, sha256};

/// A certificate with its key.
#[derive(Debug)]
pub struct Certificate {
    /// The certificate.
    pub der: CertificateDer<'static>,
    /// Its private key.
    pub key: PrivateKeyDer<'static>,
    dns_names: Vec<String>,
    vouched: bool,
}

impl Certificate {
    /// Reads a certificate of the sandbox's authority.
    #[must_use]
    pub fn vouched(certificate: &Path, key: &Path, dns: &str) -> Arc<Self> {
        Arc::new(Self {
            der: CertificateDer::from_pem_file(certificate).unwrap(),
            key: PrivateKeyDer::from_pem_file(key).unwrap(),
            dns_names: vec![dns.to_owned()],
            vouched: true,
        })
    }

    /// Takes a certificate that some authority has issued, and its key.
    #[must_use]
    pub fn issued(der: CertificateDer<'static>, key: PrivateKeyDer<'static>, dns: &str) -> Arc<Self> {
        Arc::new(Self { der, key, dns_names: vec![dns.to_owned()], vouched: true })
    }

    /// Makes a certificate with this name that nobody but its holder vouches for.
    #[must_use]
    pub fn self_signed(dns: &str) -> Arc<Self> {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![dns.to_owned()]).unwrap().self_signed(&key).unwrap();
        Arc::new(Self {
            der: certificate.der().clone(),
            key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            dns_names: vec![dns.to_owned()],
            vouched: false,
        })
    }

    /// Returns what tokens name it by (RFC 8705, 3.1).
    #[must_use]
    pub fn thumbprint(&self) -> String {
        base64url(&sha256(&self.der))
    }

    /// Describes it as the listener would after a handshake.
    #[must_use]
    pub fn as_peer(&self) -> PeerCertificate {
        let verdict = if self.vouched { ChainVerdict::Verified(Arc::from("ca")) } else { ChainVerdict::Unverified };
        let thumbprint = sha256(&self.der).try_into().unwrap();
        let names = CertificateNames { dns: self.dns_names.clone(), ..CertificateNames::default() };
        PeerCertificate::from_handshake(thumbprint, names, verdict)
    }
}
