//! The one form that policy files are kept in: indentation, spacing, quotes, ends of lines. Comments stay where they are.
//!
//! The layout changes and nothing else: what comes out is read again and compared with what went in, comments included, and
//! a file that would mean anything else is refused. Must never know what a key means.

mod layout;
mod tokens;

use super::document::{self, Content, Node, Style};
use super::problem::{Faults, Place, Problem, Source};

/// Brings a file into its form; the text is the same if it is in it already.
///
/// Two spaces a level, also below a key that holds a list; one space after `:`, `-` and `,`; none inside brackets; double
/// quotes where nothing has to be escaped; no blanks at the ends of lines; at most one empty line; one line feed at the end.
/// The order of keys, line breaks and the text of comments stay.
///
/// # Errors
/// What is wrong with a file that cannot be read, or that would not mean the same afterwards (`P0012`).
pub fn format(source: &Source) -> Result<String, Vec<Problem>> {
    let faults = Faults::new();
    let before = document::parse(source, &faults);
    let sources = std::slice::from_ref(source);
    let (before, _) = faults.finish(sources, before)?;
    let text = source.body().replace("\r\n", "\n");
    let refused = || {
        let place = Place::start_of(&source.name);
        vec![
            Problem::error("P0012", &place, "the file cannot be brought into its form without changing what it means")
                .help("write what is unusual in it (anchors, `?`, text over several lines) in a plainer way"),
        ]
    };
    let found = tokens::read(&text).ok_or_else(refused)?;
    let formatted = layout::write(&found);
    let faults = Faults::new();
    let after = document::parse(&Source::new(&*source.name, formatted.as_str()), &faults);
    let comments = tokens::read(&formatted).is_some_and(|after| after.comments() == found.comments());
    match after {
        Some(after) if !faults.has_errors() && comments && same(&before, &after) => Ok(formatted),
        _ => Err(refused()),
    }
}

/// Tells whether two trees mean the same, wherever they stand.
fn same(a: &Node, b: &Node) -> bool {
    match (&a.content, &b.content) {
        (Content::Empty, Content::Empty) => true,
        (Content::Scalar { text: a, style: plain }, Content::Scalar { text: b, style: other }) => {
            a == b && (*plain == Style::Plain) == (*other == Style::Plain)
        }
        (Content::Sequence(a), Content::Sequence(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Content::Mapping(a), Content::Mapping(b)) => {
            let entries = a.iter().zip(b).all(|(a, b)| a.key.text == b.key.text && same(&a.value, &b.value));
            a.len() == b.len() && entries
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
