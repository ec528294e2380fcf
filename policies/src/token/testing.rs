//! Verified tokens for tests.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use super::{
    ACCESS_TOKEN_TTL, ACCESS_TOKEN_TYPE, AccessGrant, BearerToken, Citizen, Confirmation, Expected, VerifiedToken,
    claims, verify,
};
use crate::consent::ConsentKind;
use crate::details::Detail;
use crate::grant::testing::{ISSUER, NOW, authorised, client, grant_id};
use crate::jose::testing::TestSigner;
use crate::jose::{KeySet, Thumbprint, encode};
use crate::party::ScopeSet;

/// What a client's token for itself says.
pub(crate) fn own_grant() -> AccessGrant {
    AccessGrant {
        issuer: ISSUER.to_owned(),
        audience: ISSUER.to_owned(),
        client: client().id,
        subject: client().id.as_str().to_owned(),
        scopes: ScopeSet::of(["accounts:read"]),
        confirmation: Confirmation::X5tS256([7; 32]),
        jti: "token-own".to_owned(),
        issued: NOW,
        expires: NOW + ACCESS_TOKEN_TTL,
        citizen: None,
    }
}

/// What a citizen's token says: of reading accounts and of a payment, under the grant `g`.
pub(crate) fn citizens_grant() -> AccessGrant {
    let detail = |kind| Detail::of(&authorised("consent-1", kind, "g")).unwrap();
    AccessGrant {
        subject: "citizen:somebody".to_owned(),
        scopes: ScopeSet::of(["accounts:read", "balances:read", "payments:read", "payments:write"]),
        confirmation: Confirmation::Jkt(Thumbprint::parse("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I").unwrap()),
        jti: "token-citizens".to_owned(),
        citizen: Some(Citizen {
            grant: grant_id("g"),
            details: ConsentKind::ALL.map(detail).into(),
            acr: "urn:qaqpa:acr:L2".to_owned(),
            authenticated: NOW,
        }),
        ..own_grant()
    }
}

/// A client's token for itself.
pub(crate) fn own() -> VerifiedToken {
    verified(&own_grant())
}

/// A citizen's token.
pub(crate) fn citizens() -> VerifiedToken {
    verified(&citizens_grant())
}

fn verified(grant: &AccessGrant) -> VerifiedToken {
    let signer = TestSigner::es256("issuer-key");
    let keys = KeySet::new(vec![signer.verifying_key()]).unwrap();
    let raw = encode(ACCESS_TOKEN_TYPE, &claims(grant), None, &signer).unwrap();
    let expected = Expected { issuer: ISSUER, audience: ISSUER, keys: &keys };
    verify(&BearerToken::parse(&raw).unwrap(), &expected, NOW).unwrap()
}
