//! Limits of operations, beside those of plans, and limits that only report.

use scenarios::actors::{App, Session, bank};
use scenarios::world::{Kind, Setup, World};

use crate::fraud::newest;

scenarios! {
    a_limit_of_an_operation_refuses_and_is_named,
    a_limit_that_only_reports_lets_pass_and_is_counted,
    a_limit_that_is_off_counts_nothing,
    a_limit_of_a_plan_may_only_report_too,
    a_limit_that_plan_and_operation_share_counts_a_call_once,
    two_operations_with_one_limit_share_its_room,
}

fn limited(limit: &str) -> Setup {
    let known = "      listAccounts:\n";
    Setup::default().policy("narrow.yaml", format!("qaqpa: v1\nlimits:\n  narrow: {limit}\n")).replacing(
        "policies/national/apis/accounts.yaml",
        known,
        "      listAccounts:\n        limits: narrow\n",
    )
}

async fn a_limit_of_an_operation_refuses_and_is_named(kind: Kind) {
    let world = World::with(kind, limited("{per: client, rate: 1/min, burst: 2}")).await;
    let app = Session::of(&world, "demo-app").await;
    app.get("/v1/accounts").await.succeeded(200);
    app.get("/v1/accounts").await.succeeded(200);
    let refused = app.get("/v1/accounts").await;
    refused.refused(429, "rate_limited");
    let violated = refused.json()["violated-policies"][0].as_str().unwrap().to_owned();
    assert!(violated.contains("narrow") && violated.contains("1/min"), "{violated}");
    assert_eq!(refused.header("retry-after"), Some("60"));
    let record = newest(&world, "listAccounts").await;
    assert_eq!(
        (&record["exhausted"], &record["rule"]["kind"]),
        (&violated.as_str().into(), &"limit".into()),
        "{record}"
    );
    assert!(record["limits"].as_array().unwrap().iter().any(|limit| limit["id"] == violated), "{record}");
    // It is a limit of this operation, and of each client.
    app.get(&format!("/v1/accounts/{}/balances", bank::account(1))).await.succeeded(200);
    Session::of(&world, "demo-mtls-app").await.get("/v1/accounts").await.succeeded(200);
}

async fn a_limit_that_only_reports_lets_pass_and_is_counted(kind: Kind) {
    let world = World::with(kind, limited("{per: client, rate: 1/min, burst: 1, mode: report}")).await;
    let app = Session::of(&world, "demo-app").await;
    app.get("/v1/accounts").await.succeeded(200);
    assert!(newest(&world, "listAccounts").await.get("reports").is_none());
    app.get("/v1/accounts").await.succeeded(200);
    let record = newest(&world, "listAccounts").await;
    assert_eq!(record["reports"][0]["kind"], "limit", "{record}");
    assert!(record.get("exhausted").is_none(), "{record}");
    assert!((world.metric("qaqpa_rule_reports_total{kind=\"limit\"}") - 1.0).abs() < 0.5);
}

async fn a_limit_that_is_off_counts_nothing(kind: Kind) {
    let world = World::with(kind, limited("{per: client, rate: 1/min, burst: 1, mode: off}")).await;
    let app = Session::of(&world, "demo-app").await;
    for _ in 0..3 {
        app.get("/v1/accounts").await.succeeded(200);
    }
    assert!(newest(&world, "listAccounts").await.get("reports").is_none());
    assert!(world.metric("qaqpa_rule_reports_total{kind=\"limit\"}").abs() < 0.5);
}

async fn a_limit_of_a_plan_may_only_report_too(kind: Kind) {
    let plan = "qaqpa: v1\nplans:\n  soft:\n    limits: [{per: client, rate: 1/min, burst: 1, mode: report}]\n";
    let app = App::newcomer("new-app");
    let policy = app.policy("demo-fintech", &["accounts:read"], "").replace("plan: standard", "plan: soft");
    let world = World::with(kind, Setup::default().policy("plan.yaml", plan).policy("new.yaml", policy)).await;
    let app = app.session(&world, None).await;
    app.get("/v1/accounts").await.succeeded(200);
    assert_eq!(newest(&world, "listAccounts").await["reports"][0]["name"], "soft:client:1/min");
}

async fn a_limit_that_plan_and_operation_share_counts_a_call_once(kind: Kind) {
    let plan = "qaqpa: v1\nplans:\n  shared:\n    limits: [narrow]\n";
    let app = App::newcomer("new-app");
    let policy = app.policy("demo-fintech", &["accounts:read"], "").replace("plan: standard", "plan: shared");
    let setup = limited("{per: client, rate: 1/min, burst: 3}").policy("plan.yaml", plan).policy("new.yaml", policy);
    let world = World::with(kind, setup).await;
    // The token is the first of three.
    let app = app.session(&world, None).await;
    app.get("/v1/accounts").await.succeeded(200);
    app.get("/v1/accounts").await.succeeded(200);
    app.get("/v1/accounts").await.refused(429, "rate_limited");
}

async fn two_operations_with_one_limit_share_its_room(kind: Kind) {
    let setup = limited("{per: client, rate: 1/min, burst: 1}").replacing(
        "policies/national/apis/accounts.yaml",
        "      getAccountBalances:\n",
        "      getAccountBalances:\n        limits: narrow\n",
    );
    let world = World::with(kind, setup).await;
    let app = Session::of(&world, "demo-app").await;
    app.get("/v1/accounts").await.succeeded(200);
    let balances = format!("/v1/accounts/{}/balances", bank::account(1));
    app.get(&balances).await.refused(429, "rate_limited");
}
