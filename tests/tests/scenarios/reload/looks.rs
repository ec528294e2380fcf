//! What is noticed without a wish: files that have changed and rest, and overrides that end.

use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::time::Duration;

use gateway::generation::Generation;
use gateway::stack::Stack;
use gateway::texts::Texts;
use openapi::Contract;
use policies::language::Source;
use scenarios::actors::{Session, administrator};
use scenarios::world::{ACCOUNT_BALANCES, Kind, Setup, World};

use super::{BROKEN, more, number};

scenarios! {
    files_that_still_change_are_not_read,
    half_a_file_that_rests_is_told_once_and_changes_nothing,
    a_folder_that_went_away_changes_nothing,
    a_folder_that_kubernetes_swaps_is_read,
    a_pipe_with_the_name_of_a_policy_is_told_and_not_waited_for,
    a_linked_folder_that_is_away_takes_no_policy_with_it,
    links_that_lead_back_end_in_a_fault,
    what_was_read_at_a_wish_is_not_read_again,
    nobody_looks_where_watching_is_off,
    an_override_ends_although_the_files_are_broken,
    what_cannot_be_compiled_without_its_override_is_withheld,
}

fn refusals(world: &World) -> f64 {
    world.metric("qaqpa_config_rejected_total")
}

async fn files_that_still_change_are_not_read(kind: Kind) {
    let world = World::start(kind).await;
    world.look();
    for count in 1..=3 {
        world.write_policy("more.yaml", &more(count));
        world.look();
        assert_eq!(number(&world), 1);
    }
    world.look();
    assert_eq!(number(&world), 2);
    world.look();
    assert_eq!((number(&world), refusals(&world)), (2, 0.0));
    let text = administrator::metrics(&world).await;
    assert!(text.contains("\nqaqpa_reloads_total{result=\"renewed\"} 1\n"), "{text}");
    assert!(text.contains("\nqaqpa_reloads_total{result=\"unchanged\"} 0\n"), "it is read once: {text}");
}

async fn half_a_file_that_rests_is_told_once_and_changes_nothing(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let path = world.file("policies/national/apis/accounts.yaml");
    let whole = std::fs::read_to_string(&path).unwrap();
    let half = whole.split_at(whole.find("operations:").unwrap() + 4).0;
    std::fs::write(&path, half).unwrap();
    for _ in 0..5 {
        world.look();
    }
    assert_eq!((number(&world), refusals(&world), world.metric("qaqpa_reload_faults") > 0.0), (1, 1.0, true));
    app.get("/v1/accounts").await.succeeded(200);
    std::fs::write(&path, whole.replace("timeout: 4s", "timeout: 3s")).unwrap();
    world.look();
    world.look();
    assert_eq!((number(&world), refusals(&world), world.metric("qaqpa_reload_faults")), (2, 1.0, 0.0));
}

async fn a_folder_that_went_away_changes_nothing(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let (folder, elsewhere) = (world.file("policies"), world.file("elsewhere"));
    std::fs::rename(&folder, &elsewhere).unwrap();
    world.look();
    world.look();
    assert_eq!((number(&world), refusals(&world)), (1, 1.0));
    std::fs::create_dir(&folder).unwrap();
    world.look();
    world.look();
    assert_eq!((number(&world), refusals(&world)), (1, 2.0), "an empty folder is no policy set");
    app.get("/v1/accounts").await.succeeded(200);
    std::fs::remove_dir(&folder).unwrap();
    std::fs::rename(&elsewhere, &folder).unwrap();
    world.look();
    world.look();
    assert_eq!((number(&world), world.metric("qaqpa_reload_faults")), (1, 0.0));
}

async fn a_folder_that_kubernetes_swaps_is_read(kind: Kind) {
    let world = World::start(kind).await;
    let folder = world.file("policies/mounted");
    for (version, text) in [("..one", more(1)), ("..two", more(2)), ("..bad", BROKEN.to_owned())] {
        std::fs::create_dir_all(folder.join(version)).unwrap();
        std::fs::write(folder.join(version).join("more.yaml"), text).unwrap();
    }
    symlink("..one", folder.join("..data")).unwrap();
    symlink("..data/more.yaml", folder.join("more.yaml")).unwrap();
    let swap = |to: &str| {
        symlink(to, folder.join("..data_tmp")).unwrap();
        std::fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
        world.look();
        world.look();
    };
    world.look();
    world.look();
    assert_eq!(number(&world), 2);
    swap("..bad");
    assert_eq!((number(&world), refusals(&world)), (2, 1.0));
    swap("..two");
    assert_eq!(number(&world), 3);
    swap("..two");
    assert_eq!(number(&world), 3);
}

async fn a_pipe_with_the_name_of_a_policy_is_told_and_not_waited_for(kind: Kind) {
    let world = World::start(kind).await;
    let pipe = world.file("policies/pipe.yaml");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    world.look();
    world.look();
    assert_eq!((number(&world), refusals(&world)), (1, 1.0));
    let told = world.reload().unwrap_err();
    assert!(told.contains("G0001") && told.contains("pipe.yaml"), "{told}");
    assert_eq!(world.metric("qaqpa_reload_running_seconds"), 0.0);
    std::fs::remove_file(&pipe).unwrap();
    world.look();
    world.look();
    assert_eq!((number(&world), world.metric("qaqpa_reload_faults")), (1, 0.0));
}

async fn a_linked_folder_that_is_away_takes_no_policy_with_it(kind: Kind) {
    let world = World::start(kind).await;
    let (elsewhere, away) = (world.file("elsewhere"), world.file("away"));
    std::fs::create_dir(&elsewhere).unwrap();
    std::fs::write(elsewhere.join("more.yaml"), more(1)).unwrap();
    symlink(&elsewhere, world.file("policies/linked")).unwrap();
    assert_eq!(world.reload(), Ok(2));
    std::fs::rename(&elsewhere, &away).unwrap();
    world.look();
    world.look();
    assert_eq!((number(&world), refusals(&world)), (2, 1.0), "its policies stay in force");
    let told = world.reload().unwrap_err();
    assert!(told.contains("G0001") && told.contains("linked"), "{told}");
    std::fs::rename(&away, &elsewhere).unwrap();
    world.look();
    world.look();
    assert_eq!((number(&world), world.metric("qaqpa_reload_faults")), (2, 0.0));
}

async fn links_that_lead_back_end_in_a_fault(kind: Kind) {
    let world = World::start(kind).await;
    for name in ["policies/one", "policies/two", "policies/three"] {
        symlink(".", world.file(name)).unwrap();
    }
    world.look();
    world.look();
    assert_eq!((number(&world), refusals(&world)), (1, 1.0));
    assert!(world.reload().unwrap_err().contains("leads back to a folder"));
}

async fn what_was_read_at_a_wish_is_not_read_again(kind: Kind) {
    let world = World::start(kind).await;
    world.write_policy("broken.yaml", BROKEN);
    world.reload().unwrap_err();
    for _ in 0..3 {
        world.look();
    }
    assert_eq!(refusals(&world), 1.0);
}

async fn nobody_looks_where_watching_is_off(kind: Kind) {
    let world = World::with(kind, Setup::configured("reload: {watch: false}")).await;
    world.write_policy("more.yaml", &more(1));
    for _ in 0..3 {
        world.look();
    }
    assert_eq!(number(&world), 1);
    assert_eq!(world.reload(), Ok(2));
}

/// Looser than its API for three days and today.
fn loosened(world_day: &str) -> String {
    format!(
        "{ACCOUNT_BALANCES}        timeout: 6s\n        override: {{reason: a slow week, approvedBy: aigerim, expires: {world_day}}}\n"
    )
}

async fn an_override_ends_although_the_files_are_broken(kind: Kind) {
    const DAY: Duration = Duration::from_secs(86_400);
    let world = World::start(kind).await;
    let path = world.file("policies/national/apis/accounts.yaml");
    let whole = std::fs::read_to_string(&path).unwrap();
    let last_day = (world.now() + 3 * DAY).to_string();
    let last_day = last_day.split_once('T').unwrap().0;
    assert!(whole.contains(ACCOUNT_BALANCES), "{whole}");
    std::fs::write(&path, whole.replace(ACCOUNT_BALANCES, &loosened(last_day))).unwrap();
    assert_eq!(world.reload(), Ok(2));
    let timeout = || {
        let stack = world.assembled().stack.load_full();
        let rules = &stack.generation().rulebook.operations;
        rules.values().find(|policy| policy.operation.as_str() == "getAccountBalances").unwrap().timeout
    };
    assert_eq!(timeout(), Duration::from_secs(6));
    std::fs::write(&path, "no policy").unwrap();
    world.reload().unwrap_err();
    world.advance(2 * DAY);
    world.look();
    assert_eq!((number(&world), timeout()), (2, Duration::from_secs(6)));
    world.advance(2 * DAY);
    world.look();
    assert_eq!((number(&world), timeout()), (3, Duration::from_secs(4)));
    let generation = Arc::clone(world.assembled().stack.load().generation());
    assert_eq!((generation.birth.by.word(), generation.changes_at), ("override_ended", None));
    world.look();
    assert_eq!(number(&world), 3);
}

// The compiler refuses such a set, so that one is put in force past it.
async fn what_cannot_be_compiled_without_its_override_is_withheld(kind: Kind) {
    const DAY: Duration = Duration::from_secs(86_400);
    let world = World::start(kind).await;
    let path = world.file("policies/national/apis/accounts.yaml");
    let whole = std::fs::read_to_string(&path).unwrap();
    let last_day = (world.now() + DAY).to_string();
    let loosened = loosened(last_day.split_once('T').unwrap().0);
    std::fs::write(&path, whole.replace(ACCOUNT_BALANCES, &loosened)).unwrap();
    assert_eq!(world.reload(), Ok(2));
    let assembled = world.assembled();
    let exposed = |id: &str| {
        let stack = assembled.stack.load_full();
        stack.generation().rulebook.operations.keys().any(|operation| operation.as_str() == id)
    };
    let running = assembled.stack.load_full();
    let generation = running.generation();
    let policies = vec![Source::new("broken.yaml", "no policy")];
    let texts = Texts { contracts: generation.texts.contracts.clone(), policies };
    let contract = Contract::load_reusing(&texts.contracts, Some(&generation.contract)).unwrap();
    let texts = (Arc::new(texts), generation.bundle.clone());
    let mut broken = Generation::join(generation.birth.clone(), contract, generation.rulebook.clone(), texts);
    broken.changes_at = generation.changes_at;
    let stack = Stack::build(&assembled.house, Arc::new(broken), Arc::clone(running.reach()));
    assembled.stack.store(Arc::new(stack));
    world.advance(DAY / 2);
    world.look();
    assert!(exposed("getAccountBalances"));
    world.advance(2 * DAY);
    world.look();
    assert!(!exposed("getAccountBalances") && exposed("listAccounts"));
    assert_eq!(number(&world), 3);
    // It stays due, and is told without another generation each time.
    world.advance(DAY);
    world.look();
    assert_eq!(number(&world), 3);
    std::fs::write(&path, &whole).unwrap();
    assert_eq!(world.reload(), Ok(4));
    assert!(exposed("getAccountBalances"));
}
