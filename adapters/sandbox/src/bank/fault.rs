//! The fault switches that a payment's remittance text can carry.

use crate::reply::Problem;
use http::StatusCode;
use std::time::Duration;

/// What a text begins with when it is a switch.
const PREFIX: &str = "SBX:";
/// Milliseconds of the longest delay: longer than any deadline a gateway should have.
const DELAY_MS_MAX: u64 = 30_000;

/// What is to go wrong with one payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The answer comes late; the payment is booked at once.
    Delay(Duration),
    /// The payment is booked and the connection closed without an answer.
    Lost,
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
            Some(("delay", value)) => match value.parse() {
                Ok(ms) if ms <= DELAY_MS_MAX => Ok(Some(Self::Delay(Duration::from_millis(ms)))),
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
            "SBX: lots",
        ] {
            assert!(Fault::read(Some(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn switches_are_read() {
        assert_eq!(Fault::read(Some("SBX:lost")), Ok(Some(Fault::Lost)));
        assert_eq!(Fault::read(Some("SBX:lost for ever")), Ok(Some(Fault::Lost)));
        let longest = Fault::Delay(Duration::from_secs(30));
        assert_eq!(Fault::read(Some("SBX:delay=30000")), Ok(Some(longest)));
        let unavailable = Fault::Status(StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(Fault::read(Some("SBX:status=503")), Ok(Some(unavailable)));
    }

    #[test]
    fn ordinary_text_is_no_switch() {
        for text in [None, Some(""), Some("Rent"), Some("sbx:lost"), Some("Rent SBX:lost")] {
            assert_eq!(Fault::read(text), Ok(None));
        }
    }
}
