//! The built program, as an operator runs it: by its arguments, its signals, its exit code and what it says.

use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use tokio::sync::watch;

use crate::world::PATIENCE;

/// Returns where the program is; builds it before the first use, so that it is never an old one.
pub fn path() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        // The tests are in `deps` beside it.
        let own = std::env::current_exe().unwrap();
        let folder = own.parent().and_then(Path::parent).unwrap();
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--locked", "-p", "gateway", "--bin", "qaqpa"]);
        build.arg("--manifest-path").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml"));
        build.arg("--target-dir").arg(folder.parent().unwrap());
        if folder.ends_with("release") {
            build.arg("--release");
        }
        // What cargo tells this test about its own package is not meant for the build of another.
        for (name, _) in std::env::vars_os() {
            let told = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_", "CARGO_PRIMARY_"];
            if told.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
                build.env_remove(name);
            }
        }
        let status = build.stdin(Stdio::null()).status().unwrap();
        assert!(status.success(), "the program does not build");
        folder.join("qaqpa")
    })
}

/// What is left of a program that has ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub out: String,
    /// What it wrote to standard error.
    pub err: String,
}

impl Ended {
    /// Checks the exit code.
    #[track_caller]
    pub fn with(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        self
    }
}

/// Runs the program to its end.
pub async fn run<A: AsRef<OsStr>>(arguments: &[A]) -> Ended {
    Program::start(arguments).ended().await
}

/// The program while it runs; killed when dropped.
#[derive(Debug)]
pub struct Program {
    /// Its process.
    pub id: u32,
    out: watch::Receiver<String>,
    err: watch::Receiver<String>,
    code: watch::Receiver<Option<Option<i32>>>,
}

impl Program {
    /// Starts it.
    #[must_use]
    pub fn start<A: AsRef<OsStr>>(arguments: &[A]) -> Self {
        Self::begin(Command::new(path()), arguments)
    }

    /// Starts it by way of another program, which prepares its place and then becomes it.
    #[must_use]
    pub fn start_by<A: AsRef<OsStr>>(mut other: Command, arguments: &[A]) -> Self {
        other.arg(path());
        Self::begin(other, arguments)
    }

    fn begin<A: AsRef<OsStr>>(mut command: Command, arguments: &[A]) -> Self {
        command.args(arguments).env("NO_COLOR", "1");
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (id, out, err) = (child.id(), heard(child.stdout.take().unwrap()), heard(child.stderr.take().unwrap()));
        Self { id, out, err, code: awaited(child) }
    }

    /// Sends it a signal, by its name without `SIG`.
    pub fn signal(&self, name: &str) {
        let _ = Command::new("kill").arg(format!("-{name}")).arg(self.id.to_string()).status();
    }

    /// Waits until standard output holds a text, and gives all of it.
    pub async fn says(&mut self, text: &str) -> String {
        until(&mut self.out, text).await
    }

    /// Waits until standard error holds a text, and gives all of it.
    pub async fn complains(&mut self, text: &str) -> String {
        until(&mut self.err, text).await
    }

    /// Waits for its end.
    pub async fn ended(mut self) -> Ended {
        let ending = async {
            let code = *self.code.wait_for(Option::is_some).await.unwrap();
            // Both are closed by now, or soon.
            while self.out.changed().await.is_ok() {}
            while self.err.changed().await.is_ok() {}
            code.flatten()
        };
        let code = tokio::time::timeout(PATIENCE * 2, ending).await.unwrap_or_else(|_| panic!("it does not end"));
        Ended { code, out: self.out.borrow().clone(), err: self.err.borrow().clone() }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if self.code.borrow().is_none() {
            self.signal("KILL");
        }
    }
}

fn heard(mut pipe: impl Read + Send + 'static) -> watch::Receiver<String> {
    let (told, heard) = watch::channel(String::new());
    std::thread::spawn(move || {
        let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
        while let Ok(count) = pipe.read(&mut buffer) {
            if count == 0 {
                break;
            }
            all.extend_from_slice(buffer.get(..count).unwrap());
            let _ = told.send(String::from_utf8_lossy(&all).into_owned());
        }
    });
    heard
}

fn awaited(mut child: Child) -> watch::Receiver<Option<Option<i32>>> {
    let (told, code) = watch::channel(None);
    std::thread::spawn(move || {
        let status = child.wait().unwrap();
        let _ = told.send(Some(status.code()));
    });
    code
}

async fn until(heard: &mut watch::Receiver<String>, text: &str) -> String {
    let waiting = async { heard.wait_for(|all| all.contains(text)).await.map(|all| all.clone()) };
    match tokio::time::timeout(PATIENCE, waiting).await {
        Ok(Ok(all)) => all,
        _ => panic!("it never says {text}: {}", heard.borrow().as_str()),
    }
}
