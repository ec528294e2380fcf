//! What can be reached from here: the connections to backends and the adapters of identity providers.
//!
//! Which there are and how long they may take is policy, where they are is configuration. A reload that changes neither
//! keeps them, with every open connection; one that does gets new ones, while requests under way end on the old.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use adapters::http::client::Client;
use adapters::http::inside::Inside;
use adapters::http::trust::Trust;
use adapters::http::url::{AllowedUrl, UrlError};
use adapters::provider::port::IdentityProvider;
use adapters::provider::session::SessionProvider;
use adapters::upstream::{Pools, Target};
use policies::id::{ProviderId, UpstreamId};
use policies::rulebook::{Protocol, Provider, Rulebook, Upstream};
use spine::body::Body;

use crate::config::Config;

/// Backends and providers of one or more policy generations.
pub struct Reach {
    /// Connections to backends, one set per serving thread.
    pub pools: Vec<Arc<Pools<Body>>>,
    /// Identity providers, by id.
    pub providers: HashMap<ProviderId, Arc<dyn IdentityProvider>>,
    targets: Vec<Target>,
    upstreams: BTreeMap<UpstreamId, Upstream>,
    offered: Vec<Provider>,
    trust: Trust,
}

impl std::fmt::Debug for Reach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reach")
            .field("upstreams", &self.upstreams)
            .field("offered", &self.offered)
            .finish_non_exhaustive()
    }
}

impl Reach {
    /// Prepares what `rulebook` names at the addresses of `config`; connects to nobody yet.
    ///
    /// # Errors
    /// An address of a provider that cannot be called.
    pub fn prepare(config: &Config, rulebook: &Rulebook, trust: Trust, workers: usize) -> Result<Self, UrlError> {
        let mut providers: HashMap<ProviderId, Arc<dyn IdentityProvider>> = HashMap::new();
        for provider in &config.providers {
            let Some(offered) = rulebook.providers.iter().find(|offered| offered.id == provider.id) else { continue };
            let sessions = provider.url.at("/sessions")?;
            let client = Client::new(&trust);
            let adapter = SessionProvider::new(provider.id.clone(), client, sessions, None, offered.timeout);
            providers.insert(provider.id.clone(), Arc::new(adapter));
        }
        let address =
            |id: &UpstreamId| config.upstreams.iter().find(|(known, _)| known == id).map(|(_, urls)| urls.clone());
        let target = |upstream: &Upstream| Some(Target::new(upstream, address(&upstream.id)?));
        let targets: Vec<Target> = rulebook.upstreams.values().filter_map(target).collect();
        let pools = (0..workers).map(|_| Arc::new(Pools::new(targets.clone(), &trust))).collect();
        let (upstreams, offered) = (rulebook.upstreams.clone(), rulebook.providers.clone());
        Ok(Self { pools, providers, targets, upstreams, offered, trust })
    }

    /// Prepares what `rulebook` names with a service inside this process in the place of each; nobody waits longer for it
    /// than `patience`. `service` gives the door that speaks a protocol.
    ///
    /// # Errors
    /// As of [`Reach::prepare`].
    pub fn inside(
        rulebook: &Rulebook,
        trust: &Trust,
        service: impl Fn(Protocol) -> Arc<dyn Inside>,
        patience: Duration,
    ) -> Result<Self, UrlError> {
        // Nobody is called: only the path of the sessions is read.
        let here = AllowedUrl::configured("http://localhost")?;
        let mut providers: HashMap<ProviderId, Arc<dyn IdentityProvider>> = HashMap::new();
        for offered in &rulebook.providers {
            let client = Client::inside(trust, service(Protocol::Http1));
            let timeout = offered.timeout.min(patience);
            let adapter = SessionProvider::new(offered.id.clone(), client, here.at("/sessions")?, None, timeout);
            providers.insert(offered.id.clone(), Arc::new(adapter));
        }
        let target = |upstream: &Upstream| {
            let patient = Upstream { response: upstream.response.min(patience), ..upstream.clone() };
            Target::new(&patient, vec![here.clone()]).inside(service(upstream.protocol))
        };
        let targets: Vec<Target> = rulebook.upstreams.values().map(target).collect();
        let pools = vec![Arc::new(Pools::new(targets.clone(), trust))];
        let (upstreams, offered) = (rulebook.upstreams.clone(), rulebook.providers.clone());
        Ok(Self { pools, providers, targets, upstreams, offered, trust: trust.clone() })
    }

    /// Makes connections to the same backends for a thread that does not serve; what is under way counts together.
    #[must_use]
    pub fn more_pools(&self) -> Pools<Body> {
        Pools::new(self.targets.clone(), &self.trust)
    }

    /// Gives what `rulebook` needs under `trust`: this, if nothing of it has changed.
    ///
    /// # Errors
    /// As of [`Reach::prepare`].
    pub fn renew(self: &Arc<Self>, config: &Config, rulebook: &Rulebook, trust: &Trust) -> Result<Arc<Self>, UrlError> {
        if self.upstreams == rulebook.upstreams && self.offered == rulebook.providers && self.trust.is(trust) {
            return Ok(Arc::clone(self));
        }
        Self::prepare(config, rulebook, trust.clone(), self.pools.len()).map(Arc::new)
    }
}
