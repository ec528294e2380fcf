//! What every store promises of verifications.

use std::sync::Arc;

use policies::event::{EventKind, NewEvent};
use policies::id::{ClientId, ProviderId, VerificationId};
use policies::verification::{Binding, State, Verification};

use super::{LEASE, NOW, client, event};
use crate::store::port::{Outbox, Verifications};

pub(crate) fn verification(id: &str, session: &str) -> Verification {
    Verification {
        id: VerificationId::parse(id).unwrap(),
        client: ClientId::parse("fintech").unwrap(),
        subject: "pairwise".to_owned(),
        sealed_subject: vec![0, 255, 1],
        purpose: "payment".to_owned(),
        level: "L2".to_owned(),
        binding: Binding::Payment { hash: "h".to_owned() },
        state: State::CapturePending,
        provider: ProviderId::parse("demo").unwrap(),
        session: session.to_owned(),
        capture_url: "https://id.example/s".to_owned(),
        created: NOW,
        expires: NOW + LEASE,
        decided: None,
        acr: None,
    }
}

pub(crate) async fn a_verification_is_kept_whole(store: &Arc<impl Verifications + Outbox + 'static>) {
    let one = verification("v-1", "s-1");
    let unbound = Verification { binding: Binding::None, ..verification("v-2", "s-2") };
    for kept in [&one, &unbound] {
        store.insert(kept.clone()).await.unwrap();
        let found = store.get(&kept.id).await.unwrap().unwrap();
        assert_eq!(format!("{found:?}"), format!("{kept:?}"));
        let found = store.by_session(&kept.provider, &kept.session).await.unwrap().unwrap();
        assert_eq!(found.id, kept.id);
    }
    assert!(store.get(&VerificationId::parse("v-3").unwrap()).await.unwrap().is_none());
    assert!(store.by_session(&ProviderId::parse("other").unwrap(), "s-1").await.unwrap().is_none());
    assert!(store.by_session(&one.provider, "s-3").await.unwrap().is_none());
}

pub(crate) async fn a_verification_is_there_once(store: &Arc<impl Verifications + Outbox + 'static>) {
    store.insert(verification("v-1", "s-1")).await.unwrap();
    assert!(store.insert(verification("v-1", "s-2")).await.is_err());
    assert!(store.insert(verification("v-2", "s-1")).await.is_err());
    assert!(store.by_session(&ProviderId::parse("demo").unwrap(), "s-2").await.unwrap().is_none());
}

pub(crate) async fn a_verification_changes_only_from_the_state_that_was_expected(
    store: &Arc<impl Verifications + Outbox + 'static>,
) {
    let pending = verification("v-1", "s-1");
    let acr = Some("urn:qaqpa:acr:L2".to_owned());
    let passed = Verification { state: State::Passed, decided: Some(NOW), acr, ..pending.clone() };
    assert!(!store.replace(&passed, State::CapturePending, None).await.unwrap());
    store.insert(pending.clone()).await.unwrap();
    assert!(!store.replace(&passed, State::Failed, None).await.unwrap());
    assert!(store.replace(&passed, State::CapturePending, None).await.unwrap());
    let failed = Verification { state: State::Failed, ..pending };
    assert!(!store.replace(&failed, State::CapturePending, None).await.unwrap());
    let found = store.get(&passed.id).await.unwrap().unwrap();
    assert_eq!(format!("{found:?}"), format!("{passed:?}"));
}

pub(crate) async fn a_decision_and_its_event_are_one(store: &Arc<impl Verifications + Outbox + 'static>) {
    let pending = verification("v-1", "s-1");
    store.insert(pending.clone()).await.unwrap();
    let passed = Verification { state: State::Passed, decided: Some(NOW), ..pending };
    let decided = |subject| NewEvent { kind: EventKind::VerificationDecided, ..event("fintech", subject) };
    assert!(!store.replace(&passed, State::Failed, Some(decided("never"))).await.unwrap());
    assert!(store.replace(&passed, State::CapturePending, Some(decided("v-1"))).await.unwrap());
    assert!(!store.replace(&passed, State::CapturePending, Some(decided("again"))).await.unwrap());
    let found = store.after(&client("fintech"), 0, 100).await.unwrap();
    let subjects: Vec<_> = found.iter().map(|event| (event.position, event.event.subject.as_str())).collect();
    assert_eq!(subjects, [(1, "v-1")]);
}

pub(crate) async fn a_session_that_is_taken_is_given_to_no_other(store: &Arc<impl Verifications + Outbox + 'static>) {
    store.insert(verification("v-1", "s-1")).await.unwrap();
    store.insert(verification("v-2", "s-2")).await.unwrap();
    let taken = verification("v-2", "s-1");
    assert!(store.replace(&taken, State::CapturePending, Some(event("fintech", "v-2"))).await.is_err());
    assert!(store.after(&client("fintech"), 0, 100).await.unwrap().is_empty());
    let moved = verification("v-2", "s-3");
    assert!(store.replace(&moved, State::CapturePending, None).await.unwrap());
    let provider = ProviderId::parse("demo").unwrap();
    assert!(store.by_session(&provider, "s-2").await.unwrap().is_none());
    assert_eq!(store.by_session(&provider, "s-3").await.unwrap().map(|found| found.id), Some(moved.id));
}
