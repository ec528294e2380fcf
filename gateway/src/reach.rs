//! What can be reached from here: the connections to backends, the adapters of identity providers, and other authorization
//! servers.
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
use adapters::oauth::Introspection;
use adapters::provider::port::IdentityProvider;
use adapters::provider::session::SessionProvider;
use adapters::upstream::{Pools, Target};
use policies::id::{IssuerId, ProviderId, UpstreamId};
use policies::issuer::Issuer;
use policies::rulebook::{Protocol, Provider, Rulebook, Upstream};
use spine::body::Body;
use thiserror::Error;

use crate::config::{Config, Purpose};
use crate::credentials::Shown;
use crate::house::House;

/// Backends and providers of one or more policy generations.
pub struct Reach {
    /// Connections to backends, one set per serving thread.
    pub pools: Vec<Arc<Pools<Body>>>,
    /// Identity providers, by id.
    pub providers: HashMap<ProviderId, Arc<dyn IdentityProvider>>,
    /// Other authorization servers that are asked about their tokens, by id.
    pub introspections: HashMap<IssuerId, Arc<Introspection>>,
    targets: Vec<Target>,
    upstreams: BTreeMap<UpstreamId, Upstream>,
    offered: Vec<Provider>,
    issuers: BTreeMap<IssuerId, Arc<Issuer>>,
    // Of what other authorization servers are shown.
    shown: [u8; 32],
    trust: Trust,
}

/// Why something cannot be reached as it is configured.
#[derive(Debug, Error)]
pub enum ReachError {
    /// The address of a provider.
    #[error("an identity provider cannot be called: {0}")]
    Provider(#[from] UrlError),
    /// What an authorization server is to be shown.
    #[error("{0}")]
    Credentials(String),
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
    /// An address of a provider that cannot be called, or something for an authorization server that cannot be used.
    pub fn prepare(
        config: &Config,
        rulebook: &Rulebook,
        trust: Trust,
        (workers, house): (usize, &House),
    ) -> Result<Self, ReachError> {
        let shown = Shown::read(config, rulebook).map_err(ReachError::Credentials)?;
        Self::showing(config, rulebook, trust, (workers, house), &shown)
    }

    fn showing(
        config: &Config,
        rulebook: &Rulebook,
        trust: Trust,
        (workers, house): (usize, &House),
        shown: &Shown,
    ) -> Result<Self, ReachError> {
        let entitle = |purpose: Purpose| shown.entitle(&purpose, &trust, house).map_err(ReachError::Credentials);
        let mut providers: HashMap<ProviderId, Arc<dyn IdentityProvider>> = HashMap::new();
        for provider in &config.providers {
            let Some(offered) = rulebook.providers.iter().find(|offered| offered.id == provider.id) else { continue };
            let sessions = provider.url.at("/sessions")?;
            let entitled = entitle(Purpose::Provider(provider.id.clone()))?;
            let own = entitled.as_ref().and_then(|entitled| entitled.trust.as_ref());
            let client = Client::new(own.unwrap_or(&trust));
            let credentials = entitled.map(|entitled| entitled.credentials);
            let adapter = SessionProvider::new(provider.id.clone(), client, sessions, credentials, offered.timeout);
            providers.insert(provider.id.clone(), Arc::new(adapter));
        }
        let address =
            |id: &UpstreamId| config.upstreams.iter().find(|(known, _)| known == id).map(|(_, urls)| urls.clone());
        let mut targets: Vec<Target> = Vec::new();
        for upstream in rulebook.upstreams.values() {
            let Some(endpoints) = address(&upstream.id) else { continue };
            let mut target = Target::new(upstream, endpoints);
            if let Some(entitled) = entitle(Purpose::Upstream(upstream.id.clone()))? {
                target = target.authorized(entitled.credentials);
                target = entitled.trust.into_iter().fold(target, Target::trusting);
            }
            targets.push(target);
        }
        let pools = (0..workers).map(|_| Arc::new(Pools::new(targets.clone(), &trust))).collect();
        let introspections = shown.introspections(rulebook, house).map_err(ReachError::Credentials)?;
        let (upstreams, offered) = (rulebook.upstreams.clone(), rulebook.providers.clone());
        let (issuers, shown) = (rulebook.issuers.clone(), shown.digest());
        Ok(Self { pools, providers, introspections, targets, upstreams, offered, issuers, shown, trust })
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
        let (introspections, issuers) = (HashMap::new(), BTreeMap::new());
        let (shown, trust) = ([0; 32], trust.clone());
        Ok(Self { pools, providers, introspections, targets, upstreams, offered, issuers, shown, trust })
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
    pub fn renew(
        self: &Arc<Self>,
        config: &Config,
        rulebook: &Rulebook,
        trust: &Trust,
        house: &House,
    ) -> Result<Arc<Self>, ReachError> {
        let shown = Shown::read(config, rulebook).map_err(ReachError::Credentials)?;
        let same = self.upstreams == rulebook.upstreams
            && self.offered == rulebook.providers
            && self.issuers == rulebook.issuers
            && self.shown == shown.digest();
        if same && self.trust.is(trust) {
            return Ok(Arc::clone(self));
        }
        Self::showing(config, rulebook, trust.clone(), (self.pools.len(), house), &shown).map(Arc::new)
    }
}
