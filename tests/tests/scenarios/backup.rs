//! A backup that is made while payments run, and a gateway that goes on from it elsewhere.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gateway::unready::AssemblyError;
use scenarios::actors::app::fresh;
use scenarios::actors::bank::{self, payment};
use scenarios::actors::program::{self, Ended, run};
use scenarios::actors::provider::decided;
use scenarios::actors::{App, Session};
use scenarios::world::{Answer, Folder, Kind, Setup, World};
use serde_json::json;

scenarios! {
    a_backup_under_load_goes_on_elsewhere,
}

#[tokio::test]
async fn a_gateway_does_not_begin_anew_where_a_restore_was_cut_off() {
    let setup =
        Setup { before: Some(|state| std::fs::create_dir(state.join("restore.part")).unwrap()), ..Setup::default() };
    match World::attempt(Kind::Memory, setup).await {
        Err(AssemblyError::Machine(text)) => assert!(text.contains("restore"), "{text}"),
        other => panic!("{other:?}"),
    }
}

/// So that no plan's limit is met, and no token's end.
const PACE: Duration = Duration::from_millis(50);

/// So many take less of the world's time than a token lives, however slow the disk is that is copied from.
const PAYMENTS_MAX: i64 = 2000;

/// Runs `qaqpa backup` or `qaqpa restore` between two folders.
async fn copied(command: &str, option: &str, from: &Path, to: &Path) -> Ended {
    run(&[command, option, from.to_str().unwrap(), "--to", to.to_str().unwrap()]).await
}

async fn paid(app: &Session<'_>) -> (String, Answer) {
    let key = fresh("order");
    let answer = app.pay(&key, &payment("1.00")).await;
    answer.succeeded(201);
    app.world.advance(PACE);
    (key, answer)
}

async fn a_backup_under_load_goes_on_elsewhere(kind: Kind) {
    let setup = Setup { own_store: true, ..Setup::default() };
    let world = World::with(kind, setup.clone()).await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    let subject = json!({"type": "iin", "value": bank::iin(1)});
    let body = json!({"subject": subject, "purpose": "loan", "level": "L2", "binding": {"kind": "none"}});
    let verification = app.post("/v1/identity-verifications", &fresh("verification"), &body).await;
    decided(&world, verification.succeeded(201)).await;
    let place = format!("/v1/identity-verifications/{}", verification.at("/id"));
    let sure = [paid(&app).await, paid(&app).await, paid(&app).await];

    // Built before, as that may take longer than a token lives.
    program::path();
    let (backup, elsewhere) = (Folder::new(), Folder::new());
    let running = Cell::new(true);
    let load = async {
        let mut count = 0;
        while running.get() {
            if count < PAYMENTS_MAX {
                paid(&app).await;
                count += 1;
            }
            tokio::task::yield_now().await;
        }
        count
    };
    let copying = async {
        let ended = copied("backup", "--state", world.state(), backup.path()).await;
        running.set(false);
        ended
    };
    let (count, ended) = tokio::join!(load, copying);
    assert!(ended.with(0).err.contains("audit trail"), "{}", ended.err);
    assert!(count > 0, "nothing was paid meanwhile");

    let kept = (app.app, app.token);
    let rest = world.stop().await;
    copied("restore", "--from", backup.path(), elsewhere.path()).await.with(0);
    let world = World::again(rest.moved(elsewhere), setup).await.map_err(|(error, _)| error).unwrap();
    let (app, token): (App, String) = kept;
    let app = Session { world: &world, app, token };
    for (key, answer) in &sure {
        let again = app.pay(key, &payment("1.00")).await;
        assert_eq!(again.succeeded(201).body, answer.body);
        assert_eq!(again.header("x-idempotency-replayed"), Some("true"));
        app.get(answer.header("location").unwrap()).await.succeeded(200);
    }
    assert_eq!(app.get(&place).await.succeeded(200).at("/status"), "passed");
    paid(&app).await;
    // The bank's books are of a moment after the gateway's: whatever the gateway knows as paid is booked.
    let booked = (before - bank::balance(&world, 1).await) / 100;
    assert!((4..=4 + count).contains(&booked), "{booked} of {count}");
    let state = world.stop().await;
    let verified = run(&["audit", "verify", "--state", state.state().to_str().unwrap()]).await;
    assert!(verified.with(0).out.starts_with("ok:"), "{}", verified.out);
}

#[tokio::test]
async fn what_was_changed_after_the_backup_is_not_put_back() {
    let world = World::start(Kind::Memory).await;
    paid(&Session::of(&world, "demo-app").await).await;
    let (backup, elsewhere) = (Folder::new(), Folder::new());
    copied("backup", "--state", world.state(), backup.path()).await.with(0);
    let audit: Vec<PathBuf> =
        std::fs::read_dir(backup.path().join("audit")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let mut files: Vec<PathBuf> =
        ["qaqpa.sqlite", "manifest.json", "bank/ledger.sqlite"].map(|name| backup.path().join(name)).into();
    files.extend(audit);
    files.extend(std::fs::read_dir(backup.path().join("keys")).unwrap().map(|entry| entry.unwrap().path()));
    for file in files {
        let whole = std::fs::read(&file).unwrap();
        let mut changed = whole.clone();
        let middle = changed.len() / 2;
        changed[middle] ^= 1;
        std::fs::write(&file, changed).unwrap();
        let refused = copied("restore", "--from", backup.path(), elsewhere.path()).await;
        assert!(refused.with(1).err.contains("error: "), "{}", refused.err);
        assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0, "{}", file.display());
        std::fs::write(&file, whole).unwrap();
    }
    copied("restore", "--from", backup.path(), elsewhere.path()).await.with(0);
    let refused = copied("restore", "--from", backup.path(), elsewhere.path()).await;
    assert!(refused.with(1).err.contains("not empty"), "{}", refused.err);
}

#[tokio::test]
async fn what_postgres_keeps_is_left_to_its_own_tools() {
    let world = World::start(Kind::Real).await;
    paid(&Session::of(&world, "demo-app").await).await;
    let backup = Folder::new();
    let ended = copied("backup", "--config", &world.file("qaqpa.yaml"), backup.path()).await;
    assert!(ended.with(0).err.contains("PostgreSQL"), "{}", ended.err);
    assert!(!backup.path().join("qaqpa.sqlite").exists());
    assert!(backup.path().join("keys").is_dir() && backup.path().join("audit").is_dir());
}
