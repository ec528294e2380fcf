//! Fetches secrets from where references say they are kept.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use policies::language::decode::SecretReference;
use policies::secret::Secret;

/// The longest secret, in bytes: keys and tokens are far below, and a reference to a wrong file must not fill memory.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Reads a secret, without white space around it.
///
/// # Errors
/// What is wrong with the place it is kept in, as text without the secret.
pub fn read(reference: &SecretReference) -> Result<Secret<Vec<u8>>, String> {
    let bytes = match reference {
        SecretReference::File(path) => private_file(Path::new(path))?,
        SecretReference::Environment(name) => std::env::var(name)
            .map_err(|_| format!("the environment has no variable {name}, which a secret refers to"))?
            .into_bytes(),
    };
    let bytes = Secret::new(bytes);
    Ok(Secret::new(bytes.expose().trim_ascii().to_vec()))
}

/// Reads a secret that is text.
///
/// # Errors
/// As of [`read`], and for bytes that are no UTF-8.
pub fn read_text(reference: &SecretReference) -> Result<Secret<String>, String> {
    let bytes = read(reference)?;
    let text = String::from_utf8(bytes.expose().clone()).map_err(|_| "a secret that should be text is not".to_owned());
    text.map(Secret::new)
}

/// Reads a file that only its owner can read.
///
/// # Errors
/// That it cannot be read, that others can read it too, or that it is too long.
pub fn private_file(path: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |error: std::io::Error| format!("the secret file {} cannot be read: {error}", path.display());
    let found = std::fs::metadata(path).map_err(unreadable)?;
    if found.permissions().mode() & 0o077 != 0 {
        return Err(format!("{0} can be read by others; run: chmod 600 {0}", path.display()));
    }
    if found.len() > SECRET_BYTES_MAX {
        return Err(format!("{} is too long for a secret", path.display()));
    }
    std::fs::read(path).map_err(unreadable)
}
