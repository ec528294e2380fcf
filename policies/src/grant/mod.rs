//! The rules of the token endpoint and its neighbours: who the client is, and what it may be granted.
//!
//! Client authentication is by signed assertion (RFC 7523) or by certificate (RFC 8705), never by a shared secret. A token
//! is granted to a client for itself, for a code, or for a refresh token. This module must not know how a form, a
//! certificate or a reply travels, nor how codes are kept.

mod client;
mod error;
mod exchange;
mod form;
pub mod pkce;
mod redeem;
mod request;
#[cfg(test)]
pub(crate) mod testing;

pub use client::{
    ASSERTION_AHEAD_MAX, ASSERTION_TTL_MAX, AuthenticatedClient, CheckedAssertion, check_assertion, check_certificate,
    client_id_of, may_act, refuse_unknown,
};
pub use error::GrantError;
pub use exchange::{Exchange, client_credentials};
pub use form::{ASSERTION_BYTES_MAX, ClientForm, PARAMETERS_MAX, SCOPE_BYTES_MAX};
pub use redeem::{RedeemError, Redeemed, redeem, refresh};
pub use request::{CodeRequest, RefreshRequest, TokenRequest};

#[cfg(test)]
mod tests;
