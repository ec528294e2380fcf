//! The places of a body, so that a misspelt one in a policy is found when it is read.
//!
//! Only words for them: whoever reads schemas fills them.

/// The deepest place of a body that is told.
pub const SHAPE_DEPTH_MAX: usize = 8;

/// The most places of a body that are told.
pub const SHAPE_FIELDS_MAX: usize = 256;

/// The places of a body, as far as the contract describes them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BodyShape {
    /// JSON pointers with `*` for the items of a list, sorted, each with its kind of value.
    pub fields: Vec<(String, ValueKind)>,
    /// Whether there may be places that are not told: open objects, recursion, more than is told, no schema.
    pub open: bool,
}

/// The kind of value at a place of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    /// A mapping.
    Object,
    /// A list.
    Array,
    /// A text.
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// A truth value.
    Boolean,
    /// More than one kind, or not told.
    Any,
}
