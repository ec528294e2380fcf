//! `qaqpa call`: one request as a client of the sandbox, told like `curl -v`.
//!
//! Token, proof and certificate are made on the way. It must never print a secret in full, but for the answer's body
//! under `--json`, which is what the caller asked for.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use adapters::entropy;
use clap::Args;
use serde_json::{Map, Value, json};

use super::agreement::{Refused, Wish, agree, person};
use super::client::{Actor, Binding, Client, Exchange, Question, STATE, SandboxClient, SandboxFile, Session};
use super::story::{self, Ink};
use super::terminal::complain;

/// The exit code of a call that was answered with 2xx.
pub(crate) const ANSWERED: u8 = 0;

/// The exit code of a call that was refused.
pub(crate) const REFUSED: u8 = 1;

/// Where clients read what is left of their limits.
const LIMITS: &str = "/v1/limits";

/// What to call, and as whom.
#[derive(Debug, Clone, Args)]
pub(crate) struct CallArguments {
    /// The method: GET, POST, ...
    pub(crate) method: String,
    /// The path with its query, for example /v1/accounts?limit=5
    #[arg(value_parser = absolute)]
    pub(crate) path: String,
    /// The client to call as [default: the first with the role PISP]
    #[arg(long = "as", value_name = "CLIENT")]
    pub(crate) client: Option<String>,
    /// The body: JSON, or @FILE to read it from a file (@- reads standard input)
    #[arg(long, value_name = "JSON|@FILE")]
    pub(crate) data: Option<String>,
    /// Bind the token to a key and prove possession with each request (DPoP)
    #[arg(long, conflicts_with = "mtls")]
    pub(crate) dpop: bool,
    /// Bind the token to the client's certificate and call where it is asked for
    #[arg(long)]
    pub(crate) mtls: bool,
    /// Another header; may be given several times, and replaces what would be sent under its name
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE", value_parser = header)]
    pub(crate) headers: Vec<(String, String)>,
    /// The idempotency key [default for POST: a new one]
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// The scopes to ask for, with blanks between them [default: all that the client may have]
    #[arg(long, value_name = "SCOPES")]
    pub(crate) scope: Option<String>,
    /// The citizen who agrees where one has to: a number (IIN), or a scenario such as no_match [default: who owns the
    /// account to be debited, or the first who is recognised]
    #[arg(long, value_name = "IIN|SCENARIO", conflicts_with = "anonymous")]
    pub(crate) citizen: Option<String>,
    /// Ask nobody: call with the client's own token only
    #[arg(long, conflicts_with_all = ["citizen", "anonymous"])]
    pub(crate) own: bool,
    /// Send no token
    #[arg(long, conflicts_with_all = ["client", "dpop", "mtls", "scope"])]
    pub(crate) anonymous: bool,
    /// The state folder of the running sandbox
    #[arg(long, value_name = "DIR", default_value = STATE)]
    pub(crate) state: PathBuf,
    /// Print one JSON object {request, status, headers, body} instead; the body is whole
    #[arg(long)]
    pub(crate) json: bool,
}

/// Makes the call and tells it; gives the exit code, [`ANSWERED`] for 2xx and else [`REFUSED`].
///
/// # Errors
/// A sentence for people if the arguments make no request, no sandbox runs, or nobody answers.
pub(crate) async fn run(args: CallArguments) -> Result<u8, String> {
    let sandbox = SandboxFile::find(&args.state)?;
    let teller = Teller { json: args.json, ink: Ink::new(story::colour_is_welcome()) };
    let question = question(&args, &teller)?;
    if args.anonymous {
        let exchange = Client::new(&sandbox)?.send(&sandbox.api, &question).await?;
        return Ok(teller.end(&exchange));
    }
    let record = match &args.client {
        Some(id) => sandbox.client(id)?,
        None => default_client(&sandbox)?,
    };
    let binding = match (args.dpop, args.mtls) {
        (true, _) => Some(Binding::Dpop),
        (_, true) => Some(Binding::Mtls),
        _ => None,
    };
    let actor = Actor::new(&sandbox, record, binding)?;
    let bound = if actor.binding() == Binding::Dpop { "a key (DPoP)" } else { "its certificate (mTLS)" };
    teller.note(&format!("{} of {} asks for a token bound to {bound}", record.client_id, record.organisation));
    let granted = actor.request_token(args.scope.as_deref()).await?;
    if granted.status != 200 {
        return Ok(teller.end(&granted));
    }
    teller.tell(&granted);
    let session = actor.session(&granted)?;
    let exchange = session.ask(&question).await?;
    if args.own || exchange.problem().as_deref() != Some("consent_required") {
        if let Some(text) = unasked(args.citizen.as_deref(), &exchange) {
            complain(text);
        }
        teller.note("with the token:");
        return Ok(teller.end(&exchange));
    }
    let session = match consented(&sandbox, &session, &question, args.citizen.as_deref()).await {
        Ok(session) => session,
        Err(Refused::Answer(refused)) => return Ok(teller.end(&refused)),
        Err(Refused::Trouble(text)) => return Err(text),
    };
    teller.note("with the citizen's consent:");
    Ok(teller.end(&session.ask(&question).await?))
}

/// Says that the citizen who was named was not asked, if one was.
fn unasked(citizen: Option<&str>, exchange: &Exchange) -> Option<&'static str> {
    citizen?;
    let path = exchange.asked.path.split('?').next().unwrap_or_default();
    Some(match exchange.status {
        200..300 if path == LIMITS || path.strip_prefix(LIMITS).is_some_and(|rest| rest.starts_with('/')) => {
            "note: no consent has `limits:read`, so --citizen is passed over; what counts by a citizen is shown by \
             `qaqpa limits show --customer`"
        }
        200..300 => "note: no citizen has to agree to this, so --citizen is passed over: the token is the client's own",
        _ => "note: this was refused before a citizen could be asked: --citizen is passed over",
    })
}

/// Has a citizen agree to the call, and tells of it beside what is asked for: programs read the answer alone.
async fn consented<'a>(
    sandbox: &SandboxFile,
    session: &Session<'a>,
    question: &Question,
    citizen: Option<&str>,
) -> Result<Session<'a>, Refused> {
    let wish = Wish::of(question);
    let person = person(sandbox, citizen, &wish)?;
    let what = match &wish {
        Wish::Access => "reading accounts",
        Wish::Payment(_) => "this payment",
    };
    complain(&format!(
        "note: this needs the consent of a citizen; {} is asked for {what} (--citizen chooses who, --own asks nobody)",
        person.iin
    ));
    let agreed = agree(sandbox, session.actor(), session, &person.iin, &wish).await?;
    complain(&format!(
        "note: consent {} was asked for, approved on the gateway's pages ({}), and its code redeemed for a token",
        agreed.consent.id,
        agreed.visit.pages.join(", ")
    ));
    Ok(session.actor().session(&agreed.granted)?)
}

fn default_client(sandbox: &SandboxFile) -> Result<&SandboxClient, String> {
    let pays = |client: &&SandboxClient| client.roles.iter().any(|role| role == "PISP");
    sandbox
        .clients
        .iter()
        .find(pays)
        .or(sandbox.clients.first())
        .ok_or_else(|| "The sandbox has no clients.".to_owned())
}

fn question(args: &CallArguments, teller: &Teller) -> Result<Question, String> {
    let mut question = Question::new(&args.method, &args.path);
    if let Some(data) = &args.data {
        question = question.with("content-type", "application/json").carrying(read_data(data)?);
    }
    match &args.key {
        Some(key) => question = question.with("x-idempotency-key", key),
        None if question.method == "POST" => {
            let key = format!("call-{}", entropy::token_128bit());
            teller.note(&format!("no --key was given: the idempotency key is {key}"));
            question = question.with("x-idempotency-key", &key);
        }
        None => {}
    }
    for (name, value) in &args.headers {
        question = question.with(name, value);
    }
    Ok(question)
}

// Read while the command line is: what is wrong here is wrong usage.
fn absolute(text: &str) -> Result<String, String> {
    if text.starts_with('/') {
        return Ok(text.to_owned());
    }
    Err("it does not begin with a slash; write for example /v1/accounts".to_owned())
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("it has no colon; write --header 'name: value'")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn read_data(data: &str) -> Result<Vec<u8>, String> {
    match data.strip_prefix('@') {
        None => Ok(data.as_bytes().to_vec()),
        Some("-") => {
            let mut body = Vec::new();
            std::io::stdin().lock().read_to_end(&mut body).map_err(|error| format!("Standard input: {error}."))?;
            Ok(body)
        }
        Some(path) => std::fs::read(Path::new(path)).map_err(|error| format!("{path}: {error}.")),
    }
}

struct Teller {
    json: bool,
    ink: Ink,
}

impl Teller {
    fn note(&self, text: &str) {
        if !self.json {
            story::say(&self.ink.dim(&format!("* {text}")));
        }
    }

    fn tell(&self, exchange: &Exchange) {
        if !self.json {
            story::say(&verbose(exchange, self.ink).0);
        }
    }

    fn end(&self, exchange: &Exchange) -> u8 {
        if self.json {
            story::say(&for_programs(exchange).to_string());
        } else {
            let (told, shortened) = verbose(exchange, self.ink);
            story::say(&told);
            if shortened {
                self.note("secrets are shortened here; --json gives the answer whole");
            }
        }
        if (200..300).contains(&exchange.status) { ANSWERED } else { REFUSED }
    }
}

/// Tells an exchange as `curl -v` does, secrets shortened; and whether that befell the answer's body.
fn verbose(exchange: &Exchange, ink: Ink) -> (String, bool) {
    let mut lines = Vec::new();
    let asked = &exchange.asked;
    let out = ink.blue(">");
    lines.push(ink.dim(&format!("* to {}", exchange.base)));
    lines.push(format!("{out} {}", ink.bold(&story::clean(&format!("{} {} HTTP/1.1", asked.method, asked.path)))));
    for (name, value) in &asked.headers {
        lines.push(format!("{out} {}: {}", story::clean(name), story::shown_header(name, value)));
    }
    lines.push(out.clone());
    lines.extend(body(&asked.body, asked.header("content-type")).0.iter().map(|line| format!("{out} {line}")));
    let back = ink.cyan("<");
    lines.push(format!("{back} {}", ink.bold(&format!("HTTP/1.1 {}", exchange.status_line()))));
    for (name, value) in &exchange.headers {
        lines.push(format!("{back} {}: {}", story::clean(name), story::shown_header(name, value)));
    }
    lines.push(back);
    let (told, shortened) = body(&exchange.body, exchange.header("content-type"));
    lines.extend(told);
    (lines.join("\n"), shortened)
}

// The lines of a body, and whether something was shortened.
fn body(raw: &[u8], media: Option<&str>) -> (Vec<String>, bool) {
    if raw.is_empty() {
        return (Vec::new(), false);
    }
    let text = String::from_utf8_lossy(raw);
    if media.is_some_and(|media| media.starts_with("application/x-www-form-urlencoded")) {
        return (story::shown_form(&text), true);
    }
    match serde_json::from_slice::<Value>(raw) {
        Ok(value) => {
            let (shown, shortened) = story::shown_value(&value);
            let pretty = serde_json::to_string_pretty(&shown).unwrap_or_default();
            (pretty.lines().map(story::clean).collect(), shortened)
        }
        Err(_) => (text.lines().map(story::clean).collect(), false),
    }
}

/// Tells an exchange to programs: what we sent is shortened where it is secret, what came back is whole.
fn for_programs(exchange: &Exchange) -> Value {
    let asked = &exchange.asked;
    let sent: Map<String, Value> =
        asked.headers.iter().map(|(name, value)| (name.clone(), json!(story::shown_header(name, value)))).collect();
    let mut headers: Map<String, Value> = Map::new();
    for (name, value) in &exchange.headers {
        // A header that comes twice is one with both values (RFC 9110, section 5.3).
        let joined = headers.get(name).and_then(Value::as_str).map(|known| format!("{known}, {value}"));
        headers.insert(name.clone(), json!(joined.as_deref().unwrap_or(value)));
    }
    let whole = |raw: &[u8]| match raw {
        [] => Value::Null,
        raw => serde_json::from_slice(raw).unwrap_or_else(|_| json!(String::from_utf8_lossy(raw))),
    };
    let form = asked.header("content-type").is_some_and(|media| media.starts_with("application/x-www-form-urlencoded"));
    let body_sent =
        if form { json!(body(&asked.body, asked.header("content-type")).0.join("&")) } else { whole(&asked.body) };
    json!({
        "request": {
            "method": asked.method,
            "url": format!("{}{}", exchange.base, asked.path),
            "headers": sent,
            "body": body_sent,
        },
        "status": exchange.status,
        "headers": headers,
        "body": whole(&exchange.body),
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    const TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJzb21lYm9keSJ9.c2lnbmF0dXJlc2lnbmF0dXJl";

    fn exchange() -> Exchange {
        Exchange {
            base: "https://gate.example".to_owned(),
            asked: Question::post("/v1/things", &json!({"a": 1}))
                .with("authorization", &format!("DPoP {TOKEN}"))
                .with("dpop", TOKEN),
            status: 201,
            headers: vec![
                ("content-type".to_owned(), "application/json".to_owned()),
                ("vary".into(), "a".into()),
                ("vary".into(), "b".into()),
            ],
            body: json!({"result": TOKEN}).to_string().into_bytes(),
        }
    }

    #[test]
    fn people_see_no_secret_in_full() {
        let (told, shortened) = verbose(&exchange(), Ink::new(false));
        assert!(!told.contains(TOKEN), "{told}");
        assert!(told.contains("> POST /v1/things HTTP/1.1\n") && told.contains("< HTTP/1.1 201 Created\n"), "{told}");
        assert!(told.contains("> authorization: DPoP eyJhbGci…\n") && shortened, "{told}");
    }

    #[test]
    fn a_citizen_who_is_not_asked_is_told_of() {
        let told = |status, path: &str, citizen| {
            let asked = Question::get(path);
            unasked(citizen, &Exchange { status, asked, ..exchange() }).unwrap_or_default()
        };
        assert_eq!((told(200, "/v1/things", None), told(403, "/v1/things", None)), ("", ""));
        for other in ["/v1/things", "/v1/limitsome"] {
            assert!(told(200, other, Some("match")).contains("no citizen has to agree to this"), "{other}");
        }
        for limits in ["/v1/limits", "/v1/limits?operation=a", "/v1/limits/payments"] {
            assert!(told(200, limits, Some("match")).contains("limits show --customer"), "{limits}");
        }
        assert!(told(403, "/v1/things", Some("match")).contains("refused before a citizen could be asked"));
    }

    #[test]
    fn programs_get_the_answer_whole_and_what_was_sent_shortened() {
        let told = for_programs(&exchange());
        assert_eq!(told.pointer("/body/result"), Some(&json!(TOKEN)));
        assert_eq!(told.pointer("/request/headers/dpop"), Some(&json!("eyJhbGci…")));
        assert_eq!(told.pointer("/headers/vary"), Some(&json!("a, b")));
        assert_eq!(told.pointer("/status"), Some(&json!(201)));
    }

    #[test]
    fn a_header_without_a_colon_and_a_path_without_a_slash_are_wrong_usage() {
        assert!(header("nonsense").is_err() && absolute("v1").is_err());
        let args = CallArguments {
            method: "get".into(),
            path: "/v1/accounts".into(),
            client: None,
            data: None,
            dpop: false,
            mtls: false,
            headers: vec![header("X-A: b:c").unwrap()],
            key: None,
            scope: None,
            citizen: None,
            own: false,
            anonymous: false,
            state: PathBuf::new(),
            json: true,
        };
        let teller = Teller { json: true, ink: Ink::new(false) };
        let fine = CallArguments { method: "post".into(), ..args };
        let made = question(&fine, &teller).unwrap();
        assert_eq!(made.header("x-a"), Some("b:c"));
        assert!(made.header("x-idempotency-key").is_some_and(|key| key.starts_with("call-")));
    }
}
