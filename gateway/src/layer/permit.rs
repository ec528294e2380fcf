//! `permit`: may this caller do this, as far as headers tell.

use policies::code::Code;
use policies::decide;
use spine::error::Rejection;
use spine::refine::Refine;
use spine::stage::{Metered, Permitted};

use super::{noted, refused};

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
    let permit = decide::permit(metered.policy(), metered.caller(), peer, metered.received).map_err(|denial| {
        let rejection = refused(&metered.trail, &denial);
        if denial.refusal.code() == Code::InsufficientScope {
            return rejection.scope(metered.policy().scopes.to_string());
        }
        rejection
    })?;
    Ok(Permitted::granted(metered, permit))
}
