//! Charts: lines over two axes, and bars side by side.

use plotters::style::RGBColor;
use tributary_core::Result;

use crate::canvas::{Canvas, DARK, GRID, PALE, Place, Point, SERIES, WHITE, picture};
use crate::html::Html;

const SIZE: Point = (340.0, 270.0);
const LEFT_TOP: Point = (46.0, 44.0);
const RIGHT_BOTTOM: Point = (326.0, 226.0);
const LABEL: f64 = 10.5;
const TITLE: f64 = 13.0;

/// A named line.
pub(crate) struct Line {
    pub name: String,
    pub points: Vec<Point>,
}

impl Line {
    pub(crate) fn new(name: &str, points: impl IntoIterator<Item = Point>) -> Self {
        let finite = |(x, y): &Point| x.is_finite() && y.is_finite();
        Self { name: name.into(), points: points.into_iter().filter(finite).collect() }
    }
}

/// A chart of lines.
pub(crate) struct Chart<'a> {
    pub title: &'a str,
    /// What is to the right, and what is upwards.
    pub axes: (&'a str, &'a str),
    pub lines: Vec<Line>,
    /// A pale line to compare with, from one point to another.
    pub beside: Option<(Point, Point)>,
    /// What axes show at least.
    pub least: (Point, Point),
}

/// Where numbers are on a picture.
struct Scale {
    low: Point,
    high: Point,
}

impl Scale {
    /// Shows all points, and ends at ticks.
    fn of(points: impl Iterator<Item = Point>, least: (Point, Point)) -> Self {
        let (mut low, mut high) = least;
        for (x, y) in points {
            low = (low.0.min(x), low.1.min(y));
            high = (high.0.max(x), high.1.max(y));
        }
        let wide = |low: f64, high: f64| if high > low { high } else { low + 1.0 };
        high = (wide(low.0, high.0), wide(low.1, high.1));
        let (step_x, step_y) = (step(high.0 - low.0), step(high.1 - low.1));
        low = ((low.0 / step_x).floor() * step_x, (low.1 / step_y).floor() * step_y);
        high = ((high.0 / step_x).ceil() * step_x, (high.1 / step_y).ceil() * step_y);
        Self { low, high }
    }

    fn place(&self, (x, y): Point) -> Point {
        let share = |value: f64, low: f64, high: f64| (value - low) / (high - low);
        (
            LEFT_TOP.0 + share(x, self.low.0, self.high.0) * (RIGHT_BOTTOM.0 - LEFT_TOP.0),
            RIGHT_BOTTOM.1 - share(y, self.low.1, self.high.1) * (RIGHT_BOTTOM.1 - LEFT_TOP.1),
        )
    }
}

/// A step of 1, 2 or 5 that makes four to eight of a width.
fn step(width: f64) -> f64 {
    let rough = width / 5.0;
    let power = 10f64.powf(rough.log10().floor());
    let of_power = [1.0, 2.0, 5.0, 10.0].into_iter().find(|step| step * power >= rough * 0.999);
    of_power.unwrap_or(10.0) * power
}

fn ticks(low: f64, high: f64) -> impl Iterator<Item = f64> {
    let step = step(high - low);
    let count = ((high - low) / step).round() as u32;
    (0..=count).map(move |tick| low + f64::from(tick) * step)
}

/// A number of an axis, without digits that its step does not need.
fn shown(number: f64) -> String {
    let rounded = (number * 1e6).round() / 1e6;
    if rounded == 0.0 { "0".into() } else { rounded.to_string() }
}

/// Adds a chart to a page, unless it has nothing to show.
pub(crate) fn show(html: &mut Html, chart: &Chart<'_>) -> Result<()> {
    if chart.lines.iter().all(|line| line.points.is_empty()) {
        return Ok(());
    }
    html.raw("<figure>").raw(&svg(chart)?).raw("</figure>");
    Ok(())
}

fn svg(chart: &Chart<'_>) -> Result<String> {
    let scale = Scale::of(chart.lines.iter().flat_map(|line| line.points.iter().copied()), chart.least);
    picture(SIZE, |canvas| {
        frame(canvas, chart.title, chart.axes)?;
        for x in ticks(scale.low.0, scale.high.0) {
            let foot = scale.place((x, scale.low.1));
            canvas.line(&[foot, scale.place((x, scale.high.1))], GRID, 0.75)?;
            canvas.text(&shown(x), LABEL, PALE, Place::Middle, (foot.0, foot.1 + 10.0))?;
        }
        for y in ticks(scale.low.1, scale.high.1) {
            let foot = scale.place((scale.low.0, y));
            canvas.line(&[foot, scale.place((scale.high.0, y))], GRID, 0.75)?;
            canvas.text(&shown(y), LABEL, PALE, Place::Right, (foot.0 - 5.0, foot.1))?;
        }
        if let Some((from, to)) = chart.beside {
            canvas.line(&[scale.place(from), scale.place(to)], PALE, 0.75)?;
        }
        for (line, colour) in chart.lines.iter().zip(SERIES) {
            let points: Vec<Point> = line.points.iter().map(|point| scale.place(*point)).collect();
            canvas.line(&points, colour, 1.75)?;
        }
        legend(canvas, chart.lines.iter().map(|line| line.name.as_str()))
    })
}

fn frame(canvas: &Canvas<'_, '_>, title: &str, axes: (&str, &str)) -> Result<()> {
    canvas.fill((0.0, 0.0), SIZE, WHITE)?;
    canvas.text(title, TITLE, DARK, Place::Left, (LEFT_TOP.0 - 36.0, 12.0))?;
    let middle = ((LEFT_TOP.0 + RIGHT_BOTTOM.0) / 2.0, (LEFT_TOP.1 + RIGHT_BOTTOM.1) / 2.0);
    canvas.text(axes.0, LABEL, PALE, Place::Middle, (middle.0, SIZE.1 - 14.0))?;
    canvas.upward_text(axes.1, LABEL, PALE, (9.0, middle.1))
}

/// Names of lines or bars with their colours, in the line below the title; a line that is alone needs none.
fn legend<'a>(canvas: &Canvas<'_, '_>, names: impl Iterator<Item = &'a str>) -> Result<()> {
    let mut left = LEFT_TOP.0 - 36.0;
    for (name, colour) in names.zip(SERIES).filter(|(name, _)| !name.is_empty()) {
        canvas.fill((left, 26.0), (10.0, 4.0), colour)?;
        canvas.text(name, LABEL, PALE, Place::Left, (left + 14.0, 28.0))?;
        // Wide enough for any font: names are ours and short.
        left += 22.0 + 6.2 * name.chars().count() as f64;
    }
    Ok(())
}

/// Two numbers for each of some groups, as bars beside each other.
pub(crate) fn bars(title: &str, axes: (&str, &str), names: [&str; 2], groups: &[[f64; 2]]) -> Result<String> {
    let tops = groups.iter().flatten().map(|value| (0.0, *value)).filter(|(_, value)| value.is_finite());
    let scale = Scale::of(tops, ((0.0, 0.0), (groups.len() as f64, 0.0)));
    let left = |group: f64| LEFT_TOP.0 + group / groups.len() as f64 * (RIGHT_BOTTOM.0 - LEFT_TOP.0);
    picture(SIZE, |canvas| {
        frame(canvas, title, axes)?;
        for y in ticks(scale.low.1, scale.high.1) {
            let height = scale.place((0.0, y)).1;
            canvas.line(&[(LEFT_TOP.0, height), (RIGHT_BOTTOM.0, height)], GRID, 0.75)?;
            canvas.text(&shown(y), LABEL, PALE, Place::Right, (LEFT_TOP.0 - 5.0, height))?;
        }
        for (group, values) in groups.iter().enumerate() {
            for (bar, value) in values.iter().enumerate().filter(|(_, value)| value.is_finite()) {
                let from = left(group as f64 + 0.1 + 0.4 * bar as f64);
                let to = left(group as f64 + 0.48 + 0.4 * bar as f64);
                let top = scale.place((0.0, *value)).1;
                let colour: RGBColor = SERIES[bar];
                canvas.fill((from, top), (to - from, RIGHT_BOTTOM.1 - top), colour)?;
            }
        }
        legend(canvas, names.into_iter())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers_around_all_points() {
        let scale = Scale::of([(0.13, -0.7), (0.98, 3.2)].into_iter(), ((0.0, 0.0), (0.0, 0.0)));
        assert_eq!(
            ticks(scale.low.0, scale.high.0).map(shown).collect::<Vec<_>>(),
            ["0", "0.2", "0.4", "0.6", "0.8", "1"]
        );
        assert_eq!(
            ticks(scale.low.1, scale.high.1).map(shown).collect::<Vec<_>>(),
            ["-1", "0", "1", "2", "3", "4"]
        );
        let flat = Scale::of(std::iter::once((2.0, 5.0)), ((2.0, 5.0), (2.0, 5.0)));
        assert!(flat.high.0 > flat.low.0 && flat.high.1 > flat.low.1);
    }
}
