//! What a host's sums say of its columns: decrypted, and completed by what the guest knows.
//!
//! Three of four sums do not come: one group of each column is the rest of the node, the larger of two siblings is the rest of their
//! parent, and a group without rows is zero.

use tributary_boost::encrypted::{DecryptParams, DecryptSums, pack_schema, read_sums};
use tributary_boost::quantise::VALUE_BITS;
use tributary_boost::{Column, Sum};
use tributary_core::federation::FederationExt;
use tributary_core::kernel::KernelCall;
use tributary_core::{Error, ErrorKind, Layout, Party, Result};

use super::super::messages::{ColumnGroups, Grouped, ToldColumn, Wanted};
use super::train::{Training, sharing};

/// What hosts are asked about a level.
pub(super) struct Asked<'a> {
    pub at: &'a str,
    pub wanted: &'a [Wanted],
    /// Of each node.
    pub sums: Vec<Sum>,
    /// Rows of the tree.
    pub rows: u64,
}

/// One column in one node.
#[derive(Clone, Default)]
struct Known {
    column: Column,
    missing_apart: bool,
}

/// A host's columns in each node of a level.
#[derive(Default)]
pub(super) struct HostColumns {
    nodes: Vec<Vec<Known>>,
    columns: Vec<Vec<Column>>,
}

impl HostColumns {
    /// Of one node, in order.
    pub(super) fn of(&self, node: usize) -> &[Column] {
        self.columns.get(node).map_or(&[], Vec::as_slice)
    }

    fn new(nodes: Vec<Vec<Known>>) -> Self {
        let columns = nodes.iter().map(|node| node.iter().map(|known| known.column.clone()).collect());
        Self { columns: columns.collect(), nodes }
    }
}

/// Waits for a host's sums of a level. `Corrupt` names it.
pub(super) async fn pull(
    training: &Training<'_>,
    asked: &Asked<'_>,
    number: usize,
    host: &Party,
    above: Option<&HostColumns>,
) -> Result<HostColumns> {
    let (task, scope) = (training.scope.task, training.scope);
    let told = &training.told[number].columns;
    let grouped: Grouped = task.federation.pull_message(&scope.slot("grouped", asked.at), host).await?;
    let reading = Reading { host, told, asked, above };
    let count = reading.count(&grouped)?;
    let Some(key) = &training.key else { return Err(Error::bug("sums without a key")) };
    let parameters = &training.parameters;
    let sharing = sharing(parameters.gh_pack, parameters.split_info_pack, asked.rows, &key.public)?;
    let (packs, from, partitions) =
        (count.div_ceil(sharing.per_pack()) as u64, host.clone(), task.partitions());
    let layout = move |rows| match rows == packs {
        true => Ok(Layout::Loose(partitions)),
        false => {
            Err(Error::new(ErrorKind::Corrupt, format!("{from} sent {rows} packs of sums, expected {packs}")))
        }
    };
    let (slot, schema) = (scope.slot("sums", asked.at), pack_schema(&key.public, sharing)?);
    let table = task.federation.pull_table(&slot, host, &task.computing, &schema, &layout).await?;
    let params = DecryptParams { public_key: key.public.to_bytes(), sharing };
    let call = KernelCall::map::<DecryptSums>(&params)?.with_blob(key.secret.clone());
    let decrypted = table.map(call)?.collect().await?;
    let sums = read_sums(&decrypted, sharing, count).map_err(|e| e.at(format!("what {host} sent")))?;
    reading.complete(grouped, sums)
}

struct Reading<'a> {
    host: &'a Party,
    told: &'a [ToldColumn],
    asked: &'a Asked<'a>,
    above: Option<&'a HostColumns>,
}

impl Reading<'_> {
    fn wrong(&self, what: &str) -> Error {
        Error::new(ErrorKind::Corrupt, format!("{} sent {what}", self.host))
    }

    /// How many sums come.
    fn count(&self, grouped: &Grouped) -> Result<usize> {
        let whole = grouped.nodes.len() == self.asked.wanted.len()
            && grouped.nodes.iter().all(|columns| columns.len() == self.told.len());
        if !whole {
            return Err(self.wrong("groups of other nodes or columns than were asked for"));
        }
        let mut count = 0;
        for (wanted, columns) in self.asked.wanted.iter().zip(&grouped.nodes) {
            for (at, column) in columns.iter().enumerate() {
                self.check(wanted, at, column)?;
                count += coming(column).count();
            }
        }
        Ok(count)
    }

    /// `Corrupt` unless groups are made of all groups of the parent, or of all bins, and have the rows of the node.
    fn check(&self, wanted: &Wanted, at: usize, column: &ColumnGroups) -> Result<()> {
        let parent = self.parent(wanted, at);
        let expected = match parent {
            Some(parent) => parent.column.groups.len(),
            None => usize::from(self.told[at].bins),
        };
        let apart = usize::from(column.missing_apart);
        let of_values = column.groups.len().checked_sub(apart).map(|values| &column.groups[..values]);
        let of = of_values.map(|groups| groups.iter().map(|group| usize::from(group.of)).sum::<usize>());
        let rows: u64 = column.groups.iter().map(|group| u64::from(group.rows)).sum();
        let fits = of == Some(expected)
            && column.groups.iter().take(column.groups.len() - apart).all(|group| group.of > 0)
            && (column.groups.is_empty() || rows == self.asked.sums[usize::from(wanted.node)].rows)
            && (column.groups.is_empty() || usize::from(column.rest) < column.groups.len())
            && !(column.missing_apart && parent.is_some_and(|parent| !parent.missing_apart));
        if fits { Ok(()) } else { Err(self.wrong("groups that do not belong to the bins or rows of a node")) }
    }

    fn parent(&self, wanted: &Wanted, column: usize) -> Option<&Known> {
        self.above?.nodes.get(usize::from(wanted.parent?))?.get(column)
    }

    /// All columns of all nodes.
    fn complete(&self, grouped: Grouped, sums: Vec<(i64, i64)>) -> Result<HostColumns> {
        let mut sums = sums.into_iter();
        let mut nodes = vec![Vec::new(); self.asked.sums.len()];
        for (wanted, columns) in self.asked.wanted.iter().zip(grouped.nodes) {
            let total = self.asked.sums[usize::from(wanted.node)];
            for (at, groups) in columns.into_iter().enumerate() {
                let known = self.known(at, &groups, total, &mut sums)?;
                if let Some(rest) = wanted.rest {
                    let parent =
                        self.parent(wanted, at).ok_or_else(|| Error::bug("a sibling without a parent"))?;
                    let rest_total = self.asked.sums[usize::from(rest)];
                    nodes[usize::from(rest)].push(self.sibling(parent, &groups, &known, rest_total)?);
                }
                nodes[usize::from(wanted.node)].push(known);
            }
        }
        Ok(HostColumns::new(nodes))
    }

    fn known(
        &self,
        at: usize,
        groups: &ColumnGroups,
        total: Sum,
        sums: &mut impl Iterator<Item = (i64, i64)>,
    ) -> Result<Known> {
        let mut all: Vec<Sum> =
            groups.groups.iter().map(|group| Sum { rows: u64::from(group.rows), ..Sum::default() }).collect();
        for place in coming(groups) {
            let (g, h) = sums.next().ok_or_else(|| Error::bug("fewer sums than were counted"))?;
            (all[place].g, all[place].h) = (g, h);
        }
        if let Some(rest) = all.get(usize::from(groups.rest)).copied() {
            let others = all.iter().fold(Sum::default(), |sum, more| sum + *more) - rest;
            all[usize::from(groups.rest)] = total - others;
        }
        all.iter().try_for_each(|sum| self.expect_possible(*sum))?;
        let missing = if groups.missing_apart { all.pop().unwrap_or_default() } else { Sum::default() };
        let is_category = self.told[at].is_category;
        let column = Column { groups: all, missing, is_category };
        Ok(Known { column, missing_apart: groups.missing_apart })
    }

    /// The parent less a node, in the node's groups.
    fn sibling(&self, parent: &Known, groups: &ColumnGroups, node: &Known, total: Sum) -> Result<Known> {
        let mut of_parent = parent.column.groups.iter();
        let of_values = &groups.groups[..node.column.groups.len()];
        let mut joined: Vec<Sum> = of_values
            .iter()
            .map(|group| {
                of_parent.by_ref().take(usize::from(group.of)).fold(Sum::default(), |sum, more| sum + *more)
            })
            .collect();
        let mut missing = parent.column.missing;
        if !node.missing_apart
            && let Some(last) = joined.last_mut()
        {
            *last += std::mem::take(&mut missing);
        }
        let values = joined.iter().zip(&node.column.groups).map(|(parent, node)| *parent - *node);
        let column = Column {
            groups: values.collect(),
            missing: missing - node.column.missing,
            is_category: node.column.is_category,
        };
        let all = column.groups.iter().chain([&column.missing]);
        all.clone().try_for_each(|sum| self.expect_possible(*sum))?;
        let rows: u64 = all.map(|sum| sum.rows).sum();
        match column.groups.is_empty() || rows == total.rows {
            true => Ok(Known { column, missing_apart: node.missing_apart }),
            false => Err(self.wrong("groups with other rows than their node and its sibling have")),
        }
    }

    /// `Corrupt` for a sum that no such number of rows has.
    fn expect_possible(&self, sum: Sum) -> Result<()> {
        let most = (sum.rows as u128) << VALUE_BITS;
        let fits = sum.rows <= self.asked.rows
            && u128::from(sum.g.unsigned_abs()) <= most
            && sum.h >= 0
            && (sum.h as u128) <= most;
        if fits { Ok(()) } else { Err(self.wrong("sums that no rows have")) }
    }
}

/// Places of the groups whose sums come.
fn coming(column: &ColumnGroups) -> impl Iterator<Item = usize> + '_ {
    let rest = usize::from(column.rest);
    column
        .groups
        .iter()
        .enumerate()
        .filter(move |(at, group)| *at != rest && group.rows > 0)
        .map(|(at, _)| at)
}
