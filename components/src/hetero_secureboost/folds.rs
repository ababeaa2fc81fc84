//! Cross validation: a model for each fold, of the rows of all others, predicts the rows of the fold.
//!
//! Rows are cut by number, which is the same at all parties, so nothing is said about folds. Nothing is kept between folds: an attempt at
//! the whole begins again.

use serde_json::json;
use tributary_component::output::{Metric, Outputs};
use tributary_component::task::Task;
use tributary_core::ops::rows::{Comparison, Predicate, Value};
use tributary_core::{Layout, Result, Table};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::columns::BinnedRows;
use super::parameters::{CvParam, FoldParameters};
use super::{Scope, aligned, frame, guest, host, measure, rows, walk};

/// Trains and predicts fold by fold.
pub(super) async fn run(task: &Task) -> Result<Outputs> {
    let FoldParameters { cv_param, output_cv_data } = task.parameters()?;
    let table = aligned(task, "cv_data")?;
    let Layout::Rows(ranges) = table.layout() else {
        return Err(tributary_core::Error::bug("rows without an order"));
    };
    let of_rows = folds(&cv_param, ranges.all().end - ranges.all().start);
    let (mut predictions, mut metrics) = (Vec::new(), Vec::new());
    for fold in 0..cv_param.n_splits {
        task.note(format!("fold {} of {}", fold + 1, cv_param.n_splits));
        let is_in = |inside: bool| of_rows.iter().map(|of| (*of == fold) == inside).collect::<Vec<bool>>();
        let scope = Scope {
            task,
            input: "cv_data",
            place: format!("fold.{fold}."),
            resumes: false,
            whole: Some(table),
        };
        let (train, test) = (part(task, table, &is_in(false)).await?, part(task, table, &is_in(true)).await?);
        match task.is_guest() {
            true => {
                let (table, metric) = of_guest(&scope, &train, &test, fold).await?;
                predictions.push(table);
                metrics.push(metric);
            }
            false => {
                let model = host::fit(&scope, &train, None, None).await?;
                let rows = BinnedRows::keep(&model.columns.assign(&test)?).await?;
                model.release_answers(task, scope.input, &test, 0).await?;
                walk::answer(&scope, "predict", &rows, &model).await?;
            }
        }
    }
    let outputs = match output_cv_data && !predictions.is_empty() {
        true => Outputs::default().table("cv_output_datas", Table::concat(&predictions)?),
        false => Outputs::default(),
    };
    Ok(metrics.into_iter().fold(outputs, Outputs::metric))
}

async fn of_guest(scope: &Scope<'_>, train: &Table, test: &Table, fold: u32) -> Result<(Table, Metric)> {
    let trained = guest::fit(scope, train, None, None).await?;
    let model = trained.model;
    let rows = BinnedRows::keep(&model.columns.assign(test)?).await?;
    let trees = model.trees.len();
    let scores = walk::scores(scope, "predict", &rows, &model, 0..trees, None).await?;
    let (targets, _) = guest::targets(test, model.objective).await?;
    let value = measure::value(model.objective, &rows::numbers(&scores).await?, &targets);
    let metric = Metric::one_off(
        &format!("fold_{fold}"),
        Some("custom"),
        json!({ (measure::name(model.objective)): value }),
    );
    let table = frame::frame(test, &scores, &model, &format!("fold_{fold}"))?.keep().await?;
    Ok((table, metric))
}

/// The fold of each row: folds of nearly equal size, of rows that follow one another, in their order or in one that is drawn.
fn folds(cv: &CvParam, rows: u64) -> Vec<u32> {
    let mut order: Vec<u64> = (0..rows).collect();
    if cv.shuffle {
        order.sort_by_cached_key(|row| (xxh3_64_with_seed(&row.to_le_bytes(), cv.random_state), *row));
    }
    let mut folds = vec![0; rows as usize];
    for (place, row) in (0u64..).zip(order) {
        folds[row as usize] = (u128::from(place) * u128::from(cv.n_splits) / u128::from(rows.max(1))) as u32;
    }
    folds
}

/// The flagged rows of a table, in their order.
async fn part(task: &Task, table: &Table, taken: &[bool]) -> Result<Table> {
    let Layout::Rows(ranges) = table.layout() else {
        return Err(tributary_core::Error::bug("rows without an order"));
    };
    let columns: Vec<String> = table.schema().fields().iter().map(|field| field.name.clone()).collect();
    let beside = table.zip(&rows::sampled(task, taken, ranges).await?)?;
    let flag = beside.schema().fields().last().map(|field| field.name.clone()).unwrap_or_default();
    let flagged = Predicate { column: flag, comparison: Comparison::Eq, value: Value::Int(1) };
    beside.filter(&flagged)?.select(columns)?.keep_rows().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_are_of_nearly_equal_size_and_the_same_for_one_seed() {
        let cv = |shuffle, random_state| CvParam { n_splits: 3, shuffle, random_state };
        assert_eq!(folds(&cv(false, 0), 7), [0, 0, 0, 1, 1, 2, 2]);
        let drawn = folds(&cv(true, 4), 100);
        for fold in 0..3 {
            assert!((33..=34).contains(&drawn.iter().filter(|of| **of == fold).count()));
        }
        assert_eq!(folds(&cv(true, 4), 100), drawn);
        assert_ne!(folds(&cv(true, 5), 100), drawn);
        assert!(folds(&cv(false, 0), 0).is_empty());
    }
}
