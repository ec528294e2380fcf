//! Who is connected to the sandbox's gateway: its organisations as policy, its clients with their keys.

use std::path::{Path, PathBuf};

use adapters::files::write_private;
use adapters::keys::{CertificateFiles, DevelopmentAuthority, private_jwk, public_part};
use policies::jose::Algorithm;
use policies::language::{Source, fmt};
use sandbox::personas;
use serde_json::Value;

use super::files;
use crate::cli::client::{SandboxAdmin, SandboxClient as Told, SandboxSubject};

/// The administrators and their roles.
pub(super) const ADMINS: [(&str, &[&str]); 4] = [
    ("aigerim", &["viewer", "editor", "approver"]),
    ("daniyar", &["viewer", "auditor"]),
    ("saule", &["eraser"]),
    ("nurlan", &["viewer", "approver"]),
];

/// How a client of the sandbox shows who it is.
enum Credential {
    /// A private JWK.
    Key(Value),
    /// A certificate of the development authority with this DNS name.
    Certificate { dns: String, files: CertificateFiles },
    /// A certificate that it signed itself, as base64 of its DER form.
    OwnCertificate { x5c: String, files: CertificateFiles },
}

/// A client of the sandbox.
pub(super) struct SandboxClient {
    plan: &'static Plan,
    credential: Credential,
}

struct Plan {
    id: &'static str,
    organisation: &'static str,
    plan: &'static str,
    scopes: &'static [&'static str],
    shows: Shows,
    /// Where browsers may be sent back to.
    redirects: &'static [&'static str],
    /// What else its policy says, a line each.
    more: &'static [&'static str],
}

/// How a client shows who it is.
#[derive(Clone, Copy)]
enum Shows {
    Key(Algorithm),
    Certificate,
    OwnCertificate,
}

const AISP_AND_PISP: &[&str] = &[
    "consents:write",
    "accounts:read",
    "balances:read",
    "transactions:read",
    "payments:read",
    "payments:write",
    "identity:verify",
    "events:read",
    "events:write",
    "limits:read",
];
const AISP: &[&str] = &["consents:write", "accounts:read", "balances:read", "transactions:read", "limits:read"];
const BANK: &[&str] = &["identity:verify", "events:read", "events:write", "limits:read"];
// A bank is told what tokens are worth to it: those for reading and moving what it keeps.
const BANK_THAT_ASKS: &[&str] = &[
    "identity:verify",
    "events:read",
    "events:write",
    "limits:read",
    "accounts:read",
    "balances:read",
    "transactions:read",
    "payments:write",
];
const ES256: Shows = Shows::Key(Algorithm::Es256);

static PLANS: [Plan; 7] = [
    Plan {
        id: "demo-app",
        organisation: "demo-fintech",
        plan: "standard",
        scopes: AISP_AND_PISP,
        shows: ES256,
        // The second is of an app on the citizen's own machine (RFC 8252, section 7.3).
        redirects: &["https://demo-app.example/callback", "http://127.0.0.1:8089/callback"],
        more: &[],
    },
    Plan {
        id: "demo-mtls-app",
        organisation: "demo-fintech",
        plan: "standard",
        scopes: AISP,
        shows: Shows::Certificate,
        redirects: &["https://demo-mtls-app.example/callback"],
        more: &[],
    },
    Plan {
        id: "trial-app",
        organisation: "demo-fintech",
        plan: "trial",
        scopes: AISP,
        shows: ES256,
        redirects: &["https://trial-app.example/callback"],
        more: &[],
    },
    Plan {
        id: "demo-nonce-app",
        organisation: "demo-fintech",
        plan: "standard",
        scopes: AISP,
        shows: ES256,
        redirects: &["https://demo-nonce-app.example/callback"],
        more: &[],
    },
    Plan {
        id: "demo-own-certificate-app",
        organisation: "demo-fintech",
        plan: "standard",
        scopes: AISP,
        shows: Shows::OwnCertificate,
        redirects: &["https://demo-own-certificate-app.example/callback"],
        more: &[],
    },
    Plan {
        id: "demo-bank-app",
        organisation: "demo-bank",
        plan: "standard",
        scopes: BANK_THAT_ASKS,
        shows: Shows::Key(Algorithm::EdDsa),
        redirects: &[],
        more: &["introspects: true", "consents: organisation"],
    },
    Plan {
        id: "demo-mfo-app",
        organisation: "demo-mfo",
        plan: "standard",
        scopes: BANK,
        shows: Shows::Key(Algorithm::EdDsa),
        redirects: &[],
        more: &[],
    },
];

/// The one client that has to put a nonce of the gateway into its proofs.
const NONCE: &str = "demo-nonce-app";

/// What an organisation of this kind is licensed to do.
fn roles(organisation: &personas::Organisation) -> &'static [&'static str] {
    match organisation.kind {
        "bank" => &["BANK"],
        "payment_organisation" => &["PAYMENT_ORGANISATION", "PISP"],
        "mfo" => &["MFO"],
        "treasury" => &["TREASURY"],
        _ => &["AISP", "PISP"],
    }
}

fn roles_of(organisation: &str) -> Vec<String> {
    let organisations = personas::organisations();
    let found = organisations.iter().find(|known| known.id == organisation).map(roles).unwrap_or_default();
    found.iter().map(ToString::to_string).collect()
}

/// Loads the clients' keys and certificates; makes those that are not there yet.
pub(super) fn clients(state: &Path, authority: &DevelopmentAuthority) -> Result<Vec<SandboxClient>, String> {
    files::folder(&state.join("clients"))?;
    PLANS.iter().map(|plan| client(state, authority, plan)).collect()
}

fn client(state: &Path, authority: &DevelopmentAuthority, plan: &'static Plan) -> Result<SandboxClient, String> {
    let dns = format!("{}.sandbox.qaqpa", plan.id);
    let told = |outage: policies::code::Outage| outage.to_string();
    let credential = match plan.shows {
        Shows::Key(algorithm) => {
            Credential::Key(key(&state.join("clients").join(format!("{}.jwk", plan.id)), algorithm, plan.id)?)
        }
        Shows::Certificate => {
            let files = authority.issue_client(&dns).map_err(told)?;
            Credential::Certificate { dns, files }
        }
        Shows::OwnCertificate => {
            let files = authority.self_signed_client(&dns).map_err(told)?;
            let pem = std::fs::read_to_string(&files.certificate)
                .map_err(|error| format!("error: {}: {error}", files.certificate.display()))?;
            // What stands between the lines of PEM is base64 of the DER form.
            let x5c = pem.lines().filter(|line| !line.starts_with("-----")).collect();
            Credential::OwnCertificate { x5c, files }
        }
    };
    Ok(SandboxClient { plan, credential })
}

fn key(path: &PathBuf, algorithm: Algorithm, id: &str) -> Result<Value, String> {
    let wrong = |cause: &dyn std::fmt::Display| format!("error: {}: {cause}", path.display());
    if path.exists() {
        let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
        return serde_json::from_str(&text).map_err(|error| wrong(&error));
    }
    let fresh = private_jwk(algorithm, &format!("{id}-1")).map_err(|outage| wrong(&outage))?;
    write_private(path, fresh.to_string().as_bytes()).map_err(|outage| format!("error: {}", outage.cause))?;
    Ok(fresh)
}

impl SandboxClient {
    /// Describes the client for programs.
    pub(super) fn tells(&self) -> Told {
        let absolute = |path: &PathBuf| path.display().to_string();
        let (auth, jwk_private, mtls_cert, mtls_key) = match &self.credential {
            Credential::Key(jwk) => ("private_key_jwt", Some(jwk.clone()), None, None),
            Credential::Certificate { files, .. } => {
                ("tls_client_auth", None, Some(absolute(&files.certificate)), Some(absolute(&files.key)))
            }
            Credential::OwnCertificate { files, .. } => {
                ("self_signed_tls_client_auth", None, Some(absolute(&files.certificate)), Some(absolute(&files.key)))
            }
        };
        Told {
            client_id: self.plan.id.to_owned(),
            organisation: self.plan.organisation.to_owned(),
            roles: roles_of(self.plan.organisation),
            scopes: self.plan.scopes.iter().map(ToString::to_string).collect(),
            auth: auth.to_owned(),
            jwk_private,
            mtls_cert,
            mtls_key,
            redirect_uris: self.plan.redirects.iter().map(ToString::to_string).collect(),
        }
    }
}

/// Writes the policy file that connects organisations and clients, in the form of `qaqpa fmt`.
pub(super) fn policy(clients: &[SandboxClient]) -> String {
    let text = unformed(clients);
    // Whatever the form refuses is told where the file is loaded.
    fmt::format(&Source::new("sandbox.yaml", text.as_str())).unwrap_or(text)
}

fn unformed(clients: &[SandboxClient]) -> String {
    let mut text = String::from(
        "# Who is connected to this sandbox. Written anew at each start: put your own organisations and clients in another file.\n\
         qaqpa: v1\norganisations:\n",
    );
    for organisation in personas::organisations() {
        let roles = roles(&organisation).join(", ");
        text.push_str(&format!(
            "  {}:\n    title: {}\n    roles: [{roles}]\n    licence: {{authority: NBK, id: SBX-{}, validUntil: 2099-12-31}}\n",
            organisation.id,
            organisation.title,
            organisation.id.to_uppercase(),
        ));
    }
    text.push_str("clients:\n");
    for client in clients {
        let plan = client.plan;
        text.push_str(&format!("  {}:\n    organisation: {}\n    plan: {}\n", plan.id, plan.organisation, plan.plan));
        match &client.credential {
            Credential::Key(jwk) => text.push_str(&format!(
                "    authentication: private_key_jwt\n    keys:\n      - {}\n    tokens: {{bind: dpop{}}}\n",
                public_part(jwk),
                if plan.id == NONCE { ", nonce: required" } else { "" }
            )),
            Credential::OwnCertificate { x5c, .. } => text.push_str(&format!(
                "    authentication: self_signed_tls_client_auth\n    keys:\n      - {{\"x5c\": [\"{x5c}\"]}}\n    \
                 tokens: {{bind: mtls}}\n"
            )),
            Credential::Certificate { dns, .. } => text.push_str(&format!(
                "    authentication: tls_client_auth\n    certificate: {{sanDns: {dns}}}\n    tokens: {{bind: mtls}}\n"
            )),
        }
        let quoted = |texts: &[&str]| texts.iter().map(|text| format!("\"{text}\"")).collect::<Vec<_>>().join(", ");
        text.push_str(&format!("    scopes: [{}]\n", quoted(plan.scopes)));
        if !plan.redirects.is_empty() {
            text.push_str(&format!("    redirectUris: [{}]\n", quoted(plan.redirects)));
        }
        for line in plan.more {
            text.push_str(&format!("    {line}\n"));
        }
    }
    text
}

/// Lists the administrators.
pub(super) fn admins(state: &Path) -> Vec<SandboxAdmin> {
    let admin = |(id, roles): &(&str, &[&str])| SandboxAdmin {
        id: (*id).to_owned(),
        roles: roles.iter().map(ToString::to_string).collect(),
        token_file: files::admin_token(state, id).display().to_string(),
    };
    ADMINS.iter().map(admin).collect()
}

/// Lists the synthetic people whose verifications end in a known way.
pub(super) fn subjects() -> Vec<SandboxSubject> {
    let subject = |subject: personas::Subject| SandboxSubject {
        iin: subject.iin.as_str().to_owned(),
        scenario: subject.scenario.as_str().to_owned(),
        iban: subject.iban.as_str().to_owned(),
    };
    personas::subjects().into_iter().map(subject).collect()
}
