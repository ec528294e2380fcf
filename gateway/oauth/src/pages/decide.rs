//! The decision: who asks, for what exactly, with which accounts, for how long; then yes or no (AS28).

use http::StatusCode;
use policies::consent::{AccountAccess, Consent, PaymentOrder, Permission, SharedAccount, Terms};
use spine::Reply;

use super::html::Html;
use super::wait::back;
use super::{Frame, Onward, page, plain, row, show, words};

/// Who asks for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asking<'a> {
    /// The organisation's registered name.
    pub(crate) who: &'a str,
    /// The client's id.
    pub(crate) client: &'a str,
    /// Where the answer goes.
    pub(crate) redirect_uri: &'a str,
    /// Where consents are taken back.
    pub(crate) place: &'a str,
    /// What it asks for.
    pub(crate) consents: &'a [Choice<'a>],
    /// Whether an answer without a choice has just come.
    pub(crate) nothing_chosen: bool,
}

/// A consent that is asked for, with the accounts of the citizen that it could be about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Choice<'a> {
    /// The consent.
    pub(crate) consent: &'a Consent,
    /// The accounts, each with what the bank calls it.
    pub(crate) accounts: &'a [(SharedAccount, String)],
}

/// Asks for the decision.
pub(crate) fn decide(frame: &Frame<'_>, asking: &Asking<'_>) -> Reply {
    let texts = frame.texts();
    let kinds = |payment: bool| asking.consents.iter().any(|one| is_payment(one.consent) == payment);
    let title = match (kinds(false), kinds(true)) {
        (true, true) => texts.both_title,
        (false, true) => texts.payment_title,
        _ => texts.accounts_title,
    };
    let title_text = plain(title, &[("who", asking.who)]);
    let mut contents = Html::new().raw("<h1>").phrase(title, &[("who", asking.who)]).raw("</h1>\n");
    if asking.nothing_chosen {
        contents = contents.raw("<p class=\"fault\" role=\"alert\">").text(texts.nothing_chosen).raw("</p>");
    }
    let client = Html::new().text(asking.who).raw("<small>").text(texts.client).raw(": ").text(asking.client);
    let who = Html::new().raw("<dl>").with(row(texts.who, client.raw("</small>"))).raw("</dl>\n");
    contents = contents.with(frame.form("decide")).with(who);
    for one in asking.consents {
        contents = contents.with(match &one.consent.terms {
            Terms::AccountAccess(access) => accounts(frame, one, access),
            Terms::DomesticPayment(order) => payment(frame, one, order),
        });
    }
    let approve = if kinds(false) { texts.approve } else { texts.approve_payment };
    contents = contents
        .raw("<p class=\"soft\">")
        .phrase(texts.how_to_revoke, &[("place", asking.place)])
        .raw("</p><div class=\"buttons\"><button class=\"main\" name=\"decision\" value=\"approve\">")
        .text(approve)
        .raw("</button><button name=\"decision\" value=\"refuse\">")
        .text(texts.refuse)
        .raw("</button></div><p class=\"soft\">")
        .text(texts.refuse_hint)
        .raw("</p></form>");
    let status = if asking.nothing_chosen { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    page(frame, &title_text, contents, false, Onward::Client(asking.redirect_uri), status)
}

/// Says that none of the accounts that are asked for is the citizen's.
pub(crate) fn foreign(frame: &Frame<'_>, asking: &Asking<'_>) -> Reply {
    let texts = frame.texts();
    let lead = Html::new().phrase(texts.foreign_lead, &[("who", asking.who)]);
    let contents =
        Html::new().raw("<h1>").text(texts.foreign_title).raw("</h1><p class=\"lead\">").with(lead).raw("</p>");
    let contents = contents.with(back(frame, asking.who));
    page(frame, texts.foreign_title, contents, false, Onward::Client(asking.redirect_uri), StatusCode::OK)
}

fn is_payment(consent: &Consent) -> bool {
    matches!(consent.terms, Terms::DomesticPayment(_))
}

/// Writes what may be read.
pub(super) fn permissions(frame: &Frame<'_>, access: &AccountAccess) -> Html {
    let texts = frame.texts();
    let one = |permission: &Permission| {
        let text = match permission {
            Permission::Accounts => texts.reads_accounts,
            Permission::Balances => texts.reads_balances,
            Permission::Transactions => texts.reads_transactions,
        };
        Html::new().raw("<li>").text(text).raw("</li>")
    };
    Html::new().raw("<ul class=\"may\">").all(access.permissions.iter().map(one)).raw("</ul>")
}

fn accounts(frame: &Frame<'_>, one: &Choice<'_>, access: &AccountAccess) -> Html {
    let texts = frame.texts();
    let mut html = Html::new().raw("<h2>").text(texts.may_read).raw("</h2>").with(permissions(frame, access));
    html = html.raw("<p class=\"soft\">").text(texts.may_not).raw("</p>");
    let asked = !access.wanted.is_empty();
    let legend = if asked { texts.asked_accounts } else { texts.choose_accounts };
    // What was asked for, or is the only one there is, is chosen before: to refuse is one button away.
    let chosen = asked || one.accounts.len() == 1;
    html = html.raw("<fieldset><legend>").text(legend).raw("</legend>");
    html = html.all(one.accounts.iter().map(|account| pick("checkbox", "account", account, chosen)));
    html = html.raw("</fieldset><dl>");
    if let Some(purpose) = &access.purpose {
        let quoted = Html::new().raw("<blockquote>").text(purpose).raw("</blockquote>");
        html = html.with(row(texts.purpose, quoted));
    }
    let until = plain(texts.until_then, &[("until", &show::time(one.consent.lasts_until))]);
    html.with(row(texts.until, words(&until))).raw("</dl>\n")
}

fn payment(frame: &Frame<'_>, one: &Choice<'_>, order: &PaymentOrder) -> Html {
    let texts = frame.texts();
    let mut html = Html::new().raw("<div class=\"panel\"><p class=\"soft\">").text(texts.amount);
    html = html.raw("</p><p class=\"money\">").text(&show::amount(&order.amount, frame.language));
    html = html.raw("</p></div><dl>").with(order_rows(frame, order));
    let once = plain(texts.until_once, &[("until", &show::time(one.consent.lasts_until))]);
    html = html.with(row(texts.until, words(&once))).raw("</dl>");
    let chosen = one.accounts.len() == 1;
    html = html.raw("<fieldset><legend>").text(texts.choose_debtor).raw("</legend>");
    html.all(one.accounts.iter().map(|account| pick("radio", "debtor", account, chosen))).raw("</fieldset>\n")
}

/// Writes to whom and what for; the payer's account once it is known.
pub(super) fn order_rows(frame: &Frame<'_>, order: &PaymentOrder) -> Html {
    let texts = frame.texts();
    let number = |iban| Html::new().raw("<span class=\"iban\">").text(&show::iban(iban)).raw("</span>");
    let mut html = row(texts.payee, words(&order.creditor_name)).with(row(texts.to_account, number(&order.creditor)));
    if let Some(debtor) = &order.debtor {
        html = html.with(row(texts.from_account, number(debtor)));
    }
    html = html.with(row(texts.knp, words(&order.knp)));
    match &order.remittance {
        Some(text) => html.with(row(texts.remittance, words(text))),
        None => html,
    }
}

fn pick(kind: &'static str, name: &'static str, account: &(SharedAccount, String), chosen: bool) -> Html {
    let (shared, label) = account;
    let html = Html::new().raw("<label class=\"pick\"><input type=\"").raw(kind).raw("\" name=\"").raw(name);
    let html = html.raw("\" value=\"").text(&shared.id).raw(if chosen { "\" checked>" } else { "\">" });
    let html = html.raw("<span><span class=\"iban\">").text(&show::iban(&shared.iban)).raw("</span><small>");
    html.text(label).raw("</small></span></label>")
}
