//! What TLS is made of: certificates, keys and lists of revocations, read from PEM files and looked at once.
//!
//! Must know nothing of connections: that is for [`tls`](super::tls).

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use adapters::files::read_regular;
use policies::jose::sha256;
use policies::time::Timestamp;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use thiserror::Error as ThisError;
use x509_parser::{parse_x509_certificate, parse_x509_crl};

/// The longest PEM file that is read, in bytes: lists of revocations of a country's authority have a few hundred KiB.
pub const PEM_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// How long before its end a certificate or a list is warned of.
pub const WARN_BEFORE: Duration = Duration::from_secs(30 * 86_400);

/// Why a file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
#[error("{}: {cause}", path.display())]
pub struct FileFault {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it; never holds a byte of a key.
    pub cause: String,
    /// When it is right by itself, if all that is wrong is that it is not good yet.
    pub begins: Option<Timestamp>,
}

impl FileFault {
    /// Tells what is wrong with a file.
    pub fn new(path: &Path, cause: impl fmt::Display) -> Self {
        Self { path: path.to_owned(), cause: cause.to_string(), begins: None }
    }
}

/// What a file with an end holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Our own certificate.
    Certificate,
    /// Whom we believe.
    Authorities,
    /// What they have taken back.
    Revocations,
}

impl Kind {
    /// Returns the word of the metric.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Kind::Certificate => "certificate",
            Kind::Authorities => "authorities",
            Kind::Revocations => "revocations",
        }
    }
}

/// How long a file is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// What it holds.
    pub kind: Kind,
    /// The file.
    pub path: PathBuf,
    /// The begin of our leaf; of the authority that begins first of those that have not ended; 1970 for lists.
    pub begins: Timestamp,
    /// The end of our leaf; of the authority that ends first of those that have not ended; of the list that ends first.
    pub ends: Timestamp,
}

impl Life {
    /// Returns the whole seconds that are left; below zero if it is over.
    #[must_use]
    pub fn left(&self, now: Timestamp) -> i64 {
        self.ends.seconds().saturating_sub(now.seconds())
    }

    /// Tells whether it is over.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        now >= self.ends
    }

    /// Checks that it is good now.
    ///
    /// # Errors
    /// That it is over, or not good yet.
    pub fn check(&self, now: Timestamp) -> Result<(), FileFault> {
        if self.is_over(now) {
            return Err(FileFault::new(&self.path, format!("it is over since {}", self.ends)));
        }
        if now < self.begins {
            let early = FileFault::new(&self.path, format!("it is not good before {}", self.begins));
            return Err(FileFault { begins: Some(self.begins), ..early });
        }
        Ok(())
    }

    /// Tells whether somebody should look at it: it is over, or soon will be.
    #[must_use]
    pub fn is_near(&self, now: Timestamp) -> bool {
        now + WARN_BEFORE >= self.ends
    }
}

/// A file as it was read at one moment.
pub struct Pem {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl fmt::Debug for Pem {
    // It may hold a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pem").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Pem {
    /// Reads a file.
    ///
    /// # Errors
    /// That it cannot be read, is no regular file, or has more than [`PEM_BYTES_MAX`].
    pub fn read(path: &Path) -> Result<Self, FileFault> {
        let bytes = read_regular(path, PEM_BYTES_MAX).map_err(|error| FileFault::new(path, error))?;
        Ok(Self { path: path.to_owned(), bytes })
    }

    /// Returns SHA-256 of its bytes: the same file has the same.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        sha256(&self.bytes)
    }

    /// Returns where it was read.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Reads the certificates, of which there has to be one.
    ///
    /// # Errors
    /// That there is none, or one that cannot be read, such as the half of one.
    pub fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, FileFault> {
        self.whole("CERTIFICATE")?;
        let found = self.items::<CertificateDer<'static>>("certificate")?;
        match found.iter().find(|der| !parse_x509_certificate(der).is_ok_and(|(rest, _)| rest.is_empty())) {
            Some(_) => Err(FileFault::new(&self.path, "a certificate in it cannot be read")),
            None => Ok(found),
        }
    }

    /// Reads the lists of revocations, of which there has to be one.
    ///
    /// # Errors
    /// As for certificates.
    pub fn revocations(&self) -> Result<Vec<CertificateRevocationListDer<'static>>, FileFault> {
        self.whole("X509 CRL")?;
        self.items("list of revocations")
    }

    /// Reads the private key.
    ///
    /// # Errors
    /// That there is none.
    pub fn key(&self) -> Result<PrivateKeyDer<'static>, FileFault> {
        // The error could quote what it did not understand.
        PrivateKeyDer::from_pem_slice(&self.bytes)
            .map_err(|_| FileFault::new(&self.path, "it holds no private key that can be read"))
    }

    /// Tells how long the first certificate is good.
    ///
    /// # Errors
    /// As of [`Pem::certificates`].
    pub fn leaf_life(&self) -> Result<Life, FileFault> {
        let leaf = self.certificates()?.into_iter().next();
        Ok(self.life(Kind::Certificate, leaf.and_then(|der| span(&der)).unwrap_or((NEVER, NEVER))))
    }

    /// Tells how long the authorities are good.
    ///
    /// # Errors
    /// As of [`Pem::certificates`].
    pub fn authorities_life(&self, now: Timestamp) -> Result<Life, FileFault> {
        let all: Vec<(Timestamp, Timestamp)> = self.certificates()?.iter().filter_map(span).collect();
        // In a bundle of old and new the old one ends, and that is as it should be; nor need the new one have begun.
        let living = || all.iter().filter(|(_, ends)| *ends > now);
        let begins = living().map(|(begins, _)| *begins).min().unwrap_or(NEVER);
        let ends = living().map(|(_, ends)| *ends).min();
        let ends = ends.or(all.iter().map(|(_, ends)| *ends).max()).unwrap_or(NEVER);
        Ok(self.life(Kind::Authorities, (begins, ends)))
    }

    /// Tells how long the lists of revocations are good; one that names no next one is good for ever.
    ///
    /// # Errors
    /// As of [`Pem::revocations`], and of a list that cannot be read.
    pub fn revocations_life(&self) -> Result<Life, FileFault> {
        let mut first = Timestamp::from_seconds(i64::from(u32::MAX));
        for list in self.revocations()? {
            let (_, parsed) =
                parse_x509_crl(&list).map_err(|_| FileFault::new(&self.path, "a list in it cannot be read"))?;
            if let Some(next) = parsed.next_update() {
                first = first.min(Timestamp::from_seconds(next.timestamp()));
            }
        }
        Ok(self.life(Kind::Revocations, (NEVER, first)))
    }

    fn life(&self, kind: Kind, (begins, ends): (Timestamp, Timestamp)) -> Life {
        Life { kind, path: self.path.clone(), begins, ends }
    }

    fn items<T: PemObject>(&self, what: &str) -> Result<Vec<T>, FileFault> {
        let found: Result<Vec<T>, _> = T::pem_slice_iter(&self.bytes).collect();
        let found = found.map_err(|error| FileFault::new(&self.path, error))?;
        if found.is_empty() { Err(FileFault::new(&self.path, format!("it holds no {what}"))) } else { Ok(found) }
    }

    // A file that is being written may end behind a whole section, or within one; the reader passes over the latter.
    fn whole(&self, label: &str) -> Result<(), FileFault> {
        let count = |mark: &str| {
            let mark = format!("-----{mark} {label}-----");
            self.bytes.windows(mark.len()).filter(|window| *window == mark.as_bytes()).count()
        };
        if count("BEGIN") == count("END") { Ok(()) } else { Err(FileFault::new(&self.path, "it breaks off")) }
    }
}

/// As an end: what is not there is over. As a begin: nothing is early.
const NEVER: Timestamp = Timestamp::from_seconds(0);

fn span(der: &CertificateDer<'_>) -> Option<(Timestamp, Timestamp)> {
    let (_, parsed) = parse_x509_certificate(der).ok()?;
    let validity = parsed.validity();
    Some((
        Timestamp::from_seconds(validity.not_before.timestamp()),
        Timestamp::from_seconds(validity.not_after.timestamp()),
    ))
}
