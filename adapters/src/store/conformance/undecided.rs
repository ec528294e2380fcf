//! What every store promises of claims whose outcome nobody knows.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use policies::id::{ClientId, OperationId};
use policies::once::{ClaimState, EarlierClaim};
use policies::settle::{Fate, Settlement, Undecided};
use policies::time::Timestamp;

use super::{KEEP, LEASE, NOW, TICK, answered, claim, client, earlier, event, key, reply, taken, wish};
use crate::store::port::{ClaimAnswer, Durable, Finish, NewClaim};

/// How long somebody may take to ask a backend.
const TURN: Duration = Duration::from_secs(10);

const UNDECIDED: Fate = Fate::Undecided { since: NOW };
const NOT_RECEIVED: Fate = Fate::NotReceived { since: NOW };

fn settling(name: &str, digest: u8, reference: &str) -> NewClaim {
    NewClaim { settles: true, ..wish(name, digest, reference) }
}

fn unknown() -> Finish {
    Finish::Unknown(reply(202), event("fintech", "ref-1"))
}

async fn due(store: &impl Durable, now: Timestamp) -> Vec<Undecided> {
    store.undecided(100, TURN, now).await.unwrap()
}

async fn the_one_due(store: &impl Durable, now: Timestamp) -> Undecided {
    let mut found = due(store, now).await;
    assert_eq!(found.len(), 1);
    found.remove(0)
}

async fn settle(store: &impl Durable, undecided: &Undecided, settlement: Settlement, now: Timestamp) -> bool {
    store.settle(undecided, settlement, Some(event("fintech", "settled")), now).await.unwrap()
}

async fn fate(store: &impl Durable, now: Timestamp) -> Option<Fate> {
    let (client, operation) = (client("fintech"), OperationId::parse("pay").unwrap());
    store.fate(&client, &operation, "ref-1", now).await.unwrap()
}

async fn events(store: &impl Durable) -> Vec<String> {
    let found = store.after(&client("fintech"), 0, 100).await.unwrap();
    found.into_iter().map(|event| event.event.subject).collect()
}

fn a_while_later() -> Timestamp {
    NOW + LEASE + LEASE
}

pub(crate) async fn what_cannot_be_asked_for_is_never_undecided(store: &Arc<impl Durable + 'static>) {
    taken(&**store, wish("silent", 1, "ref-0"), NOW).await;
    let ticket = taken(&**store, wish("unknown", 1, "ref-1"), NOW).await;
    store.finish(&ticket, unknown(), NOW).await.unwrap();
    assert_eq!(due(&**store, a_while_later()).await, []);
    assert_eq!(events(&**store).await, ["ref-1"]);
    assert_eq!(fate(&**store, NOW).await, Some(UNDECIDED));
}

pub(crate) async fn an_unknown_outcome_is_undecided_at_once(store: &Arc<impl Durable + 'static>) {
    let ticket = taken(&**store, settling("k", 1, "ref-1"), NOW).await;
    assert_eq!(due(&**store, NOW + TICK).await, []);
    store.finish(&ticket, unknown(), NOW + TICK).await.unwrap();
    assert_eq!(events(&**store).await, ["ref-1"]);
    let found = earlier(&**store, wish("k", 1, "ref-2"), NOW + TICK).await;
    assert_eq!(found, EarlierClaim { digest: [1; 32], state: ClaimState::Answered(reply(202)) });
    assert_eq!(due(&**store, NOW).await, []);
    let undecided = the_one_due(&**store, NOW + TICK).await;
    let expected = Undecided {
        key: key("k"),
        organisation: settling("k", 1, "ref-1").organisation,
        reference: "ref-1".to_owned(),
        since: NOW,
        quiet_since: NOW + TICK,
        asked: 0,
        told: true,
    };
    assert_eq!(undecided, expected);
}

pub(crate) async fn a_holder_without_a_word_leaves_it_undecided_when_the_lease_is_over(
    store: &Arc<impl Durable + 'static>,
) {
    taken(&**store, settling("k", 1, "ref-1"), NOW).await;
    assert_eq!(due(&**store, NOW + LEASE - TICK).await, []);
    let undecided = the_one_due(&**store, NOW + LEASE).await;
    assert_eq!((undecided.asked, undecided.told, undecided.since), (0, false, NOW));
    assert_eq!(undecided.quiet_since, NOW + LEASE);
}

pub(crate) async fn an_answer_or_a_release_leaves_nothing_undecided(store: &Arc<impl Durable + 'static>) {
    let answered_one = taken(&**store, settling("k1", 1, "ref-1"), NOW).await;
    let released_one = taken(&**store, settling("k2", 1, "ref-2"), NOW).await;
    store.finish(&answered_one, answered(201), NOW).await.unwrap();
    store.release(&released_one, NOW).await.unwrap();
    assert_eq!(due(&**store, a_while_later()).await, []);
}

pub(crate) async fn a_release_after_a_silent_holder_leaves_it_undecided(store: &Arc<impl Durable + 'static>) {
    taken(&**store, settling("k", 1, "ref-1"), NOW).await;
    let second = taken(&**store, settling("k", 1, "ref-2"), NOW + LEASE).await;
    // The second holder is at it: nobody else asks meanwhile.
    assert_eq!(due(&**store, NOW + LEASE + LEASE - TICK).await, []);
    store.release(&second, NOW + LEASE + TICK).await.unwrap();
    // Also a third that was told that the second has sent nothing still does not know of the first.
    let third = taken(&**store, settling("k", 1, "ref-3"), NOW + LEASE + TICK).await;
    assert_eq!(fate(&**store, NOW + LEASE + TICK).await, Some(UNDECIDED));
    store.release(&third, NOW + LEASE + TICK).await.unwrap();
    let undecided = the_one_due(&**store, NOW + LEASE + TICK).await;
    assert_eq!((undecided.reference.as_str(), undecided.since, undecided.told), ("ref-1", NOW, false));
    assert_eq!(fate(&**store, NOW + LEASE + TICK).await, Some(UNDECIDED));
}

pub(crate) async fn a_release_after_a_release_leaves_nothing_undecided(store: &Arc<impl Durable + 'static>) {
    for reference in ["ref-1", "ref-2", "ref-3"] {
        let ticket = taken(&**store, settling("k", 1, reference), NOW).await;
        store.release(&ticket, NOW).await.unwrap();
    }
    assert_eq!(due(&**store, a_while_later()).await, []);
    assert_eq!(fate(&**store, NOW).await, Some(NOT_RECEIVED));
}

pub(crate) async fn a_doubt_is_not_lost_when_nobody_can_be_asked_any_more(store: &Arc<impl Durable + 'static>) {
    taken(&**store, settling("k", 1, "ref-1"), NOW).await;
    let second = taken(&**store, wish("k", 1, "ref-2"), NOW + LEASE).await;
    store.release(&second, NOW + LEASE).await.unwrap();
    the_one_due(&**store, NOW + LEASE).await;
}

pub(crate) async fn who_asks_has_a_turn_of_their_own(store: &Arc<impl Durable + 'static>) {
    taken(&**store, settling("k", 1, "ref-1"), NOW).await;
    let now = NOW + LEASE;
    the_one_due(&**store, now).await;
    assert_eq!(due(&**store, now + TURN - TICK).await, []);
    let second = the_one_due(&**store, now + TURN).await;
    let (now, again) = (now + TURN, now + KEEP);
    assert!(settle(&**store, &second, Settlement::AskAgain(again), now).await);
    assert_eq!(due(&**store, again - TICK).await, []);
    let third = the_one_due(&**store, again).await;
    assert_eq!((second.asked, third.asked), (0, 1));
}

pub(crate) async fn the_longest_due_are_asked_for_first(store: &Arc<impl Durable + 'static>) {
    for (name, after) in [("k2", 2), ("k1", 1), ("k3", 3)] {
        let claim = NewClaim { lease: LEASE * after, ..settling(name, 1, name) };
        taken(&**store, claim, NOW).await;
    }
    let names = |found: Vec<Undecided>| found.into_iter().map(|one| one.reference).collect::<Vec<_>>();
    let now = NOW + LEASE * 3;
    assert_eq!(names(store.undecided(2, TURN, now).await.unwrap()), ["k1", "k2"]);
    assert_eq!(names(store.undecided(2, TURN, now).await.unwrap()), ["k3"]);
}

pub(crate) async fn of_parallel_askers_each_gets_others(store: &Arc<impl Durable + 'static>) {
    for number in 0..20 {
        taken(&**store, settling(&format!("k{number}"), 1, &format!("ref-{number}")), NOW).await;
    }
    let calls = (0..20).map(|_| {
        let store = Arc::clone(store);
        tokio::spawn(async move { store.undecided(3, TURN, NOW + LEASE).await.unwrap() })
    });
    let mut references = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        references.extend(call.await.unwrap().into_iter().map(|undecided| undecided.reference));
    }
    // Askers at the same time may leave some to the next round, but none gets what another has.
    references.extend(due(&**store, NOW + LEASE).await.into_iter().map(|undecided| undecided.reference));
    assert_eq!((references.len(), references.iter().collect::<HashSet<_>>().len()), (20, 20));
}

pub(crate) async fn an_undecided_claim_outlasts_its_time(store: &Arc<impl Durable + 'static>) {
    let ticket = taken(&**store, settling("told", 1, "ref-1"), NOW).await;
    store.finish(&ticket, unknown(), NOW).await.unwrap();
    taken(&**store, settling("silent", 1, "ref-2"), NOW).await;
    let late = NOW + KEEP + KEEP;
    assert_ne!(earlier(&**store, wish("told", 2, "ref-3"), late).await.digest, [2; 32]);
    assert_ne!(earlier(&**store, wish("silent", 2, "ref-3"), late).await.digest, [2; 32]);
    assert_eq!(fate(&**store, late).await, Some(UNDECIDED));
    assert_eq!(taken(&**store, settling("silent", 1, "ref-4"), late).await.reference(), "ref-2");
    // Once settled, it is kept as long again for a client that comes late.
    let undecided = the_one_due(&**store, late).await;
    assert!(settle(&**store, &undecided, Settlement::Answered(reply(201)), late).await);
    for now in [late, late + KEEP - TICK] {
        let found = earlier(&**store, wish("told", 1, "ref-5"), now).await;
        assert_eq!(found.state, ClaimState::Answered(reply(201)));
        assert_eq!(fate(&**store, now).await, Some(Fate::Answered));
    }
    assert_eq!(fate(&**store, late + KEEP).await, None);
    assert_eq!(taken(&**store, settling("told", 2, "ref-6"), late + KEEP).await.reference(), "ref-6");
}

pub(crate) async fn an_answer_settles_for_good(store: &Arc<impl Durable + 'static>) {
    let ticket = taken(&**store, settling("k", 1, "ref-1"), NOW).await;
    store.finish(&ticket, unknown(), NOW).await.unwrap();
    let undecided = the_one_due(&**store, NOW).await;
    assert!(settle(&**store, &undecided, Settlement::Answered(reply(201)), NOW).await);
    let found = earlier(&**store, wish("k", 1, "ref-2"), NOW).await;
    assert_eq!(found.state, ClaimState::Answered(reply(201)));
    assert_eq!(fate(&**store, NOW).await, Some(Fate::Answered));
    for settlement in [Settlement::Answered(reply(500)), Settlement::NotReceived, Settlement::AskAgain(NOW)] {
        assert!(!settle(&**store, &undecided, settlement, NOW).await);
    }
    assert_eq!(due(&**store, a_while_later()).await, []);
    assert_eq!(events(&**store).await, ["ref-1", "settled"]);
    assert_eq!(earlier(&**store, wish("k", 1, "ref-2"), NOW).await.state, ClaimState::Answered(reply(201)));
}

pub(crate) async fn a_silent_holder_that_was_settled_can_do_nothing_more(store: &Arc<impl Durable + 'static>) {
    let ticket = taken(&**store, settling("k", 1, "ref-1"), NOW).await;
    let undecided = the_one_due(&**store, NOW + LEASE).await;
    assert!(settle(&**store, &undecided, Settlement::Answered(reply(201)), NOW + LEASE).await);
    assert!(store.finish(&ticket, answered(202), NOW + LEASE).await.is_err());
    assert!(store.finish(&ticket, unknown(), NOW + LEASE).await.is_err());
    assert!(store.clear(&ticket, &[], NOW + LEASE).await.is_err());
    assert_eq!(events(&**store).await, ["settled"]);
}

pub(crate) async fn a_holder_that_was_given_up_is_believed_when_it_tells(store: &Arc<impl Durable + 'static>) {
    let ticket = taken(&**store, settling("k", 1, "ref-1"), NOW).await;
    // Another gateway, whose clock is ahead, finds that the backend has nothing, while the holder is sending it.
    let undecided = the_one_due(&**store, NOW + LEASE).await;
    assert!(settle(&**store, &undecided, Settlement::NotReceived, NOW + LEASE).await);
    assert_eq!(fate(&**store, NOW + LEASE).await, Some(NOT_RECEIVED));
    assert!(store.clear(&ticket, &[], NOW + TICK).await.is_err());
    store.release(&ticket, NOW + TICK).await.unwrap();
    store.finish(&ticket, answered(201), NOW + TICK).await.unwrap();
    assert_eq!(fate(&**store, NOW + TICK).await, Some(Fate::Answered));
    let found = earlier(&**store, settling("k", 1, "ref-2"), NOW + LEASE).await;
    assert_eq!(found.state, ClaimState::Answered(reply(201)));
    assert_eq!(due(&**store, a_while_later()).await, []);
    assert!(store.finish(&ticket, answered(500), NOW + LEASE).await.is_err());
}

pub(crate) async fn a_holder_that_was_given_up_and_does_not_know_leaves_it_undecided(
    store: &Arc<impl Durable + 'static>,
) {
    let ticket = taken(&**store, settling("k", 1, "ref-1"), NOW).await;
    let undecided = the_one_due(&**store, NOW + LEASE).await;
    assert!(settle(&**store, &undecided, Settlement::NotReceived, NOW + LEASE).await);
    store.finish(&ticket, unknown(), NOW + LEASE).await.unwrap();
    assert_eq!(fate(&**store, NOW + LEASE).await, Some(UNDECIDED));
    let undecided = the_one_due(&**store, NOW + LEASE).await;
    assert_eq!((undecided.asked, undecided.quiet_since), (0, NOW + LEASE));
    // Once it has told, it has nothing more to tell.
    assert!(settle(&**store, &undecided, Settlement::NotReceived, NOW + LEASE).await);
    assert!(store.finish(&ticket, answered(201), NOW + LEASE).await.is_err());
    assert_eq!(fate(&**store, NOW + LEASE).await, Some(NOT_RECEIVED));
}

pub(crate) async fn a_holder_that_was_given_up_tells_nothing_once_another_is_at_it(
    store: &Arc<impl Durable + 'static>,
) {
    let first = taken(&**store, settling("k", 1, "ref-1"), NOW).await;
    let undecided = the_one_due(&**store, NOW + LEASE).await;
    assert!(settle(&**store, &undecided, Settlement::NotReceived, NOW + LEASE).await);
    let second = taken(&**store, settling("k", 1, "ref-2"), NOW + LEASE).await;
    assert!(store.finish(&first, answered(201), NOW + LEASE).await.is_err());
    store.finish(&second, answered(201), NOW + LEASE).await.unwrap();
}

pub(crate) async fn a_ticket_tells_whether_an_earlier_holder_may_have_done_it(store: &Arc<impl Durable + 'static>) {
    let first = taken(&**store, settling("k", 1, "ref-1"), NOW).await;
    assert!(!first.in_doubt());
    let second = taken(&**store, settling("k", 1, "ref-2"), NOW + LEASE).await;
    assert!(second.in_doubt());
    store.release(&second, NOW + LEASE).await.unwrap();
    let third = taken(&**store, settling("k", 1, "ref-3"), NOW + LEASE).await;
    assert!(third.in_doubt(), "the second has told of itself alone");
    let undecided = the_one_due(&**store, a_while_later()).await;
    assert!(settle(&**store, &undecided, Settlement::NotReceived, a_while_later()).await);
    let fourth = taken(&**store, settling("k", 1, "ref-4"), a_while_later()).await;
    assert!(!fourth.in_doubt());
    store.release(&fourth, a_while_later()).await.unwrap();
    assert!(!taken(&**store, settling("k", 1, "ref-5"), a_while_later()).await.in_doubt());
    // Where nobody can be asked, doubting helps nobody.
    taken(&**store, wish("local", 1, "ref-6"), NOW).await;
    assert!(!taken(&**store, wish("local", 1, "ref-7"), NOW + LEASE).await.in_doubt());
}

pub(crate) async fn of_parallel_settlements_one_counts(store: &Arc<impl Durable + 'static>) {
    taken(&**store, settling("k", 1, "ref-1"), NOW).await;
    let undecided = the_one_due(&**store, NOW + LEASE).await;
    let calls = (0..20).map(|number| {
        let (store, undecided) = (Arc::clone(store), undecided.clone());
        let settlement =
            if number % 2 == 0 { Settlement::NotReceived } else { Settlement::Answered(reply(200 + number)) };
        tokio::spawn(async move { settle(&*store, &undecided, settlement, NOW + LEASE).await })
    });
    let mut settled = 0;
    for call in calls.collect::<Vec<_>>() {
        settled += usize::from(call.await.unwrap());
    }
    assert_eq!(settled, 1);
    assert_eq!(events(&**store).await, ["settled"]);
}

pub(crate) async fn what_was_not_received_may_be_done_under_its_first_reference(store: &Arc<impl Durable + 'static>) {
    let ticket = taken(&**store, settling("k", 1, "ref-1"), NOW).await;
    store.finish(&ticket, unknown(), NOW).await.unwrap();
    let undecided = the_one_due(&**store, NOW).await;
    assert!(settle(&**store, &undecided, Settlement::NotReceived, NOW).await);
    assert_eq!(fate(&**store, NOW).await, Some(NOT_RECEIVED));
    assert_eq!(due(&**store, a_while_later()).await, []);
    assert_ne!(earlier(&**store, wish("k", 2, "ref-2"), NOW).await.digest, [2; 32]);
    let again = taken(&**store, settling("k", 1, "ref-3"), NOW).await;
    assert_eq!(again.reference(), "ref-1");
    assert_eq!(fate(&**store, NOW).await, Some(UNDECIDED));
    store.finish(&again, answered(201), NOW).await.unwrap();
    assert_eq!(fate(&**store, NOW).await, Some(Fate::Answered));
}

pub(crate) async fn what_was_not_received_is_sure_until_it_is_tried_again(store: &Arc<impl Durable + 'static>) {
    taken(&**store, settling("k", 1, "ref-1"), NOW).await;
    let undecided = the_one_due(&**store, NOW + LEASE).await;
    assert!(settle(&**store, &undecided, Settlement::NotReceived, NOW + LEASE).await);
    // What the first holder did is known: a second that sends nothing leaves no doubt.
    let second = taken(&**store, settling("k", 1, "ref-2"), NOW + LEASE).await;
    store.release(&second, NOW + LEASE).await.unwrap();
    assert_eq!(fate(&**store, NOW + LEASE).await, Some(NOT_RECEIVED));
    taken(&**store, settling("k", 1, "ref-3"), NOW + LEASE).await;
    assert_eq!(fate(&**store, NOW + LEASE).await, Some(UNDECIDED));
    the_one_due(&**store, NOW + LEASE + LEASE).await;
}

pub(crate) async fn nothing_is_settled_while_a_repetition_is_at_it(store: &Arc<impl Durable + 'static>) {
    taken(&**store, settling("k", 1, "ref-1"), NOW).await;
    let undecided = the_one_due(&**store, NOW + LEASE).await;
    let second = taken(&**store, settling("k", 1, "ref-2"), NOW + LEASE).await;
    for settlement in [Settlement::Answered(reply(201)), Settlement::NotReceived, Settlement::AskAgain(NOW)] {
        assert!(!settle(&**store, &undecided, settlement, NOW + LEASE + LEASE - TICK).await);
    }
    assert_eq!(due(&**store, NOW + LEASE + LEASE - TICK).await, []);
    store.finish(&second, answered(201), NOW + LEASE).await.unwrap();
    assert_eq!(events(&**store).await, Vec::<String>::new());
}

pub(crate) async fn what_was_asked_before_a_repetition_settles_nothing_after_it(store: &Arc<impl Durable + 'static>) {
    // The backend says "not received", and then the repetition sends it: the word is old.
    taken(&**store, settling("silent", 1, "ref-1"), NOW).await;
    let silent = the_one_due(&**store, NOW + LEASE).await;
    taken(&**store, settling("silent", 1, "ref-2"), NOW + LEASE).await;
    taken(&**store, settling("told", 1, "ref-3"), NOW + LEASE).await;
    let now = NOW + LEASE + LEASE;
    let found = due(&**store, now).await;
    let told = found.iter().find(|undecided| undecided.key == key("told")).unwrap();
    let second = taken(&**store, settling("told", 1, "ref-4"), now).await;
    store.finish(&second, unknown(), now).await.unwrap();
    for undecided in [&silent, told] {
        assert!(!settle(&**store, undecided, Settlement::NotReceived, now).await);
        assert!(!settle(&**store, undecided, Settlement::Answered(reply(201)), now).await);
    }
}

pub(crate) async fn a_repetition_begins_the_asking_anew(store: &Arc<impl Durable + 'static>) {
    taken(&**store, settling("k", 1, "ref-1"), NOW).await;
    let first = the_one_due(&**store, NOW + LEASE).await;
    assert!(settle(&**store, &first, Settlement::AskAgain(NOW + LEASE), NOW + LEASE).await);
    let second = the_one_due(&**store, NOW + LEASE).await;
    assert_eq!((second.asked, second.quiet_since), (1, NOW + LEASE));
    taken(&**store, settling("k", 1, "ref-2"), NOW + LEASE).await;
    let third = the_one_due(&**store, NOW + LEASE + LEASE).await;
    assert_eq!((third.asked, third.quiet_since), (0, NOW + LEASE + LEASE));
    assert!(!settle(&**store, &first, Settlement::NotReceived, NOW + LEASE + LEASE).await);
}

pub(crate) async fn an_earlier_turn_settles_nothing_after_a_later_one(store: &Arc<impl Durable + 'static>) {
    let ticket = taken(&**store, settling("k", 1, "ref-1"), NOW).await;
    store.finish(&ticket, unknown(), NOW).await.unwrap();
    let earlier = the_one_due(&**store, NOW).await;
    let later = the_one_due(&**store, NOW + TURN).await;
    assert!(settle(&**store, &later, Settlement::NotReceived, NOW + TURN).await);
    let second = taken(&**store, settling("k", 1, "ref-2"), NOW + TURN).await;
    store.finish(&second, unknown(), NOW + TURN).await.unwrap();
    assert!(!settle(&**store, &earlier, Settlement::NotReceived, NOW + TURN).await);
    assert_eq!(fate(&**store, NOW + TURN).await, Some(UNDECIDED));
}

pub(crate) async fn a_decided_claim_is_not_settled(store: &Arc<impl Durable + 'static>) {
    let ticket = taken(&**store, settling("k", 1, "ref-1"), NOW).await;
    let undecided = Undecided {
        key: key("k"),
        organisation: settling("k", 1, "ref-1").organisation,
        reference: "ref-1".to_owned(),
        since: NOW,
        quiet_since: NOW + LEASE,
        asked: 0,
        told: false,
    };
    assert!(!settle(&**store, &undecided, Settlement::NotReceived, NOW).await);
    let other = Undecided { reference: "ref-2".to_owned(), ..undecided.clone() };
    assert!(!settle(&**store, &other, Settlement::NotReceived, NOW + LEASE).await);
    let nowhere = Undecided { key: key("k2"), ..undecided.clone() };
    assert!(!settle(&**store, &nowhere, Settlement::NotReceived, NOW + LEASE).await);
    store.finish(&ticket, answered(201), NOW).await.unwrap();
    for told in [false, true] {
        let undecided = Undecided { told, ..undecided.clone() };
        assert!(!settle(&**store, &undecided, Settlement::NotReceived, NOW + LEASE).await);
    }
    assert_eq!(events(&**store).await, Vec::<String>::new());
}

pub(crate) async fn a_fate_is_found_by_its_reference_alone(store: &Arc<impl Durable + 'static>) {
    assert_eq!(fate(&**store, NOW).await, None);
    let ticket = taken(&**store, settling("k", 1, "ref-1"), NOW).await;
    assert_eq!(fate(&**store, NOW).await, Some(UNDECIDED));
    let (other, pay, read) = (client("other"), OperationId::parse("pay").unwrap(), OperationId::parse("read").unwrap());
    let fate_of = async |client: &ClientId, operation: &OperationId, reference: &str| {
        store.fate(client, operation, reference, NOW).await.unwrap()
    };
    assert_eq!(fate_of(&other, &pay, "ref-1").await, None);
    assert_eq!(fate_of(&client("fintech"), &read, "ref-1").await, None);
    assert_eq!(fate_of(&client("fintech"), &pay, "ref-2").await, None);
    store.finish(&ticket, answered(201), NOW).await.unwrap();
    for now in [NOW, NOW + KEEP - TICK] {
        assert_eq!(fate(&**store, now).await, Some(Fate::Answered));
    }
    assert_eq!(fate(&**store, NOW + KEEP).await, None);
}

pub(crate) async fn a_repetition_and_a_settlement_never_both_win(store: &Arc<impl Durable + 'static>) {
    for number in 0..10 {
        let name = format!("k{number}");
        taken(&**store, settling(&name, 1, &name), NOW).await;
        let undecided = the_one_due(&**store, NOW + LEASE).await;
        let settling_store = Arc::clone(store);
        let settled = tokio::spawn(async move {
            settle(&*settling_store, &undecided, Settlement::Answered(reply(201)), NOW + LEASE).await
        });
        let repeating = Arc::clone(store);
        let wanted = settling(&name, 1, "ref-2");
        let repeated = tokio::spawn(async move { claim(&*repeating, wanted, NOW + LEASE).await });
        let (settled, repeated) = (settled.await.unwrap(), repeated.await.unwrap());
        match repeated {
            ClaimAnswer::Taken(ticket) => {
                assert!(!settled);
                store.finish(&ticket, answered(201), NOW + LEASE).await.unwrap();
            }
            ClaimAnswer::Earlier(earlier) => {
                assert!(settled);
                assert_eq!(earlier.state, ClaimState::Answered(reply(201)));
            }
        }
    }
}
