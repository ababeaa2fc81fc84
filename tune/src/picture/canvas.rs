//! A drawing area in points, whatever pixels a format has for each; the only file that draws.
//!
//! Frames are four filled bars: a stroke is drawn half outside of its box by one format and inside by the other.

use plotters::backend::DrawingBackend;
use plotters::coord::Shift;
use plotters::drawing::DrawingArea;
use plotters::element::{Polygon, Rectangle};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{
    Color, FontStyle, FontTransform, IntoFont, RGBColor, WHITE, register_font as register,
};
use tributary_core::{Error, Result};

/// Roboto, under the Apache license; see `font/README.md`.
const FONT: &[u8] = include_bytes!("../../font/Roboto-Subset.ttf");
/// The generic name, so that an SVG's viewer takes what it has.
const FAMILY: &str = "sans-serif";

pub(super) const DARK: RGBColor = RGBColor(32, 33, 36);
pub(super) const PALE: RGBColor = RGBColor(95, 99, 104);
pub(super) const EMPTY: RGBColor = RGBColor(232, 234, 237);

/// A place in points from the upper left.
pub(super) type Point = (f64, f64);

/// Makes text possible; may be called again.
pub(super) fn register_font() -> Result<()> {
    register(FAMILY, FontStyle::Normal, FONT).map_err(|_| Error::bug("the font of pictures cannot be read"))
}

/// Width of text.
pub(super) fn width(text: &str, size: f64) -> Result<f64> {
    // Measured large: the library rounds down to whole pixels.
    const FINE: f64 = 16.0;
    let (width, _) = (FAMILY, size * FINE).into_font().box_size(text).map_err(|e| wrong(e.to_string()))?;
    Ok(f64::from(width) / FINE)
}

/// Nothing that a user does makes drawing into memory fail.
pub(super) fn wrong(error: impl std::fmt::Display) -> Error {
    Error::bug("draw a picture").because(error.to_string())
}

/// Where text is placed relative to its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    LeftTop,
    LeftMiddle,
    LeftBottom,
    Middle,
    MiddleTop,
    RightMiddle,
}

/// An area with `pixels` for each point.
pub(super) struct Canvas<'a, B: DrawingBackend> {
    area: &'a DrawingArea<B, Shift>,
    pixels: f64,
    /// How far text is lowered to be in the middle of its line, as a share of its size.
    lowered: f64,
}

impl<'a, B: DrawingBackend> Canvas<'a, B> {
    pub(super) fn new(area: &'a DrawingArea<B, Shift>, pixels: u32, lowered: f64) -> Self {
        Self { area, pixels: f64::from(pixels), lowered }
    }

    fn at(&self, (x, y): Point) -> (i32, i32) {
        ((x * self.pixels).round() as i32, (y * self.pixels).round() as i32)
    }

    pub(super) fn clear(&self) -> Result<()> {
        self.area.fill(&WHITE).map_err(wrong)
    }

    /// A filled box.
    pub(super) fn fill(&self, (x, y): Point, (width, height): Point, colour: RGBColor) -> Result<()> {
        let (from, to) = (self.at((x, y)), self.at((x + width, y + height)));
        let bar = Rectangle::new([from, to], colour.filled());
        self.area.draw(&bar).map_err(wrong)
    }

    /// The inner edge of a box.
    pub(super) fn frame(&self, (x, y): Point, (w, h): Point, thick: f64, colour: RGBColor) -> Result<()> {
        self.fill((x, y), (w, thick), colour)?;
        self.fill((x, y + h - thick), (w, thick), colour)?;
        self.fill((x, y), (thick, h), colour)?;
        self.fill((x + w - thick, y), (thick, h), colour)
    }

    /// The upper right corner of a box.
    pub(super) fn corner(&self, (x, y): Point, (width, _): Point, size: f64, colour: RGBColor) -> Result<()> {
        let right = x + width;
        let points = [(right - size, y), (right, y), (right, y + size)].map(|point| self.at(point));
        self.area.draw(&Polygon::new(points, colour.filled())).map_err(wrong)
    }

    pub(super) fn text(
        &self,
        text: &str,
        size: f64,
        colour: RGBColor,
        place: Place,
        at: Point,
    ) -> Result<()> {
        let is_middle = matches!(place, Place::Middle | Place::LeftMiddle | Place::RightMiddle);
        let down = if is_middle { size * self.lowered } else { 0.0 };
        self.write(text, size, colour, place, (at.0, at.1 + down), FontTransform::None)
    }

    /// Upwards, its middle at a point.
    pub(super) fn upward_text(&self, text: &str, size: f64, colour: RGBColor, at: Point) -> Result<()> {
        self.write(text, size, colour, Place::Middle, at, FontTransform::Rotate270)
    }

    fn write(
        &self,
        text: &str,
        size: f64,
        colour: RGBColor,
        place: Place,
        at: Point,
        turn: FontTransform,
    ) -> Result<()> {
        let (horizontal, vertical) = match place {
            Place::LeftTop => (HPos::Left, VPos::Top),
            Place::LeftMiddle => (HPos::Left, VPos::Center),
            Place::LeftBottom => (HPos::Left, VPos::Bottom),
            Place::Middle => (HPos::Center, VPos::Center),
            Place::MiddleTop => (HPos::Center, VPos::Top),
            Place::RightMiddle => (HPos::Right, VPos::Center),
        };
        let style = (FAMILY, size * self.pixels).into_font().transform(turn).color(&colour);
        let style = style.pos(Pos::new(horizontal, vertical));
        self.area.draw_text(text, &style, self.at(at)).map_err(wrong)
    }
}
