//! Changes of the policy set by administrators: who may, how many it takes, and what is in force before and after.

use std::collections::BTreeMap;
use std::time::Duration;

use policies::change::{Act, Entry};
use policies::id::AdminId;
use policies::jose::sha256;
use scenarios::actors::administrator::generation;
use scenarios::actors::{Administrator, Session};
use scenarios::world::{Answer, Ask, Kind, Setup, World};
use serde_json::{Value, json};

store_scenarios! {
    where_policies_come_from_folders_nothing_can_be_proposed,
    who_may_not_propose_or_approve_is_refused,
    nobody_is_two_people,
    a_set_with_faults_is_told_and_not_kept,
    a_set_that_would_lock_administrators_out_is_refused,
    a_set_is_in_force_with_the_second_approval_and_not_before,
    what_was_proposed_before_another_change_is_proposed_again,
    a_withdrawn_proposal_comes_into_force_no_more,
    the_way_back_needs_the_same_approvals,
    an_approved_set_outlives_a_restart_and_files_do_not_undo_it,
    where_one_is_enough_the_proposer_approves,
    a_set_that_was_approved_elsewhere_is_followed,
    a_set_that_cannot_be_followed_leaves_the_one_in_force,
    a_set_that_leaves_administrators_no_room_is_refused,
    a_broken_folder_does_not_keep_an_approved_set_down,
    the_same_set_is_not_proposed_twice,
    limits_of_a_proposal_hold_on_both_sides,
    every_act_is_recorded_before_it_is_done,
}

const SETS: &str = "/admin/policy-sets";

async fn world(kind: Kind, approval: u8) -> World {
    World::with(kind, Setup::configured(&format!("approval: {approval}\n"))).await
}

/// The files of the policy set that is in force, as the state folder has them.
fn files(world: &World) -> Vec<(String, String)> {
    let folder = world.config().policies.first().unwrap().clone();
    let mut found = Vec::new();
    let mut waiting = vec![folder.clone()];
    while let Some(next) = waiting.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|end| end == "yaml") {
                let name = path.strip_prefix(&folder).unwrap().to_str().unwrap().to_owned();
                found.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(found.len() > 1, "{found:?}");
    found
}

/// A proposal of that set without `getStatus`: what it changes is seen at once.
fn closed(world: &World, note: &str) -> Value {
    let without = |text: String| text.replace("      getStatus: {}\n", "");
    let mut files = files(world);
    let before = files.clone();
    for (_, text) in &mut files {
        *text = without(std::mem::take(text));
    }
    assert_ne!(before, files, "the set exposes getStatus");
    of(&files, note)
}

fn of(files: &[(String, String)], note: &str) -> Value {
    let files: Vec<Value> = files.iter().map(|(name, text)| json!({"name": name, "text": text})).collect();
    json!({"note": note, "files": files})
}

async fn post(world: &World, id: &str, path: &str, body: Option<&Value>) -> Answer {
    let ask = Ask::post(path);
    let ask = match body {
        Some(body) => ask.json(body),
        None => ask,
    };
    world.send(Administrator::of(world, id).dress(ask)).await
}

async fn propose(world: &World, id: &str, body: &Value) -> u64 {
    let answer = post(world, id, SETS, Some(body)).await;
    answer.succeeded(201).json()["number"].as_u64().unwrap()
}

async fn approve(world: &World, id: &str, number: u64) -> Answer {
    post(world, id, &format!("{SETS}/{number}/approvals"), None).await
}

async fn state(world: &World, number: u64) -> String {
    let answer = Administrator::of(world, "daniyar").get(world, &format!("{SETS}/{number}")).await;
    answer.succeeded(200).at("/state")
}

async fn is_open(world: &World) -> bool {
    world.send(Ask::get("/v1/discovery/status")).await.status == 200
}

async fn where_policies_come_from_folders_nothing_can_be_proposed(kind: Kind) {
    let world = World::start(kind).await;
    post(&world, "aigerim", SETS, Some(&closed(&world, "x"))).await.refused(409, "change_refused");
    let listed = Administrator::of(&world, "daniyar").get(&world, SETS).await;
    assert_eq!(listed.succeeded(200).json(), json!({"policySets": []}));
}

async fn who_may_not_propose_or_approve_is_refused(kind: Kind) {
    let world = world(kind, 2).await;
    let body = closed(&world, "x");
    for id in ["daniyar", "nurlan", "saule"] {
        post(&world, id, SETS, Some(&body)).await.refused(403, "administrator_refused");
    }
    let number = propose(&world, "aigerim", &body).await;
    for id in ["daniyar", "saule"] {
        approve(&world, id, number).await.refused(403, "administrator_refused");
        post(&world, id, &format!("{SETS}/{number}/withdrawals"), None).await.refused(403, "administrator_refused");
    }
    let session = Session::of(&world, "demo-app").await;
    session.get(SETS).await.refused(404, "unknown_path");
    approve(&world, "nurlan", number + 1).await.refused(404, "not_found");
    assert_eq!(state(&world, number).await, "open");
}

async fn nobody_is_two_people(kind: Kind) {
    let world = world(kind, 2).await;
    let number = propose(&world, "aigerim", &closed(&world, "x")).await;
    approve(&world, "aigerim", number).await.refused(409, "change_refused");
    assert_eq!(state(&world, number).await, "open");
    assert!(is_open(&world).await);
}

async fn a_set_with_faults_is_told_and_not_kept(kind: Kind) {
    let world = world(kind, 2).await;
    let broken = of(&[("a.yaml".to_owned(), "qaqpa: v1\napies: {}\n".to_owned())], "x");
    let refused = post(&world, "aigerim", SETS, Some(&broken)).await;
    refused.refused(422, "reload_refused");
    assert!(refused.at("/rendered").contains("a.yaml:2:1"), "{}", refused.text());
    assert!(refused.at("/rendered").contains("did you mean `apis`?"), "{}", refused.text());
    let twice = of(&[("a.yaml".to_owned(), String::new()), ("a.yaml".to_owned(), String::new())], "x");
    post(&world, "aigerim", SETS, Some(&twice)).await.refused(400, "schema_violation");
    for name in ["../a.yaml", "/a.yaml", "a.txt", ".a.yaml"] {
        let body = of(&[(name.to_owned(), "qaqpa: v1\n".to_owned())], "x");
        let answer = post(&world, "aigerim", SETS, Some(&body)).await;
        assert!(matches!(answer.status, 400 | 422), "{name}: {}", answer.text());
    }
    let listed = Administrator::of(&world, "daniyar").get(&world, SETS).await;
    assert_eq!(listed.succeeded(200).json()["policySets"], json!([]));
}

async fn a_set_that_would_lock_administrators_out_is_refused(kind: Kind) {
    let world = world(kind, 2).await;
    let mut files = files(&world);
    for (_, text) in &mut files {
        *text = text.replace("      approvePolicySet: {audit: required}\n", "");
    }
    let refused = post(&world, "aigerim", SETS, Some(&of(&files, "x"))).await;
    refused.refused(422, "reload_refused");
    assert!(refused.text().contains("approvePolicySet"), "{}", refused.text());
}

async fn a_set_is_in_force_with_the_second_approval_and_not_before(kind: Kind) {
    let world = world(kind, 2).await;
    let before = generation(&world).await;
    let answer = post(&world, "aigerim", SETS, Some(&closed(&world, "status is closed, ticket 7"))).await;
    let told = answer.succeeded(201).json();
    let removed = told["changes"].as_array().unwrap();
    assert!(
        removed
            .iter()
            .any(|change| change["path"].as_str().unwrap().ends_with("getStatus") && change["effect"] == "tightens"),
        "{told}"
    );
    assert!(is_open(&world).await);
    let number = told["number"].as_u64().unwrap();
    let approved = approve(&world, "nurlan", number).await;
    assert_eq!(approved.succeeded(200).at("/state"), "in_force");
    assert_eq!(approved.json()["generation"], before + 1);
    assert!(!is_open(&world).await);
    assert_eq!(generation(&world).await, before + 1);
    approve(&world, "nurlan", number).await.refused(409, "change_refused");
    // The chore finds nothing to do: it is in force already.
    world.round().await.unwrap();
    assert_eq!(generation(&world).await, before + 1);
    let listed = Administrator::of(&world, "daniyar").get(&world, SETS).await.json();
    assert_eq!((&listed["inForce"], &listed["approval"]), (&json!(number), &json!(2)));
    let set = &listed["policySets"][0];
    assert_eq!((&set["proposedBy"], &set["approvals"][0]["by"]), (&json!("aigerim"), &json!("nurlan")));
    assert_eq!(set["note"], "status is closed, ticket 7");
}

async fn what_was_proposed_before_another_change_is_proposed_again(kind: Kind) {
    let world = world(kind, 2).await;
    let first = propose(&world, "aigerim", &closed(&world, "one")).await;
    let second = propose(&world, "aigerim", &of(&files(&world), "two")).await;
    approve(&world, "nurlan", first).await.succeeded(200);
    approve(&world, "nurlan", second).await.refused(409, "change_refused");
    assert!(!is_open(&world).await);
}

async fn a_withdrawn_proposal_comes_into_force_no_more(kind: Kind) {
    let world = world(kind, 2).await;
    let number = propose(&world, "aigerim", &closed(&world, "x")).await;
    post(&world, "nurlan", &format!("{SETS}/{number}/withdrawals"), None).await.succeeded(200);
    assert_eq!(state(&world, number).await, "withdrawn");
    approve(&world, "nurlan", number).await.refused(409, "change_refused");
    assert!(is_open(&world).await);
}

async fn the_way_back_needs_the_same_approvals(kind: Kind) {
    let world = world(kind, 2).await;
    let open = propose(&world, "aigerim", &of(&files(&world), "as it was")).await;
    approve(&world, "nurlan", open).await.succeeded(200);
    let shut = propose(&world, "aigerim", &closed(&world, "shut")).await;
    let back = |number: u64| format!("{SETS}/{number}/restorations");
    let note = json!({"note": "incident 42"});
    post(&world, "aigerim", &back(shut), Some(&note)).await.refused(409, "change_refused");
    approve(&world, "nurlan", shut).await.succeeded(200);
    assert!(!is_open(&world).await);
    post(&world, "aigerim", &back(shut), Some(&note)).await.refused(409, "change_refused");
    post(&world, "nurlan", &back(open), Some(&note)).await.refused(403, "administrator_refused");
    let answer = post(&world, "aigerim", &back(open), Some(&note)).await;
    let told = answer.succeeded(201).json();
    assert_eq!(told["restores"], open);
    assert!(!is_open(&world).await);
    let number = told["number"].as_u64().unwrap();
    approve(&world, "aigerim", number).await.refused(409, "change_refused");
    approve(&world, "nurlan", number).await.succeeded(200);
    assert!(is_open(&world).await);
    assert_eq!(state(&world, shut).await, "replaced");
}

async fn an_approved_set_outlives_a_restart_and_files_do_not_undo_it(kind: Kind) {
    let world = world(kind, 2).await;
    let number = propose(&world, "aigerim", &closed(&world, "x")).await;
    approve(&world, "nurlan", number).await.succeeded(200);
    world.round().await.unwrap();
    // The folder still has it open; whoever can write there alone changes nothing.
    world.reload().unwrap();
    assert!(!is_open(&world).await);
    let setup = Setup::configured("approval: 2\n");
    let world = World::again(world.stop().await, setup).await.map_err(|(error, _)| error).unwrap();
    assert!(!is_open(&world).await);
    assert_eq!(state(&world, number).await, "in_force");
}

async fn a_set_that_leaves_administrators_no_room_is_refused(kind: Kind) {
    let world = world(kind, 2).await;
    for (old, new) in [
        ("proposePolicySet: {maxBody: 4MiB, audit: required}", "proposePolicySet: {maxBody: 1B, audit: required}"),
        ("approvePolicySet: {audit: required}", "approvePolicySet: {audit: required, timeout: 1ms}"),
    ] {
        let mut files = files(&world);
        let before = files.clone();
        for (_, text) in &mut files {
            *text = text.replace(old, new);
        }
        assert_ne!(before, files, "{old}");
        let refused = post(&world, "aigerim", SETS, Some(&of(&files, "x"))).await;
        refused.refused(422, "reload_refused");
        assert!(refused.text().contains("nobody could bring in another set"), "{}", refused.text());
    }
}

async fn a_broken_folder_does_not_keep_an_approved_set_down(kind: Kind) {
    let world = world(kind, 2).await;
    let number = propose(&world, "aigerim", &closed(&world, "x")).await;
    approve(&world, "nurlan", number).await.succeeded(200);
    world.write_policy("oops.yaml", "no policy");
    let setup = Setup::configured("approval: 2\n");
    let world = World::again(world.stop().await, setup).await.map_err(|(error, _)| error).unwrap();
    assert!(!is_open(&world).await);
    assert_eq!(state(&world, number).await, "in_force");
}

async fn the_same_set_is_not_proposed_twice(kind: Kind) {
    let world = world(kind, 2).await;
    let body = closed(&world, "x");
    let number = propose(&world, "aigerim", &body).await;
    let refused = post(&world, "aigerim", SETS, Some(&body)).await;
    refused.refused(409, "change_refused");
    assert!(refused.at("/detail").contains(&format!("proposal {number}")), "{}", refused.text());
    approve(&world, "nurlan", number).await.succeeded(200);
    post(&world, "aigerim", SETS, Some(&body)).await.refused(409, "change_refused");
}

async fn where_one_is_enough_the_proposer_approves(kind: Kind) {
    let world = world(kind, 1).await;
    let number = propose(&world, "aigerim", &closed(&world, "x")).await;
    assert!(is_open(&world).await);
    approve(&world, "aigerim", number).await.succeeded(200);
    assert!(!is_open(&world).await);
}

/// What another replica on the same store would have written: a proposal, and an approval that puts it in force.
async fn approved_elsewhere(world: &World, body: &Value) {
    let texts: BTreeMap<&str, &str> = body["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| (file["name"].as_str().unwrap(), file["text"].as_str().unwrap()))
        .collect();
    let texts = serde_json::to_vec(&texts).unwrap();
    let by = |id: &str| AdminId::parse(id).unwrap();
    let proposed = Act::Proposed { digest: sha256(&texts), note: "x".to_owned(), base: None, restores: None };
    let entries = [(1, "aigerim", proposed), (2, "nurlan", Act::Approved { proposal: 1, applies: true })];
    for (number, id, act) in entries {
        let entry = Entry { number, by: by(id), at: world.now(), act };
        assert!(world.assembled().house.durable.add_change(&entry, &texts).await.unwrap());
    }
}

async fn a_set_that_was_approved_elsewhere_is_followed(kind: Kind) {
    let world = world(kind, 2).await;
    let before = generation(&world).await;
    world.round().await.unwrap();
    approved_elsewhere(&world, &closed(&world, "x")).await;
    assert!(is_open(&world).await);
    world.advance(Duration::from_secs(3));
    world.round().await.unwrap();
    assert!(!is_open(&world).await);
    assert_eq!(generation(&world).await, before + 1);
    let told = Administrator::of(&world, "aigerim").get(&world, "/admin/generation").await;
    assert_eq!((told.at("/loadedBy"), told.at("/administrator")), ("applied".to_owned(), "nurlan".to_owned()));
}

async fn a_set_that_cannot_be_followed_leaves_the_one_in_force(kind: Kind) {
    let world = world(kind, 2).await;
    let before = generation(&world).await;
    approved_elsewhere(&world, &of(&[("a.yaml".to_owned(), "no policy".to_owned())], "x")).await;
    world.advance(Duration::from_secs(3));
    world.round().await.unwrap();
    assert!(is_open(&world).await);
    assert_eq!(generation(&world).await, before);
    let told = Administrator::of(&world, "aigerim").get(&world, "/admin/generation").await;
    assert_eq!(told.at("/lastRefused/by"), "applied");
}

async fn limits_of_a_proposal_hold_on_both_sides(kind: Kind) {
    let world = world(kind, 2).await;
    let files = files(&world);
    propose(&world, "aigerim", &of(&files, &"x".repeat(500))).await;
    post(&world, "aigerim", SETS, Some(&of(&files, &"x".repeat(501)))).await.refused(400, "schema_violation");
    post(&world, "aigerim", SETS, Some(&of(&files, ""))).await.refused(400, "schema_violation");
    post(&world, "aigerim", SETS, Some(&of(&[], "x"))).await.refused(400, "schema_violation");
}

async fn every_act_is_recorded_before_it_is_done(kind: Kind) {
    let world = world(kind, 2).await;
    let number = propose(&world, "aigerim", &closed(&world, "x")).await;
    approve(&world, "nurlan", number).await.succeeded(200);
    let records = world.audit().await;
    for (operation, id) in [("proposePolicySet", "aigerim"), ("approvePolicySet", "nurlan")] {
        let kinds: Vec<&str> = records
            .iter()
            .filter(|record| record["operation"] == operation && record["administrator"] == id)
            .map(|record| record["kind"].as_str().unwrap())
            .collect();
        assert_eq!(kinds, ["intent", "outcome"], "{operation}");
    }
}
