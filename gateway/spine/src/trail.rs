//! The trail of one request: what each stage decided, kept in memory until the end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use policies::audit::{Ending, Record, RecordKind, Step};
use policies::id::{AdminId, ClientId, InteractionId, OperationId, OrganisationId, ProviderId};
use policies::time::Timestamp;

#[derive(Debug)]
struct State {
    operation: Option<OperationId>,
    client: Option<ClientId>,
    organisation: Option<OrganisationId>,
    administrator: Option<AdminId>,
    provider: Option<ProviderId>,
    steps: Vec<Step>,
    amount: Option<String>,
    reference: Option<String>,
}

/// The trail, shared between the frame that seals it and the stages that write on it.
#[derive(Debug, Clone)]
pub struct Trail {
    interaction: InteractionId,
    received: Timestamp,
    generation: u64,
    state: Arc<Mutex<State>>,
}

/// As many stages as there are: the list of steps grows once.
const STEPS: usize = 10;

impl Trail {
    /// Opens the trail of a request that policy generation `generation` will decide.
    #[must_use]
    pub fn open(interaction: InteractionId, received: Timestamp, generation: u64) -> Self {
        let state = State {
            operation: None,
            client: None,
            organisation: None,
            administrator: None,
            provider: None,
            steps: Vec::with_capacity(STEPS),
            amount: None,
            reference: None,
        };
        Self { interaction, received, generation, state: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere cannot leave half a note: every note is one assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes which operation it is.
    pub fn note_operation(&self, operation: &OperationId) {
        self.state().operation = Some(operation.clone());
    }

    /// Notes that a client asks.
    pub fn note_client(&self, client: &ClientId, organisation: &OrganisationId) {
        let mut state = self.state();
        state.client = Some(client.clone());
        state.organisation = Some(organisation.clone());
    }

    /// Notes that an administrator asks.
    pub fn note_administrator(&self, administrator: &AdminId) {
        self.state().administrator = Some(administrator.clone());
    }

    /// Notes that an identity provider calls back.
    pub fn note_provider(&self, provider: &ProviderId) {
        self.state().provider = Some(provider.clone());
    }

    /// Notes the amount that rules judged.
    pub fn note_amount(&self, amount: String) {
        self.state().amount = Some(amount);
    }

    /// Notes the reference under which the backend knows the deed.
    pub fn note_reference(&self, reference: &str) {
        self.state().reference = Some(reference.to_owned());
    }

    /// Notes that `stage` let the request pass, or the name of its refusal.
    pub fn note_step(&self, stage: &'static str, decision: &'static str) {
        self.state().steps.push(Step { stage, decision });
    }

    /// Tells whether nobody has shown who they are.
    #[must_use]
    pub fn is_stranger(&self) -> bool {
        self.state().client.is_none()
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

    fn record(&self, kind: RecordKind, ending: Ending, status: Option<u16>, now: Timestamp) -> Record {
        let mut state = self.state();
        let steps = if kind == RecordKind::Outcome { std::mem::take(&mut state.steps) } else { state.steps.clone() };
        Record {
            kind,
            interaction: self.interaction.clone(),
            received: self.received,
            at: now,
            operation: state.operation.clone(),
            client: state.client.clone(),
            organisation: state.organisation.clone(),
            administrator: state.administrator.clone(),
            provider: state.provider.clone(),
            steps,
            amount: state.amount.clone(),
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
        assert_eq!((trail.intent(NOW).administrator, trail.intent(NOW).provider), (None, None));
        let (administrator, provider) = (AdminId::parse("daniyar").unwrap(), ProviderId::parse("face").unwrap());
        trail.note_administrator(&administrator);
        trail.note_provider(&provider);
        for record in [trail.intent(NOW), trail.outcome(Ending::Answered, Some(200), NOW)] {
            assert_eq!(
                (record.administrator.as_ref(), record.provider.as_ref()),
                (Some(&administrator), Some(&provider))
            );
        }
    }
}
