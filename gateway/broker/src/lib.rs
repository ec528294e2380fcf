#![doc = include_str!("../README.md")]

use std::collections::HashMap;
use std::sync::Arc;

use adapters::keys::{Sealer, Subjects};
use adapters::provider::port::IdentityProvider;
use adapters::store::port::Verifications;
use policies::id::ProviderId;
use policies::jose::Signer;
use policies::rulebook::Provider;

mod callback;
mod create;
mod login;
mod payer;
mod read;
mod room;

pub use callback::receive;
pub use create::{CAPTURE_TIME, create};
pub use login::{Login, begin_login, find_login};
pub use payer::payer;
pub use read::{RESULT_TTL, read};
pub use room::{Entered, Pass, Room, Unbounded};

/// What the flows work with.
#[derive(Clone, Copy)]
pub struct Broker<'a> {
    /// The providers that policy offers, in the order they are tried.
    pub offered: &'a [Provider],
    /// How each is reached.
    pub providers: &'a HashMap<ProviderId, Arc<dyn IdentityProvider>>,
    /// Where verifications rest.
    pub verifications: &'a dyn Verifications,
    /// Names people by keyed hashes.
    pub sealer: &'a Sealer,
    /// Seals what names a person, so that it can be erased.
    pub subjects: Subjects<'a>,
    /// Signs results.
    pub signer: &'a dyn Signer,
    /// The issuer of results.
    pub issuer: &'a str,
    /// The base URL that providers call back.
    pub external: &'a str,
}
