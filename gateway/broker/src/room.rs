//! How often a provider may be asked, as far as the flows care: somebody else counts.

use std::future::Future;
use std::pin::Pin;

use policies::id::ProviderId;
use spine::error::Rejection;

/// What is held while a provider is asked; it is given back when dropped.
pub type Pass = Box<dyn Send + Sync>;

/// Whether a provider may be asked now: what is held meanwhile, or how the request is refused if nobody else may be asked.
pub type Entered<'a> = Pin<Box<dyn Future<Output = Result<Pass, Rejection>> + Send + 'a>>;

/// Counts what a request asks of each provider.
pub trait Room: Sync {
    /// Counts that a provider is asked, if there is room for it.
    fn enter<'a>(&'a self, provider: &'a ProviderId) -> Entered<'a>;
}

/// Counts nothing.
#[derive(Debug, Clone, Copy)]
pub struct Unbounded;

impl Room for Unbounded {
    fn enter<'a>(&'a self, _: &'a ProviderId) -> Entered<'a> {
        Box::pin(async { Ok(Box::new(()) as Pass) })
    }
}
