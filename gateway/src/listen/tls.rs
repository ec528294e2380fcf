//! TLS at the doors: certificates of ours, and what a client's certificate is worth.
//!
//! What a door stands on can be renewed while it serves: new handshakes use the new, connections under way end on the
//! old, and what a client's certificate is worth is judged again by the new before its next request.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use policies::jose::sha256;
use policies::peer::{ChainVerdict, PeerCertificate};
use policies::time::Timestamp;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use thiserror::Error as ThisError;
use tokio_rustls::TlsAcceptor;

use super::lists::without_list;
use super::material::{FileFault, Life, Pem};
use super::names;

/// How long the worth of a client's certificate is believed on one connection: then it is judged again, so that one that
/// ends, or whose list of revocations ends, does not live on for as long as its connection.
pub const JUDGED_MAX: Duration = Duration::from_secs(60);

/// Why a door cannot have TLS.
#[derive(Debug, ThisError)]
pub enum TlsError {
    /// A file is missing or is no PEM.
    #[error(transparent)]
    File(#[from] FileFault),
    /// Certificate and key do not fit, or are of a kind that is not taken.
    #[error("the certificate and its key cannot be used: {0}")]
    Refused(#[from] Error),
    /// The client authorities or what they have revoked cannot be used.
    #[error("the client authorities cannot be used: {0}")]
    Authorities(String),
}

/// The files that a door stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoorFiles {
    /// Our chain, leaf first.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Who vouches for clients; none if the door never asks for certificates.
    pub authorities: Option<PathBuf>,
    /// What they have revoked; none if that is not looked at.
    pub revocations: Option<PathBuf>,
}

impl DoorFiles {
    /// Returns every file.
    #[must_use]
    pub fn places(&self) -> Vec<PathBuf> {
        let own = [&self.certificate, &self.key].into_iter();
        own.chain(&self.authorities).chain(&self.revocations).cloned().collect()
    }
}

/// TLS of one listener.
pub struct TlsDoor {
    files: DoorFiles,
    stand: ArcSwap<Stand>,
}

/// What a door stands on now.
pub struct Stand {
    acceptor: TlsAcceptor,
    authorities: Option<Authorities>,
    /// How long each file is good.
    pub lives: Vec<Life>,
    digest: [u8; 32],
}

/// Who may vouch for clients.
struct Authorities {
    name: Arc<str>,
    verifier: Arc<dyn ClientCertVerifier>,
}

/// The certificate that a client has shown on one connection, with what it was found to be worth.
pub struct Shown {
    chain: Vec<CertificateDer<'static>>,
    judged: Mutex<Judged>,
}

struct Judged {
    by: Arc<Stand>,
    at: Timestamp,
    certificate: Arc<PeerCertificate>,
}

impl fmt::Debug for TlsDoor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsDoor").field("files", &self.files).finish_non_exhaustive()
    }
}

impl TlsDoor {
    /// Opens a door; one with authorities asks for a certificate and records what its chain is worth under them.
    ///
    /// # Errors
    /// [`TlsError`] says which file, and why; a missing or empty file of authorities or revocations is one, so that the
    /// door never fails open.
    pub fn open(files: DoorFiles, now: Timestamp) -> Result<Self, TlsError> {
        let material = Material::read(&files)?;
        let stand = material.stand(&files, now)?;
        // There is no last good one to stay with: the door is closed to those whom nobody vouches for, and opens for the
        // rest. A file that is over is told of by whoever counts down.
        if let Err(fault) = material.lists(now) {
            tracing::error!("{fault}");
        }
        Ok(Self { files, stand: ArcSwap::from_pointee(stand) })
    }

    /// Reads the files again and stands on them from now on; `false` if they are as they were.
    ///
    /// # Errors
    /// As of [`TlsDoor::open`], what is over already or not good yet, and lists of revocations without one of each
    /// authority; the door stands as it did then.
    pub fn renew(&self, now: Timestamp) -> Result<bool, TlsError> {
        let material = Material::read(&self.files)?;
        if material.digest() == self.stand.load().digest {
            return Ok(false);
        }
        let stand = material.stand(&self.files, now)?;
        stand.lives.iter().try_for_each(|life| life.check(now))?;
        material.lists(now)?;
        self.stand.store(Arc::new(stand));
        Ok(true)
    }

    /// Returns what it stands on now.
    #[must_use]
    pub fn stand(&self) -> Arc<Stand> {
        self.stand.load_full()
    }

    /// Returns the files that it stands on.
    #[must_use]
    pub fn files(&self) -> &DoorFiles {
        &self.files
    }

    /// Returns what the certificate of a connection is worth at `now`, by what the door stands on by then.
    pub(super) fn judge(&self, shown: &Shown, now: Timestamp) -> Arc<PeerCertificate> {
        let stand = self.stand.load();
        let mut judged = shown.judged.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = now >= judged.at && now < judged.at + JUDGED_MAX;
        if !fresh || !Arc::ptr_eq(&judged.by, &stand) {
            let by = Arc::clone(&stand);
            // A door that no longer asks would be another listener: the files change, what they are for does not.
            let certificate = by.peer(&shown.chain, now).map_or_else(|| Arc::clone(&judged.certificate), Arc::new);
            *judged = Judged { by, at: now, certificate };
        }
        Arc::clone(&judged.certificate)
    }
}

impl Stand {
    /// Returns what accepts connections.
    #[must_use]
    pub fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    /// Takes the certificate of a finished handshake; none if the door does not ask or the peer has not shown one.
    pub(super) fn shown(self: &Arc<Self>, chain: Option<&[CertificateDer<'_>]>, now: Timestamp) -> Option<Shown> {
        let chain: Vec<_> = chain?.iter().map(|der| der.clone().into_owned()).collect();
        let certificate = Arc::new(self.peer(&chain, now)?);
        Some(Shown { chain, judged: Mutex::new(Judged { by: Arc::clone(self), at: now, certificate }) })
    }

    fn peer(&self, chain: &[CertificateDer<'_>], now: Timestamp) -> Option<PeerCertificate> {
        let authorities = self.authorities.as_ref()?;
        let (leaf, intermediates) = chain.split_first()?;
        let seconds = u64::try_from(now.seconds()).unwrap_or(0);
        let at = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let read = names::read(leaf);
        let verdict = match authorities.verifier.verify_client_cert(leaf, intermediates, at) {
            Ok(_) if read.for_clients => ChainVerdict::Verified(Arc::clone(&authorities.name)),
            Ok(_) => ChainVerdict::Unverified,
            Err(Error::InvalidCertificate(CertificateError::Revoked)) => ChainVerdict::Revoked,
            Err(_) => ChainVerdict::Unverified,
        };
        Some(PeerCertificate::from_handshake(sha256(leaf), read.names, verdict))
    }
}

/// The files of a door, as they were read.
struct Material {
    certificate: Pem,
    key: Pem,
    authorities: Option<Pem>,
    revocations: Option<Pem>,
}

impl Material {
    fn read(files: &DoorFiles) -> Result<Self, TlsError> {
        Ok(Self {
            certificate: Pem::read(&files.certificate)?,
            key: Pem::read(&files.key)?,
            authorities: files.authorities.as_deref().map(Pem::read).transpose()?,
            revocations: files.revocations.as_deref().map(Pem::read).transpose()?,
        })
    }

    fn digest(&self) -> [u8; 32] {
        let own = [&self.certificate, &self.key].into_iter();
        let all: Vec<u8> = own.chain(&self.authorities).chain(&self.revocations).flat_map(|pem| pem.digest()).collect();
        sha256(&all)
    }

    /// Checks that each authority has a list, if lists are looked at: without one all its clients are refused.
    fn lists(&self, now: Timestamp) -> Result<(), FileFault> {
        let (Some(authorities), Some(revocations)) = (&self.authorities, &self.revocations) else { return Ok(()) };
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms.all;
        let (certificates, lists) = (authorities.certificates()?, revocations.revocations()?);
        without_list(&certificates, &lists, algorithms, now).map_or(Ok(()), |name| {
            let cause =
                format!("none of its lists is signed by the authority {name}, so that all its clients are refused");
            Err(FileFault::new(revocations.path(), cause))
        })
    }

    fn stand(&self, files: &DoorFiles, now: Timestamp) -> Result<Stand, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
        let (chain, key) = (self.certificate.certificates()?, self.key.key()?);
        let mut lives = vec![self.certificate.leaf_life()?];
        let (config, authorities) = match (&self.authorities, &files.authorities) {
            (Some(pem), Some(path)) => {
                let verifier = verifier(&provider, pem, self.revocations.as_ref())?;
                lives.push(pem.authorities_life(now)?);
                let stem = path.file_stem();
                let name = stem.map_or_else(|| "authorities".into(), |stem| stem.to_string_lossy().into_owned());
                let asking = Arc::new(AskOnly { algorithms: provider.signature_verification_algorithms });
                let mut config = builder.with_client_cert_verifier(asking).with_single_cert(chain, key)?;
                // A resumed session would bring back a certificate that was judged earlier, perhaps by other authorities.
                config.session_storage = Arc::new(NoServerSessionStorage {});
                config.send_tls13_tickets = 0;
                (config, Some(Authorities { name: Arc::from(name), verifier }))
            }
            _ => (builder.with_no_client_auth().with_single_cert(chain, key)?, None),
        };
        if let Some(revocations) = &self.revocations {
            lives.push(revocations.revocations_life()?);
        }
        Ok(Stand { acceptor: finished(config), authorities, lives, digest: self.digest() })
    }
}

fn finished(mut config: ServerConfig) -> TlsAcceptor {
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // A request in early data could be replayed.
    config.max_early_data_size = 0;
    TlsAcceptor::from(Arc::new(config))
}

fn verifier(
    provider: &Arc<CryptoProvider>,
    authorities: &Pem,
    revocations: Option<&Pem>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in authorities.certificates()? {
        roots.add(certificate).map_err(|error| TlsError::Authorities(error.to_string()))?;
    }
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    if let Some(revocations) = revocations {
        // Closed where the lists say nothing: every authority of the chain needs one, and one that is over vouches for
        // nobody. Whoever could keep us from getting the newest list could otherwise keep a stolen certificate alive.
        builder = builder.with_crls(revocations.revocations()?).enforce_revocation_expiration();
    }
    builder.build().map_err(|error| TlsError::Authorities(error.to_string()))
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
