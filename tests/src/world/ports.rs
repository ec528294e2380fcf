//! Ports for listeners that are to be found again after a restart.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// Below what the system gives to outgoing connections, above what services are known by.
const FIRST: u32 = 12_000;
const COUNT: u32 = 20_000;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Finds addresses on loopback that no other world of this process is given, now or later.
///
/// A port of the system's choice (port 0) could go to somebody's outgoing connection while its world restarts.
pub(super) fn find<const N: usize>() -> [SocketAddr; N] {
    std::array::from_fn(|_| one())
}

fn one() -> SocketAddr {
    // Another run of the suite at the same time begins elsewhere.
    let start = std::process::id().wrapping_mul(7919) % COUNT;
    for _ in 0..COUNT {
        let number = FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, u16::try_from(number).unwrap()));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no port is free");
}
