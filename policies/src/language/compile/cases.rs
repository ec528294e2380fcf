//! Reads `tests:` blocks: who calls what, and what has to come of it.
//!
//! Every name is looked up here, so that a misspelt limit is told at load and no case passes because it asks for nothing.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::time::Duration;

use crate::admin::AdminRole;
use crate::case::{Backend, Case, Consented, Expect, Fixtures, Given, Step, TokenFault};
use crate::consent::ConsentKind;
use crate::facts::OperationFacts;
use crate::id::{ClientId, OperationId};
use crate::language::any;
use crate::language::decode::{Fields, Value};
use crate::language::document::Key;
use crate::language::problem::{Problem, quoted};
use crate::language::suggest::did_you_mean;
use crate::language::tables::cases::{
    AFTER_MAX, BACKEND, CASE, CASE_NAME_MAX, EXPECT, GIVEN, LEVELS, PROBLEMS, REPEAT_MAX, STAGES, STEP, STEPS_MAX,
    UNDER_WAY_MAX,
};
use crate::rulebook::{FraudAnswer, Rulebook};
use crate::time::Timestamp;

/// The names that cases may use.
pub struct Known<'a> {
    /// What is exposed, and to whom.
    pub rulebook: &'a Rulebook,
    /// What contracts describe: a case may show that an operation is closed.
    pub operations: &'a [OperationFacts],
    /// The scopes that contracts and policies know.
    pub scopes: &'a BTreeSet<String>,
    /// Who exists in cases only.
    pub fixtures: &'a Fixtures,
    /// Whether there may be no more names than these: no fault was found before.
    pub whole: bool,
    /// The clients and operations that files define, whether or not their definitions are right.
    pub named: &'a HashSet<&'a str>,
    /// The limits and plans that files define.
    ///
    /// Whether or not an operation uses them: a case that asks for a rule of an operation that was closed fails, instead
    /// of keeping the set from being compiled. So for `rules`.
    pub limits: &'a BTreeSet<&'a str>,
    /// The step-ups, fraud rules and masks that files define.
    pub rules: &'a BTreeSet<&'a str>,
}

impl std::fmt::Debug for Known<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Known").field("whole", &self.whole).finish_non_exhaustive()
    }
}

/// Reads the `tests` of every file, in their order.
pub(super) fn cases<'n>(sections: &[Value<'n>], known: &Known<'_>) -> Vec<Case> {
    let mut first: HashMap<&'n str, &'n Key> = HashMap::new();
    let mut found = Vec::new();
    for (key, value) in sections.iter().filter_map(|section| section.entries()).flatten() {
        let length = key.text.chars().count();
        if key.text.trim().is_empty() || length > CASE_NAME_MAX {
            value.report(
                Problem::error("P0112", &key.place, "the name of a case is a sentence")
                    .label(format!("1 to {CASE_NAME_MAX} characters")),
            );
        }
        if let Some(other) = first.get(key.text.as_str()) {
            value.report(
                Problem::error("P0201", &key.place, format!("the case {} stands twice", quoted(&key.text)))
                    .label("second")
                    .related(&other.place, "first")
                    .help("give one of the two another name"),
            );
            continue;
        }
        first.insert(&key.text, key);
        found.extend(known.case(key, value));
    }
    found
}

// What a step says itself, before what its case says for all steps.
struct Both<'b, 'n> {
    own: Option<&'b Fields<'n>>,
    common: Option<&'b Fields<'n>>,
}

impl<'n> Both<'_, 'n> {
    fn get(&self, name: &str) -> Option<Value<'n>> {
        let own = self.own.and_then(|fields| fields.optional(name));
        own.or_else(|| self.common.and_then(|fields| fields.optional(name)))
    }

    fn may_have(&self, name: &str) -> bool {
        self.own.into_iter().chain(self.common).any(|fields| fields.may_have(name))
    }
}

impl Known<'_> {
    fn case(&self, key: &Key, value: Value<'_>) -> Option<Case> {
        let fields = value.table(&CASE)?;
        let at = fields.optional("at").map_or(Some(None), |value| instant(value).map(Some));
        let common = fields.optional("given").map_or(Some(None), |value| value.table(&GIVEN).map(Some));
        let steps = match (fields.optional("steps"), fields.optional("expect")) {
            (Some(steps), None) => self.steps(steps, common.as_ref().map(Option::as_ref)),
            (Some(_), Some(expect)) => {
                expect.report(
                    Problem::error("P0101", expect.key_place(), "`expect` stands beside `steps`")
                        .label("each step has an `expect` of its own"),
                );
                None
            }
            (None, _) => self.single(&fields, common.as_ref().and_then(Option::as_ref)),
        };
        let (at, _, steps) = (at?, common?, steps?);
        Some(Case { name: key.text.clone(), at, steps, place: key.place.clone() })
    }

    fn single(&self, fields: &Fields<'_>, common: Option<&Fields<'_>>) -> Option<Vec<Step>> {
        let given = match common {
            Some(common) => self.given(&Both { own: Some(common), common: None }, fields.owner()),
            None => fields.required("given").and(None),
        };
        let expect = fields.required("expect").and_then(|value| self.expect(value));
        let place = fields.owner().key_place().clone();
        Some(vec![Step { after: Duration::ZERO, repeat: 1, under_way: 0, given: given?, expect: expect?, place }])
    }

    // `common` is none if it is wrong: what it should have said is not asked of the steps.
    fn steps(&self, value: Value<'_>, common: Option<Option<&Fields<'_>>>) -> Option<Vec<Step>> {
        let steps = value.list(|item| self.step(item, common))?;
        if steps.is_empty() {
            value.report(value.fault("P0111", "`steps` has no step").label("at least one belongs here"));
            return None;
        }
        if steps.len() > STEPS_MAX {
            value.report(value.fault("P0105", "`steps` has too many steps").label(format!("at most {STEPS_MAX}")));
            return None;
        }
        Some(steps)
    }

    fn step(&self, value: Value<'_>, common: Option<Option<&Fields<'_>>>) -> Option<Step> {
        let fields = value.table(&STEP)?;
        let after =
            fields.optional("after").map_or(Some(Duration::ZERO), |value| value.duration(Duration::ZERO..=AFTER_MAX));
        let repeat = fields.optional("repeat").map_or(Some(1), |value| value.whole(1..=REPEAT_MAX));
        let under_way = fields.optional("underWay").map_or(Some(0), |value| value.whole(0..=UNDER_WAY_MAX));
        let own = fields.optional("given").map_or(Some(None), |value| value.table(&GIVEN).map(Some));
        let given = match (&own, common) {
            (Some(None), Some(None)) => fields.required("given").and(None),
            (Some(own), Some(common)) => self.given(&Both { own: own.as_ref(), common }, value),
            (None, _) | (_, None) => None,
        };
        let expect = fields.required("expect").and_then(|value| self.expect(value));
        let (repeat, under_way) = (u32::try_from(repeat?).ok()?, u32::try_from(under_way?).ok()?);
        let place = value.place().clone();
        Some(Step { after: after?, repeat, under_way, given: given?, expect: expect?, place })
    }

    fn given(&self, fields: &Both<'_, '_>, owner: Value<'_>) -> Option<Given> {
        let operation = self.operation(fields, owner);
        let client = fields.get("client").map_or(Some(None), |value| self.client(value).map(Some));
        let administrator = fields.get("administrator").map_or(Some(None), |value| administrator(value).map(Some));
        if let (Some(client), Some(_)) = (fields.get("client"), fields.get("administrator")) {
            client.report(
                Problem::error("P0101", client.key_place(), "`client` stands beside `administrator`")
                    .label("one of the two calls"),
            );
        }
        let scopes = fields.get("scopes").map_or(Some(None), |value| value.list(|item| self.scope(item)).map(Some));
        let words = TokenFault::ALL.map(|fault| (fault.word(), fault));
        let token = fields.get("token").map_or(Some(None), |value| value.choice(&words).map(Some));
        let consent =
            fields.get("consent").map_or(Some(None), |value| self.consented(value, operation.as_ref()).map(Some));
        let levels = LEVELS.map(|level| (level, level.to_owned()));
        let verified = fields.get("verified").map_or(Some(None), |value| value.choice(&levels).map(Some));
        let peer = fields.get("peer").map_or(Some(None), |value| {
            let parsed = value.parsed("an address", "10.0.0.7", |text| text.parse::<IpAddr>().ok());
            parsed.map(Some)
        });
        let parameters = fields.get("parameters").map_or(Some(Vec::new()), parameters);
        let backend = fields.get("backend").map_or(Some(Backend::Answers { status: None, body: None }), backend);
        Some(Given {
            operation: operation?,
            client: client?,
            administrator: administrator?,
            scopes: scopes?,
            token: token?,
            consent: consent?,
            peer: peer?,
            parameters: parameters?,
            body: fields.get("body").map(any::json),
            verified: verified?,
            backend: backend?,
        })
    }

    fn operation(&self, fields: &Both<'_, '_>, owner: Value<'_>) -> Option<OperationId> {
        let Some(value) = fields.get("operation") else {
            if !fields.may_have("operation") {
                owner.report(
                    Problem::error("P0102", owner.key_place(), "`given` has no `operation`")
                        .label("`operation` is missing in here"),
                );
            }
            return None;
        };
        let text = value.text()?;
        let names = self.operations.iter().map(|facts| facts.id.as_str());
        let found = OperationId::parse(text).ok().filter(|_| names.clone().any(|known| known == text));
        if found.is_none() {
            self.unknown("P0107", value, "operation", text, names);
        }
        found
    }

    // What can be used up is a consent to a payment; elsewhere the word would say nothing.
    fn consented(&self, value: Value<'_>, operation: Option<&OperationId>) -> Option<Consented> {
        let words = Consented::ALL.map(|word| (word.word(), word));
        let consented = value.choice(&words)?;
        let policy = operation.and_then(|id| self.rulebook.operations.get(id));
        let kind = policy.and_then(|policy| policy.consent.as_ref()).map(|need| need.kind);
        if consented == Consented::Consumed && policy.is_some() && kind != Some(ConsentKind::DomesticPayment) {
            value.report(
                value
                    .fault("P0317", "no consent is used up by this operation")
                    .label("only one to a payment is")
                    .help("write `fits`, `none` or `other`"),
            );
            return None;
        }
        Some(consented)
    }

    fn scope(&self, value: Value<'_>) -> Option<String> {
        let text = value.text()?;
        if !self.scopes.contains(text) {
            self.unknown("P0314", value, "scope", text, self.scopes.iter().map(String::as_str));
            return None;
        }
        Some(text.to_owned())
    }

    fn client(&self, value: Value<'_>) -> Option<ClientId> {
        let text = value.text()?;
        let (real, made) = (&self.rulebook.clients, &self.fixtures.clients);
        let found = ClientId::parse(text).ok().filter(|id| real.contains_key(id) || made.contains_key(id));
        if found.is_none() {
            let mut names: Vec<&str> = real.keys().chain(made.keys()).map(ClientId::as_str).collect();
            names.sort_unstable();
            self.unknown("P0108", value, "client", text, names.into_iter());
        }
        found
    }

    fn expect(&self, value: Value<'_>) -> Option<Expect> {
        let fields = value.table(&EXPECT)?;
        let status = fields.optional("status").map_or(Some(None), |value| status(value).map(Some));
        let words = PROBLEMS.map(|name| (name, name));
        let problem = fields.optional("problem").map_or(Some(None), |value| value.choice(&words).map(Some));
        let words = STAGES.map(|stage| (stage, stage));
        let stage = fields.optional("stage").map_or(Some(None), |value| value.choice(&words).map(Some));
        let limit = fields.optional("limit").map_or(Some(None), |value| self.limit(value).map(Some));
        let rule = fields.optional("rule").map_or(Some(None), |value| self.rule(value).map(Some));
        let called = fields.optional("backendCalled").map_or(Some(None), |value| value.boolean().map(Some));
        let body = fields.optional("body").map_or(Some(Vec::new()), pointers);
        let expect = Expect {
            status: status?,
            problem: problem?.map(str::to_owned),
            stage: stage?.map(str::to_owned),
            limit: limit?,
            rule: rule?,
            backend_called: called?,
            body: body?,
        };
        if expect == Expect::default() {
            value.report(
                Problem::error("P0111", value.key_place(), "`expect` expects nothing")
                    .label("a case that cannot fail shows nothing")
                    .help("say at least the status: `expect: {status: 200}`"),
            );
            return None;
        }
        Some(expect)
    }

    fn limit(&self, value: Value<'_>) -> Option<String> {
        let text = value.text()?;
        let plans = self.rulebook.clients.values().chain(self.fixtures.clients.values()).map(|client| &client.plan);
        let of_plans = plans.flat_map(|plan| &plan.limits);
        let of_operations = self.rulebook.operations.values().flat_map(|policy| &policy.limits);
        // That of the guard, which no policy defines.
        let ids: BTreeSet<&str> = of_plans.chain(of_operations).map(|limit| &*limit.id).collect();
        // An id begins with the name of the limit or its plan.
        let mut names: BTreeSet<&str> = ids.iter().filter_map(|id| id.split(':').next()).collect();
        names.insert("peer");
        names.extend(self.limits);
        if ids.contains(text) { Some(text.to_owned()) } else { self.named(value, "limit", text, &names) }
    }

    fn rule(&self, value: Value<'_>) -> Option<String> {
        let text = value.text()?;
        let mut names = self.rules.clone();
        names.insert("allow");
        for policy in self.rulebook.operations.values() {
            names.extend(policy.step_ups.iter().map(|rule| &*rule.id));
            names.extend(policy.masks.iter().map(|mask| &*mask.id));
            for rule in &policy.fraud {
                names.insert(&*rule.id);
                if let FraudAnswer::StepUp(step_up) = &rule.then {
                    names.insert(&*step_up.id);
                }
            }
        }
        self.named(value, "rule", text, &names)
    }

    fn named(&self, value: Value<'_>, what: &str, text: &str, names: &BTreeSet<&str>) -> Option<String> {
        if !names.contains(text) {
            self.unknown("P0108", value, what, text, names.iter().copied());
            return None;
        }
        Some(text.to_owned())
    }

    // What is missing may stand in a part that could not be read; then only a near miss is worth telling.
    fn unknown<'k>(
        &self,
        code: &'static str,
        value: Value<'_>,
        what: &str,
        text: &str,
        known: impl Iterator<Item = &'k str> + Clone,
    ) {
        if self.named.contains(text) {
            return;
        }
        if self.whole || did_you_mean(text, known.clone()).is_some() {
            value.unknown(code, what, text, known);
        }
    }
}

fn administrator(value: Value<'_>) -> Option<BTreeSet<AdminRole>> {
    let words = AdminRole::ALL.map(|role| (role.word(), role));
    let roles = value.one_or_more(|item| item.choice(&words))?;
    if roles.is_empty() {
        value.report(value.fault("P0111", "`administrator` names no role").label("at least one belongs here"));
        return None;
    }
    Some(roles.into_iter().collect())
}

fn status(value: Value<'_>) -> Option<u16> {
    value.whole(200..=599).and_then(|status| u16::try_from(status).ok())
}

fn parameters(value: Value<'_>) -> Option<Vec<(String, String)>> {
    let read = |(key, value): (&Key, Value<'_>)| {
        let found = any::text(value).map(|text| (key.text.clone(), text.to_owned()));
        if found.is_none() {
            value.wrong_kind::<()>("a single value", "");
        }
        found
    };
    let read: Vec<Option<(String, String)>> = value.entries()?.into_iter().map(read).collect();
    read.into_iter().collect()
}

fn backend(value: Value<'_>) -> Option<Backend> {
    if any::text(value).is_some() {
        return value.choice(&[("down", Backend::Down), ("silent", Backend::Silent)]);
    }
    let fields = value.table(&BACKEND)?;
    let status = fields.optional("status").map_or(Some(None), |value| status(value).map(Some));
    Some(Backend::Answers { status: status?, body: fields.optional("body").map(any::json) })
}

fn pointers(value: Value<'_>) -> Option<Vec<(String, serde_json::Value)>> {
    let read = |(key, value): (&Key, Value<'_>)| {
        // A pointer to the whole body is the empty one.
        if !key.text.starts_with('/') && !key.text.is_empty() {
            value.report(
                Problem::error("P0104", &key.place, format!("{} is not a place in a body", quoted(&key.text)))
                    .help("write a JSON pointer, for example `/status`"),
            );
            return None;
        }
        Some((key.text.clone(), any::json(value)))
    };
    let read: Vec<Option<(String, serde_json::Value)>> = value.entries()?.into_iter().map(read).collect();
    read.into_iter().collect()
}

fn instant(value: Value<'_>) -> Option<Timestamp> {
    value.parsed("an instant in UTC", "2026-11-23T10:00:00Z (or a day, 2026-11-23)", |text| {
        if !text.contains('T') {
            return Timestamp::from_date(text);
        }
        Some(text).filter(|text| text.len() == INSTANT_LENGTH && text.ends_with('Z')).and_then(Timestamp::parse)
    })
}

/// The length of `2026-11-23T10:00:00Z`: whole seconds, in UTC.
const INSTANT_LENGTH: usize = 20;
