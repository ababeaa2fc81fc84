//! One tree, as a host follows it level by level.
//!
//! Rows are counted in the clear first: counts say which bins may be told apart, and which group of each column has the most rows, which is
//! not added up.

use tributary_boost::columns::{Binned, NO_NODE, node_schema};
use tributary_boost::encrypted::{AddEncrypted, AddParams, Cells, PackParams, PackSums, Sharing};
use tributary_boost::groups::{Group, Grouping};
use tributary_boost::histogram::{AddUp, AddUpParams};
use tributary_boost::sides::{Divide, DivideParams};
use tributary_boost::strays::{Strays, StraysParams};
use tributary_boost::{Bins, Left, Split};
use tributary_core::federation::FederationExt;
use tributary_core::kernel::KernelCall;
use tributary_core::{Error, ErrorKind, Result, Table};
use tributary_paillier::PublicKey;

use super::super::columns::BinnedRows;
use super::super::messages::{Choice, Chosen, ColumnGroups, Grouped, Level, Wanted};
use super::train::Training;

/// One node: its rows by bin, and how bins are grouped, by column.
#[derive(Clone, Default)]
struct Node {
    rows: Vec<u32>,
    groups: Vec<Grouping>,
    /// How many groups of the parent each group is made of; of the root, how many bins.
    of: Vec<Vec<u16>>,
}

pub(super) struct Following<'a> {
    training: &'a Training<'a>,
    at: &'a str,
    rows: BinnedRows,
    gradients: Table,
    key: &'a PublicKey,
    sharing: Sharing,
    columns: Binned,
}

/// What sums of a level are made of.
struct Planned {
    grouped: Grouped,
    cells: Vec<u32>,
    sums: u32,
}

impl<'a> Following<'a> {
    pub(super) fn new(
        training: &'a Training<'a>,
        at: &'a str,
        rows: BinnedRows,
        gradients: Table,
        key: &'a PublicKey,
        sharing: Sharing,
    ) -> Self {
        let columns = training.model.columns.binned();
        Self { training, at, rows, gradients, key, sharing, columns }
    }

    /// The nodes that this party's columns divide.
    pub(super) async fn follow(&self) -> Result<Vec<(u16, Split)>> {
        let (scope, guest) = (self.training.scope, &self.training.guest);
        let mut splits: Vec<(u16, Split)> = Vec::new();
        let mut above: Option<(Vec<Node>, Table)> = None;
        for level in 0..=self.training.max_depth {
            let at = format!("{}.level.{level}", self.at);
            let wants: Level = scope.task.federation.pull_message(&scope.slot("level", &at), guest).await?;
            wants.check(guest, above.as_ref().map(|(above, _)| above.len() as u16))?;
            if wants.wanted.is_empty() {
                splits.sort_by_key(|(number, _)| *number);
                return Ok(splits);
            }
            // No more than was booked.
            if level == self.training.max_depth || u64::from(wants.nodes) > 1 << level {
                return Err(self.wrong("more nodes than the job says"));
            }
            let exactly = scope.task.exactly(guest, self.rows.ranges.clone());
            let (slot, schema) = (scope.slot("nodes", &at), node_schema()?);
            let nodes = scope
                .task
                .federation
                .pull_table(&slot, guest, &scope.task.computing, &schema, &exactly)
                .await?;
            if let Some((_, before)) = &above {
                self.expect_below(before, &wants, &nodes).await?;
            }
            let known = self
                .level(&at, &wants, &nodes, above.as_ref().map(|(above, _)| &above[..]), &mut splits)
                .await?;
            above = Some((known, nodes));
        }
        Err(self.wrong("more levels than the job says"))
    }

    async fn level(
        &self,
        at: &str,
        wants: &Level,
        nodes: &Table,
        above: Option<&[Node]>,
        splits: &mut Vec<(u16, Split)>,
    ) -> Result<Vec<Node>> {
        let (scope, guest) = (self.training.scope, std::slice::from_ref(&self.training.guest));
        let counted = self.count(wants, nodes).await?;
        let known = self.group(wants, counted, above)?;
        let planned = self.plan(wants, &known)?;
        let sums = self.add(wants, &planned, nodes).await?;
        scope.task.federation.push_message(&scope.slot("grouped", at), guest, &planned.grouped).await?;
        scope.task.federation.push_table(&scope.slot("sums", at), guest, &sums).await?;
        let chosen: Chosen =
            scope.task.federation.pull_message(&scope.slot("chosen", at), &self.training.guest).await?;
        let mut here: Vec<(u16, Split)> = Vec::new();
        for choice in &chosen.choices {
            let taken = here.iter().any(|(node, _)| *node == choice.node)
                || splits.iter().any(|(number, _)| *number == choice.number);
            let split = self.split(choice, &known).filter(|_| !taken);
            let split = split.ok_or_else(|| {
                let text = format!("{} chose a division that is not there", self.training.guest);
                Error::new(ErrorKind::Corrupt, text)
            })?;
            here.push((choice.node, split.clone()));
            splits.push((choice.number, split));
        }
        if !here.is_empty() {
            let params = DivideParams { columns: self.columns.clone(), splits: here };
            let left = self.rows.table.zip(nodes)?.map(KernelCall::map::<Divide>(&params)?)?.keep().await?;
            scope.task.federation.push_table(&scope.slot("left", at), guest, &left).await?;
        }
        Ok(known)
    }

    /// `Corrupt` for nodes that are no parts of those above.
    async fn expect_below(&self, before: &Table, wants: &Level, nodes: &Table) -> Result<()> {
        let params = StraysParams { parents: wants.parents() };
        match Strays::total(&before.zip(nodes)?.map(KernelCall::fold::<Strays>(&params)?)?.collect().await?)?
        {
            0 => Ok(()),
            _ => Err(self.wrong("a node that has rows beyond those of its parent")),
        }
    }

    /// Rows of each wanted node, by bin.
    async fn count(&self, wants: &Level, nodes: &Table) -> Result<Vec<Vec<u32>>> {
        let params = AddUpParams { columns: self.columns.clone(), nodes: wants.nodes, with_gradients: false };
        let counted = self.rows.table.zip(nodes)?.map(KernelCall::fold::<AddUp>(&params)?)?.collect().await?;
        let counted = AddUp::read(&counted, &self.columns, usize::from(wants.nodes))?;
        let rows = |node: Vec<tributary_boost::Sum>| node.iter().map(|sum| sum.rows as u32).collect();
        Ok(counted.into_iter().map(rows).collect())
    }

    /// Which bins are told apart in each node.
    fn group(&self, wants: &Level, counted: Vec<Vec<u32>>, above: Option<&[Node]>) -> Result<Vec<Node>> {
        let mut known: Vec<Node> = counted.into_iter().map(|rows| Node { rows, ..Node::default() }).collect();
        for Wanted { node, parent: above_it, rest } in &wants.wanted {
            let own = known[usize::from(*node)].rows.clone();
            let parent = above_it.and_then(|parent| above?.get(usize::from(parent)));
            let sibling = match parent {
                // Rows of the parent that are not in the node: whether the sibling is divided further or not.
                Some(parent) => self.less(&parent.rows, &own)?,
                // What is left out of a sample, or of a fold's training, differs from what is in it by as little.
                None => {
                    self.expect_all(&own)?;
                    self.less(self.training.whole.as_deref().unwrap_or(&own), &own)?
                }
            };
            let other = wants.wanted.iter().find(|other| other.node != *node && other.parent == *above_it);
            if let Some(rest) = rest.or(other.map(|other| other.node))
                && known[usize::from(rest)].rows != sibling
            {
                return Err(self.wrong("siblings that are not all of their parent"));
            }
            let groups = self.columns.places().enumerate().map(|(column, (place, bins))| {
                let before = match parent.and_then(|parent| parent.groups.get(column)) {
                    Some(groups) => groups.clone(),
                    None => Grouping::of_bins((bins - 1) as u16),
                };
                let range = place..place + bins;
                before.coarser(&own[range.clone()], &sibling[range], self.training.least)
            });
            let (groups, of): (Vec<Grouping>, Vec<Vec<u16>>) = groups.unzip();
            for node in [Some(*node), *rest].into_iter().flatten() {
                let known = &mut known[usize::from(node)];
                (known.groups, known.of) = (groups.clone(), of.clone());
            }
        }
        Ok(known)
    }

    fn wrong(&self, what: &str) -> Error {
        Error::new(ErrorKind::Corrupt, format!("{} wants {what}", self.training.guest))
    }

    /// All rows are in the root.
    fn expect_all(&self, root: &[u32]) -> Result<()> {
        let of_column = self.columns.places().next().and_then(|(place, bins)| root.get(place..place + bins));
        let there = of_column.map(|rows| rows.iter().map(|rows| u64::from(*rows)).sum());
        match there.is_none_or(|there: u64| there == self.rows.count()) {
            true => Ok(()),
            false => Err(self.wrong("a root without all rows")),
        }
    }

    fn less(&self, parent: &[u32], node: &[u32]) -> Result<Vec<u32>> {
        let less = parent.iter().zip(node).map(|(parent, node)| parent.checked_sub(*node));
        less.collect::<Option<_>>()
            .ok_or_else(|| self.wrong("a node that has rows beyond those of its parent"))
    }

    /// Which sums there are, and which bins of which node belong to each.
    fn plan(&self, wants: &Level, known: &[Node]) -> Result<Planned> {
        let total = self.columns.total();
        let mut cells = vec![Cells::NONE; total * usize::from(wants.nodes)];
        let (mut sums, mut nodes) = (0u32, Vec::new());
        for wanted in &wants.wanted {
            let node = &known[usize::from(wanted.node)];
            let mut columns = Vec::new();
            for ((place, bins), (groups, of)) in self.columns.places().zip(node.groups.iter().zip(&node.of)) {
                let said = said(groups, of, &node.rows[place..place + bins]);
                let mut sum_of = vec![Cells::NONE; said.groups.len()];
                for (at, group) in said.groups.iter().enumerate() {
                    if at != usize::from(said.rest) && group.rows > 0 {
                        sum_of[at] = sums;
                        sums += 1;
                    }
                }
                let first = usize::from(wanted.node) * total + place;
                for (bin, group) in groups.group_of_bins((bins - 1) as u16).into_iter().enumerate() {
                    cells[first + bin] = sum_of.get(group as usize).copied().unwrap_or(Cells::NONE);
                }
                columns.push(said);
            }
            nodes.push(columns);
        }
        Ok(Planned { grouped: Grouped { nodes }, cells, sums })
    }

    /// The sums, packed and blinded.
    async fn add(&self, wants: &Level, planned: &Planned, nodes: &Table) -> Result<Table> {
        let task = self.training.scope.task;
        let (public_key, sharing) = (self.key.to_bytes(), self.sharing);
        let params = AddParams {
            columns: self.columns.clone(),
            nodes: wants.nodes,
            sums: planned.sums,
            public_key: public_key.clone(),
            sharing,
        };
        let cells = task.computing.put_blob(Cells::new(planned.cells.clone()).to_blob()).await?;
        let add = KernelCall::fold::<AddEncrypted>(&params)?.with_blob(cells);
        task.note(format!("adding up {} sums of {} nodes", planned.sums, wants.wanted.len()));
        // A partition fills packs of its own, so no more partitions than packs.
        let packs = (planned.sums as usize).div_ceil(sharing.per_pack()).max(1) as u32;
        let pack = KernelCall::fold::<PackSums>(&PackParams { public_key, sharing })?;
        self.rows
            .table
            .zip(nodes)?
            .zip(&self.gradients)?
            .map(add)?
            .gather_by_key(task.partitions().min(packs))?
            .map(pack)?
            .keep()
            .await
    }

    /// A division that the guest chose, in bins. Nothing for one that it cannot have seen.
    fn split(&self, choice: &Choice, known: &[Node]) -> Option<Split> {
        let column = choice.column as usize;
        let groups = known.get(usize::from(choice.node)).and_then(|node| node.groups.get(column))?;
        if choice.number == NO_NODE {
            return None;
        }
        let last = groups.ends.len().checked_sub(1)? as u32;
        let (left, with_last) = match &choice.left {
            Left::UpTo(group) => (Bins::UpTo(groups.last_bin(*group)?), *group == last),
            Left::In(all) => {
                let ascends = all.is_sorted_by(|a, b| a < b) && all.last().is_none_or(|group| *group <= last);
                let bins = ascends.then(|| groups.bins_of(all))?;
                (Bins::In(bins), all.contains(&last))
            }
        };
        // Missing values that are not told apart go where the last group goes.
        let missing_left = if groups.missing_apart { choice.missing_left } else { with_last };
        Some(Split { column: choice.column, left, missing_left })
    }
}

/// The groups of a column as the guest is told of them.
fn said(groups: &Grouping, of: &[u16], rows: &[u32]) -> ColumnGroups {
    let (of_groups, missing) = groups.rows(rows);
    let mut said: Vec<Group> = of.iter().zip(of_groups).map(|(of, rows)| Group { of: *of, rows }).collect();
    if groups.missing_apart {
        said.push(Group { of: 0, rows: missing });
    }
    // The first of those with the most rows.
    let most = (0..said.len()).rev().max_by_key(|at| said[*at].rows).unwrap_or_default();
    ColumnGroups { groups: said, missing_apart: groups.missing_apart, rest: most as u16 }
}
