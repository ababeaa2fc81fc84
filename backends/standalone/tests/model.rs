//! Every operation against a model in a few lines: random rows, all types of key, 1 to 7 partitions, empty ones and skewed
//! ones among them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails should say where")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::executor::block_on;
use proptest::prelude::*;
use proptest::sample::select;
use tributary_core::ErrorKind;
use tributary_core::computing::{Computing, Handle};
use tributary_core::kernel::KernelCall;
use tributary_core::layout::{Layout, RowRanges};
use tributary_core::plan::{EqualKeys, JoinKind, Node, Plan};
use tributary_core::schema::KeyType;
use tributary_standalone::Session;

use support::kernels::{Add, Odd, Rekey, Sum, SumKeys};
use support::{counts, expected, hash, kernels, keyed, keyed_counts, open, put, read, text};

type Rows = Vec<(u64, i64)>;

/// Few keys, so that they repeat; some of them many times.
fn rows() -> impl Strategy<Value = Rows> {
    let key = prop_oneof![0..4u64, 0..200u64];
    prop::collection::vec((key, -50..50i64), 0..300)
}

fn unique(rows: &Rows) -> Rows {
    let mut seen = BTreeSet::new();
    rows.iter().copied().filter(|(key, _)| seen.insert(*key)).collect()
}

fn partitions() -> impl Strategy<Value = u32> {
    select(vec![1, 2, 3, 7])
}

fn key_type() -> impl Strategy<Value = KeyType> {
    select(vec![KeyType::UInt64, KeyType::Utf8, KeyType::Binary])
}

fn session() -> Session {
    open("model", 2, 1 << 30)
}

fn scan(handle: &Arc<Handle>) -> Node {
    Plan::scan(handle.clone()).unwrap()
}

fn exchange(input: &Node, to: Layout, equal: EqualKeys) -> Node {
    Plan::exchange(input, to, equal, &kernels()).unwrap()
}

/// Keeps the plan and checks its rows, and how many are in each partition.
fn check(session: &Session, plan: &Node, rows: &[String], sizes: Option<&[u64]>) {
    assert_eq!(read(session, plan), rows, "read of\n{plan:?}");
    let kept = block_on(session.keep(plan)).unwrap();
    assert_eq!(read(session, &scan(&kept)), rows, "kept\n{plan:?}");
    if let Some(sizes) = sizes {
        assert_eq!(counts(&kept), sizes, "{plan:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn put_cuts_or_sorts(rows in rows(), kind in key_type(), n in partitions(), cut in 1..100usize) {
        let session = session();
        let ranges = RowRanges::even(rows.len() as u64, n);
        let even: Vec<u64> = (0..n).map(|p| ranges.range(p).count() as u64).collect();
        for layout in [Layout::Loose(n), Layout::Rows(ranges)] {
            let handle = put(&session, kind, &rows, cut, layout).unwrap();
            check(&session, &scan(&handle), &expected(kind, &rows), Some(&even));
        }
        let rows = unique(&rows);
        for rows in [rows.clone(), keyed(kind, &rows)] {
            let handle = put(&session, kind, &rows, cut, Layout::Keyed(n)).unwrap();
            let sizes = keyed_counts(kind, &rows, n);
            check(&session, &scan(&handle), &expected(kind, &keyed(kind, &rows)), Some(&sizes));
        }
    }

    #[test]
    fn exchanges_move_rows_and_lose_none(
        rows in rows(), kind in key_type(), m in partitions(), n in partitions(), cut in 1..100usize,
    ) {
        let session = session();
        let loose = scan(&put(&session, kind, &rows, cut, Layout::Loose(m)).unwrap());
        let ranges = RowRanges::even(rows.len() as u64, n);
        let even: Vec<u64> = (0..n).map(|p| ranges.range(p).count() as u64).collect();
        let moved = exchange(&loose, Layout::Loose(n), EqualKeys::Adjacent);
        check(&session, &moved, &expected(kind, &rows), Some(&even));

        let sorted = expected(kind, &keyed(kind, &rows));
        let sizes = keyed_counts(kind, &rows, n);
        let adjacent = exchange(&loose, Layout::Keyed(n), EqualKeys::Adjacent);
        check(&session, &adjacent, &sorted, Some(&sizes));
        let again = exchange(&adjacent, Layout::Keyed(m), EqualKeys::Adjacent);
        check(&session, &again, &sorted, Some(&keyed_counts(kind, &rows, m)));

        let refuse = exchange(&loose, Layout::Keyed(n), EqualKeys::Refuse);
        let refuse_sorted = exchange(&adjacent, Layout::Keyed(m), EqualKeys::Refuse);
        for plan in [refuse, refuse_sorted] {
            if unique(&rows).len() == rows.len() {
                check(&session, &plan, &sorted, None);
            } else {
                let error = block_on(session.keep(&plan)).unwrap_err();
                prop_assert_eq!(error.kind(), ErrorKind::InvalidInput);
                prop_assert!(error.to_string().contains("a key occurs twice, in partition"));
            }
        }
    }

    #[test]
    fn joins_match_keys(
        left in rows(), right in rows(), kind in key_type(), n in partitions(), cut in 1..100usize,
    ) {
        let session = session();
        let (left, right) = (unique(&left), unique(&right));
        let a = scan(&put(&session, kind, &left, cut, Layout::Keyed(n)).unwrap());
        let b = scan(&put(&session, kind, &right, cut + 3, Layout::Keyed(n)).unwrap());
        let (l, r): (BTreeMap<_, _>, BTreeMap<_, _>) = (left.iter().copied().collect(), right.iter().copied().collect());
        let mut keys: Vec<u64> = l.keys().chain(r.keys()).copied().collect::<BTreeSet<_>>().into_iter().collect();
        keys.sort_by_key(|key| hash(kind, *key));
        let name = |key: u64| text(&[support::batch(kind, &[(key, 0)])])[0].strip_suffix(" 0").unwrap().to_owned();
        let value = |side: &BTreeMap<u64, i64>, key: &u64| side.get(key).map_or("-".into(), i64::to_string);
        for join in [JoinKind::Inner, JoinKind::Semi, JoinKind::Anti, JoinKind::Full] {
            let rows = keys.iter().filter_map(|key| {
                let (x, y, presence) = (value(&l, key), value(&r, key), u8::from(l.contains_key(key)) + 2 * u8::from(r.contains_key(key)));
                match join {
                    JoinKind::Inner => (presence == 3).then(|| format!("{} {x} {y}", name(*key))),
                    JoinKind::Semi => (presence == 3).then(|| format!("{} {x}", name(*key))),
                    JoinKind::Anti => (presence == 1).then(|| format!("{} {x}", name(*key))),
                    JoinKind::Full => Some(format!("{} {x} {y} {presence}", name(*key))),
                }
            });
            let rows: Vec<String> = rows.collect();
            check(&session, &Plan::join(&a, &b, join, &kernels()).unwrap(), &rows, None);
        }
    }

    #[test]
    fn rows_come_back_to_their_numbers(
        order in prop::collection::vec(any::<u32>(), 0..200), m in partitions(), n in partitions(), first in 0..5u64,
        cut in 1..60usize,
    ) {
        let session = session();
        let mut shuffled: Vec<usize> = (0..order.len()).collect();
        shuffled.sort_by_key(|i| order[*i]);
        let rows: Rows = shuffled.iter().map(|i| (first + *i as u64, *i as i64 * 10)).collect();
        let loose = scan(&put(&session, KeyType::UInt64, &rows, cut, Layout::Loose(m)).unwrap());
        let starts = RowRanges::even(rows.len() as u64, n).starts().iter().map(|start| start + first).collect();
        let ranges = RowRanges::new(starts).unwrap();
        let sizes: Vec<u64> = (0..n).map(|p| ranges.range(p).count() as u64).collect();
        let mut sorted = rows.clone();
        sorted.sort();
        let numbered = exchange(&loose, Layout::Rows(ranges.clone()), EqualKeys::Refuse);
        check(&session, &numbered, &expected(KeyType::UInt64, &sorted), Some(&sizes));

        if let Some((number, _)) = rows.first().copied() {
            for (wrong, says) in [(number, "a row number occurs twice"), (first + rows.len() as u64, "is not within")] {
                let mut rows = rows.clone();
                let last = rows.len() - 1;
                rows[last].0 = wrong;
                if unique(&rows).len() < rows.len() || says.contains("within") {
                    let loose = scan(&put(&session, KeyType::UInt64, &rows, cut, Layout::Loose(m)).unwrap());
                    let plan = exchange(&loose, Layout::Rows(ranges.clone()), EqualKeys::Refuse);
                    let error = block_on(session.keep(&plan)).unwrap_err().to_string();
                    prop_assert!(error.contains(says), "{}", error);
                }
            }
        }
    }

    #[test]
    fn maps_zips_ranges_and_concats(
        rows in rows(), kind in key_type(), n in partitions(), cut in 1..100usize, from in 0..300u64, count in 0..300u64,
    ) {
        let session = session();
        let add = |amount| KernelCall::map::<Add>(&Add { amount, test: 0 }).unwrap();
        let handle = put(&session, kind, &rows, cut, Layout::Loose(n)).unwrap();
        let total = rows.len() as u64;
        let (start, end) = (from.min(total), (from + count).min(total));
        let some = &rows[start as usize..end as usize];

        let ranged = Plan::scan_rows(handle.clone(), Some(start..end)).unwrap();
        check(&session, &ranged, &expected(kind, some), None);
        let (one, two) = (Plan::map(&ranged, add(1), &kernels()).unwrap(), Plan::map(&ranged, add(2), &kernels()).unwrap());
        let two = Plan::map(&two, add(5), &kernels()).unwrap();
        let zipped = Plan::zip(&one, &two, &kernels()).unwrap();
        let (a, b): (Rows, Rows) = (some.iter().map(|(k, v)| (*k, v + 1)).collect(), some.iter().map(|(k, v)| (*k, v + 7)).collect());
        let both: Vec<String> = expected(kind, &a).iter().zip(&b).map(|(left, (_, right))| format!("{left} {right}")).collect();
        check(&session, &zipped, &both, None);

        let odd = Plan::map(&scan(&handle), KernelCall::map::<Odd>(&Odd).unwrap(), &kernels()).unwrap();
        let odd_rows: Rows = rows.iter().copied().filter(|(_, v)| v % 2 != 0).collect();
        let concat = Plan::concat(&[odd.clone(), scan(&handle), odd], &kernels()).unwrap();
        check(&session, &concat, &expected(kind, &[odd_rows.clone(), rows.clone(), odd_rows].concat()), None);

        let numbered = Plan::map(&ranged, KernelCall::map::<Rekey>(&Rekey).unwrap(), &kernels()).unwrap();
        let with_numbers: Rows = (start..).zip(some).map(|(number, (_, value))| (number, *value)).collect();
        check(&session, &numbered, &expected(KeyType::UInt64, &with_numbers), None);
    }

    #[test]
    fn groups_are_summed_the_same_in_any_number_of_partitions(
        rows in rows(), kind in key_type(), m in partitions(), n in partitions(), cut in 1..100usize,
    ) {
        let session = session();
        let loose = scan(&put(&session, kind, &rows, cut, Layout::Loose(m)).unwrap());
        let gathered = exchange(&loose, Layout::Keyed(n), EqualKeys::Adjacent);
        let sums = Plan::map(&gathered, KernelCall::fold::<SumKeys>(&SumKeys).unwrap(), &kernels()).unwrap();
        let mut model: BTreeMap<u64, i64> = BTreeMap::new();
        rows.iter().for_each(|(key, value)| *model.entry(*key).or_default() += value);
        let model: Rows = model.into_iter().collect();
        check(&session, &sums, &expected(kind, &keyed(kind, &model)), None);

        let each = Plan::map(&loose, KernelCall::fold::<Sum>(&Sum).unwrap(), &kernels()).unwrap();
        let one = exchange(&each, Layout::Loose(1), EqualKeys::Refuse);
        let total = Plan::map(&one, KernelCall::fold::<Sum>(&Sum).unwrap(), &kernels()).unwrap();
        check(&session, &total, &[format!("0 {}", rows.iter().map(|(_, v)| v).sum::<i64>())], None);
    }
}

/// Enough rows for many ranges, and one key that has half of them.
#[test]
fn a_large_exchange_with_skew_keeps_the_order_of_the_source() {
    let session = session();
    let rows: Rows = (0..200_000u64)
        .map(|i| (if i % 2 == 0 { 7 } else { i * 2_654_435_761 % 50_000 }, i as i64))
        .collect();
    for kind in [KeyType::UInt64, KeyType::Utf8] {
        let loose = scan(&put(&session, kind, &rows, 30_000, Layout::Loose(3)).unwrap());
        let plan = exchange(&loose, Layout::Keyed(5), EqualKeys::Adjacent);
        let kept = block_on(session.keep(&plan)).unwrap();
        assert_eq!(counts(&kept), keyed_counts(kind, &rows, 5));
        assert_eq!(*kept.layout(), Layout::Loose(5), "equal keys are not a keyed table");
        assert_eq!(read(&session, &scan(&kept)), expected(kind, &keyed(kind, &rows)));
    }
}
