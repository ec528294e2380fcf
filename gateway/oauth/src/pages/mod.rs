//! The pages that a citizen's browser is shown: plain HTML with one style, no script, nothing from elsewhere.
//!
//! They are made of values that were decided before; must not know how anything was found out or is kept.

mod decide;
mod html;
mod identify;
mod language;
mod own;
mod problem;
mod show;
mod texts;
mod wait;

use std::sync::LazyLock;

use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, REFERRER_POLICY,
    SET_COOKIE, X_FRAME_OPTIONS,
};
use http::{HeaderMap, StatusCode};
use policies::jose::{base64url, sha256};
use spine::Reply;
use spine::body::Body;

use html::Html;
use texts::Texts;

pub(crate) use decide::{Asking, Choice, decide, foreign};
pub(crate) use identify::{Fault, Wish, identify, reason};
pub use language::Language;
pub(crate) use own::{OwnConsent, OwnState, left, own};
pub use problem::problem;
pub(crate) use wait::{elsewhere, missed, wait};

/// The look of every page.
const STYLE: &str = include_str!("style.css");

/// A fresh page is fetched after so many seconds, while a provider's word is waited for.
const REFRESH_SECONDS: &str = "2";

/// Where a language is chosen: the page on which the citizen is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// On the way to a decision.
    Request,
    /// Before one's own consents.
    Own,
    /// Nowhere in particular.
    Nowhere,
}

impl Place {
    /// Returns the path that shows it.
    pub(crate) const fn path(self) -> Option<&'static str> {
        match self {
            Place::Request => Some(RETURN),
            Place::Own => Some(CONSENTS),
            Place::Nowhere => None,
        }
    }

    /// Returns the path that its forms are sent to.
    const fn form(self) -> &'static str {
        match self {
            Place::Request | Place::Nowhere => AUTHORIZE,
            Place::Own => CONSENTS,
        }
    }
}

/// Where an authorization begins.
pub const AUTHORIZE: &str = "/oauth/authorize";
/// Where a provider's page leads back to.
pub const RETURN: &str = "/oauth/authorize/return";
/// Where citizens see their own consents.
pub const CONSENTS: &str = "/oauth/consents";

/// What a page is made with, whatever it says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a> {
    /// The language.
    pub(crate) language: Language,
    /// Where it stands.
    pub(crate) place: Place,
    /// What its forms bring back.
    pub(crate) form_token: &'a str,
}

impl Frame<'_> {
    fn texts(&self) -> &'static Texts {
        Texts::of(self.language)
    }

    /// Begins a form of this page.
    fn form(&self, step: &'static str) -> Html {
        Html::new()
            .raw("<form method=\"post\" autocomplete=\"off\" action=\"")
            .raw(self.place.form())
            .raw("\"><input type=\"hidden\" name=\"csrf\" value=\"")
            .text(self.form_token)
            .raw("\"><input type=\"hidden\" name=\"step\" value=\"")
            .raw(step)
            .raw("\">")
    }
}

/// How a page goes on beyond this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Onward<'a> {
    /// It does not.
    Nowhere,
    /// Its form may end at a provider's page, wherever that is: over TLS, or on this machine.
    Provider,
    /// Its form may end at a client's redirect URI.
    Client(&'a str),
}

/// Makes a page out of its contents.
fn page(
    frame: &Frame<'_>,
    title: &str,
    contents: Html,
    refresh: bool,
    onward: Onward<'_>,
    status: StatusCode,
) -> Reply {
    let texts = frame.texts();
    let mut html = Html::new()
        .raw("<!doctype html>\n<html lang=\"")
        .raw(frame.language.tag())
        .raw("\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    if refresh {
        html = html.raw("<meta http-equiv=\"refresh\" content=\"").raw(REFRESH_SECONDS).raw("\">\n");
    }
    let html = html
        .raw("<title>")
        .text(title)
        .raw(" · Qaqpa</title>\n<style>")
        .raw(STYLE)
        .raw("</style>\n</head>\n<body>\n<header><div class=\"brand\">")
        .raw(MARK)
        .raw("<span>Qaqpa</span></div>")
        .with(languages(frame))
        .raw("</header>\n<main>\n")
        .with(contents)
        .raw("\n</main>\n<footer>")
        .text(texts.footer)
        .raw("</footer>\n</body>\n</html>\n");
    let mut reply = Reply::new(Body::whole(html.into_text()));
    *reply.status_mut() = status;
    protect(reply.headers_mut(), onward);
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    reply
}

/// A gate under the sun of the flag.
const MARK: &str = "<svg width=\"32\" height=\"32\" viewBox=\"0 0 32 32\" aria-hidden=\"true\" focusable=\"false\">\
    <path fill=\"currentColor\" d=\"M4 29V15C4 8.4 9.4 3 16 3s12 5.4 12 12v14h-6V15a6 6 0 0 0-12 0v14z\"/>\
    <circle class=\"sun\" cx=\"16\" cy=\"17\" r=\"3.4\"/></svg>";

fn languages(frame: &Frame<'_>) -> Html {
    let Some(path) = frame.place.path() else { return Html::new() };
    let one = |language: Language| {
        if language == frame.language {
            let html = Html::new().raw("<span lang=\"").raw(language.tag()).raw("\" aria-current=\"true\">");
            return html.text(language.name()).raw("</span>");
        }
        let html = Html::new().raw("<a lang=\"").raw(language.tag()).raw("\" hreflang=\"").raw(language.tag());
        let html = html.raw("\" href=\"").raw(path).raw("?lang=").raw(language.tag()).raw("\">");
        html.text(language.name()).raw("</a>")
    };
    let html = Html::new().raw("<nav aria-label=\"").text(frame.texts().language).raw("\">");
    html.all(Language::ALL.map(one)).raw("</nav>")
}

/// Sends the browser on by a new GET, whatever it has just posted (RFC 9700, 4.12: never 307).
pub(crate) fn see_other(place: &str) -> Option<Reply> {
    let mut reply = Reply::new(Body::empty());
    *reply.status_mut() = StatusCode::SEE_OTHER;
    reply.headers_mut().insert(LOCATION, HeaderValue::from_str(place).ok()?);
    protect(reply.headers_mut(), Onward::Nowhere);
    Some(reply)
}

/// Adds a cookie that only this server and only over TLS gets back: its name begins with `__Host-`.
pub(crate) fn set_cookie(reply: &mut Reply, name: &'static str, value: &str, seconds: u64) {
    let text = format!("{name}={value}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Lax");
    if let Ok(value) = HeaderValue::from_str(&text) {
        reply.headers_mut().append(SET_COOKIE, value);
    }
}

// FAPI 2.0, 5.3.2.2 and RFC 9700, 4.16: nobody frames the page, nothing is fetched from elsewhere, nobody is told
// where the browser comes from.
fn protect(headers: &mut HeaderMap, onward: Onward<'_>) {
    let forms = match onward {
        Onward::Nowhere => "'self'".to_owned(),
        // Browsers hold the redirect after a form against this too.
        Onward::Provider => "'self' https: http://127.0.0.1:* http://localhost:*".to_owned(),
        Onward::Client(redirect_uri) => format!("'self' {}", origin(redirect_uri)),
    };
    let policy = format!(
        "default-src 'none'; style-src {}; form-action {forms}; base-uri 'none'; frame-ancestors 'none'",
        *STYLE_SOURCE
    );
    let policy = HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for (name, value) in [
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("permissions-policy", "camera=(), microphone=(), geolocation=(), payment=()"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
}

/// The one style that pages may have: by its hash (CSP 3, 8.2).
static STYLE_SOURCE: LazyLock<String> = LazyLock::new(|| {
    let hash = base64url(&sha256(STYLE.as_bytes())).replace('-', "+").replace('_', "/");
    format!("'sha256-{hash}='")
});

/// Returns scheme and authority of a redirect URI, which was checked when policy was compiled.
fn origin(redirect_uri: &str) -> &str {
    let authority = redirect_uri.find("://").map_or(0, |at| at + 3);
    let rest = redirect_uri.get(authority..).unwrap_or_default();
    let length = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let found = redirect_uri.get(..authority + length).unwrap_or_default();
    // The grammar of sources has no addresses in brackets (CSP 3, 2.3.1): the scheme is what can be said.
    if let Some((scheme, _)) = found.split_once("//[") {
        return scheme;
    }
    // A space or semicolon would end the source or the directive.
    if found.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b';' | b',')) { found } else { "" }
}

/// One line of a list of terms.
fn row(term: &str, description: Html) -> Html {
    Html::new().raw("<div><dt>").text(term).raw("</dt><dd>").with(description).raw("</dd></div>")
}

fn words(text: &str) -> Html {
    Html::new().text(text)
}

/// Writes a sentence of ours with its values, without emphasis.
fn plain(sentence: &'static str, values: &[(&str, &str)]) -> String {
    let mut text = String::new();
    let mut rest = sentence;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, after)) = after.split_once('}') else { break };
        text.push_str(before);
        text.push_str(values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value));
        rest = after;
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests;
