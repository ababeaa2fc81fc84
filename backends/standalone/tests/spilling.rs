//! What a session promises when rows do not fit in its memory: equal results, its budget kept, nothing left behind.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails should say where")]

mod support;

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use arrow_array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray, UInt64Array};
use arrow_schema::DataType;
use arrow_select::concat::concat_batches;
use futures::executor::block_on;
use futures::{StreamExt, stream};
use tempfile::TempDir;
use tributary_core::ErrorKind;
use tributary_core::computing::{Blob, Computing, End, Engine, SessionSpec, Spills};
use tributary_core::kernel::KernelCall;
use tributary_core::layout::{Layout, RowRanges};
use tributary_core::placement::CoreRequest;
use tributary_core::plan::{EqualKeys, JoinKind, Node, Plan};
use tributary_core::schema::KeyType::{self, UInt64, Utf8};
use tributary_core::schema::{Field, TableSchema};
use tributary_core::storage::{Nowhere, TableUri, WriteOptions};
use tributary_standalone::{Session, Standalone};

use support::kernels::{Add, Bad, Slow, SumKeys};
use support::{collect, counts, kernels, open, open_spilling, put};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Rows whose keys come in no order and once each, 16 bytes a row.
fn scattered(rows: u64) -> Vec<(u64, i64)> {
    (0..rows).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15), i as i64)).collect()
}

/// Rows numbered from 0, each once, in no order.
fn shuffled(rows: u64) -> Vec<(u64, i64)> {
    (0..rows).map(|i| (i * 7_919 % rows, i as i64)).collect()
}

fn scan(session: &Session, kind: KeyType, rows: &[(u64, i64)], layout: Layout) -> Node {
    Plan::scan(put(session, kind, rows, 5000, layout).unwrap()).unwrap()
}

fn exchange(node: &Node, to: Layout, equal: EqualKeys) -> Node {
    Plan::exchange(node, to, equal, &kernels()).unwrap()
}

fn all(session: &Session, node: &Node) -> RecordBatch {
    concat_batches(node.schema().arrow(), &collect(session, node).unwrap()).unwrap()
}

fn add(node: &Node) -> Node {
    Plan::map(node, KernelCall::map::<Add>(&Add { amount: 1, test: 0 }).unwrap(), &kernels()).unwrap()
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        // whatever takes longer never comes
        assert!(begun.elapsed() < Duration::from_secs(300), "{what}");
        thread::yield_now();
    }
}

/// The most bytes that a session counts while something runs.
fn most_used(session: &Session, work: impl FnOnce()) -> u64 {
    let (done, most) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                most.fetch_max(session.used_bytes(), Ordering::AcqRel);
                thread::yield_now();
            }
        });
        let end = Ended(&done);
        work();
        drop(end);
    });
    most.into_inner()
}

/// Also if the work panics.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[test]
fn an_engine_with_a_folder_declares_that_rows_spill() {
    let (engine, _) = open_spilling(Path::new("/nowhere"), "declares", 1, MIB);
    assert_eq!(engine.info().spills, Spills::Rows);
    assert_eq!(Standalone::new(kernels(), Arc::new(Nowhere)).info().spills, Spills::Nothing);
}

/// What is done to two tables of many times the budget, in order.
fn everything(session: &Session, kind: KeyType, rows: u64, partitions: u32) -> Vec<RecordBatch> {
    let n = partitions;
    let left = scan(session, kind, &scattered(rows), Layout::Loose(n));
    let other: Vec<_> = scattered(2 * rows).into_iter().rev().take(rows as usize + 999).collect();
    let right = scan(session, kind, &other, Layout::Keyed(n));
    let moved = exchange(&left, Layout::Keyed(n), EqualKeys::Refuse);
    let groups = exchange(
        &Plan::concat(&[left.clone(), right.clone()], &kernels()).unwrap(),
        Layout::Keyed(3),
        EqualKeys::Adjacent,
    );
    let groups = Plan::map(&groups, KernelCall::fold::<SumKeys>(&SumKeys).unwrap(), &kernels()).unwrap();
    let join = |kind| Plan::join(&moved, &right, kind, &kernels()).unwrap();
    let kept = Plan::scan(block_on(session.keep(&add(&moved))).unwrap()).unwrap();
    let uri = TableUri::new("memory://saved").unwrap();
    let saved = Plan::load(Arc::new(block_on(session.save(&kept, &uri, WriteOptions::default())).unwrap()));
    let again = exchange(&saved.unwrap(), Layout::Keyed(2 * n), EqualKeys::Refuse);
    let numbered = scan(session, UInt64, &shuffled(rows), Layout::Loose(n));
    let numbered = exchange(&numbered, Layout::Rows(RowRanges::even(rows, n)), EqualKeys::Refuse);
    let loose = exchange(&left, Layout::Loose(n + 1), EqualKeys::Refuse);
    let plans =
        [join(JoinKind::Inner), join(JoinKind::Full), join(JoinKind::Anti), groups, again, numbered, loose];
    plans.iter().map(|plan| all(session, plan)).collect()
}

#[test]
fn tables_of_many_times_the_budget_give_what_they_give_in_memory_and_the_budget_is_kept() {
    const ROWS: u64 = 30_000;
    for (kind, cores, n, budget) in
        [(UInt64, 2, 1, 128 * KIB), (Utf8, 3, 2, 256 * KIB), (UInt64, 1, 7, 64 * KIB)]
    {
        let folder = TempDir::new().unwrap();
        let (engine, tight) = open_spilling(folder.path(), "tight", cores, budget);
        let expected = everything(&open("roomy", cores, 1 << 30), kind, ROWS, n);
        let most = most_used(&tight, || {
            for (i, (found, expected)) in everything(&tight, kind, ROWS, n).iter().zip(&expected).enumerate()
            {
                assert!(found == expected, "plan {i} of {n} partitions");
            }
        });
        assert!(most <= budget, "{most} of {budget} bytes");
        assert!(engine.spilled_bytes_ever() > 8 * budget, "{}", engine.spilled_bytes_ever());
        assert_eq!((engine.spilled_bytes(), tight.used_bytes()), (0, 0));
    }
}

#[test]
fn a_key_with_most_of_the_rows_keeps_the_order_of_the_source() {
    let folder = TempDir::new().unwrap();
    let (_, tight) = open_spilling(folder.path(), "skew", 2, 64 * KIB);
    let roomy = open("even", 2, 1 << 30);
    let rows: Vec<_> = (0..40_000u64).map(|i| (if i % 5 > 0 { 7 } else { i % 3000 }, i as i64)).collect();
    for kind in [UInt64, Utf8] {
        let gathered = |session: &Session| {
            let loose = scan(session, kind, &rows, Layout::Loose(3));
            let plan = exchange(&loose, Layout::Keyed(5), EqualKeys::Adjacent);
            let kept = block_on(session.keep(&plan)).unwrap();
            (counts(&kept), all(session, &Plan::scan(kept).unwrap()))
        };
        let (found, expected) = (gathered(&tight), gathered(&roomy));
        assert_eq!(found.0, expected.0);
        assert!(found.1 == expected.1);
    }
}

/// Rows of two keys that have one hash, among others.
fn colliding(start: u64) -> tributary_core::error::Result<RecordBatch> {
    let key = |i: u64| match i % 5 {
        0 => format!("key {i}"),
        1 | 3 => "nrLgMJ4!".into(),
        _ => "id-8701".into(),
    };
    let keys: ArrayRef = Arc::new(StringArray::from_iter_values((start..start + 500).map(key)));
    let values: ArrayRef = Arc::new(Int64Array::from_iter_values(start as i64..start as i64 + 500));
    support::schema(Utf8).batch(vec![keys, values])
}

/// Two keys that have one hash, with more rows each than memory, among others.
#[test]
fn keys_of_equal_hash_are_told_apart_however_many_their_rows() {
    let folder = TempDir::new().unwrap();
    let (_, tight) = open_spilling(folder.path(), "collide", 2, 32 * KIB);
    let roomy = open("roomy", 2, 1 << 30);
    let gathered = |session: &Session| {
        let rows = stream::iter((0..40).map(|i| colliding(i * 500))).boxed();
        let loose = block_on(session.put(&support::schema(Utf8), rows, Layout::Loose(2))).unwrap();
        let plan = exchange(&Plan::scan(loose).unwrap(), Layout::Keyed(3), EqualKeys::Adjacent);
        let sums = Plan::map(&plan, KernelCall::fold::<SumKeys>(&SumKeys).unwrap(), &kernels()).unwrap();
        (all(session, &plan), all(session, &sums))
    };
    let (found, expected) = (gathered(&tight), gathered(&roomy));
    assert!(found == expected);
    assert_eq!((found.0.num_rows(), found.1.num_rows()), (20_000, 4002));
}

#[test]
fn a_key_or_number_twice_or_beyond_is_refused_with_its_place() {
    let folder = TempDir::new().unwrap();
    let (engine, tight) = open_spilling(folder.path(), "twice", 2, 64 * KIB);
    let roomy = open("roomy", 2, 1 << 30);
    let check = |rows: &[(u64, i64)], to: Layout, says: &str| {
        let error = |session: &Session| {
            let plan =
                exchange(&scan(session, UInt64, rows, Layout::Loose(3)), to.clone(), EqualKeys::Refuse);
            block_on(session.keep(&plan)).unwrap_err()
        };
        let (found, expected) = (error(&tight), error(&roomy));
        assert_eq!((found.kind(), found.to_string()), (ErrorKind::InvalidInput, expected.to_string()));
        assert!(found.to_string().contains(says), "{found}");
    };
    for (one, other) in [(0, 29_999), (14_000, 14_001), (12_345, 3)] {
        let mut rows = scattered(30_000);
        rows[one].0 = rows[other].0;
        let (first, last) = (one.min(other), one.max(other));
        let place = |row: usize| format!("in partition {}, row {}", row / 10_000, row % 10_000);
        let says = format!("a key occurs twice, {} and {}", place(first), place(last));
        check(&rows, Layout::Keyed(4), &says);
    }
    let ranges = Layout::Rows(RowRanges::even(30_000, 4));
    let mut rows = shuffled(30_000);
    rows[29_000].0 = 30_000;
    check(&rows, ranges.clone(), "the row number in partition 2, row 9000 is not within 0..30000");
    check(&shuffled(29_999), ranges.clone(), "29999 rows for the 30000 row numbers");
    let mut rows = shuffled(30_000);
    rows[29_000].0 = rows[11].0;
    let error = block_on(tight.keep(&exchange(
        &scan(&tight, UInt64, &rows, Layout::Loose(3)),
        ranges,
        EqualKeys::Refuse,
    )));
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("a row number occurs twice, in partition 0, row 11 and in partition 2, row 9000"),
        "{error}"
    );
    assert_eq!((engine.spilled_bytes(), tight.used_bytes()), (0, 0));
}

/// Drops an action when so much more was written to disk, and sees how soon all is free again.
fn check_stops(engine: &Standalone, session: &Session, plan: &Node, after_bytes: u64) -> bool {
    let before = (engine.spilled_bytes(), session.used_bytes(), engine.spilled_bytes_ever());
    let mut action = session.keep(plan);
    let mut poll = || action.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
    loop {
        if poll() {
            return false;
        }
        if engine.spilled_bytes_ever() >= before.2 + after_bytes {
            break;
        }
        thread::yield_now();
    }
    drop(action);
    wait_until("all is free", || (engine.spilled_bytes(), session.used_bytes()) == (before.0, before.1));
    true
}

#[test]
fn a_dropped_action_stops_at_any_time_and_frees_disk_and_memory() {
    let folder = TempDir::new().unwrap();
    let (engine, session) = open_spilling(folder.path(), "drop", 2, 256 * KIB);
    let loose = scan(&session, UInt64, &scattered(100_000), Layout::Loose(3));
    let moved = exchange(&add(&loose), Layout::Keyed(3), EqualKeys::Refuse);
    let before = engine.spilled_bytes_ever();
    drop(block_on(session.keep(&moved)).unwrap());
    // Rows that are collected, runs, rows that are merged.
    let whole = engine.spilled_bytes_ever() - before;
    assert!(whole > 4 * MIB, "{whole}");
    let stopped = (0..20).filter(|i| check_stops(&engine, &session, &moved, whole * i / 20)).count();
    assert!(stopped > 15, "{stopped}");
    assert_eq!(all(&session, &moved).num_rows(), 100_000);
}

#[test]
fn what_fails_leaves_nothing_on_disk() {
    let folder = TempDir::new().unwrap();
    let (engine, session) = open_spilling(folder.path(), "fails", 2, 64 * KIB);
    let loose = scan(&session, UInt64, &scattered(20_000), Layout::Loose(3));
    let moved = exchange(&add(&loose), Layout::Keyed(3), EqualKeys::Refuse);
    let before = (engine.spilled_bytes(), session.used_bytes());
    for bad in [Bad::PanicInFold, Bad::PanicInFinish, Bad::ErrorInFold] {
        let plan = Plan::map(&moved, KernelCall::fold::<Bad>(&bad).unwrap(), &kernels()).unwrap();
        block_on(session.keep(&plan)).unwrap_err();
        wait_until("nothing is left", || (engine.spilled_bytes(), session.used_bytes()) == before);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_limit_on_the_disk_is_named_and_the_session_goes_on() {
    let folder = TempDir::new().unwrap();
    let engine = Standalone::new(kernels(), Arc::new(Nowhere)).spilling_to(folder.path().into(), MIB);
    let placement = engine.place(&CoreRequest::of_task_cores(2)).unwrap();
    let id = "spilling.limit.0".parse().unwrap();
    let session = engine.session(SessionSpec { id, placement, memory_bytes: 64 * KIB }).unwrap();
    let error = put(&session, UInt64, &scattered(100_000), 5000, Layout::Loose(2)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Exhausted);
    let text = error.to_string();
    assert!(
        text.contains(&folder.path().display().to_string()) && text.contains("the limit is 1048576"),
        "{text}"
    );
    assert_eq!((engine.spilled_bytes(), session.used_bytes()), (0, 0));
    let loose = scan(&session, UInt64, &scattered(6000), Layout::Loose(2));
    assert_eq!(all(&session, &exchange(&loose, Layout::Keyed(2), EqualKeys::Refuse)).num_rows(), 6000);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let (_, session) = open_spilling(Path::new("/dev/null/rows"), "nowhere", 1, 64 * KIB);
    let error = put(&session, UInt64, &scattered(20_000), 5000, Layout::Loose(2)).unwrap_err();
    assert!(error.to_string().contains("in /dev/null/rows"), "{error}");
    assert!(error.to_string().contains("set spill_folder in service_conf.yaml"), "{error}");
    put(&session, UInt64, &scattered(1000), 500, Layout::Loose(2)).unwrap();
}

#[test]
fn closing_frees_the_disk_while_handles_and_streams_are_left() {
    let folder = TempDir::new().unwrap();
    let (engine, session) = open_spilling(folder.path(), "close", 2, 64 * KIB);
    let loose = scan(&session, UInt64, &scattered(20_000), Layout::Loose(3));
    let slow = Plan::map(&loose, KernelCall::map::<Slow>(&Slow(1)).unwrap(), &kernels()).unwrap();
    let mut rows = block_on(session.read(&slow)).unwrap();
    block_on(rows.next()).unwrap().unwrap();
    assert!(engine.spilled_bytes() > 200 * KIB);
    block_on(session.close(End::Failed)).unwrap();
    let error = loop {
        match block_on(rows.next()) {
            Some(Ok(_)) => {}
            Some(Err(error)) => break error,
            None => panic!("the stream ended as if it were whole"),
        }
    };
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    drop(rows);
    wait_until("the disk is free", || engine.spilled_bytes() == 0);
}

#[test]
fn a_slow_reader_does_not_bring_a_table_back_to_memory() {
    let folder = TempDir::new().unwrap();
    let (_, session) = open_spilling(folder.path(), "slow", 2, 256 * KIB);
    let loose = scan(&session, UInt64, &scattered(100_000), Layout::Loose(3));
    for plan in [loose.clone(), add(&loose), exchange(&loose, Layout::Keyed(4), EqualKeys::Refuse)] {
        let most = most_used(&session, || {
            let mut rows = block_on(session.read(&plan)).unwrap();
            let mut count = block_on(rows.next()).unwrap().unwrap().num_rows();
            thread::sleep(Duration::from_millis(30));
            while let Some(batch) = block_on(rows.next()) {
                count += batch.unwrap().num_rows();
            }
            assert_eq!(count, 100_000);
        });
        assert!(most <= 256 * KIB, "{most}");
    }
}

#[test]
fn parameters_stay_in_memory_and_are_refused_beyond() {
    let folder = TempDir::new().unwrap();
    let (engine, session) = open_spilling(folder.path(), "blobs", 2, MIB);
    let blob = |bytes: u64| block_on(session.put_blob(Blob::secret(vec![0; bytes as usize])));
    let held = blob(700 * KIB).unwrap();
    let error = blob(100 * KIB).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Exhausted);
    let says = "holds 716800 bytes and asked for 102400 more, its budget is 1048576, 262144 of it to sort and merge rows in";
    assert!(error.to_string().contains(says), "{error}");
    let loose = scan(&session, UInt64, &scattered(100_000), Layout::Loose(2));
    assert_eq!(all(&session, &exchange(&loose, Layout::Keyed(2), EqualKeys::Refuse)).num_rows(), 100_000);
    drop((held, loose));
    assert_eq!((engine.spilled_bytes(), session.used_bytes()), (0, 0));
}

/// A test below in a process of its own, with this folder.
fn in_own_process(test: &str, folder: &Path) -> Child {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]).env("SPILL_TEST_FOLDER", folder);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn own_folder() -> std::path::PathBuf {
    env::var_os("SPILL_TEST_FOLDER").unwrap().into()
}

#[test]
fn a_process_that_is_killed_leaves_no_file() {
    let folder = TempDir::new().unwrap();
    let child = in_own_process("until_killed", folder.path());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.signal(), Some(9), "{output:?}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
#[ignore = "run by `a_process_that_is_killed_leaves_no_file`"]
fn until_killed() {
    let (engine, session) = open_spilling(&own_folder(), "killed", 2, 64 * KIB);
    let loose = scan(&session, UInt64, &scattered(50_000), Layout::Loose(3));
    let moved = exchange(&add(&loose), Layout::Keyed(3), EqualKeys::Refuse);
    let held = engine.spilled_bytes();
    let _action = thread::spawn(move || block_on(session.keep(&moved)).unwrap());
    wait_until("rows are moved", || engine.spilled_bytes() > 2 * held);
    Command::new("kill").args(["-9", &std::process::id().to_string()]).status().unwrap();
    thread::sleep(Duration::from_secs(30));
}

#[test]
fn a_process_is_not_much_larger_than_its_budget() {
    let folder = TempDir::new().unwrap();
    let output = in_own_process("large_tables", folder.path()).wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// Most memory that this process ever had resident, in bytes.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().trim().parse::<u64>().unwrap() * KIB
}

/// Rows of about 1 KiB, made as they are read.
fn large_rows(schema: &TableSchema, rows: u64) -> tributary_core::computing::RowStream {
    const EACH: u64 = 1000;
    let schema = schema.clone();
    let batches = (0..rows / EACH).map(move |i| {
        let keys = (i * EACH..(i + 1) * EACH).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let keys: ArrayRef = Arc::new(UInt64Array::from_iter_values(keys));
        let values = (0..EACH).map(|i| vec![i as u8; 1000]);
        schema.batch(vec![keys, Arc::new(BinaryArray::from_iter_values(values))])
    });
    stream::iter(batches).boxed()
}

#[test]
#[ignore = "run by `a_process_is_not_much_larger_than_its_budget`"]
fn large_tables() {
    const BUDGET: u64 = 32 * MIB;
    const ROWS: u64 = 256_000;
    let (engine, session) = open_spilling(&own_folder(), "large", 2, BUDGET);
    let schema = TableSchema::keyed("k", UInt64, vec![Field::new("x", DataType::Binary)]).unwrap();
    let begin = peak();
    let table = |layout| {
        Plan::scan(block_on(session.put(&schema, large_rows(&schema, ROWS), layout)).unwrap()).unwrap()
    };
    let loose = table(Layout::Loose(3));
    let after_put = peak() - begin;
    let keyed = table(Layout::Keyed(2));
    let after_sort = peak() - begin;
    let moved = exchange(&loose, Layout::Keyed(2), EqualKeys::Refuse);
    let joined = Plan::join(&moved, &keyed, JoinKind::Inner, &kernels()).unwrap();
    let mut rows = block_on(session.read(&joined)).unwrap();
    let mut count = 0;
    while let Some(batch) = block_on(rows.next()) {
        count += batch.unwrap().num_rows() as u64;
    }
    assert_eq!(count, ROWS);
    let grown = peak() - begin;
    assert!(engine.spilled_bytes() > 450 * MIB, "{}", engine.spilled_bytes());
    let mib = [after_put, after_sort, grown].map(|bytes| bytes / MIB);
    println!("{mib:?} MiB after put, sort and join");
    // What an allocator keeps is not counted; the tables are sixteen times the budget.
    assert!(grown < 3 * BUDGET, "{mib:?} MiB");
}
