//! How the command line tells things to people: where text goes, how it wraps, what is coloured, what is shortened.
//!
//! It must never know what the text is about, and never lets an answer from the network steer the terminal.

use std::io::{IsTerminal as _, Write as _};

use serde_json::Value;

/// The longest line that is told, in characters: it fits beside an editor.
pub(crate) const WIDTH: usize = 96;

/// How much of a secret is shown, in characters: enough to recognise it again, of no use to who reads along.
pub(crate) const SECRET_SHOWN: usize = 8;

// Members that hold secrets whatever they look like.
const SECRET_MEMBERS: [&str; 6] =
    ["access_token", "refresh_token", "id_token", "client_assertion", "client_secret", "result"];

/// Says one stretch of text and ends the line.
///
/// Whoever listens may leave early (`qaqpa tour | head`): that is no fault, and nothing is said about it.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush());
}

/// Says a stretch of text without ending the line, for what is still going on.
pub(crate) fn murmur(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Tells whether colours are welcome: on a terminal, unless `NO_COLOR` is set (no-color.org) or it is a dumb one.
#[must_use]
pub(crate) fn colour_is_welcome() -> bool {
    let silent = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    std::io::stdout().is_terminal() && !silent && !dumb
}

/// Colours text, or leaves it as it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ink(bool);

impl Ink {
    /// Makes an ink that colours if `colour` is true.
    #[must_use]
    pub(crate) const fn new(colour: bool) -> Self {
        Self(colour)
    }

    /// For titles.
    #[must_use]
    pub(crate) fn bold(self, text: &str) -> String {
        self.over("1", text)
    }

    /// For what may be read past.
    #[must_use]
    pub(crate) fn dim(self, text: &str) -> String {
        self.over("2", text)
    }

    /// For what is as it should be.
    #[must_use]
    pub(crate) fn green(self, text: &str) -> String {
        self.over("32", text)
    }

    /// For what is not.
    #[must_use]
    pub(crate) fn red(self, text: &str) -> String {
        self.over("1;31", text)
    }

    /// For what goes out.
    #[must_use]
    pub(crate) fn blue(self, text: &str) -> String {
        self.over("34", text)
    }

    /// For what comes in.
    #[must_use]
    pub(crate) fn cyan(self, text: &str) -> String {
        self.over("36", text)
    }

    fn over(self, style: &str, text: &str) -> String {
        if self.0 && !text.is_empty() { format!("\u{1b}[{style}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Breaks text into lines of at most [`WIDTH`] characters, each after `indent` blanks; a longer word stays whole.
#[must_use]
pub(crate) fn wrap(text: &str, indent: usize) -> String {
    let margin = " ".repeat(indent);
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let taken = line.chars().count();
        if taken > 0 && indent + taken + 1 + word.chars().count() > WIDTH {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines.iter().map(|line| format!("{margin}{line}")).collect::<Vec<_>>().join("\n")
}

/// Cuts text to `characters`, with an ellipsis where something is left out.
#[must_use]
pub(crate) fn cut(text: &str, characters: usize) -> String {
    if text.chars().count() <= characters {
        return text.to_owned();
    }
    text.chars().take(characters.saturating_sub(1)).chain(['…']).collect()
}

/// Replaces what is not for display, so that an answer cannot move the cursor or colour the screen.
#[must_use]
pub(crate) fn clean(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
    };
    text.chars().map(|c| if hidden(c) { '\u{fffd}' } else { c }).collect()
}

/// Shows the first [`SECRET_SHOWN`] characters of a secret; of a short one, nothing.
#[must_use]
pub(crate) fn shorten(secret: &str) -> String {
    if secret.chars().count() <= 2 * SECRET_SHOWN {
        return "…".to_owned();
    }
    secret.chars().take(SECRET_SHOWN).chain(['…']).collect()
}

/// Shows a header's value with what is secret in it shortened.
#[must_use]
pub(crate) fn shown_header(name: &str, value: &str) -> String {
    let shown = match name.to_ascii_lowercase().as_str() {
        "authorization" => match value.split_once(' ') {
            Some((scheme, token)) => format!("{scheme} {}", shorten(token)),
            None => shorten(value),
        },
        "dpop" | "x-identity-result" | "cookie" | "set-cookie" | "webhook-signature" => shorten(value),
        _ if is_signed_object(value) => shorten(value),
        _ => value.to_owned(),
    };
    clean(&shown)
}

/// Shows a JSON value with what is secret in it shortened; tells whether anything was.
#[must_use]
pub(crate) fn shown_value(value: &Value) -> (Value, bool) {
    match value {
        Value::Object(members) => {
            let mut shortened = false;
            let shown = members.iter().map(|(name, member)| {
                let secret = SECRET_MEMBERS.contains(&name.as_str());
                let (member, some) = match member {
                    Value::String(text) if secret => (Value::String(shorten(text)), true),
                    other => shown_value(other),
                };
                shortened |= some;
                (name.clone(), member)
            });
            let shown = Value::Object(shown.collect());
            (shown, shortened)
        }
        Value::Array(items) => {
            let (items, shortened): (Vec<Value>, Vec<bool>) = items.iter().map(shown_value).unzip();
            (Value::Array(items), shortened.contains(&true))
        }
        Value::String(text) if is_signed_object(text) => (Value::String(shorten(text)), true),
        other => (other.clone(), false),
    }
}

/// Shows the fields of a form with what is secret in them shortened, one a line.
#[must_use]
pub(crate) fn shown_form(raw: &str) -> Vec<String> {
    let show = |field: &str| {
        let (name, value) = field.split_once('=').unwrap_or((field, ""));
        let secret = SECRET_MEMBERS.contains(&name) || is_signed_object(value);
        clean(&format!("{name}={}", if secret { shorten(value) } else { value.to_owned() }))
    };
    raw.split('&').map(show).collect()
}

// Three parts of base64url: whatever it is called, it is a token, a proof or a result.
fn is_signed_object(text: &str) -> bool {
    let base64url =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    text.len() > 40 && text.starts_with("eyJ") && text.split('.').count() == 3 && text.split('.').all(base64url)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJzb21lYm9keSJ9.c2lnbmF0dXJlc2lnbmF0dXJl";

    #[test]
    fn secrets_are_not_told_in_full() {
        assert_eq!(shown_header("Authorization", &format!("DPoP {TOKEN}")), "DPoP eyJhbGci…");
        assert_eq!(shown_header("DPoP", TOKEN), "eyJhbGci…");
        assert_eq!(shown_header("x-anything", TOKEN), "eyJhbGci…");
        assert_eq!(shown_header("authorization", "short"), "…");
        assert_eq!(shown_header("accept", "application/json"), "application/json");
        let (shown, shortened) =
            shown_value(&json!({"access_token": "0123456789abcdefXYZ", "a": [{"b": TOKEN}], "n": 1}));
        assert_eq!(shown, json!({"access_token": "01234567…", "a": [{"b": "eyJhbGci…"}], "n": 1}));
        assert!(shortened);
        assert_eq!(shown_value(&json!({"a": "plain"})), (json!({"a": "plain"}), false));
        assert_eq!(shown_form(&format!("scope=a&client_assertion={TOKEN}")), ["scope=a", "client_assertion=eyJhbGci…"]);
    }

    #[test]
    fn an_answer_does_not_steer_the_terminal() {
        assert_eq!(clean("a\u{1b}[31mb\nc\u{202e}"), "a\u{fffd}[31mb\u{fffd}c\u{fffd}");
        assert_eq!(clean("қақпа"), "қақпа");
    }

    #[test]
    fn lines_are_as_wide_as_the_width_and_no_wider() {
        let text = "word ".repeat(60);
        let wrapped = wrap(&text, 4);
        assert!(wrapped.lines().all(|line| line.chars().count() <= WIDTH && line.starts_with("    word")));
        assert_eq!(wrapped.split_whitespace().count(), 60);
        let exact = "a".repeat(WIDTH - 4 - 2);
        assert_eq!(wrap(&format!("{exact} b"), 4).lines().count(), 1);
        assert_eq!(wrap(&format!("{exact}a b"), 4).lines().count(), 2);
    }

    #[test]
    fn a_cut_text_says_so() {
        assert_eq!(cut("abcd", 4), "abcd");
        assert_eq!(cut("abcde", 4), "abc…");
    }

    #[test]
    fn without_colour_nothing_is_added() {
        assert_eq!(Ink::new(false).red("x"), "x");
        assert_eq!(Ink::new(true).red("x"), "\u{1b}[1;31mx\u{1b}[0m");
    }
}
