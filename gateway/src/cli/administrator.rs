//! Whom an administrator's command asks, and with whose token.

use std::path::PathBuf;

use policies::secret::Secret;

use super::client::{Client, Exchange, Question, STATE, SandboxFile};
use super::process::in_runtime;

/// The listener and the token.
#[derive(Debug, clap::Args)]
pub(super) struct Administrator {
    /// The URL of the administrators' listener [default: that of the running sandbox]
    #[arg(long, value_name = "URL", requires = "token_file")]
    admin: Option<String>,
    /// The private file with an administrator's token [default: as the sandbox tells]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The authority that signed the listener's certificate, PEM
    #[arg(long, value_name = "FILE", requires = "admin")]
    authority: Option<PathBuf>,
}

/// The state folder of a sandbox, where no listener is named.
#[derive(Debug, clap::Args)]
pub(super) struct Sandbox {
    /// The state folder of the running sandbox
    #[arg(long, default_value = STATE, value_name = "DIR")]
    pub(super) state: PathBuf,
}

/// Whom to ask, and how it is told.
#[derive(Debug, clap::Args)]
pub struct Place {
    #[command(flatten)]
    administrator: Administrator,
    #[command(flatten)]
    sandbox: Sandbox,
    /// Print the answer as it came.
    #[arg(long)]
    pub(super) json: bool,
}

/// An administrators' listener that can be asked.
pub(super) struct Asking {
    client: Client,
    base: String,
    token: Secret<String>,
}

impl Place {
    /// Finds out whom to ask, as [`Administrator::open`] does.
    pub(super) fn open(&self, role: &str) -> Result<Asking, String> {
        self.administrator.open(&self.sandbox.state, role)
    }
}

impl Administrator {
    /// Finds out whom to ask; of a sandbox, its first administrator with `role`.
    pub(super) fn open(&self, state: &std::path::Path, role: &str) -> Result<Asking, String> {
        let (client, base, token_file) = match (&self.admin, &self.token_file) {
            (Some(admin), Some(file)) => {
                (Client::trusting(self.authority.as_deref())?, admin.trim_end_matches('/').to_owned(), file.clone())
            }
            _ => {
                let sandbox = SandboxFile::find(state).map_err(|text| {
                    format!("{}\n  = help: of another gateway: --admin https://HOST:PORT --token-file FILE --authority CA.pem", text.trim_end())
                })?;
                let able = sandbox.admins.iter().find(|admin| admin.roles.iter().any(|held| held == role));
                let named = self.token_file.clone().or(able.map(|admin| PathBuf::from(&admin.token_file)));
                let named =
                    named.ok_or_else(|| format!("error: the sandbox has no administrator with the role {role}"))?;
                (Client::new(&sandbox)?, sandbox.admin.clone(), named)
            }
        };
        let token = crate::secrets::private_file(&token_file).map_err(|text| format!("error: {text}"))?;
        let token = String::from_utf8(token).map_err(|_| "error: the token is no text".to_owned())?;
        Ok(Asking { client, base, token: Secret::new(token.trim().to_owned()) })
    }
}

impl Asking {
    /// Asks, and returns the answer whatever it is.
    pub(super) fn ask(&self, question: Question) -> Result<Exchange, String> {
        let question = question.with("authorization", &format!("Bearer {}", self.token.expose()));
        in_runtime(self.client.send(&self.base, &question))
    }
}
