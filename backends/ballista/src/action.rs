//! One action: a plan becomes fragments of one cluster job, each one of Ballista's stages.
//!
//! Fragments end at exchanges. What a fragment cannot take as it comes is kept first, by a job of its own: a node that two
//! others read (it is one piece of work), an input of a concat that ends in an exchange (partitions of a fragment must all be
//! cut alike), and what a `Loose` exchange cuts, because where to cut is known only when all rows are counted; then nothing
//! moves.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::{BinaryArray, RecordBatch};
use bytes::Bytes;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::{ExecutionPlan, Partitioning};
use tributary_core::error::{Error, Result, ResultExt};
use tributary_core::layout::{Layout, RowRanges};
use tributary_core::plan::{Node, Op, Plan};
use tributary_partition::items::next_number;
use tributary_partition::pipeline::{NodeId, rows_shown};

use crate::fragment::{
    Commit, Fragment, Leaves, Purpose, ROUTE, Sealed, Work, encode, given_of, work_columns,
};
use crate::items::{Kept, Stretch};
use crate::node::FragmentNode;
use crate::routing::routes;
use crate::state::State;

/// Rows that need not be computed: which, and where they are.
#[derive(Clone)]
struct Given {
    kept: Arc<Kept>,
    /// Rows of each partition that the node shows.
    shown: Vec<Range<u64>>,
}

impl Given {
    fn whole(kept: Arc<Kept>) -> Self {
        let shown = (0..kept.0.len() as u32).map(|partition| 0..kept.rows(partition)).collect();
        Self { kept, shown }
    }

    fn stretches(&self, partition: u32) -> Vec<Stretch> {
        let shown = self.shown.get(partition as usize).cloned().unwrap_or(0..0);
        self.kept.stretches(partition, &shown)
    }

    /// What is shown, as rows of their own.
    fn as_kept(&self) -> Kept {
        Kept((0..self.shown.len() as u32).map(|partition| self.stretches(partition)).collect())
    }
}

/// A plan on its way.
pub(crate) struct Action<'a> {
    state: &'a State,
    root: Node,
    nodes: Vec<Node>,
    encoded: Bytes,
    given: HashMap<NodeId, Given>,
}

impl<'a> Action<'a> {
    /// Looks up what the plan names, and runs what must run before its last job.
    pub(crate) async fn prepare(state: &'a State, root: &Node) -> Result<Self> {
        let nodes = Plan::nodes(root);
        let encoded = Plan::encode(root)?.into();
        let mut action = Self { state, root: root.clone(), nodes, encoded, given: HashMap::new() };
        action.look_up()?;
        for node in action.nodes.clone() {
            match (node.op(), node.layout()) {
                (Op::Exchange(input, _), Layout::Loose(n)) => {
                    action.keep(input).await?;
                    action.cut(&node, input, *n)?;
                }
                _ if action.must_be_kept(&node) => action.keep(&node).await?,
                _ => {}
            }
        }
        Ok(action)
    }

    fn look_up(&mut self) -> Result<()> {
        for node in &self.nodes {
            match node.op() {
                Op::Scan(handle, _) => {
                    let kept = self.state.items.rows(handle)?;
                    let partitions = 0..node.layout().partitions();
                    let shown = partitions.map(|partition| rows_shown(node, partition)).collect();
                    self.given.insert(NodeId::of(node), Given { kept, shown });
                }
                Op::Map(_, call) => {
                    self.state.kernels.get(call)?;
                    call.blobs().iter().try_for_each(|blob| self.state.items.blob(blob).map(drop))?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn must_be_kept(&self, node: &Node) -> bool {
        if matches!(node.op(), Op::Scan(..) | Op::Load(_)) || self.given.contains_key(&NodeId::of(node)) {
            return false;
        }
        let readers = self.nodes.iter().flat_map(|reader| reader.inputs());
        let read_twice = readers.filter(|input| Arc::ptr_eq(input, node)).count() > 1;
        let concats = self.nodes.iter().filter(|reader| matches!(reader.op(), Op::Concat(_)));
        let in_concat = concats.flat_map(|concat| concat.inputs()).any(|input| Arc::ptr_eq(input, node));
        read_twice || (in_concat && !Leaves::of(node, &|node| self.is_given(node)).exchanges.is_empty())
    }

    fn is_given(&self, node: &Node) -> bool {
        self.given.contains_key(&NodeId::of(node)) || matches!(node.op(), Op::Load(_))
    }

    async fn keep(&mut self, node: &Node) -> Result<()> {
        if !self.given.contains_key(&NodeId::of(node)) {
            let kept = self.run(node, Purpose::Keep).await?;
            let kept = Arc::new(self.state.kept(kept)?);
            self.given.insert(NodeId::of(node), Given::whole(kept));
        }
        Ok(())
    }

    fn cut(&mut self, exchange: &Node, input: &Node, partitions: u32) -> Result<()> {
        let input = self.given.get(&NodeId::of(input)).ok_or_else(|| Error::bug("nothing to cut"))?;
        let shown = input.as_kept();
        let total = (0..shown.0.len() as u32).map(|partition| shown.rows(partition)).sum();
        let ranges = RowRanges::even(total, partitions);
        let counts = (0..partitions).map(|p| ranges.range(p).end - ranges.range(p).start);
        self.given.insert(NodeId::of(exchange), Given::whole(Arc::new(shown.cut(counts))));
        Ok(())
    }

    /// Where the plan's own rows are, if they need not be computed.
    pub(crate) fn root_kept(&self) -> Option<Kept> {
        self.given.get(&NodeId::of(&self.root)).map(Given::as_kept)
    }

    /// Runs the last job, and gives what was made of each partition.
    pub(crate) async fn finish(&self, purpose: Purpose) -> Result<Vec<Commit>> {
        self.run(&self.root, purpose).await
    }

    async fn run(&self, node: &Node, purpose: Purpose) -> Result<Vec<Commit>> {
        let number = next_number();
        let plan = self.fragment(node, node, purpose, number)?;
        let _moved = self.state.moved(number);
        self.state.client.run(&self.state.name, number, self.state.executors, plan).await?;
        let committed = (0..node.layout().partitions()).map(|p| self.state.store.committed(number, p));
        let mut commits = Vec::with_capacity(committed.len());
        for commit in committed {
            commits.push(commit.await.at(|| "read what the executors made")?);
        }
        self.state.forget(number, commits.len());
        Ok(commits)
    }

    /// The fragment that computes `rows`, for `purpose`; `node` is what it names.
    fn fragment(
        &self,
        node: &Node,
        rows: &Node,
        purpose: Purpose,
        number: u64,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let exchanges = Leaves::of(rows, &|node| self.is_given(node)).exchanges;
        let mut inputs = vec![self.work(rows)?];
        for exchange in &exchanges {
            let Op::Exchange(input, _) = exchange.op() else { return Err(Error::bug("an exchange is none")) };
            let partitions = exchange.layout().partitions();
            let moving = self.fragment(exchange, input, Purpose::Move(routes(partitions)?), number)?;
            let route = moving.schema().fields().len() - 1;
            let by = Partitioning::Hash(vec![Arc::new(Column::new(ROUTE, route))], partitions as usize);
            inputs.push(Arc::new(RepartitionExec::try_new(moving, by).map_err(bug)?));
        }
        let sealed = self.seal(node, purpose, number)?;
        Ok(FragmentNode::new(sealed, inputs, None).map_err(bug)?)
    }

    fn seal(&self, node: &Node, purpose: Purpose, number: u64) -> Result<Sealed> {
        let spec = &self.state.spec;
        let fragment = Fragment {
            session: spec.id.clone(),
            store: self.state.name.clone(),
            action: number,
            stores: self.state.stores.clone(),
            memory_bytes: spec.memory_bytes / u64::from(spec.placement.cores.max(1)),
            plan: self.encoded.clone(),
            node: self.place(node)?,
            purpose,
        };
        Sealed::new(&self.state.key, &fragment)
    }

    fn place(&self, node: &Node) -> Result<u32> {
        let place = self.nodes.iter().position(|other| Arc::ptr_eq(other, node));
        place.map(|place| place as u32).ok_or_else(|| Error::bug("a node of another plan"))
    }

    /// One row a partition: what it is, and where its held rows are.
    fn work(&self, rows: &Node) -> Result<Arc<dyn ExecutionPlan>> {
        let columns = work_columns();
        let row = |partition: u32| -> Result<Vec<RecordBatch>> {
            let mut given = Vec::new();
            given_of(rows, partition, &|node| self.is_given(node), &mut given)?;
            let held = given.iter().filter_map(|(node, partition)| {
                let stretches = self.given.get(&NodeId::of(node))?.stretches(*partition);
                let segments = stretches.iter().map(Stretch::segment).collect();
                Some(self.place(node).map(|place| (place, segments)))
            });
            let work = Work { partition, held: held.collect::<Result<_>>()? };
            let works = BinaryArray::from_vec(vec![&encode(&work)?]);
            Ok(vec![RecordBatch::try_new(columns.clone(), vec![Arc::new(works)])?])
        };
        let rows = (0..rows.layout().partitions()).map(row).collect::<Result<Vec<_>>>()?;
        let source = MemorySourceConfig::try_new(&rows, columns.clone(), None).map_err(bug)?;
        Ok(DataSourceExec::from_data_source(source))
    }
}

fn bug(error: datafusion::error::DataFusionError) -> Error {
    Error::bug("make fragments of a plan").because(error)
}
