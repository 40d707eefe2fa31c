//! Bar charts, whole or divided into parts, as PNG, JPEG or SVG.

use std::io::Cursor;
use std::sync::Once;

use ab_glyph::{Font as _, FontRef};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};
use tally_core::event::level::Level;

/// `DejaVu` Sans (its licence is in the same folder), cut to Latin, Greek and Cyrillic: Lambda has no fonts.
const FONT: &[u8] = include_bytes!("../assets/DejaVuSans-subset.ttf");
/// The name that charts know it by.
const FAMILY: &str = "sans-serif";

/// The colours of a chart, those of the dashboard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Theme {
    panel: RGBColor,
    ink: RGBColor,
    grid: RGBColor,
    accent: RGBColor,
    /// What is neither a level nor among the largest.
    rest: RGBColor,
    good: RGBColor,
    /// Beside those of the dashboard, for names.
    more: [RGBColor; 2],
    /// From TRACE to FATAL.
    levels: [RGBColor; 6],
}

impl Theme {
    /// Dark on white.
    pub(crate) const LIGHT: Self = Self {
        panel: RGBColor(0xFF, 0xFF, 0xFF),
        ink: RGBColor(0x1B, 0x24, 0x30),
        grid: RGBColor(0xE3, 0xE7, 0xEC),
        accent: RGBColor(0x0B, 0x5C, 0xAD),
        rest: RGBColor(0x7F, 0x8A, 0x9A),
        good: RGBColor(0x17, 0x6F, 0x42),
        more: [RGBColor(0x0E, 0x7C, 0x86), RGBColor(0x7A, 0x6A, 0x00)],
        levels: [
            RGBColor(0x7C, 0x86, 0x95),
            RGBColor(0x5F, 0x6B, 0x7C),
            RGBColor(0x3E, 0x6F, 0xA8),
            RGBColor(0x9A, 0x5B, 0x00),
            RGBColor(0xC8, 0x20, 0x2B),
            RGBColor(0x86, 0x19, 0x8F),
        ],
    };

    /// Light on dark blue.
    pub(crate) const DARK: Self = Self {
        panel: RGBColor(0x15, 0x1B, 0x23),
        ink: RGBColor(0xE4, 0xE9, 0xF0),
        grid: RGBColor(0x26, 0x30, 0x3B),
        accent: RGBColor(0x6C, 0xB2, 0xFF),
        rest: RGBColor(0x66, 0x72, 0x7F),
        good: RGBColor(0x4C, 0xC3, 0x8A),
        more: [RGBColor(0x4F, 0xC1, 0xC9), RGBColor(0xCF, 0xC0, 0x5A)],
        levels: [
            RGBColor(0x6B, 0x76, 0x86),
            RGBColor(0x87, 0x92, 0xA2),
            RGBColor(0x6E, 0x9F, 0xD6),
            RGBColor(0xE3, 0xA3, 0x3A),
            RGBColor(0xFF, 0x6B, 0x6B),
            RGBColor(0xE0, 0x7B, 0xEA),
        ],
    };

    /// A part that is all there is.
    pub(crate) fn whole(&self) -> Part {
        Part { name: String::new(), color: self.accent }
    }

    /// The part of a level.
    pub(crate) fn level(&self, level: Option<Level>) -> Part {
        let color = level.and_then(|level| Some(self.levels[Level::ALL.iter().position(|one| *one == level)?]));
        let name = level.map_or("no level", Level::as_str).to_owned();
        Part { name, color: color.unwrap_or(self.rest) }
    }

    /// The part of the name that is the `place`th most frequent.
    pub(crate) fn name(&self, place: usize, name: &str) -> Part {
        let ([_, _, info, warn, error, fatal], [teal, olive]) = (self.levels, self.more);
        let colors = [self.accent, warn, self.good, fatal, teal, error, olive, info];
        Part { name: name.to_owned(), color: colors.get(place).copied().unwrap_or(self.rest) }
    }
}

/// A part of each bar.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// Its name in the legend.
    pub(crate) name: String,
    color: RGBColor,
}

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
    /// The label of each bar's start, and the heights of its parts from the baseline up.
    pub(crate) bars: &'a [(String, Vec<i64>)],
    /// The parts. One alone has no legend.
    pub(crate) parts: &'a [Part],
    pub(crate) theme: &'a Theme,
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
        let Theme { panel, ink, grid, .. } = self.theme;
        let font = |size: u32| (FAMILY, size).into_font().color(ink);
        area.fill(panel).map_err(failed)?;
        let sum = |parts: &[i64]| parts.iter().sum::<i64>();
        let highest = self.bars.iter().map(|(_, parts)| sum(parts)).max().unwrap_or(0).max(1);
        let step = step(highest);
        let top = highest.div_euclid(step) * step + step;
        let widest = u32::try_from(grouped(top).len()).unwrap_or(0);
        let legend = self.legend(picture, small);
        let legend_height =
            if legend.is_empty() { 0 } else { small * 3 / 2 * u32::try_from(legend.len()).unwrap_or(0) };
        let mut chart = ChartBuilder::on(area)
            .caption(self.fitting_title(picture, large), font(large))
            .margin(small)
            .margin_bottom(small + legend_height)
            .x_label_area_size(small * 3)
            .y_label_area_size(small * (widest + 2) * 2 / 3)
            .build_cartesian_2d(0..self.bars.len(), 0..top)
            .map_err(failed)?;
        let label = |bar: &usize| self.bars.get(*bar).map_or_else(String::new, |(label, _)| label.clone());
        let longest = self.bars.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(2).max(4);
        let room = self.width * 4 / 3 / (small * u32::try_from(longest).unwrap_or(4));
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(*panel)
            .bold_line_style(*grid)
            .axis_style(*ink)
            .label_style(font(small))
            .x_desc(shown(self.axis, picture))
            .x_labels((room as usize).min(self.bars.len() + 1))
            .x_label_formatter(&label)
            .y_labels(usize::try_from(top / step + 1).unwrap_or(6))
            .y_label_formatter(&|count| grouped(*count))
            .draw()
            .map_err(failed)?;
        // Neighbours are told apart by a gap, where there is room for one.
        let plot = chart.plotting_area().dim_in_pixel();
        let gap = u32::from(plot.0 / u32::try_from(self.bars.len().max(1)).unwrap_or(u32::MAX) > 3);
        let pixels = |count: i64| count.saturating_mul(i64::from(plot.1)) / top;
        let rectangles = self.bars.iter().enumerate().flat_map(|(i, (_, parts))| {
            let mut from = 0;
            parts.iter().zip(self.parts).filter(|(count, _)| **count > 0).map(move |(count, part)| {
                let to = from + count;
                let mut bar = Rectangle::new([(i, from), (i + 1, to)], part.color.filled());
                let below = u32::from(from > 0 && pixels(*count) > 2);
                bar.set_margin(0, below, gap, gap);
                from = to;
                bar
            })
        });
        chart.draw_series(rectangles).map_err(failed)?;
        let bottom = (self.height - legend_height).cast_signed();
        for (row, entries) in legend.iter().enumerate() {
            let y = bottom + (small * 3 / 2).cast_signed() * i32::try_from(row).unwrap_or(0);
            for (x, name, part) in entries {
                let square = [(*x, y), (x + small.cast_signed() * 3 / 4, y + small.cast_signed() * 3 / 4)];
                area.draw(&Rectangle::new(square, part.color.filled())).map_err(failed)?;
                let text = (x + small.cast_signed(), y - small.cast_signed() / 8);
                area.draw(&Text::new(name.as_str(), text, font(small))).map_err(failed)?;
            }
        }
        if self.bars.iter().all(|(_, parts)| sum(parts) <= 0) {
            use plotters::style::text_anchor::{HPos, Pos, VPos};
            let middle = (self.width.cast_signed() / 2, self.height.cast_signed() / 2);
            let style = font(large).pos(Pos::new(HPos::Center, VPos::Center));
            area.draw(&Text::new("no events", middle, style)).map_err(failed)?;
        }
        area.present().map_err(failed)
    }

    /// The rows of the legend: for each part the place of its square from the left, its name, and itself.
    fn legend(&self, picture: Picture, size: u32) -> Vec<Vec<(i32, String, &Part)>> {
        const LONGEST: usize = 24;
        let mut rows: Vec<Vec<_>> = Vec::new();
        let mut x = 0;
        for part in self.parts.iter().filter(|_| self.parts.len() > 1 || !self.parts[0].name.is_empty()) {
            let mut name = shown(&part.name, picture);
            if name.chars().count() > LONGEST {
                name = name.chars().take(LONGEST - 1).chain(['…']).collect();
            }
            let width = size * 2 + size * 2 / 3 * u32::try_from(name.chars().count()).unwrap_or(0);
            if rows.is_empty() || x + width > self.width {
                rows.push(Vec::new());
                x = size;
            }
            if let Some(row) = rows.last_mut() {
                row.push((x.cast_signed(), name, part));
            }
            x += width;
        }
        // On a small picture the largest are enough.
        rows.truncate(usize::try_from(self.height / (size * 8)).unwrap_or(1).max(1));
        rows
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
        let (bars, theme) = ([("0".to_owned(), vec![1])], &Theme::LIGHT);
        let parts = &[theme.whole()];
        let chart = Chart { title, axis: "hour", bars: &bars, parts, theme, width: 800, height: 400 };
        chart.draw(picture).expect("a picture")
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
    fn each_level_has_a_color_of_its_own() {
        for theme in [Theme::LIGHT, Theme::DARK] {
            let levels = Level::ALL.into_iter().map(Some).chain([None]);
            let colors: std::collections::HashSet<_> = levels.map(|level| theme.level(level).color.rgb()).collect();
            assert_eq!(colors.len(), 7);
            let colors: std::collections::HashSet<_> = (0..9).map(|place| theme.name(place, "").color.rgb()).collect();
            assert_eq!(colors.len(), 9);
        }
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
                let theme = if highest == 7 { &Theme::DARK } else { &Theme::LIGHT };
                let parts: Vec<_> = (0..9).map(|place| theme.name(place, "a name that is rather long, 漢字")).collect();
                let bars: Vec<_> = (0..24).map(|hour| (hour.to_string(), vec![highest; 9])).collect();
                let title = "a name that is far too long for a small picture, and 漢字".to_owned();
                let chart = Chart { title: &title, axis: "hour", bars: &bars, parts: &parts, theme, width, height };
                for picture in [Picture::Png, Picture::Jpeg, Picture::Svg] {
                    assert!(chart.draw(picture).is_ok_and(|file| file.len() > 200));
                }
            }
        }
    }
}
