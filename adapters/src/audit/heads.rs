//! Signed tree heads: what the trail was at a moment, told so that nobody can take it back.
//!
//! `heads.jsonl` has one head a line, `{"head":"<JWS>"}`. A head counts itself and names the one before by its hash;
//! the trail notes each head behind it. So neither can lose its end without the other showing it. `keys.json` keeps the
//! public key of everybody who has signed, so that old heads can be checked when keys have changed.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use policies::jose::{CompactJws, SignError, VerifyingKey, encode, sha256};
use policies::merkle::Hash;
use policies::time::Timestamp;
use serde_json::{Value, json};

use super::folder::{append_to, broken, place, sync_dir};
use super::frame::{Link, TrailId, hex};
use crate::keys::{LiveKeyring, SigningKey};

/// The `typ` of a head.
pub const HEAD_TYPE: &str = "qaqpa-tree-head+jwt";

/// How long a trail that is written goes without a head.
pub const HEAD_EVERY: Duration = Duration::from_secs(60);

/// How old a record may be, beside the newest, before it has a head: twice as long as one goes without, so that a slow disk
/// or a clock that is put right is not taken for a forger.
pub(super) const UNCOVERED_MAX: Duration = HEAD_EVERY.saturating_mul(2);

/// The longest line of `heads.jsonl`, in bytes: an ES256 head has about 700.
pub(super) const LINE_BYTES_MAX: usize = 4096;

pub(super) const HEADS: &str = "heads.jsonl";
pub(super) const KEYS: &str = "keys.json";

/// Who signs tree heads.
pub trait HeadSigner: Send + Sync {
    /// Signs claims as a compact JWS with this `typ`; returns with it the public key of what it was signed with.
    ///
    /// # Errors
    /// [`SignError`] if the key is out of reach.
    fn sign(&self, typ: &str, claims: &Value) -> Result<(String, VerifyingKey), SignError>;

    /// Returns all keys of ours that the last head of a trail may be signed with when it is taken up.
    fn ours(&self) -> Vec<VerifyingKey>;
}

impl HeadSigner for SigningKey {
    fn sign(&self, typ: &str, claims: &Value) -> Result<(String, VerifyingKey), SignError> {
        Ok((encode(typ, claims, None, self)?, self.verifying_key().clone()))
    }

    fn ours(&self) -> Vec<VerifyingKey> {
        vec![self.verifying_key().clone()]
    }
}

impl HeadSigner for LiveKeyring {
    fn sign(&self, typ: &str, claims: &Value) -> Result<(String, VerifyingKey), SignError> {
        HeadSigner::sign(self.now().signer(), typ, claims)
    }

    // Not only those that are published: a trail may have rested for long when it is taken up.
    fn ours(&self) -> Vec<VerifyingKey> {
        self.now().known().iter().map(|known| known.key.clone()).collect()
    }
}

/// What a head says; its signature is another question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The JWS.
    pub signed: String,
    /// The trail.
    pub trail: String,
    /// Which head of the trail it is, from 1 on.
    pub number: u64,
    /// How many records there were.
    pub size: u64,
    /// The root of the tree over them, in hexadecimal.
    pub root: String,
    /// The hash of the chain up to and with the last of them, in hexadecimal.
    pub chain: String,
    /// SHA-256 of the JWS before, in hexadecimal; zeros for the first.
    pub previous: String,
    /// When it was signed.
    pub at: Timestamp,
    /// The id of the key it was signed with.
    pub kid: String,
}

impl Head {
    /// Reads a head; `None` if it is none. Its signature is not checked.
    #[must_use]
    pub fn parse(signed: &str) -> Option<Self> {
        let jws = CompactJws::parse(signed, LINE_BYTES_MAX).ok()?;
        if jws.typ() != Some(HEAD_TYPE) {
            return None;
        }
        let claims = jws.peek();
        let count = |name| claims.integer(name).ok().flatten().and_then(|number| u64::try_from(number).ok());
        let text = |name| claims.required_string(name).ok().map(str::to_owned);
        Some(Self {
            trail: text("iss")?,
            number: count("number")?,
            size: count("size")?,
            root: text("root")?,
            chain: text("chain")?,
            previous: text("previous")?,
            at: Timestamp::from_seconds(claims.integer("iat").ok().flatten()?),
            kid: jws.kid()?.to_owned(),
            signed: signed.to_owned(),
        })
    }

    /// Tells whether this key has signed it.
    #[must_use]
    pub fn is_signed_with(&self, key: &VerifyingKey) -> bool {
        CompactJws::parse(&self.signed, LINE_BYTES_MAX).is_ok_and(|jws| jws.verify_with(key).is_ok())
    }

    /// SHA-256 of the JWS.
    #[must_use]
    pub fn hash(&self) -> Hash {
        sha256(self.signed.as_bytes())
    }
}

/// Signs heads and remembers the last.
pub(super) struct Heads {
    dir: PathBuf,
    signer: Option<Arc<dyn HeadSigner>>,
    pub(super) last: Option<Head>,
    /// How many records the last head covers.
    pub(super) size: u64,
    /// When the last head was signed, or tried to be, or the trail was opened: by the wall clock, and by one that is never
    /// set back.
    at: (Timestamp, Instant),
    /// The last try failed.
    failed: bool,
    known: Option<String>,
    /// How long the file is up to its last whole line, after half a line could not be cut off.
    whole: Option<u64>,
}

impl Heads {
    /// Finds the last head; half a line at the end is cut off.
    pub(super) fn open(dir: &Path, signer: Option<Arc<dyn HeadSigner>>, now: Timestamp) -> Result<Self, io::Error> {
        let last = last(&dir.join(HEADS))?;
        let size = last.as_ref().map_or(0, |last| last.size);
        let at = (now, Instant::now());
        Ok(Self { dir: dir.to_owned(), signer, last, size, at, failed: false, known: None, whole: None })
    }

    /// The keys of ours; none if nobody signs.
    pub(super) fn ours(&self) -> Vec<VerifyingKey> {
        self.signer.as_ref().map(|signer| signer.ours()).unwrap_or_default()
    }

    /// Tells whether a head is to be signed because so much time has gone by.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        overdue(now.since(self.at.0), self.at.1.elapsed())
    }

    /// Tells whether the last try failed and is not to be repeated yet: each would cost a signature and a line in the log.
    pub(super) fn is_resting(&self, now: Timestamp) -> bool {
        self.failed && !self.is_due(now)
    }

    /// Tells whether heads are signed at all.
    pub(super) fn are_signed(&self) -> bool {
        self.signer.is_some()
    }

    /// Signs what the trail is now, which has to be durable, and writes it down.
    pub(super) fn sign(&mut self, trail: TrailId, link: &Link, now: Timestamp) -> Result<Head, io::Error> {
        let signed = self.signed(trail, link, now);
        (self.at, self.failed) = ((now, Instant::now()), signed.is_err());
        signed
    }

    fn signed(&mut self, trail: TrailId, link: &Link, now: Timestamp) -> Result<Head, io::Error> {
        let signer = self.signer.as_ref().ok_or_else(|| io::Error::other("nobody signs heads of this trail"))?;
        let (number, previous) = self.last.as_ref().map_or((1, [0; 32]), |last| (last.number + 1, last.hash()));
        let claims = json!({
            "iss": trail.to_string(),
            "number": number,
            "size": link.tree.size(),
            "root": hex(&link.tree.root()),
            "chain": hex(&link.chain),
            "previous": hex(&previous),
            "iat": now.seconds(),
        });
        let (signed, key) = signer.sign(HEAD_TYPE, &claims).map_err(io::Error::other)?;
        let kid = key.kid().unwrap_or_default().to_owned();
        // Before the head is written: none stands there whose key nobody knows.
        if self.known.as_ref() != Some(&kid) {
            begin(&self.dir)?;
            keep_key(&self.dir, &key)?;
            self.known = Some(kid);
        }
        let head = Head::parse(&signed).ok_or_else(|| io::Error::other("a head of our own cannot be read"))?;
        self.write_line(&line(&head))?;
        (self.last, self.size) = (Some(head.clone()), head.size);
        Ok(head)
    }

    fn write_line(&mut self, line: &str) -> Result<(), io::Error> {
        let mut file = append_to(&self.dir.join(HEADS))?;
        if let Some(whole) = self.whole {
            file.set_len(whole)?;
            self.whole = None;
        }
        let bytes = file.metadata()?.len();
        if let Err(error) = file.write_all(line.as_bytes()).and_then(|()| file.sync_all()) {
            // Half a line is cut off now, before the next, or when the trail is opened again.
            self.whole = file.set_len(bytes).is_err().then_some(bytes);
            return Err(error);
        }
        Ok(())
    }
}

impl fmt::Debug for Heads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heads").field("size", &self.size).finish_non_exhaustive()
    }
}

/// The line of `heads.jsonl` for a head: the one text that is accepted.
pub(super) fn line(head: &Head) -> String {
    format!("{{\"head\":\"{}\"}}\n", head.signed)
}

/// Reads the head of a line.
pub(super) fn unline(text: &str) -> Option<Head> {
    Head::parse(text.strip_prefix("{\"head\":\"")?.strip_suffix("\"}")?)
}

/// Reads the last head that was written; `None` if there is none yet.
pub(super) fn last(path: &Path) -> Result<Option<Head>, io::Error> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let bytes = file.metadata()?.len();
    file.seek(SeekFrom::Start(bytes.saturating_sub(2 * LINE_BYTES_MAX as u64)))?;
    let mut end = Vec::new();
    file.read_to_end(&mut end)?;
    let torn = end.len() - end.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    if torn > 0 && torn < LINE_BYTES_MAX {
        let file = fs::OpenOptions::new().write(true).open(path)?;
        file.set_len(bytes.saturating_sub(torn as u64))?;
        file.sync_all()?;
        end.truncate(end.len() - torn);
    }
    let Some(text) = end.strip_suffix(b"\n") else { return Ok(None) };
    let last = text.rsplit(|byte| *byte == b'\n').next().and_then(|line| std::str::from_utf8(line).ok());
    last.and_then(unline).map(Some).ok_or_else(|| broken(path, "its last line is no head"))
}

/// The public keys of all who have signed heads of this trail.
pub(super) fn keys(dir: &Path) -> Result<Vec<VerifyingKey>, io::Error> {
    let path = dir.join(KEYS);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let value: Value = serde_json::from_slice(&text).map_err(|_| broken(&path, "it is not JSON"))?;
    let listed = value.get("keys").and_then(Value::as_array).ok_or_else(|| broken(&path, "it lists no keys"))?;
    let keys = listed.iter().map(|jwk| VerifyingKey::from_jwk(jwk).ok()).collect::<Option<Vec<_>>>();
    let keys = keys.ok_or_else(|| broken(&path, "one of its keys is none"))?;
    // One text for one set of keys: whatever else stands there was put there by somebody.
    let named = keys.iter().all(|key| key.kid() == Some(key.thumbprint().as_str()));
    if !named || written(&keys).as_bytes() != text {
        return Err(broken(&path, "it was changed"));
    }
    Ok(keys)
}

fn written(keys: &[VerifyingKey]) -> String {
    format!("{}\n", json!({"keys": keys.iter().map(VerifyingKey::to_jwk).collect::<Vec<_>>()}))
}

fn keep_key(dir: &Path, key: &VerifyingKey) -> Result<(), io::Error> {
    let mut known = keys(dir)?;
    if known.iter().any(|one| one.kid() == key.kid()) {
        return Ok(());
    }
    known.push(key.clone());
    place(&dir.join(KEYS), written(&known).as_bytes())
}

/// Makes an empty file of heads, if there is none: keys never stand without it, whenever a crash comes.
fn begin(dir: &Path) -> Result<(), io::Error> {
    let path = dir.join(HEADS);
    if !path.exists() {
        append_to(&path)?.sync_all()?;
        sync_dir(dir)?;
    }
    Ok(())
}

/// Tells whether a head is due after so long, by the wall clock or by the other.
fn overdue(wall: Duration, steady: Duration) -> bool {
    wall >= HEAD_EVERY || steady >= HEAD_EVERY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_back_does_not_stop_heads() {
        let short = HEAD_EVERY - Duration::from_millis(1);
        assert!(!overdue(short, short));
        assert!(overdue(Duration::ZERO, HEAD_EVERY), "a clock set back tells that no time has gone by");
        assert!(overdue(HEAD_EVERY, Duration::ZERO));
    }
}
