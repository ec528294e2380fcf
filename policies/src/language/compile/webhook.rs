//! Where a client is told of events: its endpoint, the secrets it verifies with, and what it wants to hear.

use std::collections::BTreeSet;

use super::lists::distinct;
use crate::delivery::SECRETS_MAX;
use crate::event::EventKind;
use crate::language::decode::{SecretReference, Value};
use crate::language::tables::WEBHOOK;
use crate::network::{Endpoint, EndpointError};
use crate::rulebook::Webhook;

/// What an operator allows administrators to write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Endpoints of clients may have private addresses, as sandboxes need it.
    pub private_endpoints: bool,
}

pub(super) fn webhook(value: Value<'_>, allowed: Allowed) -> Option<Webhook> {
    let fields = value.table(&WEBHOOK)?;
    let url = fields.at("url").and_then(|value| endpoint(value, allowed));
    let secrets = fields.at("secret").and_then(secrets);
    let events = fields.at("events").map_or_else(|| Some(EventKind::ALL.into_iter().collect()), events);
    Some(Webhook { url: url?, secrets: secrets?, events: events?, origin: value.key_place().origin() })
}

/// Reads a place that this gateway calls and others chose.
pub(super) fn endpoint(value: Value<'_>, allowed: Allowed) -> Option<Endpoint> {
    let text = value.text()?;
    let told = |error: EndpointError| {
        let help = match error {
            EndpointError::Scheme => "it is called over TLS only: write `https://`",
            EndpointError::Userinfo => {
                "who calls is told by a signature, and what is asked for is public: it needs no password in its URL"
            }
            EndpointError::Fragment => "leave out `#` and what follows: it is never sent",
            EndpointError::Private => {
                "who chose this address is not to reach into networks that trust each other; for a sandbox an operator \
                 sets `webhooks: {privateAddresses: allow}` in qaqpa.yaml, which `qaqpa check --config` takes into account"
            }
            EndpointError::Malformed => "write for example `https://hooks.example.kz/qaqpa`, and addresses in full",
        };
        // The path may hold what only the endpoint's owner is to know: it is not repeated in the message.
        value.report(value.fault("P0205", format!("{} cannot be used: {error}", value.name())).help(help));
    };
    Endpoint::parse(text, allowed.private_endpoints).map_err(told).ok()
}

fn secrets(value: Value<'_>) -> Option<Vec<SecretReference>> {
    let secrets = value.items(|item| Some((item.secret_reference()?, item)))?;
    if let Some((_, item)) = secrets.get(SECRETS_MAX) {
        item.report(
            item.fault("P0105", format!("{} names too many secrets", value.name()))
                .label(format!("at most {SECRETS_MAX}: the current one, and the one before during a rotation")),
        );
        return None;
    }
    // The order is kept, for the current one comes first.
    let order: Vec<SecretReference> = secrets.iter().map(|(secret, _)| secret.clone()).collect();
    distinct(value, secrets, "secret").map(|_| order)
}

fn events(value: Value<'_>) -> Option<BTreeSet<EventKind>> {
    let events = value.items(|item| Some((item.word(EventKind::from_word)?, item)))?;
    distinct(value, events, "event")
}
