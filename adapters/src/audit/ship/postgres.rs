//! A place that is a table of a PostgreSQL database: one row a record.
//!
//! `qaqpa_audit (trail uuid, sequence bigint, payload text, primary key (trail, sequence))`. The payload is text and not
//! `jsonb`, which would write it anew: only its own bytes have the hash that the trail can prove. It is made if it is not
//! there; whoever has made it needs to give our role no more than INSERT and SELECT.

use policies::code::Outage;
use policies::secret::Secret;
use tokio::task::AbortHandle;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, Error};

use super::port::{Shipped, Sink, TrailId};
use crate::http::trust::Trust;
use crate::store::port::Answer;
use crate::store::postgres::tls::{PostgresTls, cause, connect, way};

/// What the server's list of connections calls us.
const APPLICATION: &str = "qaqpa-audit";

// Within what a sink may take, so that the server has given up when we do.
const PREPARE: &str = "SET statement_timeout = '20s'; SET lock_timeout = '5s'";

const FIND: &str = "SELECT to_regclass('qaqpa_audit') IS NOT NULL";

const CREATE: &str = "CREATE TABLE IF NOT EXISTS qaqpa_audit \
    (trail uuid NOT NULL, sequence bigint NOT NULL, payload text NOT NULL, PRIMARY KEY (trail, sequence))";

// One statement is one transaction: all of a batch, or none of it.
const INSERT: &str = "INSERT INTO qaqpa_audit (trail, sequence, payload) \
    SELECT $1::text::uuid, batch.sequence, batch.payload \
    FROM unnest($2::bigint[], $3::text[]) AS batch (sequence, payload) ON CONFLICT DO NOTHING";

const DIFFERING: &str = "SELECT min(batch.sequence) \
    FROM unnest($2::bigint[], $3::text[]) AS batch (sequence, payload) JOIN qaqpa_audit AS there \
    ON there.trail = $1::text::uuid AND there.sequence = batch.sequence WHERE there.payload <> batch.payload";

/// A table that records are put into.
#[derive(Debug)]
pub struct PostgresSink {
    config: Config,
    tls: PostgresTls,
    link: Option<Link>,
}

impl PostgresSink {
    /// Names the database; nothing is connected yet.
    ///
    /// # Errors
    /// An [`Outage`] if the URL cannot be read, or names a server elsewhere without `trust`; it tells nothing of the URL.
    pub fn new(url: &Secret<String>, trust: Option<&Trust>) -> Result<Self, Outage> {
        let (config, tls) = way(url, trust, APPLICATION)?;
        Ok(Self { config, tls, link: None })
    }

    async fn insert(&mut self, batch: &[Shipped]) -> Result<(), Outage> {
        let Some(rows) = Rows::of(batch)? else { return Ok(()) };
        let link = match self.link.take().filter(|link| !link.client.is_closed()) {
            Some(link) => link,
            None => self.connect().await.map_err(|error| outage(&error))?,
        };
        let values = rows.values();
        let inserted = link.client.execute(INSERT, &values).await.map_err(|error| outage(&error))?;
        if inserted < batch.len() as u64 {
            let differing = link.client.query_one(DIFFERING, &values).await.map_err(|error| outage(&error))?;
            let sequence: Option<i64> = differing.try_get(0).map_err(|error| outage(&error))?;
            if let Some(sequence) = sequence {
                let text = format!("the table has another record {sequence} of this trail: was the trail set back?");
                return Err(Outage::new("audit", text));
            }
        }
        // Only a connection that has just served is used again; after a fault a new one is made.
        self.link = Some(link);
        Ok(())
    }

    async fn connect(&self) -> Result<Link, Error> {
        let (client, driving) = connect(&self.config, self.tls.clone()).await?;
        let link = Link { client, driving: driving.abort_handle() };
        link.client.batch_execute(PREPARE).await?;
        if !link.finds_table().await? {
            let created = link.client.batch_execute(CREATE).await;
            // Of two that make it at once one is refused, and finds it made.
            if !link.finds_table().await? {
                created?;
            }
        }
        Ok(link)
    }
}

impl Sink for PostgresSink {
    fn put<'a>(&'a mut self, batch: &'a [Shipped]) -> Answer<'a, ()> {
        Box::pin(self.insert(batch))
    }
}

/// A connection; dropping it ends it at once, also in the middle of a statement.
#[derive(Debug)]
struct Link {
    client: Client,
    driving: AbortHandle,
}

impl Link {
    async fn finds_table(&self) -> Result<bool, Error> {
        self.client.query_one(FIND, &[]).await?.try_get(0)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.driving.abort();
    }
}

/// A batch as columns.
struct Rows<'a> {
    trail: String,
    sequences: Vec<i64>,
    payloads: Vec<&'a str>,
}

impl<'a> Rows<'a> {
    fn of(batch: &'a [Shipped]) -> Result<Option<Self>, Outage> {
        let Some(first) = batch.first() else { return Ok(None) };
        let trail: TrailId = first.trail;
        let mut rows = Self { trail: trail.to_string(), sequences: Vec::new(), payloads: Vec::new() };
        for record in batch {
            let sequence = i64::try_from(record.sequence).map_err(|error| Outage::new("audit", error))?;
            let payload = std::str::from_utf8(&record.payload);
            rows.sequences.push(sequence);
            rows.payloads.push(payload.map_err(|_| Outage::new("audit", format!("record {sequence} is no text")))?);
        }
        Ok(Some(rows))
    }

    fn values(&self) -> [&(dyn ToSql + Sync); 3] {
        [&self.trail, &self.sequences, &self.payloads]
    }
}

fn outage(error: &Error) -> Outage {
    Outage::new("audit", cause(error))
}
