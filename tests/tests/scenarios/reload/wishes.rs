//! `POST /admin/reload`: for editors, answered with what became of it.

use std::sync::Arc;

use scenarios::actors::{Administrator, Session, administrator};
use scenarios::world::{Answer, Ask, Kind, World};
use serde_json::{Value, json};
use spine::stage::Door;

use super::{BROKEN, more, number};

scenarios! {
    only_an_editor_has_files_read_again,
    what_is_wrong_is_told_with_its_place_and_stays_out,
    a_secret_in_a_broken_file_is_not_told,
    files_that_say_what_is_in_force_change_nothing,
    what_is_new_is_in_force_before_the_answer,
    a_wish_is_recorded_with_whose_it_was,
    a_gateway_that_stops_takes_no_wishes,
}

async fn wish(world: &World) -> Answer {
    let editor = Administrator::of(world, "aigerim");
    world.send(editor.dress(Ask::post("/admin/reload"))).await
}

async fn ready(world: &World) -> Value {
    world.send(Ask::get("/readyz").at(Door::Admin)).await.succeeded(200).json()
}

async fn only_an_editor_has_files_read_again(kind: Kind) {
    let world = World::start(kind).await;
    world.write_policy("more.yaml", &more(1));
    world.send(Ask::post("/admin/reload").at(Door::Admin)).await.refused(401, "client_unauthenticated");
    for id in ["daniyar", "saule"] {
        let other = Administrator::of(&world, id);
        world.send(other.dress(Ask::post("/admin/reload"))).await.refused(403, "administrator_refused");
    }
    let editor = Administrator::of(&world, "aigerim");
    for door in [Door::Api, Door::MtlsApi] {
        world.send(editor.dress(Ask::post("/admin/reload")).at(door)).await.refused(404, "unknown_path");
    }
    world.send(editor.dress(Ask::get("/admin/reload"))).await.refused(405, "method_not_allowed");
    let foreign = editor.dress(Ask::post("/admin/reload")).with("origin", "https://pages.example");
    world.send(foreign).await.refused(421, "host_refused");
    assert_eq!((number(&world), ready(&world).await["faults"].clone()), (1, json!(0)));
}

async fn what_is_wrong_is_told_with_its_place_and_stays_out(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    // What is only odd is told after what is wrong.
    let over = "licence: {authority: NBK, id: KZ-1, validUntil: 2020-12-31}";
    world.write_policy(
        "broken.yaml",
        &format!("{BROKEN}organisations: {{gone: {{title: Gone, roles: [AISP], {over}}}}}\n"),
    );
    let refused = wish(&world).await;
    let problem = refused.refused(422, "reload_refused").json();
    assert_eq!((&problem["generation"], &problem["changed"]), (&json!(1), &json!(false)));
    let severities: Vec<&Value> =
        problem["findings"].as_array().unwrap().iter().map(|finding| &finding["severity"]).collect();
    let (findings, faults) = (severities.len(), severities.iter().filter(|severity| **severity == "error").count());
    assert!(faults < findings && severities.iter().take(faults).all(|severity| *severity == "error"), "{problem}");
    let finding = &problem["findings"][0];
    assert_eq!((&finding["line"], &finding["column"], &finding["severity"]), (&json!(2), &json!(32), &json!("error")));
    assert!(finding["file"].as_str().unwrap().ends_with("broken.yaml"), "{problem}");
    let rendered = problem["rendered"].as_str().unwrap();
    assert!(rendered.contains("did you mean `listAccounts`?") && !rendered.contains('\u{1b}'), "{rendered}");
    app.get("/v1/accounts").await.succeeded(200);
    // Whoever asks whether it is ready learns that something is wrong, and administrators what.
    let told = ready(&world).await;
    assert_eq!((&told["generation"], &told["faults"], &told["loadedBy"]), (&json!(1), &json!(faults), &json!("start")));
    assert_eq!(
        (&told["lastRefused"]["by"], &told["lastRefused"]["findings"]),
        (&json!("administrator"), &json!(findings))
    );
    assert!(!told.to_string().contains("listAcounts"), "{told}");
    let viewer = Administrator::of(&world, "daniyar");
    let standing = viewer.get(&world, "/admin/generation").await.succeeded(200).json();
    let last = &standing["lastRefused"];
    assert_eq!((&last["administrator"], &last["findings"][0]["line"]), (&json!("aigerim"), &json!(2)), "{standing}");
    assert!(last["rendered"].as_str().unwrap().contains("listAcounts"), "{standing}");
    let metrics = administrator::metrics(&world).await;
    for line in ["qaqpa_reloads_total{result=\"refused\"} 1", "qaqpa_config_rejected_total 1"] {
        assert!(metrics.contains(&format!("\n{line}\n")), "{metrics}");
    }
    assert!((world.metric("qaqpa_reload_faults") - faults as f64).abs() < 0.5);
    std::fs::remove_file(world.file("policies/broken.yaml")).unwrap();
    assert_eq!(wish(&world).await.succeeded(200).json()["changed"], false);
    let told = ready(&world).await;
    assert_eq!(
        (&told["faults"], &told["lastRefused"]["findings"]),
        (&json!(0), &json!(findings)),
        "what was refused is still told"
    );
}

async fn a_secret_in_a_broken_file_is_not_told(kind: Kind) {
    let world = World::start(kind).await;
    let secret = "whsec_dGhpcyBpcyBhIGxpdGVyYWwgc2VjcmV0IDEyMzQ1Ng==";
    let text =
        format!("qaqpa: v1\nclients:\n  demo-app:\n    webhook: {{url: 'https://app.example/in', secret: {secret}}}\n");
    world.write_policy("broken.yaml", &text);
    let refused = wish(&world).await;
    assert!(!refused.refused(422, "reload_refused").text().contains("dGhpcyBp"), "{}", refused.text());
}

async fn files_that_say_what_is_in_force_change_nothing(kind: Kind) {
    let world = World::start(kind).await;
    let before = world.assembled().stack.load_full();
    let digest = ready(&world).await["digest"].clone();
    let told = wish(&world).await.succeeded(200).json();
    assert_eq!(told, json!({"generation": 1, "digest": digest, "changed": false, "renewed": [], "warnings": []}));
    // The very same: no state of it was made anew.
    assert!(Arc::ptr_eq(&before, &world.assembled().stack.load_full()));
    let metrics = administrator::metrics(&world).await;
    assert!(metrics.contains("\nqaqpa_reloads_total{result=\"unchanged\"} 1\n"), "{metrics}");
}

async fn what_is_new_is_in_force_before_the_answer(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let path = world.file("policies/sandbox.yaml");
    let right = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, right.replace("  demo-app:\n", "  demo-app:\n    suspended: true\n")).unwrap();
    let told = wish(&world).await.succeeded(200).json();
    assert_eq!((&told["generation"], &told["changed"]), (&json!(2), &json!(true)));
    app.get("/v1/accounts").await.refused(403, "client_suspended");
    let told_now = ready(&world).await;
    assert_eq!((&told_now["loadedBy"], &told_now["digest"]), (&json!("administrator"), &told["digest"]));
    let viewer = Administrator::of(&world, "daniyar");
    let standing = viewer.get(&world, "/admin/generation").await.succeeded(200).json();
    assert_eq!(standing["administrator"], "aigerim");
    assert!(standing["loadedAt"].as_str().unwrap().ends_with('Z'), "{standing}");
}

async fn a_wish_is_recorded_with_whose_it_was(kind: Kind) {
    let world = World::start(kind).await;
    let answered = wish(&world).await;
    let name = answered.succeeded(200).named().to_owned();
    let records = world.audit().await;
    let own: Vec<&Value> = records.iter().filter(|record| record["interaction"] == *name).collect();
    assert_eq!(own.len(), 2, "what is about to be read is written down first: {own:?}");
    assert!(own.iter().all(|record| record["administrator"] == "aigerim" && record["operation"] == "reloadPolicies"));
}

async fn a_gateway_that_stops_takes_no_wishes(kind: Kind) {
    let world = World::start(kind).await;
    world.assembled().house.desk.close();
    wish(&world).await.refused(503, "capacity");
}
