//! The verbs for administrators as processes, word for word: what is written here is what an administrator reads.
//!
//! `UPDATE_GOLDEN=1` writes the files of `tests/verbs/told` anew; read the difference before you keep it.

use std::path::{Path, PathBuf};

use scenarios::actors::program::run;
use scenarios::world::{Folder, Kind, World};
use serde_json::Value;

/// The file below `told`, what is typed (`./` is the folder of the sets), and how it ends.
const TOLD: &[(&str, &str, i32)] = &[
    ("check", "check ./sound --contracts ./contracts", 0),
    ("check-broken", "check ./broken --contracts ./contracts", 78),
    ("check-broken-github", "check ./broken --contracts ./contracts --format github", 78),
    ("check-broken-sarif", "check ./broken --contracts ./contracts --format sarif", 78),
    ("check-weak", "check ./weak --contracts ./contracts", 0),
    ("check-weak-strict", "check ./weak --contracts ./contracts --strict --format github", 1),
    ("lint", "lint ./sound --contracts ./contracts", 0),
    ("lint-weak", "lint ./weak --contracts ./contracts", 1),
    ("lint-weak-ignore", "lint ./weak --contracts ./contracts --ignore L0006 --ignore l0010 --format github", 0),
    ("lint-broken", "lint ./broken --contracts ./contracts", 78),
    ("explain-code", "explain P0311", 0),
    ("explain-rule", "explain l0006", 0),
    ("explain-no-code", "explain P0312x", 1),
    ("explain-unknown-code", "explain P0399", 1),
    ("explain-consent", "explain apis.operations.consent.account", 0),
    ("explain-consent-code", "explain P0317", 0),
    ("explain-issuer-code", "explain p0318", 0),
    ("explain-keys", "explain clients.keys.file", 0),
    ("explain-key", "explain apis.operations.timeout", 0),
    ("explain-section", "explain stepUp", 0),
    ("explain-misspelt-key", "explain apis.operations.tiemout", 1),
    ("explain-condition", "explain condition", 0),
    ("explain-conditions", "explain conditions", 1),
    ("explain-operation", "explain operation createTopUp --policies ./sound --contracts ./contracts", 0),
    (
        "explain-reader",
        "explain operation createTopUp --client reader-app --policies ./sound --contracts ./contracts",
        0,
    ),
    ("explain-payer", "explain operation listCards --client payer-app --policies ./sound --contracts ./contracts", 0),
    (
        "explain-elsewhere",
        "explain operation listCards --client payer-app --peer 192.0.2.9 --policies ./sound --contracts ./contracts",
        0,
    ),
    ("explain-misspelt-operation", "explain operation createTopUpp --policies ./sound --contracts ./contracts", 1),
    (
        "explain-unknown-client",
        "explain operation listCards --client payer --policies ./sound --contracts ./contracts",
        1,
    ),
    ("diff", "diff ./sound ./weak --contracts ./contracts", 1),
    ("diff-back", "diff ./weak ./sound --contracts ./contracts --fail-on loosens", 1),
    ("diff-json", "diff ./sound ./weak --contracts ./contracts --json", 1),
    ("diff-moved", "diff ./sound ./moved --contracts ./contracts", 0),
    ("diff-broken", "diff ./sound ./broken --contracts ./contracts", 78),
    ("diff-no-revision", "diff git:--output=x:y ./sound --contracts ./contracts", 78),
    ("fmt-check", "fmt --check ./sound ./messy/cards.yaml", 1),
    ("fmt-broken", "fmt --check ./messy", 78),
    ("import", "import openapi ./contracts/cards.yaml", 0),
    ("import-nothing", "import openapi ./contracts/none.yaml", 78),
];

fn sets() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("verbs")
}

#[tokio::test]
async fn each_verb_tells_what_stands_in_its_golden_file() {
    let prefix = format!("{}/", sets().display());
    let mut wrong = Vec::new();
    for (name, typed, code) in TOLD {
        let words: Vec<String> = typed.split(' ').map(|word| word.replacen("./", &prefix, 1)).collect();
        let ended = run(&words).await;
        let err = if ended.err.is_empty() { String::new() } else { format!("--- standard error\n{}", ended.err) };
        let code_told = ended.code.map_or("a signal".to_owned(), |code| code.to_string());
        let told = format!("$ qaqpa {typed}\n{}{err}--- ends with {code_told}\n", ended.out).replace(&prefix, "");
        let path = sets().join("told").join(format!("{name}.txt"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &told).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        if told != expected || ended.code != Some(*code) {
            wrong.push(format!("{name}: expected\n{expected}\ntold\n{told}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[tokio::test]
async fn a_file_is_brought_into_its_form_once_and_keeps_its_meaning() {
    let folder = Folder::new();
    let (path, messy) = (folder.path().join("cards.yaml"), sets().join("messy/cards.yaml"));
    std::fs::copy(messy, &path).unwrap();
    let typed = [folder.path().to_str().unwrap()];
    let ended = run(&["fmt", typed[0]]).await;
    assert_eq!(ended.with(0).out, format!("{}\n", path.display()));
    let expected = "# Cards, written in a hurry\nqaqpa: v1\n\nlimits:\n  money: {per: [client, operation], rate: \"2/s\", burst: 5}\n\
                    apis:\n  # the API\n  cards:\n    operations:\n      listCards: {}\n";
    assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
    for arguments in [["fmt", typed[0]], ["fmt", "--check"]] {
        let mut arguments = arguments.to_vec();
        if arguments[1] == "--check" {
            arguments.push(typed[0]);
        }
        assert_eq!(run(&arguments).await.with(0).out, "");
    }
    // What cannot be read stays as it is.
    std::fs::write(&path, "qaqpa:   v1\nlimits: {a: [}\n").unwrap();
    run(&["fmt", typed[0]]).await.with(78);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "qaqpa:   v1\nlimits: {a: [}\n");
}

#[tokio::test]
async fn what_a_sandbox_writes_is_in_its_form() {
    let world = World::start(Kind::Memory).await;
    run(&["fmt", "--check", world.file("policies").to_str().unwrap()]).await.with(0);
}

#[tokio::test]
async fn what_is_imported_passes_every_check_and_overwrites_nothing() {
    let folder = Folder::new();
    let (contracts, out) = (sets().join("contracts"), folder.path().join("cards.yaml"));
    let (contracts, out) = (contracts.to_str().unwrap(), out.to_str().unwrap());
    let ended = run(&["import", "openapi", contracts, "--out", out]).await;
    assert!(ended.with(0).out.contains("qaqpa check"), "{}", ended.out);
    run(&["check", out, "--contracts", contracts, "--strict"]).await.with(0);
    run(&["fmt", "--check", out]).await.with(0);
    let ended = run(&["import", "openapi", contracts, "--out", out]).await;
    assert!(ended.with(1).err.contains("is there already") && ended.err.contains("name another file"), "{}", ended.err);
}

#[tokio::test]
async fn a_set_may_lie_in_several_folders() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let (national, preset) = (root.join("policies/national"), root.join("policies/presets/upi-2025.yaml"));
    let folder = Folder::new();
    let own = folder.path().join("own.yaml");
    let text = "qaqpa: v1\nplans: {slow: {limits: [{per: client, rate: 5/s, burst: 5}, upi-balance-enquiries]}}\n";
    std::fs::write(&own, text).unwrap();
    let [national, preset, own] = [&national, &preset, &own].map(|path| path.to_str().unwrap());
    run(&["check", own]).await.with(78);
    run(&["check", national, preset, own]).await.with(0);
    let linted = run(&["lint", national, preset, own]).await;
    assert!(linted.with(0).out.contains("upi-account-lists"), "{}", linted.out);
    let tested = run(&["test", national, preset, own, "--filter", "large payment"]).await;
    assert!(tested.with(0).out.contains(" passed, 0 failed"), "{}", tested.out);
    let named = ["--policies", national, "--policies", preset, "--policies", own];
    run(&[&["explain", "operation", "listAccounts"], &named[..]].concat()).await.with(0);
    run(&[&["trace", "getKeys"], &named[..]].concat()).await.with(0);
    // Twice is once too many: nobody knows which of the two is meant.
    run(&["check", national, national]).await.with(78);
}

#[tokio::test]
async fn what_ships_has_nothing_above_an_info() {
    let ended = run(&["lint", "--json", "--fail-on", "warning"]).await;
    let report: Value = serde_json::from_str(&ended.with(0).out).unwrap();
    let findings = report["findings"].as_array().unwrap();
    assert!(findings.iter().all(|finding| finding["severity"] == "info"), "{report}");
    assert_eq!(report["ok"], true);
}

#[tokio::test]
async fn the_schema_that_is_printed_is_the_committed_one() {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/schema/policy-v1.json");
    assert_eq!(run(&["schema"]).await.with(0).out, std::fs::read_to_string(committed).unwrap());
}

// Files that a configuration names are opened, and a secret in them is never shown.
#[tokio::test]
async fn what_a_configuration_names_is_opened() {
    let folder = Folder::new();
    let file = |name: &str, text: &str, mode: u32| {
        use std::os::unix::fs::PermissionsExt as _;
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let text = "qaqpa: v1\nlisteners:\n  api: {address: \"127.0.0.1:0\", tls: {certificate: api.pem, key: api.key}}\n  \
                admin: {address: \"127.0.0.1:0\"}\nupstreams: {core-bank: {endpoints: [\"http://127.0.0.1:9\"]}}\n\
                trust: ca.pem\nadministrators:\n  ann: {roles: [viewer], tokenFile: ann.token}\n";
    file("qaqpa.yaml", text, 0o644);
    file("ca.pem", "this is no certificate", 0o644);
    file("ann.token", "hunter2hunter2hunter2hunter2hunter2hunter2", 0o644);
    let path = folder.path().join("qaqpa.yaml");
    let ended = run(&["check", "--config", path.to_str().unwrap()]).await;
    let told = &ended.with(78).err;
    for part in ["qaqpa.yaml:3:", "api.pem", "G0004", "qaqpa.yaml:6:", "ca.pem", "G0005", "qaqpa.yaml:8:", "chmod 600"]
    {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(!told.contains("hunter2") && !ended.out.contains("hunter2"));
}

// Two revisions of a repository are compared where the administrator stands.
#[tokio::test]
async fn revisions_of_a_repository_are_compared() {
    let folder = Folder::new();
    let git = |arguments: &[&str]| {
        let identity = ["-c", "user.name=a", "-c", "user.email=a@example.kz", "-c", "commit.gpgsign=false"];
        let status = std::process::Command::new("git")
            .arg("-C")
            .arg(folder.path())
            .args(identity)
            .args(arguments)
            .stdout(std::process::Stdio::null())
            .status();
        assert!(status.unwrap().success(), "{arguments:?}");
    };
    for (set, message) in [("sound", "first"), ("weak", "second")] {
        for name in ["cards.yaml", "parties.yaml"] {
            std::fs::create_dir_all(folder.path().join("policies")).unwrap();
            std::fs::copy(sets().join(set).join(name), folder.path().join("policies").join(name)).unwrap();
        }
        if set == "sound" {
            git(&["init", "-q"]);
        }
        git(&["add", "."]);
        git(&["commit", "-q", "-m", message]);
    }
    let contracts = sets().join("contracts");
    let program = scenarios::actors::program::path();
    let diff = |before: &str, after: &str| {
        let typed = ["diff", before, after, "--contracts", contracts.to_str().unwrap()];
        std::process::Command::new(program).args(typed).current_dir(folder.path()).output().unwrap()
    };
    let same = diff("git:HEAD:policies", "policies");
    assert_eq!(same.status.code(), Some(0), "{}", String::from_utf8_lossy(&same.stderr));
    let other = diff("git:HEAD~1:policies", "git:HEAD:policies");
    let told = String::from_utf8_lossy(&other.stdout).into_owned();
    assert_eq!(other.status.code(), Some(1));
    assert!(told.contains("loosens") && told.contains("HEAD~1:policies/cards.yaml:"), "{told}");
    let none = diff("git:nowhere:policies", "policies");
    assert_eq!(none.status.code(), Some(78));
}
