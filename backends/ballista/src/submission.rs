//! A job as a driver submits it, and the check by which a scheduler knows one.

use std::sync::Arc;

use ballista_core::serde::protobuf::execute_query_params::Query;
use ballista_core::serde::protobuf::{ExecuteQueryParams, KeyValuePair};
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::AsExecutionPlan;
use datafusion_proto::protobuf::PhysicalPlanNode;
use datafusion_proto::protobuf::physical_plan_node::PhysicalPlanType;
use tributary_core::error::{Error, ErrorKind, Result, ResultExt};

use crate::node::{Codec, MARK};
use crate::placement::Executors;

/// Largest message between driver and scheduler, either way: plans with the places of many partitions.
pub(crate) const MOST_MESSAGE_BYTES: usize = 64 << 20;

const NAME: &str = "ballista.job.name";

/// The scheduler knows a job by its name, which is therefore where a session and its share of the cluster travel. (Its own
/// idea of a session is another one for each job.)
pub(crate) fn job_name(session: &str, action: u64, share: Executors) -> String {
    format!("{session} action {action} on {}x{}", share.count, share.cores)
}

/// The session and its share that a job's name says.
pub(crate) fn share_of(job_name: &str) -> Option<(&str, Executors)> {
    let (session, rest) = job_name.split_once(" action ")?;
    let (count, cores) = rest.split_once(" on ")?.1.split_once('x')?;
    Some((session, Executors { count: count.parse().ok()?, cores: cores.parse().ok()? }))
}

/// A job of a session. `Exhausted` if its plan does not fit a message.
pub(crate) fn job(session: &str, name: &str, plan: Arc<dyn ExecutionPlan>) -> Result<ExecuteQueryParams> {
    Ok(ExecuteQueryParams {
        query: Some(Query::PhysicalPlan(encode(plan)?)),
        settings: settings(name),
        session_id: session.to_owned(),
        operation_id: String::new(),
    })
}

fn encode(plan: Arc<dyn ExecutionPlan>) -> Result<Vec<u8>> {
    let codec = Codec::new(None);
    let mut bytes = Vec::new();
    let node = PhysicalPlanNode::try_from_physical_plan(plan, &*codec);
    node.and_then(|node| node.try_encode(&mut bytes))
        .map_err(|e| Error::bug("encode fragments").because(e))
        .at(|| "submit a job")?;
    if bytes.len() > MOST_MESSAGE_BYTES {
        let text = format!(
            "an action's plan takes {} bytes, at most {MOST_MESSAGE_BYTES} fit a message; use fewer partitions, or put \
             large parameters as blobs",
            bytes.len()
        );
        return Err(Error::new(ErrorKind::Exhausted, text));
    }
    Ok(bytes)
}

/// What the scheduler and executors need to know of the session.
fn settings(job_name: &str) -> Vec<KeyValuePair> {
    [
        (NAME, job_name),
        ("ballista.planner.adaptive.enabled", "false"),
        ("ballista.scheduler.max_partitions_per_task", "1"),
        ("ballista.shuffle.compression.codec", "none"),
        ("ballista.shuffle.sort_based.batch_size", "32768"),
    ]
    .into_iter()
    .map(|(key, value)| KeyValuePair { key: key.into(), value: Some(value.into()) })
    .collect()
}

/// `Denied` unless a driver of this build could have submitted the job.
pub(crate) fn check(job: &ExecuteQueryParams) -> Result<()> {
    let plan = match &job.query {
        Some(Query::PhysicalPlan(plan)) => plan,
        Some(Query::LogicalPlan(_)) => return Err(refused("a logical plan")),
        Some(Query::SubstraitPlan(_)) => return Err(refused("a Substrait plan")),
        None => return Err(refused("a job without a plan")),
    };
    let name = job.settings.iter().find(|setting| setting.key == NAME);
    let name = name.and_then(|setting| setting.value.as_deref()).unwrap_or_default();
    if share_of(name).is_none() {
        return Err(refused(&format!("a job named {name:?}, which says no session and share")));
    }
    let expected = settings(name);
    if let Some(other) = job.settings.iter().find(|setting| !expected.contains(setting)) {
        return Err(refused(&format!("setting {:?} of a job", other.key)));
    }
    if job.settings.len() != expected.len() {
        return Err(refused("a job with other settings than a driver's"));
    }
    let plan =
        PhysicalPlanNode::try_decode(plan).map_err(|e| refused("bytes that are no plan").because(e))?;
    only_fragments(&plan)
}

/// A fragment on its work, and on exchanges of fragments.
fn only_fragments(node: &PhysicalPlanNode) -> Result<()> {
    let other = || refused("a plan that is not made of fragments");
    let Some(PhysicalPlanType::Extension(fragment)) = &node.physical_plan_type else { return Err(other()) };
    let Some((work, exchanges)) = fragment.inputs.split_first() else { return Err(other()) };
    if !fragment.node.starts_with(MARK)
        || !matches!(work.physical_plan_type, Some(PhysicalPlanType::MemoryScan(_)))
    {
        return Err(other());
    }
    exchanges.iter().try_for_each(|exchange| match &exchange.physical_plan_type {
        Some(PhysicalPlanType::Repartition(exchange)) => {
            exchange.input.as_deref().ok_or_else(other).and_then(only_fragments)
        }
        _ => Err(other()),
    })
}

fn refused(what: &str) -> Error {
    Error::new(
        ErrorKind::Denied,
        format!("refused: {what}; this cluster runs jobs of tributary's drivers only"),
    )
}

#[cfg(test)]
mod tests {
    use arrow_array::{BinaryArray, RecordBatch};
    use datafusion::datasource::memory::MemorySourceConfig;
    use datafusion::datasource::source::DataSourceExec;
    use datafusion::physical_expr::expressions::Column;
    use datafusion::physical_plan::Partitioning;
    use datafusion::physical_plan::empty::EmptyExec;
    use datafusion::physical_plan::repartition::RepartitionExec;

    use super::*;
    use crate::fragment::{Sealed, moved_columns, work_columns};
    use crate::node::FragmentNode;

    fn work() -> Arc<dyn ExecutionPlan> {
        let row = RecordBatch::try_new(
            work_columns(),
            vec![Arc::new(BinaryArray::from_vec(vec![b"work".as_slice()]))],
        );
        let source = MemorySourceConfig::try_new(&[vec![row.unwrap()]], work_columns(), None).unwrap();
        DataSourceExec::from_data_source(source)
    }

    fn fragment(moves: bool, inputs: Vec<Arc<dyn ExecutionPlan>>) -> Arc<dyn ExecutionPlan> {
        FragmentNode::new(Sealed::unopenable(moves), inputs, None).unwrap()
    }

    fn exchange(input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        let route = Arc::new(Column::new(crate::fragment::ROUTE, input.schema().fields().len() - 1));
        Arc::new(RepartitionExec::try_new(input, Partitioning::Hash(vec![route], 2)).unwrap())
    }

    fn submitted(plan: Arc<dyn ExecutionPlan>) -> ExecuteQueryParams {
        job("s", &job_name("s", 1, Executors { count: 1, cores: 1 }), plan).unwrap()
    }

    #[test]
    fn a_share_travels_in_the_name_of_a_job() {
        let share = Executors { count: 3, cores: 2 };
        let session = "job-1.psi_0.0-0123456789abcdef";
        assert_eq!(share_of(&job_name(session, 7, share)), Some((session, share)));
        for other in ["", "a job", "x on 3x2", "x action 1 on 3", "x action 1 on 3x", "x action 1 on ax2"] {
            assert_eq!(share_of(other), None);
        }
    }

    #[test]
    fn jobs_of_a_driver_are_taken() {
        check(&submitted(fragment(false, vec![work()]))).unwrap();
        let moving = exchange(fragment(true, vec![work()]));
        check(&submitted(fragment(false, vec![work(), moving.clone(), moving]))).unwrap();
    }

    #[test]
    fn all_other_jobs_are_refused() {
        let empty: Arc<dyn ExecutionPlan> = Arc::new(EmptyExec::new(moved_columns()));
        let plans = [
            empty.clone(),
            work(),
            fragment(false, vec![empty.clone()]),
            fragment(false, vec![work(), empty.clone()]),
            fragment(false, vec![work(), exchange(empty)]),
            exchange(fragment(true, vec![work()])),
        ];
        let mut jobs: Vec<ExecuteQueryParams> = plans.into_iter().map(submitted).collect();
        let good = submitted(fragment(false, vec![work()]));
        let setting = |key: &str, value: &str| KeyValuePair { key: key.into(), value: Some(value.into()) };
        let changed = |change: &dyn Fn(&mut ExecuteQueryParams)| {
            let mut job = good.clone();
            change(&mut job);
            job
        };
        jobs.push(changed(&|job| job.query = None));
        jobs.push(changed(&|job| job.query = Some(Query::LogicalPlan(Vec::new()))));
        jobs.push(changed(&|job| job.query = Some(Query::SubstraitPlan(Vec::new()))));
        jobs.push(changed(&|job| job.query = Some(Query::PhysicalPlan(vec![0xff; 9]))));
        jobs.push(changed(&|job| job.settings.push(setting("datafusion.execution.batch_size", "1"))));
        jobs.push(changed(&|job| job.settings.push(job.settings[0].clone())));
        jobs.push(changed(&|job| job.settings[1].value = Some("true".into())));
        jobs.push(changed(&|job| job.settings[0].value = Some("a job".into())));
        jobs.push(changed(&|job| job.settings.clear()));
        for job in jobs {
            assert_eq!(check(&job).unwrap_err().kind(), ErrorKind::Denied, "{job:?}");
        }
    }
}
