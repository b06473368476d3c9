//! A run over time as SVG: throughput above, latency on a logarithmic scale below. Written out by
//! hand, as it is two polylines and their axes. The SVG of the crate `plotters` has whole pixels only,
//! so that a line becomes a staircase where it is enlarged, cannot say how many operations failed
//! where a pointer rests on a failure, does not show a point without neighbours, and is almost three
//! times as large.

use super::super::calendar::utc;
use super::report::{BenchReport, Point};
use std::fmt::{self, Write};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 640.0;
/// Where the panels begin and end from left to right.
const LEFT: f64 = 90.0;
const RIGHT: f64 = WIDTH - 30.0;
/// Heights of the panels' upper and lower ends.
const THROUGHPUT: (f64, f64) = (70.0, 300.0);
const LATENCY: (f64, f64) = (350.0, 580.0);
/// Most marks on a linear axis.
const MARKS_MAX: f64 = 10.0;

const STYLE: &str = "\
text{font-family:sans-serif;font-size:12px;fill:#333}\
.title{font-size:16px}.name{font-size:13px}\
.grid{stroke:#ddd;stroke-width:1}.frame{stroke:#333;stroke-width:1;fill:none}\
.line{fill:none;stroke-width:1.6;stroke-linejoin:round}\
.target{stroke:#777;stroke-dasharray:6 4}.rate{stroke:#1f6fb4}.p50{stroke:#2a8f3c}.p99{stroke:#d97b0f}.max{stroke:#b3261e}\
.failed{stroke:#b3261e;stroke-width:2}";

/// One axis: which values it shows, and where they lie.
#[derive(Clone, Copy, Debug)]
struct Axis {
    /// Values at both ends.
    values: (f64, f64),
    /// Places of both ends.
    places: (f64, f64),
    logarithmic: bool,
}

impl Axis {
    fn place(&self, value: f64) -> f64 {
        let scale = |value: f64| if self.logarithmic { value.max(1e-9).log10() } else { value };
        let (low, high) = (scale(self.values.0), scale(self.values.1));
        let part = ((scale(value) - low) / (high - low)).clamp(0.0, 1.0);
        self.places.0 + part * (self.places.1 - self.places.0)
    }

    /// Values worth a mark: round ones.
    fn marks(&self) -> Vec<f64> {
        if self.logarithmic {
            let (low, high) = (self.values.0.log10().round(), self.values.1.log10().round());
            let decades = low as i32..=high as i32;
            return decades.map(|exponent| 10f64.powi(exponent)).collect();
        }
        let step = round_step((self.values.1 - self.values.0) / MARKS_MAX);
        let count = ((self.values.1 - self.values.0) / step + 1e-9).floor() as u32;
        (0..=count).map(|mark| self.values.0 + f64::from(mark) * step).collect()
    }
}

/// The smallest of 1, 2, 5, 10, 20 … that is at least this.
fn round_step(least: f64) -> f64 {
    let decade = 10f64.powf(least.max(1e-9).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * decade);
    steps.into_iter().find(|step| *step >= least * (1.0 - 1e-9)).unwrap_or(10.0 * decade)
}

/// The drawing.
#[must_use]
pub fn svg(report: &BenchReport<'_>) -> String {
    let mut out = String::new();
    draw(report, &mut out).expect("a string takes everything");
    out
}

fn draw(report: &BenchReport<'_>, out: &mut String) -> fmt::Result {
    let points = report.points();
    let unit = format!("{}s/s", report.operation);
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         width=\"{WIDTH}\" height=\"{HEIGHT}\">\n<title>paxosctl bench {}</title>\n\
         <style>{STYLE}</style>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>",
        escaped(&report.headline())
    )?;
    text(out, (LEFT, 28.0), "class=\"title\"", &report.headline())?;
    let summary = format!(
        "{:.0} {unit}, {:.2} MB/s, {} failed, {} never sent",
        report.rate(),
        report.megabytes(),
        report.tally.failed_count(),
        report.tally.unsent
    );
    text(out, (LEFT, 48.0), "", &summary)?;
    let end = report.elapsed.as_secs_f64().max(0.001);
    let time = Axis { values: (0.0, end), places: (LEFT, RIGHT), logarithmic: false };
    throughput(out, &time, &points, &unit, report.load.rate)?;
    latency(out, &time, &points)?;
    let made = format!("paxosctl {}, {}", env!("CARGO_PKG_VERSION"), utc(report.began_ms));
    text(out, (RIGHT, HEIGHT - 18.0), "text-anchor=\"end\"", &made)?;
    writeln!(out, "</svg>")
}

/// A point's value, where enough of it was measured to mean something.
fn whole<T>(point: &Point, value: T) -> Option<T> {
    (!point.partial).then_some(value)
}

/// The upper panel; with the rate that was asked for, if one was.
fn throughput(
    out: &mut String,
    time: &Axis,
    points: &[Point],
    unit: &str,
    target: Option<f64>,
) -> fmt::Result {
    let rates = points.iter().filter_map(|point| whole(point, point.rate)).chain(target);
    let most = rates.fold(1.0, f64::max);
    let step = round_step(most / MARKS_MAX);
    let top = (most / step).ceil() * step;
    let places = (THROUGHPUT.1, THROUGHPUT.0);
    let axis = Axis { values: (0.0, top), places, logarithmic: false };
    panel(out, time, &axis, &format!("throughput ({unit})"))?;
    if let Some(target) = target {
        let y = axis.place(target);
        writeln!(out, "<path class=\"line target\" d=\"M{LEFT} {y:.1}H{RIGHT}\"/>")?;
    }
    let rates = points.iter().map(|point| (point.at_s, whole(point, point.rate)));
    line(out, "rate", time, &axis, rates)?;
    for point in points.iter().filter(|point| point.failed > 0) {
        let x = time.place(point.at_s);
        writeln!(
            out,
            "<path class=\"failed\" d=\"M{x:.1} {:.1}v-12\"><title>{} failed at {:.1} s</title>\
             </path>",
            THROUGHPUT.1, point.failed, point.at_s
        )?;
    }
    let failures = points.iter().any(|point| point.failed > 0);
    let names = [(true, "rate"), (target.is_some(), "target"), (failures, "failed")];
    let names: Vec<&str> =
        names.iter().filter(|(shown, _)| *shown).map(|(_, name)| *name).collect();
    legend(out, THROUGHPUT.0, &names)
}

fn latency(out: &mut String, time: &Axis, points: &[Point]) -> fmt::Result {
    let all = || points.iter().flat_map(|p| [p.p50_ms, p.p99_ms, p.max_ms]).flatten();
    let low = all().fold(f64::INFINITY, f64::min).min(1e6);
    let high = all().fold(0.0, f64::max).max(0.001);
    let decade = |value: f64, up: bool| {
        let exponent = value.log10();
        10f64.powf(if up { exponent.ceil() } else { exponent.floor() })
    };
    let low = if all().next().is_some() { decade(low, false) } else { 0.1 };
    let high = decade(high, true).max(low * 10.0);
    let places = (LATENCY.1, LATENCY.0);
    let axis = Axis { values: (low, high), places, logarithmic: true };
    panel(out, time, &axis, "latency (ms, logarithmic)")?;
    type Value = fn(&Point) -> Option<f64>;
    let lines: [(&str, Value); 3] = [
        ("max", |point| point.max_ms),
        ("p99", |point| point.p99_ms),
        ("p50", |point| point.p50_ms),
    ];
    for (class, value) in lines {
        let values = points.iter().map(|point| (point.at_s, whole(point, value(point)).flatten()));
        line(out, class, time, &axis, values)?;
    }
    legend(out, LATENCY.0, &["p50", "p99", "max"])?;
    text(out, ((LEFT + RIGHT) / 2.0, HEIGHT - 18.0), MIDDLE, "time since measuring began (s)")
}

const MIDDLE: &str = "text-anchor=\"middle\" class=\"name\"";

/// Frame, grid, marks and name of a panel.
fn panel(out: &mut String, time: &Axis, axis: &Axis, name: &str) -> fmt::Result {
    let (bottom, top) = axis.places;
    for mark in axis.marks() {
        let y = axis.place(mark);
        writeln!(out, "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{RIGHT}\"/>")?;
        text(out, (LEFT - 8.0, y + 4.0), "text-anchor=\"end\"", &shown(mark))?;
    }
    for mark in time.marks() {
        let x = time.place(mark);
        writeln!(out, "<path class=\"grid\" d=\"M{x:.1} {top}V{bottom}\"/>")?;
        text(out, (x, bottom + 18.0), "text-anchor=\"middle\"", &shown(mark))?;
    }
    let (width, height) = (RIGHT - LEFT, bottom - top);
    writeln!(
        out,
        "<rect class=\"frame\" x=\"{LEFT}\" y=\"{top}\" width=\"{width}\" height=\"{height}\"/>"
    )?;
    let middle = (top + bottom) / 2.0;
    let turned = format!("{MIDDLE} transform=\"rotate(-90 24 {middle})\"");
    text(out, (24.0, middle), &turned, name)
}

/// One line; where a value is missing it is broken.
fn line(
    out: &mut String,
    class: &str,
    time: &Axis,
    axis: &Axis,
    values: impl Iterator<Item = (f64, Option<f64>)>,
) -> fmt::Result {
    let mut path = String::new();
    let mut drawn = false;
    for (at, value) in values {
        let Some(value) = value else {
            drawn = false;
            continue;
        };
        let (x, y) = (time.place(at), axis.place(value));
        if drawn {
            write!(path, "L{x:.1} {y:.1}")?;
        } else {
            // A point of its own is seen too: a stroke of no length has a round end.
            write!(path, "M{x:.1} {y:.1}h0")?;
        }
        drawn = true;
    }
    if path.is_empty() {
        return Ok(());
    }
    writeln!(out, "<path class=\"line {class}\" stroke-linecap=\"round\" d=\"{path}\"/>")
}

/// What each colour means, above the right end of a panel.
fn legend(out: &mut String, top: f64, names: &[&str]) -> fmt::Result {
    for (at, name) in names.iter().rev().enumerate() {
        let x = RIGHT - 70.0 * (at as f64 + 1.0);
        let y = top - 10.0;
        writeln!(out, "<path class=\"line {name}\" d=\"M{x:.1} {y:.1}h20\"/>")?;
        text(out, (x + 26.0, y + 4.0), "", name)?;
    }
    Ok(())
}

fn text(out: &mut String, at: (f64, f64), attributes: &str, words: &str) -> fmt::Result {
    let (x, y) = at;
    writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" {attributes}>{}</text>", escaped(words))
}

/// A number as an axis shows it: short, and without noise behind the point.
fn shown(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{}M", trimmed(value / 1e6)),
        value if value >= 1e4 => format!("{}k", trimmed(value / 1e3)),
        value => trimmed(value),
    }
}

fn trimmed(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

/// Text for XML; control characters, which it cannot hold, become spaces.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::{load, report};
    use super::super::tally::{BenchTally, Period, Work};
    use super::*;
    use roxmltree::Document;
    use std::time::Duration;

    /// The text of all elements of one kind.
    fn texts<'d>(document: &'d Document<'_>, tag: &str) -> Vec<&'d str> {
        let elements = document.descendants().filter(|node| node.has_tag_name(tag));
        elements.filter_map(|node| node.text()).collect()
    }

    /// The drawing is well-formed XML in the namespace of SVG, with titles, units, marks, a legend,
    /// every line, and the failures.
    #[test]
    fn the_drawing_is_well_formed_and_labelled() {
        let load = load(Some(500.0));
        let drawing = svg(&report(&load));
        let document = Document::parse(&drawing).expect("well-formed XML");
        let root = document.root_element();
        assert_eq!(root.tag_name().namespace(), Some("http://www.w3.org/2000/svg"));
        let texts = texts(&document, "text");
        for label in [
            "throughput (appends/s)",
            "latency (ms, logarithmic)",
            "time since measuring began (s)",
            "p50",
            "p99",
            "max",
            "failed",
            "rate",
            "target",
            concat!("paxosctl ", env!("CARGO_PKG_VERSION"), ", 2023-11-14T22:13:20Z"),
            "0.2",
            "10",
        ] {
            assert!(texts.contains(&label), "no {label:?} in {texts:?}");
        }
        assert!(texts[0].contains("open loop at 500/s"), "{texts:?}");
        let lines = |class: &str| {
            let path = |node: &roxmltree::Node<'_, '_>| node.attribute("class") == Some(class);
            document.descendants().filter(path).count()
        };
        for class in ["line rate", "line target", "line p50", "line p99", "line max"] {
            assert_eq!(lines(class), 2, "{class}: the line, and its place in the legend");
        }
        assert_eq!(lines("failed"), 1);
    }

    /// No drawing breaks: not that of nothing, nor of a single bucket, nor with odd names.
    #[test]
    fn odd_runs_can_be_drawn() {
        let load = load(None);
        let mut empty = report(&load);
        empty.operation = "<read> & \"co\"";
        empty.tally = BenchTally::new(Period::new(Duration::ZERO, load.seconds));
        empty.elapsed = Duration::ZERO;
        let mut single = report(&load);
        single.tally.buckets.truncate(1);
        for report in [empty, single] {
            let drawing = svg(&report);
            let document = Document::parse(&drawing).expect("well-formed XML");
            assert!(!drawing.contains("NaN") && !drawing.contains("inf"), "{drawing}");
            let head = texts(&document, "text")[0].to_string();
            assert!(head.contains(report.operation), "{head}");
        }
    }

    /// The end of a run, of which only the last answers were measured, makes no spike.
    #[test]
    fn a_partial_bucket_is_not_drawn() {
        let load = load(None);
        let mut report = report(&load);
        let whole = report.points();
        let last = whole.last().expect("a run of two seconds has points");
        assert!(!last.partial, "{last:?}");
        report.tally.succeeded(load.seconds, load.seconds, Work { entries: 1, bytes: 1 });
        report.elapsed = load.seconds + Duration::from_millis(1);
        let points = report.points();
        assert!(points.len() == whole.len() + 1 && points[whole.len()].partial, "{points:?}");
        assert!(points[whole.len()].rate > 10.0, "{points:?}");
        let path = |drawing: &str| -> usize {
            let document = Document::parse(drawing).expect("well-formed XML");
            let of = |node: &roxmltree::Node<'_, '_>| node.attribute("class") == Some("line rate");
            let node = document.descendants().find(of).expect("a line");
            node.attribute("d").unwrap_or_default().matches(['L', 'M']).count()
        };
        assert_eq!(path(&svg(&report)), whole.len());
    }

    /// Marks are round numbers, from end to end.
    #[test]
    fn marks_are_round() {
        let axis = |low, high, logarithmic| Axis {
            values: (low, high),
            places: (0.0, 100.0),
            logarithmic,
        };
        let shown = |axis: Axis| axis.marks().into_iter().map(shown).collect::<Vec<_>>();
        assert_eq!(shown(axis(0.0, 10.0, false)).len(), 11);
        assert_eq!(shown(axis(0.0, 60_000.0, false))[..3], ["0", "10k", "20k"]);
        assert_eq!(shown(axis(0.0, 2.0, false))[..3], ["0", "0.2", "0.4"]);
        assert_eq!(shown(axis(0.1, 1000.0, true)), ["0.1", "1", "10", "100", "1000"]);
        let place = axis(0.1, 1000.0, true).place(10.0);
        assert!((place - 50.0).abs() < 1e-9, "{place}");
    }
}
