//! Ending what a citizen has granted: by the client, by the citizen, or because a code came twice.
//!
//! A grant and its consents end together, in one change of the store that also names what is taken back: no token of a
//! consent that is over outlives it. Must not know who may end what.

use adapters::authorizations::{Batch, Found, consent_key, find, grant_key};
use policies::authorization::Grant;
use policies::consent::Consent;
use policies::id::{ConsentId, GrantId};
use policies::revocation;
use policies::rule::consent::spent_as;
use policies::time::Timestamp;
use spine::error::Rejection;

use crate::{Server, TRIES, away, contended};

/// Ends a grant with its consents, and everything that came of it; nothing happens to one that is over.
///
/// # Errors
/// An outage of the store.
pub async fn end_grant(server: &Server<'_>, id: &GrantId, now: Timestamp) -> Result<(), Rejection> {
    for _ in 0..TRIES {
        let grant = find::<Grant>(server.store, &grant_key(id)).await.map_err(|outage| away(&outage))?;
        let Some(grant) = grant.filter(|grant| !grant.value.revoked) else { return Ok(()) };
        let mut batch = Batch::new();
        for detail in &grant.value.details {
            if let Some(consent) = consent(server, detail.consent()).await? {
                batch = without(server, batch, &consent, now).await?;
            }
        }
        let batch = batch.replace(&grant, &grant.value.ended()).revoke(revocation::of_grant(id, now));
        if batch.commit(server.store, now).await.map_err(|outage| away(&outage))? {
            return Ok(());
        }
    }
    Err(contended())
}

/// Ends a consent, with the grant that came of it; nothing happens to one that is over.
///
/// # Errors
/// An outage of the store.
pub async fn end_consent(server: &Server<'_>, id: &ConsentId, now: Timestamp) -> Result<(), Rejection> {
    for _ in 0..TRIES {
        let Some(mut found) = consent(server, id).await? else { return Ok(()) };
        if let Some(grant) = found.value.grant.clone() {
            end_grant(server, &grant, now).await?;
            // Usually it has ended with its grant; not if that was over before, with a shorter consent.
            let Some(after) = consent(server, id).await? else { return Ok(()) };
            found = after;
        }
        let spent = is_spent(server, &found.value, now).await?;
        let Ok(revoked) = found.value.revoke(now, spent) else { return Ok(()) };
        // Whoever has authorised it meanwhile has changed it: then there is a grant to end.
        let batch = Batch::new().replace(&found, &revoked);
        if batch.commit(server.store, now).await.map_err(|outage| away(&outage))? {
            return Ok(());
        }
    }
    Err(contended())
}

/// Finds a consent.
///
/// # Errors
/// An outage of the store.
pub async fn consent(server: &Server<'_>, id: &ConsentId) -> Result<Option<Found<Consent>>, Rejection> {
    find::<Consent>(server.store, &consent_key(id)).await.map_err(|outage| away(&outage))
}

/// Tells whether a consent was used up.
///
/// # Errors
/// An outage of the store.
pub async fn is_spent(server: &Server<'_>, consent: &Consent, now: Timestamp) -> Result<bool, Rejection> {
    server.claims.spent(&spent_as(&consent.id), now).await.map_err(|outage| away(&outage))
}

async fn without(
    server: &Server<'_>,
    batch: Batch,
    found: &Found<Consent>,
    now: Timestamp,
) -> Result<Batch, Rejection> {
    let spent = is_spent(server, &found.value, now).await?;
    Ok(match found.value.revoke(now, spent) {
        Ok(revoked) => batch.replace(found, &revoked),
        // It is over already.
        Err(_) => batch,
    })
}
