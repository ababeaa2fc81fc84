//! An operation on one session: its tables are made ready once, and it is run as often as is measured.
//!
//! Every run ends with kept or read rows, whose number is checked: an engine that is fast because it does not do the work is not fast.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use tributary_component::{Component, Components, DataOutput, Input, Releases, Stage, Task, Unwatched};
use tributary_core::computing::{BlobRef, Computing};
use tributary_core::kernel::KernelCall;
use tributary_core::layout::RowRanges;
use tributary_core::ops::aggregate::{Function, Measure};
use tributary_core::ops::rows::{Comparison, Predicate, Value};
use tributary_core::{Error, Layout, Party, Result, Table};
use tributary_psi::{MaskIds, MaskIdsParams, Secret};

use crate::alone::Alone;
use crate::operation::Operation;
use crate::rows::{Columns, VALUE, source};

const COMPONENT: &str = "hetero_feature_binning";
/// The same each time, so that runs compare; it hides nothing.
const SECRET_SEED: [u8; 64] = [7; 64];

/// An operation with its tables.
pub(crate) struct Work {
    rows: u64,
    kind: Kind,
}

enum Kind {
    Map(Table),
    Exchange(Table, u32),
    Join(Table, Table),
    Reduce(Table),
    Component(Arc<dyn Component>, Box<Task>),
    Mask(Table, BlobRef),
}

impl Work {
    /// Makes the tables, in `partitions` partitions.
    pub(crate) async fn prepare(
        operation: Operation,
        components: &Components,
        session: &Arc<dyn Computing>,
        rows: u64,
        partitions: u32,
    ) -> Result<Self> {
        let (loose, keyed) = (Layout::Loose(partitions), Layout::Keyed(partitions));
        let put = async |columns, first, layout| {
            let (schema, rows) = source(columns, rows, first)?;
            Table::of_handle(session.clone(), session.put(&schema, rows, layout).await?)
        };
        let kind = match operation {
            Operation::Map => Kind::Map(put(Columns::Value, 0, loose).await?),
            Operation::Exchange => Kind::Exchange(put(Columns::Value, 0, loose).await?, partitions),
            Operation::Join => {
                let left = put(Columns::Value, 0, keyed.clone()).await?;
                Kind::Join(left, put(Columns::Value, rows / 3, keyed).await?)
            }
            Operation::Reduce => Kind::Reduce(put(Columns::Value, 0, loose).await?),
            Operation::Binning => {
                let aligned = Layout::Rows(RowRanges::even(rows, partitions));
                component(components, session, put(Columns::Labelled, 0, aligned).await?)?
            }
            Operation::Mask => {
                let secret = Secret::from_uniform_bytes(&SECRET_SEED)?.to_blob();
                let secret = session.put_blob(secret).await?;
                Kind::Mask(put(Columns::Value, 0, loose).await?, secret)
            }
        };
        Ok(Self { rows, kind })
    }

    /// Runs it once, to the last row.
    pub(crate) async fn run(&self) -> Result<()> {
        match &self.kind {
            Kind::Map(table) => {
                let positive =
                    Predicate { column: VALUE.into(), comparison: Comparison::Ge, value: Value::Int(0) };
                let kept = table.filter(&positive)?.keep().await?.count().await?;
                if kept <= self.rows { Ok(()) } else { Err(wrong_rows(kept, self.rows)) }
            }
            Kind::Exchange(table, partitions) => {
                self.expect_all(table.keyed(*partitions)?.keep().await?).await
            }
            Kind::Join(left, right) => self.expect_all(left.join(right)?.keep().await?).await,
            Kind::Reduce(table) => {
                let measure = |function, name: &str| Measure::of(function, VALUE).named(name);
                let measures = [
                    measure(Function::Sum, "sum"),
                    measure(Function::Min, "least"),
                    measure(Function::Max, "greatest"),
                    measure(Function::Count, "count"),
                ];
                let row = table.reduce(&measures).await?;
                row.map(drop).ok_or_else(|| Error::bug("a sum of rows gave nothing"))
            }
            Kind::Component(component, task) => self.run_component(&**component, task).await,
            Kind::Mask(table, secret) => {
                let call = KernelCall::map::<MaskIds>(&MaskIdsParams::default())?.with_blob(secret.clone());
                self.expect_all(table.map(call)?.keep().await?).await
            }
        }
    }

    async fn expect_all(&self, table: Table) -> Result<()> {
        let count = table.count().await?;
        if count == self.rows { Ok(()) } else { Err(wrong_rows(count, self.rows)) }
    }

    /// As the task executor does it: outputs are kept before they would be stored.
    async fn run_component(&self, component: &dyn Component, task: &Task) -> Result<()> {
        for (_, output) in component.run(task).await?.data {
            if let DataOutput::Table(table) = output {
                self.expect_all(table.keep().await?).await?;
            }
        }
        Ok(())
    }
}

fn wrong_rows(got: u64, expected: u64) -> Error {
    Error::bug(format!("{got} rows came out of {expected}"))
}

/// The binning of a guest's own columns, as a job would give it to the component.
fn component(components: &Components, session: &Arc<dyn Computing>, table: Table) -> Result<Kind> {
    let component = components
        .get(COMPONENT)
        .cloned()
        .ok_or_else(|| Error::bug(format!("no component {COMPONENT} in this binary")))?;
    let given =
        json!({"method": "quantile", "n_bins": 10, "local_only": true, "transform_method": "bin_idx"});
    let given = given.as_object().cloned().unwrap_or_default();
    let parameters = component.definition().validate_parameters(Stage::Train, &given);
    let parameters = parameters.map_err(|problems| {
        let text: Vec<String> = problems.into_iter().map(|p| p.message).collect();
        Error::bug(format!("parameters of {COMPONENT}: {}", text.join("; ")))
    })?;
    let own = Party::new("guest", "bench")?;
    let task = Task {
        name: "binning_0".into(),
        stage: Stage::Train,
        parties: vec![own.clone()],
        parameters: parameters.values,
        inputs: BTreeMap::from([("train_data".to_string(), vec![Input::Table(table)])]),
        producers: BTreeMap::new(),
        computing: session.clone(),
        federation: Alone::new(own.clone(), session.spec().id.clone()),
        releases: Releases::alone(),
        checkpoint: None,
        progress: Arc::new(Unwatched),
        own,
    };
    Ok(Kind::Component(component, Box::new(task)))
}
