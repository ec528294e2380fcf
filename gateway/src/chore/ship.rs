//! Sends the audit trail on to the places that the configuration names, a batch a round, each place by itself.

use std::fmt;
use std::sync::Arc;

use adapters::audit::Audit;
use adapters::audit::ship::file::FileSink;
use adapters::audit::ship::nats::{NatsSettings, NatsSink};
use adapters::audit::ship::postgres::PostgresSink;
use adapters::audit::ship::{Progress, Shipper, Sink};
use adapters::http::trust::Trust;
use policies::code::Outage;

use super::{Chore, Round};
use crate::config::{ShipConfig, SinkConfig};
use crate::house::House;
use crate::unready::AssemblyError;
use crate::{secrets, stores};

/// The place of one [`ShipConfig`]: how far it has got is known as long as the process lives.
#[derive(Debug, Clone)]
pub struct Place {
    config: ShipConfig,
    trust: Option<Trust>,
    progress: Arc<Progress>,
}

impl Place {
    /// Prepares a place, so that a secret that is missing is found at the start and not at night; nothing is connected.
    ///
    /// # Errors
    /// What is wrong with its configuration.
    pub fn prepare(config: &ShipConfig) -> Result<Self, AssemblyError> {
        let trust = match &config.sink {
            SinkConfig::File(_) => None,
            SinkConfig::Postgres { trust, .. } | SinkConfig::Nats { trust, .. } => trust.as_deref(),
        };
        let trust = trust.map(|path| stores::trust(Some(path))).transpose()?;
        let place = Self { config: config.clone(), trust, progress: Arc::default() };
        let wrong = |text| AssemblyError::Configuration(format!("error: place {} of `audit`: {text}\n", config.name));
        place.sink().map_err(wrong)?;
        Ok(place)
    }

    /// Returns how far it has got.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    fn sink(&self) -> Result<Box<dyn Sink>, String> {
        let told = |outage: Outage| outage.cause;
        Ok(match &self.config.sink {
            SinkConfig::File(path) => Box::new(FileSink::new(path)),
            SinkConfig::Postgres { url, .. } => {
                let url = secrets::read_text(url)?;
                Box::new(PostgresSink::new(&url, self.trust.as_ref()).map_err(told)?)
            }
            SinkConfig::Nats { url, stream, subject, credentials, .. } => {
                let credentials = credentials.as_ref().map(secrets::read_text).transpose()?;
                let trust = self.trust.clone().map_or_else(Trust::nobody, Ok).map_err(told)?;
                let (url, stream, subject) = (url.clone(), stream.clone(), subject.clone());
                Box::new(NatsSink::new(NatsSettings { url, stream, subject, credentials, trust }).map_err(told)?)
            }
        })
    }
}

/// The chore of one place.
pub struct Ship {
    house: Arc<House>,
    place: Place,
    shipper: Option<Shipper>,
}

impl Ship {
    /// Makes the chore; nothing is connected yet.
    #[must_use]
    pub fn new(house: &Arc<House>, place: &Place) -> Self {
        let ship = Self { house: Arc::clone(house), place: place.clone(), shipper: None };
        ship.measure(house.audit.durable().saturating_sub(place.progress.got()));
        ship
    }

    // Told before the first round as well: what is not there raises no alarm.
    fn measure(&self, records: u64) {
        self.house.metrics.shipping(&self.place.config.name, records, self.place.progress.bytes_behind());
    }

    async fn send(&mut self) -> Result<usize, Outage> {
        let shipper = match &mut self.shipper {
            Some(shipper) => shipper,
            none => none.insert(shipper(&self.house.audit, &self.place)?),
        };
        let sent = shipper.round().await;
        self.measure(self.place.progress.records_behind());
        let place = &self.place.config.name;
        // The chores of all places have one name: the place is told where it matters.
        sent.map_err(|outage| Outage { port: format!("place {place}: {}", outage.port), ..outage })
    }
}

fn shipper(audit: &Audit, place: &Place) -> Result<Shipper, Outage> {
    // Secrets are read again by each life of the chores, so that a new one needs no more than a restart.
    let sink = place.sink().map_err(|cause| Outage::new("audit", cause))?;
    Ok(Shipper::new(&place.config.name, audit, sink, &place.progress))
}

impl fmt::Debug for Ship {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ship").field("place", &self.place.config.name).finish_non_exhaustive()
    }
}

impl Chore for Ship {
    fn name(&self) -> &'static str {
        "ship audit"
    }

    fn round(&mut self) -> Round<'_> {
        Box::pin(self.send())
    }
}
