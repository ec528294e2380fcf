//! Whom outgoing TLS connections trust, and as whom they go: what the configuration names, never the system's list.

use std::fmt;
use std::sync::Arc;

use policies::code::Outage;
use policies::secret::Secret;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore};

/// The certificate authorities that servers are checked against.
#[derive(Clone)]
pub struct Trust(Arc<ClientConfig>);

/// The certificate and key that we show to servers that ask for one, in PEM.
#[derive(Debug)]
pub struct Identity<'a> {
    /// The chain, our own certificate first.
    pub chain: &'a [u8],
    /// Its key.
    pub key: &'a Secret<Vec<u8>>,
}

impl Trust {
    /// Trusts nobody: every https call fails.
    ///
    /// # Errors
    /// An [`Outage`] if TLS cannot be set up at all.
    pub fn nobody() -> Result<Self, Outage> {
        Self::build(RootCertStore::empty(), None)
    }

    /// Trusts the authorities in a PEM bundle, and shows `identity` to servers that ask.
    ///
    /// # Errors
    /// An [`Outage`] if the bundle holds no certificate, or one that cannot be read, or the identity does not fit.
    pub fn from_pem(bundle: &[u8], identity: Option<&Identity<'_>>) -> Result<Self, Outage> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(bundle)? {
            roots.add(certificate).map_err(|error| Outage::new("trust", error))?;
        }
        Self::build(roots, identity)
    }

    /// Trusts the same authorities, and shows `identity` to servers that ask.
    ///
    /// # Errors
    /// An [`Outage`] if the identity cannot be read, or its key is not that of its certificate.
    pub fn showing(&self, identity: &Identity<'_>) -> Result<Self, Outage> {
        let wrong = || Outage::new("trust", "the key of the client certificate cannot be read, or is of another one");
        let key = PrivateKeyDer::from_pem_slice(identity.key.expose()).map_err(|_| wrong())?;
        let mut config = ClientConfig::clone(&self.0);
        let shown = CertifiedKey::from_der(certificates(identity.chain)?, key, config.crypto_provider());
        config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(shown.map_err(|_| wrong())?));
        Ok(Self(Arc::new(config)))
    }

    /// Tells whether this is the same trust, read at the same time.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Returns the TLS configuration that asks for this one protocol by ALPN.
    pub(crate) fn config(&self, protocol: &[u8]) -> Arc<ClientConfig> {
        let mut config = ClientConfig::clone(&self.0);
        config.alpn_protocols = vec![protocol.to_vec()];
        Arc::new(config)
    }

    /// Returns the TLS configuration that names no protocol, for servers that speak theirs before TLS begins.
    pub(crate) fn without_protocol(&self) -> ClientConfig {
        ClientConfig::clone(&self.0)
    }

    fn build(roots: RootCertStore, identity: Option<&Identity<'_>>) -> Result<Self, Outage> {
        // Named outright: rustls must never choose between two providers.
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Outage::new("trust", error))?
            .with_root_certificates(roots);
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let key = PrivateKeyDer::from_pem_slice(identity.key.expose())
                    .map_err(|_| Outage::new("trust", "the key of the client certificate cannot be read"))?;
                builder
                    .with_client_auth_cert(certificates(identity.chain)?, key)
                    .map_err(|error| Outage::new("trust", error))?
            }
        };
        Ok(Self(Arc::new(config)))
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trust")
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Outage> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|_| Outage::new("trust", "a certificate of the bundle cannot be read"))?;
    if found.is_empty() { Err(Outage::new("trust", "the bundle holds no certificate")) } else { Ok(found) }
}
