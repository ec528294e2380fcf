#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::fs;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::{ServerName, UnixTime};

use super::*;
use crate::files::testing::{Scratch, mode};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
const TICK: Duration = Duration::from_secs(1);

fn authority(scratch: &Scratch, now: Timestamp) -> DevelopmentAuthority {
    DevelopmentAuthority::load_or_create(&scratch.0, now).unwrap()
}

fn certificate(path: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(path).unwrap()
}

fn roots(authority: &DevelopmentAuthority) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate(&authority.certificate())).unwrap();
    Arc::new(roots)
}

fn unix(at: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(at.seconds().unsigned_abs()))
}

fn trusted_as_server(authority: &DevelopmentAuthority, files: &CertificateFiles, name: &str, at: Timestamp) -> bool {
    let verifier =
        WebPkiServerVerifier::builder_with_provider(roots(authority), Arc::new(default_provider())).build().unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    verifier.verify_server_cert(&certificate(&files.certificate), &[], &name, &[], unix(at)).is_ok()
}

fn trusted_as_client(authority: &DevelopmentAuthority, files: &CertificateFiles, at: Timestamp) -> bool {
    let verifier =
        WebPkiClientVerifier::builder_with_provider(roots(authority), Arc::new(default_provider())).build().unwrap();
    verifier.verify_client_cert(&certificate(&files.certificate), &[], unix(at)).is_ok()
}

#[test]
fn a_certificate_is_good_for_its_names_its_use_and_its_time_only() {
    let scratch = Scratch::new();
    let authority = authority(&scratch, NOW);
    let server = authority.issue_server(&NAMES).unwrap();
    assert!(!trusted_as_server(&authority, &server, "evil.example", NOW));
    assert!(!trusted_as_server(&authority, &server, "127.0.0.2", NOW));
    assert!(!trusted_as_server(&authority, &server, "localhost", NOW + LEAF_LIFE + TICK));
    assert!(!trusted_as_server(&authority, &server, "localhost", NOW - BACKDATED - TICK));
    assert!(!trusted_as_client(&authority, &server, NOW));
    for name in NAMES {
        assert!(trusted_as_server(&authority, &server, name, NOW), "{name}");
    }
    let client = authority.issue_client("app.fintech.example").unwrap();
    assert!(!trusted_as_server(&authority, &client, "app.fintech.example", NOW));
    assert!(trusted_as_client(&authority, &client, NOW));
    let stranger = Scratch::new();
    let other = DevelopmentAuthority::load_or_create(&stranger.0, NOW).unwrap();
    assert!(!trusted_as_client(&other, &client, NOW));
}

#[test]
fn keys_and_certificates_fit_together() {
    let scratch = Scratch::new();
    let files = authority(&scratch, NOW).issue_server(&NAMES).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::from_pem_file(&files.key).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate(&files.certificate)], key);
    assert!(config.is_ok());
}

#[test]
fn the_authority_may_sign_certificates_and_no_further_authorities() {
    let scratch = Scratch::new();
    let der = certificate(&authority(&scratch, NOW).certificate());
    let (_, parsed) = X509Certificate::from_der(&der).unwrap();
    let constraints = parsed.basic_constraints().unwrap().unwrap();
    assert!(constraints.critical && constraints.value.ca);
    assert_eq!(constraints.value.path_len_constraint, Some(0));
    let usage = parsed.key_usage().unwrap().unwrap();
    assert!(usage.value.key_cert_sign() && !usage.value.digital_signature());
    let files = authority(&scratch, NOW).issue_client("a.example").unwrap();
    let der = certificate(&files.certificate);
    let (_, parsed) = X509Certificate::from_der(&der).unwrap();
    assert!(!parsed.is_ca());
    let usage = parsed.key_usage().unwrap().unwrap();
    assert!(usage.value.digital_signature() && !usage.value.key_cert_sign());
    let extended = parsed.extended_key_usage().unwrap().unwrap();
    assert!(extended.value.client_auth && !extended.value.server_auth && !extended.value.any);
    let names = parsed.subject_alternative_name().unwrap().unwrap();
    assert_eq!(names.value.general_names, vec![GeneralName::DNSName("a.example")]);
}

#[test]
fn every_file_is_the_owners_alone() {
    let scratch = Scratch::new();
    let authority = authority(&scratch, NOW);
    authority.issue_server(&NAMES).unwrap();
    authority.issue_client("app.fintech.example").unwrap();
    assert_eq!(mode(&scratch.0), 0o700);
    let mut names: Vec<String> = Vec::new();
    for entry in fs::read_dir(&scratch.0).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        names.push(path.file_name().unwrap().to_string_lossy().into_owned());
    }
    names.sort();
    let expected = [
        "ca.key",
        "ca.pem",
        "client-app.fintech.example.key",
        "client-app.fintech.example.pem",
        "server.key",
        "server.pem",
    ];
    assert_eq!(names, expected);
}

#[test]
fn names_that_are_no_names_are_refused() {
    let scratch = Scratch::new();
    let authority = authority(&scratch, NOW);
    for name in [
        "",
        ".",
        "a..b",
        "../../etc/passwd",
        "a/b",
        "A.example",
        "*.example",
        "a b",
        "-a.example",
        "a-.example",
        "a.example.",
        "қ.kz",
        &"a".repeat(64),
    ] {
        assert!(authority.issue_client(name).is_err(), "{name:?}");
        assert!(authority.issue_server(&[name]).is_err(), "{name:?}");
    }
    assert!(authority.issue_client("127.0.0.1").is_err());
    assert!(authority.issue_server(&[]).is_err());
    assert!(authority.issue_client(&"a".repeat(63)).is_ok());
}

#[test]
fn a_restart_changes_nothing() {
    let scratch = Scratch::new();
    let first = authority(&scratch, NOW);
    let issued = first.issue_server(&NAMES).unwrap();
    let before = (certificate(&first.certificate()), certificate(&issued.certificate));
    let later = authority(&scratch, NOW + LEAF_LIFE - RENEW_BEFORE - TICK);
    // The order of names says nothing.
    let again = later.issue_server(&["::1", "127.0.0.1", "localhost"]).unwrap();
    assert_eq!((certificate(&later.certificate()), certificate(&again.certificate)), before);
    assert!(trusted_as_server(&later, &again, "localhost", NOW + TICK));
}

#[test]
fn a_certificate_is_made_anew_when_it_ends_or_has_other_names() {
    let scratch = Scratch::new();
    let first = authority(&scratch, NOW);
    let before = certificate(&first.issue_server(&NAMES).unwrap().certificate);
    let other = certificate(&first.issue_server(&["localhost"]).unwrap().certificate);
    assert_ne!(before, other);
    let end = NOW + LEAF_LIFE - RENEW_BEFORE;
    let later = authority(&scratch, end);
    let renewed = later.issue_server(&["localhost"]).unwrap();
    assert_ne!(other, certificate(&renewed.certificate));
    assert!(trusted_as_server(&later, &renewed, "localhost", NOW + LEAF_LIFE + TICK));
    // One that is not good yet, as after a clock was set back, is of no use either.
    let earlier = authority(&scratch, end - BACKDATED - TICK);
    let again = earlier.issue_server(&["localhost"]).unwrap();
    assert!(trusted_as_server(&earlier, &again, "localhost", end - BACKDATED - TICK));
    let earlier = authority(&scratch, NOW);
    let again = earlier.issue_server(&["localhost"]).unwrap();
    assert!(trusted_as_server(&earlier, &again, "localhost", NOW));
}

#[test]
fn a_pair_that_does_not_fit_is_made_anew() {
    let scratch = Scratch::new();
    let authority = authority(&scratch, NOW);
    let (server, client) = (authority.issue_server(&NAMES).unwrap(), authority.issue_client("a.example").unwrap());
    // As after a crash between the two files.
    fs::copy(&client.key, &server.key).unwrap();
    let before = certificate(&server.certificate);
    assert_ne!(before, certificate(&authority.issue_server(&NAMES).unwrap().certificate));
    for broken in ["", "broken"] {
        fs::write(&server.certificate, broken).unwrap();
        assert!(trusted_as_server(&authority, &authority.issue_server(&NAMES).unwrap(), "localhost", NOW));
    }
    fs::remove_file(&server.key).unwrap();
    assert!(trusted_as_server(&authority, &authority.issue_server(&NAMES).unwrap(), "localhost", NOW));
}

#[test]
fn a_new_authority_makes_its_certificates_anew() {
    let scratch = Scratch::new();
    let first = authority(&scratch, NOW);
    let before = certificate(&first.issue_server(&NAMES).unwrap().certificate);
    let kept = authority(&scratch, NOW + AUTHORITY_LIFE - LEAF_LIFE - TICK);
    assert_eq!(kept.identifier, first.identifier);
    // So early that no certificate outlives its authority.
    let over = NOW + AUTHORITY_LIFE - LEAF_LIFE;
    let second = authority(&scratch, over);
    let issued = second.issue_server(&NAMES).unwrap();
    assert_ne!(before, certificate(&issued.certificate));
    assert!(trusted_as_server(&second, &issued, "localhost", over));
    fs::remove_file(scratch.0.join("ca.key")).unwrap();
    let third = authority(&scratch, over);
    let issued = third.issue_server(&NAMES).unwrap();
    assert!(trusted_as_server(&third, &issued, "localhost", over));
}

#[test]
fn a_key_that_others_may_read_stops_the_start() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new();
    drop(authority(&scratch, NOW));
    fs::set_permissions(scratch.0.join("ca.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let outage = DevelopmentAuthority::load_or_create(&scratch.0, NOW).unwrap_err();
    assert!(outage.cause.contains("others may read"), "{outage}");
}
