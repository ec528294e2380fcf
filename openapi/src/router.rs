//! Finding the operation for a method and a path.
//!
//! A tree by segments. A fixed segment wins over a parameter at the first place where two templates differ, and the
//! search goes back where that leads nowhere (`/v1/accounts/{id}/x` beside `/v1/{any}/{id}/y`). The path decides alone:
//! where the most specific template lacks the method, no vaguer one is tried. Must never see a query, a header or a host.

use crate::operation::{Operation, PathParameters, PathValue, RouteMatch};
use crate::path::CanonicalPath;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What serves a method and a path.
#[derive(Debug, Clone)]
pub enum Route {
    /// This operation.
    Found(RouteMatch),
    /// The path is known, but not with this method.
    MethodNotAllowed {
        /// The methods it has, in upper case and sorted.
        allow: Vec<String>,
    },
    /// Nothing is served there.
    NotFound,
}

/// All operations of a contract by their paths.
#[derive(Debug, Default)]
pub(crate) struct Router {
    root: Level,
}

/// What may follow a beginning of a path.
#[derive(Debug, Default)]
struct Level {
    /// A table rather than a tree: with hundreds of interfaces side by side, each step of a search would miss the cache.
    fixed: HashMap<Box<str>, Level>,
    parameter: Option<Box<Level>>,
    operations: BTreeMap<Box<str>, Arc<Operation>>,
}

impl Router {
    /// Adds an operation by its own method and template.
    ///
    /// # Errors
    /// Gives back the operation that already has this method and this shape, and keeps its place.
    pub(crate) fn add(&mut self, operation: &Arc<Operation>) -> Result<(), Arc<Operation>> {
        let level = self.level(operation);
        if let Some(other) = level.operations.get(operation.method()) {
            return Err(Arc::clone(other));
        }
        level.operations.insert(Box::from(operation.method()), Arc::clone(operation));
        Ok(())
    }

    /// Has an operation take the place of the one with its method and its shape, unless that one is wanted.
    pub(crate) fn replace(&mut self, operation: &Arc<Operation>, is_wanted: &dyn Fn(&Operation) -> bool) {
        if let Some(place) = self.level(operation).operations.get_mut(operation.method())
            && !is_wanted(place)
        {
            *place = Arc::clone(operation);
        }
    }

    fn level(&mut self, operation: &Operation) -> &mut Level {
        let mut level = &mut self.root;
        for segment in segments(operation.template()) {
            level = if is_parameter(segment) {
                level.parameter.get_or_insert_default()
            } else {
                level.fixed.entry(Box::from(segment)).or_default()
            };
        }
        level
    }

    pub(crate) fn find(&self, method: &str, path: &CanonicalPath) -> Route {
        let text = path.as_str();
        let mut values = Vec::new();
        let rest = (text.len() > 1).then_some(1);
        let Some(level) = self.root.find(text, rest, &mut values) else {
            return Route::NotFound;
        };
        let Some(operation) = level.operations.get(method) else {
            return Route::MethodNotAllowed {
                allow: level.operations.keys().map(|method| method.to_string()).collect(),
            };
        };
        // A path with semicolons is nobody's but theirs who describe them: some servers cut paths there.
        let written = || values.iter().enumerate().filter(|(position, _)| operation.is_matrix(*position));
        let described = || written().map(|(_, value)| value.semicolons(text)).sum::<usize>();
        if text.contains(';') && text.matches(';').count() != described() {
            return Route::NotFound;
        }
        if text.contains('%') {
            for value in &mut values {
                value.unescape(text);
            }
        }
        Route::Found(RouteMatch {
            operation: Arc::clone(operation),
            parameters: PathParameters::new(path.clone(), values),
        })
    }
}

impl Level {
    /// Follows the path from byte `rest` on; notes where parameters stand. Each level is visited at most once.
    fn find(&self, path: &str, rest: Option<usize>, values: &mut Vec<PathValue>) -> Option<&Level> {
        let Some(start) = rest else {
            return (!self.operations.is_empty()).then_some(self);
        };
        let tail = path.get(start..)?;
        let length = tail.find('/').unwrap_or(tail.len());
        let segment = tail.get(..length)?;
        let next = (length < tail.len()).then_some(start + length + 1);
        if let Some(found) = self.fixed.get(segment).and_then(|level| level.find(path, next, values)) {
            return Some(found);
        }
        let level = self.parameter.as_ref()?;
        values.push(PathValue::Plain { start, end: start + length });
        let found = level.find(path, next, values);
        if found.is_none() {
            values.pop();
        }
        found
    }
}

/// The segments of a template; the root has none.
pub(crate) fn segments(template: &str) -> impl Iterator<Item = &str> {
    template.split('/').skip(1).filter(move |_| template.len() > 1)
}

fn is_parameter(segment: &str) -> bool {
    segment.starts_with('{')
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;
    use crate::operation::OperationParts;

    fn router(operations: &[(&str, &str)]) -> Router {
        let mut router = Router::default();
        for (index, (method, template)) in operations.iter().enumerate() {
            router.add(&operation(method, template, index)).unwrap();
        }
        router
    }

    fn operation(method: &str, template: &str, index: usize) -> Arc<Operation> {
        let names = segments(template).filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
        let parts = OperationParts {
            id: format!("{method} {template}"),
            document: "x".to_owned(),
            method: method.to_owned(),
            template: template.to_owned(),
            origin: "x.yaml:1".to_owned(),
            template_names: names.map(str::to_owned).collect(),
            ..OperationParts::default()
        };
        Arc::new(Operation::new(parts, index))
    }

    /// What is found, as `METHOD template name=value`, `allow METHODS` or `nothing`.
    fn find(router: &Router, method: &str, path: &str) -> String {
        match router.find(method, &CanonicalPath::parse(path).unwrap()) {
            Route::NotFound => "nothing".to_owned(),
            Route::MethodNotAllowed { allow } => format!("allow {}", allow.join(" ")),
            Route::Found(found) => {
                let names = found.operation.template_names();
                let values = names.iter().map(|name| format!(" {name}={}", found.parameter(name).unwrap()));
                format!("{}{}", found.operation.id(), values.collect::<String>())
            }
        }
    }

    #[test]
    fn what_is_not_described_is_not_found() {
        let router = router(&[("GET", "/v1/accounts"), ("GET", "/v1/accounts/{id}/balances")]);
        for path in [
            "/",
            "/v1",
            "/v2/accounts",
            "/v1/Accounts",
            "/v1/accounts/1",
            "/v1/accounts/1/Balances",
            "/v1/accounts/1/balances/x",
        ] {
            assert_eq!(find(&router, "GET", path), "nothing", "{path}");
        }
        assert_eq!(find(&Router::default(), "GET", "/"), "nothing");
    }

    #[test]
    fn a_known_path_names_its_methods() {
        let router = router(&[("POST", "/a"), ("GET", "/a"), ("DELETE", "/a/{x}"), ("GET", "/a/{y}")]);
        assert_eq!(find(&router, "PUT", "/a"), "allow GET POST");
        assert_eq!(find(&router, "get", "/a"), "allow GET POST");
        assert_eq!(find(&router, "HEAD", "/a/1"), "allow DELETE GET");
        assert_eq!(find(&router, "DELETE", "/a/1"), "DELETE /a/{x} x=1");
        assert_eq!(find(&router, "GET", "/a/1"), "GET /a/{y} y=1");
    }

    #[test]
    fn the_most_specific_template_wins_whatever_the_order() {
        let mut operations = [
            ("GET", "/things/{ID}/error"),
            ("GET", "/things/{Type}/{ID}"),
            ("GET", "/v1/accounts/{id}"),
            ("GET", "/v1/{service}/{product}"),
            ("GET", "/v1/accounts/balances"),
            ("GET", "/v1/{service}/{product}/x"),
            ("GET", "/"),
            ("GET", "/{token}"),
        ];
        for _ in 0..2 {
            let router = router(&operations);
            for (path, found) in [
                ("/things/1/error", "GET /things/{ID}/error ID=1"),
                ("/things/1/2", "GET /things/{Type}/{ID} Type=1 ID=2"),
                ("/v1/accounts/7", "GET /v1/accounts/{id} id=7"),
                ("/v1/accounts/balances", "GET /v1/accounts/balances"),
                ("/v1/cards/7", "GET /v1/{service}/{product} service=cards product=7"),
                ("/v1/accounts/7/x", "GET /v1/{service}/{product}/x service=accounts product=7"),
                ("/", "GET /"),
                ("/v1", "GET /{token} token=v1"),
            ] {
                assert_eq!(find(&router, "GET", path), found);
            }
            operations.reverse();
        }
    }

    #[test]
    fn a_specific_path_does_not_borrow_methods_from_a_vaguer_one() {
        let router = router(&[("GET", "/a/b"), ("POST", "/a/{x}")]);
        assert_eq!(find(&router, "POST", "/a/b"), "allow GET");
        assert_eq!(find(&router, "POST", "/a/c"), "POST /a/{x} x=c");
    }

    #[test]
    fn one_shape_and_method_is_taken_once() {
        let mut router = router(&[("GET", "/bills/{id}")]);
        assert!(router.add(&operation("GET", "/bills/{accessToken}", 1)).is_err());
        assert!(router.add(&operation("POST", "/bills/{accessToken}", 1)).is_ok());
    }

    #[test]
    fn values_have_their_escapes_written_out() {
        let router = router(&[("GET", "/a/{x}/{y}")]);
        assert_eq!(find(&router, "GET", "/a/%20b/c"), "GET /a/{x}/{y} x= b y=c");
    }
}
