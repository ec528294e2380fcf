//! The books of the reference National Bank: double entry, durable, in one SQLite file.
//!
//! Every entry is a set of postings that sums to zero, so the sum of all postings is zero too. The sign of a
//! posting is seen from the account's holder: a payment is negative for the debtor, positive for the creditor.
//! Knows no HTTP.

use super::posting::{ELSEWHERE, Entry, Side, transfer};
use super::seed;
use crate::server::SandboxError;
use aws_lc_rs::digest;
use policies::national::{Iban, Iin, Money};
use rusqlite::{Connection, OptionalExtension, Row, ffi, params};
use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;
use uuid::Uuid;

/// "QSBX": tells a ledger of this sandbox from other SQLite files.
const APPLICATION_ID: i64 = 0x5153_4258;
/// Raised when the tables change; there is no migration, a sandbox begins anew.
const SCHEMA_VERSION: i64 = 1;
/// How long another process may hold the file.
const BUSY_WAIT: Duration = Duration::from_secs(5);

const ACCOUNT_COLUMNS: &str = "a.id, a.iban, a.owner_iin, a.owner_name, a.bank, a.product, a.status, a.balance_tiyn";
const PAYMENT_COLUMNS: &str = "id, created_at, debtor_iban, creditor_iban, creditor_name, tiyn, knp, remittance, \
     organisation, digest";

/// Why a booking was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The debtor's account is unknown, or the organisation may not act for it: one answer for both.
    DebtorUnknown,
    /// The creditor's number says one of our banks, and the bank has no such account.
    CreditorUnknown,
    /// Debtor and creditor are the same account.
    SameAccount,
    /// The verified payer is not the owner of the debtor's account.
    PayerMismatch,
    /// The balance is smaller than the amount.
    InsufficientFunds,
    /// The reference names another payment already.
    ReferenceReused,
}

/// Why the ledger has no answer.
#[derive(Debug)]
pub(super) enum LedgerError {
    Refused(Refusal),
    /// Too many wait.
    Busy,
    /// The database failed; its text stays here, because it may quote values.
    Gone,
}

impl From<rusqlite::Error> for LedgerError {
    fn from(_: rusqlite::Error) -> Self {
        Self::Gone
    }
}

impl From<Refusal> for LedgerError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// By whose leave an organisation acts.
#[derive(Clone, Debug)]
pub(super) enum Leave {
    /// By its customers' standing mandates, which the bank has.
    Mandates,
    /// By the consent of the owner of these accounts, which the gateway has.
    Accounts(Vec<String>),
    /// By the consent of the debtor of this one payment, which the gateway has.
    Payment,
    /// By the customer, who is at the gateway's page this moment.
    Customer(Iin),
}

/// A customer's account.
#[derive(Clone, Debug)]
pub(super) struct AccountRow {
    pub(super) id: String,
    pub(super) iban: String,
    pub(super) owner_iin: String,
    pub(super) owner_name: String,
    pub(super) bank: String,
    pub(super) product: String,
    pub(super) status: String,
    pub(super) balance_tiyn: i64,
}

/// One posting on a customer's account.
#[derive(Clone, Debug)]
pub(super) struct TransactionRow {
    pub(super) posting: i64,
    pub(super) booked_at: String,
    pub(super) tiyn: i64,
    pub(super) counterparty_name: String,
    pub(super) counterparty_iban: String,
    pub(super) remittance: Option<String>,
    pub(super) knp: String,
}

impl TransactionRow {
    /// The name of the transaction: a UUID that follows from the posting, so it needs no column.
    pub(super) fn id(&self) -> String {
        let digest = digest::digest(&digest::SHA256, format!("posting:{}", self.posting).as_bytes());
        let bytes = digest.as_ref().first_chunk().copied().unwrap_or_default();
        uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
    }
}

/// A payment that was booked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PaymentRow {
    pub(super) id: String,
    pub(super) created_at: String,
    pub(super) debtor_iban: String,
    pub(super) creditor_iban: String,
    pub(super) creditor_name: String,
    pub(super) tiyn: i64,
    pub(super) knp: String,
    pub(super) remittance: Option<String>,
}

/// A payment to be booked; its values are checked already.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) reference: Uuid,
    pub(super) organisation: &'static str,
    pub(super) leave: Leave,
    pub(super) payer: Option<Iin>,
    /// Of the body: the same reference with another body is another payment.
    pub(super) digest: [u8; 32],
    pub(super) debtor: Iban,
    pub(super) creditor: Iban,
    pub(super) creditor_name: String,
    pub(super) amount: Money,
    pub(super) knp: String,
    pub(super) remittance: Option<String>,
    pub(super) created_at: String,
}

/// What became of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Booked {
    /// It was booked now.
    Now(PaymentRow),
    /// It had been booked before; no money moved.
    Before(PaymentRow),
}

/// Which part of an account's transactions to read, newest first.
#[derive(Clone, Debug)]
pub(super) struct Window {
    pub(super) from: String,
    pub(super) until: String,
    /// Only postings older than this one.
    pub(super) before: i64,
    pub(super) limit: usize,
}

/// The open books.
#[derive(Debug)]
pub(super) struct Ledger {
    connection: Connection,
}

impl Ledger {
    /// Opens the file, makes and seeds it when it is new, and checks that the books balance.
    ///
    /// # Errors
    /// [`SandboxError::Ledger`], [`SandboxError::NotALedger`], [`SandboxError::Unbalanced`].
    pub(super) fn open(path: &Path) -> Result<Self, SandboxError> {
        // Made beforehand, as SQLite would make it readable for others; its side files take after it.
        let made = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
        let cannot_open = ffi::Error::new(ffi::SQLITE_CANTOPEN);
        made.map_err(|error| rusqlite::Error::SqliteFailure(cannot_open, Some(error.to_string())))?;
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(BUSY_WAIT)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let pragma = |name| transaction.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let found = (pragma("application_id")?, pragma("user_version")?);
        let tables: i64 = transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        if found == (0, 0) && tables == 0 {
            seed::plant(&transaction)?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        } else if found != (APPLICATION_ID, SCHEMA_VERSION) {
            return Err(SandboxError::NotALedger);
        }
        audit(&transaction)?;
        transaction.commit()?;
        Ok(Self { connection })
    }

    /// Begins what is made durable together.
    pub(super) fn begin(&mut self) -> rusqlite::Result<()> {
        self.connection.execute_batch("BEGIN IMMEDIATE")
    }

    /// Whether [`Ledger::begin`] holds; the database ends it by itself when the disk is full.
    pub(super) fn in_transaction(&self) -> bool {
        !self.connection.is_autocommit()
    }

    /// Makes durable what was done since [`Ledger::begin`].
    pub(super) fn commit(&mut self) -> rusqlite::Result<()> {
        self.connection.execute_batch("COMMIT")
    }

    /// Forgets what was done since [`Ledger::begin`], if anything is left of it.
    pub(super) fn roll_back(&mut self) {
        if self.in_transaction() {
            // When even this fails, the next `begin` fails too and is answered as such.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
    }

    /// The accounts that an organisation may see, in the order of their names.
    pub(super) fn accounts(&self, organisation: &str, leave: &Leave) -> Result<Vec<AccountRow>, LedgerError> {
        let listed = |condition: &str, value: &str| {
            let mut statement = self.connection.prepare_cached(&format!(
                "SELECT {ACCOUNT_COLUMNS} FROM accounts a WHERE a.kind = 'customer' AND {condition} ORDER BY a.id"
            ))?;
            let rows = statement.query_map(params![value], account_row)?;
            Ok::<Vec<AccountRow>, LedgerError>(rows.collect::<Result<_, _>>()?)
        };
        match leave {
            Leave::Mandates => {
                listed("a.owner_iin IN (SELECT iin FROM mandates WHERE organisation = ?1)", organisation)
            }
            Leave::Customer(iin) => listed("a.owner_iin = ?1", iin.as_str()),
            Leave::Accounts(ids) => {
                let mut found = Vec::new();
                for id in ids.iter().collect::<BTreeSet<_>>() {
                    found.append(&mut listed("a.id = ?1", id)?);
                }
                Ok(found)
            }
            Leave::Payment => Ok(Vec::new()),
        }
    }

    /// One account, if the organisation may see it.
    pub(super) fn account(
        &self,
        organisation: &str,
        leave: &Leave,
        id: &str,
    ) -> Result<Option<AccountRow>, LedgerError> {
        Ok(self.accounts(organisation, leave)?.into_iter().find(|row| row.id == id))
    }

    /// An account's transactions, newest first.
    pub(super) fn transactions(&self, account: &str, window: &Window) -> Result<Vec<TransactionRow>, LedgerError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT p.id, e.booked_at, p.tiyn, p.counterparty_name, p.counterparty_iban, e.remittance, e.knp
             FROM postings p JOIN entries e ON e.id = p.entry
             WHERE p.account = ?1 AND p.id < ?2 AND e.booked_at >= ?3 AND e.booked_at < ?4
             ORDER BY p.id DESC LIMIT ?5",
        )?;
        let limit = i64::try_from(window.limit).unwrap_or(i64::MAX);
        let rows = statement.query_map(params![account, window.before, window.from, window.until, limit], |row| {
            Ok(TransactionRow {
                posting: row.get(0)?,
                booked_at: row.get(1)?,
                tiyn: row.get(2)?,
                counterparty_name: row.get(3)?,
                counterparty_iban: row.get(4)?,
                remittance: row.get(5)?,
                knp: row.get(6)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A payment, if this organisation ordered it.
    pub(super) fn payment(&self, organisation: &str, id: Uuid) -> Result<Option<PaymentRow>, LedgerError> {
        let found = self.stored(id)?;
        Ok(found.filter(|stored| stored.organisation == organisation).map(|stored| stored.payment))
    }

    /// Books a payment once: all of it or nothing, and nothing the second time.
    ///
    /// # Errors
    /// [`LedgerError::Refused`] before anything was written.
    pub(super) fn book(&mut self, order: &Order) -> Result<Booked, LedgerError> {
        if let Some(stored) = self.stored(order.reference)? {
            let same = stored.organisation == order.organisation && stored.digest == order.digest;
            return if same { Ok(Booked::Before(stored.payment)) } else { Err(Refusal::ReferenceReused.into()) };
        }
        let debtor = match order.leave {
            // The gateway has asked the debtor for this very payment.
            Leave::Payment => self.by_iban(order.debtor.as_str())?,
            Leave::Mandates => self.mandated(order.organisation, order.debtor.as_str())?,
            Leave::Accounts(_) | Leave::Customer(_) => None,
        };
        let debtor = debtor.ok_or(Refusal::DebtorUnknown)?;
        if order.payer.as_ref().is_some_and(|payer| payer.as_str() != debtor.owner_iin) {
            return Err(Refusal::PayerMismatch.into());
        }
        if order.debtor == order.creditor {
            return Err(Refusal::SameAccount.into());
        }
        let creditor = self.by_iban(order.creditor.as_str())?;
        if creditor.is_none() && self.is_ours(order.creditor.bank_code())? {
            return Err(Refusal::CreditorUnknown.into());
        }
        if debtor.balance_tiyn < order.amount.tiyn() {
            return Err(Refusal::InsufficientFunds.into());
        }
        self.write(order, &debtor, creditor.as_ref()).map(Booked::Now)
    }

    fn write(
        &mut self,
        order: &Order,
        debtor: &AccountRow,
        creditor: Option<&AccountRow>,
    ) -> Result<PaymentRow, LedgerError> {
        let payment = PaymentRow {
            id: order.reference.to_string(),
            created_at: order.created_at.clone(),
            debtor_iban: order.debtor.as_str().to_owned(),
            creditor_iban: order.creditor.as_str().to_owned(),
            creditor_name: order.creditor_name.clone(),
            tiyn: order.amount.tiyn(),
            knp: order.knp.clone(),
            remittance: order.remittance.clone(),
        };
        // A failure halfway takes back this payment only, not those that share the durable write.
        let savepoint = self.connection.savepoint()?;
        savepoint
            .prepare_cached(&format!(
                "INSERT INTO payments ({PAYMENT_COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
            ))?
            .execute(params![
                payment.id,
                payment.created_at,
                payment.debtor_iban,
                payment.creditor_iban,
                payment.creditor_name,
                payment.tiyn,
                payment.knp,
                payment.remittance,
                order.organisation,
                order.digest,
            ])?;
        let entry = Entry {
            booked_at: &payment.created_at,
            knp: &payment.knp,
            remittance: payment.remittance.as_deref(),
            payment: Some(&payment.id),
        };
        let from = Side { account: &debtor.id, bank: &debtor.bank, name: &debtor.owner_name, iban: &debtor.iban };
        let to = Side {
            account: creditor.map_or(ELSEWHERE, |row| &row.id),
            bank: creditor.map_or(ELSEWHERE, |row| &row.bank),
            name: &payment.creditor_name,
            iban: &payment.creditor_iban,
        };
        transfer(&savepoint, &entry, from, to, payment.tiyn)?;
        savepoint.commit()?;
        Ok(payment)
    }

    fn mandated(&self, organisation: &str, iban: &str) -> Result<Option<AccountRow>, LedgerError> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {ACCOUNT_COLUMNS} FROM accounts a JOIN mandates m ON m.iin = a.owner_iin
             WHERE a.kind = 'customer' AND m.organisation = ?1 AND a.iban = ?2"
        ))?;
        Ok(statement.query_row(params![organisation, iban], account_row).optional()?)
    }

    fn by_iban(&self, iban: &str) -> Result<Option<AccountRow>, LedgerError> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {ACCOUNT_COLUMNS} FROM accounts a WHERE a.kind = 'customer' AND a.iban = ?1"
        ))?;
        Ok(statement.query_row(params![iban], account_row).optional()?)
    }

    fn is_ours(&self, bank_code: &str) -> Result<bool, LedgerError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT 1 FROM accounts WHERE kind = 'customer' AND substr(iban, 5, 3) = ?1 LIMIT 1")?;
        Ok(statement.exists(params![bank_code])?)
    }

    fn stored(&self, id: Uuid) -> Result<Option<Stored>, LedgerError> {
        let mut statement =
            self.connection.prepare_cached(&format!("SELECT {PAYMENT_COLUMNS} FROM payments WHERE id = ?1"))?;
        let read = |row: &Row<'_>| {
            Ok(Stored {
                payment: PaymentRow {
                    id: row.get(0)?,
                    created_at: row.get(1)?,
                    debtor_iban: row.get(2)?,
                    creditor_iban: row.get(3)?,
                    creditor_name: row.get(4)?,
                    tiyn: row.get(5)?,
                    knp: row.get(6)?,
                    remittance: row.get(7)?,
                },
                organisation: row.get(8)?,
                digest: row.get(9)?,
            })
        };
        Ok(statement.query_row(params![id.to_string()], read).optional()?)
    }
}

struct Stored {
    payment: PaymentRow,
    organisation: String,
    digest: [u8; 32],
}

fn account_row(row: &Row<'_>) -> rusqlite::Result<AccountRow> {
    Ok(AccountRow {
        id: row.get(0)?,
        iban: row.get(1)?,
        owner_iin: row.get(2)?,
        owner_name: row.get(3)?,
        bank: row.get(4)?,
        product: row.get(5)?,
        status: row.get(6)?,
        balance_tiyn: row.get(7)?,
    })
}

/// Checks that every entry and the whole sum to zero and that the balances are what was posted.
fn audit(connection: &Connection) -> Result<(), SandboxError> {
    let wrong = |query: &str| connection.prepare(query)?.exists([]);
    if wrong("SELECT 1 FROM postings GROUP BY entry HAVING sum(tiyn) <> 0")? {
        return Err(SandboxError::Unbalanced("the postings of an entry do not sum to zero"));
    }
    if wrong("SELECT 1 FROM (SELECT sum(tiyn) AS total FROM postings) WHERE total <> 0")? {
        return Err(SandboxError::Unbalanced("all postings do not sum to zero"));
    }
    if wrong(
        "SELECT 1 FROM accounts a WHERE a.balance_tiyn <>
           coalesce((SELECT sum(p.tiyn) FROM postings p WHERE p.account = a.id), 0)",
    )? {
        return Err(SandboxError::Unbalanced("a balance is not the sum of its postings"));
    }
    if wrong("SELECT 1 FROM payments p WHERE 1 <> (SELECT count(*) FROM entries e WHERE e.payment = p.id)")? {
        return Err(SandboxError::Unbalanced("a payment does not have exactly one entry"));
    }
    Ok(())
}
