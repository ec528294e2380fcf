//! A Rust text with what is not code blanked out: comments, strings, and the parts that only tests compile.
//!
//! Blanking keeps every byte offset and every line, so that a finding can be told by its line.

/// Blanks comments and the inside of strings and characters.
pub(crate) fn code_of(text: &str) -> String {
    let mut out = text.as_bytes().to_vec();
    let mut at = 0;
    while at < out.len() {
        let end = not_code(text.as_bytes(), at);
        if end > at {
            blank(&mut out, at, end);
            at = end;
        } else {
            at += 1;
        }
    }
    String::from_utf8(out).expect("whole comments and strings are blanked, so no character is cut")
}

/// Blanks the items under `#[cfg(test)]`; takes and gives blanked code.
pub(crate) fn live_part(code: &str) -> String {
    let mut out = code.as_bytes().to_vec();
    for (start, end) in test_items(code) {
        blank(&mut out, start, end);
    }
    String::from_utf8(out).expect("items begin and end at ASCII characters")
}

/// Finds the items under `#[cfg(test)]`, attributes included, as byte ranges of blanked code.
pub(crate) fn test_items(code: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = code.get(from..).and_then(|rest| rest.find("#[cfg(")).map(|at| at + from) {
        let condition_end = code.get(at..).and_then(|rest| rest.find(']')).map_or(code.len(), |end| at + end + 1);
        let condition = code.get(at..condition_end).unwrap_or_default();
        if is_test_only(condition) {
            let end = item_end(code, condition_end);
            found.push((at, end));
            from = end;
        } else {
            from = condition_end;
        }
    }
    found
}

/// Tells in which line a byte offset is, from one.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

fn is_test_only(condition: &str) -> bool {
    let words: Vec<&str> =
        condition.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| !w.is_empty()).collect();
    words == ["cfg", "test"]
        || (words.starts_with(&["cfg", "all"]) && words.contains(&"test") && !words.contains(&"not"))
}

fn item_end(code: &str, from: usize) -> usize {
    let mut depth = 0_usize;
    let mut brackets = 0_usize;
    for (offset, byte) in code.bytes().enumerate().skip(from) {
        match byte {
            b'[' | b'(' => brackets += 1,
            b']' | b')' => brackets = brackets.saturating_sub(1),
            b'{' => depth += 1,
            b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return offset + 1;
                }
            }
            b';' if depth == 0 && brackets == 0 => return offset + 1,
            _ => {}
        }
    }
    code.len()
}

fn blank(bytes: &mut [u8], start: usize, end: usize) {
    for byte in bytes.iter_mut().take(end).skip(start) {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
}

/// Tells where the comment or literal that begins at `at` ends; `at` itself if none begins there.
fn not_code(text: &[u8], at: usize) -> usize {
    let byte = |offset: usize| text.get(at + offset).copied().unwrap_or(0);
    let before = at.checked_sub(1).and_then(|at| text.get(at)).copied().unwrap_or(b' ');
    let word_before = before.is_ascii_alphanumeric() || before == b'_';
    match byte(0) {
        b'/' if byte(1) == b'/' => line_end(text, at),
        b'/' if byte(1) == b'*' => block_comment_end(text, at),
        b'"' => string_end(text, at),
        b'b' | b'c' if !word_before && byte(1) == b'"' => string_end(text, at + 1),
        b'r' if !word_before => raw_string_end(text, at + 1).unwrap_or(at),
        b'b' | b'c' if !word_before && byte(1) == b'r' => raw_string_end(text, at + 2).unwrap_or(at),
        b'b' if !word_before && byte(1) == b'\'' => character_end(text, at + 1),
        b'\'' => character_end(text, at),
        _ => at,
    }
}

fn line_end(text: &[u8], at: usize) -> usize {
    text.iter().skip(at).position(|byte| *byte == b'\n').map_or(text.len(), |length| at + length)
}

fn block_comment_end(text: &[u8], at: usize) -> usize {
    let mut depth = 0_usize;
    let mut offset = at;
    while offset < text.len() {
        match (text.get(offset), text.get(offset + 1)) {
            (Some(b'/'), Some(b'*')) => {
                depth += 1;
                offset += 2;
            }
            (Some(b'*'), Some(b'/')) => {
                depth -= 1;
                offset += 2;
                if depth == 0 {
                    return offset;
                }
            }
            _ => offset += 1,
        }
    }
    text.len()
}

fn string_end(text: &[u8], quote: usize) -> usize {
    let mut offset = quote + 1;
    while let Some(byte) = text.get(offset) {
        match byte {
            b'\\' => offset += 2,
            b'"' => return offset + 1,
            _ => offset += 1,
        }
    }
    text.len()
}

fn raw_string_end(text: &[u8], hashes_at: usize) -> Option<usize> {
    let hashes = text.iter().skip(hashes_at).take_while(|byte| **byte == b'#').count();
    if text.get(hashes_at + hashes) != Some(&b'"') {
        return None;
    }
    let mut offset = hashes_at + hashes + 1;
    while offset < text.len() {
        let closes = text.get(offset) == Some(&b'"')
            && text.iter().skip(offset + 1).take_while(|byte| **byte == b'#').count() >= hashes;
        if closes {
            return Some(offset + 1 + hashes);
        }
        offset += 1;
    }
    Some(text.len())
}

/// A lifetime has no closing quote; what follows it is code.
fn character_end(text: &[u8], quote: usize) -> usize {
    if text.get(quote + 1) == Some(&b'\\') {
        let rest = text.iter().skip(quote + 3);
        return rest.clone().position(|byte| *byte == b'\'').map_or(text.len(), |length| quote + 3 + length + 1);
    }
    // The longest character has four bytes.
    let is_word = text.get(quote + 1).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let longest = if is_word { 2 } else { 5 };
    let closing = (2..=longest).find(|length| text.get(quote + length) == Some(&b'\''));
    closing.map_or(quote, |length| quote + length + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_strings_and_characters_are_blanked_and_lines_stay() {
        let text = "let a = \"x // }\"; // todo!\nlet b = '\"'; /* { /* } */ */ let c = r#\"\"}\"#;\n";
        let code = code_of(text);
        assert_eq!(code.len(), text.len());
        assert_eq!(code.split_whitespace().collect::<Vec<_>>().join(" "), "let a = ; let b = ; let c = ;");
        assert_eq!(code.lines().count(), 2);
    }

    #[test]
    fn lifetimes_are_code() {
        let text = "fn f<'a>(x: &'a str, y: &'static [u8]) -> char { '\\'' }";
        assert_eq!(code_of(text), text.replace("'\\''", "    "));
    }

    #[test]
    fn letters_of_other_alphabets_are_characters_too() {
        assert_eq!(code_of("('қ', 1)").replace(' ', ""), "(,1)");
    }

    #[test]
    fn what_only_tests_compile_is_not_live() {
        let code = "fn a() {}\n#[cfg(test)]\n#[path = x]\nmod tests;\n#[cfg(not(test))]\nfn b() {}\n#[cfg(test)]\nmod t { fn c() {} }\nfn d() {}";
        let live = live_part(code);
        assert!(live.contains("fn a") && live.contains("fn b") && live.contains("fn d"), "{live}");
        assert!(!live.contains("mod"), "{live}");
    }
}
