//! All documents together: every operation once, by name and by path.
//!
//! A contract is read whole or not at all, so that a half-read one is never served. Must never know policies, sockets or
//! the time.

use crate::description;
use crate::fault::{Fault, Source};
use crate::operation::Operation;
use crate::path::CanonicalPath;
use crate::router::{Route, Router};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The most operations of a contract: twice what 673 published documents hold together.
pub const OPERATIONS_MAX: usize = 10_000;

/// Everything that is described, ready to route and to judge; never changes.
#[derive(Debug)]
pub struct Contract {
    operations: Vec<Arc<Operation>>,
    router: Router,
}

impl Contract {
    /// Reads documents of OpenAPI 3.0 and compiles every rule in them.
    ///
    /// # Errors
    /// Every fault of every document at once, sorted by file and place.
    pub fn load(sources: &[Source]) -> Result<Contract, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut stems: BTreeMap<&str, &str> = BTreeMap::new();
        let mut ids: BTreeMap<String, String> = BTreeMap::new();
        let mut contract = Contract {
            operations: Vec::new(),
            router: Router::default(),
        };
        for source in sources {
            if let Some(other) = stems.insert(source.stem(), &source.name) {
                faults.push(fault(
                    source,
                    1,
                    1,
                    format!("a document named `{}` is already at {other}", source.stem()),
                ));
            }
            let (described, mut found) = description::read(source);
            faults.append(&mut found);
            for one in described {
                let operation = Arc::new(Operation::new(one.parts, contract.operations.len()));
                let mut complain =
                    |message| faults.push(fault(source, one.mark.line, one.mark.column, message));
                if let Some(other) =
                    ids.insert(operation.id().to_owned(), operation.origin().to_owned())
                {
                    complain(format!(
                        "the operationId `{}` is already used at {other}",
                        operation.id()
                    ));
                }
                if let Err(other) = contract.router.add(&operation) {
                    complain(format!(
                        "{} {} has the shape of {} at {}",
                        operation.method(),
                        operation.template(),
                        other.template(),
                        other.origin()
                    ));
                }
                contract.operations.push(operation);
                if contract.operations.len() > OPERATIONS_MAX {
                    faults.push(fault(
                        source,
                        one.mark.line,
                        one.mark.column,
                        format!("more than {OPERATIONS_MAX} operations"),
                    ));
                    return Err(faults);
                }
            }
        }
        if faults.is_empty() {
            return Ok(contract);
        }
        faults.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        Err(faults)
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

fn fault(source: &Source, line: usize, column: usize, message: String) -> Fault {
    Fault {
        file: source.name.clone(),
        line,
        column,
        message,
        help: None,
    }
}
