//! The metrics of an evaluation: numbers in a table, and the pictures of its tables.

use serde_json::Value;
use tributary_core::Result;

use crate::chart::{self, Chart, Line, bars};
use crate::html::Html;
use crate::metrics::cell;

/// Adds every set of every input.
pub(crate) fn show(html: &mut Html, data: &Value) -> Result<()> {
    for (producer, sets) in data.as_object().into_iter().flatten() {
        for (set, entries) in sets.as_object().into_iter().flatten() {
            html.raw("<h3>").text(&format!("{set} of {producer}")).raw("</h3>");
            let entries: Vec<&Value> = entries.as_array().into_iter().flatten().flat_map(flat).collect();
            one(html, &entries)?;
        }
    }
    Ok(())
}

/// Two metrics that belong together are a list.
fn flat(entry: &Value) -> Vec<&Value> {
    entry.as_array().map_or(vec![entry], |pair| pair.iter().collect())
}

fn one(html: &mut Html, entries: &[&Value]) -> Result<()> {
    let number = |entry: &&&Value| !entry["val"].is_object();
    let rows: Vec<Vec<String>> = entries
        .iter()
        .filter(number)
        .map(|entry| vec![cell(&entry["metric"]), cell(&entry["val"])])
        .collect();
    if !rows.is_empty() {
        html.table(&["metric", "value"], &rows);
    }
    let table = |name: &str| entries.iter().find(|entry| entry["metric"] == name).map(|entry| &entry["val"]);
    html.raw("<div class=pictures>");
    if let Some(ks) = table("ks_table") {
        roc(html, ks)?;
        differences(html, ks)?;
    }
    if let Some(lift) = table("lift") {
        curve(html, "Lift", ("share of rows that is predicted", "lift"), lift, ("liftx", "lifty"))?;
    }
    if let Some(gain) = table("gain") {
        curve(
            html,
            "Gain",
            ("share of rows that is predicted", "share of the class"),
            gain,
            ("gainx", "gainy"),
        )?;
    }
    if let (Some(precision), Some(recall)) = (table("biclass_precision_table"), table("biclass_recall_table"))
    {
        let points = numbers(&recall["r"]).into_iter().zip(numbers(&precision["p"]));
        let lines = vec![Line::new("", points)];
        let title = "Precision and recall";
        chart::show(html, &Chart { title, axes: ("recall", "precision"), lines, beside: None, least: UNIT })?;
    }
    if let Some(psi) = table("psi_table") {
        stability(html, psi)?;
    }
    html.raw("</div>");
    Ok(())
}

/// Shares are shown from nothing to all.
const UNIT: ((f64, f64), (f64, f64)) = ((0.0, 0.0), (1.0, 1.0));

fn numbers(values: &Value) -> Vec<f64> {
    values.as_array().into_iter().flatten().map(|value| value.as_f64().unwrap_or(f64::NAN)).collect()
}

/// Of a column with a number of either label: those of one.
fn of_label(values: &Value, label: usize) -> Vec<f64> {
    values.as_array().into_iter().flatten().map(|pair| pair[label].as_f64().unwrap_or(f64::NAN)).collect()
}

fn roc(html: &mut Html, ks: &Value) -> Result<()> {
    let points = numbers(&ks["fpr"]).into_iter().zip(numbers(&ks["tpr"]));
    let lines = vec![Line::new("", points)];
    let axes = ("false positive rate", "true positive rate");
    chart::show(
        html,
        &Chart { title: "ROC", axes, lines, beside: Some(((0.0, 0.0), (1.0, 1.0))), least: UNIT },
    )
}

fn differences(html: &mut Html, ks: &Value) -> Result<()> {
    let (cuts, tpr, fpr) = (numbers(&ks["cuts"]), numbers(&ks["tpr"]), numbers(&ks["fpr"]));
    let gaps = tpr.iter().zip(&fpr).map(|(tpr, fpr)| tpr - fpr);
    let gaps: Vec<(f64, f64)> = cuts.iter().copied().zip(gaps).collect();
    let of = |values: Vec<f64>| cuts.iter().copied().zip(values).collect::<Vec<_>>();
    let lines = vec![
        Line::new("label 1", of(tpr.clone())),
        Line::new("label 0", of(fpr.clone())),
        Line::new("difference", gaps),
    ];
    let axes = ("share of rows, highest scores first", "share of the class");
    chart::show(html, &Chart { title: "Kolmogorov and Smirnov", axes, lines, beside: None, least: UNIT })
}

fn curve(
    html: &mut Html,
    title: &str,
    axes: (&str, &str),
    table: &Value,
    (x, y): (&str, &str),
) -> Result<()> {
    let line = |label: usize| {
        let mut points: Vec<(f64, f64)> =
            of_label(&table[x], label).into_iter().zip(of_label(&table[y], label)).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        Line::new(&format!("label {label}"), points)
    };
    let lines = vec![line(1), line(0)];
    chart::show(html, &Chart { title, axes, lines, beside: None, least: UNIT })
}

fn stability(html: &mut Html, psi: &Value) -> Result<()> {
    let expected = numbers(&psi["expected_percentage"]);
    let groups: Vec<[f64; 2]> =
        expected.into_iter().zip(numbers(&psi["actual_percentage"])).map(|(e, a)| [e, a]).collect();
    if groups.is_empty() {
        return Ok(());
    }
    let axes = ("intervals of scores, ascending", "share of rows");
    html.raw("<figure>").raw(&bars("Stability", axes, ["train", "this set"], &groups)?).raw("</figure>");
    Ok(())
}
