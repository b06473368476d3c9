//! What is counted: latencies, processor time and memory.

#![allow(dead_code)] // Each benchmark uses another part of it.

use hdrhistogram::Histogram;
use std::fmt;
use std::fs;
use std::time::Duration;

/// The longest latency that is distinguished, in microseconds.
const LONGEST_US: u64 = 60_000_000;

/// An empty histogram of microseconds.
pub fn latencies() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_US, 3).expect("bounds and digits are constants")
}

/// Notes a latency.
pub fn record(latencies: &mut Histogram<u64>, latency: Duration) {
    let us = u64::try_from(latency.as_micros()).unwrap_or(LONGEST_US);
    latencies.saturating_record(us.max(1));
}

/// How many there were, and how long they took.
#[derive(Clone, Copy, Debug)]
pub struct Quantiles {
    /// How many.
    pub count: u64,
    /// Half of them took no longer, in microseconds.
    pub p50_us: u64,
    /// 99 of 100 took no longer.
    pub p99_us: u64,
    /// 999 of 1000 took no longer.
    pub p999_us: u64,
    /// The longest.
    pub max_us: u64,
}

impl Quantiles {
    /// Those of a histogram.
    pub fn of(latencies: &Histogram<u64>) -> Quantiles {
        Quantiles {
            count: latencies.len(),
            p50_us: latencies.value_at_quantile(0.5),
            p99_us: latencies.value_at_quantile(0.99),
            p999_us: latencies.value_at_quantile(0.999),
            max_us: latencies.max(),
        }
    }
}

impl fmt::Display for Quantiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} appends, p50 {} us, p99 {} us, p99.9 {} us, max {} us",
            self.count, self.p50_us, self.p99_us, self.p999_us, self.max_us
        )
    }
}

/// The middle of some numbers; zero of none.
pub fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    match numbers.len() {
        0 => 0.0,
        len if len % 2 == 1 => numbers[len / 2],
        len => (numbers[len / 2 - 1] + numbers[len / 2]) / 2.0,
    }
}

/// Processor time that a process has used, all its threads together, in user and kernel mode.
pub fn processor_time(pid: u32) -> Duration {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(path).expect("a process that runs has its statistics");
    // The name in parentheses may hold anything; fields 14 and 15 are counted from behind it.
    let behind = stat.rsplit(')').next().unwrap_or_default();
    let ticks = behind.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<u64>().ok());
    // USER_HZ: hundredths of a second, whatever the kernel's own tick is.
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

/// Memory that a process holds, in bytes.
pub fn resident_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status"));
    let status = status.expect("a process that runs has its status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.map_or(0, |kib| kib << 10)
}

/// How busy this machine is otherwise: the load of the last minute.
pub fn machine_load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_string()
}
