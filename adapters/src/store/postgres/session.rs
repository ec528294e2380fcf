//! One connection, and what may be done on it: statements that end in time, alone or as a transaction.

use std::cell::Cell;
use std::future::Future;
use std::time::Duration;

use deadpool_postgres::Object;
use policies::code::Outage;
use policies::time::Timestamp;
use tokio::time::{sleep, timeout};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{FromSql, ToSql};
use tokio_postgres::{Error, Row};

use super::tls;
use crate::entropy;

/// How much longer than a statement may take we wait for word of it: the server itself has ended it by then, and one that
/// says nothing is not there any more.
const SLACK: Duration = Duration::from_millis(500);

/// The longest that a statement may wait for a row that somebody else holds.
pub(super) const LOCK_WAIT: Duration = Duration::from_secs(1);

/// How long the server waits for the next statement of a transaction before it gives its locks back.
pub(super) const IDLE_WAIT: Duration = Duration::from_secs(5);

/// The unit of the wait after others were at the same rows.
const CLASH_WAIT: Duration = Duration::from_millis(4);

/// After how long a caller may try again: an outage that is over is noticed by then.
const TRY_AFTER: Duration = Duration::from_secs(1);

/// What a statement is given.
pub(super) type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

/// Why something could not be done.
#[derive(Debug)]
pub(super) enum Fault {
    /// The claim is another's by now.
    TakenOver,
    /// Somebody else was at the same rows; to be tried again.
    Clash,
    /// A row with this name is there already.
    Taken,
    /// What is asked for is not there (yet): a table or a schema.
    Missing,
    /// This connection cannot be used any more.
    Broken(String),
    /// No connection that was made before now can be relied upon.
    Gone(String),
    /// There is no connection to be had.
    Away(String),
    /// Anything else.
    Failed(String),
}

impl Fault {
    pub(super) fn new(cause: impl ToString) -> Self {
        Fault::Failed(cause.to_string())
    }

    pub(super) fn outage(self, port: &str) -> Outage {
        let after = (!matches!(self, Fault::TakenOver)).then_some(TRY_AFTER);
        Outage { after, ..Outage::new(port, self.cause()) }
    }

    pub(super) fn cause(self) -> String {
        match self {
            Fault::TakenOver => "the claim was taken over".to_owned(),
            Fault::Clash => "too many were at the same rows".to_owned(),
            Fault::Taken => "it is there already".to_owned(),
            Fault::Missing => "the database lacks a table".to_owned(),
            Fault::Broken(cause) | Fault::Gone(cause) | Fault::Away(cause) | Fault::Failed(cause) => cause,
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let told = tls::cause(&error);
        let Some(code) = error.code() else {
            // Not the server's word: the connection broke, or what came over it was no PostgreSQL.
            return Fault::Broken(told);
        };
        match *code {
            SqlState::T_R_SERIALIZATION_FAILURE | SqlState::T_R_DEADLOCK_DETECTED => Fault::Clash,
            SqlState::UNIQUE_VIOLATION
            | SqlState::DUPLICATE_SCHEMA
            | SqlState::DUPLICATE_TABLE
            | SqlState::DUPLICATE_OBJECT => Fault::Taken,
            SqlState::UNDEFINED_TABLE | SqlState::INVALID_SCHEMA_NAME => Fault::Missing,
            SqlState::QUERY_CANCELED => Fault::Failed("a statement took longer than it may".to_owned()),
            SqlState::LOCK_NOT_AVAILABLE => Fault::Failed("a row was held by somebody else for too long".to_owned()),
            // A primary that became a replica keeps its connections.
            SqlState::READ_ONLY_SQL_TRANSACTION => Fault::Gone(told),
            // The server ends the connection that it says this on.
            SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN | SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT => {
                Fault::Broken(told)
            }
            _ => Fault::Failed(told),
        }
    }
}

impl Fault {
    /// Tells whether the connection is of no use any more.
    pub(super) fn breaks(&self) -> bool {
        matches!(self, Fault::Broken(_) | Fault::Gone(_))
    }
}

/// Reads a column of a row.
pub(super) fn column<'a, T: FromSql<'a>>(row: &'a Row, name: &str) -> Result<T, Fault> {
    row.try_get(name).map_err(|_| Fault::Failed(format!("a stored {name} cannot be read")))
}

/// Reads a column of a row that holds so many bytes.
pub(super) fn bytes<const N: usize>(row: &Row, name: &str) -> Result<[u8; N], Fault> {
    let found: &[u8] = column(row, name)?;
    found.try_into().map_err(|_| Fault::Failed(format!("a stored {name} cannot be read")))
}

/// Reads a column of a row that holds a time.
pub(super) fn time(row: &Row, name: &str) -> Result<Timestamp, Fault> {
    column(row, name).map(Timestamp::from_millis)
}

/// Writes a bound on the number of rows.
pub(super) fn limit(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}

/// Waits before something that others were doing at the same time is tried again.
///
/// Of random length, that grows: those who were in each other's way do not meet again.
pub(super) async fn step_aside(clashes: u32) {
    let [dice] = entropy::random::<1>();
    sleep(CLASH_WAIT * clashes * (u32::from(dice) + 1) / 256).await;
}

/// A connection that one job has for itself.
pub(super) struct Session {
    client: Object,
    word: Cell<Duration>,
    /// Whether BEGIN goes out with the next statement.
    opening: Cell<bool>,
    open: Cell<bool>,
}

impl Session {
    /// Takes a connection whose statements the server ends after `statement`.
    pub(super) fn new(client: Object, statement: Duration) -> Self {
        Self {
            client,
            word: Cell::new(statement.saturating_add(SLACK)),
            opening: Cell::new(false),
            open: Cell::new(false),
        }
    }

    /// Begins a transaction, with the next statement.
    pub(super) fn begin(&self) {
        self.opening.set(true);
    }

    /// Makes durable what was done since [`Session::begin`].
    pub(super) async fn commit(&self) -> Result<(), Fault> {
        self.opening.set(false);
        if !self.open.get() {
            return Ok(());
        }
        self.heard(self.client.batch_execute("COMMIT")).await?;
        self.open.set(false);
        Ok(())
    }

    /// Undoes what was done since [`Session::begin`].
    pub(super) async fn undo(&self) -> Result<(), Fault> {
        self.opening.set(false);
        if !self.open.get() {
            return Ok(());
        }
        self.heard(self.client.batch_execute("ROLLBACK")).await?;
        self.open.set(false);
        Ok(())
    }

    /// Gives the rows that a statement finds; `sql` is one of the constants of this store.
    pub(super) async fn rows(&self, sql: &str, values: Values<'_>) -> Result<Vec<Row>, Fault> {
        let statement = self.heard(self.client.prepare_cached(sql)).await?;
        let begun = self.heard_opening();
        let (begun, found) = tokio::join!(begun, self.heard(self.client.query(&statement, values)));
        begun?;
        found
    }

    /// Gives the one row that a statement finds, if it finds one.
    pub(super) async fn row(&self, sql: &str, values: Values<'_>) -> Result<Option<Row>, Fault> {
        Ok(self.rows(sql, values).await?.into_iter().next())
    }

    /// Does a statement, and tells how many rows it has changed.
    pub(super) async fn change(&self, sql: &str, values: Values<'_>) -> Result<u64, Fault> {
        let statement = self.heard(self.client.prepare_cached(sql)).await?;
        let begun = self.heard_opening();
        let (begun, changed) = tokio::join!(begun, self.heard(self.client.execute(&statement, values)));
        begun?;
        changed
    }

    /// Does a text of statements that give nothing back.
    pub(super) async fn batch(&self, sql: &str) -> Result<(), Fault> {
        self.heard_opening().await?;
        self.heard(self.client.batch_execute(sql)).await
    }

    /// Gives the server longer for each statement from here on than requests have.
    pub(super) fn be_patient(&self, statement: Duration) {
        self.word.set(statement.saturating_add(SLACK));
    }

    /// Hands the connection back, to be used again unless it was `broken` or a transaction is left open on it.
    pub(super) fn end(self, broken: bool) {
        if broken || self.open.get() {
            drop(Object::take(self.client));
        }
    }

    // Sent in one go with what comes next: the server works it off in order, and nobody waits for it by itself.
    async fn heard_opening(&self) -> Result<(), Fault> {
        if !self.opening.replace(false) {
            return Ok(());
        }
        self.open.set(true);
        self.heard(self.client.batch_execute("BEGIN")).await
    }

    async fn heard<T>(&self, asked: impl Future<Output = Result<T, Error>>) -> Result<T, Fault> {
        match timeout(self.word.get(), asked).await {
            Ok(heard) => Ok(heard?),
            Err(_) => Err(Fault::Gone("the database said nothing for too long".to_owned())),
        }
    }
}
