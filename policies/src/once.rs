//! Idempotency, judged: what an earlier claim of a key means for this request.

use std::time::Duration;

/// What the store found under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarlierClaim {
    /// SHA-256 over path, query and canonical body of the request that made the claim.
    pub digest: [u8; 32],
    /// How far that request has come.
    pub state: ClaimState,
}

/// How far the request that holds a claim has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimState {
    /// It is under way and its lease lasts this much longer.
    InFlight {
        /// How long the lease still lasts.
        lease_left: Duration,
    },
    /// It was answered, and the answer is kept.
    Answered(StoredReply),
}

/// An answer as it rests in the store: what the way out let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredReply {
    /// The HTTP status.
    pub status: u16,
    /// Header names and values, in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
}

/// What to do with a request whose key is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repeat {
    /// Give the stored answer.
    Replay(StoredReply),
    /// Ask to come back.
    InProgress {
        /// When it may be over.
        retry_after: Duration,
    },
    /// Refuse: the key stands for another body.
    Mismatch,
}

/// Judges a request with body digest `digest` whose key is already claimed.
///
/// A mismatch is told before anything about the first request's fate.
#[must_use]
pub fn judge(earlier: EarlierClaim, digest: &[u8; 32]) -> Repeat {
    if earlier.digest != *digest {
        return Repeat::Mismatch;
    }
    match earlier.state {
        ClaimState::InFlight { lease_left } => Repeat::InProgress { retry_after: lease_left },
        ClaimState::Answered(reply) => Repeat::Replay(reply),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_body_is_a_mismatch_whatever_became_of_the_first() {
        let reply = StoredReply { status: 201, headers: vec![], body: b"{}".to_vec() };
        for state in [ClaimState::InFlight { lease_left: Duration::from_secs(9) }, ClaimState::Answered(reply)] {
            let earlier = EarlierClaim { digest: [1; 32], state };
            assert_eq!(judge(earlier, &[2; 32]), Repeat::Mismatch);
        }
    }

    #[test]
    fn the_same_body_gets_the_answer_or_is_asked_to_wait() {
        let lease_left = Duration::from_secs(9);
        let earlier = EarlierClaim { digest: [1; 32], state: ClaimState::InFlight { lease_left } };
        assert_eq!(judge(earlier, &[1; 32]), Repeat::InProgress { retry_after: lease_left });
    }
}
