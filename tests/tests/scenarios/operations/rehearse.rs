//! `qaqpa rehearse`: the calls of a real trail, judged again under other policies.

use std::path::{Path, PathBuf};

use scenarios::actors::Session;
use scenarios::actors::app::fresh;
use scenarios::actors::bank::payment;
use scenarios::actors::program::{Ended, run};
use scenarios::world::{Folder, Kind, World, copy};
use serde_json::Value;

/// Copies the policies of a world, with one text in place of another.
fn proposed(world: &World, into: &Folder, file: &str, old: &str, new: &str) -> PathBuf {
    let to = into.path().join("policies");
    copy(&world.file("policies"), &to);
    let path = to.join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(old), "{file} has no {old}: {text}");
    std::fs::write(path, text.replacen(old, new, 1)).unwrap();
    to
}

async fn rehearse(world: &World, policies: &Path, more: &[&str]) -> Ended {
    let (policies, state, contracts) =
        (policies.to_str().unwrap(), world.state().to_str().unwrap(), world.file("contracts"));
    let mut arguments = vec!["rehearse", policies, "--state", state, "--contracts", contracts.to_str().unwrap()];
    arguments.extend(more);
    run(&arguments).await
}

async fn report(world: &World, policies: &Path) -> Value {
    serde_json::from_str(&rehearse(world, policies, &["--json"]).await.with(0).out).unwrap()
}

#[tokio::test]
async fn what_would_change_is_told_by_organisation_and_line() {
    let world = World::start(Kind::Memory).await;
    let app = Session::of(&world, "demo-app").await;
    app.get("/v1/accounts").await.succeeded(200);
    let small = app.pay(&fresh("order"), &payment("100.00")).await;
    small.succeeded(201);
    let large = app.pay(&fresh("order"), &payment("300000.00")).await;
    large.refused(401, "step_up_required");
    app.get("/v1/nothing").await.refused(404, "unknown_path");
    let calls = world.audit().await.iter().filter(|record| record["kind"] == "outcome").count();

    // The set that decided decides the same again.
    let same = report(&world, &world.file("policies")).await;
    let (all, total) = (&same["all"], |all: &Value| {
        all.as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum::<u64>()
    });
    assert_eq!((all["same"].as_u64(), total(all)), (Some(calls as u64), calls as u64), "{same}");
    rehearse(&world, &world.file("policies"), &["--fail-on-change"]).await.with(0);

    // A stricter amount refuses the small payment too.
    let folder = Folder::new();
    let stricter = proposed(&world, &folder, "national/stepup.yaml", "above: 250000 KZT", "above: 50 KZT");
    let told = report(&world, &stricter).await;
    assert_eq!((&told["all"]["refusedNow"], &told["all"]["allowedNow"]), (&Value::from(1), &Value::from(0)), "{told}");
    assert_eq!(told["organisations"]["demo-fintech"]["refusedNow"], 1, "{told}");
    let example = &told["examples"]["refused"][0];
    assert_eq!(
        (&example["interaction"], &example["to"]),
        (&Value::from(small.named()), &Value::from("step_up_required"))
    );
    assert!(example["origin"].as_str().unwrap().contains("stepup.yaml:"), "{example}");
    let text = rehearse(&world, &stricter, &["--fail-on-change"]).await;
    let out = &text.with(1).out;
    assert!(out.contains("would be refused now") && out.contains(small.named()), "{out}");
    assert!(out.contains("allowed -> step_up_required  step_up `large-payment` at"), "{out}");

    // A looser one lets the large payment through.
    let folder = Folder::new();
    let looser = proposed(&world, &folder, "national/stepup.yaml", "above: 250000 KZT", "above: 900000 KZT");
    let told = report(&world, &looser).await;
    assert_eq!((&told["all"]["refusedNow"], &told["all"]["allowedNow"]), (&Value::from(0), &Value::from(1)), "{told}");
    assert_eq!(told["examples"]["allowed"][0]["interaction"], large.named());

    // Of a body nothing is written down but the amount: a condition that asks for no more is judged.
    let allowing = async |condition: &str| {
        let folder = Folder::new();
        let asks = format!("createDomesticPayment:\n        allow: \"{condition}\"\n");
        let body = proposed(&world, &folder, "national/apis/payments.yaml", "createDomesticPayment:\n", &asks);
        report(&world, &body).await
    };
    let told = allowing("has(body.remittanceInformation)").await;
    assert_eq!(told["all"]["undecidable"], 1, "{told}");
    assert_eq!(told["undecidable"]["`body.remittanceInformation` is not there"], 1, "{told}");
    let told = allowing("money(body.instructedAmount) < tenge(100)").await;
    assert_eq!((&told["all"]["undecidable"], &told["all"]["refusedNow"]), (&Value::from(0), &Value::from(1)), "{told}");
    assert_eq!(told["examples"]["refused"][0]["to"], "policy_denied", "{told}");
    let told = allowing("money(body.instructedAmount) <= tenge(100)").await;
    assert_eq!((&told["all"]["undecidable"], &told["all"]["refusedNow"]), (&Value::from(0), &Value::from(0)), "{told}");

    // Of a time in which nothing was called nothing is told.
    let later = rehearse(&world, &stricter, &["--json", "--since", "2999-01-01"]).await;
    assert!(later.with(0).out.contains("\"organisations\":{}"), "{}", later.out);
}

#[tokio::test]
async fn what_cannot_be_rehearsed_is_told() {
    let world = World::start(Kind::Memory).await;
    Session::of(&world, "demo-app").await.get("/v1/accounts").await.succeeded(200);
    world.audit().await;
    let folder = Folder::new();
    let wrong = proposed(&world, &folder, "national/stepup.yaml", "above: 250000 KZT", "above: much");
    assert!(rehearse(&world, &wrong, &[]).await.with(78).err.contains("stepup.yaml:"));
    let nothing = Folder::new();
    let ended =
        run(&["rehearse", world.file("policies").to_str().unwrap(), "--state", nothing.path().to_str().unwrap()]).await;
    assert!(ended.with(1).err.contains("there is no trail"), "{}", ended.err);
}
