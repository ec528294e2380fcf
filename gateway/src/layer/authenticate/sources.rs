//! Where it is looked up who somebody is.

use std::sync::Arc;

use super::known::Known;
use crate::generation::Generation;
use crate::house::House;
use crate::reach::Reach;

/// What one policy generation knows callers by.
#[derive(Debug, Clone)]
pub(super) struct Sources {
    /// Keys and stores.
    pub(super) house: Arc<House>,
    /// Clients.
    pub(super) generation: Arc<Generation>,
    /// Other servers.
    pub(super) reach: Arc<Reach>,
    /// Tokens that were verified before.
    pub(super) known: Arc<Known>,
}
