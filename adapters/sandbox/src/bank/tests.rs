#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use super::ledger::Ledger;
use super::{BankConfig, start_bank};
use crate::personas::{self, Account};
use crate::rehearsal::{Answer, Call, Scratch};
use crate::reply::BODY_BYTES_MAX;
use crate::{Running, SandboxError};
use http::{Method, StatusCode};
use policies::national::{Currency, Money};
use serde_json::{Value, json};
use std::path::PathBuf;
use uuid::Uuid;

const FINTECH: &str = "demo-fintech";
const REFERENCE: &str = "019b0000-0000-7000-8000-00000000000a";
const OTHER_REFERENCE: &str = "019b0000-0000-7000-8000-00000000000b";

struct Town {
    bank: Running,
    ledger: PathBuf,
    _scratch: Scratch,
}

impl Town {
    async fn new() -> Self {
        let scratch = Scratch::new();
        let ledger = scratch.file("ledger.sqlite");
        let bank = start(&ledger).await.unwrap();
        Self { bank, ledger, _scratch: scratch }
    }

    async fn send(&self, call: Call) -> Answer {
        call.send(self.bank.address()).await.unwrap()
    }

    async fn balance(&self, index: usize) -> i64 {
        let account = &personas::accounts()[index];
        let owner = &personas::customers()[index / 2];
        let path = format!("/v1/accounts/{}/balances", account.id);
        let answer = self.send(Call::get(path).with("x-qaqpa-organisation", owner.bank)).await;
        tiyn(&answer.json()["balances"][0]["amount"])
    }
}

async fn start(ledger: &std::path::Path) -> Result<Running, SandboxError> {
    start_bank(BankConfig { listen: ([127, 0, 0, 1], 0).into(), ledger: ledger.to_owned() }).await
}

fn tiyn(amount: &Value) -> i64 {
    let text = |name: &str| amount[name].as_str().unwrap();
    Money::parse(text("amount"), text("currency")).unwrap().tiyn()
}

fn account(index: usize) -> Account {
    personas::accounts()[index].clone()
}

/// An order of 1000 tenge from the first customer to the second.
fn order() -> Value {
    json!({
        "debtorAccount": {"iban": account(0).iban.as_str()},
        "creditorAccount": {"iban": account(2).iban.as_str()},
        "creditorName": "Bolat Sandbaev",
        "instructedAmount": {"amount": "1000.00", "currency": "KZT"},
        "knp": "119",
        "remittanceInformation": "Dinner",
    })
}

fn changed(pointer: &str, value: impl Into<Value>) -> Value {
    let mut order = order();
    *order.pointer_mut(pointer).unwrap() = value.into();
    order
}

fn pay(order: &Value) -> Call {
    Call::post("/v1/domestic-payments", order.to_string())
        .with("x-qaqpa-organisation", FINTECH)
        .with("x-qaqpa-reference", REFERENCE)
}

fn get(path: &str) -> Call {
    Call::get(path).with("x-qaqpa-organisation", FINTECH)
}

#[tokio::test]
async fn nobody_is_served_without_a_known_organisation() {
    let town = Town::new().await;
    for path in ["/v1/accounts", "/v1/accounts/x/balances", "/v1/accounts/x/transactions", "/v1/domestic-payments/x"] {
        assert_eq!(town.send(Call::get(path)).await.problem(), "organisation_unknown");
        let stranger = Call::get(path).with("x-qaqpa-organisation", "nobody");
        assert_eq!(town.send(stranger).await.status, StatusCode::FORBIDDEN);
        let twice = get(path).with("x-qaqpa-organisation", "demo-bank");
        assert_eq!(town.send(twice).await.problem(), "schema_violation");
    }
    let answer = town.send(pay(&order()).instead("x-qaqpa-organisation", "nobody")).await;
    assert_eq!(answer.problem(), "organisation_unknown");
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let town = Town::new().await;
    for path in ["/", "//v1/accounts", "/v1/accounts/", "/v1/accounts/x", "/v2/accounts", "/v1/domestic-payments/x/y"] {
        assert_eq!(town.send(get(path)).await.problem(), "not_found", "{path}");
    }
    let answer = town.send(get("/v1/accounts").method(Method::DELETE)).await;
    assert_eq!(
        (answer.problem().as_str(), answer.headers["allow"].as_bytes()),
        ("method_not_allowed", b"GET".as_slice())
    );
    let answer = town.send(get("/v1/domestic-payments")).await;
    assert_eq!(
        (answer.problem().as_str(), answer.headers["allow"].as_bytes()),
        ("method_not_allowed", b"POST".as_slice())
    );
}

#[tokio::test]
async fn a_consent_reaches_no_further_than_its_accounts() {
    let town = Town::new().await;
    // Nobody has a mandate of the last customers but their bank; the gateway says that one has agreed.
    let (mine, other) = (account(58).id.to_string(), account(59).id.to_string());
    let by_consent =
        |path: &str, accounts: &str| get(path).with("x-qaqpa-consent", "c-1").with("x-qaqpa-accounts", accounts);
    let list = town.send(by_consent("/v1/accounts", &format!("{mine},nonsense,{mine}"))).await.json();
    let ids: Vec<_> = list["accounts"].as_array().unwrap().iter().map(|account| &account["accountId"]).collect();
    assert_eq!(ids, [&json!(mine)]);
    for part in ["balances", "transactions"] {
        let seen = town.send(by_consent(&format!("/v1/accounts/{mine}/{part}"), &mine)).await;
        assert_eq!(seen.status, StatusCode::OK);
        // A mandate for it, which the organisation has of the first customer, does not widen the consent.
        for foreign in [other.clone(), account(0).id.to_string()] {
            let unseen = town.send(by_consent(&format!("/v1/accounts/{foreign}/{part}"), &mine)).await;
            assert_eq!((unseen.status, unseen.problem().as_str()), (StatusCode::NOT_FOUND, "account_unknown"));
        }
    }
    let both = by_consent("/v1/accounts", &mine).with("x-qaqpa-customer", account(0).owner.as_str());
    assert_eq!(town.send(both).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_customer_at_the_gateway_is_shown_their_own_accounts() {
    let town = Town::new().await;
    let shown = Call::get("/v1/accounts").with("x-qaqpa-customer", account(58).owner.as_str());
    let list = town.send(shown).await.json();
    let ids: Vec<_> = list["accounts"].as_array().unwrap().iter().map(|account| &account["accountId"]).collect();
    assert_eq!(ids, [&json!(account(58).id.to_string()), &json!(account(59).id.to_string())]);
    let nobody = Call::get("/v1/accounts").with("x-qaqpa-customer", "81020220010");
    assert_eq!(town.send(nobody).await.problem(), "identifier_invalid");
}

#[tokio::test]
async fn a_payment_that_its_debtor_agreed_to_needs_no_mandate() {
    let town = Town::new().await;
    let order = changed("/debtorAccount/iban", account(58).iban.as_str());
    assert_eq!(town.send(pay(&order)).await.problem(), "account_unknown");
    let booked = town.send(pay(&order).with("x-qaqpa-consent", "c-1")).await;
    assert_eq!(booked.status, StatusCode::CREATED);
}

#[tokio::test]
async fn an_organisation_sees_the_accounts_of_its_mandates_only() {
    let town = Town::new().await;
    for (organisation, count) in [
        ("demo-treasury", 0),
        (FINTECH, 18),
        ("demo-payments", 4),
        ("demo-mfo", 4),
        ("demo-bank", 30),
        ("demo-second-bank", 30),
    ] {
        let answer = town.send(Call::get("/v1/accounts").with("x-qaqpa-organisation", organisation)).await;
        assert_eq!(answer.json()["accounts"].as_array().unwrap().len(), count, "{organisation}");
    }
    let stranger = account(58).id;
    for part in ["balances", "transactions"] {
        let answer = town.send(get(&format!("/v1/accounts/{stranger}/{part}"))).await;
        assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::NOT_FOUND, "account_unknown"));
    }
}

#[tokio::test]
async fn an_account_is_shown_with_a_masked_owner_and_its_opening_balance() {
    let town = Town::new().await;
    let first = account(0);
    let answer = town.send(get("/v1/accounts").with("x-fapi-interaction-id", "abc")).await;
    assert_eq!(answer.headers["x-fapi-interaction-id"], "abc");
    let shown = &answer.json()["accounts"][0];
    assert_eq!(
        *shown,
        json!({
            "accountId": first.id.to_string(), "iban": first.iban.as_str(), "currency": "KZT",
            "name": "current", "product": "current", "ownerName": "Aisulu S.", "status": "active",
        })
    );
    let json = town.send(get(&format!("/v1/accounts/{}/balances", first.id))).await.json();
    for (balance, kind) in json["balances"].as_array().unwrap().iter().zip(["available", "booked"]) {
        assert_eq!(balance["kind"], kind);
        assert_eq!(tiyn(&balance["amount"]), first.opening_tiyn);
    }
    for (index, account) in personas::accounts().iter().enumerate() {
        assert_eq!(town.balance(index).await, account.opening_tiyn);
    }
}

#[tokio::test]
async fn pages_of_transactions_join_without_gap_or_repeat() {
    let town = Town::new().await;
    let path = format!("/v1/accounts/{}/transactions", account(0).id);
    let all = town.send(get(&format!("{path}?from=2026-01-01&limit=500"))).await.json();
    let all_rows = all["transactions"].as_array().unwrap();
    assert!(all["cursor"].is_null());
    assert_eq!(all_rows.len(), 49);
    let mut pages = Vec::new();
    let mut query = "?from=2026-01-01&limit=7".to_owned();
    loop {
        let page = town.send(get(&format!("{path}{query}"))).await.json();
        let rows = page["transactions"].as_array().unwrap();
        assert!(!rows.is_empty());
        pages.extend(rows.clone());
        let Some(cursor) = page["cursor"].as_str() else {
            break;
        };
        query = format!("?from=2026-01-01&limit=7&cursor={cursor}");
    }
    assert_eq!(pages, *all_rows);
    let march = town.send(get(&format!("{path}?from=2026-03-01&to=2026-03-31"))).await.json();
    let march = march["transactions"].as_array().unwrap();
    assert_eq!(march.len(), 6);
    assert!(march.iter().all(|row| row["bookedAt"].as_str().unwrap().starts_with("2026-03-")));
    let second = march[0]["bookedAt"].as_str().unwrap();
    let exactly = town.send(get(&format!("{path}?from={second}&to={second}"))).await.json();
    assert_eq!(exactly["transactions"].as_array().unwrap().len(), 1);
    let nothing = town.send(get(&format!("{path}?from=2027-01-01T00%3A00%3A00%2B05:00"))).await.json();
    assert_eq!(nothing["transactions"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn pages_of_accounts_join_without_gap_or_repeat() {
    let town = Town::new().await;
    let all = town.send(get("/v1/accounts")).await.json();
    let mut pages = Vec::new();
    let mut query = "?limit=6".to_owned();
    loop {
        let page = town.send(get(&format!("/v1/accounts{query}"))).await.json();
        assert_eq!(page["accounts"].as_array().unwrap().len(), 6);
        pages.extend(page["accounts"].as_array().unwrap().clone());
        let Some(cursor) = page["cursor"].as_str() else {
            break;
        };
        query = format!("?limit=6&cursor={cursor}");
    }
    assert_eq!(json!(pages), all["accounts"]);
}

#[tokio::test]
async fn days_are_days_of_astana_and_ninety_of_them_are_the_default() {
    let town = Town::new().await;
    let path = format!("/v1/accounts/{}/transactions", account(0).id);
    let count = async |query: &str| {
        let json = town.send(get(&format!("{path}?{query}"))).await.json();
        json["transactions"].as_array().unwrap().len()
    };
    // The first customer pays the rent on 7 October at 12:10 UTC; the day of Astana ends at 19:00 UTC.
    assert_eq!(count("from=2026-10-07&to=2026-10-07").await, 1);
    assert_eq!(count("from=2026-10-06T19:00:00Z&to=2026-10-07T18:59:59Z").await, 1);
    assert_eq!(count("from=2026-10-07T12:10:00Z&to=2026-10-07").await, 1);
    assert_eq!(count("from=2026-10-07T12:10:01Z&to=2026-10-07").await, 0);
    // Ninety days back from the end of June are April, May and June; March is not given.
    assert_eq!(count("to=2026-06-30").await, 18);
}

#[tokio::test]
async fn parameters_have_two_sides() {
    let town = Town::new().await;
    let path = format!("/v1/accounts/{}/transactions", account(0).id);
    for query in [
        "limit=0",
        "limit=501",
        "limit=x",
        "limit=",
        "from=yesterday",
        "to=2026-02-30",
        "cursor=!",
        "cursor=AA",
        "from=%2",
    ] {
        let answer = town.send(get(&format!("{path}?{query}"))).await;
        assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::BAD_REQUEST, "schema_violation"));
    }
    for query in ["limit=1", "limit=500", "", "&&", "colour=red"] {
        assert_eq!(town.send(get(&format!("{path}?{query}"))).await.status, StatusCode::OK, "{query}");
    }
}

#[tokio::test]
async fn orders_of_another_shape_move_nothing() {
    let town = Town::new().await;
    let mut extra = order();
    extra["colour"] = json!("red");
    let mut missing = order();
    missing.as_object_mut().unwrap().remove("knp");
    for order in [
        json!("text"),
        extra,
        missing,
        changed("/instructedAmount/amount", "0.00"),
        changed("/instructedAmount/amount", "-1.00"),
        changed("/instructedAmount/amount", 1000),
        changed("/instructedAmount/currency", "USD"),
        changed("/creditorName", " "),
        changed("/creditorName", "x".repeat(141)),
        changed("/remittanceInformation", "x".repeat(421)),
        changed("/remittanceInformation", "two\nlines"),
        changed("/remittanceInformation", "SBX:lots"),
    ] {
        let answer = town.send(pay(&order)).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (400, "schema_violation"), "{order}");
    }
    let call = pay(&order()).instead("x-qaqpa-reference", "1");
    assert_eq!(town.send(call).await.problem(), "schema_violation");
    let call = pay(&order()).instead("content-type", "text/plain");
    assert_eq!(town.send(call).await.problem(), "unsupported_media");
    assert_nothing_moved(&town).await;
    let longest = changed("/remittanceInformation", "я".repeat(420));
    assert_eq!(town.send(pay(&longest)).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn orders_that_cannot_be_booked_move_nothing() {
    let town = Town::new().await;
    let stranger = account(58).iban.as_str().to_owned();
    let nowhere = policies::national::Iban::compose("901", "SBX0000009901").unwrap();
    let more = Money::from_tiyn(account(0).opening_tiyn + 1, Currency::Kzt).amount();
    for (pointer, value, problem) in [
        ("/knp", "1190", "identifier_invalid"),
        ("/debtorAccount/iban", "KZ00", "identifier_invalid"),
        ("/creditorAccount/iban", "KZ87125KZT5004100100", "identifier_invalid"),
        ("/creditorAccount/iban", account(0).iban.as_str(), "identifier_invalid"),
        ("/creditorAccount/iban", nowhere.as_str(), "account_unknown"),
        ("/debtorAccount/iban", nowhere.as_str(), "account_unknown"),
        ("/debtorAccount/iban", &stranger, "account_unknown"),
        ("/instructedAmount/amount", &more, "insufficient_funds"),
    ] {
        let answer = town.send(pay(&changed(pointer, value))).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (422, problem), "{pointer} {value}");
    }
    let call = pay(&order()).with("x-qaqpa-payer", "810202200108");
    assert_eq!(town.send(call).await.problem(), "identifier_invalid");
    let call = pay(&order()).with("x-qaqpa-payer", personas::customers()[1].iin.as_str());
    let answer = town.send(call).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (403, "payer_mismatch"));
    assert_nothing_moved(&town).await;
}

async fn assert_nothing_moved(town: &Town) {
    let read = town.send(get(&format!("/v1/domestic-payments/{REFERENCE}"))).await;
    assert_eq!(read.problem(), "not_found");
    assert_eq!(town.balance(0).await, account(0).opening_tiyn);
}

#[tokio::test]
async fn a_body_of_64_kib_passes_and_one_byte_more_does_not() {
    let town = Town::new().await;
    let padded = |bytes: usize| {
        let text = order().to_string();
        let blanks = " ".repeat(bytes - text.len());
        Call::post("/v1/domestic-payments", text + &blanks)
            .with("x-qaqpa-organisation", FINTECH)
            .with("x-qaqpa-reference", REFERENCE)
    };
    let answer = town.send(padded(BODY_BYTES_MAX + 1)).await;
    assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large"));
    assert_eq!(town.send(padded(BODY_BYTES_MAX)).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_payment_moves_money_and_is_seen_on_both_sides() {
    let town = Town::new().await;
    let call = pay(&order()).with("x-qaqpa-payer", personas::customers()[0].iin.as_str());
    let answer = town.send(call).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    let place = format!("/v1/domestic-payments/{REFERENCE}");
    assert_eq!(answer.headers["location"], place.as_str());
    let payment = answer.json();
    let mut expected = order();
    expected["paymentId"] = json!(REFERENCE);
    expected["status"] = json!("ACSC");
    expected["createdAt"] = payment["createdAt"].clone();
    expected["links"] = json!({"self": place});
    assert_eq!(payment, expected);
    assert_eq!(town.send(get(&place)).await.json(), payment);
    let foreign = Call::get(&place).with("x-qaqpa-organisation", "demo-bank");
    assert_eq!(town.send(foreign).await.problem(), "not_found");
    assert_eq!(town.balance(0).await, account(0).opening_tiyn - 100_000);
    assert_eq!(town.balance(2).await, account(2).opening_tiyn + 100_000);
    for (index, direction, other) in [(0, "debit", 2), (2, "credit", 0)] {
        let path = format!("/v1/accounts/{}/transactions?limit=1", account(index).id);
        let newest = town.send(get(&path)).await.json()["transactions"][0].clone();
        assert_eq!(newest["direction"], direction);
        assert_eq!(newest["amount"]["amount"], "1000.00");
        assert_eq!(newest["counterpartyIban"], account(other).iban.as_str());
        assert_eq!(newest["remittanceInformation"], "Dinner");
        assert_eq!(newest["knp"], "119");
        assert!(Uuid::try_parse(newest["transactionId"].as_str().unwrap()).is_ok());
    }
}

#[tokio::test]
async fn the_last_tiyn_can_be_paid_to_a_bank_elsewhere() {
    let town = Town::new().await;
    let all = Money::from_tiyn(account(0).opening_tiyn, Currency::Kzt).amount();
    let mut order = changed("/instructedAmount/amount", all);
    order["creditorAccount"]["iban"] = json!("KZ86125KZT5004100100");
    assert_eq!(town.send(pay(&order)).await.status, StatusCode::CREATED);
    assert_eq!(town.balance(0).await, 0);
    let again = changed("/instructedAmount/amount", "0.01");
    let answer = town.send(pay(&again).instead("x-qaqpa-reference", OTHER_REFERENCE)).await;
    assert_eq!(answer.problem(), "insufficient_funds");
}

#[tokio::test]
async fn one_reference_moves_money_once() {
    let town = Town::new().await;
    let first = town.send(pay(&order())).await;
    let second = town.send(pay(&order())).await;
    assert_eq!((first.status, second.status), (StatusCode::CREATED, StatusCode::CREATED));
    assert_eq!(first.bytes, second.bytes);
    let other = changed("/instructedAmount/amount", "1000.01");
    let answer = town.send(pay(&other)).await;
    assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::CONFLICT, "idempotency_mismatch"));
    let foreign = pay(&order()).instead("x-qaqpa-organisation", "demo-bank");
    assert_eq!(town.send(foreign).await.problem(), "idempotency_mismatch");
    assert_eq!(town.balance(0).await, account(0).opening_tiyn - 100_000);
}

#[tokio::test]
async fn twenty_at_once_move_money_once() {
    let town = Town::new().await;
    let address = town.bank.address();
    let sent: Vec<_> = (0..20).map(|_| tokio::spawn(pay(&order()).send(address))).collect();
    for answer in sent {
        assert_eq!(answer.await.unwrap().unwrap().status, StatusCode::CREATED);
    }
    assert_eq!(town.balance(0).await, account(0).opening_tiyn - 100_000);
    let racing: Vec<_> = (0..20)
        .map(|number| {
            let order = changed("/instructedAmount/amount", "100000.00");
            let reference = format!("019b0000-0000-7000-8000-0000000001{number:02}");
            tokio::spawn(pay(&order).instead("x-qaqpa-reference", reference).send(address))
        })
        .collect();
    let mut booked = 0;
    for answer in racing {
        let answer = answer.await.unwrap().unwrap();
        match answer.status {
            StatusCode::CREATED => booked += 1,
            _ => assert_eq!(answer.problem(), "insufficient_funds"),
        }
    }
    assert_eq!(booked, 3, "361 345.67 KZT are enough for three times 100 000.00");
}

#[tokio::test]
async fn the_ledger_survives_a_restart() {
    let town = Town::new().await;
    let before = town.send(pay(&order())).await;
    let Town { bank, ledger, _scratch } = town;
    bank.stop().await;
    let town = Town { bank: start(&ledger).await.unwrap(), ledger, _scratch };
    assert_eq!(town.balance(0).await, account(0).opening_tiyn - 100_000);
    let again = town.send(pay(&order())).await;
    assert_eq!((again.status, &again.bytes), (StatusCode::CREATED, &before.bytes));
    assert_eq!(town.balance(0).await, account(0).opening_tiyn - 100_000);
}

#[tokio::test]
async fn a_bank_whose_books_do_not_balance_does_not_start() {
    for tampering in [
        "UPDATE postings SET tiyn = tiyn + 1 WHERE id = 100",
        "UPDATE accounts SET balance_tiyn = balance_tiyn + 1 WHERE kind = 'customer'",
        "DELETE FROM postings WHERE entry = 100",
        "UPDATE entries SET payment = NULL",
    ] {
        let town = Town::new().await;
        assert_eq!(town.send(pay(&order())).await.status, StatusCode::CREATED);
        let Town { bank, ledger, _scratch } = town;
        bank.stop().await;
        let connection = rusqlite::Connection::open(&ledger).unwrap();
        connection.execute_batch(tampering).unwrap();
        drop(connection);
        assert!(matches!(start(&ledger).await, Err(SandboxError::Unbalanced(_))), "{tampering}");
    }
}

#[tokio::test]
async fn the_files_of_the_ledger_are_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let town = Town::new().await;
    assert_eq!(town.send(pay(&order())).await.status, StatusCode::CREATED);
    for name in ["ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm"] {
        let file = std::fs::metadata(town.ledger.with_file_name(name)).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn another_file_or_address_is_refused() {
    let scratch = Scratch::new();
    let other = scratch.file("other.sqlite");
    rusqlite::Connection::open(&other).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    assert!(matches!(start(&other).await, Err(SandboxError::NotALedger)));
    let text = scratch.file("text");
    std::fs::write(&text, "This is not a database, and it is longer than a header. ".repeat(40)).unwrap();
    assert!(matches!(start(&text).await, Err(SandboxError::Ledger(_))));
    let listen = ([0, 0, 0, 0], 0).into();
    let config = BankConfig { listen, ledger: scratch.file("new.sqlite") };
    assert!(matches!(start_bank(config).await, Err(SandboxError::NotLoopback(_))));
    assert!(!scratch.file("new.sqlite").exists());
}

#[tokio::test]
async fn a_lost_answer_leaves_a_booked_payment() {
    let town = Town::new().await;
    let lost = changed("/remittanceInformation", "SBX:lost");
    assert!(pay(&lost).send(town.bank.address()).await.is_err());
    assert_eq!(town.balance(0).await, account(0).opening_tiyn - 100_000);
    let read = town.send(get(&format!("/v1/domestic-payments/{REFERENCE}"))).await;
    assert_eq!(read.status, StatusCode::OK);
    assert_eq!(town.send(pay(&lost)).await.bytes, read.bytes);
    assert_eq!(town.balance(0).await, account(0).opening_tiyn - 100_000);
    let lost = pay(&lost).instead("x-qaqpa-reference", OTHER_REFERENCE);
    assert!(lost.send_h2(town.bank.address()).await.is_err());
    assert_eq!(town.balance(0).await, account(0).opening_tiyn - 200_000);
}

#[tokio::test]
async fn a_dropped_payment_is_booked_when_it_comes_again() {
    let town = Town::new().await;
    let dropped = changed("/remittanceInformation", "SBX:dropped");
    assert!(pay(&dropped).send(town.bank.address()).await.is_err());
    assert_eq!(town.balance(0).await, account(0).opening_tiyn);
    let place = format!("/v1/domestic-payments/{REFERENCE}");
    assert_eq!(town.send(get(&place)).await.status, StatusCode::NOT_FOUND);
    assert_eq!(town.send(pay(&dropped)).await.status, StatusCode::CREATED);
    assert_eq!(town.balance(0).await, account(0).opening_tiyn - 100_000);
}

#[tokio::test]
async fn a_late_payment_is_booked_when_nobody_waits_any_more() {
    let town = Town::new().await;
    let late = changed("/remittanceInformation", "SBX:late=40");
    let began = std::time::Instant::now();
    assert!(pay(&late).send(town.bank.address()).await.is_err());
    let place = format!("/v1/domestic-payments/{REFERENCE}");
    while town.send(get(&place)).await.status == StatusCode::NOT_FOUND {}
    assert!(began.elapsed().as_millis() >= 40);
    assert_eq!(town.send(pay(&late)).await.status, StatusCode::CREATED);
    assert_eq!(town.balance(0).await, account(0).opening_tiyn - 100_000);
}

#[tokio::test]
async fn a_muted_payment_is_told_after_so_many_questions() {
    let town = Town::new().await;
    let mute = changed("/remittanceInformation", "SBX:mute=2");
    assert!(pay(&mute).send(town.bank.address()).await.is_err());
    let place = format!("/v1/domestic-payments/{REFERENCE}");
    for status in [StatusCode::SERVICE_UNAVAILABLE, StatusCode::SERVICE_UNAVAILABLE, StatusCode::OK] {
        assert_eq!(town.send(get(&place)).await.status, status);
    }
    assert_eq!(town.balance(0).await, account(0).opening_tiyn - 100_000);
}

#[tokio::test]
async fn a_status_switch_books_nothing_and_a_delay_books() {
    let town = Town::new().await;
    let unavailable = changed("/remittanceInformation", "SBX:status=503");
    let answer = town.send(pay(&unavailable)).await;
    assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "fault_switch"));
    assert_eq!(town.balance(0).await, account(0).opening_tiyn);
    let late = changed("/remittanceInformation", "SBX:delay=40");
    let began = std::time::Instant::now();
    assert_eq!(town.send(pay(&late)).await.status, StatusCode::CREATED);
    assert!(began.elapsed().as_millis() >= 40);
    assert_eq!(town.balance(0).await, account(0).opening_tiyn - 100_000);
}

#[tokio::test]
async fn http2_is_spoken_on_the_same_port() {
    let town = Town::new().await;
    let answer = get("/v1/accounts").send_h2(town.bank.address()).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json()["accounts"].as_array().unwrap().len(), 18);
    assert_eq!(pay(&order()).send_h2(town.bank.address()).await.unwrap().status, StatusCode::CREATED);
}

#[tokio::test]
async fn the_health_of_the_ledger_is_told_and_its_file_released() {
    let town = Town::new().await;
    assert_eq!(town.send(Call::get("/health")).await.json(), json!({"status": "ok"}));
    let address = town.bank.address();
    town.bank.stop().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    assert!(Ledger::open(&town.ledger).is_ok());
}
