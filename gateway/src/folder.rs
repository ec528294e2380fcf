//! What lies below a folder of texts: looked at in one order, by everybody alike, and within limits.
//!
//! What cannot be looked at is an entry too, with what is wrong: a part of a policy set that is away for a moment must
//! not look like one that was taken out. Must not know what a file says.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// How deep folders may lie in each other, links counted: nobody writes policies so deep, and a link can lead in circles.
pub const DEPTH_MAX: usize = 16;

/// How many files and folders are looked at below one place: five times the parts that a contract may have, and each look
/// of the watch asks the system about all of them.
pub const ENTRIES_MAX: usize = 10_000;

/// A text, or what is in the way of one.
#[derive(Debug)]
pub struct Entry {
    /// Where it lies.
    pub path: PathBuf,
    /// What the system says of the file, behind every link; or what is wrong with it.
    pub found: Result<Metadata, String>,
}

/// Looks at a file, or at every text below a folder, in the order of their names.
#[must_use]
pub fn walk(place: &Path, is_text: fn(&Path) -> bool) -> Vec<Entry> {
    let mut walk = Walk { is_text, way: Vec::new(), left: ENTRIES_MAX, found: Vec::new() };
    walk.look(place.to_owned(), fs::metadata(place));
    walk.found
}

struct Walk {
    is_text: fn(&Path) -> bool,
    // Device and number of every folder that the walk is in: their names say nothing, for links can give them others.
    way: Vec<(u64, u64)>,
    left: usize,
    found: Vec<Entry>,
}

impl Walk {
    fn look(&mut self, path: PathBuf, stat: io::Result<Metadata>) {
        let found = match stat {
            Ok(folder) if folder.is_dir() => match self.enter(&path, &folder) {
                Ok(()) => return,
                Err(cause) => Err(cause),
            },
            Ok(file) if file.is_file() => Ok(file),
            // A pipe would be waited for, and a device may never end.
            Ok(_) => Err("it is neither a file nor a folder".to_owned()),
            Err(error) => Err(unreadable(&error)),
        };
        self.found.push(Entry { path, found });
    }

    fn enter(&mut self, path: &Path, folder: &Metadata) -> Result<(), String> {
        let place = (folder.dev(), folder.ino());
        if self.way.contains(&place) {
            return Err("this link leads back to a folder that it lies in".to_owned());
        }
        if self.way.len() >= DEPTH_MAX {
            return Err(format!("it lies deeper than {DEPTH_MAX} folders"));
        }
        let inner = self.list(path)?;
        self.way.push(place);
        for path in inner {
            let stat = fs::metadata(&path);
            if self.counts(&path, &stat) {
                self.look(path, stat);
            }
        }
        self.way.pop();
        Ok(())
    }

    fn list(&mut self, folder: &Path) -> Result<Vec<PathBuf>, String> {
        let mut inner = Vec::new();
        for entry in fs::read_dir(folder).map_err(|error| unreadable(&error))? {
            let path = entry.map_err(|error| unreadable(&error))?.path();
            self.left = self.left.checked_sub(1).ok_or_else(too_many)?;
            if !is_hidden(&path) {
                inner.push(path);
            }
        }
        inner.sort();
        Ok(inner)
    }

    fn counts(&self, path: &Path, stat: &io::Result<Metadata>) -> bool {
        match stat {
            Ok(found) => found.is_dir() || (self.is_text)(path),
            // It was there a moment ago and was no text: an editor's. A link that leads nowhere has not gone, though, and
            // what it led to may have been a folder with half of the policies.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                (self.is_text)(path) || fs::symlink_metadata(path).is_ok()
            }
            // Whether it is a folder is not known.
            Err(_) => true,
        }
    }
}

/// What begins with a dot belongs to editors and to Kubernetes.
fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

fn too_many() -> String {
    format!("it is one folder too many: only {ENTRIES_MAX} files and folders are looked at")
}

fn unreadable(error: &io::Error) -> String {
    format!("it cannot be read: {error}")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use std::os::unix::fs::symlink;

    use super::*;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Self {
            let path = std::env::temp_dir().join(format!("qaqpa-folder-{}", adapters::entropy::uuid_v4()));
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn walk(&self) -> Vec<(String, Result<(), String>)> {
            let told = |entry: Entry| {
                let name = entry.path.strip_prefix(&self.0).unwrap().display().to_string();
                (name, entry.found.map(|_| ()))
            };
            walk(&self.0, |path| path.extension().is_some_and(|end| end == "yaml")).into_iter().map(told).collect()
        }

        fn fault(&self, name: &str) -> String {
            let found = self.walk().into_iter().find(|(path, _)| path == name);
            found.unwrap_or_else(|| (String::new(), Ok(()))).1.err().unwrap_or_else(|| "nothing".to_owned())
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_is_neither_file_nor_folder_is_told() {
        let scratch = Scratch::new();
        for name in ["a.yaml", "notes"] {
            let made = std::process::Command::new("mkfifo").arg(scratch.0.join(name)).status().unwrap();
            assert!(made.success());
        }
        symlink("/dev/zero", scratch.0.join("b.yaml")).unwrap();
        let faults = scratch.walk();
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults.iter().all(|(_, found)| found.as_ref().unwrap_err().contains("neither a file nor a folder")));
    }

    #[test]
    fn links_that_lead_back_are_told_and_not_followed() {
        let scratch = Scratch::new();
        fs::create_dir_all(scratch.0.join("one/two")).unwrap();
        fs::write(scratch.0.join("one/two/a.yaml"), "").unwrap();
        for name in ["x", "y", "one/up", "one/two/up"] {
            symlink(&scratch.0, scratch.0.join(name)).unwrap();
            assert!(scratch.fault(name).contains("leads back"), "{name}: {}", scratch.fault(name));
        }
        assert_eq!(scratch.walk().len(), 5, "each once");
    }

    #[test]
    fn a_link_into_another_folder_is_followed() {
        let (scratch, other) = (Scratch::new(), Scratch::new());
        fs::write(other.0.join("a.yaml"), "").unwrap();
        symlink(&other.0, scratch.0.join("linked")).unwrap();
        assert_eq!(scratch.walk(), [("linked/a.yaml".to_owned(), Ok(()))]);
    }

    #[test]
    fn folders_lie_so_deep_and_no_deeper() {
        let scratch = Scratch::new();
        // The place itself is the first.
        let deepest = vec!["d"; DEPTH_MAX - 1].join("/");
        fs::create_dir_all(scratch.0.join(&deepest)).unwrap();
        fs::write(scratch.0.join(&deepest).join("a.yaml"), "").unwrap();
        assert_eq!(scratch.walk(), [(format!("{deepest}/a.yaml"), Ok(()))]);
        fs::create_dir(scratch.0.join(&deepest).join("d")).unwrap();
        assert!(scratch.fault(&format!("{deepest}/d")).contains("deeper than 16"));
    }

    #[test]
    fn so_many_entries_are_looked_at_and_no_more() {
        let scratch = Scratch::new();
        fs::create_dir(scratch.0.join("in")).unwrap();
        for number in 1..ENTRIES_MAX {
            fs::write(scratch.0.join(format!("in/{number}.yaml")), "").unwrap();
        }
        let found = scratch.walk();
        assert!(found.len() == ENTRIES_MAX - 1 && found.iter().all(|(_, found)| found.is_ok()));
        fs::write(scratch.0.join("in/0.yaml"), "").unwrap();
        assert!(scratch.fault("in").contains("only 10000 files"), "{:?}", scratch.walk());
    }

    #[test]
    fn folders_that_fan_out_by_links_end_at_the_limit() {
        let scratch = Scratch::new();
        for depth in 0..DEPTH_MAX {
            let folder = scratch.0.join(format!(".{depth}"));
            fs::create_dir(&folder).unwrap();
            for name in ["a", "b", "c"] {
                symlink(format!("../.{}", depth + 1), folder.join(name)).unwrap();
            }
        }
        fs::create_dir(scratch.0.join(format!(".{DEPTH_MAX}"))).unwrap();
        symlink(".0", scratch.0.join("in")).unwrap();
        let found = scratch.walk();
        assert!(found.len() <= ENTRIES_MAX && found.iter().any(|(_, found)| found.is_err()), "{}", found.len());
    }

    #[test]
    fn what_a_link_led_to_is_missed() {
        let scratch = Scratch::new();
        fs::write(scratch.0.join("a.yaml"), "").unwrap();
        symlink("nowhere", scratch.0.join("linked")).unwrap();
        symlink("nowhere", scratch.0.join("notes.txt")).unwrap();
        symlink("round", scratch.0.join("round")).unwrap();
        symlink("nowhere", scratch.0.join(".hidden")).unwrap();
        let faults: Vec<String> =
            scratch.walk().into_iter().filter(|(_, found)| found.is_err()).map(|(name, _)| name).collect();
        assert_eq!(faults, ["linked", "notes.txt", "round"]);
    }
}
