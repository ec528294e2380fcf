//! Public keys of clients: written in the policy, in a file beside it, or published by the client.

use std::collections::{BTreeSet, HashMap};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json};

use super::webhook::{Allowed, endpoint};
use crate::jose::{KEYS_MAX, KeyError, KeySet, SetError, VerifyingKey, sha256};
use crate::language::decode::Value;
use crate::language::document::{Content, Entry, Node, Style};
use crate::language::problem::{Place, Problem, Source, quoted};
use crate::language::suggest::{did_you_mean, listed};
use crate::rulebook::KeySource;

/// The most bytes that a certificate may have: real ones have one or two thousand.
const CERTIFICATE_BYTES_MAX: usize = 16 * 1024;

/// How the name of a file with keys may end.
const ENDINGS: [&str; 2] = [".jwks", ".json"];

/// Tells whether a text of a set holds keys; the others are policies.
///
/// A file `*.jwks` does, and a file `*.json` that is a JWK set: contracts and other things may be JSON as well.
#[must_use]
pub fn is_key_set(name: &str, text: &str) -> bool {
    let holds_keys = || {
        let found: Option<Map<String, Json>> = serde_json::from_str(text).ok();
        found.is_some_and(|members| members.contains_key("keys") && !members.contains_key("openapi"))
    };
    name.ends_with(".jwks") || (name.ends_with(".json") && holds_keys())
}

/// The files with keys that stand beside policies, by their names.
pub(super) struct KeyFiles<'a>(HashMap<&'a str, &'a Source>);

impl<'a> KeyFiles<'a> {
    pub(super) fn of(files: &'a [Source]) -> Self {
        Self(files.iter().filter(|file| is_key_set(&file.name, file.body())).map(|file| (&*file.name, file)).collect())
    }

    /// Finds the file that a policy names, and reports if there is none.
    pub(super) fn named(&self, value: Value<'_>) -> Option<&'a Source> {
        let text = value.text()?;
        let part = |part: &str| !part.is_empty() && part != "." && part != "..";
        if !ENDINGS.iter().any(|end| text.ends_with(end)) || !text.split('/').all(part) {
            value.report(
                value
                    .fault("P0208", format!("{} is no file of keys beside this policy", quoted(text)))
                    .label("not a name in this folder")
                    .help("name a file `*.jwks` or `*.json` in the folder of this policy, or below it, for example `keys.jwks`"),
            );
            return None;
        }
        let file = &*value.place().file;
        // A file of a revision is called `REV:PATH`.
        let end = file.rfind('/').or_else(|| file.rfind(':')).map_or(0, |at| at + 1);
        let folder = file.get(..end).unwrap_or_default();
        if let Some(found) = self.0.get(format!("{folder}{text}").as_str()) {
            return Some(found);
        }
        let mut beside: Vec<&str> = self.0.keys().filter_map(|name| name.strip_prefix(folder)).collect();
        beside.sort_unstable();
        let help = match did_you_mean(text, beside.iter().copied()) {
            Some(name) => format!("did you mean `{name}`?"),
            None if beside.is_empty() => format!(
                "no file of keys is in the folder of `{file}`, or below it; one in JSON has to be `{{\"keys\": [...]}}`"
            ),
            None => format!("found: {}", listed(beside.iter().copied())),
        };
        value.report(value.fault("P0208", format!("there is no file {}", quoted(text))).label("not found").help(help));
        None
    }
}

/// Where the keys of a client are written.
#[derive(Clone, Copy)]
pub(super) enum Written<'n, 'f> {
    /// Here.
    Here(Value<'n>),
    /// In a file that is named here.
    File(Value<'n>, &'f Source),
    /// At a place that is named here.
    Url(Value<'n>),
}

/// Finds out where the keys of a client are.
pub(super) fn written<'n, 'f>(value: Value<'n>, files: &KeyFiles<'f>) -> Option<Written<'n, 'f>> {
    if !value.is_mapping() {
        return Some(Written::Here(value));
    }
    let fields = value.mapping()?;
    match (fields.at("file"), fields.at("url")) {
        (Some(file), None) => files.named(file).map(|found| Written::File(file, found)),
        (None, Some(url)) => Some(Written::Url(url)),
        (Some(_), Some(url)) => {
            url.report(
                Problem::error("P0204", url.key_place(), "the keys of a client are in one place")
                    .label("`file` is there as well")
                    .help("keep one of the two: nobody could say which keys count"),
            );
            None
        }
        (None, None) => {
            if !fields.may_have("file") && !fields.may_have("url") {
                value.report(
                    Problem::error("P0102", value.key_place(), "`keys` does not say where the keys are")
                        .label("neither `file` nor `url`")
                        .help("write `keys: {file: keys.jwks}`, `keys: {url: https://...}`, or a list of JWKs"),
                );
            }
            None
        }
    }
}

/// Reads the keys that a client signs assertions with.
pub(super) fn source(written: Written<'_, '_>, allowed: Allowed) -> Option<KeySource> {
    match written {
        Written::Here(value) => keys(value).map(KeySource::Given),
        Written::File(value, file) => in_file(value, file).map(KeySource::Given),
        Written::Url(value) => endpoint(value, allowed).map(KeySource::Url),
    }
}

fn in_file(value: Value<'_>, file: &Source) -> Option<KeySet> {
    let refused = |what: String| {
        value.report(
            value
                .fault("P0208", format!("the keys in {} cannot be used: {what}", quoted(&file.name)))
                .label("named here")
                .help("a JWK set is `{\"keys\": [...]}` of public keys for ES256, EdDSA or PS256 (RFC 7517)"),
        );
    };
    match KeySet::read(file.body().as_bytes()) {
        Ok(keys) if keys.is_empty() => refused("none of them can verify anything here".to_owned()),
        Ok(keys) => return Some(keys),
        Err(SetError::Key(KeyError::Private(member))) => value.report(
            value
                .fault("P0109", format!("{} holds `{member}`, the private part of a key", quoted(&file.name)))
                .label("named here")
                .help("keep the public members only, and replace the key pair: whoever could read the file could sign with it"),
        ),
        Err(error) => refused(error.to_string()),
    }
    None
}

/// Reads the certificates of a client that shows them unsigned by anybody: the first of each key's `x5c`.
pub(super) fn certificates(written: Written<'_, '_>) -> Option<BTreeSet<[u8; 32]>> {
    let (value, found) = match written {
        Written::Here(value) => {
            // Whatever kind of key is in it: the handshake has proven that the client holds it.
            let read = |item: Value<'_>| {
                if let Some(member) = private_member(&json(item.node())) {
                    refuse_private(item, member);
                    return None;
                }
                certificate(&json(item.node())).or_else(|| {
                    let place = member_place(item.node(), "x5c");
                    item.report(
                        Problem::error("P0202", &place, "the key has no certificate under `x5c`")
                            .label("base64 of its DER form, without line feeds")
                            .help("a client that signs its certificate itself is known by it: `x5c: [MIIB...]`"),
                    );
                    None
                })
            };
            (value, value.items(read)?)
        }
        Written::File(value, file) => {
            let set: Option<Json> = serde_json::from_str(file.body()).ok();
            let keys = set.as_ref().and_then(|set| set.get("keys")).and_then(Json::as_array);
            let sound = keys.filter(|keys| keys.iter().all(|key| private_member(key).is_none()));
            let found: Option<Vec<_>> = sound.and_then(|keys| keys.iter().map(certificate).collect());
            let Some(found) = found else {
                value.report(
                    value
                        .fault("P0208", format!("the certificates in {} cannot be used", quoted(&file.name)))
                        .label("named here")
                        .help("it is a JWK set (RFC 7517) of public keys, each with its certificate under `x5c`"),
                );
                return None;
            };
            (value, found)
        }
        Written::Url(value) => {
            value.report(
                Problem::error("P0204", value.key_place(), "certificates are not fetched")
                    .label("of no use for `self_signed_tls_client_auth`")
                    .help(
                        "write the certificates here, or in a file: each handshake would wait for the client's server",
                    ),
            );
            return None;
        }
    };
    if found.is_empty() {
        value.report(value.fault("P0111", "`keys` names no key").label("at least one belongs here"));
        return None;
    }
    if found.len() > KEYS_MAX {
        value.report(value.fault("P0105", "`keys` has too many keys").label(format!("at most {KEYS_MAX}")));
        return None;
    }
    Some(found.into_iter().collect())
}

/// Returns SHA-256 of the DER form of a key's first certificate; only its frame is looked at, for what counts is that it is
/// the same.
pub(super) fn certificate(jwk: &Json) -> Option<[u8; 32]> {
    let text = jwk.get("x5c")?.as_array()?.first()?.as_str()?;
    let der = STANDARD.decode(text).ok().filter(|der| der.len() <= CERTIFICATE_BYTES_MAX)?;
    let length = match der.as_slice() {
        [0x30, 0x82, high, low, rest @ ..] => (usize::from(*high) << 8 | usize::from(*low), rest.len()),
        [0x30, 0x81, length, rest @ ..] => (usize::from(*length), rest.len()),
        _ => return None,
    };
    (length.0 == length.1).then(|| sha256(&der))
}

fn private_member(jwk: &Json) -> Option<&'static str> {
    match VerifyingKey::from_jwk(jwk) {
        Err(KeyError::Private(member)) => Some(member),
        _ => None,
    }
}

fn refuse_private(value: Value<'_>, member: &str) {
    value.report(
        Problem::error(
            "P0109",
            &member_key_place(value.node(), member),
            format!("`{member}` is the private part of a key"),
        )
        .label("never belongs in a policy")
        .help(
            "keep the public members only, and replace the key pair: whoever could read this file could sign with it",
        ),
    );
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
            refuse_private(value, member);
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
