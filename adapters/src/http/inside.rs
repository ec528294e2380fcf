//! Services that stand inside this process, in place of ones elsewhere.

use std::io;

use tokio::io::DuplexStream;

/// Takes connections inside this process: requests are written and answers are read as over a network, and nothing
/// leaves.
pub trait Inside: Send + Sync {
    /// Takes a connection.
    ///
    /// # Errors
    /// Whatever keeps the service from taking it.
    fn connect(&self) -> Result<DuplexStream, io::Error>;
}
