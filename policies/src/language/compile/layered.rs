//! What the layers of an operation come to, and which of it can be asked of its callers at all.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::consent::Said;
use super::layers::{Merge, Merged, Union};
use super::masking::Masked;
use super::rows::{Rows, shown};
use super::rules::Defined;
use super::terms::Terms;
use crate::language::decode::Value;
use crate::language::effective::Layer;
use crate::language::problem::Place;
use crate::language::strict::default_items;
use crate::language::table::{Field, Need};
use crate::language::tables::consents::{ACCOUNT, CONSENT, ID, ITEMS};
use crate::language::tables::{
    ALLOW, AUDIT, FRAUD_FIELD, LIMITS, MASK_FIELD, MAX_BODY, NOTE, RESPONSE, ROLES, SCOPES, STEP_UP_FIELD, TIMEOUT,
};
use crate::limit::{Limit, Mode};
use crate::mask::FieldPath;
use crate::rulebook::{AuditDuty, FraudRule, Role, StepUp};

/// Everything that layers can say, merged so far.
#[derive(Default)]
pub(super) struct Layered<'t, 'n> {
    pub(super) roles: Option<Merged<'t, BTreeSet<Role>>>,
    pub(super) body_bytes: Option<Merged<'t, usize>>,
    pub(super) timeout: Option<Merged<'t, Duration>>,
    pub(super) audit: Option<Merged<'t, AuditDuty>>,
    pub(super) responses: Option<Merged<'t, Mode>>,
    pub(super) consent: Option<Merged<'t, Said<'n>>>,
    pub(super) scopes: Option<Union<'t, &'n str>>,
    pub(super) allow: Option<Union<'t, Value<'n>>>,
    pub(super) limits: Option<Union<'t, Arc<Limit>>>,
    pub(super) step_ups: Option<Union<'t, Defined<'n, StepUp>>>,
    pub(super) fraud: Option<Union<'t, Defined<'n, FraudRule>>>,
    pub(super) masks: Option<Union<'t, Masked<'n>>>,
    pub(super) note: Option<Union<'t, (FieldPath, Value<'n>)>>,
}

impl<'t, 'n> Layered<'t, 'n> {
    /// Adds a layer to what is inherited.
    pub(super) fn merge(inherited: &Layered<'t, 'n>, own: &'t Terms<'n>, merge: &mut Merge<'_, 'n>) -> Self {
        let bounds = &own.bounds;
        let sound = std::mem::replace(&mut merge.sound, true);
        // What was refused is not held against the contract as well.
        let consent = merge.single(&CONSENT, inherited.consent, own.consent.as_ref()).filter(|_| merge.sound);
        merge.sound &= sound;
        Self {
            roles: merge.single(&ROLES, inherited.roles, bounds.roles.as_ref()),
            body_bytes: merge.single(&MAX_BODY, inherited.body_bytes, bounds.body_bytes.as_ref()),
            timeout: merge.single(&TIMEOUT, inherited.timeout, bounds.timeout.as_ref()),
            audit: merge.single(&AUDIT, inherited.audit, bounds.audit.as_ref()),
            responses: merge.single(&RESPONSE, inherited.responses, bounds.responses.as_ref()),
            consent,
            scopes: merge.list(&SCOPES, inherited.scopes.as_ref(), own.scopes.as_ref()),
            allow: merge.list(&ALLOW, inherited.allow.as_ref(), own.allow.as_ref()),
            limits: merge.list(&LIMITS, inherited.limits.as_ref(), own.limits.as_ref()),
            step_ups: merge.list(&STEP_UP_FIELD, inherited.step_ups.as_ref(), own.step_ups.as_ref()),
            fraud: merge.list(&FRAUD_FIELD, inherited.fraud.as_ref(), own.fraud.as_ref()),
            masks: merge.list(&MASK_FIELD, inherited.masks.as_ref(), own.masks.as_ref()),
            note: merge.instead(inherited.note.as_ref(), own.note.as_ref()),
        }
    }

    /// Leaves out what cannot be asked: only who comes with a token has roles, scopes and a payer, only clients are counted one by one.
    pub(super) fn asked_of(mut self, by_token: bool, by_client: bool, has_body: bool) -> Self {
        if !by_token {
            (self.roles, self.scopes, self.allow, self.step_ups, self.fraud) = (None, None, None, None, None);
            self.consent = None;
        }
        retain(&mut self.limits, |limit| limit.concerns(by_client));
        if !has_body {
            self.note = None;
            // Where no body is, no money is moved by it; an operation's own rule was refused.
            retain(&mut self.step_ups, |rule| !rule.compares_amount());
            retain(&mut self.fraud, |rule| !rule.compares_amount());
        }
        self
    }

    /// Tells what applies to an operation, `path` being its own.
    pub(super) fn rows(&self, rows: &mut Rows, path: &[&str], contract_scopes: &[String]) {
        let mut told = |inner: &[&str], field: &'static Field, found: Option<(Vec<String>, &Place, Layer)>| {
            let path = path.iter().chain(inner).map(|part| (*part).to_owned()).collect();
            match (found, field.need) {
                (Some((value, place, layer)), _) => rows.merged(path, field, value, Some(place), layer),
                (None, Need::Default(text)) => rows.merged(path, field, default_items(text), None, Layer::Language),
                (None, Need::Required | Need::Optional) => {}
            }
        };
        told(&["requires", "roles"], &ROLES, single(self.roles));
        self.consent_rows(&mut told);
        told(&["maxBody"], &MAX_BODY, single(self.body_bytes));
        told(&["timeout"], &TIMEOUT, single(self.timeout));
        told(&["audit"], &AUDIT, single(self.audit));
        told(&["validate", "response"], &RESPONSE, single(self.responses));
        told(&["allow"], &ALLOW, list(self.allow.as_ref()));
        told(&["limits"], &LIMITS, list(self.limits.as_ref()));
        told(&["fraud"], &FRAUD_FIELD, list(self.fraud.as_ref()));
        told(&["stepUp"], &STEP_UP_FIELD, list(self.step_ups.as_ref()));
        told(&["mask"], &MASK_FIELD, list(self.masks.as_ref()));
        told(&["note"], &NOTE, list(self.note.as_ref()));
        let path = path.iter().copied().chain(["requires", "scopes"]).map(str::to_owned).collect();
        let mut scopes: Vec<String> = contract_scopes.to_vec();
        match list(self.scopes.as_ref()) {
            Some((more, place, layer)) => {
                scopes.extend(more);
                scopes.sort();
                scopes.dedup();
                rows.merged(path, &SCOPES, scopes, Some(place), layer);
            }
            None if scopes.is_empty() => {}
            None => rows.merged(path, &SCOPES, scopes, None, Layer::Contract),
        }
    }

    fn consent_rows(&self, told: &mut Told<'_>) {
        told(&["consent"], &CONSENT, single(self.consent));
        for (name, value) in self.consent.iter().flat_map(|found| found.given.value.places()) {
            let (path, field): (&[&str], _) = match name {
                "account" => (&["consent", "account"], &ACCOUNT),
                "items" => (&["consent", "list", "items"], &ITEMS),
                _ => (&["consent", "list", "id"], &ID),
            };
            let layer = self.consent.map_or(Layer::Own, |found| found.layer);
            told(path, field, Some((vec![shown(&field.kind, value.node())], value.place(), layer)));
        }
    }
}

/// Takes in what applies at a path below an operation: items, place and layer, if anything was said.
type Told<'a> = dyn FnMut(&[&str], &'static Field, Option<(Vec<String>, &Place, Layer)>) + 'a;

// A list of which nothing is left was never said; one that an override has emptied was.
fn retain<T>(union: &mut Option<Union<'_, T>>, keep: impl Fn(&T) -> bool) {
    let Some(found) = union else { return };
    let before = found.items.len();
    found.items.retain(|(_, item, _)| keep(item));
    if found.items.is_empty() && before > 0 {
        *union = None;
    }
}

fn single<'t, T>(merged: Option<Merged<'t, T>>) -> Option<(Vec<String>, &'t Place, Layer)> {
    merged.map(|found| (found.given.shown.clone(), &found.given.place, found.layer))
}

fn list<'t, T>(union: Option<&Union<'t, T>>) -> Option<(Vec<String>, &'t Place, Layer)> {
    let found = union?;
    Some((found.items.iter().map(|(name, ..)| (*name).to_owned()).collect(), found.place, found.layer))
}
