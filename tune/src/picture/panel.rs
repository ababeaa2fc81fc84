//! One operation's heat map: cells with their times, both axes, and a colour scale.
//!
//! Colours are logarithmic, so that twice as slow looks the same everywhere, and bright is fast. The colour map (viridis) rises evenly in
//! brightness, which people who cannot distinguish red from green see as well; the number is in every cell too.

use plotters::backend::DrawingBackend;
use plotters::style::RGBColor;
use plotters::style::colors::colormaps::{ColorMap, ViridisRGB};
use tributary_core::Result;

use super::canvas::{Canvas, DARK, EMPTY, PALE, Place, Point};
use super::layout::{HEADING, LABEL, PanelLayout, Swatch, heading};
use crate::advice::fastest;
use crate::grid::Cell;
use crate::measurement::Measurement;
use crate::operation::Operation;
use crate::run::Findings;
use crate::text::NOT_PLACED;
use crate::units::Unit;

const WHITE: RGBColor = RGBColor(255, 255, 255);
/// Steps of the colour scale.
const STEPS: usize = 64;

/// From the fastest to the slowest time of an operation.
#[derive(Clone, Copy)]
struct Scale {
    least: f64,
    most: f64,
}

impl Scale {
    fn of(measurements: &[&Measurement]) -> Option<Self> {
        let times = || measurements.iter().map(|m| m.seconds_median);
        let (least, most) = (times().fold(f64::INFINITY, f64::min), times().fold(0.0, f64::max));
        (least <= most).then_some(Self { least, most })
    }

    /// A time at a share of the way from fastest to slowest.
    fn time(self, share: f64) -> f64 {
        self.least * (self.most / self.least).powf(share)
    }

    fn colour(self, seconds: f64) -> RGBColor {
        let span = (self.most / self.least).ln();
        let share = if span > 0.0 { (seconds / self.least).ln() / span } else { 0.0 };
        // Not to the very ends: the darkest can hardly be distinguished from the frame.
        ViridisRGB.get_color(0.97 - 0.9 * share.clamp(0.0, 1.0))
    }
}

pub(super) fn draw<B: DrawingBackend>(
    canvas: &Canvas<'_, B>,
    findings: &Findings,
    operation: Operation,
    layout: PanelLayout,
    corner: Point,
) -> Result<()> {
    let of = |part: Point| (corner.0 + part.0, corner.1 + part.1);
    let (begin, ends) = (of(layout.cells), (layout.counts.0 as f64, layout.counts.1 as f64));
    canvas.text(&heading(findings, operation), HEADING, DARK, Place::LeftTop, (begin.0, corner.1))?;
    axes(canvas, findings, layout, corner)?;
    // A default outside of the grid has no place here.
    let shown =
        |m: &&Measurement| m.operation == operation && findings.grid.cells().any(|cell| cell == m.cell());
    let measured: Vec<&Measurement> = findings.measurements.iter().filter(shown).collect();
    let Some(scale) = Scale::of(&measured) else {
        return findings.grid.cells().try_for_each(|cell| {
            blank(canvas, findings, cell, place(findings, layout, begin, cell), layout.cell)
        });
    };
    let unit = Unit::of([scale.least, scale.most]);
    let best = fastest(measured.iter().copied(), operation).map(Measurement::cell);
    for cell in findings.grid.cells() {
        let at = place(findings, layout, begin, cell);
        match measured.iter().find(|m| m.cell() == cell) {
            None => blank(canvas, findings, cell, at, layout.cell)?,
            Some(m) => {
                let colour = scale.colour(m.seconds_median);
                tile(canvas, at, layout.cell, colour)?;
                if findings.default == Some(cell) {
                    default_mark(canvas, at, layout.cell, ink(colour))?;
                }
                let middle = (at.0 + layout.cell.0 / 2.0, at.1 + layout.cell.1 / 2.0);
                canvas.text(&unit.show(m.seconds_median), LABEL, ink(colour), Place::Middle, middle)?;
            }
        }
        if best == Some(cell) {
            best_mark(canvas, at, layout.cell)?;
        }
    }
    canvas.frame(
        (begin.0 - 1.0, begin.1 - 1.0),
        (ends.0 * layout.cell.0 + 2.0, ends.1 * layout.cell.1 + 2.0),
        1.0,
        PALE,
    )?;
    colour_scale(canvas, scale, unit, of(layout.scale), layout.bar)
}

/// Upper left of a cell: cores to the right, partitions upwards.
fn place(findings: &Findings, layout: PanelLayout, (x, y): Point, cell: Cell) -> Point {
    let column = findings.grid.cores().iter().position(|n| *n == cell.cores).unwrap_or(0);
    let row = findings.grid.partitions().iter().rev().position(|n| *n == cell.partitions).unwrap_or(0);
    (x + column as f64 * layout.cell.0, y + row as f64 * layout.cell.1)
}

fn blank<B: DrawingBackend>(
    canvas: &Canvas<'_, B>,
    findings: &Findings,
    cell: Cell,
    at: Point,
    size: Point,
) -> Result<()> {
    let refused = findings.unplaced.iter().any(|u| u.cell == cell);
    if refused { not_placed(canvas, at, size) } else { canvas.fill(at, size, WHITE) }
}

fn axes<B: DrawingBackend>(
    canvas: &Canvas<'_, B>,
    findings: &Findings,
    layout: PanelLayout,
    corner: Point,
) -> Result<()> {
    let (left, top) = (corner.0 + layout.cells.0, corner.1 + layout.cells.1);
    let (wide, high) = (layout.cell.0 * layout.counts.0 as f64, layout.cell.1 * layout.counts.1 as f64);
    for (i, cores) in findings.grid.cores().iter().enumerate() {
        let middle = left + (i as f64 + 0.5) * layout.cell.0;
        canvas.text(&cores.to_string(), LABEL, DARK, Place::MiddleTop, (middle, top + high + 7.0))?;
    }
    for (i, partitions) in findings.grid.partitions().iter().rev().enumerate() {
        let middle = top + (i as f64 + 0.5) * layout.cell.1;
        canvas.text(&partitions.to_string(), LABEL, DARK, Place::RightMiddle, (left - 7.0, middle))?;
    }
    canvas.text("cores of a task", LABEL, PALE, Place::MiddleTop, (left + wide / 2.0, top + high + 26.0))?;
    canvas.upward_text("partitions", LABEL, PALE, (corner.0 + 8.0, top + high / 2.0))
}

/// A bar from the fastest (below) to the slowest, its numbers beside it and the unit above.
fn colour_scale<B: DrawingBackend>(
    canvas: &Canvas<'_, B>,
    scale: Scale,
    unit: Unit,
    (x, y): Point,
    (wide, high): Point,
) -> Result<()> {
    for step in 0..STEPS {
        let share = 1.0 - (step as f64 + 0.5) / STEPS as f64;
        let (top, bottom) = (high * step as f64 / STEPS as f64, high * (step as f64 + 1.0) / STEPS as f64);
        canvas.fill((x, y + top), (wide, bottom - top), scale.colour(scale.time(share)))?;
    }
    canvas.text(unit.name(), LABEL, PALE, Place::LeftBottom, (x, y - 4.0))?;
    let numbers = x + wide + 6.0;
    let label = |share: f64, at: f64| {
        canvas.text(&unit.show(scale.time(share)), LABEL, PALE, Place::LeftMiddle, (numbers, at))
    };
    if unit.show(scale.least) == unit.show(scale.most) {
        return label(0.0, y + high / 2.0);
    }
    // A number needs its height, and half of it stays within the bar at both ends.
    let half = LABEL / 2.0;
    label(1.0, y + half)?;
    if high >= 4.0 * LABEL {
        label(0.5, y + high / 2.0)?;
    }
    label(0.0, y + high - half)
}

/// A cell's colour, with a thin gap to the next one.
fn tile<B: DrawingBackend>(
    canvas: &Canvas<'_, B>,
    (x, y): Point,
    (w, h): Point,
    colour: RGBColor,
) -> Result<()> {
    canvas.fill((x + 0.5, y + 0.5), (w - 1.0, h - 1.0), colour)
}

/// Black or white, whichever is seen better on a colour (relative luminance, ITU-R BT.709).
fn ink(RGBColor(r, g, b): RGBColor) -> RGBColor {
    let light = 0.2126 * f64::from(r) + 0.7152 * f64::from(g) + 0.0722 * f64::from(b);
    if light > 128.0 { DARK } else { WHITE }
}

/// A dark edge with a white one inside is seen on every colour.
fn best_mark<B: DrawingBackend>(canvas: &Canvas<'_, B>, (x, y): Point, (w, h): Point) -> Result<()> {
    canvas.frame((x, y), (w, h), 3.0, DARK)?;
    canvas.frame((x + 3.0, y + 3.0), (w - 6.0, h - 6.0), 1.0, WHITE)
}

fn default_mark<B: DrawingBackend>(
    canvas: &Canvas<'_, B>,
    at: Point,
    size: Point,
    colour: RGBColor,
) -> Result<()> {
    canvas.corner((at.0 - 4.0, at.1 + 4.0), size, 8.0, colour)
}

fn not_placed<B: DrawingBackend>(canvas: &Canvas<'_, B>, at: Point, size: Point) -> Result<()> {
    tile(canvas, at, size, EMPTY)?;
    canvas.text(NOT_PLACED, LABEL, PALE, Place::Middle, (at.0 + size.0 / 2.0, at.1 + size.1 / 2.0))
}

/// What a mark looks like, for the legend.
pub(super) fn swatch<B: DrawingBackend>(canvas: &Canvas<'_, B>, swatch: Swatch, at: Point) -> Result<()> {
    let (size, colour) = ((Swatch::WIDTH, Swatch::HEIGHT), ViridisRGB.get_color(0.8));
    match swatch {
        Swatch::Fastest => {
            canvas.fill(at, size, colour)?;
            best_mark(canvas, at, size)
        }
        Swatch::Default => {
            canvas.fill(at, size, colour)?;
            default_mark(canvas, at, size, ink(colour))
        }
        Swatch::NotPlaced => not_placed(canvas, at, size),
        Swatch::NotMeasured => canvas.frame(at, size, 1.0, PALE),
    }
}
