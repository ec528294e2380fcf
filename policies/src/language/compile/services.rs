//! What stands behind operations: backends and identity providers.

use crate::id::{ProviderId, UpstreamId};
use crate::language::decode::Value;
use crate::language::document::Key;
use crate::language::tables::{PROVIDER, UPSTREAM};
use crate::rulebook::{Protocol, Provider, Upstream};

pub(super) fn upstream(key: &Key, value: Value<'_>) -> Option<Upstream> {
    let fields = value.table(&UPSTREAM)?;
    let protocol = fields.at("protocol").and_then(|value| {
        value.word(|word| match word {
            "http1" => Some(Protocol::Http1),
            "http2" => Some(Protocol::Http2),
            _ => None,
        })
    });
    let timeouts = fields.at("timeouts").and_then(Value::mapping);
    let time = |name: &str| timeouts.as_ref().and_then(|fields| fields.at(name)).and_then(Value::time);
    let (connect, response) = (time("connect"), time("response"));
    let requests = fields.at("maxRequests").and_then(Value::count);
    Some(Upstream {
        id: UpstreamId::parse(&key.text).ok()?,
        protocol: protocol?,
        connect: connect?,
        response: response?,
        requests_max: u32::try_from(requests?).ok()?,
    })
}

pub(super) fn provider(key: &Key, value: Value<'_>) -> Option<Provider> {
    let fields = value.table(&PROVIDER)?;
    let level = fields.at("level").and_then(level);
    let timeout = fields.at("timeout").and_then(Value::time);
    Some(Provider { id: ProviderId::parse(&key.text).ok()?, level: level?, timeout: timeout? })
}

/// Reads a level of assurance.
pub(super) fn level(value: Value<'_>) -> Option<String> {
    value.word(|word| Some(word.to_owned()))
}
