//! How a report is shown: as a table for people, and as one JSON document for programs.

use super::super::calendar::utc;
use super::report::{BenchReport, Point, quantile_ms};
use super::tally::{BenchTally, Failures, Reason};
use crate::types::Count;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{self, Write};

/// The percentiles that are reported, and how they are called.
const QUANTILES: &[(&str, f64)] = &[("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

impl BenchReport<'_> {
    /// The report for people.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_table(&self, out: &mut dyn Write) -> io::Result<()> {
        let BenchTally { ok, work, latencies, unsent, failed_early, .. } = &self.tally;
        writeln!(out, "{}", self.headline())?;
        writeln!(
            out,
            "work       {} in {:.1} s: {:.0}/s, {:.2} MB/s",
            Count(*ok, self.operation),
            self.elapsed.as_secs_f64(),
            self.rate(),
            self.megabytes()
        )?;
        if work.entries != *ok {
            writeln!(out, "entries    {}", work.entries)?;
        }
        write!(out, "latency   ")?;
        for (name, quantile) in QUANTILES {
            write!(out, " {name} {}  ", shown(quantile_ms(latencies, *quantile)))?;
        }
        writeln!(out, " max {}  (ms)", shown(quantile_ms(latencies, 1.0)))?;
        writeln!(out, "failed     {}", Count(self.tally.failed_count(), "operation"))?;
        write_failures(out, &self.tally.failures)?;
        if !failed_early.is_empty() {
            let more = self.tally.failed_early_count();
            writeln!(out, "           and {more} more while warming up")?;
            write_failures(out, failed_early)?;
        }
        if *unsent > 0 {
            writeln!(
                out,
                "UNSENT     {}: due and never sent, as the cluster did not keep up with the rate; \
                 no latency counts them",
                Count(*unsent, "operation")
            )?;
        }
        writeln!(
            out,
            "this load  {:.1} us of processor time for each {}",
            self.processor_us(),
            self.operation
        )
    }

    /// The report for programs.
    #[must_use]
    pub fn document(&self) -> Value {
        let BenchTally { ok, work, latencies, failures, unsent, failed_early, .. } = &self.tally;
        let mut latency_ms = serde_json::Map::new();
        for (name, quantile) in QUANTILES {
            latency_ms.insert((*name).to_string(), json!(quantile_ms(latencies, *quantile)));
        }
        latency_ms.insert("max".to_string(), json!(quantile_ms(latencies, 1.0)));
        let mean = (!latencies.is_empty()).then(|| latencies.mean() / 1000.0);
        latency_ms.insert("mean".to_string(), json!(mean));
        let load = self.load;
        json!({
            "operation": self.operation,
            "version": env!("CARGO_PKG_VERSION"),
            "began": utc(self.began_ms),
            "loop": if load.rate.is_some() { "open" } else { "closed" },
            "rate": load.rate,
            "connections": load.connections,
            "window": load.window,
            "size": load.size,
            "shards": self.shards,
            "logs": self.logs,
            "seed": load.seed,
            "interrupted": self.interrupted,
            "seconds": self.elapsed.as_secs_f64(),
            "operations": ok,
            "entries": work.entries,
            "bytes": work.bytes,
            "operations_per_second": self.rate(),
            "megabytes_per_second": self.megabytes(),
            "latency_ms": latency_ms,
            "failed": {
                "not_executed": self.tally.failed_with("not executed"),
                "unknown": self.tally.failed_with("unknown"),
                "executed": self.tally.failed_with("executed"),
                "while_warming_up": self.tally.failed_early_count(),
                "reasons": reasons(failures),
                "reasons_while_warming_up": reasons(failed_early),
            },
            "unsent": unsent,
            "processor_us_per_operation": self.processor_us(),
            "over_time": self.points().iter().map(point_value).collect::<Vec<Value>>(),
        })
    }
}

fn write_failures(out: &mut dyn Write, failures: &BTreeMap<Reason, Failures>) -> io::Result<()> {
    for (Reason { outcome, what }, Failures { count, first }) in failures {
        writeln!(out, "           {count} {outcome}: {what}; the first: {first}")?;
    }
    Ok(())
}

fn reasons(failures: &BTreeMap<Reason, Failures>) -> Vec<Value> {
    let value = |(reason, failures): (&Reason, &Failures)| {
        json!({
            "outcome": reason.outcome,
            "reason": reason.what,
            "count": failures.count,
            "first": failures.first,
        })
    };
    failures.iter().map(value).collect()
}

fn point_value(point: &Point) -> Value {
    json!({
        "at_s": point.at_s,
        "operations_per_second": point.rate,
        "megabytes_per_second": point.megabytes,
        "p50_ms": point.p50_ms,
        "p99_ms": point.p99_ms,
        "max_ms": point.max_ms,
        "failed": point.failed,
    })
}

/// Milliseconds for people: as many digits as mean something.
fn shown(ms: Option<f64>) -> String {
    match ms {
        None => "-".to_string(),
        Some(ms) if ms < 10.0 => format!("{ms:.2}"),
        Some(ms) if ms < 100.0 => format!("{ms:.1}"),
        Some(ms) => format!("{ms:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::{load, report};
    use super::*;

    /// The document has every figure under its name, and failures by outcome.
    #[test]
    fn json_has_every_figure() {
        let load = load(Some(500.0));
        let document = report(&load).document();
        let number = |path: &str| document.pointer(path).and_then(Value::as_f64);
        for (path, wanted) in [
            ("/rate", 500.0),
            ("/connections", 64.0),
            ("/window", 16.0),
            ("/size", 128.0),
            ("/shards", 2.0),
            ("/seconds", 2.0),
            ("/operations", 1000.0),
            ("/entries", 1000.0),
            ("/bytes", 128_000.0),
            ("/operations_per_second", 500.0),
            ("/megabytes_per_second", 0.064),
            ("/failed/not_executed", 3.0),
            ("/failed/unknown", 2.0),
            ("/failed/executed", 0.0),
            ("/failed/while_warming_up", 0.0),
            ("/unsent", 0.0),
            ("/failed/reasons/0/count", 3.0),
            // 23 of the first ones came back within the first 50 ms.
            ("/over_time/0/operations_per_second", 460.0),
            ("/over_time/0/failed", 0.0),
        ] {
            let found = number(path).unwrap_or_else(|| panic!("{path} is no number: {document}"));
            assert!((found - wanted).abs() < 1e-9, "{path}: {found}, not {wanted}");
        }
        for (path, wanted) in [("p50", 5.0), ("p90", 9.0), ("p99", 10.0), ("max", 10.0)] {
            let found = number(&format!("/latency_ms/{path}")).expect("a number of milliseconds");
            assert!((found - wanted).abs() < 0.02, "{path}: {found}, not {wanted}");
        }
        assert!(number("/latency_ms/p99.9").is_some() && number("/latency_ms/mean").is_some());
        assert_eq!((&document["loop"], &document["operation"]), (&"open".into(), &"append".into()));
        assert!(number("/processor_us_per_operation").is_some_and(|us| us > 4.9 && us < 5.1));
    }

    /// The table names failures by outcome, with what the first one said.
    #[test]
    fn the_table_hides_no_failure() {
        let load = load(None);
        let mut report = report(&load);
        report.tally.unsent = 7;
        let mut out = Vec::new();
        report.write_table(&mut out).expect("a vector takes everything");
        let text = String::from_utf8(out).expect("text");
        for part in [
            "append, closed loop: 64 connections, window 16, 128 B, 2 logs on 2 shards\n",
            "1000 appends in 2.0 s: 500/s, 0.06 MB/s\n",
            " p50 5.00 ",
            " p99.9 10.0 ",
            "failed     5 operations\n",
            "2 unknown: no quorum; the first: said",
            "3 not executed: no quorum",
            "UNSENT     7 operations",
        ] {
            assert!(text.contains(part), "no {part:?} in:\n{text}");
        }
    }
}
