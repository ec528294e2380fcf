//! `qaqpa keys`: the keys that a running gateway signs with, by way of its administrators' listener.

use serde_json::Value;

use super::administrator::Place;
use super::client::{Exchange, Question};
use super::process::{FAILED, FINE};
use super::terminal::{complain, printable, say};

/// What is done with the keys that a running gateway signs with.
#[derive(Debug, clap::Subcommand)]
pub enum KeysCommand {
    /// List the keys: which signs, which is next, which are published until all that they signed is over.
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Have the next key sign from now on. Needs the role `editor`.
    ///
    /// The one that signed is published until the last token signed with it has expired, and a new next one is made. A key
    /// is published for five minutes before it signs, so that everybody knows it: earlier this is refused.
    Rotate {
        #[command(flatten)]
        place: Place,
    },
}

/// Does it.
pub(super) fn run(command: &KeysCommand) -> u8 {
    let (place, role, question) = match command {
        KeysCommand::List { place } => (place, "viewer", Question::get("/admin/keys")),
        KeysCommand::Rotate { place } => (place, "editor", Question::new("POST", "/admin/keys/rotations")),
    };
    let asked = place.open(role).and_then(|asking| asking.ask(question));
    match asked {
        Ok(answer) => tell(&answer, place.json),
        Err(text) => {
            complain(&text);
            FAILED
        }
    }
}

fn tell(answer: &Exchange, json: bool) -> u8 {
    let fine = answer.status == 200;
    let value = answer.json();
    if json {
        say(&format!("{}\n", value.unwrap_or_default()));
    } else if fine {
        say(&shown(&value.unwrap_or_default()));
    } else {
        let text = |name: &str| value.as_ref().and_then(|value| value.get(name)?.as_str()).map(printable);
        let (title, detail) = (text("title").unwrap_or_default(), text("detail").unwrap_or_default());
        complain(&format!("error: {} {title}\n  {detail}", answer.status));
    }
    if fine { FINE } else { FAILED }
}

fn shown(value: &Value) -> String {
    let text = |value: &Value, name: &str| printable(value.get(name).and_then(Value::as_str).unwrap_or("-"));
    let mut lines = String::new();
    for key in value.get("keys").and_then(Value::as_array).into_iter().flatten() {
        let since = match text(key, "state").as_str() {
            "next" => format!("published since {}", text(key, "published")),
            "current" => format!("signs since {}", text(key, "signsFrom")),
            _ => format!("signed until {}", text(key, "signedUntil")),
        };
        lines.push_str(&format!("{:<8} {} {}  {since}\n", text(key, "state"), text(key, "alg"), text(key, "kid")));
    }
    lines.push_str(&format!("\nThe next key may sign from {} on", text(value, "rotatableFrom")));
    match value.get("rotatesAt").and_then(Value::as_str) {
        Some(at) => lines.push_str(&format!("; the schedule has it sign at {}.\n", printable(at))),
        None => lines.push_str("; nothing is rotated by schedule.\n"),
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_told_in_the_order_in_which_they_came() {
        let told = shown(&json!({
            "keys": [
                {"kid": "aa", "alg": "ES256", "state": "current", "published": "1", "signsFrom": "2"},
                {"kid": "bb", "alg": "ES256", "state": "next", "published": "3"},
                {"kid": "cc\u{1b}", "alg": "ES256", "state": "previous", "published": "0", "signsFrom": "0", "signedUntil": "2"},
            ],
            "rotatableFrom": "4",
            "rotatesAt": "5",
        }));
        assert_eq!(
            told,
            "current  ES256 aa  signs since 2\n\
             next     ES256 bb  published since 3\n\
             previous ES256 cc\u{fffd}  signed until 2\n\n\
             The next key may sign from 4 on; the schedule has it sign at 5.\n"
        );
        assert!(shown(&json!({"keys": [], "rotatableFrom": "4"})).contains("nothing is rotated by schedule"));
    }
}
