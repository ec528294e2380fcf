//! Certificates as client authentication, of every kind, and assertions that are nearly right.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::code::Code;
use crate::grant::testing::{ISSUER, NOW, client, form};
use crate::jose::testing::{TestSigner, sign_raw};
use crate::party::KeySource;
use crate::peer::{CertificateNames, DistinguishedName};

const VERIFIED: fn() -> ChainVerdict = || ChainVerdict::Verified(Arc::from("authority"));

fn by(authentication: ClientAuthentication) -> Arc<Client> {
    Arc::new(Client { authentication, ..client() })
}

fn asked(pairs: &[(&str, &str)]) -> ClientForm {
    ClientForm::parse(&form(pairs)).unwrap()
}

fn shown(names: CertificateNames, verdict: ChainVerdict) -> PeerCertificate {
    PeerCertificate::from_handshake([7; 32], names, verdict)
}

fn check(client: &Arc<Client>, certificate: Option<&PeerCertificate>) -> Result<(), GrantError> {
    check_certificate(&asked(&[("client_id", "fintech")]), client, certificate).map(|_| ())
}

fn subject(parts: &[(&str, &str)]) -> DistinguishedName {
    DistinguishedName::of(parts.iter().map(|(kind, value)| vec![((*kind).to_owned(), (*value).to_owned())]).collect())
}

const C: &str = "2.5.4.6";
const O: &str = "2.5.4.10";
const CN: &str = "2.5.4.3";

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

#[test]
fn as50_a_name_counts_as_the_attribute_it_is_registered_as_and_as_no_other() {
    let told = "app.fintech.example";
    let everywhere_else = |attribute: usize| {
        let put = |index: usize| if index == attribute { Vec::new() } else { texts(&[told]) };
        let addresses = if attribute == 2 { Vec::new() } else { vec!["192.0.2.7".parse().unwrap()] };
        let named = subject(&[(CN, told)]);
        CertificateNames {
            dns: put(0),
            uris: put(1),
            addresses,
            emails: put(3),
            subject: (attribute != 4).then_some(named),
        }
    };
    let names = [
        CertificateName::SanDns(told.to_owned()),
        CertificateName::SanUri(told.to_owned()),
        CertificateName::SanIp("192.0.2.7".parse().unwrap()),
        CertificateName::SanEmail(told.to_owned()),
        CertificateName::SubjectDn(subject(&[(CN, told)])),
    ];
    for (attribute, name) in names.into_iter().enumerate() {
        let client = by(ClientAuthentication::TlsClientAuth(name));
        let found = check(&client, Some(&shown(everywhere_else(attribute), VERIFIED())));
        assert_eq!(found, Err(GrantError::WrongCertificate), "attribute {attribute}");
        let found = check(&client, Some(&shown(everywhere_else(usize::MAX), VERIFIED())));
        assert_eq!(found, Ok(()), "attribute {attribute}");
        for verdict in [ChainVerdict::Unverified, ChainVerdict::Revoked] {
            let found = check(&client, Some(&shown(everywhere_else(usize::MAX), verdict)));
            assert_eq!(found, Err(GrantError::WrongCertificate), "attribute {attribute}");
        }
        assert_eq!(check(&client, None), Err(GrantError::WrongCertificate));
    }
}

#[test]
fn as50_uris_and_mail_addresses_are_compared_byte_for_byte() {
    let uri = "https://app.fintech.example/client";
    let client = by(ClientAuthentication::TlsClientAuth(CertificateName::SanUri(uri.to_owned())));
    for told in [
        "https://app.fintech.example/client/",
        "https://app.fintech.example/Client",
        "HTTPS://app.fintech.example/client",
        "https://app.fintech.example:443/client",
        "https://app.fintech.example",
        "https://app.fintech.example/client?x",
        "",
    ] {
        let names = CertificateNames { uris: texts(&[told]), ..CertificateNames::default() };
        assert_eq!(check(&client, Some(&shown(names, VERIFIED()))), Err(GrantError::WrongCertificate), "{told}");
    }
    let client = by(ClientAuthentication::TlsClientAuth(CertificateName::SanEmail("api@fintech.example".to_owned())));
    for told in ["API@fintech.example", "api@fintech.example.evil", "api@fintech", "xapi@fintech.example", "", "api"] {
        let names = CertificateNames { emails: texts(&[told]), ..CertificateNames::default() };
        assert_eq!(check(&client, Some(&shown(names, VERIFIED()))), Err(GrantError::WrongCertificate), "{told}");
    }
    for name in [
        CertificateName::SanUri(String::new()),
        CertificateName::SanEmail(String::new()),
        CertificateName::SanDns(String::new()),
        CertificateName::SubjectDn(subject(&[])),
    ] {
        let names = CertificateNames {
            dns: texts(&[""]),
            uris: texts(&[""]),
            addresses: Vec::new(),
            emails: texts(&[""]),
            subject: Some(subject(&[])),
        };
        let found = check(&by(ClientAuthentication::TlsClientAuth(name)), Some(&shown(names, VERIFIED())));
        assert_eq!(found, Err(GrantError::WrongCertificate), "nobody is nobody's name");
    }
}

#[test]
fn as50_an_address_is_compared_as_an_address() {
    let client = by(ClientAuthentication::TlsClientAuth(CertificateName::SanIp("192.0.2.7".parse().unwrap())));
    for told in ["192.0.2.8", "192.0.2.70", "::ffff:192.0.2.7", "2001:db8::7", "0.0.0.0"] {
        let names = CertificateNames { addresses: vec![told.parse().unwrap()], ..CertificateNames::default() };
        assert_eq!(check(&client, Some(&shown(names, VERIFIED()))), Err(GrantError::WrongCertificate), "{told}");
    }
}

#[test]
fn as50_a_subject_is_compared_by_its_parts() {
    let registered = subject(&[(C, "KZ"), (O, "Fintech"), (CN, "app")]);
    let client = by(ClientAuthentication::TlsClientAuth(CertificateName::SubjectDn(registered)));
    let check = |told: Option<DistinguishedName>| {
        let names = CertificateNames { subject: told, ..CertificateNames::default() };
        check(&client, Some(&shown(names, VERIFIED())))
    };
    for (told, why) in [
        (None, "none"),
        (Some(subject(&[])), "empty"),
        (Some(subject(&[(CN, "app")])), "a part"),
        (Some(subject(&[(C, "KZ"), (O, "Fintech"), (CN, "app"), (CN, "app")])), "more parts"),
        (Some(subject(&[(CN, "app"), (O, "Fintech"), (C, "KZ")])), "another order"),
        (Some(subject(&[(C, "KZ"), (O, "Fintech"), (CN, "app2")])), "another value"),
        (Some(subject(&[(C, "KZ"), (O, "Fin"), (CN, "tech,CN=app")])), "texts that read alike"),
        (Some(subject(&[(C, "KZ"), (CN, "Fintech"), (O, "app")])), "values of other attributes"),
    ] {
        assert_eq!(check(told), Err(GrantError::WrongCertificate), "{why}");
    }
    let spelled = subject(&[(C, "kz"), (O, " FINTECH "), (CN, "App")]);
    assert_eq!(check(Some(spelled)), Ok(()), "letter case and blanks around do not count");
}

#[test]
fn as51_a_self_signed_certificate_is_one_that_the_client_has_registered() {
    let of = |known: &[[u8; 32]]| {
        by(ClientAuthentication::SelfSignedTlsClientAuth(known.iter().copied().collect::<BTreeSet<_>>()))
    };
    let named = |verdict| {
        let names = CertificateNames { dns: texts(&["app.fintech.example"]), ..CertificateNames::default() };
        shown(names, verdict)
    };
    for (client, certificate, why) in [
        (of(&[[7; 32]]), None, "none was shown"),
        (of(&[]), Some(named(VERIFIED())), "none is registered"),
        (of(&[[8; 32]]), Some(named(VERIFIED())), "another one, whatever authority vouches for it"),
        (of(&[[8; 32]]), Some(named(ChainVerdict::Unverified)), "another one"),
        (of(&[[7; 32]]), Some(named(ChainVerdict::Revoked)), "taken back"),
    ] {
        assert_eq!(check(&client, certificate.as_ref()), Err(GrantError::WrongCertificate), "{why}");
    }
    for verdict in [ChainVerdict::Unverified, VERIFIED()] {
        assert_eq!(check(&of(&[[8; 32], [7; 32]]), Some(&named(verdict))), Ok(()), "no authority is asked");
    }
}

#[test]
fn as52_as7_a_self_signed_certificate_needs_the_client_id_and_stands_alone() {
    let client = by(ClientAuthentication::SelfSignedTlsClientAuth(BTreeSet::from([[7; 32]])));
    let certificate = shown(CertificateNames::default(), ChainVerdict::Unverified);
    let check =
        |pairs: &[(&str, &str)], certificate| check_certificate(&asked(pairs), &client, certificate).map(|_| ());
    let missing = check(&[], Some(&certificate)).unwrap_err();
    assert_eq!((missing.code(), missing), (Code::OauthInvalidRequest, GrantError::Missing("client_id")));
    for id in ["somebody", "Fintech"] {
        assert_eq!(check(&[("client_id", id)], Some(&certificate)), Err(GrantError::WrongClient), "{id}");
    }
    let assertion = [
        ("client_id", "fintech"),
        ("client_assertion", "a.b.c"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
    ];
    assert_eq!(check(&assertion, Some(&certificate)), Err(GrantError::TwoMethods));
    assert_eq!(check(&assertion, None), Err(GrantError::WrongMethod), "who holds nothing is told nothing");
}

struct Signed {
    signer: TestSigner,
    client: Arc<Client>,
    keys: KeySet,
}

impl Signed {
    fn new() -> Self {
        let signer = TestSigner::es256("k");
        let keys = KeySet::new(vec![signer.verifying_key()]).unwrap();
        Self { client: by(ClientAuthentication::PrivateKeyJwt(KeySource::Given(keys.clone()))), signer, keys }
    }

    fn check(&self, claims: &str) -> Result<(), GrantError> {
        let raw = sign_raw(r#"{"alg":"ES256"}"#, claims, &self.signer);
        let form = asked(&[
            ("client_assertion", &raw),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ]);
        check_assertion(&form, &self.client, &self.keys, ISSUER, NOW).map(|_| ())
    }
}

fn good() -> Value {
    json!({"iss": "fintech", "sub": "fintech", "aud": ISSUER, "jti": "1", "exp": NOW.seconds() + 60})
}

// FAPI 2.0, section 5.3.2.1: no endpoint's address is the server's name.
#[test]
fn as6_the_audience_is_no_endpoint_and_no_list() {
    let signed = Signed::new();
    for audience in [
        json!("https://gate.example/oauth/token"),
        json!("https://gate.example/oauth/par"),
        json!("https://gate.example/oauth/introspect"),
        json!("https://gate.example/oauth/revoke"),
        json!("https://gate.example/.well-known/oauth-authorization-server"),
        json!("https://gate.example/"),
        json!("https://gate.example:443"),
        json!("HTTPS://gate.example"),
        json!("http://gate.example"),
        json!("gate.example"),
        json!(" https://gate.example"),
        json!("https://gate.example\u{0}"),
        json!([]),
        json!([ISSUER]),
        json!([ISSUER, "https://gate.example/oauth/token"]),
        json!({"iss": ISSUER}),
        json!(null),
        json!(0),
        json!(true),
    ] {
        let mut claims = good();
        claims.as_object_mut().unwrap().insert("aud".to_owned(), audience.clone());
        let error = signed.check(&claims.to_string()).unwrap_err();
        assert_eq!(error.code(), Code::OauthInvalidClient, "{audience}");
    }
    assert_eq!(signed.check(&good().to_string()), Ok(()));
}

#[test]
fn as6_a_claim_twice_is_refused_though_both_are_right() {
    let signed = Signed::new();
    for doubled in [r#""iss":"fintech""#, r#""sub":"fintech""#, r#""aud":"https://gate.example""#, r#""jti":"1""#] {
        let claims = good().to_string().replacen('{', &format!("{{{doubled},"), 1);
        assert!(matches!(signed.check(&claims), Err(GrantError::Jws(JwsError::NotJson(_)))), "{doubled}");
    }
}

#[test]
fn as6_times_that_are_no_whole_seconds_of_this_age_are_refused() {
    let signed = Signed::new();
    let end = NOW.seconds() + 60;
    for exp in [
        format!("{end}.0"),
        format!("{end}.5"),
        "1.80000006e9".to_owned(),
        format!("\"{end}\""),
        "-1".to_owned(),
        "0".to_owned(),
        "1e400".to_owned(),
        "99999999999999999999".to_owned(),
        "18446744073709551615".to_owned(),
        "null".to_owned(),
        "true".to_owned(),
        format!("[{end}]"),
        format!("{{\"at\":{end}}}"),
        // Seconds mistaken for milliseconds, and the other way round.
        format!("{}", end * 1000),
        format!("{}", end / 1000),
    ] {
        let claims = good().to_string().replace(&format!("\"exp\":{end}"), &format!("\"exp\":{exp}"));
        assert!(signed.check(&claims).is_err(), "{exp}");
    }
}

#[test]
fn as7_keys_of_one_client_prove_nothing_of_another() {
    let (ours, theirs) = (Signed::new(), Signed::new());
    let raw = sign_raw(r#"{"alg":"ES256","kid":"k"}"#, &good().to_string(), &theirs.signer);
    let form = asked(&[
        ("client_assertion", &raw),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
    ]);
    let found = check_assertion(&form, &ours.client, &ours.keys, ISSUER, NOW).unwrap_err();
    assert_eq!(found, GrantError::Jws(JwsError::BadSignature));
    // A key set that could not be had is an empty one.
    let found = check_assertion(&form, &ours.client, &KeySet::default(), ISSUER, NOW).unwrap_err();
    assert_eq!(found, GrantError::Jws(JwsError::UnknownKey));
    assert_eq!(form.key_id().as_deref(), Some("k"));
}
