//! `qaqpa test` and `qaqpa trace`, as processes: cases that must fail do fail, and every stage is told with its line.

use std::path::{Path, PathBuf};

use scenarios::actors::Session;
use scenarios::actors::app::fresh;
use scenarios::actors::bank::payment;
use scenarios::actors::program::{Ended, run};
use scenarios::world::{ACCOUNT_BALANCES, Folder, Kind, LIST_ACCOUNTS, World, copy};
use serde_json::Value;

/// The shipped set in a folder, to be changed.
struct Set(Folder);

impl Set {
    fn shipped() -> Self {
        let folder = Folder::new();
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/national"), folder.path());
        Self(folder)
    }

    fn path(&self) -> &str {
        self.0.path().to_str().unwrap()
    }

    /// Writes another text in place of one that is there.
    fn replace(&self, file: &str, old: &str, new: &str) -> &Self {
        let path = self.0.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(old), "{file} has no {old}: {text}");
        std::fs::write(path, text.replacen(old, new, 1)).unwrap();
        self
    }

    fn write(&self, file: &str, text: &str) -> &Self {
        std::fs::write(self.0.path().join(file), text).unwrap();
        self
    }

    async fn test(&self, more: &[&str]) -> Ended {
        let mut arguments = vec!["test", self.path()];
        arguments.extend(more);
        run(&arguments).await
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        walk(self.0.path(), &mut found);
        found
    }
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { walk(&path, found) } else { found.push(path) }
    }
    found.sort();
}

fn json(ended: &Ended) -> Value {
    serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {}", ended.out))
}

#[tokio::test]
async fn the_shipped_cases_pass_and_call_every_operation() {
    let ended = run(&["test", "--format", "json"]).await;
    let report = json(ended.with(0));
    assert_eq!(report["ok"], true);
    assert!(report["cases"].as_array().unwrap().len() >= 60, "{report}");
    let never = report["rules"]["neverHit"].as_array().unwrap();
    assert!(never.iter().all(|rule| rule["kind"] != "operation"), "{never:?}");
}

/// A rule that is taken away or weakened: the file, what stood there, what stands there now, a case that has to fail.
const WEAKENED: [(&str, &str, &str, &str); 6] = [
    (
        "apis/payments.yaml",
        "roles: [PISP]",
        "roles: [PISP, AISP]",
        "a payment is not made for whoever only reads accounts",
    ),
    ("stepup.yaml", "250000 KZT", "250001 KZT", "a large payment without a verified payer is challenged"),
    ("apis/accounts.yaml", "roles: [AISP]", "roles: [AISP, TREASURY]", "accounts are not listed for whoever only pays"),
    ("plans/standard.yaml", "burst: 60}", "burst: 61}", "one operation takes no more than its share of a plan"),
    ("plans/standard.yaml", "burst: 60}", "burst: 59}", "one operation takes no more than its share of a plan"),
    ("tests/parties.yaml", "10.20.0.0/16", "10.0.0.0/8", "accounts are not listed from other networks"),
];

#[tokio::test]
async fn a_weaker_rule_fails_the_case_that_guards_it() {
    for (file, old, new, case) in WEAKENED {
        let set = Set::shipped();
        let ended = set.replace(file, old, new).test(&[]).await;
        assert!(ended.with(1).out.contains(&format!("FAILED  {case}\n")), "{file}: {old}: {}", ended.out);
    }
    let ended = Set::shipped().replace("apis/payments.yaml", "        stepUp: large-payment\n", "").test(&[]).await;
    let case = "a large payment without a verified payer is challenged";
    assert!(ended.with(1).out.contains(&format!("FAILED  {case}\n")), "{}", ended.out);
    // A rule that is gone altogether cannot be expected any more.
    let set = Set::shipped();
    set.replace("apis/payments.yaml", "        stepUp: large-payment\n", "").write("stepup.yaml", "qaqpa: v1\n");
    let ended = set.test(&[]).await;
    assert!(ended.with(78).err.contains("unknown rule `large-payment`"), "{}", ended.err);
}

const CLOSED: &str = r#"qaqpa: v1
tests:
  balances are closed:
    given: {client: case-app, operation: getAccountBalances}
    expect: {status: 404, problem: unknown_path, stage: route, backendCalled: false}
  balances are closed to whoever has no token:
    given: {operation: getAccountBalances}
    expect: {status: 404, problem: unknown_path}
  balances are still open:
    given: {client: case-app, operation: getAccountBalances}
    expect: {status: 200}
"#;

#[tokio::test]
async fn a_case_shows_that_an_operation_is_closed() {
    let set = Set::shipped();
    set.replace("apis/accounts.yaml", ACCOUNT_BALANCES, "").write("closed.yaml", CLOSED);
    let ended = set.test(&["--filter", "closed.yaml"]).await;
    let told = &ended.with(1).out;
    assert!(told.contains("2 passed, 1 failed") && told.contains("status: expected 200, came 404"), "{told}");
    let traced =
        run(&["trace", "getAccountBalances", "--client", "case-app", "--policies", set.path(), "--json"]).await;
    assert_eq!(json(traced.with(0))["body"]["type"], "urn:qaqpa:problem:unknown_path");
    // Its own cases fail, and are no fault of the set.
    assert_eq!(set.test(&[]).await.code, Some(1));
    run(&["check", set.path()]).await.with(0);
}

/// The override ends at the beginning of 2041-07-01, years after the cases that do not say when they begin.
const ENDING: &str = r#"qaqpa: v1
tests:
  the treasury lists accounts until the override ends:
    at: 2041-06-30T23:59:59Z
    given: {client: case-treasury-app, operation: listAccounts}
    steps:
      - expect: {status: 200, backendCalled: true}
      - {after: 1s, expect: {status: 403, problem: role_missing, stage: permit, backendCalled: false}}
  the treasury lists no accounts later:
    at: 2041-07-01
    given: {client: case-treasury-app, operation: listAccounts}
    expect: {status: 403, problem: role_missing, stage: permit}
  the treasury lists accounts on any day before:
    given: {client: case-treasury-app, operation: listAccounts}
    expect: {status: 200}
"#;

#[tokio::test]
async fn a_case_shows_that_an_override_ends_by_itself() {
    let set = Set::shipped();
    let loosened = format!(
        "{LIST_ACCOUNTS}        requires: {{roles: [AISP, TREASURY]}}\n        \
         override: {{reason: audit of state accounts, approvedBy: A. Admin, expires: 2041-06-30}}\n"
    );
    set.replace("apis/accounts.yaml", LIST_ACCOUNTS, &loosened).write("ending.yaml", ENDING);
    let ended = set.test(&["--filter", "ending.yaml"]).await;
    assert!(ended.with(0).out.contains("3 passed, 0 failed"), "{}", ended.out);
    // One that was over long before it is looked at was in force when the case plays.
    set.replace("apis/accounts.yaml", "2041-06-30", "2021-06-30");
    set.write("ending.yaml", &ENDING.replace("2041", "2021"));
    let ended = set.test(&["--filter", "ending.yaml"]).await;
    assert!(ended.with(1).out.contains("FAILED  the treasury lists accounts on any day before\n"), "{}", ended.out);
    assert!(ended.out.contains("2 passed, 1 failed"), "{}", ended.out);
}

const CASES: &str = r#"qaqpa: v1
tests:
  x status:
    given: {client: case-app, operation: listAccounts}
    expect: {status: 201}
  x problem:
    given: {operation: listAccounts}
    expect: {problem: token_invalid}
  x stage:
    given: {operation: listAccounts}
    expect: {stage: permit}
  x limit:
    given: {client: case-app, operation: listAccounts}
    expect: {limit: standard}
  x rule:
    given: {client: case-app, operation: createDomesticPayment}
    expect: {rule: large-payment}
  x backend:
    given: {client: case-app, operation: listAccounts}
    expect: {backendCalled: false}
  x body:
    given: {client: case-app, operation: listAccounts, backend: {body: {accounts: []}}}
    expect: {body: {/accounts/0: 1, /cursor: null}}
  x second step:
    given: {client: case-app, operation: listAccounts}
    steps:
      - expect: {status: 200}
      - {after: 1s, given: {token: expired}, expect: {status: 200}}
  x nothing before:
    given: {client: case-app, operation: getAccountBalances, parameters: {accountId: "${/id}"}}
    expect: {status: 200}
"#;

#[tokio::test]
async fn what_is_expected_wrongly_fails_with_what_came_and_the_line() {
    let set = Set::shipped();
    let ended = set.write("wrong.yaml", CASES).test(&["--filter", "x "]).await;
    let told = &ended.with(1).out;
    for line in [
        "wrong.yaml:3\n",
        "    status: expected 201, came 200\n",
        "    problem: expected token_invalid, came token_missing\n",
        "    stage: expected permit, came authenticate\n",
        "    limit: expected standard, came none\n",
        "    rule: expected large-payment, came none\n",
        "    backendCalled: expected false, came true\n",
        "    body /accounts/0: expected 1, came null\n",
        "  step 2, ",
        "    stages: route pass, authenticate token_expired\n",
        "    answer: 401 Unauthorized\n            problem: token_expired\n",
        "    the call could not be made: the answer before has nothing at `/id`\n",
        "0 passed, 9 failed",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    assert!(!told.contains("/cursor"), "{told}");
}

#[tokio::test]
async fn a_failed_case_names_the_line_that_refused_and_why_it_could_not_be_judged() {
    let set = Set::shipped();
    let condition = "allow: \"body.remittanceInformation != 'canary'\"";
    set.replace("apis/payments.yaml", "stepUp: large-payment", &format!("stepUp: large-payment\n        {condition}"));
    let body = payment("1.00");
    let case = format!(
        "qaqpa: v1\ntests:\n  x unjudged:\n    given: {{client: case-app, operation: createDomesticPayment, body: {body}}}\n    expect: {{status: 201}}\n"
    );
    let ended = set.write("wrong.yaml", &case).test(&["--filter", "x "]).await;
    let told = &ended.with(1).out;
    assert!(told.contains("    refused by: allow `allow` (") && told.contains("payments.yaml:"), "{told}");
    assert!(told.contains("): not judged, for "), "{told}");
    let file = set.0.path().join("small.json");
    std::fs::write(&file, body.to_string()).unwrap();
    let call = ["trace", "createDomesticPayment", "--client", "case-app", "--policies", set.path(), "--body"];
    let traced = run(&[&call[..], &[file.to_str().unwrap()]].concat()).await;
    assert!(traced.with(0).out.contains("\nnot judged, for "), "{}", traced.out);
    assert!(traced.out.contains("\nthe answer as the client gets it:\n"), "{}", traced.out);
}

#[tokio::test]
async fn a_run_that_tests_nothing_is_no_success() {
    let set = Set::shipped();
    set.test(&["--filter", "no case has this name"]).await.with(2);
    std::fs::remove_dir_all(set.0.path().join("tests")).unwrap();
    set.test(&[]).await.with(1);
    let ended = set.write("broken.yaml", "qaqpa: v1\ntests:\n  a: {given: {operation: x}, expect: {status: 200}}\n");
    assert!(ended.test(&[]).await.with(78).err.contains("unknown operation `x`"));
}

#[tokio::test]
async fn a_part_of_the_cases_claims_no_coverage() {
    let set = Set::shipped();
    let some = set.test(&["--filter", "large payment"]).await;
    assert!(some.with(0).out.contains("told without --filter") && !some.out.contains("rules hit"), "{}", some.out);
    let told = json(set.test(&["--filter", "large payment", "--format", "json"]).await.with(0));
    assert_eq!(told["rules"], Value::Null);
    set.test(&["--filter", "large payment", "--strict-coverage"]).await.with(2);
}

#[tokio::test]
async fn rules_that_no_case_hits_are_told_and_fail_a_strict_run() {
    let set = Set::shipped();
    set.write("more.yaml", "qaqpa: v1\nstepUp:\n  odd: {above: 9000000 KZT, amount: /instructedAmount, level: L2}\n");
    set.replace("apis/payments.yaml", "stepUp: large-payment", "stepUp: [large-payment, odd]");
    let ended = set.test(&[]).await;
    assert!(ended.with(0).out.contains("stepUp"), "{}", ended.out);
    assert!(ended.out.contains("more.yaml:3\n"), "{}", ended.out);
    set.test(&["--strict-coverage"]).await.with(1);
}

const PARALLEL: &str = r#"qaqpa: v1
limits: {parallel: {per: client, inFlight: 2}}
tests:
  a third call at once is refused:
    given: {client: case-app, operation: listAccounts}
    steps:
      - underWay: 1
        expect: {status: 200}
      - underWay: 2
        expect: {status: 429, stage: meter, limit: parallel}
      # Those are over.
      - repeat: 3
        expect: {status: 200}
"#;

#[tokio::test]
async fn limits_of_calls_under_way_are_hit_by_cases() {
    let set = Set::shipped();
    set.replace("apis/accounts.yaml", "      listAccounts:\n", "      listAccounts:\n        limits: parallel\n");
    set.write("parallel.yaml", PARALLEL);
    let told = json(set.test(&["--format", "json"]).await.with(0));
    let never = told["rules"]["neverHit"].as_array().unwrap();
    assert!(never.iter().all(|rule| rule["kind"] != "limit"), "{never:?}");
    set.write("parallel.yaml", &PARALLEL.replace("inFlight: 2", "inFlight: 3"));
    let ended = set.test(&["--filter", "third call at once"]).await;
    assert!(
        ended.with(1).out.contains("step 2") && ended.out.contains("status: expected 429, came 200"),
        "{}",
        ended.out
    );
    for (most, code) in [("1000", 0), ("1001", 78)] {
        set.write("parallel.yaml", &PARALLEL.replace("underWay: 2", &format!("underWay: {most}")));
        let ended = set.test(&["--filter", "third call at once"]).await;
        assert_eq!(ended.with(code).err.contains("`underWay`"), code == 78, "{most}: {}", ended.err);
    }
}

#[tokio::test]
async fn limits_are_explained_by_the_name_that_refusals_tell() {
    let set = Set::shipped();
    set.write(
        "more.yaml",
        "qaqpa: v1\nlimits:\n  each: {per: [client, resource], quota: 3/day}\n  own: {per: client, inFlight: 9}\n  paid: {per: client, quota: 9/day, when: {operations: [createDomesticPayment]}}\n",
    );
    set.replace("defaults.yaml", "defaults:\n", "defaults:\n  limits: [each, paid]\n");
    set.replace("apis/accounts.yaml", "      listAccounts:\n", "      listAccounts:\n        limits: own\n");
    set.replace("apis/accounts.yaml", "    defaults:\n", "    defaults:\n      limits: all\n");
    set.write("all.yaml", "qaqpa: v1\nlimits: {all: {per: api, quota: 300/second}}\n");
    let explain = async |id: &str, more: &[&str]| {
        let arguments = [&["explain", "operation", id, "--policies", set.path()], more].concat();
        run(&arguments).await
    };
    let ended = explain("listAccounts", &[]).await;
    let limits = ended.with(0).out.split("\nLimits:\n").nth(1).unwrap();
    for line in [
        "  each:client+resource:3/day  counts no call here: it counts by `resource`, and its path has no parameter, of the defaults of the set\n",
        "  all:api:300/second          300/second per api, of the defaults of the API\n",
        "  own:client:9-in-flight      9 at once per client, in each gateway, of the operation\n",
    ] {
        assert!(limits.contains(line), "{}", ended.out);
    }
    assert!(!limits.contains("paid"), "{}", ended.out);
    let told = json(explain("getAccountBalances", &["--json"]).await.with(0));
    let each = serde_json::json!({"name": "each:client+resource:3/day", "says": "3/day per client and resource", "of": "the defaults of the set"});
    assert!(told["limits"].as_array().unwrap().contains(&each), "{told}");
}

#[tokio::test]
async fn nothing_is_left_but_the_report_that_was_asked_for() {
    let set = Set::shipped();
    let before = set.files();
    let report = set.0.path().join("report.xml");
    set.write("wrong.yaml", CASES).test(&["--filter", "x ", "--junit", report.to_str().unwrap()]).await.with(1);
    let text = std::fs::read_to_string(&report).unwrap();
    assert!(text.contains("tests=\"9\" failures=\"9\""), "{text}");
    std::fs::remove_file(report).unwrap();
    std::fs::remove_file(set.0.path().join("wrong.yaml")).unwrap();
    assert_eq!(set.files(), before);
}

#[tokio::test]
async fn parties_of_cases_are_nobody_to_a_running_gateway() {
    let world = World::start(Kind::Memory).await;
    assert!(world.file("policies/national/tests/parties.yaml").is_file());
    let stack = world.assembled().stack.load();
    let rulebook = &stack.generation().rulebook;
    assert!(!rulebook.clients.contains_key("case-app"));
    assert!(!rulebook.organisations.contains_key("case-fintech"));
}

#[tokio::test]
async fn a_described_call_is_told_stage_by_stage_with_its_lines() {
    let set = Set::shipped();
    run(&["trace", "listAccount", "--policies", set.path()]).await.with(2);
    run(&["trace", "listAccounts", "--client", "nobody", "--policies", set.path()]).await.with(2);
    let body = set.0.path().join("large.json");
    std::fs::write(&body, payment("300000.00").to_string()).unwrap();
    let call = ["trace", "createDomesticPayment", "--client", "case-app", "--policies", set.path(), "--json"];
    let large = [&call[..], &["--body", body.to_str().unwrap()]].concat();
    let told = json(run(&large).await.with(0));
    assert_eq!((&told["status"], &told["backendCalled"]), (&Value::from(401), &Value::Bool(false)), "{told}");
    let stages = told["stages"].as_array().unwrap();
    let last = stages.last().unwrap();
    assert_eq!((&last["stage"], &last["decision"]), (&Value::from("assess"), &Value::from("step_up_required")));
    assert!(last["rule"].as_str().unwrap().contains("stepup.yaml:"), "{last}");
    let verified = json(run(&[&large[..], &["--verified", "L2"]].concat()).await.with(0));
    assert_eq!(
        (&verified["status"], &verified["backendCalled"]),
        (&Value::from(201), &Value::Bool(true)),
        "{verified}"
    );
    // The deed has a row and a time of its own, and masks are named where they have hidden something.
    let row = |told: &Value, stage: &str| {
        told["stages"].as_array().unwrap().iter().find(|row| row["stage"] == stage).unwrap_or(&Value::Null).clone()
    };
    assert!(row(&verified, "deed")["rule"].as_str().unwrap().contains("upstreams"), "{verified}");
    assert!(row(&verified, "redact")["rule"].as_str().unwrap().contains("apis/payments.yaml:"), "{verified}");
    let mask = "masking:\n  paid: {fields: [/creditorAccount/iban], show: last-four, in: [responses]}";
    set.replace("masking.yaml", "masking:", mask);
    set.replace("apis/payments.yaml", "defaults:", "defaults:\n      mask: paid");
    let masked = json(run(&[&large[..], &["--verified", "L2"]].concat()).await.with(0));
    assert!(row(&masked, "redact")["rule"].as_str().unwrap().contains("masking.yaml:"), "{masked}");
    let people = run(&["trace", "listAccounts", "--policies", set.path()]).await;
    assert!(people.with(0).out.starts_with("STAGE "), "{}", people.out);
    assert!(people.out.contains("token_missing"), "{}", people.out);
}

#[tokio::test]
async fn a_recorded_call_is_told_with_the_lines_of_the_set_that_decided_it() {
    let world = World::start(Kind::Memory).await;
    world.round().await.unwrap();
    let app = Session::of(&world, "demo-app").await;
    let paid = app.pay(&fresh("order"), &payment("1.00")).await;
    let paid = paid.succeeded(201).header("x-fapi-interaction-id").unwrap().to_owned();
    let refused = app.pay(&fresh("order"), &payment("300000.00")).await;
    let interaction = refused.refused(401, "step_up_required").header("x-fapi-interaction-id").unwrap().to_owned();
    world.audit().await;
    let state = world.state().to_str().unwrap();
    let unknown = run(&["trace", "--interaction", "0", "--state", state]).await;
    assert_ne!(unknown.code, Some(0));
    let told = json(run(&["trace", "--interaction", &interaction, "--state", state, "--json"]).await.with(0));
    let record = &told[0];
    assert_eq!((&record["status"], &record["kept"]), (&Value::from(401), &Value::Bool(true)), "{told}");
    let last = record["stages"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["stage"], &last["decision"]), (&Value::from("assess"), &Value::from("step_up_required")));
    assert!(last["rule"].as_str().unwrap().contains(".yaml:"), "{last}");
    let told = json(run(&["trace", "--interaction", &paid, "--state", state, "--json"]).await.with(0));
    let outcome = told.as_array().unwrap().iter().find(|record| record["kind"] == "outcome").unwrap();
    let rows: Vec<(&str, &str)> = outcome["stages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["stage"].as_str().unwrap(), row["rule"].as_str().unwrap()))
        .collect();
    let [.., (deed, upstream), (redact, policy)] = rows.as_slice() else { panic!("{told}") };
    assert_eq!((*deed, *redact), ("deed", "redact"));
    assert!(upstream.contains("upstreams.yaml:") && policy.contains("payments.yaml:"), "{told}");
}
