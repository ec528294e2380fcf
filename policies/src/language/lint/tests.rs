#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

use std::time::Duration;

use super::*;
use crate::facts::{FieldKind, HeaderFacts, Security, Shape};
use crate::language::{compile, render};
use crate::time::Timestamp;

fn now() -> Timestamp {
    Timestamp::from_date("2026-11-22").unwrap() + Duration::from_secs(43_200)
}

fn contracts() -> Vec<OperationFacts> {
    let operation = |id: &str, method: &str, template: &str, scope: &str| OperationFacts {
        id: id.to_owned(),
        api: "payments".to_owned(),
        method: method.to_owned(),
        template: template.to_owned(),
        security: Security::AccessToken,
        scopes: vec![scope.to_owned()],
        has_body: method == "POST",
        body: Shape {
            fields: [
                ("/note", FieldKind::Text),
                ("/sum", FieldKind::Object),
                ("/sum/amount", FieldKind::Text),
                ("/sum/currency", FieldKind::Text),
            ]
            .map(|(at, kind)| (at.to_owned(), kind))
            .to_vec(),
            open: false,
        },
        body_streams: false,
        answer_streams: false,
        answer: Shape { open: true, ..Shape::default() },
        headers: [("x-always", true), ("x-maybe", false)]
            .map(|(name, required)| HeaderFacts { name: name.to_owned(), required })
            .to_vec(),
        idempotent: method == "POST",
        own: false,
        collides_with: Vec::new(),
        obstacle: None,
        origin: "payments.yaml:9".to_owned(),
    };
    vec![
        operation("pay", "POST", "/v1/pay", "pay:write"),
        operation("getPay", "GET", "/v1/pay/{id}", "pay:read"),
        operation("refund", "POST", "/v1/pay/{id}/refunds", "pay:write"),
        OperationFacts {
            security: Security::Public,
            scopes: Vec::new(),
            ..operation("getRates", "GET", "/v1/rates/{id}", "")
        },
    ]
}

/// A set that only infos are told of.
const SOUND: &str = "qaqpa: v1
upstreams:
  bank: {protocol: http1, timeouts: {connect: 1s, response: 3s}, maxRequests: 9}
identity: {providers: {face: {level: L2, timeout: 1s}}}
limits:
  slow: {per: [client, operation], rate: 2/s, burst: 5}
stepUp:
  large: {above: 250000 KZT, amount: /sum, level: L2}
apis:
  payments:
    upstream: bank
    defaults: {requires: {roles: [PISP]}, timeout: 5s, limits: slow}
    operations:
      pay: {stepUp: large, audit: required, settledBy: getPay}
      getPay: {}
";

fn found(text: &str) -> Vec<Problem> {
    let files = [Source::new("a.yaml", text)];
    match compile(&files, &contracts(), now()) {
        Ok(compiled) => lint(&compiled, &files, &contracts()),
        Err(problems) => panic!("{}", render(&problems, &files, false)),
    }
}

fn told(text: &str) -> Vec<String> {
    let one = |problem: &Problem| format!("{} {}:{}", problem.code, problem.place.line, problem.place.column);
    found(text).iter().map(one).collect()
}

#[test]
fn a_sound_set_is_told_infos_only() {
    let found = found(SOUND);
    assert!(is_clean(&found), "{found:#?}");
    assert_eq!(told(SOUND), ["L0003 14:7", "L0021 14:7", "L0027 14:7", "L0003 15:7", "L0021 15:7"]);
}

/// What is changed, and what is told of it beyond what is told of the sound set: code and line.
const CASES: &[(&str, &str, &str)] = &[
    (", limits: slow}", "}", "L0001 14:7 L0001 15:7 L0013 6:3"),
    ("burst: 5}", "burst: 5, mode: report}", "L0002 12:64 L0002 12:64 L0008 6:57"),
    ("burst: 5}", "burst: 5, mode: off}", "L0002 12:64 L0002 12:64 L0009 6:57"),
    ("burst: 5}", "burst: 121}", "L0023 6:47"),
    ("burst: 5}", "burst: 5, withoutStore: allow}", "L0030 6:57"),
    ("burst: 5}", "burst: 5, withoutStore: deny}", ""),
    ("burst: 5}", "burst: 5, credit: {operation: pay, tokens: 1, by: x-maybe, within: 1h}}", ""),
    ("burst: 5}", "burst: 5, credit: {operation: refund, tokens: 1, by: x-id, within: 1h}}", "L0029 6:66"),
    (
        "[client, operation], rate: 2/s, burst: 5}",
        "[client, resource], polls: {after: {operation: refund, id: /id}, most: 3, within: 1h}}",
        "L0029 6:51",
    ),
    ("getPay: {}", "getPay: {validate: {response: off}}", "L0004 15:27"),
    ("audit: required", "audit: standard", "L0015 14:28"),
    ("stepUp: large, ", "", "L0013 8:3 L0016 14:7"),
    ("timeout: 5s", "timeout: 2s", "L0018 12:52 L0018 12:52"),
    ("timeout: 5s", "timeout: 9s", "L0019 12:52 L0019 12:52"),
    ("requires: {roles: [PISP]}, ", "", "L0020 14:7 L0020 15:7"),
    ("timeout: 5s,", "timeout: 5s, maxBody: 2MiB,", "L0017 12:65 L0017 12:65"),
    ("getPay: {}", "getPay: {allow: 'true'}", "L0010 15:16"),
    ("getPay: {}", "getPay: {allow: '1 == 1'}", "L0011 15:16"),
    ("above: 250000 KZT, amount: /sum", "when: 'false'", "L0010 8:11"),
    ("stepUp:\n", "scopes: {'none': {title: None}}\nstepUp:\n", "L0013 7:10"),
    ("getPay: {}", "getPay: {consent: {kind: account-access, account: id}}", ""),
    ("stepUp:\n", "issuers: {idle: {issuer: 'https://a.kz', jwks: {url: 'https://a.kz/j'}}}\nstepUp:\n", "L0013 7:11"),
    ("stepUp:\n", "masking: {idle: {fields: [/sum], show: stars}}\nstepUp:\n", "L0013 7:11"),
];

#[test]
fn what_is_weak_is_told_with_its_place() {
    let sound = told(SOUND);
    let mut wrong = Vec::new();
    for (from, to, expected) in CASES {
        let text = SOUND.replacen(from, to, 1);
        assert_ne!(text, SOUND, "{from}");
        let moved = text.lines().count() - SOUND.lines().count();
        // What is told of the sound set stands further down if lines came.
        let known: Vec<String> = sound
            .iter()
            .map(|one| {
                let (code, place) = one.split_once(' ').unwrap();
                let (line, column) = place.split_once(':').unwrap();
                format!("{code} {}:{column}", line.parse::<usize>().unwrap() + moved)
            })
            .collect();
        let more: Vec<String> = told(&text).into_iter().filter(|one| !known.contains(one)).collect();
        let mut more: Vec<&str> = more.iter().map(String::as_str).collect();
        more.sort_unstable();
        let more = more.join(" ");
        if more != *expected {
            wrong.push(format!("{to}: {more}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What a limit of `getPay` says, what one beside it says, and what is told of the two: code and place.
const LIMITS: &[(&str, &str, &str)] = &[
    ("per: [client, subject], subject: x-always, quota: 5/day", "", ""),
    ("per: [client, subject], subject: x-maybe, quota: 5/day", "", "L0031 17:16"),
    ("per: [client, subject], subject: x-maybe, quota: 5/day, mode: report", "", ""),
    ("per: subject, subject: x-never, quota: 5/day", "", "L0032 17:16"),
    // What else counts such calls may be as loose as a plan.
    ("per: [client, subject], subject: x-maybe, quota: 5/day", "per: client, quota: 5/day", "L0031 17:16"),
    // What nobody else reads gives nothing back by right.
    ("per: client, rate: 1/min, burst: 5, credit: {operation: pay, tokens: 1, by: x-maybe, within: 1h}", "", ""),
    (
        "per: client, rate: 1/min, burst: 5, credit: {operation: pay, tokens: 1, by: x-never, within: 1h}",
        "",
        "L0032 6:81",
    ),
    // Places of one are nobody else's.
    ("per: [api, client], inFlight: 5", "", ""),
    ("per: customer, inFlight: 5", "", ""),
    ("per: [organisation, api], inFlight: 5", "", ""),
    ("per: peer, inFlight: 5", "", ""),
    ("per: operation, inFlight: 5", "", "L0033 6:25"),
    ("per: [api, resource], inFlight: 5", "", "L0033 6:31"),
    ("per: operation, inFlight: 5, mode: report", "", ""),
];

/// Tells of limits whom they do not count, and who could use them up.
fn told_of_limits(text: &str) -> String {
    let told = told(text).into_iter().filter(|one| one.as_str() >= "L0031");
    told.collect::<Vec<_>>().join(" ")
}

#[test]
fn limits_that_count_too_few_or_too_many_together_are_told() {
    for (one, other, expected) in LIMITS {
        let other = if other.is_empty() { "per: client, rate: 2/s, burst: 5, mode: report" } else { other };
        let limits = format!("limits:\n  one: {{{one}}}\n  other: {{{other}}}\n");
        let set = SOUND.replacen("limits:\n", &limits, 1).replacen("getPay: {}", "getPay: {limits: [one, other]}", 1);
        assert_eq!(told_of_limits(&set), *expected, "{one} beside {other}\n{set}");
    }
}

#[test]
fn strangers_find_no_counters_that_are_kept_for_long() {
    let told = |limit: &str| {
        let limits = format!("limits:\n  one: {{{limit}}}\n");
        let opened = "      getPay: {}\n      getRates: {limits: one, override: {reason: r, approvedBy: a, expires: 2026-12-31}}\n";
        let set = SOUND.replacen("limits:\n", &limits, 1).replacen("      getPay: {}\n", opened, 1);
        told_of_limits(&set)
    };
    let told_twice = |one: &str, other: &str| (told(one), told(other));
    let found = || "L0034 17:18".to_owned();
    let pair = told_twice("per: peer, quota: 5/minute", "per: peer, quota: 5/hour");
    assert_eq!(pair, (String::new(), found()));
    let pair = told_twice("per: peer, quota: {most: 5, rolling: 3599s}", "per: peer, quota: {most: 5, rolling: 1h}");
    assert_eq!(pair, (String::new(), found()));
    let pair = told_twice("per: resource, rate: 2/h, burst: 5", "per: resource, rate: 1/h, burst: 5");
    assert_eq!(pair, (String::new(), found()));
    let dear = "per: peer, rate: 2/h, burst: 5, cost";
    let pair = told_twice(&format!("{dear}: {{404: -9, 200: 1}}"), &format!("{dear}: {{404: 2}}"));
    assert_eq!(pair, (String::new(), found()));
    let pair =
        told_twice("per: resource, polls: {most: 3, within: 59m}", "per: resource, polls: {most: 3, within: 1h}");
    assert_eq!(pair, (String::new(), found()));
    let sessions = "sessions: {perDay: 9, calls: 9, rate: 9, idle: 1m}";
    let pair = told_twice(&format!("per: api, {sessions}"), &format!("per: [api, peer], {sessions}"));
    assert_eq!(pair, (String::new(), found()));
    let pair = told_twice("per: peer, quota: 5/day, mode: report", "per: [peer, operation], quota: 5/month");
    assert_eq!(pair, (String::new(), found()));
    assert_eq!(told("per: [peer], inFlight: 5"), "");
}

const PARTIES: &str = "
organisations:
  one:
    title: One
    roles: [AISP]
    licence: {authority: NBK, id: '1', validUntil: 2030-01-01}
    networks: [10.0.0.0/8]
plans: {p: {limits: [{per: client, rate: 1/s, burst: 1}]}}
clients:
  app:
    organisation: one
    plan: p
    authentication: tls_client_auth
    certificate: {sanDns: app.example.kz}
    tokens: {bind: mtls}
    scopes: [pay:read]
";

#[test]
fn networks_and_scopes_of_parties_are_looked_at() {
    let set = format!("{SOUND}{PARTIES}").replace("getPay: {}", "getPay: {requires: {scopes: []}}");
    let set = set.replace("getPay: {requires: {scopes: []}}", "getPay: {}");
    // The organisation may not call what asks for the scope.
    let codes =
        |text: &str| found(text).iter().filter(|p| p.severity != Severity::Info).map(|p| p.code).collect::<Vec<_>>();
    assert_eq!(codes(&set), ["L0012"]);
    let licensed = set.replace("roles: [AISP]", "roles: [AISP, PISP]");
    assert!(codes(&licensed).is_empty());
    let infos = |text: &str| found(text).iter().filter(|problem| problem.code == "L0014").count();
    assert_eq!(
        infos(&licensed.replace("plans: {", "plans: {idle: {limits: [{per: client, rate: 1/s, burst: 1}]}, ")),
        1
    );
    assert_eq!(infos(&licensed), 0);
    assert_eq!(codes(&licensed.replace("10.0.0.0/8", "10.0.0.0/7")), ["L0007"]);
    for everything in ["0.0.0.0/0", "'::/0'"] {
        assert_eq!(codes(&licensed.replace("10.0.0.0/8", everything)), ["L0006"]);
    }
}

#[test]
fn limits_of_plans_are_looked_at() {
    let told = |limit: &str| {
        let limits = format!("limits: [{{per: client, rate: 1/s, burst: 1}}, {{{limit}}}]");
        let parties = PARTIES.replace("limits: [{per: client, rate: 1/s, burst: 1}]", &limits);
        told_of_limits(&format!("{SOUND}{}", parties.replace("roles: [AISP]", "roles: [PISP]"))).replace("L0028", "")
    };
    let by = |header: &str, more: &str| told(&format!("per: [client, subject], subject: {header}, quota: 5/day{more}"));
    assert_eq!(by("x-always", ""), "");
    // It counts where some contract knows the header, and may be left out at both.
    assert_eq!(by("x-maybe", ""), "L0031 23:13 L0031 23:13");
    assert_eq!(by("x-maybe", ", when: {operations: getPay}"), "L0031 23:13");
    assert_eq!(by("x-never", ""), "L0032 23:13");
    assert_eq!(by("x-never", ", when: {operations: [getPay, pay]}"), "L0032 23:13 L0032 23:13");
    assert_eq!(by("x-never", ", mode: report"), "");
    assert_eq!(told("per: api, inFlight: 9"), "L0033 23:13");
    let named = format!("{SOUND}{PARTIES}").replace("limits: [{per: client", "limits: [slow2, {per: client");
    let named = named.replacen("limits:\n", "limits:\n  slow2: {per: subject, subject: x-maybe, quota: 5/day}\n", 1);
    assert_eq!(told_of_limits(&named), "L0031 6:25 L0031 6:25");
}

#[test]
fn what_clients_may_have_of_citizens_is_looked_at() {
    let licensed = |roles: &str| {
        let set = format!("{SOUND}{PARTIES}").replace("roles: [AISP]", &format!("roles: [{roles}]"));
        set.replace("getPay: {}", "getPay: {consent: {kind: account-access, account: id}}")
    };
    let back = |set: String| {
        set.replace("    tokens: {bind: mtls}", "    tokens: {bind: mtls}\n    redirectUris: [https://a.kz/back]")
    };
    let holds =
        |set: String| set.replace("    tokens: {bind: mtls}", "    tokens: {bind: mtls}\n    consents: organisation");
    let pays = |set: String| {
        set.replace("pay: {stepUp", "pay: {consent: domestic-payment, stepUp")
            .replace("scopes: [pay:read]", "scopes: [pay:write]")
    };
    let codes = |text: &str| {
        let mut found: Vec<&str> = found(text).iter().map(|p| p.code).filter(|code| *code >= "L0024").collect();
        found.retain(|code| *code != "L0027");
        found
    };
    assert_eq!(codes(&licensed("PISP")), ["L0028"]);
    assert!(codes(&back(licensed("PISP"))).is_empty());
    assert_eq!(codes(&back(licensed("PISP")).replace("[pay:read]", "[pay:write]")), ["L0024"]);
    assert_eq!(codes(&holds(licensed("PISP"))), ["L0025"]);
    assert!(codes(&holds(licensed("PISP, BANK"))).is_empty());
    let paying = pays(back(licensed("PISP")));
    assert!(codes(&paying).is_empty());
    assert_eq!(codes(&paying.replace("bind: mtls", "bind: either")), ["L0026"]);
    assert!(codes(&paying.replace("bind: mtls", "bind: either, nonce: required")).is_empty());
}
