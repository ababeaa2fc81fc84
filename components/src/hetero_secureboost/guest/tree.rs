//! One tree, level by level: all nodes of a level at once.

use std::collections::BTreeMap;

use tributary_boost::columns::NO_NODE;
use tributary_boost::histogram::{AddUp, AddUpParams};
use tributary_boost::sides::{Divide, DivideParams, left_schema};
use tributary_boost::{Bins, Column, Fate, Found, Left, Quantised, Rules, Scale, Split, Sum, Tree, TreeNode};
use tributary_core::federation::FederationExt;
use tributary_core::kernel::KernelCall;
use tributary_core::{Error, ErrorKind, Party, Result, Table};

use super::super::columns::BinnedRows;
use super::super::messages::{Choice, Chosen, Level, Wanted};
use super::super::rows;
use super::sums::{self, Asked, HostColumns};
use super::train::Training;

/// A node that may be divided.
struct Active {
    /// Its number in the tree.
    number: u16,
    /// Of its rows.
    sum: Sum,
    /// Its parent, by its place in the level above.
    parent: Option<u16>,
}

/// A tree in the making.
pub(super) struct Growing<'a> {
    training: &'a Training<'a>,
    at: &'a str,
    rows: &'a BinnedRows,
    quantised: Quantised,
    gradients: Table,
    rules: Rules,
    hosts: &'a [Party],
    tree: Tree,
    /// The node of each row.
    node: Vec<u16>,
}

/// What a level found.
struct Division {
    /// Place in the level, and number in the tree.
    place: u16,
    number: u16,
    /// The host whose column it is; none for the guest.
    host: Option<u16>,
    /// Place of the column among the party's.
    column: u32,
    found: Found,
}

impl<'a> Growing<'a> {
    pub(super) async fn new(
        training: &'a Training<'a>,
        at: &'a str,
        rows: &'a BinnedRows,
        quantised: Quantised,
        scale: Scale,
        with_hosts: bool,
    ) -> Result<Self> {
        let gradients = rows::gradients(training.scope.task, &quantised, &rows.ranges).await?;
        let hosts = if with_hosts { &training.hosts[..] } else { &[] };
        let (rules, node) = (training.parameters.rules(scale), vec![0; quantised.g.len()]);
        Ok(Self { training, at, rows, quantised, gradients, rules, hosts, tree: Tree::default(), node })
    }

    /// The tree, and the leaf of each row.
    pub(super) async fn grow(mut self) -> Result<(Tree, Vec<u16>)> {
        let total = (0..self.node.len()).fold(Sum::default(), |sum, row| sum + self.of_row(row));
        self.add_node(None, total);
        let mut active = self.may_be_divided(vec![Active { number: 0, sum: total, parent: None }]);
        let (mut above, mut level) = (Vec::new(), 0);
        while level < self.training.parameters.max_depth && !active.is_empty() {
            (active, above) = self.level(&format!("{}.level.{level}", self.at), active, above).await?;
            level += 1;
        }
        let done = Level { wanted: Vec::new(), nodes: 0 };
        let at = format!("{}.level.{level}", self.at);
        self.training.scope.tell("level", &at, self.hosts, &done).await?;
        Ok((self.tree, self.node))
    }

    /// Divides the nodes of a level. Gives those below, and what is known of hosts' columns in this level.
    async fn level(
        &mut self,
        at: &str,
        active: Vec<Active>,
        above: Vec<HostColumns>,
    ) -> Result<(Vec<Active>, Vec<HostColumns>)> {
        let task = self.training.scope.task;
        let nodes = rows::nodes(task, self.places(&active), &self.rows.ranges).await?;
        let wanted = self.wanted(&active);
        if !self.hosts.is_empty() {
            let level = Level { wanted: wanted.clone(), nodes: active.len() as u16 };
            self.training.scope.tell("level", at, self.hosts, &level).await?;
            task.federation.push_table(&self.training.scope.slot("nodes", at), self.hosts, &nodes).await?;
        }
        let own = self.own_columns(&nodes, active.len()).await?;
        let asked = Asked {
            at,
            wanted: &wanted,
            sums: active.iter().map(|active| active.sum).collect(),
            rows: self.node.len() as u64,
        };
        let mut of_hosts = Vec::new();
        for (host, party) in self.hosts.iter().enumerate() {
            of_hosts.push(sums::pull(self.training, &asked, host, party, above.get(host)).await?);
        }
        let divisions = self.best(&active, &own, &of_hosts);
        self.send_choices(at, &divisions).await?;
        let left = self.left(at, &nodes, &divisions).await?;
        Ok((self.divide(&divisions, &left)?, of_hosts))
    }

    fn of_row(&self, row: usize) -> Sum {
        Sum { g: self.quantised.g[row], h: self.quantised.h[row], rows: 1 }
    }

    fn add_node(&mut self, parent: Option<u16>, sum: Sum) -> u16 {
        let (scale, weight) = (self.rules.scale, self.rules.weight(sum));
        let (grad, hess) = (scale.g(sum.g), scale.h(sum.h));
        let node = TreeNode { parent, fate: Fate::Leaf, rows: sum.rows, grad, hess, weight, gain: 0.0 };
        self.tree.nodes.push(node);
        (self.tree.nodes.len() - 1) as u16
    }

    fn may_be_divided(&self, mut nodes: Vec<Active>) -> Vec<Active> {
        nodes.retain(|node| node.sum.rows >= self.rules.min_sample_split.max(2));
        nodes
    }

    /// The place in the level of each row's node.
    fn places(&self, active: &[Active]) -> Vec<u16> {
        let mut place_of = vec![NO_NODE; self.tree.nodes.len()];
        for (place, active) in (0..).zip(active) {
            place_of[usize::from(active.number)] = place;
        }
        self.node.iter().map(|node| place_of[usize::from(*node)]).collect()
    }

    /// What hosts add up: of two siblings the one with fewer rows, if they are to subtract.
    fn wanted(&self, active: &[Active]) -> Vec<Wanted> {
        let mut wanted = Vec::new();
        let siblings =
            active.chunk_by(|a, b| a.parent.is_some() && a.parent == b.parent).scan(0u16, |place, nodes| {
                let first = *place;
                *place += nodes.len() as u16;
                Some((first, nodes))
            });
        for (first, nodes) in siblings {
            match nodes {
                [a, b] if self.training.parameters.hist_sub => {
                    let (node, rest) =
                        if a.sum.rows <= b.sum.rows { (first, first + 1) } else { (first + 1, first) };
                    wanted.push(Wanted { node, parent: a.parent, rest: Some(rest) });
                }
                _ => wanted.extend((first..).zip(nodes).map(|(node, active)| Wanted {
                    node,
                    parent: active.parent,
                    rest: None,
                })),
            }
        }
        wanted.sort_by_key(|wanted| wanted.node);
        wanted
    }

    /// Sums of the guest's own columns, for each node.
    async fn own_columns(&self, nodes: &Table, count: usize) -> Result<Vec<Vec<Column>>> {
        let own = &self.training.model.columns;
        let columns = own.binned();
        let params = AddUpParams { columns: columns.clone(), nodes: count as u16, with_gradients: true };
        let beside = self.rows.table.zip(nodes)?.zip(&self.gradients)?;
        let added = beside.map(KernelCall::fold::<AddUp>(&params)?)?.collect().await?;
        let column = |sums: &[Sum], (place, bins): (usize, usize), is_category: bool| {
            let (groups, missing) = sums[place..place + bins].split_at(bins - 1);
            Column { groups: groups.to_vec(), missing: missing[0], is_category }
        };
        let of_node = |sums: Vec<Sum>| {
            let places = columns.places().zip(&own.0);
            places.map(|(place, own)| column(&sums, place, own.categories.is_some())).collect()
        };
        Ok(AddUp::read(&added, &columns, count)?.into_iter().map(of_node).collect())
    }

    /// The best division of each node that has one. Columns of the guest come first, then those of hosts in order.
    fn best(&self, active: &[Active], own: &[Vec<Column>], of_hosts: &[HostColumns]) -> Vec<Division> {
        let divide = |(place, active): (usize, &Active)| {
            let columns = own[place].iter().chain(of_hosts.iter().flat_map(|host| host.of(place)));
            let found = self.rules.best(active.sum, columns)?;
            let (mut column, mut host) = (found.column, None);
            let counts =
                std::iter::once(own[place].len()).chain(of_hosts.iter().map(|host| host.of(place).len()));
            for (owner, count) in counts.enumerate() {
                if column < count {
                    host = owner.checked_sub(1).map(|host| host as u16);
                    break;
                }
                column -= count;
            }
            Some(Division { place: place as u16, number: active.number, host, column: column as u32, found })
        };
        active.iter().enumerate().filter_map(divide).collect()
    }

    async fn send_choices(&self, at: &str, divisions: &[Division]) -> Result<()> {
        for (host, party) in (0..).zip(self.hosts) {
            let of_host = divisions.iter().filter(|division| division.host == Some(host));
            let choice = |division: &Division| Choice {
                node: division.place,
                number: division.number,
                column: division.column,
                left: division.found.left.clone(),
                missing_left: division.found.missing_left,
            };
            let chosen = Chosen { choices: of_host.map(choice).collect() };
            let slot = self.training.scope.slot("chosen", at);
            self.training
                .scope
                .task
                .federation
                .push_message(&slot, std::slice::from_ref(party), &chosen)
                .await?;
        }
        Ok(())
    }

    /// Which rows go to the left, by party: of the guest's own divisions, then of each host's.
    async fn left(
        &self,
        at: &str,
        nodes: &Table,
        divisions: &[Division],
    ) -> Result<BTreeMap<Option<u16>, Vec<bool>>> {
        let task = self.training.scope.task;
        let mut left = BTreeMap::new();
        let own = divisions.iter().filter(|division| division.host.is_none());
        let splits: Vec<(u16, Split)> = own.map(|division| (division.place, split(division))).collect();
        if !splits.is_empty() {
            let params = DivideParams { columns: self.training.model.columns.binned(), splits };
            let divided = self.rows.table.zip(nodes)?.map(KernelCall::map::<Divide>(&params)?)?;
            left.insert(None, rows::bits(&divided).await?);
        }
        for (host, party) in (0..).zip(self.hosts) {
            if divisions.iter().any(|division| division.host == Some(host)) {
                let slot = self.training.scope.slot("left", at);
                let exactly = task.exactly(party, self.rows.ranges.clone());
                let schema = left_schema()?;
                let table =
                    task.federation.pull_table(&slot, party, &task.computing, &schema, &exactly).await?;
                left.insert(Some(host), rows::bits(&table).await?);
            }
        }
        Ok(left)
    }

    /// Makes the nodes below, and moves rows there. `Corrupt` if rows of a host do not go where its sums said.
    fn divide(
        &mut self,
        divisions: &[Division],
        left: &BTreeMap<Option<u16>, Vec<bool>>,
    ) -> Result<Vec<Active>> {
        let mut below: Vec<(Active, Active)> = Vec::new();
        let mut division_of = vec![None; self.tree.nodes.len()];
        for (at, division) in divisions.iter().enumerate() {
            division_of[usize::from(division.number)] = Some(at);
            let parent = Some(division.number);
            let children = [self.add_node(parent, Sum::default()), self.add_node(parent, Sum::default())];
            let node = &mut self.tree.nodes[usize::from(division.number)];
            node.gain = division.found.gain;
            node.fate = match division.host {
                None => Fate::Own { split: split(division), children },
                Some(host) => Fate::Host { host, column: division.column, children },
            };
            let [one, other] =
                children.map(|number| Active { number, sum: Sum::default(), parent: Some(division.place) });
            below.push((one, other));
        }
        for row in 0..self.node.len() {
            let Some(at) = division_of[usize::from(self.node[row])] else { continue };
            let is_left =
                left.get(&divisions[at].host).and_then(|bits| bits.get(row)).copied().unwrap_or_default();
            let to = if is_left { &mut below[at].0 } else { &mut below[at].1 };
            self.node[row] = to.number;
            to.sum += Sum { g: self.quantised.g[row], h: self.quantised.h[row], rows: 1 };
        }
        for (division, (one, other)) in divisions.iter().zip(&below) {
            if one.sum != division.found.sum {
                return Err(match division.host.and_then(|host| self.hosts.get(usize::from(host))) {
                    None => Error::bug("rows do not go where sums said"),
                    Some(host) => {
                        let text = format!("{host} divides a node otherwise than its sums said");
                        Error::new(ErrorKind::Corrupt, text)
                    }
                });
            }
            for active in [one, other] {
                let known = &mut self.tree.nodes[usize::from(active.number)];
                (known.rows, known.weight) = (active.sum.rows, self.rules.weight(active.sum));
                (known.grad, known.hess) =
                    (self.rules.scale.g(active.sum.g), self.rules.scale.h(active.sum.h));
            }
        }
        Ok(self.may_be_divided(below.into_iter().flat_map(|(one, other)| [one, other]).collect()))
    }
}

/// A division by a column of the guest, whose groups are bins.
fn split(division: &Division) -> Split {
    let left = match &division.found.left {
        Left::UpTo(bin) => Bins::UpTo(*bin as u16),
        Left::In(bins) => Bins::In(bins.iter().map(|bin| *bin as u16).collect()),
    };
    Split { column: division.column, left, missing_left: division.found.missing_left }
}
