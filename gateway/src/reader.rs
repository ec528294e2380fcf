//! Which refusals a browser reads as a page, whatever stage they come from.

use http::{HeaderMap, Method};
use oauth::pages::{AUTHORIZE, CONSENTS, Language, RETURN};
use oauth::visit::language_of;
use policies::id::InteractionId;
use spine::Reply;
use spine::error::Rejection;

/// How a browser reads a refusal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader(Language);

impl Reader {
    /// Finds out whether a page is asked for.
    pub(crate) fn of(method: &Method, path: &str, headers: &HeaderMap) -> Option<Self> {
        let ours = [AUTHORIZE, RETURN, CONSENTS].contains(&path) && (method == Method::GET || method == Method::POST);
        ours.then(|| Self(language_of(headers)))
    }

    /// Writes a refusal as a page.
    pub(crate) fn page(self, rejection: &Rejection, interaction: &InteractionId) -> Reply {
        oauth::pages::problem(self.0, rejection.code(), rejection.status(), interaction.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_browsers_at_the_pages_read_pages() {
        let headers = HeaderMap::new();
        for path in ["/oauth/token", "/oauth/par", "/oauth/authorize/", "/oauth/consents/x", "/v1/accounts"] {
            assert!(Reader::of(&Method::GET, path, &headers).is_none(), "{path}");
        }
        assert!(Reader::of(&Method::PUT, AUTHORIZE, &headers).is_none());
        for path in [AUTHORIZE, RETURN, CONSENTS] {
            assert!(Reader::of(&Method::GET, path, &headers).is_some(), "{path}");
        }
        assert!(Reader::of(&Method::POST, CONSENTS, &headers).is_some());
    }
}
