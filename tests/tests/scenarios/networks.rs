//! Where an organisation calls from.

use std::net::{IpAddr, Ipv4Addr};

use scenarios::actors::backend::Backend;
use scenarios::actors::{App, Session};
use scenarios::world::{Ask, Kind, Setup, World};

use crate::fraud::newest;

scenarios! {
    a_call_from_outside_the_networks_of_its_organisation_is_refused,
    a_token_is_not_given_outside_the_networks_either,
    networks_of_one_organisation_say_nothing_of_another,
}

fn organisation(networks: &str) -> String {
    format!(
        "qaqpa: v1\norganisations:\n  new-fintech:\n    title: New\n    roles: [AISP]\n    \
         licence: {{authority: NBK, id: N-1, validUntil: 2099-12-31}}\n    networks: {networks}\n"
    )
}

async fn world(kind: Kind, app: &App, networks: &str) -> World {
    let backend = Backend::json(r#"{"accounts":[]}"#, "").await;
    let setup = Setup { backend: Some(backend.address), ..Setup::default() };
    let setup = setup.policy("new.yaml", app.policy("new-fintech", &["accounts:read"], ""));
    World::with(kind, setup.policy("org.yaml", organisation(networks))).await
}

async fn a_call_from_outside_the_networks_of_its_organisation_is_refused(kind: Kind) {
    let app = App::newcomer("new-app");
    let world = world(kind, &app, "[127.0.0.0/8]").await;
    let app = app.session(&world, None).await;
    app.get("/v1/accounts").await.succeeded(200);
    world.write_policy("org.yaml", &organisation("[10.0.0.0/8, 192.0.2.0/24, 2001:db8::/32]"));
    world.reload().unwrap();
    // The token is still good; where it is shown is not.
    let refused = app.get("/v1/accounts").await;
    refused.refused(403, "network_not_allowed");
    assert!(!refused.text().contains("10.0.0") && !refused.text().contains("127.0.0"), "{}", refused.text());
    let record = newest(&world, "listAccounts").await;
    assert_eq!((&record["rule"]["kind"], &record["rule"]["name"]), (&"network".into(), &"new-fintech".into()));
    // What a client says of where it comes from is not believed.
    for name in ["x-forwarded-for", "forwarded", "x-real-ip"] {
        let spoofed = app.send(Ask::get("/v1/accounts").with(name, "192.0.2.7")).await;
        assert!(matches!(spoofed.status, 400 | 403), "{name}: {}", spoofed.text());
    }
    if kind == Kind::Memory {
        for (address, inside) in [
            (IpAddr::from([192, 0, 2, 255]), true),
            (IpAddr::from([192, 0, 3, 0]), false),
            (IpAddr::from(Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped()), true),
            (IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]), true),
            (IpAddr::from([0x2001, 0xdb9, 0, 0, 0, 0, 0, 1]), false),
        ] {
            let mut arrived = world.arrived(&app.dress(Ask::get("/v1/accounts")));
            arrived.peer.address = address;
            let answer = world.call(arrived).await;
            assert_eq!(answer.status, if inside { 200 } else { 403 }, "{address}: {}", answer.text());
        }
    }
}

async fn a_token_is_not_given_outside_the_networks_either(kind: Kind) {
    let app = App::newcomer("new-app");
    let world = world(kind, &app, "[10.0.0.0/8]").await;
    world.send(app.token_ask(&world, None)).await.oauth_refused(400, "unauthorized_client");
}

async fn networks_of_one_organisation_say_nothing_of_another(kind: Kind) {
    let app = App::newcomer("new-app");
    let world = world(kind, &app, "[10.0.0.0/8]").await;
    Session::of(&world, "demo-app").await.get("/v1/accounts").await.succeeded(200);
}
