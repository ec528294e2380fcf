//! Which fields are hidden from whom.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::lists::distinct;
use super::parties;
use crate::language::decode::Value;
use crate::language::document::Key;
use crate::language::tables::MASK;
use crate::mask::{FieldPath, Mask, MaskPlace, Show};
use crate::rulebook::Role;

/// A mask, with where its fields are written.
#[derive(Clone)]
pub(super) struct Masked<'n> {
    pub(super) mask: Arc<Mask>,
    pub(super) fields: Vec<(FieldPath, Value<'n>)>,
}

/// Reads a mask.
pub(super) fn mask<'n>(key: &Key, value: Value<'n>) -> Option<Masked<'n>> {
    let fields = value.table(&MASK)?;
    let paths = fields.at("fields").and_then(|list| {
        let items = list.items(|item| Some((item.field_path()?, item)))?;
        distinct(list, items.clone(), "field").map(|_| items)
    });
    let show = fields.at("show").and_then(|value| {
        value.word(|word| match word {
            "last-four" => Some(Show::LastFour),
            "stars" => Some(Show::Stars),
            "nothing" => Some(Show::Nothing),
            _ => None,
        })
    });
    let except = match fields.at("except") {
        None => Some(BTreeSet::new()),
        Some(value) => value.mapping().and_then(|fields| match fields.at("roles") {
            None => Some(BTreeSet::<Role>::new()),
            Some(value) => parties::roles(value),
        }),
    };
    let places = match fields.at("in") {
        None => Some(BTreeSet::from([MaskPlace::Responses, MaskPlace::Logs, MaskPlace::Traces])),
        Some(list) => {
            list.items(|item| Some((item.word(place)?, item))).and_then(|items| distinct(list, items, "place"))
        }
    };
    let paths = paths?;
    let mask = Mask {
        id: Arc::from(key.text.as_str()),
        fields: paths.iter().map(|(path, _)| path.clone()).collect(),
        show: show?,
        except: except?,
        places: places?,
        origin: key.place.origin(),
    };
    Some(Masked { mask: Arc::new(mask), fields: paths })
}

fn place(word: &str) -> Option<MaskPlace> {
    match word {
        "responses" => Some(MaskPlace::Responses),
        "logs" => Some(MaskPlace::Logs),
        "traces" => Some(MaskPlace::Traces),
        _ => None,
    }
}
