//! The way of rows through trees whose divisions belong to several parties.
//!
//! | party | plan, each time |
//! |---|---|
//! | guest | Map([`Walk`]) over its bins, where rows are, and what hosts answered → keep; Map([`Ask`]) for each host → keep → push |
//! | host | Zip(bins, asked) → Map([`Answer`]) → keep → push |
//!
//! A row stands at one node in each tree. The guest leads it as far as its own divisions do, and asks each host about the nodes
//! of that host at which rows stand, in all trees at once: as many times as divisions of hosts are on the longest path. So a host learns
//! which rows come to its nodes, as in a training, and the guest which way they go from there, and nothing about rows that do not come there.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{ArrayRef, FixedSizeBinaryArray, Float64Array, RecordBatch};
use arrow_buffer::Buffer;
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};
use tributary_core::computing::Blob;
use tributary_core::kernel::{Keeps, MapKernel};
use tributary_core::{Error, ErrorKind, Field, Result, TableSchema};

use crate::columns::{Binned, NO_NODE};
use crate::tree::{Fate, Split, Tree};

/// Most trees that rows go through together: they take two bytes of a row each.
pub const AT_ONCE: usize = 128;

fn binary(name: &str, width: usize) -> Field {
    Field::new(name, DataType::FixedSizeBinary(width as i32))
}

/// Where rows stand: a node of 16 bits for each tree.
pub fn at_schema(trees: usize) -> Result<TableSchema> {
    TableSchema::new(None, vec![binary("at", 2 * trees)])
}

/// What a host is asked, as it travels: as [`at_schema`], and [`NO_NODE`] where nothing is asked.
pub fn asked_schema(trees: usize) -> Result<TableSchema> {
    TableSchema::new(None, vec![binary("asked", 2 * trees)])
}

/// What a host answers, as it travels: a bit for each tree, set where the row goes to the left.
pub fn answer_schema(trees: usize) -> Result<TableSchema> {
    TableSchema::new(None, vec![binary("left", trees.div_ceil(8))])
}

/// Scores of rows, a column for each output.
pub fn score_schema(outputs: usize) -> Result<TableSchema> {
    TableSchema::new(
        None,
        (0..outputs).map(|output| Field::new(format!("score{output}"), DataType::Float64)).collect(),
    )
}

fn expect(input: &TableSchema, expected: &[DataType]) -> Result<()> {
    let types = input.fields().iter().map(|field| &field.data_type);
    match input.key().is_none() && types.eq(expected) {
        true => Ok(()),
        false => Err(Error::invalid(format!("{input:?}, expected columns of {expected:?}"))),
    }
}

fn check_trees(trees: usize) -> Result<()> {
    match (1..=AT_ONCE).contains(&trees) {
        true => Ok(()),
        false => Err(Error::invalid(format!("{trees} trees at once, expected 1 to {AT_ONCE}"))),
    }
}

fn node_of(row: &[u8], tree: usize) -> u16 {
    u16::from_le_bytes([row[2 * tree], row[2 * tree + 1]])
}

fn fixed(width: usize, bytes: Vec<u8>) -> Result<ArrayRef> {
    Ok(Arc::new(FixedSizeBinaryArray::try_new(width as i32, Buffer::from_vec(bytes), None)?))
}

/// Parameters of [`Walk`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WalkParams {
    /// The guest's columns.
    pub columns: Binned,
    /// The trees.
    pub trees: Vec<Tree>,
    /// How many hosts answered: none at the first step, at which all rows stand at roots.
    pub hosts: u16,
}

/// Kernel `boost.walk`: leads rows on to leaves or nodes of hosts.
///
/// Shape: columns of bins, and after the first step where rows stand and the answers of each host, become [`at_schema`].
#[derive(Debug)]
pub struct Walk {
    params: WalkParams,
    output: TableSchema,
}

impl Walk {
    fn step(&self, tree: &Tree, node: u16, bin: &dyn Fn(u32) -> u16, answer: Option<bool>) -> u16 {
        let mut at = node;
        let mut answer = answer;
        while let Some(node) = tree.nodes.get(usize::from(at)) {
            let (left, children) = match &node.fate {
                Fate::Leaf => break,
                Fate::Own { split, children } => {
                    let missing = self.params.columns.bins[split.column as usize] - 1;
                    (split.is_left(bin(split.column), missing as u16), children)
                }
                Fate::Host { children, .. } => match answer.take() {
                    Some(left) => (left, children),
                    None => break,
                },
            };
            at = children[usize::from(!left)];
        }
        at
    }
}

impl MapKernel for Walk {
    type Params = WalkParams;
    const NAME: &'static str = "boost.walk";
    const KEEPS: Keeps = Keeps::Rows;

    fn output(params: &WalkParams, input: &TableSchema) -> Result<TableSchema> {
        let trees = params.trees.len();
        check_trees(trees)?;
        let mut then = Vec::new();
        if params.hosts > 0 {
            then.push(DataType::FixedSizeBinary(2 * trees as i32));
            then.extend((0..params.hosts).map(|_| DataType::FixedSizeBinary(trees.div_ceil(8) as i32)));
        }
        params.columns.expect(input, &then)?;
        at_schema(trees)
    }

    fn open(params: WalkParams, input: &TableSchema, _: &[Blob]) -> Result<Self> {
        let columns = params.columns.bins.len();
        match params.trees.iter().all(|tree| tree.is_sound(columns, usize::from(u16::MAX))) {
            true => Ok(Self { output: Self::output(&params, input)?, params }),
            false => Err(Error::invalid("a tree that leads nowhere")),
        }
    }

    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        let WalkParams { columns, trees, hosts } = &self.params;
        let width = columns.bins.len();
        let bins: Vec<&[u16]> = (0..width).map(|column| columns.of(rows, column)).collect::<Result<_>>()?;
        let stood = (*hosts > 0).then(|| rows.column(width).as_fixed_size_binary());
        let answers: Vec<&FixedSizeBinaryArray> = (0..usize::from(*hosts))
            .map(|host| rows.column(width + 1 + host).as_fixed_size_binary())
            .collect();
        let mut at = Vec::with_capacity(2 * trees.len() * rows.num_rows());
        (0..rows.num_rows()).for_each(|row| {
            let bin = |column: u32| bins[column as usize][row];
            for (number, tree) in trees.iter().enumerate() {
                let node = stood.map_or(0, |stood| node_of(stood.value(row), number));
                let answer = match tree.nodes.get(usize::from(node)).map(|node| &node.fate) {
                    Some(Fate::Host { host, .. }) => answers
                        .get(usize::from(*host))
                        .map(|answer| answer.value(row)[number / 8] >> (number % 8) & 1 == 1),
                    _ => None,
                };
                at.extend(self.step(tree, node, &bin, answer).to_le_bytes());
            }
        });
        self.output.batch(vec![fixed(2 * trees.len(), at)?])
    }
}

/// Parameters of [`Ask`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AskParams {
    /// For each tree the nodes that are divided by the host.
    pub nodes: Vec<Vec<u16>>,
}

/// Kernel `boost.ask`: where rows stand becomes what one host is asked.
#[derive(Debug)]
pub struct Ask {
    /// By tree and node.
    asks: Vec<Vec<bool>>,
    output: TableSchema,
}

impl MapKernel for Ask {
    type Params = AskParams;
    const NAME: &'static str = "boost.ask";
    const KEEPS: Keeps = Keeps::Rows;

    fn output(params: &AskParams, input: &TableSchema) -> Result<TableSchema> {
        check_trees(params.nodes.len())?;
        expect(input, &[DataType::FixedSizeBinary(2 * params.nodes.len() as i32)])?;
        asked_schema(params.nodes.len())
    }

    fn open(params: AskParams, input: &TableSchema, _: &[Blob]) -> Result<Self> {
        let output = Self::output(&params, input)?;
        let by_node = |nodes: &Vec<u16>| {
            let mut asks = vec![false; nodes.iter().max().map_or(0, |most| usize::from(*most) + 1)];
            nodes.iter().for_each(|node| asks[usize::from(*node)] = true);
            asks
        };
        Ok(Self { asks: params.nodes.iter().map(by_node).collect(), output })
    }

    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        let at = rows.column(0).as_fixed_size_binary();
        let mut asked = Vec::with_capacity(2 * self.asks.len() * rows.num_rows());
        for row in 0..rows.num_rows() {
            for (tree, asks) in self.asks.iter().enumerate() {
                let node = node_of(at.value(row), tree);
                let is_asked = asks.get(usize::from(node)).copied().unwrap_or(false);
                asked.extend(if is_asked { node } else { NO_NODE }.to_le_bytes());
            }
        }
        self.output.batch(vec![fixed(2 * self.asks.len(), asked)?])
    }
}

/// Parameters of [`Answer`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AnswerParams {
    /// The host's columns.
    pub columns: Binned,
    /// For each tree its nodes that are the host's, and how they are divided.
    pub splits: Vec<Vec<(u16, Split)>>,
}

/// Kernel `boost.answer`: columns of bins and what is asked become answers. Errors: `Corrupt` for a node that is not the host's.
#[derive(Debug)]
pub struct Answer {
    columns: Binned,
    /// By tree and node.
    splits: Vec<Vec<Option<Split>>>,
    output: TableSchema,
}

impl MapKernel for Answer {
    type Params = AnswerParams;
    const NAME: &'static str = "boost.answer";
    const KEEPS: Keeps = Keeps::Rows;

    fn output(params: &AnswerParams, input: &TableSchema) -> Result<TableSchema> {
        let trees = params.splits.len();
        check_trees(trees)?;
        params.columns.expect(input, &[DataType::FixedSizeBinary(2 * trees as i32)])?;
        answer_schema(trees)
    }

    fn open(params: AnswerParams, input: &TableSchema, _: &[Blob]) -> Result<Self> {
        let output = Self::output(&params, input)?;
        let AnswerParams { columns, splits } = params;
        if splits.iter().flatten().any(|(_, split)| split.column as usize >= columns.bins.len()) {
            return Err(Error::invalid("a division by a column that is not there"));
        }
        let by_node = |splits: Vec<(u16, Split)>| {
            let most = splits.iter().map(|(node, _)| usize::from(*node) + 1).max().unwrap_or(0);
            let mut by_node = vec![None; most];
            splits.into_iter().for_each(|(node, split)| by_node[usize::from(node)] = Some(split));
            by_node
        };
        Ok(Self { columns, splits: splits.into_iter().map(by_node).collect(), output })
    }

    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        let (trees, width) = (self.splits.len(), self.columns.bins.len());
        let bins: Vec<&[u16]> =
            (0..width).map(|column| self.columns.of(rows, column)).collect::<Result<_>>()?;
        let asked = rows.column(width).as_fixed_size_binary();
        let mut answers = vec![0u8; trees.div_ceil(8) * rows.num_rows()];
        for (row, answer) in answers.chunks_exact_mut(trees.div_ceil(8)).enumerate() {
            for (tree, splits) in self.splits.iter().enumerate() {
                let node = node_of(asked.value(row), tree);
                if node == NO_NODE {
                    continue;
                }
                let Some(Some(split)) = splits.get(usize::from(node)) else {
                    let text = "a question about a node that is not divided by this party";
                    return Err(Error::new(ErrorKind::Corrupt, text));
                };
                let column = split.column as usize;
                let left = split.is_left(bins[column][row], (self.columns.bins[column] - 1) as u16);
                answer[tree / 8] |= u8::from(left) << (tree % 8);
            }
        }
        self.output.batch(vec![fixed(trees.div_ceil(8), answers)?])
    }
}

/// Parameters of [`Score`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ScoreParams {
    /// For each tree what its nodes add, the learning rate included.
    pub weights: Vec<Vec<f64>>,
    /// The output that the first tree adds to; the next tree adds to the next.
    pub first: u32,
    /// How many outputs there are.
    pub outputs: u32,
    /// What scores begin with, if there are none yet.
    pub start: Option<f64>,
}

/// Kernel `boost.score`: adds to scores what rows get where they stand. Errors: `Corrupt` for a row that stands nowhere.
///
/// Shape: [`score_schema`], if there are scores, and [`at_schema`] become [`score_schema`]. Trees add one after another, so that rounding is the same however
/// many go together.
#[derive(Debug)]
pub struct Score {
    params: ScoreParams,
    output: TableSchema,
}

impl MapKernel for Score {
    type Params = ScoreParams;
    const NAME: &'static str = "boost.score";
    const KEEPS: Keeps = Keeps::Rows;

    fn output(params: &ScoreParams, input: &TableSchema) -> Result<TableSchema> {
        check_trees(params.weights.len())?;
        let outputs = params.outputs.max(1) as usize;
        let at = DataType::FixedSizeBinary(2 * params.weights.len() as i32);
        let scores = if params.start.is_some() { 0 } else { outputs };
        expect(input, &[vec![DataType::Float64; scores], vec![at]].concat())?;
        score_schema(outputs)
    }

    fn open(params: ScoreParams, input: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(Self { output: Self::output(&params, input)?, params })
    }

    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        let ScoreParams { weights, first, outputs, start } = &self.params;
        let outputs = (*outputs).max(1) as usize;
        let at = rows.column(rows.num_columns() - 1).as_fixed_size_binary();
        let column = |output: usize| match start {
            Some(start) => vec![*start; rows.num_rows()],
            None => rows.column(output).as_primitive::<Float64Type>().values().to_vec(),
        };
        let mut scores: Vec<Vec<f64>> = (0..outputs).map(column).collect();
        for (tree, weights) in weights.iter().enumerate() {
            let scores = &mut scores[(*first as usize + tree) % outputs];
            for (row, score) in scores.iter_mut().enumerate() {
                let weight = weights.get(usize::from(node_of(at.value(row), tree)));
                *score += weight.ok_or_else(|| Error::new(ErrorKind::Corrupt, "a row beyond its tree"))?;
            }
        }
        self.output.batch(
            scores.into_iter().map(|scores| Arc::new(Float64Array::from(scores)) as ArrayRef).collect(),
        )
    }
}
