//! Who acts on a world: clients, thieves and forgers, the identity provider, the bank's own clerk, administrators.

pub mod administrator;
pub mod app;
pub mod asking;
pub mod authority;
pub mod backend;
pub mod bank;
pub mod certificate;
pub mod citizen;
pub mod disk;
pub mod elsewhere;
pub mod jws;
pub mod key;
pub mod log;
pub mod program;
pub mod provider;
pub mod receiver;
pub mod wire;

pub use administrator::Administrator;
pub use app::{App, Session};
pub use citizen::{Browser, Citizen, Redirect};
pub use disk::{SlowDisk, SmallDisk};
pub use jws::Jws;
pub use key::Key;
pub use receiver::Receiver;
pub use wire::Wire;
