//! Which operations are exposed, to whom, and within which bounds; below the defaults it only gets stricter.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::consent::needed;
use super::contracts::Contracts;
use super::layered::Layered;
use super::layers::{Merge, Union};
use super::limits::uncounted;
use super::names::Names;
use super::overrides::Waiver;
use super::places::{self, Told};
use super::rows::Rows;
use super::rules::{Defined, Triggered, allowed};
use super::settling::{Settling, settled_by};
use super::streams;
use super::terms::{Rules, Terms};
use crate::facts::{OperationFacts, Security};
use crate::id::{ApiId, OperationId};
use crate::language::decode::{Fields, Value};
use crate::language::document::Key;
use crate::language::effective::Layer;
use crate::language::problem::{Coming, Faults, Place, Problem, quoted};
use crate::language::suggest::{did_you_mean, listed};
use crate::language::tables::{API, OPERATION, OVERRIDE, SETTLED_BY};
use crate::limit::{Limit, Mode};
use crate::rulebook::{AuditDuty, OperationPolicy, ScopeSet, Service, Upstream};
use crate::time::Timestamp;

/// How long a body may be if nothing is said, in bytes: larger than any JSON of the contracts.
pub const BODY_BYTES_DEFAULT: usize = 64 * 1024;

/// What operations may refer to.
pub(super) struct Context<'a, 'c, 'n> {
    pub(super) contracts: &'a Contracts<'c>,
    pub(super) upstreams: &'a Names<'n, Upstream>,
    pub(super) rules: Rules<'a, 'n>,
    pub(super) settling: &'a Settling<'a>,
    /// What holds for the whole set.
    pub(super) set: &'a Layered<'a, 'n>,
    pub(super) now: Timestamp,
}

/// Operations that use a mask, with where each is named.
type Users<'a, 'n> = Vec<(&'a OperationFacts, &'n Key)>;

/// What came of the APIs.
#[derive(Default)]
pub(super) struct Found<'a, 'n> {
    /// The exposed operations, with where each is named.
    pub(super) exposed: Vec<(Arc<OperationPolicy>, &'a OperationFacts, &'n Key)>,
    /// The scopes that policies ask for.
    pub(super) asked: BTreeSet<String>,
    /// When an override ends next.
    pub(super) changes_at: Option<Timestamp>,
    pub(super) rows: Rows,
    /// Which operations use a mask.
    pub(super) masked: HashMap<Arc<str>, Users<'a, 'n>>,
    /// Which operations use a mask once the first override of them is over.
    pub(super) masked_later: HashMap<Arc<str>, (Coming, Users<'a, 'n>)>,
    told: Told,
}

/// An API on its way.
struct Api<'t, 'n> {
    id: ApiId,
    service: Option<Service>,
    upstream: Option<Place>,
    /// Where the defaults of the API say something that only some callers can be asked.
    asked: Vec<(&'static str, Place)>,
    owner: Value<'n>,
    inherited: Layered<'t, 'n>,
    // Whether the defaults could be read.
    sound: bool,
}

impl<'c, 'n> Context<'_, 'c, 'n> {
    /// Reads one API.
    pub(super) fn api(&self, key: &'n Key, value: Value<'n>, found: &mut Found<'c, 'n>) -> Option<()> {
        let known = self.known_document(&key.text, value);
        let fields = value.table(&API)?;
        let upstream = fields.at("upstream");
        let service = match upstream {
            None => Some(Service::Own),
            Some(value) => self.upstreams.resolve(value, "upstream").map(|found| Service::Upstream(found.id.clone())),
        };
        let defaults = fields.at("defaults");
        let read = defaults.and_then(Value::mapping).map(|fields| Terms::read(&fields, &self.rules, &mut found.asked));
        let readable = defaults.is_none() || read.is_some();
        // Where the defaults cannot be read, the operations are still checked on their own.
        let terms = read.unwrap_or_default();
        let mut merge =
            Merge { owner: defaults.unwrap_or(value), layer: Layer::ApiDefaults, waiver: None, sound: true };
        let inherited = Layered::merge(self.set, &terms, &mut merge);
        let operations = fields.at("operations").and_then(Value::named).unwrap_or_default();
        if !known {
            return None;
        }
        let api = Api {
            id: ApiId::parse(&key.text).ok()?,
            service,
            upstream: upstream.map(|value| value.place().clone()),
            asked: asked_of_some(&terms),
            owner: value,
            inherited,
            sound: readable && merge.sound && !terms.broken,
        };
        found.rows.definition(&["apis", &key.text], &API, value, &["defaults", "operations"]);
        for (key, value) in operations {
            self.operation(&api, key, value, found);
        }
        Some(())
    }

    fn known_document(&self, document: &str, value: Value<'_>) -> bool {
        if self.contracts.has_api(document) {
            return true;
        }
        let known = self.contracts.apis();
        let help = did_you_mean(document, known.iter().copied()).map_or_else(
            || format!("known: {}", listed(known.iter().copied())),
            |word| format!("did you mean `{word}`?"),
        );
        value.report(
            Problem::error("P0107", value.key_place(), format!("unknown API {}", quoted(document)))
                .label("no contract of this name")
                .help(help),
        );
        false
    }

    fn operation(&self, api: &Api<'_, 'n>, key: &'n Key, value: Value<'n>, found: &mut Found<'c, 'n>) -> Option<()> {
        let facts = self.facts(api, key, value);
        let fields = value.table(&OPERATION)?;
        let own = Terms::read(&fields, &self.rules, &mut found.asked);
        let waiver_value = fields.at("override");
        let waiver = waiver_value.and_then(|value| Waiver::read(value, self.now));
        if waiver_value.is_some() && waiver.is_none() {
            // What it would let be looser is not known.
            return None;
        }
        let mut merge = Merge { owner: value, layer: Layer::Own, waiver: waiver.as_ref(), sound: true };
        let layered = Layered::merge(&api.inherited, &own, &mut merge);
        let mut sound = merge.sound && api.sound && !own.broken;
        let facts = facts?;
        if let Some(waiver) = &waiver {
            waiver.warn(key, |list| own.says(list));
        }
        sound &= exposable(facts, key, value);
        sound &= served(api, facts, key, value);
        sound &= effective(&own, &fields, api, facts, key);
        // What could not be read may have said it.
        let consent = !sound || layered.consent.is_some_and(|found| found.given.value.is_needed());
        sound &= countable(&own, consent, &fields, (facts, key));
        sound &= notable(&fields, facts);
        let settled_by = settled_by(self.settling, api.service.as_ref(), facts, key, &fields);
        if layered.timeout.is_none() && !own.broken && api.sound {
            value.report(
                Problem::error("P0102", &key.place, format!("{} has no `timeout`", quoted(&key.text)))
                    .label("neither here nor in the defaults"),
            );
        }
        let by_token = facts.security == Security::AccessToken;
        let layered = asked_of(layered, facts);
        mask_users(&layered, |mask| found.masked.entry(mask).or_default().push((facts, key)));
        let joined = self.joined(api, facts, key, &layered, &found.told);
        if let Some(waiver) = waiver.as_ref().filter(|waiver| waiver.in_force() && waiver.needed()) {
            self.after(api, facts, key, (value, &own, waiver), found);
        }
        let mut policy = joined?;
        if !sound {
            return None;
        }
        policy.settled_by = settled_by?;
        policy.loosened =
            waiver.as_ref().filter(|waiver| waiver.in_force() && waiver.needed()).map(|waiver| waiver.given().clone());
        if let Some(loosened) = &policy.loosened {
            found.changes_at = Some(found.changes_at.map_or(loosened.ends, |known| known.min(loosened.ends)));
        }
        if by_token && policy.scopes.is_empty() && policy.roles.is_empty() {
            warn_of_open_door(key, value);
        }
        let path = ["apis", api.id.as_str(), "operations", &key.text];
        layered.rows(&mut found.rows, &path, if by_token { &facts.scopes } else { &[] });
        own_rows(&mut found.rows, &path, &fields, waiver.as_ref());
        found.exposed.push((Arc::new(policy), facts, key));
        Some(())
    }

    // Holds the operation as it will be against the contract: where it could not be compiled once the override is over,
    // what was allowed for a time would stay allowed.
    fn after(
        &self,
        api: &Api<'_, 'n>,
        facts: &'c OperationFacts,
        key: &'n Key,
        (owner, own, waiver): (Value<'n>, &Terms<'n>, &Waiver<'n>),
        found: &mut Found<'c, 'n>,
    ) {
        let ended = waiver.ended();
        waiver.foretelling(|| {
            let mut merge = Merge { owner, layer: Layer::Own, waiver: Some(&ended), sound: true };
            let layered = asked_of(Layered::merge(&api.inherited, own, &mut merge), facts);
            self.joined(api, facts, key, &layered, &found.told);
            mask_users(&layered, |mask| {
                let coming = found.masked_later.entry(mask).or_insert_with(|| (waiver.coming(), Vec::new()));
                // A mask has the fewest users when the first override ends; more only make its fields likelier.
                if waiver.given().ends < coming.0.from {
                    *coming = (waiver.coming(), Vec::new());
                }
                if waiver.given().ends == coming.0.from {
                    coming.1.push((facts, key));
                }
            });
        });
    }

    // Joins what applies with the contract, holding rules against it.
    fn joined(
        &self,
        api: &Api<'_, 'n>,
        facts: &OperationFacts,
        key: &Key,
        layered: &Layered<'_, 'n>,
        told: &Told,
    ) -> Option<OperationPolicy> {
        let allow: Vec<Value<'n>> = items(layered.allow.as_ref());
        let allow = allowed(&allow, self.rules.conditions, facts, key);
        let step_ups = self.fitting(&items(layered.step_ups.as_ref()), facts, key, told);
        let fraud = self.fitting(&items(layered.fraud.as_ref()), facts, key, told);
        let note = items(layered.note.as_ref());
        let noted =
            note.iter().fold(true, |sound, (path, value)| places::noted(*value, path, facts, key, told) && sound);
        let answerable = answerable(layered, facts, key, api.owner);
        let readable = streams::readable(layered, facts, key, api.owner);
        let masks = items(layered.masks.as_ref());
        let consent = needed(layered.consent.as_ref(), facts, key, api.owner);
        let asked = layered.scopes.iter().flat_map(|scopes| scopes.items.iter().map(|(scope, ..)| *scope));
        let by_token = facts.security == Security::AccessToken;
        let contract = facts.scopes.iter().map(String::as_str).filter(|_| by_token);
        Some(OperationPolicy {
            operation: OperationId::parse(&facts.id).ok()?,
            api: api.id.clone(),
            security: facts.security,
            roles: layered.roles.map(|found| found.given.value.clone()).unwrap_or_default(),
            scopes: ScopeSet::of(contract.chain(asked)),
            body_bytes_max: layered.body_bytes.map_or(BODY_BYTES_DEFAULT, |found| found.given.value),
            timeout: layered.timeout?.given.value,
            service: api.service.clone()?,
            idempotent: facts.idempotent,
            settled_by: None,
            step_ups: step_ups?,
            limits: items(layered.limits.as_ref()).iter().map(|limit| (**limit).clone()).collect(),
            allow: allow?,
            fraud: fraud?,
            responses: layered.responses.map_or(Mode::Report, |found| found.given.value),
            masks: masks.into_iter().map(|masked| masked.mask).collect(),
            noted: note.into_iter().map(|(path, _)| path).collect(),
            loosened: None,
            consent: consent?,
            audit: layered.audit.map_or(AuditDuty::Standard, |found| found.given.value),
            origin: key.place.origin(),
        })
        .filter(|_| noted && answerable && readable)
    }

    fn fitting<T: Triggered>(
        &self,
        rules: &[Defined<'n, T>],
        facts: &OperationFacts,
        key: &Key,
        told: &Told,
    ) -> Option<Vec<Arc<T>>> {
        let found: Vec<_> =
            rules.iter().map(|rule| rule.of_operation(self.rules.conditions, told, facts, key)).collect();
        found.into_iter().collect()
    }

    fn facts(&self, api: &Api<'_, '_>, key: &Key, value: Value<'_>) -> Option<&'c OperationFacts> {
        let found = self.contracts.operation(&key.text);
        if let Some(facts) = found.filter(|facts| facts.api == api.id.as_str()) {
            return Some(facts);
        }
        if value.is_past_telling() {
            return None;
        }
        let here = || self.contracts.of_api(api.id.as_str()).map(|facts| facts.id.as_str());
        let shown = |facts: &OperationFacts| format!("({} {}, {})", facts.method, facts.template, facts.origin);
        let help = match found {
            Some(facts) => format!("it belongs to the API `{}` {}", facts.api, shown(facts)),
            None => match did_you_mean(&key.text, here()).and_then(|id| self.contracts.operation(id)) {
                Some(facts) => format!("did you mean `{}`?  {}", facts.id, shown(facts)),
                None => format!("known: {}", listed(here())),
            },
        };
        value.report(
            Problem::error("P0107", &key.place, format!("unknown operation {}", quoted(&key.text)))
                .label(format!("not in the contract `{}`", api.id))
                .help(help),
        );
        None
    }
}

fn items<T: Clone>(union: Option<&Union<'_, T>>) -> Vec<T> {
    union.iter().flat_map(|found| found.items.iter().map(|(_, item, _)| (*item).clone())).collect()
}

// Leaves out what this operation's callers cannot be asked.
fn asked_of<'t, 'n>(layered: Layered<'t, 'n>, facts: &OperationFacts) -> Layered<'t, 'n> {
    let by_token = facts.security == Security::AccessToken;
    let by_client = by_token || facts.security == Security::ClientAuthentication;
    layered.asked_of(by_token, by_client, facts.has_body)
}

fn mask_users(layered: &Layered<'_, '_>, mut take: impl FnMut(Arc<str>)) {
    for (_, masked, _) in layered.masks.iter().flat_map(|masks| &masks.items) {
        take(Arc::clone(&masked.mask.id));
    }
}

fn own_rows(rows: &mut Rows, path: &[&str], fields: &Fields<'_>, waiver: Option<&Waiver<'_>>) {
    let below = |last: &str| path.iter().copied().chain([last]).map(str::to_owned).collect::<Vec<_>>();
    if let Some(value) = fields.at("settledBy")
        && let Some(name) = value.text()
    {
        rows.merged(below("settledBy"), &SETTLED_BY, vec![name.to_owned()], Some(value.place()), Layer::Own);
    }
    if let Some(waiver) = waiver {
        let path: Vec<&str> = path.iter().copied().chain(["override"]).collect();
        rows.definition(&path, &OVERRIDE, waiver.value(), &[]);
    }
}

/// Refuses that two operations are exposed that no request can tell apart.
pub(super) fn refuse_collisions(found: &Found<'_, '_>, faults: &Faults) {
    let exposed: HashMap<&str, (&OperationFacts, &Key)> =
        found.exposed.iter().map(|(_, facts, key)| (facts.id.as_str(), (*facts, *key))).collect();
    for (_, facts, key) in &found.exposed {
        for (other, first) in facts.collides_with.iter().filter_map(|id| exposed.get(id.as_str())) {
            // Each pair once, told at the second of the two.
            if (&first.place, &other.id) >= (&key.place, &facts.id) {
                continue;
            }
            let message = format!("{} and {} cannot both be exposed", quoted(&other.id), quoted(&facts.id));
            faults.report(
                Problem::error("P0307", &key.place, message)
                    .label(format!("{} {}, {}", facts.method, facts.template, facts.origin))
                    .related(&first.place, format!("{} {}, {}", other.method, other.template, other.origin))
                    .help(
                        "which of the two a request means cannot be told: remove one, or change a path in its contract",
                    ),
            );
        }
    }
}

// What is said in defaults and can be asked of some callers only.
fn asked_of_some(terms: &Terms<'_>) -> Vec<(&'static str, Place)> {
    let mut found: Vec<(&'static str, Place)> = Vec::new();
    let mut said = |name: &'static str, place: Option<&Place>| {
        found.extend(place.map(|place| (name, place.clone())));
    };
    said("requires", terms.requires.as_ref());
    said("consent", terms.consent.as_ref().filter(|given| given.value.is_needed()).map(|given| &given.place));
    said("allow", terms.allow.as_ref().map(|given| &given.place));
    said("fraud", terms.fraud.as_ref().map(|given| &given.place));
    said("stepUp", terms.step_ups.as_ref().map(|given| &given.place));
    // Strangers are only counted all together.
    let by_client = terms.limits.as_ref().filter(|given| given.value.iter().any(|limit| !limit.concerns(false)));
    said("limits", by_client.map(|given| &given.place));
    found
}

// Tells whether what is asked here would be asked of anyone, and warns where the defaults ask in vain.
fn effective(own: &Terms<'_>, fields: &Fields<'_>, api: &Api<'_, '_>, facts: &OperationFacts, key: &Key) -> bool {
    let owner = fields.owner();
    let callers = match facts.security {
        Security::AccessToken => return judgeable(own, fields, facts),
        Security::Public => "anybody",
        Security::ClientAuthentication => "clients that authenticate with the request itself",
        Security::SignedCallback => "identity providers (by signature)",
        Security::Administrator => "administrators",
    };
    let in_vain = |name: &str| name != "limits" || facts.security != Security::ClientAuthentication;
    let mut sound = true;
    let mut refuse = |name: &str, place: &Place, label: String| {
        owner.report(
            Problem::error("P0313", place, format!("`{name}` has no effect on {}", quoted(&key.text)))
                .label(label)
                .help(format!("remove it, or change the `security` of the operation ({})", facts.origin)),
        );
        sound = false;
    };
    for (name, place) in asked_of_some(own).iter().filter(|(name, _)| in_vain(name)) {
        if *name != "limits" {
            refuse(name, place, format!("the contract lets {callers} call it"));
            continue;
        }
        // One by one: others of the list may count strangers by their address.
        for (limit, name, place) in limits(own, fields).filter(|(limit, ..)| !limit.concerns(false)) {
            let by = limit.per.iter().map(|dimension| dimension.word());
            let label = format!("`{name}` counts by {}, and the contract lets {callers} call it", listed(by));
            refuse("limits", place, label);
        }
    }
    for (name, place) in api.asked.iter().filter(|(name, _)| sound && in_vain(name)) {
        owner.report(
            Problem::warning(
                "P0405",
                &key.place,
                format!("the defaults' `{name}` does not apply to {}", quoted(&key.text)),
            )
            .label(format!("the contract lets {callers} call it"))
            .related(place, "asked here")
            .help(match *name {
                "limits" => "say `limits` at the operations that clients call".to_owned(),
                _ => format!("say `{name}` at the operations that are called with a token"),
            }),
        );
    }
    sound
}

// A limit that an operation names counts by something that its calls have.
fn countable(own: &Terms<'_>, consent: bool, fields: &Fields<'_>, (facts, key): (&OperationFacts, &Key)) -> bool {
    let mut sound = true;
    for (limit, name, place) in limits(own, fields) {
        let Some(reason) = uncounted(limit, facts, consent) else { continue };
        fields.owner().report(
            Problem::error("P0313", place, format!("`limits` has no effect on {}", quoted(&key.text)))
                .label(format!("`{name}` {reason}"))
                .help(format!("remove it here; see {}", facts.origin)),
        );
        sound = false;
    }
    sound
}

// The limits that are said here, each as it is named, with where it is. A name that stands for a limit is no secret, however
// long it is: clients are told of it.
fn limits<'t>(own: &'t Terms<'_>, fields: &Fields<'t>) -> impl Iterator<Item = (&'t Limit, &'t str, &'t Place)> {
    let written = fields.at("limits").and_then(|list| list.items(Some)).unwrap_or_default();
    own.limits.iter().flat_map(move |given| {
        let written = written.clone();
        given.shown.iter().zip(&given.value).map(move |(name, limit)| {
            let item = written.iter().find(|item| item.text() == Some(name));
            (&**limit, name.as_str(), item.map_or(&given.place, |item| item.place()))
        })
    })
}

// An operation's own rule about an amount needs a body.
fn judgeable(own: &Terms<'_>, fields: &Fields<'_>, facts: &OperationFacts) -> bool {
    if facts.has_body {
        return true;
    }
    let step_up = own.step_ups.iter().flat_map(|given| &given.value).any(Defined::compares_amount);
    let fraud = own.fraud.iter().flat_map(|given| &given.value).any(Defined::compares_amount);
    for (name, what, refused) in [("stepUp", "a step-up", step_up), ("fraud", "a fraud rule", fraud)] {
        if let Some(value) = fields.at(name).filter(|_| refused) {
            value.report(
                value
                    .fault("P0302", format!("{what} cannot be judged here"))
                    .label("the operation has no body that could hold an amount")
                    .help(format!("see {}", facts.origin)),
            );
        }
    }
    !step_up && !fraud
}

fn notable(fields: &Fields<'_>, facts: &OperationFacts) -> bool {
    let Some(value) = fields.at("note").filter(|_| !facts.has_body) else { return true };
    value.report(
        value
            .fault("P0305", "there is no body to note fields of")
            .label(format!("{} {}", facts.method, facts.template))
            .help(format!("remove this line; see {}", facts.origin)),
    );
    false
}

// Who is asked to be verified comes again with the same key, in which the result is spent.
fn answerable(layered: &Layered<'_, '_>, facts: &OperationFacts, key: &Key, owner: Value<'_>) -> bool {
    let rules = layered.step_ups.as_ref().filter(|rules| !rules.items.is_empty());
    let rules = rules.map(|rules| ("stepUp", rules.place));
    let fraud = layered.fraud.as_ref().filter(|rules| rules.items.iter().any(|(_, rule, _)| rule.asks_for_step_up()));
    let asked: Vec<_> = rules.into_iter().chain(fraud.map(|rules| ("fraud", rules.place))).collect();
    for (name, place) in asked.iter().filter(|_| !facts.idempotent) {
        owner.report(
            Problem::error("P0302", &key.place, format!("{} cannot ask a payer to be verified", quoted(&key.text)))
                .label("the contract does not require `x-idempotency-key` here")
                .related(place, format!("`{name}` asks for it"))
                .help(format!(
                    "a result is spent together with that key: see {}, or name the rule at other operations",
                    facts.origin
                )),
        );
    }
    facts.idempotent || asked.is_empty()
}

fn exposable(facts: &OperationFacts, key: &Key, value: Value<'_>) -> bool {
    let Some(obstacle) = &facts.obstacle else { return true };
    value.report(
        Problem::error("P0308", &key.place, format!("{} cannot be exposed: {obstacle}", quoted(&key.text)))
            .label(format!("{} {}", facts.method, facts.template))
            .help(format!("mend the contract at {}, or remove the operation here", facts.origin)),
    );
    false
}

fn served(api: &Api<'_, '_>, facts: &OperationFacts, key: &Key, value: Value<'_>) -> bool {
    let problem = |message: &str| {
        Problem::error("P0301", &key.place, format!("{} {message}", quoted(&key.text)))
            .label(format!("{} {}", facts.method, facts.template))
    };
    match (&api.upstream, facts.own) {
        (None, false) => value.report(
            problem("is not answered by the gateway itself, and its API names no upstream")
                .help(format!("add `upstream: ...` to `{}`", api.id)),
        ),
        (Some(upstream), true) => value.report(
            problem("is answered by the gateway itself and never by an upstream")
                .related(upstream, "the upstream of the API")
                .help("remove the upstream, or this operation"),
        ),
        _ => return true,
    }
    false
}

fn warn_of_open_door(key: &Key, value: Value<'_>) {
    value.report(
        Problem::warning("P0403", &key.place, format!("any client with a token may call {}", quoted(&key.text)))
            .label("asks for no scope and no role")
            .help("add `requires: {scopes: [...]}`"),
    );
}
