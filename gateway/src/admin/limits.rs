//! What administrators ask about limits: how much is left of them for somebody, and that one be counted anew.

use std::collections::{BTreeMap, BTreeSet};

use adapters::keys::Sealer;
use adapters::limit::limits::Asked;
use http::StatusCode;
use policies::admin::AdminRole;
use policies::code::Code;
use policies::limit::{Dimension, Limit, Mode, Values};
use policies::national::iin::Iin;
use policies::rulebook::{Client, Rulebook};
use serde_json::{Value, json};
use spine::Reply;
use spine::error::{PointedFault, Rejection};
use spine::stage::Cleared;

use super::role::{READERS, allow};
use crate::asked::checked;
use crate::generation::Generation;
use crate::house::House;
use crate::limits::{Counter, Sought, Unfound, counted, is_named, is_whole_name, page, read, whose};
use crate::metering::{Made, keyed, one_peer};
use crate::reply::json_reply;

/// The most names of a kind in an audit record's reference: the trail is no place for long lists.
const NAMED_MAX: usize = 8;

/// Whose calls are meant: those of a client, of all clients of an organisation, or of whoever calls.
struct Whom<'a> {
    client: Option<&'a Client>,
    organisation: Option<&'a str>,
    planned: Vec<&'a Limit>,
}

/// Tells how much is left of limits.
pub(super) async fn list(house: &House, generation: &Generation, cleared: &Cleared) -> Result<Reply, Rejection> {
    allow(cleared, &READERS)?;
    let query = cleared.head.uri.query().unwrap_or_default();
    // Whatever cannot be read here was refused by `validate`.
    let fields = openapi::form_fields(query.as_bytes()).unwrap_or_default();
    let given = |name: &str| fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let whom = whom(&generation.rulebook, &given, "query:")?;
    let peer = peer(given("peer"), "query:")?;
    let made = made(house, generation, &whom, cleared).of_named(given("resource"), peer);
    let found = found(&whom, &made, generation, cleared, &given)?;
    let told = read(house, &found, whom.owner(), cleared).await?;
    let told = told.into_iter().zip(&found).map(|(mut told, counter)| {
        told.insert("of".to_owned(), Value::Object(whose(counter, is_told)));
        told.insert("mode".to_owned(), json!(counter.limit.mode.word()));
        if counter.is_everybodys() {
            told.insert("everybodys".to_owned(), json!(true));
        }
        Value::Object(told)
    });
    Ok(json_reply(StatusCode::OK, &page(told.collect(), found.len(), cleared)))
}

/// Notes in the trail whose counters somebody is about to reset, and why: whatever happens then, this was meant.
pub(super) fn announce_reset(house: &House, generation: &Generation, cleared: &Cleared) -> Result<(), Rejection> {
    allow(cleared, &[AdminRole::Editor])?;
    let order = Order::of(house, generation, cleared)?;
    let counters = order.counters(generation, cleared)?;
    cleared.trail.note_reference(&order.told(&counters, &house.sealer));
    Ok(())
}

/// Forgets what a limit has counted; who asked, of whom and which limit is in the trail.
pub(super) async fn reset(house: &House, generation: &Generation, cleared: &Cleared) -> Result<Reply, Rejection> {
    allow(cleared, &[AdminRole::Editor])?;
    let order = Order::of(house, generation, cleared)?;
    let found = order.counters(generation, cleared)?;
    let limits = counted(&found);
    let (owner, now) = (order.whom.owner(), house.clock.now());
    let asked = Asked { limits: &limits, owner, call: cleared.interaction.as_str(), now };
    let counters = house.limiter.reset(&asked).await;
    let counters = counters.map_err(|outage| Rejection::outage(Code::DependencyDown, &outage))?;
    let mut body = json!({"at": cleared.received.to_string(), "counters": counters, "limits": names(found.iter())});
    let everybodys = names(found.iter().filter(|counter| counter.is_everybodys()));
    if let (false, Some(body)) = (everybodys.is_empty(), body.as_object_mut()) {
        body.insert("everybodys".to_owned(), json!(everybodys));
    }
    Ok(json_reply(StatusCode::OK, &body))
}

/// What is to be reset.
struct Order<'a> {
    body: &'a Value,
    whom: Whom<'a>,
    made: Made,
}

impl<'a> Order<'a> {
    fn of(house: &House, generation: &'a Generation, cleared: &'a Cleared) -> Result<Self, Rejection> {
        let body = checked(cleared)?;
        let given = |name: &str| body.get(name).and_then(Value::as_str);
        if given("ticket").is_some_and(names_somebody) {
            let message = "the number of a person may not stand in the trail".to_owned();
            let fault = PointedFault { pointer: "/ticket".to_owned(), keyword: "iin".to_owned(), message };
            return Err(Rejection::new(Code::SchemaViolation, "A ticket names nobody.").faults(vec![fault]));
        }
        let whom = whom(&generation.rulebook, &given, "/")?;
        let peer = peer(given("peer"), "/")?;
        let made = made(house, generation, &whom, cleared).of_named(given("resource"), peer);
        Ok(Self { body, whom, made })
    }

    fn given(&self, name: &str) -> Option<&'a str> {
        self.body.get(name).and_then(Value::as_str)
    }

    /// Finds the counters, all of which are known: half of what was asked would look like all of it.
    fn counters(&'a self, generation: &'a Generation, cleared: &'a Cleared) -> Result<Vec<Counter<'a>>, Rejection> {
        let found = found(&self.whom, &self.made, generation, cleared, &|name| self.given(name))?;
        let needs: BTreeSet<Dimension> = found.iter().flat_map(Counter::needs).collect();
        if !needs.is_empty() {
            let needed = |dimension: Dimension| lacking(&format!("/{}", dimension.word()), dimension.word());
            let detail = "It is not said which counters are meant; nothing was reset.";
            return Err(Rejection::new(Code::SchemaViolation, detail).faults(needs.into_iter().map(needed).collect()));
        }
        let policy = self.given("policy").unwrap_or_default();
        let unsaid = |counter: &&Counter<'_>| counter.is_everybodys() && !is_whole_name(counter.limit, policy);
        let unsaid = names(found.iter().filter(unsaid));
        if unsaid.is_empty() {
            return Ok(found);
        }
        let fault = |name: &&str| PointedFault {
            pointer: "/policy".to_owned(),
            keyword: "const".to_owned(),
            message: format!("`{name}` counts calls of everybody: reset it by this whole name"),
        };
        let detail = "What is as new for everybody is reset by its whole name alone; nothing was reset.";
        let faults = unsaid.iter().take(NAMED_MAX).map(fault).collect();
        Err(Rejection::new(Code::SchemaViolation, detail).faults(faults))
    }

    /// Tells what is reset and why, in words that may stay for good: what tells of a person stands there as a keyed hash.
    fn told(&self, counters: &[Counter<'_>], sealer: &Sealer) -> String {
        let mut told = vec![match (self.whom.client, self.whom.organisation) {
            (Some(client), _) => format!("{}={}", Dimension::Client.word(), client.id.as_str()),
            (None, Some(organisation)) => format!("{}={organisation}", Dimension::Organisation.word()),
            (None, None) => String::new(),
        }];
        told.push(listed("limit", names(counters.iter()).into_iter().map(str::to_owned)));
        // Client or organisation stands at the beginning.
        let noted = |dimension: &Dimension| !matches!(dimension, Dimension::Client | Dimension::Organisation);
        for dimension in Dimension::ALL.into_iter().filter(noted) {
            let values: BTreeSet<&str> = counters.iter().filter_map(|counter| counter.values.of(dimension)).collect();
            let written = values.into_iter().map(|value| match dimension {
                Dimension::Operation | Dimension::Api => value.to_owned(),
                // Hashed when it came: nobody here knows what the header says.
                Dimension::Subject => format!("keyed:{value}"),
                Dimension::Consent | Dimension::Provider if is_plain(value) => value.to_owned(),
                _ => format!("keyed:{}", keyed(sealer, value)),
            });
            told.push(listed(dimension.word(), written));
        }
        told.push(listed("ticket", self.given("ticket").map(str::to_owned).into_iter()));
        told.retain(|part| !part.is_empty());
        told.join(" ")
    }
}

// Whom a header names is known as a hash alone, which helps nobody.
fn is_told(dimension: Dimension) -> bool {
    dimension != Dimension::Subject
}

/// Names the limits of counters, each once.
fn names<'c>(counters: impl Iterator<Item = &'c Counter<'c>>) -> BTreeSet<&'c str> {
    counters.map(|counter| &*counter.limit.id).collect()
}

fn listed(name: &str, values: impl ExactSizeIterator<Item = String>) -> String {
    let count = values.len();
    let mut shown: Vec<String> = values.take(NAMED_MAX).collect();
    match count {
        0 => return String::new(),
        _ if count > NAMED_MAX => shown.push(format!("+{}", count - NAMED_MAX)),
        _ => {}
    }
    format!("{name}={}", shown.join(","))
}

// What somebody has typed may be anything; the trail keeps it for good.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte)) && !names_somebody(text)
}

fn names_somebody(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_digit()).any(|digits| Iin::parse(digits).is_ok())
}

impl Whom<'_> {
    fn owner(&self) -> &str {
        self.client.map_or("", |client| client.id.as_str())
    }

    fn is_anybody(&self) -> bool {
        self.organisation.is_none()
    }
}

fn whom<'a>(
    rulebook: &'a Rulebook,
    given: &(dyn Fn(&str) -> Option<&'a str> + Sync),
    before: &str,
) -> Result<Whom<'a>, Rejection> {
    match (given("client"), given("organisation")) {
        (Some(id), None) => {
            let client = rulebook.clients.values().find(|client| client.id.as_str() == id);
            let client =
                client.ok_or_else(|| Rejection::new(Code::NotFound, "No policy knows a client of this id."))?;
            let planned = client.plan.limits.iter().collect();
            Ok(Whom { client: Some(client), organisation: Some(client.organisation.id.as_str()), planned })
        }
        (None, Some(id)) => {
            let known = rulebook.organisations.keys().find(|known| known.as_str() == id);
            let known =
                known.ok_or_else(|| Rejection::new(Code::NotFound, "No policy knows an organisation of this id."))?;
            let clients = rulebook.clients.values().filter(|client| client.organisation.id == *known);
            let planned = clients.flat_map(|client| &client.plan.limits).collect();
            Ok(Whom { client: None, organisation: Some(known.as_str()), planned })
        }
        // What counts by them is told, and what it needs: whoever does not know the limits finds them by this.
        (None, None) => {
            let all = rulebook.clients.values().flat_map(|client| &client.plan.limits);
            let planned: BTreeMap<&str, &Limit> = all.map(|limit| (&*limit.id, limit)).collect();
            Ok(Whom { client: None, organisation: None, planned: planned.into_values().collect() })
        }
        (Some(_), Some(_)) => {
            let pointer = format!("{before}organisation");
            let message = "`organisation` may not stand beside `client`".to_owned();
            let fault = PointedFault { pointer, keyword: "not".to_owned(), message };
            let detail = "A client has one organisation: name the one or the other.";
            Err(Rejection::new(Code::SchemaViolation, detail).faults(vec![fault]))
        }
    }
}

fn peer(written: Option<&str>, before: &str) -> Result<Option<String>, Rejection> {
    let Some(written) = written else { return Ok(None) };
    if let Some(peer) = one_peer(written) {
        return Ok(Some(peer));
    }
    let message = "`peer` is an IPv4 address, an IPv6 one, or the /64 of one".to_owned();
    let fault = PointedFault { pointer: format!("{before}peer"), keyword: "format".to_owned(), message };
    Err(Rejection::new(Code::SchemaViolation, "Nobody calls from what is no address.").faults(vec![fault]))
}

fn found<'a>(
    whom: &Whom<'a>,
    made: &'a Made,
    generation: &'a Generation,
    cleared: &'a Cleared,
    given: &(dyn Fn(&str) -> Option<&'a str> + Sync),
) -> Result<Vec<Counter<'a>>, Rejection> {
    // What needs a client first has no counter yet: one line tells of all its operations.
    let told_apart = |limit: &Limit| !whom.is_anybody() || given("operation").is_some() || limit.concerns(false);
    let sought = Sought {
        planned: whom.planned.clone(),
        client: whom.client,
        strangers: whom.is_anybody(),
        name: given("policy"),
        operation: given("operation"),
        // What only one client fills is no business of its organisation's other ones, and not known by it alone.
        tells: &|limit| whom.client.is_some() || whom.is_anybody() || !limit.per.contains(&Dimension::Client),
        // Calls are counted before it is asked whether they may be made.
        calls: &|_| true,
        values: &|limit, policy| Values {
            client: whom.client.map(|client| client.id.as_str()),
            organisation: whom.organisation,
            operation: told_apart(limit).then_some(policy.operation.as_str()),
            api: told_apart(limit).then_some(policy.api.as_str()),
            customer: given("customer"),
            consent: given("consent"),
            subject: made.values(cleared, limit).subject,
            resource: made.values(cleared, limit).resource,
            peer: made.values(cleared, limit).peer,
            provider: given("provider"),
        },
    };
    let found = sought.found(&generation.rulebook);
    if found.is_empty() && (sought.name.is_some() || sought.operation.is_some()) {
        return Err(unfound(whom, &sought, &generation.rulebook));
    }
    Ok(found)
}

fn unfound<'a>(whom: &Whom<'_>, sought: &Sought<'a, '_>, rulebook: &'a Rulebook) -> Rejection {
    let operation = || rulebook.operations.values().find(|policy| sought.operation == Some(policy.operation.as_str()));
    let known = || {
        let of_operations = rulebook.operations.values().flat_map(|policy| &policy.limits);
        let mut all = of_operations.chain(rulebook.clients.values().flat_map(|client| &client.plan.limits));
        sought.name.is_none_or(|name| all.any(|limit| limit.mode != Mode::Off && is_named(limit, name)))
    };
    let listed =
        "`GET /admin/limits` without `operation` and `policy` lists limits by name (`qaqpa limits show --all`).";
    let public = "Ask without `client` and `organisation`: what counts calls of whoever makes them is found then.";
    let (detail, next) = match sought.unfound(rulebook) {
        Unfound::Operation if operation().is_some() => {
            ("Nobody who calls this operation is known as a client.", public)
        }
        Unfound::Operation => ("No operation has this id.", "Say an `operationId` (`qaqpa routes` lists them)."),
        _ if !known() => ("No limit has this name, or it is off.", listed),
        Unfound::Limit if whom.is_anybody() => ("No limit of this name counts any calls.", listed),
        Unfound::Limit if whom.client.is_some() => ("No limit of this name counts calls of this client.", listed),
        Unfound::Limit => ("No limit of this name counts calls of all clients of this organisation together.", listed),
        Unfound::Both if sought.name.is_some() => ("No limit of this name counts calls of this operation.", listed),
        Unfound::Both => ("No limit counts these calls of this operation.", listed),
    };
    Rejection::new(Code::NotFound, detail).next(next)
}

// Whom limits count by a header is read from that very header of the administrator's request.
fn made(house: &House, generation: &Generation, whom: &Whom<'_>, cleared: &Cleared) -> Made {
    let of_operations = generation.rulebook.operations.values().flat_map(|policy| &policy.limits);
    let all = of_operations.chain(whom.planned.iter().copied());
    let by_header = all.filter(|limit| limit.mode != Mode::Off && limit.subject.is_some());
    Made::of(cleared, &house.sealer, by_header)
}

fn lacking(pointer: &str, name: &str) -> PointedFault {
    PointedFault { pointer: pointer.to_owned(), keyword: "required".to_owned(), message: format!("`{name}` is needed") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_in_the_trail_is_cut_and_says_so() {
        let all = |count: usize| listed("limit", (0..count).map(|number| number.to_string()));
        assert_eq!(all(0), "");
        assert_eq!(all(NAMED_MAX), "limit=0,1,2,3,4,5,6,7");
        assert_eq!(all(NAMED_MAX + 1), "limit=0,1,2,3,4,5,6,7,+1");
    }

    #[test]
    fn what_names_somebody_or_could_be_read_as_something_else_is_not_kept_as_it_is() {
        for plain in ["sandbox-face", "018f3c1e-9d84-7e4f-a031-5c7d9e1f2031", "urn:consent:1.2_3"] {
            assert!(is_plain(plain), "{plain}");
        }
        for other in ["810202200109", "c-810202200109", "a b", "a,b", "a=b", "a\nb", "имя"] {
            assert!(!is_plain(other), "{other}");
        }
    }
}
