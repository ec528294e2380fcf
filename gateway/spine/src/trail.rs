//! The trail of one request: what each stage decided, kept in memory until the end.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use policies::audit::{AnswerFaults, Counter, Ending, Facts, JudgedIdentity, PersonalData, Record, RecordKind, Step};
use policies::binding::BoundToken;
use policies::details::Detail;
use policies::id::{AdminId, InteractionId, OperationId, ProviderId};
use policies::national::money::Money;
use policies::result::IdentityResult;
use policies::rule::RuleName;
use policies::rulebook::{Client, OperationPolicy};
use policies::time::Timestamp;

#[derive(Debug)]
struct State {
    operation: Option<OperationId>,
    steps: Vec<Step>,
    facts: Facts,
    reference: Option<Arc<str>>,
    fields: Option<String>,
}

/// The trail, shared between the frame that seals it and the stages that write on it.
#[derive(Debug, Clone)]
pub struct Trail {
    interaction: InteractionId,
    received: Timestamp,
    // How long stages take is told by a clock that nobody sets.
    began: Instant,
    generation: u64,
    state: Arc<Mutex<State>>,
}

/// As many stages as there are: the list of steps grows once.
const STEPS: usize = 10;

impl Trail {
    /// Opens the trail of a request that policy generation `generation` will decide.
    #[must_use]
    pub fn open(interaction: InteractionId, received: Timestamp, generation: u64) -> Self {
        let steps = Vec::with_capacity(STEPS);
        let state = State { operation: None, steps, facts: Facts::default(), reference: None, fields: None };
        Self { interaction, received, began: Instant::now(), generation, state: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere cannot leave half a note: every note is one assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the interaction.
    #[must_use]
    pub fn interaction(&self) -> &InteractionId {
        &self.interaction
    }

    /// Notes which policy set is in force, by its digest.
    pub fn note_policies(&self, digest: &Arc<str>) {
        self.state().facts.policies = Some(Arc::clone(digest));
    }

    /// Notes which operation it is.
    pub fn note_operation(&self, operation: &OperationId) {
        self.state().operation = Some(operation.clone());
    }

    /// Notes which operation it is, and what policy says of it.
    pub fn note_policy(&self, policy: &Arc<OperationPolicy>) {
        let mut state = self.state();
        state.operation = Some(policy.operation.clone());
        state.facts.policy = Some(Arc::clone(policy));
    }

    /// Notes that a client asks; its roles and limits are told with it.
    pub fn note_client(&self, client: &Arc<Client>) {
        self.state().facts.client = Some(Arc::clone(client));
    }

    /// Notes which token the client showed; its scopes are told, not its text.
    pub fn note_token(&self, token: &BoundToken) {
        self.state().facts.token = Some(token.clone());
    }

    /// Notes the consents that the call keeps to.
    pub fn note_granted(&self, granted: &[Detail]) {
        self.state().facts.granted = granted.iter().map(|detail| detail.consent().clone()).collect();
    }

    /// Notes that an administrator asks.
    pub fn note_administrator(&self, administrator: &AdminId) {
        self.state().facts.administrator = Some(administrator.clone());
    }

    /// Notes that an identity provider calls back.
    pub fn note_provider(&self, provider: &ProviderId) {
        self.state().facts.provider = Some(provider.clone());
    }

    /// Notes which counters have counted the request.
    pub fn note_counters(&self, counters: Vec<Counter>) {
        self.state().facts.counters = Some(counters);
    }

    /// Notes which limits had no room: the one that has none for the longest, and the others.
    pub fn note_exhausted(&self, limit: &Arc<str>, others: Vec<Arc<str>>) {
        let facts = &mut self.state().facts;
        facts.exhausted = Some(Arc::clone(limit));
        facts.also_exhausted = others;
    }

    /// Notes which rule refused.
    pub fn note_rule(&self, rule: &RuleName) {
        self.state().facts.refused_by = Some(rule.clone());
    }

    /// Notes why a rule could not be judged; `why` holds no value of the request.
    pub fn note_not_judged(&self, why: &str) {
        self.state().facts.not_judged = Some(Arc::from(why));
    }

    /// Notes rules that would have refused, had they been enforced.
    pub fn note_reports(&self, rules: impl IntoIterator<Item = RuleName>) {
        self.state().facts.reports.extend(rules);
    }

    /// Notes how the answer of the backend breaks the contract.
    pub fn note_answer_faults(&self, faults: AnswerFaults) {
        self.state().facts.answer = Some(faults);
    }

    /// Notes what the log line of the request says of its body, masked.
    pub fn note_fields(&self, fields: String) {
        self.state().fields = Some(fields);
    }

    /// Takes what the log line of the request says of its body, with the operation.
    #[must_use]
    pub fn take_fields(&self) -> Option<(OperationId, String)> {
        let mut state = self.state();
        state.fields.take().and_then(|fields| Some((state.operation.clone()?, fields)))
    }

    /// Notes where a client called from.
    pub fn note_peer(&self, peer: IpAddr) {
        self.state().facts.peer = Some(peer);
    }

    /// Notes the amount that rules judged, and the JSON pointer at which it stood.
    pub fn note_amount(&self, at: &str, amount: Money) {
        let mut state = self.state();
        state.facts.amount = Some(amount);
        state.facts.amount_at = Some(Arc::from(at));
    }

    /// Notes the identity result that came with the request, without whom it is about.
    pub fn note_identity(&self, result: &IdentityResult) {
        let verification = result.verification().clone();
        let identity = JudgedIdentity { verification, acr: Arc::from(result.acr()), expires: result.expires() };
        self.state().facts.identity = Some(identity);
    }

    /// Notes what names a person, sealed under that person's own key.
    pub fn note_personal(&self, personal: PersonalData) {
        self.state().facts.personal = Some(personal);
    }

    /// Notes the reference under which the backend knows the deed.
    pub fn note_reference(&self, reference: &str) {
        self.state().reference = Some(Arc::from(reference));
    }

    /// Notes that `stage` let the request pass, or the name of its refusal.
    pub fn note_step(&self, stage: &'static str, decision: &'static str) {
        let micros = u32::try_from(self.began.elapsed().as_micros()).unwrap_or(u32::MAX);
        self.state().steps.push(Step { stage, decision, micros });
    }

    /// Tells whether nobody has shown who they are.
    #[must_use]
    pub fn is_stranger(&self) -> bool {
        self.state().facts.client.is_none()
    }

    /// Returns the operation, once noted.
    #[must_use]
    pub fn operation(&self) -> Option<OperationId> {
        self.state().operation.clone()
    }

    /// Writes the record that has to be durable before the deed.
    #[must_use]
    pub fn intent(&self, now: Timestamp) -> Record {
        self.record(RecordKind::Intent, Ending::Pending, None, now)
    }

    /// Writes the record of the end.
    #[must_use]
    pub fn outcome(&self, ending: Ending, status: Option<u16>, now: Timestamp) -> Record {
        self.record(RecordKind::Outcome, ending, status, now)
    }

    /// Writes the record of what a backend has told of a deed whose outcome was unknown.
    #[must_use]
    pub fn settlement(&self, ending: Ending, now: Timestamp) -> Record {
        self.record(RecordKind::Settlement, ending, None, now)
    }

    fn record(&self, kind: RecordKind, ending: Ending, status: Option<u16>, now: Timestamp) -> Record {
        let mut state = self.state();
        let (steps, facts) = match kind {
            RecordKind::Intent => (state.steps.clone(), state.facts.clone()),
            // The last record takes what there is.
            RecordKind::Outcome | RecordKind::Settlement => {
                (std::mem::take(&mut state.steps), std::mem::take(&mut state.facts))
            }
        };
        Record {
            kind,
            interaction: self.interaction.clone(),
            received: self.received,
            at: now,
            operation: state.operation.clone(),
            steps,
            facts,
            reference: state.reference.clone(),
            status,
            ending,
            generation: self.generation,
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    #[test]
    fn both_records_name_the_administrator_and_the_provider_who_asked() {
        let trail = Trail::open(InteractionId::parse("a").unwrap(), NOW, 1);
        assert_eq!((trail.intent(NOW).facts.administrator, trail.intent(NOW).facts.provider), (None, None));
        let (administrator, provider) = (AdminId::parse("daniyar").unwrap(), ProviderId::parse("face").unwrap());
        trail.note_administrator(&administrator);
        trail.note_provider(&provider);
        for record in [trail.intent(NOW), trail.outcome(Ending::Answered, Some(200), NOW)] {
            assert_eq!(
                (record.facts.administrator.as_ref(), record.facts.provider.as_ref()),
                (Some(&administrator), Some(&provider))
            );
        }
    }
}
