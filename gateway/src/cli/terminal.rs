//! The terminal: where commands write what a person or a program reads.

use std::io::{IsTerminal as _, Write as _};

/// Tells whether people who see colours read standard output.
pub(super) fn colour() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Writes to standard output; a reader who has gone away is no error.
pub(super) fn say(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Writes to standard error.
pub(super) fn complain(text: &str) {
    let mut out = std::io::stderr().lock();
    let _ = out.write_all(text.as_bytes());
    if !text.ends_with('\n') {
        let _ = out.write_all(b"\n");
    }
}

/// Writes to standard error if there is anything to write.
pub(super) fn complain_if(text: &str) {
    if !text.is_empty() {
        complain(text);
    }
}
