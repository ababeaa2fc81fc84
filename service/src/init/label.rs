//! Which column is to be predicted: by its name and its values.

use tributary_core::{Error, ErrorKind, Result};
use tributary_document::{quoted, suggestion};
use tributary_ingest::{Look, LookedColumn};

use super::Ids;
use super::ids::position;

/// Names that say so, in the words of a name.
const NAMES: [&str; 14] = [
    "y",
    "label",
    "labels",
    "target",
    "class",
    "outcome",
    "diagnosis",
    "default",
    "churn",
    "churned",
    "response",
    "fraud",
    "returned",
    "event",
];
/// More different integers are a number, not classes.
const MOST_CLASSES: usize = 10;
/// Columns that are named in a message.
const SHOWN: usize = 8;

/// What a label of such values asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Goal {
    /// 0 and 1, or −1 and 1.
    Binary,
    /// 0, 1, …
    Multi {
        /// So many.
        classes: usize,
    },
    /// Any numbers.
    Regression,
}

/// A column to be predicted.
#[derive(Debug, Clone)]
pub struct Label {
    /// The file that has it.
    pub file: usize,
    /// Its position.
    pub column: usize,
    /// What is learned.
    pub goal: Goal,
    /// Why this one.
    pub why: String,
}

/// What can be learned from a column, or why nothing can.
fn goal(column: &LookedColumn) -> std::result::Result<Goal, &'static str> {
    if !column.is_numeric || column.is_empty() {
        return Err("its values are no numbers; write 0 and 1 for two classes, 0, 1, 2 … for more");
    }
    let Some(values) = &column.values else { return Ok(Goal::Regression) };
    let mut numbers: Vec<f64> = values.iter().filter_map(|value| value.trim().parse().ok()).collect();
    numbers.sort_by(f64::total_cmp);
    numbers.dedup();
    match numbers[..] {
        [_] => Err("all its values are equal"),
        [zero, one] if one == 1.0 && (zero == 0.0 || zero == -1.0) => Ok(Goal::Binary),
        [_, _] => Err("it has two values, but they are not 0 and 1"),
        _ if numbers.len() <= MOST_CLASSES
            && numbers.iter().enumerate().all(|(i, number)| *number == i as f64) =>
        {
            Ok(Goal::Multi { classes: numbers.len() })
        }
        _ => Ok(Goal::Regression),
    }
}

fn is_named(column: &LookedColumn) -> bool {
    let name = column.name.to_lowercase();
    name.split(|c: char| !c.is_alphanumeric()).any(|word| NAMES.contains(&word))
}

/// All columns that could be it: those with such a name, and those of 0 and 1.
pub(super) fn candidates<'a>(
    looks: &'a [Look],
    ids: &'a Ids,
) -> impl Iterator<Item = (usize, &'a LookedColumn)> + 'a {
    let of_file = |(file, look): (usize, &'a Look)| {
        let id = ids.columns[file];
        let others = look.columns.iter().enumerate().filter(move |(i, _)| *i != id);
        others.map(move |(_, column)| (file, column))
    };
    let could = |column: &LookedColumn| match goal(column) {
        Ok(Goal::Binary) => column.missing == 0 || is_named(column),
        Ok(_) => is_named(column),
        Err(_) => false,
    };
    looks.iter().enumerate().flat_map(of_file).filter(move |(_, column)| could(column))
}

pub(super) fn choose(looks: &[Look], ids: &Ids, given: Option<&str>) -> Result<Label> {
    if let Some(given) = given {
        return named(looks, ids, given);
    }
    let all: Vec<(usize, &LookedColumn)> = candidates(looks, ids).collect();
    let by_name: Vec<&(usize, &LookedColumn)> = all.iter().filter(|(_, column)| is_named(column)).collect();
    match (&by_name[..], &all[..]) {
        ([(file, column)], _) => of(looks, *file, column, "by its name and its values"),
        ([], [(file, column)]) => of(looks, *file, column, "the only column of two values"),
        _ => Err(unknown(looks, &all)),
    }
}

/// The column that was said, in whichever file has it.
fn named(looks: &[Look], ids: &Ids, given: &str) -> Result<Label> {
    let of_file = looks.iter().enumerate().find_map(|(file, look)| Some((file, look.of_file(given)?)));
    let (files, column) = match of_file {
        Some((file, column)) => (vec![file], column),
        None => {
            let has = |file: &usize| looks[*file].columns.iter().any(|column| column.name == given);
            ((0..looks.len()).filter(has).collect(), given)
        }
    };
    match files[..] {
        [file] if ids.columns[file] == position(&looks[file], column)? => {
            Err(Error::invalid(format!("label {}: this column has the ids", quoted(column))))
        }
        [file] => {
            let at = position(&looks[file], column)?;
            of(looks, file, &looks[file].columns[at], "as you said")
        }
        [] => {
            let names = looks.iter().flat_map(|look| look.columns.iter().map(|column| column.name.as_str()));
            let help = suggestion(given, names);
            let help = help.map_or(String::new(), |help| format!(" ({help})"));
            let text = format!("no file has a column {}{help}", quoted(given));
            Err(Error::new(ErrorKind::NotFound, text))
        }
        _ => Err(Error::invalid(format!(
            "label {}: several files have this column; give --label FILE=COLUMN",
            quoted(given)
        ))),
    }
}

fn of(looks: &[Look], file: usize, column: &LookedColumn, why: &str) -> Result<Label> {
    let look = &looks[file];
    let named = format!("{} of {}", quoted(&column.name), look.file.display());
    let goal = goal(column).map_err(|why| Error::invalid(format!("label {named}: {why}")))?;
    let what = match goal {
        Goal::Binary => "two classes".to_owned(),
        Goal::Multi { classes } => format!("{classes} classes"),
        Goal::Regression => "a number".to_owned(),
    };
    let why = format!("label: {named} ({why}; it is {what}); this file is the guest's");
    Ok(Label { file, column: position(look, &column.name)?, goal, why })
}

fn unknown(looks: &[Look], all: &[(usize, &LookedColumn)]) -> Error {
    let shown = |(file, column): &(usize, &LookedColumn)| {
        format!("{} of {}", quoted(&column.name), looks[*file].file.display())
    };
    let help = "name one with --label COLUMN, or make a job without a model with --no-label";
    if !all.is_empty() {
        let names: Vec<String> = all.iter().take(SHOWN).map(shown).collect();
        let more = if all.len() > SHOWN { " and others" } else { "" };
        return Error::invalid(format!(
            "several columns could be the label: {}{more}; {help}",
            names.join(", ")
        ));
    }
    let text = looks.iter().enumerate().find_map(|(file, look)| {
        let column = look.columns.iter().find(|column| is_named(column))?;
        let why = goal(column).err()?;
        Some(format!("{} has the name of one, but {why}; ", shown(&(file, column))))
    });
    Error::invalid(format!("no column looks like a label; {}{help}", text.unwrap_or_default()))
}
