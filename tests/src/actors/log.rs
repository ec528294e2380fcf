//! Who listens to the log of whatever happens on this thread.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::Dispatch;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;

/// A log in memory.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

/// Listens until it is dropped.
pub struct Listening {
    _guard: DefaultGuard,
    // With one subscriber alone, a line that another test's thread comes to first is taken as one that nobody hears.
    _other: Dispatch,
}

impl std::fmt::Debug for Listening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Listening")
    }
}

impl Log {
    /// Begins to hear what this thread logs at the levels of `filter`, for example `warn,gateway=trace`.
    #[must_use]
    pub fn listen(&self, filter: &str) -> Listening {
        self.hear(filter, FmtSpan::NONE)
    }

    /// The same, and each span with its fields when it begins.
    #[must_use]
    pub fn listen_to_spans(&self, filter: &str) -> Listening {
        self.hear(filter, FmtSpan::NEW)
    }

    fn hear(&self, filter: &str, spans: FmtSpan) -> Listening {
        let filter = EnvFilter::try_new(filter).unwrap();
        let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_span_events(spans).with_ansi(false);
        let subscriber = subscriber.with_writer(self.clone()).finish();
        let other = Dispatch::new(tracing_subscriber::registry());
        Listening { _guard: tracing::subscriber::set_default(subscriber), _other: other }
    }

    /// Returns what was heard.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
