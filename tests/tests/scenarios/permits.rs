//! Who may do what: scopes, roles, suspensions, licences, and policies that change while the gateway runs.

use std::time::Duration;

use scenarios::actors::app::fresh;
use scenarios::actors::bank::{self, payment};
use scenarios::actors::{App, Session};
use scenarios::world::{ACCOUNT_BALANCES, Kind, Setup, World};
use serde_json::json;

const MILLISECOND: Duration = Duration::from_millis(1);

scenarios! {
    a_path_without_a_policy_is_not_found,
    rs14_a_missing_scope_is_refused_and_named,
    a_role_that_the_organisation_lacks_is_refused,
    a_suspended_client_is_refused_at_once,
    a_suspended_organisation_is_refused_at_once,
    a_licence_ends_on_its_day,
    a_scope_that_was_taken_away_is_gone_at_once,
    a_client_that_was_removed_is_refused_at_once,
    a_broken_policy_leaves_the_running_one_in_force,
    a_broken_contract_leaves_the_running_one_in_force,
}

async fn a_path_without_a_policy_is_not_found(kind: Kind) {
    // The contract has it, no policy exposes it: that is as if it were not there.
    let setup = Setup::default().replacing("policies/national/apis/accounts.yaml", ACCOUNT_BALANCES, "");
    let world = World::with(kind, setup).await;
    let app = Session::of(&world, "demo-app").await;
    app.get("/v1/accounts").await.succeeded(200);
    app.get(&format!("/v1/accounts/{}/balances", bank::account(1))).await.refused(404, "unknown_path");
}

async fn rs14_a_missing_scope_is_refused_and_named(kind: Kind) {
    let world = World::start(kind).await;
    let before = bank::balance(&world, 1).await;
    let app = App::of(&world, "demo-app").session(&world, Some("accounts:read")).await;
    app.get("/v1/accounts").await.succeeded(200);
    let refused = app.pay(&fresh("order"), &payment("1.00")).await;
    refused.refused(403, "insufficient_scope");
    let challenge = refused.challenge();
    assert!(challenge.contains("error=\"insufficient_scope\""), "{challenge}");
    assert!(challenge.contains("scope=\"payments:write\""), "{challenge}");
    assert_eq!(bank::balance(&world, 1).await, before);
}

async fn a_role_that_the_organisation_lacks_is_refused(kind: Kind) {
    // The client was given a scope that its organisation has no role for.
    let mfo = App::newcomer("curious-mfo-app");
    let policy = mfo.policy("demo-mfo", &["accounts:read", "payments:write"], "");
    let world = World::with(kind, Setup::default().policy("mfo.yaml", policy)).await;
    let mfo = mfo.session(&world, None).await;
    mfo.get("/v1/accounts").await.refused(403, "role_missing");
    mfo.pay(&fresh("order"), &payment("1.00")).await.refused(403, "role_missing");
}

/// Starts a world with a further client, and lets it make a first call.
async fn with_newcomer<'w>(world: &'w World, app: App) -> Session<'w> {
    let session = app.session(world, None).await;
    session.get("/v1/accounts").await.succeeded(200);
    session
}

async fn a_suspended_client_is_refused_at_once(kind: Kind) {
    let app = App::newcomer("new-app");
    let active = app.policy("demo-fintech", &["accounts:read"], "");
    let suspended = app.policy("demo-fintech", &["accounts:read"], "suspended: true");
    let world = World::with(kind, Setup::default().policy("new.yaml", active)).await;
    let app = with_newcomer(&world, app).await;
    world.write_policy("new.yaml", &suspended);
    assert_eq!(world.reload(), Ok(2));
    // The token is still good; the client is not.
    app.get("/v1/accounts").await.refused(403, "client_suspended");
    world.send(app.app.token_ask(&world, None)).await.oauth_refused(400, "unauthorized_client");
    Session::of(&world, "demo-app").await.get("/v1/accounts").await.succeeded(200);
}

async fn a_suspended_organisation_is_refused_at_once(kind: Kind) {
    let app = App::newcomer("new-app");
    let organisation = |more: &str| {
        format!(
            "qaqpa: v1\norganisations:\n  new-fintech:\n    title: New\n    roles: [AISP]\n    \
             licence: {{authority: NBK, id: N-1, validUntil: 2099-12-31}}\n{more}"
        )
    };
    let setup = Setup::default().policy("new.yaml", app.policy("new-fintech", &["accounts:read"], ""));
    let world = World::with(kind, setup.policy("org.yaml", organisation(""))).await;
    let app = app.session(&world, None).await;
    // The bank does not know the organisation; the gateway does.
    assert_eq!(app.get("/v1/accounts").await.at("/type"), "urn:qaqpa:problem:organisation_unknown");
    world.write_policy("org.yaml", &organisation("    suspended: true\n"));
    world.reload().unwrap();
    app.get("/v1/accounts").await.refused(403, "client_suspended");
    world.send(app.app.token_ask(&world, None)).await.oauth_refused(400, "unauthorized_client");
}

async fn a_licence_ends_on_its_day(kind: Kind) {
    let app = App::newcomer("new-app");
    let world = World::start(kind).await;
    // Days are days of UTC, and the last one counts.
    let day = 86_400;
    let today = world.seconds().div_euclid(day);
    let ends = (today + 1) * day;
    let date = civil(today);
    let organisation = format!(
        "qaqpa: v1\norganisations:\n  new-fintech:\n    title: New\n    roles: [AISP]\n    \
         licence: {{authority: NBK, id: N-1, validUntil: {date}}}\n"
    );
    world.write_policy("org.yaml", &organisation);
    world.write_policy("new.yaml", &app.policy("new-fintech", &["accounts:read"], ""));
    world.reload().unwrap();
    let left = u64::try_from(ends * 1000 - world.now().millis()).unwrap();
    world.advance(Duration::from_millis(left) - MILLISECOND);
    let app = app.session(&world, None).await;
    assert_eq!(app.get("/v1/accounts").await.at("/type"), "urn:qaqpa:problem:organisation_unknown");
    world.advance(MILLISECOND);
    app.get("/v1/accounts").await.refused(403, "licence_expired");
    world.send(app.app.token_ask(&world, None)).await.oauth_refused(400, "unauthorized_client");
}

/// Writes a day since 1970 as a date (H. Hinnant, `civil_from_days`).
fn civil(days: i64) -> String {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

async fn a_scope_that_was_taken_away_is_gone_at_once(kind: Kind) {
    let app = App::newcomer("new-app");
    let both = app.policy("demo-fintech", &["accounts:read", "balances:read"], "");
    let one = app.policy("demo-fintech", &["balances:read"], "");
    let world = World::with(kind, Setup::default().policy("new.yaml", both)).await;
    let app = with_newcomer(&world, app).await;
    world.write_policy("new.yaml", &one);
    world.reload().unwrap();
    app.get("/v1/accounts").await.refused(403, "insufficient_scope");
    app.get(&format!("/v1/accounts/{}/balances", bank::account(1))).await.succeeded(200);
}

async fn a_client_that_was_removed_is_refused_at_once(kind: Kind) {
    let app = App::newcomer("new-app");
    let policy = app.policy("demo-fintech", &["accounts:read"], "");
    let world = World::with(kind, Setup::default().policy("new.yaml", policy)).await;
    let app = with_newcomer(&world, app).await;
    std::fs::remove_file(world.state().join("policies/new.yaml")).unwrap();
    world.reload().unwrap();
    app.get("/v1/accounts").await.refused(401, "token_invalid");
    world.send(app.app.token_ask(&world, None)).await.oauth_refused(401, "invalid_client");
}

async fn a_broken_policy_leaves_the_running_one_in_force(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let broken = [
        "qaqpa: v1\nclients: {new-app: {organisation: nobody}}\n",
        "qaqpa: v1\nplanz: {}\n",
        "qaqpa: v2\n",
        "qaqpa: v1\nplans: [\n",
        "\u{0}",
        "",
    ];
    for (count, text) in broken.iter().enumerate() {
        world.write_policy("broken.yaml", text);
        let told = world.reload().unwrap_err();
        assert!(told.contains("broken.yaml"), "{told}");
        let generation = world.assembled().stack.load().generation().number;
        assert_eq!(generation, 1, "{text}");
        let rejected = world.metric("qaqpa_config_rejected_total");
        assert!((rejected - (count as f64 + 1.0)).abs() < 0.5, "{rejected}");
        app.get("/v1/accounts").await.succeeded(200);
    }
    world.write_policy("broken.yaml", "qaqpa: v1\nplans:\n  mended: {limits: [{per: client, rate: 1/s, burst: 1}]}\n");
    assert_eq!(world.reload(), Ok(2));
    app.get("/v1/accounts").await.succeeded(200);
}

async fn a_broken_contract_leaves_the_running_one_in_force(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let path = world.file("contracts/accounts.yaml");
    let right = std::fs::read_to_string(&path).unwrap();
    // What cannot be read at all, and what cannot be exposed any more.
    for (old, new, code) in [
        ("operationId: listAccounts", "operationId: listAccount", "P0107"),
        ("openapi: 3.0.3", "openapi: 2.0.0", "C0001"),
        ("openapi: 3.0.3", "openapi: [3.0.3", "C0001"),
        ("/v1/accounts/{accountId}/balances", "/v1/accounts/{other}/balances", "C0001"),
        ("accessToken:\n      type: oauth2", "mysteryToken:\n      type: oauth2", "C0001"),
        ("- accessToken: [balances:read]", "- accessToken: [balances:read]\n        - accessToken: []", "P0308"),
    ] {
        assert!(right.contains(old), "{old}");
        std::fs::write(&path, right.replacen(old, new, 1)).unwrap();
        let told = world.reload().unwrap_err();
        assert!(told.contains(&format!("error[{code}]")), "{new}: {told}");
        app.get("/v1/accounts").await.succeeded(200);
    }
    std::fs::write(&path, right).unwrap();
    assert_eq!(world.reload(), Ok(1), "it is what is in force");
    assert_eq!(json!(1), json!(world.assembled().stack.load().generation().number));
}
