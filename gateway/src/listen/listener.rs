//! What the serving threads share of a listener: its bounds, its stack, and the count of its connections.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use spine::stage::Entrance;

use super::limits::ConnectionLimits;
use super::tls::TlsDoor;
use crate::house::House;
use crate::stack::Stack;

/// A listener that serves, shared by the serving threads.
pub struct Listener {
    /// How the outside knows it.
    pub entrance: Arc<Entrance>,
    /// TLS, unless it is a clear-text listener on a trusted side.
    pub tls: Option<TlsDoor>,
    /// Its bounds.
    pub limits: ConnectionLimits,
    /// What outlasts a generation.
    pub house: Arc<House>,
    /// The stack that decides now.
    pub stack: Arc<ArcSwap<Stack>>,
    /// Connections, all and by peer.
    pub census: Census,
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener").field("entrance", &self.entrance).finish_non_exhaustive()
    }
}

/// Counts the connections of a listener.
#[derive(Debug, Default)]
pub struct Census {
    all: AtomicUsize,
    by_peer: Mutex<HashMap<IpAddr, usize>>,
}

/// Who holds an IPv6 /64 may choose any address in it; they are one peer.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

impl Census {
    pub(super) fn enter(&self, peer: IpAddr, limits: &ConnectionLimits) -> bool {
        if self.all.fetch_add(1, Ordering::Relaxed) >= limits.connections_max {
            self.all.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        let mut by_peer = self.by_peer.lock().unwrap_or_else(PoisonError::into_inner);
        let count = by_peer.entry(network(peer)).or_insert(0);
        if *count >= limits.connections_per_peer_max {
            drop(by_peer);
            self.all.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        *count += 1;
        true
    }

    pub(super) fn leave(&self, peer: IpAddr) {
        self.all.fetch_sub(1, Ordering::Relaxed);
        let mut by_peer = self.by_peer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_peer.get_mut(&network(peer)) {
            *count -= 1;
            if *count == 0 {
                by_peer.remove(&network(peer));
            }
        }
    }

    /// Returns how many connections there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.all.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_gets_its_last_connection_and_not_one_more() {
        let limits =
            ConnectionLimits { connections_max: 3, connections_per_peer_max: 2, ..ConnectionLimits::default() };
        let census = Census::default();
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        assert!(census.enter(one, &limits) && census.enter(one, &limits));
        assert!(!census.enter(one, &limits));
        assert!(census.enter(other, &limits));
        assert!(!census.enter(IpAddr::from([10, 0, 0, 3]), &limits));
        census.leave(one);
        assert!(census.enter(one, &limits));
        assert_eq!(census.count(), 3);
    }

    #[test]
    fn who_holds_a_64_of_ipv6_is_one_peer() -> Result<(), std::net::AddrParseError> {
        let limits = ConnectionLimits { connections_per_peer_max: 1, ..ConnectionLimits::default() };
        let census = Census::default();
        let (one, same, other) = ("2001:db8::1".parse()?, "2001:db8::ffff:2".parse()?, "2001:db8:0:1::1".parse()?);
        assert!(census.enter(one, &limits));
        assert!(!census.enter(same, &limits));
        assert!(census.enter(other, &limits));
        census.leave(one);
        assert!(census.enter(same, &limits));
        Ok(())
    }
}
