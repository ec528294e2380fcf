//! What a client asks about its events: reading them, and having them posted again.
//!
//! Must never give one client another's: whose events they are comes from the access token and from nowhere else.

use adapters::store::port::Outbox;
use http::StatusCode;
use policies::code::{Code, Outage};
use policies::event::{Event, position, sequence};
use policies::id::ClientId;
use policies::rulebook::Client;
use policies::time::Timestamp;
use serde_json::{Value, json};
use spine::error::Rejection;
use spine::stage::Cleared;

/// The most events of one answer, as the contract says.
pub const EVENTS_MAX: usize = 500;

/// How many of them if nothing is asked for, as the contract says.
const EVENTS: usize = 50;

/// Reads a client's events.
///
/// # Errors
/// [`Code::DependencyDown`] if the store cannot be reached.
pub(crate) async fn list(
    outbox: &dyn Outbox,
    source: &str,
    client: &Client,
    cleared: &Cleared,
) -> Result<(StatusCode, Value), Rejection> {
    let query = cleared.head.uri.query().unwrap_or_default();
    // Whatever cannot be read here was refused by `validate`.
    let fields = openapi::form_fields(query.as_bytes()).unwrap_or_default();
    let asked = |name: &str| fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let after = asked("after").and_then(position).unwrap_or(0);
    let limit = asked("limit").and_then(|text| text.parse().ok()).unwrap_or(EVENTS).min(EVENTS_MAX);
    let found = outbox.after(&client.id, after, limit).await;
    let found = found.map_err(|outage| down(&outage))?;
    Ok((StatusCode::OK, page(&found, source, &client.id, after)))
}

/// Makes a client's events due again.
///
/// # Errors
/// [`Code::DependencyDown`] if the store cannot be reached.
pub(crate) async fn redeliver(
    outbox: &dyn Outbox,
    client: &Client,
    body: &Value,
    now: Timestamp,
) -> Result<(StatusCode, Value), Rejection> {
    let after = body.get("after").and_then(Value::as_str).and_then(position);
    let after = after.ok_or_else(|| Rejection::new(Code::SchemaViolation, "`after` is not a sequence."))?;
    let count = outbox.redeliver(&client.id, after, now).await.map_err(|outage| down(&outage))?;
    Ok((StatusCode::ACCEPTED, json!({"count": count})))
}

fn page(found: &[Event], source: &str, client: &ClientId, after: u64) -> Value {
    // Said twice on purpose: the store gives one client's events, and nothing else may leave here.
    let own = || found.iter().filter(|event| event.event.client == *client);
    let next = own().map(|event| event.position).max().unwrap_or(after);
    let events: Vec<Value> = own().map(|event| event.to_cloud_event(source)).collect();
    json!({"events": events, "next": sequence(next)})
}

fn down(outage: &Outage) -> Rejection {
    Rejection::outage(Code::DependencyDown, outage)
}
