//! TLS at the doors: certificates of ours, and what a client's certificate is worth.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use policies::jose::sha256;
use policies::peer::{ChainVerdict, PeerCertificate};
use policies::time::Timestamp;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use thiserror::Error as ThisError;
use tokio_rustls::TlsAcceptor;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

/// Why a door cannot have TLS.
#[derive(Debug, ThisError)]
pub enum TlsError {
    /// A file is missing or is no PEM.
    #[error("{path}: {cause}")]
    File {
        /// The file.
        path: String,
        /// What is wrong with it.
        cause: String,
    },
    /// Certificate and key do not fit, or are of a kind that is not taken.
    #[error("the certificate and its key cannot be used: {0}")]
    Refused(#[from] Error),
    /// The client authorities cannot be used.
    #[error("the client authorities cannot be used: {0}")]
    Authorities(String),
}

/// TLS of one listener.
#[derive(Clone)]
pub struct TlsDoor {
    acceptor: TlsAcceptor,
    authorities: Option<Arc<Authorities>>,
}

/// Who may vouch for clients.
struct Authorities {
    name: Arc<str>,
    verifier: Arc<dyn ClientCertVerifier>,
}

impl fmt::Debug for TlsDoor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsDoor").field("asks", &self.authorities.is_some()).finish_non_exhaustive()
    }
}

impl TlsDoor {
    /// Opens a door that never asks for a certificate.
    ///
    /// # Errors
    /// [`TlsError`] says which file, and why.
    pub fn open(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let (chain, key) = (certificates(certificate)?, private_key(key)?);
        let config = builder.with_no_client_auth().with_single_cert(chain, key)?;
        Ok(Self { acceptor: finished(config), authorities: None })
    }

    /// Opens a door that asks for a certificate and records what its chain is worth under `authorities`.
    ///
    /// # Errors
    /// [`TlsError`]; a missing or empty file of authorities is one, so that the door never fails open.
    pub fn open_asking(certificate: &Path, key: &Path, authorities: &Path) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let judge = judge(&provider, authorities)?;
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
        let asking = Arc::new(AskOnly { algorithms: provider.signature_verification_algorithms });
        let (chain, key) = (certificates(certificate)?, private_key(key)?);
        let mut config = builder.with_client_cert_verifier(asking).with_single_cert(chain, key)?;
        // A resumed session would bring back a certificate that was judged earlier, perhaps by other authorities.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self { acceptor: finished(config), authorities: Some(Arc::new(judge)) })
    }

    /// Returns what accepts connections.
    #[must_use]
    pub fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    /// Describes the certificate of a finished handshake; none if the door does not ask or the peer has not shown one.
    pub(super) fn peer(&self, chain: Option<&[CertificateDer<'_>]>, now: Timestamp) -> Option<PeerCertificate> {
        let authorities = self.authorities.as_ref()?;
        let (leaf, intermediates) = chain?.split_first()?;
        let seconds = u64::try_from(now.seconds()).unwrap_or(0);
        let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        let verdict = match authorities.verifier.verify_client_cert(leaf, intermediates, at) {
            Ok(_) => ChainVerdict::Verified(Arc::clone(&authorities.name)),
            Err(_) => ChainVerdict::Unverified,
        };
        Some(PeerCertificate::from_handshake(sha256(leaf), dns_names(leaf), verdict))
    }
}

fn finished(mut config: ServerConfig) -> TlsAcceptor {
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // A request in early data could be replayed.
    config.max_early_data_size = 0;
    TlsAcceptor::from(Arc::new(config))
}

fn judge(provider: &Arc<CryptoProvider>, path: &Path) -> Result<Authorities, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| TlsError::Authorities(error.to_string()))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| TlsError::Authorities(error.to_string()))?;
    let name = path.file_stem().map_or_else(|| "authorities".into(), |stem| stem.to_string_lossy().into_owned());
    Ok(Authorities { name: Arc::from(name), verifier })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |cause: String| TlsError::File { path: path.display().to_string(), cause };
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?.collect();
    let found = found.map_err(|error| wrong(error.to_string()))?;
    if found.is_empty() { Err(wrong("it holds no certificate".to_owned())) } else { Ok(found) }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path)
        .map_err(|error| TlsError::File { path: path.display().to_string(), cause: error.to_string() })
}

fn dns_names(leaf: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, parsed)) = parse_x509_certificate(leaf) else { return Vec::new() };
    let Ok(Some(names)) = parsed.subject_alternative_name() else { return Vec::new() };
    let dns =
        |name: &GeneralName<'_>| if let GeneralName::DNSName(text) = name { Some((*text).to_owned()) } else { None };
    names.value.general_names.iter().filter_map(dns).collect()
}

/// Asks for a certificate and checks that the peer holds its key. What the chain is worth is judged after the handshake,
/// as a value: a client with an unknown chain must get an HTTP answer, and a self-signed one may be registered.
#[derive(Debug)]
struct AskOnly {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for AskOnly {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
