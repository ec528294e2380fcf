//! A certificate authority for development: so that TLS and client certificates work on the first run.
//!
//! Nobody outside this machine should trust it; production brings its own certificates.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use policies::code::Outage;
use policies::time::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData, date_time_ymd,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::PORT;
use crate::files::{private_directory, read_private, read_public, write_private};

/// How long the authority lives.
pub const AUTHORITY_LIFE: Duration = Duration::from_secs(3650 * 86_400);

/// How long a certificate of it lives: well below what clients refuse (398 days), so that renewal is not a rare path.
pub const LEAF_LIFE: Duration = Duration::from_secs(90 * 86_400);

/// How long before its end a certificate is made anew.
pub const RENEW_BEFORE: Duration = Duration::from_secs(7 * 86_400);

// Clocks of clients may be a little behind.
const BACKDATED: Duration = Duration::from_secs(86_400);

const AUTHORITY_NAME: &str = "Qaqpa development authority";

/// Where a certificate and its private key are, both PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate.
    pub certificate: PathBuf,
    /// The PKCS#8 key, mode 0600.
    pub key: PathBuf,
}

/// A certificate authority in a directory: `ca.pem`, `ca.key`, and what it has issued.
pub struct DevelopmentAuthority {
    directory: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    identifier: Vec<u8>,
    now: Timestamp,
}

impl DevelopmentAuthority {
    /// Loads the authority of a directory; makes a new one if there is none, or it is out of form or ends so soon that
    /// a certificate issued now would outlive it.
    ///
    /// A new authority makes every certificate of the old one useless; those are issued anew when asked for.
    ///
    /// # Errors
    /// [`Outage`] if a file cannot be read or written, or others may read the key.
    pub fn load_or_create(directory: &Path, now: Timestamp) -> Result<Self, Outage> {
        private_directory(directory)?;
        let files = files(directory, "ca");
        let params = authority_params(now)?;
        if let Some((key, found)) = load(&files)?
            && found.common_name.as_deref() == Some(AUTHORITY_NAME)
            && found.is_authority
            && found.lives(now)
            && found.lives(now + LEAF_LIFE)
        {
            return Ok(Self::new(directory, params, key, now));
        }
        let key = KeyPair::generate().map_err(refused)?;
        let certificate = params.self_signed(&key).map_err(refused)?;
        store(&files, &key, &certificate.pem())?;
        Ok(Self::new(directory, params, key, now))
    }

    fn new(directory: &Path, params: CertificateParams, key: KeyPair, now: Timestamp) -> Self {
        let identifier = params.key_identifier(&key);
        Self { directory: directory.to_owned(), issuer: Issuer::new(params, key), identifier, now }
    }

    /// Returns where the authority's own certificate is: what clients are to trust.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        files(&self.directory, "ca").certificate
    }

    /// Gives a server certificate (`server.pem`, `server.key`) for these DNS names and addresses.
    ///
    /// The one that is there is given if it has exactly these names, is of this authority, and lives for at least
    /// [`RENEW_BEFORE`].
    ///
    /// # Errors
    /// [`Outage`] if a name is malformed, or a file cannot be read or written.
    pub fn issue_server(&self, names: &[&str]) -> Result<CertificateFiles, Outage> {
        self.issue("server", names, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// Gives a client certificate (`client-<dns>.pem`, `client-<dns>.key`) with this one DNS name, as above.
    ///
    /// # Errors
    /// As [`DevelopmentAuthority::issue_server`].
    pub fn issue_client(&self, dns: &str) -> Result<CertificateFiles, Outage> {
        if dns.parse::<IpAddr>().is_ok() {
            return Err(Outage::new(PORT, "a client certificate is for a DNS name, not for an address"));
        }
        self.issue(&format!("client-{}", checked_dns(dns)?), &[dns], ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// Gives a client certificate (`own-<dns>.pem`, `own-<dns>.key`) with this one DNS name that nobody vouches for: it is
    /// signed with its own key. The one that is there is given as above.
    ///
    /// # Errors
    /// As [`DevelopmentAuthority::issue_server`].
    pub fn self_signed_client(&self, dns: &str) -> Result<CertificateFiles, Outage> {
        let files = files(&self.directory, &format!("own-{}", checked_dns(dns)?));
        if let Some((_, found)) = load(&files)?
            && found.lives(self.now)
            && found.lives(self.now + RENEW_BEFORE)
        {
            return Ok(files);
        }
        let mut params = leaf_params([dns.to_owned()].into(), ExtendedKeyUsagePurpose::ClientAuth, self.now)?;
        params.use_authority_key_identifier_extension = false;
        let key = KeyPair::generate().map_err(refused)?;
        let certificate = params.self_signed(&key).map_err(refused)?;
        store(&files, &key, &certificate.pem())?;
        Ok(files)
    }

    fn issue(&self, stem: &str, names: &[&str], usage: ExtendedKeyUsagePurpose) -> Result<CertificateFiles, Outage> {
        let wanted = names.iter().map(|name| normal_name(name)).collect::<Result<BTreeSet<String>, Outage>>()?;
        let files = files(&self.directory, stem);
        if let Some((_, found)) = load(&files)?
            && found.names == wanted
            && found.issuer.as_deref() == Some(&*self.identifier)
            && found.lives(self.now)
            && found.lives(self.now + RENEW_BEFORE)
        {
            return Ok(files);
        }
        let params = leaf_params(wanted, usage, self.now)?;
        let key = KeyPair::generate().map_err(refused)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(refused)?;
        store(&files, &key, &certificate.pem())?;
        Ok(files)
    }
}

impl std::fmt::Debug for DevelopmentAuthority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DevelopmentAuthority").field("directory", &self.directory).finish_non_exhaustive()
    }
}

// What a certificate that was found says of itself.
struct Found {
    names: BTreeSet<String>,
    common_name: Option<String>,
    issuer: Option<Vec<u8>>,
    is_authority: bool,
    begins: i64,
    ends: i64,
}

impl Found {
    fn read(pem: &str, key: &KeyPair) -> Option<Self> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
        let (rest, certificate) = X509Certificate::from_der(&der).ok()?;
        if !rest.is_empty() || certificate.public_key().raw != key.subject_public_key_info() {
            return None;
        }
        let mut names = BTreeSet::new();
        if let Some(extension) = certificate.subject_alternative_name().ok()? {
            for name in &extension.value.general_names {
                names.insert(match name {
                    GeneralName::DNSName(name) => (*name).to_owned(),
                    GeneralName::IPAddress(bytes) => address(bytes)?.to_string(),
                    _ => return None,
                });
            }
        }
        let issuer = certificate.iter_extensions().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(identifier) => {
                identifier.key_identifier.as_ref().map(|identifier| identifier.0.to_vec())
            }
            _ => None,
        });
        let common_name = certificate.subject().iter_common_name().next();
        Some(Self {
            names,
            common_name: common_name.and_then(|name| name.as_str().ok()).map(str::to_owned),
            issuer,
            is_authority: certificate.is_ca(),
            begins: certificate.validity().not_before.timestamp(),
            ends: certificate.validity().not_after.timestamp(),
        })
    }

    fn lives(&self, at: Timestamp) -> bool {
        (self.begins..self.ends).contains(&at.seconds())
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

fn authority_params(now: Timestamp) -> Result<CertificateParams, Outage> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, AUTHORITY_NAME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_life(&mut params, now, AUTHORITY_LIFE)?;
    Ok(params)
}

fn leaf_params(
    names: BTreeSet<String>,
    usage: ExtendedKeyUsagePurpose,
    now: Timestamp,
) -> Result<CertificateParams, Outage> {
    let first = names.first().cloned().ok_or_else(|| Outage::new(PORT, "a certificate needs a name"))?;
    let mut params = CertificateParams::new(names.into_iter().collect::<Vec<_>>()).map_err(refused)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, first);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    set_life(&mut params, now, LEAF_LIFE)?;
    Ok(params)
}

fn set_life(params: &mut CertificateParams, now: Timestamp, life: Duration) -> Result<(), Outage> {
    let at = |instant: Timestamp| {
        let seconds = u64::try_from(instant.seconds()).map_err(|_| Outage::new(PORT, "the clock is before 1970"))?;
        Ok::<_, Outage>(date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds))
    };
    params.not_before = at(now - BACKDATED)?;
    params.not_after = at(now + life)?;
    Ok(())
}

fn files(directory: &Path, stem: &str) -> CertificateFiles {
    CertificateFiles { certificate: directory.join(format!("{stem}.pem")), key: directory.join(format!("{stem}.key")) }
}

// A pair that belongs together; `None` if anything is missing or does not fit: then both are made anew.
fn load(files: &CertificateFiles) -> Result<Option<(KeyPair, Found)>, Outage> {
    let (Some(key), Some(certificate)) = (read_private(&files.key)?, read_public(&files.certificate)?) else {
        return Ok(None);
    };
    let key = std::str::from_utf8(key.expose()).ok().and_then(|pem| KeyPair::from_pem(pem).ok());
    Ok(key.and_then(|key| Found::read(&certificate, &key).map(|found| (key, found))))
}

// The key first: a crash in between leaves a pair that does not fit, and that is seen.
fn store(files: &CertificateFiles, key: &KeyPair, certificate: &str) -> Result<(), Outage> {
    let pem = policies::secret::Secret::new(key.serialize_pem());
    write_private(&files.key, pem.expose().as_bytes())?;
    write_private(&files.certificate, certificate.as_bytes())
}

fn normal_name(name: &str) -> Result<String, Outage> {
    match name.parse::<IpAddr>() {
        Ok(address) => Ok(address.to_string()),
        Err(_) => checked_dns(name).map(str::to_owned),
    }
}

// Lower-case host names only: they become file names too.
fn checked_dns(name: &str) -> Result<&str, Outage> {
    let label = |label: &str| {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (1..=63).contains(&label.len()) && label.bytes().all(plain) && !label.starts_with('-') && !label.ends_with('-')
    };
    if name.len() <= 253 && name.split('.').all(label) {
        return Ok(name);
    }
    Err(Outage::new(PORT, "a DNS name in a certificate is made of lower-case labels, digits and hyphens"))
}

fn refused(error: rcgen::Error) -> Outage {
    Outage::new(PORT, format!("a certificate could not be made: {error}"))
}

#[cfg(test)]
#[path = "authority_tests.rs"]
mod tests;
