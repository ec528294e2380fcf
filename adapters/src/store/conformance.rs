//! One suite that every store passes: what the ports promise, tried on whatever stands behind them.
//!
//! A store says how an empty one is opened, and takes the promises of the ports that it has:
//! `replay_promises! { crate::store::redis::tests::open }` or `durable_promises! { crate::store::postgres::tests::open }`.
//! `open` is an async function without arguments that gives `(Arc<TheStore>, guard)`; the guard is kept to the end of the
//! test, for what must be cleared away.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

pub(crate) mod authorizations;
pub(crate) mod changes;
pub(crate) mod claims;
pub(crate) mod generations;
pub(crate) mod outbox;
pub(crate) mod replays;
pub(crate) mod subject_keys;
pub(crate) mod undecided;
pub(crate) mod verifications;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use policies::event::{EventKind, NewEvent};
use policies::id::{ClientId, IdempotencyKey, OperationId, OrganisationId};
use policies::once::{EarlierClaim, StoredReply};
use policies::time::Timestamp;

use super::memory::MemoryStore;
use super::port::{ClaimAnswer, ClaimTicket, Claims, Finish, NewClaim};
use super::sqlite::SqliteStore;
use crate::entropy;

pub(super) const LEASE: Duration = Duration::from_secs(30);
pub(super) const KEEP: Duration = Duration::from_secs(86_400);
pub(super) const TICK: Duration = Duration::from_millis(1);
pub(super) const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// Makes one test of each promise.
macro_rules! promises {
    ($open:path; $($group:ident { $($promise:ident)* })*) => {$(
        mod $group {
            $(#[tokio::test]
            async fn $promise() {
                let (store, _guard) = $open().await;
                $crate::store::conformance::$group::$promise(&store).await;
            })*
        }
    )*};
}
pub(crate) use promises;

/// The promises of a store of single-use keys.
macro_rules! replay_promises {
    ($open:path) => {
        $crate::store::conformance::promises! { $open;
            replays {
                a_replay_is_found_until_its_time_is_over
                of_fifty_parallel_replays_one_is_fresh
            }
        }
    };
}
pub(crate) use replay_promises;

/// The promises of a store of all that must last.
macro_rules! durable_promises {
    ($open:path) => {
        $crate::store::conformance::promises! { $open;
            claims {
                of_fifty_parallel_claims_one_is_taken
                a_claim_in_flight_tells_how_long_its_lease_lasts
                a_claim_whose_lease_is_over_is_taken_over_under_its_first_reference
                another_body_never_takes_a_claim_over
                an_answer_is_kept_and_given_back_whole
                a_claim_is_forgotten_when_its_time_is_over
                who_was_taken_over_can_do_nothing_more
                a_thing_is_spent_once_by_one_claim
                spending_is_all_or_nothing
                a_released_claim_keeps_its_reference_and_its_digest
                a_released_claim_is_forgotten_when_its_time_is_over
                who_released_can_do_nothing_more
                a_release_never_makes_a_lease_longer
                a_released_claim_may_spend_again_what_it_spent
                a_forgotten_key_with_another_body_may_not_spend_it
                a_forgotten_claim_spends_nothing_again_under_a_new_reference
                a_dropped_wait_leaves_a_lease_that_ends
            }
            undecided {
                what_cannot_be_asked_for_is_never_undecided
                an_unknown_outcome_is_undecided_at_once
                a_holder_without_a_word_leaves_it_undecided_when_the_lease_is_over
                an_answer_or_a_release_leaves_nothing_undecided
                a_release_after_a_silent_holder_leaves_it_undecided
                a_release_after_a_release_leaves_nothing_undecided
                a_doubt_is_not_lost_when_nobody_can_be_asked_any_more
                who_asks_has_a_turn_of_their_own
                the_longest_due_are_asked_for_first
                of_parallel_askers_each_gets_others
                an_undecided_claim_outlasts_its_time
                an_answer_settles_for_good
                a_silent_holder_that_was_settled_can_do_nothing_more
                a_holder_that_was_given_up_is_believed_when_it_tells
                a_holder_that_was_given_up_and_does_not_know_leaves_it_undecided
                a_holder_that_was_given_up_tells_nothing_once_another_is_at_it
                a_ticket_tells_whether_an_earlier_holder_may_have_done_it
                of_parallel_settlements_one_counts
                what_was_not_received_may_be_done_under_its_first_reference
                what_was_not_received_is_sure_until_it_is_tried_again
                nothing_is_settled_while_a_repetition_is_at_it
                what_was_asked_before_a_repetition_settles_nothing_after_it
                a_repetition_begins_the_asking_anew
                an_earlier_turn_settles_nothing_after_a_later_one
                a_decided_claim_is_not_settled
                a_fate_is_found_by_its_reference_alone
                a_repetition_and_a_settlement_never_both_win
            }
            verifications {
                a_verification_is_kept_whole
                a_verification_is_there_once
                a_verification_changes_only_from_the_state_that_was_expected
                a_decision_and_its_event_are_one
                a_session_that_is_taken_is_given_to_no_other
            }
            outbox {
                an_event_is_kept_whole
                each_client_has_positions_of_its_own_without_gaps
                parallel_events_leave_no_gaps
                a_feed_goes_on_where_it_was
                an_event_waits_for_those_before_it_of_its_subject
                an_attempt_is_counted_and_ends
                only_what_was_asked_for_is_due
                of_parallel_tellers_each_gets_others
                of_parallel_tellers_none_overtakes_within_a_subject
                a_parked_event_holds_nobody_up_and_stays_in_the_feed
                what_was_delivered_stays_delivered
                events_are_delivered_again_from_a_position_on
                what_waits_is_counted_for_those_named
            }
            subject_keys {
                a_person_keeps_the_key_they_first_got
                an_id_is_one_persons_alone
                of_parallel_wishes_for_a_key_one_is_kept
                a_destroyed_key_is_as_if_it_had_never_been
            }
            generations {
                a_policy_set_gets_the_next_number_if_it_is_another
                of_parallel_entries_of_one_set_one_is_made
            }
            changes {
                entries_come_one_after_the_other_and_are_given_back_whole
                of_parallel_entries_with_one_number_one_is_made
            }
            authorizations {
                an_item_is_kept_whole_under_its_kind_and_key
                an_item_that_is_there_is_not_added_again
                an_item_is_replaced_only_in_the_version_that_was_found
                a_change_is_made_with_all_its_steps_or_not_at_all
                of_fifty_parallel_replacements_one_is_made
                changes_that_cross_each_other_all_end
                an_owner_is_listed_what_is_theirs_the_last_added_first
                an_owner_is_listed_so_many_and_not_one_more
                a_body_of_the_longest_size_is_kept_and_none_beyond
                what_is_revoked_is_read_on_from_a_position
                what_is_revoked_twice_stands_once_unless_it_lasts_longer
                what_is_over_is_not_read
                so_many_revocations_are_read_at_once_and_the_rest_after_them
                who_reads_on_while_others_revoke_misses_nothing
                a_thing_is_known_as_spent_for_as_long_as_it_is
            }
        }
    };
}
pub(crate) use durable_promises;

mod memory {
    super::replay_promises! { crate::store::conformance::open_memory }
    super::durable_promises! { crate::store::conformance::open_memory }
}

mod sqlite {
    super::replay_promises! { crate::store::conformance::open_sqlite }
    super::durable_promises! { crate::store::conformance::open_sqlite }
}

async fn open_memory() -> (Arc<MemoryStore>, ()) {
    (Arc::new(MemoryStore::new()), ())
}

async fn open_sqlite() -> (Arc<SqliteStore>, Folder) {
    let folder = Folder::new();
    (Arc::new(opened(&folder)), folder)
}

/// A folder that is gone when the test is over.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("qaqpa-{}", entropy::token_128bit()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn opened(folder: &Folder) -> SqliteStore {
    SqliteStore::open(&folder.0.join("state.db")).unwrap()
}

pub(super) fn key(name: &str) -> IdempotencyKey {
    IdempotencyKey::bind(&ClientId::parse("fintech").unwrap(), &OperationId::parse("pay").unwrap(), name).unwrap()
}

pub(super) fn wish(name: &str, digest: u8, reference: &str) -> NewClaim {
    NewClaim {
        key: key(name),
        organisation: OrganisationId::parse("finch").unwrap(),
        digest: [digest; 32],
        reference: reference.to_owned(),
        lease: LEASE,
        keep: KEEP,
        settles: false,
    }
}

pub(super) async fn claim(store: &impl Claims, wish: NewClaim, now: Timestamp) -> ClaimAnswer {
    store.claim(wish, now).await.unwrap()
}

pub(super) async fn taken(store: &impl Claims, wish: NewClaim, now: Timestamp) -> ClaimTicket {
    match claim(store, wish, now).await {
        ClaimAnswer::Taken(ticket) => ticket,
        ClaimAnswer::Earlier(earlier) => unreachable!("the claim was free, and found {earlier:?}"),
    }
}

pub(super) async fn earlier(store: &impl Claims, wish: NewClaim, now: Timestamp) -> EarlierClaim {
    match claim(store, wish, now).await {
        ClaimAnswer::Earlier(earlier) => earlier,
        ClaimAnswer::Taken(_) => unreachable!("the key is in use"),
    }
}

pub(super) fn things(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

pub(super) fn reply(status: u16) -> StoredReply {
    StoredReply { status, headers: vec![], body: vec![] }
}

pub(super) fn answered(status: u16) -> Finish {
    Finish::Answered(reply(status))
}

pub(super) fn client(name: &str) -> ClientId {
    ClientId::parse(name).unwrap()
}

/// An event that has happened at `NOW`.
pub(super) fn event(client: &str, subject: &str) -> NewEvent {
    NewEvent {
        id: entropy::uuid_v7(NOW),
        client: ClientId::parse(client).unwrap(),
        subject: subject.to_owned(),
        kind: EventKind::PaymentUnknown,
        at: NOW,
        data: "{\"state\":\"unknown\"}".to_owned(),
    }
}
