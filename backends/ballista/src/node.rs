//! A fragment as a node of the cluster's physical plan.
//!
//! Its first input gives the work, one row a partition; the others are exchanges, in the order of the fragment's leaves.
//! Driver and scheduler see it sealed; only an executor opens it. Its display says nothing but what it is: plans are
//! logged.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use ballista_core::execution_plans::ShuffleReaderExec;
use ballista_core::serde::BallistaPhysicalExtensionCodec;
use bytes::Bytes;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
    ReplaceChildrenOptions,
};
use datafusion_proto::physical_plan::{PhysicalExtensionCodec, PhysicalProtoConverterExtension};
use serde::{Deserialize, Serialize};
use tributary_core::error::{Error, ErrorKind};

use crate::fragment::{decode, encode};
use crate::host::Host;
use crate::stages::Stop;
use crate::wire;

/// Name of the column that leads bundles to their partition.
pub(crate) const ROUTE: &str = "route";
/// Name of the column with bundles.
pub(crate) const BUNDLES: &str = "bundles";
/// The column of the work.
pub(crate) const WORK: &str = "work";

/// What everybody may see of a fragment.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Sealed {
    /// Whether it moves rows; else it ends the action.
    pub(crate) moves: bool,
    pub(crate) fragment: Bytes,
}

impl Sealed {
    pub(crate) fn columns(&self) -> SchemaRef {
        if self.moves { moved_columns() } else { Arc::new(Schema::empty()) }
    }
}

/// What goes through a shuffle: where rows are, not the rows.
pub(crate) fn moved_columns() -> SchemaRef {
    let bundles = Field::new(BUNDLES, DataType::Binary, false);
    Arc::new(Schema::new(vec![bundles, Field::new(ROUTE, DataType::UInt32, false)]))
}

/// The columns of the work.
pub(crate) fn work_columns() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new(WORK, DataType::Binary, false)]))
}

pub(crate) struct FragmentNode {
    sealed: Sealed,
    inputs: Vec<Arc<dyn ExecutionPlan>>,
    properties: Arc<PlanProperties>,
    host: Option<Arc<Host>>,
    stop: Stop,
}

impl FragmentNode {
    pub(crate) fn new(
        sealed: Sealed,
        inputs: Vec<Arc<dyn ExecutionPlan>>,
        host: Option<Arc<Host>>,
    ) -> Result<Arc<Self>> {
        let work = inputs.first().ok_or_else(|| DataFusionError::Plan("a fragment without work".into()))?;
        let partitions = work.properties().output_partitioning().partition_count();
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(sealed.columns()),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        ));
        Ok(Arc::new(Self { sealed, inputs, properties, host, stop: Stop::default() }))
    }

    /// The same, for one task that can be stopped.
    pub(crate) fn listening(&self, stop: &Stop) -> Arc<Self> {
        let Self { sealed, inputs, properties, host, .. } = self;
        Arc::new(Self {
            sealed: sealed.clone(),
            inputs: inputs.clone(),
            properties: properties.clone(),
            host: host.clone(),
            stop: stop.clone(),
        })
    }
}

impl fmt::Debug for FragmentNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("fragment")
    }
}

impl DisplayAs for FragmentNode {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("fragment")
    }
}

impl ExecutionPlan for FragmentNode {
    fn name(&self) -> &'static str {
        "FragmentNode"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.inputs.iter().collect()
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false; self.inputs.len()]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let node = Self::new(self.sealed.clone(), children, self.host.clone())?;
        Ok(node.listening(&self.stop))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let host = self.host.clone().ok_or_else(|| {
            DataFusionError::Internal("a fragment runs in an executor of this cluster only".into())
        })?;
        let inputs = self.inputs.iter().map(|input| input.execute(partition, context.clone()));
        host.run(&self.sealed, inputs.collect::<Result<_>>()?, &self.stop)
    }
}

/// Ballista's own nodes, and ours.
pub(crate) struct Codec {
    ballista: BallistaPhysicalExtensionCodec,
    host: Option<Arc<Host>>,
}

/// Begins the encoding of a fragment: a byte that no encoding of Ballista's begins with.
const MARK: &[u8] = b"\xfftributary";

impl Codec {
    /// `host` is what an executor runs fragments with.
    pub(crate) fn new(host: Option<Arc<Host>>) -> Arc<Self> {
        Arc::new(Self { ballista: BallistaPhysicalExtensionCodec::default(), host })
    }
}

impl fmt::Debug for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("codec of fragments")
    }
}

/// What an executor writes shuffles of: fragments of ours, on work and on shuffles. It would run other plans as gladly, and
/// those may read any file.
fn only_fragments(input: &Arc<dyn ExecutionPlan>) -> Result<()> {
    let harmless = |leaf: &&Arc<dyn ExecutionPlan>| match leaf.downcast_ref::<DataSourceExec>() {
        Some(source) => (source.data_source().as_ref() as &dyn Any).is::<MemorySourceConfig>(),
        None => leaf.is::<ShuffleReaderExec>(),
    };
    if input.is::<FragmentNode>() && input.children().iter().all(harmless) {
        return Ok(());
    }
    let error = Error::new(ErrorKind::Denied, "a plan that is not made of this cluster's fragments");
    Err(wire::outgoing(error))
}

impl PhysicalExtensionCodec for Codec {
    fn try_decode(
        &self,
        bytes: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match bytes.strip_prefix(MARK) {
            Some(rest) => {
                let sealed = decode("a fragment", rest).map_err(wire::outgoing)?;
                Ok(FragmentNode::new(sealed, inputs.to_vec(), self.host.clone())?)
            }
            None if self.host.is_some() => {
                inputs.iter().try_for_each(only_fragments)?;
                self.ballista.try_decode(bytes, inputs, context, converter)
            }
            None => self.ballista.try_decode(bytes, inputs, context, converter),
        }
    }

    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        bytes: &mut Vec<u8>,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        match node.downcast_ref::<FragmentNode>() {
            Some(node) => {
                bytes.extend_from_slice(MARK);
                bytes.extend(encode(&node.sealed).map_err(wire::outgoing)?);
                Ok(())
            }
            None => self.ballista.try_encode(node, bytes, converter),
        }
    }
}
