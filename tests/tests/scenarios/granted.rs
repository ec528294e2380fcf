//! Calls in the name of citizens, held to what these have agreed to (RFC 9396): kind, account, permissions, and each member
//! of a payment. How citizens agree is told elsewhere: tokens here are signed anew under the gateway's own key.

use policies::code::Code;
use scenarios::actors::app::fresh;
use scenarios::actors::bank::{self, account, payment};
use scenarios::actors::{App, Jws, Session};
use scenarios::world::{Answer, Kind, Setup, World};
use serde_json::{Value, json};

use crate::races::together;
use crate::tokens::{issuer_key, reread};

const SCOPES: [&str; 4] = ["accounts:read", "balances:read", "transactions:read", "payments:write"];

store_scenarios! {
    rs14_a_clients_own_token_reaches_no_citizen,
    rs14_only_shared_accounts_are_reached,
    rs14_a_permission_that_was_not_given_is_missed,
    rs14_a_payment_has_to_equal_its_order,
    rs14_consents_of_another_kind_lend_nothing,
    rs14_a_citizen_of_another_server_is_none_of_ours,
    records_tell_what_a_call_was_made_by,
    as72_a_consent_is_used_up_by_one_payment,
    as72_of_many_payments_at_once_one_uses_the_consent,
    what_was_answered_for_one_citizen_is_told_to_no_other,
}

/// A world in which citizens are asked, with a client that they may be asked by.
async fn asked(kind: Kind) -> (World, App) {
    let app = App::newcomer("citizens-app");
    let lines = "redirectUris: [\"https://app.example/callback\"]";
    let policy = app.policy("demo-fintech", &SCOPES, lines);
    (World::with(kind, Setup::citizens().policy("citizens.yaml", policy)).await, app)
}

fn reading(id: &str, permissions: &[&str], accounts: &[&str]) -> Value {
    json!({"type": "account_information", "consentId": id, "permissions": permissions, "accounts": accounts})
}

fn paying(id: &str, payment: &Value) -> Value {
    let mut order = payment.clone();
    order["type"] = json!("payment_initiation");
    order["consentId"] = json!(id);
    order
}

/// The same client with a token that speaks for a citizen who has granted this.
fn granted<'w>(own: &Session<'w>, details: &[Value]) -> Session<'w> {
    let token = spoken(own, details).sign(&issuer_key(own.world));
    Session { world: own.world, app: own.app.copy(), token }
}

fn spoken(own: &Session<'_>, details: &[Value]) -> Jws {
    reread(&own.token)
        .set("sub", "citizen:somebody")
        .set("grant_id", "grant-of-a-test")
        .set("authorization_details", json!(details))
        .set("acr", "urn:qaqpa:acr:L2")
        .set("auth_time", own.world.seconds())
        .set("jti", fresh("token"))
}

fn missed(answer: &Answer, name: &str) {
    answer.refused(403, name);
    assert!(answer.challenge().contains("error=\"insufficient_scope\""), "{}", answer.challenge());
}

async fn rs14_a_clients_own_token_reaches_no_citizen(kind: Kind) {
    let (world, app) = asked(kind).await;
    let own = app.session(&world, None).await;
    let before = bank::balance(&world, 1).await;
    let balances = format!("/v1/accounts/{}/balances", account(1));
    for target in ["/v1/accounts", &balances, &format!("/v1/accounts/{}/transactions", account(1))] {
        missed(&own.get(target).await, "consent_required");
    }
    missed(&own.pay(&fresh("order"), &payment("1.00")).await, "consent_required");
    assert_eq!(bank::balance(&world, 1).await, before);
    // A client whose organisation holds the consents itself is not asked for them, and one that was asked once is no more.
    let bank = Session::of(&world, "demo-bank-app").await;
    for session in [&own, &bank] {
        let none = granted(session, &[]).get("/v1/accounts").await;
        assert!([401, 403].contains(&none.status), "{}", none.text());
    }
}

async fn rs14_only_shared_accounts_are_reached(kind: Kind) {
    let (world, app) = asked(kind).await;
    let own = app.session(&world, None).await;
    let all = ["accounts", "balances", "transactions"];
    let mine = granted(&own, &[reading("c-1", &all, &[&account(1)])]);
    for what in ["balances", "transactions"] {
        mine.get(&format!("/v1/accounts/{}/{what}", account(1))).await.succeeded(200);
        missed(&mine.get(&format!("/v1/accounts/{}/{what}", account(2))).await, "consent_required");
    }
    let listed = mine.get("/v1/accounts").await;
    let listed = listed.succeeded(200).json();
    let ids: Vec<&str> =
        listed["accounts"].as_array().unwrap().iter().map(|a| a["accountId"].as_str().unwrap()).collect();
    assert_eq!(ids, [account(1)], "the list holds only what is shared");
    // An account that the citizen does not have is none, whatever was granted.
    let odd = granted(&own, &[reading("c-1", &all, &["no-such-account"])]);
    missed(&odd.get(&format!("/v1/accounts/{}/balances", account(1))).await, "consent_required");
}

async fn rs14_a_permission_that_was_not_given_is_missed(kind: Kind) {
    let (world, app) = asked(kind).await;
    let own = app.session(&world, None).await;
    for reached in ["", "balances", "transactions"] {
        let permissions: Vec<&str> = ["accounts", reached].into_iter().filter(|word| !word.is_empty()).collect();
        let mine = granted(&own, &[reading("c-1", &permissions, &[&account(1)])]);
        for what in ["balances", "transactions"] {
            let answer = mine.get(&format!("/v1/accounts/{}/{what}", account(1))).await;
            // The scope is in the token either way: it alone lends nothing.
            if what == reached {
                answer.succeeded(200);
            } else {
                missed(&answer, "consent_required");
            }
        }
    }
}

async fn rs14_a_payment_has_to_equal_its_order(kind: Kind) {
    let (world, app) = asked(kind).await;
    let own = app.session(&world, None).await;
    let mut order = payment("100.00");
    order["remittanceInformation"] = json!("Invoice 17");
    let payer = granted(&own, &[paying("c-1", &order)]);
    let before = (bank::balance(&world, 1).await, bank::balance(&world, 2).await);
    let change = |at: &str, value: Value| {
        let mut body = order.clone();
        *body.pointer_mut(at).unwrap() = value;
        body
    };
    let mut silent = order.clone();
    silent.as_object_mut().unwrap().remove("remittanceInformation");
    for body in [
        change("/instructedAmount/amount", json!("100.01")),
        change("/instructedAmount/amount", json!("99.99")),
        change("/creditorAccount", order["debtorAccount"].clone()),
        change("/debtorAccount", order["creditorAccount"].clone()),
        change("/creditorName", json!("Bolat Sandbaev II")),
        change("/knp", json!("710")),
        change("/remittanceInformation", json!("Invoice 18")),
        silent,
    ] {
        missed(&payer.pay(&fresh("order"), &body).await, "payment_consent_mismatch");
    }
    assert_eq!((bank::balance(&world, 1).await, bank::balance(&world, 2).await), before);
    payer.pay(&fresh("order"), &order).await.succeeded(201);
    assert_eq!(bank::balance(&world, 1).await, before.0 - 10_000);
}

async fn rs14_consents_of_another_kind_lend_nothing(kind: Kind) {
    let (world, app) = asked(kind).await;
    let own = app.session(&world, None).await;
    let order = payment("1.00");
    let reads = granted(&own, &[reading("c-1", &["accounts", "balances", "transactions"], &[&account(1)])]);
    missed(&reads.pay(&fresh("order"), &order).await, "consent_required");
    let pays = granted(&own, &[paying("c-2", &order)]);
    missed(&pays.get("/v1/accounts").await, "consent_required");
    missed(&pays.get(&format!("/v1/accounts/{}/balances", account(1))).await, "consent_required");
}

async fn rs14_a_citizen_of_another_server_is_none_of_ours(kind: Kind) {
    let (world, app) = asked(kind).await;
    let own = app.session(&world, None).await;
    let detail = reading("c-1", &["accounts"], &[&account(1)]);
    let key = issuer_key(&world);
    // What names a citizen is there as a whole, or the token is none.
    for claim in ["grant_id", "authorization_details", "acr", "auth_time"] {
        let token = spoken(&own, std::slice::from_ref(&detail)).without(claim).sign(&key);
        let half = Session { world: &world, app: own.app.copy(), token };
        half.get("/v1/accounts").await.refused(401, "token_invalid");
    }
    for subject in ["citizens-app", "somebody", ""] {
        let token = spoken(&own, std::slice::from_ref(&detail)).set("sub", subject).sign(&key);
        let odd = Session { world: &world, app: own.app.copy(), token };
        odd.get("/v1/accounts").await.refused(401, "token_invalid");
    }
    for detail in [
        json!({"type": "account_information", "consentId": "c-1", "permissions": ["accounts"]}),
        json!({"type": "account_information", "consentId": "c-1", "permissions": ["everything"], "accounts": ["a"]}),
        json!({"type": "everything", "consentId": "c-1"}),
        json!("account_information"),
    ] {
        let odd = granted(&own, &[detail]);
        odd.get("/v1/accounts").await.refused(401, "token_invalid");
    }
}

async fn records_tell_what_a_call_was_made_by(kind: Kind) {
    let (world, app) = asked(kind).await;
    let own = app.session(&world, None).await;
    let mine =
        granted(&own, &[reading("c-1", &["accounts", "balances"], &[&account(1)]), paying("c-2", &payment("1.00"))]);
    mine.get(&format!("/v1/accounts/{}/balances", account(1))).await.succeeded(200);
    missed(&mine.get(&format!("/v1/accounts/{}/balances", account(2))).await, "consent_required");
    let records = world.audit().await;
    let of_balances: Vec<&Value> = records
        .iter()
        .filter(|record| record["operation"] == "getAccountBalances" && record["kind"] == "outcome")
        .collect();
    let [kept, missed] = of_balances.as_slice() else { panic!("{of_balances:?}") };
    let (reads, pays) = (json!("account-access"), json!("domestic-payment"));
    assert_eq!(kept["grant"], "grant-of-a-test");
    assert_eq!(
        kept["consents"],
        json!([{"kind": reads, "id": "c-1", "kept": true}, {"kind": pays, "id": "c-2", "kept": false}])
    );
    assert!(missed["consents"].as_array().unwrap().iter().all(|consent| consent["kept"] == false), "{missed}");
    let text = serde_json::to_string(&records).unwrap();
    assert!(!text.contains("citizen:") && !text.contains(&account(1)), "a record names a person or an account");
}

async fn as72_a_consent_is_used_up_by_one_payment(kind: Kind) {
    let (world, app) = asked(kind).await;
    let own = app.session(&world, None).await;
    let (order, key) = (payment("100.00"), fresh("order"));
    let payer = granted(&own, &[paying("c-1", &order)]);
    let before = bank::balance(&world, 1).await;
    let first = payer.pay(&key, &order).await;
    let id = first.succeeded(201).at("/paymentId");
    // Asked again it is the same payment; under another key it would be a second one.
    assert_eq!(payer.pay(&key, &order).await.succeeded(201).at("/paymentId"), id);
    let second = payer.pay(&fresh("order"), &order).await;
    second.refused(422, "consent_consumed");
    assert_eq!(second.challenges(), Vec::<&str>::new());
    // Also with another token of the same grant, and after it was refused once.
    granted(&own, &[paying("c-1", &order)]).pay(&fresh("order"), &order).await.refused(422, "consent_consumed");
    assert_eq!(bank::balance(&world, 1).await, before - 10_000);
    granted(&own, &[paying("c-2", &order)]).pay(&fresh("order"), &order).await.succeeded(201);
    assert_eq!(spine::error::answer(Code::ConsentConsumed).status, 422);
}

async fn what_was_answered_for_one_citizen_is_told_to_no_other(kind: Kind) {
    let (world, app) = asked(kind).await;
    let own = app.session(&world, None).await;
    let (order, key) = (payment("100.00"), fresh("order"));
    let before = bank::balance(&world, 1).await;
    let first = granted(&own, &[paying("c-1", &order)]);
    let id = first.pay(&key, &order).await.succeeded(201).at("/paymentId");
    // Another citizen of the same client has agreed to a payment that reads alike: the key stands for the first one's.
    let details = [paying("c-2", &order)];
    let token = spoken(&own, &details).set("grant_id", "grant-of-another");
    let token = token.set("sub", "citizen:another").sign(&issuer_key(&world));
    let other = Session { world: &world, app: own.app.copy(), token };
    let refused = other.pay(&key, &order).await;
    refused.refused(422, "idempotency_mismatch");
    assert!(!refused.text().contains(&id), "{}", refused.text());
    assert_eq!(bank::balance(&world, 1).await, before - 10_000);
    // A key is used up by nobody's refusal, and the first one is told again.
    assert_eq!(first.pay(&key, &order).await.succeeded(201).at("/paymentId"), id);
    other.pay(&fresh("order"), &order).await.succeeded(201);
    // So it is where the first one had to agree once more, because the grant was lost: nothing is paid again.
    let token = spoken(&own, &[paying("c-3", &order)]).set("grant_id", "grant-anew").sign(&issuer_key(&world));
    let anew = Session { world: &world, app: own.app.copy(), token };
    assert_eq!(anew.pay(&key, &order).await.succeeded(201).at("/paymentId"), id);
    assert_eq!(bank::balance(&world, 1).await, before - 20_000);
    anew.pay(&fresh("order"), &order).await.succeeded(201);
}

async fn as72_of_many_payments_at_once_one_uses_the_consent(kind: Kind) {
    const AT_ONCE: usize = 20;
    let (world, app) = asked(kind).await;
    let own = app.session(&world, None).await;
    let order = payment("100.00");
    let payer = granted(&own, &[paying("c-1", &order)]);
    let before = bank::balance(&world, 1).await;
    let order = &order;
    let calls = (0..AT_ONCE).map(|_| {
        let payer = &payer;
        Box::pin(async move { payer.pay(&fresh("order"), order).await }) as _
    });
    let (paid, refused): (Vec<Answer>, Vec<Answer>) =
        together(calls).await.into_iter().partition(|answer| answer.status == 201);
    assert_eq!((paid.len(), refused.len()), (1, AT_ONCE - 1));
    for answer in refused {
        answer.refused(422, "consent_consumed");
    }
    assert_eq!(bank::balance(&world, 1).await, before - 10_000);
}
