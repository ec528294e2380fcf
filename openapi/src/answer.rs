//! What an operation answers: judged on its way out, and shown as an example.
//!
//! A fault never repeats what the backend said. Must never know who reads a fault or what is done about it.

use crate::validate::BodyFault;

/// How far an answer can be judged once its status and its headers are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseCheck {
    /// The body is to be read and handed to [`Operation::check_response`](crate::Operation::check_response).
    Read,
    /// The body streams on; only its size counts.
    SizeOnly,
}

/// Why an answer is not what the contract promises.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResponseFault {
    /// No answer of this status is described.
    #[error("the contract describes no answer of this status")]
    Status,
    /// The answer's media type is none that is described for its status.
    #[error("the media type of the answer is not one of: {}", accepted.join(", "))]
    MediaType {
        /// What is described; empty where no body is.
        accepted: Vec<String>,
    },
    /// The body cannot be read, or can be read in two ways.
    #[error("the answer cannot be read at line {line}, column {column}: {reason}")]
    Malformed {
        /// The line, from 1.
        line: usize,
        /// The column in bytes, from 1.
        column: usize,
        /// What is wrong; never what the backend said.
        reason: String,
    },
    /// Headers or the body break rules; at most [`FAULTS_MAX`](crate::FAULTS_MAX) are told.
    #[error("the answer breaks {} rules of the contract", .0.len())]
    Invalid(Vec<BodyFault>),
}

impl ResponseFault {
    /// What is wrong in one word, for a metric's label: `status`, `mediaType`, `malformed` or `invalid`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            ResponseFault::Status => "status",
            ResponseFault::MediaType { .. } => "mediaType",
            ResponseFault::Malformed { .. } => "malformed",
            ResponseFault::Invalid(_) => "invalid",
        }
    }
}

/// An answer as the contract shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExampleResponse {
    /// The lowest status of success that is described; 200 for `2XX` and `default`.
    pub status: u16,
    /// The media type; `None` where no body is described.
    pub content_type: Option<String>,
    /// The body; empty where none is described or none could be made.
    pub body: Vec<u8>,
}

/// A request as the contract shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExampleRequest {
    /// The template with every parameter filled.
    pub path: String,
    /// The required query parameters, escaped; `None` without any.
    pub query: Option<String>,
    /// The required headers (a `cookie` too), names in lower case.
    pub headers: Vec<(String, String)>,
    /// The media type of the body; `None` where no body is described.
    pub content_type: Option<String>,
    /// The body; empty where none is described.
    pub body: Vec<u8>,
}
