//! C9: a signed object of one use is refused in every other use, even with the same key, issuer, audience and time.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::id::{ClientId, OrganisationId, PlanId};
use crate::jose::testing::{TestSigner, sign_raw};
use crate::jose::{KeySet, Thumbprint};
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

const USES: [&str; 4] = ["access token", "proof", "client assertion", "identity result"];

// Claims that satisfy every use at once.
fn claims(thumbprint: &Thumbprint) -> Value {
    json!({
        "iss": NAME, "sub": NAME, "aud": NAME, "client_id": NAME, "jti": "1", "scope": "a",
        "iat": NOW.seconds(), "exp": NOW.seconds() + 60, "cnf": {"jkt": thumbprint.as_str()},
        "htm": "GET", "htu": TARGET, "verification": "v", "acr": "urn:qaqpa:acr:L2",
    })
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
        proof::check(raw, &proof::Expected { method: "GET", target: TARGET, token: None, nonces }, NOW).is_ok(),
        grant::check_assertion(&form, &client, keys, NAME, NOW).is_ok(),
        result::check(raw, keys, NAME, &client.id, NOW).is_ok(),
    ];
    USES.into_iter().zip(taken).filter(|(_, taken)| *taken).map(|(name, _)| name).collect()
}

#[test]
fn c9_an_object_of_one_use_is_refused_in_every_other() {
    let signer = TestSigner::es256("k");
    let keys = KeySet::new(vec![signer.verifying_key()]).unwrap();
    let claims = claims(signer.verifying_key().thumbprint()).to_string();
    let with_type = |typ: Option<&str>, with_key: bool| {
        let mut header = json!({"alg": "ES256"});
        let members = header.as_object_mut().unwrap();
        members.extend(typ.map(|typ| ("typ".to_owned(), json!(typ))));
        members.extend(with_key.then(|| ("jwk".to_owned(), signer.bare_jwk())));
        takers(&sign_raw(&header.to_string(), &claims, &signer), &keys)
    };
    for (typ, user) in [
        (Some("at+jwt"), "access token"),
        (Some("application/at+jwt"), "access token"),
        (None, "client assertion"),
        (Some("JWT"), "client assertion"),
        (Some("client-authentication+jwt"), "client assertion"),
        (Some("identity-result+jwt"), "identity result"),
    ] {
        assert_eq!(with_type(typ, false), vec![user], "{typ:?}");
        assert_eq!(with_type(typ, true), Vec::<&str>::new(), "{typ:?} with a key inside");
    }
    assert_eq!(with_type(Some("dpop+jwt"), true), vec!["proof"]);
    assert_eq!(with_type(Some("dpop+jwt"), false), Vec::<&str>::new());
    for other in ["oauth-authz-req+jwt", "token-introspection+jwt", "secevent+jwt", "logout+jwt", "jwt", "id_token"] {
        assert_eq!(with_type(Some(other), false), Vec::<&str>::new(), "{other}");
        assert_eq!(with_type(Some(other), true), Vec::<&str>::new(), "{other}");
    }
}
