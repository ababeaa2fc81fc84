//! Notes for the user about the chosen columns: a default choice is the most likely mistake of an upload.

use tributary_core::Purpose;
use tributary_csv::ValueType;
use tributary_document::quoted;

use super::{Column, Hints};
use crate::options::{SampleId, UploadOptions};

/// Names that suggest ids.
const IDS: [&str; 6] = ["id", "sid", "uid", "uuid", "sample_id", "user_id"];
/// Names that suggest labels.
const LABELS: [&str; 4] = ["y", "label", "target", "class"];

/// `id`: position of the ids, if the files have them.
pub(super) fn of(
    options: &UploadOptions,
    names: &[String],
    id: Option<usize>,
    values: &[Column],
    hints: &Hints,
) -> Vec<String> {
    let mut notes = options.notes.clone();
    notes.extend(hints.notes.iter().cloned());
    let says = |name: &str, known: &[&str]| known.iter().any(|known| name.eq_ignore_ascii_case(known));
    let feature = |known: &[&str]| {
        values.iter().find(|column| column.purpose == Purpose::Value && says(&column.name, known))
    };
    let is_chosen =
        options.sample_id == SampleId::FirstColumn && !id.is_some_and(|id| says(&names[id], &IDS));
    if let Some(column) = feature(&IDS).filter(|_| is_chosen) {
        let name = quoted(&column.name);
        notes.push(format!("column {name} is a feature; if it has the ids, name it (--id)"));
    }
    if let Some(column) = feature(&LABELS).filter(|_| options.label.is_none()) {
        let name = quoted(&column.name);
        notes.push(format!(
            "column {name} is a feature, because no label was named; if it is the label, name it (--label)"
        ));
    }
    if names.iter().any(|name| name.trim() != name) {
        notes.push("names of columns have spaces around them, which are part of the names".into());
    }
    if !names.is_empty() && names.iter().all(|name| name.parse::<f64>().is_ok()) {
        notes.push(
            "all names of columns are numbers; if the first line is a row, say so (--no-header)".into(),
        );
    }
    let text =
        id.into_iter().chain(values.iter().filter(|c| c.purpose == Purpose::MatchId).map(|c| c.position));
    for name in text.map(|position| &names[position]) {
        let given = options.columns.get(name).and_then(|own| own.value_type);
        if let Some(given) = given.filter(|given| *given != ValueType::Text) {
            let name = quoted(name);
            notes.push(format!("column {name} has ids, which are text; its type {given} was ignored"));
        }
    }
    notes
}
