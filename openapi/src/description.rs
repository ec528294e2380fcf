//! Reading one document into the operations it describes.
//!
//! What this reader does not understand it refuses: a rule of the contract that is quietly skipped is a hole nobody sees.
//! Knows one document at a time; what spans documents is the contract's.

use crate::derived;
use crate::document::{Entry, Kind, Node};
use crate::fault::{Fault, Faults, Mark, stem};
use crate::library::Library;
use crate::operation::{OperationParts, SecurityRequirement};
use crate::parameter::{ParameterRule, Place};
use crate::path::CanonicalPath;
use crate::reader::{NAME_BYTES_MAX, Reader, Scopes, is_name};
use crate::router::segments;
use crate::schema::Schemas;
use crate::structure::{self, METHODS, is_version};
use crate::units::Cache;
use std::collections::BTreeSet;

const SILENT: &str = "the contract does not say who may ask";

/// An operation as one document describes it, and where.
pub(crate) struct Described {
    pub(crate) parts: OperationParts,
    pub(crate) mark: Mark,
}

/// What came of one document.
#[derive(Default)]
pub(crate) struct Reading {
    /// All operations that could be read, even where there are faults, so that the contract can look across documents.
    pub(crate) operations: Vec<Described>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) warnings: Vec<Fault>,
}

/// Reads one document of a library.
///
/// What was compiled goes to `cache`, and comes from `previous` where it did not change.
pub(crate) fn read(library: &Library, file: u16, cache: &mut Cache, previous: Option<&Cache>) -> Reading {
    let (known, warned) = library.faults(file);
    let mut reading = Reading { faults: known.to_vec(), warnings: warned.to_vec(), ..Reading::default() };
    let Some(root) = library.root(file) else {
        return reading;
    };
    let mut faults = Faults::of(library.names());
    if check_version(root, &mut faults) {
        let schemas = Schemas::read(library, root, cache, &mut faults);
        let mut reader = Reader::new(library, root, schemas, faults);
        reader.security_schemes();
        reading.operations = reader.document();
        structure::check(root, &mut reader.faults);
        let Reader { mut schemas, faults: mut found, .. } = reader;
        schemas.finish(cache, previous, &mut found);
        faults = found;
    }
    let (mut found, mut warnings) = faults.into_parts();
    reading.faults.append(&mut found);
    reading.warnings.append(&mut warnings);
    reading
}

/// Tells whether this is a 3.0 document; 3.1 was made one before.
fn check_version(root: &Node, faults: &mut Faults) -> bool {
    let help = "this gateway reads OpenAPI 3.0 and what 3.1 has in common with it: write `openapi: 3.0.3`";
    match root.get("openapi").map(|node| (node, node.text())) {
        Some((_, Some(text))) if is_version(text, "3.0.") => true,
        Some((node, _)) => {
            faults.add_with_help(node.mark(), "not a version of OpenAPI this gateway reads", help);
            false
        }
        None if ["swagger", "info", "paths"].iter().all(|key| root.get(key).is_none())
            && !root.entries().is_empty() =>
        {
            // A file for parts: what is not used cannot be wrong, but a slip could be why.
            let help = "it has no `openapi`: if it is a contract, write `openapi: 3.0.3`";
            faults.warn(root.mark(), "no contract, and no contract refers to it", help);
            false
        }
        None => {
            faults.add_with_help(root.mark(), "`openapi` is missing", help);
            false
        }
    }
}

impl<'d> Reader<'d> {
    /// The scopes each security scheme knows.
    fn security_schemes(&mut self) {
        let root = self.root;
        let schemes = root.get("components").and_then(|components| components.get("securitySchemes"));
        for entry in schemes.map_or(&[][..], Node::entries) {
            let Some(scheme) = self.resolve(&entry.value, "securitySchemes") else {
                self.schemes.insert(entry.key.clone(), Scopes::Any);
                continue;
            };
            let scopes = match scheme.get("type").and_then(Node::text) {
                Some("oauth2") => {
                    let flows = scheme.get("flows").map_or(&[][..], Node::entries);
                    let scopes = flows.iter().filter_map(|flow| flow.value.get("scopes")).flat_map(Node::entries);
                    Scopes::Listed(scopes.map(|scope| scope.key.clone()).collect::<BTreeSet<String>>())
                }
                Some("openIdConnect") => Scopes::Any,
                Some("http" | "apiKey") => Scopes::None,
                _ => {
                    self.faults.add(entry.mark, "a security scheme is oauth2, http, apiKey or openIdConnect");
                    Scopes::Any
                }
            };
            self.schemes.insert(entry.key.clone(), scopes);
        }
    }

    fn document(&mut self) -> Vec<Described> {
        let root = self.root;
        self.likely_keys(
            root,
            &["openapi", "info", "servers", "paths", "components", "security", "tags", "externalDocs"],
        );
        self.references();
        let mut operations = Vec::new();
        for entry in root.get("paths").map_or(&[][..], Node::entries) {
            if entry.key.starts_with('/') {
                self.path_item(entry, &mut operations);
            } else if !entry.key.starts_with("x-") {
                self.faults.add(entry.mark, "a path starts with `/`");
            }
        }
        self.say_what_is_left_open(&operations);
        operations
    }

    /// One warning for all operations of a kind: a document that has one mostly has many.
    fn say_what_is_left_open(&mut self, operations: &[Described]) {
        let mut nameless = operations.iter().filter(|one| one.parts.is_derived);
        if let Some(first) = nameless.next() {
            let count = 1 + nameless.count();
            self.faults.warn(
                first.mark,
                format!(
                    "{count} operations from here on have no `operationId`: this one is called `{}`",
                    first.parts.id
                ),
                "give each a name of its own: a derived one changes with the path",
            );
        }
        let mut silent = operations.iter().filter(|one| one.parts.obstacle.as_deref() == Some(SILENT));
        if let Some(first) = silent.next() {
            let count = 1 + silent.count();
            self.faults.warn(
                first.mark,
                format!("nothing says who may ask for {count} operations from here on: none of them can be exposed"),
                "name a scheme under `security`, or write `security: []` for everybody",
            );
        }
    }

    fn path_item(&mut self, entry: &'d Entry, operations: &mut Vec<Described>) {
        let own = entry.value.entries().iter().find(|entry| METHODS.contains(&entry.key.as_str()));
        if let (Some(reference), Some(_)) = (entry.value.entry("$ref"), own) {
            self.faults.add_with_help(
                reference.mark,
                "beside these operations nothing can be referred to",
                "OpenAPI does not say which of the two counts: refer to a path item, or describe one",
            );
        }
        let Some(item) = self.resolve(&entry.value, "pathItems") else {
            return;
        };
        let mut keys = vec!["summary", "description", "servers", "parameters", "$ref"];
        keys.extend(METHODS);
        self.likely_keys(item, &keys);
        let Some((names, obstacle)) = self.template(entry) else {
            return;
        };
        for operation in item.entries().iter().filter(|operation| METHODS.contains(&operation.key.as_str())) {
            let path = Path { template: &entry.key, item, names: &names, obstacle: obstacle.as_deref() };
            if let Some(parts) = self.operation(&path, operation) {
                operations.push(Described { parts, mark: operation.mark });
            }
        }
    }

    /// The names of a template's parameters, in order, and why no request can have such a path, where that is so.
    fn template(&mut self, entry: &Entry) -> Option<(Vec<String>, Option<String>)> {
        let mut names: Vec<String> = Vec::new();
        let mut filled = String::new();
        let mut obstacle = None;
        for segment in segments(&entry.key) {
            filled.push('/');
            let found = parameters_in(segment).filter(|found| {
                let all: Vec<&str> = names.iter().map(String::as_str).chain(found.iter().copied()).collect();
                found.iter().all(|name| is_name(name) && all.iter().filter(|known| *known == name).count() == 1)
            });
            let Some(found) = found else {
                self.faults.add_with_help(
                    entry.mark,
                    "a path template that cannot be used",
                    "a parameter is `{name}`, and its name stands once",
                );
                return None;
            };
            match found.as_slice() {
                [] => filled.push_str(segment),
                // Any plain text will do: only what stands around it is judged.
                _ => filled.push('x'),
            }
            if found.iter().any(|name| name.len() + 2 != segment.len()) {
                obstacle = Some("a parameter of its path does not fill a whole segment".to_owned());
            }
            names.extend(found.into_iter().map(str::to_owned));
        }
        if filled.is_empty() {
            filled.push('/');
        }
        if let Err(error) = CanonicalPath::parse(&filled) {
            obstacle = Some(format!("no request can have this path: {error}"));
        }
        if let Some(obstacle) = &obstacle {
            let help = "the operations of this path can be read, but nobody can reach or expose them";
            self.faults.warn(entry.mark, obstacle.clone(), help);
        }
        Some((names, obstacle))
    }

    fn operation(&mut self, path: &Path<'_, 'd>, entry: &'d Entry) -> Option<OperationParts> {
        let node = &entry.value;
        self.likely_keys(
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
        let method = entry.key.to_ascii_uppercase();
        let is_derived = node.get("operationId").is_none();
        let id =
            if is_derived { Some(derived::operation_id(&method, path.template)) } else { self.operation_id(entry) };
        let (security, unsaid) = self.security(entry);
        let parameters = self.parameters(path.item, path.names, entry);
        let unnamed = self.undescribed(path.names, &parameters, entry.mark);
        let body = node.get("requestBody").and_then(|body| self.body(body));
        let answers = self.answers(node.get("responses"));
        Some(OperationParts {
            id: id?,
            document: stem(self.library.name(self.root.mark().file)).to_owned(),
            method,
            template: path.template.to_owned(),
            origin: self.faults.origin(entry.mark),
            security,
            template_names: path.names.to_vec(),
            parameters,
            body,
            answers,
            is_derived,
            is_reachable: path.obstacle.is_none(),
            obstacle: path.obstacle.map(str::to_owned).or(unsaid).or(unnamed),
        })
    }

    /// A part of the path that nothing is said of would not be judged: such an operation cannot be exposed.
    fn undescribed(&mut self, names: &[String], rules: &[ParameterRule], mark: Mark) -> Option<String> {
        let is_described = |name: &String| rules.iter().any(|rule| rule.place == Place::Path && rule.name == *name);
        let name = names.iter().find(|name| !is_described(name))?;
        let told = format!("the path parameter `{name}` is not described");
        self.faults.warn(
            mark,
            told.clone(),
            "describe it under `parameters`; until then nobody can expose the operation",
        );
        Some(told)
    }

    fn operation_id(&mut self, entry: &Entry) -> Option<String> {
        let node = entry.value.get("operationId")?;
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

    /// Who may ask, and why nobody may.
    ///
    /// OpenAPI calls an operation public that says nothing. Here public is what says so: an operation that nobody gave a
    /// thought to must not be open to everybody, so it can be read, but not exposed.
    fn security(&mut self, entry: &Entry) -> (Vec<SecurityRequirement>, Option<String>) {
        let Some(node) = entry.value.get("security").or_else(|| self.root.get("security")) else {
            return (Vec::new(), Some(SILENT.to_owned()));
        };
        let Kind::List(items) = node.kind() else {
            self.faults.add(node.mark(), "`security` is a list");
            return (Vec::new(), None);
        };
        let (mut security, mut obstacle) = (Vec::new(), None);
        for item in items {
            let mut requirements: Vec<_> = item.entries().iter().filter_map(|entry| self.requirement(entry)).collect();
            match item.entries().len() {
                1 => security.append(&mut requirements),
                0 => obstacle = Some("the contract asks for a proof and for none at once (`{}`)".to_owned()),
                _ => obstacle = Some("the contract asks for several proofs at once".to_owned()),
            }
        }
        (security, obstacle)
    }

    fn requirement(&mut self, entry: &Entry) -> Option<SecurityRequirement> {
        let Some(known) = self.schemes.get(&entry.key).cloned() else {
            self.faults.add(entry.mark, format!("no security scheme `{}` in this document", entry.key));
            return None;
        };
        let Kind::List(items) = entry.value.kind() else {
            self.faults.add(entry.value.mark(), "scopes are a list");
            return None;
        };
        let mut scopes = Vec::with_capacity(items.len());
        for item in items {
            match (item.text(), &known) {
                (Some(scope), Scopes::Listed(_) | Scopes::Any) => {
                    // It is asked for all the same: nobody gets in by a slip.
                    if matches!(&known, Scopes::Listed(known) if !known.contains(scope)) {
                        let help = "add it to the `scopes` of the scheme, or mend its spelling";
                        self.faults.warn(item.mark(), format!("the scheme does not know the scope `{scope}`"), help);
                    }
                    scopes.push(scope.to_owned());
                }
                (Some(_), Scopes::None) => self.faults.add(item.mark(), "only oauth2 schemes have scopes"),
                (None, _) => self.faults.add(item.mark(), "a scope is a text"),
            }
        }
        Some(SecurityRequirement { scheme: entry.key.clone(), scopes })
    }
}

/// What all operations of one path share.
struct Path<'p, 'd> {
    template: &'p str,
    item: &'d Node,
    names: &'p [String],
    /// Why no request can have this path.
    obstacle: Option<&'p str>,
}

/// The parameters within one segment of a template; none where its braces do not fit.
fn parameters_in(segment: &str) -> Option<Vec<&str>> {
    let mut names = Vec::new();
    let mut rest = segment;
    while let Some(at) = rest.find(['{', '}']) {
        let (name, tail) = rest.get(at..)?.strip_prefix('{')?.split_once('}')?;
        names.push(name);
        rest = tail;
    }
    Some(names)
}
