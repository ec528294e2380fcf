//! A certificate authority with nothing of ours: it vouches for servers and clients, and takes that back.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::certificate::Certificate;

// rcgen's type for a moment has no name here.
macro_rules! at {
    ($seconds:expr) => {
        date_time_ymd(1970, 1, 1) + Duration::from_secs(u64::try_from($seconds).unwrap())
    };
}

/// How long what it issues is good.
pub const LIFE: Duration = Duration::from_secs(40 * 86_400);

/// An authority.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    now: i64,
}

impl Authority {
    /// Makes a new one; what it issues is good from an hour before `now`, in seconds since 1970.
    #[must_use]
    pub fn new(name: &str, now: i64) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        (params.not_before, params.not_after) = (at!(now - 3600), at!(now + 3_650 * 86_400));
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem, now }
    }

    /// Returns its own certificate.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Issues a certificate for a server on loopback; gives certificate and key.
    #[must_use]
    pub fn server(&self) -> (String, String) {
        let names = ["127.0.0.1", "localhost"].map(str::to_owned);
        let (certificate, key) = self.issue(&names, 1, ExtendedKeyUsagePurpose::ServerAuth);
        (certificate, key.serialize_pem())
    }

    /// Issues a certificate with this serial number for a client.
    #[must_use]
    pub fn client(&self, dns: &str, serial: u64) -> Arc<Certificate> {
        let (pem, key) = self.issue(&[dns.to_owned()], serial, ExtendedKeyUsagePurpose::ClientAuth);
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        Certificate::issued(der, PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap(), dns)
    }

    /// Lists the certificates that it has taken back, good for so long from `now` on.
    #[must_use]
    pub fn revocations(&self, serials: &[u64], life: Duration) -> String {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: at!(self.now - 60),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: at!(self.now - 60),
            next_update: at!(self.now) + life,
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    fn issue(&self, names: &[String], serial: u64, usage: ExtendedKeyUsagePurpose) -> (String, KeyPair) {
        let mut params = CertificateParams::new(names).unwrap();
        params.serial_number = Some(SerialNumber::from(serial));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        (params.not_before, params.not_after) = (at!(self.now - 3600), at!(self.now) + LIFE);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key)
    }
}

/// Writes several texts into one file.
pub fn bundle(path: &Path, texts: &[&str]) {
    std::fs::write(path, texts.concat()).unwrap();
}
