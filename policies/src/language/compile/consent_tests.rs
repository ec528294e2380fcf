//! What clients, consents and issuers come to; what is refused of them is told by the golden files.

use super::*;
use crate::consent::ConsentKind;
use crate::id::IssuerId;
use crate::issuer::IssuerKeys;
use crate::jose::Algorithm;
use crate::mask::FieldPath;
use crate::party::{ConsentHolder, DistinguishedName, OauthTerms};
use crate::rulebook::{AccountList, ConsentNeed, ConsentTerms};

const ACCOUNTS: &str = "qaqpa: v1
upstreams: {core-bank: {protocol: http1, timeouts: {connect: 1s, response: 3s}, maxRequests: 10}}
apis:
  accounts:
    upstream: core-bank
    defaults: {timeout: 1s, consent: account-access}
    operations:
      listAccounts: {consent: {kind: account-access, list: {items: /accounts, id: /accountId}}}
      getAccountBalances: {consent: {kind: account-access, account: accountId}}
      listAccountTransactions:
        consent: none
        override: {reason: until apps have moved, approvedBy: A. Admin, expires: EXPIRES}
      pingAccounts: {requires: {roles: [AISP]}}
  payments:
    upstream: core-bank
    defaults: {timeout: 1s}
    operations:
      createDomesticPayment: {consent: domestic-payment, settledBy: getDomesticPayment}
      getDomesticPayment: {consent: none}
";

fn accounts(expires: &str) -> Source {
    Source::new("policies/apis.yaml", ACCOUNTS.replace("EXPIRES", expires))
}

fn access(account: Option<&str>, list: Option<(&str, &str)>) -> Option<ConsentNeed> {
    let place = |text: &str| FieldPath::parse(text).unwrap();
    Some(ConsentNeed {
        kind: ConsentKind::AccountAccess,
        account: account.map(str::to_owned),
        list: list.map(|(items, id)| AccountList { items: place(items), id: place(id) }),
    })
}

#[test]
fn operations_need_the_consent_that_they_or_their_api_say() {
    let rulebook = compiled(&[accounts("2027-01-31")]);
    let need = |id: &str| operation(&rulebook, id).consent.clone();
    assert_eq!(need("listAccounts"), access(None, Some(("/accounts", "/accountId"))));
    assert_eq!(need("getAccountBalances"), access(Some("accountId"), None));
    assert_eq!(need("listAccountTransactions"), None);
    assert!(operation(&rulebook, "listAccountTransactions").loosened.is_some());
    assert_eq!(need("pingAccounts"), access(None, None));
    assert_eq!(need("getDomesticPayment"), None);
    let payment = ConsentNeed { kind: ConsentKind::DomesticPayment, account: None, list: None };
    assert_eq!(need("createDomesticPayment"), Some(payment));
}

#[test]
fn a_consent_that_an_override_took_away_is_needed_again_once_that_is_over() {
    let over = compile(&[accounts("2026-11-21")], &contracts(), today()).unwrap();
    let policy = operation(&over.rulebook, "listAccountTransactions");
    assert_eq!((policy.consent.clone(), policy.loosened.is_none()), (access(None, None), true));
    let last_day = compiled(&[accounts("2026-11-22")]);
    assert_eq!(operation(&last_day, "listAccountTransactions").consent, None);
}

#[test]
fn consents_last_as_it_is_said_and_else_as_usual() {
    let section = |text: &str| {
        let rest =
            format!("qaqpa: v1\nidentity: {{providers: {{face: {{level: L3, timeout: 5s}}}}}}\nconsents: {text}\n");
        compiled(&[accounts("2027-01-31"), Source::new("policies/consents.yaml", rest)])
    };
    let minutes = |count: u64| Duration::from_secs(60 * count);
    let found = section("{account-access: {longest: 366d, level: L3}, customerAccounts: listAccounts}");
    let usual = ConsentTerms::usual(ConsentKind::AccountAccess);
    let said = ConsentTerms { longest: minutes(366 * 1440), level: "L3", ..usual };
    assert_eq!(found.consents.get(&ConsentKind::AccountAccess), Some(&said));
    assert_eq!(found.consents.get(&ConsentKind::DomesticPayment), None);
    assert_eq!(found.customer_accounts, OperationId::parse("listAccounts").ok());
    let found = section("{domestic-payment: {awaits: 1m, longest: 6d}}");
    let usual = ConsentTerms::usual(ConsentKind::DomesticPayment);
    let said = ConsentTerms { awaits: minutes(1), longest: minutes(6 * 1440), ..usual };
    assert_eq!(found.consents.get(&ConsentKind::DomesticPayment), Some(&said));
    let shortest = section("{account-access: {awaits: 24h, longest: 1m}}");
    let terms = shortest.consents.get(&ConsentKind::AccountAccess).unwrap();
    assert_eq!((terms.awaits, terms.longest), (minutes(1440), minutes(1)));
}

/// A client `one` with these lines, beside an issuer `other` and a set of keys.
fn client(lines: &str) -> Client {
    let text = format!(
        "qaqpa: v1
organisations:
  demo: {{title: Demo, roles: [AISP], licence: {{authority: NBK, id: P-1, validUntil: 2027-06-30}}}}
plans: {{standard: {{limits: [{{per: client, rate: 50/s, burst: 100}}]}}}}
issuers: {{other: {{issuer: https://as.example.kz, jwks: {{url: https://as.example.kz/jwks}}}}}}
clients:
  one:
    organisation: demo
    plan: standard
    scopes: [accounts:read]
    {}
",
        lines.trim().replace('\n', "\n    ")
    );
    let keys = r#"{"keys": [{"kty": "EC", "crv": "P-256", "kid": "a", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;
    let files = [
        Source::new("policies/parties.yaml", text),
        Source::new("policies/keys/a.jwks", keys),
        Source::new("policies/keys/a.json", keys),
        accounts("2027-01-31"),
    ];
    let rulebook = compiled(&files);
    rulebook.clients.get(&ClientId::parse("one").unwrap()).unwrap().as_ref().clone()
}

#[test]
fn a_client_has_nothing_of_the_authorization_server_unless_it_is_said() {
    let plain = "authentication: tls_client_auth\ncertificate: {sanDns: app.example.kz}\ntokens: {bind: mtls}";
    assert_eq!(client(plain).oauth, OauthTerms::default());
    let said = "redirectUris: [https://app.example.kz/back, 'http://127.0.0.1:8080/back']\nconsents: organisation\nintrospects: true";
    let found = client(
        &plain.replace("bind: mtls", "bind: dpop, nonce: required").replace("tokens", &format!("{said}\ntokens")),
    );
    let expected = OauthTerms {
        redirect_uris: ["https://app.example.kz/back", "http://127.0.0.1:8080/back"].map(str::to_owned).into(),
        nonce: true,
        consents: ConsentHolder::Organisation,
        introspects: true,
        issuer: None,
    };
    assert_eq!(found.oauth, expected);
    assert_eq!(client(&format!("{plain}\nissuer: other")).oauth.issuer, IssuerId::parse("other").ok());
}

#[test]
fn a_certificate_is_known_by_any_one_of_its_names() {
    for (text, expected) in [
        ("sanDns: app.example.kz", CertificateName::SanDns("app.example.kz".to_owned())),
        ("sanUri: 'spiffe://example.kz/app'", CertificateName::SanUri("spiffe://example.kz/app".to_owned())),
        ("sanIp: '2001:db8::7'", CertificateName::SanIp("2001:db8::7".parse().unwrap())),
        ("sanEmail: api@example.kz", CertificateName::SanEmail("api@example.kz".to_owned())),
        ("subjectDn: 'CN=app,C=KZ'", CertificateName::SubjectDn(DistinguishedName::parse("cn=app,c=kz").unwrap())),
    ] {
        let found =
            client(&format!("authentication: tls_client_auth\ncertificate: {{{text}}}\ntokens: {{bind: mtls}}"));
        let ClientAuthentication::TlsClientAuth(name) = &found.authentication else { panic!("{text}") };
        assert_eq!(*name, expected, "{text}");
    }
}

#[test]
fn keys_stand_in_a_file_or_at_a_url() {
    let keys = |text: &str| {
        client(&format!("authentication: private_key_jwt\nkeys: {{{text}}}\ntokens: {{bind: dpop}}")).authentication
    };
    for name in ["keys/a.jwks", "keys/a.json"] {
        let ClientAuthentication::PrivateKeyJwt(KeySource::Given(found)) = keys(&format!("file: {name}")) else {
            panic!("{name}")
        };
        assert_eq!(found.iter().map(|key| key.kid().unwrap().to_owned()).collect::<Vec<_>>(), ["a"]);
    }
    let url = "https://app.example.kz/jwks";
    let found = keys(&format!("url: '{url}'"));
    assert!(matches!(&found, ClientAuthentication::PrivateKeyJwt(KeySource::Url(place)) if place.url() == url));
}

#[test]
fn a_file_holds_keys_if_it_is_called_so_or_is_a_set_of_them() {
    for (name, text, expected) in [
        ("a.jwks", "{", true),
        ("a.json", r#"{"keys": []}"#, true),
        ("a.json", "{", false),
        ("a.json", r#"{"openapi": "3.0.3", "keys": []}"#, false),
        ("a.json", r#"{"qaqpa": "v1"}"#, false),
        ("a.yaml", r#"{"keys": []}"#, false),
    ] {
        assert_eq!(is_key_set(name, text), expected, "{name} {text}");
    }
}

#[test]
fn an_issuer_is_known_by_its_keys_or_is_asked() {
    let files = [Source::new(
        "a.yaml",
        "qaqpa: v1
issuers:
  signs: {issuer: https://a.example.kz, audience: api, jwks: {url: https://a.example.kz/jwks, algorithms: [PS256]}}
  tells: {issuer: https://b.example.kz/one, introspection: {url: https://b.example.kz/ask, client: qaqpa, key: secret:env:KEY}}
",
    )];
    let rulebook = compiled(&files);
    let issuer = |id: &str| rulebook.issuers.get(&IssuerId::parse(id).unwrap()).unwrap();
    let signs = issuer("signs");
    assert_eq!((signs.issuer.as_str(), signs.audience.as_deref()), ("https://a.example.kz", Some("api")));
    assert_eq!(signs.origin, "a.yaml:3");
    assert!(matches!(&signs.keys, IssuerKeys::Jwks { url, algorithms }
        if url.url() == "https://a.example.kz/jwks" && *algorithms == [Algorithm::Ps256].into()));
    let tells = issuer("tells");
    assert_eq!((tells.issuer.as_str(), tells.audience.as_deref()), ("https://b.example.kz/one", None));
    assert!(matches!(&tells.keys, IssuerKeys::Introspection { client, key, .. }
        if client.as_str() == "qaqpa" && *key == SecretReference::Environment("KEY".to_owned())));
}

/// What is different between two sets, as `qaqpa diff` tells it.
fn differences(before: &[Source], after: &[Source]) -> Vec<String> {
    let effective = |files: &[Source]| match compile(files, &contracts(), today()) {
        Ok(compiled) => compiled.effective,
        Err(problems) => panic!("{}", render(&problems, files, false)),
    };
    let changes = crate::language::diff::diff(&effective(before), &effective(after));
    changes.iter().map(|change| format!("{} {}", change.direction.word(), change.path.join("."))).collect()
}

#[test]
fn what_lets_more_clients_do_more_loosens() {
    const PLAIN: &str = "qaqpa: v1
organisations:
  demo: {title: Demo, roles: [AISP], licence: {authority: NBK, id: P-1, validUntil: 2027-06-30}}
plans: {standard: {limits: [{per: client, rate: 50/s, burst: 100}]}}
clients:
  one:
    organisation: demo
    plan: standard
    scopes: [accounts:read]
    authentication: private_key_jwt
    keys: {file: a.jwks}
    tokens: {bind: dpop, nonce: required}
    redirectUris: [https://app.example.kz/back]
";
    let keys = |kids: &[&str]| {
        let one = r#"{"kty": "EC", "crv": "P-256", "kid": "KID", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
        let listed: Vec<String> = kids.iter().map(|kid| one.replace("KID", kid)).collect();
        Source::new("a.jwks", format!("{{\"keys\": [{}]}}", listed.join(", ")))
    };
    let set = |text: &str, kids: &[&str]| vec![Source::new("a.yaml", text), keys(kids), accounts("2027-01-31")];
    let plain = set(PLAIN, &["a"]);
    for (from, to, expected) in [
        (
            "[https://app.example.kz/back]",
            "[https://app.example.kz/back, https://b.kz/]",
            "loosens clients.one.redirectUris",
        ),
        ("    redirectUris: [https://app.example.kz/back]\n", "", "tightens clients.one.redirectUris"),
        ("    tokens:", "    consents: organisation\n    tokens:", "loosens clients.one.consents"),
        ("    tokens:", "    introspects: true\n    tokens:", "loosens clients.one.introspects"),
        (", nonce: required", "", "loosens clients.one.tokens.nonce"),
        (
            "qaqpa: v1\n",
            "qaqpa: v1\nissuers: {as: {issuer: https://as.kz, jwks: {url: https://as.kz/jwks}}}\n",
            "loosens issuers.as",
        ),
        (
            "qaqpa: v1\n",
            "qaqpa: v1\nconsents: {account-access: {longest: 91d}}\n",
            "loosens consents.account-access.longest",
        ),
        (
            "qaqpa: v1\n",
            "qaqpa: v1\nconsents: {account-access: {awaits: 5m}}\n",
            "tightens consents.account-access.awaits",
        ),
    ] {
        let changed = set(&PLAIN.replace(from, to), &["a"]);
        assert_eq!(differences(&plain, &changed), [expected], "{to}");
    }
    assert_eq!(differences(&plain, &set(PLAIN, &["a", "b"])), ["loosens clients.one.keys"]);
    assert_eq!(differences(&set(PLAIN, &["a", "b"]), &plain), ["tightens clients.one.keys"]);
    assert!(differences(&plain, &plain).is_empty());
}

#[test]
fn another_certificate_under_the_same_key_is_another() {
    const TEXT: &str = "qaqpa: v1
organisations:
  demo: {title: Demo, roles: [AISP], licence: {authority: NBK, id: P-1, validUntil: 2027-06-30}}
plans: {standard: {limits: [{per: client, rate: 50/s, burst: 100}]}}
clients:
  one:
    organisation: demo
    plan: standard
    scopes: [accounts:read]
    authentication: self_signed_tls_client_auth
    keys: KEYS
    tokens: {bind: mtls}
";
    // Frames of certificates: what is in them does not count.
    let certificate = |fill: char| format!("MIGA{}=", fill.to_string().repeat(171));
    let file = |fill: char| {
        let keys = format!("{{\"keys\": [{{\"kty\": \"EC\", \"x5c\": [\"{}\"]}}]}}", certificate(fill));
        let text = TEXT.replace("KEYS", "{file: own.jwks}");
        vec![Source::new("a.yaml", text), Source::new("own.jwks", keys), accounts("2027-01-31")]
    };
    let inline = |fill: char| {
        let text = TEXT.replace("KEYS", &format!("[{{kty: EC, x5c: ['{}']}}]", certificate(fill)));
        vec![Source::new("a.yaml", text), accounts("2027-01-31")]
    };
    assert_eq!(differences(&file('A'), &file('Q')), ["may_loosen clients.one.keys"]);
    assert_eq!(differences(&inline('A'), &inline('Q')), ["may_loosen clients.one.keys"]);
    // Where it stands is no difference.
    assert_eq!(differences(&inline('A'), &file('A')), ["changes clients.one.keys.file"]);
}

#[test]
fn a_consent_that_is_no_longer_asked_for_loosens() {
    let plain = accounts("2027-01-31");
    for (from, to, expected) in [
        (
            "createDomesticPayment: {consent: domestic-payment, ",
            "createDomesticPayment: {",
            "loosens apis.payments.operations.createDomesticPayment.consent",
        ),
        (
            "getAccountBalances: {consent: {kind: account-access, account: accountId}}",
            "getAccountBalances: {}",
            "loosens apis.accounts.operations.getAccountBalances.consent.account",
        ),
        (
            "getDomesticPayment: {consent: none}",
            "getDomesticPayment: {consent: {kind: account-access, account: id}}",
            "tightens apis.payments.operations.getDomesticPayment.consent",
        ),
    ] {
        let changed = Source::new("policies/apis.yaml", plain.body().replace(from, to));
        let found = differences(std::slice::from_ref(&plain), &[changed]);
        assert_eq!(found.first().map(String::as_str), Some(expected), "{found:?}");
    }
}
