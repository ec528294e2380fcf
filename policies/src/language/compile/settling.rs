//! By which operation the outcome of one that is done once can be found out.

use std::collections::HashMap;

use super::contracts::Contracts;
use super::names::Section;
use crate::facts::OperationFacts;
use crate::id::OperationId;
use crate::language::decode::{Fields, Value};
use crate::language::document::{Content, Key, Node};
use crate::language::problem::{Problem, quoted};
use crate::rulebook::{Service, StatusOperation};

/// What `settledBy` may name.
pub(super) struct Settling<'a> {
    contracts: &'a Contracts<'a>,
    // Which operations the policies expose, and through which upstream, as it is written.
    exposed: HashMap<&'a str, Option<&'a str>>,
    // Whether there may be no more than these.
    whole: bool,
}

impl<'a> Settling<'a> {
    /// Looks through the APIs before they are read; faults are told when they are.
    pub(super) fn of(contracts: &'a Contracts<'a>, apis: &Section<'a>, whole: bool) -> Self {
        let mut exposed = HashMap::new();
        for (_, value) in apis.definitions() {
            let upstream = entry(value.node(), "upstream").and_then(text);
            let Some(Content::Mapping(operations)) = entry(value.node(), "operations").map(|node| &node.content) else {
                continue;
            };
            exposed.extend(operations.iter().map(|operation| (operation.key.text.as_str(), upstream)));
        }
        Self { contracts, exposed, whole }
    }
}

/// Reads `settledBy` of an operation; `None` if it cannot work, which is told.
pub(super) fn settled_by(
    settling: &Settling<'_>,
    service: Option<&Service>,
    facts: &OperationFacts,
    key: &Key,
    owner: &Fields<'_>,
) -> Option<Option<StatusOperation>> {
    let upstream = match service {
        Some(Service::Upstream(upstream)) => Some(upstream.as_str()),
        // Which it is was refused before.
        None => return None,
        Some(Service::Own) => None,
    };
    let Some(value) = owner.at("settledBy") else {
        if upstream.is_some() && facts.idempotent {
            warn_of_unknown_ends(settling, facts, key, owner.owner());
        }
        return Some(None);
    };
    let needless = |label: String| {
        let problem = value.fault("P0303", "there is nothing to settle here");
        value.report(problem.label(label).help("remove this line"));
        None
    };
    if !facts.idempotent {
        return needless(format!("{} is not done once per key", quoted(&key.text)));
    }
    let Some(upstream) = upstream else {
        return needless(format!("the gateway answers {} itself", quoted(&key.text)));
    };
    let refuse = |label: String| {
        let problem = value.fault("P0303", "the outcome cannot be asked for by this operation");
        value.report(problem.label(label).help(help(settling, facts)));
        None
    };
    let name = value.text()?;
    let Some(status) = settling.contracts.operation(name) else {
        let known = settling.contracts.all().iter().filter(|facts| facts.method == "GET" && !facts.own);
        let known = known.map(|facts| facts.id.as_str());
        value.unknown("P0107", "operation", name, known);
        return None;
    };
    let shown = format!("{} {}", status.method, status.template);
    if status.method != "GET" {
        return refuse(format!("{shown} is no GET"));
    }
    let Some((before, parameter, after)) = around_the_parameter(&status.template) else {
        return refuse(format!("{shown} has not exactly one parameter in its path"));
    };
    match settling.exposed.get(name) {
        Some(Some(other)) if *other == upstream => {}
        Some(_) => return refuse(format!("it does not go to {}", quoted(upstream))),
        None if settling.whole => return refuse("no policy exposes it".to_owned()),
        None => return None,
    }
    Some(Some(StatusOperation {
        operation: OperationId::parse(&status.id).ok()?,
        before: before.to_owned(),
        parameter: parameter.to_owned(),
        after: after.to_owned(),
    }))
}

fn warn_of_unknown_ends(settling: &Settling<'_>, facts: &OperationFacts, key: &Key, value: Value<'_>) {
    value.report(
        Problem::warning("P0406", &key.place, format!("the outcome of {} may stay unknown", quoted(&key.text)))
            .label("the gateway does not know how to ask the backend what became of it")
            .help(help(settling, facts)),
    );
}

fn help(settling: &Settling<'_>, facts: &OperationFacts) -> String {
    match candidates(settling, facts).next() {
        Some(status) => format!("write `settledBy: {}`  ({} {})", status.id, status.method, status.template),
        None => "name a GET of the same upstream whose one path parameter is the reference".to_owned(),
    }
}

/// What could settle an operation, by the contract it stands in.
fn candidates<'a>(
    settling: &'a Settling<'_>,
    facts: &'a OperationFacts,
) -> impl Iterator<Item = &'a OperationFacts> + Clone {
    let below = |status: &OperationFacts| {
        around_the_parameter(&status.template).is_some_and(|(before, _, after)| {
            after.is_empty() && before.trim_end_matches('/') == facts.template && status.method == "GET"
        })
    };
    settling.contracts.of_api(&facts.api).filter(move |status| below(status))
}

/// Takes a template with exactly one parameter apart.
fn around_the_parameter(template: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = template.split_once('{')?;
    let (parameter, after) = rest.split_once('}')?;
    (!after.contains('{')).then_some((before, parameter, after))
}

/// Returns the value of a key, whatever the mapping is.
pub(super) fn entry<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
    let Content::Mapping(entries) = &node.content else { return None };
    entries.iter().find(|entry| entry.key.text == name).map(|entry| &entry.value)
}

fn text(node: &Node) -> Option<&str> {
    match &node.content {
        Content::Scalar { text, .. } => Some(text),
        _ => None,
    }
}
