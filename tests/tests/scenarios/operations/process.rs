//! `qaqpa run`, `qaqpa sandbox`, `qaqpa call` and `qaqpa tour` as processes: their files, signals and exit codes.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use scenarios::actors::program::{Ended, Program, run};
use scenarios::world::{ACCOUNT_BALANCES, Folder, PATIENCE};
use serde_json::Value;
use tokio::net::TcpStream;

const FREE: [&str; 6] = ["--listen", "127.0.0.1:0", "--mtls", "127.0.0.1:0", "--admin", "127.0.0.1:0"];

fn start(state: &Path) -> Program {
    let mut arguments = vec!["sandbox", "--state", state.to_str().unwrap()];
    arguments.extend(FREE);
    Program::start(&arguments)
}

/// Starts a sandbox and waits until it says that it is there.
async fn running(state: &Path) -> Program {
    let mut sandbox = start(state);
    sandbox.says("Ctrl-C stops").await;
    sandbox
}

fn told(state: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(state.join("sandbox.json")).unwrap()).unwrap()
}

async fn call(state: &Path, arguments: &[&str]) -> Ended {
    let mut all = vec!["call", "--json", "--state", state.to_str().unwrap()];
    all.extend(arguments);
    run(&all).await
}

fn answered(ended: &Ended) -> Value {
    serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {} {}", ended.out, ended.err))
}

fn names(object: &Value) -> BTreeSet<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

fn texts(list: &Value) -> BTreeSet<&str> {
    list.as_array().unwrap().iter().map(|item| item.as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_sandbox_is_told_when_it_accepts_and_no_more_when_it_stops() {
    let folder = Folder::new();
    let file = folder.path().join("sandbox.json");
    let sandbox = start(folder.path());
    let there = async {
        while !file.exists() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, there).await.unwrap();
    // From the first moment that it can be seen it is whole, and everybody named in it accepts.
    let tells = told(folder.path());
    for name in ["api", "mtls_api", "admin", "bank"] {
        let address = tells[name].as_str().unwrap().split_once("://").unwrap().1;
        TcpStream::connect(address).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(tells["pid"], sandbox.id);
    sandbox.signal("TERM");
    sandbox.ended().await.with(0);
    assert!(!file.exists());
}

#[tokio::test]
async fn a_tour_that_is_interrupted_takes_its_file_away() {
    let folder = Folder::new();
    let mut tour = Program::start(&["sandbox", "--tour", "--json", "--state", folder.path().to_str().unwrap()]);
    tour.says("\"step\":1").await;
    tour.signal("INT");
    let ended = tour.ended().await;
    // It may have come to its end before; if not, it did not end well.
    assert!([0, 1].contains(&ended.code.unwrap()), "{}", ended.err);
    assert!(!folder.path().join("sandbox.json").exists());
}

#[tokio::test]
async fn programs_find_everything_in_its_file() {
    let folder = Folder::new();
    let sandbox = running(folder.path()).await;
    let tells = told(folder.path());
    let known = "version pid issuer api mtls_api admin ca_cert bank providers clients admins subjects paths";
    assert_eq!(names(&tells), known.split(' ').collect());
    assert_eq!((&tells["version"], &tells["issuer"]), (&Value::from(1), &tells["api"]));
    for (name, scheme) in [("api", "https://"), ("mtls_api", "https://"), ("admin", "http://"), ("bank", "http://")] {
        assert!(tells[name].as_str().unwrap().starts_with(scheme), "{name}: {tells}");
    }
    let client = "client_id organisation roles scopes auth jwk_private mtls_cert mtls_key redirect_uris";
    for (list, known) in [
        ("providers", "id url"),
        ("clients", client),
        ("admins", "id roles token_file"),
        ("subjects", "iin scenario iban"),
    ] {
        let list = tells[list].as_array().unwrap();
        assert!(!list.is_empty());
        assert!(list.iter().all(|item| names(item) == known.split(' ').collect()), "{list:?}");
    }
    assert_eq!(names(&tells["paths"]), "policies contracts audit state".split(' ').collect());
    clients_are_whole(tells["clients"].as_array().unwrap());
    assert!(tells["admins"].as_array().unwrap().len() >= 2);
    let files = tells["admins"].as_array().unwrap().iter().map(|admin| &admin["token_file"]);
    let files = files.chain(tells["paths"].as_object().unwrap().values()).chain([&tells["ca_cert"]]);
    for file in files.map(|file| PathBuf::from(file.as_str().unwrap())) {
        assert!(file.is_absolute() && file.exists(), "{}", file.display());
    }
    sandbox.signal("INT");
    sandbox.ended().await.with(0);
}

fn clients_are_whole(clients: &[Value]) {
    for client in clients {
        let (jwk, certificate) = (&client["jwk_private"], &client["mtls_cert"]);
        match client["auth"].as_str().unwrap() {
            "private_key_jwt" => {
                assert!(
                    ["kid", "alg", "kty", "crv", "x", "d"].iter().all(|name| jwk[*name].is_string()),
                    "{}",
                    client["client_id"]
                );
                assert!(certificate.is_null() && client["mtls_key"].is_null());
            }
            "tls_client_auth" | "self_signed_tls_client_auth" => {
                assert!(jwk.is_null());
                for file in [certificate, &client["mtls_key"]] {
                    assert!(Path::new(file.as_str().unwrap()).is_absolute());
                }
            }
            other => panic!("{other}"),
        }
    }
    let one = |auth: &str, roles: &[&str]| {
        clients
            .iter()
            .any(|client| client["auth"] == auth && roles.iter().all(|role| texts(&client["roles"]).contains(role)))
    };
    assert!(
        one("private_key_jwt", &["AISP", "PISP"])
            && one("private_key_jwt", &["BANK"])
            && one("tls_client_auth", &["AISP"])
    );
}

#[tokio::test]
async fn a_second_sandbox_on_one_state_is_refused_kindly() {
    let folder = Folder::new();
    let sandbox = running(folder.path()).await;
    let before = told(folder.path());
    let second = start(folder.path()).ended().await;
    let text = &second.with(1).err;
    assert!(text.contains("another sandbox runs on") && text.contains("--state DIR"), "{text}");
    // The first one is as it was.
    assert_eq!(told(folder.path()), before);
    assert_eq!(
        answered(call(folder.path(), &["GET", "/v1/discovery/status", "--anonymous"]).await.with(0))["status"],
        200
    );
    sandbox.signal("TERM");
    sandbox.ended().await.with(0);
    let third = running(folder.path()).await;
    third.signal("TERM");
    third.ended().await.with(0);
}

#[tokio::test]
async fn what_a_killed_sandbox_left_behind_misleads_nobody() {
    let folder = Folder::new();
    let sandbox = running(folder.path()).await;
    sandbox.signal("KILL");
    assert_eq!(sandbox.ended().await.code, None);
    // Nobody could take the file away; the next start does, also if it comes to nothing.
    let left = told(folder.path());
    let broken = folder.path().join("policies/mine.yaml");
    std::fs::write(&broken, "qaqpa: v1\nplanz: {}\n").unwrap();
    start(folder.path()).ended().await.with(78);
    assert!(!folder.path().join("sandbox.json").exists());
    std::fs::remove_file(broken).unwrap();
    let next = running(folder.path()).await;
    assert_ne!(told(folder.path())["pid"], left["pid"]);
    assert_eq!(answered(call(folder.path(), &["GET", "/v1/accounts"]).await.with(0))["status"], 200);
    next.signal("TERM");
    next.ended().await.with(0);
}

#[tokio::test]
async fn a_killed_sandbox_goes_on_where_it_was() {
    let folder = Folder::new();
    let state = folder.path();
    let mut sandbox = running(state).await;
    sandbox.complains("policy set 1 is in force").await;
    let balances = format!("/v1/accounts/{}/balances", scenarios::actors::bank::account(1));
    let balance =
        async || answered(call(state, &["GET", &balances]).await.with(0))["body"]["balances"][0]["amount"].clone();
    let pay = async |text: &str, key: &str| {
        let body = scenarios::actors::bank::payment_with("1.00", text).to_string();
        answered(call(state, &["POST", "/v1/domestic-payments", "--data", &body, "--key", key]).await.with(0))
    };
    let before = balance().await;
    let paid = pay("order", "kill-1").await;
    assert_eq!(paid["status"], 201);
    // Its answer is lost; the gateway may die before it has asked what became of it.
    let lost = pay("SBX:lost", "kill-2").await;
    assert_eq!(lost["status"], 202);
    let verification = serde_json::json!({
        "subject": {"type": "iin", "value": scenarios::actors::bank::iin(6)}, "purpose": "loan", "level": "L2",
        "binding": {"kind": "none"},
    });
    let verify = ["POST", "/v1/identity-verifications", "--data", &verification.to_string(), "--key", "kill-3"];
    let begun = answered(call(state, &verify).await.with(0));
    assert_eq!(begun["status"], 201, "{begun}");
    sandbox.signal("KILL");
    assert_eq!(sandbox.ended().await.code, None);
    let mut sandbox = running(state).await;
    sandbox.complains("policy set 1 is in force").await;
    let again = pay("order", "kill-1").await;
    assert_eq!((&again["status"], &again["body"]), (&Value::from(201), &paid["body"]));
    let settled = async {
        loop {
            let again = pay("SBX:lost", "kill-2").await;
            assert_eq!(again["body"]["paymentId"], lost["body"]["paymentId"]);
            if again["status"] == 201 {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, settled).await.unwrap();
    let place = format!("/v1/identity-verifications/{}", begun["body"]["id"].as_str().unwrap());
    let read = answered(call(state, &["GET", &place]).await.with(0));
    assert_eq!(read["body"]["status"], "capture_pending", "{read}");
    assert_eq!(answered(call(state, &verify).await.with(0))["body"], begun["body"]);
    let tiyn = |amount: &Value| amount["amount"].as_str().unwrap().replace('.', "").parse::<i64>().unwrap();
    assert_eq!(tiyn(&balance().await), tiyn(&before) - 200);
    sandbox.signal("TERM");
    sandbox.ended().await.with(0);
}

#[tokio::test]
async fn a_state_that_cannot_be_used_is_told() {
    let folder = Folder::new();
    let file = folder.path().join("a-file");
    std::fs::write(&file, "").unwrap();
    let ended = start(&file).ended().await;
    assert!(ended.with(1).err.contains("a-file"), "{}", ended.err);
    // A port that is taken, too.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let state = folder.path().join("state");
    let arguments = [
        "sandbox",
        "--state",
        state.to_str().unwrap(),
        "--listen",
        &address,
        "--mtls",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
    ];
    let ended = run(&arguments).await;
    assert!(ended.with(1).err.contains(&address), "{}", ended.err);
    assert!(!state.join("sandbox.json").exists());
}

#[tokio::test]
async fn calls_are_made_as_any_client_of_the_sandbox() {
    let folder = Folder::new();
    let state = folder.path();
    let sandbox = running(state).await;
    let accounts = answered(call(state, &["GET", "/v1/accounts?limit=1"]).await.with(0));
    assert_eq!(
        (&accounts["status"], accounts["body"]["accounts"].as_array().map(Vec::len)),
        (&Value::from(200), Some(1))
    );
    let mtls = call(state, &["GET", "/v1/accounts", "--as", "demo-mtls-app", "--mtls"]).await;
    assert_eq!(answered(mtls.with(0))["status"], 200);
    let refused = answered(call(state, &["GET", "/v1/accounts", "--anonymous"]).await.with(1));
    assert_eq!(refused["body"]["type"], "urn:qaqpa:problem:token_missing");
    let unknown = call(state, &["GET", "/v1/accounts", "--as", "nobody"]).await;
    assert!(unknown.with(1).err.contains("demo-app"), "{}", unknown.err);
    let body = folder.path().join("payment.json");
    std::fs::write(&body, scenarios::actors::bank::payment("1.00").to_string()).unwrap();
    let data = format!("@{}", body.display());
    let pay = ["POST", "/v1/domestic-payments", "--data", &data, "--key", "process-1"];
    let first = answered(call(state, &pay).await.with(0));
    let again = answered(call(state, &pay).await.with(0));
    assert_eq!((&first["status"], &first["body"]), (&Value::from(201), &again["body"]));
    // For people: everything but secrets.
    let shown = run(&["call", "GET", "/v1/accounts", "--state", state.to_str().unwrap()]).await;
    let shown = &shown.with(0).out;
    assert!(shown.contains("> GET /v1/accounts HTTP/1.1") && shown.contains("< HTTP/1.1 200 OK"), "{shown}");
    assert!(!shown.split_whitespace().any(|word| word.starts_with("eyJ") && word.len() > 40), "{shown}");
    sandbox.signal("TERM");
    sandbox.ended().await.with(0);
    let nobody = call(state, &["GET", "/v1/accounts"]).await;
    assert!(nobody.with(1).err.contains("No sandbox is running"), "{}", nobody.err);
}

#[tokio::test]
async fn a_header_that_no_limit_reads_resets_nothing() {
    let folder = Folder::new();
    let state = folder.path().to_str().unwrap();
    let sandbox = running(folder.path()).await;
    let reset = async |policy: &str, more: &[&str]| {
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo 880101300011 | \"$0\" \"$@\""]);
        let mut typed = vec!["limits", "reset", "--client", "demo-app", "--ticket", "OPS-1", "--state", state];
        typed.extend(["--policy", policy]);
        typed.extend(more);
        Program::start_by(shell, &typed).ended().await
    };
    let (limit, header) = ("standard:client:50/s", ["--header", "x-payer-id"]);
    let refused = reset(limit, &header).await;
    let told =
        "error: no limit that is meant reads the header x-payer-id; none of them counts by any\n  nothing was reset\n";
    assert_eq!((refused.with(1).out.as_str(), refused.err.as_str()), ("", told));
    let unknown = reset("nosuch", &header).await;
    assert!(unknown.with(1).err.contains("No limit has this name"), "{}", unknown.err);
    assert!(reset(limit, &[]).await.with(0).out.contains(limit));
    sandbox.signal("TERM");
    sandbox.ended().await.with(0);
    let trail = run(&["audit", "export", "--state", state]).await;
    let announced = trail.with(0).out.lines().filter(|line| line.contains("\"resetLimits\"") && line.contains("OPS-1"));
    assert_eq!(announced.filter(|line| line.contains("\"intent\"")).count(), 1, "{}", trail.out);
}

#[tokio::test]
async fn a_hangup_reloads_and_a_broken_file_changes_nothing() {
    let folder = Folder::new();
    let state = folder.path();
    let mut sandbox = running(state).await;
    let balances = format!("/v1/accounts/{}/balances", scenarios::actors::bank::account(1));
    assert_eq!(answered(call(state, &["GET", &balances]).await.with(0))["status"], 200);
    let path = state.join("policies/national/apis/accounts.yaml");
    let right = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, right.replace(ACCOUNT_BALANCES, "")).unwrap();
    sandbox.signal("HUP");
    sandbox.complains("policy generation 2 decides").await;
    let gone = answered(call(state, &["GET", &balances]).await.with(1));
    assert_eq!(gone["body"]["type"], "urn:qaqpa:problem:unknown_path");
    std::fs::write(&path, right.replace("getAccountBalances", "getAcountBalances")).unwrap();
    sandbox.signal("HUP");
    let log = sandbox.complains("the reload was refused, generation 2 stays").await;
    assert!(log.contains("accounts.yaml:") && log.contains("did you mean `getAccountBalances`?"), "{log}");
    assert_eq!(answered(call(state, &["GET", "/v1/accounts"]).await.with(0))["status"], 200);
    assert_eq!(answered(call(state, &["GET", &balances]).await.with(1))["status"], 404);
    std::fs::write(&path, right.replace(ACCOUNT_BALANCES, "")).unwrap();
    sandbox.signal("HUP");
    let log = sandbox.complains("what stands in the files is in force again, generation 2").await;
    assert!(!log.contains("nothing has changed in the files"), "{log}");
    sandbox.signal("HUP");
    sandbox.complains("nothing has changed in the files, generation 2 decides as before (signal)").await;
    sandbox.signal("TERM");
    sandbox.ended().await.with(0);
}

#[tokio::test]
async fn a_sandbox_with_a_broken_policy_does_not_start() {
    let folder = Folder::new();
    let sandbox = running(folder.path()).await;
    sandbox.signal("TERM");
    sandbox.ended().await.with(0);
    std::fs::write(folder.path().join("policies/mine.yaml"), "qaqpa: v1\nplanz: {}\n").unwrap();
    let ended = start(folder.path()).ended().await;
    let text = &ended.with(78).err;
    assert!(text.contains("mine.yaml:2:1") && text.contains("did you mean `plans`?"), "{text}");
    assert!(!folder.path().join("sandbox.json").exists());
}

/// Runs a gateway with a configuration that is refused; its public address is taken, so that to listen would be to
/// fail in another way.
async fn refused(more: &str, policy: Option<&str>) -> Ended {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let folder = Folder::new();
    let mut text = format!(
        "qaqpa: v1\nstate: state\nlisteners:\n  api: {{address: \"{address}\"}}\n  admin: {{address: \"127.0.0.1:0\"}}\n{more}"
    );
    if let Some(policy) = policy {
        std::fs::create_dir(folder.path().join("policies")).unwrap();
        std::fs::write(folder.path().join("policies/mine.yaml"), policy).unwrap();
        text.push_str("policies: policies\n");
    }
    let path = folder.path().join("qaqpa.yaml");
    std::fs::write(&path, text).unwrap();
    run(&["run", "--config", path.to_str().unwrap()]).await
}

#[tokio::test]
async fn a_wrong_configuration_never_listens() {
    let address = "upstreams:\n  core-bank: {endpoints: [\"http://127.0.0.1:9\"]}\n";
    let misspelt = refused("workerz: 1\n", None).await;
    assert!(misspelt.with(78).err.contains("qaqpa.yaml:6:1") && misspelt.err.contains("did you mean `workers`?"));
    let typed = refused("workers: many\n", None).await;
    assert!(typed.with(78).err.contains("qaqpa.yaml:6:10"), "{}", typed.err);
    let unaddressed = refused("", None).await;
    assert!(unaddressed.with(78).err.contains("no address for the backend `core-bank`"), "{}", unaddressed.err);
    let policy = refused(address, Some("qaqpa: v1\nplanz: {}\n")).await;
    assert!(policy.with(78).err.contains("mine.yaml:2:1"), "{}", policy.err);
    let written_out = "identity:\n  providers:\n    sandbox-face: {url: \"http://127.0.0.1:9\", webhookSecret: hunter2-hunter2-hunter2}\n";
    let secret = refused(&format!("{address}{written_out}"), None).await;
    assert!(!secret.with(78).err.contains("hunter2-hunter2-hunter2\n"), "{}", secret.err);
    let token = refused(&format!("{address}administrators:\n  a: {{roles: [viewer], tokenFile: none}}\n"), None).await;
    // That one is found only after the address was tried: it is no fault of the file alone.
    assert!([1, 78].contains(&token.code.unwrap()), "{}", token.err);
    let missing = run(&["run", "--config", "/nowhere/qaqpa.yaml"]).await;
    assert!(missing.with(78).err.contains("/nowhere/qaqpa.yaml"), "{}", missing.err);
    // With all of it right, it is the taken address that stops it.
    let right = refused(address, None).await;
    assert!(right.with(1).err.contains("cannot listen on"), "{}", right.err);
}

#[tokio::test]
async fn the_tour_ends_well_and_says_so_to_programs() {
    let folder = Folder::new();
    let state = folder.path().join("state");
    let ended = run(&["sandbox", "--tour", "--json", "--state", state.to_str().unwrap()]).await;
    let lines: Vec<Value> = ended.with(0).out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (summary, steps) = lines.split_last().unwrap();
    assert_eq!(summary["summary"]["ok"], true);
    assert_eq!(summary["summary"]["steps"], steps.len());
    assert!(steps.iter().all(|step| step["ok"] == true), "{steps:?}");
    assert!(steps.len() >= 15, "{}", steps.len());
    assert!(!state.join("sandbox.json").exists());
    let nobody = run(&["tour", "--state", state.to_str().unwrap()]).await;
    assert!(nobody.with(1).err.contains("No sandbox is running"), "{}", nobody.err);
}
