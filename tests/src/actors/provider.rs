//! The identity provider: its signed callbacks, right ones and forged ones.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use policies::id::VerificationId;
use policies::verification::State;
use serde_json::{Value, json};

use super::app::fresh;
use super::bank;
use crate::world::{Answer, Ask, Kind, PATIENCE, World};

/// Where the sandbox's provider reports to.
pub const CALLBACKS: &str = "/v1/identity-callbacks/sandbox-face";

/// A callback before it is signed.
#[derive(Debug, Clone)]
pub struct Callback {
    /// Its id.
    pub id: String,
    /// When it is sent, in seconds since 1970.
    pub timestamp: i64,
    /// What it says.
    pub body: Value,
    /// Where it is sent.
    pub path: String,
}

impl Callback {
    /// Words what a provider says of a session.
    #[must_use]
    pub fn of(world: &World, session: &str, reference: &str, outcome: &str) -> Self {
        Self {
            id: fresh("msg"),
            timestamp: world.seconds(),
            body: json!({
                "session": session, "reference": reference, "outcome": outcome,
                "occurredAt": world.now().to_string(),
            }),
            path: CALLBACKS.to_owned(),
        }
    }

    /// Signs it with the secret that the gateway knows.
    #[must_use]
    pub fn sign(&self, world: &World) -> Ask {
        let secret = std::fs::read_to_string(world.file("keys/webhook-secret")).unwrap();
        self.sign_with(secret.trim().as_bytes())
    }

    /// Signs it with any secret.
    #[must_use]
    pub fn sign_with(&self, secret: &[u8]) -> Ask {
        let body = self.body.to_string();
        let signed = format!("{}.{}.{body}", self.id, self.timestamp);
        let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
        Ask::post(&self.path)
            .with("webhook-id", &self.id)
            .with("webhook-timestamp", self.timestamp.to_string())
            .with("webhook-signature", format!("v1,{}", STANDARD.encode(mac)))
            .with("content-type", "application/json")
            .body(body)
    }
}

/// Sees to it that the provider's word about a verification has arrived.
///
/// In a world with sockets the provider brings it itself. In memory nobody listens where it calls: there its word is
/// asked for, signed and delivered here.
pub async fn decided(world: &World, started: &Answer) {
    let id = started.at("/id");
    if world.kind() == Kind::Memory {
        let session = session(started);
        let shown = bank::get(world.told("/providers/0/url"), &format!("/sessions/{session}")).await;
        let callback = Callback::of(world, &session, &id, &shown.at("/outcome"));
        world.send(callback.sign(world)).await.succeeded(204);
        return;
    }
    let id = VerificationId::parse(&id).unwrap();
    let arrived = async {
        loop {
            let found = world.assembled().house.verifications.get(&id).await.unwrap();
            if found.is_some_and(|found| found.state != State::CapturePending) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, arrived).await.unwrap_or_else(|_| panic!("the provider does not call back"));
}

/// Returns the provider's session of a verification that was started.
#[must_use]
pub fn session(started: &Answer) -> String {
    let place = started.at("/redirectUrl");
    let mut parts = place.rsplit('/').skip_while(|part| *part == "capture");
    parts.next().unwrap().to_owned()
}
