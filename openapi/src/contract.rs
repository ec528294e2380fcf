//! All documents together: every operation once, by name and by path.
//!
//! A contract is read whole or not at all, so that a half-read one is never served. Must never know policies, sockets or
//! the time.

use crate::convert;
use crate::description::{self, Described, Reading};
use crate::fault::{Fault, Source, stem};
use crate::operation::Operation;
use crate::path::CanonicalPath;
use crate::router::{Route, Router};
use crate::units::Cache;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The most operations of a contract: twice what 673 published documents hold together.
pub const OPERATIONS_MAX: usize = 10_000;

/// Everything that is described, ready to route and to judge.
#[derive(Debug, Default)]
pub struct Contract {
    operations: Vec<Arc<Operation>>,
    router: Router,
    warnings: Vec<Fault>,
    collisions: Vec<(usize, usize)>,
    cache: Cache,
}

/// What came of one document, judged by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The [`Source::name`] of the file.
    pub name: String,
    /// How many operations it describes.
    pub operations: usize,
    /// Everything wrong with it; empty if it loads.
    pub faults: Vec<Fault>,
    /// What somebody should look at.
    pub warnings: Vec<Fault>,
}

/// Judges each document by itself; files that others only refer to have no report of their own.
///
/// # Errors
/// Where there is more than a contract may hold together.
pub fn check(sources: &[Source]) -> Result<Vec<Report>, Vec<Fault>> {
    let library = convert::library(sources)?;
    let report = |file: u16| {
        let Reading { operations, mut faults, mut warnings } =
            description::read(&library, file, &mut Cache::default(), None);
        let count = operations.len();
        let mut contract = Contract::default();
        let mut names = BTreeMap::new();
        contract.join(operations, &mut names, &mut faults);
        warnings.append(&mut contract.warnings);
        sort(&mut faults);
        sort(&mut warnings);
        Report { name: library.name(file).to_owned(), operations: count, faults, warnings }
    };
    Ok(library.documents().map(report).collect())
}

impl Contract {
    /// Reads documents of OpenAPI 3.0, and of 3.1 as far as 3.0 can say the same, and compiles every rule in them.
    ///
    /// Files that others refer to may be parts of documents. Nothing but the given files is read.
    ///
    /// # Errors
    /// Every fault of every document at once, sorted by file and place.
    pub fn load(sources: &[Source]) -> Result<Contract, Vec<Fault>> {
        Contract::load_reusing(sources, None)
    }

    /// Reads documents like [`Contract::load`], and takes over from a contract what was compiled for equal texts.
    ///
    /// # Errors
    /// Those of [`Contract::load`].
    pub fn load_reusing(sources: &[Source], previous: Option<&Contract>) -> Result<Contract, Vec<Fault>> {
        let previous = previous.map(|contract| &contract.cache);
        let library = convert::library(sources)?;
        let mut faults = Vec::new();
        let mut stems: BTreeMap<&str, &str> = BTreeMap::new();
        let mut names: BTreeMap<String, String> = BTreeMap::new();
        let mut contract = Contract::default();
        for file in library.documents() {
            let name = library.name(file);
            if let Some(other) = stems.insert(stem(name), name) {
                faults.push(fault(name, 1, 1, format!("a document named `{}` is already at {other}", stem(name))));
            }
            let mut reading = description::read(&library, file, &mut contract.cache, previous);
            faults.append(&mut reading.faults);
            contract.warnings.append(&mut reading.warnings);
            contract.join(reading.operations, &mut names, &mut faults);
            if contract.operations.len() > OPERATIONS_MAX {
                faults.push(fault(name, 1, 1, format!("more than {OPERATIONS_MAX} operations")));
                break;
            }
        }
        sort(&mut contract.warnings);
        if faults.is_empty() {
            return Ok(contract);
        }
        sort(&mut faults);
        Err(faults)
    }

    /// Takes the operations of one document; `names` tells where each operationId is already.
    fn join(&mut self, described: Vec<Described>, names: &mut BTreeMap<String, String>, faults: &mut Vec<Fault>) {
        for one in described {
            let operation = Arc::new(Operation::new(one.parts, self.operations.len()));
            let (file, _) = operation.origin().rsplit_once(':').unwrap_or((operation.origin(), ""));
            let at = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
            let (line, column) = (at(one.mark.line), at(one.mark.column));
            if let Some(other) = names.insert(operation.id().to_owned(), operation.origin().to_owned()) {
                let message = format!("the operationId `{}` is already used at {other}", operation.id());
                faults.push(fault(file, line, column, message));
            }
            if operation.is_reachable()
                && let Err(other) = self.router.add(&operation)
            {
                let (method, template) = (operation.method(), operation.template());
                let message =
                    format!("{method} {template} has the shape of {} at {}", other.template(), other.origin());
                let help = format!("policies may expose only one of `{}` and `{}`", other.id(), operation.id());
                self.warnings.push(Fault { help: Some(help), ..fault(file, line, column, message) });
                self.collisions.push((other.index(), operation.index()));
            }
            self.operations.push(operation);
        }
    }

    /// What does not keep the contract from being used, but is better known; sorted by file and place.
    pub fn warnings(&self) -> &[Fault] {
        &self.warnings
    }

    /// Pairs of operations, by [`Operation::index`], with the same method and a path of the same shape.
    ///
    /// No request can tell them apart, so at most one of each pair can be exposed; see [`Contract::prefer`].
    pub fn collisions(&self) -> &[(usize, usize)] {
        &self.collisions
    }

    /// Has requests that could mean several operations lead to the one that is wanted.
    ///
    /// Without it, or where none or several are wanted, they lead to the first one that was described.
    pub fn prefer(&mut self, is_wanted: &dyn Fn(&Operation) -> bool) {
        for (_, later) in &self.collisions {
            if let Some(operation) = self.operations.get(*later).filter(|operation| is_wanted(operation)) {
                self.router.replace(operation, is_wanted);
            }
        }
    }

    /// Every operation, in the order of the documents; [`Operation::index`] points here.
    pub fn operations(&self) -> &[Arc<Operation>] {
        &self.operations
    }

    /// Finds what serves a method and a path; the method is compared as it is.
    pub fn route(&self, method: &str, path: &CanonicalPath) -> Route {
        self.router.find(method, path)
    }
}

fn sort(faults: &mut Vec<Fault>) {
    faults.sort_by(|a, b| (&a.file, a.line, a.column, &a.message).cmp(&(&b.file, b.line, b.column, &b.message)));
    // What is wrong in a part is found again by every document that refers to it.
    faults.dedup();
}

fn fault(file: &str, line: usize, column: usize, message: String) -> Fault {
    Fault { file: file.to_owned(), line, column, message, help: None }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;
    use crate::form::QUERY_BYTES_MAX;
    use crate::operation::{RouteMatch, SecurityRequirement};

    const HEAD: &str = "openapi: 3.0.3\ninfo: {title: T, version: '1'}\nsecurity: []\npaths:\n";
    const ANSWER: &str = "responses: {'200': {description: d}}";

    fn source(name: &str, text: &str) -> Source {
        Source { name: name.to_owned(), text: text.to_owned() }
    }

    /// The faults of one document whose `paths` start in line 5, as `line:column message`.
    fn faults(paths: &str) -> Vec<String> {
        whole(&format!("{HEAD}{paths}"))
    }

    fn whole(text: &str) -> Vec<String> {
        let faults = Contract::load(&[source("x.yaml", text)]).err().unwrap_or_default();
        faults.iter().map(|fault| format!("{}:{} {}", fault.line, fault.column, fault.message)).collect()
    }

    fn get(extra: &str) -> String {
        format!("  /a:\n    get:\n      operationId: a\n      {ANSWER}\n{extra}")
    }

    #[test]
    fn what_is_not_openapi_3_0_is_refused() {
        for (text, expected) in [
            ("openapi: 3.2.0\npaths: {}\n", "1:10 not a version of OpenAPI this gateway reads"),
            ("openapi: 3.0.0-beta\npaths: {}\n", "1:10 not a version of OpenAPI this gateway reads"),
            ("openapi: 3.0.\npaths: {}\n", "1:10 not a version of OpenAPI this gateway reads"),
            ("openapi: 3.0.0000\npaths: {}\n", "1:10 not a version of OpenAPI this gateway reads"),
            ("openapi: 3.0\npaths: {}\n", "1:10 not a version of OpenAPI this gateway reads"),
            ("swagger: '2.0'\n", "1:1 `openapi` is missing"),
            ("- a\n", "1:1 `openapi` is missing"),
            (
                "openapi: 3.0.3\ninfo: {title: T, version: '1'}\npaths: {}\nsecurty: []\n",
                "4:1 `securty` is not known here",
            ),
            (
                "openapi: 3.0.3\ninfo:\n  title: [T]\npaths: {}\n",
                "3:3 `info` is not OpenAPI 3.0: invalid type: sequence, expected a string",
            ),
            ("openapi: 3.0.3\npaths: {}\n", "1:1 the document is not OpenAPI 3.0: missing field `info`"),
            ("a: 1\na: 2\n", "2:1 the key `a` is repeated"),
        ] {
            assert_eq!(whole(text), [expected], "{text}");
        }
    }

    /// The obstacles of the operations of a document that loads, and its warnings as `line:column message`.
    fn open(text: &str) -> (Vec<Option<String>>, Vec<String>) {
        let contract = Contract::load(&[source("x.yaml", text)]).unwrap();
        let obstacles = contract.operations().iter().map(|one| one.obstacle().map(str::to_owned)).collect();
        let told = |fault: &Fault| format!("{}:{} {}", fault.line, fault.column, fault.message);
        (obstacles, contract.warnings().iter().map(told).collect())
    }

    #[test]
    fn names_that_cannot_be_used_are_refused() {
        for name in ["'a b'", "''", "7", "1a", "[a]"] {
            let found = faults(&format!("  /a:\n    get:\n      operationId: {name}\n      {ANSWER}\n"));
            assert!(found.first().unwrap().starts_with("7:20 an `operationId` is"), "{found:?}");
        }
    }

    #[test]
    fn an_operation_of_which_nothing_says_who_may_ask_has_an_obstacle() {
        let text = format!("openapi: 3.0.3\ninfo: {{title: T, version: '1'}}\npaths:\n{}", get(""));
        let (obstacles, warnings) = open(&text);
        assert_eq!(obstacles, [Some("the contract does not say who may ask".to_owned())]);
        assert_eq!(
            warnings,
            ["5:5 nothing says who may ask for 1 operations from here on: none of them can be exposed"]
        );
        assert_eq!(open(&format!("{HEAD}{}", get(""))), (vec![None], Vec::new()));
    }

    #[test]
    fn proofs_that_are_asked_for_together_or_not_at_all_are_an_obstacle() {
        let schemes = "components:\n  securitySchemes:\n    a: {type: http, scheme: basic}\n    b: {type: http, scheme: bearer}\n";
        for (security, obstacle) in [
            ("[{}]", Some("the contract asks for a proof and for none at once (`{}`)")),
            ("[{a: []}, {}]", Some("the contract asks for a proof and for none at once (`{}`)")),
            ("[{a: [], b: []}]", Some("the contract asks for several proofs at once")),
            ("[{a: []}, {b: []}]", None),
            ("[]", None),
        ] {
            let (obstacles, _) = open(&format!("{HEAD}{}{schemes}", get(&format!("      security: {security}\n"))));
            assert_eq!(obstacles, [obstacle.map(str::to_owned)], "{security}");
        }
    }

    #[test]
    fn operations_without_a_name_are_named_after_method_and_path() {
        let text = format!(
            "{HEAD}  /things/{{id}}:\n    parameters: [{{name: id, in: path, required: true, schema: {{type: string}}}}]\n    get: {{{ANSWER}}}\n    put: {{{ANSWER}}}\n"
        );
        let contract = Contract::load(&[source("x.yaml", &text)]).unwrap();
        let ids: Vec<&str> = contract.operations().iter().map(|operation| operation.id()).collect();
        assert_eq!(ids, ["get_things_by_id", "put_things_by_id"]);
        assert_eq!(
            open(&text).1,
            ["7:5 2 operations from here on have no `operationId`: this one is called `get_things_by_id`"]
        );
    }

    #[test]
    fn names_are_taken_once_and_both_places_are_told() {
        let first = source("a.yaml", &format!("{HEAD}{}", get("")));
        let name = source("b.yaml", &format!("{HEAD}  /b:\n    get:\n      operationId: a\n      {ANSWER}\n"));
        let stem = source("other/a.yaml", &format!("{HEAD}  /b:\n    get:\n      operationId: b\n      {ANSWER}\n"));
        for (second, expected) in [
            (name, "b.yaml:6:5: the operationId `a` is already used at a.yaml:6"),
            (stem, "other/a.yaml:1:1: a document named `a` is already at a.yaml"),
        ] {
            let faults = Contract::load(&[first.clone(), second]).unwrap_err();
            assert_eq!(faults.iter().map(ToString::to_string).collect::<Vec<_>>(), [expected]);
        }
    }

    #[test]
    fn templates_that_cannot_be_read_are_refused() {
        for (template, expected) in [
            ("a", "5:3 a path starts with `/`"),
            ("/a/{}", "5:3 a path template that cannot be used"),
            ("/a/{x}/{x}", "5:3 a path template that cannot be used"),
            ("/a/{x}{x}", "5:3 a path template that cannot be used"),
            ("/a/{x", "5:3 a path template that cannot be used"),
            ("/a/x}", "5:3 a path template that cannot be used"),
            ("/a/}{", "5:3 a path template that cannot be used"),
            ("/a/{{x}}", "5:3 a path template that cannot be used"),
        ] {
            let found = faults(&format!("  '{template}':\n    get:\n      operationId: a\n      {ANSWER}\n"));
            assert_eq!(found, [expected], "{template}");
        }
    }

    #[test]
    fn templates_that_no_request_can_have_are_an_obstacle() {
        let x = "    parameters: [{name: x, in: path, required: true, schema: {type: string}}]\n";
        for (template, parameters, obstacle) in [
            ("/a/", "", "no request can have this path: the path ends with a slash"),
            ("/a//b", "", "no request can have this path: the path has an empty segment"),
            ("/../a", "", "no request can have this path: the path has a dot segment"),
            ("/a b", "", "no request can have this path: the path has a character that is not allowed at byte 2"),
            ("/a?b", "", "no request can have this path: the path has a character that is not allowed at byte 2"),
            ("/a/{x}.json", x, "a parameter of its path does not fill a whole segment"),
        ] {
            let text = format!("{HEAD}  '{template}':\n{parameters}    get:\n      operationId: a\n      {ANSWER}\n");
            let (obstacles, warnings) = open(&text);
            assert_eq!(obstacles, [Some(obstacle.to_owned())], "{template}");
            assert_eq!(warnings, [format!("5:3 {obstacle}")]);
            let contract = Contract::load(&[source("x.yaml", &text)]).unwrap();
            let found = contract.route("GET", &CanonicalPath::parse("/a/1.json").unwrap());
            assert!(matches!(found, Route::NotFound), "{template}");
        }
    }

    const BILLS: &str = "  /bills/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get: {operationId: billById, responses: {'200': {description: d}}}
  /bills/{token}:
    parameters: [{name: token, in: path, required: true, schema: {type: string}}]
    get: {operationId: billByToken, responses: {'200': {description: d}}}
    put: {operationId: putBill, responses: {'200': {description: d}}}
";

    #[test]
    fn templates_that_collide_are_told_with_both_places() {
        let text = format!("{HEAD}{BILLS}");
        assert_eq!(open(&text).1, ["10:5 GET /bills/{token} has the shape of /bills/{id} at x.yaml:7"]);
        let mut contract = Contract::load(&[source("x.yaml", &text)]).unwrap();
        assert_eq!(contract.collisions(), [(0, 1)]);
        let served = |contract: &Contract, method: &str| {
            let Route::Found(found) = contract.route(method, &CanonicalPath::parse("/bills/7").unwrap()) else {
                unreachable!("{method}")
            };
            (found.operation.id().to_owned(), found.parameter("token").map(str::to_owned))
        };
        assert_eq!(served(&contract, "GET"), ("billById".to_owned(), None));
        assert_eq!(served(&contract, "PUT"), ("putBill".to_owned(), Some("7".to_owned())));
        contract.prefer(&|operation| operation.id() == "billByToken");
        assert_eq!(served(&contract, "GET"), ("billByToken".to_owned(), Some("7".to_owned())));
        contract.prefer(&|_| true);
        assert_eq!(served(&contract, "GET").0, "billByToken");
    }

    #[test]
    fn descriptions_that_would_not_be_checked_are_refused() {
        for (extra, expected) in [
            ("      requestbody: {}\n", "9:7 `requestbody` is not known here"),
            ("      requestBody: {content: {json: {schema: {}}}}\n", "9:31 no media type"),
            ("      requestBody: {content: {}}\n", "9:20 a request body has at least one media type"),
            (
                "      requestBody: {content: {application/json: {schema: {type: sting}}}}\n",
                "9:65 a type is one of string, number, integer, boolean, array, object",
            ),
            (
                "      requestBody: {$ref: '#/components/requestBodies/No'}\n",
                "9:27 nothing at `#/components/requestBodies/No`",
            ),
            ("      parameters: [{name: p, in: query}]\n", "9:20 a parameter needs a `schema` or a `content`"),
            (
                "      parameters: [{name: p, in: body, schema: {type: string}}]\n",
                "9:34 a parameter stands in path, query, header or cookie",
            ),
            (
                "      parameters: [{name: p, in: query, schema: {type: array, items: {type: array, items: {}}}}]\n",
                "9:20 a style cannot spell lists of lists",
            ),
            (
                "      parameters: [{name: p, in: header, allowEmptyValue: true, schema: {type: string}}]\n",
                "9:59 `allowEmptyValue` is for query parameters only",
            ),
            (
                "      parameters: [{name: p, in: query, style: deepObject, schema: {type: string}}]\n",
                "9:20 `deepObject` spells objects only",
            ),
            (
                "      parameters: [{name: p, in: path, required: true, schema: {type: string}}]\n",
                "9:20 the path has no `{p}`",
            ),
            (
                "      parameters: [{name: p, in: query, schema: {type: string}}, {name: p, in: query, schema: {type: string}}]\n",
                "9:66 the parameter `p` is described twice",
            ),
            ("      security: [{a: []}]\n", "9:19 no security scheme `a` in this document"),
            ("    $ref: '#/components/x'\n", "9:5 beside these operations nothing can be referred to"),
        ] {
            let found = faults(&get(extra));
            assert!(found.iter().any(|fault| fault.starts_with(expected)), "{extra}{found:?}");
        }
    }

    #[test]
    fn path_parameters_are_described_and_required() {
        let path =
            |parameter: &str| format!("  /a/{{x}}:\n    get:\n      operationId: a\n      {ANSWER}\n{parameter}");
        let (obstacles, warnings) = open(&format!("{HEAD}{}", path("")));
        assert_eq!(obstacles, [Some("the path parameter `x` is not described".to_owned())]);
        assert_eq!(warnings, ["6:5 the path parameter `x` is not described"]);
        let optional = faults(&path("      parameters: [{name: x, in: path, schema: {type: string}}]\n"));
        assert!(optional.first().unwrap().starts_with("9:20 a path parameter says `required: true`"), "{optional:?}");
        assert_eq!(
            faults(&path("      parameters: [{name: x, in: path, required: true, schema: {type: string}}]\n")),
            [""; 0]
        );
    }

    #[test]
    fn references_are_followed_and_must_arrive() {
        let text = |target: &str| {
            format!(
                "{HEAD}{}components:\n  responses: {{R: {{description: d}}}}\n  parameters:\n    P: {{$ref: '#/components/parameters/{target}'}}\n    Q: {{name: q, in: query, schema: {{type: string}}}}\n",
                get("      parameters: [{$ref: '#/components/parameters/P'}]\n")
            )
        };
        assert_eq!(whole(&text("Q")), [""; 0]);
        assert!(whole(&text("P")).first().unwrap().starts_with("9:20 the references from here go round in a circle"));
        assert!(whole(&text("N")).iter().any(|fault| fault.starts_with("13:15 nothing at")));
        assert_eq!(faults("  /a:\n    get:\n      operationId: a\n      responses:\n        '200':\n          $ref: '#/components/responses/No'\n").len(), 1);
    }

    #[test]
    fn the_limits_of_names_and_references_hold_on_both_sides() {
        let named = |length: usize| {
            faults(&format!("  /a:\n    get:\n      operationId: {}\n      {ANSWER}\n", "a".repeat(length)))
        };
        assert_eq!(named(128), [""; 0]);
        assert!(named(129).first().unwrap().starts_with("7:20 an `operationId` is"));
        let chain = |links: usize| {
            let links: String =
                (1..links).map(|n| format!("    P{n}: {{$ref: '#/components/parameters/P{}'}}\n", n + 1)).collect();
            let last = links.lines().count() + 1;
            let parameters = format!("{links}    P{last}: {{name: q, in: query, schema: {{type: string}}}}\n");
            whole(&format!(
                "{HEAD}{}components:\n  parameters:\n{parameters}",
                get("      parameters: [{$ref: '#/components/parameters/P1'}]\n")
            ))
        };
        assert_eq!(chain(8), [""; 0]);
        assert!(chain(9).first().unwrap().starts_with("9:20 more than 8 references"));
    }

    #[test]
    fn the_limit_of_operations_holds_on_both_sides() {
        let many = |count: usize| -> Vec<Source> {
            let one = |n: usize| format!("  /a{n}:\n    get: {{operationId: a{n}, {ANSWER}}}\n");
            let files: Vec<usize> = (0..count).collect();
            files
                .chunks(2_500)
                .enumerate()
                .map(|(file, chunk)| {
                    source(
                        &format!("{file}.yaml"),
                        &format!("{HEAD}{}", chunk.iter().copied().map(one).collect::<String>()),
                    )
                })
                .collect()
        };
        assert_eq!(Contract::load(&many(OPERATIONS_MAX)).unwrap().operations().len(), OPERATIONS_MAX);
        let faults = Contract::load(&many(OPERATIONS_MAX + 1)).unwrap_err();
        assert_eq!(faults.first().unwrap().message, format!("more than {OPERATIONS_MAX} operations"));
    }

    #[test]
    fn scopes_are_known_to_their_scheme() {
        let text = |requirement: &str| {
            format!(
                "{HEAD}{}components:\n  securitySchemes:\n    token: {{type: oauth2, flows: {{clientCredentials: {{tokenUrl: /t, scopes: {{a: A, b: B}}}}}}}}\n    key: {{type: apiKey, in: header, name: x}}\n",
                get(&format!("      security: {requirement}\n"))
            )
        };
        let (_, warnings) = open(&text("[{token: [c]}]"));
        assert_eq!(warnings, ["9:27 the scheme does not know the scope `c`"]);
        assert_eq!(whole(&text("[{key: [a]}]")), ["9:25 only oauth2 schemes have scopes"]);
        let contract = Contract::load(&[source("x.yaml", &text("[{token: [b, a]}, {key: []}]"))]).unwrap();
        let requirement = |scheme: &str, scopes: &[&str]| SecurityRequirement {
            scheme: scheme.to_owned(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        };
        assert_eq!(
            contract.operations().first().unwrap().security(),
            [requirement("token", &["b", "a"]), requirement("key", &[])]
        );
    }

    #[test]
    fn all_faults_come_at_once_in_order() {
        let bad = source(
            "b.yaml",
            &format!(
                "{HEAD}  /a:\n    get:\n      operationId: '?'\n      {ANSWER}\n    post:\n      operationId: 7\n      {ANSWER}\n"
            ),
        );
        let worse = source("a.yaml", "a: [\n");
        let faults = Contract::load(&[bad, worse]).unwrap_err();
        let places: Vec<(String, usize)> = faults.iter().map(|fault| (fault.file.clone(), fault.line)).collect();
        assert_eq!(places.first().unwrap().0, "a.yaml");
        assert!(places.iter().filter(|(file, _)| file == "b.yaml").map(|(_, line)| *line).eq([7, 10]), "{faults:?}");
    }

    const REQUESTS: &str = "  /a/{x}:
    parameters:
      - {name: x, in: path, required: true, schema: {type: string, maxLength: 3}}
      - {name: limit, in: query, schema: {type: integer, maximum: 5}}
    get:
      operationId: a
      responses: {'200': {description: d}}
      parameters:
        - {name: limit, in: query, schema: {type: integer, minimum: 1, maximum: 100}}
        - {name: from, in: query, schema: {type: string, format: date}}
        - {name: X-Key, in: header, required: true, schema: {type: string, pattern: '^[a-z]{1,3}$'}}
        - {name: Authorization, in: header, required: true, schema: {type: string}}
";

    fn check(path: &str, query: Option<&str>, key: Option<&str>) -> Vec<String> {
        let contract = Contract::load(&[source("x.yaml", &format!("{HEAD}{REQUESTS}"))]).unwrap();
        let found = found(&contract, path);
        let header = |name: &str| key.filter(|_| name == "x-key").map(str::to_owned).into_iter().collect::<Vec<_>>();
        let faults = found.operation.check_request(&found, query, &header).err().unwrap_or_default();
        faults.iter().map(|fault| format!("{} {}", fault.pointer, fault.keyword)).collect()
    }

    fn found(contract: &Contract, path: &str) -> RouteMatch {
        let Route::Found(found) = contract.route("GET", &CanonicalPath::parse(path).unwrap()) else {
            unreachable!("{path}")
        };
        found
    }

    #[test]
    fn requests_that_break_a_rule_are_refused() {
        for (path, query, key, expected) in [
            ("/a/1234", None, Some("k"), "path:x maxLength"),
            ("/a/1", Some("limit=0"), Some("k"), "query:limit minimum"),
            ("/a/1", Some("limit=101"), Some("k"), "query:limit maximum"),
            ("/a/1", Some("limit=1&limit=1"), Some("k"), "query:limit repeated"),
            ("/a/1", Some("limit=1&%6Cimit=2"), Some("k"), "query:limit repeated"),
            ("/a/1", Some("limit[]=1"), Some("k"), "query:* unknown"),
            ("/a/1", Some("limit"), Some("k"), "query:limit type"),
            ("/a/1", Some("from=2026-02-30"), Some("k"), "query:from format"),
            ("/a/1", Some("other=1"), Some("k"), "query:other unknown"),
            ("/a/1", Some("900101300017=1"), Some("k"), "query:* unknown"),
            ("/a/1", Some("&"), Some("k"), "query:* unknown"),
            ("/a/1", Some("from=%"), Some("k"), "query: syntax"),
            ("/a/1", None, None, "header:x-key required"),
            ("/a/1", None, Some("K"), "header:x-key pattern"),
        ] {
            assert_eq!(check(path, query, key).first().map(String::as_str), Some(expected), "{query:?} {key:?}");
        }
        assert_eq!(check("/a/123", Some("limit=100&from=2026-02-28"), Some("abc")), [""; 0]);
        assert_eq!(check("/a/1", Some(""), Some("k")), [""; 0]);
    }

    #[test]
    fn the_query_limit_holds_on_both_sides() {
        let query = |bytes: usize| format!("from={}", "x".repeat(bytes - 5));
        assert_eq!(check("/a/1", Some(&query(QUERY_BYTES_MAX)), Some("k")), ["query:from format"]);
        assert_eq!(check("/a/1", Some(&query(QUERY_BYTES_MAX + 1)), Some("k")), ["query: maxLength"]);
    }

    #[test]
    fn faults_of_a_request_are_told_up_to_a_limit() {
        let query: Vec<String> = (0..50).map(|n| format!("q{n}=1")).collect();
        assert_eq!(check("/a/1234", Some(&query.join("&")), None).len(), crate::FAULTS_MAX);
    }

    #[test]
    fn an_operation_tells_what_it_is() {
        let contract = Contract::load(&[source("apis/x.yaml", &format!("{HEAD}{REQUESTS}"))]).unwrap();
        let operation = contract.operations().first().unwrap();
        assert_eq!(
            (operation.id(), operation.document(), operation.method(), operation.template()),
            ("a", "x", "GET", "/a/{x}")
        );
        assert_eq!((operation.origin(), operation.index()), ("apis/x.yaml:9", 0));
        assert!(
            operation.security().is_empty()
                && !operation.has_body()
                && !operation.body_required()
                && operation.media_types().is_empty()
        );
        assert!(operation.check_body(None, b"").is_ok());
        assert!(operation.check_body(Some("application/json"), b"{}").is_err());
    }

    #[test]
    fn a_contract_can_be_shared_between_threads() {
        fn shared<T: Send + Sync + 'static>() {}
        shared::<Contract>();
        shared::<RouteMatch>();
    }
}
