//! The data key: random, and on the disk only as wrapped under a wrapping key.
//!
//! This module must not know what is sealed with it.

use std::fs::{self, File};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use policies::code::Outage;
use policies::jose::constant_time_eq;
use policies::secret::Secret;
use serde::{Deserialize, Serialize};

use super::PORT;
use super::wrap::{DATA_KEY_FILE, KeyBytes, Wrapped, Wrapping};
use crate::entropy;
use crate::files::{private_directory, read_private, write_private};

/// The file in which version 0.1 kept the key in the clear.
const PLAIN_FILE: &str = "sealing.key";

/// The version of the file's form.
const VERSION: u32 = 1;

/// What a data key is wrapped for: nothing that was wrapped for something else is taken for one.
const PURPOSE: &[u8] = b"qaqpa data key, version 1";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DataKeyFile {
    version: u32,
    wrapping: String,
    key: String,
    nonce: String,
    ciphertext: String,
}

/// Loads the data key of a directory; makes both where they are missing, and takes a plain one of version 0.1 over.
pub(super) fn load_or_create(directory: &Path, wrapping: &dyn Wrapping) -> Result<KeyBytes, Outage> {
    private_directory(directory)?;
    let (wrapped_path, plain_path) = (directory.join(DATA_KEY_FILE), directory.join(PLAIN_FILE));
    let plain = plain(&plain_path)?;
    let key = if let Some(text) = read_private(&wrapped_path)? {
        open(&wrapped_path, &text, wrapping)?
    } else {
        let key = plain.clone().unwrap_or_else(|| Secret::new(entropy::random::<32>()));
        let text = Secret::new(sealed(&key, wrapping)?);
        // A file that never opens would stop every start to come: it is found out before there is one.
        let opened = open(&wrapped_path, &text, wrapping).map_err(|outage| unwritten(&outage.cause))?;
        if !constant_time_eq(opened.expose(), key.expose()) {
            return Err(unwritten(&format!("{}: the wrapping key gives back another key", wrapped_path.display())));
        }
        write_private(&wrapped_path, text.expose())?;
        key
    };
    match plain {
        None => Ok(key),
        Some(plain) if constant_time_eq(plain.expose(), key.expose()) => {
            remove(&plain_path)?;
            Ok(key)
        }
        Some(_) => Err(Outage::new(
            PORT,
            format!(
                "{} and {} hold different keys, and one of them opens what is stored; keep that one alone",
                plain_path.display(),
                wrapped_path.display()
            ),
        )),
    }
}

fn unwritten(why: &str) -> Outage {
    Outage::new(PORT, format!("the data key was wrapped and does not open again, so it was not written: {why}"))
}

fn plain(path: &Path) -> Result<Option<KeyBytes>, Outage> {
    let Some(text) = read_private(path)? else { return Ok(None) };
    let bytes = STANDARD.decode(text.expose().trim_ascii()).ok().map(Secret::new);
    let key = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes.expose().as_slice()).ok());
    let broken = || Outage::new(PORT, format!("{}: no key of 32 bytes in base64", path.display()));
    key.map(|key| Some(Secret::new(key))).ok_or_else(broken)
}

fn sealed(key: &KeyBytes, wrapping: &dyn Wrapping) -> Result<Vec<u8>, Outage> {
    let Wrapped { nonce, ciphertext } = wrapping.wrap(key, PURPOSE)?;
    let file = DataKeyFile {
        version: VERSION,
        wrapping: wrapping.kind().to_owned(),
        key: wrapping.key_id(),
        nonce: STANDARD.encode(nonce),
        ciphertext: STANDARD.encode(ciphertext),
    };
    let mut text = serde_json::to_vec_pretty(&file).map_err(|error| Outage::new(PORT, error))?;
    text.push(b'\n');
    Ok(text)
}

fn open(path: &Path, text: &Secret<Vec<u8>>, wrapping: &dyn Wrapping) -> Result<KeyBytes, Outage> {
    let told = |why: String| Outage::new(PORT, format!("{}: {why}", path.display()));
    let broken = || told("this is no wrapped data key; restore it from a backup".to_owned());
    let file: DataKeyFile = serde_json::from_slice(text.expose()).map_err(|_| broken())?;
    if file.version != VERSION {
        return Err(told(format!("its version is {}, this program reads {VERSION}", file.version)));
    }
    let configured = (wrapping.kind(), wrapping.key_id());
    if (file.wrapping.as_str(), file.key.as_str()) != (configured.0, configured.1.as_str()) {
        return Err(told(format!(
            "it was wrapped under {} {}, but the wrapping key in use is {} {}; configure the former under `keys`",
            shown(&file.wrapping),
            shown(&file.key),
            configured.0,
            configured.1
        )));
    }
    let nonce = STANDARD.decode(&file.nonce).ok().and_then(|nonce| nonce.try_into().ok()).ok_or_else(broken)?;
    let ciphertext = STANDARD.decode(&file.ciphertext).map_err(|_| broken())?;
    wrapping.open(&Wrapped { nonce, ciphertext }, PURPOSE).map_err(|outage| told(outage.cause))
}

// A file that somebody changed must not write what it likes into a terminal or a log.
fn shown(text: &str) -> String {
    text.chars().take(80).map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}

fn remove(path: &Path) -> Result<(), Outage> {
    let removed = fs::remove_file(path).and_then(|()| {
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
    });
    removed.map_err(|error| Outage::new(PORT, format!("{} cannot be removed: {error}", path.display())))
}

#[cfg(test)]
#[path = "data_key_tests.rs"]
mod tests;
