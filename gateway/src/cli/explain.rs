//! `qaqpa explain`: what a code, a key, a condition's words or the policy of an operation mean.

mod key;
mod limit;
mod operation;
mod page;

use std::fmt::Write as _;
use std::net::IpAddr;

use policies::condition::context::{BODY, BODY_ABOUT, FACTS, FUNCTIONS};
use policies::language::codes::CODES;
use policies::language::lint::RULES;
use policies::language::suggest::did_you_mean;

use self::operation::Asked;
use self::page::{columns, wrapped};
use super::process::{FAILED, FINE};
use super::sets::{Set, SetArguments};
use super::terminal::{complain, say};
use crate::findings;

const EXAMPLES: &str = "\
Examples:
  qaqpa explain P0311                                        a code that some command told
  qaqpa explain operation createDomesticPayment              what applies to it, and which line says so
  qaqpa explain operation createDomesticPayment --client X   ... and may this client call it now? if not, why?
  qaqpa explain apis.operations.timeout                      a key of the language
  qaqpa explain condition                                    what conditions may name
  qaqpa explain                                              every code, a line each";

/// What is explained.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ExplainArguments {
    /// A code such as P0311 or L0003, a key such as apis.operations.timeout, `operation` or `condition`.
    #[arg(value_name = "WHAT")]
    what: Option<String>,
    /// The operation, after `operation`.
    #[arg(value_name = "ID")]
    id: Option<String>,
    /// Whether this client may call the operation.
    #[arg(long, value_name = "ID", requires = "id")]
    client: Option<String>,
    /// The address that the client would call from; one of its organisation's networks if none is given.
    #[arg(long, value_name = "ADDRESS", requires = "client")]
    peer: Option<IpAddr>,
    #[command(flatten)]
    set: SetArguments,
    /// Print one JSON object for a program; of an operation only.
    #[arg(long, requires = "id")]
    json: bool,
}

/// Explains.
pub(super) fn run(arguments: &ExplainArguments) -> u8 {
    let result = match (arguments.what.as_deref(), arguments.id.as_deref()) {
        (None, _) => Ok(every_code()),
        (Some("condition"), None) => Ok(condition()),
        (Some("operation"), Some(id)) => {
            let (set, client) = (&arguments.set, arguments.client.as_deref());
            return operation::run(&Asked { set, id, client, peer: arguments.peer, json: arguments.json });
        }
        (Some("operation"), None) => Err("name the operation: qaqpa explain operation ID".to_owned()),
        (Some(what), None) if is_code(what) => code(what),
        (Some(what), None) => key::told(what).map_err(|text| match did_you_mean(what, ["condition", "operation"]) {
            Some(word) => format!("{text}\n  = help: did you mean `qaqpa explain {word}`?"),
            None if describes(&arguments.set, what) => {
                format!("`{what}` is no key but an operation: qaqpa explain operation {what}")
            }
            None => text,
        }),
        (Some(what), Some(id)) => Err(format!("`{what} {id}` is nothing that can be explained; see --help")),
    };
    match result {
        Ok(text) => {
            say(&text);
            FINE
        }
        Err(text) => {
            complain(&format!("error: {text}"));
            FAILED
        }
    }
}

// A set that does not compile is told by `check`; here it only knows no operation.
fn describes(set: &SetArguments, what: &str) -> bool {
    Set::read(set).is_ok_and(|set| set.facts.iter().any(|facts| facts.id == what))
}

fn is_code(text: &str) -> bool {
    let digits = text.get(1..).is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()));
    digits && text.starts_with(|letter: char| letter.is_ascii_alphabetic())
}

fn code(text: &str) -> Result<String, String> {
    let Some(found) = findings::explain(text) else {
        let known = all().map(|(code, _)| code);
        let upper = text.to_ascii_uppercase();
        let meant = did_you_mean(&upper, known).map(|code| format!(", perhaps {code}")).unwrap_or_default();
        return Err(format!("no code {text}{meant}; `qaqpa explain` lists all"));
    };
    let rank = policies::language::lint::rule(found.code).map(|rule| format!("{}: ", rule.severity.word()));
    Ok(format!("{}  {}{}\n\n{}\n", found.code, rank.unwrap_or_default(), found.title, wrapped(found.text)))
}

fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    let languages = CODES.iter().chain(findings::CODES).map(|found| (found.code, found.title));
    languages.chain(RULES.iter().map(|rule| (rule.id, rule.title)))
}

fn every_code() -> String {
    let mut codes: Vec<(&str, &str)> = all().collect();
    codes.sort_unstable();
    codes.dedup();
    codes.iter().fold(String::new(), |mut text, (code, title)| {
        let _ = writeln!(text, "{code}  {title}");
        text
    })
}

fn condition() -> String {
    let mut text =
        "A condition is an expression in CEL (Common Expression Language) that is true or false:\n\n".to_owned();
    text.push_str("  allow: \"'PISP' in client.roles && request.hour >= 6\"\n");
    text.push_str("  when: \"money(body.instructedAmount) > tenge(1000000) && request.weekday > 5\"\n\n");
    text.push_str("Names and kinds are checked at load; one that cannot be judged at a request denies it.\n\nFacts:\n");
    let names: Vec<(String, &str)> =
        FACTS.iter().map(|fact| (format!("{}.{}", fact.group, fact.name), fact.about)).collect();
    let body = (format!("{BODY}.<member>"), BODY_ABOUT);
    text.push_str(&columns(names.iter().chain([&body]).map(|(name, about)| (name.as_str(), *about))));
    text.push_str("\nFunctions:\n");
    text.push_str(&columns(FUNCTIONS.iter().map(|function| (function.usage, function.about))));
    text
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    #[test]
    fn an_unknown_code_is_told_with_the_nearest_one() {
        assert!(code("P9999").unwrap_err().contains("no code P9999"));
        assert!(code("p0311").unwrap().starts_with("P0311  looser than the default\n\n"));
        assert!(code("L0003").unwrap().starts_with("L0003  info: answers"));
        assert!(code("G0001").unwrap().contains("UTF-8"));
        assert!(is_code("P1") && !is_code("apis") && !is_code("P") && !is_code("1234"));
    }

    #[test]
    fn an_operation_is_known_by_its_contract() {
        let set = SetArguments { policies: Vec::new(), contracts: None };
        assert!(describes(&set, "listAccounts") && !describes(&set, "listAccount"));
    }

    #[test]
    fn every_rule_of_lint_is_explained() {
        assert!(RULES.iter().all(|rule| code(rule.id).is_ok()));
        assert!(every_code().lines().count() > 60);
    }

    #[test]
    fn what_conditions_may_name_is_listed() {
        let text = condition();
        for part in ["client.roles", "request.hour", "body.<member>", "money(body.instructedAmount)", "in_network"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
