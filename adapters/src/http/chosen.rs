//! Connections to places that somebody else chose: to an address that was looked at first, and to no other.
//!
//! The name is resolved once, every address it has is judged, and the connection goes to one of those that may be called:
//! a name that changes its mind between check and call gains nothing.

use std::net::{IpAddr, SocketAddr};

use policies::network::Realm;
use tokio::net::{TcpStream, lookup_host};

use super::url::AllowedUrl;

/// The most addresses of a name that are tried: one place is not to take everybody's time.
pub(super) const ADDRESSES_MAX: usize = 3;

/// Connects to one of the addresses that a place has; `private` says whether private ones may be called.
pub(super) async fn dial(url: &AllowedUrl, private: bool) -> Result<TcpStream, String> {
    let found = lookup_host((url.host(), url.port())).await.map_err(|error| error.to_string())?;
    let mut failed = "the name has no address that may be called".to_owned();
    for address in callable(found, url.is_tls(), private) {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(|error| error.to_string())?;
                return Ok(stream);
            }
            Err(error) => failed = error.to_string(),
        }
    }
    Err(failed)
}

// Clear text stays on this machine, whatever a resolver says of a name.
pub(super) fn callable(found: impl Iterator<Item = SocketAddr>, tls: bool, private: bool) -> Vec<SocketAddr> {
    let open = |address: &IpAddr| Realm::of(*address).is_open(private) && (tls || address.is_loopback());
    found.filter(|address| open(&address.ip())).take(ADDRESSES_MAX).collect()
}
