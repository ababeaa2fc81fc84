//! Results as a picture: a heat map of time by cores and partitions, a panel for each operation.
//!
//! Text must come out on a machine without fonts, which servers are, so a PNG is drawn with a font that is part of this program
//! (11 kB: `font/`). An SVG holds its text as text, set by the program that shows it; its layout leaves room for another font's
//! widths. Rendering our own SVG for the PNG was the alternative: it takes four times as much code as drawing twice.

mod canvas;
mod layout;
mod panel;

use std::path::Path;

use plotters::backend::{BitMapBackend, DrawingBackend, SVGBackend};
use plotters::drawing::IntoDrawingArea;
use tributary_core::{Error, Result};

use crate::run::Findings;
use canvas::{Canvas, DARK, PALE, Place, wrong};
use layout::{Layout, SUBTITLE, Swatch, TITLE};

/// How a picture is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Text, sharp at any size.
    Svg,
    /// Pixels, two for each of the SVG's.
    Png,
}

impl Format {
    /// By the end of a file's name; `InvalidInput` for another one.
    pub fn of_path(path: &Path) -> Result<Self> {
        match path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase).as_deref() {
            Some("svg") => Ok(Self::Svg),
            Some("png") => Ok(Self::Png),
            _ => Err(Error::invalid(format!(
                "picture {}, expected a name that ends in .svg or .png",
                path.display()
            ))),
        }
    }

    fn pixels(self) -> u32 {
        match self {
            Self::Svg => 1,
            Self::Png => 2,
        }
    }

    /// The library's bitmaps set text above the middle of its line.
    fn lowered(self) -> f64 {
        match self {
            Self::Svg => 0.0,
            Self::Png => 0.17,
        }
    }
}

/// Findings to be drawn.
#[derive(Debug)]
pub struct Picture<'a> {
    findings: &'a Findings,
    layout: Layout,
}

impl<'a> Picture<'a> {
    /// Lays it out.
    pub fn of(findings: &'a Findings) -> Result<Self> {
        canvas::register_font()?;
        Ok(Self { findings, layout: Layout::of(findings)? })
    }

    /// Width and height in pixels.
    pub fn size(&self, format: Format) -> (u32, u32) {
        let (width, height) = self.layout.size;
        (width * format.pixels(), height * format.pixels())
    }

    /// Draws it.
    pub fn encode(&self, format: Format) -> Result<Vec<u8>> {
        match format {
            Format::Svg => {
                let mut text = String::new();
                self.draw(SVGBackend::with_string(&mut text, self.size(format)), format)?;
                Ok(text.into_bytes())
            }
            Format::Png => {
                let (width, height) = self.size(format);
                let mut pixels = vec![0; width as usize * height as usize * 3];
                self.draw(BitMapBackend::with_buffer(&mut pixels, (width, height)), format)?;
                png(&pixels, width, height).map_err(|e| Error::bug("encode a PNG").because(e))
            }
        }
    }

    fn draw<B: DrawingBackend>(&self, backend: B, format: Format) -> Result<()> {
        let area = backend.into_drawing_area();
        let canvas = Canvas::new(&area, format.pixels(), format.lowered());
        let layout = &self.layout;
        canvas.clear()?;
        canvas.text(&layout.title, TITLE, DARK, Place::LeftTop, layout.title_at)?;
        canvas.text(&layout.subtitle, SUBTITLE, PALE, Place::LeftTop, layout.subtitle_at)?;
        for (operation, corner) in &layout.panels {
            panel::draw(&canvas, self.findings, *operation, layout.panel, *corner)?;
        }
        for (swatch, text, corner) in &layout.legend {
            panel::swatch(&canvas, *swatch, *corner)?;
            let beside = (corner.0 + Swatch::WIDTH + 8.0, corner.1 + Swatch::HEIGHT / 2.0);
            canvas.text(text, SUBTITLE, DARK, Place::LeftMiddle, beside)?;
        }
        canvas.text(&layout.note, SUBTITLE, PALE, Place::LeftTop, layout.note_at)?;
        area.present().map_err(wrong)
    }
}

fn png(pixels: &[u8], width: u32, height: u32) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::tests::findings;
    use crate::grid::{Cell, Grid, Options};
    use crate::operation::Operation;
    use crate::run::Unplaced;

    fn sample() -> Findings {
        let times: Vec<_> = Operation::ALL
            .into_iter()
            .flat_map(|operation| {
                let cells = [(1, 1, 0.5), (1, 4, 0.25), (2, 1, 0.3), (2, 2, 0.11), (2, 4, 0.125)];
                cells.map(|(cores, partitions, seconds)| (operation, cores, partitions, seconds))
            })
            .collect();
        let mut findings = findings(&times);
        findings
            .unplaced
            .push(Unplaced { cell: Cell { cores: 1, partitions: 2 }, reason: "too many".into() });
        findings
    }

    #[test]
    fn an_svg_is_whole_and_says_everything() {
        let findings = sample();
        let picture = Picture::of(&findings).unwrap();
        let text = String::from_utf8(picture.encode(Format::Svg).unwrap()).unwrap();
        let (width, height) = picture.size(Format::Svg);
        assert!(
            text.starts_with(&format!("<svg width=\"{width}\" height=\"{height}\" ")),
            "{}",
            &text[..200]
        );
        assert!(text.trim_end().ends_with("</svg>"));
        assert_eq!(text.matches("<text").count(), text.matches("</text>").count());
        for operation in Operation::ALL {
            assert!(text.contains(&format!("{operation}, 1,000 rows")), "{operation}");
        }
        for label in
            ["cores of a task", "partitions", "ms", "fastest", "cannot be placed", "logarithmic", "110"]
        {
            assert!(text.contains(label), "{label}");
        }
    }

    #[test]
    fn a_png_has_the_size_it_says_and_something_on_it() {
        let findings = sample();
        let picture = Picture::of(&findings).unwrap();
        let bytes = picture.encode(Format::Png).unwrap();
        let decoder = png::Decoder::new(std::io::Cursor::new(bytes));
        let mut reader = decoder.read_info().unwrap();
        assert_eq!(reader.info().size(), picture.size(Format::Png));
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        let (svg, png) = (picture.size(Format::Svg), picture.size(Format::Png));
        assert_eq!(png, (2 * svg.0, 2 * svg.1));
        let mut colours: Vec<[u8; 3]> = pixels.chunks_exact(3).map(|p| [p[0], p[1], p[2]]).collect();
        let corner = colours[0];
        assert_eq!(corner, [255; 3]);
        colours.sort_unstable();
        colours.dedup();
        assert!(colours.len() > 50, "cells, scale and smooth text have many colours, got {}", colours.len());
    }

    /// Text that leaves the picture would be cut off: every run of it must end before the right margin.
    #[test]
    fn nothing_is_cut_off_whatever_the_grid() {
        let grids = [(1, 1, 1), (16, 16, 6), (1, 16, 2), (16, 1, 3), (2, 5, 6)];
        for (cores, partitions, operations) in grids {
            let mut findings = sample();
            findings.grid = Grid::new(Options {
                cores: (1..=cores).collect(),
                partitions: (1..=partitions).map(|n| n * 4096).collect(),
                rows: 100_000_000_000,
                repeat: 1000,
                operations: Operation::ALL[..operations].to_vec(),
            })
            .unwrap();
            let layout = Layout::of(&findings).unwrap();
            let (width, height) = (f64::from(layout.size.0), f64::from(layout.size.1));
            for (right, bottom) in layout.extents().unwrap() {
                assert!(right <= width && bottom <= height, "{right} × {bottom} in {width} × {height}");
            }
            Picture::of(&findings).unwrap().encode(Format::Svg).unwrap();
        }
    }

    #[test]
    fn a_name_says_the_format() {
        assert_eq!(Format::of_path(Path::new("a/b.SVG")).unwrap(), Format::Svg);
        assert_eq!(Format::of_path(Path::new("b.png")).unwrap(), Format::Png);
        let error = Format::of_path(Path::new("b.jpg")).unwrap_err().to_string();
        assert!(error.contains("ends in .svg or .png"), "{error}");
    }
}
