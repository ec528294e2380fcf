//! Notices that files have changed: by what the system says of them, not by reading them.
//!
//! A change counts when it has stood for one look: a file that is being written, and a folder that is being filled, are
//! left alone until they rest. Must not know what a file says.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use crate::folder::walk;
use crate::texts::{is_contract, may_be_keys};

/// What the system says of files and folders at one moment; equal if nothing has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signature(Vec<(PathBuf, Option<Stat>)>);

/// What is told of one file: a link counts as what it leads to, so that a folder that Kubernetes swaps is seen.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stat {
    place: (u64, u64),
    bytes: u64,
    modified: (i64, i64),
    // A file with the old size and time that was moved into place has a new one of these.
    changed: (i64, i64),
}

impl Signature {
    /// Looks at files, and at every text below folders; what is away, or in the way, is noted as such.
    #[must_use]
    pub fn of(places: &[PathBuf]) -> Self {
        // What is JSON and none of the set's is looked at in vain: it is read again, and nothing changes.
        let entries = places.iter().flat_map(|place| walk(place, |path| is_contract(path) || may_be_keys(path)));
        Self(entries.map(|entry| (entry.path, entry.found.ok().as_ref().map(stat))).collect())
    }
}

fn stat(metadata: &Metadata) -> Stat {
    Stat {
        place: (metadata.dev(), metadata.ino()),
        bytes: metadata.len(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    }
}

/// Watches places.
#[derive(Debug)]
pub struct Watch {
    // As it was when everything was read last.
    read: Signature,
    // As it was at the last look, if that was another.
    moved: Option<Signature>,
}

impl Watch {
    /// Begins to watch; what is there was read.
    #[must_use]
    pub fn begin(read: Signature) -> Self {
        Self { read, moved: None }
    }

    /// Tells whether to read everything again: something has changed, and has rested since the last look.
    #[must_use]
    pub fn has_settled(&mut self, now: Signature) -> bool {
        if now == self.read {
            self.moved = None;
            return false;
        }
        let rests = self.moved.as_ref() == Some(&now);
        self.moved = Some(now);
        rests
    }

    /// Notes that everything was read as it was then, well or not: a fault is told once, not at each look.
    pub fn was_read(&mut self, then: Signature) {
        self.read = then;
        self.moved = None;
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Self {
            let path = std::env::temp_dir().join(format!("qaqpa-watch-{}", adapters::entropy::uuid_v4()));
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.0.join(name), text).unwrap();
        }

        fn now(&self) -> Signature {
            Signature::of(std::slice::from_ref(&self.0))
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_has_not_rested_is_not_read_yet() {
        let scratch = Scratch::new();
        scratch.write("a.yaml", "a");
        let mut watch = Watch::begin(scratch.now());
        assert!(!watch.has_settled(scratch.now()));
        scratch.write("a.yaml", "half of");
        assert!(!watch.has_settled(scratch.now()), "the first look only notices");
        scratch.write("a.yaml", "half of a text");
        assert!(!watch.has_settled(scratch.now()), "it goes on changing");
        assert!(watch.has_settled(scratch.now()));
        watch.was_read(scratch.now());
        assert!(!watch.has_settled(scratch.now()) && !watch.has_settled(scratch.now()), "it is read once");
    }

    #[test]
    fn what_was_put_back_is_no_change() {
        let scratch = Scratch::new();
        scratch.write("a.yaml", "a");
        let mut watch = Watch::begin(scratch.now());
        scratch.write("b.yaml", "b");
        assert!(!watch.has_settled(scratch.now()));
        fs::remove_file(scratch.0.join("b.yaml")).unwrap();
        assert!(!watch.has_settled(scratch.now()) && !watch.has_settled(scratch.now()));
    }

    #[test]
    fn files_that_come_go_or_take_the_place_of_others_are_seen() {
        let scratch = Scratch::new();
        scratch.write("a.yaml", "a");
        let mut last = scratch.now();
        let mut is_new = || {
            let now = scratch.now();
            std::mem::replace(&mut last, now.clone()) != now
        };
        assert!(!is_new());
        fs::create_dir(scratch.0.join("inner")).unwrap();
        scratch.write("inner/b.yml", "b");
        assert!(is_new());
        // Of the same size and time.
        let old = fs::metadata(scratch.0.join("a.yaml")).unwrap().modified().unwrap();
        scratch.write(".a.new", "x");
        fs::File::options().write(true).open(scratch.0.join(".a.new")).unwrap().set_modified(old).unwrap();
        fs::rename(scratch.0.join(".a.new"), scratch.0.join("a.yaml")).unwrap();
        assert!(is_new());
        fs::remove_file(scratch.0.join("a.yaml")).unwrap();
        assert!(is_new());
        scratch.write("c.json", "{}");
        assert!(is_new());
        scratch.write("inner/keys.jwks", "{}");
        assert!(is_new());
        scratch.write("notes.txt", "none of ours");
        scratch.write(".hidden.yaml", "an editor's");
        assert!(!is_new());
    }

    #[test]
    fn a_folder_that_kubernetes_swaps_is_seen() {
        let scratch = Scratch::new();
        for version in ["..one", "..two"] {
            fs::create_dir(scratch.0.join(version)).unwrap();
            scratch.write(&format!("{version}/a.yaml"), "a");
        }
        symlink("..one", scratch.0.join("..data")).unwrap();
        symlink("..data/a.yaml", scratch.0.join("a.yaml")).unwrap();
        let before = scratch.now();
        assert_eq!(before.0.len(), 1);
        symlink("..two", scratch.0.join("..data_tmp")).unwrap();
        fs::rename(scratch.0.join("..data_tmp"), scratch.0.join("..data")).unwrap();
        assert_ne!(scratch.now(), before);
    }
}
