//! The ports of the stores: what every store promises, whatever stands behind it.
//!
//! Each call is atomic and safe to drop at any await: what it did then stands, and a claim it took is a lease that ends.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use policies::change::Entry;
use policies::code::Outage;
use policies::event::{Event, NewEvent};
use policies::id::{ClientId, IdempotencyKey, OperationId, OrganisationId, ProviderId, VerificationId};
use policies::once::{EarlierClaim, StoredReply};
use policies::revocation::Revoked;
use policies::settle::{Fate, Settlement, Undecided};
use policies::time::Timestamp;
use policies::verification::{State, Verification};

/// What a port gives back: boxed, so that a port can be a trait object.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Outage>> + Send + 'a>>;

/// How long a store remembers that a single-use thing was spent.
///
/// An identity result may be shown for five minutes and a claim is kept for a day: forgotten within that time, a thing
/// could be spent twice.
pub const SPENDS_KEPT: Duration = Duration::from_secs(7 * 86_400);

/// How long a store remembers a verification after nobody needs to come any more.
///
/// Long enough for questions of the person and the client; what must last longer stands in the audit trail.
pub const VERIFICATIONS_KEPT: Duration = Duration::from_secs(30 * 86_400);

/// Remembers what may be shown once: proofs, assertions, callbacks.
pub trait Replays: Send + Sync {
    /// Remembers `key` until `keep_until`; `true` if it was not remembered at `now`.
    ///
    /// Of any number of calls at once with one key, one gets `true`, whoever the owners are. A store that is full, or
    /// cannot tell, gives an outage, never `true`. A store whose room is bounded gives no owner more than its share:
    /// whoever is beyond it gets an outage, alone, until keys of theirs are over. `owner` is whoever is proven to ask.
    fn claim<'a>(&'a self, owner: &'a str, key: [u8; 32], keep_until: Timestamp, now: Timestamp) -> Answer<'a, bool>;
}

/// A wish to do something once.
#[derive(Debug, Clone)]
pub struct NewClaim {
    /// The client, the operation and the key the client chose.
    pub key: IdempotencyKey,
    /// Whose client it is.
    pub organisation: OrganisationId,
    /// SHA-256 over path, query and canonical body.
    pub digest: [u8; 32],
    /// Under which reference the backend will know the deed, should this be the first claim.
    pub reference: String,
    /// How long the deed may take; then another request with the same body may take the claim over.
    pub lease: Duration,
    /// How long the claim, or its answer, is kept.
    pub keep: Duration,
    /// Whether a backend can be asked what became of the deed: then an unfinished claim becomes undecided.
    pub settles: bool,
}

/// The right to do a claimed deed, made only by a store.
#[derive(Debug, Clone)]
pub struct ClaimTicket {
    pub(crate) key: IdempotencyKey,
    pub(crate) digest: [u8; 32],
    pub(crate) reference: String,
    /// Tells this holder from one that took the claim over after the lease.
    pub(crate) token: [u8; 16],
    pub(crate) in_doubt: bool,
}

impl ClaimTicket {
    /// Returns the key that is claimed.
    #[must_use]
    pub fn key(&self) -> &IdempotencyKey {
        &self.key
    }

    /// Returns the reference of the deed: that of the first claim, also after it was taken over.
    #[must_use]
    pub fn reference(&self) -> &str {
        &self.reference
    }

    /// Tells whether an earlier holder may have done the deed, and a backend can be asked whether it has.
    #[must_use]
    pub fn in_doubt(&self) -> bool {
        self.in_doubt
    }
}

/// What became of a wish to claim.
#[derive(Debug)]
pub enum ClaimAnswer {
    /// The caller may do the deed.
    Taken(ClaimTicket),
    /// Another request came earlier.
    Earlier(EarlierClaim),
}

/// Remembers what clients asked to be done once, and what was answered.
pub trait Claims: Send + Sync {
    /// Claims a key.
    ///
    /// A claim whose `keep` is over is as if it had never been. One that is neither answered nor within its lease, be
    /// that over or given back, is taken over if the digest is the same, and keeps the reference it first had.
    fn claim(&self, claim: NewClaim, now: Timestamp) -> Answer<'_, ClaimAnswer>;

    /// Spends single-use things for a claimed deed, all or none; `false` if another claim spent one of them before.
    ///
    /// What the same key and digest spent before counts as unspent, as long as the claim is the same: a deed that is tried
    /// again goes on under its reference, and may spend it again. A claim that was forgotten since is another one, and its
    /// deed would be a second one.
    /// A ticket that was taken over gives an outage.
    fn clear<'a>(&'a self, ticket: &'a ClaimTicket, spends: &'a [String], now: Timestamp) -> Answer<'a, bool>;

    /// Tells whether a single-use thing was spent.
    fn spent<'a>(&'a self, thing: &'a str, now: Timestamp) -> Answer<'a, bool>;

    /// Keeps the answer of the deed, and what the client is to be told of it; an outage if the claim was taken over.
    ///
    /// Also after [`Settlement::NotReceived`], unless somebody took the claim over since: clocks differ, and who was sending
    /// it knows more than who asked for it.
    fn finish<'a>(&'a self, ticket: &'a ClaimTicket, finish: Finish, now: Timestamp) -> Answer<'a, ()>;

    /// Gives the claim back: its lease ends at `now`, and this ticket can do nothing more.
    ///
    /// Digest, reference and spends stay for the rest of `keep`: an earlier holder may have reached the backend and lost
    /// the answer, and under another reference the same key would do the deed twice. So the same digest takes the claim
    /// over as after any lease, under the first reference; another finds it in its way. Does nothing if the claim is
    /// answered or was taken over. The holder vouches that it has sent nothing: the claim becomes undecided only if it
    /// was taken over from a holder that gave no such word.
    fn release<'a>(&'a self, ticket: &'a ClaimTicket, now: Timestamp) -> Answer<'a, ()>;

    /// Takes up to `most` undecided claims that are due at `now`, the longest due first.
    ///
    /// A claim that `settles` is undecided from [`Finish::Unknown`] on, or when its lease has ended without an answer or
    /// a release; until then it is not due. An undecided claim outlasts its `keep`. Those taken are not due again before
    /// `lease` is over, so that two replicas do not ask for the same.
    fn undecided(&self, most: usize, lease: Duration, now: Timestamp) -> Answer<'_, Vec<Undecided>>;

    /// Settles an undecided claim and appends `event`, both or neither; `false` if it is not undecided (any more), or a
    /// repetition has taken it over and holds its lease. From any settlement but [`Settlement::AskAgain`] on, the claim is
    /// kept for its `keep` once more.
    fn settle<'a>(
        &'a self,
        undecided: &'a Undecided,
        settlement: Settlement,
        event: Option<NewEvent>,
        now: Timestamp,
    ) -> Answer<'a, bool>;

    /// Tells how the deed that `client` asked of `operation` stands under `reference`; none if there is no such claim.
    fn fate<'a>(
        &'a self,
        client: &'a ClientId,
        operation: &'a OperationId,
        reference: &'a str,
        now: Timestamp,
    ) -> Answer<'a, Option<Fate>>;
}

/// How a claimed deed has ended for its caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finish {
    /// With an answer that is final.
    Answered(StoredReply),
    /// With an answer that says the outcome is unknown; the claim is undecided from now on, and the event is appended.
    Unknown(StoredReply, NewEvent),
}

/// Remembers identity verifications.
pub trait Verifications: Send + Sync {
    /// Remembers a new one; an outage if its id, or its provider's session, is there already.
    fn insert(&self, verification: Verification) -> Answer<'_, ()>;

    /// Finds one by its id.
    fn get<'a>(&'a self, id: &'a VerificationId) -> Answer<'a, Option<Verification>>;

    /// Finds the one that a provider's session belongs to.
    fn by_session<'a>(&'a self, provider: &'a ProviderId, session: &'a str) -> Answer<'a, Option<Verification>>;

    /// Puts `verification` in place of the one with its id, if that one's stored state is `expected`, and appends `event`,
    /// both or neither; `false` if the state is another.
    fn replace<'a>(
        &'a self,
        verification: &'a Verification,
        expected: State,
        event: Option<NewEvent>,
    ) -> Answer<'a, bool>;
}

/// Remembers what clients are to be told, in the order in which it happened to each.
///
/// Events come in by the calls that change what they tell of ([`Claims::finish`], [`Claims::settle`],
/// [`Verifications::replace`]), in the same transaction. An event is kept for [`EVENTS_KEPT`], told or not.
pub trait Outbox: Send + Sync {
    /// Gives up to `most` events of `client` whose position is beyond `after`, in order.
    fn after<'a>(&'a self, client: &'a ClientId, after: u64, most: usize) -> Answer<'a, Vec<Event>>;

    /// Takes up to `most` events of one of `clients` that are due for delivery at `now`, and counts the attempt.
    ///
    /// Due is what was neither delivered nor parked, whose time has come, and before which no event of the same client
    /// and subject is undelivered and not parked. Those taken are not due again before `lease` is over.
    /// The `attempts` of what is given count this one.
    fn due<'a>(
        &'a self,
        clients: &'a [ClientId],
        most: usize,
        lease: Duration,
        now: Timestamp,
    ) -> Answer<'a, Vec<Event>>;

    /// Writes down what became of an attempt; does nothing if the event was delivered before.
    fn told<'a>(&'a self, client: &'a ClientId, position: u64, telling: Telling) -> Answer<'a, ()>;

    /// Makes every event of `client` beyond `after` due again at `now`, with no attempts counted; tells how many.
    fn redeliver<'a>(&'a self, client: &'a ClientId, after: u64, now: Timestamp) -> Answer<'a, u64>;

    /// Tells how many events of `clients` are neither delivered nor parked.
    fn waiting<'a>(&'a self, clients: &'a [ClientId]) -> Answer<'a, u64>;
}

/// What became of an attempt to deliver an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Telling {
    /// The endpoint took it.
    Delivered,
    /// It did not; to be tried again then.
    Again(Timestamp),
    /// It did not, and nobody tries again by themselves; the feed still has it.
    Parked,
}

/// How long a store keeps an event: as long as Standard Webhooks' schedule of attempts several times over, and long
/// enough for a client to find out by the feed what it missed.
pub const EVENTS_KEPT: Duration = Duration::from_secs(30 * 86_400);

/// Remembers the keys under which personal data is sealed, one per person; destroying it destroys the data.
pub trait SubjectKeys: Send + Sync {
    /// Gives the key of the person with this keyed hash; if there is none, `fresh` becomes it.
    fn obtain<'a>(&'a self, subject: [u8; 32], fresh: SubjectKey, now: Timestamp) -> Answer<'a, SubjectKey>;

    /// Finds a key by its id; none if it was destroyed.
    fn find<'a>(&'a self, id: [u8; 16]) -> Answer<'a, Option<SubjectKey>>;

    /// Destroys the key of a person and overwrites where it stood; tells its id, or none if there was no key.
    ///
    /// Once it has told the id nobody is given the key any more. Where somebody reads the store just then, as a backup
    /// does, its old bytes are gone from the files as soon as they have ended. An outage if it was not destroyed, or if the
    /// store did not answer in time and nobody knows.
    fn destroy<'a>(&'a self, subject: [u8; 32]) -> Answer<'a, Option<[u8; 16]>>;
}

/// The key of one person, wrapped under the data key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectKey {
    /// Its random id.
    pub id: [u8; 16],
    /// The wrapped key; of no use to the store.
    pub wrapped: Vec<u8>,
}

/// Remembers every policy set that was in force, so that a decision can be judged again.
pub trait Generations: Send + Sync {
    /// Enters a policy set and gives the number of its generation.
    ///
    /// That is the newest number if the newest has this `digest`, else the next one, from 1 on. `bundle` is the set's text.
    fn enter<'a>(&'a self, digest: [u8; 32], bundle: &'a [u8], now: Timestamp) -> Answer<'a, u64>;

    /// Finds the text of a generation.
    fn bundle(&self, number: u64) -> Answer<'_, Option<Vec<u8>>>;
}

/// How many entries of changes are read at once.
pub const CHANGES_READ: usize = 1000;

/// Remembers what administrators did to the policy set; nothing of it is ever changed or removed.
pub trait Changes: Send + Sync {
    /// Adds an entry, with the texts of the set if it is a proposal; `false` if it is not the next one.
    fn add_change<'a>(&'a self, entry: &'a Entry, texts: &'a [u8]) -> Answer<'a, bool>;

    /// Reads the entries after a number, at most [`CHANGES_READ`], in their order.
    fn changes_after(&self, number: u64) -> Answer<'_, Vec<Entry>>;

    /// Finds the texts of a proposal.
    fn proposed_texts(&self, number: u64) -> Answer<'_, Option<Vec<u8>>>;
}

/// What an item of [`Authorizations`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ItemKind {
    /// A pushed authorization request, under SHA-256 of its `request_uri`.
    Pushed,
    /// A citizen's way through the authorization page, under SHA-256 of its cookie.
    Login,
    /// An authorization code, under its SHA-256.
    Code,
    /// A refresh token, under its SHA-256.
    Refresh,
    /// A grant, under SHA-256 of its id.
    Grant,
    /// A consent, under SHA-256 of its id.
    Consent,
}

impl ItemKind {
    /// Returns the word that stores write for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            ItemKind::Pushed => "pushed",
            ItemKind::Login => "login",
            ItemKind::Code => "code",
            ItemKind::Refresh => "refresh",
            ItemKind::Grant => "grant",
            ItemKind::Consent => "consent",
        }
    }

    /// Reads a word that a store has written.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Pushed, Self::Login, Self::Code, Self::Refresh, Self::Grant, Self::Consent]
            .into_iter()
            .find(|kind| kind.word() == word)
    }
}

/// Something that the authorization server remembers; what is in it is no business of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What it is.
    pub kind: ItemKind,
    /// Under which name.
    pub key: [u8; 32],
    /// Whose it is, by a keyed hash, for [`Authorizations::of_owner`]; none if nobody lists it.
    pub owner: Option<[u8; 32]>,
    /// From when on a store may forget it.
    pub keep_until: Timestamp,
    /// What is remembered; at most [`ITEM_BYTES_MAX`], and a little more once it is sealed.
    pub body: Vec<u8>,
}

/// The longest body of an item, in bytes: a pushed request with its details has at most half of it.
pub const ITEM_BYTES_MAX: usize = 64 * 1024;

/// How much longer a body may be where it rests, in bytes: more than sealing adds to it.
pub const ITEM_SEAL_MAX: usize = 256;

/// The most items that one owner is listed.
pub const ITEMS_LISTED: usize = 500;

/// How many revocations are read at once.
pub const REVOKED_READ: usize = 1000;

/// One step of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Adds an item; there is none under its kind and key.
    Add(Item),
    /// Puts an item in place of the one under its kind and key, if that one has this version.
    Replace(Item, u64),
}

impl Step {
    /// Returns the item that is to be there.
    #[must_use]
    pub const fn item(&self) -> &Item {
        match self {
            Step::Add(item) | Step::Replace(item, _) => item,
        }
    }
}

/// Tells whether the body of a step is longer than a store keeps.
pub(super) fn too_long(step: &Step) -> bool {
    step.item().body.len() > ITEM_BYTES_MAX + ITEM_SEAL_MAX
}

/// Remembers what the authorization server gives out: requests, codes, grants, consents, and what was taken back.
pub trait Authorizations: Send + Sync {
    /// Finds an item, with its version: 1 when it is added, one more at each replacement.
    fn item<'a>(&'a self, kind: ItemKind, key: &'a [u8; 32]) -> Answer<'a, Option<(Item, u64)>>;

    /// Takes all steps and remembers what is revoked, all or nothing; `false` if a step does not fit what is there.
    ///
    /// Of any number of calls at once that replace one version, one gets `true`.
    fn change_items<'a>(&'a self, steps: &'a [Step], revoked: &'a [Revoked], now: Timestamp) -> Answer<'a, bool>;

    /// Gives the items of an owner, at most [`ITEMS_LISTED`], the last added first.
    fn of_owner<'a>(&'a self, kind: ItemKind, owner: &'a [u8; 32]) -> Answer<'a, Vec<(Item, u64)>>;

    /// Gives what was revoked beyond a position, at most [`REVOKED_READ`], in the order of their positions.
    ///
    /// Whoever goes on from the last position it was given misses nothing: a position is visible only when all before it
    /// are. What is over at `now` may be left out.
    fn revoked_after(&self, position: u64, now: Timestamp) -> Answer<'_, Vec<(u64, Revoked)>>;
}

/// All that must last, behind one value.
pub trait Durable: Claims + Verifications + Outbox + SubjectKeys + Generations + Changes + Authorizations {
    /// Tells whether the store works now.
    fn probe(&self) -> Answer<'_, ()>;
}
