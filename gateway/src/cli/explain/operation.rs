//! `qaqpa explain operation ID`: what applies to an operation, which line of which file says so, and who may call it.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use policies::decide::could_call;
use policies::facts::{OperationFacts, Security};
use policies::language::Place;
use policies::language::compile::uncounted;
use policies::language::effective::{Effective, Layer, Row};
use policies::language::suggest::{did_you_mean, listed};
use policies::language::written::Written;
use policies::limit::Limit;
use policies::rulebook::{Client, ConsentHolder, OperationPolicy};
use serde_json::{Value, json};

use super::limit::shown;
use crate::cli::process::{CONFIGURATION, FAILED, FINE};
use crate::cli::sets::{Set, SetArguments};
use crate::cli::terminal::{colour, complain, say};

/// Where a client is thought to call from if its organisation names no network; any address does then.
const ANYWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// What is asked of an operation.
pub(super) struct Asked<'a> {
    /// Of which set.
    pub(super) set: &'a SetArguments,
    /// The operation.
    pub(super) id: &'a str,
    /// The client that would call it.
    pub(super) client: Option<&'a str>,
    /// From where.
    pub(super) peer: Option<IpAddr>,
    /// Whether a program reads the answer.
    pub(super) json: bool,
}

/// Tells of one operation.
pub(super) fn run(asked: &Asked<'_>) -> u8 {
    let set = match Set::read(asked.set) {
        Ok(set) => set,
        Err(findings) => {
            complain(&findings.render(colour()));
            return CONFIGURATION;
        }
    };
    match page(&set, asked) {
        Ok(page) => {
            say(&if asked.json { format!("{}\n", page.to_json()) } else { page.told() });
            FINE
        }
        Err(text) => {
            complain(&format!("error: {text}"));
            FAILED
        }
    }
}

fn page<'s>(set: &'s Set, asked: &Asked<'_>) -> Result<Page<'s>, String> {
    let id = asked.id;
    let rulebook = &set.compiled.rulebook;
    let Some(facts) = set.facts.iter().find(|facts| facts.id == id) else {
        let known = set.facts.iter().map(|facts| facts.id.as_str());
        let help =
            did_you_mean(id, known).map_or("see `qaqpa routes`".to_owned(), |word| format!("did you mean `{word}`?"));
        return Err(format!("no contract describes the operation `{id}`; {help}"));
    };
    let Some((_, policy)) = rulebook.operations.iter().find(|(known, _)| known.as_str() == id) else {
        let path = format!("apis.{}.operations.{id}", facts.api);
        return Err(format!(
            "`{id}` is described at {} and no policy exposes it, so that it does not exist; `{path}` would",
            facts.origin
        ));
    };
    let client = match asked.client {
        None => None,
        Some(id) => Some(rulebook.clients.values().find(|client| client.id.as_str() == id).ok_or_else(|| {
            let mut known: Vec<&str> = rulebook.clients.keys().map(policies::id::ClientId::as_str).collect();
            known.sort_unstable();
            let help = match did_you_mean(id, known.iter().copied()) {
                Some(word) => format!("did you mean `{word}`?"),
                None if known.is_empty() => "the set defines none".to_owned(),
                None => format!("known: {}", listed(known)),
            };
            format!("no client `{id}`; {help}")
        })?),
    };
    let path = ["apis", policy.api.as_str(), "operations", id];
    let below = |row: &&Row| row.path.len() > path.len() && row.path.iter().zip(path).all(|(a, b)| a == b);
    let rows: Vec<&Row> = set.compiled.effective.rows.iter().filter(below).collect();
    let verdict = client.map(|client| verdict(policy, client, asked.peer, set));
    let (written, client) = (Written::of(&set.files), client.map(AsRef::as_ref));
    let rules = named(&rows, &set.compiled.effective, &written);
    Ok(Page { facts, policy, rows, rules, written, client, verdict })
}

/// Whether a client may call, and if not, why.
struct Verdict {
    peer: IpAddr,
    // What the refusal is called, what the client reads, and the rule that says so.
    refusal: Option<(String, String, Option<String>)>,
}

fn verdict(policy: &OperationPolicy, client: &Client, peer: Option<IpAddr>, set: &Set) -> Verdict {
    let network = client.organisation.networks.first().map(policies::network::AddressRange::first);
    let peer = peer.or(network).unwrap_or(ANYWHERE);
    let refusal = could_call(policy, client, peer, set.now).err().map(|denial| {
        let code = format!("{:?}", denial.refusal.code());
        (code, denial.refusal.detail(), denial.rule.map(|rule| rule.to_string()))
    });
    Verdict { peer, refusal }
}

struct Page<'s> {
    facts: &'s OperationFacts,
    policy: &'s OperationPolicy,
    rows: Vec<&'s Row>,
    rules: Vec<Named>,
    written: Written,
    client: Option<&'s Client>,
    verdict: Option<Verdict>,
}

/// The keys of an operation that name rules, and the sections in which those stand.
const NAMING: [(&str, &str); 4] = [("limits", "limits"), ("fraud", "fraud"), ("stepUp", "stepUp"), ("mask", "masking")];

/// A rule that an operation names.
struct Named {
    section: &'static str,
    name: String,
    // What it says itself, in the words of the language.
    says: String,
    place: String,
}

fn named(rows: &[&Row], effective: &Effective, written: &Written) -> Vec<Named> {
    let key = |row: &Row| NAMING.iter().find(|(key, _)| row.path.get(4..).is_some_and(|rest| rest == [*key])).copied();
    let naming = rows.iter().filter_map(|row| Some((key(row)?.1, &row.value)));
    let rule = |(section, name): (&'static str, &String)| {
        let path = [section, name.as_str()];
        let own: Vec<&Row> = effective.below(&path).filter(|row| row.place.is_some()).collect();
        let place = written.place(&path)?.origin();
        let says = own.iter().map(|row| {
            let key = row.path.get(2..).unwrap_or_default().join(".");
            format!("{key} {}", row.value.join(" ")).trim().to_owned()
        });
        Some(Named { section, name: name.clone(), says: says.collect::<Vec<_>>().join(", "), place })
    };
    naming.flat_map(|(section, names)| names.iter().map(move |name| (section, name))).filter_map(rule).collect()
}

/// A value that a layer gave and a later one changed.
struct Link {
    layer: Layer,
    value: String,
    place: String,
}

/// A limit, by the name that a refused client is told.
struct Told<'l> {
    limit: &'l Limit,
    says: String,
    // What names it.
    of: String,
}

impl Told<'_> {
    fn to_json(&self) -> Value {
        json!({"name": &*self.limit.id, "says": self.says, "of": self.of})
    }
}

impl Page<'_> {
    fn told(&self) -> String {
        let (facts, policy) = (self.facts, self.policy);
        let mut text = format!("{}  {} {}\n\n", facts.id, facts.method, facts.template);
        let _ = writeln!(text, "  contract  {}  {}", facts.origin, self.callers());
        let _ = writeln!(text, "  policy    {}", policy.origin);
        let mut contract = Vec::new();
        if facts.idempotent {
            contract.push("done once per x-idempotency-key");
        }
        if facts.own {
            contract.push("answered by the gateway itself");
        }
        if !contract.is_empty() {
            let _ = writeln!(text, "            {}", contract.join("; "));
        }
        text.push('\n');
        self.values(&mut text);
        self.rules(&mut text);
        self.limits(&mut text);
        self.says(&mut text);
        text
    }

    fn values(&self, text: &mut String) {
        let key = |row: &Row| row.path.get(4..).unwrap_or_default().join(".");
        let value = |row: &Row| if row.value.is_empty() { "-".to_owned() } else { row.value.join(" ") };
        let widths = |of: &dyn Fn(&Row) -> usize| self.rows.iter().map(|row| of(row)).max().unwrap_or(0).min(48);
        let (first, second) = (widths(&|row| key(row).chars().count()), widths(&|row| value(row).chars().count()));
        for row in &self.rows {
            let place = row.place.as_ref().map_or(String::new(), |place| format!("  {}", place.origin()));
            let line = format!("  {:first$}  {:second$}  {}{place}", key(row), value(row), row.layer.words());
            let _ = writeln!(text, "{}", line.trim_end());
            for link in self.chain(row) {
                let _ = writeln!(
                    text,
                    "  {:first$}    instead of {}, {}  {}",
                    "",
                    link.value,
                    link.layer.words(),
                    link.place
                );
            }
        }
    }

    fn rules(&self, text: &mut String) {
        if self.rules.is_empty() {
            return;
        }
        text.push_str("\nRules:\n");
        let width = self.rules.iter().map(|rule| rule.section.len() + 1 + rule.name.chars().count()).max();
        let width = width.unwrap_or(0).min(48);
        for Named { section, name, says, place } in &self.rules {
            let _ = writeln!(text, "  {:width$}  {says}  {place}", format!("{section} {name}"));
        }
    }

    // What wider layers say of a key that a narrower one gave.
    fn chain(&self, row: &Row) -> Vec<Link> {
        let keys: Vec<&str> = row.path.iter().skip(4).map(String::as_str).collect();
        let api = ["apis", self.policy.api.as_str(), "defaults"];
        let layers: [(Layer, &[&str]); 2] = [(Layer::ApiDefaults, &api), (Layer::Defaults, &["defaults"])];
        let wider = layers.into_iter().filter(|(layer, _)| *layer < row.layer);
        let link = |(layer, path): (Layer, &[&str])| {
            let path: Vec<&str> = path.iter().chain(&keys).copied().collect();
            let value = self.written.value(&path)?;
            let place = self.written.place(&path)?.origin();
            (value != row.value).then(|| Link { layer, value: value.join(" "), place })
        };
        wider.filter_map(link).collect()
    }

    fn callers(&self) -> &'static str {
        match self.policy.security {
            Security::Public => "anybody may call it",
            Security::AccessToken => "called with an access token",
            Security::ClientAuthentication => "the client authenticates itself with the request",
            Security::SignedCallback => "called back by identity providers, signed",
            Security::Administrator => "called by administrators",
        }
    }

    fn limits(&self, text: &mut String) {
        let (own, planned) = (self.own_limits(), self.planned_limits());
        if own.is_empty() && planned.is_empty() {
            return;
        }
        text.push_str("\nLimits:\n");
        let width = own.iter().chain(&planned).map(|told| told.limit.id.len()).max().unwrap_or(0).min(48);
        for Told { limit, says, of } in own.iter().chain(&planned) {
            let _ = writeln!(text, "  {:width$}  {says}, of {of}", limit.id);
        }
    }

    fn own_limits(&self) -> Vec<Told<'_>> {
        self.policy.limits.iter().filter_map(|limit| self.limit(limit, self.layer(limit).to_owned())).collect()
    }

    fn planned_limits(&self) -> Vec<Told<'_>> {
        let plan = self.client.map(|client| &client.plan);
        let limits = plan.iter().flat_map(|plan| plan.limits.iter().map(move |limit| (plan, limit)));
        limits.filter_map(|(plan, limit)| self.limit(limit, format!("the plan `{}`", plan.id))).collect()
    }

    // What counts only other operations is none of this one's.
    fn limit<'l>(&self, limit: &'l Limit, of: String) -> Option<Told<'l>> {
        if !limit.when.concerns(Some(&self.facts.id)) {
            return None;
        }
        let never = uncounted(limit, self.facts, self.policy.consent.is_some());
        let says = never.map_or_else(|| shown(limit), |reason| format!("counts no call here: it {reason}"));
        Some(Told { limit, says, of })
    }

    // The widest layer that names it: the narrower ones add to that, unless an override replaces it.
    fn layer(&self, limit: &Limit) -> &'static str {
        let replaced = self
            .rows
            .iter()
            .any(|row| row.layer == Layer::Override && row.path.get(4..).is_some_and(|rest| rest == ["limits"]));
        let name = limit.id.split(':').next().unwrap_or_default();
        let names = |path: &[&str]| {
            !replaced && self.written.value(path).is_some_and(|names| names.iter().any(|known| known == name))
        };
        if names(&["defaults", "limits"]) {
            "the defaults of the set"
        } else if names(&["apis", self.policy.api.as_str(), "defaults", "limits"]) {
            "the defaults of the API"
        } else {
            "the operation"
        }
    }

    fn says(&self, text: &mut String) {
        let (Some(client), Some(verdict)) = (self.client, &self.verdict) else { return };
        let _ = match &verdict.refusal {
            None => {
                let of_citizen = self.consent().map_or(String::new(), |kind| {
                    format!("\nIts token has to speak for a citizen who has agreed to it (consent `{kind}`).")
                });
                writeln!(
                    text,
                    "\n`{}` may call it from {}, as far as headers tell; its body is judged at the call.{of_citizen}",
                    client.id, verdict.peer
                )
            }
            Some((_, detail, rule)) => {
                let rule = rule.as_ref().map(|rule| format!("  {rule}\n")).unwrap_or_default();
                write!(text, "\n`{}` may not call it from {}:\n  {detail}\n{rule}", client.id, verdict.peer)
            }
        };
    }

    // The consent that the client is asked for.
    fn consent(&self) -> Option<&'static str> {
        let asked = self.client?.oauth.consents == ConsentHolder::Gateway;
        self.policy.consent.as_ref().filter(|_| asked).map(|need| need.kind.word())
    }

    fn to_json(&self) -> Value {
        let value = |row: &&Row| {
            let chain: Vec<Value> = self
                .chain(row)
                .iter()
                .map(|link| json!({"layer": link.layer.words(), "value": link.value, "at": link.place}))
                .collect();
            let at = row.place.as_ref().map(Place::origin);
            let key = row.path.get(4..).unwrap_or_default().join(".");
            json!({"key": key, "value": row.value, "layer": row.layer.words(), "at": at, "insteadOf": chain})
        };
        let client = self.client.zip(self.verdict.as_ref()).map(|(client, verdict)| {
            let refusal = verdict
                .refusal
                .as_ref()
                .map(|(code, detail, rule)| json!({"code": code, "detail": detail, "rule": rule}));
            let limits: Vec<Value> = self.planned_limits().iter().map(Told::to_json).collect();
            json!({"id": client.id.as_str(), "peer": verdict.peer.to_string(), "may": refusal.is_none(),
                   "consent": self.consent(), "refusal": refusal, "plan": client.plan.id.as_str(), "limits": limits})
        });
        json!({
            "operation": self.facts.id, "method": self.facts.method, "path": self.facts.template, "api": self.facts.api,
            "contract": self.facts.origin, "policy": self.policy.origin, "idempotent": self.facts.idempotent,
            "values": self.rows.iter().map(value).collect::<Vec<_>>(), "client": client,
            "limits": self.own_limits().iter().map(Told::to_json).collect::<Vec<_>>(),
            "rules": self.rules.iter().map(|rule| {
                json!({"section": rule.section, "name": rule.name, "says": rule.says, "at": rule.place})
            }).collect::<Vec<_>>(),
        })
    }
}
