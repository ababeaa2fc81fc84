//! Metrics of any component: a series as a line, a list of records as a table, a record as names and values.

use serde_json::Value;
use tributary_component::Metric;
use tributary_core::Result;

use crate::chart::{Chart, Line};
use crate::html::Html;
use crate::{chart, evaluation};

/// Rows of a table that are shown.
const ROWS: usize = 200;

/// Adds a metric to a page.
pub(crate) fn show(html: &mut Html, metric: &Metric) -> Result<()> {
    if metric.kind.as_deref() == Some("evaluation") {
        return evaluation::show(html, &metric.data);
    }
    html.raw("<h3>").text(&metric.name).raw("</h3>");
    match (&metric.data, &metric.step_axis) {
        (Value::Array(steps), Some(axis)) => {
            html.raw("<div class=pictures>");
            series(html, &metric.name, axis, steps)?;
            html.raw("</div>");
        }
        (Value::Array(records), None) if !records.is_empty() && records.iter().all(Value::is_object) => {
            let head =
                records[0].as_object().map(|record| record.keys().map(String::as_str).collect::<Vec<_>>());
            let head = head.unwrap_or_default();
            let row = |record: &Value| head.iter().map(|key| cell(&record[*key])).collect();
            html.table(&head, &records.iter().take(ROWS).map(row).collect::<Vec<_>>());
            if records.len() > ROWS {
                html.raw("<p>").text(&format!("and {} more", records.len() - ROWS)).raw("</p>");
            }
        }
        (Value::Object(record), _) => {
            let rows: Vec<Vec<String>> =
                record.iter().map(|(name, value)| vec![name.clone(), cell(value)]).collect();
            html.table(&["name", "value"], &rows);
        }
        (other, _) => drop(html.raw("<pre>").text(&cell(other)).raw("</pre>")),
    }
    Ok(())
}

fn series(html: &mut Html, name: &str, axis: &str, steps: &[Value]) -> Result<()> {
    let value = |step: &Value| match &step["metric"] {
        Value::Array(list) => list.first().and_then(Value::as_f64),
        one => one.as_f64(),
    };
    let points: Vec<_> =
        steps.iter().filter_map(|step| Some((step["step"].as_f64()?, value(step)?))).collect();
    let lowest = points.iter().map(|point| point.1).fold(f64::INFINITY, f64::min);
    let first = points.first().map_or(0.0, |point| point.0);
    let least = ((first, lowest), (first, lowest));
    let lines = vec![Line::new(name, points)];
    chart::show(html, &Chart { title: name, axes: (axis, ""), lines, beside: None, least })
}

/// A value in a table: numbers in six digits at most.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Number(number) if number.is_f64() => {
            let number = number.as_f64().unwrap_or(f64::NAN);
            match number.abs() {
                size if size != 0.0 && !(1e-4..1e9).contains(&size) => format!("{number:.4e}"),
                _ => ((number * 1e6).round() / 1e6).to_string(),
            }
        }
        other => other.to_string(),
    }
}
