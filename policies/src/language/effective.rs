//! A policy set as flat rows: what applies, in which words, and which line says so.
//!
//! Made by the compiler beside the rulebook; `explain`, `diff` and `lint` read it. Must never hold a secret: secrets are
//! references, and nothing else is shown.

use super::problem::Place;
use super::table::{Kind, Need, Stricter};

/// Which layer gave a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// The language: nobody said anything.
    Language,
    /// The contract.
    Contract,
    /// The defaults of the whole set.
    Defaults,
    /// The defaults of the API.
    ApiDefaults,
    /// The definition itself.
    Own,
    /// The definition itself, under an override that is in force.
    Override,
}

impl Layer {
    /// Returns the words that `explain` has for it.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Layer::Language => "the language's default",
            Layer::Contract => "the contract",
            Layer::Defaults => "defaults of the set",
            Layer::ApiDefaults => "defaults of the API",
            Layer::Own => "said here",
            Layer::Override => "said here, under an override",
        }
    }
}

/// One value that applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Section, name, and key after key; for example `apis`, `payments`, `operations`, `createDomesticPayment`, `timeout`.
    pub path: Vec<String>,
    /// The value as the language writes it; items of a list one by one, sorted unless their order matters.
    pub value: Vec<String>,
    /// Where it stands; none if the language or a contract gave it.
    pub place: Option<Place>,
    /// Which layer gave it.
    pub layer: Layer,
    /// What may stand there.
    pub kind: &'static Kind,
    /// Which of two values is stricter.
    pub stricter: Stricter,
    /// Whether it may be left out, and what it is then.
    pub need: Need,
}

/// Every row of a policy set, sorted by path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effective {
    /// The rows.
    pub rows: Vec<Row>,
}

impl Effective {
    /// Goes through the rows below a path, for example of one operation.
    pub fn below<'a>(&'a self, path: &'a [&'a str]) -> impl Iterator<Item = &'a Row> {
        self.rows
            .iter()
            .filter(move |row| row.path.len() >= path.len() && row.path.iter().zip(path).all(|(a, b)| a == b))
    }
}
