//! `POST /oauth/par`: a client says what it will ask a citizen for, and gets a name for it (RFC 9126).

use adapters::authorizations::Batch;
use adapters::entropy;
use policies::authorization::{AuthorizationRequest, RequestError};
use policies::code::Code;
use policies::consent::{Consent, ConsentKind};
use policies::details::Asked;
use policies::grant::AuthenticatedClient;
use policies::id::{ConsentId, OperationId};
use policies::jose::{base64url, sha256};
use policies::proof::VerifiedProof;
use policies::rule::role;
use policies::rulebook::ConsentTerms;
use policies::time::Timestamp;
use serde_json::{Value, json};
use spine::error::Rejection;

use crate::{Server, away, ending};

/// What stands before the random part of a `request_uri` (RFC 9126, section 2.2).
pub const REQUEST_URI: &str = "urn:ietf:params:oauth:request_uri:";

/// Takes a request; gives the body of the answer.
///
/// # Errors
/// What is wrong with the request, in the words of RFC 6749, section 5.2, and RFC 9396, section 5; an outage of the store.
pub async fn push(
    server: &Server<'_>,
    client: &AuthenticatedClient,
    proof: Option<&VerifiedProof>,
    now: Timestamp,
) -> Result<Value, Rejection> {
    let request = AuthorizationRequest::parse(client, proof, now).map_err(|error| refused(&error))?;
    let mut consents = Vec::new();
    let mut batch = Batch::new();
    for asked in request.asked() {
        if !licensed(server, client, asked.kind()) {
            return Err(refused(&RequestError::TypeNotAllowed));
        }
        let consent = match asked {
            Asked::Consent { id, .. } => {
                ending::consent(server, id).await?.map(|found| found.value).ok_or_else(nobodys)?
            }
            Asked::Terms(terms) => {
                let id = ConsentId::parse(&entropy::uuid_v7(now))
                    .map_err(|error| Rejection::new(Code::Internal, "No consent could be made.").because(error))?;
                let kind = asked.kind();
                let rule = server.rulebook.consents.get(&kind).copied().unwrap_or_else(|| ConsentTerms::usual(kind));
                let consent =
                    Consent::create(id, client.client().id.clone(), terms.terms.clone(), terms.lasts_until, &rule, now);
                let consent = consent.map_err(|error| {
                    Rejection::new(Code::OauthInvalidAuthorizationDetails, error.to_string()).because(error)
                })?;
                batch = batch.add(&consent);
                consent
            }
        };
        consents.push(consent);
    }
    let name = format!("{REQUEST_URI}{}", base64url(&entropy::random::<32>()));
    let pushed = request.push(sha256(name.as_bytes()), &consents, now).map_err(|error| refused(&error))?;
    if !batch.add(&pushed).commit(server.store, now).await.map_err(|outage| away(&outage))? {
        return Err(Rejection::new(Code::Internal, "The request could not be taken.").because("a name came twice"));
    }
    Ok(json!({"request_uri": name, "expires_in": pushed.expires.since(now).as_secs()}))
}

// Whose organisation may not make consents of a kind where those are made has none made here, nor asks with an earlier one.
fn licensed(server: &Server<'_>, client: &AuthenticatedClient, kind: ConsentKind) -> bool {
    let made_by = match kind {
        ConsentKind::AccountAccess => "createAccountAccessConsent",
        ConsentKind::DomesticPayment => "createDomesticPaymentConsent",
    };
    let policy = OperationId::parse(made_by).ok().and_then(|id| server.rulebook.operations.get(&id));
    policy.is_none_or(|policy| role::held(&policy.roles, &client.client().organisation.roles).is_ok())
}

fn refused(error: &RequestError) -> Rejection {
    Rejection::new(error.code(), error.to_string()).because(error)
}

// One that is not there reads like one of another client.
fn nobodys() -> Rejection {
    Rejection::new(Code::OauthInvalidAuthorizationDetails, "The consent is not one that can be asked for.")
}
