//! The product's contract: whole behaviours, each in every world.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a scenario stops at the first surprise"
)]

/// Makes of each scenario one test per world.
macro_rules! scenarios {
    ($($(#[$attribute:meta])* $name:ident),+ $(,)?) => {
        mod memory {
            use scenarios::world::Kind;
            $($(#[$attribute])* #[tokio::test] async fn $name() { super::$name(Kind::Memory).await; })+
        }
        mod socket {
            use scenarios::world::Kind;
            $($(#[$attribute])* #[tokio::test] async fn $name() { super::$name(Kind::Http1).await; })+
        }
        mod socket_http2 {
            use scenarios::world::Kind;
            $($(#[$attribute])* #[tokio::test] async fn $name() { super::$name(Kind::Http2).await; })+
        }
    };
}

/// The same, and also on PostgreSQL and Redis: for what depends on a store.
macro_rules! store_scenarios {
    ($($(#[$attribute:meta])* $name:ident),+ $(,)?) => {
        scenarios! { $($(#[$attribute])* $name),+ }
        mod real {
            use scenarios::world::Kind;
            $($(#[$attribute])* #[tokio::test] async fn $name() { super::$name(Kind::Real).await; })+
        }
    };
}

mod admin;
mod attacks;
mod audit;
mod backends;
mod backup;
mod bodies;
mod callbacks;
mod certificates;
mod changes;
mod codes;
mod completions;
mod conditions;
mod consents;
mod decisions;
mod dice;
mod disk;
mod elsewhere;
mod erasure;
mod events;
mod fraud;
mod granted;
mod http;
mod introspection;
mod keys;
mod kill;
mod limit_headers;
mod limit_lookups;
mod limit_places;
mod limit_resets;
mod limit_shapes;
mod limit_when;
mod limits;
mod masking;
mod metadata;
mod networks;
mod nonces;
mod oauth;
mod operation_limits;
mod operations;
mod outages;
mod own_consents;
mod pages;
mod par;
mod payments;
mod permits;
mod proofs;
mod races;
mod reload;
mod response_checks;
mod revoked;
mod secrets;
mod settle;
mod ship;
mod sockets;
mod stepup;
mod streams;
mod tokens;
mod upgrade;
mod vault;
