//! What a world is, and what is different in it.

use std::net::SocketAddr;
use std::path::Path;

/// How the shipped policies expose the list of accounts, for who replaces it: the lines of `apis/accounts.yaml`.
pub const LIST_ACCOUNTS: &str =
    "      listAccounts:\n        consent: {kind: account-access, list: {items: /accounts, id: /accountId}}\n";

/// How the shipped policies expose the balances of an account, likewise.
pub const ACCOUNT_BALANCES: &str =
    "      getAccountBalances:\n        consent: {kind: account-access, account: accountId}\n";

/// How requests get into the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The stack is called directly.
    Memory,
    /// TLS over loopback, HTTP/1.1.
    Http1,
    /// TLS over loopback, HTTP/2.
    Http2,
    /// As `Http1`, on PostgreSQL and Redis.
    Real,
}

/// What is different from a sandbox as it ships.
#[derive(Debug, Default, Clone)]
pub struct Setup {
    /// Lines added to `qaqpa.yaml`.
    pub configuration: String,
    /// Further policy files, by name.
    pub policies: Vec<(&'static str, String)>,
    /// Whether citizens are asked for their consents. If not, the organisations of the sandbox hold them themselves: most
    /// scenarios are about something else.
    pub citizens: bool,
    /// Texts that are replaced in files of the state folder, before they are read: file, old, new.
    pub replaced: Vec<(&'static str, String, String)>,
    /// What is done to the state folder before it is read.
    pub before: Option<fn(&Path)>,
    /// Another backend than the sandbox's bank.
    pub backend: Option<SocketAddr>,
    /// Another address of the identity provider.
    pub provider: Option<SocketAddr>,
    /// Whether it stands on the SQLite of its state folder, whatever `QAQPA_WORLD` says: the folder is what is looked at.
    pub own_store: bool,
    /// Another address of PostgreSQL, in the world `Real`.
    pub postgres: Option<SocketAddr>,
    /// Another address of Redis, in the world `Real`.
    pub redis: Option<SocketAddr>,
    /// How long a statement may take there, as `qaqpa.yaml` writes it.
    pub statement: Option<&'static str>,
    /// How long a call of Redis may take there, as `qaqpa.yaml` writes it.
    pub redis_hard: Option<&'static str>,
}

impl Setup {
    /// Adds lines to `qaqpa.yaml`.
    #[must_use]
    pub fn configured(lines: &str) -> Self {
        Self { configuration: lines.to_owned(), ..Self::default() }
    }

    /// Has citizens asked for their consents.
    #[must_use]
    pub fn citizens() -> Self {
        Self { citizens: true, ..Self::default() }
    }

    /// Adds a policy file.
    #[must_use]
    pub fn policy(mut self, name: &'static str, text: impl Into<String>) -> Self {
        self.policies.push((name, text.into()));
        self
    }

    /// Replaces a text in a file of the state folder.
    #[must_use]
    pub fn replacing(mut self, file: &'static str, old: &str, new: impl Into<String>) -> Self {
        self.replaced.push((file, old.to_owned(), new.into()));
        self
    }
}
