//! Where everything is placed, in points. Computed before anything is drawn, because the size of a picture is asked for
//! first.

use tributary_core::Result;

use super::canvas::{Point, width};
use crate::operation::Operation;
use crate::run::Findings;
use crate::units::grouped;

pub(super) const TITLE: f64 = 22.0;
pub(super) const SUBTITLE: f64 = 14.0;
/// Numbers in cells and on scales, names of axes.
pub(super) const LABEL: f64 = 13.0;
/// Name of a panel.
pub(super) const HEADING: f64 = 16.0;

const MARGIN: f64 = 24.0;
/// Between panels.
const GAP: f64 = 32.0;
/// Rows of panels are broken where a picture would be wider.
const WIDE: f64 = 1500.0;
/// Most panels beside each other.
const BESIDE: usize = 3;
/// A font that is wider than ours still fits.
const OTHER_FONT: f64 = 1.15;

/// The parts of a panel, from its upper left.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct PanelLayout {
    /// Where the cells begin.
    pub(super) cells: Point,
    /// Size of a cell.
    pub(super) cell: Point,
    /// Columns and rows of cells.
    pub(super) counts: (usize, usize),
    /// Where the colour scale begins.
    pub(super) scale: Point,
    /// Its size.
    pub(super) bar: Point,
    /// Of all.
    size: Point,
}

impl PanelLayout {
    fn of(findings: &Findings) -> Result<Self> {
        let counts = (findings.grid.cores().len(), findings.grid.partitions().len());
        let numbers = |numbers: &[u32]| widest(numbers.iter().map(u32::to_string), LABEL);
        let labels = numbers(findings.grid.partitions())?;
        let cell = (64.0f64.max(numbers(findings.grid.cores())? + 12.0), 32.0);
        let cells = (24.0 + labels * OTHER_FONT + 8.0, HEADING + 16.0);
        let height = cell.1 * counts.1 as f64;
        let scale = (cells.0 + cell.0 * counts.0 as f64 + 18.0, cells.1);
        // Room for the scale's numbers and its unit.
        let bar = (14.0, height);
        let right = scale.0 + bar.0 + 6.0 + 50.0;
        let heading = widest(findings.grid.operations().iter().map(|o| heading(findings, *o)), HEADING)?;
        let size = (right.max(cells.0 + heading * OTHER_FONT), cells.1 + height + 48.0);
        Ok(Self { cells, cell, counts, scale, bar, size })
    }
}

/// Width of the widest text.
fn widest(texts: impl IntoIterator<Item = String>, size: f64) -> Result<f64> {
    texts.into_iter().try_fold(0.0, |widest: f64, text| Ok(widest.max(width(&text, size)?)))
}

/// What is shown beside a word of the legend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Swatch {
    Fastest,
    Default,
    NotPlaced,
    NotMeasured,
}

impl Swatch {
    pub(super) const WIDTH: f64 = 36.0;
    pub(super) const HEIGHT: f64 = 22.0;
}

/// A word of the legend, what stands beside it, and where.
type Word = (Swatch, &'static str, Point);

/// Everything's place.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) size: (u32, u32),
    pub(super) title: String,
    pub(super) title_at: Point,
    pub(super) subtitle: String,
    pub(super) subtitle_at: Point,
    pub(super) panel: PanelLayout,
    pub(super) panels: Vec<(Operation, Point)>,
    pub(super) legend: Vec<Word>,
    pub(super) note: String,
    pub(super) note_at: Point,
}

impl Layout {
    pub(super) fn of(findings: &Findings) -> Result<Self> {
        let title = "Time by cores and partitions".to_string();
        let subtitle = subtitle(findings);
        let repeat = findings.grid.repeat();
        let note = match repeat {
            1 => "One run after one to warm up. Colours are logarithmic, on a scale for each operation."
                .to_string(),
            _ => format!("Median of {repeat} runs. Colours are logarithmic, on a scale for each operation."),
        };
        let panel = PanelLayout::of(findings)?;
        let header = MARGIN + TITLE + 8.0 + SUBTITLE + 24.0;
        let (panels, (across, down)) = place_panels(findings.grid.operations(), panel.size, header);
        let text = widest([title.clone()], TITLE)?.max(widest([subtitle.clone(), note.clone()], SUBTITLE)?);
        let right = across.max(MARGIN + text * OTHER_FONT);
        let (legend, below) = place_legend(&words(findings), down + 20.0, right)?;
        let bottom = below + SUBTITLE + MARGIN;
        Ok(Self {
            size: ((right + MARGIN).ceil() as u32, bottom.ceil() as u32),
            title,
            title_at: (MARGIN, MARGIN),
            subtitle,
            subtitle_at: (MARGIN, MARGIN + TITLE + 8.0),
            panel,
            panels,
            legend,
            note,
            note_at: (MARGIN, below),
        })
    }

    /// Right and lower ends of all that is drawn.
    #[cfg(test)]
    pub(super) fn extents(&self) -> Result<Vec<Point>> {
        let text = |text: &str, size: f64, at: Point| -> Result<Point> {
            Ok((at.0 + width(text, size)?, at.1 + size))
        };
        let mut all = vec![
            text(&self.title, TITLE, self.title_at)?,
            text(&self.subtitle, SUBTITLE, self.subtitle_at)?,
            text(&self.note, SUBTITLE, self.note_at)?,
        ];
        all.extend(self.panels.iter().map(|(_, at)| (at.0 + self.panel.size.0, at.1 + self.panel.size.1)));
        for (_, word, at) in &self.legend {
            all.push(text(word, SUBTITLE, (at.0 + Swatch::WIDTH + 8.0, at.1 + 4.0))?);
        }
        Ok(all)
    }
}

/// Name of a panel.
pub(super) fn heading(findings: &Findings, operation: Operation) -> String {
    format!("{operation}, {} rows", grouped(operation.rows(findings.grid.rows())))
}

fn subtitle(findings: &Findings) -> String {
    let cores = if findings.site_cores == 1 { "core" } else { "cores" };
    let version = env!("CARGO_PKG_VERSION");
    format!("engine {}, {} {cores} for jobs, tributary {version}", findings.engine, findings.site_cores)
}

/// Corners of the panels, and the right and lower end of all.
fn place_panels(operations: &[Operation], (wide, high): Point, top: f64) -> (Vec<(Operation, Point)>, Point) {
    let fit = ((WIDE - 2.0 * MARGIN + GAP) / (wide + GAP)).floor().max(1.0) as usize;
    let columns = fit.min(BESIDE).min(operations.len());
    let corner = |i: usize| {
        let (column, row) = ((i % columns) as f64, (i / columns) as f64);
        (MARGIN + column * (wide + GAP), top + row * (high + GAP / 2.0))
    };
    let rows = operations.len().div_ceil(columns) as f64;
    let across = MARGIN + columns as f64 * wide + (columns as f64 - 1.0) * GAP;
    let down = top + rows * high + (rows - 1.0) * GAP / 2.0;
    (operations.iter().enumerate().map(|(i, operation)| (*operation, corner(i))).collect(), (across, down))
}

/// The words of the legend that these findings need.
fn words(findings: &Findings) -> Vec<(Swatch, &'static str)> {
    let default = findings.default.is_some_and(|default| findings.grid.cells().any(|cell| cell == default));
    let placed =
        findings.grid.cells().filter(|cell| findings.unplaced.iter().all(|u| u.cell != *cell)).count();
    let measured =
        findings.measurements.iter().filter(|m| findings.grid.cells().any(|cell| cell == m.cell())).count();
    let all = [
        (true, Swatch::Fastest, "fastest"),
        (default, Swatch::Default, "what a job gets that asks for nothing"),
        (!findings.unplaced.is_empty(), Swatch::NotPlaced, "cannot be placed here"),
        (measured < placed * findings.grid.operations().len(), Swatch::NotMeasured, "not measured"),
    ];
    all.into_iter().filter(|(needed, ..)| *needed).map(|(_, swatch, word)| (swatch, word)).collect()
}

/// The legend's places, in as many lines as it takes, and where what follows begins.
fn place_legend(words: &[(Swatch, &'static str)], top: f64, right: f64) -> Result<(Vec<Word>, f64)> {
    let (mut placed, mut at) = (Vec::new(), (MARGIN, top));
    for (swatch, word) in words {
        let wide = Swatch::WIDTH + 8.0 + width(word, SUBTITLE)? * OTHER_FONT;
        if at.0 > MARGIN && at.0 + wide > right {
            at = (MARGIN, at.1 + Swatch::HEIGHT + 8.0);
        }
        placed.push((*swatch, *word, at));
        at.0 += wide + 28.0;
    }
    Ok((placed, at.1 + Swatch::HEIGHT + 14.0))
}
