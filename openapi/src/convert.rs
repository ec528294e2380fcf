//! Says in the words of OpenAPI 3.0 what a 3.1 document says, where that is exactly the same.
//!
//! It works on the tree, before anything is read from it: everybody else knows one language only. What 3.0 cannot say is a
//! fault, by its name and where it stands. Parts that a 3.1 document refers to are taken to be 3.1 as well. Must never
//! judge a document otherwise.

use crate::convert_schema::{Findings, What, add, beyond, get_mut, is_known_dialect, list_mut, retain, schema};
use crate::document::{Kind, Node};
use crate::fault::{Fault, Faults, Source};
use crate::library::{Library, unescaped};
use crate::structure::{METHODS, is_version};
use std::collections::{BTreeSet, VecDeque};

/// Reads files that belong together, all in the words of 3.0.
///
/// # Errors
/// Only where there is more than a contract may hold; what is wrong with a file stays with the file.
pub(crate) fn library(sources: &[Source]) -> Result<Library, Vec<Fault>> {
    let mut library = Library::read(sources)?;
    convert(&mut library);
    Ok(library)
}

/// Converts every 3.1 document of a library, and the parts such documents refer to.
fn convert(library: &mut Library) {
    let mut waiting: VecDeque<(u16, String, What)> = VecDeque::new();
    for file in library.documents().collect::<Vec<_>>() {
        let version = library.root(file).and_then(|root| root.get("openapi")).and_then(Node::text);
        if version.is_some_and(|version| is_version(version, "3.1.")) {
            waiting.push_back((file, String::new(), What::Document));
        }
    }
    let mut done = BTreeSet::new();
    while let Some((file, pointer, what)) = waiting.pop_front() {
        if !done.insert((file, pointer.clone(), what)) {
            continue;
        }
        let mut findings = Findings { faults: Faults::of(library.names()), references: Vec::new() };
        if let Some(node) = library.root_mut(file).and_then(|root| root.pointed_mut(&pointer)) {
            place(node, what, &mut findings);
        }
        for (text, what) in findings.references {
            // The places of a document are converted with it; those of parts have to be sought out.
            let other = library.other_file(file, &text).filter(|other| !library.is_document(*other));
            let pointer = text.split_once('#').map_or("", |(_, pointer)| pointer);
            let own = (!library.is_document(file) && text.starts_with('#')).then_some(file);
            if let Some(file) = other.or(own) {
                waiting.push_back((file, unescaped(pointer).into_owned(), what));
            }
        }
        library.note(file, findings.faults);
    }
}

/// Converts a place, and what stands in it.
fn place(node: &mut Node, what: What, findings: &mut Findings) {
    if what == What::Schema {
        return schema(node, findings);
    }
    if let Some(text) = node.get("$ref").and_then(Node::text) {
        findings.references.push((text.to_owned(), what));
        // 3.1 lets a reference have words of its own; they are for readers, as ours are for nobody.
        retain(node, |key| !matches!(key, "summary" | "description"));
        return;
    }
    match what {
        What::Document => document(node, findings),
        What::Components => components(node, findings),
        What::PathItem => path_item(node, findings),
        What::Operation => operation(node, findings),
        What::Parameter | What::Header => {
            inner(node, "schema", What::Schema, findings);
            each(node, "content", What::MediaType, findings);
        }
        What::RequestBody => each(node, "content", What::MediaType, findings),
        What::Response => {
            each(node, "headers", What::Header, findings);
            each(node, "content", What::MediaType, findings);
        }
        What::MediaType => inner(node, "schema", What::Schema, findings),
        What::Callback => values(node, What::PathItem, findings),
        What::SecurityScheme => {
            if let Some(kind) = node.get("type").filter(|kind| kind.text() == Some("mutualTLS")) {
                beyond(kind, "a security scheme of the type `mutualTLS`", findings);
            }
        }
        What::Schema => {}
    }
}

fn document(node: &mut Node, findings: &mut Findings) {
    if let Some(dialect) = node.get("jsonSchemaDialect").filter(|dialect| !is_known_dialect(dialect)) {
        beyond(dialect, "another dialect of JSON Schema", findings);
    }
    if let Some(paths) = get_mut(node, "paths") {
        values(paths, What::PathItem, findings);
    } else {
        // 3.1 lets a document be without paths.
        add(node, "paths", Kind::Map(Vec::new()));
    }
    inner(node, "components", What::Components, findings);
    if let Some(info) = get_mut(node, "info") {
        retain(info, |key| key != "summary");
        if let Some(license) = get_mut(info, "license") {
            retain(license, |key| key != "identifier");
        }
    }
    if let Some(version) = get_mut(node, "openapi") {
        *version.kind_mut() = Kind::Text("3.0.3".to_owned());
    }
    // Requests that the provider sends, as callbacks are: nothing of ours.
    retain(node, |key| !matches!(key, "jsonSchemaDialect" | "webhooks"));
}

fn components(node: &mut Node, findings: &mut Findings) {
    for (key, what) in [
        ("schemas", What::Schema),
        ("parameters", What::Parameter),
        ("requestBodies", What::RequestBody),
        ("responses", What::Response),
        ("headers", What::Header),
        ("callbacks", What::Callback),
        ("pathItems", What::PathItem),
        ("securitySchemes", What::SecurityScheme),
    ] {
        each(node, key, what, findings);
    }
}

fn path_item(node: &mut Node, findings: &mut Findings) {
    for item in list_mut(node, "parameters") {
        place(item, What::Parameter, findings);
    }
    for method in METHODS {
        inner(node, method, What::Operation, findings);
    }
}

fn operation(node: &mut Node, findings: &mut Findings) {
    for item in list_mut(node, "parameters") {
        place(item, What::Parameter, findings);
    }
    inner(node, "requestBody", What::RequestBody, findings);
    each(node, "callbacks", What::Callback, findings);
    if node.get("responses").is_some() {
        each(node, "responses", What::Response, findings);
    } else {
        add(node, "responses", Kind::Map(Vec::new()));
    }
}

fn inner(node: &mut Node, key: &str, what: What, findings: &mut Findings) {
    if let Some(node) = get_mut(node, key) {
        place(node, what, findings);
    }
}

fn each(node: &mut Node, key: &str, what: What, findings: &mut Findings) {
    if let Some(node) = get_mut(node, key) {
        values(node, what, findings);
    }
}

fn values(node: &mut Node, what: What, findings: &mut Findings) {
    for entry in node.entries_mut().into_iter().flatten().filter(|entry| !entry.key.starts_with("x-")) {
        place(&mut entry.value, what, findings);
    }
}
