//! The fault switches that a payment's remittance text can carry.

use crate::reply::Problem;
use http::StatusCode;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use uuid::Uuid;

/// What a text begins with when it is a switch.
const PREFIX: &str = "SBX:";
/// Milliseconds of the longest delay: longer than any deadline a gateway should have.
const DELAY_MS_MAX: u64 = 30_000;
/// How many status requests can be made to fail: more than anybody waits for in a test.
const MUTE_MAX: u32 = 100;
/// How many payments with a fault of their own are remembered at once.
const REMEMBERED_MAX: usize = 10_000;

/// What is to go wrong with one payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The answer comes late; the payment is booked at once.
    Delay(Duration),
    /// The payment is booked and the connection closed without an answer.
    Lost,
    /// The connection is closed and nothing is booked; the same reference is booked when it comes again.
    Dropped,
    /// The connection is closed, and the payment is booked only after this time.
    Late(Duration),
    /// The payment is booked, the connection closed, and so many requests for its state are answered with 503.
    Mute(u32),
    /// Nothing is booked and this status is the answer.
    Status(StatusCode),
}

impl Fault {
    /// Reads the switch at the beginning of a remittance text; ordinary text has none.
    ///
    /// A switch that does not exist is refused, so that a misspelt test does not pass by accident.
    pub(super) fn read(remittance: Option<&str>) -> Result<Option<Self>, Problem> {
        let Some(switch) = remittance.and_then(|text| text.strip_prefix(PREFIX)) else {
            return Ok(None);
        };
        let word = switch.split_whitespace().next().unwrap_or_default();
        let unknown = Problem::shape("The remittance text names a fault switch that does not exist.");
        match word.split_once('=') {
            None if word == "lost" => Ok(Some(Self::Lost)),
            None if word == "dropped" => Ok(Some(Self::Dropped)),
            Some((name @ ("delay" | "late"), value)) => match value.parse() {
                Ok(ms) if ms <= DELAY_MS_MAX => {
                    let delay = Duration::from_millis(ms);
                    Ok(Some(if name == "late" { Self::Late(delay) } else { Self::Delay(delay) }))
                }
                _ => Err(unknown),
            },
            Some(("mute", value)) => match value.parse() {
                Ok(count) if count <= MUTE_MAX => Ok(Some(Self::Mute(count))),
                _ => Err(unknown),
            },
            Some(("status", value)) => match value.parse::<StatusCode>() {
                Ok(status) if status.is_client_error() || status.is_server_error() => Ok(Some(Self::Status(status))),
                _ => Err(unknown),
            },
            _ => Err(unknown),
        }
    }
}

/// What is still to go wrong, by payment; forgotten when the bank stops.
#[derive(Debug, Default)]
pub(super) struct Faults(Mutex<HashMap<Uuid, u32>>);

impl Faults {
    /// Notes that a payment has a fault that happens so many times, unless it was noted before; tells which it is.
    ///
    /// Where too many are remembered, every time is the first.
    pub(super) fn note(&self, payment: Uuid, times: u32) -> bool {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.contains_key(&payment) {
            return false;
        }
        if remembered.len() < REMEMBERED_MAX {
            remembered.insert(payment, times);
        }
        true
    }

    /// Tells whether the fault of a payment happens once more.
    pub(super) fn happens(&self, payment: Uuid) -> bool {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match remembered.get_mut(&payment) {
            Some(left) if *left > 0 => {
                *left -= 1;
                true
            }
            Some(_) | None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_that_do_not_exist_are_refused() {
        for text in [
            "SBX:",
            "SBX:lots",
            "SBX:delay",
            "SBX:delay=",
            "SBX:delay=30001",
            "SBX:delay=-1",
            "SBX:status=200",
            "SBX:status=302",
            "SBX:status=99",
            "SBX:status=600x",
            "SBX:lost=1",
            "SBX:dropped=1",
            "SBX:late",
            "SBX:late=30001",
            "SBX:mute",
            "SBX:mute=101",
            "SBX: lots",
        ] {
            assert!(Fault::read(Some(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn switches_are_read() {
        assert_eq!(Fault::read(Some("SBX:lost")), Ok(Some(Fault::Lost)));
        assert_eq!(Fault::read(Some("SBX:lost for ever")), Ok(Some(Fault::Lost)));
        assert_eq!(Fault::read(Some("SBX:dropped")), Ok(Some(Fault::Dropped)));
        assert_eq!(Fault::read(Some("SBX:late=30000")), Ok(Some(Fault::Late(Duration::from_secs(30)))));
        assert_eq!(Fault::read(Some("SBX:mute=100")), Ok(Some(Fault::Mute(100))));
        let longest = Fault::Delay(Duration::from_secs(30));
        assert_eq!(Fault::read(Some("SBX:delay=30000")), Ok(Some(longest)));
        let unavailable = Fault::Status(StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(Fault::read(Some("SBX:status=503")), Ok(Some(unavailable)));
    }

    #[test]
    fn a_fault_is_noted_once_and_happens_as_often_as_it_was_noted() {
        let (faults, payment) = (Faults::default(), Uuid::from_u128(1));
        assert!(!faults.happens(payment));
        assert!(faults.note(payment, 2) && !faults.note(payment, 2));
        assert_eq!([(); 3].map(|()| faults.happens(payment)), [true, true, false]);
        assert!(!faults.note(payment, 2), "what has happened does not begin again");
    }

    #[test]
    fn ordinary_text_is_no_switch() {
        for text in [None, Some(""), Some("Rent"), Some("sbx:lost"), Some("Rent SBX:lost")] {
            assert_eq!(Fault::read(text), Ok(None));
        }
    }
}
