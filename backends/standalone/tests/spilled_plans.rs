//! Random plans in a session with next to no memory and in one with plenty: equal rows, equal partitions, equal errors.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails should say where")]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::executor::block_on;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;
use tributary_core::computing::Computing;
use tributary_core::error::Result;
use tributary_core::kernel::KernelCall;
use tributary_core::layout::{Layout, RowRanges};
use tributary_core::plan::{EqualKeys, JoinKind, Node, Plan};
use tributary_core::schema::KeyType;
use tributary_core::storage::{TableUri, WriteOptions};
use tributary_standalone::Session;

use support::kernels::{Add, Odd, Rekey, SumKeys};
use support::{collect, counts, kernels, open, open_spilling, put, text};

type Rows = Vec<(u64, i64)>;

/// Few keys, one of which may have most of the rows, or many.
fn rows() -> impl Strategy<Value = Rows> {
    let skewed = prop_oneof![8 => Just(7u64), 1 => 0..50u64];
    let key = prop_oneof![Just(skewed.boxed()), Just((0..2000u64).boxed())];
    key.prop_flat_map(|key| {
        let rows = prop::collection::vec((key, -50..50i64), 0..400);
        (rows, any::<bool>()).prop_map(|(rows, unique)| {
            let mut seen = BTreeSet::new();
            rows.into_iter().filter(|(key, _)| !unique || seen.insert(*key)).collect()
        })
    })
}

fn partitions() -> impl Strategy<Value = u32> {
    select(vec![1, 2, 7])
}

/// One step of a plan.
#[derive(Debug, Clone)]
enum Step {
    Add,
    Odd,
    Loose(u32),
    Keyed(u32, EqualKeys),
    Group(u32),
    Join(JoinKind, u32),
    Keep,
    Save,
    Some(u64, u64),
    Twice,
    Beside,
    /// To row numbers and back to them after they were moved by key.
    Numbered(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let equal = select(vec![EqualKeys::Refuse, EqualKeys::Adjacent]);
    let join = select(vec![JoinKind::Inner, JoinKind::Semi, JoinKind::Anti, JoinKind::Full]);
    prop_oneof![
        Just(Step::Add),
        Just(Step::Odd),
        partitions().prop_map(Step::Loose),
        (partitions(), equal).prop_map(|(n, equal)| Step::Keyed(n, equal)),
        partitions().prop_map(Step::Group),
        (join, partitions()).prop_map(|(kind, n)| Step::Join(kind, n)),
        Just(Step::Keep),
        Just(Step::Save),
        (0..300u64, 0..300u64).prop_map(|(from, count)| Step::Some(from, count)),
        Just(Step::Twice),
        Just(Step::Beside),
        partitions().prop_map(Step::Numbered),
    ]
}

fn exchange(node: &Node, to: Layout, equal: EqualKeys) -> Result<Node> {
    Plan::exchange(node, to, equal, &kernels())
}

fn keep(session: &Session, node: &Node) -> Result<Node> {
    Plan::scan(block_on(session.keep(node))?)
}

impl Step {
    fn apply(&self, session: &Session, node: Node, other: &Node) -> Result<Node> {
        match self {
            Self::Add => Plan::map(&node, KernelCall::map::<Add>(&Add { amount: 3, test: 0 })?, &kernels()),
            Self::Odd => Plan::map(&node, KernelCall::map::<Odd>(&Odd)?, &kernels()),
            Self::Loose(n) => exchange(&node, Layout::Loose(*n), EqualKeys::Adjacent),
            Self::Keyed(n, equal) => exchange(&node, Layout::Keyed(*n), *equal),
            Self::Group(n) => {
                let gathered = exchange(&node, Layout::Keyed(*n), EqualKeys::Adjacent)?;
                Plan::map(&gathered, KernelCall::fold::<SumKeys>(&SumKeys)?, &kernels())
            }
            Self::Join(kind, n) => {
                let [left, right] =
                    [&node, other].map(|side| Self::Group(*n).apply(session, side.clone(), other));
                Plan::join(&left?, &right?, *kind, &kernels())
            }
            Self::Keep => keep(session, &node),
            Self::Save => {
                static NEXT: AtomicU64 = AtomicU64::new(0);
                let uri = TableUri::new(format!("memory://{}", NEXT.fetch_add(1, Ordering::Relaxed)))?;
                Plan::load(Arc::new(block_on(session.save(&node, &uri, WriteOptions::default()))?))
            }
            Self::Some(from, count) => {
                let handle = block_on(session.keep(&node))?;
                let first = match handle.layout() {
                    Layout::Rows(ranges) => ranges.all().start,
                    _ => 0,
                };
                let [start, end] = [*from, from + count].map(|row| first + row.min(handle.rows()));
                Plan::scan_rows(handle, Some(start..end))
            }
            Self::Twice => Plan::concat(
                &[node.clone(), Self::Odd.apply(session, node.clone(), other)?, node],
                &kernels(),
            ),
            Self::Beside => {
                let scan = Plan::scan_rows(block_on(session.keep(&node))?, None)?;
                let more = Self::Add.apply(session, scan.clone(), other)?;
                Plan::zip(&scan, &more, &kernels())
            }
            Self::Numbered(n) => {
                // The row numbers of a part of a table need not begin at 0.
                let whole = keep(session, &exchange(&node, Layout::Loose(2), EqualKeys::Adjacent)?)?;
                let handle = block_on(session.keep(&whole))?;
                let count = handle.rows();
                let scan = Plan::scan_rows(handle, None)?;
                let rows = Plan::map(&scan, KernelCall::map::<Rekey>(&Rekey)?, &kernels())?;
                let shuffled = exchange(&rows, Layout::Keyed(3), EqualKeys::Refuse)?;
                exchange(&shuffled, Layout::Rows(RowRanges::even(count, *n)), EqualKeys::Refuse)
            }
        }
    }
}

/// Rows as read, rows as kept and the size of each partition.
type Outcome = (Vec<String>, Vec<String>, Vec<u64>);

#[derive(Debug, Clone)]
struct Program {
    kind: KeyType,
    rows: Rows,
    other: Rows,
    layout: Layout,
    cut: usize,
    steps: Vec<Step>,
}

impl Program {
    fn run(&self, session: &Session) -> Result<Outcome> {
        let layout = match (&self.layout, self.rows.iter().map(|(key, _)| key).collect::<BTreeSet<_>>().len())
        {
            (Layout::Keyed(n), keys) if keys < self.rows.len() => Layout::Loose(*n),
            (layout, _) => layout.clone(),
        };
        let mut node = Plan::scan(put(session, self.kind, &self.rows, self.cut, layout)?)?;
        let other = Plan::scan(put(session, self.kind, &self.other, self.cut + 5, Layout::Loose(2))?)?;
        for step in &self.steps {
            // A step that this plan cannot take is left out: of plans, that is known before they run.
            let wide = node.schema().fields().len() > 1;
            let narrow_only =
                !matches!(step, Step::Keep | Step::Save | Step::Loose(_) | Step::Keyed(..) | Step::Some(..));
            let other_key = node.schema().key() != other.schema().key() && matches!(step, Step::Join(..));
            if (wide && narrow_only) || other_key {
                continue;
            }
            node = step.apply(session, node, &other)?;
        }
        let read = text(&collect(session, &node)?);
        let handle = block_on(session.keep(&node))?;
        let again = text(&collect(session, &Plan::scan(handle.clone())?)?);
        Ok((read, again, counts(&handle)))
    }
}

fn check(program: &Program, cores: u64, memory_bytes: u64) -> std::result::Result<u64, TestCaseError> {
    let folder = tempfile::tempdir().unwrap();
    let (engine, tight) = open_spilling(folder.path(), "tight", cores, memory_bytes);
    let expected = program.run(&open("roomy", cores, 1 << 30));
    let found = program.run(&tight);
    match (found, expected) {
        (Ok(found), Ok(expected)) => prop_assert_eq!(found, expected),
        (Err(found), Err(expected)) => {
            prop_assert_eq!(found.kind(), expected.kind());
            prop_assert!(found.to_string().contains("occurs twice, in partition"), "{}", found);
            prop_assert!(expected.to_string().contains("occurs twice, in partition"), "{}", expected);
        }
        (found, expected) => prop_assert!(false, "{:?}\nexpected\n{:?}", found, expected),
    }
    let written = engine.spilled_bytes_ever();
    drop(tight);
    prop_assert_eq!(engine.spilled_bytes(), 0, "something is still on disk");
    prop_assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    Ok(written)
}

#[test]
fn results_do_not_depend_on_memory() {
    let config = ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() };
    let kind = select(vec![KeyType::UInt64, KeyType::Utf8, KeyType::Binary]);
    let steps = prop::collection::vec(step(), 0..6);
    let program = (kind, rows(), rows(), partitions(), any::<bool>(), 1..150usize, steps);
    let program = program.prop_map(|(kind, rows, other, n, keyed, cut, steps)| {
        let layout = if keyed { Layout::Keyed(n) } else { Layout::Loose(n) };
        Program { kind, rows, other, layout, cut, steps }
    });
    let written = AtomicU64::new(0);
    let outcome = TestRunner::new(config).run(
        &(program, 1..4u64, select(vec![0, 100, 1000, 3000])),
        |(program, cores, memory_bytes)| {
            written.fetch_add(check(&program, cores, memory_bytes)?, Ordering::Relaxed);
            Ok(())
        },
    );
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(written.into_inner() > 1 << 20, "hardly anything went to disk");
}
