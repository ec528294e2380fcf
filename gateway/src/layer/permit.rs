//! `permit`: may this caller do this, as far as headers tell.

use policies::decide::{self, Refusal};
use spine::error::Rejection;
use spine::refine::Refine;
use spine::stage::{Metered, Permitted};

use super::{noted, refused};

/// What a client does that has no consent yet.
const CONSENT_NEXT: &str = "Create a consent at /v1/account-access-consents or /v1/domestic-payment-consents with a token \
    of your own, push an authorization request that names it to /oauth/par, and send the citizen to /oauth/authorize.";

/// The stage.
#[derive(Debug, Clone)]
pub struct Permit;

impl Refine<Metered> for Permit {
    type Out = Permitted;

    async fn refine(&self, metered: Metered) -> Result<Permitted, Rejection> {
        let trail = metered.trail.clone();
        noted(&trail, "permit", permit(metered))
    }
}

fn permit(metered: Metered) -> Result<Permitted, Rejection> {
    let peer = metered.peer.address;
    if metered.caller().client().is_some() {
        // Only of organisations: who else calls may be a person.
        metered.trail.note_peer(peer);
    }
    let account = metered.policy().consent.as_ref().and_then(|need| need.account.as_deref());
    let account = account.and_then(|name| metered.matched().parameter(name));
    let permit = decide::permit(metered.policy(), metered.caller(), account, peer, metered.received);
    let permit = permit.map_err(|denial| {
        let rejection = refused(&metered.trail, &denial);
        match denial.refusal {
            Refusal::ScopeMissing { .. } => rejection.scope(metered.policy().scopes.to_string()),
            Refusal::ConsentMissing { .. } => rejection.next(CONSENT_NEXT),
            _ => rejection,
        }
    })?;
    if !permit.granted().is_empty() {
        metered.trail.note_granted(permit.granted());
    }
    Ok(Permitted::granted(metered, permit))
}
