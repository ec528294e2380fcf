//! What is written of a record: one JSON object, and the notes that the trail makes of itself.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use policies::audit::{Facts, Record};
use policies::details::Detail;
use policies::id::{ClientId, ConsentId, OperationId};
use policies::jose::base64url;
use policies::limit::{LimitKey, Mode, Values};
use policies::merkle::Hash;
use policies::rule::RuleName;
use policies::rulebook::{Client, OperationPolicy};
use policies::time::Timestamp;
use serde::{Serialize, Serializer};

use super::frame::hex;

/// Hashes the key of a limit, so that two records show the same caller without naming a key.
pub type LimitHash = Arc<dyn Fn(&[u8]) -> Hash + Send + Sync>;

/// For how many pairs of client and operation hashed keys are kept: some megabytes. Beyond, all are made anew.
const PAIRS_MAX: usize = 4096;

/// How much of a hashed key is written, in bytes: two keys in ten billion billion look the same.
const KEY_BYTES: usize = 16;

/// What the trail tells of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Note {
    /// This trail goes on from one of another form.
    Begin { file: String, sequence: u64, hash: String },
    /// So many records were lost before this one.
    Gap { lost: u64 },
    /// A head was signed: whoever takes it away later is found out.
    Head { number: u64, hash: Hash },
    /// Segments up to this one, and so records up to this one, are about to be let go.
    LetGo { segment: u64, sequence: u64 },
    /// When the trail was taken up, these records had gone without a head for longer than any may.
    Late { first: u64, last: u64 },
}

impl Note {
    pub(super) fn write(&self, at: Timestamp, out: &mut Vec<u8>) -> bool {
        let at = Shown(at);
        let wire = match self {
            Note::Begin { file, sequence, hash } => {
                NoteWire { before: Some(Before { file, sequence: *sequence, hash }), ..NoteWire::of(at, "begin") }
            }
            Note::Gap { lost } => NoteWire { lost: Some(*lost), ..NoteWire::of(at, "gap") },
            Note::Head { number, hash } => {
                NoteWire { number: Some(*number), hash: Some(hex(hash)), ..NoteWire::of(at, "head") }
            }
            Note::LetGo { segment, sequence } => {
                NoteWire { segment: Some(*segment), upto: Some(*sequence), ..NoteWire::of(at, "let_go") }
            }
            Note::Late { first, last } => {
                NoteWire { from: Some(*first), upto: Some(*last), ..NoteWire::of(at, "late") }
            }
        };
        serde_json::to_writer(out, &wire).is_ok()
    }
}

/// What a note says that a check of the trail has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Noted {
    /// A head was signed.
    Head {
        number: u64,
        /// In hexadecimal.
        hash: String,
    },
    /// Segments and records up to these are let go.
    LetGo { segment: u64, sequence: u64 },
    /// These records had no head in time.
    Late { first: u64, last: u64 },
}

/// Reads what a payload notes, if it is a note.
pub(super) fn noted(payload: &[u8]) -> Option<Noted> {
    let begin = payload.get(..SEARCHED.min(payload.len())).unwrap_or_default();
    MARKS.iter().any(|mark| begin.windows(mark.len()).any(|window| window == *mark)).then_some(())?;
    let value: serde_json::Value = serde_json::from_slice(payload).ok()?;
    let number = |name| value.get(name).and_then(serde_json::Value::as_u64);
    match value.get("kind")?.as_str()? {
        "head" => Some(Noted::Head { number: number("number")?, hash: value.get("hash")?.as_str()?.to_owned() }),
        "let_go" => Some(Noted::LetGo { segment: number("segment")?, sequence: number("upto")? }),
        "late" => Some(Noted::Late { first: number("from")?, last: number("upto")? }),
        _ => None,
    }
}

/// Reads the number and the hash of the head that a payload notes, if it notes one.
pub(super) fn noted_head(payload: &[u8]) -> Option<(u64, String)> {
    match noted(payload)? {
        Noted::Head { number, hash } => Some((number, hash)),
        _ => None,
    }
}

// The kind stands right behind the time.
const MARKS: [&[u8]; 3] = [b"\"kind\":\"head\"", b"\"kind\":\"let_go\"", b"\"kind\":\"late\""];
const SEARCHED: usize = 64;

#[derive(Serialize)]
struct NoteWire<'a> {
    at: Shown<Timestamp>,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Before<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    segment: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upto: Option<u64>,
}

impl NoteWire<'_> {
    fn of(at: Shown<Timestamp>, kind: &'static str) -> Self {
        Self { at, kind, before: None, lost: None, number: None, hash: None, segment: None, from: None, upto: None }
    }
}

#[derive(Serialize)]
struct Before<'a> {
    file: &'a str,
    sequence: u64,
    hash: &'a str,
}

/// What decides which limits a request is counted against.
type Pair = (ClientId, OperationId);

/// The limits of a pair, as long as its client and its policy are these very ones: a new generation has new ones.
type Known = (Arc<Client>, Option<Arc<OperationPolicy>>, Arc<[Limit]>);

/// Writes records; keeps what is dear to make of them.
pub(super) struct Scribe {
    hash: Option<LimitHash>,
    known: HashMap<Pair, Known>,
}

impl Scribe {
    pub(super) fn new(hash: Option<LimitHash>) -> Self {
        Self { hash, known: HashMap::new() }
    }

    /// Appends the JSON of a record; tells whether it could.
    pub(super) fn write(&mut self, record: &Record, out: &mut Vec<u8>) -> bool {
        let limits = self.limits(record);
        serde_json::to_writer(out, &wire(record, limits.as_deref())).is_ok()
    }

    /// The limits that the request was counted against: a function of its client and operation, or what was noted.
    fn limits(&mut self, record: &Record) -> Option<Arc<[Limit]>> {
        let hash = self.hash.as_ref()?;
        if let Some(counters) = &record.facts.counters {
            let limits = counters.iter().map(|counter| Limit::of(&counter.limit, &counter.key, hash));
            return (!counters.is_empty()).then(|| limits.collect());
        }
        let (client, operation) = (record.facts.client.as_ref()?, record.operation.as_ref()?);
        let policy = record.facts.policy.as_ref();
        let none = client.plan.limits.is_empty() && policy.is_none_or(|policy| policy.limits.is_empty());
        if none || !record.steps.iter().any(|step| step.stage == "meter") {
            return None;
        }
        let pair = (client.id.clone(), operation.clone());
        if let Some((same, policed, limits)) = self.known.get(&pair)
            && Arc::ptr_eq(same, client)
            && policed.as_ref().map(Arc::as_ptr) == policy.map(Arc::as_ptr)
        {
            return Some(Arc::clone(limits));
        }
        let limit = |limit: &policies::limit::Limit| {
            let key = LimitKey::of(
                limit,
                &Values {
                    client: Some(client.id.as_str()),
                    organisation: Some(client.organisation.id.as_str()),
                    operation: Some(operation.as_str()),
                    api: policy.map(|policy| policy.api.as_str()),
                    ..Values::default()
                },
            );
            Limit::of(&limit.id, &key, hash)
        };
        let own = policy.into_iter().flat_map(|policy| policy.limits_of(Some(client)));
        let counted = client.plan.limits.iter().chain(own).filter(|limit| limit.mode != Mode::Off);
        let limits: Arc<[Limit]> = counted.map(limit).collect();
        if self.known.len() >= PAIRS_MAX {
            self.known.clear();
        }
        self.known.insert(pair, (Arc::clone(client), policy.map(Arc::clone), Arc::clone(&limits)));
        Some(limits)
    }
}

impl fmt::Debug for Scribe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scribe").field("known", &self.known.len()).finish_non_exhaustive()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    at: Shown<Timestamp>,
    kind: &'static str,
    interaction: &'a str,
    received: Shown<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    organisation: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    roles: Option<Words<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes: Option<Shown<&'a policies::rulebook::ScopeSet>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_expires: Option<Shown<Timestamp>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consents: Option<Vec<Consent<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<&'a [Limit]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exhausted: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    also_exhausted: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<Rule<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reports: Option<Rules<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<Answer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    loosened: Option<Loosened<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    administrator: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'a str>,
    steps: Steps<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<Shown<std::net::IpAddr>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<Shown<policies::national::money::Money>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount_at: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<Identity<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    personal: Option<Personal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    ending: &'static str,
    generation: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    policies: Option<&'a str>,
}

/// A consent that the token carries, and whether the call was found to keep to it.
#[derive(Serialize)]
struct Consent<'a> {
    kind: &'static str,
    id: &'a str,
    kept: bool,
}

#[derive(Debug, Serialize)]
struct Limit {
    id: String,
    key: String,
}

impl Limit {
    fn of(id: &str, key: &LimitKey, hash: &LimitHash) -> Self {
        let key = hash(key.as_str().as_bytes());
        Self { id: id.to_owned(), key: base64url(key.get(..KEY_BYTES).unwrap_or_default()) }
    }
}

#[derive(Serialize)]
struct Step {
    stage: &'static str,
    decision: &'static str,
    micros: u32,
}

/// A rule that an administrator wrote.
#[derive(Serialize)]
struct Rule<'a> {
    kind: &'static str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<&'a str>,
    // Why it could not be judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
}

/// How an answer breaks the contract.
#[derive(Serialize)]
struct Answer {
    faults: u32,
    first: &'static str,
}

/// The override under which was decided.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Loosened<'a> {
    approved_by: &'a str,
    ends: Shown<Timestamp>,
    origin: &'a str,
}

#[derive(Serialize)]
struct Identity<'a> {
    verification: &'a str,
    acr: &'a str,
    expires: Shown<Timestamp>,
}

#[derive(Serialize)]
struct Personal {
    key: String,
    sealed: String,
}

fn wire<'a>(record: &'a Record, limits: Option<&'a [Limit]>) -> Wire<'a> {
    let facts: &Facts = &record.facts;
    let client = facts.client.as_ref();
    let token = facts.token.as_ref().map(|bound| bound.token());
    let citizen = token.and_then(|token| token.citizen());
    Wire {
        at: Shown(record.at),
        kind: record.kind.word(),
        interaction: record.interaction.as_str(),
        received: Shown(record.received),
        operation: record.operation.as_ref().map(OperationId::as_str),
        client: client.map(|client| client.id.as_str()),
        organisation: client.map(|client| client.organisation.id.as_str()),
        roles: client.map(|client| Words(&client.organisation.roles)),
        scopes: token.map(|token| Shown(token.scopes())),
        token_expires: token.map(|token| Shown(token.expires())),
        grant: citizen.map(|citizen| citizen.grant.as_str()),
        consents: citizen.map(|citizen| citizen.details.iter().map(|detail| consent(detail, &facts.granted)).collect()),
        limits,
        exhausted: facts.exhausted.as_deref(),
        also_exhausted: (!facts.also_exhausted.is_empty())
            .then(|| facts.also_exhausted.iter().map(AsRef::as_ref).collect()),
        rule: facts.refused_by.as_ref().map(|name| Rule { why: facts.not_judged.as_deref(), ..rule(name) }),
        reports: (!facts.reports.is_empty()).then_some(Rules(&facts.reports)),
        answer: facts.answer.map(|answer| Answer { faults: answer.count, first: answer.keyword }),
        loosened: facts.policy.as_ref().and_then(|policy| policy.loosened.as_ref()).map(|loosened| Loosened {
            approved_by: &loosened.approved_by,
            ends: Shown(loosened.ends),
            origin: &loosened.origin,
        }),
        administrator: facts.administrator.as_ref().map(policies::id::AdminId::as_str),
        provider: facts.provider.as_ref().map(policies::id::ProviderId::as_str),
        steps: Steps(&record.steps),
        peer: facts.peer.map(Shown),
        amount: facts.amount.map(Shown),
        amount_at: facts.amount_at.as_deref(),
        identity: facts.identity.as_ref().map(|identity| Identity {
            verification: identity.verification.as_str(),
            acr: &identity.acr,
            expires: Shown(identity.expires),
        }),
        personal: facts
            .personal
            .as_ref()
            .map(|personal| Personal { key: hex(&personal.key), sealed: base64url(&personal.sealed) }),
        reference: record.reference.as_deref(),
        status: record.status,
        ending: record.ending.word(),
        generation: record.generation,
        policies: facts.policies.as_deref(),
    }
}

fn consent<'a>(detail: &'a Detail, granted: &[ConsentId]) -> Consent<'a> {
    let id = detail.consent();
    Consent { kind: detail.kind().word(), id: id.as_str(), kept: granted.contains(id) }
}

/// Written as it shows itself, without a copy.
struct Shown<T>(T);

impl<T: fmt::Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

struct Words<'a>(&'a std::collections::BTreeSet<policies::rulebook::Role>);

impl Serialize for Words<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|role| role.word()))
    }
}

struct Rules<'a>(&'a [RuleName]);

impl Serialize for Rules<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(rule))
    }
}

fn rule(name: &RuleName) -> Rule<'_> {
    Rule { kind: name.kind.word(), name: &name.name, origin: name.origin.as_deref(), why: None }
}

struct Steps<'a>(&'a [policies::audit::Step]);

impl Serialize for Steps<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let step =
            |step: &policies::audit::Step| Step { stage: step.stage, decision: step.decision, micros: step.micros };
        serializer.collect_seq(self.0.iter().map(step))
    }
}
