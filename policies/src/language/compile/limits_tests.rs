//! What limits come out as.

use super::*;
use crate::limit::{Bucket, Mode, Quota, Shape as Counted, Values, When, Window, WithoutStore};

/// A limit that a plan has, written out or by name.
fn limit(written: &str) -> Limit {
    let text = format!("qaqpa: v1\nlimits: {{one: {{{written}}}}}\nplans: {{plan: {{limits: [one]}}}}\n{CLIENT}");
    let rulebook = compiled(&[Source::new("a.yaml", text)]);
    let client = rulebook.clients.get(&ClientId::parse("app").unwrap()).unwrap();
    client.plan.limits.first().unwrap().clone()
}

const CLIENT: &str = "organisations: {demo: {title: D, roles: [PISP], licence: {authority: N, id: P, validUntil: 2027-06-30}}}
clients: {app: {organisation: demo, plan: plan, authentication: tls_client_auth, certificate: {sanDns: a.kz}, tokens: {bind: mtls}, scopes: [payments:read]}}
";

#[test]
fn ids_tell_what_is_counted_and_stay_what_they_were() {
    for (written, id) in [
        ("per: client, rate: 50/s, burst: 100", "one:client:50/s"),
        ("per: [operation, client], rate: 60/min, burst: 9, mode: report", "one:client+operation:60/min"),
        ("per: client, rate: 1/day, burst: 1, cost: {404: 20}, withoutStore: allow", "one:client:1/day"),
        ("per: [subject, organisation], subject: x-a, rate: 1/h, burst: 1", "one:organisation+subject:1/h"),
        ("per: [organisation, operation], quota: 2000/minute", "one:organisation+operation:2000/minute"),
        ("per: client, quota: {most: 100, rolling: 600s}", "one:client:100/10m"),
        ("per: [client, peer, api], inFlight: 10", "one:client+api+peer:10-in-flight"),
        ("per: resource, polls: {gap: 1s, most: 3, within: 2h}", "one:resource:3-polls"),
        (
            "per: [client, customer], sessions: {perDay: 20, calls: 100, rate: 5, idle: 10m}",
            "one:client+customer:20-sessions/day",
        ),
        (
            "per: client, rate: 5/s, burst: 5, when: {attended: false, hours: [\"22:00-06:00\"]}",
            "one:client:5/s:unattended+00:00-06:00+22:00-24:00",
        ),
        ("per: client, rate: 5/s, burst: 5, when: {attended: true}", "one:client:5/s:attended"),
        (
            "per: client, rate: 5/s, burst: 5, when: {operations: [listAccounts, getAccountBalances]}",
            "one:client:5/s:getAccountBalances+listAccounts",
        ),
    ] {
        let limit = limit(written);
        assert_eq!(&*limit.id, id);
        assert!(limit.id.bytes().all(|byte| byte.is_ascii_graphic()), "{id}");
    }
}

#[test]
fn buckets_may_cost_by_status_and_be_credited() {
    let plain = limit("per: client, rate: 50/s, burst: 100");
    let rate = limit::Rate { count: 50.try_into().unwrap(), per: Duration::from_secs(1) };
    assert_eq!(plain, Limit::bucket("one:client:50/s", &[Dimension::Client], rate, 100.try_into().unwrap()));

    let found = limit(
        "per: subject, subject: x-payer-id, rate: 2/min, burst: 100, cost: {404: 20, 500: -1}, credit: {operation: createDomesticPayment, tokens: 1, by: x-end-to-end-id, within: 24h}",
    );
    assert_eq!(found.subject.as_deref(), Some("x-payer-id"));
    assert_eq!(found.without_store, WithoutStore::Deny);
    let Counted::Bucket(Bucket { costs: Some(costs), credit: Some(credit), .. }) = found.shape else {
        panic!("{found:?}")
    };
    assert_eq!((costs.of, costs.otherwise), ([(404, 20), (500, -1)].into(), 1));
    assert_eq!(
        (credit.operation.as_str(), credit.tokens.get(), &*credit.by),
        ("createDomesticPayment", 1, "x-end-to-end-id")
    );
    assert_eq!(credit.within, Duration::from_secs(86_400));

    let free = limit("per: client, rate: 2/min, burst: 100, cost: {200: 1, otherwise: 0}, withoutStore: local-share");
    let Counted::Bucket(Bucket { costs: Some(costs), .. }) = free.shape else { panic!("{free:?}") };
    assert_eq!((costs.otherwise, free.without_store), (0, WithoutStore::LocalShare));
}

#[test]
fn windows_are_of_the_calendar_or_rolling() {
    let window = |written: &str| match limit(&format!("per: client, quota: {written}")).shape {
        Counted::Quota(Quota { most, window }) => (most.get(), window),
        other => panic!("{other:?}"),
    };
    for (written, expected) in [
        ("1/second", Window::Second),
        ("1/minute", Window::Minute),
        ("1/hour", Window::Hour),
        ("1/day", Window::Day),
        ("1/month", Window::Month),
        ("{most: 1, rolling: 1s}", Window::Rolling(Duration::from_secs(1))),
        ("{most: 1, rolling: 31d}", Window::Rolling(Duration::from_secs(31 * 86_400))),
    ] {
        assert_eq!(window(written), (1, expected), "{written}");
    }
    assert_eq!(window("4294967295/day").0, u32::MAX);
}

#[test]
fn calls_under_way_polls_and_sessions_come_out_as_written() {
    assert_eq!(limit("per: client, inFlight: 65535").shape, Counted::InFlight(65_535.try_into().unwrap()));
    let found = limit(
        "per: [client, resource], polls: {after: {operation: createDomesticPayment, id: /paymentId}, first: 90s, gap: 60s, most: 3, within: 2h}",
    );
    assert_eq!(found.without_store, WithoutStore::Deny);
    let Counted::Polls(polls) = found.shape else { panic!("{found:?}") };
    let (operation, id) = polls.after.unwrap();
    assert_eq!((operation.as_str(), id.as_str()), ("createDomesticPayment", "/paymentId"));
    let seconds = [polls.first, polls.gap, polls.within].map(|span| span.as_secs());
    assert_eq!((seconds, polls.most.get()), ([90, 60, 7200], 3));
    let Counted::Polls(polls) = limit("per: resource, polls: {most: 4, within: 24h}").shape else { panic!() };
    assert_eq!((polls.after, polls.first, polls.gap), (None, Duration::ZERO, Duration::ZERO));

    let found = limit("per: [client, customer], sessions: {perDay: 20, calls: 100, rate: 5, idle: 10m}");
    assert_eq!(found.without_store, WithoutStore::LocalShare);
    let Counted::Sessions(sessions) = found.shape else { panic!("{found:?}") };
    assert_eq!((sessions.per_day.get(), sessions.calls.get(), sessions.rate.get()), (20, 100, 5));
    assert_eq!(sessions.idle, Duration::from_secs(600));
}

#[test]
fn which_calls_are_counted_is_what_is_said() {
    let when = |written: &str| limit(&format!("per: client, rate: 5/s, burst: 5, {written}")).when;
    assert_eq!(when("mode: off"), When::default());
    assert_eq!(when("when: {attended: false}"), When { attended: Some(false), ..When::default() });
    let hours = |written: &str| {
        let found = when(&format!("when: {{hours: {written}}}")).hours;
        found.into_iter().map(|hours| (hours.start, hours.end)).collect::<Vec<_>>()
    };
    assert_eq!(hours("06:00-24:00"), [(360, 1440)]);
    assert_eq!(hours("[\"17:00-21:30\", \"10:00-13:00\"]"), [(600, 780), (1020, 1290)]);
    assert_eq!(hours("22:00-06:00"), [(0, 360), (1320, 1440)]);
    assert_eq!(hours("22:00-00:00"), [(1320, 1440)]);
    let some = limit("per: client, rate: 5/s, burst: 5, when: {operations: listAccounts}");
    let of = |operation| Values { client: Some("app"), operation: Some(operation), ..Values::default() };
    assert!(some.counts(&of("listAccounts")) && !some.counts(&of("getKeys")));
}

#[test]
fn a_limit_is_counted_where_a_call_has_what_it_counts_by() {
    for dimension in Dimension::ALL {
        let subject = if dimension == Dimension::Subject { "subject: x-payer-id, " } else { "" };
        let found = limit(&format!("per: {}, {subject}rate: 5/s, burst: 5", dimension.word()));
        assert_eq!(found.per, [dimension]);
        assert!(!found.counts(&Values::default()));
    }
}

#[test]
fn an_operation_names_limits_of_every_shape() {
    let text = "qaqpa: v1
upstreams: {bank: {protocol: http1, timeouts: {connect: 1s, response: 3s}, maxRequests: 9}}
limits:
  polls: {per: resource, polls: {most: 3, within: 2h}, mode: report}
  parallel: {per: client, inFlight: 10}
  providers: {per: provider, quota: 100/minute}
apis:
  payments: {upstream: bank, operations: {getDomesticPayment: {timeout: 3s, limits: [polls, parallel]}}}
  identity: {operations: {createIdentityVerification: {timeout: 3s, limits: [providers]}}}
";
    let rulebook = compiled(&[Source::new("a.yaml", text)]);
    let names = |id: &str| operation(&rulebook, id).limits.iter().map(|limit| limit.id.to_string()).collect::<Vec<_>>();
    assert_eq!(names("getDomesticPayment"), ["polls:resource:3-polls", "parallel:client:10-in-flight"]);
    assert_eq!(names("createIdentityVerification"), ["providers:provider:100/minute"]);
    assert_eq!(operation(&rulebook, "getDomesticPayment").limits.first().unwrap().mode, Mode::Report);
}

#[test]
fn what_is_done_without_the_store_applies_where_nobody_says_it() {
    let text = "qaqpa: v1
limits:
  a: {per: client, rate: 1/s, burst: 1}
  b: {per: client, rate: 1/s, burst: 1, cost: {404: 2, otherwise: -1}}
  c: {per: resource, polls: {most: 3, within: 2h}}
  d: {per: client, inFlight: 1}
  e: {per: client, quota: 5/day, withoutStore: allow}
";
    let compiled = compile(&[Source::new("a.yaml", text)], &contracts(), today()).unwrap();
    let row = |path: &[&str]| {
        let found =
            compiled.effective.rows.iter().find(|row| row.path.iter().map(String::as_str).eq(path.iter().copied()));
        found.map(|row| (row.value.join(" "), row.layer))
    };
    let said = |name: &str| row(&["limits", name, "withoutStore"]);
    assert_eq!(said("a"), Some(("local-share".to_owned(), Layer::Language)));
    assert_eq!(said("b"), Some(("deny".to_owned(), Layer::Language)));
    assert_eq!(said("c"), Some(("deny".to_owned(), Layer::Language)));
    assert_eq!(said("d"), None);
    assert_eq!(said("e"), Some(("allow".to_owned(), Layer::Own)));
    assert_eq!(row(&["limits", "b", "cost", "404"]), Some(("2".to_owned(), Layer::Own)));
    assert_eq!(row(&["limits", "b", "cost", "otherwise"]), Some(("-1".to_owned(), Layer::Own)));
    assert_eq!(row(&["limits", "c", "polls", "gap"]), Some(("0s".to_owned(), Layer::Language)));
    assert_eq!(row(&["limits", "e", "quota"]), Some(("5/day".to_owned(), Layer::Own)));
}

#[test]
fn limits_of_a_plan_are_called_by_what_they_count() {
    let text = "qaqpa: v1
plans: {p: {limits: [{per: client, quota: 5/day}, {per: client, rate: 1/s, burst: 1}, {per: client, inFlight: 3}]}}
";
    let compiled = compile(&[Source::new("a.yaml", text)], &contracts(), today()).unwrap();
    let limits = compiled.effective.rows.iter().find(|row| row.path.last().is_some_and(|key| key == "limits"));
    assert_eq!(limits.unwrap().value, ["client:quota", "client", "client:inFlight"]);
}

#[test]
fn attended_and_unattended_calls_may_be_counted_apart_in_one_plan() {
    let plan = |second: &str| {
        let text = format!(
            "qaqpa: v1\nplans: {{p: {{limits: [{{per: client, rate: 5/s, burst: 5, when: {{attended: true}}}}, {{per: client, rate: 5/s, burst: 9{second}}}]}}}}\n"
        );
        compile(&[Source::new("a.yaml", text)], &contracts(), today()).is_ok()
    };
    assert!(plan("") && plan(", when: {attended: false}"));
    assert!(!plan(", when: {attended: true}"));
}

#[test]
fn the_example_of_the_handbook_has_every_shape() {
    let handbook = Path::new(env!("CARGO_MANIFEST_DIR")).join("../POLICIES.md");
    let handbook = std::fs::read_to_string(handbook).unwrap();
    let (_, section) = handbook.split_once("\n## Limits\n").unwrap();
    let example = section.split_once("```yaml\n").and_then(|(_, rest)| rest.split_once("```")).unwrap().0;
    let source = Source::new("limits.yaml", example);
    let compiled = compile(std::slice::from_ref(&source), &contracts(), today()).unwrap();
    assert_eq!(render(&compiled.warnings, std::slice::from_ref(&source), false), "");
    for shape in ["rate", "quota", "inFlight", "polls.most", "sessions.idle", "cost.404", "credit.by", "when.hours"] {
        let there =
            |row: &crate::language::effective::Row| row.path.iter().skip(2).cloned().collect::<Vec<_>>().join(".");
        assert!(compiled.effective.rows.iter().any(|row| there(row) == shape), "{shape}");
    }
    // Bringing it into its form changes none of it.
    assert_eq!(crate::language::fmt::format(&source).unwrap(), example);
}
