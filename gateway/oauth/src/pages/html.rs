//! Markup that nothing a client or a person wrote can become part of: what is not in our own source is always escaped.

/// A piece of a page.
#[derive(Debug, Default, Clone)]
pub(crate) struct Html(String);

impl Html {
    /// Begins with nothing.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds markup; being static it comes from our source, never from a request.
    pub(crate) fn raw(mut self, markup: &'static str) -> Self {
        self.0.push_str(markup);
        self
    }

    /// Adds text: also good within the double quotes of an attribute.
    pub(crate) fn text(mut self, text: &str) -> Self {
        for character in text.chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                // Turns the direction of what is read: a payee's name could show an amount as another.
                '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' => {}
                other => self.0.push(other),
            }
        }
        self
    }

    /// Adds another piece.
    pub(crate) fn with(mut self, other: Html) -> Self {
        self.0.push_str(&other.0);
        self
    }

    /// Adds pieces one after the other.
    pub(crate) fn all(self, others: impl IntoIterator<Item = Html>) -> Self {
        others.into_iter().fold(self, Html::with)
    }

    /// Adds a sentence of ours with values in it, each at its `{name}` and emphasised.
    pub(crate) fn phrase(mut self, sentence: &'static str, values: &[(&str, &str)]) -> Self {
        let mut rest = sentence;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else { break };
            let value = values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value);
            self = self.text(before).raw("<strong>").text(value).raw("</strong>");
            rest = after;
        }
        self.text(rest)
    }

    /// Returns the markup.
    pub(crate) fn into_text(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_somebody_wrote_becomes_markup() {
        let hostile = "</p><script>alert('x')</script><img src=\"x\" onerror=y>&lt;";
        let page = Html::new().raw("<p title=\"").text(hostile).raw("\">").text(hostile).raw("</p>").into_text();
        assert!(
            !page.contains("<script") && !page.contains("<img") && !page.contains("\"x\"") && !page.contains("'x'")
        );
        assert_eq!(page.matches('<').count(), 2);
        assert!(page.contains("&amp;lt;"));
    }

    #[test]
    fn values_of_a_sentence_are_escaped_and_stay_values() {
        let hostile = "{amount}<b>";
        let page = Html::new().phrase("{who} asks for {amount}.", &[("who", hostile), ("amount", "1")]).into_text();
        assert_eq!(page, "<strong>{amount}&lt;b&gt;</strong> asks for <strong>1</strong>.");
    }

    #[test]
    fn nothing_turns_the_direction_of_what_is_read() {
        assert_eq!(Html::new().text("a\u{202e}b\u{2066}c").into_text(), "abc");
    }
}
