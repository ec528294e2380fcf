//! A citizen's own consents: to whom, for what, since and until when; each can be taken back.

use http::StatusCode;
use policies::consent::{Consent, Terms};
use spine::Reply;

use super::decide::{order_rows, permissions};
use super::html::Html;
use super::{Frame, Onward, page, plain, row, show, words};

/// How a consent stands, for its citizen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OwnState {
    /// It is good.
    Active,
    /// It was taken back.
    Revoked,
    /// Its time is over.
    Expired,
    /// The one call that it was for was made.
    Used,
}

/// A consent of the citizen's.
#[derive(Debug, Clone)]
pub(crate) struct OwnConsent {
    /// The consent.
    pub(crate) consent: Consent,
    /// The name of the organisation that has it; the client's id if nobody knows it any more.
    pub(crate) who: String,
    /// How it stands.
    pub(crate) state: OwnState,
}

/// Lists consents, those in force first; `revoked` says that one was taken back just now.
pub(crate) fn own(frame: &Frame<'_>, consents: &[OwnConsent], revoked: bool) -> Reply {
    let texts = frame.texts();
    let mut contents = Html::new().raw("<h1>").text(texts.own_title).raw("</h1>\n");
    if revoked {
        contents = contents.raw("<p class=\"panel\" role=\"status\">").text(texts.revoked_now).raw("</p>");
    }
    if consents.is_empty() {
        contents = contents.raw("<p class=\"lead\">").text(texts.own_none).raw("</p>");
    } else {
        contents = contents.raw("<p class=\"soft\">").text(texts.revoke_hint).raw("</p>");
    }
    let (active, over): (Vec<_>, Vec<_>) = consents.iter().partition(|one| one.state == OwnState::Active);
    contents = contents.all(active.into_iter().chain(over).map(|one| entry(frame, one)));
    let leave = frame.form("leave").raw("<div class=\"buttons\"><button>").text(texts.leave);
    contents = contents.with(leave).raw("</button></div></form>");
    page(frame, texts.own_title, contents, false, Onward::Nowhere, StatusCode::OK)
}

/// Says goodbye.
pub(crate) fn left(frame: &Frame<'_>) -> Reply {
    let texts = frame.texts();
    let contents = Html::new().raw("<h1>").text(texts.left_title).raw("</h1><p class=\"lead\">").text(texts.left_lead);
    page(frame, texts.left_title, contents.raw("</p>"), false, Onward::Nowhere, StatusCode::OK)
}

fn entry(frame: &Frame<'_>, one: &OwnConsent) -> Html {
    let texts = frame.texts();
    let active = one.state == OwnState::Active;
    let state = match one.state {
        OwnState::Active => texts.state_active,
        OwnState::Revoked => texts.state_revoked,
        OwnState::Expired => texts.state_expired,
        OwnState::Used => texts.state_used,
    };
    let html = Html::new().raw("<section class=\"").raw(if active { "consent" } else { "consent over" });
    let html = html.raw("\"><h2><span>").text(&one.who).raw("</span><span class=\"badge\">").text(state);
    let mut html = html.raw("</span></h2><dl>").with(row(texts.client, words(one.consent.client.as_str())));
    html = match &one.consent.terms {
        Terms::AccountAccess(access) => {
            let number = |iban| Html::new().raw("<div class=\"iban\">").text(&show::iban(iban)).raw("</div>");
            let accounts = Html::new().all(access.shared.iter().map(|shared| number(&shared.iban)));
            let html = html.with(row(texts.kind_accounts, permissions(frame, access)));
            html.with(row(texts.shared_accounts, accounts))
        }
        Terms::DomesticPayment(order) => {
            let amount = words(&show::amount(&order.amount, frame.language));
            html.with(row(texts.kind_payment, amount)).with(order_rows(frame, order))
        }
    };
    if let Some(decided) = one.consent.decided {
        html = html.with(row(texts.since, words(&show::time(decided))));
    }
    html = html
        .with(row(texts.until, words(&plain(texts.until_then, &[("until", &show::time(one.consent.expires))]))))
        .raw("</dl>");
    if active {
        let form = frame.form("revoke").raw("<input type=\"hidden\" name=\"consentId\" value=\"");
        let form = form.text(one.consent.id.as_str()).raw("\"><div class=\"buttons\"><button>").text(texts.revoke);
        html = html.with(form).raw("</button></div></form>");
    }
    html.raw("</section>\n")
}
