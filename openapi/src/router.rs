//! Finding the operation for a method and a path.
//!
//! A tree by segments. A fixed segment wins over a parameter at the first place where two templates differ, and the
//! search goes back where that leads nowhere (`/v1/accounts/{id}/x` beside `/v1/{any}/{id}/y`). The path decides alone:
//! where the most specific template lacks the method, no vaguer one is tried. Must never see a query, a header or a host.

use crate::operation::{Operation, PathParameters, PathValue, RouteMatch};
use crate::path::{CanonicalPath, unescape};
use std::collections::BTreeMap;
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
    fixed: BTreeMap<Box<str>, Level>,
    parameter: Option<Box<Level>>,
    operations: BTreeMap<Box<str>, Arc<Operation>>,
}

impl Router {
    /// Adds an operation by its own method and template.
    ///
    /// # Errors
    /// Gives back the operation that already has this method and this shape.
    pub(crate) fn add(&mut self, operation: &Arc<Operation>) -> Result<(), Arc<Operation>> {
        let mut level = &mut self.root;
        for segment in segments(operation.template()) {
            level = if is_parameter(segment) {
                level.parameter.get_or_insert_default()
            } else {
                level.fixed.entry(Box::from(segment)).or_default()
            };
        }
        if let Some(other) = level.operations.get(operation.method()) {
            return Err(Arc::clone(other));
        }
        level
            .operations
            .insert(Box::from(operation.method()), Arc::clone(operation));
        Ok(())
    }

    pub(crate) fn find(&self, method: &str, path: &CanonicalPath) -> Route {
        let text = path.as_str();
        let mut spans = Vec::new();
        let rest = (text.len() > 1).then_some(1);
        let Some(level) = self.root.find(text, rest, &mut spans) else {
            return Route::NotFound;
        };
        let Some(operation) = level.operations.get(method) else {
            return Route::MethodNotAllowed {
                allow: level
                    .operations
                    .keys()
                    .map(|method| method.to_string())
                    .collect(),
            };
        };
        let values =
            spans.into_iter().map(
                |(start, end)| match text.get(start..end).and_then(unescape) {
                    Some(unescaped) => PathValue::Unescaped(unescaped.into_boxed_str()),
                    None => PathValue::Plain { start, end },
                },
            );
        Route::Found(RouteMatch {
            operation: Arc::clone(operation),
            parameters: PathParameters::new(path.clone(), values.collect()),
        })
    }
}

impl Level {
    /// Follows the path from byte `rest` on; notes where parameters stand. Each level is visited at most once.
    fn find(
        &self,
        path: &str,
        rest: Option<usize>,
        spans: &mut Vec<(usize, usize)>,
    ) -> Option<&Level> {
        let Some(start) = rest else {
            return (!self.operations.is_empty()).then_some(self);
        };
        let tail = path.get(start..)?;
        let length = tail.find('/').unwrap_or(tail.len());
        let segment = tail.get(..length)?;
        let next = (length < tail.len()).then_some(start + length + 1);
        if let Some(found) = self
            .fixed
            .get(segment)
            .and_then(|level| level.find(path, next, spans))
        {
            return Some(found);
        }
        let level = self.parameter.as_ref()?;
        spans.push((start, start + length));
        let found = level.find(path, next, spans);
        if found.is_none() {
            spans.pop();
        }
        found
    }
}

/// The segments of a template; the root has none.
pub(crate) fn segments(template: &str) -> impl Iterator<Item = &str> {
    template
        .split('/')
        .skip(1)
        .filter(move |_| template.len() > 1)
}

fn is_parameter(segment: &str) -> bool {
    segment.starts_with('{')
}
