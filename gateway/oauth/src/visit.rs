//! A browser's visit: its cookies, what stands in its address, what it has filled in.
//!
//! Believes nothing of it; who it is, a login says.

use http::HeaderMap;
use http::header::{ACCEPT_LANGUAGE, COOKIE};
use policies::code::Code;
use policies::login;
use policies::time::Timestamp;
use spine::error::Rejection;
use spine::trail::Trail;

use crate::pages::Language;

/// The cookie of a way to a decision.
pub(crate) const LOGIN_COOKIE: &str = "__Host-qaqpa-login";
/// The cookie of a look at one's own consents.
pub(crate) const CITIZEN_COOKIE: &str = "__Host-qaqpa-citizen";
/// The cookie of a chosen language; not a secret.
pub(crate) const LANGUAGE_COOKIE: &str = "__Host-qaqpa-language";

/// For how long a browser keeps the language, in seconds: half a year.
pub(crate) const LANGUAGE_SECONDS: u64 = 180 * 86_400;

/// The length of the secret in a cookie: 256 bits in base64url.
const SECRET_CHARS: usize = 43;

/// A browser's request.
#[derive(Debug, Clone, Copy)]
pub struct Visit<'a> {
    /// Its header fields.
    pub headers: &'a HeaderMap,
    /// What stands in the address after `?`.
    pub query: &'a [(String, String)],
    /// What was filled in.
    pub form: &'a [(String, String)],
    /// What is noted of it.
    pub trail: &'a Trail,
    /// When it came.
    pub now: Timestamp,
}

impl<'a> Visit<'a> {
    /// Returns the secret of a cookie, if it has the form of one of ours.
    pub(crate) fn secret(&self, cookie: &str) -> Option<&'a str> {
        let secret = cookie_of(self.headers, cookie)?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (secret.len() == SECRET_CHARS && secret.bytes().all(plain)).then_some(secret)
    }

    /// Returns a parameter of the address that comes once.
    pub(crate) fn parameter(&self, name: &str) -> Option<&'a str> {
        once(self.query, name)
    }

    /// Returns a field that comes once.
    pub(crate) fn field(&self, name: &str) -> Option<&'a str> {
        once(self.form, name)
    }

    /// Returns a field as often as it comes.
    pub(crate) fn fields(&self, name: &str) -> Vec<&'a str> {
        self.form.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }

    /// Returns the language that was chosen by this very visit.
    pub(crate) fn chosen_language(&self) -> Option<Language> {
        self.parameter("lang").and_then(Language::from_tag)
    }

    /// Returns the language of the answer.
    pub(crate) fn language(&self) -> Language {
        self.chosen_language().unwrap_or_else(|| language_of(self.headers))
    }

    /// Checks that the form comes from a page of ours, made for this cookie; gives the cookie's secret (AS29).
    ///
    /// # Errors
    /// [`Code::FormRefused`].
    pub(crate) fn own_form(&self, cookie: &str) -> Result<&'a str, Rejection> {
        // Said by the browser itself, where it does; the token is what counts.
        let site = self.headers.get("sec-fetch-site").map(http::HeaderValue::as_bytes);
        if site.is_some_and(|site| site != b"same-origin") {
            return Err(foreign("the form comes from another site"));
        }
        let secret = self.secret(cookie).ok_or_else(|| foreign("there is no cookie"))?;
        let token = self.field("csrf").unwrap_or_default();
        login::check_form(secret, token).map_err(foreign)?;
        Ok(secret)
    }
}

/// Refuses a browser that is not the one that began.
pub(crate) fn foreign(why: impl ToString) -> Rejection {
    Rejection::new(Code::FormRefused, "The page was not made for this browser, or its time is over.").because(why)
}

/// Returns the language that a browser has chosen, or asks for.
#[must_use]
pub fn language_of(headers: &HeaderMap) -> Language {
    let chosen = cookie_of(headers, LANGUAGE_COOKIE).and_then(Language::from_tag);
    let accepted = || headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    chosen.unwrap_or_else(|| Language::accepted(accepted()))
}

// A cookie that comes twice is none: somebody may have put one beside ours.
fn cookie_of<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let texts = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut values = pairs.filter(|(known, _)| *known == name).map(|(_, value)| value);
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

fn once<'p>(pairs: &'p [(String, String)], name: &str) -> Option<&'p str> {
    let mut values = pairs.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use http::HeaderValue;
    use policies::id::InteractionId;

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
    const SECRET: &str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG";

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn refused(headers: &HeaderMap, token: &str) -> bool {
        let trail = Trail::open(InteractionId::parse("a").unwrap(), NOW, 1);
        let form = pairs(&[("csrf", token)]);
        let visit = Visit { headers, query: &[], form: &form, trail: &trail, now: NOW };
        visit.own_form(LOGIN_COOKIE).is_err()
    }

    #[test]
    fn as29_a_form_without_its_cookie_is_refused() {
        let token = login::form_token(SECRET);
        let with = |text: &'static str| headers(&[("cookie", text)]);
        assert!(refused(&HeaderMap::new(), &token));
        assert!(refused(&with("__Host-qaqpa-citizen=0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"), &token));
        assert!(refused(&with("__Host-qaqpa-login=0123456789abcdefghijklmnopqrstuvwxyzABCDEF"), &token));
        assert!(refused(&with("__Host-qaqpa-login=0123456789abcdefghijklmnopqrstuvwxyzABCDEFH"), &token));
        let twice = "__Host-qaqpa-login=0123456789abcdefghijklmnopqrstuvwxyzABCDEFG; __Host-qaqpa-login=x";
        assert!(refused(&with(twice), &token));
        let good = "a=b; __Host-qaqpa-login=0123456789abcdefghijklmnopqrstuvwxyzABCDEFG";
        assert!(refused(&with(good), ""));
        assert!(refused(&with(good), "x"));
        assert!(!refused(&with(good), &token));
        let fetched = |site| headers(&[("cookie", good), ("sec-fetch-site", site)]);
        assert!(refused(&fetched("cross-site"), &token));
        assert!(refused(&fetched("same-site"), &token));
        assert!(!refused(&fetched("same-origin"), &token));
    }

    #[test]
    fn the_language_is_that_of_the_address_then_of_the_cookie_then_of_the_browser() {
        let trail = Trail::open(InteractionId::parse("a").unwrap(), NOW, 1);
        let headers = headers(&[("cookie", "__Host-qaqpa-language=ru"), ("accept-language", "en")]);
        let query = pairs(&[("lang", "kk")]);
        let mut visit = Visit { headers: &headers, query: &query, form: &[], trail: &trail, now: NOW };
        assert_eq!(visit.language(), Language::Kazakh);
        visit.query = &[];
        assert_eq!(visit.language(), Language::Russian);
        let headers = self::headers(&[("cookie", "__Host-qaqpa-language=xx"), ("accept-language", "en")]);
        assert_eq!(language_of(&headers), Language::English);
    }

    #[test]
    fn what_comes_twice_is_not_there() {
        let trail = Trail::open(InteractionId::parse("a").unwrap(), NOW, 1);
        let headers = HeaderMap::new();
        let both = pairs(&[("a", "1"), ("a", "2"), ("b", "3")]);
        let visit = Visit { headers: &headers, query: &both, form: &both, trail: &trail, now: NOW };
        assert_eq!((visit.parameter("a"), visit.field("a")), (None, None));
        assert_eq!((visit.parameter("b"), visit.fields("a")), (Some("3"), vec!["1", "2"]));
    }
}
