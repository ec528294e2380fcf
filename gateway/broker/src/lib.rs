#![doc = include_str!("../README.md")]

use std::collections::HashMap;
use std::sync::Arc;

use adapters::keys::Sealer;
use adapters::provider::port::IdentityProvider;
use adapters::store::port::Verifications;
use policies::id::ProviderId;
use policies::jose::Signer;
use policies::rulebook::Provider;

mod callback;
mod create;
mod read;

pub use callback::receive;
pub use create::{CAPTURE_TIME, create};
pub use read::{RESULT_TTL, read};

/// What the flows work with.
#[derive(Clone, Copy)]
pub struct Broker<'a> {
    /// The providers that policy offers, in the order they are tried.
    pub offered: &'a [Provider],
    /// How each is reached.
    pub providers: &'a HashMap<ProviderId, Arc<dyn IdentityProvider>>,
    /// Where verifications rest.
    pub verifications: &'a dyn Verifications,
    /// Seals what names a person.
    pub sealer: &'a Sealer,
    /// Signs results.
    pub signer: &'a dyn Signer,
    /// The issuer of results, and the base URL that providers call back.
    pub issuer: &'a str,
}
