//! One entry in the books: what it is about, its two sides, and the postings that sum to zero.

use rusqlite::{Connection, params};

/// The holder of all accounts that are not in this ledger.
pub(super) const ELSEWHERE: &str = "elsewhere";
/// Where all money of the ledger came from.
pub(super) const ISSUANCE: &str = "issuance";

/// What an entry is about.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) booked_at: &'a str,
    pub(super) knp: &'a str,
    pub(super) remittance: Option<&'a str>,
    pub(super) payment: Option<&'a str>,
}

/// One side of a transfer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Side<'a> {
    pub(super) account: &'a str,
    pub(super) bank: &'a str,
    pub(super) name: &'a str,
    pub(super) iban: &'a str,
}

/// Writes an entry that moves an amount from one side to the other, over the banks' settlement accounts.
pub(super) fn transfer(
    connection: &Connection,
    entry: &Entry<'_>,
    from: Side<'_>,
    to: Side<'_>,
    tiyn: i64,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT INTO entries (booked_at, knp, remittance, payment) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![entry.booked_at, entry.knp, entry.remittance, entry.payment])?;
    let id = connection.last_insert_rowid();
    post(connection, id, from.account, -tiyn, to)?;
    post(connection, id, to.account, tiyn, from)?;
    if from.bank != to.bank {
        post(connection, id, &settlement(from.bank), -tiyn, to)?;
        post(connection, id, &settlement(to.bank), tiyn, from)?;
    }
    Ok(())
}

/// The name of a bank's settlement account with the National Bank.
pub(super) fn settlement(bank: &str) -> String {
    format!("settlement:{bank}")
}

fn post(connection: &Connection, entry: i64, account: &str, tiyn: i64, other: Side<'_>) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO postings (entry, account, tiyn, counterparty_name, counterparty_iban)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![entry, account, tiyn, other.name, other.iban])?;
    connection
        .prepare_cached("UPDATE accounts SET balance_tiyn = balance_tiyn + ?1 WHERE id = ?2")?
        .execute(params![tiyn, account])?;
    Ok(())
}
