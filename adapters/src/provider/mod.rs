//! Identity providers: each adapter speaks one provider's protocol and says what it found, never what that is worth.

pub mod port;
pub mod session;
pub mod webhook;
