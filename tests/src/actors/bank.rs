//! The bank, as its own clerk sees it: what really happened to the money.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::world::socket;
use crate::world::{Answer, World};

/// A customer's current account: IBAN by the number of the customer.
pub const IBANS: [&str; 9] = [
    "KZ47901SBX0000000101",
    "KZ38902SBX0000000201",
    "KZ79901SBX0000000301",
    "KZ70902SBX0000000401",
    "KZ14901SBX0000000501",
    "KZ05902SBX0000000601",
    "KZ46901SBX0000000701",
    "KZ37902SBX0000000801",
    "KZ78901SBX0000000901",
];

/// A customer's number, by the number of the customer.
pub const IINS: [&str; 9] = [
    "810202200109",
    "820303100203",
    "830404200303",
    "840505100403",
    "850606200508",
    "860707100603",
    "870808200702",
    "880909100803",
    "891010200906",
];

/// Returns the IBAN of customer `number`, from 1 on.
#[must_use]
pub fn iban(number: usize) -> &'static str {
    IBANS.get(number - 1).unwrap()
}

/// Returns the IIN of customer `number`, from 1 on.
#[must_use]
pub fn iin(number: usize) -> &'static str {
    IINS.get(number - 1).unwrap()
}

/// Words a payment of customer 1 to customer 2.
#[must_use]
pub fn payment(amount: &str) -> Value {
    json!({
        "debtorAccount": {"iban": iban(1)},
        "creditorAccount": {"iban": iban(2)},
        "creditorName": "Bolat Sandbaev",
        "instructedAmount": {"amount": amount, "currency": "KZT"},
        "knp": "343",
    })
}

/// Words a payment with a text, which may be a fault switch of the bank.
#[must_use]
pub fn payment_with(amount: &str, text: &str) -> Value {
    let mut payment = payment(amount);
    payment["remittanceInformation"] = json!(text);
    payment
}

/// Asks the bank, past the gateway.
pub async fn ask(world: &World, path: &str) -> Answer {
    get(world.told("/bank"), path).await
}

/// Reads from one of the services behind the gateway.
pub async fn get(base: &str, path: &str) -> Answer {
    let address = base.strip_prefix("http://").unwrap();
    let request = Request::get(path).header("host", address).header("x-qaqpa-organisation", "demo-fintech");
    let stream = TcpStream::connect(address).await.unwrap();
    socket::http1(stream, request.body(Full::new(Bytes::new())).unwrap()).await.unwrap()
}

/// Returns the balance of customer `number`'s current account, in tiyn.
pub async fn balance(world: &World, number: usize) -> i64 {
    let path = format!("/v1/accounts/{}/balances", account(number));
    let answer = ask(world, &path).await;
    let amount = answer.at("/balances/0/amount/amount");
    amount.replace('.', "").parse().unwrap()
}

/// Returns the id of customer `number`'s current account.
#[must_use]
pub fn account(number: usize) -> String {
    format!("019b76da-a800-7000-8000-{:012}", number * 100 + 1)
}
