//! `discriminator`: the property that says which of several schemas is meant.
//!
//! The rule made of it stands beside `oneOf` and `anyOf`, never instead of them: it can only refuse more. Must never see a
//! request.

use crate::document::{Entry, Node};
use crate::fault::Faults;
use crate::library::{Library, Target};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The names of all components that are built by `allOf` on a component, directly or not, by that component's name.
pub(crate) fn heirs(components: &[Entry]) -> BTreeMap<String, BTreeSet<String>> {
    let mut parents: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for entry in components {
        let all = entry.value.get("allOf").map_or(&[][..], Node::items);
        let names = all.iter().filter_map(|item| item.get("$ref")?.text()?.strip_prefix("#/components/schemas/"));
        parents.insert(&entry.key, names.collect());
    }
    let mut heirs: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for name in parents.keys() {
        let mut waiting: Vec<&str> = parents.get(name).into_iter().flatten().copied().collect();
        while let Some(parent) = waiting.pop() {
            if heirs.entry(parent.to_owned()).or_default().insert((*name).to_owned()) {
                waiting.extend(parents.get(parent).into_iter().flatten().copied());
            }
        }
    }
    heirs
}

/// What a discriminator asks of the value: its property names one of the schemas that are known.
///
/// `heirs` is the component's own name with those that are built on it, for a discriminator without alternatives.
pub(crate) fn rule<'d>(
    library: &'d Library,
    node: &'d Node,
    words: &'d Node,
    heirs: Option<(&str, &BTreeSet<String>)>,
    faults: &mut Faults,
) -> Option<Value> {
    let Some(property) = words.get("propertyName").and_then(Node::text) else {
        faults.add(words.mark(), "a discriminator needs a `propertyName`");
        return None;
    };
    let alternatives = ["oneOf", "anyOf"].into_iter().find_map(|key| node.get(key));
    let mut known: BTreeSet<String> = BTreeSet::new();
    let mut whole = true;
    for alternative in alternatives.map_or(&[][..], Node::items) {
        let target = alternative.get("$ref").and_then(|reference| library.find(reference, reference.text()?).ok());
        match target.as_ref().and_then(component_of) {
            Some(name) => {
                known.insert(name);
            }
            None => whole = false,
        }
    }
    if alternatives.is_none()
        && let Some((own, heirs)) = heirs
    {
        known.insert(own.to_owned());
        known.extend(heirs.iter().cloned());
    }
    for entry in words.get("mapping").map_or(&[][..], Node::entries) {
        known.insert(entry.key.clone());
        let text = entry.value.text().unwrap_or_default();
        let component = format!("#/components/schemas/{text}");
        if library.find(&entry.value, text).is_err() && library.find(&entry.value, &component).is_err() {
            faults.add(entry.value.mark(), format!("nothing at `{text}`: a discriminator leads to a schema"));
        }
    }
    let named = !known.is_empty() && whole;
    match (alternatives.is_some(), named) {
        (true, true) => Some(json!({ "required": [property], "properties": { property: { "enum": known } } })),
        (true, false) => Some(json!({ "required": [property] })),
        // A schema others are built on may stand for itself, without saying so.
        (false, true) => Some(json!({ "properties": { property: { "enum": known } } })),
        (false, false) => None,
    }
}

/// The component a reference leads to, by the last part of its pointer.
pub(crate) fn component_of(target: &Target<'_>) -> Option<String> {
    let name = target.pointer.rsplit('/').next()?;
    Some(name.replace("~1", "/").replace("~0", "~"))
}
