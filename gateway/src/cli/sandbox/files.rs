//! The files of a sandbox's state folder.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use adapters::entropy;
use adapters::files::{private_directory, write_private};
use adapters::keys::CertificateFiles;
use policies::jose::{base64url, sha256};

/// The one identity provider of the sandbox, by its id in the shipped policies.
pub(super) const PROVIDER: &str = "sandbox-face";

/// Makes a folder that only its owner may open.
pub(super) fn folder(path: &Path) -> Result<(), String> {
    private_directory(path).map_err(|outage| format!("error: the folder cannot be made: {}", outage.cause))
}

/// Makes the state folder and returns its absolute path.
pub(super) fn state_folder(path: &Path) -> Result<PathBuf, String> {
    folder(path)?;
    path.canonicalize().map_err(|error| format!("error: {}: {error}", path.display()))
}

/// Takes the lock of a state folder; it is given back when the file is closed.
pub(super) fn lock(state: &Path) -> Result<File, String> {
    let path = state.join("lock");
    let opened = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let file = opened.map_err(|error| format!("error: {}: {error}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(format!(
            "error: another sandbox runs on {}\n  = help: stop it, or give this one a folder of its own: --state DIR",
            state.display()
        )),
        Err(TryLockError::Error(error)) => Err(format!("error: {}: {error}", path.display())),
    }
}

/// Returns where an administrator's token is kept.
pub(super) fn admin_token(state: &Path, id: &str) -> PathBuf {
    state.join("admins").join(format!("{id}.token"))
}

/// Reads a secret of 256 bits from a file; makes it if there is none.
pub(super) fn secret(path: &Path) -> Result<String, String> {
    let wrong = |error: std::io::Error| format!("error: {}: {error}", path.display());
    if let Some(parent) = path.parent() {
        folder(parent)?;
    }
    if path.exists() {
        return std::fs::read_to_string(path).map(|text| text.trim().to_owned()).map_err(wrong);
    }
    let fresh = base64url(&entropy::random::<32>());
    write_private(path, fresh.as_bytes()).map_err(|outage| format!("error: {}", outage.cause))?;
    Ok(fresh)
}

/// Writes the shipped policies and contracts into the state folder, where they may be read and changed.
///
/// A file that somebody changed stays as it is; one that is as it was written is brought up to date.
pub(super) fn shipped(state: &Path) -> Result<(), String> {
    let policies =
        policies::language::shipped().into_iter().map(|source| (source.name.to_string(), source.body().to_owned()));
    let contracts = openapi::shipped().into_iter().map(|source| (source.name, source.text));
    let record = state.join("shipped.json");
    let known: BTreeMap<String, String> =
        std::fs::read(&record).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let mut written = BTreeMap::new();
    for (name, text) in policies.chain(contracts) {
        let place = match name.strip_prefix("openapi/apis/") {
            Some(file) => PathBuf::from("contracts").join(file),
            None => PathBuf::from(&name),
        };
        let path = state.join(&place);
        let present = std::fs::read(&path).ok().map(|bytes| base64url(&sha256(&bytes)));
        let ours = present.is_none() || present == known.get(&name).cloned();
        if ours {
            if let Some(parent) = path.parent() {
                folder(parent)?;
            }
            write_private(&path, text.as_bytes()).map_err(|outage| format!("error: {}", outage.cause))?;
            written.insert(name, base64url(&sha256(text.as_bytes())));
        } else if let Some(hash) = known.get(&name) {
            written.insert(name, hash.clone());
        }
    }
    let text = serde_json::to_vec_pretty(&written).map_err(|error| error.to_string())?;
    write_private(&record, &text).map_err(|outage| format!("error: {}", outage.cause))
}

/// Where everybody listens.
pub(super) struct Addresses {
    pub(super) api: SocketAddr,
    pub(super) mtls_api: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) bank: SocketAddr,
    pub(super) provider: SocketAddr,
}

/// Writes the configuration of the sandbox's gateway; `qaqpa run --config` takes the same.
pub(super) fn configuration(
    at: &Addresses,
    server: &CertificateFiles,
    authority: &Path,
    state: &Path,
    admins: &[(&str, &[&str])],
) -> String {
    let quoted = |path: &Path| serde_json::Value::from(path.display().to_string()).to_string();
    let tls = format!("{{certificate: {}, key: {}}}", quoted(&server.certificate), quoted(&server.key));
    let mut text = format!(
        "# The configuration of this sandbox, written anew at each start.\nqaqpa: v1\nstate: {state}\nlisteners:\n  \
         api: {{address: \"{api}\", tls: {tls}}}\n  \
         mtls_api: {{address: \"{mtls}\", tls: {tls}, clientAuthorities: {authority}}}\n  \
         admin: {{address: \"{admin}\"}}\npolicies: {policies}\ncontracts: {contracts}\n\
         upstreams:\n  core-bank: {{endpoints: [\"http://{bank}\"]}}\n\
         identity:\n  providers:\n    {provider_id}: {{url: \"http://{provider}\", webhookSecret: {secret}}}\n\
         # Nobody but this machine is near: endpoints for events may be here.\nwebhooks: {{privateAddresses: allow, trust: {authority}}}\n\
         # Its citizens are invented: nobody is bothered by being asked again and again.\n\
         limits: {{perCitizen: 1000}}\nadministrators:\n",
        state = quoted(state),
        api = at.api,
        mtls = at.mtls_api,
        authority = quoted(authority),
        admin = at.admin,
        policies = quoted(&state.join("policies")),
        contracts = quoted(&state.join("contracts")),
        bank = at.bank,
        provider_id = PROVIDER,
        provider = at.provider,
        secret =
            serde_json::Value::from(format!("secret:file:{}", state.join("keys").join("webhook-secret").display())),
    );
    for (id, roles) in admins {
        let (roles, token) = (roles.join(", "), quoted(&admin_token(state, id)));
        text.push_str(&format!("  {id}: {{roles: [{roles}], tokenFile: {token}}}\n"));
    }
    text
}
