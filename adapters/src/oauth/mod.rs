//! Other authorization servers: the keys they and clients publish, what they say of tokens, and tokens for ourselves.
//!
//! The only room that names `oauth2`. Nothing here decides what a token allows; what is fetched is kept for a bounded time,
//! asked for once whoever waits for it, and an outage when that time is over.

mod assertion;
mod credentials;
#[cfg(test)]
mod fake;
mod flight;
mod introspection;
mod jwks;
mod line;

pub use assertion::{AssertionKey, KeyFault};
pub use credentials::{Authentication, Credentials, RENEW_BEFORE, TOKEN_WAIT_MAX, Terms, USELESS_BEFORE};
pub use introspection::{ASK_MAX, AskError, BELIEVED_FOR, DISBELIEVED_FOR, Introspection, QUESTIONS_MAX, TOKENS_MAX};
pub use jwks::{ASK_AGAIN_AFTER, FAILED_FOR, FETCH_MAX, FRESH_FOR, Jwks, URLS_MAX, USABLE_FOR};
