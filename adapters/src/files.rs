//! Files that only their owner reads, and the directories they lie in.
//!
//! This module must not know what is in a file.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use policies::code::Outage;
use policies::secret::Secret;

use crate::entropy;

/// The name of this port in outages.
const PORT: &str = "files";

/// The longest key or certificate file that is read, in bytes: an RSA key of 4096 bits in PEM has about 3 KiB.
pub(crate) const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Opening does not wait: the value of `O_NONBLOCK` in `fcntl.h` of Linux (x86-64, ARM, RISC-V), and of macOS.
const O_NONBLOCK: i32 = if cfg!(target_os = "macos") { 0x0004 } else { 0o4000 };

/// Opens a regular file to read it; gives what the system says of it.
///
/// A pipe would make whoever opens it wait for a writer, and a device may never end: neither is opened to be read, nor
/// is it if it took the place of a file in between.
///
/// # Errors
/// Those of the system, and [`io::ErrorKind::InvalidInput`] for what is no regular file.
pub fn open_regular(path: &Path) -> io::Result<(File, fs::Metadata)> {
    // To open a device may already do something, so that it is asked for by name first.
    regular(fs::metadata(path)?)?;
    let file = open_at_once(path)?;
    let metadata = regular(file.metadata()?)?;
    Ok((file, metadata))
}

/// Reads a regular file whole, if it has at most so many bytes, whatever the system says of its size.
///
/// # Errors
/// As of [`open_regular`], and [`io::ErrorKind::FileTooLarge`].
pub fn read_regular(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    open_regular(path).and_then(|(file, _)| read_at_most(file, bytes_max))
}

/// Reads the rest of a file, if that has at most so many bytes.
///
/// # Errors
/// As of [`read_regular`].
pub fn read_at_most(file: File, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {bytes_max} bytes")));
    }
    Ok(bytes)
}

/// Makes a directory of mode 0700; one of ours that exists is taken over with its rights narrowed to that.
///
/// # Errors
/// An [`Outage`] with the path if it cannot be made, is a symbolic link, belongs to another user, or has the sticky bit,
/// which marks a directory for everybody, such as `/tmp`.
pub fn private_directory(path: &Path) -> Result<(), Outage> {
    // Without the slash at the end, behind which a symbolic link would look like what it leads to.
    let path: &Path = &path.components().collect::<PathBuf>();
    let refused = |cause: &str| Outage::new(PORT, format!("{}: {cause}", path.display()));
    let failed = |error: io::Error| outage(path, &error);
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    let named = fs::symlink_metadata(path).map_err(failed)?;
    if !named.is_dir() {
        return Err(refused("a symbolic link in place of a private directory"));
    }
    let directory = File::open(path).map_err(failed)?;
    let opened = directory.metadata().map_err(failed)?;
    // From here on the name is of no more use: whoever changes what it stands for gains nothing.
    if (opened.dev(), opened.ino()) != (named.dev(), named.ino()) {
        return Err(refused("the directory was exchanged while it was looked at"));
    }
    if opened.uid() != our_user().map_err(failed)? {
        return Err(refused("this private directory belongs to another user"));
    }
    if opened.mode() & 0o1000 != 0 {
        return Err(refused("this directory is for everybody (sticky bit); name one below it"));
    }
    directory.set_permissions(fs::Permissions::from_mode(0o700)).map_err(failed)
}

/// Reads a private file; `None` if there is none.
///
/// A file that others may read is refused: what it holds may be known, and only a person can judge that.
pub(crate) fn read_private(path: &Path) -> Result<Option<Secret<Vec<u8>>>, Outage> {
    let Some((file, metadata)) = open(path)? else { return Ok(None) };
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(Outage::new(PORT, format!("{}: others may read this private file; chmod 600 it", path.display())));
    }
    read_all(path, file).map(|bytes| Some(Secret::new(bytes)))
}

/// Reads a public file as text; `None` if there is none or it is no text.
pub(crate) fn read_public(path: &Path) -> Result<Option<String>, Outage> {
    let Some((file, _)) = open(path)? else { return Ok(None) };
    Ok(String::from_utf8(read_all(path, file)?).ok())
}

/// Writes a file of mode 0600 so that after a crash there is either the old file or the new one.
///
/// It is written under a random name in the same directory and then renamed, so that neither a file nor a link that
/// somebody has put there is written to.
///
/// # Errors
/// An [`Outage`] with the path if it cannot be written; the old file is still there then.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Outage> {
    let temporary = path.with_extension(format!("{}.new", entropy::token_128bit()));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        // The new name is durable only once the directory is.
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
    })();
    written.map_err(|error: io::Error| {
        // If this fails too, a file of mode 0600 with a random name stays behind; nothing reads it.
        drop(fs::remove_file(&temporary));
        outage(path, &error)
    })
}

fn open(path: &Path) -> Result<Option<(File, fs::Metadata)>, Outage> {
    match open_regular(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(outage(path, &error)),
    }
}

fn open_at_once(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(path)
}

fn regular(metadata: fs::Metadata) -> io::Result<fs::Metadata> {
    if metadata.is_file() {
        return Ok(metadata);
    }
    let what = if metadata.is_dir() { "a folder, not a file" } else { "neither a file nor a folder" };
    Err(io::Error::new(io::ErrorKind::InvalidInput, what))
}

fn read_all(path: &Path, file: File) -> Result<Vec<u8>, Outage> {
    read_at_most(file, FILE_BYTES_MAX).map_err(|error| outage(path, &error))
}

/// Tells as whom this process makes files: a new pipe is a file of its maker that lies in no directory.
fn our_user() -> io::Result<u32> {
    let (reader, _writer) = io::pipe()?;
    Ok(File::from(OwnedFd::from(reader)).metadata()?.uid())
}

fn outage(path: &Path, error: &io::Error) -> Outage {
    Outage::new(PORT, format!("{}: {error}", path.display()))
}

#[cfg(test)]
pub(crate) mod testing {
    use std::path::PathBuf;

    use super::*;

    /// A directory of its own for one test, removed at the end.
    pub(crate) struct Scratch(pub(crate) PathBuf);

    impl Scratch {
        pub(crate) fn new() -> Self {
            Self(std::env::temp_dir().join(format!("qaqpa-keys-{}", entropy::token_128bit())))
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    /// The rights of a file.
    pub(crate) fn mode(path: &Path) -> u32 {
        fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode() & 0o777)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::testing::{Scratch, mode};
    use super::*;

    #[test]
    fn a_private_file_that_others_may_read_is_refused() {
        let scratch = Scratch::new();
        private_directory(&scratch.0).unwrap();
        let path = scratch.0.join("key");
        write_private(&path, b"secret").unwrap();
        for rights in [0o640, 0o604, 0o660, 0o644] {
            fs::set_permissions(&path, fs::Permissions::from_mode(rights)).unwrap();
            let outage = read_private(&path).unwrap_err();
            assert!(outage.cause.contains("others may read"), "{rights:o}: {outage}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read_private(&path).unwrap().unwrap().expose(), b"secret");
    }

    #[test]
    fn files_and_directories_are_the_owners_alone() {
        let scratch = Scratch::new();
        fs::create_dir(&scratch.0).unwrap();
        fs::set_permissions(&scratch.0, fs::Permissions::from_mode(0o755)).unwrap();
        private_directory(&scratch.0).unwrap();
        assert_eq!(mode(&scratch.0), 0o700);
        let path = scratch.0.join("key");
        write_private(&path, b"one").unwrap();
        write_private(&path, b"two").unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(read_private(&path).unwrap().unwrap().expose(), b"two");
        assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 1, "nothing is left behind");
    }

    #[test]
    fn a_link_is_no_private_directory() {
        let scratch = Scratch::new();
        private_directory(&scratch.0.join("real")).unwrap();
        let real = scratch.0.join("real");
        fs::set_permissions(&real, fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink(&real, scratch.0.join("link")).unwrap();
        for name in ["link", "link/", "link/."] {
            let outage = private_directory(&scratch.0.join(name)).unwrap_err();
            assert!(outage.cause.contains("symbolic link"), "{outage}");
        }
        assert_eq!(mode(&real), 0o755);
        private_directory(&scratch.0.join("real/")).unwrap();
        assert_eq!(mode(&real), 0o700);
    }

    #[test]
    fn the_directory_of_another_user_or_of_everybody_is_refused() {
        let scratch = Scratch::new();
        private_directory(&scratch.0).unwrap();
        let shared = scratch.0.join("shared");
        fs::create_dir(&shared).unwrap();
        fs::set_permissions(&shared, fs::Permissions::from_mode(0o1777)).unwrap();
        assert!(private_directory(&shared).unwrap_err().cause.contains("sticky bit"));
        assert_eq!(fs::metadata(&shared).unwrap().mode() & 0o7777, 0o1777);
        if std::os::unix::fs::chown(&shared, Some(our_user().unwrap() + 1), None).is_ok() {
            // Only the superuser may give a directory away; for all others the root directory is another user's.
            assert!(private_directory(&shared).unwrap_err().cause.contains("another user"));
        } else {
            assert!(private_directory(Path::new("/")).unwrap_err().cause.contains("another user"));
        }
    }

    #[test]
    fn what_lies_under_the_name_is_replaced_and_never_written_to() {
        let scratch = Scratch::new();
        private_directory(&scratch.0).unwrap();
        let (victim, path) = (scratch.0.join("victim"), scratch.0.join("key"));
        fs::write(&victim, "theirs").unwrap();
        for name in ["key", "key.new"] {
            std::os::unix::fs::symlink(&victim, scratch.0.join(name)).unwrap();
        }
        write_private(&path, b"secret").unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"theirs");
        assert_eq!(mode(&path), 0o600);
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
    }

    #[test]
    fn a_file_has_a_limit_and_may_be_absent() {
        let scratch = Scratch::new();
        private_directory(&scratch.0).unwrap();
        let path = scratch.0.join("key");
        assert!(read_private(&path).unwrap().is_none());
        write_private(&path, &vec![b'a'; FILE_BYTES_MAX as usize]).unwrap();
        assert!(read_private(&path).is_ok());
        write_private(&path, &vec![b'a'; FILE_BYTES_MAX as usize + 1]).unwrap();
        assert!(read_private(&path).is_err());
    }

    #[test]
    fn what_is_no_regular_file_is_never_waited_for() {
        let scratch = Scratch::new();
        private_directory(&scratch.0).unwrap();
        let pipe = scratch.0.join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for path in [&pipe, Path::new("/dev/zero"), &scratch.0] {
            let error = read_regular(path, 10).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{}: {error}", path.display());
        }
        // One that takes the place of a file between the look and the opening: nobody will ever write into it.
        assert!(regular(open_at_once(&pipe).unwrap().metadata().unwrap()).is_err());
    }

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let scratch = Scratch::new();
        private_directory(&scratch.0).unwrap();
        let path = scratch.0.join("text");
        fs::write(&path, "0123456789").unwrap();
        assert_eq!(read_regular(&path, 9).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(read_regular(&path, 10).unwrap(), b"0123456789");
        // The system says that it has no bytes, and it has some.
        assert_eq!(read_regular(Path::new("/proc/self/status"), 10).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
