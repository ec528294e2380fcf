//! What stands behind operations: backends, identity providers and step-up rules.

use std::sync::Arc;
use std::time::Duration;

use super::names::Names;
use crate::evidence::acr_of_level;
use crate::id::{ProviderId, UpstreamId};
use crate::language::decode::Value;
use crate::language::document::Key;
use crate::language::tables::{CONNECT_MAX, POINTER_BYTES_MAX, REQUESTS_MAX, RESPONSE_MAX};
use crate::rulebook::{Protocol, Provider, StepUp, Trigger, Upstream};

const TICK: Duration = Duration::from_millis(1);

const LEVELS: [(&str, &str); 4] = [("L1", "L1"), ("L2", "L2"), ("L3", "L3"), ("L4", "L4")];

pub(super) fn upstream(key: &Key, value: Value<'_>) -> Option<Upstream> {
    let fields = value.fields(&["protocol", "timeouts", "maxRequests"])?;
    let protocol = fields
        .required("protocol")
        .and_then(|value| value.choice(&[("http1", Protocol::Http1), ("http2", Protocol::Http2)]));
    let timeouts = fields.required("timeouts").and_then(|value| value.fields(&["connect", "response"]));
    let time = |name: &str, max: Duration| {
        timeouts.as_ref().and_then(|fields| fields.required(name)).and_then(|value| value.duration(TICK..=max))
    };
    let (connect, response) = (time("connect", CONNECT_MAX), time("response", RESPONSE_MAX));
    let requests = fields.required("maxRequests").and_then(|value| value.whole(1..=REQUESTS_MAX));
    Some(Upstream {
        id: UpstreamId::parse(&key.text).ok()?,
        protocol: protocol?,
        connect: connect?,
        response: response?,
        requests_max: u32::try_from(requests?).ok()?,
    })
}

pub(super) fn provider(key: &Key, value: Value<'_>) -> Option<Provider> {
    let fields = value.fields(&["level", "timeout"])?;
    let level = fields.required("level").and_then(|value| value.choice(&LEVELS));
    let timeout = fields.required("timeout").and_then(|value| value.duration(TICK..=RESPONSE_MAX));
    Some(Provider { id: ProviderId::parse(&key.text).ok()?, level: level?.to_owned(), timeout: timeout? })
}

pub(super) fn step_up(key: &Key, value: Value<'_>, providers: &Names<Provider>) -> Option<StepUp> {
    let fields = value.fields(&["above", "amount", "level"])?;
    let above = fields.required("above").and_then(Value::money);
    let amount = fields.required("amount").and_then(|value| {
        value.parsed("a place in the body", "/instructedAmount (a JSON pointer)", |text| {
            is_pointer(text).then(|| text.to_owned())
        })
    });
    let level_value = fields.required("level");
    let level = level_value.and_then(|value| value.choice(&LEVELS));
    if let (Some(level), Some(value)) = (level, level_value) {
        // Levels are one digit after the same letter, so that they compare as text.
        let reached = providers.values().any(|provider| provider.level.as_str() >= level);
        if !reached && providers.complete() {
            let best = providers.values().map(|provider| provider.level.as_str()).max();
            let help = best.map_or_else(
                || "define a provider under `identity: {providers: ...}`".to_owned(),
                |best| format!("the highest level of a provider is `{best}`"),
            );
            value.report(
                value
                    .fault("P0302", format!("no identity provider reaches the level `{level}`"))
                    .label("nobody could ever be verified so far")
                    .help(help),
            );
            return None;
        }
    }
    Some(StepUp {
        id: Arc::from(key.text.as_str()),
        trigger: Trigger::Above { above: above?, amount: amount? },
        acr: acr_of_level(level?),
        origin: key.place.origin(),
    })
}

// RFC 6901: every part after a `/`, in which `~` only begins `~0` and `~1`.
fn is_pointer(text: &str) -> bool {
    let escapes = text.split('~').skip(1).all(|after| after.starts_with(['0', '1']));
    text.len() > 1 && text.len() <= POINTER_BYTES_MAX && text.starts_with('/') && escapes
}
