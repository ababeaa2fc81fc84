//! What is learned, a part at each party: the guest has the shape of trees, the weights of leaves and its own divisions; a host has its
//! divisions, by tree and node, and where its bins end. Parts of one model have its name in common, and are of no use alone.
//!
//! Written as JSON in the shape that FATE's have, for people and other programs, with `parts` that a prediction reads.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tributary_boost::{Bins, Fate, Objective, Split, Tree, TreeNode};
use tributary_component::task::Task;
use tributary_core::{Error, ErrorKind, Party, Result, Table};

use super::columns::{OwnColumn, OwnColumns};
use super::messages::ModelId;
use crate::columns::anonymous;

/// Raised with every change of what `parts` mean.
const VERSION: u32 = 1;

/// A host as the guest knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct KnownHost {
    /// Which.
    pub party: Party,
    /// Places of its columns among its features.
    pub columns: Vec<u32>,
}

/// A tree, and what part of its weights counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct GuestTree {
    /// The learning rate.
    pub rate: f64,
    /// The tree.
    pub tree: Tree,
}

/// The guest's part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct GuestModel {
    /// [`VERSION`].
    pub version: u32,
    /// Its name.
    pub id: ModelId,
    /// What is predicted.
    pub objective: Objective,
    /// What the table calls the classes, in order; of none for numbers.
    pub classes: Vec<f64>,
    /// What scores begin with.
    pub init_score: f64,
    /// The guest's columns.
    pub columns: OwnColumns,
    /// The hosts, in the order of their numbers in trees.
    pub hosts: Vec<KnownHost>,
    /// Of each round one for each output.
    pub trees: Vec<GuestTree>,
    /// The mean loss after each round.
    pub losses: Vec<f64>,
}

/// A host's part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct HostModel {
    /// [`VERSION`].
    pub version: u32,
    /// Its name.
    pub id: ModelId,
    /// The host's columns.
    pub columns: OwnColumns,
    /// For each tree the nodes that are the host's.
    pub trees: Vec<Vec<(u16, Split)>>,
}

impl GuestModel {
    /// One without trees.
    pub(super) fn new(
        id: ModelId,
        objective: Objective,
        classes: Vec<f64>,
        init_score: f64,
        columns: OwnColumns,
        hosts: Vec<KnownHost>,
    ) -> Self {
        let (trees, losses) = (Vec::new(), Vec::new());
        Self { version: VERSION, id, objective, classes, init_score, columns, hosts, trees, losses }
    }

    /// What each node of a tree adds to a score.
    pub(super) fn weights(&self, tree: usize) -> Vec<f64> {
        let GuestTree { rate, tree } = &self.trees[tree];
        tree.nodes.iter().map(|node| rate * node.weight).collect()
    }

    /// As it is registered.
    pub(super) fn to_json(&self, own: &Party, hyper: &Value) -> Result<Value> {
        let mut importance = BTreeMap::new();
        let trees: Vec<Value> =
            self.trees.iter().map(|tree| self.shown(own, &tree.tree, &mut importance)).collect();
        Ok(json!({
            "hyper_param": hyper,
            "trees": trees,
            "feature_importance": shown_importance(&importance),
            "fid_name_mapping": mapping(&self.columns),
            "init_score": self.init_score,
            "loss_history": self.losses,
            "parts": parts(self)?,
        }))
    }

    /// A tree in FATE's shape; adds to what columns gained.
    fn shown(&self, own: &Party, tree: &Tree, importance: &mut BTreeMap<String, (f64, u64)>) -> Value {
        let mut of_tree = BTreeMap::new();
        let mut nodes = Vec::new();
        for (nid, node) in tree.nodes.iter().enumerate() {
            let (site, name, bid, missing) = match &node.fate {
                Fate::Leaf => (own.to_string(), None, Value::Null, 1),
                Fate::Own { split, .. } => {
                    let column = self.columns.0.get(split.column as usize);
                    let bid = column.map_or(Value::Null, |column| threshold(column, split));
                    (own.to_string(), column.map(|column| column.name.clone()), bid, direction(split))
                }
                Fate::Host { host, column, .. } => {
                    let known = self.hosts.get(usize::from(*host));
                    let site = known.map(|known| known.party.to_string()).unwrap_or_default();
                    let position = known.and_then(|known| known.columns.get(*column as usize));
                    let named = known.zip(position).map(|(known, at)| anonymous(&known.party, *at as usize));
                    (site, named, Value::Null, 1)
                }
            };
            for importance in [&mut of_tree, importance] {
                if let Some(name) = &name {
                    let entry: &mut (f64, u64) = importance.entry(name.clone()).or_default();
                    *entry = (entry.0 + node.gain, entry.1 + 1);
                }
            }
            let fid = match node.fate {
                Fate::Own { .. } => name.map_or(Value::Null, Value::from),
                _ => Value::Null,
            };
            nodes.push(shown_node(tree, nid, node, site, fid, bid, missing));
        }
        json!({"nodes": nodes, "feature_importance": shown_importance(&of_tree)})
    }
}

fn shown_node(
    tree: &Tree,
    nid: usize,
    node: &TreeNode,
    site: String,
    fid: Value,
    bid: Value,
    missing: i8,
) -> Value {
    let children = node.children();
    let above = node.parent.and_then(|parent| tree.nodes.get(usize::from(parent))?.children());
    let sibling = above.map(|[left, right]| if usize::from(left) == nid { right } else { left });
    json!({
        "nid": nid, "sitename": site, "fid": fid, "bid": bid,
        "grad": node.grad, "hess": node.hess, "weight": node.weight, "gain": node.gain,
        "is_leaf": children.is_none(), "is_left_node": above.is_some_and(|[left, _]| usize::from(left) == nid),
        "l": children.map_or(-1, |[left, _]| i64::from(left)), "r": children.map_or(-1, |[_, right]| i64::from(right)),
        "missing_dir": missing, "sample_num": node.rows, "parent_nodeid": node.parent, "sibling_nodeid": sibling,
    })
}

/// 1 where missing values go to the right, -1 to the left.
fn direction(split: &Split) -> i8 {
    if split.missing_left { -1 } else { 1 }
}

/// What goes to the left: values up to a number, or some categories.
fn threshold(column: &OwnColumn, split: &Split) -> Value {
    match &split.left {
        Bins::UpTo(bin) => {
            column.cuts.points().get(usize::from(*bin)).copied().map_or(Value::Null, Value::from)
        }
        Bins::In(bins) => {
            let name = |bin: &u16| {
                column.categories.as_ref().and_then(|names| names.get(usize::from(*bin)).cloned())
            };
            bins.iter().map(|bin| name(bin).map_or_else(|| Value::from(*bin), Value::from)).collect()
        }
    }
}

fn mapping(columns: &OwnColumns) -> Value {
    let named =
        columns.0.iter().map(|column| (column.position.to_string(), Value::from(column.name.clone())));
    Value::Object(named.collect())
}

fn shown_importance(importance: &BTreeMap<String, (f64, u64)>) -> Value {
    let shown =
        |(name, (gain, split)): (&String, &(f64, u64))| (name.clone(), json!({"gain": gain, "split": split}));
    Value::Object(importance.iter().map(shown).collect())
}

fn parts<T: Serialize>(model: &T) -> Result<Value> {
    serde_json::to_value(model).map_err(|e| Error::bug("write a model").because(e))
}

impl HostModel {
    /// One without trees.
    pub(super) fn new(id: ModelId, columns: OwnColumns) -> Self {
        Self { version: VERSION, id, columns, trees: Vec::new() }
    }

    /// Books what a prediction tells the guest of a table's rows: for each division which of the rows that come there go to the left.
    /// `more`: divisions that are not there yet, of which each column may have all.
    pub(super) async fn release_answers(
        &self,
        task: &Task,
        input: &str,
        table: &Table,
        more: u64,
    ) -> Result<()> {
        let mut divisions = vec![0u64; self.columns.0.len()];
        self.trees.iter().flatten().for_each(|(_, split)| divisions[split.column as usize] += 1);
        let of: BTreeMap<&str, u64> =
            self.columns.0.iter().map(|column| column.name.as_str()).zip(divisions).collect();
        let sums = |column: &OwnColumn| {
            of.get(column.name.as_str()).copied().unwrap_or_default().saturating_add(more)
        };
        self.columns.release_again(task, input, table, &sums).await
    }

    /// As it is registered.
    pub(super) fn to_json(&self, own: &Party, hyper: &Value) -> Result<Value> {
        let mut importance: BTreeMap<String, (f64, u64)> = BTreeMap::new();
        let mut shown = Vec::new();
        for splits in &self.trees {
            let mut nodes = Vec::new();
            for (nid, split) in splits {
                let Some(column) = self.columns.0.get(split.column as usize) else { continue };
                importance.entry(column.name.clone()).or_default().1 += 1;
                nodes.push(json!({
                    "nid": nid, "sitename": own.to_string(), "fid": column.name, "bid": threshold(column, split),
                    "missing_dir": direction(split), "is_leaf": false, "grad": null, "hess": null, "weight": 0.0,
                }));
            }
            shown.push(json!({"nodes": nodes}));
        }
        Ok(json!({
            "hyper_param": hyper,
            "trees": shown,
            "feature_importance": shown_importance(&importance),
            "fid_name_mapping": mapping(&self.columns),
            "parts": parts(self)?,
        }))
    }
}

fn not_a_model(key: &str, why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(ErrorKind::Corrupt, format!("{key} is not this party's part of a boosting model")).because(why)
}

/// The guest's part under an input key. `Corrupt` for anything else.
pub(super) fn read_guest(key: &str, model: &Value) -> Result<GuestModel> {
    let parts = model.get("parts").cloned().unwrap_or_default();
    let model: GuestModel = serde_json::from_value(parts).map_err(|e| not_a_model(key, e))?;
    let (columns, hosts) = (model.columns.0.len(), model.hosts.len());
    let sound = model.trees.iter().all(|tree| tree.tree.is_sound(columns, hosts) && tree.rate.is_finite());
    let whole = !model.trees.is_empty() && model.trees.len().is_multiple_of(model.objective.outputs());
    match model.version == VERSION && sound && whole && check_columns(&model.columns) {
        true => Ok(model),
        false => Err(not_a_model(key, "its parts contradict each other")),
    }
}

/// A host's part under an input key. `Corrupt` for anything else.
pub(super) fn read_host(key: &str, model: &Value) -> Result<HostModel> {
    let parts = model.get("parts").cloned().unwrap_or_default();
    let model: HostModel = serde_json::from_value(parts).map_err(|e| not_a_model(key, e))?;
    let known =
        model.trees.iter().flatten().all(|(_, split)| (split.column as usize) < model.columns.0.len());
    match model.version == VERSION && known && !model.trees.is_empty() && check_columns(&model.columns) {
        true => Ok(model),
        false => Err(not_a_model(key, "its parts contradict each other")),
    }
}

fn check_columns(columns: &OwnColumns) -> bool {
    columns.0.iter().all(|column| column.missing_in.is_none_or(|bin| usize::from(bin) < column.cuts.bins()))
}
