//! A client that authenticates itself with the request: by an assertion in its form, or by its certificate.

use bytes::Bytes;
use http::header::AUTHORIZATION;
use policies::binding;
use policies::code::Code;
use policies::grant::{self, AuthenticatedClient, ClientForm, GrantError};
use policies::proof::VerifiedProof;
use policies::rulebook::{ClientAuthentication, KeySource};
use spine::error::Rejection;
use spine::stage::Routed;

use super::proof;
use super::sources::Sources;

/// Tells which client sends a form, and the DPoP proof that came with it.
pub(super) async fn identify(
    stage: &Sources,
    routed: &Routed,
    raw: &Bytes,
) -> Result<(AuthenticatedClient, Option<VerifiedProof>), Rejection> {
    let house = &stage.house;
    if routed.head.headers.contains_key(AUTHORIZATION) {
        let detail = "Clients authenticate by assertion or certificate, not by the Authorization header.";
        return Err(Rejection::new(Code::OauthInvalidClient, detail));
    }
    let fields = openapi::form_fields(raw)
        .ok_or_else(|| Rejection::new(Code::OauthInvalidRequest, "The form cannot be read."))?;
    let form = ClientForm::parse(&fields).map_err(|error| refuse(&error))?;
    let id = grant::client_id_of(&form).map_err(|error| refuse(&error))?;
    // An unknown client and a wrong assertion read the same, and take as long (AS11).
    let unknown = || refuse(&grant::refuse_unknown(&form, &house.issuer, routed.received));
    let client = stage.generation.rulebook.clients.get(&id).ok_or_else(unknown)?;
    let certificate = routed.peer.certificate.as_deref();
    let authenticated = match &client.authentication {
        ClientAuthentication::PrivateKeyJwt(source) => {
            let keys = match source {
                KeySource::Given(keys) => keys.clone(),
                KeySource::Url(url) => {
                    let keys = house.jwks.keys(url, form.key_id().as_deref(), routed.received).await;
                    // As for an unknown client: a 503 would tell that this one exists (AS11). The log tells why.
                    keys.map_err(|outage| unknown().because(outage))?
                }
            };
            let checked = grant::check_assertion(&form, client, &keys, &house.issuer, routed.received);
            let checked = checked.map_err(|error| refuse(&error))?;
            let (key, until) = (checked.replay_key(), checked.keep_until());
            let claim = house.replays.claim(client.id.as_str(), key, until, routed.received);
            let fresh = claim.await.map_err(|outage| Rejection::outage(Code::DependencyDown, &outage))?;
            checked.accept(fresh).map_err(|error| refuse(&error))?
        }
        ClientAuthentication::TlsClientAuth(_) | ClientAuthentication::SelfSignedTlsClientAuth(_) => {
            grant::check_certificate(&form, client, certificate).map_err(|error| refuse(&error))?
        }
    };
    binding::vouched(&client.authentication, certificate)
        .map_err(|error| refuse(&GrantError::WrongCertificate).because(error))?;
    let proof = match routed.head.headers.contains_key("dpop") {
        true => Some(proof::prove(house, routed, client, None).await?),
        false => None,
    };
    Ok((authenticated, proof))
}

fn refuse(error: &GrantError) -> Rejection {
    Rejection::new(error.code(), error.to_string()).because(error)
}
