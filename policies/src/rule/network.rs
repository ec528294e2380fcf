//! Where an organisation calls from.

use std::net::IpAddr;

use super::refusal::Refusal;
use crate::network::AddressRange;

/// Refuses a peer outside all of the networks; no network named means any.
///
/// # Errors
/// [`Refusal::NetworkOutside`].
pub fn inside(networks: &[AddressRange], peer: IpAddr) -> Result<(), Refusal> {
    if networks.is_empty() || networks.iter().any(|network| network.contains(peer)) {
        Ok(())
    } else {
        Err(Refusal::NetworkOutside)
    }
}
