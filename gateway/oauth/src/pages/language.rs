//! Which language a page speaks: the one that was chosen, else the one the browser asks for.

/// A language of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Kazakh.
    Kazakh,
    /// Russian.
    Russian,
    /// English.
    English,
}

impl Language {
    /// Every language, in the order in which they are offered.
    pub const ALL: [Language; 3] = [Language::Kazakh, Language::Russian, Language::English];

    /// Returns its tag (RFC 5646).
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Language::Kazakh => "kk",
            Language::Russian => "ru",
            Language::English => "en",
        }
    }

    /// Returns its own name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Language::Kazakh => "Қазақша",
            Language::Russian => "Русский",
            Language::English => "English",
        }
    }

    /// Reads a tag.
    #[must_use]
    pub fn from_tag(tag: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.tag() == tag)
    }

    /// Chooses among what a browser asks for (RFC 9110, 12.5.4); Kazakh, the state language, if there is nothing of ours.
    #[must_use]
    pub fn accepted(header: &str) -> Self {
        let mut best = (0, Language::Kazakh);
        for range in header.split(',').take(32) {
            let mut parts = range.split(';').map(str::trim);
            let tag = parts.next().unwrap_or_default().to_ascii_lowercase();
            let primary = tag.split('-').next().unwrap_or_default();
            let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1000), weight);
            if let (Some(language), Some(weight)) = (Self::from_tag(primary), weight)
                && weight > best.0
            {
                best = (weight, language);
            }
        }
        best.1
    }
}

/// Reads a weight from 0 to 1 with up to three decimals, in thousandths.
fn weight(text: &str) -> Option<u32> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if part.len() > 3 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part: u32 = format!("{part:0<3}").parse().ok()?;
    match whole {
        "0" => Some(part),
        "1" if part == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_gets_the_language_that_it_likes_best() {
        for (header, language) in [
            ("", Language::Kazakh),
            ("de", Language::Kazakh),
            ("ru", Language::Russian),
            ("en-US,en;q=0.9,ru;q=0.8", Language::English),
            ("de-DE,de;q=0.9,ru;q=0.5,en;q=0.4", Language::Russian),
            ("kk-KZ,ru;q=0.9", Language::Kazakh),
            ("ru;q=0.5, en ;q=0.7", Language::English),
            ("en;q=0.700,ru;q=0.65", Language::English),
            ("ru;q=0", Language::Kazakh),
            ("ru;q=2,en;q=x", Language::Kazakh),
        ] {
            assert_eq!(Language::accepted(header), language, "{header}");
        }
    }

    #[test]
    fn tags_are_exact() {
        assert_eq!(Language::from_tag("RU"), None);
        assert_eq!(Language::from_tag("ru-RU"), None);
        assert_eq!(Language::from_tag("kk"), Some(Language::Kazakh));
    }
}
