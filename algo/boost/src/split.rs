//! Where a node is best divided in two, from sums over the bins of each column. What Chen and Guestrin (2016, section 2.2) call the exact
//! gain, and SecureBoost (Cheng et al. 2021, algorithm 2) the guest's part.
//!
//! Ties go to the first: columns of the guest before those of hosts, lower bins before higher ones, missing values to the right before to
//! the left. So a result depends on nothing but sums, which are exact.

use std::ops::{Add, AddAssign, Sub};

use serde::{Deserialize, Serialize};

use crate::quantise::Scale;

/// Rows that were added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// Quantised first derivatives.
    pub g: i64,
    /// Quantised second derivatives.
    pub h: i64,
    /// How many rows.
    pub rows: u64,
}

impl Add for Sum {
    type Output = Self;
    fn add(self, more: Self) -> Self {
        let (g, h) = (self.g.wrapping_add(more.g), self.h.wrapping_add(more.h));
        Self { g, h, rows: self.rows.wrapping_add(more.rows) }
    }
}

impl Sub for Sum {
    type Output = Self;
    fn sub(self, less: Self) -> Self {
        let (g, h) = (self.g.wrapping_sub(less.g), self.h.wrapping_sub(less.h));
        Self { g, h, rows: self.rows.wrapping_sub(less.rows) }
    }
}

impl AddAssign for Sum {
    fn add_assign(&mut self, more: Self) {
        *self = *self + more;
    }
}

/// The sums of one column in one node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Column {
    /// Of bins, or of groups of neighbouring bins, in order.
    pub groups: Vec<Sum>,
    /// Of missing values.
    pub missing: Sum,
    /// Whether bins have no order.
    pub is_category: bool,
}

/// What divides a node, in the groups of a [`Column`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Left {
    /// The groups up to this one go to the left.
    UpTo(u32),
    /// These groups go to the left, in ascending order.
    In(Vec<u32>),
}

/// The best division of a node.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Place of the column.
    pub column: usize,
    /// What goes to the left.
    pub left: Left,
    /// Whether missing values do.
    pub missing_left: bool,
    /// How much the loss is lowered, twice.
    pub gain: f64,
    /// What is on the left; the rest is on the right.
    pub sum: Sum,
}

/// What a division must be worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// Weight of the absolute value of a leaf.
    pub l1: f64,
    /// Weight of its square.
    pub l2: f64,
    /// A division gains more than this.
    pub min_impurity_split: f64,
    /// A node of fewer rows is not divided.
    pub min_sample_split: u64,
    /// Both sides have at least so many rows.
    pub min_leaf_node: u64,
    /// And at least so large a sum of second derivatives.
    pub min_child_weight: f64,
    /// What quantised numbers stand for.
    pub scale: Scale,
}

impl Rules {
    /// The value of a leaf.
    pub fn weight(&self, sum: Sum) -> f64 {
        let weight = self.h_of(sum) + self.l2;
        if weight > 0.0 { -self.shrunk(sum) / weight } else { 0.0 }
    }

    fn g_of(&self, sum: Sum) -> f64 {
        self.scale.g(sum.g)
    }

    fn h_of(&self, sum: Sum) -> f64 {
        self.scale.h(sum.h)
    }

    fn shrunk(&self, sum: Sum) -> f64 {
        let g = self.g_of(sum);
        if g > self.l1 {
            g - self.l1
        } else if g < -self.l1 {
            g + self.l1
        } else {
            0.0
        }
    }

    fn score(&self, sum: Sum) -> f64 {
        let (g, weight) = (self.shrunk(sum), self.h_of(sum) + self.l2);
        if weight > 0.0 { g * g / weight } else { 0.0 }
    }

    fn may_stand(&self, side: Sum) -> bool {
        side.rows >= self.min_leaf_node.max(1) && self.h_of(side) >= self.min_child_weight
    }

    /// The gain of a division, if it may be made.
    fn gain(&self, total: Sum, left: Sum) -> Option<f64> {
        let right = total - left;
        if !self.may_stand(left) || !self.may_stand(right) {
            return None;
        }
        let gain = self.score(left) + self.score(right) - self.score(total);
        (gain > self.min_impurity_split).then_some(gain)
    }

    /// The best division of a node with this sum, by any of these columns.
    pub fn best<'a>(&self, total: Sum, columns: impl Iterator<Item = &'a Column>) -> Option<Found> {
        if total.rows < self.min_sample_split {
            return None;
        }
        let mut search = Search { rules: self, total, best: None };
        for (at, column) in columns.enumerate() {
            match column.is_category {
                false => search.ordered(at, column),
                true => search.categories(at, column),
            }
        }
        search.best
    }
}

struct Search<'a> {
    rules: &'a Rules,
    total: Sum,
    best: Option<Found>,
}

impl Search<'_> {
    fn try_left(&mut self, column: usize, sum: Sum, missing_left: bool, left: impl FnOnce() -> Left) {
        let Some(gain) = self.rules.gain(self.total, sum) else { return };
        if self.best.as_ref().is_none_or(|best| gain > best.gain) {
            self.best = Some(Found { column, left: left(), missing_left, gain, sum });
        }
    }

    fn ordered(&mut self, at: usize, column: &Column) {
        let mut sum = Sum::default();
        for (group, more) in (0..).zip(&column.groups) {
            sum += *more;
            let left = || Left::UpTo(group);
            if column.missing.rows == 0 {
                self.try_left(at, sum, self.is_larger(sum), left);
            } else {
                self.try_left(at, sum, false, left);
                self.try_left(at, sum + column.missing, true, left);
            }
        }
    }

    /// Categories by the values that they would have as leaves: some division along that order is the best of all (Fisher 1958). Missing
    /// values are one more category.
    fn categories(&mut self, at: usize, column: &Column) {
        let present = (0..).zip(&column.groups).filter(|(_, sum)| sum.rows > 0);
        let mut order: Vec<(Option<u32>, Sum)> = present.map(|(group, sum)| (Some(group), *sum)).collect();
        if column.missing.rows > 0 {
            order.push((None, column.missing));
        }
        order.sort_by(|(_, a), (_, b)| self.rules.weight(*b).total_cmp(&self.rules.weight(*a)));
        let mut sum = Sum::default();
        for (last, (_, more)) in order.iter().enumerate() {
            sum += *more;
            let missing_left = match column.missing.rows {
                0 => self.is_larger(sum),
                _ => order[..=last].iter().any(|(group, _)| group.is_none()),
            };
            self.try_left(at, sum, missing_left, || {
                let mut groups: Vec<u32> = order[..=last].iter().filter_map(|(group, _)| *group).collect();
                groups.sort_unstable();
                Left::In(groups)
            });
        }
    }

    /// Where values go that are missing later, and were never so before: to the larger side.
    fn is_larger(&self, left: Sum) -> bool {
        2 * left.rows >= self.total.rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::Gradients;

    fn rules() -> Rules {
        let scale = Scale::of(&Gradients { g: vec![1.0], h: vec![1.0] });
        let (min_impurity_split, min_child_weight) = (0.0, 0.0);
        let (min_sample_split, min_leaf_node) = (2, 1);
        Rules {
            l1: 0.0,
            l2: 1.0,
            min_impurity_split,
            min_sample_split,
            min_leaf_node,
            min_child_weight,
            scale,
        }
    }

    /// Rows whose first derivatives are so many, each with a second derivative of 1.
    fn sum(g: i64, rows: u64) -> Sum {
        const ONE: i64 = 1 << 29;
        Sum { g: g * ONE, h: rows as i64 * ONE, rows }
    }

    fn best(rules: Rules, columns: &[Column]) -> Option<Found> {
        let total = columns[0].groups.iter().fold(columns[0].missing, |sum, more| sum + *more);
        rules.best(total, columns.iter())
    }

    fn column(groups: &[(i64, u64)], missing: (i64, u64)) -> Column {
        let groups = groups.iter().map(|(g, rows)| sum(*g, *rows)).collect();
        Column { groups, missing: sum(missing.0, missing.1), is_category: false }
    }

    #[test]
    fn the_first_of_the_best_divisions_is_taken() {
        let found = best(rules(), &[column(&[(3, 3), (0, 0), (-3, 3)], (0, 0))]).unwrap();
        assert_eq!((found.column, found.left, found.sum), (0, Left::UpTo(0), sum(3, 3)));
        assert_eq!(found.gain, 9.0 / 4.0 + 9.0 / 4.0);
        let same = column(&[(3, 3), (-3, 3)], (0, 0));
        assert_eq!(best(rules(), &[same.clone(), same]).unwrap().column, 0);
    }

    #[test]
    fn missing_values_go_where_they_fit() {
        let found = best(rules(), &[column(&[(3, 3), (-3, 3)], (2, 2))]).unwrap();
        assert!(found.missing_left && found.left == Left::UpTo(0));
        let found = best(rules(), &[column(&[(1, 3), (1, 3)], (-4, 4))]).unwrap();
        assert!(!found.missing_left, "missing values alone on one side");
        assert_eq!(found.left, Left::UpTo(1));
    }

    #[test]
    fn categories_are_divided_without_an_order() {
        let mut categories = column(&[(-2, 2), (2, 2), (-2, 2), (0, 0), (2, 2)], (2, 1));
        categories.is_category = true;
        let found = best(rules(), &[categories]).unwrap();
        assert_eq!((found.left, found.missing_left), (Left::In(vec![0, 2]), false));
    }

    #[test]
    fn each_minimum_refuses_a_division() {
        let columns = [column(&[(3, 3), (-1, 1)], (0, 0))];
        assert!(best(rules(), &columns).is_some());
        for refusing in [
            Rules { min_sample_split: 5, ..rules() },
            Rules { min_leaf_node: 2, ..rules() },
            Rules { min_child_weight: 1.5, ..rules() },
            Rules { min_impurity_split: 5.0, ..rules() },
            Rules { l1: 3.0, ..rules() },
        ] {
            assert_eq!(best(refusing, &columns), None, "{refusing:?}");
        }
        assert_eq!(Rules { l1: 1.0, ..rules() }.weight(sum(3, 3)), -0.5);
        assert_eq!(Rules { l2: 3.0, ..rules() }.weight(sum(-3, 3)), 0.5);
    }
}
