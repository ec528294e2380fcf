//! The trail in the hands of an auditor: `qaqpa audit`, and a check of its proofs that shares nothing with us.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use scenarios::actors::Session;
use scenarios::actors::app::fresh;
use scenarios::actors::bank::{self, payment};
use scenarios::actors::program::{self, Ended};
use scenarios::world::{Folder, Kind, World};
use serde_json::{Value, json};

/// A world in which one payment was made, and what it is called.
async fn paid() -> (World, String, String) {
    let world = World::start(Kind::Http1).await;
    let app = Session::of(&world, "demo-app").await;
    let answer = app.pay(&fresh("order"), &payment("1500.00")).await;
    let reference = answer.succeeded(201).at("/paymentId").to_owned();
    let named = answer.named().to_owned();
    world.audit().await;
    (world, named, reference)
}

async fn audit(state: &Path, arguments: &[&str]) -> Ended {
    let mut all: Vec<&OsStr> = vec!["audit".as_ref()];
    all.extend(arguments.iter().map(|argument| -> &OsStr { argument.as_ref() }));
    all.extend(["--state".as_ref(), state.as_os_str()]);
    program::run(&all).await
}

#[tokio::test]
async fn a_call_is_found_by_each_of_its_names_and_told_stage_by_stage() {
    let (world, interaction, reference) = paid().await;
    let by_id = audit(world.state(), &["show", &interaction]).await;
    let told = &by_id.with(0).out;
    for word in ["intent", "outcome", "createDomesticPayment", "1500.00 KZT", "demo-app", "µs", "assess"] {
        assert!(told.contains(word), "{word}: {told}");
    }
    assert_eq!(&audit(world.state(), &["show", &reference]).await.with(0).out, told);
    let records = audit(world.state(), &["show", &interaction, "--json"]).await.with(0).out.clone();
    let first: Value = serde_json::from_str(records.lines().next().unwrap()).unwrap();
    assert_eq!(&audit(world.state(), &["show", &first["sequence"].to_string()]).await.with(0).out, told);
    assert!(audit(world.state(), &["show", "nobody"]).await.with(1).err.contains("no record has the name nobody"));
    assert!(audit(world.state(), &["show", ""]).await.with(1).err.contains("no record has an empty name"));
    assert!(audit(world.state(), &["show", "999999"]).await.with(1).err.contains("no record 999999"));
}

#[tokio::test]
async fn the_newest_records_and_those_of_a_time_are_printed() {
    let (world, interaction, _) = paid().await;
    let lines = |ended: &Ended| ended.with(0).out.lines().map(str::to_owned).collect::<Vec<_>>();
    let tail = lines(&audit(world.state(), &["tail", "-n", "2"]).await);
    assert_eq!(tail.len(), 2);
    // Before the outcome stands the note of the first head.
    assert!(tail[0].contains("head") && tail[1].contains(&interaction), "{tail:?}");
    let all = lines(&audit(world.state(), &["export"]).await);
    let records: Vec<Value> = all.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records, world.audit().await);
    let now = world.now().to_string();
    let day = now.split('T').next().unwrap();
    assert_eq!(lines(&audit(world.state(), &["export", "--from", day]).await), all);
    assert_eq!(lines(&audit(world.state(), &["export", "--to", day]).await), Vec::<String>::new());
    audit(world.state(), &["export", "--from", "yesterday"]).await.with(2);
    let nowhere = Folder::new();
    assert!(audit(nowhere.path(), &["tail"]).await.with(1).err.contains("there is no trail"));
}

#[tokio::test]
async fn a_trail_is_verified_and_what_is_wrong_is_told_with_its_place() {
    let (world, _, _) = paid().await;
    let rest = world.stop().await;
    let fine = audit(rest.state(), &["verify"]).await.with(0).out.clone();
    assert!(fine.starts_with("ok: "), "{fine}");
    let told = audit(rest.state(), &["verify", "--json"]).await.with(0).out.clone();
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["ok"], &told["records"]), (&json!(true), &told["covered"]));
    assert_eq!(told["keys"], 2, "the current and the next");
    let none = rest.state().join("none.json");
    std::fs::write(&none, br#"{"keys": []}"#).unwrap();
    let told = audit(rest.state(), &["verify", "--json", "--keys", none.to_str().unwrap()]).await.with(0).out.clone();
    assert_eq!(serde_json::from_str::<Value>(&told).unwrap()["keys"], 0, "whoever has signed is believed");
    // An older copy of the whole folder shows only against a head that was kept elsewhere.
    let heads = rest.state().join("audit/heads.jsonl");
    let kept = rest.state().join("kept.jsonl");
    std::fs::copy(&heads, &kept).unwrap();
    let head = kept.to_str().unwrap();
    audit(rest.state(), &["verify", "--head", head]).await.with(0);
    let segment = rest.state().join("audit/audit-000001.seg");
    let mut bytes = std::fs::read(&segment).unwrap();
    let place = bytes.windows(11).position(|text| text == b"1500.00 KZT").unwrap();
    bytes[place] = b'9';
    std::fs::write(&segment, &bytes).unwrap();
    let broken = audit(rest.state(), &["verify"]).await.with(1).err.clone();
    assert!(broken.contains("audit-000001.seg, record ") && broken.contains("it was changed"), "{broken}");
    std::fs::remove_file(&segment).unwrap();
    std::fs::remove_file(&heads).unwrap();
    let gone = audit(rest.state(), &["verify"]).await.with(1).err.clone();
    assert!(gone.contains("heads.jsonl: it is gone, and keys.json is there"), "{gone}");
    std::fs::remove_file(rest.state().join("audit/keys.json")).unwrap();
    audit(rest.state(), &["verify"]).await.with(0);
    let missing = audit(rest.state(), &["verify", "--head", head]).await.with(1).err.clone();
    assert!(missing.contains("records; the last") && missing.contains("are missing"), "{missing}");
}

fn python(arguments: &[&Path]) -> (Option<i32>, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/prove.py");
    let ended = Command::new("python3").arg(script).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned();
    (ended.status.code(), text)
}

#[tokio::test]
async fn a_proof_is_checked_by_a_program_that_knows_only_the_standards() {
    let (world, interaction, _) = paid().await;
    let early = audit(world.state(), &["prove", &interaction]).await.with(1).err.clone();
    assert!(early.contains("no head was signed over record"), "{early}");
    let keys = serde_json::to_vec(&world.send(scenarios::world::Ask::get("/oauth/jwks")).await.json()).unwrap();
    let rest = world.stop().await;
    let folder = Folder::new();
    let file = |name: &str, bytes: &[u8]| -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let printed = audit(rest.state(), &["prove", &interaction]).await.with(0).out.clone();
    let proof: Value = serde_json::from_str(&printed).unwrap();
    let (whole, keys) = (file("proof.json", printed.as_bytes()), file("keys.json", &keys));
    assert_eq!(python(&[&whole]).0, Some(0), "{:?}", python(&[&whole]));
    assert_eq!(python(&[&whole, &keys]).0, Some(0), "{:?}", python(&[&whole, &keys]));
    let other = file("other.json", br#"{"keys": []}"#);
    assert_eq!(python(&[&whole, &other]), (Some(1), "error: the key is not published\n".to_owned()));
    let nothing = file("nothing.json", b"{}");
    assert_eq!(python(&[&whole, &nothing]).0, Some(1), "{:?}", python(&[&whole, &nothing]));
    // One letter of anything, and the proof is none.
    let texts = ["payload", "root", "head"].iter().map(|name| format!("/{name}"));
    let deeper = (0..proof["path"].as_array().unwrap().len()).map(|step| format!("/path/{step}"));
    for pointer in texts.chain(deeper).chain(["/jwk/x".to_owned(), "/jwk/y".to_owned()]) {
        let text = proof.pointer(&pointer).unwrap().as_str().unwrap();
        // Not the last four: before the padding of base64 stand bits that no decoder looks at.
        for at in [0, text.len() / 2, text.len() - 5] {
            let letter = if text.as_bytes()[at] == b'b' { "c" } else { "b" };
            let mut bad = proof.clone();
            *bad.pointer_mut(&pointer).unwrap() = json!(format!("{}{letter}{}", &text[..at], &text[at + 1..]));
            let found = python(&[&file("bad.json", bad.to_string().as_bytes())]);
            assert_eq!(found.0, Some(1), "{pointer} {at}: {}", found.1);
        }
    }
    for (name, more) in [("index", 1), ("size", 1)] {
        let mut bad = proof.clone();
        bad[name] = json!(proof[name].as_u64().unwrap() - more);
        assert_eq!(python(&[&file("bad.json", bad.to_string().as_bytes())]).0, Some(1), "{name}");
    }
    // Every record of the trail has its proof.
    let count = audit(rest.state(), &["export"]).await.with(0).out.lines().count();
    for sequence in 1..=count {
        let printed = audit(rest.state(), &["prove", &sequence.to_string()]).await.with(0).out.clone();
        assert_eq!(python(&[&file("each.json", printed.as_bytes())]).0, Some(0), "{sequence}");
    }
}

#[tokio::test]
async fn a_person_is_erased_by_a_number_that_stands_in_no_argument() {
    let (world, _, _) = paid().await;
    std::fs::write(world.file("sandbox.json"), serde_json::to_vec(world.tells()).unwrap()).unwrap();
    let erase = async |arguments: Vec<String>, input: String| {
        let state = world.state().to_owned();
        let ended = tokio::task::spawn_blocking(move || {
            let mut command = Command::new(program::path());
            command.args(["audit", "erase"]).args(arguments).arg("--state").arg(state);
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().unwrap();
            // A program that has refused before it reads has closed its end.
            let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
            child.wait_with_output().unwrap()
        });
        let ended = ended.await.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (ended.status.code(), text(ended.stdout), text(ended.stderr))
    };
    let number = bank::iin(1).to_owned();
    let (code, _, told) = erase(vec![number.clone()], String::new()).await;
    assert!(code == Some(2) && told.contains("is no argument") && !told.contains(&number), "{told}");
    let (code, _, told) = erase(vec!["-".to_owned()], "12".to_owned()).await;
    assert!(code == Some(2) && told.contains("twelve digits"), "{told}");
    let (code, told, complaint) = erase(vec!["-".to_owned()], format!("{number}\n")).await;
    assert_eq!((code, told.as_str()), (Some(0), "nothing was known of this person\n"), "{complaint}");
    let (code, _, told) = erase(vec!["--reason".to_owned(), "whim".to_owned()], number).await;
    assert!(code == Some(1) && told.contains("400"), "{told}");
}
