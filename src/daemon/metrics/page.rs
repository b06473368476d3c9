//! The Prometheus text format, version 0.0.4. The crate `prometheus-client` would write the same but
//! for `1.0` instead of `1`, and saves nothing here: it needs metrics that outlive the page, where
//! these borrow a moment of the node, so that they had to be collected for it first.

use std::fmt::{Display, Write};

/// What may happen to a metric's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// It only rises, until the node starts again.
    Counter,
    /// It goes up and down.
    Gauge,
    /// It counts in buckets.
    Histogram,
}

/// One family of samples.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name; never used for anything else again.
    pub name: &'static str,
    /// What may happen to it.
    pub kind: MetricKind,
    /// What it means, in one sentence.
    pub help: &'static str,
}

impl Metric {
    /// A counter.
    #[must_use]
    pub const fn counter(name: &'static str, help: &'static str) -> Metric {
        Metric { name, kind: MetricKind::Counter, help }
    }

    /// A gauge.
    #[must_use]
    pub const fn gauge(name: &'static str, help: &'static str) -> Metric {
        Metric { name, kind: MetricKind::Gauge, help }
    }

    /// A histogram.
    #[must_use]
    pub const fn histogram(name: &'static str, help: &'static str) -> Metric {
        Metric { name, kind: MetricKind::Histogram, help }
    }
}

/// A label and its value.
pub type Label<'a> = (&'static str, &'a dyn Display);

/// A page of samples, family by family.
#[derive(Debug, Default)]
pub struct MetricsPage {
    text: String,
}

impl MetricsPage {
    /// Begins a family, which is named even where it has no samples.
    pub fn family(&mut self, metric: &Metric) {
        let kind = match metric.kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        let Metric { name, help, .. } = metric;
        self.write(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// Adds a sample of the family that was begun last; `suffix` is that of a histogram's parts.
    pub fn sample(
        &mut self,
        metric: &Metric,
        suffix: &str,
        labels: &[Label<'_>],
        value: impl Display,
    ) {
        self.text.push_str(metric.name);
        self.text.push_str(suffix);
        for (at, (name, value)) in labels.iter().enumerate() {
            let opening = if at == 0 { '{' } else { ',' };
            let value = escaped(&value.to_string());
            self.write(format_args!("{opening}{name}=\"{value}\""));
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        self.write(format_args!(" {value}\n"));
    }

    /// The page.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }

    fn write(&mut self, what: std::fmt::Arguments<'_>) {
        self.text.write_fmt(what).expect("a text in memory takes whatever is written");
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names, types, labels and values stand where a scraper looks for them, and no value of a
    /// label can break out of its quotes.
    #[test]
    fn samples_are_written_as_scrapers_read_them() {
        const METRIC: Metric = Metric::counter("x_total", "What x is.");
        let mut page = MetricsPage::default();
        page.family(&METRIC);
        page.sample(&METRIC, "", &[], 1);
        page.sample(&METRIC, "", &[("a", &7), ("b", &"q\"\\\n")], 0.5);
        let wanted = "# HELP x_total What x is.\n# TYPE x_total counter\nx_total 1\n\
                      x_total{a=\"7\",b=\"q\\\"\\\\\\n\"} 0.5\n";
        assert_eq!(page.into_text(), wanted);
    }
}
