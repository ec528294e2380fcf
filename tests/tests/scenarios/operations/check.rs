//! `qaqpa check`, `qaqpa routes` and wrong usage, as processes.

use std::path::Path;

use scenarios::actors::program::{Ended, run};
use scenarios::world::Folder;
use serde_json::Value;

/// Checks a set of policy files.
async fn check(files: &[(&str, &str)], more: &[&str]) -> Ended {
    let folder = Folder::new();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let mut arguments = vec!["check", folder.path().to_str().unwrap()];
    arguments.extend(more);
    run(&arguments).await
}

fn repository(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path).display().to_string()
}

#[tokio::test]
async fn what_ships_is_right() {
    for arguments in [
        vec!["check".to_owned()],
        vec!["check".to_owned(), repository("policies/national"), "--contracts".to_owned(), repository("openapi/apis")],
    ] {
        let ended = run(&arguments).await;
        assert!(ended.with(0).out.starts_with("ok: "), "{}", ended.out);
        assert_eq!(ended.err, "");
    }
    let ended = run(&["check", "--json"]).await;
    let report: Value = serde_json::from_str(&ended.with(0).out).unwrap();
    assert_eq!(report["ok"], true);
    assert_eq!((report["errors"].as_array().unwrap().len(), report["warnings"].as_array().unwrap().len()), (0, 0));
    assert!(report["exposed"].as_u64().unwrap() >= 15, "{report}");
}

/// A fault alone: the text, its place, what is said of it, and what was meant.
const FAULTS: [(&str, &str, &str, &str); 7] = [
    (
        "qaqpa: v1\nplans:\n  a:\n    limits:\n      - {per: client, rte: 1/s, rate: 1/s, burst: 1}\n",
        "5:23",
        "unknown key `rte`",
        "did you mean `rate`?",
    ),
    (
        "qaqpa: v1\nplans:\n  b:\n    limits: [{per: client, rate: 1/s, burst: many}]\n",
        "4:46",
        "`burst` is not a whole number",
        "write digits only",
    ),
    (
        "qaqpa: v1\nplans:\n  c:\n    limits: [{per: client, rate: fast, burst: 1}]\n",
        "4:34",
        "`rate` is not a rate",
        "50/s",
    ),
    (
        "qaqpa: v1\napis:\n  accounts:\n    operations:\n      listAcounts: {}\n",
        "5:7",
        "unknown operation `listAcounts`",
        "did you mean `listAccounts`?",
    ),
    ("qaqpa: v1\norganisations: [one, two]\n", "2:16", "organisations", ""),
    ("qaqpa: v1\norganisation: {}\n", "2:1", "unknown key `organisation`", "did you mean `organisations`?"),
    ("qaqpa: v2\n", "1:8", "v2", "v1"),
];

#[tokio::test]
async fn a_fault_is_told_with_its_place_a_caret_and_what_was_meant() {
    for (text, place, message, help) in FAULTS {
        let ended = check(&[("broken.yaml", text)], &[]).await;
        let told = &ended.with(78).err;
        assert_eq!(ended.out, "");
        assert!(told.contains(&format!("broken.yaml:{place}\n")), "{place}: {told}");
        assert!(told.contains(message) && told.contains(help), "{told}");
        // The caret stands below the column that is told, and the line is shown as it is.
        let (line, column) = place.split_once(':').unwrap();
        let shown = format!("{line} | {}\n", text.lines().nth(line.parse::<usize>().unwrap() - 1).unwrap());
        assert!(told.contains(&shown), "{told}");
        let shown = told.lines().position(|known| known.trim_start().starts_with(&format!("{line} | "))).unwrap();
        let carets = told.lines().nth(shown + 1).unwrap();
        let at = carets.find('^').unwrap_or_else(|| panic!("no caret: {told}"));
        assert_eq!(at, carets.find('|').unwrap() + 1 + column.parse::<usize>().unwrap(), "{told}");
        assert!(told.contains("1 error, 0 warnings"), "{told}");
    }
}

#[tokio::test]
async fn all_faults_of_all_files_are_told_at_once() {
    let files: Vec<(String, &str)> =
        FAULTS.iter().enumerate().map(|(number, (text, ..))| (format!("{number}.yaml"), *text)).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), *text)).collect();
    let ended = check(&files, &[]).await;
    for (number, (_, place, message, _)) in FAULTS.iter().enumerate() {
        let told = &ended.with(78).err;
        assert!(told.contains(&format!("{number}.yaml:{place}")), "{number}: {told}");
        assert!(told.contains(message), "{told}");
    }
    let ended = check(&files, &["--json"]).await;
    let report: Value = serde_json::from_str(&ended.with(78).out).unwrap();
    assert_eq!(report["ok"], false);
    let errors = report["errors"].as_array().unwrap();
    for (number, (_, place, ..)) in FAULTS.iter().enumerate() {
        let found = errors.iter().find(|error| {
            let at = format!("{}:{}", error["line"], error["column"]);
            error["file"].as_str().unwrap().ends_with(&format!("/{number}.yaml")) && at == *place
        });
        let found = found.unwrap_or_else(|| panic!("{number}: {report}"));
        assert!(found["code"].is_string() && found["message"].is_string() && found["severity"] == "error", "{found}");
    }
}

#[tokio::test]
async fn a_broken_contract_is_told_with_its_place() {
    let folder = Folder::new();
    for entry in std::fs::read_dir(repository("openapi/apis")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.replacen("operationId: getStatus", "operationIdd: getStatus", 1);
        std::fs::write(folder.path().join(path.file_name().unwrap()), text).unwrap();
    }
    let contracts = folder.path().to_str().unwrap();
    let ended = run(&["check", "--contracts", contracts]).await;
    let told = &ended.with(78).err;
    let text = std::fs::read_to_string(folder.path().join("discovery.yaml")).unwrap();
    let line = text.lines().position(|line| line.contains("operationIdd")).unwrap() + 1;
    let places: Vec<usize> = told
        .lines()
        .filter_map(|shown| {
            shown.trim().strip_prefix("--> ")?.split_once("discovery.yaml:")?.1.split(':').next()?.parse().ok()
        })
        .collect();
    assert!(places.iter().any(|place| place.abs_diff(line) <= 3), "{line}: {told}");
}

#[tokio::test]
async fn files_that_cannot_be_read_are_told() {
    let ended = run(&["check", "/nowhere/at/all"]).await;
    assert!(ended.with(78).err.contains("/nowhere/at/all"), "{}", ended.err);
    let torn = check(&[("torn.yaml", "qaqpa: v1\nplans: {a: [\n")], &[]).await;
    assert!(torn.with(78).err.contains("torn.yaml:"), "{}", torn.err);
    let folder = Folder::new();
    std::fs::write(folder.path().join("bytes.yaml"), [0xff, 0xfe, 0]).unwrap();
    let ended = run(&["check", folder.path().to_str().unwrap()]).await;
    assert!(ended.with(78).err.contains("bytes.yaml"), "{}", ended.err);
}

#[tokio::test]
async fn an_operators_configuration_is_checked_with_the_rest() {
    let folder = Folder::new();
    let path = folder.path().join("qaqpa.yaml");
    let text = "qaqpa: v1\nlisteners:\n  api: {address: \"127.0.0.1:0\"}\n  admin: {address: \"127.0.0.1:0\"}\n";
    std::fs::write(&path, text).unwrap();
    let ended = run(&["check", "--config", path.to_str().unwrap()]).await;
    assert!(ended.with(78).err.contains("no address for the backend `core-bank`"), "{}", ended.err);
    std::fs::write(&path, format!("{text}upstreams:\n  core-bank: {{endpoints: [\"http://127.0.0.1:9\"]}}\n")).unwrap();
    run(&["check", "--config", path.to_str().unwrap()]).await.with(0);
    std::fs::write(&path, format!("{text}upstraems: {{}}\n")).unwrap();
    let ended = run(&["check", "--config", path.to_str().unwrap()]).await;
    assert!(ended.with(78).err.contains("qaqpa.yaml:5:1"), "{}", ended.err);
    assert!(ended.err.contains("did you mean `upstreams`?"), "{}", ended.err);
}

#[tokio::test]
async fn routes_tell_what_is_exposed_and_which_line_says_so() {
    let ended = run(&["routes"]).await;
    let line = ended.with(0).out.lines().find(|line| line.contains(" createDomesticPayment ")).unwrap();
    for part in ["POST", "/v1/domestic-payments", "payments:write", "PISP", "payments.yaml:"] {
        assert!(line.contains(part), "{line}");
    }
    let ended = run(&["routes", "--json"]).await;
    let routes: Value = serde_json::from_str(&ended.with(0).out).unwrap();
    let routes = routes["routes"].as_array().unwrap();
    let status = routes.iter().find(|route| route["operation"] == "getStatus").unwrap();
    assert_eq!((&status["method"], &status["path"]), (&Value::from("GET"), &Value::from("/v1/discovery/status")));
    let folder = Folder::new();
    std::fs::write(folder.path().join("broken.yaml"), "qaqpa: v1\nplanz: {}\n").unwrap();
    let ended = run(&["routes", "--policies", folder.path().to_str().unwrap()]).await;
    assert!(ended.with(78).err.contains("broken.yaml:2:1"), "{}", ended.err);
}

#[tokio::test]
async fn wrong_usage_ends_with_two_and_says_what_is_right() {
    for arguments in [
        vec!["nonsense"],
        vec![],
        vec!["run"],
        vec!["check", "--nonsense"],
        vec!["call", "GET"],
        vec!["call", "GET", "no/slash"],
        vec!["call", "GET", "/v1/accounts", "--dpop", "--mtls"],
        vec!["sandbox", "--listen", "nowhere"],
        vec!["sandbox", "--json"],
    ] {
        let ended = run(&arguments).await;
        assert!(ended.with(2).err.contains("--help") || ended.err.contains("Usage"), "{arguments:?}: {}", ended.err);
        assert_eq!(ended.out, "", "{arguments:?}");
    }
    let help = run(&["--help"]).await;
    assert!(help.with(0).out.contains("First steps:") && help.out.contains("Exit codes:"), "{}", help.out);
}
