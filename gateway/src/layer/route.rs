//! `route`: one canonical path, one operation; what no policy exposes at this door does not exist.

use std::sync::Arc;
use std::time::Instant;

use openapi::{CanonicalPath, Route as Found};
use policies::code::Code;
use spine::error::Rejection;
use spine::refine::Refine;
use spine::stage::{Door, Received, Routed};

use super::{hygiene, noted};
use crate::generation::Generation;

/// The stage.
#[derive(Debug, Clone)]
pub struct Route(pub Arc<Generation>);

impl Refine<Received> for Route {
    type Out = Routed;

    async fn refine(&self, received: Received) -> Result<Routed, Rejection> {
        let trail = received.trail.clone();
        noted(&trail, "route", self.route(received))
    }
}

impl Route {
    fn route(&self, received: Received) -> Result<Routed, Rejection> {
        hygiene::check(&received)?;
        let path = CanonicalPath::parse(received.head.uri.path())
            .map_err(|fault| Rejection::new(Code::PathNotCanonical, format!("The path is refused: {fault}.")))?;
        let matched = match self.0.contract.route(received.head.method.as_str(), &path) {
            Found::Found(matched) => matched,
            Found::MethodNotAllowed { allow } => {
                let detail = "The path exists, but not with this method.";
                return Err(Rejection::new(Code::MethodNotAllowed, detail).allow(allow));
            }
            Found::NotFound => return Err(unknown()),
        };
        let policy = self.0.policy(&matched.operation).ok_or_else(unknown)?;
        let for_admin = policy.api.as_str() == "admin";
        if for_admin != (received.entrance.door == Door::Admin) {
            return Err(unknown());
        }
        let policy = Arc::clone(policy);
        received.trail.note_policy(&policy);
        let mut routed = Routed::found(received, path, matched, policy);
        let own_deadline = Instant::now() + routed.policy().timeout;
        let inflight = routed.inflight_mut();
        inflight.deadline = inflight.deadline.min(own_deadline);
        Ok(routed)
    }
}

fn unknown() -> Rejection {
    Rejection::new(Code::UnknownPath, "No operation of the Open API has this path.")
        .next("The operations are listed by `qaqpa routes` and in the published contracts.")
}
