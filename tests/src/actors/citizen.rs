//! A citizen with a browser: walks the pages as a person would, form by form, and keeps cookies as browsers do.

use std::collections::BTreeMap;

use policies::id::ProviderId;
use policies::verification::State;
use serde_json::Value;
use spine::stage::Door;

use super::bank;
use super::provider::Callback;
use crate::world::{Answer, Ask, Kind, PATIENCE, World};

/// Where an authorization begins.
pub const AUTHORIZE: &str = "/oauth/authorize";
/// Where a provider's page leads back to.
pub const RETURN: &str = "/oauth/authorize/return";
/// Where citizens see their own consents.
pub const CONSENTS: &str = "/oauth/consents";

/// A browser: what it shows, and its cookies.
#[derive(Debug, Clone)]
pub struct Browser<'w> {
    /// Where it is.
    pub world: &'w World,
    /// Its cookies, by name.
    pub cookies: BTreeMap<String, String>,
    /// The languages that it asks for.
    pub languages: String,
}

/// Where the browser was sent in the end: a client's redirect URI with what was added to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// The address before what was added.
    pub uri: String,
    /// What was added, in its order.
    pub query: Vec<(String, String)>,
}

impl Redirect {
    /// Reads the place of a 303.
    #[must_use]
    pub fn of(answer: &Answer) -> Self {
        assert_eq!(answer.status, 303, "{}", answer.text());
        let place = answer.header("location").unwrap();
        let (uri, query) = place.split_once('?').unwrap_or((place, ""));
        let query = openapi::form_fields(query.as_bytes()).unwrap();
        Self { uri: uri.to_owned(), query }
    }

    /// Returns a parameter; none comes twice.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.query.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let first = values.next()?;
        assert!(values.next().is_none(), "{name} comes twice");
        Some(first)
    }

    /// Returns the code of a success.
    #[must_use]
    pub fn code(&self) -> String {
        self.get("code").unwrap_or_else(|| panic!("no code: {self:?}")).to_owned()
    }
}

/// A form of a page.
#[derive(Debug, Clone, Default)]
pub struct Form {
    /// Where it goes.
    pub action: String,
    /// What it would send if nothing were changed, without its buttons.
    pub fields: Vec<(String, String)>,
    /// What can be picked: name, value, whether it is picked.
    pub picks: Vec<(String, String, bool)>,
    /// The buttons with names: name and value.
    pub buttons: Vec<(String, String)>,
}

impl Form {
    /// Returns what a field would send.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Fills a field in.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.retain(|(known, _)| known != name);
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Picks everything that can be picked; of what excludes one another, the first.
    #[must_use]
    pub fn picking_all(mut self) -> Self {
        let picks = std::mem::take(&mut self.picks);
        for (name, value, _) in picks {
            let single = name == "debtor" && self.fields.iter().any(|(known, _)| *known == name);
            if !single {
                self.fields.push((name, value));
            }
        }
        self
    }

    /// Picks one thing and nothing else of its name.
    #[must_use]
    pub fn picking(mut self, name: &str, value: &str) -> Self {
        self.picks.retain(|(known, _, _)| known != name);
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// Reads the forms of a page of ours.
#[must_use]
pub fn forms(page: &str) -> Vec<Form> {
    page.split("<form ").skip(1).map(|rest| form(rest.split("</form>").next().unwrap())).collect()
}

fn form(text: &str) -> Form {
    let (head, body) = text.split_once('>').unwrap();
    let mut form = Form { action: attribute(head, "action").unwrap(), ..Form::default() };
    for tag in body.split('<').skip(1) {
        let tag = tag.split('>').next().unwrap();
        let Some(name) = attribute(tag, "name") else { continue };
        let value = attribute(tag, "value").unwrap_or_default();
        if tag.starts_with("button") {
            form.buttons.push((name, value));
        } else if tag.starts_with("input") {
            match attribute(tag, "type").as_deref() {
                Some("checkbox" | "radio") => form.picks.push((name, value, tag.contains(" checked"))),
                _ => form.fields.push((name, value)),
            }
        }
    }
    form
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let start = tag
        .find(&format!(" {name}=\""))
        .map(|at| at + name.len() + 3)
        .or_else(|| tag.strip_prefix(&format!("{name}=\"")).map(|rest| tag.len() - rest.len()))?;
    let value = tag.get(start..)?.split('"').next()?;
    let plain = [("&quot;", "\""), ("&#39;", "'"), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")];
    Some(plain.iter().fold(value.to_owned(), |text, (escaped, character)| text.replace(escaped, character)))
}

impl<'w> Browser<'w> {
    /// Opens a browser without cookies.
    #[must_use]
    pub fn new(world: &'w World) -> Self {
        Self { world, cookies: BTreeMap::new(), languages: "en".to_owned() }
    }

    /// Sends a request with the cookies, and keeps those of the answer.
    pub async fn send(&mut self, ask: Ask) -> Answer {
        let mut ask = ask;
        if !self.cookies.is_empty() {
            let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            ask = ask.with("cookie", pairs.join("; "));
        }
        let answer = self.world.send(ask.with("accept-language", &self.languages)).await;
        for cookie in answer.headers.get_all("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            let (pair, rest) = cookie.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            assert!(name.starts_with("__Host-"), "{cookie}");
            for part in ["; Path=/;", "; Secure", "; HttpOnly", "; SameSite=Lax"] {
                assert!(
                    format!(";{rest}").replace(";;", ";").contains(part.trim_start_matches(';')),
                    "{part}: {cookie}"
                );
            }
            if rest.contains("Max-Age=0;") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    /// Opens an address.
    pub async fn get(&mut self, target: &str) -> Answer {
        self.send(Ask::get(target)).await
    }

    /// Opens an authorization page.
    pub async fn open(&mut self, client: &str, request_uri: &str) -> Answer {
        self.get(&authorize(client, request_uri)).await
    }

    /// Sends a form.
    pub async fn submit(&mut self, form: &Form) -> Answer {
        let fields: Vec<(&str, &str)> =
            form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.send(Ask::post(&form.action).form(&fields).with("sec-fetch-site", "same-origin")).await
    }

    /// Sends the form of a step of a page.
    pub async fn step(&mut self, page: &Answer, step: &str, with: &[(&str, &str)]) -> Answer {
        let form = with.iter().fold(step_of(page, step), |form, (name, value)| form.with(name, value));
        self.submit(&form).await
    }

    /// Fills in a number, is at the provider's page, has the provider's word arrive, and comes back.
    pub async fn identified(&mut self, page: &Answer, iin: &str) -> Answer {
        let place = self.step(page, "identify", &[("iin", iin)]).await;
        let back = self.at_provider(&place).await;
        self.come_back(&back).await
    }

    /// Is at the provider's page until the provider has told its word, if it ever does; gives where the page leads back.
    pub async fn at_provider(&mut self, sent: &Answer) -> String {
        assert_eq!(sent.status, 303, "{}", sent.text());
        let capture = sent.header("location").unwrap();
        let path = capture.strip_prefix(self.world.told("/providers/0/url")).unwrap();
        let page = bank::get(self.world.told("/providers/0/url"), path).await;
        assert_eq!(page.status, 200);
        told(self.world, path).await;
        let page = page.text();
        let link = page.split('<').find(|tag| tag.contains("id=\"return\"")).unwrap_or_else(|| panic!("{page}"));
        attribute(link, "href").unwrap()
    }

    /// Follows a link back to the gateway, and on until a page is shown.
    pub async fn come_back(&mut self, place: &str) -> Answer {
        let mut target = self.target(place);
        for _ in 0..5 {
            let answer = self.get(&target).await;
            if answer.status != 303 {
                return answer;
            }
            target = self.target(answer.header("location").unwrap());
        }
        panic!("the browser is sent around")
    }

    fn target(&self, place: &str) -> String {
        place.strip_prefix(self.world.external(Door::Api)).unwrap_or(place).to_owned()
    }
}

/// Returns the address of an authorization page.
#[must_use]
pub fn authorize(client: &str, request_uri: &str) -> String {
    format!("{AUTHORIZE}?client_id={client}&request_uri={}", request_uri.replace(':', "%3A"))
}

/// Returns the form of a step.
#[must_use]
pub fn step_of(page: &Answer, step: &str) -> Form {
    let found = forms(&page.text()).into_iter().find(|form| form.field("step") == Some(step));
    found.unwrap_or_else(|| panic!("no step {step}: {} {}", page.status, without_style(&page.text())))
}

/// Returns a page without its style, for messages.
#[must_use]
pub fn without_style(page: &str) -> String {
    match (page.split_once("<style>"), page.split_once("</style>")) {
        (Some((before, _)), Some((_, after))) => format!("{before}{after}"),
        _ => page.to_owned(),
    }
}

/// Sees to it that the provider's word about a session has arrived; at once if there never is one.
async fn told(world: &World, path: &str) {
    let session = path.split('/').nth(2).unwrap();
    let shown = bank::get(world.told("/providers/0/url"), &format!("/sessions/{session}")).await.json();
    let Some(outcome) = shown.get("outcome").and_then(Value::as_str) else { return };
    if world.kind() == Kind::Memory {
        let reference = shown["reference"].as_str().unwrap();
        world.send(Callback::of(world, session, reference, outcome).sign(world)).await.succeeded(204);
        return;
    }
    let provider = ProviderId::parse("sandbox-face").unwrap();
    let arrived = async {
        loop {
            let found = world.assembled().house.verifications.by_session(&provider, session).await.unwrap();
            if found.is_some_and(|found| found.state != State::CapturePending) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, arrived).await.unwrap_or_else(|_| panic!("the provider does not call back"));
}

/// A citizen of the sandbox, by the number of the customer: 1, 2 and 7 match, 3 to 6 show other outcomes.
#[derive(Debug, Clone, Copy)]
pub struct Citizen(pub usize);

impl Citizen {
    /// Goes to a pushed request, is verified and allows all of it; gives where the browser is sent.
    pub async fn approve(self, world: &World, client: &str, pushed: &Answer) -> Redirect {
        let mut browser = Browser::new(world);
        let page = self.verified(&mut browser, client, &pushed.at("/request_uri")).await;
        let form = step_of(&page, "decide").picking_all().with("decision", "approve");
        Redirect::of(&browser.submit(&form).await)
    }

    /// Goes to a pushed request, is verified and refuses; gives where the browser is sent.
    pub async fn refuse(self, world: &World, client: &str, pushed: &Answer) -> Redirect {
        let mut browser = Browser::new(world);
        let page = self.verified(&mut browser, client, &pushed.at("/request_uri")).await;
        Redirect::of(&browser.step(&page, "decide", &[("decision", "refuse")]).await)
    }

    /// Opens a request and is verified; gives the page of the decision.
    pub async fn verified(self, browser: &mut Browser<'_>, client: &str, request_uri: &str) -> Answer {
        let first = browser.open(client, request_uri).await;
        first.succeeded(200);
        let page = browser.identified(&first, bank::iin(self.0)).await;
        page.succeeded(200);
        page
    }

    /// Opens the list of their own consents.
    pub async fn own_consents(self, browser: &mut Browser<'_>) -> Answer {
        let first = browser.get(CONSENTS).await;
        first.succeeded(200);
        let page = browser.identified(&first, bank::iin(self.0)).await;
        page.succeeded(200);
        page
    }
}
