//! Under construction.

/// A set of public keys to verify with.
#[derive(Debug, Clone, Default)]
pub struct KeySet;
