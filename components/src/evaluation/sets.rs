//! The sets of rows that are measured apart: by input, and by the column `type` of each.

use tributary_binning::{ListCategories, ListParams, TextCategories};
use tributary_component::task::Task;
use tributary_core::kernel::KernelCall;
use tributary_core::ops::rows::{Comparison, Predicate, Value};
use tributary_core::{Error, Result, Table};
use tributary_evaluation::Ranked;

/// The column that says which set a row belongs to.
const TYPE: &str = "type";

/// The set of rows that no column tells apart.
const WHOLE: &str = "origin";

/// Rows that are measured together.
pub(super) struct Set {
    /// The task that made them.
    pub producer: String,
    /// Their `type`.
    pub group: String,
    pub table: Table,
    /// Their scores in order, where a metric needs that.
    pub ranked: Option<Ranked>,
}

impl Set {
    /// For messages.
    pub(super) fn name(&self) -> String {
        format!("{} of {}", self.group, self.producer)
    }
}

/// All sets, in the order of inputs.
pub(super) async fn of(task: &Task) -> Result<Vec<Set>> {
    let mut sets: Vec<Set> = Vec::new();
    for (producer, table) in task.tables("input_datas")? {
        for (group, table) in groups(table).await.map_err(|e| e.at(format!("input of {producer}")))? {
            // Several inputs of one task may have a group of this name.
            let is_taken = |name: &str| sets.iter().any(|set| set.producer == producer && set.group == name);
            let further = (1..).map(|number| format!("{group}_{number}"));
            let free = std::iter::once(group.clone()).chain(further).find(|name| !is_taken(name));
            let group = free.ok_or_else(|| Error::bug("no name is free"))?;
            sets.push(Set { producer: producer.into(), group, table, ranked: None });
        }
    }
    Ok(sets)
}

async fn groups(table: &Table) -> Result<Vec<(String, Table)>> {
    if table.schema().field(TYPE).is_none_or(|field| field.data_type != arrow_schema::DataType::Utf8) {
        return Ok(vec![(WHOLE.into(), table.clone())]);
    }
    let features = vec![TYPE.to_owned()];
    let call = KernelCall::fold::<ListCategories>(&ListParams { features: features.clone() })?;
    let listed = TextCategories::read(&table.map(call)?.collect().await?, &features)?;
    let types: Vec<String> = listed.into_iter().flat_map(|column| column.categories).collect();
    let (mut groups, mut rows) = (Vec::new(), 0);
    for group in types {
        let chosen =
            Predicate { column: TYPE.into(), comparison: Comparison::Eq, value: Value::Text(group.clone()) };
        let chosen = table.filter(&chosen)?;
        rows += chosen.count().await?;
        groups.push((group, chosen));
    }
    let all = table.count().await?;
    if rows != all {
        return Err(Error::invalid(format!("{} rows have no value in column {TYPE:?}", all - rows)));
    }
    // Nothing is to be told apart, and nothing need be filtered.
    if let [(_, only)] = &mut groups[..] {
        *only = table.clone();
    }
    Ok(groups)
}
