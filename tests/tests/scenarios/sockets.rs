//! What no client library sends: bytes and frames by hand, and peers that take their time.

mod framing;
mod handshakes;
mod http2;
mod patience;
mod table;

use scenarios::actors::Session;
use scenarios::actors::app::fresh;
use scenarios::actors::bank::payment;
use scenarios::world::wire::{Heard, Wire, answer};
use scenarios::world::{Ask, World, socket};

use crate::http::{ACCOUNTS, PAYMENTS, STATUS};

/// Sends bytes over a connection of their own and reads one answer, or the close.
pub async fn exchange(world: &World, bytes: &[u8]) -> Heard {
    let mut stream = world.raw().await;
    socket::write(&mut stream, bytes).await;
    answer(&mut stream).await
}

/// A request of anybody.
#[must_use]
pub fn status(world: &World) -> Wire {
    Wire::of(world, &Ask::get(STATUS))
}

/// A right request with a fresh proof, which the backend would answer.
#[must_use]
pub fn accounts(app: &Session<'_>) -> Wire {
    Wire::of(app.world, &app.dress(Ask::get(ACCOUNTS)))
}

/// A right payment with a fresh proof and key.
#[must_use]
pub fn pay(app: &Session<'_>) -> Wire {
    let ask = Ask::post(PAYMENTS).with("x-idempotency-key", fresh("order")).json(&payment("1.00"));
    Wire::of(app.world, &app.dress(ask))
}
