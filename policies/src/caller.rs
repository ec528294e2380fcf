//! Who asks, once that is proven; each kind holds the proof of it.

use std::sync::Arc;

use crate::admin::Administrator;
use crate::binding::BoundToken;
use crate::callback::VerifiedCallback;
use crate::grant::AuthenticatedClient;
use crate::rulebook::{Client, ScopeSet};

/// The caller of one request.
#[derive(Debug)]
pub enum Caller {
    /// Nobody was asked: the operation is public.
    Public,
    /// A client with an access token that is bound to the key or certificate it has shown.
    Bound {
        /// The client the token was issued to, as the rulebook has it now.
        client: Arc<Client>,
        /// The token.
        token: BoundToken,
    },
    /// A client that authenticated itself with this very request.
    Client(AuthenticatedClient),
    /// An identity provider, by its signature over the body.
    Provider(VerifiedCallback),
    /// An administrator.
    Administrator(Administrator),
}

impl Caller {
    /// Returns the OAuth client behind the request, if there is one.
    #[must_use]
    pub fn client(&self) -> Option<&Arc<Client>> {
        match self {
            Caller::Bound { client, .. } => Some(client),
            Caller::Client(authenticated) => Some(authenticated.client()),
            Caller::Public | Caller::Provider(_) | Caller::Administrator(_) => None,
        }
    }

    /// Returns the client if it asks for itself; none if it speaks for a citizen.
    #[must_use]
    pub fn client_itself(&self) -> Option<&Arc<Client>> {
        match self {
            Caller::Bound { token, .. } if token.token().citizen().is_some() => None,
            caller => caller.client(),
        }
    }

    /// Returns the scopes of the access token, if the caller came with one.
    #[must_use]
    pub fn scopes(&self) -> Option<&ScopeSet> {
        match self {
            Caller::Bound { token, .. } => Some(token.token().scopes()),
            _ => None,
        }
    }
}

#[cfg(test)]
#[path = "cross_use_tests.rs"]
mod cross_use;
