//! OAuth clients: how they authenticate, what they may ask for, and what they may have of the authorization server.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::keys::{KeyFiles, Written, certificates, source, written};
use super::names::Names;
use super::parties::{ScopeRule, scopes};
use super::webhook::{Allowed, webhook};
use crate::authorization::redirect::{self, RedirectError};
use crate::id::{ClientId, IssuerId};
use crate::issuer::Issuer;
use crate::language::decode::{Fields, Value};
use crate::language::problem::{Problem, quoted};
use crate::language::suggest::listed;
use crate::language::tables::CLIENT;
use crate::party::DistinguishedName;
use crate::rulebook::{
    CertificateName, Client, ClientAuthentication, ConsentHolder, OauthTerms, Organisation, Plan, ScopeSet,
    TokenBinding,
};

/// The longest name in the DNS (RFC 1035, 2.3.4), in characters as written.
const DNS_NAME_MAX: usize = 253;

/// The most addresses that citizens may be sent back to: one for each app and page of a client, and tests beside them.
pub const REDIRECT_URIS_MAX: usize = 16;

/// What clients may refer to.
pub(super) struct Known<'a> {
    pub(super) organisations: &'a Names<'a, Arc<Organisation>>,
    pub(super) plans: &'a Names<'a, Arc<Plan>>,
    pub(super) issuers: &'a Names<'a, Arc<Issuer>>,
    pub(super) scopes: &'a BTreeSet<String>,
    pub(super) scope_rules: &'a Names<'a, ScopeRule>,
    pub(super) files: &'a KeyFiles<'a>,
    pub(super) allowed: Allowed,
}

pub(super) fn client(id: &str, value: Value<'_>, known: &Known<'_>) -> Option<Arc<Client>> {
    let fields = value.table(&CLIENT)?;
    let organisation = fields.at("organisation").and_then(|value| known.organisations.resolve(value, "organisation"));
    let plan = fields.at("plan").and_then(|value| known.plans.resolve(value, "plan"));
    let authentication = authentication(&fields, known);
    let tokens = fields.at("tokens").and_then(Value::mapping);
    let binding = tokens.as_ref().and_then(|fields| fields.at("bind")?.word(binding));
    let scopes = fields.at("scopes").and_then(scopes);
    for (scope, value) in scopes.iter().flatten() {
        if !known.scopes.contains(*scope) {
            value.unknown("P0314", "scope", scope, known.scopes.iter().map(String::as_str));
        } else if let Some(organisation) = organisation {
            refuse_foreign_scope(organisation, scope, *value, known.scope_rules);
        }
    }
    let suspended = fields.at("suspended").map_or(Some(false), Value::boolean);
    let webhook = fields.at("webhook").map_or(Some(None), |value| webhook(value, known.allowed).map(Some));
    let oauth = oauth(&fields, tokens.as_ref(), known.issuers);
    Some(Arc::new(Client {
        id: ClientId::parse(id).ok()?,
        organisation: Arc::clone(organisation?),
        authentication: authentication?,
        binding: binding?,
        scopes: ScopeSet::of(scopes?.into_iter().map(|(scope, _)| scope)),
        plan: Arc::clone(plan?),
        suspended: suspended?,
        webhook: webhook?,
        oauth: oauth?,
    }))
}

fn oauth(fields: &Fields<'_>, tokens: Option<&Fields<'_>>, issuers: &Names<'_, Arc<Issuer>>) -> Option<OauthTerms> {
    let redirect_uris = fields.at("redirectUris").map_or(Some(BTreeSet::new()), redirect_uris);
    let nonce = tokens.and_then(|fields| fields.at("nonce")).map_or(Some(false), |value| value.word(nonce));
    let consents = fields.at("consents").map_or(Some(ConsentHolder::Gateway), |value| value.word(holder));
    let introspects = fields.at("introspects").map_or(Some(false), Value::boolean);
    let issuer: Option<Option<IssuerId>> = fields
        .at("issuer")
        .map_or(Some(None), |value| issuers.resolve(value, "issuer").map(|found| Some(found.id.clone())));
    if let (Some(value), true) = (fields.at("redirectUris"), fields.at("issuer").is_some()) {
        value.report(
            Problem::error("P0206", value.key_place(), "citizens do not authorize this client here")
                .label("its tokens come from another authorization server")
                .help("remove `redirectUris`, or `issuer`"),
        );
    }
    Some(OauthTerms {
        redirect_uris: redirect_uris?,
        nonce: nonce?,
        consents: consents?,
        introspects: introspects?,
        issuer: issuer?,
    })
}

/// Reads whether proofs need a nonce.
pub(super) fn nonce(word: &str) -> Option<bool> {
    match word {
        "optional" => Some(false),
        "required" => Some(true),
        _ => None,
    }
}

/// Reads who holds consents.
pub(super) fn holder(word: &str) -> Option<ConsentHolder> {
    match word {
        "gateway" => Some(ConsentHolder::Gateway),
        "organisation" => Some(ConsentHolder::Organisation),
        _ => None,
    }
}

/// Reads where citizens may be sent back to.
pub(super) fn redirect_uris(value: Value<'_>) -> Option<BTreeSet<String>> {
    let found = value.items(|item| Some((redirect_uri(item)?, item)))?;
    if let Some((_, item)) = found.get(REDIRECT_URIS_MAX) {
        item.report(
            item.fault("P0105", "`redirectUris` names too many addresses")
                .label(format!("at most {REDIRECT_URIS_MAX}")),
        );
        return None;
    }
    // None at all is what it is if it is left out.
    if found.is_empty() { Some(BTreeSet::new()) } else { super::lists::distinct(value, found, "address") }
}

fn redirect_uri(value: Value<'_>) -> Option<String> {
    let text = value.text()?;
    let error = match redirect::check(text) {
        Ok(()) => return Some(text.to_owned()),
        Err(error) => error,
    };
    let help = match error {
        RedirectError::Scheme => {
            "write `https://`; a native app may have `http://127.0.0.1:8080/...` (RFC 8252, 7.3), or an https link that it claims"
        }
        RedirectError::Fragment => "leave out `#` and what follows (RFC 6749, 3.1.2)",
        RedirectError::Query => "leave that parameter out of the query: the app could not tell whose it is",
        RedirectError::TooLong
        | RedirectError::BadCharacter
        | RedirectError::UserInformation
        | RedirectError::Host
        | RedirectError::Path => {
            "it is compared byte for byte: write it in full and plainly, for example `https://app.example.kz/back`"
        }
    };
    value.report(
        value.fault("P0206", format!("nobody is sent back to {}", quoted(text))).label(error.to_string()).help(help),
    );
    None
}

fn binding(word: &str) -> Option<TokenBinding> {
    match word {
        "dpop" => Some(TokenBinding::Dpop),
        "mtls" => Some(TokenBinding::Mtls),
        "either" => Some(TokenBinding::Either),
        _ => None,
    }
}

fn refuse_foreign_scope(organisation: &Organisation, scope: &str, value: Value<'_>, rules: &Names<ScopeRule>) {
    let Some((roles, place)) = rules.get(scope).and_then(|rule| rule.roles.as_ref()) else { return };
    if roles.is_disjoint(&organisation.roles) {
        let needed = listed(roles.iter().map(|role| role.word()));
        value.report(
            value
                .fault("P0315", format!("`{}` may not have the scope {}", organisation.id, quoted(scope)))
                .label("its organisation has none of the roles for it")
                .related(place, format!("for {needed} only"))
                .help("remove the scope here, or have the organisation licensed for it"),
        );
    }
}

/// How a client shows who it is, as the word says.
#[derive(Clone, Copy, PartialEq)]
enum Method {
    Assertion,
    Certificate,
    OwnCertificate,
}

impl Method {
    fn from_word(word: &str) -> Option<Self> {
        match word {
            "private_key_jwt" => Some(Self::Assertion),
            "tls_client_auth" => Some(Self::Certificate),
            "self_signed_tls_client_auth" => Some(Self::OwnCertificate),
            _ => None,
        }
    }

    const fn needed_and_needless(self) -> (&'static str, &'static str) {
        match self {
            Self::Certificate => ("certificate", "keys"),
            Self::Assertion | Self::OwnCertificate => ("keys", "certificate"),
        }
    }
}

fn authentication(fields: &Fields<'_>, known: &Known<'_>) -> Option<ClientAuthentication> {
    let value = fields.at("authentication");
    let method = value.and_then(|value| value.word(Method::from_word));
    // What is given is checked even if the method is missing or does not fit it.
    let keys = fields.at("keys").and_then(|value| written(value, known.files));
    let read = keys.and_then(|keys| credentials(keys, method, known.allowed));
    let certificate = fields.at("certificate").and_then(certificate_name);
    let (value, method) = (value?, method?);
    let (needed, needless) = method.needed_and_needless();
    if let Some(needless) = fields.at(needless) {
        needless.report(
            Problem::error(
                "P0204",
                needless.key_place(),
                format!("{} does not fit how the client authenticates", needless.name()),
            )
            .label("of no use")
            .related(value.place(), format!("this method uses `{needed}`"))
            .help("FAPI 2.0 has a client authenticate in one way; remove the other"),
        );
    }
    if fields.at(needed).is_none() {
        value.report(
            value
                .fault("P0204", format!("`{needed}` is missing"))
                .label(format!("this method needs `{needed}`"))
                .related(fields.owner().key_place(), "in this client"),
        );
    }
    match method {
        Method::Certificate => certificate.map(ClientAuthentication::TlsClientAuth),
        Method::Assertion | Method::OwnCertificate => read,
    }
}

fn credentials(keys: Written<'_, '_>, method: Option<Method>, allowed: Allowed) -> Option<ClientAuthentication> {
    match method {
        Some(Method::OwnCertificate) => certificates(keys).map(ClientAuthentication::SelfSignedTlsClientAuth),
        _ => source(keys, allowed).map(ClientAuthentication::PrivateKeyJwt),
    }
}

fn certificate_name(value: Value<'_>) -> Option<CertificateName> {
    let fields = value.mapping()?;
    let names = ["sanDns", "sanUri", "sanIp", "sanEmail", "subjectDn"];
    let given: Vec<_> = names.iter().filter_map(|name| fields.at(name).map(|value| (*name, value))).collect();
    let [(name, given)] = given.as_slice() else {
        if let Some((_, second)) = given.get(1) {
            second.report(
                Problem::error("P0207", second.key_place(), "a client is known by one name in its certificate")
                    .label("one too many")
                    .help("keep the name that its authority vouches for"),
            );
        } else if !names.iter().any(|name| fields.may_have(name)) {
            value.report(
                Problem::error("P0102", value.key_place(), "`certificate` names nobody")
                    .label("no name is said in here")
                    .help(format!("one of: {}", listed(names))),
            );
        }
        return None;
    };
    name_of(name, *given)
}

fn name_of(kind: &str, value: Value<'_>) -> Option<CertificateName> {
    match kind {
        "sanDns" => value
            .parsed("a DNS name", "client.example.kz (lower case, no wildcard)", |text| {
                (text.len() <= DNS_NAME_MAX && text.contains('.') && text.split('.').all(is_label))
                    .then(|| text.to_owned())
            })
            .map(CertificateName::SanDns),
        "sanUri" => value
            .parsed("a URI", "spiffe://example.kz/app (as in the certificate, byte for byte)", |text| {
                let (scheme, rest) = text.split_once(':')?;
                let plain = text.bytes().all(|byte| byte.is_ascii_graphic()) && text.len() <= URI_BYTES_MAX;
                let known = scheme.starts_with(|first: char| first.is_ascii_alphabetic());
                (plain && known && !rest.is_empty()).then(|| text.to_owned())
            })
            .map(CertificateName::SanUri),
        "sanIp" => value
            .parsed("an address", "203.0.113.7 or 2001:db8::7 (of one machine, in full)", |text| text.parse().ok())
            .map(CertificateName::SanIp),
        "sanEmail" => value
            .parsed("a mail address", "api@example.kz (as in the certificate, byte for byte)", |text| {
                let (person, host) = text.split_once('@')?;
                let plain = text.bytes().all(|byte| byte.is_ascii_graphic()) && text.len() <= DNS_NAME_MAX;
                (plain && !person.is_empty() && host.contains('.') && !host.contains('@')).then(|| text.to_owned())
            })
            .map(CertificateName::SanEmail),
        _ => value.read("P0207", DistinguishedName::parse).map(CertificateName::SubjectDn),
    }
}

/// The longest URI in a certificate, in bytes: SPIFFE allows 2048, and a text here has 1024.
const URI_BYTES_MAX: usize = 1024;

fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label.len() <= 63
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}
