//! The suite of the federation contract: what four parties of three sites (two of them the same site in two roles) may
//! expect of any transport, also of one that repeats frames and lets them overtake each other.

mod rows;
mod setup;

mod ending;
mod meeting;
mod tables;
mod values;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tributary_core::PartyId;
use tributary_core::federation::Network;

pub use self::ending::*;
pub use self::meeting::*;
pub use self::tables::*;
pub use self::values::*;

/// Makes what the suite runs on.
#[async_trait]
pub trait Factory: Send + Sync {
    /// Networks on one transport, one a site, that know each other's keys. The sites in `forged` hold another key than the
    /// one that the others know. Called at most once in a case.
    async fn networks(&self, sites: &[PartyId], forged: &[PartyId]) -> BTreeMap<PartyId, Arc<dyn Network>>;
    /// Long enough for the transport to bring anything, short enough to be waited out in a test.
    fn patience(&self) -> Duration;
    /// Most rows of a table that the networks take from a peer: few enough for a test, and 300,000 or more.
    fn table_rows(&self) -> u64;
}

/// All cases. Say `federation_suite!(factory)` in a test file of the transport.
#[macro_export]
macro_rules! federation_suite {
    ($factory:expr) => {
        $crate::cases!(
            $factory,
            $crate::federation,
            [
                a_message_arrives_as_it_was,
                all_receivers_get_the_same_bytes,
                values_are_kept_until_they_are_pulled_in_any_order,
                slots_differ_by_name_tag_direction_and_peer,
                a_slot_is_used_once_in_each_direction,
                what_is_no_peer_or_no_slot_is_refused,
                another_kind_of_value_is_corrupt_and_names_peer_and_slot,
                tables_of_every_type_arrive_in_every_layout,
                a_table_of_many_batches_arrives,
                a_table_with_other_rows_than_it_says_is_an_error_on_both_sides,
                a_received_table_opens_once_and_on_any_thread,
                parties_that_push_to_each_other_do_not_block,
                a_silent_party_is_named,
                a_party_that_never_joins_is_named,
                of_several_peers_the_one_that_sent_what_is_wrong_is_named,
                text_that_a_peer_chose_is_escaped_and_cut_in_errors,
                a_table_beyond_the_limit_of_a_site_is_refused_and_names_who_sent_it,
                jobs_and_tasks_whose_names_run_together_are_apart,
                a_pull_that_was_given_up_may_be_repeated,
                little_values_do_not_restart_patience,
                another_plan_is_refused_and_named,
                parties_with_other_keys_than_registered_do_not_meet_and_are_named,
                a_site_without_a_key_is_not_joined,
                a_party_that_failed_is_reported_at_once,
                a_party_that_vanished_is_reported_at_once,
                what_was_sent_before_a_close_can_be_pulled_after_it,
                after_its_close_a_session_refuses_everything,
                traffic_is_counted_by_slot_and_rounds,
                one_site_has_two_roles,
            ]
        );
    };
}
