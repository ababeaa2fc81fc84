//! Results as text, for a terminal: a block for each operation, the best setting, a comparison.

use std::fmt::Write as _;

use crate::advice::{Advice, SAME, fastest};
use crate::compare::{Comparison, Pair, Verdict};
use crate::grid::Cell;
use crate::measurement::Measurement;
use crate::operation::Operation;
use crate::run::{Ended, Findings};
use crate::units::{Unit, grouped, time};

/// What is shown where nothing could be placed.
pub(crate) const NOT_PLACED: &str = "–";
/// What is shown where nothing was measured before the end.
const NOT_MEASURED: &str = "·";

/// All that was measured: times by partitions (rows) and cores (columns), and what the signs mean.
pub fn tables(findings: &Findings) -> String {
    let mut text = String::new();
    for operation in findings.grid.operations() {
        text.push_str(&block(findings, *operation));
        text.push('\n');
    }
    text.push_str(&legend(findings));
    text
}

/// One measurement, for those who watch.
pub fn line(measured: &Measurement) -> String {
    let rate = crate::units::significant(measured.rows_per_second / 1e6);
    format!(
        "{}, {}: {}, {rate} million rows/s",
        measured.operation,
        measured.cell(),
        time(measured.seconds_median)
    )
}

fn block(findings: &Findings, operation: Operation) -> String {
    let of = |cell: Cell| findings.measurements.iter().find(|m| m.operation == operation && m.cell() == cell);
    let all = findings.measurements.iter().filter(|m| m.operation == operation);
    let unit = Unit::of(all.map(|m| m.seconds_median));
    let best = fastest(&findings.measurements, operation).map(Measurement::cell);
    let show = |cell: Cell| {
        let refused = findings.unplaced.iter().any(|u| u.cell == cell);
        let Some(measured) = of(cell) else {
            return format!("{}  ", if refused { NOT_PLACED } else { NOT_MEASURED });
        };
        let star = if best == Some(cell) { '*' } else { ' ' };
        let ring = if findings.default == Some(cell) { '°' } else { ' ' };
        format!("{}{star}{ring}", unit.show(measured.seconds_median))
    };
    let rows = grouped(operation.rows(findings.grid.rows()));
    let mut text =
        format!("{operation}: {}; {rows} rows, times in {}\n", operation.description(), unit.name());
    text.push_str(&matrix(findings.grid.cores(), findings.grid.partitions(), &show));
    let outside = findings.default.filter(|default| findings.grid.cells().all(|cell| cell != *default));
    if let Some((cell, measured)) = outside.and_then(|cell| Some((cell, of(cell)?))) {
        let star = if best == Some(cell) { "*" } else { "" };
        let time = unit.show(measured.seconds_median);
        text.push_str(&format!("the default, {cell}: {time}{star}\n"));
    }
    text
}

/// Partitions down, cores across. A cell's last two places are for signs.
fn matrix(cores: &[u32], partitions: &[u32], show: &dyn Fn(Cell) -> String) -> String {
    let head = |n: &u32| format!("{n} core{}  ", if *n == 1 { "" } else { "s" });
    let mut lines = vec![[vec!["partitions".to_string()], cores.iter().map(head).collect()].concat()];
    lines.extend(partitions.iter().map(|&partitions| {
        let cells = cores.iter().map(|&cores| show(Cell { cores, partitions }));
        [partitions.to_string()].into_iter().chain(cells).collect()
    }));
    aligned(&lines)
}

/// Cells to the right, two spaces between.
fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let wide = |text: &String| text.chars().count();
    let widths: Vec<usize> =
        (0..columns).map(|c| lines.iter().filter_map(|l| l.get(c)).map(wide).max().unwrap_or(0)).collect();
    let line = |cells: &Vec<String>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:>width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_string() + "\n"
    };
    lines.iter().map(line).collect()
}

fn legend(findings: &Findings) -> String {
    let repeat = findings.grid.repeat();
    let times = if repeat == 1 { "one run".to_string() } else { format!("the median of {repeat} runs") };
    let mut text = format!(
        "Each time is {times} after one to warm up.  * fastest  ° what a job gets that asks for nothing\n"
    );
    if let Some(first) = findings.unplaced.first() {
        let same = findings.unplaced.iter().all(|u| u.reason == first.reason);
        let more = if same { "" } else { " (the others likewise)" };
        text.push_str(&format!("{NOT_PLACED} cannot be placed; {}: {}{more}\n", first.cell, first.reason));
    }
    let planned =
        findings.grid.cells().filter(|cell| findings.unplaced.iter().all(|u| u.cell != *cell)).count();
    let measured =
        findings.measurements.iter().filter(|m| findings.grid.cells().any(|cell| cell == m.cell())).count();
    if measured < planned * findings.grid.operations().len() {
        text.push_str(&format!("{NOT_MEASURED} not measured: it ended before\n"));
    }
    let mut differing: Vec<(u32, u32)> =
        findings.measurements.iter().map(|m| (m.cores, m.placed_cores)).collect();
    differing.sort_unstable();
    differing.dedup();
    for (asked, placed) in differing.into_iter().filter(|(asked, placed)| asked != placed) {
        let cores = if asked == 1 { "core" } else { "cores" };
        text.push_str(&format!("{asked} {cores} became {placed} on engine {}\n", findings.engine));
    }
    text
}

/// The best setting of each operation and of all, and how to ask for it.
pub fn advice(findings: &Findings, advice: &Advice) -> String {
    let mut lines = vec![
        ["fastest", "cores", "partitions", "time", "million rows/s", "over the default"]
            .map(String::from)
            .to_vec(),
    ];
    for operation in findings.grid.operations() {
        let Some(best) = fastest(&findings.measurements, *operation) else { continue };
        let default = findings.measurements.iter().find(|m| m.operation == *operation && m.default);
        let ratio = default.map(|d| format!("{:.2} ×", d.seconds_median / best.seconds_median));
        lines.push(vec![
            operation.to_string(),
            best.cores.to_string(),
            best.partitions.to_string(),
            time(best.seconds_median),
            crate::units::significant(best.rows_per_second / 1e6),
            ratio.unwrap_or_else(|| NOT_PLACED.into()),
        ]);
    }
    let mut text = aligned(&lines);
    let so_far = if matches!(findings.end, Ended::Done) { "" } else { ", of what was measured" };
    let gain = against_default(findings, advice);
    let _ = writeln!(text, "\nBest for all of them together{so_far}: {}{gain}.", advice.cell);
    let _ = write!(text, "In a job:\n\n{}", advice.to_yaml());
    text
}

fn against_default(findings: &Findings, advice: &Advice) -> String {
    let (Some(default), Some(gain)) = (findings.default, advice.gain) else { return String::new() };
    match gain {
        _ if default == advice.cell => ", which is the default".into(),
        gain if gain < SAME && advice.cell.cores < default.cores => {
            format!(", as fast as the default ({default}) on fewer cores")
        }
        gain if gain < SAME => format!(", as fast as the default ({default})"),
        gain => format!(", {gain:.2} times as fast as the default ({default})"),
    }
}

/// Ratios by partitions and cores, and what they amount to.
pub fn comparison(comparison: &Comparison) -> String {
    let mut text = String::new();
    let mut kinds: Vec<(Operation, u64)> = comparison.pairs.iter().map(|p| (p.operation, p.rows)).collect();
    kinds.dedup();
    for (operation, rows) in kinds {
        let pairs: Vec<&Pair> =
            comparison.pairs.iter().filter(|p| (p.operation, p.rows) == (operation, rows)).collect();
        let _ = writeln!(text, "{operation}, {} rows: time after by time before", grouped(rows));
        text.push_str(&ratios(&pairs));
        text.push('\n');
    }
    text.push_str(&totals(comparison));
    text
}

fn ratios(pairs: &[&Pair]) -> String {
    let in_order = |of: fn(&Cell) -> u32| {
        let mut numbers: Vec<u32> = pairs.iter().map(|p| of(&p.cell)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    };
    let show = |cell: Cell| match pairs.iter().find(|p| p.cell == cell) {
        Some(pair) => format!("{:.2} {}", pair.ratio, word(pair.verdict)),
        None => format!("{NOT_MEASURED} {}", word(Verdict::Same)),
    };
    matrix(&in_order(|c| c.cores), &in_order(|c| c.partitions), &show)
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Faster => "faster",
        Verdict::Slower => "slower",
        Verdict::Same => "      ",
    }
}

fn totals(comparison: &Comparison) -> String {
    let [faster, slower, same] =
        [Verdict::Faster, Verdict::Slower, Verdict::Same].map(|v| comparison.count(v));
    let mut text = match comparison.pairs.is_empty() {
        true => "The two have no measurement in common.\n".to_string(),
        false => format!(
            "{faster} faster, {slower} slower, {same} the same within the noise; on average (geometric) the time is {:.2} of what it was.\n",
            comparison.mean_ratio()
        ),
    };
    for (count, which) in [(comparison.only_before, "before"), (comparison.only_after, "after")] {
        if count > 0 {
            let _ = writeln!(text, "{count} measured only {which}.");
        }
    }
    comparison.notes.iter().for_each(|note| text.push_str(&format!("note: {note}\n")));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::tests::{Places, findings};
    use crate::measurement::tests::measured;
    use crate::run::Unplaced;
    use Operation::{Join, Map};

    #[test]
    fn a_block_has_partitions_down_and_cores_across() {
        let mut findings =
            findings(&[(Map, 1, 1, 0.5), (Map, 1, 2, 0.25), (Map, 2, 1, 0.3), (Map, 2, 2, 0.125)]);
        assert_eq!(
            tables(&findings).lines().skip(1).take(3).collect::<Vec<_>>(),
            [
                "partitions  1 core    2 cores",
                "         1     500        300",
                "         2     250        125*°"
            ]
        );
        findings.measurements.pop();
        let cell = Cell { cores: 2, partitions: 2 };
        findings.unplaced.push(Unplaced { cell, reason: "too many".into() });
        let text = tables(&findings);
        assert!(text.contains("         2     250*         –\n"), "{text}");
        assert!(text.contains("– cannot be placed; 2 cores, 2 partitions: too many\n"), "{text}");
    }

    #[test]
    fn what_a_stop_left_out_is_shown_and_explained() {
        let mut findings = findings(&[(Map, 1, 1, 0.5), (Map, 2, 2, 0.125), (Join, 1, 1, 1.0)]);
        findings.measurements.pop();
        let text = tables(&findings);
        assert!(text.contains("· not measured"), "{text}");
    }

    #[test]
    fn a_default_outside_of_the_grid_has_a_line_of_its_own() {
        let mut findings = findings(&[(Map, 1, 1, 0.5), (Map, 2, 2, 0.25)]);
        let options = crate::grid::Options {
            cores: vec![1],
            partitions: vec![1],
            rows: 1000,
            repeat: 5,
            operations: vec![Map],
        };
        findings.grid = crate::grid::Grid::new(options).unwrap();
        let text = tables(&findings);
        assert!(text.contains("the default, 2 cores, 2 partitions: 250*\n"), "{text}");
        assert!(!text.contains("not measured"), "{text}");
    }

    #[test]
    fn the_advice_says_what_it_brings() {
        let says = |times: &[(Operation, u32, u32, f64)], expected: &str| {
            let findings = findings(times);
            let found = Advice::of(&findings, &Places::by("cores")).unwrap();
            let text = advice(&findings, &found);
            assert!(text.contains(expected), "{text}");
        };
        says(
            &[(Map, 2, 2, 1.0), (Map, 4, 4, 0.5)],
            "4 cores, 4 partitions, 2.00 times as fast as the default (2 cores, 2 partitions).",
        );
        says(&[(Map, 2, 2, 0.5), (Map, 4, 4, 1.0)], "2 cores, 2 partitions, which is the default.");
        says(
            &[(Map, 2, 2, 1.0), (Map, 1, 1, 1.01)],
            "as fast as the default (2 cores, 2 partitions) on fewer cores.",
        );
        says(&[(Map, 4, 4, 1.0)], "together: 4 cores, 4 partitions.");
        says(&[(Map, 4, 4, 1.0)], "    task: {engine_run: {cores: 4}}\n");
        let stopped = Findings { end: Ended::Stopped, ..findings(&[(Map, 4, 4, 1.0)]) };
        let found = Advice::of(&stopped, &Places::by("cores")).unwrap();
        assert!(advice(&stopped, &found).contains("together, of what was measured: 4 cores"));
    }

    #[test]
    fn a_comparison_shows_ratios_and_what_they_amount_to() {
        let before = [measured(Map, 1, 1, 1.0), measured(Map, 2, 1, 1.0)];
        let after = [measured(Map, 1, 1, 0.5), measured(Map, 2, 1, 1.01), measured(Map, 2, 2, 1.0)];
        let text = comparison(&Comparison::of(&before, &after));
        assert!(text.contains("         1  0.50 faster  1.01\n"), "{text}");
        assert!(text.contains("1 faster, 0 slower, 1 the same within the noise"), "{text}");
        assert!(text.contains("1 measured only after."), "{text}");
        let nothing = comparison(&Comparison::of(&before[..1], &after[2..]));
        assert!(nothing.contains("no measurement in common"), "{nothing}");
    }
}
