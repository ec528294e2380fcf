//! What is read of what was written, and what is not.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use policies::national::money::Currency;

use super::*;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn iban(account: &str) -> Iban {
    Iban::compose("125", account).unwrap()
}

fn client() -> ClientId {
    ClientId::parse("demo-app").unwrap()
}

fn jkt() -> Thumbprint {
    Thumbprint::parse(&base64url(&[7; 32])).unwrap()
}

fn order() -> PaymentOrder {
    PaymentOrder {
        debtor: Some(iban("KZT1000000001")),
        creditor: iban("KZT2000000002"),
        creditor_name: "Айсұлу \"A\" {}".to_owned(),
        amount: Money::from_tiyn(150_001, Currency::Kzt),
        knp: "010".to_owned(),
        remittance: Some("шот 7".to_owned()),
    }
}

fn pushed() -> Pushed {
    Pushed {
        key: [1; 32],
        client: client(),
        redirect_uri: "https://app.example/back?a=b".to_owned(),
        scopes: ScopeSet::of(["accounts:read", "payments:write"]),
        consents: vec![ConsentId::parse("c-2").unwrap(), ConsentId::parse("c-1").unwrap()],
        state: Some("ä\u{0}\n".to_owned()),
        challenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM".to_owned(),
        jkt: Some(jkt()),
        expires: NOW,
        used: true,
    }
}

fn code() -> AuthorizationCode {
    AuthorizationCode {
        key: [2; 32],
        client: client(),
        redirect_uri: "https://app.example/back".to_owned(),
        challenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM".to_owned(),
        jkt: Some(jkt()),
        grant: GrantId::parse("g-1").unwrap(),
        expires: NOW,
        redeemed: true,
    }
}

fn refresh() -> RefreshToken {
    RefreshToken { key: [3; 32], client: client(), grant: GrantId::parse("g-1").unwrap(), expires: NOW }
}

fn grant() -> Grant {
    let access = Detail::AccountInformation {
        consent: ConsentId::parse("c-1").unwrap(),
        permissions: BTreeSet::from(Permission::ALL),
        accounts: BTreeSet::from(["acc-1".to_owned(), "acc-2".to_owned()]),
    };
    let payment = Detail::PaymentInitiation { consent: ConsentId::parse("c-2").unwrap(), order: order() };
    Grant {
        id: GrantId::parse("g-1").unwrap(),
        client: client(),
        subject: "citizen:abc".to_owned(),
        scopes: ScopeSet::of(["accounts:read"]),
        details: vec![access, payment],
        acr: "urn:qaqpa:acr:L2".to_owned(),
        authenticated: NOW,
        expires: NOW + CODES_KEPT,
        revoked: true,
    }
}

fn consent(terms: Terms) -> Consent {
    Consent {
        id: ConsentId::parse("c-1").unwrap(),
        client: client(),
        terms,
        state: ConsentState::Authorised,
        created: NOW,
        expires: NOW + CODES_KEPT,
        lasts_until: NOW + CODES_KEPT,
        decided: Some(NOW),
        person: Some(Person { index: [9; 32], sealed: vec![0, 1, 255] }),
        grant: Some(GrantId::parse("g-1").unwrap()),
    }
}

fn access() -> Terms {
    Terms::AccountAccess(AccountAccess {
        permissions: BTreeSet::from([Permission::Balances]),
        wanted: BTreeSet::from([iban("KZT1000000001")]),
        shared: vec![SharedAccount { id: "acc-1".to_owned(), iban: iban("KZT1000000001") }],
        purpose: Some("budget".to_owned()),
    })
}

fn reads_back<T: Kept + PartialEq + std::fmt::Debug>(value: &T) {
    assert_eq!(T::read(&value.write()).as_ref(), Some(value));
}

/// Changes one member of what was written.
fn with<T: Kept>(value: &T, pointer: &str, member: serde_json::Value) -> Option<T> {
    let mut written: serde_json::Value = serde_json::from_slice(&value.write()).unwrap();
    *written.pointer_mut(pointer).unwrap() = member;
    T::read(&serde_json::to_vec(&written).unwrap())
}

#[test]
fn what_is_not_written_so_is_not_read() {
    let whole = grant().write();
    for cut in [0, 1, whole.len() / 2, whole.len() - 1] {
        assert_eq!(Grant::read(whole.get(..cut).unwrap()), None);
    }
    assert_eq!(Grant::read(b"{}"), None);
    assert_eq!(Grant::read(b"null"), None);
    assert_eq!(Grant::read(&[whole.as_slice(), b"x"].concat()), None);
    assert_eq!(AuthorizationCode::read(&refresh().write()), None, "one is never read as another");
    assert_eq!(RefreshToken::read(&code().write()), None);
    let more = String::from_utf8(refresh().write()).unwrap().replacen('{', "{\"more\":1,", 1);
    assert_eq!(RefreshToken::read(more.as_bytes()), None, "a later program's form is no form of ours");
    let twice = String::from_utf8(code().write()).unwrap().replacen('{', "{\"redeemed\":false,", 1);
    assert_eq!(AuthorizationCode::read(twice.as_bytes()), None);
}

#[test]
fn a_member_that_cannot_be_is_not_read() {
    use serde_json::{Value, json};
    let order_of = |pointer: &str, member: Value| with(&consent(Terms::DomesticPayment(order())), pointer, member);
    assert_eq!(order_of("/terms/order/amount", json!("1500.1")), None);
    assert_eq!(order_of("/terms/order/currency", json!("USD")), None);
    assert_eq!(order_of("/terms/order/creditor", json!("KZ00")), None);
    assert_eq!(order_of("/terms/order/debtor", json!("KZ00")), None);
    assert_eq!(order_of("/terms/kind", json!("vrp")), None);
    assert_eq!(order_of("/state", json!("consumed ")), None);
    assert_eq!(order_of("/grant", json!("g 1")), None);
    assert_eq!(order_of("/person/index", json!(base64url(&[9; 31]))), None);
    assert_eq!(order_of("/person/sealed", json!("=")), None);
    assert_eq!(order_of("/created", json!("now")), None);
    assert_eq!(with(&consent(access()), "/terms/permissions/0", json!("everything")), None);
    assert_eq!(with(&consent(access()), "/terms/wanted/0", json!("KZ00")), None);
    assert_eq!(with(&consent(access()), "/terms/shared/0/iban", json!("KZ00")), None);
    assert_eq!(with(&grant(), "/details/0/type", json!("everything")), None);
    assert_eq!(with(&grant(), "/details/1/consent", json!("")), None);
    assert_eq!(with(&grant(), "/scope", json!("a\"b")), None);
    assert_eq!(with(&pushed(), "/jkt", json!("short")), None);
    assert_eq!(with(&pushed(), "/key", json!(base64url(&[1; 33]))), None);
    assert_eq!(with(&pushed(), "/consents/0", json!("c/1")), None);
    assert_eq!(with(&code(), "/client", json!("a b")), None);
    assert_eq!(with(&refresh(), "/grant", json!(null)), None);
}

#[test]
fn what_is_written_is_read_back_whole() {
    reads_back(&pushed());
    reads_back(&Pushed { state: None, jkt: None, used: false, consents: vec![], ..pushed() });
    reads_back(&code());
    reads_back(&AuthorizationCode { jkt: None, redeemed: false, ..code() });
    reads_back(&refresh());
    reads_back(&grant());
    reads_back(&Grant { details: vec![], scopes: ScopeSet::default(), revoked: false, ..grant() });
    reads_back(&consent(access()));
    reads_back(&consent(Terms::DomesticPayment(order())));
    let open = PaymentOrder { debtor: None, remittance: None, ..order() };
    let bare = Consent { decided: None, person: None, grant: None, ..consent(Terms::DomesticPayment(open)) };
    reads_back(&bare);
    for word in ["awaiting_authorisation", "authorised", "rejected", "revoked", "expired", "consumed"] {
        reads_back(&Consent { state: ConsentState::from_word(word).unwrap(), ..bare.clone() });
    }
}

#[test]
fn each_rests_under_a_name_of_its_own_until_after_it_is_over() {
    assert_eq!((pushed().key(), code().key(), refresh().key()), ([1; 32], [2; 32], [3; 32]));
    assert_eq!(grant().key(), sha256(b"g-1"));
    assert_eq!(consent(access()).key(), sha256(b"c-1"));
    assert_eq!(consent(access()).owner(), Some([9; 32]));
    assert_eq!(Consent { person: None, ..consent(access()) }.owner(), None);
    assert_eq!(grant().owner(), None);
    assert_eq!(pushed().keep_until(), NOW + PUSHED_KEPT);
    assert_eq!(code().keep_until(), NOW + CODES_KEPT);
    assert_eq!(refresh().keep_until(), NOW + REFRESH_KEPT);
    assert_eq!(grant().keep_until(), grant().expires + CONSENTS_KEPT);
    assert_eq!(consent(access()).keep_until(), consent(access()).expires + CONSENTS_KEPT);
}
