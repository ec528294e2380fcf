//! What a citizen reads when it does not go on: local, because nobody but a client whose request is known is sent word
//! (AS5).

use http::StatusCode;
use policies::code::Code;
use spine::Reply;

use super::html::Html;
use super::language::Language;
use super::texts::Texts;
use super::{Frame, Onward, Place, page};

/// Says why it does not go on; `reference` names the interaction.
#[must_use]
pub fn problem(language: Language, code: Code, status: StatusCode, reference: &str) -> Reply {
    let frame = Frame { language, place: Place::Nowhere, form_token: "" };
    let texts = frame.texts();
    let (title, lead) = kind(texts, code, status);
    let contents = Html::new().raw("<h1>").text(title).raw("</h1><p class=\"lead\">").text(lead).raw("</p>");
    let contents = contents.raw("<p class=\"soft\">").text(texts.reference).raw(": <code>").text(reference);
    page(&frame, title, contents.raw("</code></p>"), false, Onward::Nowhere, status)
}

fn kind(texts: &Texts, code: Code, status: StatusCode) -> (&'static str, &'static str) {
    match code {
        Code::OauthInvalidRequestUri => texts.request_over,
        Code::FormRefused => texts.other_browser,
        Code::OauthUnauthorizedClient | Code::OauthInvalidClient | Code::ClientSuspended => texts.app_unknown,
        Code::RateLimited => texts.too_often,
        Code::ProviderUnavailable => texts.provider_away,
        Code::BackendUnavailable | Code::BackendTimeout | Code::BackendBroken => texts.bank_away,
        _ if status.is_server_error() => texts.not_now,
        _ => texts.malformed,
    }
}
