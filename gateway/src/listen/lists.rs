//! Whether lists of revocations are those of the authorities that clients are vouched for by.
//!
//! A list of somebody else's is not wrong in itself, and yet closes the door: where no list of an authority is, its
//! clients are refused. Must know nothing of connections.

use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, SignatureVerificationAlgorithm};
use x509_parser::certificate::X509Certificate;
use x509_parser::revocation_list::CertificateRevocationList;
use x509_parser::{parse_x509_certificate, parse_x509_crl};

use policies::time::Timestamp;

/// Names the first authority that is not over and has signed none of the lists; none if all have.
///
/// Does not look at what a list says, nor whether it is over.
#[must_use]
pub fn without_list(
    authorities: &[CertificateDer<'_>],
    lists: &[CertificateRevocationListDer<'_>],
    algorithms: &[&dyn SignatureVerificationAlgorithm],
    now: Timestamp,
) -> Option<String> {
    let lists: Vec<_> = lists.iter().filter_map(|der| parse_x509_crl(der).ok()).map(|(_, list)| list).collect();
    authorities.iter().find_map(|der| {
        let (_, authority) = parse_x509_certificate(der).ok()?;
        // In a bundle of old and new the old one ends: it vouches for nobody, and no longer makes lists.
        let is_over = authority.validity().not_after.timestamp() <= now.seconds();
        let has_one = lists.iter().any(|list| is_of(list, &authority, algorithms));
        (!is_over && !has_one).then(|| authority.subject().to_string())
    })
}

fn is_of(
    list: &CertificateRevocationList<'_>,
    authority: &X509Certificate<'_>,
    algorithms: &[&dyn SignatureVerificationAlgorithm],
) -> bool {
    let may_sign = authority.key_usage().is_ok_and(|usage| usage.is_none_or(|usage| usage.value.crl_sign()));
    if !may_sign || list.issuer().as_raw() != authority.subject().as_raw() {
        return false;
    }
    let key = authority.public_key();
    let (signed, kind) =
        (object(list.signature_algorithm.algorithm.as_bytes()), object(key.algorithm.algorithm.as_bytes()));
    // Parameters, such as the curve, are left to the algorithm: a key of another kind verifies nothing.
    let fit = algorithms
        .iter()
        .filter(|known| known.signature_alg_id().starts_with(&signed) && known.public_key_alg_id().starts_with(&kind));
    fit.into_iter().any(|known| {
        let signature = &list.signature_value.data;
        known.verify_signature(&key.subject_public_key.data, list.tbs_cert_list.as_ref(), signature).is_ok()
    })
}

/// Writes an object identifier in DER; those of algorithms are shorter than 128 bytes.
fn object(bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
    [&[0x06, length], bytes].concat()
}
