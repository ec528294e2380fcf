//! What the authorization server remembers, in memory.

use std::collections::HashMap;

use policies::code::Outage;
use policies::revocation::Revoked;
use policies::time::Timestamp;

use super::super::port::{ITEMS_LISTED, Item, ItemKind, REVOKED_READ, Step, too_long};

type Name = (ItemKind, [u8; 32]);

/// Items and what was taken back.
#[derive(Debug, Default)]
pub(super) struct Items {
    kept: HashMap<Name, Kept>,
    added: u64,
    revoked: Vec<(u64, Revoked)>,
    position: u64,
}

#[derive(Debug, Clone)]
struct Kept {
    item: Item,
    version: u64,
    number: u64,
}

impl Items {
    /// Finds an item.
    pub(super) fn find(&self, kind: ItemKind, key: [u8; 32]) -> Option<(Item, u64)> {
        self.kept.get(&(kind, key)).map(|kept| (kept.item.clone(), kept.version))
    }

    /// Gives the items of an owner.
    pub(super) fn of_owner(&self, kind: ItemKind, owner: [u8; 32]) -> Vec<(Item, u64)> {
        let theirs = |kept: &&Kept| kept.item.kind == kind && kept.item.owner == Some(owner);
        let mut found: Vec<_> = self.kept.values().filter(theirs).collect();
        found.sort_by_key(|kept| std::cmp::Reverse(kept.number));
        found.into_iter().take(ITEMS_LISTED).map(|kept| (kept.item.clone(), kept.version)).collect()
    }

    /// Gives what was revoked beyond a position.
    pub(super) fn revoked_after(&self, position: u64, now: Timestamp) -> Vec<(u64, Revoked)> {
        let wanted = |(at, revoked): &&(u64, Revoked)| *at > position && now < revoked.until;
        self.revoked.iter().filter(wanted).take(REVOKED_READ).copied().collect()
    }

    /// Takes all steps, or none.
    pub(super) fn change(
        &mut self,
        steps: &[Step],
        revoked: &[Revoked],
        max: usize,
        now: Timestamp,
    ) -> Result<bool, Outage> {
        if steps.iter().any(too_long) {
            return Err(Outage::new("authorizations", "an item is longer than may be"));
        }
        self.make_room(steps.len(), revoked.len(), max, now)?;
        let mut before = Vec::new();
        for step in steps {
            if !self.take(step, &mut before) {
                self.undo(before);
                return Ok(false);
            }
        }
        for one in revoked {
            if !self.revoked.iter().any(|(_, known)| known.name == one.name && known.until >= one.until) {
                self.position += 1;
                self.revoked.push((self.position, *one));
            }
        }
        Ok(true)
    }

    fn take(&mut self, step: &Step, before: &mut Vec<(Name, Option<Kept>)>) -> bool {
        let item = step.item();
        let name = (item.kind, item.key);
        let found = self.kept.get(&name).cloned();
        let kept = match (step, &found) {
            (Step::Add(_), None) => {
                self.added += 1;
                Kept { item: item.clone(), version: 1, number: self.added }
            }
            (Step::Replace(_, version), Some(found)) if found.version == *version => {
                Kept { item: item.clone(), version: version + 1, number: found.number }
            }
            _ => return false,
        };
        before.push((name, found));
        self.kept.insert(name, kept);
        true
    }

    fn undo(&mut self, before: Vec<(Name, Option<Kept>)>) {
        for (name, found) in before.into_iter().rev() {
            match found {
                Some(kept) => self.kept.insert(name, kept),
                None => self.kept.remove(&name),
            };
        }
    }

    fn make_room(&mut self, steps: usize, revoked: usize, max: usize, now: Timestamp) -> Result<(), Outage> {
        if self.kept.len() + steps > max {
            self.kept.retain(|_, kept| now < kept.item.keep_until);
        }
        if self.revoked.len() + revoked > max {
            self.revoked.retain(|(_, revoked)| now < revoked.until);
        }
        if self.kept.len() + steps > max || self.revoked.len() + revoked > max {
            return Err(Outage::new("authorizations", "as much is remembered as may be"));
        }
        Ok(())
    }
}
