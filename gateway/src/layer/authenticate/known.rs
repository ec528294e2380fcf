//! Access tokens of ours that were verified a little while ago, so that a signature is checked once, not with each call.
//!
//! What is kept is that a token was issued by us, and never what it allows, whether it was taken back or who holds it:
//! that is asked with each call. An entry ends with the keys of its time, with its token, with the policies in force, and
//! when there is no room. Refusals are never kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use policies::revocation;
use policies::token::VerifiedToken;

/// How many tokens each serving thread keeps: at some 1.5 KB each, 12 MB. Tokens live for five minutes, so this is room for
/// 25 new ones each second.
pub const KNOWN_TOKENS_MAX: usize = 8192;

/// A token as it was verified.
#[derive(Debug, Clone)]
pub struct Entry(Arc<Verified>);

#[derive(Debug)]
struct Verified {
    token: Arc<VerifiedToken>,
    names: Vec<[u8; 32]>,
    epoch: u64,
}

impl Entry {
    /// Joins a token with the names under which it may be taken back, and the key set that it was verified under.
    #[must_use]
    pub fn of(issuer: &str, token: VerifiedToken, epoch: u64) -> Self {
        let names = revocation::names(issuer, &token).collect();
        Self(Arc::new(Verified { token: Arc::new(token), names, epoch }))
    }

    /// Returns the token.
    #[must_use]
    pub fn token(&self) -> &Arc<VerifiedToken> {
        &self.0.token
    }

    /// Returns the names under which it may have been taken back.
    #[must_use]
    pub fn names(&self) -> &[[u8; 32]] {
        &self.0.names
    }
}

/// The tokens that are known, a share for each serving thread, so that none waits for another.
pub struct Known {
    shares: Vec<Mutex<Share>>,
}

/// Two halves: what was found again moves to the younger one; when that is full, it becomes the older one, and what is
/// in the older one goes.
#[derive(Default)]
struct Share {
    younger: HashMap<[u8; 32], Entry>,
    older: HashMap<[u8; 32], Entry>,
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Known").field("shares", &self.shares.len()).finish_non_exhaustive()
    }
}

impl Known {
    /// Makes room for the tokens of so many serving threads.
    #[must_use]
    pub fn of(workers: usize) -> Self {
        Self { shares: (0..workers.max(1)).map(|_| Mutex::default()).collect() }
    }

    /// Finds a token by SHA-256 of its text, if it was verified under the keys of now.
    #[must_use]
    pub fn find(&self, worker: usize, hash: &[u8; 32], epoch: u64) -> Option<Entry> {
        self.with(worker, |share| {
            if let Some(entry) = share.younger.get(hash) {
                return (entry.0.epoch == epoch).then(|| entry.clone());
            }
            let entry = share.older.remove(hash).filter(|entry| entry.0.epoch == epoch)?;
            share.put(*hash, entry.clone());
            Some(entry)
        })
    }

    /// Keeps a token.
    pub fn keep(&self, worker: usize, hash: [u8; 32], entry: Entry) {
        self.with(worker, |share| share.put(hash, entry));
    }

    /// Returns how many are kept.
    #[must_use]
    pub fn count(&self) -> usize {
        (0..self.shares.len()).map(|worker| self.with(worker, |share| share.younger.len() + share.older.len())).sum()
    }

    fn with<T: Default>(&self, worker: usize, ask: impl FnOnce(&mut Share) -> T) -> T {
        // There is a share for every thread that serves; one that is not there keeps nothing.
        let Some(share) = self.shares.get(worker % self.shares.len().max(1)) else { return T::default() };
        // A panic elsewhere cannot leave half an entry.
        ask(&mut share.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Share {
    fn put(&mut self, hash: [u8; 32], entry: Entry) {
        if self.younger.len() >= KNOWN_TOKENS_MAX / 2 {
            self.older = std::mem::take(&mut self.younger);
        }
        self.younger.insert(hash, entry);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use std::time::Duration;

    use adapters::keys::LiveKeyring;
    use policies::id::ClientId;
    use policies::jose::encode;
    use policies::party::ScopeSet;
    use policies::time::Timestamp;
    use policies::token::{self, AccessGrant, BearerToken, Confirmation, Expected};

    use super::*;

    const ISSUER: &str = "https://gate.example";
    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn entry(epoch: u64) -> Entry {
        let keyring = LiveKeyring::in_memory(NOW).unwrap().now();
        let grant = AccessGrant {
            issuer: ISSUER.to_owned(),
            audience: ISSUER.to_owned(),
            client: ClientId::parse("demo-app").unwrap(),
            subject: "demo-app".to_owned(),
            scopes: ScopeSet::default(),
            confirmation: Confirmation::X5tS256([7; 32]),
            jti: "0123456789abcdef".to_owned(),
            issued: NOW,
            expires: NOW + Duration::from_secs(300),
            citizen: None,
        };
        let raw = encode(token::ACCESS_TOKEN_TYPE, &token::claims(&grant), None, keyring.signer()).unwrap();
        let expected = Expected { issuer: ISSUER, audience: ISSUER, keys: keyring.published() };
        Entry::of(ISSUER, token::verify(&BearerToken::parse(&raw).unwrap(), &expected, NOW).unwrap(), epoch)
    }

    fn hash(number: usize) -> [u8; 32] {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&number.to_be_bytes());
        hash
    }

    #[test]
    fn what_was_verified_under_other_keys_is_not_found() {
        let (known, entry) = (Known::of(1), entry(7));
        assert!(known.find(0, &hash(1), 7).is_none());
        known.keep(0, hash(1), entry.clone());
        for epoch in [0, 6, 8] {
            assert!(known.find(0, &hash(1), epoch).is_none(), "{epoch}");
        }
        let found = known.find(0, &hash(1), 7).unwrap();
        assert_eq!((found.token().jti(), found.names()), (entry.token().jti(), entry.names()));
        assert!(known.find(0, &hash(2), 7).is_none(), "another token");
    }

    #[test]
    fn no_thread_keeps_more_than_its_share_and_what_is_used_stays_longest() {
        let (known, entry) = (Known::of(2), entry(7));
        for number in 0..KNOWN_TOKENS_MAX * 3 {
            known.keep(0, hash(number), entry.clone());
            assert!(known.find(0, &hash(0), 7).is_some(), "{number}: it was used a moment ago");
            assert!(known.count() <= KNOWN_TOKENS_MAX);
        }
        assert!(known.count() >= KNOWN_TOKENS_MAX / 2);
        assert!(known.find(0, &hash(1), 7).is_none(), "it was not used for long");
        assert!(known.find(1, &hash(0), 7).is_none(), "each thread has its own");
        known.keep(1, hash(0), entry);
        assert!(known.find(1, &hash(0), 7).is_some());
    }

    #[test]
    fn a_token_is_looked_for_under_its_own_name_among_what_was_taken_back() {
        assert_eq!(entry(7).names(), [revocation::token(ISSUER, "0123456789abcdef")]);
    }
}
