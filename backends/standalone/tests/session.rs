//! What a session promises beside its results: cancelling, failures by name, the budget, threads, cleaning up.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails should say where")]

mod support;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};
use std::{fs, thread};

use futures::StreamExt;
use futures::executor::block_on;
use tributary_core::ErrorKind;
use tributary_core::computing::{Blob, Computing, End};
use tributary_core::kernel::KernelCall;
use tributary_core::layout::Layout;
use tributary_core::plan::{EqualKeys, JoinKind, Plan};
use tributary_core::schema::KeyType::{self, UInt64, Utf8};
use tributary_core::storage::{TableUri, WriteOptions};

use support::kernels::{Add, AddSecret, Bad, Noise, ROWS, Rekey, Reverse, Short, Slow, threads_of};
use support::store::MemoryStore;
use support::{counts, kernels, open, open_on, put, read};

const MIB: u64 = 1 << 20;

fn numbers(rows: u64) -> Vec<(u64, i64)> {
    (0..rows).map(|i| (i, i as i64)).collect()
}

fn add(amount: i64, test: usize) -> KernelCall {
    KernelCall::map::<Add>(&Add { amount, test }).unwrap()
}

/// Polls once, so that the action begins.
fn begin(future: std::pin::Pin<&mut (dyn Future<Output = impl Sized> + Send)>) {
    assert!(future.poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

/// Whatever takes longer never comes.
const AT_LAST: Duration = Duration::from_secs(300);

/// Waits until no more rows of a test are worked on; how many there were.
fn until_quiet(test: usize) -> u64 {
    loop {
        let before = ROWS[test].load(Ordering::Relaxed);
        thread::sleep(Duration::from_millis(100));
        if ROWS[test].load(Ordering::Relaxed) == before {
            return before;
        }
    }
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < AT_LAST, "{what}");
        thread::yield_now();
    }
}

#[test]
fn a_dropped_action_stops_however_slow_the_kernel() {
    let session = open("cancel", 2, 64 * MIB);
    let handle = put(&session, UInt64, &numbers(100_000), 100_000, Layout::Loose(1)).unwrap();
    let held = session.used_bytes();
    let plan =
        Plan::map(&Plan::scan(handle).unwrap(), KernelCall::map::<Slow>(&Slow(1)).unwrap(), &kernels());
    let plan = plan.unwrap();
    let mut action = session.keep(&plan);
    begin(action.as_mut());
    wait_until("the kernel begins", || ROWS[1].load(Ordering::Relaxed) > 10);
    drop(action);
    // of 100 seconds of work
    let rows = until_quiet(1);
    assert!(rows < 50_000, "{rows} rows");
    wait_until("nothing stays held", || session.used_bytes() == held);
}

#[test]
fn a_dropped_stream_stops_the_partitions_that_are_ahead() {
    let session = open("stream", 2, 64 * MIB);
    let handle = put(&session, UInt64, &numbers(4000), 4000, Layout::Loose(8)).unwrap();
    let plan =
        Plan::map(&Plan::scan(handle).unwrap(), KernelCall::map::<Slow>(&Slow(2)).unwrap(), &kernels());
    let plan = plan.unwrap();
    let mut rows = block_on(session.read(&plan)).unwrap();
    block_on(rows.next()).unwrap().unwrap();
    drop(rows);
    let seen = until_quiet(2);
    assert!(seen < 3000, "{seen} rows were computed for a reader of one batch");
}

#[test]
fn failures_name_kernel_and_partition_and_leave_nothing() {
    let session = open("bad", 2, 64 * MIB);
    let handle = put(&session, UInt64, &numbers(1000), 10, Layout::Loose(1)).unwrap();
    let held = session.used_bytes();
    let scan = Plan::scan(handle).unwrap();
    for (bad, kind, says) in [
        (Bad::PanicInOpen, ErrorKind::Kernel, "kernel test.bad panicked: open"),
        (Bad::PanicInStart, ErrorKind::Kernel, "kernel test.bad in partition 0 panicked: start"),
        (Bad::PanicInFold, ErrorKind::Kernel, "kernel test.bad in partition 0 panicked: fold"),
        (Bad::PanicInFinish, ErrorKind::Kernel, "kernel test.bad in partition 0 panicked: finish"),
        (Bad::PanicInDrop, ErrorKind::Kernel, "kernel test.bad in partition 0 panicked: drop"),
        (Bad::ErrorInFold, ErrorKind::InvalidInput, "kernel test.bad in partition 0: a value is missing"),
        (
            Bad::WrongColumns,
            ErrorKind::Kernel,
            "kernel test.bad in partition 0: rows came out that do not fit",
        ),
    ] {
        let plan = Plan::map(&scan, KernelCall::fold::<Bad>(&bad).unwrap(), &kernels()).unwrap();
        let error = block_on(session.keep(&plan)).unwrap_err();
        assert_eq!((error.kind(), error.to_string().contains(says)), (kind, true), "{error:?}");
        let error = support::collect(&session, &plan).unwrap_err();
        assert!(error.to_string().contains(says), "{error:?}");
        wait_until("nothing stays held", || session.used_bytes() == held);
    }
}

#[test]
fn a_panic_message_made_of_rows_is_not_repeated() {
    let session = open("rows", 1, 64 * MIB);
    let handle = put(&session, UInt64, &[(7_777, 1)], 1, Layout::Loose(1)).unwrap();
    let call = KernelCall::fold::<Bad>(&Bad::PanicWithRows).unwrap();
    let plan = Plan::map(&Plan::scan(handle).unwrap(), call, &kernels()).unwrap();
    let error = block_on(session.keep(&plan)).unwrap_err();
    assert!(!error.chain().contains("7777"), "{error:?}");
}

#[test]
fn a_kernel_that_does_not_keep_what_it_says_is_found() {
    let session = open("keeps", 1, 64 * MIB);
    let handle = put(&session, UInt64, &numbers(100), 10, Layout::Keyed(2)).unwrap();
    let scan = Plan::scan(handle).unwrap();
    let short = Plan::map(&scan, KernelCall::map::<Short>(&Short).unwrap(), &kernels()).unwrap();
    let error = block_on(session.keep(&short)).unwrap_err();
    assert!(error.to_string().contains("expected one for each"), "{error}");
    let reverse = Plan::map(&scan, KernelCall::map::<Reverse>(&Reverse).unwrap(), &kernels()).unwrap();
    let error = block_on(session.keep(&reverse)).unwrap_err();
    assert!(error.to_string().contains("not in the order of keys"), "{error}");
}

#[test]
fn beyond_the_budget_is_refused_and_nothing_leaks() {
    let session = open("budget", 2, 3 * MIB);
    let handle = put(&session, UInt64, &numbers(100_000), 1000, Layout::Loose(4)).unwrap();
    let held = session.used_bytes();
    assert!((1_600_000..1_700_000).contains(&held), "{held}");
    let scan = Plan::scan(handle.clone()).unwrap();
    let mapped = Plan::map(&scan, add(1, 0), &kernels()).unwrap();
    let keyed = Plan::exchange(&scan, Layout::Keyed(4), EqualKeys::Refuse, &kernels()).unwrap();
    for plan in [&mapped, &keyed] {
        let error = block_on(session.keep(plan)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Exhausted, "{error:?}");
        assert!(error.to_string().contains("its budget is 3145728; raise memory in service_conf.yaml"));
        wait_until("nothing stays held", || session.used_bytes() == held);
    }
    assert_eq!(read(&session, &mapped).len(), 100_000);
    assert_eq!(session.used_bytes(), held);
    let error = put(&session, UInt64, &numbers(100_000), 1000, Layout::Loose(4)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Exhausted);
    let blob = Blob::secret(vec![0; 2 * MIB as usize]);
    assert_eq!(block_on(session.put_blob(blob)).unwrap_err().kind(), ErrorKind::Exhausted);
    drop((scan, mapped, keyed, handle));
    assert_eq!(session.used_bytes(), 0);
}

#[test]
fn what_is_kept_goes_with_its_last_handle() {
    let session = open("handles", 2, 64 * MIB);
    let handle = put(&session, UInt64, &numbers(1000), 100, Layout::Loose(3)).unwrap();
    let plan = Plan::map(&Plan::scan(handle).unwrap(), add(1, 0), &kernels()).unwrap();
    let kept = block_on(session.keep(&plan)).unwrap();
    assert_eq!(session.used_bytes(), 32_000);
    let again = block_on(session.keep(&Plan::scan(kept.clone()).unwrap())).unwrap();
    assert_eq!(session.used_bytes(), 32_000, "what is held already is not held twice");
    drop(plan);
    assert_eq!(session.used_bytes(), 16_000);
    drop(kept);
    assert_eq!(read(&session, &Plan::scan(again.clone()).unwrap()).len(), 1000);
    drop(again);
    assert_eq!(session.used_bytes(), 0);
}

#[test]
fn a_partition_alone_keeps_all_threads_busy_and_no_more() {
    let session = open("threads", 3, 64 * MIB);
    let handle = put(&session, UInt64, &numbers(600), 600, Layout::Loose(1)).unwrap();
    let scan = Plan::scan(handle).unwrap();
    let slow = Plan::map(&scan, KernelCall::map::<Slow>(&Slow(3)).unwrap(), &kernels()).unwrap();
    let plan = Plan::map(&slow, add(1, 4), &kernels()).unwrap();
    let kept = block_on(session.keep(&plan)).unwrap();
    assert_eq!(threads_of(4), 3);
    assert_eq!(counts(&kept), [600]);
    let expected = numbers(600).iter().map(|(k, v)| (*k, v + 1)).collect::<Vec<_>>();
    assert_eq!(read(&session, &Plan::scan(kept).unwrap()), support::expected(UInt64, &expected));
    let plan = Plan::map(&slow, add(1, 9), &kernels()).unwrap();
    assert_eq!(read(&session, &plan), support::expected(UInt64, &expected));
    assert_eq!(threads_of(9), 3);
}

#[test]
fn pieces_of_a_partition_know_their_row_numbers() {
    let session = open("pieces", 4, 64 * MIB);
    let handle = put(&session, UInt64, &numbers(1000), 77, Layout::Loose(3)).unwrap();
    let scan = Plan::scan_rows(handle, Some(100..900)).unwrap();
    let plan = Plan::map(&scan, KernelCall::map::<Rekey>(&Rekey).unwrap(), &kernels()).unwrap();
    let kept = block_on(session.keep(&plan)).unwrap();
    assert_eq!(
        read(&session, &Plan::scan(kept).unwrap()),
        support::expected(UInt64, &numbers(1000)[100..900])
    );
}

#[test]
fn a_shared_node_is_computed_once() {
    let session = open("shared", 2, 64 * MIB);
    let handle = put(&session, UInt64, &numbers(1000), 100, Layout::Keyed(3)).unwrap();
    let mapped = Plan::map(&Plan::scan(handle).unwrap(), add(1, 5), &kernels()).unwrap();
    let moved = Plan::exchange(&mapped, Layout::Keyed(2), EqualKeys::Refuse, &kernels()).unwrap();
    let joined = Plan::join(&moved, &moved, JoinKind::Inner, &kernels()).unwrap();
    assert_eq!(read(&session, &joined).len(), 1000);
    assert_eq!(ROWS[5].load(Ordering::Relaxed), 1000);
    let again = Plan::map(
        &Plan::scan(put(&session, UInt64, &numbers(9), 9, Layout::Keyed(3)).unwrap()).unwrap(),
        add(1, 6),
        &kernels(),
    );
    let again = again.unwrap();
    let joined = Plan::join(&again, &again, JoinKind::Inner, &kernels()).unwrap();
    assert_eq!(read(&session, &joined).len(), 9);
    assert_eq!(ROWS[6].load(Ordering::Relaxed), 9);
}

#[test]
fn another_sessions_table_or_blob_is_refused() {
    let (one, two) = (open("one", 1, MIB), open("two", 1, MIB));
    let handle = put(&one, UInt64, &numbers(3), 3, Layout::Loose(1)).unwrap();
    let scan = Plan::scan(handle).unwrap();
    let error = support::collect(&two, &scan).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(
        error.to_string().contains("session two.test.0 was given a table of session one.test.0"),
        "{error}"
    );
    let blob = block_on(one.put_blob(Blob::secret(vec![40]))).unwrap();
    let call = KernelCall::map::<AddSecret>(&AddSecret(0)).unwrap().with_blob(blob);
    let plan = Plan::map(&scan, call.clone(), &kernels()).unwrap();
    assert_eq!(read(&one, &plan), ["0 40", "1 41", "2 42"]);
    let theirs = Plan::scan(put(&two, UInt64, &numbers(3), 3, Layout::Loose(1)).unwrap()).unwrap();
    let plan = Plan::map(&theirs, call, &kernels()).unwrap();
    assert_eq!(support::collect(&two, &plan).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn rows_with_fresh_randomness_must_be_kept_before_they_are_seen() {
    let session = open("fresh", 1, MIB);
    let handle = put(&session, UInt64, &numbers(3), 3, Layout::Loose(1)).unwrap();
    let call = KernelCall::map::<Noise>(&Noise).unwrap();
    let plan = Plan::map(&Plan::scan(handle).unwrap(), call, &kernels()).unwrap();
    let error = support::collect(&session, &plan).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let uri = TableUri::new("memory://t").unwrap();
    assert!(block_on(session.save(&plan, &uri, WriteOptions::default())).is_err());
    let kept = block_on(session.keep(&plan)).unwrap();
    assert_eq!(read(&session, &Plan::scan(kept).unwrap()).len(), 3);
}

#[test]
fn closing_cancels_frees_and_ends_the_threads() {
    let session = open("closing", 2, 64 * MIB);
    let handle = put(&session, UInt64, &numbers(10_000), 100, Layout::Loose(2)).unwrap();
    let scan = Plan::scan(handle).unwrap();
    let slow = Plan::map(&scan, KernelCall::map::<Slow>(&Slow(7)).unwrap(), &kernels()).unwrap();
    let mut action = session.keep(&slow);
    begin(action.as_mut());
    wait_until("the kernel begins", || ROWS[7].load(Ordering::Relaxed) > 10);
    assert_eq!(threads_named("-closing"), 2);
    block_on(session.close(End::Failed)).unwrap();
    assert_eq!(block_on(action).unwrap_err().kind(), ErrorKind::Cancelled);
    wait_until("no thread is left", || threads_named("-closing") == 0);
    assert_eq!(session.used_bytes(), 0);
    block_on(session.close(End::Done)).unwrap();
    for error in [
        block_on(session.keep(&scan)).unwrap_err(),
        support::collect(&session, &scan).unwrap_err(),
        put(&session, UInt64, &[], 1, Layout::Loose(1)).unwrap_err(),
        block_on(session.put_blob(Blob::secret(Vec::new()))).unwrap_err(),
        block_on(session.stored(&TableUri::new("memory://t").unwrap())).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Cancelled, "{error:?}");
    }
}

/// Threads of this process whose name ends so.
fn threads_named(part: &str) -> usize {
    let names = fs::read_dir("/proc/self/task").unwrap();
    let names = names.filter_map(|task| fs::read_to_string(task.unwrap().path().join("comm")).ok());
    names.filter(|name| name.contains(part)).count()
}

#[test]
fn rows_saved_are_loaded_again_also_while_pulling_from_the_store() {
    let store = Arc::new(MemoryStore::default());
    let session = open_on(store.clone(), "save", 2, 64 * MIB);
    let rows = numbers(5000);
    let handle = put(&session, Utf8, &rows, 100, Layout::Loose(3)).unwrap();
    let (first, second) =
        (TableUri::new("memory://first").unwrap(), TableUri::new("memory://second").unwrap());
    let plan = Plan::scan(handle).unwrap();
    block_on(session.save(&plan, &first, WriteOptions::default())).unwrap();
    let loaded = Plan::load(Arc::new(block_on(session.stored(&first)).unwrap())).unwrap();
    let mapped = Plan::map(&loaded, add(1, 0), &kernels()).unwrap();
    let stored = block_on(session.save(&mapped, &second, WriteOptions::default())).unwrap();
    assert_eq!((stored.rows(), stored.layout.clone()), (5000, Layout::Loose(3)));
    let expected: Vec<_> = rows.iter().map(|(k, v)| (*k, v + 1)).collect();
    let loaded = Plan::load(Arc::new(stored)).unwrap();
    assert_eq!(read(&session, &loaded), support::expected(Utf8, &expected));
}

#[test]
fn a_save_that_fails_or_is_dropped_leaves_no_table() {
    let store = Arc::new(MemoryStore::default());
    let session = open_on(store.clone(), "abort", 2, 64 * MIB);
    let handle = put(&session, UInt64, &numbers(5000), 100, Layout::Loose(3)).unwrap();
    let scan = Plan::scan(handle).unwrap();
    let uri = TableUri::new("memory://t").unwrap();
    let bad = Plan::map(&scan, KernelCall::fold::<Bad>(&Bad::PanicInFold).unwrap(), &kernels()).unwrap();
    let error = block_on(session.save(&bad, &uri, WriteOptions::default())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Kernel, "{error:?}");
    assert_eq!((store.tables(), store.aborts.load(Ordering::Relaxed)), (0, 1));

    store.fail_commit.store(true, Ordering::Relaxed);
    let error = block_on(session.save(&scan, &uri, WriteOptions::default())).unwrap_err();
    assert!(error.to_string().contains("save memory://t: the medium is full"), "{error}");
    assert_eq!((store.tables(), store.aborts.load(Ordering::Relaxed)), (0, 2));

    let slow = Plan::map(&scan, KernelCall::map::<Slow>(&Slow(8)).unwrap(), &kernels()).unwrap();
    let mut action = session.save(&slow, &uri, WriteOptions::default());
    wait_until("the kernel begins", || {
        begin(action.as_mut());
        ROWS[8].load(Ordering::Relaxed) > 10
    });
    drop(action);
    wait_until("the dropped save is aborted", || store.aborts.load(Ordering::Relaxed) == 3);
    assert_eq!(store.tables(), 0);
}

#[test]
fn a_store_that_hangs_does_not_hold_up_cancelling_or_closing() {
    let store = Arc::new(MemoryStore::default());
    let session = open_on(store.clone(), "hanging", 1, 64 * MIB);
    let handle = put(&session, UInt64, &numbers(10), 10, Layout::Loose(1)).unwrap();
    let uri = TableUri::new("memory://t").unwrap();
    let stored = block_on(session.save(&Plan::scan(handle).unwrap(), &uri, WriteOptions::default())).unwrap();
    store.hang.store(true, Ordering::Relaxed);
    let plan = Plan::load(Arc::new(stored)).unwrap();
    for _ in 0..3 {
        let mut action = session.keep(&plan);
        begin(action.as_mut());
        thread::sleep(Duration::from_millis(5));
    }
    let mut action = session.keep(&plan);
    begin(action.as_mut());
    block_on(session.close(End::Failed)).unwrap();
    assert_eq!(block_on(action).unwrap_err().kind(), ErrorKind::Cancelled);
}

#[test]
fn rows_that_do_not_fit_are_refused_with_a_reason() {
    let session = open("fit", 2, 64 * MIB);
    let ranges = tributary_core::layout::RowRanges::even(10, 3);
    let error = put(&session, UInt64, &numbers(9), 2, Layout::Rows(ranges)).unwrap_err();
    assert!(error.to_string().contains("put: 9 rows for a layout of 10"), "{error}");
    let twice = [(1, 1), (2, 2), (3, 3), (2, 4)];
    let error = put(&session, Utf8, &twice, 3, Layout::Keyed(2)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let text = error.to_string();
    assert!(text.contains("in partition 0, row 1 and in partition 0, row 3"), "{text}");
    assert!(!text.contains("key 2"), "{text}");
    let wrong = futures::stream::iter([Ok(support::batch(Utf8, &[(1, 1)]))]).boxed();
    let error =
        block_on(session.put(&support::schema(KeyType::UInt64), wrong, Layout::Loose(1))).unwrap_err();
    assert!(error.to_string().contains("has type Utf8, expected UInt64"), "{error}");
    assert_eq!(session.used_bytes(), 0);
}
