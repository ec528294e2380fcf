//! The bank's JSON, both ways, in the names of the published contract.

use super::ledger::{AccountRow, PaymentRow, TransactionRow};
use crate::personas::masked;
use policies::national::{Currency, Money};
use serde::{Deserialize, Serialize};

/// An amount as it stands on the wire.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Amount {
    pub(super) amount: String,
    pub(super) currency: String,
}

impl Amount {
    fn of(tiyn: i64) -> Self {
        let money = Money::from_tiyn(tiyn, Currency::Kzt);
        Self { amount: money.amount(), currency: money.currency().code().to_owned() }
    }
}

/// An account by its number.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ByIban {
    pub(super) iban: String,
}

/// A payment as it is asked for.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PaymentOrder {
    pub(super) debtor_account: ByIban,
    pub(super) creditor_account: ByIban,
    pub(super) creditor_name: String,
    pub(super) instructed_amount: Amount,
    pub(super) knp: String,
    pub(super) remittance_information: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Account {
    account_id: String,
    iban: String,
    currency: &'static str,
    name: String,
    product: String,
    owner_name: String,
    status: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Accounts {
    accounts: Vec<Account>,
    /// Where the next page begins; nothing on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Balance {
    kind: &'static str,
    amount: Amount,
    at: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Balances {
    account_id: String,
    balances: Vec<Balance>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Transaction {
    transaction_id: String,
    booked_at: String,
    amount: Amount,
    direction: &'static str,
    counterparty: String,
    counterparty_iban: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remittance_information: Option<String>,
    knp: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Transactions {
    account_id: String,
    transactions: Vec<Transaction>,
    /// Where the next page begins; nothing on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

#[derive(Debug, Serialize)]
struct Links {
    #[serde(rename = "self")]
    this: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Payment {
    payment_id: String,
    status: &'static str,
    created_at: String,
    debtor_account: ByIban,
    creditor_account: ByIban,
    creditor_name: String,
    instructed_amount: Amount,
    knp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remittance_information: Option<String>,
    links: Links,
}

pub(super) fn accounts(rows: Vec<AccountRow>, cursor: Option<String>) -> Accounts {
    let account = |row: AccountRow| Account {
        account_id: row.id,
        iban: row.iban,
        currency: Currency::Kzt.code(),
        name: row.product.clone(),
        product: row.product,
        owner_name: masked(&row.owner_name),
        status: row.status,
    };
    Accounts { accounts: rows.into_iter().map(account).collect(), cursor }
}

/// Both kinds of balance are the same here, as every payment is booked at once.
pub(super) fn balances(row: AccountRow, now: &str) -> Balances {
    let balance = |kind| Balance { kind, amount: Amount::of(row.balance_tiyn), at: now.to_owned() };
    Balances { balances: vec![balance("available"), balance("booked")], account_id: row.id }
}

pub(super) fn transactions(account_id: String, rows: Vec<TransactionRow>, cursor: Option<String>) -> Transactions {
    let transaction = |row: TransactionRow| Transaction {
        transaction_id: row.id(),
        booked_at: row.booked_at,
        amount: Amount::of(row.tiyn.saturating_abs()),
        direction: direction(row.tiyn),
        counterparty: row.counterparty_name,
        counterparty_iban: row.counterparty_iban,
        remittance_information: row.remittance,
        knp: row.knp,
    };
    Transactions { account_id, transactions: rows.into_iter().map(transaction).collect(), cursor }
}

pub(super) fn payment(row: PaymentRow) -> Payment {
    Payment {
        links: Links { this: format!("/v1/domestic-payments/{}", row.id) },
        payment_id: row.id,
        // Settled on the creditor's side: the only state a booked payment of this bank has.
        status: "ACSC",
        created_at: row.created_at,
        debtor_account: ByIban { iban: row.debtor_iban },
        creditor_account: ByIban { iban: row.creditor_iban },
        creditor_name: row.creditor_name,
        instructed_amount: Amount::of(row.tiyn),
        knp: row.knp,
        remittance_information: row.remittance,
    }
}

fn direction(tiyn: i64) -> &'static str {
    if tiyn < 0 { "debit" } else { "credit" }
}
