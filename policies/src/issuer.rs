//! Other authorization servers whose tokens are taken here, as policy names them.

use std::collections::BTreeSet;

use crate::id::{ClientId, IssuerId};
use crate::jose::Algorithm;
use crate::language::decode::SecretReference;
use crate::network::Endpoint;

/// How it is known that a token is theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IssuerKeys {
    /// Its tokens are JWTs (RFC 9068) signed under one of the keys that it publishes.
    Jwks {
        /// Where.
        url: Endpoint,
        /// The algorithms that it signs with.
        algorithms: BTreeSet<Algorithm>,
    },
    /// It is asked about each token (RFC 7662).
    Introspection {
        /// Where.
        url: Endpoint,
        /// As whom we ask.
        client: ClientId,
        /// The private JWK that we sign assertions with.
        key: SecretReference,
    },
}

/// Another authorization server; its `iss` selects this configuration and is never a place to ask at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// Its name in policies.
    pub id: IssuerId,
    /// Its `iss`, byte for byte.
    pub issuer: String,
    /// What has to be in `aud` of its tokens; ours if left out.
    pub audience: Option<String>,
    /// How its tokens are known.
    pub keys: IssuerKeys,
    /// Where this stands, `file:line`.
    pub origin: String,
}
