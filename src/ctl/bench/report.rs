//! What a run found: its figures, over time as well, and whether it was a success.

use super::super::exit::CommandFailure;
use super::args::Load;
use super::tally::{BenchTally, Bucket, Failures};
use crate::types::Count;
use hdrhistogram::{Counter, Histogram};
use std::time::Duration;

/// What a run found.
#[derive(Debug)]
pub struct BenchReport<'a> {
    /// `append` or `read`.
    pub operation: &'static str,
    /// What was asked for.
    pub load: &'a Load,
    /// The logs.
    pub logs: Vec<String>,
    /// Shards of the cluster.
    pub shards: u16,
    /// What was counted.
    pub tally: BenchTally,
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

impl BenchReport<'_> {
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
            Count(u64::from(*connections), "connection"),
            Count(self.logs.len() as u64, "log"),
            Count(u64::from(self.shards), "shard"),
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
    #[must_use]
    pub fn processor_us(&self) -> f64 {
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
    /// [`CommandFailure::NotExecuted`], [`CommandFailure::Unknown`], and [`CommandFailure::Other`] when the run ended
    /// before anything was measured.
    pub fn verdict(&self) -> Result<(), CommandFailure> {
        if self.tally.ok > 0 {
            return Ok(());
        }
        let (operation, seconds) = (self.operation, self.elapsed.as_secs_f64());
        let mut text =
            format!("bench {operation}: nothing was executed in the measured {seconds:.1} s");
        let mut failures = &self.tally.failures;
        if failures.is_empty() && !self.tally.failed_early.is_empty() {
            failures = &self.tally.failed_early;
            let failed = Count(self.tally.failed_early_count(), "operation");
            text.push_str(&format!(", and {failed} failed while warming up"));
        }
        Err(match failures.values().next() {
            None if self.interrupted => {
                CommandFailure::Other(format!("{text}; it was interrupted"))
            }
            None => CommandFailure::Other(format!("{text}; measure for longer (--seconds)")),
            Some(Failures { first, .. }) => {
                let text = format!("{text}; {first}");
                let unknown = failures.keys().any(|reason| reason.outcome == "unknown");
                if unknown {
                    CommandFailure::Unknown(text)
                } else {
                    CommandFailure::NotExecuted(text)
                }
            }
        })
    }
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
pub fn quantile_ms<C: Counter>(latencies: &Histogram<C>, quantile: f64) -> Option<f64> {
    (!latencies.is_empty()).then(|| latencies.value_at_quantile(quantile) as f64 / 1000.0)
}

#[cfg(test)]
pub mod tests {
    use super::super::tally::{Period, Reason, Work};
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
    pub fn report(load: &Load) -> BenchReport<'_> {
        let mut tally = BenchTally::new(Period::new(Duration::ZERO, load.seconds));
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
        BenchReport {
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

    /// Only work is success: nothing executed is 6, 7 when that is not certain, 1 when nothing was
    /// even tried.
    #[test]
    fn only_work_is_success() {
        let load = load(None);
        let full = report(&load);
        assert!(full.verdict().is_ok());
        let exit = |outcomes: &[&'static str]| {
            let mut report = report(&load);
            report.tally = BenchTally::new(full.tally.period());
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
            report.tally = BenchTally::new(Period::new(warmup, load.seconds));
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
