//! A second gateway of the same deployment.

use std::path::Path;

use adapters::clock::Clock;
use gateway::assemble::{Assembled, assemble};
use gateway::config::{Config, ListenerConfig};
use http_body_util::BodyExt as _;
use spine::stage::Door;
use tower::Service as _;

use super::{Answer, Ask, Folder, World};

/// A second gateway beside a world's: the same keys, stores and names, its own folder and its own clock.
pub struct Twin {
    /// The gateway.
    pub assembled: Assembled,
    clock: Clock,
    _folder: Folder,
}

impl std::fmt::Debug for Twin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Twin")
    }
}

impl Twin {
    /// Puts one beside a world that stands on stores which several gateways can share.
    #[must_use]
    pub fn beside(world: &World) -> Self {
        let folder = Folder::new();
        copy(&world.file("keys"), &folder.path().join("keys"));
        let anywhere = |listener: &ListenerConfig, door| ListenerConfig {
            address: "127.0.0.1:0".parse().unwrap(),
            external: Some(world.external(door).to_owned()),
            ..listener.clone()
        };
        let config = world.config();
        let config = Config {
            state: folder.path().to_owned(),
            issuer: Some(world.issuer().to_owned()),
            api: anywhere(&config.api, Door::Api),
            mtls_api: config.mtls_api.as_ref().map(|listener| anywhere(listener, Door::MtlsApi)),
            admin: ListenerConfig { address: "127.0.0.1:0".parse().unwrap(), ..config.admin.clone() },
            ..config.clone()
        };
        let clock = Clock::manual(world.now());
        let assembled = assemble(&config, clock.clone(), false);
        let assembled = assembled.unwrap_or_else(|error| panic!("no second gateway: {error}"));
        super::move_store(&assembled, &clock);
        Self { assembled, clock, _folder: folder }
    }

    /// Calls its stack with what a client of the world sends.
    pub async fn send(&self, world: &World, ask: &Ask) -> Answer {
        let mut stack = self.assembled.stack.load().as_ref().clone();
        let Ok(reply) = stack.call(world.arrived(ask)).await;
        let (head, body) = reply.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: head.status.as_u16(), headers: head.headers, body }
    }

    /// Moves its time on.
    pub fn advance(&self, span: std::time::Duration) {
        assert!(self.clock.advance(span));
        super::move_store(&self.assembled, &self.clock);
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    std::fs::set_permissions(to, std::fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}
