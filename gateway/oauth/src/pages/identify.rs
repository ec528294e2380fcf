//! The first page: who asks and for what in short, and whose number the browser's person says is theirs.

use http::StatusCode;
use policies::national::money::Money;
use spine::Reply;

use super::html::Html;
use super::{Frame, Onward, Place, page, plain, show};

/// The longest name that a provider is told of in a reason, in characters.
const NAME_CHARS_MAX: usize = 100;

/// What is asked for, in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish<'a> {
    /// Access to accounts.
    Accounts,
    /// A payment.
    Payment {
        /// How much.
        amount: &'a Money,
        /// To whom.
        payee: &'a str,
    },
}

/// What is wrong with a number that was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It has not twelve digits.
    Length,
    /// Its digits do not fit together.
    Wrong,
}

/// Asks for the number; `who` is the organisation that asks, none before one's own consents.
pub(crate) fn identify(frame: &Frame<'_>, who: Option<&str>, wishes: &[Wish<'_>], fault: Option<Fault>) -> Reply {
    let texts = frame.texts();
    let title = if who.is_some() { texts.identify_title } else { texts.identify_own_title };
    let mut contents = Html::new().raw("<h1>").text(title).raw("</h1>\n");
    contents = match who {
        Some(who) => {
            let wish = |wish: &Wish<'_>| match wish {
                Wish::Accounts => Html::new().phrase(texts.asks_accounts, &[("who", who)]),
                Wish::Payment { amount, payee } => {
                    let amount = show::amount(amount, frame.language);
                    Html::new().phrase(texts.asks_payment, &[("who", who), ("amount", &amount), ("payee", payee)])
                }
            };
            let wishes = wishes.iter().map(|one| Html::new().raw("<p class=\"lead\">").with(wish(one)).raw("</p>"));
            let panel = Html::new().raw("<div class=\"panel\">").all(wishes);
            contents.with(panel).raw("<p>").text(texts.details_follow).raw("</p></div>\n")
        }
        None => contents.raw("<p class=\"lead\">").text(texts.own_lead).raw("</p>\n"),
    };
    contents = contents.with(frame.form("identify"));
    if let Some(fault) = fault {
        let text = match fault {
            Fault::Length => texts.iin_length,
            Fault::Wrong => texts.iin_wrong,
        };
        contents = contents.raw("<p class=\"fault\" role=\"alert\" id=\"fault\">").text(text).raw("</p>");
    }
    let described = if fault.is_some() { "fault hint\" aria-invalid=\"true" } else { "hint" };
    contents = contents
        .raw("<label class=\"field\" for=\"iin\">")
        .text(texts.iin_label)
        .raw("</label><input id=\"iin\" name=\"iin\" type=\"text\" inputmode=\"numeric\" required autofocus maxlength=\"20\" ")
        .raw("autocomplete=\"off\" spellcheck=\"false\" aria-describedby=\"")
        .raw(described)
        .raw("\"><p class=\"soft\" id=\"hint\">")
        .text(texts.iin_hint)
        .raw(" ")
        .text(texts.provider_follows)
        .raw("</p><div class=\"buttons\"><button class=\"main\">")
        .text(texts.next)
        .raw("</button></div></form>");
    if frame.place == Place::Request {
        let refuse = frame.form("decide").raw("<input type=\"hidden\" name=\"decision\" value=\"refuse\">");
        let refuse = refuse.raw("<div class=\"buttons\"><button>").text(texts.cancel).raw("</button></div></form>");
        contents = contents.with(refuse);
    }
    let status = if fault.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    page(frame, title, contents, false, Onward::Provider, status)
}

/// Tells a provider's page why the person is checked, in words for the person: who was sent there by somebody else is to
/// find out there. Says no more than that: a provider need not know a payee.
pub(crate) fn reason(language: super::Language, who: Option<&str>, wishes: &[Wish<'_>]) -> String {
    let texts = super::Texts::of(language);
    let Some(who) = who else { return texts.reason_own.to_owned() };
    let who: String = who.chars().take(NAME_CHARS_MAX).collect();
    let payment = wishes.iter().find_map(|wish| match wish {
        Wish::Payment { amount, .. } => Some(show::amount(amount, language)),
        Wish::Accounts => None,
    });
    match payment {
        Some(amount) => plain(texts.reason_payment, &[("who", &who), ("amount", &amount)]),
        None => plain(texts.reason, &[("who", &who)]),
    }
}
