//! Finds the records of one call by any of its names.

use adapters::audit::read::{Entry, Reader};
use serde_json::Value;

use super::place::Failed;

/// As many records as one call is shown with: it has two, and as many more as it was repeated under one name.
const FOUND_MAX: usize = 100;

/// Finds the records of the call with this interaction id or reference, or to which the record of this number belongs.
pub(crate) fn find(reader: &Reader, id: &str) -> Result<Vec<(Entry, Value)>, Failed> {
    let name = match id.parse::<u64>() {
        Err(_) => id.to_owned(),
        Ok(sequence) => {
            let entry = reader.from(sequence).next().transpose()?.filter(|entry| entry.sequence == sequence);
            let entry = entry.ok_or_else(|| format!("error: there is no record {sequence}, or it was let go"))?;
            let value = entry.to_value()?;
            match value.get("interaction").and_then(Value::as_str) {
                Some(interaction) => interaction.to_owned(),
                // What the trail tells of itself belongs to no call.
                None => return Ok(vec![(entry, value)]),
            }
        }
    };
    if name.is_empty() {
        return Err("error: no record has an empty name".to_owned().into());
    }
    let mut found = Vec::new();
    for entry in reader.from(1) {
        let entry = entry?;
        // Cheap first: few records hold the name.
        if !entry.payload.windows(name.len()).any(|window| window == name.as_bytes()) {
            continue;
        }
        let value = entry.to_value()?;
        if ["interaction", "reference"].iter().any(|member| value.get(*member).and_then(Value::as_str) == Some(&name)) {
            found.push((entry, value));
        }
        if found.len() == FOUND_MAX {
            break;
        }
    }
    if found.is_empty() { Err(format!("error: no record has the name {id}").into()) } else { Ok(found) }
}
