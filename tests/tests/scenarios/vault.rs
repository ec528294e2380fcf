//! The program with its wrapping key in a token: it starts only where the token opens the data key.

use std::path::{Path, PathBuf};
use std::process::Command;

use scenarios::actors::program::{Ended, Program};
use scenarios::world::{Folder, Kind, World};

/// Where Debian and its architectures put the module.
const MODULES: [&str; 3] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
];

const PIN: &str = "canary-pin-4711";

fn module() -> PathBuf {
    let found = MODULES.into_iter().map(PathBuf::from).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("no SoftHSM here, against which this is tested: apt-get install softhsm2"))
}

/// Makes a token with an AES key in `folder`.
fn vault(folder: &Path) {
    std::fs::create_dir(folder.join("tokens")).unwrap();
    let text = format!("directories.tokendir = {}\nobjectstore.backend = file\n", folder.join("tokens").display());
    std::fs::write(folder.join("softhsm2.conf"), text).unwrap();
    std::fs::write(folder.join("key"), [7; 32]).unwrap();
    let key = folder.join("key");
    let made = ["--init-token", "--free", "--label", "vault", "--so-pin", "so-pin-0000", "--pin", PIN];
    let filled = ["--import", key.to_str().unwrap(), "--aes", "--token", "vault", "--label", "wrapping", "--id", "01"];
    for arguments in [made.as_slice(), &[filled.as_slice(), &["--pin", PIN]].concat()] {
        let mut command = Command::new("softhsm2-util");
        let done = command.args(arguments).env("SOFTHSM2_CONF", folder.join("softhsm2.conf")).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    std::fs::remove_file(key).unwrap();
}

/// Starts the program on a state whose configuration names the token.
fn start(state: &Path, vault: &Path) -> Program {
    let mut environment = Command::new("env");
    environment.arg(format!("SOFTHSM2_CONF={}", vault.join("softhsm2.conf").display()));
    Program::start_by(environment, &["run".as_ref(), "--config".as_ref(), state.join("qaqpa.yaml").as_os_str()])
}

async fn refused(state: &Path, vault: &Path, why: &str) {
    let ended = start(state, vault).ended().await;
    ended.with(1);
    assert!(ended.err.contains(why), "{}", ended.err);
    silent(&ended);
}

fn silent(ended: &Ended) {
    assert!(!ended.err.contains("canary") && !ended.out.contains("canary"), "{} {}", ended.out, ended.err);
}

fn write_pin(folder: &Path, pin: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let place = folder.join("pin");
    std::fs::write(&place, format!("{pin}\n")).unwrap();
    std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[tokio::test]
async fn the_program_starts_only_where_the_token_opens_the_data_key() {
    let folder = Folder::new();
    vault(folder.path());
    // The bank of a stopped sandbox is not needed to start.
    let rest = World::start(Kind::Memory).await.stop().await;
    let state = rest.state();
    for name in ["data.key", "wrapping.key", "signing.json"] {
        std::fs::remove_file(state.join("keys").join(name)).unwrap();
    }
    let text = std::fs::read_to_string(state.join("qaqpa.yaml")).unwrap();
    let lines = format!(
        "keys: {{pkcs11: {{module: {}, token: vault, key: wrapping, pin: 'secret:file:{}'}}}}\n",
        module().display(),
        folder.path().join("pin").display()
    );
    std::fs::write(state.join("qaqpa.yaml"), format!("{text}{lines}")).unwrap();
    write_pin(folder.path(), "canary-pin-4712");
    refused(state, folder.path(), "the token refuses the PIN").await;
    assert!(!state.join("keys/data.key").exists());
    write_pin(folder.path(), PIN);
    for _ in 0..2 {
        let mut process = start(state, folder.path());
        process.complains("listener admin is open on").await;
        process.signal("TERM");
        let ended = process.ended().await;
        ended.with(0);
        silent(&ended);
    }
    let rests = std::fs::read_to_string(state.join("keys/data.key")).unwrap();
    assert!(rests.contains("\"vault/wrapping\""), "{rests}");
    std::fs::remove_dir_all(folder.path().join("tokens")).unwrap();
    std::fs::create_dir(folder.path().join("tokens")).unwrap();
    refused(state, folder.path(), "no token of this label is there").await;
}
