//! Which column of each file has the ids: that whose values differ within its file, and occur in the others.
//!
//! Names only break ties. A column that merely counts rows occurs in every file, too; so where two pairs of columns do as well, the choice is not
//! sure.

use tributary_core::{Error, ErrorKind, Result};
use tributary_document::{quoted, suggestion};
use tributary_ingest::{Look, LookedColumn};

/// What a name that says "id" is worth, beside all values in common.
const NAMED: f64 = 0.3;
/// By how much the best must be better than the next.
const CLEARLY: f64 = 0.1;
/// Ids may be repeated by mistake, but not in most rows.
const LEAST_DISTINCT: f64 = 0.5;

/// The ids' columns.
#[derive(Debug, Clone)]
pub struct Ids {
    /// The position of each file's.
    pub columns: Vec<usize>,
    /// Why these.
    pub why: String,
    /// Whether no others would do about as well; a person may be asked.
    pub is_sure: bool,
}

/// Positions of a file's columns that could be ids.
pub(super) fn candidates(look: &Look) -> Vec<usize> {
    let is_id = |column: &LookedColumn| {
        let decimal = column.is_numeric && !column.is_integer;
        !column.is_empty() && !decimal && column.distinct_part() >= LEAST_DISTINCT
    };
    (0..look.columns.len()).filter(|i| is_id(&look.columns[*i])).collect()
}

/// The position of a named column.
pub(super) fn position(look: &Look, name: &str) -> Result<usize> {
    let found = look.columns.iter().position(|column| column.name == name);
    found.ok_or_else(|| {
        let names = look.columns.iter().map(|column| column.name.as_str());
        let help = suggestion(name, names).map_or(String::new(), |help| format!(" ({help})"));
        let text = format!("{} has no column {}{help}", look.file.display(), quoted(name));
        Error::new(ErrorKind::NotFound, text)
    })
}

pub(super) fn choose(looks: &[Look], given: &[Option<String>]) -> Result<Ids> {
    let choices: Vec<Vec<usize>> = (looks.iter().zip(given))
        .map(|(look, given)| match given {
            Some(name) => Ok(vec![position(look, name)?]),
            None => Ok(candidates(look)),
        })
        .collect::<Result<_>>()?;
    let (Some((first, others)), Some(first_choices)) = (looks.split_first(), choices.first()) else {
        return Err(Error::bug("no files"));
    };
    let mut ranked: Vec<(f64, Vec<(usize, f64)>)> = Vec::new();
    for one in first_choices {
        let of_others = others.iter().zip(&choices[1..]);
        let best: Vec<(usize, f64, f64)> =
            of_others.filter_map(|(other, choices)| partner(&first.columns[*one], other, choices)).collect();
        if best.len() == others.len() {
            let total = best.iter().map(|(_, score, _)| score).sum::<f64>() / best.len().max(1) as f64;
            let clear = best.iter().map(|(_, _, clear)| *clear).fold(f64::INFINITY, f64::min);
            let columns = std::iter::once((*one, clear)).chain(best.iter().map(|(i, _, clear)| (*i, *clear)));
            ranked.push((total, columns.collect()));
        }
    }
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let Some((score, columns)) = ranked.first() else { return Err(nothing_in_common(looks)) };
    let next = ranked.get(1).map_or(0.0, |(score, _)| *score);
    let is_sure = score - next > CLEARLY && columns.iter().all(|(_, clear)| *clear > CLEARLY);
    let columns: Vec<usize> = columns.iter().map(|(column, _)| *column).collect();
    let why = why(looks, &columns, given.iter().all(Option::is_some));
    Ok(Ids { columns, why, is_sure })
}

/// The best column of another file for one of the first: with its score, and by how much it is better than the next.
fn partner(one: &LookedColumn, other: &Look, choices: &[usize]) -> Option<(usize, f64, f64)> {
    let score = |choice: &usize| {
        let column = &other.columns[*choice];
        let shared = one.shared_part(column);
        let distinct = one.distinct_part().min(column.distinct_part());
        let named = (named(one) + named(column)) / 2.0;
        (shared > 0.0).then_some((*choice, shared * distinct + NAMED * named))
    };
    let mut scores: Vec<(usize, f64)> = choices.iter().filter_map(score).collect();
    scores.sort_by(|a, b| b.1.total_cmp(&a.1));
    let (best, score) = *scores.first()?;
    Some((best, score, scores.get(1).map_or(f64::INFINITY, |(_, next)| score - next)))
}

/// 1 for a name that says that it is an id, −1 for one that counts rows.
fn named(column: &LookedColumn) -> f64 {
    let name = column.name.to_lowercase();
    let words: Vec<&str> =
        name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let is_id =
        |word: &&str| matches!(*word, "id" | "ids" | "uid" | "uuid" | "key" | "ident" | "identifier" | "sid");
    match words[..] {
        ["unnamed", ..] | ["index"] | ["row"] | ["no"] | ["nr"] => -1.0,
        _ if words.iter().any(is_id) || name.ends_with("id") => 1.0,
        _ => 0.0,
    }
}

fn nothing_in_common(looks: &[Look]) -> Error {
    let files: Vec<String> = looks.iter().map(|look| look.file.display().to_string()).collect();
    Error::invalid(format!(
        "no column of {} has values that a column of each of the others has, so no rows would be found in common; are ids written alike in all \
         of them? Name their columns with --id COLUMN, or --id FILE=COLUMN",
        files.join(", ")
    ))
}

fn why(looks: &[Look], columns: &[usize], all_given: bool) -> String {
    let of = |(look, column): (&Look, &usize)| {
        format!("{} of {}", quoted(&look.columns[*column].name), look.file.display())
    };
    let named: Vec<String> = looks.iter().zip(columns).map(of).collect();
    let column = |file: usize| &looks[file].columns[columns[file]];
    let shared = (1..looks.len()).map(|file| column(0).shared_part(column(file))).fold(1.0, f64::min);
    let repeated = (0..looks.len()).any(|file| column(file).distinct_part() < 1.0);
    let repeated = if repeated { ", some are repeated" } else { ", none is repeated" };
    let given = if all_given { "as you said; " } else { "" };
    format!("ids: {} ({given}{:.0}% of the values are in common{repeated})", named.join(", "), shared * 100.0)
}
