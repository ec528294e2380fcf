//! C9: a signed object of one use is refused in every other use, even with the same key, issuer, audience and time.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::id::{ClientId, OrganisationId, PlanId};
use crate::issuer::tests::theirs;
use crate::jose::testing::{TestSigner, sign_raw};
use crate::jose::{Algorithm, KeySet, Signer, Thumbprint};
use crate::nonce::Nonces;
use crate::rulebook::{
    Client, ClientAuthentication, KeySource, OauthTerms, Organisation, Plan, ScopeSet, TokenBinding,
};
use crate::time::Timestamp;
use crate::{grant, proof, result, token};

// One name for client, issuer and audience, so that only the type can make the difference.
const NAME: &str = "gate";
const TARGET: &str = "https://gate.example/v1/accounts";
const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

const USES: [&str; 5] =
    ["access token", "access token of another server", "proof", "client assertion", "identity result"];

// Claims that satisfy every use at once, as far as they can: an access token that tells an `acr` speaks for a citizen, who
// is never named like a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claimed {
    // For the client itself.
    Own,
    // Also what an identity result tells, which makes half a citizen's token.
    Result,
    // All that a citizen's token tells.
    Citizen,
}

fn claims(thumbprint: &Thumbprint, claimed: Claimed) -> Value {
    let mut claims = json!({
        "iss": NAME, "sub": NAME, "aud": NAME, "client_id": NAME, "jti": "1", "scope": "a",
        "iat": NOW.seconds(), "exp": NOW.seconds() + 60, "cnf": {"jkt": thumbprint.as_str()},
        "htm": "GET", "htu": TARGET,
    });
    let members = claims.as_object_mut().unwrap();
    let mut put = |name: &str, value: Value| members.insert(name.to_owned(), value);
    if claimed != Claimed::Own {
        put("acr", json!("urn:qaqpa:acr:L2"));
        put("verification", json!("v"));
    }
    if claimed == Claimed::Citizen {
        put("sub", json!("citizen:gate"));
        put("grant_id", json!("g"));
        put("auth_time", json!(NOW.seconds()));
        let detail = json!({
            "type": "account_information", "consentId": "c", "permissions": ["accounts"], "accounts": ["acc-1"],
        });
        put("authorization_details", json!([detail]));
    }
    claims
}

fn client(keys: KeySet) -> Arc<Client> {
    let organisation = Organisation {
        id: OrganisationId::parse("org").unwrap(),
        title: String::new(),
        roles: BTreeSet::new(),
        licence_ends: Timestamp::MAX,
        suspended: false,
        networks: Vec::new(),
    };
    Arc::new(Client {
        id: ClientId::parse(NAME).unwrap(),
        organisation: Arc::new(organisation),
        authentication: ClientAuthentication::PrivateKeyJwt(KeySource::Given(keys)),
        binding: TokenBinding::Dpop,
        scopes: ScopeSet::of(["a"]),
        plan: Arc::new(Plan { id: PlanId::parse("plan").unwrap(), limits: vec![] }),
        suspended: false,
        webhook: None,
        oauth: OauthTerms::default(),
    })
}

// Which of the uses take this object.
fn takers(raw: &str, keys: &KeySet) -> Vec<&'static str> {
    let bearer = token::BearerToken::parse(raw).unwrap();
    let client = client(keys.clone());
    let form = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", raw),
    ];
    let form: Vec<(String, String)> = form.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let form = grant::ClientForm::parse(&form).unwrap();
    let nonces = Nonces::free();
    let taken = [
        token::verify(&bearer, &token::Expected { issuer: NAME, audience: NAME, keys }, NOW).is_ok(),
        token::verify_other(&bearer, &token::Expected { issuer: NAME, audience: NAME, keys }, NOW)
            .and_then(|verified| theirs(NAME, false).admit(verified))
            .is_ok(),
        proof::check(raw, &proof::Expected { method: "GET", target: TARGET, token: None, nonces }, NOW).is_ok(),
        grant::check_assertion(&form, &client, keys, NAME, NOW).is_ok(),
        result::check(raw, keys, NAME, &client.id, NOW).is_ok(),
    ];
    USES.into_iter().zip(taken).filter(|(_, taken)| *taken).map(|(name, _)| name).collect()
}

fn taken(signer: &TestSigner, typ: Option<&str>, with_key: bool, claimed: Claimed) -> Vec<&'static str> {
    let keys = KeySet::new(vec![signer.verifying_key()]).unwrap();
    let claims = claims(signer.verifying_key().thumbprint(), claimed).to_string();
    let mut header = json!({"alg": signer.algorithm().as_str()});
    let members = header.as_object_mut().unwrap();
    members.extend(typ.map(|typ| ("typ".to_owned(), json!(typ))));
    members.extend(with_key.then(|| ("jwk".to_owned(), signer.bare_jwk())));
    takers(&sign_raw(&header.to_string(), &claims, signer), &keys)
}

#[test]
fn c9_an_object_of_one_use_is_refused_in_every_other() {
    use Claimed::{Citizen, Own, Result};
    let access = ["access token", "access token of another server"].as_slice();
    let of_ours = ["access token"].as_slice();
    let of_others = ["access token of another server"].as_slice();
    for algorithm in Algorithm::ALL {
        let signer = TestSigner::new(algorithm, "k");
        for (typ, claimed, users) in [
            (Some("at+jwt"), Own, access),
            (Some("at+jwt"), Result, of_others),
            (Some("at+jwt"), Citizen, of_ours),
            (Some("application/at+jwt"), Own, access),
            (Some("application/at+jwt"), Citizen, of_ours),
            (None, Own, &["client assertion"]),
            (None, Result, &["client assertion"]),
            (None, Citizen, &[]),
            (Some("JWT"), Own, &["client assertion"]),
            (Some("JWT"), Citizen, &[]),
            (Some("client-authentication+jwt"), Own, &["client assertion"]),
            (Some("client-authentication+jwt"), Citizen, &[]),
            (Some("identity-result+jwt"), Own, &[]),
            (Some("identity-result+jwt"), Result, &["identity result"]),
        ] {
            assert_eq!(taken(&signer, typ, false, claimed), users, "{typ:?} {claimed:?}");
            assert_eq!(taken(&signer, typ, true, claimed), Vec::<&str>::new(), "{typ:?} {claimed:?} with a key inside");
        }
        for claimed in [Own, Result, Citizen] {
            assert_eq!(taken(&signer, Some("dpop+jwt"), true, claimed), vec!["proof"]);
            assert_eq!(taken(&signer, Some("dpop+jwt"), false, claimed), Vec::<&str>::new());
        }
    }
}

#[test]
fn c9_an_object_of_a_use_that_is_not_offered_is_refused_everywhere() {
    let signer = TestSigner::es256("k");
    for typ in [
        "oauth-authz-req+jwt",
        "token-introspection+jwt",
        "secevent+jwt",
        "logout+jwt",
        "jwt",
        "Jwt",
        "id_token",
        "at+JWT",
        "AT+jwt",
        "application/dpop+jwt",
        "DPOP+JWT",
        "application/jwt",
        "at+jwt;v=1",
        " at+jwt",
        "dpop+jwt ",
        "entity-statement+jwt",
        "",
    ] {
        for claimed in [Claimed::Own, Claimed::Result, Claimed::Citizen] {
            assert_eq!(taken(&signer, Some(typ), false, claimed), Vec::<&str>::new(), "{typ} {claimed:?}");
            assert_eq!(taken(&signer, Some(typ), true, claimed), Vec::<&str>::new(), "{typ} {claimed:?}");
        }
    }
}
