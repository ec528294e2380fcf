//! The shape of an OpenAPI document, judged by `openapiv3`, and the places of what it refuses.
//!
//! Its errors carry no place. So the document is judged piece by piece, smallest first, and the fault stands at the
//! smallest piece that is refused. Must never decide what a document means.

use crate::document::Node;
use crate::fault::Faults;
use openapiv3::{
    Example, Header, Info, Link, MediaType, OpenAPI, Parameter, PathItem, ReferenceOr, RequestBody, Response, Schema,
    SecurityScheme, Server,
};
use serde::de::DeserializeOwned;

/// The methods of a path item, as OpenAPI writes them.
pub(crate) const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// Tells whether a text is a version of one line: `3.0.3`, `3.0.0-RC2`.
pub(crate) fn is_version(text: &str, line: &str) -> bool {
    let Some(patch) = text.strip_prefix(line) else {
        return false;
    };
    let (number, candidate) = patch.split_once('-').unwrap_or((patch, "rc"));
    let digits = |text: &str| text.len() <= 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    let candidate = candidate.to_ascii_lowercase();
    !number.is_empty() && digits(number) && candidate.strip_prefix("rc").is_some_and(digits)
}

/// Tells whether one word is the other but for capitals and one slip: a letter more, less or another, or two neighbours
/// that changed places.
pub(crate) fn is_near(known: &str, key: &str) -> bool {
    let (known, key) = (known.to_ascii_lowercase(), key.to_ascii_lowercase());
    let (longer, shorter) = if known.len() >= key.len() { (&known, &key) } else { (&key, &known) };
    if known == key {
        return true;
    }
    let same = longer.bytes().zip(shorter.bytes()).take_while(|(one, other)| one == other).count();
    let rest = |text: &str, from: usize| text.get(from..).map(str::to_owned);
    let slip = if longer.len() == shorter.len() { same + 1 } else { same };
    let swapped = || {
        let pair = |text: &str| text.as_bytes().get(same..same + 2).map(<[u8]>::to_vec);
        let turned = pair(longer).map(|mut pair| {
            pair.reverse();
            pair
        });
        longer.len() == shorter.len() && turned == pair(shorter) && rest(longer, same + 2) == rest(shorter, same + 2)
    };
    (longer.len() - shorter.len() <= 1 && rest(longer, same + 1) == rest(shorter, slip)) || swapped()
}

/// Adds a fault for every piece of the document that is not OpenAPI 3.0.
pub(crate) fn check(root: &Node, faults: &mut Faults) {
    // The pieces are looked at only where something is wrong: nearly every document is sound.
    if serde_json::from_value::<OpenAPI>(root.to_value()).is_ok() {
        return;
    }
    let mut sound = true;
    if let Some(info) = root.get("info") {
        sound &= judge::<Info>(info, "`info`", faults);
    }
    for server in root.get("servers").map_or(&[][..], Node::items) {
        sound &= judge::<Server>(server, "the server", faults);
    }
    for entry in root.get("paths").map_or(&[][..], Node::entries).iter().filter(|entry| entry.key.starts_with('/')) {
        sound &= path_item(&entry.value, faults);
    }
    if let Some(components) = root.get("components") {
        sound &= named::<Schema>(components, "schemas", "the schema", faults);
        sound &= named::<Parameter>(components, "parameters", "the parameter", faults);
        sound &= named::<SecurityScheme>(components, "securitySchemes", "the security scheme", faults);
        sound &= named::<RequestBody>(components, "requestBodies", "the request body", faults);
        sound &= named::<Header>(components, "headers", "the header", faults);
        sound &= named::<Example>(components, "examples", "the example", faults);
        sound &= named::<Link>(components, "links", "the link", faults);
        for entry in components.get("responses").map_or(&[][..], Node::entries) {
            sound &= response(&entry.value, faults);
        }
    }
    if sound {
        judge::<OpenAPI>(root, "the document", faults);
    }
}

/// Adds a fault where a piece that stands in another file is not OpenAPI 3.0; `kind` is the name of its components.
pub(crate) fn check_part(kind: &str, node: &Node, faults: &mut Faults) {
    match kind {
        "pathItems" => path_item(node, faults),
        "parameters" => judge::<ReferenceOr<Parameter>>(node, "the parameter", faults),
        "requestBodies" => content(node, faults) && judge::<ReferenceOr<RequestBody>>(node, "the request body", faults),
        "responses" => response(node, faults),
        "headers" => judge::<ReferenceOr<Header>>(node, "the header", faults),
        "securitySchemes" => judge::<ReferenceOr<SecurityScheme>>(node, "the security scheme", faults),
        // Schemas are judged by their own reader.
        _ => true,
    };
}

fn path_item(node: &Node, faults: &mut Faults) -> bool {
    let mut sound = each::<Parameter>(node.get("parameters"), "the parameter", faults);
    for entry in node.entries().iter().filter(|entry| METHODS.contains(&entry.key.as_str())) {
        sound &= operation(&entry.value, faults);
    }
    // A path item that is refused for one of its pieces needs no second complaint.
    sound && judge::<ReferenceOr<PathItem>>(node, "the path item", faults)
}

fn operation(node: &Node, faults: &mut Faults) -> bool {
    let mut sound = each::<Parameter>(node.get("parameters"), "the parameter", faults);
    if let Some(body) = node.get("requestBody") {
        sound &= content(body, faults) && judge::<ReferenceOr<RequestBody>>(body, "the request body", faults);
    }
    for entry in node.get("responses").map_or(&[][..], Node::entries) {
        sound &= response(&entry.value, faults);
    }
    sound && judge::<openapiv3::Operation>(node, "the operation", faults)
}

fn response(node: &Node, faults: &mut Faults) -> bool {
    content(node, faults) && judge::<ReferenceOr<Response>>(node, "the response", faults)
}

fn content(node: &Node, faults: &mut Faults) -> bool {
    let mut sound = true;
    for entry in node.get("content").map_or(&[][..], Node::entries) {
        sound &= judge::<MediaType>(&entry.value, "the media type", faults);
    }
    sound
}

fn named<T: DeserializeOwned>(components: &Node, kind: &str, what: &str, faults: &mut Faults) -> bool {
    let mut sound = true;
    for entry in components.get(kind).map_or(&[][..], Node::entries) {
        sound &= judge::<ReferenceOr<T>>(&entry.value, what, faults);
    }
    sound
}

fn each<T: DeserializeOwned>(list: Option<&Node>, what: &str, faults: &mut Faults) -> bool {
    let mut sound = true;
    for item in list.map_or(&[][..], Node::items) {
        sound &= judge::<ReferenceOr<T>>(item, what, faults);
    }
    sound
}

fn judge<T: DeserializeOwned>(node: &Node, what: &str, faults: &mut Faults) -> bool {
    match serde_json::from_value::<T>(node.to_value()) {
        Ok(_) => true,
        Err(error) => {
            faults.add_unless_known(node.mark(), format!("{what} is not OpenAPI 3.0: {error}"));
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slip_is_near_and_two_are_not() {
        for (known, key) in [
            ("maxLength", "maxLenght"),
            ("maxLength", "maxlength"),
            ("maxLength", "maxLengt"),
            ("maxLength", "maxLengthh"),
            ("maxLength", "maxLenkth"),
            ("enum", "enmu"),
        ] {
            assert!(is_near(known, key) && is_near(key, known), "{key}");
        }
        for (known, key) in [
            ("maxLength", "maxLneght"),
            ("maxLength", "maxLenhgtt"),
            ("maxLength", "minLength"),
            ("enum", "neum2"),
            ("enum", "mune"),
            ("enum", "\u{451}num"),
            ("", "ab"),
        ] {
            assert!(!is_near(known, key) && !is_near(key, known), "{key}");
        }
    }
}
