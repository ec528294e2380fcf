//! Nonces for DPoP proofs (RFC 9449, sections 8 and 9): a proof that names one was not made before its time.
//!
//! A nonce is a keyed hash of what it is for and a slot of time, so that every replica knows it and nobody keeps it. It
//! belongs to one client, and to one of two realms. This module must not know where the key is, nor a proof.

use std::time::Duration;

use crate::id::ClientId;
use crate::jose::{base64url, constant_time_eq, digest_of_parts};
use crate::time::Timestamp;

/// How long a slot is: a nonce is accepted in its own slot and the next one, so for five to ten minutes, in which a client
/// makes many proofs with it.
pub const NONCE_SLOT: Duration = Duration::from_secs(300);

/// Who asks for a nonce: one of the authorization server is no nonce of the resources (RFC 9449, section 8.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Realm {
    /// The endpoints at which clients authenticate themselves.
    AuthorizationServer,
    /// The operations that take access tokens.
    Resources,
}

impl Realm {
    const fn word(self) -> &'static [u8] {
        match self {
            Realm::AuthorizationServer => b"authorization server",
            Realm::Resources => b"resources",
        }
    }
}

/// The nonces of one client in one realm.
#[derive(Clone, Copy)]
pub struct Nonces<'a> {
    /// Hashes with a key that all replicas have, and nobody else.
    pub keyed: &'a (dyn Fn(&[u8]) -> [u8; 32] + Sync),
    /// Where.
    pub realm: Realm,
    /// Whose.
    pub client: &'a ClientId,
    /// Whether a proof without one is refused.
    pub required: bool,
}

impl std::fmt::Debug for Nonces<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Nonces").field("realm", &self.realm).field("client", self.client).finish_non_exhaustive()
    }
}

/// What the nonce of a proof is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judged {
    /// It is of now, or there is none and none is needed.
    Fine,
    /// It is of the slot before: good for this time, and the next proof should name this one.
    Ending(String),
    /// It is missing, over, or none of these; a proof with this one would do.
    Refused(String),
}

impl Nonces<'_> {
    /// Returns the nonce of now: 43 characters.
    #[must_use]
    pub fn current(&self, now: Timestamp) -> String {
        self.of(slot(now))
    }

    /// Judges the nonce that a proof names.
    ///
    /// One that is not asked for is judged too: a client that names one relies on its being looked at.
    #[must_use]
    pub fn judge(&self, told: Option<&str>, now: Timestamp) -> Judged {
        let Some(told) = told else {
            return if self.required { Judged::Refused(self.current(now)) } else { Judged::Fine };
        };
        let (current, before) = (self.current(now), self.of(slot(now) - 1));
        let is = |nonce: &str| constant_time_eq(told.as_bytes(), nonce.as_bytes());
        match (is(&current), is(&before)) {
            (true, _) => Judged::Fine,
            (false, true) => Judged::Ending(current),
            (false, false) => Judged::Refused(current),
        }
    }

    fn of(&self, slot: i64) -> String {
        let parts = [b"dpop nonce", self.realm.word(), self.client.as_str().as_bytes(), &slot.to_be_bytes()];
        base64url(&(self.keyed)(&digest_of_parts(&parts)))
    }
}

#[cfg(test)]
impl Nonces<'static> {
    /// Nonces that no test asks for.
    pub(crate) fn free() -> Self {
        static NOBODY: std::sync::LazyLock<ClientId> =
            std::sync::LazyLock::new(|| ClientId::parse("nobody").expect("it is a name"));
        let keyed: &'static (dyn Fn(&[u8]) -> [u8; 32] + Sync) = &crate::jose::sha256;
        Self { keyed, realm: Realm::Resources, client: &NOBODY, required: false }
    }
}

fn slot(now: Timestamp) -> i64 {
    now.seconds().div_euclid(i64::try_from(NONCE_SLOT.as_secs()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;
    use crate::jose::hmac_sha256;

    // The beginning of a slot.
    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
    const TICK: Duration = Duration::from_millis(1);

    fn keyed(message: &[u8]) -> [u8; 32] {
        hmac_sha256(b"a key of all replicas", message)
    }

    fn other_key(message: &[u8]) -> [u8; 32] {
        hmac_sha256(b"a key of somebody else's", message)
    }

    fn client(id: &str) -> ClientId {
        ClientId::parse(id).unwrap()
    }

    fn nonces(client: &ClientId, required: bool) -> Nonces<'_> {
        Nonces { keyed: &keyed, realm: Realm::Resources, client, required }
    }

    #[test]
    fn rs32_what_is_no_nonce_of_ours_is_refused() {
        let demo = client("demo-app");
        let current = nonces(&demo, true).current(NOW);
        let cut: String = current.chars().skip(1).collect();
        let others = [
            String::new(),
            "a".repeat(43),
            cut,
            format!("{current}="),
            format!(" {current}"),
            current.to_lowercase(),
            nonces(&client("other-app"), true).current(NOW),
            Nonces { keyed: &other_key, ..nonces(&demo, true) }.current(NOW),
            Nonces { realm: Realm::AuthorizationServer, ..nonces(&demo, true) }.current(NOW),
            nonces(&demo, true).current(NOW + NONCE_SLOT),
            nonces(&demo, true).current(NOW + NONCE_SLOT * 2),
        ];
        for required in [true, false] {
            for told in &others {
                let judged = nonces(&demo, required).judge(Some(told), NOW);
                assert_eq!(judged, Judged::Refused(current.clone()), "{told}");
            }
            assert_eq!(nonces(&demo, required).judge(Some(&current), NOW), Judged::Fine);
        }
    }

    #[test]
    fn as44_a_missing_nonce_is_refused_only_where_one_is_required() {
        let demo = client("demo-app");
        let needed = nonces(&demo, true);
        assert_eq!(needed.judge(None, NOW), Judged::Refused(needed.current(NOW)));
        assert_eq!(nonces(&demo, false).judge(None, NOW), Judged::Fine);
    }

    #[test]
    fn as44_a_nonce_is_good_in_its_slot_and_the_next_and_not_longer() {
        let demo = client("demo-app");
        let nonces = nonces(&demo, true);
        let told = nonces.current(NOW);
        let judged = |now: Timestamp| nonces.judge(Some(&told), now);
        assert_eq!(judged(NOW + NONCE_SLOT - TICK), Judged::Fine);
        let next = nonces.current(NOW + NONCE_SLOT);
        assert_eq!(judged(NOW + NONCE_SLOT), Judged::Ending(next.clone()), "the next one rides on the answer");
        assert_eq!(judged(NOW + NONCE_SLOT * 2 - TICK), Judged::Ending(next));
        let after = nonces.current(NOW + NONCE_SLOT * 2);
        assert_eq!(judged(NOW + NONCE_SLOT * 2), Judged::Refused(after));
        assert_eq!(judged(NOW - TICK), Judged::Refused(nonces.current(NOW - TICK)), "before its time");
    }

    #[test]
    fn rs32_nonces_differ_by_realm_client_slot_and_key() {
        let (demo, other) = (client("demo-app"), client("other-app"));
        let of = |client, realm, now: Timestamp| Nonces { realm, ..nonces(client, true) }.current(now);
        let all = [
            of(&demo, Realm::Resources, NOW),
            of(&demo, Realm::AuthorizationServer, NOW),
            of(&other, Realm::Resources, NOW),
            of(&demo, Realm::Resources, NOW + NONCE_SLOT),
            Nonces { keyed: &other_key, ..nonces(&demo, true) }.current(NOW),
        ];
        let different: std::collections::BTreeSet<&String> = all.iter().collect();
        assert_eq!(different.len(), all.len());
        assert!(all.iter().all(|nonce| nonce.len() == 43));
        assert_eq!(of(&demo, Realm::Resources, NOW), of(&demo, Realm::Resources, NOW + NONCE_SLOT - TICK));
    }
}
