//! The guide of a tour: numbers the steps, tells what was asked and answered, and checks it.
//!
//! It must never know what a step is about; steps must never print by themselves.

use std::time::Instant;

use serde_json::{Map, Value, json};

use crate::cli::client::Exchange;
use crate::cli::story::{self, Ink};

// How far text stands in, in blanks.
const INDENT: usize = 5;

// How wide the names of told members are, in characters.
const NAME_WIDTH: usize = 22;

// The headers of a request that say something in a story.
const ASKED_HEADERS: [&str; 4] = ["authorization", "dpop", "x-idempotency-key", "x-identity-result"];

// The headers of an answer that do.
const ANSWERED_HEADERS: [&str; 3] = ["www-authenticate", "retry-after", "x-idempotency-replayed"];

/// Why a tour ends before its end.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Something was not as expected; it has been told.
    Surprise,
    /// The tour cannot go on; the sentence is for people.
    Trouble(String),
}

impl From<String> for Stop {
    fn from(text: String) -> Self {
        Stop::Trouble(text)
    }
}

/// Tells and checks a tour.
#[derive(Debug)]
pub(crate) struct Guide {
    json: bool,
    ink: Ink,
    begun: Instant,
    chapter: String,
    chapters: usize,
    steps: usize,
    checks: usize,
    step: Option<Map<String, Value>>,
    last: Option<Exchange>,
}

impl Guide {
    /// Begins a tour.
    pub(crate) fn new(json: bool, colour: bool) -> Self {
        let (chapter, step, last, ink) = (String::new(), None, None, Ink::new(colour && !json));
        Self { json, ink, begun: Instant::now(), chapter, chapters: 0, steps: 0, checks: 0, step, last }
    }

    /// Tells what stands before the first chapter.
    pub(crate) fn opening(&self, title: &str, text: &str) {
        self.say(&format!("\n{}\n\n{}", self.ink.bold(title), story::wrap(text, 0)));
    }

    /// Begins a chapter; it is given the next number.
    pub(crate) fn chapter(&mut self, title: &str, text: &str) {
        self.close();
        self.chapters += 1;
        let title = &*format!("Chapter {}. {title}", self.chapters);
        self.chapter = title.to_owned();
        let line = "─".repeat(story::WIDTH.saturating_sub(title.chars().count() + 4));
        self.say(&format!("\n── {} {}", self.ink.bold(title), self.ink.dim(&line)));
        self.say(&story::wrap(text, 3));
    }

    /// Begins a step: what happens now, and why anybody would.
    pub(crate) fn step(&mut self, title: &str, text: &str) {
        self.close();
        self.steps += 1;
        let step = json!({"chapter": self.chapter, "step": self.steps, "title": title, "exchanges": [], "checks": []});
        self.step = step.as_object().cloned();
        self.say(&format!("\n{:>3}  {}", self.steps, self.ink.bold(title)));
        self.say(&story::wrap(text, INDENT));
    }

    /// Tells an exchange: the request line, the headers that matter, and of both bodies what the pointers name.
    pub(crate) fn show(&mut self, exchange: &Exchange, sent: &[&str], came: &[&str]) {
        let asked = &exchange.asked;
        let line = story::clean(&format!("{} {}{}", asked.method, exchange.base, asked.path));
        self.say(&format!("{:INDENT$}{} {}", "", self.ink.blue("→"), broken(&line, &exchange.base)));
        for name in ASKED_HEADERS {
            if let Some(value) = asked.header(name) {
                self.detail(name, &story::shown_header(name, value));
            }
        }
        let body = serde_json::from_slice(&asked.body).unwrap_or(Value::Null);
        self.members(&body, sent);
        self.answer(exchange, came);
        self.remember(exchange);
    }

    fn answer(&self, exchange: &Exchange, came: &[&str]) {
        let problem =
            exchange.problem().map_or_else(String::new, |name| format!("  {}", self.ink.bold(&story::clean(&name))));
        self.say(&format!("{:INDENT$}{} {}{problem}", "", self.ink.cyan("←"), exchange.status_line()));
        for name in ANSWERED_HEADERS {
            if let Some(value) = exchange.header(name) {
                let value = if name == "www-authenticate" { &essence(value) } else { value };
                self.detail(name, &story::shown_header(name, value));
            }
        }
        let body = exchange.json().unwrap_or(Value::Null);
        if exchange.problem().is_some() {
            self.members(&body, &["/detail", "/next"]);
        }
        self.members(&body, came);
    }

    fn members(&self, body: &Value, pointers: &[&str]) {
        for pointer in pointers {
            if let Some(value) = body.pointer(pointer) {
                let name = pointer.trim_start_matches('/').replace('/', ".");
                self.detail(&name, &told(&name, value));
            }
        }
    }

    /// Tells one thing by its name.
    pub(crate) fn detail(&self, name: &str, value: &str) {
        let indent = INDENT + 2 + NAME_WIDTH + 1;
        let value = story::clean(value);
        // What has a word too long to stand beside its name stands below it.
        let beside = value.split_whitespace().all(|word| indent + word.chars().count() <= story::WIDTH);
        let margin = " ".repeat(INDENT + 2);
        let name = self.ink.dim(&format!("{name:NAME_WIDTH$}"));
        if beside {
            self.say(&format!("{margin}{name} {}", story::wrap(&value, indent).trim_start()));
        } else {
            self.say(&format!("{margin}{}\n{}", name.trim_end(), story::wrap(&value, INDENT + 4)));
        }
    }

    /// Tells what can be learned from the step.
    pub(crate) fn lesson(&self, text: &str) {
        self.say(&story::wrap(text, INDENT));
    }

    /// Shows that time passes.
    pub(crate) fn waiting(&self, text: &str) {
        if !self.json {
            story::murmur(text);
        }
    }

    /// Checks that something is as expected.
    pub(crate) fn expect(&mut self, what: &str, expected: &str, got: &str) -> Result<(), Stop> {
        let fine = expected == got;
        self.note_check(what, expected, got, fine);
        if fine {
            self.say(&format!("{:INDENT$}{} {what}: {}", "", self.ink.green("✔"), story::clean(expected)));
            return Ok(());
        }
        self.say(&format!("{:INDENT$}{} {what}", "", self.ink.red("✘")));
        self.detail("expected", expected);
        self.detail("got", got);
        self.whole_answer();
        Err(Stop::Surprise)
    }

    /// Checks that something holds.
    pub(crate) fn expect_that(&mut self, what: &str, holds: bool) -> Result<(), Stop> {
        if holds {
            self.note_check(what, "yes", "yes", true);
            self.say(&format!("{:INDENT$}{} {what}", "", self.ink.green("✔")));
            return Ok(());
        }
        self.expect(what, "yes", "no")
    }

    /// Checks the status of an answer and, if it has to be a problem, its name.
    pub(crate) fn expect_answer(
        &mut self,
        exchange: &Exchange,
        status: u16,
        problem: Option<&str>,
    ) -> Result<(), Stop> {
        let tell = |status: u16, problem: Option<&str>| match problem {
            Some(problem) => format!("{status} {problem}"),
            None => status.to_string(),
        };
        let got = tell(exchange.status, exchange.problem().as_deref());
        self.remember_last(exchange);
        self.expect("answered", &tell(status, problem), &got)
    }

    /// Ends the tour and tells how it went.
    pub(crate) fn end(&mut self, fine: bool, next: &str) {
        self.close();
        let (steps, checks) = (self.steps, self.checks);
        if self.json {
            story::say(&json!({"summary": {"ok": fine, "steps": steps, "checks": checks}}).to_string());
            return;
        }
        let took = self.begun.elapsed().as_secs_f64();
        let line = "─".repeat(story::WIDTH);
        self.say(&format!("\n{}", self.ink.dim(&line)));
        if fine {
            let text = format!("✔ {steps} steps and {checks} checks in {took:.2} s: everything was as expected.");
            self.say(&format!("{}\n\n{next}", self.ink.green(&text)));
        } else {
            let text = format!("✘ Step {steps} was a surprise; the tour stops here.");
            let text = format!("{}\n  The gateway's log and STATE/audit say more.", self.ink.red(&text));
            self.say(&text);
        }
    }

    // A surprise is looked into with the whole answer, so it is told once it matters.
    fn whole_answer(&self) {
        let Some(exchange) = &self.last else { return };
        self.say(&format!("{:INDENT$}the answer was:", ""));
        let text = exchange.json().map(|value| story::shown_value(&value).0);
        let text = text.and_then(|value| serde_json::to_string_pretty(&value).ok());
        let text = text.unwrap_or_else(|| String::from_utf8_lossy(&exchange.body).into_owned());
        for line in text.lines().take(40) {
            self.say(&format!("{:INDENT$}  {}", "", story::cut(&story::clean(line), story::WIDTH - INDENT - 2)));
        }
        if let Some(interaction) = exchange.header("x-fapi-interaction-id") {
            self.detail("interaction", interaction);
        }
    }

    fn remember(&mut self, exchange: &Exchange) {
        self.remember_last(exchange);
        let told = json!({
            "method": exchange.asked.method,
            "url": format!("{}{}", exchange.base, exchange.asked.path),
            "status": exchange.status,
            "problem": exchange.problem(),
        });
        self.push("exchanges", told);
    }

    fn remember_last(&mut self, exchange: &Exchange) {
        self.last = Some(exchange.clone());
    }

    fn note_check(&mut self, what: &str, expected: &str, got: &str, fine: bool) {
        self.checks += 1;
        self.push("checks", json!({"what": what, "expected": expected, "got": got, "ok": fine}));
    }

    fn push(&mut self, list: &str, item: Value) {
        let list = self.step.as_mut().and_then(|step| step.get_mut(list)).and_then(Value::as_array_mut);
        if let Some(list) = list {
            list.push(item);
        }
    }

    // A step is told to programs when it is over.
    fn close(&mut self) {
        if let Some(mut step) = self.step.take().filter(|_| self.json) {
            let checks = step.get("checks").and_then(Value::as_array).cloned().unwrap_or_default();
            step.insert("ok".to_owned(), json!(checks.iter().all(|check| check.get("ok") == Some(&json!(true)))));
            story::say(&Value::Object(step).to_string());
        }
    }

    fn say(&self, text: &str) {
        if !self.json {
            story::say(text);
        }
    }
}

/// Tells a member of a body on one line, secrets shortened, money as people write it.
fn told(name: &str, value: &Value) -> String {
    let money = |name: &str| value.get(name).and_then(Value::as_str);
    if let (Some(amount), Some(currency)) = (money("amount"), money("currency")) {
        return format!("{} {currency}", grouped(amount));
    }
    let last = name.rsplit('.').next().unwrap_or_default();
    let shown = story::shown_value(&json!({ last: value })).0;
    match shown.get(last) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

// A request line that is too long goes on below its host.
fn broken(line: &str, base: &str) -> String {
    if INDENT + 2 + line.chars().count() <= story::WIDTH {
        return line.to_owned();
    }
    let below = " ".repeat(INDENT + 4);
    line.split_once(base).map_or_else(|| line.to_owned(), |(method, path)| format!("{method}{base}\n{below}{path}"))
}

// Of a challenge, what differs from one to the next; where tokens are to be had only if nothing else is said.
fn essence(challenge: &str) -> String {
    let (scheme, parameters) = challenge.split_once(' ').unwrap_or((challenge, ""));
    let told = |parameter: &&str| !parameter.starts_with("algs=");
    let parameters: Vec<&str> = parameters.split(", ").filter(told).collect();
    let place = |parameter: &&str| parameters.len() == 1 || !parameter.starts_with("resource_metadata=");
    format!("{scheme} {}", parameters.iter().copied().filter(place).collect::<Vec<_>>().join(", "))
}

/// Writes an amount in groups of three digits.
pub(crate) fn grouped(amount: &str) -> String {
    let (whole, part) = amount.split_once('.').unwrap_or((amount, ""));
    let mut out = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0
            && (whole.chars().count() - index).is_multiple_of(3)
            && digit.is_ascii_digit()
            && !out.ends_with('-')
        {
            out.push(' ');
        }
        out.push(digit);
    }
    if part.is_empty() { out } else { format!("{out}.{part}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guide() -> Guide {
        let mut guide = Guide::new(true, false);
        guide.json = false;
        guide.step("a step", "for a test");
        guide
    }

    #[test]
    fn what_differs_stops_the_tour() {
        let mut guide = guide();
        assert!(matches!(guide.expect("status", "401", "200"), Err(Stop::Surprise)));
        assert!(matches!(guide.expect_that("it holds", false), Err(Stop::Surprise)));
        assert!(guide.expect("status", "401", "401").is_ok());
        assert!(guide.expect_that("it holds", true).is_ok());
        assert_eq!(guide.checks, 4);
    }

    #[test]
    fn amounts_are_told_in_groups() {
        for (amount, told) in [
            ("1.00", "1.00"),
            ("999.00", "999.00"),
            ("1000.00", "1 000.00"),
            ("1234567.89", "1 234 567.89"),
            ("-1000", "-1 000"),
            ("-100", "-100"),
        ] {
            assert_eq!(grouped(amount), told);
        }
        assert_eq!(told("a", &json!({"amount": "300000.00", "currency": "KZT"})), "300 000.00 KZT");
    }

    #[test]
    fn a_challenge_is_told_by_what_differs() {
        let long = r#"DPoP algs="ES256 EdDSA", error="insufficient_scope", scope="payments:write", resource_metadata="https://a""#;
        assert_eq!(essence(long), r#"DPoP error="insufficient_scope", scope="payments:write""#);
        assert_eq!(
            essence(r#"DPoP algs="ES256", resource_metadata="https://a""#),
            r#"DPoP resource_metadata="https://a""#
        );
        assert_eq!(essence("DPoP"), "DPoP ");
    }

    #[test]
    fn a_told_member_is_no_secret_in_full() {
        assert_eq!(told("access_token", &json!("0123456789abcdefXYZ")), "01234567…");
        assert_eq!(told("status", &json!("ok")), "ok");
    }
}
