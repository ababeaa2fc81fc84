//! The suite of the computing contract: every operation of [`Table`], at several numbers of partitions and cores, against a
//! model of plain rows.
//!
//! An engine's test gives a function from (kernels, storage) to itself, so that the suite can register kernels of its own
//! and hand in a store that fails on request:
//! `computing_suite!(|kernels, storage| Arc::new(Mine::new(kernels, storage)))`. Order is compared, not only content: the
//! contract fixes the order of every layout.
//!
//! Kernels may be at work in other processes of this machine: the suite watches them, and makes its store fail, through
//! files. An engine over processes gives its executors the same [`kernels::kernels`] and a [`Shared`] of any folder, which
//! serves the tables of all cases. As it takes its time to start, one may serve all of them; an [`Extent`] then says so, and
//! how much is asked of it: `computing_suite!(|_, _| cluster(), Extent::default().in_turn().slower(16))`.

pub mod kernels;
pub mod model;
pub mod store;
pub mod extent;

pub mod choosing;
pub mod collisions;
pub mod ending;
pub mod failing;
pub mod groups;
pub mod layouts;
pub mod pairs;
pub mod plans;
pub mod running;
pub mod stored;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use arrow_array::RecordBatch;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestRunner};
use tempfile::TempDir;

use tributary_core::computing::{Computing, End, Engine, EngineInfo, Handle, SessionSpec};
use tributary_core::kernel::Kernels;
use tributary_core::placement::CoreRequest;
use tributary_core::plan::Op;
use tributary_core::{ErrorKind, KeyType, Layout, Result, SessionId, Table};

use kernels::Watch;
use model::Row;

pub use extent::{Cores, Extent};
pub use store::Shared;

/// Numbers of partitions that cases run at: one, a power of two, neither.
pub const PARTITIONS: [u32; 3] = [1, 2, 7];

/// An action that takes longer is stuck, on a slow and busy machine too.
const STUCK: Duration = Duration::from_secs(300);

/// An engine under test, with the store it was given.
#[derive(Debug)]
pub struct Fixture {
    /// The engine.
    pub engine: Arc<dyn Engine>,
    /// A store of this case's tables, that the engine can open by their addresses.
    pub store: Arc<Shared>,
    /// How much is asked.
    pub extent: Extent,
    // Dropped in this order: the next case starts when all is gone.
    folder: TempDir,
    _turn: Option<MutexGuard<'static, ()>>,
}

/// A session to run a case on.
pub type Session = Arc<dyn Computing>;

impl Fixture {
    /// Makes the engine, or gets the one that all cases use.
    pub fn new(engine: impl FnOnce(Kernels, Arc<Shared>) -> Arc<dyn Engine>, extent: Extent) -> Self {
        let turn = extent.turn();
        let folder = TempDir::with_prefix("tributary-suite-").unwrap();
        let store = Arc::new(Shared::open(folder.path()));
        let engine = engine(kernels::kernels(), store.clone());
        Self { engine, store, extent, folder, _turn: turn }
    }

    /// Sizes of sessions.
    pub fn cores(&self) -> Cores {
        self.extent.cores
    }

    /// A session of as few cores as one can have.
    pub async fn few_cores(&self) -> Session {
        self.session(self.cores().few).await
    }

    /// A session of more cores.
    pub async fn some_cores(&self) -> Session {
        self.session(self.cores().some).await
    }

    /// A session of still more.
    pub async fn many_cores(&self) -> Session {
        self.session(self.cores().many).await
    }

    /// A session of this many cores.
    pub async fn session(&self, cores: u32) -> Session {
        self.session_with(cores, self.extent.memory_bytes).await
    }

    /// A session of this many cores and this much memory.
    pub async fn session_with(&self, cores: u32, memory_bytes: u64) -> Session {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst));
        let id = format!("suite-{process}.case.{number}").parse::<SessionId>().unwrap();
        let cores_asked = u64::from(cores);
        let site_cores = Some(cores_asked);
        let request = CoreRequest { site_cores, ..CoreRequest::of_task_cores(cores_asked) };
        let placement = self.engine.place(&request).unwrap();
        assert_eq!(placement.cores, cores, "{placement:?}");
        let spec = SessionSpec { id, placement, memory_bytes };
        self.engine.open(spec).await.unwrap()
    }

    /// Something to watch kernels with, in whatever process they are.
    pub fn watch(&self) -> Watch {
        Watch::new(self.folder.path())
    }

    /// Runs a case at all numbers of cores and partitions, or at as many of them as the extent says.
    pub async fn everywhere(&self, case: impl AsyncFn(&Session, u32)) {
        for (nth, cores) in self.cores().extremes().into_iter().enumerate() {
            let session = self.session(cores).await;
            for partitions in self.extent.partitions(nth) {
                let _place = Place { cores, partitions };
                case(&session, partitions).await;
            }
            session.close(End::Done).await.unwrap();
        }
    }

    /// Runs a property over generated input, on one session for each number of cores. `cases` is what a quick run takes;
    /// `PROPTEST_CASES`, 256 if it is not set, makes all properties longer in proportion.
    pub async fn property<S: Strategy>(&self, cases: u32, input: S, check: impl AsyncFn(Session, S::Value)) {
        for cores in self.cores().extremes() {
            let session = self.session(cores).await;
            let usual = Config::default();
            let cases = self.extent.inputs((cases * usual.cases).div_ceil(256));
            let config = Config { cases, failure_persistence: None, ..usual };
            let outcome = TestRunner::new(config).run(&input, |value| {
                futures::executor::block_on(check(session.clone(), value));
                Ok(())
            });
            outcome.unwrap_or_else(|failure| panic!("with {cores} cores: {failure}"));
            session.close(End::Done).await.unwrap();
        }
    }

    /// What an action gives, unless it is stuck.
    pub async fn in_time<T>(&self, action: impl Future<Output = T>) -> T {
        let stuck = self.slowed(STUCK);
        tokio::time::timeout(stuck, action).await.expect("the engine is stuck")
    }

    /// Longer by the factor by which the engine is slower.
    pub fn slowed(&self, time: Duration) -> Duration {
        time * self.extent.times()
    }

    /// How long to wait for an engine to stop where one in this process gets this long.
    pub fn to_stop(&self, time: Duration) -> Duration {
        time + self.engine.info().cancels_within.saturating_sub(EngineInfo::CANCELS_WITHIN)
    }
}

/// Says where a case was when it failed.
struct Place {
    cores: u32,
    partitions: u32,
}

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("with {} cores and {} partitions", self.cores, self.partitions);
        }
    }
}

/// The usual table, put as a layout.
pub async fn put(session: &Session, key_type: KeyType, rows: &[Row], layout: Layout) -> Table {
    let batches = model::batches(key_type, rows);
    let table = Table::parallelize(session, &model::schema(key_type), batches, layout).await;
    table.unwrap()
}

/// The usual table in n parts as written.
pub async fn loose(session: &Session, key_type: KeyType, rows: &[Row], partitions: u32) -> Table {
    put(session, key_type, rows, Layout::Loose(partitions)).await
}

/// All rows of a usual table, in order.
pub async fn collect(table: &Table) -> Vec<Row> {
    model::rows(&table.collect().await.unwrap())
}

/// The handle of a kept table.
pub fn handle(table: &Table) -> Arc<Handle> {
    match table.plan().op() {
        Op::Scan(handle, _) => handle.clone(),
        op => panic!("expected a kept table, got {op:?}"),
    }
}

/// The rows of each partition of a usual table, as its handle cuts them.
pub async fn parts(table: &Table) -> Vec<Vec<Row>> {
    let table = table.keep().await.unwrap();
    let mut rows = collect(&table).await.into_iter();
    let handle = handle(&table);
    assert_eq!(handle.parts().len() as u32, table.partitions());
    let cut = handle.parts().iter().map(|part| rows.by_ref().take(part.rows as usize).collect());
    let parts: Vec<Vec<Row>> = cut.collect();
    assert_eq!(rows.next(), None, "the handle counts fewer rows than it has");
    assert_eq!(handle.rows() as usize, parts.iter().map(Vec::len).sum::<usize>());
    parts
}

/// The whole error, of the kind expected.
pub fn refused<T>(outcome: Result<T>, kind: ErrorKind) -> String {
    match outcome {
        Ok(_) => panic!("it worked, expected {kind:?}"),
        Err(error) => {
            assert_eq!(error.kind(), kind, "{error:?}");
            error.chain()
        }
    }
}

/// Number of rows of batches.
pub fn row_count(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}

/// Every case of the computing contract, each as a `#[test]`, on the engine that a function makes of the kernels and the
/// storage it is to use; to the extent given, if one is.
#[macro_export]
macro_rules! computing_suite {
    ($engine:expr) => {
        $crate::computing_suite!($engine, $crate::computing::Extent::default());
    };
    ($engine:expr, $extent:expr) => {
        $crate::cases!(
            $crate::computing::Fixture::new($engine, $extent),
            $crate::computing::layouts,
            [
                loose_tables_keep_their_order_in_nearly_equal_parts,
                keyed_tables_follow_the_partition_function_and_the_order,
                columns_of_components_travel_whatever_their_names,
                skewed_keys_move_like_others,
                the_order_of_keys_does_not_depend_on_partitions,
                rows_are_cut_at_their_boundaries,
                repartition_keeps_the_order_of_each_layout,
                a_key_twice_is_refused_with_its_place_and_without_the_key,
                kernels_get_their_partition_and_first_row,
                ranges_of_rows_of_any_kept_table_can_be_read,
                kept_rows_are_numbered_in_order,
                scattered_rows_come_in_the_order_of_their_numbers,
                numbering_and_scattering_undo_a_shuffle,
                scattering_refuses_numbers_that_are_missing_or_twice,
                tables_without_keys_live_by_row_number,
            ]
        );
        $crate::cases!(
            $crate::computing::Fixture::new($engine, $extent),
            $crate::computing::choosing,
            [
                map_values_keeps_rows_keys_and_layout,
                map_may_change_keys,
                a_map_gives_any_number_of_rows,
                a_fold_gives_nothing_for_an_empty_partition,
                filter_keeps_the_rows_that_compare,
                a_sampled_fraction_is_near_and_the_same_for_every_layout,
                an_exact_sample_has_so_many_rows_and_the_same_for_every_layout,
                an_exact_sample_may_have_no_or_all_rows_but_not_more,
                take_gives_the_first_rows,
                an_empty_table_has_no_first_row_and_counts_none,
                columns_are_selected_and_become_keys,
            ]
        );
        $crate::cases!(
            $crate::computing::Fixture::new($engine, $extent),
            $crate::computing::pairs,
            [
                joins_give_what_the_model_gives_in_the_order_of_keys,
                a_union_takes_the_side_it_is_asked_for,
                joins_of_empty_and_skewed_tables,
                a_table_joins_itself,
                a_join_of_other_key_types_or_of_keys_twice_is_refused,
                keyed_tables_are_joined_where_they_are,
                zip_puts_equal_rows_side_by_side,
                concat_puts_one_table_after_the_other,
                every_column_type_moves_and_joins,
            ]
        );
        $crate::cases!(
            $crate::computing::Fixture::new($engine, $extent),
            $crate::computing::collisions,
            [
                keys_of_equal_hash_are_ordered_by_value,
                keys_of_equal_hash_join_only_themselves,
                keys_of_equal_hash_are_groups_of_their_own,
                a_key_twice_is_found_among_keys_of_equal_hash,
                distinct_keys_of_equal_hash_all_stay,
            ]
        );
        $crate::cases!(
            $crate::computing::Fixture::new($engine, $extent),
            $crate::computing::groups,
            [
                reduce_by_key_gives_what_the_model_gives,
                the_first_row_of_each_key_is_the_first_in_source_order,
                reduce_gives_one_row_or_none,
                missing_values_are_not_counted,
                distinct_keys_are_a_reduction_without_measures,
                a_sum_beyond_64_bits_is_exhausted_and_not_wrapped,
                gathered_rows_keep_their_source_order,
                groups_can_be_joined_once_combined_and_not_before,
            ]
        );
        $crate::cases!(
            $crate::computing::Fixture::new($engine, $extent),
            $crate::computing::plans,
            [
                chains_of_operations_give_what_the_model_gives,
                each_operation_follows_each_layout,
                nothing_runs_until_an_action,
                a_node_that_occurs_twice_runs_once_an_action,
                a_kept_table_is_not_computed_again,
                iterations_drop_what_they_replace,
                tables_of_many_batches_are_treated_like_small_ones,
            ]
        );
        $crate::cases!(
            $crate::computing::Fixture::new($engine, $extent),
            $crate::computing::stored,
            [
                a_saved_table_loads_with_its_rows_and_layout,
                a_stored_keyed_table_joins_where_it_is,
                a_loaded_table_stays_as_it_was_when_loaded,
                an_existing_table_is_not_overwritten_unless_asked,
                a_missing_table_is_not_found,
                a_failing_read_fails_the_action,
                a_failing_save_leaves_nothing,
            ]
        );
        $crate::cases!(
            $crate::computing::Fixture::new($engine, $extent),
            $crate::computing::running,
            [
                a_session_is_what_it_was_opened_with,
                a_session_outlives_its_engine,
                partitions_are_read_in_order_and_a_stream_may_be_dropped,
                interleaved_reads_do_not_wait_for_each_other,
                actions_continue_beside_a_stream_that_is_not_read,
                a_reader_holds_the_engine_back,
                a_stream_of_a_session_can_be_put_into_it,
                the_first_row_takes_few_partitions,
                the_first_row_takes_a_part_of_a_partition,
                a_session_works_with_exactly_its_cores,
                actions_of_one_session_run_at_once,
                put_refuses_batches_of_other_columns_and_passes_errors_on,
                blobs_reach_kernels_in_order,
            ]
        );
        $crate::cases!(
            $crate::computing::Fixture::new($engine, $extent),
            $crate::computing::failing,
            [
                a_failing_kernel_is_named_with_its_partition,
                a_panicking_kernel_is_named_and_the_session_goes_on,
                the_partition_named_is_that_of_the_kernel,
                kernels_of_other_names_and_versions_are_unsupported,
                a_kernel_that_breaks_its_promise_is_named,
                fresh_randomness_is_last_under_keep,
                handles_of_another_session_are_refused,
                handles_and_blobs_that_do_not_exist_are_refused,
                blobs_of_another_session_are_refused,
            ]
        );
        $crate::cases!(
            $crate::computing::Fixture::new($engine, $extent),
            $crate::computing::ending,
            [
                dropping_an_action_stops_its_work,
                heavy_rows_do_not_delay_cancelling,
                dropping_a_put_stops_its_source,
                a_closed_session_refuses_everything,
                closing_ends_what_still_runs,
                memory_is_bounded_and_comes_back,
                put_tables_and_blobs_count_as_memory,
                rows_of_many_times_the_memory_are_moved_and_joined_or_refused,
                failed_and_dropped_actions_give_their_memory_back,
            ]
        );
    };
}
