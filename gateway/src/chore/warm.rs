//! Keeps the key sets of clients and issuers fresh, so that no request waits for one, and none tells by waiting whose client
//! exists (AS11).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use policies::issuer::IssuerKeys;
use policies::network::Endpoint;
use policies::rulebook::{ClientAuthentication, KeySource, Rulebook};
use policies::time::Timestamp;
use tokio::task::JoinSet;

use super::{Chore, Round};
use crate::house::House;
use crate::stack::Stack;

/// How often they are looked at; those that are fresh are left alone.
const EVERY: Duration = Duration::from_secs(15);

/// How many are fetched at once: a hundred servers that do not answer hold the others up for half a minute at most.
const AT_ONCE: usize = 16;

/// The chore.
#[derive(Debug)]
pub struct Warm {
    house: Arc<House>,
    stack: Arc<ArcSwap<Stack>>,
    looked: Option<(Timestamp, u64)>,
}

impl Warm {
    /// Makes the chore.
    #[must_use]
    pub fn new(house: &Arc<House>, stack: &Arc<ArcSwap<Stack>>) -> Self {
        Self { house: Arc::clone(house), stack: Arc::clone(stack), looked: None }
    }
}

impl Chore for Warm {
    fn name(&self) -> &'static str {
        "keep keys of others fresh"
    }

    fn round(&mut self) -> Round<'_> {
        Box::pin(async move {
            let (now, generation) = (self.house.clock.now(), Arc::clone(self.stack.load().generation()));
            let rests = |(looked, number): (Timestamp, u64)| {
                number == generation.number && looked <= now && now < looked + EVERY
            };
            if self.looked.is_some_and(rests) {
                return Ok(0);
            }
            let mut fetched = 0;
            let mut fetching: JoinSet<bool> = JoinSet::new();
            for url in places(&generation.rulebook) {
                if fetching.len() >= AT_ONCE {
                    fetched += usize::from(fetching.join_next().await.is_some_and(|asked| asked.unwrap_or(false)));
                }
                let jwks = self.house.jwks.clone();
                fetching.spawn(async move { jwks.warm(&url, now).await });
            }
            while let Some(asked) = fetching.join_next().await {
                fetched += usize::from(asked.unwrap_or(false));
            }
            self.looked = Some((now, generation.number));
            Ok(fetched)
        })
    }
}

fn places(rulebook: &Rulebook) -> Vec<Endpoint> {
    let clients = rulebook.clients.values().filter_map(|client| match &client.authentication {
        ClientAuthentication::PrivateKeyJwt(KeySource::Url(url)) => Some(url),
        _ => None,
    });
    let issuers = rulebook.issuers.values().filter_map(|issuer| match &issuer.keys {
        IssuerKeys::Jwks { url, .. } => Some(url),
        IssuerKeys::Introspection { .. } => None,
    });
    let mut seen = HashSet::new();
    clients.chain(issuers).filter(|url| seen.insert(url.url().to_owned())).cloned().collect()
}
