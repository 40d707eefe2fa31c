//! A bar chart of the hours of a day, as PNG, JPEG or SVG.

use std::io::Cursor;
use std::sync::Once;

use ab_glyph::{Font as _, FontRef};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};

/// `DejaVu` Sans (its licence is in the same folder), cut to Latin, Greek and Cyrillic: Lambda has no fonts.
const FONT: &[u8] = include_bytes!("../assets/DejaVuSans-subset.ttf");
/// The name that charts know it by.
const FAMILY: &str = "sans-serif";

const BAR: RGBColor = RGBColor(37, 99, 235);
const INK: RGBColor = RGBColor(55, 65, 81);
const GRID: RGBColor = RGBColor(229, 231, 235);

/// Kinds of pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Picture {
    Png,
    Jpeg,
    Svg,
}

/// What a chart shows.
pub(crate) struct Chart<'a> {
    pub(crate) title: &'a str,
    /// What the horizontal axis is of.
    pub(crate) axis: &'a str,
    /// The label of each bar's start, and its height.
    pub(crate) bars: &'a [(String, i64)],
    pub(crate) width: u32,
    pub(crate) height: u32,
}

/// A chart that could not be drawn; a fault of ours.
#[derive(Debug, thiserror::Error)]
#[error("cannot draw the chart: {0}")]
pub(crate) struct ChartError(String);

/// The text as a picture shows it. XML has no control characters and no U+FFFE and U+FFFF, so these become U+FFFD in a
/// SVG, whose viewer has fonts. In a PNG or JPEG, whatever [`FONT`] lacks is spelt as `\u{65e5}`: else all that it lacks
/// would look the same.
fn shown(text: &str, picture: Picture) -> String {
    if picture == Picture::Svg {
        let is_xml = |c: char| !c.is_control() && !matches!(c, '\u{FFFE}' | '\u{FFFF}');
        return text.chars().map(|c| if is_xml(c) { c } else { char::REPLACEMENT_CHARACTER }).collect();
    }
    let font = FontRef::try_from_slice(FONT).ok();
    let has = |c: char| font.as_ref().is_some_and(|font| font.glyph_id(c).0 != 0);
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if has(c) && !c.is_control() {
            shown.push(c);
        } else {
            shown.extend(c.escape_unicode());
        }
    }
    shown
}

fn failed(error: impl std::fmt::Display) -> ChartError {
    ChartError(error.to_string())
}

impl Chart<'_> {
    /// Draws it.
    pub(crate) fn draw(&self, picture: Picture) -> Result<Vec<u8>, ChartError> {
        static FONTS: Once = Once::new();
        FONTS.call_once(|| {
            // The font is part of the program; one that could not be read would show as missing text in every test.
            let _ = register_font(FAMILY, FontStyle::Normal, FONT);
        });
        if picture == Picture::Svg {
            let mut svg = String::new();
            self.draw_on(picture, &SVGBackend::with_string(&mut svg, (self.width, self.height)).into_drawing_area())?;
            return Ok(svg.into_bytes());
        }
        // Three bytes a pixel.
        let mut pixels = vec![255; self.width as usize * self.height as usize * 3];
        self.draw_on(picture, &BitMapBackend::with_buffer(&mut pixels, (self.width, self.height)).into_drawing_area())?;
        let mut file = Cursor::new(Vec::new());
        let color = ExtendedColorType::Rgb8;
        match picture {
            Picture::Jpeg => {
                JpegEncoder::new_with_quality(&mut file, 90).write_image(&pixels, self.width, self.height, color)
            }
            _ => PngEncoder::new(&mut file).write_image(&pixels, self.width, self.height, color),
        }
        .map_err(failed)?;
        Ok(file.into_inner())
    }

    fn draw_on<B: DrawingBackend>(
        &self,
        picture: Picture,
        area: &DrawingArea<B, plotters::coord::Shift>,
    ) -> Result<(), ChartError> {
        let small = (self.height / 28).clamp(9, 16);
        let large = (self.height / 20).clamp(11, 22);
        let font = |size: u32| (FAMILY, size).into_font().color(&INK);
        area.fill(&WHITE).map_err(failed)?;
        let highest = self.bars.iter().map(|(_, count)| *count).max().unwrap_or(0).max(1);
        let step = step(highest);
        let top = highest.div_euclid(step) * step + step;
        let widest = u32::try_from(grouped(top).len()).unwrap_or(0);
        let mut chart = ChartBuilder::on(area)
            .caption(self.fitting_title(picture, large), font(large))
            .margin(small)
            .x_label_area_size(small * 3)
            .y_label_area_size(small * (widest + 2) * 2 / 3)
            .build_cartesian_2d(0..self.bars.len(), 0..top)
            .map_err(failed)?;
        let label = |bar: &usize| self.bars.get(*bar).map_or_else(String::new, |(label, _)| label.clone());
        let room = self.width / (small * 3);
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(WHITE)
            .bold_line_style(GRID)
            .axis_style(INK)
            .label_style(font(small))
            .x_desc(shown(self.axis, picture))
            .x_labels((room as usize).min(self.bars.len() + 1))
            .x_label_formatter(&label)
            .y_labels(usize::try_from(top / step + 1).unwrap_or(6))
            .y_label_formatter(&|count| grouped(*count))
            .draw()
            .map_err(failed)?;
        let bars = self.bars.iter().enumerate().filter(|(_, (_, count))| *count > 0).map(|(i, (_, count))| {
            let mut bar = Rectangle::new([(i, 0), (i + 1, *count)], BAR.filled());
            bar.set_margin(0, 0, 1, 1);
            bar
        });
        chart.draw_series(bars).map_err(failed)?;
        if self.bars.iter().all(|(_, count)| *count == 0) {
            use plotters::style::text_anchor::{HPos, Pos, VPos};
            let middle = (self.width.cast_signed() / 2, self.height.cast_signed() / 2);
            let style = font(large).pos(Pos::new(HPos::Center, VPos::Center));
            area.draw(&Text::new("no events", middle, style)).map_err(failed)?;
        }
        area.present().map_err(failed)
    }

    /// The title, cut to what fits above the chart.
    fn fitting_title(&self, picture: Picture, size: u32) -> String {
        let room = (self.width * 5 / (size * 3)) as usize;
        let title = shown(self.title, picture);
        if title.chars().count() <= room {
            return title;
        }
        title.chars().take(room.saturating_sub(1)).chain(['…']).collect()
    }
}

/// The distance between the lines of the vertical axis: 1, 2 or 5 times a power of ten, for at most six lines.
fn step(highest: i64) -> i64 {
    let mut power = 1;
    loop {
        for step in [power, 2 * power, 5 * power] {
            if highest / step < 6 {
                return step;
            }
        }
        power = power.saturating_mul(10);
    }
}

/// A number with a thin space between thousands.
pub(crate) fn grouped(number: i64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push('\u{a0}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_at_round_numbers() {
        for (highest, expected) in [(1, 1), (5, 1), (6, 2), (12, 5), (59, 10), (60, 20), (1_234_567, 500_000)] {
            assert_eq!(step(highest), expected, "{highest}");
        }
        assert_eq!(grouped(1_234_567), "1\u{a0}234\u{a0}567");
        assert_eq!(grouped(999), "999");
    }

    fn titled(title: &str, picture: Picture) -> Vec<u8> {
        let bars = [("0".to_owned(), 1)];
        Chart { title, axis: "hour", bars: &bars, width: 800, height: 400 }.draw(picture).expect("a picture")
    }

    #[test]
    fn titles_that_differ_give_pictures_that_differ() {
        let titles = ["日本", "中国", "مرحبا", "שלום", "नमस्ते", "🚀", "🎉", "a\u{1}", "a\u{2}", "a"];
        for picture in [Picture::Png, Picture::Jpeg] {
            let pictures: std::collections::HashSet<_> = titles.map(|title| titled(title, picture)).into();
            assert_eq!(pictures.len(), titles.len());
        }
        assert_eq!(shown("Größe, Ωμέγα, Привет", Picture::Png), "Größe, Ωμέγα, Привет");
        assert_eq!(shown("日a", Picture::Png), "\\u{65e5}a");
    }

    #[test]
    fn a_svg_holds_what_xml_can_hold() {
        let title = "a\u{0}\u{b}\u{1f}\u{7f}\u{fffe}\u{ffff}<b>&\"'日本";
        let svg = String::from_utf8(titled(title, Picture::Svg)).expect("text");
        let is_xml = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{7e}' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..);
        assert!(svg.chars().all(is_xml), "{svg}");
        assert!(svg.contains("日本") && svg.contains("&lt;b&gt;&amp;") && !svg.contains("<b>"), "{svg}");
    }

    #[test]
    fn every_size_and_height_can_be_drawn() {
        for (width, height) in [(200, 200), (2_000, 200), (200, 2_000), (2_000, 2_000)] {
            for highest in [0, 1, 7, 1_000_000_000_000] {
                let bars: Vec<_> = (0..24).map(|hour| (hour.to_string(), highest)).collect();
                let title = "a name that is far too long for a small picture, and 漢字".to_owned();
                let chart = Chart { title: &title, axis: "hour", bars: &bars, width, height };
                for picture in [Picture::Png, Picture::Jpeg, Picture::Svg] {
                    assert!(chart.draw(picture).is_ok_and(|file| file.len() > 200));
                }
            }
        }
    }
}
