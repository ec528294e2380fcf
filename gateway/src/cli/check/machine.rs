//! What of a configuration only shows on its machine: files of certificates, authorities and secrets.
//!
//! Everything is opened as a gateway would at its start; what a secret is never leaves this module.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use policies::admin::ADMIN_TOKEN_MIN;
use policies::callback::SECRET_BYTES_MIN;
use policies::language::decode::SecretReference;
use policies::language::document::{Content, Node};
use policies::language::{Faults, Place, Problem, Source, document};
use policies::time::Timestamp;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use x509_parser::parse_x509_certificate;

use crate::config::{Config, SinkConfig, WrapConfig};
use crate::findings::Findings;
use crate::listen::tls::TlsDoor;
use crate::secrets;
use crate::stores::trust;

const CERTIFICATE: &str = "G0004";
const SECRET: &str = "G0005";
const ENDS: &str = "G0006";

/// How long before its end a certificate is warned of: as long as for licences, since renewing takes people.
const ENDS_WARNING: Duration = Duration::from_secs(30 * 86_400);

/// Opens every file that a configuration names, and tells what is wrong.
pub(super) fn check(config: &Config, now: Timestamp) -> Findings {
    let text = std::fs::read_to_string(&config.file).unwrap_or_default();
    let source = Source::new(config.file.display().to_string(), text);
    let faults = Faults::new();
    let mut machine = Machine { root: document::parse(&source, &faults), source, found: Vec::new(), now };
    machine.doors(config);
    let bundles = [
        config.trust.as_deref(),
        config.webhooks.trust.as_deref(),
        config.stores.postgres.as_ref().and_then(|store| store.trust.as_deref()),
        config.stores.redis.as_ref().and_then(|store| store.trust.as_deref()),
    ];
    for bundle in bundles.into_iter().flatten() {
        machine.bundle(bundle);
    }
    machine.secrets(config);
    Findings::new(machine.found, vec![machine.source])
}

struct Machine {
    source: Source,
    root: Option<Node>,
    found: Vec<Problem>,
    now: Timestamp,
}

impl Machine {
    fn doors(&mut self, config: &Config) {
        for door in [Some(&config.api), config.mtls_api.as_ref(), Some(&config.admin)].into_iter().flatten() {
            let Some(files) = door.door_files() else { continue };
            let certificate = files.certificate.clone();
            match TlsDoor::open(files, self.now) {
                Ok(_) => self.certificate(&certificate),
                Err(error) => self.tell(CERTIFICATE, &certificate, &error.to_string()),
            }
        }
    }

    fn bundle(&mut self, path: &Path) {
        if let Err(error) = trust(Some(path)) {
            // It says the path itself, and ends a line: here it stands inside one.
            let text = error.to_string();
            let text = text.trim().strip_prefix("error: ").unwrap_or_else(|| text.trim()).to_owned();
            self.tell(CERTIFICATE, path, &text);
        }
    }

    fn certificate(&mut self, path: &Path) {
        let Some(Ok(leaf)) = CertificateDer::pem_file_iter(path).ok().and_then(|mut chain| chain.next()) else {
            return;
        };
        let Ok((_, parsed)) = parse_x509_certificate(&leaf) else { return };
        let left = parsed.validity().not_after.timestamp().saturating_sub(self.now.seconds());
        let warning = i64::try_from(ENDS_WARNING.as_secs()).unwrap_or(i64::MAX);
        if left > warning {
            return;
        }
        let days = left.div_euclid(86_400);
        let place = self.place(path.file_name().and_then(|name| name.to_str()).unwrap_or_default());
        let message = if left <= 0 {
            format!("the certificate in {} is over", path.display())
        } else {
            format!("the certificate in {} ends in {days} days", path.display())
        };
        self.found.push(Problem::warning(ENDS, &place, message).help("put a new one into the same file"));
    }

    fn secrets(&mut self, config: &Config) {
        for administrator in &config.administrators {
            let path = &administrator.token_file;
            match secrets::private_file(path) {
                Err(text) => self.tell(SECRET, path, &text),
                Ok(token) if token.trim_ascii().len() < ADMIN_TOKEN_MIN => {
                    let message =
                        format!("the token of {} has fewer than {ADMIN_TOKEN_MIN} characters", administrator.id);
                    self.tell(SECRET, path, &message);
                }
                Ok(_) => {}
            }
        }
        for provider in &config.providers {
            self.secret(&provider.webhook_secret, SECRET_BYTES_MIN);
        }
        let stores = &config.stores;
        let urls = stores.postgres.as_ref().map(|store| &store.url);
        let passwords = stores.redis.as_ref().and_then(|store| store.password.as_ref());
        let wraps = match &config.wrap {
            WrapConfig::OwnFile => None,
            WrapConfig::Secret(reference) => Some(reference),
            WrapConfig::Pkcs11(token) => Some(&token.pin),
        };
        for reference in urls.into_iter().chain(passwords).chain(wraps) {
            self.secret(reference, 1);
        }
        for ship in &config.ships {
            let (reference, bundle) = match &ship.sink {
                SinkConfig::File(_) => (None, None),
                SinkConfig::Postgres { url, trust } => (Some(url), trust.as_deref()),
                SinkConfig::Nats { credentials, trust, .. } => (credentials.as_ref(), trust.as_deref()),
            };
            if let Some(reference) = reference {
                self.secret(reference, 1);
            }
            if let Some(bundle) = bundle {
                self.bundle(bundle);
            }
        }
    }

    fn secret(&mut self, reference: &SecretReference, bytes_min: usize) {
        let name = match reference {
            SecretReference::File(path) => path,
            SecretReference::Environment(name) => name,
        };
        let place = self.place(name);
        match secrets::read(reference) {
            // The environment of who checks need not be that of the gateway.
            Err(text) if matches!(reference, SecretReference::Environment(_)) => {
                self.found.push(Problem::warning(SECRET, &place, text).help("set it where the gateway runs"));
            }
            Err(text) => self.found.push(Problem::error(SECRET, &place, text)),
            Ok(secret) if secret.expose().len() < bytes_min => {
                let what =
                    if bytes_min > 1 { format!("has fewer than {bytes_min} bytes") } else { "is empty".to_owned() };
                self.found.push(Problem::error(SECRET, &place, format!("a secret {what}")));
            }
            Ok(_) => {}
        }
    }

    fn tell(&mut self, code: &'static str, path: &Path, message: &str) {
        let place = self.place(path.file_name().and_then(|name| name.to_str()).unwrap_or_default());
        self.found.push(Problem::error(code, &place, message));
    }

    // Where the configuration names it: the first value that ends like this.
    fn place(&self, name: &str) -> Place {
        let found = self.root.as_ref().filter(|_| !name.is_empty()).and_then(|root| naming(root, name));
        found.cloned().unwrap_or_else(|| Place::start_of(&Arc::clone(&self.source.name)))
    }
}

// Bounded by the depth of documents.
fn naming<'n>(node: &'n Node, name: &str) -> Option<&'n Place> {
    match &node.content {
        Content::Empty => None,
        Content::Scalar { text, .. } => text.ends_with(name).then_some(&node.place),
        Content::Sequence(items) => items.iter().find_map(|item| naming(item, name)),
        Content::Mapping(entries) => entries.iter().find_map(|entry| naming(&entry.value, name)),
    }
}
