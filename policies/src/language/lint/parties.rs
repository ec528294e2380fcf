//! What is weak about organisations and clients, and what is defined and does nothing.

use std::collections::HashMap;
use std::net::IpAddr;

use super::report::Report;
use super::rules::{
    KEY_SHARED, NETWORK_OPEN, NETWORK_WIDE, NONCE_OPTIONAL, NOT_A_BANK, NOTHING_TO_GRANT, NOTHING_TO_SHOW, PLAN_UNUSED,
    RULE_OFF, RULE_REPORTED, SCOPE_UNUSABLE, UNUSED,
};
use crate::consent::ConsentKind;
use crate::language::compile::Compiled;
use crate::language::suggest::listed;
use crate::rulebook::{
    Client, ClientAuthentication, ConsentHolder, KeySource, OperationPolicy, Role, Rulebook, TokenBinding,
};

/// Looks at who is connected and what is defined.
pub(super) fn look(report: &mut Report<'_>, compiled: &Compiled) {
    networks(report, &compiled.rulebook);
    clients(report, &compiled.rulebook);
    unused(report, &compiled.rulebook);
    modes(report);
}

fn networks(report: &mut Report<'_>, rulebook: &Rulebook) {
    for organisation in rulebook.organisations.values() {
        let id = organisation.id.as_str();
        let path = ["organisations", id, "networks"];
        for text in report.written.value(&path).unwrap_or_default().to_vec() {
            let Some((address, bits)) = text.split_once('/') else { continue };
            let (Ok(address), Ok(bits)) = (address.parse::<IpAddr>(), bits.parse::<u8>()) else { continue };
            if bits == 0 {
                let message = format!("`{text}` lets `{id}` call from everywhere");
                report.tell(&NETWORK_OPEN, &path, message, "name its networks, or leave `networks` out");
            } else if bits < if address.is_ipv4() { 8 } else { 16 } {
                let message = format!("`{text}` is more than `{id}` can have");
                report.tell(&NETWORK_WIDE, &path, message, "name its networks one by one");
            }
        }
    }
}

fn clients(report: &mut Report<'_>, rulebook: &Rulebook) {
    let mut clients: Vec<&Client> = rulebook.clients.values().map(AsRef::as_ref).collect();
    clients.sort_by(|a, b| a.id.cmp(&b.id));
    let mut keys: HashMap<String, &Client> = HashMap::new();
    for client in clients {
        let id = client.id.as_str();
        let roles = &client.organisation.roles;
        let callable = |scope: &str| {
            let asks = rulebook.operations.values().filter(|policy| policy.scopes.contains(scope));
            asks.into_iter().any(|policy| policy.roles.is_empty() || !policy.roles.is_disjoint(roles))
        };
        let idle: Vec<&str> = client.scopes.iter().filter(|scope| !callable(scope)).collect();
        if !idle.is_empty() {
            let message = format!("`{id}` can never use {}", listed(idle.iter().copied()));
            let help = "no exposed operation asks for it of an organisation with these roles";
            report.tell(&SCOPE_UNUSABLE, &["clients", id, "scopes"], message, help);
        }
        consents(report, rulebook, client);
        let ClientAuthentication::PrivateKeyJwt(KeySource::Given(set)) = &client.authentication else { continue };
        for key in set.iter() {
            if let Some(other) = keys.insert(key.thumbprint().as_str().to_owned(), client) {
                let message = format!("`{id}` and `{}` have the same key", other.id);
                report.tell(&KEY_SHARED, &["clients", id, "keys"], message, "give each client a key of its own");
            }
        }
    }
}

fn consents(report: &mut Report<'_>, rulebook: &Rulebook, client: &Client) {
    let id = client.id.as_str();
    let roles = &client.organisation.roles;
    let callable = |policy: &&OperationPolicy| {
        policy.scopes.iter().all(|scope| client.scopes.contains(scope))
            && (policy.roles.is_empty() || !policy.roles.is_disjoint(roles))
    };
    let needing = || rulebook.operations.values().map(AsRef::as_ref).filter(|policy| policy.consent.is_some());
    let terms = &client.oauth;
    if terms.consents == ConsentHolder::Organisation && !roles.contains(&Role::Bank) {
        let message = format!("no citizen is asked what `{id}` may do");
        let help = "write `consents: gateway`, or have the organisation licensed as a bank";
        report.tell(&NOT_A_BANK, &["clients", id, "consents"], message, help);
    }
    let needs = needing().find(callable);
    if needs.is_none() && !terms.redirect_uris.is_empty() {
        let message = format!("no citizen can grant `{id}` anything");
        let help = "take the addresses away, or give it a scope of an operation with a `consent`";
        report.tell(&NOTHING_TO_GRANT, &["clients", id, "redirectUris"], message, help);
    }
    let asks = terms.consents == ConsentHolder::Gateway && terms.issuer.is_none();
    if let Some(policy) = needs.filter(|_| asks && terms.redirect_uris.is_empty()) {
        let message = format!("no citizen can ever agree that `{id}` calls `{}`", policy.operation);
        report.tell(&NOTHING_TO_SHOW, &["clients", id], message, "add `redirectUris`, or take the scope away");
    }
    let pays = needing()
        .filter(callable)
        .any(|policy| policy.consent.as_ref().is_some_and(|need| need.kind == ConsentKind::DomesticPayment));
    if pays && !terms.nonce && client.binding != TokenBinding::Mtls {
        let message = format!("proofs of `{id}` for payments need no nonce");
        report.tell(&NONCE_OPTIONAL, &["clients", id, "tokens", "nonce"], message, "say `nonce: required`");
    }
}

fn unused(report: &mut Report<'_>, rulebook: &Rulebook) {
    let kinds = [
        ("limits", "limit"),
        ("fraud", "fraud rule"),
        ("stepUp", "step-up rule"),
        ("masking", "mask"),
        ("upstreams", "upstream"),
        ("issuers", "issuer"),
        ("plans", "plan"),
    ];
    for (section, what) in kinds {
        let idle: Vec<String> = report
            .written
            .names(section)
            .map(|(name, _)| name)
            .filter(|name| !report.written.is_named(section, name))
            .map(str::to_owned)
            .collect();
        for name in idle {
            let path = [section, &name];
            if section != "plans" {
                let message = format!("nothing names the {what} `{name}`");
                report.tell(&UNUSED, &path, message, "name it where it should work, or take it away");
            } else if !rulebook.clients.is_empty() {
                // A set without clients is a part of one, for others to build on.
                let message = format!("no client has the plan `{name}`");
                report.tell(&PLAN_UNUSED, &path, message, "give it to a client, or take it away");
            }
        }
    }
    let scopes: Vec<String> = report.written.names("scopes").map(|(name, _)| name.to_owned()).collect();
    for scope in scopes {
        if !rulebook.operations.values().any(|policy| policy.scopes.contains(&scope)) {
            let message = format!("no exposed operation asks for the scope `{scope}`");
            report.tell(
                &UNUSED,
                &["scopes", &scope],
                message,
                "name it in `requires` of an operation, or take it away",
            );
        }
    }
}

fn modes(report: &mut Report<'_>) {
    for (section, what) in [("limits", "limit"), ("fraud", "fraud rule")] {
        let names: Vec<String> = report.written.names(section).map(|(name, _)| name.to_owned()).collect();
        for name in names {
            let path = [section, &name, "mode"];
            let (rule, told, help) = match report.written.value(&path) {
                Some([mode]) if mode == "report" => {
                    (&RULE_REPORTED, "refuses nobody yet", "put it into the mode `enforce`")
                }
                Some([mode]) if mode == "off" => {
                    (&RULE_OFF, "is not judged", "take it away, or put it into the mode `report`")
                }
                _ => continue,
            };
            report.tell(rule, &path, format!("the {what} `{name}` {told}"), help);
        }
    }
}
