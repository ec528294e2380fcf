//! What a place promises, whatever stands behind it.

use bytes::Bytes;

pub use crate::audit::read::TrailId;
use crate::store::port::Answer;

/// The most records of a batch: one transaction of a database, one breath of a broker.
pub const BATCH_RECORDS_MAX: usize = 512;

/// The most bytes of a batch's payloads, unless one record alone is longer: what a place holds in memory at most.
pub const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// A record on its way to another place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shipped {
    /// The trail it is from.
    pub trail: TrailId,
    /// Its number in that trail, from 1 on.
    pub sequence: u64,
    /// Its text, as it stands in the trail: one JSON object without line ends.
    pub payload: Bytes,
}

impl Shipped {
    /// Returns what a receiver knows the record by, should it come again: `<trail>-<sequence>`.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}-{}", self.trail, self.sequence)
    }
}

/// A place that takes records.
pub trait Sink: Send {
    /// Takes records of one trail in their order, and answers when all of them are there for good.
    ///
    /// May be given records again that it already has, and then keeps each once as far as it can. Dropped at an await, or
    /// after an [`Outage`], any part of the batch may be there.
    fn put<'a>(&'a mut self, batch: &'a [Shipped]) -> Answer<'a, ()>;
}
