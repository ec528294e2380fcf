#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use super::*;
use crate::grant::testing::{OTHER, OURS, THEIRS, access, iban, payment};

const ACCESS: ConsentKind = ConsentKind::AccountAccess;
const PAYMENT: ConsentKind = ConsentKind::DomesticPayment;

fn with(mut value: Value, name: &str, to: Option<Value>) -> Value {
    let members = value.as_object_mut().unwrap();
    match to {
        Some(to) => members.insert(name.to_owned(), to),
        None => members.remove(name),
    };
    value
}

// Where the first fault is.
fn fault(kind: ConsentKind, value: &Value) -> String {
    let faults = NewTerms::parse(kind, value).unwrap_err();
    let told = format!("{faults:?}");
    for text in ["GB82", "secret", "-1.00"] {
        assert!(!told.contains(text), "a message holds a value: {told}");
    }
    faults.into_iter().next().unwrap().pointer
}

#[test]
fn as70_permissions_are_a_group_that_can_be_agreed_to() {
    for (permissions, at) in [
        (None, "/permissions"),
        (Some(json!(null)), "/permissions"),
        (Some(json!("accounts")), "/permissions"),
        (Some(json!({"accounts": true})), "/permissions"),
        (Some(json!([])), "/permissions"),
        (Some(json!(["balances"])), "/permissions"),
        (Some(json!(["transactions"])), "/permissions"),
        (Some(json!(["balances", "transactions"])), "/permissions"),
        (Some(json!(["accounts", "accounts"])), "/permissions/1"),
        (Some(json!(["accounts", "Balances"])), "/permissions/1"),
        (Some(json!(["accounts", "accounts:read"])), "/permissions/1"),
        (Some(json!(["secret"])), "/permissions/0"),
        (Some(json!(["accounts", 1])), "/permissions/1"),
        (Some(json!(["accounts", null])), "/permissions/1"),
        (Some(json!([["accounts"]])), "/permissions/0"),
    ] {
        assert_eq!(fault(ACCESS, &with(access(), "permissions", permissions.clone())), at, "{permissions:?}");
    }
    for permissions in [json!(["accounts"]), json!(["transactions", "accounts"])] {
        assert!(NewTerms::parse(ACCESS, &with(access(), "permissions", Some(permissions))).is_ok());
    }
}

#[test]
fn as70_accounts_that_are_asked_for_are_account_numbers() {
    let many = |count: usize| {
        let number =
            |serial: usize| json!({"iban": Iban::compose("125", &format!("KZT{serial:010}")).unwrap().as_str()});
        json!((0..count).map(number).collect::<Vec<_>>())
    };
    for accounts in [
        json!(null),
        json!([]),
        json!({"iban": OURS}),
        json!(OURS),
        json!([OURS]),
        json!([{}]),
        json!([{"iban": OURS, "name": "x"}]),
        json!([{"IBAN": OURS}]),
        json!([{"iban": 1}]),
        json!([{"iban": "GB82WEST12345698765432"}]),
        json!([{"iban": "KZ87125KZT5004100100"}]),
        json!([{"iban": OURS}, {"iban": OURS}]),
        many(ACCOUNTS_MAX + 1),
    ] {
        assert_eq!(fault(ACCESS, &with(access(), "accounts", Some(accounts.clone()))), "/accounts", "{accounts}");
    }
    assert!(NewTerms::parse(ACCESS, &with(access(), "accounts", Some(many(ACCOUNTS_MAX)))).is_ok());
}

#[test]
fn as70_every_member_of_a_payment_has_its_one_shape() {
    for (member, required) in [
        ("creditorAccount", true),
        ("creditorName", true),
        ("instructedAmount", true),
        ("knp", true),
        ("debtorAccount", false),
        ("remittanceInformation", false),
        ("expiresAt", false),
    ] {
        let at = format!("/{member}");
        for shape in [json!(null), json!(1), json!(1.5), json!(true), json!([]), json!({}), json!(["secret"])] {
            assert_eq!(fault(PAYMENT, &with(payment(), member, Some(shape.clone()))), at, "{member} {shape}");
        }
        let left_out = NewTerms::parse(PAYMENT, &with(payment(), member, None));
        assert_eq!(left_out.is_err(), required, "{member} left out");
    }
}

#[test]
fn as70_values_of_a_payment_are_exact() {
    for (member, value) in [
        ("creditorAccount", json!({"iban": "KZ76125KZT1001300335"})),
        ("creditorAccount", json!({"iban": THEIRS, "bic": "x"})),
        ("creditorName", json!("")),
        ("creditorName", json!(" \u{a0} ")),
        ("creditorName", json!("x".repeat(NAME_CHARACTERS_MAX + 1))),
        ("creditorName", json!("Shop\nApproved by your bank")),
        ("creditorName", json!("Shop\u{202e}nab")),
        ("creditorName", json!("Shop\u{200b}")),
        ("creditorName", json!("Shop\u{0}")),
        ("creditorName", json!("\u{3164}")),
        ("creditorName", json!("\u{2800}\u{2800}")),
        ("creditorName", json!("Shop\u{ffa0}")),
        ("creditorName", json!("Shop\u{34f}")),
        ("creditorName", json!("Shop\u{e0041}")),
        ("instructedAmount", json!("1500.00 KZT")),
        ("instructedAmount", json!({"amount": "1500.00"})),
        ("instructedAmount", json!({"amount": 1500, "currency": "KZT"})),
        ("instructedAmount", json!({"amount": "1500", "currency": "KZT"})),
        ("instructedAmount", json!({"amount": "1500.0", "currency": "KZT"})),
        ("instructedAmount", json!({"amount": "-1.00", "currency": "KZT"})),
        ("instructedAmount", json!({"amount": "0.00", "currency": "KZT"})),
        ("instructedAmount", json!({"amount": "1e3.00", "currency": "KZT"})),
        ("instructedAmount", json!({"amount": "1000000000000000.00", "currency": "KZT"})),
        ("instructedAmount", json!({"amount": "1500.00", "currency": "USD"})),
        ("instructedAmount", json!({"amount": "1500.00", "currency": "kzt"})),
        ("instructedAmount", json!({"amount": "1500.00", "currency": "KZT", "unit": "tiyn"})),
        ("knp", json!("71")),
        ("knp", json!("7100")),
        ("knp", json!("71a")),
        ("knp", json!("٧١٠")),
        ("remittanceInformation", json!("")),
        ("remittanceInformation", json!("x".repeat(REMITTANCE_CHARACTERS_MAX + 1))),
        ("remittanceInformation", json!("a\u{2066}b")),
        ("expiresAt", json!("2027-01-15")),
        ("expiresAt", json!("tomorrow")),
        ("expiresAt", json!("2027-02-30T00:00:00Z")),
    ] {
        let at = format!("/{member}");
        assert_eq!(fault(PAYMENT, &with(payment(), member, Some(value.clone()))), at, "{member} {value}");
    }
}

#[test]
fn as70_a_payment_to_its_own_account_is_refused() {
    let same = with(payment(), "debtorAccount", Some(json!({"iban": THEIRS})));
    assert_eq!(fault(PAYMENT, &same), "/creditorAccount");
    assert!(NewTerms::parse(PAYMENT, &with(payment(), "debtorAccount", Some(json!({"iban": OTHER})))).is_ok());
}

#[test]
fn as70_a_member_that_is_not_known_is_refused_and_not_repeated() {
    for (kind, value) in [(ACCESS, access()), (PAYMENT, payment())] {
        for strange in ["secret", "Purpose", "permissions ", "consentId", "type", "", "debtor"] {
            let faults = NewTerms::parse(kind, &with(value.clone(), strange, Some(json!(1)))).unwrap_err();
            assert_eq!(faults.first().unwrap().pointer, "", "{strange}");
        }
    }
    assert_eq!(fault(PAYMENT, &with(payment(), "permissions", Some(json!(["accounts"])))), "");
    assert_eq!(fault(ACCESS, &with(access(), "knp", Some(json!("710")))), "");
}

#[test]
fn as70_terms_are_an_object() {
    for value in [json!(null), json!([]), json!([access()]), json!("accounts"), json!(1), json!(true)] {
        assert_eq!(fault(ACCESS, &value), "");
        assert_eq!(fault(PAYMENT, &value), "");
    }
}

#[test]
fn every_fault_is_told_at_once() {
    let faults = NewTerms::parse(PAYMENT, &json!({"knp": 1, "creditorName": "", "x": 1})).unwrap_err();
    let at: Vec<&str> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
    assert_eq!(at, ["/creditorAccount", "/creditorName", "/instructedAmount", "/knp", ""]);
}

#[test]
fn texts_are_counted_in_characters() {
    for (kind, value, member, most) in [
        (ACCESS, access(), "purpose", PURPOSE_CHARACTERS_MAX),
        (PAYMENT, payment(), "creditorName", NAME_CHARACTERS_MAX),
        (PAYMENT, payment(), "remittanceInformation", REMITTANCE_CHARACTERS_MAX),
    ] {
        assert!(NewTerms::parse(kind, &with(value.clone(), member, Some(json!("қ".repeat(most))))).is_ok());
        assert_eq!(fault(kind, &with(value, member, Some(json!("қ".repeat(most + 1))))), format!("/{member}"));
    }
}

#[test]
fn an_order_is_written_as_it_is_read() {
    let value = with(payment(), "debtorAccount", Some(json!({"iban": OURS})));
    let Terms::DomesticPayment(order) = NewTerms::parse(PAYMENT, &value).unwrap().terms else {
        unreachable!("it is made of a payment")
    };
    assert_eq!(order.debtor, Some(iban(OURS)));
    let members = order_members(&order);
    assert_eq!(Value::Object(members.clone()), value);
    assert_eq!(read_order(&members, &[]), Some(order.clone()));
    let beside = with(value, "type", Some(json!("payment_initiation")));
    assert_eq!(read_order(beside.as_object().unwrap(), &[]), None);
    assert_eq!(read_order(beside.as_object().unwrap(), &["type"]), Some(order));
}
