//! The model of exactness: boosting in the clear on the joined table, written on its own. It shares with the booster the bins of columns
//! and the quantised gradients, and nothing else.

use tributary_boost::{Objective, Scale, Targets};

/// A column of the joined table.
pub struct PlainColumn {
    /// The party, and the place of the column among the party's.
    pub owner: (usize, u32),
    /// Of each row; `bins` for a missing value.
    pub bin: Vec<usize>,
    pub bins: usize,
    pub is_category: bool,
}

#[derive(Clone, Copy)]
pub struct PlainRules {
    pub rounds: usize,
    pub own_rounds: usize,
    pub rate: f64,
    pub depth: usize,
    pub l1: f64,
    pub l2: f64,
    pub min_gain: f64,
    pub min_node: usize,
    pub min_leaf: usize,
    pub min_hess: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct PlainNode {
    pub rows: usize,
    pub weight: f64,
    /// Owner, bins that go to the left among those that occur in the node, gain, and children.
    pub split: Option<PlainSplit>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct PlainSplit {
    pub owner: (usize, u32),
    /// For each bin that some row of the node has, that of missing values included: whether it goes to the left.
    pub left: Vec<(usize, bool)>,
    pub gain: f64,
    pub children: [usize; 2],
}

type Sums = (i64, i64, usize);

struct Tree<'a> {
    columns: Vec<&'a PlainColumn>,
    g: Vec<i64>,
    h: Vec<i64>,
    scale: Scale,
    rules: PlainRules,
}

impl Tree<'_> {
    fn total(&self, rows: &[usize]) -> Sums {
        rows.iter().fold((0, 0, 0), |(g, h, n), row| (g + self.g[*row], h + self.h[*row], n + 1))
    }

    fn parts(&self, (g, h, _): Sums) -> (f64, f64) {
        let g = self.scale.g(g);
        let g = if g.abs() <= self.rules.l1 { 0.0 } else { g - self.rules.l1 * g.signum() };
        (g, self.scale.h(h) + self.rules.l2)
    }

    fn weight(&self, sums: Sums) -> f64 {
        let (g, h) = self.parts(sums);
        -g / h
    }

    fn score(&self, sums: Sums) -> f64 {
        let (g, h) = self.parts(sums);
        g * g / h
    }

    /// All ways to divide a node by a column, in order: what goes to the left.
    fn ways(&self, column: &PlainColumn, rows: &[usize]) -> Vec<Vec<usize>> {
        let has_missing = rows.iter().any(|row| column.bin[*row] == column.bins);
        let mut ways = Vec::new();
        if column.is_category {
            let mut present: Vec<usize> =
                (0..=column.bins).filter(|bin| rows.iter().any(|row| column.bin[*row] == *bin)).collect();
            let weight = |bin: usize| {
                let of_bin: Vec<usize> = rows.iter().copied().filter(|row| column.bin[*row] == bin).collect();
                self.weight(self.total(&of_bin))
            };
            present.sort_by(|a, b| weight(*b).total_cmp(&weight(*a)));
            ways.extend((1..present.len()).map(|count| present[..count].to_vec()));
        } else {
            for last in 0..column.bins {
                ways.push((0..=last).collect());
                if has_missing {
                    ways.push((0..=last).chain([column.bins]).collect());
                }
            }
        }
        ways
    }

    fn best(&self, rows: &[usize]) -> Option<(usize, Vec<usize>, f64)> {
        let total = self.total(rows);
        let mut best: Option<(usize, Vec<usize>, f64)> = None;
        if rows.len() < self.rules.min_node {
            return None;
        }
        for (at, column) in self.columns.iter().enumerate() {
            for way in self.ways(column, rows) {
                let taken: Vec<usize> =
                    rows.iter().copied().filter(|row| way.contains(&column.bin[*row])).collect();
                let left = self.total(&taken);
                let right = (total.0 - left.0, total.1 - left.1, total.2 - left.2);
                let stands = |side: Sums| {
                    side.2 >= self.rules.min_leaf.max(1) && self.scale.h(side.1) >= self.rules.min_hess
                };
                if !stands(left) || !stands(right) {
                    continue;
                }
                let gain = self.score(left) + self.score(right) - self.score(total);
                if gain > self.rules.min_gain && best.as_ref().is_none_or(|(_, _, known)| gain > *known) {
                    best = Some((at, way, gain));
                }
            }
        }
        best
    }

    /// Nodes level by level, and the rows of leaves.
    fn grow(&self, all: usize) -> (Vec<PlainNode>, Vec<(usize, Vec<usize>)>) {
        let node = |rows: &[usize]| PlainNode {
            rows: rows.len(),
            weight: self.weight(self.total(rows)),
            split: None,
        };
        let everything: Vec<usize> = (0..all).collect();
        let (mut nodes, mut leaves) = (vec![node(&everything)], Vec::new());
        let mut level = vec![(0, everything)];
        for depth in 0..=self.rules.depth {
            let mut below = Vec::new();
            for (number, rows) in level {
                let found = if depth < self.rules.depth { self.best(&rows) } else { None };
                let Some((at, way, gain)) = found else {
                    leaves.push((number, rows));
                    continue;
                };
                let column = self.columns[at];
                let (left, right): (Vec<usize>, Vec<usize>) =
                    rows.iter().partition(|row| way.contains(&column.bin[**row]));
                let mut bins: Vec<usize> = rows.iter().map(|row| column.bin[*row]).collect();
                bins.sort_unstable();
                bins.dedup();
                let children = [nodes.len(), nodes.len() + 1];
                nodes.push(node(&left));
                nodes.push(node(&right));
                let left_of = bins.into_iter().map(|bin| (bin, way.contains(&bin))).collect();
                nodes[number].split = Some(PlainSplit { owner: column.owner, left: left_of, gain, children });
                below.extend([(children[0], left), (children[1], right)]);
            }
            level = below;
        }
        (nodes, leaves)
    }
}

/// Trees, round by round and output by output, and scores by output.
pub fn boost(
    columns: &[PlainColumn],
    objective: Objective,
    targets: &Targets,
    rules: PlainRules,
) -> (Vec<Vec<PlainNode>>, Vec<Vec<f64>>) {
    let rows = targets.labels.len();
    let mut scores = vec![vec![objective.first_score(targets); rows]; objective.outputs()];
    let mut trees = Vec::new();
    for round in 0..rules.rounds {
        for (output, gradients) in objective.gradients(&scores, targets).into_iter().enumerate() {
            let scale = Scale::of(&gradients);
            let quantised = scale.quantise(&gradients);
            let usable =
                columns.iter().filter(|column| column.owner.0 == 0 || round >= rules.own_rounds).collect();
            let tree = Tree { columns: usable, g: quantised.g, h: quantised.h, scale, rules };
            let (nodes, leaves) = tree.grow(rows);
            for (leaf, rows) in leaves {
                rows.iter().for_each(|row| scores[output][*row] += rules.rate * nodes[leaf].weight);
            }
            trees.push(nodes);
        }
    }
    (trees, scores)
}
