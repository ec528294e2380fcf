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
    let permit = decide::permit(metered.policy(), metered.caller(), metered.received).map_err(|refusal| {
        let rejection = refused(&refusal);
        if refusal.code() == Code::InsufficientScope {
            return rejection.scope(metered.policy().scopes.to_string());
        }
        rejection
    })?;
    Ok(Permitted::granted(metered, permit))
}
