//! `qaqpa limits`: what is left of limits in a running gateway, by way of its administrators' listener.

use std::collections::BTreeSet;
use std::io::Read as _;

use policies::secret::Secret;
use serde_json::{Map, Value, json};

use super::administrator::{Asking, Place};
use super::client::{Exchange, Question, encode_form};
use super::process::{FAILED, FINE, USAGE};
use super::terminal::{complain, printable, say};

/// Where the operations are.
const LIMITS: &str = "/admin/limits";

/// The longest name of somebody that is read from standard input, in bytes.
const INPUT_BYTES_MAX: u64 = 256;

const SHOW_EXAMPLES: &str = "\
Examples:
  qaqpa limits show --client demo-app
                             what this client has used of the limits that count its calls
  qaqpa limits show --client demo-app --operation createDomesticPayment --all
                             every limit that its next payment has to fit into, used or not
  qaqpa limits show --organisation demo-fintech
                             what its clients use up together
  qaqpa limits show --client demo-app --policy polls --resource 018f3c1e-9d84-7e4f-a031-5c7d9e1f2031
                             a limit that counts by resource: say which
  qaqpa limits show --client demo-app --policy lookups --header x-payer-id < FILE
                             one that counts by somebody whom a header names
  qaqpa limits show --operation getStatus --peer 192.0.2.7
                             what counts calls that no client makes
  qaqpa limits show --all    every limit there is, by its name, and what each needs

LEFT and OF are calls: LEFT fit now. A bucket refills by and by; after WAIT a call fits again. Of polls
and sessions fewer fit than there are from the start: one question, or what a session has in a second.
A line that NEEDS something has a counter for each of them: name one by the option of that name.
With Redis the counters are those of all gateways; without, and of calls under way (inFlight),
those of the gateway that is asked.

Exit codes: 0 told, 1 refused, unknown or out of reach, 2 wrong usage.";

const RESET_EXAMPLES: &str = "\
Examples:
  qaqpa limits reset --client demo-app --policy payments --ticket OPS-812
                             by the name of the limit or plan, as `qaqpa limits show` has it
  qaqpa limits reset --organisation demo-fintech --policy payments:organisation+operation:60/s \\
      --operation createDomesticPayment --ticket OPS-813
                             one limit of several, for one operation
  qaqpa limits reset --policy strangers --peer 192.0.2.7 --ticket OPS-814
                             one that counts calls of whoever makes them: without a client

Whoever was to wait may call at once. The limit itself stays: to change it, change the policies.
A counter of an organisation is as new for all of its clients. One that calls of everybody fill
(`everybody` in `qaqpa limits show`) is as new for everybody, and is reset by its whole name alone.
Who asked, of whom, which limits and the ticket stand in the audit trail before anything is done; what
tells of a person stands there as a keyed hash. The trail keeps the ticket for good: it names nobody.
Calls under way stay counted. Where no limit that is meant reads the --header, nothing is reset.
Without Redis each gateway counts alone: ask each.

Exit codes: 0 done, 1 refused, unknown or out of reach, 2 wrong usage.";

/// What is done about limits in a running gateway.
#[derive(Debug, clap::Subcommand)]
pub enum LimitsCommand {
    /// Show what is left of the limits that count somebody's calls. Takes nothing from them.
    ///
    /// Every call is counted by the limits of its client's plan and of its operation; all of them must have room. Say whose
    /// calls by `--client` or `--organisation`; without either, those of whoever calls: what public operations and the limits of
    /// addresses have counted is found so. Needs the role `viewer`, `editor`, `approver` or `auditor`.
    #[command(after_help = SHOW_EXAMPLES)]
    Show {
        #[command(flatten)]
        counters: Counters,
        /// Only the limit of this name, or those of the plan or limit whose name is the word before the first colon
        #[arg(long, value_name = "NAME")]
        policy: Option<String>,
        /// Also what nothing was taken from
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Have a limit counted anew for somebody: what it has counted until now is forgotten. Needs the role `editor`.
    #[command(after_help = RESET_EXAMPLES)]
    Reset {
        #[command(flatten)]
        counters: Counters,
        /// The limit, or the word before its first colon
        #[arg(long, value_name = "NAME")]
        policy: String,
        /// Where it stands why, for whoever reads the audit trail: up to 64 letters, digits and `._/#-`
        #[arg(long, value_name = "TICKET")]
        ticket: String,
        #[command(flatten)]
        place: Place,
    },
}

/// Whose counters are meant, and which of them.
#[derive(Debug, clap::Args)]
pub struct Counters {
    /// Whose calls: a client's; without client and organisation, those of whoever calls
    #[arg(long, value_name = "ID", conflicts_with = "organisation")]
    client: Option<String>,
    /// Whose calls: those of all clients of an organisation together
    #[arg(long, value_name = "ID")]
    organisation: Option<String>,
    /// Only calls of this operation
    #[arg(long, value_name = "ID")]
    operation: Option<String>,
    /// The citizen, by the name that the client has for them (`sub` of its tokens)
    #[arg(long, value_name = "NAME")]
    customer: Option<String>,
    /// The consent
    #[arg(long, value_name = "ID")]
    consent: Option<String>,
    /// The resource: the last parameter of the path
    #[arg(long, value_name = "ID")]
    resource: Option<String>,
    /// The caller's address, or the /64 of an IPv6 one
    #[arg(long, value_name = "ADDRESS")]
    peer: Option<String>,
    /// The identity provider
    #[arg(long, value_name = "ID")]
    provider: Option<String>,
    /// The header that names somebody; what it says is read from standard input, as arguments are seen by everybody
    #[arg(long, value_name = "NAME")]
    header: Option<String>,
}

/// Does it.
pub(super) fn run(command: &LimitsCommand) -> u8 {
    let done = match command {
        LimitsCommand::Show { counters, policy, all, place } => {
            let mut fields = counters.fields();
            fields.extend(policy.clone().map(|name| ("policy", name)));
            let question = Question::get(&format!("{LIMITS}?{}", encode_form(&fields)));
            let shown = |value: &Value| {
                let unread = unread(value, counters.header.as_deref());
                unread.into_iter().for_each(|unread| complain(&format!("note: {unread}")));
                table(value, *all)
            };
            asking(place, "viewer").and_then(|asking| {
                let answer = ask(&asking, question, counters.named()?.as_ref())?;
                Ok(tell(&answer, place.json, &shown))
            })
        }
        LimitsCommand::Reset { counters, policy, ticket, place } => reset(counters, policy, ticket, place),
    };
    done.unwrap_or_else(|(code, text)| {
        complain(&text);
        code
    })
}

impl Counters {
    fn fields(&self) -> Vec<(&'static str, String)> {
        let given = [
            ("client", &self.client),
            ("organisation", &self.organisation),
            ("operation", &self.operation),
            ("customer", &self.customer),
            ("consent", &self.consent),
            ("resource", &self.resource),
            ("peer", &self.peer),
            ("provider", &self.provider),
        ];
        given.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect()
    }

    fn named(&self) -> Result<Option<Named>, (u8, String)> {
        let Some(header) = self.header.clone() else { return Ok(None) };
        Ok(Some(Named { header, somebody: somebody()? }))
    }
}

/// A header, and whom it names.
struct Named {
    header: String,
    somebody: Secret<String>,
}

fn reset(counters: &Counters, policy: &str, ticket: &str, place: &Place) -> Result<u8, (u8, String)> {
    let asking = asking(place, "editor")?;
    let named = counters.named()?;
    let mut fields = counters.fields();
    fields.push(("policy", policy.to_owned()));
    if let Some(named) = &named {
        // A header that no limit reads says nothing of whose counter it is: another one would be reset than was meant.
        let answer = ask(&asking, Question::get(&format!("{LIMITS}?{}", encode_form(&fields))), Some(named))?;
        if answer.status != 200 {
            return Ok(tell(&answer, place.json, &forgotten));
        }
        if let Some(unread) = unread(&answer.json().unwrap_or_default(), Some(&named.header)) {
            return Err((FAILED, format!("error: {unread}\n  nothing was reset")));
        }
    }
    fields.push(("ticket", ticket.to_owned()));
    let body: Map<String, Value> = fields.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
    let question = Question::post(&format!("{LIMITS}/resets"), &Value::Object(body));
    Ok(tell(&ask(&asking, question, named.as_ref())?, place.json, &forgotten))
}

fn asking(place: &Place, role: &str) -> Result<Asking, (u8, String)> {
    place.open(role).map_err(|text| (FAILED, text))
}

fn ask(asking: &Asking, question: Question, named: Option<&Named>) -> Result<Exchange, (u8, String)> {
    let question = match named {
        Some(named) => question.with(&named.header, named.somebody.expose()),
        None => question,
    };
    asking.ask(question).map_err(|text| (FAILED, text))
}

fn somebody() -> Result<Secret<String>, (u8, String)> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(INPUT_BYTES_MAX + 1).read_to_string(&mut text);
    let text = Secret::new(text);
    read.map_err(|error| (FAILED, format!("error: standard input cannot be read: {error}")))?;
    named(&text).map_err(|text| (USAGE, format!("error: {text}")))
}

// What is cut off or runs over lines would name somebody else, of whom nothing is counted.
fn named(text: &Secret<String>) -> Result<Secret<String>, String> {
    let named = text.expose().trim();
    if named.is_empty() {
        return Err("standard input has to say whom the header names".to_owned());
    }
    if text.expose().len() as u64 > INPUT_BYTES_MAX || named.chars().any(char::is_control) {
        return Err(format!("standard input has to be one line of at most {INPUT_BYTES_MAX} bytes"));
    }
    Ok(Secret::new(named.to_owned()))
}

fn tell(answer: &Exchange, json: bool, shown: &dyn Fn(&Value) -> String) -> u8 {
    let fine = answer.status == 200;
    let value = answer.json();
    if json {
        say(&format!("{}\n", value.unwrap_or_default()));
    } else if fine {
        say(&shown(&value.unwrap_or_default()));
    } else {
        complain(&refusal(answer.status, &value.unwrap_or_default()));
    }
    if fine { FINE } else { FAILED }
}

fn refusal(status: u16, value: &Value) -> String {
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(printable).unwrap_or_default();
    let mut told = format!("error: {status} {}\n  {}", text(value, "title"), text(value, "detail"));
    for fault in list(value, "errors") {
        told.push_str(&format!("\n  {} {}", text(fault, "pointer"), text(fault, "message")));
    }
    let next = text(value, "next");
    if !next.is_empty() {
        told.push_str(&format!("\n  {next}"));
    }
    told
}

/// Says that a header was given for nothing, if none of the limits counts by it; not of a list that is not whole.
fn unread(value: &Value, header: Option<&str>) -> Option<String> {
    let header = header.filter(|_| value.get("truncated").is_none())?;
    let known: BTreeSet<String> =
        list(value, "limits").filter_map(|limit| Some(printable(limit.get("header")?.as_str()?))).collect();
    if known.iter().any(|known| known.eq_ignore_ascii_case(header)) {
        return None;
    }
    let others = match known.is_empty() {
        true => "none of them counts by any".to_owned(),
        false => format!("they count by {}", known.into_iter().collect::<Vec<_>>().join(", ")),
    };
    Some(format!("no limit that is meant reads the header {}; {others}", printable(header)))
}

fn list<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn words(value: &Value, name: &str) -> Vec<String> {
    list(value, name).filter_map(Value::as_str).map(printable).collect()
}

fn forgotten(value: &Value) -> String {
    let counters = value.get("counters").and_then(Value::as_u64).unwrap_or_default();
    let names = words(value, "limits").join(", ");
    let told = match counters {
        0 => return format!("nothing was counted yet by {names}\n"),
        1 => format!("1 counter is as new: {names}\n"),
        _ => format!("{counters} counters are as new: {names}\n"),
    };
    let everybodys = words(value, "everybodys").join(", ");
    if everybodys.is_empty() {
        told
    } else {
        format!("{told}as new for everybody, as calls of everybody fill it: {everybodys}\n")
    }
}

/// Lays limits out in columns; what nothing was taken from is only counted, unless `all` are asked for.
fn table(value: &Value, all: bool) -> String {
    let (mut rows, mut unused) = (Vec::new(), 0_usize);
    for limit in list(value, "limits") {
        let number = |name: &str| limit.get(name).and_then(Value::as_u64);
        let needs = words(limit, "needs");
        let untouched = limit.get("untouched").and_then(Value::as_bool) == Some(true);
        if !all && needs.is_empty() && untouched {
            unused += 1;
            continue;
        }
        let of = limit.get("of").and_then(Value::as_object).into_iter().flatten();
        let everybodys = limit.get("everybodys").and_then(Value::as_bool) == Some(true);
        let everybody = everybodys.then(|| "everybody".to_owned()).into_iter();
        let of: Vec<String> = everybody.chain(of.filter_map(|(_, value)| value.as_str().map(printable))).collect();
        let text = |name: &str| number(name).map_or("-".to_owned(), |number| number.to_string());
        let wait = match number("retryAfterSeconds") {
            None => format!("needs {}", needed(limit, &needs)),
            Some(0) => "-".to_owned(),
            Some(seconds) => format!("{seconds} s"),
        };
        let name = limit.get("name").and_then(Value::as_str).map(printable).unwrap_or_default();
        let shadow = limit.get("mode").and_then(Value::as_str) == Some("report");
        let name = if shadow { format!("{name} (reports only)") } else { name };
        rows.push([name, of.join(" "), text("remaining"), text("capacity"), wait]);
    }
    let mut told = if rows.is_empty() { String::new() } else { columns(&rows) };
    if value.get("truncated").and_then(Value::as_bool) == Some(true) {
        told.push_str("There are more; ask by --operation or --policy.\n");
    }
    let more = if rows.is_empty() { "" } else { "more " };
    match unused {
        0 if rows.is_empty() => told.push_str("No limit counts these calls.\n"),
        0 => {}
        1 => told.push_str(&format!("1 {more}counter is as new; --all shows it.\n")),
        _ => told.push_str(&format!("{unused} {more}counters are as new; --all shows them.\n")),
    }
    told
}

// Whom a header names is said by that very header.
fn needed(limit: &Value, needs: &[String]) -> String {
    let header = limit.get("header").and_then(Value::as_str).map(printable);
    let named = |need: &String| match &header {
        Some(header) if need == "subject" => format!("subject (--header {header})"),
        _ => need.clone(),
    };
    needs.iter().map(named).collect::<Vec<_>>().join(", ")
}

fn columns(rows: &[[String; 5]]) -> String {
    let heads = ["LIMIT", "WHOSE", "LEFT", "OF", "WAIT"].map(str::to_owned);
    let lines: Vec<&[String; 5]> = std::iter::once(&heads).chain(rows).collect();
    let mut widths = [0_usize; 5];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line.iter()) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let [name, whose, left, of, _] = widths;
    let mut told = String::new();
    for [limit, who, remaining, capacity, wait] in lines {
        told.push_str(&format!("{limit:<name$}  {who:<whose$}  {remaining:>left$}  {capacity:>of$}  {wait}\n"));
    }
    told
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn limits_are_told_in_columns_and_what_is_unused_is_counted() {
        let answer = json!({"limits": [
            {"name": "standard:client:50/s", "per": ["client"], "of": {"client": "demo-app"}, "mode": "enforce", "remaining": 97, "capacity": 100, "retryAfterSeconds": 0},
            {"name": "payments", "of": {"operation": "pay\u{1b}"}, "everybodys": true, "mode": "report", "remaining": 0, "capacity": 5, "retryAfterSeconds": 12},
            {"name": "polls", "of": {}, "mode": "enforce", "needs": ["resource"], "capacity": 3},
            {"name": "unused", "of": {}, "mode": "enforce", "remaining": 9, "capacity": 9, "retryAfterSeconds": 0, "untouched": true},
        ]});
        assert_eq!(
            table(&answer, false),
            "LIMIT                    WHOSE           LEFT   OF  WAIT\n\
             standard:client:50/s     demo-app          97  100  -\n\
             payments (reports only)  everybody pay\u{fffd}     0    5  12 s\n\
             polls                                       -    3  needs resource\n\
             1 more counter is as new; --all shows it.\n"
        );
        assert!(table(&answer, true).ends_with("unused                                      9    9  -\n"));
        assert_eq!(table(&json!({"limits": []}), false), "No limit counts these calls.\n");
        let polls = |untouched: bool| json!({"name": "polls", "of": {}, "remaining": 1, "capacity": 3, "retryAfterSeconds": 0, "untouched": untouched});
        assert_eq!(table(&json!({"limits": [polls(true)]}), false), "1 counter is as new; --all shows it.\n");
        assert_eq!(
            table(&json!({"limits": [polls(true), polls(true)]}), false),
            "2 counters are as new; --all shows them.\n"
        );
        assert!(table(&json!({"limits": [polls(false)]}), false).ends_with("polls            1   3  -\n"));
        assert!(table(&json!({"limits": [], "truncated": true}), false).starts_with("There are more"));
    }

    #[test]
    fn whom_a_header_names_is_one_line_and_all_of_it() {
        let told = |text: String| named(&Secret::new(text)).map(|named| named.expose().len());
        let longest = usize::try_from(INPUT_BYTES_MAX).unwrap_or(0);
        for refused in
            [String::new(), " \n".to_owned(), "1\n2".to_owned(), "1\u{0}".to_owned(), "x".repeat(longest + 1)]
        {
            assert!(told(refused.clone()).is_err(), "{refused:?}");
        }
        assert_eq!(told("x".repeat(longest)), Ok(longest));
        assert_eq!(told(" 880101300011\n".to_owned()), Ok(12));
    }

    #[test]
    fn a_header_that_no_limit_reads_is_told() {
        let needs =
            json!({"limits": [{"name": "lookups", "needs": ["client", "subject"], "header": "x-payer-id"}, {}]});
        assert!(table(&needs, false).contains("needs client, subject (--header x-payer-id)\n"));
        assert_eq!((unread(&needs, None), unread(&needs, Some("X-Payer-Id"))), (None, None));
        let told = "no limit that is meant reads the header x-payerid; they count by x-payer-id";
        assert_eq!(unread(&needs, Some("x-payerid")).as_deref(), Some(told));
        let told = "no limit that is meant reads the header x-payer-id; none of them counts by any";
        assert_eq!(unread(&json!({"limits": [{}]}), Some("x-payer-id")).as_deref(), Some(told));
        assert_eq!(unread(&json!({"limits": [{}], "truncated": true}), Some("x-payer-id")), None);
    }

    #[test]
    fn what_was_forgotten_is_told() {
        assert_eq!(forgotten(&json!({"counters": 0, "limits": ["a", "b"]})), "nothing was counted yet by a, b\n");
        assert_eq!(forgotten(&json!({"counters": 1, "limits": ["a"]})), "1 counter is as new: a\n");
        assert_eq!(forgotten(&json!({"counters": 2, "limits": ["a"]})), "2 counters are as new: a\n");
        let all = forgotten(&json!({"counters": 1, "limits": ["a", "b"], "everybodys": ["b"]}));
        assert_eq!(all, "1 counter is as new: a, b\nas new for everybody, as calls of everybody fill it: b\n");
    }

    #[test]
    fn a_refusal_tells_what_is_missing() {
        let told = refusal(
            400,
            &json!({"title": "t", "detail": "d", "errors": [{"pointer": "/resource", "message": "`resource` is needed"}]}),
        );
        assert_eq!(told, "error: 400 t\n  d\n  /resource `resource` is needed");
        let told = refusal(404, &json!({"title": "t", "detail": "d", "next": "n"}));
        assert_eq!(told, "error: 404 t\n  d\n  n");
    }
}
