//! Counts what a request asks of each identity provider, against the limits that count by providers.

use std::sync::{Mutex, PoisonError};

use adapters::limit::limits::Taken;
use broker::{Entered, Pass, Room};
use policies::code::Code;
use policies::id::ProviderId;
use spine::error::Rejection;
use spine::stage::Identified;

use crate::house::House;
use crate::layer::meter::{Exhausted, Full, judged, taken};
use crate::metering::{Made, counted_at, limits};

/// The turnstile before the providers, for one request.
pub(crate) struct Turnstile<'a> {
    house: &'a House,
    call: &'a Identified,
    made: Made,
    /// Which limits had no room for the provider that was tried last: of interest if nobody could be asked at all.
    full: Mutex<Option<Exhausted>>,
}

impl<'a> Turnstile<'a> {
    /// Sets it up.
    pub(crate) fn new(house: &'a House, call: &'a Identified) -> Self {
        Self { house, call, made: Made::of(call, &house.sealer, limits(call)), full: Mutex::new(None) }
    }

    /// Notes which limits were the reason of a refusal, if that is what it was.
    pub(crate) fn refused(&self, rejection: Rejection) -> Rejection {
        let full = self.full.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(full) = full.filter(|_| rejection.code() == Code::RateLimited) {
            full.note(&self.call.trail);
        }
        rejection
    }

    async fn let_in(&self, provider: &ProviderId) -> Result<Pass, Rejection> {
        let counted = counted_at(self.call, &self.made, provider);
        if counted.is_empty() {
            return Ok(Box::new(()));
        }
        let Taken { verdicts, holds } = taken(self.house, self.call, &counted).await?;
        judged(self.house, self.call, &counted, &verdicts).map_err(|full| {
            let Full { rejection, limits } = *full;
            *self.full.lock().unwrap_or_else(PoisonError::into_inner) = Some(limits);
            rejection
        })?;
        // What a provider costs is settled by nobody: that it was asked is all there is.
        Ok(Box::new(holds))
    }
}

impl Room for Turnstile<'_> {
    fn enter<'a>(&'a self, provider: &'a ProviderId) -> Entered<'a> {
        Box::pin(self.let_in(provider))
    }
}
