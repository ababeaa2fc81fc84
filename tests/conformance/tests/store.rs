//! The storage contract, as far as the computing suite relies on it, on the store that the suite hands to engines.
//!
//! Not asked: that impossible requests are refused and stored bytes are verified, which no engine needs from it, and that an
//! existing table is noticed before the commit, where it is late on purpose.

#![allow(clippy::unwrap_used, reason = "test code: a failed expectation panics")]

use std::sync::Arc;

use tributary_conformance::computing::Shared;
use tributary_core::storage::Storage;

tributary_conformance::cases!(
    {
        let folder = tempfile::tempdir().unwrap();
        move || Arc::new(Shared::open(folder.path())) as Arc<dyn Storage>
    },
    tributary_conformance::storage,
    [
        every_type_comes_back_exactly,
        every_layout_comes_back,
        names_and_purposes_of_columns_come_back,
        a_table_does_not_exist_before_its_commit,
        an_aborted_write_leaves_nothing,
        a_part_may_be_written_again,
        parts_may_be_written_through_other_handles,
        of_two_writers_of_a_new_name_one_wins,
        a_replaced_table_is_the_new_one,
        a_reader_of_a_replaced_table_finishes,
        a_reader_never_sees_rows_of_another_snapshot,
        a_deleted_table_is_gone_and_its_name_is_free,
        what_does_not_exist_is_not_found,
        places_of_other_stores_are_refused,
        a_failing_source_fails_the_part,
        long_tables_stream,
    ]
);
