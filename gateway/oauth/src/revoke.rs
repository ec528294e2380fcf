//! `POST /oauth/revoke`: a client gives a token back (RFC 7009).

use adapters::authorizations::{Batch, find};
use policies::authorization::RefreshToken;
use policies::grant::AuthenticatedClient;
use policies::jose::sha256;
use policies::revocation::{self, Presented, Revocation};
use policies::time::Timestamp;
use spine::error::Rejection;
use spine::trail::Trail;

use crate::introspect::{missing, verified};
use crate::{Server, away, ending};

/// Takes the token of a form back; what is unknown, over or another client's is passed over; `trail` is told of the grant.
///
/// # Errors
/// If there is no token; an outage of the store: then nobody knows.
pub async fn revoke(
    server: &Server<'_>,
    client: &AuthenticatedClient,
    trail: &Trail,
    now: Timestamp,
) -> Result<(), Rejection> {
    let text = client.form().get("token").ok_or_else(missing)?;
    // Both are looked for, whatever `token_type_hint` says: it is a hint, and what it costs tells nothing.
    let refresh = find::<RefreshToken>(server.store, &sha256(text.as_bytes())).await.map_err(|outage| away(&outage))?;
    let access = verified(server, text, now);
    let presented = match (&refresh, &access) {
        (Some(refresh), _) => Presented::Refresh(&refresh.value),
        (None, Some(access)) => Presented::Access(access),
        (None, None) => Presented::Unknown,
    };
    match revocation::asked(&client.client().id, server.issuer, presented) {
        Revocation::Nothing => Ok(()),
        Revocation::Grant(id) => {
            trail.note_reference(id.as_str());
            ending::end_grant(server, &id, now).await
        }
        Revocation::Token(revoked) => {
            let batch = Batch::new().revoke(revoked);
            batch.commit(server.store, now).await.map(|_| ()).map_err(|outage| away(&outage))
        }
    }
}
