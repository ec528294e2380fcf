//! Reads from a record what rules care for, so that its decision can be judged again.
//!
//! Records of every age are read: what an older one does not tell is not there, and nothing is guessed.

use policies::consent::ConsentKind;
use policies::id::{ClientId, OperationId};
use policies::national::money::Money;
use policies::rehearse::Recorded;
use policies::rulebook::ScopeSet;
use policies::time::Timestamp;
use serde::Deserialize;

/// The end of one request, as its record tells it.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The interaction.
    pub interaction: String,
    /// The organisation whose client called.
    pub organisation: Option<String>,
    /// What rules care for.
    pub recorded: Recorded,
}

/// Reads the text of a record; none if it is not the end of a request: an intent, a settlement, a note of the trail.
///
/// # Errors
/// What cannot be read of it.
pub fn outcome(payload: &[u8]) -> Result<Option<Outcome>, String> {
    let kind: Kind = serde_json::from_slice(payload).map_err(|_| "it is no record".to_owned())?;
    if kind.kind != "outcome" {
        return Ok(None);
    }
    let wire: Wire = serde_json::from_slice(payload).map_err(|error| {
        // What serde says of a value may quote it.
        format!("a member has another form than records have, at column {}", error.column())
    })?;
    let recorded = recorded(&wire).map_err(|member| format!("its `{member}` cannot be read"))?;
    Ok(Some(Outcome { interaction: wire.interaction, organisation: wire.organisation, recorded }))
}

fn recorded(wire: &Wire) -> Result<Recorded, &'static str> {
    Ok(Recorded {
        received: Some(Timestamp::parse(&wire.received).ok_or("received")?),
        operation: read(wire.operation.as_deref(), "operation", |text| OperationId::parse(text).ok())?,
        client: read(wire.client.as_deref(), "client", |text| ClientId::parse(text).ok())?,
        scopes: read(wire.scopes.as_deref(), "scopes", ScopeSet::parse)?,
        peer: read(wire.peer.as_deref(), "peer", |text| text.parse().ok())?,
        limits: wire.limits.iter().map(|limit| limit.id.clone()).collect(),
        exhausted: wire.exhausted.clone(),
        consents: match &wire.consents {
            Some(consents) => Some(consents.iter().map(consent).collect::<Option<_>>().ok_or("consents")?),
            None => None,
        },
        reports: wire.reports.iter().map(|rule| (rule.kind.clone(), rule.name.clone())).collect(),
        amount: read(wire.amount.as_deref(), "amount", money)?.map(|money| (money, wire.amount_at.clone())),
        identity: match &wire.identity {
            Some(identity) => Some((identity.acr.clone(), Timestamp::parse(&identity.expires).ok_or("identity")?)),
            None => None,
        },
        steps: wire.steps.iter().map(|step| (step.stage.clone(), step.decision.clone())).collect(),
    })
}

fn consent(wire: &Consent) -> Option<(ConsentKind, bool)> {
    Some((ConsentKind::from_word(&wire.kind)?, wire.kept))
}

fn read<T>(
    text: Option<&str>,
    member: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, &'static str> {
    text.map(|text| parse(text).ok_or(member)).transpose()
}

fn money(text: &str) -> Option<Money> {
    let (amount, currency) = text.split_once(' ')?;
    Money::parse(amount, currency).ok()
}

#[derive(Deserialize)]
struct Kind {
    kind: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    interaction: String,
    received: String,
    operation: Option<String>,
    client: Option<String>,
    organisation: Option<String>,
    scopes: Option<String>,
    peer: Option<String>,
    #[serde(default)]
    limits: Vec<Limit>,
    exhausted: Option<String>,
    consents: Option<Vec<Consent>>,
    #[serde(default)]
    reports: Vec<Rule>,
    amount: Option<String>,
    amount_at: Option<String>,
    identity: Option<Identity>,
    #[serde(default)]
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Limit {
    id: String,
}

#[derive(Deserialize)]
struct Consent {
    kind: String,
    kept: bool,
}

#[derive(Deserialize)]
struct Rule {
    kind: String,
    name: String,
}

#[derive(Deserialize)]
struct Identity {
    acr: String,
    expires: String,
}

#[derive(Deserialize)]
struct Step {
    stage: String,
    decision: String,
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    const OLD: &str = r#"{"at":"2026-11-22T10:00:00.250Z","kind":"outcome","interaction":"i-1","received":"2026-11-22T10:00:00.000Z",
        "operation":"pay","client":"demo-app","organisation":"demo","scopes":"a b","steps":[{"stage":"route","decision":"pass","micros":3}],
        "amount":"250.00 KZT","status":201,"ending":"answered","generation":1}"#;

    #[test]
    fn what_is_no_end_of_a_request_is_passed_over() {
        for kind in ["intent", "settlement", "head", "gap", "begin"] {
            let text = OLD.replace("outcome", kind);
            assert!(outcome(text.as_bytes()).unwrap().is_none(), "{kind}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_told_without_its_value() {
        for (old, new, told) in [
            ("250.00 KZT", "secret", "its `amount` cannot be read"),
            ("2026-11-22T10:00:00.000Z", "secret", "its `received` cannot be read"),
            ("\"pay\"", "\"secret secret\"", "its `operation` cannot be read"),
            ("\"scopes\":\"a b\"", "\"scopes\":[\"secret\"]", "another form"),
            ("{\"at\"", "secret{\"at\"", "it is no record"),
        ] {
            let said = outcome(OLD.replace(old, new).as_bytes()).unwrap_err();
            assert!(said.contains(told) && !said.contains("secret"), "{said}");
        }
    }

    #[test]
    fn records_of_every_age_are_read() {
        let old = outcome(OLD.as_bytes()).unwrap().unwrap();
        assert_eq!((old.interaction.as_str(), old.organisation.as_deref()), ("i-1", Some("demo")));
        let recorded = old.recorded;
        assert_eq!(recorded.amount.map(|(money, at)| (money.tiyn(), at)), Some((25_000, None)));
        assert_eq!((recorded.peer, recorded.identity, recorded.limits), (None, None, Vec::new()));
        assert_eq!(recorded.steps, [("route".to_owned(), "pass".to_owned())]);
        let newer = OLD.replace(
            "\"amount\"",
            r#""peer":"10.0.0.1","amountAt":"/x","limits":[{"id":"plan","key":"k"}],"reports":[{"kind":"limit","name":"plan"}],
               "identity":{"verification":"v","acr":"L2","expires":"2026-11-22T11:00:00.000Z"},"amount""#,
        );
        let recorded = outcome(newer.as_bytes()).unwrap().unwrap().recorded;
        assert_eq!(recorded.peer, Some([10, 0, 0, 1].into()));
        assert_eq!(recorded.amount.and_then(|(_, at)| at).as_deref(), Some("/x"));
        assert_eq!((recorded.limits.len(), recorded.reports.len()), (1, 1));
        assert_eq!(recorded.identity.map(|(acr, _)| acr).as_deref(), Some("L2"));
    }
}
