//! What clients are to be told, in memory: per client a list in order.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use policies::code::Outage;
use policies::event::{Event, NewEvent};
use policies::id::ClientId;
use policies::time::Timestamp;

use super::super::port::{EVENTS_KEPT, Telling};

/// The events of every client.
#[derive(Debug, Default)]
pub(super) struct Events(HashMap<ClientId, Queue>);

#[derive(Debug, Default)]
struct Queue {
    last: u64,
    entries: BTreeMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    event: NewEvent,
    attempts: u32,
    state: Delivery,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Delivery {
    Waiting(Timestamp),
    Delivered,
    Parked,
}

impl Events {
    /// Forgets what is too old if there are `most` events, and tells if that makes no room for one more.
    pub(super) fn make_room(&mut self, most: usize, now: Timestamp) -> Result<(), Outage> {
        let count = |queues: &HashMap<ClientId, Queue>| queues.values().map(|queue| queue.entries.len()).sum::<usize>();
        if count(&self.0) >= most {
            for queue in self.0.values_mut() {
                queue.entries.retain(|_, entry| now < entry.event.at + EVENTS_KEPT);
            }
        }
        if count(&self.0) >= most {
            return Err(Outage::new("outbox", "as many events are kept as may be"));
        }
        Ok(())
    }

    /// Numbers an event and keeps it.
    pub(super) fn append(&mut self, event: NewEvent) {
        let queue = self.0.entry(event.client.clone()).or_default();
        queue.last += 1;
        let state = Delivery::Waiting(event.at);
        queue.entries.insert(queue.last, Entry { event, attempts: 0, state });
    }

    /// Gives events beyond a position, in order.
    pub(super) fn after(&self, client: &ClientId, after: u64, most: usize) -> Vec<Event> {
        let Some(queue) = self.0.get(client) else { return Vec::new() };
        let beyond = queue.entries.range(after.saturating_add(1)..).take(most);
        beyond.map(|(position, entry)| entry.told_as(*position)).collect()
    }

    /// Takes what is due.
    pub(super) fn due(&mut self, clients: &[ClientId], most: usize, lease: Duration, now: Timestamp) -> Vec<Event> {
        let mut found = Vec::new();
        for client in clients.iter().collect::<HashSet<_>>() {
            let Some(queue) = self.0.get(client) else { continue };
            let mut before = HashSet::new();
            for (position, entry) in &queue.entries {
                let Delivery::Waiting(at) = entry.state else { continue };
                // Whatever else waits of this subject waits for this one.
                if before.insert(&entry.event.subject) && at <= now {
                    found.push((at, client.clone(), *position));
                }
            }
        }
        found.sort();
        found.truncate(most);
        let take = |(_, client, position): (Timestamp, ClientId, u64)| {
            let entry = self.0.get_mut(&client)?.entries.get_mut(&position)?;
            entry.attempts = entry.attempts.saturating_add(1);
            entry.state = Delivery::Waiting(now + lease);
            Some(entry.told_as(position))
        };
        found.into_iter().filter_map(take).collect()
    }

    /// Writes down what became of an attempt.
    pub(super) fn told(&mut self, client: &ClientId, position: u64, telling: Telling) {
        let entry = self.0.get_mut(client).and_then(|queue| queue.entries.get_mut(&position));
        if let Some(entry) = entry.filter(|entry| entry.state != Delivery::Delivered) {
            entry.state = match telling {
                Telling::Delivered => Delivery::Delivered,
                Telling::Again(at) => Delivery::Waiting(at),
                Telling::Parked => Delivery::Parked,
            };
        }
    }

    /// Makes events due again.
    pub(super) fn redeliver(&mut self, client: &ClientId, after: u64, now: Timestamp) -> u64 {
        let Some(queue) = self.0.get_mut(client) else { return 0 };
        let mut count = 0;
        for (_, entry) in queue.entries.range_mut(after.saturating_add(1)..) {
            entry.attempts = 0;
            entry.state = Delivery::Waiting(now);
            count += 1;
        }
        count
    }

    /// Counts what waits.
    pub(super) fn waiting(&self, clients: &[ClientId]) -> u64 {
        let queues = clients.iter().collect::<HashSet<_>>().into_iter().filter_map(|client| self.0.get(client));
        let entries = queues.flat_map(|queue| queue.entries.values());
        entries.filter(|entry| matches!(entry.state, Delivery::Waiting(_))).count() as u64
    }
}

impl Entry {
    fn told_as(&self, position: u64) -> Event {
        Event { position, event: self.event.clone(), attempts: self.attempts }
    }
}
