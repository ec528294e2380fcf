//! `assess`: judges what only the body tells, and spends the identity result where one was needed.

use std::sync::Arc;

use adapters::keys::Subjects;
use adapters::store::port::ClaimTicket;
use policies::code::{Code, Outage};
use policies::decide::{self, Clearance, Denial, Refusal, RuleName, Spend};
use policies::facts::RequestFacts;
use policies::id::ClientId;
use policies::result::{self, IdentityResult};
use policies::time::Timestamp;
use serde_json::json;
use spine::error::{Rejection, StepUpOffer};
use spine::refine::Refine;
use spine::stage::{Cleared, Payer, Reference, Sound, SoundBody};
use spine::trail::Trail;

use super::once::Claimed;
use super::{note, noted};
use crate::house::House;

/// The header that brings the signed identity result.
pub const IDENTITY_RESULT: &str = "x-identity-result";

/// Where verifications are made.
pub const VERIFICATIONS: &str = "/v1/identity-verifications";

/// The stage.
#[derive(Debug, Clone)]
pub struct Assess(pub Arc<House>);

impl Refine<Claimed> for Assess {
    type Out = Cleared;

    async fn refine(&self, claimed: Claimed) -> Result<Cleared, Rejection> {
        let trail = claimed.sound.trail.clone();
        let result = match self.assess(claimed) {
            Ok(judged) if !judged.clearance.spends().is_empty() => Box::pin(self.spend(judged)).await,
            Ok(Judged { sound, clearance, reference, .. }) => Ok(Cleared::judged(sound, clearance, reference, None)),
            Err(rejection) => Err(rejection),
        };
        noted(&trail, "assess", result)
    }
}

/// A request that may be done once its identity result, if it needed one, is spent.
struct Judged {
    sound: Sound,
    clearance: Clearance,
    reference: Option<Reference>,
    ticket: Option<ClaimTicket>,
}

fn defect(what: &str) -> Rejection {
    Rejection::new(Code::Internal, "The request could not be judged.").because(what)
}

fn down(outage: Outage) -> Rejection {
    Rejection::outage(Code::DependencyDown, &outage)
}

impl Assess {
    fn assess(&self, claimed: Claimed) -> Result<Judged, Rejection> {
        let Claimed { mut sound, ticket } = claimed;
        note::log(&sound);
        let permit = sound.take_permit().ok_or_else(|| defect("a request came to assess without a permit"))?;
        let reference = ticket.as_ref().map(|ticket| Reference(ticket.reference().to_owned()));
        let client = sound.caller().client().cloned();
        let client = client.as_ref().map(|client| &client.id);
        let identity = self.identity(&sound, client)?;
        if let Some(identity) = &identity {
            sound.trail.note_identity(identity);
        }
        let (value, digest) = match sound.sound_body() {
            SoundBody::None => (None, Some(sound.digest())),
            SoundBody::Streamed => (None, None),
            SoundBody::Checked { raw, value } => {
                (Some(value.value()).filter(|_| !raw.is_empty()), Some(sound.digest()))
            }
        };
        let facts = RequestFacts {
            client,
            operation: &sound.policy().operation,
            scopes: sound.caller().scopes(),
            peer: sound.peer.address,
            body: sound.facts(),
            value,
            body_digest: digest,
        };
        let clearance = decide::assess(permit, &facts, identity.as_ref(), sound.received).map_err(|denial| {
            self.reported(&sound.trail, &denial.reports);
            offer(&sound.trail, &denial)
        })?;
        self.reported(&sound.trail, clearance.reports());
        if !clearance.granted().is_empty() {
            sound.trail.note_granted(clearance.granted());
        }
        Ok(Judged { sound, clearance, reference, ticket })
    }

    fn reported(&self, trail: &Trail, rules: &[RuleName]) {
        if !rules.is_empty() {
            super::reported(&self.0.metrics, trail, rules);
        }
    }

    /// Spends result and consent in one transaction with the claim, and finds out whose number it was.
    async fn spend(&self, judged: Judged) -> Result<Cleared, Rejection> {
        let Judged { sound, clearance, reference, ticket } = judged;
        let ticket = ticket.ok_or_else(|| defect("something is spent without a claim"))?;
        let spends: Vec<String> = clearance.spends().iter().map(Spend::name).collect();
        let spent = self.0.claims.clear(&ticket, &spends, sound.received).await;
        if !spent.map_err(down)? {
            return Err(self.used_up(&clearance, sound.received).await);
        }
        let payer = match clearance.verification() {
            Some(id) => {
                let subjects = Subjects::new(&self.0.sealer, &*self.0.subject_keys);
                Some(Payer(broker::payer(&*self.0.verifications, subjects, id, &sound.trail).await?))
            }
            None => None,
        };
        Ok(Cleared::judged(sound, clearance, reference, payer))
    }

    /// Tells which of the things was spent before: of a consent that is gone a new verification brings nothing back.
    async fn used_up(&self, clearance: &Clearance, now: Timestamp) -> Rejection {
        let consent = match (clearance.consent(), clearance.verification()) {
            (Some(_), None) => Ok(true),
            (Some(consent), Some(_)) => self.0.claims.spent(&Spend::Consent(consent.clone()).name(), now).await,
            (None, _) => Ok(false),
        };
        match consent {
            Err(outage) => down(outage),
            Ok(true) => {
                let detail = "The consent was used up by an earlier payment. A citizen has to agree to each payment.";
                Rejection::new(Code::ConsentConsumed, detail)
            }
            Ok(false) => {
                let detail = "This identity result was used before. Verify the payer again.";
                Rejection::new(Code::VerificationFailed, detail)
            }
        }
    }

    fn identity(&self, sound: &Sound, client: Option<&ClientId>) -> Result<Option<IdentityResult>, Rejection> {
        let (Some(value), Some(client)) = (sound.head.headers.get(IDENTITY_RESULT), client) else { return Ok(None) };
        let refuse = || Rejection::new(Code::VerificationFailed, "The identity result is not accepted.");
        let raw = value.to_str().map_err(|_| refuse())?;
        result::check(raw, self.0.keyring.now().published(), &self.0.issuer, client, sound.received)
            .map(Some)
            .map_err(|error| refuse().because(&error))
    }
}

fn offer(trail: &Trail, denial: &Denial) -> Rejection {
    let rejection = super::refused(trail, denial);
    let Refusal::StepUp { acr, purpose, binding, operation } = &denial.refusal else { return rejection };
    rejection
        .step_up(StepUpOffer {
            acr: acr.clone(),
            purpose: purpose.to_string(),
            binding: json!({"kind": "payment", "operation": operation.as_str(), "hash": binding}),
            verification: VERIFICATIONS.to_owned(),
        })
        .next(format!(
            "Post `binding` with the payer's number to {VERIFICATIONS}, wait until it has passed, and repeat this request \
             with the same key and the header {IDENTITY_RESULT}."
        ))
}
