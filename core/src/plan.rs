//! Plans: what is to be computed, as seven nodes. An engine runs them as given.
//!
//! A [`Plan`] can only be made through the constructors here, which check it and work out schema and layout, so an engine
//! may rely on both. Nodes are shared by `Arc`: a node that occurs twice in a plan is one piece of work.

mod travel;

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow_schema::DataType;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::handle::Handle;
use crate::kernel::{Keeps, KernelCall, Kernels, Repeats};
use crate::layout::{Layout, RowRanges};
use crate::schema::{Field, KeyType, TableSchema};
use crate::storage::StoredTable;

/// A shared plan node.
pub type Node = Arc<Plan>;

/// An operation with the schema and layout of its result.
pub struct Plan {
    op: Op,
    schema: TableSchema,
    layout: Layout,
    equal_keys: bool,
}

/// The seven operations.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Op {
    /// Rows held by this session, all or a range of row numbers. Only the parts with those rows are read.
    Scan(Arc<Handle>, Option<Range<u64>>),
    /// A stored table, some of its columns, as it was when the plan was made.
    Load(Arc<StoredTable>),
    /// A kernel over each partition.
    Map(Node, KernelCall),
    /// The only shuffle: rows move to the layout of this node.
    Exchange(Node, EqualKeys),
    /// A merge of two tables `Keyed` in the same number of partitions.
    Join(Node, Node, JoinKind),
    /// Two tables with equal `Rows`, side by side.
    Zip(Node, Node),
    /// One table after the other: partitions of the first, then of the second, and so on.
    Concat(Vec<Node>),
}

/// What an exchange does with rows of equal keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EqualKeys {
    /// An error that names the place of both.
    Refuse,
    /// They are next to each other, in source order (partition, then position), until a map that keeps
    /// [`Keeps::Groups`] makes one row of them. Such rows cannot be joined.
    Adjacent,
}

/// Which rows a join gives. Always in the order of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum JoinKind {
    /// Keys on both sides: key, left columns, right columns.
    Inner,
    /// Left rows whose key is on the right.
    Semi,
    /// Left rows whose key is not on the right.
    Anti,
    /// Keys on either side: key, left columns, right columns (all nullable), and [`PRESENCE`].
    Full,
}

/// Last column of a `Full` join, `UInt8`: 1 the left side has the key, 2 the right side, 3 both.
pub const PRESENCE: &str = ":presence";

impl Plan {
    /// The operation.
    pub fn op(&self) -> &Op {
        &self.op
    }

    /// Columns of the result.
    pub fn schema(&self) -> &TableSchema {
        &self.schema
    }

    /// Layout of the result.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Number of the first row of a partition, when the result is laid out in `Rows`.
    pub fn first_row(&self, partition: u32) -> Option<u64> {
        match &self.layout {
            Layout::Rows(ranges) => Some(ranges.range(partition).start),
            _ => None,
        }
    }

    fn node(op: Op, schema: TableSchema, layout: Layout, equal_keys: bool) -> Result<Node> {
        layout.check()?;
        Ok(Arc::new(Self { op, schema, layout, equal_keys }))
    }

    /// All rows held under a handle.
    pub fn scan(handle: Arc<Handle>) -> Result<Node> {
        let (schema, layout) = (handle.schema().clone(), handle.layout().clone());
        Self::node(Op::Scan(handle, None), schema, layout, false)
    }

    /// Rows held under a handle, numbered in partition order, those within `rows`. Lays them out in `Rows`, whatever the
    /// handle's own layout: a held table knows how many rows each part has.
    pub fn scan_rows(handle: Arc<Handle>, rows: Option<Range<u64>>) -> Result<Node> {
        let all = match handle.layout() {
            Layout::Rows(ranges) => ranges.clone(),
            _ => RowRanges::from_counts(handle.parts().iter().map(|p| p.rows)),
        };
        let ranges = match &rows {
            Some(wanted)
                if wanted.start > wanted.end
                    || wanted.start < all.all().start
                    || wanted.end > all.all().end =>
            {
                return Err(Error::invalid(format!("rows {wanted:?} of a table that has {:?}", all.all())));
            }
            Some(wanted) => all.slice(wanted),
            None => all,
        };
        let schema = handle.schema().clone();
        Self::node(Op::Scan(handle, rows), schema, Layout::Rows(ranges), false)
    }

    /// A stored table.
    pub fn load(table: Arc<StoredTable>) -> Result<Node> {
        let (schema, layout) = (table.schema.clone(), table.layout.clone());
        Self::node(Op::Load(table), schema, layout, false)
    }

    /// A kernel over each partition. `Unsupported` if it is not in `kernels`; `InvalidInput` if it does not take the
    /// input's columns, or if the input draws fresh randomness (keep that first).
    pub fn map(input: &Node, call: KernelCall, kernels: &Kernels) -> Result<Node> {
        let kernel = kernels.get(&call)?;
        input.refuse_fresh(kernels, "map")?;
        let schema =
            kernel.output(&call, &input.schema).map_err(|e| e.at(format!("kernel {}", call.name())))?;
        let keeps = kernel.keeps();
        if matches!(keeps, Keeps::Keys | Keeps::Both | Keeps::Groups) && schema.key() != input.schema.key() {
            return Err(Error::bug(format!("kernel {} keeps keys, yet changes their column", call.name())));
        }
        let partitions = input.layout.partitions();
        let layout = match (keeps, &input.layout) {
            (Keeps::Both, layout) => layout.clone(),
            (Keeps::Keys | Keeps::Groups, Layout::Keyed(n)) => Layout::Keyed(*n),
            (Keeps::Rows, Layout::Rows(ranges)) => Layout::Rows(ranges.clone()),
            _ => Layout::Loose(partitions),
        };
        let equal_keys = input.equal_keys && keeps != Keeps::Groups;
        Self::node(Op::Map(input.clone(), call), schema, layout, equal_keys)
    }

    /// Moves rows to another layout.
    ///
    /// `Loose(n)`: the same rows in the same total order, cut into n nearly equal parts. `Keyed(n)`: as the layout says.
    /// `Rows`: the key is the row number (`UInt64`), every number in the ranges occurs once, and rows are in that order.
    pub fn exchange(input: &Node, to: Layout, equal: EqualKeys, kernels: &Kernels) -> Result<Node> {
        input.refuse_fresh(kernels, "exchange")?;
        let schema = input.schema.clone();
        match &to {
            Layout::Loose(_) => {}
            Layout::Keyed(_) => drop(schema.expect_key("an exchange by key")?),
            Layout::Rows(_) if schema.expect_key("an exchange to rows")?.key_type != KeyType::UInt64 => {
                return Err(Error::invalid("an exchange to rows needs row numbers (UInt64) as keys"));
            }
            Layout::Rows(_) if equal == EqualKeys::Adjacent => {
                return Err(Error::invalid("an exchange to rows cannot take a row number twice"));
            }
            Layout::Rows(_) => {}
        }
        Self::node(Op::Exchange(input.clone(), equal), schema, to, equal == EqualKeys::Adjacent)
    }

    /// Joins by key. `InvalidInput` unless both are `Keyed` in the same number of partitions with keys of one type, both
    /// unique.
    pub fn join(left: &Node, right: &Node, kind: JoinKind, kernels: &Kernels) -> Result<Node> {
        for side in [left, right] {
            side.refuse_fresh(kernels, "join")?;
            side.refuse_adjacent("join")?;
        }
        match (&left.layout, &right.layout) {
            (Layout::Keyed(a), Layout::Keyed(b)) if a == b => {}
            (a, b) => {
                return Err(Error::invalid(format!("a join of {a:?} with {b:?}, expected equal Keyed")));
            }
        }
        let (a, b) = (left.schema.expect_key("a join")?, right.schema.expect_key("a join")?);
        if a.key_type != b.key_type {
            return Err(Error::invalid(format!(
                "a join of keys {:?} ({}) and {:?} ({}), expected one type",
                a.key_type, a.name, b.key_type, b.name
            )));
        }
        let schema = match kind {
            JoinKind::Semi | JoinKind::Anti => left.schema.clone(),
            JoinKind::Inner => wide(&left.schema, &right.schema, |f| f.clone(), &[])?,
            JoinKind::Full => {
                let presence = Field::new(PRESENCE, DataType::UInt8);
                wide(&left.schema, &right.schema, |f| f.clone().nullable(), &[presence])?
            }
        };
        let layout = left.layout.clone();
        Self::node(Op::Join(left.clone(), right.clone(), kind), schema, layout, false)
    }

    /// Puts equal rows side by side; the result has the left's key.
    pub fn zip(left: &Node, right: &Node, kernels: &Kernels) -> Result<Node> {
        for side in [left, right] {
            side.refuse_fresh(kernels, "zip")?;
        }
        match (&left.layout, &right.layout) {
            (Layout::Rows(a), Layout::Rows(b)) if a == b => {}
            (a, b) => {
                return Err(Error::invalid(format!("a zip of {a:?} with {b:?}, expected equal Rows")));
            }
        }
        let schema = wide(&left.schema, &right.schema, |f| f.clone(), &[])?;
        Self::node(Op::Zip(left.clone(), right.clone()), schema, left.layout.clone(), false)
    }

    /// Tables of one schema one after another, `Loose`.
    pub fn concat(inputs: &[Node], kernels: &Kernels) -> Result<Node> {
        let first = inputs.first().ok_or_else(|| Error::invalid("concat of no tables"))?;
        let mut partitions = 0u32;
        for input in inputs {
            input.refuse_fresh(kernels, "concat")?;
            if input.schema != first.schema {
                return Err(Error::invalid(format!(
                    "concat of {:?} and {:?}, expected equal columns",
                    first.schema, input.schema
                )));
            }
            partitions = partitions.saturating_add(input.layout.partitions());
        }
        Self::node(Op::Concat(inputs.to_vec()), first.schema.clone(), Layout::Loose(partitions), false)
    }

    /// Whether the rows differ from run to run, so that they must be kept first.
    pub fn repeats(&self, kernels: &Kernels) -> Repeats {
        match &self.op {
            Op::Map(_, call) => kernels.get(call).map_or(Repeats::Same, |k| k.repeats()),
            _ => Repeats::Same,
        }
    }

    /// Whether equal keys may be next to each other although the layout says `Keyed`.
    pub fn has_equal_keys(&self) -> bool {
        self.equal_keys && matches!(self.layout, Layout::Keyed(_))
    }

    fn refuse_adjacent(&self, operation: &str) -> Result<()> {
        if self.has_equal_keys() {
            return Err(Error::invalid(format!(
                "{operation} of rows with equal keys; combine them by key first"
            )));
        }
        Ok(())
    }

    /// Where the rows are said to be once they are held or stored, and the plan is no longer known: `Keyed` promises that
    /// no key occurs twice.
    pub fn kept_layout(&self) -> Layout {
        if self.has_equal_keys() { Layout::Loose(self.layout.partitions()) } else { self.layout.clone() }
    }

    /// `InvalidInput` if the rows draw fresh randomness: they may be seen only once they are kept, as a second run would give
    /// others.
    pub fn refuse_fresh(&self, kernels: &Kernels, operation: &str) -> Result<()> {
        if self.repeats(kernels) == Repeats::Fresh {
            return Err(Error::invalid(format!(
                "{operation} after a kernel with fresh randomness; keep its result first"
            )));
        }
        Ok(())
    }

    /// The nodes that this one reads.
    pub fn inputs(&self) -> Vec<&Node> {
        match &self.op {
            Op::Scan(..) | Op::Load(_) => vec![],
            Op::Map(input, _) | Op::Exchange(input, _) => vec![input],
            Op::Join(a, b, _) | Op::Zip(a, b) => vec![a, b],
            Op::Concat(inputs) => inputs.iter().collect(),
        }
    }

    /// All nodes of a plan, each once, inputs first.
    pub fn nodes(root: &Node) -> Vec<Node> {
        fn visit(node: &Node, seen: &mut HashSet<*const Plan>, found: &mut Vec<Node>) {
            if seen.insert(Arc::as_ptr(node)) {
                node.inputs().into_iter().for_each(|input| visit(input, seen, found));
                found.push(node.clone());
            }
        }
        let mut found = Vec::new();
        visit(root, &mut HashSet::new(), &mut found);
        found
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        let indent = depth * 2;
        match &self.op {
            Op::Scan(handle, None) => writeln!(f, "{:indent$}Scan {handle:?}", "")?,
            Op::Scan(handle, Some(rows)) => writeln!(f, "{:indent$}Scan {handle:?} rows {rows:?}", "")?,
            Op::Load(table) => writeln!(f, "{:indent$}Load {}", "", table.uri)?,
            Op::Map(_, call) => writeln!(f, "{:indent$}Map {call:?} -> {:?}", "", self.layout)?,
            Op::Exchange(_, equal) => writeln!(f, "{:indent$}Exchange {:?} {equal:?}", "", self.layout)?,
            Op::Join(_, _, kind) => writeln!(f, "{:indent$}Join {kind:?} {:?}", "", self.layout)?,
            Op::Zip(..) => writeln!(f, "{:indent$}Zip", "")?,
            Op::Concat(inputs) => writeln!(f, "{:indent$}Concat of {}", "", inputs.len())?,
        }
        self.inputs().into_iter().try_for_each(|input| input.write(f, depth + 1))
    }
}

/// Key of the left, columns of both. A right column whose name is taken gets the suffix `:right`, again until it is free.
fn wide(
    left: &TableSchema,
    right: &TableSchema,
    change: impl Fn(&Field) -> Field,
    extra: &[Field],
) -> Result<TableSchema> {
    let mut fields: Vec<Field> = left.fields().iter().map(&change).collect();
    for field in right.fields() {
        let mut field = change(field);
        let is_key = |name: &str| left.key().is_some_and(|key| key.name == name);
        while is_key(&field.name) || fields.iter().any(|taken| taken.name == field.name) {
            field.name.push_str(":right");
        }
        fields.push(field);
    }
    fields.extend_from_slice(extra);
    left.with_fields(fields)
}

/// The plan as an indented tree, without any kernel parameter.
impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}

#[cfg(test)]
mod tests;
