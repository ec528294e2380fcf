//! What log line and span say of a request's body: the fields that an administrator named, masked whoever asks.

use policies::mask::{self, MaskPlace};
use policies::rulebook::OperationPolicy;
use spine::stage::{Cleared, Sound, SoundBody};
use tracing::Span;

/// Notes what the log line will say of the body.
pub(crate) fn log(sound: &Sound) {
    if let Some(text) = text(sound.policy(), sound.sound_body(), &[MaskPlace::Logs]) {
        sound.trail.note_fields(text);
    }
}

/// Makes the span of a request whose body says something; none of any other.
pub(crate) fn span(cleared: &Cleared) -> Option<Span> {
    // Log lines show the span that they are written in: what logs may not show, it may not hold.
    let text = text(cleared.policy(), cleared.sound_body(), &[MaskPlace::Logs, MaskPlace::Traces])?;
    let (interaction, operation) = (&cleared.interaction, &cleared.policy().operation);
    Some(tracing::info_span!("request", interaction = %interaction, operation = %operation, note = %text))
}

fn text(policy: &OperationPolicy, body: &SoundBody, places: &[MaskPlace]) -> Option<String> {
    if policy.noted.is_empty() {
        return None;
    }
    let SoundBody::Checked { value, .. } = body else { return None };
    let masks = policy.masks.iter().filter(|mask| places.iter().any(|place| mask.places.contains(place)));
    Some(mask::noted(value.value(), &policy.noted, masks.map(AsRef::as_ref)))
}
