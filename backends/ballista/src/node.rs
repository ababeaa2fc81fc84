//! A fragment as a node of the cluster's physical plan.
//!
//! Its first input gives the work, one row a partition; the others are exchanges, in the order of the fragment's leaves.
//! Driver and scheduler see it sealed; only an executor opens it. Its display says nothing but what it is: plans are
//! logged.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use ballista_core::execution_plans::ShuffleReaderExec;
use ballista_core::serde::BallistaPhysicalExtensionCodec;
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
use tributary_core::error::{Error, ErrorKind};

use crate::fragment::{Sealed, decode, encode};
use crate::resources::Resources;
use crate::stop::Stop;
use crate::{task, wire};

pub(crate) struct FragmentNode {
    sealed: Sealed,
    inputs: Vec<Arc<dyn ExecutionPlan>>,
    properties: Arc<PlanProperties>,
    resources: Option<Arc<Resources>>,
    stop: Stop,
}

impl FragmentNode {
    pub(crate) fn new(
        sealed: Sealed,
        inputs: Vec<Arc<dyn ExecutionPlan>>,
        resources: Option<Arc<Resources>>,
    ) -> Result<Arc<Self>> {
        let work = inputs.first().ok_or_else(|| DataFusionError::Plan("a fragment without work".into()))?;
        let partitions = work.properties().output_partitioning().partition_count();
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(sealed.columns()),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        ));
        Ok(Arc::new(Self { sealed, inputs, properties, resources, stop: Stop::default() }))
    }

    /// The same, for one task that can be stopped.
    pub(crate) fn listening(&self, stop: &Stop) -> Arc<Self> {
        let Self { sealed, inputs, properties, resources, .. } = self;
        Arc::new(Self {
            sealed: sealed.clone(),
            inputs: inputs.clone(),
            properties: properties.clone(),
            resources: resources.clone(),
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
        let node = Self::new(self.sealed.clone(), children, self.resources.clone())?;
        Ok(node.listening(&self.stop))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let resources = self.resources.clone().ok_or_else(|| {
            DataFusionError::Internal("a fragment runs in an executor of this cluster only".into())
        })?;
        let inputs = self.inputs.iter().map(|input| input.execute(partition, context.clone()));
        task::start(resources, &self.sealed, inputs.collect::<Result<_>>()?, &self.stop)
            .map_err(wire::outgoing)
    }
}

/// Ballista's own nodes, and ours.
pub(crate) struct Codec {
    ballista: BallistaPhysicalExtensionCodec,
    resources: Option<Arc<Resources>>,
}

/// Begins the encoding of a fragment: a byte that no encoding of Ballista's begins with.
pub(crate) const MARK: &[u8] = b"\xfftributary";

impl Codec {
    /// `resources` is what an executor runs fragments with.
    pub(crate) fn new(resources: Option<Arc<Resources>>) -> Arc<Self> {
        Arc::new(Self { ballista: BallistaPhysicalExtensionCodec::default(), resources })
    }
}

impl fmt::Debug for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("codec of fragments")
    }
}

/// What an executor writes shuffles of: fragments of ours, on work and on shuffles. It would run other plans as well, and
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
                Ok(FragmentNode::new(sealed, inputs.to_vec(), self.resources.clone())?)
            }
            None if self.resources.is_some() => {
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
