//! What every store promises of claims and of what they spend.

use std::sync::Arc;
use std::time::Duration;

use policies::once::{ClaimState, EarlierClaim, StoredReply};

use super::{KEEP, LEASE, NOW, TICK, answered, claim, earlier, taken, things, wish};
use crate::store::port::{ClaimAnswer, Claims, Finish, SPENDS_KEPT};

pub(crate) async fn of_fifty_parallel_claims_one_is_taken(store: &Arc<impl Claims + 'static>) {
    let calls = (0..50).map(|number| {
        let store = Arc::clone(store);
        tokio::spawn(async move { claim(&*store, wish("k", 1, &format!("ref-{number}")), NOW).await })
    });
    let mut taken = 0;
    for call in calls.collect::<Vec<_>>() {
        taken += usize::from(matches!(call.await.unwrap(), ClaimAnswer::Taken(_)));
    }
    assert_eq!(taken, 1);
}

pub(crate) async fn a_claim_in_flight_tells_how_long_its_lease_lasts(store: &Arc<impl Claims + 'static>) {
    taken(&**store, wish("k", 1, "ref-1"), NOW).await;
    let found = earlier(&**store, wish("k", 1, "ref-2"), NOW + Duration::from_secs(10)).await;
    let lease_left = Duration::from_secs(20);
    assert_eq!(found, EarlierClaim { digest: [1; 32], state: ClaimState::InFlight { lease_left } });
}

pub(crate) async fn a_claim_whose_lease_is_over_is_taken_over_under_its_first_reference(
    store: &Arc<impl Claims + 'static>,
) {
    let first = taken(&**store, wish("k", 1, "ref-1"), NOW).await;
    assert_eq!(first.reference(), "ref-1");
    earlier(&**store, wish("k", 1, "ref-2"), NOW + LEASE - TICK).await;
    let second = taken(&**store, wish("k", 1, "ref-2"), NOW + LEASE).await;
    assert_eq!(second.reference(), "ref-1");
    let third = taken(&**store, wish("k", 1, "ref-3"), NOW + LEASE + LEASE).await;
    assert_eq!(third.reference(), "ref-1");
}

pub(crate) async fn another_body_never_takes_a_claim_over(store: &Arc<impl Claims + 'static>) {
    taken(&**store, wish("k", 1, "ref-1"), NOW).await;
    for now in [NOW, NOW + LEASE, NOW + KEEP - TICK] {
        assert_ne!(earlier(&**store, wish("k", 2, "ref-2"), now).await.digest, [2; 32]);
    }
}

pub(crate) async fn an_answer_is_kept_and_given_back_whole(store: &Arc<impl Claims + 'static>) {
    let ticket = taken(&**store, wish("k", 1, "ref-1"), NOW).await;
    let headers = vec![("location".to_owned(), b"/a".to_vec()), ("x-odd".to_owned(), vec![0xff, 0x20])];
    let reply = StoredReply { status: 201, headers, body: vec![0, 159, 146, 150] };
    store.finish(&ticket, Finish::Answered(reply.clone()), NOW).await.unwrap();
    for now in [NOW, NOW + LEASE, NOW + KEEP - TICK] {
        let found = earlier(&**store, wish("k", 1, "ref-2"), now).await;
        assert_eq!(found, EarlierClaim { digest: [1; 32], state: ClaimState::Answered(reply.clone()) });
    }
    // An answer is given once: what comes later neither changes nor removes it.
    let other = StoredReply { status: 500, headers: vec![], body: vec![] };
    assert!(store.finish(&ticket, Finish::Answered(other), NOW).await.is_err());
    store.release(&ticket, NOW).await.unwrap();
    earlier(&**store, wish("k", 1, "ref-2"), NOW).await;
}

pub(crate) async fn a_claim_is_forgotten_when_its_time_is_over(store: &Arc<impl Claims + 'static>) {
    let ticket = taken(&**store, wish("k", 1, "ref-1"), NOW).await;
    store.finish(&ticket, answered(204), NOW).await.unwrap();
    earlier(&**store, wish("k", 2, "ref-2"), NOW + KEEP - TICK).await;
    let next = taken(&**store, wish("k", 2, "ref-2"), NOW + KEEP).await;
    assert_eq!(next.reference(), "ref-2");
}

pub(crate) async fn who_was_taken_over_can_do_nothing_more(store: &Arc<impl Claims + 'static>) {
    let first = taken(&**store, wish("k", 1, "ref-1"), NOW).await;
    let second = taken(&**store, wish("k", 1, "ref-2"), NOW + LEASE).await;
    assert!(store.clear(&first, &things(&["a"]), NOW + LEASE).await.is_err());
    assert!(store.finish(&first, answered(201), NOW + LEASE).await.is_err());
    store.release(&first, NOW + LEASE).await.unwrap();
    earlier(&**store, wish("k", 1, "ref-3"), NOW + LEASE).await;
    assert!(store.clear(&second, &things(&["a"]), NOW + LEASE).await.unwrap());
    store.finish(&second, answered(201), NOW + LEASE).await.unwrap();
}

pub(crate) async fn a_thing_is_spent_once_by_one_claim(store: &Arc<impl Claims + 'static>) {
    let one = taken(&**store, wish("k1", 1, "ref-1"), NOW).await;
    let two = taken(&**store, wish("k2", 1, "ref-2"), NOW).await;
    assert!(store.clear(&one, &things(&["jti"]), NOW).await.unwrap());
    assert!(store.clear(&one, &things(&["jti"]), NOW).await.unwrap());
    assert!(!store.clear(&two, &things(&["jti"]), NOW).await.unwrap());
    assert!(!store.clear(&two, &things(&["jti"]), NOW + SPENDS_KEPT - TICK).await.unwrap());
    assert!(store.clear(&two, &[], NOW).await.unwrap());
}

pub(crate) async fn spending_is_all_or_nothing(store: &Arc<impl Claims + 'static>) {
    let one = taken(&**store, wish("k1", 1, "ref-1"), NOW).await;
    let two = taken(&**store, wish("k2", 1, "ref-2"), NOW).await;
    assert!(store.clear(&one, &things(&["b"]), NOW).await.unwrap());
    assert!(!store.clear(&two, &things(&["a", "b"]), NOW).await.unwrap());
    assert!(store.clear(&one, &things(&["a"]), NOW).await.unwrap());
}

pub(crate) async fn a_released_claim_keeps_its_reference_and_its_digest(store: &Arc<impl Claims + 'static>) {
    let first = taken(&**store, wish("k", 1, "ref-1"), NOW).await;
    // The first holder may have reached the backend under its reference; this one gives up before it does.
    let second = taken(&**store, wish("k", 1, "ref-2"), NOW + LEASE).await;
    store.release(&first, NOW + LEASE).await.unwrap();
    earlier(&**store, wish("k", 1, "ref-3"), NOW + LEASE).await;
    let released = NOW + LEASE + TICK;
    store.release(&second, released).await.unwrap();
    for now in [released, released + LEASE, NOW + LEASE + KEEP - TICK] {
        let found = earlier(&**store, wish("k", 2, "ref-3"), now).await;
        let state = ClaimState::InFlight { lease_left: Duration::ZERO };
        assert_ne!(found.digest, [2; 32]);
        assert_eq!(found.state, state);
    }
    let third = taken(&**store, wish("k", 1, "ref-3"), released).await;
    assert_eq!(third.reference(), "ref-1");
    store.release(&second, released).await.unwrap();
    earlier(&**store, wish("k", 1, "ref-4"), released).await;
}

pub(crate) async fn a_released_claim_is_forgotten_when_its_time_is_over(store: &Arc<impl Claims + 'static>) {
    let first = taken(&**store, wish("k", 1, "ref-1"), NOW).await;
    store.release(&first, NOW).await.unwrap();
    earlier(&**store, wish("k", 2, "ref-2"), NOW + KEEP - TICK).await;
    assert_eq!(taken(&**store, wish("k", 2, "ref-2"), NOW + KEEP).await.reference(), "ref-2");
}

pub(crate) async fn who_released_can_do_nothing_more(store: &Arc<impl Claims + 'static>) {
    let ticket = taken(&**store, wish("k", 1, "ref-1"), NOW).await;
    store.release(&ticket, NOW).await.unwrap();
    assert!(store.clear(&ticket, &things(&["a"]), NOW).await.is_err());
    assert!(store.finish(&ticket, answered(201), NOW).await.is_err());
    taken(&**store, wish("k", 1, "ref-2"), NOW).await;
}

pub(crate) async fn a_release_never_makes_a_lease_longer(store: &Arc<impl Claims + 'static>) {
    let first = taken(&**store, wish("k", 1, "ref-1"), NOW).await;
    store.release(&first, NOW + LEASE + LEASE).await.unwrap();
    assert_eq!(taken(&**store, wish("k", 1, "ref-2"), NOW + LEASE).await.reference(), "ref-1");
}

pub(crate) async fn a_released_claim_may_spend_again_what_it_spent(store: &Arc<impl Claims + 'static>) {
    let first = taken(&**store, wish("k", 1, "ref-1"), NOW).await;
    assert!(store.clear(&first, &things(&["jti"]), NOW).await.unwrap());
    store.release(&first, NOW).await.unwrap();
    let other = taken(&**store, wish("k2", 1, "ref-2"), NOW).await;
    assert!(!store.clear(&other, &things(&["jti"]), NOW).await.unwrap());
    let second = taken(&**store, wish("k", 1, "ref-3"), NOW).await;
    assert!(store.clear(&second, &things(&["jti"]), NOW).await.unwrap());
}

pub(crate) async fn a_forgotten_key_with_another_body_may_not_spend_it(store: &Arc<impl Claims + 'static>) {
    let first = taken(&**store, wish("k", 1, "ref-1"), NOW).await;
    assert!(store.clear(&first, &things(&["jti"]), NOW).await.unwrap());
    store.release(&first, NOW).await.unwrap();
    let second = taken(&**store, wish("k", 2, "ref-2"), NOW + KEEP).await;
    assert!(!store.clear(&second, &things(&["jti"]), NOW + KEEP).await.unwrap());
}

pub(crate) async fn a_forgotten_claim_spends_nothing_again_under_a_new_reference(store: &Arc<impl Claims + 'static>) {
    let first = taken(&**store, wish("k", 1, "ref-1"), NOW).await;
    store.release(&first, NOW).await.unwrap();
    // Paid as late as may be: the claim is as old as its first try.
    let late = NOW + KEEP - TICK;
    let second = taken(&**store, wish("k", 1, "ref-2"), late).await;
    assert_eq!(second.reference(), "ref-1");
    assert!(store.clear(&second, &things(&["consent:1"]), late).await.unwrap());
    assert!(store.clear(&second, &things(&["consent:1"]), late).await.unwrap(), "the same claim");
    store.finish(&second, answered(201), late).await.unwrap();
    let later = late + KEEP;
    let again = taken(&**store, wish("k", 1, "ref-3"), later).await;
    assert_eq!(again.reference(), "ref-3", "to a backend it is another deed");
    assert!(!store.clear(&again, &things(&["consent:1"]), later).await.unwrap());
    assert!(!store.clear(&again, &things(&["consent:2", "consent:1"]), later).await.unwrap());
    assert!(store.clear(&again, &things(&["consent:2"]), later).await.unwrap());
}

pub(crate) async fn a_dropped_wait_leaves_a_lease_that_ends(store: &Arc<impl Claims + 'static>) {
    {
        let waiting = store.claim(wish("k", 1, "ref-1"), NOW);
        // Polled once and dropped, as a request is whose client went away.
        let _ = tokio::time::timeout(Duration::ZERO, waiting).await;
    }
    taken(&**store, wish("k", 1, "ref-2"), NOW + LEASE).await;
}
