//! Who may call: organisations, clients, and which scopes they may have.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value as Json};

use super::lists::distinct;
use super::names::Names;
use super::webhook::{Allowed, webhook};
use crate::id::{ClientId, OrganisationId};
use crate::jose::{KeyError, KeySet, VerifyingKey};
use crate::language::decode::{Fields, Value};
use crate::language::document::{Content, Entry, Key, Node, Style};
use crate::language::problem::{Place, Problem, quoted};
use crate::language::suggest::{did_you_mean, listed};
use crate::language::tables::{CLIENT, LICENCE, ORGANISATION, SCOPE};
use crate::network::AddressRange;
use crate::rulebook::{
    CertificateName, Client, ClientAuthentication, KeySource, OauthTerms, Organisation, Plan, Role, ScopeSet,
    TokenBinding,
};
use crate::time::Timestamp;

/// How long before a licence or an override ends it is warned of.
pub const EXPIRY_WARNING: Duration = Duration::from_secs(30 * DAY.as_secs());

/// What is valid through a day ends when the next one begins.
pub(super) const DAY: Duration = Duration::from_secs(86_400);

/// The longest name in the DNS (RFC 1035, 2.3.4), in characters as written.
const DNS_NAME_MAX: usize = 253;

/// A scope that a `scopes` section says more of.
pub(super) struct ScopeRule {
    roles: Option<(BTreeSet<Role>, Place)>,
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

/// What clients may refer to.
pub(super) struct Known<'a> {
    pub(super) organisations: &'a Names<'a, Arc<Organisation>>,
    pub(super) plans: &'a Names<'a, Arc<Plan>>,
    pub(super) scopes: &'a BTreeSet<String>,
    pub(super) scope_rules: &'a Names<'a, ScopeRule>,
    pub(super) allowed: Allowed,
}

pub(super) fn client(id: &str, value: Value<'_>, known: &Known<'_>) -> Option<Arc<Client>> {
    let fields = value.table(&CLIENT)?;
    let organisation = fields.at("organisation").and_then(|value| known.organisations.resolve(value, "organisation"));
    let plan = fields.at("plan").and_then(|value| known.plans.resolve(value, "plan"));
    let authentication = authentication(&fields);
    let binding = fields.at("tokens").and_then(Value::mapping).and_then(|fields| fields.at("bind")?.word(binding));
    let scopes = fields.at("scopes").and_then(scopes);
    for (scope, value) in scopes.iter().flatten() {
        if !known.scopes.contains(*scope) {
            value.unknown("P0314", "scope", scope, known.scopes.iter().map(String::as_str));
        } else if let Some(organisation) = organisation {
            refuse_foreign_scope(organisation, scope, *value, known.scope_rules);
        }
    }
    let suspended = fields.at("suspended").map_or(Some(false), Value::boolean);
    let webhook = fields.at("webhook").map_or(Some(None), |value| webhook(value, known.allowed).map(Some));
    Some(Arc::new(Client {
        id: ClientId::parse(id).ok()?,
        organisation: Arc::clone(organisation?),
        authentication: authentication?,
        binding: binding?,
        scopes: ScopeSet::of(scopes?.into_iter().map(|(scope, _)| scope)),
        plan: Arc::clone(plan?),
        suspended: suspended?,
        webhook: webhook?,
        oauth: OauthTerms::default(),
    }))
}

fn binding(word: &str) -> Option<TokenBinding> {
    match word {
        "dpop" => Some(TokenBinding::Dpop),
        "mtls" => Some(TokenBinding::Mtls),
        "either" => Some(TokenBinding::Either),
        _ => None,
    }
}

fn refuse_foreign_scope(organisation: &Organisation, scope: &str, value: Value<'_>, rules: &Names<ScopeRule>) {
    let Some((roles, place)) = rules.get(scope).and_then(|rule| rule.roles.as_ref()) else { return };
    if roles.is_disjoint(&organisation.roles) {
        let needed = listed(roles.iter().map(|role| role.word()));
        value.report(
            value
                .fault("P0315", format!("`{}` may not have the scope {}", organisation.id, quoted(scope)))
                .label("its organisation has none of the roles for it")
                .related(place, format!("for {needed} only"))
                .help("remove the scope here, or have the organisation licensed for it"),
        );
    }
}

fn authentication(fields: &Fields<'_>) -> Option<ClientAuthentication> {
    let members = |word: &str| match word {
        "private_key_jwt" => Some(("keys", "certificate")),
        "tls_client_auth" => Some(("certificate", "keys")),
        _ => None,
    };
    // What is given is checked even if the method is missing or does not fit it.
    let keys = fields.at("keys").map(keys);
    let certificate = fields.at("certificate").map(san_dns);
    let method = fields.at("authentication")?;
    let (needed, needless) = method.word(members)?;
    if let Some(value) = fields.at(needless) {
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
    if fields.at(needed).is_none() {
        method.report(
            method
                .fault("P0204", format!("`{needed}` is missing"))
                .label(format!("this method needs `{needed}`"))
                .related(fields.owner().key_place(), "in this client"),
        );
    }
    match needed {
        "keys" => keys.flatten().map(|keys| ClientAuthentication::PrivateKeyJwt(KeySource::Given(keys))),
        _ => certificate.flatten().map(|name| ClientAuthentication::TlsClientAuth(CertificateName::SanDns(name))),
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
    value.mapping()?.at("sanDns")?.parsed("a DNS name", "client.example.kz (lower case, no wildcard)", |text| {
        (text.len() <= DNS_NAME_MAX && text.contains('.') && text.split('.').all(label)).then(|| text.to_owned())
    })
}

fn keys(value: Value<'_>) -> Option<KeySet> {
    let keys = value.items(|item| Some((key(item)?, item)))?;
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
            let help = match &error {
                KeyError::Unsupported | KeyError::Weak => {
                    Some("keys for ES256 (P-256), EdDSA (Ed25519) and PS256 (RSA of 2048 to 4096 bits) can be used")
                }
                KeyError::Invalid => Some("copy the key again: a character may be missing or wrong"),
                _ => None,
            };
            let message = unusable(&error, value.node());
            value.report(Problem::error("P0202", &place, message).help_if(help.map(str::to_owned)));
            None
        }
    }
}

// What is wrong with a key, in the words of who wrote its members.
fn unusable(error: &KeyError, node: &Node) -> String {
    let kind = member(node, "kty").and_then(|entry| match &entry.value.content {
        Content::Scalar { text, .. } => Some(text.as_str()),
        _ => None,
    });
    match (error, kind) {
        (KeyError::Unsupported, _) => "no key of this kind can be used here".to_owned(),
        (KeyError::Weak, _) => "the key is too weak, or larger than anybody needs".to_owned(),
        (KeyError::BadMember(member), _) => format!("`{member}` of the key is missing or malformed"),
        (KeyError::WrongUse, _) => "the key is not for verifying signatures".to_owned(),
        (KeyError::Invalid, Some("EC")) => "`x` and `y` are no point of the curve of the key".to_owned(),
        (KeyError::Invalid, Some("OKP")) => "`x` is no point of the curve of the key".to_owned(),
        (KeyError::Invalid, Some("RSA")) => "`n` and `e` are no RSA key".to_owned(),
        _ => error.to_string(),
    }
}

// The members of a key are texts, lists of texts, and one boolean; a key id of digits only is meant as text.
pub(super) fn json(node: &Node) -> Json {
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
