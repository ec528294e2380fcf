//! The keys of this process: what it signs with, what it seals with, and a small authority for development.
//!
//! Keys are files of mode 0600 in a directory of mode 0700, written by rename, so that a crash leaves either the old file or
//! the new one. The data key, which seals, rests wrapped under a key that may be elsewhere; the keys that sign are sealed
//! under the data key, and so is each person's key. This module must not know what is signed or sealed.

mod authority;
mod client_key;
mod data_key;
mod keyring;
mod keyring_file;
mod live_keyring;
mod pkcs11;
mod provider;
mod seal;
mod signing;
mod subject;
mod wrap;
mod wrapping_key;

pub use authority::{AUTHORITY_LIFE, CertificateFiles, DevelopmentAuthority, LEAF_LIFE, RENEW_BEFORE};
pub use client_key::{private_jwk, public_part};
pub use keyring::{KeyState, Keyring, KnownKey, RETIRED_MAX};
pub use keyring_file::known_public;
pub use live_keyring::{LiveKeyring, NotRotated};
pub use pkcs11::TOKEN_TIME;
pub use provider::{install, provider};
pub use seal::Sealer;
pub use signing::SigningKey;
pub use subject::{Opened, Subjects, record_purpose};
pub use wrap::{KeyBytes, TokenKey, Wrapped, Wrapping};
pub use wrapping_key::{WrapSource, open_wrapping};

/// The name of this port in outages.
const PORT: &str = "keys";
