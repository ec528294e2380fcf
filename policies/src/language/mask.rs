//! Makes a line of a file fit to be shown: secrets starred out, nothing in it that steers a terminal.
//!
//! Must never need the file to be well formed: what is shown is often what could not be read.

use super::problem::Source;

// Stars out what follows a key that holds a secret, a continued secret, private key blocks and passwords in addresses.
//
// Goes over the line once, for a line may be as long as a file: no step looks back beyond the sign before it.
pub(super) fn masked(source: &Source, number: usize) -> Vec<char> {
    let line = nth_line(source, number);
    let mut characters: Vec<char> = line.chars().map(visible).collect();
    if line.contains("PRIVATE KEY") || continues_secret(source, number) {
        characters.iter_mut().for_each(star);
        return characters;
    }
    star_keyed(&mut characters);
    star_assigned(&mut characters);
    characters
}

fn star_keyed(characters: &mut [char]) {
    let (mut at, mut seen, mut in_flow) = (0, 0, false);
    while let Some(colon) = characters.iter().skip(at).position(|character| *character == ':').map(|found| found + at) {
        in_flow |= characters.iter().take(colon).skip(seen).any(|c| matches!(c, '{' | '['));
        seen = colon;
        at = colon + 1;
        let rest = characters.get(at..).unwrap_or_default();
        let blanks = rest.iter().take_while(|c| c.is_whitespace()).count();
        let value = rest.get(blanks..).unwrap_or_default();
        let word = last_word(characters.get(..colon).unwrap_or_default());
        // Where a key is kept is no secret, and what a diagnostic is about.
        let path = value.iter().find(|c| !matches!(c, '"' | '\'')).is_some_and(|c| matches!(c, '/' | '.'));
        let holds = holds_secret(&word) || (word == "key" && !path);
        let opens = value.first().is_some_and(|c| matches!(c, '{' | '[' | '|' | '>' | '*' | '&'));
        let length = if holds { value_length(value, in_flow) } else { 0 };
        let refers = holds && refers_to_secret(value);
        if let Some(authority) = rest.strip_prefix(&['/', '/']) {
            let end = authority.iter().take_while(|c| !matches!(c, '/' | ' ' | '"' | '\'')).count();
            let user = authority.iter().take(end).rposition(|c| *c == '@').unwrap_or(0);
            characters.iter_mut().skip(at + 2).take(user).for_each(star);
        }
        if !holds || opens {
            continue;
        }
        if !refers {
            characters.iter_mut().skip(at + blanks).take(length).for_each(star);
        }
        at += blanks + length;
    }
}

// What databases and web addresses write as `password=...`.
fn star_assigned(characters: &mut [char]) {
    let mut at = 0;
    while let Some(sign) = characters.iter().skip(at).position(|character| *character == '=').map(|found| found + at) {
        at = sign + 1;
        if holds_secret(&last_word(characters.get(..sign).unwrap_or_default())) {
            let ends = |character: &&mut char| !matches!(character, ' ' | '&' | '"' | ',' | '}' | ']');
            characters.iter_mut().skip(at).take_while(ends).for_each(star);
        }
    }
}

fn nth_line(source: &Source, number: usize) -> &str {
    number.checked_sub(1).and_then(|index| source.body().lines().nth(index)).unwrap_or_default()
}

fn last_word(before: &[char]) -> String {
    let end = before.iter().rposition(|c| !matches!(c, ' ' | '"' | '\'')).map_or(0, |at| at + 1);
    let ends_word = |c: &char| !(c.is_alphanumeric() || matches!(c, '_' | '-'));
    let start = before.iter().take(end).rposition(ends_word).map_or(0, |at| at + 1);
    before.iter().take(end).skip(start).collect()
}

fn refers_to_secret(value: &[char]) -> bool {
    value.iter().skip_while(|c| matches!(c, '"' | '\'')).take(7).eq(&['s', 'e', 'c', 'r', 'e', 't', ':'])
}

// How far a value goes on its line, in characters: to its closing quote, or to what ends it in a flow collection.
fn value_length(value: &[char], in_flow: bool) -> usize {
    let end = match value.first() {
        Some(quote @ ('"' | '\'')) => value.iter().skip(1).position(|c| c == quote).map(|at| at + 2),
        _ if in_flow => value.iter().position(|c| matches!(c, ',' | '}' | ']')),
        _ => None,
    };
    end.unwrap_or(value.len())
}

// A value may stand on the lines below its key; those are indented further.
fn continues_secret(source: &Source, number: usize) -> bool {
    let indent = |line: &str| line.chars().take_while(|c| *c == ' ').count();
    let own = nth_line(source, number).trim_end();
    let mut depth = indent(own);
    let above: Vec<&str> = source.body().lines().take(number.saturating_sub(1)).collect();
    for line in above.iter().rev().filter(|line| !line.trim().is_empty()) {
        if indent(line) >= depth {
            continue;
        }
        depth = indent(line);
        let Some((key, value)) = line.split_once(':') else { continue };
        let continued = value.trim().is_empty() || value.trim_start().starts_with(['|', '>', '"', '\'']);
        // A mapping under the key has keys of its own, each judged by its own name.
        let mapping = value.trim().is_empty() && (own.contains(": ") || own.ends_with(':'));
        if holds_secret(&last_word(&key.chars().collect::<Vec<_>>())) && continued && !mapping {
            return true;
        }
        if depth == 0 {
            return false;
        }
    }
    false
}

fn star(character: &mut char) {
    if *character != ' ' {
        *character = '*';
    }
}

// The private members of a JSON Web Key (RFC 7518, 6.2.2, 6.3.2 and 6.4) and what secrets are usually called.
fn holds_secret(key: &str) -> bool {
    let folded: String = key.to_lowercase().chars().filter(|character| !matches!(character, '_' | '-')).collect();
    matches!(folded.as_str(), "d" | "p" | "q" | "dp" | "dq" | "qi" | "oth" | "k" | "pin" | "wrap" | "apikey")
        || folded.ends_with("token")
        || ["secret", "passw", "passphrase", "privatekey", "credential"].iter().any(|part| folded.contains(part))
}

/// Returns what is shown for a character: one that would move carets or steer a terminal is replaced, a tab is a space.
#[must_use]
pub fn visible(character: char) -> char {
    match character {
        '\t' => ' ',
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => '\u{fffd}',
        other if other.is_control() => '\u{fffd}',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, line: usize) -> String {
        masked(&Source::new("a.yaml", text), line).into_iter().collect()
    }

    #[test]
    fn secrets_are_starred_out() {
        for text in [
            "keys: [{kty: EC, d: hunter2-hunter2, x: abc}]",
            "clientSecret: hunter2",
            "  \"password\": \"hun, ter2\"",
            "-----BEGIN PRIVATE KEY----- hunter2",
            "api_key:    'hunter2'",
            "secret: hunter2 # not so secret",
            "url: https://user:hunter2@host/",
            "password: hunter2,hunter2",
            "keys: {wrap: hunter2}",
            "url: host=db password=hunter2 user=gateway",
            "url: 'https://host/path?user=x&access_token=hunter2&clientSecret=hunter2'",
        ] {
            let line = shown(text, 1);
            assert!(!line.contains("hunter2") && !line.contains("ter2"), "{line}");
        }
        assert!(shown("keys: [{d: abc, x: shown}]", 1).contains("x: shown"));
        assert!(shown("token: secret:env:TOKEN", 1).contains("secret:env:TOKEN"));
        for text in ["password:\n  hunter2", "a:\n  password: |\n    x\n    hunter2", "password: \"x\n  y\n  hunter2\""]
        {
            let last = text.lines().count();
            let line = shown(text, last);
            assert!(!line.contains("hunter2"), "{line}");
        }
        assert!(shown("p:\n  name: shown", 2).contains("name: shown"));
        assert!(shown("tokens: {bind: dpop}", 1).contains("bind: dpop"));
    }

    // How lines were masked before it was done in one pass: plainer, and quadratic.
    mod plain {
        use super::super::{Source, continues_secret, holds_secret, nth_line, star, visible};

        pub(super) fn masked(source: &Source, number: usize) -> Vec<char> {
            let line = nth_line(source, number);
            let mut characters: Vec<char> = line.chars().map(visible).collect();
            if line.contains("PRIVATE KEY") || continues_secret(source, number) {
                characters.iter_mut().for_each(star);
                return characters;
            }
            let mut at = 0;
            while let Some(colon) =
                characters.iter().skip(at).position(|character| *character == ':').map(|found| found + at)
            {
                at = colon + 1;
                let rest: String = characters.iter().skip(at).collect();
                let (blanks, value) = split_blanks(&rest);
                let word: String = characters.iter().take(colon).collect();
                if let Some(authority) = rest.strip_prefix("//") {
                    let end =
                        authority.chars().take_while(|c| !matches!(c, '/' | ' ' | '"' | '\'')).collect::<String>();
                    if let Some((user, _)) = end.rsplit_once('@') {
                        characters.iter_mut().skip(at + 2).take(user.chars().count()).for_each(star);
                    }
                }
                if !holds_secret(last_word(&word)) || value.starts_with(['{', '[', '|', '>', '*', '&']) {
                    continue;
                }
                let length = value_length(value, word.contains(['{', '[']));
                if !value.trim_start_matches(['"', '\'']).starts_with("secret:") {
                    characters.iter_mut().skip(at + blanks).take(length).for_each(star);
                }
                at += blanks + length;
            }
            star_assigned(&mut characters);
            characters
        }

        // What databases and web addresses write as `password=...`.
        fn star_assigned(characters: &mut [char]) {
            let mut at = 0;
            while let Some(sign) =
                characters.iter().skip(at).position(|character| *character == '=').map(|found| found + at)
            {
                at = sign + 1;
                let word: String = characters.iter().take(sign).collect();
                if holds_secret(last_word(&word)) {
                    let ends = |character: &&mut char| !matches!(character, ' ' | '&' | '"' | ',' | '}' | ']');
                    characters.iter_mut().skip(at).take_while(ends).for_each(star);
                }
            }
        }

        fn split_blanks(text: &str) -> (usize, &str) {
            let value = text.trim_start();
            (text.chars().count() - value.chars().count(), value)
        }

        fn last_word(text: &str) -> &str {
            let text = text.trim_end_matches([' ', '"', '\'']);
            text.rsplit(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-'))).next().unwrap_or_default()
        }

        // How far a value goes on its line, in characters: to its closing quote, or to what ends it in a flow collection.
        fn value_length(value: &str, in_flow: bool) -> usize {
            match value.chars().next() {
                Some(quote @ ('"' | '\'')) => {
                    value.chars().skip(1).position(|c| c == quote).map_or(value.chars().count(), |at| at + 2)
                }
                _ if in_flow => {
                    value.chars().position(|c| matches!(c, ',' | '}' | ']')).unwrap_or_else(|| value.chars().count())
                }
                _ => value.chars().count(),
            }
        }
    }

    #[test]
    fn one_pass_masks_what_many_did() {
        const PARTS: &[&str] = &[
            "password",
            "token",
            "d",
            "a",
            ":",
            ":",
            ": ",
            "=",
            "//",
            "@",
            "/",
            " ",
            "\"",
            "'",
            "{",
            "}",
            "[",
            "]",
            ",",
            "&",
            "*",
            "|",
            ">",
            "secret:",
            "x",
            "\u{a0}",
            "ж",
            "-",
            "_",
            "\t",
            "PRIVATE KEY",
        ];
        // A generator of Marsaglia's: the same lines every time.
        let mut state = 88_172_645_463_325_252_u64;
        for _ in 0..20_000 {
            let mut line = String::new();
            for _ in 0..24 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                let index = usize::try_from(state % 31).unwrap_or(0);
                line.push_str(PARTS.iter().cycle().nth(index).unwrap_or(&""));
            }
            let source = Source::new("a.yaml", line.as_str());
            assert_eq!(masked(&source, 1), plain::masked(&source, 1), "{line}");
        }
    }
}
