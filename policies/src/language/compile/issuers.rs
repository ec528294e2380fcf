//! Other authorization servers whose tokens are taken, and how those are known.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::lists::distinct;
use super::names::Names;
use super::webhook::{Allowed, endpoint};
use crate::id::{ClientId, IssuerId};
use crate::issuer::{Issuer, IssuerKeys};
use crate::jose::Algorithm;
use crate::language::decode::Value;
use crate::language::document::Key;
use crate::language::problem::{Problem, quoted};
use crate::network::Endpoint;

pub(super) fn issuer(key: &Key, value: Value<'_>, allowed: Allowed) -> Option<Arc<Issuer>> {
    let fields = value.table(&crate::language::tables::ISSUER)?;
    let issuer = fields.at("issuer").and_then(|value| identifier(value, allowed));
    let audience = fields.at("audience").map_or(Some(None), |value| value.text().map(|text| Some(text.to_owned())));
    let users = fields.at("users").map_or(Some(false), Value::boolean);
    let (jwks, introspection) = (fields.at("jwks"), fields.at("introspection"));
    let read_jwks = jwks.map(|value| published(value, allowed));
    let read_introspection = introspection.map(|value| asked(value, allowed));
    let keys = match (read_jwks, read_introspection) {
        (Some(keys), None) | (None, Some(keys)) => keys,
        (Some(_), Some(_)) => {
            let second = introspection.unwrap_or(value);
            second.report(
                Problem::error("P0318", second.key_place(), "the tokens of an issuer are known in one way")
                    .label("`jwks` is there as well")
                    .help("keep `jwks` if its tokens are signed JWTs, `introspection` if it has to be asked"),
            );
            None
        }
        (None, None) => {
            if !fields.may_have("jwks") && !fields.may_have("introspection") {
                value.report(
                    Problem::error(
                        "P0318",
                        value.key_place(),
                        format!("nothing says how tokens of {} are known", quoted(&key.text)),
                    )
                    .label("neither `jwks` nor `introspection`")
                    .help("write `jwks: {url: https://...}` if its tokens are signed JWTs (RFC 9068)"),
                );
            }
            None
        }
    };
    Some(Arc::new(Issuer {
        id: IssuerId::parse(&key.text).ok()?,
        issuer: issuer?,
        audience: audience?,
        keys: keys?,
        users: users?,
        origin: key.place.origin(),
    }))
}

/// Refuses that two definitions stand for one server: a token would fit both.
pub(super) fn refuse_twins(issuers: &Names<'_, Arc<Issuer>>, report: impl Fn(Problem)) {
    let mut first: HashMap<&str, &Issuer> = HashMap::new();
    for issuer in issuers.values() {
        let Some(other) = first.insert(&issuer.issuer, issuer) else { continue };
        if let (Some(here), Some(there)) = (issuers.place(issuer.id.as_str()), issuers.place(other.id.as_str())) {
            report(
                Problem::error("P0318", here, format!("`{}` and `{}` are the same server", other.id, issuer.id))
                    .label(format!("both say {}", quoted(&issuer.issuer)))
                    .related(there, "the first")
                    .help("a token says only its `iss`: keep one of the two"),
            );
        }
    }
}

// A URL that is compared byte for byte (RFC 8414, section 2): it needs the form of one, or no token would ever say it.
fn identifier(value: Value<'_>, allowed: Allowed) -> Option<String> {
    let text = value.text()?;
    let wrong = match Endpoint::parse(text, allowed.private_endpoints) {
        Ok(_) if text.contains('?') => "it has a query".to_owned(),
        Ok(_) => return Some(text.to_owned()),
        Err(error) => error.to_string(),
    };
    value.report(
        value
            .fault("P0318", format!("{} names no authorization server: {wrong}", quoted(text)))
            .label("compared with the `iss` of tokens, byte for byte")
            .help("copy `issuer` of its metadata, for example `https://as.example.kz`"),
    );
    None
}

fn published(value: Value<'_>, allowed: Allowed) -> Option<IssuerKeys> {
    let fields = value.mapping()?;
    let url = fields.at("url").and_then(|value| endpoint(value, allowed));
    let algorithms = fields.at("algorithms").map_or_else(|| Some(Algorithm::ALL.into_iter().collect()), algorithms);
    Some(IssuerKeys::Jwks { url: url?, algorithms: algorithms? })
}

fn algorithms(value: Value<'_>) -> Option<BTreeSet<Algorithm>> {
    let found = value.items(|item| Some((item.word(Algorithm::parse)?, item)))?;
    distinct(value, found, "algorithm")
}

fn asked(value: Value<'_>, allowed: Allowed) -> Option<IssuerKeys> {
    let fields = value.mapping()?;
    let url = fields.at("url").and_then(|value| endpoint(value, allowed));
    let client = fields.at("client").and_then(|value| value.read("P0112", ClientId::parse));
    let key = fields.at("key").and_then(Value::secret_reference);
    Some(IssuerKeys::Introspection { url: url?, client: client?, key: key? })
}
