//! Who may call, and how much: organisations, clients and plans.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value as Json};

use super::lists::distinct;
use super::names::Names;
use super::webhook::{Allowed, webhook};
use crate::id::{ClientId, OrganisationId, PlanId};
use crate::jose::{KeyError, KeySet, VerifyingKey};
use crate::language::decode::{Fields, Value};
use crate::language::document::{Content, Entry, Node, Style};
use crate::language::problem::{Place, Problem, quoted};
use crate::language::tables::BURST_MAX;
use crate::limit::{Dimension, Limit, Mode};
use crate::rulebook::{Client, ClientAuthentication, Organisation, Plan, Role, ScopeSet, TokenBinding};
use crate::time::Timestamp;

/// How long before a licence ends it is warned of.
pub const LICENCE_WARNING: Duration = Duration::from_secs(30 * DAY.as_secs());

const DAY: Duration = Duration::from_secs(86_400);

/// The longest name in the DNS (RFC 1035, 2.3.4), in characters as written.
const DNS_NAME_MAX: usize = 253;

pub(super) fn organisation(id: &str, value: Value<'_>, now: Timestamp) -> Option<Arc<Organisation>> {
    let fields = value.fields(&["title", "roles", "licence", "suspended"])?;
    let title = fields.required("title").and_then(Value::text);
    let roles = fields.required("roles").and_then(roles);
    let suspended = fields.optional("suspended").map_or(Some(false), Value::boolean);
    let licence = fields.required("licence").and_then(|value| licence(value, now, suspended == Some(true)));
    Some(Arc::new(Organisation {
        id: OrganisationId::parse(id).ok()?,
        title: title?.to_owned(),
        roles: roles?,
        licence_ends: licence?,
        suspended: suspended?,
        networks: Vec::new(),
    }))
}

/// Reads a list of roles that is not empty.
pub(super) fn roles(value: Value<'_>) -> Option<BTreeSet<Role>> {
    let words = Role::ALL.map(|role| (role.word(), role));
    let roles = value.list(|item| Some((item.choice(&words)?, item)))?;
    distinct(value, roles, "role")
}

/// Reads a list of scopes that is not empty, with the place of each.
pub(super) fn scopes<'n>(value: Value<'n>) -> Option<Vec<(&'n str, Value<'n>)>> {
    let scopes = value.list(|item| {
        let text = item.text()?;
        // ScopeSet takes several scopes apart at blanks; an item of a list is one.
        if text.contains(' ') || ScopeSet::parse(text).is_none() {
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

// Valid through the last day, so the licence ends when the next one begins.
fn licence(value: Value<'_>, now: Timestamp, suspended: bool) -> Option<Timestamp> {
    let fields = value.fields(&["authority", "id", "validUntil"])?;
    let authority = fields.required("authority").and_then(Value::text);
    let id = fields.required("id").and_then(Value::text);
    let until = fields.required("validUntil");
    let ends = until.and_then(Value::date).map(|day| day + DAY);
    if let (Some(ends), Some(until), false) = (ends, until, suspended) {
        if ends <= now {
            until.report(
                Problem::warning("P0401", until.place(), "the licence is over")
                    .label("was the last day")
                    .help("renew `validUntil`, or suspend the organisation: its clients are refused"),
            );
        } else if ends <= now + LICENCE_WARNING {
            let days = ends.since(now).as_secs().div_ceil(DAY.as_secs());
            until.report(
                Problem::warning("P0402", until.place(), "the licence ends soon")
                    .label(format!("{days} day{} left", if days == 1 { "" } else { "s" }))
                    .help("after that day the organisation's clients are refused"),
            );
        }
    }
    let (_, _) = (authority?, id?);
    ends
}

pub(super) fn plan(id: &str, value: Value<'_>) -> Option<Arc<Plan>> {
    let fields = value.fields(&["limits"])?;
    let list = fields.required("limits")?;
    let limits = list.list(|item| Some((limit(id, item)?, item)))?;
    if limits.is_empty() {
        list.report(list.fault("P0111", "`limits` has no limit").label("a plan without limits would limit nothing"));
        return None;
    }
    let mut sound = true;
    for (index, (limit, item)) in limits.iter().enumerate() {
        if let Some((_, first)) = limits.iter().take(index).find(|(other, _)| other.id == limit.id) {
            item.report(
                item.fault("P0110", "the same limit stands twice in the plan")
                    .label("counts by the same and has the same rate")
                    .related(first.place(), "first"),
            );
            sound = false;
        }
    }
    let limits = limits.into_iter().map(|(limit, _)| limit).collect();
    sound.then_some(Arc::new(Plan { id: PlanId::parse(id).ok()?, limits }))
}

fn limit(plan: &str, value: Value<'_>) -> Option<Limit> {
    let fields = value.fields(&["per", "rate", "burst"])?;
    let words = Dimension::ALL.map(|dimension| (dimension.word(), dimension));
    let per = fields.required("per").and_then(|list| {
        let dimensions = list.one_or_more(|item| Some((item.choice(&words)?, item)))?;
        distinct(list, dimensions, "dimension")
    });
    let rate = fields.required("rate").and_then(Value::rate);
    let burst = fields.required("burst").and_then(|value| value.whole(1..=BURST_MAX));
    let (per, rate, burst) = (per?, rate?, burst?);
    let words: Vec<&str> = per.iter().map(|dimension| dimension.word()).collect();
    Some(Limit {
        id: Arc::from(format!("{plan}:{}:{rate}", words.join("+"))),
        per: per.into_iter().collect(),
        rate,
        burst: NonZeroU32::new(u32::try_from(burst).ok()?)?,
        mode: Mode::Enforce,
    })
}

pub(super) fn client(
    id: &str,
    value: Value<'_>,
    organisations: &Names<Arc<Organisation>>,
    plans: &Names<Arc<Plan>>,
    known_scopes: &BTreeSet<String>,
    allowed: Allowed,
) -> Option<Arc<Client>> {
    const KNOWN: [&str; 9] =
        ["organisation", "plan", "authentication", "keys", "certificate", "tokens", "scopes", "suspended", "webhook"];
    let fields = value.fields(&KNOWN)?;
    let organisation = fields.required("organisation").and_then(|value| organisations.resolve(value, "organisation"));
    let plan = fields.required("plan").and_then(|value| plans.resolve(value, "plan"));
    let authentication = authentication(&fields);
    let binding = fields.required("tokens").and_then(|value| value.fields(&["bind"])).and_then(|fields| {
        fields.required("bind")?.choice(&[
            ("dpop", TokenBinding::Dpop),
            ("mtls", TokenBinding::Mtls),
            ("either", TokenBinding::Either),
        ])
    });
    let scopes = fields.required("scopes").and_then(scopes);
    for (scope, value) in scopes.iter().flatten().filter(|(scope, _)| !known_scopes.contains(*scope)) {
        value.unknown("P0314", "scope", scope, known_scopes.iter().map(String::as_str));
    }
    let suspended = fields.optional("suspended").map_or(Some(false), Value::boolean);
    let webhook = fields.optional("webhook").map_or(Some(None), |value| webhook(value, allowed).map(Some));
    Some(Arc::new(Client {
        id: ClientId::parse(id).ok()?,
        organisation: Arc::clone(organisation?),
        authentication: authentication?,
        binding: binding?,
        scopes: ScopeSet::of(scopes?.into_iter().map(|(scope, _)| scope)),
        plan: Arc::clone(plan?),
        suspended: suspended?,
        webhook: webhook?,
    }))
}

fn authentication(fields: &Fields<'_>) -> Option<ClientAuthentication> {
    const METHODS: [(&str, (&str, &str)); 2] =
        [("private_key_jwt", ("keys", "certificate")), ("tls_client_auth", ("certificate", "keys"))];
    // What is given is checked even if the method is missing or does not fit it.
    let keys = fields.optional("keys").map(keys);
    let certificate = fields.optional("certificate").map(san_dns);
    let method = fields.required("authentication")?;
    let choice = method.choice(&METHODS);
    let (needed, needless) = choice?;
    if let Some(value) = fields.optional(needless) {
        value.report(
            Problem::error(
                "P0204",
                value.key_place(),
                format!("`{needless}` does not fit how the client authenticates"),
            )
            .label("of no use")
            .related(method.place(), format!("this method uses `{needed}`"))
            .help("FAPI 2.0 has a client authenticate in one way; remove the other"),
        );
    }
    if fields.optional(needed).is_none() {
        method.report(
            method
                .fault("P0204", format!("`{needed}` is missing"))
                .label(format!("this method needs `{needed}`"))
                .related(fields.owner().key_place(), "in this client"),
        );
    }
    match needed {
        "keys" => keys.flatten().map(ClientAuthentication::PrivateKeyJwt),
        _ => certificate.flatten().map(|san_dns| ClientAuthentication::TlsClientAuth { san_dns }),
    }
}

fn san_dns(value: Value<'_>) -> Option<String> {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    value.fields(&["sanDns"])?.required("sanDns")?.parsed(
        "a DNS name",
        "client.example.kz (lower case, no wildcard)",
        |text| {
            (text.len() <= DNS_NAME_MAX && text.contains('.') && text.split('.').all(label)).then(|| text.to_owned())
        },
    )
}

fn keys(value: Value<'_>) -> Option<KeySet> {
    let keys = value.list(|item| Some((key(item)?, item)))?;
    if keys.is_empty() {
        value.report(value.fault("P0111", "`keys` names no key").label("at least one belongs here"));
        return None;
    }
    let mut sound = true;
    for (index, (key, item)) in keys.iter().enumerate() {
        let same = |other: &VerifyingKey| {
            other.thumbprint() == key.thumbprint() || (key.kid().is_some() && other.kid() == key.kid())
        };
        if let Some((other, first)) = keys.iter().take(index).find(|(other, _)| same(other)) {
            let what = if other.thumbprint() == key.thumbprint() { "are the same key" } else { "have the same `kid`" };
            item.report(
                Problem::error("P0203", &member_place(item.node(), "kid"), format!("two keys of the client {what}"))
                    .label("second")
                    .related(&member_place(first.node(), "kid"), "first"),
            );
            sound = false;
        }
    }
    if !sound {
        return None;
    }
    let keys = keys.into_iter().map(|(key, _)| key).collect();
    KeySet::new(keys).map_err(|error| value.report(value.fault("P0202", error.to_string()))).ok()
}

fn key(value: Value<'_>) -> Option<VerifyingKey> {
    if !matches!(value.node().content, Content::Mapping(_)) {
        return value.wrong_kind(
            "a key",
            "write it as a JSON Web Key, for example `{kty: EC, crv: P-256, alg: ES256, kid: ..., x: ..., y: ...}`",
        );
    }
    match VerifyingKey::from_jwk(&json(value.node())) {
        Ok(key) => Some(key),
        Err(KeyError::Private(member)) => {
            value.report(
                Problem::error("P0109", &member_key_place(value.node(), member), format!("`{member}` is the private part of a key"))
                    .label("never belongs in a policy")
                    .help("keep the public members only, and replace the key pair: whoever could read this file could sign with it"),
            );
            None
        }
        Err(error) => {
            let place = match &error {
                KeyError::BadMember(member) => member_place(value.node(), member),
                KeyError::WrongUse => member_place(value.node(), "use"),
                _ => member_place(value.node(), "kty"),
            };
            let taken = "ES256 (P-256), EdDSA (Ed25519) and PS256 (RSA of 2048 bits and more) are taken";
            let help = matches!(error, KeyError::Unsupported | KeyError::Weak).then(|| taken.to_owned());
            value.report(Problem::error("P0202", &place, error.to_string()).help_if(help));
            None
        }
    }
}

// The members of a key are texts, lists of texts, and one boolean; a key id of digits only is meant as text.
fn json(node: &Node) -> Json {
    match &node.content {
        Content::Empty => Json::Null,
        Content::Scalar { text, style: Style::Plain } if text == "true" => Json::Bool(true),
        Content::Scalar { text, style: Style::Plain } if text == "false" => Json::Bool(false),
        Content::Scalar { text, .. } => Json::String(text.clone()),
        Content::Sequence(items) => Json::Array(items.iter().map(json).collect()),
        Content::Mapping(entries) => Json::Object(
            entries.iter().map(|entry| (entry.key.text.clone(), json(&entry.value))).collect::<Map<_, _>>(),
        ),
    }
}

fn member<'n>(node: &'n Node, name: &str) -> Option<&'n Entry> {
    match &node.content {
        Content::Mapping(entries) => entries.iter().find(|entry| entry.key.text == name),
        _ => None,
    }
}

fn member_place(node: &Node, name: &str) -> Place {
    member(node, name).map_or(&node.place, |entry| &entry.value.place).clone()
}

fn member_key_place(node: &Node, name: &str) -> Place {
    member(node, name).map_or(&node.place, |entry| &entry.key.place).clone()
}
