//! The keys of this process: what it signs with, what it seals with, and a small authority for development.
//!
//! Private keys are files of mode 0600 in a directory of mode 0700, written by rename, so that a crash leaves either the
//! old file or the new one. This module must not know what is signed or sealed.

mod authority;
mod client_key;
mod provider;
mod seal;
mod signing;

pub use authority::{AUTHORITY_LIFE, CertificateFiles, DevelopmentAuthority, LEAF_LIFE, RENEW_BEFORE};
pub use client_key::{private_jwk, public_part};
pub use provider::{install, provider};
pub use seal::Sealer;
pub use signing::{Keyring, SigningKey};

/// The name of this port in outages.
const PORT: &str = "keys";
