//! Reading one document into the operations it describes.
//!
//! What this reader does not understand it refuses: a rule of the contract that is quietly skipped is a hole nobody sees.
//! Knows one document at a time; what spans documents is the contract's.

use crate::document::{self, Entry, Kind, Node};
use crate::fault::{Fault, Faults, Mark, Source};
use crate::operation::{OperationParts, SecurityRequirement};
use crate::path::CanonicalPath;
use crate::reader::{NAME_BYTES_MAX, Reader, is_name};
use crate::router::segments;
use crate::schema::Schemas;
use crate::structure::{self, METHODS};
use std::collections::{BTreeMap, BTreeSet};

/// An operation as one document describes it, and where.
pub(crate) struct Described {
    pub(crate) parts: OperationParts,
    pub(crate) mark: Mark,
}

/// Reads one document.
///
/// Gives all operations that could be read even where there are faults, so that the contract can look across documents.
pub(crate) fn read(source: &Source) -> (Vec<Described>, Vec<Fault>) {
    let root = match document::parse(source) {
        Ok(root) => root,
        Err(faults) => return (Vec::new(), faults),
    };
    let mut faults = Faults::new(&source.name);
    if !check_version(&root, &mut faults) {
        return (Vec::new(), faults.into_found());
    }
    let schemas = Schemas::read(&root, &mut faults);
    let schemes = read_schemes(&root, &mut faults);
    let mut reader = Reader { source, root: &root, schemas, schemes, faults };
    let operations = reader.document();
    structure::check(&root, &mut reader.faults);
    (operations, reader.faults.into_found())
}

fn check_version(root: &Node, faults: &mut Faults) -> bool {
    let help = "this gateway reads OpenAPI 3.0: write `openapi: 3.0.3`";
    match root.get("openapi").map(|node| (node, node.text())) {
        Some((_, Some("3.0.0" | "3.0.1" | "3.0.2" | "3.0.3" | "3.0.4"))) => true,
        Some((node, _)) => {
            faults.add_with_help(node.mark(), "not a version of OpenAPI this gateway reads", help);
            false
        }
        None => {
            faults.add_with_help(root.mark(), "`openapi` is missing", help);
            false
        }
    }
}

/// The scopes each security scheme knows; `None` for those without scopes.
fn read_schemes(root: &Node, faults: &mut Faults) -> BTreeMap<String, Option<BTreeSet<String>>> {
    let schemes = root.get("components").and_then(|components| components.get("securitySchemes"));
    let mut known = BTreeMap::new();
    for entry in schemes.map_or(&[][..], Node::entries) {
        let scopes = match entry.value.get("type").and_then(Node::text) {
            Some("oauth2") => {
                let flows = entry.value.get("flows").map_or(&[][..], Node::entries);
                let scopes = flows.iter().filter_map(|flow| flow.value.get("scopes")).flat_map(Node::entries);
                Some(scopes.map(|scope| scope.key.clone()).collect())
            }
            Some("http" | "apiKey" | "openIdConnect") => None,
            _ => {
                faults.add(entry.mark, "a security scheme is oauth2, http, apiKey or openIdConnect");
                None
            }
        };
        known.insert(entry.key.clone(), scopes);
    }
    known
}

impl<'d> Reader<'d> {
    fn document(&mut self) -> Vec<Described> {
        let root = self.root;
        self.known_keys(
            root,
            &["openapi", "info", "servers", "paths", "components", "security", "tags", "externalDocs"],
        );
        self.references(root);
        let mut operations = Vec::new();
        for entry in root.get("paths").map_or(&[][..], Node::entries) {
            if entry.key.starts_with('/') {
                self.path_item(entry, &mut operations);
            } else if !entry.key.starts_with("x-") {
                self.faults.add(entry.mark, "a path starts with `/`");
            }
        }
        operations
    }

    fn path_item(&mut self, entry: &'d Entry, operations: &mut Vec<Described>) {
        let item = &entry.value;
        let mut keys = vec!["summary", "description", "servers", "parameters"];
        keys.extend(METHODS);
        self.known_keys(item, &keys);
        let Some(names) = self.template(entry) else {
            return;
        };
        for operation in item.entries().iter().filter(|operation| METHODS.contains(&operation.key.as_str())) {
            if let Some(parts) = self.operation(entry, &names, operation) {
                operations.push(Described { parts, mark: operation.mark });
            }
        }
    }

    /// The names of a template's parameters, in order.
    fn template(&mut self, entry: &Entry) -> Option<Vec<String>> {
        let mut names: Vec<String> = Vec::new();
        let mut filled = String::new();
        for segment in segments(&entry.key) {
            filled.push('/');
            let name = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
            match name {
                Some(name) if is_name(name) && !names.iter().any(|known| known == name) => {
                    names.push(name.to_owned());
                    // Any plain text will do: only what stands around it is judged.
                    filled.push('x');
                }
                _ if segment.contains(['{', '}']) => {
                    self.faults.add_with_help(
                        entry.mark,
                        "a path template that cannot be used",
                        "a parameter fills its whole segment, `/{name}`, and its name stands once",
                    );
                    return None;
                }
                _ => filled.push_str(segment),
            }
        }
        if filled.is_empty() {
            filled.push('/');
        }
        if let Err(error) = CanonicalPath::parse(&filled) {
            self.faults.add(entry.mark, format!("no request can have this path: {error}"));
            return None;
        }
        Some(names)
    }

    fn operation(&mut self, path: &'d Entry, names: &[String], entry: &'d Entry) -> Option<OperationParts> {
        let node = &entry.value;
        self.known_keys(
            node,
            &[
                "tags",
                "summary",
                "description",
                "externalDocs",
                "operationId",
                "parameters",
                "requestBody",
                "responses",
                "callbacks",
                "deprecated",
                "security",
                "servers",
            ],
        );
        let id = self.operation_id(entry);
        let security = self.security(entry);
        let parameters = self.parameters(path, names, entry);
        let body = node.get("requestBody").and_then(|body| self.body(body));
        for response in node.get("responses").map_or(&[][..], Node::entries) {
            self.response(&response.value);
        }
        Some(OperationParts {
            id: id?,
            document: self.source.stem().to_owned(),
            method: entry.key.to_ascii_uppercase(),
            template: path.key.clone(),
            origin: format!("{}:{}", self.source.name, entry.mark.line),
            security,
            template_names: names.to_vec(),
            parameters,
            body,
        })
    }

    fn operation_id(&mut self, entry: &Entry) -> Option<String> {
        let Some(node) = entry.value.get("operationId") else {
            self.faults.add_with_help(
                entry.mark,
                "`operationId` is missing",
                "policies speak of operations by this name",
            );
            return None;
        };
        let named = |text: &&str| is_name(text) && text.starts_with(|first: char| first.is_ascii_alphabetic());
        let id = node.text().filter(named);
        if id.is_none() {
            self.faults.add(
                node.mark(),
                format!(
                    "an `operationId` is a letter, then letters, digits, `_`, `-` and `.`, at most {NAME_BYTES_MAX}"
                ),
            );
        }
        id.map(str::to_owned)
    }

    /// Public is what says so: an operation that nobody gave a thought to must not be open to everybody.
    fn security(&mut self, entry: &Entry) -> Vec<SecurityRequirement> {
        let Some(node) = entry.value.get("security").or_else(|| self.root.get("security")) else {
            self.faults.add_with_help(
                entry.mark,
                "nothing says who may ask",
                "name a scheme under `security`, or write `security: []` for everybody",
            );
            return Vec::new();
        };
        let Kind::List(items) = node.kind() else {
            self.faults.add(node.mark(), "`security` is a list");
            return Vec::new();
        };
        items.iter().filter_map(|item| self.requirement(item)).collect()
    }

    fn requirement(&mut self, node: &Node) -> Option<SecurityRequirement> {
        let [entry] = node.entries() else {
            self.faults.add_with_help(
                node.mark(),
                "a security requirement names exactly one scheme",
                "write `security: []` for everybody; schemes side by side are alternatives",
            );
            return None;
        };
        let Some(known) = self.schemes.get(&entry.key) else {
            self.faults.add(entry.mark, format!("no security scheme `{}` in this document", entry.key));
            return None;
        };
        let Kind::List(items) = entry.value.kind() else {
            self.faults.add(entry.value.mark(), "scopes are a list");
            return None;
        };
        let mut scopes = Vec::with_capacity(items.len());
        for item in items {
            match (item.text(), known) {
                (Some(scope), Some(known)) if known.contains(scope) => scopes.push(scope.to_owned()),
                (Some(scope), Some(_)) => {
                    self.faults.add(item.mark(), format!("the scheme does not know the scope `{scope}`"))
                }
                (_, None) => self.faults.add(item.mark(), "only oauth2 schemes have scopes"),
                (None, _) => self.faults.add(item.mark(), "a scope is a text"),
            }
        }
        Some(SecurityRequirement { scheme: entry.key.clone(), scopes })
    }

    fn response(&mut self, node: &'d Node) {
        let Some(node) = self.resolve(node, "responses") else {
            return;
        };
        for entry in node.get("content").map_or(&[][..], Node::entries) {
            if let Some(schema) = entry.value.get("schema") {
                self.schemas.check(schema, &mut self.faults);
            }
        }
    }
}
