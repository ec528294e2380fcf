//! Files that only their owner reads.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use policies::code::Outage;
use policies::secret::Secret;

use super::PORT;
use crate::entropy;

/// The longest key or certificate file, in bytes: an RSA key of 4096 bits in PEM has about 3 KiB.
pub(super) const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Makes a directory of mode 0700; one that exists is taken over with its rights narrowed to that.
pub(super) fn private_directory(path: &Path) -> Result<(), Outage> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| outage(path, &error))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(|error| outage(path, &error))
}

/// Reads a private file; `None` if there is none.
///
/// A file that others may read is refused: what it holds may be known, and only a person can judge that.
pub(super) fn read_private(path: &Path) -> Result<Option<Secret<Vec<u8>>>, Outage> {
    let Some((file, metadata)) = open(path)? else { return Ok(None) };
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(Outage::new(PORT, format!("{}: others may read this private file; chmod 600 it", path.display())));
    }
    read_all(path, file).map(|bytes| Some(Secret::new(bytes)))
}

/// Reads a public file as text; `None` if there is none or it is no text.
pub(super) fn read_public(path: &Path) -> Result<Option<String>, Outage> {
    let Some((file, _)) = open(path)? else { return Ok(None) };
    Ok(String::from_utf8(read_all(path, file)?).ok())
}

/// Writes a file of mode 0600 so that after a crash there is either the old file or the new one.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Outage> {
    let temporary = path.with_extension(format!("{}.new", entropy::token_128bit()));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        // The new name is durable only once the directory is.
        path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
    })();
    written.map_err(|error: io::Error| {
        // If this fails too, a file of mode 0600 with a random name stays behind; nothing reads it.
        drop(fs::remove_file(&temporary));
        outage(path, &error)
    })
}

fn open(path: &Path) -> Result<Option<(File, fs::Metadata)>, Outage> {
    match File::open(path).and_then(|file| file.metadata().map(|metadata| (file, metadata))) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(outage(path, &error)),
    }
}

fn read_all(path: &Path, file: File) -> Result<Vec<u8>, Outage> {
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| outage(path, &error))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Outage::new(PORT, format!("{}: larger than {FILE_BYTES_MAX} bytes", path.display())));
    }
    Ok(bytes)
}

fn outage(path: &Path, error: &io::Error) -> Outage {
    Outage::new(PORT, format!("{}: {error}", path.display()))
}

#[cfg(test)]
pub(super) mod testing {
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
}
