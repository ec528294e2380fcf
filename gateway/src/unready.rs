//! Why a gateway cannot be put together, as text for people.

use std::fmt;

use policies::code::Outage;

/// Why the house cannot be put together.
#[derive(Debug)]
pub enum AssemblyError {
    /// The configuration, a policy or a contract is wrong: exit 78.
    Configuration(String),
    /// The machine does not give what is needed: exit 1.
    Machine(String),
}

impl fmt::Display for AssemblyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AssemblyError::Configuration(text) | AssemblyError::Machine(text) => f.write_str(text),
        }
    }
}

/// Tells that the machine does not give what is needed.
pub(crate) fn machine(outage: &Outage) -> AssemblyError {
    AssemblyError::Machine(format!("error: {outage}\n"))
}
