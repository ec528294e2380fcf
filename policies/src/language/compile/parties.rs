//! Who is connected: organisations with their licences, and who may have which scope.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::lists::distinct;
use crate::id::OrganisationId;
use crate::language::decode::Value;
use crate::language::document::Key;
use crate::language::problem::{Place, Problem, quoted};
use crate::language::suggest::did_you_mean;
use crate::language::tables::{LICENCE, ORGANISATION, SCOPE};
use crate::network::AddressRange;
use crate::rulebook::{Organisation, Role, ScopeSet};
use crate::time::Timestamp;

/// How long before a licence or an override ends it is warned of.
pub const EXPIRY_WARNING: Duration = Duration::from_secs(30 * DAY.as_secs());

/// What is valid through a day ends when the next one begins.
pub(super) const DAY: Duration = Duration::from_secs(86_400);

/// A scope that a `scopes` section says more of.
pub(super) struct ScopeRule {
    /// The roles that may have it, and where they are named; none if anybody may.
    pub(super) roles: Option<(BTreeSet<Role>, Place)>,
}

pub(super) fn organisation(id: &str, value: Value<'_>, now: Timestamp) -> Option<Arc<Organisation>> {
    let fields = value.table(&ORGANISATION)?;
    let title = fields.at("title").and_then(Value::text);
    let roles = fields.at("roles").and_then(roles);
    let networks = fields.at("networks").map_or_else(|| Some(Vec::new()), networks);
    let suspended = fields.at("suspended").map_or(Some(false), Value::boolean);
    let licence = fields.at("licence").and_then(|value| licence(value, now, suspended == Some(true)));
    Some(Arc::new(Organisation {
        id: OrganisationId::parse(id).ok()?,
        title: title?.to_owned(),
        roles: roles?,
        licence_ends: licence?,
        suspended: suspended?,
        networks: networks?,
    }))
}

/// Reads a list of networks that is not empty.
pub(super) fn networks(value: Value<'_>) -> Option<Vec<AddressRange>> {
    let networks = value.items(|item| Some((item.network()?, item)))?;
    distinct(value, networks, "network").map(|found| found.into_iter().collect())
}

/// Reads a list of roles that is not empty.
pub(super) fn roles(value: Value<'_>) -> Option<BTreeSet<Role>> {
    let roles = value.items(|item| Some((item.word(Role::from_word)?, item)))?;
    distinct(value, roles, "role")
}

/// Reads a list of scopes that is not empty, with the place of each.
pub(super) fn scopes<'n>(value: Value<'n>) -> Option<Vec<(&'n str, Value<'n>)>> {
    let scopes = value.items(|item| {
        let text = item.text()?;
        if !is_scope(text) {
            item.report(
                item.fault("P0104", format!("{} is not a scope", quoted(text)))
                    .help("a scope has no blanks, quotes or letters beyond ASCII; write one scope an item"),
            );
            return None;
        }
        Some((text, item))
    })?;
    let distinct = distinct(value, scopes.clone(), "scope");
    // One that stands twice is reported; each may still be looked up.
    (distinct.is_some() || !scopes.is_empty()).then_some(scopes)
}

/// Tells whether a text is one scope.
pub(super) fn is_scope(text: &str) -> bool {
    // ScopeSet takes several scopes apart at blanks; an item of a list is one.
    !text.is_empty() && !text.contains(' ') && ScopeSet::parse(text).is_some()
}

/// Reads what is said of a scope; `known` are those that contracts and policies ask for.
pub(super) fn scope(key: &Key, value: Value<'_>, known: &BTreeSet<String>) -> Option<ScopeRule> {
    let fields = value.table(&SCOPE)?;
    let title = fields.at("title").and_then(Value::text);
    let list = fields.at("roles");
    let roles = list.map(roles);
    if is_scope(&key.text) && !known.contains(&key.text) {
        let help =
            did_you_mean(&key.text, known.iter().map(String::as_str)).map(|word| format!("did you mean `{word}`?"));
        value.report(
            Problem::warning("P0410", &key.place, format!("nothing asks for the scope {}", quoted(&key.text)))
                .label("neither a contract nor a policy names it")
                .help_if(help),
        );
    }
    title?;
    let roles = match (list, roles) {
        (Some(list), Some(found)) => Some((found?, list.place().clone())),
        _ => None,
    };
    Some(ScopeRule { roles })
}

// Valid through the last day, so the licence ends when the next one begins.
fn licence(value: Value<'_>, now: Timestamp, suspended: bool) -> Option<Timestamp> {
    let fields = value.table(&LICENCE)?;
    let authority = fields.at("authority").and_then(Value::text);
    let id = fields.at("id").and_then(Value::text);
    let until = fields.at("validUntil");
    let ends = until.and_then(Value::date).map(|day| day + DAY);
    if let (Some(ends), Some(until), false) = (ends, until, suspended) {
        if ends <= now {
            until.report(
                Problem::warning("P0401", until.place(), "the licence is over")
                    .label("was the last day")
                    .help("renew `validUntil`, or suspend the organisation: its clients are refused"),
            );
        } else if ends <= now + EXPIRY_WARNING {
            until.report(
                Problem::warning("P0402", until.place(), "the licence ends soon")
                    .label(days_left(ends, now))
                    .help("after that day the organisation's clients are refused"),
            );
        }
    }
    let (_, _) = (authority?, id?);
    ends
}

/// Tells how many days are left, the last one included.
pub(super) fn days_left(ends: Timestamp, now: Timestamp) -> String {
    let days = ends.since(now).as_secs().div_ceil(DAY.as_secs());
    format!("{days} day{} left", if days == 1 { "" } else { "s" })
}
