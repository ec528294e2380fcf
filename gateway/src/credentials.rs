//! What we show other authorization servers, read from where the configuration and the policies say that it is kept.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use adapters::http::client::Client;
use adapters::http::trust::{Identity, Trust};
use adapters::oauth::{AssertionKey, Authentication, Credentials, Introspection, Terms};
use policies::id::IssuerId;
use policies::issuer::IssuerKeys;
use policies::jose::digest_of_parts;
use policies::language::decode::SecretReference;
use policies::rulebook::Rulebook;
use policies::secret::Secret;

use crate::config::{Config, OauthConfig, Purpose, Showing};
use crate::house::House;
use crate::secrets::{self, private_file};

/// Everything we show, as it was read at one time.
pub struct Shown {
    digest: [u8; 32],
    servers: Vec<(OauthConfig, Material)>,
    issuers: Vec<(IssuerId, Secret<Vec<u8>>)>,
}

enum Material {
    Key(Secret<Vec<u8>>),
    Certificate { chain: Vec<u8>, key: Secret<Vec<u8>> },
}

/// Tokens of ours for one backend or provider.
pub struct Entitled {
    /// What gets them.
    pub credentials: Arc<Credentials>,
    /// Whom connections there trust and what they show, if that is a certificate of its own.
    pub trust: Option<Trust>,
}

impl Shown {
    /// Reads what the configuration's servers and the issuers of `rulebook` are shown.
    ///
    /// # Errors
    /// What cannot be read, as text without a secret.
    pub fn read(config: &Config, rulebook: &Rulebook) -> Result<Self, String> {
        let mut servers = Vec::new();
        for server in &config.oauth {
            let material = Material::read(&server.showing).map_err(|cause| format!("{}: {cause}", server.purpose))?;
            servers.push((server.clone(), material));
        }
        let mut issuers = Vec::new();
        for issuer in rulebook.issuers.values() {
            if let IssuerKeys::Introspection { key, .. } = &issuer.keys {
                let key = secrets::read(key).map_err(|cause| format!("issuer {}: {cause}", issuer.id))?;
                issuers.push((issuer.id.clone(), key));
            }
        }
        let mut parts: Vec<&[u8]> = servers.iter().flat_map(|(_, material)| material.parts()).collect();
        parts.extend(issuers.iter().flat_map(|(id, key)| [id.as_str().as_bytes(), key.expose().as_slice()]));
        let digest = digest_of_parts(&parts);
        Ok(Self { digest, servers, issuers })
    }

    /// Returns what tells it from what was read at another time.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Prepares the tokens for one backend or provider; none if it stands behind no authorization server.
    ///
    /// # Errors
    /// What cannot be used, as text without a secret.
    pub fn entitle(&self, purpose: &Purpose, trust: &Trust, house: &House) -> Result<Option<Entitled>, String> {
        let Some((server, material)) = self.servers.iter().find(|(server, _)| server.purpose == *purpose) else {
            return Ok(None);
        };
        let wrong = |cause: String| format!("{purpose}: {cause}");
        let (authentication, own) = match (material, &server.showing) {
            (Material::Key(key), Showing::Assertion { issuer, .. }) => {
                let key = AssertionKey::read(key).map_err(|fault| wrong(format!("the key of assertions: {fault}")))?;
                (Authentication::Assertion { key, issuer: issuer.clone() }, None)
            }
            (Material::Certificate { chain, key }, _) => {
                let showing = trust.showing(&Identity { chain, key }).map_err(|outage| wrong(outage.cause))?;
                (Authentication::Certificate, Some(showing))
            }
            (Material::Key(_), Showing::Certificate(_)) => return Err(wrong("it was read in another way".to_owned())),
        };
        let client = Client::new(own.as_ref().unwrap_or(trust));
        let terms = Terms {
            client_id: server.client_id.clone(),
            scope: server.scope.clone(),
            resource: server.resource.clone(),
        };
        let place = (client, server.token_url.clone());
        let credentials = Credentials::new(&purpose.to_string(), place, authentication, terms, house.clock.clone());
        Ok(Some(Entitled { credentials: Arc::new(credentials), trust: own }))
    }

    /// Prepares asking the issuers that are asked about tokens.
    ///
    /// # Errors
    /// A key that cannot be used, as text without it.
    pub fn introspections(
        &self,
        rulebook: &Rulebook,
        house: &House,
    ) -> Result<HashMap<IssuerId, Arc<Introspection>>, String> {
        let mut found = HashMap::new();
        for (id, key) in &self.issuers {
            let Some(issuer) = rulebook.issuers.get(id) else { continue };
            let IssuerKeys::Introspection { url, client, .. } = &issuer.keys else { continue };
            let key =
                AssertionKey::read(key).map_err(|fault| format!("issuer {id}: the key of assertions: {fault}"))?;
            let audience = issuer.audience.clone().unwrap_or_else(|| house.issuer.clone());
            let asked = Introspection::new(
                house.scout.clone(),
                url.clone(),
                (issuer.issuer.clone(), audience),
                (client.as_str().to_owned(), key),
            );
            found.insert(id.clone(), Arc::new(asked));
        }
        Ok(found)
    }
}

impl Material {
    fn read(showing: &Showing) -> Result<Self, String> {
        match showing {
            Showing::Assertion { key, .. } => secrets::read(key).map(Material::Key),
            Showing::Certificate(files) => {
                let unreadable =
                    |error: std::io::Error| format!("{} cannot be read: {error}", files.certificate.display());
                let chain = std::fs::read(&files.certificate).map_err(unreadable)?;
                Ok(Material::Certificate { chain, key: Secret::new(private_file(&files.key)?) })
            }
        }
    }

    fn parts(&self) -> Vec<&[u8]> {
        match self {
            Material::Key(key) => vec![key.expose()],
            Material::Certificate { chain, key } => vec![chain, key.expose()],
        }
    }
}

/// Returns the files that the configuration's servers are shown something of.
#[must_use]
pub fn places(config: &Config) -> Vec<PathBuf> {
    let of = |server: &OauthConfig| match &server.showing {
        Showing::Assertion { key: SecretReference::File(path), .. } => vec![path.into()],
        Showing::Assertion { key: SecretReference::Environment(_), .. } => Vec::new(),
        Showing::Certificate(files) => vec![files.certificate.clone(), files.key.clone()],
    };
    config.oauth.iter().flat_map(of).collect()
}
