#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use rcgen::{
    CertificateParams, DnType, DnValue, ExtendedKeyUsagePurpose, KeyPair, SanType,
    string::{BmpString, Ia5String, PrintableString},
};

use super::*;

fn made(change: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    change(&mut params);
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
}

fn text(text: &str) -> Ia5String {
    Ia5String::try_from(text).unwrap()
}

fn subject_of(names: &[(DnType, DnValue)]) -> Option<DistinguishedName> {
    let leaf = made(|params| {
        for (kind, value) in names {
            params.distinguished_name.push(kind.clone(), value.clone());
        }
    });
    read(&leaf).names.subject
}

fn utf8(value: &str) -> DnValue {
    DnValue::Utf8String(value.to_owned())
}

#[test]
fn as50_what_is_no_certificate_has_no_name() {
    let whole = made(|params| params.subject_alt_names.push(SanType::DnsName(text("app.example"))));
    assert_eq!(read(&whole).names.dns, ["app.example"]);
    let mut longer = whole.to_vec();
    longer.push(0);
    let mut shorter = whole.to_vec();
    shorter.pop();
    for der in [Vec::new(), b"-----BEGIN CERTIFICATE-----".to_vec(), longer, shorter] {
        let leaf = read(&CertificateDer::from(der));
        assert_eq!((leaf.names, leaf.for_clients), (CertificateNames::default(), false));
    }
}

#[test]
fn as50_each_alternative_name_is_of_its_own_kind() {
    let leaf = made(|params| {
        params.subject_alt_names = vec![
            SanType::DnsName(text("app.example")),
            SanType::URI(text("https://app.example/id")),
            SanType::Rfc822Name(text("app@example.kz")),
            SanType::IpAddress("192.0.2.7".parse().unwrap()),
            SanType::IpAddress("2001:db8::7".parse().unwrap()),
        ];
    });
    let told = read(&leaf).names;
    assert_eq!((told.dns, told.uris), (vec!["app.example".to_owned()], vec!["https://app.example/id".to_owned()]));
    assert_eq!(told.emails, ["app@example.kz"]);
    let addresses: Vec<IpAddr> = ["192.0.2.7", "2001:db8::7"].iter().map(|text| text.parse().unwrap()).collect();
    assert_eq!(told.addresses, addresses);
    assert_eq!(told.subject, None, "an empty subject names nobody");
    for bytes in [&[1, 2, 3][..], &[], &[0; 5], &[0; 8], &[0; 32]] {
        assert_eq!(address(bytes), None, "{bytes:?}: with a mask it is a network");
    }
}

#[test]
fn as50_a_subject_is_what_rfc_4514_writes() {
    let names = [
        (DnType::CountryName, DnValue::PrintableString(PrintableString::try_from("KZ").unwrap())),
        (DnType::OrganizationName, utf8("Дала, \"Банк\" + Co")),
        (DnType::CustomDnType(vec![2, 5, 4, 97]), utf8("NTRKZ-123456789012")),
        (DnType::CommonName, utf8("demo-app")),
    ];
    let subject = subject_of(&names).unwrap();
    let written = |text: &str| DistinguishedName::parse(text).unwrap();
    for text in [
        r#"CN=demo-app,organizationIdentifier=NTRKZ-123456789012,O=Дала\, \"Банк\" \+ Co,C=KZ"#,
        r#"cn=Demo-App, 2.5.4.97=ntrkz-123456789012 , O=дала\2C \"банк\" \2B  co,c=kz"#,
    ] {
        assert_eq!(subject, written(text), "{text}");
    }
    for text in [
        // The other way round, without a part, with one more, in one relative name, and as a part of another's value.
        r#"C=KZ,O=Дала\, \"Банк\" \+ Co,organizationIdentifier=NTRKZ-123456789012,CN=demo-app"#,
        r#"CN=demo-app,O=Дала\, \"Банк\" \+ Co,C=KZ"#,
        r#"OU=x,CN=demo-app,organizationIdentifier=NTRKZ-123456789012,O=Дала\, \"Банк\" \+ Co,C=KZ"#,
        r#"CN=demo-app+organizationIdentifier=NTRKZ-123456789012,O=Дала\, \"Банк\" \+ Co,C=KZ"#,
        r#"CN=demo-app2,organizationIdentifier=NTRKZ-123456789012,O=Дала\, \"Банк\" \+ Co,C=KZ"#,
        r#"SN=demo-app,organizationIdentifier=NTRKZ-123456789012,O=Дала\, \"Банк\" \+ Co,C=KZ"#,
        r#"CN=demo-app\,organizationIdentifier=NTRKZ-123456789012,O=Дала\, \"Банк\" \+ Co,C=KZ"#,
    ] {
        assert_ne!(subject, written(text), "{text}");
    }
}

#[test]
fn as50_a_subject_of_which_a_part_cannot_be_read_is_none() {
    let bmp = DnValue::BmpString(BmpString::try_from("demo-app").unwrap());
    assert_eq!(subject_of(&[(DnType::OrganizationName, utf8("Demo")), (DnType::CommonName, bmp)]), None);
    assert_eq!(subject_of(&[]), None);
    assert!(subject_of(&[(DnType::CommonName, utf8("demo-app"))]).is_some());
}

#[test]
fn as50_only_a_certificate_that_says_so_is_for_clients() {
    use ExtendedKeyUsagePurpose::{Any, ClientAuth, CodeSigning, ServerAuth};
    for (usages, fine) in [
        (vec![], false),
        (vec![ServerAuth], false),
        (vec![CodeSigning], false),
        (vec![Any], false),
        (vec![ClientAuth], true),
        (vec![ServerAuth, ClientAuth], true),
    ] {
        let leaf = made(|params| params.extended_key_usages.clone_from(&usages));
        assert_eq!(read(&leaf).for_clients, fine, "{usages:?}");
    }
}
