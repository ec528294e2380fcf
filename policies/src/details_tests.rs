#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use super::*;
use crate::consent::ACCOUNTS_MAX;
use crate::grant::testing::{OTHER, OURS, access, authorised, awaiting, consent_id, payment};

fn detail(kind: ConsentKind) -> Detail {
    Detail::of(&authorised("consent-1", kind, "g")).unwrap()
}

fn typed(name: &str, mut value: Value) -> Value {
    value.as_object_mut().unwrap().insert("type".to_owned(), json!(name));
    value
}

fn with(mut value: Value, name: &str, to: Option<Value>) -> Value {
    let members = value.as_object_mut().unwrap();
    match to {
        Some(to) => members.insert(name.to_owned(), to),
        None => members.remove(name),
    };
    value
}

#[test]
fn as70_what_is_no_list_of_typed_objects_is_refused() {
    for text in [
        "",
        " ",
        "null",
        "true",
        "1",
        "\"account_information\"",
        "{}",
        r#"{"type":"account_information","consentId":"c"}"#,
        "[null]",
        "[1]",
        "[\"account_information\"]",
        "[[]]",
        "[{}]",
        r#"[{"consentId":"c"}]"#,
        r#"[{"type":null,"consentId":"c"}]"#,
        r#"[{"type":1,"consentId":"c"}]"#,
        r#"[{"type":["account_information"],"consentId":"c"}]"#,
        r#"[{"type":"","consentId":"c"}]"#,
        r#"[{"type":"account-access","consentId":"c"}]"#,
        r#"[{"type":"Account_information","consentId":"c"}]"#,
        r#"[{"type":"account_information ","consentId":"c"}]"#,
        r#"[{"type":"openid_credential","consentId":"c"}]"#,
        r#"[{"Type":"account_information","consentId":"c"}]"#,
        r#"[{"type":"account_information","type":"payment_initiation","consentId":"c"}]"#,
        r#"[{"type":"account_information","consentId":"c","consentId":"d"}]"#,
        r#"[{"type":"account_information","consentId":"c"}] x"#,
        r#"[{"type":"account_information","consentId":"c"}][]"#,
        r#"[{"type":"account_information","consentId":"c"},]"#,
        r#"[{"type":"account_information","consentId":"c"}"#,
        "[{'type':'account_information'}]",
        r#"[{"type":"account_information","consentId":"\ud800"}]"#,
    ] {
        assert_eq!(asked(text), Err(DetailsError::Malformed), "{text}");
        assert_eq!(narrowed(text), Err(DetailsError::Malformed), "{text}");
    }
    assert_eq!(asked("[]"), Err(DetailsError::Empty));
    assert_eq!(narrowed(" [ ] "), Err(DetailsError::Empty));
}

#[test]
fn as70_a_consent_is_named_by_its_id_alone() {
    for text in [
        r#"[{"type":"account_information","consentId":null}]"#,
        r#"[{"type":"account_information","consentId":1}]"#,
        r#"[{"type":"account_information","consentId":["c"]}]"#,
        r#"[{"type":"account_information","consentId":{"id":"c"}}]"#,
        r#"[{"type":"account_information","consentId":""}]"#,
        r#"[{"type":"account_information","consentId":"a b"}]"#,
        r#"[{"type":"account_information","consentId":"../c"}]"#,
        r#"[{"type":"account_information","consentId":"c","permissions":["accounts"]}]"#,
        r#"[{"type":"account_information","consentId":"c","actions":["read"]}]"#,
        r#"[{"type":"account_information","consentId":"c","locations":["https://gate.example"]}]"#,
        r#"[{"type":"payment_initiation","consentId":"c","instructedAmount":{"amount":"1.00","currency":"KZT"}}]"#,
    ] {
        assert_eq!(asked(text), Err(DetailsError::Malformed), "{text}");
        assert_eq!(narrowed(text), Err(DetailsError::Malformed), "{text}");
    }
    let long = format!(r#"[{{"type":"account_information","consentId":"{}"}}]"#, "c".repeat(65));
    assert_eq!(asked(&long), Err(DetailsError::Malformed));
    let text = r#"[{"type":"account_information","consentId":"c"},{"type":"payment_initiation","consentId":"d"}]"#;
    let both = [
        Asked::Consent { kind: ConsentKind::AccountAccess, id: consent_id("c") },
        Asked::Consent { kind: ConsentKind::DomesticPayment, id: consent_id("d") },
    ];
    assert_eq!(asked(text).unwrap(), both);
}

#[test]
fn as70_terms_are_held_to_the_rules_of_consents() {
    for (value, at) in [
        (json!({"type": "account_information"}), "/permissions"),
        (json!({"type": "account_information", "permissions": ["balances"]}), "/permissions"),
        (typed("account_information", with(access(), "actions", Some(json!(["read"])))), ""),
        (typed("account_information", payment()), "/permissions"),
        (typed("payment_initiation", access()), "/creditorAccount"),
        (typed("payment_initiation", with(payment(), "knp", None)), "/knp"),
        (typed("payment_initiation", with(payment(), "instructedAmount", Some(json!("1.00")))), "/instructedAmount"),
        (typed("payment_initiation", with(payment(), "creditorAccount", Some(json!(OURS)))), "/creditorAccount"),
    ] {
        match asked(&json!([value]).to_string()) {
            Err(DetailsError::Terms { index: 0, fault }) => assert_eq!(fault.pointer, at, "{value}"),
            other => unreachable!("{value} gave {other:?}"),
        }
    }
    let second = json!([{"type": "account_information", "consentId": "c"}, typed("payment_initiation", json!({}))]);
    assert!(matches!(asked(&second.to_string()), Err(DetailsError::Terms { index: 1, .. })));
    let fine = json!([typed("account_information", access()), typed("payment_initiation", payment())]);
    let kinds: Vec<_> = asked(&fine.to_string()).unwrap().iter().map(Asked::kind).collect();
    assert_eq!(kinds, ConsentKind::ALL);
}

#[test]
fn as70_one_detail_of_each_type_and_no_more() {
    for name in ["account_information", "payment_initiation"] {
        let twice = json!([{"type": name, "consentId": "c"}, {"type": name, "consentId": "d"}]).to_string();
        assert_eq!(asked(&twice), Err(DetailsError::TypeTwice));
        assert_eq!(narrowed(&twice), Err(DetailsError::TypeTwice));
    }
}

#[test]
fn as70_details_are_bounded_in_bytes_and_depth() {
    let text = r#"[{"type":"account_information","consentId":"c"}]"#;
    let padded = |bytes: usize| format!("{text}{}", " ".repeat(bytes - text.len()));
    assert_eq!(asked(&padded(DETAILS_BYTES_MAX + 1)), Err(DetailsError::TooLong));
    assert!(asked(&padded(DETAILS_BYTES_MAX)).is_ok());
    for levels in [17, 3000] {
        let deep =
            format!(r#"[{{"type":"account_information","permissions":{}{}}}]"#, "[".repeat(levels), "]".repeat(levels));
        assert_eq!(asked(&deep), Err(DetailsError::Malformed), "{levels}");
    }
}

#[test]
fn as71_a_token_request_keeps_what_was_granted_or_less() {
    let granted = [detail(ConsentKind::AccountAccess), detail(ConsentKind::DomesticPayment)];
    let left = |text: &str| {
        narrowed(text).unwrap().leave(&granted).map(|left| left.iter().map(Detail::kind).collect::<Vec<_>>())
    };
    assert_eq!(left(r#"[{"type":"account_information","consentId":"another"}]"#), None);
    assert_eq!(left(r#"[{"type":"account_information"},{"type":"payment_initiation","consentId":"another"}]"#), None);
    let only = narrowed(r#"[{"type":"payment_initiation"}]"#).unwrap();
    assert_eq!(only.leave(&[detail(ConsentKind::AccountAccess)]), None);
    assert_eq!(left(r#"[{"type":"payment_initiation"}]"#), Some(vec![ConsentKind::DomesticPayment]));
    let named = r#"[{"type":"account_information","consentId":"consent-1"}]"#;
    assert_eq!(left(named), Some(vec![ConsentKind::AccountAccess]));
}

#[test]
fn a_consent_that_is_not_authorised_grants_nothing() {
    for kind in ConsentKind::ALL {
        assert_eq!(Detail::of(&awaiting("c", kind)), None);
        assert_eq!(Detail::of(&Consent { state: ConsentState::Authorised, ..awaiting("c", kind) }), None, "no choice");
        let granted = authorised("c", kind, "g");
        for state in [ConsentState::Rejected, ConsentState::Revoked, ConsentState::Expired, ConsentState::Consumed] {
            assert_eq!(Detail::of(&Consent { state, ..granted.clone() }), None, "{state:?}");
        }
        assert_eq!(Detail::of(&granted).map(|detail| detail.kind()), Some(kind));
    }
}

// What stands in a token was written by us; what is not written so was not, whatever its signature says.
#[test]
fn as73_details_in_a_token_are_read_as_they_are_written_and_in_no_other_way() {
    let (accounts, order) = (detail(ConsentKind::AccountAccess), detail(ConsentKind::DomesticPayment));
    let both = [accounts.clone(), order.clone()];
    let claim = to_claim(&both);
    assert_eq!(from_claim(&claim).unwrap(), both);
    let (accounts, order) = (accounts.to_claim(), order.to_claim());
    for value in [json!(null), json!({}), json!("x"), json!(1), json!([]), json!([null]), json!([{}]), accounts.clone()]
    {
        assert_eq!(from_claim(&value), None, "{value}");
    }
    assert_eq!(from_claim(&json!([accounts, accounts])), None, "one of a type");
    let shapes =
        [None, Some(json!(null)), Some(json!(1)), Some(json!([])), Some(json!({})), Some(json!("")), Some(json!(true))];
    for (value, names) in [
        (&accounts, vec!["type", "consentId", "permissions", "accounts"]),
        (
            &order,
            vec!["type", "consentId", "debtorAccount", "creditorAccount", "creditorName", "instructedAmount", "knp"],
        ),
    ] {
        for name in names {
            for shape in &shapes {
                let changed = with(value.clone(), name, shape.clone());
                assert_eq!(from_claim(&json!([changed])), None, "{name}: {shape:?}");
            }
        }
        assert_eq!(from_claim(&json!([with(value.clone(), "more", Some(json!(1)))])), None);
    }
    for (name, value) in [
        ("permissions", json!(["balances"])),
        ("permissions", json!(["accounts", "accounts"])),
        ("accounts", json!(["a b"])),
        ("accounts", json!(["acc-1", "acc-1"])),
        ("accounts", json!([1])),
        ("accounts", json!((0..=ACCOUNTS_MAX).map(|number| format!("a{number}")).collect::<Vec<_>>())),
        ("type", json!("payment_initiation")),
        ("consentId", json!("a b")),
    ] {
        let changed = with(accounts.clone(), name, Some(value));
        assert_eq!(from_claim(&json!([changed.clone()])), None, "{changed}");
    }
    let end = with(order, "expiresAt", Some(json!("2027-01-15T08:00:00Z")));
    assert_eq!(from_claim(&json!([end])), None, "an end is the consent's, not the order's");
}

#[test]
fn as12_a_token_with_the_longest_details_fits_a_header() {
    let ids: BTreeSet<String> = (0..ACCOUNTS_MAX).map(|number| format!("{number:064}")).collect();
    let accounts = Detail::AccountInformation {
        consent: consent_id(&"c".repeat(64)),
        permissions: Permission::ALL.into(),
        accounts: ids,
    };
    let long = |characters: usize| json!("қ".repeat(characters));
    let mut value = with(payment(), "creditorName", Some(long(140)));
    value = with(value, "remittanceInformation", Some(long(420)));
    value = with(value, "debtorAccount", Some(json!({"iban": OTHER})));
    let order = read_order(value.as_object().unwrap(), &[]).unwrap();
    let order = Detail::PaymentInitiation { consent: consent_id(&"d".repeat(64)), order };
    let claim = to_claim(&[accounts, order]);
    let bytes = claim.to_string().len();
    // Base64url makes four of three; what stands beside the details in a token has less than 1.5 KiB.
    assert!(bytes * 4 / 3 + 1536 <= crate::token::TOKEN_BYTES_MAX, "{bytes}");
    assert!(from_claim(&claim).is_some());
}

#[test]
fn as70_whatever_byte_is_changed_nothing_else_is_read() {
    let text = json!([typed("account_information", access()), typed("payment_initiation", payment())]).to_string();
    let whole = asked(&text).unwrap();
    let mut read = 0;
    for (index, character) in text.char_indices() {
        for put in ["", "0", "a", "\"", "{", "[", "]", ",", ":", "\\", " ", "\u{0}", "e9", "-"] {
            let (before, after) = (text.get(..index).unwrap(), text.get(index + character.len_utf8()..).unwrap());
            let changed = format!("{before}{put}{after}");
            _ = narrowed(&changed);
            if let Ok(found) = asked(&changed) {
                // A text within may differ, and what white space is; never which kinds are asked for.
                assert_eq!(found.iter().map(Asked::kind).collect::<Vec<_>>(), ConsentKind::ALL, "{changed}");
                read += usize::from(found != whole);
            }
        }
    }
    assert!(read > 0, "texts may be changed");
}
