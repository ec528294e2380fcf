//! What a running sandbox tells programs about itself, and how it is found.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The folder a sandbox keeps everything in, unless told otherwise.
pub const STATE: &str = ".qaqpa";

/// The name of the file, in the state folder, by which a running sandbox is found.
pub const SANDBOX_FILE: &str = "sandbox.json";

/// The form of [`SandboxFile`] that this program writes and reads.
pub const SANDBOX_FILE_VERSION: u32 = 1;

/// What a running sandbox tells programs about itself; the form is stable, what is absent is `null`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SandboxFile {
    /// The form of this file, [`SANDBOX_FILE_VERSION`].
    pub version: u32,
    /// The process.
    pub pid: u32,
    /// The issuer of tokens; also their audience.
    pub issuer: String,
    /// The base URL of the listener that never asks for a certificate.
    pub api: String,
    /// The base URL of the listener that asks for certificates.
    pub mtls_api: String,
    /// The base URL of the administrators' listener.
    pub admin: String,
    /// The authority that signed the servers' certificates, PEM.
    pub ca_cert: String,
    /// The base URL of the bank behind the gateway.
    pub bank: String,
    /// The identity providers behind the gateway.
    pub providers: Vec<SandboxProvider>,
    /// The clients, with all they need to act.
    pub clients: Vec<SandboxClient>,
    /// The administrators.
    pub admins: Vec<SandboxAdmin>,
    /// Invented people, and what happens when one is verified.
    pub subjects: Vec<SandboxSubject>,
    /// Where things are on this machine.
    pub paths: SandboxPaths,
}

/// An identity provider of the sandbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SandboxProvider {
    /// Its id in the policies.
    pub id: String,
    /// Its base URL.
    pub url: String,
}

/// A client of the sandbox, private key included: it is a rehearsal.
#[derive(Clone, Serialize, Deserialize)]
pub struct SandboxClient {
    /// Its id.
    pub client_id: String,
    /// Whose it is.
    pub organisation: String,
    /// The organisation's roles, for example `PISP`.
    pub roles: Vec<String>,
    /// What it may be granted.
    pub scopes: Vec<String>,
    /// `private_key_jwt`, `tls_client_auth` or `self_signed_tls_client_auth`.
    pub auth: String,
    /// Its private key as a JWK with `kid` and `alg`, if it signs assertions.
    pub jwk_private: Option<Value>,
    /// Its certificate, PEM, if it has one.
    pub mtls_cert: Option<String>,
    /// The key of that certificate, PEM.
    pub mtls_key: Option<String>,
    /// Where browsers may be sent back to.
    pub redirect_uris: Vec<String>,
}

/// Leaves the private key out.
impl fmt::Debug for SandboxClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SandboxClient")
            .field("client_id", &self.client_id)
            .field("organisation", &self.organisation)
            .field("roles", &self.roles)
            .field("scopes", &self.scopes)
            .field("auth", &self.auth)
            .finish_non_exhaustive()
    }
}

/// An administrator of the sandbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SandboxAdmin {
    /// Who it is.
    pub id: String,
    /// What they may do.
    pub roles: Vec<String>,
    /// The private file that holds their token.
    pub token_file: String,
}

/// An invented person.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SandboxSubject {
    /// The person's number.
    pub iin: String,
    /// What happens when they are verified, for example `match`.
    pub scenario: String,
    /// Their current account.
    pub iban: String,
}

/// Where the sandbox keeps things.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SandboxPaths {
    /// The policies in force.
    pub policies: String,
    /// The published contracts.
    pub contracts: String,
    /// The audit trail.
    pub audit: String,
    /// The state folder.
    pub state: String,
}

impl SandboxFile {
    /// Finds the running sandbox that keeps its state in `state`.
    ///
    /// # Errors
    /// A sentence for people, with what to run, if there is none or its file cannot be read.
    pub fn find(state: &Path) -> Result<Self, String> {
        let path = state.join(SANDBOX_FILE);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(none_is_running(state)),
            Err(error) => return Err(format!("{} cannot be read: {error}.", path.display())),
        };
        let found: Self = serde_json::from_slice(&text).map_err(|error| {
            format!("{} was not written by this version of qaqpa ({error}). Start the sandbox again.", path.display())
        })?;
        if found.version != SANDBOX_FILE_VERSION {
            let (told, known) = (found.version, SANDBOX_FILE_VERSION);
            return Err(format!(
                "{} has the form {told}, this qaqpa reads {known}. Start the sandbox again.",
                path.display()
            ));
        }
        Ok(found)
    }

    /// Finds a client by its id.
    ///
    /// # Errors
    /// A sentence for people that names the clients there are.
    pub fn client(&self, id: &str) -> Result<&SandboxClient, String> {
        self.clients.iter().find(|client| client.client_id == id).ok_or_else(|| {
            let known: Vec<&str> = self.clients.iter().map(|client| client.client_id.as_str()).collect();
            format!("The sandbox has no client `{id}`. Its clients are: {}.", known.join(", "))
        })
    }
}

fn none_is_running(state: &Path) -> String {
    let told = if state == Path::new(STATE) { String::new() } else { format!(" --state {}", state.display()) };
    format!(
        "No sandbox is running with its state in {}.\n\
         Start one in another terminal:   qaqpa sandbox{told}\n\
         or start, tour and stop at once: qaqpa sandbox --tour{told}",
        state.display()
    )
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    #[test]
    fn without_a_sandbox_people_are_told_what_to_run() {
        let error = SandboxFile::find(Path::new("/nonexistent/qaqpa")).unwrap_err();
        assert!(error.contains("qaqpa sandbox --state /nonexistent/qaqpa"), "{error}");
    }

    #[test]
    fn what_is_absent_is_null_in_the_file() {
        let client = SandboxClient {
            client_id: "c".into(),
            organisation: "o".into(),
            roles: vec![],
            scopes: vec![],
            auth: "private_key_jwt".into(),
            jwk_private: None,
            mtls_cert: None,
            mtls_key: None,
            redirect_uris: vec![],
        };
        let told = serde_json::to_value(&client).unwrap();
        assert_eq!(told.pointer("/mtls_cert"), Some(&Value::Null));
        assert_eq!(told.pointer("/jwk_private"), Some(&Value::Null));
    }
}
