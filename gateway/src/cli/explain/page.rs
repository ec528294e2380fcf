//! How explanations are set: columns, and lines of a length that is read with ease.

use std::fmt::Write as _;

/// Writes two columns, the first as wide as its longest entry.
pub(super) fn columns<'t>(rows: impl Iterator<Item = (&'t str, &'t str)> + Clone) -> String {
    let width = rows.clone().map(|(first, _)| first.chars().count()).max().unwrap_or(0);
    rows.fold(String::new(), |mut text, (first, second)| {
        let line = format!("  {first:width$}  {second}");
        let _ = writeln!(text, "{}", line.trim_end());
        text
    })
}

/// Breaks a text into lines that are read with ease.
pub(super) fn wrapped(text: &str) -> String {
    const CHARACTERS_MAX: usize = 96;
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let length = lines.last().map_or(0, |line| line.chars().count());
        if length > 0 && length + 1 + word.chars().count() > CHARACTERS_MAX {
            lines.push(word.to_owned());
        } else if let Some(line) = lines.last_mut() {
            if length > 0 {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.join("\n")
}
