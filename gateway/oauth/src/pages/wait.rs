//! Between the provider's page and the decision: waiting for the provider's word, and what if it is no.

use http::StatusCode;
use spine::Reply;

use super::html::Html;
use super::{Frame, Onward, Place, page, plain};

/// Says that the provider's word is waited for; `by_itself` has the browser look again.
pub(crate) fn wait(frame: &Frame<'_>, by_itself: bool) -> Reply {
    let texts = frame.texts();
    let lead = if by_itself { texts.waiting_lead } else { texts.waiting_long };
    let mut contents = Html::new();
    if by_itself {
        contents = contents.raw("<div class=\"wheel\" aria-hidden=\"true\"></div>");
    }
    contents = contents.raw("<h1>").text(texts.waiting_title).raw("</h1><p class=\"lead\" role=\"status\">").text(lead);
    contents = contents.raw("</p><div class=\"buttons\"><a class=\"button main\" href=\"");
    contents = contents.raw(frame.place.path().unwrap_or("/")).raw("\">").text(texts.look_again).raw("</a></div>");
    if !by_itself {
        let again = frame.form("again").raw("<div class=\"buttons\"><button>").text(texts.try_again);
        contents = contents.with(again).raw("</button></div></form>");
    }
    page(frame, texts.waiting_title, contents, by_itself, Onward::Nowhere, StatusCode::OK)
}

/// Says that the provider has confirmed somebody, but that its page has not led this browser back.
pub(crate) fn elsewhere(frame: &Frame<'_>) -> Reply {
    let texts = frame.texts();
    let contents = Html::new().raw("<h1>").text(texts.elsewhere_title).raw("</h1><p class=\"lead\" role=\"status\">");
    let again = frame.form("again").raw("<div class=\"buttons\"><button>").text(texts.try_again);
    let contents = contents.text(texts.elsewhere_lead).raw("</p>").with(again).raw("</button></div></form>");
    page(frame, texts.elsewhere_title, contents, false, Onward::Nowhere, StatusCode::OK)
}

/// Says that the person could not be confirmed; `who` asks, and `redirect_uri` is where a refusal leads.
pub(crate) fn missed(frame: &Frame<'_>, again: bool, who: Option<(&str, &str)>) -> Reply {
    let texts = frame.texts();
    let lead = if again { texts.missed_lead } else { texts.missed_last };
    let mut contents = Html::new().raw("<h1>").text(texts.missed_title).raw("</h1><p class=\"lead\" role=\"status\">");
    contents = contents.text(lead).raw("</p>");
    if again {
        let form = frame.form("again").raw("<div class=\"buttons\"><button class=\"main\">").text(texts.try_again);
        contents = contents.with(form).raw("</button></div></form>");
    }
    if let Some((who, _)) = who {
        contents = contents.with(back(frame, who));
    }
    let onward = who.map_or(Onward::Nowhere, |(_, redirect_uri)| Onward::Client(redirect_uri));
    page(frame, texts.missed_title, contents, false, onward, StatusCode::OK)
}

/// The way back to whoever asks, as a refusal.
pub(super) fn back(frame: &Frame<'_>, who: &str) -> Html {
    if frame.place != Place::Request {
        return Html::new();
    }
    let form = frame.form("decide").raw("<input type=\"hidden\" name=\"decision\" value=\"refuse\">");
    let form = form.raw("<div class=\"buttons\"><button>").text(&plain(frame.texts().back_to, &[("who", who)]));
    form.raw("</button></div></form>")
}
