//! Disks of the program's own that are full, or slow.
//!
//! A full one is a file system in memory that only the program sees: it is mounted in a mount namespace, which is gone with
//! the program, however that ends. A slow one is a library before the system's own, through which the program makes files
//! durable. Neither needs more than Linux gives every user, where it gives users namespaces.

use std::ffi::OsStr;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::program::Program;

/// What the shell does in the namespace: a file system of its own in place of a folder, with what is in that, but for
/// folders that stay where they are. The arguments: the folder, its size, where to build it, the folders that stay, `--`.
const MOUNT: &str = r#"
    set -e
    folder=$1 size=$2 place=$3
    shift 3
    mount -t tmpfs -o "size=$size,mode=0700" qaqpa-small "$place"
    cp -a "$folder/." "$place/"
    while [ "$1" != -- ]; do
        mount --bind "$folder/$1" "$place/$1"
        shift
    done
    shift
    mount --rbind "$place" "$folder"
    exec "$@"
"#;

/// A program one of whose folders is a small file system.
#[derive(Debug)]
pub struct SmallDisk {
    /// The program.
    pub program: Program,
    folder: PathBuf,
}

impl SmallDisk {
    /// Starts the program with `bytes` of room in `folder`, where `staying` are folders that it does not hold; `place` is
    /// an empty folder elsewhere.
    #[must_use]
    pub fn start<A: AsRef<OsStr>>(folder: &Path, bytes: u64, place: &Path, staying: &[&str], arguments: &[A]) -> Self {
        let mut command = Command::new("unshare");
        // Whoever is not root is it in a namespace of users, and only there.
        if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
            command.arg("--map-root-user");
        }
        command.args(["--mount", "sh", "-c", MOUNT, "sh"]).arg(folder).arg(bytes.to_string()).arg(place);
        command.args(staying).arg("--");
        Self { program: Program::start_by(command, arguments), folder: folder.to_owned() }
    }

    /// Returns where we see what the program sees in a folder.
    #[must_use]
    pub fn seen(&self, path: &Path) -> PathBuf {
        Path::new("/proc").join(self.program.id.to_string()).join("root").join(path.strip_prefix("/").unwrap())
    }

    /// Takes all the room that is left.
    pub fn fill(&self) {
        let mut file = std::fs::File::create(self.filler()).unwrap();
        let mut piece = [0_u8; 64 * 1024].as_slice();
        loop {
            match file.write(piece) {
                Ok(_) => {}
                // At last byte by byte: half a page is room for a record.
                Err(error) if error.kind() == ErrorKind::StorageFull && piece.len() > 1 => piece = piece.split_at(1).0,
                Err(error) if error.kind() == ErrorKind::StorageFull => return,
                Err(error) => panic!("the disk cannot be filled: {error}"),
            }
        }
    }

    /// Gives the room back.
    pub fn free(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.seen(&self.folder).join("filler")
    }
}

/// What stands before the system's own: waits as many milliseconds as a file says, for files whose path has a text in it.
const SLOW: &str = r#"
    #define _GNU_SOURCE
    #include <dlfcn.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <string.h>
    #include <unistd.h>
    static void wait_for(int descriptor) {
        char link[64], path[4096];
        unsigned milliseconds = 0;
        snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
        ssize_t length = readlink(link, path, sizeof path - 1);
        if (length < 0) return;
        path[length] = 0;
        if (!strstr(path, getenv("SLOW_PATH"))) return;
        FILE *file = fopen(getenv("SLOW_FILE"), "r");
        if (!file) return;
        if (fscanf(file, "%u", &milliseconds) == 1 && milliseconds) usleep(milliseconds * 1000);
        fclose(file);
    }
    int fdatasync(int descriptor) {
        wait_for(descriptor);
        return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(descriptor);
    }
    int fsync(int descriptor) {
        wait_for(descriptor);
        return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(descriptor);
    }
"#;

/// A program for which one folder is on a disk as slow as we like.
#[derive(Debug)]
pub struct SlowDisk {
    /// The program.
    pub program: Program,
    delay: PathBuf,
}

impl SlowDisk {
    /// Starts the program with a disk that is quick at first, in every path that has `part` in it; `place` is an empty
    /// folder elsewhere.
    #[must_use]
    pub fn start<A: AsRef<OsStr>>(part: &str, place: &Path, arguments: &[A]) -> Self {
        let (source, library, delay) = (place.join("slow.c"), place.join("slow.so"), place.join("delay"));
        std::fs::write(&source, SLOW).unwrap();
        std::fs::write(&delay, "0").unwrap();
        // Who builds this house has a C compiler: the crypto backend needs it.
        let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        let built =
            Command::new(compiler).args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).arg("-ldl").status();
        assert!(built.is_ok_and(|status| status.success()), "the slow disk cannot be built");
        let mut command = Command::new("env");
        let variable = |name: &str, value: &OsStr| {
            let mut text = std::ffi::OsString::from(name);
            text.push("=");
            text.push(value);
            text
        };
        command.arg(variable("LD_PRELOAD", library.as_os_str()));
        command.arg(variable("SLOW_FILE", delay.as_os_str())).arg(variable("SLOW_PATH", OsStr::new(part)));
        Self { program: Program::start_by(command, arguments), delay }
    }

    /// Has each wait for the disk take so long from now on.
    pub fn takes(&self, delay: Duration) {
        let new = self.delay.with_extension("new");
        std::fs::write(&new, delay.as_millis().to_string()).unwrap();
        std::fs::rename(new, &self.delay).unwrap();
    }
}
