//! What the system says of this process and of its disk.

use crate::daemon::watch::space::free_and_total;
use crate::types::Tick;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};
use std::path::Path;

/// The system is asked no more often than this, in microseconds, however many ask for it.
const ASK_EVERY_US: u64 = 500_000;

/// The process and its disk in numbers. What the system does not say is 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProcessNumbers {
    /// Bytes of memory held.
    pub resident_bytes: u64,
    /// Bytes of address space.
    pub virtual_bytes: u64,
    /// Threads.
    pub threads: u64,
    /// Descriptors open.
    pub open_fds: u64,
    /// Descriptors that may be open.
    pub max_fds: u64,
    /// Time used on all cores, in seconds.
    pub cpu_seconds: f64,
    /// Bytes free for this process on the file system of the data directory.
    pub disk_free_bytes: u64,
    /// Bytes of that file system.
    pub disk_total_bytes: u64,
}

/// Asks the system now and then.
#[derive(Debug, Default)]
pub struct Sampler {
    last: Option<(Tick, ProcessNumbers)>,
}

impl Sampler {
    /// The numbers of half a second ago at most.
    pub fn numbers(&mut self, now: Tick, data_dir: &Path) -> ProcessNumbers {
        match &self.last {
            Some((at, numbers)) if now.since(*at) < ASK_EVERY_US => numbers.clone(),
            Some(_) | None => {
                let numbers = ask(data_dir);
                self.last = Some((now, numbers.clone()));
                numbers
            }
        }
    }
}

fn ask(data_dir: &Path) -> ProcessNumbers {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    let (disk_free_bytes, disk_total_bytes) = free_and_total(data_dir);
    ProcessNumbers {
        resident_bytes: field(&status, "VmRSS:") * 1024,
        virtual_bytes: field(&status, "VmSize:") * 1024,
        threads: field(&status, "Threads:"),
        // One of them is the directory that is just being read.
        open_fds: std::fs::read_dir("/proc/self/fd").map_or(0, |fds| fds.count() as u64 - 1),
        max_fds: getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
        cpu_seconds: cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9,
        disk_free_bytes,
        disk_total_bytes,
    }
}

/// The first number behind a name of `/proc/self/status`.
fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The system says something of everything, and is not asked again at once.
    #[test]
    fn the_system_answers() {
        let mut sampler = Sampler::default();
        let numbers = sampler.numbers(Tick(0), Path::new("/"));
        assert!(numbers.resident_bytes > 1 << 20 && numbers.virtual_bytes > 1 << 20, "{numbers:?}");
        assert!(numbers.threads > 0 && numbers.open_fds > 2, "{numbers:?}");
        assert!(numbers.max_fds >= numbers.open_fds && numbers.cpu_seconds > 0.0, "{numbers:?}");
        assert!(numbers.disk_total_bytes >= numbers.disk_free_bytes, "{numbers:?}");
        let again = sampler.numbers(Tick(1), Path::new("/nowhere/at/all"));
        assert_eq!(again, numbers);
        let later = sampler.numbers(Tick(ASK_EVERY_US), Path::new("/nowhere/at/all"));
        assert_eq!(later.disk_total_bytes, 0);
    }
}
