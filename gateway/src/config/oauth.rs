//! Where backends and identity providers stand behind an authorization server, and who we are there.

use std::path::{Path, PathBuf};

use adapters::http::url::AllowedUrl;
use policies::id::{ProviderId, UpstreamId};
use policies::language::decode::{SecretReference, Value};
use policies::rulebook::ScopeSet;

use super::optional::optional;
use super::tls::TlsFiles;

/// The longest name that another server knows us by, in bytes.
const CLIENT_ID_BYTES_MAX: usize = 255;

/// For whom tokens are fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// A backend.
    Upstream(UpstreamId),
    /// An identity provider.
    Provider(ProviderId),
}

impl std::fmt::Display for Purpose {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Purpose::Upstream(id) => write!(f, "upstream {id}"),
            Purpose::Provider(id) => write!(f, "provider {id}"),
        }
    }
}

/// How we show who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Showing {
    /// By an assertion (RFC 7523).
    Assertion {
        /// The private JWK.
        key: SecretReference,
        /// The server's issuer, the audience of assertions.
        issuer: String,
    },
    /// By a certificate (RFC 8705), which backends are shown, too: a token may be bound to it.
    Certificate(TlsFiles),
}

/// An authorization server that gives us tokens.
#[derive(Debug, Clone)]
pub struct OauthConfig {
    /// For whom.
    pub purpose: Purpose,
    /// Its token endpoint.
    pub token_url: AllowedUrl,
    /// Who we are there.
    pub client_id: String,
    /// How we show it.
    pub showing: Showing,
    /// The scope that is asked for.
    pub scope: Option<String>,
    /// The resource that is asked for (RFC 8707).
    pub resource: Option<String>,
}

/// Reads `oauth` of a backend or a provider; none if its name could not be read.
pub(super) fn oauth(value: Value<'_>, purpose: Option<Purpose>, folder: &Path) -> Option<OauthConfig> {
    let fields = value.fields(&["tokenUrl", "issuer", "clientId", "privateKeyJwt", "tls", "scope", "resource"])?;
    let token_url = fields.required("tokenUrl").and_then(|value| value.read("P0123", AllowedUrl::configured));
    let issuer = optional(&fields, "issuer", issuer);
    let client_id = fields.required("clientId").and_then(client_id);
    let key = optional(&fields, "privateKeyJwt", |value| {
        value.fields(&["key"])?.required("key").and_then(Value::secret_reference)
    });
    let tls = optional(&fields, "tls", |value| {
        let fields = value.fields(&["certificate", "key"])?;
        let file = |name: &str| fields.required(name).and_then(Value::text).map(|text| folder.join(text));
        let (certificate, key): (Option<PathBuf>, Option<PathBuf>) = (file("certificate"), file("key"));
        Some(TlsFiles { certificate: certificate?, key: key? })
    });
    let scope = optional(&fields, "scope", scope);
    let resource = optional(&fields, "resource", |value| value.text().map(str::to_owned));
    let showing = showing(value, key?, tls?, issuer?);
    Some(OauthConfig {
        purpose: purpose?,
        token_url: token_url?,
        client_id: client_id?,
        showing: showing?,
        scope: scope?,
        resource: resource?,
    })
}

fn showing(
    value: Value<'_>,
    key: Option<SecretReference>,
    tls: Option<TlsFiles>,
    issuer: Option<String>,
) -> Option<Showing> {
    match (key, tls, issuer) {
        (Some(key), None, Some(issuer)) => Some(Showing::Assertion { key, issuer }),
        (Some(_), None, None) => {
            let problem = value.fault("P0129", "an assertion is for one issuer, which `issuer` names");
            value.report(problem.help("add `issuer: https://as.example.kz`, byte for byte as the server calls itself"));
            None
        }
        (None, Some(tls), _) => Some(Showing::Certificate(tls)),
        _ => {
            let problem = value.fault("P0128", "we show who we are in one way: `privateKeyJwt` or `tls`");
            value.report(problem.help(
                "for example `privateKeyJwt: {key: secret:file:/etc/qaqpa/as.jwk}`; shared secrets are not used",
            ));
            None
        }
    }
}

// An issuer is compared by its bytes, so that only its form is looked at (RFC 8414, section 2).
fn issuer(value: Value<'_>) -> Option<String> {
    value.parsed("an issuer: an https URL without query and fragment", "`https://as.example.kz`", |text| {
        let fine = AllowedUrl::configured(text).is_ok() && !text.contains(['?', '#']);
        fine.then(|| text.to_owned())
    })
}

fn client_id(value: Value<'_>) -> Option<String> {
    value.parsed("the name that the server knows us by", "`qaqpa`", |text| {
        // VSCHAR (RFC 6749, appendix A.1).
        let fine = text.bytes().all(|byte| (0x20..=0x7e).contains(&byte));
        (fine && (1..=CLIENT_ID_BYTES_MAX).contains(&text.len())).then(|| text.to_owned())
    })
}

fn scope(value: Value<'_>) -> Option<String> {
    value.parsed("scopes with single spaces between them", "`payments accounts`", |text| {
        let set = ScopeSet::parse(text)?;
        (!set.is_empty()).then(|| text.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;
    use policies::language::Source;

    fn read(oauth: &str) -> Result<Vec<OauthConfig>, Vec<(&'static str, String)>> {
        let listeners = "listeners:\n  api: {address: 127.0.0.1:1}\n  admin: {address: 127.0.0.1:2}\n";
        let upstreams = format!("upstreams:\n  core:\n    endpoints: ['http://127.0.0.1:9']\n    oauth: {oauth}\n");
        let source = Source::new("qaqpa.yaml", format!("qaqpa: v1\n{listeners}{upstreams}"));
        let told = |problems: Vec<policies::language::Problem>| {
            problems.into_iter().map(|problem| (problem.code, problem.message)).collect()
        };
        parse(&source, Path::new("/etc/qaqpa")).map(|config| config.oauth).map_err(told)
    }

    fn codes(oauth: &str) -> Vec<&'static str> {
        read(oauth).err().unwrap_or_default().into_iter().map(|(code, _)| code).collect()
    }

    const KEY: &str = "privateKeyJwt: {key: secret:file:/k.jwk}";
    const AT: &str = "tokenUrl: https://as.example/token, clientId: qaqpa";

    #[test]
    fn c3_who_we_are_is_shown_in_one_way_and_never_by_a_shared_secret() {
        for ways in ["", ", tls: {certificate: c, key: k}, PLUS", ", issuer: https://as.example"] {
            let ways = ways.replace("PLUS", KEY);
            assert_eq!(codes(&format!("{{{AT}{ways}}}")), ["P0128"], "{ways}");
        }
        assert_eq!(codes(&format!("{{{AT}, {KEY}}}")), ["P0129"]);
        assert_eq!(codes(&format!("{{{AT}, {KEY}, issuer: https://as.example, clientSecret: x}}")).len(), 1);
        assert!(read(&format!("{{{AT}, tls: {{certificate: c, key: k}}}}")).is_ok());
        assert!(read(&format!("{{{AT}, {KEY}, issuer: https://as.example}}")).is_ok());
    }

    #[test]
    fn c3_a_token_endpoint_is_https_and_its_issuer_a_plain_url() {
        let with = |url: &str, issuer: &str| {
            codes(&format!("{{tokenUrl: '{url}', issuer: '{issuer}', clientId: qaqpa, {KEY}}}")).len()
        };
        for url in ["http://as.example/token", "ftp://as.example/", "as.example", "https://u:p@as.example/"] {
            assert_eq!(with(url, "https://as.example"), 1, "{url}");
        }
        for issuer in ["as.example", "http://as.example", "https://as.example/?a=b", "https://as.example/#a", ""] {
            assert_eq!(with("https://as.example/token", issuer), 1, "{issuer}");
        }
        assert_eq!(with("https://as.example/token", "https://as.example/realms/a"), 0);
    }

    #[test]
    fn c3_names_scopes_and_keys_are_read_strictly() {
        let with = |more: &str| codes(&format!("{{tokenUrl: https://a.example/, issuer: https://a.example, {more}}}"));
        assert_eq!(with(KEY).len(), 1, "no clientId");
        assert_eq!(with(&format!("clientId: '', {KEY}")).len(), 1);
        assert_eq!(with(&format!("clientId: '{}', {KEY}", "a".repeat(CLIENT_ID_BYTES_MAX + 1))).len(), 1);
        assert_eq!(with(&format!("clientId: '{}', {KEY}", "a".repeat(CLIENT_ID_BYTES_MAX))).len(), 0);
        assert_eq!(with("clientId: q, privateKeyJwt: {key: hunter2}").len(), 1);
        assert_eq!(with(&format!("clientId: q, {KEY}, scope: 'a\"b'")).len(), 1);
        assert_eq!(with(&format!("clientId: q, {KEY}, scope: ''")).len(), 1);
        assert_eq!(
            with(&format!("clientId: q, {KEY}, scope: payments accounts, resource: https://core.example")).len(),
            0
        );
    }
}
