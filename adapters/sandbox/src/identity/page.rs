//! The page that a citizen sees instead of a camera.

use super::session::Session;
use crate::personas::Scenario;
use crate::reply::{self, Reply};
use bytes::Bytes;
use http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode};

/// The page needs its own style and nothing else.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #12303b; --paper: #f4f8f9; --card: #fff; --line: #c7d7dc; --accent: #00697f; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6f1f4; --paper: #0d1b20; --card: #14272e; --line: #2c4751; --accent: #63cbe0; }
}
* { box-sizing: border-box; }
body { margin: 0; padding: 2rem 1rem; background: var(--paper); color: var(--ink); font: 1.0625rem/1.6 system-ui, sans-serif; }
main { max-width: 34rem; margin: 0 auto; padding: 2rem; background: var(--card); border: 1px solid var(--line); border-radius: .75rem; }
h1 { margin: 0 0 .5rem; font-size: 1.5rem; line-height: 1.25; }
.where { margin: 0 0 1.5rem; color: var(--accent); font-weight: 600; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; margin: 1.5rem 0; padding: 1rem 0; border-block: 1px solid var(--line); }
dt { font-weight: 600; }
dd { margin: 0; overflow-wrap: anywhere; }
footer { font-size: .9375rem; }
.back { display: block; margin-top: 1rem; padding: .75rem 1rem; border-radius: .5rem; background: var(--accent); color: var(--card);
  font-weight: 600; text-align: center; text-decoration: none; }
";

/// The capture page of a session: what happens to this citizen, and that no camera is used.
pub(super) fn capture(provider: &str, session: &Session) -> Reply {
    let (provider, purpose) = (escaped(provider), escaped(&session.purpose));
    let (scenario, story) = (session.scenario, story(session.scenario));
    let challenges = session.challenges;
    let (end, back) = match session.return_url.as_deref() {
        None => ("You can close this page.", String::new()),
        Some(url) => ("", format!("<p><a class=\"back\" id=\"return\" href=\"{}\">Go on</a></p>\n", escaped(url))),
    };
    let page = format!(
        "<!doctype html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<title>Identity check - {provider} (sandbox)</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<h1>Identity check</h1>
<p class=\"where\">{provider}, sandbox</p>
<p>{story}</p>
<dl>
<dt>Purpose</dt><dd>{purpose}</dd>
<dt>Challenges</dt><dd>{challenges}</dd>
<dt>Scenario</dt><dd><code>{scenario}</code></dd>
</dl>
<footer>This is a rehearsal with an invented citizen. No camera is used and nothing biometric is recorded.
{end}</footer>
{back}</main>
</body>
</html>
"
    );
    let mut reply = reply::bytes_reply(StatusCode::OK, "text/html; charset=utf-8", Bytes::from(page));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    reply
}

fn story(scenario: Scenario) -> &'static str {
    match scenario {
        Scenario::Match => "The citizen follows the challenges and the face is the right one.",
        Scenario::NoMatch => "The citizen follows the challenges, but the face is not the one on record.",
        Scenario::Spoof => "The camera is shown a recording instead of a face, and that is noticed.",
        Scenario::CouldNotTell => "The light is too poor to tell who stands before the camera.",
        Scenario::Late => "The citizen leaves before the first challenge. The provider never calls back.",
        Scenario::Duplicate => "The face is the right one. The provider calls back twice with one message.",
        Scenario::Forged => {
            "The citizen leaves, and somebody else calls back in the provider's name with a wrong signature."
        }
        Scenario::Error => "The provider is out of order.",
    }
}

/// Text as it may stand in HTML.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_asker_becomes_markup() {
        assert_eq!(escaped("<img onerror='x'>&\""), "&lt;img onerror=&#39;x&#39;&gt;&amp;&quot;");
    }
}
