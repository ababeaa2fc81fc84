//! What plans are allowed, and which layout they have. No engine: handles stand for rows that are nowhere.

use std::sync::Arc;

use arrow_array::RecordBatch;
use serde::{Deserialize, Serialize};

use super::*;
use crate::computing::{Blob, PartSize, Release};
use crate::error::ErrorKind;
use crate::ids::SessionId;
use crate::kernel::MapKernel;

struct Nobody;

impl Release for Nobody {
    fn release(&self, _: u64) {}
}

#[derive(Serialize, Deserialize)]
struct Told(String);

macro_rules! kernels {
    ($($type:ident $name:literal $keeps:ident $repeats:ident),*) => {
        $(
            struct $type;

            impl MapKernel for $type {
                type Params = Told;
                const NAME: &'static str = $name;
                const KEEPS: Keeps = Keeps::$keeps;
                const REPEATS: Repeats = Repeats::$repeats;

                fn open(_: Told, _: &TableSchema, _: &[Blob]) -> Result<Self> {
                    Ok(Self)
                }

                fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
                    Ok(rows.clone())
                }
            }
        )*

        fn kernels() -> Kernels {
            crate::ops::kernels()$(.map::<$type>())*
        }
    };
}

kernels!(
    KeepsNothing "test.nothing" Nothing Same,
    KeepsKeys "test.keys" Keys Same,
    KeepsRows "test.rows" Rows Same,
    KeepsBoth "test.both" Both Same,
    KeepsGroups "test.groups" Groups Same,
    Fresh "test.fresh" Both Fresh
);

fn map<K: MapKernel<Params = Told>>(input: &Node) -> Result<Node> {
    Plan::map(input, KernelCall::map::<K>(&Told("a needle".into()))?, &kernels())
}

fn handle_of(schema: TableSchema, layout: Layout, rows: &[u64]) -> Arc<Handle> {
    let parts = rows.iter().map(|rows| PartSize { rows: *rows, bytes: 0 }).collect();
    Handle::new("plans.test.0".parse::<SessionId>().unwrap(), 1, schema, layout, parts, Arc::new(Nobody))
}

fn schema(key_type: KeyType, columns: &[&str]) -> TableSchema {
    let fields = columns.iter().map(|name| Field::new(*name, DataType::Int64));
    TableSchema::keyed("id", key_type, fields.collect()).unwrap()
}

fn scan(layout: Layout) -> Node {
    let rows = vec![10; layout.partitions() as usize];
    Plan::scan(handle_of(schema(KeyType::UInt64, &["x"]), layout, &rows)).unwrap()
}

fn rows(starts: &[u64]) -> Layout {
    Layout::Rows(RowRanges::new(starts.to_vec()).unwrap())
}

fn refused(outcome: Result<Node>) -> String {
    let error = outcome.expect_err("a refusal");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    error.to_string()
}

#[test]
fn a_layout_outlives_what_keeps_it() {
    let layouts = [Layout::Loose(3), Layout::Keyed(3), rows(&[0, 10, 20, 30])];
    let loose = Layout::Loose(3);
    for layout in layouts {
        let input = scan(layout.clone());
        let is_keyed = matches!(layout, Layout::Keyed(_));
        let is_rows = matches!(layout, Layout::Rows(_));
        let if_so = |survives: bool| if survives { layout.clone() } else { loose.clone() };
        assert_eq!(*map::<KeepsNothing>(&input).unwrap().layout(), loose);
        assert_eq!(*map::<KeepsKeys>(&input).unwrap().layout(), if_so(is_keyed));
        assert_eq!(*map::<KeepsGroups>(&input).unwrap().layout(), if_so(is_keyed));
        assert_eq!(*map::<KeepsRows>(&input).unwrap().layout(), if_so(is_rows));
        assert_eq!(*map::<KeepsBoth>(&input).unwrap().layout(), layout);
    }
}

#[test]
fn rows_of_fresh_randomness_go_nowhere_before_they_are_kept() {
    let fresh = map::<Fresh>(&scan(rows(&[0, 10]))).unwrap();
    let other = scan(rows(&[0, 10]));
    let known = kernels();
    for outcome in [
        map::<KeepsBoth>(&fresh),
        Plan::exchange(&fresh, Layout::Loose(1), EqualKeys::Refuse, &known),
        Plan::zip(&fresh, &other, &known),
        Plan::zip(&other, &fresh, &known),
        Plan::concat(&[other.clone(), fresh.clone()], &known),
        Plan::join(
            &map::<Fresh>(&scan(Layout::Keyed(2))).unwrap(),
            &scan(Layout::Keyed(2)),
            JoinKind::Semi,
            &known,
        ),
    ] {
        assert!(refused(outcome).contains("keep its result first"));
    }
}

#[test]
fn gathered_rows_are_not_joined_until_they_are_combined() {
    let known = kernels();
    let gathered =
        Plan::exchange(&scan(Layout::Loose(2)), Layout::Keyed(4), EqualKeys::Adjacent, &known).unwrap();
    let other = scan(Layout::Keyed(4));
    let join = |left: &Node| Plan::join(left, &other, JoinKind::Inner, &known);
    refused(join(&gathered));
    refused(join(&map::<KeepsKeys>(&gathered).unwrap()));
    refused(join(&map::<KeepsBoth>(&gathered).unwrap()));
    join(&map::<KeepsGroups>(&gathered).unwrap()).unwrap();
    assert!(gathered.has_equal_keys() && !map::<KeepsNothing>(&gathered).unwrap().has_equal_keys());
    refused(Plan::exchange(&other, rows(&[0, 40]), EqualKeys::Adjacent, &known));
}

#[test]
fn a_join_needs_equal_partitions_and_key_types() {
    let known = kernels();
    let join = |a: Node, b: Node| Plan::join(&a, &b, JoinKind::Inner, &known);
    refused(join(scan(Layout::Keyed(2)), scan(Layout::Keyed(3))));
    refused(join(scan(Layout::Keyed(2)), scan(Layout::Loose(2))));
    let text = Plan::scan(handle_of(schema(KeyType::Utf8, &[]), Layout::Keyed(2), &[1, 1])).unwrap();
    refused(join(scan(Layout::Keyed(2)), text));
}

#[test]
fn a_wide_row_names_every_column_once() {
    let known = kernels();
    let table = |columns: &[&str]| {
        Plan::scan(handle_of(schema(KeyType::UInt64, columns), Layout::Keyed(1), &[1])).unwrap()
    };
    let wide = Plan::join(&table(&["x", "y"]), &table(&["y", "z"]), JoinKind::Full, &known).unwrap();
    let names: Vec<&str> = wide.schema().fields().iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names, ["x", "y", "y:right", "z", PRESENCE]);
    assert!(wide.schema().fields()[..4].iter().all(|f| f.nullable) && !wide.schema().fields()[4].nullable);
    let semi = Plan::join(&table(&["x"]), &table(&["x"]), JoinKind::Semi, &known).unwrap();
    assert_eq!(semi.schema().fields().len(), 1);
}

#[test]
fn a_right_column_may_have_the_name_of_the_left_key() {
    let known = kernels();
    let fields = vec![Field::new("id", DataType::Int64)];
    let right = TableSchema::keyed("other", KeyType::UInt64, fields).unwrap();
    let right = Plan::scan(handle_of(right, Layout::Keyed(2), &[1, 1])).unwrap();
    let wide = Plan::join(&scan(Layout::Keyed(2)), &right, JoinKind::Inner, &known).unwrap();
    assert_eq!(wide.schema().fields()[1].name, "id:right");
}

#[test]
fn held_rows_are_numbered_whatever_their_layout() {
    let numbered = |layout: Layout, rows| {
        Plan::scan_rows(handle_of(schema(KeyType::UInt64, &[]), layout, &[3, 0, 4]), rows)
    };
    let starts = |node: Node| match node.layout() {
        Layout::Rows(ranges) => ranges.starts().to_vec(),
        other => panic!("{other:?}"),
    };
    assert_eq!(starts(numbered(Layout::Keyed(3), None).unwrap()), [0, 3, 3, 7]);
    assert_eq!(starts(numbered(Layout::Loose(3), Some(2..6)).unwrap()), [2, 3, 3, 6]);
    assert_eq!(starts(numbered(rows(&[5, 8, 8, 12]), Some(6..9)).unwrap()), [6, 8, 8, 9]);
    let part = numbered(rows(&[5, 8, 8, 12]), Some(9..12)).unwrap();
    assert_eq!((part.first_row(0), part.first_row(2)), (Some(9), Some(9)));
    for wrong in [0..8, 8..13, 13..13] {
        refused(numbered(rows(&[5, 8, 8, 12]), Some(wrong)));
    }
}

#[test]
fn a_range_of_rows_that_ends_before_it_starts_is_refused() {
    let handle = handle_of(schema(KeyType::UInt64, &[]), Layout::Loose(1), &[10]);
    let (from, to) = (9, 6);
    refused(Plan::scan_rows(handle, Some(from..to)));
}

#[test]
fn exchanges_need_the_keys_they_go_by() {
    let known = kernels();
    let keyless = TableSchema::new(None, vec![Field::new("x", DataType::Int64)]).unwrap();
    let keyless = Plan::scan(handle_of(keyless, rows(&[0, 5]), &[5])).unwrap();
    let exchange = |input: &Node, to| Plan::exchange(input, to, EqualKeys::Refuse, &known);
    refused(exchange(&keyless, Layout::Keyed(2)));
    refused(exchange(&keyless, rows(&[0, 5])));
    exchange(&keyless, Layout::Loose(2)).unwrap();
    let text = Plan::scan(handle_of(schema(KeyType::Utf8, &[]), Layout::Loose(1), &[5])).unwrap();
    refused(exchange(&text, rows(&[0, 5])));
    for n in [0, Layout::MAX_PARTITIONS + 1] {
        refused(exchange(&text, Layout::Loose(n)));
        refused(exchange(&text, Layout::Keyed(n)));
    }
}

#[test]
fn concat_takes_equal_columns_and_adds_partitions() {
    let known = kernels();
    let all = Plan::concat(&[scan(Layout::Keyed(3)), scan(Layout::Loose(2))], &known).unwrap();
    assert_eq!(*all.layout(), Layout::Loose(5));
    refused(Plan::concat(&[], &known));
    let other = Plan::scan(handle_of(schema(KeyType::UInt64, &["y"]), Layout::Loose(1), &[1])).unwrap();
    refused(Plan::concat(&[scan(Layout::Loose(1)), other], &known));
}

#[test]
fn a_printed_plan_names_kernels_and_not_their_parameters() {
    let plan = map::<KeepsKeys>(&scan(Layout::Keyed(2))).unwrap();
    let text = format!("{plan:?}");
    assert!(text.contains("test.keys@1") && text.contains("Scan plans.test.0#1"), "{text}");
    assert!(!text.contains("needle"), "{text}");
}

/// One plan with every operation.
fn of_all_operations() -> Node {
    let known = kernels();
    let handle = handle_of(schema(KeyType::UInt64, &["x"]), Layout::Loose(3), &[3, 0, 4]);
    let blob = crate::computing::BlobRef::new(7, crate::computing::BlobKind::Secret, Arc::new(Nobody));
    let call = KernelCall::map::<KeepsBoth>(&Told("a needle".into())).unwrap().with_blob(blob);
    let stored = StoredTable {
        uri: crate::storage::TableUri::new("file:///tables/t").unwrap(),
        snapshot: "1".into(),
        schema: schema(KeyType::UInt64, &["x"]),
        layout: Layout::Keyed(2),
        parts: vec![],
    };
    let numbered = Plan::scan_rows(handle.clone(), Some(1..5)).unwrap();
    let mapped = Plan::map(&numbered, call, &known).unwrap();
    let side_by_side = Plan::zip(&mapped, &numbered, &known).unwrap();
    let less = map::<KeepsKeys>(&Plan::scan(handle).unwrap()).unwrap();
    let keyed = Plan::exchange(&less, Layout::Keyed(2), EqualKeys::Refuse, &known).unwrap();
    let load = Plan::load(Arc::new(stored)).unwrap();
    let joined = Plan::join(&keyed, &load, JoinKind::Inner, &known).unwrap();
    let wide = Plan::concat(&[side_by_side.clone(), side_by_side], &known).unwrap();
    let wide = Plan::exchange(&wide, Layout::Keyed(2), EqualKeys::Adjacent, &known).unwrap();
    let wide = map::<KeepsGroups>(&wide).unwrap();
    Plan::join(&joined, &wide, JoinKind::Full, &known).unwrap()
}

#[test]
fn a_plan_survives_its_encoding() {
    let plan = of_all_operations();
    let bytes = Plan::encode(&plan).unwrap();
    let nodes = Plan::nodes(&plan);
    let decoded = Plan::decode(&bytes, &kernels()).unwrap();
    assert_eq!(decoded.len(), nodes.len(), "a node that stands twice is still one");
    for (node, decoded) in nodes.iter().zip(&decoded) {
        assert_eq!(format!("{node:?}"), format!("{decoded:?}"));
        assert_eq!((node.schema(), node.layout()), (decoded.schema(), decoded.layout()));
        assert_eq!(node.has_equal_keys(), decoded.has_equal_keys());
        if let (Op::Map(_, call), Op::Map(_, other)) = (node.op(), decoded.op()) {
            assert_eq!(call, other);
        }
    }
    assert_eq!(Plan::encode(decoded.last().unwrap()).unwrap(), bytes);
}

#[test]
fn bytes_that_are_no_plan_are_refused() {
    let bytes = Plan::encode(&of_all_operations()).unwrap();
    for end in 0..bytes.len() {
        assert!(Plan::decode(&bytes[..end], &kernels()).is_err(), "cut at {end}");
    }
    for place in 0..bytes.len() {
        for flip in [1, 0x80, 0xff] {
            let mut bytes = bytes.clone();
            bytes[place] ^= flip;
            // Another plan, or an error; never a panic.
            drop(Plan::decode(&bytes, &kernels()));
        }
    }
    let unknown = Plan::decode(&bytes, &crate::ops::kernels()).unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::Unsupported);
}
