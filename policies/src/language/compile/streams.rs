//! Bodies that stream through unread: nothing of them can be masked or noted.

use super::layered::Layered;
use super::masking::Masked;
use crate::facts::OperationFacts;
use crate::language::decode::Value;
use crate::language::document::Key;
use crate::language::problem::{Problem, quoted};
use crate::mask::MaskPlace;

/// Tells whether all that is masked or noted is read at all, and reports what only streams through.
pub(super) fn readable(layered: &Layered<'_, '_>, facts: &OperationFacts, key: &Key, owner: Value<'_>) -> bool {
    let hides = |masked: &Masked<'_>| masked.mask.places.contains(&MaskPlace::Responses);
    let masks = layered.masks.as_ref().filter(|masks| masks.items.iter().any(|(_, masked, _)| hides(masked)));
    let mask = masks.map(|masks| ("mask", masks.place)).filter(|_| facts.answer_streams);
    let notes = layered.note.as_ref().filter(|notes| !notes.items.is_empty());
    let note = notes.map(|notes| ("note", notes.place)).filter(|_| facts.body_streams);
    for (name, place) in mask.iter().chain(&note) {
        let (what, done) = if *name == "mask" { ("answer", "hidden") } else { ("body", "noted") };
        owner.report(
            Problem::error(
                "P0316",
                &key.place,
                format!("no field of the {what} of {} can be {done}", quoted(&key.text)),
            )
            .label("the contract describes one that is no JSON, and it streams through unread")
            .related(place, format!("`{name}` asks for it"))
            .help(format!("say `{name}` at operations whose {what} is JSON; see {}", facts.origin)),
        );
    }
    mask.is_none() && note.is_none()
}
