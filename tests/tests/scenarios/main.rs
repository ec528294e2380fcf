//! The product's contract: whole behaviours, each in every world.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a scenario stops at the first surprise")]

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

mod payments;
