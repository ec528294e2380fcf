//! Words and signs of blanked Rust code, and the paths in them.

/// A word (`use`, `Permit`), a path sign (`::`), an arrow (`->`) or one sign, with its byte offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) text: &'a str,
    pub(crate) at: usize,
}

/// A path as it is written, for example `["crate", "jose", "sha256"]`; a glob ends with `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) segments: Vec<String>,
    /// The name it is given by `as`, in a `use`.
    pub(crate) alias: Option<String>,
    /// Whether it stands in a `use`, and whether that one is seen outside the file.
    pub(crate) import: Import,
    pub(crate) at: usize,
}

/// How a path is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Import {
    /// In an expression or type.
    Inline,
    /// `use a::b`.
    Private,
    /// `pub use a::b` of any reach.
    Shared,
}

/// Cuts blanked code into tokens.
pub(crate) fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(rest) = code.get(at..)
        && let Some(first) = rest.chars().next()
    {
        let length = if is_word(first) {
            rest.find(|c| !is_word(c)).unwrap_or(rest.len())
        } else if rest.starts_with("::") || rest.starts_with("->") || rest.starts_with("=>") {
            2
        } else {
            first.len_utf8()
        };
        if !first.is_whitespace() {
            found.push(Token { text: rest.get(..length).unwrap_or_default(), at });
        }
        at += length;
    }
    found
}

/// Finds every path of two segments or more, and every `use`.
pub(crate) fn paths(tokens: &[Token<'_>]) -> Vec<Path> {
    let mut found = Vec::new();
    let mut index = 0;
    while let Some(token) = tokens.get(index) {
        let next = text(tokens, index + 1);
        let before = index.checked_sub(1).map_or("", |before| text(tokens, before));
        if token.text == "use" && next != "<" && before != "+" {
            let import = if before == "pub" || before == ")" { Import::Shared } else { Import::Private };
            index = use_tree(tokens, index + 1, &mut Vec::new(), import, token.at, &mut found);
        } else if starts_word(token.text) && next == "::" && before != "::" && before != "." {
            let (segments, after) = inline_path(tokens, index);
            found.push(Path { segments, alias: None, import: Import::Inline, at: token.at });
            index = after;
        } else {
            index += 1;
        }
    }
    found
}

/// Returns the text of a token, empty behind the end.
pub(crate) fn text<'a>(tokens: &[Token<'a>], index: usize) -> &'a str {
    tokens.get(index).map_or("", |token| token.text)
}

/// Tells whether a token is a word.
pub(crate) fn starts_word(text: &str) -> bool {
    text.chars().next().is_some_and(|first| is_word(first) && !first.is_ascii_digit())
}

/// Finds the index of the brace that closes the one at `open`.
pub(crate) fn closing(tokens: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        match token.text {
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return index;
                }
            }
            _ => {}
        }
    }
    tokens.len()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn inline_path(tokens: &[Token<'_>], start: usize) -> (Vec<String>, usize) {
    let mut segments = vec![text(tokens, start).to_owned()];
    let mut index = start + 1;
    while text(tokens, index) == "::" && starts_word(text(tokens, index + 1)) {
        segments.push(text(tokens, index + 1).to_owned());
        index += 2;
    }
    (segments, index)
}

/// Reads one branch of a `use` and gives the index behind it.
fn use_tree(
    tokens: &[Token<'_>],
    start: usize,
    prefix: &mut Vec<String>,
    import: Import,
    at: usize,
    found: &mut Vec<Path>,
) -> usize {
    let depth = prefix.len();
    let mut index = start;
    let mut leaf = true;
    loop {
        match text(tokens, index) {
            "::" => index += 1,
            "{" => {
                index += 1;
                while !matches!(text(tokens, index), "}" | "") {
                    index = use_tree(tokens, index, prefix, import, at, found);
                    if text(tokens, index) == "," {
                        index += 1;
                    }
                }
                index += 1;
                leaf = false;
                break;
            }
            word if word == "*" || starts_word(word) && word != "as" => {
                // `a::{self}` is `a`.
                if word != "self" || prefix.is_empty() {
                    prefix.push(word.to_owned());
                }
                index += 1;
                if text(tokens, index) != "::" {
                    break;
                }
            }
            _ => break,
        }
    }
    let mut alias = None;
    if text(tokens, index) == "as" {
        alias = Some(text(tokens, index + 1).to_owned());
        index += 2;
    }
    if leaf && !prefix.is_empty() {
        found.push(Path { segments: prefix.clone(), alias, import, at });
    }
    prefix.truncate(depth);
    if text(tokens, index) == ";" { index + 1 } else { index }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(code: &str) -> Vec<String> {
        paths(&tokens(code)).iter().map(|path| path.segments.join("::")).collect()
    }

    #[test]
    fn use_trees_are_unfolded() {
        let code = "use a::b::{self, C, d::{E as F, *}};\npub(crate) use super::x;\nuse y;";
        assert_eq!(written(code), ["a::b", "a::b::C", "a::b::d::E", "a::b::d::*", "super::x", "y"]);
        assert_eq!(paths(&tokens(code)).get(4).map(|path| path.import), Some(Import::Shared));
    }

    #[test]
    fn paths_in_expressions_are_found() {
        let code = "fn f() -> impl A + use<'_> { crate::g::h(); x.iter::<u8>(); b::C::<D>::e() }";
        assert_eq!(written(code), ["crate::g::h", "b::C"]);
    }
}
