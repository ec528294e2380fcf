//! What a flow of our own reads from a request that may be done.

use policies::code::Code;
use serde_json::Value;
use spine::error::Rejection;
use spine::stage::{Cleared, SoundBody};

/// Returns the body as the contract has checked it.
pub(crate) fn checked(cleared: &Cleared) -> Result<&Value, Rejection> {
    match cleared.sound_body() {
        SoundBody::Checked { value, .. } => Ok(value.value()),
        SoundBody::None | SoundBody::Streamed => {
            Err(Rejection::new(Code::Internal, "The request could not be answered.")
                .because("an operation has no body rule"))
        }
    }
}

/// Refuses, because a caller is of another kind than its operation has: a defect of ours.
pub(crate) fn no_client() -> Rejection {
    Rejection::new(Code::Internal, "The request could not be answered.")
        .because("the caller is of another kind than its operation")
}
