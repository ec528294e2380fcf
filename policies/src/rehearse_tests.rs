#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::condition::Condition;
use crate::id::{ApiId, OrganisationId, PlanId};
use crate::limit::{Dimension, Rate};
use crate::national::money::Currency;
use crate::rulebook::{
    AuditDuty, CertificateName, ClientAuthentication, FraudAnswer, FraudRule, OauthTerms, Organisation, Plan, Role,
    Service, StepUp, TokenBinding,
};

const AMOUNT: &str = "/instructedAmount";

fn tenge(tenge: i64) -> Money {
    Money::from_tiyn(tenge * 100, Currency::Kzt)
}

fn limit(id: &str, mode: Mode) -> Limit {
    let one = NonZeroU32::new(1).unwrap();
    let rate = Rate { count: one, per: Duration::from_secs(1) };
    Limit { mode, ..Limit::bucket(id, &[Dimension::Client], rate, one) }
}

fn client() -> Client {
    Client {
        id: ClientId::parse("demo-web").unwrap(),
        organisation: Arc::new(Organisation {
            id: OrganisationId::parse("demo").unwrap(),
            title: "Demo".to_owned(),
            roles: BTreeSet::from([Role::Pisp]),
            licence_ends: Timestamp::MAX,
            suspended: false,
            networks: Vec::new(),
        }),
        authentication: ClientAuthentication::TlsClientAuth(CertificateName::SanDns("client.example.kz".to_owned())),
        binding: TokenBinding::Mtls,
        scopes: ScopeSet::of(["payments:write"]),
        plan: Arc::new(Plan { id: PlanId::parse("standard").unwrap(), limits: vec![limit("plan", Mode::Enforce)] }),
        suspended: false,
        webhook: None,
        oauth: OauthTerms::default(),
    }
}

fn step_up(tenge_above: i64, acr: &str) -> Arc<StepUp> {
    let trigger = Trigger::Above { above: tenge(tenge_above), amount: AMOUNT.to_owned() };
    Arc::new(StepUp { id: Arc::from("large"), trigger, acr: acr.to_owned(), origin: "stepup.yaml:3".to_owned() })
}

fn policy() -> OperationPolicy {
    OperationPolicy {
        operation: OperationId::parse("pay").unwrap(),
        api: ApiId::parse("payments").unwrap(),
        security: Security::AccessToken,
        roles: BTreeSet::from([Role::Pisp]),
        scopes: ScopeSet::of(["payments:write"]),
        body_bytes_max: 1024,
        timeout: Duration::from_secs(1),
        service: Service::Own,
        idempotent: true,
        settled_by: None,
        step_ups: vec![step_up(250_000, "urn:qaqpa:acr:L2")],
        limits: Vec::new(),
        allow: Vec::new(),
        fraud: Vec::new(),
        responses: Mode::Report,
        masks: Vec::new(),
        noted: Vec::new(),
        loosened: None,
        consent: None,
        audit: AuditDuty::Required,
        origin: "payments.yaml:1".to_owned(),
    }
}

/// A payment of 200,000 tenge that was let through.
fn paid() -> Recorded {
    Recorded {
        received: Some(Timestamp::parse("2026-11-22T10:00:00Z").unwrap()),
        operation: Some(OperationId::parse("pay").unwrap()),
        client: Some(ClientId::parse("demo-web").unwrap()),
        scopes: Some(ScopeSet::of(["payments:write"])),
        peer: None,
        limits: vec!["plan".to_owned()],
        amount: Some((tenge(200_000), Some(AMOUNT.to_owned()))),
        steps: steps(&[("route", "pass"), (METER, "pass"), (PERMIT, "pass"), (ASSESS, "pass"), ("deed", "whatever")]),
        ..Recorded::default()
    }
}

fn steps(steps: &[(&str, &str)]) -> Vec<(String, String)> {
    steps.iter().map(|(stage, decision)| ((*stage).to_owned(), (*decision).to_owned())).collect()
}

/// The same, refused at a stage.
fn refused(stage: &str, code: &str) -> Recorded {
    Recorded { steps: steps(&[("route", "pass"), (stage, code)]), ..paid() }
}

fn rehearse(recorded: &Recorded, change: impl FnOnce(&mut Client, &mut OperationPolicy)) -> Verdict {
    let (mut client, mut policy) = (client(), policy());
    change(&mut client, &mut policy);
    let mut rulebook = Rulebook::default();
    rulebook.clients.insert(client.id.clone(), Arc::new(client));
    rulebook.operations.insert(policy.operation.clone(), Arc::new(policy));
    judge(recorded, &rulebook, &name)
}

fn name(code: Code) -> &'static str {
    match code {
        Code::StepUpRequired => "step_up_required",
        Code::VerificationFailed => VERIFICATION_FAILED,
        Code::RoleMissing => "role_missing",
        Code::InsufficientScope => "insufficient_scope",
        Code::ClientSuspended => "client_suspended",
        Code::LicenceExpired => "licence_expired",
        Code::NetworkRefused => "network_refused",
        Code::PolicyDenied => "policy_denied",
        Code::FraudRefused => "fraud_refused",
        Code::RateLimited => "rate_limited",
        Code::UnknownPath => "unknown_path",
        Code::ClientUnauthenticated => "client_unauthenticated",
        Code::ConsentRequired => CONSENT_REQUIRED,
        Code::ConsentMismatch => CONSENT_MISMATCH,
        _ => "other",
    }
}

fn now_refused(verdict: &Verdict) -> (&'static str, String) {
    match verdict {
        Verdict::Changed { from: None, to: Some(to), rule } => {
            (to, rule.as_ref().map(ToString::to_string).unwrap_or_default())
        }
        other => ("not refused", format!("{other:?}")),
    }
}

fn why(verdict: Verdict) -> String {
    match verdict {
        Verdict::Undecidable { why } => why,
        other => format!("{other:?}"),
    }
}

fn organised(client: &mut Client, change: impl FnOnce(&mut Organisation)) {
    let mut organisation = Organisation::clone(&client.organisation);
    change(&mut organisation);
    client.organisation = Arc::new(organisation);
}

fn condition(text: &str) -> Arc<Condition> {
    Arc::new(Condition::compile(text, "payments.yaml:7", None).unwrap())
}

fn planned(client: &mut Client, limits: Vec<Limit>) {
    client.plan = Arc::new(Plan { id: PlanId::parse("standard").unwrap(), limits });
}

#[test]
fn a_stricter_rule_refuses_what_was_let_through() {
    let paid = paid();
    let step_ups = |policy: &mut OperationPolicy| policy.step_ups = vec![step_up(100_000, "urn:qaqpa:acr:L2")];
    for (verdict, code, rule) in [
        (rehearse(&paid, |_, policy| step_ups(policy)), "step_up_required", "step_up `large` (stepup.yaml:3)"),
        (rehearse(&paid, |_, policy| policy.roles = BTreeSet::from([Role::Bank])), "role_missing", ""),
        (rehearse(&paid, |_, policy| policy.scopes = ScopeSet::of(["more"])), "insufficient_scope", ""),
        (rehearse(&paid, |client, _| client.scopes = ScopeSet::default()), "insufficient_scope", ""),
        (rehearse(&paid, |client, _| client.suspended = true), "client_suspended", ""),
        (
            rehearse(&paid, |client, _| organised(client, |it| it.licence_ends = paid.received.unwrap())),
            "licence_expired",
            "",
        ),
        (
            rehearse(&paid, |_, policy| policy.allow = vec![condition("request.hour > 22")]),
            "policy_denied",
            "allow `allow` (payments.yaml:7)",
        ),
        // Whatever the body is, this does not hold.
        (
            rehearse(&paid, |_, policy| policy.allow = vec![condition("client.id == 'other' && body.urgent")]),
            "policy_denied",
            "allow `allow` (payments.yaml:7)",
        ),
        (rehearse(&paid, |_, policy| policy.operation = OperationId::parse("other").unwrap()), "unknown_path", ""),
        (rehearse(&paid, |client, _| client.id = ClientId::parse("other").unwrap()), "client_unauthenticated", ""),
    ] {
        assert_eq!(now_refused(&verdict), (code, rule.to_owned()));
    }
}

#[test]
fn what_nobody_wrote_down_is_undecidable() {
    let paid = paid();
    let without = |change: fn(&mut Recorded)| {
        let mut recorded = self::paid();
        change(&mut recorded);
        recorded
    };
    let body = |_: &mut Client, policy: &mut OperationPolicy| policy.allow = vec![condition("body.urgent == true")];
    assert_eq!(why(rehearse(&paid, body)), "`body.urgent` is not there");
    let networks = |client: &mut Client, _: &mut OperationPolicy| {
        organised(client, |it| it.networks = vec![crate::network::AddressRange::parse("10.0.0.0/8").unwrap()]);
    };
    assert_eq!(why(rehearse(&paid, networks)), "`request.peer` is not there");
    let known = |peer: [u8; 4]| Recorded { peer: Some(peer.into()), ..self::paid() };
    assert_eq!(rehearse(&known([10, 1, 1, 1]), networks), Verdict::Same);
    assert_eq!(
        now_refused(&rehearse(&known([11, 1, 1, 1]), networks)),
        ("network_refused", "network `demo`".to_owned())
    );
    assert_eq!(why(rehearse(&without(|it| it.amount = None), |_, _| ())), "the amount at /instructedAmount");
    let moved = |it: &mut Recorded| it.amount = Some((tenge(200_000), Some("/elsewhere".to_owned())));
    assert_eq!(why(rehearse(&without(moved), |_, _| ())), "the amount at /instructedAmount");
    let more = |client: &mut Client, _: &mut OperationPolicy| planned(client, vec![limit("new", Mode::Enforce)]);
    assert_eq!(why(rehearse(&paid, more)), "how full the limit `new` was");
    let fraud = |mode: Mode| {
        move |_: &mut Client, policy: &mut OperationPolicy| {
            let rule = FraudRule {
                id: Arc::from("odd"),
                trigger: Trigger::When(condition("body.odd == 1")),
                then: FraudAnswer::Deny,
                mode,
                origin: "fraud.yaml:2".to_owned(),
            };
            policy.fraud = vec![Arc::new(rule)];
        }
    };
    assert_eq!(why(rehearse(&paid, fraud(Mode::Enforce))), "`body.odd` is not there");
    assert_eq!(rehearse(&paid, fraud(Mode::Report)), Verdict::Same);
    // One rule that refuses for certain is enough.
    let both = |client: &mut Client, policy: &mut OperationPolicy| {
        body(client, policy);
        policy.step_ups = vec![step_up(100_000, "urn:qaqpa:acr:L2")];
    };
    assert_eq!(now_refused(&rehearse(&paid, both)).0, "step_up_required");
}

#[test]
fn a_looser_rule_lets_through_what_was_refused() {
    let allowed = |from: &str| Verdict::Changed { from: Some(from.to_owned()), to: None, rule: None };
    let large = Recorded { amount: Some((tenge(300_000), None)), ..refused(ASSESS, "step_up_required") };
    assert_eq!(rehearse(&large, |_, _| ()), Verdict::Same);
    assert_eq!(
        rehearse(&large, |_, policy| policy.step_ups = vec![step_up(500_000, "x")]),
        allowed("step_up_required")
    );
    assert_eq!(rehearse(&large, |_, policy| policy.step_ups.clear()), allowed("step_up_required"));
    let role = refused(PERMIT, "role_missing");
    assert_eq!(rehearse(&role, |_, _| ()), allowed("role_missing"));
    assert_eq!(rehearse(&role, |_, policy| policy.roles = BTreeSet::from([Role::Bank])), Verdict::Same);
    // Refused before the body was read: what the body says nobody knows.
    let early = Recorded { amount: None, ..refused(PERMIT, "role_missing") };
    assert_eq!(why(rehearse(&early, |_, _| ())), "the amount at /instructedAmount");
    // Refused for another reason than before.
    let verdict = rehearse(&role, |client, _| client.suspended = true);
    assert_eq!(
        verdict,
        Verdict::Changed { from: Some("role_missing".to_owned()), to: Some("client_suspended"), rule: None }
    );
}

#[test]
fn what_no_rule_refused_stays_refused() {
    for (stage, code) in [
        ("route", "unknown_path"),
        ("authenticate", "token_expired"),
        ("validate", "schema_violation"),
        ("once", "idempotency_mismatch"),
    ] {
        let everything_goes = |_: &mut Client, policy: &mut OperationPolicy| {
            policy.step_ups.clear();
            policy.roles.clear();
        };
        assert_eq!(rehearse(&refused(stage, code), everything_goes), Verdict::Same, "{stage}");
        assert_eq!(rehearse(&refused(stage, code), |client, _| client.suspended = true), Verdict::Same, "{stage}");
    }
    assert_eq!(rehearse(&Recorded::default(), |_, _| ()), Verdict::Same);
    assert_eq!(rehearse(&Recorded { client: None, ..paid() }, |_, _| ()), Verdict::Same);
    // Nobody is refused anew who was refused before.
    let gone = |_: &mut Client, policy: &mut OperationPolicy| policy.operation = OperationId::parse("other").unwrap();
    assert_eq!(rehearse(&refused(PERMIT, "role_missing"), gone), Verdict::Same);
}

#[test]
fn limits_are_judged_as_far_as_they_were_counted() {
    let limited = Recorded { exhausted: Some("plan".to_owned()), ..refused(METER, "rate_limited") };
    assert_eq!(rehearse(&limited, |_, _| ()), Verdict::Same);
    let plan =
        |mode: Mode| move |client: &mut Client, _: &mut OperationPolicy| planned(client, vec![limit("plan", mode)]);
    assert_eq!(why(rehearse(&limited, plan(Mode::Report))), "how full other limits were");
    let reported = Recorded { reports: vec![("limit".to_owned(), "plan".to_owned())], ..paid() };
    assert_eq!(now_refused(&rehearse(&reported, plan(Mode::Enforce))), ("rate_limited", "limit `plan`".to_owned()));
    assert_eq!(rehearse(&reported, plan(Mode::Report)), Verdict::Same);
    assert_eq!(rehearse(&paid(), |client, _| planned(client, Vec::new())), Verdict::Same);
}

#[test]
fn a_verified_payer_stays_verified_as_far_as_it_reaches() {
    let verified = |level: &str, minutes: u64| {
        let recorded = paid();
        let expires = recorded.received.unwrap() + Duration::from_secs(minutes * 60);
        Recorded {
            identity: Some((format!("urn:qaqpa:acr:{level}"), expires)),
            amount: Some((tenge(300_000), None)),
            ..recorded
        }
    };
    assert_eq!(rehearse(&verified("L2", 5), |_, _| ()), Verdict::Same);
    let higher = |_: &mut Client, policy: &mut OperationPolicy| policy.step_ups = vec![step_up(0, "urn:qaqpa:acr:L3")];
    assert_eq!(now_refused(&rehearse(&verified("L2", 5), higher)).0, VERIFICATION_FAILED);
    assert_eq!(rehearse(&verified("L3", 5), higher), Verdict::Same);
    let over =
        Recorded { identity: Some(("urn:qaqpa:acr:L2".to_owned(), Timestamp::from_seconds(0))), ..verified("L2", 5) };
    assert_eq!(now_refused(&rehearse(&over, |_, _| ())).0, VERIFICATION_FAILED);
    // A result that was made for another request does not do later either.
    let other = Recorded { steps: steps(&[(ASSESS, VERIFICATION_FAILED)]), ..verified("L2", 5) };
    assert_eq!(rehearse(&other, |_, _| ()), Verdict::Same);
}

#[test]
fn an_answer_that_was_kept_is_given_again() {
    let replayed = Recorded { steps: steps(&[(PERMIT, "pass"), ("once", "replay")]), amount: None, ..paid() };
    assert_eq!(rehearse(&replayed, |_, _| ()), Verdict::Same);
    assert_eq!(now_refused(&rehearse(&replayed, |client, _| client.suspended = true)).0, "client_suspended");
}

#[test]
fn a_condition_that_names_the_recorded_amount_alone_is_judged() {
    let under =
        |text: &'static str| move |_: &mut Client, policy: &mut OperationPolicy| policy.allow = vec![condition(text)];
    for (text, holds) in [
        ("money(body.instructedAmount) > tenge(100000)", true),
        ("money(body.instructedAmount) > tenge(200000)", false),
        ("money(body['instructedAmount']) == tenge(200000)", true),
        ("body.instructedAmount.amount == '200000.00' && body.instructedAmount.currency == 'KZT'", true),
        ("body.instructedAmount.currency != 'KZT'", false),
        ("has(body.instructedAmount) && has(body.instructedAmount.amount)", true),
        // Whatever else the body is, this holds, and this does not.
        ("money(body.instructedAmount) < tenge(300000) || body.urgent", true),
        ("money(body.instructedAmount) > tenge(300000) && body.urgent", false),
    ] {
        let verdict = rehearse(&paid(), under(text));
        let expected = if holds {
            Verdict::Same
        } else {
            Verdict::Changed { from: None, to: Some("policy_denied"), rule: Some(RuleName::allow(&condition(text))) }
        };
        assert_eq!(verdict, expected, "{text}");
    }
    // The same of rules that have a trigger.
    let trigger = |_: &mut Client, policy: &mut OperationPolicy| {
        let trigger = Trigger::When(condition("money(body.instructedAmount) > tenge(100000)"));
        let rule = StepUp { id: Arc::from("odd"), trigger, acr: "urn:qaqpa:acr:L2".to_owned(), origin: String::new() };
        policy.step_ups = vec![Arc::new(rule)];
    };
    assert_eq!(now_refused(&rehearse(&paid(), trigger)).0, "step_up_required");
}

#[test]
fn a_condition_that_names_more_of_the_body_than_the_amount_stays_undecidable() {
    for text in [
        "has(body.other)",
        "!has(body.other)",
        "has(body.instructedAmount.other)",
        "!has(body.instructedAmount.other)",
        "body.instructedAmount.other != 'x'",
        "money(body.instructedAmount) > tenge(100000) && body.urgent",
        "money(body.otherAmount) > tenge(100000)",
        "has((true ? body.instructedAmount : body.instructedAmount).other)",
        "!has((true ? body.instructedAmount : body.instructedAmount).other)",
        "![body.instructedAmount].exists(it, has(it.other))",
        "size(body) == 1",
        "has(body.instructedAmount.amount.other)",
    ] {
        let under = |_: &mut Client, policy: &mut OperationPolicy| policy.allow = vec![condition(text)];
        let verdict = rehearse(&paid(), under);
        assert!(matches!(verdict, Verdict::Undecidable { .. }), "{text}: {verdict:?}");
    }
    let under = |_: &mut Client, policy: &mut OperationPolicy| {
        policy.allow = vec![condition("money(body.instructedAmount) > tenge(100000)")];
        policy.step_ups.clear();
    };
    // Older records do not tell where the amount stood, and a name that is a number may be an item of a list.
    for amount in [None, Some((tenge(200_000), None)), Some((tenge(200_000), Some("/instructedAmount/0".to_owned())))] {
        let verdict = rehearse(&Recorded { amount, ..paid() }, under);
        assert!(matches!(verdict, Verdict::Undecidable { .. }), "{verdict:?}");
    }
}

#[test]
fn a_consent_that_a_policy_asks_for_is_judged_by_what_the_token_carried() {
    let needs = |kind: ConsentKind| {
        move |_: &mut Client, policy: &mut OperationPolicy| {
            policy.consent = Some(ConsentNeed { kind, account: None, list: None });
        }
    };
    let carried = |consents: &[(ConsentKind, bool)]| Recorded { consents: Some(consents.to_vec()), ..paid() };
    let (reads, pays) = (ConsentKind::AccountAccess, ConsentKind::DomesticPayment);
    let missing = (CONSENT_REQUIRED, String::new());
    for kind in ConsentKind::ALL {
        assert_eq!(now_refused(&rehearse(&paid(), needs(kind))), missing, "the client spoke for itself");
        assert_eq!(now_refused(&rehearse(&carried(&[]), needs(kind))), missing);
        assert_eq!(rehearse(&carried(&[(kind, true)]), needs(kind)), Verdict::Same);
        assert!(matches!(rehearse(&carried(&[(kind, false)]), needs(kind)), Verdict::Undecidable { .. }), "{kind:?}");
    }
    assert_eq!(now_refused(&rehearse(&carried(&[(reads, true)]), needs(pays))), missing);
    let exempt = rehearse(&paid(), |client, policy| {
        client.oauth.consents = ConsentHolder::Organisation;
        needs(pays)(client, policy);
    });
    assert_eq!(exempt, Verdict::Same);
    // What was refused for the consent is refused for it again, and for nothing once none is asked for.
    for (stage, code) in [(PERMIT, CONSENT_REQUIRED), (ASSESS, CONSENT_MISMATCH)] {
        let then = Recorded { consents: Some(vec![(pays, stage == ASSESS)]), ..refused(stage, code) };
        assert_eq!(rehearse(&then, needs(pays)), Verdict::Same, "{code}");
        let free = rehearse(&then, |_, _| ());
        assert_eq!(free, Verdict::Changed { from: Some(code.to_owned()), to: None, rule: None }, "{code}");
    }
}
