//! What three layers come to, with and without overrides.

use super::*;
use crate::language::effective::Row;
use crate::limit::Mode;
use crate::mask::{MaskPlace, Show};
use crate::rulebook::FraudAnswer;

const SET: &str = "qaqpa: v1
defaults: {timeout: 5s, maxBody: 32KiB, audit: standard, limits: each, mask: numbers, allow: request.hour >= 6}
upstreams: {core-bank: {protocol: http1, timeouts: {connect: 1s, response: 3s}, maxRequests: 512}}
identity: {providers: {face: {level: L2, timeout: 3s}}}
limits:
  each: {per: client, rate: 9/s, burst: 9}
  payments: {per: [client, operation], rate: 2/s, burst: 5, mode: report}
stepUp:
  large: {above: 250000 KZT, amount: /instructedAmount, level: L2}
  night: {when: request.hour > 22, level: L1}
fraud:
  huge: {above: 5000000 KZT, amount: /instructedAmount, then: deny}
  odd: {when: body.debtorAccount.iban == body.creditorAccount.iban, then: {stepUp: large}, mode: report}
masking:
  numbers: {fields: [/debtorAccount/iban], show: last-four, except: {roles: [BANK]}, in: [logs, responses]}
apis:
  payments:
    upstream: core-bank
    defaults: {requires: {roles: [PISP, BANK]}, timeout: 4s, fraud: huge, validate: {response: report}}
    operations:
      createDomesticPayment:
        settledBy: getDomesticPayment
OWN
      getDomesticPayment: {}
";

fn compiled_with(own: &str, now: &str) -> Compiled {
    let own: String = own.lines().map(|line| format!("        {line}\n")).collect();
    let files = [Source::new("set.yaml", SET.replace("OWN\n", &own))];
    let now = Timestamp::from_date(now).unwrap();
    match compile(&files, &contracts(), now) {
        Ok(compiled) => compiled,
        Err(problems) => panic!("{}", render(&problems, &files, false)),
    }
}

fn payment(compiled: &Compiled) -> &OperationPolicy {
    operation(&compiled.rulebook, "createDomesticPayment")
}

fn row<'c>(compiled: &'c Compiled, last: &str) -> Option<&'c Row> {
    const PATH: &[&str] = &["apis", "payments", "operations", "createDomesticPayment"];
    compiled.effective.below(PATH).find(|row| row.path.get(4..).unwrap_or_default().join(".") == last)
}

fn told_row(compiled: &Compiled, last: &str) -> (String, Layer, usize) {
    let row = row(compiled, last).unwrap();
    (row.value.join(" "), row.layer, row.place.as_ref().map_or(0, |place| place.line))
}

#[test]
fn what_an_operation_does_not_say_is_inherited() {
    let compiled = compiled_with("audit: required", "2026-11-23");
    let policy = payment(&compiled);
    assert_eq!((policy.timeout, policy.body_bytes_max), (Duration::from_secs(4), 32 * 1024));
    assert_eq!((policy.audit, policy.responses), (AuditDuty::Required, Mode::Report));
    assert_eq!(policy.limits.iter().map(|limit| &*limit.id).collect::<Vec<_>>(), ["each:client:9/s"]);
    assert_eq!((policy.allow.len(), policy.fraud.len(), policy.step_ups.len(), policy.masks.len()), (1, 1, 0, 1));
    assert_eq!((policy.loosened.as_ref(), compiled.changes_at), (None, None));
    assert_eq!(told_row(&compiled, "timeout"), ("4s".to_owned(), Layer::ApiDefaults, 19));
    assert_eq!(told_row(&compiled, "maxBody"), ("32KiB".to_owned(), Layer::Defaults, 2));
    assert_eq!(told_row(&compiled, "audit"), ("required".to_owned(), Layer::Own, 23));
    assert_eq!(told_row(&compiled, "requires.scopes"), ("payments:write".to_owned(), Layer::Contract, 0));
    assert_eq!(told_row(&compiled, "validate.response"), ("report".to_owned(), Layer::ApiDefaults, 19));
    // A read has no body in which an amount could stand.
    let read = operation(&compiled.rulebook, "getDomesticPayment");
    assert_eq!((read.fraud.len(), read.limits.len()), (0, 1));
}

#[test]
fn lists_only_grow_from_layer_to_layer() {
    let own = "limits: [payments]\nstepUp: [large, night]\nfraud: odd\nallow: [request.weekday < 6]\nrequires: {scopes: [payments:read], roles: [PISP]}";
    let compiled = compiled_with(own, "2026-11-23");
    let policy = payment(&compiled);
    let limits: Vec<_> = policy.limits.iter().map(|limit| (&*limit.id, limit.mode)).collect();
    assert_eq!(limits, [("each:client:9/s", Mode::Enforce), ("payments:client+operation:2/s", Mode::Report)]);
    assert_eq!((policy.allow.len(), policy.fraud.len(), policy.step_ups.len()), (2, 2, 2));
    assert_eq!(policy.scopes.to_string(), "payments:read payments:write");
    assert_eq!(policy.roles, BTreeSet::from([Role::Pisp]));
    let odd = policy.fraud.iter().find(|rule| &*rule.id == "odd").unwrap();
    assert!(matches!(&odd.then, FraudAnswer::StepUp(rule) if &*rule.id == "large") && odd.mode == Mode::Report);
    let mask = policy.masks.first().unwrap();
    assert_eq!((mask.show, &mask.except), (Show::LastFour, &BTreeSet::from([Role::Bank])));
    assert_eq!(mask.places, BTreeSet::from([MaskPlace::Responses, MaskPlace::Logs]));
    assert_eq!(told_row(&compiled, "limits"), ("each payments".to_owned(), Layer::Own, 23));
    assert_eq!(told_row(&compiled, "requires.scopes").0, "payments:read payments:write");
}

const LOOSER: &str = "timeout: 9s\nmaxBody: 1MiB\nlimits: []\nrequires: {roles: [AISP]}\noverride: {reason: r, approvedBy: a, expires: 2026-11-22, replaces: limits}";

#[test]
fn an_override_loosens_through_its_last_day() {
    let compiled = compiled_with(LOOSER, "2026-11-22");
    let policy = payment(&compiled);
    assert_eq!((policy.timeout, policy.body_bytes_max), (Duration::from_secs(9), 1024 * 1024));
    assert_eq!((policy.limits.len(), policy.roles.clone()), (0, BTreeSet::from([Role::Aisp])));
    let ends = Timestamp::from_date("2026-11-23");
    assert_eq!((policy.loosened.as_ref().map(|given| given.ends), compiled.changes_at), (ends, ends));
    assert_eq!(told_row(&compiled, "timeout"), ("9s".to_owned(), Layer::Override, 23));
    assert_eq!(told_row(&compiled, "limits"), (String::new(), Layer::Override, 25));
    assert_eq!(told_row(&compiled, "override.approvedBy").0, "a");
    // What it does not replace still only grows.
    assert_eq!((policy.allow.len(), policy.masks.len()), (1, 1));
}

#[test]
fn the_day_after_an_override_what_is_inherited_holds_again() {
    let compiled = compiled_with(LOOSER, "2026-11-23");
    let policy = payment(&compiled);
    assert_eq!((policy.timeout, policy.body_bytes_max), (Duration::from_secs(4), 32 * 1024));
    assert_eq!((policy.limits.len(), policy.roles.clone()), (1, BTreeSet::from([Role::Pisp, Role::Bank])));
    assert_eq!((policy.loosened.as_ref(), compiled.changes_at), (None, None));
    assert_eq!(compiled.warnings.iter().map(|problem| problem.code).collect::<Vec<_>>(), ["P0407"]);
    assert_eq!(told_row(&compiled, "timeout"), ("4s".to_owned(), Layer::ApiDefaults, 19));
}

#[test]
fn an_override_is_warned_of_thirty_days_before_it_ends() {
    let codes = |now| compiled_with(LOOSER, now).warnings.iter().map(|problem| problem.code).collect::<Vec<_>>();
    assert_eq!(codes("2026-10-23"), Vec::<&str>::new());
    assert_eq!(codes("2026-10-24"), ["P0408"]);
}

#[test]
fn an_override_lets_no_list_shrink_that_it_does_not_name() {
    let own = "timeout: 9s\nlimits: [payments]\noverride: {reason: r, approvedBy: a, expires: 2027-11-22}";
    let compiled = compiled_with(own, "2026-11-23");
    assert_eq!(payment(&compiled).limits.len(), 2);
    assert_eq!(told_row(&compiled, "limits").1, Layer::Own);
}

#[test]
fn every_value_of_every_section_is_a_row() {
    let compiled = compiled_with("stepUp: large", "2026-11-23");
    let rows = &compiled.effective.rows;
    assert!(rows.windows(2).all(|pair| matches!(pair, [a, b] if a.path < b.path)));
    let found = |path: &str| rows.iter().find(|row| row.path.join(".") == path).map(|row| row.value.join(" "));
    for (path, value) in [
        ("upstreams.core-bank.timeouts.connect", "1s"),
        ("upstreams.core-bank.maxRequests", "512"),
        ("limits.payments.per", "client operation"),
        ("limits.payments.mode", "report"),
        ("limits.each.mode", "enforce"),
        ("fraud.odd.then.stepUp", "large"),
        ("fraud.huge.then", "deny"),
        ("stepUp.large.above", "250000 KZT"),
        ("stepUp.night.when", "request.hour > 22"),
        ("masking.numbers.in", "logs responses"),
        ("masking.numbers.except.roles", "BANK"),
        ("identity.providers.face.level", "L2"),
        ("apis.payments.upstream", "core-bank"),
        ("apis.payments.operations.createDomesticPayment.settledBy", "getDomesticPayment"),
        ("apis.payments.operations.createDomesticPayment.stepUp", "large"),
    ] {
        assert_eq!(found(path).as_deref(), Some(value), "{path}");
    }
    assert_eq!(found("apis.payments.defaults.timeout"), None);
    let mut files = shipped();
    files.push(Source::new("parties.yaml", PARTIES));
    let rows = compile(&files, &contracts(), today()).unwrap().effective.rows;
    let found = |path: &str| rows.iter().find(|row| row.path.join(".") == path).map(|row| row.value.join(" "));
    assert_eq!(found("plans.trial.limits").as_deref(), Some("client organisation"));
    assert_eq!(found("plans.trial.limits.client.rate").as_deref(), Some("2/s"));
    assert_eq!(found("organisations.demo.licence.validUntil").as_deref(), Some("2027-06-30"));
    assert_eq!(found("clients.demo-web.suspended").as_deref(), Some("false"));
    assert!(found("clients.demo-web.keys").unwrap().starts_with("2026 "));
}

#[test]
fn the_tables_and_the_words_of_the_rules_agree() {
    use crate::language::table::{Kind, Need};
    use crate::language::tables::{AUDIT, MAX_BODY, RESPONSE, ROLES};
    let Kind::List(Kind::Word(words)) = &ROLES.kind else { panic!("{ROLES:?}") };
    assert_eq!(words.to_vec(), Role::ALL.map(Role::word).to_vec());
    let Kind::Word(words) = &RESPONSE.kind else { panic!("{RESPONSE:?}") };
    assert_eq!(words.to_vec(), Mode::ALL.map(Mode::word).to_vec());
    let Need::Default(text) = MAX_BODY.need else { panic!("{MAX_BODY:?}") };
    assert_eq!(crate::language::units::bytes(text), Some(BODY_BYTES_DEFAULT));
    assert_eq!((AUDIT.need, RESPONSE.need), (Need::Default("standard"), Need::Default("report")));
}

#[test]
fn an_organisation_may_call_from_its_networks_only() {
    let file = "qaqpa: v1\norganisations: {demo: {title: Demo, roles: [PISP], networks: [10.0.0.0/8, 2001:db8::/32], licence: {authority: NBK, id: 1, validUntil: 2027-06-30}}}\n";
    let rulebook = compiled(&[Source::new("a.yaml", file)]);
    let organisation = rulebook.organisations.values().next().unwrap();
    assert_eq!(organisation.networks.len(), 2);
    assert!(organisation.networks.iter().any(|range| range.contains("10.1.2.3".parse().unwrap())));
}

// The errors of a set on a day before its override is over.
fn foretold(set: &str) -> Vec<(&'static str, String)> {
    let files = [Source::new("set.yaml", set)];
    let problems = compile(&files, &contracts(), Timestamp::from_date("2026-10-01").unwrap()).err().unwrap_or_default();
    let errors = problems.into_iter().filter(|problem| problem.severity == Severity::Error);
    errors.map(|problem| (problem.code, problem.message)).collect()
}

// Payments with defaults, one operation of which is loosened through 2026-12-01 where it replaces something.
fn payments_with(operation: &str, defaults: &str, own: &str, replaces: &str) -> String {
    let waiver = format!("override: {{reason: r, approvedBy: a, expires: 2026-12-01, replaces: [{replaces}]}}");
    let own = if replaces.is_empty() { own.to_owned() } else { format!("{own}, {waiver}") };
    format!(
        "qaqpa: v1
upstreams: {{b: {{protocol: http1, timeouts: {{connect: 1s, response: 3s}}, maxRequests: 9}}}}
identity: {{providers: {{face: {{level: L2, timeout: 3s}}}}}}
stepUp: {{night: {{when: request.hour > 22, level: L1}}}}
masking: {{odd: {{fields: [/nowhere], show: nothing, in: [logs]}}}}
apis:
  payments:
    upstream: b
    defaults: {{timeout: 1s, {defaults}}}
    operations:
      {operation}: {{{own}}}
"
    )
}

#[test]
fn what_cannot_be_compiled_once_an_override_is_over_is_refused_now() {
    for (operation, defaults, name, code) in [
        ("getDomesticPayment", "allow: has(body.instructedAmount)", "allow", "P0306"),
        ("getDomesticPayment", "stepUp: night", "stepUp", "P0302"),
        ("createDomesticPayment", "mask: odd", "mask", "P0305"),
    ] {
        let now = foretold(&payments_with(operation, defaults, "", ""));
        assert_eq!(now.iter().map(|(found, _)| *found).collect::<Vec<_>>(), [code], "{now:?}");
        let later = foretold(&payments_with(operation, defaults, &format!("{name}: []"), name));
        assert_eq!(later.len(), 1, "{later:?}");
        for ((_, now), (found, message)) in now.iter().zip(&later) {
            assert_eq!((*found, message), (code, &format!("from 2026-12-02 on, when the override ends: {now}")));
        }
    }
}

#[test]
fn what_is_sound_without_its_override_is_not_foretold_to_fail() {
    assert_eq!(foretold(&payments_with("getDomesticPayment", "allow: request.hour > 3", "allow: []", "allow")), []);
}
