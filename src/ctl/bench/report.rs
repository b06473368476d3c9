//! What a run found, as a table for people and as one JSON document.

use super::super::calendar::utc;
use super::super::exit::Failure;
use super::args::Load;
use super::tally::{Bucket, Failures, Reason, Tally};
use crate::types::Count;
use hdrhistogram::{Counter, Histogram};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

/// The percentiles that are reported, and how they are called.
const QUANTILES: &[(&str, f64)] = &[("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

/// What a run found.
#[derive(Debug)]
pub struct Report<'a> {
    /// `append` or `read`.
    pub operation: &'static str,
    /// What was asked for.
    pub load: &'a Load,
    /// The logs.
    pub logs: Vec<String>,
    /// Shards of the cluster.
    pub shards: u16,
    /// What was counted.
    pub tally: Tally,
    /// Time that was measured: until the end, or the last operation's return.
    pub elapsed: Duration,
    /// This process's processor time meanwhile.
    pub processor: Duration,
    /// It was ended before its time.
    pub interrupted: bool,
    /// When the measuring began, in milliseconds since 1970.
    pub began_ms: u64,
}

/// A stretch of time, for drawing and for JSON.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Its middle, in seconds from the start of the measuring.
    pub at_s: f64,
    /// Operations a second that succeeded.
    pub rate: f64,
    /// Megabytes a second.
    pub megabytes: f64,
    /// Half of them took no longer, in milliseconds; none where nothing succeeded.
    pub p50_ms: Option<f64>,
    /// 99 of 100 took no longer.
    pub p99_ms: Option<f64>,
    /// The longest.
    pub max_ms: Option<f64>,
    /// Operations that failed.
    pub failed: u64,
    /// Less than half of it was measured: the end of a run, where the last answers come in. Its
    /// rate says little.
    pub partial: bool,
}

impl Report<'_> {
    /// `closed loop`, or `open loop at 500/s`.
    #[must_use]
    pub fn mode(&self) -> String {
        match self.load.rate {
            None => "closed loop".to_string(),
            Some(rate) => format!("open loop at {rate}/s"),
        }
    }

    /// What was done to what, as a headline.
    #[must_use]
    pub fn headline(&self) -> String {
        let Load { connections, window, size, .. } = self.load;
        format!(
            "{}, {}: {}, window {window}, {size} B, {} on {}",
            self.operation,
            self.mode(),
            plural(u64::from(*connections), "connection"),
            plural(self.logs.len() as u64, "log"),
            plural(u64::from(self.shards), "shard"),
        )
    }

    /// Operations a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        per_second(self.tally.ok, self.elapsed)
    }

    /// Megabytes of entries a second.
    #[must_use]
    pub fn megabytes(&self) -> f64 {
        per_second(self.tally.work.bytes, self.elapsed) / 1e6
    }

    /// Processor time of this process for one operation, in microseconds.
    fn processor_us(&self) -> f64 {
        let done = self.tally.ok + self.tally.failed_count();
        self.processor.as_secs_f64() * 1e6 / (done.max(1) as f64)
    }

    /// The run over time.
    #[must_use]
    pub fn points(&self) -> Vec<Point> {
        let width = self.tally.period().bucket;
        let buckets = self.tally.buckets.iter().enumerate();
        buckets.map(|(at, bucket)| point(width * at as u32, width, self.elapsed, bucket)).collect()
    }

    /// Fails when nothing was executed, by what is known of the outcome: of what was measured, or of
    /// what was due while warming up, where nothing else came back.
    ///
    /// # Errors
    /// [`Failure::NotExecuted`], [`Failure::Unknown`], and [`Failure::Other`] when the run ended
    /// before anything was measured.
    pub fn verdict(&self) -> Result<(), Failure> {
        if self.tally.ok > 0 {
            return Ok(());
        }
        let (operation, seconds) = (self.operation, self.elapsed.as_secs_f64());
        let mut text =
            format!("bench {operation}: nothing was executed in the measured {seconds:.1} s");
        let mut failures = &self.tally.failures;
        if failures.is_empty() && !self.tally.failed_early.is_empty() {
            failures = &self.tally.failed_early;
            let failed = plural(self.tally.failed_early_count(), "operation");
            text.push_str(&format!(", and {failed} failed while warming up"));
        }
        Err(match failures.values().next() {
            None if self.interrupted => Failure::Other(format!("{text}; it was interrupted")),
            None => Failure::Other(format!("{text}; measure for longer (--seconds)")),
            Some(Failures { first, .. }) => {
                let text = format!("{text}; {first}");
                let unknown = failures.keys().any(|reason| reason.outcome == "unknown");
                if unknown { Failure::Unknown(text) } else { Failure::NotExecuted(text) }
            }
        })
    }

    /// The report for people.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_table(&self, out: &mut dyn Write) -> io::Result<()> {
        let Tally { ok, work, latencies, unsent, failed_early, .. } = &self.tally;
        writeln!(out, "{}", self.headline())?;
        writeln!(
            out,
            "work       {} in {:.1} s: {:.0}/s, {:.2} MB/s",
            plural(*ok, self.operation),
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
        writeln!(out, "failed     {}", plural(self.tally.failed_count(), "operation"))?;
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
                plural(*unsent, "operation")
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
        let Tally { ok, work, latencies, failures, unsent, failed_early, .. } = &self.tally;
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

/// A bucket that begins at `from`; the last one of a run may have been cut short.
fn point(from: Duration, width: Duration, elapsed: Duration, bucket: &Bucket) -> Point {
    let covered = elapsed.saturating_sub(from).min(width).max(width / 20);
    Point {
        at_s: (from + covered / 2).as_secs_f64(),
        rate: per_second(bucket.ok, covered),
        megabytes: per_second(bucket.work.bytes, covered) / 1e6,
        p50_ms: quantile_ms(&bucket.latencies, 0.5),
        p99_ms: quantile_ms(&bucket.latencies, 0.99),
        max_ms: quantile_ms(&bucket.latencies, 1.0),
        failed: bucket.failed,
        partial: !from.is_zero() && covered < width / 2,
    }
}

fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64().max(1e-9)
}

/// A quantile in milliseconds; none of nothing.
fn quantile_ms<C: Counter>(latencies: &Histogram<C>, quantile: f64) -> Option<f64> {
    (!latencies.is_empty()).then(|| latencies.value_at_quantile(quantile) as f64 / 1000.0)
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

/// `1 log`, `2 logs`.
pub fn plural(count: u64, what: &str) -> String {
    Count(count, what).to_string()
}

#[cfg(test)]
pub mod tests {
    use super::super::tally::{Period, Work};
    use super::*;

    /// A load with these flags' defaults.
    pub fn load(rate: Option<f64>) -> Load {
        Load {
            connections: 64,
            window: 16,
            size: 128,
            logs: None,
            prefix: "bench".to_string(),
            seconds: Duration::from_secs(2),
            warmup: Duration::ZERO,
            rate,
            seed: 1,
            plot: None,
        }
    }

    /// A run of two seconds: 1000 appends of 1 to 10 ms, none from 1.0 to 1.5 s, some failures.
    pub fn report(load: &Load) -> Report<'_> {
        let mut tally = Tally::new(Period::new(Duration::ZERO, load.seconds));
        for n in 0..1000 {
            let due = Duration::from_millis(if n < 500 { n * 2 } else { n + 990 });
            let latency = Duration::from_millis(1 + n % 10);
            tally.succeeded(due, due + latency, Work { entries: 1, bytes: 128 });
        }
        for (outcome, count) in [("unknown", 2), ("not executed", 3)] {
            for _ in 0..count {
                let reason = Reason { outcome, what: "no quorum".to_string() };
                let at = Duration::from_millis(1200);
                tally.failed(at, at, reason, || "said <so> & \"so\"".to_string());
            }
        }
        Report {
            operation: "append",
            load,
            logs: vec!["bench-0".to_string(), "bench-3".to_string()],
            shards: 2,
            tally,
            elapsed: load.seconds,
            processor: Duration::from_millis(5),
            interrupted: false,
            began_ms: 1_700_000_000_000,
        }
    }

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

    /// Only work is success: nothing executed is 6, 7 when that is not certain, 1 when nothing was
    /// even tried.
    #[test]
    fn only_work_is_success() {
        let load = load(None);
        let full = report(&load);
        assert!(full.verdict().is_ok());
        let exit = |outcomes: &[&'static str]| {
            let mut report = report(&load);
            report.tally = Tally::new(full.tally.period());
            for outcome in outcomes {
                let reason = Reason { outcome, what: "x".to_string() };
                report.tally.failed(Duration::ZERO, Duration::ZERO, reason, String::new);
            }
            report.verdict().map_err(|failure| failure.exit().number())
        };
        assert_eq!(exit(&["not executed"]), Err(6));
        assert_eq!(exit(&["not executed", "unknown"]), Err(7));
        assert_eq!(exit(&[]), Err(1));
    }

    /// Where all failed before anything was measured, that is what happened: it is no short run.
    #[test]
    fn failures_of_the_warm_up_count_where_nothing_was_executed() {
        let load = load(None);
        let warmup = Duration::from_secs(1);
        let early = |outcomes: &[&'static str]| {
            let mut report = report(&load);
            report.tally = Tally::new(Period::new(warmup, load.seconds));
            for outcome in outcomes {
                let reason = Reason { outcome, what: "DiskFull".to_string() };
                let first = || "it answered DiskFull; next: free space".to_string();
                report.tally.failed(Duration::ZERO, warmup * 9, reason, first);
            }
            report
        };
        let full = early(&["not executed", "not executed"]);
        let failure = full.verdict().expect_err("nothing was executed");
        assert_eq!(failure.exit().number(), 6);
        let text = failure.to_string();
        for part in ["2 operations failed while warming up", "DiskFull; next: free space"] {
            assert!(text.contains(part), "no {part:?} in {text}");
        }
        assert!(!text.contains("--seconds"), "a longer run would fail as well: {text}");
        let unknown = early(&["not executed", "unknown"]).verdict();
        assert_eq!(unknown.map_err(|failure| failure.exit().number()), Err(7));
        let mut out = Vec::new();
        full.write_table(&mut out).expect("a vector takes everything");
        let table = String::from_utf8(out).expect("text");
        assert!(table.contains("and 2 more while warming up\n           2 not executed: DiskFull"));
        assert_eq!(full.document()["failed"]["reasons_while_warming_up"][0]["count"], 2);
        // Where something was executed, it is none of the verdict's business.
        let mut some = early(&["not executed"]);
        some.tally.succeeded(warmup, warmup * 2, Work { entries: 1, bytes: 1 });
        assert!(some.verdict().is_ok());
    }
}
