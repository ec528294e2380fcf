//! `qaqpa audit erase`.

use std::io::Read as _;

use clap::Args;
use policies::secret::Secret;
use serde_json::{Value, json};

use super::place::{Failed, Place};
use crate::cli::administrator::Administrator;
use crate::cli::client::{Exchange, Question};
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
    #[command(flatten)]
    administrator: Administrator,
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
    let asking = arguments.administrator.open(&arguments.place.state()?, ERASER)?;
    let number = number()?;
    let body = json!({"subject": {"type": "iin", "value": number.expose()}, "reason": arguments.reason});
    let answer = asking.ask(Question::post(ERASURES, &body))?;
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
