//! What is left of limits, for who may know it: which counters there are, and what they say.
//!
//! Must never tell a client of a counter that others fill too, nor take anything from one that is read.

use std::collections::HashSet;

use adapters::limit::limits::{Asked, Counted};
use http::StatusCode;
use policies::caller::Caller;
use policies::code::Code;
use policies::decide::could_call;
use policies::facts::Security;
use policies::limit::{Dimension, Limit, LimitKey, Mode, Shape, Values, Verdict};
use policies::rulebook::{Client, OperationPolicy, Rulebook};
use policies::token::Citizen;
use serde_json::{Map, Value, json};
use spine::Reply;
use spine::error::Rejection;
use spine::rate_limit::{Allotment, is_own, whole_seconds};
use spine::stage::Cleared;

use crate::asked::no_client;
use crate::generation::Generation;
use crate::house::House;
use crate::metering::{Made, one_spelling};
use crate::reply::json_reply;

/// The most counters of one answer, as the contract says.
pub(crate) const COUNTERS_MAX: usize = 500;

/// Where a limit is read.
const PLACE: &str = "/v1/limits/";

/// One counter of a limit, as far as it is known which.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counter<'a> {
    /// The limit.
    pub(crate) limit: &'a Limit,
    /// What is counted by it, of the limit's own dimensions.
    pub(crate) values: Values<'a>,
}

impl Counter<'_> {
    /// Returns what would have to be said for it to be found.
    pub(crate) fn needs(&self) -> Vec<Dimension> {
        self.limit.per.iter().copied().filter(|dimension| self.values.of(*dimension).is_none()).collect()
    }

    /// Tells whether calls of everybody fill it, whoever they are and whatever they ask for.
    pub(crate) fn is_everybodys(&self) -> bool {
        let of_all = [Dimension::Operation, Dimension::Api, Dimension::Provider];
        self.limit.per.iter().all(|dimension| of_all.contains(dimension))
    }
}

/// Which counters are looked for.
pub(crate) struct Sought<'a, 'f> {
    /// The limits of plans; they count calls of clients alone.
    pub(crate) planned: Vec<&'a Limit>,
    /// The client whose calls are counted; none for those of a whole organisation, and of whoever calls.
    pub(crate) client: Option<&'a Client>,
    /// Whether calls that no client makes are meant too.
    pub(crate) strangers: bool,
    /// The name of the limit, or how it begins; any if it is not said.
    pub(crate) name: Option<&'f str>,
    /// The operation that is called; any if it is not said.
    pub(crate) operation: Option<&'f str>,
    /// Which limits may be told.
    pub(crate) tells: &'f (dyn Fn(&Limit) -> bool + Sync),
    /// Which operations are meant.
    pub(crate) calls: &'f (dyn Fn(&OperationPolicy) -> bool + Sync),
    /// What a call of an operation is counted as by a limit.
    pub(crate) values: &'f (dyn Fn(&'a Limit, &'a OperationPolicy) -> Values<'a> + Sync),
}

/// Why no counter is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfound {
    /// No such operation is among those that are meant.
    Operation,
    /// No limit that may be told is called so.
    Limit,
    /// There are both, and the one does not count the other.
    Both,
}

impl<'a> Sought<'a, '_> {
    /// Finds the counters, those of plans first; none where there is no such operation.
    pub(crate) fn found(&self, rulebook: &'a Rulebook) -> Vec<Counter<'a>> {
        self.found_at(&self.operations(rulebook))
    }

    /// Tells what is not known, where nothing was found.
    pub(crate) fn unfound(&self, rulebook: &'a Rulebook) -> Unfound {
        if self.operations(rulebook).is_empty() {
            return Unfound::Operation;
        }
        let everywhere = Self { operation: None, planned: self.planned.clone(), ..*self };
        if everywhere.found(rulebook).is_empty() { Unfound::Limit } else { Unfound::Both }
    }

    fn operations(&self, rulebook: &'a Rulebook) -> Vec<&'a OperationPolicy> {
        let all = rulebook.operations.values().map(AsRef::as_ref);
        all.filter(|policy| (self.strangers || counts_clients(policy.security)) && (self.calls)(policy))
            .filter(|policy| self.operation.is_none_or(|operation| operation == policy.operation.as_str()))
            .collect()
    }

    fn found_at(&self, operations: &[&'a OperationPolicy]) -> Vec<Counter<'a>> {
        let of_clients = || operations.iter().filter(|policy| counts_clients(policy.security));
        let planned = self.planned.iter().flat_map(|limit| of_clients().map(|policy| (*limit, *policy)));
        let own = operations.iter().flat_map(|policy| self.of_operation(policy).map(|limit| (limit, *policy)));
        let mut known = HashSet::new();
        let mut found = Vec::new();
        for (limit, policy) in planned.chain(own) {
            let sought =
                limit.mode != Mode::Off && (self.tells)(limit) && self.name.is_none_or(|name| is_named(limit, name));
            // A limit by consents counts no call that is made without one.
            let counts = policy.consent.is_some() || !limit.per.contains(&Dimension::Consent);
            if !sought || !counts || !limit.when.concerns(Some(policy.operation.as_str())) {
                continue;
            }
            let values = only(limit, &(self.values)(limit, policy));
            if known.insert(LimitKey::of(limit, &values)) {
                found.push(Counter { limit, values });
            }
        }
        found
    }

    fn of_operation(&self, policy: &'a OperationPolicy) -> impl Iterator<Item = &'a Limit> {
        let of_client = self.client.map(|client| policy.limits_of(Some(client)));
        // Where nobody is known to be a client, nothing is counted by clients.
        let counts = |limit: &&Limit| limit.concerns(counts_clients(policy.security));
        let of_all = self.client.is_none().then(|| policy.limits.iter().filter(counts));
        of_client.into_iter().flatten().chain(of_all.into_iter().flatten())
    }
}

/// Answers a client about its own limits: about all of them, or about one.
pub(crate) async fn own(house: &House, generation: &Generation, cleared: &Cleared) -> Result<Reply, Rejection> {
    let client = cleared.caller().client().ok_or_else(no_client)?;
    let query = cleared.head.uri.query().unwrap_or_default();
    // Whatever cannot be read here was refused by `validate`.
    let fields = openapi::form_fields(query.as_bytes()).unwrap_or_default();
    let given = |name: &str| fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let operations = generation.rulebook.operations.values();
    let all = client.plan.limits.iter().chain(operations.flat_map(|policy| &policy.limits));
    let made = Made::of(cleared, &house.sealer, all);
    let resource = given("resource").map(one_spelling);
    let sought = Sought {
        planned: client.plan.limits.iter().collect(),
        client: Some(client),
        strangers: false,
        name: cleared.matched().parameter("policy"),
        operation: given("operation"),
        tells: &|limit| limit.mode == Mode::Enforce && is_own(limit),
        calls: &|policy| could_call(policy, client, cleared.peer.address, cleared.received).is_ok(),
        values: &|limit, policy| Values {
            operation: Some(policy.operation.as_str()),
            api: Some(policy.api.as_str()),
            consent: consent(cleared.caller(), policy),
            resource: resource.as_deref(),
            provider: given("provider"),
            ..made.values(cleared, limit)
        },
    };
    let found = sought.found(&generation.rulebook);
    if found.is_empty() && (sought.name.is_some() || sought.operation.is_some()) {
        return Err(unfound(&sought, &generation.rulebook));
    }
    let told = read(house, &found, client.id.as_str(), cleared).await?;
    let told = told.into_iter().zip(&found).map(|(mut told, counter)| {
        told.insert("path".to_owned(), json!(format!("{PLACE}{}", path_name(&counter.limit.id))));
        let of = whose(counter, |dimension| {
            matches!(dimension, Dimension::Operation | Dimension::Api | Dimension::Resource | Dimension::Provider)
        });
        if !of.is_empty() {
            told.insert("of".to_owned(), Value::Object(of));
        }
        Value::Object(told)
    });
    Ok(json_reply(StatusCode::OK, &page(told.collect(), found.len(), cleared)))
}

// What others may call, and how that is counted, is told to nobody: it is as unknown as what there is not.
fn unfound<'a>(sought: &Sought<'a, '_>, rulebook: &'a Rulebook) -> Rejection {
    let (detail, next) = match sought.unfound(rulebook) {
        Unfound::Operation => (
            "Your client can call no operation of this id.",
            "Say an `operationId` of a contract; without `operation` all limits of your client are listed.",
        ),
        Unfound::Limit => {
            ("No limit of this name counts calls of your client.", "`GET /v1/limits` lists them by name.")
        }
        Unfound::Both if sought.name.is_some() => (
            "No limit of this name counts calls of this operation.",
            "Without `operation` it is told what it counts; `GET /v1/limits` lists all limits by name.",
        ),
        Unfound::Both => ("No limit counts calls of this operation.", "`GET /v1/limits` lists all limits by name."),
    };
    Rejection::new(Code::NotFound, detail).next(next)
}

/// Reads so many counters as an answer tells; of one that is not known, says what is needed.
///
/// # Errors
/// [`Code::DependencyDown`] if the store that all gateways share does not answer.
pub(crate) async fn read(
    house: &House,
    found: &[Counter<'_>],
    owner: &str,
    cleared: &Cleared,
) -> Result<Vec<Map<String, Value>>, Rejection> {
    let shown = found.get(..COUNTERS_MAX).unwrap_or(found);
    let limits = counted(shown);
    let asked = Asked { limits: &limits, owner, call: cleared.interaction.as_str(), now: house.clock.now() };
    let read = if limits.is_empty() { Ok(Vec::new()) } else { house.limiter.read(&asked).await };
    let read = read.map_err(|outage| Rejection::outage(Code::DependencyDown, &outage))?;
    let mut verdicts = read.iter();
    let told = shown.iter().map(|counter| {
        let needs = counter.needs();
        let verdict = if needs.is_empty() { verdicts.next() } else { None };
        told(counter, &needs, verdict)
    });
    Ok(told.collect())
}

/// Puts counters into words that a limiter understands; those that are not known are left out.
pub(crate) fn counted<'a>(found: &[Counter<'a>]) -> Vec<Counted<'a>> {
    let known = found.iter().filter(|counter| counter.needs().is_empty());
    known.map(|counter| Counted { limit: counter.limit, values: counter.values, thing: None }).collect()
}

/// Makes the page of what was told; there may be more than it holds.
pub(crate) fn page(told: Vec<Value>, found: usize, cleared: &Cleared) -> Value {
    let truncated = found > told.len();
    let mut page = json!({"at": cleared.received.to_string(), "limits": told});
    if let (true, Some(page)) = (truncated, page.as_object_mut()) {
        page.insert("truncated".to_owned(), json!(true));
    }
    page
}

/// Tells whose counter it is, as far as the dimensions that are told do.
pub(crate) fn whose(counter: &Counter<'_>, is_told: impl Fn(Dimension) -> bool) -> Map<String, Value> {
    let counted = Dimension::ALL.into_iter().filter(|dimension| counter.limit.per.contains(dimension));
    let told = counted.filter(|dimension| is_told(*dimension));
    let known = told.filter_map(|dimension| Some((dimension.word(), counter.values.of(dimension)?)));
    known.map(|(word, value)| (word.to_owned(), json!(value))).collect()
}

/// Tells whether a limit is called so: its whole name, as it stands in a path too, or the word it begins with.
pub(crate) fn is_named(limit: &Limit, name: &str) -> bool {
    name == limit.id.split(':').next().unwrap_or_default() || is_whole_name(limit, name)
}

/// Tells whether this is the whole name of a limit, also as it stands in a path.
pub(crate) fn is_whole_name(limit: &Limit, name: &str) -> bool {
    name == &*limit.id || path_name(name) == path_name(&limit.id)
}

// Only what stands in a path as it is, whatever escapes it: a path has one spelling.
fn path_name(id: &str) -> String {
    id.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_') { c } else { '~' }).collect()
}

fn told(counter: &Counter<'_>, needs: &[Dimension], verdict: Option<&Verdict>) -> Map<String, Value> {
    let words = |dimensions: &[Dimension]| dimensions.iter().map(|dimension| dimension.word()).collect::<Vec<_>>();
    let (limit, allotment) = (counter.limit, Allotment::of(counter.limit));
    let mut told = Map::new();
    told.insert("name".to_owned(), json!(&*limit.id));
    told.insert("per".to_owned(), json!(words(&limit.per)));
    told.insert("shape".to_owned(), json!(shape(&limit.shape)));
    told.insert("capacity".to_owned(), json!(verdict.map_or(allotment.quota, |verdict| verdict.capacity)));
    if let Some(seconds) = allotment.window_seconds() {
        told.insert("windowSeconds".to_owned(), json!(seconds));
    }
    if let Some(header) = &limit.subject {
        told.insert("header".to_owned(), json!(&**header));
    }
    if !needs.is_empty() {
        told.insert("needs".to_owned(), json!(words(needs)));
    }
    if let Some(verdict) = verdict {
        let (remaining, wait) =
            if verdict.admitted { (verdict.remaining, 0) } else { (0, whole_seconds(verdict.more_after).max(1)) };
        told.insert("remaining".to_owned(), json!(remaining));
        told.insert("retryAfterSeconds".to_owned(), json!(wait));
        // Of polls and sessions fewer fit than there are from the start: what is left says nothing of what was used.
        if verdict.window.is_zero() {
            told.insert("untouched".to_owned(), json!(true));
        }
    }
    told
}

fn shape(shape: &Shape) -> &'static str {
    match shape {
        Shape::Bucket(_) => "bucket",
        Shape::Quota(_) => "quota",
        Shape::InFlight(_) => "inFlight",
        Shape::Polls(_) => "polls",
        Shape::Sessions(_) => "sessions",
    }
}

/// Tells whether calls of an operation have a client to count; those of public ones, callbacks and administrators have not.
pub(crate) fn counts_clients(security: Security) -> bool {
    matches!(security, Security::AccessToken | Security::ClientAuthentication)
}

fn consent<'a>(caller: &'a Caller, policy: &OperationPolicy) -> Option<&'a str> {
    let Caller::Bound { token, .. } = caller else { return None };
    let (kind, citizen): (_, &Citizen) = (policy.consent.as_ref()?.kind, token.token().citizen()?);
    citizen.details.iter().find(|detail| detail.kind() == kind).map(|detail| detail.consent().as_str())
}

/// Leaves of the values what a limit counts by, so that one counter is one; and whose the client is, as that says where its
/// counters are shared.
fn only<'a>(limit: &Limit, values: &Values<'a>) -> Values<'a> {
    let of = |dimension: Dimension| values.of(dimension).filter(|_| limit.per.contains(&dimension));
    let client = of(Dimension::Client);
    Values {
        client,
        organisation: client.and(values.organisation).or_else(|| of(Dimension::Organisation)),
        operation: of(Dimension::Operation),
        api: of(Dimension::Api),
        customer: of(Dimension::Customer),
        consent: of(Dimension::Consent),
        subject: of(Dimension::Subject),
        resource: of(Dimension::Resource),
        peer: of(Dimension::Peer),
        provider: of(Dimension::Provider),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use policies::limit::Rate;

    use super::*;

    fn limit(id: &str, per: &[Dimension]) -> Limit {
        let rate = Rate { count: NonZeroU32::MIN, per: Duration::from_secs(60) };
        Limit::bucket(id, per, rate, NonZeroU32::MIN.saturating_add(1))
    }

    #[test]
    fn a_limit_is_found_by_its_name_however_it_stands_in_a_path() {
        let limit = limit("payments:organisation+operation:60/s", &[Dimension::Organisation]);
        for name in [
            "payments:organisation+operation:60/s",
            "payments:organisation+operation:60~s",
            "payments~organisation~operation~60~s",
            "payments",
        ] {
            assert!(is_named(&limit, name), "{name}");
        }
        for name in ["", "pay", "payments:", "organisation", "payments~organisation", "PAYMENTS"] {
            assert!(!is_named(&limit, name), "{name}");
        }
        assert_eq!(path_name("a:b+c/ü.1_2-3"), "a~b~c~~.1_2-3");
    }

    #[test]
    fn what_everybody_fills_is_told_from_what_somebody_does() {
        use Dimension::*;
        let all = [Client, Organisation, Operation, Api, Customer, Consent, Subject, Resource, Peer, Provider];
        for one in all {
            for limit in [limit("l", &[one]), limit("l", &[Operation, one])] {
                let counter = Counter { limit: &limit, values: Values::default() };
                assert_eq!(counter.is_everybodys(), [Operation, Api, Provider].contains(&one), "{one:?}");
            }
        }
        let plan = limit("standard:operation:1/s", &[Operation]);
        for (name, whole) in [("standard:operation:1/s", true), ("standard~operation~1~s", true), ("standard", false)] {
            assert!(is_named(&plan, name) && is_whole_name(&plan, name) == whole, "{name}");
        }
    }

    #[test]
    fn a_counter_that_is_not_known_says_what_it_needs_and_nothing_of_what_is_left() {
        let limit = limit("polls", &[Dimension::Client, Dimension::Resource]);
        let all = Values { client: Some("app"), organisation: Some("org"), api: Some("cards"), ..Values::default() };
        let counter = Counter { limit: &limit, values: only(&limit, &all) };
        assert_eq!(counter.values.api, None, "one counter, whatever else is known of the call");
        assert_eq!(counter.values.organisation, Some("org"), "it lies where those of the organisation lie");
        assert_eq!(only(&limit, &Values { client: None, ..all }).organisation, None);
        assert_eq!(whose(&counter, |_| true).keys().collect::<Vec<_>>(), ["client"]);
        assert_eq!(counter.needs(), [Dimension::Resource]);
        assert!(counted(&[counter]).is_empty());
        let shown = told(&counter, &counter.needs(), None);
        assert_eq!(shown.get("needs"), Some(&json!(["resource"])));
        assert!(!shown.contains_key("remaining") && !shown.contains_key("retryAfterSeconds"));
    }

    #[test]
    fn who_has_to_wait_is_never_told_to_come_at_once() {
        let limit = limit("narrow", &[Dimension::Client]);
        let counter = Counter { limit: &limit, values: Values { client: Some("app"), ..Values::default() } };
        let verdict = |admitted, more_after| Verdict {
            admitted,
            remaining: 1,
            capacity: 2,
            window: Duration::ZERO,
            more_after: Duration::from_millis(more_after),
        };
        for (admitted, after, remaining, wait) in
            [(true, 30_000, 1, 0), (false, 0, 0, 1), (false, 1_000, 0, 1), (false, 1_001, 0, 2)]
        {
            let told = told(&counter, &[], Some(&verdict(admitted, after)));
            assert_eq!(
                (told.get("remaining"), told.get("retryAfterSeconds")),
                (Some(&json!(remaining)), Some(&json!(wait)))
            );
            assert_eq!((told.get("capacity"), told.get("windowSeconds")), (Some(&json!(2)), Some(&json!(120))));
        }
    }
}
