//! What the administrators' listener answers.

use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use policies::admin::AdminRole;
use policies::caller::Caller;
use policies::code::{Code, Outage};
use policies::id::VerificationId;
use serde_json::{Value, json};
use spine::Reply;
use spine::body::Body;
use spine::error::Rejection;
use spine::stage::Cleared;

use crate::generation::Generation;
use crate::house::House;
pub use crate::own::Question;
use crate::reply::json_reply;

/// The most audit records of one answer, as the contract says.
pub const RECORDS_MAX: usize = 1000;

/// How many of them if nothing is asked for, as the contract says.
const RECORDS: usize = 50;

/// Answers a question.
pub(crate) async fn reply(
    house: &House,
    generation: &Generation,
    question: Question,
    cleared: &Cleared,
) -> Result<Reply, Rejection> {
    match question {
        Question::Liveness => Ok(json_reply(StatusCode::OK, &json!({"status": "live"}))),
        Question::Readiness => {
            // A question with a known answer: that it is answered is what counts.
            let nobody = VerificationId::parse("readiness")
                .map_err(|error| Rejection::new(Code::Internal, "Readiness cannot be told.").because(error))?;
            let asked = house.verifications.get(&nobody).await;
            asked.map_err(|outage| Rejection::outage(Code::DependencyDown, &outage))?;
            Ok(json_reply(StatusCode::OK, &json!({"status": "ready", "generation": generation.number})))
        }
        Question::Metrics => {
            let mut reply = Reply::new(Body::whole(house.metrics.render(generation.number, house.audit.lost())));
            let text = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
            reply.headers_mut().insert(CONTENT_TYPE, text);
            Ok(reply)
        }
        Question::Routes => {
            allow(cleared, &[AdminRole::Viewer, AdminRole::Editor, AdminRole::Approver, AdminRole::Auditor])?;
            Ok(json_reply(StatusCode::OK, &routes(generation)))
        }
        Question::Generation => {
            allow(cleared, &[AdminRole::Viewer, AdminRole::Editor, AdminRole::Approver, AdminRole::Auditor])?;
            Ok(json_reply(StatusCode::OK, &json!({"generation": generation.number})))
        }
        Question::AuditRecords => {
            allow(cleared, &[AdminRole::Auditor])?;
            let (audit, lines_max) = (house.audit.clone(), limit(cleared));
            // The log is read from the disk, which a serving thread never waits for.
            let read = tokio::task::spawn_blocking(move || audit.tail(lines_max)).await;
            let lines = read.unwrap_or_else(|error| Err(Outage::new("audit", error)));
            let mut lines = lines.map_err(|outage| Rejection::outage(Code::DependencyDown, &outage))?;
            lines.reverse();
            Ok(json_reply(StatusCode::OK, &json!({"records": lines})))
        }
    }
}

/// Lists the exposed operations.
#[must_use]
pub fn routes(generation: &Generation) -> Value {
    let rows = generation.contract.operations().iter().filter_map(|operation| {
        let policy = generation.policy(operation)?;
        Some(json!({
            "method": operation.method(),
            "path": operation.template(),
            "operation": operation.id(),
            "api": operation.document(),
            "scopes": policy.scopes.iter().collect::<Vec<_>>(),
            "roles": policy.roles.iter().map(|role| role.word()).collect::<Vec<_>>(),
            "contract": operation.origin(),
            "policy": policy.origin,
        }))
    });
    json!({"routes": rows.collect::<Vec<_>>()})
}

fn allow(cleared: &Cleared, roles: &[AdminRole]) -> Result<(), Rejection> {
    match cleared.caller() {
        Caller::Administrator(administrator) if roles.iter().any(|role| administrator.has(*role)) => Ok(()),
        _ => {
            let words: Vec<&str> = roles.iter().map(|role| role.word()).collect();
            Err(Rejection::new(Code::AdministratorRefused, format!("This needs the role {}.", words.join(" or "))))
        }
    }
}

fn limit(cleared: &Cleared) -> usize {
    let query = cleared.head.uri.query().unwrap_or_default();
    let asked = query.split('&').find_map(|pair| pair.strip_prefix("limit=")).and_then(|text| text.parse().ok());
    asked.unwrap_or(RECORDS).min(RECORDS_MAX)
}
