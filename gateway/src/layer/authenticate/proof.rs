//! The DPoP proof of a request: checked, and spent.

use policies::code::Code;
use policies::nonce::{Nonces, Realm};
use policies::party::Client;
use policies::proof::{self, CheckedProof, ProofError, VerifiedProof};
use policies::token::BearerToken;
use spine::error::Rejection;
use spine::stage::Routed;

use crate::house::House;

/// The domain of the key that nonces are made under.
pub(crate) const NONCES: &str = "dpop nonces";

/// Checks the proof of a request; the replay store is asked last, so that a bad proof fills nothing (RS33).
///
/// `token` is the access token that it has to name; none where the client itself is asked for.
pub(super) async fn prove(
    house: &House,
    routed: &Routed,
    client: &Client,
    token: Option<&BearerToken>,
) -> Result<VerifiedProof, Rejection> {
    let realm = if token.is_some() { Realm::Resources } else { Realm::AuthorizationServer };
    let checked = check(house, routed, client, realm, token)?;
    let (key, until) = (checked.replay_key(), checked.keep_until());
    let claim = house.replays.claim(client.id.as_str(), key, until, routed.received);
    let fresh = claim.await.map_err(|outage| Rejection::outage(Code::DependencyDown, &outage))?;
    checked.accept(fresh).map_err(|error| refuse(realm, &error))
}

fn check(
    house: &House,
    routed: &Routed,
    client: &Client,
    realm: Realm,
    token: Option<&BearerToken>,
) -> Result<CheckedProof, Rejection> {
    let missing = || match realm {
        Realm::Resources => Rejection::new(Code::ProofInvalid, "A DPoP proof is needed beside the token."),
        Realm::AuthorizationServer => Rejection::new(Code::OauthInvalidDpopProof, "The DPoP proof cannot be read."),
    };
    let header = routed.head.headers.get("dpop").and_then(|value| value.to_str().ok()).ok_or_else(missing)?;
    let target = format!("{}{}", routed.entrance.external, routed.path().as_str());
    let keyed = |message: &[u8]| house.sealer.keyed_hash(NONCES, message);
    let nonces = Nonces { keyed: &keyed, realm, client: &client.id, required: client.oauth.nonce };
    let expected = proof::Expected { method: routed.head.method.as_str(), target: &target, token, nonces };
    proof::check(header, &expected, routed.received).map_err(|error| refuse(realm, &error))
}

fn refuse(realm: Realm, error: &ProofError) -> Rejection {
    let code = match (realm, error) {
        (Realm::Resources, _) => error.code(),
        (Realm::AuthorizationServer, ProofError::NonceNeeded(_)) => Code::OauthUseDpopNonce,
        (Realm::AuthorizationServer, _) => Code::OauthInvalidDpopProof,
    };
    let rejection = Rejection::new(code, format!("The DPoP proof is refused: {error}.")).because(error);
    match error.nonce() {
        Some(nonce) => rejection.nonce(nonce),
        None => rejection,
    }
}
