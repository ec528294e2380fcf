#![doc = include_str!("../README.md")]

mod answer;
#[cfg(test)]
mod answer_tests;
#[cfg(test)]
mod body_tests;
mod contract;
mod convert;
mod convert_schema;
mod derived;
mod description;
mod discriminator;
mod document;
mod effort;
mod example;
mod fault;
mod form;
mod format;
mod inputs;
mod json;
mod judge;
mod library;
mod look;
mod media;
mod operation;
mod outputs;
mod parameter;
#[cfg(test)]
mod parameter_tests;
mod path;
mod reader;
mod router;
mod schema;
mod shape;
mod shipped;
mod stepping;
mod structure;
mod style;
mod units;
mod validate;

pub use answer::{ExampleRequest, ExampleResponse, ResponseCheck, ResponseFault};
pub use contract::{Contract, OPERATIONS_MAX, Report, check};
pub use document::{ALIASES_MAX, DEPTH_MAX, DOCUMENT_BYTES_MAX, NODES_MAX};
pub use effort::{JUDGING_VISITS_MAX, TELLING_VISITS_MAX};
pub use fault::{Fault, Source};
pub use form::{PAIRS_MAX, QUERY_BYTES_MAX, form_fields};
pub use json::{INTEGER_MAX, JSON_BYTES_MAX, JSON_DEPTH_MAX, JSON_PROPERTIES_MAX, JSON_VALUES_MAX, NUMBER_DIGITS_MAX};
pub use judge::{BodyFault, FAULTS_MAX};
pub use library::{CONTRACT_BYTES_MAX, FILES_MAX, files_named};
pub use operation::{Operation, PathParameters, RouteMatch, SecurityRequirement};
pub use path::{CanonicalPath, PATH_BYTES_MAX, PathError, SEGMENTS_MAX};
pub use router::Route;
pub use shape::{BodyShape, SHAPE_DEPTH_MAX, SHAPE_FIELDS_MAX, ValueKind};
pub use shipped::shipped;
pub use stepping::{PATTERN_BODY_BYTES_MAX, PATTERN_STEPS_MAX, PATTERN_TEXT_BYTES_MAX};
pub use validate::{BodyError, ValidBody};
