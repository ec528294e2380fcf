//! What administrators ask about limits: how much is left of them for somebody, and that one be counted anew.

use std::collections::BTreeSet;

use adapters::limit::limits::Asked;
use http::StatusCode;
use policies::admin::AdminRole;
use policies::code::Code;
use policies::limit::{Dimension, Limit, Mode, Values};
use policies::rulebook::{Client, Rulebook};
use serde_json::{Value, json};
use spine::Reply;
use spine::error::{PointedFault, Rejection};
use spine::stage::Cleared;

use super::role::{READERS, allow};
use crate::asked::checked;
use crate::generation::Generation;
use crate::house::House;
use crate::limits::{Counter, Sought, counted, page, read, whose};
use crate::metering::Made;
use crate::reply::json_reply;

/// The most names in an audit record's reference: the trail is no place for long lists.
const NAMED_MAX: usize = 8;

/// Whom the dimensions name that are told; whom a header names is known as a hash alone, which helps nobody.
const TOLD: [Dimension; 9] = [
    Dimension::Client,
    Dimension::Organisation,
    Dimension::Operation,
    Dimension::Api,
    Dimension::Customer,
    Dimension::Consent,
    Dimension::Resource,
    Dimension::Peer,
    Dimension::Provider,
];

/// Whose calls are meant.
struct Whom<'a> {
    client: Option<&'a Client>,
    organisation: &'a str,
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
    let made = made(house, generation, &whom, cleared).of_named(given("resource"), given("peer"));
    let found = found(&whom, &made, generation, cleared, &given)?;
    let told = read(house, &found, whom.owner(), cleared).await?;
    let told = told.into_iter().zip(&found).map(|(mut told, counter)| {
        told.insert("of".to_owned(), Value::Object(whose(counter, &TOLD)));
        told.insert("mode".to_owned(), json!(counter.limit.mode.word()));
        Value::Object(told)
    });
    Ok(json_reply(StatusCode::OK, &page(told.collect(), found.len(), cleared)))
}

/// Forgets what a limit has counted; who asked, of whom and which limit is in the trail.
pub(super) async fn reset(house: &House, generation: &Generation, cleared: &Cleared) -> Result<Reply, Rejection> {
    allow(cleared, &[AdminRole::Editor])?;
    let body = checked(cleared)?;
    let given = |name: &str| body.get(name).and_then(Value::as_str);
    let whom = whom(&generation.rulebook, &given, "/")?;
    let made = made(house, generation, &whom, cleared).of_named(given("resource"), given("peer"));
    let found = found(&whom, &made, generation, cleared, &given)?;
    let needs: BTreeSet<Dimension> = found.iter().flat_map(Counter::needs).collect();
    if !needs.is_empty() {
        // Half of what was asked would look like all of it.
        let faults = needs.into_iter().map(|dimension| lacking(&format!("/{}", dimension.word()), dimension.word()));
        return Err(Rejection::new(
            Code::SchemaViolation,
            "It is not said which counters are meant; nothing was reset.",
        )
        .faults(faults.collect()));
    }
    let names: BTreeSet<&str> = found.iter().map(|counter| &*counter.limit.id).collect();
    let reference: Vec<&str> = std::iter::once(whom.name()).chain(names.iter().copied().take(NAMED_MAX)).collect();
    cleared.trail.note_reference(&reference.join(" "));
    let limits = counted(&found);
    let asked =
        Asked { limits: &limits, owner: whom.owner(), call: cleared.interaction.as_str(), now: house.clock.now() };
    let counters = house.limiter.reset(&asked).await;
    let counters = counters.map_err(|outage| Rejection::outage(Code::DependencyDown, &outage))?;
    let body = json!({"at": cleared.received.to_string(), "counters": counters, "limits": names});
    Ok(json_reply(StatusCode::OK, &body))
}

impl Whom<'_> {
    fn owner(&self) -> &str {
        self.client.map_or("", |client| client.id.as_str())
    }

    fn name(&self) -> &str {
        self.client.map_or(self.organisation, |client| client.id.as_str())
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
            Ok(Whom { client: Some(client), organisation: client.organisation.id.as_str(), planned })
        }
        (None, Some(id)) => {
            let known = rulebook.organisations.keys().find(|known| known.as_str() == id);
            let known =
                known.ok_or_else(|| Rejection::new(Code::NotFound, "No policy knows an organisation of this id."))?;
            let clients = rulebook.clients.values().filter(|client| client.organisation.id == *known);
            let planned = clients.flat_map(|client| &client.plan.limits).collect();
            Ok(Whom { client: None, organisation: known.as_str(), planned })
        }
        (one, _) => {
            let detail = "Either a client or an organisation has to be named, and not both.";
            let name = if one.is_some() { "organisation" } else { "client" };
            let fault = lacking(&format!("{before}{name}"), name);
            Err(Rejection::new(Code::SchemaViolation, detail).faults(vec![fault]))
        }
    }
}

fn found<'a>(
    whom: &Whom<'a>,
    made: &'a Made,
    generation: &'a Generation,
    cleared: &'a Cleared,
    given: &(dyn Fn(&str) -> Option<&'a str> + Sync),
) -> Result<Vec<Counter<'a>>, Rejection> {
    let sought = Sought {
        planned: whom.planned.clone(),
        client: whom.client,
        name: given("policy"),
        operation: given("operation"),
        // What only one client fills is no business of its organisation's other ones, and not known by it alone.
        tells: &|limit| whom.client.is_some() || !limit.per.contains(&Dimension::Client),
        // Calls are counted before it is asked whether they may be made.
        calls: &|_| true,
        values: &|limit, policy| Values {
            client: whom.client.map(|client| client.id.as_str()),
            organisation: Some(whom.organisation),
            operation: Some(policy.operation.as_str()),
            api: Some(policy.api.as_str()),
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
        return Err(Rejection::new(Code::NotFound, "No limit of this name counts these calls."));
    }
    Ok(found)
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
