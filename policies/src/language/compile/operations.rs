//! Which operations are exposed, to whom, and within which bounds; below the defaults of an API it only gets stricter.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::names::Names;
use super::parties;
use super::settling::{Settling, settled_by};
use crate::facts::{OperationFacts, Security};
use crate::id::{ApiId, OperationId};
use crate::language::decode::{Fields, Value};
use crate::language::document::Key;
use crate::language::problem::{Place, Problem, quoted};
use crate::language::suggest::{did_you_mean, listed};
use crate::language::tables::{BODY_BYTES_MAX, TIMEOUT_MAX};
use crate::language::units::{shown_bytes, shown_duration};
use crate::limit::Mode;
use crate::rulebook::{AuditDuty, OperationPolicy, Role, ScopeSet, Service, StepUp, Upstream};

/// How long a body may be if nothing is said, in bytes: larger than any JSON of the contracts.
pub const BODY_BYTES_DEFAULT: usize = 64 * 1024;

/// What operations may refer to.
pub(super) struct Context<'a> {
    pub(super) operations: &'a [OperationFacts],
    pub(super) by_id: HashMap<&'a str, &'a OperationFacts>,
    pub(super) upstreams: &'a Names<Upstream>,
    pub(super) step_ups: &'a Names<Arc<StepUp>>,
    pub(super) contract_scopes: &'a BTreeSet<String>,
    pub(super) settling: Settling<'a>,
}

/// A value with the place that gave it.
type Set<T> = Option<(T, Place)>;

/// What may be said of all operations of an API, and again of one.
struct Terms<'n> {
    roles: Set<BTreeSet<Role>>,
    scopes: Vec<&'n str>,
    requires: Option<Place>,
    body_bytes: Set<usize>,
    timeout: Set<Duration>,
    audit: Set<AuditDuty>,
    // Whether what was given could be read.
    sound: bool,
}

/// An API on its way.
struct Api<'n> {
    id: ApiId,
    service: Option<Service>,
    upstream_place: Option<Place>,
    defaults: Terms<'n>,
}

impl Context<'_> {
    /// Reads one API; scopes that its policy asks for beyond the contract are added to `scopes`.
    pub(super) fn api(
        &self,
        document: &str,
        value: Value<'_>,
        scopes: &mut BTreeSet<String>,
    ) -> Option<Vec<Arc<OperationPolicy>>> {
        let known_document = self.known_document(document, value);
        let fields = value.fields(&["upstream", "defaults", "operations"])?;
        let upstream = fields.optional("upstream");
        let service = match upstream {
            None => Some(Service::Own),
            Some(value) => self.upstreams.resolve(value, "upstream").map(|found| Service::Upstream(found.id.clone())),
        };
        let defaults = match fields.optional("defaults") {
            Some(value) => {
                value.fields(&["requires", "maxBody", "timeout", "audit"]).map(|fields| self.terms(&fields, scopes))
            }
            None => Some(Terms::nothing()),
        };
        let operations = fields.required("operations").and_then(Value::entries).unwrap_or_default();
        if !known_document {
            return None;
        }
        let api = Api {
            id: ApiId::parse(document).ok()?,
            service,
            upstream_place: upstream.map(|value| value.place().clone()),
            // Where the defaults cannot be read, the operations are still checked on their own.
            defaults: defaults.unwrap_or_else(|| Terms { sound: false, ..Terms::nothing() }),
        };
        let compiled: Vec<_> =
            operations.into_iter().map(|(key, value)| self.operation(&api, key, value, scopes)).collect();
        compiled.into_iter().collect()
    }

    fn known_document(&self, document: &str, value: Value<'_>) -> bool {
        if self.operations.iter().any(|facts| facts.api == document) {
            return true;
        }
        let known: BTreeSet<&str> = self.operations.iter().map(|facts| facts.api.as_str()).collect();
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

    fn operation(
        &self,
        api: &Api<'_>,
        key: &Key,
        value: Value<'_>,
        scopes: &mut BTreeSet<String>,
    ) -> Option<Arc<OperationPolicy>> {
        let facts = self.facts(api, key, value);
        let fields = value.fields(&["requires", "maxBody", "timeout", "stepUp", "audit", "settledBy"])?;
        let terms = self.terms(&fields, scopes);
        let step_up_value = fields.optional("stepUp");
        let step_up = step_up_value.map(|value| self.step_ups.resolve(value, "step-up rule"));
        let strict = terms.tightens(&api.defaults, value);
        let facts = facts?;
        let served = served(api, facts, key, value);
        let effective = terms.protects(api, facts, value, key);
        if let Some(value) = step_up_value {
            step_up_can_be_judged(facts, value)?;
        }
        let settled_by = settled_by(&self.settling, api.service.as_ref(), facts, key, &fields);
        let timeout = terms.timeout.as_ref().or(api.defaults.timeout.as_ref()).map(|(timeout, _)| *timeout);
        if timeout.is_none() && terms.sound && api.defaults.sound {
            value.report(
                Problem::error("P0102", &key.place, format!("{} has no `timeout`", quoted(&key.text)))
                    .label("neither here nor in the defaults of the API"),
            );
        }
        if !(terms.sound && api.defaults.sound && strict && served && effective) {
            return None;
        }
        let by_token = facts.security == Security::AccessToken;
        let asked = api.defaults.scopes.iter().chain(&terms.scopes).copied();
        let policy = OperationPolicy {
            operation: OperationId::parse(&facts.id).ok()?,
            api: api.id.clone(),
            security: facts.security,
            roles: terms
                .roles
                .or_else(|| api.defaults.roles.clone())
                .filter(|_| by_token)
                .map(|(roles, _)| roles)
                .unwrap_or_default(),
            scopes: ScopeSet::of(facts.scopes.iter().map(String::as_str).chain(asked).filter(|_| by_token)),
            body_bytes_max: terms
                .body_bytes
                .as_ref()
                .or(api.defaults.body_bytes.as_ref())
                .map_or(BODY_BYTES_DEFAULT, |(size, _)| *size),
            timeout: timeout?,
            service: api.service.clone()?,
            idempotent: facts.idempotent,
            settled_by: settled_by?,
            step_ups: match step_up {
                None => Vec::new(),
                Some(found) => vec![Arc::clone(found?)],
            },
            limits: Vec::new(),
            allow: Vec::new(),
            fraud: Vec::new(),
            responses: Mode::Report,
            masks: Vec::new(),
            noted: Vec::new(),
            loosened: None,
            audit: terms.audit.as_ref().or(api.defaults.audit.as_ref()).map_or(AuditDuty::Standard, |(duty, _)| *duty),
            origin: key.place.origin(),
        };
        if by_token && policy.scopes.is_empty() && policy.roles.is_empty() {
            warn_of_open_door(key, value);
        }
        Some(Arc::new(policy))
    }

    fn facts(&self, api: &Api<'_>, key: &Key, value: Value<'_>) -> Option<&OperationFacts> {
        let found = self.by_id.get(key.text.as_str()).copied();
        if let Some(facts) = found.filter(|facts| facts.api == api.id.as_str()) {
            return Some(facts);
        }
        let here = || self.operations.iter().filter(|facts| facts.api == api.id.as_str());
        let shown = |facts: &OperationFacts| format!("({} {}, {})", facts.method, facts.template, facts.origin);
        let help = match found {
            Some(facts) => format!("it belongs to the API `{}` {}", facts.api, shown(facts)),
            None => {
                match did_you_mean(&key.text, here().map(|facts| facts.id.as_str())).and_then(|id| self.by_id.get(id)) {
                    Some(facts) => format!("did you mean `{}`?  {}", facts.id, shown(facts)),
                    None => format!("known: {}", listed(here().map(|facts| facts.id.as_str()))),
                }
            }
        };
        value.report(
            Problem::error("P0107", &key.place, format!("unknown operation {}", quoted(&key.text)))
                .label(format!("not in the contract `{}`", api.id))
                .help(help),
        );
        None
    }

    fn terms<'n>(&self, fields: &Fields<'n>, known_scopes: &mut BTreeSet<String>) -> Terms<'n> {
        let mut terms = Terms::nothing();
        if let Some(value) = fields.optional("requires") {
            terms.requires = Some(value.key_place().clone());
            match value.fields(&["roles", "scopes"]) {
                Some(requires) => {
                    terms.roles = terms.set(requires.optional("roles"), parties::roles);
                    if let Some((scopes, _)) = terms.set(requires.optional("scopes"), parties::scopes) {
                        for (scope, value) in scopes {
                            self.warn_of_new_scope(scope, value);
                            known_scopes.insert(scope.to_owned());
                            terms.scopes.push(scope);
                        }
                    }
                }
                None => terms.sound = false,
            }
        }
        terms.body_bytes = terms.set(fields.optional("maxBody"), |value| value.bytes(1..=BODY_BYTES_MAX));
        terms.timeout =
            terms.set(fields.optional("timeout"), |value| value.duration(Duration::from_millis(1)..=TIMEOUT_MAX));
        terms.audit = terms.set(fields.optional("audit"), |value| {
            value.choice(&[("required", AuditDuty::Required), ("standard", AuditDuty::Standard)])
        });
        terms
    }

    fn warn_of_new_scope(&self, scope: &str, value: Value<'_>) {
        if self.contract_scopes.contains(scope) {
            return;
        }
        let help = did_you_mean(scope, self.contract_scopes.iter().map(String::as_str))
            .map(|word| format!("did you mean `{word}`?"));
        value.report(
            Problem::warning("P0404", value.place(), format!("no contract knows the scope {}", quoted(scope)))
                .label("developers are not told of it")
                .help_if(help),
        );
    }
}

impl<'n> Terms<'n> {
    const fn nothing() -> Self {
        Self {
            roles: None,
            scopes: Vec::new(),
            requires: None,
            body_bytes: None,
            timeout: None,
            audit: None,
            sound: true,
        }
    }

    fn set<T>(&mut self, value: Option<Value<'n>>, read: impl FnOnce(Value<'n>) -> Option<T>) -> Set<T> {
        let value = value?;
        let found = read(value);
        self.sound &= found.is_some();
        Some((found?, value.place().clone()))
    }

    // Tells whether nothing is looser than the defaults, and reports what is.
    fn tightens(&self, defaults: &Terms<'_>, value: Value<'_>) -> bool {
        let mut strict = true;
        let mut looser = |name: &str, here: &Place, shown: String, there: &Place, default: String, help: String| {
            value.report(
                Problem::error("P0311", here, format!("`{name}` is looser than the default of its API"))
                    .label(format!("{shown} here"))
                    .related(there, format!("the default is {default}"))
                    .help(help),
            );
            strict = false;
        };
        if let (Some((here, at)), Some((default, there))) = (&self.body_bytes, &defaults.body_bytes)
            && here > default
        {
            let limit = shown_bytes(*default);
            looser(
                "maxBody",
                at,
                shown_bytes(*here),
                there,
                limit.clone(),
                format!("write at most {limit}, or raise the default for all"),
            );
        }
        if let (Some((here, at)), Some((default, there))) = (&self.timeout, &defaults.timeout)
            && here > default
        {
            let limit = shown_duration(*default);
            looser(
                "timeout",
                at,
                shown_duration(*here),
                there,
                limit.clone(),
                format!("write at most {limit}, or raise the default for all"),
            );
        }
        if let (Some((AuditDuty::Standard, at)), Some((AuditDuty::Required, there))) = (&self.audit, &defaults.audit) {
            let help = "remove this line, or move `audit: required` to the operations that need it".to_owned();
            looser("audit", at, "standard".to_owned(), there, "required".to_owned(), help);
        }
        if let (Some((here, at)), Some((default, there))) = (&self.roles, &defaults.roles)
            && !here.is_subset(default)
        {
            let extra: Vec<&str> = here.difference(default).map(|role| role.word()).collect();
            value.report(
                Problem::error("P0312", at, format!("the defaults of the API do not let {} in", listed(extra)))
                    .label("more roles than the default")
                    .related(there, "the default roles")
                    .help("name fewer roles here, or more there"),
            );
            strict = false;
        }
        strict
    }

    // Tells whether roles and scopes that are asked for would be asked of anyone.
    fn protects(&self, api: &Api<'_>, facts: &OperationFacts, value: Value<'_>, key: &Key) -> bool {
        let callers = match facts.security {
            Security::AccessToken => return true,
            Security::Public => "anybody",
            Security::ClientAuthentication => "clients that authenticate with the request itself",
            Security::SignedCallback => "identity providers (by signature)",
            Security::Administrator => "administrators",
        };
        if let Some(place) = &self.requires {
            value.report(
                Problem::error("P0313", place, format!("`requires` has no effect on {}", quoted(&key.text)))
                    .label(format!("the contract lets {callers} call it"))
                    .help(format!("remove it, or change the `security` of the operation ({})", facts.origin)),
            );
            return false;
        }
        if let Some(place) = &api.defaults.requires {
            value.report(
                Problem::warning(
                    "P0405",
                    &key.place,
                    format!("the defaults' `requires` does not apply to {}", quoted(&key.text)),
                )
                .label(format!("the contract lets {callers} call it"))
                .related(place, "asked here")
                .help("say `requires` at the operations that are called with a token"),
            );
        }
        true
    }
}

fn served(api: &Api<'_>, facts: &OperationFacts, key: &Key, value: Value<'_>) -> bool {
    let problem = |message: &str| {
        Problem::error("P0301", &key.place, format!("{} {message}", quoted(&key.text)))
            .label(format!("{} {}", facts.method, facts.template))
    };
    match (&api.upstream_place, facts.own) {
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

fn step_up_can_be_judged(facts: &OperationFacts, value: Value<'_>) -> Option<()> {
    let why = if !facts.has_body {
        "the operation has no body that could hold an amount"
    } else if facts.security != Security::AccessToken {
        "the operation is not called with an access token"
    } else {
        return Some(());
    };
    value.report(
        value.fault("P0302", "a step-up cannot be judged here").label(why).help(format!("see {}", facts.origin)),
    );
    None
}

fn warn_of_open_door(key: &Key, value: Value<'_>) {
    value.report(
        Problem::warning("P0403", &key.place, format!("any client with a token may call {}", quoted(&key.text)))
            .label("asks for no scope and no role")
            .help("add `requires: {scopes: [...]}`"),
    );
}
