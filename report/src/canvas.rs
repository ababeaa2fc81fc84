//! A picture in the making; the only file that draws.
//!
//! Coordinates are in points, and the library rounds to whole pixels: a picture has [`FINE`] pixels for each point, and the
//! page scales it down. Text stays text, set by the program that shows it, so no font is needed.

use plotters::backend::SVGBackend;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{PathElement, Rectangle};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontTransform, IntoFont, RGBColor};
use tributary_core::{Error, Result};

/// Pixels for each point.
const FINE: f64 = 4.0;

pub(crate) const DARK: RGBColor = RGBColor(32, 33, 36);
pub(crate) const PALE: RGBColor = RGBColor(95, 99, 104);
pub(crate) const GRID: RGBColor = RGBColor(232, 234, 237);
pub(crate) const WHITE: RGBColor = RGBColor(255, 255, 255);
/// Told apart also by people who do not see red and green as two colours.
pub(crate) const SERIES: [RGBColor; 3] =
    [RGBColor(26, 115, 232), RGBColor(217, 119, 6), RGBColor(90, 90, 90)];

/// Where text is placed relative to its point.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    Left,
    Middle,
    Right,
}

/// A place in points from the upper left.
pub(crate) type Point = (f64, f64);

pub(crate) struct Canvas<'a, 'b>(&'a DrawingArea<SVGBackend<'b>, Shift>);

/// Nothing that a user does makes drawing into memory fail.
fn wrong(error: impl std::fmt::Display) -> Error {
    Error::bug("draw a picture").because(error.to_string())
}

fn at((x, y): Point) -> (i32, i32) {
    ((x * FINE).round() as i32, (y * FINE).round() as i32)
}

/// A picture of this size, as text; what is drawn on it is up to `paint`.
pub(crate) fn picture(
    (width, height): Point,
    paint: impl FnOnce(&Canvas<'_, '_>) -> Result<()>,
) -> Result<String> {
    let mut text = String::new();
    {
        let size = at((width, height));
        let area = SVGBackend::with_string(&mut text, (size.0 as u32, size.1 as u32)).into_drawing_area();
        paint(&Canvas(&area))?;
        area.present().map_err(wrong)?;
    }
    // The size on the page; the picture's own is in its view box.
    let (pixels, points) = (at((width, height)), (width.round(), height.round()));
    let own = format!("width=\"{}\" height=\"{}\"", pixels.0, pixels.1);
    Ok(text.replacen(&own, &format!("width=\"{}\" height=\"{}\"", points.0, points.1), 1))
}

impl Canvas<'_, '_> {
    pub(crate) fn fill(&self, (x, y): Point, (width, height): Point, colour: RGBColor) -> Result<()> {
        let bar = Rectangle::new([at((x, y)), at((x + width, y + height))], colour.filled());
        self.0.draw(&bar).map_err(wrong)
    }

    pub(crate) fn line(&self, points: &[Point], colour: RGBColor, thick: f64) -> Result<()> {
        let points: Vec<(i32, i32)> = points.iter().map(|point| at(*point)).collect();
        let style = colour.stroke_width((thick * FINE).round() as u32);
        self.0.draw(&PathElement::new(points, style)).map_err(wrong)
    }

    /// Text whose middle line is at a height.
    pub(crate) fn text(
        &self,
        text: &str,
        size: f64,
        colour: RGBColor,
        place: Place,
        to: Point,
    ) -> Result<()> {
        self.write(text, size, colour, place, to, FontTransform::None)
    }

    /// Text upwards, its middle at a point.
    pub(crate) fn upward_text(&self, text: &str, size: f64, colour: RGBColor, to: Point) -> Result<()> {
        self.write(text, size, colour, Place::Middle, to, FontTransform::Rotate270)
    }

    fn write(
        &self,
        text: &str,
        size: f64,
        colour: RGBColor,
        place: Place,
        to: Point,
        turn: FontTransform,
    ) -> Result<()> {
        let horizontal = match place {
            Place::Left => HPos::Left,
            Place::Middle => HPos::Center,
            Place::Right => HPos::Right,
        };
        let style = ("sans-serif", size * FINE).into_font().transform(turn).color(&colour);
        let style = style.pos(Pos::new(horizontal, VPos::Center));
        self.0.draw_text(text, &style, at(to)).map_err(wrong)
    }
}
