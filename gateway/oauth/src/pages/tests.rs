#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::BTreeSet;

use http_body::Body as _;
use policies::code::Code;
use policies::consent::{AccountAccess, Consent, ConsentState, PaymentOrder, Permission, SharedAccount, Terms};
use policies::id::{ClientId, ConsentId};
use policies::national::iban::Iban;
use policies::national::money::Money;
use policies::time::Timestamp;

use super::*;

const HOSTILE: &str = "\"><script>alert(1)</script><a href='https://evil.example'>{who}</a>\u{202e}";
const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn text(reply: &mut Reply) -> String {
    let mut body = reply.body_mut().take();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut bytes = Vec::new();
    while let std::task::Poll::Ready(Some(Ok(frame))) = std::pin::Pin::new(&mut body).poll_frame(&mut context) {
        bytes.extend_from_slice(frame.data_ref().unwrap());
    }
    String::from_utf8(bytes).unwrap()
}

fn header<'r>(reply: &'r Reply, name: &str) -> &'r str {
    reply.headers().get(name).unwrap().to_str().unwrap()
}

fn frame(language: Language, place: Place) -> Frame<'static> {
    Frame { language, place, form_token: "token" }
}

fn consent(terms: Terms) -> Consent {
    Consent {
        id: ConsentId::parse("c-1").unwrap(),
        client: ClientId::parse("app").unwrap(),
        terms,
        state: ConsentState::Authorised,
        created: NOW,
        expires: NOW,
        lasts_until: NOW,
        decided: Some(NOW),
        person: None,
        grant: None,
    }
}

fn access() -> Consent {
    let iban = Iban::parse("KZ47901SBX0000000101").unwrap();
    consent(Terms::AccountAccess(AccountAccess {
        permissions: Permission::ALL.into_iter().collect(),
        wanted: BTreeSet::new(),
        shared: vec![SharedAccount { id: "a-1".to_owned(), iban }],
        purpose: Some(HOSTILE.to_owned()),
    }))
}

fn order() -> Consent {
    consent(Terms::DomesticPayment(PaymentOrder {
        debtor: None,
        creditor: Iban::parse("KZ38902SBX0000000201").unwrap(),
        creditor_name: HOSTILE.to_owned(),
        amount: Money::parse("300000.00", "KZT").unwrap(),
        knp: "343".to_owned(),
        remittance: Some(HOSTILE.to_owned()),
    }))
}

fn accounts() -> Vec<(SharedAccount, String)> {
    ["KZ47901SBX0000000101", "KZ38902SBX0000000201"]
        .map(|iban| (SharedAccount { id: HOSTILE.to_owned(), iban: Iban::parse(iban).unwrap() }, HOSTILE.to_owned()))
        .into()
}

/// Every page there is, in a language, made of what hostile clients and persons wrote.
fn all(language: Language) -> Vec<Reply> {
    let (request, own_place) = (frame(language, Place::Request), frame(language, Place::Own));
    let amount = Money::parse("300000.00", "KZT").unwrap();
    let wishes = [Wish::Accounts, Wish::Payment { amount: &amount, payee: HOSTILE }];
    let (access, order, accounts) = (access(), order(), accounts());
    let choices = [Choice { consent: &access, accounts: &accounts }, Choice { consent: &order, accounts: &accounts }];
    let asking = Asking {
        who: HOSTILE,
        client: "app",
        redirect_uri: "https://app.example/cb?x=1",
        place: "https://gate.example/oauth/consents",
        consents: &choices,
        nothing_chosen: false,
    };
    let one = |state, consent: &Consent| OwnConsent { consent: consent.clone(), who: HOSTILE.to_owned(), state };
    let listed = [one(OwnState::Active, &access), one(OwnState::Used, &order), one(OwnState::Revoked, &access)];
    vec![
        identify(&request, Some(HOSTILE), &wishes, None),
        identify(&request, Some(HOSTILE), &wishes, Some(Fault::Wrong)),
        identify(&own_place, None, &[], Some(Fault::Length)),
        wait(&request, true),
        wait(&own_place, false),
        missed(&request, true, Some((HOSTILE, "https://app.example/cb"))),
        missed(&own_place, false, None),
        decide(&request, &asking),
        decide(&request, &Asking { nothing_chosen: true, ..asking }),
        foreign(&request, &asking),
        own(&own_place, &listed, true),
        own(&own_place, &[], false),
        left(&own_place),
        problem(language, Code::OauthInvalidRequestUri, StatusCode::BAD_REQUEST, "018f"),
        problem(language, Code::Internal, StatusCode::INTERNAL_SERVER_ERROR, "018f"),
    ]
}

#[test]
fn as28_nothing_that_a_client_or_a_person_wrote_becomes_markup() {
    for language in Language::ALL {
        for mut reply in all(language) {
            let page = text(&mut reply);
            assert!(!page.contains("<script") && !page.contains("<a href='"), "{page}");
            assert!(!page.contains('\u{202e}'));
            assert!(page.contains(&format!("<html lang=\"{}\">", language.tag())));
        }
    }
}

#[test]
fn every_element_that_is_opened_is_closed() {
    const ALONE: [&str; 5] = ["meta", "input", "!doctype", "path", "circle"];
    for mut reply in all(Language::Russian) {
        let page = text(&mut reply);
        let page = page.replace(STYLE, "");
        let mut open = Vec::new();
        for tag in page.split('<').skip(1) {
            let (tag, _) = tag.split_once('>').unwrap();
            let name = tag.split([' ', '/']).find(|part| !part.is_empty()).unwrap();
            match tag.strip_prefix('/') {
                Some(closed) => assert_eq!(open.pop(), Some(closed), "{page}"),
                None if ALONE.contains(&name) => {}
                None => open.push(name),
            }
        }
        assert!(open.is_empty(), "{open:?} {page}");
    }
}

#[test]
fn as27_every_page_is_protected() {
    for mut reply in all(Language::English) {
        let policy = header(&reply, "content-security-policy").to_owned();
        for part in ["default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'", "form-action 'self'"] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(
            !policy.contains("unsafe") && !policy.contains("script-src") && !policy.contains('*')
                || policy.contains("127.0.0.1:*")
        );
        assert_eq!(header(&reply, "referrer-policy"), "no-referrer");
        assert_eq!(header(&reply, "x-frame-options"), "DENY");
        assert_eq!(header(&reply, "cache-control"), "no-store");
        assert_eq!(header(&reply, "content-type"), "text/html; charset=utf-8");
        assert!(!reply.headers().contains_key("access-control-allow-origin"));
        let page = text(&mut reply);
        for away in ["src=", "url(", "@import", "<script", "<link", "onclick", "javascript:", " style=", "<iframe"] {
            assert!(!page.contains(away), "{away} in {page}");
        }
    }
}

#[test]
fn the_style_is_named_by_its_hash() {
    // Made by `openssl dgst -sha256 -binary style.css | base64`, which the browser does as well.
    let hash = STYLE_SOURCE.strip_prefix("'sha256-").and_then(|rest| rest.strip_suffix("'")).unwrap();
    assert_eq!(hash.len(), 44);
    assert!(hash.ends_with('=') && !hash.contains(['-', '_']));
    let mut reply = left(&frame(Language::English, Place::Own));
    assert!(text(&mut reply).contains(&format!("<style>{STYLE}</style>")));
}

#[test]
fn a_form_may_end_where_the_client_is_and_nowhere_else() {
    for (uri, wanted) in [
        ("https://app.example/cb", "https://app.example"),
        ("https://app.example:8443/cb?x=;", "https://app.example:8443"),
        ("http://127.0.0.1:9000/", "http://127.0.0.1:9000"),
        ("http://[::1]:9000/", "http:"),
        ("https://app.example", "https://app.example"),
        ("https://app.example;script-src/", ""),
    ] {
        assert_eq!(origin(uri), wanted);
    }
}

#[test]
fn as28_the_decision_tells_everything_that_is_asked() {
    for language in Language::ALL {
        let (access, order, accounts) = (access(), order(), accounts());
        let choices =
            [Choice { consent: &access, accounts: &accounts }, Choice { consent: &order, accounts: &accounts }];
        let asking = Asking {
            who: "Demo Fintech",
            client: "demo-app",
            redirect_uri: "https://app.example/cb",
            place: "https://gate.example/oauth/consents",
            consents: &choices,
            nothing_chosen: false,
        };
        let page = text(&mut decide(&frame(language, Place::Request), &asking)).replace('\u{a0}', " ");
        let texts = Texts::of(language);
        let amount = show::amount(&Money::parse("300000.00", "KZT").unwrap(), language).replace('\u{a0}', " ");
        let until = show::time(NOW).replace('\u{a0}', " ");
        for part in [
            "Demo Fintech",
            "demo-app",
            texts.reads_accounts,
            texts.reads_balances,
            texts.reads_transactions,
            &amount,
            "KZ38 902S BX00 0000 0201",
            "KZ47 901S BX00 0000 0101",
            "343",
            &until,
            "https://gate.example/oauth/consents",
            "value=\"approve\"",
            "value=\"refuse\"",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
    }
}

#[test]
fn as27_a_redirect_is_a_303_that_tells_nobody_where_it_comes_from() {
    let reply = see_other("https://app.example/cb?code=x").unwrap();
    assert_eq!(reply.status(), StatusCode::SEE_OTHER);
    assert_eq!(header(&reply, "referrer-policy"), "no-referrer");
    assert_eq!(header(&reply, "cache-control"), "no-store");
    assert!(see_other("https://app.example/\r\nset-cookie: x=y").is_none());
}

#[test]
fn as29_a_cookie_is_for_this_server_alone() {
    let mut reply = see_other("/").unwrap();
    set_cookie(&mut reply, "__Host-x", "value", 60);
    let cookie = header(&reply, "set-cookie");
    assert_eq!(cookie, "__Host-x=value; Path=/; Max-Age=60; Secure; HttpOnly; SameSite=Lax");
}
