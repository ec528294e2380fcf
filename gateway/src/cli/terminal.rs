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

/// Tells whether a person reads standard error.
pub(super) fn complains_to_a_person() -> bool {
    std::io::stderr().is_terminal()
}

/// Writes to standard error if there is anything to write.
pub(super) fn complain_if(text: &str) {
    if !text.is_empty() {
        complain(text);
    }
}

/// Replaces what a terminal would obey: a record is only text.
pub(super) fn printable(text: &str) -> String {
    // Besides control characters, those that turn the direction of text around.
    let obeyed = |letter: char| {
        letter.is_control()
            || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|letter| if obeyed(letter) { '\u{fffd}' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_replaced() {
        let bad = "a\u{1b}[2Jb\r\n\t\u{9b}1m\u{7f}\u{202e}c";
        assert_eq!(printable(bad), "a\u{fffd}[2Jb\u{fffd}\u{fffd}\u{fffd}\u{fffd}1m\u{fffd}\u{fffd}c");
        assert_eq!(printable("Дархан ₸ µs"), "Дархан ₸ µs");
    }
}
