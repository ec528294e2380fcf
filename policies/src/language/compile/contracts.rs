//! The operations of the contracts, by id and by document.

use std::collections::HashMap;

use crate::facts::OperationFacts;

/// What contracts describe.
pub(super) struct Contracts<'a> {
    all: &'a [OperationFacts],
    by_id: HashMap<&'a str, &'a OperationFacts>,
    by_api: HashMap<&'a str, Vec<&'a OperationFacts>>,
}

impl<'a> Contracts<'a> {
    pub(super) fn new(all: &'a [OperationFacts]) -> Self {
        let mut by_api: HashMap<&str, Vec<&OperationFacts>> = HashMap::new();
        for facts in all {
            by_api.entry(&facts.api).or_default().push(facts);
        }
        Self { all, by_id: all.iter().map(|facts| (facts.id.as_str(), facts)).collect(), by_api }
    }

    pub(super) fn all(&self) -> &'a [OperationFacts] {
        self.all
    }

    pub(super) fn operation(&self, id: &str) -> Option<&'a OperationFacts> {
        self.by_id.get(id).copied()
    }

    pub(super) fn has_api(&self, api: &str) -> bool {
        self.by_api.contains_key(api)
    }

    /// Returns the names of the documents in alphabetical order.
    pub(super) fn apis(&self) -> Vec<&'a str> {
        let mut names: Vec<&str> = self.by_api.keys().copied().collect();
        names.sort_unstable();
        names
    }

    /// Goes through the operations of a document.
    pub(super) fn of_api(&self, api: &str) -> impl Iterator<Item = &'a OperationFacts> + Clone {
        self.by_api.get(api).map(Vec::as_slice).unwrap_or_default().iter().copied()
    }
}
