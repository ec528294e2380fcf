#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::code::Code;
use crate::consent::ConsentKind;
use crate::id::{ClientId, ConsentId, GrantId, IssuerId, OrganisationId, PlanId};
use crate::jose::KeySet;
use crate::national::money::Currency;
use crate::party::{ClientAuthentication, KeySource, OauthTerms, Organisation, Plan, TokenBinding};
use crate::time::Timestamp;

const DEBTOR_IBAN: &str = "KZ86125KZT5004100100";
const CREDITOR_IBAN: &str = "KZ75125KZT1001300335";

fn client(oauth: OauthTerms) -> Client {
    let organisation = Organisation {
        id: OrganisationId::parse("demo").unwrap(),
        title: "Demo".to_owned(),
        roles: BTreeSet::new(),
        licence_ends: Timestamp::from_seconds(1),
        suspended: false,
        networks: Vec::new(),
    };
    Client {
        id: ClientId::parse("demo-web").unwrap(),
        organisation: Arc::new(organisation),
        authentication: ClientAuthentication::PrivateKeyJwt(KeySource::Given(KeySet::default())),
        binding: TokenBinding::Dpop,
        scopes: ScopeSet::default(),
        plan: Arc::new(Plan { id: PlanId::parse("standard").unwrap(), limits: Vec::new() }),
        suspended: false,
        webhook: None,
        oauth,
    }
}

fn held_by(consents: ConsentHolder) -> Client {
    client(OauthTerms { consents, ..OauthTerms::default() })
}

fn need(kind: ConsentKind, account: Option<&str>) -> ConsentNeed {
    ConsentNeed { kind, account: account.map(str::to_owned), list: None }
}

fn accounts(id: &str, permissions: &[Permission], accounts: &[&str]) -> Detail {
    Detail::AccountInformation {
        consent: ConsentId::parse(id).unwrap(),
        permissions: permissions.iter().copied().collect(),
        accounts: accounts.iter().map(|account| (*account).to_owned()).collect(),
    }
}

fn order() -> PaymentOrder {
    PaymentOrder {
        debtor: Some(Iban::parse(DEBTOR_IBAN).unwrap()),
        creditor: Iban::parse(CREDITOR_IBAN).unwrap(),
        creditor_name: "ТОО Астана Хлеб".to_owned(),
        amount: Money::from_tiyn(150_000, Currency::Kzt),
        knp: "710".to_owned(),
        remittance: Some("Invoice 17".to_owned()),
    }
}

fn payment(id: &str, order: PaymentOrder) -> Detail {
    Detail::PaymentInitiation { consent: ConsentId::parse(id).unwrap(), order }
}

fn body() -> Value {
    json!({
        "debtorAccount": {"iban": DEBTOR_IBAN},
        "creditorAccount": {"iban": CREDITOR_IBAN},
        "creditorName": "ТОО Астана Хлеб",
        "instructedAmount": {"amount": "1500.00", "currency": "KZT"},
        "knp": "710",
        "remittanceInformation": "Invoice 17",
    })
}

fn citizen(details: Vec<Detail>) -> Citizen {
    Citizen {
        grant: GrantId::parse("g-1").unwrap(),
        details,
        acr: "urn:qaqpa:acr:L2".to_owned(),
        authenticated: Timestamp::from_seconds(0),
    }
}

fn asked(need: &ConsentNeed, scope: &str, details: &[Detail], account: Option<&str>) -> Result<Vec<String>, Refusal> {
    let (client, citizen) = (held_by(ConsentHolder::Gateway), citizen(details.to_vec()));
    granted(need, &ScopeSet::of([scope]), &client, Some(&citizen), account)
        .map(|granted| granted.iter().map(|detail| detail.consent().as_str().to_owned()).collect())
}

#[test]
fn rs14_without_a_citizens_consent_a_client_may_not_speak_for_one() {
    for kind in ConsentKind::ALL {
        let (need, missing) = (need(kind, None), Some(Refusal::ConsentMissing { kind }));
        let none = citizen(Vec::new());
        for (holder, citizen, refusal) in [
            (ConsentHolder::Gateway, None, missing.clone()),
            (ConsentHolder::Gateway, Some(&none), missing.clone()),
            // Who holds consents of its own and comes with a citizen's token is held to what that says.
            (ConsentHolder::Organisation, Some(&none), missing.clone()),
            (ConsentHolder::Organisation, None, None),
        ] {
            let told = granted(&need, &ScopeSet::default(), &held_by(holder), citizen, None).err();
            assert_eq!(told, refusal, "{holder:?} {citizen:?}");
        }
        assert_eq!(missing.unwrap().code(), Code::ConsentRequired);
    }
    assert_eq!(Refusal::AccountNotShared.code(), Code::ConsentRequired);
    assert_eq!(Refusal::OrderDiffers { at: "" }.code(), Code::ConsentMismatch);
}

#[test]
fn rs14_a_consent_of_another_kind_lends_nothing() {
    let (reads, pays) = (accounts("reads", &Permission::ALL, &["a-1"]), payment("pays", order()));
    let (access, initiation) = (need(ConsentKind::AccountAccess, None), need(ConsentKind::DomesticPayment, None));
    let missing = |kind| Err(Refusal::ConsentMissing { kind });
    assert_eq!(asked(&access, "accounts:read", std::slice::from_ref(&pays), None), missing(ConsentKind::AccountAccess));
    assert_eq!(
        asked(&initiation, "payments:write", std::slice::from_ref(&reads), None),
        missing(ConsentKind::DomesticPayment)
    );
    let both = [reads, pays];
    assert_eq!(asked(&access, "accounts:read", &both, None), Ok(vec!["reads".to_owned()]));
    assert_eq!(asked(&initiation, "payments:write", &both, None), Ok(vec!["pays".to_owned()]));
}

#[test]
fn rs14_an_account_that_is_not_shared_is_refused() {
    let need = need(ConsentKind::AccountAccess, Some("accountId"));
    let (one, other) =
        (accounts("one", &Permission::ALL, &["a-1"]), accounts("other", &[Permission::Accounts], &["a-2"]));
    let both = [one, other];
    for account in [None, Some(""), Some("a-"), Some("a-12"), Some("A-1"), Some("a-3"), Some("a%2D1")] {
        assert_eq!(asked(&need, "accounts:read", &both, account), Err(Refusal::AccountNotShared), "{account:?}");
    }
    assert_eq!(asked(&need, "accounts:read", &both, Some("a-1")), Ok(vec!["one".to_owned()]));
    assert_eq!(asked(&need, "accounts:read", &both, Some("a-2")), Ok(vec!["other".to_owned()]));
    // What one consent permits of its accounts it does not permit of another's.
    assert_eq!(asked(&need, "balances:read", &both, Some("a-2")), Err(Refusal::AccountNotShared));
    let kind = ConsentKind::AccountAccess;
    assert_eq!(asked(&need, "balances:read", &both[1..], Some("a-2")), Err(Refusal::ConsentMissing { kind }));
    assert_eq!(asked(&need, "accounts:read", &[accounts("none", &Permission::ALL, &[])], Some("a-1")).ok(), None);
}

#[test]
fn rs14_a_permission_is_needed_for_each_scope_that_has_one() {
    let need = need(ConsentKind::AccountAccess, None);
    for wanted in Permission::ALL {
        for had in Permission::ALL {
            let told = asked(&need, wanted.scope(), &[accounts("c", &[had], &["a-1"])], None);
            assert_eq!(told.is_ok(), had == wanted, "{had:?} for {wanted:?}");
        }
        assert_eq!(asked(&need, "other:scope", &[accounts("c", &[wanted], &[])], None), Ok(vec!["c".to_owned()]));
    }
}

#[test]
fn rs14_a_payment_differs_by_any_member() {
    let change = |at: &str, value: Value| {
        let mut body = body();
        *body.pointer_mut(at).unwrap() = value;
        body
    };
    let without = |name: &str| {
        let mut body = body();
        body.as_object_mut().unwrap().remove(name);
        body
    };
    let with = |name: &str| {
        let mut body = body();
        body.as_object_mut().unwrap().insert(name.to_owned(), json!("x"));
        body
    };
    let granted = [payment("c-1", order())];
    let differs = |body: Option<&Value>| equal(&granted, body).err();
    for (body, at) in [
        (change("/debtorAccount/iban", json!(CREDITOR_IBAN)), DEBTOR),
        (change("/debtorAccount/iban", json!("KZ86 125K ZT50 0410 0100")), DEBTOR),
        (change("/debtorAccount", json!(DEBTOR_IBAN)), DEBTOR),
        (change("/debtorAccount", json!({"iban": DEBTOR_IBAN, "owner": "x"})), DEBTOR),
        (change("/debtorAccount", json!({})), DEBTOR),
        (without(DEBTOR), DEBTOR),
        (change("/creditorAccount/iban", json!(DEBTOR_IBAN)), CREDITOR),
        (change("/creditorAccount/iban", json!("kz75125kzt1001300335")), CREDITOR),
        (change("/creditorAccount/iban", json!(null)), CREDITOR),
        (without(CREDITOR), CREDITOR),
        (change("/creditorName", json!("ТОО Астана Хлеб ")), CREDITOR_NAME),
        (change("/creditorName", json!("ТОО астана хлеб")), CREDITOR_NAME),
        (change("/creditorName", json!(["ТОО Астана Хлеб"])), CREDITOR_NAME),
        (without(CREDITOR_NAME), CREDITOR_NAME),
        (change("/instructedAmount/amount", json!("1500.01")), AMOUNT),
        (change("/instructedAmount/amount", json!("1499.99")), AMOUNT),
        (change("/instructedAmount/amount", json!("-1500.00")), AMOUNT),
        (change("/instructedAmount/amount", json!("1500")), AMOUNT),
        (change("/instructedAmount/amount", json!(1500.0)), AMOUNT),
        (change("/instructedAmount/currency", json!("USD")), AMOUNT),
        (change("/instructedAmount/currency", json!("kzt")), AMOUNT),
        (change("/instructedAmount", json!({"amount": "1500.00", "currency": "KZT", "fee": "1.00"})), AMOUNT),
        (without(AMOUNT), AMOUNT),
        (change("/knp", json!("711")), KNP),
        (change("/knp", json!(710)), KNP),
        (without(KNP), KNP),
        (change("/remittanceInformation", json!("Invoice 18")), REMITTANCE),
        (change("/remittanceInformation", json!("")), REMITTANCE),
        (without(REMITTANCE), REMITTANCE),
        (with("urgent"), ""),
        (with("Knp"), ""),
        (json!([]), ""),
        (json!("x"), ""),
    ] {
        assert_eq!(differs(Some(&body)), Some(Refusal::OrderDiffers { at }), "{body}");
    }
    assert_eq!(differs(None), Some(Refusal::OrderDiffers { at: "" }), "a body that nobody has read");
    assert_eq!(equal(&granted, Some(&body())).unwrap().map(Detail::consent), Some(granted[0].consent()));
}

#[test]
fn rs14_an_order_without_words_wants_none_and_one_without_debtor_nothing() {
    let silent = [payment("c-1", PaymentOrder { remittance: None, ..order() })];
    let mut quiet = body();
    quiet.as_object_mut().unwrap().remove(REMITTANCE);
    assert_eq!(equal(&silent, Some(&body())).err(), Some(Refusal::OrderDiffers { at: REMITTANCE }));
    assert!(equal(&silent, Some(&quiet)).is_ok());
    // What is there and no text is not nothing.
    quiet.as_object_mut().unwrap().insert(REMITTANCE.to_owned(), json!(null));
    assert_eq!(equal(&silent, Some(&quiet)).err(), Some(Refusal::OrderDiffers { at: REMITTANCE }));
    let open = [payment("c-1", PaymentOrder { debtor: None, ..order() })];
    let mut anyones = body();
    for body in [body(), {
        anyones.as_object_mut().unwrap().remove(DEBTOR);
        anyones
    }] {
        assert_eq!(equal(&open, Some(&body)).err(), Some(Refusal::OrderDiffers { at: DEBTOR }));
    }
}

#[test]
fn rs14_of_several_orders_the_one_that_is_paid_is_used_up() {
    let larger = PaymentOrder { amount: Money::from_tiyn(150_001, Currency::Kzt), ..order() };
    let granted = [payment("larger", larger.clone()), payment("this", order())];
    assert_eq!(equal(&granted, Some(&body())).unwrap().map(|found| found.consent().as_str()), Some("this"));
    assert_eq!(equal(&[payment("larger", larger)], Some(&body())).err(), Some(Refusal::OrderDiffers { at: AMOUNT }));
    assert_eq!(equal(&[], None), Ok(None), "where no consent is asked for");
    assert_eq!(equal(&[accounts("c", &Permission::ALL, &["a-1"])], None), Ok(None), "reading has no order");
}

#[test]
fn a_client_that_citizens_cannot_come_back_to_gets_no_consent() {
    let need = need(ConsentKind::AccountAccess, None);
    let mut terms = OauthTerms::default();
    assert_eq!(obtainable(&need, &client(terms.clone())), Err(Refusal::ConsentMissing { kind: need.kind }));
    terms.redirect_uris.insert("https://app.example/back".to_owned());
    assert_eq!(obtainable(&need, &client(terms)), Ok(()));
    assert_eq!(obtainable(&need, &held_by(ConsentHolder::Organisation)), Ok(()));
    let issuer = Some(IssuerId::parse("other").unwrap());
    assert_eq!(obtainable(&need, &client(OauthTerms { issuer, ..OauthTerms::default() })), Ok(()));
}

#[test]
fn a_consent_is_spent_under_a_name_that_no_identity_result_has() {
    assert_eq!(spent_as(&ConsentId::parse("c-1").unwrap()), "consent:c-1");
}
