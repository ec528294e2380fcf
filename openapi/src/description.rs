//! Reading one document into the operations it describes.
//!
//! What this reader does not understand it refuses: a rule of the contract that is quietly skipped is a hole nobody sees.
//! Knows one document at a time; what spans documents is the contract's.

use crate::document::{self, Entry, Kind, Node};
use crate::fault::{Fault, Faults, Mark, Source};
use crate::operation::{OperationParts, SecurityRequirement};
use crate::path::CanonicalPath;
use crate::router::segments;
use crate::schema::{Schemas, component_name};
use crate::structure::{self, METHODS};
use crate::validate::{BodyRule, MediaRule, ParameterRule, Place, Scalar, Shape};
use std::collections::{BTreeMap, BTreeSet};

/// The longest `operationId`, in bytes: it stands in policies, logs and metrics.
const ID_BYTES_MAX: usize = 128;

/// The longest chain of references to one thing.
const REFERENCES_MAX: usize = 8;

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
    let mut reader = Reader {
        source,
        root: &root,
        schemas,
        schemes,
        faults,
    };
    let operations = reader.document();
    structure::check(&root, &mut reader.faults);
    (operations, reader.faults.into_found())
}

fn check_version(root: &Node, faults: &mut Faults) -> bool {
    let help = "this gateway reads OpenAPI 3.0: write `openapi: 3.0.3`";
    match root.get("openapi").map(|node| (node, node.text())) {
        Some((_, Some("3.0.0" | "3.0.1" | "3.0.2" | "3.0.3" | "3.0.4"))) => true,
        Some((node, _)) => {
            faults.add_with_help(
                node.mark(),
                "not a version of OpenAPI this gateway reads",
                help,
            );
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
    let schemes = root
        .get("components")
        .and_then(|components| components.get("securitySchemes"));
    let mut known = BTreeMap::new();
    for entry in schemes.map_or(&[][..], Node::entries) {
        let scopes = match entry.value.get("type").and_then(Node::text) {
            Some("oauth2") => {
                let flows = entry.value.get("flows").map_or(&[][..], Node::entries);
                let scopes = flows
                    .iter()
                    .filter_map(|flow| flow.value.get("scopes"))
                    .flat_map(Node::entries);
                Some(scopes.map(|scope| scope.key.clone()).collect())
            }
            Some("http" | "apiKey" | "openIdConnect") => None,
            _ => {
                faults.add(
                    entry.mark,
                    "a security scheme is oauth2, http, apiKey or openIdConnect",
                );
                None
            }
        };
        known.insert(entry.key.clone(), scopes);
    }
    known
}

struct Reader<'d> {
    source: &'d Source,
    root: &'d Node,
    schemas: Schemas,
    schemes: BTreeMap<String, Option<BTreeSet<String>>>,
    faults: Faults,
}

impl<'d> Reader<'d> {
    fn document(&mut self) -> Vec<Described> {
        let root = self.root;
        self.known_keys(
            root,
            &[
                "openapi",
                "info",
                "servers",
                "paths",
                "components",
                "security",
                "tags",
                "externalDocs",
            ],
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
        for operation in item
            .entries()
            .iter()
            .filter(|operation| METHODS.contains(&operation.key.as_str()))
        {
            if let Some(parts) = self.operation(entry, &names, operation) {
                operations.push(Described {
                    parts,
                    mark: operation.mark,
                });
            }
        }
    }

    /// The names of a template's parameters, in order.
    fn template(&mut self, entry: &Entry) -> Option<Vec<String>> {
        let mut names: Vec<String> = Vec::new();
        let mut filled = String::new();
        for segment in segments(&entry.key) {
            filled.push('/');
            let name = segment
                .strip_prefix('{')
                .and_then(|rest| rest.strip_suffix('}'));
            match name {
                Some(name)
                    if is_parameter_name(name) && !names.iter().any(|known| known == name) =>
                {
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
            self.faults.add(
                entry.mark,
                format!("no request can have this path: {error}"),
            );
            return None;
        }
        Some(names)
    }

    fn operation(
        &mut self,
        path: &'d Entry,
        names: &[String],
        entry: &'d Entry,
    ) -> Option<OperationParts> {
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
        let named = |text: &&str| {
            text.len() <= ID_BYTES_MAX
                && text.starts_with(|first: char| first.is_ascii_alphabetic())
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
        };
        let id = node.text().filter(named);
        if id.is_none() {
            self.faults.add(
                node.mark(),
                format!("an `operationId` is a letter, then letters, digits, `_`, `-` and `.`, at most {ID_BYTES_MAX}"),
            );
        }
        id.map(str::to_owned)
    }

    /// Public is what says so: an operation that nobody gave a thought to must not be open to everybody.
    fn security(&mut self, entry: &Entry) -> Vec<SecurityRequirement> {
        let Some(node) = entry
            .value
            .get("security")
            .or_else(|| self.root.get("security"))
        else {
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
        items
            .iter()
            .filter_map(|item| self.requirement(item))
            .collect()
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
            self.faults.add(
                entry.mark,
                format!("no security scheme `{}` in this document", entry.key),
            );
            return None;
        };
        let Kind::List(items) = entry.value.kind() else {
            self.faults.add(entry.value.mark(), "scopes are a list");
            return None;
        };
        let mut scopes = Vec::with_capacity(items.len());
        for item in items {
            match (item.text(), known) {
                (Some(scope), Some(known)) if known.contains(scope) => {
                    scopes.push(scope.to_owned())
                }
                (Some(scope), Some(_)) => self.faults.add(
                    item.mark(),
                    format!("the scheme does not know the scope `{scope}`"),
                ),
                (_, None) => self
                    .faults
                    .add(item.mark(), "only oauth2 schemes have scopes"),
                (None, _) => self.faults.add(item.mark(), "a scope is a text"),
            }
        }
        Some(SecurityRequirement {
            scheme: entry.key.clone(),
            scopes,
        })
    }

    /// The parameters of the path item and the operation; the operation's come first and win.
    fn parameters(
        &mut self,
        path: &'d Entry,
        names: &[String],
        operation: &'d Entry,
    ) -> Vec<ParameterRule> {
        let mut rules: Vec<ParameterRule> = Vec::new();
        for list in [&operation.value, &path.value]
            .into_iter()
            .filter_map(|owner| owner.get("parameters"))
        {
            let mut own: Vec<ParameterRule> = Vec::new();
            for node in list.items() {
                let Some(rule) = self
                    .resolve(node, "parameters")
                    .and_then(|node| self.parameter(node))
                else {
                    continue;
                };
                if rule.place == Place::Path && !names.contains(&rule.name) {
                    self.faults
                        .add(node.mark(), format!("the path has no `{{{}}}`", rule.name));
                } else if own
                    .iter()
                    .any(|other| other.place == rule.place && other.name == rule.name)
                {
                    self.faults.add(
                        node.mark(),
                        format!("the parameter `{}` is described twice", rule.name),
                    );
                } else {
                    own.push(rule);
                }
            }
            own.retain(|rule| {
                !rules
                    .iter()
                    .any(|other| other.place == rule.place && other.name == rule.name)
            });
            rules.append(&mut own);
        }
        for name in names {
            if !rules
                .iter()
                .any(|rule| rule.place == Place::Path && &rule.name == name)
            {
                self.faults.add(
                    operation.mark,
                    format!("the path parameter `{name}` is not described"),
                );
            }
        }
        rules
    }

    fn parameter(&mut self, node: &'d Node) -> Option<ParameterRule> {
        self.known_keys(
            node,
            &[
                "name",
                "in",
                "description",
                "required",
                "deprecated",
                "style",
                "explode",
                "schema",
                "example",
                "examples",
            ],
        );
        let name = node.get("name").and_then(Node::text).unwrap_or_default();
        let place = match node.get("in").and_then(Node::text) {
            Some("path") => Place::Path,
            Some("query") => Place::Query,
            Some("header") => Place::Header,
            _ => {
                self.faults.add(
                    node.get("in").unwrap_or(node).mark(),
                    "a parameter stands in path, query or header",
                );
                return None;
            }
        };
        let name = if place == Place::Header {
            name.to_ascii_lowercase()
        } else {
            name.to_owned()
        };
        // OpenAPI gives these three to other parts of a description and asks to ignore them here.
        if place == Place::Header
            && matches!(name.as_str(), "accept" | "content-type" | "authorization")
        {
            return None;
        }
        if !is_parameter_name(&name) {
            self.faults.add(
                node.get("name").unwrap_or(node).mark(),
                "a parameter is named with letters, digits, `_`, `-` and `.`",
            );
            return None;
        }
        if let Some(style) = node
            .get("style")
            .filter(|style| !matches!(style.text(), Some("simple" | "form")))
        {
            self.faults
                .add(style.mark(), "a parameter's style is `simple` or `form`");
        }
        let required = node.get("required").and_then(Node::boolean) == Some(true);
        if place == Place::Path && !required {
            self.faults
                .add(node.mark(), "a path parameter says `required: true`");
        }
        let Some(schema) = node.get("schema") else {
            self.faults.add(node.mark(), "a parameter needs a `schema`");
            return None;
        };
        let kind = self.scalar(schema)?;
        let validator = self.schemas.validator(schema, &mut self.faults)?;
        Some(ParameterRule {
            name,
            place,
            required,
            kind,
            validator,
        })
    }

    fn scalar(&mut self, schema: &'d Node) -> Option<Scalar> {
        let resolved = self.resolve(schema, "schemas")?;
        match resolved.get("type").and_then(Node::text) {
            Some("string") => Some(Scalar::String),
            Some("integer") => Some(Scalar::Integer),
            Some("number") => Some(Scalar::Number),
            Some("boolean") => Some(Scalar::Boolean),
            _ => {
                self.faults.add(
                    schema.mark(),
                    "a parameter's schema has the type string, integer, number or boolean",
                );
                None
            }
        }
    }

    fn body(&mut self, node: &'d Node) -> Option<BodyRule> {
        let node = self.resolve(node, "requestBodies")?;
        self.known_keys(node, &["description", "content", "required"]);
        let required = node.get("required").and_then(Node::boolean) == Some(true);
        let entries = node.get("content").map_or(&[][..], Node::entries);
        if entries.is_empty() {
            self.faults
                .add(node.mark(), "a request body has at least one media type");
        }
        let mut media: Vec<MediaRule> = Vec::new();
        for entry in entries {
            if let Some(rule) = self.media_type(entry) {
                if media.iter().any(|other| other.essence == rule.essence) {
                    self.faults
                        .add(entry.mark, "the media type is described twice");
                }
                media.push(rule);
            }
        }
        Some(BodyRule { required, media })
    }

    fn media_type(&mut self, entry: &'d Entry) -> Option<MediaRule> {
        self.known_keys(&entry.value, &["schema", "example", "examples"]);
        let essence = entry
            .key
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        let Some(shape) = Shape::of(&essence) else {
            self.faults.add_with_help(
                entry.mark,
                "a request body of this media type cannot be checked",
                "use application/json, application/NAME+json or application/x-www-form-urlencoded",
            );
            return None;
        };
        let Some(schema) = entry.value.get("schema") else {
            self.faults
                .add(entry.mark, "a request body needs a `schema`");
            return None;
        };
        let validator = self.schemas.validator(schema, &mut self.faults)?;
        Some(MediaRule {
            essence,
            shape,
            validator,
        })
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

    /// Follows references into one kind of component.
    fn resolve(&mut self, node: &'d Node, kind: &str) -> Option<&'d Node> {
        let mut current = node;
        for _ in 0..REFERENCES_MAX {
            let Some(reference) = current.get("$ref") else {
                return Some(current);
            };
            let name = reference.text().and_then(|text| {
                text.strip_prefix("#/components/")?
                    .strip_prefix(kind)?
                    .strip_prefix('/')
            });
            let target = name.and_then(|name| self.root.get("components")?.get(kind)?.get(name));
            let Some(target) = target else {
                self.faults.add(
                    reference.mark(),
                    format!(
                        "no entry of `#/components/{kind}` at `{}`",
                        reference.text().unwrap_or_default()
                    ),
                );
                return None;
            };
            current = target;
        }
        self.faults.add(
            node.mark(),
            format!("more than {REFERENCES_MAX} references one after another"),
        );
        None
    }

    /// Complains about every reference of the document that leads nowhere, used or not.
    fn references(&mut self, node: &Node) {
        for entry in node.entries() {
            if entry.key.starts_with("x-")
                || matches!(
                    entry.key.as_str(),
                    "example" | "examples" | "enum" | "default"
                )
            {
                continue;
            }
            match entry.value.text() {
                Some(text) if entry.key == "$ref" => self.reference(text, entry.value.mark()),
                _ => self.references(&entry.value),
            }
        }
        for item in node.items() {
            self.references(item);
        }
    }

    fn reference(&mut self, text: &str, mark: Mark) {
        // Schemas speak for themselves, in the words of their own file.
        if component_name(text).is_some() {
            if self.schemas_have(text) {
                return;
            }
            self.faults.add_with_help(
                mark,
                format!("no schema at `{text}`"),
                "schemas are referred to as `#/components/schemas/NAME`",
            );
            return;
        }
        let target = text
            .strip_prefix('#')
            .map(|pointer| (pointer, self.root.nearest(pointer)));
        let found = target.is_some_and(|(pointer, node)| {
            pointer.starts_with("/components/") && self.is_whole(pointer, node)
        });
        if !found {
            self.faults.add_with_help(
                mark,
                format!("nothing at `{text}`"),
                "references lead into `#/components` of the same file",
            );
        }
    }

    fn schemas_have(&self, text: &str) -> bool {
        let name = component_name(text);
        name.is_some_and(|name| {
            self.root
                .get("components")
                .and_then(|components| components.get("schemas")?.get(name))
                .is_some()
        })
    }

    fn is_whole(&self, pointer: &str, found: &Node) -> bool {
        let (parent, last) = pointer.rsplit_once('/').unwrap_or_default();
        self.root
            .nearest(parent)
            .get(last)
            .is_some_and(|node| std::ptr::eq(node, found))
    }

    fn known_keys(&mut self, node: &Node, known: &[&str]) {
        for entry in node
            .entries()
            .iter()
            .filter(|entry| !entry.key.starts_with("x-") && entry.key != "$ref")
        {
            if !known.contains(&entry.key.as_str()) {
                self.faults.add_with_help(
                    entry.mark,
                    format!("`{}` is not known here", entry.key),
                    &format!("known are {}", known.join(", ")),
                );
            }
        }
    }
}

fn is_parameter_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= ID_BYTES_MAX
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}
