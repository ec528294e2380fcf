#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::time::Duration;

use super::*;
use crate::grant::testing::{
    NOW, OTHER, OURS, THEIRS, TICK, access, authorised, awaiting, consent_id, grant_id, iban, offered, payment, person,
    terms,
};
use serde_json::json;

const AWAITING: ConsentState = ConsentState::AwaitingAuthorisation;

fn create(lasts_until: Option<Timestamp>) -> Result<Consent, ConsentError> {
    let kind = ConsentKind::AccountAccess;
    let client = ClientId::parse("fintech").unwrap();
    let bounds = ConsentTerms::usual(kind);
    Consent::create(consent_id("c"), client, terms(kind, &access()).terms, lasts_until, &bounds, NOW)
}

#[test]
fn a_consent_ends_after_now_and_not_later_than_policy_says() {
    let longest = NOW + ConsentTerms::usual(ConsentKind::AccountAccess).longest;
    assert_eq!(create(Some(NOW)).unwrap_err(), ConsentError::TooShort);
    assert_eq!(create(Some(NOW - TICK)).unwrap_err(), ConsentError::TooShort);
    assert_eq!(create(Some(longest + TICK)).unwrap_err(), ConsentError::TooLong);
    assert_eq!(create(Some(Timestamp::MAX)).unwrap_err(), ConsentError::TooLong);
    assert_eq!(create(Some(longest)).unwrap().lasts_until, longest);
    assert_eq!(create(Some(NOW + TICK)).unwrap().lasts_until, NOW + TICK);
    assert_eq!(create(None).unwrap().lasts_until, longest);
}

#[test]
fn a_consent_that_nobody_decides_is_rejected_after_an_hour() {
    let consent = create(None).unwrap();
    let end = NOW + Duration::from_secs(3600);
    assert_eq!(consent.state_at(end - TICK, false), AWAITING);
    assert_eq!(consent.state_at(end, false), ConsentState::Rejected);
    // One that is to be over sooner does not wait longer than that.
    let short = create(Some(NOW + Duration::from_secs(60))).unwrap();
    assert_eq!(short.state_at(NOW + Duration::from_secs(60), false), ConsentState::Rejected);
    let choice = choose(&short.terms, &offered(), &["acc-1"]).unwrap();
    let late = short.authorise(choice, person(), grant_id("g"), NOW + Duration::from_secs(60));
    assert_eq!(late.unwrap_err(), ConsentError::Already(ConsentState::Rejected));
}

#[test]
fn a_choice_is_made_among_what_is_the_citizens() {
    let access = awaiting("a", ConsentKind::AccountAccess).terms;
    for (ids, expected) in [
        (vec![], ConsentError::NothingChosen),
        (vec!["acc-3"], ConsentError::WrongAccount),
        (vec!["acc-1", "acc-3"], ConsentError::WrongAccount),
        (vec!["acc-1", "acc-1"], ConsentError::WrongAccount),
        (vec![""], ConsentError::WrongAccount),
        (vec!["ACC-1"], ConsentError::WrongAccount),
        (vec![OURS], ConsentError::WrongAccount),
        (vec!["acc-1"; ACCOUNTS_MAX + 1], ConsentError::TooMany),
    ] {
        assert_eq!(choose(&access, &offered(), &ids).unwrap_err(), expected, "{ids:?}");
    }
    assert!(choose(&access, &offered(), &["acc-2", "acc-1"]).is_ok());
}

#[test]
fn an_account_whose_id_fits_no_token_is_not_shared() {
    let access = awaiting("a", ConsentKind::AccountAccess).terms;
    for id in ["a b", "a/b", "a\"b", "счёт", "a\r\nb", &"a".repeat(65)] {
        let strange = [SharedAccount { id: id.to_owned(), iban: iban(OURS) }];
        assert_eq!(choose(&access, &strange, &[id]).unwrap_err(), ConsentError::WrongAccount, "{id:?}");
    }
    let longest = "a".repeat(64);
    let fitting = [SharedAccount { id: longest.clone(), iban: iban(OURS) }];
    assert!(choose(&access, &fitting, &[&longest]).is_ok());
}

#[test]
fn twenty_accounts_are_shared_and_no_more() {
    let access = awaiting("a", ConsentKind::AccountAccess).terms;
    let ids: Vec<String> = (0..=ACCOUNTS_MAX).map(|number| format!("acc-{number}")).collect();
    let many: Vec<SharedAccount> = ids.iter().map(|id| SharedAccount { id: id.clone(), iban: iban(OURS) }).collect();
    let chosen: Vec<&str> = ids.iter().map(String::as_str).collect();
    assert_eq!(choose(&access, &many, &chosen).unwrap_err(), ConsentError::TooMany);
    assert!(choose(&access, &many, chosen.get(..ACCOUNTS_MAX).unwrap()).is_ok());
}

#[test]
fn only_accounts_that_were_asked_for_are_shared() {
    let asked = json!({"permissions": ["accounts"], "accounts": [{"iban": OTHER}]});
    let terms = terms(ConsentKind::AccountAccess, &asked).terms;
    assert_eq!(choose(&terms, &offered(), &["acc-1"]).unwrap_err(), ConsentError::WrongAccount);
    assert_eq!(choose(&terms, &offered(), &["acc-1", "acc-2"]).unwrap_err(), ConsentError::WrongAccount);
    assert!(choose(&terms, &offered(), &["acc-2"]).is_ok());
}

#[test]
fn a_payment_goes_from_one_account_to_another() {
    let free = terms(ConsentKind::DomesticPayment, &payment()).terms;
    assert_eq!(choose(&free, &offered(), &["acc-1", "acc-2"]).unwrap_err(), ConsentError::TooMany);
    let creditor = [SharedAccount { id: "acc-1".to_owned(), iban: iban(THEIRS) }];
    assert_eq!(choose(&free, &creditor, &["acc-1"]).unwrap_err(), ConsentError::WrongAccount);
    let mut value = payment();
    value.as_object_mut().unwrap().insert("debtorAccount".to_owned(), json!({"iban": OTHER}));
    let fixed = terms(ConsentKind::DomesticPayment, &value).terms;
    assert_eq!(choose(&fixed, &offered(), &["acc-1"]).unwrap_err(), ConsentError::WrongAccount);
    assert!(choose(&fixed, &offered(), &["acc-2"]).is_ok());
}

#[test]
fn as72_a_choice_for_other_terms_is_refused() {
    let consent = awaiting("p", ConsentKind::DomesticPayment);
    for (member, value) in [
        ("instructedAmount", json!({"amount": "1500.01", "currency": "KZT"})),
        ("creditorAccount", json!({"iban": OTHER})),
        ("creditorName", json!("ТОО Астана Нан")),
        ("knp", json!("711")),
        ("remittanceInformation", json!("Invoice 18")),
    ] {
        let mut changed = payment();
        changed.as_object_mut().unwrap().insert(member.to_owned(), value);
        let changed = terms(ConsentKind::DomesticPayment, &changed).terms;
        let choice = choose(&changed, &offered(), &["acc-1"]).unwrap();
        let found = consent.authorise(choice, person(), grant_id("g"), NOW);
        assert_eq!(found.unwrap_err(), ConsentError::WrongKind, "{member}");
    }
    let other = awaiting("a", ConsentKind::AccountAccess);
    let choice = choose(&other.terms, &offered(), &["acc-1"]).unwrap();
    assert_eq!(consent.authorise(choice, person(), grant_id("g"), NOW).unwrap_err(), ConsentError::WrongKind);
}

#[test]
fn as72_a_payment_consent_is_used_once_and_an_account_consent_is_not_used_up() {
    let payment = authorised("p", ConsentKind::DomesticPayment, "g");
    assert_eq!(payment.state_at(NOW, false), ConsentState::Authorised);
    assert_eq!(payment.state_at(NOW, true), ConsentState::Consumed);
    assert_eq!(payment.state_at(payment.expires, true), ConsentState::Consumed, "used stays used");
    assert_eq!(payment.revoke(NOW, true).unwrap_err(), ConsentError::Already(ConsentState::Consumed));
    let access = authorised("a", ConsentKind::AccountAccess, "g");
    assert_eq!(access.state_at(NOW, true), ConsentState::Authorised);
}

#[test]
fn what_is_decided_is_not_decided_again() {
    let authorised = authorised("a", ConsentKind::AccountAccess, "g");
    let rejected = awaiting("r", ConsentKind::AccountAccess).reject(NOW).unwrap();
    let revoked = authorised.revoke(NOW, false).unwrap();
    let withdrawn = awaiting("w", ConsentKind::AccountAccess).revoke(NOW, false).unwrap();
    for (consent, state) in [
        (&authorised, ConsentState::Authorised),
        (&rejected, ConsentState::Rejected),
        (&revoked, ConsentState::Revoked),
        (&withdrawn, ConsentState::Revoked),
    ] {
        let choice = choose(&consent.terms, &offered(), &["acc-1"]).unwrap();
        let again = consent.authorise(choice, person(), grant_id("h"), NOW);
        assert_eq!(again.unwrap_err(), ConsentError::Already(state));
        assert_eq!(consent.reject(NOW).unwrap_err(), ConsentError::Already(state));
        assert_eq!(consent.state_at(NOW, false), state);
    }
    for (consent, state) in [(&rejected, ConsentState::Rejected), (&revoked, ConsentState::Revoked)] {
        assert_eq!(consent.revoke(NOW, false).unwrap_err(), ConsentError::Already(state));
        assert_eq!(consent.state_at(consent.lasts_until, false), state, "time changes nothing about it");
    }
    let over = authorised.expires;
    assert_eq!(authorised.state_at(over - TICK, false), ConsentState::Authorised);
    assert_eq!(authorised.state_at(over, false), ConsentState::Expired);
    assert_eq!(authorised.revoke(over, false).unwrap_err(), ConsentError::Already(ConsentState::Expired));
}

#[test]
fn what_is_authorised_says_who_what_and_until_when() {
    let consent = authorised("a", ConsentKind::AccountAccess, "g");
    assert_eq!((consent.person, consent.grant, consent.decided), (Some(person()), Some(grant_id("g")), Some(NOW)));
    assert_eq!(consent.expires, consent.lasts_until);
    let Terms::AccountAccess(access) = consent.terms else { unreachable!("it is made of an account access") };
    assert_eq!(access.shared, offered().into_iter().take(1).collect::<Vec<_>>());
    let Terms::DomesticPayment(order) = authorised_payment() else { unreachable!("it is made of a payment") };
    assert_eq!(order.debtor, Some(iban(OURS)));
}

fn authorised_payment() -> Terms {
    authorised("p", ConsentKind::DomesticPayment, "g").terms
}

#[test]
fn words_are_read_as_they_are_written_and_no_other() {
    for kind in ConsentKind::ALL {
        assert_eq!(ConsentKind::from_word(kind.word()), Some(kind));
        assert_eq!(ConsentKind::from_details_type(kind.details_type()), Some(kind));
        assert_eq!(ConsentKind::from_word(kind.details_type()), None);
    }
    for state in ConsentState::ALL {
        assert_eq!(ConsentState::from_word(state.word()), Some(state));
        assert_eq!(ConsentState::from_word(&state.word().to_uppercase()), None);
    }
    for permission in Permission::ALL {
        assert_eq!(Permission::from_word(permission.word()), Some(permission));
        assert_eq!(Permission::from_word(permission.scope()), None);
    }
}
