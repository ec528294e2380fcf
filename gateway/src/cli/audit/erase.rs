//! `qaqpa audit erase`.

use std::io::Read as _;
use std::path::PathBuf;

use clap::Args;
use policies::secret::Secret;
use serde_json::{Value, json};

use super::place::{Failed, Place};
use crate::cli::client::{Client, Exchange, Question, SandboxFile};
use crate::cli::process::in_runtime;
use crate::cli::process::{FINE, USAGE};
use crate::cli::terminal::say;

/// The operation that does it.
const ERASURES: &str = "/admin/erasures";

/// The role that may ask for it.
const ERASER: &str = "eraser";

/// The longest text that is read for a number, in bytes.
const INPUT_BYTES_MAX: u64 = 64;

/// Who is erased, and who says so.
#[derive(Debug, Args)]
pub(super) struct EraseArguments {
    /// `-`: the person's number (IIN) is read from standard input; arguments are seen by everybody on this machine
    #[arg(value_name = "SUBJECT", default_value = "-")]
    subject: String,
    /// Why: request, order, purpose_ended, recorded_wrongly
    #[arg(long, default_value = "request", value_name = "REASON")]
    reason: String,
    #[command(flatten)]
    place: Place,
    /// The URL of the administrators' listener [default: that of the running sandbox]
    #[arg(long, value_name = "URL", requires = "token_file")]
    admin: Option<String>,
    /// The private file with the token of an administrator who may erase [default: as the sandbox tells]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The authority that signed the listener's certificate, PEM
    #[arg(long, value_name = "FILE", requires = "admin")]
    authority: Option<PathBuf>,
    /// Print the answer as it came
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &EraseArguments) -> Result<u8, Failed> {
    if arguments.subject != "-" {
        let text = "error: a person's number is no argument: others on this machine could see it\n  \
                    = help: give it on standard input: qaqpa audit erase - < FILE";
        return Err(Failed(USAGE, text.to_owned()));
    }
    let (client, base, token_file) = gateway(arguments)?;
    let token = crate::secrets::private_file(&token_file).map_err(|text| format!("error: {text}"))?;
    let token = Secret::new(String::from_utf8(token).map_err(|_| "error: the token is no text".to_owned())?);
    let number = number()?;
    let body = json!({"subject": {"type": "iin", "value": number.expose()}, "reason": arguments.reason});
    let question = Question::post(ERASURES, &body).with("authorization", &format!("Bearer {}", token.expose().trim()));
    let answer = in_runtime(client.send(&base, &question))?;
    told(&answer, arguments.json)
}

fn told(answer: &Exchange, json: bool) -> Result<u8, Failed> {
    let body = answer.json().unwrap_or(Value::Null);
    if answer.status != 200 {
        let why = answer.text("/detail").or_else(|| answer.problem()).unwrap_or_default();
        return Err(format!("error: nothing was erased: {} {why}", answer.status_line()).into());
    }
    if json {
        say(&format!("{body}\n"));
    } else if body.get("erased") == Some(&Value::Bool(true)) {
        let receipt = answer.text("/receipt").unwrap_or_default();
        say(&format!("erased: nothing that names this person can be read any more; receipt {receipt}\n"));
    } else {
        say("nothing was known of this person\n");
    }
    Ok(FINE)
}

/// Whom to ask, where, and with whose token.
fn gateway(arguments: &EraseArguments) -> Result<(Client, String, PathBuf), Failed> {
    if let (Some(admin), Some(token_file)) = (&arguments.admin, &arguments.token_file) {
        let client = Client::trusting(arguments.authority.as_deref())?;
        return Ok((client, admin.clone(), token_file.clone()));
    }
    let sandbox = SandboxFile::find(&arguments.place.state()?)?;
    let eraser = sandbox.admins.iter().find(|admin| admin.roles.iter().any(|role| role == ERASER));
    let named = arguments.token_file.clone().or(eraser.map(|admin| PathBuf::from(&admin.token_file)));
    let named = named.ok_or_else(|| format!("error: the sandbox has no administrator with the role {ERASER}"))?;
    Ok((Client::new(&sandbox)?, sandbox.admin.clone(), named))
}

fn number() -> Result<Secret<String>, Failed> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(INPUT_BYTES_MAX).read_to_string(&mut text);
    let text = Secret::new(text);
    read.map_err(|error| format!("error: standard input cannot be read: {error}"))?;
    let number = text.expose().trim();
    if number.len() != 12 || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Failed(USAGE, "error: a person's number (IIN) is twelve digits".to_owned()));
    }
    Ok(Secret::new(number.to_owned()))
}
