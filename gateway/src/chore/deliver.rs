//! Posts events to the endpoints of the clients they belong to, signed, until each took them or its schedule is over.
//!
//! What is due comes from the store and what became of it goes there: a crash between the two has the event posted again
//! under the same name. One endpoint has one batch under way at a time and the others do not wait for it, so that a dead
//! one holds up nobody but itself. Must not know what an event says.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use adapters::entropy;
use adapters::http::courier::{Courier, Receipt};
use adapters::store::port::Telling;
use arc_swap::ArcSwap;
use bytes::Bytes;
use policies::code::Outage;
use policies::delivery::{self, Heard, SigningSecret, Verdict, judge, sign};
use policies::event::{Event, EventKind, MEDIA_TYPE};
use policies::id::ClientId;
use policies::network::Endpoint;
use policies::rulebook::Webhook;
use policies::time::Timestamp;
use tokio::sync::Semaphore;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;

use super::{Chore, Round};
use crate::generation::Generation;
use crate::house::House;
use crate::secrets;
use crate::stack::Stack;

/// How many events are taken from the store at once.
pub const EVENTS_MAX: usize = 32;

/// How many of them are on their way to one endpoint at once.
pub const PER_ENDPOINT_MAX: usize = 8;

/// How many endpoints have events under way at once: with [`PER_ENDPOINT_MAX`] this bounds connections and memory.
pub const ENDPOINTS_MAX: usize = 64;

/// How long a taken event is nobody else's: a batch to an endpoint that never answers takes a minute
/// ([`EVENTS_MAX`] / [`PER_ENDPOINT_MAX`] attempts one after another), and then it has to be written down.
pub const LEASE: Duration = Duration::from_secs(90);

/// How long a round goes on while events are under way: less than a stopping gateway waits.
const ROUND_MAX: Duration = Duration::from_millis(1500);

/// How often a round looks for what has come up meanwhile.
const LOOK: Duration = Duration::from_millis(250);

/// How long what secrets say is believed: a file that was replaced counts a minute later, without a reload.
pub const SECRETS_MAX_AGE: Duration = Duration::from_secs(60);

/// The chore.
#[derive(Debug)]
pub struct Deliver {
    house: Arc<House>,
    stack: Arc<ArcSwap<Stack>>,
    courier: Arc<ArcSwap<Courier>>,
    targets: Option<Targets>,
    under_way: JoinSet<()>,
    // Whose events the tasks carry.
    busy: HashMap<Id, ClientId>,
}

/// The endpoints of a generation.
#[derive(Debug)]
struct Targets {
    generation: Arc<Generation>,
    // How many reloads there were: secrets that were replaced count from the next one on.
    reloads: u64,
    read: Timestamp,
    by_client: Arc<HashMap<ClientId, Arc<Target>>>,
}

#[derive(Debug)]
struct Target {
    url: Endpoint,
    secrets: Vec<SigningSecret>,
    events: BTreeSet<EventKind>,
    places: Semaphore,
}

impl Deliver {
    /// Makes the chore; `courier` goes where the operator allows, and believes whom the operator trusts.
    #[must_use]
    pub fn new(house: &Arc<House>, stack: &Arc<ArcSwap<Stack>>, courier: Arc<ArcSwap<Courier>>) -> Self {
        let (house, stack) = (Arc::clone(house), Arc::clone(stack));
        Self { house, stack, courier, targets: None, under_way: JoinSet::new(), busy: HashMap::new() }
    }

    async fn once_round(&mut self) -> Result<usize, Outage> {
        let end = Instant::now() + ROUND_MAX;
        let mut taken = self.begin().await?;
        while !self.under_way.is_empty() && Instant::now() < end {
            let look = (Instant::now() + LOOK).min(end);
            // An endpoint that is done may have more, and the next event of a subject may have become due.
            if let Ok(Some(ended)) = tokio::time::timeout_at(look, self.under_way.join_next_with_id()).await {
                self.end(ended);
            }
            taken += self.begin().await?;
        }
        Ok(taken)
    }

    /// Takes what is due and sends it on its way; tells how much that was.
    async fn begin(&mut self) -> Result<usize, Outage> {
        while let Some(ended) = self.under_way.try_join_next_with_id() {
            self.end(ended);
        }
        let now = self.house.clock.now();
        let targets = Arc::clone(&self.targets(now).by_client);
        let courier = Courier::clone(&self.courier.load());
        let busy: HashSet<&ClientId> = self.busy.values().collect();
        let room = ENDPOINTS_MAX.saturating_sub(busy.len()).min(EVENTS_MAX);
        let idle: Vec<ClientId> = targets.keys().filter(|client| !busy.contains(client)).cloned().collect();
        if room == 0 || idle.is_empty() {
            return Ok(0);
        }
        let events = self.house.outbox.due(&idle, room, LEASE, now).await?;
        let taken = events.len();
        for event in events {
            let client = event.event.client.clone();
            let Some(target) = targets.get(&client) else { continue };
            let (house, courier, target) = (Arc::clone(&self.house), courier.clone(), Arc::clone(target));
            let task = self.under_way.spawn(async move { attempt(&house, &courier, &target, &event).await });
            self.busy.insert(task.id(), client);
        }
        Ok(taken)
    }

    fn end(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = match ended {
            Ok((id, ())) => id,
            Err(error) => {
                // The event is due again when its lease is over.
                tracing::error!("an attempt to deliver an event ended by a defect: {error}");
                error.id()
            }
        };
        self.busy.remove(&id);
    }

    fn targets(&mut self, now: Timestamp) -> &Targets {
        let stack = self.stack.load();
        let generation = stack.generation();
        let reloads = self.house.desk.reloads();
        let old = self.targets.take();
        let fresh = |known: &Targets| {
            let same = Arc::ptr_eq(&known.generation, generation) && known.reloads == reloads;
            same && now >= known.read && now < known.read + SECRETS_MAX_AGE
        };
        let renewed = match old {
            Some(known) if fresh(&known) => known,
            _ => {
                let by_client = Arc::new(targets(generation, now));
                Targets { generation: Arc::clone(generation), reloads, read: now, by_client }
            }
        };
        self.targets.insert(renewed)
    }
}

impl Chore for Deliver {
    fn name(&self) -> &'static str {
        "deliver events"
    }

    fn round(&mut self) -> Round<'_> {
        Box::pin(self.once_round())
    }
}

fn targets(generation: &Generation, now: Timestamp) -> HashMap<ClientId, Arc<Target>> {
    let mut found = HashMap::new();
    for client in generation.rulebook.clients.values() {
        let Some(webhook) = delivery::endpoint(client, now) else { continue };
        match signing_secrets(webhook) {
            Ok(secrets) => {
                let (url, events) = (webhook.url.clone(), webhook.events.clone());
                let places = Semaphore::new(PER_ENDPOINT_MAX);
                found.insert(client.id.clone(), Arc::new(Target { url, secrets, events, places }));
            }
            // Nothing is lost meanwhile: its events wait in the store.
            Err(cause) => {
                tracing::error!(client.id = %client.id, "no event is posted to client {} ({}): {cause}", client.id, webhook.origin);
            }
        }
    }
    found
}

fn signing_secrets(webhook: &Webhook) -> Result<Vec<SigningSecret>, String> {
    let read = |reference| {
        let text = secrets::read_text(reference)?;
        SigningSecret::parse(text.expose()).map_err(|error| error.to_string())
    };
    webhook.secrets.iter().map(read).collect()
}

async fn attempt(house: &House, courier: &Courier, target: &Target, event: &Event) {
    // Nobody closes it.
    let Ok(_place) = target.places.acquire().await else { return };
    let told = if target.events.contains(&event.event.kind) {
        post(house, courier, target, event).await
    } else {
        // Not asked for: the feed has it.
        Telling::Parked
    };
    let (client, id) = (&event.event.client, event.event.id.as_str());
    if let Err(outage) = house.outbox.told(&event.event.client, event.position, told).await {
        tracing::warn!(client.id = %client, event.id = %id, "what became of event {id} is not written down, it will be posted again: {outage}");
    }
}

async fn post(house: &House, courier: &Courier, target: &Target, event: &Event) -> Telling {
    let (client, id) = (&event.event.client, event.event.id.as_str());
    let body = event.to_cloud_event(&house.issuer).to_string();
    let Some(signed) = sign(&target.secrets, id, body.as_bytes(), house.clock.now()) else {
        tracing::error!(client.id = %client, event.id = %id, "event {id} cannot be signed");
        return Telling::Parked;
    };
    let answered = courier.post(&target.url, MEDIA_TYPE, &signed, Bytes::from(body)).await;
    let (heard, cause) = match &answered {
        Ok(Receipt { status, retry_after }) => {
            (Heard::Answer { status: *status, retry_after: retry_after.as_deref() }, format!("it answered {status}"))
        }
        Err(outage) => (Heard::Nothing, outage.cause.clone()),
    };
    let [jitter] = entropy::random::<1>();
    let origin = target.url.origin();
    match judge(heard, event.attempts, jitter, house.clock.now()) {
        Verdict::Delivered => {
            tracing::debug!(client.id = %client, event.id = %id, "event {id} was taken by {origin}");
            house.metrics.delivered("taken");
            Telling::Delivered
        }
        Verdict::Again(at) => {
            tracing::info!(client.id = %client, event.id = %id, "event {id} was not taken by {origin}, again at {at}: {cause}");
            house.metrics.delivered("again");
            Telling::Again(at)
        }
        Verdict::Parked => {
            tracing::warn!(client.id = %client, event.id = %id, "event {id} was not taken by {origin} and is not posted again: {cause}");
            house.metrics.delivered("parked");
            Telling::Parked
        }
    }
}
