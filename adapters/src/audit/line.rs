//! One line of the trail: how a record is written, and how lines hold on to one another.

use aws_lc_rs::digest::{SHA256, digest};
use policies::audit::{Ending, Record, RecordKind};
use serde::Serialize;

/// The longest line with its end, in bytes: what a record can hold is far below.
pub(super) const LINE_BYTES_MAX: usize = 64 * 1024;

/// What the hash of a line stands behind; everything before it is hashed.
const HASH_MEMBER: &str = ",\"hash\":\"";

// `,"hash":"` and 64 digits and `"}`.
const TAIL_BYTES: usize = 9 + 64 + 2;

/// Where a chain has got to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    /// The number of the next line.
    pub(super) next: u64,
    /// The hash of the last one, 64 hexadecimal digits; zeros before the first.
    pub(super) hash: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    sequence: u64,
    previous: &'a str,
    kind: &'static str,
    interaction: &'a str,
    received: String,
    at: String,
    operation: Option<&'a str>,
    client: Option<&'a str>,
    organisation: Option<&'a str>,
    administrator: Option<&'a str>,
    provider: Option<&'a str>,
    steps: Vec<WireStep>,
    amount: Option<String>,
    reference: Option<&'a str>,
    status: Option<u16>,
    ending: &'static str,
    generation: u64,
}

#[derive(Serialize)]
struct WireStep {
    stage: &'static str,
    decision: &'static str,
}

impl Link {
    /// The link before the first line.
    pub(super) fn first() -> Self {
        Self { next: 1, hash: "0".repeat(64) }
    }

    /// Appends the line of `record` to `out` and returns the link after it; `None`, and nothing, if it is too long.
    pub(super) fn append(&self, record: &Record, out: &mut Vec<u8>) -> Option<Link> {
        let start = out.len();
        let written = serde_json::to_writer(&mut *out, &wire(self, record));
        if written.is_err() || out.len() - start > LINE_BYTES_MAX - TAIL_BYTES {
            out.truncate(start);
            return None;
        }
        // The closing brace moves behind the hash.
        out.pop();
        let hash = hex(digest(&SHA256, out.get(start..).unwrap_or_default()).as_ref());
        out.extend_from_slice(HASH_MEMBER.as_bytes());
        out.extend_from_slice(hash.as_bytes());
        out.extend_from_slice(b"\"}\n");
        Some(Link { next: self.next.saturating_add(1), hash })
    }

    /// Checks that `line`, without its line end, is the one that follows, and returns the link after it.
    pub(super) fn follow(&self, line: &[u8]) -> Result<Link, &'static str> {
        let found = Link::of(line)?;
        let prefix = format!("{{\"sequence\":{},\"previous\":\"{}\",", self.next, self.hash);
        if !line.starts_with(prefix.as_bytes()) {
            return Err("it does not follow from the line before");
        }
        Ok(found)
    }

    /// Reads the link after `line`, which has to fit its own hash.
    pub(super) fn of(line: &[u8]) -> Result<Link, &'static str> {
        let (body, tail) = line.split_at_checked(line.len().saturating_sub(TAIL_BYTES)).unwrap_or((&[], line));
        let hash = tail
            .strip_prefix(HASH_MEMBER.as_bytes())
            .and_then(|rest| rest.strip_suffix(b"\"}"))
            .ok_or("it does not end in a hash")?;
        let expected = hex(digest(&SHA256, body).as_ref());
        if expected.as_bytes() != hash {
            return Err("its hash is not that of its bytes");
        }
        let value: serde_json::Value = serde_json::from_slice(line).map_err(|_| "it is not JSON")?;
        let sequence = value.get("sequence").and_then(serde_json::Value::as_u64).ok_or("it has no sequence")?;
        Ok(Link { next: sequence.saturating_add(1), hash: expected })
    }
}

fn wire<'a>(link: &'a Link, record: &'a Record) -> Wire<'a> {
    Wire {
        sequence: link.next,
        previous: &link.hash,
        kind: match record.kind {
            RecordKind::Intent => "intent",
            RecordKind::Outcome => "outcome",
        },
        interaction: record.interaction.as_str(),
        received: record.received.to_string(),
        at: record.at.to_string(),
        operation: record.operation.as_ref().map(policies::id::OperationId::as_str),
        client: record.facts.client.as_ref().map(|client| client.id.as_str()),
        organisation: record.facts.client.as_ref().map(|client| client.organisation.id.as_str()),
        administrator: record.facts.administrator.as_ref().map(policies::id::AdminId::as_str),
        provider: record.facts.provider.as_ref().map(policies::id::ProviderId::as_str),
        steps: record.steps.iter().map(|step| WireStep { stage: step.stage, decision: step.decision }).collect(),
        amount: record.facts.amount.map(|amount| amount.to_string()),
        reference: record.reference.as_deref(),
        status: record.status,
        ending: match record.ending {
            Ending::Pending => "pending",
            Ending::Answered => "answered",
            Ending::Abandoned => "abandoned",
        },
        generation: record.generation,
    }
}

fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
