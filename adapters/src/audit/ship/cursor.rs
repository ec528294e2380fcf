//! How far a place has got, in a file beside the trail.

use std::path::Path;

use policies::code::Outage;
use serde::{Deserialize, Serialize};

use crate::files;

/// The last record that a place has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cursor {
    /// The trail.
    pub(super) trail: String,
    /// The number of the record.
    pub(super) sequence: u64,
    /// The hash of the chain up to and with the record, in hexadecimal: another trail, or another past, has another one.
    pub(super) chain: String,
}

impl Cursor {
    /// Reads the cursor; `None` if there is none yet.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, Outage> {
        let Some(text) = files::read_private(path)? else { return Ok(None) };
        let cursor = serde_json::from_slice(text.expose());
        cursor.map(Some).map_err(|_| refused(path, "it is not whole, or was written by something else"))
    }

    /// Writes the cursor so that a crash leaves the old one or this.
    pub(super) fn write(&self, path: &Path) -> Result<(), Outage> {
        let text = serde_json::to_vec(self).map_err(|error| Outage::new("audit", error))?;
        files::write_private(path, &text)
    }
}

/// Says why a cursor is not gone by, and what to do: a person has to judge, since records might be left out otherwise.
pub(super) fn refused(path: &Path, cause: &str) -> Outage {
    let help = "remove it to send the whole trail again: a place knows what it has already by its id";
    Outage::new("audit", format!("the cursor {} is refused: {cause}; {help}", path.display()))
}
