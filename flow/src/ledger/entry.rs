//! What one partner got about one table, and what a booking adds to it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tributary_component::release::{Charge, Item};
use tributary_core::PartyId;

/// What one partner got about one table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Released {
    /// The table.
    pub table: String,
    /// The partner's id.
    pub partner: PartyId,
    /// Ids that were looked up in it.
    #[serde(default)]
    pub ids: u64,
    /// Numbers about its columns.
    #[serde(default)]
    pub columns: BTreeMap<String, OfColumn>,
    /// Digests of what was stored under this name.
    #[serde(default)]
    pub(super) contents: Vec<String>,
}

/// What one partner got about one column.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OfColumn {
    /// How many numbers.
    pub numbers: u64,
    /// How many sums of gradients.
    #[serde(default)]
    pub sums: u64,
    /// Where the column was cut for both, ascending.
    #[serde(default)]
    pub cuts: Vec<f64>,
}

impl Released {
    pub(super) fn new(table: &str, partner: &PartyId) -> Self {
        let (table, partner) = (table.to_owned(), partner.clone());
        Self { table, partner, ids: 0, columns: BTreeMap::new(), contents: Vec::new() }
    }

    pub(super) fn used(&self, item: &Item) -> u64 {
        match item {
            Item::Ids => self.ids,
            Item::Column(name) => self.columns.get(name).map_or(0, |column| column.numbers),
            Item::Sums(name) => self.columns.get(name).map_or(0, |column| column.sums),
        }
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.ids == 0 && self.columns.is_empty() && self.contents.is_empty()
    }

    pub(super) fn charge(&mut self, charge: &Charge) {
        match &charge.item {
            Item::Ids => self.ids = self.ids.saturating_add(charge.amount),
            Item::Column(name) => {
                let column = self.columns.entry(name.clone()).or_default();
                column.numbers = column.numbers.saturating_add(charge.amount);
                add_cuts(&mut column.cuts, &charge.cuts);
            }
            Item::Sums(name) => {
                let column = self.columns.entry(name.clone()).or_default();
                column.sums = column.sums.saturating_add(charge.amount);
            }
        }
    }

    pub(super) fn add(&mut self, more: Self) {
        self.ids = self.ids.saturating_add(more.ids);
        for (name, more) in more.columns {
            let column = self.columns.entry(name).or_default();
            column.numbers = column.numbers.saturating_add(more.numbers);
            column.sums = column.sums.saturating_add(more.sums);
            add_cuts(&mut column.cuts, &more.cuts);
        }
        let unknown = more.contents.into_iter().filter(|content| !self.contents.contains(content));
        let unknown: Vec<String> = unknown.collect();
        self.contents.extend(unknown);
    }

    /// Adds what `other` has more than `own` and this together: at least what another entry of the same rows has.
    pub(super) fn make_up(&mut self, own: Option<&Self>, other: &Self) {
        let lacks = |other: u64, own: Option<u64>, added: u64| {
            other.saturating_sub(own.unwrap_or_default()).max(added)
        };
        self.ids = lacks(other.ids, own.map(|own| own.ids), self.ids);
        for (name, other) in &other.columns {
            let own = own.and_then(|own| own.columns.get(name));
            let is_less = own.is_none_or(|own| own.numbers < other.numbers || own.sums < other.sums);
            let is_cut = |cut: &&f64| own.is_none_or(|own| !has_cut(&own.cuts, **cut));
            let cuts: Vec<f64> = other.cuts.iter().filter(is_cut).copied().collect();
            if is_less || !cuts.is_empty() {
                let column = self.columns.entry(name.clone()).or_default();
                column.numbers = lacks(other.numbers, own.map(|own| own.numbers), column.numbers);
                column.sums = lacks(other.sums, own.map(|own| own.sums), column.sums);
                add_cuts(&mut column.cuts, &cuts);
            }
        }
    }
}

fn has_cut(cuts: &[f64], cut: f64) -> bool {
    cuts.binary_search_by(|other| other.total_cmp(&cut)).is_ok()
}

/// Cuts stay ascending, without repetitions. A few are added to many.
pub(super) fn add_cuts(to: &mut Vec<f64>, more: &[f64]) {
    if to.is_empty() {
        to.extend_from_slice(more);
        to.sort_by(f64::total_cmp);
        to.dedup_by(|a, b| a.total_cmp(b).is_eq());
        return;
    }
    for cut in more {
        if let Err(at) = to.binary_search_by(|other| other.total_cmp(cut)) {
            to.insert(at, *cut);
        }
    }
}
