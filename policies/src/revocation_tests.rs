#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use super::*;
use crate::grant::testing::{ISSUER, NOW, client, grant_id};
use crate::token::testing::{citizens, own};

fn refresh(id: &ClientId) -> RefreshToken {
    RefreshToken { key: [3; 32], client: id.clone(), grant: grant_id("g"), expires: NOW }
}

#[test]
fn as65_only_what_is_its_own_is_taken_back_from_a_client() {
    let (ours, theirs) = (client().id, ClientId::parse("another").unwrap());
    let (own, citizens) = (own(), citizens());
    for presented in [
        Presented::Unknown,
        Presented::Refresh(&refresh(&theirs)),
        Presented::Refresh(&refresh(&ClientId::parse("Fintech").unwrap())),
    ] {
        assert_eq!(asked(&ours, ISSUER, presented), Revocation::Nothing, "{presented:?}");
    }
    for presented in [Presented::Access(&own), Presented::Access(&citizens), Presented::Refresh(&refresh(&ours))] {
        assert_eq!(asked(&theirs, ISSUER, presented), Revocation::Nothing, "{presented:?}");
    }
    assert_eq!(asked(&ours, ISSUER, Presented::Refresh(&refresh(&ours))), Revocation::Grant(grant_id("g")));
    for mine in [&own, &citizens] {
        assert_eq!(asked(&ours, ISSUER, Presented::Access(mine)), Revocation::Token(of_token(ISSUER, mine)));
    }
}

#[test]
fn rs11_what_was_taken_back_is_remembered_longer_than_a_token_lives() {
    let taken = of_grant(&grant_id("g"), NOW);
    assert!(taken.until >= NOW + ACCESS_TOKEN_TTL + LEEWAY);
    assert_eq!(taken.name, grant(&grant_id("g")));
    let taken = of_token(ISSUER, &own());
    assert!(own().is_over(taken.until));
}

#[test]
fn rs11_a_token_is_looked_for_by_its_own_name_and_by_its_grant() {
    assert_eq!(names(ISSUER, &own()).collect::<Vec<_>>(), [token(ISSUER, own().jti())]);
    let citizens = citizens();
    assert_eq!(names(ISSUER, &citizens).collect::<Vec<_>>(), [token(ISSUER, citizens.jti()), grant(&grant_id("g"))]);
    assert_ne!(token(ISSUER, "a"), token("https://other.example", "a"));
    assert_ne!(token(ISSUER, "g"), grant(&grant_id("g")));
}
