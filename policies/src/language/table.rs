//! The field tables of the language: one for each kind of mapping, and the only place that says which keys it has.
//!
//! The decoder, the JSON Schema for editors, `qaqpa explain`, guesses of misspelt keys, the tightening of layers and the
//! comparison of two policy sets all read the same tables. Must never hold a value of a file.

use std::ops::RangeInclusive;
use std::time::Duration;

/// A kind of mapping.
#[derive(Debug, PartialEq, Eq)]
pub struct Table {
    /// What it is called, for example `operation`.
    pub name: &'static str,
    /// What it is for, in one sentence.
    pub about: &'static str,
    /// Its keys, in the order in which `qaqpa fmt` writes them.
    pub fields: &'static [Field],
}

/// One key of a mapping.
#[derive(Debug, PartialEq, Eq)]
pub struct Field {
    /// The key.
    pub name: &'static str,
    /// What may stand there.
    pub kind: Kind,
    /// Whether it has to.
    pub need: Need,
    /// Which of two values is stricter.
    pub stricter: Stricter,
    /// What it means, in one sentence.
    pub about: &'static str,
}

/// What may stand at a key.
#[derive(Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text for people.
    Text,
    /// `true` or `false`.
    Boolean,
    /// A whole number in a range.
    Whole(RangeInclusive<u64>),
    /// A whole number in a range that may be below zero.
    Signed(RangeInclusive<i64>),
    /// A time such as `800ms` in a range.
    Duration(RangeInclusive<Duration>),
    /// A size such as `64KiB` in a range of bytes.
    Bytes(RangeInclusive<usize>),
    /// A rate such as `50/s`.
    Rate,
    /// A number of calls in a window of the calendar, such as `2000/minute`.
    Quota,
    /// Hours of a day, such as `06:00-24:00`.
    Hours,
    /// The name of a header.
    Header,
    /// An amount such as `250000 KZT`.
    Money,
    /// A day, `YYYY-MM-DD`.
    Date,
    /// A place in a body, a JSON pointer.
    Pointer,
    /// Places in a body, a JSON pointer whose parts may be `*`.
    FieldPath,
    /// One of a few words.
    Word(&'static [&'static str]),
    /// The name of something that is defined in a section, for example `upstreams`.
    Name(&'static str),
    /// The name of something that only contracts define, for example an operation or a scope.
    Contract(&'static str),
    /// A reference to a secret.
    Secret,
    /// An https URL.
    Url,
    /// A range of addresses, `10.0.0.0/8`.
    Network,
    /// A condition in CEL.
    Condition,
    /// A public JSON Web Key.
    PublicKey,
    /// Any value: only what is sent or expected by tests.
    Any,
    /// A list.
    List(&'static Kind),
    /// A list, or one item without brackets.
    OneOrMore(&'static Kind),
    /// A mapping whose keys are names that people choose.
    Named(&'static Kind),
    /// A mapping with known keys.
    Mapping(&'static Table),
    /// One of several kinds.
    Either(&'static [Kind]),
}

/// Whether a key has to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// It has no safe default.
    Required,
    /// Left out, there is none of it.
    Optional,
    /// Left out, it is this.
    Default(&'static str),
}

/// Which of two values lets less through: what tightening layers and comparisons go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stricter {
    /// Neither: it is no matter of strictness.
    Neither,
    /// The smaller one; left out is the loosest.
    Smaller,
    /// The larger one; left out is the loosest.
    Larger,
    /// The smaller one; left out is the strictest.
    SmallerOrNone,
    /// Left out; of two that are said, neither.
    Unsaid,
    /// The list with fewer items, each of them in the other; left out lets all through.
    Fewer,
    /// The list with more items; left out is an empty one.
    More,
    /// The word that stands later in the list of words.
    LaterWord,
    /// The word that stands earlier in the list of words.
    EarlierWord,
    /// Any word but the first of the list of words; which of the others it is, is no matter of strictness.
    NotFirstWord,
    /// `true`.
    True,
    /// `false`.
    False,
}

impl Table {
    /// Returns the field of a key.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}
