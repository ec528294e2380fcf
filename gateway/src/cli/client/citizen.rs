//! An invented citizen with a browser: walks the gateway's own pages as a person would, over HTTP and without script.
//!
//! It reads forms out of HTML as far as these pages go, keeps cookies of the one origin they come from, and must never know
//! what the gateway keeps about it.

use std::time::Duration;

use super::records::SandboxFile;
use super::wire::{Client, Exchange, Question, encode_form};

/// How many pages one visit may have: a handful are there, and one that is shown again and again must end.
const PAGES_MAX: usize = 60;

/// How long it is waited before a page is looked at again that said to.
const AGAIN: Duration = Duration::from_millis(300);

/// What the citizen decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Yes.
    Approve,
    /// No.
    Refuse,
}

impl Decision {
    fn word(self) -> &'static str {
        match self {
            Decision::Approve => "approve",
            Decision::Refuse => "refuse",
        }
    }
}

/// How a visit went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Visit {
    /// The titles of the pages that were seen, each once in a row.
    pub pages: Vec<String>,
    /// Where the browser was sent in the end.
    pub answer: String,
}

impl Visit {
    /// Returns a parameter of the answer's query.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<String> {
        let (_, query) = self.answer.split_once('?')?;
        let found = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
        Some(unescaped_query(found))
    }
}

/// A citizen of the sandbox at a browser.
pub struct Citizen {
    iin: String,
    line: Client,
    base: String,
    cookies: Vec<(String, String)>,
    /// What the browser shows.
    page: String,
}

impl Citizen {
    /// Sits down the citizen with this number.
    ///
    /// # Errors
    /// A sentence for people if the sandbox's authority cannot be read.
    pub fn new(sandbox: &SandboxFile, iin: &str) -> Result<Self, String> {
        let (line, base) = (Client::new(sandbox)?, sandbox.api.clone());
        Ok(Self { iin: iin.to_owned(), line, base, cookies: Vec::new(), page: String::new() })
    }

    /// Follows a client's wish to the page where it is decided, and decides; every account that may be chosen is.
    ///
    /// # Errors
    /// A sentence for people if the pages are not as expected, or do not end.
    pub async fn decide(&mut self, client: &str, request_uri: &str, decision: Decision) -> Result<Visit, String> {
        let query = encode_form(&[("client_id", client.to_owned()), ("request_uri", request_uri.to_owned())]);
        let mut visit = Visit::default();
        let mut next = Some(Question::get(&format!("/oauth/authorize?{query}&lang=en")));
        for _ in 0..PAGES_MAX {
            let Some(question) = next.take() else { break };
            if let Some(answer) = self.open(question, &mut visit).await? {
                visit.answer = answer;
                return Ok(visit);
            }
            next = self
                .onward(|form| {
                    form.steps("decide")
                        .filter(|_| form.has("decision", decision.word()))
                        .map(|form| form.choosing("decision", decision.word()))
                })
                .await;
        }
        Err(self.lost(&visit))
    }

    /// Goes to the page of one's own consents and takes one back.
    ///
    /// # Errors
    /// As [`Citizen::decide`].
    pub async fn revoke(&mut self, consent: &str) -> Result<Visit, String> {
        let mut visit = Visit::default();
        let mut next = Some(Question::get("/oauth/consents?lang=en"));
        let mut asked = false;
        for _ in 0..PAGES_MAX {
            let Some(question) = next.take() else { break };
            if let Some(elsewhere) = self.open(question, &mut visit).await? {
                return Err(format!("The page of one's own consents led to {elsewhere}."));
            }
            if asked {
                return Ok(visit);
            }
            let taking = |form: &Form| form.steps("revoke").filter(|form| form.has("consentId", consent)).cloned();
            asked = forms(&self.page).iter().any(|form| taking(form).is_some());
            next = self.onward(taking).await;
        }
        Err(self.lost(&visit))
    }

    // What a person does with the page that is shown: what `wanted` finds, else says who they are, or looks again.
    async fn onward(&self, wanted: impl Fn(&Form) -> Option<Form>) -> Option<Question> {
        let forms = forms(&self.page);
        if let Some(form) = forms.iter().find_map(&wanted) {
            return Some(form.submitted());
        }
        if let Some(form) = forms.iter().find_map(|form| form.steps("identify")) {
            return Some(form.clone().with("iin", &self.iin).submitted());
        }
        let link = attribute_of(&self.page, "<a class=\"button main\"", "href")?;
        tokio::time::sleep(AGAIN).await;
        Some(Question::get(&link))
    }

    // Opens a page and follows where it leads, by way of a provider's page if need be; gives where the browser was sent
    // that is neither the gateway's nor a provider's.
    async fn open(&mut self, question: Question, visit: &mut Visit) -> Result<Option<String>, String> {
        let mut base = self.base.clone();
        let mut question = question;
        for _ in 0..PAGES_MAX {
            let answer = self.load(&base, &question).await?;
            if let Some(location) = answer.header("location") {
                let location =
                    if location.starts_with('/') { format!("{base}{location}") } else { location.to_owned() };
                let Some((there, path)) = split(&location) else { return Ok(Some(location)) };
                // A page on this machine is a provider's; what an app has here is told by the code.
                let ends = there != self.base && ["code=", "error="].iter().any(|part| location.contains(part));
                if ends || !(there == self.base || there.starts_with("http://127.0.0.1:")) {
                    return Ok(Some(location));
                }
                (base, question) = (there, Question::get(&path));
                continue;
            }
            self.page = String::from_utf8_lossy(&answer.body).into_owned();
            if visit.pages.last() != Some(&title(&self.page)) {
                visit.pages.push(title(&self.page));
            }
            if base == self.base {
                return Ok(None);
            }
            // The provider's camera is invented; its page leads back.
            let back = attribute_of(&self.page, "<a class=\"back\"", "href");
            let back = back.as_deref().and_then(split).filter(|(there, _)| *there == self.base);
            let (there, path) = back.ok_or("The identity provider's page does not lead back.")?;
            (base, question) = (there, Question::get(&path));
        }
        Err("The pages lead around in a circle.".to_owned())
    }

    async fn load(&mut self, base: &str, question: &Question) -> Result<Exchange, String> {
        let mut question = question.clone().with("accept", "text/html").with("accept-language", "en");
        if base == self.base && !self.cookies.is_empty() {
            let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            question = question.with("cookie", &cookies.join("; "));
        }
        let answer = self.line.send(base, &question).await?;
        for (_, value) in answer.headers.iter().filter(|(name, _)| base == self.base && name == "set-cookie") {
            let (name, value) = value.split(';').next().and_then(|pair| pair.split_once('=')).unwrap_or_default();
            self.cookies.retain(|(known, _)| known != name);
            if !value.is_empty() {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        Ok(answer)
    }

    fn lost(&self, visit: &Visit) -> String {
        let pages = visit.pages.join("\", \"");
        format!("The citizen did not get to the end of the pages; they saw \"{pages}\".")
    }
}

impl std::fmt::Debug for Citizen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Citizen")
    }
}

/// A form of a page: where it goes, and what it would bring.
#[derive(Debug, Clone)]
struct Form {
    action: String,
    fields: Vec<(String, String)>,
    /// Names with each value that may be chosen by button, box or circle.
    choices: Vec<(String, String)>,
}

impl Form {
    fn steps(&self, step: &str) -> Option<&Self> {
        self.fields.iter().any(|(name, value)| name == "step" && value == step).then_some(self)
    }

    fn has(&self, name: &str, value: &str) -> bool {
        self.fields.iter().chain(&self.choices).any(|(known, known_value)| known == name && known_value == value)
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.retain(|(known, _)| known != name);
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    // Presses a button, with every box ticked; of circles the first is.
    fn choosing(&self, name: &str, value: &str) -> Self {
        let mut form = self.clone().with(name, value);
        form.fields.extend(self.choices.iter().filter(|(known, _)| known == "account").cloned());
        form.fields.extend(self.choices.iter().find(|(known, _)| known == "debtor").cloned());
        form
    }

    fn submitted(&self) -> Question {
        let fields: Vec<(&str, String)> =
            self.fields.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        Question::new("POST", &self.action)
            .with("content-type", "application/x-www-form-urlencoded")
            .carrying(encode_form(&fields).into_bytes())
    }
}

/// Reads the forms of a page.
fn forms(page: &str) -> Vec<Form> {
    let parts = page.split("<form ").skip(1);
    parts.map(|part| form(part.split_once("</form>").map_or(part, |(form, _)| form))).collect()
}

fn form(text: &str) -> Form {
    let action = attribute(text.split('>').next().unwrap_or_default(), "action").unwrap_or_default();
    let (mut fields, mut choices) = (Vec::new(), Vec::new());
    for tag in text.split('<').filter(|tag| tag.starts_with("input ") || tag.starts_with("button ")) {
        let tag = tag.split('>').next().unwrap_or_default();
        let (Some(name), kind) = (attribute(tag, "name"), attribute(tag, "type").unwrap_or_default()) else { continue };
        let value = attribute(tag, "value").unwrap_or_default();
        if kind == "hidden" { fields.push((name, value)) } else { choices.push((name, value)) }
    }
    Form { action, fields, choices }
}

fn attribute_of(page: &str, tag: &str, name: &str) -> Option<String> {
    let from = page.find(tag)?;
    attribute(page.get(from..)?.split('>').next()?, name)
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, behind) = tag.split_once(&format!(" {name}=\""))?;
    let (value, _) = behind.split_once('"')?;
    Some(
        value
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&quot;", "\"")
            .replace("&#39;", "'")
            .replace("&amp;", "&"),
    )
}

fn title(page: &str) -> String {
    let title = page.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>"));
    title.map_or_else(|| "(no title)".to_owned(), |(title, _)| title.trim().replace("&amp;", "&"))
}

/// Parts a URL into its origin and what stands behind it.
fn split(url: &str) -> Option<(String, String)> {
    let (scheme, rest) = url.split_once("://")?;
    let (host, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let path = path.split('#').next().unwrap_or_default();
    Some((format!("{scheme}://{host}"), if path.is_empty() { "/".to_owned() } else { path.to_owned() }))
}

fn unescaped_query(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let coded = (*first == b'%').then(|| behind.get(..2)).flatten();
        let byte = coded.and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
        match byte {
            Some(byte) => {
                bytes.push(byte);
                rest = behind.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(if *first == b'+' { b' ' } else { *first });
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    const PAGE: &str = r#"<title>Consent &amp; more</title><form method="post" action="/oauth/authorize">
        <input type="hidden" name="csrf" value="a&amp;b"><input type="hidden" name="step" value="decide">
        <input type="checkbox" name="account" value="1" checked><input type="checkbox" name="account" value="2">
        <input type="radio" name="debtor" value="3"><input type="radio" name="debtor" value="4">
        <button class="main" name="decision" value="approve">Yes</button><button name="decision" value="refuse">No</button>
        </form><form method="post" action="/other"><input type="hidden" name="step" value="again"><button>x</button></form>
        <a class="button main" href="/oauth/authorize">Look again</a>"#;

    #[test]
    fn a_page_is_read_as_a_person_would() {
        let all = forms(PAGE);
        assert_eq!((all.len(), title(PAGE).as_str()), (2, "Consent & more"));
        let form = all.first().unwrap().steps("decide").unwrap();
        assert!(form.has("decision", "refuse") && !form.has("decision", "perhaps"));
        let sent = form.choosing("decision", "approve").submitted();
        assert_eq!(sent.path, "/oauth/authorize");
        let body = String::from_utf8(sent.body).unwrap();
        assert_eq!(body, "csrf=a%26b&step=decide&decision=approve&account=1&account=2&debtor=3");
        assert_eq!(attribute_of(PAGE, "<a class=\"button main\"", "href").as_deref(), Some("/oauth/authorize"));
        assert!(forms("<form ").iter().all(|form| form.action.is_empty()));
    }

    #[test]
    fn the_answer_is_read_from_where_the_browser_was_sent() {
        let visit = Visit { pages: vec![], answer: "https://app.example/cb?code=a%2Bb&state=c+d&iss=x".to_owned() };
        assert_eq!(visit.parameter("code").as_deref(), Some("a+b"));
        assert_eq!(visit.parameter("state").as_deref(), Some("c d"));
        assert_eq!(visit.parameter("error"), None);
        assert_eq!(split("https://h:1/a?b#c"), Some(("https://h:1".to_owned(), "/a?b".to_owned())));
        assert_eq!(unescaped_query("%zz%4"), "%zz%4");
    }
}
