//! What is said of consents as such: how long they last, how citizens are known, and who tells their accounts.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::names::Names;
use crate::consent::ConsentKind;
use crate::facts::OperationFacts;
use crate::id::OperationId;
use crate::language::decode::Value;
use crate::language::document::Key;
use crate::language::problem::quoted;
use crate::language::tables::CONSENTS;
use crate::rulebook::{ConsentTerms, OperationPolicy, Provider, Service};

/// What the `consents` of a set come to.
#[derive(Default)]
pub(super) struct Consents {
    pub(super) terms: BTreeMap<ConsentKind, ConsentTerms>,
    pub(super) customer_accounts: Option<OperationId>,
}

/// What `consents` may name.
pub(super) struct Known<'a, 'n> {
    pub(super) exposed: &'a [(Arc<OperationPolicy>, &'a OperationFacts, &'n Key)],
    pub(super) providers: &'a Names<'n, Provider>,
    /// Whether every operation that was written could be read.
    pub(super) whole: bool,
}

/// Reads what is said; what cannot be read is told.
pub(super) fn consents(value: Value<'_>, known: &Known<'_, '_>) -> Consents {
    let mut found = Consents::default();
    let Some(fields) = value.table(&CONSENTS) else { return found };
    for kind in ConsentKind::ALL {
        if let Some(terms) = fields.at(kind.word()).and_then(|value| terms(kind, value, known.providers)) {
            found.terms.insert(kind, terms);
        }
    }
    found.customer_accounts = fields.at("customerAccounts").and_then(|value| customer_accounts(value, known));
    found
}

fn terms(kind: ConsentKind, value: Value<'_>, providers: &Names<'_, Provider>) -> Option<ConsentTerms> {
    let fields = value.mapping()?;
    let usual = ConsentTerms::usual(kind);
    let awaits = fields.at("awaits").map_or(Some(usual.awaits), Value::time);
    let longest = fields.at("longest").map_or(Some(usual.longest), Value::time);
    let level = fields.at("level").map_or(Some(usual.level), |value| level(value, providers));
    Some(ConsentTerms { awaits: awaits?, longest: longest?, level: level? })
}

fn level(value: Value<'_>, providers: &Names<'_, Provider>) -> Option<&'static str> {
    let level = value.word(|word| ["L1", "L2", "L3", "L4"].into_iter().find(|level| *level == word))?;
    // Levels compare as text.
    if providers.complete() && !providers.values().any(|provider| provider.level.as_str() >= level) {
        let best = providers.values().map(|provider| provider.level.as_str()).max();
        let best = best.map_or("there is no provider".to_owned(), |best| format!("the best provider reaches {best}"));
        value.report(
            value
                .fault("P0302", format!("no identity provider reaches {level}"))
                .label("no citizen could ever agree")
                .help(format!("{best}; ask for less, or name a better one under `identity`")),
        );
        return None;
    }
    Some(level)
}

fn customer_accounts(value: Value<'_>, known: &Known<'_, '_>) -> Option<OperationId> {
    let name = value.text()?;
    let Some((policy, facts, _)) = known.exposed.iter().find(|(policy, ..)| policy.operation.as_str() == name) else {
        if known.whole {
            let listing = known.exposed.iter().filter(|(policy, ..)| lists_accounts(policy));
            value.unknown("P0107", "operation", name, listing.map(|(policy, ..)| policy.operation.as_str()));
        }
        return None;
    };
    let wrong = if facts.method != "GET" {
        Some("it is no GET")
    } else if facts.template.contains('{') {
        Some("it has a parameter in its path")
    } else if policy.service == Service::Own {
        Some("the gateway answers it itself")
    } else if !lists_accounts(policy) {
        Some("its `consent` does not say where the answer lists accounts")
    } else {
        None
    };
    let Some(wrong) = wrong else { return Some(policy.operation.clone()) };
    value.report(
        value
            .fault("P0317", format!("{} cannot tell the accounts of a customer", quoted(name)))
            .label(wrong)
            .help("name a GET of an upstream with `consent: {kind: account-access, list: {items: ..., id: ...}}`"),
    );
    None
}

fn lists_accounts(policy: &OperationPolicy) -> bool {
    policy.consent.as_ref().is_some_and(|need| need.list.is_some())
}
