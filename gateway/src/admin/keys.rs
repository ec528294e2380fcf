//! What administrators ask about the keys that sign: which there are, and that the next one sign.

use std::sync::Arc;

use adapters::keys::{Keyring, KnownKey, NotRotated};
use http::StatusCode;
use policies::code::{Code, Outage};
use policies::rotation::may_sign;
use policies::time::Timestamp;
use serde_json::{Map, Value, json};
use spine::Reply;
use spine::error::Rejection;
use spine::stage::Cleared;

use crate::house::House;
use crate::reply::json_reply;

/// Tells which keys there are, and when they may be and will be rotated.
pub(super) fn told(house: &House, now: Timestamp) -> Value {
    described(house, &house.keyring.now(), now)
}

/// Has the next key sign; who asked is in the trail, and which key signs since.
pub(super) async fn rotate(house: &House, cleared: &Cleared) -> Result<Reply, Rejection> {
    let (keyring, now) = (Arc::clone(&house.keyring), cleared.received);
    // Files are written, which a serving thread never waits for.
    let rotated = tokio::task::spawn_blocking(move || keyring.rotate(now)).await;
    let rotated = rotated.unwrap_or_else(|error| Err(NotRotated::Outage(Outage::new("keys", error))));
    match rotated {
        Ok(keyring) => {
            cleared.trail.note_reference(keyring.signer_name());
            Ok(json_reply(StatusCode::OK, &described(house, &keyring, now)))
        }
        Err(NotRotated::TooEarly(early)) => {
            let detail = format!("The next key is published for too short a time: it may sign from {} on.", early.at);
            Err(Rejection::new(Code::ChangeRefused, detail)
                .retry_after(early.at.since(now))
                .member("rotatableFrom", json!(early.at.to_string())))
        }
        Err(error @ NotRotated::NotDue { .. }) => {
            Err(Rejection::new(Code::ChangeRefused, "The keys were just rotated.").because(&error))
        }
        Err(NotRotated::Outage(outage)) => Err(Rejection::outage(Code::DependencyDown, &outage)),
    }
}

fn described(house: &House, keyring: &Keyring, now: Timestamp) -> Value {
    let (signs_from, published) = keyring.times();
    let from = may_sign(published, now).map_or_else(|early| early.at, |()| now);
    let mut body = Map::new();
    body.insert("keys".to_owned(), keyring.known().iter().map(|known| key(known, now)).collect());
    body.insert("rotatableFrom".to_owned(), json!(from.to_string()));
    if let Some(every) = house.rotate_every {
        body.insert("rotateEvery".to_owned(), json!(every.as_secs()));
        body.insert("rotatesAt".to_owned(), json!((signs_from + every).max(from).to_string()));
    }
    Value::Object(body)
}

fn key(known: &KnownKey, now: Timestamp) -> Value {
    let mut told = Map::new();
    told.insert("kid".to_owned(), json!(known.key.kid().unwrap_or_default()));
    told.insert("alg".to_owned(), json!(known.key.algorithm().to_string()));
    told.insert("state".to_owned(), json!(known.state(now).word()));
    told.insert("published".to_owned(), json!(known.published.to_string()));
    for (name, at) in [("signsFrom", known.signs_from), ("signedUntil", known.signed_until)] {
        told.extend(at.map(|at| (name.to_owned(), json!(at.to_string()))));
    }
    Value::Object(told)
}
