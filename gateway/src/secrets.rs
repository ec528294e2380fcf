//! Fetches secrets from where references say they are kept.

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use adapters::files::{open_regular, read_at_most};
use policies::admin::{ADMIN_TOKEN_MIN, AdminEntry};
use policies::callback::SECRET_BYTES_MIN;
use policies::id::ProviderId;
use policies::jose::sha256;
use policies::language::decode::SecretReference;
use policies::secret::Secret;

use crate::config::{AdministratorConfig, Config};

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
/// That it cannot be read, that it is no regular file, that others can read it too, or that it is too long.
pub fn private_file(path: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |error: std::io::Error| format!("the secret file {} cannot be read: {error}", path.display());
    let (file, found) = open_regular(path).map_err(unreadable)?;
    if found.permissions().mode() & 0o077 != 0 {
        return Err(format!("{0} can be read by others; run: chmod 600 {0}", path.display()));
    }
    read_at_most(file, SECRET_BYTES_MAX).map_err(unreadable)
}

/// The secrets of the configuration that are read again at each reload.
#[derive(Debug, Default)]
pub struct Secrets {
    /// Those under which providers sign their callbacks.
    pub webhooks: HashMap<ProviderId, Secret<Vec<u8>>>,
    /// Who administers, with the hashes of their tokens.
    pub administrators: Vec<AdminEntry>,
}

/// A secret that cannot be used, with the file it should be in, if it is a file.
#[derive(Debug)]
pub struct SecretFault {
    /// The file.
    pub path: Option<PathBuf>,
    /// What is wrong, without the secret.
    pub cause: String,
}

impl Secrets {
    /// Reads them.
    ///
    /// # Errors
    /// Each one that cannot be used.
    pub fn read(config: &Config) -> Result<Self, Vec<SecretFault>> {
        let (mut secrets, mut faults) = (Self::default(), Vec::new());
        for provider in &config.providers {
            match webhook_secret(&provider.webhook_secret) {
                Ok(secret) => drop(secrets.webhooks.insert(provider.id.clone(), secret)),
                Err(cause) => faults.push(SecretFault {
                    path: file_of(&provider.webhook_secret),
                    cause: format!("the webhook secret of provider {}: {cause}", provider.id),
                }),
            }
        }
        for administrator in &config.administrators {
            match entry(administrator) {
                Ok(entry) => secrets.administrators.push(entry),
                Err(cause) => faults.push(SecretFault {
                    path: Some(administrator.token_file.clone()),
                    cause: format!("administrator {}: {cause}", administrator.id),
                }),
            }
        }
        if faults.is_empty() { Ok(secrets) } else { Err(faults) }
    }

    /// Returns the files that they are read from.
    #[must_use]
    pub fn places(config: &Config) -> Vec<PathBuf> {
        let webhooks = config.providers.iter().filter_map(|provider| file_of(&provider.webhook_secret));
        webhooks.chain(config.administrators.iter().map(|administrator| administrator.token_file.clone())).collect()
    }

    /// Tells whether they are the same.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        let hashes = |secrets: &Self| -> Vec<[u8; 32]> {
            secrets.administrators.iter().map(|administrator| administrator.token_hash).collect()
        };
        let same = |id: &ProviderId, secret: &Secret<Vec<u8>>| {
            other.webhooks.get(id).is_some_and(|known| sha256(known.expose()) == sha256(secret.expose()))
        };
        hashes(self) == hashes(other) && self.webhooks.iter().all(|(id, secret)| same(id, secret))
    }
}

fn file_of(reference: &SecretReference) -> Option<PathBuf> {
    match reference {
        SecretReference::File(path) => Some(PathBuf::from(path)),
        SecretReference::Environment(_) => None,
    }
}

fn webhook_secret(reference: &SecretReference) -> Result<Secret<Vec<u8>>, String> {
    let secret = read(reference)?;
    if secret.expose().len() < SECRET_BYTES_MIN {
        return Err(format!("a webhook secret has at least {SECRET_BYTES_MIN} bytes"));
    }
    Ok(secret)
}

fn entry(administrator: &AdministratorConfig) -> Result<AdminEntry, String> {
    let token = Secret::new(private_file(&administrator.token_file)?);
    let token = token.expose().trim_ascii();
    if token.len() < ADMIN_TOKEN_MIN {
        return Err(format!("the token has fewer than {ADMIN_TOKEN_MIN} characters"));
    }
    let (id, roles) = (administrator.id.clone(), administrator.roles.clone());
    Ok(AdminEntry { id, roles, token_hash: sha256(token) })
}
