//! What administrators' own rules say: networks, conditions, fraud rules, several step-ups.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

use std::net::{IpAddr, Ipv4Addr};

use super::tests::{
    ACR, PEER, assessed_by, binding, body, client, facts, identity, names_of, now, ordinary, organisation_of, policy,
    second, tiyn,
};
use super::*;
use crate::condition::Condition;
use crate::national::money::{Currency, Money};
use crate::network::AddressRange;
use crate::rulebook::{FraudAnswer, FraudRule, StepUp, Trigger};

const L3: &str = "urn:qaqpa:acr:L3";

fn above(tenge: i64) -> Trigger {
    Trigger::Above { above: Money::from_tiyn(tenge * 100, Currency::Kzt), amount: "/instructedAmount".to_owned() }
}

fn step_up(id: &str, trigger: Trigger, acr: &str) -> Arc<StepUp> {
    Arc::new(StepUp { id: Arc::from(id), trigger, acr: acr.to_owned(), origin: format!("stepup.yaml:{}", id.len()) })
}

fn fraud(id: &str, trigger: Trigger, then: FraudAnswer, mode: Mode) -> Arc<FraudRule> {
    Arc::new(FraudRule { id: Arc::from(id), trigger, then, mode, origin: "fraud.yaml:3".to_owned() })
}

/// A condition about nothing that a request here has: it cannot be judged.
fn unjudgeable() -> Arc<Condition> {
    Arc::new(Condition::compile("body.gone == 'x'", "a.yaml:9", None).unwrap())
}

fn with(change: impl FnOnce(&mut OperationPolicy)) -> Arc<OperationPolicy> {
    let mut policy = policy(Security::AccessToken);
    policy.step_ups.clear();
    change(&mut policy);
    Arc::new(policy)
}

fn names(rules: &[RuleName]) -> Vec<&str> {
    rules.iter().map(|rule| &*rule.name).collect()
}

#[test]
fn a_peer_outside_the_networks_of_its_organisation_is_refused() {
    let inside = |networks: &[&str], peer: IpAddr| {
        let networks = networks.iter().map(|text| AddressRange::parse(text).unwrap()).collect();
        let client = organisation_of(client(), |organisation| organisation.networks = networks);
        permit(&with(|_| ()), &ordinary(client), None, peer, now()).map(|_| ())
    };
    let v4 = |last| IpAddr::from([10, 1, 2, last]);
    let denial = inside(&["10.1.2.0/30"], v4(4)).unwrap_err();
    assert_eq!(denial.refusal, Refusal::NetworkOutside);
    let rule = denial.rule.unwrap();
    assert_eq!((rule.kind, &*rule.name), (RuleKind::Network, "demo"));
    assert_eq!(inside(&["10.1.2.0/30"], v4(3)), Ok(()));
    assert_eq!(inside(&["192.0.2.0/24", "10.1.2.3/32"], v4(3)), Ok(()));
    assert_eq!(inside(&[], v4(4)), Ok(()));
    // An IPv4 address that came in as IPv6 is the IPv4 one; an IPv6 range holds no IPv4 address.
    let mapped = IpAddr::from(Ipv4Addr::new(10, 1, 2, 3).to_ipv6_mapped());
    assert_eq!(inside(&["10.1.2.0/30"], mapped), Ok(()));
    assert!(inside(&["::/0"], v4(3)).is_err());
    assert!(inside(&["0.0.0.0/0"], IpAddr::from([0x2a00, 0, 0, 0, 0, 0, 0, 1])).is_err());
}

#[test]
fn a_suspended_organisation_is_told_so_before_its_network() {
    let stopped = organisation_of(client(), |organisation| {
        organisation.suspended = true;
        organisation.networks = vec![AddressRange::parse("10.0.0.0/8").unwrap()];
    });
    let denial = permit(&with(|_| ()), &ordinary(stopped), None, PEER, now()).unwrap_err();
    assert_eq!(denial.refusal, Refusal::OrganisationSuspended);
}

#[test]
fn a_condition_that_cannot_be_judged_denies_and_is_named() {
    let policy = with(|policy| policy.allow.push(unjudgeable()));
    let denial = assessed_by(&policy, tiyn(1), None).unwrap_err();
    assert!(matches!(denial.refusal, Refusal::NotJudged { .. }), "{denial:?}");
    let rule = denial.rule.unwrap();
    assert_eq!((rule.kind, rule.origin.as_deref()), (RuleKind::Allow, Some("a.yaml:9")));
}

#[test]
fn a_fraud_rule_or_step_up_that_cannot_be_judged_denies() {
    for mode in [Mode::Enforce, Mode::Report, Mode::Off] {
        let rule = || fraud("odd", Trigger::When(unjudgeable()), FraudAnswer::Deny, mode);
        let judged = assessed_by(&with(|policy| policy.fraud.push(rule())), tiyn(1), None);
        match mode {
            Mode::Enforce => assert!(matches!(judged.unwrap_err().refusal, Refusal::NotJudged { .. })),
            Mode::Report => assert_eq!(names(judged.unwrap().reports()), ["odd"]),
            Mode::Off => assert!(judged.unwrap().reports().is_empty()),
        }
    }
    let policy = with(|policy| policy.step_ups.push(step_up("odd", Trigger::When(unjudgeable()), ACR)));
    let denial = assessed_by(&policy, tiyn(1), None).unwrap_err();
    assert!(matches!(denial.refusal, Refusal::NotJudged { .. }));
    assert_eq!(denial.rule.unwrap().kind, RuleKind::StepUp);
}

#[test]
fn a_fraud_rule_refuses_above_its_amount_and_not_at_it() {
    let policy = with(|policy| policy.fraud.push(fraud("huge", above(100), FraudAnswer::Deny, Mode::Enforce)));
    let denial = assessed_by(&policy, tiyn(10_001), None).unwrap_err();
    assert_eq!(denial.refusal, Refusal::Fraud);
    let rule = denial.rule.unwrap();
    assert_eq!((rule.kind, &*rule.name, rule.origin.as_deref()), (RuleKind::Fraud, "huge", Some("fraud.yaml:3")));
    assert!(assessed_by(&policy, tiyn(10_000), None).is_ok());
    let unknown = assessed_by(&policy, None, None).unwrap_err().refusal;
    assert_eq!(unknown, Refusal::AmountUnknown { at: "/instructedAmount".to_owned() });
}

#[test]
fn a_rule_that_only_reports_lets_pass_and_tells() {
    let report = |then| with(|policy| policy.fraud.push(fraud("huge", above(100), then, Mode::Report)));
    assert_eq!(names(assessed_by(&report(FraudAnswer::Deny), tiyn(10_001), None).unwrap().reports()), ["huge"]);
    assert!(assessed_by(&report(FraudAnswer::Deny), tiyn(10_000), None).unwrap().reports().is_empty());
    assert_eq!(names(assessed_by(&report(FraudAnswer::Deny), None, None).unwrap().reports()), ["huge"]);
    let stepping = report(FraudAnswer::StepUp(step_up("large", above(1), ACR)));
    let cleared = assessed_by(&stepping, tiyn(10_001), None).unwrap();
    assert_eq!((names(cleared.reports()), cleared.spends()), (vec!["huge"], &[][..]));
    // Who was verified would not have been refused; and a rule that only reports spends nothing.
    let result = identity(Some(&binding()), ACR, now() + second());
    let cleared = assessed_by(&stepping, tiyn(10_001), Some(&result)).unwrap();
    assert_eq!((cleared.reports().len(), cleared.spends()), (0, &[][..]));
}

#[test]
fn a_refusal_tells_what_other_rules_would_have_said() {
    let policy = with(|policy| {
        policy.fraud.push(fraud("first", above(1), FraudAnswer::Deny, Mode::Enforce));
        policy.fraud.push(fraud("second", above(1), FraudAnswer::Deny, Mode::Report));
    });
    let denial = assessed_by(&policy, tiyn(101), None).unwrap_err();
    assert_eq!((denial.rule.as_ref().map(|rule| &*rule.name), names(&denial.reports)), (Some("first"), vec!["second"]));
}

#[test]
fn of_several_step_ups_the_strictest_is_asked_for() {
    let policy = with(|policy| {
        policy.step_ups = vec![step_up("large", above(1), ACR), step_up("larger", above(2), L3)];
        let sure = FraudAnswer::StepUp(step_up("sure", above(0), "urn:qaqpa:acr:L1"));
        policy.fraud.push(fraud("any", above(0), sure, Mode::Enforce));
    });
    let asked = |amount| match assessed_by(&policy, tiyn(amount), None) {
        Ok(_) => None,
        Err(denial) => match (denial.refusal, denial.rule) {
            (Refusal::StepUp { acr, .. }, Some(rule)) => Some((acr, rule.kind, rule.name.to_string())),
            other => panic!("{other:?}"),
        },
    };
    assert_eq!(asked(201), Some((L3.to_owned(), RuleKind::StepUp, "larger".to_owned())));
    assert_eq!(asked(200), Some((ACR.to_owned(), RuleKind::StepUp, "large".to_owned())));
    assert_eq!(asked(100), Some(("urn:qaqpa:acr:L1".to_owned(), RuleKind::Fraud, "any".to_owned())));
    assert_eq!(asked(0), None);
    let soon = now() + second();
    let weak = identity(Some(&binding()), ACR, soon);
    let denial = assessed_by(&policy, tiyn(201), Some(&weak)).unwrap_err();
    assert_eq!(denial.refusal, Refusal::ResultTooWeak { acr: L3.to_owned() });
    // One result does for all of them, and is spent once.
    let strong = identity(Some(&binding()), L3, soon);
    assert_eq!(names_of(&assessed_by(&policy, tiyn(201), Some(&strong)).unwrap()), ["fedcba9876543210"]);
}

#[test]
fn contexts_that_cannot_be_ranked_have_to_be_reached_each() {
    let policy = with(|policy| {
        policy.step_ups = vec![step_up("one", above(0), "urn:other:a"), step_up("two", above(0), L3)];
    });
    let soon = now() + second();
    for (acr, missing) in [("urn:other:a", L3), (L3, "urn:other:a")] {
        let result = identity(Some(&binding()), acr, soon);
        let denial = assessed_by(&policy, tiyn(1), Some(&result)).unwrap_err();
        assert_eq!(denial.refusal, Refusal::ResultTooWeak { acr: missing.to_owned() });
    }
}

#[test]
fn a_denial_comes_before_a_step_up() {
    let policy = with(|policy| {
        policy.step_ups.push(step_up("large", above(1), ACR));
        policy.fraud.push(fraud("huge", above(2), FraudAnswer::Deny, Mode::Enforce));
    });
    assert_eq!(assessed_by(&policy, tiyn(201), None).unwrap_err().refusal, Refusal::Fraud);
    assert!(matches!(assessed_by(&policy, tiyn(200), None).unwrap_err().refusal, Refusal::StepUp { .. }));
}

#[test]
fn of_a_body_that_nobody_read_no_result_can_tell() {
    let policy = with(|policy| policy.step_ups.push(step_up("large", above(1), ACR)));
    let (mine, body) = (client(), body(tiyn(101)));
    let permit = permit(&policy, &ordinary(mine.clone()), None, PEER, now()).unwrap();
    let unread = RequestFacts { body_digest: None, ..facts(Some(&mine.id), &policy.operation, &body) };
    let result = identity(Some(&binding()), ACR, now() + second());
    assert_eq!(assess(permit, &unread, Some(&result), now()).unwrap_err().refusal, Refusal::FactsDoNotFit);
}
