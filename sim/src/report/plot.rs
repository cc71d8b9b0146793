//! Plots as inline SVG: lines and stacked bars over rounds.
//!
//! Colours are plain attributes, so a plot is right on its own; the page's style sheet overrides them by attribute
//! selectors for dark screens ([`style`]). Values that are not finite are left out, and a plot without values is an
//! empty frame. Drawn at twice the size shown, since plotters places everything on whole pixels.

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

/// A named list of (round, value).
pub(super) struct Series {
    pub(super) label: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// What all plots have.
pub(super) struct Frame {
    /// Read out in place of the picture.
    pub(super) title: &'static str,
    /// Label of the vertical axis.
    pub(super) axis: &'static str,
    /// Text of a value on the vertical axis.
    pub(super) format: fn(f64) -> String,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// Series colours: on light and on dark paper.
const PALETTE: [(RGBColor, &str); 8] = [
    (RGBColor(0x2f, 0x6d, 0xb5), "#6fa8e8"),
    (RGBColor(0xd9, 0x72, 0x2b), "#f09a5a"),
    (RGBColor(0x3a, 0x9a, 0x5b), "#6cc58c"),
    (RGBColor(0xb8, 0x47, 0x8f), "#e07fbf"),
    (RGBColor(0x8a, 0x6f, 0xc4), "#b49bea"),
    (RGBColor(0xb5, 0x9a, 0x1f), "#dcc34d"),
    (RGBColor(0x2f, 0x9a, 0xad), "#74cbdb"),
    (RGBColor(0x8c, 0x8c, 0x8c), "#ababab"),
];
const INK: (RGBColor, &str) = (RGBColor(0x33, 0x38, 0x40), "#d5d9df");
const GRID: (RGBColor, &str) = (RGBColor(0xdd, 0xe0, 0xe5), "#3a4049");

const SIZE: (u32, u32) = (1440, 520);
/// Values are drawn within these: beyond, no axis has sensible labels.
const LARGEST: f64 = 1e15;
const SMALLEST_RANGE: f64 = 1e-9;
/// More bars than this are merged, taking means.
const MAX_BARS: usize = 360;

/// Lines over rounds, values between 0 and 1.
pub(super) fn lines(frame: &Frame, series: &[Series]) -> String {
    let clean: Vec<Vec<(f64, f64)>> = series.iter().map(|s| finite(&s.points)).collect();
    let values = clean.iter().flatten().map(|&(_, y)| y);
    // From the next lower tenth, so that the upper part can be read.
    let low = (values.fold(1.0f64, f64::min).max(0.0) * 10.0).floor().min(9.0) / 10.0;
    draw(frame, |root| {
        let mut chart = axes(root, frame, rounds_of(&clean), (low, 1.0))?;
        for (index, points) in clean.iter().enumerate() {
            let color = color(index);
            chart.draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(4)))?;
            if points.len() <= 60 {
                chart.draw_series(points.iter().map(|&at| Circle::new(at, 6, color.filled())))?;
            }
        }
        Ok(())
    })
}

/// Stacked bars over rounds: for each round the values of all series, the first at the bottom.
pub(super) fn bars(frame: &Frame, series: &[Series]) -> String {
    let clean: Vec<Vec<(f64, f64)>> = series.iter().map(|s| merged(&finite(&s.points))).collect();
    let mut tops: Vec<(f64, f64)> = Vec::new();
    let mut blocks = Vec::new();
    for (index, points) in clean.iter().enumerate() {
        for &(round, value) in points.iter().filter(|&&(_, value)| value > 0.0) {
            let at = match tops.iter().position(|&(r, _)| r == round) {
                Some(at) => at,
                None => {
                    tops.push((round, 0.0));
                    tops.len() - 1
                }
            };
            if let Some((_, top)) = tops.get_mut(at) {
                blocks.push((index, round, *top, *top + value));
                *top += value;
            }
        }
    }
    let high = tops.iter().fold(SMALLEST_RANGE, |high, &(_, top)| high.max(top));
    let high = if tops.is_empty() { 1.0 } else { high * 1.05 };
    let span = rounds_of(&clean);
    let step = (span.1 - span.0) / tops.len().max(1) as f64;
    draw(frame, |root| {
        let mut chart = axes(root, frame, span, (0.0, high))?;
        chart.draw_series(blocks.iter().map(|&(index, round, from, to)| {
            Rectangle::new([(round - 0.4 * step, from), (round + 0.4 * step, to)], color(index).filled())
        }))?;
        Ok(())
    })
}

/// A legend in HTML; labels are already escaped.
pub(super) fn legend(labels: &[String]) -> String {
    let items: Vec<String> = labels
        .iter()
        .enumerate()
        .map(|(index, label)| format!("<li><i class=\"s{}\"></i>{label}</li>", index % PALETTE.len()))
        .collect();
    format!("<ul class=\"legend\">{}</ul>", items.concat())
}

/// Style rules that give plots and legends their colours, dark ones where the reader prefers them.
pub(super) fn style() -> String {
    let all = || PALETTE.iter().copied().chain([INK, GRID]).enumerate();
    let variables = |dark: bool| {
        let one = |(index, (light, night)): (usize, (RGBColor, &str))| {
            let value = if dark { night.to_owned() } else { hex(light) };
            format!("--s{index}:{value};")
        };
        all().map(one).collect::<String>()
    };
    let rules = all().map(|(index, (light, _))| {
        let hex = hex(light);
        format!(
            "svg [fill=\"{hex}\"]{{fill:var(--s{index})}}svg [stroke=\"{hex}\"]{{stroke:var(--s{index})}}\
             i.s{index}{{background:var(--s{index})}}\n"
        )
    });
    format!(
        ":root{{{}}}\n@media (prefers-color-scheme:dark){{:root{{{}}}}}\n{}",
        variables(false),
        variables(true),
        rules.collect::<String>()
    )
}

fn draw(frame: &Frame, paint: impl FnOnce(&Area<'_>) -> Drawn) -> String {
    let mut svg = String::new();
    let done = {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        paint(&root).and_then(|()| root.present())
    };
    match done {
        Ok(()) => svg.replacen("<svg ", &format!("<svg role=\"img\" aria-label=\"{}\" ", frame.title), 1),
        Err(_) => "<p>This plot could not be drawn.</p>".to_owned(),
    }
}

fn axes<'a, 'b>(
    root: &'a Area<'b>,
    frame: &Frame,
    (left, right): (f64, f64),
    (low, high): (f64, f64),
) -> Result<Chart<'a, 'b>, DrawingAreaErrorKind<std::io::Error>> {
    let mut chart = ChartBuilder::on(root)
        .margin(16)
        .x_label_area_size(70)
        .y_label_area_size(130)
        .build_cartesian_2d(left..right, low..high)?;
    let whole = |x: &f64| if (x - x.round()).abs() < 1e-6 { format!("{x:.0}") } else { String::new() };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .bold_line_style(GRID.0)
        .light_line_style(TRANSPARENT)
        .axis_style(INK.0)
        .label_style(("sans-serif", 26, &INK.0))
        .x_labels(((right - left) as usize + 1).clamp(2, 12))
        .y_labels(6)
        .x_desc("round")
        .y_desc(frame.axis)
        .x_label_formatter(&whole)
        .y_label_formatter(&|y| (frame.format)(*y))
        .draw()?;
    Ok(chart)
}

fn color(index: usize) -> RGBColor {
    PALETTE.get(index % PALETTE.len()).map_or(INK.0, |&(color, _)| color)
}

fn hex(RGBColor(r, g, b): RGBColor) -> String {
    format!("#{r:02X}{g:02X}{b:02X}")
}

fn finite(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let inside = |x: f64| x.clamp(-LARGEST, LARGEST);
    let finite = points.iter().filter(|(x, y)| x.is_finite() && y.is_finite());
    finite.map(|&(x, y)| (inside(x), inside(y))).collect()
}

/// At most [`MAX_BARS`] points: means over equally many neighbours.
fn merged(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mean = |group: &[(f64, f64)]| {
        let n = group.len() as f64;
        (group.iter().map(|p| p.0).sum::<f64>() / n, group.iter().map(|p| p.1).sum::<f64>() / n)
    };
    points.chunks(points.len().div_ceil(MAX_BARS).max(1)).map(mean).collect()
}

/// First and last round with half a round on each side.
fn rounds_of(series: &[Vec<(f64, f64)>]) -> (f64, f64) {
    let rounds = series.iter().flatten().map(|&(x, _)| x);
    let (low, high) =
        rounds.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
    if low <= high { (low - 0.5, high + 0.5) } else { (0.0, 1.0) }
}
